/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/ktcp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/time.h"
#include "transport/ktcp_priv.h"

static enum bb_stream_reason
reason_of(int error)
{
	switch (error) {
	case ECONNRESET:
	case EPIPE:
		return BB_STREAM_RESET;
	case ECONNREFUSED:
		return BB_STREAM_REFUSED;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
	case EHOSTDOWN:
	case EADDRNOTAVAIL:
		return BB_STREAM_UNREACHABLE;
	case ETIMEDOUT:
		return BB_STREAM_TIMED_OUT;
	case ENOMEM:
	case ENOBUFS:
		return BB_STREAM_NO_MEMORY;
	default:
		return BB_STREAM_FAILED;
	}
}

void
ktcp_wake(struct bb_ktcp *k, uint64_t after_ns)
{
	const uint64_t ns = after_ns != 0 ? after_ns : 1;
	const struct itimerspec at = {
		.it_value = { .tv_sec = (time_t)(ns / BB_SEC), .tv_nsec = (long)(ns % BB_SEC) },
	};

	(void)timerfd_settime(k->timer_fd, 0, &at, NULL);
}

static void
emit(struct ktcp_stream *s, enum bb_stream_event event, uint64_t arg)
{
	BB_ASSERT(s->base.on_event != NULL);
	s->base.on_event(&s->base, event, arg);
}

static void
emit_closed(struct ktcp_stream *s)
{
	const enum bb_stream_reason reason = reason_of(s->error);

	ktcp_stream_die(s, false);
	emit(s, BB_STREAM_CLOSED, reason);
}

static bool
has_unread(const struct ktcp_stream *s)
{
	int n = 0;

	return s->carry_len > 0 || (ioctl(s->fd, FIONREAD, &n) == 0 && n > 0);
}

/* Opening. */

/* Takes over fd, also when it fails. */
static int
stream_create(struct bb_ktcp *k, int fd, uint8_t state, struct ktcp_stream **ret)
{
	struct ktcp_stream *s = bb_mem_alloc(k->mem, sizeof(*s));

	if (s == NULL) {
		close(fd);
		return -ENOMEM;
	}
	*s = (struct ktcp_stream){
		.base = { .ops = &ktcp_stream_ops, .flags = BB_STREAM_COPIES },
		.k = k,
		.fd = fd,
		.state = state,
	};
	bb_list_init(&s->node);
	struct epoll_event ev = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.u64 = (uintptr_t)s,
	};
	if (epoll_ctl(k->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		const int rc = -errno;
		close(fd);
		bb_mem_free(k->mem, s, sizeof(*s));
		return rc;
	}
	k->stream_count++;
	*ret = s;
	return 0;
}

static int
ktcp_connect(struct bb_transport *t, const struct sockaddr *to, const struct bb_stream_options *options,
	struct bb_stream **ret_stream)
{
	const socklen_t len = ktcp_sockaddr_len(to);
	struct ktcp_stream *s = NULL;

	if (len == 0)
		return -EINVAL;
	const int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	ktcp_set_options(fd, options);
	/* Before the socket enters the epoll set: one that is not connecting looks hung up. */
	const int error = connect(fd, to, len) == 0 || errno == EINPROGRESS ? 0 : errno;
	const int rc = stream_create(ktcp_of(t), fd, KTCP_CONNECTING, &s);
	if (rc < 0)
		return rc;
	if (error != 0)
		ktcp_stream_break(s, error);
	*ret_stream = &s->base;
	return 0;
}

static int
ktcp_adopt(struct bb_transport *t, int fd, const struct bb_stream_options *options,
	struct bb_stream **ret_stream, char ret_address[64])
{
	struct sockaddr_storage peer = { 0 };
	socklen_t len = sizeof(peer);
	struct ktcp_stream *s = NULL;

