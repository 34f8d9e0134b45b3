/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/time.h"
#include "engine/loop.h"

/* An actor whose step does what the test put into it. Shared words are atomic: the test looks on. */
struct fake {
	_Atomic uint32_t inbox; /* work to be found, one per step */
	_Atomic uint32_t done;
	_Atomic uint32_t steps;
	_Atomic uint64_t deadline_ns;
	_Atomic uint64_t late_ns; /* how long after its deadline it was polled */
	int event_fd;
	uint32_t *order; /* where to write id when polled, for the test of the order */
	uint32_t id;
};

static uint32_t
fake_poll(void *self, uint64_t now_ns)
{
	struct fake *f = self;

	f->steps++;
	if (f->order != NULL)
		*f->order = *f->order * 10 + f->id;
	if (f->event_fd >= 0) {
		uint64_t n;
		if (read(f->event_fd, &n, sizeof(n)) == sizeof(n))
			f->inbox += (uint32_t)n;
	}
	if (now_ns >= f->deadline_ns) {
		f->late_ns = now_ns - f->deadline_ns;
		f->deadline_ns = BB_NEVER;
		f->done++;
		return 1;
	}
	if (f->inbox == 0)
		return 0;
	f->inbox--;
	f->done++;
	return 1;
}

static uint64_t
fake_deadline(void *self)
{
	return ((struct fake *)self)->deadline_ns;
}

static void
fake_memory(void *self, const struct bb_mem *mem, struct bb_loop_memory *add)
{
	(void)self, (void)mem;
	add->pinned += 10;
	add->needed += 5;
	add->used += 100;
}

struct bench {
	struct bb_loop *loop;
	struct bb_loop_row row;
	struct fake fake;
	pthread_t thread;
};

static void *
run(void *loop)
{
	bb_loop_run(loop);
	return NULL;
}

static void
start(struct bench *b, bool adaptive, bool shared, int event_fd)
{
	*b = (struct bench){ .fake = { .deadline_ns = BB_NEVER, .event_fd = event_fd, .id = 1 } };
	b->loop = aligned_alloc(_Alignof(struct bb_loop), sizeof(*b->loop));
	assert_non_null(b->loop);
	const struct bb_loop_options options = {
		.adaptive = adaptive, .shared = shared, .row = &b->row, .name = "loop-test"
	};
	assert_int_equal(bb_loop_init(b->loop, &options), 0);
	bb_loop_add(b->loop, &(struct bb_loop_actor){ .self = &b->fake,
				     .poll = fake_poll,
				     .deadline = fake_deadline,
				     .memory = fake_memory,
				     .wait_fd = event_fd });
	bb_loop_lend(b->loop);
	assert_int_equal(pthread_create(&b->thread, NULL, run, b->loop), 0);
}

static void
stop(struct bench *b)
{
	bb_loop_stop(b->loop);
	pthread_join(b->thread, NULL);
	bb_loop_fini(b->loop);
	free(b->loop);
}

/* Waits for what must come; the test's own time-out is the judge of "never". */
static void
until(const _Atomic uint32_t *word, uint32_t value)
{
	while (*word < value)
		usleep(200);
}

static uint64_t
row_read(const struct bench *b, int counter)
{
	return __atomic_load_n(&b->row.c[counter], __ATOMIC_RELAXED);
}

static void
until_asleep(struct bench *b)
{
	while (row_read(b, BB_LOOP_SLEEPS) == 0 || b->loop->wake.asleep == 0)
		usleep(200);
}

static void
a_polling_loop_turns_without_work_and_never_sleeps(void **state)
{
	struct bench b;

	(void)state;
	start(&b, false, false, -1);
	until(&b.fake.steps, 1000);
	stop(&b);
	assert_int_equal(row_read(&b, BB_LOOP_SLEEPS), 0);
	assert_true(row_read(&b, BB_LOOP_HEARTBEAT) >= 1000);
	assert_int_equal(row_read(&b, BB_LOOP_BUSY_TURNS), 0);
	assert_true(row_read(&b, BB_LOOP_TURN_NS_MAX) > 0);
}

static void
a_sleeping_loop_is_woken_by_a_publisher(void **state)
{
	struct bench b;

	(void)state;
	start(&b, true, false, -1);
	for (uint32_t i = 1; i <= 100; i++) {
		until_asleep(&b);
		b.fake.inbox++;
		bb_wake_notify(&b.loop->wake);
		until(&b.fake.done, i);
	}
	stop(&b);
	assert_true(row_read(&b, BB_LOOP_WAKEUPS) >= 100);
	assert_true(row_read(&b, BB_LOOP_BUSY_TURNS) >= 100);
	assert_true(row_read(&b, BB_LOOP_BUSY_NS) > 0);
	assert_int_equal(row_read(&b, BB_LOOP_PINNED_BYTES), 10);
	assert_int_equal(row_read(&b, BB_LOOP_NEEDED_BYTES), 5);
	assert_int_equal(row_read(&b, BB_LOOP_MEM_USED_BYTES), 100);
}

