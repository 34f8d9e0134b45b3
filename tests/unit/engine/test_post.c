/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include <errno.h>

#include "actors.h"
#include "base/time.h"
#include "engine/post.h"

struct bench {
	struct actors actors;
	struct bb_post post;
	uint32_t done;	 /* calls of on_done */
	int error;	 /* of the last */
	uintptr_t order; /* of their args, as decimal digits */
	struct bb_mail connection;
	uint32_t connection_io, reports;
};

static void
on_done(void *user, void *arg, int error)
{
	struct bench *b = user;

	b->done++;
	b->error = error;
	b->order = b->order * 10 + (uintptr_t)arg;
}

static void
on_connection(void *user, uint32_t io, const struct bb_mail *mail)
{
	struct bench *b = user;

	b->connection = *mail;
	b->connection_io = io;
}

static void
on_report(void *user, const struct bb_mail *mail)
{
	struct bench *b = user;

	b->reports++;
	free(mail->ptr);
}

static int
setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	actors_init(&b->actors, 4);
	assert_int_equal(bb_post_init(&b->post, &b->actors.fabric), 0);
	b->post.user = b;
	b->post.on_connection = on_connection;
	b->post.on_report = on_report;
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	struct bench *b = *state;

	bb_post_fini(&b->post);
	actors_fini(&b->actors);
	free(b);
	return 0;
}

static void
sent(struct bench *b, enum bb_post_to to, uint32_t index, uint32_t kind, uintptr_t arg)
{
	assert_int_equal(
		bb_post_send(&b->post, to, index, &(struct bb_mail){ .kind = kind }, on_done, (void *)arg),
		0);
}

static void
a_job_is_done_when_the_last_actor_has_answered(void **state)
{
	struct bench *b = *state;
	uint64_t tag = 0;

	sent(b, BB_POST_ALL, 0, BB_MAIL_ENDPOINT, 1);
	bb_post_poll(&b->post, 0);
	for (uint32_t n = 0; n < ACTORS; n++) {
		assert_int_equal(b->done, 0);
		tag = actor_expect(&b->actors, n, BB_MAIL_ENDPOINT).tag;
		actor_done(&b->actors, n, tag, 0);
		bb_post_poll(&b->post, 0);
	}
	assert_int_equal(b->done, 1);
	assert_int_equal(b->error, 0);
	assert_int_equal(b->post.job_count, 0);
}

static void
the_first_error_is_the_jobs(void **state)
{
	struct bench *b = *state;

	sent(b, BB_POST_IOS, 0, BB_MAIL_ENDPOINT, 1);
	bb_post_poll(&b->post, 0);
	for (uint32_t n = 0; n < ACTOR_IOS; n++)
		actor_done(
			&b->actors, n, actor_expect(&b->actors, n, BB_MAIL_ENDPOINT).tag, -(ENOMEM + (int)n));
	bb_post_poll(&b->post, 0);
	assert_int_equal(b->done, 1);
	assert_int_equal(b->error, -ENOMEM);
}

static void
several_jobs_are_answered_in_any_order(void **state)
{
	struct bench *b = *state;
	uint64_t tags[3];

	for (uintptr_t i = 0; i < 3; i++)
		sent(b, BB_POST_IO, 1, BB_MAIL_LISTEN, i + 1);
	bb_post_poll(&b->post, 0);
	for (int i = 0; i < 3; i++)
		tags[i] = actor_expect(&b->actors, 1, BB_MAIL_LISTEN).tag;
	actor_done(&b->actors, 1, tags[2], 0);
	actor_done(&b->actors, 1, tags[0], 0);
	actor_done(&b->actors, 1, tags[1], 0);
	bb_post_poll(&b->post, 0);
	assert_int_equal(b->order, 312);
	actors_have_no_mail(&b->actors);
}

