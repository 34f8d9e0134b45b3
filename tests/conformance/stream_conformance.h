/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stream_conformance: what every transport of transport/stream.h has to do, as tests that know nothing of it
 * but its factory. A transport's test program fills in a factory and calls stream_conformance_run().
 *
 * Two transports face each other as two I/O cores do: one connects, the other listens. Nothing sleeps: the
 * factory's wait() returns when there is something to poll for, or false when its deadline has passed.
 */
#ifndef BB_TEST_STREAM_CONFORMANCE_H
#define BB_TEST_STREAM_CONFORMANCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "transport/stream.h"

#define CONF_SIDE 7u /* the side that the server's listener is for */

struct conf_world {
	struct bb_transport *client, *server;
	struct sockaddr_storage address; /* where the server listens */
	struct sockaddr_storage nobody;	 /* where nobody does */
	void *impl;
};

struct conf_factory {
	const char *name;
	/* Make both transports and start the listener for CONF_SIDE. False: this machine cannot; skip. */
	bool (*open)(struct conf_world *w);
	/* All streams are destroyed. Asserts that nothing leaked. */
	void (*close)(struct conf_world *w);
	/* Wait until either transport may have something to poll for; false: it took too long (10 s). */
	bool (*wait)(struct conf_world *w);
	uint64_t (*now_ns)(struct conf_world *w);
	uint32_t connections; /* how many the crowd test makes */
};

/* Run all tests; returns cmocka's exit status. */
int stream_conformance_run(const struct conf_factory *factory);

#endif
