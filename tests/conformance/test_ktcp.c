/* SPDX-License-Identifier: BSD-3-Clause */
/* test_ktcp: the kernel's TCP over loopback. Argument: v4 or v6. */
#include "stream_conformance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/time.h"
#include "transport/ktcp.h"

#define DEADLINE_MS 10000

struct impl {
	struct bb_mem mem;
	struct bb_ktcp *client, *server;
	int nobody_fd; /* bound, not listening: connections there are refused, and nobody else takes the port
			*/
};

static int family;

static void
loopback(struct sockaddr_storage *a)
{
	memset(a, 0, sizeof(*a));
	if (family == AF_INET) {
		((struct sockaddr_in *)a)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	} else {
		((struct sockaddr_in6 *)a)->sin6_addr = in6addr_loopback;
	}
	a->ss_family = (sa_family_t)family;
}

static bool
open_world(struct conf_world *w)
{
	struct impl *x = calloc(1, sizeof(*x));
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);
	int fd = -1;

	assert_non_null(x);
	loopback(&at);
	if (bb_ktcp_listen_open((void *)&at, NULL, &fd, &w->address) < 0) {
		free(x);
		return false;
	}
	bb_mem_init_heap(&x->mem, 64 << 20);
	assert_int_equal(bb_ktcp_create(&x->mem, &x->client), 0);
	assert_int_equal(bb_ktcp_create(&x->mem, &x->server), 0);
	w->client = bb_ktcp_transport(x->client);
	w->server = bb_ktcp_transport(x->server);
	assert_int_equal(w->server->ops->listen(w->server, fd, CONF_SIDE), 0);

	x->nobody_fd = socket(family, SOCK_STREAM, 0);
	assert_true(x->nobody_fd >= 0);
	assert_int_equal(bind(x->nobody_fd, (void *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(x->nobody_fd, (void *)&w->nobody, &len), 0);
	w->impl = x;
	return true;
}

static void
close_world(struct conf_world *w)
{
	struct impl *x = w->impl;

	close(x->nobody_fd);
	bb_ktcp_destroy(x->client);
	bb_ktcp_destroy(x->server);
	assert_int_equal(x->mem.used_bytes, 0);
	free(x);
}

static bool
wait_world(struct conf_world *w)
{
	struct pollfd fds[] = {
		{ .fd = w->client->wait_fd, .events = POLLIN },
		{ .fd = w->server->wait_fd, .events = POLLIN },
	};

	return poll(fds, 2, DEADLINE_MS) > 0;
}

static uint64_t
now_ns(struct conf_world *w)
{
	struct timespec t;

	(void)w;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * BB_SEC + (uint64_t)t.tv_nsec;
}

int
main(int argc, char **argv)
{
	const bool v6 = argc > 1 && strcmp(argv[1], "v6") == 0;
	const struct conf_factory factory = {
		.name = v6 ? "ktcp_v6" : "ktcp_v4",
		.open = open_world,
		.close = close_world,
		.wait = wait_world,
		.now_ns = now_ns,
		.connections = 1000,
	};
	struct rlimit files;

	family = v6 ? AF_INET6 : AF_INET;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	return stream_conformance_run(&factory);
}
