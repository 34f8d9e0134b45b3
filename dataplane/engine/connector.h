/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * connector: keeps one outgoing connection of a side alive: look up the name, hand the address to the least
 * loaded I/O core, and when the connection is lost, wait and begin again.
 *
 *   RESOLVING -> ASKED -> UP -> WAITING -> RESOLVING ...
 *
 * The wait is drawn from [reconnect.min, cap], evenly; cap begins at twice the minimum and doubles with each
 * attempt that failed, up to reconnect.max: peers that lost the same partner do not return in step. A
 * connection that had come up (its handshake succeeded) starts from the minimum again. Names are looked up
 * for each attempt, and of several addresses the next one is tried.
 *
 * A name that has no address, and a refused address, are no error of the configuration: the peer may come
 * later. The first failure of a row is logged, and the success that ends it.
 *
 * Thread: the agent.
 */
#ifndef BB_ENGINE_CONNECTOR_H
#define BB_ENGINE_CONNECTOR_H

#include <stdint.h>

#include "base/list.h"
#include "base/rand.h"
#include "engine/post.h"
#include "engine/resolver.h"

enum bb_connector_state {
	BB_CONNECTOR_RESOLVING = 1,
	BB_CONNECTOR_ASKED, /* an I/O core has the CONNECT */
	BB_CONNECTOR_UP,    /* it has begun; LOST will come */
	BB_CONNECTOR_WAITING,
};

struct bb_connector {
	struct bb_list node; /* of the set */
	uint32_t slot;
	uint16_t side; /* index */
	enum bb_connector_state state;
	uint64_t tag; /* of the present attempt */
	uint32_t io;  /* ASKED, UP */
	uint32_t attempts, failures;
	uint64_t due_ns; /* WAITING */
	uint64_t reconnect_min_ns, reconnect_max_ns;
	struct bb_address address;
	struct bb_mail_connect mail; /* read by the I/O core until its DONE */
	char text[BB_CMD_ADDRESS_MAX];
	bool closed; /* taken out; freed as soon as no I/O core reads its mail */
};

struct bb_connectors {
	struct bb_post *post;
	struct bb_resolver *resolver;
	struct bb_rand rand;
	struct bb_list all;
	struct bb_connector **slots; /* found by tags */
	uint32_t slot_count;
	uint32_t generation;
	uint32_t next_io; /* among equals each I/O core in turn */
};

/* 0 or negative errno. */
int bb_connectors_init(struct bb_connectors *c, struct bb_post *post, uint64_t seed);
void bb_connectors_fini(struct bb_connectors *c); /* zeroed is allowed */

/* Begin to connect a side to an address. 0, or negative errno with a line of text. */
int bb_connector_open(struct bb_connectors *c, uint16_t side, const char *text, uint64_t reconnect_min_ns,
	uint64_t reconnect_max_ns, uint64_t now_ns, struct bb_connector **ret, struct bb_text *why);

/*
 * Give it up; it is gone for the caller. disconnect: also end its connection (its address was taken out),
 * else that is left to a drain.
 */
void bb_connector_close(struct bb_connectors *c, struct bb_connector *k, bool disconnect);

/* What the post has for connections. */
void bb_connectors_on_mail(struct bb_connectors *c, uint32_t io, const struct bb_mail *mail, uint64_t now_ns);

/* Take up answers of the resolver, and begin attempts that are due. */
void bb_connectors_poll(struct bb_connectors *c, uint64_t now_ns);
uint64_t bb_connectors_deadline(const struct bb_connectors *c);

/* The wait before the next attempt after so many failures in a row. Pure. */
uint64_t bb_connector_wait_ns(
	struct bb_rand *r, uint64_t reconnect_min_ns, uint64_t reconnect_max_ns, uint32_t failures);

#endif
