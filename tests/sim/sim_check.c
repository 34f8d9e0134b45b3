/* SPDX-License-Identifier: BSD-3-Clause */
/* What the node's own figures must say. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_oracle.h"
#include "sim_peer.h"

#define HOLD_SLACK (4 * (uint64_t)BB_BUFFER_BYTES) /* msg/hold.h */

/* --- sums over actors --- */

static uint64_t
io_sum(const struct sim_world *w, unsigned side, unsigned counter)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < w->conf.io_count; i++)
		sum += bb_counters_io_side(&w->counters, i, side)->c[counter];
	return sum;
}

static uint64_t
router_sum(const struct sim_world *w, unsigned side, unsigned counter)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < w->conf.router_count; i++)
		sum += bb_counters_router_side(&w->counters, i, side)->c[counter];
	return sum;
}

static uint64_t
dropped_in(const struct sim_world *w, unsigned side)
{
	return router_sum(w, side, BB_ROUTER_IN_NO_SUBSCRIBER) +
	       router_sum(w, side, BB_ROUTER_IN_UNROUTABLE) + router_sum(w, side, BB_ROUTER_IN_MALFORMED) +
	       router_sum(w, side, BB_ROUTER_IN_DENIED) + router_sum(w, side, BB_ROUTER_IN_MEMORY);
}

static uint64_t
dropped_out(const struct bb_io_side_row *row)
{
	return row->c[BB_IO_OUT_HWM] + row->c[BB_IO_OUT_PEER_GONE] + row->c[BB_IO_OUT_MEMORY] +
	       row->c[BB_IO_OUT_SHUTDOWN];
}

static uint64_t
dropped_out_sum(const struct sim_world *w, unsigned side)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < w->conf.io_count; i++)
		sum += dropped_out(bb_counters_io_side(&w->counters, i, side));
	return sum;
}

/* --- rows of sessions --- */

static struct sim_link *
link_of_row(struct sim_world *w, const struct bb_session_row *row)
{
	const bool outgoing = strncmp(row->address, "out:", 4) == 0;
	const uint32_t number = (uint32_t)strtoul(row->address + 4, NULL, 10);

	for (uint32_t i = w->link_count; i-- > 0;) {
		struct sim_link *l = w->links[i];
		if (l->outgoing == outgoing && l->session_text == number)
			return l;
	}
	return NULL; /* the persona has not noticed yet, or never will */
}

static void
take_row(struct sim_world *w, struct sim_link *l, const struct bb_session_row *row)
{
	const uint64_t dropped = row->c[BB_SESSION_OUT_HWM] + row->c[BB_SESSION_OUT_MEMORY];

	if (row->c[BB_SESSION_RECEIVED] < l->received || row->c[BB_SESSION_SENT] < l->sent ||
		dropped < l->dropped)
		sim_fail(w, "link %u: a counter of its session went back", l->id);
	l->seen = true;
	l->handle = row->handle;
	l->state = row->state;
	l->received = row->c[BB_SESSION_RECEIVED];
	l->arrived = row->c[BB_SESSION_ARRIVED];
	l->sent = row->c[BB_SESSION_SENT];
	l->queued = row->c[BB_SESSION_QUEUED];
	l->queued_bytes = row->c[BB_SESSION_QUEUED_BYTES];
	l->dropped = dropped;
	if (l->received > l->said && !l->broken_protocol)
		sim_fail(w, "link %u: %lu messages received, %u said", l->id, (unsigned long)l->received,
			l->said);
	if (l->sent != l->heard)
		sim_fail(w, "link %u: %lu copies sent, %lu heard", l->id, (unsigned long)l->sent,
			(unsigned long)l->heard);
	if (row->c[BB_SESSION_SENT_BYTES] < l->heard_bytes)
		sim_fail(w, "link %u: fewer octets sent than heard", l->id);
}

/* A queue is never longer than the highest mark since the last quiet point. */
static void
check_hwm(struct sim_world *w, const struct sim_link *l, uint32_t io)
{
	const struct sim_endpoint *e = &w->endpoint[l->endpoint];

	if (w->io_mem[io].mem.refused > 0)
		return; /* sorting a queue takes memory */
	if (l->queued > e->hwm_bound[l->side] && l->queued > 1)
		sim_fail(w, "link %u: %lu messages queued, the mark is %lu", l->id, (unsigned long)l->queued,
			(unsigned long)e->hwm_bound[l->side]);
	if (l->queued_bytes > e->hwm_bytes_bound[l->side] && l->queued > 1)
		sim_fail(w, "link %u: %lu octets queued, the mark is %lu", l->id,
			(unsigned long)l->queued_bytes, (unsigned long)e->hwm_bytes_bound[l->side]);
}

