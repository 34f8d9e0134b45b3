/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading: frames, assembly, commands between frames, windows. */
#include "io_env.h"

#include "base/endian.h"
#include "base/time.h"

static struct bb_endpoint pipeline;

static void
open_pipeline(struct env *e, const struct env_options *options)
{
	env_open(e, options);
	pipeline = env_conf(0, BB_PATTERN_PIPELINE);
	env_endpoint(e, &pipeline);
}

static void
any_split_of_any_form_gives_the_same_messages(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < 40; piece += 3) {
		struct env e;
		open_pipeline(&e, &(struct env_options){ 0 });
		struct peer *p = env_join(&e, 0, 1, "PUSH", "");
		(void)env_log(&e, 0);
		uint8_t odd[] = { 0xf1, 1, 'p', 0x02, 0, 0, 0, 0, 0, 0, 0, 2, 'q', 'r' }; /* not canonical */
		peer_message(p, "a|b|c");
		peer_send(p, odd, sizeof(odd));
		peer_frame(p, 1, "m", 1);
		peer_command(p, "PING", "\0\0ctx", 5); /* between the frames of a message */
		peer_frame(p, 0, "n", 1);
		peer_message(p, "");
		const size_t len = p->in_len;
		uint8_t *all = malloc(len);
		memcpy(all, p->in, len);
		p->in_len = 0;
		for (size_t at = 0; at < len; at += piece) {
			peer_send(p, all + at, bb_min_u64(piece, len - at));
			(void)env_turn(&e);
		}
		free(all);
		env_run(&e);
		assert_string_equal(env_log(&e, 0), "a:a|b|c a:p|qr a:m|n a:");
		assert_string_equal(peer_take(p), "/PONG");
		env_close(&e);
	}
}

static void
a_view_of_many_pieces_hides_nothing(void **state)
{
	struct env e;
	uint8_t body[30000];
	(void)state;
	open_pipeline(&e, &(struct env_options){ 0 });
	struct peer *p = env_join(&e, 0, 1, "PUSH", "");
	(void)env_log(&e, 0);
	memset(body, 'x', sizeof(body));
	e.piece = 100;
	peer_frame(p, 0, body, sizeof(body));
	peer_message(p, "y");
	env_run(&e);
	assert_string_equal(env_log(&e, 0), "a:xxxxxxxx a:y");
	peer_frame(p, 4 | 0, "\x04PONG", 5);
	memcpy(body, "\x07UNKNOWN", 8);
	peer_frame(p, 4, body, 5000);
	peer_message(p, "z");
	env_run(&e);
	assert_string_equal(env_log(&e, 0), "a:z");
	assert_int_equal(env_count(&e, 0, BB_IO_UNKNOWN_COMMANDS), 1);
	peer_frame(p, 4, body, 30000); /* one that no view shows */
	env_run(&e);
	assert_string_equal(peer_take(p), "/ERROR");
	env_close(&e);
}

static void
a_message_beyond_a_view_becomes_a_chain(void **state)
{
	struct env e;
	(void)state;
	open_pipeline(&e, &(struct env_options){ 0 });
	struct peer *p = env_join(&e, 0, 1, "PUSH", "");
	(void)env_log(&e, 0);
	const size_t len = 200000;
	uint8_t *body = calloc(1, len);
	peer_frame(p, 1, body, len);
	peer_frame(p, 0, body, 3);
	peer_message(p, "after");
	free(body);
	env_run(&e);
	assert_string_equal(env_log(&e, 0), "a#200014 a:after");
	env_close(&e);
}

/*
 * The session is in the midst of sending, so it cannot be told ERROR: it is closed while its view is looked at.
 * What came whole before the bad frame goes on.
 */
