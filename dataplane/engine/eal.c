/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/eal.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_log.h>
#include <rte_memzone.h>

#include "base/assert.h"
#include "base/log.h"

#define ARGS_MAX 16
/* Without hugepages EAL wants its heap beforehand; ports take their packet buffers from it. */
#define NO_HUGE_MIB "64"

/* EAL keeps pointers into its arguments, and puts others in their place. */
struct args {
	int count;
	char *v[ARGS_MAX + 1];
	size_t used;
	char text[16384];
};

/* The last line that EAL wrote while it started: if it fails, that is the reason. */
static char last_line[BB_CMD_TEXT_MAX];
static char runtime_dir[512]; /* to be removed at the end; empty: nothing to remove */
static bool started;

static ssize_t
log_write(void *cookie, const char *buf, size_t bytes)
{
	size_t len = bytes < sizeof(last_line) - 1 ? bytes : sizeof(last_line) - 1;

	(void)cookie;
	while (len > 0 && (buf[len - 1] == '\n' || buf[len - 1] == ' '))
		len--;
	if (len == 0)
		return (ssize_t)bytes;
	memcpy(last_line, buf, len);
	last_line[len] = '\0';
	bb_log_debug("EAL", "text=\"%s\"", bb_text_clean(last_line));
	return (ssize_t)bytes;
}

static void
open_log(void)
{
	/* EAL's own stream would write to the system log as well. */
	FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){ .write = log_write });

	if (stream == NULL)
		return;
	setvbuf(stream, NULL, _IOLBF, 0);
	rte_openlog_stream(stream);
}

static void add(struct args *a, const char *fmt, ...) BB_PRINTF(2, 3);

static void
add(struct args *a, const char *fmt, ...)
{
	va_list list;

	BB_ASSERT(a->count < ARGS_MAX);
	va_start(list, fmt);
	a->v[a->count++] = a->text + a->used;
	a->used += (size_t)vsnprintf(a->text + a->used, sizeof(a->text) - a->used, fmt, list) + 1;
	va_end(list);
	BB_ASSERT(a->used <= sizeof(a->text));
}

static void
add_lcores(struct args *a, const struct bb_plan *plan)
{
	char text[8192];
	size_t len = (size_t)snprintf(text, sizeof(text), "--lcores=0@(");
	const char *comma = "";

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &plan->agent_cpus) || len > sizeof(text) / 2)
			continue;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%d", comma, cpu);
		comma = ",";
	}
	len += (size_t)snprintf(text + len, sizeof(text) - len, ")");
	for (uint32_t i = 0; i < plan->loop_count; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, ",%u@%u", i + 1, plan->loop[i].cpu);
	BB_ASSERT(len < sizeof(text));
	add(a, "%s", text);
}

/* EAL takes its directory from the environment: RUNTIME_DIRECTORY, which a service manager may have set. */
static void
choose_runtime_dir(const char *state_dir, const char *prefix)
{
	const char *dir = getenv("RUNTIME_DIRECTORY");

	if (dir == NULL) {
		setenv("RUNTIME_DIRECTORY", state_dir, 1);
		dir = state_dir;
	}
	snprintf(runtime_dir, sizeof(runtime_dir), "%s/dpdk/%s", dir, prefix);
}

static void
remove_runtime_dir(void)
{
	char *slash;

	if (runtime_dir[0] == '\0')
		return;
	rmdir(runtime_dir);
	slash = strrchr(runtime_dir, '/');
	*slash = '\0';
	rmdir(runtime_dir); /* stays if another process has its own there */
	runtime_dir[0] = '\0';
}

int
bb_eal_start(const struct bb_plan *plan, const char *state_dir, struct bb_text *text)
{
	static struct args a;
	char prefix[64];

	if (started)
		return bb_text_fail(text, -EALREADY, "EAL was started before in this process");
	started = true;
	snprintf(prefix, sizeof(prefix), "busbar-%d", (int)getpid());
	choose_runtime_dir(state_dir, prefix);
	add(&a, "busbar-dataplane");
	if (plan->hugepages) {
		add(&a, "--in-memory");
	} else {
		add(&a, "--no-huge");
		add(&a, "-m");
		add(&a, NO_HUGE_MIB);
		add(&a, "--no-shconf");
	}
	add(&a, "--no-telemetry");
	add(&a, "--no-pci");
	add(&a, "--iova-mode=va"); /* virtual addresses do for everything but some PCI devices */
	add(&a, "--file-prefix=%s", prefix);
	add(&a, "--log-level=4"); /* errors; what EAL warns of, the plan has said better */
	add(&a, "--main-lcore=0");
	add_lcores(&a, plan);

	open_log();
	optind = 1;
	if (rte_eal_init(a.count, a.v) < 0) {
		const int error = rte_errno != 0 ? rte_errno : EIO;
		remove_runtime_dir();
		return bb_text_fail(text, -error, "EAL did not start: %s (%s)", strerror(error),
			last_line[0] != '\0' ? last_line : "it gave no reason");
	}
	return 0;
}

void
bb_eal_stop(void)
{
	rte_eal_cleanup();
	remove_runtime_dir();
}

void *
bb_eal_reserve(size_t bytes)
{
	const struct rte_memzone *zone = rte_memzone_reserve_aligned(
		"busbar_pool", bytes, SOCKET_ID_ANY, 0, 4096);

	return zone != NULL ? zone->addr : NULL;
}

void
bb_eal_release(void *p)
{
	const struct rte_memzone *zone = rte_memzone_lookup("busbar_pool");

	BB_ASSERT(zone != NULL && zone->addr == p);
	rte_memzone_free(zone);
}

int
bb_eal_launch(uint32_t loop, int (*fn)(void *arg), void *arg)
{
	return rte_eal_remote_launch(fn, arg, loop + 1);
}

void
bb_eal_join(uint32_t loop)
{
	rte_eal_wait_lcore(loop + 1);
}
