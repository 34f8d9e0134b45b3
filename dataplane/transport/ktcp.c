/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/ktcp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/time.h"
#include "transport/ktcp_priv.h"

/*
 * Neighbours below this are copied together. On Linux 6.18 over loopback an iovec entry of its own costs
 * about 100 ns; copied, a piece of 42 octets costs 10 ns, one of 600 octets 68 ns, one of 1030 octets the
 * same either way.
 */
#define SMALL_PIECE 1024
#define CARRY_UNIT 64

/*
 * CONNECTING --> OPEN --> BROKEN --> DEAD, each may be left out.
 *
 * BROKEN: an error is known, nothing can be sent; what arrived before is still shown.
 * DEAD: CLOSED was delivered, or the stream was aborted or destroyed; the descriptor is closed.
 */
enum { CONNECTING, OPEN, BROKEN, DEAD };

static const uint8_t state_next[] = {
	[CONNECTING] = BB_BIT(OPEN) | BB_BIT(BROKEN) | BB_BIT(DEAD),
	[OPEN] = BB_BIT(BROKEN) | BB_BIT(DEAD),
	[BROKEN] = BB_BIT(DEAD),
	[DEAD] = 0,
};

struct ktcp_stream {
	struct bb_stream base;
	struct bb_ktcp *k;
	struct bb_list node; /* in k->pending or k->dead, or in none */
	uint8_t *carry;	     /* what the last view left unconsumed; NULL: nothing */
	uint32_t carry_len, carry_cap;
	int fd;
	int error; /* errno that broke it; 0: not known yet */
	uint8_t state;
	bool may_read; /* the socket may hold bytes or the end, without a further edge */
	bool ending;   /* epoll has reported an end: the socket is read until the end shows */
	bool ended;    /* the end has shown */
	bool shown;    /* BROKEN, and all that arrived was in a view since */
	bool finished; /* bb_stream_finish() was called */
};
static_assert(sizeof(struct ktcp_stream) <= 2 * BB_CACHE_LINE, "idle peers are counted in tens of thousands");

static struct ktcp_stream *
stream_of(struct bb_stream *s)
{
	return bb_container_of(s, struct ktcp_stream, base);
}

static void
enter(struct ktcp_stream *s, uint8_t state)
{
	BB_ASSERT((state_next[s->state] & BB_BIT(state)) != 0);
	s->state = state;
}

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

/* The stream has an event that epoll does not know of: the next poll delivers it. */
static void
make_pending(struct ktcp_stream *s)
{
	if (bb_list_linked(&s->node))
		return;
	if (bb_list_empty(&s->k->pending))
		ktcp_wake(s->k, 0);
	bb_list_append(&s->k->pending, &s->node);
}

static void
carry_free(struct ktcp_stream *s)
{
	bb_mem_free(s->k->mem, s->carry, s->carry_cap);
	s->carry = NULL;
	s->carry_len = s->carry_cap = 0;
}

