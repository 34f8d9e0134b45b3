/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * egress: from the deliveries of routers to the send queues of sessions, and from there to their streams.
 *
 * Deliveries are always drained: a message is queued, dropped by policy or counted for the dead, and nobody
 * is waited for. Queues are written once a turn; what the transport would not take and stands above the marks
 * is dropped then.
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "msg/set.h"
#include "transport/session.h"
#include "zmtp/command.h"

#define WRITE_PIECES 64
#define WRITE_BYTES (4 * BB_TURN_WRITE_BYTES) /* per session and turn: one input window */

static void
count_drops(struct bb_io *io, struct session *s, const struct bb_sendq_drops *drops)
{
	if (drops->hwm_msgs + drops->memory_msgs == 0)
		return;
	/* Its router may have charged them: they give credit back as if they had left the queue. */
	s->sendq.msgs_left += drops->hwm_msgs + drops->memory_msgs;
	s->sendq.bytes_left += drops->bytes;
	BB_COUNT(s->side->row, BB_IO_OUT_HWM, drops->hwm_msgs);
	BB_COUNT(s->side->row, BB_IO_OUT_MEMORY, drops->memory_msgs);
	BB_COUNT(s->side->row, BB_IO_OUT_DROPPED_BYTES, drops->bytes);
	BB_COUNT(s->row, BB_SESSION_OUT_HWM, drops->hwm_msgs);
	BB_COUNT(s->row, BB_SESSION_OUT_MEMORY, drops->memory_msgs);
	BB_COUNT(s->row, BB_SESSION_OUT_DROPPED_BYTES, drops->bytes);
	if (s->row->c[BB_SESSION_FIRST_DROP_NS] == 0)
		BB_GAUGE(s->row, BB_SESSION_FIRST_DROP_NS, io->now_ns);
	BB_GAUGE(s->row, BB_SESSION_LAST_DROP_NS, io->now_ns);
}

void
egress_gauges(struct session *s)
{
	const struct bb_sendq *q = &s->sendq;
	const uint64_t msgs_before = s->row->c[BB_SESSION_QUEUED];
	const uint64_t bytes_before = s->row->c[BB_SESSION_QUEUED_BYTES];

	/* The side's gauges are sums of what its sessions show: differences, modulo 2^64. */
	BB_COUNT(s->side->row, BB_IO_QUEUED, q->msgs - msgs_before);
	BB_COUNT(s->side->row, BB_IO_QUEUED_BYTES, q->unsent.bytes - bytes_before);
	BB_GAUGE(s->row, BB_SESSION_QUEUED, q->msgs);
	BB_GAUGE(s->row, BB_SESSION_QUEUED_BYTES, q->unsent.bytes);
	if (q->msgs > s->row->c[BB_SESSION_QUEUED_MAX])
		BB_GAUGE(s->row, BB_SESSION_QUEUED_MAX, q->msgs);
}

void
egress_want_flush(struct bb_io *io, struct session *s)
{
	if (!bb_list_linked(&s->flush_node))
		bb_list_append(&io->flush, &s->flush_node);
}

/* --- deliveries --- */

/* The side that receives what a delivery's side sent. */
static struct side *
receiving_side(struct bb_io *io, const struct bb_delivery *d)
{
	return io->sides[d->side ^ 1];
}

static void
deliver_to_gone(struct bb_io *io, struct side *side, const struct bb_delivery *d)
{
	io->stale += d->msgs;
	BB_COUNT(side->row, BB_IO_ARRIVED, d->msgs);
	BB_COUNT(side->row, BB_IO_OUT_PEER_GONE, d->msgs);
	BB_COUNT(side->row, BB_IO_OUT_DROPPED_BYTES, d->len);
}

/* The receiver stalls, may drop, and pins memory that is getting short. */
static bool
memory_forbids(const struct bb_io *io, const struct session *s)
{
	if (s->credit || !s->tx_refused || bb_sendq_empty(&s->sendq))
		return false;
	return io->memory_level >= MEMORY_LOW || s->sendq.unsent.bytes >= BB_BUFFER_BYTES;
}

