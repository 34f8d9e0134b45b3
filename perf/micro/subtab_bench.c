/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * subtab_bench: what a match in the subscription table costs, alone in a process: for 1, 1000 and 1,000,000
 * subscriptions and hot, Zipf and uniform topics; with single calls and in bursts; and with the table
 * changing.
 *
 * Topics have 16 bytes, "md.", ten letters, ".px"; subscriptions are their first 14. Prints median of 5
 * rounds.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rand.h"
#include "route/subtab.h"

enum { TOPIC = 16, PREFIX = 14, SUBS = 100, ROUNDS = 5, BURST = 32 };

static uint32_t messages = 1 << 20;
static uint32_t cache_entries = 1 << 16;

enum traffic { HOT, ZIPF, UNIFORM, NONE };
static const char *const traffic_name[] = { "hot", "zipf 1.0", "uniform", "nobody" };

struct bench {
	struct bb_mem mem;
	struct bb_subtab *table;
	uint32_t subs[SUBS];
	uint32_t subscriptions;
	char (*topics)[TOPIC]; /* one per message */
	double *zipf;	       /* cumulated */
	uint64_t checksum;
};

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * BB_SEC + (uint64_t)ts.tv_nsec;
}

static uint64_t
cycles(void)
{
#ifdef __x86_64__
	return __builtin_ia32_rdtsc();
#else
	return 0;
#endif
}

static void
make_topic(uint32_t i, bool subscribed, char *topic)
{
	struct bb_rand rand;

	bb_rand_init(&rand, i);
	memcpy(topic, subscribed ? "md." : "xx.", 3);
	for (uint32_t k = 3; k < 13; k++)
		topic[k] = (char)('A' + bb_rand_below(&rand, 26));
	memcpy(topic + 13, ".px", 3);
}

