/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pubsub: messages of publishers (side 0) to the subscribers (side 1) whose subscriptions are prefixes of
 * their first frame.
 */
#include "route/pubsub.h"

#include <errno.h>
#include <string.h>

#include "route/park.h"

#define BURST 32		  /* messages looked up at once */
#define PAGE_TOPICS 512		  /* looked at for one page */
#define LEAVE_STEP 256		  /* subscriptions of a peer that goes, per step */
#define CACHE_ENTRIES 65536	  /* topics at most; it grows with use */
#define SET_BYTES_MAX (64u << 20) /* of live destination sets per table */

static uint32_t
subscriptions_max(const struct bb_shard *s)
{
	const uint32_t max = s->conf->side[1].subscriptions_max;

	return max == 0 ? UINT32_MAX : max;
}

static int
pubsub_open(struct bb_shard *s)
{
	s->pubsub = (struct bb_pubsub){ .subscribe_all = s->conf->subscribe_all };
	bb_list_init(&s->pubsub.blockers);
	bb_upstream_init(&s->pubsub.upstream);
	return 0;
}

/* Made for the first peer: most shards of a node with many endpoints never see one. */
static int
table_make(struct bb_shard *s)
{
	struct bb_router *r = s->router;

	if (s->pubsub.table != NULL)
		return 0;
	const int ret = bb_subtab_create(
		&(struct bb_subtab_options){
			.actor = r->options.actor,
			.subscriptions_max = subscriptions_max(s),
			.cache_entries = CACHE_ENTRIES,
			.set_bytes_max = SET_BYTES_MAX,
			.mem = r->mem,
			.hash_key = r->options.hash_key,
		},
		&s->pubsub.table);
	if (ret != 0) {
		s->pubsub.table = NULL;
		return ret;
	}
	bb_subtab_stamp(s->pubsub.table, r->epoch);
	bb_list_append(&r->tables, &s->tables);
	return 0;
}

static void
pubsub_close(struct bb_shard *s)
{
	bb_upstream_fini(s);
	bb_list_remove(&s->tables);
	if (s->pubsub.table == NULL)
		return;
	bb_subtab_cursor_close(s->pubsub.table, &s->pubsub.page);
	bb_subtab_destroy(s->pubsub.table);
	s->pubsub.table = NULL;
	for (uint32_t i = BB_ROUTER_SUBSCRIPTIONS; i <= BB_ROUTER_SUBSCRIPTION_BYTES; i++)
		BB_GAUGE(s->row[1], i, 0); /* the side's index may name another endpoint next */
}

static void
pubsub_change(struct bb_shard *s)
{
	if (s->pubsub.table == NULL) {
		s->pubsub.subscribe_all = s->conf->subscribe_all;
		return;
	}
	bb_subtab_limit(s->pubsub.table, subscriptions_max(s));
	if (s->pubsub.subscribe_all != s->conf->subscribe_all) {
		s->pubsub.subscribe_all = s->conf->subscribe_all;
		bb_upstream_restart(s);
	}
	/* When nobody blocks any more, what is parked goes on at once; the limit of time may have changed. */
	bb_pubsub_unblock_all(s);
}

static uint32_t
pubsub_attach(
	struct bb_shard *s, struct bb_peer *p, const struct bb_attach *a, uint32_t buffer, uint32_t offset)
{
	(void)a;
	(void)buffer;
	(void)offset;
	if (table_make(s) != 0)
		return BB_REFUSED_NO_MEMORY;
	if (p->which == 1 && bb_subtab_join(s->pubsub.table, p->handle, &p->sub) != 0)
		return BB_REFUSED_NO_MEMORY;
	bb_out_plain(&s->router->out, p->core, BB_DELIVERY_GRANTED, p->side, p->handle, 0);
	if (p->which == 0)
		bb_upstream_join(s, p);
	bb_pubsub_gauges(s);
	return 0;
}