static void
deliver(struct bb_io *io, struct side *side, bb_handle to, const struct bb_delivery *d)
{
	struct session *s = session_of(io, to);
	struct bb_sendq_drops drops = { 0 };
	const struct bb_span span = {
		.buffer = d->buffer,
		.offset = d->offset,
		.len = d->len,
		.msgs = d->msgs,
		.chain = (d->flags & BB_DELIVERY_CHAIN) != 0,
	};

	if (s == NULL || (s->state != SESSION_READY && s->state != SESSION_DRAINING)) {
		deliver_to_gone(io, side, d);
		return;
	}
	BB_DEBUG_ASSERT(s->side == side);
	BB_COUNT(side->row, BB_IO_ARRIVED, d->msgs);
	BB_COUNT(s->row, BB_SESSION_ARRIVED, d->msgs);
	if (bb_unlikely(io->memory_level >= MEMORY_HALF) && memory_forbids(io, s)) {
		drops.memory_msgs = d->msgs;
		drops.bytes = d->len;
	} else if (!s->credit && s->tx_refused) {
		bb_sendq_admit(&io->spans, &s->sendq, &span, &drops);
	} else if (bb_sendq_append(&io->spans, &s->sendq, &span) != 0) {
		drops.memory_msgs = d->msgs;
		drops.bytes = d->len;
	}
	count_drops(io, s, &drops);
	if (drops.hwm_msgs > 0 && s->side->options->when_full == BB_FULL_DISCONNECT)
		s->too_slow = true;
	egress_want_flush(io, s);
}

/* One delivery, from where the last turn stopped in its set. False: the turn's appends are used up, more is
 * to come. */
static bool
deliver_messages(struct bb_io *io, struct inbox *in, const struct bb_delivery *d)
{
	struct side *side = receiving_side(io, d);

	BB_ASSERT(side != NULL); /* routers forget a side before I/O cores do */
	if (d->kind == BB_DELIVERY_MSGS_ONE) {
		deliver(io, side, d->session, d);
		io->appends_left -= io->appends_left > 0;
		return true;
	}
	uint32_t count;
	const bb_handle *to = bb_set_members(d->set, io->index, &count);
	while (in->receiver < count) {
		if (io->appends_left == 0)
			return false;
		io->appends_left--;
		deliver(io, side, to[in->receiver++], d);
	}
	in->receiver = 0;
	return true;
}

static void
deliver_upstream(struct bb_io *io, struct session *s, const struct bb_delivery *d)
{
	const struct bb_zmtp_subscription sub = {
		.subscribe = !(d->flags & BB_DELIVERY_CANCEL),
		.topic = { bb_pool_bytes(io->pool, d->buffer) + d->offset, d->len },
	};

	if (s->state != SESSION_READY)
		return;
	const size_t len = bb_zmtp_subscription_wire_len(&sub, s->is_31);
	uint8_t *to = session_ctl_room(io, s, len);
	if (to == NULL) {
		BB_COUNT(s->side->row, BB_IO_CLOSED_MEMORY, 1);
		session_close(io, s, BB_IO_OUT_PEER_GONE);
		return;
	}
	s->ctl.end += (uint32_t)bb_zmtp_encode_subscription(to, len, &sub, s->is_31);
	s->upstream_told = true;
	egress_want_flush(io, s);
}

static void
deliver_answer(struct bb_io *io, uint32_t router, const struct bb_delivery *d)
{
	if (d->kind == BB_DELIVERY_WINDOW) {
		if (io->sides[d->side] != NULL)
			ingress_window(io, io->sides[d->side], router, d->total);
		return;
	}
	if (d->kind == BB_DELIVERY_END) {
		drain_ended(io, router, (uint32_t)d->total);
		return;
	}
	struct session *s = session_of(io, d->session); /* the two above name no session */
	if (s == NULL) {
		io->stale++;
		return;
	}
	switch ((enum bb_delivery_kind)d->kind) {
	case BB_DELIVERY_GRANTED:
		session_granted(io, s,
			d->buffer == BB_BUFFER_NONE ? NULL : bb_pool_bytes(io->pool, d->buffer) + d->offset,
			d->len);
		break;
	case BB_DELIVERY_REFUSED:
		session_refused(io, s, (enum bb_refusal)d->msgs);
		break;
	case BB_DELIVERY_GONE_DONE:
		BB_ASSERT(s->gone_wait & UINT64_C(1) << router);
		s->gone_wait &= ~(UINT64_C(1) << router);
		session_want_control(io, s);
		break;
	case BB_DELIVERY_UPSTREAM:
		deliver_upstream(io, s, d);
		break;
	case BB_DELIVERY_UPSTREAM_END:
		break;
	default:
		BB_ASSERT(false); /* a kind that routers do not send to sessions */
	}
}

