/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/csum.h"

#include <string.h>

/* Four 32-bit lanes: no carry can be lost before 2^32 words, and compilers turn the loop into vectors. */
uint64_t
bb_csum_partial(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t lane[4] = { 0 };

	for (; len >= 16; len -= 16, p += 16) {
		uint32_t w[4];
		memcpy(w, p, 16);
		for (int i = 0; i < 4; i++)
			lane[i] += w[i];
	}
	uint64_t sum = lane[0] + lane[1] + lane[2] + lane[3];
	for (; len >= 4; len -= 4, p += 4) {
		uint32_t w;
		memcpy(&w, p, 4);
		sum += w;
	}
	if (len > 0) {
		uint32_t w = 0;
		memcpy(&w, p, len); /* missing octets count as zero */
		sum += w;
	}
	return sum;
}

uint64_t
bb_csum_pseudo(const struct bb_ip *src, const struct bb_ip *dst, uint8_t proto, uint32_t len)
{
	uint8_t tail[8];
	const size_t skip = bb_ip_is4(src) ? 12 : 0;

	bb_store_be32(tail, len);
	bb_store_be32(tail + 4, proto);
	return bb_csum_partial(src->b + skip, 16 - skip) + bb_csum_partial(dst->b + skip, 16 - skip) +
	       bb_csum_partial(tail, sizeof(tail));
}
