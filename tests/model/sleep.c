/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sleep: every possible course of the sleep protocol (msg/wake.h), with the store buffers of the processor.
 *
 * One sleeper and two publishers, each with a ring of its own. Each thread has a store buffer: a store
 * becomes visible to the others at any later moment, in order; a load sees the thread's own buffer first; a
 * fence and an atomic exchange wait until the buffer is empty. That is what a processor may reorder here:
 * each thread stores to one place only, and its loads are kept in order by fences and by what they decide.
 *
 * The explorer walks all states breadth first, each once. A course is lost when nothing can happen any more,
 * yet the sleeper has not taken everything: it sleeps with work in a ring. The protocol has no such course;
 * without any one of its parts there is one, and its shortest is printed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PUBLISHERS = 2, ITEMS = 2, BUFFER_MAX = 3, THREADS = 1 + PUBLISHERS };

/* The protocol's parts, and how to leave one out. */
struct variant {
	const char *name;
	bool no_publisher_fence, no_sleeper_fence, no_last_look, notify_first, exchange_without_kick;
};

enum sleeper_pc { POLL_0, POLL_1, PREPARE, SLEEPER_FENCE, LOOK_0, LOOK_1, WAIT, CANCEL, SLEEPER_DONE };
enum publisher_pc { STORE_RING, PUBLISHER_FENCE, LOAD_ASLEEP, EXCHANGE, KICK, PUBLISHER_DONE };

struct buffer {
	uint8_t count;
	uint8_t value[BUFFER_MAX]; /* all to the one place this thread stores to */
};

/* One state of the whole machine. Bytes only: compared and hashed as they lie. */
struct state {
	uint8_t asleep; /* memory, as other threads see it */
	uint8_t ring[PUBLISHERS];
	uint8_t eventfd;
	uint8_t sleeper_pc;
	uint8_t found; /* since the poll or the last look began */
	uint8_t taken[PUBLISHERS];
	uint8_t slept; /* it waited and was woken at least once: shows that the model gets there */
	uint8_t publisher_pc[PUBLISHERS];
	uint8_t published[PUBLISHERS];
	struct buffer buffer[THREADS]; /* sleeper: asleep; publisher i: ring[i] */
};

struct explorer {
	const struct variant *variant;
	struct state *states;
	uint32_t *parents;
	const char **steps; /* what led there */
	uint32_t count, capacity;
	uint32_t *table; /* open addressing: index + 1 */
	uint32_t table_mask;
	uint32_t current;
};

static uint32_t
state_hash(const struct state *s)
{
	const uint8_t *p = (const void *)s;
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < sizeof(*s); i++)
		h = (h ^ p[i]) * 16777619u;
	return h;
}

static void
visit(struct explorer *x, const struct state *s, const char *step)
{
	uint32_t slot = state_hash(s) & x->table_mask;

	while (x->table[slot] != 0) {
		if (memcmp(&x->states[x->table[slot] - 1], s, sizeof(*s)) == 0)
			return;
		slot = (slot + 1) & x->table_mask;
	}
	assert_true(x->count < x->capacity);
	x->states[x->count] = *s;
	x->parents[x->count] = x->current;
	x->steps[x->count] = step;
	x->table[slot] = ++x->count;
}

/* A store of thread t: into its buffer. False: the buffer is full, something must drain first. */
static bool
store(struct state *s, int t, uint8_t value)
{
	struct buffer *b = &s->buffer[t];

	if (b->count == BUFFER_MAX)
		return false;
	b->value[b->count++] = value;
	return true;
}

static void
drain_one(struct state *s, int t)
{
	struct buffer *b = &s->buffer[t];

	if (t == 0)
		s->asleep = b->value[0];
	else
		s->ring[t - 1] = b->value[0];
	b->count--;
	memmove(b->value, b->value + 1, b->count);
	b->value[b->count] = 0; /* equal states look equal */
}

static void
take(struct state *s, int ring)
{
	if (s->ring[ring] == s->taken[ring])
		return;
	s->taken[ring] = s->ring[ring];
	s->found = 1;
}

static bool
took_all(const struct state *s)
{
	for (int i = 0; i < PUBLISHERS; i++) {
		if (s->taken[i] != ITEMS)
			return false;
	}
	return true;
}

