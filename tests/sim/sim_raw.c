/* SPDX-License-Identifier: BSD-3-Clause */
/* sim_raw: the ends of connections that simulated peers have. */
#include "base/assert.h"
#include "sim_net_priv.h"

struct sim_conn *
sim_net_dial(struct sim_net *n, uint16_t port)
{
	struct sim_listener *l = &n->listener[port];

	if (l->owner == NULL)
		return NULL;
	struct sim_conn *c = sim_conn_create(n, 0);
	bb_list_append(&l->waiting, &c->wait_node);
	return c;
}

void
sim_net_serve(struct sim_net *n, uint16_t port, bool on)
{
	struct sim_listener *l = &n->listener[port];

	BB_ASSERT(l->owner == NULL);
	l->raw = on;
	while (!on && !bb_list_empty(&l->waiting)) {
		struct sim_conn *c = bb_list_entry(bb_list_pop(&l->waiting), struct sim_conn, wait_node);
		sim_conn_break(c, 1);
		sim_conn_leave(c, 1);
	}
}

struct sim_conn *
sim_net_accept(struct sim_net *n, uint16_t port)
{
	struct sim_listener *l = &n->listener[port];

	if (bb_list_empty(&l->waiting))
		return NULL;
	struct sim_conn *c = bb_list_entry(bb_list_pop(&l->waiting), struct sim_conn, wait_node);
	c->taken = true;
	return c;
}

uint32_t
sim_conn_id(const struct sim_conn *c)
{
	return c->id;
}

uint32_t
sim_conn_to(const struct sim_conn *c)
{
	return c->to;
}

size_t
sim_conn_write(struct sim_conn *c, const void *p, size_t n)
{
	struct sim_pipe *pipe = &c->pipe[c->raw_end];
	const uint32_t room = sim_pipe_room(pipe);

	BB_ASSERT(!pipe->fin);
	if (c->broken || c->left[1 - c->raw_end]) {
		c->broken = true;
		return 0;
	}
	if (n > room)
		n = room;
	sim_pipe_write(pipe, p, n);
	sim_net_hash_add(c->net, (uint64_t)c->id << 32 | 0x40000000u | n);
	return n;
}

size_t
sim_conn_readable(const struct sim_conn *c)
{
	const struct sim_pipe *pipe = &c->pipe[1 - c->raw_end];

	return (size_t)(pipe->visible - pipe->read);
}

void
sim_conn_read(struct sim_conn *c, size_t n)
{
	struct sim_pipe *pipe = &c->pipe[1 - c->raw_end];
	struct sim_stream *writer = c->stream[1 - c->raw_end];

	BB_ASSERT(n <= pipe->visible - pipe->read);
	pipe->read += n;
	if (n > 0 && writer != NULL && writer->want_room)
		sim_stream_pend(writer, BB_STREAM_TX_ROOM);
}

void
sim_conn_tap(struct sim_conn *c, void (*fn)(void *ctx, const uint8_t *p, size_t n), void *ctx)
{
	c->tap = fn;
	c->tap_ctx = ctx;
}

void
sim_conn_stall(struct sim_conn *c, bool out, bool in)
{
	c->pipe[c->raw_end].stalled = out;
	c->pipe[1 - c->raw_end].stalled = in;
}

void
sim_conn_finish(struct sim_conn *c)
{
	c->pipe[c->raw_end].fin = true;
}

bool
sim_conn_ended(const struct sim_conn *c)
{
	const struct sim_pipe *pipe = &c->pipe[1 - c->raw_end];

	return pipe->fin_visible && pipe->read == pipe->written;
}

bool
sim_conn_broken(const struct sim_conn *c)
{
	return c->broken;
}

uint64_t
sim_conn_unconsumed(const struct sim_conn *c)
{
	const struct sim_pipe *pipe = &c->pipe[c->raw_end];

	return pipe->written - pipe->read;
}

void
sim_conn_drop(struct sim_conn *c, bool reset)
{
	struct sim_pipe *pipe = &c->pipe[c->raw_end];

	c->tap = NULL;
	if (!c->broken && !c->left[1 - c->raw_end]) {
		if (reset)
			sim_conn_break(c, c->raw_end);
		else
			pipe->fin =
				true; /* what was written still arrives; what the other end writes does not */
	}
	sim_conn_leave(c, c->raw_end);
}
