/* SPDX-License-Identifier: BSD-3-Clause */
/* running: what the data plane says it runs, read anew for each request: which names the ids of counters
 * stand for. */
#ifndef BB_HTTP_RUNNING_H
#define BB_HTTP_RUNNING_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/option.h"
#include "reconcile.h"

struct bb_running_endpoint {
	uint32_t id;
	char name[BB_CMD_NAME_MAX + 1];
	const struct bb_conf_pattern_info *pattern;
	uint32_t hwm[2], when_full[2];
	uint64_t hwm_bytes[2];
};

/* Sorted by id. */
struct bb_running {
	struct bb_running_endpoint *endpoints;
	uint32_t count, room;
};

/* Hand each running endpoint to fn until it returns false. 0 or what bb_channel_call() says. */
int bb_running_walk(struct bb_reconcile *r, int timeout_ms,
	bool (*fn)(void *arg, const struct bb_cmd_endpoint_state *state), void *arg);

/* 0; -ENOMEM; or what bb_channel_call() says. fini() after success only. */
int bb_running_read(struct bb_reconcile *r, int timeout_ms, struct bb_running *ret);
void bb_running_fini(struct bb_running *running);

/* NULL if no endpoint has that id (any more). */
const struct bb_running_endpoint *bb_running_find(const struct bb_running *running, uint32_t id);

/* Never NULL: the first one stands for a number that is none. */
const struct bb_conf_pattern_info *bb_running_pattern(const struct bb_cmd_endpoint_state *state);

#endif
