/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/time.h"

/* A pubsub endpoint from line 2 on whose subscribers, on line 5, have the given keys. */
#define WITH_SUBSCRIBERS(keys)                              \
	"endpoints:\n"                                      \
	"  - name: q\n"                                     \
	"    pattern: pubsub\n"                             \
	"    publishers: { bind: ['tcp://127.0.0.1:1'] }\n" \
	"    subscribers: { bind: ['tcp://127.0.0.1:2'], " keys " }\n"

static void
the_embedded_default_has_the_three_endpoints_of_the_manual(void **state)
{
	struct bb_conf_errors errors;
	struct bb_conf conf;

	(void)state;
	assert_int_equal(
		bb_conf_read(&conf, "default", bb_conf_default_text, bb_conf_default_len, &errors), 0);
	assert_string_equal(conf.node.name, "bus-1");
	assert_int_equal(conf.endpoint_count, 3);
	assert_string_equal(conf.endpoints[0].name, "quotes");
	assert_int_equal(conf.endpoints[0].pattern, BB_CONF_PUBSUB);
	assert_string_equal(conf.endpoints[0].sides[0].binds[0].text, "tcp://127.0.0.1:5559");
	assert_string_equal(conf.endpoints[0].sides[1].binds[0].text, "tcp://127.0.0.1:5560");
	assert_int_equal(conf.endpoints[0].sides[1].when_full, BB_CONF_DROP);
	assert_int_equal(conf.endpoints[1].pattern, BB_CONF_PIPELINE);
	assert_int_equal(conf.endpoints[1].sides[1].when_full, BB_CONF_BLOCK);
	assert_string_equal(conf.endpoints[1].sides[1].binds[0].text, "tcp://127.0.0.1:5562");
	assert_int_equal(conf.endpoints[2].pattern, BB_CONF_REQREP);
	assert_string_equal(conf.endpoints[2].sides[0].binds[0].text, "tcp://127.0.0.1:5563");
	assert_string_equal(conf.endpoints[2].sides[1].binds[0].text, "tcp://127.0.0.1:5564");
	assert_int_equal(conf.dataplane.memory_bytes, 1 << 30);
	assert_int_equal(conf.dataplane.linger_ns, 5 * BB_SEC);
	assert_int_equal(conf.control.http.kind, BB_ADDRESS_NONE);
	bb_conf_fini(&conf);
}

