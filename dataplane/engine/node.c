/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "engine/eal.h"
#include "engine/startup.h"
#include "msg/batch.h"
#include "msg/mail.h"
#include "route/router.h"
#include "transport/io.h"
#include "transport/ktcp.h"

#define FABRIC_BYTES_MAX (UINT64_C(64) << 20) /* of delivery rings: their slots are fewer with many cores */
#define SLOT_BYTES 64			      /* tables of one session slot, generously */

static int
no_memory(struct bb_text *text, const char *what)
{
	return bb_text_fail(text, -ENOMEM, "no memory for %s", what);
}

/* --- machine, plan, eal, memory ------------------------------------------------------------------------- */

static int
machine_init(void *ctx, struct bb_text *text)
{
	struct bb_node *n = ctx;
	const int error = bb_plan_facts_read(&n->machine);

	return error == 0 ? 0 : bb_text_fail(text, error, "hwloc cannot read this machine");
}

static void
machine_fini(void *ctx)
{
	bb_plan_facts_free(&((struct bb_node *)ctx)->machine);
}

static int
plan_init(void *ctx, struct bb_text *text)
{
	struct bb_node *n = ctx;
	const int error = bb_plan_make(&n->machine, &n->wish, &n->plan, text);

	for (uint32_t i = 0; error == 0 && i < n->plan.warning_count; i++) {
		char line[BB_CMD_TEXT_MAX];
		memcpy(line, n->plan.warnings[i], sizeof(line));
		bb_log_warn("PLAN", "what=\"%s\"", bb_text_clean(line));
	}
	return error;
}

static int
eal_init(void *ctx, struct bb_text *text)
{
	struct bb_node *n = ctx;

	n->spent = true;
	return bb_eal_start(&n->plan, n->state_dir, text);
}

static void
eal_fini(void *ctx)
{
	(void)ctx;
	bb_eal_stop();
}

static int
memory_init(void *ctx, struct bb_text *text)
{
	struct bb_node *n = ctx;

	return bb_memory_init(&n->memory, &n->plan, n->machine.topology, text);
}

static void
memory_fini(void *ctx)
{
	struct bb_node *n = ctx;

	bb_memory_fini(&n->memory, n->clean);
}

/* --- counters, fabric, loops ---------------------------------------------------------------------------- */

static uint32_t
session_max(const struct bb_node *n)
{
	const uint64_t budget = bb_memory_budget(
		n->plan.tables_bytes, n->plan.io_count, n->plan.router_count, true);

	return (uint32_t)bb_min_u64(BB_SESSIONS_MAX, budget / SLOT_BYTES / 4);
}

static int
counters_init(void *ctx, struct bb_text *text)
{
	struct bb_node *n = ctx;
	const struct bb_counters_sizes sizes = {
		.loop_count = n->plan.loop_count,
		.io_count = n->plan.io_count,
		.router_count = n->plan.router_count,
		.side_count = 2 * BB_ENDPOINTS_MAX,
		.session_count = session_max(n),
	};
	const size_t bytes = bb_counters_bytes(&sizes);
	const int fd = memfd_create("busbar-counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return bb_text_fail(text, -errno, "no memory file for counters: %s", strerror(errno));
	void *p = MAP_FAILED;
	if (ftruncate(fd, (off_t)bytes) == 0)
		p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	/* Whoever gets it can neither shrink it under us nor map it writable. */
	if (p == MAP_FAILED ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) !=
			0) {
		const int error = -errno;
		if (p != MAP_FAILED)
			munmap(p, bytes);
		close(fd);
		return bb_text_fail(text, error, "no %zu bytes for counters: %s", bytes, strerror(-error));
	}
	n->counters_fd = fd;
	n->counters_bytes = bytes;
	n->counters_memory = p;
	bb_counters_init(&n->counters, p, &sizes);
	return 0;
}