static void
messages_before_a_bad_frame_are_routed(void **state)
{
	struct env e;
	(void)state;
	env_open(&e, &(struct env_options){ 0 });
	const struct bb_endpoint conf = env_conf(0, BB_PATTERN_REQREP);
	env_endpoint(&e, &conf);
	struct peer *p = env_join(&e, 1, 1, "REP", "");
	assert_string_equal(env_log(&e, 0), "a@1[]");
	p->room = 3;
	env_deliver(&e, 'a', "id||request");
	env_run(&e);
	(void)env_log(&e, 0);
	peer_message(p, "id||one");
	peer_message(p, "id||two");
	peer_send(p, "\x05\x03", 2); /* a command that claims to be one of several frames */
	env_run(&e);
	assert_true(p->destroyed);
	assert_string_equal(env_log(&e, 0), "a:id||one a:id||two a!");
	assert_int_equal(env_count(&e, 1, BB_IO_REFUSED_FRAME), 1);
	assert_int_equal(env_count(&e, 1, BB_IO_OUT_PEER_GONE), 1);
	env_close(&e);
}

static void
limits_hold_for_short_long_and_odd_messages(void **state)
{
	static const struct {
		size_t len;
		bool odd;
	} cases[] = { { 301, false }, { 301, true }, { 100000, false } };
	(void)state;
	for (size_t i = 0; i < BB_ARRAY_LEN(cases); i++) {
		struct env e;
		open_pipeline(&e, &(struct env_options){ 0 });
		pipeline.side[0].max_message = 300;
		struct peer *p = env_join(&e, 0, 1, "PUSH", "");
		uint8_t *body = calloc(1, cases[i].len);
		peer_frame(p, cases[i].odd ? 0x80 : 0, body, cases[i].len);
		free(body);
		env_run(&e);
		assert_string_equal(peer_take(p), "/ERROR");
		assert_int_equal(env_count(&e, 0, BB_IO_REFUSED_OVERSIZE), 1);
		env_close(&e);
	}
}

/* Nothing is taken for a declared length, but one that no descriptor can hold is refused at once. */
static void
no_message_is_longer_than_a_descriptor_says(void **state)
{
	struct env e;
	uint8_t head[9] = { 3 };
	(void)state;
	open_pipeline(&e, &(struct env_options){ 0 });
	pipeline.side[0].max_message = UINT64_C(1) << 40;
	struct peer *p = env_join(&e, 0, 1, "PUSH", "");
	bb_store_be64(head + 1, UINT64_C(3) << 30);
	peer_send(p, head, sizeof(head));
	env_run(&e);
	assert_string_equal(peer_take(p), "");
	struct peer *q = env_join(&e, 0, 1, "PUSH", "");
	bb_store_be64(head + 1, UINT64_C(5) << 30);
	peer_send(q, head, sizeof(head));
	env_run(&e);
	assert_string_equal(peer_take(q), "/ERROR");
	assert_int_equal(env_count(&e, 0, BB_IO_REFUSED_OVERSIZE), 1);
	env_close(&e);
}

/* --- windows --- */

#define SMALL_WINDOW 1000

static void
send_bodies(struct peer *p, char c, size_t body_len, int count)
{
	uint8_t body[1024];

	memset(body, c, sizeof(body));
	for (int i = 0; i < count; i++)
		peer_frame(p, 0, body, body_len);
}

static void
a_window_that_is_used_up_stops_and_resumes(void **state)
{
	struct env e;
	(void)state;
	open_pipeline(&e, &(struct env_options){ .window_bytes = SMALL_WINDOW });
	e.hold_windows = true;
	struct peer *p = env_join(&e, 0, 1, "PUSH", "");
	send_bodies(p, 'x', 98, 25);
	env_run(&e);
	assert_int_equal(env_count(&e, 0, BB_IO_RECEIVED), 10);
	assert_int_equal(env_row(&e, 'a')->c[BB_SESSION_RX_STOPPED], 1);
	env_windows(&e);
	env_run(&e);
	assert_int_equal(env_count(&e, 0, BB_IO_RECEIVED), 20);
	env_windows(&e);
	env_run(&e);
	assert_int_equal(env_count(&e, 0, BB_IO_RECEIVED), 25);
	assert_int_equal(env_row(&e, 'a')->c[BB_SESSION_RX_STOPPED], 0);
	env_close(&e);
}

