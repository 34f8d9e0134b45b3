/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * counters: the writers' side of include/abi/counters.h: lays the tables out in memory and finds rows.
 *
 * Thread: constant after init; each row has the one writer that abi/counters.h names. Writers use plain
 * 8-byte stores through BB_COUNT(), which readers in other processes see whole.
 */
#ifndef BB_BASE_COUNTERS_H
#define BB_BASE_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

#include "abi/counters.h"

struct bb_counters {
	struct bb_counters_header *header;
	struct bb_loop_row *loops;
	struct bb_io_side_row *io_sides;	 /* [io][side] */
	struct bb_router_side_row *router_sides; /* [router][side] */
	struct bb_session_row *sessions;	 /* [io][slot] */
};

struct bb_counters_sizes {
	uint32_t loop_count, io_count, router_count, side_count, session_count;
};

size_t bb_counters_bytes(const struct bb_counters_sizes *sizes);

/* Lay the tables out in zeroed memory of bb_counters_bytes(), page aligned, the caller's. */
void bb_counters_init(struct bb_counters *c, void *memory, const struct bb_counters_sizes *sizes);

static inline struct bb_io_side_row *
bb_counters_io_side(const struct bb_counters *c, uint32_t io, uint32_t side)
{
	return &c->io_sides[(size_t)io * c->header->side_count + side];
}

static inline struct bb_router_side_row *
bb_counters_router_side(const struct bb_counters *c, uint32_t router, uint32_t side)
{
	return &c->router_sides[(size_t)router * c->header->side_count + side];
}

static inline struct bb_session_row *
bb_counters_session(const struct bb_counters *c, uint32_t io, uint32_t slot)
{
	return &c->sessions[(size_t)io * c->header->session_count + slot];
}

/* The one writer's add and set: relaxed, not read-modify-write for the memory system. */
#define BB_COUNT(row, counter, n) \
	__atomic_store_n(&(row)->c[counter], (row)->c[counter] + (uint64_t)(n), __ATOMIC_RELAXED)
#define BB_GAUGE(row, counter, n) __atomic_store_n(&(row)->c[counter], (uint64_t)(n), __ATOMIC_RELAXED)

#endif
