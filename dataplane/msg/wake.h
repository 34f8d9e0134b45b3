/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wake: how a loop goes to sleep without missing work that is published at the same time.
 *
 * Sleeper (the loop):                         Publisher (any actor on another loop):
 *   1. asleep = 1                 (seq_cst)     1. store to the ring          (release)
 *   2. poll every inbox once more               2. fence                      (seq_cst)
 *   3. wait for events or a deadline            3. if asleep, exchange it for 0; who wins kicks
 *   4. asleep = 0
 *
 * The fence orders the publisher's store before its load of asleep, as the sleeper's seq_cst store comes
 * before its last look: at least one of the two sees the other. Without the fence the node hangs now and
 * then.
 *
 * Thread: asleep is written by the sleeper, and by whoever wins the exchange.
 */
#ifndef BB_MSG_WAKE_H
#define BB_MSG_WAKE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

struct bb_wake {
	BB_NO_SHARE _Atomic uint32_t asleep;
	/* Constant: makes the sleeper's wait return, e.g. by writing its eventfd. */
	void (*kick)(struct bb_wake *w);
	int fd; /* for kick */
};

/* Sleeper, step 1. Then look at every inbox once more before waiting. */
static inline void
bb_wake_prepare(struct bb_wake *w)
{
	atomic_store_explicit(&w->asleep, 1, memory_order_seq_cst);
	/* The looks that follow must not be done before the store is visible. */
	atomic_thread_fence(memory_order_seq_cst);
}

/* Sleeper, step 4: also when the last look found work. */
static inline void
bb_wake_cancel(struct bb_wake *w)
{
	atomic_store_explicit(&w->asleep, 0, memory_order_relaxed);
}

/* Publisher, after its rings were written; once per turn and target is enough. True if it kicked. */
static inline bool
bb_wake_notify(struct bb_wake *w)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (bb_likely(atomic_load_explicit(&w->asleep, memory_order_relaxed) == 0))
		return false;
	if (atomic_exchange_explicit(&w->asleep, 0, memory_order_relaxed) == 0)
		return false; /* somebody else did */
	w->kick(w);
	return true;
}

#endif
