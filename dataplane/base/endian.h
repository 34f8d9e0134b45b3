/* SPDX-License-Identifier: BSD-3-Clause */
/* endian: unaligned loads and stores of network order (big endian) integers. */
#ifndef BB_BASE_ENDIAN_H
#define BB_BASE_ENDIAN_H

#include <stdint.h>
#include <string.h>

static inline uint16_t
bb_load_be16(const void *p)
{
	uint16_t x;
	memcpy(&x, p, sizeof(x));
	return __builtin_bswap16(x);
}

static inline uint32_t
bb_load_be32(const void *p)
{
	uint32_t x;
	memcpy(&x, p, sizeof(x));
	return __builtin_bswap32(x);
}

static inline uint64_t
bb_load_be64(const void *p)
{
	uint64_t x;
	memcpy(&x, p, sizeof(x));
	return __builtin_bswap64(x);
}

static inline void
bb_store_be16(void *p, uint16_t x)
{
	x = __builtin_bswap16(x);
	memcpy(p, &x, sizeof(x));
}

static inline void
bb_store_be32(void *p, uint32_t x)
{
	x = __builtin_bswap32(x);
	memcpy(p, &x, sizeof(x));
}

static inline void
bb_store_be64(void *p, uint64_t x)
{
	x = __builtin_bswap64(x);
	memcpy(p, &x, sizeof(x));
}

#endif
