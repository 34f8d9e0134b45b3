/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/wheel.h"

#include "base/time.h"

#define L0_BITS 10
#define L1_BITS 10
#define L2_BITS 8
#define L1_BASE (1u << L0_BITS)
#define L2_BASE (L1_BASE + (1u << L1_BITS))
#define L0_MASK ((1u << L0_BITS) - 1)
#define L1_MASK ((1u << L1_BITS) - 1)
#define L2_MASK ((1u << L2_BITS) - 1)
#define SPAN_TICKS (UINT64_C(1) << (L0_BITS + L1_BITS + L2_BITS))

static struct bb_net_wheel_link *
link_at(const struct bb_net_wheel *w, uint32_t idx)
{
	return (struct bb_net_wheel_link *)(void *)((uint8_t *)bb_net_pool_at(w->pool, idx) + w->link_offset);
}

void
bb_net_wheel_init(
	struct bb_net_wheel *w, const struct bb_net_pool *pool, uint32_t link_offset, uint64_t now_ns)
{
	*w = (struct bb_net_wheel){ .pool = pool, .link_offset = link_offset };
	w->tick = now_ns >> BB_NET_WHEEL_TICK_SHIFT;
	for (uint32_t i = 0; i < BB_NET_WHEEL_SLOTS; i++)
		w->head[i] = BB_NET_POOL_NONE;
}

/*
 * An entry sits in the lowest level whose current turn contains its tick, so a slot of level 1 or 2
 * is emptied into the level below exactly when that turn begins.
 */
static uint32_t
slot_of(const struct bb_net_wheel *w, uint64_t tick)
{
	if (tick >> L0_BITS == w->tick >> L0_BITS)
		return (uint32_t)(tick & L0_MASK);
	if (tick >> (L0_BITS + L1_BITS) == w->tick >> (L0_BITS + L1_BITS))
		return L1_BASE + (uint32_t)((tick >> L0_BITS) & L1_MASK);
	return L2_BASE + (uint32_t)((tick >> (L0_BITS + L1_BITS)) & L2_MASK);
}

static void
place(struct bb_net_wheel *w, uint32_t idx, uint64_t tick)
{
	struct bb_net_wheel_link *l = link_at(w, idx);
	const uint32_t slot = slot_of(w, tick);

	l->tick = tick;
	l->slot = (uint16_t)slot;
	l->prev = BB_NET_POOL_NONE;
	l->next = w->head[slot];
	if (l->next != BB_NET_POOL_NONE)
		link_at(w, l->next)->prev = idx;
	w->head[slot] = idx;
	w->used[slot / 64] |= UINT64_C(1) << (slot % 64);
}

static void
unplace(struct bb_net_wheel *w, uint32_t idx)
{
	struct bb_net_wheel_link *l = link_at(w, idx);

	if (l->prev != BB_NET_POOL_NONE)
		link_at(w, l->prev)->next = l->next;
	else
		w->head[l->slot] = l->next;
	if (l->next != BB_NET_POOL_NONE)
		link_at(w, l->next)->prev = l->prev;
	if (w->head[l->slot] == BB_NET_POOL_NONE)
		w->used[l->slot / 64] &= ~(UINT64_C(1) << (l->slot % 64));
	l->slot = BB_NET_WHEEL_IDLE;
}

void
bb_net_wheel_insert(struct bb_net_wheel *w, uint32_t idx, uint64_t deadline_ns)
{
	/* Rounded up: an entry must not fire before its deadline. */
	uint64_t tick = (deadline_ns >> BB_NET_WHEEL_TICK_SHIFT) + 1;

	BB_DEBUG_ASSERT(link_at(w, idx)->slot == BB_NET_WHEEL_IDLE);
	if (tick <= w->tick)
		tick = w->tick + 1;
	/* Beyond the span (about 73 minutes) it fires early and the owner arms it again. */
	if (tick - w->tick >= SPAN_TICKS - (UINT64_C(1) << (L0_BITS + L1_BITS)))
		tick = w->tick + SPAN_TICKS - (UINT64_C(1) << (L0_BITS + L1_BITS)) - 1;
	place(w, idx, tick);
	w->armed++;
}

