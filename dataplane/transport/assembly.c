/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * assembly: messages out of the ordinary, put together frame by frame in buffers of their own: longer than a view, not
 * canonical, or with a command between their frames. Nothing is taken for a declared length, only for octets that came.
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "transport/session.h"
#include "zmtp/command.h"
#include "zmtp/frame.h"

/* Octets of one message: descriptors, spans and deliveries hold 32 bits. A little is left for ids and headers. */
#define TOTAL_MAX (UINT64_C(0xffffffff) - 4096)

bool
assembly_whole(const struct assembly *a)
{
	return a->frames > 0 && a->frame_left == 0 && !a->more;
}

void
assembly_drop(struct bb_io *io, struct session *s)
{
	struct assembly *a = &s->assembly;

	s->scan = (struct scan){ 0 };
	bb_list_remove(&s->assembling_node);
	if (a->head == BB_BUFFER_NONE)
		return;
	io->assembling_bytes -= a->buffers * (uint64_t)BB_BUFFER_BYTES;
	bb_pool_put(io->pool, a->head, 1);
	*a = (struct assembly){ .head = BB_BUFFER_NONE, .tail = BB_BUFFER_NONE };
}

/*
 * Another buffer for the chain. All incomplete messages together hold at most assembling_max; beyond that the
 * oldest alone goes on.
 */
static bool
assembly_grow(struct bb_io *io, struct session *s)
{
	struct assembly *a = &s->assembly;

	if (io->assembling_bytes >= io->assembling_max && !bb_list_empty(&io->assembling) &&
		io->assembling.next != &s->assembling_node)
		return false;
	const uint32_t buffer = bb_pool_get(io->pool, BB_POOL_DATA);
	if (buffer == BB_BUFFER_NONE)
		return false;
	if (a->head == BB_BUFFER_NONE) {
		a->head = buffer;
		bb_list_append(&io->assembling, &s->assembling_node);
	} else {
		io->pool->buffers[a->tail].next = buffer;
	}
	a->tail = buffer;
	a->buffers++;
	io->assembling_bytes += BB_BUFFER_BYTES;
	return true;
}

/* Append up to n octets; returns how many found room. */
static size_t
assembly_write(struct bb_io *io, struct session *s, const uint8_t *p, size_t n)
{
	struct assembly *a = &s->assembly;
	size_t done = 0;

	while (done < n) {
		if (a->head == BB_BUFFER_NONE || io->pool->buffers[a->tail].used == BB_BUFFER_BYTES) {
			if (!assembly_grow(io, s))
				break;
		}
		struct bb_buffer *b = &io->pool->buffers[a->tail];
		const size_t room = BB_BUFFER_BYTES - b->used;
		const size_t len = n - done < room ? n - done : room;
		memcpy(bb_pool_bytes(io->pool, a->tail) + b->used, p + done, len);
		b->used += (uint32_t)len;
		done += len;
	}
	a->total += done;
	return done;
}

/* Room for a header of any form, so that writing one cannot stop in the middle. */
static bool
assembly_header_room(struct bb_io *io, struct session *s)
{
	const struct assembly *a = &s->assembly;

	if (a->head != BB_BUFFER_NONE &&
		io->pool->buffers[a->tail].used + BB_FRAME_HEADER_MAX <= BB_BUFFER_BYTES)
		return true;
	return assembly_grow(io, s);
}

/* The message is whole: hand it to the router, as an ordinary one if it is short enough. */
static enum stop
assembly_finish(struct bb_io *io, struct session *s)
{
	struct assembly *a = &s->assembly;
	enum stop stop;

	if (a->total - a->id_len <= BB_VIEW_MAX) {
		struct iovec iov[2];
		uint64_t bytes = 0;
		const struct bb_span span = {
			.buffer = a->head, .len = (uint32_t)a->total, .msgs = 1, .chain = 1
		};
		const size_t n = bb_span_iovec(io->pool, &span, a->id_len, iov, 2, &bytes);
		const uint32_t len = (uint32_t)(a->total - a->id_len);
		struct bb_zmtp_subscription sub;
		if (s->subscriber && a->frames == 1 && n == 1 &&
			bb_zmtp_subscription_parse((uint8_t *)iov[0].iov_base + (len - a->topic_len),
				(size_t)a->topic_len, &sub))
			stop = ingress_stop_of(
				session_subscription(io, s, sub.subscribe, sub.topic.p, sub.topic.len));
		else
			stop = ingress_put_message(io, s, iov, n, len, (uint32_t)a->topic_len);
		if (stop == STOP_NOT)
			assembly_drop(io, s);
		return stop;
	}

	if (s->subscriber && a->frames == 1 && bb_pool_bytes(io->pool, a->head)[BB_FRAME_HEADER_LONG] <= 1) {
		session_refuse(io, s, BB_IO_REFUSED_SUBSCRIPTION, "topic_size");
		return STOP_CLOSED;
	}
	bool idle;
	const uint64_t left = ingress_window_left(io, s, &idle);
	s->rx_need = (uint32_t)a->total;
	if (a->total > left && !idle)
		return STOP_WINDOW;
	struct bb_batch_writer *w = &io->out[s->router];
	const int error = ingress_reserve(io, s->router, BB_POOL_CONTROL, 0, BB_RUN_WORDS + 2);
	if (error != 0)
		return ingress_stop_of(error);
	const struct bb_desc desc = {
		.len = (uint32_t)a->total,
		.topic_len = a->id_len > 0 ? a->id_len - 2u : (uint32_t)a->topic_len,
	};
	uint64_t words[2] = { 0, a->head };
	memcpy(&words[0], &desc, sizeof(desc));
	bb_batch_run(w, BB_RUN_CHAIN, s->handle, s->side->index);
	bb_batch_entry(w, words, 2, 0);
	ingress_count_received(s, 1, a->total - a->id_len, a->total);

	/* The chain is the router's now. */
	io->assembling_bytes -= a->buffers * (uint64_t)BB_BUFFER_BYTES;
	*a = (struct assembly){ .head = BB_BUFFER_NONE, .tail = BB_BUFFER_NONE };
	assembly_drop(io, s);
	return STOP_NOT;
}

