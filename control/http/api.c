/* SPDX-License-Identifier: BSD-3-Clause */
#include "http/api.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/time.h"
#include "conf/option.h"
#include "conf/show.h"
#include "conf/value.h"
#include "http/json.h"
#include "http/running.h"

#define CALL_MS 2000
#define PEERS_DEFAULT 1000
#define PEERS_MAX 10000

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * BB_SEC + (uint64_t)t.tv_nsec;
}

static void fail(struct bb_api_reply *ret, unsigned status, const char *fmt, ...) BB_PRINTF(3, 4);

static void
fail(struct bb_api_reply *ret, unsigned status, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	json_decref(ret->json);
	*ret = (struct bb_api_reply){ .status = status, .json = json_object() };
	bb_json_set(ret->json, "error", bb_json_octets(text, strlen(text)));
}

/* The data plane did not answer as it should. */
static void
fail_call(struct bb_api_reply *ret, int error, const char *text)
{
	if (error == -ENOTCONN || error == -ECONNRESET)
		fail(ret, 503, "the data plane is not there: it is being started, try again");
	else if (error == -ETIMEDOUT)
		fail(ret, 504, "the data plane does not answer: try again, and look at its log");
	else if (text != NULL && text[0] != '\0')
		fail(ret, error == -ENOENT ? 404 : 502, "%s", text);
	else
		fail(ret, error == -ENOENT ? 404 : 502, "the data plane refuses: %s", strerror(-error));
}

static const char *
state_name(uint32_t state)
{
	static const char *const names[] = { "unknown", "waiting", "running", "draining", "stopped" };

	return names[state < BB_ARRAY_LEN(names) ? state : 0];
}

static json_t *
plane_status(const struct bb_reconcile *r, const struct bb_cmd_status *s)
{
	json_t *plane = json_object();
	char version[sizeof(s->program_version) + 1];

	bb_packet_text(version, sizeof(version), s->program_version, sizeof(s->program_version));
	bb_json_set(plane, "pid", json_integer(s->pid));
	bb_json_set(plane, "version", json_string(version));
	bb_json_set(plane, "state", json_string(state_name(s->state)));
	bb_json_set(plane, "uptime_s", bb_json_seconds(s->uptime_ns));
	bb_json_set(plane, "revision", json_integer((json_int_t)s->revision));
	bb_json_set(plane, "memory_bytes", json_integer((json_int_t)s->memory_bytes));
	bb_json_set(plane, "memory_free_bytes", json_integer((json_int_t)s->memory_free_bytes));
	bb_json_set(plane, "io_cores", json_integer(s->io_count));
	bb_json_set(plane, "router_cores", json_integer(s->router_count));
	bb_json_set(plane, "endpoints", json_integer(s->endpoint_count));
	bb_json_set(plane, "peers", json_integer(s->peer_count));
	bb_json_set(plane, "boot_id", json_sprintf("%016" PRIx64, r->boot_id));
	return plane;
}

static json_t *
refused_endpoints(const struct bb_reconcile *r)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < r->item_count; i++) {
		if (!r->items[i].refused)
			continue;
		json_t *item = json_object();
		bb_json_set(item, "endpoint", json_string(r->items[i].desired.name));
		bb_json_set(item, "at", json_sprintf("%s:%d", r->file, r->items[i].line));
		bb_json_set(item, "error", bb_json_octets(r->items[i].text, strlen(r->items[i].text)));
		json_array_append_new(list, item);
	}
	return list;
}

