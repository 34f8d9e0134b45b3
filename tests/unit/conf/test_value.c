/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include "base/time.h"
#include "conf/value.h"

/* Options of every type over one field, whatever the product's own table has. */
struct fields {
	uint64_t number;
	uint32_t choice;
	bool flag;
	char text[16];
	struct bb_conf_cpus cpus;
	struct bb_conf_address listen;
};

static const char *const choices[] = { "red", "green", "blue", NULL };
static const struct bb_conf_option count = { .type = BB_CONF_COUNT, .min = 1, .max = 100 };
static const struct bb_conf_option duration = { .type = BB_CONF_DURATION, .max = 3600 * BB_SEC };
static const struct bb_conf_option size = { .type = BB_CONF_SIZE, .min = 1024, .max = UINT64_C(1) << 40 };
static const struct bb_conf_option size_auto = { .type = BB_CONF_SIZE_AUTO, .min = 1024, .max = 1 << 20 };
static const struct bb_conf_option choice = {
	.type = BB_CONF_ENUM, .names = choices, .offset = offsetof(struct fields, choice)
};
static const struct bb_conf_option flag = { .type = BB_CONF_BOOL, .offset = offsetof(struct fields, flag) };
static const struct bb_conf_option name = {
	.type = BB_CONF_NAME, .min = 1, .max = 15, .offset = offsetof(struct fields, text)
};
static const struct bb_conf_option path = {
	.type = BB_CONF_PATH, .max = 15, .offset = offsetof(struct fields, text)
};
static const struct bb_conf_option cpus = { .type = BB_CONF_CPUS, .offset = offsetof(struct fields, cpus) };
static const struct bb_conf_option listen_at = { .type = BB_CONF_LISTEN,
	.offset = offsetof(struct fields, listen) };

static struct fields fields;
static char formatted[BB_CONF_VALUE_TEXT_MAX];

/* Parse, which must succeed, and format again. */
static const char *
round_trip(const struct bb_conf_option *o, const char *text)
{
	char why[BB_CONF_WHY_MAX];

	if (bb_conf_value_parse(o, text, &fields, why) != 0)
		fail_msg("\"%s\" refused: %s", text, why);
	return bb_conf_value_format(o, &fields, formatted);
}

static void
refused(const struct bb_conf_option *o, const char *text, const char *expected)
{
	const struct fields before = fields;
	char why[BB_CONF_WHY_MAX];

	assert_int_equal(bb_conf_value_parse(o, text, &fields, why), -EINVAL);
	assert_string_equal(why, expected);
	assert_memory_equal(&fields, &before, sizeof(before)); /* written on success only */
}

static void
counts_are_whole_numbers_in_range(void **state)
{
	(void)state;
	assert_string_equal(round_trip(&count, "100"), "100");
	assert_string_equal(round_trip(&count, "007"), "7");
	refused(&count, "0", "0 is out of range: from 1 to 100");
	refused(&count, "101", "101 is out of range: from 1 to 100");
	refused(&count, "99999999999999999999999", "99999999999999999999999 is out of range: from 1 to 100");
	refused(&count, "many", "\"many\" is wrong: write a whole number");
	refused(&count, "-1", "\"-1\" is wrong: write a whole number");
	refused(&count, "1.5", "\"1.5\" is not a whole number: write digits only");
	refused(&count, "10k", "\"10k\" is not a whole number: write digits only");
	refused(&count, "", "\"\" is wrong: write a whole number");
}

static void
durations_need_a_unit(void **state)
{
	(void)state;
	assert_string_equal(round_trip(&duration, "30s"), "30s");
	assert_int_equal(fields.number, 30 * BB_SEC);
	assert_string_equal(round_trip(&duration, "1500ms"), "1500ms");
	assert_string_equal(round_trip(&duration, "2m"), "120s");
	assert_string_equal(round_trip(&duration, "1h"), "1h");
	assert_string_equal(round_trip(&duration, "7us"), "7us");
	assert_string_equal(round_trip(&duration, "0"), "0");
	assert_string_equal(round_trip(&duration, "0s"), "0");
	refused(&duration, "30", "duration without a unit: write 30ms, 30s or 30m");
	refused(&duration, "30sec", "unknown unit in 30sec: write 30s");
	refused(&duration, "2min", "unknown unit in 2min: write 2m");
	refused(&duration, "30x", "30x is not a duration: write a whole number and ns, us, ms, s, m or h");
	refused(&duration, "1.5s", "1.5s is not a duration: write a whole number and ns, us, ms, s, m or h");
	refused(&duration, "30 s", "30 s is not a duration: write a whole number and ns, us, ms, s, m or h");
	refused(&duration, "2h", "2h is out of range: from 0 to 1h");
	refused(&duration, "6000000000000h", "6000000000000h is out of range: from 0 to 1h");
	refused(&duration, "soon", "\"soon\" is wrong: write a duration such as 30s or 100ms");
}

