/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rand.h"
#include "bench/hist.h"

static struct bb_hist hist;

static int
setup(void **state)
{
	(void)state;
	hist = (struct bb_hist){ 0 };
	return 0;
}

static void
an_empty_histogram_answers_zero(void **state)
{
	(void)state;
	assert_int_equal(bb_hist_quantile(&hist, 0.5), 0);
}

static void
small_values_are_exact(void **state)
{
	(void)state;
	for (uint64_t v = 0; v < 64; v++)
		bb_hist_add(&hist, v);
	assert_int_equal(bb_hist_quantile(&hist, 0.25), 15);
	assert_int_equal(bb_hist_quantile(&hist, 0.5), 31);
	assert_int_equal(bb_hist_quantile(&hist, 1), 63);
}

static void
buckets_rise_without_a_hole_and_values_stay_below_the_next_bucket(void **state)
{
	uint32_t last = 0;

	(void)state;
	for (uint64_t v = 0; v < 1u << 20; v++) {
		const uint32_t i = bb_hist_bucket(v);

		assert_true(i == last || i == last + 1);
		last = i;
	}
}

static int
by_value(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void
quantiles_are_within_a_thirtysecond_above_the_sorted_truth(void **state)
{
	enum { N = 20000 };
	static uint64_t values[N];
	static const double qs[] = { 0.01, 0.5, 0.9, 0.99, 0.999, 1 };
	struct bb_rand r;

	(void)state;
	bb_rand_init(&r, 7);
	for (int i = 0; i < N; i++) {
		values[i] = bb_rand_u64(&r) >> (26 + bb_rand_below(&r, 30));
		bb_hist_add(&hist, values[i]);
	}
	qsort(values, N, sizeof(values[0]), by_value);
	for (size_t i = 0; i < sizeof(qs) / sizeof(qs[0]); i++) {
		const uint64_t truth = values[(size_t)(qs[i] * N) - 1];
		const uint64_t got = bb_hist_quantile(&hist, qs[i]);

		assert_true(got >= truth);
		assert_true(got <= truth + truth / 32 + 1);
	}
}

static void
values_beyond_the_range_keep_the_exact_maximum(void **state)
{
	(void)state;
	bb_hist_add(&hist, 5);
	bb_hist_add(&hist, UINT64_MAX - 1);
	assert_int_equal(bb_hist_quantile(&hist, 0.5), 5);
	assert_true(bb_hist_quantile(&hist, 1) == UINT64_MAX - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_empty_histogram_answers_zero, setup),
		cmocka_unit_test_setup(small_values_are_exact, setup),
		cmocka_unit_test_setup(
			buckets_rise_without_a_hole_and_values_stay_below_the_next_bucket, setup),
		cmocka_unit_test_setup(quantiles_are_within_a_thirtysecond_above_the_sorted_truth, setup),
		cmocka_unit_test_setup(values_beyond_the_range_keep_the_exact_maximum, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
