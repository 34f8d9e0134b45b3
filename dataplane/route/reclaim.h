/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reclaim: when a retired destination set may be freed: when no I/O core can come upon a delivery that names
 * it any more.
 *
 * Sets that retire are stamped with the router's epoch. An epoch is closed by noting, per I/O core, how many
 * deliveries were emitted so far; when all cores report that they are through with as many, all sets
 * stamped with that epoch and older ones go. One epoch is under way at a time, however many sets retire.
 *
 * Thread: the router core.
 */
#ifndef BB_ROUTE_RECLAIM_H
#define BB_ROUTE_RECLAIM_H

#include "route/state.h"

/* A little of it, once a step. */
void bb_reclaim_step(struct bb_router *r);

#endif
