/* SPDX-License-Identifier: BSD-3-Clause */
#include "reconcile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/compiler.h"
#include "base/log.h"
#include "base/time.h"
#include "desired.h"
#include "link/paths.h"

#define CONNECT_NS (50 * BB_MSEC) /* between attempts to connect */
#define RETRY_NS BB_SEC		  /* between attempts to have a refused endpoint */
#define PACKETS_PER_TURN 64
#define EXTRA_MAX 65536 /* running endpoints that are not desired; the data plane itself has fewer */

static void step(struct bb_reconcile *r);

static void
enter(struct bb_reconcile *r, enum bb_reconcile_state state)
{
	static const uint8_t may_follow[] = {
		[BB_RECONCILE_DOWN] = BB_BIT(BB_RECONCILE_HELLO),
		[BB_RECONCILE_HELLO] = BB_BIT(BB_RECONCILE_PLAN),
		[BB_RECONCILE_PLAN] = BB_BIT(BB_RECONCILE_HELLO_AGAIN),
		[BB_RECONCILE_HELLO_AGAIN] = BB_BIT(BB_RECONCILE_READ),
		[BB_RECONCILE_READ] = BB_BIT(BB_RECONCILE_APPLY),
		[BB_RECONCILE_APPLY] = BB_BIT(BB_RECONCILE_COMMIT) | BB_BIT(BB_RECONCILE_SYNCED),
		[BB_RECONCILE_COMMIT] = BB_BIT(BB_RECONCILE_SYNCED),
		[BB_RECONCILE_SYNCED] = BB_BIT(BB_RECONCILE_READ),
	};

	BB_ASSERT(state == BB_RECONCILE_DOWN || (may_follow[r->state] & BB_BIT(state)));
	r->state = state;
}

/* The channel is gone, or of no use. */
static void
down(struct bb_reconcile *r, uint64_t retry_after_ns)
{
	bb_channel_close(&r->channel);
	if (!r->drain.asked) /* else the last figures are still of interest */
		bb_counters_view_close(&r->counters);
	enter(r, BB_RECONCILE_DOWN);
	r->removals = 0;
	r->retry_ns = r->now_ns + retry_after_ns;
}

static void
fatal(struct bb_reconcile *r, int line, const char *what, const char *why)
{
	r->fatal = true;
	snprintf(r->text, sizeof(r->text), "%s:%d: %s: %s", r->file, line, what, why);
	down(r, RETRY_NS);
}

/* Send the request that the state waits for. False, and down, if the channel broke. */
static bool
ask(struct bb_reconcile *r, enum bb_cmd_type type, const void *body, size_t len)
{
	const int error = bb_channel_send(&r->channel, type, body, (uint32_t)len, &r->seq);

	if (error < 0)
		down(r, CONNECT_NS);
	return error == 0;
}

static void
say_hello(struct bb_reconcile *r)
{
	struct bb_cmd_hello hello = { .pid = (uint32_t)getpid(), .program_version = BB_VERSION };

	ask(r, BB_CMD_HELLO, &hello, sizeof(hello));
}

static void
ask_endpoint(struct bb_reconcile *r, uint64_t cursor)
{
	const struct bb_cmd_cursor get = { .cursor = cursor };

	ask(r, BB_CMD_ENDPOINT_GET, &get, sizeof(get));
}

static void
begin_read(struct bb_reconcile *r)
{
	enter(r, BB_RECONCILE_READ);
	for (uint32_t i = 0; i < r->item_count; i++)
		r->items[i].present = r->items[i].equal = r->items[i].refused = false;
	r->extra_count = 0;
	r->stale = false;
	r->retry_ns = BB_NEVER;
	ask_endpoint(r, 0);
}

static void
try_connect(struct bb_reconcile *r)
{
	const int error = bb_channel_connect(&r->channel, r->path);

	if (error < 0) { /* it is starting, or being started again */
		r->retry_ns = r->now_ns + CONNECT_NS;
		return;
	}
	r->retry_ns = BB_NEVER;
	enter(r, BB_RECONCILE_HELLO);
	say_hello(r);
}

