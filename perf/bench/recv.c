/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All links read into one large buffer. What does not end there on a frame's head is kept in the link's small
 * stash and put before the next read; the body of a long frame is passed over without being stored. The tight
 * loop takes whole one-frame messages, whose first octets are known; everything else goes frame by frame.
 */
#include "bench/bench.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/assert.h"
#include "base/compiler.h"

static struct bb_check *
link_check(struct bb_bench *b, const struct bb_link *l)
{
	return l->kind == BB_LINK_WORKER ? &b->worker_check : &b->check;
}

/* Whole messages that look as expected, as many as follow each other. Returns octets taken. */
static size_t
scan_fast(struct bb_bench *b, struct bb_link *l, const uint8_t *p, size_t n)
{
	const struct bb_layout *y = &b->layout;
	const size_t stride = y->stride;
	const uint64_t e0 = y->expect[0], e1 = y->expect[1], m0 = y->mask[0], m1 = y->mask[1];
	struct bb_check *c = &b->check;
	const uint32_t receiver = l->id;
	const uint64_t now_ns = b->now_ns;
	size_t i = 0;

	/* The buffer has 16 octets of slack behind its end, so short messages may be looked at in one load.
	 */
	for (; i + stride <= n; i += stride) {
		uint64_t w0, w1;

		memcpy(&w0, p + i, sizeof(w0));
		memcpy(&w1, p + i + 8, sizeof(w1));
		if (bb_unlikely((((w0 ^ e0) & m0) | ((w1 ^ e1) & m1)) != 0))
			break;
		bb_check_msg(c, receiver, p + i + y->stamp_at, now_ns);
	}
	l->answered += i / stride; /* matters to clients only */
	return i;
}

static void
message_end(struct bb_bench *b, struct bb_link *l)
{
	struct bb_check *c = link_check(b, l);

	if (l->message_bad || l->frame != b->opts->frames)
		c->bad++;
	else
		bb_check_msg(c, l->id, l->stamp, b->now_ns);
	l->answered++;
	l->frame = 0;
	l->in_body = false;
	l->message_bad = false;
}

/* The frame whose head was judged is complete. */
static void
frame_end(struct bb_bench *b, struct bb_link *l)
{
	if (!l->frame_command && l->frame_last)
		message_end(b, l);
}

static int
on_command(struct bb_bench *b, struct bb_link *l, const uint8_t *body, size_t have, uint64_t len)
{
	uint8_t pong[64];

	if (bb_wire_command_is(body, have, "PING")) {
		if (len < 7)
			return -EPROTO;
		const size_t context = bb_min_u64(bb_min_u64(len, have) - 7, 16);
		return bb_link_put(b, l, pong, bb_wire_pong_put(pong, body + 7, context));
	}
	if (bb_wire_command_is(body, have, "ERROR"))
		return -ECONNRESET;
	return 0; /* SUBSCRIBE and CANCEL: our publishers send everything; PONG is life, and that was noted */
}

/* A message frame of which have octets are in one piece. */
static void
on_frame(struct bb_bench *b, struct bb_link *l, const struct bb_wire_head *head, const uint8_t *body,
	size_t have)
{
	const struct bb_layout *y = &b->layout;
	const bool envelope = b->opts->pattern == BB_REQREP;

	l->frame_last = (head->flags & BB_WIRE_MORE) == 0;
	if (envelope && !l->in_body) {
		l->in_body = head->len == 0; /* the delimiter */
		return;
	}
	/* What comes up to a publisher is a subscription of an older peer; not ours to check. */
	if (l->kind == BB_LINK_PRODUCER) {
		l->frame_last = false;
		return;
	}
	if (head->len != b->opts->size)
		l->message_bad = true;
	else if (l->frame == 0 && y->ordered)
		memcpy(l->stamp, body + y->body_stamp_at, bb_min_u64(have - y->body_stamp_at, BB_STAMP_FULL));
	l->frame++;
}

