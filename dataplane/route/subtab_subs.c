/* SPDX-License-Identifier: BSD-3-Clause */
#include "route/subtab_subs.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"

enum {
	FAN_MIN = 4,   /* members of the smallest fan */
	FAN_HASH = 16, /* fans with more are hashed, */
	FAN_SCAN = 8,  /* those with fewer no longer */
};

static struct bb_topic *
topic_at(const struct bb_subs *s, uint32_t ref)
{
	return bb_slab_at(s->slab, ref);
}

static struct bb_sub_record *
record_at(const struct bb_subs *s, uint32_t ref)
{
	return bb_slab_at(s->slab, ref);
}

static uint64_t
pair_hash(const struct bb_subs *s, uint32_t topic, uint32_t sub)
{
	uint64_t x = ((uint64_t)topic << 32 | sub) ^ s->key.k0;

	x = (x ^ (x >> 32)) * UINT64_C(0xd6e8feb86659fd93);
	x = (x ^ (x >> 32)) * UINT64_C(0xd6e8feb86659fd93);
	return x ^ (x >> 32);
}

static uint32_t *
record_hash_next(void *ctx, uint32_t id)
{
	return &record_at(ctx, id)->hash_next;
}

static uint64_t
record_hash(void *ctx, uint32_t id)
{
	const struct bb_sub_record *r = record_at(ctx, id);

	return pair_hash(ctx, r->topic, r->sub);
}

static const struct bb_lhash_ops pair_ops = { .next = record_hash_next, .hash = record_hash };

void
bb_subs_init(struct bb_subs *s, struct bb_mem *mem, struct bb_slab *slab, const struct bb_hash_key *key)
{
	*s = (struct bb_subs){ .mem = mem, .slab = slab, .key = *key };
	bb_list_init(&s->fans);
	bb_lhash_init(&s->by_pair, mem, &pair_ops, s);
}

static size_t
fan_bytes(uint32_t cap)
{
	return sizeof(struct bb_sub_fan) + (size_t)cap * sizeof(struct bb_sub_member);
}

static void
fan_free(struct bb_subs *s, struct bb_sub_fan *fan)
{
	bb_list_remove(&fan->list);
	bb_mem_free(s->mem, fan, fan_bytes(fan->cap));
}

void
bb_subs_fini(struct bb_subs *s)
{
	bb_list_for_each(n, &s->fans) fan_free(s, bb_list_entry(n, struct bb_sub_fan, list));
	bb_lhash_fini(&s->by_pair);
	for (uint32_t i = 0; i < s->page_count; i++)
		bb_mem_free(s->mem, s->pages[i], BB_SUBS_PAGE * sizeof(struct bb_sub));
	bb_mem_free(s->mem, s->pages, s->page_cap * sizeof(*s->pages));
}

/* ---- Subscribers ---- */

static bool
page_add(struct bb_subs *s)
{
	if (s->page_count == s->page_cap) {
		const uint32_t cap = s->page_cap == 0 ? 4 : s->page_cap * 2;
		struct bb_sub **pages = bb_mem_alloc(s->mem, cap * sizeof(*pages));
		if (pages == NULL)
			return false;
		if (s->page_count != 0)
			memcpy(pages, s->pages, s->page_count * sizeof(*pages));
		bb_mem_free(s->mem, s->pages, s->page_cap * sizeof(*pages));
		s->pages = pages;
		s->page_cap = cap;
	}
	struct bb_sub *page = bb_mem_zalloc(s->mem, BB_SUBS_PAGE * sizeof(*page));
	if (page == NULL)
		return false;
	s->pages[s->page_count++] = page;
	return true;
}

/* Two hashes of the handle that nobody outside can compute. */
static struct bb_set_print
handle_print(const struct bb_subs *s, bb_handle handle)
{
	const struct bb_hash_key other = { .k0 = ~s->key.k0, .k1 = s->key.k1 };

	return (struct bb_set_print){ .a = bb_hash(&s->key, &handle, sizeof(handle)),
		.b = bb_hash(&other, &handle, sizeof(handle)) };
}

