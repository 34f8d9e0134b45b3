/* SPDX-License-Identifier: BSD-3-Clause */
#include "route/subtab_cache.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"

/* Lengths at which prefixes are told apart: all short ones exactly. */
static const uint8_t level_len[BB_CACHE_LEVELS] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
	20, 24, 28, 32, 40, 48, 56, 64 };

static uint32_t
level_of(uint32_t len)
{
	uint32_t level = BB_CACHE_LEVELS - 1;

	while (level_len[level] > len)
		level--;
	return level;
}

static struct bb_cache_change *
change_at(const struct bb_cache *c, const uint8_t *prefix, uint32_t level, uint64_t *ret_hash)
{
	*ret_hash = bb_hash(&c->key, prefix, level_len[level]);
	return &c->changes[*ret_hash % BB_CACHE_CHANGES];
}

int
bb_cache_init(struct bb_cache *c, struct bb_mem *mem, const struct bb_hash_key *key, uint32_t entries)
{
	BB_ASSERT(entries >= 2 && (entries & (entries - 1)) == 0);
	*c = (struct bb_cache){ .mem = mem, .key = *key, .mask = entries - 1 };

	c->base = bb_mem_alloc(mem, (uint64_t)entries * sizeof(*c->entries) + BB_CACHE_LINE);
	c->changes = bb_mem_zalloc(mem, BB_CACHE_CHANGES * sizeof(*c->changes));
	if (c->base == NULL || c->changes == NULL) {
		bb_cache_fini(c);
		return -ENOMEM;
	}
	c->entries = (void *)(uintptr_t)bb_align_up((uintptr_t)c->base, BB_CACHE_LINE);
	memset(c->entries, 0, (uint64_t)entries * sizeof(*c->entries));
	c->last = c->entries;
	return 0;
}

void
bb_cache_fini(struct bb_cache *c)
{
	if (c->mem == NULL)
		return;
	bb_mem_free(c->mem, c->base, (c->mask + 1) * sizeof(*c->entries) + BB_CACHE_LINE);
	bb_mem_free(c->mem, c->far, (c->mask + 1) * sizeof(*c->far));
	bb_mem_free(c->mem, c->changes, BB_CACHE_CHANGES * sizeof(*c->changes));
	*c = (struct bb_cache){ 0 };
}

void
bb_cache_change(struct bb_cache *c, const void *prefix, uint32_t len, uint64_t seq)
{
	const uint32_t level = level_of(len);

	c->level_seq[level] = seq;
	if (level == 0)
		return;
	uint64_t hash;
	struct bb_cache_change *change = change_at(c, prefix, level, &hash);
	if (change->hash != hash)
		change->others_seq = change->seq; /* it ascends */
	change->hash = hash;
	change->seq = seq;
}

bool
bb_cache_holds(struct bb_cache *c, struct bb_cache_entry *e, const uint8_t *topic, uint64_t seq)
{
	/* Of prefixes that are longer than the key none can match: keys end at the longest prefix there is.
	 */
	if (c->level_seq[0] > e->seq)
		return false;
	for (uint32_t level = 1; level < BB_CACHE_LEVELS && level_len[level] <= e->len; level++) {
		if (c->level_seq[level] <= e->seq)
			continue;
		uint64_t hash;
		const struct bb_cache_change *change = change_at(c, topic, level, &hash);
		if (change->others_seq > e->seq || (change->hash == hash && change->seq > e->seq))
			return false;
	}
	e->seq = seq;
	return true;
}

void
bb_cache_put(struct bb_cache *c, uint64_t hash, const uint8_t *key, uint32_t key_len, uint64_t seq,
	const struct bb_set *set)
{
	BB_DEBUG_ASSERT(key_len <= BB_CACHE_KEY_MAX);
	if (key_len > BB_CACHE_KEY_NEAR && c->far == NULL) {
		c->far = bb_mem_alloc(c->mem, (c->mask + 1) * sizeof(*c->far));
		if (c->far == NULL)
			return; /* goes without */
	}

	struct bb_cache_entry *e = bb_cache_bucket(c, hash);
	if (e[1].hash == hash && e[1].seq != 0) {
		e++; /* its own place, out of date; or the same hash by chance */
	} else if (e[0].seq != 0 && e[0].hash != hash) {
		/* The one not used since the other was replaced goes; of two in use, by chance. */
		const bool second = e[1].seq == 0 || (e[0].used == e[1].used ? (hash >> 63) != 0 : e[0].used);
		e[0].used = e[1].used = false;
		e += second;
	}
	e->hash = hash;
	e->seq = seq;
	e->set = set;
	e->len = (uint8_t)key_len;
	e->used = true;
	const uint32_t near = key_len < BB_CACHE_KEY_NEAR ? key_len : BB_CACHE_KEY_NEAR;
	memcpy(e->key, key, near);
	if (key_len > near)
		memcpy(c->far[e - c->entries], key + near, key_len - near);
	c->last = e;
}
