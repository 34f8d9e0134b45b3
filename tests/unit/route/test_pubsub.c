/* SPDX-License-Identifier: BSD-3-Clause */
#include "router_env.h"

#include <stdio.h>

#include "base/endian.h"
#include "base/rand.h"

#define PUB 0
#define SUB 1

static struct bb_endpoint quotes;

static void
open_quotes(struct env *e, const struct env_options *options)
{
	env_open(e, options);
	quotes = env_conf(0, BB_PATTERN_PUBSUB);
	env_endpoint(e, &quotes);
}

static void
messages_go_to_whoever_subscribed_to_a_prefix(void **state)
{
	struct env e;

	(void)state;
	open_quotes(&e, &(struct env_options){ .io_count = 2 });
	const bb_handle p = env_attach(&e, 0, 0, PUB, 0);
	const bb_handle all = env_attach(&e, 0, 1, SUB, 0);
	const bb_handle a = env_attach(&e, 1, 1, SUB, 0);
	const bb_handle ab = env_attach(&e, 1, 2, SUB, 0);
	env_subscribe(&e, all, SUB, "");
	env_subscribe(&e, a, SUB, "a");
	env_subscribe(&e, ab, SUB, "ab");
	env_subscribe(&e, ab, SUB, "a"); /* two prefixes of one message: one copy */
	env_run(&e);
	env_send(&e, p, PUB, "a|1");
	env_send(&e, p, PUB, "ab|2");
	env_send(&e, p, PUB, "b|3");
	env_send(&e, p, PUB, "|4");
	env_run(&e);
	assert_string_equal(env_log(&e, all), "a|1 ab|2 b|3 |4");
	assert_string_equal(env_log(&e, a), "a|1 ab|2");
	assert_string_equal(env_log(&e, ab), "a|1 ab|2");
	assert_int_equal(env_count(&e, PUB, BB_ROUTER_ROUTED), 4);
	assert_int_equal(env_count(&e, PUB, BB_ROUTER_COPIES), 8);
	assert_int_equal(env_count(&e, SUB, BB_ROUTER_SUBSCRIPTIONS), 4);
	assert_int_equal(env_count(&e, SUB, BB_ROUTER_TOPICS), 3);
	assert_true(env_count(&e, SUB, BB_ROUTER_SUBSCRIPTION_BYTES) > 0);
	env_close(&e);
}

static void
messages_nobody_subscribed_to_are_counted(void **state)
{
	struct env e;

	(void)state;
	open_quotes(&e, &(struct env_options){ 0 });
	const bb_handle p = env_attach(&e, 0, 0, PUB, 0);
	env_send(&e, p, PUB, "a|1");
	env_run(&e);
	const bb_handle s = env_attach(&e, 0, 1, SUB, 0);
	env_subscribe(&e, s, SUB, "b");
	env_subscribe(&e, s, SUB, "b");
	env_send(&e, p, PUB, "a|2");
	env_send(&e, p, PUB, "b|3");
	env_run(&e);
	env_cancel(&e, s, SUB, "b"); /* a set: one cancel ends it */
	env_cancel(&e, s, SUB, "never");
	env_send(&e, p, PUB, "b|4");
	env_run(&e);
	assert_string_equal(env_log(&e, s), "b|3");
	assert_int_equal(env_count(&e, PUB, BB_ROUTER_IN_NO_SUBSCRIBER), 3);
	env_close(&e);
}

static void
neighbours_with_the_same_receivers_are_one_delivery_per_core(void **state)
{
	struct env e;

	(void)state;
	open_quotes(&e, &(struct env_options){ .io_count = 2 });
	const bb_handle p = env_attach(&e, 0, 0, PUB, 0);
	const bb_handle q = env_attach(&e, 0, 1, PUB, 0);
	bb_handle s[6];
	for (uint32_t i = 0; i < 6; i++) {
		s[i] = env_attach(&e, i % 2, 10 + i, SUB, 0);
		env_subscribe(&e, s[i], SUB, i < 4 ? "x" : "y");
	}
	env_run(&e);
	for (int i = 0; i < 100; i++)
		env_send(&e, i < 50 ? p : q, PUB, i % 2 ? "xa" : "xb");
	env_run(&e);
	assert_int_equal(e.elements, 2);
	env_send(&e, p, PUB, "x");
	env_send(&e, p, PUB, "y");
	env_send(&e, p, PUB, "x");
	env_run(&e);
	assert_int_equal(e.elements, 2 + 2 * 3);
	for (uint32_t i = 0; i < 6; i++)
		assert_int_equal(env_session(&e, s[i])->msgs, i < 4 ? 102 : 1);
	env_close(&e);
}