/* The sleeper's next step; NULL if it cannot take one now. */
static const char *
step_sleeper(const struct variant *v, struct state *s)
{
	switch ((enum sleeper_pc)s->sleeper_pc) {
	case POLL_0:
		s->found = 0;
		take(s, 0);
		s->sleeper_pc = POLL_1;
		return "sleeper polls ring 0";
	case POLL_1:
		take(s, 1);
		s->sleeper_pc = took_all(s) ? SLEEPER_DONE : s->found ? POLL_0 : PREPARE;
		return "sleeper polls ring 1";
	case PREPARE:
		if (!store(s, 0, 1))
			return NULL;
		s->sleeper_pc = v->no_sleeper_fence ? LOOK_0 : SLEEPER_FENCE;
		if (v->no_sleeper_fence && v->no_last_look)
			s->sleeper_pc = WAIT;
		return "sleeper stores asleep = 1";
	case SLEEPER_FENCE:
		if (s->buffer[0].count > 0)
			return NULL;
		s->sleeper_pc = v->no_last_look ? WAIT : LOOK_0;
		return "sleeper is past its fence";
	case LOOK_0:
		s->found = 0;
		take(s, 0);
		s->sleeper_pc = LOOK_1;
		return "sleeper looks at ring 0 once more";
	case LOOK_1:
		take(s, 1);
		s->sleeper_pc = s->found ? CANCEL : WAIT;
		return "sleeper looks at ring 1 once more";
	case WAIT:
		if (s->eventfd == 0)
			return NULL;
		s->eventfd = 0;
		s->slept = 1;
		s->sleeper_pc = CANCEL;
		return "sleeper is woken";
	case CANCEL:
		if (!store(s, 0, 0))
			return NULL;
		s->sleeper_pc = took_all(s) ? SLEEPER_DONE : POLL_0;
		return "sleeper stores asleep = 0";
	case SLEEPER_DONE:
		break;
	}
	return NULL;
}

static void
item_done(const struct variant *v, struct state *s, int i)
{
	/* With notify_first the store comes last, and counts there. */
	const bool more = s->published[i] < ITEMS;

	if (v->notify_first)
		s->publisher_pc[i] = STORE_RING;
	else
		s->publisher_pc[i] = more ? STORE_RING : PUBLISHER_DONE;
}

static const char *
step_publisher(const struct variant *v, struct state *s, int i)
{
	switch ((enum publisher_pc)s->publisher_pc[i]) {
	case STORE_RING:
		if (!store(s, 1 + i, (uint8_t)(s->published[i] + 1)))
			return NULL;
		s->published[i]++;
		s->publisher_pc[i] = v->no_publisher_fence ? LOAD_ASLEEP : PUBLISHER_FENCE;
		if (v->notify_first)
			s->publisher_pc[i] = s->published[i] < ITEMS ? PUBLISHER_FENCE : PUBLISHER_DONE;
		return i == 0 ? "publisher 0 stores to its ring" : "publisher 1 stores to its ring";
	case PUBLISHER_FENCE:
		if (s->buffer[1 + i].count > 0)
			return NULL;
		s->publisher_pc[i] = LOAD_ASLEEP;
		return i == 0 ? "publisher 0 is past its fence" : "publisher 1 is past its fence";
	case LOAD_ASLEEP:
		if (s->asleep == 0)
			item_done(v, s, i);
		else
			s->publisher_pc[i] = EXCHANGE;
		return i == 0 ? "publisher 0 loads asleep" : "publisher 1 loads asleep";
	case EXCHANGE:
		if (s->buffer[1 + i].count > 0)
			return NULL;
		if (s->asleep == 0 || v->exchange_without_kick)
			item_done(v, s, i);
		else
			s->publisher_pc[i] = KICK;
		s->asleep = 0;
		return i == 0 ? "publisher 0 exchanges asleep for 0" : "publisher 1 exchanges asleep for 0";
	case KICK:
		s->eventfd = 1;
		item_done(v, s, i);
		return i == 0 ? "publisher 0 kicks" : "publisher 1 kicks";
	case PUBLISHER_DONE:
		break;
	}
	return NULL;
}

