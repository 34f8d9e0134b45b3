/* SPDX-License-Identifier: BSD-3-Clause */
#include "msg/hold.h"

#include <errno.h>

#include "base/assert.h"

int
bb_holds_init(struct bb_holds *h, struct bb_pool *pool, struct bb_mem *mem, uint32_t actor)
{
	*h = (struct bb_holds){ .pool = pool };
	BB_OWNER_SET(h, actor);
	h->of = bb_mem_zalloc(mem, pool->count * sizeof(*h->of));
	return h->of == NULL ? -ENOMEM : 0;
}

void
bb_holds_fini(struct bb_holds *h, struct bb_mem *mem)
{
	if (h->of == NULL)
		return;
	BB_ASSERT(h->pinned_bytes == 0 && h->needed_bytes == 0);
	bb_mem_free(mem, h->of, h->pool->count * sizeof(*h->of));
	h->of = NULL;
}

void
bb_holds_open(struct bb_holds *h, uint32_t buffer, uint32_t refs, uint64_t chain_bytes)
{
	struct bb_hold *e = &h->of[buffer];

	BB_ASSERT_OWNER(h);
	if (e->count == 0) {
		e->pinned = chain_bytes == 0 ? BB_BUFFER_BYTES : bb_align_up(chain_bytes, BB_BUFFER_BYTES);
		h->pinned_bytes += e->pinned;
	}
	e->count++;
	e->refs += refs;
}

void
bb_holds_drop(struct bb_holds *h, uint32_t buffer, uint32_t count, uint64_t bytes)
{
	struct bb_hold *e = &h->of[buffer];

	BB_ASSERT_OWNER(h);
	BB_ASSERT(e->count >= count && e->bytes >= bytes && e->count > 0);
	e->count -= count;
	e->bytes -= bytes;
	h->needed_bytes -= bytes;
	if (e->count > 0)
		return;
	BB_ASSERT(e->bytes == 0);
	const uint32_t refs = e->refs;
	h->pinned_bytes -= e->pinned;
	*e = (struct bb_hold){ 0 };
	bb_pool_put(h->pool, buffer, refs);
}
