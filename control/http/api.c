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
#include "conf/show.h"
#include "http/api_parts.h"
#include "http/json.h"

uint64_t
bb_api_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * BB_SEC + (uint64_t)t.tv_nsec;
}

void
bb_api_fail(struct bb_api_reply *ret, unsigned status, const char *fmt, ...)
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
void
bb_api_fail_call(struct bb_api_reply *ret, int error, const char *text)
{
	if (error == -ENOTCONN || error == -ECONNRESET)
		bb_api_fail(ret, 503, "the data plane is not there: it is being started, try again");
	else if (error == -ETIMEDOUT)
		bb_api_fail(ret, 504, "the data plane does not answer: try again, and look at its log");
	else if (text != NULL && text[0] != '\0')
		bb_api_fail(ret, error == -ENOENT ? 404 : error == -EINVAL ? 400 : 502, "%s", text);
	else
		bb_api_fail(
			ret, error == -ENOENT ? 404 : 502, "the data plane refuses: %s", strerror(-error));
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

json_t *
bb_api_refused(const struct bb_reconcile *r)
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
			sizeof(struct bb_cmd_status), BB_API_CALL_MS, &packet, NULL);
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
	bb_json_set(control, "uptime_s", bb_json_seconds(bb_api_now_ns() - api->started_ns));
	bb_json_set(control, "socket", json_string(api->socket));
	bb_json_set(control, "file", json_string(api->file));
	bb_json_set(o, "control", control);
	bb_json_set(o, "refused", bb_api_refused(r));
}

static void
get_config(struct bb_api *api, struct bb_api_reply *ret)
{
	size_t len;
	FILE *out = open_memstream(&ret->text, &len);

	if (out == NULL) {
		bb_api_fail(ret, 500, "not enough memory: try again");
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
		bb_api_fail_call(ret, error, NULL);
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
	if (post && !request->may_change)
		bb_api_fail(ret, 403, "nothing can be changed over TCP: use the Unix socket %s", api->socket);
	else if (post && strcmp(path, "/v1/drain") == 0)
		post_drain(api, ret);
	else if (!get)
		bb_api_fail(ret, 405, "%s cannot be done to %s: use GET", request->method, path);
	else if (strcmp(path, "/v1/status") == 0)
		get_status(api, ret);
	else if (strcmp(path, "/v1/endpoints") == 0)
		bb_api_get_endpoints(api, ret);
	else if (strcmp(path, "/v1/peers") == 0)
		bb_api_get_peers(api, request, ret);
	else if (strcmp(path, "/v1/subscriptions") == 0)
		bb_api_get_subscriptions(api, request, ret);
	else if (strcmp(path, "/v1/counters") == 0)
		bb_api_get_counters(api, ret);
	else if (strcmp(path, "/v1/cores") == 0)
		bb_api_get_cores(api, ret);
	else if (strcmp(path, "/v1/config") == 0)
		get_config(api, ret);
	else if (strcmp(path, "/v1/drain") == 0)
		get_drain(api, ret);
	else
		bb_api_fail(ret, 404, "no such path: %.100s", path);
}
