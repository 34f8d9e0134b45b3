/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When a session's patience ends: handshake, heartbeats, incomplete messages, linger. One timer per session, moved only
 * forward; what it finds when it fires decides, so nothing is touched when a byte arrives.
 */
#include "base/assert.h"
#include "transport/session.h"

#define FLUSHING_NS BB_SEC		/* a refused peer has so long to take its ERROR */
#define BACKLOG_POLL_NS (10 * BB_MSEC)	/* between looks at what a half-closed peer has not acknowledged */
#define STOPPED_PING_NS (100 * BB_MSEC) /* a peer that is not read is shown life so often ... */
#define STOPPED_PINGS_PER_SEC 2000	/* ... unless there are more of them than this allows */

/* An incomplete message or command lies at the front. */
static bool
incomplete(const struct session *s)
{
	return s->assembly.head != BB_BUFFER_NONE || s->partial;
}

/* Nothing of it is read now, and that is our doing. */
static bool
unread(const struct session *s)
{
	return s->rx_stopped || s->side->draining;
}

static uint64_t
stopped_ping_interval(const struct bb_io *io, const struct side *side)
{
	const uint64_t count = io->stopped_count + (side->draining ? side->session_count : 0);
	const uint64_t spread = count * BB_SEC / STOPPED_PINGS_PER_SEC;

	return bb_max_u64(STOPPED_PING_NS, spread);
}

/* When the next PING is due; BB_NEVER if none is. */
static uint64_t
ping_deadline(const struct bb_io *io, const struct session *s)
{
	const struct bb_side_options *o = s->side->options;

	if (!s->is_31)
		return BB_NEVER;
	if (unread(s))
		return s->last_ping_ns + stopped_ping_interval(io, s->side);
	if (o->heartbeat_interval_ns == 0)
		return BB_NEVER;
	return s->last_ping_ns + o->heartbeat_interval_ns;
}

/* When silence of the peer ends the session; suspended while we do not read. */
static uint64_t
silence_deadline(const struct session *s)
{
	const struct bb_side_options *o = s->side->options;
	uint64_t deadline = BB_NEVER;

	if (unread(s))
		return BB_NEVER;
	if (s->is_31 && o->heartbeat_interval_ns != 0 && o->heartbeat_timeout_ns != 0)
		deadline = s->last_rx_ns + o->heartbeat_interval_ns + o->heartbeat_timeout_ns;
	if (s->peer_ttl_ds != 0)
		deadline = bb_min_u64(deadline, s->last_rx_ns + s->peer_ttl_ds * (100 * BB_MSEC));
	return deadline;
}

static uint64_t
incomplete_deadline(const struct session *s)
{
	return incomplete(s) && !unread(s) ? s->last_rx_ns + BB_INCOMPLETE_IDLE_NS : BB_NEVER;
}

static uint64_t
deadline_of(const struct bb_io *io, const struct session *s)
{
	switch (s->state) {
	case SESSION_CONNECTING:
	case SESSION_GREETING:
	case SESSION_HANDSHAKE:
		return s->side->options->handshake_timeout_ns == 0
			       ? BB_NEVER
			       : s->since_first_ns + s->side->options->handshake_timeout_ns;
	case SESSION_READY:
		return bb_min_u64(
			bb_min_u64(ping_deadline(io, s), silence_deadline(s)), incomplete_deadline(s));
	case SESSION_FLUSHING:
		return s->since_ns + FLUSHING_NS;
	case SESSION_DRAINING:
		return s->orderly ? bb_min_u64(s->deadline_ns, io->now_ns + BACKLOG_POLL_NS) : s->deadline_ns;
	default:
		return BB_NEVER;
	}
}

void
session_timer_arm(struct bb_io *io, struct session *s)
{
	const uint64_t deadline = deadline_of(io, s);

	/* A timer that fires too early only looks again; so it is moved forward, never back. */
	if (deadline < s->timer.deadline_ns)
		bb_wheel_set(&io->wheel, &s->timer, deadline);
}

static void
ready_timer(struct bb_io *io, struct session *s)
{
	if (silence_deadline(s) <= io->now_ns) {
		BB_COUNT(s->side->row, BB_IO_TIMEOUT_HEARTBEAT, 1);
		s->reason = BB_STREAM_TIMED_OUT;
		session_close(io, s, BB_IO_OUT_PEER_GONE);
		return;
	}
	if (incomplete_deadline(s) <= io->now_ns) {
		session_turn_away(io, s, BB_IO_TIMEOUT_INCOMPLETE, "incomplete_message");
		return;
	}
	if (ping_deadline(io, s) <= io->now_ns)
		session_ping(io, s);
}

void
session_on_timer(struct bb_io *io, struct session *s)
{
	switch (s->state) {
	case SESSION_CONNECTING:
	case SESSION_GREETING:
	case SESSION_HANDSHAKE:
		if (deadline_of(io, s) <= io->now_ns) {
			s->reason = BB_STREAM_TIMED_OUT;
			session_turn_away(io, s, BB_IO_TIMEOUT_HANDSHAKE,
				bb_zmtp_cause_name(BB_ZMTP_HANDSHAKE_TIMEOUT));
		}
		break;
	case SESSION_READY:
		ready_timer(io, s);
		break;
	case SESSION_FLUSHING:
		if (deadline_of(io, s) <= io->now_ns)
			session_close(io, s, BB_IO_OUT_PEER_GONE);
		break;
	case SESSION_DRAINING:
		if (s->orderly && bb_stream_tx_backlog(s->stream) == 0)
			session_close(io, s, BB_IO_OUT_SHUTDOWN);
		else if (s->deadline_ns <= io->now_ns)
			session_close(io, s, BB_IO_OUT_SHUTDOWN);
		break;
	default:
		break;
	}
	session_timer_arm(io, s);
}
