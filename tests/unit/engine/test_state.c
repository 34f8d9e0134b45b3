/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/state.h"

static char dir[] = "/tmp/busbar-test-XXXXXX", file[64];

static int
setup(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(file, sizeof(file), "%s/accepted.state", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlink(file);
	return rmdir(dir); /* fails if anything else was left behind */
}

static struct bb_state
sample(struct bb_cmd_endpoint *endpoints)
{
	struct bb_state s = { .revision = 7, .endpoint_count = 2, .endpoints = endpoints };

	s.plan.memory_bytes = 123;
	memset(endpoints, 0, 2 * sizeof(*endpoints));
	snprintf(endpoints[0].name, sizeof(endpoints[0].name), "quotes");
	snprintf(endpoints[1].name, sizeof(endpoints[1].name), "jobs");
	return s;
}

static void
written(void)
{
	struct bb_cmd_endpoint *endpoints = calloc(2, sizeof(*endpoints));
	const struct bb_state s = sample(endpoints);
	struct bb_text text;

	assert_int_equal(bb_state_write(dir, &s, &text), 0);
	free(endpoints);
}

static void
what_was_written_is_read(void **state)
{
	struct bb_state s;
	struct bb_text text;

	(void)state;
	written();
	written(); /* over the first */
	assert_int_equal(bb_state_read(dir, &s, &text), 0);
	assert_int_equal(s.revision, 7);
	assert_int_equal(s.plan.memory_bytes, 123);
	assert_int_equal(s.endpoint_count, 2);
	assert_string_equal(s.endpoints[1].name, "jobs");
	bb_state_free(&s);
}

static void
only_its_owner_may_read_it(void **state)
{
	struct stat st;

	(void)state;
	written();
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void
no_file_is_no_state(void **state)
{
	struct bb_state s;
	struct bb_text text;

	(void)state;
	unlink(file);
	assert_int_equal(bb_state_read(dir, &s, &text), -ENOENT);
}

static void
a_torn_or_foreign_file_is_refused_whatever_byte_is_wrong(void **state)
{
	struct bb_state s;
	struct bb_text text;
	struct stat st;

	(void)state;
	written();
	assert_int_equal(stat(file, &st), 0);
	for (off_t at = 0; at < st.st_size; at += at < 64 ? 1 : 997) {
		const int fd = open(file, O_RDWR);
		uint8_t byte;
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 0x40;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		/* The revision is not under the checksum: any number is one. */
		if (at < 16 || at >= 24) {
			assert_int_equal(bb_state_read(dir, &s, &text), -EBADMSG);
			assert_non_null(strstr(text.s, file));
		}
		byte ^= 0x40;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		close(fd);
	}
	assert_int_equal(truncate(file, st.st_size - 1), 0);
	assert_int_equal(bb_state_read(dir, &s, &text), -EBADMSG);
	assert_int_equal(truncate(file, 0), 0);
	assert_int_equal(bb_state_read(dir, &s, &text), -EBADMSG);
}

static void
a_directory_that_is_not_there_is_named(void **state)
{
	struct bb_state s = { 0 };
	struct bb_text text;

	(void)state;
	assert_int_equal(bb_state_write("/nonexistent/dir", &s, &text), -ENOENT);
	assert_non_null(strstr(text.s, "/nonexistent/dir"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_read),
		cmocka_unit_test(only_its_owner_may_read_it),
		cmocka_unit_test(no_file_is_no_state),
		cmocka_unit_test(a_torn_or_foreign_file_is_refused_whatever_byte_is_wrong),
		cmocka_unit_test(a_directory_that_is_not_there_is_named),
	};

	return cmocka_run_group_tests_name("engine/state", tests, setup, teardown);
}
