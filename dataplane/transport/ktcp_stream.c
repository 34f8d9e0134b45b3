/* SPDX-License-Identifier: BSD-3-Clause */
/* ktcp_stream: reading, writing and closing; what a session calls. */
#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include "transport/ktcp_priv.h"

/*
 * Neighbours below this are copied together. On Linux 6.18 over loopback an iovec entry of its own costs
 * about 100 ns; copied, a piece of 42 octets costs 10 ns, one of 600 octets 68 ns, one of 1030 octets the
 * same either way.
 */
#define SMALL_PIECE 1024
#define CARRY_UNIT 64

static const uint8_t state_next[] = {
	[KTCP_CONNECTING] = BB_BIT(KTCP_OPEN) | BB_BIT(KTCP_BROKEN) | BB_BIT(KTCP_DEAD),
	[KTCP_OPEN] = BB_BIT(KTCP_BROKEN) | BB_BIT(KTCP_DEAD),
	[KTCP_BROKEN] = BB_BIT(KTCP_DEAD),
	[KTCP_DEAD] = 0,
};

static struct ktcp_stream *
stream_of(struct bb_stream *s)
{
	return bb_container_of(s, struct ktcp_stream, base);
}

void
ktcp_stream_enter(struct ktcp_stream *s, uint8_t state)
{
	BB_ASSERT((state_next[s->state] & BB_BIT(state)) != 0);
	s->state = state;
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

void
ktcp_stream_die(struct ktcp_stream *s, bool reset)
{
	if (s->k->viewed == s)
		s->k->viewed = NULL;
	close_fd(s, reset);
	carry_free(s);
	if (s->state == KTCP_DEAD)
		return; /* and perhaps among the dead already */
	bb_list_remove(&s->node);
	ktcp_stream_enter(s, KTCP_DEAD);
}

void
ktcp_stream_break(struct ktcp_stream *s, int error)
{
	if (s->state == KTCP_DEAD)
		return;
	if (s->error == 0)
		s->error = error;
	if (s->state != KTCP_BROKEN)
		ktcp_stream_enter(s, KTCP_BROKEN);
	s->ending = true;
	make_pending(s);
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
	if (n < 0 && errno == EAGAIN && s->state == KTCP_OPEN)
		return 0;
	s->ended = true;
	if (n < 0)
		ktcp_stream_break(s, errno);
	return 0;
}

/*
 * A broken stream was viewed. As long as its session takes some of what is left, it may come back for more;
 * when it takes all or nothing, CLOSED is due.
 */
static void
shown_broken(struct ktcp_stream *s, bool is_last)
{
	if (s->state != KTCP_BROKEN || !s->ended)
		return;
	s->shown |= is_last;
	make_pending(s);
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
	if (s->may_read && s->carry_len < bytes_max && (s->state == KTCP_OPEN || s->state == KTCP_BROKEN))
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
	if (k->view_len == 0) {
		shown_broken(s, true);
		return 0;
	}
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
		shown_broken(s, n == 0 || s->carry_len == 0);
		return;
	}
	if (carry_set(s, k->view + n, k->view_len - n)) {
		shown_broken(s, n == 0 || s->carry_len == 0);
		return;
	}
	/* The bytes are lost, and with them the stream's order. */
	carry_free(s);
	s->may_read = false;
	s->ended = s->shown = true;
	ktcp_stream_break(s, ENOMEM);
	s->error = ENOMEM;
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
	if (s->state == KTCP_CONNECTING) {
		bs->flags |= BB_STREAM_TX_BLOCKED;
		return 0;
	}
	if (s->state != KTCP_OPEN)
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
			ktcp_stream_break(s, (int)-n);
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

	if (s->state != KTCP_OPEN || ioctl(s->fd, SIOCOUTQ, &n) < 0 || n < 0)
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
	if (s->state == KTCP_OPEN)
		(void)shutdown(s->fd, SHUT_WR); /* when connecting: as soon as the connection is up */
}

static void
ktcp_abort(struct bb_stream *bs)
{
	ktcp_stream_die(stream_of(bs), true);
}

void
ktcp_stream_free(struct ktcp_stream *s)
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

	ktcp_stream_die(s, !orderly);
	if (k->in_poll)
		bb_list_append(&k->dead, &s->node);
	else
		ktcp_stream_free(s);
}

const struct bb_stream_ops ktcp_stream_ops = {
	.rx_view = ktcp_rx_view,
	.rx_consume = ktcp_rx_consume,
	.tx_push = ktcp_tx_push,
	.tx_backlog = ktcp_tx_backlog,
	.finish = ktcp_finish,
	.abort = ktcp_abort,
	.destroy = ktcp_destroy,
};
