/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resolver: names to addresses, on a thread of its own, because the system's resolver may wait for seconds
 * and the agent may not. One name at a time; the others wait in order.
 *
 * The thread is started with the first name. It cannot be interrupted: one that still waits for an answer
 * when the process ends is left behind, with its memory.
 *
 * Thread: the agent.
 */
#ifndef BB_ENGINE_RESOLVER_H
#define BB_ENGINE_RESOLVER_H

#include <stdint.h>
#include <sys/socket.h>

#include "engine/address.h"

struct bb_resolver;

struct bb_resolved {
	uint64_t tag;
	int error; /* 0 or EAI_* of getaddrinfo() */
	struct sockaddr_storage address;
};

/* 0 or negative errno. */
int bb_resolver_create(struct bb_resolver **ret);
void bb_resolver_destroy(struct bb_resolver *r); /* NULL is allowed */

/* Readable when there are answers. */
int bb_resolver_fd(const struct bb_resolver *r);

/*
 * Ask for an address; of several the attempt-th is answered (modulo their number), so that retries go
 * through them all. 0 or negative errno.
 */
int bb_resolver_ask(struct bb_resolver *r, const struct bb_address *a, uint32_t attempt, uint64_t tag);

/* One answer; false if there is none. */
bool bb_resolver_answer(struct bb_resolver *r, struct bb_resolved *ret);

#endif
