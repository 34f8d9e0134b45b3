/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer: what a router knows of one session, and the table that finds it by its handle.
 *
 * A peer lives from ATTACH until GONE_DONE, longer only while messages it sent are parked: then it is a ghost
 * that no handle finds any more.
 *
 * Credit is counted in totals since the attachment: what was sent, and up to where it may go. The two sums
 * of bytes and the three limits share the first cache line with the handle: all that routing touches.
 *
 * Thread: the router core.
 */
#ifndef BB_ROUTE_PEER_H
#define BB_ROUTE_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/mem.h"
#include "msg/batch.h"
#include "msg/spans.h"
#include "route/subtab.h"

struct bb_claim;
struct bb_out_core;
struct bb_shard;
struct bb_window;

#define BB_POSITION_NONE UINT32_MAX

struct bb_peer {
	/* routing to it */
	bb_handle handle;
	struct bb_out_core *out; /* of its I/O core */
	uint64_t msgs_sent, msgs_limit;
	uint64_t bytes_sent, bytes_limit, bytes_left;
	uint32_t position; /* in a rotation, BB_POSITION_NONE: in none */
	uint16_t side;	   /* index */
	uint8_t core;	   /* I/O core */
	uint8_t which;	   /* side of the endpoint, 0 or 1 */

	/* routing from it */
	struct bb_shard *shard; /* of the endpoint it belongs to */
	struct bb_window *window;
	struct bb_spanq park;
	uint64_t parked_msgs;
	struct bb_list park_all;   /* in the park's list of producers with parked messages */
	struct bb_list park_ready; /* in the park's rotation, or in the list of the peer it waits for */

	bool ghost; /* gone, but for its parked messages */
	bool told;  /* that it is to close: once is enough */
	struct bb_list dying;

	/* reqrep: a client's routing id */
	struct bb_claim *claim;

	/* pubsub, a subscriber */
	uint32_t sub;		 /* its index in the subscription table */
	struct bb_list waiting;	 /* producers whose next message waits for its credit */
	struct bb_list blockers; /* in the shard's list of peers somebody waits for, oldest first */
	uint64_t blocked_since_ns;

	/* pubsub, a publisher: how far it was told the subscriptions, see upstream.h */
	struct bb_list publishers, upstream; /* in lists of the shard */
	struct bb_subtab_cursor upstream_cursor;
	uint64_t upstream_log;	/* number of the next entry of the log */
	uint32_t upstream_room; /* elements that may be sent before it reports room */
	uint8_t upstream_phase;
	bool upstream_held; /* the cursor's topic is still to be told */
};

#define BB_PEER_PAGE 512

struct bb_peer_page {
	struct bb_peer *of[BB_PEER_PAGE];
};

struct bb_peers {
	struct bb_mem *mem;
	struct bb_peer_page ***cores; /* [I/O core][slot / BB_PEER_PAGE]: pages, made on demand */
	uint32_t core_count;
	uint32_t count;
};

/* 0 or -ENOMEM. */
int bb_peers_init(struct bb_peers *t, uint32_t core_count, struct bb_mem *mem);
/* Frees the peers as well; what they hold must have been given back. */
void bb_peers_fini(struct bb_peers *t);

void bb_peers_each(struct bb_peers *t, void (*fn)(void *ctx, struct bb_peer *p), void *ctx);

/* NULL if the table does not know it. */
static inline struct bb_peer *
bb_peers_find(const struct bb_peers *t, bb_handle h)
{
	const struct bb_peer_page *page = t->cores[bb_handle_core(h)][bb_handle_slot(h) / BB_PEER_PAGE];
	struct bb_peer *p = page == NULL ? NULL : page->of[bb_handle_slot(h) % BB_PEER_PAGE];

	return p != NULL && p->handle == h ? p : NULL;
}

/* A zeroed peer, its lists ready, in the table; NULL without memory. Nobody may be in its place. */
struct bb_peer *bb_peers_add(struct bb_peers *t, bb_handle h);

/* Out of the table; the peer stays. */
void bb_peers_forget(struct bb_peers *t, struct bb_peer *p);

void bb_peer_free(struct bb_peers *t, struct bb_peer *p);

/* True if a message of len octets may go to p now: see struct bb_credit. */
static inline bool
bb_peer_admits(const struct bb_peer *p, uint32_t len)
{
	return bb_likely(p->msgs_sent < p->msgs_limit &&
			 (p->bytes_sent + len <= p->bytes_limit || p->bytes_sent == p->bytes_left));
}

static inline void
bb_peer_charge(struct bb_peer *p, uint32_t msgs, uint64_t bytes)
{
	p->msgs_sent += msgs;
	p->bytes_sent += bytes;
}

#endif
