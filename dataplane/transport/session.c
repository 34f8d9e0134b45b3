/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a session: adoption, refusal, end. What it says is in handshake.c, its time-outs are in timers.c. */
#include "transport/session.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "zmtp/command.h"
#include "zmtp/frame.h"

/* Which states may follow which; session_enter() asserts it. */
static const uint8_t session_next[SESSION_STATE_COUNT] = {
	[SESSION_CONNECTING] = BB_BIT(SESSION_GREETING) | BB_BIT(SESSION_CLOSING),
	[SESSION_GREETING] = BB_BIT(SESSION_HANDSHAKE) | BB_BIT(SESSION_CLOSING),
	[SESSION_HANDSHAKE] = BB_BIT(SESSION_READY) | BB_BIT(SESSION_FLUSHING) | BB_BIT(SESSION_CLOSING),
	[SESSION_READY] = BB_BIT(SESSION_DRAINING) | BB_BIT(SESSION_FLUSHING) | BB_BIT(SESSION_CLOSING),
	[SESSION_FLUSHING] = BB_BIT(SESSION_CLOSING),
	[SESSION_DRAINING] = BB_BIT(SESSION_CLOSING),
	[SESSION_CLOSING] = 0,
};

void
session_enter(struct bb_io *io, struct session *s, enum session_state state)
{
	BB_ASSERT(session_next[s->state] & BB_BIT(state));
	s->state = (uint8_t)state;
	s->since_ns = io->now_ns;
	s->row->state = state == SESSION_FLUSHING ? SESSION_CLOSING : (uint8_t)state;
	if (state > SESSION_HANDSHAKE && bb_list_linked(&s->half_open_node)) {
		bb_list_remove(&s->half_open_node);
		io->half_open_count--;
	}
}

struct session *
session_of(struct bb_io *io, bb_handle h)
{
	const uint32_t slot = bb_handle_slot(h);

	BB_ASSERT(bb_handle_core(h) == io->index && slot < io->session_max);
	struct session *s = io->sessions[slot];
	return s != NULL && s->handle == h ? s : NULL;
}

static bool
side_full(const struct side *side)
{
	return side->options->peers_max != 0 && side->session_count >= side->options->peers_max;
}

/* Room in the half-open list: the oldest goes. */
static void
half_open_append(struct bb_io *io, struct session *s)
{
	if (io->half_open_count >= BB_HALF_OPEN_MAX) {
		struct session *oldest = bb_list_entry(io->half_open.next, struct session, half_open_node);
		BB_COUNT(oldest->side->row, BB_IO_CLOSED_HALF_OPEN, 1);
		session_close(io, oldest, BB_IO_OUT_PEER_GONE);
	}
	bb_list_append(&io->half_open, &s->half_open_node);
	io->half_open_count++;
}

static void
fill_row(struct bb_io *io, struct session *s, const char *address)
{
	struct bb_session_row *row = s->row;

	session_row_begin(row);
	memset(&row->handle, 0, sizeof(*row) - offsetof(struct bb_session_row, handle));
	row->handle = s->handle;
	row->connected_ns = io->now_ns;
	row->side = s->side->index;
	row->state = s->state;
	row->outgoing = s->outgoing;
	strncpy(row->address, address, sizeof(row->address) - 1);
	session_row_end(row);
}

static void on_event(struct bb_stream *stream, enum bb_stream_event event, uint64_t arg);

