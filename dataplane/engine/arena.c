/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/arena.h"

#include <errno.h>
#include <jemalloc/jemalloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/compiler.h"

#define SLACK_BYTES (UINT64_C(8) << 20) /* jemalloc's own tables, and its growth in steps */
#define GROW_BYTES_MAX ((size_t)4 << 20)

/*
 * Read by jemalloc. It would not cut small pieces from large freed extents (above 2^6 times their size), but
 * ask for fresh ones until the freed ones are purged: a table that is emptied and filled again would need its
 * memory twice.
 */
__attribute__((visibility("default"))) const char *malloc_conf = "lg_extent_max_active_fit:30";

/* What jemalloc hands back to each hook. */
struct hooks {
	extent_hooks_t ops;
	struct bb_arena *arena;
};

static void *
extent_alloc(extent_hooks_t *ops, void *new_addr, size_t size, size_t alignment, bool *zero, bool *commit,
	unsigned arena_ind)
{
	struct bb_arena *a = bb_container_of(ops, struct hooks, ops)->arena;
	const uintptr_t base = (uintptr_t)a->range;
	const uintptr_t at = bb_align_up(base + a->range_used, alignment);

	(void)arena_ind;
	if (new_addr != NULL && (uintptr_t)new_addr != at)
		return NULL;
	if (at - base > a->range_bytes || size > a->range_bytes - (at - base))
		return NULL;
	a->range_used = at - base + size;
	*zero = true; /* each byte is given out once, fresh from the kernel */
	*commit = true;
	return (void *)at;
}

/* Refused: jemalloc keeps what it got and reuses it. */
static bool
extent_dalloc(extent_hooks_t *ops, void *addr, size_t size, bool committed, unsigned arena_ind)
{
	(void)ops, (void)addr, (void)size, (void)committed, (void)arena_ind;
	return true;
}

static bool
extent_purge(extent_hooks_t *ops, void *addr, size_t size, size_t offset, size_t length, unsigned arena_ind)
{
	(void)ops, (void)size, (void)arena_ind;
	return madvise((char *)addr + offset, length, MADV_DONTNEED) != 0;
}

/* Neighbours always join: it is one mapping. */
static bool
extent_split(extent_hooks_t *ops, void *addr, size_t size, size_t a, size_t b, bool committed, unsigned ind)
{
	(void)ops, (void)addr, (void)size, (void)a, (void)b, (void)committed, (void)ind;
	return false;
}

static bool
extent_merge(
	extent_hooks_t *ops, void *a, size_t size_a, void *b, size_t size_b, bool committed, unsigned ind)
{
	(void)ops, (void)a, (void)size_a, (void)b, (void)size_b, (void)committed, (void)ind;
	return false;
}

static const extent_hooks_t extent_ops = {
	.alloc = extent_alloc,
	.dalloc = extent_dalloc,
	.purge_forced = extent_purge,
	.split = extent_split,
	.merge = extent_merge,
};

/* base/mem.h promises an alignment of 16 for every size; jemalloc gives the smallest class 8. */
static size_t
request(size_t size)
{
	return size > 16 ? size : 16;
}

static void *
arena_alloc(struct bb_mem *m, size_t size)
{
	const struct bb_arena *a = bb_container_of(m, struct bb_arena, mem);

	return mallocx(request(size), a->flags);
}

static void
arena_free(struct bb_mem *m, void *p, size_t size)
{
	const struct bb_arena *a = bb_container_of(m, struct bb_arena, mem);

	sdallocx(p, request(size), a->flags);
}

static const struct bb_mem_ops arena_ops = { .alloc = arena_alloc, .free = arena_free };

static int
create_arena(struct bb_arena *a)
{
	extent_hooks_t *ops = &((struct hooks *)a->hooks)->ops;
	size_t bytes = sizeof(a->index), grow = GROW_BYTES_MAX;
	char name[64];
	int error = mallctl("arenas.create", &a->index, &bytes, &ops, sizeof(ops));

	if (error != 0)
		return -error;
	a->created = true;
	snprintf(name, sizeof(name), "arena.%u.retain_grow_limit", a->index);
	error = mallctl(name, NULL, NULL, &grow, sizeof(grow));
	if (error == 0) {
		bytes = sizeof(a->cache);
		error = mallctl("tcache.create", &a->cache, &bytes, NULL, 0);
	}
	if (error != 0)
		return -error;
	a->cached = true;
	a->flags = MALLOCX_ARENA(a->index) | MALLOCX_TCACHE(a->cache);
	return 0;
}

int
bb_arena_init(struct bb_arena *a, uint64_t budget_bytes)
{
	struct hooks *hooks = malloc(sizeof(*hooks));
	int error;

	memset(a, 0, sizeof(*a));
	if (hooks == NULL)
		return -ENOMEM;
	*hooks = (struct hooks){ .ops = extent_ops, .arena = a };
	a->hooks = hooks;
	a->mem = (struct bb_mem){ .ops = &arena_ops, .max_bytes = budget_bytes };
	a->range_bytes = bb_align_up(budget_bytes + budget_bytes / 2 + SLACK_BYTES, UINT64_C(2) << 20);
	a->range = mmap(NULL, a->range_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (a->range == MAP_FAILED) {
		a->range = NULL;
		error = -ENOMEM;
	} else {
		error = create_arena(a);
	}
	if (error != 0)
		bb_arena_fini(a);
	return error;
}

void
bb_arena_fini(struct bb_arena *a)
{
	char name[64];

	if (a->cached)
		mallctl("tcache.destroy", NULL, NULL, &a->cache, sizeof(a->cache));
	if (a->created) {
		snprintf(name, sizeof(name), "arena.%u.destroy", a->index);
		mallctl(name, NULL, NULL, NULL, 0);
	}
	if (a->range != NULL)
		munmap(a->range, a->range_bytes);
	free(a->hooks);
	*a = (struct bb_arena){ 0 };
}
