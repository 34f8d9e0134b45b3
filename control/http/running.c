/* SPDX-License-Identifier: BSD-3-Clause */
#include "http/running.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WALK_MAX (1u << 17) /* far above what there can be: a cursor that goes in circles must end */

int
bb_running_walk(struct bb_reconcile *r, int timeout_ms,
	bool (*fn)(void *arg, const struct bb_cmd_endpoint_state *state), void *arg)
{
	struct bb_cmd_cursor get = { .cursor = 0 };

	if (r->state <= BB_RECONCILE_PLAN)
		return -ENOTCONN; /* the agent has no time while it carries out the plan */
	for (unsigned i = 0; i < WALK_MAX; i++) {
		struct bb_packet packet;
		const int error = bb_channel_call(&r->channel, BB_CMD_ENDPOINT_GET, &get, sizeof(get),
			BB_CMD_ENDPOINT_STATE, sizeof(struct bb_cmd_endpoint_state), timeout_ms, &packet,
			NULL);
		if (error == -ENOENT)
			return 0;
		if (error < 0)
			return error;
		const struct bb_cmd_endpoint_state *state = (const void *)packet.body;
		get.cursor = state->next;
		if (!fn(arg, state))
			return 0;
	}
	return -EPROTO;
}

const struct bb_conf_pattern_info *
bb_running_pattern(const struct bb_cmd_endpoint_state *state)
{
	const uint32_t pattern = state->desired.pattern - 1;

	return &bb_conf_patterns[pattern < BB_CONF_PATTERN_COUNT ? pattern : 0];
}

static bool
add(void *arg, const struct bb_cmd_endpoint_state *state)
{
	struct bb_running *running = arg;

	if (running->count == running->room) {
		const uint32_t room = running->room == 0 ? 16 : 2 * running->room;
		void *p = realloc(running->endpoints, room * sizeof(running->endpoints[0]));
		if (p == NULL)
			return false;
		running->endpoints = p;
		running->room = room;
	}
	struct bb_running_endpoint *e = &running->endpoints[running->count++];
	*e = (struct bb_running_endpoint){ .id = state->id, .pattern = bb_running_pattern(state) };
	bb_packet_text(e->name, sizeof(e->name), state->desired.name, sizeof(state->desired.name));
	for (unsigned i = 0; i < 2; i++) {
		e->hwm[i] = state->desired.side[i].hwm_msgs;
		e->hwm_bytes[i] = state->desired.side[i].hwm_bytes;
		e->when_full[i] = state->desired.side[i].when_full;
	}
	return true;
}

static int
compare(const void *a, const void *b)
{
	const struct bb_running_endpoint *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

int
bb_running_read(struct bb_reconcile *r, int timeout_ms, struct bb_running *ret)
{
	*ret = (struct bb_running){ .count = 0 };
	const int error = bb_running_walk(r, timeout_ms, add, ret);

	if (error < 0) {
		bb_running_fini(ret);
		return error;
	}
	if (ret->count > 0)
		qsort(ret->endpoints, ret->count, sizeof(ret->endpoints[0]), compare);
	return 0;
}

void
bb_running_fini(struct bb_running *running)
{
	free(running->endpoints);
	*running = (struct bb_running){ .count = 0 };
}

const struct bb_running_endpoint *
bb_running_find(const struct bb_running *running, uint32_t id)
{
	const struct bb_running_endpoint key = { .id = id };

	if (running->count == 0)
		return NULL;
	return bsearch(&key, running->endpoints, running->count, sizeof(key), compare);
}
