/* SPDX-License-Identifier: BSD-3-Clause */
#include "route/reclaim.h"

#include "route/pubsub.h"

static void
close_epoch(struct bb_router *r)
{
	for (uint32_t i = 0; i < r->out.core_count; i++)
		r->epoch_marks[i] = r->out.cores[i].emitted + r->out.cores[i].tail;
	r->epoch_marked = true;
	r->epoch++;
	bb_list_for_each(n, &r->tables)
		bb_subtab_stamp(bb_list_entry(n, struct bb_shard, tables)->pubsub.table, r->epoch);
}

static bool
epoch_is_over(const struct bb_router *r)
{
	for (uint32_t i = 0; i < r->out.core_count; i++) {
		/* acquire: the I/O core's reads of the sets come before we free them */
		if (atomic_load_explicit(&r->out.cores[i].progress->done, memory_order_acquire) <
			r->epoch_marks[i])
			return false;
	}
	return true;
}

void
bb_reclaim_step(struct bb_router *r)
{
	struct bb_subtab_stats stats;

	if (bb_list_empty(&r->tables))
		return;
	if (r->epoch_marked && epoch_is_over(r)) {
		r->epoch_marked = false;
		r->epoch_done = r->epoch - 1;
	}
	/* One table per step, in turn. */
	struct bb_shard *s = bb_list_entry(bb_list_pop(&r->tables), struct bb_shard, tables);
	bb_list_append(&r->tables, &s->tables);
	bb_subtab_stats(s->pubsub.table, &stats);
	if (stats.retired_sets == 0)
		return;
	bb_subtab_reclaim(s->pubsub.table, r->epoch_done);
	bb_pubsub_gauges(s);
	if (!r->epoch_marked)
		close_epoch(r);
}
