/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * state: what the files of the router share: the router itself, its shard of each endpoint, and the table by
 * which a pattern plugs in.
 *
 * A shard is one router's part of an endpoint. Peers belong to a shard; a pattern keeps what it needs in the
 * union at the shard's end.
 *
 * Thread: the router core.
 */
#ifndef BB_ROUTE_STATE_H
#define BB_ROUTE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "msg/endpoint.h"
#include "msg/mail.h"
#include "route/claims.h"
#include "route/out.h"
#include "route/peer.h"
#include "route/rotation.h"
#include "route/router.h"
#include "route/subtab.h"
#include "route/upstream.h"

/* Input of one (I/O core, side) that the router is done with. */
struct bb_window {
	uint64_t done; /* bytes since start */
	struct bb_window *next;
	uint16_t side;
	uint8_t core;
	bool dirty; /* in the router's list of those to be reported */
};

enum bb_drain_phase {
	BB_DRAIN_NONE,	  /* not asked for */
	BB_DRAIN_WAITING, /* for END from all I/O cores, and for an empty park */
	BB_DRAIN_ANSWER,  /* END went to all; the agent is to be told when all is published */
	BB_DRAIN_ANSWERED,
};

/* The end of one scope. */
struct bb_drain {
	struct bb_list node; /* in the router's list while WAITING or ANSWER */
	uint64_t ends;	     /* I/O cores that sent END, a bit each */
	uint64_t deadline_ns;
	uint64_t tag;
	uint32_t scope;
	uint8_t phase;
};
static_assert(BB_CORES_MAX <= 64, "a bit per I/O core");

/* Parked messages of a shard, see park.h. */
struct bb_park {
	struct bb_list all;   /* peers with parked messages */
	struct bb_list ready; /* those whose turn may come, in rotation */
	uint64_t msgs[2];     /* per side they came from */
	uint64_t bytes[2];
};

struct bb_pubsub {
	struct bb_subtab *table;
	struct bb_list blockers; /* subscribers that messages wait for, longest first */
	struct bb_upstream upstream;
	bool subscribe_all; /* as publishers were told */
	/* The walk of an operator, a page at a time. */
	struct bb_subtab_cursor page;
	uint64_t page_number; /* the cursor value that goes on with it; 0: none */
	bool page_held;	      /* the cursor's topic did not fit any more */
};

struct bb_shard {
	const struct bb_endpoint *conf;
	const struct bb_pattern_ops *ops;
	struct bb_router *router;
	struct bb_router_side_row *row[2];
	struct bb_window *windows[2]; /* [side][I/O core] */
	struct bb_park park;
	struct bb_drain drain;
	struct bb_list resume;	 /* in the router's list of shards whose park may go on */
	struct bb_list upstream; /* in the router's list of shards with publishers to be told something */
	struct bb_list timed;	 /* in the router's list of shards with blockers */
	struct bb_list tables;	 /* in the router's list of shards with a subscription table */
	uint32_t peers;		 /* ghosts not included */
	union {
		struct bb_rotation rotation; /* pipeline: consumers; reqrep: workers */
		struct {
			struct bb_rotation workers; /* the same place as rotation */
			struct bb_claims claims;
		} reqrep;
		struct bb_pubsub pubsub;
	};
};

/* Messages of one run, or what is left of them. */
struct bb_msgs {
	const uint8_t *base; /* of the buffer */
	uint32_t buffer;
	uint32_t offset;	    /* of the next message */
	const struct bb_desc *desc; /* of the next message; the one after it lies below */
	uint32_t left;
};

/* One message in a chain. */
struct bb_chain {
	uint32_t head;
	uint32_t len;
	uint32_t topic_len;
};

/* What a pattern does. None of it may run but while bb_out_ready(), unless it says otherwise. */
struct bb_pattern_ops {
	/* Make and give back what the shard needs. 0 or -ENOMEM. close is allowed at any time. */
	int (*open)(struct bb_shard *s);
	void (*close)(struct bb_shard *s);

	/* The configuration changed. */
	void (*change)(struct bb_shard *s);

	/* 0, or an enum bb_refusal; then nothing is left of it. On 0 it has staged GRANTED. */
	uint32_t (*attach)(struct bb_shard *s, struct bb_peer *p, const struct bb_attach *a, uint32_t buffer,
		uint32_t offset);

	/* It is gone: one bounded step of forgetting it. True when nothing is left. */
	bool (*gone)(struct bb_shard *s, struct bb_peer *p);

	/* Take messages from the front of m, as many as the budget and the rings allow; accounts for them. */
	void (*messages)(struct bb_shard *s, struct bb_peer *p, struct bb_msgs *m);

	/* Route a message in a chain that the router holds, or park or drop it; accounts for it. */
	void (*chain)(struct bb_shard *s, struct bb_peer *p, const struct bb_chain *c);

	/* Its limits grew. */
	void (*credit)(struct bb_shard *s, struct bb_peer *p);

	/* Send what is parked and can go. True if there may be more to do: budget or rings ran out. */
	bool (*resume)(struct bb_shard *s);

