/* SPDX-License-Identifier: BSD-3-Clause */
#include "msg/spans.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "base/assert.h"

int
bb_spans_init(struct bb_spans *s, struct bb_pool *pool, struct bb_mem *mem, uint32_t actor)
{
	*s = (struct bb_spans){ .mem = mem, .stash = BB_BUFFER_NONE };
	return bb_holds_init(&s->holds, pool, mem, actor);
}

static void
close_stash(struct bb_spans *s)
{
	if (s->stash != BB_BUFFER_NONE)
		bb_holds_drop(&s->holds, s->stash, 1, 0);
	s->stash = BB_BUFFER_NONE;
}

void
bb_spans_fini(struct bb_spans *s)
{
	close_stash(s);
	while (s->cache != NULL) {
		struct bb_span_chunk *c = s->cache;
		s->cache = c->next;
		bb_mem_free(s->mem, c, sizeof(*c));
	}
	s->cache_count = 0;
	bb_holds_fini(&s->holds, s->mem);
}

static struct bb_span_chunk *
chunk_get(struct bb_spans *s)
{
	struct bb_span_chunk *c = s->cache;

	if (c != NULL) {
		s->cache = c->next;
		s->cache_count--;
	} else {
		c = bb_mem_alloc(s->mem, sizeof(*c));
		if (c == NULL)
			return NULL;
	}
	c->next = NULL;
	c->first = c->end = 0;
	return c;
}

static void
chunk_put(struct bb_spans *s, struct bb_span_chunk *c)
{
	if (s->cache_count == BB_SPAN_CACHE_MAX) {
		bb_mem_free(s->mem, c, sizeof(*c));
		return;
	}
	c->next = s->cache;
	s->cache = c;
	s->cache_count++;
}

bool
bb_spans_reserve_chunk(struct bb_spans *s)
{
	if (s->cache != NULL)
		return true;
	struct bb_span_chunk *c = chunk_get(s);
	if (c == NULL)
		return false;
	chunk_put(s, c);
	return true;
}

static bool
follows(const struct bb_span *last, const struct bb_span *next)
{
	if (last->buffer != next->buffer || last->offset + last->len != next->offset)
		return false;
	/* A chain is one message: its parts join again; lengths of plain spans stay within their buffer. */
	return last->chain == next->chain;
}

/* Append without touching the holds. 1: joined, 0: a new entry, -ENOMEM. */
static int
push_entry(struct bb_spans *s, struct bb_spanq *q, const struct bb_span *span)
{
	if (q->tail != NULL) {
		struct bb_span *last = &q->tail->span[q->tail->end - 1];
		if (follows(last, span)) {
			last->len += span->len;
			last->msgs += span->msgs;
			q->bytes += span->len;
			return 1;
		}
	}
	if (q->tail == NULL || q->tail->end == BB_SPANS_PER_CHUNK) {
		struct bb_span_chunk *c = chunk_get(s);
		if (c == NULL)
			return -ENOMEM;
		if (q->tail == NULL)
			q->head = c;
		else
			q->tail->next = c;
		q->tail = c;
	}
	q->tail->span[q->tail->end++] = *span;
	q->bytes += span->len;
	q->spans++;
	return 0;
}

/* Remove the oldest entry without touching the holds. */
static void
pop_entry(struct bb_spans *s, struct bb_spanq *q)
{
	struct bb_span_chunk *c = q->head;

	q->spans--;
	if (++c->first < c->end)
		return;
	q->head = c->next;
	if (q->head == NULL)
		q->tail = NULL;
	chunk_put(s, c);
}

int
bb_spanq_push(struct bb_spans *s, struct bb_spanq *q, const struct bb_span *span)
{
	BB_ASSERT_OWNER(&s->holds);
	BB_DEBUG_ASSERT(span->len > 0);
	const int joined = push_entry(s, q, span);
	if (joined < 0)
		return joined;
	bb_holds_add(&s->holds, span->buffer, span->len);
	if (joined)
		bb_holds_drop(&s->holds, span->buffer, 1, 0); /* one entry, one count */
	return 0;
}

void
bb_spanq_shift(struct bb_spans *s, struct bb_spanq *q, uint32_t len, uint32_t msgs)
{
	struct bb_span *span = bb_spanq_front(q);

	BB_ASSERT(span != NULL && len <= span->len && msgs <= span->msgs);
	const uint32_t buffer = span->buffer;
	const bool whole = len == span->len;
	span->offset += len;
	span->len -= len;
	span->msgs -= msgs;
	q->bytes -= len;
	if (whole)
		pop_entry(s, q);
	bb_holds_drop(&s->holds, buffer, whole ? 1 : 0, len);
}

