/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * claims: the routing ids of the peers on one side, each held by one of them.
 *
 * A peer brings an id of its own (1 to 255 octets, the first not 0), or is given one of 5 octets: 0 and a
 * 32-bit counter. The hash table is keyed, because peers choose what goes in, and grows a few buckets per
 * call, so that no peer pays for rehashing all.
 *
 * Thread: the router core that is the endpoint's home.
 */
#ifndef BB_ROUTE_CLAIMS_H
#define BB_ROUTE_CLAIMS_H

#include <stdint.h>

#include "base/hash.h"
#include "base/mem.h"

struct bb_peer;

#define BB_CLAIM_GENERATED_LEN 5

struct bb_claim {
	struct bb_claim *next;
	uint64_t hash;
	struct bb_peer *peer;
	uint8_t len;
	uint8_t id[];
};

struct bb_claims {
	struct bb_mem *mem;
	struct bb_hash_key key;
	struct bb_claim **buckets, **old; /* old: the smaller table that is being emptied, or NULL */
	uint32_t mask, old_mask;
	uint32_t moved; /* buckets of old that are empty already */
	uint32_t count;
	uint32_t counter; /* of generated ids */
};

/* 0 or -ENOMEM. counter: where generated ids begin. */
int bb_claims_init(struct bb_claims *c, struct bb_mem *mem, const struct bb_hash_key *key, uint32_t counter);

/* Frees the claims that are left, too. */
void bb_claims_fini(struct bb_claims *c);

/* NULL: nobody has this id. */
struct bb_claim *bb_claims_find(const struct bb_claims *c, const void *id, uint32_t len);

/* Give a free id to peer; NULL without memory. */
struct bb_claim *bb_claims_add(struct bb_claims *c, const void *id, uint32_t len, struct bb_peer *peer);

/* Give peer a generated id; NULL without memory. */
struct bb_claim *bb_claims_generate(struct bb_claims *c, struct bb_peer *peer);

/* The id is free again. */
void bb_claims_remove(struct bb_claims *c, struct bb_claim *claim);

#endif
