/* SPDX-License-Identifier: BSD-3-Clause */
#include "route/walk.h"

#include <string.h>

#include "route/drain.h"
#include "route/park.h"
#include "route/pubsub.h"

/* A chain entry: its descriptor, then where it lies. */
#define CHAIN_WORDS 2

bool
bb_walk_resume(struct bb_router *r)
{
	while (!bb_list_empty(&r->resume)) {
		struct bb_shard *s = bb_list_entry(r->resume.next, struct bb_shard, resume);
		if (!bb_router_may_work(r) || s->ops->resume(s))
			return false;
		bb_list_remove(&s->resume);
	}
	return true;
}

/* ---- Runs ---- */

static void
run_messages(struct bb_router *r, struct bb_walk *w, struct bb_shard *s)
{
	struct bb_batch_reader *rd = &w->reader;
	struct bb_msgs m = {
		.base = rd->base,
		.buffer = w->slice.buffer,
		.offset = rd->bytes,
		.desc = (const void *)(rd->base + rd->words - sizeof(struct bb_desc)),
		.left = w->left,
	};
	struct bb_peer *p = bb_peers_find(&r->peers, w->run.session);

	if (bb_likely(p != NULL)) {
		s->ops->messages(s, p, &m);
	} else {
		/* Refused for lack of memory; it had not heard of it yet when it sent these. */
		const uint32_t bytes = bb_msgs_bytes(&m);
		bb_account_lost(s, &s->windows[w->run.side & 1][bb_handle_core(w->run.session)],
			BB_ROUTER_IN_MEMORY, m.left, bytes);
		m.offset += bytes;
		m.left = 0;
		r->budget--;
	}
	rd->words -= (w->left - m.left) * (uint32_t)sizeof(struct bb_desc);
	rd->bytes = m.offset;
	w->left = m.left;
}

static void
run_chain(struct bb_router *r, struct bb_walk *w, struct bb_shard *s)
{
	const struct bb_desc *d = bb_batch_read(&w->reader, CHAIN_WORDS);
	struct bb_chain c = { .len = d->len, .topic_len = d->topic_len };
	struct bb_peer *p = bb_peers_find(&r->peers, w->run.session);

	memcpy(&c.head, d + 1, sizeof(c.head));
	bb_holds_open(&r->spans.holds, c.head, 1, c.len);
	if (bb_likely(p != NULL))
		s->ops->chain(s, p, &c);
	else
		bb_account_lost(s, &s->windows[w->run.side & 1][bb_handle_core(w->run.session)],
			BB_ROUTER_IN_MEMORY, 1, c.len);
	bb_holds_drop(&r->spans.holds, c.head, 1, 0);
	w->left = 0;
	r->budget--;
}

static void
run_subscriptions(struct bb_router *r, struct bb_walk *w, struct bb_shard *s)
{
	struct bb_peer *p = bb_peers_find(&r->peers, w->run.session);

	for (; w->left > 0 && bb_router_may_work(r); w->left--) {
		const uint64_t *word = bb_batch_read(&w->reader, 1);
		const uint32_t len = (uint32_t)*word;
		const uint8_t *topic = w->reader.base + w->reader.bytes;
		w->reader.bytes += len;
		r->budget -= 4; /* about that many messages' time */
		if (p == NULL || p->told || s->ops->subscribe == NULL)
			continue;
		uint32_t cause = 0;
		if (w->run.kind == BB_RUN_CANCEL)
			s->ops->cancel(s, p, topic, len);
		else
			cause = s->ops->subscribe(s, p, topic, len);
		if (cause != 0)
			bb_peer_refuse(s, p, cause);
	}
	if (p != NULL && s->ops->subscribe != NULL)
		bb_pubsub_gauges(s);
}

