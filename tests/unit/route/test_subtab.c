/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "test_subtab_model.h"

enum { MILLION = 1000000 };

struct fixture {
	struct test_mem mem;
	struct bb_subtab *table;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	test_mem_init(&f->mem, 1);
	f->table = test_table(&f->mem, 4096);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	bb_subtab_destroy(f->table);
	assert_int_equal(f->mem.mem.used_bytes, 0);
	assert_int_equal(f->mem.real_bytes, 0);
	free(f);
	return 0;
}

static uint32_t
join(struct bb_subtab *t, uint32_t core, uint32_t slot)
{
	uint32_t sub;

	assert_int_equal(bb_subtab_join(t, bb_handle_make(core, slot, 1), &sub), 0);
	return sub;
}

static struct bb_subtab_stats
stats_of(const struct bb_subtab *t)
{
	struct bb_subtab_stats s;

	bb_subtab_stats(t, &s);
	return s;
}

static void
leave(struct bb_subtab *t, uint32_t sub)
{
	while (!bb_subtab_leave_step(t, sub, 1000, NULL, NULL))
		;
}

/* ---- Subscriptions ---- */

static void
one_cancel_ends_what_was_added_twice(void **state)
{
	struct fixture *f = *state;
	const uint32_t a = join(f->table, 0, 1), b = join(f->table, 0, 2);
	struct bb_subtab_change c = add_str(f->table, a, "x");

	assert_true(c.topic && c.sub && c.seq != 0);
	c = add_str(f->table, a, "x");
	assert_true(!c.topic && !c.sub && c.seq == 0);
	c = add_str(f->table, b, "x");
	assert_true(!c.topic && c.sub && c.seq != 0);

	assert_int_equal(match_str(f->table, "xy")->receivers, 2);
	c = cancel_str(f->table, a, "x");
	assert_true(!c.topic && c.sub && c.seq != 0);
	assert_int_equal(match_str(f->table, "xy")->receivers, 1);
	c = cancel_str(f->table, b, "x");
	assert_true(c.topic && c.sub);
	assert_null(match_str(f->table, "xy"));
}

static void
cancel_of_what_is_not_there_changes_nothing(void **state)
{
	struct fixture *f = *state;
	const uint32_t a = join(f->table, 0, 1), b = join(f->table, 0, 2);
	static const uint8_t huge[BB_TOPIC_MAX + 1];

	add_str(f->table, a, "topic");
	const struct bb_subtab_stats before = stats_of(f->table);
	assert_int_equal(bb_subtab_cancel(f->table, a, "top", 3, NULL), -ENOENT);
	assert_int_equal(bb_subtab_cancel(f->table, a, "topic1", 6, NULL), -ENOENT);
	assert_int_equal(bb_subtab_cancel(f->table, a, "", 0, NULL), -ENOENT);
	assert_int_equal(bb_subtab_cancel(f->table, b, "topic", 5, NULL), -ENOENT);
	assert_int_equal(bb_subtab_cancel(f->table, a, huge, sizeof(huge), NULL), -ENOENT);
	const struct bb_subtab_stats after = stats_of(f->table);
	assert_memory_equal(&before, &after, sizeof(before));
}

static void
limits_refuse_one_subscriber_and_nobody_else(void **state)
{
	struct fixture *f = *state;
	const uint32_t a = join(f->table, 0, 1), b = join(f->table, 0, 2);
	static const uint8_t huge[BB_TOPIC_MAX + 1];

	bb_subtab_limit(f->table, 2);
	add_str(f->table, a, "1");
	add_str(f->table, a, "2");
	assert_int_equal(bb_subtab_add(f->table, a, "3", 1, NULL), -E2BIG);
	add_str(f->table, a, "2"); /* counts, takes no memory */
	add_str(f->table, b, "3");
	cancel_str(f->table, a, "1");
	add_str(f->table, a, "3");
	assert_int_equal(bb_subtab_sub_topics(f->table, a), 2);

	bb_subtab_limit(f->table, 1); /* keeps what it has */
	assert_int_equal(match_str(f->table, "2")->receivers, 1);
	assert_int_equal(bb_subtab_add(f->table, b, huge, sizeof(huge), NULL), -EMSGSIZE);
	cancel_str(f->table, b, "3");
	assert_int_equal(bb_subtab_add(f->table, b, huge, BB_TOPIC_MAX, NULL), 0);
	assert_int_equal(bb_subtab_match(f->table, huge, BB_TOPIC_MAX)->receivers, 1);
	assert_null(bb_subtab_match(f->table, huge, BB_TOPIC_MAX - 1));
}

