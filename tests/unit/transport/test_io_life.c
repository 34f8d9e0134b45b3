/* SPDX-License-Identifier: BSD-3-Clause */
/* Time-outs, heartbeats, drain, death, destruction in any state. */
#include "io_env.h"

#include <errno.h>

#include "base/time.h"

static struct bb_endpoint conf;

static void
open_with(struct env *e, enum bb_pattern pattern, const struct env_options *options)
{
	env_open(e, options);
	conf = env_conf(0, pattern);
	env_endpoint(e, &conf);
}

static uint32_t
count_of(const char *text, const char *what)
{
	uint32_t n = 0;

	for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
		n++;
	return n;
}

static void
a_handshake_that_takes_too_long_ends(void **state)
{
	struct env e;
	(void)state;
	open_with(&e, BB_PATTERN_PIPELINE, &(struct env_options){ 0 });
	struct peer *p = env_accept(&e, 0);
	struct peer *out = env_connect(&e, 0);
	peer_greet(p, 1);
	env_pass(&e, 29 * BB_SEC);
	assert_false(p->destroyed || out->destroyed);
	env_pass(&e, 2 * BB_SEC);
	assert_true(p->destroyed && out->destroyed);
	assert_int_equal(env_count(&e, 0, BB_IO_TIMEOUT_HANDSHAKE), 2);
	assert_int_equal(e.mails[e.mail_count - 1].kind, BB_MAIL_LOST);
	env_close(&e);
}

static void
silence_ends_a_session_and_a_ping_is_asked_first(void **state)
{
	struct env e;
	(void)state;
	open_with(&e, BB_PATTERN_PIPELINE, &(struct env_options){ 0 });
	struct peer *p = env_join(&e, 0, 1, "PUSH", "");
	env_pass(&e, 89 * BB_SEC);
	assert_false(p->destroyed);
	assert_in_range(count_of(peer_take(p), "/PING"), 2, 3);
	env_pass(&e, 2 * BB_SEC);
	assert_true(p->destroyed);
	assert_int_equal(env_count(&e, 0, BB_IO_TIMEOUT_HEARTBEAT), 1);
	env_close(&e);
}

/* Its own heartbeat of 200 ms with a time-out of 600 ms must see life while a full consumer keeps it waiting. */
static void
a_peer_that_is_not_read_sees_life(void **state)
{
	struct env e;
	(void)state;
	open_with(&e, BB_PATTERN_PIPELINE, &(struct env_options){ .window_bytes = 100 });
	struct peer *p = env_join(&e, 0, 1, "PUSH", "");
	e.hold_windows = true;
	for (int i = 0; i < 10; i++)
		peer_message(p, "0123456789012345678901234567890123456789");
	peer_command(p, "PING", "\0\x06", 2); /* a ttl of 600 ms, read later */
	for (int i = 0; i < 50; i++) {
		env_pass(&e, 200 * BB_MSEC);
		assert_in_range(count_of(peer_take(p), "/PING"), 1, 3);
	}
	env_pass(&e, 100 * BB_SEC);
	assert_false(p->destroyed);
	e.hold_windows = false;
	(void)peer_take(p);
	for (int i = 0; i < 20; i++)
		(void)env_turn(&e);
	assert_int_equal(env_count(&e, 0, BB_IO_RECEIVED), 10);
	assert_int_equal(count_of(peer_take(p), "/PONG"), 1);
	env_close(&e);
}

static void
heartbeats_that_are_switched_on_hold_for_those_that_are_there(void **state)
{
	struct env e;
	(void)state;
	env_open(&e, &(struct env_options){ 0 });
	conf = env_conf(0, BB_PATTERN_PIPELINE);
	conf.side[0].heartbeat_interval_ns = 0;
	env_endpoint(&e, &conf);
	struct peer *p = env_join(&e, 0, 1, "PUSH", "");
	env_pass(&e, 5 * BB_SEC);
	assert_string_equal(peer_take(p), "");
	struct bb_endpoint on = conf;
	on.side[0].heartbeat_interval_ns = 200 * BB_MSEC;
	on.side[0].heartbeat_timeout_ns = 10 * BB_SEC;
	env_endpoint(&e, &on);
	env_pass(&e, 1 * BB_SEC);
	assert_in_range(count_of(peer_take(p), "/PING"), 3, 6);
	env_close(&e);
}

static void
an_incomplete_message_without_new_octets_ends_its_session(void **state)
{
	struct env e;
	(void)state;
	open_with(&e, BB_PATTERN_PIPELINE, &(struct env_options){ 0 });
	struct peer *p = env_join(&e, 0, 0, "PUSH", "");
	struct peer *q = env_join(&e, 0, 0, "PUSH", "");
	peer_send(p, "\0\5abc", 5);
	peer_frame(q, 1, "x", 1);
	env_pass(&e, 29 * BB_SEC);
	assert_false(p->destroyed || q->destroyed);
	env_pass(&e, 2 * BB_SEC);
	assert_true(p->destroyed && q->destroyed);
	assert_int_equal(env_count(&e, 0, BB_IO_TIMEOUT_INCOMPLETE), 2);
	env_close(&e);
}

