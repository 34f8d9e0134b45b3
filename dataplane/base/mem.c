/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

static void *
heap_alloc(struct bb_mem *m, size_t size)
{
	(void)m;
	return malloc(size);
}

static void
heap_free(struct bb_mem *m, void *p, size_t size)
{
	(void)m;
	(void)size;
	free(p);
}

static const struct bb_mem_ops heap_ops = { .alloc = heap_alloc, .free = heap_free };

void
bb_mem_init_heap(struct bb_mem *m, uint64_t max_bytes)
{
	*m = (struct bb_mem){ .ops = &heap_ops, .max_bytes = max_bytes };
}

void *
bb_mem_alloc(struct bb_mem *m, size_t size)
{
	void *p = NULL;

	if (size <= m->max_bytes && m->used_bytes <= m->max_bytes - size)
		p = m->ops->alloc(m, size);
	if (p == NULL) {
		m->refused++;
		return NULL;
	}
	m->used_bytes += size;
	return p;
}

void *
bb_mem_zalloc(struct bb_mem *m, size_t size)
{
	void *p = bb_mem_alloc(m, size);

	if (p != NULL)
		memset(p, 0, size);
	return p;
}

void
bb_mem_free(struct bb_mem *m, void *p, size_t size)
{
	if (p == NULL)
		return;
	BB_ASSERT(m->used_bytes >= size); /* freed twice, or with another size */
	m->used_bytes -= size;
	m->ops->free(m, p, size);
}