static void
read_rows(struct sim_world *w, uint32_t io)
{
	for (uint32_t slot = 0; slot < SIM_SESSIONS; slot++) {
		const struct bb_session_row *row = bb_counters_session(&w->counters, io, slot);
		if (row->handle != w->row_handle[io][slot]) {
			struct sim_link *old = w->row_link[io][slot];
			if (old != NULL) {
				old->gone = true;
				old->queued = old->queued_bytes = 0;
				old->state = BB_SESSION_STATE_NONE;
			}
			w->row_handle[io][slot] = row->handle;
			w->row_link[io][slot] = NULL;
		}
		if (row->handle == 0)
			continue;
		if (row->seq & 1)
			sim_fail(w, "row %u.%u is left under change", io, slot);
		if (w->row_link[io][slot] == NULL)
			w->row_link[io][slot] = link_of_row(w, row);
		struct sim_link *l = w->row_link[io][slot];
		if (l == NULL)
			continue;
		take_row(w, l, row);
		check_hwm(w, l, io);
	}
}

/* --- at each step --- */

static void
check_flow(struct sim_world *w)
{
	for (unsigned side = 0; side < 2 * w->conf.endpoint_count; side++) {
		const uint64_t received = io_sum(w, side, BB_IO_RECEIVED);
		const uint64_t routed = router_sum(w, side, BB_ROUTER_ROUTED) + dropped_in(w, side) +
					router_sum(w, side, BB_ROUTER_PARKED);
		if (routed > received)
			sim_fail(w, "side %u: %lu messages routed or dropped of %lu received", side,
				(unsigned long)routed, (unsigned long)received);
		const uint64_t copies = router_sum(w, side ^ 1, BB_ROUTER_COPIES);
		const uint64_t arrived = io_sum(w, side, BB_IO_ARRIVED);
		if (arrived > copies)
			sim_fail(w, "side %u: %lu copies arrived of %lu", side, (unsigned long)arrived,
				(unsigned long)copies);
	}
}

void
sim_oracle_after_io(struct sim_world *w, uint32_t io)
{
	read_rows(w, io);
	for (unsigned side = 0; side < 2 * w->conf.endpoint_count; side++) {
		const struct bb_io_side_row *row = bb_counters_io_side(&w->counters, io, side);
		const uint64_t known = row->c[BB_IO_SENT] + row->c[BB_IO_QUEUED] + dropped_out(row);
		if (row->c[BB_IO_ARRIVED] != known)
			sim_fail(w, "I/O core %u side %u: %lu copies arrived, %lu are known", io, side,
				(unsigned long)row->c[BB_IO_ARRIVED], (unsigned long)known);
	}
	check_flow(w);
}

void
sim_oracle_after_router(struct sim_world *w, uint32_t router)
{
	(void)router;
	check_flow(w);
}

/* --- at quiet points --- */

static void
check_pinned(struct sim_world *w, const char *who, uint32_t i, uint64_t pinned, uint64_t needed)
{
	/* A chain that is begun is held whole until its last octet is out. */
	const uint64_t chains = w->persona_count * (uint64_t)w->conf.profile.large_max *
				(w->conf.profile.large_chance != 0) * 2;

	sim_trace(w, "%s %u pins %lu octets for %lu", who, i, (unsigned long)pinned, (unsigned long)needed);
	if (pinned > 2 * needed + HOLD_SLACK + chains)
		sim_fail(w, "%s %u pins %lu octets for %lu", who, i, (unsigned long)pinned,
			(unsigned long)needed);
}

void
sim_oracle_hushed(struct sim_world *w)
{
	uint64_t pinned, needed, evacuated;

	for (uint32_t i = 0; i < w->conf.io_count; i++) {
		bb_io_memory(w->io[i], &pinned, &needed, &evacuated);
		check_pinned(w, "I/O core", i, pinned, needed);
	}
	for (uint32_t i = 0; i < w->conf.router_count; i++) {
		bb_router_memory(w->router[i], &pinned, &needed, &evacuated);
		check_pinned(w, "router", i, pinned, needed);
	}
}

