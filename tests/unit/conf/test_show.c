/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include "conf/option.h"
#include "conf/show.h"

/* Caller frees. */
static char *
shown(const struct bb_conf *conf, bool all)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	bb_conf_show(out, conf, all);
	fclose(out);
	return text;
}

static void
what_is_shown_reads_back_as_the_same(const char *text)
{
	for (int all = 0; all < 2; all++) {
		struct bb_conf conf = conf_taken(text);
		char *first = shown(&conf, all);
		bb_conf_fini(&conf);
		conf = conf_taken(first);
		char *second = shown(&conf, all);
		char *whole = shown(&conf, true);
		bb_conf_fini(&conf);
		assert_string_equal(second, first);
		conf = conf_taken(text);
		char *expected = shown(&conf, true);
		bb_conf_fini(&conf);
		assert_string_equal(whole, expected);
		free(first);
		free(second);
		free(whole);
		free(expected);
	}
}

static void
the_default_reads_back_as_the_same(void **state)
{
	(void)state;
	what_is_shown_reads_back_as_the_same(bb_conf_default_text);
}

static void
odd_texts_read_back_as_the_same(void **state)
{
	static const char *const identities[] = { "'null'", "'~'", "'true'", "'- x'", "'a: b # c'",
		"\"q\\\"\\\\\"", "\"\\t\\x01\\x7f\"", "\"\\x85\\u2028\\U0001f600\"", "\"\xc3\xa9\"", "''",
		"'*x'", "' x '" };

	(void)state;
	for (size_t i = 0; i < sizeof(identities) / sizeof(identities[0]); i++) {
		char text[512];
		snprintf(text, sizeof(text),
			"node: { name: 'null' }\n"
			"dataplane: { cores: { io: '0,2-4' }, linger: 0 }\n"
			"control: { socket: '/run/with blank.sock', http: '[::1]:80' }\n"
			"endpoints:\n- name: 'true'\n  pattern: reqrep\n"
			"  clients: { bind: ['tcp://[::1]:1', tcp://h:2], identity: %s, heartbeat: { ttl: 1s "
			"} }\n"
			"  workers: { connect: tcp://h:2 }\n",
			identities[i]);
		what_is_shown_reads_back_as_the_same(text);
	}
}

static void
only_differences_are_shown_when_asked(void **state)
{
	struct bb_conf conf = conf_taken(
		"node: { name: busbar }\ndataplane: { linger: 7s }\n"
		"endpoints:\n- name: j\n  pattern: pipeline\n"
		"  producers: { bind: tcp://*:1, hwm: 1000 }\n"
		"  consumers: { bind: tcp://*:2, keepalive: { count: 3 }, when_full: block }\n");
	char *text = shown(&conf, false);

	(void)state;
	assert_string_equal(text, "dataplane:\n"
				  "  linger: 7s\n"
				  "endpoints:\n"
				  "  - name: j\n"
				  "    pattern: pipeline\n"
				  "    producers:\n"
				  "      bind: [\"tcp://*:1\"]\n"
				  "    consumers:\n"
				  "      bind: [\"tcp://*:2\"]\n"
				  "      keepalive: { count: 3 }\n");
	free(text);
	bb_conf_fini(&conf);
}

static void
all_options_are_shown_when_asked(void **state)
{
	struct bb_conf conf = conf_taken(bb_conf_default_text);
	char *text = shown(&conf, true);

	(void)state;
	assert_non_null(strstr(text, "      heartbeat: { interval: 30s, timeout: 60s, ttl: 0 }\n"));
	assert_non_null(strstr(text, "      reconnect: { min: 100ms, max: 30s }\n"));
	assert_non_null(strstr(text, "  cores: { io: auto, router: auto }\n"));
	free(text);
	bb_conf_fini(&conf);
}

static void
every_key_is_in_the_reference(void **state)
{
	(void)state;
	for (int markdown = 0; markdown < 2; markdown++) {
		char *text;
		size_t len;
		FILE *out = open_memstream(&text, &len);
		assert_non_null(out);
		bb_conf_show_keys(out, markdown);
		fclose(out);
		for (size_t i = 0; i < bb_conf_option_count; i++) {
			if (strstr(text, bb_conf_options[i].path) == NULL)
				fail_msg("%s is missing", bb_conf_options[i].path);
			assert_non_null(strstr(text, bb_conf_options[i].help));
		}
		free(text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_default_reads_back_as_the_same),
		cmocka_unit_test(odd_texts_read_back_as_the_same),
		cmocka_unit_test(only_differences_are_shown_when_asked),
		cmocka_unit_test(all_options_are_shown_when_asked),
		cmocka_unit_test(every_key_is_in_the_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
