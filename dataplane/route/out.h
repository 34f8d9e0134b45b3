/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * out: what one router has decided and not yet handed over: staged deliveries per I/O core.
 *
 * Deliveries are staged in an array per I/O core and published in bursts, when an array fills up and at the
 * end of the step. A ring that takes no more makes its core tight: then nobody begins a new unit of work (a
 * message, an answer) until bb_out_flush() found room. One unit stages at most BB_OUT_RESERVE elements per
 * core, which always fit; so nothing is ever lost or half done.
 *
 * Groups. All deliveries of one buffer to one core that are staged one after another form a group: the first
 * hands over a reference, the last closes it (msg/delivery.h). Closing sets a flag on the last one while it
 * is still staged, otherwise it takes an element of its own.
 *
 * Neighbouring ranges for the same receivers become one.
 *
 * Notes are the few bytes that a router itself has to say (routing ids, topics for publishers): copied into
 * a buffer of its own and handed over as ranges like any other.
 *
 * Thread: the router core it belongs to.
 */
#ifndef BB_ROUTE_OUT_H
#define BB_ROUTE_OUT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "msg/fabric.h"

#define BB_OUT_STAGED 256 /* elements: 8 KiB per I/O core stay in the first-level cache */
#define BB_OUT_RESERVE 8  /* elements per core that one unit of work may stage */

struct bb_out_core {
	struct bb_delivery *staged;
	uint32_t tail;	/* elements staged */
	uint32_t group; /* buffer of the open group, BB_BUFFER_NONE: none */
	uint32_t last;	/* where the group's newest element is staged; BB_OUT_STAGED: published already */
	bool tight;
	bool pushed;	  /* since the last wake */
	uint64_t emitted; /* elements published since start */
	struct bb_ring *ring;
	struct bb_delivery_progress *progress;
	struct bb_wake *wake;
};

struct bb_out {
	BB_OWNER_FIELD
	struct bb_pool *pool;
	struct bb_mem *mem;
	struct bb_out_core *cores;
	struct bb_delivery *staged;
	uint32_t core_count;
	uint32_t tight; /* cores that are */
	uint32_t note;	/* buffer for notes, with one reference of ours; BB_BUFFER_NONE: none */
	uint32_t note_used;
};

/* 0 or -ENOMEM. router: index in the fabric; all point to what outlives it. */
int bb_out_init(
	struct bb_out *o, struct bb_fabric *fabric, uint32_t router, struct bb_mem *mem, uint32_t actor);

/* What is staged and not published is lost, with its references given back. NULL cores are allowed. */
void bb_out_fini(struct bb_out *o);

/* True while new units of work may begin. */
static inline bool
bb_out_ready(const struct bb_out *o)
{
	return bb_likely(o->tight == 0);
}

/* Publish what the rings take. */
void bb_out_flush(struct bb_out *o);

/* End of a step: close the open groups, publish, wake who got something. True if all of it is out. */
bool bb_out_step_end(struct bb_out *o);

/* All elements that were emitted are published. */
bool bb_out_empty(const struct bb_out *o);

/* An element without a range. */
void bb_out_plain(struct bb_out *o, uint32_t core, enum bb_delivery_kind kind, uint16_t side, uint64_t who,
	uint32_t cause);

/*
 * Copy len bytes (at most BB_TOPIC_MAX) into the note buffer; it stays valid until the next note is made.
 * 0, or -ENOBUFS when the pool has no buffer.
 */
int bb_out_note(
	struct bb_out *o, const void *bytes, uint32_t len, uint32_t *ret_buffer, uint32_t *ret_offset);

/* The note buffer is not needed for a while. */
void bb_out_note_close(struct bb_out *o);

/* Slow paths of bb_out_range(). */
uint8_t bb_out_group_open(struct bb_out *o, struct bb_out_core *c, uint32_t buffer);
void bb_out_full(struct bb_out *o, struct bb_out_core *c);

/* Stage an element with a range in a plain buffer that the caller holds; the caller fills in the rest. */
static inline struct bb_delivery *
bb_out_range(struct bb_out *o, struct bb_out_core *c, uint32_t buffer, uint32_t offset, uint32_t len)
{
	uint8_t flags = 0;

	if (bb_unlikely(c->group != buffer))
		flags = bb_out_group_open(o, c, buffer);
	if (bb_unlikely(c->tail >= BB_OUT_STAGED - BB_OUT_RESERVE))
		bb_out_full(o, c);
	c->last = c->tail++;
	struct bb_delivery *d = &c->staged[c->last];
	d->buffer = buffer;
	d->offset = offset;
	d->len = len;
	d->flags = flags;
	d->reserved = 0;
	return d;
}

/* Messages to one session (who: its handle) or a set (who: the set's address). */
static inline void
bb_out_msgs(struct bb_out *o, struct bb_out_core *c, enum bb_delivery_kind kind, uint64_t who, uint16_t side,
	uint32_t buffer, uint32_t offset, uint32_t len, uint32_t msgs)
{
	struct bb_delivery *d = bb_out_range(o, c, buffer, offset, len);

	d->total = who;
	d->msgs = msgs;
	d->side = side;
	d->kind = (uint8_t)kind;
}

/* The same, but joins the range staged last if it is its continuation. */
static inline void
bb_out_msgs_joined(struct bb_out *o, struct bb_out_core *c, enum bb_delivery_kind kind, uint64_t who,
	uint16_t side, uint32_t buffer, uint32_t offset, uint32_t len, uint32_t msgs)
{
	if (c->group == buffer && c->last + 1 == c->tail) {
		struct bb_delivery *d = &c->staged[c->last];
		if (d->total == who && d->kind == kind && d->side == side && d->offset + d->len == offset) {
			d->len += len;
			d->msgs += msgs;
			return;
		}
	}
	bb_out_msgs(o, c, kind, who, side, buffer, offset, len, msgs);
}

/* One message in a chain that the caller holds: a group of its own. */
void bb_out_chain(struct bb_out *o, struct bb_out_core *c, enum bb_delivery_kind kind, uint64_t who,
	uint16_t side, uint32_t head, uint32_t offset, uint32_t len);

#endif