static void
a_node_may_have_every_byte_as_child(void **state)
{
	struct fixture *f = *state;
	const uint32_t a = join(f->table, 0, 1);

	for (uint32_t i = 0; i < 256; i++) {
		const uint8_t topic[] = { 'p', (uint8_t)(i * 7) };
		assert_int_equal(bb_subtab_add(f->table, a, topic, 2, NULL), 0);
		for (uint32_t k = 0; k < 256; k += 51) {
			const uint8_t probe[] = { 'p', (uint8_t)(k * 7), 0 };
			assert_int_equal(bb_subtab_match(f->table, probe, 3) != NULL, k <= i);
		}
	}
	for (uint32_t i = 0; i < 256; i++) {
		const uint8_t topic[] = { 'p', (uint8_t)(i * 3) };
		assert_int_equal(bb_subtab_cancel(f->table, a, topic, 2, NULL), 0);
		for (uint32_t k = 0; k < 256; k += 51) {
			const uint8_t probe[] = { 'p', (uint8_t)(k * 3), 0 };
			assert_int_equal(bb_subtab_match(f->table, probe, 3) != NULL, k > i);
		}
	}
	assert_int_equal(stats_of(f->table).nodes, 1);
}

static void
count_topic(void *ctx, const void *topic, uint32_t len, uint64_t seq)
{
	(void)topic;
	(void)len;
	assert_true(seq != 0);
	++*(uint32_t *)ctx;
}

static void
leaving_takes_one_subscription_per_unit_of_budget(void **state)
{
	struct fixture *f = *state;
	const uint32_t a = join(f->table, 0, 1), b = join(f->table, 0, 2);
	uint32_t again, last = 0;

	add_str(f->table, a, "1");
	add_str(f->table, a, "2");
	add_str(f->table, a, "2"); /* both go at once */
	add_str(f->table, a, "3");
	add_str(f->table, b, "3");
	assert_false(bb_subtab_leave_step(f->table, a, 1, count_topic, &last));
	assert_int_equal(last, 0); /* 3 is b's, too */
	assert_int_equal(match_str(f->table, "3")->receivers, 1);
	assert_false(bb_subtab_leave_step(f->table, a, 1, count_topic, &last));
	assert_int_equal(last, 1);
	assert_null(match_str(f->table, "2"));
	assert_non_null(match_str(f->table, "1"));
	assert_true(bb_subtab_leave_step(f->table, a, 1, count_topic, &last));
	assert_int_equal(last, 2);

	assert_int_equal(bb_subtab_join(f->table, bb_handle_make(3, 3, 3), &again), 0);
	assert_int_equal(again, a); /* indexes are dense */
	assert_int_equal(bb_subtab_sub_topics(f->table, again), 0);
	assert_true(bb_subtab_leave_step(f->table, again, 1, count_topic, &last));
	assert_int_equal(stats_of(f->table).subscribers, 1);
}

/* Add with the at-th allocation failing, in a table that is otherwise empty, or has neighbours to be split
 * off. */
