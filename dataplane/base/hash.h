/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hash: SipHash-1-3 (Aumasson and Bernstein 2012), 64 bits, keyed. Tables whose keys peers choose (topics,
 * routing ids, flows) need a key that the peers cannot know, or one of them fills a bucket at will.
 */
#ifndef BB_BASE_HASH_H
#define BB_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bb_hash_key {
	uint64_t k0, k1;
};

#define BB_SIP_ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define BB_SIP_ROUND(v0, v1, v2, v3)           \
	do {                                   \
		v0 += v1;                      \
		v1 = BB_SIP_ROTL(v1, 13) ^ v0; \
		v0 = BB_SIP_ROTL(v0, 32);      \
		v2 += v3;                      \
		v3 = BB_SIP_ROTL(v3, 16) ^ v2; \
		v0 += v3;                      \
		v3 = BB_SIP_ROTL(v3, 21) ^ v0; \
		v2 += v1;                      \
		v1 = BB_SIP_ROTL(v1, 17) ^ v2; \
		v2 = BB_SIP_ROTL(v2, 32);      \
	} while (0)

static inline uint64_t
bb_hash(const struct bb_hash_key *key, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t v0 = key->k0 ^ UINT64_C(0x736f6d6570736575);
	uint64_t v1 = key->k1 ^ UINT64_C(0x646f72616e646f6d);
	uint64_t v2 = key->k0 ^ UINT64_C(0x6c7967656e657261);
	uint64_t v3 = key->k1 ^ UINT64_C(0x7465646279746573);
	uint64_t last = (uint64_t)len << 56;

	for (; len >= 8; len -= 8, p += 8) {
		uint64_t m;
		memcpy(&m, p, 8);
		v3 ^= m;
		BB_SIP_ROUND(v0, v1, v2, v3);
		v0 ^= m;
	}
	for (size_t i = 0; i < len; i++)
		last |= (uint64_t)p[i] << (8 * i);
	v3 ^= last;
	BB_SIP_ROUND(v0, v1, v2, v3);
	v0 ^= last;
	v2 ^= 0xff;
	BB_SIP_ROUND(v0, v1, v2, v3);
	BB_SIP_ROUND(v0, v1, v2, v3);
	BB_SIP_ROUND(v0, v1, v2, v3);
	return v0 ^ v1 ^ v2 ^ v3;
}

#endif