	ktcp_set_options(fd, options);
	/* Fails when the peer has reset the connection already: the first poll will tell. */
	if (getpeername(fd, (void *)&peer, &len) < 0)
		peer.ss_family = AF_UNSPEC;
	const int rc = stream_create(ktcp_of(t), fd, KTCP_OPEN, &s);
	if (rc < 0)
		return rc;
	bb_ktcp_address_text((const void *)&peer, ret_address);
	*ret_stream = &s->base;
	return 0;
}

static void
ktcp_discard(struct bb_transport *t, int fd)
{
	(void)t;
	close(fd);
}

/* Events. */

/* A connection from a port of this machine to that same port, when nobody listens there, reaches itself. */
static bool
is_self_connected(int fd)
{
	struct sockaddr_storage own = { 0 }, peer = { 0 };
	socklen_t own_len = sizeof(own), peer_len = sizeof(peer);

	return getsockname(fd, (void *)&own, &own_len) == 0 &&
	       getpeername(fd, (void *)&peer, &peer_len) == 0 && own_len == peer_len &&
	       memcmp(&own, &peer, own_len) == 0;
}

/* Returns true if the stream is open now. */
static bool
on_connected(struct ktcp_stream *s)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error == 0 && is_self_connected(s->fd))
		error = ECONNREFUSED;
	if (error != 0) {
		s->error = error;
		emit_closed(s);
		return false;
	}
	ktcp_stream_enter(s, KTCP_OPEN);
	if (s->finished)
		(void)shutdown(s->fd, SHUT_WR);
	emit(s, BB_STREAM_CONNECTED, 0);
	return s->state == KTCP_OPEN;
}

static void
on_socket_error(struct ktcp_stream *s)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error != 0)
		ktcp_stream_break(s, error);
}

/* Show what is left to read, then tell the end. */
static void
broken_ready(struct ktcp_stream *s)
{
	if (s->shown || !has_unread(s)) {
		emit_closed(s);
		return;
	}
	s->may_read = !s->ended;
	s->base.flags |= BB_STREAM_RX_MORE;
	emit(s, BB_STREAM_READABLE, 0);
}

static void
stream_ready(struct ktcp_stream *s, uint32_t events)
{
	if (s->state == KTCP_CONNECTING) {
		if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0 || !on_connected(s))
			return;
	}
	if (events & EPOLLERR)
		on_socket_error(s);
	if (s->state == KTCP_BROKEN) {
		broken_ready(s);
		return;
	}
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		s->ending |= (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
		if (!s->ended) {
			s->may_read = true;
			s->base.flags |= BB_STREAM_RX_MORE;
			emit(s, BB_STREAM_READABLE, 0);
		}
	}
	if ((events & EPOLLOUT) && s->state == KTCP_OPEN && (s->base.flags & BB_STREAM_TX_BLOCKED)) {
		s->base.flags &= ~(uint32_t)BB_STREAM_TX_BLOCKED;
		emit(s, BB_STREAM_TX_ROOM, 0);
	}
}

static uint32_t
poll_pending(struct bb_ktcp *k, uint32_t budget)
{
	/* What joins while they are delivered waits for the next poll: walk a list of its own. */
	struct bb_list now, *n;
	uint32_t done = 0;

	if (bb_list_empty(&k->pending))
		return 0;
	bb_list_init(&now);
	while (done < budget && (n = bb_list_pop(&k->pending)) != NULL) {
		bb_list_append(&now, n);
		done++;
	}
	while ((n = bb_list_pop(&now)) != NULL)
		broken_ready(bb_list_entry(n, struct ktcp_stream, node));
	return done;
}

static void
on_timer(struct bb_ktcp *k, uint64_t now_ns)
{
	uint64_t expirations;

	(void)!read(k->timer_fd, &expirations, sizeof(expirations));
	ktcp_resume(k, now_ns);
}

