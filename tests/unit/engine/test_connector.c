/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

#include "actors.h"
#include "base/log.h"
#include "base/time.h"
#include "engine/connector.h"
#include "transport/stream.h"

#define MIN_NS (100 * BB_MSEC)
#define MAX_NS (30 * BB_SEC)

struct bench {
	struct actors actors;
	struct bb_post post;
	struct bb_connectors connectors;
	uint64_t now_ns;
};

static void
on_connection(void *user, uint32_t io, const struct bb_mail *mail)
{
	struct bench *b = user;

	bb_connectors_on_mail(&b->connectors, io, mail, b->now_ns);
}

static int
setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	bb_log_level_set(BB_LOG_ERROR);
	actors_init(&b->actors, 8);
	assert_int_equal(bb_post_init(&b->post, &b->actors.fabric), 0);
	b->post.user = b;
	b->post.on_connection = on_connection;
	assert_int_equal(bb_connectors_init(&b->connectors, &b->post, 1), 0);
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	struct bench *b = *state;

	bb_connectors_fini(&b->connectors);
	bb_post_fini(&b->post);
	actors_fini(&b->actors);
	free(b);
	return 0;
}

static void
turn(struct bench *b)
{
	bb_connectors_poll(&b->connectors, b->now_ns);
	bb_post_poll(&b->post, b->now_ns);
}

static struct bb_connector *
opened(struct bench *b, const char *text)
{
	struct bb_connector *k;
	struct bb_text why = { "" };

	if (bb_connector_open(&b->connectors, 5, text, MIN_NS, MAX_NS, b->now_ns, &k, &why) != 0)
		fail_msg("%s", why.s);
	return k;
}

/* The CONNECT that an I/O core has; which one, in *ret_io. */
static struct bb_mail
connect_mail(struct bench *b, uint32_t *ret_io)
{
	struct bb_mail mail;

	for (uint32_t io = 0; io < ACTOR_IOS; io++) {
		if (!actor_read(&b->actors, io, &mail))
			continue;
		assert_int_equal(mail.kind, BB_MAIL_CONNECT);
		*ret_io = io;
		return mail;
	}
	fail_msg("no I/O core has a CONNECT");
	return (struct bb_mail){ 0 };
}

static void
lost(struct bench *b, uint32_t io, uint64_t tag, bool was_up)
{
	actor_says(&b->actors, io,
		&(struct bb_mail){
			.kind = BB_MAIL_LOST, .tag = tag, .arg = BB_STREAM_REFUSED, .value = was_up });
	turn(b);
}

static void
waits_grow_from_the_minimum_to_the_maximum(void **state)
{
	struct bb_rand r;
	uint64_t most[20] = { 0 };

	(void)state;
	bb_rand_init(&r, 7);
	for (int i = 0; i < 20000; i++) {
		const uint32_t failures = (uint32_t)i % 20;
		const uint64_t wait_ns = bb_connector_wait_ns(&r, MIN_NS, MAX_NS, failures);
		const uint64_t cap_ns = bb_min_u64(MAX_NS, MIN_NS << (failures + 1));
		assert_in_range(wait_ns, MIN_NS, cap_ns);
		most[failures] = bb_max_u64(most[failures], wait_ns);
	}
	for (int i = 0; i < 20; i++) /* the whole range is used: full jitter */
		assert_true(most[i] > bb_min_u64(MAX_NS, MIN_NS << (i + 1)) / 10 * 9);
}

static void
odd_limits_of_waiting_are_put_right(void **state)
{
	struct bb_rand r;

	(void)state;
	bb_rand_init(&r, 7);
	assert_int_equal(bb_connector_wait_ns(&r, BB_SEC, BB_MSEC, 5), BB_SEC); /* max below min */
	for (uint32_t i = 0; i < 100; i++) {
		assert_in_range(bb_connector_wait_ns(&r, 0, 0, i), BB_MSEC, BB_MSEC);
		assert_in_range(bb_connector_wait_ns(&r, 1, UINT64_MAX, i), BB_MSEC, UINT64_MAX);
	}
}

