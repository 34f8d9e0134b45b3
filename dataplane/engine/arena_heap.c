/* SPDX-License-Identifier: BSD-3-Clause */
/* arena_heap: arena.h on the process heap, for builds whose sanitizer must see each allocation. */
#include "engine/arena.h"

int
bb_arena_init(struct bb_arena *a, uint64_t budget_bytes)
{
	*a = (struct bb_arena){ 0 };
	bb_mem_init_heap(&a->mem, budget_bytes);
	return 0;
}

void
bb_arena_fini(struct bb_arena *a)
{
	*a = (struct bb_arena){
		0
	}; /* what an actor did not give back is a leak that the sanitizer reports */
}
