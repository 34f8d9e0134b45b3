/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream_conformance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "peer.h"

#define BUDGET 64

static const struct conf_factory *conf;
static struct conf_world world;

/* Descriptors that the listener accepted and nobody took yet. */
static int accepted[4096];
static size_t accepted_count;

/* Peers that run() keeps going. */
static struct conf_peer **peers;
static size_t peer_count;

static void
on_accept(struct bb_transport *t, uint32_t side, int fd)
{
	assert_false(peer_in_call);
	assert_ptr_equal(t, world.server);
	assert_int_equal(side, CONF_SIDE);
	assert_true(accepted_count < BB_ARRAY_LEN(accepted));
	accepted[accepted_count++] = fd;
}

static void
poll_both(void)
{
	const uint64_t now_ns = conf->now_ns(&world);

	world.client->ops->poll(world.client, now_ns, BUDGET);
	world.server->ops->poll(world.server, now_ns, BUDGET);
}

static void
step(void)
{
	bool moved = false;

	for (size_t i = 0; i < peer_count; i++) {
		if (peers[i]->s != NULL)
			moved |= peer_work(peers[i]);
	}
	if (!moved && !conf->wait(&world))
		fail_msg("nothing happened for too long");
	poll_both();
}

/* Keep the peers going until a condition holds. */
#define run_until(condition)         \
	do {                         \
		while (!(condition)) \
			step();      \
	} while (0)

static void
watch(struct conf_peer **list, size_t count)
{
	peers = list;
	peer_count = count;
}

static void
dial(struct conf_peer *p, const struct sockaddr_storage *to, uint64_t seed)
{
	const struct bb_stream_options options = { 0 };
	struct bb_stream *s = NULL;

	assert_int_equal(world.client->ops->connect(world.client, (const void *)to, &options, &s), 0);
	peer_init(p, s, seed);
}

static void
adopt_next(struct conf_peer *p, uint64_t seed)
{
	const struct bb_stream_options options = { 0 };
	struct bb_stream *s = NULL;
	char address[64] = "";

	assert_true(accepted_count > 0);
	const int fd = accepted[0];
	memmove(accepted, accepted + 1, --accepted_count * sizeof(accepted[0]));
	assert_int_equal(world.server->ops->adopt(world.server, fd, &options, &s, address), 0);
	assert_true(strlen(address) > 0 && strlen(address) < 64);
	peer_init(p, s, seed);
}

static struct conf_peer *pair_list[2];

static void
make_pair(struct conf_peer *client, struct conf_peer *server)
{
	dial(client, &world.address, 1);
	pair_list[0] = client;
	watch(pair_list, 1);
	run_until(client->connected && accepted_count == 1);
	assert_int_equal(client->connected, 1);
	adopt_next(server, 2);
	pair_list[1] = server;
	watch(pair_list, 2);
}

static void
destroy_pair(struct conf_peer *client, struct conf_peer *server)
{
	peer_destroy(client);
	peer_destroy(server);
	watch(NULL, 0);
}

static int
set_up(void **state)
{
	(void)state;
	memset(&world, 0, sizeof(world));
	accepted_count = 0;
	peer_in_call = false;
	watch(NULL, 0);
	if (!conf->open(&world))
		return 0; /* each test skips itself */
	world.server->on_accept = on_accept;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	if (world.client != NULL)
		conf->close(&world);
	return 0;
}

#define skip_without_transport()          \
	do {                              \
		if (world.client == NULL) \
			skip();           \
	} while (0)

static void
bytes_keep_their_order_both_ways(void **state)
{
	struct conf_peer c, s;

	(void)state;
	skip_without_transport();
	make_pair(&c, &s);
	c.tx_total = 5 * 1024 * 1024 + 17;
	s.tx_total = 3 * 1024 * 1024 + 1;
	run_until(s.rx_octets == c.tx_total && c.rx_octets == s.tx_total);
	assert_int_equal(c.closed + s.closed, 0);
	destroy_pair(&c, &s);
}

static void
bytes_sent_one_by_one_arrive(void **state)
{
	struct conf_peer c, s;

	(void)state;
	skip_without_transport();
	make_pair(&c, &s);
	c.tx_total = 3000;
	c.piece_max = 1;
	run_until(s.rx_octets == c.tx_total);
	destroy_pair(&c, &s);
}

