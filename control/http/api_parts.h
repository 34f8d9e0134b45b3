/* SPDX-License-Identifier: BSD-3-Clause */
/* api_parts: what the sources of api.h share, and the requests that live in files of their own. */
#ifndef BB_HTTP_API_PARTS_H
#define BB_HTTP_API_PARTS_H

#include <jansson.h>
#include <stdint.h>

#include "base/compiler.h"
#include "http/api.h"

#define BB_API_CALL_MS 2000 /* that a request may wait for the data plane */

/* Make the reply an error, whatever it was before. */
void bb_api_fail(struct bb_api_reply *ret, unsigned status, const char *fmt, ...) BB_PRINTF(3, 4);

/* The data plane did not answer as it should: error and text as bb_channel_call() gave them; text may be NULL. */
void bb_api_fail_call(struct bb_api_reply *ret, int error, const char *text);

uint64_t bb_api_now_ns(void);

/* [{endpoint, at, error}] of what the data plane would not take. */
json_t *bb_api_refused(const struct bb_reconcile *r);

/* What a side's sessions and routing did, under one roof; null without a counters segment. */
json_t *bb_api_side_counters(const struct bb_counters_view *v, uint32_t side);

void bb_api_get_endpoints(struct bb_api *api, struct bb_api_reply *ret);
void bb_api_get_peers(struct bb_api *api, const struct bb_api_request *request, struct bb_api_reply *ret);
void bb_api_get_subscriptions(
	struct bb_api *api, const struct bb_api_request *request, struct bb_api_reply *ret);
void bb_api_get_counters(struct bb_api *api, struct bb_api_reply *ret);
void bb_api_get_cores(struct bb_api *api, struct bb_api_reply *ret);

#endif
