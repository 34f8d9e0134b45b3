/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * handover: ten million real hand-overs through a ring to a thread that goes to sleep whenever it finds
 * nothing, and as many answers back: the sleep protocol on this very processor.
 *
 * Nobody waits with a time-out, so a lost wake-up stops everything; the main thread then says so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/rand.h"
#include "msg/ring.h"
#include "msg/wake.h"

#define HANDOVERS UINT64_C(10000000)
#define RING_SLOTS 256
#define BATCH_MAX 64
#define SECONDS_MAX 300

/* One direction, and how its reader sleeps. */
struct lane {
	struct bb_wake wake;
	struct bb_ring ring;
	uint64_t sleeps, kicks; /* the reader's; the writer's */
};

static struct lane there, back;

static void
kick(struct bb_wake *w)
{
	const uint64_t one = 1;

	if (write(w->fd, &one, sizeof(one)) != sizeof(one))
		abort();
}

static void
lane_init(struct lane *l)
{
	const size_t bytes = bb_ring_memory_bytes(RING_SLOTS, sizeof(uint64_t));
	void *memory = aligned_alloc(2 * BB_CACHE_LINE, bb_align_up(bytes, 2 * BB_CACHE_LINE));

	assert_non_null(memory);
	bb_ring_init(&l->ring, memory, RING_SLOTS, sizeof(uint64_t));
	l->wake.kick = kick;
	l->wake.fd = eventfd(0, EFD_CLOEXEC);
	assert_true(l->wake.fd >= 0);
}

static void
lane_fini(struct lane *l)
{
	close(l->wake.fd);
	free(l->ring.ring);
}

/* Read up to n numbers, sleeping until there is one. */
static uint32_t
lane_read(struct lane *l, uint64_t *ret, uint32_t n)
{
	uint32_t got = bb_ring_pop(&l->ring, ret, n);

	while (got == 0) {
		bb_wake_prepare(&l->wake);
		got = bb_ring_pop(&l->ring, ret, n);
		if (got == 0) {
			uint64_t kicks;
			l->sleeps++;
			if (read(l->wake.fd, &kicks, sizeof(kicks)) != sizeof(kicks))
				abort();
		}
		bb_wake_cancel(&l->wake);
		if (got == 0)
			got = bb_ring_pop(&l->ring, ret, n);
	}
	return got;
}

/* Counts what comes and answers each batch with the number it has reached. */
static void *
reader_main(void *arg)
{
	uint64_t next = 0, numbers[BATCH_MAX];

	(void)arg;
	while (next < HANDOVERS) {
		const uint32_t n = lane_read(&there, numbers, BATCH_MAX);
		for (uint32_t i = 0; i < n; i++) {
			if (numbers[i] != next++)
				abort();
		}
		/* The ring back never fills: the writer has at most RING_SLOTS - 1 numbers outstanding. */
		if (bb_ring_push(&back.ring, &next, 1) != 1)
			abort();
		back.kicks += bb_wake_notify(&back.wake);
	}
	return NULL;
}

/* Random batches, and now and then a wait until all is answered, so that both sides fall asleep. */
static void *
writer_main(void *arg)
{
	uint64_t next = 0, answered = 0, numbers[BATCH_MAX];
	struct bb_rand r;

	(void)arg;
	bb_rand_init(&r, 1);
	while (answered < HANDOVERS) {
		const uint32_t want = (uint32_t)bb_min_u64(
			1 + bb_rand_below(&r, BATCH_MAX), HANDOVERS - next);
		for (uint32_t i = 0; i < want; i++)
			numbers[i] = next + i;
		const uint32_t room = (uint32_t)(RING_SLOTS - 1 - (next - answered));
		const uint32_t pushed = bb_ring_push(&there.ring, numbers, want < room ? want : room);
		next += pushed;
		if (pushed > 0)
			there.kicks += bb_wake_notify(&there.wake);
		const bool wait_for_all = next == HANDOVERS || bb_rand_one_in(&r, 4);
		while (wait_for_all ? answered < next : next - answered == RING_SLOTS - 1) {
			const uint32_t n = lane_read(&back, numbers, BATCH_MAX);
			answered = numbers[n - 1];
		}
	}
	return NULL;
}

static void
ten_million_hand_overs_lose_no_wake_up(void **state)
{
	pthread_t reader, writer;
	struct timespec until;

	(void)state;
	lane_init(&there);
	lane_init(&back);
	assert_int_equal(pthread_create(&reader, NULL, reader_main, NULL), 0);
	assert_int_equal(pthread_create(&writer, NULL, writer_main, NULL), 0);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += SECONDS_MAX;
	if (pthread_timedjoin_np(writer, NULL, &until) != 0) {
		printf("not through after %d s: a wake-up was lost\n", SECONDS_MAX);
		fflush(stdout);
		_exit(1); /* the threads hang, nothing can be tidied up */
	}
	pthread_join(reader, NULL);
	printf("there: %llu sleeps, %llu kicks; back: %llu sleeps, %llu kicks\n",
		(unsigned long long)there.sleeps, (unsigned long long)there.kicks,
		(unsigned long long)back.sleeps, (unsigned long long)back.kicks);
	assert_true(there.kicks > 0 || back.kicks > 0); /* else nobody ever slept, and nothing was tested */
	lane_fini(&there);
	lane_fini(&back);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ten_million_hand_overs_lose_no_wake_up),
	};

	return cmocka_run_group_tests_name("model/handover", tests, NULL, NULL);
}
