/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * set: the store that owns all destination sets (msg/set.h) of one table.
 *
 * Lifetime: a set that its table no longer uses is retired, stamped with the sequence number that the caller
 * had last told by bb_set_store_stamp(): deliveries with that number and earlier ones may name the set, later
 * ones do not. bb_set_store_reclaim(done) frees it when all I/O cores are through with deliveries up to done.
 *
 * Two sets are taken for equal if their receiver counts and 128-bit fingerprints are: sums, over the
 * receivers, of keyed hashes under a secret key. Different sets collide with probability 2^-128.
 *
 * Thread: the router core that owns the table; any I/O core may read a set that a delivery names.
 */
#ifndef BB_ROUTE_SET_H
#define BB_ROUTE_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/mem.h"
#include "msg/handle.h"
#include "msg/set.h"
#include "route/subtab_lhash.h"

/* Sum over the receivers; see above. */
struct bb_set_print {
	uint64_t a, b;
};

/* Owner: the router core of the table; no locks, no atomics. */
struct bb_set_store {
	struct bb_mem *mem;
	struct bb_list live;
	struct bb_list retired; /* oldest first */
	struct bb_lhash by_print;
	struct set_entry ***ids; /* pages of entries by id - 1 */
	uint32_t page_count, page_cap;
	uint32_t id_fresh; /* ids ever handed out since the last flush */
	uint32_t id_free;  /* head of the free ids, 0 none */
	uint64_t serial;
	uint64_t stamp;		/* of sets retired from now on */
	uint64_t reclaim_stamp; /* of the retired entries that have none of their own, from the list's head */
	uint64_t live_bytes, retired_bytes;
	uint32_t live_count;
	uint32_t retired_count;
};

void bb_set_store_init(struct bb_set_store *st, struct bb_mem *mem);

/* Frees all sets, retired or not: no delivery may name one any more. */
void bb_set_store_fini(struct bb_set_store *st);

/* Bytes that a set of this shape takes. */
uint64_t bb_set_bytes(uint32_t receivers, uint32_t core_count);

/* An equal live set, with one more reference to it; 0 if there is none. */
uint32_t bb_set_store_hold_equal(struct bb_set_store *st, struct bb_set_print print, uint32_t receivers);

/*
 * A new set with one reference, which the caller fills at once: *ret_set's cores and *ret_handles are its own
 * until then. Returns its id, or 0 when there is no memory: nothing changed.
 */
uint32_t bb_set_store_create(struct bb_set_store *st, struct bb_set_print print, uint32_t receivers,
	uint32_t core_count, struct bb_set **ret_set, bb_handle **ret_handles);

/* The set of a held id. */
const struct bb_set *bb_set_store_get(const struct bb_set_store *st, uint32_t id);

/* Give a reference back; the last one retires the set. */
void bb_set_store_put(struct bb_set_store *st, uint32_t id);

/* Retire all live sets. Their ids are void: do not put them. Constant time but for the bucket array. */
void bb_set_store_flush(struct bb_set_store *st);

/* Sequence number of the deliveries that are emitted from now on; never goes back. */
void bb_set_store_stamp(struct bb_set_store *st, uint64_t stamp);

/* Free at most max sets that were retired with stamps up to done; returns how many were. */
uint32_t bb_set_store_reclaim(struct bb_set_store *st, uint64_t done, uint32_t max);

#endif