static void
an_address_goes_to_an_io_core_at_once(void **state)
{
	struct bench *b = *state;
	uint32_t io;

	opened(b, "tcp://10.0.0.7:5559");
	turn(b);
	const struct bb_mail mail = connect_mail(b, &io);
	const struct bb_mail_connect *c = mail.ptr;
	struct sockaddr_in to;
	memcpy(&to, c->address, sizeof(to));
	assert_int_equal(c->side, 5);
	assert_int_equal(mail.value, 0);
	assert_int_equal(to.sin_family, AF_INET);
	assert_int_equal(ntohs(to.sin_port), 5559);
	assert_int_equal(ntohl(to.sin_addr.s_addr), 0x0a000007);
	assert_string_equal(c->text, "tcp://10.0.0.7:5559");
}

static void
the_least_loaded_io_core_gets_it(void **state)
{
	struct bench *b = *state;
	uint32_t io;

	b->actors.fabric.io_load[0] = 5;
	for (int i = 0; i < 4; i++) {
		opened(b, "tcp://10.0.0.7:5559");
		turn(b);
		connect_mail(b, &io);
		assert_int_equal(io, 1);
	}
}

static void
a_lost_connection_is_begun_again_after_a_wait(void **state)
{
	struct bench *b = *state;
	uint64_t last_tag = 0;
	uint32_t io;

	opened(b, "tcp://10.0.0.7:5559");
	for (uint32_t i = 0; i < 12; i++) {
		turn(b);
		const struct bb_mail mail = connect_mail(b, &io);
		assert_int_equal(mail.value, i);
		assert_int_not_equal(mail.tag, last_tag);
		last_tag = mail.tag;
		actor_done(&b->actors, io, mail.tag, 0);
		turn(b);
		lost(b, io, mail.tag, false);
		const uint64_t due_ns = bb_connectors_deadline(&b->connectors);
		assert_in_range(due_ns - b->now_ns, MIN_NS, bb_min_u64(MAX_NS, MIN_NS << (i + 1)));
		b->now_ns = due_ns - 1;
		turn(b);
		actors_have_no_mail(&b->actors);
		b->now_ns = due_ns;
	}
}

static void
one_that_had_come_up_starts_from_the_minimum(void **state)
{
	struct bench *b = *state;
	uint32_t io;

	opened(b, "tcp://10.0.0.7:5559");
	for (uint32_t i = 0; i < 10; i++) {
		turn(b);
		const struct bb_mail mail = connect_mail(b, &io);
		actor_done(&b->actors, io, mail.tag, 0);
		turn(b);
		lost(b, io, mail.tag, true);
		b->now_ns = bb_connectors_deadline(&b->connectors);
		assert_true(b->now_ns < BB_NEVER);
	}
	assert_true(b->now_ns <= 10 * 2 * MIN_NS);
}

static void
an_io_core_that_refuses_is_asked_again(void **state)
{
	struct bench *b = *state;
	uint32_t io;

	opened(b, "tcp://10.0.0.7:5559");
	turn(b);
	const struct bb_mail mail = connect_mail(b, &io);
	actor_done(&b->actors, io, mail.tag, -EMFILE);
	turn(b);
	b->now_ns = bb_connectors_deadline(&b->connectors);
	turn(b);
	assert_int_not_equal(connect_mail(b, &io).tag, mail.tag);
}