static int
add_failing_at(struct test_mem *mem, uint32_t at, bool neighbours, const void *topic, uint32_t len)
{
	struct bb_subtab *t = test_table(mem, 16);
	const uint32_t a = join(t, 0, 1), b = join(t, 0, 2);

	if (neighbours) {
		add_str(t, a, "tx");
		add_str(t, b, "ty");
	}
	const struct bb_subtab_stats before = stats_of(t);
	mem->fail_at = at;
	const int rc = bb_subtab_add(t, a, topic, len, NULL);
	mem->fail_at = 0;
	if (rc != 0) {
		assert_int_equal(rc, -ENOMEM);
		assert_int_equal(stats_of(t).nodes, before.nodes);
		assert_int_equal(stats_of(t).topics, before.topics);
		assert_int_equal(stats_of(t).subscriptions, before.subscriptions);
		assert_int_equal(stats_of(t).seq, before.seq);
		assert_null(bb_subtab_match(t, topic, len));
		assert_int_equal(match_str(t, "txy") != NULL, neighbours);
	}
	leave(t, a);
	leave(t, b);
	assert_int_equal(stats_of(t).nodes, 1);
	bb_subtab_destroy(t);
	return rc;
}

static void
an_add_that_fails_at_any_allocation_leaves_no_trace(void **state)
{
	struct fixture *f = *state;
	uint8_t topic[700];
	uint32_t failed = 0;

	memset(topic, 't', sizeof(topic));
	for (uint32_t len = 1; len < sizeof(topic); len += 233)
		for (int neighbours = 0; neighbours < 2; neighbours++)
			for (uint32_t at = 1; add_failing_at(&f->mem, at, neighbours, topic, len) != 0; at++)
				failed++;
	assert_true(failed >= 12);
}

/* ---- Sets ---- */

static void
ten_thousand_subscribers_of_one_prefix_are_one_set(void **state)
{
	struct fixture *f = *state;
	enum { MANY = 10000 };
	static uint32_t subs[MANY];

	for (uint32_t i = 0; i < MANY; i++) {
		subs[i] = join(f->table, i % 4, i);
		add_str(f->table, subs[i], "quotes.");
	}
	assert_int_equal(stats_of(f->table).sets_built, 0); /* only what is matched is built */
	const struct bb_set *set = match_str(f->table, "quotes.EUR");
	assert_int_equal(set->receivers, MANY);
	assert_int_equal(set->core_count, 4);
	for (uint32_t core = 0; core < 4; core++) {
		assert_int_equal(set->cores[core].core, core);
		assert_int_equal(set->cores[core].first, core * MANY / 4);
		assert_int_equal(set->cores[core].count, MANY / 4);
	}
	for (uint32_t i = 0; i < MANY; i += 3)
		cancel_str(f->table, subs[i], "quotes.");
	assert_int_equal(stats_of(f->table).sets_built, 1);
	assert_int_equal(match_str(f->table, "quotes.EUR")->receivers, MANY - (MANY + 2) / 3);
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(
			bb_subtab_cancel(f->table, subs[i], "quotes.", 7, NULL), i % 3 == 0 ? -ENOENT : 0);
	assert_null(match_str(f->table, "quotes.EUR"));
}

static void
equal_receivers_are_the_same_pointer(void **state)
{
	struct fixture *f = *state;
	const uint32_t a = join(f->table, 0, 1), b = join(f->table, 7, 2);

	add_str(f->table, a, "");
	add_str(f->table, b, "");
	const struct bb_set *all = match_str(f->table, "x");
	assert_int_equal(all->receivers, 2);
	assert_ptr_equal(match_str(f->table, ""), all);
	assert_ptr_equal(match_str(f->table, "something else"), all);

	add_str(f->table, a, "x"); /* has it already by the empty topic */
	assert_ptr_equal(match_str(f->table, "xyz"), match_str(f->table, "y"));

	cancel_str(f->table, a, "");
	cancel_str(f->table, b, "");
	add_str(f->table, a, "y");
	assert_ptr_equal(match_str(f->table, "x1"), match_str(f->table, "y1")); /* a alone, by two prefixes */
	add_str(f->table, b, "y");
	assert_ptr_not_equal(match_str(f->table, "x1"), match_str(f->table, "y1"));
}