static void
ordinary_messages_of_subscribers_are_unroutable(void **state)
{
	struct env e;

	(void)state;
	open_quotes(&e, &(struct env_options){ 0 });
	const bb_handle s = env_attach(&e, 0, 1, SUB, 0);
	env_subscribe(&e, s, SUB, "");
	env_send(&e, s, SUB, "hello");
	env_send_chain(&e, s, SUB, (const uint8_t *)"\0\5hello", 7, 3);
	env_run(&e);
	assert_int_equal(env_count(&e, SUB, BB_ROUTER_IN_UNROUTABLE), 2);
	assert_string_equal(env_log(&e, s), "");
	env_close(&e);
}

static void
chains_are_matched_wherever_their_topic_breaks(void **state)
{
	struct env e;
	uint8_t bytes[200];

	(void)state;
	open_quotes(&e, &(struct env_options){ .io_count = 2 });
	const bb_handle p = env_attach(&e, 0, 0, PUB, 0);
	const bb_handle s = env_attach(&e, 0, 1, SUB, 0), t = env_attach(&e, 0, 2, SUB, 0);
	const bb_handle u = env_attach(&e, 1, 1, SUB, 0);
	env_subscribe(&e, s, SUB, "weather.");
	env_subscribe(&e, t, SUB, "weather.london");
	env_subscribe(&e, u, SUB, "weather.l");
	const uint32_t len = env_encode(bytes, "weather.london|rain");
	uint32_t n = 0;
	for (uint32_t part = 1; part < len; part++, n++) {
		env_send_chain(&e, p, PUB, bytes, len, part);
		env_run(&e);
	}
	env_send_chain(&e, p, PUB, bytes, env_encode(bytes, "news|none"), 3);
	env_run(&e);
	assert_int_equal(env_session(&e, s)->msgs, n);
	assert_int_equal(env_session(&e, t)->msgs, n);
	assert_int_equal(env_session(&e, u)->msgs, n);
	assert_int_equal(env_count(&e, PUB, BB_ROUTER_IN_NO_SUBSCRIBER), 1);
	env_close(&e);
}

static void
a_first_frame_longer_than_any_subscription_is_matched(void **state)
{
	struct env e;
	const uint32_t body = 200000;
	uint8_t *bytes = malloc(body + 9);

	(void)state;
	open_quotes(&e, &(struct env_options){ 0 });
	bytes[0] = 2;
	bb_store_be64(bytes + 1, body);
	memset(bytes + 9, 'a', body);
	const bb_handle p = env_attach(&e, 0, 0, PUB, 0);
	const bb_handle s = env_attach(&e, 0, 1, SUB, 0);
	env_subscribe(&e, s, SUB, "aaaa");
	env_send_chain(&e, p, PUB, bytes, body + 9, BB_BUFFER_BYTES);
	env_run(&e);
	assert_int_equal(env_session(&e, s)->bytes, body + 9);
	free(bytes);
	env_close(&e);
}

