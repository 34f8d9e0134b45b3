/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pubsub where a full subscriber makes the publishers wait: `when_full: block`.
 *
 * A message goes when all its receivers have credit; otherwise it is parked, and its publisher stands in the
 * list of the first receiver that had none, until that one gives credit, cancels or goes. Then the message is
 * matched again: subscriptions may have changed meanwhile.
 *
 * A subscriber that keeps somebody waiting for block_max without giving credit is told to go.
 */
#include "msg/message.h"
#include "route/park.h"
#include "route/pubsub.h"

static bool
blocking(const struct bb_shard *s)
{
	return s->conf->side[1].when_full == BB_FULL_BLOCK;
}

/* The first receiver that does not take len octets; NULL: all do. */
static struct bb_peer *
blocker_of(const struct bb_shard *s, const struct bb_set *set, uint32_t len)
{
	if (!blocking(s))
		return NULL;
	for (uint32_t i = 0; i < set->receivers; i++) {
		struct bb_peer *to = bb_peers_find(&s->router->peers, set->handles[i]);
		BB_ASSERT(to != NULL); /* out of all sets before it is forgotten */
		if (!bb_peer_admits(to, len))
			return to;
	}
	return NULL;
}

/* What all receivers take without looking at each again. */
struct room {
	uint64_t msgs, bytes;
};

static struct room
room_of(const struct bb_shard *s, const struct bb_set *set)
{
	struct room room = { UINT64_MAX, UINT64_MAX };

	if (!blocking(s))
		return room;
	for (uint32_t i = 0; i < set->receivers; i++) {
		const struct bb_peer *to = bb_peers_find(&s->router->peers, set->handles[i]);
		BB_ASSERT(to != NULL);
		const uint64_t msgs = to->msgs_limit > to->msgs_sent ? to->msgs_limit - to->msgs_sent : 0;
		const uint64_t bytes = to->bytes_limit > to->bytes_sent ? to->bytes_limit - to->bytes_sent
									: 0;
		room.msgs = bb_min_u64(room.msgs, msgs);
		room.bytes = bb_min_u64(room.bytes, bytes);
	}
	return room;
}

/* Counted also while nobody blocks, so that a change of policy finds the sums right. */
static void
charge(struct bb_shard *s, const struct bb_set *set, uint32_t msgs, uint64_t bytes)
{
	for (uint32_t i = 0; i < set->receivers; i++)
		bb_peer_charge(bb_peers_find(&s->router->peers, set->handles[i]), msgs, bytes);
}

/* One message of p. NULL: it is routed or dropped, and accounted for; else who blocks it. */
static struct bb_peer *
publish(struct bb_shard *s, struct bb_peer *p, const struct bb_set *set, const struct bb_span *msg)
{
	if (set == NULL || set == BB_SUBTAB_NOMEM) {
		bb_pubsub_drop(s, p, set, 1, msg->len);
		return NULL;
	}
	struct bb_peer *blocker = blocker_of(s, set, msg->len);
	if (blocker != NULL)
		return blocker;
	charge(s, set, 1, msg->len);
	if (msg->chain)
		bb_pubsub_emit_chain(s, set, msg->buffer, msg->len);
	else
		bb_pubsub_emit(s, set, msg->buffer, msg->offset, msg->len, 1);
	bb_account_routed(s, p, 1, set->receivers, msg->len);
	return NULL;
}

/* p, which has parked messages, waits for b. */
static void
wait_for(struct bb_shard *s, struct bb_peer *p, struct bb_peer *b)
{
	struct bb_router *r = s->router;

	bb_list_remove(&p->park_ready);
	bb_list_append(&b->waiting, &p->park_ready);
	if (bb_list_linked(&b->blockers) || b->told)
		return;
	b->blocked_since_ns = r->now_ns;
	bb_list_append(&s->pubsub.blockers, &b->blockers);
	if (!bb_list_linked(&s->timed))
		bb_list_append(&r->timed, &s->timed);
}

void
bb_pubsub_unblock(struct bb_shard *s, struct bb_peer *b)
{
	bb_list_remove(&b->blockers);
	if (bb_list_empty(&b->waiting))
		return;
	bb_list_splice(&s->park.ready, &b->waiting);
	bb_shard_resume(s);
}

void
bb_pubsub_unblock_all(struct bb_shard *s)
{
	bb_list_for_each(n, &s->park.all)
	{
		struct bb_peer *p = bb_list_entry(n, struct bb_peer, park_all);
		bb_park_rotate(s, p);
	}
	bb_list_for_each(n, &s->pubsub.blockers) bb_list_remove(n);
	if (!bb_list_empty(&s->park.ready))
		bb_shard_resume(s);
}

static const struct bb_set *
match_next(struct bb_shard *s, const struct bb_msgs *m)
{
	const uint32_t topic_len = m->desc->topic_len;

	return bb_subtab_match(s->pubsub.table, m->base + m->offset + bb_desc_topic_offset(topic_len),
		bb_pubsub_key_len(topic_len));
}

