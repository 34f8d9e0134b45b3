/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "engine/plan.h"

#define GIB (UINT64_C(1) << 30)

/* A machine that does not exist, of which the process may use the given CPUs (NULL: all). */
static struct bb_plan_facts
machine(const char *synthetic, const char *allowed)
{
	struct bb_plan_facts f = { .hugepage_bytes = 2 << 20, .hugepages_free_bytes = 4 * GIB };

	assert_int_equal(hwloc_topology_init(&f.topology), 0);
	assert_int_equal(hwloc_topology_set_synthetic(f.topology, synthetic), 0);
	assert_int_equal(hwloc_topology_load(f.topology), 0);
	f.allowed = hwloc_bitmap_dup(hwloc_topology_get_topology_cpuset(f.topology));
	f.isolated = hwloc_bitmap_dup(f.allowed);
	if (allowed != NULL)
		hwloc_bitmap_list_sscanf(f.allowed, allowed);
	return f;
}

static struct bb_cmd_plan
wish_auto(void)
{
	return (struct bb_cmd_plan){ .memory_bytes = GIB };
}

static void
wish_io(struct bb_cmd_plan *wish, uint32_t count, const uint16_t *cpus)
{
	wish->io_count = count;
	memcpy(wish->io_cpu, cpus, count * sizeof(cpus[0]));
}

static void
wish_router(struct bb_cmd_plan *wish, uint32_t count, const uint16_t *cpus)
{
	wish->router_count = count;
	memcpy(wish->router_cpu, cpus, count * sizeof(cpus[0]));
}

static struct bb_plan
made(struct bb_plan_facts *f, const struct bb_cmd_plan *wish)
{
	struct bb_plan plan;
	struct bb_text text = { "" };

	if (bb_plan_make(f, wish, &plan, &text) != 0)
		fail_msg("refused: %s", text.s);
	bb_plan_facts_free(f);
	return plan;
}

static void
refused(struct bb_plan_facts *f, const struct bb_cmd_plan *wish, int error, const char *says)
{
	struct bb_plan plan;
	struct bb_text text = { "" };

	assert_int_equal(bb_plan_make(f, wish, &plan, &text), error);
	assert_string_equal(text.s, says);
	bb_plan_facts_free(f);
}

static bool
warns_of(const struct bb_plan *plan, const char *part)
{
	for (uint32_t i = 0; i < plan->warning_count; i++) {
		if (strstr(plan->warnings[i], part) != NULL)
			return true;
	}
	return false;
}

static void
two_cpus_are_joined_and_both_used(void **state)
{
	struct bb_plan_facts f = machine("core:2 pu:1", NULL);
	const struct bb_cmd_plan wish = wish_auto();
	const struct bb_plan p = made(&f, &wish);

	(void)state;
	assert_true(p.joined);
	assert_true(p.adaptive);
	assert_true(p.hugepages);
	assert_int_equal(p.loop_count, 2);
	assert_int_equal(p.io_count, 2);
	assert_int_equal(p.router_count, 2);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(p.loop[i].cpu, i);
		assert_int_equal(p.loop[i].io, i);
		assert_int_equal(p.loop[i].router, i);
		assert_false(p.loop[i].shared);
	}
	assert_int_equal(CPU_COUNT(&p.agent_cpus), 2); /* none is free, so the agent floats over all */
	assert_int_equal(p.warning_count, 0);
}

static void
one_cpu_carries_everything(void **state)
{
	struct bb_plan_facts f = machine("core:4 pu:1", "2");
	const struct bb_cmd_plan wish = wish_auto();
	const struct bb_plan p = made(&f, &wish);

	(void)state;
	assert_int_equal(p.loop_count, 1);
	assert_int_equal(p.loop[0].cpu, 2);
	assert_true(CPU_ISSET(2, &p.agent_cpus));
}

