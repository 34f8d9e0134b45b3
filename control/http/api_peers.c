/* SPDX-License-Identifier: BSD-3-Clause */
/* api_peers: endpoints, the sessions at them, and what those subscribed to. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/option.h"
#include "conf/value.h"
#include "http/api_parts.h"
#include "http/json.h"
#include "http/running.h"

#define PEERS_DEFAULT 1000
#define PEERS_MAX 10000

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
		bb_json_set(side, "counters",
			bb_api_side_counters(&ctx->api->reconcile->counters, state->id * 2 + i));
		json_array_append_new(sides, side);
	}
	bb_json_set(item, "sides", sides);
	json_array_append_new(ctx->list, item);
	return true;
}

void
bb_api_get_endpoints(struct bb_api *api, struct bb_api_reply *ret)
{
	struct {
		struct bb_api *api;
		json_t *list;
	} ctx = { api, json_array() };

	ret->json = json_object();
	bb_json_set(ret->json, "endpoints", ctx.list);
	const int error = bb_running_walk(api->reconcile, BB_API_CALL_MS, add_endpoint, &ctx);
	if (error < 0)
		bb_api_fail_call(ret, error, NULL);
	else
		bb_json_set(ret->json, "refused", bb_api_refused(api->reconcile));
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

void
bb_api_get_peers(struct bb_api *api, const struct bb_api_request *request, struct bb_api_reply *ret)
{
	const char *endpoint = request->arg(request->ctx, "endpoint"),
		   *side = request->arg(request->ctx, "side");
	const struct bb_counters_view *v = &api->reconcile->counters;
	uint64_t cursor = 0, limit = PEERS_DEFAULT;
	struct bb_running running;
	struct bb_session_row row;

	if (!parse_u64(request->arg(request->ctx, "cursor"), &cursor) ||
		!parse_u64(request->arg(request->ctx, "limit"), &limit) || limit == 0 || limit > PEERS_MAX) {
		bb_api_fail(ret, 400,
			"bad cursor or limit: a cursor is what `next` was, a limit is from 1 to %u",
			PEERS_MAX);
		return;
	}
	int error = v->base != NULL ? bb_running_read(api->reconcile, BB_API_CALL_MS, &running) : -ENOTCONN;
	if (error < 0) {
		bb_api_fail_call(ret, error, NULL);
		return;
	}
	const uint64_t now = bb_api_now_ns();
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

void
bb_api_get_subscriptions(struct bb_api *api, const struct bb_api_request *request, struct bb_api_reply *ret)
{
	const char *endpoint = request->arg(request->ctx, "endpoint");
	struct bb_cmd_subscriptions_get get = { .cursor = 0 };
	char why[BB_CMD_TEXT_MAX] = "";
	struct bb_packet packet;

	if (endpoint == NULL || strlen(endpoint) >= sizeof(get.endpoint) ||
		!parse_u64(request->arg(request->ctx, "cursor"), &get.cursor)) {
		bb_api_fail(
			ret, 400, "bad arguments: endpoint=NAME is needed, and a cursor is what `next` was");
		return;
	}
	strcpy(get.endpoint, endpoint);
	const int error = bb_channel_call(&api->reconcile->channel, BB_CMD_SUBSCRIPTIONS_GET, &get,
		sizeof(get), BB_CMD_SUBSCRIPTIONS, sizeof(struct bb_cmd_subscriptions), BB_API_CALL_MS,
		&packet, &why);
	if (error == -ENOENT && why[0] == '\0') {
		bb_api_fail(ret, 404, "no endpoint %s: `busbar endpoints` lists them", endpoint);
		return;
	}
	if (error < 0) {
		bb_api_fail_call(ret, error, why);
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