int
bb_spanq_move(struct bb_spans *s, struct bb_spanq *from, struct bb_spanq *to, uint32_t len, uint32_t msgs)
{
	struct bb_span *span = bb_spanq_front(from);

	BB_ASSERT(span != NULL && len <= span->len && msgs <= span->msgs);
	struct bb_span part = *span;
	part.len = len;
	part.msgs = msgs;
	const int joined = push_entry(s, to, &part);
	if (joined < 0)
		return joined;
	from->bytes -= len;
	span->offset += len;
	span->len -= len;
	span->msgs -= msgs;
	const bool whole = span->len == 0;
	if (whole)
		pop_entry(s, from);
	/* The bytes stay needed; the number of entries that name the buffer may have changed by one. */
	if (!joined && !whole)
		bb_holds_add(&s->holds, part.buffer, 0);
	else if (joined && whole)
		bb_holds_drop(&s->holds, part.buffer, 1, 0);
	return 0;
}

void
bb_spanq_clear(struct bb_spans *s, struct bb_spanq *q)
{
	for (struct bb_span *span; (span = bb_spanq_front(q)) != NULL;)
		bb_spanq_shift(s, q, span->len, span->msgs);
}

const struct bb_span *
bb_spanq_next(const struct bb_spanq *q, struct bb_span_at *at)
{
	if (at->chunk == NULL) {
		if (q->head == NULL)
			return NULL;
		at->chunk = q->head;
		at->index = q->head->first;
	}
	while (at->index == at->chunk->end) {
		if (at->chunk->next == NULL)
			return NULL;
		at->chunk = at->chunk->next;
		at->index = at->chunk->first;
	}
	return &at->chunk->span[at->index++];
}

/* Make the stash hold len more bytes. */
static bool
stash_room(struct bb_spans *s, uint32_t len)
{
	if (s->stash != BB_BUFFER_NONE && BB_BUFFER_BYTES - s->stash_used >= len)
		return true;
	/* From the reserve if need be: it gives back more than it takes. */
	const uint32_t buffer = bb_pool_get(s->holds.pool, BB_POOL_CONTROL);
	if (buffer == BB_BUFFER_NONE)
		return false;
	close_stash(s);
	bb_holds_open(&s->holds, buffer, 1, 0);
	s->stash = buffer;
	s->stash_used = 0;
	return true;
}

uint64_t
bb_spanq_evacuate(struct bb_spans *s, struct bb_spanq *q, uint64_t budget)
{
	struct bb_pool *pool = s->holds.pool;
	uint64_t copied = 0;

	BB_ASSERT_OWNER(&s->holds);
	for (struct bb_span_chunk *c = q->head; c != NULL; c = c->next) {
		for (uint32_t i = c->first; i < c->end; i++) {
			struct bb_span *span = &c->span[i];
			if (span->chain || span->buffer == s->stash ||
				!bb_holds_thin(&s->holds, span->buffer))
				continue;
			if (copied + span->len > budget || !stash_room(s, span->len))
				return copied;
			memcpy(bb_pool_bytes(pool, s->stash) + s->stash_used,
				bb_pool_bytes(pool, span->buffer) + span->offset, span->len);
			const uint32_t old = span->buffer;
			span->buffer = s->stash;
			span->offset = s->stash_used;
			s->stash_used += span->len;
			bb_holds_add(&s->holds, s->stash, span->len);
			bb_holds_drop(&s->holds, old, 1, span->len);
			copied += span->len;
			s->evacuated_bytes += span->len;
		}
	}
	return copied;
}

size_t
bb_span_iovec(const struct bb_pool *pool, const struct bb_span *span, uint32_t skip, struct iovec *iov,
	size_t iov_max, uint64_t *ret_bytes)
{
	uint32_t buffer = span->buffer;
	uint32_t offset = span->offset + skip;
	uint32_t left = span->len - skip;
	size_t n = 0;

	if (!span->chain) {
		if (iov_max == 0 || left == 0)
			return 0;
		iov[0] = (struct iovec){ bb_pool_bytes(pool, buffer) + offset, left };
		*ret_bytes += left;
		return 1;
	}
	for (; left > 0 && n < iov_max; buffer = pool->buffers[buffer].next) {
		const uint32_t used = pool->buffers[buffer].used;
		if (offset >= used) {
			offset -= used;
			continue;
		}
		const uint32_t len = used - offset < left ? used - offset : left;
		iov[n++] = (struct iovec){ bb_pool_bytes(pool, buffer) + offset, len };
		*ret_bytes += len;
		left -= len;
		offset = 0;
	}
	return n;
}