static void
on_last_cancel(void *ctx, const void *topic, uint32_t len, uint64_t seq)
{
	(void)seq;
	bb_upstream_changed(ctx, true, topic, len);
}

static bool
pubsub_gone(struct bb_shard *s, struct bb_peer *p)
{
	if (p->which == 0) {
		bb_upstream_leave(s, p);
		return true;
	}
	s->router->budget -= LEAVE_STEP;
	const bool done = bb_subtab_leave_step(s->pubsub.table, p->sub, LEAVE_STEP, on_last_cancel, s);
	bb_pubsub_gauges(s);
	if (done)
		bb_pubsub_unblock(s, p);
	return done;
}

void
bb_pubsub_drop(struct bb_shard *s, struct bb_peer *p, const struct bb_set *set, uint64_t msgs, uint64_t bytes)
{
	const uint32_t cause = set == NULL ? BB_ROUTER_IN_NO_SUBSCRIBER : BB_ROUTER_IN_MEMORY;

	bb_account_dropped(s, p, cause, msgs, bytes);
}

void
bb_pubsub_emit(struct bb_shard *s, const struct bb_set *set, uint32_t buffer, uint32_t offset, uint32_t len,
	uint32_t msgs)
{
	struct bb_out *out = &s->router->out;
	const uint16_t side = bb_side_index(s->conf, 0);

	for (uint32_t i = 0; i < set->core_count; i++) {
		const struct bb_set_core *c = &set->cores[i];
		struct bb_out_core *to = &out->cores[c->core];
		if (c->count == 1)
			bb_out_msgs_joined(out, to, BB_DELIVERY_MSGS_ONE, set->handles[c->first], side,
				buffer, offset, len, msgs);
		else
			bb_out_msgs_joined(out, to, BB_DELIVERY_MSGS_SET, (uintptr_t)set, side, buffer,
				offset, len, msgs);
	}
}

void
bb_pubsub_emit_chain(struct bb_shard *s, const struct bb_set *set, uint32_t head, uint32_t len)
{
	struct bb_out *out = &s->router->out;
	const uint16_t side = bb_side_index(s->conf, 0);

	for (uint32_t i = 0; i < set->core_count; i++) {
		const struct bb_set_core *c = &set->cores[i];
		if (c->count == 1)
			bb_out_chain(out, &out->cores[c->core], BB_DELIVERY_MSGS_ONE, set->handles[c->first],
				side, head, 0, len);
		else
			bb_out_chain(out, &out->cores[c->core], BB_DELIVERY_MSGS_SET, (uintptr_t)set, side,
				head, 0, len);
	}
}

const struct bb_set *
bb_pubsub_match_chain(struct bb_shard *s, uint32_t head, uint32_t topic_len)
{
	const uint32_t key_len = bb_pubsub_key_len(topic_len);
	const uint8_t *topic = bb_chain_bytes(s->router, head, bb_desc_topic_offset(topic_len), key_len);

	return bb_subtab_match(s->pubsub.table, topic, key_len);
}

/* Neighbours with the same receivers, to be staged as one range. */
struct stretch {
	const struct bb_set *set;
	uint32_t offset, len, msgs;
};

struct sums {
	uint64_t msgs, copies, bytes;
};

static void
stretch_end(
	struct bb_shard *s, struct bb_peer *p, uint32_t buffer, const struct stretch *x, struct sums *sums)
{
	if (bb_unlikely(x->set == NULL || x->set == BB_SUBTAB_NOMEM)) {
		bb_pubsub_drop(s, p, x->set, x->msgs, x->len);
		return;
	}
	bb_pubsub_emit(s, x->set, buffer, x->offset, x->len, x->msgs);
	sums->msgs += x->msgs;
	sums->copies += (uint64_t)x->msgs * x->set->receivers;
	sums->bytes += x->len;
}

