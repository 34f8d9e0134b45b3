/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "http/json.h"

static void
octets_become(const char *octets, size_t len, const char *expected)
{
	json_t *json = bb_json_octets(octets, len);

	assert_non_null(json);
	assert_string_equal(json_string_value(json), expected);
	json_decref(json);
}

static void
text_stays_text_and_the_rest_is_escaped(void **state)
{
	(void)state;
	octets_become("", 0, "");
	octets_become("a b", 3, "a b");
	octets_become("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
	octets_become("a\\b", 3, "a\\x5cb"); /* else \x41 could mean two things */
	octets_become("\0\n\x7f", 3, "\\x00\\x0a\\x7f");
	octets_become("\xff\x80", 2, "\\xff\\x80");
	octets_become("\xc0\x80", 2, "\\xc0\\x80");		      /* overlong */
	octets_become("\xe0\x80\x80", 3, "\\xe0\\x80\\x80");	      /* overlong */
	octets_become("\xed\xa0\x80", 3, "\\xed\\xa0\\x80");	      /* half of a pair */
	octets_become("\xf4\x90\x80\x80", 4, "\\xf4\\x90\\x80\\x80"); /* beyond Unicode */
	octets_become("\xe2\x82", 2, "\\xe2\\x82");		      /* cut off */
	octets_become("\xe2\x41\x41", 3,
		"\\xe2"
		"AA");
}

static void
every_possible_pair_of_octets_makes_a_string(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 65536; i++) {
		const uint8_t pair[2] = { (uint8_t)(i >> 8), (uint8_t)i };
		json_t *json = bb_json_octets(pair, 2);
		assert_non_null(json);
		assert_true(json_is_string(json));
		json_decref(json);
	}
}

static void
counters_are_named_by_their_table(void **state)
{
	uint64_t words[BB_ROUTER_COUNTER_COUNT] = { [BB_ROUTER_COPIES] = 5 };
	json_t *json = bb_json_counters(bb_router_counter_info, words, BB_ROUTER_COUNTER_COUNT);

	(void)state;
	assert_int_equal(json_object_size(json), BB_ROUTER_COUNTER_COUNT);
	assert_int_equal(json_integer_value(json_object_get(json, "copies")), 5);
	assert_int_equal(json_integer_value(json_object_get(json, "routed")), 0);
	json_decref(json);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_stays_text_and_the_rest_is_escaped),
		cmocka_unit_test(every_possible_pair_of_octets_makes_a_string),
		cmocka_unit_test(counters_are_named_by_their_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
