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

/* The marks limit what the transport would not take, however much that is in one turn. */
static void
a_reader_that_keeps_up_loses_nothing(void **state)
{
	struct env e;
	(void)state;
	open_with(&e, BB_PATTERN_PUBSUB, &(struct env_options){ 0 });
	conf.side[1].hwm_msgs = 10;
	struct peer *p = env_join(&e, 1, 1, "SUB", "");
	static uint8_t bytes[60000];
	uint32_t len = 0;
	for (; len < 60000; len += 6)
		(void)env_encode(bytes + len, "abcd");
	for (int i = 0; i < 10; i++)
		env_deliver_raw(&e, 'a', bytes, len, len / 6);
	(void)env_turn(&e);
	env_run(&e);
	assert_int_equal(env_count(&e, 1, BB_IO_OUT_HWM), 0);
	assert_int_equal(env_count(&e, 1, BB_IO_SENT), 100000);
	assert_int_equal(p->out_len, 600000);
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

/* A receiver that drops and does not read loses new copies long before nobody can be read any more. */
static void
stalled_receivers_leave_memory_to_others(void **state)
{
	struct env e;
	static uint8_t bytes[60009] = { 2, 0, 0, 0, 0, 0, 0, 60000 >> 8, 60000 & 0xff };
	(void)state;
	open_with(&e, BB_PATTERN_PUBSUB, &(struct env_options){ .buffers = 66 });
	struct peer *p = env_join(&e, 1, 1, "SUB", "");
	p->room = 10;
	for (int i = 0; i < 100; i++) {
		env_deliver_raw(&e, 'a', bytes, sizeof(bytes), 1);
		(void)env_turn(&e);
	}
	assert_in_range(env_count(&e, 1, BB_IO_OUT_MEMORY), 60, 70);
	assert_true(bb_pool_free_count(&e.pool) > 64 / 4);
	peer_room(p, UINT64_MAX);
	env_run(&e);
	env_deliver_raw(&e, 'a', bytes, sizeof(bytes), 1);
	env_run(&e);
	assert_int_equal(env_count(&e, 1, BB_IO_SENT) + env_count(&e, 1, BB_IO_OUT_MEMORY), 101);
	assert_int_equal(env_count(&e, 1, BB_IO_QUEUED), 0);
	env_close(&e);
}

static struct bb_set *
set_of(const struct env *e, uint32_t count)
{
	struct bb_set *set = calloc(1, sizeof(*set) + sizeof(struct bb_set_core));

	set->serial = 1;
	set->handles = e->handles;
	set->receivers = count;
	set->core_count = 1;
	set->cores[0] = (struct bb_set_core){ .count = count };
	return set;
}

/* One router with much to say does not keep another from being heard. */
static void
routers_are_heard_in_turn(void **state)
{
	struct env e;
	uint8_t bytes[16];
	(void)state;
	open_with(&e, BB_PATTERN_PUBSUB, &(struct env_options){ .routers = 2, .deliveries = 1024 });
	for (int i = 0; i < 40; i++)
		(void)env_join(&e, 1, 1, "SUB", "");
	struct bb_set *set = set_of(&e, 40);
	const uint32_t buffer = bb_pool_get(&e.pool, BB_POOL_CONTROL);
	const uint32_t len = env_encode(bytes, "m");
	memcpy(bb_pool_bytes(&e.pool, buffer), bytes, len);
	bool heard = false;
	for (int turn = 0; turn < 10 && !heard; turn++) {
		for (;;) {
			const struct bb_delivery d = {
				.set = set,
				.kind = BB_DELIVERY_MSGS_SET,
				.flags = BB_DELIVERY_OPEN | BB_DELIVERY_CLOSE,
				.buffer = buffer,
				.len = len,
				.msgs = 1,
				.side = 0,
			};
			if (bb_ring_push(bb_fabric_deliveries(&e.fabric, 0, 0), &d, 1) == 0)
				break;
			bb_pool_hold(&e.pool, buffer, 1);
			e.delivered[1] += 40;
		}
		if (turn == 0)
			env_push(&e, 1,
				&(struct bb_delivery){ .session = e.handles[0],
					.kind = BB_DELIVERY_REFUSED,
					.buffer = BB_BUFFER_NONE,
					.msgs = BB_REFUSED_SLOW,
					.side = 1 });
		(void)env_turn(&e);
		heard = env_count(&e, 1, BB_IO_CLOSED_SLOW) == 1;
	}
	assert_true(heard);
	for (int i = 0; i < 10; i++)
		(void)env_turn(&e);
	bb_pool_put(&e.pool, buffer, 1);
	env_close(&e);
	free(set);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_subscriber_loses_exactly_what_is_above_its_mark),
		cmocka_unit_test(a_reader_that_keeps_up_loses_nothing),
		cmocka_unit_test(a_lowered_mark_drops_nothing_and_admits_nothing_until_below),
		cmocka_unit_test(a_chain_goes_out_in_parts_and_counts_once),
		cmocka_unit_test(a_pong_waits_for_the_end_of_a_message),
		cmocka_unit_test(who_is_disconnected_for_being_slow_loses_what_was_queued),
		cmocka_unit_test(credit_is_what_left_the_queue_and_the_mark),
		cmocka_unit_test(credit_of_dropped_messages_comes_back),
		cmocka_unit_test(a_subscriber_gives_credit_once_it_may_block),
		cmocka_unit_test(a_publisher_that_does_not_read_is_told_nothing_more),
		cmocka_unit_test(stalled_receivers_leave_memory_to_others),
		cmocka_unit_test(routers_are_heard_in_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
