/* SPDX-License-Identifier: BSD-3-Clause */
/* Greeting, READY, claims, shared addresses. */
#include "io_env.h"

#include "base/time.h"

static void
a_publisher_is_greeted_and_attached(void **state)
{
	struct env e;
	(void)state;
	env_open(&e, &(struct env_options){ 0 });
	const struct bb_endpoint conf = env_conf(0, BB_PATTERN_PUBSUB);
	env_endpoint(&e, &conf);
	struct peer *p = env_join(&e, 0, 1, "PUB", "");
	assert_string_equal(env_log(&e, 0), "a@0[]");
	assert_int_equal(env_count(&e, 0, BB_IO_PEERS), 1);
	peer_message(p, "hello|world");
	env_run(&e);
	assert_string_equal(env_log(&e, 0), "a:hello|world");
	env_close(&e);
}

static void
a_handshake_may_come_octet_by_octet(void **state)
{
	struct env e;
	(void)state;
	env_open(&e, &(struct env_options){ 0 });
	const struct bb_endpoint conf = env_conf(0, BB_PATTERN_PIPELINE);
	env_endpoint(&e, &conf);
	struct peer *p = env_accept(&e, 0);
	(void)env_turn(&e);
	peer_greet(p, 0);
	peer_ready(p, "PUSH", "");
	peer_message(p, "x|y");
	p->event_count = 0;
	const size_t len = p->in_len;
	uint8_t *all = malloc(len);
	memcpy(all, p->in, len);
	p->in_len = 0;
	for (size_t i = 0; i < len; i++) {
		peer_send(p, all + i, 1);
		(void)env_turn(&e);
	}
	free(all);
	env_run(&e);
	assert_string_equal(env_log(&e, 0), "a@0[] a:x|y");
	assert_string_equal(peer_take(p), "/GREETING /READY");
	env_close(&e);
}

static void
a_type_that_does_not_fit_is_told_and_closed(void **state)
{
	struct env e;
	(void)state;
	env_open(&e, &(struct env_options){ 0 });
	const struct bb_endpoint conf = env_conf(0, BB_PATTERN_PIPELINE);
	env_endpoint(&e, &conf);
	struct peer *p = env_accept(&e, 0);
	peer_greet(p, 1);
	peer_ready(p, "SUB", "");
	env_pass(&e, 100 * BB_MSEC);
	assert_string_equal(peer_take(p), "/GREETING /READY /ERROR");
	assert_true(p->finished);
	assert_false(p->destroyed); /* it has a second to read it */
	env_pass(&e, 2 * BB_SEC);
	assert_true(p->destroyed);
	assert_int_equal(env_count(&e, 0, BB_IO_REFUSED_TYPE), 1);
	assert_string_equal(env_log(&e, 0), "");
	env_close(&e);
}

static void
a_shared_address_serves_the_side_that_the_peer_means(void **state)
{
	struct env e;
	(void)state;
	env_open(&e, &(struct env_options){ 0 });
	struct bb_endpoint conf = env_conf(0, BB_PATTERN_PUBSUB);
	conf.shared_address = true;
	env_endpoint(&e, &conf);
	struct peer *p = env_accept(&e, 0);
	peer_greet(p, 1);
	env_pass(&e, 20 * BB_MSEC);
	assert_string_equal(peer_take(p), "/GREETING");
	peer_ready(p, "SUB", "");
	peer_command(p, "SUBSCRIBE", "t", 1);
	env_run(&e);
	assert_string_equal(peer_take(p), "/READY");
	assert_string_equal(env_log(&e, 0), "a@1[] a+t");
	assert_int_equal(env_count(&e, 1, BB_IO_PEERS), 1);
	env_close(&e);
}

