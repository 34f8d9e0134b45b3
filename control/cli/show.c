/* SPDX-License-Identifier: BSD-3-Clause */
/* show: the commands that read the running appliance. Without --json, tables for people; with it, what the
 * API said. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/table.h"

static const char *
text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

static uint64_t
number_of(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

/* Messages and copies that were dropped, whatever the cause. */
static uint64_t
dropped_of(const json_t *counters)
{
	uint64_t sum = 0;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)counters, key, value)
	{
		const size_t len = strlen(key);
		if (strncmp(key, "dropped_", 8) == 0 && (len < 6 || strcmp(key + len - 6, "_bytes") != 0))
			sum += (uint64_t)json_integer_value(value);
	}
	return sum;
}

/* Options that every reading command has; no operands. -1: go on. */
static int
plain_options(struct bb_cli *cli, int argc, char **argv)
{
	const int status = bb_cli_options(cli, bb_cli_command_find(cli->name), &argc, argv, NULL, NULL);

	if (status >= 0)
		return status;
	if (argc > 1)
		return bb_cli_misuse(cli, "%s: not expected here: `busbar %s --help` shows the options",
			argv[1], cli->name);
	return -1;
}

static void
print_status(const json_t *s)
{
	const json_t *plane = json_object_get(s, "dataplane"), *control = json_object_get(s, "control");
	const json_t *refused = json_object_get(s, "refused");
	char a[32], b[32];

	printf("node        %s\n", text_of(s, "node"));
	printf("state       %s\n", text_of(s, "state"));
	if (json_is_object(plane)) {
		const uint64_t memory = number_of(plane, "memory_bytes"),
			       unused = number_of(plane, "memory_free_bytes");
		printf("data plane  %s, %s, pid %" PRIu64 ", up %s\n", text_of(plane, "state"),
			text_of(plane, "version"), number_of(plane, "pid"),
			bb_format_seconds(json_real_value(json_object_get(plane, "uptime_s")), a));
		printf("endpoints   %" PRIu64 ", revision %" PRIu64 "\n", number_of(plane, "endpoints"),
			number_of(plane, "revision"));
		printf("peers       %" PRIu64 "\n", number_of(plane, "peers"));
		printf("cores       %" PRIu64 " I/O, %" PRIu64 " router\n", number_of(plane, "io_cores"),
			number_of(plane, "router_cores"));
		printf("memory      %s of %s in use\n", bb_format_bytes(memory - unused, a),
			bb_format_bytes(memory, b));
	} else {
		puts("data plane  not there");
	}
	printf("control     %s, pid %" PRIu64 ", up %s\n", text_of(control, "version"),
		number_of(control, "pid"),
		bb_format_seconds(json_real_value(json_object_get(control, "uptime_s")), a));
	printf("file        %s\n", text_of(control, "file"));
	for (size_t i = 0; i < json_array_size(refused); i++) {
		const json_t *item = json_array_get(refused, i);
		printf("refused     %s: endpoint %s: %s\n", text_of(item, "at"), text_of(item, "endpoint"),
			text_of(item, "error"));
	}
}

int
bb_cmd_status(struct bb_cli *cli, int argc, char **argv)
{
	json_t *s = NULL;
	int status = plain_options(cli, argc, argv);

	if (status >= 0)
		return status;
	status = bb_client_get(cli, "/v1/status", &s, NULL);
	if (status != BB_EXIT_OK)
		return status;
	if (cli->json)
		return bb_cli_print_json(s);
	print_status(s);
	json_decref(s);
	return BB_EXIT_OK;
}

/* The i-th address of a side, bind addresses first. False if there is none. */
static bool
side_address(const json_t *side, size_t i, char out[256])
{
	const json_t *bind = json_object_get(side, "bind"), *connect = json_object_get(side, "connect");
	const size_t binds = json_array_size(bind);

	if (i >= binds + json_array_size(connect))
		return false;
	if (i >= binds) {
		snprintf(out, 256, "-> %s", json_string_value(json_array_get(connect, i - binds)));
		return true;
	}
	const json_t *a = json_array_get(bind, i);
	const char *error = json_string_value(json_object_get(a, "error"));
	snprintf(out, 256, "%s%s%s%s", text_of(a, "address"), error != NULL ? " (" : "",
		error != NULL ? error : "", error != NULL ? ")" : "");
	return true;
}