static void
on_hello(struct bb_reconcile *r, const struct bb_packet *packet)
{
	const struct bb_cmd_hello_ack *ack = bb_packet_body(packet, BB_CMD_HELLO_ACK, sizeof(*ack));

	if (ack == NULL || ack->error == -EPROTO) {
		bb_log_error("DATAPLANE-PROTOCOL",
			"error=\"the data plane is of another version: install both from one "
			"build\"");
		down(r, RETRY_NS);
		return;
	}
	if (ack->error != 0) { /* busy: the end of a former control is not noticed yet */
		down(r, CONNECT_NS);
		return;
	}
	r->revision = ack->revision;
	r->boot_id = ack->boot_id;
	r->plane_state = ack->state;
	if (ack->state != BB_STATE_WAITING && ack->state != BB_STATE_RUNNING) {
		return; /* it is ending: stay for its last words, and come back when it is gone */
	}
	if (r->state == BB_RECONCILE_HELLO) {
		enter(r, BB_RECONCILE_PLAN);
		ask(r, BB_CMD_PLAN, &r->plan, sizeof(r->plan));
		return;
	}
	bb_counters_view_close(&r->counters);
	const int error = packet->fd >= 0
				  ? bb_counters_view_open(&r->counters, packet->fd, ack->counters_bytes)
				  : -ENOENT;
	if (error < 0)
		bb_log_warn("COUNTERS-UNREADABLE", "error=\"%s\"", strerror(-error));
	begin_read(r);
}

static void
on_plan(struct bb_reconcile *r, const struct bb_packet *packet)
{
	const struct bb_cmd_ack *ack = bb_packet_body(packet, BB_CMD_ACK, sizeof(*ack));
	char why[BB_CMD_TEXT_MAX];

	if (ack == NULL) {
		down(r, RETRY_NS);
		return;
	}
	bb_packet_text(why, sizeof(why), ack->text, sizeof(ack->text));
	if (ack->error == -EALREADY) {
		bb_log_warn("PLAN-NEEDS-RESTART",
			"file=%s error=\"dataplane: runs with other settings: restart the "
			"data plane to apply them\"",
			r->file);
	} else if (ack->error != 0) {
		if (why[0] == '\0')
			snprintf(why, sizeof(why), "%s", strerror(-ack->error));
		if (!r->synced_once) {
			fatal(r, r->plan_line, "dataplane", why);
			return;
		}
		bb_log_error("PLAN-REFUSED", "file=%s error=\"%s\"", r->file, why);
		down(r, RETRY_NS);
		return;
	}
	enter(r, BB_RECONCILE_HELLO_AGAIN);
	say_hello(r);
}

static struct bb_reconcile_item *
item_find(struct bb_reconcile *r, const char *name)
{
	for (uint32_t i = 0; i < r->item_count; i++)
		if (strncmp(r->items[i].desired.name, name, BB_CMD_NAME_MAX) == 0)
			return &r->items[i];
	return NULL;
}

/* All its listeners listen. */
static bool
is_bound(const struct bb_cmd_endpoint_state *state)
{
	for (unsigned side = 0; side < 2; side++)
		for (uint32_t i = 0; i < state->desired.side[side].bind_count && i < BB_CMD_ADDRESSES_MAX;
			i++)
			if (state->bind_error[side][i] != 0)
				return false;
	return true;
}

static bool
extra_add(struct bb_reconcile *r, const char *name)
{
	if (r->extra_count == r->extra_room) {
		const uint32_t room = r->extra_room == 0 ? 16 : 2 * r->extra_room;
		void *p = room <= EXTRA_MAX ? realloc(r->extra, room * sizeof(r->extra[0])) : NULL;
		if (p == NULL)
			return false;
		r->extra = p;
		r->extra_room = room;
	}
	memset(r->extra[r->extra_count], 0, sizeof(r->extra[0]));
	bb_packet_text(r->extra[r->extra_count], sizeof(r->extra[0]), name, BB_CMD_NAME_MAX);
	r->extra_count++;
	return true;
}

static void
on_endpoint(struct bb_reconcile *r, const struct bb_packet *packet)
{
	const struct bb_cmd_endpoint_state *state = bb_packet_body(
		packet, BB_CMD_ENDPOINT_STATE, sizeof(*state));
	const struct bb_cmd_ack *ack = bb_packet_body(packet, BB_CMD_ACK, sizeof(*ack));

	if (ack != NULL && ack->error == -ENOENT) { /* that was all */
		enter(r, BB_RECONCILE_APPLY);
		r->next = 0;
		r->changed = false;
		step(r);
		return;
	}
	if (state == NULL) {
		down(r, RETRY_NS);
		return;
	}
	const uint64_t next = state->next;
	struct bb_reconcile_item *item = item_find(r, state->desired.name);
	if (item != NULL && !state->draining) {
		item->present = true;
		item->equal = is_bound(state) &&
			      memcmp(&item->desired, &state->desired, sizeof(item->desired)) == 0;
	} else if (item == NULL && !state->draining && !extra_add(r, state->desired.name)) {
		down(r, RETRY_NS);
		return;
	}
	ask_endpoint(r, next);
}

