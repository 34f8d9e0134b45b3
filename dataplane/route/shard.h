/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shard: making, changing and removing a router's part of an endpoint, and the small things that all patterns
 * need of it (declared in state.h).
 *
 * Thread: the router core.
 */
#ifndef BB_ROUTE_SHARD_H
#define BB_ROUTE_SHARD_H

#include "route/state.h"

/* A new endpoint, or a change of one. 0 or -ENOMEM. */
int bb_shard_configure(struct bb_router *r, const struct bb_endpoint *conf);

/* Its drain is done and all its peers are gone. */
void bb_shard_remove(struct bb_router *r, uint32_t endpoint);

/* Whatever state it is in; nothing if there is none. Its peers must have been released. */
void bb_shard_destroy(struct bb_router *r, uint32_t endpoint);

/* Give back what a peer holds outside of its struct, when the router is destroyed. */
void bb_shard_release_peer(void *router, struct bb_peer *p);

#endif