static void
add_endpoint(struct bb_table *t, const json_t *e)
{
	const json_t *sides = json_object_get(e, "sides");
	char address[256], a[32], b[32], c[32], d[32];

	for (size_t i = 0; i < json_array_size(sides); i++) {
		const json_t *side = json_array_get(sides, i), *n = json_object_get(side, "counters");
		bb_table_add(t, "%s", i == 0 ? text_of(e, "name") : "");
		bb_table_add(t, "%s", i == 0 ? text_of(e, "pattern") : "");
		bb_table_add(t, "%s", text_of(side, "side"));
		bb_table_add(t, "%s", side_address(side, 0, address) ? address : "");
		bb_table_add(t, "%" PRIu64, number_of(n, "peers"));
		bb_table_add(t, "%s", bb_format_count(number_of(n, "received"), a));
		bb_table_add(t, "%s", bb_format_count(number_of(n, "sent"), b));
		bb_table_add(t, "%s", bb_format_count(number_of(n, "queued") + number_of(n, "parked"), c));
		bb_table_add(t, "%s", bb_format_count(dropped_of(n), d));
		for (size_t k = 1; side_address(side, k, address); k++)
			for (int column = 0; column < 9; column++)
				bb_table_add(t, "%s", column == 3 ? address : "");
	}
}

int
bb_cmd_endpoints(struct bb_cli *cli, int argc, char **argv)
{
	static const char *const heads[] = { "ENDPOINT", "PATTERN", "SIDE", "ADDRESS", ">PEERS", ">RECEIVED",
		">SENT", ">QUEUED", ">DROPPED", NULL };
	json_t *s = NULL;
	int status = plain_options(cli, argc, argv);

	if (status >= 0)
		return status;
	status = bb_client_get(cli, "/v1/endpoints", &s, NULL);
	if (status != BB_EXIT_OK)
		return status;
	if (cli->json)
		return bb_cli_print_json(s);
	const json_t *list = json_object_get(s, "endpoints"), *refused = json_object_get(s, "refused");
	struct bb_table t;
	bb_table_init(&t, heads);
	for (size_t i = 0; i < json_array_size(list); i++)
		add_endpoint(&t, json_array_get(list, i));
	bb_table_print(&t, "no endpoints");
	bb_table_fini(&t);
	for (size_t i = 0; i < json_array_size(refused); i++) {
		const json_t *item = json_array_get(refused, i);
		printf("refused: %s: endpoint %s: %s\n", text_of(item, "at"), text_of(item, "endpoint"),
			text_of(item, "error"));
	}
	json_decref(s);
	return BB_EXIT_OK;
}

/*
 * Fetch all pages of path, whose lists are under key, into one list. 0 or the exit status.
 */
static int
fetch_pages(const struct bb_cli *cli, const char *path, const char *key, json_t *all)
{
	json_int_t cursor = 0;

	for (;;) {
		char page[512];
		json_t *s = NULL;
		snprintf(page, sizeof(page), "%s%ccursor=%" JSON_INTEGER_FORMAT, path,
			strchr(path, '?') != NULL ? '&' : '?', cursor);
		const int status = bb_client_get(cli, page, &s, NULL);
		if (status != BB_EXIT_OK)
			return status;
		json_array_extend(all, json_object_get(s, key));
		const json_t *next = json_object_get(s, "next");
		const bool more = json_is_integer(next);
		cursor = json_integer_value(next);
		json_decref(s);
		if (!more)
			return BB_EXIT_OK;
	}
}

static void
add_peer(struct bb_table *t, const json_t *p)
{
	const json_t *n = json_object_get(p, "counters");
	char a[32], b[32], c[32], d[32], age[32];

	bb_table_add(
		t, "%s%s", json_is_true(json_object_get(p, "outgoing")) ? "-> " : "", text_of(p, "address"));
	bb_table_add(t, "%s", text_of(p, "endpoint"));
	bb_table_add(t, "%s", text_of(p, "side"));
	bb_table_add(t, "%s", text_of(p, "type"));
	bb_table_add(t, "%s", strcmp(text_of(p, "state"), "ready") != 0 ? text_of(p, "state") : "");
	bb_table_add(t, "%s", bb_format_seconds(json_real_value(json_object_get(p, "connected_s")), age));
	bb_table_add(t, "%s", bb_format_count(number_of(n, "received"), a));
	bb_table_add(t, "%s", bb_format_count(number_of(n, "sent"), b));
	bb_table_add(t, "%s", bb_format_count(number_of(n, "queued"), c));
	bb_table_add(t, "%s", bb_format_count(dropped_of(n), d));
}

