/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * api: the management API: a path and its arguments in, a status and JSON out. It knows nothing of HTTP
 * beyond that.
 *
 *   GET  /v1/status                                  the node at a glance
 *   GET  /v1/endpoints                               endpoints, sides, addresses, options, counters
 *   GET  /v1/peers?endpoint=&side=&cursor=&limit=    sessions, page by page: "next" is the next cursor, or
 * null GET  /v1/subscriptions?endpoint=&cursor=         topics of one pubsub endpoint, page by page GET
 * /v1/counters                                loops, sides and accounts GET  /v1/cores where loops run, and
 * what costs speed there GET  /v1/config                                  the configuration in force, as YAML
 *   GET  /v1/drain                                   how a drain goes, and what linger cut off
 *   POST /v1/drain                                   begin one; on the Unix socket only
 *
 * Errors are {"error": "what is wrong: the way out"}. Texts that peers chose and that are no UTF-8 have their
 * octets written as \xNN.
 *
 * Thread: control's only one. A request may wait for the data plane's answer, up to two seconds.
 */
#ifndef BB_HTTP_API_H
#define BB_HTTP_API_H

#include <jansson.h>

#include "conf/conf.h"
#include "reconcile.h"

struct bb_api {
	struct bb_reconcile *reconcile;
	const struct bb_conf *conf;
	const char *file;    /* the configuration's */
	const char *socket;  /* where the API is */
	uint64_t started_ns; /* monotonic */
};

struct bb_api_request {
	const char *method, *path;
	bool may_change; /* who asks is known to be the appliance's user: not so on TCP */
	/* The value of an argument, NULL if it is not given. */
	const char *(*arg)(void *ctx, const char *name);
	void *ctx;
};

struct bb_api_reply {
	unsigned status; /* as in HTTP */
	json_t *json;	 /* the receiver's to drop; NULL: text instead */
	char *text;	 /* the receiver's to free */
};

void bb_api_handle(struct bb_api *api, const struct bb_api_request *request, struct bb_api_reply *ret);

#endif
