/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include "zmtp/cause.h"

static void
every_cause_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < BB_ZMTP_CAUSE_COUNT; i++) {
		const char *name = bb_zmtp_cause_name((enum bb_zmtp_cause)i);
		assert_non_null(name);
		assert_true(strlen(name) > 0);
		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(name));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(name, bb_zmtp_cause_name((enum bb_zmtp_cause)j));
	}
}

static void
names_that_metrics_rely_on_stay(void **state)
{
	(void)state;
	assert_string_equal(bb_zmtp_cause_name(BB_ZMTP_BAD_SIGNATURE), "bad_signature");
	assert_string_equal(bb_zmtp_cause_name(BB_ZMTP_MECHANISM), "mechanism");
	assert_string_equal(bb_zmtp_cause_name(BB_ZMTP_FRAME_LENGTH), "frame_length");
	assert_string_equal(bb_zmtp_cause_name(BB_ZMTP_SILENT), "silent");
}

static void
a_number_that_is_no_cause_is_unknown(void **state)
{
	(void)state;
	assert_string_equal(bb_zmtp_cause_name(BB_ZMTP_CAUSE_COUNT), "unknown");
	assert_string_equal(bb_zmtp_cause_name((enum bb_zmtp_cause) - 1), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cause_has_a_name_of_its_own),
		cmocka_unit_test(names_that_metrics_rely_on_stay),
		cmocka_unit_test(a_number_that_is_no_cause_is_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
