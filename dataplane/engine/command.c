/* SPDX-License-Identifier: BSD-3-Clause */
/* command: what control asks for (abi/command.h), one function per request. Part of agent.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "engine/agent.h"
#include "engine/state.h"

/* A page of subscriptions that a router fills. */
struct page {
	struct bb_list node;
	struct bb_mail_page mail;
	bb_conn_id from;
	uint32_t seq;
	uint8_t entries[BB_CMD_PACKET_MAX - sizeof(struct bb_cmd_header) -
			sizeof(struct bb_cmd_subscriptions)];
};

/* Who asks. */
struct asker {
	struct bb_agent *agent;
	bb_conn_id conn;
	uint32_t seq;
};

static void
reply(const struct asker *who, uint16_t type, const void *body, size_t bytes)
{
	bb_channel_send(&who->agent->channel, who->conn, type, who->seq, body, bytes, NULL, 0, -1);
}

static void
ack(const struct asker *who, int error, const char *text)
{
	struct bb_cmd_ack a = { .error = error };

	if (error != 0)
		snprintf(a.text, sizeof(a.text), "%s", text[0] != '\0' ? text : strerror(-error));
	reply(who, BB_CMD_ACK, &a, sizeof(a));
}

/* --- requests that take their time ---------------------------------------------------------------------- */

static void
answer_request(struct bb_request *r)
{
	const struct asker who = { r->user, r->from, r->seq };

	if (r->error != 0)
		bb_log_warn("REQUEST-FAILED", "subject=%s error=%d why=\"%s\"", r->subject, -r->error,
			bb_text_clean(r->text.s));
	if (r->from != BB_CONN_NONE)
		ack(&who, r->error, r->text.s);
}

static struct bb_request *
request_create(const struct asker *who, const char *subject)
{
	struct bb_request *r = bb_request_create(&who->agent->requests, who->conn, who->seq);

	if (r == NULL) {
		ack(who, -ENOMEM, "no memory for the request");
		return NULL;
	}
	r->user = who->agent;
	r->answer = answer_request;
	snprintf(r->subject, sizeof(r->subject), "%s", subject);
	return r;
}

/* --- hello, plan ---------------------------------------------------------------------------------------- */

static void
on_hello(const struct asker *who, const void *payload)
{
	struct bb_agent *a = who->agent;
	const struct bb_cmd_hello *hello = payload;
	const bool had = bb_channel_has_control(&a->channel, who->conn);
	struct bb_cmd_hello_ack h = { .state = a->state, .revision = a->revision, .boot_id = a->boot_id };
	int fd = -1;

	snprintf(h.program_version, sizeof(h.program_version), "%s", BB_VERSION);
	if (!bb_channel_take_control(&a->channel, who->conn)) {
		h.error = -EBUSY;
		reply(who, BB_CMD_HELLO_ACK, &h, sizeof(h));
		bb_channel_finish(&a->channel, who->conn);
		return;
	}
	if (!had)
		bb_log_info("CONTROL", "pid=%u version=\"%.31s\"", hello->pid, hello->program_version);
	if (a->state == BB_STATE_RUNNING || a->state == BB_STATE_DRAINING) {
		h.counters_bytes = a->node.counters_bytes;
		fd = a->node.counters_fd;
	}
	bb_channel_send(&a->channel, who->conn, BB_CMD_HELLO_ACK, who->seq, &h, sizeof(h), NULL, 0, fd);
}

static void
on_plan(const struct asker *who, const void *payload)
{
	struct bb_agent *a = who->agent;
	struct bb_cmd_plan plan = *(const struct bb_cmd_plan *)payload;
	struct bb_text text = { "" };

	plan.node_name[sizeof(plan.node_name) - 1] = '\0';
	if (a->state == BB_STATE_WAITING) {
		const int error = bb_agent_start_node(a, &plan, &text);
		ack(who, error, text.s);
		if (error != 0 && a->node.spent) {
			a->exit_status = 1;
			a->quit = true;
		}
		return;
	}
	/* These two bind no loop and no memory. */
	struct bb_cmd_plan running = a->node.wish;
	running.linger_ns = plan.linger_ns;
	memcpy(running.node_name, plan.node_name, sizeof(running.node_name));
	if (memcmp(&running, &plan, sizeof(plan)) != 0) {
		ack(who, -EALREADY,
			"cores, roles, idle, memory and hugepages are fixed at start: restart the data "
			"plane");
		return;
	}
	a->node.wish = plan;
	ack(who, 0, "");
}

/* --- endpoints ------------------------------------------------------------------------------------------ */

