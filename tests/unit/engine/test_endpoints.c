/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "actors.h"
#include "base/log.h"
#include "base/time.h"
#include "engine/endpoints.h"
#include "engine/listen.h"
#include "zmtp/type.h"

struct bench {
	struct actors actors;
	struct bb_post post;
	struct bb_connectors connectors;
	struct bb_endpoints endpoints;
	struct bb_list requests;
	uint32_t answers;
	int error; /* of the last */
	char text[BB_CMD_TEXT_MAX];
};

static void
on_connection(void *user, uint32_t io, const struct bb_mail *mail)
{
	struct bench *b = user;

	bb_connectors_on_mail(&b->connectors, io, mail, b->endpoints.now_ns);
}

static void
answer(struct bb_request *r)
{
	struct bench *b = r->user;

	b->answers++;
	b->error = r->error;
	memcpy(b->text, r->text.s, sizeof(b->text));
}

static int
setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	bb_log_level_set((enum bb_log_level) - 1); /* refusals are what is tested */
	actors_init(&b->actors, 64);
	assert_int_equal(bb_post_init(&b->post, &b->actors.fabric), 0);
	b->post.user = b;
	b->post.on_connection = on_connection;
	assert_int_equal(bb_connectors_init(&b->connectors, &b->post, 1), 0);
	bb_endpoints_init(&b->endpoints, &b->post, &b->connectors);
	bb_list_init(&b->requests);
	*state = b;
	return 0;
}

/* Descriptors that were handed to I/O cores are ours to close. */
static void
close_mail(struct bench *b)
{
	struct bb_mail mail;

	for (uint32_t n = 0; n < ACTORS; n++) {
		while (actor_read(&b->actors, n, &mail)) {
			if (mail.kind == BB_MAIL_LISTEN)
				close((int)mail.value);
		}
	}
}

static int
teardown(void **state)
{
	struct bench *b = *state;

	close_mail(b);
	bb_connectors_fini(&b->connectors);
	bb_endpoints_fini(&b->endpoints);
	bb_post_fini(&b->post);
	bb_requests_drop(&b->requests);
	actors_fini(&b->actors);
	free(b);
	return 0;
}

static void
turn(struct bench *b)
{
	bb_connectors_poll(&b->connectors, b->endpoints.now_ns);
	bb_endpoints_poll(&b->endpoints);
	bb_post_poll(&b->post, b->endpoints.now_ns);
}

static struct bb_cmd_endpoint
endpoint(const char *name, uint32_t pattern)
{
	struct bb_cmd_endpoint e = { .pattern = pattern };

	snprintf(e.name, sizeof(e.name), "%s", name);
	for (unsigned i = 0; i < 2; i++) {
		e.side[i] = (struct bb_cmd_side){ .when_full = BB_FULL_DROP,
			.max_message = 1 << 20,
			.max_frames = 100,
			.reconnect_min_ns = BB_SEC,
			.reconnect_max_ns = BB_SEC };
	}
	return e;
}

static void
add_bind(struct bb_cmd_side *s, const char *text)
{
	snprintf(s->bind[s->bind_count++].text, BB_CMD_ADDRESS_MAX, "%s", text);
}

static void
add_connect(struct bb_cmd_side *s, const char *text)
{
	snprintf(s->connect[s->connect_count++].text, BB_CMD_ADDRESS_MAX, "%s", text);
}

static void
set(struct bench *b, const struct bb_cmd_endpoint *e)
{
	struct bb_request *r = bb_request_create(&b->requests, BB_CONN_NONE, 1);

	r->user = b;
	r->answer = answer;
	b->answers = 0;
	bb_endpoints_set(&b->endpoints, e, r);
	bb_request_put(r);
	turn(b);
}

static void
removed(struct bench *b, const char *name, uint64_t deadline_ns)
{
	struct bb_request *r = bb_request_create(&b->requests, BB_CONN_NONE, 1);

	r->user = b;
	r->answer = answer;
	bb_endpoints_remove(&b->endpoints, name, deadline_ns, r);
	bb_request_put(r);
	turn(b);
}