static void
four_cpus_leave_one_to_the_agent(void **state)
{
	struct bb_plan_facts f = machine("core:4 pu:1", NULL);
	const struct bb_cmd_plan wish = wish_auto();
	const struct bb_plan p = made(&f, &wish);

	(void)state;
	assert_true(p.joined);
	assert_int_equal(p.loop_count, 3);
	assert_int_equal(p.loop[0].cpu, 1);
	assert_int_equal(CPU_COUNT(&p.agent_cpus), 1);
	assert_true(CPU_ISSET(0, &p.agent_cpus));
}

static void
many_cpus_are_split_one_per_physical_core(void **state)
{
	struct bb_plan_facts f = machine("numa:2 core:8 pu:2", NULL);
	const struct bb_cmd_plan wish = wish_auto();
	const struct bb_plan p = made(&f, &wish);

	(void)state;
	assert_false(p.joined);
	assert_int_equal(p.io_count, 11);
	assert_int_equal(p.router_count, 5);
	assert_int_equal(p.loop_count, 16);
	for (uint32_t i = 0; i < p.loop_count; i++) {
		for (uint32_t j = 0; j < i; j++)
			assert_int_not_equal(p.loop[i].physical_core, p.loop[j].physical_core);
		assert_int_equal(p.loop[i].numa, p.loop[i].cpu / 16);
		assert_int_equal(p.loop[i].io, i < 11 ? i : BB_PLAN_NONE);
		assert_int_equal(p.loop[i].router, i < 11 ? BB_PLAN_NONE : i - 11);
	}
	assert_false(CPU_ISSET(0, &p.role_cpus));
	assert_false(warns_of(&p, "physical core"));
}

static void
two_io_cores_and_two_routers_share_two_cpus(void **state)
{
	static const uint16_t both[] = { 0, 1 };
	struct bb_plan_facts f = machine("core:2 pu:1", NULL);
	struct bb_cmd_plan wish = wish_auto();

	(void)state;
	wish.roles = BB_ROLES_SPLIT;
	wish.idle = BB_IDLE_POLL; /* not possible here */
	wish_io(&wish, 2, both);
	wish_router(&wish, 2, both);
	const struct bb_plan p = made(&f, &wish);
	assert_false(p.joined);
	assert_true(p.adaptive);
	assert_int_equal(p.loop_count, 4);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(p.loop[i].cpu, i % 2);
		assert_true(p.loop[i].shared);
	}
	assert_true(warns_of(&p, "take turns and sleep when idle in spite of idle: poll"));
}

static void
equal_lists_are_joined_and_different_ones_split(void **state)
{
	static const uint16_t a[] = { 2, 3 }, b[] = { 4, 5 };
	struct bb_plan_facts f = machine("core:8 pu:1", NULL), g = machine("core:8 pu:1", NULL);
	struct bb_cmd_plan wish = wish_auto();

	(void)state;
	wish_io(&wish, 2, a);
	wish_router(&wish, 2, a);
	assert_true(made(&f, &wish).joined);
	wish_router(&wish, 2, b);
	wish.idle = BB_IDLE_POLL;
	const struct bb_plan p = made(&g, &wish);
	assert_false(p.joined);
	assert_false(p.adaptive);
	assert_int_equal(p.loop[2].cpu, 4);
	assert_int_equal(p.loop[2].router, 0);
}

static void
one_list_leaves_the_other_role_what_is_left(void **state)
{
	static const uint16_t io[] = { 1, 2, 3, 4 };
	struct bb_plan_facts f = machine("core:8 pu:1", NULL);
	struct bb_cmd_plan wish = wish_auto();

	(void)state;
	wish_io(&wish, 4, io);
	const struct bb_plan p = made(&f, &wish);
	assert_false(p.joined);
	assert_int_equal(p.router_count, 3); /* 5-7: cpu 0 is left to the agent */
	assert_int_equal(p.loop[4].cpu, 5);
}

static void
joined_takes_the_one_list_for_both_roles(void **state)
{
	static const uint16_t router[] = { 6, 7 };
	struct bb_plan_facts f = machine("core:8 pu:1", NULL);
	struct bb_cmd_plan wish = wish_auto();

	(void)state;
	wish.roles = BB_ROLES_JOINED;
	wish_router(&wish, 2, router);
	const struct bb_plan p = made(&f, &wish);
	assert_int_equal(p.loop_count, 2);
	assert_int_equal(p.loop[1].cpu, 7);
	assert_int_equal(p.loop[1].io, 1);
}