static void
a_refused_connection_is_closed_with_its_reason(void **state)
{
	struct conf_peer c, *list[] = { &c };

	(void)state;
	skip_without_transport();
	dial(&c, &world.nobody, 1);
	watch(list, 1);
	run_until(c.closed);
	assert_int_equal(c.reason, BB_STREAM_REFUSED);
	assert_int_equal(c.connected, 0);
	peer_destroy(&c);
}

static void
pushes_before_the_connection_is_up_wait_for_room(void **state)
{
	struct conf_peer c, s, *list[] = { &c, &s };

	(void)state;
	skip_without_transport();
	dial(&c, &world.address, 1);
	assert_int_equal(peer_push(&c, 100), 0);
	assert_true(c.blocked);
	watch(list, 1);
	run_until(c.connected && c.rooms == 1 && accepted_count == 1);
	adopt_next(&s, 2);
	watch(list, 2);
	c.tx_total = 100;
	run_until(s.rx_octets == 100);
	destroy_pair(&c, &s);
}

static void
a_reader_that_stops_stops_the_writer_and_nothing_is_lost(void **state)
{
	struct conf_peer c, s;

	(void)state;
	skip_without_transport();
	make_pair(&c, &s);
	s.reads = false;
	/* Until the transport takes no more: it must, at some bound. */
	const uint64_t bound = UINT64_C(64) * 1024 * 1024;
	while (!c.blocked) {
		peer_push(&c, 60000);
		assert_true(c.tx_taken < bound);
	}
	/* What is under way may make room a few times yet. */
	while (c.tx_taken < bound) {
		const uint32_t rooms = c.rooms;
		for (int i = 0; i < 100 && c.rooms == rooms; i++)
			poll_both();
		if (c.rooms == rooms)
			break;
		while (!c.blocked)
			peer_push(&c, 60000);
	}
	assert_true(c.blocked && c.tx_taken < bound);

	const uint64_t stopped_at = c.tx_taken;
	const uint32_t rooms = c.rooms;
	c.tx_total = stopped_at + 1000000;
	s.reads = true;
	s.may_read = true;
	run_until(s.rx_octets == c.tx_total);
	assert_true(c.rooms > rooms);
	destroy_pair(&c, &s);
}

static void
partial_pushes_lose_and_repeat_nothing(void **state)
{
	struct conf_peer c, s;

	(void)state;
	skip_without_transport();
	make_pair(&c, &s);
	c.tx_total = 24 * 1024 * 1024;
	c.piece_max = 65000;
	s.view_max = 3001; /* a slow reader */
	run_until(s.rx_octets == c.tx_total);
	assert_int_equal(c.tx_taken, c.tx_total);
	destroy_pair(&c, &s);
}

static void
what_is_not_consumed_stands_in_front_of_the_next_view(void **state)
{
	struct conf_peer c, s;

	(void)state;
	skip_without_transport();
	make_pair(&c, &s);
	c.tx_total = 2 * 1024 * 1024;
	c.finish = true;
	s.consumes_randomly = true;
	run_until(s.ended);
	assert_int_equal(s.rx_octets, c.tx_total);
	destroy_pair(&c, &s);
}

static void
read_exactly(struct conf_peer *s, size_t shown_min, size_t view_max, size_t *ret_len)
{
	size_t len = 0;

	s->reads = false;
	for (;;) {
		len = peer_view(s, view_max);
		if (len >= shown_min)
			break;
		peer_consume(s, 0);
		if (!s->may_read) {
			if (!conf->wait(&world))
				fail_msg("bytes do not arrive");
			poll_both();
		}
	}
	*ret_len = len;
}

static void
carries_of_every_size_up_to_the_largest_view(void **state)
{
	static const size_t sizes[] = { 1, 2, 8, 63, 64, 65, 511, 512, 4095, 4096, 4097, 16384, 61439,
		61440 };
	struct conf_peer c, s;

	(void)state;
	skip_without_transport();
	make_pair(&c, &s);
	for (size_t i = 0; i < BB_ARRAY_LEN(sizes); i++) {
		const size_t size = sizes[i];
		size_t len;
		assert_int_equal(peer_push(&c, size), size);
		read_exactly(&s, size, 61440, &len);
		assert_int_equal(len, size);
		peer_consume(&s, 0);
		/* Shown again, whole and in part, and shrunk from the front. */
		assert_int_equal(peer_view(&s, 61440), size);
		peer_consume(&s, 0);
		assert_int_equal(peer_view(&s, 1), 1);
		assert_true(s.may_read == (size > 1));
		peer_consume(&s, 1);
		assert_int_equal(peer_view(&s, 61440), size - 1);
		peer_consume(&s, (size - 1) / 2);
		const size_t left = size - 1 - (size - 1) / 2;
		/* With new bytes behind it. */
		const size_t more = size < 61440 ? 1 + size / 3 : 1;
		assert_int_equal(peer_push(&c, more), more);
		const size_t want = bb_min_u64(left + more, 61440);
		read_exactly(&s, want, 61440, &len);
		peer_consume(&s, len);
		if (len < left + more) {
			read_exactly(&s, left + more - len, 61440, &len);
			peer_consume(&s, len);
		}
		assert_int_equal(s.rx_octets, c.tx_taken);
	}
	destroy_pair(&c, &s);
}