/* --- drain --- */

static void
end_from(struct env *e, uint32_t router, uint32_t scope)
{
	env_push(e, router,
		&(struct bb_delivery){ .kind = BB_DELIVERY_END, .total = scope, .buffer = BB_BUFFER_NONE });
}

static void
a_drain_delivers_what_is_queued(void **state)
{
	struct env e;
	(void)state;
	open_with(&e, BB_PATTERN_PUBSUB, &(struct env_options){ .routers = 2 });
	struct peer *p = env_join(&e, 1, 1, "SUB", "");
	struct peer *half = env_accept(&e, 1);
	struct peer *out = env_connect(&e, 0);
	(void)env_log(&e, 0);
	(void)env_log(&e, 1);
	p->room = 3;
	env_deliver(&e, 'a', "one");
	env_run(&e);
	const uint64_t tag = env_mail(&e, BB_MAIL_DRAIN, 0, e.now_ns + 5 * BB_SEC, NULL);
	env_run(&e);
	assert_true(half->destroyed && out->destroyed && e.unlistened[0] && e.unlistened[1]);
	assert_string_equal(env_log(&e, 0), "END(0)");
	assert_string_equal(env_log(&e, 1), "END(0)");
	end_from(&e, 0, 0);
	env_deliver(&e, 'a', "no"); /* behind END nothing comes; before the other END it may */
	env_run(&e);
	end_from(&e, 1, 0);
	env_pass(&e, 50 * BB_MSEC);
	assert_false(p->finished);
	peer_room(p, UINT64_MAX);
	p->backlog = 10;
	env_pass(&e, 100 * BB_MSEC);
	assert_true(p->finished && !p->destroyed);
	assert_null(env_answer(&e, tag));
	p->backlog = 0;
	env_pass(&e, 100 * BB_MSEC);
	assert_true(p->destroyed);
	assert_non_null(env_answer(&e, tag));
	assert_string_equal(peer_take(p), "one no");
	assert_string_equal(env_log(&e, 0), "a!");
	struct peer *late = env_accept(&e, 1);
	env_pass(&e, 10 * BB_MSEC);
	assert_true(late->destroyed);
	env_close(&e);
}

static void
what_linger_cuts_off_is_reported(void **state)
{
	struct env e;
	(void)state;
	open_with(&e, BB_PATTERN_PUBSUB, &(struct env_options){ 0 });
	struct peer *p = env_join(&e, 1, 1, "SUB", "");
	p->room = 3;
	env_deliver(&e, 'a', "one");
	env_deliver(&e, 'a', "two");
	const uint64_t tag = env_mail(&e, BB_MAIL_DRAIN, BB_SCOPE_NODE, e.now_ns + BB_SEC, NULL);
	env_run(&e);
	end_from(&e, 0, BB_SCOPE_NODE);
	env_pass(&e, 2 * BB_SEC);
	assert_true(p->destroyed);
	assert_non_null(env_answer(&e, tag));
	assert_int_equal(env_count(&e, 1, BB_IO_OUT_SHUTDOWN), 2);
	uint32_t reports = 0;
	for (uint32_t i = 0; i < e.mail_count; i++)
		reports += e.mails[i].kind == BB_MAIL_REPORT;
	assert_int_equal(reports, 1);
	env_close(&e);
}

/* A peer that broke off has nothing to be waited for. */
static void
drain_broken(enum bb_stream_event event)
{
	struct env e;
	open_with(&e, BB_PATTERN_PUBSUB, &(struct env_options){ 0 });
	struct peer *p = env_join(&e, 1, 1, "SUB", "");
	p->room = 3;
	env_deliver(&e, 'a', "one");
	env_run(&e);
	const uint64_t tag = env_mail(&e, BB_MAIL_DRAIN, 0, e.now_ns + 100 * BB_SEC, NULL);
	env_run(&e);
	end_from(&e, 0, 0);
	env_run(&e);
	p->broken = EPIPE;
	peer_event(p, event, 0);
	env_pass(&e, BB_SEC);
	assert_true(p->destroyed);
	assert_non_null(env_answer(&e, tag));
	assert_int_equal(env_count(&e, 1, BB_IO_OUT_PEER_GONE), 1);
	env_close(&e);
}

