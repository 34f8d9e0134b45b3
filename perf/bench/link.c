/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/bench.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/time.h"

#define HALF_OPEN_MAX 64	/* libzmq listens with a backlog of 100 */
#define RETRY_NS (50 * BB_MSEC) /* after a refused connection */

void
bb_link_events(struct bb_bench *b, struct bb_link *l, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.u32 = (uint32_t)(l - b->links) };

	if (l->events == events)
		return;
	BB_ASSERT(epoll_ctl(b->epoll_fd, EPOLL_CTL_MOD, l->fd, &ev) == 0);
	l->events = events;
}

void
bb_link_close(struct bb_bench *b, struct bb_link *l, const char *why)
{
	if (l->state == BB_LINK_CLOSED)
		return;
	b->ready_count -= l->state == BB_LINK_READY;
	b->half_open -= l->state != BB_LINK_READY;
	b->closed_early++;
	/* A peer that goes when its or our work is done ends a role and is no fault. */
	const bool done = b->opts->out.present || (!b->sending && l->tx_off == 0);
	if (!(b->opts->one_sided && l->state == BB_LINK_READY && done))
		bb_bench_fail(b, "connection %u (%s): %s", (uint32_t)(l - b->links),
			l->kind <= BB_LINK_CLIENT ? b->opts->in.type : b->opts->out.type, why);
	close(l->fd);
	l->fd = -1;
	l->state = BB_LINK_CLOSED;
	free(l->out);
	l->out = NULL;
	l->out_off = l->out_len = l->out_cap = 0;
}

