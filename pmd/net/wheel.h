/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wheel: hierarchical timer wheel, three levels of 1024, 1024 and 256 slots, tick 16.384 us (2^14 ns).
 *
 * Entries are named by index; their links lie in an array of the caller's (one struct bb_net_wheel_link
 * at a fixed offset in every object of a pool). Insert, remove and expiry are O(1). An entry fires no earlier
 * than its deadline and at most one tick plus the poll gap later. The owner re-arms lazily: a deadline that
 * moves later leaves the entry where it is; on expiry the owner looks at its real deadline.
 *
 * Owner: one stack instance; no locks.
 */
#ifndef BB_NET_WHEEL_H
#define BB_NET_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "net/pool.h"

#define BB_NET_WHEEL_TICK_SHIFT 14
#define BB_NET_WHEEL_SLOTS (1024 + 1024 + 256)

struct bb_net_wheel_link {
	uint32_t next, prev; /* BB_NET_POOL_NONE at the ends */
	uint64_t tick;	     /* when it fires; valid while slot is */
	uint16_t slot;	     /* BB_NET_WHEEL_IDLE when in no slot */
};
#define BB_NET_WHEEL_IDLE UINT16_MAX

struct bb_net_wheel {
	const struct bb_net_pool *pool;
	uint32_t link_offset;
	uint64_t tick; /* every tick up to and including this one has been fired */
	uint32_t armed;
	uint32_t head[BB_NET_WHEEL_SLOTS];
	uint64_t used[BB_NET_WHEEL_SLOTS / 64]; /* bit per slot that is not empty */
};

void bb_net_wheel_init(
	struct bb_net_wheel *w, const struct bb_net_pool *pool, uint32_t link_offset, uint64_t now_ns);

/* Arm idle entry idx for deadline_ns; past deadlines fire at the next tick. */
void bb_net_wheel_insert(struct bb_net_wheel *w, uint32_t idx, uint64_t deadline_ns);

/* Disarm; does nothing to an idle entry. */
void bb_net_wheel_remove(struct bb_net_wheel *w, uint32_t idx);

/*
 * Next expired entry, disarmed, or BB_NET_POOL_NONE when everything up to now_ns has fired.
 * The caller calls until it has its fill; order is by tick.
 */
uint32_t bb_net_wheel_expire(struct bb_net_wheel *w, uint64_t now_ns);

/* No entry fires before this time; BB_NEVER when none is armed. */
uint64_t bb_net_wheel_deadline(const struct bb_net_wheel *w);

#endif