/* The one request that is answered whatever the data plane does. */
static void
get_status(struct bb_api *api, struct bb_api_reply *ret)
{
	struct bb_reconcile *r = api->reconcile;
	struct bb_packet packet;
	int error = -ENOTCONN;

	/* While the plan is being carried out the agent has no time for us. */
	if (r->state > BB_RECONCILE_PLAN)
		error = bb_channel_call(&r->channel, BB_CMD_STATUS_GET, NULL, 0, BB_CMD_STATUS,
			sizeof(struct bb_cmd_status), CALL_MS, &packet, NULL);
	json_t *o = ret->json = json_object();
	bb_json_set(o, "node", json_string(api->conf->node.name));
	bb_json_set(o, "dataplane", error == 0 ? plane_status(r, (const void *)packet.body) : json_null());
	bb_json_set(o, "state",
		json_string(r->drain.asked ? "draining"
			    : r->state == BB_RECONCILE_SYNCED && error < 0
				    ? "silent"
				    : bb_reconcile_state_name(r->state)));
	json_t *control = json_object();
	bb_json_set(control, "pid", json_integer(getpid()));
	bb_json_set(control, "version", json_string(BB_VERSION));
	bb_json_set(control, "uptime_s", bb_json_seconds(now_ns() - api->started_ns));
	bb_json_set(control, "socket", json_string(api->socket));
	bb_json_set(control, "file", json_string(api->file));
	bb_json_set(o, "control", control);
	bb_json_set(o, "refused", refused_endpoints(r));
}

/* Option values of a side: numbers where they have no unit, else as an operator writes them. */
static void
set_options(json_t *side, const struct bb_conf_side *conf, const struct bb_conf_side_info *info)
{
	size_t count;
	const struct bb_conf_option *options = bb_conf_section_options(BB_CONF_SECTION_SIDE, &count);
	json_t *object = json_object();

	for (size_t i = 0; i < count; i++) {
		const struct bb_conf_option *o = &options[i];
		char text[BB_CONF_VALUE_TEXT_MAX];
		if (!(o->sides & info->bit) || o->type == BB_CONF_ADDRESSES)
			continue;
		json_t *in = object;
		const char *key = strchr(o->path, '.');
		if (key != NULL) { /* group.key: an object of its own */
			char group[32];
			snprintf(group, sizeof(group), "%.*s", (int)(key - o->path), o->path);
			in = json_object_get(object, group);
			if (in == NULL) {
				in = json_object();
				bb_json_set(object, group, in);
			}
		}
		key = key != NULL ? key + 1 : o->path;
		const void *field = (const char *)conf + o->offset;
		bb_conf_value_format(o, conf, text);
		if (o->type == BB_CONF_COUNT || o->type == BB_CONF_SIZE)
			bb_json_set(in, key, json_integer((json_int_t) * (const uint64_t *)field));
		else if (o->type == BB_CONF_BOOL)
			bb_json_set(in, key, json_boolean(*(const bool *)field));
		else
			bb_json_set(in, key, bb_json_octets(text, strlen(text)));
	}
	bb_json_set(side, "options", object);
}

static json_t *
side_addresses(const struct bb_cmd_endpoint_state *state, unsigned which, bool bind)
{
	const struct bb_cmd_side *side = &state->desired.side[which];
	const uint32_t count = bind ? side->bind_count : side->connect_count;
	json_t *list = json_array();

	for (uint32_t i = 0; i < count && i < BB_CMD_ADDRESSES_MAX; i++) {
		char text[BB_CMD_ADDRESS_MAX + 1];
		const struct bb_cmd_address *a = bind ? &side->bind[i] : &side->connect[i];
		bb_packet_text(text, sizeof(text), a->text, sizeof(a->text));
		if (!bind) {
			json_array_append_new(list, json_string(text));
			continue;
		}
		json_t *item = json_object();
		const int32_t error = state->bind_error[which][i];
		bb_json_set(item, "address", json_string(text));
		bb_packet_text(text, sizeof(text), state->bound[which][i].text, BB_CMD_ADDRESS_MAX);
		bb_json_set(item, "bound", text[0] != '\0' ? json_string(text) : json_null());
		bb_json_set(item, "error", error != 0 ? json_string(strerror(-error)) : json_null());
		json_array_append_new(list, item);
	}
	return list;
}

