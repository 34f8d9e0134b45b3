/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a session: greeting, handshake, commands, heartbeats, end. */
#include "transport/session.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "zmtp/command.h"
#include "zmtp/frame.h"

#define FLUSHING_NS BB_SEC		/* a refused peer has so long to take its ERROR */
#define BACKLOG_POLL_NS (10 * BB_MSEC)	/* between looks at what a half-closed peer has not acknowledged */
#define STOPPED_PING_NS (100 * BB_MSEC) /* a peer that is not read is shown life so often ... */
#define STOPPED_PINGS_PER_SEC 2000	/* ... unless there are more of them than this allows */

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

static void
row_begin(struct bb_session_row *row)
{
	__atomic_store_n(&row->seq, row->seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void
row_end(struct bb_session_row *row)
{
	__atomic_store_n(&row->seq, row->seq + 1, __ATOMIC_RELEASE);
}

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

/* --- adopting
 * ---------------------------------------------------------------------------------------------------- */

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

	row_begin(row);
	memset(&row->handle, 0, sizeof(*row) - offsetof(struct bb_session_row, handle));
	row->handle = s->handle;
	row->connected_ns = io->now_ns;
	row->side = s->side->index;
	row->state = s->state;
	row->outgoing = s->outgoing;
	strncpy(row->address, address, sizeof(row->address) - 1);
	row_end(row);
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
	half_open_append(io, s);
	stream->user = s;
	stream->on_event = on_event;
	session_timer_arm(io, s);
	if (!s->outgoing && session_greeted(io, s))
		bb_list_append(&io->ready, &s->ready_node);
	return 0;
}

/* --- handshake
 * ----------------------------------------------------------------------------------------------------- */

static void
push_ctl(struct bb_io *io, struct session *s, const uint8_t *p, size_t n)
{
	uint8_t *to = session_ctl_room(io, s, n);

	if (to == NULL)
		return; /* the peer notices by its own time-out; nobody else does */
	memcpy(to, p, n);
	s->ctl.end += (uint32_t)n;
	egress_want_flush(io, s);
}

static void
send_ready(struct bb_io *io, struct session *s)
{
	uint8_t frame[BB_ZMTP_READY_MAX];
	const struct bb_side_options *o = s->side->options;
	const enum bb_zmtp_type type = (enum bb_zmtp_type)o->socket_type;
	const struct bb_zmtp_view identity = { o->identity, o->identity_len };

	s->ready_sent = true;
	push_ctl(io, s, frame,
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
	if (n > 0)
		push_ctl(io, s, out, n);
	if (g->state != BB_ZMTP_GREETING_DONE)
		return true;
	s->is_31 = bb_zmtp_greeting_is_31(g);
	s->row->zmtp_minor = g->major > 3 ? 1 : g->minor;
	session_enter(io, s, SESSION_HANDSHAKE);
	/* Our READY waits only for what it depends on: the side that the peer means, or a claim. */
	if (!s->side->options->claims && !s->side->endpoint->shared_address)
		send_ready(io, s);
	return true;
}

static void
become_ready(struct bb_io *io, struct session *s)
{
	session_enter(io, s, SESSION_READY);
	s->counted_ready = s->was_ready = true;
	s->last_ping_ns = io->now_ns;
	BB_COUNT(s->side->row, BB_IO_HANDSHAKES, 1);
	BB_COUNT(s->side->row, BB_IO_PEERS, 1);
	if (!s->ready_sent)
		send_ready(io, s);
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
			session_refuse(io, s, BB_IO_CLOSED_MEMORY, "memory");
			return;
		}
		memcpy(s->attach_id, identity->p, identity->len);
		s->attach_id_len = (uint8_t)identity->len;
	}
	s->subscriber = s->side->endpoint->pattern == BB_PATTERN_PUBSUB && s->side_number == 1;
	s->credit = has_credit(s);
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
			session_refuse(io, s, BB_IO_CLOSED_MEMORY, "memory");
			return;
		}
		s->id[0] = BB_FRAME_MORE;
		s->id[1] = (uint8_t)len;
		memcpy(s->id + 2, id, len);
		s->id_len = (uint16_t)(len + 2);
		row_begin(s->row);
		s->row->id_len = (uint8_t)len;
		memcpy(s->row->id, id, len < sizeof(s->row->id) ? len : sizeof(s->row->id));
		row_end(s->row);
	}
	become_ready(io, s);
	ingress_resume(io, s);
	if (!bb_list_linked(&s->ready_node))
		bb_list_append(&io->ready, &s->ready_node); /* what came behind its READY was left unread */
}

