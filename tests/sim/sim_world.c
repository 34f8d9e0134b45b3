/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "msg/batch.h"
#include "sim_agent.h"
#include "sim_config.h"
#include "sim_oracle.h"
#include "sim_peer.h"

void
sim_fail(struct sim_world *w, const char *fmt, ...)
{
	va_list args;

	printf("FAIL seed %lu, step %lu, epoch %lu, %s: ", (unsigned long)w->conf.seed,
		(unsigned long)w->step, (unsigned long)w->epoch, w->phase);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n%s\n", sim_config_replay(&w->conf));
	fflush(stdout);
	exit(1);
}

void
sim_trace(struct sim_world *w, const char *fmt, ...)
{
	va_list args;

	if (!w->trace)
		return;
	printf("%lu %lu.%06lu ", (unsigned long)w->step, (unsigned long)(w->now_ns / BB_SEC),
		(unsigned long)(w->now_ns % BB_SEC / 1000));
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
}

/* --- memory that fails --- */

static void *
mem_alloc(struct bb_mem *m, size_t size)
{
	struct sim_world *w = ((struct sim_mem *)m)->w;

	if (!w->calm && sim_has(w, SIM_MEM_FAILS) && bb_rand_one_in(&w->rand, 12))
		return NULL;
	return malloc(size);
}

static void
mem_free(struct bb_mem *m, void *p, size_t size)
{
	(void)m;
	(void)size;
	free(p);
}

static const struct bb_mem_ops mem_ops = { .alloc = mem_alloc, .free = mem_free };

static struct bb_mem *
mem_init(struct sim_world *w, struct sim_mem *m)
{
	m->w = w;
	m->mem = (struct bb_mem){ .ops = &mem_ops, .max_bytes = UINT64_MAX / 2 };
	return &m->mem;
}

/* --- making --- */

static void
kick(struct bb_wake *wake)
{
	(void)wake; /* nobody sleeps here */
}

static void
create_memory(struct sim_world *w)
{
	const struct sim_config *c = &w->conf;
	const struct bb_fabric_sizes sizes = {
		.io_count = c->io_count,
		.router_count = c->router_count,
		.slices = c->slices,
		.deliveries = c->deliveries,
		.mails = c->mails,
		.window_bytes = c->window_bytes,
	};

	w->pool_bytes = aligned_alloc(4096, (size_t)c->pool_buffers * BB_BUFFER_BYTES);
	w->pool_headers = calloc(c->pool_buffers, sizeof(*w->pool_headers));
	BB_ASSERT(w->pool_bytes != NULL && w->pool_headers != NULL);
	bb_pool_init(&w->pool, w->pool_bytes, w->pool_headers, c->pool_buffers, c->pool_reserve);
	BB_ASSERT(bb_fabric_init(&w->fabric, &sizes, &w->pool) == 0);
	w->wake.kick = kick;
	for (uint32_t i = 0; i < c->io_count; i++)
		w->fabric.io_wake[i] = &w->wake;
	for (uint32_t i = 0; i < c->router_count; i++)
		w->fabric.router_wake[i] = &w->wake;
	const struct bb_counters_sizes counters = {
		.loop_count = 1,
		.io_count = c->io_count,
		.router_count = c->router_count,
		.side_count = 2 * SIM_ENDPOINTS,
		.session_count = SIM_SESSIONS,
	};
	const size_t bytes = (bb_counters_bytes(&counters) + 4095) & ~(size_t)4095;
	w->counters_memory = aligned_alloc(4096, bytes);
	BB_ASSERT(w->counters_memory != NULL);
	memset(w->counters_memory, 0, bytes);
	bb_counters_init(&w->counters, w->counters_memory, &counters);
}

static void
create_actors(struct sim_world *w)
{
	const struct sim_config *c = &w->conf;

	for (uint32_t i = 0; i < c->io_count; i++) {
		const struct bb_io_options options = {
			.index = i,
			.actor = 1 + i,
			.fabric = &w->fabric,
			.mem = mem_init(w, &w->io_mem[i]),
			.counters = &w->counters,
			.transport = sim_net_transport(w->net, i),
			.session_max = SIM_SESSIONS,
			.seed = bb_rand_u64(&w->rand),
		};
		BB_ASSERT(bb_io_create(&options, &w->io[i]) == 0);
		w->to_io[i].ring = &w->fabric.agent_to_io[i];
	}
	for (uint32_t i = 0; i < c->router_count; i++) {
		const struct bb_router_options options = {
			.index = i,
			.actor = 100 + i,
			.fabric = &w->fabric,
			.mem = mem_init(w, &w->router_mem[i]),
			.counters = &w->counters,
			.hash_key = { bb_rand_u64(&w->rand), bb_rand_u64(&w->rand) },
		};
		BB_ASSERT(bb_router_create(&options, &w->router[i]) == 0);
		w->to_router[i].ring = &w->fabric.agent_to_router[i];
	}
}