static void
a_drain_does_not_wait_for_a_broken_stream(void **state)
{
	(void)state;
	drain_broken(BB_STREAM_TX_ROOM);
	drain_broken(BB_STREAM_READABLE); /* with octets that nobody reads */
}

/* While it is drained nobody reads it, so its silence means nothing. */
static void
a_peer_that_is_drained_is_not_silent(void **state)
{
	struct env e;
	(void)state;
	env_open(&e, &(struct env_options){ 0 });
	conf = env_conf(0, BB_PATTERN_PIPELINE);
	conf.side[1].heartbeat_interval_ns = 200 * BB_MSEC;
	conf.side[1].heartbeat_timeout_ns = 600 * BB_MSEC;
	env_endpoint(&e, &conf);
	struct peer *p = env_join(&e, 1, 1, "PULL", "");
	p->room = 3;
	env_deliver(&e, 'a', "one");
	env_run(&e);
	const uint64_t tag = env_mail(&e, BB_MAIL_DRAIN, 0, e.now_ns + 10 * BB_SEC, NULL);
	for (int i = 0; i < 30; i++) { /* the router still has something parked for it */
		peer_command(p, "PONG", "", 0);
		env_pass(&e, 100 * BB_MSEC);
	}
	assert_false(p->destroyed);
	peer_room(p, UINT64_MAX);
	end_from(&e, 0, 0);
	env_pass(&e, 100 * BB_MSEC);
	assert_non_null(env_answer(&e, tag));
	assert_int_equal(env_count(&e, 1, BB_IO_SENT), 1);
	env_close(&e);
}

/* A PONG for which there was no memory comes too late: nothing is written behind the end. */
static void
nothing_is_written_behind_the_end(void **state)
{
	struct env e;
	(void)state;
	open_with(&e, BB_PATTERN_PUBSUB, &(struct env_options){ 0 });
	struct peer *p = env_join(&e, 1, 1, "SUB", "");
	e.mem.max_bytes = e.mem.used_bytes;
	peer_command(p, "PING", "\0\0", 2);
	for (int i = 0; i < 5; i++)
		(void)env_turn(&e);
	p->backlog = 1;
	(void)env_mail(&e, BB_MAIL_DRAIN, 0, e.now_ns + 10 * BB_SEC, NULL);
	for (int i = 0; i < 5; i++)
		(void)env_turn(&e);
	end_from(&e, 0, 0);
	for (int i = 0; i < 5; i++)
		(void)env_turn(&e);
	assert_true(p->finished);
	e.mem.max_bytes = UINT64_MAX;
	env_pass(&e, 100 * BB_MSEC);
	assert_string_equal(peer_take(p), "");
	env_close(&e);
}

/* --- death --- */

static void
a_slot_is_free_when_every_router_has_forgotten(void **state)
{
	struct env e;
	(void)state;
	open_with(&e, BB_PATTERN_PIPELINE, &(struct env_options){ .session_max = 1 });
	e.hold_gone = true;
	struct peer *p = env_join(&e, 1, 1, "PULL", "");
	peer_event(p, BB_STREAM_CLOSED, BB_STREAM_RESET);
	env_run(&e);
	assert_true(p->destroyed);
	struct peer *q = env_accept(&e, 1);
	env_run(&e);
	assert_true(q->destroyed); /* no slot */
	assert_int_equal(env_count(&e, 1, BB_IO_REFUSED_LIMIT), 1);
	env_deliver(&e, 'a', "stale");
	env_push(&e, 0,
		&(struct bb_delivery){ .session = e.handles[0],
			.kind = BB_DELIVERY_GONE_DONE,
			.buffer = BB_BUFFER_NONE,
			.side = 1 });
	env_run(&e);
	assert_int_equal(env_count(&e, 1, BB_IO_OUT_PEER_GONE), 1);
	q = env_join(&e, 1, 1, "PULL", "");
	assert_int_not_equal(e.handles[0], e.handles[1]);
	env_close(&e);
}

static void
a_session_that_dies_before_it_is_attached_tells_nobody(void **state)
{
	struct env e;
	(void)state;
	open_with(&e, BB_PATTERN_PIPELINE, &(struct env_options){ .slices = 2 });
	struct peer *a = env_join(&e, 0, 1, "PUSH", "");
	e.stalled = true;
	peer_message(a, "1");
	(void)env_turn(&e);
	peer_message(a, "2"); /* the ring holds one slice, this one waits in the writer */
	(void)env_turn(&e);
	struct peer *b = env_accept(&e, 0);
	peer_greet(b, 1);
	peer_ready(b, "PUSH", "");
	for (int i = 0; i < 5; i++)
		(void)env_turn(&e);
	peer_event(b, BB_STREAM_CLOSED, BB_STREAM_RESET);
	for (int i = 0; i < 5; i++)
		(void)env_turn(&e);
	assert_true(b->destroyed);
	e.stalled = false;
	for (int i = 0; i < 10; i++)
		(void)env_turn(&e);
	assert_string_equal(env_log(&e, 0), "a@0[] a:1 a:2");
	env_close(&e);
}