static void
a_full_view_that_is_not_consumed_neither_grows_nor_loses(void **state)
{
	struct conf_peer c, s;
	size_t len;

	(void)state;
	skip_without_transport();
	make_pair(&c, &s);
	c.tx_total = 200000;
	while (c.tx_taken < c.tx_total) {
		if (!peer_work(&c) && !conf->wait(&world))
			fail_msg("nothing is taken");
		poll_both();
	}
	read_exactly(&s, 4096, 4096, &len);
	assert_int_equal(len, 4096);
	peer_consume(&s, 0);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(peer_view(&s, 4096), 4096);
		assert_true(s.may_read);
		peer_consume(&s, 0);
	}
	s.reads = true;
	run_until(s.rx_octets == c.tx_total);
	destroy_pair(&c, &s);
}

static void
a_half_close_ends_one_direction_alone(void **state)
{
	struct conf_peer c, s;

	(void)state;
	skip_without_transport();
	make_pair(&c, &s);
	c.tx_total = 100000;
	c.finish = true;
	run_until(s.ended);
	assert_int_equal(s.rx_octets, c.tx_total);

	s.tx_total = 1000000;
	s.finish = true;
	run_until(c.ended);
	assert_int_equal(c.rx_octets, s.tx_total);
	/* The end stays: viewing again shows it again. */
	assert_int_equal(peer_view(&c, 100), 0);
	assert_true(c.ended && !c.may_read);
	assert_int_equal(c.closed + s.closed, 0);
	destroy_pair(&c, &s);
}

static void
an_end_behind_unread_bytes_comes_after_them(void **state)
{
	struct conf_peer c, s;

	(void)state;
	skip_without_transport();
	make_pair(&c, &s);
	s.reads = false;
	c.tx_total = 150000;
	c.finish = true;
	run_until(c.finished && s.readable > 0);
	for (int i = 0; i < 100; i++)
		poll_both();
	/* In views of every size: the end shows with or after the last byte, without another event. */
	s.reads = true;
	s.view_max = 7919;
	while (!s.ended) {
		if (!peer_work(&s)) {
			if (!conf->wait(&world))
				fail_msg("the end never shows");
			poll_both();
		}
		assert_true(!s.ended || s.rx_octets == c.tx_total);
	}
	destroy_pair(&c, &s);
}

static void
an_end_without_bytes_shows(void **state)
{
	struct conf_peer c, s;

	(void)state;
	skip_without_transport();
	make_pair(&c, &s);
	c.finish = true;
	run_until(s.ended);
	assert_int_equal(s.rx_octets, 0);
	assert_int_equal(s.closed, 0);
	destroy_pair(&c, &s);
}

static void
an_incomplete_rest_is_still_there_at_the_end(void **state)
{
	struct conf_peer c, s;
	size_t len;

	(void)state;
	skip_without_transport();
	make_pair(&c, &s);
	assert_int_equal(peer_push(&c, 1000), 1000);
	read_exactly(&s, 1000, 61440, &len);
	peer_consume(&s, 400);
	c.tx_total = 1000;
	c.finish = true;
	while (!s.ended) {
		peer_work(&c);
		if (!s.may_read && !conf->wait(&world))
			fail_msg("the end never shows");
		poll_both();
		len = peer_view(&s, 61440);
		assert_int_equal(len, 600);
		peer_consume(&s, 0);
	}
	assert_int_equal(peer_view(&s, 100), 100);
	assert_false(s.ended); /* not all bytes are shown */
	assert_true(s.may_read);
	peer_consume(&s, 100);
	assert_int_equal(peer_view(&s, 61440), 500);
	assert_true(s.ended);
	peer_consume(&s, 500);
	destroy_pair(&c, &s);
}

