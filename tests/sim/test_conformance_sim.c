/* SPDX-License-Identifier: BSD-3-Clause */
/* test_conformance_sim: the simulator's own byte streams keep the contract that they test others by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "base/time.h"
#include "sim_transport.h"
#include "stream_conformance.h"

#define PORT 7
#define NOBODY 8
#define STEPS_MAX 2000000 /* a test that needs more of them waits for ever */

static uint64_t steps, seed;

static void
address(struct sockaddr_storage *to, uint16_t port)
{
	struct sockaddr_in *a = (void *)to;

	a->sin_family = AF_INET;
	a->sin_port = htons(port);
}

static bool
open_world(struct conf_world *w)
{
	/* Whole pushes and views, since the tests count them; segments and events come as they like. */
	const struct sim_net_options options = {
		.pipe_bytes = 200000,
		.segment_max = 60000,
		.hold_chance = 200,
		.late_event_chance = 200,
	};
	struct sim_net *n = sim_net_create(++seed, 2, &options);

	w->client = sim_net_transport(n, 0);
	w->server = sim_net_transport(n, 1);
	assert_int_equal(w->server->ops->listen(w->server, sim_net_listen_fd(n, PORT), CONF_SIDE), 0);
	address(&w->address, PORT);
	address(&w->nobody, NOBODY);
	w->impl = n;
	steps = 0;
	return true;
}

static void
close_world(struct conf_world *w)
{
	assert_int_equal(sim_net_stream_count(w->impl), 0);
	sim_net_destroy(w->impl);
}

static bool
wait_world(struct conf_world *w)
{
	sim_net_step(w->impl);
	return ++steps < STEPS_MAX;
}

static uint64_t
now_ns(struct conf_world *w)
{
	(void)w;
	sim_net_step(w->impl);
	return steps * BB_USEC;
}

int
main(void)
{
	const struct conf_factory factory = {
		.name = "sim",
		.open = open_world,
		.close = close_world,
		.wait = wait_world,
		.now_ns = now_ns,
		.connections = 200,
	};

	return stream_conformance_run(&factory);
}