/* What a side's sessions and routing did, under one roof. */
static json_t *
side_counters(const struct bb_counters_view *v, uint32_t side)
{
	uint64_t io[BB_IO_COUNTER_COUNT], router[BB_ROUTER_COUNTER_COUNT];

	if (v->base == NULL)
		return json_null();
	bb_counters_view_io_side(v, side, io);
	bb_counters_view_router_side(v, side, router);
	json_t *object = bb_json_counters(bb_io_counter_info, io, BB_IO_COUNTER_COUNT);
	json_t *more = bb_json_counters(bb_router_counter_info, router, BB_ROUTER_COUNTER_COUNT);
	json_object_update(object, more);
	json_decref(more);
	return object;
}

static const struct bb_conf_endpoint *
conf_endpoint(const struct bb_api *api, const char *name)
{
	for (uint32_t i = 0; i < api->conf->endpoint_count; i++)
		if (strcmp(api->conf->endpoints[i].name, name) == 0)
			return &api->conf->endpoints[i];
	return NULL;
}

static bool
add_endpoint(void *arg, const struct bb_cmd_endpoint_state *state)
{
	struct {
		struct bb_api *api;
		json_t *list;
	} *ctx = arg;
	const struct bb_conf_pattern_info *info = bb_running_pattern(state);
	char name[BB_CMD_NAME_MAX + 1];
	json_t *item = json_object(), *sides = json_array();

	bb_packet_text(name, sizeof(name), state->desired.name, sizeof(state->desired.name));
	const struct bb_conf_endpoint *conf = conf_endpoint(ctx->api, name);
	bb_json_set(item, "name", json_string(name));
	bb_json_set(item, "pattern", json_string(info->name));
	if (info == &bb_conf_patterns[BB_CONF_PUBSUB])
		bb_json_set(item, "subscribe",
			json_string(bb_conf_subscribe_names[state->desired.subscribe_all != 0]));
	bb_json_set(item, "home", state->sharded ? json_null() : json_integer(state->home));
	bb_json_set(item, "sharded", json_boolean(state->sharded));
	bb_json_set(item, "draining", json_boolean(state->draining));
	for (unsigned i = 0; i < 2; i++) {
		json_t *side = json_object();
		bb_json_set(side, "side", json_string(info->sides[i].name));
		bb_json_set(side, "socket", json_string(info->sides[i].socket));
		bb_json_set(side, "bind", side_addresses(state, i, true));
		bb_json_set(side, "connect", side_addresses(state, i, false));
		if (conf != NULL && conf->pattern + 1 == state->desired.pattern)
			set_options(side, &conf->sides[i], &info->sides[i]);
		bb_json_set(
			side, "counters", side_counters(&ctx->api->reconcile->counters, state->id * 2 + i));
		json_array_append_new(sides, side);
	}
	bb_json_set(item, "sides", sides);
	json_array_append_new(ctx->list, item);
	return true;
}

static void
get_endpoints(struct bb_api *api, struct bb_api_reply *ret)
{
	struct {
		struct bb_api *api;
		json_t *list;
	} ctx = { api, json_array() };

	ret->json = json_object();
	bb_json_set(ret->json, "endpoints", ctx.list);
	const int error = bb_running_walk(api->reconcile, CALL_MS, add_endpoint, &ctx);
	if (error < 0)
		fail_call(ret, error, NULL);
	else
		bb_json_set(ret->json, "refused", refused_endpoints(api->reconcile));
}

static json_t *
age_or_null(uint64_t now, uint64_t then)
{
	return then == 0 ? json_null() : bb_json_seconds(now > then ? now - then : 0);
}

