/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ingress: from the bytes of a peer to the batches of routers.
 *
 * The common case is a view full of whole canonical messages: one pass over their headers writes the
 * descriptors, one copy takes the run. What is out of the ordinary (not canonical, longer than a view, a
 * command between its frames) is put together frame by frame in buffers of its own, the assembly, and joins
 * the batch when it is whole.
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "transport/session.h"
#include "zmtp/command.h"
#include "zmtp/frame.h"

#define VIEW_PIECES 64
#define SESSIONS_RESUMED 16 /* per window and turn, and of those that waited for memory */

enum scan_result {
	SCAN_WHOLE,   /* canonical, all there */
	SCAN_PART,    /* plain so far, the rest is to come and will fit a view */
	SCAN_ODD,     /* for the assembly */
	SCAN_COMMAND, /* the next frame is a command */
	SCAN_REFUSED,
};

enum stop
ingress_stop_of(int error)
{
	return error == 0 ? STOP_NOT : error == -ENOBUFS ? STOP_STARVED : STOP_STUCK;
}

bool
ingress_publish(struct bb_io *io, uint32_t router)
{
	struct bb_batch_writer *w = &io->out[router];
	struct bb_slice slice;

	if (!bb_batch_slice(w, &slice))
		return true;
	if (bb_ring_push(bb_fabric_slices(io->fabric, io->index, router), &slice, 1) == 0) {
		bb_batch_refused(w);
		io->out_stuck |= UINT64_C(1) << router;
		return false;
	}
	bb_batch_published(w);
	io->published |= UINT64_C(1) << router;
	return true;
}

int
ingress_reserve(struct bb_io *io, uint32_t router, enum bb_pool_use use, uint32_t bytes, uint32_t words)
{
	int error = bb_batch_reserve(&io->out[router], use, bytes, words);

	if (error != -EAGAIN)
		return error;
	if (!ingress_publish(io, router))
		return -EAGAIN;
	return bb_batch_reserve(&io->out[router], use, bytes, words);
}

static uint64_t
window_left(const struct bb_io *io, const struct window *w)
{
	const uint64_t outstanding = w->sent - w->done;
	const uint32_t limit = io->fabric->sizes.window_bytes;

	return outstanding < limit ? limit - outstanding : 0;
}

/* Bytes that may still go to the session's router; *ret_idle: nothing is outstanding, so one message of any
 * size may. */
uint64_t
ingress_window_left(const struct bb_io *io, const struct session *s, bool *ret_idle)
{
	const struct window *w = &s->side->window[s->router];

	*ret_idle = w->sent == w->done;
	return window_left(io, w);
}

void
ingress_count_received(struct session *s, uint64_t msgs, uint64_t bytes, uint64_t window_bytes)
{
	s->side->window[s->router].sent += window_bytes;
	BB_COUNT(s->side->row, BB_IO_RECEIVED, msgs);
	BB_COUNT(s->side->row, BB_IO_RECEIVED_BYTES, bytes);
	BB_COUNT(s->row, BB_SESSION_RECEIVED, msgs);
	BB_COUNT(s->row, BB_SESSION_RECEIVED_BYTES, bytes);
}

/* Put one whole canonical message into the batch, behind the session's routing id if it has one. */
enum stop
ingress_put_message(struct bb_io *io, struct session *s, const struct iovec *iov, size_t iov_count,
	uint32_t len, uint32_t topic_len)
{
	struct bb_batch_writer *w = &io->out[s->router];
	bool idle;
	const uint64_t left = ingress_window_left(io, s, &idle);
	const uint32_t all = s->id_len + len;

	s->rx_need = all;
	if (all > left && !idle)
		return STOP_WINDOW;
	const int error = ingress_reserve(io, s->router, BB_POOL_DATA, all, BB_RUN_WORDS + 1);
	if (error != 0)
		return ingress_stop_of(error);
	bb_batch_run(w, BB_RUN_MSGS, s->handle, s->side->index);
	uint8_t *to = bb_batch_tail(w);
	if (s->id_len > 0) {
		memcpy(to, s->id, s->id_len);
		to += s->id_len;
		topic_len = s->id_len - 2u;
	}
	for (size_t i = 0; i < iov_count; i++) {
		memcpy(to, iov[i].iov_base, iov[i].iov_len);
		to += iov[i].iov_len;
	}
	bb_batch_entry(w, &(struct bb_desc){ .len = all, .topic_len = topic_len }, 1, all);
	ingress_count_received(s, 1, len, all);
	return STOP_NOT;
}

