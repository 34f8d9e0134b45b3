/* SPDX-License-Identifier: BSD-3-Clause */
#include "router_env.h"

#include <stdio.h>

#include "base/rand.h"

#define PUB 0
#define SUB 1

static struct bb_endpoint orders;

static void
open_orders(struct env *e, const struct env_options *options)
{
	env_open(e, options);
	orders = env_conf(0, BB_PATTERN_PUBSUB);
	orders.sharded = false;
	orders.side[SUB].when_full = BB_FULL_BLOCK;
	orders.side[SUB].block_max_ns = 30 * BB_SEC;
	env_endpoint(e, &orders);
}

static void
a_message_goes_when_all_its_receivers_have_credit(void **state)
{
	struct env e;

	(void)state;
	open_orders(&e, &(struct env_options){ .io_count = 2 });
	const bb_handle p = env_attach(&e, 0, 0, PUB, 0);
	const bb_handle s = env_attach(&e, 0, 1, SUB, 1), t = env_attach(&e, 1, 2, SUB, 3);
	env_subscribe(&e, s, SUB, "");
	env_subscribe(&e, t, SUB, "");
	env_run(&e);
	for (int i = 1; i <= 4; i++)
		env_send(&e, p, PUB, (char[]){ (char)('0' + i), 0 });
	env_run(&e);
	assert_string_equal(env_log(&e, s), "1");
	assert_string_equal(env_log(&e, t), "1"); /* waits for s */
	assert_int_equal(env_count(&e, PUB, BB_ROUTER_PARKED), 3);
	env_credit(&e, s, SUB, 10, UINT64_MAX, 0);
	env_run(&e);
	assert_string_equal(env_log(&e, s), "1 2 3");
	assert_string_equal(env_log(&e, t), "1 2 3");
	env_credit(&e, s, SUB, 20, UINT64_MAX, 0); /* t is the one that is full now */
	env_run(&e);
	assert_string_equal(env_log(&e, s), "1 2 3");
	env_credit(&e, t, SUB, 10, UINT64_MAX, 0);
	env_run(&e);
	assert_string_equal(env_log(&e, t), "1 2 3 4");
	assert_int_equal(env_count(&e, PUB, BB_ROUTER_PARKED), 0);
	assert_int_equal(env_count(&e, PUB, BB_ROUTER_COPIES), 8);
	env_close(&e);
}

static void
only_the_publisher_whose_message_waits_is_held_up(void **state)
{
	struct env e;

	(void)state;
	open_orders(&e, &(struct env_options){ 0 });
	const bb_handle p = env_attach(&e, 0, 0, PUB, 0), q = env_attach(&e, 0, 1, PUB, 0);
	const bb_handle s = env_attach(&e, 0, 2, SUB, 1), t = env_attach(&e, 0, 3, SUB, 100);
	env_subscribe(&e, s, SUB, "a");
	env_subscribe(&e, t, SUB, "");
	env_send(&e, p, PUB, "a1");
	env_send(&e, p, PUB, "a2");
	env_send(&e, p, PUB, "b3"); /* could go, but order per pair holds it */
	env_send(&e, q, PUB, "b4");
	env_send(&e, q, PUB, "b5");
	env_run(&e);
	assert_string_equal(env_log(&e, t), "a1 b4 b5");
	env_credit(&e, s, SUB, 2, UINT64_MAX, 0);
	env_run(&e);
	assert_string_equal(env_log(&e, t), "a1 b4 b5 a2 b3");
	env_close(&e);
}