static void
create_personas(struct sim_world *w)
{
	for (unsigned e = 0; e < w->conf.endpoint_count; e++) {
		for (uint32_t i = 0; i < w->conf.personas; i++) {
			struct sim_persona *p = &w->persona[w->persona_count];
			const unsigned side = i < 2 ? i : bb_rand_below(&w->rand, 2);
			p->number = w->persona_count++;
			sim_peer_init(w, p, e, side);
			if (i < 2)
				p->malformed = false; /* each side has one that can be relied on */
		}
	}
}

struct sim_world *
sim_world_create(const struct sim_config *conf, bool trace)
{
	struct sim_world *w = calloc(1, sizeof(*w));

	BB_ASSERT(w != NULL);
	w->conf = *conf;
	w->trace = trace;
	w->calm = w->hushed = true;
	w->phase = "start";
	w->now_ns = BB_SEC;
	bb_rand_init(&w->rand, conf->seed);
	w->net = sim_net_create(bb_rand_u64(&w->rand), conf->io_count, &conf->net);
	sim_net_calm(w->net, true);
	create_memory(w);
	create_actors(w);
	for (unsigned e = 0; e < conf->endpoint_count; e++)
		sim_agent_endpoint(w, e, true);
	create_personas(w);
	sim_oracle_epoch(w);
	return w;
}

/* --- ending --- */

/* What is left in rings when the actors are gone. */
static void
discard_rings(struct sim_world *w)
{
	struct bb_slice slice;
	struct bb_delivery d;
	struct bb_mail m;

	for (uint32_t i = 0; i < w->conf.io_count; i++) {
		for (uint32_t r = 0; r < w->conf.router_count; r++) {
			while (bb_ring_pop(bb_fabric_slices(&w->fabric, i, r), &slice, 1) == 1)
				bb_batch_discard(&w->pool, &slice);
			while (bb_ring_pop(bb_fabric_deliveries(&w->fabric, r, i), &d, 1) == 1) {
				if (d.flags & BB_DELIVERY_OPEN)
					bb_pool_put(&w->pool, d.buffer, 1);
			}
		}
		for (uint32_t j = 0; j < w->conf.io_count; j++) {
			struct bb_transport *t = sim_net_transport(w->net, j);
			while (bb_ring_pop(bb_fabric_io_mail(&w->fabric, i, j), &m, 1) == 1)
				t->ops->discard(t, (int)m.value);
		}
	}
}

static void
check_leaks(struct sim_world *w)
{
	for (uint32_t i = 0; i < w->conf.io_count; i++) {
		if (w->io_mem[i].mem.used_bytes != 0)
			sim_fail(w, "I/O core %u leaks %lu bytes", i,
				(unsigned long)w->io_mem[i].mem.used_bytes);
	}
	for (uint32_t i = 0; i < w->conf.router_count; i++) {
		if (w->router_mem[i].mem.used_bytes != 0)
			sim_fail(w, "router %u leaks %lu bytes", i,
				(unsigned long)w->router_mem[i].mem.used_bytes);
	}
	if (bb_pool_free_count(&w->pool) != w->pool.count)
		sim_fail(w, "%u buffers leak", w->pool.count - bb_pool_free_count(&w->pool));
	if (sim_net_stream_count(w->net) != 0)
		sim_fail(w, "%u streams leak", sim_net_stream_count(w->net));
}

void
sim_world_destroy(struct sim_world *w)
{
	w->phase = "end";
	while (w->stolen_count > 0)
		bb_pool_put(&w->pool, w->stolen[--w->stolen_count], 1);
	for (uint32_t i = 0; i < w->conf.io_count; i++)
		bb_io_destroy(w->io[i]);
	for (uint32_t i = 0; i < w->conf.router_count; i++)
		bb_router_destroy(w->router[i]);
	discard_rings(w);
	check_leaks(w);
	for (uint32_t i = 0; i < w->persona_count; i++)
		sim_peer_fini(&w->persona[i]);
	for (uint32_t i = 0; i < w->link_count; i++)
		sim_link_free(w->links[i]);
	free(w->links);
	for (unsigned e = 0; e < SIM_ENDPOINTS; e++)
		free(w->endpoint[e].log);
	sim_agent_fini(w);
	sim_net_destroy(w->net);
	bb_fabric_fini(&w->fabric);
	bb_pool_fini(&w->pool);
	free(w->counters_memory);
	free(w->pool_headers);
	free(w->pool_bytes);
	free(w);
}
