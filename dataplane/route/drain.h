/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * drain: the end of a scope (the node, or one endpoint), see router.h: END from every I/O core and the
 * agent's mail, then an empty park, then END to every I/O core, then the agent's answer.
 *
 * Thread: the router core.
 */
#ifndef BB_ROUTE_DRAIN_H
#define BB_ROUTE_DRAIN_H

#include "route/state.h"

void bb_drain_init(struct bb_drain *d, uint32_t scope);

/* The agent asked for it. False: that scope is unknown. */
bool bb_drain_begin(struct bb_router *r, uint32_t scope, uint64_t deadline_ns, uint64_t tag);

/* An I/O core sent END. */
void bb_drain_ended(struct bb_router *r, uint32_t scope, uint32_t core);

/* Whatever can be done now: drop what is parked behind the deadline, send END. */
void bb_drain_step(struct bb_router *r);

/* All deliveries are published: answer the agent. */
void bb_drain_answer(struct bb_router *r);

/* When bb_drain_step() is to be called although nothing arrives. */
uint64_t bb_drain_deadline(const struct bb_router *r);

#endif