static void
set_endpoint(const struct asker *who, const struct bb_cmd_endpoint *cmd)
{
	struct bb_text text;
	const int error = bb_endpoint_check(cmd, &text);

	if (error != 0) {
		if (who->conn != BB_CONN_NONE)
			ack(who, error, text.s);
		else
			bb_log_error("STATE-BAD", "why=\"%s\"", bb_text_clean(text.s));
		return;
	}
	struct bb_request *r = request_create(who, cmd->name);
	if (r == NULL)
		return;
	bb_endpoints_set(&who->agent->endpoints, cmd, r);
	bb_request_put(r);
}

void
bb_command_set_alone(struct bb_agent *a, const struct bb_cmd_endpoint *cmd)
{
	set_endpoint(&(struct asker){ a, BB_CONN_NONE, 0 }, cmd);
}

static void
on_endpoint_set(const struct asker *who, const void *payload)
{
	set_endpoint(who, payload);
}

static uint64_t
linger_deadline(const struct bb_agent *a, uint64_t linger_ns)
{
	if (linger_ns == UINT64_MAX)
		linger_ns = a->node.wish.linger_ns;
	return linger_ns < BB_NEVER - a->now_ns ? a->now_ns + linger_ns : BB_NEVER;
}

static void
on_endpoint_remove(const struct asker *who, const void *payload)
{
	struct bb_cmd_name name = *(const struct bb_cmd_name *)payload;

	name.name[sizeof(name.name) - 1] = '\0';
	struct bb_request *r = request_create(who, name.name);
	if (r == NULL)
		return;
	bb_endpoints_remove(
		&who->agent->endpoints, name.name, linger_deadline(who->agent, name.linger_ns), r);
	bb_request_put(r);
}

static void
on_commit(const struct asker *who, const void *payload)
{
	struct bb_agent *a = who->agent;
	const struct bb_cmd_commit *commit = payload;
	struct bb_state s = { .revision = commit->revision, .plan = a->node.wish };
	struct bb_text text = { "" };
	int error = -ENOMEM;

	s.endpoints = malloc(BB_ENDPOINTS_MAX * sizeof(s.endpoints[0]));
	if (s.endpoints != NULL) {
		s.endpoint_count = bb_endpoints_save(&a->endpoints, s.endpoints);
		error = bb_state_write(a->state_dir, &s, &text);
	}
	bb_state_free(&s);
	if (error == 0) {
		a->revision = commit->revision;
		bb_log_info("COMMITTED", "revision=%llu endpoints=%u", (unsigned long long)a->revision,
			a->endpoints.count);
	}
	ack(who, error, text.s);
}

static void
on_endpoint_get(const struct asker *who, const void *payload)
{
	const struct bb_cmd_cursor *cursor = payload;
	const struct bb_running *run = bb_endpoints_next(&who->agent->endpoints, cursor->cursor);
	struct bb_cmd_endpoint_state state;

	if (run == NULL) {
		ack(who, -ENOENT, "no more endpoints");
		return;
	}
	bb_endpoint_describe(run, &state);
	reply(who, BB_CMD_ENDPOINT_STATE, &state, sizeof(state));
}

/* --- looking -------------------------------------------------------------------------------------------- */

static uint32_t
peer_count(const struct bb_agent *a)
{
	const struct bb_running *run;
	uint64_t peers = 0;

	for (uint64_t id = 0; (run = bb_endpoints_next(&a->endpoints, id)) != NULL; id = run->id + 1u) {
		for (uint32_t io = 0; io < a->node.plan.io_count; io++) {
			for (uint32_t side = 0; side < 2; side++) {
				const struct bb_io_side_row *row = bb_counters_io_side(
					&a->node.counters, io, run->id * 2u + side);
				peers += __atomic_load_n(&row->c[BB_IO_PEERS], __ATOMIC_RELAXED);
			}
		}
	}
	return (uint32_t)peers;
}

static void
on_status_get(const struct asker *who, const void *payload)
{
	const struct bb_agent *a = who->agent;
	struct bb_cmd_status s = {
		.state = a->state,
		.pid = (uint32_t)getpid(),
		.revision = a->revision,
		.uptime_ns = a->now_ns - a->began_ns,
	};

	(void)payload;
	snprintf(s.program_version, sizeof(s.program_version), "%s", BB_VERSION);
	if (a->state != BB_STATE_WAITING) {
		s.memory_bytes = a->node.plan.pool_bytes;
		s.memory_free_bytes = (uint64_t)bb_pool_free_count(&a->node.memory.pool) * BB_BUFFER_BYTES;
		s.io_count = a->node.plan.io_count;
		s.router_count = a->node.plan.router_count;
		s.endpoint_count = a->endpoints.count;
		s.peer_count = peer_count(a);
		memcpy(s.node_name, a->node.wish.node_name, sizeof(s.node_name));
	}
	reply(who, BB_CMD_STATUS, &s, sizeof(s));
}

