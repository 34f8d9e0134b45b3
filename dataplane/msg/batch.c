/* SPDX-License-Identifier: BSD-3-Clause */
#include "msg/batch.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"

void
bb_batch_writer_init(struct bb_batch_writer *w, struct bb_pool *pool, uint32_t actor)
{
	*w = (struct bb_batch_writer){ .pool = pool, .buffer = BB_BUFFER_NONE };
	BB_OWNER_SET(w, actor);
}

static bool
slice_empty(const struct bb_batch_writer *w)
{
	return w->words == w->slice_words;
}

static void
close_buffer(struct bb_batch_writer *w)
{
	if (w->buffer != BB_BUFFER_NONE)
		bb_pool_put(w->pool, w->buffer, 1);
	w->buffer = BB_BUFFER_NONE;
}

void
bb_batch_writer_fini(struct bb_batch_writer *w)
{
	close_buffer(w);
}

int
bb_batch_reserve(struct bb_batch_writer *w, enum bb_pool_use use, uint32_t bytes, uint32_t words)
{
	BB_ASSERT_OWNER(w);
	if (w->full)
		return -EAGAIN;
	if (bb_batch_room(w) >= bytes + words * 8)
		return 0;
	BB_ASSERT(bytes + words * 8 <= BB_BUFFER_BYTES);
	if (w->buffer != BB_BUFFER_NONE && !slice_empty(w))
		return -EAGAIN;

	const uint32_t buffer = bb_pool_get(w->pool, use);
	if (buffer == BB_BUFFER_NONE)
		return -ENOBUFS; /* the open one stays: smaller things still fit */
	close_buffer(w);
	w->buffer = buffer;
	w->bytes = w->slice_bytes = 0;
	w->words = w->slice_words = BB_BUFFER_BYTES;
	w->run = 0;
	return 0;
}

static bool
run_joins(enum bb_run_kind kind)
{
	return kind == BB_RUN_MSGS || kind == BB_RUN_SUBSCRIBE || kind == BB_RUN_CANCEL;
}

void
bb_batch_run(struct bb_batch_writer *w, enum bb_run_kind kind, bb_handle session, uint16_t side)
{
	BB_ASSERT_OWNER(w);
	BB_DEBUG_ASSERT(!w->full);
	if (w->run != 0 && run_joins(kind)) {
		const struct bb_run *last = (const void *)(bb_pool_bytes(w->pool, w->buffer) + w->run);
		if (last->kind == kind && last->session == session && last->side == side)
			return;
	}
	w->words -= BB_RUN_WORDS * 8;
	w->run = w->words;
	w->run_side = side;
	struct bb_run *run = (void *)(bb_pool_bytes(w->pool, w->buffer) + w->run);
	*run = (struct bb_run){ .session = session, .side = side, .kind = (uint8_t)kind };
}

void
bb_batch_entry(struct bb_batch_writer *w, const void *payload, uint32_t words, uint32_t bytes)
{
	uint8_t *base = bb_pool_bytes(w->pool, w->buffer);
	struct bb_run *run = (void *)(base + w->run);

	BB_DEBUG_ASSERT(w->run != 0 && bb_batch_room(w) >= bytes + words * 8);
	run->count++;
	w->words -= words * 8;
	if (words > 0)
		memcpy(base + w->words, payload, (size_t)words * 8);
	w->bytes += bytes;
}

bool
bb_batch_slice(struct bb_batch_writer *w, struct bb_slice *ret_slice)
{
	BB_ASSERT_OWNER(w);
	if (w->buffer == BB_BUFFER_NONE || slice_empty(w))
		return false;
	bb_pool_hold(w->pool, w->buffer, 1);
	*ret_slice = (struct bb_slice){
		.buffer = w->buffer,
		.bytes_offset = w->slice_bytes,
		.words_end = w->slice_words,
		.words = (w->slice_words - w->words) / 8,
	};
	return true;
}

void
bb_batch_published(struct bb_batch_writer *w)
{
	w->full = false;
	w->run = 0;
	/* The next slice begins on lines of its own, on both sides. */
	w->bytes = w->slice_bytes = (uint32_t)bb_align_up(w->bytes, BB_CACHE_LINE);
	w->words = w->slice_words = w->words & ~(uint32_t)(BB_CACHE_LINE - 1);
	if (w->words <= w->bytes)
		close_buffer(w);
}

void
bb_batch_refused(struct bb_batch_writer *w)
{
	bb_pool_put(w->pool, w->buffer, 1);
	w->full = true;
}

void
bb_batch_reader_init(struct bb_batch_reader *r, const struct bb_pool *pool, const struct bb_slice *slice)
{
	*r = (struct bb_batch_reader){
		.base = bb_pool_bytes(pool, slice->buffer),
		.bytes = slice->bytes_offset,
		.words = slice->words_end,
		.words_end = slice->words_end - slice->words * 8,
	};
}

uint32_t
bb_run_entry_words(enum bb_run_kind kind)
{
	switch (kind) {
	case BB_RUN_MSGS:
	case BB_RUN_SUBSCRIBE:
	case BB_RUN_CANCEL:
	case BB_RUN_END:
		return 1;
	case BB_RUN_CHAIN:
		return 2;
	case BB_RUN_ATTACH:
		return BB_ATTACH_WORDS;
	case BB_RUN_CREDIT:
		return BB_CREDIT_WORDS;
	case BB_RUN_GONE:
	case BB_RUN_UPSTREAM_ROOM:
		return 0;
	}
	BB_ASSERT(false);
	return 0;
}

void
bb_batch_discard(struct bb_pool *pool, const struct bb_slice *slice)
{
	struct bb_batch_reader r;
	const struct bb_run *run;

	bb_batch_reader_init(&r, pool, slice);
	while ((run = bb_batch_read(&r, BB_RUN_WORDS)) != NULL) {
		const uint32_t words = bb_run_entry_words((enum bb_run_kind)run->kind);
		for (uint32_t i = 0; i < run->count && words > 0; i++) {
			const uint64_t *entry = bb_batch_read(&r, words);
			if (run->kind == BB_RUN_CHAIN)
				bb_pool_put(pool, (uint32_t)entry[1], 1);
		}
	}
	bb_pool_put(pool, slice->buffer, 1);
}