static void
run_attach(struct bb_router *r, struct bb_walk *w, struct bb_shard *s)
{
	struct bb_attach a;
	const uint32_t which = w->run.side & 1;
	uint32_t cause = BB_REFUSED_NO_MEMORY;

	memcpy(&a, bb_batch_read(&w->reader, BB_ATTACH_WORDS), sizeof(a));
	const uint32_t id_offset = w->reader.bytes;
	w->reader.bytes += a.id_len;
	w->left = 0;
	r->budget -= 4;
	struct bb_peer *p = bb_peers_add(&r->peers, w->run.session);
	if (p != NULL) {
		p->shard = s;
		p->side = w->run.side;
		p->which = (uint8_t)which;
		p->out = &r->out.cores[p->core];
		p->window = &s->windows[which][p->core];
		p->msgs_limit = a.msgs_limit;
		p->bytes_limit = a.bytes_limit;
		cause = s->ops->attach(s, p, &a, w->slice.buffer, id_offset);
		if (cause == 0) {
			s->peers++;
			return;
		}
		bb_peers_forget(&r->peers, p);
		bb_peer_free(&r->peers, p);
	}
	bb_out_plain(&r->out, bb_handle_core(w->run.session), BB_DELIVERY_REFUSED, w->run.side,
		w->run.session, cause);
}

static void
run_credit(struct bb_router *r, struct bb_walk *w, struct bb_shard *s)
{
	const struct bb_credit *credit = bb_batch_read(&w->reader, BB_CREDIT_WORDS);
	struct bb_peer *p = bb_peers_find(&r->peers, w->run.session);

	w->left = 0;
	r->budget--;
	if (p == NULL)
		return;
	p->msgs_limit = credit->msgs_limit;
	p->bytes_limit = credit->bytes_limit;
	p->bytes_left = credit->bytes_left;
	s->ops->credit(s, p);
}

/* True when the router has forgotten p, and p is freed or a ghost. */
static bool
gone_step(struct bb_router *r, struct bb_peer *p)
{
	struct bb_shard *s = p->shard;

	r->budget--;
	if (!s->ops->gone(s, p))
		return false;
	bb_out_plain(&r->out, p->core, BB_DELIVERY_GONE_DONE, p->side, p->handle, 0);
	bb_list_remove(&p->dying);
	bb_peers_forget(&r->peers, p);
	s->peers--;
	if (bb_parked(p))
		p->ghost = true; /* its last message takes it along */
	else
		bb_peer_free(&r->peers, p);
	return true;
}

void
bb_walk_dying(struct bb_router *r)
{
	const int64_t keep = r->budget / 4 * 3; /* for those that live */

	while (!bb_list_empty(&r->dying) && bb_router_may_work(r) && r->budget > keep)
		gone_step(r, bb_list_entry(r->dying.next, struct bb_peer, dying));
}

static void
run_gone(struct bb_router *r, struct bb_walk *w)
{
	struct bb_peer *p = bb_peers_find(&r->peers, w->run.session);

	w->left = 0;
	r->budget--;
	if (p == NULL) /* it was refused */
		bb_out_plain(&r->out, bb_handle_core(w->run.session), BB_DELIVERY_GONE_DONE, w->run.side,
			w->run.session, 0);
	else if (!gone_step(r, p))
		bb_list_append(&r->dying, &p->dying);
}

static void
run_end(struct bb_router *r, struct bb_walk *w, uint32_t core)
{
	const uint64_t *scope = bb_batch_read(&w->reader, 1);

	w->left = 0;
	r->budget--;
	bb_drain_ended(r, (uint32_t)*scope, core);
}

/* ---- Slices ---- */