static void
counters_fini(void *ctx)
{
	struct bb_node *n = ctx;

	munmap(n->counters_memory, n->counters_bytes);
	close(n->counters_fd);
	n->counters_fd = -1;
}

static int
fabric_init(void *ctx, struct bb_text *text)
{
	struct bb_node *n = ctx;
	struct bb_fabric_sizes sizes = {
		.io_count = n->plan.io_count,
		.router_count = n->plan.router_count,
		.slices = BB_RING_SLICES,
		.deliveries = BB_RING_DELIVERIES,
		.mails = BB_RING_COMMANDS,
		.window_bytes = BB_WINDOW_BYTES,
	};
	const uint64_t pairs = (uint64_t)sizes.io_count * sizes.router_count;

	while (sizes.deliveries > 256 &&
		pairs * sizes.deliveries * sizeof(struct bb_delivery) > FABRIC_BYTES_MAX)
		sizes.deliveries /= 2;
	if (bb_fabric_init(&n->fabric, &sizes, &n->memory.pool) != 0)
		return no_memory(text, "the rings");
	n->fabric.agent_wake = n->agent_wake;
	return 0;
}

static void
fabric_fini(void *ctx)
{
	struct bb_node *n = ctx;

	/* What was said after the hearer had stopped: slices, accepted sockets, reports. */
	for (uint32_t io = 0; io < n->plan.io_count; io++) {
		for (uint32_t r = 0; r < n->plan.router_count; r++) {
			struct bb_slice slice;
			while (bb_ring_pop(bb_fabric_slices(&n->fabric, io, r), &slice, 1) == 1)
				bb_batch_discard(&n->memory.pool, &slice);
		}
		struct bb_mail mail;
		for (uint32_t to = 0; to < n->plan.io_count; to++) {
			while (bb_ring_pop(bb_fabric_io_mail(&n->fabric, io, to), &mail, 1) == 1)
				close((int)mail.value);
		}
		while (bb_ring_pop(&n->fabric.io_to_agent[io], &mail, 1) == 1) {
			if (mail.kind == BB_MAIL_REPORT)
				free(mail.ptr);
		}
	}
	bb_fabric_fini(&n->fabric);
}

static void
loops_fini(void *ctx)
{
	struct bb_node *n = ctx;

	for (uint32_t i = 0; i < n->plan.loop_count; i++)
		bb_loop_fini(&n->loops[i]);
	free(n->loops);
	n->loops = NULL;
}

static int
loops_init(void *ctx, struct bb_text *text)
{
	struct bb_node *n = ctx;

	n->loops = aligned_alloc(_Alignof(struct bb_loop), n->plan.loop_count * sizeof(*n->loops));
	if (n->loops == NULL)
		return no_memory(text, "loops");
	memset(n->loops, 0, n->plan.loop_count * sizeof(*n->loops));
	for (uint32_t i = 0; i < n->plan.loop_count; i++) {
		const struct bb_plan_loop *p = &n->plan.loop[i];
		struct bb_loop_options options = {
			.adaptive = n->plan.adaptive, .shared = p->shared, .row = &n->counters.loops[i]
		};
		snprintf(options.name, sizeof(options.name), "bb-%s-%u",
			n->plan.joined		? "core"
			: p->io != BB_PLAN_NONE ? "io"
						: "router",
			p->io != BB_PLAN_NONE ? p->io : p->router);
		const int error = bb_loop_init(&n->loops[i], &options);
		if (error != 0) {
			loops_fini(n);
			return bb_text_fail(text, error, "no descriptors for loops: raise ulimit -n");
		}
		if (p->io != BB_PLAN_NONE)
			n->fabric.io_wake[p->io] = &n->loops[i].wake;
		if (p->router != BB_PLAN_NONE)
			n->fabric.router_wake[p->router] = &n->loops[i].wake;
	}
	return 0;
}

/* --- transports, actors --------------------------------------------------------------------------------- */

