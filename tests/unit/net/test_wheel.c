/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rand.h"
#include "base/time.h"
#include "net/wheel.h"

#define COUNT 500
#define TICK_NS (UINT64_C(1) << BB_NET_WHEEL_TICK_SHIFT)

struct obj {
	uint64_t deadline_ns; /* BB_NEVER: idle, as the model has it */
	struct bb_net_wheel_link link;
};

struct world {
	struct bb_mem mem;
	struct bb_net_pool pool;
	struct bb_net_wheel wheel;
};

static struct obj *
at(struct world *w, uint32_t i)
{
	return bb_net_pool_at(&w->pool, i);
}

static void
world_init(struct world *w, uint64_t now_ns)
{
	bb_mem_init_heap(&w->mem, 1 << 24);
	assert_int_equal(bb_net_pool_init(&w->pool, &w->mem, sizeof(struct obj), COUNT), 0);
	for (uint32_t i = 0; i < COUNT; i++) {
		assert_int_equal(bb_net_pool_alloc(&w->pool), i);
		*at(w, i) = (struct obj){ .deadline_ns = BB_NEVER, .link.slot = BB_NET_WHEEL_IDLE };
	}
	bb_net_wheel_init(&w->wheel, &w->pool, offsetof(struct obj, link), now_ns);
}

static uint64_t
random_delay(struct bb_rand *r)
{
	switch (bb_rand_below(r, 5)) {
	case 0:
		return bb_rand_below(r, 100000);
	case 1:
		return bb_rand_below(r, 20000000);
	case 2:
		return bb_rand_u64(r) % (40 * BB_SEC);
	case 3:
		return bb_rand_u64(r) % (4000 * BB_SEC);
	default:
		return (1023 + bb_rand_below(r, 3)) * TICK_NS * (bb_rand_one_in(r, 2) ? 1 : 1024);
	}
}

/* Everything due fired, and nothing early. */
static void
drain(struct world *w, uint64_t now_ns)
{
	uint32_t i;

	while ((i = bb_net_wheel_expire(&w->wheel, now_ns)) != BB_NET_POOL_NONE) {
		assert_true(at(w, i)->deadline_ns <= now_ns);
		at(w, i)->deadline_ns = BB_NEVER;
	}
	uint64_t first = BB_NEVER;
	for (i = 0; i < COUNT; i++) {
		const uint64_t d = at(w, i)->deadline_ns;
		assert_true(d == BB_NEVER || d + 2 * TICK_NS > now_ns);
		first = d < first ? d : first;
	}
	/* Never later than the first real deadline. */
	if (first == BB_NEVER)
		assert_int_equal(bb_net_wheel_deadline(&w->wheel), BB_NEVER);
	else
		assert_true(bb_net_wheel_deadline(&w->wheel) <= first + 2 * TICK_NS);
}

static void
entries_fire_once_and_never_early_whatever_the_steps(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 30; seed++) {
		struct bb_rand r;
		struct world w;
		uint64_t now = 1000 * BB_SEC;
		bb_rand_init(&r, seed);
		world_init(&w, now);
		for (int step = 0; step < 2000; step++) {
			const uint32_t i = bb_rand_below(&r, COUNT);
			if (bb_rand_one_in(&r, 3)) {
				bb_net_wheel_remove(&w.wheel, i);
				at(&w, i)->deadline_ns = BB_NEVER;
			} else if (at(&w, i)->deadline_ns == BB_NEVER) {
				at(&w, i)->deadline_ns = now + random_delay(&r);
				bb_net_wheel_insert(&w.wheel, i, at(&w, i)->deadline_ns);
			}
			if (bb_rand_one_in(&r, 4)) {
				now += bb_rand_one_in(&r, 50) ? random_delay(&r) * 3 : random_delay(&r) / 64;
				drain(&w, now);
			}
		}
		bb_net_pool_fini(&w.pool, &w.mem);
	}
}

static void
stepping_from_deadline_to_deadline_reaches_every_entry(void **state)
{
	(void)state;
	struct bb_rand r;
	struct world w;
	uint64_t now = 5 * BB_SEC;

	bb_rand_init(&r, 9);
	world_init(&w, now);
	for (uint32_t i = 0; i < COUNT; i++) {
		at(&w, i)->deadline_ns = now + random_delay(&r);
		bb_net_wheel_insert(&w.wheel, i, at(&w, i)->deadline_ns);
	}
	for (uint32_t steps = 0; bb_net_wheel_deadline(&w.wheel) != BB_NEVER; steps++) {
		assert_true(steps < COUNT * 4);
		assert_true(bb_net_wheel_deadline(&w.wheel) > now || steps == 0);
		now = bb_net_wheel_deadline(&w.wheel);
		drain(&w, now);
	}
	for (uint32_t i = 0; i < COUNT; i++)
		assert_true(at(&w, i)->deadline_ns == BB_NEVER);
	bb_net_pool_fini(&w.pool, &w.mem);
}

static void
a_deadline_beyond_the_span_fires_early_and_not_in_the_past(void **state)
{
	(void)state;
	struct world w;
	uint64_t now = 0;

	world_init(&w, now);
	bb_net_wheel_insert(&w.wheel, 3, 100000 * BB_SEC);
	assert_true(bb_net_wheel_deadline(&w.wheel) > 3600 * BB_SEC);
	now = bb_net_wheel_deadline(&w.wheel);
	while (bb_net_wheel_expire(&w.wheel, now) == BB_NET_POOL_NONE)
		now = bb_net_wheel_deadline(&w.wheel);
	assert_true(now < 5000 * BB_SEC);
	bb_net_pool_fini(&w.pool, &w.mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_fire_once_and_never_early_whatever_the_steps),
		cmocka_unit_test(stepping_from_deadline_to_deadline_reaches_every_entry),
		cmocka_unit_test(a_deadline_beyond_the_span_fires_early_and_not_in_the_past),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