static void
a_sleeping_loop_is_woken_by_its_transport(void **state)
{
	const int fd = eventfd(0, EFD_NONBLOCK);
	const uint64_t one = 1;
	struct bench b;

	(void)state;
	start(&b, true, true, fd);
	until_asleep(&b);
	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
	until(&b.fake.done, 1);
	stop(&b);
	close(fd);
}

static void
a_sleeping_loop_keeps_its_actors_deadlines(void **state)
{
	struct bench b;

	(void)state;
	start(&b, true, true, -1);
	until_asleep(&b);
	const uint64_t deadline_ns = bb_clock_ns() + 30 * BB_MSEC;
	b.fake.deadline_ns = deadline_ns;
	bb_wake_notify(&b.loop->wake);
	until(&b.fake.done, 1);
	assert_true(bb_clock_ns() >= deadline_ns);
	stop(&b);
}

static void
the_heartbeat_goes_on_while_the_loop_sleeps(void **state)
{
	struct bench b;

	(void)state;
	start(&b, true, true, -1);
	until_asleep(&b);
	const uint64_t turns = row_read(&b, BB_LOOP_HEARTBEAT);
	while (row_read(&b, BB_LOOP_HEARTBEAT) < turns + 2)
		usleep(1000);
	stop(&b);
	assert_int_equal(row_read(&b, BB_LOOP_WAKEUPS), 1); /* nobody but stop() woke it */
}

static void
actors_take_turns_in_the_order_they_were_added(void **state)
{
	struct bb_loop *l = aligned_alloc(_Alignof(struct bb_loop), sizeof(*l));
	struct bb_loop_row row = { { 0 } };
	uint32_t order = 0;
	struct fake fakes[2];

	(void)state;
	assert_non_null(l);
	assert_int_equal(bb_loop_init(l, &(struct bb_loop_options){ .row = &row, .name = "order" }), 0);
	for (uint32_t i = 0; i < 2; i++) {
		fakes[i] = (struct fake){
			.order = &order, .id = i + 1, .event_fd = -1, .deadline_ns = BB_NEVER
		};
		bb_loop_add(l, &(struct bb_loop_actor){ .self = &fakes[i],
				       .poll = fake_poll,
				       .deadline = fake_deadline,
				       .memory = fake_memory,
				       .wait_fd = -1 });
	}
	pthread_t thread;
	bb_loop_lend(l);
	assert_int_equal(pthread_create(&thread, NULL, run, l), 0);
	until(&fakes[1].steps, 2);
	bb_loop_stop(l);
	pthread_join(thread, NULL);
	/* Digits wrap around in 32 bits; the first two turns would be 1212, so check parity of the steps. */
	assert_int_equal(fakes[0].steps, fakes[1].steps);
	bb_loop_fini(l);
	free(l);
}

static void
a_loop_that_was_stopped_before_it_began_returns(void **state)
{
	struct bb_loop *l = aligned_alloc(_Alignof(struct bb_loop), sizeof(*l));
	struct bb_loop_row row = { { 0 } };

	(void)state;
	assert_non_null(l);
	assert_int_equal(bb_loop_init(l, &(struct bb_loop_options){ .row = &row, .name = "none" }), 0);
	bb_loop_stop(l);
	bb_loop_lend(l);
	assert_int_equal(bb_loop_run(l), 0);
	bb_loop_take_back(l);
	assert_int_equal(row.c[BB_LOOP_HEARTBEAT], 0);
	bb_loop_fini(l);
	free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_polling_loop_turns_without_work_and_never_sleeps),
		cmocka_unit_test(a_sleeping_loop_is_woken_by_a_publisher),
		cmocka_unit_test(a_sleeping_loop_is_woken_by_its_transport),
		cmocka_unit_test(a_sleeping_loop_keeps_its_actors_deadlines),
		cmocka_unit_test(the_heartbeat_goes_on_while_the_loop_sleeps),
		cmocka_unit_test(actors_take_turns_in_the_order_they_were_added),
		cmocka_unit_test(a_loop_that_was_stopped_before_it_began_returns),
	};

	return cmocka_run_group_tests_name("engine/loop", tests, NULL, NULL);
}
