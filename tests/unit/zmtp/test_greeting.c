/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include <stdbool.h>

#include "zmtp/greeting.h"

#define LEN BB_ZMTP_GREETING_LEN

static const uint8_t own_null[LEN] = { 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1, 'N', 'U', 'L', 'L' };

static void
make_peer(uint8_t p[LEN], uint8_t major, uint8_t minor, const char *mechanism)
{
	memset(p, 0, LEN);
	p[0] = 0xff;
	p[8] = 6; /* as a peer with an identity of 5 octets */
	p[9] = 0x7f;
	p[10] = major;
	p[11] = minor;
	memcpy(p + 12, mechanism, strlen(mechanism));
}

/* Feed n octets in pieces of step; returns how many were taken. */
static size_t
feed(struct bb_zmtp_greeting *g, const uint8_t *octets, size_t n, size_t step)
{
	size_t used = 0;

	while (used < n && g->state == BB_ZMTP_GREETING_MORE) {
		const size_t piece = n - used < step ? n - used : step;
		uint8_t *p = exact_copy(octets + used, piece);
		const size_t took = bb_zmtp_greeting_feed(g, p, piece);
		free(p);
		used += took;
		if (took < piece)
			break;
	}
	return used;
}

static void
assert_refused(const void *octets, size_t n, enum bb_zmtp_cause cause, size_t at)
{
	for (size_t step = 1; step <= n; step++) {
		struct bb_zmtp_greeting g;
		uint8_t out[LEN];
		bb_zmtp_greeting_init(&g, "NULL", false);
		assert_int_equal(feed(&g, octets, n, step), at + 1);
		assert_int_equal(g.state, BB_ZMTP_GREETING_REFUSED);
		assert_int_equal(g.cause, cause);
		assert_int_equal(bb_zmtp_greeting_output(&g, out, sizeof(out)), 0);
		assert_int_equal(bb_zmtp_greeting_feed(&g, octets, n), 0);
	}
}

static void
the_machine_is_small(void **state)
{
	(void)state;
	assert_true(sizeof(struct bb_zmtp_greeting) < 32);
}

static void
a_31_greeting_is_taken_at_every_split(void **state)
{
	uint8_t peer[LEN + 3] = { 0 };

	(void)state;
	make_peer(peer, 3, 1, "NULL");
	for (size_t cut = 0; cut <= LEN; cut++) {
		struct bb_zmtp_greeting g;
		bb_zmtp_greeting_init(&g, "NULL", false);
		assert_int_equal(bb_zmtp_greeting_feed(&g, peer, cut), cut);
		assert_int_equal(g.state, cut < LEN ? BB_ZMTP_GREETING_MORE : BB_ZMTP_GREETING_DONE);
		/* What follows the greeting is not its own. */
		assert_int_equal(bb_zmtp_greeting_feed(&g, peer + cut, sizeof(peer) - cut), LEN - cut);
		assert_int_equal(g.state, BB_ZMTP_GREETING_DONE);
		assert_int_equal(g.major, 3);
		assert_int_equal(g.minor, 1);
		assert_true(bb_zmtp_greeting_is_31(&g));
	}
}

static void
a_greeting_octet_by_octet_is_taken(void **state)
{
	uint8_t peer[LEN];
	struct bb_zmtp_greeting g;

	(void)state;
	make_peer(peer, 3, 0, "NULL");
	bb_zmtp_greeting_init(&g, "NULL", false);
	assert_int_equal(feed(&g, peer, LEN, 1), LEN);
	assert_int_equal(g.state, BB_ZMTP_GREETING_DONE);
	assert_false(bb_zmtp_greeting_is_31(&g));
}

static void
higher_versions_are_spoken_to_as_31(void **state)
{
	static const struct {
		uint8_t major, minor;
		bool is_31;
	} row[] = { { 3, 0, false }, { 3, 1, true }, { 3, 2, true }, { 3, 255, true }, { 4, 0, true },
		{ 255, 0, true } };

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		uint8_t peer[LEN];
		struct bb_zmtp_greeting g;
		make_peer(peer, row[i].major, row[i].minor, "NULL");
		bb_zmtp_greeting_init(&g, "NULL", false);
		assert_int_equal(bb_zmtp_greeting_feed(&g, peer, LEN), LEN);
		assert_int_equal(g.state, BB_ZMTP_GREETING_DONE);
		assert_int_equal(bb_zmtp_greeting_is_31(&g), row[i].is_31);
	}
}

