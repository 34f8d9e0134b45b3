/* SPDX-License-Identifier: BSD-3-Clause */
#include "route/rotation.h"

#include <errno.h>
#include <string.h>

#include "msg/message.h"
#include "route/park.h"
#include "route/state.h"

#define FIRST_PEERS 8

void
bb_rotation_fini(struct bb_rotation *r, struct bb_mem *mem)
{
	bb_mem_free(mem, r->peers, r->cap * sizeof(struct bb_peer *));
	*r = (struct bb_rotation){ 0 };
}

static void
swap(struct bb_rotation *r, uint32_t a, uint32_t b)
{
	struct bb_peer *p = r->peers[a];

	r->peers[a] = r->peers[b];
	r->peers[b] = p;
	r->peers[a]->position = a;
	r->peers[b]->position = b;
}

int
bb_rotation_join(struct bb_rotation *r, struct bb_mem *mem, struct bb_peer *p)
{
	if (r->count == r->cap) {
		const uint32_t cap = r->cap == 0 ? FIRST_PEERS : 2 * r->cap;
		struct bb_peer **peers = bb_mem_alloc(mem, cap * sizeof(struct bb_peer *));
		if (peers == NULL)
			return -ENOMEM;
		if (r->count > 0)
			memcpy(peers, r->peers, r->count * sizeof(struct bb_peer *));
		bb_mem_free(mem, r->peers, r->cap * sizeof(struct bb_peer *));
		r->peers = peers;
		r->cap = cap;
	}
	p->position = r->count;
	r->peers[r->count++] = p;
	bb_rotation_wake(r, p);
	return 0;
}

/* Out of the rotation, until woken. */
static void
rest(struct bb_rotation *r, struct bb_peer *p)
{
	const uint32_t at = p->position;

	r->active--;
	swap(r, at, r->active);
	if (r->next == r->active)
		r->next = 0;
}

void
bb_rotation_leave(struct bb_rotation *r, struct bb_peer *p)
{
	if (p->position == BB_POSITION_NONE)
		return;
	if (p->position < r->active)
		rest(r, p);
	swap(r, p->position, r->count - 1);
	r->count--;
	p->position = BB_POSITION_NONE;
}

void
bb_rotation_wake(struct bb_rotation *r, struct bb_peer *p)
{
	if (p->position < r->active || p->msgs_sent >= p->msgs_limit)
		return;
	swap(r, p->position, r->active);
	r->active++;
}

static void
turn(struct bb_rotation *r)
{
	if (++r->next >= r->active)
		r->next = 0;
}

/* The peer whose turn it is among those that take len octets; NULL: nobody does. */
static struct bb_peer *
pick(struct bb_rotation *r, uint32_t len)
{
	while (r->active > 0) {
		struct bb_peer *to = r->peers[r->next];
		if (bb_peer_admits(to, len))
			return to;
		rest(r, to);
	}
	return NULL;
}

static void
send_one(struct bb_router *r, const struct bb_peer *p, struct bb_peer *to, uint32_t buffer, uint32_t offset,
	uint32_t len, bool chain)
{
	if (bb_unlikely(chain))
		bb_out_chain(
			&r->out, to->out, BB_DELIVERY_MSGS_ONE, to->handle, p->side, buffer, offset, len);
	else
		bb_out_msgs(
			&r->out, to->out, BB_DELIVERY_MSGS_ONE, to->handle, p->side, buffer, offset, len, 1);
	bb_peer_charge(to, 1, len);
}

/* Messages and octets that a peer takes in a row; the first message may always be tried. */
struct room {
	uint64_t msgs, bytes;
	bool any; /* the first message may have any length */
};

static struct room
room_of(const struct bb_peer *to, int64_t budget)
{
	struct room room = {
		.msgs = to->msgs_limit > to->msgs_sent ? to->msgs_limit - to->msgs_sent : 0,
		.bytes = to->bytes_limit > to->bytes_sent ? to->bytes_limit - to->bytes_sent : 0,
		.any = to->bytes_sent == to->bytes_left,
	};

	room.msgs = bb_min_u64(room.msgs, (uint64_t)budget);
	return room;
}

/* All that fits to the only peer, as one range. */
static void
send_run(struct bb_shard *s, struct bb_peer *p, struct bb_msgs *m)
{
	struct bb_router *r = s->router;
	struct bb_rotation *rot = &s->rotation;
	struct bb_peer *to = rot->peers[0];
	const struct room room = room_of(to, r->budget);
	const struct bb_desc *desc = m->desc;
	const uint32_t most = (uint32_t)bb_min_u64(m->left, room.msgs);
	uint64_t bytes = 0;
	uint32_t n = 0;

	if (most > 0 && room.any && desc->len > room.bytes)
		bytes = desc[-(int64_t)n++].len;
	else
		for (; n < most && bytes + desc[-(int64_t)n].len <= room.bytes; n++)
			bytes += desc[-(int64_t)n].len;
	if (n == 0) {
		rest(rot, to);
		return;
	}
	bb_out_msgs_joined(&r->out, to->out, BB_DELIVERY_MSGS_ONE, to->handle, p->side, m->buffer, m->offset,
		(uint32_t)bytes, n);
	bb_peer_charge(to, n, bytes);
	bb_account_routed(s, p, n, n, bytes);
	m->offset += (uint32_t)bytes;
	m->desc -= n;
	m->left -= n;
	r->budget -= n;
}