/* The endpoint that was sent last is item next - 1 - extra_count. */
static void
on_endpoint_set(struct bb_reconcile *r, const struct bb_packet *packet)
{
	const struct bb_cmd_ack *ack = bb_packet_body(packet, BB_CMD_ACK, sizeof(*ack));
	struct bb_reconcile_item *item = &r->items[r->next - 1 - r->extra_count];

	if (ack == NULL) {
		down(r, RETRY_NS);
		return;
	}
	item->refused = ack->error != 0;
	if (ack->error == 0) {
		item->text[0] = '\0';
		r->changed = true;
		step(r);
		return;
	}
	char why[BB_CMD_TEXT_MAX];
	bb_packet_text(why, sizeof(why), ack->text, sizeof(ack->text));
	if (why[0] == '\0')
		snprintf(why, sizeof(why), "%s", strerror(-ack->error));
	if (!r->synced_once && r->revision == 0) {
		char what[16 + BB_CMD_NAME_MAX];
		snprintf(what, sizeof(what), "endpoint %s", item->desired.name);
		fatal(r, item->line, what, why);
		return;
	}
	if (strcmp(item->text, why) != 0) /* it is tried again every second: say it once */
		bb_log_error("ENDPOINT-REFUSED", "endpoint=%s at=%s:%d error=\"%s\"", item->desired.name,
			r->file, item->line, why);
	memcpy(item->text, why, sizeof(item->text));
	step(r);
}

static void
finish(struct bb_reconcile *r)
{
	bool refused = false;

	enter(r, BB_RECONCILE_SYNCED);
	for (uint32_t i = 0; i < r->item_count; i++)
		refused |= r->items[i].refused;
	r->retry_ns = refused ? r->now_ns + RETRY_NS : BB_NEVER;
	if (!r->synced_once || r->changed)
		bb_log_info("CONFIGURED", "revision=%" PRIu64 " endpoints=%u", r->revision, r->item_count);
	r->synced_once = true;
}

/* APPLY: send the next difference; when there are no more, commit. */
static void
step(struct bb_reconcile *r)
{
	while (r->next < r->extra_count) {
		struct bb_cmd_name name = { .linger_ns = UINT64_MAX };
		memcpy(name.name, r->extra[r->next++], sizeof(name.name));
		if (!ask(r, BB_CMD_ENDPOINT_REMOVE, &name, sizeof(name)))
			return;
		r->removals++;
		r->changed = true;
	}
	while (r->next < r->extra_count + r->item_count) {
		const struct bb_reconcile_item *item = &r->items[r->next++ - r->extra_count];
		if (item->equal)
			continue;
		ask(r, BB_CMD_ENDPOINT_SET, &item->desired, sizeof(item->desired));
		return;
	}
	if (r->removals > 0)
		return; /* the last answer comes here again */
	if (!r->changed) {
		finish(r);
		return;
	}
	const struct bb_cmd_commit commit = { .revision = r->revision + 1 };
	enter(r, BB_RECONCILE_COMMIT);
	ask(r, BB_CMD_COMMIT, &commit, sizeof(commit));
}

static void
on_commit(struct bb_reconcile *r, const struct bb_packet *packet)
{
	const struct bb_cmd_ack *ack = bb_packet_body(packet, BB_CMD_ACK, sizeof(*ack));

	if (ack == NULL || ack->error != 0) {
		bb_log_error(
			"COMMIT-REFUSED", "error=\"%s\"", ack != NULL ? strerror(-ack->error) : "no answer");
		down(r, RETRY_NS);
		return;
	}
	r->revision++;
	finish(r);
}

static void
on_report(struct bb_drain *drain, const struct bb_cmd_report *report)
{
	drain->peers++;
	drain->msgs += report->dropped_msgs;
	drain->bytes += report->dropped_bytes;
	if (drain->cuts == NULL)
		drain->cuts = calloc(BB_CUTS_MAX, sizeof(*drain->cuts));
	if (drain->cuts != NULL && drain->cut_count < BB_CUTS_MAX)
		drain->cuts[drain->cut_count++] = *report;
}

static void
on_unasked(struct bb_reconcile *r, const struct bb_packet *packet)
{
	const struct bb_cmd_report *report = bb_packet_body(packet, BB_CMD_REPORT, sizeof(*report));
	const struct bb_cmd_event *event = bb_packet_body(packet, BB_CMD_EVENT, sizeof(*event));

	if (report != NULL)
		on_report(&r->drain, report);
	if (event != NULL && event->kind == BB_EVENT_DRAINED)
		r->drain.done = true;
}

static void
on_answer(struct bb_reconcile *r, const struct bb_packet *packet)
{
	switch (r->state) {
	case BB_RECONCILE_HELLO:
	case BB_RECONCILE_HELLO_AGAIN:
		on_hello(r, packet);
		break;
	case BB_RECONCILE_PLAN:
		on_plan(r, packet);
		break;
	case BB_RECONCILE_READ:
		on_endpoint(r, packet);
		break;
	case BB_RECONCILE_APPLY:
		on_endpoint_set(r, packet);
		break;
	case BB_RECONCILE_COMMIT:
		on_commit(r, packet);
		break;
	case BB_RECONCILE_DOWN:
	case BB_RECONCILE_SYNCED:
		break; /* the answer to a request of the management API that had given up waiting */
	}
}

