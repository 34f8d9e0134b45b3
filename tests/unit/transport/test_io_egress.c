/* SPDX-License-Identifier: BSD-3-Clause */
/* Deliveries, marks, credit, writing. */
#include "io_env.h"

#include "base/time.h"

static struct bb_endpoint conf;

static void
open_with(struct env *e, enum bb_pattern pattern, const struct env_options *options)
{
	env_open(e, options);
	conf = env_conf(0, pattern);
	env_endpoint(e, &conf);
}

static void
a_full_subscriber_loses_exactly_what_is_above_its_mark(void **state)
{
	struct env e;
	(void)state;
	open_with(&e, BB_PATTERN_PUBSUB, &(struct env_options){ 0 });
	conf.side[1].hwm_msgs = 3;
	struct peer *p = env_join(&e, 1, 1, "SUB", "");
	p->room = 12; /* two messages of five octets, and two octets of the third */
	for (int i = 0; i < 10; i++)
		env_deliver(&e, 'a', (char[]){ (char)('0' + i), 'x', 'y', 0 });
	env_run(&e);
	assert_int_equal(env_count(&e, 1, BB_IO_SENT), 2);
	assert_int_equal(env_count(&e, 1, BB_IO_SENT_BYTES), 12);
	assert_int_equal(env_count(&e, 1, BB_IO_QUEUED), 3);
	assert_int_equal(env_count(&e, 1, BB_IO_QUEUED_BYTES), 13);
	assert_int_equal(env_count(&e, 1, BB_IO_OUT_HWM), 5);
	env_deliver(&e, 'a', "later"); /* refused at once now: the transport has not asked again */
	env_run(&e);
	assert_int_equal(env_count(&e, 1, BB_IO_OUT_HWM), 6);
	peer_room(p, UINT64_MAX);
	env_run(&e);
	assert_string_equal(peer_take(p), "0xy 1xy 2xy 3xy 4xy");
	env_close(&e);
}

static void
a_lowered_mark_drops_nothing_and_admits_nothing_until_below(void **state)
{
	struct env e;
	(void)state;
	open_with(&e, BB_PATTERN_PUBSUB, &(struct env_options){ 0 });
	struct peer *p = env_join(&e, 1, 1, "SUB", "");
	p->room = 0;
	for (int i = 0; i < 8; i++)
		env_deliver(&e, 'a', "abc");
	env_run(&e);
	struct bb_endpoint lower = conf;
	lower.side[1].hwm_msgs = 4;
	env_endpoint(&e, &lower);
	env_run(&e);
	assert_int_equal(env_count(&e, 1, BB_IO_QUEUED), 8);
	env_deliver(&e, 'a', "abc");
	env_run(&e);
	assert_int_equal(env_count(&e, 1, BB_IO_OUT_HWM), 1);
	peer_room(p, 25); /* five leave, three stay */
	env_run(&e);
	env_deliver(&e, 'a', "new");
	env_deliver(&e, 'a', "no");
	env_run(&e);
	assert_int_equal(env_count(&e, 1, BB_IO_QUEUED), 4);
	assert_int_equal(env_count(&e, 1, BB_IO_OUT_HWM), 2);
	peer_room(p, UINT64_MAX);
	env_run(&e);
	assert_string_equal(peer_take(p), "abc abc abc abc abc abc abc abc new");
	env_close(&e);
}

static void
a_chain_goes_out_in_parts_and_counts_once(void **state)
{
	struct env e;
	(void)state;
	open_with(&e, BB_PATTERN_PUBSUB, &(struct env_options){ 0 });
	struct peer *p = env_join(&e, 1, 1, "SUB", "");
	p->room = 70000;
	env_deliver_chain(&e, 'a', 150000);
	env_deliver(&e, 'a', "after");
	env_run(&e);
	assert_int_equal(env_count(&e, 1, BB_IO_SENT), 0);
	assert_int_equal(env_count(&e, 1, BB_IO_QUEUED_BYTES), 150009 + 7 - 70000);
	peer_room(p, UINT64_MAX);
	env_run(&e);
	assert_string_equal(peer_take(p), "#150009 after");
	env_close(&e);
}

static void
a_pong_waits_for_the_end_of_a_message(void **state)
{
	struct env e;
	(void)state;
	open_with(&e, BB_PATTERN_PUBSUB, &(struct env_options){ 0 });
	struct peer *p = env_join(&e, 1, 1, "SUB", "");
	p->room = 5;
	env_deliver(&e, 'a', "one|two");
	env_deliver(&e, 'a', "three");
	env_run(&e);
	for (int i = 0; i < 100; i++)
		peer_command(p, "PING", "\0\0", 2);
	env_run(&e);
	peer_room(p, UINT64_MAX);
	env_run(&e);
	assert_string_equal(peer_take(p), "one|two /PONG three"); /* of those owed only the newest counts */
	env_close(&e);
}