static void
a_subscriber_with_many_topics_goes_in_steps(void **state)
{
	struct env e;
	char topic[32];

	(void)state;
	open_quotes(&e, &(struct env_options){ 0 });
	const bb_handle p = env_attach(&e, 0, 0, PUB, 0);
	const bb_handle s = env_attach(&e, 0, 1, SUB, 0), t = env_attach(&e, 0, 2, SUB, 0);
	for (int i = 0; i < 20000; i++) {
		snprintf(topic, sizeof(topic), "t%d.", i);
		env_subscribe(&e, s, SUB, topic);
	}
	env_subscribe(&e, t, SUB, "t7.");
	env_run(&e);
	assert_int_equal(env_count(&e, SUB, BB_ROUTER_SUBSCRIPTIONS), 20001);
	env_gone(&e, s, SUB);
	env_flush(&e, 0);
	uint32_t steps = 0;
	for (; env_session(&e, s)->gone_done == 0; steps++) {
		env_send(&e, p, PUB, "t7.x"); /* others are served meanwhile */
		env_flush(&e, 0);
		assert_true(env_step(&e) <= 20000);
	}
	assert_true(steps > 3);
	env_run(&e);
	assert_int_equal(env_session(&e, t)->msgs, steps);
	assert_int_equal(env_count(&e, SUB, BB_ROUTER_SUBSCRIPTIONS), 1);
	assert_int_equal(env_count(&e, SUB, BB_ROUTER_TOPICS), 1);
	env_close(&e);
}

static void
too_many_subscriptions_cost_the_peer_its_session(void **state)
{
	struct env e;

	(void)state;
	open_quotes(&e, &(struct env_options){ 0 });
	struct bb_endpoint changed = quotes;
	changed.side[SUB].subscriptions_max = 2;
	const bb_handle s = env_attach(&e, 0, 1, SUB, 0), t = env_attach(&e, 0, 2, SUB, 0);
	env_run(&e);
	env_endpoint(&e, &changed);
	env_subscribe(&e, s, SUB, "a");
	env_subscribe(&e, s, SUB, "b");
	env_subscribe(&e, s, SUB, "a");
	env_run(&e);
	assert_int_equal(env_session(&e, s)->refused, 0);
	env_subscribe(&e, s, SUB, "c");
	env_subscribe(&e, s, SUB, "d");
	env_subscribe(&e, t, SUB, "a");
	env_run(&e);
	assert_int_equal(env_session(&e, s)->refused, 1); /* told once */
	assert_int_equal(env_session(&e, s)->cause, BB_REFUSED_SUBSCRIPTIONS);
	assert_int_equal(env_session(&e, t)->refused, 0);
	env_gone(&e, s, SUB);
	env_run(&e);
	assert_int_equal(env_count(&e, SUB, BB_ROUTER_SUBSCRIPTIONS), 1);
	env_close(&e);
}

static void
without_memory_subscribers_are_refused_and_messages_counted(void **state)
{
	struct env e;
	char topic[32];

	(void)state;
	open_quotes(&e, &(struct env_options){ 0 });
	const bb_handle p = env_attach(&e, 0, 0, PUB, 0);
	const bb_handle s = env_attach(&e, 0, 1, SUB, 0);
	env_run(&e);
	e.mem.max_bytes = e.mem.used_bytes + 262144;
	int topics = 0;
	for (; env_session(&e, s)->refused == 0; topics++) {
		assert_true(topics < 100000);
		snprintf(topic, sizeof(topic), "%d.", topics);
		env_subscribe(&e, s, SUB, topic);
		env_run(&e);
	}
	assert_true(topics > 1);
	assert_int_equal(env_session(&e, s)->cause, BB_REFUSED_NO_MEMORY);
	e.mem.max_bytes = 0;
	env_send(&e, p, PUB, "0.x");
	env_send(&e, p, PUB, "none");
	env_run(&e);
	assert_int_equal(env_count(&e, PUB, BB_ROUTER_IN_MEMORY), 1); /* its set cannot be built */
	assert_int_equal(env_count(&e, PUB, BB_ROUTER_IN_NO_SUBSCRIBER), 1);
	e.mem.max_bytes = UINT64_MAX;
	env_send(&e, p, PUB, "0.x");
	env_run(&e);
	assert_string_equal(env_log(&e, s), "0.x");
	env_close(&e);
}