static void
a_set_lives_until_every_delivery_that_may_name_it_is_done(void **state)
{
	struct fixture *f = *state;
	const uint32_t a = join(f->table, 0, 1), b = join(f->table, 0, 2);

	bb_subtab_stamp(f->table, 10);
	add_str(f->table, a, "x");
	const struct bb_set *old = match_str(f->table, "x");
	bb_subtab_stamp(f->table, 20);
	add_str(f->table, b, "x");
	assert_int_equal(stats_of(f->table).retired_sets, 0); /* nobody asked for the new one yet */
	assert_int_equal(match_str(f->table, "x")->receivers, 2);
	assert_int_equal(stats_of(f->table).retired_sets, 1);
	assert_int_equal(bb_subtab_reclaim(f->table, 19), 0);
	assert_true(old->receivers == 1 && old->handles[0] == bb_handle_make(0, 1, 1));
	assert_int_equal(bb_subtab_reclaim(f->table, 20), 1);

	bb_subtab_stamp(f->table, 30);
	cancel_str(f->table, a, "x");
	cancel_str(f->table, b, "x"); /* the topic goes, and its set with it */
	assert_int_equal(stats_of(f->table).retired_sets, 1);
	assert_int_equal(stats_of(f->table).sets, 0);
	assert_int_equal(bb_subtab_reclaim(f->table, 29), 0);
	assert_int_equal(bb_subtab_reclaim(f->table, 30), 1);
	assert_int_equal(stats_of(f->table).retired_bytes, 0);
}

static void
sets_beyond_their_budget_are_retired_together_and_built_again(void **state)
{
	struct fixture *f = *state;
	struct bb_subtab *t;
	const struct bb_subtab_options options = { .subscriptions_max = 100,
		.cache_entries = 1000,
		.set_bytes_max = 3 * bb_set_bytes(1, 1),
		.mem = &f->mem.mem };
	char topic[] = "a";

	assert_int_equal(bb_subtab_create(&options, &t), 0);
	for (uint32_t i = 0; i < 5; i++, topic[0]++)
		add_str(t, join(t, 0, i), topic);
	for (uint64_t round = 0; round < 20; round++) {
		bb_subtab_stamp(t, round);
		topic[0] = 'a';
		for (uint32_t i = 0; i < 5; i++, topic[0]++) {
			const struct bb_set *set = match_str(t, topic);
			assert_true(set->receivers == 1 && set->handles[0] == bb_handle_make(0, i, 1));
			assert_true(stats_of(t).set_bytes <= options.set_bytes_max);
		}
		assert_true(round < 2 || stats_of(t).retired_sets > 0);
		if (round > 0)
			bb_subtab_reclaim(t, round - 1);
		assert_true(stats_of(t).retired_sets <= 10);
	}
	assert_true(stats_of(t).set_flushes > 10);
	bb_subtab_destroy(t);
}

static void
without_memory_for_a_set_the_answer_is_not_no_subscriber(void **state)
{
	struct fixture *f = *state;
	const uint32_t a = join(f->table, 0, 1);

	add_str(f->table, a, "x");
	f->mem.mem.max_bytes = f->mem.mem.used_bytes;
	assert_ptr_equal(match_str(f->table, "x"), BB_SUBTAB_NOMEM);
	assert_null(match_str(f->table, "y"));
	assert_int_equal(stats_of(f->table).nomem, 1);
	f->mem.mem.max_bytes = UINT64_MAX;
	assert_int_equal(match_str(f->table, "x")->receivers, 1);
}

/* ---- The cache ---- */

/* How many of these topics the cache does not answer. */
static uint64_t
misses(struct bb_subtab *t, char (*topics)[16], uint32_t count, const struct bb_set **sets)
{
	const uint64_t before = stats_of(t).cache_misses;

	for (uint32_t i = 0; i < count; i++)
		sets[i] = match_str(t, topics[i]);
	return stats_of(t).cache_misses - before;
}

