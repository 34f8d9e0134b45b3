/* SPDX-License-Identifier: BSD-3-Clause */
#include "route/out.h"

#include <errno.h>

int
bb_out_init(struct bb_out *o, struct bb_fabric *fabric, uint32_t router, struct bb_mem *mem, uint32_t actor)
{
	const uint32_t n = fabric->sizes.io_count;

	*o = (struct bb_out){
		.pool = fabric->pool,
		.mem = mem,
		.core_count = n,
		.note = BB_BUFFER_NONE,
	};
	BB_OWNER_SET(o, actor);
	o->cores = bb_mem_zalloc(mem, n * sizeof(*o->cores));
	o->staged = bb_mem_zalloc(mem, n * BB_OUT_STAGED * sizeof(*o->staged));
	if (o->cores == NULL || o->staged == NULL) {
		bb_out_fini(o);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < n; i++) {
		o->cores[i] = (struct bb_out_core){
			.staged = o->staged + (size_t)i * BB_OUT_STAGED,
			.group = BB_BUFFER_NONE,
			.last = BB_OUT_STAGED,
			.ring = bb_fabric_deliveries(fabric, router, i),
			.progress = bb_fabric_progress(fabric, router, i),
			.wake = fabric->io_wake[i],
		};
	}
	return 0;
}

void
bb_out_fini(struct bb_out *o)
{
	for (uint32_t i = 0; o->cores != NULL && o->staged != NULL && i < o->core_count; i++) {
		const struct bb_out_core *c = &o->cores[i];
		for (uint32_t j = 0; j < c->tail; j++) {
			if (c->staged[j].flags & BB_DELIVERY_OPEN)
				bb_pool_put(o->pool, c->staged[j].buffer, 1);
		}
	}
	bb_out_note_close(o);
	bb_mem_free(o->mem, o->staged, (size_t)o->core_count * BB_OUT_STAGED * sizeof(*o->staged));
	bb_mem_free(o->mem, o->cores, o->core_count * sizeof(*o->cores));
	o->staged = NULL;
	o->cores = NULL;
}

static void
flush_core(struct bb_out *o, struct bb_out_core *c)
{
	const uint32_t n = c->tail == 0 ? 0 : bb_ring_push(c->ring, c->staged, c->tail);

	if (n > 0) {
		c->emitted += n;
		c->pushed = true;
		c->last = c->last >= n && c->last < BB_OUT_STAGED ? c->last - n : BB_OUT_STAGED;
		c->tail -= n;
		if (c->tail > 0) /* only when the ring is full */
			memmove(c->staged, c->staged + n, c->tail * sizeof(*c->staged));
	}
	const bool tight = c->tail > BB_OUT_STAGED - 2 * BB_OUT_RESERVE;
	if (tight != c->tight) {
		c->tight = tight;
		o->tight = tight ? o->tight + 1 : o->tight - 1;
	}
}

void
bb_out_full(struct bb_out *o, struct bb_out_core *c)
{
	/*
	 * Units begin with more than RESERVE free, so even a tight core has room for what this unit and the
	 * closing of a group at the end of the step still need.
	 */
	flush_core(o, c);
	BB_ASSERT(c->tail < BB_OUT_STAGED);
}

void
bb_out_flush(struct bb_out *o)
{
	BB_ASSERT_OWNER(o);
	for (uint32_t i = 0; i < o->core_count; i++) {
		if (o->cores[i].tail > 0)
			flush_core(o, &o->cores[i]);
	}
}

static void
group_close(struct bb_out_core *c)
{
	if (c->group == BB_BUFFER_NONE)
		return;
	if (c->last < BB_OUT_STAGED) {
		c->staged[c->last].flags |= BB_DELIVERY_CLOSE;
	} else {
		BB_ASSERT(c->tail < BB_OUT_STAGED);
		c->staged[c->tail++] = (struct bb_delivery){
			.buffer = c->group,
			.kind = BB_DELIVERY_CLOSED,
			.flags = BB_DELIVERY_CLOSE,
		};
	}
	c->group = BB_BUFFER_NONE;
	c->last = BB_OUT_STAGED;
}

uint8_t
bb_out_group_open(struct bb_out *o, struct bb_out_core *c, uint32_t buffer)
{
	group_close(c);
	c->group = buffer;
	bb_pool_hold(o->pool, buffer, 1);
	return BB_DELIVERY_OPEN;
}

bool
bb_out_step_end(struct bb_out *o)
{
	bool all = true;

	BB_ASSERT_OWNER(o);
	for (uint32_t i = 0; i < o->core_count; i++) {
		struct bb_out_core *c = &o->cores[i];
		group_close(c);
		if (c->tail > 0)
			flush_core(o, c);
		all &= c->tail == 0;
		if (c->pushed && c->wake != NULL)
			bb_wake_notify(c->wake);
		c->pushed = false;
	}
	return all;
}

bool
bb_out_empty(const struct bb_out *o)
{
	for (uint32_t i = 0; i < o->core_count; i++) {
		if (o->cores[i].tail > 0)
			return false;
	}
	return true;
}

void
bb_out_plain(struct bb_out *o, uint32_t core, enum bb_delivery_kind kind, uint16_t side, uint64_t who,
	uint32_t cause)
{
	struct bb_out_core *c = &o->cores[core];

	BB_ASSERT_OWNER(o);
	if (c->tail >= BB_OUT_STAGED - BB_OUT_RESERVE)
		bb_out_full(o, c);
	c->staged[c->tail++] = (struct bb_delivery){
		.total = who,
		.buffer = BB_BUFFER_NONE,
		.msgs = cause,
		.side = side,
		.kind = (uint8_t)kind,
	};
}

void
bb_out_note_close(struct bb_out *o)
{
	if (o->note != BB_BUFFER_NONE)
		bb_pool_put(o->pool, o->note, 1);
	o->note = BB_BUFFER_NONE;
}

int
bb_out_note(struct bb_out *o, const void *bytes, uint32_t len, uint32_t *ret_buffer, uint32_t *ret_offset)
{
	BB_ASSERT_OWNER(o);
	BB_ASSERT(len <= BB_BUFFER_BYTES);
	if (o->note == BB_BUFFER_NONE || BB_BUFFER_BYTES - o->note_used < len) {
		const uint32_t buffer = bb_pool_get(o->pool, BB_POOL_CONTROL);
		if (buffer == BB_BUFFER_NONE)
			return -ENOBUFS;
		bb_out_note_close(o); /* groups that name it have references of their own */
		o->note = buffer;
		o->note_used = 0;
	}
	if (len > 0)
		memcpy(bb_pool_bytes(o->pool, o->note) + o->note_used, bytes, len);
	*ret_buffer = o->note;
	*ret_offset = o->note_used;
	o->note_used += len;
	return 0;
}

void
bb_out_chain(struct bb_out *o, struct bb_out_core *c, enum bb_delivery_kind kind, uint64_t who, uint16_t side,
	uint32_t head, uint32_t offset, uint32_t len)
{
	BB_ASSERT_OWNER(o);
	group_close(c); /* an I/O core sees one open group of this router at a time */
	bb_pool_hold(o->pool, head, 1);
	if (c->tail >= BB_OUT_STAGED - BB_OUT_RESERVE)
		bb_out_full(o, c);
	c->staged[c->tail++] = (struct bb_delivery){
		.total = who,
		.buffer = head,
		.offset = offset,
		.len = len,
		.msgs = 1,
		.side = side,
		.kind = (uint8_t)kind,
		.flags = BB_DELIVERY_OPEN | BB_DELIVERY_CLOSE | BB_DELIVERY_CHAIN,
	};
}