/* All actors take the ENDPOINT. */
static const struct bb_endpoint *
actors_take(struct bench *b)
{
	const struct bb_mail mail = actors_all_do(&b->actors, BB_MAIL_ENDPOINT);

	turn(b);
	return mail.ptr;
}

/* The LISTENs that I/O cores have are taken; returns how many of that side index there were. */
static uint32_t
ios_listen(struct bench *b, uint32_t side)
{
	struct bb_mail mail;
	uint32_t count = 0;

	for (uint32_t io = 0; io < ACTOR_IOS; io++) {
		while (actor_read(&b->actors, io, &mail)) {
			assert_true(mail.kind == BB_MAIL_LISTEN || mail.kind == BB_MAIL_UNLISTEN);
			if (mail.kind == BB_MAIL_LISTEN) {
				count += mail.arg == side;
				close((int)mail.value);
			}
			actor_done(&b->actors, io, mail.tag, 0);
		}
	}
	turn(b);
	return count;
}

static void
succeeded(const struct bench *b)
{
	if (b->error != 0)
		fail_msg("%d %s", b->error, b->text);
	assert_int_equal(b->answers, 1);
}

static void
a_new_endpoint_goes_to_all_actors_then_listens_then_is_answered(void **state)
{
	struct bench *b = *state;
	struct bb_cmd_endpoint e = endpoint("jobs", BB_PATTERN_PIPELINE);

	add_bind(&e.side[0], "tcp://127.0.0.1:*");
	add_bind(&e.side[1], "tcp://127.0.0.1:*");
	set(b, &e);
	assert_int_equal(b->answers, 0);
	const struct bb_endpoint *config = actors_take(b);
	assert_string_equal(config->name, "jobs");
	assert_int_equal(config->side[0].socket_type, BB_ZMTP_PULL);
	assert_int_equal(config->side[1].socket_type, BB_ZMTP_PUSH);
	assert_int_equal(b->answers, 0);
	assert_int_equal(ios_listen(b, 0), 1);
	succeeded(b);

	struct bb_cmd_endpoint_state s;
	bb_endpoint_describe(bb_endpoints_next(&b->endpoints, 0), &s);
	assert_int_equal(s.bind_error[0][0], 0);
	assert_memory_equal(s.bound[0][0].text, "tcp://127.0.0.1:", 16);
	assert_true(atoi(s.bound[0][0].text + 16) > 0); /* the port that the kernel chose */
	assert_null(bb_endpoints_next(&b->endpoints, s.next));
}

static void
nothing_listens_before_every_actor_knows_the_endpoint(void **state)
{
	struct bench *b = *state;
	struct bb_cmd_endpoint e = endpoint("jobs", BB_PATTERN_PIPELINE);

	add_bind(&e.side[0], "tcp://127.0.0.1:*");
	set(b, &e);
	for (uint32_t n = 0; n < ACTORS - 1; n++)
		actor_done(&b->actors, n, actor_expect(&b->actors, n, BB_MAIL_ENDPOINT).tag, 0);
	turn(b);
	struct bb_mail mail;
	for (uint32_t n = 0; n < ACTOR_IOS; n++)
		assert_false(actor_read(&b->actors, n, &mail));
}

