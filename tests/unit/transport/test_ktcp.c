/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernel transport does beyond the contract of streams, with a plain socket as the peer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/mem.h"
#include "base/time.h"
#include "transport/ktcp.h"

#define DEADLINE_MS 10000
#define SIDE 3u

static struct bb_mem mem;
static struct bb_ktcp *k;
static struct bb_transport *t;
static struct sockaddr_storage listening;
static int accepted[64];
static size_t accepted_count;

/* What the stream under test has told. */
struct seen {
	uint32_t readable, rooms, closed, connected;
	enum bb_stream_reason reason;
};

static void
on_event(struct bb_stream *s, enum bb_stream_event event, uint64_t arg)
{
	struct seen *x = s->user;

	x->connected += event == BB_STREAM_CONNECTED;
	x->readable += event == BB_STREAM_READABLE;
	x->rooms += event == BB_STREAM_TX_ROOM;
	if (event == BB_STREAM_CLOSED) {
		x->closed++;
		x->reason = (enum bb_stream_reason)arg;
	}
}

static void
on_accept(struct bb_transport *from, uint32_t side, int fd)
{
	assert_ptr_equal(from, t);
	assert_int_equal(side, SIDE);
	assert_true(accepted_count < BB_ARRAY_LEN(accepted));
	accepted[accepted_count++] = fd;
}

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * BB_SEC + (uint64_t)ts.tv_nsec;
}

static void
await(void)
{
	struct pollfd p = { .fd = t->wait_fd, .events = POLLIN };

	if (poll(&p, 1, DEADLINE_MS) != 1)
		fail_msg("nothing to poll for");
	t->ops->poll(t, now_ns(), 64);
}

#define until(condition)             \
	do {                         \
		while (!(condition)) \
			await();     \
	} while (0)

/* Polls that find nothing must not make up events. */
static void
poll_often(void)
{
	for (int i = 0; i < 50; i++)
		t->ops->poll(t, now_ns(), 64);
}

static struct sockaddr_storage
address_v4(const char *host, uint16_t port)
{
	struct sockaddr_storage a = { .ss_family = AF_INET };
	struct sockaddr_in *in = (void *)&a;

	in->sin_port = htons(port);
	assert_int_equal(inet_pton(AF_INET, host, &in->sin_addr), 1);
	return a;
}

static struct sockaddr_storage
address_v6(const char *host, uint16_t port)
{
	struct sockaddr_storage a = { .ss_family = AF_INET6 };
	struct sockaddr_in6 *in = (void *)&a;

	in->sin6_port = htons(port);
	assert_int_equal(inet_pton(AF_INET6, host, &in->sin6_addr), 1);
	return a;
}

static uint16_t
port_of(const struct sockaddr_storage *a)
{
	return ntohs(a->ss_family == AF_INET ? ((const struct sockaddr_in *)(const void *)a)->sin_port
					     : ((const struct sockaddr_in6 *)(const void *)a)->sin6_port);
}

static int
set_up(void **state)
{
	const struct sockaddr_storage at = address_v4("127.0.0.1", 0);
	int fd = -1;

	(void)state;
	accepted_count = 0;
	bb_mem_init_heap(&mem, 64 << 20);
	assert_int_equal(bb_ktcp_create(&mem, &k), 0);
	t = bb_ktcp_transport(k);
	t->on_accept = on_accept;
	assert_int_equal(bb_ktcp_listen_open((const void *)&at, NULL, &fd, &listening), 0);
	assert_int_equal(t->ops->listen(t, fd, SIDE), 0);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < accepted_count; i++)
		close(accepted[i]);
	bb_ktcp_destroy(k);
	assert_int_equal(mem.used_bytes, 0);
	return 0;
}

/* A plain connected socket. */
static int
plain_peer(void)
{
	const int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (void *)&listening, sizeof(struct sockaddr_in)), 0);
	return fd;
}

static struct bb_stream *
adopt_next(struct seen *x, const struct bb_stream_options *options)
{
	struct bb_stream *s = NULL;
	char address[64];

	until(accepted_count > 0);
	assert_int_equal(t->ops->adopt(t, accepted[--accepted_count], options, &s, address), 0);
	assert_int_equal(strncmp(address, "127.0.0.1:", 10), 0);
	memset(x, 0, sizeof(*x));
	s->user = x;
	s->on_event = on_event;
	return s;
}

