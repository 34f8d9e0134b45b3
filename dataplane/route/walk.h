/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * walk: the router's way through the slices of the I/O cores, run by run, with a cursor that stays where
 * budget or rings ran out.
 *
 * Thread: the router core.
 */
#ifndef BB_ROUTE_WALK_H
#define BB_ROUTE_WALK_H

#include <stdbool.h>

#include "route/state.h"

/* Take slices of all I/O cores in turn. */
void bb_walk_all(struct bb_router *r);

/* Some slice is not through. */
bool bb_walk_pending(const struct bb_router *r);

/* Go on with parked messages that may go. True when there is nothing more to do now. */
bool bb_walk_resume(struct bb_router *r);

/* Go on with forgetting peers that are gone. */
void bb_walk_dying(struct bb_router *r);

/* Give back the slices at hand. */
void bb_walk_fini(struct bb_router *r);

#endif
