/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * subtab_lhash: linear hashing (Litwin 1980) of objects named by 32 bits, which carry the link of their chain
 * themselves. The table grows by one bucket per insertion, so no insertion pays for rehashing all; if there
 * is no memory for more buckets it goes on with longer chains. Only the first bucket segment can fail.
 *
 * Owner: the actor that owns the table around it; no locks.
 */
#ifndef BB_ROUTE_SUBTAB_LHASH_H
#define BB_ROUTE_SUBTAB_LHASH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

/* How to reach an object's link and its hash. Ids are never 0. */
struct bb_lhash_ops {
	uint32_t *(*next)(void *ctx, uint32_t id);
	uint64_t (*hash)(void *ctx, uint32_t id);
};

struct bb_lhash {
	struct bb_mem *mem;
	const struct bb_lhash_ops *ops;
	void *ctx;
	uint32_t **segments;
	uint32_t segment_cap;
	uint32_t segment_count;
	uint32_t mask;	/* buckets of the current round - 1; 0: no segment yet */
	uint32_t split; /* next bucket to split, below mask + 1 */
	uint32_t count; /* objects */
};

void bb_lhash_init(struct bb_lhash *h, struct bb_mem *mem, const struct bb_lhash_ops *ops, void *ctx);
void bb_lhash_fini(struct bb_lhash *h);

/* True if insertions cannot fail from here on; false: no memory for the first segment. */
bool bb_lhash_ready(struct bb_lhash *h);

/* After bb_lhash_ready. The object is in no chain. */
void bb_lhash_insert(struct bb_lhash *h, uint32_t id);

/* The object is in the table. */
void bb_lhash_remove(struct bb_lhash *h, uint32_t id);

/* Head of the chain in which objects of this hash stand, 0 none; go on with ops->next. */
uint32_t bb_lhash_chain(const struct bb_lhash *h, uint64_t hash);

/* Forget all objects without touching them; time grows with the buckets, 4 bytes each. */
void bb_lhash_clear(struct bb_lhash *h);

#endif
