/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * router_bench: what a router costs per message, alone: slices of 40-byte messages in, deliveries out, both
 * ends played by this program and not timed. Time is that of the processor's time stamp counter; the figure
 * is the median of many rounds, so that a busy machine does not spoil it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/compiler.h"
#include "base/counters.h"
#include "msg/batch.h"
#include "msg/endpoint.h"
#include "msg/hold.h"
#include "msg/mail.h"
#include "msg/set.h"
#include "route/router.h"

#define MESSAGE_BYTES 40
#define MESSAGES 4000000
#define POOL_BUFFERS 512
#define SENDERS 4
#define RECEIVERS 100 /* slot of the first */
#define SLICES_AHEAD 8
#define ROUNDS_MAX (MESSAGES / SLICES_AHEAD / 16)

static uint64_t
cycles(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
#endif
}

struct bench {
	struct bb_fabric fabric;
	struct bb_pool pool;
	struct bb_mem mem, io_mem;
	struct bb_counters counters;
	struct bb_router *router;
	struct bb_batch_writer writer;
	struct bb_holds holds;
	struct bb_endpoint endpoint;
	void *memory[3];
	uint64_t copies, elements;
};

enum mode {
	FREELY,	 /* producers to receivers without limits */
	CREDIT,	 /* all of it parks, then goes as receivers give credit */
	REPLIES, /* workers to clients with ids of their own */
	BLOCK,	 /* pubsub on its home, credit looked at, never short of it */
};

/* One case. */
struct setup {
	const char *name;
	enum bb_pattern pattern;
	enum mode mode;
	uint32_t receivers;
	uint32_t topics; /* pubsub: distinct topics that messages go through; 0: the empty subscription */
	uint32_t slice_messages;
	uint32_t run_messages; /* of one producer in a row */
};

static void
drain(struct bench *b)
{
	struct bb_delivery d[64];
	uint32_t n;

	while ((n = bb_ring_pop(bb_fabric_deliveries(&b->fabric, 0, 0), d, 64)) > 0) {
		for (uint32_t i = 0; i < n; i++) {
			if (d[i].flags & BB_DELIVERY_OPEN)
				bb_holds_open(&b->holds, d[i].buffer, 1, 0);
			if (d[i].kind == BB_DELIVERY_MSGS_ONE)
				b->copies += d[i].msgs;
			else if (d[i].kind == BB_DELIVERY_MSGS_SET)
				b->copies += (uint64_t)d[i].msgs * d[i].set->receivers;
			b->elements += d[i].kind == BB_DELIVERY_MSGS_ONE || d[i].kind == BB_DELIVERY_MSGS_SET;
			if (d[i].flags & BB_DELIVERY_CLOSE)
				bb_holds_drop(&b->holds, d[i].buffer, 1, 0);
		}
		atomic_fetch_add(&bb_fabric_progress(&b->fabric, 0, 0)->done, n);
	}
}

static void
publish(struct bench *b)
{
	struct bb_slice slice;

	if (!bb_batch_slice(&b->writer, &slice))
		return;
	while (bb_ring_push(bb_fabric_slices(&b->fabric, 0, 0), &slice, 1) == 0) {
		bb_router_poll(b->router, 1);
		drain(b);
	}
	bb_batch_published(&b->writer);
}

static void
reserve(struct bench *b, uint32_t bytes, uint32_t words)
{
	while (bb_batch_reserve(&b->writer, BB_POOL_CONTROL, bytes, words) != 0) {
		publish(b);
		bb_router_poll(b->router, 1);
		drain(b);
	}
}

static void
run(struct bench *b, enum bb_run_kind kind, bb_handle h, uint16_t side, const void *payload, uint32_t words,
	const void *bytes, uint32_t len)
{
	reserve(b, len, BB_RUN_WORDS + words);
	bb_batch_run(&b->writer, kind, h, side);
	memcpy(bb_batch_tail(&b->writer), bytes, len);
	bb_batch_entry(&b->writer, payload, words, len);
}

static void
attach_one(struct bench *b, const struct setup *s, uint32_t slot, uint16_t side)
{
	char id[16] = "";
	struct bb_attach a = { .msgs_limit = UINT64_MAX, .bytes_limit = UINT64_MAX };

	if (s->mode == CREDIT && side == 1)
		a.msgs_limit = 0;
	if (s->mode == REPLIES && side == 0)
		a.id_len = (uint16_t)snprintf(id, sizeof(id), "%05u", slot);
	run(b, BB_RUN_ATTACH, bb_handle_make(0, slot, 1), side, &a, BB_ATTACH_WORDS, id, a.id_len);
}

static void
subscribe(struct bench *b, const struct setup *s, uint32_t slot)
{
	const bb_handle h = bb_handle_make(0, slot, 1);
	const uint64_t none = 0;
	char topic[16];

	if (s->topics == 0)
		run(b, BB_RUN_SUBSCRIBE, h, 1, &none, 1, "", 0);
	for (uint32_t t = 0; t < s->topics; t++) {
		const uint64_t len = (uint64_t)snprintf(topic, sizeof(topic), "%06u", t);
		run(b, BB_RUN_SUBSCRIBE, h, 1, &len, 1, topic, (uint32_t)len);
	}
}

