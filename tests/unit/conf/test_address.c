/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include "conf/address.h"

static struct bb_conf_address
parsed(const char *text)
{
	struct bb_conf_address a;
	const char *why;

	if (bb_conf_address_parse(&a, text, BB_ADDRESS_BIND, &why) != 0)
		fail_msg("%s: %s", text, why);
	return a;
}

static void
refused(const char *text, enum bb_address_use use, const char *expected)
{
	struct bb_conf_address a = { .port = 7 };
	const char *why = NULL;

	assert_int_equal(bb_conf_address_parse(&a, text, use, &why), -EINVAL);
	if (strstr(why, expected) == NULL)
		fail_msg("%s: \"%s\" does not say \"%s\"", text, why, expected);
	assert_int_equal(a.port, 7); /* written on success only */
}

static void
every_kind_of_host_is_told_apart(void **state)
{
	(void)state;
	struct bb_conf_address a = parsed("tcp://127.0.0.1:5559");
	assert_int_equal(a.kind, BB_ADDRESS_V4);
	assert_int_equal(a.port, 5559);
	assert_memory_equal(a.ip, "\x7f\0\0\1", 4);
	assert_string_equal(a.text, "tcp://127.0.0.1:5559");

	a = parsed("tcp://[fd00::10]:65535");
	assert_int_equal(a.kind, BB_ADDRESS_V6);
	assert_int_equal(a.port, 65535);
	assert_int_equal(a.ip[0], 0xfd);
	assert_int_equal(a.ip[15], 0x10);

	assert_int_equal(parsed("tcp://*:1").kind, BB_ADDRESS_ANY);
	assert_int_equal(parsed("tcp://eth0:1").kind, BB_ADDRESS_NAME);
	assert_int_equal(parsed("tcp://bond0.100:1").kind, BB_ADDRESS_NAME);
	assert_int_equal(parsed("tcp://bus.example.org:1").kind, BB_ADDRESS_NAME);
}

static void
spellings_of_one_ipv6_address_become_one_text(void **state)
{
	(void)state;
	assert_string_equal(parsed("tcp://[FD00:0:0:0::10]:1").text, "tcp://[fd00::10]:1");
	assert_string_equal(parsed("tcp://[FE80::0:1%eth0]:1").text, "tcp://[fe80::1%eth0]:1");
}

static void
what_is_no_address_is_refused_with_the_reason(void **state)
{
	(void)state;
	refused("", BB_ADDRESS_BIND, "write tcp://HOST:PORT");
	refused("127.0.0.1:5559", BB_ADDRESS_BIND, "write tcp://HOST:PORT");
	refused("ipc:///tmp/x", BB_ADDRESS_BIND, "ipc is not built in");
	refused("inproc://x", BB_ADDRESS_BIND, "inproc works inside one process");
	refused("epgm://eth0;239.0.0.1:1", BB_ADDRESS_BIND, "epgm is not built in");
	refused("tcp://127.0.0.1", BB_ADDRESS_BIND, "no port");
	refused("tcp://[::1]", BB_ADDRESS_BIND, "no port");
	refused("tcp://:5559", BB_ADDRESS_BIND, "no host");
	refused("tcp://127.0.0.1:", BB_ADDRESS_BIND, "bad port");
	refused("tcp://127.0.0.1:0", BB_ADDRESS_BIND, "bad port");
	refused("tcp://127.0.0.1:65536", BB_ADDRESS_BIND, "bad port");
	refused("tcp://127.0.0.1:99999999999999999999", BB_ADDRESS_BIND, "bad port");
	refused("tcp://127.0.0.1:12x", BB_ADDRESS_BIND, "bad port");
	refused("tcp://127.0.0.1:-1", BB_ADDRESS_BIND, "bad port");
	refused("tcp://127.0.0.1:*", BB_ADDRESS_BIND, "bad port");
	refused("tcp://10.0.0.300:1", BB_ADDRESS_BIND, "bad host");
	refused("tcp://a b:1", BB_ADDRESS_BIND, "bad host");
	refused("tcp://a..b:1", BB_ADDRESS_BIND, "bad host");
	refused("tcp://a/b:1", BB_ADDRESS_BIND, "bad host");
	refused("tcp://::1:5559", BB_ADDRESS_BIND, "needs brackets");
	refused("tcp://[::g]:5559", BB_ADDRESS_BIND, "bad IPv6");
	refused("tcp://[]:5559", BB_ADDRESS_BIND, "bad IPv6");
	refused("tcp://[fe80::1%]:5559", BB_ADDRESS_BIND, "bad IPv6");
	refused("tcp://eth0;10.0.0.1:5", BB_ADDRESS_CONNECT, "source addresses");
	refused("tcp://*:5559", BB_ADDRESS_CONNECT, "nothing can be connected to");
}