/* A frame's header at a border of frames. Returns octets consumed; 0 with *ret_stop. */
static size_t
assembly_header(struct bb_io *io, struct session *s, const uint8_t *p, size_t n, enum stop *ret_stop)
{
	const struct bb_side_options *options = s->side->options;
	struct assembly *a = &s->assembly;
	struct bb_frame f;
	uint8_t canonical[BB_FRAME_HEADER_MAX];
	const int header = bb_frame_parse(p, n, &f);

	*ret_stop = STOP_CLOSED;
	if (header == 0) {
		*ret_stop = STOP_MORE;
		return 0;
	}
	if (header < 0) {
		session_refuse(io, s, BB_IO_REFUSED_FRAME, bb_zmtp_cause_name((enum bb_zmtp_cause) - header));
		return 0;
	}
	if (f.flags & BB_FRAME_COMMAND)
		return ingress_take_command(io, s, p, n, ret_stop);
	if (f.len > options->max_message || a->bodies > options->max_message - f.len || f.len > TOTAL_MAX ||
		a->total > TOTAL_MAX - f.len) {
		session_refuse(io, s, BB_IO_REFUSED_OVERSIZE, bb_zmtp_cause_name(BB_ZMTP_MESSAGE_SIZE));
		return 0;
	}
	if (a->frames >= options->max_frames) {
		session_refuse(io, s, BB_IO_REFUSED_FRAMES, bb_zmtp_cause_name(BB_ZMTP_FRAME_COUNT));
		return 0;
	}
	*ret_stop = STOP_STARVED;
	if (a->frames == 0 && s->id_len > 0 && a->id_len == 0) {
		if (a->head == BB_BUFFER_NONE && !assembly_grow(io, s))
			return 0;
		assembly_write(io, s, s->id, s->id_len);
		a->id_len = s->id_len;
	}
	if (!assembly_header_room(io, s))
		return 0;
	assembly_write(io, s, canonical, bb_frame_write(canonical, f.flags, f.len));
	if (a->frames == 0)
		a->topic_len = f.len;
	a->frames++;
	a->bodies += f.len;
	a->frame_left = f.len;
	a->more = f.flags & BB_FRAME_MORE;
	*ret_stop = STOP_NOT;
	return (size_t)header;
}

/* Feed the assembly; returns octets consumed. STOP_NOT: the message was handed on, or nothing is left. */
size_t
assembly_take(struct bb_io *io, struct session *s, const uint8_t *p, size_t n, enum stop *ret_stop)
{
	struct assembly *a = &s->assembly;
	size_t pos = 0;

	s->scan = (struct scan){ 0 };
	*ret_stop = STOP_NOT;
	while (!assembly_whole(a)) {
		if (a->frame_left == 0) {
			const size_t took = assembly_header(io, s, p + pos, n - pos, ret_stop);
			if (took == 0)
				return pos;
			pos += took;
			continue;
		}
		if (pos == n) {
			*ret_stop = STOP_MORE;
			return pos;
		}
		const size_t want = a->frame_left < n - pos ? (size_t)a->frame_left : n - pos;
		const size_t took = assembly_write(io, s, p + pos, want);
		a->frame_left -= took;
		pos += took;
		if (took < want) {
			*ret_stop = STOP_STARVED;
			return pos;
		}
	}
	*ret_stop = assembly_finish(io, s);
	return pos;
}