static void
on_cores_get(const struct asker *who, const void *payload)
{
	struct bb_cmd_cores cores;

	(void)payload;
	bb_plan_describe(&who->agent->node.plan, &cores);
	reply(who, BB_CMD_CORES, &cores, sizeof(cores));
}

static void
on_page(void *user, void *arg, int error)
{
	struct page *p = arg;
	const struct asker who = { user, p->from, p->seq };

	if (error != 0) {
		ack(&who, error, "subscriptions: the router could not list them");
	} else {
		const struct bb_cmd_subscriptions s = {
			.next = p->mail.next, .count = p->mail.count, .bytes = p->mail.bytes
		};
		bb_channel_send(&who.agent->channel, who.conn, BB_CMD_SUBSCRIPTIONS, who.seq, &s, sizeof(s),
			p->entries, p->mail.bytes, -1);
	}
	bb_list_remove(&p->node);
	free(p);
}

static void
on_subscriptions_get(const struct asker *who, const void *payload)
{
	struct bb_agent *a = who->agent;
	struct bb_cmd_subscriptions_get get = *(const struct bb_cmd_subscriptions_get *)payload;

	get.endpoint[sizeof(get.endpoint) - 1] = '\0';
	const struct bb_running *run = bb_endpoints_find(&a->endpoints, get.endpoint);
	if (run == NULL || !run->known || run->removing) {
		ack(who, -ENOENT, "subscriptions: no such endpoint");
		return;
	}
	if (run->desired.pattern != BB_PATTERN_PUBSUB) {
		ack(who, -EINVAL, "subscriptions: only pubsub endpoints have them");
		return;
	}
	struct page *p = calloc(1, sizeof(*p));
	if (p == NULL) {
		ack(who, -ENOMEM, "subscriptions: no memory");
		return;
	}
	p->from = who->conn;
	p->seq = who->seq;
	p->mail = (struct bb_mail_page){ .endpoint = run->id,
		.cursor = get.cursor,
		.bytes_max = sizeof(p->entries),
		.entries = p->entries };
	const struct bb_mail mail = { .kind = BB_MAIL_SUBSCRIPTIONS, .ptr = &p->mail };
	if (bb_post_send(&a->post, BB_POST_ROUTER, run->home, &mail, on_page, p) != 0) {
		ack(who, -ENOMEM, "subscriptions: no memory");
		free(p);
		return;
	}
	bb_list_append(&a->pages, &p->node);
}

static void
on_drain(const struct asker *who, const void *payload)
{
	const struct bb_cmd_drain *drain = payload;

	ack(who, 0, "");
	bb_agent_drain(who->agent, drain->linger_ns);
}

/* --- which is which ------------------------------------------------------------------------------------- */

static const struct {
	void (*handle)(const struct asker *who, const void *payload);
	bool needs_node;
} commands[] = {
	[BB_CMD_HELLO] = { on_hello, false },
	[BB_CMD_PLAN] = { on_plan, false },
	[BB_CMD_ENDPOINT_SET] = { on_endpoint_set, true },
	[BB_CMD_ENDPOINT_REMOVE] = { on_endpoint_remove, true },
	[BB_CMD_COMMIT] = { on_commit, true },
	[BB_CMD_ENDPOINT_GET] = { on_endpoint_get, true },
	[BB_CMD_STATUS_GET] = { on_status_get, false },
	[BB_CMD_CORES_GET] = { on_cores_get, true },
	[BB_CMD_SUBSCRIPTIONS_GET] = { on_subscriptions_get, true },
	[BB_CMD_DRAIN] = { on_drain, false },
};

void
bb_command_on_packet(void *agent, bb_conn_id from, const struct bb_cmd_header *h, const void *payload)
{
	struct bb_agent *a = agent;
	const struct asker who = { a, from, h->seq };

	BB_ASSERT(h->type < BB_ARRAY_LEN(commands) && commands[h->type].handle != NULL);
	if (commands[h->type].needs_node && a->state == BB_STATE_WAITING)
		ack(&who, -EAGAIN, "the data plane waits for a PLAN");
	else
		commands[h->type].handle(&who, payload);
}

void
bb_command_fini(struct bb_agent *a)
{
	struct bb_list *n;

	bb_requests_drop(&a->requests);
	while ((n = bb_list_pop(&a->pages)) != NULL)
		free(bb_list_entry(n, struct page, node));
}
