/* SPDX-License-Identifier: BSD-3-Clause */
#include "route/set.h"

#include <stddef.h>
#include <string.h>

#include "base/assert.h"

enum { PAGE_SHIFT = 9, PAGE_IDS = 1 << PAGE_SHIFT };

/* Retired by a flush: the stamp is that of the entry before it in the list. */
#define STAMP_INHERITED UINT64_MAX

struct set_entry {
	struct bb_list list; /* live or retired */
	struct bb_set_print print;
	uint64_t stamp; /* when retired */
	uint64_t bytes;
	uint32_t id;
	uint32_t next; /* in its chain of by_print; as an id is free: the next free one */
	uint32_t refs;
	struct bb_set set;
};

static struct set_entry **
slot_of(const struct bb_set_store *st, uint32_t id)
{
	return &st->ids[(id - 1) >> PAGE_SHIFT][(id - 1) & (PAGE_IDS - 1)];
}

static struct set_entry *
entry_of(const struct bb_set_store *st, uint32_t id)
{
	return *slot_of(st, id);
}

static uint32_t *
print_next(void *ctx, uint32_t id)
{
	return &entry_of(ctx, id)->next;
}

static uint64_t
print_hash(void *ctx, uint32_t id)
{
	return entry_of(ctx, id)->print.a;
}

static const struct bb_lhash_ops print_ops = { .next = print_next, .hash = print_hash };

/* Make sure that one more id can be taken. */
static bool
ids_reserve(struct bb_set_store *st)
{
	if (st->id_free != 0 || st->id_fresh >> PAGE_SHIFT < st->page_count)
		return true;
	if (st->page_count == st->page_cap) {
		const uint32_t cap = st->page_cap == 0 ? 8 : st->page_cap * 2;
		struct set_entry ***ids = bb_mem_alloc(st->mem, cap * sizeof(*ids));
		if (ids == NULL)
			return false;
		if (st->page_count != 0)
			memcpy(ids, st->ids, st->page_count * sizeof(*ids));
		bb_mem_free(st->mem, st->ids, st->page_cap * sizeof(*ids));
		st->ids = ids;
		st->page_cap = cap;
	}
	struct set_entry **page = bb_mem_alloc(st->mem, PAGE_IDS * sizeof(*page));
	if (page == NULL)
		return false;
	st->ids[st->page_count++] = page;
	return true;
}

/* A free id's slot holds the next free id. */
static uint32_t
id_take(struct bb_set_store *st)
{
	if (st->id_free == 0)
		return ++st->id_fresh;
	const uint32_t id = st->id_free;
	st->id_free = (uint32_t)(uintptr_t)*slot_of(st, id);
	return id;
}

static void
id_give(struct bb_set_store *st, uint32_t id)
{
	*slot_of(st, id) = (struct set_entry *)(uintptr_t)st->id_free;
	st->id_free = id;
}

static void
entry_free(struct bb_set_store *st, struct set_entry *e)
{
	bb_list_remove(&e->list);
	bb_mem_free(st->mem, e, e->bytes);
}

void
bb_set_store_init(struct bb_set_store *st, struct bb_mem *mem)
{
	*st = (struct bb_set_store){ .mem = mem };
	bb_list_init(&st->live);
	bb_list_init(&st->retired);
	bb_lhash_init(&st->by_print, mem, &print_ops, st);
}

void
bb_set_store_fini(struct bb_set_store *st)
{
	bb_list_for_each(n, &st->live) entry_free(st, bb_list_entry(n, struct set_entry, list));
	bb_list_for_each(n, &st->retired) entry_free(st, bb_list_entry(n, struct set_entry, list));
	bb_lhash_fini(&st->by_print);
	for (uint32_t i = 0; i < st->page_count; i++)
		bb_mem_free(st->mem, st->ids[i], PAGE_IDS * sizeof(*st->ids[i]));
	bb_mem_free(st->mem, st->ids, st->page_cap * sizeof(*st->ids));
	bb_set_store_init(st, st->mem);
}

/* Handles lie behind the cores, aligned. */
static size_t
handles_offset(uint32_t core_count)
{
	return bb_align_up(
		offsetof(struct set_entry, set.cores) + core_count * sizeof(struct bb_set_core), 8);
}

