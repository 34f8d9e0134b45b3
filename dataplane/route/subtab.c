/* SPDX-License-Identifier: BSD-3-Clause */
#include "route/subtab.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "route/subtab_cache.h"
#include "route/subtab_lhash.h"
#include "route/subtab_slab.h"
#include "route/subtab_subs.h"
#include "route/subtab_trie.h"

enum {
	BURST = 32,	     /* walks at a time: as many as a core has outstanding loads */
	RECLAIM_MAX = 256,   /* sets freed per call */
	CURSOR_SKIPS = 1024, /* new topics passed per call */
	LENGTHS_EXACT = 128, /* topic lengths counted one by one; above, by powers of two */
	LENGTHS = LENGTHS_EXACT + 1 + 9,
};

struct bb_subtab {
	BB_OWNER_FIELD
	struct bb_mem mem; /* counts what the table has, and passes on to under */
	struct bb_mem *under;

	uint64_t seq;
	uint64_t flush_seq; /* sets computed before are void */
	uint32_t key_max;   /* topics are told apart by that many of their first bytes, no more */
	uint32_t subscriptions_max;
	uint64_t set_bytes_max;
	struct bb_slab slab;
	struct bb_trie trie;
	struct bb_cache cache;
	struct bb_subs subs;
	struct bb_set_store sets;

	uint64_t topics;
	uint64_t cache_hits, cache_misses, sets_built, set_flushes, nomem;
	uint8_t *text; /* room for the longest topic that was ever added: leaving must not need memory */
	uint32_t text_cap;
	uint32_t core_receivers[256]; /* while a set is built; else 0 */
	uint32_t lengths[LENGTHS];    /* topics by length */
};

const struct bb_set bb_subtab_nomem;

static void *
counted_alloc(struct bb_mem *m, size_t size)
{
	return bb_mem_alloc(bb_container_of(m, struct bb_subtab, mem)->under, size);
}

static void
counted_free(struct bb_mem *m, void *p, size_t size)
{
	bb_mem_free(bb_container_of(m, struct bb_subtab, mem)->under, p, size);
}

static const struct bb_mem_ops counted_ops = { .alloc = counted_alloc, .free = counted_free };

static struct bb_topic *
topic_at(const struct bb_subtab *t, uint32_t ref)
{
	return bb_slab_at(&t->slab, ref);
}

/* ---- Life ---- */

int
bb_subtab_create(const struct bb_subtab_options *options, struct bb_subtab **ret_table)
{
	struct bb_subtab *t = bb_mem_zalloc(options->mem, sizeof(*t));
	uint32_t entries = 2;

	if (t == NULL)
		return -ENOMEM;
	BB_OWNER_SET(t, options->actor);
	t->under = options->mem;
	t->seq = 1; /* 0 is before all */
	t->mem = (struct bb_mem){ .ops = &counted_ops, .max_bytes = UINT64_MAX };
	t->subscriptions_max = options->subscriptions_max;
	t->set_bytes_max = options->set_bytes_max;
	bb_slab_init(&t->slab, &t->mem);
	bb_subs_init(&t->subs, &t->mem, &t->slab, &options->hash_key);
	bb_set_store_init(&t->sets, &t->mem);
	while (entries < options->cache_entries && entries < UINT32_C(1) << 31)
		entries *= 2;
	if (bb_trie_init(&t->trie, &t->slab) < 0 ||
		bb_cache_init(&t->cache, &t->mem, &options->hash_key, entries) < 0) {
		bb_subtab_destroy(t);
		return -ENOMEM;
	}
	*ret_table = t;
	return 0;
}

void
bb_subtab_destroy(struct bb_subtab *t)
{
	if (t == NULL)
		return;
	BB_ASSERT_OWNER(t);
	bb_set_store_fini(&t->sets);
	bb_cache_fini(&t->cache);
	bb_subs_fini(&t->subs);
	bb_slab_fini(&t->slab);
	bb_mem_free(&t->mem, t->text, t->text_cap);
	BB_ASSERT(t->mem.used_bytes == 0);
	bb_mem_free(t->under, t, sizeof(*t));
}

