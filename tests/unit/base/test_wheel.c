/* SPDX-License-Identifier: BSD-3-Clause */
/* wheel against a plain array of deadlines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rand.h"
#include "base/wheel.h"

#define TIMERS 200
#define SLOT_NS (UINT64_C(1) << BB_WHEEL_SHIFT)

static struct bb_wheel wheel;
static struct bb_timer timers[TIMERS];

static void
timers_fire_never_early_and_at_most_a_slot_late(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct bb_rand rand;
		uint64_t deadline[TIMERS];
		uint64_t now = seed * 12345678901;

		bb_rand_init(&rand, seed);
		bb_wheel_init(&wheel, now);
		for (int i = 0; i < TIMERS; i++) {
			bb_timer_init(&timers[i]);
			deadline[i] = BB_NEVER;
		}
		for (int step = 0; step < 2000; step++) {
			const uint32_t i = bb_rand_below(&rand, TIMERS);
			if (bb_rand_one_in(&rand, 5)) {
				bb_wheel_cancel(&timers[i]);
				deadline[i] = BB_NEVER;
			} else {
				deadline[i] = now + bb_rand_below(&rand, 100) *
							    (bb_rand_one_in(&rand, 3) ? BB_SEC : BB_MSEC);
				bb_wheel_set(&wheel, &timers[i], deadline[i]);
			}
			uint64_t first = BB_NEVER;
			for (int k = 0; k < TIMERS; k++)
				first = deadline[k] < first ? deadline[k] : first;
			if (first != BB_NEVER)
				assert_true(
					bb_wheel_next(&wheel) <= (first > now ? first : now) + 2 * SLOT_NS);
			now += bb_rand_one_in(&rand, 50) ? 60 * BB_SEC : bb_rand_below(&rand, 40 * BB_MSEC);
			for (struct bb_timer *t; (t = bb_wheel_expire(&wheel, now)) != NULL;) {
				const size_t k = (size_t)(t - timers);
				assert_true(deadline[k] <= now);
				deadline[k] = BB_NEVER;
			}
			for (int k = 0; k < TIMERS; k++)
				assert_true(deadline[k] == BB_NEVER || deadline[k] + 2 * SLOT_NS > now);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_fire_never_early_and_at_most_a_slot_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