int
bb_cmd_peers(struct bb_cli *cli, int argc, char **argv)
{
	static const char *const heads[] = { "PEER", "ENDPOINT", "SIDE", "TYPE", "STATE", ">AGE", ">RECEIVED",
		">SENT", ">QUEUED", ">DROPPED", NULL };
	static const char *const names[] = { "--endpoint", "--side", NULL };
	const char *values[2] = { NULL, NULL };
	int status = bb_cli_options(cli, bb_cli_command_find("peers"), &argc, argv, names, values);

	if (status >= 0)
		return status;
	if (argc > 1)
		return bb_cli_misuse(
			cli, "%s: not expected here: use --endpoint NAME or --side SIDE", argv[1]);
	char path[512] = "/v1/peers?limit=1000";
	for (int i = 0; i < 2; i++) {
		char *escaped = values[i] != NULL ? bb_client_escape(values[i]) : NULL;
		const size_t len = strlen(path);
		if (escaped != NULL && strlen(escaped) > 200) {
			free(escaped);
			return bb_cli_misuse(
				cli, "%s: the name is too long: `busbar endpoints` lists them", names[i]);
		}
		if (escaped != NULL)
			snprintf(path + len, sizeof(path) - len, "&%s=%s", names[i] + 2, escaped);
		free(escaped);
	}
	json_t *list = json_array();
	status = fetch_pages(cli, path, "peers", list);
	if (status == BB_EXIT_OK && cli->json)
		return bb_cli_print_json(json_pack("{s:o}", "peers", list));
	if (status == BB_EXIT_OK) {
		struct bb_table t;
		bb_table_init(&t, heads);
		for (size_t i = 0; i < json_array_size(list); i++)
			add_peer(&t, json_array_get(list, i));
		bb_table_print(&t, "no peers");
		bb_table_fini(&t);
	}
	json_decref(list);
	return status;
}

/* Subscriptions of one endpoint, appended to all with their endpoint's name. */
static int
fetch_subscriptions(const struct bb_cli *cli, const char *endpoint, json_t *all)
{
	char path[512];
	char *escaped = bb_client_escape(endpoint);
	json_t *list = json_array();

	if (escaped == NULL || strlen(escaped) > 200) {
		free(escaped);
		json_decref(list);
		return bb_cli_fail(cli, "%s: no such endpoint: `busbar endpoints` lists them", endpoint);
	}
	snprintf(path, sizeof(path), "/v1/subscriptions?endpoint=%s", escaped);
	free(escaped);
	const int status = fetch_pages(cli, path, "subscriptions", list);
	for (size_t i = 0; status == BB_EXIT_OK && i < json_array_size(list); i++) {
		json_t *item = json_array_get(list, i);
		json_object_set_new(item, "endpoint", json_string(endpoint));
		json_array_append(all, item);
	}
	json_decref(list);
	return status;
}

static int
fetch_all_subscriptions(const struct bb_cli *cli, json_t *all)
{
	json_t *s = NULL;
	int status = bb_client_get(cli, "/v1/endpoints", &s, NULL);
	const json_t *list = json_object_get(s, "endpoints");

	for (size_t i = 0; status == BB_EXIT_OK && i < json_array_size(list); i++) {
		const json_t *e = json_array_get(list, i);
		if (strcmp(text_of(e, "pattern"), "pubsub") == 0)
			status = fetch_subscriptions(cli, text_of(e, "name"), all);
	}
	json_decref(s);
	return status;
}