static void
an_address_in_use_is_named_and_tried_again(void **state)
{
	struct bench *b = *state;
	struct bb_cmd_endpoint e = endpoint("jobs", BB_PATTERN_PIPELINE);
	const int other = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	char text[64];

	assert_int_equal(bind(other, (const void *)&at, sizeof(at)), 0);
	assert_int_equal(listen(other, 1), 0);
	getsockname(other, (void *)&at, &len);
	snprintf(text, sizeof(text), "tcp://127.0.0.1:%u", ntohs(at.sin_port));
	add_bind(&e.side[0], text);
	set(b, &e);
	actors_take(b);
	assert_int_equal(b->error, -EADDRINUSE);
	assert_memory_equal(b->text, text, strlen(text));
	struct bb_cmd_endpoint_state s;
	bb_endpoint_describe(bb_endpoints_next(&b->endpoints, 0), &s);
	assert_int_equal(s.bind_error[0][0], -EADDRINUSE);

	set(b, &e); /* the same wish: tried at once, told again */
	assert_int_equal(b->error, -EADDRINUSE);
	close(other);
	assert_int_equal(bb_endpoints_deadline(&b->endpoints), BB_SEC);
	b->endpoints.now_ns = BB_SEC;
	turn(b);
	turn(b);
	assert_int_equal(ios_listen(b, 0), 1);
	assert_int_equal(bb_endpoints_deadline(&b->endpoints), BB_NEVER);
}

static void
a_change_reaches_all_actors_and_the_old_version_is_freed(void **state)
{
	struct bench *b = *state;
	struct bb_cmd_endpoint e = endpoint("jobs", BB_PATTERN_PIPELINE);

	set(b, &e);
	actors_take(b);
	succeeded(b);
	for (uint32_t i = 1; i < 5; i++) { /* the leak checker counts */
		e.side[1].hwm_msgs = i * 10;
		set(b, &e);
		assert_int_equal(actors_take(b)->side[1].hwm_msgs, i * 10);
		succeeded(b);
	}
	set(b, &e);
	succeeded(b);
	actors_have_no_mail(&b->actors); /* nothing to change */
}

static void
a_change_that_an_actor_could_not_take_is_sent_again(void **state)
{
	struct bench *b = *state;
	struct bb_cmd_endpoint e = endpoint("jobs", BB_PATTERN_PIPELINE);

	set(b, &e);
	for (uint32_t n = 0; n < ACTORS; n++)
		actor_done(&b->actors, n, actor_expect(&b->actors, n, BB_MAIL_ENDPOINT).tag,
			n == 1 ? -ENOMEM : 0);
	turn(b);
	assert_int_equal(b->error, -ENOMEM);
	set(b, &e); /* the same, and yet */
	actors_take(b);
	succeeded(b);
}

static void
removing_an_address_hands_the_others_over_again(void **state)
{
	struct bench *b = *state;
	struct bb_cmd_endpoint e = endpoint("jobs", BB_PATTERN_PIPELINE);
	struct bb_cmd_endpoint_state s, after;

	add_bind(&e.side[0], "tcp://127.0.0.1:*");
	add_bind(&e.side[0], "tcp://127.0.0.2:*");
	set(b, &e);
	actors_take(b);
	assert_int_equal(ios_listen(b, 0), 2);
	bb_endpoint_describe(bb_endpoints_next(&b->endpoints, 0), &s);

	e.side[0].bind[0] = e.side[0].bind[1];
	e.side[0].bind_count = 1;
	set(b, &e);
	actors_take(b);
	const uint32_t io = b->endpoints.slots[0]->side[0].io;
	const struct bb_mail end = actor_expect(&b->actors, io, BB_MAIL_UNLISTEN);
	const struct bb_mail again = actor_expect(&b->actors, io, BB_MAIL_LISTEN);
	close((int)again.value);
	actor_done(&b->actors, io, end.tag, 0);
	actor_done(&b->actors, io, again.tag, 0);
	turn(b);
	succeeded(b);
	bb_endpoint_describe(bb_endpoints_next(&b->endpoints, 0), &after);
	assert_string_equal(after.bound[0][0].text, s.bound[0][1].text); /* the same socket */
}