void
session_refused(struct bb_io *io, struct session *s, enum bb_refusal cause)
{
	static const struct {
		unsigned counter;
		const char *name;
	} refusals[] = {
		[BB_REFUSED_ID_TAKEN] = { BB_IO_REFUSED_CLAIM, "id_taken" },
		[BB_REFUSED_ID_BAD] = { BB_IO_REFUSED_CLAIM, "id_bad" },
		[BB_REFUSED_NO_MEMORY] = { BB_IO_CLOSED_MEMORY, "memory" },
		[BB_REFUSED_REMOVED] = { BB_IO_REFUSED_LIMIT, "removed" },
		[BB_REFUSED_SUBSCRIPTIONS] = { BB_IO_REFUSED_SUBSCRIPTION, "subscriptions" },
		[BB_REFUSED_SLOW] = { BB_IO_CLOSED_SLOW, "slow" },
	};

	BB_ASSERT((size_t)cause < BB_ARRAY_LEN(refusals) && refusals[cause].name != NULL);
	session_refuse(io, s, refusals[cause].counter, refusals[cause].name);
}

/* --- commands
 * ---------------------------------------------------------------------------------------------------------
 */

static void
send_ping(struct bb_io *io, struct session *s)
{
	uint8_t frame[BB_ZMTP_PING_MAX];
	const struct bb_zmtp_view none = { NULL, 0 };

	s->last_ping_ns = io->now_ns;
	if (s->ctl.begin < s->ctl.end)
		return; /* it does not even take what waits: one more PING would not help */
	BB_COUNT(s->side->row, BB_IO_PINGS_SENT, 1);
	push_ctl(io, s, frame,
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

	s->owes.pong = false;
	push_ctl(io, s, frame, bb_zmtp_encode_pong(frame, sizeof(frame), context));
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

/* --- end
 * ----------------------------------------------------------------------------------------------------------------
 */

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

void
session_refuse(struct bb_io *io, struct session *s, unsigned counter, const char *cause)
{
	uint8_t frame[BB_ZMTP_ERROR_MAX];
	uint32_t swallowed;
	const bool told = s->state == SESSION_HANDSHAKE || s->state == SESSION_READY;

	BB_COUNT(s->side->row, counter, 1);
	if (bb_log_limiter_pass(&io->log_limiter, io->now_ns, &swallowed))
		bb_log_warn("PEER-REFUSED", "cause=%s endpoint=%s peer=%s swallowed=%u", cause,
			s->side->endpoint->name, s->row->address, swallowed);
	/* ERROR needs a border of frames: a peer that is in the midst of a message just loses its connection.
	 */
	if (!told || s->stream == NULL || !bb_sendq_at_border(&s->sendq)) {
		session_close(io, s, BB_IO_OUT_PEER_GONE);
		return;
	}
	drop_queue(io, s, BB_IO_OUT_PEER_GONE);
	ingress_drop_assembly(io, s);
	leave_ready(s);
	session_enter(io, s, SESSION_FLUSHING);
	push_ctl(io, s, frame, bb_zmtp_encode_error(frame, sizeof(frame), cause));
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
	ingress_drop_assembly(io, s);
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
	row_begin(s->row);
	memset(&s->row->handle, 0, sizeof(*s->row) - offsetof(struct bb_session_row, handle));
	row_end(s->row);
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

/* --- events and timers
 * ----------------------------------------------------------------------------------------------------- */

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

/* An incomplete message or command lies at the front. */
static bool
incomplete(const struct session *s)
{
	return s->assembly.head != BB_BUFFER_NONE || s->partial;
}

static uint64_t
stopped_ping_interval(const struct bb_io *io)
{
	const uint64_t spread = (uint64_t)io->stopped_count * BB_SEC / STOPPED_PINGS_PER_SEC;

	return bb_max_u64(STOPPED_PING_NS, spread);
}

/* When the next PING is due; BB_NEVER if none is. */
static uint64_t
ping_deadline(const struct bb_io *io, const struct session *s)
{
	const struct bb_side_options *o = s->side->options;

	if (!s->is_31)
		return BB_NEVER;
	if (s->rx_stopped)
		return s->last_ping_ns + stopped_ping_interval(io);
	if (o->heartbeat_interval_ns == 0)
		return BB_NEVER;
	/* Who speaks need not be asked, unless it counts on hearing us (ttl). */
	const uint64_t since = o->heartbeat_ttl_ds != 0 ? s->last_ping_ns
							: bb_max_u64(s->last_ping_ns, s->last_rx_ns);
	return since + o->heartbeat_interval_ns;
}

/* When silence of the peer ends the session; suspended while we do not read. */
static uint64_t
silence_deadline(const struct session *s)
{
	const struct bb_side_options *o = s->side->options;
	uint64_t deadline = BB_NEVER;

	if (s->rx_stopped)
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
	return incomplete(s) && !s->rx_stopped ? s->last_rx_ns + BB_INCOMPLETE_IDLE_NS : BB_NEVER;
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
		session_refuse(io, s, BB_IO_TIMEOUT_INCOMPLETE, "incomplete_message");
		return;
	}
	if (ping_deadline(io, s) <= io->now_ns)
		send_ping(io, s);
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
			session_refuse(io, s, BB_IO_TIMEOUT_HANDSHAKE,
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
