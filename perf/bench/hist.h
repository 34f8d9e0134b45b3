/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hist: a log-linear histogram of durations: 32 buckets per power of two, so a value read back is at most
 * 3.2 % above the recorded one. 9 KiB, no allocation; adding is a few instructions.
 *
 * Owner: one thread.
 */
#ifndef BB_PERF_HIST_H
#define BB_PERF_HIST_H

#include <stdint.h>

#define BB_HIST_SUB_BITS 5
#define BB_HIST_SUB (1u << BB_HIST_SUB_BITS)
#define BB_HIST_TOP_BITS 40 /* values from 2^40 ns (18 minutes) on share the last bucket; max stays exact */
#define BB_HIST_BUCKETS ((BB_HIST_TOP_BITS - BB_HIST_SUB_BITS + 1) * BB_HIST_SUB)

/* Zeroed is empty. */
struct bb_hist {
	uint64_t count;
	uint64_t max_ns;
	uint64_t buckets[BB_HIST_BUCKETS];
};

static inline uint32_t
bb_hist_bucket(uint64_t ns)
{
	if (ns < BB_HIST_SUB)
		return (uint32_t)ns;
	if (ns >> BB_HIST_TOP_BITS)
		return BB_HIST_BUCKETS - 1;

	const uint32_t shift = 63 - (uint32_t)__builtin_clzll(ns) - BB_HIST_SUB_BITS;
	return (shift << BB_HIST_SUB_BITS) + (uint32_t)(ns >> shift);
}

static inline void
bb_hist_add(struct bb_hist *h, uint64_t ns)
{
	h->count++;
	h->buckets[bb_hist_bucket(ns)]++;
	if (ns > h->max_ns)
		h->max_ns = ns;
}

/* The smallest bucket bound that at least the share q (0..1) of the values does not exceed; 0 when empty. */
uint64_t bb_hist_quantile(const struct bb_hist *h, double q);

#endif