static void
every_key_of_a_side_reaches_its_field(void **state)
{
	struct bb_conf conf = conf_taken(
		"dataplane: { cores: { io: '2-3', router: '4,5' }, roles: split, idle: poll, memory: 2GiB,\n"
		"  hugepages: required, linger: 1500ms }\n"
		"control: { socket: /run/x.sock, http: '127.0.0.1:9630' }\n"
		"endpoints:\n"
		"  - name: rpc\n"
		"    pattern: reqrep\n"
		"    clients:\n"
		"      bind: ['tcp://*:1', 'tcp://eth0:2']\n"
		"      connect: ['tcp://host.example:3']\n"
		"      hwm: 7\n"
		"      hwm_bytes: 8KiB\n"
		"      when_full: drop\n"
		"      max_message: 9MiB\n"
		"      max_frames: 10\n"
		"      sndbuf: 64KiB\n"
		"      rcvbuf: auto\n"
		"      heartbeat: { interval: 1s, timeout: 2s, ttl: 300ms }\n"
		"      handshake_timeout: 4s\n"
		"      reconnect: { min: 5ms, max: 6s }\n"
		"      backlog: 11\n"
		"      keepalive: { idle: 12s, interval: 13s, count: 14 }\n"
		"      peers_max: 15\n"
		"      handover: true\n"
		"      identity: me\n"
		"    workers: { bind: tcp://127.0.0.1:4 }\n");

	(void)state;
	assert_int_equal(conf.dataplane.io_cpus.bits[0], 0x0c);
	assert_int_equal(conf.dataplane.router_cpus.bits[0], 0x30);
	assert_int_equal(conf.dataplane.roles, BB_CONF_ROLES_SPLIT);
	assert_int_equal(conf.dataplane.idle, BB_CONF_IDLE_POLL);
	assert_int_equal(conf.dataplane.hugepages, BB_CONF_HUGEPAGES_REQUIRED);
	assert_int_equal(conf.dataplane.linger_ns, 1500 * BB_MSEC);
	assert_string_equal(conf.control.socket, "/run/x.sock");
	assert_string_equal(conf.control.http.text, "tcp://127.0.0.1:9630");
	const struct bb_conf_side *s = &conf.endpoints[0].sides[0];
	assert_int_equal(s->bind_count, 2);
	assert_int_equal(s->binds[1].kind, BB_ADDRESS_NAME);
	assert_int_equal(s->binds[1].line, 8);
	assert_int_equal(s->connect_count, 1);
	assert_string_equal(s->connects[0].host, "host.example");
	assert_int_equal(s->hwm, 7);
	assert_int_equal(s->hwm_bytes, 8192);
	assert_int_equal(s->when_full, BB_CONF_DROP);
	assert_int_equal(s->max_message_bytes, 9 << 20);
	assert_int_equal(s->max_frames, 10);
	assert_int_equal(s->sndbuf_bytes, 65536);
	assert_int_equal(s->rcvbuf_bytes, 0);
	assert_int_equal(s->heartbeat_interval_ns, BB_SEC);
	assert_int_equal(s->heartbeat_timeout_ns, 2 * BB_SEC);
	assert_int_equal(s->heartbeat_ttl_ns, 300 * BB_MSEC);
	assert_int_equal(s->handshake_timeout_ns, 4 * BB_SEC);
	assert_int_equal(s->reconnect_min_ns, 5 * BB_MSEC);
	assert_int_equal(s->reconnect_max_ns, 6 * BB_SEC);
	assert_int_equal(s->backlog, 11);
	assert_int_equal(s->keepalive_idle_ns, 12 * BB_SEC);
	assert_int_equal(s->keepalive_interval_ns, 13 * BB_SEC);
	assert_int_equal(s->keepalive_count, 14);
	assert_int_equal(s->peers_max, 15);
	assert_true(s->handover);
	assert_string_equal(s->identity, "me");
	const struct bb_conf_side *w = &conf.endpoints[0].sides[1];
	assert_int_equal(w->bind_count, 1); /* one address needs no list */
	assert_int_equal(w->when_full, BB_CONF_BLOCK);
	assert_int_equal(w->hwm, 1000);
	bb_conf_fini(&conf);
}

static void
keys_of_subscribers_reach_their_fields(void **state)
{
	struct bb_conf conf = conf_taken(
		WITH_SUBSCRIBERS("when_full: block, block_max: 3s, subscriptions_max: 4, hwm: 0"));

	(void)state;
	const struct bb_conf_side *s = &conf.endpoints[0].sides[1];
	assert_int_equal(s->when_full, BB_CONF_BLOCK);
	assert_int_equal(s->block_max_ns, 3 * BB_SEC);
	assert_int_equal(s->subscriptions_max, 4);
	assert_int_equal(s->hwm, 0);
	bb_conf_fini(&conf);
}

static void
an_empty_configuration_is_all_defaults(void **state)
{
	static const char *const texts[] = { "", "# nothing\n", "endpoints: []\n",
		"endpoints:\nnode:\ndataplane: ~\n", "ports: []\n", "ports: null\n" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct bb_conf conf = conf_taken(texts[i]);
		assert_int_equal(conf.endpoint_count, 0);
		assert_string_equal(conf.node.name, "busbar");
		assert_int_equal(conf.dataplane.memory_bytes, 1 << 30);
		bb_conf_fini(&conf);
	}
}