static struct bb_stream *
make_pair(int *ret_peer, struct seen *x)
{
	*ret_peer = plain_peer();
	return adopt_next(x, NULL);
}

static void
reset(int fd)
{
	const struct linger now = { .l_onoff = 1 };

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	close(fd);
}

static size_t
view(struct bb_stream *s, size_t max)
{
	struct iovec iov;

	return bb_stream_rx_view(s, &iov, 1, max) == 1 ? iov.iov_len : 0;
}

static void
addresses_are_written_as_operators_write_them(void **state)
{
	char text[64];
	struct sockaddr_storage a = address_v4("10.0.0.7", 40312);

	(void)state;
	bb_ktcp_address_text((void *)&a, text);
	assert_string_equal(text, "10.0.0.7:40312");
	a = address_v6("fd00::1", 5559);
	bb_ktcp_address_text((void *)&a, text);
	assert_string_equal(text, "[fd00::1]:5559");
	a = address_v6("::ffff:192.168.100.200", 65535);
	bb_ktcp_address_text((void *)&a, text);
	assert_string_equal(text, "192.168.100.200:65535");
	a = address_v6("2001:db8:1111:2222:3333:4444:5555:6666", 65535);
	bb_ktcp_address_text((void *)&a, text);
	assert_string_equal(text, "[2001:db8:1111:2222:3333:4444:5555:6666]:65535");
	a.ss_family = AF_UNIX;
	bb_ktcp_address_text((void *)&a, text);
	assert_string_equal(text, "unknown");
}

static void
an_address_that_cannot_be_listened_at_is_an_error(void **state)
{
	const struct sockaddr_storage foreign = address_v4("192.0.2.1", 0);
	const struct sockaddr_storage unix_address = { .ss_family = AF_UNIX };
	struct sockaddr_storage bound;
	int fd = -7;

	(void)state;
	assert_int_equal(bb_ktcp_listen_open((const void *)&listening, NULL, &fd, NULL), -EADDRINUSE);
	assert_int_equal(bb_ktcp_listen_open((const void *)&foreign, NULL, &fd, &bound), -EADDRNOTAVAIL);
	assert_int_equal(bb_ktcp_listen_open((const void *)&unix_address, NULL, &fd, NULL), -EAFNOSUPPORT);
	assert_int_equal(fd, -7);
}

static void
the_ipv6_wildcard_takes_ipv4_and_a_single_address_does_not(void **state)
{
	const struct sockaddr_storage any = address_v6("::", 0), one = address_v6("::1", 0);
	struct sockaddr_storage bound;
	char address[64] = "";
	struct bb_stream *s = NULL;
	int fd = -1;

	(void)state;
	if (bb_ktcp_listen_open((const void *)&one, NULL, &fd, &bound) < 0)
		skip(); /* no IPv6 here */
	struct sockaddr_storage to = address_v4("127.0.0.1", port_of(&bound));
	int peer = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(peer, (void *)&to, sizeof(struct sockaddr_in)), -1);
	assert_int_equal(errno, ECONNREFUSED);
	close(peer);
	close(fd);

	assert_int_equal(bb_ktcp_listen_open((const void *)&any, NULL, &fd, &bound), 0);
	assert_int_equal(t->ops->listen(t, fd, SIDE), 0);
	to = address_v4("127.0.0.1", port_of(&bound));
	peer = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(peer, (void *)&to, sizeof(struct sockaddr_in)), 0);
	until(accepted_count == 1);
	assert_int_equal(t->ops->adopt(t, accepted[--accepted_count], NULL, &s, address), 0);
	assert_int_equal(strncmp(address, "127.0.0.1:", 10), 0);
	bb_stream_destroy(s);
	close(peer);
}

static int
get_int(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	assert_int_equal(getsockopt(fd, level, name, &v, &len), 0);
	return v;
}

