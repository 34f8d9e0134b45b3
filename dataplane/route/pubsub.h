/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pubsub: what its two files share: pubsub.c (subscriptions, and publishing where full subscribers lose
 * their copy) and pubsub_block.c (publishing where they make the publisher wait).
 *
 * Thread: the router core.
 */
#ifndef BB_ROUTE_PUBSUB_H
#define BB_ROUTE_PUBSUB_H

#include <stdbool.h>
#include <stdint.h>

#include "route/state.h"

/* Topics longer than any subscription match by what a subscription can be long. */
static inline uint32_t
bb_pubsub_key_len(uint32_t topic_len)
{
	return topic_len < BB_TOPIC_MAX ? topic_len : BB_TOPIC_MAX;
}

/* The receivers of a message in a chain. */
const struct bb_set *bb_pubsub_match_chain(struct bb_shard *s, uint32_t head, uint32_t topic_len);

/* Stage a range for all members of the set. */
void bb_pubsub_emit(struct bb_shard *s, const struct bb_set *set, uint32_t buffer, uint32_t offset,
	uint32_t len, uint32_t msgs);
void bb_pubsub_emit_chain(struct bb_shard *s, const struct bb_set *set, uint32_t head, uint32_t len);

/* Messages whose match was no set: NULL or BB_SUBTAB_NOMEM. */
void bb_pubsub_drop(
	struct bb_shard *s, struct bb_peer *p, const struct bb_set *set, uint64_t msgs, uint64_t bytes);

/* Messages, chain and resume of struct bb_pattern_ops for endpoints that live on one router only. */
void bb_pubsub_home_messages(struct bb_shard *s, struct bb_peer *p, struct bb_msgs *m);
void bb_pubsub_home_chain(struct bb_shard *s, struct bb_peer *p, const struct bb_chain *c);
bool bb_pubsub_home_resume(struct bb_shard *s);

/* What waits for b may try again. */
void bb_pubsub_unblock(struct bb_shard *s, struct bb_peer *b);
void bb_pubsub_unblock_all(struct bb_shard *s);

/* Refuse subscribers that kept messages waiting beyond block_max. Returns when to look again. */
uint64_t bb_pubsub_timers(struct bb_shard *s);

/* Fill a page for an operator. 0 or a positive errno. */
uint32_t bb_pubsub_page(struct bb_shard *s, struct bb_mail_page *page);

/* The table's own figures, for counters. */
void bb_pubsub_gauges(struct bb_shard *s);

#endif
