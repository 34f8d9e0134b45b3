/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * csum: the Internet checksum (RFC 1071). Sums are kept unfolded in 64 bits and in memory order,
 * so they may be added up in any order as long as each part begins at an even offset; a part
 * that begins at an odd one is added with bb_csum_add_at.
 */
#ifndef BB_NET_CSUM_H
#define BB_NET_CSUM_H

#include <stddef.h>
#include <stdint.h>

#include "net/ip.h"

/* Sum of len bytes; len may be odd, data need not be aligned. */
uint64_t bb_csum_partial(const void *data, size_t len);

/* Fold to 16 bits in memory order, not complemented. */
static inline uint16_t
bb_csum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Add the sum of a part that begins offset bytes into the whole. */
static inline uint64_t
bb_csum_add_at(uint64_t sum, uint64_t part, size_t offset)
{
	uint16_t folded = bb_csum_fold(part);

	if (offset & 1)
		folded = (uint16_t)(folded << 8 | folded >> 8);
	return sum + folded;
}

/* The checksum field for a sum, as it is stored with memcpy: all ones is never sent as zero. */
static inline uint16_t
bb_csum_finish(uint64_t sum)
{
	return (uint16_t)~bb_csum_fold(sum);
}

/* Sum of the pseudo header of RFC 9293 3.1 and RFC 8200 8.1; len is that of the upper layer. */
uint64_t bb_csum_pseudo(const struct bb_ip *src, const struct bb_ip *dst, uint8_t proto, uint32_t len);

#endif
