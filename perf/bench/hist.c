/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/hist.h"

#include "base/compiler.h"

/* The largest value that falls into bucket i. */
static uint64_t
bucket_top(uint32_t i)
{
	if (i < 2 * BB_HIST_SUB)
		return i;

	const uint32_t shift = (i >> BB_HIST_SUB_BITS) - 1;
	const uint64_t mantissa = BB_HIST_SUB + (i & (BB_HIST_SUB - 1));
	return ((mantissa + 1) << shift) - 1;
}

uint64_t
bb_hist_quantile(const struct bb_hist *h, double q)
{
	const double want = q * (double)h->count;
	uint64_t seen = 0;

	if (h->count == 0)
		return 0;
	for (uint32_t i = 0; i < BB_HIST_BUCKETS - 1; i++) {
		seen += h->buckets[i];
		if (seen > 0 && (double)seen >= want)
			return bb_min_u64(bucket_top(i), h->max_ns);
	}
	return h->max_ns;
}