static void
sides_may_share_an_address(void **state)
{
	struct bench *b = *state;
	struct bb_cmd_endpoint e = endpoint("jobs", BB_PATTERN_PIPELINE);

	char text[64]; /* nobody else's: a loopback address of this process */
	snprintf(text, sizeof(text), "tcp://127.77.%d.%d:45671", getpid() >> 8 & 0xff, getpid() & 0xff);
	add_bind(&e.side[0], text);
	add_bind(&e.side[1], text);
	set(b, &e);
	assert_true(actors_take(b)->shared_address);
	assert_int_equal(ios_listen(b, 0), 1);
	assert_int_equal(b->error, 0);
	struct bb_cmd_endpoint_state s;
	bb_endpoint_describe(bb_endpoints_next(&b->endpoints, 0), &s);
	assert_string_equal(s.bound[0][0].text, s.bound[1][0].text);

	e.side[0].bind_count = 0; /* now the other side needs one of its own */
	set(b, &e);
	assert_false(actors_take(b)->shared_address);
	assert_int_equal(ios_listen(b, 1), 1);
	succeeded(b);
}

static void
removal_drains_forgets_and_then_answers_everybody(void **state)
{
	struct bench *b = *state;
	struct bb_cmd_endpoint e = endpoint("jobs", BB_PATTERN_PIPELINE);

	add_bind(&e.side[0], "tcp://127.0.0.1:*");
	set(b, &e);
	actors_take(b);
	ios_listen(b, 0);
	b->answers = 0;
	removed(b, "jobs", 12345);
	removed(b, "jobs", 99999); /* impatient */
	set(b, &e);
	assert_int_equal(b->error, -EBUSY);
	b->answers = 0;
	b->error = 0;
	assert_int_equal(actors_all_do(&b->actors, BB_MAIL_DRAIN).value, 12345);
	turn(b);
	assert_int_equal(b->answers, 0);
	actors_all_do(&b->actors, BB_MAIL_REMOVED);
	turn(b);
	assert_int_equal(b->answers, 2);
	assert_int_equal(b->error, 0);
	assert_int_equal(b->endpoints.count, 0);
	b->answers = 0;
	removed(b, "jobs", 0); /* is gone already, as wished */
	succeeded(b);
}

static void
connections_end_when_their_address_is_taken_out(void **state)
{
	struct bench *b = *state;
	struct bb_cmd_endpoint e = endpoint("jobs", BB_PATTERN_PIPELINE);

	add_connect(&e.side[0], "tcp://127.0.0.1:1");
	add_connect(&e.side[0], "tcp://127.0.0.1:2");
	set(b, &e);
	actors_take(b);
	succeeded(b);
	uint64_t tag = 0;
	for (uint32_t io = 0; io < ACTOR_IOS; io++) {
		const struct bb_mail mail = actor_expect(&b->actors, io, BB_MAIL_CONNECT);
		if (strcmp(((const struct bb_mail_connect *)mail.ptr)->text, "tcp://127.0.0.1:1") == 0)
			tag = mail.tag;
		actor_done(&b->actors, io, mail.tag, 0);
	}
	turn(b);
	e.side[0].connect[0] = e.side[0].connect[1];
	e.side[0].connect_count = 1;
	set(b, &e);
	actors_take(b);
	uint32_t ended = 0;
	for (uint32_t io = 0; io < ACTOR_IOS; io++) {
		struct bb_mail mail;
		while (actor_read(&b->actors, io, &mail)) {
			assert_int_equal(mail.kind, BB_MAIL_DISCONNECT);
			assert_int_equal(mail.value, tag);
			ended++;
		}
	}
	assert_int_equal(ended, 1);
}

static void
homes_and_listeners_are_spread(void **state)
{
	struct bench *b = *state;
	uint32_t homes[ACTOR_ROUTERS] = { 0 };

	for (int i = 0; i < 6; i++) {
		char name[8];
		snprintf(name, sizeof(name), "e%d", i);
		const struct bb_cmd_endpoint e = endpoint(name, BB_PATTERN_PIPELINE);
		set(b, &e);
		homes[actors_take(b)->home]++;
	}
	assert_int_equal(homes[0], 3);
	assert_int_equal(homes[1], 3);
	assert_int_equal(b->endpoints.listens[0], b->endpoints.listens[1]);
}

