/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * subtab_slab: small objects of many sizes, named by 32 bits instead of a pointer: a million subscriptions
 * are mostly links between small objects.
 *
 * Objects lie in chunks of 16 KiB, each of one size class. A reference is chunk number and offset in units of
 * 4 bytes, so that it can be followed without knowing the class. A chunk whose last object is freed goes back
 * to its bb_mem. Objects never move. Sizes that are multiples of 8 are aligned to 8, others to 4.
 *
 * Owner: the actor that owns the table around it; no locks.
 */
#ifndef BB_ROUTE_SUBTAB_SLAB_H
#define BB_ROUTE_SUBTAB_SLAB_H

#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

enum {
	BB_SLAB_CHUNK_BYTES = 16384,
	BB_SLAB_UNIT = 4,
	BB_SLAB_SHIFT = 12, /* log2 of units per chunk */
	BB_SLAB_PAD = 32,   /* readable bytes behind the last object: keys and labels are read in words */
	BB_SLAB_SIZE_MAX = 1408,
	BB_SLAB_CLASSES = 46,
};

/* References stay below this, so that users have one bit for themselves: 8 GiB of objects. */
#define BB_SLAB_REF_MAX (UINT32_C(1) << 31)

struct bb_slab {
	struct bb_mem *mem;
	uint8_t **chunks; /* by number; a free number holds the next free one * 2 + 1 */
	uint32_t chunk_count, chunk_cap;
	uint32_t number_free; /* head of the free numbers + 1, 0 none */
	uint32_t chunks_live;
	uint32_t open[BB_SLAB_CLASSES]; /* first chunk with room + 1, by class */
};

void bb_slab_init(struct bb_slab *s, struct bb_mem *mem);

/* Gives back all chunks, whatever still lies in them. */
void bb_slab_fini(struct bb_slab *s);

/* size in 1..BB_SLAB_SIZE_MAX bytes, contents undefined; 0 when there is no memory. */
uint32_t bb_slab_alloc(struct bb_slab *s, size_t size);

/* 0 is allowed. */
void bb_slab_free(struct bb_slab *s, uint32_t ref);

static inline void *
bb_slab_at(const struct bb_slab *s, uint32_t ref)
{
	return s->chunks[ref >> BB_SLAB_SHIFT] + (size_t)(ref & ((1u << BB_SLAB_SHIFT) - 1)) * BB_SLAB_UNIT;
}

#endif
