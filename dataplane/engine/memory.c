/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "engine/eal.h"

#define MIB (UINT64_C(1) << 20)
#define ACTOR_BYTES_MIN (1 * MIB)
#define MEMORY_BYTES_MIN (16 * MIB)
#define RESERVE_MIN 8u

int
bb_memory_split(uint64_t memory_bytes, uint32_t io_count, uint32_t router_count, uint64_t *ret_pool_bytes,
	uint64_t *ret_tables_bytes, struct bb_text *text)
{
	const uint64_t actors = bb_max_u64(io_count, router_count);
	/* Each I/O core keeps a buffer open per router, and what routers hold must not stop them all. */
	const uint64_t buffers_min = (uint64_t)io_count * router_count * 4 + RESERVE_MIN + 64;
	uint64_t least = bb_max_u64(MEMORY_BYTES_MIN, actors * 2 * 4 * ACTOR_BYTES_MIN);

	least = bb_max_u64(least, bb_align_up(buffers_min * BB_BUFFER_BYTES / 3 * 4, MIB));
	if (memory_bytes < least)
		return bb_text_fail(text, -ENOMEM,
			"memory: %llu MiB is too little for %u I/O cores and %u routers: at least %llu MiB",
			(unsigned long long)(memory_bytes / MIB), io_count, router_count,
			(unsigned long long)(least / MIB));
	if (memory_bytes / BB_BUFFER_BYTES >= BB_BUFFER_NONE)
		return bb_text_fail(text, -EINVAL, "memory: more than 256 TiB");
	*ret_pool_bytes = memory_bytes / 4 * 3 / BB_BUFFER_BYTES * BB_BUFFER_BYTES;
	*ret_tables_bytes = memory_bytes - *ret_pool_bytes;
	return 0;
}

uint64_t
bb_memory_budget(uint64_t tables_bytes, uint32_t io_count, uint32_t router_count, bool is_io)
{
	return tables_bytes / 2 / (is_io ? io_count : router_count);
}

/* Pages come where the role CPUs are: first touch alone would put them where a burst happened to begin. */
static void
bind_pool(const struct bb_memory *m, const struct bb_plan *plan, hwloc_topology_t topology)
{
	hwloc_bitmap_t nodes = hwloc_bitmap_alloc();

	for (uint32_t i = 0; nodes != NULL && i < plan->loop_count; i++)
		hwloc_bitmap_set(nodes, plan->loop[i].numa);
	if (nodes != NULL && hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_NUMANODE) > 1) {
		const hwloc_membind_policy_t policy = hwloc_bitmap_weight(nodes) > 1
							      ? HWLOC_MEMBIND_INTERLEAVE
							      : HWLOC_MEMBIND_BIND;
		if (hwloc_set_area_membind(topology, m->pool_bytes, m->pool_length, nodes, policy,
			    HWLOC_MEMBIND_BYNODESET) != 0)
			bb_log_warn("MEMORY-UNBOUND",
				"error=%d what=\"message memory is not bound to NUMA nodes\"", errno);
	}
	hwloc_bitmap_free(nodes);
}

static int
init_pool(struct bb_memory *m, const struct bb_plan *plan, hwloc_topology_t topology, struct bb_text *text)
{
	const uint32_t count = (uint32_t)(plan->pool_bytes / BB_BUFFER_BYTES);
	const uint32_t reserve = (uint32_t)bb_max_u64(count / 32, RESERVE_MIN);

	m->pool_length = plan->pool_bytes;
	m->pool_huge = plan->hugepages;
	if (m->pool_huge) {
		m->pool_bytes = bb_eal_reserve(m->pool_length);
	} else {
		void *p = mmap(NULL, m->pool_length, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		m->pool_bytes = p == MAP_FAILED ? NULL : p;
	}
	if (m->pool_bytes == NULL)
		return bb_text_fail(text, -ENOMEM,
			"memory: no %llu MiB of %s for messages; lower dataplane.memory",
			(unsigned long long)(m->pool_length / MIB), m->pool_huge ? "hugepages" : "memory");
	if (!m->pool_huge)
		bind_pool(m, plan, topology);
	m->buffers = aligned_alloc(BB_CACHE_LINE, bb_align_up(count * sizeof(*m->buffers), BB_CACHE_LINE));
	if (m->buffers == NULL)
		return bb_text_fail(text, -ENOMEM, "memory: none for %u buffer headers", count);
	bb_pool_init(&m->pool, m->pool_bytes, m->buffers, count, reserve);
	return 0;
}

int
bb_memory_init(
	struct bb_memory *m, const struct bb_plan *plan, hwloc_topology_t topology, struct bb_text *text)
{
	int error;

	memset(m, 0, sizeof(*m));
	error = init_pool(m, plan, topology, text);
	if (error != 0)
		goto undo;
	m->arenas = calloc(plan->io_count + plan->router_count, sizeof(*m->arenas));
	if (m->arenas == NULL) {
		error = bb_text_fail(text, -ENOMEM, "memory: none for arenas");
		goto undo;
	}
	m->actor_count = plan->io_count + plan->router_count;
	for (uint32_t i = 0; i < m->actor_count; i++) {
		const uint64_t budget = bb_memory_budget(
			plan->tables_bytes, plan->io_count, plan->router_count, i < plan->io_count);
		error = bb_arena_init(&m->arenas[i], budget);
		if (error != 0) {
			bb_text_fail(text, error,
				"memory: no %llu MiB of addresses for tables; raise ulimit -v",
				(unsigned long long)(budget / MIB));
			goto undo;
		}
	}
	return 0;
undo:
	bb_memory_fini(m, false);
	return error;
}

void
bb_memory_fini(struct bb_memory *m, bool clean)
{
	for (uint32_t i = 0; i < m->actor_count; i++)
		bb_arena_fini(&m->arenas[i]);
	free(m->arenas);
	if (clean && m->buffers != NULL)
		bb_pool_fini(&m->pool);
	free(m->buffers);
	if (m->pool_bytes != NULL && m->pool_huge)
		bb_eal_release(m->pool_bytes);
	else if (m->pool_bytes != NULL)
		munmap(m->pool_bytes, m->pool_length);
	memset(m, 0, sizeof(*m));
}
