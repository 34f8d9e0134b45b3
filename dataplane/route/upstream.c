/* SPDX-License-Identifier: BSD-3-Clause */
#include "route/upstream.h"

#include <errno.h>

#include "route/state.h"
#include "route/upstream_log.h"

#define ROOM_BYTES 1024 /* so many octets of topic use up the room of one element more */

enum {
	PHASE_BEGIN, /* to be told everything anew */
	PHASE_ALL,   /* to be told the empty topic */
	PHASE_WALK,  /* to be told the table's topics */
	PHASE_END,   /* to be told that this was all */
	PHASE_LOG,   /* told everything up to its place in the log */
};

void
bb_upstream_init(struct bb_upstream *u)
{
	*u = (struct bb_upstream){ 0 };
	bb_upstream_log_init(u);
	bb_list_init(&u->publishers);
	bb_list_init(&u->pending);
	bb_list_init(&u->idle);
}

void
bb_upstream_fini(struct bb_shard *s)
{
	bb_upstream_log_fini(&s->pubsub.upstream, s->router->mem);
}

static void
trim(struct bb_shard *s)
{
	bb_upstream_log_trim(&s->pubsub.upstream, s->router->mem);
}

static bool
told_all(const struct bb_shard *s, const struct bb_peer *p)
{
	return p->upstream_phase == PHASE_LOG && p->upstream_log == s->pubsub.upstream.next;
}

/* Put p into the list where it belongs. */
static void
place(struct bb_shard *s, struct bb_peer *p)
{
	struct bb_upstream *u = &s->pubsub.upstream;

	bb_list_remove(&p->upstream);
	if (p->upstream_room == 0)
		return;
	if (told_all(s, p)) {
		bb_list_append(&u->idle, &p->upstream);
		return;
	}
	bb_list_append(&u->pending, &p->upstream);
	if (!bb_list_linked(&s->upstream))
		bb_list_append(&s->router->upstream, &s->upstream);
}

/* Put p to the end of the log, to begin anew. The table is not touched: it may be in the midst of a change. */
static void
begin(struct bb_shard *s, struct bb_peer *p)
{
	struct bb_upstream *u = &s->pubsub.upstream;

	p->upstream_phase = PHASE_BEGIN;
	p->upstream_log = u->next;
	u->at_end++;
	place(s, p);
}

/* All that happens from here on is in the log; the walk tells what was before. */
static void
tell_begin(struct bb_shard *s, struct bb_peer *p)
{
	struct bb_upstream *u = &s->pubsub.upstream;

	--*bb_upstream_waiting_at(u, p->upstream_log);
	u->at_end++;
	p->upstream_log = u->next;
	trim(s);
	bb_subtab_cursor_close(s->pubsub.table, &p->upstream_cursor);
	bb_subtab_cursor_open(s->pubsub.table, &p->upstream_cursor);
	p->upstream_held = false;
	p->upstream_phase = s->conf->subscribe_all ? PHASE_ALL : PHASE_WALK;
}

void
bb_upstream_join(struct bb_shard *s, struct bb_peer *p)
{
	bb_list_append(&s->pubsub.upstream.publishers, &p->publishers);
	p->upstream_room = BB_UPSTREAM_ROOM;
	begin(s, p);
	tell_begin(s, p); /* now: what changes from here on, it is told as a change */
}

void
bb_upstream_leave(struct bb_shard *s, struct bb_peer *p)
{
	struct bb_upstream *u = &s->pubsub.upstream;

	if (!bb_list_linked(&p->publishers))
		return;
	bb_list_remove(&p->publishers);
	bb_list_remove(&p->upstream);
	bb_subtab_cursor_close(s->pubsub.table, &p->upstream_cursor);
	--*bb_upstream_waiting_at(u, p->upstream_log);
	trim(s);
}

/* All whose next entry is older than that begin anew. */
static void
restart_behind(struct bb_shard *s, uint64_t number)
{
	struct bb_upstream *u = &s->pubsub.upstream;

	bb_list_for_each(n, &u->publishers)
	{
		struct bb_peer *p = bb_list_entry(n, struct bb_peer, publishers);
		if (p->upstream_log >= number)
			continue;
		--*bb_upstream_waiting_at(u, p->upstream_log);
		begin(s, p);
	}
	trim(s);
}

void
bb_upstream_restart(struct bb_shard *s)
{
	restart_behind(s, UINT64_MAX);
}