static void
unknown_keys_get_the_nearest_as_suggestion(void **state)
{
	(void)state;
	conf_refused("node: { name: a }\nendpoint: []\n",
		"f:2: unknown key \"endpoint\": did you mean endpoints?");
	conf_refused("frobnicate: 1\n",
		"f:1: unknown key \"frobnicate\": write node, dataplane, ports, endpoints or control");
	conf_refused("dataplane:\n  memroy: 1GiB\n",
		"f:2: dataplane: unknown key \"memroy\": did you mean memory?");
	conf_refused("dataplane:\n  core: { io: 1 }\n",
		"f:2: dataplane: unknown key \"core\": did you mean cores?");
	conf_refused("dataplane:\n  cores: { oi: 1 }\n",
		"f:2: dataplane: unknown key \"cores.oi\": did you mean cores.io?");
	conf_refused(WITH_SUBSCRIBERS("hmw: 5"),
		"f:5: endpoint q, subscribers: unknown key \"hmw\": did you mean hwm?");
	conf_refused(
		WITH_SUBSCRIBERS("zzzzzzzzz: 5"), "f:5: endpoint q, subscribers: unknown key \"zzzzzzzzz\": "
						  "`busbar config keys` lists what can be set");
	conf_refused(WITH_SUBSCRIBERS("heartbeat: { timout: 5s }"),
		"f:5: endpoint q, subscribers: unknown key \"heartbeat.timout\": did you mean "
		"heartbeat.timeout?");
	conf_refused(WITH_SUBSCRIBERS("heartbeat.timeout: 5s"),
		"f:5: endpoint q, subscribers: unknown key \"heartbeat.timeout\": `busbar config keys` lists "
		"what can be set");
	conf_refused("endpoints:\n- name: q\n  pattern: pubsub\n  publisher: {}\n"
		     "  publishers: { bind: tcp://*:1 }\n  subscribers: { bind: tcp://*:2 }\n",
		"f:4: endpoint q: unknown key \"publisher\": did you mean publishers?");
}

static void
keys_without_effect_are_refused(void **state)
{
	(void)state;
	conf_refused(WITH_SUBSCRIBERS("handover: true"),
		"f:5: endpoint q, subscribers: handover has no effect here: only clients have it");
	conf_refused(WITH_SUBSCRIBERS("identity: x"), "f:5: endpoint q, subscribers: identity has no effect "
						      "here: only clients and workers have it");
	conf_refused(WITH_SUBSCRIBERS("reuseport: true"),
		"f:5: endpoint q, subscribers: reuseport is not built in: remove the key");
	conf_refused(WITH_SUBSCRIBERS("ipc_mode: 0660"),
		"f:5: endpoint q, subscribers: ipc_mode has no effect: "
		"transport ipc is not built in, remove the key");
	conf_refused("ports:\n  - name: lan\n    device: x\n",
		"f:2: DPDK ports are not built in: remove ports to use kernel sockets");
	conf_refused("endpoints:\n- name: j\n  pattern: pipeline\n  subscribe: all\n"
		     "  producers: { bind: tcp://*:1 }\n  consumers: { bind: tcp://*:2 }\n",
		"f:4: endpoint j: subscribe has no effect here: only pattern pubsub has it");
}

static void
values_of_the_wrong_type_or_range_are_refused_at_their_line(void **state)
{
	(void)state;
	conf_refused("dataplane:\n  linger: 5\n",
		"f:2: dataplane: linger: duration without a unit: write 5ms, 5s or 5m");
	conf_refused("dataplane:\n  memory: 1MiB\n",
		"f:2: dataplane: memory: 1MiB is out of range: from 32MiB to 16TiB");
	conf_refused(
		"dataplane:\n  memory: 1GB\n", "f:2: dataplane: memory: unknown unit in 1GB: write 1GiB");
	conf_refused("dataplane:\n  roles: both\n",
		"f:2: dataplane: roles: \"both\" is not a choice: write auto, joined or split");
	conf_refused("dataplane:\n  roles: [auto]\n", "f:2: dataplane: roles is a list: write roles: VALUE");
	conf_refused(
		"dataplane:\n  roles:\n", "f:2: dataplane: roles has no value: write one, or remove the key");
	conf_refused("dataplane:\n  cores: 2\n", "f:2: cores is a single value: write { key: value, ... }");
	conf_refused("dataplane: 7\n", "f:1: dataplane is a single value: write { key: value, ... }");
	conf_refused("- a\n", "f:1: the configuration is a list: write endpoints: and a list of them");
	conf_refused(WITH_SUBSCRIBERS("hwm: lots"),
		"f:5: endpoint q, subscribers: hwm: \"lots\" is wrong: write a whole number");
	conf_refused(WITH_SUBSCRIBERS("hwm: 4294967296"),
		"f:5: endpoint q, subscribers: hwm: 4294967296 is out of range: from 0 to 2147483647");
	conf_refused(WITH_SUBSCRIBERS("when_full: wait"), "f:5: endpoint q, subscribers: when_full: \"wait\" "
							  "is not a choice: write drop, block or disconnect");
	conf_refused("control: { http: '0.0.0.0:80' }\n",
		"f:1: control: http: 0.0.0.0:80 is not a loopback address: "
		"the API has no passwords, write 127.0.0.1:80");
}