static void
a_host_fills_its_room_and_not_more(void **state)
{
	char text[BB_ADDRESS_TEXT_MAX + 64] = "tcp://";

	(void)state;
	memset(text + 6, 'a', BB_ADDRESS_HOST_MAX);
	strcpy(text + 6 + BB_ADDRESS_HOST_MAX, ":65535");
	assert_string_equal(parsed(text).text, text);
	text[6 + BB_ADDRESS_HOST_MAX] = 'a';
	strcpy(text + 7 + BB_ADDRESS_HOST_MAX, ":65535");
	refused(text, BB_ADDRESS_BIND, "too long");
}

static bool
covers(const char *a, const char *b)
{
	const struct bb_conf_address x = parsed(a), y = parsed(b);

	return bb_conf_address_covers(&x, &y);
}

static void
a_wildcard_covers_its_family_on_its_port(void **state)
{
	(void)state;
	assert_true(covers("tcp://*:1", "tcp://10.0.0.1:1"));
	assert_true(covers("tcp://*:1", "tcp://[::1]:1"));
	assert_true(covers("tcp://*:1", "tcp://eth0:1"));
	assert_true(covers("tcp://0.0.0.0:1", "tcp://10.0.0.1:1"));
	assert_true(covers("tcp://[::]:1", "tcp://[::1]:1"));
	assert_true(covers("tcp://eth0:1", "tcp://ETH0:1"));
	assert_false(covers("tcp://*:1", "tcp://*:2"));
	assert_false(covers("tcp://0.0.0.0:1", "tcp://[::1]:1"));
	assert_false(covers("tcp://[::]:1", "tcp://10.0.0.1:1"));
	assert_false(covers("tcp://10.0.0.1:1", "tcp://10.0.0.2:1"));
	assert_false(covers("tcp://[fe80::1%eth0]:1", "tcp://[fe80::1%eth1]:1"));
}

static void
wide_addresses_come_first_among_those_of_their_kind(void **state)
{
	static const char *const sorted[] = { "tcp://*:1", "tcp://0.0.0.0:1", "tcp://10.0.0.1:1",
		"tcp://[::]:1", "tcp://[::1]:1", "tcp://[1::]:1", "tcp://eth0:1", "tcp://*:2" };

	(void)state;
	for (size_t i = 0; i < sizeof(sorted) / sizeof(sorted[0]); i++)
		for (size_t k = 0; k < sizeof(sorted) / sizeof(sorted[0]); k++) {
			const struct bb_conf_address a = parsed(sorted[i]), b = parsed(sorted[k]);
			const int order = bb_conf_address_compare(&a, &b);
			assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
		}
}

static void
a_literal_must_be_one(void **state)
{
	struct bb_conf_address a;
	const char *why;

	(void)state;
	assert_int_equal(bb_conf_address_parse_literal(&a, "127.0.0.1:9630", &why), 0);
	assert_true(bb_conf_address_loopback(&a));
	assert_int_equal(bb_conf_address_parse_literal(&a, "[::1]:9630", &why), 0);
	assert_true(bb_conf_address_loopback(&a));
	assert_int_equal(bb_conf_address_parse_literal(&a, "10.0.0.1:9630", &why), 0);
	assert_false(bb_conf_address_loopback(&a));
	assert_int_equal(bb_conf_address_parse_literal(&a, "[::2]:9630", &why), 0);
	assert_false(bb_conf_address_loopback(&a));
	assert_int_equal(bb_conf_address_parse_literal(&a, "localhost:9630", &why), -EINVAL);
	assert_int_equal(bb_conf_address_parse_literal(&a, "*:9630", &why), -EINVAL);
	assert_int_equal(bb_conf_address_parse_literal(&a, "9630", &why), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_host_is_told_apart),
		cmocka_unit_test(spellings_of_one_ipv6_address_become_one_text),
		cmocka_unit_test(what_is_no_address_is_refused_with_the_reason),
		cmocka_unit_test(a_host_fills_its_room_and_not_more),
		cmocka_unit_test(a_wildcard_covers_its_family_on_its_port),
		cmocka_unit_test(wide_addresses_come_first_among_those_of_their_kind),
		cmocka_unit_test(a_literal_must_be_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
