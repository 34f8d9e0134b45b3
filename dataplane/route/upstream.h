/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * upstream: telling publishers what is subscribed here, so that they send nothing in vain.
 *
 * Each publisher of a shard first gets the topics of the table, by a walk, then the changes (first
 * subscription, last cancel) from a log, in order; with `subscribe: all` it gets the empty topic, once. It is
 * told at most BB_UPSTREAM_ROOM elements before it reports room, so a publisher that does not read costs a
 * place in the log, never a queue of its own.
 *
 * The log is bounded. When it has grown, changes that cancel out are taken from it: a topic that came and went
 * between the places of two publishers concerns neither. So it holds hardly more than by how much the
 * table differs from what the slowest publisher was told. If that is too much, those furthest behind lose their
 * place and walk the table again: cancels that they missed stay subscribed at their end, and what they send for
 * them finds no subscriber here.
 *
 * Thread: the router core.
 */
#ifndef BB_ROUTE_UPSTREAM_H
#define BB_ROUTE_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct bb_peer;
struct bb_shard;

#define BB_UPSTREAM_ROOM 64		  /* elements a publisher is told before it reports room */
#define BB_UPSTREAM_LOG_ENTRIES 65536u	  /* a power of two */
#define BB_UPSTREAM_LOG_BYTES (16u << 20) /* of topics in the log */

struct bb_upstream_entry; /* upstream_log.h */

struct bb_upstream {
	struct bb_list publishers;
	/* By bb_peer.upstream, a publisher is in one of these, or in none while it owes a report of room. */
	struct bb_list pending; /* can be told something now */
	struct bb_list idle;	/* were told everything */
	/* The log: entries [first, next) by number; a ring that grows to BB_UPSTREAM_LOG_ENTRIES. */
	struct bb_upstream_entry **log;
	uint32_t cap;
	uint32_t at_end;	  /* publishers that were told all */
	uint32_t compact_entries; /* of the log, when it is worth looking for what cancels out */
	uint64_t compact_bytes;
	uint64_t first, next;
	uint64_t bytes;
};

void bb_upstream_init(struct bb_upstream *u);
void bb_upstream_fini(struct bb_shard *s);

/* A new publisher; it is told all there is. */
void bb_upstream_join(struct bb_shard *s, struct bb_peer *p);
void bb_upstream_leave(struct bb_shard *s, struct bb_peer *p);

/* A topic was subscribed for the first time, or cancelled for the last. */
void bb_upstream_changed(struct bb_shard *s, bool cancel, const void *topic, uint32_t len);

/* `subscribe: all` was switched on or off: tell everybody anew. */
void bb_upstream_restart(struct bb_shard *s);

/* p took what it was told. */
void bb_upstream_room(struct bb_shard *s, struct bb_peer *p);

/* Tell pending publishers, within budget and rings. True if there is more to do. */
bool bb_upstream_step(struct bb_shard *s);

#endif
