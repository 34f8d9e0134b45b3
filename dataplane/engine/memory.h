/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory: all memory of the data path, reserved at start: the message pool, and the tables' memory of each
 * actor.
 *
 * How `memory` is split:
 *
 *   3/4  message pool: buffers of 64 KiB (msg/pool.h). 1/32 of them, at least 8, are the reserve for
 *        handshakes and commands
 *   1/4  tables: half of it in equal parts for the I/O cores (sessions, send queues), half for the routers
 *        (subscriptions, routing ids, park). Each part is one actor's budget and its own: what peers of one
 *        endpoint cost one actor never takes the memory of another
 *
 * The pool lies on hugepages if the plan says so, else on ordinary pages that become resident when first
 * used; free buffers are reused last in, first out, so resident memory follows the load. It is bound to
 * the NUMA nodes of the role CPUs (interleaved when there are several: any actor reads any buffer).
 *
 * Tables are jemalloc arenas, one per actor, on ordinary pages reserved with the pool (engine/arena.h); in
 * builds for sanitizers the heap, with the same budgets.
 *
 * Thread: the agent, at start and stop.
 */
#ifndef BB_ENGINE_MEMORY_H
#define BB_ENGINE_MEMORY_H

#include <stdint.h>

#include "engine/arena.h"
#include "engine/plan.h"
#include "msg/pool.h"

struct bb_memory {
	struct bb_pool pool;
	uint8_t *pool_bytes; /* from bb_eal_reserve() or mmap() */
	size_t pool_length;
	bool pool_huge;
	struct bb_buffer *buffers;
	uint32_t actor_count;	 /* I/O cores, then routers */
	struct bb_arena *arenas; /* [actor_count] */
};

/* Split memory_bytes; -ENOMEM with a line of text below what is of use for so many actors. Pure. */
int bb_memory_split(uint64_t memory_bytes, uint32_t io_count, uint32_t router_count, uint64_t *ret_pool_bytes,
	uint64_t *ret_tables_bytes, struct bb_text *text);

/* The tables' budget of one actor. Pure. */
uint64_t bb_memory_budget(uint64_t tables_bytes, uint32_t io_count, uint32_t router_count, bool is_io);

/* 0 or -ENOMEM with a line of text. The plan's topology is needed for binding only. */
int bb_memory_init(
	struct bb_memory *m, const struct bb_plan *plan, hwloc_topology_t topology, struct bb_text *text);

/* clean: all actors gave back what they held, so every buffer must be there again. */
void bb_memory_fini(struct bb_memory *m, bool clean);

static inline struct bb_mem *
bb_memory_io(struct bb_memory *m, uint32_t io)
{
	return &m->arenas[io].mem;
}

static inline struct bb_mem *
bb_memory_router(struct bb_memory *m, const struct bb_plan *plan, uint32_t router)
{
	return &m->arenas[plan->io_count + router].mem;
}

#endif
