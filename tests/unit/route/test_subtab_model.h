/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_subtab_model: what the subscription table must do, done the slow way: a list of {subscriber, topic,
 * count}, searched from end to end. And a memory back-end that fails on demand.
 */
#ifndef BB_TEST_ROUTE_SUBTAB_MODEL_H
#define BB_TEST_ROUTE_SUBTAB_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/mem.h"
#include "base/rand.h"
#include "route/subtab.h"

struct bytes {
	uint8_t *data; /* at its exact size on the heap, so that the address sanitizer sees reads beyond it */
	uint32_t len;
};

static inline struct bytes
bytes_copy(const void *data, uint32_t len)
{
	struct bytes b = { .data = malloc(len == 0 ? 1 : len), .len = len };

	assert_non_null(b.data);
	if (len != 0)
		memcpy(b.data, data, len);
	return b;
}

static inline bool
bytes_equal(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool
bytes_begin(struct bytes topic, struct bytes prefix)
{
	return prefix.len <= topic.len &&
	       (prefix.len == 0 || memcmp(topic.data, prefix.data, prefix.len) == 0);
}

static inline int
bytes_order(struct bytes a, struct bytes b)
{
	const uint32_t both = a.len < b.len ? a.len : b.len;
	const int order = both == 0 ? 0 : memcmp(a.data, b.data, both);

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

struct model_entry {
	uint32_t sub; /* the model's own number of the subscriber */
	uint32_t count;
	uint64_t order; /* of the first add */
	struct bytes topic;
};

struct model {
	uint64_t order;
	struct model_entry *entries;
	uint32_t count, cap;
};

static inline struct model_entry *
model_find(struct model *m, uint32_t sub, struct bytes topic)
{
	for (uint32_t i = 0; i < m->count; i++)
		if (m->entries[i].sub == sub && bytes_equal(m->entries[i].topic, topic))
			return &m->entries[i];
	return NULL;
}

static inline bool
model_has_topic(const struct model *m, struct bytes topic)
{
	for (uint32_t i = 0; i < m->count; i++)
		if (bytes_equal(m->entries[i].topic, topic))
			return true;
	return false;
}

static inline void
model_add(struct model *m, uint32_t sub, struct bytes topic)
{
	struct model_entry *e = model_find(m, sub, topic);

	if (e != NULL) {
		e->count++;
		return;
	}
	if (m->count == m->cap) {
		m->cap = m->cap * 2 + 16;
		m->entries = realloc(m->entries, m->cap * sizeof(*m->entries));
		assert_non_null(m->entries);
	}
	m->entries[m->count++] = (struct model_entry){
		.sub = sub, .count = 1, .order = m->order++, .topic = bytes_copy(topic.data, topic.len)
	};
}

static inline void
model_remove(struct model *m, struct model_entry *e)
{
	free(e->topic.data);
	*e = m->entries[--m->count];
}

/* The subscriber's newest entry; NULL if it has none. */
static inline struct model_entry *
model_newest(struct model *m, uint32_t sub)
{
	struct model_entry *newest = NULL;

	for (uint32_t i = 0; i < m->count; i++)
		if (m->entries[i].sub == sub && (newest == NULL || m->entries[i].order > newest->order))
			newest = &m->entries[i];
	return newest;
}

/* Subscribers of a topic as a bit mask, of at most 64. */
static inline uint64_t
model_match(const struct model *m, struct bytes topic)
{
	uint64_t mask = 0;

	for (uint32_t i = 0; i < m->count; i++)
		if (bytes_begin(topic, m->entries[i].topic))
			mask |= UINT64_C(1) << m->entries[i].sub;
	return mask;
}

static inline void
model_fini(struct model *m)
{
	while (m->count > 0)
		model_remove(m, &m->entries[m->count - 1]);
	free(m->entries);
}

/*
 * The heap, with failures: one call in fail_one_in, and the fail_at-th from now; none if 0. real_bytes is
 * what malloc really took.
 */
struct test_mem {
	struct bb_mem mem;
	struct bb_rand rand;
	uint32_t fail_one_in;
	uint32_t fail_at;
	uint64_t real_bytes;
};

static inline void *
test_mem_alloc(struct bb_mem *m, size_t size)
{
	struct test_mem *tm = bb_container_of(m, struct test_mem, mem);

	if (bb_rand_one_in(&tm->rand, tm->fail_one_in) || (tm->fail_at > 0 && --tm->fail_at == 0))
		return NULL;
	void *p = malloc(size);
	if (p != NULL) {
		tm->real_bytes += malloc_usable_size(p) + 8; /* and malloc's own word */
		memset(p, 0xa5, size);
	}
	return p;
}

static inline void
test_mem_free(struct bb_mem *m, void *p, size_t size)
{
	struct test_mem *tm = bb_container_of(m, struct test_mem, mem);

	(void)size;
	tm->real_bytes -= malloc_usable_size(p) + 8;
	free(p);
}

static inline void
test_mem_init(struct test_mem *tm, uint64_t seed)
{
	static const struct bb_mem_ops ops = { .alloc = test_mem_alloc, .free = test_mem_free };

	*tm = (struct test_mem){ .mem = { .ops = &ops, .max_bytes = UINT64_MAX } };
	bb_rand_init(&tm->rand, seed);
}

static inline struct bb_subtab *
test_table(struct test_mem *tm, uint32_t cache_entries)
{
	const struct bb_subtab_options options = {
		.actor = 1,
		.subscriptions_max = 2000000,
		.cache_entries = cache_entries,
		.set_bytes_max = 64 << 20,
		.mem = &tm->mem,
		.hash_key = { .k0 = 0x1234567, .k1 = 0x89abcdef },
	};
	struct bb_subtab *t;

	assert_int_equal(bb_subtab_create(&options, &t), 0);
	return t;
}

static inline const struct bb_set *
match_str(struct bb_subtab *t, const char *topic)
{
	return bb_subtab_match(t, topic, (uint32_t)strlen(topic));
}

static inline struct bb_subtab_change
add_str(struct bb_subtab *t, uint32_t sub, const char *topic)
{
	struct bb_subtab_change change;

	assert_int_equal(bb_subtab_add(t, sub, topic, (uint32_t)strlen(topic), &change), 0);
	return change;
}

static inline struct bb_subtab_change
cancel_str(struct bb_subtab *t, uint32_t sub, const char *topic)
{
	struct bb_subtab_change change;

	assert_int_equal(bb_subtab_cancel(t, sub, topic, (uint32_t)strlen(topic), &change), 0);
	return change;
}

#endif
