/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zmq_standin: libzmq's own proxies as a broker, one thread for each endpoint.
 *
 * The interop tests run against it to show that a failing test is the broker's fault and not the
 * test's; chained tests use it as the next hop.
 *
 *   zmq_standin PATTERN FRONT BACK [PATTERN FRONT BACK ...]
 *
 * PATTERN is pubsub, pipeline or reqrep; FRONT (publishers, producers, clients) and BACK are
 * key=value lists: bind, connect (both may repeat), sndhwm, rcvhwm, maxmsg, handshake (ms), identity.
 * Prints "ready" once everything is bound; SIGTERM ends it with status 0.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#include "content.h"

#define ENDPOINTS_MAX 16

struct endpoint {
	void *front, *back;
	pthread_t thread;
};

static const struct pattern {
	const char *name;
	int front, back;
} patterns[] = {
	{ "pubsub", ZMQ_XSUB, ZMQ_XPUB },
	{ "pipeline", ZMQ_PULL, ZMQ_PUSH },
	{ "reqrep", ZMQ_ROUTER, ZMQ_DEALER },
};

static const struct pattern *
pattern_find(const char *name)
{
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
		if (strcmp(patterns[i].name, name) == 0)
			return &patterns[i];
	die("no pattern '%s'", name);
}

static void
option_set(void *sock, const char *key, const char *value)
{
	static const struct {
		const char *key;
		int option;
	} ints[] = {
		{ "sndhwm", ZMQ_SNDHWM },
		{ "rcvhwm", ZMQ_RCVHWM },
		{ "handshake", ZMQ_HANDSHAKE_IVL },
	};
	int64_t size = strtoll(value, NULL, 10);
	int number = atoi(value);

	for (size_t i = 0; i < sizeof(ints) / sizeof(ints[0]); i++)
		if (strcmp(key, ints[i].key) == 0) {
			if (zmq_setsockopt(sock, ints[i].option, &number, sizeof(number)) != 0)
				die("%s=%s: %s", key, value, zmq_strerror(errno));
			return;
		}
	if (strcmp(key, "maxmsg") == 0) {
		if (zmq_setsockopt(sock, ZMQ_MAXMSGSIZE, &size, sizeof(size)) != 0)
			die("%s=%s: %s", key, value, zmq_strerror(errno));
	} else if (strcmp(key, "identity") == 0) {
		if (zmq_setsockopt(sock, ZMQ_ROUTING_ID, value, strlen(value)) != 0)
			die("%s=%s: %s", key, value, zmq_strerror(errno));
	} else if (strcmp(key, "bind") == 0) {
		if (zmq_bind(sock, value) != 0)
			die("bind %s: %s", value, zmq_strerror(errno));
	} else if (strcmp(key, "connect") == 0) {
		if (zmq_connect(sock, value) != 0)
			die("connect %s: %s", value, zmq_strerror(errno));
	} else {
		die("no key '%s'", key);
	}
}

/* Open one side. Options are set in the order given: addresses come last. */
static void *
side_open(void *ctx, int type, char *spec)
{
	void *sock = zmq_socket(ctx, type);
	int no_linger = 0, ipv6 = 1;
	char *rest = NULL;

	if (sock == NULL)
		die("socket: %s", zmq_strerror(errno));
	zmq_setsockopt(sock, ZMQ_LINGER, &no_linger, sizeof(no_linger));
	zmq_setsockopt(sock, ZMQ_IPV6, &ipv6, sizeof(ipv6));
	for (char *item = strtok_r(spec, ",", &rest); item != NULL; item = strtok_r(NULL, ",", &rest)) {
		char *value = strchr(item, '=');
		if (value == NULL)
			die("'%s' is not key=value", item);
		*value++ = '\0';
		option_set(sock, item, value);
	}
	return sock;
}

static void *
endpoint_run(void *arg)
{
	struct endpoint *e = arg;

	zmq_proxy(e->front, e->back, NULL); /* returns when the context is shut down */
	zmq_close(e->front);
	zmq_close(e->back);
	return NULL;
}

int
main(int argc, char **argv)
{
	static struct endpoint endpoints[ENDPOINTS_MAX];
	size_t count = 0;
	sigset_t set;
	int sig, sockets_max = 8192;

	if (argc < 4 || (argc - 1) % 3 != 0 || (argc - 1) / 3 > ENDPOINTS_MAX)
		die("usage: zmq_standin PATTERN FRONT BACK ...");
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);

	void *ctx = zmq_ctx_new();
	zmq_ctx_set(ctx, ZMQ_MAX_SOCKETS, sockets_max);
	for (int i = 1; i < argc; i += 3, count++) {
		const struct pattern *p = pattern_find(argv[i]);
		endpoints[count].front = side_open(ctx, p->front, argv[i + 1]);
		endpoints[count].back = side_open(ctx, p->back, argv[i + 2]);
	}
	for (size_t i = 0; i < count; i++)
		if (pthread_create(&endpoints[i].thread, NULL, endpoint_run, &endpoints[i]) != 0)
			die("no thread for endpoint %zu", i);
	printf("ready\n");
	fflush(stdout);
	sigwait(&set, &sig);
	zmq_ctx_shutdown(ctx);
	for (size_t i = 0; i < count; i++)
		pthread_join(endpoints[i].thread, NULL);
	zmq_ctx_term(ctx);
	printf("stopped\n");
	return 0;
}