static void
keys_given_twice_are_refused(void **state)
{
	(void)state;
	conf_refused("dataplane:\n  linger: 5s\n  linger: 6s\n",
		"f:3: dataplane: linger is given twice, first on line 2: keep one");
	conf_refused("node: {}\nnode: {}\n", "f:2: node is given twice: keep one");
	conf_refused("endpoints:\n- name: q\n  pattern: pubsub\n  publishers: { bind: tcp://*:1 }\n"
		     "  subscribers: { bind: tcp://*:2 }\n  publishers: { bind: tcp://*:3 }\n",
		"f:6: endpoint q: publishers is given twice: keep one");
}

static void
endpoints_need_name_pattern_and_their_own_sides(void **state)
{
	(void)state;
	conf_refused("endpoints:\n- pattern: pubsub\n  publishers: { bind: tcp://*:1 }\n"
		     "  subscribers: { bind: tcp://*:2 }\n",
		"f:2: endpoint without a name: add name: NAME");
	conf_refused("endpoints:\n- name: q\n",
		"f:2: endpoint q: pattern is missing: add pattern: pubsub, pipeline or reqrep");
	conf_refused("endpoints:\n- name: q\n  pattern: pubsubb\n",
		"f:3: endpoint q: unknown pattern \"pubsubb\": write pubsub, pipeline or reqrep");
	conf_refused("endpoints:\n- name: q\n  pattern: exchange\n",
		"f:3: endpoint q: pattern \"exchange\" is not built in: write pubsub, pipeline or reqrep");
	conf_refused("endpoints:\n- name: q\n  pattern: pubsub\n  publishers: { bind: tcp://*:1 }\n",
		"f:2: endpoint q, subscribers are missing: add subscribers: { bind: "
		"[\"tcp://127.0.0.1:PORT\"] }");
	conf_refused("endpoints:\n- name: q\n  pattern: pubsub\n  producers: { bind: tcp://*:1 }\n",
		"f:4: endpoint q: producers are sides of pattern pipeline: pubsub has publishers and "
		"subscribers");
	conf_refused("endpoints:\n- q\n",
		"f:2: endpoint is a single value: write - { name: NAME, pattern: PATTERN, ... }");
	conf_refused("endpoints:\n  name: q\n",
		"f:2: endpoints is a map: write a list: - { name: NAME, pattern: PATTERN, ... }");
	conf_refused("endpoints:\n- name: 'a b'\n  pattern: pipeline\n  producers: { bind: tcp://*:1 }\n"
		     "  consumers: { bind: tcp://*:2 }\n",
		"f:2: endpoint a b: name: bad name \"a b\": use letters, digits, . _ and -");
}

static void
addresses_are_refused_at_their_own_line(void **state)
{
	(void)state;
	conf_refused("endpoints:\n- name: q\n  pattern: pubsub\n  publishers:\n    bind:\n      - "
		     "tcp://127.0.0.1:1\n"
		     "      - tcp://127.0.0.1:99999\n  subscribers: { bind: tcp://*:2 }\n",
		"f:7: endpoint q, publishers: \"tcp://127.0.0.1:99999\": bad port: a number from 1 to 65535 "
		"is needed, as "
		"in tcp://127.0.0.1:5559");
	conf_refused(WITH_SUBSCRIBERS("connect: [ipc:///tmp/x]"),
		"f:5: endpoint q, subscribers: \"ipc:///tmp/x\": transport ipc is not built in: use "
		"tcp://HOST:PORT");
	conf_refused(WITH_SUBSCRIBERS("connect: ['tcp://*:7']"),
		"f:5: endpoint q, subscribers: \"tcp://*:7\": nothing can be connected to at *: name the "
		"address or the host");
	conf_refused(WITH_SUBSCRIBERS("connect: [[a]]"),
		"f:5: endpoint q, subscribers: connect contains a list: write [\"tcp://HOST:PORT\", ...]");
	conf_refused(WITH_SUBSCRIBERS("connect: [a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q]"),
		"f:5: endpoint q, subscribers: connect lists 17 addresses: at most 16");
}

