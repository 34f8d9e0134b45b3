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
	BB_CACHE_SEGMENT = 1024,
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

/* BB_CACHE_SEGMENT entries, or all if there are fewer. */
struct bb_cache_segment {
	struct bb_cache_entry *entries;	  /* aligned to a cache line; NULL: not used yet */
	uint8_t (*far)[BB_CACHE_KEY_FAR]; /* of the entries with the same index; NULL: no long key yet */
	void *base;
};

struct bb_cache {
	struct bb_mem *mem;
	struct bb_cache_segment *segments;
	struct bb_cache_entry *last; /* found or put by the last look-up */
	uint64_t mask;		     /* entries now - 1 */
	uint64_t entries_max;
	uint64_t pushed; /* topics pushed out by others since it grew */
	struct bb_hash_key key;
	uint64_t level_seq[BB_CACHE_LEVELS]; /* newest change at prefixes of that level */
	struct bb_cache_change *changes;     /* by hashed prefix */
	struct bb_cache_entry none;	     /* what last points to when there is none */
};

/* entries_max: a power of two, at least 2. 0 or -ENOMEM. */
int bb_cache_init(
	struct bb_cache *c, struct bb_mem *mem, const struct bb_hash_key *key, uint32_t entries_max);
void bb_cache_fini(struct bb_cache *c);

/* Change number seq happens at this prefix. */
void bb_cache_change(struct bb_cache *c, const void *prefix, uint32_t len, uint64_t seq);

/* True if nothing changed for the topic since the entry was stamped; it then holds up to seq, the newest
 * change. */
bool bb_cache_holds(struct bb_cache *c, struct bb_cache_entry *e, const uint8_t *topic, uint64_t seq);

/* Keep what a topic matched; key: its first key_len bytes, at most BB_CACHE_KEY_MAX, with their hash. */
void bb_cache_put(struct bb_cache *c, uint64_t hash, const uint8_t *key, uint32_t key_len, uint64_t seq,
	const struct bb_set *set);

/* First of the two places of a hash; NULL: its segment is not used yet. */
static inline struct bb_cache_entry *
bb_cache_bucket(const struct bb_cache *c, uint64_t hash)
{
	const uint64_t place = hash & c->mask & ~UINT64_C(1);
	struct bb_cache_entry *entries = c->segments[place / BB_CACHE_SEGMENT].entries;

	return entries != NULL ? entries + place % BB_CACHE_SEGMENT : NULL;
}

/* The far part of an entry's key. */
static inline uint8_t *
bb_cache_far(const struct bb_cache *c, const struct bb_cache_entry *e)
{
	const struct bb_cache_segment *s = &c->segments[(e->hash & c->mask) / BB_CACHE_SEGMENT];

	return s->far[e - s->entries];
}

static inline bool
bb_cache_key_equal(
	const struct bb_cache *c, const struct bb_cache_entry *e, const uint8_t *key, uint32_t key_len)
{
	if (e->len != key_len)
		return false;
	if (key_len <= BB_CACHE_KEY_NEAR)
		return bb_bytes_equal(e->key, key, key_len);
	return bb_bytes_equal(e->key, key, BB_CACHE_KEY_NEAR) &&
	       bb_bytes_equal(bb_cache_far(c, e), key + BB_CACHE_KEY_NEAR, key_len - BB_CACHE_KEY_NEAR);
}

/* The entry of a key if it is there and holds; NULL otherwise. */
static inline struct bb_cache_entry *
bb_cache_find(struct bb_cache *c, uint64_t hash, const uint8_t *key, uint32_t key_len, uint64_t seq)
{
	struct bb_cache_entry *e = bb_cache_bucket(c, hash);

	if (e == NULL)
		return NULL;
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
