/* SPDX-License-Identifier: BSD-3-Clause */
#include "router_env.h"

#include <stdio.h>

#include "base/rand.h"

#define IN 0  /* side of producers */
#define OUT 1 /* side of consumers */

static struct bb_endpoint jobs;

static void
open_jobs(struct env *e, const struct env_options *options)
{
	env_open(e, options);
	jobs = env_conf(0, BB_PATTERN_PIPELINE);
	env_endpoint(e, &jobs);
}

static void
send_many(struct env *e, bb_handle h, const char *prefix, int from, int to)
{
	char text[32];

	for (int i = from; i <= to; i++) {
		snprintf(text, sizeof(text), "%s%d", prefix, i);
		env_send(e, h, IN, text);
	}
}

static void
messages_go_round_robin_one_each(void **state)
{
	struct env e;

	(void)state;
	open_jobs(&e, &(struct env_options){ 0 });
	const bb_handle p = env_attach(&e, 0, 0, IN, 0);
	const bb_handle a = env_attach(&e, 0, 1, OUT, 100);
	const bb_handle b = env_attach(&e, 0, 2, OUT, 100);
	const bb_handle c = env_attach(&e, 0, 3, OUT, 100);
	send_many(&e, p, "R", 1, 4);
	env_run(&e);
	assert_string_equal(env_log(&e, a), "R1 R4");
	assert_string_equal(env_log(&e, b), "R2");
	assert_string_equal(env_log(&e, c), "R3");
	send_many(&e, p, "R", 5, 6); /* the rotation goes on where it stood */
	env_run(&e);
	assert_string_equal(env_log(&e, b), "R2 R5");
	assert_string_equal(env_log(&e, c), "R3 R6");
	env_close(&e);
}

static void
ten_messages_of_one_segment_reach_ten_idle_consumers(void **state)
{
	struct env e;
	bb_handle c[10];

	(void)state;
	open_jobs(&e, &(struct env_options){ .io_count = 2 });
	const bb_handle p = env_attach(&e, 0, 0, IN, 0);
	for (uint32_t i = 0; i < 10; i++)
		c[i] = env_attach(&e, i % 2, 1 + i, OUT, 0);
	env_run(&e);
	send_many(&e, p, "m", 0, 9);
	env_run(&e);
	for (int i = 0; i < 10; i++)
		assert_int_equal(env_session(&e, c[i])->msgs, 1);
	env_close(&e);
}

static void
a_run_for_the_only_consumer_is_one_delivery(void **state)
{
	struct env e;

	(void)state;
	open_jobs(&e, &(struct env_options){ 0 });
	const bb_handle p = env_attach(&e, 0, 0, IN, 0);
	const bb_handle q = env_attach(&e, 0, 1, IN, 0);
	const bb_handle a = env_attach(&e, 0, 2, OUT, 0);
	send_many(&e, p, "p", 1, 3);
	send_many(&e, q, "q", 1, 2);
	env_run(&e);
	assert_string_equal(env_log(&e, a), "p1 p2 p3 q1 q2");
	assert_int_equal(e.elements, 1); /* the runs of two producers lie side by side, too */
	env_close(&e);
}

static void
without_consumers_messages_wait_and_go_in_rotation_of_producers(void **state)
{
	struct env e;

	(void)state;
	open_jobs(&e, &(struct env_options){ 0 });
	const bb_handle p = env_attach(&e, 0, 0, IN, 0);
	const bb_handle q = env_attach(&e, 0, 1, IN, 0);
	send_many(&e, p, "p", 1, 4);
	send_many(&e, q, "q", 1, 2);
	env_run(&e);
	assert_int_equal(env_count(&e, IN, BB_ROUTER_PARKED), 6);
	assert_int_equal(e.window[0][IN], 0); /* parked is not done with */
	const bb_handle a = env_attach(&e, 0, 2, OUT, 3);
	env_run(&e);
	assert_string_equal(env_log(&e, a), "p1 q1 p2");
	env_credit(&e, a, OUT, 100, UINT64_MAX, 0);
	env_run(&e);
	assert_string_equal(env_log(&e, a), "p1 q1 p2 q2 p3 p4");
	assert_int_equal(env_count(&e, IN, BB_ROUTER_PARKED), 0);
	assert_int_equal(env_count(&e, IN, BB_ROUTER_PARKED_BYTES), 0);
	env_close(&e);
}

