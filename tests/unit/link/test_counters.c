/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/counters.h"
#include "link/counters.h"

static const struct bb_counters_sizes sizes = {
	.loop_count = 3, .io_count = 2, .router_count = 2, .side_count = 4, .session_count = 4
};

static struct bb_counters written; /* as the data plane sees the segment */
static struct bb_counters_view view;
static int fd;
static uint64_t bytes;

static int
set_up(void **state)
{
	(void)state;
	bytes = bb_counters_bytes(&sizes);
	fd = memfd_create("test", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(p != MAP_FAILED);
	bb_counters_init(&written, p, &sizes);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	bb_counters_view_close(&view);
	munmap(written.header, bytes);
	close(fd);
	return 0;
}

static void
rows_of_all_cores_are_added_up(void **state)
{
	uint64_t io[BB_IO_COUNTER_COUNT], router[BB_ROUTER_COUNTER_COUNT], loop[BB_LOOP_COUNTER_COUNT];

	(void)state;
	assert_int_equal(bb_counters_view_open(&view, fd, bytes), 0);
	BB_COUNT(bb_counters_io_side(&written, 0, 3), BB_IO_SENT, 5);
	BB_COUNT(bb_counters_io_side(&written, 1, 3), BB_IO_SENT, 7);
	BB_COUNT(bb_counters_io_side(&written, 1, 2), BB_IO_SENT, 100);
	BB_COUNT(bb_counters_router_side(&written, 0, 3), BB_ROUTER_SUBSCRIPTION_BYTES, 1);
	BB_COUNT(bb_counters_router_side(&written, 1, 3), BB_ROUTER_SUBSCRIPTION_BYTES, 2);
	BB_GAUGE(&written.loops[2], BB_LOOP_STALE, 9);
	bb_counters_view_io_side(&view, 3, io);
	assert_int_equal(io[BB_IO_SENT], 12);
	assert_int_equal(io[BB_IO_RECEIVED], 0);
	bb_counters_view_router_side(&view, 3, router);
	assert_int_equal(router[BB_ROUTER_SUBSCRIPTION_BYTES], 3);
	bb_counters_view_loop(&view, 2, loop);
	assert_int_equal(loop[BB_LOOP_STALE], 9);
	bb_counters_view_io_side(&view, 4, io); /* there is no such side */
	assert_int_equal(io[BB_IO_SENT], 0);
}

static void
session_set(uint32_t io, uint32_t slot, uint64_t handle, uint64_t seq)
{
	struct bb_session_row *row = bb_counters_session(&written, io, slot);

	row->handle = handle;
	row->seq = seq;
	memset(row->address, 'a', sizeof(row->address)); /* without its end */
	row->id_len = 255;
	if (written.header->sessions_used[io] <= slot)
		written.header->sessions_used[io] = slot + 1;
}

static void
the_walk_finds_live_sessions_of_all_cores_once(void **state)
{
	struct bb_session_row row;
	uint64_t cursor = 0;

	(void)state;
	session_set(0, 1, 11, 2);
	session_set(0, 2, 0, 2);  /* free */
	session_set(0, 3, 13, 3); /* being changed all the time */
	session_set(1, 0, 20, 0);
	bb_counters_session(&written, 1, 3)->handle = 99; /* beyond what was ever used */
	assert_int_equal(bb_counters_view_open(&view, fd, bytes), 0);
	assert_true(bb_counters_view_session(&view, &cursor, &row));
	assert_int_equal(row.handle, 11);
	assert_int_equal(strlen(row.address), sizeof(row.address) - 1);
	assert_int_equal(row.id_len, sizeof(row.id));
	assert_true(bb_counters_view_session(&view, &cursor, &row));
	assert_int_equal(row.handle, 20);
	assert_false(bb_counters_view_session(&view, &cursor, &row));
	assert_false(bb_counters_view_session(&view, &cursor, &row));

	/* letting go of the pages loses nothing */
	bb_counters_view_rest(&view);
	cursor = 0;
	assert_true(bb_counters_view_session(&view, &cursor, &row));
	assert_int_equal(row.handle, 11);
}

static void
a_wild_cursor_or_count_stays_inside(void **state)
{
	struct bb_session_row row;

	(void)state;
	assert_int_equal(bb_counters_view_open(&view, fd, bytes), 0);
	written.header->sessions_used[0] = UINT64_MAX;
	written.header->sessions_used[1] = UINT64_MAX;
	const uint64_t cursors[] = { 0, 5, UINT64_C(1) << 32 | 7, UINT64_MAX, UINT64_C(1) << 63 };
	for (size_t i = 0; i < sizeof(cursors) / sizeof(cursors[0]); i++) {
		uint64_t cursor = cursors[i];
		assert_false(bb_counters_view_session(&view, &cursor, &row));
	}
}

static void
refused(void)
{
	assert_int_equal(bb_counters_view_open(&view, fd, bytes), -EPROTO);
	assert_null(view.base);
	bb_counters_init(&written, written.header, &sizes);
}

static void
what_is_no_segment_is_refused(void **state)
{
	(void)state;
	written.header->magic++;
	refused();
	written.header->version++;
	refused();
	written.header->bytes = bytes + 1;
	refused();
	written.header->io_count = 65;
	refused();
	written.header->loop_count = UINT32_MAX;
	refused();
	written.header->session_count = UINT32_MAX;
	refused();
	written.header->session_row_bytes = 8;
	refused();
	written.header->io_sides += 4;
	refused();
	written.header->router_sides = UINT64_MAX - 7;
	refused();
	written.header->sessions = bytes;
	refused();
	assert_int_equal(bb_counters_view_open(&view, fd, 8), -EPROTO);
	assert_int_equal(bb_counters_view_open(&view, fd, bytes + 4096), -EPROTO);
	assert_int_equal(bb_counters_view_open(&view, -1, bytes), -EBADF);
	assert_int_equal(bb_counters_view_open(&view, fd, bytes), 0);
}

static void
longer_rows_of_a_newer_writer_are_read_by_their_own_length(void **state)
{
	uint64_t loop[BB_LOOP_COUNTER_COUNT];

	(void)state;
	written.header->loop_row_bytes += 64;
	memcpy((uint8_t *)written.loops + written.header->loop_row_bytes, &(uint64_t){ 77 }, 8);
	assert_int_equal(bb_counters_view_open(&view, fd, bytes), 0);
	bb_counters_view_loop(&view, 1, loop);
	assert_int_equal(loop[0], 77);
}

static void
names_stand_for_numbers(void **state)
{
	(void)state;
	assert_string_equal(bb_socket_type_name(1), "PUB");
	assert_string_equal(bb_socket_type_name(10), "XSUB");
	assert_string_equal(bb_socket_type_name(200), "?");
	assert_string_equal(bb_session_state_name(BB_SESSION_STATE_READY), "ready");
	assert_string_equal(bb_session_state_name(200), "?");
	assert_string_equal(bb_io_counter_info[BB_IO_OUT_HWM].name, "dropped_out_hwm");
	assert_true(bb_io_counter_info[BB_IO_QUEUED].gauge);
	assert_false(bb_io_counter_info[BB_IO_SENT].gauge);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rows_of_all_cores_are_added_up),
		TEST(the_walk_finds_live_sessions_of_all_cores_once),
		TEST(a_wild_cursor_or_count_stays_inside),
		TEST(what_is_no_segment_is_refused),
		TEST(longer_rows_of_a_newer_writer_are_read_by_their_own_length),
		TEST(names_stand_for_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
