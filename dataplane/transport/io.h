/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * io: the actor that owns byte streams, and the ZMTP sessions on them.
 *
 * A step: mail, transport events, deliveries of every router into send queues, timers; then each ready
 * session in rotation reads (bounded), its messages going into the open batches; then send queues are
 * written; then batches, credits and progress are published. Deliveries are always drained: admitted, dropped
 * by policy or counted for the dead; so egress waits for nobody.
 *
 * Thread: one I/O core. Time is passed in.
 */
#ifndef BB_TRANSPORT_IO_H
#define BB_TRANSPORT_IO_H

#include <stdint.h>

#include "base/counters.h"
#include "base/mem.h"
#include "msg/fabric.h"
#include "transport/stream.h"

struct bb_io;

struct bb_io_options {
	uint32_t index; /* among I/O cores */
	uint32_t actor; /* id for BB_ASSERT_OWNER, not 0 */
	struct bb_fabric *fabric;
	struct bb_mem *mem; /* this actor's own */
	const struct bb_counters *counters;
	struct bb_transport *transport; /* polled by the actor's step */
	uint32_t session_max;		/* slots, at most BB_SESSIONS_MAX */
	uint64_t seed;			/* jitter, heartbeat spreading */
};

/* 0 or -ENOMEM. What options point to outlives it. */
int bb_io_create(const struct bb_io_options *options, struct bb_io **ret_io);

/* NULL is allowed. Destroys all streams and gives back all it holds, in whatever state it is. */
void bb_io_destroy(struct bb_io *io);

/* One step; returns how much work was done, 0 when idle. */
uint32_t bb_io_poll(struct bb_io *io, uint64_t now_ns);

/* When it wants to be polled although nothing arrives: monotonic ns, BB_NEVER if never. */
uint64_t bb_io_deadline(const struct bb_io *io);

void bb_io_memory(
	const struct bb_io *io, uint64_t *ret_pinned, uint64_t *ret_needed, uint64_t *ret_evacuated);

#endif