void
bb_upstream_changed(struct bb_shard *s, bool cancel, const void *topic, uint32_t len)
{
	struct bb_router *r = s->router;
	struct bb_upstream *u = &s->pubsub.upstream;

	if (bb_list_empty(&u->publishers) || s->conf->subscribe_all)
		return;
	if (bb_upstream_log_is_long(u))
		bb_upstream_log_compact(u, r->mem, &r->options.hash_key);
	if (!bb_upstream_log_append(u, r->mem, cancel, topic, len)) {
		restart_behind(s, u->first + (u->next - u->first + 1) / 2);
		if (!bb_upstream_log_append(u, r->mem, cancel, topic, len)) {
			bb_upstream_restart(s); /* no memory: it is lost for all */
			return;
		}
	}
	bb_list_splice(&u->pending, &u->idle);
	if (!bb_list_empty(&u->pending) && !bb_list_linked(&s->upstream))
		bb_list_append(&s->router->upstream, &s->upstream);
}

void
bb_upstream_room(struct bb_shard *s, struct bb_peer *p)
{
	p->upstream_room = BB_UPSTREAM_ROOM;
	place(s, p);
}

/* 0, or -ENOBUFS: try again later. */
static int
tell(struct bb_shard *s, struct bb_peer *p, bool cancel, const void *topic, uint32_t len)
{
	struct bb_router *r = s->router;
	uint32_t buffer, offset;

	if (bb_out_note(&r->out, topic, len, &buffer, &offset) != 0)
		return -ENOBUFS;
	bb_out_msgs(&r->out, p->out, BB_DELIVERY_UPSTREAM, p->handle, p->side, buffer, offset, len, 0);
	if (cancel)
		p->out->staged[p->out->last].flags |= BB_DELIVERY_CANCEL;
	const uint32_t room = 1 + len / ROOM_BYTES;
	p->upstream_room = p->upstream_room > room ? p->upstream_room - room : 0;
	return 0;
}

/* The next topic of the walk; the cursor keeps it until it is told. */
static int
tell_walk(struct bb_shard *s, struct bb_peer *p)
{
	struct bb_subtab_cursor *c = &p->upstream_cursor;

	if (!p->upstream_held) {
		const void *topic;
		uint32_t len;
		const int ret = bb_subtab_next_topic(s->pubsub.table, c, &topic, &len);
		if (ret == 0) {
			bb_subtab_cursor_close(s->pubsub.table, c);
			p->upstream_phase = PHASE_END;
			return 0;
		}
		if (ret < 0)
			return ret == -EAGAIN ? 0 : ret;
	}
	const int ret = tell(s, p, false, c->key, c->len);
	p->upstream_held = ret != 0;
	return ret;
}

static int
tell_log(struct bb_shard *s, struct bb_peer *p)
{
	struct bb_upstream *u = &s->pubsub.upstream;
	struct bb_upstream_entry *e = *bb_upstream_entry_at(u, p->upstream_log);
	const int ret = tell(s, p, e->cancel, e->topic, e->len);

	if (ret != 0)
		return ret;
	e->waiting--;
	p->upstream_log++;
	++*bb_upstream_waiting_at(u, p->upstream_log);
	trim(s);
	if (p->upstream_log == u->next)
		p->upstream_phase = PHASE_END;
	return 0;
}

/* One element for p. 0, or a negative errno: no memory now. */
static int
tell_next(struct bb_shard *s, struct bb_peer *p)
{
	int ret = 0;

	switch (p->upstream_phase) {
	case PHASE_BEGIN:
		tell_begin(s, p);
		break;
	case PHASE_ALL:
		ret = tell(s, p, false, NULL, 0);
		if (ret == 0)
			p->upstream_phase = PHASE_END;
		break;
	case PHASE_WALK:
		ret = tell_walk(s, p);
		break;
	case PHASE_END:
		if (p->upstream_log == s->pubsub.upstream.next)
			bb_out_plain(
				&s->router->out, p->core, BB_DELIVERY_UPSTREAM_END, p->side, p->handle, 0);
		p->upstream_phase = PHASE_LOG;
		break;
	case PHASE_LOG:
		ret = tell_log(s, p);
		break;
	}
	return ret;
}

bool
bb_upstream_step(struct bb_shard *s)
{
	struct bb_router *r = s->router;
	struct bb_upstream *u = &s->pubsub.upstream;

	while (!bb_list_empty(&u->pending)) {
		struct bb_peer *p = bb_list_entry(u->pending.next, struct bb_peer, upstream);
		while (p->upstream_room > 0 && !told_all(s, p)) {
			if (!bb_router_may_work(r))
				return true;
			r->budget--;
			if (tell_next(s, p) != 0)
				return true; /* no memory: it stays pending */
		}
		place(s, p);
	}
	return false;
}
