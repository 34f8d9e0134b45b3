/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rand: a small seeded generator (xoshiro256**, Blackman and Vigna 2018). For jitter, probes and tests;
 * secrets (initial sequence numbers, cookies) need a keyed hash over a key from the kernel instead.
 *
 * Owner: whoever holds the state.
 */
#ifndef BB_BASE_RAND_H
#define BB_BASE_RAND_H

#include <stdint.h>

struct bb_rand {
	uint64_t s[4];
};

/* Any seed is good, zero too (state filled by splitmix64). */
static inline void
bb_rand_init(struct bb_rand *r, uint64_t seed)
{
	for (int i = 0; i < 4; i++) {
		uint64_t z = (seed += UINT64_C(0x9e3779b97f4a7c15));
		z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
		r->s[i] = z ^ (z >> 31);
	}
}

static inline uint64_t
bb_rand_u64(struct bb_rand *r)
{
	uint64_t *s = r->s;
	const uint64_t x = s[1] * 5;
	const uint64_t ret = ((x << 7) | (x >> 57)) * 9;
	const uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = (s[3] << 45) | (s[3] >> 19);
	return ret;
}

/* Uniform in [0, n), n > 0 (multiply and shift; the bias below 2^-32 does not matter here). */
static inline uint32_t
bb_rand_below(struct bb_rand *r, uint32_t n)
{
	return (uint32_t)(((bb_rand_u64(r) >> 32) * n) >> 32);
}

/* True once in n calls on average; never for n = 0. */
static inline int
bb_rand_one_in(struct bb_rand *r, uint32_t n)
{
	return n != 0 && bb_rand_below(r, n) == 0;
}

#endif