static void
sets_are_freed_when_no_delivery_names_them_any_more(void **state)
{
	struct env e;
	bb_handle s[20];

	(void)state;
	open_quotes(&e, &(struct env_options){ .io_count = 2 });
	const bb_handle p = env_attach(&e, 0, 0, PUB, 0);
	for (uint32_t i = 0; i < 20; i++) {
		s[i] = env_attach(&e, i % 2, 1 + i, SUB, 0);
		env_subscribe(&e, s[i], SUB, "x");
	}
	env_send(&e, p, PUB, "x");
	env_run(&e);
	const uint64_t used = e.mem.used_bytes;
	e.take_max = 0; /* nobody takes deliveries: no set may go */
	for (uint32_t i = 0; i < 100; i++) {
		env_cancel(&e, s[i % 20], SUB, "x");
		env_subscribe(&e, s[(i + 7) % 20], SUB, "x");
		env_send(&e, p, PUB, "x1");
		env_flush(&e, 0);
		env_flush(&e, 1);
		env_step(&e);
	}
	assert_true(e.mem.used_bytes > used + 50 * 100); /* some 50 sets of a dozen receivers */
	e.take_max = UINT32_MAX; /* the sanitizer would tell if one of them were gone */
	env_run(&e);
	for (int i = 0; i < 10; i++)
		env_step(&e);
	assert_true(e.mem.used_bytes < used + 50 * 100);
	env_close(&e);
}

/* ---- What publishers are told ---- */

static void
publishers_hear_first_subscriptions_and_last_cancels(void **state)
{
	struct env e;

	(void)state;
	open_quotes(&e, &(struct env_options){ .io_count = 2 });
	const bb_handle p = env_attach(&e, 0, 0, PUB, 0);
	env_run(&e);
	assert_string_equal(env_session(&e, p)->upstream, ". ");
	const bb_handle s = env_attach(&e, 1, 1, SUB, 0), t = env_attach(&e, 1, 2, SUB, 0);
	env_subscribe(&e, s, SUB, "b");
	env_subscribe(&e, t, SUB, "b");
	env_subscribe(&e, s, SUB, "");
	env_run(&e);
	assert_string_equal(env_session(&e, p)->upstream, ". +b + . ");
	const bb_handle q = env_attach(&e, 1, 3, PUB, 0);
	env_run(&e);
	assert_string_equal(env_session(&e, q)->upstream, "+ +b . "); /* a walk over the table */
	env_cancel(&e, s, SUB, "b");
	env_cancel(&e, s, SUB, "");
	env_run(&e);
	env_gone(&e, t, SUB); /* takes the last one of b along */
	env_run(&e);
	assert_string_equal(env_session(&e, p)->upstream, ". +b + . - . -b . ");
	assert_string_equal(env_session(&e, q)->upstream, "+ +b . - . -b . ");
	env_close(&e);
}

static void
a_publisher_is_told_no_more_than_it_has_room_for(void **state)
{
	struct env e;
	char topic[16];

	(void)state;
	open_quotes(&e, &(struct env_options){ 0 });
	const bb_handle s = env_attach(&e, 0, 1, SUB, 0);
	for (int i = 0; i < 150; i++) {
		snprintf(topic, sizeof(topic), "%03d", i);
		env_subscribe(&e, s, SUB, topic);
	}
	const bb_handle p = env_attach(&e, 0, 0, PUB, 0);
	env_run(&e);
	assert_int_equal(env_session(&e, p)->upstream_count, 64);
	/* Changes meanwhile: told and untold topics go, one comes. */
	env_cancel(&e, s, SUB, "000");
	env_cancel(&e, s, SUB, "149");
	env_subscribe(&e, s, SUB, "0005");
	env_run(&e);
	assert_int_equal(env_session(&e, p)->upstream_count, 64);
	env_room(&e, p, PUB);
	env_run(&e);
	assert_int_equal(env_session(&e, p)->upstream_count, 128);
	env_session(&e, p)->upstream[0] = 0;
	env_room(&e, p, PUB);
	env_run(&e);
	assert_int_equal(env_session(&e, p)->upstream_count, 149 + 3);
	assert_non_null(strstr(env_session(&e, p)->upstream, "+148 -000 -149 +0005 . "));
	env_close(&e);
}

