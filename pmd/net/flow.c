/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/flow.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/assert.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define WAYS 12

struct bb_flow_bucket {
	uint8_t tags[WAYS]; /* 0 = free way, else 0x80 | seven bits of the hash */
	uint32_t spilled;   /* entries whose home lies at or before this bucket and that sit behind it */
	uint32_t refs[WAYS];
};
static_assert(sizeof(struct bb_flow_bucket) == 64, "one cache line");

int
bb_flow_init(struct bb_flow *f, struct bb_mem *mem, uint32_t entries_max, struct bb_hash_key key,
	bb_flow_key_fn *key_of, const void *ctx)
{
	uint64_t buckets = 1;

	while (buckets * WAYS * 3 / 4 < entries_max)
		buckets *= 2;
	*f = (struct bb_flow){ .mask = (uint32_t)buckets - 1, .key = key, .key_of = key_of, .ctx = ctx };
	f->raw_size = buckets * sizeof(struct bb_flow_bucket) + 64;
	f->raw = bb_mem_zalloc(mem, f->raw_size);
	if (f->raw == NULL)
		return -ENOMEM;
	f->buckets = (struct bb_flow_bucket *)bb_align_up((uintptr_t)f->raw, 64);
	return 0;
}

void
bb_flow_fini(struct bb_flow *f, struct bb_mem *mem)
{
	bb_mem_free(mem, f->raw, f->raw_size);
	*f = (struct bb_flow){ 0 };
}

static uint8_t
tag_of(uint64_t hash)
{
	return (uint8_t)(0x80 | hash >> 57);
}

/* Bit per way whose tag is this one. */
static uint32_t
match(const struct bb_flow_bucket *b, uint8_t tag)
{
#ifdef __SSE2__
	const __m128i tags = _mm_load_si128((const __m128i *)(const void *)b);
	return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(tags, _mm_set1_epi8((char)tag))) &
	       ((1u << WAYS) - 1);
#else
	uint32_t bits = 0;
	for (uint32_t i = 0; i < WAYS; i++)
		bits |= (uint32_t)(b->tags[i] == tag) << i;
	return bits;
#endif
}

void
bb_flow_prefetch(const struct bb_flow *f, uint64_t hash)
{
	__builtin_prefetch(&f->buckets[hash & f->mask]);
}

uint32_t
bb_flow_guess(const struct bb_flow *f, uint64_t hash)
{
	const struct bb_flow_bucket *b = &f->buckets[hash & f->mask];
	const uint32_t bits = match(b, tag_of(hash));

	return bits != 0 ? b->refs[__builtin_ctz(bits)] : BB_FLOW_NONE;
}

uint32_t
bb_flow_find(const struct bb_flow *f, const struct bb_flow_key *key, uint64_t hash)
{
	const uint8_t tag = tag_of(hash);

	for (uint32_t i = (uint32_t)hash & f->mask;; i = (i + 1) & f->mask) {
		const struct bb_flow_bucket *b = &f->buckets[i];
		for (uint32_t bits = match(b, tag); bits != 0; bits &= bits - 1) {
			const uint32_t ref = b->refs[__builtin_ctz(bits)];
			if (bb_flow_key_eq(f->key_of(f->ctx, ref), key))
				return ref;
		}
		if (b->spilled == 0)
			return BB_FLOW_NONE;
	}
}

void
bb_flow_insert(struct bb_flow *f, uint64_t hash, uint32_t ref)
{
	BB_ASSERT(f->count < (uint64_t)(f->mask + 1) * WAYS); /* sized for the sum of what it refers to */
	f->count++;
	f->gen++;
	for (uint32_t i = (uint32_t)hash & f->mask;; i = (i + 1) & f->mask) {
		struct bb_flow_bucket *b = &f->buckets[i];
		const uint32_t free_ways = match(b, 0);
		if (free_ways != 0) {
			const int way = __builtin_ctz(free_ways);
			b->tags[way] = tag_of(hash);
			b->refs[way] = ref;
			return;
		}
		b->spilled++;
	}
}

void
bb_flow_remove(struct bb_flow *f, uint64_t hash, uint32_t ref)
{
	const uint32_t home = (uint32_t)hash & f->mask;

	f->gen++;
	for (uint32_t i = home, steps = 0; steps <= f->mask; i = (i + 1) & f->mask, steps++) {
		struct bb_flow_bucket *b = &f->buckets[i];
		for (uint32_t bits = match(b, tag_of(hash)); bits != 0; bits &= bits - 1) {
			const int way = __builtin_ctz(bits);
			if (b->refs[way] != ref)
				continue;
			b->tags[way] = 0;
			f->count--;
			for (uint32_t j = home; j != i; j = (j + 1) & f->mask)
				f->buckets[j].spilled--;
			return;
		}
	}
	BB_ASSERT(!"a reference that is removed was inserted");
}