static void
only_pubsub_that_may_drop_is_sharded(void **state)
{
	struct bb_cmd_endpoint e = endpoint("e", BB_PATTERN_PUBSUB);

	(void)state;
	assert_true(bb_endpoint_config(&e, 0, 0, 2).sharded);
	assert_false(bb_endpoint_config(&e, 0, 0, 1).sharded); /* there is but one shard */
	e.side[1].when_full = BB_FULL_DISCONNECT;
	assert_true(bb_endpoint_config(&e, 0, 0, 2).sharded);
	e.side[1].when_full = BB_FULL_BLOCK;
	assert_false(bb_endpoint_config(&e, 0, 0, 2).sharded);
	e = endpoint("e", BB_PATTERN_PIPELINE);
	assert_false(bb_endpoint_config(&e, 0, 0, 2).sharded);
}

static void
options_reach_the_actors_unchanged(void **state)
{
	struct bb_cmd_endpoint e = endpoint("rpc", BB_PATTERN_REQREP);
	struct bb_cmd_side *s = &e.side[0];

	(void)state;
	s->hwm_msgs = 1;
	s->hwm_bytes = 2;
	s->block_max_ns = 3;
	s->peers_max = 4;
	s->subscriptions_max = 5;
	s->handshake_timeout_ns = 6;
	s->heartbeat_interval_ns = 7;
	s->heartbeat_timeout_ns = 8;
	s->heartbeat_ttl_ns = 2 * BB_SEC;
	s->handover = 1;
	s->identity_len = 3;
	memcpy(s->identity, "abc", 3);
	s->sndbuf_bytes = 9;
	s->keepalive_count = 10;
	const struct bb_endpoint c = bb_endpoint_config(&e, 7, 1, 2);
	const struct bb_side_options *o = &c.side[0];
	assert_int_equal(c.id, 7);
	assert_int_equal(c.home, 1);
	assert_int_equal(o->hwm_msgs, 1);
	assert_int_equal(o->hwm_bytes, 2);
	assert_int_equal(o->block_max_ns, 3);
	assert_int_equal(o->peers_max, 4);
	assert_int_equal(o->subscriptions_max, 5);
	assert_int_equal(o->handshake_timeout_ns, 6);
	assert_int_equal(o->heartbeat_interval_ns, 7);
	assert_int_equal(o->heartbeat_timeout_ns, 8);
	assert_int_equal(o->heartbeat_ttl_ds, 20);
	assert_int_equal(o->max_message, 1 << 20);
	assert_int_equal(o->max_frames, 100);
	assert_int_equal(o->socket_type, BB_ZMTP_ROUTER);
	assert_true(o->claims && o->handover);
	assert_int_equal(o->identity_len, 3);
	assert_memory_equal(o->identity, "abc", 3);
	assert_int_equal(o->stream.sndbuf_bytes, 9);
	assert_int_equal(o->stream.keepalive_count, 10);
	assert_int_equal(c.side[1].socket_type, BB_ZMTP_DEALER);
	assert_false(c.side[1].claims);
}

static void
packets_that_make_no_sense_are_refused(void **state)
{
	struct bb_cmd_endpoint good = endpoint("e", BB_PATTERN_PUBSUB), e = good;
	struct bb_text text;

	(void)state;
	assert_int_equal(bb_endpoint_check(&good, &text), 0);
	e.name[0] = '\0';
	assert_int_equal(bb_endpoint_check(&e, &text), -EINVAL);
	memset(e.name, 'x', sizeof(e.name));
	assert_int_equal(bb_endpoint_check(&e, &text), -EINVAL);
	e = good;
	snprintf(e.name, sizeof(e.name), "a b");
	assert_int_equal(bb_endpoint_check(&e, &text), -EINVAL);
	e = good;
	e.pattern = 4;
	assert_int_equal(bb_endpoint_check(&e, &text), -EINVAL);
	e = good;
	e.side[1].when_full = 0;
	assert_int_equal(bb_endpoint_check(&e, &text), -EINVAL);
	e = good;
	e.side[0].bind_count = BB_CMD_ADDRESSES_MAX + 1;
	assert_int_equal(bb_endpoint_check(&e, &text), -EINVAL);
	e = good;
	e.side[0].connect_count = UINT32_MAX;
	assert_int_equal(bb_endpoint_check(&e, &text), -EINVAL);
	e = good;
	e.side[0].identity_len = BB_CMD_ID_MAX + 1;
	assert_int_equal(bb_endpoint_check(&e, &text), -EINVAL);
	e = good;
	e.side[0].max_message = 0;
	assert_int_equal(bb_endpoint_check(&e, &text), -EINVAL);
	e = good;
	e.side[0].bind_count = 1;
	memset(e.side[0].bind[0].text, 'x', sizeof(e.side[0].bind[0].text));
	assert_int_equal(bb_endpoint_check(&e, &text), -EINVAL);
}

