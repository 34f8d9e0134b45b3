/* SPDX-License-Identifier: BSD-3-Clause */
#include "route/park.h"

#include "msg/message.h"

#define EVACUATE_PEERS 8 /* looked at per call */

void
bb_park_init(struct bb_park *k)
{
	*k = (struct bb_park){ 0 };
	bb_list_init(&k->all);
	bb_list_init(&k->ready);
}

static void
gauge(struct bb_shard *s, uint32_t which)
{
	BB_GAUGE(s->row[which], BB_ROUTER_PARKED, s->park.msgs[which]);
	BB_GAUGE(s->row[which], BB_ROUTER_PARKED_BYTES, s->park.bytes[which]);
}

static void
park_span(struct bb_shard *s, struct bb_peer *p, const struct bb_span *span)
{
	struct bb_park *k = &s->park;

	if (bb_spanq_push(&s->router->spans, &p->park, span) != 0) {
		bb_account_dropped(s, p, BB_ROUTER_IN_MEMORY, span->msgs, span->len);
		return;
	}
	if (p->parked_msgs == 0) {
		bb_list_append(&k->all, &p->park_all);
		bb_list_append(&k->ready, &p->park_ready);
	}
	p->parked_msgs += span->msgs;
	k->msgs[p->which] += span->msgs;
	k->bytes[p->which] += span->len;
	gauge(s, p->which);
}

void
bb_park_messages(struct bb_shard *s, struct bb_peer *p, struct bb_msgs *m)
{
	const uint32_t bytes = bb_msgs_bytes(m);

	park_span(s, p,
		&(struct bb_span){ .buffer = m->buffer,
			.offset = m->offset,
			.len = bytes,
			.msgs = m->left & 0x7fffffff });
	m->offset += bytes;
	m->desc -= m->left;
	m->left = 0;
	s->router->budget--;
}

void
bb_park_chain(struct bb_shard *s, struct bb_peer *p, const struct bb_chain *c)
{
	park_span(s, p, &(struct bb_span){ .buffer = c->head, .len = c->len, .msgs = 1, .chain = 1 });
}

bool
bb_park_shift(struct bb_shard *s, struct bb_peer *p, uint32_t len, uint32_t msgs)
{
	struct bb_router *r = s->router;
	struct bb_park *k = &s->park;

	bb_spanq_shift(&r->spans, &p->park, len, msgs);
	p->parked_msgs -= msgs;
	k->msgs[p->which] -= msgs;
	k->bytes[p->which] -= len;
	gauge(s, p->which);
	if (p->parked_msgs > 0)
		return true;
	bb_list_remove(&p->park_all);
	bb_list_remove(&p->park_ready);
	if (!p->ghost)
		return true;
	bb_peer_free(&r->peers, p);
	return false;
}

void
bb_park_rotate(struct bb_shard *s, struct bb_peer *p)
{
	bb_list_remove(&p->park_ready);
	bb_list_append(&s->park.ready, &p->park_ready);
}

uint32_t
bb_park_front_len(const struct bb_shard *s, const struct bb_peer *p)
{
	const struct bb_span *span = bb_spanq_front(&p->park);

	if (span->msgs == 1)
		return span->len;
	return (uint32_t)bb_message_len(bb_pool_bytes(s->router->pool, span->buffer) + span->offset);
}

bool
bb_park_drop(struct bb_shard *s)
{
	struct bb_router *r = s->router;

	while (!bb_list_empty(&s->park.all) && r->budget > 0) {
		struct bb_peer *p = bb_list_entry(s->park.all.next, struct bb_peer, park_all);
		const struct bb_span *span = bb_spanq_front(&p->park);
		r->budget--;
		bb_account_dropped(s, p, BB_ROUTER_IN_UNROUTABLE, span->msgs, span->len);
		bb_park_shift(s, p, span->len, span->msgs);
	}
	return bb_park_empty(&s->park);
}

void
bb_park_clear(struct bb_shard *s)
{
	while (!bb_list_empty(&s->park.all)) {
		struct bb_peer *p = bb_list_entry(s->park.all.next, struct bb_peer, park_all);
		bb_spanq_clear(&s->router->spans, &p->park);
		bb_list_remove(&p->park_all);
		bb_list_remove(&p->park_ready);
		p->parked_msgs = 0;
		if (p->ghost)
			bb_peer_free(&s->router->peers, p);
	}
}

uint64_t
bb_park_evacuate(struct bb_shard *s, uint64_t budget)
{
	uint64_t copied = 0;

	for (uint32_t i = 0; i < EVACUATE_PEERS && copied < budget && !bb_list_empty(&s->park.all); i++) {
		struct bb_peer *p = bb_list_entry(bb_list_pop(&s->park.all), struct bb_peer, park_all);
		copied += bb_spanq_evacuate(&s->router->spans, &p->park, budget - copied);
		bb_list_append(&s->park.all, &p->park_all);
	}
	return copied;
}