static void
transports_fini(void *ctx)
{
	struct bb_node *n = ctx;

	for (uint32_t i = 0; i < n->plan.io_count; i++)
		bb_ktcp_destroy(n->transports[i]);
	free(n->transports);
	n->transports = NULL;
}

static int
transports_init(void *ctx, struct bb_text *text)
{
	struct bb_node *n = ctx;

	n->transports = calloc(n->plan.io_count, sizeof(struct bb_ktcp *));
	if (n->transports == NULL)
		return no_memory(text, "transports");
	for (uint32_t i = 0; i < n->plan.io_count; i++) {
		const int error = bb_ktcp_create(bb_memory_io(&n->memory, i), &n->transports[i]);
		if (error != 0) {
			transports_fini(n);
			return bb_text_fail(
				text, error, "kernel sockets of I/O core %u: %s", i, strerror(-error));
		}
	}
	return 0;
}

static uint32_t
io_poll(void *self, uint64_t now_ns)
{
	return bb_io_poll(self, now_ns);
}

static uint64_t
io_deadline(void *self)
{
	return bb_io_deadline(self);
}

static uint32_t
router_poll(void *self, uint64_t now_ns)
{
	return bb_router_poll(self, now_ns);
}

static uint64_t
router_deadline(void *self)
{
	return bb_router_deadline(self);
}

static void
io_memory(void *self, const struct bb_mem *mem, struct bb_loop_memory *add)
{
	uint64_t pinned, needed, evacuated;

	bb_io_memory(self, &pinned, &needed, &evacuated);
	add->pinned += pinned;
	add->needed += needed;
	add->evacuated += evacuated;
	add->used += mem->used_bytes;
}

static void
router_memory(void *self, const struct bb_mem *mem, struct bb_loop_memory *add)
{
	uint64_t pinned, needed, evacuated;

	bb_router_memory(self, &pinned, &needed, &evacuated);
	add->pinned += pinned;
	add->needed += needed;
	add->evacuated += evacuated;
	add->used += mem->used_bytes;
}

static int
random_fill(void *p, size_t bytes, struct bb_text *text)
{
	if (getrandom(p, bytes, 0) == (ssize_t)bytes)
		return 0;
	return bb_text_fail(text, -EIO, "the kernel gives no random numbers");
}

static struct bb_loop *
loop_of(const struct bb_node *n, uint32_t io, uint32_t router)
{
	for (uint32_t i = 0; i < n->plan.loop_count; i++) {
		const struct bb_plan_loop *p = &n->plan.loop[i];
		if ((io != BB_PLAN_NONE && p->io == io) || (router != BB_PLAN_NONE && p->router == router))
			return &n->loops[i];
	}
	BB_ASSERT(false); /* the plan gives each actor a loop */
}

static void
ios_fini(void *ctx)
{
	struct bb_node *n = ctx;

	for (uint32_t i = 0; i < n->plan.io_count; i++)
		bb_io_destroy(n->ios[i]);
	free(n->ios);
	n->ios = NULL;
}

static int
ios_init(void *ctx, struct bb_text *text)
{
	struct bb_node *n = ctx;

	n->ios = calloc(n->plan.io_count, sizeof(struct bb_io *));
	if (n->ios == NULL)
		return no_memory(text, "I/O cores");
	for (uint32_t i = 0; i < n->plan.io_count; i++) {
		struct bb_transport *transport = bb_ktcp_transport(n->transports[i]);
		struct bb_io_options o = {
			.index = i,
			.actor = 1 + i,
			.fabric = &n->fabric,
			.mem = bb_memory_io(&n->memory, i),
			.counters = &n->counters,
			.transport = transport,
			.session_max = session_max(n),
		};
		int error = random_fill(&o.seed, sizeof(o.seed), text);
		if (error == 0 && bb_io_create(&o, &n->ios[i]) != 0)
			error = no_memory(text, "I/O cores");
		if (error != 0) {
			ios_fini(n);
			return error;
		}
		bb_loop_add(loop_of(n, i, BB_PLAN_NONE), &(struct bb_loop_actor){ .self = n->ios[i],
								 .mem = o.mem,
								 .poll = io_poll,
								 .deadline = io_deadline,
								 .memory = io_memory,
								 .wait_fd = transport->wait_fd });
	}
	return 0;
}