int
bb_link_flush(struct bb_link *l)
{
	while (l->out_off < l->out_len) {
		const ssize_t n = send(
			l->fd, l->out + l->out_off, l->out_len - l->out_off, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		l->out_off += (size_t)n;
	}
	l->out_off = l->out_len = 0;
	return 1;
}

static void
out_append(struct bb_link *l, const void *p, size_t n)
{
	if (l->out_off > l->out_len / 2 || (l->out_off > 0 && l->out_len + n > l->out_cap)) {
		memmove(l->out, l->out + l->out_off, l->out_len - l->out_off);
		l->out_len -= l->out_off;
		l->out_off = 0;
	}
	if (l->out_len + n > l->out_cap) {
		l->out_cap = bb_max_u64(l->out_len + n, 2 * l->out_cap);
		l->out = realloc(l->out, l->out_cap);
		BB_ASSERT(l->out != NULL);
	}
	memcpy(l->out + l->out_len, p, n);
	l->out_len += n;
}

int
bb_link_put(struct bb_bench *b, struct bb_link *l, const void *p, size_t n)
{
	size_t done = 0;

	/* Between the octets of a message nothing else may go. */
	if (l->out_len == 0 && l->tx_off == 0) {
		const ssize_t rc = send(l->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (rc < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		done = rc > 0 ? (size_t)rc : 0;
	}
	if (done == n)
		return 0;
	out_append(l, (const uint8_t *)p + done, n - done);
	bb_link_events(b, l, l->events | EPOLLOUT);
	return 0;
}

void
bb_link_ping(struct bb_bench *b, struct bb_link *l)
{
	uint8_t ping[16];
	const size_t n = bb_wire_ping_put(ping);
	const int rc = bb_link_put(b, l, ping, n);

	if (rc < 0)
		bb_link_close(b, l, strerror(-rc));
}

static int
socket_options(const struct bb_bench *b, int fd)
{
	const struct bb_opts *o = b->opts;
	const int on = 1;

	if (o->sndbuf > 0 && setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &o->sndbuf, sizeof(o->sndbuf)) < 0)
		return -errno;
	if (o->rcvbuf > 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &o->rcvbuf, sizeof(o->rcvbuf)) < 0)
		return -errno;
	/* Fails on ipc, where there is nothing to turn off. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return 0;
}

/* Registered and greeting sent; the peer's may take its time. */
static void
greet(struct bb_bench *b, struct bb_link *l)
{
	uint8_t greeting[BB_WIRE_GREETING];

	bb_wire_greeting(greeting);
	l->state = BB_LINK_GREETING;
	bb_link_events(b, l, EPOLLIN);
	const int rc = bb_link_put(b, l, greeting, sizeof(greeting));
	if (rc < 0)
		bb_link_close(b, l, strerror(-rc));
}

static int
link_register(struct bb_bench *b, struct bb_link *l, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.u32 = (uint32_t)(l - b->links) };

	l->fd = fd;
	l->events = events;
	l->last_rx_ns = b->now_ns;
	if (epoll_ctl(b->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	b->half_open++;
	return 0;
}

static const struct bb_side *
link_side(const struct bb_bench *b, const struct bb_link *l)
{
	return l->kind <= BB_LINK_CLIENT ? &b->opts->in : &b->opts->out;
}

static int
link_open(struct bb_bench *b, struct bb_link *l)
{
	const struct bb_addr *addr = &link_side(b, l)->addr;
	const int fd = socket(addr->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		bb_bench_fail(b, "socket: %s", strerror(errno));
		return -errno;
	}
	int rc = socket_options(b, fd);
	if (rc == 0)
		rc = link_register(b, l, fd, EPOLLOUT);
	if (rc < 0) {
		bb_bench_fail(b, "%s: %s", addr->text, strerror(-rc));
		close(fd);
		return rc;
	}
	l->state = BB_LINK_CONNECTING;
	/* A refusal at once shows as a socket without a peer. */
	if (connect(fd, &addr->any, addr->len) == 0 || errno != EINPROGRESS)
		bb_link_on_connected(b, l);
	return 0;
}

int
bb_link_open_some(struct bb_bench *b)
{
	if (b->now_ns < b->retry_ns)
		return 0;
	while (b->next_open < b->link_count && b->half_open < HALF_OPEN_MAX) {
		struct bb_link *l = &b->links[b->next_open];

		if (l->state == BB_LINK_CLOSED && !link_side(b, l)->bind) {
			const int rc = link_open(b, l);
			if (rc < 0)
				return rc;
			if (l->state == BB_LINK_CLOSED)
				return 0; /* refused: later */
		}
		b->next_open++;
	}
	return 0;
}

void
bb_link_on_connected(struct bb_bench *b, struct bb_link *l)
{
	int err = 0;
	socklen_t len = sizeof(err);
	struct sockaddr_storage peer;
	socklen_t peer_len = sizeof(peer);

	(void)getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err == 0 && getpeername(l->fd, (struct sockaddr *)&peer, &peer_len) < 0)
		err = ECONNREFUSED;
	if (err == 0) {
		greet(b, l);
		return;
	}
	/* The other end may not listen yet: again until --connect-wait is over. */
	close(l->fd);
	l->fd = -1;
	l->state = BB_LINK_CLOSED;
	b->half_open--;
	b->retry_ns = b->now_ns + RETRY_NS;
	b->next_open = 0;
}

/* A socket that nobody listens on any more is in the way of bind. */
static void
stale_path_remove(const struct bb_addr *addr)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (connect(fd, &addr->any, addr->len) < 0 && errno == ECONNREFUSED)
		unlink(addr->un.sun_path);
	close(fd);
}

static int
listen_failed(struct bb_bench *b, const struct bb_addr *addr)
{
	const int err = errno;

	bb_bench_fail(b, "listen on %s: %s", addr->text, strerror(err));
	return -err;
}

int
bb_link_listen(struct bb_bench *b)
{
	const struct bb_side *side = b->opts->in.present && b->opts->in.bind ? &b->opts->in : &b->opts->out;
	const int on = 1;
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = UINT32_MAX };

	if (!side->present || !side->bind)
		return 0;
	b->next_accept = side == &b->opts->in ? 0 : b->opts->in.present ? b->opts->in.count : 0;
	b->listen_fd = socket(side->addr.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (side->addr.any.sa_family == AF_UNIX)
		stale_path_remove(&side->addr);
	if (b->listen_fd < 0 || setsockopt(b->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		bind(b->listen_fd, &side->addr.any, side->addr.len) < 0)
		return listen_failed(b, &side->addr);
	b->listen_addr = &side->addr;
	if (listen(b->listen_fd, 4096) < 0 || epoll_ctl(b->epoll_fd, EPOLL_CTL_ADD, b->listen_fd, &ev) < 0)
		return listen_failed(b, &side->addr);
	return 0;
}

void
bb_link_unlisten(struct bb_bench *b)
{
	close(b->listen_fd);
	b->listen_fd = -1;
	if (b->listen_addr != NULL && b->listen_addr->any.sa_family == AF_UNIX)
		unlink(b->listen_addr->un.sun_path);
	b->listen_addr = NULL;
}

void
bb_link_accept_some(struct bb_bench *b)
{
	for (;;) {
		const int fd = accept4(b->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		if (b->next_accept == b->link_count) {
			close(fd); /* more peers than asked for */
			continue;
		}
		struct bb_link *l = &b->links[b->next_accept++];
		if (socket_options(b, fd) < 0 || link_register(b, l, fd, EPOLLIN) < 0) {
			bb_bench_fail(b, "accept: %s", strerror(errno));
			close(fd);
			return;
		}
		greet(b, l);
	}
}

static int
subscribe_topics(struct bb_bench *b, struct bb_link *l)
{
	const struct bb_opts *o = b->opts;
	const uint32_t first = o->subscribe == BB_SUBSCRIBE_ONE ? l->id % o->topics : 0;
	const uint32_t count = o->subscribe == BB_SUBSCRIBE_ALL ? o->topics : 1;

	for (uint32_t i = first; i < first + count; i++) {
		char topic[BB_TOPIC_PREFIX_MAX + BB_TOPIC_DIGITS + 1];
		uint8_t out[sizeof(topic) + 20];

		if (o->subscribe == BB_SUBSCRIBE_PREFIX)
			strcpy(topic, o->topic_prefix);
		else
			snprintf(topic, sizeof(topic), "%s%08x", o->topic_prefix, i);
		const size_t n = bb_wire_subscribe_put(out, l->minor, topic, strlen(topic));
		const int rc = bb_link_put(b, l, out, n);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int
send_ready(struct bb_bench *b, struct bb_link *l)
{
	uint8_t ready[BB_WIRE_READY_MAX];
	const char *type = link_side(b, l)->type;
	const bool identity = strcmp(type, "REQ") == 0 || strcmp(type, "DEALER") == 0 ||
			      strcmp(type, "ROUTER") == 0;

	return bb_link_put(b, l, ready, bb_wire_ready_put(ready, type, identity));
}

static int
on_greeting(struct bb_bench *b, struct bb_link *l, const uint8_t *p, size_t n)
{
	if (n < BB_WIRE_GREETING)
		return 0;
	const int minor = bb_wire_greeting_check(p);
	if (minor < 0)
		return minor;
	l->minor = (uint8_t)minor;
	l->state = BB_LINK_HANDSHAKE;
	const int rc = send_ready(b, l);
	return rc < 0 ? rc : (int)BB_WIRE_GREETING;
}

int
bb_link_handshake(struct bb_bench *b, struct bb_link *l, const uint8_t *p, size_t n)
{
	struct bb_wire_head head;

	if (l->state == BB_LINK_GREETING)
		return on_greeting(b, l, p, n);

	int rc = bb_wire_head_get(p, n, &head);
	if (rc <= 0)
		return rc;
	const size_t have = bb_min_u64(head.len, BB_PEEK_COMMAND);
	if (n < head.bytes + have)
		return 0;
	const uint8_t *body = p + head.bytes;
	if ((head.flags & BB_WIRE_COMMAND) == 0 || bb_wire_command_is(body, have, "ERROR"))
		return -ECONNREFUSED;
	l->skip = head.len - have;
	l->frame_command = true;
	if (!bb_wire_command_is(body, have, "READY"))
		return (int)(head.bytes + have); /* PING may come early */

	l->state = BB_LINK_READY;
	b->half_open--;
	b->ready_count++;
	if (l->kind == BB_LINK_CONSUMER && b->opts->pattern == BB_PUBSUB) {
		rc = subscribe_topics(b, l);
		if (rc < 0)
			return rc;
	}
	return (int)(head.bytes + have);
}
