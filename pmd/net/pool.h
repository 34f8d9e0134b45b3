/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pool: objects of one size, named by a 32-bit index, in one allocation made at start.
 * Objects never handed out are never touched, so resident memory follows use.
 *
 * Owner: one stack instance; no locks.
 */
#ifndef BB_NET_POOL_H
#define BB_NET_POOL_H

#include <stdint.h>

#include "base/assert.h"
#include "base/mem.h"

#define BB_NET_POOL_NONE UINT32_MAX

struct bb_net_pool {
	uint8_t *base;
	uint32_t obj_size;
	uint32_t count;
	uint32_t fresh;	    /* objects from here on were never handed out */
	uint32_t free_head; /* returned objects, linked through their first word */
	uint32_t used;
	uint64_t refused;
	void *raw;
	size_t raw_size;
};

/* obj_size is at least 4; objects are aligned to it if it is a multiple of 64. 0 or -ENOMEM. */
int bb_net_pool_init(struct bb_net_pool *p, struct bb_mem *mem, uint32_t obj_size, uint32_t count);
void bb_net_pool_fini(struct bb_net_pool *p, struct bb_mem *mem);

static inline void *
bb_net_pool_at(const struct bb_net_pool *p, uint32_t idx)
{
	BB_DEBUG_ASSERT(idx < p->fresh);
	return p->base + (size_t)idx * p->obj_size;
}

static inline uint32_t
bb_net_pool_index(const struct bb_net_pool *p, const void *obj)
{
	return (uint32_t)((size_t)((const uint8_t *)obj - p->base) / p->obj_size);
}

/* BB_NET_POOL_NONE when all are in use. Contents are undefined. */
static inline uint32_t
bb_net_pool_alloc(struct bb_net_pool *p)
{
	uint32_t idx = p->free_head;

	if (idx != BB_NET_POOL_NONE) {
		p->free_head = *(uint32_t *)bb_net_pool_at(p, idx);
	} else if (p->fresh < p->count) {
		idx = p->fresh++;
	} else {
		p->refused++;
		return BB_NET_POOL_NONE;
	}
	p->used++;
	return idx;
}

static inline void
bb_net_pool_free(struct bb_net_pool *p, uint32_t idx)
{
	BB_ASSERT(p->used > 0);
	*(uint32_t *)bb_net_pool_at(p, idx) = p->free_head;
	p->free_head = idx;
	p->used--;
}

#endif