int
bb_subs_join(struct bb_subs *s, bb_handle handle, uint32_t *ret_sub)
{
	uint32_t sub = s->fresh;

	if (s->free == 0 && sub >> BB_SUBS_PAGE_SHIFT == s->page_count && !page_add(s))
		return -ENOMEM;
	if (s->free != 0) {
		sub = s->free - 1;
		s->free = bb_subs_at(s, sub)->records;
	} else {
		s->fresh++;
	}
	*bb_subs_at(s, sub) = (struct bb_sub){
		.handle = handle, .print = handle_print(s, handle), .state = BB_SUB_JOINED
	};
	s->count++;
	*ret_sub = sub;
	return 0;
}

void
bb_subs_leave(struct bb_subs *s, uint32_t sub)
{
	struct bb_sub *b = bb_subs_at(s, sub);

	BB_ASSERT(b->state != BB_SUB_FREE && b->records == 0 && b->topics == 0);
	b->state = BB_SUB_FREE;
	b->records = s->free;
	s->free = sub + 1;
	s->count--;
}

void
bb_subs_mark_new(struct bb_subs *s)
{
	if (++s->mark != 0)
		return;
	s->mark = 1; /* once in 2^32 sets: old marks may come again */
	for (uint32_t i = 0; i < s->fresh; i++)
		bb_subs_at(s, i)->mark = 0;
}

/* ---- Fans ---- */

/* Give a fan another size; returns the fan as it is now, or NULL without memory: nothing changed. */
static struct bb_sub_fan *
fan_resize(struct bb_subs *s, const struct bb_topic *topic, uint32_t cap)
{
	struct bb_sub_fan *old = bb_subs_fan(s, topic), *fan = bb_mem_alloc(s->mem, fan_bytes(cap));

	if (fan == NULL)
		return NULL;
	fan->count = old->count;
	fan->cap = cap;
	fan->hashed = old->hashed;
	memcpy(fan->members, old->members, old->count * sizeof(fan->members[0]));
	bb_list_append(&s->fans, &fan->list);
	fan_free(s, old);
	*(struct bb_sub_fan **)bb_slab_at(s->slab, topic->subs & ~BB_TOPIC_FAN) = fan;
	return fan;
}

/* From one record to a fan that holds it. NULL without memory: nothing changed. */
static struct bb_sub_fan *
fan_create(struct bb_subs *s, struct bb_topic *topic)
{
	const uint32_t slot = bb_slab_alloc(s->slab, sizeof(struct bb_sub_fan *));

	if (slot == 0)
		return NULL;
	struct bb_sub_fan *fan = bb_mem_alloc(s->mem, fan_bytes(FAN_MIN));
	if (fan == NULL) {
		bb_slab_free(s->slab, slot);
		return NULL;
	}
	struct bb_sub_record *r = record_at(s, topic->subs);
	fan->count = 1;
	fan->cap = FAN_MIN;
	fan->hashed = false;
	fan->members[0] = (struct bb_sub_member){ .sub = r->sub, .record = topic->subs };
	r->pos = 0;
	bb_list_append(&s->fans, &fan->list);
	*(struct bb_sub_fan **)bb_slab_at(s->slab, slot) = fan;
	topic->subs = BB_TOPIC_FAN | slot;
	return fan;
}

/* Back to one record, or none. */
static void
fan_destroy(struct bb_subs *s, struct bb_topic *topic)
{
	struct bb_sub_fan *fan = bb_subs_fan(s, topic);
	const uint32_t slot = topic->subs & ~BB_TOPIC_FAN;

	BB_ASSERT(fan->count == 1 && !fan->hashed);
	topic->subs = fan->members[0].record;
	fan_free(s, fan);
	bb_slab_free(s->slab, slot);
}

/* Large fans are hashed if there is memory for it; without, they are scanned. */
static void
fan_hash(struct bb_subs *s, struct bb_sub_fan *fan)
{
	if (fan->hashed || fan->count <= FAN_HASH || !bb_lhash_ready(&s->by_pair))
		return;
	for (uint32_t i = 0; i < fan->count; i++)
		bb_lhash_insert(&s->by_pair, fan->members[i].record);
	fan->hashed = true;
}