static void
an_abort_resets_the_other_side_and_tells_its_own_nothing(void **state)
{
	struct conf_peer c, s;

	(void)state;
	skip_without_transport();
	make_pair(&c, &s);
	c.tx_total = s.tx_total = 1000;
	run_until(s.rx_octets == 1000 && c.rx_octets == 1000);
	peer_in_call = true;
	bb_stream_abort(c.s);
	peer_in_call = false;
	const uint32_t readable = c.readable;
	run_until(s.closed);
	assert_int_equal(s.reason, BB_STREAM_RESET);
	assert_int_equal(c.closed, 0);
	assert_int_equal(c.readable, readable);
	destroy_pair(&c, &s);
}

static void
destroying_an_open_stream_aborts_it(void **state)
{
	struct conf_peer c, s;

	(void)state;
	skip_without_transport();
	make_pair(&c, &s);
	s.tx_total = 1000;
	run_until(c.rx_octets == 1000);
	peer_destroy(&s);
	run_until(c.closed);
	assert_int_equal(c.reason, BB_STREAM_RESET);
	peer_destroy(&c);
}

static void
writing_to_an_aborted_stream_fails_or_is_closed_but_never_hangs(void **state)
{
	struct conf_peer c, s;

	(void)state;
	skip_without_transport();
	make_pair(&c, &s);
	peer_destroy(&s);
	c.tx_total = UINT64_MAX;
	c.reads = false;
	run_until(c.closed);
	assert_int_equal(c.reason, BB_STREAM_RESET);
	peer_destroy(&c);
}

static void
linger_finish_wait_for_no_backlog_destroy_loses_nothing(void **state)
{
	struct conf_peer c, s;

	(void)state;
	skip_without_transport();
	make_pair(&c, &s);
	s.tx_total = 2000000;
	s.finish = true;
	run_until(s.finished && bb_stream_tx_backlog(s.s) == 0);
	peer_destroy(&s);
	run_until(c.ended || c.closed);
	assert_int_equal(c.closed, 0);
	assert_int_equal(c.rx_octets, s.tx_taken);
	peer_destroy(&c);
}

static void
backlog_counts_what_the_peer_has_not_acknowledged(void **state)
{
	struct conf_peer c, s;

	(void)state;
	skip_without_transport();
	make_pair(&c, &s);
	assert_int_equal(bb_stream_tx_backlog(c.s), 0);
	s.reads = false;
	while (!c.blocked)
		peer_push(&c, 60000);
	const uint64_t backlog = bb_stream_tx_backlog(c.s);
	assert_true(backlog > 0 && backlog <= c.tx_taken);
	c.tx_total = c.tx_taken;
	s.reads = s.may_read = true;
	run_until(s.rx_octets == c.tx_total);
	run_until(bb_stream_tx_backlog(c.s) == 0);
	if ((c.s->flags & BB_STREAM_COPIES) == 0)
		run_until(c.tx_released == c.tx_taken);
	destroy_pair(&c, &s);
}

/* Destroys others from within an event: the transport may have events for them in hand. */
static struct conf_peer *victims;
static size_t victim_count;

static void
on_event_destroys_all(struct bb_stream *s, enum bb_stream_event event, uint64_t arg)
{
	(void)s;
	(void)event;
	(void)arg;
	for (size_t i = 0; i < victim_count; i++)
		peer_destroy(&victims[i]);
}

static void
an_event_may_destroy_any_stream(void **state)
{
	static struct conf_peer s[16]; /* static: victims points there */
	struct conf_peer c[16], *list[16];

	(void)state;
	skip_without_transport();
	for (size_t i = 0; i < 16; i++) {
		dial(&c[i], &world.address, i);
		list[i] = &c[i];
		watch(list, i + 1);
		run_until(c[i].connected && accepted_count == 1);
		adopt_next(&s[i], 100 + i);
	}
	victims = s;
	victim_count = 16;
	for (size_t i = 0; i < 16; i++) {
		s[i].s->on_event = on_event_destroys_all;
		assert_int_equal(peer_push(&c[i], 10), 10);
		c[i].tx_total = 10;
	}
	run_until(s[0].s == NULL);
	for (size_t i = 0; i < 16; i++)
		run_until(c[i].closed);
	for (size_t i = 0; i < 16; i++)
		peer_destroy(&c[i]);
}

