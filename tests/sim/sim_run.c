/* SPDX-License-Identifier: BSD-3-Clause */
/* The scheduler: who acts next, what happens meanwhile, and quiet points. */
#include "base/assert.h"
#include "sim_agent.h"
#include "sim_oracle.h"
#include "sim_peer.h"

#define QUIET_ROUNDS 40	  /* without anything moving */
#define ROUNDS_MAX 400000 /* until it must be quiet */
#define WAIT_ROUNDS 400	  /* of long steps, before waiting counts as for ever */
#define LONG_STEP_NS (50 * BB_MSEC)

/* Below half, receivers that do not read may lose copies for it (docs/adr/0011). */
static void
note_memory(struct sim_world *w)
{
	const uint32_t all = w->pool.count - w->pool.reserve;
	const uint32_t free_count = bb_pool_free_count(&w->pool);
	const uint32_t left = free_count > w->pool.reserve ? free_count - w->pool.reserve : 0;

	w->memory_was_short |= 2 * left < all;
}

static void
poll_io(struct sim_world *w, uint32_t i)
{
	note_memory(w);
	bb_io_poll(w->io[i], w->now_ns);
	sim_oracle_after_io(w, i);
}

static void
poll_router(struct sim_world *w, uint32_t i)
{
	bb_router_poll(w->router[i], w->now_ns);
	sim_oracle_after_router(w, i);
}

/* --- what may go wrong --- */

static void
limit_memory(struct sim_world *w, bool limit)
{
	struct sim_mem *all[2 * SIM_ACTORS];
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->conf.io_count; i++)
		all[n++] = &w->io_mem[i];
	for (uint32_t i = 0; i < w->conf.router_count; i++)
		all[n++] = &w->router_mem[i];
	for (uint32_t i = 0; i < n; i++)
		all[i]->mem.max_bytes = !limit || w->conf.mem_bytes == 0 || !sim_has(w, SIM_MEM_FAILS)
						? UINT64_MAX / 2
						: all[i]->mem.used_bytes + w->conf.mem_bytes;
}

static void
steal_buffers(struct sim_world *w)
{
	while (w->stolen_count > 0)
		bb_pool_put(&w->pool, w->stolen[--w->stolen_count], 1);
	for (uint32_t n = bb_rand_below(&w->rand, BB_ARRAY_LEN(w->stolen)); n > 0; n--) {
		const uint32_t buffer = bb_pool_get(&w->pool, BB_POOL_DATA);
		if (buffer == BB_BUFFER_NONE)
			break;
		w->stolen[w->stolen_count++] = buffer;
	}
}

static void
stall(struct sim_world *w, struct sim_persona *p)
{
	if (p->conn == NULL)
		return;
	const uint32_t which = bb_rand_below(&w->rand, 5);
	sim_conn_stall(p->conn, which == 1 || which == 3, which == 2 || which == 3);
}

/* Something out of the ordinary, if this seed has it. */
static void
mischief(struct sim_world *w)
{
	struct bb_rand *r = &w->rand;
	struct sim_persona *p = &w->persona[bb_rand_below(r, w->persona_count)];
	const unsigned feature = 1u << bb_rand_below(r, SIM_FEATURES);

	if (!(w->conf.features & feature))
		return;
	switch ((enum sim_feature)feature) {
	case SIM_KILLS:
		if (bb_rand_one_in(r, 2))
			sim_peer_drop(p, bb_rand_one_in(r, 2));
		break;
	case SIM_STALLS:
		stall(w, p);
		break;
	case SIM_POOL_FAILS:
		steal_buffers(w);
		break;
	case SIM_HWM_CHANGES:
		if (bb_rand_one_in(r, 4) && !w->draining)
			sim_agent_change_hwm(w, p->endpoint);
		break;
	case SIM_OUTGOING:
		if (p->outgoing && bb_rand_one_in(r, 4))
			sim_agent_disconnect(w, p);
		break;
	case SIM_TIME_JUMPS:
		if (bb_rand_one_in(r, 8))
			w->now_ns += bb_rand_below(r, 20) * BB_SEC;
		else
			w->now_ns += bb_rand_below(r, 500) * BB_MSEC;
		break;
	case SIM_REMOVALS:
		if (bb_rand_one_in(r, 20))
			sim_agent_remove(w, p->endpoint);
		break;
	case SIM_MALFORMED:
		if (p->malformed)
			sim_peer_drop(p, bb_rand_one_in(r, 2));
		break;
	default:
		break;
	}
}