int
bb_cmd_subscriptions(struct bb_cli *cli, int argc, char **argv)
{
	static const char *const heads[] = { "ENDPOINT", ">SUBSCRIBERS", "TOPIC", NULL };
	int status = bb_cli_options(cli, bb_cli_command_find("subscriptions"), &argc, argv, NULL, NULL);

	if (status >= 0)
		return status;
	json_t *list = json_array();
	status = argc == 1 ? fetch_all_subscriptions(cli, list) : BB_EXIT_OK;
	for (int i = 1; i < argc && status == BB_EXIT_OK; i++)
		status = fetch_subscriptions(cli, argv[i], list);
	if (status == BB_EXIT_OK && cli->json)
		return bb_cli_print_json(json_pack("{s:o}", "subscriptions", list));
	if (status == BB_EXIT_OK) {
		struct bb_table t;
		bb_table_init(&t, heads);
		for (size_t i = 0; i < json_array_size(list); i++) {
			const json_t *item = json_array_get(list, i);
			bb_table_add(&t, "%s", text_of(item, "endpoint"));
			bb_table_add(&t, "%" PRIu64, number_of(item, "subscribers"));
			bb_table_add(&t, "\"%s\"", text_of(item, "topic"));
		}
		bb_table_print(&t, "no subscriptions");
		bb_table_fini(&t);
	}
	json_decref(list);
	return status;
}

static bool
wanted(const char *name, int argc, char **argv)
{
	bool any = argc <= 1;

	for (int i = 1; i < argc; i++)
		any |= strncmp(name, argv[i], strlen(argv[i])) == 0;
	return any;
}

static void
add_counters(struct bb_table *t, const char *prefix, const json_t *counters, bool all, int argc, char **argv)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)counters, key, value)
	{
		char name[256];
		snprintf(name, sizeof(name), "%s.%s", prefix, key);
		if ((!all && json_integer_value(value) == 0) || !wanted(name, argc, argv))
			continue;
		bb_table_add(t, "%s", name);
		bb_table_add(t, "%" PRIu64, (uint64_t)json_integer_value(value));
	}
}

int
bb_cmd_counters(struct bb_cli *cli, int argc, char **argv)
{
	static const char *const heads[] = { "COUNTER", ">VALUE", NULL };
	static const char *const names[] = { "--all!", NULL };
	const char *all[1] = { NULL };
	json_t *s = NULL;
	int status = bb_cli_options(cli, bb_cli_command_find("counters"), &argc, argv, names, all);

	if (status >= 0)
		return status;
	status = bb_client_get(cli, "/v1/counters", &s, NULL);
	if (status != BB_EXIT_OK)
		return status;
	if (cli->json)
		return bb_cli_print_json(s);
	const json_t *sides = json_object_get(s, "sides"), *loops = json_object_get(s, "loops");
	struct bb_table t;
	char prefix[192];
	bb_table_init(&t, heads);
	for (size_t i = 0; i < json_array_size(sides); i++) {
		const json_t *side = json_array_get(sides, i);
		snprintf(prefix, sizeof(prefix), "%s.%s", text_of(side, "endpoint"), text_of(side, "side"));
		add_counters(&t, prefix, json_object_get(side, "counters"), all[0] != NULL, argc, argv);
		snprintf(prefix, sizeof(prefix), "%s.%s.accounts", text_of(side, "endpoint"),
			text_of(side, "side"));
		add_counters(&t, prefix, json_object_get(side, "accounts"), all[0] != NULL, argc, argv);
	}
	for (size_t i = 0; i < json_array_size(loops); i++) {
		const json_t *loop = json_array_get(loops, i);
		snprintf(prefix, sizeof(prefix), "loop%" PRIu64, number_of(loop, "loop"));
		add_counters(&t, prefix, json_object_get(loop, "counters"), all[0] != NULL, argc, argv);
	}
	bb_table_print(&t, argc > 1 ? "nothing by that name is above zero" : "all counters are zero");
	bb_table_fini(&t);
	json_decref(s);
	return BB_EXIT_OK;
}

