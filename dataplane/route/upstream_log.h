/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * upstream_log: the log of changes between upstream.c and the publishers: entries [first, next) by number, and
 * for each the count of publishers that are to be told it next.
 *
 * Owner: the router core.
 */
#ifndef BB_ROUTE_UPSTREAM_LOG_H
#define BB_ROUTE_UPSTREAM_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/mem.h"
#include "route/upstream.h"

struct bb_upstream_entry {
	uint32_t waiting; /* publishers that are to be told this next */
	uint32_t len;
	bool cancel;
	/* while compacting */
	bool dead;
	bool was_there; /* the topic was subscribed before the first change of the stretch */
	uint8_t topic[];
};

static inline struct bb_upstream_entry **
bb_upstream_entry_at(const struct bb_upstream *u, uint64_t number)
{
	return &u->log[number & (u->cap - 1)];
}

/* The count of publishers at a place in the log; its end is a place, too. */
static inline uint32_t *
bb_upstream_waiting_at(struct bb_upstream *u, uint64_t number)
{
	return number == u->next ? &u->at_end : &(*bb_upstream_entry_at(u, number))->waiting;
}

void bb_upstream_log_init(struct bb_upstream *u);
void bb_upstream_log_fini(struct bb_upstream *u, struct bb_mem *mem);

/* Forget what all publishers were told. */
void bb_upstream_log_trim(struct bb_upstream *u, struct bb_mem *mem);

/* False: it is full, or there is no memory. */
bool bb_upstream_log_append(
	struct bb_upstream *u, struct bb_mem *mem, bool cancel, const void *topic, uint32_t len);

/* It has grown enough for bb_upstream_log_compact() to be worth its time. */
bool bb_upstream_log_is_long(const struct bb_upstream *u);

/*
 * Between the places of two publishers leave one change of each topic, the last, and none of topics that came
 * and went. Without memory for that nothing happens.
 */
void bb_upstream_log_compact(struct bb_upstream *u, struct bb_mem *mem, const struct bb_hash_key *key);

#endif