static void
close_fd(struct ktcp_stream *s, bool reset)
{
	if (s->fd < 0)
		return;
	if (reset) {
		const struct linger now = { .l_onoff = 1, .l_linger = 0 };
		(void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	}
	close(s->fd); /* leaves the epoll set with it */
	s->fd = -1;
}

static void
die(struct ktcp_stream *s, bool reset)
{
	if (s->k->viewed == s)
		s->k->viewed = NULL;
	close_fd(s, reset);
	carry_free(s);
	if (s->state == DEAD)
		return; /* and perhaps among the dead already */
	bb_list_remove(&s->node);
	enter(s, DEAD);
}

/* Nothing can be sent any more; CLOSED follows when what has arrived was shown. */
static void
break_stream(struct ktcp_stream *s, int error)
{
	if (s->state == DEAD)
		return;
	if (s->error == 0)
		s->error = error;
	if (s->state != BROKEN)
		enter(s, BROKEN);
	s->ending = true;
	make_pending(s);
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

	die(s, false);
	emit(s, BB_STREAM_CLOSED, reason);
}

static bool
has_unread(const struct ktcp_stream *s)
{
	int n = 0;

	return s->carry_len > 0 || (ioctl(s->fd, FIONREAD, &n) == 0 && n > 0);
}

/* Reading. */

/* Read behind what is carried over; returns bytes read. Keeps may_read and ended. */
static size_t
read_socket(struct ktcp_stream *s, size_t room)
{
	ssize_t n;

	do
		n = recv(s->fd, s->k->rx + s->carry_len, room, 0);
	while (n < 0 && errno == EINTR);

	if (n > 0) {
		/* A short read means empty, but for an end whose edge has passed. */
		s->may_read = (size_t)n == room || s->ending;
		return (size_t)n;
	}
	s->may_read = false;
	if (n < 0 && errno == EAGAIN && s->state == OPEN)
		return 0;
	s->ended = true;
	if (n < 0)
		break_stream(s, errno);
	return 0;
}

static size_t
ktcp_rx_view(struct bb_stream *bs, struct iovec *iov, size_t iov_max, size_t bytes_max)
{
	struct ktcp_stream *s = stream_of(bs);
	struct bb_ktcp *k = s->k;
	size_t new_len = 0;

	BB_ASSERT(k->viewed == NULL); /* two views at once: rx_consume was forgotten */
	if (iov_max == 0)
		return 0;
	bytes_max = bb_min_u64(bytes_max, BB_TURN_READ_BYTES);
	if (s->may_read && s->carry_len < bytes_max && (s->state == OPEN || s->state == BROKEN))
		new_len = read_socket(s, bytes_max - s->carry_len);

	if (new_len > 0) {
		if (s->carry_len > 0)
			memcpy(k->rx, s->carry, s->carry_len);
		k->view = k->rx;
		k->view_len = s->carry_len + new_len;
	} else {
		k->view = s->carry;
		k->view_len = bb_min_u64(s->carry_len, bytes_max);
	}
	const bool all = s->carry_len + new_len <= bytes_max;
	bs->flags &= ~(uint32_t)(BB_STREAM_RX_MORE | BB_STREAM_RX_END);
	bs->flags |= s->may_read || !all ? BB_STREAM_RX_MORE : 0;
	bs->flags |= s->ended && all ? BB_STREAM_RX_END : 0;
	if (s->state == BROKEN && s->ended && all) {
		s->shown = true;
		make_pending(s);
	}
	if (k->view_len == 0)
		return 0;
	k->viewed = s;
	iov[0] = (struct iovec){ .iov_base = (void *)(uintptr_t)k->view, .iov_len = k->view_len };
	return 1;
}

/* Keep len bytes at p, which may lie in the carry itself. False if there is no memory. */
static bool
carry_set(struct ktcp_stream *s, const uint8_t *p, size_t len)
{
	const size_t cap = bb_align_up(len, CARRY_UNIT);

	if (len == 0) {
		carry_free(s);
		return true;
	}
	/* Right-sized, but not to the octet: shrinking below a half is worth a copy. */
	uint8_t *q = s->carry_cap >= cap && s->carry_cap / 2 < cap ? s->carry : bb_mem_alloc(s->k->mem, cap);
	if (q == NULL && s->carry_cap >= cap)
		q = s->carry;
	if (q == NULL)
		return false;
	memmove(q, p, len);
	if (q != s->carry) {
		carry_free(s);
		s->carry = q;
		s->carry_cap = (uint32_t)cap;
	}
	s->carry_len = (uint32_t)len;
	return true;
}

static void
ktcp_rx_consume(struct bb_stream *bs, size_t n)
{
	struct ktcp_stream *s = stream_of(bs);
	struct bb_ktcp *k = s->k;

	if (k->viewed != s) {
		BB_ASSERT(n == 0); /* more than was shown */
		return;
	}
	BB_ASSERT(n <= k->view_len);
	k->viewed = NULL;
	if (k->view == s->carry) {
		if (n > 0)
			(void)carry_set(s, s->carry + n, s->carry_len - n); /* less than before: fits */
		return;
	}
	if (!carry_set(s, k->view + n, k->view_len - n)) {
		/* The bytes are lost, and with them the stream's order. */
		carry_free(s);
		s->may_read = false;
		s->ended = s->shown = true;
		break_stream(s, ENOMEM);
		s->error = ENOMEM;
	}
}

/* Writing. */

/* Pieces of one write: neighbours that are small are copied together into the core's buffer. */
struct write_batch {
	struct iovec iov[KTCP_IOV];
	size_t iov_count;
	size_t gathered; /* bytes of the core's buffer in use */
	size_t bytes;
};

static bool
batch_add(struct bb_ktcp *k, struct write_batch *b, const struct iovec *piece)
{
	const size_t len = piece->iov_len;
	struct iovec *last = b->iov_count > 0 ? &b->iov[b->iov_count - 1] : NULL;
	const bool small = len < SMALL_PIECE;
	uint8_t *to = k->gather + b->gathered;

	if (len == 0)
		return true;
	if (small && len > KTCP_GATHER_BYTES - b->gathered)
		return false;
	const bool joins = small && last != NULL && (uint8_t *)last->iov_base + last->iov_len == to;
	if (!joins && b->iov_count == KTCP_IOV)
		return false;
	if (small) {
		memcpy(to, piece->iov_base, len);
		b->gathered += len;
	}
	if (joins)
		last->iov_len += len;
	else
		b->iov[b->iov_count++] = (struct iovec){ small ? to : piece->iov_base, len };
	b->bytes += len;
	return true;
}

/* Returns bytes written, or a negative errno; -EAGAIN: none now. */
static ssize_t
batch_send(int fd, struct write_batch *b)
{
	const struct msghdr msg = { .msg_iov = b->iov, .msg_iovlen = b->iov_count };
	ssize_t n;

	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ssize_t
ktcp_tx_push(struct bb_stream *bs, const struct iovec *iov, size_t iov_count)
{
	struct ktcp_stream *s = stream_of(bs);
	size_t i = 0;
	ssize_t taken = 0;

	BB_ASSERT(!s->finished);
	if (s->state == CONNECTING) {
		bs->flags |= BB_STREAM_TX_BLOCKED;
		return 0;
	}
	if (s->state != OPEN)
		return s->error != 0 ? -s->error : -EPIPE;

	bs->flags &= ~(uint32_t)BB_STREAM_TX_BLOCKED;
	while (i < iov_count) {
		struct write_batch b;
		b.iov_count = b.gathered = b.bytes = 0;
		while (i < iov_count && batch_add(s->k, &b, &iov[i]))
			i++;
		if (b.bytes == 0)
			break;
		const ssize_t n = batch_send(s->fd, &b);
		if (n < 0 && n != -EAGAIN) {
			break_stream(s, (int)-n);
			return n;
		}
		taken += n > 0 ? n : 0;
		if (n < (ssize_t)b.bytes) {
			bs->flags |= BB_STREAM_TX_BLOCKED;
			break;
		}
	}
	return taken;
}

/* The kernel's count includes an unacknowledged FIN as one byte. */
static uint64_t
ktcp_tx_backlog(struct bb_stream *bs)
{
	const struct ktcp_stream *s = stream_of(bs);
	int n = 0;

	if (s->state != OPEN || ioctl(s->fd, SIOCOUTQ, &n) < 0 || n < 0)
		return 0;
	return (uint64_t)n;
}

/* Closing. */

static void
ktcp_finish(struct bb_stream *bs)
{
	struct ktcp_stream *s = stream_of(bs);

	if (s->finished)
		return;
	s->finished = true;
	if (s->state == OPEN)
		(void)shutdown(s->fd, SHUT_WR); /* when connecting: as soon as the connection is up */
}

static void
ktcp_abort(struct bb_stream *bs)
{
	die(stream_of(bs), true);
}

static void
stream_free(struct ktcp_stream *s)
{
	BB_ASSERT(s->k->stream_count > 0);
	s->k->stream_count--;
	bb_mem_free(s->k->mem, s, sizeof(*s));
}

static void
ktcp_destroy(struct bb_stream *bs)
{
	struct ktcp_stream *s = stream_of(bs);
	struct bb_ktcp *k = s->k;
	/* Nothing is owed to the peer: close in order. A reset might take from it what it has not read yet.
	 */
	const bool orderly = (s->finished || s->ended) && ktcp_tx_backlog(bs) == 0;

	die(s, !orderly);
	if (k->in_poll)
		bb_list_append(&k->dead, &s->node);
	else
		stream_free(s);
}

static const struct bb_stream_ops stream_ops = {
	.rx_view = ktcp_rx_view,
	.rx_consume = ktcp_rx_consume,
	.tx_push = ktcp_tx_push,
	.tx_backlog = ktcp_tx_backlog,
	.finish = ktcp_finish,
	.abort = ktcp_abort,
	.destroy = ktcp_destroy,
};

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
		.base = { .ops = &stream_ops, .flags = BB_STREAM_COPIES },
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
	const int rc = stream_create(ktcp_of(t), fd, CONNECTING, &s);
	if (rc < 0)
		return rc;
	if (error != 0)
		break_stream(s, error);
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
	const int rc = stream_create(ktcp_of(t), fd, OPEN, &s);
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
	enter(s, OPEN);
	if (s->finished)
		(void)shutdown(s->fd, SHUT_WR);
	emit(s, BB_STREAM_CONNECTED, 0);
	return s->state == OPEN;
}

static void
on_socket_error(struct ktcp_stream *s)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error != 0)
		break_stream(s, error);
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
	if (s->state == CONNECTING) {
		if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0 || !on_connected(s))
			return;
	}
	if (events & EPOLLERR)
		on_socket_error(s);
	if (s->state == BROKEN) {
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
	if ((events & EPOLLOUT) && s->state == OPEN && (s->base.flags & BB_STREAM_TX_BLOCKED)) {
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
	if (!bb_list_empty(&k->pending))
		ktcp_wake(k, 0);
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
		else if (((struct ktcp_stream *)(uintptr_t)tag)->state != DEAD)
			stream_ready((void *)(uintptr_t)tag, events[i].events);
	}
	done += got > 0 ? (uint32_t)got : 0;
	k->in_poll = false;
	while ((n = bb_list_pop(&k->dead)) != NULL)
		stream_free(bb_list_entry(n, struct ktcp_stream, node));
	ktcp_bury_listeners(k);
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
