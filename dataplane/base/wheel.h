/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wheel: many timers that rarely fire. One level of 4096 slots of 8.4 ms (2^23 ns), so about 34 s ahead;
 * later deadlines wait in the farthest slot and are filed again when it comes round. Setting and cancelling
 * are O(1).
 *
 * A timer fires at most one slot late and never early. A step handles at most as many timers as it is asked
 * to.
 *
 * Owner: the actor it lies in.
 */
#ifndef BB_BASE_WHEEL_H
#define BB_BASE_WHEEL_H

#include <stdint.h>

#include "base/list.h"
#include "base/time.h"

#define BB_WHEEL_SLOTS 4096u
#define BB_WHEEL_SHIFT 23

struct bb_timer {
	struct bb_list node;
	uint64_t deadline_ns; /* BB_NEVER: not set */
};

struct bb_wheel {
	struct bb_list slot[BB_WHEEL_SLOTS];
	uint64_t occupied[BB_WHEEL_SLOTS /
			  64]; /* hint: a bit may stay set for an empty slot, never the reverse */
	uint64_t tick;	       /* slots up to this one have been handled */
};

void bb_wheel_init(struct bb_wheel *w, uint64_t now_ns);

static inline void
bb_timer_init(struct bb_timer *t)
{
	bb_list_init(&t->node);
	t->deadline_ns = BB_NEVER;
}

/* Set, or set anew. BB_NEVER cancels. */
void bb_wheel_set(struct bb_wheel *w, struct bb_timer *t, uint64_t deadline_ns);

static inline void
bb_wheel_cancel(struct bb_timer *t)
{
	bb_list_remove(&t->node);
	t->deadline_ns = BB_NEVER;
}

/* The next timer that is due at now_ns, cancelled; NULL if there is none. */
struct bb_timer *bb_wheel_expire(struct bb_wheel *w, uint64_t now_ns);

/* When bb_wheel_expire() should be called next: no later than the first deadline's slot; BB_NEVER if nothing
 * is set. */
uint64_t bb_wheel_next(const struct bb_wheel *w);

#endif
