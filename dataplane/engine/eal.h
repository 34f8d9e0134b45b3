/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * eal: DPDK's environment: its start, its threads, its hugepages. The one file of the engine that calls DPDK;
 * unit tests put threads of their own in its place.
 *
 * EAL starts once in a life of the process. The calling thread becomes lcore 0, the agent, floating over the
 * CPUs without a role; lcore n + 1 is loop n, pinned to its CPU (several may share one).
 *
 * With hugepages: --in-memory, so that nothing is left on a hugetlbfs whatever way the process ends. Without:
 * --no-huge. Files that EAL insists on lie in a runtime directory of this process under the state directory
 * (or RUNTIME_DIRECTORY, when the service manager gives one) and are removed at the end. No PCI device is
 * touched, no telemetry socket opened. It needs no privilege.
 *
 * Thread: the agent.
 */
#ifndef BB_ENGINE_EAL_H
#define BB_ENGINE_EAL_H

#include <stddef.h>
#include <stdint.h>

#include "engine/plan.h"
#include "engine/text.h"

/* 0 or negative errno with a line of text; a second call is -EALREADY, also after bb_eal_stop(). */
int bb_eal_start(const struct bb_plan *plan, const char *state_dir, struct bb_text *text);
void bb_eal_stop(void);

/* Memory on hugepages, aligned to a page of 4 KiB; NULL if there is not enough in one piece. */
void *bb_eal_reserve(size_t bytes);
void bb_eal_release(void *p);

/* Run fn(arg) on the thread of a loop; it runs at most one at a time. 0 or negative errno. */
int bb_eal_launch(uint32_t loop, int (*fn)(void *arg), void *arg);

/* Wait until that thread's function has returned. */
void bb_eal_join(uint32_t loop);

#endif