static void
padding_as_server_filler_and_other_signature_bits_are_ignored(void **state)
{
	uint8_t peer[LEN];
	struct bb_zmtp_greeting g;

	(void)state;
	make_peer(peer, 3, 1, "NULL");
	memset(peer + 1, 0xa5, 8);
	peer[9] = 0x01;
	memset(peer + 32, 0xa5, 32);
	bb_zmtp_greeting_init(&g, "NULL", false);
	assert_int_equal(bb_zmtp_greeting_feed(&g, peer, LEN), LEN);
	assert_int_equal(g.state, BB_ZMTP_GREETING_DONE);
}

static void
our_octets_up_to_the_major_version_wait_for_nothing(void **state)
{
	struct bb_zmtp_greeting g;
	uint8_t out[LEN];

	(void)state;
	bb_zmtp_greeting_init(&g, "NULL", false);
	assert_int_equal(bb_zmtp_greeting_output(&g, out, sizeof(out)), 11);
	assert_memory_equal(out, own_null, 11);
	assert_int_equal(bb_zmtp_greeting_output(&g, out, sizeof(out)), 0);
	assert_false(bb_zmtp_greeting_sent(&g));
}

/* Whatever a peer waits for after k octets of its own must be there: no step of either side needs the other's
 * next. */
static void
a_peer_that_stops_after_any_octet_is_served(void **state)
{
	uint8_t peer[LEN];

	(void)state;
	make_peer(peer, 3, 1, "NULL");
	for (size_t k = 0; k <= LEN; k++) {
		struct bb_zmtp_greeting g;
		uint8_t out[LEN];
		bb_zmtp_greeting_init(&g, "NULL", false);
		bb_zmtp_greeting_feed(&g, peer, k);
		const size_t want = k >= 11 ? LEN : 11;
		assert_int_equal(bb_zmtp_greeting_output(&g, out, sizeof(out)), want);
		assert_memory_equal(out, own_null, want);
		assert_int_equal(bb_zmtp_greeting_sent(&g), k >= 11);
	}
}

static void
two_machines_greet_each_other_through_a_pipe_of_one_octet(void **state)
{
	struct bb_zmtp_greeting a, b;

	(void)state;
	bb_zmtp_greeting_init(&a, "CURVE", true);
	bb_zmtp_greeting_init(&b, "CURVE", false);
	for (int i = 0; i < 200; i++) {
		uint8_t c;
		if (bb_zmtp_greeting_output(&a, &c, 1) == 1)
			assert_int_equal(bb_zmtp_greeting_feed(&b, &c, 1), 1);
		if (bb_zmtp_greeting_output(&b, &c, 1) == 1)
			assert_int_equal(bb_zmtp_greeting_feed(&a, &c, 1), 1);
	}
	assert_int_equal(a.state, BB_ZMTP_GREETING_DONE);
	assert_int_equal(b.state, BB_ZMTP_GREETING_DONE);
	assert_true(bb_zmtp_greeting_is_31(&a) && bb_zmtp_greeting_is_31(&b));
}

static void
output_fits_any_buffer_and_says_the_same(void **state)
{
	uint8_t peer[LEN];

	(void)state;
	make_peer(peer, 3, 1, "NULL");
	for (size_t size = 1; size <= LEN; size++) {
		struct bb_zmtp_greeting g;
		uint8_t out[LEN];
		size_t n = 0, got;
		bb_zmtp_greeting_init(&g, "NULL", false);
		bb_zmtp_greeting_feed(&g, peer, LEN);
		while ((got = bb_zmtp_greeting_output(&g, out + n, size < LEN - n ? size : LEN - n)) > 0)
			n += got;
		assert_int_equal(n, LEN);
		assert_memory_equal(out, own_null, LEN);
	}
}

static void
as_server_and_the_longest_mechanism_are_sent(void **state)
{
	uint8_t peer[LEN], out[LEN];
	struct bb_zmtp_greeting g;

	(void)state;
	make_peer(peer, 3, 1, "ABCDEFGHIJKLMNOPQRST");
	bb_zmtp_greeting_init(&g, "ABCDEFGHIJKLMNOPQRST", true);
	assert_int_equal(bb_zmtp_greeting_feed(&g, peer, LEN), LEN);
	assert_int_equal(g.state, BB_ZMTP_GREETING_DONE);
	assert_int_equal(bb_zmtp_greeting_output(&g, out, LEN), LEN);
	assert_memory_equal(out + 12, "ABCDEFGHIJKLMNOPQRST\x01\0", 22);
}

