/* SPDX-License-Identifier: BSD-3-Clause */
#include "msg/fabric.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "msg/batch.h"
#include "msg/mail.h"

/* Hands out aligned pieces of one allocation; with base NULL it only adds up. */
struct carver {
	uint8_t *base;
	size_t used;
};

static void *
carve(struct carver *c, size_t bytes)
{
	void *p = c->base == NULL ? NULL : c->base + c->used;

	c->used += bb_align_up(bytes, 2 * BB_CACHE_LINE);
	return p;
}

static void
carve_rings(struct carver *c, struct bb_ring **ret_rings, uint32_t count, uint32_t slots, uint32_t elem_bytes)
{
	struct bb_ring *rings = carve(c, count * sizeof(*rings));

	for (uint32_t i = 0; i < count; i++) {
		void *memory = carve(c, bb_ring_memory_bytes(slots, elem_bytes));
		if (memory != NULL)
			bb_ring_init(&rings[i], memory, slots, elem_bytes);
	}
	*ret_rings = rings;
}

static void
carve_all(struct bb_fabric *f, struct carver *c)
{
	const struct bb_fabric_sizes *n = &f->sizes;
	const uint32_t pairs = n->io_count * n->router_count;

	carve_rings(c, &f->slices, pairs, n->slices, sizeof(struct bb_slice));
	carve_rings(c, &f->deliveries, pairs, n->deliveries, sizeof(struct bb_delivery));
	carve_rings(c, &f->io_mail, n->io_count * n->io_count, n->mails, sizeof(struct bb_mail));
	carve_rings(c, &f->agent_to_io, n->io_count, n->mails, sizeof(struct bb_mail));
	carve_rings(c, &f->io_to_agent, n->io_count, n->mails, sizeof(struct bb_mail));
	carve_rings(c, &f->agent_to_router, n->router_count, n->mails, sizeof(struct bb_mail));
	carve_rings(c, &f->router_to_agent, n->router_count, n->mails, sizeof(struct bb_mail));
	f->progress = carve(c, pairs * sizeof(*f->progress));
	f->io_wake = carve(c, n->io_count * sizeof(struct bb_wake *));
	f->router_wake = carve(c, n->router_count * sizeof(struct bb_wake *));
	f->io_load = carve(c, n->io_count * sizeof(*f->io_load));
}

int
bb_fabric_init(struct bb_fabric *f, const struct bb_fabric_sizes *sizes, struct bb_pool *pool)
{
	struct carver sum = { 0 };

	*f = (struct bb_fabric){ .sizes = *sizes, .pool = pool };
	carve_all(f, &sum);
	f->memory_bytes = sum.used;
	f->memory = aligned_alloc(2 * BB_CACHE_LINE, f->memory_bytes);
	if (f->memory == NULL)
		return -ENOMEM;
	memset(f->memory, 0, f->memory_bytes);
	carve_all(f, &(struct carver){ .base = f->memory });
	return 0;
}

void
bb_fabric_fini(struct bb_fabric *f)
{
	free(f->memory);
	*f = (struct bb_fabric){ 0 };
}
