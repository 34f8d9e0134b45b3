/* SPDX-License-Identifier: BSD-3-Clause */
/* What a session and its peer say to each other besides messages: greeting, READY, claims, commands. */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "transport/session.h"
#include "zmtp/command.h"
#include "zmtp/frame.h"

/* False: there is no memory for it, and the session is closed: nothing may follow what was left out. */
static bool
push_or_close(struct bb_io *io, struct session *s, const uint8_t *p, size_t n)
{
	if (session_push(io, s, p, n))
		return true;
	session_turn_away(io, s, BB_IO_CLOSED_MEMORY, "memory");
	return false;
}

/* False: the session was closed. */
static bool
send_ready(struct bb_io *io, struct session *s)
{
	uint8_t frame[BB_ZMTP_READY_MAX];
	const struct bb_side_options *o = s->side->options;
	const enum bb_zmtp_type type = (enum bb_zmtp_type)o->socket_type;
	const struct bb_zmtp_view identity = { o->identity, o->identity_len };

	s->ready_sent = true;
	return push_or_close(io, s, frame,
		bb_zmtp_encode_ready(
			frame, sizeof(frame), type, bb_zmtp_type_has_identity(type) ? &identity : NULL));
}

bool
session_greeted(struct bb_io *io, struct session *s)
{
	uint8_t out[BB_ZMTP_GREETING_LEN];
	const struct bb_zmtp_greeting *g = &s->greeting;

	if (g->state == BB_ZMTP_GREETING_REFUSED) {
		const enum bb_zmtp_cause cause = (enum bb_zmtp_cause)g->cause;
		session_refuse(io, s,
			cause == BB_ZMTP_MECHANISM	 ? BB_IO_REFUSED_MECHANISM
			: cause == BB_ZMTP_BAD_SIGNATURE ? BB_IO_REFUSED_GREETING
							 : BB_IO_REFUSED_VERSION,
			bb_zmtp_cause_name(cause));
		return false;
	}
	const size_t n = bb_zmtp_greeting_output(&s->greeting, out, sizeof(out));
	if (n > 0 && !push_or_close(io, s, out, n))
		return false;
	if (g->state != BB_ZMTP_GREETING_DONE)
		return true;
	s->is_31 = bb_zmtp_greeting_is_31(g);
	s->row->zmtp_minor = g->major > 3 ? 1 : g->minor;
	session_enter(io, s, SESSION_HANDSHAKE);
	/* Our READY waits only for what it depends on: the side that the peer means, or a claim. */
	if (!s->side->options->claims && !s->side->endpoint->shared_address)
		return send_ready(io, s);
	return true;
}

static void
become_ready(struct bb_io *io, struct session *s)
{
	if (!s->ready_sent && !send_ready(io, s))
		return;
	session_enter(io, s, SESSION_READY);
	s->counted_ready = s->was_ready = true;
	s->last_ping_ns = io->now_ns;
	BB_COUNT(s->side->row, BB_IO_HANDSHAKES, 1);
	BB_COUNT(s->side->row, BB_IO_PEERS, 1);
	session_timer_arm(io, s);
}

/* The peer's type tells which side of a shared address it means. */
static bool
choose_side(struct bb_io *io, struct session *s)
{
	if (bb_zmtp_type_compatible(
		    (enum bb_zmtp_type)s->peer_type, (enum bb_zmtp_type)s->side->options->socket_type))
		return true;
	if (!s->side->endpoint->shared_address)
		return false;
	struct side *other = io->sides[s->side->index ^ 1];
	if (!bb_zmtp_type_compatible(
		    (enum bb_zmtp_type)s->peer_type, (enum bb_zmtp_type)other->options->socket_type))
		return false;
	s->side->session_count--;
	other->session_count++;
	s->side = other;
	s->side_number = other->number;
	s->row->side = other->index;
	return true;
}

static bool
has_credit(const struct session *s)
{
	switch ((enum bb_pattern)s->side->endpoint->pattern) {
	case BB_PATTERN_PUBSUB:
		return s->side_number == 1 && s->side->options->when_full == BB_FULL_BLOCK;
	case BB_PATTERN_PIPELINE:
	case BB_PATTERN_REQREP:
		return s->side_number == 1;
	}
	BB_ASSERT(false);
	return false;
}

void
session_limits(struct bb_io *io, struct session *s)
{
	const struct bb_side_options *o = s->side->options;

	s->sendq.hwm = (struct bb_hwm){ .msgs_max = o->hwm_msgs, .bytes_max = o->hwm_bytes };
	s->credit = has_credit(s);
	if (s->credit && s->state == SESSION_READY) {
		s->owes.credit = true;
		session_want_control(io, s);
	}
}