/* A window that opens by one message at a time: producers take turns. */
static void
producers_resume_in_rotation(void **state)
{
	struct env e;
	struct peer *p[20];
	(void)state;
	open_pipeline(&e, &(struct env_options){ .window_bytes = SMALL_WINDOW });
	e.hold_windows = true;
	for (int i = 0; i < 20; i++)
		p[i] = env_join(&e, 0, 1, "PUSH", "");
	for (int i = 0; i < 20; i++)
		send_bodies(p[i], 'x', 98, 50);
	env_run(&e);
	for (int i = 0; i < 60; i++) {
		env_window(&e, 0, 0, e.input[0][0] - 900);
		(void)env_turn(&e);
		(void)env_turn(&e);
	}
	for (char name = 'a'; name < 'a' + 20; name++)
		assert_in_range(env_row(&e, name)->c[BB_SESSION_RECEIVED], 2, 13);
	env_close(&e);
}

/* One that needs the whole window is not passed by small ones for ever. */
static void
a_large_message_gets_its_turn(void **state)
{
	struct env e;
	(void)state;
	open_pipeline(&e, &(struct env_options){ .window_bytes = SMALL_WINDOW });
	e.hold_windows = true;
	struct peer *small = env_join(&e, 0, 1, "PUSH", "");
	struct peer *large = env_join(&e, 0, 1, "PUSH", "");
	send_bodies(small, 'x', 98, 3);
	env_run(&e);
	uint8_t body[2000] = { 0 };
	peer_frame(large, 0, body, sizeof(body));
	for (int i = 0; i < 40 && env_row(&e, 'b')->c[BB_SESSION_RECEIVED] == 0; i++) {
		send_bodies(small, 'x', 98, 1);
		const uint64_t before = e.input[0][0];
		env_window(&e, 0, 0, before < 200 ? 0 : before - 200); /* always something outstanding ... */
		(void)env_turn(&e);
		if (e.input[0][0] == before && i % 4 == 0)
			env_windows(&e); /* ... unless nobody sends any more */
	}
	assert_int_equal(env_row(&e, 'b')->c[BB_SESSION_RECEIVED], 1);
	env_close(&e);
}

/* No event comes for those that the turn had no place for. */
static void
all_that_wait_are_let_go_on_without_another_event(void **state)
{
	struct env e;
	(void)state;
	open_pipeline(&e, &(struct env_options){ .window_bytes = SMALL_WINDOW });
	e.hold_windows = true;
	struct peer *p = env_join(&e, 0, 1, "PUSH", "");
	send_bodies(p, 'x', 98, 10);
	env_run(&e);
	for (int i = 0; i < 40; i++)
		send_bodies(env_join(&e, 0, 1, "PUSH", ""), 'x', 8, 1);
	env_run(&e);
	assert_int_equal(e.msgs[0][0], 10);
	env_windows(&e);
	do
		(void)env_turn(&e);
	while (bb_io_deadline(e.io) == 0);
	assert_int_equal(e.msgs[0][0], 50);
	env_close(&e);
}

static void
only_the_window_that_opens_lets_its_sessions_read(void **state)
{
	struct env e;
	struct bb_endpoint conf = env_conf(0, BB_PATTERN_PUBSUB);
	(void)state;
	env_open(&e, &(struct env_options){ .routers = 2, .window_bytes = SMALL_WINDOW });
	conf.sharded = true;
	env_endpoint(&e, &conf);
	e.hold_windows = true;
	struct peer *p[2];
	for (int i = 0; i < 2; i++)
		p[i] = env_join(&e, 0, 1, "PUB", "");
	for (int i = 0; i < 2; i++)
		send_bodies(p[i], 'x', 98, 30);
	env_run(&e);
	const uint32_t views = p[0]->views;
	for (int i = 0; i < 5; i++) {
		env_window(&e, 1, 0, e.input[1][0]);
		env_run(&e);
	}
	assert_int_equal(e.msgs[0][0], 10);
	assert_int_equal(e.msgs[1][0], 30);
	assert_int_equal(p[0]->views, views);
	env_windows(&e);
	env_run(&e);
	assert_int_equal(e.msgs[0][0], 20);
	env_close(&e);
}

