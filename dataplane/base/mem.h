/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mem: memory for what really varies (subscription nodes, destination sets, span chunks, bytes of
 * incomplete messages), charged against a budget. An interface: base has the heap as back-end, engine/ has
 * jemalloc arenas on memory reserved at start, the simulator one that fails on purpose.
 *
 * NULL is an answer that every caller must be ready for: the peer that asked is refused or waits,
 * nobody else notices.
 *
 * Owner: one actor; what it allocates it frees, on the same core.
 */
#ifndef BB_BASE_MEM_H
#define BB_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

struct bb_mem;

struct bb_mem_ops {
	/* size bytes aligned to 16, contents undefined; NULL when there is none. */
	void *(*alloc)(struct bb_mem *m, size_t size);
	/* size is what was asked for. */
	void (*free)(struct bb_mem *m, void *p, size_t size);
};

struct bb_mem {
	const struct bb_mem_ops *ops;
	uint64_t used_bytes; /* asked for and not yet freed */
	uint64_t max_bytes;  /* budget; alloc answers NULL beyond it */
	uint64_t refused;    /* allocations that were answered with NULL */
};

/* The process heap, for tests and tools. */
void bb_mem_init_heap(struct bb_mem *m, uint64_t max_bytes);

void *bb_mem_alloc(struct bb_mem *m, size_t size);
void *bb_mem_zalloc(struct bb_mem *m, size_t size);

/* NULL is allowed. */
void bb_mem_free(struct bb_mem *m, void *p, size_t size);

#endif