static void
fan_unhash(struct bb_subs *s, struct bb_sub_fan *fan)
{
	if (!fan->hashed || fan->count >= FAN_SCAN)
		return;
	for (uint32_t i = 0; i < fan->count; i++)
		bb_lhash_remove(&s->by_pair, fan->members[i].record);
	fan->hashed = false;
}

/* ---- Records ---- */

uint32_t
bb_subs_find(const struct bb_subs *s, uint32_t topic_ref, uint32_t sub)
{
	const struct bb_topic *topic = topic_at(s, topic_ref);

	if ((topic->subs & BB_TOPIC_FAN) == 0)
		return record_at(s, topic->subs)->sub == sub ? topic->subs : 0;

	const struct bb_sub_fan *fan = bb_subs_fan(s, topic);
	if (!fan->hashed) {
		for (uint32_t i = 0; i < fan->count; i++)
			if (fan->members[i].sub == sub)
				return fan->members[i].record;
		return 0;
	}
	uint32_t id = bb_lhash_chain(&s->by_pair, pair_hash(s, topic_ref, sub));
	while (id != 0 && (record_at(s, id)->topic != topic_ref || record_at(s, id)->sub != sub))
		id = record_at(s, id)->hash_next;
	return id;
}

bool
bb_subs_attach(struct bb_subs *s, uint32_t topic_ref, uint32_t sub)
{
	struct bb_topic *topic = topic_at(s, topic_ref);
	const uint32_t ref = bb_slab_alloc(s->slab, sizeof(struct bb_sub_record));

	if (ref == 0)
		return false;
	struct bb_sub *b = bb_subs_at(s, sub);
	struct bb_sub_record *r = record_at(s, ref);
	*r = (struct bb_sub_record){ .topic = topic_ref, .sub = sub, .next = b->records };

	if (topic->subs == 0) {
		topic->subs = ref;
	} else {
		struct bb_sub_fan *fan = (topic->subs & BB_TOPIC_FAN) != 0 ? bb_subs_fan(s, topic)
									   : fan_create(s, topic);
		if (fan != NULL && fan->count == fan->cap)
			fan = fan_resize(s, topic, fan->cap * 2);
		if (fan == NULL) {
			bb_slab_free(s->slab, ref);
			return false;
		}
		r->pos = fan->count;
		fan->members[fan->count++] = (struct bb_sub_member){ .sub = sub, .record = ref };
		if (fan->hashed)
			bb_lhash_insert(&s->by_pair, ref);
		else
			fan_hash(s, fan);
	}
	if (b->records != 0)
		record_at(s, b->records)->prev = ref;
	b->records = ref;
	b->topics++;
	s->records++;
	return true;
}

static void
fan_remove(struct bb_subs *s, struct bb_topic *topic, uint32_t ref)
{
	struct bb_sub_fan *fan = bb_subs_fan(s, topic);
	const uint32_t pos = record_at(s, ref)->pos;

	BB_ASSERT(pos < fan->count && fan->members[pos].record == ref);
	if (fan->hashed)
		bb_lhash_remove(&s->by_pair, ref);
	fan->members[pos] = fan->members[--fan->count];
	record_at(s, fan->members[pos].record)->pos = pos;
	fan_unhash(s, fan);
	if (fan->count == 1)
		fan_destroy(s, topic);
	else if (fan->cap > FAN_MIN && fan->count <= fan->cap / 4)
		fan_resize(s, topic, fan->cap / 2); /* without memory it stays large */
}

void
bb_subs_detach(struct bb_subs *s, uint32_t topic_ref, uint32_t ref)
{
	struct bb_topic *topic = topic_at(s, topic_ref);
	struct bb_sub_record *r = record_at(s, ref);
	struct bb_sub *b = bb_subs_at(s, r->sub);

	if ((topic->subs & BB_TOPIC_FAN) != 0)
		fan_remove(s, topic, ref);
	else
		topic->subs = 0;

	if (r->prev != 0)
		record_at(s, r->prev)->next = r->next;
	else
		b->records = r->next;
	if (r->next != 0)
		record_at(s, r->next)->prev = r->prev;
	b->topics--;
	s->records--;
	bb_slab_free(s->slab, ref);
}
