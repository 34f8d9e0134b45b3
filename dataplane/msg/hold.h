/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hold: the buffers that one actor keeps alive, and how much of each it really needs.
 *
 * For every buffer of the pool there is one entry {count, refs, bytes}, plain numbers of this actor alone.
 * Spans, parked messages and open delivery groups count; when the count falls to zero all references go back
 * at once, by one atomic. So a buffer costs this actor one atomic, however many messages of it pass.
 *
 * The sums say how much memory is pinned and how much of it is needed: bb_hold_wasteful() asks for an
 * evacuation, which copies what is still needed of thinly used buffers into an own open buffer (msg/stash.h).
 *
 * Thread: the actor it belongs to, alone.
 */
#ifndef BB_MSG_HOLD_H
#define BB_MSG_HOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/mem.h"
#include "msg/pool.h"

struct bb_hold {
	uint32_t count;	 /* spans, parked ranges, open groups */
	uint32_t refs;	 /* references of the pool that stand behind them */
	uint64_t bytes;	 /* message bytes still needed; a range held twice counts twice */
	uint64_t pinned; /* bytes of memory: a buffer, or all buffers of a chain */
};

struct bb_holds {
	BB_OWNER_FIELD
	struct bb_pool *pool;
	struct bb_hold *of; /* one per buffer of the pool */
	uint64_t pinned_bytes;
	uint64_t needed_bytes;
};

/* -ENOMEM or 0. */
int bb_holds_init(struct bb_holds *h, struct bb_pool *pool, struct bb_mem *mem, uint32_t actor);

/* Asserts that nothing is held any more. */
void bb_holds_fini(struct bb_holds *h, struct bb_mem *mem);

/* Take over refs references to a buffer (or the head of a chain of chain_bytes message bytes, else 0) and
 * count once. */
void bb_holds_open(struct bb_holds *h, uint32_t buffer, uint32_t refs, uint64_t chain_bytes);

/* Count a range of bytes in a buffer that is held already. */
static inline void
bb_holds_add(struct bb_holds *h, uint32_t buffer, uint64_t bytes)
{
	struct bb_hold *e = &h->of[buffer];

	BB_ASSERT_OWNER(h);
	BB_DEBUG_ASSERT(e->count > 0);
	e->count++;
	e->bytes += bytes;
	h->needed_bytes += bytes;
}

/* Forget a whole range (count it off), or a part of one (count 0). The last count gives the references back.
 */
void bb_holds_drop(struct bb_holds *h, uint32_t buffer, uint32_t count, uint64_t bytes);

/* More than twice what is needed is pinned, beyond a slack that keeps small queues from being copied. */
static inline bool
bb_holds_wasteful(const struct bb_holds *h)
{
	return h->pinned_bytes > 2 * h->needed_bytes + 4 * BB_BUFFER_BYTES;
}

/* This buffer is thinly used: evacuating what is left of it frees memory. */
static inline bool
bb_holds_thin(const struct bb_holds *h, uint32_t buffer)
{
	return h->of[buffer].pinned > 2 * h->of[buffer].bytes;
}

#endif
