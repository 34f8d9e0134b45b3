/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * agent: the data plane's thread that does not poll: it talks to control, starts and stops the node, keeps
 * endpoints as they are wished, resolves names, and collects what actors report. Nothing on the path of a
 * message waits for it.
 *
 *   WAITING -> RUNNING -> DRAINING -> STOPPED
 *
 * WAITING: for a PLAN. When no control has shown up for a second, and DIR/accepted.state is fit, that is what
 * the data plane comes up with.
 * DRAINING: by the command DRAIN, by SIGTERM or SIGINT. A second signal cuts it short: then the process ends
 * with status 1. So it does if actors do not answer long after the deadline.
 *
 * Control may die and return at any time: what runs goes on. Its unread answers are dropped with its
 * connection.
 *
 * agent.c: the life of the process; command.c: what control asks for.
 *
 * Thread: the process's main thread.
 */
#ifndef BB_ENGINE_AGENT_H
#define BB_ENGINE_AGENT_H

#include "engine/channel.h"
#include "engine/connector.h"
#include "engine/endpoints.h"
#include "engine/node.h"
#include "engine/post.h"
#include "engine/request.h"

#define BB_AGENT_PATIENCE_NS BB_SEC	/* for a control, before coming up from accepted.state */
#define BB_AGENT_GRACE_NS (10 * BB_SEC) /* for actors, behind a drain's deadline */

struct bb_agent {
	const char *state_dir;
	enum bb_cmd_state state;
	bool quit;
	int exit_status;
	uint64_t boot_id, began_ns, now_ns;
	uint64_t revision;

	struct bb_wake wake; /* actors notify it */
	int signal_fd;
	struct bb_channel channel;
	struct bb_list requests; /* open ones */
	struct bb_list pages;	 /* of subscriptions, being filled */

	uint64_t patience_ns; /* WAITING: when it ends; BB_NEVER while a control is there */
	uint64_t cut_ns;      /* DRAINING: when the actors must have answered */
	uint64_t flush_ns;    /* STOPPED: no longer waits for control to read */

	/* from RUNNING on */
	struct bb_node node;
	struct bb_post post;
	struct bb_connectors connectors;
	struct bb_endpoints endpoints;
};

/*
 * Open the channel. Signals TERM and INT must be blocked in the process. 0, or negative errno with a line of
 * text. Stays at its address.
 */
int bb_agent_init(struct bb_agent *a, const char *state_dir, struct bb_text *text);

/* Until the end of the process; returns its exit status. Everything is undone then. */
int bb_agent_run(struct bb_agent *a);

/* Ask for the end, as a signal does. */
void bb_agent_drain(struct bb_agent *a, uint64_t linger_ns);

/* 0, or negative errno with a line of text; if node.spent is set, the process can only end. */
int bb_agent_start_node(struct bb_agent *a, const struct bb_cmd_plan *plan, struct bb_text *text);

/* command.c */
void bb_command_on_packet(void *agent, bb_conn_id from, const struct bb_cmd_header *h, const void *payload);
/* Set one endpoint for ourselves; the outcome goes to the log. */
void bb_command_set_alone(struct bb_agent *a, const struct bb_cmd_endpoint *cmd);
void bb_command_fini(struct bb_agent *a);

#endif