/* Neighbours that go to the same set and fit, as one range. False if not even the first one does. */
static bool
publish_stretch(struct bb_shard *s, struct bb_peer *p, const struct bb_set *set, struct bb_msgs *m)
{
	struct bb_router *r = s->router;
	const struct room room = room_of(s, set);
	const uint64_t most = bb_min_u64(room.msgs, (uint64_t)r->budget);
	const uint32_t offset = m->offset;
	uint32_t n = 0, bytes = 0;

	do {
		if (n == most || bytes + (uint64_t)m->desc->len > room.bytes)
			break;
		bytes += m->desc->len;
		n++;
		m->offset += m->desc->len;
		m->desc--;
		m->left--;
	} while (m->left > 0 && match_next(s, m) == set);
	if (n == 0)
		return false;
	charge(s, set, n, bytes);
	bb_pubsub_emit(s, set, m->buffer, offset, bytes, n);
	bb_account_routed(s, p, n, (uint64_t)n * set->receivers, bytes);
	r->budget -= n;
	return true;
}

void
bb_pubsub_home_messages(struct bb_shard *s, struct bb_peer *p, struct bb_msgs *m)
{
	while (m->left > 0 && bb_router_may_work(s->router)) {
		if (bb_parked(p)) {
			bb_park_messages(s, p, m);
			return;
		}
		const struct bb_set *set = match_next(s, m);
		if (set != NULL && set != BB_SUBTAB_NOMEM && publish_stretch(s, p, set, m))
			continue;
		/* One that nobody gets, that is too long for all but an empty queue, or that is blocked. */
		const uint32_t len = m->desc->len;
		struct bb_peer *blocker = publish(s, p, set,
			&(struct bb_span){ .buffer = m->buffer, .offset = m->offset, .len = len, .msgs = 1 });
		if (blocker != NULL) {
			bb_park_messages(s, p, m);
			if (bb_parked(p))
				wait_for(s, p, blocker);
			return;
		}
		m->offset += len;
		m->desc--;
		m->left--;
		s->router->budget--;
	}
}

void
bb_pubsub_home_chain(struct bb_shard *s, struct bb_peer *p, const struct bb_chain *c)
{
	if (bb_parked(p)) {
		bb_park_chain(s, p, c);
		return;
	}
	const struct bb_set *set = bb_pubsub_match_chain(s, c->head, c->topic_len);
	struct bb_peer *blocker = publish(
		s, p, set, &(struct bb_span){ .buffer = c->head, .len = c->len, .msgs = 1, .chain = 1 });
	if (blocker == NULL)
		return;
	bb_park_chain(s, p, c);
	if (bb_parked(p))
		wait_for(s, p, blocker);
}

/* The receivers of the message that a span begins with. */
static const struct bb_set *
match_span(struct bb_shard *s, const struct bb_span *span)
{
	struct bb_router *r = s->router;
	const uint8_t *first = span->chain ? bb_chain_bytes(r, span->buffer, 0, 9)
					   : bb_pool_bytes(r->pool, span->buffer) + span->offset;
	const uint32_t head = first[0] & 2 ? 9 : 2;
	const uint32_t topic_len = (uint32_t)bb_message_frame_len(first) - head;

	if (span->chain)
		return bb_pubsub_match_chain(s, span->buffer, topic_len);
	return bb_subtab_match(s->pubsub.table, first + head, bb_pubsub_key_len(topic_len));
}

bool
bb_pubsub_home_resume(struct bb_shard *s)
{
	struct bb_router *r = s->router;

	while (!bb_list_empty(&s->park.ready)) {
		if (!bb_router_may_work(r))
			return true;
		struct bb_peer *p = bb_list_entry(s->park.ready.next, struct bb_peer, park_ready);
		struct bb_span msg = *bb_spanq_front(&p->park);
		const struct bb_set *set = match_span(s, &msg);
		msg.len = bb_park_front_len(s, p);
		r->budget--;
		struct bb_peer *blocker = publish(s, p, set, &msg);
		if (blocker != NULL) {
			wait_for(s, p, blocker);
			continue;
		}
		bb_park_rotate(s, p);
		bb_park_shift(s, p, msg.len, 1);
	}
	return false;
}

uint64_t
bb_pubsub_timers(struct bb_shard *s)
{
	const uint64_t max = s->conf->side[1].block_max_ns;

	if (max == 0 || !blocking(s))
		return BB_NEVER;
	while (!bb_list_empty(&s->pubsub.blockers)) {
		struct bb_peer *b = bb_list_entry(s->pubsub.blockers.next, struct bb_peer, blockers);
		if (s->router->now_ns < b->blocked_since_ns + max)
			return b->blocked_since_ns + max;
		if (!bb_out_ready(&s->router->out))
			return 0;
		bb_list_remove(&b->blockers);
		bb_peer_refuse(s, b, BB_REFUSED_SLOW);
	}
	return BB_NEVER;
}