int
session_adopt(
	struct bb_io *io, struct bb_stream *stream, struct side *side, uint64_t tag, const char *address)
{
	if (side->draining || side_full(side) || io->free_count == 0) {
		BB_COUNT(side->row, BB_IO_REFUSED_LIMIT, 1);
		bb_stream_destroy(stream);
		return -EUSERS;
	}
	struct session *s = bb_mem_zalloc(io->mem, sizeof(*s));
	if (s == NULL) {
		BB_COUNT(side->row, BB_IO_CLOSED_MEMORY, 1);
		bb_stream_destroy(stream);
		return -ENOMEM;
	}
	const uint32_t slot = io->free_slots[--io->free_count];
	s->io = io;
	s->stream = stream;
	s->side = side;
	s->side_number = side->number;
	s->handle = bb_handle_make(io->index, slot, io->generations[slot]);
	s->row = bb_counters_session(io->counters, io->index, slot);
	s->tag = tag;
	s->outgoing = tag != 0;
	s->state = s->outgoing ? SESSION_CONNECTING : SESSION_GREETING;
	s->since_ns = s->since_first_ns = s->last_rx_ns = s->last_ping_ns = io->now_ns;
	s->router = (uint16_t)(side->endpoint->sharded ? slot % io->router_count : side->endpoint->home);
	s->assembly.head = s->assembly.tail = BB_BUFFER_NONE;
	bb_list_init(&s->ready_node);
	bb_list_init(&s->flush_node);
	bb_list_init(&s->control_node);
	bb_list_init(&s->half_open_node);
	bb_list_init(&s->assembling_node);
	bb_timer_init(&s->timer);
	bb_zmtp_greeting_init(&s->greeting, "NULL", false);
	io->sessions[slot] = s;
	side->session_count++;
	if (slot >= io->counters->header->sessions_used[io->index])
		__atomic_store_n(&io->counters->header->sessions_used[io->index], slot + 1, __ATOMIC_RELEASE);
	atomic_fetch_add_explicit(&io->fabric->io_load[io->index], 1, memory_order_relaxed);
	fill_row(io, s, address);
	BB_COUNT(side->row, BB_IO_ACCEPTED, 1);
	if (!s->outgoing) /* a flood of strangers must not end what we began ourselves */
		half_open_append(io, s);
	stream->user = s;
	stream->on_event = on_event;
	session_timer_arm(io, s);
	if (!s->outgoing && session_greeted(io, s))
		bb_list_append(&io->ready, &s->ready_node);
	return 0;
}

/* What is still queued counts as dropped. */
static uint64_t
drop_queue(struct bb_io *io, struct session *s, unsigned dropped)
{
	uint64_t bytes;
	const uint64_t msgs = bb_sendq_clear(&io->spans, &s->sendq, &bytes);

	BB_COUNT(s->side->row, dropped, msgs);
	BB_COUNT(s->side->row, BB_IO_OUT_DROPPED_BYTES, bytes);
	egress_gauges(s);
	return msgs;
}

static void
leave_ready(struct session *s)
{
	if (!s->counted_ready)
		return;
	s->counted_ready = false;
	BB_COUNT(s->side->row, BB_IO_PEERS, -1);
	BB_COUNT(s->side->row, BB_IO_CLOSED, 1);
}

static void
count_refusal(struct bb_io *io, struct session *s, unsigned counter, const char *cause)
{
	uint32_t swallowed;

	BB_COUNT(s->side->row, counter, 1);
	if (bb_log_limiter_pass(&io->log_limiter, io->now_ns, &swallowed))
		bb_log_warn("PEER-REFUSED", "cause=%s endpoint=%s peer=%s swallowed=%u", cause,
			s->side->endpoint->name, s->row->address, swallowed);
}

void
session_turn_away(struct bb_io *io, struct session *s, unsigned counter, const char *cause)
{
	count_refusal(io, s, counter, cause);
	session_close(io, s, BB_IO_OUT_PEER_GONE);
}

void
session_refuse(struct bb_io *io, struct session *s, unsigned counter, const char *cause)
{
	uint8_t frame[BB_ZMTP_ERROR_MAX];
	const bool told = s->state == SESSION_HANDSHAKE || s->state == SESSION_READY;

	count_refusal(io, s, counter, cause);
	/* ERROR needs a border of frames: a peer that is in the midst of a message just loses its connection.
	 */
	if (!told || s->stream == NULL || !bb_sendq_at_border(&s->sendq)) {
		session_close(io, s, BB_IO_OUT_PEER_GONE);
		return;
	}
	drop_queue(io, s, BB_IO_OUT_PEER_GONE);
	assembly_drop(io, s);
	if (s->rx_stopped) { /* what it says does not matter any more, but that it goes does */
		ingress_resume(io, s);
		bb_list_append(&io->ready, &s->ready_node);
	}
	leave_ready(s);
	session_enter(io, s, SESSION_FLUSHING);
	session_push(io, s, frame, bb_zmtp_encode_error(frame, sizeof(frame), cause));
	egress_want_flush(io, s);
	session_timer_arm(io, s);
}

