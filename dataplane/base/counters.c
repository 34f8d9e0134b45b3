/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/counters.h"

#include "base/compiler.h"

static uint64_t
place(uint64_t *end, uint64_t bytes)
{
	const uint64_t at = *end;

	*end += bb_align_up(bytes, 4096); /* tables of different writers on pages of their own */
	return at;
}

static struct bb_counters_header
layout(const struct bb_counters_sizes *n)
{
	struct bb_counters_header h = {
		.magic = BB_COUNTERS_MAGIC,
		.version = BB_COUNTERS_VERSION,
		.loop_count = n->loop_count,
		.io_count = n->io_count,
		.router_count = n->router_count,
		.side_count = n->side_count,
		.session_count = n->session_count,
		.loop_row_bytes = sizeof(struct bb_loop_row),
		.io_side_row_bytes = sizeof(struct bb_io_side_row),
		.router_side_row_bytes = sizeof(struct bb_router_side_row),
		.session_row_bytes = sizeof(struct bb_session_row),
	};
	uint64_t end = 0;

	place(&end, sizeof(h));
	h.loops = place(&end, (uint64_t)n->loop_count * sizeof(struct bb_loop_row));
	h.io_sides = place(&end, (uint64_t)n->io_count * n->side_count * sizeof(struct bb_io_side_row));
	h.router_sides = place(
		&end, (uint64_t)n->router_count * n->side_count * sizeof(struct bb_router_side_row));
	h.sessions = place(&end, (uint64_t)n->io_count * n->session_count * sizeof(struct bb_session_row));
	h.bytes = end;
	return h;
}

size_t
bb_counters_bytes(const struct bb_counters_sizes *sizes)
{
	return layout(sizes).bytes;
}

void
bb_counters_init(struct bb_counters *c, void *memory, const struct bb_counters_sizes *sizes)
{
	uint8_t *base = memory;

	c->header = memory;
	*c->header = layout(sizes);
	c->loops = (void *)(base + c->header->loops);
	c->io_sides = (void *)(base + c->header->io_sides);
	c->router_sides = (void *)(base + c->header->router_sides);
	c->sessions = (void *)(base + c->header->sessions);
}
