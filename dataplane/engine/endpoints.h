/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * endpoints: what is configured and how far it is: the table of endpoints, from the command channel to the
 * actors, with the listeners and outgoing connections of their sides.
 *
 *   set     ENDPOINT to all actors; when all have answered: listeners and connectors are brought in line with
 *           what is wished (only what differs is opened or closed); when the I/O cores have their listeners,
 *           the request is answered. An address that cannot be listened at is the request's error, but the
 *           endpoint stands, and the address is tried again every second.
 *   remove  connectors and listeners closed, DRAIN to all actors, REMOVED to all, id free, answered.
 *
 * The home router is the one with the fewest endpoints. A pubsub endpoint that may drop is sharded over all
 * routers. Neither can change while it runs, so a change of `when_full` to or from `block` needs it removed
 * first if there is more than one router.
 *
 * The agent keeps a duplicate of each listening socket: UNLISTEN closes all listeners of a side on its I/O
 * core, so after one address was taken out the others are handed over again, and nobody who knocks meanwhile
 * is turned away.
 *
 * Thread: the agent.
 */
#ifndef BB_ENGINE_ENDPOINTS_H
#define BB_ENGINE_ENDPOINTS_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/command.h"
#include "engine/connector.h"
#include "engine/post.h"
#include "engine/request.h"
#include "msg/endpoint.h"

struct bb_endpoints;

/* A step that waits for actors, of a request or of our own. */
struct bb_endpoint_job {
	struct bb_list node;
	struct bb_endpoints *endpoints;
	struct bb_running *run;
	struct bb_request *request; /* held; NULL: nobody asks */
	struct bb_config *config;
	int fd;
};

/* One address that a side listens at. */
struct bb_listener {
	char text[BB_CMD_ADDRESS_MAX];	/* as configured */
	char bound[BB_CMD_ADDRESS_MAX]; /* as it is: port and interface resolved; empty: not listening */
	int fd;				/* our duplicate; -1: not listening, or shared */
	int error;			/* why not */
	bool shared;			/* the other side's listener at that address serves this one, too */
	struct sockaddr_storage at;
	uint64_t retry_ns;
};

struct bb_running_side {
	uint32_t io; /* whose transport accepts */
	uint32_t listener_count, connector_count;
	struct bb_listener listeners[BB_CMD_ADDRESSES_MAX];
	struct bb_connector *connectors[BB_CMD_ADDRESSES_MAX];
};

struct bb_running {
	uint16_t id;
	uint16_t home; /* router */
	bool known;    /* to all actors: connections may come */
	bool failed;   /* some actor did not take the newest version: set it again, even if it is the same */
	bool removing;
	struct bb_cmd_endpoint desired;
	struct bb_config *config; /* newest; older ones that an actor may still use hang on it */
	struct bb_running_side side[2];
};

/* One version of what actors see. */
struct bb_config {
	struct bb_endpoint endpoint;
	struct bb_config *older;
};

struct bb_endpoints {
	struct bb_post *post;
	struct bb_connectors *connectors;
	uint32_t io_count, router_count;
	struct bb_running *slots[BB_ENDPOINTS_MAX];
	uint32_t count;
	uint32_t homes[BB_CORES_MAX];	/* endpoints by router */
	uint32_t listens[BB_CORES_MAX]; /* sides by I/O core */
	struct bb_list jobs;		/* to be freed if their answers never come */
	bool closed;			/* the node drains */
	uint64_t now_ns;		/* the agent's clock, renewed each turn */
	uint64_t retry_ns;		/* when a listener is to be tried again */
};

/* NULL without memory. end() puts the request and frees the job. */
struct bb_endpoint_job *bb_endpoint_job_begin(
	struct bb_endpoints *e, struct bb_running *run, struct bb_request *r);
void bb_endpoint_job_end(struct bb_endpoint_job *job);

void bb_endpoints_init(struct bb_endpoints *e, struct bb_post *post, struct bb_connectors *connectors);

/* Free all; the actors are gone. Zeroed is allowed. */
void bb_endpoints_fini(struct bb_endpoints *e);

/* True if a packet makes sense at all; else -EINVAL with a line of text. Pure. */
int bb_endpoint_check(const struct bb_cmd_endpoint *cmd, struct bb_text *text);

/* What actors are told. Pure. */
struct bb_endpoint bb_endpoint_config(
	const struct bb_cmd_endpoint *cmd, uint16_t id, uint16_t home, uint32_t router_count);

/* The request, checked, is held until it is done; errors are put into it. */
void bb_endpoints_set(struct bb_endpoints *e, const struct bb_cmd_endpoint *cmd, struct bb_request *r);
void bb_endpoints_remove(
	struct bb_endpoints *e, const char *name, uint64_t deadline_ns, struct bb_request *r);

/* No new connections: close listeners and connectors; the sessions are left to a drain of the node. */
void bb_endpoints_close(struct bb_endpoints *e);

/* Try again what could not be listened at. */
void bb_endpoints_poll(struct bb_endpoints *e);
uint64_t bb_endpoints_deadline(const struct bb_endpoints *e);

struct bb_running *bb_endpoints_find(const struct bb_endpoints *e, const char *name);

/* The first with an id of at least cursor; NULL: none. */
const struct bb_running *bb_endpoints_next(const struct bb_endpoints *e, uint64_t cursor);
void bb_endpoint_describe(const struct bb_running *run, struct bb_cmd_endpoint_state *ret);

/* What would have to be set again to get what is there now; count of them. ret: BB_ENDPOINTS_MAX. */
uint32_t bb_endpoints_save(const struct bb_endpoints *e, struct bb_cmd_endpoint *ret);

#endif