/* The caller refuses the session, once it is done with its view: that ends with the stream. */
static enum scan_result
scan_refuse(struct session *s, uint16_t counter, enum bb_zmtp_cause cause)
{
	s->scan.refusal = counter;
	s->scan.cause = (uint8_t)cause;
	return SCAN_REFUSED;
}

/* Look at the message that begins at p. Goes on from s->scan, and leaves there what it learned of an
 * incomplete one. */
static enum scan_result
scan_message(struct session *s, const uint8_t *p, size_t n, uint32_t *ret_len, uint32_t *ret_topic_len)
{
	const struct bb_side_options *options = s->side->options;
	struct scan *k = &s->scan;

	BB_ASSERT(k->at <= n); /* views do not shrink (transport/stream.h) */
	for (;;) {
		struct bb_frame f;
		const int header = bb_frame_parse(p + k->at, n - k->at, &f);
		if (header == 0)
			return k->at + BB_FRAME_HEADER_MAX <= BB_VIEW_MAX ? SCAN_PART : SCAN_ODD;
		if (header < 0)
			return scan_refuse(s, BB_IO_REFUSED_FRAME, (enum bb_zmtp_cause) - header);
		if (f.flags & BB_FRAME_COMMAND)
			return k->at == 0 ? SCAN_COMMAND : SCAN_ODD;
		if (!bb_frame_is_canonical(p + k->at, &f))
			return SCAN_ODD;
		if (f.len > options->max_message || k->bodies > options->max_message - f.len)
			return scan_refuse(s, BB_IO_REFUSED_OVERSIZE, BB_ZMTP_MESSAGE_SIZE);
		if (k->frames >= options->max_frames)
			return scan_refuse(s, BB_IO_REFUSED_FRAMES, BB_ZMTP_FRAME_COUNT);
		const uint64_t end = k->at + (uint64_t)header + f.len;
		if (end > BB_VIEW_MAX)
			return SCAN_ODD;
		if (end > n)
			return SCAN_PART;
		if (k->at == 0)
			k->topic_len = (uint32_t)f.len;
		if (!(f.flags & BB_FRAME_MORE)) {
			*ret_len = (uint32_t)end;
			*ret_topic_len = k->topic_len;
			*k = (struct scan){ 0 };
			return SCAN_WHOLE;
		}
		k->at = (uint32_t)end;
		k->bodies += (uint32_t)f.len;
		k->frames++;
	}
}

/*
 * Take a run of whole canonical messages from p: descriptors in one pass, then one copy. *ret_stop tells why
 * it ended, with STOP_NOT when what follows is for somebody else (see *ret_scan).
 */
static size_t
take_run(struct bb_io *io, struct session *s, const uint8_t *p, size_t n, enum stop *ret_stop,
	enum scan_result *ret_scan)
{
	struct bb_batch_writer *w = &io->out[s->router];
	const bool any_short = s->side->options->max_message >= BB_FRAME_SHORT_MAX;
	uint32_t len, topic_len;
	bool idle;
	uint64_t left = ingress_window_left(io, s, &idle);

	/* The first message decides whether there is a run, and makes room. */
	*ret_stop = STOP_NOT;
	*ret_scan = scan_message(s, p, n, &len, &topic_len);
	if (*ret_scan != SCAN_WHOLE)
		return 0;
	if (len > left && !idle) {
		s->rx_need = len;
		*ret_stop = STOP_WINDOW;
		return 0;
	}
	const int error = ingress_reserve(io, s->router, BB_POOL_DATA, len, BB_RUN_WORDS + 1);
	if (error != 0) {
		*ret_stop = ingress_stop_of(error);
		return 0;
	}
	bb_batch_run(w, BB_RUN_MSGS, s->handle, s->side->index);

	struct bb_desc *d = bb_batch_descs(w);
	uint32_t room = bb_batch_room(w);
	size_t pos = 0;
	uint32_t count = 0;
	for (;;) {
		*--d = (struct bb_desc){ .len = len, .topic_len = topic_len };
		count++;
		pos += len;
		room -= len + (uint32_t)sizeof(*d);
		left = left > len ? left - len : 0;

		if (n - pos >= BB_FRAME_HEADER_SHORT && bb_likely(p[pos] == 0) && any_short) {
			topic_len = p[pos + 1];
			len = topic_len + BB_FRAME_HEADER_SHORT;
			if (bb_unlikely(len > n - pos)) {
				*ret_scan = SCAN_PART;
				break;
			}
		} else {
			*ret_scan = scan_message(s, p + pos, n - pos, &len, &topic_len);
			if (*ret_scan != SCAN_WHOLE)
				break;
		}
		if (bb_unlikely(len > left)) {
			s->rx_need = len;
			*ret_stop = STOP_WINDOW;
			break;
		}
		if (bb_unlikely(len + sizeof(*d) > room))
			break; /* the buffer is full: begin again with the next */
	}
	memcpy(bb_batch_tail(w), p, pos);
	bb_batch_add_descs(w, count, (uint32_t)pos);
	ingress_count_received(s, count, pos, pos);
	return pos;
}