static void
options_reach_the_socket(void **state)
{
	const struct bb_stream_options options = {
		.sndbuf_bytes = 50000,
		.rcvbuf_bytes = 60000,
		.keepalive_idle_s = 61,
		.keepalive_interval_s = 11,
		.keepalive_count = 7,
	};
	const struct bb_ktcp_listen_options listen_options = { .reuseport = true, .rcvbuf_bytes = 70000 };
	const struct sockaddr_storage at = address_v4("127.0.0.1", 0);
	struct seen x;
	int first = -1, second = -1;
	struct sockaddr_storage bound;

	(void)state;
	const int peer = plain_peer();
	until(accepted_count == 1);
	const int fd = accepted[0];
	struct bb_stream *s = adopt_next(&x, &options);
	assert_int_equal(get_int(fd, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(get_int(fd, IPPROTO_TCP, TCP_KEEPIDLE), 61);
	assert_int_equal(get_int(fd, IPPROTO_TCP, TCP_KEEPINTVL), 11);
	assert_int_equal(get_int(fd, IPPROTO_TCP, TCP_KEEPCNT), 7);
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_SNDBUF), 100000); /* the kernel doubles */
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_RCVBUF), 120000);
	assert_int_equal(get_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
	bb_stream_destroy(s);
	close(peer);

	assert_int_equal(bb_ktcp_listen_open((const void *)&at, &listen_options, &first, &bound), 0);
	assert_int_equal(bb_ktcp_listen_open((const void *)&bound, &listen_options, &second, NULL), 0);
	assert_int_equal(get_int(first, SOL_SOCKET, SO_RCVBUF), 140000);
	close(first);
	close(second);
}

static void
bytes_before_a_reset_are_shown_before_it(void **state)
{
	static const uint8_t octets[1000];
	struct seen x;
	int peer;
	struct bb_stream *s = make_pair(&peer, &x);

	(void)state;
	assert_int_equal(send(peer, octets, sizeof(octets), 0), sizeof(octets));
	reset(peer);
	until(x.readable > 0);
	poll_often();
	assert_int_equal(x.closed, 0); /* who does not read is not told yet */
	const struct iovec out = { (void *)(uintptr_t)octets, 10 };
	assert_true(bb_stream_tx_push(s, &out, 1) < 0);

	assert_int_equal(view(s, 61440), 1000);
	bb_stream_rx_consume(s, 1000);
	while (x.closed == 0) {
		if (s->flags & BB_STREAM_RX_MORE)
			assert_int_equal(view(s, 61440), 0);
		await();
	}
	assert_int_equal(x.reason, BB_STREAM_RESET);
	assert_int_equal(view(s, 61440), 0);
	bb_stream_destroy(s);
}

static void
bytes_carried_over_are_shown_once_more_before_a_reset(void **state)
{
	struct seen x;
	int peer;
	struct bb_stream *s = make_pair(&peer, &x);

	(void)state;
	assert_int_equal(send(peer, "abcdef", 6, 0), 6);
	until(x.readable > 0);
	assert_int_equal(view(s, 61440), 6);
	bb_stream_rx_consume(s, 2);
	reset(peer);
	const uint32_t readable = x.readable;
	until(x.readable > readable);
	poll_often();
	assert_int_equal(x.closed, 0);
	assert_int_equal(view(s, 61440), 4);
	assert_true(s->flags & BB_STREAM_RX_END);
	bb_stream_rx_consume(s, 4);
	until(x.closed);
	assert_int_equal(x.reason, BB_STREAM_RESET);
	bb_stream_destroy(s);
}

static void
who_still_takes_of_what_came_before_a_reset_is_not_closed(void **state)
{
	struct seen x;
	int peer;
	struct bb_stream *s = make_pair(&peer, &x);

	(void)state;
	assert_int_equal(send(peer, "abcdef", 6, 0), 6);
	reset(peer);
	/* One octet for each READABLE, as one does whose window opens bit by bit. */
	for (size_t left = 6; left > 2; left--) {
		const uint32_t readable = x.readable;
		until(x.readable > readable || (s->flags & BB_STREAM_RX_MORE));
		assert_int_equal(view(s, 61440), left);
		bb_stream_rx_consume(s, 1);
		poll_often();
		assert_int_equal(x.closed, 0);
	}
	/* The rest is of no use to it. */
	assert_int_equal(view(s, 61440), 2);
	bb_stream_rx_consume(s, 0);
	until(x.closed);
	assert_int_equal(x.reason, BB_STREAM_RESET);
	bb_stream_destroy(s);
}

static void
a_reset_of_a_drained_stream_closes_it_at_once(void **state)
{
	struct seen x;
	int peer;
	struct bb_stream *s = make_pair(&peer, &x);

	(void)state;
	reset(peer);
	until(x.closed);
	assert_int_equal(x.reason, BB_STREAM_RESET);
	const struct iovec out = { (void *)(uintptr_t) "x", 1 };
	assert_int_equal(bb_stream_tx_push(s, &out, 1), -ECONNRESET);
	assert_int_equal(bb_stream_tx_backlog(s), 0);
	bb_stream_finish(s);
	bb_stream_destroy(s);
}

