/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include "conf/option.h"
#include "conf/value.h"

/* Room for any section's struct. */
static union {
	struct bb_conf_node node;
	struct bb_conf_dataplane dataplane;
	struct bb_conf_endpoint endpoint;
	struct bb_conf_side side;
	struct bb_conf_control control;
} base;

static void
every_default_is_valid_and_written_as_it_is_shown(void **state)
{
	(void)state;
	for (size_t i = 0; i < bb_conf_option_count; i++) {
		const struct bb_conf_option *o = &bb_conf_options[i];
		char why[BB_CONF_WHY_MAX], text[BB_CONF_VALUE_TEXT_MAX];
		if (o->text == NULL || o->type == BB_CONF_ADDRESSES)
			continue;
		if (bb_conf_value_parse(o, o->text, &base, why) != 0)
			fail_msg("default of %s: %s", o->path, why);
		/* `config show` compares texts to see what is default */
		assert_string_equal(bb_conf_value_format(o, &base, text), o->text);
	}
}

static void
both_ends_of_every_range_are_valid(void **state)
{
	(void)state;
	for (size_t i = 0; i < bb_conf_option_count; i++) {
		const struct bb_conf_option *o = &bb_conf_options[i];
		const bool number = o->type == BB_CONF_COUNT || o->type == BB_CONF_DURATION ||
				    o->type == BB_CONF_SIZE || o->type == BB_CONF_SIZE_AUTO;
		char why[BB_CONF_WHY_MAX], text[BB_CONF_VALUE_TEXT_MAX];
		if (!number)
			continue;
		assert_true(o->min <= o->max);
		for (int end = 0; end < 2; end++) {
			*(uint64_t *)(void *)((char *)&base + o->offset) = end == 0 ? o->min : o->max;
			bb_conf_value_format(o, &base, text);
			if (bb_conf_value_parse(o, text, &base, why) != 0)
				fail_msg("%s: %s: %s", o->path, text, why);
		}
	}
}

static void
rows_of_a_section_stand_together_and_have_distinct_keys(void **state)
{
	size_t total = 0;

	(void)state;
	for (int section = 0; section < BB_CONF_SECTION_COUNT; section++) {
		size_t count;
		const struct bb_conf_option *rows = bb_conf_section_options(section, &count);
		total += count;
		for (size_t i = 0; i < count; i++) {
			assert_int_equal(rows[i].section, section);
			assert_non_null(rows[i].help);
			for (size_t k = 0; k < i; k++)
				assert_string_not_equal(rows[i].path, rows[k].path);
		}
	}
	assert_int_equal(total, bb_conf_option_count);
}

static void
fields_are_filled_with_defaults(void **state)
{
	struct bb_conf_side side;

	(void)state;
	memset(&side, 0, sizeof(side));
	bb_conf_defaults(BB_CONF_SECTION_SIDE, &side);
	assert_int_equal(side.hwm, 1000);
	assert_int_equal(side.hwm_bytes, 64 << 20);
	assert_int_equal(side.heartbeat_interval_ns, UINT64_C(30000000000));
	assert_int_equal(side.heartbeat_timeout_ns, UINT64_C(60000000000));
	assert_int_equal(side.heartbeat_ttl_ns, 0);
	assert_int_equal(side.reconnect_min_ns, 100000000);
	assert_int_equal(side.backlog, 4096);
	assert_int_equal(side.subscriptions_max, 1000000);
	assert_false(side.handover);
	assert_string_equal(side.identity, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_default_is_valid_and_written_as_it_is_shown),
		cmocka_unit_test(both_ends_of_every_range_are_valid),
		cmocka_unit_test(rows_of_a_section_stand_together_and_have_distinct_keys),
		cmocka_unit_test(fields_are_filled_with_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