/* One message of a session whose messages are looked at one by one: a subscriber, or one with a routing id.
 */
static size_t
take_one(struct bb_io *io, struct session *s, const uint8_t *p, size_t n, enum stop *ret_stop,
	enum scan_result *ret_scan)
{
	uint32_t len, topic_len;

	*ret_stop = STOP_NOT;
	*ret_scan = scan_message(s, p, n, &len, &topic_len);
	if (*ret_scan != SCAN_WHOLE)
		return 0;
	if (s->subscriber && !(p[0] & BB_FRAME_MORE)) {
		struct bb_zmtp_subscription sub;
		if (bb_zmtp_subscription_parse(p + (len - topic_len), topic_len, &sub)) {
			*ret_stop = ingress_stop_of(
				session_subscription(io, s, sub.subscribe, sub.topic.p, sub.topic.len));
			return *ret_stop == STOP_NOT ? len : 0;
		}
	}
	const struct iovec iov = { (void *)(uintptr_t)p, len };
	*ret_stop = ingress_put_message(io, s, &iov, 1, len, topic_len);
	return *ret_stop == STOP_NOT ? len : 0;
}

/* A command at a border of messages or of frames. Returns octets consumed; 0 with *ret_stop. */
size_t
ingress_take_command(struct bb_io *io, struct session *s, const uint8_t *p, size_t n, enum stop *ret_stop)
{
	struct bb_frame f;
	const int header = bb_frame_parse(p, n, &f);

	BB_ASSERT(header > 0 && (f.flags & BB_FRAME_COMMAND)); /* the caller saw it */
	if (f.len > BB_VIEW_MAX - BB_FRAME_HEADER_MAX) {
		session_refuse(io, s, BB_IO_REFUSED_COMMAND, bb_zmtp_cause_name(BB_ZMTP_COMMAND_SIZE));
		*ret_stop = STOP_CLOSED;
		return 0;
	}
	if (f.len > n - (size_t)header) {
		*ret_stop = STOP_MORE;
		return 0;
	}
	const int error = session_command(io, s, p + header, (size_t)f.len);
	*ret_stop = error == -ECONNABORTED ? STOP_CLOSED : ingress_stop_of(error);
	return *ret_stop == STOP_NOT ? (size_t)header + (size_t)f.len : 0;
}

/* Decode the messages and commands of a session that is READY; returns octets consumed. */
static size_t
decode(struct bb_io *io, struct session *s, const uint8_t *p, size_t n, enum stop *ret_stop)
{
	size_t pos = 0;

	*ret_stop = STOP_NOT;
	while (*ret_stop == STOP_NOT && (pos < n || assembly_whole(&s->assembly))) {
		enum scan_result scan = SCAN_ODD;
		if (s->assembly.frames == 0 && s->assembly.head == BB_BUFFER_NONE)
			pos += (s->subscriber || s->id_len > 0 ? take_one : take_run)(
				io, s, p + pos, n - pos, ret_stop, &scan);
		if (*ret_stop != STOP_NOT)
			break;
		switch (scan) {
		case SCAN_WHOLE:
			break;
		case SCAN_PART:
			*ret_stop = STOP_MORE;
			break;
		case SCAN_ODD:
			pos += assembly_take(io, s, p + pos, n - pos, ret_stop);
			break;
		case SCAN_COMMAND:
			pos += ingress_take_command(io, s, p + pos, n - pos, ret_stop);
			break;
		case SCAN_REFUSED:
			session_refuse(io, s, s->scan.refusal,
				bb_zmtp_cause_name((enum bb_zmtp_cause)s->scan.cause));
			*ret_stop = STOP_CLOSED;
			break;
		}
	}
	return pos;
}

static size_t
read_greeting(struct bb_io *io, struct session *s, const uint8_t *p, size_t n, enum stop *ret_stop)
{
	const size_t took = bb_zmtp_greeting_feed(&s->greeting, p, n);

	*ret_stop = STOP_NOT;
	if (!session_greeted(io, s))
		*ret_stop = STOP_CLOSED;
	return took;
}