static void
who_is_disconnected_for_being_slow_loses_what_was_queued(void **state)
{
	struct env e;
	(void)state;
	open_with(&e, BB_PATTERN_PUBSUB, &(struct env_options){ 0 });
	conf.side[1].hwm_msgs = 2;
	conf.side[1].when_full = BB_FULL_DISCONNECT;
	struct peer *p = env_join(&e, 1, 1, "SUB", "");
	p->room = 1;
	for (int i = 0; i < 4; i++)
		env_deliver(&e, 'a', "abc");
	env_run(&e);
	assert_true(p->destroyed);
	assert_int_equal(env_count(&e, 1, BB_IO_CLOSED_SLOW), 1);
	env_deliver(&e, 'a', "late"); /* from a router that had not heard of it */
	env_run(&e);
	assert_int_equal(env_count(&e, 1, BB_IO_OUT_PEER_GONE), 1);
	assert_string_equal(env_log(&e, 0), "a@1[] a!");
	env_close(&e);
}

static void
credit_is_what_left_the_queue_and_the_mark(void **state)
{
	struct env e;
	(void)state;
	open_with(&e, BB_PATTERN_PIPELINE, &(struct env_options){ 0 });
	conf.side[1].hwm_msgs = 5;
	struct peer *p = env_join(&e, 1, 1, "PULL", "");
	assert_string_equal(env_log(&e, 0), "a@1[]");
	p->room = 10;
	for (int i = 0; i < 5; i++)
		env_deliver(&e, 'a', "abc");
	env_run(&e);
	assert_string_equal(env_log(&e, 0), "a$7");
	struct bb_endpoint higher = conf;
	higher.side[1].hwm_msgs = 9;
	env_endpoint(&e, &higher);
	env_run(&e);
	assert_string_equal(env_log(&e, 0), "a$11");
	peer_room(p, UINT64_MAX);
	env_run(&e);
	assert_string_equal(env_log(&e, 0), "a$14");
	env_close(&e);
}

/* What is dropped for lack of memory was charged by the router: the consumer must not starve of it. */
static void
credit_of_dropped_messages_comes_back(void **state)
{
	struct env e;
	(void)state;
	open_with(&e, BB_PATTERN_PIPELINE, &(struct env_options){ 0 });
	conf.side[1].hwm_msgs = 5;
	(void)env_join(&e, 1, 1, "PULL", "");
	(void)env_log(&e, 0);
	e.mem.max_bytes = e.mem.used_bytes;
	for (int i = 0; i < 5; i++)
		env_deliver(&e, 'a', "abc");
	env_run(&e);
	assert_int_equal(env_count(&e, 1, BB_IO_OUT_MEMORY), 5);
	assert_string_equal(env_log(&e, 0), "a$10");
	env_close(&e);
}

/* A policy that changes to block makes credit matter for those that are there already. */
static void
a_subscriber_gives_credit_once_it_may_block(void **state)
{
	struct env e;
	(void)state;
	open_with(&e, BB_PATTERN_PUBSUB, &(struct env_options){ 0 });
	struct peer *p = env_join(&e, 1, 1, "SUB", "");
	env_deliver(&e, 'a', "abc");
	env_run(&e);
	assert_string_equal(env_log(&e, 0), "a@1[]");
	struct bb_endpoint block = conf;
	block.side[1].when_full = BB_FULL_BLOCK;
	env_endpoint(&e, &block);
	env_run(&e);
	assert_string_equal(env_log(&e, 0), "a$1001");
	env_deliver(&e, 'a', "abc");
	env_run(&e);
	assert_string_equal(env_log(&e, 0), "a$1002");
	assert_string_equal(peer_take(p), "abc abc");
	env_close(&e);
}

static void
a_publisher_that_does_not_read_is_told_nothing_more(void **state)
{
	struct env e;
	(void)state;
	open_with(&e, BB_PATTERN_PUBSUB, &(struct env_options){ 0 });
	struct peer *p = env_join(&e, 0, 0, "PUB", "");
	(void)env_log(&e, 0);
	p->room = 5;
	env_upstream(&e, 'a', "one");
	env_upstream(&e, 'a', "two");
	env_run(&e);
	assert_string_equal(env_log(&e, 0), "");
	peer_room(p, UINT64_MAX);
	env_run(&e);
	assert_string_equal(env_log(&e, 0), "a^");
	assert_string_equal(peer_take(p), "\1one \1two");
	env_close(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_subscriber_loses_exactly_what_is_above_its_mark),
		cmocka_unit_test(a_lowered_mark_drops_nothing_and_admits_nothing_until_below),
		cmocka_unit_test(a_chain_goes_out_in_parts_and_counts_once),
		cmocka_unit_test(a_pong_waits_for_the_end_of_a_message),
		cmocka_unit_test(who_is_disconnected_for_being_slow_loses_what_was_queued),
		cmocka_unit_test(credit_is_what_left_the_queue_and_the_mark),
		cmocka_unit_test(credit_of_dropped_messages_comes_back),
		cmocka_unit_test(a_subscriber_gives_credit_once_it_may_block),
		cmocka_unit_test(a_publisher_that_does_not_read_is_told_nothing_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
