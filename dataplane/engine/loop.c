/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/counters.h"
#include "base/limits.h"
#include "base/time.h"

#define SAMPLE_NS (10 * BB_MSEC) /* how often memory gauges are renewed */

uint64_t
bb_clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * BB_SEC + (uint64_t)t.tv_nsec;
}

static void
kick(struct bb_wake *w)
{
	const uint64_t one = 1;
	const ssize_t n = write(w->fd, &one, sizeof(one));

	(void)n; /* cannot fail: the counter would have to stand at 2^64 - 1 */
}

int
bb_loop_init(struct bb_loop *l, const struct bb_loop_options *options)
{
	const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	*l = (struct bb_loop){ .options = *options, .fd_count = 1 };
	l->fds[0] = (struct pollfd){ .fd = fd, .events = POLLIN };
	l->wake.kick = kick;
	l->wake.fd = fd;
	return 0;
}

void
bb_loop_fini(struct bb_loop *l)
{
	if (l->wake.kick != NULL)
		close(l->wake.fd);
	*l = (struct bb_loop){ 0 };
}

void
bb_loop_add(struct bb_loop *l, const struct bb_loop_actor *actor)
{
	BB_ASSERT(l->actor_count < BB_LOOP_ACTORS_MAX);
	l->actors[l->actor_count++] = *actor;
	if (actor->wait_fd >= 0)
		l->fds[l->fd_count++] = (struct pollfd){ .fd = actor->wait_fd, .events = POLLIN };
}

static uint32_t
step_all(struct bb_loop *l, uint64_t now_ns)
{
	uint32_t work = 0;

	for (uint32_t i = 0; i < l->actor_count; i++) {
		const struct bb_loop_actor *a = &l->actors[i];
		work += a->poll(a->self, now_ns);
	}
	return work;
}

static uint64_t
earliest_deadline(struct bb_loop *l)
{
	uint64_t deadline_ns = BB_NEVER;

	for (uint32_t i = 0; i < l->actor_count; i++)
		deadline_ns = bb_min_u64(deadline_ns, l->actors[i].deadline(l->actors[i].self));
	return deadline_ns;
}

static void
sample_memory(struct bb_loop *l, uint64_t now_ns)
{
	struct bb_loop_memory m = { 0 };

	if (now_ns - l->sampled_ns < SAMPLE_NS)
		return;
	l->sampled_ns = now_ns;
	for (uint32_t i = 0; i < l->actor_count; i++)
		l->actors[i].memory(l->actors[i].self, l->actors[i].mem, &m);
	BB_GAUGE(l->options.row, BB_LOOP_PINNED_BYTES, m.pinned);
	BB_GAUGE(l->options.row, BB_LOOP_NEEDED_BYTES, m.needed);
	BB_GAUGE(l->options.row, BB_LOOP_EVACUATED_BYTES, m.evacuated);
	BB_GAUGE(l->options.row, BB_LOOP_MEM_USED_BYTES, m.used);
}

/* Wait for the eventfd, the actors' descriptors, or the time. */
static void
wait_for_events(struct bb_loop *l, uint64_t timeout_ns)
{
	const struct timespec timeout = {
		.tv_sec = (time_t)(timeout_ns / BB_SEC),
		.tv_nsec = (long)(timeout_ns % BB_SEC),
	};

	BB_COUNT(l->options.row, BB_LOOP_SLEEPS, 1);
	if (ppoll(l->fds, l->fd_count, &timeout, NULL) <= 0 || (l->fds[0].revents & POLLIN) == 0)
		return;
	uint64_t kicks;
	if (read(l->wake.fd, &kicks, sizeof(kicks)) == sizeof(kicks))
		BB_COUNT(l->options.row, BB_LOOP_WAKEUPS, 1);
}

/* Sleep unless the last look finds work, which it returns. *ret_slept: the clock has moved. */
static uint32_t
go_to_sleep(struct bb_loop *l, uint64_t now_ns, bool *ret_slept)
{
	uint32_t work = 0;

	sample_memory(l, now_ns);
	bb_wake_prepare(&l->wake);
	if (!atomic_load_explicit(&l->stop, memory_order_relaxed)) {
		/* The last look. What it starts itself may wake this very loop: one turn too many, no harm.
		 */
		work = step_all(l, now_ns);
		const uint64_t deadline_ns = bb_min_u64(earliest_deadline(l), now_ns + BB_LOOP_SLEEP_NS_MAX);
		if (work == 0 && deadline_ns > now_ns) {
			wait_for_events(l, deadline_ns - now_ns);
			*ret_slept = true;
		}
	}
	bb_wake_cancel(&l->wake);
	return work;
}

void
bb_loop_lend(struct bb_loop *l)
{
	atomic_store_explicit(&l->lent, true, memory_order_release);
}

void
bb_loop_take_back(struct bb_loop *l)
{
	BB_ASSERT(atomic_load_explicit(&l->returned, memory_order_acquire));
}

int
bb_loop_run(void *arg)
{
	struct bb_loop *l = arg;
	const bool lent = atomic_load_explicit(&l->lent, memory_order_acquire);

	BB_ASSERT(lent);
	struct bb_loop_row *row = l->options.row;
	const uint64_t spin_ns = l->options.shared ? 0 : BB_SPIN_NS;
	uint64_t now_ns = bb_clock_ns(), worked_ns = now_ns;
	bool slept = true; /* no turn lies before the first one */

	pthread_setname_np(pthread_self(), l->options.name);
	for (uint32_t work = 0; !atomic_load_explicit(&l->stop, memory_order_relaxed);) {
		const uint64_t began_ns = now_ns;

		now_ns = bb_clock_ns();
		if (!slept) {
			const uint64_t turn_ns = now_ns - began_ns;
			if (turn_ns > row->c[BB_LOOP_TURN_NS_MAX])
				BB_GAUGE(row, BB_LOOP_TURN_NS_MAX, turn_ns);
			if (work > 0)
				BB_COUNT(row, BB_LOOP_BUSY_NS, turn_ns);
		}
		slept = false;
		BB_COUNT(row, BB_LOOP_HEARTBEAT, 1);
		work = step_all(l, now_ns);
		if (work == 0 && l->options.adaptive && now_ns - worked_ns >= spin_ns)
			work = go_to_sleep(l, now_ns, &slept);
		if (work == 0)
			continue;
		BB_COUNT(row, BB_LOOP_BUSY_TURNS, 1);
		worked_ns = now_ns;
		sample_memory(l, now_ns);
	}
	atomic_store_explicit(&l->returned, true, memory_order_release);
	return 0;
}

void
bb_loop_stop(struct bb_loop *l)
{
	atomic_store_explicit(&l->stop, true, memory_order_relaxed);
	bb_wake_notify(&l->wake); /* its fence orders the store before the look at asleep */
}