/* By state, as long as it goes on. */
static size_t
read_all(struct bb_io *io, struct session *s, const uint8_t *p, size_t n, enum stop *ret_stop)
{
	size_t pos = 0;

	*ret_stop = STOP_NOT;
	do {
		const size_t before = pos;
		switch (s->state) {
		case SESSION_GREETING:
			pos += read_greeting(io, s, p + pos, n - pos, ret_stop);
			break;
		case SESSION_HANDSHAKE:
			pos += session_handshake(io, s, p + pos, n - pos);
			if (pos == before && s->state == SESSION_HANDSHAKE)
				*ret_stop = STOP_MORE;
			break;
		case SESSION_READY:
			if (s->attach_todo != 0)
				*ret_stop = STOP_STUCK; /* data may not come before ATTACH */
			else
				pos += decode(io, s, p + pos, n - pos, ret_stop);
			break;
		case SESSION_FLUSHING:
			pos = n; /* refused: what it still says does not matter */
			break;
		default:
			*ret_stop = STOP_CLOSED;
		}
	} while (*ret_stop == STOP_NOT && pos < n);
	return pos;
}

static struct window *
window_of(const struct session *s)
{
	return &s->side->window[s->router];
}

static bool
somebody_waits(const struct window *w)
{
	return !bb_list_empty(&w->waiting) || !bb_list_empty(&w->again);
}

/* Not read until ingress_resume(). */
static void
stop_reading(struct bb_io *io, struct session *s, struct bb_list *list)
{
	s->rx_stopped = true;
	s->rx_turn = false;
	bb_list_append(list, &s->ready_node);
	io->stopped_count++;
	session_timer_arm(io, s); /* the peer is shown life more often now */
}

static void
wait_for_window(struct bb_io *io, struct session *s, bool first)
{
	struct window *w = window_of(s);

	if (!bb_list_linked(&w->node))
		bb_list_append(&io->windows, &w->node);
	stop_reading(io, s, first ? &w->again : &w->waiting);
	BB_GAUGE(s->row, BB_SESSION_RX_STOPPED, 1);
}

void
ingress_resume(struct bb_io *io, struct session *s)
{
	struct window *w = window_of(s);

	if (!s->rx_stopped)
		return;
	s->rx_stopped = false;
	s->last_rx_ns = io->now_ns; /* our own time-outs were suspended: they begin anew */
	bb_list_remove(&s->ready_node);
	if (!somebody_waits(w))
		bb_list_remove(&w->node);
	io->stopped_count--;
	BB_GAUGE(s->row, BB_SESSION_RX_STOPPED, 0);
}

void
ingress_window(struct bb_io *io, struct side *side, uint32_t router, uint64_t done)
{
	(void)io;
	BB_ASSERT(done >= side->window[router].done && done <= side->window[router].sent);
	side->window[router].done = done;
}

/* Let those that come first read again, as far as the window has room for what stopped them. */
static void
open_window(struct bb_io *io, struct window *w)
{
	uint32_t budget = SESSIONS_RESUMED;

	bb_list_splice(&w->again, &w->waiting);
	bb_list_move_all(&w->waiting, &w->again);
	bool idle = w->sent == w->done;
	uint64_t left = window_left(io, w);
	bb_list_for_each(n, &w->waiting)
	{
		struct session *s = bb_list_entry(n, struct session, ready_node);
		if (s->rx_need > left && !idle)
			break;
		if (budget-- == 0) {
			io->waiters_left = true;
			break;
		}
		left -= s->rx_need < left ? s->rx_need : left;
		idle = false;
		ingress_resume(io, s);
		s->rx_turn = true;
		bb_list_append(&io->ready, &s->ready_node);
	}
}

void
ingress_open_windows(struct bb_io *io)
{
	io->waiters_left = false;
	bb_list_for_each(n, &io->windows) open_window(io, bb_list_entry(n, struct window, node));
	if (bb_pool_free_count(io->pool) <= io->pool->reserve)
		return;
	for (uint32_t i = 0; i < SESSIONS_RESUMED && !bb_list_empty(&io->starved); i++) {
		struct session *s = bb_list_entry(io->starved.next, struct session, ready_node);
		ingress_resume(io, s);
		bb_list_append(&io->ready, &s->ready_node);
	}
}