static void
a_cpu_outside_the_affinity_mask_is_refused_by_name(void **state)
{
	static const uint16_t io[] = { 7 };
	struct bb_plan_facts f = machine("core:8 pu:1", "0-1");
	struct bb_cmd_plan wish = wish_auto();

	(void)state;
	wish_io(&wish, 1, io);
	refused(&f, &wish, -EPERM, "cores: io: cpu 7 is not allowed for this process (allowed: 0-1)");
}

static void
a_cpu_that_does_not_exist_is_refused_by_name(void **state)
{
	static const uint16_t router[] = { 1, 99 };
	struct bb_plan_facts f = machine("core:2 pu:1", NULL);
	struct bb_cmd_plan wish = wish_auto();

	(void)state;
	wish_router(&wish, 2, router);
	refused(&f, &wish, -EINVAL, "cores: router: cpu 99 does not exist (this machine has: 0-1)");
}

static void
lists_that_differ_cannot_be_joined(void **state)
{
	static const uint16_t a[] = { 0 }, b[] = { 1 };
	struct bb_plan_facts f = machine("core:2 pu:1", NULL);
	struct bb_cmd_plan wish = wish_auto();

	(void)state;
	wish.roles = BB_ROLES_JOINED;
	wish_io(&wish, 1, a);
	wish_router(&wish, 1, b);
	refused(&f, &wish, -EINVAL,
		"cores: io and router differ, but roles are joined: give one list, or roles: split");
}

static void
a_cpu_named_twice_is_refused_in_joined_mode_only(void **state)
{
	static const uint16_t twice[] = { 1, 1 }, other[] = { 0 };
	struct bb_plan_facts f = machine("core:2 pu:1", NULL), g = machine("core:2 pu:1", NULL);
	struct bb_cmd_plan wish = wish_auto();

	(void)state;
	wish_io(&wish, 2, twice);
	wish_router(&wish, 1, other);
	assert_int_equal(made(&f, &wish).io_count, 2);
	wish.router_count = 0;
	wish.roles = BB_ROLES_JOINED;
	refused(&g, &wish, -EINVAL,
		"cores: io: cpu 1 is named twice, but roles are joined: name it once, or roles: split");
}

static void
values_out_of_range_are_refused(void **state)
{
	struct bb_plan_facts f = machine("core:2 pu:1", NULL), g = machine("core:2 pu:1", NULL);
	struct bb_cmd_plan wish = wish_auto();

	(void)state;
	wish.roles = 3;
	refused(&f, &wish, -EINVAL, "plan: roles, idle or hugepages out of range");
	wish = wish_auto();
	wish.io_count = BB_CMD_CPUS_MAX + 1;
	refused(&g, &wish, -EINVAL, "cores: io: 65 CPUs are more than 64");
}

static void
missing_hugepages_are_a_warning_or_a_refusal_with_the_command(void **state)
{
	struct bb_plan_facts f = machine("core:2 pu:1", NULL), g = machine("core:2 pu:1", NULL),
			     h = machine("core:2 pu:1", NULL);
	struct bb_cmd_plan wish = wish_auto();

	(void)state;
	f.hugepages_free_bytes = g.hugepages_free_bytes = h.hugepages_free_bytes = 0;
	const struct bb_plan p = made(&f, &wish);
	assert_false(p.hugepages);
	assert_true(warns_of(&p, "sysctl -w vm.nr_hugepages=392")); /* 768 MiB and 16 MiB of 2 MiB */
	wish.hugepages = BB_HUGEPAGES_OFF;
	assert_int_equal(made(&h, &wish).warning_count, 0); /* as wished */
	wish.hugepages = BB_HUGEPAGES_REQUIRED;
	refused(&g, &wish, -ENOMEM,
		"hugepages: required, 784 MiB needed, 0 MiB free: sysctl -w vm.nr_hugepages=392, or "
		"hugepages: off");
}