static uint32_t
ktcp_poll(struct bb_transport *t, uint64_t now_ns, uint32_t budget)
{
	struct bb_ktcp *k = ktcp_of(t);
	struct epoll_event events[KTCP_EVENTS];
	struct bb_list *n;
	uint32_t done;

	k->in_poll = true;
	done = poll_pending(k, budget);
	const int max = (int)bb_min_u64(budget - done, KTCP_EVENTS);
	const int got = max > 0 ? epoll_wait(k->epoll_fd, events, max, 0) : 0;
	for (int i = 0; i < got; i++) {
		const uint64_t tag = events[i].data.u64;
		if (tag == 0)
			on_timer(k, now_ns);
		else if (tag & KTCP_TAG_LISTENER)
			ktcp_listener_ready((void *)(uintptr_t)(tag & ~KTCP_TAG_LISTENER), now_ns);
		else if (((struct ktcp_stream *)(uintptr_t)tag)->state != KTCP_DEAD)
			stream_ready((void *)(uintptr_t)tag, events[i].events);
	}
	done += got > 0 ? (uint32_t)got : 0;
	k->in_poll = false;
	while ((n = bb_list_pop(&k->dead)) != NULL)
		ktcp_stream_free(bb_list_entry(n, struct ktcp_stream, node));
	ktcp_bury_listeners(k);
	if (!bb_list_empty(&k->pending))
		ktcp_wake(k, 0); /* the timer may just have been read */
	return done;
}

static const struct bb_transport_ops transport_ops = {
	.poll = ktcp_poll,
	.connect = ktcp_connect,
	.listen = ktcp_listen,
	.unlisten = ktcp_unlisten,
	.adopt = ktcp_adopt,
	.discard = ktcp_discard,
};

/* The transport itself. */

static int
open_descriptors(struct bb_ktcp *k)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = 0 };

	k->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (k->epoll_fd < 0)
		return -errno;
	k->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (k->timer_fd < 0)
		return -errno;
	k->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (k->reserve_fd < 0 || epoll_ctl(k->epoll_fd, EPOLL_CTL_ADD, k->timer_fd, &ev) < 0)
		return -errno;
	k->base.wait_fd = k->epoll_fd;
	return 0;
}

int
bb_ktcp_create(struct bb_mem *mem, struct bb_ktcp **ret_ktcp)
{
	struct bb_ktcp *k = bb_mem_zalloc(mem, sizeof(*k));

	if (k == NULL)
		return -ENOMEM;
	k->base.ops = &transport_ops;
	k->mem = mem;
	k->epoll_fd = k->timer_fd = k->reserve_fd = k->base.wait_fd = -1;
	bb_list_init(&k->listeners);
	bb_list_init(&k->pending);
	bb_list_init(&k->dead);
	bb_list_init(&k->dead_listeners);
	k->rx = bb_mem_alloc(mem, BB_TURN_READ_BYTES);
	k->gather = bb_mem_alloc(mem, KTCP_GATHER_BYTES);
	const int rc = k->rx == NULL || k->gather == NULL ? -ENOMEM : open_descriptors(k);
	if (rc < 0) {
		bb_ktcp_destroy(k);
		return rc;
	}
	*ret_ktcp = k;
	return 0;
}

void
bb_ktcp_destroy(struct bb_ktcp *k)
{
	if (k == NULL)
		return;
	BB_ASSERT(k->stream_count == 0 && !k->in_poll);
	ktcp_close_listeners(k);
	const int fds[] = { k->reserve_fd, k->timer_fd, k->epoll_fd };
	for (size_t i = 0; i < BB_ARRAY_LEN(fds); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	bb_mem_free(k->mem, k->rx, BB_TURN_READ_BYTES);
	bb_mem_free(k->mem, k->gather, KTCP_GATHER_BYTES);
	bb_mem_free(k->mem, k, sizeof(*k));
}

struct bb_transport *
bb_ktcp_transport(struct bb_ktcp *k)
{
	return &k->base;
}

const struct bb_ktcp_stats *
bb_ktcp_stats(const struct bb_ktcp *k)
{
	return &k->stats;
}