static void
check_exact(struct sim_world *w)
{
	for (unsigned side = 0; side < 2 * w->conf.endpoint_count; side++) {
		const uint64_t received = io_sum(w, side, BB_IO_RECEIVED);
		const uint64_t routed = router_sum(w, side, BB_ROUTER_ROUTED) + dropped_in(w, side) +
					router_sum(w, side, BB_ROUTER_PARKED);
		if (received != routed)
			sim_fail(w, "side %u: %lu messages received, %lu routed, dropped or parked", side,
				(unsigned long)received, (unsigned long)routed);
		const uint64_t copies = router_sum(w, side ^ 1, BB_ROUTER_COPIES);
		const uint64_t arrived = io_sum(w, side, BB_IO_ARRIVED);
		if (arrived != copies)
			sim_fail(w, "side %u: %lu copies made, %lu arrived", side, (unsigned long)copies,
				(unsigned long)arrived);
		if (router_sum(w, side, BB_ROUTER_PARKED) != 0 || io_sum(w, side, BB_IO_QUEUED) != 0 ||
			router_sum(w, side, BB_ROUTER_PARKED_BYTES) != 0 ||
			io_sum(w, side, BB_IO_QUEUED_BYTES) != 0)
			sim_fail(w, "side %u: messages are left although there is room", side);
	}
}

/* Nothing is lost but for a reason that was there. */
static void
check_reasons(struct sim_world *w, unsigned endpoint)
{
	const unsigned in = endpoint * 2, out = in + 1;
	const bool memory = sim_has(w, SIM_MEM_FAILS) || sim_has(w, SIM_POOL_FAILS) || w->memory_was_short;

	if (!memory && (router_sum(w, in, BB_ROUTER_IN_MEMORY) != 0 || io_sum(w, out, BB_IO_OUT_MEMORY) != 0))
		sim_fail(w, "endpoint %u: messages dropped for memory, which was there", endpoint);
	if (w->conf.pattern[endpoint] == BB_PATTERN_PUBSUB)
		return;
	if (io_sum(w, out, BB_IO_OUT_HWM) != 0)
		sim_fail(w, "endpoint %u: a consumer was sent more than its mark", endpoint);
	if (w->endpoint[endpoint].life == SIM_ALIVE && !sim_has(w, SIM_REMOVALS) && !w->draining &&
		router_sum(w, in, BB_ROUTER_IN_UNROUTABLE) + router_sum(w, in, BB_ROUTER_IN_MALFORMED) != 0)
		sim_fail(w, "endpoint %u: messages dropped as unroutable", endpoint);
}

/* Nobody was refused or closed but for a reason that was there. */
static void
check_closes(struct sim_world *w, unsigned side)
{
	static const struct {
		unsigned counter;
		uint32_t reasons; /* features, any of which may be why */
	} closes[] = {
		{ BB_IO_REFUSED_GREETING, SIM_MALFORMED },
		{ BB_IO_REFUSED_VERSION, SIM_MALFORMED },
		{ BB_IO_REFUSED_MECHANISM, SIM_MALFORMED },
		{ BB_IO_REFUSED_COMMAND, SIM_MALFORMED },
		{ BB_IO_REFUSED_TYPE, SIM_MALFORMED },
		{ BB_IO_REFUSED_FRAME, SIM_MALFORMED },
		{ BB_IO_REFUSED_OVERSIZE, SIM_MALFORMED },
		{ BB_IO_REFUSED_FRAMES, SIM_MALFORMED },
		{ BB_IO_REFUSED_SUBSCRIPTION, 0 },
		{ BB_IO_REFUSED_LIMIT, SIM_REMOVALS },
		{ BB_IO_TIMEOUT_HANDSHAKE, SIM_TIME_JUMPS },
		{ BB_IO_TIMEOUT_INCOMPLETE, SIM_TIME_JUMPS },
		{ BB_IO_TIMEOUT_HEARTBEAT, SIM_HEARTBEATS },
		{ BB_IO_CLOSED_MEMORY, SIM_MEM_FAILS | SIM_POOL_FAILS | SIM_NET_FAILS },
		{ BB_IO_CLOSED_HALF_OPEN, 0 },
	};

	for (size_t i = 0; i < BB_ARRAY_LEN(closes); i++) {
		if (io_sum(w, side, closes[i].counter) != 0 && !(w->conf.features & closes[i].reasons))
			sim_fail(w, "side %u: sessions were closed (counter %u) for no reason", side,
				closes[i].counter);
	}
	if (io_sum(w, side, BB_IO_CLOSED_SLOW) != 0 && !sim_has(w, SIM_REMOVALS) &&
		sim_side(w, side / 2, side & 1)->when_full == BB_FULL_DROP)
		sim_fail(w, "side %u: sessions were closed as slow", side);
}

