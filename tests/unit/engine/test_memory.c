/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "engine/memory.h"

#define MIB (UINT64_C(1) << 20)

static struct bb_plan
small_plan(bool hugepages)
{
	struct bb_plan plan = {
		.io_count = 2,
		.router_count = 1,
		.loop_count = 1,
		.hugepages = hugepages,
		.memory_bytes = 32 * MIB,
	};
	struct bb_text text;

	assert_int_equal(
		bb_memory_split(plan.memory_bytes, 2, 1, &plan.pool_bytes, &plan.tables_bytes, &text), 0);
	return plan;
}

static void
three_quarters_are_messages_and_the_rest_tables(void **state)
{
	uint64_t pool, tables;
	struct bb_text text;

	(void)state;
	assert_int_equal(bb_memory_split(1024 * MIB, 2, 4, &pool, &tables, &text), 0);
	assert_int_equal(pool, 768 * MIB);
	assert_int_equal(tables, 256 * MIB);
	assert_int_equal(bb_memory_budget(tables, 2, 4, true), 64 * MIB);
	assert_int_equal(bb_memory_budget(tables, 2, 4, false), 32 * MIB);
}

static void
less_than_is_useful_is_refused_and_just_enough_is_taken(void **state)
{
	uint64_t pool, tables;
	struct bb_text text;

	(void)state;
	assert_int_equal(bb_memory_split(15 * MIB, 1, 1, &pool, &tables, &text), -ENOMEM);
	assert_string_equal(
		text.s, "memory: 15 MiB is too little for 1 I/O cores and 1 routers: at least 16 MiB");
	assert_int_equal(bb_memory_split(16 * MIB, 1, 1, &pool, &tables, &text), 0);
	assert_int_equal(bb_memory_split(0, 64, 64, &pool, &tables, &text), -ENOMEM);
	assert_non_null(strstr(text.s, "at least 1372 MiB")); /* a buffer open for each pair, four times */
	assert_int_equal(bb_memory_split(1372 * MIB, 64, 64, &pool, &tables, &text), 0);
}

static void
the_pool_and_each_actor_get_their_part(void **state)
{
	const struct bb_plan plan = small_plan(false);
	struct bb_plan_facts f;
	struct bb_memory m;
	struct bb_text text;

	(void)state;
	assert_int_equal(bb_plan_facts_read(&f), 0);
	assert_int_equal(bb_memory_init(&m, &plan, f.topology, &text), 0);
	assert_int_equal(m.pool.count, 24 * MIB / BB_BUFFER_BYTES);
	assert_int_equal(bb_memory_io(&m, 1)->max_bytes, 2 * MIB);
	assert_int_equal(bb_memory_router(&m, &plan, 0)->max_bytes, 4 * MIB);
	assert_ptr_not_equal(bb_memory_io(&m, 0), bb_memory_io(&m, 1));

	const uint32_t b = bb_pool_get(&m.pool, BB_POOL_DATA);
	memset(bb_pool_bytes(&m.pool, b), 0x5a, BB_BUFFER_BYTES);
	bb_pool_put(&m.pool, b, 1);
	bb_memory_fini(&m, true);
	bb_plan_facts_free(&f);
}

static void
hugepages_come_from_eal_and_go_back(void **state)
{
	const struct bb_plan plan = small_plan(true);
	struct bb_memory m;
	struct bb_text text;

	(void)state;
	assert_int_equal(bb_memory_init(&m, &plan, NULL, &text), 0);
	memset(m.pool_bytes, 1, m.pool_length);
	bb_memory_fini(&m, true);
}

static void
a_pool_that_no_machine_has_is_refused_with_nothing_left_behind(void **state)
{
	struct bb_plan plan = small_plan(false);
	struct bb_memory m;
	struct bb_text text = { "" };

	(void)state;
	plan.pool_bytes = UINT64_C(1) << 48;
	plan.hugepages = false;
	assert_int_equal(bb_memory_init(&m, &plan, NULL, &text), -ENOMEM);
	assert_non_null(strstr(text.s, "lower dataplane.memory"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_quarters_are_messages_and_the_rest_tables),
		cmocka_unit_test(less_than_is_useful_is_refused_and_just_enough_is_taken),
		cmocka_unit_test(the_pool_and_each_actor_get_their_part),
		cmocka_unit_test(hugepages_come_from_eal_and_go_back),
		cmocka_unit_test(a_pool_that_no_machine_has_is_refused_with_nothing_left_behind),
	};

	return cmocka_run_group_tests_name("engine/memory", tests, NULL, NULL);
}