static void
attach(struct bb_io *io, struct session *s, const struct bb_zmtp_view *identity)
{
	if (s->side->options->claims && identity->len > 0) {
		s->attach_id = bb_mem_alloc(io->mem, identity->len);
		if (s->attach_id == NULL) {
			session_turn_away(io, s, BB_IO_CLOSED_MEMORY, "memory");
			return;
		}
		memcpy(s->attach_id, identity->p, identity->len);
		s->attach_id_len = (uint8_t)identity->len;
	}
	s->subscriber = s->side->endpoint->pattern == BB_PATTERN_PUBSUB && s->side_number == 1;
	session_limits(io, s);
	s->attach_todo = session_routers(io, s);
	s->attached = true;
	session_want_control(io, s);
	if (!s->side->options->claims)
		become_ready(io, s);
}

static void
on_ready(struct bb_io *io, struct session *s, struct bb_zmtp_view data)
{
	struct bb_zmtp_peer peer;
	const int error = bb_zmtp_metadata_read(data, &peer);

	if (error != 0) {
		const enum bb_zmtp_cause cause = (enum bb_zmtp_cause) - error;
		session_refuse(io, s,
			cause == BB_ZMTP_SOCKET_TYPE ? BB_IO_REFUSED_TYPE : BB_IO_REFUSED_COMMAND,
			bb_zmtp_cause_name(cause));
		return;
	}
	s->ready_received = true;
	s->peer_type = (uint8_t)peer.type;
	s->row->socket_type = (uint8_t)peer.type;
	if (!choose_side(io, s)) {
		session_refuse(io, s, BB_IO_REFUSED_TYPE, bb_zmtp_cause_name(BB_ZMTP_SOCKET_TYPE_MATCH));
		return;
	}
	attach(io, s, &peer.identity);
}

size_t
session_handshake(struct bb_io *io, struct session *s, const uint8_t *p, size_t n)
{
	struct bb_zmtp_command c;
	struct bb_frame f;

	if (s->ready_received)
		return 0; /* the router has not granted yet */
	const int header = bb_frame_parse(p, n, &f);
	if (header == 0)
		return 0;
	if (header < 0) {
		session_refuse(io, s, BB_IO_REFUSED_FRAME, bb_zmtp_cause_name((enum bb_zmtp_cause) - header));
		return n;
	}
	if (!(f.flags & BB_FRAME_COMMAND)) {
		session_refuse(io, s, BB_IO_REFUSED_COMMAND, bb_zmtp_cause_name(BB_ZMTP_HANDSHAKE));
		return n;
	}
	if (f.len > BB_HALF_OPEN_BYTES - BB_FRAME_HEADER_MAX) {
		session_refuse(io, s, BB_IO_REFUSED_COMMAND, bb_zmtp_cause_name(BB_ZMTP_COMMAND_SIZE));
		return n;
	}
	if (f.len > n - (size_t)header)
		return 0;
	const int error = bb_zmtp_command_parse(p + header, (size_t)f.len, &c);
	if (error != 0)
		session_refuse(
			io, s, BB_IO_REFUSED_COMMAND, bb_zmtp_cause_name((enum bb_zmtp_cause) - error));
	else if (c.type == BB_ZMTP_CMD_READY)
		on_ready(io, s, c.data);
	else if (c.type == BB_ZMTP_CMD_ERROR)
		session_refuse(io, s, BB_IO_REFUSED_COMMAND, bb_zmtp_cause_name(BB_ZMTP_PEER_ERROR));
	else
		session_refuse(io, s, BB_IO_REFUSED_COMMAND, bb_zmtp_cause_name(BB_ZMTP_HANDSHAKE));
	return (size_t)header + (size_t)f.len;
}

void
session_granted(struct bb_io *io, struct session *s, const uint8_t *id, uint32_t len)
{
	if (s->state != SESSION_HANDSHAKE)
		return; /* it has gone meanwhile */
	if (len > 0) {
		s->id = bb_mem_alloc(io->mem, len + 2);
		if (s->id == NULL) {
			session_turn_away(io, s, BB_IO_CLOSED_MEMORY, "memory");
			return;
		}
		s->id[0] = BB_FRAME_MORE;
		s->id[1] = (uint8_t)len;
		memcpy(s->id + 2, id, len);
		s->id_len = (uint16_t)(len + 2);
		session_row_begin(s->row);
		s->row->id_len = (uint8_t)len;
		memcpy(s->row->id, id, len < sizeof(s->row->id) ? len : sizeof(s->row->id));
		session_row_end(s->row);
	}
	become_ready(io, s);
	if (s->state != SESSION_READY)
		return;
	ingress_resume(io, s);
	if (!bb_list_linked(&s->ready_node))
		bb_list_append(&io->ready, &s->ready_node); /* what came behind its READY was left unread */
}