/* One frame at p, or what is there of it. Returns octets taken, 0 if more are needed, or negative errno. */
static int64_t
scan_frame(struct bb_bench *b, struct bb_link *l, const uint8_t *p, size_t n)
{
	struct bb_wire_head head;
	const int rc = bb_wire_head_get(p, n, &head);

	if (rc <= 0)
		return rc;
	const bool command = (head.flags & BB_WIRE_COMMAND) != 0;
	const size_t have = bb_min_u64(head.len, command ? BB_PEEK_COMMAND : b->layout.peek);
	if (n < head.bytes + have)
		return 0;

	l->frame_command = command;
	l->skip = head.len - have;
	if (command) {
		const int err = on_command(b, l, p + head.bytes, have, head.len);
		if (err < 0)
			return err;
	} else {
		on_frame(b, l, &head, p + head.bytes, have);
	}
	if (l->skip == 0)
		frame_end(b, l);
	return (int64_t)(head.bytes + have);
}

static size_t
scan_skip(struct bb_bench *b, struct bb_link *l, size_t n)
{
	const size_t take = bb_min_u64(l->skip, n);

	l->skip -= take;
	if (l->skip == 0)
		frame_end(b, l);
	return take;
}

/* Octets [from, to) of message frames go back as they came. */
static int
echo(struct bb_bench *b, struct bb_link *l, const uint8_t *p, size_t from, size_t to)
{
	return l->kind == BB_LINK_WORKER && to > from ? bb_link_put(b, l, p + from, to - from) : 0;
}

int64_t
bb_recv_scan(struct bb_bench *b, struct bb_link *l, const uint8_t *p, size_t n)
{
	const bool fast = b->layout.fast && (l->kind == BB_LINK_CONSUMER || l->kind == BB_LINK_CLIENT);
	size_t i = 0, echo_from = 0;
	int rc;

	while (i < n) {
		const size_t before = i;

		if (l->skip > 0) {
			i += scan_skip(b, l, n - i);
			if (l->frame_command)
				echo_from = i;
			continue;
		}
		if (l->state != BB_LINK_READY) {
			rc = bb_link_handshake(b, l, p + i, n - i);
			if (rc < 0)
				return rc;
			i += (size_t)rc;
			echo_from = i;
		} else {
			if (fast && l->frame == 0 && !l->in_body)
				i += scan_fast(b, l, p + i, n - i);
			/* A command's answer must not overtake, nor be cut into, what is echoed. */
			if (i < n && (p[i] & BB_WIRE_COMMAND) != 0) {
				rc = echo(b, l, p, echo_from, i);
				if (rc < 0)
					return rc;
				echo_from = i;
			}
			const bool command = i < n && (p[i] & BB_WIRE_COMMAND) != 0;
			const int64_t took = i < n ? scan_frame(b, l, p + i, n - i) : 0;
			if (took < 0)
				return took;
			i += (size_t)took;
			if (command)
				echo_from = i;
			if (took == 0)
				break;
		}
		if (i == before)
			break;
	}
	rc = echo(b, l, p, echo_from, i);
	return rc < 0 ? rc : (int64_t)i;
}

size_t
bb_recv_link(struct bb_bench *b, struct bb_link *l, size_t bytes_max)
{
	memcpy(b->rx, l->stash, l->stash_len);
	const ssize_t got = recv(
		l->fd, b->rx + l->stash_len, bb_min_u64(bytes_max, BB_RX_BYTES), MSG_DONTWAIT);
	if (got <= 0) {
		if (got == 0)
			bb_link_close(b, l, "closed by the peer");
		else if (errno != EAGAIN && errno != EINTR)
			bb_link_close(b, l, strerror(errno));
		return 0;
	}
	/* Stamped as received now, not when the turn began: writes lie between. */
	if (b->pace.ns_per_msg > 0)
		b->now_ns = bb_bench_now();
	l->last_rx_ns = b->now_ns;

	const size_t total = l->stash_len + (size_t)got;
	const int64_t took = bb_recv_scan(b, l, b->rx, total);
	if (took < 0) {
		bb_link_close(b, l,
			took == -EPROTO		? "the peer broke the protocol"
			: took == -ECONNREFUSED ? "refused in the handshake"
						: strerror((int)-took));
		return (size_t)got;
	}
	BB_ASSERT(total - (size_t)took <= BB_STASH_BYTES);
	l->stash_len = (uint16_t)(total - (size_t)took);
	memcpy(l->stash, b->rx + took, l->stash_len);
	return (size_t)got;
}