void
bb_subtab_limit(struct bb_subtab *t, uint32_t subscriptions_max)
{
	BB_ASSERT_OWNER(t);
	t->subscriptions_max = subscriptions_max;
}

uint32_t
bb_subtab_sub_topics(const struct bb_subtab *t, uint32_t sub)
{
	return bb_subs_at(&t->subs, sub)->topics;
}

int
bb_subtab_join(struct bb_subtab *t, bb_handle handle, uint32_t *ret_sub)
{
	BB_ASSERT_OWNER(t);
	return bb_subs_join(&t->subs, handle, ret_sub);
}

/* ---- Topics and their lengths ---- */

static uint32_t
length_slot(uint32_t len)
{
	if (len <= LENGTHS_EXACT)
		return len;
	return LENGTHS_EXACT + 25 - (uint32_t)__builtin_clz(len - 1);
}

/* Longest length that a slot counts. */
static uint32_t
length_of_slot(uint32_t slot)
{
	return slot <= LENGTHS_EXACT ? slot : 128u << (slot - LENGTHS_EXACT);
}

static void
lengths_add(struct bb_subtab *t, uint32_t len)
{
	const uint32_t slot = length_slot(len);

	t->lengths[slot]++;
	if (length_of_slot(slot) > t->key_max)
		t->key_max = length_of_slot(slot);
}

static void
lengths_remove(struct bb_subtab *t, uint32_t len)
{
	uint32_t slot = length_slot(len);

	if (--t->lengths[slot] > 0 || length_of_slot(slot) < t->key_max)
		return;
	while (slot > 0 && t->lengths[slot] == 0)
		slot--;
	t->key_max = length_of_slot(slot);
}

/* Forget which set a topic has. A set from before a flush is the store's no more. */
static void
topic_set_drop(struct bb_subtab *t, struct bb_topic *topic)
{
	if (topic->set != 0 && bb_topic_set_seq(topic) >= t->flush_seq)
		bb_set_store_put(&t->sets, topic->set);
	topic->set = 0;
}

/* Something changed for all topics that begin with the node's key. */
static uint64_t
changed(struct bb_subtab *t, uint32_t node, const void *key, uint32_t len)
{
	t->seq++;
	bb_trie_change_set(bb_trie_node(&t->trie, node), t->seq);
	bb_cache_change(&t->cache, key, len, t->seq);
	return t->seq;
}

static bool
text_reserve(struct bb_subtab *t, uint32_t len)
{
	if (len <= t->text_cap)
		return true;
	const uint32_t cap = (uint32_t)bb_min_u64(bb_max_u64(2 * (uint64_t)len, 256), BB_TOPIC_MAX);
	uint8_t *text = bb_mem_alloc(&t->mem, cap);
	if (text == NULL)
		return false;
	bb_mem_free(&t->mem, t->text, t->text_cap);
	t->text = text;
	t->text_cap = cap;
	return true;
}

/* The topic of a node that has none. 0 without memory. */
static uint32_t
topic_create(struct bb_subtab *t, uint32_t node)
{
	const uint32_t ref = bb_slab_alloc(&t->slab, sizeof(struct bb_topic));

	if (ref == 0)
		return 0;
	*topic_at(t, ref) = (struct bb_topic){ .node = node };
	bb_trie_node(&t->trie, node)->topic = ref;
	return ref;
}

/* ---- Changes ---- */

int
bb_subtab_add(
	struct bb_subtab *t, uint32_t sub, const void *key, uint32_t len, struct bb_subtab_change *ret_change)
{
	struct bb_subtab_change change = { 0 };

	BB_ASSERT_OWNER(t);
	BB_ASSERT(bb_subs_at(&t->subs, sub)->state == BB_SUB_JOINED);
	if (len > BB_TOPIC_MAX)
		return -EMSGSIZE;

	uint32_t node = bb_trie_find(&t->trie, key, len);
	uint32_t topic = node != 0 ? bb_trie_node(&t->trie, node)->topic : 0;
	const uint32_t old = topic != 0 ? bb_subs_find(&t->subs, topic, sub) : 0;
	if (old != 0)
		goto out;
	if (bb_subs_at(&t->subs, sub)->topics >= t->subscriptions_max)
		return -E2BIG;
	if (!text_reserve(t, len))
		return -ENOMEM;

