/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * subtab: the subscription table of one shard: topic prefixes, who subscribed to them, and for a message's
 * topic the set of its receivers.
 *
 * Subscribers are sessions, named by their handle and, inside the table, by a small dense index from
 * bb_subtab_join(). The subscriptions of a subscriber are a set, as in libzmq's
 * XPUB: adding one twice changes nothing, one cancel ends it (stock SUB sockets count on their side and send
 * SUBSCRIBE each time but CANCEL only for the last). Topics are
 * 0 to BB_TOPIC_MAX arbitrary octets; the empty topic matches all.
 *
 * Matching. bb_subtab_match() gives the receivers of a topic as an immutable set (msg/set.h), built when it
 * is first needed and then kept at the longest subscribed prefix of the topic: all topics with the same
 * longest prefix, and all prefixes with the same receivers, give the same pointer. A bounded cache
 * of topics stands in front. A change at prefix P costs a few stores; what was computed for topics that do
 * not begin with P stays.
 *
 * Changes. Whatever changes a topic's receivers has a sequence number, ascending from 2, 48 bits. That of an
 * added or cancelled topic (first subscription, last cancel) is what the caller writes to its log of changes
 * for publishers; see bb_subtab_cursor for how the log and a walk over the table fit together.
 *
 * Costs. add and cancel: the length of the topic and some hundred steps at most, but copying the subscribers
 * of a topic when their array doubles (8 bytes each). match: the length of the topic, and O(receivers) when
 * the set must be built; uncached, one step per subscribed prefix of the topic. Memory: see bb_subtab_stats; about 100 bytes per subscription when a million topics
 * have one subscriber each. Memory is returned as subscriptions go.
 *
 * Without memory: add and join answer -ENOMEM and match BB_SUBTAB_NOMEM; nothing else changes then, and all
 * other calls but the cursor's need none.
 *
 * Thread: the router core that owns the shard.
 */
#ifndef BB_ROUTE_SUBTAB_H
#define BB_ROUTE_SUBTAB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"
#include "msg/handle.h"
#include "route/set.h"

struct bb_subtab;

struct bb_subtab_options {
	uint32_t actor;		    /* id for BB_ASSERT_OWNER */
	uint32_t subscriptions_max; /* distinct topics per subscriber; changeable, see bb_subtab_limit() */
	uint32_t
		cache_entries; /* topics at most, about 64 bytes each as used; rounded up to a power of two */
	uint64_t set_bytes_max;	     /* live sets; above it all are retired and built again as needed */
	struct bb_mem *mem;	     /* outlives the table */
	struct bb_hash_key hash_key; /* secret, random */
};

/* What a call changed. */
struct bb_subtab_change {
	uint64_t seq; /* of this change; 0: nothing but a count changed */
	bool topic;   /* first subscription to the topic, or last cancel of it, by anyone */
	bool sub;     /* the same for this subscriber */
};

/* 0 or -ENOMEM. */
int bb_subtab_create(const struct bb_subtab_options *options, struct bb_subtab **ret_table);

/* NULL is allowed. Frees all sets too: no delivery may name one any more. */
void bb_subtab_destroy(struct bb_subtab *t);

/* A new subscriber, without subscriptions. 0 or -ENOMEM. */
int bb_subtab_join(struct bb_subtab *t, bb_handle handle, uint32_t *ret_sub);

/* Called for each topic whose last subscription went. It must not call the table; topic is valid until it
 * returns. */
typedef void (*bb_subtab_last_fn)(void *ctx, const void *topic, uint32_t len, uint64_t seq);

/*
 * Forget a subscriber, at most budget (1 or more) of its subscriptions per call, newest topic first; its
 * index is used for nothing else from the first call on. Returns true when it is gone: the index is then free
 * for others. Sets matched before may still name its handle. on_last may be NULL.
 */
bool bb_subtab_leave_step(
	struct bb_subtab *t, uint32_t sub, uint32_t budget, bb_subtab_last_fn on_last, void *ctx);

/*
 * Subscribe. 0, -EMSGSIZE (topic too long), -E2BIG (the subscriber has subscriptions_max topics) or
 * -ENOMEM. ret_change is written on success only, and may be NULL.
 */
int bb_subtab_add(struct bb_subtab *t, uint32_t sub, const void *topic, uint32_t len,
	struct bb_subtab_change *ret_change);

