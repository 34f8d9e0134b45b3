/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * request: one request of control whose answer takes several steps: it is held by each step that is under
 * way, keeps the first error, and is answered when the last step is done.
 *
 * Nobody may ask: what the data plane does on its own (coming up from accepted.state) has a request, too,
 * whose answer goes to the log.
 *
 * Thread: the agent.
 */
#ifndef BB_ENGINE_REQUEST_H
#define BB_ENGINE_REQUEST_H

#include <stdint.h>

#include "base/list.h"
#include "engine/channel.h"
#include "engine/text.h"

struct bb_request {
	struct bb_list node; /* of all open requests */
	uint32_t holds;
	int error; /* the first one */
	struct bb_text text;
	bb_conn_id from; /* BB_CONN_NONE: ourselves */
	uint32_t seq;
	char subject[BB_CMD_NAME_MAX]; /* for the log */
	void *user;
	void (*answer)(struct bb_request *r); /* when the last hold is put; then it is freed */
};

/* One hold, the caller's; NULL without memory. user and answer are the caller's to set. */
struct bb_request *bb_request_create(struct bb_list *all, bb_conn_id from, uint32_t seq);
void bb_request_hold(struct bb_request *r);
void bb_request_put(struct bb_request *r);

/* Note an error; only the first counts. */
void bb_request_fail(struct bb_request *r, int error, const char *fmt, ...) BB_PRINTF(3, 4);

/* Forget all that are open, without answers. */
void bb_requests_drop(struct bb_list *all);

#endif
