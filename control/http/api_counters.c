/* SPDX-License-Identifier: BSD-3-Clause */
/* api_counters: what sides, loops and cores did, and whether the accounts balance. */
#include <errno.h>
#include <string.h>

#include "http/api_parts.h"
#include "http/json.h"
#include "http/running.h"

/* What a side's sessions and routing did, under one roof. */
json_t *
bb_api_side_counters(const struct bb_counters_view *v, uint32_t side)
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
			bb_json_set(item, "counters", bb_api_side_counters(v, e->id * 2 + which));
			set_accounts(item, v, e->id * 2 + which);
			json_array_append_new(sides, item);
		}
	return sides;
}

void
bb_api_get_counters(struct bb_api *api, struct bb_api_reply *ret)
{
	const struct bb_counters_view *v = &api->reconcile->counters;
	struct bb_running running;
	const int error = v->base != NULL ? bb_running_read(api->reconcile, BB_API_CALL_MS, &running)
					  : -ENOTCONN;

	if (error < 0) {
		bb_api_fail_call(ret, error, NULL);
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

void
bb_api_get_cores(struct bb_api *api, struct bb_api_reply *ret)
{
	struct bb_packet packet;
	char why[BB_CMD_TEXT_MAX] = "";
	const int error = bb_channel_call(&api->reconcile->channel, BB_CMD_CORES_GET, NULL, 0, BB_CMD_CORES,
		sizeof(struct bb_cmd_cores), BB_API_CALL_MS, &packet, &why);

	if (error < 0) {
		bb_api_fail_call(ret, error, why);
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