/* One message to each in turn, until the run is through or fewer than two peers take part. */
static void
send_each(struct bb_shard *s, struct bb_peer *p, struct bb_msgs *m)
{
	struct bb_router *r = s->router;
	struct bb_rotation *rot = &s->rotation;
	const struct bb_desc *desc = m->desc;
	uint32_t offset = m->offset;
	uint32_t most = (uint32_t)bb_min_u64(m->left, (uint64_t)r->budget);
	uint32_t n = 0;

	while (n < most && bb_out_ready(&r->out)) {
		struct bb_peer *to = rot->peers[rot->next];
		const uint32_t len = desc->len;
		if (bb_unlikely(!bb_peer_admits(to, len))) {
			rest(rot, to);
			if (rot->active < 2)
				break;
			continue;
		}
		bb_out_msgs(&r->out, to->out, BB_DELIVERY_MSGS_ONE, to->handle, p->side, m->buffer, offset,
			len, 1);
		bb_peer_charge(to, 1, len);
		turn(rot);
		offset += len;
		desc--;
		n++;
	}
	bb_account_routed(s, p, n, n, offset - m->offset);
	m->offset = offset;
	m->desc = desc;
	m->left -= n;
	r->budget -= n;
}

void
bb_rotation_messages(struct bb_shard *s, struct bb_peer *p, struct bb_msgs *m)
{
	struct bb_router *r = s->router;

	while (m->left > 0 && bb_router_may_work(r)) {
		if (s->rotation.active == 0 || bb_parked(p)) {
			bb_park_messages(s, p, m);
			return;
		}
		if (s->rotation.active == 1)
			send_run(s, p, m);
		else
			send_each(s, p, m);
	}
}

void
bb_rotation_chain(struct bb_shard *s, struct bb_peer *p, const struct bb_chain *c)
{
	struct bb_peer *to = bb_parked(p) ? NULL : pick(&s->rotation, c->len);

	if (to == NULL) {
		bb_park_chain(s, p, c);
		return;
	}
	send_one(s->router, p, to, c->head, 0, c->len, true);
	bb_account_routed(s, p, 1, 1, c->len);
	turn(&s->rotation);
}

/* What the only peer takes of the only producer's oldest span. False if that is nothing. */
static bool
resume_run(struct bb_shard *s, struct bb_peer *p)
{
	struct bb_router *r = s->router;
	struct bb_peer *to = s->rotation.peers[0];
	const struct bb_span *span = bb_spanq_front(&p->park);
	const struct room room = room_of(to, r->budget);
	const uint8_t *bytes = bb_pool_bytes(r->pool, span->buffer) + span->offset;
	const uint32_t most = (uint32_t)bb_min_u64(span->msgs, room.msgs);
	uint32_t n = 0, len = 0;

	while (n < most) {
		const uint64_t next = bb_message_len(bytes + len);
		if (len + next > room.bytes && !(n == 0 && room.any))
			break;
		len += (uint32_t)next;
		n++;
		if (len > room.bytes)
			break;
	}
	if (n == 0) {
		rest(&s->rotation, to);
		return false;
	}
	bb_out_msgs_joined(&r->out, to->out, BB_DELIVERY_MSGS_ONE, to->handle, p->side, span->buffer,
		span->offset, len, n);
	bb_peer_charge(to, n, len);
	bb_account_routed(s, p, n, n, len);
	r->budget -= n;
	bb_park_shift(s, p, len, n);
	return true;
}

/* One message of p to the next in rotation. False if nobody takes it. */
static bool
resume_one(struct bb_shard *s, struct bb_peer *p)
{
	struct bb_router *r = s->router;
	const struct bb_span *span = bb_spanq_front(&p->park);
	const uint32_t len = bb_park_front_len(s, p);
	struct bb_peer *to = pick(&s->rotation, len);

	if (to == NULL)
		return false;
	send_one(r, p, to, span->buffer, span->offset, len, span->chain);
	bb_account_routed(s, p, 1, 1, len);
	turn(&s->rotation);
	r->budget--;
	bb_park_rotate(s, p);
	bb_park_shift(s, p, len, 1);
	return true;
}

bool
bb_rotation_resume(struct bb_shard *s)
{
	struct bb_router *r = s->router;
	const struct bb_list *ready = &s->park.ready;

	while (s->rotation.active > 0 && !bb_list_empty(ready)) {
		if (!bb_router_may_work(r))
			return true;
		struct bb_peer *p = bb_list_entry(ready->next, struct bb_peer, park_ready);
		const bool alone = ready->next == ready->prev && s->rotation.active == 1;
		if (alone && !bb_spanq_front(&p->park)->chain)
			resume_run(s, p);
		else
			resume_one(s, p);
	}
	return false;
}