static void
a_blocker_that_cancels_or_goes_holds_up_nobody(void **state)
{
	struct env e;

	(void)state;
	open_orders(&e, &(struct env_options){ 0 });
	const bb_handle p = env_attach(&e, 0, 0, PUB, 0);
	const bb_handle s = env_attach(&e, 0, 2, SUB, 1), t = env_attach(&e, 0, 3, SUB, 100);
	env_subscribe(&e, s, SUB, "a");
	env_subscribe(&e, t, SUB, "a");
	env_send(&e, p, PUB, "a1");
	env_send(&e, p, PUB, "a2");
	env_run(&e);
	assert_string_equal(env_log(&e, t), "a1");
	env_cancel(&e, s, SUB, "a");
	env_run(&e);
	assert_string_equal(env_log(&e, t), "a1 a2");
	env_subscribe(&e, s, SUB, "a");
	env_send(&e, p, PUB, "a3");
	env_run(&e);
	assert_string_equal(env_log(&e, t), "a1 a2");
	env_gone(&e, p, PUB); /* its message still goes */
	env_gone(&e, s, SUB);
	env_run(&e);
	assert_string_equal(env_log(&e, t), "a1 a2 a3");
	assert_string_equal(env_log(&e, s), "a1");
	env_close(&e);
}

static void
a_blocker_is_told_to_go_after_block_max(void **state)
{
	struct env e;

	(void)state;
	open_orders(&e, &(struct env_options){ 0 });
	const bb_handle p = env_attach(&e, 0, 0, PUB, 0);
	const bb_handle s = env_attach(&e, 0, 2, SUB, 1);
	env_subscribe(&e, s, SUB, "");
	for (int i = 0; i < 3; i++)
		env_send(&e, p, PUB, "x");
	env_run(&e);
	assert_int_equal(bb_router_deadline(e.router), e.now_ns + 30 * BB_SEC);
	e.now_ns += 29 * BB_SEC;
	env_credit(&e, s, SUB, 2, UINT64_MAX, 0); /* slow, but alive: its time begins again */
	env_run(&e);
	assert_int_equal(env_session(&e, s)->msgs, 2);
	assert_int_equal(bb_router_deadline(e.router), e.now_ns + 30 * BB_SEC);
	e.now_ns += 30 * BB_SEC - 1;
	env_run(&e);
	assert_int_equal(env_session(&e, s)->refused, 0);
	e.now_ns += 1;
	env_run(&e);
	assert_int_equal(env_session(&e, s)->refused, 1);
	assert_int_equal(env_session(&e, s)->cause, BB_REFUSED_SLOW);
	assert_int_equal(bb_router_deadline(e.router), BB_NEVER);
	e.now_ns += 100 * BB_SEC;
	env_run(&e);
	assert_int_equal(env_session(&e, s)->refused, 1);
	env_gone(&e, s, SUB);
	env_run(&e);
	assert_int_equal(env_count(&e, PUB, BB_ROUTER_IN_NO_SUBSCRIBER), 1);
	env_close(&e);
}

static void
switched_to_drop_nothing_waits_any_more(void **state)
{
	struct env e;

	(void)state;
	open_orders(&e, &(struct env_options){ 0 });
	struct bb_endpoint drop = orders;
	drop.side[SUB].when_full = BB_FULL_DROP;
	const bb_handle p = env_attach(&e, 0, 0, PUB, 0);
	const bb_handle s = env_attach(&e, 0, 2, SUB, 1);
	env_subscribe(&e, s, SUB, "");
	for (int i = 0; i < 3; i++)
		env_send(&e, p, PUB, "x");
	env_run(&e);
	assert_int_equal(env_session(&e, s)->msgs, 1);
	env_endpoint(&e, &drop);
	env_send(&e, p, PUB, "x");
	env_run(&e);
	assert_int_equal(env_session(&e, s)->msgs, 4); /* the I/O core drops at the high-water mark */
	env_endpoint(&e, &orders);
	env_credit(&e, s, SUB, 5, UINT64_MAX, 0); /* 4 counted all the same */
	env_send(&e, p, PUB, "x");
	env_send(&e, p, PUB, "x");
	env_run(&e);
	assert_int_equal(env_session(&e, s)->msgs, 5);
	assert_int_equal(env_count(&e, PUB, BB_ROUTER_PARKED), 1);
	env_close(&e);
}