	if (node == 0)
		node = bb_trie_insert(&t->trie, key, len);
	if (node == 0)
		return -ENOMEM;
	change.topic = topic == 0;
	if (topic == 0)
		topic = topic_create(t, node);
	if (topic == 0 || !bb_subs_attach(&t->subs, topic, sub)) {
		if (change.topic) {
			bb_trie_node(&t->trie, node)->topic = 0;
			bb_slab_free(&t->slab, topic);
			bb_trie_prune(&t->trie, node);
		}
		return -ENOMEM;
	}
	change.sub = true;
	change.seq = changed(t, node, key, len);
	if (change.topic) {
		bb_topic_first_seq_put(topic_at(t, topic), change.seq);
		t->topics++;
		lengths_add(t, len);
	}
out:
	if (ret_change != NULL)
		*ret_change = change;
	return 0;
}

/* Take a record away whatever its count, and its topic if it was the last. */
static struct bb_subtab_change
record_remove(struct bb_subtab *t, uint32_t topic_ref, uint32_t record, const void *key, uint32_t len)
{
	struct bb_topic *topic = topic_at(t, topic_ref);
	struct bb_subtab_change change = { .sub = true };
	const uint32_t node = topic->node;

	bb_subs_detach(&t->subs, topic_ref, record);
	change.seq = changed(t, node, key, len);
	if (topic->subs == 0) {
		change.topic = true;
		topic_set_drop(t, topic);
		bb_slab_free(&t->slab, topic_ref);
		t->topics--;
		lengths_remove(t, len);
		bb_trie_node(&t->trie, node)->topic = 0;
		bb_trie_prune(&t->trie, node);
	}
	return change;
}

int
bb_subtab_cancel(
	struct bb_subtab *t, uint32_t sub, const void *key, uint32_t len, struct bb_subtab_change *ret_change)
{
	struct bb_subtab_change change = { 0 };

	BB_ASSERT_OWNER(t);
	BB_ASSERT(bb_subs_at(&t->subs, sub)->state == BB_SUB_JOINED);
	const uint32_t node = len <= BB_TOPIC_MAX ? bb_trie_find(&t->trie, key, len) : 0;
	const uint32_t topic = node != 0 ? bb_trie_node(&t->trie, node)->topic : 0;
	const uint32_t record = topic != 0 ? bb_subs_find(&t->subs, topic, sub) : 0;
	if (record == 0)
		return -ENOENT;

	change = record_remove(t, topic, record, key, len);
	if (ret_change != NULL)
		*ret_change = change;
	return 0;
}

bool
bb_subtab_leave_step(struct bb_subtab *t, uint32_t sub, uint32_t budget, bb_subtab_last_fn on_last, void *ctx)
{
	struct bb_sub *s = bb_subs_at(&t->subs, sub);

	BB_ASSERT_OWNER(t);
	BB_ASSERT(s->state != BB_SUB_FREE && budget > 0);
	s->state = BB_SUB_LEAVING;
	for (; budget > 0 && s->records != 0; budget--) {
		const uint32_t record = s->records;
		const uint32_t topic = ((struct bb_sub_record *)bb_slab_at(&t->slab, record))->topic;
		const uint32_t node = topic_at(t, topic)->node;
		const uint32_t len = bb_trie_key_len(&t->trie, node);
		BB_ASSERT(len <= t->text_cap);
		bb_trie_key(&t->trie, node, t->text, len);
		const struct bb_subtab_change change = record_remove(t, topic, record, t->text, len);
		if (change.topic && on_last != NULL)
			on_last(ctx, t->text, len, change.seq);
	}
	if (s->records != 0)
		return false;
	bb_subs_leave(&t->subs, sub);
	return true;
}

uint32_t
bb_subtab_topic_subs(const struct bb_subtab *t, const void *key, uint32_t len)
{
	const uint32_t node = bb_trie_find(&t->trie, key, len);
	const uint32_t topic = node != 0 ? bb_trie_node(&t->trie, node)->topic : 0;
	uint32_t count = 0;

	BB_ASSERT_OWNER(t);
	if (topic != 0)
		bb_subs_of_topic(&t->subs, topic_at(t, topic), &count);
	return count;
}