static json_t *
peer_json(const struct bb_running *running, const struct bb_session_row *row, uint64_t now)
{
	static const char *const when_full[] = { "?", "drop", "block", "disconnect" };
	const struct bb_running_endpoint *e = bb_running_find(running, row->side / 2);
	const unsigned which = row->side % 2;
	json_t *peer = json_object();

	bb_json_set(peer, "id", json_sprintf("%" PRIx64, row->handle));
	bb_json_set(peer, "endpoint", e != NULL ? json_string(e->name) : json_null());
	bb_json_set(peer, "side", e != NULL ? json_string(e->pattern->sides[which].name) : json_null());
	bb_json_set(peer, "address", bb_json_octets(row->address, strlen(row->address)));
	bb_json_set(peer, "type", json_string(bb_socket_type_name(row->socket_type)));
	bb_json_set(peer, "state", json_string(bb_session_state_name(row->state)));
	bb_json_set(peer, "zmtp", json_sprintf("3.%u", row->zmtp_minor));
	bb_json_set(peer, "outgoing", json_boolean(row->outgoing));
	bb_json_set(peer, "routing_id", bb_json_octets(row->id, row->id_len));
	bb_json_set(peer, "connected_s", age_or_null(now, row->connected_ns));
	bb_json_set(peer, "silent_s", age_or_null(now, row->c[BB_SESSION_LAST_RX_NS]));
	if (e != NULL) {
		bb_json_set(peer, "hwm", json_integer(e->hwm[which]));
		bb_json_set(peer, "hwm_bytes", json_integer((json_int_t)e->hwm_bytes[which]));
		bb_json_set(peer, "when_full",
			json_string(
				when_full[e->when_full[which] < BB_ARRAY_LEN(when_full) ? e->when_full[which]
											: 0]));
	}
	bb_json_set(peer, "counters",
		bb_json_counters(bb_session_counter_info, row->c, BB_SESSION_COUNTER_COUNT));
	return peer;
}

static bool
parse_u64(const char *text, uint64_t *ret)
{
	char *end;

	if (text == NULL || text[0] < '0' || text[0] > '9')
		return text == NULL;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0';
}

static void
get_peers(struct bb_api *api, const struct bb_api_request *request, struct bb_api_reply *ret)
{
	const char *endpoint = request->arg(request->ctx, "endpoint"),
		   *side = request->arg(request->ctx, "side");
	const struct bb_counters_view *v = &api->reconcile->counters;
	uint64_t cursor = 0, limit = PEERS_DEFAULT;
	struct bb_running running;
	struct bb_session_row row;

	if (!parse_u64(request->arg(request->ctx, "cursor"), &cursor) ||
		!parse_u64(request->arg(request->ctx, "limit"), &limit) || limit == 0 || limit > PEERS_MAX) {
		fail(ret, 400, "bad cursor or limit: a cursor is what `next` was, a limit is from 1 to %u",
			PEERS_MAX);
		return;
	}
	int error = v->base != NULL ? bb_running_read(api->reconcile, CALL_MS, &running) : -ENOTCONN;
	if (error < 0) {
		fail_call(ret, error, NULL);
		return;
	}
	const uint64_t now = now_ns();
	json_t *list = json_array();
	bool more = true;
	while (json_array_size(list) < limit && (more = bb_counters_view_session(v, &cursor, &row))) {
		const struct bb_running_endpoint *e = bb_running_find(&running, row.side / 2);
		if (endpoint != NULL && (e == NULL || strcmp(e->name, endpoint) != 0))
			continue;
		if (side != NULL && (e == NULL || strcmp(e->pattern->sides[row.side % 2].name, side) != 0))
			continue;
		json_array_append_new(list, peer_json(&running, &row, now));
	}
	bb_counters_view_rest(v);
	bb_running_fini(&running);
	ret->json = json_object();
	bb_json_set(ret->json, "peers", list);
	bb_json_set(ret->json, "next", more ? json_integer((json_int_t)cursor) : json_null());
}

