/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * arena: the memory of one actor's tables: a bb_mem (base/mem.h) whose pages were reserved at start.
 *
 * With jemalloc: one arena and one thread cache per actor. Its extents come from a range of addresses that is
 * mapped once; the arena keeps what it got and reuses it, and gives unused pages back to the kernel after a
 * while, so resident memory follows use. Nothing is asked of the system's allocator.
 *
 * The range is larger than the budget (by half, and 8 MiB), because an allocator needs room for its size
 * classes; the budget counts what was asked for.
 *
 * Without jemalloc (builds for sanitizers, -Djemalloc=disabled): the heap, so that each table's overflow is
 * seen.
 *
 * Owner: init and fini: the agent, while the actor does not run; else the actor.
 */
#ifndef BB_ENGINE_ARENA_H
#define BB_ENGINE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

struct bb_arena {
	struct bb_mem mem;
	/* with jemalloc */
	void *hooks;
	bool created, cached;  /* the arena; its thread cache */
	unsigned index, cache; /* jemalloc's numbers */
	int flags;	       /* of mallocx() and sdallocx() */
	uint8_t *range;
	size_t range_bytes;
	size_t range_used; /* bytes that were handed to jemalloc since start; it hands none back */
};

/* 0 or negative errno. Must stay at its address until fini. */
int bb_arena_init(struct bb_arena *a, uint64_t budget_bytes);

/* Gives back everything, also what is still allocated. Zeroed is allowed. */
void bb_arena_fini(struct bb_arena *a);

#endif
