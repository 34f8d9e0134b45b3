/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "engine/memory.h"

#define JOINED_CPUS_MAX 4 /* with more usable CPUs auto splits */
#define LEAVE_ONE_CPUS 4  /* with so many allowed CPUs auto leaves one to everybody else */
#define LOOPS_MAX 127	  /* DPDK's RTE_MAX_LCORE as Debian builds it, less one for the agent */

struct cpu_list {
	uint32_t count;
	uint32_t cpu[BB_CMD_CPUS_MAX];
};

/* A set of CPUs as text, "0-1,4". */
struct set_text {
	char s[128];
};

static struct set_text
set_print(hwloc_const_bitmap_t set)
{
	struct set_text t;

	hwloc_bitmap_list_snprintf(t.s, sizeof(t.s), set);
	return t;
}

static void warn(struct bb_plan *plan, const char *fmt, ...) BB_PRINTF(2, 3);

static void
warn(struct bb_plan *plan, const char *fmt, ...)
{
	va_list args;

	if (plan->warning_count == BB_PLAN_WARNINGS_MAX)
		return;
	va_start(args, fmt);
	vsnprintf(plan->warnings[plan->warning_count++], BB_CMD_TEXT_MAX, fmt, args);
	va_end(args);
}

static uint32_t
numa_of(hwloc_topology_t topology, hwloc_obj_t pu)
{
	hwloc_obj_t node = NULL;

	while ((node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, node)) != NULL) {
		if (hwloc_bitmap_isset(node->cpuset, pu->os_index))
			return node->os_index;
	}
	return 0;
}

static uint32_t
physical_core_of(hwloc_topology_t topology, hwloc_obj_t pu)
{
	const hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, pu);

	return core != NULL ? core->logical_index : pu->logical_index; /* some machines show no cores */
}

/* What `auto` may choose from, in hwloc's order: neighbours share caches. */
static struct cpu_list
usable_cpus(const struct bb_plan_facts *facts)
{
	struct cpu_list list = { 0 };
	const bool leave_one = hwloc_bitmap_weight(facts->allowed) >= LEAVE_ONE_CPUS;
	const int left = leave_one ? hwloc_bitmap_first(facts->allowed) : -1;
	uint32_t last_core = BB_PLAN_NONE;
	hwloc_obj_t pu = NULL;

	while ((pu = hwloc_get_next_obj_by_type(facts->topology, HWLOC_OBJ_PU, pu)) != NULL) {
		if (list.count == BB_CMD_CPUS_MAX)
			break;
		if (!hwloc_bitmap_isset(facts->allowed, pu->os_index) || (int)pu->os_index == left)
			continue;
		const uint32_t core = physical_core_of(facts->topology, pu);
		if (core == last_core)
			continue; /* one per physical core */
		last_core = core;
		list.cpu[list.count++] = pu->os_index;
	}
	return list;
}

static int
check_list(const struct bb_plan_facts *facts, const char *role, uint32_t count, const uint16_t *cpus,
	struct cpu_list *ret, struct bb_text *text)
{
	struct cpu_list list = { .count = count };

	if (count > BB_CMD_CPUS_MAX)
		return bb_text_fail(text, -EINVAL, "cores: %s: %u CPUs are more than %u", role, count,
			(unsigned)BB_CMD_CPUS_MAX);
	for (uint32_t i = 0; i < count; i++) {
		const unsigned cpu = cpus[i];
		if (hwloc_get_pu_obj_by_os_index(facts->topology, cpu) == NULL)
			return bb_text_fail(text, -EINVAL,
				"cores: %s: cpu %u does not exist (this machine has: %s)", role, cpu,
				set_print(hwloc_topology_get_topology_cpuset(facts->topology)).s);
		if (!hwloc_bitmap_isset(facts->allowed, cpu))
			return bb_text_fail(text, -EPERM,
				"cores: %s: cpu %u is not allowed for this process (allowed: %s)", role, cpu,
				set_print(facts->allowed).s);
		list.cpu[i] = cpu;
	}
	*ret = list;
	return 0;
}

static bool
list_has(const struct cpu_list *list, uint32_t cpu)
{
	for (uint32_t i = 0; i < list->count; i++) {
		if (list->cpu[i] == cpu)
			return true;
	}
	return false;
}

