/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * subtab_subs: subscribers, and who subscribed to what: one record per pair of subscriber and topic, in the
 * subscriber's list and at the topic.
 *
 * A topic with one subscriber names its record. One with more has a fan: an array of {subscriber, record} in
 * no particular order, read in one sweep when a destination set is built. Fans with many members are also
 * found by hash, so that finding, adding and removing one of ten thousand takes a few steps.
 *
 * Owner: the actor that owns the table around it; no locks.
 */
#ifndef BB_ROUTE_SUBTAB_SUBS_H
#define BB_ROUTE_SUBTAB_SUBS_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "msg/handle.h"
#include "route/set.h"
#include "route/subtab_lhash.h"
#include "route/subtab_slab.h"
#include "route/subtab_trie.h"

/* In bb_topic.subs: a slot that holds the address of a fan. */
#define BB_TOPIC_FAN (UINT32_C(1) << 31)

enum bb_sub_state {
	BB_SUB_FREE,
	BB_SUB_JOINED,
	BB_SUB_LEAVING,
};

struct bb_sub {
	bb_handle handle;
	struct bb_set_print print; /* of the handle */
	uint32_t records;	   /* first of its list; when free: the next free index + 1 */
	uint32_t topics;	   /* length of that list */
	uint32_t mark;		   /* equal to bb_subs.mark: seen in this sweep */
	uint32_t state;
};

struct bb_sub_record {
	uint32_t topic, sub;
	uint32_t pos;	/* in the topic's fan */
	uint32_t hash_next;
	uint32_t next, prev; /* in the subscriber's list */
};
static_assert(sizeof(struct bb_sub_record) == 24, "counts a million times");

struct bb_sub_member {
	uint32_t sub, record;
};

struct bb_sub_fan {
	struct bb_list list; /* all fans */
	uint32_t count, cap;
	bool hashed; /* its records are in by_pair */
	struct bb_sub_member members[];
};

struct bb_subs {
	struct bb_mem *mem;
	struct bb_slab *slab;
	struct bb_hash_key key;
	struct bb_sub **pages; /* by index */
	uint32_t page_count, page_cap;
	uint32_t free;	/* head of the free indexes + 1, 0 none */
	uint32_t fresh; /* indexes ever given out */
	uint32_t count;
	uint32_t mark;
	uint64_t records;
	struct bb_list fans;
	struct bb_lhash by_pair;
};

void bb_subs_init(struct bb_subs *s, struct bb_mem *mem, struct bb_slab *slab, const struct bb_hash_key *key);

/* Records go with their slab. */
void bb_subs_fini(struct bb_subs *s);

/* 0 or -ENOMEM. */
int bb_subs_join(struct bb_subs *s, bb_handle handle, uint32_t *ret_sub);

/* The subscriber has no records any more. */
void bb_subs_leave(struct bb_subs *s, uint32_t sub);

/* The record of a pair, 0 none. */
uint32_t bb_subs_find(const struct bb_subs *s, uint32_t topic, uint32_t sub);

/* A record for a pair that has none. False without memory: nothing changed. */
bool bb_subs_attach(struct bb_subs *s, uint32_t topic, uint32_t sub);

/* Remove a record. The topic's subs are 0 when it was the last. */
void bb_subs_detach(struct bb_subs *s, uint32_t topic, uint32_t record);

/* A new value of s->mark that no subscriber has. */
void bb_subs_mark_new(struct bb_subs *s);

enum { BB_SUBS_PAGE_SHIFT = 8, BB_SUBS_PAGE = 1 << BB_SUBS_PAGE_SHIFT };

static inline struct bb_sub *
bb_subs_at(const struct bb_subs *s, uint32_t sub)
{
	return &s->pages[sub >> BB_SUBS_PAGE_SHIFT][sub & (BB_SUBS_PAGE - 1)];
}

static inline struct bb_sub_fan *
bb_subs_fan(const struct bb_subs *s, const struct bb_topic *topic)
{
	return *(struct bb_sub_fan **)bb_slab_at(s->slab, topic->subs & ~BB_TOPIC_FAN);
}

/* Indexes of a topic's subscribers: count of them, stride apart; valid until the table changes. */
static inline const uint32_t *
bb_subs_of_topic(const struct bb_subs *s, const struct bb_topic *topic, uint32_t *ret_count)
{
	if ((topic->subs & BB_TOPIC_FAN) == 0) {
		*ret_count = 1;
		return &((const struct bb_sub_record *)bb_slab_at(s->slab, topic->subs))->sub;
	}
	const struct bb_sub_fan *fan = bb_subs_fan(s, topic);
	*ret_count = fan->count;
	return &fan->members[0].sub;
}

/* From one of those to the next. */
#define BB_SUBS_STRIDE (sizeof(struct bb_sub_member) / sizeof(uint32_t))

#endif