	/* NULL where the pattern has no subscriptions. Returns an enum bb_refusal if p cannot stay, else 0.
	 */
	uint32_t (*subscribe)(struct bb_shard *s, struct bb_peer *p, const void *topic, uint32_t len);
	void (*cancel)(struct bb_shard *s, struct bb_peer *p, const void *topic, uint32_t len);
	void (*upstream_room)(struct bb_shard *s, struct bb_peer *p);
};

extern const struct bb_pattern_ops bb_pubsub_ops, bb_pipeline_ops, bb_reqrep_ops;

/* The slice at hand of one I/O core. */
struct bb_walk {
	bool active; /* a slice is at hand, and counted in the holds */
	struct bb_slice slice;
	struct bb_batch_reader reader;
	struct bb_run run;
	uint32_t left; /* entries of the run */
};

struct bb_router {
	BB_OWNER_FIELD
	/* constant */
	struct bb_router_options options;
	struct bb_fabric *fabric;
	struct bb_pool *pool;
	struct bb_mem *mem;

	uint64_t now_ns;
	int64_t budget; /* of this step: messages, copies, answers */
	struct bb_spans spans;
	struct bb_out out;
	struct bb_peers peers;
	struct bb_walk *walks;	  /* [I/O core] */
	uint32_t walk_next;	  /* I/O core that is first in the next step */
	struct bb_shard **shards; /* [endpoint] */
	struct bb_window *windows_dirty;
	struct bb_list dying;
	struct bb_list resume;
	struct bb_list upstream;
	struct bb_list timed;
	uint64_t timer_ns; /* when one of those is to be looked at */
	struct bb_list tables;
	struct bb_list drains;
	struct bb_drain drain; /* of the whole node */
	bool mailed;	       /* the agent, in this step */
	bool reply_held;
	struct bb_mail reply; /* an answer that the ring did not take yet */

	/* When retired destination sets may be freed, see reclaim.h. */
	uint64_t epoch;		/* stamp of sets that are retired now */
	uint64_t epoch_done;	/* sets with this stamp and older ones are named by no delivery any more */
	uint64_t *epoch_marks;	/* [I/O core] elements to be done with before epoch - 1 is */
	bool epoch_marked;	/* waiting for the marks */
	uint32_t evacuate_next; /* endpoint */

	uint8_t *scratch; /* BB_BUFFER_BYTES: topics and ids that straddle buffers of a chain */
};

/* Bytes of that peer's input are done with. */
static inline void
bb_window_done(struct bb_router *r, struct bb_window *w, uint64_t bytes)
{
	w->done += bytes;
	if (!w->dirty) {
		w->dirty = true;
		w->next = r->windows_dirty;
		r->windows_dirty = w;
	}
}

/* Messages from p went to copies receivers. */
static inline void
bb_account_routed(struct bb_shard *s, struct bb_peer *p, uint64_t msgs, uint64_t copies, uint64_t bytes)
{
	BB_COUNT(s->row[p->which], BB_ROUTER_ROUTED, msgs);
	BB_COUNT(s->row[p->which], BB_ROUTER_COPIES, copies);
	bb_window_done(s->router, p->window, bytes);
}

/* Messages of a side from one I/O core went nowhere; cause is one of BB_ROUTER_IN_*. */
static inline void
bb_account_lost(struct bb_shard *s, struct bb_window *w, uint32_t cause, uint64_t msgs, uint64_t bytes)
{
	BB_COUNT(s->row[w->side & 1], cause, msgs);
	BB_COUNT(s->row[w->side & 1], BB_ROUTER_IN_BYTES, bytes);
	bb_window_done(s->router, w, bytes);
}

static inline void
bb_account_dropped(struct bb_shard *s, struct bb_peer *p, uint32_t cause, uint64_t msgs, uint64_t bytes)
{
	bb_account_lost(s, p->window, cause, msgs, bytes);
}

/* Octets of the messages of m. */
uint32_t bb_msgs_bytes(const struct bb_msgs *m);

/* Drop all that is left of m. */
void bb_msgs_drop(struct bb_shard *s, struct bb_peer *p, struct bb_msgs *m, uint32_t cause);

/* The octets of the first len bytes from offset of a chain: in place, or copied to the router's scratch. */
const uint8_t *bb_chain_bytes(struct bb_router *r, uint32_t head, uint32_t offset, uint32_t len);

/* The park of s may go on: look at it before anything else is routed. */
static inline void
bb_shard_resume(struct bb_shard *s)
{
	if (!bb_list_linked(&s->resume))
		bb_list_append(&s->router->resume, &s->resume);
}

/* Tell p's I/O core to close it. */
void bb_peer_refuse(struct bb_shard *s, struct bb_peer *p, uint32_t cause);

/* The shard of an endpoint; NULL: the agent's mail about it is not here yet, or cannot be read now. */
struct bb_shard *bb_router_shard(struct bb_router *r, uint32_t endpoint);

static inline bool
bb_router_may_work(const struct bb_router *r)
{
	return bb_out_ready(&r->out) && r->budget > 0;
}

#endif