/* Route up to n matched messages; stops early when a ring is full. */
static void
publish_burst(struct bb_shard *s, struct bb_peer *p, struct bb_msgs *m, const struct bb_subtab_query *q,
	uint32_t n, struct sums *sums)
{
	struct stretch x = { .set = q[0].set, .offset = m->offset };
	const struct bb_desc *desc = m->desc;
	uint32_t i = 0;

	for (; i < n; i++, desc--) {
		if (bb_unlikely(q[i].set != x.set)) {
			stretch_end(s, p, m->buffer, &x, sums);
			x = (struct stretch){ .set = q[i].set, .offset = x.offset + x.len };
			if (!bb_out_ready(&s->router->out))
				break;
		}
		x.len += desc->len;
		x.msgs++;
	}
	if (x.msgs > 0)
		stretch_end(s, p, m->buffer, &x, sums);
	m->offset = x.offset + x.len;
	m->desc = desc;
	m->left -= i;
	s->router->budget -= i;
}

static void
publish_messages(struct bb_shard *s, struct bb_peer *p, struct bb_msgs *m)
{
	struct bb_router *r = s->router;
	struct bb_subtab_query q[BURST];
	struct sums sums = { 0 };

	while (m->left > 0 && bb_router_may_work(r)) {
		const uint32_t n = (uint32_t)bb_min_u64(m->left, BURST);
		const uint8_t *at = m->base + m->offset;
		const struct bb_desc *desc = m->desc;
		for (uint32_t i = 0; i < n; i++, desc--) {
			q[i].topic = at + bb_desc_topic_offset(desc->topic_len);
			q[i].len = bb_pubsub_key_len(desc->topic_len);
			at += desc->len;
		}
		bb_subtab_match_burst(s->pubsub.table, q, n);
		publish_burst(s, p, m, q, n, &sums);
	}
	bb_account_routed(s, p, sums.msgs, sums.copies, sums.bytes);
}

static void
pubsub_messages(struct bb_shard *s, struct bb_peer *p, struct bb_msgs *m)
{
	if (bb_unlikely(p->which == 1))
		bb_msgs_drop(s, p, m, BB_ROUTER_IN_UNROUTABLE);
	else if (bb_likely(s->conf->sharded))
		publish_messages(s, p, m);
	else
		bb_pubsub_home_messages(s, p, m);
}

static void
pubsub_chain(struct bb_shard *s, struct bb_peer *p, const struct bb_chain *c)
{
	if (p->which == 1) {
		bb_account_dropped(s, p, BB_ROUTER_IN_UNROUTABLE, 1, c->len);
		return;
	}
	if (!s->conf->sharded) {
		bb_pubsub_home_chain(s, p, c);
		return;
	}
	const struct bb_set *set = bb_pubsub_match_chain(s, c->head, c->topic_len);
	if (set == NULL || set == BB_SUBTAB_NOMEM) {
		bb_pubsub_drop(s, p, set, 1, c->len);
		return;
	}
	bb_pubsub_emit_chain(s, set, c->head, c->len);
	bb_account_routed(s, p, 1, set->receivers, c->len);
}

static void
pubsub_credit(struct bb_shard *s, struct bb_peer *p)
{
	bb_pubsub_unblock(s, p);
}

static uint32_t
pubsub_subscribe(struct bb_shard *s, struct bb_peer *p, const void *topic, uint32_t len)
{
	struct bb_subtab_change change;

	if (p->which != 1)
		return 0; /* publishers have none */
	const int ret = bb_subtab_add(s->pubsub.table, p->sub, topic, len, &change);
	if (ret != 0)
		return ret == -ENOMEM ? BB_REFUSED_NO_MEMORY : BB_REFUSED_SUBSCRIPTIONS;
	if (change.topic)
		bb_upstream_changed(s, false, topic, len);
	return 0;
}