static void
step(struct sim_world *w)
{
	struct bb_rand *r = &w->rand;
	const uint32_t dice = bb_rand_below(r, 100);

	w->step++;
	w->now_ns += 1 + bb_rand_below(r, bb_rand_one_in(r, 20) ? 1000000 : 50000);
	if (dice < 35)
		poll_io(w, bb_rand_below(r, w->conf.io_count));
	else if (dice < 55)
		poll_router(w, bb_rand_below(r, w->conf.router_count));
	else if (dice < 70)
		sim_net_step(w->net);
	else if (dice < 94)
		sim_peer_step(&w->persona[bb_rand_below(r, w->persona_count)]);
	else if (dice < 96)
		sim_agent_step(w);
	else
		mischief(w);
}

/* --- quiet --- */

static void
let_go(struct sim_world *w, bool all)
{
	w->hushed = true;
	w->calm = all;
	sim_net_calm(w->net, all);
	if (!all)
		return;
	limit_memory(w, false);
	while (w->stolen_count > 0)
		bb_pool_put(&w->pool, w->stolen[--w->stolen_count], 1);
	for (uint32_t i = 0; i < w->persona_count; i++) {
		if (w->persona[i].conn != NULL)
			sim_conn_stall(w->persona[i].conn, false, false);
	}
}

/* Everything acts once; true if anything moved. */
static bool
round_of_all(struct sim_world *w, uint64_t ns)
{
	uint64_t moved = 0;

	w->step++;
	w->now_ns += ns;
	for (uint32_t i = 0; i < w->conf.io_count; i++) {
		poll_io(w, i);
		for (uint32_t r = 0; r < w->conf.router_count; r++)
			poll_router(w, r);
	}
	moved += sim_net_step(w->net);
	for (uint32_t i = 0; i < w->persona_count; i++)
		moved += sim_peer_step(&w->persona[i]);
	moved += sim_agent_step(w);
	return moved > 0;
}

/* A number that changes with every message and every delivery that gets anywhere. */
static uint64_t
progress(struct sim_world *w)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < w->conf.io_count; i++)
		for (uint32_t r = 0; r < w->conf.router_count; r++)
			sum = sum * 31 + atomic_load(&bb_fabric_progress(&w->fabric, r, i)->done);
	for (unsigned s = 0; s < 2 * w->conf.endpoint_count; s++) {
		for (uint32_t i = 0; i < w->conf.io_count; i++)
			for (unsigned c = 0; c < BB_IO_COUNTER_COUNT; c++)
				sum = sum * 31 + bb_counters_io_side(&w->counters, i, s)->c[c];
		for (uint32_t i = 0; i < w->conf.router_count; i++)
			for (unsigned c = 0; c < BB_ROUTER_COUNTER_COUNT; c++)
				sum = sum * 31 + bb_counters_router_side(&w->counters, i, s)->c[c];
	}
	return sum;
}

/* Go on until nothing moves for a while. False: it never does. */
static bool
until_still(struct sim_world *w, uint64_t ns)
{
	uint64_t last = progress(w);
	uint32_t still = 0;

	for (uint32_t i = 0; i < ROUNDS_MAX; i++) {
		const bool moved = round_of_all(w, ns);
		const uint64_t now = progress(w);
		still = moved || now != last ? 0 : still + 1;
		last = now;
		if (still == QUIET_ROUNDS)
			return true;
	}
	return false;
}

/* --- rotation --- */

#define EACH 4 /* messages that everybody must get */

/* Receivers of an endpoint's side 1 that take EACH messages and more without waiting. */
static uint32_t
receivers(struct sim_world *w, unsigned endpoint, struct sim_link *ret_links[SIM_PERSONAS])
{
	const struct bb_side_options *o = sim_side(w, endpoint, 1);
	uint32_t n = 0;

	if (w->conf.pattern[endpoint] == BB_PATTERN_PUBSUB || (o->hwm_msgs != 0 && o->hwm_msgs <= EACH) ||
		o->hwm_bytes < (4u << 20))
		return 0;
	for (uint32_t i = 0; i < w->persona_count; i++) {
		struct sim_persona *p = &w->persona[i];
		if (p->endpoint == endpoint && p->side == 1 && sim_peer_up(p))
			ret_links[n++] = p->link;
	}
	return n;
}