/* Take one subscription back. 0, or -ENOENT if there is none: nothing changed. ret_change as above. */
int bb_subtab_cancel(struct bb_subtab *t, uint32_t sub, const void *topic, uint32_t len,
	struct bb_subtab_change *ret_change);

/* From now on; subscribers that have more keep what they have. */
void bb_subtab_limit(struct bb_subtab *t, uint32_t subscriptions_max);

/* Distinct topics of a subscriber. */
uint32_t bb_subtab_sub_topics(const struct bb_subtab *t, uint32_t sub);

/* Subscribers of exactly this topic; 0 if nobody subscribed to it. */
uint32_t bb_subtab_topic_subs(const struct bb_subtab *t, const void *topic, uint32_t len);

/* Answer of a match whose set could not be built: count the message as dropped for want of memory. */
extern const struct bb_set bb_subtab_nomem;
#define BB_SUBTAB_NOMEM (&bb_subtab_nomem)

/*
 * The receivers of a topic: NULL if there are none, BB_SUBTAB_NOMEM, or a set. The set is valid until
 * bb_subtab_reclaim() is called with the stamp that was current at this call.
 */
const struct bb_set *bb_subtab_match(struct bb_subtab *t, const void *topic, uint32_t len);

struct bb_subtab_query {
	const void *topic;
	uint32_t len;
	const struct bb_set *set; /* the answer, as of bb_subtab_match() */
};

/*
 * The same for several messages at once, in order. With many topics this is several times faster: waits for
 * memory overlap. Any count; some tens are best.
 */
void bb_subtab_match_burst(struct bb_subtab *t, struct bb_subtab_query *queries, uint32_t count);

/* Sequence number of the deliveries that are emitted from now on; the caller's own count, never goes back. */
void bb_subtab_stamp(struct bb_subtab *t, uint64_t stamp);

/*
 * All I/O cores are through with all deliveries stamped done or below: free sets retired by then, some
 * hundred per call. Returns how many were freed. Call it once a turn.
 */
uint32_t bb_subtab_reclaim(struct bb_subtab *t, uint64_t done);

/*
 * A walk over all distinct topics, in ascending order of octets, while the table changes.
 *
 * Exactly: let S be the cursor's seq, the newest change when it was opened. A topic that is subscribed from S
 * until the walk gets there is reported exactly once. A topic whose subscription began after S is not
 * reported: the caller's log has it. A topic cancelled before the walk gets there is not reported, one
 * cancelled afterwards was. So the reported topics, followed by all logged changes with numbers above S in
 * their order, lead to the table's state; cancels of topics that were not reported are to be ignored by
 * whoever is told (as ZeroMQ publishers do).
 *
 * The cursor is the caller's, and holds a copy of the last topic: changes of the table need not know of it.
 */
struct bb_subtab_cursor {
	uint64_t seq; /* S */
	uint8_t *key; /* the last topic reported or passed */
	uint32_t len, cap;
	bool begun;
};

void bb_subtab_cursor_open(struct bb_subtab *t, struct bb_subtab_cursor *c);
void bb_subtab_cursor_close(struct bb_subtab *t, struct bb_subtab_cursor *c);

/*
 * The next topic: 1, valid until the next call; 0 at the end; -EAGAIN after passing many topics newer than S,
 * call again; -ENOMEM without room for a longer topic, the walk stands where it was.
 */
int bb_subtab_next_topic(
	struct bb_subtab *t, struct bb_subtab_cursor *c, const void **ret_topic, uint32_t *ret_len);

struct bb_subtab_stats {
	uint64_t subscribers;	/* gauges, but where said otherwise */
	uint64_t subscriptions; /* pairs of subscriber and topic */
	uint64_t topics;	/* distinct */
	uint64_t nodes;		/* of the tree */
	uint64_t bytes;		/* all memory of the table, cache and sets included */
	uint64_t sets, set_bytes;
	uint64_t retired_sets, retired_bytes; /* waiting for bb_subtab_reclaim() */
	uint64_t seq;			      /* newest change */
	uint64_t cache_hits, cache_misses;    /* counters: matches, misses with topics too long to be kept */
	uint64_t sets_built;		      /* counter; equal ones found instead not included */
	uint64_t set_flushes;		      /* counter: set_bytes_max reached */
	uint64_t nomem;			      /* counter: matches answered with BB_SUBTAB_NOMEM */
};

void bb_subtab_stats(const struct bb_subtab *t, struct bb_subtab_stats *ret);

#endif
