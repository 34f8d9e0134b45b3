/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * spans: queues of byte ranges of whole messages, oldest first, without copying a byte.
 *
 * A span is a range of message bytes in one buffer (or one message in a chain). Neighbours join into one
 * span, so a queue of a thousand small messages that arrived together is one entry. Send queues, what our TCP
 * has not been acknowledged, and parked messages are all bb_spanq.
 *
 * All queues of an actor share one bb_spans: its holds, its budget, its cache of chunks, and the stash, the
 * open buffer into which evacuation copies.
 *
 * Evacuation: when bb_holds_wasteful() says that more than twice the needed memory is pinned, the actor walks
 * its non-empty queues with bb_spanq_evacuate(): spans in thinly used buffers are copied into the stash and
 * name it from then on. A byte is copied at most once per halving of its buffer's use, so the cost is
 * amortised. Chains are not evacuated: they pin only their own message.
 *
 * Thread: the actor it belongs to, alone.
 */
#ifndef BB_MSG_SPANS_H
#define BB_MSG_SPANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "msg/hold.h"

struct iovec;

struct bb_span {
	uint32_t buffer; /* or the head of a chain */
	uint32_t offset;
	uint32_t len;
	uint32_t msgs : 31; /* whole messages that end in this span */
	uint32_t chain : 1;
};
static_assert(sizeof(struct bb_span) == 16, "four per cache line");

#define BB_SPANS_PER_CHUNK 15
struct bb_span_chunk {
	struct bb_span_chunk *next;
	uint32_t first, end; /* used: [first, end) */
	struct bb_span span[BB_SPANS_PER_CHUNK];
};
static_assert(sizeof(struct bb_span_chunk) == 256, "a size class of the allocator");

/* What all queues of one actor share. */
struct bb_spans {
	struct bb_holds holds;
	struct bb_mem *mem;
	struct bb_span_chunk *cache; /* free chunks, at most BB_SPAN_CACHE_MAX */
	uint32_t cache_count;
	uint32_t stash; /* open buffer of evacuation, held; BB_BUFFER_NONE: none */
	uint32_t stash_used;
	uint64_t evacuated_bytes; /* counter */
};
#define BB_SPAN_CACHE_MAX 256

struct bb_spanq {
	struct bb_span_chunk *head, *tail;
	uint64_t bytes; /* in all spans */
	uint32_t spans;
	uint32_t reserved;
};

/* 0 or -ENOMEM. mem outlives it. */
int bb_spans_init(struct bb_spans *s, struct bb_pool *pool, struct bb_mem *mem, uint32_t actor);

/* All queues must be empty. */
void bb_spans_fini(struct bb_spans *s);

/*
 * Append a span to a queue and count it in the holds; its buffer must be held already (an open group, another
 * span). Joins the last span if it follows it. 0, or -ENOMEM: nothing changed.
 */
int bb_spanq_push(struct bb_spans *s, struct bb_spanq *q, const struct bb_span *span);

/* The oldest span; NULL if empty. Valid until the queue changes. */
static inline struct bb_span *
bb_spanq_front(const struct bb_spanq *q)
{
	return q->head == NULL ? NULL : &q->head->span[q->head->first];
}

/* Remove the first len bytes, msgs messages, of the oldest span; all of it when len is its length. */
void bb_spanq_shift(struct bb_spans *s, struct bb_spanq *q, uint32_t len, uint32_t msgs);

/*
 * Move the first len bytes, msgs messages of the oldest span to the end of another queue (sent, not yet
 * acknowledged). 0 or -ENOMEM: nothing changed.
 */
int bb_spanq_move(
	struct bb_spans *s, struct bb_spanq *from, struct bb_spanq *to, uint32_t len, uint32_t msgs);

/* Make sure that the next push or move finds a chunk, whatever memory there is. */
bool bb_spans_reserve_chunk(struct bb_spans *s);

/* Remove everything. */
void bb_spanq_clear(struct bb_spans *s, struct bb_spanq *q);

/*
 * Copy up to budget bytes of thin spans into the stash, from the oldest span on. Returns the bytes copied; 0
 * also when there is no buffer for the stash.
 */
uint64_t bb_spanq_evacuate(struct bb_spans *s, struct bb_spanq *q, uint64_t budget);

/* Walk the spans, oldest first: begin with at = {0}; NULL at the end. */
struct bb_span_at {
	const struct bb_span_chunk *chunk;
	uint32_t index;
};
const struct bb_span *bb_spanq_next(const struct bb_spanq *q, struct bb_span_at *at);

/*
 * Describe up to bytes_max bytes from skip bytes into the span, in pool memory; chains take several entries.
 * Returns entries used, at most iov_max, and adds what they cover to *ret_bytes.
 */
size_t bb_span_iovec(const struct bb_pool *pool, const struct bb_span *span, uint32_t skip, struct iovec *iov,
	size_t iov_max, uint64_t *ret_bytes);

#endif
