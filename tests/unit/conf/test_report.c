/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include "conf/report.h"

static void
a_line_names_file_and_line(void **state)
{
	struct bb_conf_errors errors = { .count = 0 };
	struct bb_conf_report report = { .file = "a.yaml", .errors = &errors };

	(void)state;
	bb_conf_report(&report, 7, "%s: write %d", "wrong", 5);
	assert_int_equal(errors.count, 1);
	assert_string_equal(errors.line[0], "a.yaml:7: wrong: write 5");
}

static void
lines_beyond_the_room_are_dropped(void **state)
{
	struct bb_conf_errors errors = { .count = 0 };
	struct bb_conf_report report = { .file = "a.yaml", .errors = &errors };

	(void)state;
	for (int i = 0; i < 2 * BB_CONF_ERRORS_MAX; i++) {
		assert_int_equal(bb_conf_report_full(&report), i >= BB_CONF_ERRORS_MAX);
		bb_conf_report(&report, i, "wrong");
	}
	assert_int_equal(errors.count, BB_CONF_ERRORS_MAX);
	assert_string_equal(errors.line[BB_CONF_ERRORS_MAX - 1], "a.yaml:15: wrong");
}

static void
quoted_text_cannot_break_the_line(void **state)
{
	struct bb_conf_quoted q;

	(void)state;
	assert_string_equal(bb_conf_quote(&q, "a\nb\x1b[31m\x7f"), "a?b?[31m?");
}

static void
long_text_is_cut_between_characters(void **state)
{
	struct bb_conf_quoted q;
	char text[200];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[199] = '\0';
	assert_true(strlen(bb_conf_quote(&q, text)) < sizeof(q.text));
	assert_string_equal(q.text + strlen(q.text) - 4, "x...");

	for (size_t i = 0; i + 3 < sizeof(text); i += 3)
		memcpy(text + i, "\xe2\x82\xac", 4); /* a euro sign has three octets */
	for (size_t shift = 0; shift < 3; shift++) {
		char shifted[256] = "aa";
		strcpy(shifted + shift, text);
		bb_conf_quote(&q, shifted);
		const size_t len = strlen(q.text);
		assert_string_equal(q.text + len - 3, "...");
		assert_int_equal((len - 3 - shift) % 3, 0);
	}
}

static void
distance_counts_slips_of_the_finger(void **state)
{
	(void)state;
	assert_int_equal(bb_conf_distance("hwm", "hwm"), 0);
	assert_int_equal(bb_conf_distance("hwn", "hwm"), 1);
	assert_int_equal(bb_conf_distance("hmw", "hwm"), 1);
	assert_int_equal(bb_conf_distance("", "hwm"), 3);
	assert_int_equal(bb_conf_distance("bindd", "bind"), 1);
	assert_int_equal(bb_conf_distance("ind", "bind"), 1);
	assert_true(bb_conf_distance("a123456789012345678901234567890123456789", "a") > 31);
}

static void
only_what_is_alike_is_near_and_the_nearest_wins(void **state)
{
	unsigned best = 4;

	(void)state;
	assert_false(bb_conf_near("zzzzzz", "hwm", &best));
	assert_true(bb_conf_near("max_mesage", "max_message", &best));
	assert_int_equal(best, 1);
	assert_false(bb_conf_near("max_mesage", "max_messages", &best)); /* no better than what was found */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_names_file_and_line),
		cmocka_unit_test(lines_beyond_the_room_are_dropped),
		cmocka_unit_test(quoted_text_cannot_break_the_line),
		cmocka_unit_test(long_text_is_cut_between_characters),
		cmocka_unit_test(distance_counts_slips_of_the_finger),
		cmocka_unit_test(only_what_is_alike_is_near_and_the_nearest_wins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
