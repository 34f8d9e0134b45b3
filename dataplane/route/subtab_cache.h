/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * subtab_cache: topics seen of late and what they matched, in front of the trie. Bounded, two places per
 * bucket.
 *
 * A change at prefix P makes void what was found for topics that begin with P, and nothing else: each entry
 * knows the sequence number up to which it is known to hold. If that is the newest, it holds. Otherwise, for
 * each length of prefix at which something changed since, the newest change whose prefix falls into the same
 * place of a small hashed table as the topic's own prefix of that length is compared; with no newer one the
 * entry holds, and is stamped anew. So a change costs two stores whatever is cached, and a look-up a bounded
 * number of steps, one compare if nothing changed. The table can only err to the safe side (another prefix in
 * the same place, or longer prefixes of which only the first bytes are told apart): then the trie is asked,
 * and gives the same set.
 *
 * Owner: the actor that owns the table around it; no locks.
 */
#ifndef BB_ROUTE_SUBTAB_CACHE_H
#define BB_ROUTE_SUBTAB_CACHE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/hash.h"
#include "base/mem.h"
#include "route/set.h"
#include "route/subtab_trie.h"

enum {
	BB_CACHE_KEY_NEAR = 38, /* bytes of a key beside its entry; the rest lies apart */
	BB_CACHE_KEY_FAR = 64,
	BB_CACHE_KEY_MAX = BB_CACHE_KEY_NEAR + BB_CACHE_KEY_FAR, /* longer ones are not kept */
	BB_CACHE_LEVELS = 25,
	BB_CACHE_CHANGES = 2048,
};

/* The last changed prefix that fell into a place. */
struct bb_cache_change {
	uint64_t hash;	     /* of the prefix */
	uint64_t seq;	     /* of its newest change */
	uint64_t others_seq; /* newest change of all other prefixes that were here */
};

struct bb_cache_entry {
	uint64_t hash;
	uint64_t seq;		  /* it is known to hold up to this change; 0: empty */
	const struct bb_set *set; /* NULL: no subscriber */
	uint8_t len;
	bool used; /* since its neighbour was replaced */
	uint8_t key[BB_CACHE_KEY_NEAR];
};
static_assert(sizeof(struct bb_cache_entry) == BB_CACHE_LINE, "one line per probe");

struct bb_cache {
	struct bb_mem *mem;
	struct bb_cache_entry *entries;	  /* mask + 1, aligned to a cache line */
	uint8_t (*far)[BB_CACHE_KEY_FAR]; /* of the entry with the same index; made with the first long key */
	void *base;
	uint64_t mask;
	struct bb_cache_entry *last; /* found or put by the last look-up */
	struct bb_hash_key key;
	uint64_t level_seq[BB_CACHE_LEVELS]; /* newest change at prefixes of that level */
	struct bb_cache_change *changes;     /* by hashed prefix */
};

/* entries: a power of two, at least 2. 0 or -ENOMEM. */
int bb_cache_init(struct bb_cache *c, struct bb_mem *mem, const struct bb_hash_key *key, uint32_t entries);
void bb_cache_fini(struct bb_cache *c);

/* Change number seq happens at this prefix. */
void bb_cache_change(struct bb_cache *c, const void *prefix, uint32_t len, uint64_t seq);

/* True if nothing changed for the topic since the entry was stamped; it then holds up to seq, the newest
 * change. */
bool bb_cache_holds(struct bb_cache *c, struct bb_cache_entry *e, const uint8_t *topic, uint64_t seq);

/* Keep what a topic matched; key: its first key_len bytes, at most BB_CACHE_KEY_MAX, with their hash. */
void bb_cache_put(struct bb_cache *c, uint64_t hash, const uint8_t *key, uint32_t key_len, uint64_t seq,
	const struct bb_set *set);

static inline bool
bb_cache_key_equal(
	const struct bb_cache *c, const struct bb_cache_entry *e, const uint8_t *key, uint32_t key_len)
{
	if (e->len != key_len)
		return false;
	if (key_len <= BB_CACHE_KEY_NEAR)
		return bb_bytes_equal(e->key, key, key_len);
	return bb_bytes_equal(e->key, key, BB_CACHE_KEY_NEAR) &&
	       bb_bytes_equal(c->far[e - c->entries], key + BB_CACHE_KEY_NEAR, key_len - BB_CACHE_KEY_NEAR);
}

/* First of the two places of a hash. */
static inline struct bb_cache_entry *
bb_cache_bucket(const struct bb_cache *c, uint64_t hash)
{
	return &c->entries[hash & c->mask & ~UINT64_C(1)];
}

/* The entry of a key if it is there and holds; NULL otherwise. */
static inline struct bb_cache_entry *
bb_cache_find(struct bb_cache *c, uint64_t hash, const uint8_t *key, uint32_t key_len, uint64_t seq)
{
	struct bb_cache_entry *e = bb_cache_bucket(c, hash);

	for (int i = 0; i < 2; i++, e++) {
		if (e->hash != hash || e->seq == 0 || !bb_cache_key_equal(c, e, key, key_len))
			continue;
		if (e->seq != seq && !bb_cache_holds(c, e, key, seq))
			return NULL;
		if (!e->used)
			e->used = true;
		c->last = e;
		return e;
	}
	return NULL;
}

#endif