static bool
deliver_element(struct bb_io *io, struct inbox *in, uint32_t router, const struct bb_delivery *d)
{
	if ((d->flags & BB_DELIVERY_OPEN) && in->group == BB_BUFFER_NONE) {
		in->group = d->buffer;
		bb_holds_open(&io->spans.holds, d->buffer, 1,
			d->flags & BB_DELIVERY_CHAIN ? bb_pool_chain_bytes(io->pool, d->buffer) : 0);
	}
	if (d->kind == BB_DELIVERY_MSGS_ONE || d->kind == BB_DELIVERY_MSGS_SET) {
		if (!deliver_messages(io, in, d))
			return false;
	} else if (d->kind != BB_DELIVERY_CLOSED) {
		deliver_answer(io, router, d);
	}
	if (d->flags & BB_DELIVERY_CLOSE) {
		in->group = BB_BUFFER_NONE;
		bb_holds_drop(&io->spans.holds, d->buffer, 1, 0);
	}
	return true;
}

uint32_t
egress_deliveries(struct bb_io *io)
{
	uint32_t work = 0;

	/* Another one is first in each turn: one with much to say must not use up all turns. */
	io->inbox_first = (io->inbox_first + 1) % io->router_count;
	for (uint32_t i = 0; i < io->router_count; i++) {
		const uint32_t r = (io->inbox_first + i) % io->router_count;
		struct inbox *in = &io->inbox[r];
		const uint64_t done = in->done;
		for (;;) {
			if (in->next == in->count) {
				in->next = 0;
				in->count = bb_ring_pop(bb_fabric_deliveries(io->fabric, r, io->index),
					in->burst, BB_ARRAY_LEN(in->burst));
				if (in->count == 0)
					break;
			}
			work++;
			if (io->appends_left == 0 || !deliver_element(io, in, r, &in->burst[in->next]))
				break;
			in->next++;
			in->done++;
		}
		if (in->done == done)
			continue; /* its line stays where it is */
		/* release: the router may reuse what elements up to here named; pairs with its acquire load
		 */
		atomic_store_explicit(
			&bb_fabric_progress(io->fabric, r, io->index)->done, in->done, memory_order_release);
	}
	return work;
}

/* --- writing --- */

/* Returns false if the stream will take no more now, or is broken. */
static bool
write_ctl(struct bb_io *io, struct session *s)
{
	struct ctl *c = &s->ctl;
	const struct iovec iov = { c->bytes + c->begin, c->end - c->begin };
	const ssize_t n = bb_stream_tx_push(s->stream, &iov, 1);

	if (n < 0) {
		s->broken = true;
		return false;
	}
	if (n > 0)
		BB_GAUGE(s->row, BB_SESSION_LAST_TX_NS, io->now_ns);
	c->begin += (uint32_t)n;
	if (c->begin < c->end) {
		s->tx_refused = true;
		return false;
	}
	session_ctl_release(io, s);
	if (s->upstream_told) {
		s->upstream_told = false;
		s->owes.room = true;
		session_want_control(io, s);
	}
	return true;
}

