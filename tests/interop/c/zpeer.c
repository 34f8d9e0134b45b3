/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zpeer: a plain libzmq program for each role that the interop tests need.
 *
 *   zpeer ROLE [options] ADDRESS
 *
 *   push pull     send, or receive and check, the messages of the plan
 *   sink          receive anything until killed
 *   pub sub       the same with a topic frame; pub is an XPUB that waits for --peers subscriptions
 *   req dealer    send each message of the plan and check that it comes back; a dealer keeps --flight
 *                 requests on their way and adds the empty delimiter itself
 *   rep worker    send back what comes (worker: a DEALER that handles the envelope), until killed
 *   router        the same as a ROUTER
 *
 * Prints "ready" when it is connected in its own eyes, and "done COUNT" at the end.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#include "content.h"

#define ECHO_FRAMES_MAX 128

struct peer {
	struct plan plan;
	void *sock;
	size_t flight;	   /* requests on their way at most */
	size_t peers;	   /* subscriptions that pub waits for */
	int timeout_ms;	   /* for each single send and receive */
	const char *ident; /* routing id, or NULL */
};

static void
run_send(struct peer *p)
{
	for (uint64_t i = 0; i < p->plan.count; i++)
		plan_send(&p->plan, p->sock, i);
}

static void
run_recv(struct peer *p)
{
	for (uint64_t i = 0; i < p->plan.count; i++)
		plan_recv(&p->plan, p->sock, i);
}

static void
run_sink(struct peer *p)
{
	int forever = -1;

	zmq_setsockopt(p->sock, ZMQ_RCVTIMEO, &forever, sizeof(forever));
	for (;;) {
		char octets[64]; /* longer messages are cut, which does not matter here */
		if (zmq_recv(p->sock, octets, sizeof(octets), 0) < 0)
			die("receive: %s", zmq_strerror(errno));
	}
}

static void
run_pub(struct peer *p)
{
	for (size_t got = 0; got < p->peers; got++) {
		uint8_t octets[256];
		int n = zmq_recv(p->sock, octets, sizeof(octets), 0);
		if (n < 1 || octets[0] != 1)
			die("no subscription came: %s", n < 0 ? zmq_strerror(errno) : "something else did");
	}
	run_send(p);
}

static void
run_sub(struct peer *p)
{
	if (zmq_setsockopt(p->sock, ZMQ_SUBSCRIBE, p->plan.topic, strlen(p->plan.topic)) != 0)
		die("subscribe: %s", zmq_strerror(errno));
	run_recv(p);
}

static void
run_req(struct peer *p)
{
	for (uint64_t i = 0; i < p->plan.count; i++) {
		plan_send(&p->plan, p->sock, i);
		plan_recv(&p->plan, p->sock, i);
	}
}

static void
run_dealer(struct peer *p)
{
	uint64_t sent = 0;

	p->plan.topic = ""; /* the empty delimiter in front of each request and reply */
	for (uint64_t got = 0; got < p->plan.count; got++) {
		for (; sent < p->plan.count && sent - got < p->flight; sent++)
			plan_send(&p->plan, p->sock, sent);
		plan_recv(&p->plan, p->sock, got);
	}
}

/*
 * Every message goes back as it came: right for REP, for a ROUTER, and for a DEALER that sees envelopes.
 * It is received to its end first, since REP takes no reply before that.
 */
static void
run_echo(struct peer *p)
{
	static zmq_msg_t frames[ECHO_FRAMES_MAX];
	int forever = -1;

	zmq_setsockopt(p->sock, ZMQ_RCVTIMEO, &forever, sizeof(forever));
	for (;;) {
		size_t count = 0;
		do {
			if (count == ECHO_FRAMES_MAX)
				die("a request of more than %d frames", ECHO_FRAMES_MAX);
			if (zmq_msg_init(&frames[count]) != 0 || zmq_msg_recv(&frames[count], p->sock, 0) < 0)
				die("receive: %s", zmq_strerror(errno));
		} while (zmq_msg_more(&frames[count++]));
		for (size_t i = 0; i < count; i++)
			if (zmq_msg_send(&frames[i], p->sock, i + 1 < count ? ZMQ_SNDMORE : 0) < 0)
				die("send: %s", zmq_strerror(errno));
	}
}

