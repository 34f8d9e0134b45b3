/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * flow: from the four-tuple of a packet to what stands for it here: a connection, an entry of the SYN
 * cache, or a record in TIME_WAIT. One table for the three, so one look-up answers for each packet.
 *
 * A bucket is one cache line: twelve 8-bit tags beside twelve 32-bit references, compared with one
 * SSE2 instruction. The hash is keyed (peers choose their ports). A full bucket spills into its
 * neighbours; `spilled` counts how many entries passed by it, so a miss stops at the first bucket without.
 * Sized at start for all that it can ever hold: it never grows and insert cannot fail.
 *
 * Owner: one stack instance; no locks.
 */
#ifndef BB_NET_FLOW_H
#define BB_NET_FLOW_H

#include <stdint.h>

#include "base/hash.h"
#include "base/mem.h"
#include "net/ip.h"

/* A reference: kind in the top two bits, index below. */
#define BB_FLOW_CONN 0u
#define BB_FLOW_SYN 1u
#define BB_FLOW_TIMEWAIT 2u
#define BB_FLOW_NONE UINT32_MAX
#define BB_FLOW_REF(kind, idx) ((kind) << 30 | (idx))
#define BB_FLOW_KIND(ref) ((ref) >> 30)
#define BB_FLOW_IDX(ref) ((ref)&0x3fffffffu)

struct bb_flow_bucket;

/* Where the key of a reference lies. */
typedef const struct bb_flow_key *bb_flow_key_fn(const void *ctx, uint32_t ref);

struct bb_flow {
	struct bb_flow_bucket *buckets;
	uint32_t mask;
	uint32_t count;
	uint32_t gen; /* counts changes: tells whether a reference looked up before is still good */
	struct bb_hash_key key;
	bb_flow_key_fn *key_of;
	const void *ctx;
	void *raw;
	size_t raw_size;
};

/* Room for entries_max entries at a load of at most 3/4. 0 or -ENOMEM. */
int bb_flow_init(struct bb_flow *f, struct bb_mem *mem, uint32_t entries_max, struct bb_hash_key key,
	bb_flow_key_fn *key_of, const void *ctx);
void bb_flow_fini(struct bb_flow *f, struct bb_mem *mem);

static inline uint64_t
bb_flow_hash(const struct bb_flow *f, const struct bb_flow_key *key)
{
	return bb_hash(&f->key, key, sizeof(*key));
}

/* First stage of a burst: bring the bucket of this hash closer. */
void bb_flow_prefetch(const struct bb_flow *f, uint64_t hash);

/*
 * Second stage: what the key most probably refers to, by its tag alone, so that nothing of it is touched yet;
 * BB_FLOW_NONE if there is nothing of this tag in its bucket.
 */
uint32_t bb_flow_guess(const struct bb_flow *f, uint64_t hash);

/* BB_FLOW_NONE if there is none. */
uint32_t bb_flow_find(const struct bb_flow *f, const struct bb_flow_key *key, uint64_t hash);

/* The key must not be in the table. */
void bb_flow_insert(struct bb_flow *f, uint64_t hash, uint32_t ref);

/* The reference must be in the table. */
void bb_flow_remove(struct bb_flow *f, uint64_t hash, uint32_t ref);

#endif