static void
a_consumer_gets_no_more_than_its_credit(void **state)
{
	struct env e;

	(void)state;
	open_jobs(&e, &(struct env_options){ 0 });
	const bb_handle p = env_attach(&e, 0, 0, IN, 0);
	const bb_handle a = env_attach(&e, 0, 1, OUT, 2);
	const bb_handle b = env_attach(&e, 0, 2, OUT, 3);
	send_many(&e, p, "", 1, 9);
	env_run(&e);
	assert_string_equal(env_log(&e, a), "1 3");
	assert_string_equal(env_log(&e, b), "2 4 5");
	assert_int_equal(env_count(&e, IN, BB_ROUTER_PARKED), 4);
	env_credit(&e, b, OUT, 4, UINT64_MAX, 0);
	env_run(&e);
	assert_string_equal(env_log(&e, b), "2 4 5 6");
	env_credit(&e, a, OUT, 3, UINT64_MAX, 0);
	env_credit(&e, b, OUT, 100, UINT64_MAX, 0);
	env_run(&e);
	assert_string_equal(env_log(&e, a), "1 3 7");
	assert_string_equal(env_log(&e, b), "2 4 5 6 8 9");
	env_close(&e);
}

static void
bytes_limit_counts_and_an_empty_queue_takes_any_length(void **state)
{
	struct env e;

	(void)state;
	open_jobs(&e, &(struct env_options){ 0 });
	const bb_handle p = env_attach(&e, 0, 0, IN, 0);
	const bb_handle a = env_attach(&e, 0, 1, OUT, 0);
	env_credit(&e, a, OUT, UINT64_MAX, 10, 0); /* messages below are 2 + 4 octets */
	send_many(&e, p, "abc", 1, 3);
	env_run(&e);
	assert_string_equal(env_log(&e, a), "abc1"); /* a second one would make 12 */
	env_credit(&e, a, OUT, UINT64_MAX, 16, 6);
	env_run(&e);
	assert_string_equal(env_log(&e, a), "abc1 abc2");
	env_send(&e, p, IN, "longer than the limit of bytes");
	env_credit(&e, a, OUT, UINT64_MAX, 20, 12);
	env_run(&e);
	assert_string_equal(env_log(&e, a), "abc1 abc2 abc3");
	env_credit(&e, a, OUT, UINT64_MAX, 20, 12); /* something is still queued */
	env_run(&e);
	assert_string_equal(env_log(&e, a), "abc1 abc2 abc3");
	env_credit(&e, a, OUT, UINT64_MAX, 20, 18);
	env_run(&e);
	assert_string_equal(env_log(&e, a), "abc1 abc2 abc3 longer than the limit of bytes");
	env_close(&e);
}

static void
a_new_consumer_joins_at_the_end_of_the_rotation(void **state)
{
	struct env e;

	(void)state;
	open_jobs(&e, &(struct env_options){ 0 });
	const bb_handle p = env_attach(&e, 0, 0, IN, 0);
	const bb_handle a = env_attach(&e, 0, 1, OUT, 0);
	const bb_handle b = env_attach(&e, 0, 2, OUT, 0);
	send_many(&e, p, "", 1, 1);
	const bb_handle c = env_attach(&e, 0, 3, OUT, 0);
	send_many(&e, p, "", 2, 5);
	env_run(&e);
	assert_string_equal(env_log(&e, a), "1 4");
	assert_string_equal(env_log(&e, b), "2 5");
	assert_string_equal(env_log(&e, c), "3");
	env_close(&e);
}

