/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * drain: the end of a scope (an endpoint, or the node) in order.
 *
 *   1. Listeners close; nothing of the scope is accepted or read any more. Half-open sessions are closed.
 *   2. END(scope) goes to every router behind the last batch.
 *   3. With END from every router no delivery of the scope comes any more: its sessions empty their queues,
 * half-close and wait until the peer has acknowledged everything, or until the deadline.
 *   4. With the last session gone the agent is answered.
 */
#include <errno.h>

#include "base/assert.h"
#include "transport/session.h"

bool
drain_covers(const struct drain *d, const struct side *side)
{
	return d->scope == BB_SCOPE_NODE || d->scope == side->endpoint->id;
}

/* Call f for every session of the scope. */
static void
for_each_session(struct bb_io *io, const struct drain *d,
	void (*f)(struct bb_io *, struct session *, const struct drain *))
{
	const uint64_t used = io->counters->header->sessions_used[io->index];

	for (uint32_t slot = 0; slot < used; slot++) {
		struct session *s = io->sessions[slot];
		if (s != NULL && drain_covers(d, s->side))
			f(io, s, d);
	}
}

static void
begin_session(struct bb_io *io, struct session *s, const struct drain *d)
{
	(void)d;
	if (s->state < SESSION_READY)
		session_close(io, s, BB_IO_OUT_SHUTDOWN);
	else if (s->state == SESSION_READY) {
		ingress_resume(io, s); /* nobody waits for anything: it is not read again */
		session_timer_arm(io, s);
	}
}

static void
end_session(struct bb_io *io, struct session *s, const struct drain *d)
{
	if (s->state != SESSION_READY)
		return;
	assembly_drop(io, s);
	session_enter(io, s, SESSION_DRAINING);
	s->deadline_ns = d->deadline_ns;
	s->owes.credit = s->owes.room = false;
	session_timer_arm(io, s);
	egress_want_flush(io, s); /* also with an empty queue: it half-closes then */
}

int
drain_begin(struct bb_io *io, uint32_t scope, uint64_t deadline_ns, uint64_t tag)
{
	struct drain *d = &io->drain[scope == BB_SCOPE_NODE ? BB_ENDPOINTS_MAX : scope];

	if (bb_list_linked(&d->node))
		return -EALREADY;
	d->scope = scope;
	d->deadline_ns = deadline_ns;
	d->tag = tag;
	d->end_todo = io->router_count == 64 ? UINT64_MAX : (UINT64_C(1) << io->router_count) - 1;
	d->end_wait = d->end_todo;
	bb_list_append(&io->drains, &d->node);
	for (uint32_t i = 0; i < 2 * BB_ENDPOINTS_MAX; i++) {
		struct side *side = io->sides[i];
		if (side == NULL || !drain_covers(d, side))
			continue;
		side->draining = true;
		io->transport->ops->unlisten(io->transport, side->index);
	}
	for_each_session(io, d, begin_session);
	return 0;
}

static void
write_ends(struct bb_io *io, struct drain *d)
{
	for (uint64_t todo = d->end_todo; todo != 0; todo &= todo - 1) {
		const uint32_t router = (uint32_t)__builtin_ctzll(todo);
		const uint64_t scope = d->scope;
		struct bb_batch_writer *w = &io->out[router];
		if (ingress_reserve(io, router, BB_POOL_CONTROL, 0, BB_RUN_WORDS + 1) != 0)
			continue;
		bb_batch_run(w, BB_RUN_END, BB_HANDLE_NONE, 0);
		bb_batch_entry(w, &scope, 1, 0);
		d->end_todo &= ~(UINT64_C(1) << router);
	}
}

void
drain_ended(struct bb_io *io, uint32_t router, uint32_t scope)
{
	bb_list_for_each(n, &io->drains)
	{
		struct drain *d = bb_list_entry(n, struct drain, node);
		if (d->scope != scope)
			continue;
		BB_ASSERT(d->end_wait & UINT64_C(1) << router);
		d->end_wait &= ~(UINT64_C(1) << router);
		if (d->end_wait == 0)
			for_each_session(io, d, end_session);
		return;
	}
	BB_ASSERT(false); /* END of a scope that nobody drains */
}

static bool
scope_empty(const struct bb_io *io, const struct drain *d)
{
	for (uint32_t i = 0; i < 2 * BB_ENDPOINTS_MAX; i++) {
		const struct side *side = io->sides[i];
		if (side != NULL && drain_covers(d, side) && side->session_count > 0)
			return false;
	}
	return true;
}

uint32_t
drain_step(struct bb_io *io)
{
	uint32_t work = 0;

	bb_list_for_each(n, &io->drains)
	{
		struct drain *d = bb_list_entry(n, struct drain, node);
		if (d->end_todo != 0) {
			write_ends(io, d);
			work++;
		}
		if (d->end_wait != 0 || !scope_empty(io, d))
			continue;
		if (!io_tell_agent(io, &(struct bb_mail){ .kind = BB_MAIL_DONE, .tag = d->tag }))
			continue;
		bb_list_remove(&d->node);
		work++;
	}
	return work;
}