/* ---- Sets ---- */

/* The topic at a node, or the next one above; the node moves on, to 0 at the root. 0: no more. */
static const struct bb_topic *
topic_upward(const struct bb_subtab *t, uint32_t *node)
{
	while (*node != 0) {
		const struct bb_trie_node *n = bb_trie_node(&t->trie, *node);
		*node = n->parent;
		if (n->topic != 0)
			return topic_at(t, n->topic);
	}
	return NULL;
}

/* All live sets are void from here on, as if everything had changed. */
static void
sets_flush(struct bb_subtab *t)
{
	bb_set_store_flush(&t->sets);
	t->flush_seq = changed(t, t->trie.root, NULL, 0);
	t->set_flushes++;
}

static uint32_t
set_build(struct bb_subtab *t, const struct bb_topic *topic, struct bb_set_print print, uint32_t receivers,
	uint32_t core_count)
{
	const uint64_t bytes = bb_set_bytes(receivers, core_count);
	struct bb_set *set;
	bb_handle *handles;

	/* A set that is above the limit by itself is built nevertheless: else it never could be. */
	if (t->sets.live_count > 0 &&
		(bytes > t->set_bytes_max || t->sets.live_bytes > t->set_bytes_max - bytes))
		sets_flush(t);
	const uint32_t id = bb_set_store_create(&t->sets, print, receivers, core_count, &set, &handles);
	if (id == 0)
		return 0;
	t->sets_built++;

	uint32_t at = 0, core_at = 0, next[256];
	for (uint32_t core = 0; core < 256; core++) {
		if (t->core_receivers[core] == 0)
			continue;
		next[core] = at;
		set->cores[core_at++] = (struct bb_set_core){
			.core = core, .first = at, .count = t->core_receivers[core]
		};
		at += t->core_receivers[core];
	}
	uint32_t node = topic->node;
	for (const struct bb_topic *above; (above = topic_upward(t, &node)) != NULL;) {
		uint32_t count;
		const uint32_t *subs = bb_subs_of_topic(&t->subs, above, &count);
		for (uint32_t i = 0; i < count; i++) {
			struct bb_sub *s = bb_subs_at(&t->subs, subs[i * BB_SUBS_STRIDE]);
			if (s->mark != t->subs.mark)
				continue; /* placed already */
			s->mark = 0;
			handles[next[bb_handle_core(s->handle)]++] = s->handle;
		}
	}
	return id;
}

/* Give the topic its set, found or built. False without memory. */
static bool
set_compute(struct bb_subtab *t, struct bb_topic *topic)
{
	struct bb_set_print print = { 0 };
	uint32_t receivers = 0, core_count = 0;

	bb_subs_mark_new(&t->subs);
	uint32_t node = topic->node;
	for (const struct bb_topic *above; (above = topic_upward(t, &node)) != NULL;) {
		uint32_t count;
		const uint32_t *subs = bb_subs_of_topic(&t->subs, above, &count);
		for (uint32_t i = 0; i < count; i++) {
			struct bb_sub *s = bb_subs_at(&t->subs, subs[i * BB_SUBS_STRIDE]);
			if (s->mark == t->subs.mark)
				continue; /* counted already */
			s->mark = t->subs.mark;
			print.a += s->print.a;
			print.b += s->print.b;
			receivers++;
			core_count += t->core_receivers[bb_handle_core(s->handle)]++ == 0;
		}
	}
	uint32_t id = bb_set_store_hold_equal(&t->sets, print, receivers);
	topic_set_drop(t, topic);
	if (id == 0)
		id = set_build(t, topic, print, receivers, core_count);
	memset(t->core_receivers, 0, sizeof(t->core_receivers));
	topic->set = id;
	bb_topic_set_seq_put(topic, t->seq);
	return id != 0;
}

/* What a walk led to. */
static const struct bb_set *
walk_result(struct bb_subtab *t, const struct bb_trie_walk *w)
{
	if (w->topic == 0)
		return NULL;
	struct bb_topic *topic = topic_at(t, w->topic);
	/* A flush since the walk counts as a change, too. */
	const uint64_t change = bb_max_u64(w->topic_change, t->flush_seq);
	if ((topic->set == 0 || bb_topic_set_seq(topic) < change) && !set_compute(t, topic)) {
		t->nomem++;
		return BB_SUBTAB_NOMEM;
	}
	return bb_set_store_get(&t->sets, topic->set);
}

