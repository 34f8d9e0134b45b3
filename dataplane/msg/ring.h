/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring: slots between exactly one writing and one reading actor. DPDK's rte_ring in single-producer
 * single-consumer mode, the only place that includes it; nothing of DPDK is linked for it.
 *
 * Elements are copied in and out, a whole burst with one publication. Use the burst results: there is
 * no count() or empty() here on purpose, they would be stale when read.
 *
 * Memory order: what the writer wrote before bb_ring_push() is visible to the reader after bb_ring_pop()
 * returned the element (release store of the tail, acquire load: the C11 model is selected, else
 * ThreadSanitizer is blind).
 */
#ifndef BB_MSG_RING_H
#define BB_MSG_RING_H

#ifndef RTE_USE_C11_MEM_MODEL
#define RTE_USE_C11_MEM_MODEL 1
#endif
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wundef"
#include <rte_ring.h>
#include <rte_ring_peek_zc.h>
#pragma GCC diagnostic pop

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"

struct bb_ring {
	struct rte_ring *ring; /* header, then slots; cache-line aligned memory of the creator */
	uint32_t elem_bytes;
};

/* Bytes of memory for a ring of slots (a power of two) elements of elem_bytes (a multiple of 4). */
static inline size_t
bb_ring_memory_bytes(uint32_t slots, uint32_t elem_bytes)
{
	return sizeof(struct rte_ring) + (size_t)slots * elem_bytes;
}

/*
 * Make a ring in memory (aligned to a cache line, stays the caller's). All slots are usable but one when
 * slots is the exact power of two; a ring for n elements needs the next power of two above n.
 */
static inline void
bb_ring_init(struct bb_ring *r, void *memory, uint32_t slots, uint32_t elem_bytes)
{
	BB_ASSERT((slots & (slots - 1)) == 0 && slots >= 2 && elem_bytes % 4 == 0);
	memset(memory, 0, sizeof(struct rte_ring));
	r->ring = memory;
	r->elem_bytes = elem_bytes;
	/* What rte_ring_init() sets, without linking EAL for it. */
	r->ring->flags = RING_F_SP_ENQ | RING_F_SC_DEQ;
	r->ring->size = slots;
	r->ring->mask = slots - 1;
	r->ring->capacity = slots - 1;
	r->ring->prod.sync_type = RTE_RING_SYNC_ST;
	r->ring->cons.sync_type = RTE_RING_SYNC_ST;
}

/*
 * Writer: copy in as many of n elements as fit, from the first; returns how many. Copied by memcpy() into the
 * place that DPDK names: its own copy of elements above 16 bytes goes word by word and takes twice as long.
 */
static inline uint32_t
bb_ring_push(struct bb_ring *r, const void *elems, uint32_t n)
{
	struct rte_ring_zc_data to;

	n = rte_ring_enqueue_zc_burst_elem_start(r->ring, r->elem_bytes, n, &to, NULL);
	if (n == 0)
		return 0;
	memcpy(to.ptr1, elems, (size_t)to.n1 * r->elem_bytes);
	if (n > to.n1)
		memcpy(to.ptr2, (const char *)elems + (size_t)to.n1 * r->elem_bytes,
			(size_t)(n - to.n1) * r->elem_bytes);
	rte_ring_enqueue_zc_elem_finish(r->ring, n);
	return n;
}

/* Reader: copy out up to n elements, oldest first; returns how many. */
static inline uint32_t
bb_ring_pop(struct bb_ring *r, void *ret_elems, uint32_t n)
{
	struct rte_ring_zc_data from;

	n = rte_ring_dequeue_zc_burst_elem_start(r->ring, r->elem_bytes, n, &from, NULL);
	if (n == 0)
		return 0;
	memcpy(ret_elems, from.ptr1, (size_t)from.n1 * r->elem_bytes);
	if (n > from.n1)
		memcpy((char *)ret_elems + (size_t)from.n1 * r->elem_bytes, from.ptr2,
			(size_t)(n - from.n1) * r->elem_bytes);
	rte_ring_dequeue_zc_elem_finish(r->ring, n);
	return n;
}

#endif
