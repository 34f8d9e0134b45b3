/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include "base/rand.h"
#include "zmtp/frame.h"

static int
parse(const void *octets, size_t len, struct bb_frame *f)
{
	uint8_t *p = exact_copy(octets, len);
	const int rc = bb_frame_parse(p, len, f);

	free(p);
	return rc;
}

static void
short_headers_of_all_kinds_are_parsed(void **state)
{
	static const uint8_t flags[] = { 0, BB_FRAME_MORE, BB_FRAME_COMMAND };

	(void)state;
	for (size_t i = 0; i < sizeof(flags); i++) {
		for (unsigned len = 0; len <= 255; len++) {
			const uint8_t h[2] = { flags[i], (uint8_t)len };
			struct bb_frame f = { 0 };
			assert_int_equal(parse(h, 2, &f), 2);
			assert_int_equal(f.len, len);
			assert_int_equal(f.flags, flags[i]);
			assert_int_equal(f.header_len, 2);
			assert_true(bb_frame_is_canonical(h, &f));
		}
	}
}

static void
long_headers_are_parsed_up_to_the_largest_length(void **state)
{
	static const uint64_t lens[] = { 256, 8192, 65536, UINT64_C(1) << 32, BB_FRAME_BODY_MAX };

	(void)state;
	for (size_t i = 0; i < BB_ARRAY_LEN(lens); i++) {
		uint8_t h[9] = { BB_FRAME_LONG | BB_FRAME_MORE };
		struct bb_frame f = { 0 };
		bb_store_be64(h + 1, lens[i]);
		assert_int_equal(parse(h, 9, &f), 9);
		assert_true(f.len == lens[i]);
		assert_int_equal(f.flags, BB_FRAME_MORE);
		assert_int_equal(f.header_len, 9);
		assert_true(bb_frame_is_canonical(h, &f));
	}
}

static void
a_header_cut_anywhere_needs_more(void **state)
{
	const uint8_t h[9] = { BB_FRAME_LONG, 0, 0, 0, 0, 0, 0, 1, 0 };
	struct bb_frame f = { .len = 42 };

	(void)state;
	for (size_t n = 0; n < sizeof(h); n++)
		assert_int_equal(parse(h, n, &f), 0);
	assert_int_equal(parse("\x00", 1, &f), 0);
	assert_int_equal(f.len, 42);
	assert_int_equal(parse(h, 9, &f), 9);
	assert_int_equal(f.len, 256);
}

static void
lengths_from_2_to_63_on_are_refused(void **state)
{
	static const uint64_t lens[] = { BB_FRAME_BODY_MAX + 1, UINT64_MAX, UINT64_MAX - 8 };

	(void)state;
	for (size_t i = 0; i < BB_ARRAY_LEN(lens); i++) {
		uint8_t h[9] = { BB_FRAME_LONG };
		struct bb_frame f = { 0 };
		bb_store_be64(h + 1, lens[i]);
		assert_int_equal(parse(h, 9, &f), -(int)BB_ZMTP_FRAME_LENGTH);
	}
}

static void
a_command_with_more_is_refused_at_once(void **state)
{
	struct bb_frame f = { 0 };

	(void)state;
	assert_int_equal(parse("\x05\x00", 2, &f), -(int)BB_ZMTP_COMMAND_MORE);
	assert_int_equal(parse("\x07\x00", 2, &f), -(int)BB_ZMTP_COMMAND_MORE);
	assert_int_equal(parse("\xfd\x00", 2, &f), -(int)BB_ZMTP_COMMAND_MORE);
}

static void
reserved_bits_are_masked_out_but_not_canonical(void **state)
{
	(void)state;
	for (unsigned reserved = 0x08; reserved < 0x100; reserved += 0x08) {
		const uint8_t h[2] = { (uint8_t)(reserved | BB_FRAME_MORE), 7 };
		struct bb_frame f = { 0 };
		assert_int_equal(parse(h, 2, &f), 2);
		assert_int_equal(f.flags, BB_FRAME_MORE);
		assert_int_equal(f.len, 7);
		assert_false(bb_frame_is_canonical(h, &f));
	}
}

static void
the_long_form_of_a_short_body_is_taken_but_not_canonical(void **state)
{
	const uint8_t h[9] = { BB_FRAME_LONG, 0, 0, 0, 0, 0, 0, 0, 255 };
	struct bb_frame f = { 0 };

	(void)state;
	assert_int_equal(parse(h, 9, &f), 9);
	assert_int_equal(f.len, 255);
	assert_false(bb_frame_is_canonical(h, &f));
}

static void
the_shortest_form_is_written(void **state)
{
	uint8_t h[BB_FRAME_HEADER_MAX];

	(void)state;
	assert_int_equal(bb_frame_write(h, 0, 0), 2);
	assert_memory_equal(h, "\x00\x00", 2);
	assert_int_equal(bb_frame_write(h, BB_FRAME_MORE, 255), 2);
	assert_memory_equal(h, "\x01\xff", 2);
	assert_int_equal(bb_frame_write(h, BB_FRAME_COMMAND, 256), 9);
	assert_memory_equal(h, "\x06\0\0\0\0\0\0\x01\0", 9);
	assert_int_equal(bb_frame_wire_len(255), 257);
	assert_int_equal(bb_frame_wire_len(256), 265);
	assert_true(bb_frame_wire_len(BB_FRAME_BODY_MAX) == BB_FRAME_BODY_MAX + 9);
}

static void
what_is_written_is_parsed_back(void **state)
{
	static const uint8_t flags[] = { 0, BB_FRAME_MORE, BB_FRAME_COMMAND };
	struct bb_rand r;

	(void)state;
	bb_rand_init(&r, 1);
	for (int i = 0; i < 20000; i++) {
		uint8_t h[BB_FRAME_HEADER_MAX];
		struct bb_frame f = { 0 };
		const uint64_t len = bb_rand_u64(&r) >> (1 + bb_rand_below(&r, 63));
		const uint8_t fl = flags[bb_rand_below(&r, 3)];
		const size_t n = bb_frame_write(h, fl, len);
		assert_int_equal(n, bb_frame_header_len(len));
		assert_int_equal(parse(h, n, &f), (int)n);
		assert_true(f.len == len);
		assert_int_equal(f.flags, fl);
		assert_true(bb_frame_is_canonical(h, &f));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_headers_of_all_kinds_are_parsed),
		cmocka_unit_test(long_headers_are_parsed_up_to_the_largest_length),
		cmocka_unit_test(a_header_cut_anywhere_needs_more),
		cmocka_unit_test(lengths_from_2_to_63_on_are_refused),
		cmocka_unit_test(a_command_with_more_is_refused_at_once),
		cmocka_unit_test(reserved_bits_are_masked_out_but_not_canonical),
		cmocka_unit_test(the_long_form_of_a_short_body_is_taken_but_not_canonical),
		cmocka_unit_test(the_shortest_form_is_written),
		cmocka_unit_test(what_is_written_is_parsed_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
