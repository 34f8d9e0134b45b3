/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rand.h"
#include "net/tcp_priv.h"

static void
what_we_write_we_read(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++) {
		uint8_t o[40];
		struct tcp_opts got;
		const bool sack = i & 1, ts = i & 2, ws = i & 4;
		const uint32_t len = tcp_opt_syn(o, 1400, ws ? 7 : 0xff, sack, ts, 0x01020304, 0xfffefdfc);
		assert_int_equal(len % 4, 0);
		assert_true(tcp_opt_parse(o, len, &got));
		assert_int_equal(got.mss, 1400);
		assert_int_equal(got.sack_ok, sack);
		assert_int_equal(got.ts, ts);
		assert_int_equal(got.wscale, ws ? 7 : 0xff);
		if (ts) {
			assert_int_equal(got.tsval, 0x01020304);
			assert_int_equal(got.tsecr, 0xfffefdfc);
		}
	}
}

static void
lengths_of_zero_one_and_beyond_the_end_stop_the_parser(void **state)
{
	(void)state;
	const uint8_t zero[] = { 2, 4, 5, 0xb4, 8, 0, 1, 1 };
	const uint8_t one[] = { 2, 4, 5, 0xb4, 8, 1, 1, 1 };
	const uint8_t over[] = { 2, 4, 5, 0xb4, 8, 10, 0, 0 };
	const uint8_t cut[] = { 2, 4, 5, 0xb4, 1, 1, 1, 8 };
	struct tcp_opts o;

	assert_false(tcp_opt_parse(zero, sizeof(zero), &o));
	assert_int_equal(o.mss, 1460); /* what came before counts */
	assert_false(tcp_opt_parse(one, sizeof(one), &o));
	assert_false(tcp_opt_parse(over, sizeof(over), &o));
	assert_false(o.ts);
	assert_false(tcp_opt_parse(cut, sizeof(cut), &o));
	assert_int_equal(o.mss, 1460);
}

static void
unknown_options_and_wrong_sizes_are_skipped(void **state)
{
	(void)state;
	const uint8_t b[] = { 253, 6, 1, 2, 3, 4, 2, 3, 9, 3, 4, 9, 9, 4, 3, 0, 3, 3, 15, 0, 99 };
	struct tcp_opts o;

	assert_true(tcp_opt_parse(b, sizeof(b), &o));
	assert_int_equal(o.mss, 0);
	assert_int_equal(o.wscale, 14); /* 15 counts as 14 */
	assert_false(o.sack_ok);
}

static void
sack_blocks_are_read_and_odd_lengths_are_not(void **state)
{
	(void)state;
	uint8_t b[40] = { 5, 34 };
	struct tcp_opts o;

	for (int i = 0; i < 8; i++)
		b[2 + 4 * i + 3] = (uint8_t)(i + 1);
	assert_true(tcp_opt_parse(b, 34, &o));
	assert_int_equal(o.sack_count, 4);
	assert_int_equal(o.sack[3].start, 7);
	assert_int_equal(o.sack[3].end, 8);
	b[1] = 33;
	assert_true(tcp_opt_parse(b, 33, &o));
	assert_int_equal(o.sack_count, 0);
	b[1] = 2;
	assert_true(tcp_opt_parse(b, 2, &o));
	assert_int_equal(o.sack_count, 0);
}

static void
random_bytes_never_read_outside(void **state)
{
	(void)state;
	struct bb_rand r;
	struct tcp_opts o;

	bb_rand_init(&r, 7);
	for (int i = 0; i < 100000; i++) {
		const uint32_t len = bb_rand_below(&r, 41);
		uint8_t *b = malloc(len + 1); /* exactly as long: the sanitizer sees one byte too many */
		for (uint32_t k = 0; k < len; k++)
			b[k] = bb_rand_one_in(&r, 2) ? (uint8_t)bb_rand_below(&r, 12)
						     : (uint8_t)bb_rand_u64(&r);
		tcp_opt_parse(b, len, &o);
		assert_true(o.sack_count <= SACK_BLOCKS_MAX);
		free(b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_we_write_we_read),
		cmocka_unit_test(lengths_of_zero_one_and_beyond_the_end_stop_the_parser),
		cmocka_unit_test(unknown_options_and_wrong_sizes_are_skipped),
		cmocka_unit_test(sack_blocks_are_read_and_odd_lengths_are_not),
		cmocka_unit_test(random_bytes_never_read_outside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
