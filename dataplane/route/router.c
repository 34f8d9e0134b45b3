/* SPDX-License-Identifier: BSD-3-Clause */
#include "route/router.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "route/drain.h"
#include "route/mailbox.h"
#include "route/park.h"
#include "route/pubsub.h"
#include "route/reclaim.h"
#include "route/shard.h"
#include "route/state.h"
#include "route/walk.h"

#define EVACUATE_BYTES 65536u /* copied per step */

static void
init_lists(struct bb_router *r)
{
	bb_list_init(&r->dying);
	bb_list_init(&r->resume);
	bb_list_init(&r->upstream);
	bb_list_init(&r->timed);
	bb_list_init(&r->tables);
	bb_list_init(&r->drains);
	bb_drain_init(&r->drain, BB_SCOPE_NODE);
}

int
bb_router_create(const struct bb_router_options *options, struct bb_router **ret_router)
{
	struct bb_fabric *f = options->fabric;
	const uint32_t io_count = f->sizes.io_count;
	struct bb_router *r = bb_mem_zalloc(options->mem, sizeof(*r));

	if (r == NULL)
		return -ENOMEM;
	r->options = *options;
	r->fabric = f;
	r->pool = f->pool;
	r->mem = options->mem;
	r->epoch = 1;
	BB_OWNER_SET(r, options->actor);
	init_lists(r);
	r->walks = bb_mem_zalloc(r->mem, io_count * sizeof(*r->walks));
	r->shards = bb_mem_zalloc(r->mem, BB_ENDPOINTS_MAX * sizeof(struct bb_shard *));
	r->epoch_marks = bb_mem_zalloc(r->mem, io_count * sizeof(*r->epoch_marks));
	r->scratch = bb_mem_alloc(r->mem, BB_BUFFER_BYTES);
	if (r->walks == NULL || r->shards == NULL || r->epoch_marks == NULL || r->scratch == NULL ||
		bb_spans_init(&r->spans, r->pool, r->mem, options->actor) != 0 ||
		bb_out_init(&r->out, f, options->index, r->mem, options->actor) != 0 ||
		bb_peers_init(&r->peers, io_count, r->mem) != 0) {
		bb_router_destroy(r);
		return -ENOMEM;
	}
	*ret_router = r;
	return 0;
}

/* Also half made. Order: what refers to buffers and peers goes before those. */
void
bb_router_destroy(struct bb_router *r)
{
	if (r == NULL)
		return;
	const uint32_t io_count = r->fabric->sizes.io_count;

	if (r->peers.cores != NULL) {
		bb_walk_fini(r);
		bb_peers_each(&r->peers, bb_shard_release_peer, r);
		for (uint32_t i = 0; i < BB_ENDPOINTS_MAX; i++)
			bb_shard_destroy(r, i);
	}
	bb_peers_fini(&r->peers);
	if (r->out.cores != NULL)
		bb_out_fini(&r->out);
	if (r->spans.holds.of != NULL)
		bb_spans_fini(&r->spans);
	bb_mem_free(r->mem, r->scratch, BB_BUFFER_BYTES);
	bb_mem_free(r->mem, r->epoch_marks, io_count * sizeof(*r->epoch_marks));
	bb_mem_free(r->mem, r->shards, BB_ENDPOINTS_MAX * sizeof(struct bb_shard *));
	bb_mem_free(r->mem, r->walks, io_count * sizeof(*r->walks));
	bb_mem_free(r->mem, r, sizeof(*r));
}

static void
tell_windows(struct bb_router *r)
{
	while (r->windows_dirty != NULL && bb_out_ready(&r->out)) {
		struct bb_window *w = r->windows_dirty;
		r->windows_dirty = w->next;
		w->dirty = false;
		bb_out_plain(&r->out, w->core, BB_DELIVERY_WINDOW, w->side, w->done, 0);
	}
}

static void
tell_publishers(struct bb_router *r)
{
	bb_list_for_each(n, &r->upstream)
	{
		struct bb_shard *s = bb_list_entry(n, struct bb_shard, upstream);
		if (!bb_router_may_work(r))
			return;
		if (!bb_upstream_step(s))
			bb_list_remove(n);
	}
}

static void
timers(struct bb_router *r)
{
	r->timer_ns = BB_NEVER;
	bb_list_for_each(n, &r->timed)
	{
		struct bb_shard *s = bb_list_entry(n, struct bb_shard, timed);
		r->timer_ns = bb_min_u64(r->timer_ns, bb_pubsub_timers(s));
		if (bb_list_empty(&s->pubsub.blockers))
			bb_list_remove(n);
	}
}

/* A few shards per step, in turn. */
static void
evacuate(struct bb_router *r)
{
	uint64_t budget = EVACUATE_BYTES;

	if (bb_likely(!bb_holds_wasteful(&r->spans.holds)))
		return;
	for (uint32_t i = 0; i < BB_ENDPOINTS_MAX && budget > 0; i++) {
		struct bb_shard *s = r->shards[r->evacuate_next];
		r->evacuate_next = (r->evacuate_next + 1) % BB_ENDPOINTS_MAX;
		if (s != NULL && !bb_park_empty(&s->park))
			budget -= bb_park_evacuate(s, budget);
	}
}

uint32_t
bb_router_poll(struct bb_router *r, uint64_t now_ns)
{
	BB_ACTOR_ENTER(r->options.actor);
	r->now_ns = now_ns;
	r->budget = BB_TURN_APPENDS;

	bb_out_flush(&r->out);
	uint32_t work = bb_mailbox_poll(r);
	if (!bb_list_empty(&r->dying))
		bb_walk_dying(r);
	bb_walk_all(r);
	if (!bb_list_empty(&r->timed))
		timers(r);
	if (!bb_list_empty(&r->upstream))
		tell_publishers(r);
	tell_windows(r);
	if (!bb_list_empty(&r->drains) && r->windows_dirty == NULL)
		bb_drain_step(r);
	evacuate(r);
	bb_out_note_close(&r->out);
	const bool all = bb_out_step_end(&r->out);
	if (all && !bb_list_empty(&r->drains))
		bb_drain_answer(r);
	bb_reclaim_step(r);
	bb_mailbox_wake(r);
	work += (uint32_t)(BB_TURN_APPENDS - r->budget);
	BB_ACTOR_LEAVE();
	return work;
}

uint64_t
bb_router_deadline(const struct bb_router *r)
{
	if (!bb_out_empty(&r->out) || r->reply_held || r->windows_dirty != NULL || bb_walk_pending(r) ||
		!bb_list_empty(&r->dying) || !bb_list_empty(&r->resume) || !bb_list_empty(&r->upstream))
		return 0;
	const uint64_t timer_ns = bb_list_empty(&r->timed) ? BB_NEVER : r->timer_ns;
	return bb_min_u64(timer_ns, bb_drain_deadline(r));
}

void
bb_router_memory(
	const struct bb_router *r, uint64_t *ret_pinned, uint64_t *ret_needed, uint64_t *ret_evacuated)
{
	*ret_pinned = r->spans.holds.pinned_bytes;
	*ret_needed = r->spans.holds.needed_bytes;
	*ret_evacuated = r->spans.evacuated_bytes;
}
