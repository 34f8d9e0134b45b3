/* SPDX-License-Identifier: BSD-3-Clause */
#include "router_env.h"

#include <errno.h>

#define IN 0
#define OUT 1

static void
an_endpoint_drains_when_all_ended_and_nothing_is_parked(void **state)
{
	struct env e;

	(void)state;
	env_open(&e, &(struct env_options){ .io_count = 2 });
	const struct bb_endpoint jobs = env_conf(0, BB_PATTERN_PIPELINE);
	env_endpoint(&e, &jobs);
	const bb_handle p = env_attach(&e, 0, 0, IN, 0);
	env_send(&e, p, IN, "1");
	env_send(&e, p, IN, "2");
	env_run(&e);
	const uint64_t tag = env_mail(&e, BB_MAIL_DRAIN, 0, e.now_ns + 5 * BB_SEC, NULL);
	env_end(&e, 0, 0);
	env_run(&e);
	assert_int_equal(e.ends[0] + e.ends[1], 0);
	env_end(&e, 1, 0);
	env_run(&e);
	assert_int_equal(e.ends[0] + e.ends[1], 0); /* parked messages may still go */
	assert_int_equal(bb_router_deadline(e.router), e.now_ns + 5 * BB_SEC);
	const bb_handle a = env_attach(&e, 1, 1, OUT, 0);
	env_run(&e);
	assert_string_equal(env_log(&e, a), "1 2");
	assert_int_equal(e.ends[0], 1);
	assert_int_equal(e.ends[1], 1);
	assert_int_equal(e.answer.tag, tag);
	assert_int_equal(e.answer.arg, 0);
	assert_int_equal(bb_router_deadline(e.router), BB_NEVER);
	env_gone(&e, p, IN);
	env_gone(&e, a, OUT);
	env_run(&e);
	env_mail(&e, BB_MAIL_REMOVED, 0, 0, NULL);
	env_run(&e);
	assert_int_equal(e.answer.tag, tag + 1);
	/* The id is free for another endpoint. */
	const struct bb_endpoint other = env_conf(0, BB_PATTERN_REQREP);
	env_endpoint(&e, &other);
	env_close(&e);
}

static void
what_is_parked_at_the_deadline_is_dropped_as_unroutable(void **state)
{
	struct env e;

	(void)state;
	env_open(&e, &(struct env_options){ 0 });
	const struct bb_endpoint jobs = env_conf(0, BB_PATTERN_PIPELINE),
				 other = env_conf(1, BB_PATTERN_PIPELINE);
	env_endpoint(&e, &jobs);
	env_endpoint(&e, &other);
	const bb_handle p = env_attach(&e, 0, 0, IN, 0), q = env_attach(&e, 0, 1, 2, 0);
	for (int i = 0; i < 5; i++)
		env_send(&e, p, IN, "x");
	env_send(&e, q, 2, "y");
	env_end(&e, 0, 0); /* may come before the mail */
	env_run(&e);
	assert_int_equal(e.ends[0], 0);
	env_mail(&e, BB_MAIL_DRAIN, 0, e.now_ns + BB_SEC, NULL);
	env_run(&e);
	assert_int_equal(e.ends[0], 0);
	e.now_ns += BB_SEC;
	env_run(&e);
	assert_int_equal(e.ends[0], 1);
	assert_int_equal(env_count(&e, IN, BB_ROUTER_IN_UNROUTABLE), 5);
	assert_int_equal(env_count(&e, 2, BB_ROUTER_PARKED), 1); /* another endpoint's */
	env_close(&e);
}