static void
a_consumer_that_goes_gets_nothing_behind_its_farewell(void **state)
{
	struct env e;

	(void)state;
	open_jobs(&e, &(struct env_options){ 0 });
	const bb_handle p = env_attach(&e, 0, 0, IN, 0);
	const bb_handle a = env_attach(&e, 0, 1, OUT, 0);
	const bb_handle b = env_attach(&e, 0, 2, OUT, 0);
	send_many(&e, p, "", 1, 2);
	env_gone(&e, a, OUT);
	send_many(&e, p, "", 3, 4);
	env_run(&e);
	assert_string_equal(env_log(&e, a), "1");
	assert_string_equal(env_log(&e, b), "2 3 4");
	assert_int_equal(env_session(&e, a)->gone_done, 1);
	env_gone(&e, b, OUT);
	send_many(&e, p, "", 5, 5);
	env_run(&e);
	assert_int_equal(env_count(&e, IN, BB_ROUTER_PARKED), 1);
	env_close(&e);
}

static void
parked_messages_outlive_their_producer(void **state)
{
	struct env e;

	(void)state;
	open_jobs(&e, &(struct env_options){ 0 });
	const bb_handle p = env_attach(&e, 0, 0, IN, 0);
	send_many(&e, p, "", 1, 3);
	env_gone(&e, p, IN);
	env_run(&e);
	assert_int_equal(env_session(&e, p)->gone_done, 1);
	assert_int_equal(env_count(&e, IN, BB_ROUTER_PARKED), 3);
	/* The slot is used again, by a peer that shall not be mixed up with the old one. */
	const bb_handle q = bb_handle_make(0, 0, 1);
	env_attach(&e, 0, 0, IN, 0);
	send_many(&e, q, "q", 1, 1);
	const bb_handle a = env_attach(&e, 0, 1, OUT, 0);
	env_run(&e);
	assert_string_equal(env_log(&e, a), "1 q1 2 3");
	env_close(&e);
}

static void
what_consumers_say_is_unroutable(void **state)
{
	struct env e;
	const uint8_t message[4] = { 0, 2, 'h', 'i' };

	(void)state;
	open_jobs(&e, &(struct env_options){ 0 });
	const bb_handle a = env_attach(&e, 0, 1, OUT, 0);
	env_send(&e, a, OUT, "hello");
	env_send_chain(&e, a, OUT, message, sizeof(message), 3);
	env_run(&e);
	assert_int_equal(env_count(&e, OUT, BB_ROUTER_IN_UNROUTABLE), 2);
	assert_int_equal(env_count(&e, OUT, BB_ROUTER_IN_BYTES), 7 + 4);
	env_close(&e);
}

static void
chains_take_their_turn(void **state)
{
	struct env e;
	uint8_t bytes[300];
	const uint32_t len = env_encode(bytes, "a chain of|several small buffers");

	(void)state;
	open_jobs(&e, &(struct env_options){ 0 });
	const bb_handle p = env_attach(&e, 0, 0, IN, 0);
	const bb_handle a = env_attach(&e, 0, 1, OUT, 0);
	const bb_handle b = env_attach(&e, 0, 2, OUT, 0);
	env_send(&e, p, IN, "1");
	env_send_chain(&e, p, IN, bytes, len, 5);
	env_send(&e, p, IN, "2");
	env_run(&e);
	assert_string_equal(env_log(&e, a), "1 2");
	assert_string_equal(env_log(&e, b), "a chain of|several small buffers");
	env_gone(&e, a, OUT);
	env_gone(&e, b, OUT);
	env_send_chain(&e, p, IN, bytes, len, 7); /* parked */
	env_send(&e, p, IN, "3");
	env_run(&e);
	assert_int_equal(env_count(&e, IN, BB_ROUTER_PARKED), 2);
	const bb_handle c = env_attach(&e, 0, 3, OUT, 0);
	env_run(&e);
	assert_string_equal(env_log(&e, c), "a chain of|several small buffers 3");
	env_close(&e);
}

/* Producers, consumers with small credit, comings and goings; every message exactly once, in order per pair.
 */