static bool
write_messages(struct bb_io *io, struct session *s, uint64_t bytes_max, uint64_t *budget)
{
	struct iovec iov[WRITE_PIECES];
	uint64_t bytes;
	if (bytes_max > BB_TURN_WRITE_BYTES)
		bytes_max = BB_TURN_WRITE_BYTES; /* what tx_scratch holds */
	const size_t count = bb_sendq_peek(
		&io->spans, &s->sendq, io->tx_scratch, bytes_max, iov, WRITE_PIECES, &bytes);
	const ssize_t n = bb_stream_tx_push(s->stream, iov, count);

	if (n < 0) {
		s->broken = true;
		return false;
	}
	if (n > 0) {
		const uint64_t msgs = bb_sendq_sent(&io->spans, &s->sendq, (uint64_t)n);
		BB_COUNT(s->side->row, BB_IO_SENT, msgs);
		BB_COUNT(s->side->row, BB_IO_SENT_BYTES, n);
		BB_COUNT(s->row, BB_SESSION_SENT, msgs);
		BB_COUNT(s->row, BB_SESSION_SENT_BYTES, n);
		BB_GAUGE(s->row, BB_SESSION_LAST_TX_NS, io->now_ns);
		*budget -= (uint64_t)n < *budget ? (uint64_t)n : *budget;
	}
	if ((uint64_t)n < bytes) {
		s->tx_refused = true;
		return false;
	}
	return true;
}

/* Write what the stream takes. True if something is left although it would take more: the turn is over. */
static bool
write_session(struct bb_io *io, struct session *s)
{
	uint64_t budget = WRITE_BYTES;

	while (!s->tx_refused) {
		if (s->owes.pong && s->ctl.begin == s->ctl.end)
			session_pong(io, s);
		const bool ctl = s->ctl.begin < s->ctl.end;
		if (ctl && bb_sendq_at_border(&s->sendq)) {
			if (!write_ctl(io, s))
				break;
		} else if (!bb_sendq_empty(&s->sendq)) {
			/* Above its marks it goes on: only what the transport refuses may be dropped. */
			if (budget == 0 && (s->credit || !bb_sendq_over(&s->sendq)))
				return true;
			/* Up to the border only, if a command waits for it. */
			if (!write_messages(io, s, ctl ? s->sendq.begun_left : BB_TURN_WRITE_BYTES, &budget))
				break;
		} else {
			break;
		}
	}
	return false;
}

static void
owe_credit(struct bb_io *io, struct session *s)
{
	if (!s->credit || s->state != SESSION_READY ||
		(s->sendq.msgs_left == s->credit_msgs_told && s->sendq.bytes_left == s->credit_bytes_told))
		return;
	s->owes.credit = true;
	session_want_control(io, s);
}

static void
flush_session(struct bb_io *io, struct session *s)
{
	struct bb_sendq_drops drops = { 0 };

	if (s->stream == NULL || s->state == SESSION_CONNECTING || s->orderly)
		return;
	const bool more = write_session(io, s);
	if (!s->credit) {
		bb_sendq_settle(&io->spans, &s->sendq, &drops);
		count_drops(io, s, &drops);
		if (drops.hwm_msgs > 0 && s->side->options->when_full == BB_FULL_DISCONNECT)
			s->too_slow = true;
	}
	egress_gauges(s);
	owe_credit(io, s);
	if (s->broken && (s->side->draining || s->state == SESSION_FLUSHING)) {
		/* CLOSED comes when all is read, but nobody reads it any more. */
		session_close(io, s, BB_IO_OUT_PEER_GONE);
		return;
	}
	if (s->too_slow) {
		BB_COUNT(s->side->row, BB_IO_CLOSED_SLOW, 1);
		session_close(io, s, BB_IO_OUT_HWM);
		return;
	}
	if (more)
		egress_want_flush(io, s);
	else if (s->state == SESSION_FLUSHING || s->state == SESSION_DRAINING)
		session_flushed(io, s);
}

uint32_t
egress_flush(struct bb_io *io)
{
	struct bb_list now;
	uint32_t work = 0;

	/* Only those that stand there now: who wants more goes on next turn. */
	bb_list_move_all(&now, &io->flush);
	for (struct bb_list *n; (n = bb_list_pop(&now)) != NULL; work++)
		flush_session(io, bb_list_entry(n, struct session, flush_node));
	return work;
}