static void
chains_wait_as_well(void **state)
{
	struct env e;
	uint8_t bytes[100];
	const uint32_t len = env_encode(bytes, "topic|and a long body");

	(void)state;
	open_orders(&e, &(struct env_options){ 0 });
	const bb_handle p = env_attach(&e, 0, 0, PUB, 0);
	const bb_handle s = env_attach(&e, 0, 2, SUB, 1);
	env_subscribe(&e, s, SUB, "topi");
	for (uint32_t part = 1; part < 10; part++)
		env_send_chain(&e, p, PUB, bytes, len, part);
	env_send_chain(&e, p, PUB, bytes, env_encode(bytes, "other|body"), 3);
	env_send(&e, p, PUB, "topic|short");
	env_run(&e);
	assert_string_equal(env_log(&e, s), "topic|and a long body");
	env_log_clear(&e, s);
	for (uint64_t limit = 2; limit < 11; limit++) {
		env_credit(&e, s, SUB, limit, UINT64_MAX, 0);
		env_run(&e);
		assert_int_equal(env_session(&e, s)->msgs, limit);
	}
	assert_int_equal(env_count(&e, PUB, BB_ROUTER_IN_NO_SUBSCRIBER), 1);
	assert_int_equal(env_count(&e, PUB, BB_ROUTER_PARKED), 0);
	env_close(&e);
}

/* Nobody gets more than its credit, nobody misses a message, whatever the order of events. */
static void
random_blocking(uint64_t seed, const struct env_options *options, uint32_t take_max)
{
	struct env e;
	struct bb_rand rand;
	bb_handle p[3], s[5];
	uint64_t limit[5], sent = 0, want[5] = { 0 };
	static const char *const topic[5] = { "", "a", "b", "", "a" };

	print_message("seed %llu\n", (unsigned long long)seed);
	bb_rand_init(&rand, seed);
	open_orders(&e, options);
	e.take_max = take_max;
	for (uint32_t i = 0; i < 3; i++)
		p[i] = env_attach(&e, i % e.io_count, i, PUB, 0);
	for (uint32_t i = 0; i < 5; i++) {
		s[i] = env_attach(&e, i % e.io_count, 10 + i, SUB, limit[i] = 1);
		env_subscribe(&e, s[i], SUB, topic[i]);
	}
	env_run(&e);
	for (uint32_t n = 0; n < 2000; n++) {
		const uint32_t i = bb_rand_below(&rand, 5);
		if (bb_rand_one_in(&rand, 2)) {
			const char *text = (const char *[]){ "a", "b", "c" }[i % 3];
			env_send(&e, p[n % 3], PUB, text);
			sent++;
			for (uint32_t k = 0; k < 5; k++)
				want[k] += topic[k][0] == 0 || topic[k][0] == text[0];
		} else {
			env_credit(&e, s[i], SUB, limit[i] += bb_rand_below(&rand, 3), UINT64_MAX, 0);
		}
		if (bb_rand_one_in(&rand, 3))
			env_flush(&e, bb_rand_below(&rand, e.io_count));
		if (bb_rand_one_in(&rand, 2))
			env_step(&e);
		for (uint32_t k = 0; k < 5; k++)
			assert_true(env_session(&e, s[k])->msgs <= limit[k]);
	}
	for (uint32_t i = 0; i < 5; i++)
		env_credit(&e, s[i], SUB, UINT64_MAX, UINT64_MAX, 0);
	env_run(&e);
	assert_int_equal(env_count(&e, PUB, BB_ROUTER_ROUTED), sent);
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(env_session(&e, s[i])->msgs, want[i]);
	env_close(&e);
}

static void
credit_is_kept_and_nothing_lost_in_any_order(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++)
		random_blocking(seed, &(struct env_options){ .io_count = 2 }, UINT32_MAX);
	for (uint64_t seed = 1; seed <= 10; seed++)
		random_blocking(
			seed, &(struct env_options){ .io_count = 2, .slices = 2, .deliveries = 2 }, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_goes_when_all_its_receivers_have_credit),
		cmocka_unit_test(only_the_publisher_whose_message_waits_is_held_up),
		cmocka_unit_test(a_blocker_that_cancels_or_goes_holds_up_nobody),
		cmocka_unit_test(a_blocker_is_told_to_go_after_block_max),
		cmocka_unit_test(switched_to_drop_nothing_waits_any_more),
		cmocka_unit_test(chains_wait_as_well),
		cmocka_unit_test(credit_is_kept_and_nothing_lost_in_any_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