static void
subscribe_all_tells_publishers_the_empty_topic_once(void **state)
{
	struct env e;

	(void)state;
	open_quotes(&e, &(struct env_options){ 0 });
	struct bb_endpoint all = quotes;
	all.subscribe_all = true;
	env_endpoint(&e, &all);
	const bb_handle p = env_attach(&e, 0, 0, PUB, 0);
	const bb_handle s = env_attach(&e, 0, 1, SUB, 0);
	env_subscribe(&e, s, SUB, "b");
	env_run(&e);
	assert_string_equal(env_session(&e, p)->upstream, "+ . ");
	env_endpoint(&e, &quotes); /* switched off: the table's topics follow */
	env_run(&e);
	assert_string_equal(env_session(&e, p)->upstream, "+ . +b . ");
	env_close(&e);
}

/* p hears 64 topics, all it has room for. */
static void
use_up_room(struct env *e, bb_handle s, bb_handle p)
{
	char topic[32];

	for (int i = 0; i < 64; i++) {
		snprintf(topic, sizeof(topic), "a%d", i);
		env_subscribe(e, s, SUB, topic);
	}
	env_run(e);
	assert_int_equal(env_session(e, p)->upstream_count, 64);
	env_session(e, p)->upstream[0] = 0;
}

static void
a_slow_publisher_is_spared_what_came_and_went(void **state)
{
	struct env e;

	(void)state;
	open_quotes(&e, &(struct env_options){ 0 });
	const bb_handle s = env_attach(&e, 0, 1, SUB, 0);
	const bb_handle slow = env_attach(&e, 0, 0, PUB, 0), quick = env_attach(&e, 0, 2, PUB, 0);
	use_up_room(&e, s, slow);
	env_session(&e, quick)->upstream[0] = 0;
	env_cancel(&e, s, SUB, "a1");
	env_cancel(&e, s, SUB, "a2");
	for (int i = 0; i < 20000; i++) {
		env_room(&e, quick, PUB);
		env_subscribe(&e, s, SUB, "b");
		env_cancel(&e, s, SUB, "b");
		if (i % 100 == 0)
			env_subscribe(&e, s, SUB, "a2");
		if (i % 100 == 50)
			env_cancel(&e, s, SUB, "a2");
		if (i % 8 == 0) {
			env_run(&e);
			assert_null(strstr(env_session(&e, quick)->upstream, "+a3 ")); /* not anew */
			env_session(&e, quick)->upstream[0] = 0;
		}
	}
	env_subscribe(&e, s, SUB, "c");
	env_room(&e, quick, PUB);
	env_run(&e);
	assert_true(env_session(&e, quick)->upstream_count > 39000);
	/* The log never held more than some thousand entries. */
	assert_true(e.mem.used_bytes < 4 * 1024 * 1024);
	const char *told = env_session(&e, slow)->upstream;
	for (int i = 0; i < 200 && strstr(told, ". ") == NULL; i++) {
		env_session(&e, slow)->upstream[0] = 0;
		env_room(&e, slow, PUB);
		env_run(&e);
		assert_null(strstr(told, "+a3 "));
	}
	assert_non_null(strstr(told, "+c . "));
	assert_true(env_session(&e, slow)->upstream_count < 64 + 3 * 4096);
	env_close(&e);
}

