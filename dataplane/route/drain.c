/* SPDX-License-Identifier: BSD-3-Clause */
#include "route/drain.h"

#include "route/park.h"

void
bb_drain_init(struct bb_drain *d, uint32_t scope)
{
	*d = (struct bb_drain){ .scope = scope };
	bb_list_init(&d->node);
}

static struct bb_drain *
find(struct bb_router *r, uint32_t scope)
{
	if (scope == BB_SCOPE_NODE)
		return &r->drain;
	if (scope >= BB_ENDPOINTS_MAX || r->shards[scope] == NULL)
		return NULL;
	return &r->shards[scope]->drain;
}

bool
bb_drain_begin(struct bb_router *r, uint32_t scope, uint64_t deadline_ns, uint64_t tag)
{
	struct bb_drain *d = find(r, scope);

	if (d == NULL || d->phase != BB_DRAIN_NONE)
		return false;
	d->phase = BB_DRAIN_WAITING;
	d->deadline_ns = deadline_ns;
	d->tag = tag;
	bb_list_append(&r->drains, &d->node);
	return true;
}

void
bb_drain_ended(struct bb_router *r, uint32_t scope, uint32_t core)
{
	struct bb_drain *d = find(r, scope);

	if (d != NULL)
		d->ends |= UINT64_C(1) << core;
}

static bool
ended_by_all(const struct bb_router *r, const struct bb_drain *d)
{
	const uint32_t n = r->fabric->sizes.io_count;

	return d->ends == (n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1);
}

/* True when nothing of the scope is parked, after dropping it if it may be. */
static bool
park_is_empty(struct bb_router *r, struct bb_drain *d)
{
	const bool late = r->now_ns >= d->deadline_ns;
	bool empty = true;

	for (uint32_t i = 0; i < BB_ENDPOINTS_MAX; i++) {
		struct bb_shard *s = r->shards[i];
		if (s == NULL || (d->scope != BB_SCOPE_NODE && d->scope != i) || bb_park_empty(&s->park))
			continue;
		empty &= late && bb_park_drop(s);
	}
	return empty;
}

/* What was parked beyond the deadline is dropped even if some END is still to come: nobody will take it. */
void
bb_drain_step(struct bb_router *r)
{
	bb_list_for_each(n, &r->drains)
	{
		struct bb_drain *d = bb_list_entry(n, struct bb_drain, node);
		if (d->phase != BB_DRAIN_WAITING || !park_is_empty(r, d) || !ended_by_all(r, d))
			continue;
		if (!bb_out_ready(&r->out))
			return;
		for (uint32_t core = 0; core < r->fabric->sizes.io_count; core++)
			bb_out_plain(&r->out, core, BB_DELIVERY_END, 0, d->scope, 0);
		d->phase = BB_DRAIN_ANSWER;
	}
}

void
bb_drain_answer(struct bb_router *r)
{
	struct bb_ring *ring = &r->fabric->router_to_agent[r->options.index];

	bb_list_for_each(n, &r->drains)
	{
		struct bb_drain *d = bb_list_entry(n, struct bb_drain, node);
		if (d->phase != BB_DRAIN_ANSWER)
			continue;
		const struct bb_mail done = { .kind = BB_MAIL_DONE, .tag = d->tag };
		if (bb_ring_push(ring, &done, 1) == 0)
			return;
		r->mailed = true;
		d->phase = BB_DRAIN_ANSWERED;
		bb_list_remove(&d->node);
	}
}

uint64_t
bb_drain_deadline(const struct bb_router *r)
{
	uint64_t deadline = BB_NEVER;

	for (const struct bb_list *n = r->drains.next; n != &r->drains; n = n->next) {
		const struct bb_drain *d = bb_list_entry(n, struct bb_drain, node);
		if (d->phase == BB_DRAIN_ANSWER)
			return 0;
		if (d->deadline_ns > r->now_ns)
			deadline = bb_min_u64(deadline, d->deadline_ns);
	}
	return deadline;
}