static void
a_change_voids_only_topics_that_begin_with_its_prefix(void **state)
{
	struct fixture *f = *state;
	enum { N = 512 };
	static char topics[N][16];
	const struct bb_set *old[N], *new[N];
	struct bb_subtab *t = test_table(&f->mem, 1 << 16); /* large enough that nothing is pushed out */
	const uint32_t a = join(t, 0, 1), b = join(t, 0, 2);
	static const char *const prefixes[] = { "", "t", "t1", "t12", "t120", "t120.", "t120.q", "t120.quot",
		"t120.quotes", "t120.quotesx", "u", "t5", "t511.quotes.a", "t999", "t1200" };

	/* The cache keys reach beyond the longest prefix of all. */
	add_str(t, a, "zzzzzzzzzzzzzzzzzzzzzzzz");
	add_str(t, a, "t1");
	for (uint32_t i = 0; i < N; i++)
		snprintf(topics[i], sizeof(topics[i]), "t%u.quotes.a", i);
	for (uint32_t i = 0; i < 200000; i++) { /* until it has grown */
		snprintf(topics[0], sizeof(topics[0]), "w%u", i);
		assert_null(match_str(t, topics[0]));
	}
	snprintf(topics[0], sizeof(topics[0]), "t0.quotes.a");
	misses(t, topics, N, old);
	assert_int_equal(misses(t, topics, N, old), 0);

	for (uint32_t p = 0; p < BB_ARRAY_LEN(prefixes); p++) {
		for (int cancel = 0; cancel < 2; cancel++) {
			uint64_t hit_by = 0;
			if (cancel)
				cancel_str(t, b, prefixes[p]);
			else
				add_str(t, b, prefixes[p]);
			const uint64_t missed = misses(t, topics, N, new);
			for (uint32_t i = 0; i < N; i++) {
				const bool begins = strncmp(topics[i], prefixes[p], strlen(prefixes[p])) == 0;
				hit_by += begins;
				if (!begins)
					assert_ptr_equal(new[i], old[i]);
				else
					assert_ptr_not_equal(new[i], old[i]);
			}
			assert_int_equal(missed, hit_by);
			assert_int_equal(misses(t, topics, N, old), 0);
		}
	}
	bb_subtab_destroy(t);
}

static void
topics_are_told_apart_only_as_far_as_prefixes_reach(void **state)
{
	struct fixture *f = *state;
	const uint32_t a = join(f->table, 0, 1);
	char topic[32];

	for (int round = 0; round < 2; round++) {
		add_str(f->table, a, "quotes.");
		match_str(f->table, "quotes.");
		const uint64_t before = stats_of(f->table).cache_misses;
		for (uint32_t i = 0; i < 1000; i++) {
			snprintf(topic, sizeof(topic), "quotes.%u", i);
			assert_int_equal(match_str(f->table, topic)->receivers, 1);
		}
		assert_int_equal(stats_of(f->table).cache_misses, before);
		/* Longer ones, that come and go, leave nothing behind. */
		add_str(f->table, a, "quotes.999");
		assert_int_equal(match_str(f->table, "quotes.123")->receivers, 1);
		add_str(f->table, a,
			"and one that is far longer than one hundred and twenty-eight bytes, "
			"beyond which lengths are no longer counted one by one but by powers of two");
		cancel_str(f->table, a, "quotes.999");
		cancel_str(f->table, a,
			"and one that is far longer than one hundred and twenty-eight bytes, "
			"beyond which lengths are no longer counted one by one but by powers of two");
	}
}

static void
cached_keys_of_any_length_are_compared_to_their_end(void **state)
{
	struct fixture *f = *state;
	const uint32_t a = join(f->table, 0, 1);
	uint8_t topic[300];

	memset(topic, 'k', sizeof(topic));
	assert_int_equal(bb_subtab_add(f->table, a, topic, 290, NULL), 0);
	for (uint32_t len = 1; len < sizeof(topic); len++) {
		for (int twice = 0; twice < 2; twice++)
			assert_int_equal(bb_subtab_match(f->table, topic, len) != NULL, len >= 290);
		topic[len - 1] = 'j';
		for (int twice = 0; twice < 2; twice++)
			assert_int_equal(bb_subtab_match(f->table, topic, len) != NULL, len > 290);
		topic[len - 1] = 'k';
	}
}

