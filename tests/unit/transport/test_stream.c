/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "transport/stream.h"

static void
every_reason_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < BB_STREAM_REASON_COUNT; i++) {
		const char *name = bb_stream_reason_name((enum bb_stream_reason)i);
		assert_non_null(name);
		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(name, bb_stream_reason_name((enum bb_stream_reason)j));
	}
	assert_string_equal(bb_stream_reason_name(BB_STREAM_RESET), "reset");
	assert_string_equal(bb_stream_reason_name(BB_STREAM_REASON_COUNT), "unknown");
	assert_string_equal(bb_stream_reason_name((enum bb_stream_reason) - 1), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reason_has_a_name_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
