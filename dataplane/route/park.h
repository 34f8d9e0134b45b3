/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * park: messages that wait for a receiver with room, in one FIFO per session that sent them.
 *
 * A message is a reference into the buffer it came in, no copy. The peers that have some take turns: those in
 * `ready` may try, those that wait for one particular receiver stand in that receiver's list instead.
 *
 * Parked messages of a peer that goes stay; the last one takes the rest of the peer with it.
 *
 * Thread: the router core.
 */
#ifndef BB_ROUTE_PARK_H
#define BB_ROUTE_PARK_H

#include <stdbool.h>
#include <stdint.h>

#include "route/state.h"

void bb_park_init(struct bb_park *k);

static inline bool
bb_park_empty(const struct bb_park *k)
{
	return k->msgs[0] + k->msgs[1] == 0;
}

/* True while p has parked messages: what it sends must wait behind them. */
static inline bool
bb_parked(const struct bb_peer *p)
{
	return p->parked_msgs > 0;
}

/* Park all that is left of m; without memory it is dropped and counted. p becomes ready if it was not parked.
 */
void bb_park_messages(struct bb_shard *s, struct bb_peer *p, struct bb_msgs *m);
void bb_park_chain(struct bb_shard *s, struct bb_peer *p, const struct bb_chain *c);

/*
 * The first len octets, msgs messages, of p's oldest span have been routed or dropped, and are accounted for.
 * Returns false if p was a ghost and this was its end: p is freed.
 */
bool bb_park_shift(struct bb_shard *s, struct bb_peer *p, uint32_t len, uint32_t msgs);

/* p goes to the end of the rotation. */
void bb_park_rotate(struct bb_shard *s, struct bb_peer *p);

/* Octets of the message that p's oldest span begins with. */
uint32_t bb_park_front_len(const struct bb_shard *s, const struct bb_peer *p);

/* Drop parked messages as unroutable, within the budget. True when the park is empty. */
bool bb_park_drop(struct bb_shard *s);

/* Forget everything without accounts: the router is being destroyed. */
void bb_park_clear(struct bb_shard *s);

/* Copy what is parked out of thinly used buffers, at most budget octets and a few peers. Returns octets. */
uint64_t bb_park_evacuate(struct bb_shard *s, uint64_t budget);

#endif