static void
get_subscriptions(struct bb_api *api, const struct bb_api_request *request, struct bb_api_reply *ret)
{
	const char *endpoint = request->arg(request->ctx, "endpoint");
	struct bb_cmd_subscriptions_get get = { .cursor = 0 };
	char why[BB_CMD_TEXT_MAX] = "";
	struct bb_packet packet;

	if (endpoint == NULL || strlen(endpoint) >= sizeof(get.endpoint) ||
		!parse_u64(request->arg(request->ctx, "cursor"), &get.cursor)) {
		fail(ret, 400, "bad arguments: endpoint=NAME is needed, and a cursor is what `next` was");
		return;
	}
	strcpy(get.endpoint, endpoint);
	const int error = bb_channel_call(&api->reconcile->channel, BB_CMD_SUBSCRIPTIONS_GET, &get,
		sizeof(get), BB_CMD_SUBSCRIPTIONS, sizeof(struct bb_cmd_subscriptions), CALL_MS, &packet,
		&why);
	if (error == -ENOENT && why[0] == '\0') {
		fail(ret, 404, "no endpoint %s: `busbar endpoints` lists them", endpoint);
		return;
	}
	if (error < 0) {
		fail_call(ret, error, why);
		return;
	}
	const struct bb_cmd_subscriptions *head = (const void *)packet.body;
	const uint8_t *p = packet.body + sizeof(*head), *end = packet.body + packet.len;
	json_t *list = json_array();
	for (uint32_t i = 0; i < head->count && end - p >= 8; i++) {
		uint32_t subscribers, len;
		memcpy(&subscribers, p, sizeof(subscribers));
		memcpy(&len, p + 4, sizeof(len));
		p += 8;
		if (len > (size_t)(end - p))
			break;
		json_t *item = json_object();
		bb_json_set(item, "topic", bb_json_octets(p, len));
		bb_json_set(item, "bytes", json_integer(len));
		bb_json_set(item, "subscribers", json_integer(subscribers));
		json_array_append_new(list, item);
		p += len;
	}
	ret->json = json_object();
	bb_json_set(ret->json, "endpoint", json_string(endpoint));
	bb_json_set(ret->json, "subscriptions", list);
	bb_json_set(ret->json, "next",
		head->next != UINT64_MAX ? json_integer((json_int_t)head->next) : json_null());
}

/* Messages that are in no account of this side: 0 when the node is quiet. */
static void
set_accounts(json_t *item, const struct bb_counters_view *v, uint32_t side)
{
	uint64_t io[BB_IO_COUNTER_COUNT], in[BB_ROUTER_COUNTER_COUNT], out[BB_ROUTER_COUNTER_COUNT];
	json_t *accounts = json_object();

	bb_counters_view_io_side(v, side, io);
	bb_counters_view_router_side(v, side, in);
	bb_counters_view_router_side(
		v, side ^ 1, out); /* the other side's messages become copies for this one */
	const uint64_t open_in = io[BB_IO_RECEIVED] - in[BB_ROUTER_ROUTED] - in[BB_ROUTER_IN_NO_SUBSCRIBER] -
				 in[BB_ROUTER_IN_UNROUTABLE] - in[BB_ROUTER_IN_MALFORMED] -
				 in[BB_ROUTER_IN_DENIED] - in[BB_ROUTER_IN_MEMORY] - in[BB_ROUTER_PARKED];
	const uint64_t open_out = out[BB_ROUTER_COPIES] - io[BB_IO_SENT] - io[BB_IO_QUEUED] -
				  io[BB_IO_OUT_HWM] - io[BB_IO_OUT_PEER_GONE] - io[BB_IO_OUT_MEMORY] -
				  io[BB_IO_OUT_SHUTDOWN];
	bb_json_set(accounts, "in_open", json_integer((json_int_t)open_in));
	bb_json_set(accounts, "out_open", json_integer((json_int_t)open_out));
	bb_json_set(item, "accounts", accounts);
}

static json_t *
sides_counters(const struct bb_running *running, const struct bb_counters_view *v)
{
	json_t *sides = json_array();

	for (uint32_t i = 0; i < running->count; i++)
		for (unsigned which = 0; which < 2; which++) {
			const struct bb_running_endpoint *e = &running->endpoints[i];
			json_t *item = json_object();
			bb_json_set(item, "endpoint", json_string(e->name));
			bb_json_set(item, "side", json_string(e->pattern->sides[which].name));
			bb_json_set(item, "counters", side_counters(v, e->id * 2 + which));
			set_accounts(item, v, e->id * 2 + which);
			json_array_append_new(sides, item);
		}
	return sides;
}