static void
sizes_need_a_unit(void **state)
{
	(void)state;
	assert_string_equal(round_trip(&size, "64MiB"), "64MiB");
	assert_int_equal(fields.number, 64 << 20);
	assert_string_equal(round_trip(&size, "1024KiB"), "1MiB");
	assert_string_equal(round_trip(&size, "1025B"), "1025B");
	assert_string_equal(round_trip(&size, "1TiB"), "1TiB");
	refused(&size, "64", "size without a unit: write 64B, 64KiB, 64MiB or 64GiB");
	refused(&size, "64MB", "unknown unit in 64MB: write 64MiB");
	refused(&size, "64k", "unknown unit in 64k: write 64KiB");
	refused(&size, "64parsecs",
		"64parsecs is not a size: write a whole number and B, KiB, MiB, GiB or TiB");
	refused(&size, "0", "0 is out of range: from 1KiB to 1TiB");
	refused(&size, "99999999TiB", "99999999TiB is out of range: from 1KiB to 1TiB");
	refused(&size, "auto", "\"auto\" is wrong: write a size such as 64MiB");
	assert_string_equal(round_trip(&size_auto, "auto"), "auto");
	assert_string_equal(round_trip(&size_auto, "4KiB"), "4KiB");
	refused(&size_auto, "automatic", "\"automatic\" is wrong: write auto or a size such as 256KiB");
}

static void
choices_are_listed_when_none_fits(void **state)
{
	(void)state;
	assert_string_equal(round_trip(&choice, "green"), "green");
	assert_int_equal(fields.choice, 1);
	refused(&choice, "yellow", "\"yellow\" is not a choice: write red, green or blue");
	refused(&choice, "", "\"\" is not a choice: write red, green or blue");
	assert_string_equal(round_trip(&flag, "true"), "true");
	assert_string_equal(round_trip(&flag, "false"), "false");
	refused(&flag, "yes", "\"yes\" is not a choice: write true or false");
}

static void
texts_are_checked_by_kind(void **state)
{
	(void)state;
	assert_string_equal(round_trip(&name, "bus-1.a_B"), "bus-1.a_B");
	assert_string_equal(round_trip(&name, "123456789012345"), "123456789012345");
	refused(&name, "1234567890123456", "16 characters are too many: from 1 to 15");
	refused(&name, "", "0 characters are too few: from 1 to 15");
	refused(&name, "a b", "bad name \"a b\": use letters, digits, . _ and -");
	assert_string_equal(round_trip(&path, "/run/x.sock"), "/run/x.sock");
	assert_string_equal(round_trip(&path, "null"), "null");
	refused(&path, "x.sock", "\"x.sock\" is not an absolute path: begin with /");
}

static void
cpu_lists_are_numbers_and_ranges(void **state)
{
	(void)state;
	assert_string_equal(round_trip(&cpus, "auto"), "auto");
	assert_string_equal(round_trip(&cpus, "3"), "3");
	assert_string_equal(round_trip(&cpus, "6,2-3,0"), "0,2-3,6");
	assert_int_equal(fields.cpus.count, 4);
	assert_string_equal(round_trip(&cpus, "0-1023"), "0-1023");
	assert_int_equal(fields.cpus.count, 1024);
	refused(&cpus, "1024", "CPU 1024 is out of range: CPUs are numbered from 0 to 1023");
	refused(&cpus, "0-99999999", "CPU 99999999 is out of range: CPUs are numbered from 0 to 1023");
	refused(&cpus, "2,1-3", "CPU 2 is listed twice: list each CPU once");
	static const char *const bad[] = { "", "a", "1,", ",1", "1-", "3-2", "1 2", "-1" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char expected[BB_CONF_WHY_MAX];
		snprintf(expected, sizeof(expected),
			"\"%s\" is not a CPU list: write auto or numbers and ranges as in \"2-3,6\"", bad[i]);
		refused(&cpus, bad[i], expected);
	}
}

static void
the_longest_cpu_list_fits_its_text(void **state)
{
	char text[BB_CONF_VALUE_TEXT_MAX] = "0";
	size_t len = 1;

	(void)state;
	for (int cpu = 2; cpu < BB_CONF_CPUS_MAX; cpu += 2)
		len += (size_t)snprintf(text + len, sizeof(text) - len, ",%d", cpu);
	assert_string_equal(round_trip(&cpus, text), text);
	len = (size_t)snprintf(text, sizeof(text), "0-1");
	for (int cpu = 3; cpu + 1 < BB_CONF_CPUS_MAX; cpu += 3)
		len += (size_t)snprintf(text + len, sizeof(text) - len, ",%d-%d", cpu, cpu + 1);
	assert_string_equal(round_trip(&cpus, text), text);
}

static void
the_api_listens_on_loopback_only(void **state)
{
	(void)state;
	assert_string_equal(round_trip(&listen_at, "127.0.0.1:9630"), "127.0.0.1:9630");
	assert_string_equal(round_trip(&listen_at, "[::1]:9630"), "[::1]:9630");
	assert_string_equal(round_trip(&listen_at, "null"), "null");
	assert_int_equal(fields.listen.kind, BB_ADDRESS_NONE);
	refused(&listen_at, "10.0.0.1:80",
		"10.0.0.1:80 is not a loopback address: the API has no passwords, write 127.0.0.1:80");
	refused(&listen_at, "localhost:80",
		"\"localhost:80\": not a literal address: write it as in 127.0.0.1:9630 or [::1]:9630");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_are_whole_numbers_in_range),
		cmocka_unit_test(durations_need_a_unit),
		cmocka_unit_test(sizes_need_a_unit),
		cmocka_unit_test(choices_are_listed_when_none_fits),
		cmocka_unit_test(texts_are_checked_by_kind),
		cmocka_unit_test(cpu_lists_are_numbers_and_ranges),
		cmocka_unit_test(the_longest_cpu_list_fits_its_text),
		cmocka_unit_test(the_api_listens_on_loopback_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
