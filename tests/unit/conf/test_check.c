/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

/* Two endpoints with one bind address per side, on lines 4, 5, 8 and 9. */
static void
two_endpoints(char out[1024], const char *a, const char *b, const char *c, const char *d)
{
	snprintf(out, 1024,
		"endpoints:\n"
		"- name: a\n"
		"  pattern: pubsub\n"
		"  publishers: { bind: ['%s'] }\n"
		"  subscribers: { bind: ['%s'] }\n"
		"- name: b\n"
		"  pattern: reqrep\n"
		"  clients: { bind: ['%s'] }\n"
		"  workers: { bind: ['%s'] }\n",
		a, b, c, d);
}

static void
addresses_taken_twice_are_refused(void **state)
{
	char text[1024];

	(void)state;
	two_endpoints(
		text, "tcp://127.0.0.1:1", "tcp://127.0.0.1:2", "tcp://127.0.0.1:1", "tcp://127.0.0.1:4");
	conf_refused(text,
		"f:8: endpoint b, clients: tcp://127.0.0.1:1 is taken by publishers of endpoint a on line 4, "
		"tcp://127.0.0.1:1: choose another port");
	two_endpoints(text, "tcp://[::1]:1", "tcp://127.0.0.1:2", "tcp://[0::0:1]:1", "tcp://127.0.0.1:4");
	conf_refused(text,
		"f:8: endpoint b, clients: tcp://[::1]:1 is taken by publishers of endpoint a on line 4, "
		"tcp://[::1]:1: choose another port");
	two_endpoints(text, "tcp://127.0.0.1:1", "tcp://127.0.0.1:2", "tcp://*:2", "tcp://127.0.0.1:4");
	conf_refused(text, "f:5: endpoint a, subscribers: tcp://127.0.0.1:2 is taken by clients of endpoint "
			   "b on line 8, "
			   "tcp://*:2: choose another port");
	two_endpoints(text, "tcp://[::]:1", "tcp://127.0.0.1:2", "tcp://[1::]:1", "tcp://127.0.0.1:4");
	conf_refused(text,
		"f:8: endpoint b, clients: tcp://[1::]:1 is taken by publishers of endpoint a on line 4, "
		"tcp://[::]:1: choose another port");
}

static void
families_and_ports_keep_addresses_apart(void **state)
{
	char text[1024];

	(void)state;
	two_endpoints(text, "tcp://0.0.0.0:1", "tcp://[::1]:1", "tcp://127.0.0.1:2", "tcp://127.0.0.2:2");
	struct bb_conf conf = conf_taken(text);
	bb_conf_fini(&conf);
}

static void
the_two_sides_of_one_endpoint_may_share_an_address(void **state)
{
	char text[1024];

	(void)state;
	two_endpoints(text, "tcp://127.0.0.1:1", "tcp://127.0.0.1:1", "tcp://*:4", "tcp://*:4");
	struct bb_conf conf = conf_taken(text);
	bb_conf_fini(&conf);

	two_endpoints(text, "tcp://127.0.0.1:1", "tcp://127.0.0.1:1", "tcp://127.0.0.1:1", "tcp://*:4");
	conf_refused(text, "f:8: endpoint b, clients: tcp://127.0.0.1:1 is taken by subscribers of endpoint "
			   "a on line 5, "
			   "tcp://127.0.0.1:1: choose another port");
	/* the same address, not one that merely covers it */
	two_endpoints(text, "tcp://*:1", "tcp://127.0.0.1:1", "tcp://*:3", "tcp://*:4");
	conf_refused(text, "f:5: endpoint a, subscribers: tcp://127.0.0.1:1 is taken by publishers of "
			   "endpoint a on line "
			   "4, tcp://*:1: choose another port");
	/* twice on one side is a slip */
	two_endpoints(text, "tcp://*:1", "tcp://*:2', 'tcp://*:2", "tcp://*:3", "tcp://*:4");
	conf_refused(text,
		"f:5: endpoint a, subscribers: tcp://*:2 is taken by subscribers of endpoint a on line 5, "
		"tcp://*:2: choose another port");
}

static void
names_of_endpoints_differ(void **state)
{
	(void)state;
	conf_refused("endpoints:\n"
		     "- { name: a, pattern: pipeline, producers: { bind: tcp://*:1 }, consumers: { bind: "
		     "tcp://*:2 } }\n"
		     "- { name: b, pattern: pipeline, producers: { bind: tcp://*:3 }, consumers: { bind: "
		     "tcp://*:4 } }\n"
		     "- { name: a, pattern: pipeline, producers: { bind: tcp://*:5 }, consumers: { bind: "
		     "tcp://*:6 } }\n",
		"f:4: endpoint a: the name is taken by the endpoint on line 2: choose another");
}