static void
late_mail_for_an_older_attempt_changes_nothing(void **state)
{
	struct bench *b = *state;
	uint32_t io, io2;

	struct bb_connector *k = opened(b, "tcp://10.0.0.7:5559");
	turn(b);
	const struct bb_mail first = connect_mail(b, &io);
	lost(b, io, first.tag, false); /* before its DONE, which a full ring can do */
	actor_done(&b->actors, io, first.tag, 0);
	turn(b);
	assert_int_equal(k->state, BB_CONNECTOR_WAITING);
	b->now_ns = bb_connectors_deadline(&b->connectors);
	turn(b);
	const struct bb_mail second = connect_mail(b, &io2);
	actor_done(&b->actors, io2, second.tag, 0);
	turn(b);
	lost(b, io, first.tag, true);
	assert_int_equal(k->state, BB_CONNECTOR_UP);
}

static void
taking_an_address_out_ends_its_connection(void **state)
{
	struct bench *b = *state;
	uint32_t io;

	struct bb_connector *k = opened(b, "tcp://10.0.0.7:5559");
	turn(b);
	const struct bb_mail mail = connect_mail(b, &io);
	bb_connector_close(&b->connectors, k, true); /* its DONE is still to come: the mail must live */
	turn(b);
	const struct bb_mail end = actor_expect(&b->actors, io, BB_MAIL_DISCONNECT);
	assert_int_equal(end.value, mail.tag);
	assert_string_equal(((const struct bb_mail_connect *)mail.ptr)->text, "tcp://10.0.0.7:5559");
	actor_done(&b->actors, io, mail.tag, 0);
	actor_done(&b->actors, io, end.tag, 0);
	lost(b, io, mail.tag, true);
	assert_true(bb_list_empty(&b->connectors.all));
	assert_int_equal(bb_connectors_deadline(&b->connectors), BB_NEVER);
}

static void
names_are_looked_up_for_each_attempt(void **state)
{
	struct bench *b = *state;
	uint32_t io;

	/* A name to us; the resolver knows it without a file of hosts, which a bare machine may lack. */
	struct bb_connector *k = opened(b, "tcp://127.1:5559");
	for (int i = 0; i < 3; i++) {
		struct pollfd fd = { .fd = bb_resolver_fd(b->connectors.resolver), .events = POLLIN };
		assert_int_equal(k->state, BB_CONNECTOR_RESOLVING);
		assert_int_equal(poll(&fd, 1, 30000), 1);
		turn(b);
		const struct bb_mail mail = connect_mail(b, &io);
		actor_done(&b->actors, io, mail.tag, 0);
		turn(b);
		lost(b, io, mail.tag, false);
		b->now_ns = bb_connectors_deadline(&b->connectors);
		turn(b);
	}
}

static void
what_cannot_be_connected_to_is_refused_by_name(void **state)
{
	static const char *const bad[] = { "tcp://*:5559", "tcp://10.0.0.7:*", "nonsense" };
	struct bench *b = *state;

	for (size_t i = 0; i < BB_ARRAY_LEN(bad); i++) {
		struct bb_connector *k;
		struct bb_text why;
		assert_int_equal(
			bb_connector_open(&b->connectors, 5, bad[i], MIN_NS, MAX_NS, 0, &k, &why), -EINVAL);
		assert_memory_equal(why.s, bad[i], strlen(bad[i]));
	}
	assert_true(bb_list_empty(&b->connectors.all));
}

#define TEST(x) cmocka_unit_test_setup_teardown(x, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(waits_grow_from_the_minimum_to_the_maximum),
		TEST(odd_limits_of_waiting_are_put_right),
		TEST(an_address_goes_to_an_io_core_at_once),
		TEST(the_least_loaded_io_core_gets_it),
		TEST(a_lost_connection_is_begun_again_after_a_wait),
		TEST(one_that_had_come_up_starts_from_the_minimum),
		TEST(an_io_core_that_refuses_is_asked_again),
		TEST(late_mail_for_an_older_attempt_changes_nothing),
		TEST(taking_an_address_out_ends_its_connection),
		TEST(names_are_looked_up_for_each_attempt),
		TEST(what_cannot_be_connected_to_is_refused_by_name),
	};

	return cmocka_run_group_tests_name("engine/connector", tests, NULL, NULL);
}