void
bb_net_wheel_remove(struct bb_net_wheel *w, uint32_t idx)
{
	if (link_at(w, idx)->slot == BB_NET_WHEEL_IDLE)
		return;
	unplace(w, idx);
	w->armed--;
}

/* First used slot in [from, end) or end. */
static uint32_t
next_used(const struct bb_net_wheel *w, uint32_t from, uint32_t end)
{
	while (from < end) {
		const uint64_t bits = w->used[from / 64] >> (from % 64);
		if (bits != 0) {
			const uint32_t slot = from + (uint32_t)__builtin_ctzll(bits);
			return slot < end ? slot : end;
		}
		from = (from / 64 + 1) * 64;
	}
	return end;
}

static void
cascade(struct bb_net_wheel *w, uint32_t slot)
{
	uint32_t idx = w->head[slot];

	while (idx != BB_NET_POOL_NONE) {
		const uint32_t next = link_at(w, idx)->next;
		const uint64_t tick = link_at(w, idx)->tick;
		unplace(w, idx);
		place(w, idx, tick);
		idx = next;
	}
}

/*
 * The first tick after w->tick at which something is to be done: an entry of level 0 fires, or a
 * slot of a higher level is to be emptied into lower ones.
 */
static uint64_t
next_tick(const struct bb_net_wheel *w)
{
	const uint64_t t = w->tick;
	uint32_t s = next_used(w, (uint32_t)(t & L0_MASK) + 1, L1_BASE);

	if (s < L1_BASE)
		return (t & ~(uint64_t)L0_MASK) | s;
	s = next_used(w, L1_BASE + (uint32_t)((t >> L0_BITS) & L1_MASK) + 1, L2_BASE);
	if (s < L2_BASE)
		return ((t >> (L0_BITS + L1_BITS)) << (L0_BITS + L1_BITS)) | (uint64_t)(s - L1_BASE)
										     << L0_BITS;

	const uint32_t cur = (uint32_t)((t >> (L0_BITS + L1_BITS)) & L2_MASK);
	const uint64_t turn = (t >> (L0_BITS + L1_BITS + L2_BITS)) << L2_BITS;
	s = next_used(w, L2_BASE + cur + 1, BB_NET_WHEEL_SLOTS);
	if (s < BB_NET_WHEEL_SLOTS)
		return (turn | (s - L2_BASE)) << (L0_BITS + L1_BITS);
	s = next_used(w, L2_BASE, L2_BASE + cur + 1); /* wrapped into the next turn of level 2 */
	return (turn + (UINT64_C(1) << L2_BITS) + (s - L2_BASE)) << (L0_BITS + L1_BITS);
}

uint32_t
bb_net_wheel_expire(struct bb_net_wheel *w, uint64_t now_ns)
{
	const uint64_t now_tick = now_ns >> BB_NET_WHEEL_TICK_SHIFT;

	for (;;) {
		/* What is left of the current tick. */
		const uint32_t idx = w->head[w->tick & L0_MASK];
		if (idx != BB_NET_POOL_NONE) {
			unplace(w, idx);
			w->armed--;
			return idx;
		}
		if (w->tick >= now_tick)
			return BB_NET_POOL_NONE;
		const uint64_t next = w->armed != 0 ? next_tick(w) : now_tick;
		if (next > now_tick) {
			/* Nothing is due before next, so no turn that holds an entry begins before it. */
			w->tick = now_tick;
			return BB_NET_POOL_NONE;
		}
		w->tick = next;
		if ((next & ((UINT64_C(1) << (L0_BITS + L1_BITS)) - 1)) == 0)
			cascade(w, L2_BASE + (uint32_t)((next >> (L0_BITS + L1_BITS)) & L2_MASK));
		if ((next & L0_MASK) == 0)
			cascade(w, L1_BASE + (uint32_t)((next >> L0_BITS) & L1_MASK));
	}
}

uint64_t
bb_net_wheel_deadline(const struct bb_net_wheel *w)
{
	if (w->armed == 0)
		return BB_NEVER;
	if (w->head[w->tick & L0_MASK] != BB_NET_POOL_NONE)
		return w->tick << BB_NET_WHEEL_TICK_SHIFT;
	return next_tick(w) << BB_NET_WHEEL_TICK_SHIFT;
}