/* Slots below RECEIVERS send. */
static void
attach(struct bench *b, const struct setup *s)
{
	const uint16_t from = s->mode == REPLIES;

	for (uint32_t i = 0; i < SENDERS; i++)
		attach_one(b, s, i, from);
	for (uint32_t i = 0; i < s->receivers; i++) {
		attach_one(b, s, RECEIVERS + i, !from);
		if (s->pattern == BB_PATTERN_PUBSUB)
			subscribe(b, s, RECEIVERS + i);
	}
	publish(b);
	bb_router_poll(b->router, 1);
	drain(b);
}

static void
open_bench(struct bench *b, const struct setup *s)
{
	const struct bb_fabric_sizes sizes = {
		.io_count = 1, .router_count = 1, .slices = 256, .deliveries = 16384, .mails = 16
	};
	const struct bb_counters_sizes rows = {
		.loop_count = 1, .io_count = 1, .router_count = 1, .side_count = 2, .session_count = 1
	};

	*b = (struct bench){ 0 };
	bb_mem_init_heap(&b->mem, UINT64_MAX);
	bb_mem_init_heap(&b->io_mem, UINT64_MAX);
	b->memory[0] = aligned_alloc(BB_BUFFER_BYTES, (size_t)POOL_BUFFERS * BB_BUFFER_BYTES);
	b->memory[1] = calloc(POOL_BUFFERS, sizeof(struct bb_buffer));
	b->memory[2] = aligned_alloc(4096, bb_counters_bytes(&rows));
	if (b->memory[0] == NULL || b->memory[1] == NULL || b->memory[2] == NULL)
		abort();
	memset(b->memory[2], 0, bb_counters_bytes(&rows));
	bb_pool_init(&b->pool, b->memory[0], b->memory[1], POOL_BUFFERS, 8);
	bb_counters_init(&b->counters, b->memory[2], &rows);
	b->endpoint = (struct bb_endpoint){ .pattern = (uint8_t)s->pattern,
		.sharded = s->pattern == BB_PATTERN_PUBSUB && s->mode != BLOCK };
	b->endpoint.side[1].when_full = s->mode == BLOCK ? BB_FULL_BLOCK : BB_FULL_DROP;
	const struct bb_router_options options = {
		.actor = 2,
		.fabric = &b->fabric,
		.mem = &b->mem,
		.counters = &b->counters,
		.hash_key = { 1, 2 },
	};
	if (bb_fabric_init(&b->fabric, &sizes, &b->pool) != 0 ||
		bb_router_create(&options, &b->router) != 0 ||
		bb_holds_init(&b->holds, &b->pool, &b->io_mem, 1) != 0)
		abort();
	bb_batch_writer_init(&b->writer, &b->pool, 1);
	const struct bb_mail mail = { .kind = BB_MAIL_ENDPOINT, .ptr = &b->endpoint };
	bb_ring_push(&b->fabric.agent_to_router[0], &mail, 1);
	bb_router_poll(b->router, 1);
	attach(b, s);
	drain(b);
}

static void
close_bench(struct bench *b)
{
	bb_router_destroy(b->router);
	drain(b);
	bb_batch_writer_fini(&b->writer);
	bb_holds_fini(&b->holds, &b->io_mem);
	bb_fabric_fini(&b->fabric);
	bb_pool_fini(&b->pool);
	for (size_t i = 0; i < BB_ARRAY_LEN(b->memory); i++)
		free(b->memory[i]);
}

static struct bb_desc
make_message(const struct setup *s, uint32_t number, uint8_t *message)
{
	struct bb_desc desc = { .len = MESSAGE_BYTES, .topic_len = MESSAGE_BYTES - 2 };
	char text[16];

	memset(message, 'x', MESSAGE_BYTES);
	message[0] = 0;
	message[1] = MESSAGE_BYTES - 2;
	if (s->mode == REPLIES) {
		desc.topic_len = 5;
		message[0] = 1;
		message[1] = 5;
		snprintf(text, sizeof(text), "%05u", RECEIVERS + number % s->receivers);
		memcpy(message + 2, text, 5);
		message[7] = 0;
		message[8] = MESSAGE_BYTES - 9;
	} else if (s->topics > 0) {
		snprintf(text, sizeof(text), "%06u", (number * 7919u) % s->topics);
		memcpy(message + 2, text, 6);
	}
	return desc;
}