void
session_refused(struct bb_io *io, struct session *s, enum bb_refusal cause)
{
	/* Only what will not be better next time is said with ERROR: after that stock clients never come back. */
	static const struct {
		unsigned counter;
		const char *name;
		bool for_good;
	} refusals[] = {
		[BB_REFUSED_ID_TAKEN] = { BB_IO_REFUSED_CLAIM, "id_taken", false },
		[BB_REFUSED_ID_BAD] = { BB_IO_REFUSED_CLAIM, "id_bad", true },
		[BB_REFUSED_NO_MEMORY] = { BB_IO_CLOSED_MEMORY, "memory", false },
		[BB_REFUSED_REMOVED] = { BB_IO_REFUSED_LIMIT, "removed", false },
		[BB_REFUSED_SUBSCRIPTIONS] = { BB_IO_REFUSED_SUBSCRIPTION, "subscriptions", true },
		[BB_REFUSED_SLOW] = { BB_IO_CLOSED_SLOW, "slow", false },
	};

	BB_ASSERT((size_t)cause < BB_ARRAY_LEN(refusals) && refusals[cause].name != NULL);
	if (s->state == SESSION_FLUSHING || s->state == SESSION_CLOSING)
		return; /* on its way out: every shard that a subscriber is known to may say so */
	(refusals[cause].for_good ? session_refuse : session_turn_away)(
		io, s, refusals[cause].counter, refusals[cause].name);
}

void
session_ping(struct bb_io *io, struct session *s)
{
	uint8_t frame[BB_ZMTP_PING_MAX];
	const struct bb_zmtp_view none = { NULL, 0 };

	s->last_ping_ns = io->now_ns;
	if (s->ctl.begin < s->ctl.end)
		return; /* it does not even take what waits: one more PING would not help */
	BB_COUNT(s->side->row, BB_IO_PINGS_SENT, 1);
	session_push(io, s, frame,
		bb_zmtp_encode_ping(frame, sizeof(frame), s->side->options->heartbeat_ttl_ds, none));
}

/* Of the PONGs that are owed only the newest counts; it is written when nothing else waits (session_pong). */
static void
owe_pong(struct bb_io *io, struct session *s, struct bb_zmtp_view context)
{
	s->owes.pong = true;
	s->pong_len = (uint8_t)context.len;
	if (context.len > 0)
		memcpy(s->pong_context, context.p, context.len);
	egress_want_flush(io, s);
}

void
session_pong(struct bb_io *io, struct session *s)
{
	uint8_t frame[BB_ZMTP_PONG_MAX];
	const struct bb_zmtp_view context = { s->pong_context, s->pong_len };

	s->owes.pong = !session_push(io, s, frame, bb_zmtp_encode_pong(frame, sizeof(frame), context));
	if (s->owes.pong)
		session_want_control(io, s); /* next turn */
}

int
session_command(struct bb_io *io, struct session *s, const uint8_t *body, size_t len)
{
	struct bb_zmtp_command c;
	const int error = bb_zmtp_command_parse(body, len, &c);

	if (error != 0) {
		session_refuse(
			io, s, BB_IO_REFUSED_COMMAND, bb_zmtp_cause_name((enum bb_zmtp_cause) - error));
		return -ECONNABORTED;
	}
	switch (c.type) {
	case BB_ZMTP_CMD_SUBSCRIBE:
	case BB_ZMTP_CMD_CANCEL:
		return session_subscription(io, s, c.type == BB_ZMTP_CMD_SUBSCRIBE, c.data.p, c.data.len);
	case BB_ZMTP_CMD_PING:
		BB_COUNT(s->side->row, BB_IO_PINGS_RECEIVED, 1);
		s->peer_ttl_ds = c.ttl_ds;
		if (c.ttl_ds != 0)
			session_timer_arm(io, s);
		owe_pong(io, s, c.data);
		return 0;
	case BB_ZMTP_CMD_PONG:
		return 0; /* any octet is life */
	case BB_ZMTP_CMD_ERROR:
		session_refuse(io, s, BB_IO_REFUSED_COMMAND, bb_zmtp_cause_name(BB_ZMTP_PEER_ERROR));
		return -ECONNABORTED;
	case BB_ZMTP_CMD_READY:
	case BB_ZMTP_CMD_UNKNOWN:
		BB_COUNT(s->side->row, BB_IO_UNKNOWN_COMMANDS, 1);
		return 0;
	}
	BB_ASSERT(false);
	return 0;
}