void
session_flushed(struct bb_io *io, struct session *s)
{
	(void)io;
	if (s->orderly || s->ctl.begin < s->ctl.end || !bb_sendq_empty(&s->sendq))
		return;
	s->orderly = true;
	s->owes.pong = false; /* nothing is written any more */
	bb_stream_finish(s->stream);
	session_timer_arm(io, s);
}

void
session_close(struct bb_io *io, struct session *s, unsigned dropped)
{
	if (s->state == SESSION_CLOSING)
		return;
	const uint64_t bytes = s->sendq.unsent.bytes;
	const uint64_t msgs = drop_queue(io, s, dropped);
	if (dropped == BB_IO_OUT_SHUTDOWN) {
		s->cut_msgs = msgs;
		s->cut_bytes = bytes;
	}
	assembly_drop(io, s);
	ingress_resume(io, s);
	leave_ready(s);
	session_enter(io, s, SESSION_CLOSING);
	if (bb_list_linked(&s->half_open_node)) {
		bb_list_remove(&s->half_open_node);
		io->half_open_count--;
	}
	bb_list_remove(&s->ready_node);
	bb_list_remove(&s->flush_node);
	bb_wheel_cancel(&s->timer);
	bb_stream_destroy(s->stream);
	s->stream = NULL;
	session_ctl_release(io, s);
	if (s->attached)
		s->gone_todo = session_routers(io, s) & ~s->attach_todo;
	s->attach_todo = 0;
	bb_mem_free(io->mem, s->attach_id, s->attach_id_len);
	s->attach_id = NULL;
	s->attach_id_len = 0;
	session_want_control(io, s); /* GONE, or just the slot */
}

bool
session_release(struct bb_io *io, struct session *s)
{
	const uint32_t slot = bb_handle_slot(s->handle);

	if (s->state != SESSION_CLOSING || s->gone_todo != 0 || s->gone_wait != 0 || s->tag != 0 ||
		s->cut_msgs != 0)
		return false;
	bb_list_remove(&s->control_node);
	session_row_begin(s->row);
	memset(&s->row->handle, 0, sizeof(*s->row) - offsetof(struct bb_session_row, handle));
	session_row_end(s->row);
	s->side->session_count--;
	atomic_fetch_sub_explicit(&io->fabric->io_load[io->index], 1, memory_order_relaxed);
	if (++io->generations[slot] == 0)
		io->generations[slot] = 1;
	io->sessions[slot] = NULL;
	io->free_slots[io->free_count++] = slot;
	bb_mem_free(io->mem, s->id, s->id_len);
	bb_mem_free(io->mem, s, sizeof(*s));
	return true;
}

static void
on_event(struct bb_stream *stream, enum bb_stream_event event, uint64_t arg)
{
	struct session *s = stream->user;
	struct bb_io *io = s->io;

	switch (event) {
	case BB_STREAM_CONNECTED:
		session_enter(io, s, SESSION_GREETING);
		if (session_greeted(io, s))
			egress_want_flush(io, s);
		break;
	case BB_STREAM_READABLE:
		if (s->side->draining && s->tx_refused) {
			s->tx_refused = false; /* nobody reads it: a write tells whether this was its end */
			egress_want_flush(io, s);
		}
		if (!bb_list_linked(&s->ready_node))
			bb_list_append(&io->ready, &s->ready_node);
		break;
	case BB_STREAM_TX_ROOM:
		s->tx_refused = false;
		egress_want_flush(io, s);
		break;
	case BB_STREAM_TX_RELEASED:
		BB_ASSERT(false); /* comes only from a transport that does not copy; none is linked yet */
		break;
	case BB_STREAM_CLOSED:
		s->reason = (uint8_t)arg;
		session_close(io, s, BB_IO_OUT_PEER_GONE);
		break;
	}
}