/* A publisher's view at the end is the table's, whatever happened while it did not listen. */
static void
random_upstream(uint64_t seed)
{
	struct env e;
	struct bb_rand rand;
	bool table[30] = { false }, view[30] = { false };
	char topic[32];

	print_message("seed %llu\n", (unsigned long long)seed);
	bb_rand_init(&rand, seed);
	open_quotes(&e, &(struct env_options){ 0 });
	const bb_handle s = env_attach(&e, 0, 1, SUB, 0), other = env_attach(&e, 0, 0, PUB, 0);
	for (int i = 0; i < 2000; i++) { /* in the way of the walk */
		snprintf(topic, sizeof(topic), "%04d", i);
		env_subscribe(&e, s, SUB, topic);
	}
	for (uint32_t k = 1; k < 30; k += 2) {
		snprintf(topic, sizeof(topic), "%04ux%u", k * 60, k);
		env_subscribe(&e, s, SUB, topic);
		table[k] = true;
	}
	env_run(&e);
	const bb_handle p = env_attach(&e, 0, 2, PUB, 0);
	for (uint32_t n = 0; n < 20000; n++) {
		/* Most rest after a while: no later change makes up for one that was not told. */
		const uint32_t k = bb_rand_below(&rand, n < 6000 ? 30 : 8);
		snprintf(topic, sizeof(topic), "%04ux%u", k * 60, k);
		if (table[k])
			env_cancel(&e, s, SUB, topic);
		else
			env_subscribe(&e, s, SUB, topic);
		table[k] = !table[k];
		if (bb_rand_one_in(&rand, 500))
			env_room(&e, p, PUB);
		if (bb_rand_one_in(&rand, 100))
			env_room(&e, other, PUB);
		if (bb_rand_one_in(&rand, 50) || n == 19999) {
			env_run(&e);
			env_session(&e, other)->upstream[0] = 0;
		}
		/* Follow what p is told. */
		for (char *at = env_session(&e, p)->upstream, *end; (end = strchr(at, ' ')) != NULL;
			at = end + 1) {
			unsigned place, which;
			char sign;
			if (sscanf(at, "%c%4ux%u", &sign, &place, &which) == 3)
				view[which] = sign == '+';
		}
		env_session(&e, p)->upstream[0] = 0;
	}
	for (int i = 0; i < 400; i++) {
		env_room(&e, p, PUB);
		env_run(&e);
		for (char *at = env_session(&e, p)->upstream, *end; (end = strchr(at, ' ')) != NULL;
			at = end + 1) {
			unsigned place, which;
			char sign;
			if (sscanf(at, "%c%4ux%u", &sign, &place, &which) == 3)
				view[which] = sign == '+';
		}
		env_session(&e, p)->upstream[0] = 0;
	}
	assert_memory_equal(view, table, sizeof(view));
	env_close(&e);
}

static void
every_publisher_ends_at_the_view_of_the_table(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++)
		random_upstream(seed);
}

static void
a_publisher_that_missed_too_much_is_told_the_table_anew(void **state)
{
	struct env e;
	char topic[32];
	bool again = false, end = false;

	(void)state;
	open_quotes(&e, &(struct env_options){ 0 });
	const bb_handle s = env_attach(&e, 0, 1, SUB, 0);
	const bb_handle p = env_attach(&e, 0, 0, PUB, 0);
	use_up_room(&e, s, p);
	for (int i = 0; i < 70000; i++) { /* more different topics than the log holds */
		snprintf(topic, sizeof(topic), "b%d", i);
		env_subscribe(&e, s, SUB, topic);
	}
	for (int i = 0; i < 2000 && !end; i++) {
		env_room(&e, p, PUB);
		env_run(&e);
		again |= strstr(env_session(&e, p)->upstream, "+a63 ") != NULL;
		end = strstr(env_session(&e, p)->upstream, ". ") != NULL;
		env_session(&e, p)->upstream[0] = 0;
	}
	assert_true(again && end);
	assert_int_equal(env_session(&e, p)->upstream_count, 64 + 64 + 70000);
	env_close(&e);
}

static void
changes_without_memory_for_the_log_are_told_by_a_new_walk(void **state)
{
	struct env e;

	(void)state;
	open_quotes(&e, &(struct env_options){ 0 });
	const bb_handle s = env_attach(&e, 0, 1, SUB, 0);
	const bb_handle p = env_attach(&e, 0, 0, PUB, 0);
	env_subscribe(&e, s, SUB, "a");
	env_subscribe(&e, s, SUB, "b");
	env_run(&e);
	env_session(&e, p)->upstream[0] = 0;
	e.mem.max_bytes = 0;
	env_cancel(&e, s, SUB, "a");
	env_flush(&e, 0);
	for (int i = 0; i < 5; i++)
		env_step(&e); /* not even the walk has memory yet */
	assert_string_equal(env_session(&e, p)->upstream, "");
	e.mem.max_bytes = UINT64_MAX;
	env_run(&e);
	assert_string_equal(env_session(&e, p)->upstream, "+b . ");
	env_close(&e);
}