static void
mechanisms_must_be_equal_octet_for_octet(void **state)
{
	uint8_t peer[LEN];

	(void)state;
	make_peer(peer, 3, 1, "PLAIN");
	assert_refused(peer, LEN, BB_ZMTP_MECHANISM, 12);
	make_peer(peer, 3, 1, "null");
	assert_refused(peer, LEN, BB_ZMTP_MECHANISM, 12);
	make_peer(peer, 3, 1, "NUL");
	assert_refused(peer, LEN, BB_ZMTP_MECHANISM, 15);
	make_peer(peer, 3, 1, "NULLX");
	assert_refused(peer, LEN, BB_ZMTP_MECHANISM, 16);
	make_peer(peer, 3, 1, "NULL");
	peer[31] = 'x';
	assert_refused(peer, LEN, BB_ZMTP_MECHANISM, 31);
	make_peer(peer, 3, 1, "");
	assert_refused(peer, LEN, BB_ZMTP_MECHANISM, 12);
}

static void
version_1_peers_are_named_as_such(void **state)
{
	/* Unversioned: an identity frame, none, short or (256 octets and more) with a long length. */
	static const uint8_t anonymous[] = { 0x01, 0x00 };
	static const uint8_t named[] = { 0x04, 0x00, 'a', 'b', 'c' };
	static const uint8_t long_named[] = { 0xff, 0, 0, 0, 0, 0, 0, 1, 1, 0x00, 'x' };
	/* With a greeting, but 1.0 framing. */
	static const uint8_t greeted[] = { 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 0x00, 0x00 };

	(void)state;
	assert_refused(anonymous, sizeof(anonymous), BB_ZMTP_VERSION_1, 1);
	assert_refused(named, sizeof(named), BB_ZMTP_VERSION_1, 1);
	assert_refused(long_named, sizeof(long_named), BB_ZMTP_VERSION_1, 9);
	assert_refused(greeted, sizeof(greeted), BB_ZMTP_VERSION_1, 10);
}

static void
version_2_peers_are_named_as_such(void **state)
{
	static const uint8_t rev1[] = { 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 0x01, 0x05, 0x00, 0x00 };
	static const uint8_t rev2[] = { 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 0x02, 0x05, 0x00, 0x00 };

	(void)state;
	assert_refused(rev1, sizeof(rev1), BB_ZMTP_VERSION_2, 10);
	assert_refused(rev2, sizeof(rev2), BB_ZMTP_VERSION_2, 10);
}

static void
other_protocols_have_a_bad_signature(void **state)
{
	static const uint8_t tls[] = { 0x16, 0x03, 0x01, 0x02, 0x00 };
	static const uint8_t http[] = "GET / HTTP/1.1\r\n";
	static const uint8_t telnet[] = { 0xff, 0xfb, 0x18, 0xff, 0xfb, 0x1f, 0xff, 0xfd, 0x01, 0x20, 0x41 };
	static const uint8_t newline[] = "\r\n";
	static const uint8_t zero[] = { 0, 0, 0, 0 };

	(void)state;
	assert_refused(tls, sizeof(tls), BB_ZMTP_BAD_SIGNATURE, 1);
	assert_refused(http, sizeof(http), BB_ZMTP_BAD_SIGNATURE, 1);
	assert_refused(telnet, sizeof(telnet), BB_ZMTP_BAD_SIGNATURE, 9);
	assert_refused(newline, sizeof(newline), BB_ZMTP_BAD_SIGNATURE, 1);
	assert_refused(zero, sizeof(zero), BB_ZMTP_BAD_SIGNATURE, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_machine_is_small),
		cmocka_unit_test(a_31_greeting_is_taken_at_every_split),
		cmocka_unit_test(a_greeting_octet_by_octet_is_taken),
		cmocka_unit_test(higher_versions_are_spoken_to_as_31),
		cmocka_unit_test(padding_as_server_filler_and_other_signature_bits_are_ignored),
		cmocka_unit_test(our_octets_up_to_the_major_version_wait_for_nothing),
		cmocka_unit_test(a_peer_that_stops_after_any_octet_is_served),
		cmocka_unit_test(two_machines_greet_each_other_through_a_pipe_of_one_octet),
		cmocka_unit_test(output_fits_any_buffer_and_says_the_same),
		cmocka_unit_test(as_server_and_the_longest_mechanism_are_sent),
		cmocka_unit_test(mechanisms_must_be_equal_octet_for_octet),
		cmocka_unit_test(version_1_peers_are_named_as_such),
		cmocka_unit_test(version_2_peers_are_named_as_such),
		cmocka_unit_test(other_protocols_have_a_bad_signature),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