static void
get_counters(struct bb_api *api, struct bb_api_reply *ret)
{
	const struct bb_counters_view *v = &api->reconcile->counters;
	struct bb_running running;
	const int error = v->base != NULL ? bb_running_read(api->reconcile, CALL_MS, &running) : -ENOTCONN;

	if (error < 0) {
		fail_call(ret, error, NULL);
		return;
	}
	json_t *loops = json_array();
	for (uint32_t i = 0; i < v->header.loop_count; i++) {
		uint64_t words[BB_LOOP_COUNTER_COUNT];
		json_t *item = json_object();
		bb_counters_view_loop(v, i, words);
		bb_json_set(item, "loop", json_integer(i));
		bb_json_set(item, "counters",
			bb_json_counters(bb_loop_counter_info, words, BB_LOOP_COUNTER_COUNT));
		json_array_append_new(loops, item);
	}
	ret->json = json_object();
	bb_json_set(ret->json, "sides", sides_counters(&running, v));
	bb_json_set(ret->json, "loops", loops);
	bb_running_fini(&running);
}

static json_t *
core_json(const struct bb_cmd_core *core, const struct bb_counters_view *v)
{
	static const char *const role_names[] = { "io", "router", "agent" };
	uint64_t words[BB_LOOP_COUNTER_COUNT];
	json_t *item = json_object(), *roles = json_array();

	for (unsigned i = 0; i < BB_ARRAY_LEN(role_names); i++)
		if (core->roles & BB_BIT(i))
			json_array_append_new(roles, json_string(role_names[i]));
	bb_json_set(item, "cpu", core->cpu != UINT32_MAX ? json_integer(core->cpu) : json_null());
	bb_json_set(item, "numa", json_integer(core->numa));
	bb_json_set(item, "physical_core", json_integer(core->physical_core));
	bb_json_set(item, "roles", roles);
	bb_json_set(item, "io", core->io != UINT32_MAX ? json_integer(core->io) : json_null());
	bb_json_set(item, "router", core->router != UINT32_MAX ? json_integer(core->router) : json_null());
	if (v->base != NULL && core->loop < v->header.loop_count &&
		(core->roles & (BB_ROLE_IO | BB_ROLE_ROUTER))) {
		bb_counters_view_loop(v, core->loop, words);
		bb_json_set(item, "loop", json_integer(core->loop));
		bb_json_set(item, "counters",
			bb_json_counters(bb_loop_counter_info, words, BB_LOOP_COUNTER_COUNT));
	}
	return item;
}

static void
get_cores(struct bb_api *api, struct bb_api_reply *ret)
{
	struct bb_packet packet;
	char why[BB_CMD_TEXT_MAX] = "";
	const int error = bb_channel_call(&api->reconcile->channel, BB_CMD_CORES_GET, NULL, 0, BB_CMD_CORES,
		sizeof(struct bb_cmd_cores), CALL_MS, &packet, &why);

	if (error < 0) {
		fail_call(ret, error, why);
		return;
	}
	const struct bb_cmd_cores *cores = (const void *)packet.body;
	json_t *list = json_array(), *warnings = json_array();
	for (uint32_t i = 0; i < cores->count && i < BB_ARRAY_LEN(cores->core); i++)
		json_array_append_new(list, core_json(&cores->core[i], &api->reconcile->counters));
	for (size_t i = 0; i < BB_ARRAY_LEN(cores->warnings); i++) {
		const size_t len = strnlen(cores->warnings[i], sizeof(cores->warnings[i]));
		if (len > 0)
			json_array_append_new(warnings, bb_json_octets(cores->warnings[i], len));
	}
	ret->json = json_object();
	bb_json_set(ret->json, "roles", json_string(cores->joined ? "joined" : "split"));
	bb_json_set(ret->json, "idle", json_string(cores->adaptive ? "adaptive" : "poll"));
	bb_json_set(ret->json, "hugepages", json_boolean(cores->hugepages));
	bb_json_set(ret->json, "memory_bytes", json_integer((json_int_t)cores->memory_bytes));
	bb_json_set(ret->json, "cores", list);
	bb_json_set(ret->json, "warnings", warnings);
}