/* All states that may follow the current one; false if there is none. */
static bool
expand(struct explorer *x)
{
	static const char *const drains[THREADS] = { "asleep leaves the sleeper's buffer",
		"ring 0 leaves its publisher's buffer", "ring 1 leaves its publisher's buffer" };
	const struct state from = x->states[x->current];
	bool any = false;

	for (int t = 0; t < THREADS; t++) {
		struct state s = from;
		const char *step = t == 0 ? step_sleeper(x->variant, &s)
					  : step_publisher(x->variant, &s, t - 1);
		if (step != NULL) {
			visit(x, &s, step);
			any = true;
		}
		if (from.buffer[t].count > 0) {
			s = from;
			drain_one(&s, t);
			visit(x, &s, drains[t]);
			any = true;
		}
	}
	return any;
}

static void
print_course(const struct explorer *x, uint32_t at)
{
	uint32_t course[256], len = 0;

	for (uint32_t i = at; i != 0 && len < 256; i = x->parents[i])
		course[len++] = i;
	printf("  %s: asleep for ever, in %u steps:\n", x->variant->name, len);
	while (len > 0)
		printf("    %s\n", x->steps[course[--len]]);
}

/* True if some course is lost. */
static bool
explore(const struct variant *v)
{
	enum { CAPACITY = 1 << 20 };
	struct explorer x = { .variant = v, .capacity = CAPACITY, .table_mask = 4 * CAPACITY - 1 };
	struct state first = { 0 };
	bool lost = false, slept = false;

	x.states = calloc(CAPACITY, sizeof(*x.states));
	x.parents = calloc(CAPACITY, sizeof(*x.parents));
	x.steps = calloc(CAPACITY, sizeof(*x.steps));
	x.table = calloc(4 * CAPACITY, sizeof(*x.table));
	assert_true(x.states != NULL && x.parents != NULL && x.steps != NULL && x.table != NULL);

	if (v->notify_first) {
		for (int i = 0; i < PUBLISHERS; i++)
			first.publisher_pc[i] = PUBLISHER_FENCE;
	}
	visit(&x, &first, "start");
	for (x.current = 0; x.current < x.count && !lost; x.current++) {
		const bool any = expand(&x);
		const struct state *s = &x.states[x.current];
		slept = slept || (s->sleeper_pc == SLEEPER_DONE && s->slept);
		if (!any && s->sleeper_pc != SLEEPER_DONE) {
			lost = true;
			print_course(&x, x.current);
		}
	}
	printf("  %s: %u states, %s\n", v->name, x.count, lost ? "a wake-up is lost" : "no wake-up is lost");
	assert_true(lost || slept); /* else the model never slept and shows nothing */
	free(x.states);
	free(x.parents);
	free(x.steps);
	free(x.table);
	return lost;
}

static void
the_protocol_loses_no_wake_up(void **state)
{
	(void)state;
	assert_false(explore(&(struct variant){ .name = "the protocol" }));
}

static void
without_the_publishers_fence_one_is_lost(void **state)
{
	(void)state;
	assert_true(explore(&(struct variant){ .name = "no publisher's fence", .no_publisher_fence = true }));
}

static void
without_the_sleepers_fence_one_is_lost(void **state)
{
	(void)state;
	assert_true(explore(&(struct variant){ .name = "no sleeper's fence", .no_sleeper_fence = true }));
}

static void
without_the_last_look_one_is_lost(void **state)
{
	(void)state;
	assert_true(explore(&(struct variant){ .name = "no last look", .no_last_look = true }));
}

static void
a_wake_up_before_the_publication_is_lost(void **state)
{
	(void)state;
	assert_true(explore(&(struct variant){ .name = "notify first", .notify_first = true }));
}

static void
a_publisher_that_wins_must_kick(void **state)
{
	(void)state;
	assert_true(
		explore(&(struct variant){ .name = "exchange without kick", .exchange_without_kick = true }));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_protocol_loses_no_wake_up),
		cmocka_unit_test(without_the_publishers_fence_one_is_lost),
		cmocka_unit_test(without_the_sleepers_fence_one_is_lost),
		cmocka_unit_test(without_the_last_look_one_is_lost),
		cmocka_unit_test(a_wake_up_before_the_publication_is_lost),
		cmocka_unit_test(a_publisher_that_wins_must_kick),
	};

	return cmocka_run_group_tests_name("model/sleep", tests, NULL, NULL);
}
