/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rand.h"
#include "net/csum.h"

/* RFC 1071 4.1, word for word: 16-bit words added in network order. */
static uint16_t
naive(const uint8_t *b, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? b[i] : (uint32_t)b[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void
sum_of_any_length_and_alignment_equals_the_naive_sum(void **state)
{
	(void)state;
	struct bb_rand r;
	uint8_t b[2048];

	bb_rand_init(&r, 1);
	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)bb_rand_u64(&r);
	for (size_t len = 0; len < 600; len++) {
		const size_t at = bb_rand_below(&r, 64);
		const uint16_t got = __builtin_bswap16(bb_csum_fold(bb_csum_partial(b + at, len)));
		assert_int_equal(got % 0xffff, naive(b + at, len) % 0xffff);
	}
}

static void
parts_at_odd_offsets_add_up_to_the_whole(void **state)
{
	(void)state;
	struct bb_rand r;
	uint8_t b[512];

	bb_rand_init(&r, 2);
	for (int round = 0; round < 500; round++) {
		const size_t len = 1 + bb_rand_below(&r, sizeof(b) - 1);
		uint64_t sum = 0;
		for (size_t i = 0; i < len; i++)
			b[i] = (uint8_t)bb_rand_u64(&r);
		for (size_t at = 0; at < len;) {
			const size_t n = 1 + bb_rand_below(&r, (uint32_t)(len - at));
			sum = bb_csum_add_at(sum, bb_csum_partial(b + at, n), at);
			at += n;
		}
		assert_int_equal(bb_csum_fold(sum) % 0xffff, bb_csum_fold(bb_csum_partial(b, len)) % 0xffff);
	}
}

static void
all_ones_do_not_overflow(void **state)
{
	(void)state;
	static uint8_t b[65535];

	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = 0xff;
	assert_int_equal(bb_csum_fold(bb_csum_partial(b, 65534)), 0xffff);
	assert_int_equal(__builtin_bswap16(bb_csum_fold(bb_csum_partial(b, 65535))), 0xff00);
}

static void
a_packet_with_its_checksum_sums_to_all_ones(void **state)
{
	(void)state;
	/* The example header of RFC 1071's companion texts: its checksum is b861. */
	uint8_t h[20] = { 0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0,
		0xc7 };
	const uint16_t sum = bb_csum_finish(bb_csum_partial(h, 20));

	assert_int_equal(__builtin_bswap16(sum), 0xb861);
	memcpy(h + 10, &sum, 2);
	assert_int_equal(bb_csum_fold(bb_csum_partial(h, 20)), 0xffff);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sum_of_any_length_and_alignment_equals_the_naive_sum),
		cmocka_unit_test(parts_at_odd_offsets_add_up_to_the_whole),
		cmocka_unit_test(all_ones_do_not_overflow),
		cmocka_unit_test(a_packet_with_its_checksum_sums_to_all_ones),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
