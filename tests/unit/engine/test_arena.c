/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "engine/arena.h"

#define MIB (UINT64_C(1) << 20)
#define PIECES 4096

struct piece {
	uint8_t *p;
	size_t size;
	uint8_t fill;
};

static size_t
random_size(struct bb_rand *r)
{
	return 1 + bb_rand_below(r, bb_rand_one_in(r, 64) ? 200000 : 600);
}

static void
check_and_free(struct bb_mem *m, struct piece *piece)
{
	if (piece->p == NULL)
		return;
	for (size_t i = 0; i < piece->size; i++)
		assert_int_equal(piece->p[i], piece->fill);
	bb_mem_free(m, piece->p, piece->size);
	piece->p = NULL;
}

static void
random_pieces_keep_their_bytes_and_stay_in_the_budget(void **state)
{
	static struct piece pieces[PIECES];
	struct bb_arena a;
	struct bb_rand r;
	uint32_t refused = 0;

	(void)state;
	bb_rand_init(&r, 1);
	assert_int_equal(bb_arena_init(&a, 4 * MIB), 0);
	for (uint32_t i = 0; i < 100000; i++) {
		struct piece *piece = &pieces[bb_rand_below(&r, PIECES)];
		check_and_free(&a.mem, piece);
		piece->size = random_size(&r);
		piece->fill = (uint8_t)i;
		piece->p = bb_mem_alloc(&a.mem, piece->size);
		if (piece->p == NULL) {
			refused++;
			continue;
		}
		assert_int_equal((uintptr_t)piece->p % 16, 0);
		memset(piece->p, piece->fill, piece->size);
		assert_true(a.mem.used_bytes <= 4 * MIB);
	}
	assert_true(refused > 0);
	assert_int_equal(refused, a.mem.refused);
	for (uint32_t i = 0; i < PIECES; i++)
		check_and_free(&a.mem, &pieces[i]);
	assert_int_equal(a.mem.used_bytes, 0);
	bb_arena_fini(&a);
}

static void
the_whole_budget_can_be_had_in_small_pieces_again_and_again(void **state)
{
	enum { PIECE = 80, COUNT = (int)(8 * MIB / PIECE) };
	void **p = calloc(COUNT, sizeof(*p));
	struct bb_arena a;

	(void)state;
	assert_non_null(p);
	assert_int_equal(bb_arena_init(&a, 8 * MIB), 0);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < COUNT; i++) {
			p[i] = bb_mem_alloc(&a.mem, PIECE);
			assert_non_null(p[i]);
		}
		assert_null(bb_mem_alloc(&a.mem, PIECE));
		for (int i = 0; i < COUNT; i++)
			bb_mem_free(&a.mem, p[i], PIECE);
	}
	bb_arena_fini(&a);
	free(p);
}

static void
many_arenas_come_and_go(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++) {
		struct bb_arena a, b;
		assert_int_equal(bb_arena_init(&a, MIB), 0);
		assert_int_equal(bb_arena_init(&b, MIB), 0);
		void *p = bb_mem_alloc(&a.mem, 1000), *q = bb_mem_alloc(&b.mem, 1000);
		assert_non_null(p);
		assert_non_null(q);
		bb_mem_free(&a.mem, p, 1000);
		bb_mem_free(&b.mem, q, 1000);
		bb_arena_fini(&a);
		bb_arena_fini(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_pieces_keep_their_bytes_and_stay_in_the_budget),
		cmocka_unit_test(the_whole_budget_can_be_had_in_small_pieces_again_and_again),
		cmocka_unit_test(many_arenas_come_and_go),
	};

	return cmocka_run_group_tests_name("engine/arena", tests, NULL, NULL);
}