/* Messages of side 0 that were received and reached no transport. */
static uint64_t
lost_of(struct sim_world *w, unsigned endpoint)
{
	return dropped_in(w, endpoint * 2) + dropped_out_sum(w, endpoint * 2 + 1);
}

static void
check_pool(struct sim_world *w)
{
	const uint32_t used = w->pool.count - bb_pool_free_count(&w->pool);
	/* An open buffer per (I/O core, router), and the stash of each actor. */
	const uint32_t open = w->conf.io_count * w->conf.router_count + w->conf.io_count +
			      w->conf.router_count;

	if (used > open)
		sim_fail(w, "%u buffers are held by a quiet node of %u cores and %u routers", used,
			w->conf.io_count, w->conf.router_count);
}

void
sim_oracle_quiet(struct sim_world *w)
{
	sim_oracle_hushed(w);
	check_exact(w);
	check_pool(w);
	for (unsigned e = 0; e < w->conf.endpoint_count; e++) {
		check_reasons(w, e);
		check_closes(w, e * 2);
		check_closes(w, e * 2 + 1);
		sim_oracle_books(w, e, lost_of(w, e));
	}
}

/* What keeps a persona from having said and heard everything; NULL: nothing. */
static const char *
unsettled(const struct sim_persona *p)
{
	if (!sim_peer_up(p))
		return "it is not let in";
	if (p->out.len > 0 || sim_conn_unconsumed(p->conn) > 0)
		return "what it writes is not read";
	if (p->link->received != p->link->said)
		return "what it says is not received";
	if (p->link->queued != 0)
		return "its queue does not empty";
	if (sim_conn_readable(p->conn) > 0)
		return "it has not read everything";
	if (p->link->pings != p->link->pong)
		return "its PING is not answered";
	return NULL;
}

bool
sim_oracle_settled(struct sim_world *w, const char **ret_why)
{
	static char why[200];

	*ret_why = why;
	for (uint32_t i = 0; i < w->persona_count; i++) {
		const struct sim_persona *p = &w->persona[i];
		const enum sim_life life = w->endpoint[p->endpoint].life;
		const char *what = life == SIM_ALIVE && !p->malformed ? unsettled(p) : NULL;
		snprintf(why, sizeof(why), "persona %u, link %d: %s", i,
			p->link == NULL ? -1 : (int)p->link->id, what == NULL ? "" : what);
		if (what != NULL)
			return false;
	}
	for (unsigned side = 0; side < 2 * w->conf.endpoint_count; side++) {
		snprintf(why, sizeof(why), "messages of side %u stay parked", side);
		if (router_sum(w, side, BB_ROUTER_PARKED) != 0)
			return false;
	}
	for (unsigned e = 0; e < w->conf.endpoint_count; e++) {
		snprintf(why, sizeof(why), "endpoint %u is not drained", e);
		if (w->endpoint[e].life != SIM_ALIVE)
			return false;
	}
	snprintf(why, sizeof(why), "%u mails are not answered", w->answers_due);
	return w->answers_due == 0;
}

void
sim_oracle_drained(struct sim_world *w)
{
	for (uint32_t io = 0; io < w->conf.io_count; io++) {
		for (uint32_t slot = 0; slot < SIM_SESSIONS; slot++) {
			if (bb_counters_session(&w->counters, io, slot)->handle != 0)
				sim_fail(w, "session %u.%u has outlived the drain", io, slot);
		}
	}
	check_exact(w);
	check_pool(w);
	for (unsigned e = 0; e < w->conf.endpoint_count; e++) {
		if (w->conf.pattern[e] != BB_PATTERN_PUBSUB)
			sim_oracle_books(w, e, lost_of(w, e));
	}
}
