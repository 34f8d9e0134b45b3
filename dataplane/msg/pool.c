/* SPDX-License-Identifier: BSD-3-Clause */
#include "msg/pool.h"

#include "base/assert.h"

static uint64_t
head_make(uint64_t old, uint32_t buffer)
{
	return ((old >> 32) + 1) << 32 | buffer;
}

static void
push_free(struct bb_pool *p, uint32_t buffer)
{
	uint64_t head = atomic_load_explicit(&p->free_head, memory_order_relaxed);

	do {
		atomic_store_explicit(&p->buffers[buffer].free_next, (uint32_t)head, memory_order_relaxed);
		/* release: the next owner sees all that was written here; pairs with the acquire in
		 * pop_free() */
	} while (!atomic_compare_exchange_weak_explicit(
		&p->free_head, &head, head_make(head, buffer), memory_order_release, memory_order_relaxed));
	/* release: whoever sees the count finds the buffer in the stack; pairs with the acquire in
	 * bb_pool_get() */
	atomic_fetch_add_explicit(&p->free_count, 1, memory_order_release);
}

static uint32_t
pop_free(struct bb_pool *p)
{
	uint64_t head = atomic_load_explicit(&p->free_head, memory_order_acquire);

	for (;;) {
		const uint32_t buffer = (uint32_t)head;
		if (buffer == BB_BUFFER_NONE)
			return BB_BUFFER_NONE;
		/* May be stale if another actor popped it meanwhile; then the exchange below fails on the
		 * count. */
		const uint32_t next = atomic_load_explicit(
			&p->buffers[buffer].free_next, memory_order_relaxed);
		if (atomic_compare_exchange_weak_explicit(&p->free_head, &head, head_make(head, next),
			    memory_order_acquire, memory_order_acquire))
			return buffer;
	}
}

void
bb_pool_init(struct bb_pool *p, uint8_t *bytes, struct bb_buffer *buffers, uint32_t count, uint32_t reserve)
{
	BB_ASSERT(count > reserve && count < BB_BUFFER_NONE);
	p->bytes = bytes;
	p->buffers = buffers;
	p->count = count;
	p->reserve = reserve;
	atomic_init(&p->free_head, BB_BUFFER_NONE);
	atomic_init(&p->free_count, 0);
	for (uint32_t i = count; i-- > 0;) { /* downwards: the first get() answers 0 */
		atomic_init(&buffers[i].refs, 0);
		atomic_init(&buffers[i].free_next, BB_BUFFER_NONE);
		push_free(p, i);
	}
}

void
bb_pool_fini(struct bb_pool *p)
{
	BB_ASSERT(bb_pool_free_count(p) == p->count);
}

uint32_t
bb_pool_get(struct bb_pool *p, enum bb_pool_use use)
{
	/* Reserved by count first: with several actors at once the reserve is still never given to data. */
	const uint32_t keep = use == BB_POOL_CONTROL ? 0 : p->reserve;
	uint32_t free_count = atomic_load_explicit(&p->free_count, memory_order_relaxed);

	do {
		if (free_count <= keep)
			return BB_BUFFER_NONE;
	} while (!atomic_compare_exchange_weak_explicit(
		&p->free_count, &free_count, free_count - 1, memory_order_acquire, memory_order_relaxed));

	const uint32_t buffer = pop_free(p);
	BB_ASSERT(buffer != BB_BUFFER_NONE); /* pushed before it is counted, counted before it is popped */

	struct bb_buffer *b = &p->buffers[buffer];
	BB_ASSERT(atomic_load_explicit(&b->refs, memory_order_relaxed) == 0);
	atomic_store_explicit(&b->refs, 1, memory_order_relaxed);
	b->next = BB_BUFFER_NONE;
	b->used = 0;
	return buffer;
}

void
bb_pool_hold(struct bb_pool *p, uint32_t buffer, uint32_t refs)
{
	const uint32_t old = atomic_fetch_add_explicit(&p->buffers[buffer].refs, refs, memory_order_relaxed);

	BB_ASSERT(old > 0);
}

void
bb_pool_put(struct bb_pool *p, uint32_t buffer, uint32_t refs)
{
	/* release: our reads of the bytes happen before the next owner's writes; the last one acquires all of
	 * them */
	const uint32_t old = atomic_fetch_sub_explicit(&p->buffers[buffer].refs, refs, memory_order_acq_rel);

	BB_ASSERT(old >= refs);
	if (old != refs)
		return;
	while (buffer != BB_BUFFER_NONE) {
		const uint32_t next = p->buffers[buffer].next;
		/* Followers of a chain keep the reference they were got with; the head stood for them. */
		atomic_store_explicit(&p->buffers[buffer].refs, 0, memory_order_relaxed);
		push_free(p, buffer);
		buffer = next;
	}
}

uint32_t
bb_pool_free_count(const struct bb_pool *p)
{
	return atomic_load_explicit(&p->free_count, memory_order_relaxed);
}

uint64_t
bb_pool_chain_bytes(const struct bb_pool *p, uint32_t head)
{
	uint64_t bytes = 0;

	for (; head != BB_BUFFER_NONE; head = p->buffers[head].next)
		bytes += p->buffers[head].used;
	return bytes;
}
