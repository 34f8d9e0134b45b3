/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "link/paths.h"

static char dir[BB_PATH_MAX];

static int
set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/busbar-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	unsetenv("BUSBAR_SOCKET");
	unsetenv("XDG_RUNTIME_DIR");
	unsetenv("XDG_STATE_HOME");
	return 0;
}

static int
tear_down(void **state)
{
	char command[BB_PATH_MAX + 16];

	(void)state;
	snprintf(command, sizeof(command), "rm -r '%s'", dir);
	return system(command);
}

static void
the_socket_is_chosen_by_precedence(void **state)
{
	char path[BB_PATH_MAX], standard[BB_PATH_MAX];

	(void)state;
	bb_path_default_socket(standard);
	bb_path_socket(NULL, NULL, path);
	assert_string_equal(path, standard);
	bb_path_socket(NULL, "", path);
	assert_string_equal(path, standard);
	bb_path_socket(NULL, "/configured", path);
	assert_string_equal(path, "/configured");
	setenv("BUSBAR_SOCKET", "/env", 1);
	bb_path_socket(NULL, "/configured", path);
	assert_string_equal(path, "/env");
	bb_path_socket("/option", "/configured", path);
	assert_string_equal(path, "/option");
}

static void
defaults_depend_on_the_user(void **state)
{
	char path[BB_PATH_MAX], expected[BB_PATH_MAX];

	(void)state;
	bb_path_default_socket(path);
	if (geteuid() == 0) {
		assert_string_equal(path, "/run/busbar/control.sock");
		assert_int_equal(bb_path_default_state_dir(path), 0);
		assert_string_equal(path, "/var/lib/busbar");
		return;
	}
	snprintf(expected, sizeof(expected), "/tmp/busbar-%u/control.sock", (unsigned)geteuid());
	assert_string_equal(path, expected);
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	bb_path_default_socket(path);
	assert_string_equal(path, "/run/user/7/busbar/control.sock");
	setenv("HOME", "/home/x", 1);
	assert_int_equal(bb_path_default_state_dir(path), 0);
	assert_string_equal(path, "/home/x/.local/state/busbar");
	setenv("XDG_STATE_HOME", "/state", 1);
	assert_int_equal(bb_path_default_state_dir(path), 0);
	assert_string_equal(path, "/state/busbar");
}

static void
directories_are_made_for_us_alone(void **state)
{
	char path[BB_PATH_MAX];
	struct stat st;

	(void)state;
	assert_true(bb_path_join(path, dir, "a/b/c"));
	assert_int_equal(bb_path_make_dir(path), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(bb_path_make_dir(path), 0); /* again */
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(bb_path_make_dir(path), -EPERM);
	assert_true(bb_path_join(path, dir, "file"));
	FILE *out = fopen(path, "w");
	assert_non_null(out);
	fclose(out);
	assert_int_equal(bb_path_make_dir(path), -ENOTDIR);
	assert_true(bb_path_join(path, dir, "file/below"));
	assert_int_equal(bb_path_make_dir(path), -ENOTDIR);
}

static void
the_parent_of_a_socket_is_made(void **state)
{
	char path[BB_PATH_MAX];

	(void)state;
	assert_true(bb_path_join(path, dir, "x/y/control.sock"));
	assert_int_equal(bb_path_make_parent(path), 0);
	*strrchr(path, '/') = '\0';
	assert_int_equal(access(path, W_OK), 0);
	assert_int_equal(bb_path_make_parent("control.sock"), 0);
	assert_int_equal(bb_path_make_parent("/control.sock"), 0);
	assert_int_equal(
		bb_path_make_parent("/tmp/control.sock"), 0); /* others may write there, but it was named */
}

static void
programs_are_found_by_variable_or_beside_us(void **state)
{
	char path[BB_PATH_MAX], self[BB_PATH_MAX] = "";

	(void)state;
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	const char *name = strrchr(self, '/') + 1;
	unsetenv("BUSBAR_TEST_PROGRAM");
	assert_int_equal(bb_path_program(name, "../nowhere", "BUSBAR_TEST_PROGRAM", path), 0);
	assert_int_equal(access(path, X_OK), 0);
	assert_int_equal(
		bb_path_program("no-such-program", "../nowhere", "BUSBAR_TEST_PROGRAM", path), -ENOENT);
	setenv("BUSBAR_TEST_PROGRAM", "/bin/sh", 1);
	assert_int_equal(bb_path_program(name, "../nowhere", "BUSBAR_TEST_PROGRAM", path), 0);
	assert_string_equal(path, "/bin/sh");
	setenv("BUSBAR_TEST_PROGRAM", "/nowhere", 1);
	assert_int_equal(bb_path_program(name, "../nowhere", "BUSBAR_TEST_PROGRAM", path), -ENOENT);
}

static void
what_does_not_fit_is_not_joined(void **state)
{
	char path[BB_PATH_MAX], big[BB_PATH_MAX];

	(void)state;
	memset(big, 'x', sizeof(big));
	big[BB_PATH_MAX - 1] = '\0';
	assert_false(bb_path_join(path, big, "f"));
	assert_int_equal(bb_path_make_dir(big), -ENAMETOOLONG); /* one part of it is */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_socket_is_chosen_by_precedence),
		TEST(defaults_depend_on_the_user),
		TEST(directories_are_made_for_us_alone),
		TEST(the_parent_of_a_socket_is_made),
		TEST(programs_are_found_by_variable_or_beside_us),
		TEST(what_does_not_fit_is_not_joined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