static void
upstream_waits_for_message_memory(void **state)
{
	struct env e;
	uint32_t taken[64], n = 0;

	(void)state;
	open_quotes(&e, &(struct env_options){ .buffers = 32 });
	const bb_handle s = env_attach(&e, 0, 1, SUB, 0);
	env_subscribe(&e, s, SUB, "a");
	env_subscribe(&e, s, SUB, "b");
	env_run(&e);
	const bb_handle p = env_attach(&e, 0, 0, PUB, 0);
	env_flush(&e, 0);
	while ((taken[n] = bb_pool_get(&e.pool, BB_POOL_CONTROL)) != BB_BUFFER_NONE)
		n++;
	for (int i = 0; i < 5; i++)
		env_step(&e);
	assert_string_equal(env_session(&e, p)->upstream, "");
	while (n > 0)
		bb_pool_put(&e.pool, taken[--n], 1);
	env_run(&e);
	assert_string_equal(env_session(&e, p)->upstream, "+a +b . ");
	env_close(&e);
}

/* ---- A table for operators ---- */

static void
operators_read_subscriptions_page_by_page(void **state)
{
	struct env e;
	uint8_t entries[256];
	char topic[16];
	struct bb_mail_page page = { .endpoint = 0, .entries = entries, .bytes_max = 64 };
	uint32_t seen = 0;

	(void)state;
	open_quotes(&e, &(struct env_options){ 0 });
	env_mail(&e, BB_MAIL_SUBSCRIPTIONS, 0, 0, &page);
	env_run(&e);
	assert_true(e.answer.tag == e.tag && page.count == 0 && page.next == UINT64_MAX);
	for (uint32_t i = 0; i < 3; i++) {
		const bb_handle s = env_attach(&e, 0, 1 + i, SUB, 0);
		for (uint32_t n = 0; n < 30 + i; n++) {
			snprintf(topic, sizeof(topic), "%02u", n);
			env_subscribe(&e, s, SUB, topic);
		}
	}
	env_run(&e);
	for (page.next = 0; page.next != UINT64_MAX;) {
		page.cursor = page.next;
		env_mail(&e, BB_MAIL_SUBSCRIPTIONS, 0, 0, &page);
		env_run(&e);
		assert_int_equal(e.answer.arg, 0);
		assert_true(page.bytes <= page.bytes_max);
		for (uint32_t i = 0, at = 0; i < page.count; i++, seen++) {
			uint32_t head[2];
			memcpy(head, entries + at, sizeof(head));
			snprintf(topic, sizeof(topic), "%02u", seen);
			assert_int_equal(head[0], seen < 30 ? 3 : seen == 30 ? 2 : 1);
			assert_int_equal(head[1], 2);
			assert_memory_equal(entries + at + 8, topic, 2);
			at += 8 + head[1];
			assert_true(at <= page.bytes);
		}
	}
	assert_int_equal(seen, 32);
	page.cursor = 1; /* of a walk that is over */
	env_mail(&e, BB_MAIL_SUBSCRIPTIONS, 0, 0, &page);
	env_run(&e);
	assert_int_not_equal(e.answer.arg, 0);
	page = (struct bb_mail_page){ .endpoint = 5 };
	env_mail(&e, BB_MAIL_SUBSCRIPTIONS, 0, 0, &page);
	env_run(&e);
	assert_int_not_equal(e.answer.arg, 0);
	env_close(&e);
}

/* ---- Against a model ---- */

#define SUBS 8
#define TOPICS 6

static const char *const topics[TOPICS] = { "", "a", "ab", "abc", "b", "ba" };

