/* SPDX-License-Identifier: BSD-3-Clause */
#include "route/subtab_slab.h"

#include <stdbool.h>
#include <string.h>

#include "base/assert.h"

/* At the start of each chunk. Lists of chunks hold number + 1. */
struct chunk {
	uint16_t class;
	uint16_t slot_bytes;
	uint16_t used;
	uint16_t free;	/* first freed slot, in units; its first 2 bytes name the next; 0 none */
	uint16_t fresh; /* next slot never used, in units */
	uint16_t reserved[3];
	uint32_t open_next, open_prev;
	uint64_t reserved2;
};
static_assert(sizeof(struct chunk) == 32, "slots of 8 and 16 bytes stay aligned");
static_assert(BB_SLAB_CHUNK_BYTES == BB_SLAB_UNIT << BB_SLAB_SHIFT, "a reference reaches the whole chunk");

static uint32_t
class_of(size_t size, uint32_t *ret_slot_bytes)
{
	static const struct {
		uint16_t from, to, step, first;
	} band[] = { { 0, 32, 4, 0 }, { 32, 128, 8, 8 }, { 128, 512, 32, 20 }, { 512, 1408, 64, 32 } };

	BB_ASSERT(size > 0 && size <= BB_SLAB_SIZE_MAX);
	for (uint32_t i = 0;; i++) {
		if (size > band[i].to)
			continue;
		const uint32_t steps = (uint32_t)(size - band[i].from + band[i].step - 1) / band[i].step;
		*ret_slot_bytes = band[i].from + steps * band[i].step;
		return band[i].first + steps - 1;
	}
}

static struct chunk *
chunk_at(const struct bb_slab *s, uint32_t number)
{
	return (struct chunk *)(void *)s->chunks[number];
}

static bool
chunk_has_room(const struct chunk *c)
{
	return c->free != 0 ||
	       (uint32_t)c->fresh * BB_SLAB_UNIT + c->slot_bytes <= BB_SLAB_CHUNK_BYTES - BB_SLAB_PAD;
}

static void
chunk_link(struct bb_slab *s, uint32_t number)
{
	struct chunk *c = chunk_at(s, number);

	c->open_prev = 0;
	c->open_next = s->open[c->class];
	if (c->open_next != 0)
		chunk_at(s, c->open_next - 1)->open_prev = number + 1;
	s->open[c->class] = number + 1;
}

static void
chunk_unlink(struct bb_slab *s, uint32_t number)
{
	struct chunk *c = chunk_at(s, number);

	if (c->open_prev != 0)
		chunk_at(s, c->open_prev - 1)->open_next = c->open_next;
	else
		s->open[c->class] = c->open_next;
	if (c->open_next != 0)
		chunk_at(s, c->open_next - 1)->open_prev = c->open_prev;
}

/* Room for one more chunk number; false if there is no memory. */
static bool
numbers_reserve(struct bb_slab *s)
{
	if (s->number_free != 0 || s->chunk_count < s->chunk_cap)
		return true;
	if (s->chunk_count == BB_SLAB_REF_MAX >> BB_SLAB_SHIFT)
		return false;

	const uint32_t cap = s->chunk_cap == 0 ? 16 : s->chunk_cap * 2;
	uint8_t **chunks = bb_mem_alloc(s->mem, cap * sizeof(*chunks));
	if (chunks == NULL)
		return false;
	if (s->chunk_count != 0)
		memcpy(chunks, s->chunks, s->chunk_count * sizeof(*chunks));
	bb_mem_free(s->mem, s->chunks, s->chunk_cap * sizeof(*chunks));
	s->chunks = chunks;
	s->chunk_cap = cap;
	return true;
}

static bool
chunk_add(struct bb_slab *s, uint32_t class, uint32_t slot_bytes)
{
	if (!numbers_reserve(s))
		return false;
	struct chunk *c = bb_mem_alloc(s->mem, BB_SLAB_CHUNK_BYTES);
	if (c == NULL)
		return false;
	/* The pad is compared and then ignored; it must still be defined. */
	memset((uint8_t *)c + BB_SLAB_CHUNK_BYTES - BB_SLAB_PAD, 0, BB_SLAB_PAD);
	*c = (struct chunk){ .class = (uint16_t) class,
		.slot_bytes = (uint16_t)slot_bytes,
		.fresh = sizeof(*c) / BB_SLAB_UNIT };

	uint32_t number = s->chunk_count;
	if (s->number_free != 0) {
		number = s->number_free - 1;
		s->number_free = (uint32_t)((uintptr_t)s->chunks[number] >> 1);
	} else {
		s->chunk_count++;
	}
	s->chunks[number] = (uint8_t *)c;
	s->chunks_live++;
	chunk_link(s, number);
	return true;
}

static void
chunk_drop(struct bb_slab *s, uint32_t number)
{
	bb_mem_free(s->mem, s->chunks[number], BB_SLAB_CHUNK_BYTES);
	s->chunks[number] = (uint8_t *)((uintptr_t)s->number_free << 1 | 1);
	s->number_free = number + 1;
	s->chunks_live--;
}

void
bb_slab_init(struct bb_slab *s, struct bb_mem *mem)
{
	*s = (struct bb_slab){ .mem = mem };
}

void
bb_slab_fini(struct bb_slab *s)
{
	for (uint32_t i = 0; i < s->chunk_count; i++)
		if (((uintptr_t)s->chunks[i] & 1) == 0)
			bb_mem_free(s->mem, s->chunks[i], BB_SLAB_CHUNK_BYTES);
	bb_mem_free(s->mem, s->chunks, s->chunk_cap * sizeof(*s->chunks));
	bb_slab_init(s, s->mem);
}

uint32_t
bb_slab_alloc(struct bb_slab *s, size_t size)
{
	uint32_t slot_bytes;
	const uint32_t class = class_of(size, &slot_bytes);

	if (s->open[class] == 0 && !chunk_add(s, class, slot_bytes))
		return 0;

	const uint32_t number = s->open[class] - 1;
	struct chunk *c = chunk_at(s, number);
	uint32_t unit = c->free;
	if (unit != 0) {
		memcpy(&c->free, (uint8_t *)c + (size_t)unit * BB_SLAB_UNIT, sizeof(c->free));
	} else {
		unit = c->fresh;
		c->fresh += (uint16_t)(slot_bytes / BB_SLAB_UNIT);
	}
	c->used++;
	if (!chunk_has_room(c))
		chunk_unlink(s, number);
	return number << BB_SLAB_SHIFT | unit;
}

void
bb_slab_free(struct bb_slab *s, uint32_t ref)
{
	if (ref == 0)
		return;
	const uint32_t number = ref >> BB_SLAB_SHIFT;
	struct chunk *c = chunk_at(s, number);
	BB_ASSERT(c->used > 0);
	if (!chunk_has_room(c))
		chunk_link(s, number);
	memcpy(bb_slab_at(s, ref), &c->free, sizeof(c->free));
	c->free = (uint16_t)(ref & ((1u << BB_SLAB_SHIFT) - 1));
	if (--c->used == 0) {
		chunk_unlink(s, number);
		chunk_drop(s, number);
	}
}
