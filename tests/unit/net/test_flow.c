/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rand.h"
#include "net/flow.h"

#define COUNT 3000

struct world {
	struct bb_mem mem;
	struct bb_flow flow;
	struct bb_flow_key keys[COUNT];
	bool in[COUNT];
};

static const struct bb_flow_key *
key_of(const void *ctx, uint32_t ref)
{
	return &((const struct world *)ctx)->keys[BB_FLOW_IDX(ref)];
}

static void
world_init(struct world *w, uint32_t entries_max)
{
	memset(w, 0, sizeof(*w));
	bb_mem_init_heap(&w->mem, 1 << 24);
	const struct bb_hash_key key = { 1, 2 };
	assert_int_equal(bb_flow_init(&w->flow, &w->mem, entries_max, key, key_of, w), 0);
	for (uint32_t i = 0; i < COUNT; i++) {
		w->keys[i].rport = (uint16_t)i;
		w->keys[i].lport = (uint16_t)(i >> 4);
		w->keys[i].remote.b[3] = (uint8_t)i;
	}
}

/* mask: how many bits of the hash are kept; few make every bucket spill. */
static void
race(uint32_t entries_max, uint64_t mask, uint64_t seed)
{
	static struct world w;
	struct bb_rand r;
	uint32_t count = 0;

	world_init(&w, entries_max);
	bb_rand_init(&r, seed);
	for (int step = 0; step < 60000; step++) {
		const uint32_t i = bb_rand_below(&r, COUNT);
		const uint64_t hash = bb_flow_hash(&w.flow, &w.keys[i]) & mask;
		const uint32_t ref = BB_FLOW_REF(i % 3, i);
		assert_int_equal(bb_flow_find(&w.flow, &w.keys[i], hash), w.in[i] ? ref : BB_FLOW_NONE);
		if (w.in[i]) {
			bb_flow_remove(&w.flow, hash, ref);
			w.in[i] = false;
			count--;
		} else if (count < entries_max) {
			bb_flow_insert(&w.flow, hash, ref);
			w.in[i] = true;
			count++;
		}
		assert_int_equal(w.flow.count, count);
	}
	bb_flow_fini(&w.flow, &w.mem);
	assert_int_equal(w.mem.used_bytes, 0);
}

static void
table_agrees_with_a_naive_model(void **state)
{
	(void)state;
	race(1500, UINT64_MAX, 1);
	race(100, UINT64_MAX, 2);
}

static void
table_agrees_with_a_naive_model_when_all_hashes_collide(void **state)
{
	(void)state;
	race(1000, 3, 3);
	race(400, UINT64_C(0xff00000000000001), 4);
}

static void
a_full_table_holds_and_finds_all(void **state)
{
	(void)state;
	static struct world w;

	world_init(&w, COUNT);
	for (uint32_t i = 0; i < COUNT; i++)
		bb_flow_insert(&w.flow, bb_flow_hash(&w.flow, &w.keys[i]), BB_FLOW_REF(0, i));
	for (uint32_t i = 0; i < COUNT; i++)
		assert_int_equal(bb_flow_find(&w.flow, &w.keys[i], bb_flow_hash(&w.flow, &w.keys[i])), i);
	bb_flow_fini(&w.flow, &w.mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_agrees_with_a_naive_model),
		cmocka_unit_test(table_agrees_with_a_naive_model_when_all_hashes_collide),
		cmocka_unit_test(a_full_table_holds_and_finds_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
