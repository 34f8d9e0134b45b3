/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/wheel.h"

#include <string.h>

#define SLOT_MASK (BB_WHEEL_SLOTS - 1)

void
bb_wheel_init(struct bb_wheel *w, uint64_t now_ns)
{
	for (uint32_t i = 0; i < BB_WHEEL_SLOTS; i++)
		bb_list_init(&w->slot[i]);
	memset(w->occupied, 0, sizeof(w->occupied));
	w->tick = now_ns >> BB_WHEEL_SHIFT;
}

void
bb_wheel_set(struct bb_wheel *w, struct bb_timer *t, uint64_t deadline_ns)
{
	bb_list_remove(&t->node);
	t->deadline_ns = deadline_ns;
	if (deadline_ns == BB_NEVER)
		return;
	/* The slot after the deadline's: when it is reached, the deadline has passed. */
	uint64_t tick = (deadline_ns >> BB_WHEEL_SHIFT) + 1;
	if (tick <= w->tick)
		tick = w->tick + 1;
	if (tick - w->tick > SLOT_MASK)
		tick = w->tick + SLOT_MASK;
	const uint32_t slot = tick & SLOT_MASK;
	bb_list_append(&w->slot[slot], &t->node);
	w->occupied[slot / 64] |= UINT64_C(1) << (slot % 64);
}

struct bb_timer *
bb_wheel_expire(struct bb_wheel *w, uint64_t now_ns)
{
	const uint64_t now_tick = now_ns >> BB_WHEEL_SHIFT;

	/* A long sleep passes every slot at most once. */
	if (now_tick > w->tick + BB_WHEEL_SLOTS)
		w->tick = now_tick - BB_WHEEL_SLOTS;
	for (;;) {
		const uint32_t slot = w->tick & SLOT_MASK;
		for (struct bb_list *n; (n = bb_list_pop(&w->slot[slot])) != NULL;) {
			struct bb_timer *t = bb_list_entry(n, struct bb_timer, node);
			if (t->deadline_ns > now_ns) {
				bb_wheel_set(w, t, t->deadline_ns); /* it was too far ahead for the wheel */
				continue;
			}
			t->deadline_ns = BB_NEVER;
			return t;
		}
		w->occupied[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
		if (w->tick >= now_tick)
			return NULL;
		w->tick++;
	}
}

uint64_t
bb_wheel_next(const struct bb_wheel *w)
{
	for (uint32_t i = 0; i <= BB_WHEEL_SLOTS;) {
		const uint32_t slot = (uint32_t)(w->tick + i) & SLOT_MASK;
		const uint64_t bits = w->occupied[slot / 64] >> (slot % 64);
		if (bits != 0) {
			i += (uint32_t)__builtin_ctzll(bits);
			return i > SLOT_MASK ? BB_NEVER : (w->tick + i) << BB_WHEEL_SHIFT;
		}
		i += 64 - slot % 64;
	}
	return BB_NEVER;
}
