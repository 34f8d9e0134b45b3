/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_config.h"

#include <stdio.h>
#include <string.h>

static char extra[128];

static const struct {
	const char *name;
	uint32_t never;	 /* features it does not have */
	uint8_t pattern; /* 0: any */
} scenarios[] = {
	{ "any", 0, 0 },
	{ "pubsub", 0, BB_PATTERN_PUBSUB },
	{ "pipeline", 0, BB_PATTERN_PIPELINE },
	{ "reqrep", 0, BB_PATTERN_REQREP },
	{ "healthy",
		SIM_MEM_FAILS | SIM_POOL_FAILS | SIM_NET_FAILS | SIM_MALFORMED | SIM_TIME_JUMPS |
			SIM_REMOVALS,
		0 },
	/* Much traffic, and readers that stop in the midst of it: what they keep of each buffer is little. */
	{ "memory", ~UINT32_C(0), BB_PATTERN_PUBSUB },
};

static const char *const feature_name[SIM_FEATURES] = {
	"kills",
	"stalls",
	"slow",
	"subscriptions",
	"pings",
	"odd-frames",
	"malformed",
	"memory-fails",
	"pool-fails",
	"marks-change",
	"outgoing",
	"time-jumps",
	"heartbeats",
	"removals",
	"net-fails",
	"eager",
};

const char *
sim_config_scenarios(void)
{
	return "any pubsub pipeline reqrep healthy memory";
}