static void
random_traffic(uint64_t seed, const struct env_options *options, uint32_t take_max)
{
	struct env e;
	struct bb_rand rand;
	bb_handle s[SUBS], p[3];
	uint32_t count[SUBS][TOPICS] = { 0 };
	uint64_t want[SUBS] = { 0 };
	bool alive[SUBS] = { false };

	print_message("seed %llu\n", (unsigned long long)seed);
	bb_rand_init(&rand, seed);
	open_quotes(&e, options);
	e.take_max = take_max;
	for (uint32_t i = 0; i < 3; i++)
		p[i] = env_attach(&e, 0, i, PUB, 0);
	for (uint32_t n = 0; n < 3000; n++) {
		/* All on one I/O core: then the order of what it writes is the order of the model. */
		const uint32_t i = bb_rand_below(&rand, SUBS), k = bb_rand_below(&rand, TOPICS);
		char text[32];
		switch (bb_rand_below(&rand, 10)) {
		case 0:
			if (alive[i]) {
				env_subscribe(&e, s[i], SUB, topics[k]);
				count[i][k] = 1;
			}
			break;
		case 1:
			if (alive[i]) {
				env_cancel(&e, s[i], SUB, topics[k]);
				count[i][k] = 0;
			}
			break;
		case 2:
			if (!alive[i]) {
				s[i] = env_attach(&e, 0, 10 + i, SUB, 0);
				alive[i] = true;
			}
			break;
		case 3:
			if (alive[i] && bb_rand_one_in(&rand, 10)) {
				env_gone(&e, s[i], SUB);
				env_run(&e);
				alive[i] = false;
				memset(count[i], 0, sizeof(count[i]));
			}
			break;
		default:
			snprintf(text, sizeof(text), "%s%s|%u", topics[k], i % 2 ? "c" : "", n);
			env_send(&e, p[n % 3], PUB, text);
			for (uint32_t j = 0; j < SUBS; j++) {
				bool matches = false;
				for (uint32_t t = 0; t < TOPICS; t++)
					matches |= count[j][t] > 0 &&
						   strncmp(text, topics[t], strlen(topics[t])) == 0;
				want[j] += alive[j] && matches;
			}
		}
		if (bb_rand_one_in(&rand, 4))
			env_flush(&e, 0);
		if (bb_rand_one_in(&rand, 3))
			env_step(&e);
	}
	env_run(&e);
	for (uint32_t i = 0; i < SUBS; i++)
		assert_int_equal(env_session(&e, bb_handle_make(0, 10 + i, 1))->msgs, want[i]);
	env_close(&e);
}

static void
everybody_gets_exactly_what_a_simple_model_says(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++)
		random_traffic(seed, &(struct env_options){ 0 }, UINT32_MAX);
}

static void
everybody_gets_the_same_with_rings_of_two_slots(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++)
		random_traffic(seed, &(struct env_options){ .slices = 2, .deliveries = 2 }, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_go_to_whoever_subscribed_to_a_prefix),
		cmocka_unit_test(messages_nobody_subscribed_to_are_counted),
		cmocka_unit_test(neighbours_with_the_same_receivers_are_one_delivery_per_core),
		cmocka_unit_test(ordinary_messages_of_subscribers_are_unroutable),
		cmocka_unit_test(chains_are_matched_wherever_their_topic_breaks),
		cmocka_unit_test(a_first_frame_longer_than_any_subscription_is_matched),
		cmocka_unit_test(a_subscriber_with_many_topics_goes_in_steps),
		cmocka_unit_test(too_many_subscriptions_cost_the_peer_its_session),
		cmocka_unit_test(without_memory_subscribers_are_refused_and_messages_counted),
		cmocka_unit_test(sets_are_freed_when_no_delivery_names_them_any_more),
		cmocka_unit_test(publishers_hear_first_subscriptions_and_last_cancels),
		cmocka_unit_test(a_publisher_is_told_no_more_than_it_has_room_for),
		cmocka_unit_test(subscribe_all_tells_publishers_the_empty_topic_once),
		cmocka_unit_test(a_slow_publisher_is_spared_what_came_and_went),
		cmocka_unit_test(every_publisher_ends_at_the_view_of_the_table),
		cmocka_unit_test(a_publisher_that_missed_too_much_is_told_the_table_anew),
		cmocka_unit_test(changes_without_memory_for_the_log_are_told_by_a_new_walk),
		cmocka_unit_test(upstream_waits_for_message_memory),
		cmocka_unit_test(operators_read_subscriptions_page_by_page),
		cmocka_unit_test(everybody_gets_exactly_what_a_simple_model_says),
		cmocka_unit_test(everybody_gets_the_same_with_rings_of_two_slots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