static void
on_packet(void *arg, const struct bb_packet *packet)
{
	struct bb_reconcile *r = arg;

	if (packet->seq == 0) {
		on_unasked(r, packet);
	} else if (packet->seq == r->seq && r->state != BB_RECONCILE_SYNCED) {
		r->seq = 0;
		on_answer(r, packet);
	} else if (packet->type == BB_CMD_ACK && r->removals > 0) {
		r->removals--;
		if (r->removals == 0 && r->state == BB_RECONCILE_APPLY && r->seq == 0)
			step(r);
	}
	if (packet->fd >= 0)
		close(packet->fd);
}

int
bb_reconcile_init(struct bb_reconcile *r, const char *state_dir)
{
	*r = (struct bb_reconcile){ .retry_ns = 0 };
	const int error = bb_channel_init(&r->channel, on_packet, r);
	if (error < 0)
		return error;
	if (snprintf(r->path, sizeof(r->path), "%s/dataplane.sock", state_dir) >= (int)sizeof(r->path))
		return -ENAMETOOLONG;
	return 0;
}

void
bb_reconcile_fini(struct bb_reconcile *r)
{
	bb_channel_fini(&r->channel);
	bb_counters_view_close(&r->counters);
	free(r->items);
	free(r->extra);
	free(r->drain.cuts);
	r->items = NULL;
	r->extra = NULL;
	r->drain.cuts = NULL;
}

int
bb_reconcile_desire(struct bb_reconcile *r, const struct bb_conf *conf, const char *file)
{
	struct bb_reconcile_item *items = calloc(conf->endpoint_count + 1, sizeof(*items));

	if (items == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < conf->endpoint_count; i++) {
		bb_desired_endpoint(&items[i].desired, &conf->endpoints[i]);
		items[i].line = conf->endpoints[i].line;
	}
	bb_desired_plan(&r->plan, conf);
	r->plan_line = conf->dataplane.line;
	r->file = file;
	if (r->state != BB_RECONCILE_DOWN && r->state != BB_RECONCILE_SYNCED) {
		/* In the middle of the former one: leave it where it is and begin again. */
		down(r, 0);
	}
	free(r->items);
	r->items = items;
	r->item_count = conf->endpoint_count;
	r->stale = true;
	return 0;
}

void
bb_reconcile_tick(struct bb_reconcile *r, uint64_t now)
{
	r->now_ns = now;
	if (r->state != BB_RECONCILE_DOWN && !bb_channel_open(&r->channel)) {
		if (r->drain.asked)
			r->drain.done = true; /* with its last words or without */
		else
			bb_log_warn("DATAPLANE-GONE", "state=%s", bb_reconcile_state_name(r->state));
		down(r, 0);
	}
	if (r->fatal || r->drain.asked)
		return;
	if (r->state == BB_RECONCILE_DOWN && now >= r->retry_ns)
		try_connect(r);
	else if (r->state == BB_RECONCILE_SYNCED && (r->stale || now >= r->retry_ns))
		begin_read(r);
}

uint64_t
bb_reconcile_deadline(const struct bb_reconcile *r)
{
	if (r->fatal || r->drain.asked)
		return BB_NEVER;
	if (r->state == BB_RECONCILE_SYNCED && r->stale)
		return 0;
	return r->retry_ns;
}

void
bb_reconcile_on_readable(struct bb_reconcile *r, uint64_t now)
{
	r->now_ns = now;
	bb_channel_poll(&r->channel, PACKETS_PER_TURN);
	bb_reconcile_tick(r, now); /* it may be closed now */
}

int
bb_reconcile_drain(struct bb_reconcile *r, uint64_t linger_ns)
{
	const struct bb_cmd_drain drain = { .linger_ns = linger_ns };
	uint32_t seq; /* not the state's: it is answered at once, and nobody waits for it */
	const int error = bb_channel_send(&r->channel, BB_CMD_DRAIN, &drain, sizeof(drain), &seq);

	if (error == 0)
		r->drain.asked = true;
	return error;
}

const char *
bb_reconcile_state_name(enum bb_reconcile_state state)
{
	static const char *const names[] = {
		[BB_RECONCILE_DOWN] = "down",
		[BB_RECONCILE_HELLO] = "connecting",
		[BB_RECONCILE_PLAN] = "starting",
		[BB_RECONCILE_HELLO_AGAIN] = "starting",
		[BB_RECONCILE_READ] = "configuring",
		[BB_RECONCILE_APPLY] = "configuring",
		[BB_RECONCILE_COMMIT] = "configuring",
		[BB_RECONCILE_SYNCED] = "running",
	};

	return names[state];
}