/* Go on with the run at hand, while bb_router_may_work(). False if the shard is not known yet. */
static bool
run_step(struct bb_router *r, struct bb_walk *w, uint32_t core)
{
	if (w->run.kind == BB_RUN_END) {
		run_end(r, w, core);
		return true;
	}
	struct bb_shard *s = bb_router_shard(r, w->run.side / 2);
	if (s == NULL)
		return false;
	switch (w->run.kind) {
	case BB_RUN_MSGS:
		run_messages(r, w, s);
		break;
	case BB_RUN_CHAIN:
		run_chain(r, w, s);
		break;
	case BB_RUN_SUBSCRIBE:
	case BB_RUN_CANCEL:
		run_subscriptions(r, w, s);
		break;
	case BB_RUN_ATTACH:
		run_attach(r, w, s);
		break;
	case BB_RUN_CREDIT:
		run_credit(r, w, s);
		break;
	case BB_RUN_GONE:
		run_gone(r, w);
		break;
	case BB_RUN_UPSTREAM_ROOM: {
		struct bb_peer *p = bb_peers_find(&r->peers, w->run.session);
		w->left = 0;
		r->budget--;
		if (p != NULL && s->ops->upstream_room != NULL)
			s->ops->upstream_room(s, p);
		break;
	}
	default:
		BB_ASSERT(!"a kind of run");
	}
	return true;
}

/* Go on with the slice at hand. True when it is through. */
static bool
walk_slice(struct bb_router *r, struct bb_walk *w, uint32_t core)
{
	for (;;) {
		/* What is parked goes before what comes in. */
		if (!bb_walk_resume(r) || !bb_router_may_work(r))
			return false;
		if (w->left == 0) {
			const struct bb_run *run = bb_batch_read(&w->reader, BB_RUN_WORDS);
			if (run == NULL)
				return true;
			w->run = *run;
			w->left = run->count;
			continue;
		}
		if (!run_step(r, w, core))
			return false;
	}
}

/* One slice of one I/O core. False when there is none, or nothing can be done with it now. */
static bool
walk_core(struct bb_router *r, uint32_t core)
{
	struct bb_walk *w = &r->walks[core];
	const int64_t budget = r->budget;

	if (!w->active) {
		struct bb_ring *ring = bb_fabric_slices(r->fabric, core, r->options.index);
		if (bb_ring_pop(ring, &w->slice, 1) == 0)
			return false;
		bb_holds_open(&r->spans.holds, w->slice.buffer, 1, 0);
		bb_batch_reader_init(&w->reader, r->pool, &w->slice);
		w->left = 0;
		w->active = true;
		r->budget--;
	}
	if (walk_slice(r, w, core)) {
		w->active = false;
		bb_holds_drop(&r->spans.holds, w->slice.buffer, 1, 0);
		return true;
	}
	return r->budget != budget;
}

void
bb_walk_all(struct bb_router *r)
{
	const uint32_t n = r->fabric->sizes.io_count;
	const uint32_t first = r->walk_next;
	bool found = true;

	r->walk_next = (first + 1) % n;
	while (found) {
		found = false;
		for (uint32_t i = 0; i < n; i++) {
			if (!bb_walk_resume(r) || !bb_router_may_work(r))
				return;
			found |= walk_core(r, (first + i) % n);
		}
	}
}

bool
bb_walk_pending(const struct bb_router *r)
{
	for (uint32_t i = 0; i < r->fabric->sizes.io_count; i++) {
		if (r->walks[i].active)
			return true;
	}
	return false;
}

/* Chains that were not come to carry references of their own. */
static void
discard_rest(struct bb_router *r, struct bb_walk *w)
{
	for (;;) {
		for (; w->left > 0; w->left--) {
			const uint32_t words = bb_run_entry_words(w->run.kind);
			const uint64_t *entry = words == 0 ? NULL : bb_batch_read(&w->reader, words);
			if (w->run.kind == BB_RUN_CHAIN)
				bb_pool_put(r->pool, (uint32_t)entry[1], 1);
		}
		const struct bb_run *run = bb_batch_read(&w->reader, BB_RUN_WORDS);
		if (run == NULL)
			return;
		w->run = *run;
		w->left = run->count;
	}
}

void
bb_walk_fini(struct bb_router *r)
{
	for (uint32_t i = 0; i < r->fabric->sizes.io_count; i++) {
		struct bb_walk *w = &r->walks[i];
		if (!w->active)
			continue;
		discard_rest(r, w);
		bb_holds_drop(&r->spans.holds, w->slice.buffer, 1, 0);
		w->active = false;
	}
}