static void
get_config(struct bb_api *api, struct bb_api_reply *ret)
{
	size_t len;
	FILE *out = open_memstream(&ret->text, &len);

	if (out == NULL) {
		fail(ret, 500, "not enough memory: try again");
		return;
	}
	bb_conf_show(out, api->conf, true);
	fclose(out);
}

static void
get_drain(struct bb_api *api, struct bb_api_reply *ret)
{
	const struct bb_drain *drain = &api->reconcile->drain;
	json_t *cuts = json_array();

	for (uint32_t i = 0; i < drain->cut_count; i++) {
		const struct bb_cmd_report *cut = &drain->cuts[i];
		json_t *item = json_object();
		bb_json_set(item, "endpoint",
			bb_json_octets(cut->endpoint, strnlen(cut->endpoint, sizeof(cut->endpoint))));
		bb_json_set(item, "side", json_integer(cut->side % 2));
		bb_json_set(
			item, "address", bb_json_octets(cut->peer, strnlen(cut->peer, sizeof(cut->peer))));
		bb_json_set(item, "messages", json_integer((json_int_t)cut->dropped_msgs));
		bb_json_set(item, "bytes", json_integer((json_int_t)cut->dropped_bytes));
		json_array_append_new(cuts, item);
	}
	ret->json = json_object();
	bb_json_set(ret->json, "asked", json_boolean(drain->asked));
	bb_json_set(ret->json, "done", json_boolean(drain->done));
	bb_json_set(ret->json, "peers", json_integer((json_int_t)drain->peers));
	bb_json_set(ret->json, "messages", json_integer((json_int_t)drain->msgs));
	bb_json_set(ret->json, "bytes", json_integer((json_int_t)drain->bytes));
	bb_json_set(ret->json, "cut", cuts);
}

static void
post_drain(struct bb_api *api, struct bb_api_reply *ret)
{
	const int error = api->reconcile->drain.asked ? 0 : bb_reconcile_drain(api->reconcile, UINT64_MAX);

	if (error < 0) {
		fail_call(ret, error, NULL);
		return;
	}
	ret->status = 202;
	get_drain(api, ret);
}

void
bb_api_handle(struct bb_api *api, const struct bb_api_request *request, struct bb_api_reply *ret)
{
	const bool get = strcmp(request->method, "GET") == 0, post = strcmp(request->method, "POST") == 0;
	const char *path = request->path;

	*ret = (struct bb_api_reply){ .status = 200 };
	if (post && strcmp(path, "/v1/drain") == 0)
		post_drain(api, ret);
	else if (!get)
		fail(ret, 405, "%s cannot be done to %s: use GET", request->method, path);
	else if (strcmp(path, "/v1/status") == 0)
		get_status(api, ret);
	else if (strcmp(path, "/v1/endpoints") == 0)
		get_endpoints(api, ret);
	else if (strcmp(path, "/v1/peers") == 0)
		get_peers(api, request, ret);
	else if (strcmp(path, "/v1/subscriptions") == 0)
		get_subscriptions(api, request, ret);
	else if (strcmp(path, "/v1/counters") == 0)
		get_counters(api, ret);
	else if (strcmp(path, "/v1/cores") == 0)
		get_cores(api, ret);
	else if (strcmp(path, "/v1/config") == 0)
		get_config(api, ret);
	else if (strcmp(path, "/v1/drain") == 0)
		get_drain(api, ret);
	else
		fail(ret, 404, "no such path: %.100s", path);
}