static void
a_client_waits_for_its_routing_id(void **state)
{
	struct env e;
	(void)state;
	env_open(&e, &(struct env_options){ 0 });
	const struct bb_endpoint conf = env_conf(0, BB_PATTERN_REQREP);
	env_endpoint(&e, &conf);
	e.hold_grants = true;
	struct peer *p = env_accept(&e, 0);
	peer_greet(p, 1);
	peer_ready(p, "DEALER", "me");
	for (int i = 0; i < 10; i++)
		(void)env_turn(&e);
	assert_string_equal(peer_take(p), "/GREETING");
	assert_string_equal(env_log(&e, 0), "a@0[me]");
	env_refuse(&e, 'a', BB_REFUSED_ID_TAKEN);
	env_run(&e);
	assert_true(p->destroyed);
	assert_string_equal(env_log(&e, 0), "a!");
	e.hold_grants = false;
	p = env_join(&e, 0, 1, "DEALER", "me");
	peer_message(p, "|request");
	env_run(&e);
	assert_string_equal(env_log(&e, 0), "b@0[me] b:me||request");
	env_close(&e);
}

static void
an_outgoing_connection_that_fails_is_told_to_the_agent(void **state)
{
	struct env e;
	(void)state;
	env_open(&e, &(struct env_options){ 0 });
	const struct bb_endpoint conf = env_conf(0, BB_PATTERN_PIPELINE);
	env_endpoint(&e, &conf);
	struct peer *p = env_connect(&e, 0);
	const uint64_t tag = e.tag;
	peer_event(p, BB_STREAM_CLOSED, BB_STREAM_REFUSED);
	env_run(&e);
	assert_true(p->destroyed);
	const struct bb_mail *last = &e.mails[e.mail_count - 1];
	assert_int_equal(last->kind, BB_MAIL_LOST);
	assert_int_equal(last->tag, tag);
	assert_int_equal(last->arg, BB_STREAM_REFUSED);
	assert_int_equal(last->value, 0);
	p = env_connect(&e, 0);
	peer_event(p, BB_STREAM_CONNECTED, 0);
	peer_greet(p, 1);
	peer_ready(p, "PUSH", "");
	peer_message(p, "x");
	env_run(&e);
	assert_string_equal(env_log(&e, 0), "a@0[] a:x");
	env_close(&e);
}

/* A limit that changes between ATTACH and GRANTED holds for the session as for any other. */
static void
a_limit_that_changes_while_a_claim_is_open_is_taken_over(void **state)
{
	struct env e;
	(void)state;
	env_open(&e, &(struct env_options){ 0 });
	const struct bb_endpoint conf = env_conf(0, BB_PATTERN_REQREP);
	struct bb_endpoint changed = conf;
	env_endpoint(&e, &conf);
	e.hold_grants = true;
	struct peer *p = env_accept(&e, 0);
	peer_greet(p, 1);
	peer_ready(p, "DEALER", "");
	for (int i = 0; i < 10; i++)
		(void)env_turn(&e);
	changed.side[0].hwm_msgs = 2;
	env_endpoint(&e, &changed);
	env_push(&e, 0,
		&(struct bb_delivery){
			.session = e.handles[0], .kind = BB_DELIVERY_GRANTED, .buffer = BB_BUFFER_NONE });
	env_run(&e);
	p->room = 0;
	for (int i = 0; i < 5; i++)
		env_deliver(&e, 'a', "reply");
	env_run(&e);
	assert_int_equal(env_count(&e, 0, BB_IO_QUEUED), 2);
	assert_int_equal(env_count(&e, 0, BB_IO_OUT_HWM), 3);
	env_close(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_publisher_is_greeted_and_attached),
		cmocka_unit_test(a_handshake_may_come_octet_by_octet),
		cmocka_unit_test(a_type_that_does_not_fit_is_told_and_closed),
		cmocka_unit_test(a_shared_address_serves_the_side_that_the_peer_means),
		cmocka_unit_test(a_client_waits_for_its_routing_id),
		cmocka_unit_test(an_outgoing_connection_that_fails_is_told_to_the_agent),
		cmocka_unit_test(a_limit_that_changes_while_a_claim_is_open_is_taken_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