/* Fill and publish one slice; returns its messages. */
static uint32_t
fill_slice(struct bench *b, const struct setup *s, uint32_t *number)
{
	uint8_t message[MESSAGE_BYTES];
	uint32_t n = 0;

	reserve(b, s->slice_messages * MESSAGE_BYTES, s->slice_messages * 3);
	for (; n < s->slice_messages; n++) {
		const struct bb_desc desc = make_message(s, *number, message);
		const uint32_t who = (*number)++ / s->run_messages % SENDERS;
		bb_batch_run(&b->writer, BB_RUN_MSGS, bb_handle_make(0, who, 1), s->mode == REPLIES);
		memcpy(bb_batch_tail(&b->writer), message, sizeof(message));
		bb_batch_entry(&b->writer, &desc, 1, sizeof(message));
	}
	publish(b);
	return n;
}

/* Room for everything sent so far, evenly; numbers are multiples of the receivers. */
static void
give_credit(struct bench *b, const struct setup *s, uint32_t number)
{
	const struct bb_credit credit = { .msgs_limit = number / s->receivers, .bytes_limit = UINT64_MAX };

	for (uint32_t i = 0; i < s->receivers; i++)
		run(b, BB_RUN_CREDIT, bb_handle_make(0, RECEIVERS + i, 1), 1, &credit, BB_CREDIT_WORDS, "",
			0);
	publish(b);
}

static int
by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static uint64_t
work_off(struct bench *b)
{
	uint64_t spent = 0;
	uint32_t work;

	do {
		const uint64_t before = cycles();
		work = bb_router_poll(b->router, 1);
		spent += cycles() - before;
		drain(b);
	} while (work > 0);
	return spent;
}

/* Publish some slices and let the router work on them; returns its cycles per message. */
static double
one_round(struct bench *b, const struct setup *s, uint32_t *number)
{
	uint32_t messages = 0;

	for (uint32_t i = 0; i < SLICES_AHEAD; i++)
		messages += fill_slice(b, s, number);
	uint64_t spent = work_off(b);
	if (s->mode == CREDIT) {
		give_credit(b, s, *number);
		spent += work_off(b);
	}
	return (double)spent / messages;
}

static void
measure(const struct setup *s)
{
	static double rounds[ROUNDS_MAX];
	struct bench b;
	uint32_t number = 0, count = 0;

	open_bench(&b, s);
	b.copies = b.elements = 0;
	while (number < MESSAGES && count < ROUNDS_MAX)
		rounds[count++] = one_round(&b, s, &number);
	const uint64_t want = (uint64_t)number * (s->pattern == BB_PATTERN_PUBSUB ? s->receivers : 1);
	if (b.copies != want) {
		fprintf(stderr, "router_bench: %s: %llu copies, not %llu\n", s->name,
			(unsigned long long)b.copies, (unsigned long long)want);
		exit(1);
	}
	qsort(rounds, count, sizeof(rounds[0]), by_value);
	printf("%-34s %6.1f cycles/message %8.3f deliveries/message\n", s->name, rounds[count / 2],
		(double)b.elements / number);
	close_bench(&b);
}

int
main(void)
{
	static const struct setup setups[] = {
		{ "pipeline 1:1, 1000 per slice", BB_PATTERN_PIPELINE, FREELY, 1, 0, 1000, 64 },
		{ "pipeline 1:4, 1000 per slice", BB_PATTERN_PIPELINE, FREELY, 4, 0, 1000, 64 },
		{ "pipeline 1:1, 16 per slice", BB_PATTERN_PIPELINE, FREELY, 1, 0, 16, 16 },
		{ "pipeline 1:4, 16 per slice", BB_PATTERN_PIPELINE, FREELY, 4, 0, 16, 16 },
		{ "pipeline 4:1 on credit", BB_PATTERN_PIPELINE, CREDIT, 1, 0, 1000, 64 },
		{ "pipeline 4:4 on credit", BB_PATTERN_PIPELINE, CREDIT, 4, 0, 1000, 64 },
		{ "reqrep, replies to 100 clients", BB_PATTERN_REQREP, REPLIES, 100, 0, 1000, 64 },
		{ "pubsub 1:1 all, 1000 per slice", BB_PATTERN_PUBSUB, FREELY, 1, 0, 1000, 64 },
		{ "pubsub 1:10 all, 1000 per slice", BB_PATTERN_PUBSUB, FREELY, 10, 0, 1000, 64 },
		{ "pubsub 1:10 all, 16 per slice", BB_PATTERN_PUBSUB, FREELY, 10, 0, 16, 16 },
		{ "pubsub 1:10 all, block", BB_PATTERN_PUBSUB, BLOCK, 10, 0, 1000, 64 },
		{ "pubsub 1:10, 1000 topics", BB_PATTERN_PUBSUB, FREELY, 10, 1000, 1000, 64 },
		{ "pubsub 1:1, 100000 topics", BB_PATTERN_PUBSUB, FREELY, 1, 100000, 1000, 64 },
	};

#ifdef BB_DEBUG
	puts("a debug build: the figures mean nothing");
#endif
	for (size_t i = 0; i < BB_ARRAY_LEN(setups); i++)
		measure(&setups[i]);
	return 0;
}
