/* SPDX-License-Identifier: BSD-3-Clause */
#include "route/claims.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/assert.h"
#include "base/endian.h"
#include "base/limits.h"

#define FIRST_BUCKETS 16
#define MOVES_PER_CALL 4 /* at least 2: the old table is empty before the new one is full */

static void *
buckets_alloc(struct bb_claims *c, uint32_t mask)
{
	return bb_mem_zalloc(c->mem, ((size_t)mask + 1) * sizeof(struct bb_claim *));
}

static void
buckets_free(struct bb_claims *c, struct bb_claim **buckets, uint32_t mask)
{
	bb_mem_free(c->mem, buckets, ((size_t)mask + 1) * sizeof(*buckets));
}

int
bb_claims_init(struct bb_claims *c, struct bb_mem *mem, const struct bb_hash_key *key, uint32_t counter)
{
	*c = (struct bb_claims){ .mem = mem, .key = *key, .mask = FIRST_BUCKETS - 1, .counter = counter };
	c->buckets = buckets_alloc(c, c->mask);
	return c->buckets == NULL ? -ENOMEM : 0;
}

static size_t
claim_bytes(uint32_t len)
{
	return sizeof(struct bb_claim) + len;
}

static void
free_table(struct bb_claims *c, struct bb_claim **buckets, uint32_t mask)
{
	if (buckets == NULL)
		return;
	for (uint32_t i = 0; i <= mask; i++) {
		while (buckets[i] != NULL) {
			struct bb_claim *claim = buckets[i];
			buckets[i] = claim->next;
			bb_mem_free(c->mem, claim, claim_bytes(claim->len));
		}
	}
	buckets_free(c, buckets, mask);
}

void
bb_claims_fini(struct bb_claims *c)
{
	free_table(c, c->old, c->old_mask);
	free_table(c, c->buckets, c->mask);
	c->old = c->buckets = NULL;
}

static struct bb_claim **
bucket_of(const struct bb_claims *c, uint64_t hash)
{
	if (c->old != NULL && (hash & c->old_mask) >= c->moved)
		return &c->old[hash & c->old_mask];
	return &c->buckets[hash & c->mask];
}

static struct bb_claim *
find(const struct bb_claims *c, uint64_t hash, const void *id, uint32_t len)
{
	struct bb_claim *claim = *bucket_of(c, hash);

	while (claim != NULL && (claim->hash != hash || claim->len != len || memcmp(claim->id, id, len) != 0))
		claim = claim->next;
	return claim;
}

struct bb_claim *
bb_claims_find(const struct bb_claims *c, const void *id, uint32_t len)
{
	return find(c, bb_hash(&c->key, id, len), id, len);
}

/* Empty a few buckets of the old table. */
static void
move_some(struct bb_claims *c)
{
	for (uint32_t i = 0; i < MOVES_PER_CALL && c->old != NULL; i++) {
		struct bb_claim *claim = c->old[c->moved];
		c->old[c->moved++] = NULL; /* fini walks what is left of the old table */
		while (claim != NULL) {
			struct bb_claim *next = claim->next;
			struct bb_claim **bucket = &c->buckets[claim->hash & c->mask];
			claim->next = *bucket;
			*bucket = claim;
			claim = next;
		}
		if (c->moved > c->old_mask) {
			buckets_free(c, c->old, c->old_mask);
			c->old = NULL;
		}
	}
}

static void
grow(struct bb_claims *c)
{
	move_some(c);
	if (c->old != NULL || c->count <= c->mask)
		return;
	struct bb_claim **buckets = buckets_alloc(c, 2 * c->mask + 1);
	if (buckets == NULL)
		return; /* longer chains until there is memory */
	c->old = c->buckets;
	c->old_mask = c->mask;
	c->moved = 0;
	c->buckets = buckets;
	c->mask = 2 * c->mask + 1;
}

struct bb_claim *
bb_claims_add(struct bb_claims *c, const void *id, uint32_t len, struct bb_peer *peer)
{
	BB_ASSERT(len >= 1 && len <= BB_ROUTING_ID_MAX);
	struct bb_claim *claim = bb_mem_alloc(c->mem, claim_bytes(len));

	if (claim == NULL)
		return NULL;
	claim->hash = bb_hash(&c->key, id, len);
	claim->peer = peer;
	claim->len = (uint8_t)len;
	memcpy(claim->id, id, len);
	grow(c);
	struct bb_claim **bucket = bucket_of(c, claim->hash);
	claim->next = *bucket;
	*bucket = claim;
	c->count++;
	return claim;
}

struct bb_claim *
bb_claims_generate(struct bb_claims *c, struct bb_peer *peer)
{
	uint8_t id[BB_CLAIM_GENERATED_LEN] = { 0 };

	do /* more than once only after 2^32 of them */
		bb_store_be32(id + 1, c->counter++);
	while (bb_claims_find(c, id, sizeof(id)) != NULL);
	return bb_claims_add(c, id, sizeof(id), peer);
}

void
bb_claims_remove(struct bb_claims *c, struct bb_claim *claim)
{
	struct bb_claim **link = bucket_of(c, claim->hash);

	while (*link != claim)
		link = &(*link)->next;
	*link = claim->next;
	c->count--;
	bb_mem_free(c->mem, claim, claim_bytes(claim->len));
}
