/* SPDX-License-Identifier: BSD-3-Clause */
/* compiler: the few attributes and constants of the machine that the code names directly. */
#ifndef BB_BASE_COMPILER_H
#define BB_BASE_COMPILER_H

#include <assert.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#define BB_CACHE_LINE 64

/* The prefetcher of current x86 fetches lines in pairs: what must not share keeps two lines apart. */
#define BB_NO_SHARE alignas(2 * BB_CACHE_LINE)

#define bb_likely(x) __builtin_expect(!!(x), 1)
#define bb_unlikely(x) __builtin_expect(!!(x), 0)
#define BB_UNUSED __attribute__((unused))
#define BB_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define BB_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define BB_BIT(n) (1u << (n))

#define bb_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline uint64_t
bb_min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t
bb_max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Round x up to a multiple of align, a power of two. */
static inline uint64_t
bb_align_up(uint64_t x, uint64_t align)
{
	return (x + align - 1) & ~(align - 1);
}

#endif