static void
pubsub_cancel(struct bb_shard *s, struct bb_peer *p, const void *topic, uint32_t len)
{
	struct bb_subtab_change change;

	if (p->which != 1 || bb_subtab_cancel(s->pubsub.table, p->sub, topic, len, &change) != 0)
		return; /* cancels without a subscription are ignored, as ZeroMQ does */
	if (change.topic)
		bb_upstream_changed(s, true, topic, len);
	if (change.sub)
		bb_pubsub_unblock(s, p); /* what waited for it may not concern it any more */
}

static void
pubsub_upstream_room(struct bb_shard *s, struct bb_peer *p)
{
	if (p->which == 0)
		bb_upstream_room(s, p);
}

void
bb_pubsub_gauges(struct bb_shard *s)
{
	struct bb_router_side_row *row = s->row[1];
	struct bb_subtab_stats stats;

	bb_subtab_stats(s->pubsub.table, &stats);
	BB_GAUGE(row, BB_ROUTER_SUBSCRIPTION_BYTES, stats.bytes);
	if (s->conf->home != s->router->options.index)
		return; /* all shards have the same subscriptions: they are counted once */
	BB_GAUGE(row, BB_ROUTER_SUBSCRIPTIONS, stats.subscriptions);
	BB_GAUGE(row, BB_ROUTER_TOPICS, stats.topics);
}

/* Append {subscribers, length, octets} to the page; false if it does not fit. */
static bool
page_append(const struct bb_shard *s, struct bb_mail_page *page)
{
	const struct bb_subtab_cursor *c = &s->pubsub.page;
	const uint32_t head[2] = { bb_subtab_topic_subs(s->pubsub.table, c->key, c->len), c->len };

	if (page->bytes_max - page->bytes < sizeof(head) + c->len)
		return false;
	memcpy(page->entries + page->bytes, head, sizeof(head));
	if (c->len > 0)
		memcpy(page->entries + page->bytes + sizeof(head), c->key, c->len);
	page->bytes += (uint32_t)sizeof(head) + c->len;
	page->count++;
	return true;
}

uint32_t
bb_pubsub_page(struct bb_shard *s, struct bb_mail_page *page)
{
	struct bb_pubsub *x = &s->pubsub;
	int ret = 0;

	page->count = page->bytes = 0;
	page->next = UINT64_MAX;
	if (x->table == NULL)
		return 0;
	if (page->cursor == 0) {
		bb_subtab_cursor_close(x->table, &x->page);
		bb_subtab_cursor_open(x->table, &x->page);
		x->page_held = false;
	} else if (page->cursor != x->page_number) {
		return ESTALE; /* somebody else began a walk: begin again */
	}
	for (uint32_t i = 0; i < PAGE_TOPICS; i++) {
		if (!x->page_held) {
			const void *topic;
			uint32_t len;
			ret = bb_subtab_next_topic(x->table, &x->page, &topic, &len);
			if (ret == -EAGAIN)
				continue;
			if (ret <= 0)
				break;
		}
		x->page_held = !page_append(s, page);
		if (x->page_held)
			break;
	}
	if (ret == -ENOMEM)
		return ENOMEM;
	if (x->page_held && page->count == 0)
		return EMSGSIZE; /* no page of this size will ever hold it */
	if (ret != 0 || x->page_held) {
		page->next = ++x->page_number;
		return 0;
	}
	bb_subtab_cursor_close(x->table, &x->page);
	return 0;
}

const struct bb_pattern_ops bb_pubsub_ops = {
	.open = pubsub_open,
	.close = pubsub_close,
	.change = pubsub_change,
	.attach = pubsub_attach,
	.gone = pubsub_gone,
	.messages = pubsub_messages,
	.chain = pubsub_chain,
	.credit = pubsub_credit,
	.resume = bb_pubsub_home_resume,
	.subscribe = pubsub_subscribe,
	.cancel = pubsub_cancel,
	.upstream_room = pubsub_upstream_room,
};