static const struct role {
	const char *name;
	int type;
	void (*run)(struct peer *p);
} roles[] = {
	{ "push", ZMQ_PUSH, run_send },
	{ "pull", ZMQ_PULL, run_recv },
	{ "sink", ZMQ_PULL, run_sink },
	{ "pub", ZMQ_XPUB, run_pub },
	{ "sub", ZMQ_SUB, run_sub },
	{ "req", ZMQ_REQ, run_req },
	{ "dealer", ZMQ_DEALER, run_dealer },
	{ "rep", ZMQ_REP, run_echo },
	{ "worker", ZMQ_DEALER, run_echo },
	{ "router", ZMQ_ROUTER, run_echo },
};

static const struct role *
role_find(const char *name)
{
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (strcmp(roles[i].name, name) == 0)
			return &roles[i];
	die("no role '%s'", name);
}

static void
options_parse(struct peer *p, int argc, char **argv)
{
	static const struct option options[] = {
		{ "count", required_argument, NULL, 'n' },
		{ "sizes", required_argument, NULL, 's' },
		{ "frames", required_argument, NULL, 'f' },
		{ "topic", required_argument, NULL, 't' },
		{ "flight", required_argument, NULL, 'w' },
		{ "peers", required_argument, NULL, 'p' },
		{ "timeout-ms", required_argument, NULL, 'T' },
		{ "id", required_argument, NULL, 'i' },
		{ NULL, 0, NULL, 0 },
	};

	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (c) {
		case 'n':
			p->plan.count = strtoull(optarg, NULL, 10);
			break;
		case 's':
			p->plan.size_count = list_parse(optarg, p->plan.sizes, 64);
			break;
		case 'f':
			p->plan.frame_count = list_parse(optarg, p->plan.frames, 16);
			break;
		case 't':
			p->plan.topic = optarg;
			break;
		case 'w':
			p->flight = strtoull(optarg, NULL, 10);
			break;
		case 'p':
			p->peers = strtoull(optarg, NULL, 10);
			break;
		case 'T':
			p->timeout_ms = atoi(optarg);
			break;
		case 'i':
			p->ident = optarg;
			break;
		default:
			die("wrong use");
		}
	}
}

int
main(int argc, char **argv)
{
	if (argc < 3)
		die("usage: zpeer ROLE [options] ADDRESS");
	const struct role *role = role_find(argv[1]);
	struct peer p = {
		.plan = { .sizes = { 16 }, .size_count = 1, .frames = { 1 }, .frame_count = 1, .count = 1 },
		.flight = 1,
		.peers = 1,
		.timeout_ms = 30000,
	};
	options_parse(&p, argc - 1, argv + 1);
	if (optind + 1 != argc - 1)
		die("one address is needed");
	if ((role->run == run_pub || role->run == run_sub) && p.plan.topic == NULL)
		die("%s needs --topic", role->name);

	void *ctx = zmq_ctx_new();
	int unlimited = 0;
	p.sock = zmq_socket(ctx, role->type);
	if (p.sock == NULL)
		die("socket: %s", zmq_strerror(errno));
	zmq_setsockopt(p.sock, ZMQ_SNDTIMEO, &p.timeout_ms, sizeof(p.timeout_ms));
	zmq_setsockopt(p.sock, ZMQ_RCVTIMEO, &p.timeout_ms, sizeof(p.timeout_ms));
	zmq_setsockopt(p.sock, ZMQ_LINGER, &p.timeout_ms, sizeof(p.timeout_ms));
	zmq_setsockopt(
		p.sock, ZMQ_RCVHWM, &unlimited, sizeof(unlimited)); /* losses are to be the broker's alone */
	if (role->type == ZMQ_XPUB)
		zmq_setsockopt(p.sock, ZMQ_SNDHWM, &unlimited, sizeof(unlimited));
	if (p.ident != NULL && zmq_setsockopt(p.sock, ZMQ_ROUTING_ID, p.ident, strlen(p.ident)) != 0)
		die("routing id: %s", zmq_strerror(errno));
	if (zmq_connect(p.sock, argv[argc - 1]) != 0)
		die("connect %s: %s", argv[argc - 1], zmq_strerror(errno));
	printf("ready\n");
	fflush(stdout);
	role->run(&p);
	if (zmq_close(p.sock) != 0 || zmq_ctx_term(ctx) != 0)
		die("close: %s", zmq_strerror(errno));
	printf("done %zu\n", p.plan.count);
	return 0;
}
