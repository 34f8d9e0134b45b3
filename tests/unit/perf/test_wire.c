/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/wire.h"

static void
our_greeting_passes_our_check_and_others_do_not(void **state)
{
	uint8_t g[BB_WIRE_GREETING];

	(void)state;
	bb_wire_greeting(g);
	assert_int_equal(bb_wire_greeting_check(g), 1);
	g[11] = 0;
	assert_int_equal(bb_wire_greeting_check(g), 0);
	memcpy(g + 12, "PLAIN", 5);
	assert_int_equal(bb_wire_greeting_check(g), -EPROTO);
	bb_wire_greeting(g);
	g[10] = 1;
	assert_int_equal(bb_wire_greeting_check(g), -EPROTO);
	bb_wire_greeting(g);
	g[0] = 'G';
	assert_int_equal(bb_wire_greeting_check(g), -EPROTO);
}

static void
a_head_takes_the_shortest_form_and_reads_back(void **state)
{
	static const uint64_t lengths[] = { 0, 1, 255, 256, 65536, INT64_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint8_t out[BB_WIRE_HEAD_MAX];
		struct bb_wire_head h;
		const size_t n = bb_wire_head_put(out, BB_WIRE_MORE, lengths[i]);

		assert_int_equal(n, lengths[i] <= 255 ? 2 : 9);
		for (size_t have = 0; have < n; have++)
			assert_int_equal(bb_wire_head_get(out, have, &h), 0);
		assert_int_equal(bb_wire_head_get(out, n, &h), n);
		assert_true(h.len == lengths[i]);
		assert_int_equal(h.bytes, n);
		assert_int_equal(h.flags & BB_WIRE_MORE, BB_WIRE_MORE);
	}
}

static void
reserved_flags_a_command_with_more_and_2_to_the_63_are_refused(void **state)
{
	struct bb_wire_head h;

	(void)state;
	assert_int_equal(bb_wire_head_get((const uint8_t *)"\x08\x01", 2, &h), -EPROTO);
	assert_int_equal(bb_wire_head_get((const uint8_t *)"\x05\x01", 2, &h), -EPROTO);
	assert_int_equal(bb_wire_head_get((const uint8_t *)"\x02\x80\0\0\0\0\0\0\0", 9, &h), -EPROTO);
}

static void
ready_of_a_req_is_the_example_of_the_specification(void **state)
{
	static const uint8_t want[] = "\x04\x26\x05READY\x0bSocket-Type\0\0\0\x03REQ\x08Identity\0\0\0";
	uint8_t out[BB_WIRE_READY_MAX];

	(void)state;
	assert_int_equal(bb_wire_ready_put(out, "REQ", true), sizeof(want));
	assert_memory_equal(out, want, sizeof(want));
	assert_true(bb_wire_command_is(out + 2, 38, "READY"));
	assert_false(bb_wire_command_is(out + 2, 5, "READY"));
}

static void
the_longest_ready_fits(void **state)
{
	uint8_t out[BB_WIRE_READY_MAX];

	(void)state;
	assert_true(bb_wire_ready_put(out, "DEALER", true) <= sizeof(out));
}

static void
a_subscription_is_a_command_for_3_1_and_a_message_for_3_0(void **state)
{
	uint8_t out[32];

	(void)state;
	assert_int_equal(bb_wire_subscribe_put(out, 1, "ab", 2), 14);
	assert_memory_equal(out, "\x04\x0c\x09SUBSCRIBEab", 14);
	assert_int_equal(bb_wire_subscribe_put(out, 0, "ab", 2), 5);
	assert_memory_equal(out, "\x00\x03\x01\x61\x62", 5);
}

static void
ping_and_pong_have_their_wire_form(void **state)
{
	uint8_t out[32];

	(void)state;
	assert_int_equal(bb_wire_ping_put(out), 9);
	assert_memory_equal(out, "\x04\x07\x04PING\0\0", 9);
	assert_int_equal(bb_wire_pong_put(out, "xyz", 3), 10);
	assert_memory_equal(out, "\x04\x08\x04PONGxyz", 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(our_greeting_passes_our_check_and_others_do_not),
		cmocka_unit_test(a_head_takes_the_shortest_form_and_reads_back),
		cmocka_unit_test(reserved_flags_a_command_with_more_and_2_to_the_63_are_refused),
		cmocka_unit_test(ready_of_a_req_is_the_example_of_the_specification),
		cmocka_unit_test(the_longest_ready_fits),
		cmocka_unit_test(a_subscription_is_a_command_for_3_1_and_a_message_for_3_0),
		cmocka_unit_test(ping_and_pong_have_their_wire_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
