/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fabric: all rings between the actors of one node, made once at start by the engine or the simulator.
 *
 * Actors are numbered: I/O cores 0..io_count-1, routers 0..router_count-1 in numbers of their own. Each finds
 * its inboxes and outboxes here by index; nothing else connects them. Below the rings lie the message pool
 * and the wake words.
 *
 * Thread: constant after init; the rings as msg/ring.h says.
 */
#ifndef BB_MSG_FABRIC_H
#define BB_MSG_FABRIC_H

#include <stdint.h>

#include "msg/delivery.h"
#include "msg/pool.h"
#include "msg/ring.h"
#include "msg/wake.h"

struct bb_fabric_sizes {
	uint32_t io_count, router_count;
	uint32_t slices, deliveries, mails; /* slots of each kind of ring, powers of two */
	uint32_t window_bytes;		    /* input window per (I/O core, side) */
};

struct bb_fabric {
	struct bb_fabric_sizes sizes;
	struct bb_pool *pool;
	struct bb_ring *slices;				   /* [io][router], bb_slice */
	struct bb_ring *deliveries;			   /* [router][io], bb_delivery */
	struct bb_delivery_progress *progress;		   /* [router][io] */
	struct bb_ring *io_mail;			   /* [from io][to io], bb_mail */
	struct bb_ring *agent_to_io, *io_to_agent;	   /* [io] */
	struct bb_ring *agent_to_router, *router_to_agent; /* [router] */
	/* The loop each actor runs on; several actors may name one. Set by the creator after init. */
	struct bb_wake **io_wake, **router_wake;
	struct bb_wake *agent_wake;
	_Atomic uint32_t *io_load; /* [io] sessions, for placing new ones */
	void *memory;
	size_t memory_bytes;
};

/* 0 or -ENOMEM. pool stays the caller's. */
int bb_fabric_init(struct bb_fabric *f, const struct bb_fabric_sizes *sizes, struct bb_pool *pool);
void bb_fabric_fini(struct bb_fabric *f);

static inline struct bb_ring *
bb_fabric_slices(struct bb_fabric *f, uint32_t io, uint32_t router)
{
	return &f->slices[io * f->sizes.router_count + router];
}

static inline struct bb_ring *
bb_fabric_deliveries(struct bb_fabric *f, uint32_t router, uint32_t io)
{
	return &f->deliveries[router * f->sizes.io_count + io];
}

static inline struct bb_delivery_progress *
bb_fabric_progress(struct bb_fabric *f, uint32_t router, uint32_t io)
{
	return &f->progress[router * f->sizes.io_count + io];
}

static inline struct bb_ring *
bb_fabric_io_mail(struct bb_fabric *f, uint32_t from, uint32_t to)
{
	return &f->io_mail[from * f->sizes.io_count + to];
}

#endif
