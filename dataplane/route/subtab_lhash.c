/* SPDX-License-Identifier: BSD-3-Clause */
#include "route/subtab_lhash.h"

#include <string.h>

#include "base/assert.h"

enum { SEGMENT_BUCKETS = 1024, SEGMENT_SHIFT = 10, BUCKETS_LOG2_MAX = 26 };
#define SEGMENT_BYTES (SEGMENT_BUCKETS * sizeof(uint32_t))

static uint32_t *
bucket_at(const struct bb_lhash *h, uint64_t hash)
{
	uint32_t b = (uint32_t)hash & h->mask;

	if (b < h->split)
		b = (uint32_t)hash & (2 * h->mask + 1);
	return &h->segments[b >> SEGMENT_SHIFT][b & (SEGMENT_BUCKETS - 1)];
}

static bool
segment_add(struct bb_lhash *h)
{
	if (h->segment_count == h->segment_cap) {
		const uint32_t cap = h->segment_cap == 0 ? 4 : h->segment_cap * 2;
		uint32_t **segments = bb_mem_alloc(h->mem, cap * sizeof(*segments));
		if (segments == NULL)
			return false;
		if (h->segment_count != 0)
			memcpy(segments, h->segments, h->segment_count * sizeof(*segments));
		bb_mem_free(h->mem, h->segments, h->segment_cap * sizeof(*segments));
		h->segments = segments;
		h->segment_cap = cap;
	}
	uint32_t *segment = bb_mem_zalloc(h->mem, SEGMENT_BYTES);
	if (segment == NULL)
		return false;
	h->segments[h->segment_count++] = segment;
	return true;
}

/* Move the objects of bucket `split` that belong to its new partner. */
static void
split_one(struct bb_lhash *h)
{
	const uint32_t to = h->mask + 1 + h->split;

	if (to >> BUCKETS_LOG2_MAX != 0)
		return;
	if (to >> SEGMENT_SHIFT == h->segment_count && !segment_add(h))
		return; /* longer chains until there is memory */

	uint32_t *from_link = &h->segments[h->split >> SEGMENT_SHIFT][h->split & (SEGMENT_BUCKETS - 1)];
	uint32_t *to_link = &h->segments[to >> SEGMENT_SHIFT][to & (SEGMENT_BUCKETS - 1)];
	uint32_t id = *from_link;
	while (id != 0) {
		uint32_t *link = h->ops->next(h->ctx, id);
		const uint32_t next = *link;
		if (((uint32_t)h->ops->hash(h->ctx, id) & (2 * h->mask + 1)) == to) {
			*to_link = id;
			to_link = link;
		} else {
			*from_link = id;
			from_link = link;
		}
		id = next;
	}
	*from_link = 0;
	*to_link = 0;

	if (++h->split > h->mask) {
		h->mask = 2 * h->mask + 1;
		h->split = 0;
	}
}

void
bb_lhash_init(struct bb_lhash *h, struct bb_mem *mem, const struct bb_lhash_ops *ops, void *ctx)
{
	*h = (struct bb_lhash){ .mem = mem, .ops = ops, .ctx = ctx };
}

void
bb_lhash_fini(struct bb_lhash *h)
{
	for (uint32_t i = 0; i < h->segment_count; i++)
		bb_mem_free(h->mem, h->segments[i], SEGMENT_BYTES);
	bb_mem_free(h->mem, h->segments, h->segment_cap * sizeof(*h->segments));
	bb_lhash_init(h, h->mem, h->ops, h->ctx);
}

bool
bb_lhash_ready(struct bb_lhash *h)
{
	if (h->mask != 0)
		return true;
	if (!segment_add(h))
		return false;
	h->mask = SEGMENT_BUCKETS - 1;
	return true;
}

void
bb_lhash_insert(struct bb_lhash *h, uint32_t id)
{
	BB_ASSERT(h->mask != 0);
	if (h->count > h->mask + h->split)
		split_one(h);
	uint32_t *bucket = bucket_at(h, h->ops->hash(h->ctx, id));
	*h->ops->next(h->ctx, id) = *bucket;
	*bucket = id;
	h->count++;
}

void
bb_lhash_remove(struct bb_lhash *h, uint32_t id)
{
	BB_ASSERT(h->count > 0);
	uint32_t *link = bucket_at(h, h->ops->hash(h->ctx, id));
	while (*link != id) {
		BB_ASSERT(*link != 0);
		link = h->ops->next(h->ctx, *link);
	}
	*link = *h->ops->next(h->ctx, id);
	if (--h->count == 0)
		bb_lhash_fini(h); /* an empty table costs nothing */
}

uint32_t
bb_lhash_chain(const struct bb_lhash *h, uint64_t hash)
{
	return h->mask == 0 ? 0 : *bucket_at(h, hash);
}

void
bb_lhash_clear(struct bb_lhash *h)
{
	for (uint32_t i = 0; i < h->segment_count; i++)
		memset(h->segments[i], 0, SEGMENT_BYTES);
	h->count = 0;
}
