/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "engine/address.h"

static struct bb_address
parsed(const char *text)
{
	struct bb_address a;
	struct bb_text why = { "" };

	if (bb_address_parse(text, &a, &why) != 0)
		fail_msg("%s", why.s);
	return a;
}

static void
host_and_port_are_taken_apart(void **state)
{
	struct bb_address a = parsed("tcp://127.0.0.1:5559");

	(void)state;
	assert_string_equal(a.host, "127.0.0.1");
	assert_int_equal(a.port, 5559);
	a = parsed("tcp://[fd00::1]:1");
	assert_string_equal(a.host, "fd00::1");
	a = parsed("tcp://*:*");
	assert_string_equal(a.host, "*");
	assert_int_equal(a.port, 0);
	a = parsed("tcp://feeds.example.org:65535");
	assert_int_equal(a.port, 65535);
}

static void
what_is_no_address_is_refused_by_name(void **state)
{
	static const char *const bad[] = { "", "tcp://", "tcp://:", "tcp://host",
		"tcp://host:", "tcp://host:65536", "tcp://host:12x", "tcp://::1:5559", "tcp://[::1:5559",
		"tcp://:5559", "ipc:///tmp/x:1", "host:1", "tcp://a b:1", "tcp://a/b:1" };

	(void)state;
	for (size_t i = 0; i < BB_ARRAY_LEN(bad); i++) {
		struct bb_address a;
		struct bb_text why = { "" };
		assert_int_equal(bb_address_parse(bad[i], &a, &why), -EINVAL);
		assert_memory_equal(why.s, bad[i], strlen(bad[i]));
	}
}

static struct sockaddr_storage
local(const char *text)
{
	const struct bb_address a = parsed(text);
	struct sockaddr_storage s;
	struct bb_text why = { "" };

	if (bb_address_local(&a, &s, &why) != 0)
		fail_msg("%s", why.s);
	return s;
}

static void
a_star_listens_on_both_families(void **state)
{
	const struct sockaddr_storage s = local("tcp://*:5559");
	const struct sockaddr_in6 *v6 = (const void *)&s;

	(void)state;
	assert_int_equal(s.ss_family, AF_INET6);
	assert_true(IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr));
	assert_int_equal(ntohs(v6->sin6_port), 5559);
}

static void
an_interface_stands_for_its_address(void **state)
{
	const struct sockaddr_storage lo = local("tcp://lo:5559"), literal = local("tcp://127.0.0.1:5559"),
				      name = local("tcp://localhost:5559");

	(void)state;
	assert_true(bb_address_equal(&lo, &literal));
	assert_true(bb_address_equal(&name, &literal));
}

static void
an_unknown_interface_is_refused_by_name(void **state)
{
	const struct bb_address a = parsed("tcp://nosuch0:5559");
	struct sockaddr_storage s;
	struct bb_text why;

	(void)state;
	assert_int_equal(bb_address_local(&a, &s, &why), -ENODEV);
	assert_non_null(strstr(why.s, "tcp://nosuch0:5559"));
}

static void
only_names_need_a_resolver(void **state)
{
	struct sockaddr_storage s;
	struct bb_address a = parsed("tcp://10.0.0.7:1");

	(void)state;
	assert_int_equal(bb_address_literal(&a, &s), 0);
	a = parsed("tcp://[fe80::1%lo]:1");
	assert_int_equal(bb_address_literal(&a, &s), 0);
	assert_int_equal(((const struct sockaddr_in6 *)(const void *)&s)->sin6_scope_id, 1);
	a = parsed("tcp://localhost:1");
	assert_int_equal(bb_address_literal(&a, &s), -EAGAIN);
}

static void
addresses_are_equal_by_family_host_and_port(void **state)
{
	const struct sockaddr_storage a = local("tcp://127.0.0.1:1"), b = local("tcp://127.0.0.1:2"),
				      c = local("tcp://127.0.0.2:1"), six = local("tcp://[::1]:1"),
				      any = local("tcp://127.0.0.1:*");

	(void)state;
	assert_true(bb_address_equal(&a, &a));
	assert_true(bb_address_equal(&six, &six));
	assert_false(bb_address_equal(&a, &b));
	assert_false(bb_address_equal(&a, &c));
	assert_false(bb_address_equal(&a, &six));
	assert_false(bb_address_equal(&any, &any)); /* the kernel gives each another port */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(host_and_port_are_taken_apart),
		cmocka_unit_test(what_is_no_address_is_refused_by_name),
		cmocka_unit_test(a_star_listens_on_both_families),
		cmocka_unit_test(an_interface_stands_for_its_address),
		cmocka_unit_test(an_unknown_interface_is_refused_by_name),
		cmocka_unit_test(only_names_need_a_resolver),
		cmocka_unit_test(addresses_are_equal_by_family_host_and_port),
	};

	return cmocka_run_group_tests_name("engine/address", tests, NULL, NULL);
}
