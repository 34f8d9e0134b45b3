/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * handle: the name of a session for all other actors: {I/O core, slot, generation}.
 *
 * The generation changes each time a slot is reused, so a stale handle is recognised by its owner and dropped
 * (and counted); nobody else may look behind it.
 *
 * The death protocol:
 *   1. The owner closes the session: its stream is aborted or drained, its queue dropped as peer_gone. The
 * slot stays taken, the generation is unchanged.
 *   2. The owner sends GONE (msg/batch.h) to every router that the session was attached to, behind all of its
 * data.
 *   3. Each router forgets the session (subscriptions, routing id, credit, parked messages stay: they were
 * received whole and go on) in bounded steps, then answers GONE_DONE (msg/delivery.h), behind all deliveries
 * that name it.
 *   4. With the last answer the owner bumps the generation and frees the slot.
 * Deliveries for a session in steps 1-3 are counted as dropped_out{peer_gone} and release their bytes.
 */
#ifndef BB_MSG_HANDLE_H
#define BB_MSG_HANDLE_H

#include <stdint.h>

typedef uint64_t bb_handle; /* the one typedef: it is a value, compared and stored as such */

#define BB_HANDLE_NONE UINT64_C(0) /* generation 0 is never given out */

static inline bb_handle
bb_handle_make(uint32_t core, uint32_t slot, uint32_t generation)
{
	return (uint64_t)core << 56 | (uint64_t)slot << 32 | generation;
}

static inline uint32_t
bb_handle_core(bb_handle h)
{
	return (uint32_t)(h >> 56);
}

static inline uint32_t
bb_handle_slot(bb_handle h)
{
	return (uint32_t)(h >> 32) & 0xffffff;
}

static inline uint32_t
bb_handle_generation(bb_handle h)
{
	return (uint32_t)h;
}

#endif