static void
long_keys_are_found_while_the_cache_grows_without_memory(void **state)
{
	struct fixture *f = *state;
	char longs[16][64], topic[16];

	for (uint32_t round = 0; round < 8; round++) {
		struct bb_subtab *t = test_table(&f->mem, 1 << 16);
		add_str(t, join(t, 0, 1), "a prefix as long as it takes for keys to need their far part.");
		for (uint32_t i = 0; i < 16; i++) {
			snprintf(longs[i], sizeof(longs[i]),
				"a prefix as long as it takes for keys to need their far %u", i);
			assert_null(match_str(t, longs[i]));
		}
		f->mem.mem.max_bytes = f->mem.mem.used_bytes;
		for (uint32_t i = 0; i < 20000; i++) {
			assert_null(match_str(t, longs[i % 16]));
			snprintf(topic, sizeof(topic), "u%u.%u", round, i);
			assert_null(match_str(t, topic));
			assert_null(match_str(t, longs[i % 16]));
		}
		f->mem.mem.max_bytes = UINT64_MAX;
		bb_subtab_destroy(t);
	}
}

/* ---- Walks ---- */

static void
a_walk_reports_in_order_what_was_there_when_it_began(void **state)
{
	struct fixture *f = *state;
	const uint32_t a = join(f->table, 0, 1), b = join(f->table, 0, 2);
	struct bb_subtab_cursor c;
	const void *topic;
	uint32_t len;
	char late[16];
	static const char *const expected[] = { "", "a", "ab", "abc", "b\xff", "c" };

	for (uint32_t i = 0; i < BB_ARRAY_LEN(expected); i++)
		add_str(f->table, a, expected[BB_ARRAY_LEN(expected) - 1 - i]);
	add_str(f->table, a, "bb");
	add_str(f->table, a, "abb");
	add_str(f->table, b, "abb");
	bb_subtab_cursor_open(f->table, &c);
	cancel_str(f->table, a, "bb");
	cancel_str(f->table, a, "abb"); /* others still have it: nothing for publishers */
	add_str(f->table, b, "abc");
	for (uint32_t i = 0; i < 3000; i++) {
		snprintf(late, sizeof(late), "bx%u", i);
		add_str(f->table, b, late);
	}
	uint32_t again = 0;
	for (uint32_t i = 0; i < BB_ARRAY_LEN(expected) + 1; i++) {
		int rc;
		while ((rc = bb_subtab_next_topic(f->table, &c, &topic, &len)) == -EAGAIN)
			again++;
		assert_int_equal(rc, 1);
		const char *want = i == 3 ? "abb" : expected[i - (i > 3)];
		assert_int_equal(len, strlen(want));
		assert_memory_equal(topic, want, len);
	}
	assert_int_equal(again, 2); /* 3000 newer ones are passed in bounded steps */
	assert_int_equal(bb_subtab_next_topic(f->table, &c, &topic, &len), 0);
	bb_subtab_cursor_close(f->table, &c);
}

/* ---- Size ---- */

/* 1 to 64 letters; every second one a prefix of the next, and stems shared by hundreds. */
static uint32_t
million_topic(struct bb_rand *rand, char *topic, uint32_t len)
{
	if (len != 0 && len < 60 && bb_rand_one_in(rand, 2)) { /* nested in the one before */
		const uint32_t to = len + 1 + bb_rand_below(rand, 64 - len);
		for (; len < to; len++)
			topic[len] = (char)('a' + bb_rand_below(rand, 26));
		return len;
	}
	const uint32_t stem = bb_rand_below(rand, 4000);
	char buf[80];
	len = (uint32_t)snprintf(buf, sizeof(buf), "%c%u.", 'A' + stem % 20, stem);
	const uint32_t to = 1 + bb_rand_below(rand, 64);
	for (; len < to; len++)
		buf[len] = (char)('a' + bb_rand_below(rand, 26));
	memcpy(topic, buf, to);
	return to;
}