static void
mail_keeps_its_order_when_the_ring_is_full(void **state)
{
	struct bench *b = *state;
	uint64_t last = 0;
	uint32_t seen = 0;

	for (uintptr_t i = 0; i < 50; i++) /* the ring takes 3 */
		sent(b, BB_POST_ROUTER, 0, BB_MAIL_SUBSCRIPTIONS, 0);
	while (seen < 50) {
		struct bb_mail mail;
		bb_post_poll(&b->post, 0);
		assert_true(seen >= 47 || bb_post_deadline(&b->post, 0) == BB_MSEC);
		while (actor_read(&b->actors, ACTOR_IOS, &mail)) {
			assert_true(mail.tag > last);
			last = mail.tag;
			seen++;
			actor_done(&b->actors, ACTOR_IOS, mail.tag, 0);
			bb_post_poll(&b->post, 0);
		}
	}
	assert_int_equal(b->done, 50);
	assert_int_equal(bb_post_deadline(&b->post, 0), BB_NEVER);
}

static void
a_drain_without_memory_is_sent_again_to_that_actor_alone(void **state)
{
	struct bench *b = *state;
	struct bb_mail mail;

	sent(b, BB_POST_ALL, 0, BB_MAIL_DRAIN, 1);
	bb_post_poll(&b->post, 0);
	for (uint32_t n = 0; n < ACTORS; n++) {
		mail = actor_expect(&b->actors, n, BB_MAIL_DRAIN);
		actor_done(&b->actors, n, mail.tag, n == 2 ? -ENOMEM : 0);
	}
	bb_post_poll(&b->post, 0);
	assert_int_equal(b->done, 0);
	const uint64_t due_ns = bb_post_deadline(&b->post, 0);
	assert_true(due_ns > 0 && due_ns < BB_SEC);
	bb_post_poll(&b->post, due_ns - 1);
	actors_have_no_mail(&b->actors);
	bb_post_poll(&b->post, due_ns);
	const struct bb_mail again = actor_expect(&b->actors, 2, BB_MAIL_DRAIN);
	assert_int_equal(again.tag, mail.tag);
	actors_have_no_mail(&b->actors);
	actor_done(&b->actors, 2, again.tag, 0);
	bb_post_poll(&b->post, due_ns);
	assert_int_equal(b->done, 1);
	assert_int_equal(b->error, 0);
}

static void
mail_of_connections_and_reports_go_their_own_way(void **state)
{
	struct bench *b = *state;
	const uint64_t tag = BB_POST_CONNECTION | 77;

	assert_int_equal(
		bb_post_connection(&b->post, 1, &(struct bb_mail){ .kind = BB_MAIL_CONNECT, .tag = tag }), 0);
	bb_post_poll(&b->post, 0);
	assert_int_equal(actor_expect(&b->actors, 1, BB_MAIL_CONNECT).tag, tag);
	actor_done(&b->actors, 1, tag, 0);
	bb_post_poll(&b->post, 0);
	assert_int_equal(b->connection.kind, BB_MAIL_DONE);
	actor_says(&b->actors, 1, &(struct bb_mail){ .kind = BB_MAIL_LOST, .tag = tag, .arg = 3 });
	actor_says(&b->actors, 0, &(struct bb_mail){ .kind = BB_MAIL_REPORT, .ptr = malloc(1) });
	bb_post_poll(&b->post, 0);
	assert_int_equal(b->connection.kind, BB_MAIL_LOST);
	assert_int_equal(b->connection_io, 1);
	assert_int_equal(b->reports, 1);
	assert_int_equal(b->done, 0);
}

static void
jobs_that_are_open_at_the_end_are_forgotten(void **state)
{
	struct bench *b = *state;

	for (uintptr_t i = 0; i < 10; i++)
		sent(b, BB_POST_ALL, 0, BB_MAIL_REMOVED, 1);
	/* teardown: no answer will come; the leak checker looks on */
	assert_int_equal(b->post.job_count, 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_job_is_done_when_the_last_actor_has_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(the_first_error_is_the_jobs, setup, teardown),
		cmocka_unit_test_setup_teardown(several_jobs_are_answered_in_any_order, setup, teardown),
		cmocka_unit_test_setup_teardown(mail_keeps_its_order_when_the_ring_is_full, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_drain_without_memory_is_sent_again_to_that_actor_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(
			mail_of_connections_and_reports_go_their_own_way, setup, teardown),
		cmocka_unit_test_setup_teardown(jobs_that_are_open_at_the_end_are_forgotten, setup, teardown),
	};

	return cmocka_run_group_tests_name("engine/post", tests, NULL, NULL);
}
