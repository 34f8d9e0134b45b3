/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include <errno.h>

#include "base/compiler.h"
#include "zmtp/type.h"

/* Every pair that may talk, each once. */
static const struct {
	enum bb_zmtp_type a, b;
} pairs[] = {
	{ BB_ZMTP_REQ, BB_ZMTP_REP },
	{ BB_ZMTP_REQ, BB_ZMTP_ROUTER },
	{ BB_ZMTP_REP, BB_ZMTP_DEALER },
	{ BB_ZMTP_DEALER, BB_ZMTP_DEALER },
	{ BB_ZMTP_DEALER, BB_ZMTP_ROUTER },
	{ BB_ZMTP_ROUTER, BB_ZMTP_ROUTER },
	{ BB_ZMTP_PUB, BB_ZMTP_SUB },
	{ BB_ZMTP_PUB, BB_ZMTP_XSUB },
	{ BB_ZMTP_XPUB, BB_ZMTP_SUB },
	{ BB_ZMTP_XPUB, BB_ZMTP_XSUB },
	{ BB_ZMTP_PUSH, BB_ZMTP_PULL },
	{ BB_ZMTP_PAIR, BB_ZMTP_PAIR },
	{ BB_ZMTP_CLIENT, BB_ZMTP_SERVER },
	{ BB_ZMTP_RADIO, BB_ZMTP_DISH },
	{ BB_ZMTP_SCATTER, BB_ZMTP_GATHER },
	{ BB_ZMTP_PEER, BB_ZMTP_PEER },
	{ BB_ZMTP_CHANNEL, BB_ZMTP_CHANNEL },
	{ BB_ZMTP_DGRAM, BB_ZMTP_DGRAM },
};

static void
exactly_the_pairs_of_the_specification_may_talk(void **state)
{
	(void)state;
	for (int a = -1; a <= BB_ZMTP_TYPE_COUNT; a++) {
		for (int b = -1; b <= BB_ZMTP_TYPE_COUNT; b++) {
			int want = 0;
			for (size_t i = 0; i < BB_ARRAY_LEN(pairs); i++) {
				const int x = (int)pairs[i].a, y = (int)pairs[i].b;
				want |= (x == a && y == b) || (x == b && y == a);
			}
			assert_int_equal(
				bb_zmtp_type_compatible((enum bb_zmtp_type)a, (enum bb_zmtp_type)b), want);
		}
	}
}

static void
every_type_but_stream_has_a_name_that_parses_back(void **state)
{
	int named = 0;

	(void)state;
	for (int t = 0; t < BB_ZMTP_TYPE_COUNT; t++) {
		const char *name = bb_zmtp_type_name((enum bb_zmtp_type)t);
		enum bb_zmtp_type back;
		if (name == NULL) {
			assert_int_equal(t, 11);
			continue;
		}
		assert_true(strlen(name) <= BB_ZMTP_TYPE_NAME_MAX);
		uint8_t *p = exact_copy(name, strlen(name));
		assert_int_equal(bb_zmtp_type_parse(p, strlen(name), &back), 0);
		assert_int_equal(back, t);
		free(p);
		named++;
	}
	assert_int_equal(named, 20);
	assert_null(bb_zmtp_type_name(BB_ZMTP_TYPE_COUNT));
	assert_null(bb_zmtp_type_name((enum bb_zmtp_type) - 1));
}

static void
numbers_are_those_of_the_public_api(void **state)
{
	(void)state;
	assert_string_equal(bb_zmtp_type_name((enum bb_zmtp_type)1), "PUB");
	assert_string_equal(bb_zmtp_type_name((enum bb_zmtp_type)6), "ROUTER");
	assert_string_equal(bb_zmtp_type_name((enum bb_zmtp_type)10), "XSUB");
	assert_string_equal(bb_zmtp_type_name((enum bb_zmtp_type)20), "CHANNEL");
}

static void
names_are_matched_whole_and_in_upper_case(void **state)
{
	static const char *const wrong[] = { "", "P", "PU", "PUBX", "pub", "STREAM", "XXX" };
	enum bb_zmtp_type t = BB_ZMTP_DGRAM;

	(void)state;
	for (size_t i = 0; i < BB_ARRAY_LEN(wrong); i++) {
		assert_int_equal(
			bb_zmtp_type_parse((const uint8_t *)wrong[i], strlen(wrong[i]), &t), -ENOENT);
		assert_int_equal(t, BB_ZMTP_DGRAM);
	}
	assert_int_equal(bb_zmtp_type_parse(NULL, 0, &t), -ENOENT);
	assert_int_equal(bb_zmtp_type_parse((const uint8_t *)"PUB\0", 4, &t), -ENOENT);
}

static void
req_dealer_and_router_tell_an_identity(void **state)
{
	(void)state;
	for (int t = 0; t < BB_ZMTP_TYPE_COUNT; t++)
		assert_int_equal(bb_zmtp_type_has_identity((enum bb_zmtp_type)t), t == 3 || t == 5 || t == 6);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exactly_the_pairs_of_the_specification_may_talk),
		cmocka_unit_test(every_type_but_stream_has_a_name_that_parses_back),
		cmocka_unit_test(numbers_are_those_of_the_public_api),
		cmocka_unit_test(names_are_matched_whole_and_in_upper_case),
		cmocka_unit_test(req_dealer_and_router_tell_an_identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