static void
add_core(struct bb_table *t, const json_t *core)
{
	const json_t *roles = json_object_get(core, "roles"), *n = json_object_get(core, "counters");
	const json_t *cpu = json_object_get(core, "cpu");
	char role[64] = "", a[32];

	for (size_t i = 0; i < json_array_size(roles); i++) {
		const char *name = json_string_value(json_array_get(roles, i));
		const json_t *index = json_object_get(core, name);
		const size_t len = strlen(role);
		snprintf(role + len, sizeof(role) - len, "%s%s", i == 0 ? "" : " + ", name);
		if (json_is_integer(index))
			snprintf(role + strlen(role), sizeof(role) - strlen(role), " %" JSON_INTEGER_FORMAT,
				json_integer_value(index));
	}
	if (json_is_integer(cpu))
		bb_table_add(t, "%" JSON_INTEGER_FORMAT, json_integer_value(cpu));
	else
		bb_table_add(t, "floats");
	bb_table_add(t, "%" PRIu64, number_of(core, "numa"));
	if (json_is_integer(cpu))
		bb_table_add(t, "%" PRIu64, number_of(core, "physical_core"));
	else
		bb_table_add(t, "%s", "");
	bb_table_add(t, "%s", role);
	if (!json_is_object(n)) {
		for (int i = 0; i < 4; i++)
			bb_table_add(t, "%s", "");
		return;
	}
	bb_table_add(t, "%s", bb_format_count(number_of(n, "heartbeat"), a));
	bb_table_add(t, "%.0f %%",
		number_of(n, "heartbeat") > 0
			? 100.0 * (double)number_of(n, "busy_turns") / (double)number_of(n, "heartbeat")
			: 0.0);
	bb_table_add(t, "%.1f", (double)number_of(n, "turn_ns_max") / 1000.0);
	bb_table_add(t, "%s", bb_format_count(number_of(n, "sleeps"), a));
}

int
bb_cmd_cores(struct bb_cli *cli, int argc, char **argv)
{
	static const char *const heads[] = { ">CPU", ">NUMA", ">CORE", "ROLE", ">TURNS", ">BUSY",
		">LONGEST us", ">SLEEPS", NULL };
	json_t *s = NULL;
	int status = plain_options(cli, argc, argv);
	char a[32];

	if (status >= 0)
		return status;
	status = bb_client_get(cli, "/v1/cores", &s, NULL);
	if (status != BB_EXIT_OK)
		return status;
	if (cli->json)
		return bb_cli_print_json(s);
	const json_t *list = json_object_get(s, "cores"), *warnings = json_object_get(s, "warnings");
	struct bb_table t;
	bb_table_init(&t, heads);
	for (size_t i = 0; i < json_array_size(list); i++)
		add_core(&t, json_array_get(list, i));
	bb_table_print(&t, "no cores");
	bb_table_fini(&t);
	printf("\nroles %s, idle %s, message memory %s %s\n", text_of(s, "roles"), text_of(s, "idle"),
		bb_format_bytes(number_of(s, "memory_bytes"), a),
		json_is_true(json_object_get(s, "hugepages")) ? "in hugepages" : "without hugepages");
	for (size_t i = 0; i < json_array_size(warnings); i++)
		printf("warning: %s\n", json_string_value(json_array_get(warnings, i)));
	json_decref(s);
	return BB_EXIT_OK;
}

int
bb_cmd_version(struct bb_cli *cli, int argc, char **argv)
{
	char socket[BB_PATH_MAX];
	json_t *s = NULL;
	const int status = plain_options(cli, argc, argv);

	if (status >= 0)
		return status;
	bb_path_socket(cli->socket, NULL, socket);
	const bool runs = bb_client_get_quietly(socket, "/v1/status", &s);
	const json_t *plane = json_object_get(s, "dataplane"), *control = json_object_get(s, "control");
	if (cli->json) {
		json_t *v = json_object();
		json_object_set_new(v, "busbar", json_string(BB_VERSION));
		json_object_set_new(
			v, "control", runs ? json_string(text_of(control, "version")) : json_null());
		json_object_set_new(v, "dataplane",
			json_is_object(plane) ? json_string(text_of(plane, "version")) : json_null());
		json_decref(s);
		return bb_cli_print_json(v);
	}
	puts("busbar " BB_VERSION);
	if (runs)
		printf("running: control %s, data plane %s\n", text_of(control, "version"),
			json_is_object(plane) ? text_of(plane, "version") : "not there");
	json_decref(s);
	return BB_EXIT_OK;
}