/* All have credit: what one says goes to each in turn. */
static void
check_rotation(struct sim_world *w, struct sim_persona *p)
{
	struct sim_link *to[SIM_PERSONAS];
	uint64_t before[SIM_PERSONAS];
	const uint32_t n = p->side == 0 && !p->malformed && sim_peer_up(p) && p->type != BB_ZMTP_REQ
				   ? receivers(w, p->endpoint, to)
				   : 0;

	if (n < 2)
		return;
	for (uint32_t i = 0; i < n; i++)
		before[i] = to[i]->heard;
	const uint32_t said = p->link->said;
	sim_peer_say(p, n * EACH);
	const bool all = p->link->said == said + n * EACH; /* or there is too much waiting to be written */
	if (!until_still(w, 10000))
		sim_fail(w, "a rotation never becomes still");
	if (!all)
		return;
	for (uint32_t i = 0; i < n; i++)
		sim_trace(w, "link %u got %lu", to[i]->id, (unsigned long)(to[i]->heard - before[i]));
	for (uint32_t i = 0; i < n; i++) {
		if (to[i]->persona != NULL && to[i]->heard != before[i] + EACH)
			sim_fail(w, "link %u got %lu of %u messages, %u to each of %u", to[i]->id,
				(unsigned long)(to[i]->heard - before[i]), n * EACH, EACH, n);
	}
}

static void
quiet_point(struct sim_world *w)
{
	const char *why = "";

	w->phase = "hushed";
	let_go(w, false);
	for (uint32_t i = 0; i < 200; i++)
		round_of_all(w, 10000);
	if (!sim_has(w, SIM_POOL_FAILS)) /* evacuation takes a buffer */
		sim_oracle_hushed(w);
	let_go(w, true);
	w->phase = "going quiet";
	if (!until_still(w, 10000))
		sim_fail(w, "it never becomes quiet");
	for (uint32_t i = 0; !sim_oracle_settled(w, &why); i++) {
		if (i == WAIT_ROUNDS)
			sim_fail(w, "a wait without end: %s", why);
		round_of_all(w, LONG_STEP_NS);
		for (uint32_t n = 0; n < 10;
			n++) /* so that heartbeats, too, are answered when it is looked */
			round_of_all(w, 10000);
	}
	if (!until_still(w, 10000))
		sim_fail(w, "it never becomes quiet again");
	w->phase = "quiet";
	sim_oracle_quiet(w);
	w->phase = "rotation";
	for (uint32_t i = 0; i < w->persona_count; i++)
		check_rotation(w, &w->persona[i]);
	sim_oracle_epoch(w);
}

/* Every other receiver takes nothing more until the next quiet point. */
static void
stop_readers(struct sim_world *w)
{
	for (uint32_t i = 0; i < w->persona_count; i++) {
		const struct sim_persona *p = &w->persona[i];
		if (p->conn != NULL && p->side == 1 && i % 2 == 1)
			sim_conn_stall(p->conn, false, true);
	}
}

static void
chaos(struct sim_world *w, uint32_t steps)
{
	w->phase = "chaos";
	w->hushed = w->calm = false;
	sim_net_calm(w->net, false);
	limit_memory(w, true);
	for (uint32_t i = 0; i < steps; i++) {
		if (w->conf.volume && i == steps / 4)
			stop_readers(w);
		step(w);
	}
}

static void
drain(struct sim_world *w)
{
	const uint64_t linger_ns = bb_rand_below(&w->rand, 500) * BB_MSEC;
	const uint64_t deadline_ns = w->now_ns + linger_ns;
	uint32_t after = 0;

	w->phase = "drain";
	if (bb_rand_one_in(&w->rand, 2))
		let_go(w, true);
	sim_agent_drain(w, deadline_ns);
	while (w->drain_due > 0) {
		if (w->calm)
			round_of_all(w, 100000);
		else
			step(w);
		if (w->now_ns > deadline_ns + 5 * BB_SEC) {
			let_go(w, true); /* allocation and buffers must not fail for ever */
			if (++after > 2000)
				sim_fail(w, "the drain does not end: %u actors have not answered",
					w->drain_due);
		}
	}
	let_go(w, true);
	for (uint32_t i = 0; i < QUIET_ROUNDS; i++)
		round_of_all(w, 10000);
	sim_oracle_drained(w);
}

void
sim_world_run(struct sim_world *w)
{
	if (!until_still(w, 10000))
		sim_fail(w, "the start never ends");
	for (w->epoch = 1; w->epoch <= w->conf.epochs; w->epoch++) {
		chaos(w, w->conf.steps);
		if (w->epoch < w->conf.epochs || bb_rand_one_in(&w->rand, 2))
			quiet_point(w);
	}
	/* Stopped in order, or as it stands. */
	if (!bb_rand_one_in(&w->rand, 4))
		drain(w);
}
