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

static uint64_t
segment_count(const struct bb_cache *c)
{
	return (c->entries_max + BB_CACHE_SEGMENT - 1) / BB_CACHE_SEGMENT;
}

static uint64_t
segment_entries(const struct bb_cache *c)
{
	return bb_min_u64(c->entries_max, BB_CACHE_SEGMENT);
}

static uint64_t
segment_bytes(const struct bb_cache *c)
{
	return segment_entries(c) * sizeof(struct bb_cache_entry) + BB_CACHE_LINE;
}

int
bb_cache_init(struct bb_cache *c, struct bb_mem *mem, const struct bb_hash_key *key, uint32_t entries_max)
{
	BB_ASSERT(entries_max >= 2 && (entries_max & (entries_max - 1)) == 0);
	*c = (struct bb_cache){ .mem = mem, .key = *key, .entries_max = entries_max };
	c->mask = segment_entries(c) - 1;
	c->last = &c->none;
	c->segments = bb_mem_zalloc(mem, segment_count(c) * sizeof(*c->segments));
	c->changes = bb_mem_zalloc(mem, BB_CACHE_CHANGES * sizeof(*c->changes));
	if (c->segments == NULL || c->changes == NULL) {
		bb_cache_fini(c);
		return -ENOMEM;
	}
	return 0;
}

void
bb_cache_fini(struct bb_cache *c)
{
	if (c->mem == NULL)
		return;
	for (uint64_t i = 0; c->segments != NULL && i < segment_count(c); i++) {
		bb_mem_free(c->mem, c->segments[i].base, segment_bytes(c));
		bb_mem_free(c->mem, c->segments[i].far, segment_entries(c) * sizeof(*c->segments[i].far));
	}
	bb_mem_free(c->mem, c->segments, segment_count(c) * sizeof(*c->segments));
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

/* The segment of a hash, made if it is not there yet. False without memory: the topic goes uncached. */
static bool
segment_ready(struct bb_cache *c, uint64_t hash, bool far)
{
	struct bb_cache_segment *s = &c->segments[(hash & c->mask) / BB_CACHE_SEGMENT];

	if (s->entries == NULL) {
		s->base = bb_mem_alloc(c->mem, segment_bytes(c));
		if (s->base == NULL)
			return false;
		s->entries = (void *)(uintptr_t)bb_align_up((uintptr_t)s->base, BB_CACHE_LINE);
		memset(s->entries, 0, segment_entries(c) * sizeof(*s->entries));
	}
	if (far && s->far == NULL)
		s->far = bb_mem_alloc(c->mem, segment_entries(c) * sizeof(*s->far));
	return !far || s->far != NULL;
}

/* Where a new topic goes. */
static struct bb_cache_entry *
place_for(struct bb_cache *c, uint64_t hash)
{
	struct bb_cache_entry *e = bb_cache_bucket(c, hash);

	for (int i = 0; i < 2; i++)
		if (e[i].hash == hash && e[i].seq != 0)
			return &e[i]; /* its own place, out of date; or the same hash by chance */
	for (int i = 0; i < 2; i++)
		if (e[i].seq == 0)
			return &e[i];

	/* The one not used since the other was replaced goes; of two in use, by chance. */
	const bool second = e[0].used == e[1].used ? hash >> 63 != 0 : e[0].used;
	e[0].used = e[1].used = false;
	c->pushed++;
	return e + second;
}

void
bb_cache_put(struct bb_cache *c, uint64_t hash, const uint8_t *key, uint32_t key_len, uint64_t seq,
	const struct bb_set *set)
{
	BB_DEBUG_ASSERT(key_len <= BB_CACHE_KEY_MAX);
	if (c->pushed > c->mask && c->mask + 1 < c->entries_max) {
		c->mask = 2 * c->mask + 1;
		c->pushed = 0;
		c->last = &c->none; /* it may not be found where it lies any more */
	}
	if (!segment_ready(c, hash, key_len > BB_CACHE_KEY_NEAR))
		return;

	struct bb_cache_entry *e = place_for(c, hash);
	e->hash = hash;
	e->seq = seq;
	e->set = set;
	e->len = (uint8_t)key_len;
	e->used = true;
	const uint32_t near = key_len < BB_CACHE_KEY_NEAR ? key_len : BB_CACHE_KEY_NEAR;
	memcpy(e->key, key, near);
	if (key_len > near)
		memcpy(bb_cache_far(c, e), key + near, key_len - near);
	c->last = e;
}