static bool
lists_equal(const struct cpu_list *a, const struct cpu_list *b)
{
	return a->count == b->count && memcmp(a->cpu, b->cpu, a->count * sizeof(a->cpu[0])) == 0;
}

/* The usable CPUs that the other role does not have; all usable ones if that leaves none. */
static struct cpu_list
complement(const struct cpu_list *usable, const struct cpu_list *taken)
{
	struct cpu_list list = { 0 };

	for (uint32_t i = 0; i < usable->count; i++) {
		if (!list_has(taken, usable->cpu[i]))
			list.cpu[list.count++] = usable->cpu[i];
	}
	return list.count > 0 ? list : *usable;
}

static void
choose_split(const struct cpu_list *usable, struct cpu_list *io, struct cpu_list *router)
{
	if (io->count > 0 && router->count > 0)
		return;
	if (io->count > 0) {
		*router = complement(usable, io);
		return;
	}
	if (router->count > 0) {
		*io = complement(usable, router);
		return;
	}
	if (usable->count == 1) {
		*io = *router = *usable;
		return;
	}
	const uint32_t routers = usable->count < 6 ? 1 : usable->count / 3;
	io->count = usable->count - routers;
	router->count = routers;
	memcpy(io->cpu, usable->cpu, io->count * sizeof(io->cpu[0]));
	memcpy(router->cpu, usable->cpu + io->count, routers * sizeof(router->cpu[0]));
}

static int
choose_joined(
	const struct cpu_list *usable, struct cpu_list *io, struct cpu_list *router, struct bb_text *text)
{
	if (io->count == 0 && router->count == 0)
		*io = *usable;
	else if (io->count == 0)
		*io = *router;
	if (router->count == 0)
		*router = *io;
	if (!lists_equal(io, router))
		return bb_text_fail(text, -EINVAL,
			"cores: io and router differ, but roles are joined: give one list, or roles: split");
	for (uint32_t i = 1; i < io->count; i++) {
		const struct cpu_list before = { .count = i };
		struct cpu_list head = before;
		memcpy(head.cpu, io->cpu, i * sizeof(head.cpu[0]));
		if (list_has(&head, io->cpu[i]))
			return bb_text_fail(text, -EINVAL,
				"cores: io: cpu %u is named twice, but roles are joined: name it once, or "
				"roles: split",
				io->cpu[i]);
	}
	return 0;
}

static bool
want_joined(uint32_t roles, const struct cpu_list *usable, const struct cpu_list *io,
	const struct cpu_list *router)
{
	if (roles != BB_ROLES_AUTO)
		return roles == BB_ROLES_JOINED;
	if (io->count > 0 && router->count > 0)
		return lists_equal(io, router);
	return usable->count <= JOINED_CPUS_MAX;
}

static void
add_loop(struct bb_plan *plan, hwloc_topology_t topology, uint32_t cpu, uint32_t io, uint32_t router)
{
	const hwloc_obj_t pu = hwloc_get_pu_obj_by_os_index(topology, cpu);

	BB_ASSERT(pu != NULL && plan->loop_count < BB_ARRAY_LEN(plan->loop));
	plan->loop[plan->loop_count++] = (struct bb_plan_loop){
		.cpu = cpu,
		.numa = numa_of(topology, pu),
		.physical_core = physical_core_of(topology, pu),
		.io = io,
		.router = router,
	};
}

static void
place_loops(struct bb_plan *plan, hwloc_topology_t topology, const struct cpu_list *io,
	const struct cpu_list *router)
{
	plan->io_count = io->count;
	plan->router_count = router->count;
	for (uint32_t i = 0; i < io->count; i++)
		add_loop(plan, topology, io->cpu[i], i, plan->joined ? i : BB_PLAN_NONE);
	for (uint32_t i = 0; !plan->joined && i < router->count; i++)
		add_loop(plan, topology, router->cpu[i], BB_PLAN_NONE, i);
	for (uint32_t i = 0; i < plan->loop_count; i++) {
		for (uint32_t j = 0; j < plan->loop_count; j++) {
			if (i != j && plan->loop[i].cpu == plan->loop[j].cpu)
				plan->loop[i].shared = true;
		}
	}
}