static void
what_cannot_change_live_is_refused_with_the_way_out(void **state)
{
	struct bench *b = *state;
	struct bb_cmd_endpoint e = endpoint("quotes", BB_PATTERN_PUBSUB);

	set(b, &e);
	actors_take(b);
	e.side[1].when_full = BB_FULL_BLOCK;
	set(b, &e);
	assert_int_equal(b->error, -EBUSY);
	assert_non_null(strstr(b->text, "remove it first"));
	e = endpoint("quotes", BB_PATTERN_PIPELINE);
	set(b, &e);
	assert_int_equal(b->error, -EBUSY);
	actors_have_no_mail(&b->actors);
}

static void
a_draining_node_takes_no_changes(void **state)
{
	struct bench *b = *state;
	struct bb_cmd_endpoint e = endpoint("jobs", BB_PATTERN_PIPELINE);

	add_bind(&e.side[0], "tcp://127.0.0.1:*");
	set(b, &e);
	actors_take(b);
	ios_listen(b, 0);
	bb_endpoints_close(&b->endpoints);
	set(b, &e);
	assert_int_equal(b->error, -ESHUTDOWN);
	assert_int_equal(b->endpoints.slots[0]->side[0].listener_count, 0);
}

static void
what_is_set_is_what_is_saved(void **state)
{
	struct bench *b = *state;
	static struct bb_cmd_endpoint saved[BB_ENDPOINTS_MAX];
	const struct bb_cmd_endpoint a = endpoint("a", BB_PATTERN_PIPELINE),
				     c = endpoint("c", BB_PATTERN_REQREP);

	set(b, &a);
	actors_take(b);
	set(b, &c);
	actors_take(b);
	removed(b, "a", 0);
	assert_int_equal(bb_endpoints_save(&b->endpoints, saved), 1);
	assert_memory_equal(&saved[0], &c, sizeof(c));
}

#define TEST(x) cmocka_unit_test_setup_teardown(x, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_endpoint_goes_to_all_actors_then_listens_then_is_answered),
		TEST(nothing_listens_before_every_actor_knows_the_endpoint),
		TEST(an_address_in_use_is_named_and_tried_again),
		TEST(a_change_reaches_all_actors_and_the_old_version_is_freed),
		TEST(a_change_that_an_actor_could_not_take_is_sent_again),
		TEST(removing_an_address_hands_the_others_over_again),
		TEST(sides_may_share_an_address),
		TEST(removal_drains_forgets_and_then_answers_everybody),
		TEST(connections_end_when_their_address_is_taken_out),
		TEST(homes_and_listeners_are_spread),
		TEST(only_pubsub_that_may_drop_is_sharded),
		TEST(options_reach_the_actors_unchanged),
		TEST(packets_that_make_no_sense_are_refused),
		TEST(what_cannot_change_live_is_refused_with_the_way_out),
		TEST(a_draining_node_takes_no_changes),
		TEST(what_is_set_is_what_is_saved),
	};

	return cmocka_run_group_tests_name("engine/endpoints", tests, NULL, NULL);
}