static void
the_node_drains_all_endpoints(void **state)
{
	struct env e;

	(void)state;
	env_open(&e, &(struct env_options){ .io_count = 2 });
	const struct bb_endpoint jobs = env_conf(0, BB_PATTERN_PIPELINE),
				 quotes = env_conf(1, BB_PATTERN_PUBSUB);
	env_endpoint(&e, &jobs);
	env_endpoint(&e, &quotes);
	const bb_handle p = env_attach(&e, 0, 0, IN, 0), s = env_attach(&e, 0, 1, 3, 0);
	env_subscribe(&e, s, 3, "");
	env_send(&e, p, IN, "x");
	env_run(&e);
	const uint64_t tag = env_mail(&e, BB_MAIL_DRAIN, BB_SCOPE_NODE, e.now_ns + BB_SEC, NULL);
	env_end(&e, 0, BB_SCOPE_NODE);
	env_end(&e, 1, BB_SCOPE_NODE);
	env_run(&e);
	assert_int_equal(e.ends[0], 0);
	e.now_ns += 2 * BB_SEC;
	env_run(&e);
	assert_int_equal(e.ends[0], 1);
	assert_int_equal(e.ends[1], 1);
	assert_int_equal(e.answer.tag, tag);
	env_close(&e);
}

static void
draining_what_is_not_there_is_an_error(void **state)
{
	struct env e;

	(void)state;
	env_open(&e, &(struct env_options){ 0 });
	env_mail(&e, BB_MAIL_DRAIN, 3, 0, NULL);
	env_run(&e);
	assert_int_equal(e.answer.tag, e.tag);
	assert_int_equal(e.answer.arg, ENOENT);
	env_mail(&e, BB_MAIL_REMOVED, 3, 0, NULL);
	env_run(&e);
	assert_int_equal(e.answer.tag, e.tag);
	assert_int_equal(e.answer.arg, 0);
	env_close(&e);
}

static void
mail_about_an_endpoint_may_come_after_its_first_session(void **state)
{
	struct env e;

	(void)state;
	env_open(&e, &(struct env_options){ 0 });
	const struct bb_endpoint jobs = env_conf(0, BB_PATTERN_PIPELINE);
	const bb_handle p = env_attach(&e, 0, 0, IN, 0);
	env_flush(&e, 0);
	for (int i = 0; i < 5; i++)
		env_step(&e);
	assert_int_equal(env_session(&e, p)->granted, 0);
	env_mail(&e, BB_MAIL_ENDPOINT, 0, 0, (void *)(uintptr_t)&jobs);
	env_run(&e);
	assert_int_equal(env_session(&e, p)->granted, 1);
	env_close(&e);
}

static void
mail_waits_until_the_agent_takes_answers(void **state)
{
	struct env e;
	struct bb_mail mail;
	struct bb_endpoint conf[6];
	uint32_t answered = 0;

	(void)state;
	env_open(&e, &(struct env_options){ 0 });
	struct bb_ring *to_agent = &e.fabric.router_to_agent[0];
	const struct bb_mail noise = { .kind = BB_MAIL_LOST };
	while (bb_ring_push(to_agent, &noise, 1) == 1)
		;
	for (uint16_t i = 0; i < 6; i++) {
		conf[i] = env_conf(i, BB_PATTERN_PIPELINE);
		env_mail(&e, BB_MAIL_ENDPOINT, 0, 0, &conf[i]);
	}
	for (int i = 0; i < 5; i++)
		bb_router_poll(e.router, e.now_ns);
	assert_int_equal(bb_router_deadline(e.router), 0); /* it holds an answer */
	while (bb_ring_pop(to_agent, &mail, 1) == 1)
		assert_int_equal(mail.kind, BB_MAIL_LOST);
	for (int i = 0; i < 5; i++) {
		bb_router_poll(e.router, e.now_ns);
		while (bb_ring_pop(to_agent, &mail, 1) == 1)
			assert_int_equal(mail.tag, ++answered);
	}
	assert_int_equal(answered, 6);
	env_close(&e);
}

static void
windows_say_what_is_done_with_per_core_and_side(void **state)
{
	struct env e;

	(void)state;
	env_open(&e, &(struct env_options){ .io_count = 2 });
	const struct bb_endpoint jobs = env_conf(1, BB_PATTERN_PIPELINE);
	env_endpoint(&e, &jobs);
	const bb_handle p = env_attach(&e, 0, 0, 2, 0), q = env_attach(&e, 1, 0, 2, 0);
	env_send(&e, p, 2, "four");
	env_send(&e, q, 2, "eight...");
	env_run(&e);
	assert_int_equal(e.window[0][2] + e.window[1][2], 0);
	const bb_handle a = env_attach(&e, 1, 1, 3, 0);
	env_run(&e);
	assert_int_equal(env_session(&e, a)->msgs, 2);
	assert_int_equal(e.window[0][2], 6);
	assert_int_equal(e.window[1][2], 10);
	assert_int_equal(e.window[1][3], 0);
	env_close(&e);
}