static int
choose_cpus(const struct bb_plan_facts *facts, const struct bb_cmd_plan *wish, struct bb_plan *plan,
	struct bb_text *text)
{
	const struct cpu_list usable = usable_cpus(facts);
	struct cpu_list io, router;
	int error;

	if (wish->roles > BB_ROLES_SPLIT || wish->idle > BB_IDLE_ADAPTIVE ||
		wish->hugepages > BB_HUGEPAGES_OFF)
		return bb_text_fail(text, -EINVAL, "plan: roles, idle or hugepages out of range");
	if (usable.count == 0)
		return bb_text_fail(text, -EPERM, "cores: the affinity mask of this process allows no CPU");
	error = check_list(facts, "io", wish->io_count, wish->io_cpu, &io, text);
	if (error == 0)
		error = check_list(facts, "router", wish->router_count, wish->router_cpu, &router, text);
	if (error != 0)
		return error;

	plan->joined = want_joined(wish->roles, &usable, &io, &router);
	if (plan->joined)
		error = choose_joined(&usable, &io, &router, text);
	else
		choose_split(&usable, &io, &router);
	if (error != 0)
		return error;
	if ((plan->joined ? io.count : io.count + router.count) > LOOPS_MAX)
		return bb_text_fail(text, -EINVAL,
			"cores: %u I/O cores and %u routers are more than %u threads", io.count, router.count,
			LOOPS_MAX);
	place_loops(plan, facts->topology, &io, &router);
	return 0;
}

/* Memory, and whether it comes from hugepages. */
static int
choose_memory(const struct bb_plan_facts *facts, const struct bb_cmd_plan *wish, struct bb_plan *plan,
	struct bb_text *text)
{
	const int error = bb_memory_split(wish->memory_bytes, plan->io_count, plan->router_count,
		&plan->pool_bytes, &plan->tables_bytes, text);
	if (error != 0)
		return error;
	plan->memory_bytes = wish->memory_bytes;
	if (wish->hugepages == BB_HUGEPAGES_OFF)
		return 0;

	/* Beside the pool EAL needs a few pages for itself. */
	const uint64_t page = facts->hugepage_bytes != 0 ? facts->hugepage_bytes : UINT64_C(2) << 20;
	const uint64_t need = bb_align_up(plan->pool_bytes, page) + bb_align_up(UINT64_C(16) << 20, page);
	const unsigned long long pages = need / page;
	plan->hugepages = facts->hugepages_free_bytes >= need;
	if (plan->hugepages)
		return 0;
	if (wish->hugepages == BB_HUGEPAGES_REQUIRED)
		return bb_text_fail(text, -ENOMEM,
			"hugepages: required, %llu MiB needed, %llu MiB free: sysctl -w "
			"vm.nr_hugepages=%llu, or hugepages: off",
			(unsigned long long)(need >> 20),
			(unsigned long long)(facts->hugepages_free_bytes >> 20), pages);
	warn(plan,
		"hugepages: %llu MiB needed, %llu MiB free, so ordinary pages are used: more TLB misses; "
		"sysctl -w vm.nr_hugepages=%llu",
		(unsigned long long)(need >> 20), (unsigned long long)(facts->hugepages_free_bytes >> 20),
		pages);
	return 0;
}

static void
choose_idle(const struct bb_cmd_plan *wish, struct bb_plan *plan)
{
	const struct bb_plan_loop *shared = NULL;

	for (uint32_t i = 0; i < plan->loop_count; i++) {
		if (plan->loop[i].shared)
			shared = &plan->loop[i];
	}
	/* auto: these are kernel sockets, which wait well; polling would only heat the room. */
	plan->adaptive = wish->idle != BB_IDLE_POLL || shared != NULL;
	if (shared == NULL)
		return;
	warn(plan,
		"cores: cpu %u carries several loops, which take turns%s; name more CPUs, or roles: joined",
		shared->cpu, wish->idle == BB_IDLE_POLL ? " and sleep when idle in spite of idle: poll" : "");
}