static void
a_side_needs_an_address(void **state)
{
	(void)state;
	conf_refused("endpoints:\n- name: a\n  pattern: pipeline\n  producers: { hwm: 5 }\n  consumers: { "
		     "bind: tcp://*:1 }\n",
		"f:4: endpoint a, producers have no address: add bind: [\"tcp://127.0.0.1:PORT\"] or "
		"connect: [...]");
	conf_refused("endpoints:\n- name: a\n  pattern: pipeline\n  producers: { bind: [], connect: }\n"
		     "  consumers: { bind: tcp://*:1 }\n",
		"f:4: endpoint a, producers have no address: add bind: [\"tcp://127.0.0.1:PORT\"] or "
		"connect: [...]");
	struct bb_conf conf = conf_taken(
		"endpoints:\n- name: a\n  pattern: pipeline\n"
		"  producers: { connect: tcp://h:1 }\n  consumers: { connect: tcp://h:1 }\n");
	bb_conf_fini(&conf); /* different sides may connect to one place */
	conf_refused("endpoints:\n- name: a\n  pattern: pipeline\n  producers: { connect: [tcp://h:1, "
		     "tcp://h:1] }\n"
		     "  consumers: { bind: tcp://*:1 }\n",
		"f:4: endpoint a, producers: connect lists tcp://h:1 twice: keep one");
}

/* A pipeline whose consumers, on line 5, have the given keys. */
#define WITH_CONSUMERS(keys)                                                             \
	"endpoints:\n- name: a\n  pattern: pipeline\n  producers: { bind: tcp://*:1 }\n" \
	"  consumers: { bind: tcp://*:2, " keys " }\n"

static void
sides_without_a_choice_of_policy_say_so(void **state)
{
	(void)state;
	conf_refused(WITH_CONSUMERS("when_full: drop"),
		"f:5: endpoint a, consumers: when_full: drop cannot be had here: consumers always block");
	struct bb_conf conf = conf_taken(WITH_CONSUMERS("when_full: block"));
	bb_conf_fini(&conf);
	conf_refused(
		"endpoints:\n- name: a\n  pattern: reqrep\n  clients: { bind: tcp://*:1, when_full: block }\n"
		"  workers: { bind: tcp://*:2 }\n",
		"f:4: endpoint a, clients: when_full: block cannot be had here: clients always drop");
}

static void
times_must_fit_together(void **state)
{
	(void)state;
	conf_refused(WITH_CONSUMERS("reconnect: { min: 60s }"),
		"f:5: endpoint a, consumers: reconnect.min 60s is "
		"above reconnect.max 30s: lower min or raise max");
	conf_refused(WITH_CONSUMERS("heartbeat: { timeout: 0 }"),
		"f:5: endpoint a, consumers: heartbeat.timeout 0 would "
		"close every connection: write a duration, or interval: 0");
	conf_refused(WITH_CONSUMERS("heartbeat: { ttl: 150ms }"),
		"f:5: endpoint a, consumers: heartbeat.ttl 150ms is too fine: the protocol has steps of "
		"100ms");
	conf_refused(WITH_CONSUMERS("keepalive: { idle: 1500ms }"),
		"f:5: endpoint a, consumers: keepalive.idle 1500ms is too fine: TCP counts whole seconds");
	conf_refused(WITH_CONSUMERS("keepalive: { interval: 1500ms }"),
		"f:5: endpoint a, consumers: keepalive.interval 1500ms is too fine: TCP counts whole "
		"seconds");
	struct bb_conf conf = conf_taken(WITH_CONSUMERS("heartbeat: { interval: 0, timeout: 0 }"));
	bb_conf_fini(&conf);
}

static void
roles_and_cores_must_fit_together(void **state)
{
	(void)state;
	conf_refused("dataplane:\n  roles: joined\n  cores: { io: '1', router: '2' }\n",
		"f:2: dataplane: roles: joined needs the same CPUs in cores.io and cores.router: give one of "
		"them only");
	conf_refused("dataplane:\n  cores: { io: '1,2', router: '2' }\n",
		"f:2: dataplane: cores.io and cores.router overlap in 1 CPUs: make them the same or "
		"disjoint");
	conf_refused("dataplane:\n  cores: { io: '0-64' }\n",
		"f:2: dataplane: cores lists 65 CPUs: at most 64 for each role");
	struct bb_conf conf = conf_taken(
		"dataplane: { roles: joined, cores: { io: '1,2', router: '1-2' } }\n");
	bb_conf_fini(&conf);
	conf = conf_taken("dataplane: { roles: split, cores: { io: '0-1', router: '0-1' } }\n");
	bb_conf_fini(&conf); /* they share CPUs, as asked */
}

static void
a_message_may_take_a_quarter_of_the_memory(void **state)
{
	(void)state;
	conf_refused("dataplane: { memory: 100MiB }\n" WITH_CONSUMERS("max_message: 26MiB"),
		"f:6: endpoint a, consumers: max_message 26MiB is above a quarter of dataplane.memory: at "
		"most 25MiB");
	/* a default gives way by itself */
	struct bb_conf conf = conf_taken(
		"dataplane: { memory: 100MiB }\n" WITH_CONSUMERS("max_message: 25MiB"));
	assert_int_equal(conf.endpoints[0].sides[0].max_message_bytes, 25 << 20);
	bb_conf_fini(&conf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_taken_twice_are_refused),
		cmocka_unit_test(families_and_ports_keep_addresses_apart),
		cmocka_unit_test(the_two_sides_of_one_endpoint_may_share_an_address),
		cmocka_unit_test(names_of_endpoints_differ),
		cmocka_unit_test(a_side_needs_an_address),
		cmocka_unit_test(sides_without_a_choice_of_policy_say_so),
		cmocka_unit_test(times_must_fit_together),
		cmocka_unit_test(roles_and_cores_must_fit_together),
		cmocka_unit_test(a_message_may_take_a_quarter_of_the_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