static void
cache_keep(struct bb_subtab *t, const struct bb_trie_walk *w, uint64_t hash, const struct bb_set *set)
{
	const uint32_t key_len = (uint32_t)bb_min_u64(w->len, t->key_max);

	if (key_len <= BB_CACHE_KEY_MAX && set != BB_SUBTAB_NOMEM)
		bb_cache_put(&t->cache, hash, w->key, key_len, t->seq, set);
}

static bool
cache_last_is(const struct bb_subtab *t, const void *topic, uint32_t key_len)
{
	const struct bb_cache_entry *e = t->cache.last;

	return e->seq == t->seq && bb_cache_key_equal(&t->cache, e, topic, key_len);
}

const struct bb_set *
bb_subtab_match(struct bb_subtab *t, const void *topic, uint32_t len)
{
	const uint32_t key_len = len < t->key_max ? len : t->key_max;
	uint64_t hash = 0;

	BB_ASSERT_OWNER(t);
	if (cache_last_is(t, topic, key_len)) {
		t->cache_hits++;
		return t->cache.last->set;
	}
	if (key_len <= BB_CACHE_KEY_MAX) {
		hash = bb_hash(&t->cache.key, topic, key_len);
		const struct bb_cache_entry *e = bb_cache_find(&t->cache, hash, topic, key_len, t->seq);
		if (e != NULL) {
			t->cache_hits++;
			return e->set;
		}
	}
	t->cache_misses++;
	struct bb_trie_walk w = bb_trie_walk_start(&t->trie, topic, len);
	while (bb_trie_walk_step(&t->trie, &w))
		;
	const struct bb_set *set = walk_result(t, &w);
	cache_keep(t, &w, hash, set);
	return set;
}

/* Each stage asks for the memory that the next one reads. */
static void
match_some(struct bb_subtab *t, struct bb_subtab_query *queries, uint32_t count)
{
	struct bb_trie_walk walks[BURST];
	uint64_t hashes[BURST];
	uint8_t open[BURST], missed[BURST];
	uint32_t open_count = 0, missed_count = 0;

	for (uint32_t i = 0; i < count; i++) {
		const uint32_t key_len = (uint32_t)bb_min_u64(queries[i].len, t->key_max);
		hashes[i] = 0;
		if (key_len <= BB_CACHE_KEY_MAX) {
			hashes[i] = bb_hash(&t->cache.key, queries[i].topic, key_len);
			const struct bb_cache_entry *e = bb_cache_bucket(&t->cache, hashes[i]);
			if (e != NULL) {
				__builtin_prefetch(e);
				__builtin_prefetch(e + 1);
			}
		}
	}
	for (uint32_t i = 0; i < count; i++) {
		struct bb_subtab_query *q = &queries[i];
		const uint32_t key_len = (uint32_t)bb_min_u64(q->len, t->key_max);
		const struct bb_cache_entry *e = NULL;
		if (key_len <= BB_CACHE_KEY_MAX)
			e = bb_cache_find(&t->cache, hashes[i], q->topic, key_len, t->seq);
		if (e != NULL) {
			t->cache_hits++;
			q->set = e->set;
			continue;
		}
		walks[i] = bb_trie_walk_start(&t->trie, q->topic, q->len);
		open[open_count++] = missed[missed_count++] = (uint8_t)i;
	}
	t->cache_misses += missed_count;
	while (open_count > 0) {
		uint32_t still = 0;
		for (uint32_t i = 0; i < open_count; i++) {
			struct bb_trie_walk *w = &walks[open[i]];
			if (bb_trie_walk_step(&t->trie, w))
				open[still++] = open[i];
			else if (w->topic != 0)
				__builtin_prefetch(topic_at(t, w->topic));
		}
		open_count = still;
	}
	for (uint32_t i = 0; i < missed_count; i++) {
		const uint32_t m = missed[i];
		queries[m].set = walk_result(t, &walks[m]);
		cache_keep(t, &walks[m], hashes[m], queries[m].set);
	}
}