static void
a_ring_that_is_full_loses_nothing(void **state)
{
	struct env e;
	(void)state;
	open_pipeline(&e, &(struct env_options){ .slices = 2 });
	struct peer *p = env_join(&e, 0, 1, "PUSH", "");
	(void)env_log(&e, 0);
	e.stalled = true;
	for (int i = 0; i < 5; i++) {
		peer_message(p, "m");
		(void)env_turn(&e);
		(void)env_turn(&e);
	}
	peer_finish(p);
	(void)env_turn(&e);
	e.stalled = false;
	for (int i = 0; i < 20; i++)
		(void)env_turn(&e);
	assert_string_equal(env_log(&e, 0), "a:m a:m a:m a:m a:m a!");
	env_close(&e);
}

static void
a_subscription_has_two_forms_and_a_longest_topic(void **state)
{
	struct env e;
	const struct bb_endpoint conf = env_conf(0, BB_PATTERN_PUBSUB);
	(void)state;
	env_open(&e, &(struct env_options){ 0 });
	env_endpoint(&e, &conf);
	struct peer *p = env_join(&e, 1, 0, "SUB", "");
	peer_message(p, "\x01t");
	peer_command(p, "SUBSCRIBE", "u", 1);
	peer_send(p, "\x02\0\0\0\0\0\0\0\x02\1v", 11); /* a message, not canonical */
	peer_command(p, "CANCEL", "u", 1);
	peer_frame(p, 0, "\0t", 2);
	peer_message(p, "upstream");
	env_run(&e);
	assert_string_equal(env_log(&e, 0), "a@1[] a+t a+u a+v a-u a-t a:upstream");
	uint8_t *topic = calloc(1, 70000);
	topic[0] = 1;
	peer_frame(p, 0, topic, 70000);
	free(topic);
	env_pass(&e, 2 * BB_SEC);
	assert_true(p->destroyed);
	assert_int_equal(env_count(&e, 1, BB_IO_REFUSED_SUBSCRIPTION), 1);
	env_close(&e);
}

/* Without a buffer nobody reads; nothing is lost and no time-out of ours counts. */
static void
starved_sessions_wait_for_memory(void **state)
{
	struct env e;
	uint32_t taken[64], count = 0;
	(void)state;
	open_pipeline(&e, &(struct env_options){ .buffers = 8 });
	struct peer *p = env_join(&e, 0, 1, "PUSH", "");
	(void)env_log(&e, 0);
	while ((taken[count] = bb_pool_get(&e.pool, BB_POOL_DATA)) != BB_BUFFER_NONE)
		count++;
	for (int i = 0; i < 40; i++)
		send_bodies(p, 'x', 1000, 2);
	for (int i = 0; i < 70; i++)
		send_bodies(p, 'y', 1000, 1);
	env_pass(&e, 95 * BB_SEC);
	assert_false(p->destroyed);
	for (uint32_t i = 0; i < count; i++)
		bb_pool_put(&e.pool, taken[i], 1);
	env_run(&e);
	assert_int_equal(e.msgs[0][0], 150);
	env_close(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_split_of_any_form_gives_the_same_messages),
		cmocka_unit_test(a_view_of_many_pieces_hides_nothing),
		cmocka_unit_test(a_message_beyond_a_view_becomes_a_chain),
		cmocka_unit_test(messages_before_a_bad_frame_are_routed),
		cmocka_unit_test(limits_hold_for_short_long_and_odd_messages),
		cmocka_unit_test(no_message_is_longer_than_a_descriptor_says),
		cmocka_unit_test(a_window_that_is_used_up_stops_and_resumes),
		cmocka_unit_test(producers_resume_in_rotation),
		cmocka_unit_test(a_large_message_gets_its_turn),
		cmocka_unit_test(all_that_wait_are_let_go_on_without_another_event),
		cmocka_unit_test(only_the_window_that_opens_lets_its_sessions_read),
		cmocka_unit_test(a_ring_that_is_full_loses_nothing),
		cmocka_unit_test(a_subscription_has_two_forms_and_a_longest_topic),
		cmocka_unit_test(starved_sessions_wait_for_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