static uint32_t
pick(const struct bench *b, struct bb_rand *rand, enum traffic traffic)
{
	if (traffic != ZIPF)
		return traffic == HOT ? 0 : bb_rand_below(rand, b->subscriptions);

	const double x = (double)bb_rand_u64(rand) / 0x1p64 * b->zipf[b->subscriptions - 1];
	uint32_t low = 0, high = b->subscriptions - 1;
	while (low < high) {
		const uint32_t mid = (low + high) / 2;
		if (b->zipf[mid] < x)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Change the table once in `every` messages, 0 never; the prefix is no message's. */
static void
run(struct bench *b, bool burst, uint32_t every)
{
	struct bb_subtab_query q[BURST];
	uint64_t sum = 0;
	char churn[PREFIX];
	uint32_t changes = 0;

	for (uint32_t i = 0; i < messages; i += BURST) {
		if (every != 0 && i % every == 0) {
			make_topic(UINT32_MAX - changes / 2 % 1000, true, churn);
			if (changes++ % 2 == 0)
				bb_subtab_add(b->table, b->subs[0], churn, PREFIX, NULL);
			else
				bb_subtab_cancel(b->table, b->subs[0], churn, PREFIX, NULL);
		}
		for (uint32_t k = 0; k < BURST; k++)
			q[k] = (struct bb_subtab_query){ .topic = b->topics[i + k], .len = TOPIC };
		if (burst)
			bb_subtab_match_burst(b->table, q, BURST);
		else
			for (uint32_t k = 0; k < BURST; k++)
				q[k].set = bb_subtab_match(b->table, q[k].topic, TOPIC);
		for (uint32_t k = 0; k < BURST; k++)
			sum += q[k].set != NULL ? q[k].set->receivers : 0;
	}
	b->checksum += sum;
}

static int
order_u64(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void
measure(struct bench *b, enum traffic traffic, bool burst, uint32_t every)
{
	uint64_t ns[ROUNDS], tsc[ROUNDS];
	struct bb_subtab_stats before, after;

	run(b, burst, 0);
	bb_subtab_stats(b->table, &before);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		const uint64_t ns_0 = now_ns(), tsc_0 = cycles();
		run(b, burst, every);
		tsc[i] = cycles() - tsc_0;
		ns[i] = now_ns() - ns_0;
	}
	bb_subtab_stats(b->table, &after);
	qsort(ns, ROUNDS, sizeof(ns[0]), order_u64);
	qsort(tsc, ROUNDS, sizeof(tsc[0]), order_u64);
	const double hits = (double)(after.cache_hits - before.cache_hits);
	printf("%9u  %-8s  %-6s  %7u  %8.1f  %8.0f  %6.1f\n", b->subscriptions, traffic_name[traffic],
		burst ? "burst" : "single", every, (double)ns[ROUNDS / 2] / messages,
		(double)tsc[ROUNDS / 2] / messages,
		100 * hits / (hits + (double)(after.cache_misses - before.cache_misses)));
}

static void
check(int rc)
{
	if (rc < 0) {
		fprintf(stderr, "subtab_bench: %s\n", strerror(-rc));
		exit(1);
	}
}

static void
bench_fill(struct bench *b, uint32_t subscriptions)
{
	const struct bb_subtab_options options = {
		.subscriptions_max = UINT32_MAX,
		.cache_entries = cache_entries,
		.set_bytes_max = 64 << 20,
		.mem = &b->mem,
		.hash_key = { .k0 = 1, .k1 = 2 },
	};
	struct bb_subtab_stats s;
	char topic[TOPIC];

	bb_mem_init_heap(&b->mem, UINT64_MAX);
	check(bb_subtab_create(&options, &b->table));
	for (uint32_t i = 0; i < SUBS; i++)
		check(bb_subtab_join(b->table, bb_handle_make(i % 4, i, 1), &b->subs[i]));
	b->subscriptions = subscriptions;
	bb_subtab_stats(b->table, &s);
	const uint64_t bytes = s.bytes, start = now_ns();
	for (uint32_t i = 0; i < subscriptions; i++) {
		make_topic(i, true, topic);
		check(bb_subtab_add(b->table, b->subs[i % SUBS], topic, PREFIX, NULL));
		b->zipf[i] = (i == 0 ? 0 : b->zipf[i - 1]) + 1.0 / (i + 1);
	}
	const uint64_t end = now_ns();
	bb_subtab_stats(b->table, &s);
	printf("# %u subscriptions: add %.0f ns, %.1f bytes each, %" PRIu64 " nodes\n", subscriptions,
		(double)(end - start) / subscriptions, (double)(s.bytes - bytes) / subscriptions, s.nodes);
}

static void
bench_one(struct bench *b, uint32_t subscriptions)
{
	bench_fill(b, subscriptions);
	for (enum traffic traffic = HOT; traffic <= NONE; traffic++) {
		struct bb_rand rand;
		bb_rand_init(&rand, 7);
		for (uint32_t i = 0; i < messages; i++)
			make_topic(pick(b, &rand, traffic), traffic != NONE, b->topics[i]);
		measure(b, traffic, false, 0);
		measure(b, traffic, true, 0);
		measure(b, traffic, true, 1024);
	}
	bb_subtab_destroy(b->table);
}

/* A set of many receivers, built again after each change. */
static void
bench_fan(struct bench *b, uint32_t receivers)
{
	uint64_t start, built = 0;
	enum { BUILDS = 200 };

	bench_fill(b, 1);
	for (uint32_t i = 0; i < receivers; i++) {
		uint32_t sub;
		check(bb_subtab_join(b->table, bb_handle_make(i % 4, SUBS + i, 1), &sub));
		check(bb_subtab_add(b->table, sub, "fan", 3, NULL));
	}
	for (uint32_t i = 0; i < BUILDS; i++) {
		if (i % 2 == 0)
			check(bb_subtab_add(b->table, b->subs[0], "fan", 3, NULL));
		else
			check(bb_subtab_cancel(b->table, b->subs[0], "fan", 3, NULL));
		start = now_ns();
		b->checksum += bb_subtab_match(b->table, "fan", 3)->receivers;
		built += now_ns() - start;
		bb_subtab_reclaim(b->table, 1);
	}
	printf("# set of %u receivers: built in %.1f us\n", receivers, (double)built / BUILDS / 1000);
	bb_subtab_destroy(b->table);
}

int
main(int argc, char **argv)
{
	struct bench b = { 0 };
	const uint32_t max = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : 1000000;

	if (argc > 2)
		cache_entries = (uint32_t)strtoul(argv[2], NULL, 0);
	if (max == 0 || argc > 3) {
		fprintf(stderr, "usage: subtab_bench [SUBSCRIPTIONS [CACHE_ENTRIES]]\n");
		return 2;
	}
	b.topics = malloc((size_t)messages * sizeof(*b.topics));
	b.zipf = malloc((size_t)max * sizeof(*b.zipf) + 1000 * sizeof(*b.zipf));
	if (b.topics == NULL || b.zipf == NULL)
		check(-12);
#ifdef BB_DEBUG
	printf("# debug build: figures mean nothing\n");
#endif
	printf("# gcc %s, cache of %u topics, %u messages per round\n", __VERSION__, cache_entries, messages);
	printf("#   subs  traffic   calls   changes  ns/match    cycles  hit %%\n");
	bench_one(&b, 1);
	bench_one(&b, 1000);
	bench_one(&b, max);
	bench_fan(&b, 10000);
	printf("# checksum %" PRIu64 "\n", b.checksum);
	free(b.topics);
	free(b.zipf);
	return 0;
}