uint64_t
bb_set_bytes(uint32_t receivers, uint32_t core_count)
{
	return handles_offset(core_count) + receivers * sizeof(bb_handle);
}

uint32_t
bb_set_store_hold_equal(struct bb_set_store *st, struct bb_set_print print, uint32_t receivers)
{
	for (uint32_t id = bb_lhash_chain(&st->by_print, print.a); id != 0; id = entry_of(st, id)->next) {
		struct set_entry *e = entry_of(st, id);
		if (e->print.a == print.a && e->print.b == print.b && e->set.receivers == receivers) {
			e->refs++;
			return id;
		}
	}
	return 0;
}

uint32_t
bb_set_store_create(struct bb_set_store *st, struct bb_set_print print, uint32_t receivers,
	uint32_t core_count, struct bb_set **ret_set, bb_handle **ret_handles)
{
	BB_ASSERT(receivers > 0 && core_count > 0 && core_count <= receivers);
	if (!ids_reserve(st) || !bb_lhash_ready(&st->by_print))
		return 0;

	const uint64_t bytes = bb_set_bytes(receivers, core_count);
	struct set_entry *e = bb_mem_alloc(st->mem, bytes);
	if (e == NULL)
		return 0;
	const uint32_t id = id_take(st);
	*slot_of(st, id) = e;
	*e = (struct set_entry){ .print = print,
		.stamp = STAMP_INHERITED,
		.bytes = bytes,
		.id = id,
		.refs = 1,
		.set = { .serial = ++st->serial, .receivers = receivers, .core_count = core_count } };
	bb_handle *handles = (bb_handle *)(void *)((uint8_t *)e + handles_offset(core_count));
	e->set.handles = handles;

	bb_lhash_insert(&st->by_print, id);
	bb_list_append(&st->live, &e->list);
	st->live_bytes += bytes;
	st->live_count++;
	*ret_set = &e->set;
	*ret_handles = handles;
	return id;
}

const struct bb_set *
bb_set_store_get(const struct bb_set_store *st, uint32_t id)
{
	return &entry_of(st, id)->set;
}

void
bb_set_store_put(struct bb_set_store *st, uint32_t id)
{
	struct set_entry *e = entry_of(st, id);

	BB_ASSERT(e->refs > 0);
	if (--e->refs > 0)
		return;
	bb_lhash_remove(&st->by_print, id);
	id_give(st, id);
	bb_list_remove(&e->list);
	bb_list_append(&st->retired, &e->list);
	e->stamp = st->stamp;
	st->live_bytes -= e->bytes;
	st->live_count--;
	st->retired_bytes += e->bytes;
	st->retired_count++;
}

void
bb_set_store_flush(struct bb_set_store *st)
{
	if (bb_list_empty(&st->live))
		return;

	struct bb_list *first = st->live.next, *last = st->live.prev;
	bb_list_entry(first, struct set_entry, list)->stamp = st->stamp;
	first->prev = st->retired.prev;
	last->next = &st->retired;
	first->prev->next = first;
	st->retired.prev = last;
	bb_list_init(&st->live);

	bb_lhash_clear(&st->by_print);
	st->id_fresh = 0;
	st->id_free = 0;
	st->retired_bytes += st->live_bytes;
	st->retired_count += st->live_count;
	st->live_bytes = 0;
	st->live_count = 0;
}

void
bb_set_store_stamp(struct bb_set_store *st, uint64_t stamp)
{
	BB_ASSERT(stamp >= st->stamp && stamp < STAMP_INHERITED);
	st->stamp = stamp;
}

uint32_t
bb_set_store_reclaim(struct bb_set_store *st, uint64_t done, uint32_t max)
{
	uint32_t n = 0;

	while (n < max && !bb_list_empty(&st->retired)) {
		struct set_entry *e = bb_list_entry(st->retired.next, struct set_entry, list);
		if (e->stamp != STAMP_INHERITED)
			st->reclaim_stamp = e->stamp;
		if (st->reclaim_stamp > done)
			break;
		st->retired_bytes -= e->bytes;
		st->retired_count--;
		entry_free(st, e);
		n++;
	}
	return n;
}
