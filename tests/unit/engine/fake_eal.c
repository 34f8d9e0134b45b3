/* SPDX-License-Identifier: BSD-3-Clause */
/* fake_eal: engine/eal.h with plain threads and ordinary memory, so that tests run without DPDK. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/assert.h"
#include "engine/eal.h"

struct fake_thread {
	pthread_t id;
	bool running;
	int (*fn)(void *arg);
	void *arg;
};

static struct fake_thread threads[2 * BB_CORES_MAX];

int
bb_eal_start(const struct bb_plan *plan, const char *state_dir, struct bb_text *text)
{
	(void)plan, (void)state_dir, (void)text;
	return 0;
}

void
bb_eal_stop(void)
{
}

void *
bb_eal_reserve(size_t bytes)
{
	return aligned_alloc(4096, bytes);
}

void
bb_eal_release(void *p)
{
	free(p);
}

static void *
thread_main(void *arg)
{
	const struct fake_thread *t = arg;

	t->fn(t->arg);
	return NULL;
}

int
bb_eal_launch(uint32_t loop, int (*fn)(void *arg), void *arg)
{
	struct fake_thread *t = &threads[loop];

	BB_ASSERT(!t->running);
	*t = (struct fake_thread){ .fn = fn, .arg = arg, .running = true };
	return -pthread_create(&t->id, NULL, thread_main, t);
}

void
bb_eal_join(uint32_t loop)
{
	struct fake_thread *t = &threads[loop];

	if (t->running)
		pthread_join(t->id, NULL);
	t->running = false;
}
