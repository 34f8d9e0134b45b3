/* SPDX-License-Identifier: BSD-3-Clause */
/* The checker against planted faults: each must be counted under its own name, exactly, and nothing else. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rand.h"
#include "bench/check.h"

#define RUN 77

static struct bb_check check;

static void
begin(enum bb_check_mode mode, uint32_t producers, uint32_t consumers)
{
	const struct bb_check_config cfg = {
		.mode = mode,
		.producers = producers,
		.consumers = consumers,
		.run = RUN,
		.size = 40,
		.latency = true,
	};

	assert_int_equal(bb_check_init(&check, &cfg), 0);
}

static int
teardown(void **state)
{
	(void)state;
	bb_check_fini(&check);
	return 0;
}

static void
arrive_run(uint32_t run, uint32_t consumer, uint32_t producer, uint64_t seq)
{
	const struct bb_stamp stamp = { .run = run, .producer = producer, .seq = seq, .time_ns = 1000 };
	uint8_t fields[BB_STAMP_FULL];

	memcpy(fields, &stamp, sizeof(fields));
	bb_check_msg(&check, consumer, fields, 1500);
}

static void
arrive(uint32_t consumer, uint32_t producer, uint64_t seq)
{
	arrive_run(RUN, consumer, producer, seq);
}

static void
expect(uint64_t received, uint64_t dup, uint64_t disorder, uint64_t lost, const uint64_t *sent)
{
	assert_int_equal(check.received, received);
	assert_int_equal(check.dup, dup);
	assert_int_equal(check.disorder, disorder);
	assert_int_equal(bb_check_lost(&check, sent), lost);
	assert_int_equal(check.bad, 0);
	assert_int_equal(check.foreign, 0);
	assert_int_equal(check.unwanted, 0);
}

static void
a_clean_stream_has_no_fault(void **state)
{
	(void)state;
	begin(BB_CHECK_ONCE, 1, 1);
	for (uint64_t i = 0; i < 10000; i++)
		arrive(0, 0, i);
	expect(10000, 0, 0, 0, (uint64_t[]){ 10000 });
	assert_int_equal(check.latency.count, 10000);
	assert_int_equal(bb_hist_quantile(&check.latency, 0.5), 500);
}

static void
a_message_that_never_comes_is_lost_in_the_middle_and_at_the_end(void **state)
{
	(void)state;
	begin(BB_CHECK_ONCE, 1, 1);
	for (uint64_t i = 0; i < 10000; i++)
		if (i != 4095 && i != 4096 && i != 9999)
			arrive(0, 0, i);
	expect(9997, 0, 0, 3, (uint64_t[]){ 10000 });
}

static void
a_message_that_comes_twice_is_a_duplicate_and_no_disorder(void **state)
{
	(void)state;
	begin(BB_CHECK_ONCE, 1, 1);
	for (uint64_t i = 0; i < 100; i++)
		arrive(0, 0, i);
	arrive(0, 0, 99);
	arrive(0, 0, 5);
	expect(100, 2, 0, 0, (uint64_t[]){ 100 });
}

static void
two_swapped_messages_are_one_disorder_and_no_loss(void **state)
{
	(void)state;
	begin(BB_CHECK_ONCE, 1, 1);
	arrive(0, 0, 0);
	arrive(0, 0, 2);
	arrive(0, 0, 1);
	arrive(0, 0, 3);
	expect(4, 0, 1, 0, (uint64_t[]){ 4 });
	arrive(0, 0, 1);
	expect(4, 1, 1, 0, (uint64_t[]){ 4 });
}

static void
consumers_that_share_may_overtake_each_other_but_not_themselves(void **state)
{
	(void)state;
	begin(BB_CHECK_ONCE, 1, 2);
	for (uint64_t i = 0; i < 10000; i += 2)
		arrive(0, 0, i);
	for (uint64_t i = 1; i < 10000; i += 2)
		arrive(1, 0, i);
	expect(10000, 0, 0, 0, (uint64_t[]){ 10000 });
	arrive(1, 0, 10002);
	arrive(0, 0, 10000);
	arrive(1, 0, 10001);
	expect(10003, 0, 1, 0, (uint64_t[]){ 10003 });
}

static void
a_message_that_two_consumers_get_is_a_duplicate_in_a_pipeline(void **state)
{
	(void)state;
	begin(BB_CHECK_ONCE, 1, 2);
	arrive(0, 0, 0);
	arrive(1, 0, 0);
	expect(1, 1, 0, 0, (uint64_t[]){ 1 });
}

static void
every_subscriber_owes_every_publication(void **state)
{
	(void)state;
	begin(BB_CHECK_EACH, 2, 3);
	for (uint32_t c = 0; c < 3; c++)
		for (uint32_t p = 0; p < 2; p++)
			for (uint64_t i = 0; i < 100; i++)
				if (!(c == 2 && p == 1 && i >= 40))
					arrive(c, p, i);
	expect(540, 0, 0, 60, (uint64_t[]){ 100, 100 });
	assert_int_equal(bb_check_expected(&check, (uint64_t[]){ 100, 100 }), 600);
}

static void
producers_do_not_hide_each_others_loss(void **state)
{
	(void)state;
	begin(BB_CHECK_ONCE, 2, 1);
	arrive(0, 0, 0);
	arrive(0, 0, 1);
	arrive(0, 1, 1);
	expect(3, 0, 0, 1, (uint64_t[]){ 2, 2 });
}

static void
a_reply_must_come_to_its_own_client_in_any_order(void **state)
{
	(void)state;
	begin(BB_CHECK_OWN, 2, 7);
	arrive(0, 0, 1);
	arrive(0, 0, 0);
	arrive(1, 1, 0);
	expect(3, 0, 0, 0, (uint64_t[]){ 2, 1 });
	arrive(1, 0, 2);
	assert_int_equal(check.bad, 1);
	assert_int_equal(bb_check_lost(&check, (uint64_t[]){ 3, 1 }), 1);
}

static void
foreign_runs_unknown_producers_and_absurd_sequences_are_told_apart(void **state)
{
	(void)state;
	begin(BB_CHECK_ONCE, 2, 1);
	arrive_run(RUN + 1, 0, 0, 0);
	assert_int_equal(check.foreign, 1);
	arrive(0, 2, 0);
	assert_int_equal(check.bad, 1);
	arrive(0, 1, UINT64_MAX);
	assert_int_equal(check.bad, 2);
	assert_int_equal(check.received, 0);
	arrive(0, 1, 0);
	assert_int_equal(check.received, 1);
	assert_int_equal(check.dup, 0);
}

static void
probes_are_seen_once_per_pair_and_never_counted_as_messages(void **state)
{
	(void)state;
	begin(BB_CHECK_EACH, 2, 2);
	for (int i = 0; i < 3; i++) {
		arrive_run(~(uint32_t)RUN, 0, 0, 0);
		arrive_run(~(uint32_t)RUN, 1, 1, 0);
	}
	assert_int_equal(check.probes_seen, 2);
	expect(0, 0, 0, 0, (uint64_t[]){ 0, 0 });
}

static void
a_subscriber_of_one_topic_owes_that_topic_alone(void **state)
{
	const struct bb_check_config cfg = {
		.mode = BB_CHECK_EACH,
		.producers = 1,
		.consumers = 5,
		.run = RUN,
		.size = 40,
		.topic_split = 3,
	};

	(void)state;
	assert_int_equal(bb_check_init(&check, &cfg), 0);
	for (uint32_t c = 0; c < 5; c++)
		for (uint64_t i = c % 3; i < 10; i += 3)
			if (!(c == 4 && i == 4))
				arrive(c, 0, i);
	/* 4 + 3 + 3 + 4 + 3 */
	assert_int_equal(bb_check_expected(&check, (uint64_t[]){ 10 }), 17);
	expect(16, 0, 0, 1, (uint64_t[]){ 10 });
	arrive(1, 0, 3);
	assert_int_equal(check.unwanted, 1);
}