static uint32_t
pick(struct bb_rand *r, const uint32_t *of, uint32_t n)
{
	return of[bb_rand_below(r, n)];
}
#define PICK(r, ...)                               \
	pick(r, (const uint32_t[]){ __VA_ARGS__ }, \
		sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

static void
draw_net(struct sim_config *c, struct bb_rand *r)
{
	c->net = (struct sim_net_options){
		.pipe_bytes = PICK(r, 64, 1000, 16384, 65536, 262144),
		.segment_max = PICK(r, 1, 20, 1500, 65536),
		.hold_chance = PICK(r, 0, 100, 600),
		.late_event_chance = PICK(r, 0, 100, 600),
		.part_push_chance = PICK(r, 0, 0, 200),
		.part_view_chance = PICK(r, 0, 0, 200),
		.resets_hide = bb_rand_one_in(r, 2),
	};
	/* Neither so slow that nothing happens. */
	if (c->net.segment_max == 1)
		c->net.hold_chance = 0;
	if (c->features & SIM_NET_FAILS)
		c->net.adopt_fail_chance = c->net.connect_fail_chance = 100;
}

static void
draw_sizes(struct sim_config *c, struct bb_rand *r)
{
	c->io_count = 1 + bb_rand_below(r, 3);
	c->router_count = 1 + bb_rand_below(r, 3);
	c->slices = PICK(r, 2, 4, 256);
	c->deliveries = PICK(r, 2, 8, 4096);
	c->mails = PICK(r, 2, 4, 256);
	c->window_bytes = PICK(r, 1, 100, 4096, BB_WINDOW_BYTES);
	c->pool_reserve = PICK(r, 8, 32);
	c->pool_buffers = c->pool_reserve + PICK(r, 24, 64, 300);
	c->mem_bytes = PICK(r, 0, 0, 40000, 200000); /* 0: plenty */
	c->endpoint_count = 1 + bb_rand_below(r, 3);
	c->personas = PICK(r, 2, 4, 6, 10);
	c->epochs = 1 + bb_rand_below(r, 4);
	c->steps = PICK(r, 300, 1500, 4000);
}

static void
draw_volume(struct sim_config *c, struct bb_rand *r)
{
	c->volume = true;
	c->slices = c->mails = 256;
	c->deliveries = 4096;
	c->window_bytes = BB_WINDOW_BYTES;
	c->pool_buffers = 300;
	c->endpoint_count = 1;
	c->personas = 10;
	c->steps = 4000;
	c->epochs = 2;
	c->profile.body_max = PICK(r, 300, 3000);
	c->profile.large_chance = 0;
	c->net = (struct sim_net_options){ .pipe_bytes = 1000, .segment_max = 65536 };
}

bool
sim_config_draw(struct sim_config *c, uint64_t seed, const char *scenario, uint32_t steps)
{
	struct bb_rand r;
	size_t s = 0;

	while (scenario != NULL && s < BB_ARRAY_LEN(scenarios) && strcmp(scenarios[s].name, scenario) != 0)
		s++;
	if (s == BB_ARRAY_LEN(scenarios))
		return false;
	bb_rand_init(&r, seed * UINT64_C(0x9e3779b97f4a7c15) + 1);
	*c = (struct sim_config){ .seed = seed };
	/* Each feature with an even chance, a third of the seeds with few of them. */
	c->features = bb_rand_u64(&r) & ((1u << SIM_FEATURES) - 1);
	if (bb_rand_one_in(&r, 3))
		c->features &= bb_rand_u64(&r) & bb_rand_u64(&r);
	if (bb_rand_one_in(&r, 2))
		c->features &= ~(uint32_t)(SIM_MEM_FAILS | SIM_POOL_FAILS); /* with them much is allowed */
	c->features &= ~scenarios[s].never;
	draw_sizes(c, &r);
	draw_net(c, &r);
	if (scenarios[s].never & SIM_MEM_FAILS)
		c->mem_bytes = 0;
	for (uint32_t e = 0; e < SIM_ENDPOINTS; e++)
		c->pattern[e] = scenarios[s].pattern != 0 ? scenarios[s].pattern
							  : (uint8_t)(1 + bb_rand_below(&r, 3));
	c->profile = (struct sim_profile){
		.seed = seed,
		.body_max = PICK(&r, 0, 40, 300, 3000),
		.large_chance = PICK(&r, 0, 0, 5, 30),
		.large_max = PICK(&r, 10000, 70000, 200000),
		.multi_chance = PICK(&r, 0, 200, 600),
		.frames_max = 20,
	};
	if (scenario != NULL && strcmp(scenario, "memory") == 0)
		draw_volume(c, &r);
	/* So that something gets through. */
	if (c->net.pipe_bytes < 1000 || c->net.segment_max < 100)
		c->profile.large_chance = 0;
	/* A node has memory for one largest message per I/O core, besides what is open anyway. */
	if (c->profile.large_chance != 0)
		c->pool_buffers += 64;
	if (steps != 0)
		c->steps = steps;
	snprintf(extra, sizeof(extra), "%s%s", scenario == NULL ? "" : " --scenario ",
		scenario == NULL ? "" : scenario);
	return true;
}

static char arguments[256];

void
sim_config_arguments(const char *text)
{
	snprintf(arguments, sizeof(arguments), "%s", text);
}

const char *
sim_config_replay(const struct sim_config *c)
{
	static char line[512];

	snprintf(line, sizeof(line), "replay: sim --seed %lu%s%s", (unsigned long)c->seed, extra, arguments);
	return line;
}

void
sim_config_print(const struct sim_config *c)
{
	printf("seed %lu: %u I/O cores, %u routers, rings %u %u %u, window %u, pool %u (%u), memory %lu, "
	       "%u endpoints of %u personas, %u epochs of %u steps\n",
		(unsigned long)c->seed, c->io_count, c->router_count, c->slices, c->deliveries, c->mails,
		c->window_bytes, c->pool_buffers, c->pool_reserve, (unsigned long)c->mem_bytes,
		c->endpoint_count, c->personas, c->epochs, c->steps);
	printf("  pipes of %u, segments to %u, hold %u, late %u, part %u %u, frames to %u, large %u to %u, "
	       "multipart %u\n  patterns",
		c->net.pipe_bytes, c->net.segment_max, c->net.hold_chance, c->net.late_event_chance,
		c->net.part_push_chance, c->net.part_view_chance, c->profile.body_max,
		c->profile.large_chance, c->profile.large_max, c->profile.multi_chance);
	for (uint32_t e = 0; e < c->endpoint_count; e++)
		printf(" %u", c->pattern[e]);
	printf("; features");
	for (unsigned i = 0; i < SIM_FEATURES; i++)
		if (c->features & 1u << i)
			printf(" %s", feature_name[i]);
	printf("\n");
}