static void
churn(uint64_t seed, const struct env_options *options, uint32_t take_max, bool one_by_one)
{
	struct env e;
	struct bb_rand rand;
	bb_handle p[4], c[6];
	uint32_t sent[4] = { 0 };
	uint64_t limit[6] = { 0 };
	bool alive[6] = { false };
	char text[64];

	print_message("seed %llu\n", (unsigned long long)seed);
	bb_rand_init(&rand, seed);
	open_jobs(&e, options);
	e.take_max = take_max;
	for (uint32_t i = 0; i < 4; i++)
		p[i] = env_attach(&e, i % e.io_count, i, IN, 0);
	for (uint32_t n = 0; n < 3000; n++) {
		const uint32_t i = bb_rand_below(&rand, 4), k = bb_rand_below(&rand, 6);
		switch (bb_rand_below(&rand, 8)) {
		case 0:
			if (!alive[k]) {
				c[k] = env_attach(&e, k % e.io_count, 10 + k, OUT,
					limit[k] = 1 + bb_rand_below(&rand, 3));
				alive[k] = true;
			}
			break;
		case 1:
			if (alive[k] && bb_rand_one_in(&rand, 8)) {
				env_gone(&e, c[k], OUT);
				alive[k] = false;
				env_run(&e); /* the slot is free only then */
			}
			break;
		case 2:
		case 3:
			if (alive[k])
				env_credit(
					&e, c[k], OUT, limit[k] += bb_rand_below(&rand, 12), UINT64_MAX, 0);
			break;
		default:
			for (uint32_t burst = bb_rand_below(&rand, 5); burst > 0; burst--) {
				if (one_by_one && env_count(&e, IN, BB_ROUTER_PARKED) > 0)
					break;
				snprintf(text, sizeof(text), "%u.%u", i, sent[i]++);
				env_send(&e, p[i], IN, text);
			}
		}
		if (bb_rand_one_in(&rand, 3))
			env_flush(&e, bb_rand_below(&rand, e.io_count));
		if (bb_rand_one_in(&rand, 2))
			env_step(&e);
	}
	for (uint32_t k = 0; k < 6; k++) {
		if (alive[k])
			env_credit(&e, c[k], OUT, UINT64_MAX, UINT64_MAX, 0);
	}
	env_run(&e);
	bb_handle last = env_attach(&e, 0, 50, OUT, 0);
	env_run(&e);
	assert_int_equal(env_count(&e, IN, BB_ROUTER_PARKED), 0);
	assert_int_equal(env_count(&e, IN, BB_ROUTER_ROUTED), sent[0] + sent[1] + sent[2] + sent[3]);

	/* Each number of a producer stands in exactly one log, and the logs hold them in ascending order. */
	uint8_t *seen = calloc(4, 65536);
	for (uint32_t k = 0; k < 7; k++) {
		const bb_handle h = k == 6 ? last : bb_handle_make(k % e.io_count, 10 + k, 1);
		int newest[4] = { -1, -1, -1, -1 };
		const char *at = env_log(&e, h);
		unsigned who, number;
		for (int len; sscanf(at, "%u.%u%n", &who, &number, &len) == 2; at += len) {
			assert_true(who < 4 && number < sent[who] && (int)number > newest[who]);
			newest[who] = (int)number;
			seen[who * 65536 + number]++;
		}
		assert_int_equal(*at, 0);
	}
	for (uint32_t i = 0; i < 4; i++) {
		for (uint32_t n = 0; n < sent[i]; n++)
			assert_int_equal(seen[i * 65536 + n], 1);
	}
	free(seen);
	env_close(&e);
}

static void
nothing_is_lost_or_doubled_whatever_comes_and_goes(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++)
		churn(seed, &(struct env_options){ .io_count = 3 }, UINT32_MAX, false);
}

static void
nothing_is_lost_or_doubled_with_rings_of_two_slots(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++)
		churn(seed, &(struct env_options){ .io_count = 3, .slices = 2, .deliveries = 2 },
			1 + seed % 2, false);
	for (uint64_t seed = 1; seed <= 5; seed++)
		churn(seed, &(struct env_options){ .slices = 2, .deliveries = 2 }, 1, true);
}