static void
warn_of_neighbours(const struct bb_plan_facts *facts, struct bb_plan *plan)
{
	hwloc_bitmap_t open = hwloc_bitmap_alloc();
	bool siblings = false;

	for (uint32_t i = 0; i < plan->loop_count; i++) {
		const struct bb_plan_loop *a = &plan->loop[i];
		if (!hwloc_bitmap_isset(facts->isolated, a->cpu))
			hwloc_bitmap_set(open, a->cpu);
		for (uint32_t j = 0; j < i && !siblings; j++) {
			const struct bb_plan_loop *b = &plan->loop[j];
			siblings = a->physical_core == b->physical_core && a->cpu != b->cpu;
			if (siblings)
				warn(plan,
					"cores: cpu %u and cpu %u are threads of one physical core and slow "
					"each other; "
					"name one of them, or: echo off > "
					"/sys/devices/system/cpu/smt/control",
					b->cpu, a->cpu);
		}
	}
	if (!hwloc_bitmap_iszero(open)) {
		const struct set_text set = set_print(open);
		warn(plan,
			"cores: the kernel may run other tasks on cpu %s: boot with isolcpus=%s nohz_full=%s "
			"rcu_nocbs=%s",
			set.s, set.s, set.s, set.s);
	}
	hwloc_bitmap_free(open);
	if (facts->clock_slow)
		warn(plan, "clock: reading it is a system call here: "
			   "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource");
}

/* The agent floats over what carries no role. */
static void
choose_agent(const struct bb_plan_facts *facts, struct bb_plan *plan)
{
	unsigned cpu;

	CPU_ZERO(&plan->role_cpus);
	CPU_ZERO(&plan->agent_cpus);
	for (uint32_t i = 0; i < plan->loop_count; i++)
		CPU_SET(plan->loop[i].cpu, &plan->role_cpus);
	hwloc_bitmap_foreach_begin(cpu, facts->allowed)
	{
		if (cpu < CPU_SETSIZE && !CPU_ISSET(cpu, &plan->role_cpus))
			CPU_SET(cpu, &plan->agent_cpus);
	}
	hwloc_bitmap_foreach_end();
	if (CPU_COUNT(&plan->agent_cpus) > 0)
		return;
	hwloc_bitmap_foreach_begin(cpu, facts->allowed)
	{
		if (cpu < CPU_SETSIZE)
			CPU_SET(cpu, &plan->agent_cpus);
	}
	hwloc_bitmap_foreach_end();
}

int
bb_plan_make(const struct bb_plan_facts *facts, const struct bb_cmd_plan *wish, struct bb_plan *ret,
	struct bb_text *text)
{
	struct bb_plan plan = { .linger_ns = wish->linger_ns };
	int error = choose_cpus(facts, wish, &plan, text);

	if (error == 0)
		error = choose_memory(facts, wish, &plan, text);
	if (error != 0)
		return error;
	choose_idle(wish, &plan);
	warn_of_neighbours(facts, &plan);
	choose_agent(facts, &plan);
	*ret = plan;
	return 0;
}

void
bb_plan_describe(const struct bb_plan *plan, struct bb_cmd_cores *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->joined = plan->joined;
	ret->adaptive = plan->adaptive;
	ret->hugepages = plan->hugepages;
	ret->memory_bytes = plan->memory_bytes;
	memcpy(ret->warnings, plan->warnings, sizeof(ret->warnings));
	for (uint32_t i = 0; i < plan->loop_count; i++) {
		const struct bb_plan_loop *l = &plan->loop[i];
		ret->core[ret->count++] = (struct bb_cmd_core){
			.cpu = l->cpu,
			.numa = l->numa,
			.roles = (l->io != BB_PLAN_NONE ? BB_ROLE_IO : 0) |
				 (l->router != BB_PLAN_NONE ? BB_ROLE_ROUTER : 0),
			.io = l->io,
			.router = l->router,
			.physical_core = l->physical_core,
			.loop = i,
		};
	}
	ret->core[ret->count++] = (struct bb_cmd_core){
		.cpu = UINT32_MAX,
		.roles = BB_ROLE_AGENT,
		.io = UINT32_MAX,
		.router = UINT32_MAX,
		.physical_core = UINT32_MAX,
		.loop = UINT32_MAX,
	};
}