static void
a_million_subscriptions_take_at_most_128_bytes_each(void **state)
{
	struct fixture *f = *state;
	enum { SUBS = 100 };
	uint32_t subs[SUBS];
	struct bb_rand rand;
	char topic[64];
	uint32_t len = 0;

	for (uint32_t i = 0; i < SUBS; i++)
		subs[i] = join(f->table, i % 4, i);
	const uint64_t empty = f->mem.real_bytes;
	bb_rand_init(&rand, 5);
	for (uint32_t i = 0; stats_of(f->table).subscriptions < MILLION; i++) {
		len = million_topic(&rand, topic, len);
		assert_int_equal(
			bb_subtab_add(f->table, subs[bb_rand_below(&rand, SUBS)], topic, len, NULL), 0);
	}
	/* As used: every topic matched, so that all that is made lazily is there. */
	const uint64_t added = f->mem.real_bytes - empty;
	bb_rand_init(&rand, 5);
	len = 0;
	for (uint32_t i = 0; i < MILLION; i++) {
		len = million_topic(&rand, topic, len);
		assert_non_null(bb_subtab_match(f->table, topic, len));
		(void)bb_rand_below(&rand, SUBS);
	}
	const struct bb_subtab_stats s = stats_of(f->table);
	const uint64_t matched = f->mem.real_bytes - empty - s.set_bytes - s.retired_bytes;
	print_message(
		"%llu topics, %llu nodes: %.1f bytes per subscription, %.1f when matched; %llu sets, %.1f\n",
		(unsigned long long)s.topics, (unsigned long long)s.nodes, (double)added / MILLION,
		(double)matched / MILLION, (unsigned long long)s.sets, (double)s.set_bytes / MILLION);
	assert_true(added <= 128ull * MILLION);
	assert_true(matched <= 128ull * MILLION);

	for (uint32_t i = 0; i < SUBS; i++)
		leave(f->table, subs[i]);
	while (bb_subtab_reclaim(f->table, UINT64_MAX - 1) > 0)
		;
	assert_int_equal(stats_of(f->table).nodes, 1);
	print_message(
		"%.2f MiB remain when all have left\n", (double)(f->mem.real_bytes - empty) / (1 << 20));
	assert_true(f->mem.real_bytes - empty < 2 << 20); /* id pages and chunk numbers */
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(one_cancel_ends_what_was_added_twice),
		TEST(cancel_of_what_is_not_there_changes_nothing),
		TEST(limits_refuse_one_subscriber_and_nobody_else),
		TEST(a_node_may_have_every_byte_as_child),
		TEST(leaving_takes_one_subscription_per_unit_of_budget),
		TEST(an_add_that_fails_at_any_allocation_leaves_no_trace),
		TEST(ten_thousand_subscribers_of_one_prefix_are_one_set),
		TEST(equal_receivers_are_the_same_pointer),
		TEST(a_set_lives_until_every_delivery_that_may_name_it_is_done),
		TEST(sets_beyond_their_budget_are_retired_together_and_built_again),
		TEST(without_memory_for_a_set_the_answer_is_not_no_subscriber),
		TEST(a_change_voids_only_topics_that_begin_with_its_prefix),
		TEST(topics_are_told_apart_only_as_far_as_prefixes_reach),
		TEST(cached_keys_of_any_length_are_compared_to_their_end),
		TEST(long_keys_are_found_while_the_cache_grows_without_memory),
		TEST(a_walk_reports_in_order_what_was_there_when_it_began),
		TEST(a_million_subscriptions_take_at_most_128_bytes_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