static void
routers_fini(void *ctx)
{
	struct bb_node *n = ctx;

	for (uint32_t i = 0; i < n->plan.router_count; i++)
		bb_router_destroy(n->routers[i]);
	free(n->routers);
	n->routers = NULL;
}

static int
routers_init(void *ctx, struct bb_text *text)
{
	struct bb_node *n = ctx;

	n->routers = calloc(n->plan.router_count, sizeof(struct bb_router *));
	if (n->routers == NULL)
		return no_memory(text, "routers");
	for (uint32_t i = 0; i < n->plan.router_count; i++) {
		struct bb_router_options o = {
			.index = i,
			.actor = 1 + n->plan.io_count + i,
			.fabric = &n->fabric,
			.mem = bb_memory_router(&n->memory, &n->plan, i),
			.counters = &n->counters,
		};
		int error = random_fill(&o.hash_key, sizeof(o.hash_key), text);
		if (error == 0 && bb_router_create(&o, &n->routers[i]) != 0)
			error = no_memory(text, "routers");
		if (error != 0) {
			routers_fini(n);
			return error;
		}
		bb_loop_add(loop_of(n, BB_PLAN_NONE, i), &(struct bb_loop_actor){ .self = n->routers[i],
								 .mem = o.mem,
								 .poll = router_poll,
								 .deadline = router_deadline,
								 .memory = router_memory,
								 .wait_fd = -1 });
	}
	return 0;
}

/* --- threads -------------------------------------------------------------------------------------------- */

void
bb_node_halt(struct bb_node *n)
{
	for (uint32_t i = 0; i < n->launched; i++)
		bb_loop_stop(&n->loops[i]);
	for (uint32_t i = 0; i < n->launched; i++) {
		bb_eal_join(i);
		bb_loop_take_back(&n->loops[i]);
	}
	n->launched = 0;
}

static void
threads_fini(void *ctx)
{
	bb_node_halt(ctx);
}

static int
threads_init(void *ctx, struct bb_text *text)
{
	struct bb_node *n = ctx;

	for (n->launched = 0; n->launched < n->plan.loop_count; n->launched++) {
		bb_loop_lend(&n->loops[n->launched]);
		const int error = bb_eal_launch(n->launched, bb_loop_run, &n->loops[n->launched]);
		if (error != 0) {
			bb_node_halt(n);
			return bb_text_fail(
				text, error, "a loop's thread did not start: %s", strerror(-error));
		}
	}
	return 0;
}

static const struct bb_startup_step steps[] = {
	{ "machine", machine_init, machine_fini },
	{ "plan", plan_init, NULL },
	{ "eal", eal_init, eal_fini },
	{ "memory", memory_init, memory_fini },
	{ "counters", counters_init, counters_fini },
	{ "fabric", fabric_init, fabric_fini },
	{ "loops", loops_init, loops_fini },
	{ "transports", transports_init, transports_fini },
	{ "ios", ios_init, ios_fini },
	{ "routers", routers_init, routers_fini },
	{ "threads", threads_init, threads_fini },
};

int
bb_node_start(struct bb_node *n, const struct bb_cmd_plan *wish, const char *state_dir,
	struct bb_wake *agent_wake, struct bb_text *text)
{
	memset(n, 0, sizeof(*n));
	n->wish = *wish;
	n->state_dir = state_dir;
	n->agent_wake = agent_wake;
	n->counters_fd = -1;
	return bb_startup_do(steps, BB_ARRAY_LEN(steps), n, &n->steps_done, text);
}

void
bb_node_stop(struct bb_node *n)
{
	bb_startup_undo(steps, &n->steps_done, n);
}
