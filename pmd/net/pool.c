/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/pool.h"

#include <errno.h>

#include "base/compiler.h"

int
bb_net_pool_init(struct bb_net_pool *p, struct bb_mem *mem, uint32_t obj_size, uint32_t count)
{
	BB_ASSERT(obj_size >= sizeof(uint32_t));
	*p = (struct bb_net_pool){ .obj_size = obj_size, .count = count, .free_head = BB_NET_POOL_NONE };
	p->raw_size = (size_t)obj_size * count + BB_CACHE_LINE;
	p->raw = bb_mem_alloc(mem, p->raw_size);
	if (p->raw == NULL)
		return -ENOMEM;
	p->base = (uint8_t *)bb_align_up((uintptr_t)p->raw, BB_CACHE_LINE);
	return 0;
}

void
bb_net_pool_fini(struct bb_net_pool *p, struct bb_mem *mem)
{
	bb_mem_free(mem, p->raw, p->raw_size);
	*p = (struct bb_net_pool){ .free_head = BB_NET_POOL_NONE };
}
