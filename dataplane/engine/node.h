/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * node: everything that stands between a plan and running loops, made in order and undone in reverse:
 *
 *   machine  what hwloc says              loops       one per role thread, not running yet
 *   plan     which loop runs where        transports  kernel sockets, one per I/O core
 *   eal      DPDK, its threads            ios         the I/O actors, on their loops
 *   memory   message pool, tables         routers     the router actors, on their loops
 *   counters the segment others read      threads     the loops run
 *   fabric   the rings
 *
 * Thread: the agent.
 */
#ifndef BB_ENGINE_NODE_H
#define BB_ENGINE_NODE_H

#include "base/counters.h"
#include "engine/loop.h"
#include "engine/memory.h"
#include "engine/plan.h"
#include "msg/fabric.h"

struct bb_io;
struct bb_ktcp;
struct bb_router;

struct bb_node {
	struct bb_cmd_plan wish;
	const char *state_dir;
	struct bb_wake *agent_wake;
	size_t steps_done;
	bool spent; /* EAL was started: there is no second try in this process */
	bool clean; /* all actors are drained: whatever is not given back at the end is our own bug */

	struct bb_plan_facts machine;
	struct bb_plan plan;
	struct bb_memory memory;
	int counters_fd; /* memfd, sealed */
	size_t counters_bytes;
	void *counters_memory;
	struct bb_counters counters;
	struct bb_fabric fabric;
	struct bb_loop *loops; /* [plan.loop_count] */
	struct bb_ktcp **transports;
	struct bb_io **ios;
	struct bb_router **routers;
	uint32_t launched; /* loops that run */
};

/* 0, or negative errno with a line of text; then nothing is left behind. EAL starts only once in a process: a
 * failure in or behind it is the last one, see bb_eal_start(). */
int bb_node_start(struct bb_node *n, const struct bb_cmd_plan *wish, const char *state_dir,
	struct bb_wake *agent_wake, struct bb_text *text);

/* Stop the loops; the actors stay as they are. */
void bb_node_halt(struct bb_node *n);

/* Halt and undo everything. */
void bb_node_stop(struct bb_node *n);

#endif