/* Linearize a view of several pieces. */
static const uint8_t *
gather(struct bb_io *io, const struct iovec *iov, size_t count, size_t *ret_len)
{
	size_t len = 0;

	if (count == 1) {
		*ret_len = iov[0].iov_len;
		return iov[0].iov_base;
	}
	for (size_t i = 0; i < count && len < BB_VIEW_MAX; i++) {
		const size_t take = iov[i].iov_len < BB_VIEW_MAX - len ? iov[i].iov_len : BB_VIEW_MAX - len;
		memcpy(io->rx_scratch + len, iov[i].iov_base, take);
		len += take;
	}
	*ret_len = len;
	return io->rx_scratch;
}

/*
 * A view of so many pieces that it ends before a message or command does, and would for ever: messages are put
 * together from here, commands have to fit.
 */
static size_t
read_cut_view(struct bb_io *io, struct session *s, const uint8_t *p, size_t n, enum stop *ret_stop)
{
	size_t pos = 0;

	if (s->state == SESSION_READY)
		pos = assembly_take(io, s, p, n, ret_stop);
	if (pos == 0 && *ret_stop == STOP_MORE && !(s->state == SESSION_HANDSHAKE && s->ready_received)) {
		session_refuse(io, s, BB_IO_REFUSED_COMMAND, bb_zmtp_cause_name(BB_ZMTP_COMMAND_SIZE));
		*ret_stop = STOP_CLOSED;
	}
	return pos;
}

/* Its messages wait for their receivers: with memory short they wait at the peer. */
static bool
may_not_drop(const struct session *s)
{
	const struct bb_endpoint *e = s->side->endpoint;

	return s->state == SESSION_READY && s->side_number == 0 &&
	       (e->pattern != BB_PATTERN_PUBSUB || e->side[1].when_full == BB_FULL_BLOCK);
}

uint32_t
ingress_read(struct bb_io *io, struct session *s)
{
	struct iovec iov[VIEW_PIECES];
	enum stop stop;
	size_t len = 0;

	bb_list_remove(&s->ready_node);
	if (s->stream == NULL || s->state == SESSION_CONNECTING || s->state == SESSION_DRAINING)
		return 0;
	if (s->side->draining && s->state == SESSION_READY)
		return 0;
	if (io->out_stuck & UINT64_C(1) << s->router || s->attach_todo != 0) {
		bb_list_append(&io->ready, &s->ready_node); /* order: it keeps its place in the rotation */
		return 0;
	}

	if (bb_unlikely(io->memory_level == MEMORY_SHORT) && may_not_drop(s)) {
		stop_reading(io, s, &io->starved);
		return 0;
	}
	const bool turn = s->rx_turn;
	s->rx_turn = false;
	if (s->state == SESSION_READY && !turn && somebody_waits(window_of(s))) {
		s->rx_need = 1;
		wait_for_window(io, s, false);
		return 0;
	}

	const size_t max = s->state < SESSION_READY ? BB_HALF_OPEN_BYTES : BB_VIEW_MAX;
	const size_t pieces = bb_stream_rx_view(s->stream, iov, VIEW_PIECES, max);
	const uint8_t *p = pieces == 0 ? NULL : gather(io, iov, pieces, &len);
	size_t pos = read_all(io, s, p, len, &stop);
	if (bb_unlikely(pieces == VIEW_PIECES && pos == 0 && stop == STOP_MORE && len < max))
		pos = read_cut_view(io, s, p, len, &stop);
	if (len > 0)
		s->last_rx_ns = io->now_ns;
	if (s->stream == NULL)
		return (uint32_t)pos;
	if (pieces != 0)
		bb_stream_rx_consume(s->stream, pos);

	switch (stop) {
	case STOP_WINDOW:
		wait_for_window(io, s, turn && pos == 0);
		return (uint32_t)pos;
	case STOP_STUCK:
		bb_list_append(&io->ready, &s->ready_node);
		return (uint32_t)pos;
	case STOP_STARVED:
		stop_reading(io, s, &io->starved);
		return (uint32_t)pos;
	case STOP_NOT:
	case STOP_MORE:
	case STOP_CLOSED:
		break;
	}
	if (s->stream->flags & BB_STREAM_RX_END) {
		session_close(io, s, BB_IO_OUT_PEER_GONE);
		return (uint32_t)pos + 1;
	}
	if (s->stream->flags & BB_STREAM_RX_MORE)
		bb_list_append(&io->ready, &s->ready_node);
	s->partial = stop == STOP_MORE && pos < len;
	if (s->partial || s->assembly.head != BB_BUFFER_NONE)
		session_timer_arm(io, s); /* an incomplete message has its own time-out */
	return (uint32_t)pos + 1;
}
