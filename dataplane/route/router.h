/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * router: the actor that owns endpoints (or shards of them) and decides where messages go.
 *
 * Inboxes: slices of every I/O core (msg/batch.h), mail of the agent (msg/mail.h). Outboxes: deliveries to
 * every I/O core (msg/delivery.h), mail to the agent. Each step does bounded work and keeps cursors: in the
 * slice at hand, in a walk over a dying peer's subscriptions, in a fan-out whose target ring is full.
 *
 * Peers. ATTACH makes a session known on its side; until GONE it may produce (MSGS, CHAIN), consume and
 * subscribe there. Runs of unknown sessions are our own fault: an I/O core sends nothing before ATTACH or
 * after GONE. ATTACH is answered GRANTED (with the routing id the peer has now, for sides with claims) or
 * REFUSED. GONE is answered GONE_DONE.
 *
 * Input window. For each (I/O core, side) the router reports by WINDOW, once a step when it changed, the
 * total bytes of message runs it has done with: routed, dropped or freed from the park. Parked messages are
 * not done with. The I/O core keeps at most window_bytes (at least one message) outstanding.
 *
 * Park. A message without a place to go waits in the FIFO of its producing session; the messages of that
 * session that follow wait behind it (order per pair), those of others do not. Producers resume in rotation,
 * one message each, as receivers get credit.
 *
 * Accounts per side: every message of a run is counted exactly once as routed, or as dropped by cause, or
 * stands in the parked gauge; copies counts deliveries to single receivers.
 *
 * Drain (BB_MAIL_DRAIN): the I/O cores stop reading that scope and send END(scope) behind their last batch.
 * With END from every I/O core and nothing of the scope in the park, the router sends END(scope) to every I/O
 * core and answers DONE. When the mail's deadline passes first, what is parked is dropped: it was received,
 * so it counts as dropped_in by no receiver: cause unroutable; then the same. END may come before the mail;
 * both are needed.
 *
 * Thread: one router core. Time is passed in.
 */
#ifndef BB_ROUTE_ROUTER_H
#define BB_ROUTE_ROUTER_H

#include <stdint.h>

#include "base/counters.h"
#include "base/hash.h"
#include "base/mem.h"
#include "msg/fabric.h"

struct bb_router;

struct bb_router_options {
	uint32_t index; /* among routers */
	uint32_t actor; /* id for BB_ASSERT_OWNER, not 0 */
	struct bb_fabric *fabric;
	struct bb_mem *mem; /* this actor's own */
	const struct bb_counters *counters;
	struct bb_hash_key hash_key; /* secret, random */
};

/* 0 or -ENOMEM. What options point to outlives the router. */
int bb_router_create(const struct bb_router_options *options, struct bb_router **ret_router);

/* NULL is allowed. Gives back all it holds, in whatever state it is. */
void bb_router_destroy(struct bb_router *r);

/* One step; returns how much work was done, 0 when idle. */
uint32_t bb_router_poll(struct bb_router *r, uint64_t now_ns);

/* When the router wants to be polled although nothing arrives: monotonic ns, BB_NEVER if never. */
uint64_t bb_router_deadline(const struct bb_router *r);

/* Pinned and needed bytes, for the loop's row. */
void bb_router_memory(
	const struct bb_router *r, uint64_t *ret_pinned, uint64_t *ret_needed, uint64_t *ret_evacuated);

#endif