static void
threads_of_one_core_and_open_cpus_are_warned_of(void **state)
{
	static const uint16_t io[] = { 0, 1 };
	struct bb_plan_facts f = machine("core:2 pu:2", NULL);
	struct bb_cmd_plan wish = wish_auto();

	(void)state;
	hwloc_bitmap_zero(f.isolated);
	f.clock_slow = true;
	wish.roles = BB_ROLES_JOINED;
	wish_io(&wish, 2, io);
	const struct bb_plan p = made(&f, &wish);
	assert_true(warns_of(&p, "cpu 0 and cpu 1 are threads of one physical core"));
	assert_true(warns_of(&p, "isolcpus=0-1"));
	assert_true(warns_of(&p, "current_clocksource"));
}

static void
too_little_memory_is_refused(void **state)
{
	struct bb_plan_facts f = machine("core:2 pu:1", NULL);
	struct bb_cmd_plan wish = wish_auto();

	(void)state;
	wish.memory_bytes = 1 << 20;
	refused(&f, &wish, -ENOMEM,
		"memory: 1 MiB is too little for 2 I/O cores and 2 routers: at least 16 MiB");
}

static void
the_description_lists_each_loop_and_the_agent(void **state)
{
	struct bb_plan_facts f = machine("core:2 pu:1", NULL);
	const struct bb_cmd_plan wish = wish_auto();
	const struct bb_plan p = made(&f, &wish);
	struct bb_cmd_cores cores;

	(void)state;
	bb_plan_describe(&p, &cores);
	assert_int_equal(cores.count, 3);
	assert_int_equal(cores.core[1].cpu, 1);
	assert_int_equal(cores.core[1].roles, BB_ROLE_IO | BB_ROLE_ROUTER);
	assert_int_equal(cores.core[1].loop, 1);
	assert_int_equal(cores.core[2].roles, BB_ROLE_AGENT);
	assert_int_equal(cores.core[2].cpu, UINT32_MAX);
}

static void
this_machine_can_be_read_and_planned(void **state)
{
	struct bb_plan_facts f;
	struct bb_cmd_plan wish = wish_auto();

	(void)state;
	wish.hugepages = BB_HUGEPAGES_OFF;
	assert_int_equal(bb_plan_facts_read(&f), 0);
	const int allowed = hwloc_bitmap_weight(f.allowed);
	const struct bb_plan p = made(&f, &wish);
	assert_true(allowed >= 1);
	assert_in_range(p.loop_count, 1, (uintmax_t)allowed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_cpus_are_joined_and_both_used),
		cmocka_unit_test(one_cpu_carries_everything),
		cmocka_unit_test(four_cpus_leave_one_to_the_agent),
		cmocka_unit_test(many_cpus_are_split_one_per_physical_core),
		cmocka_unit_test(two_io_cores_and_two_routers_share_two_cpus),
		cmocka_unit_test(equal_lists_are_joined_and_different_ones_split),
		cmocka_unit_test(one_list_leaves_the_other_role_what_is_left),
		cmocka_unit_test(joined_takes_the_one_list_for_both_roles),
		cmocka_unit_test(a_cpu_outside_the_affinity_mask_is_refused_by_name),
		cmocka_unit_test(a_cpu_that_does_not_exist_is_refused_by_name),
		cmocka_unit_test(lists_that_differ_cannot_be_joined),
		cmocka_unit_test(a_cpu_named_twice_is_refused_in_joined_mode_only),
		cmocka_unit_test(values_out_of_range_are_refused),
		cmocka_unit_test(missing_hugepages_are_a_warning_or_a_refusal_with_the_command),
		cmocka_unit_test(threads_of_one_core_and_open_cpus_are_warned_of),
		cmocka_unit_test(too_little_memory_is_refused),
		cmocka_unit_test(the_description_lists_each_loop_and_the_agent),
		cmocka_unit_test(this_machine_can_be_read_and_planned),
	};

	return cmocka_run_group_tests_name("engine/plan", tests, NULL, NULL);
}