static void
a_stream_that_nobody_owes_anything_closes_in_order(void **state)
{
	struct seen x;
	int peer;
	struct bb_stream *s = make_pair(&peer, &x);
	char c;

	(void)state;
	/* The peer ended first: it gets our end, no reset. */
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	until(x.readable > 0);
	assert_int_equal(view(s, 61440), 0);
	assert_true(s->flags & BB_STREAM_RX_END);
	bb_stream_destroy(s);
	assert_int_equal(recv(peer, &c, 1, 0), 0);
	close(peer);
}

static void
an_idle_peer_costs_two_cache_lines_and_a_carry_its_size(void **state)
{
	static const uint8_t octets[5000];
	const uint64_t before = mem.used_bytes;
	struct seen x;
	int peer;
	struct bb_stream *s = make_pair(&peer, &x);
	const uint64_t idle = mem.used_bytes;
	size_t len = 0;

	(void)state;
	assert_true(idle - before <= 128);
	assert_int_equal(send(peer, octets, 5000, 0), 5000);
	while (len < 5000) {
		await();
		len = view(s, 61440);
		bb_stream_rx_consume(s, 0);
	}
	assert_int_equal(mem.used_bytes - idle, 5056);
	assert_int_equal(view(s, 61440), 5000);
	bb_stream_rx_consume(s, 4900);
	assert_int_equal(mem.used_bytes - idle, 128);
	assert_int_equal(view(s, 61440), 100);
	bb_stream_rx_consume(s, 100);
	assert_int_equal(mem.used_bytes, idle);
	bb_stream_destroy(s);
	close(peer);
}

static void
without_memory_for_a_stream_its_descriptor_is_closed(void **state)
{
	struct bb_stream *s = NULL;
	char address[64], c;

	(void)state;
	const int peer = plain_peer();
	until(accepted_count == 1);
	mem.max_bytes = mem.used_bytes;
	assert_int_equal(t->ops->adopt(t, accepted[--accepted_count], NULL, &s, address), -ENOMEM);
	assert_null(s);
	assert_int_equal(recv(peer, &c, 1, 0), 0);
	assert_int_equal(t->ops->connect(t, (const void *)&listening, NULL, &s), -ENOMEM);
	close(peer);
}

static void
without_memory_for_a_carry_that_stream_alone_is_closed(void **state)
{
	struct seen x, y;
	int peer, other_peer;
	struct bb_stream *s = make_pair(&peer, &x), *other = make_pair(&other_peer, &y);

	(void)state;
	assert_int_equal(send(peer, "abc", 3, 0), 3);
	until(x.readable > 0);
	assert_int_equal(view(s, 61440), 3);
	mem.max_bytes = mem.used_bytes;
	bb_stream_rx_consume(s, 1);
	assert_int_equal(view(s, 61440), 0);
	until(x.closed);
	assert_int_equal(x.reason, BB_STREAM_NO_MEMORY);
	bb_stream_destroy(s);

	assert_int_equal(send(other_peer, "abc", 3, 0), 3);
	until(y.readable > 0);
	assert_int_equal(view(other, 61440), 3);
	bb_stream_rx_consume(other, 3);
	assert_int_equal(y.closed, 0);
	bb_stream_destroy(other);
	close(peer);
	close(other_peer);
}

static void
without_memory_there_is_no_transport_and_nothing_leaks(void **state)
{
	(void)state;
	for (uint64_t max = 0; max < 200000; max += 4096) {
		struct bb_mem small;
		struct bb_ktcp *other = NULL;
		bb_mem_init_heap(&small, max);
		if (bb_ktcp_create(&small, &other) == 0)
			assert_true(max > 2 * 65536);
		else
			assert_null(other);
		bb_ktcp_destroy(other);
		assert_int_equal(small.used_bytes, 0);
	}
}

