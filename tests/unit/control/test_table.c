/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/table.h"

static const char *const heads[] = { "NAME", "EMPTY", ">COUNT", "NOTE", NULL };

/* What the table prints, caught in a file. */
static const char *
printed(const struct bb_table *t)
{
	static char text[4096];
	FILE *file = tmpfile();
	const int out = dup(STDOUT_FILENO);

	assert_non_null(file);
	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	bb_table_print(t, "nothing");
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	close(out);
	rewind(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	return text;
}

static void
columns_align_and_no_line_ends_with_blanks(void **state)
{
	struct bb_table t;

	(void)state;
	bb_table_init(&t, heads);
	const char *const cells[] = { "a", "", "5", "", "longer name", "", "12345", "x", "\xc3\xa9", "", "",
		"" };
	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
		bb_table_add(&t, "%s", cells[i]);
	assert_string_equal(printed(&t), "NAME         COUNT  NOTE\n"
					 "a                5\n"
					 "longer name  12345  x\n"
					 "\xc3\xa9\n");
	bb_table_fini(&t);
}

static void
a_table_without_rows_says_so(void **state)
{
	struct bb_table t;

	(void)state;
	bb_table_init(&t, heads);
	assert_string_equal(printed(&t), "nothing\n");
	bb_table_fini(&t);
}

static void
numbers_are_short_and_true(void **state)
{
	char out[32];

	(void)state;
	assert_string_equal(bb_format_count(0, out), "0");
	assert_string_equal(bb_format_count(9999999, out), "9999999");
	assert_string_equal(bb_format_count(12345678, out), "12.35M");
	assert_string_equal(bb_format_count(UINT64_C(999960000), out), "1.00G");
	assert_string_equal(bb_format_count(UINT64_MAX, out), "18.45E");
	assert_string_equal(bb_format_bytes(0, out), "0 B");
	assert_string_equal(bb_format_bytes(1023, out), "1023 B");
	assert_string_equal(bb_format_bytes(1536, out), "1.5 KiB");
	assert_string_equal(bb_format_bytes(512 << 20, out), "512 MiB");
	assert_string_equal(bb_format_bytes(UINT64_MAX, out), "16.0 EiB");
	assert_string_equal(bb_format_seconds(0, out), "0.0s");
	assert_string_equal(bb_format_seconds(-1, out), "0.0s");
	assert_string_equal(bb_format_seconds(9.94, out), "9.9s");
	assert_string_equal(bb_format_seconds(59.9, out), "59s");
	assert_string_equal(bb_format_seconds(61, out), "1m01s");
	assert_string_equal(bb_format_seconds(3 * 3600 + 12 * 60, out), "3h12m");
	assert_string_equal(bb_format_seconds(5 * 86400 + 4 * 3600, out), "5d04h");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_align_and_no_line_ends_with_blanks),
		cmocka_unit_test(a_table_without_rows_says_so),
		cmocka_unit_test(numbers_are_short_and_true),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