void
bb_subtab_match_burst(struct bb_subtab *t, struct bb_subtab_query *queries, uint32_t count)
{
	BB_ASSERT_OWNER(t);
	for (uint32_t i = 0; i < count;) {
		/* Neighbours are often alike. */
		const uint32_t key_len = (uint32_t)bb_min_u64(queries[i].len, t->key_max);
		if (cache_last_is(t, queries[i].topic, key_len)) {
			t->cache_hits++;
			queries[i++].set = t->cache.last->set;
			continue;
		}
		const uint32_t n = (uint32_t)bb_min_u64(count - i, BURST);
		match_some(t, queries + i, n);
		i += n;
	}
}

void
bb_subtab_stamp(struct bb_subtab *t, uint64_t stamp)
{
	BB_ASSERT_OWNER(t);
	bb_set_store_stamp(&t->sets, stamp);
}

uint32_t
bb_subtab_reclaim(struct bb_subtab *t, uint64_t done)
{
	BB_ASSERT_OWNER(t);
	return bb_set_store_reclaim(&t->sets, done, RECLAIM_MAX);
}

/* ---- Walks and figures ---- */

void
bb_subtab_cursor_open(struct bb_subtab *t, struct bb_subtab_cursor *c)
{
	BB_ASSERT_OWNER(t);
	*c = (struct bb_subtab_cursor){ .seq = t->seq };
}

void
bb_subtab_cursor_close(struct bb_subtab *t, struct bb_subtab_cursor *c)
{
	BB_ASSERT_OWNER(t);
	bb_mem_free(&t->mem, c->key, c->cap);
	*c = (struct bb_subtab_cursor){ 0 };
}

/* Make the cursor's key that of a node. */
static bool
cursor_set(struct bb_subtab *t, struct bb_subtab_cursor *c, uint32_t node)
{
	const uint32_t len = bb_trie_key_len(&t->trie, node);

	if (len > c->cap) {
		const uint32_t cap = (uint32_t)bb_min_u64(bb_max_u64(2 * (uint64_t)len, 64), BB_TOPIC_MAX);
		uint8_t *key = bb_mem_alloc(&t->mem, cap);
		if (key == NULL)
			return false;
		bb_mem_free(&t->mem, c->key, c->cap);
		c->key = key;
		c->cap = cap;
	}
	bb_trie_key(&t->trie, node, c->key, len);
	c->len = len;
	c->begun = true;
	return true;
}

int
bb_subtab_next_topic(
	struct bb_subtab *t, struct bb_subtab_cursor *c, const void **ret_topic, uint32_t *ret_len)
{
	BB_ASSERT_OWNER(t);
	for (uint32_t i = 0; i < CURSOR_SKIPS; i++) {
		const uint32_t node = bb_trie_next(&t->trie, c->key, c->len, !c->begun);
		if (node == 0)
			return 0;
		const uint32_t topic = bb_trie_node(&t->trie, node)->topic;
		const bool old = bb_topic_first_seq(topic_at(t, topic)) <= c->seq;
		if (!cursor_set(t, c, node))
			return -ENOMEM;
		if (old) {
			*ret_topic = c->key != NULL ? (const void *)c->key : "";
			*ret_len = c->len;
			return 1;
		}
	}
	return -EAGAIN;
}

void
bb_subtab_stats(const struct bb_subtab *t, struct bb_subtab_stats *ret)
{
	*ret = (struct bb_subtab_stats){
		.subscribers = t->subs.count,
		.subscriptions = t->subs.records,
		.topics = t->topics,
		.nodes = t->trie.nodes,
		.bytes = sizeof(*t) + t->mem.used_bytes,
		.sets = t->sets.live_count,
		.set_bytes = t->sets.live_bytes,
		.retired_sets = t->sets.retired_count,
		.retired_bytes = t->sets.retired_bytes,
		.seq = t->seq,
		.cache_hits = t->cache_hits,
		.cache_misses = t->cache_misses,
		.sets_built = t->sets_built,
		.set_flushes = t->set_flushes,
		.nomem = t->nomem,
	};
}