static void
a_receiver_that_joins_late_counts_from_the_first_message_it_sees(void **state)
{
	const struct bb_check_config cfg = {
		.mode = BB_CHECK_EACH,
		.producers = 1,
		.consumers = 1,
		.size = 40,
		.join_late = true,
	};

	(void)state;
	assert_int_equal(bb_check_init(&check, &cfg), 0);
	arrive(0, 0, UINT64_C(123456789012));
	arrive(0, 0, UINT64_C(123456789014));
	expect(2, 0, 0, 1, (uint64_t[]){ 0 });
	arrive_run(RUN + 1, 0, 0, 0);
	assert_int_equal(check.foreign, 1);
}

static void
messages_too_short_for_a_stamp_are_only_counted(void **state)
{
	const struct bb_check_config cfg = { .producers = 1, .consumers = 1, .run = RUN, .size = 15 };
	const uint8_t content[BB_STAMP_FULL] = { 0 };

	(void)state;
	assert_int_equal(bb_check_init(&check, &cfg), 0);
	bb_check_msg(&check, 0, content, 0);
	bb_check_msg(&check, 0, content, 0);
	expect(2, 0, 0, 1, (uint64_t[]){ 3 });
}

static void
too_many_pairs_are_refused(void **state)
{
	const struct bb_check_config cfg = {
		.mode = BB_CHECK_EACH, .producers = 65536, .consumers = 65536, .run = RUN, .size = 40
	};

	(void)state;
	assert_int_equal(bb_check_init(&check, &cfg), -E2BIG);
}