static void
several_errors_are_told_at_once(void **state)
{
	struct bb_conf_errors errors;
	struct bb_conf conf;

	(void)state;
	assert_int_equal(
		conf_read(&conf,
			"dataplane:\n  linger: 5\n  rolls: auto\nendpoints:\n- name: q\n  pattern: pubsub\n"
			"  publishers: { bind: tcp://*:0 }\n  subscribers: { bind: tcp://*:2, hwm: x }\n",
			&errors),
		-EINVAL);
	assert_int_equal(errors.count, 4);
	assert_string_equal(errors.line[1], "f:3: dataplane: unknown key \"rolls\": did you mean roles?");
	assert_string_equal(
		errors.line[3], "f:8: endpoint q, subscribers: hwm: \"x\" is wrong: write a whole number");
}

static void
a_flood_of_errors_ends_the_reading(void **state)
{
	struct bb_conf_errors errors;
	struct bb_conf conf;
	char text[4096] = "dataplane:\n";

	(void)state;
	for (int i = 0; i < 100; i++)
		strcat(text, "  xyzzy: 1\n");
	assert_int_equal(conf_read(&conf, text, &errors), -EINVAL);
	assert_int_equal(errors.count, BB_CONF_ERRORS_MAX);
}

static void
endpoints_are_limited(void **state)
{
	struct bb_conf_errors errors;
	struct bb_conf conf;
	char *text = malloc(8192);

	(void)state;
	assert_non_null(text);
	strcpy(text, "endpoints: [");
	for (int i = 0; i < BB_ENDPOINTS_MAX + 1; i++)
		strcat(text, "a,");
	strcat(text, "]\n");
	assert_int_equal(conf_read(&conf, text, &errors), -EINVAL);
	assert_string_equal(errors.line[0], "f:1: 1025 endpoints are too many: at most 1024");
	free(text);
}

static void
files_that_cannot_be_read_are_named(void **state)
{
	struct bb_conf_errors errors;
	struct bb_conf conf;

	(void)state;
	assert_int_equal(bb_conf_read_file(&conf, "/nowhere/x.yaml", &errors), -ENOENT);
	assert_string_equal(errors.line[0],
		"/nowhere/x.yaml: cannot be read: No such file or directory: give the path "
		"of a configuration file");
	assert_int_equal(bb_conf_read_file(&conf, "/", &errors), -EISDIR);
	assert_string_equal(
		errors.line[0], "/: cannot be read: Is a directory: give the path of a configuration file");
}

static void
a_file_is_read_like_its_text(void **state)
{
	char path[] = "/tmp/busbar-test-XXXXXX";
	struct bb_conf_errors errors;
	struct bb_conf conf;

	(void)state;
	const int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bb_conf_default_text, bb_conf_default_len), bb_conf_default_len);
	assert_int_equal(bb_conf_read_file(&conf, path, &errors), 0);
	assert_int_equal(conf.endpoint_count, 3);
	bb_conf_fini(&conf);

	assert_int_equal(write(fd, "oops: 1\n", 8), 8);
	assert_int_equal(bb_conf_read_file(&conf, path, &errors), -EINVAL);
	assert_memory_equal(errors.line[0], path, strlen(path));
	close(fd);
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_embedded_default_has_the_three_endpoints_of_the_manual),
		cmocka_unit_test(every_key_of_a_side_reaches_its_field),
		cmocka_unit_test(keys_of_subscribers_reach_their_fields),
		cmocka_unit_test(an_empty_configuration_is_all_defaults),
		cmocka_unit_test(unknown_keys_get_the_nearest_as_suggestion),
		cmocka_unit_test(keys_without_effect_are_refused),
		cmocka_unit_test(values_of_the_wrong_type_or_range_are_refused_at_their_line),
		cmocka_unit_test(keys_given_twice_are_refused),
		cmocka_unit_test(endpoints_need_name_pattern_and_their_own_sides),
		cmocka_unit_test(addresses_are_refused_at_their_own_line),
		cmocka_unit_test(several_errors_are_told_at_once),
		cmocka_unit_test(a_flood_of_errors_ends_the_reading),
		cmocka_unit_test(endpoints_are_limited),
		cmocka_unit_test(files_that_cannot_be_read_are_named),
		cmocka_unit_test(a_file_is_read_like_its_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