static void
a_listener_that_is_closed_accepts_no_more(void **state)
{
	struct conf_peer c, s, late, *list[] = { &late };

	(void)state;
	skip_without_transport();
	make_pair(&c, &s);
	world.server->ops->unlisten(world.server, CONF_SIDE + 1); /* another's */
	dial(&late, &world.address, 3);
	watch(list, 1);
	run_until(late.connected && accepted_count == 1);
	world.server->ops->discard(world.server, accepted[--accepted_count]);
	run_until(late.closed || late.ended);
	peer_destroy(&late);

	world.server->ops->unlisten(world.server, CONF_SIDE);
	dial(&late, &world.address, 4);
	run_until(late.closed);
	assert_int_equal(late.reason, BB_STREAM_REFUSED);
	peer_destroy(&late);

	/* Those that were accepted before are not touched. */
	watch(pair_list, 2);
	c.tx_total = 10000;
	run_until(s.rx_octets == c.tx_total);
	destroy_pair(&c, &s);
}

static void
a_crowd_connects_and_each_hears_its_own(void **state)
{
	const size_t n = conf->connections;
	struct conf_peer *crowd = calloc(2 * n, sizeof(*crowd));
	struct conf_peer **list = calloc(2 * n, sizeof(*list));
	size_t adopted = 0, done = 0;

	(void)state;
	assert_non_null(crowd);
	assert_non_null(list);
	if (world.client == NULL) {
		free(crowd);
		free(list);
		skip();
	}
	for (size_t i = 0; i < n; i++) {
		dial(&crowd[i], &world.address, i);
		crowd[i].tx_total = 1000 + i * 7;
		crowd[i].finish = true;
		list[i] = &crowd[i];
	}
	watch(list, n);
	while (done < 2 * n) {
		step();
		while (accepted_count > 0) {
			struct conf_peer *p = &crowd[n + adopted];
			adopt_next(p, n + adopted);
			list[n + adopted++] = p;
			watch(list, n + adopted);
		}
		done = 0;
		for (size_t i = 0; i < n + adopted; i++) {
			struct conf_peer *p = &crowd[i];
			assert_int_equal(p->closed, 0);
			if (i >= n && p->ended && p->tx_total == 0) {
				p->tx_total = p->rx_octets; /* answer as much as was asked */
				p->finish = true;
			}
			done += p->ended && p->finished && (i >= n || p->rx_octets == p->tx_total);
		}
	}
	for (size_t i = 0; i < 2 * n; i++)
		peer_destroy(&crowd[i]);
	free(crowd);
	free(list);
}

int
stream_conformance_run(const struct conf_factory *factory)
{
#define conformance_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		conformance_test(bytes_keep_their_order_both_ways),
		conformance_test(bytes_sent_one_by_one_arrive),
		conformance_test(a_refused_connection_is_closed_with_its_reason),
		conformance_test(pushes_before_the_connection_is_up_wait_for_room),
		conformance_test(a_reader_that_stops_stops_the_writer_and_nothing_is_lost),
		conformance_test(partial_pushes_lose_and_repeat_nothing),
		conformance_test(what_is_not_consumed_stands_in_front_of_the_next_view),
		conformance_test(carries_of_every_size_up_to_the_largest_view),
		conformance_test(a_full_view_that_is_not_consumed_neither_grows_nor_loses),
		conformance_test(a_half_close_ends_one_direction_alone),
		conformance_test(an_end_behind_unread_bytes_comes_after_them),
		conformance_test(an_end_without_bytes_shows),
		conformance_test(an_incomplete_rest_is_still_there_at_the_end),
		conformance_test(an_abort_resets_the_other_side_and_tells_its_own_nothing),
		conformance_test(destroying_an_open_stream_aborts_it),
		conformance_test(writing_to_an_aborted_stream_fails_or_is_closed_but_never_hangs),
		conformance_test(linger_finish_wait_for_no_backlog_destroy_loses_nothing),
		conformance_test(backlog_counts_what_the_peer_has_not_acknowledged),
		conformance_test(an_event_may_destroy_any_stream),
		conformance_test(a_listener_that_is_closed_accepts_no_more),
		conformance_test(a_crowd_connects_and_each_hears_its_own),
	};

	conf = factory;
	printf("transport: %s\n", factory->name);
	return cmocka_run_group_tests_name(factory->name, tests, NULL, NULL);
}