static void
a_router_is_destroyed_in_any_state(void **state)
{
	(void)state;
	for (uint32_t steps = 0; steps < 12; steps++) {
		struct env e;
		uint8_t bytes[64];
		env_open(&e, &(struct env_options){ .io_count = 2, .slices = 16, .deliveries = 2 });
		const struct bb_endpoint jobs = env_conf(0, BB_PATTERN_PIPELINE),
					 rpc = env_conf(1, BB_PATTERN_REQREP),
					 quotes = env_conf(2, BB_PATTERN_PUBSUB);
		struct bb_endpoint block = env_conf(3, BB_PATTERN_PUBSUB);
		block.sharded = false;
		block.side[1].when_full = BB_FULL_BLOCK;
		env_endpoint(&e, &jobs);
		env_endpoint(&e, &rpc);
		env_endpoint(&e, &quotes);
		env_endpoint(&e, &block);
		e.take_max = 1;
		const bb_handle p = env_attach(&e, 0, 0, 0, 0), c = env_attach_id(&e, 0, 1, 2, 0, "c", 1);
		const bb_handle s = env_attach(&e, 1, 2, 5, 0), pub = env_attach(&e, 1, 3, 4, 0);
		const bb_handle b = env_attach(&e, 1, 5, 7, 1), q = env_attach(&e, 0, 6, 6, 0);
		env_attach(&e, 0, 7, 3, 1);
		env_subscribe(&e, s, 5, "");
		env_subscribe(&e, s, 5, "x");
		env_subscribe(&e, b, 7, "");
		for (int i = 0; i < 5; i++) {
			env_send(&e, p, 0, "parked");
			env_send_chain(&e, p, 0, bytes, env_encode(bytes, "parked chain"), 4);
			env_send(&e, c, 2, "c|request");
			env_send(&e, pub, 4, "x1");
			env_send(&e, q, 6, "blocked");
		}
		env_gone(&e, p, 0);
		env_flush(&e, 0);
		env_flush(&e, 1);
		for (uint32_t i = 0; i < steps; i++)
			env_step(&e);
		env_close(&e);
	}
}

static void
a_router_without_memory_is_not_made(void **state)
{
	struct env e;

	(void)state;
	env_open(&e, &(struct env_options){ 0 });
	const uint64_t needed = e.mem.used_bytes;
	uint32_t failed = 0;
	for (uint64_t limit = 0; limit < needed; limit += needed / 50) {
		struct bb_mem mem;
		struct bb_router *r;
		bb_mem_init_heap(&mem, limit);
		const struct bb_router_options options = {
			.actor = 7, .fabric = &e.fabric, .mem = &mem, .counters = &e.counters
		};
		assert_int_equal(bb_router_create(&options, &r), -ENOMEM);
		assert_int_equal(mem.used_bytes, 0);
		failed++;
	}
	assert_true(failed >= 50);
	env_close(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_endpoint_drains_when_all_ended_and_nothing_is_parked),
		cmocka_unit_test(what_is_parked_at_the_deadline_is_dropped_as_unroutable),
		cmocka_unit_test(the_node_drains_all_endpoints),
		cmocka_unit_test(draining_what_is_not_there_is_an_error),
		cmocka_unit_test(mail_about_an_endpoint_may_come_after_its_first_session),
		cmocka_unit_test(mail_waits_until_the_agent_takes_answers),
		cmocka_unit_test(windows_say_what_is_done_with_per_core_and_side),
		cmocka_unit_test(a_router_is_destroyed_in_any_state),
		cmocka_unit_test(a_router_without_memory_is_not_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