/* What a plain list of arrivals says about one sequence after the other. */
struct model {
	uint64_t received, dup, disorder;
	uint8_t seen[50000];
	uint64_t last[3]; /* per consumer: highest + 1 */
};

static void
model_arrive(struct model *m, bool each, uint32_t consumer, uint64_t seq)
{
	const uint8_t bit = each ? (uint8_t)(1u << consumer) : 1;

	if ((m->seen[seq] & bit) != 0) {
		m->dup++;
		return;
	}
	m->seen[seq] |= bit;
	m->received++;
	m->disorder += seq < m->last[consumer];
	if (seq + 1 > m->last[consumer])
		m->last[consumer] = seq + 1;
}

static void
race_model(bool each, uint64_t seed)
{
	static struct model m;
	struct bb_rand r;
	const uint64_t sent = 20000;
	uint64_t next = 0;

	memset(&m, 0, sizeof(m));
	bb_rand_init(&r, seed);
	begin(each ? BB_CHECK_EACH : BB_CHECK_ONCE, 1, 3);
	while (next < sent) {
		const uint32_t consumer = bb_rand_below(&r, 3);
		uint64_t seq = next;

		if (bb_rand_one_in(&r, 50)) /* a jump: some go missing or come late */
			seq = bb_min_u64(next + bb_rand_below(&r, 9000), sent - 1);
		else if (bb_rand_one_in(&r, 4)) /* an old one: a duplicate or late */
			seq = bb_rand_below(&r, (uint32_t)next + 1);
		else
			next++;
		if (bb_rand_one_in(&r, 20))
			next++; /* a loss, unless it comes late */
		if (seq >= sent)
			continue;
		arrive(consumer, 0, seq);
		model_arrive(&m, each, consumer, seq);
	}
	expect(m.received, m.dup, m.disorder, (each ? 3 : 1) * sent - m.received, (uint64_t[]){ sent });
	bb_check_fini(&check);
}

static void
random_arrivals_agree_with_a_plain_list(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		race_model(false, seed);
		race_model(true, seed);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_clean_stream_has_no_fault, teardown),
		cmocka_unit_test_teardown(
			a_message_that_never_comes_is_lost_in_the_middle_and_at_the_end, teardown),
		cmocka_unit_test_teardown(
			a_message_that_comes_twice_is_a_duplicate_and_no_disorder, teardown),
		cmocka_unit_test_teardown(two_swapped_messages_are_one_disorder_and_no_loss, teardown),
		cmocka_unit_test_teardown(
			consumers_that_share_may_overtake_each_other_but_not_themselves, teardown),
		cmocka_unit_test_teardown(
			a_message_that_two_consumers_get_is_a_duplicate_in_a_pipeline, teardown),
		cmocka_unit_test_teardown(every_subscriber_owes_every_publication, teardown),
		cmocka_unit_test_teardown(producers_do_not_hide_each_others_loss, teardown),
		cmocka_unit_test_teardown(a_reply_must_come_to_its_own_client_in_any_order, teardown),
		cmocka_unit_test_teardown(
			foreign_runs_unknown_producers_and_absurd_sequences_are_told_apart, teardown),
		cmocka_unit_test_teardown(
			probes_are_seen_once_per_pair_and_never_counted_as_messages, teardown),
		cmocka_unit_test_teardown(a_subscriber_of_one_topic_owes_that_topic_alone, teardown),
		cmocka_unit_test_teardown(
			a_receiver_that_joins_late_counts_from_the_first_message_it_sees, teardown),
		cmocka_unit_test_teardown(messages_too_short_for_a_stamp_are_only_counted, teardown),
		cmocka_unit_test_teardown(too_many_pairs_are_refused, teardown),
		cmocka_unit_test(random_arrivals_agree_with_a_plain_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
