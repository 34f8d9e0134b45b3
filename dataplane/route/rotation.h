/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rotation: round-robin over the peers of a side that have credit, message by message.
 *
 * As ZeroMQ's load balancer: peers that can take a message stand in front, in rotation; one that could not
 * leaves the rotation and joins it again, at its end, when it gets credit. When nobody takes a message it is
 * parked, and goes when credit comes; producers then take turns, one message each.
 *
 * With a single peer in the rotation a whole run of messages goes as one delivery.
 *
 * Thread: the router core that is the endpoint's home.
 */
#ifndef BB_ROUTE_ROTATION_H
#define BB_ROUTE_ROTATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

struct bb_chain;
struct bb_msgs;
struct bb_peer;
struct bb_shard;

struct bb_rotation {
	struct bb_peer **peers; /* [0, active) in rotation, [active, count) without credit */
	uint32_t count, cap, active;
	uint32_t next; /* whose turn it is; below active, or 0 */
};

void bb_rotation_fini(struct bb_rotation *r, struct bb_mem *mem);

/* Add p at the end of the rotation. 0 or -ENOMEM. */
int bb_rotation_join(struct bb_rotation *r, struct bb_mem *mem, struct bb_peer *p);
void bb_rotation_leave(struct bb_rotation *r, struct bb_peer *p);

/* p may have room again. */
void bb_rotation_wake(struct bb_rotation *r, struct bb_peer *p);

/* The messages, chain and resume of struct bb_pattern_ops, over the shard's rotation. */
void bb_rotation_messages(struct bb_shard *s, struct bb_peer *p, struct bb_msgs *m);
void bb_rotation_chain(struct bb_shard *s, struct bb_peer *p, const struct bb_chain *c);
bool bb_rotation_resume(struct bb_shard *s);

#endif