static void
a_poll_keeps_to_its_budget_and_the_rest_comes_later(void **state)
{
	struct bb_stream *s[10];
	struct seen x[10];
	int peer[10];

	(void)state;
	for (int i = 0; i < 10; i++)
		s[i] = make_pair(&peer[i], &x[i]);
	poll_often();
	for (int i = 0; i < 10; i++)
		assert_int_equal(send(peer[i], "x", 1, 0), 1);
	uint32_t readable = 0;
	for (int polls = 0; readable < 10; polls++) {
		assert_true(polls < 1000);
		const uint32_t n = t->ops->poll(t, now_ns(), 3);
		uint32_t sum = 0;
		for (int i = 0; i < 10; i++)
			sum += x[i].readable;
		assert_true(n <= 3 && sum - readable <= 3);
		readable = sum;
	}
	for (int i = 0; i < 10; i++) {
		bb_stream_destroy(s[i]);
		close(peer[i]);
	}
}

static void
without_descriptors_accepting_pauses_and_goes_on(void **state)
{
	struct rlimit files, few;
	int peer[8];

	(void)state;
	for (size_t i = 0; i < BB_ARRAY_LEN(peer); i++)
		peer[i] = plain_peer();
	const int next = dup(0);
	assert_true(next >= 0);
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	few = files;
	few.rlim_cur = (rlim_t)next + 3; /* room for three more */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	until(bb_ktcp_stats(k)->accept_pauses == 1);
	poll_often();
	assert_int_equal(bb_ktcp_stats(k)->accept_pauses, 1);
	assert_int_equal(bb_ktcp_stats(k)->accept_shed, 1);
	assert_int_equal(accepted_count, 3);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);

	/* The pause ends by itself, and wait_fd says so. */
	until(accepted_count == BB_ARRAY_LEN(peer) - 1);
	assert_int_equal(bb_ktcp_stats(k)->accepted, BB_ARRAY_LEN(peer) - 1);
	char c;
	int ended = 0;
	for (size_t i = 0; i < BB_ARRAY_LEN(peer); i++) {
		ended += recv(peer[i], &c, 1, MSG_DONTWAIT) == 0;
		close(peer[i]);
	}
	assert_int_equal(ended, 1);
}

static bool
write_file(const char *path, const char *text)
{
	const int fd = open(path, O_WRONLY | O_CLOEXEC);
	const bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* In a network of its own whose outgoing ports are just the two that are dialled. Comes last: there is no way
 * back. */
static void
a_connection_that_reaches_itself_is_refused(void **state)
{
	const struct sockaddr_storage to = address_v4("127.0.0.1", 40000);
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	struct bb_stream *s = NULL;

	(void)state;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		skip();
	const int fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_true(fd >= 0);
	const bool ready = ioctl(fd, SIOCSIFFLAGS, &lo) == 0 &&
			   write_file("/proc/sys/net/ipv4/ip_local_port_range", "40000 40001");
	close(fd);
	if (!ready)
		skip();
	/* The kernel picks one of the two; the one that is not 40000 is refused by the kernel. */
	for (int i = 0; i < 40; i++) {
		struct seen x = { 0 };
		assert_int_equal(t->ops->connect(t, (const void *)&to, NULL, &s), 0);
		s->user = &x;
		s->on_event = on_event;
		until(x.closed);
		assert_int_equal(x.connected, 0);
		assert_int_equal(x.reason, BB_STREAM_REFUSED);
		bb_stream_destroy(s);
	}
}

int
main(void)
{
#define ktcp_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_written_as_operators_write_them),
		ktcp_test(an_address_that_cannot_be_listened_at_is_an_error),
		ktcp_test(the_ipv6_wildcard_takes_ipv4_and_a_single_address_does_not),
		ktcp_test(options_reach_the_socket),
		ktcp_test(bytes_before_a_reset_are_shown_before_it),
		ktcp_test(bytes_carried_over_are_shown_once_more_before_a_reset),
		ktcp_test(who_still_takes_of_what_came_before_a_reset_is_not_closed),
		ktcp_test(a_reset_of_a_drained_stream_closes_it_at_once),
		ktcp_test(a_stream_that_nobody_owes_anything_closes_in_order),
		ktcp_test(an_idle_peer_costs_two_cache_lines_and_a_carry_its_size),
		ktcp_test(without_memory_for_a_stream_its_descriptor_is_closed),
		ktcp_test(without_memory_for_a_carry_that_stream_alone_is_closed),
		ktcp_test(without_memory_there_is_no_transport_and_nothing_leaks),
		ktcp_test(a_poll_keeps_to_its_budget_and_the_rest_comes_later),
		ktcp_test(without_descriptors_accepting_pauses_and_goes_on),
		ktcp_test(a_connection_that_reaches_itself_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