static void
without_memory_messages_are_dropped_and_counted(void **state)
{
	struct env e;

	(void)state;
	open_jobs(&e, &(struct env_options){ 0 });
	const bb_handle p = env_attach(&e, 0, 0, IN, 0);
	env_run(&e);
	e.mem.max_bytes = e.mem.used_bytes;
	send_many(&e, p, "", 1, 3);
	bb_handle q = env_attach(&e, 0, 1, IN, 0);
	env_send(&e, q, IN, "from a peer that is refused");
	env_send_chain(&e, q, IN, (const uint8_t *)"\0\1a", 3, 2);
	env_gone(&e, q, IN);
	env_run(&e);
	assert_int_equal(env_count(&e, IN, BB_ROUTER_IN_MEMORY), 5);
	assert_int_equal(env_session(&e, q)->refused, 1);
	assert_int_equal(env_session(&e, q)->cause, BB_REFUSED_NO_MEMORY);
	assert_int_equal(env_session(&e, q)->gone_done, 1);
	e.mem.max_bytes = UINT64_MAX;
	env_send(&e, p, IN, "later");
	env_run(&e);
	assert_int_equal(env_count(&e, IN, BB_ROUTER_PARKED), 1);
	env_close(&e);
}

static void
parked_remains_of_large_buffers_are_evacuated(void **state)
{
	struct env e;
	char text[4001];

	(void)state;
	open_jobs(&e, &(struct env_options){ .buffers = 64 });
	memset(text, 'x', 4000);
	text[4000] = 0;
	const bb_handle p = env_attach(&e, 0, 0, IN, 0);
	const bb_handle q = env_attach(&e, 0, 1, IN, 0);
	for (int i = 0; i < 200; i++) {
		env_send(&e, p, IN, text);
		send_many(&e, q, "q", 10 * i, 10 * i + 9);
	}
	env_run(&e);
	/* They take turns, so all of p's large messages go, and most of q's stay, in all the buffers. */
	const bb_handle a = env_attach(&e, 0, 2, OUT, 400);
	env_run(&e);
	for (int i = 0; i < 10; i++)
		env_step(&e);
	uint64_t pinned, needed, evacuated;
	bb_router_memory(e.router, &pinned, &needed, &evacuated);
	assert_int_equal(needed, env_count(&e, IN, BB_ROUTER_PARKED_BYTES));
	assert_true(evacuated > 0 && evacuated <= needed);
	assert_true(pinned <= 2 * needed + 4 * BB_BUFFER_BYTES);
	env_log_clear(&e, a);
	env_credit(&e, a, OUT, 402, UINT64_MAX, 0);
	env_run(&e);
	assert_string_equal(env_log(&e, a), "q200 q201");
	env_credit(&e, a, OUT, UINT64_MAX, UINT64_MAX, 0);
	env_run(&e);
	assert_int_equal(env_session(&e, a)->msgs, 2200);
	env_close(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_go_round_robin_one_each),
		cmocka_unit_test(ten_messages_of_one_segment_reach_ten_idle_consumers),
		cmocka_unit_test(a_run_for_the_only_consumer_is_one_delivery),
		cmocka_unit_test(without_consumers_messages_wait_and_go_in_rotation_of_producers),
		cmocka_unit_test(a_consumer_gets_no_more_than_its_credit),
		cmocka_unit_test(bytes_limit_counts_and_an_empty_queue_takes_any_length),
		cmocka_unit_test(a_new_consumer_joins_at_the_end_of_the_rotation),
		cmocka_unit_test(a_consumer_that_goes_gets_nothing_behind_its_farewell),
		cmocka_unit_test(parked_messages_outlive_their_producer),
		cmocka_unit_test(what_consumers_say_is_unroutable),
		cmocka_unit_test(chains_take_their_turn),
		cmocka_unit_test(nothing_is_lost_or_doubled_whatever_comes_and_goes),
		cmocka_unit_test(nothing_is_lost_or_doubled_with_rings_of_two_slots),
		cmocka_unit_test(without_memory_messages_are_dropped_and_counted),
		cmocka_unit_test(parked_remains_of_large_buffers_are_evacuated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
