/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pool: the message memory of the node, in buffers of 64 KiB that all actors share.
 *
 * A buffer is named by its index. Its bytes lie at bb_pool_bytes(); its header {reference count, links} lies
 * in an array of its own, so that headers never share a line with message bytes.
 *
 * Who owns: bb_pool_get() gives the caller one reference. A reference is handed on with what names the buffer
 * (a slice in a ring, the first delivery of a group) and is given back by bb_pool_put(). The count is atomic,
 * and touched once per slice and core, never per message: inside an actor holds count (msg/hold.h). Whoever
 * puts the last reference returns the buffer; free buffers form one last-in-first-out stack, so that resident
 * memory follows the load.
 *
 * A message that outgrows a buffer is a chain: buffers linked by `next`, each filled to `used` bytes. The
 * head stands for all of it: only its reference count is used, and the last put returns every buffer of the
 * chain.
 *
 * Who writes: the I/O core that got a buffer, and only behind the last slice it published (or, for an
 * evacuation, the router that got it). Published bytes are immutable.
 *
 * Thread: any; get and put are lock-free.
 */
#ifndef BB_MSG_POOL_H
#define BB_MSG_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/limits.h"

#define BB_BUFFER_NONE UINT32_MAX

struct bb_buffer {
	_Atomic uint32_t refs;
	_Atomic uint32_t free_next; /* in the stack of free buffers */
	uint32_t next;		    /* in a chain: the next buffer, or BB_BUFFER_NONE */
	uint32_t used;		    /* in a chain: bytes filled */
};

struct bb_pool {
	/* constant after init */
	uint8_t *bytes;
	struct bb_buffer *buffers;
	uint32_t count;
	uint32_t reserve; /* buffers that only BB_POOL_CONTROL may take */

	BB_NO_SHARE _Atomic uint64_t free_head; /* {change count, index}: the count defeats ABA */
	_Atomic uint32_t free_count;
};

enum bb_pool_use {
	BB_POOL_DATA,	 /* messages: refused when only the reserve is left */
	BB_POOL_CONTROL, /* handshakes, subscriptions, death, markers: may take the reserve */
};

/*
 * Take over count buffers of BB_BUFFER_BYTES at bytes (aligned to a cache line) and count headers. Both stay
 * the caller's to free after fini. reserve < count.
 */
void bb_pool_init(
	struct bb_pool *p, uint8_t *bytes, struct bb_buffer *buffers, uint32_t count, uint32_t reserve);

/* Asserts that every buffer came back: a leak is our own bug. */
void bb_pool_fini(struct bb_pool *p);

/* One buffer with one reference, next = BB_BUFFER_NONE, used = 0; BB_BUFFER_NONE if there is none for this
 * use. */
uint32_t bb_pool_get(struct bb_pool *p, enum bb_pool_use use);

/* Add refs references to a buffer of which the caller holds at least one. */
void bb_pool_hold(struct bb_pool *p, uint32_t buffer, uint32_t refs);

/* Give back refs references; the last one returns the buffer, or the whole chain that it heads. */
void bb_pool_put(struct bb_pool *p, uint32_t buffer, uint32_t refs);

/* Buffers nobody holds, reserve included. Exact when the node is quiet. */
uint32_t bb_pool_free_count(const struct bb_pool *p);

/* Message bytes in the chain that a buffer heads. */
uint64_t bb_pool_chain_bytes(const struct bb_pool *p, uint32_t head);

static inline uint8_t *
bb_pool_bytes(const struct bb_pool *p, uint32_t buffer)
{
	return p->bytes + (size_t)buffer * BB_BUFFER_BYTES;
}

#endif
