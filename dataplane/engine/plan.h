/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plan: which loop runs on which CPU, with which roles.
 *
 * bb_plan_make() is a pure function of what was wished (abi/command.h) and of the facts of the machine, so it
 * is tested with made-up machines. Lists are taken as they are or refused by name; `auto` chooses:
 *
 *   usable  the CPUs that the process may run on; with 4 or more of them the first is left to the agent and
 *           the operating system; then one per physical core (two threads of a core share its pipelines)
 *   roles   lists that are equal: joined; that differ: split; else joined with at most 4 usable CPUs
 *   joined  an I/O core and a router on every usable CPU
 *   split   a third of the usable CPUs are routers (socket work outweighs routing), at least one
 *
 * In split mode a CPU may carry several loops; they take turns, so they must sleep when idle: adaptive.
 *
 * Thread: the agent, at start.
 */
#ifndef BB_ENGINE_PLAN_H
#define BB_ENGINE_PLAN_H

#include <hwloc.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/command.h"
#include "base/limits.h"
#include "engine/text.h"

#define BB_PLAN_NONE UINT32_MAX
#define BB_PLAN_WARNINGS_MAX 8

/* What bb_plan_make() must know of the machine. */
struct bb_plan_facts {
	hwloc_topology_t topology;
	hwloc_bitmap_t allowed;	       /* CPUs of the process's affinity mask */
	hwloc_bitmap_t isolated;       /* CPUs that the kernel keeps other tasks off */
	uint64_t hugepages_free_bytes; /* of the page size that has most free */
	uint64_t hugepage_bytes;       /* that size; 0: the kernel has none */
	bool clock_slow;	       /* reading the clock is a system call here */
};

/* Read this machine. 0 or negative errno. */
int bb_plan_facts_read(struct bb_plan_facts *ret);
void bb_plan_facts_free(struct bb_plan_facts *f);

/* One polling thread. */
struct bb_plan_loop {
	uint32_t cpu; /* operating system's number */
	uint32_t numa;
	uint32_t physical_core; /* hwloc's logical index */
	uint32_t io, router;	/* index in its role, BB_PLAN_NONE if it has not that role */
	bool shared;		/* its CPU carries other loops too */
};

struct bb_plan {
	uint32_t io_count, router_count, loop_count;
	bool joined, adaptive, hugepages; /* as resolved */
	uint64_t memory_bytes;
	uint64_t pool_bytes, tables_bytes; /* its parts, see engine/memory.h */
	uint64_t linger_ns;
	struct bb_plan_loop loop[2 * BB_CORES_MAX];
	cpu_set_t agent_cpus; /* allowed CPUs without a role, or all allowed ones if there are none */
	cpu_set_t role_cpus;
	uint32_t warning_count;
	char warnings[BB_PLAN_WARNINGS_MAX][BB_CMD_TEXT_MAX];
};

/*
 * 0, or negative errno with a line of text: -EINVAL the wish contradicts itself or a CPU does not exist,
 * -EPERM a CPU is not allowed, -ENOMEM less memory or hugepages than needed.
 */
int bb_plan_make(const struct bb_plan_facts *facts, const struct bb_cmd_plan *wish, struct bb_plan *ret,
	struct bb_text *text);

/* The answer to CORES_GET. */
void bb_plan_describe(const struct bb_plan *plan, struct bb_cmd_cores *ret);

#endif
