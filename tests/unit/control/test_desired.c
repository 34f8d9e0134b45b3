/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/time.h"
#include "desired.h"

static struct bb_conf
read_conf(const char *text)
{
	struct bb_conf_errors errors;
	struct bb_conf conf;

	if (bb_conf_read(&conf, "f", text, strlen(text), &errors) != 0)
		fail_msg("%s", errors.line[0]);
	return conf;
}

static void
the_plan_says_what_was_configured(void **state)
{
	struct bb_conf conf = read_conf("node: { name: n }\ndataplane: { cores: { io: '5,2-3', router: '7' "
					"}, roles: split, idle: poll,\n"
					"  hugepages: off, memory: 64MiB, linger: 3s }\n");
	struct bb_cmd_plan plan;

	(void)state;
	memset(&plan, 0xff, sizeof(plan));
	bb_desired_plan(&plan, &conf);
	assert_int_equal(plan.io_count, 3);
	assert_int_equal(plan.io_cpu[0], 2);
	assert_int_equal(plan.io_cpu[2], 5);
	assert_int_equal(plan.io_cpu[3], 0);
	assert_int_equal(plan.router_count, 1);
	assert_int_equal(plan.router_cpu[0], 7);
	assert_int_equal(plan.roles, BB_ROLES_SPLIT);
	assert_int_equal(plan.idle, BB_IDLE_POLL);
	assert_int_equal(plan.hugepages, BB_HUGEPAGES_OFF);
	assert_int_equal(plan.memory_bytes, 64 << 20);
	assert_int_equal(plan.linger_ns, 3 * BB_SEC);
	assert_string_equal(plan.node_name, "n");
	bb_conf_fini(&conf);
}

static void
an_endpoint_says_what_was_configured(void **state)
{
	struct bb_conf conf = read_conf("endpoints:\n- name: rpc\n  pattern: reqrep\n"
					"  clients: { bind: [tcp://*:1, 'tcp://[::1]:2'], connect: "
					"tcp://h:3, hwm: 4, hwm_bytes: 5KiB,\n"
					"    max_message: 6MiB, max_frames: 7, sndbuf: 8KiB, rcvbuf: 9KiB, "
					"handshake_timeout: 10s, backlog: 11,\n"
					"    heartbeat: { interval: 12s, timeout: 13s, ttl: 1400ms }, "
					"reconnect: { min: 15ms, max: 16s },\n"
					"    keepalive: { idle: 17s, interval: 18s, count: 19 }, peers_max: "
					"20, handover: true, identity: me }\n"
					"  workers: { bind: tcp://*:4 }\n");
	struct bb_cmd_endpoint e;

	(void)state;
	bb_desired_endpoint(&e, &conf.endpoints[0]);
	assert_string_equal(e.name, "rpc");
	assert_int_equal(e.pattern, 3);
	assert_int_equal(e.subscribe_all, 0);
	const struct bb_cmd_side *s = &e.side[0];
	assert_int_equal(s->bind_count, 2);
	assert_string_equal(s->bind[0].text, "tcp://*:1");
	assert_string_equal(s->bind[1].text, "tcp://[::1]:2");
	assert_int_equal(s->connect_count, 1);
	assert_string_equal(s->connect[0].text, "tcp://h:3");
	assert_int_equal(s->hwm_msgs, 4);
	assert_int_equal(s->hwm_bytes, 5 << 10);
	assert_int_equal(s->when_full, 1); /* clients drop */
	assert_int_equal(s->max_message, 6 << 20);
	assert_int_equal(s->max_frames, 7);
	assert_int_equal(s->sndbuf_bytes, 8 << 10);
	assert_int_equal(s->rcvbuf_bytes, 9 << 10);
	assert_int_equal(s->handshake_timeout_ns, 10 * BB_SEC);
	assert_int_equal(s->backlog, 11);
	assert_int_equal(s->heartbeat_interval_ns, 12 * BB_SEC);
	assert_int_equal(s->heartbeat_timeout_ns, 13 * BB_SEC);
	assert_int_equal(s->heartbeat_ttl_ns, 1400 * BB_MSEC);
	assert_int_equal(s->reconnect_min_ns, 15 * BB_MSEC);
	assert_int_equal(s->reconnect_max_ns, 16 * BB_SEC);
	assert_int_equal(s->keepalive_idle_s, 17);
	assert_int_equal(s->keepalive_interval_s, 18);
	assert_int_equal(s->keepalive_count, 19);
	assert_int_equal(s->peers_max, 20);
	assert_int_equal(s->handover, 1);
	assert_int_equal(s->identity_len, 2);
	assert_memory_equal(s->identity, "me", 2);
	assert_int_equal(e.side[1].when_full, 2); /* workers block */
	bb_conf_fini(&conf);
}

static void
equal_configurations_give_equal_octets(void **state)
{
	const char *text = "endpoints:\n- name: q\n  pattern: pubsub\n  subscribe: all\n"
			   "  publishers: { bind: tcp://*:1 }\n"
			   "  subscribers: { bind: tcp://*:2, when_full: disconnect }\n";
	struct bb_conf conf = read_conf(text);
	struct bb_cmd_endpoint a, b;
	struct bb_cmd_plan p, q;

	(void)state;
	memset(&a, 0x00, sizeof(a));
	memset(&b, 0xff, sizeof(b));
	bb_desired_endpoint(&a, &conf.endpoints[0]);
	bb_desired_endpoint(&b, &conf.endpoints[0]);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(a.subscribe_all, 1);
	assert_int_equal(a.side[1].when_full, 3);
	memset(&p, 0x00, sizeof(p));
	memset(&q, 0xff, sizeof(q));
	bb_desired_plan(&p, &conf);
	bb_desired_plan(&q, &conf);
	assert_memory_equal(&p, &q, sizeof(p));
	bb_conf_fini(&conf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_plan_says_what_was_configured),
		cmocka_unit_test(an_endpoint_says_what_was_configured),
		cmocka_unit_test(equal_configurations_give_equal_octets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