static void
half_open_peers_make_room_for_new_ones(void **state)
{
	(void)state;
	struct env e;
	open_with(&e, BB_PATTERN_PIPELINE, &(struct env_options){ 0 });
	struct peer *out = env_connect(&e, 0); /* ours: no flood of strangers ends it */
	struct peer *first = env_accept(&e, 0), *second = env_accept(&e, 0);
	for (uint32_t i = 2; i < BB_HALF_OPEN_MAX; i++)
		(void)env_accept(&e, 0);
	env_pass(&e, 20 * BB_MSEC);
	assert_int_equal(env_count(&e, 0, BB_IO_ACCEPTED), 1 + BB_HALF_OPEN_MAX);
	assert_false(first->destroyed);
	(void)env_accept(&e, 0);
	env_pass(&e, 20 * BB_MSEC);
	assert_true(first->destroyed && !second->destroyed && !out->destroyed);
	assert_int_equal(env_count(&e, 0, BB_IO_CLOSED_HALF_OPEN), 1);
	env_close(&e); /* with all of them half-open */
}

static void
a_refused_peer_that_waited_for_its_window_may_go_at_once(void **state)
{
	struct env e;
	(void)state;
	open_with(&e, BB_PATTERN_PIPELINE, &(struct env_options){ .window_bytes = 5 });
	e.hold_windows = true;
	struct peer *p = env_join(&e, 0, 1, "PUSH", "");
	peer_message(p, "abc");
	peer_message(p, "abc");
	env_run(&e);
	assert_int_equal(env_row(&e, 'a')->c[BB_SESSION_RX_STOPPED], 1);
	env_refuse(&e, 'a', BB_REFUSED_SUBSCRIPTIONS);
	env_run(&e);
	assert_string_equal(peer_take(p), "/ERROR");
	peer_finish(p);
	for (int i = 0; i < 5; i++)
		(void)env_turn(&e);
	assert_true(p->destroyed);
	env_close(&e);
}

/* Whatever is under way: groups that the router has not closed, sessions of any state, an unwritten slice. */
static void
it_can_be_destroyed_in_any_state(void **state)
{
	struct env e;
	(void)state;
	open_with(&e, BB_PATTERN_PUBSUB, &(struct env_options){ .slices = 2 });
	struct peer *p = env_join(&e, 0, 1, "PUB", "");
	struct peer *s = env_join(&e, 1, 1, "SUB", "");
	(void)env_connect(&e, 0);
	peer_frame(p, 1, "incomplete", 10);
	s->room = 2;
	env_deliver(&e, 'b', "queued");
	env_run(&e);
	const uint32_t buffer = bb_pool_get(&e.pool, BB_POOL_CONTROL);
	bb_pool_bytes(&e.pool, buffer)[0] = bb_pool_bytes(&e.pool, buffer)[1] = 0;
	env_push(&e, 0,
		&(struct bb_delivery){ .session = e.handles[1],
			.kind = BB_DELIVERY_MSGS_ONE,
			.flags = BB_DELIVERY_OPEN,
			.buffer = buffer,
			.len = 2,
			.msgs = 1 });
	e.delivered[1]++;
	e.stalled = true;
	for (int i = 0; i < 3; i++) {
		peer_command(s, "SUBSCRIBE", "t", 1);
		(void)env_turn(&e);
	}
	env_close(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handshake_that_takes_too_long_ends),
		cmocka_unit_test(silence_ends_a_session_and_a_ping_is_asked_first),
		cmocka_unit_test(a_peer_that_is_not_read_sees_life),
		cmocka_unit_test(heartbeats_that_are_switched_on_hold_for_those_that_are_there),
		cmocka_unit_test(an_incomplete_message_without_new_octets_ends_its_session),
		cmocka_unit_test(a_drain_delivers_what_is_queued),
		cmocka_unit_test(what_linger_cuts_off_is_reported),
		cmocka_unit_test(a_drain_does_not_wait_for_a_broken_stream),
		cmocka_unit_test(a_peer_that_is_drained_is_not_silent),
		cmocka_unit_test(nothing_is_written_behind_the_end),
		cmocka_unit_test(a_slot_is_free_when_every_router_has_forgotten),
		cmocka_unit_test(a_session_that_dies_before_it_is_attached_tells_nobody),
		cmocka_unit_test(half_open_peers_make_room_for_new_ones),
		cmocka_unit_test(a_refused_peer_that_waited_for_its_window_may_go_at_once),
		cmocka_unit_test(it_can_be_destroyed_in_any_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
