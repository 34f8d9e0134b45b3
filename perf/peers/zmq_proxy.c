/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zmq_proxy: libzmq's own proxy between two bound sockets, the peer that a broker is measured against.
 *
 * Both sockets get the same high-water mark in both directions; socket buffers stay as the system gives them.
 * Ends on SIGINT or SIGTERM.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

static const struct {
	const char *name;
	int front, back;
} patterns[] = {
	{ "pipeline", ZMQ_PULL, ZMQ_PUSH },
	{ "pubsub", ZMQ_XSUB, ZMQ_XPUB },
	{ "reqrep", ZMQ_ROUTER, ZMQ_DEALER },
};

static int
number(const char *text, long min, long max, int *ret)
{
	char *end;
	const long x = strtol(text, &end, 10);

	if (end == text || *end != '\0' || x < min || x > max)
		return -1;
	*ret = (int)x;
	return 0;
}

static void *
bound_socket(void *context, int type, const char *addr, int hwm)
{
	void *s = zmq_socket(context, type);
	const int linger = 0, backlog = 4096;

	if (s == NULL || zmq_setsockopt(s, ZMQ_SNDHWM, &hwm, sizeof(hwm)) < 0 ||
		zmq_setsockopt(s, ZMQ_RCVHWM, &hwm, sizeof(hwm)) < 0 ||
		zmq_setsockopt(s, ZMQ_LINGER, &linger, sizeof(linger)) < 0 ||
		zmq_setsockopt(s, ZMQ_BACKLOG, &backlog, sizeof(backlog)) < 0 || zmq_bind(s, addr) < 0) {
		fprintf(stderr, "zmq_proxy: %s: %s\n", addr, zmq_strerror(zmq_errno()));
		return NULL;
	}
	return s;
}

static void
on_signal(int signal)
{
	(void)signal;
	_exit(0); /* zmq_proxy does not always return when it is interrupted; the system closes everything */
}

int
main(int argc, char **argv)
{
	const struct sigaction sa = { .sa_handler = on_signal };
	int hwm = 0, io_threads = 1;
	size_t p = 0;

	while (argc > 1 && p < 3 && strcmp(argv[1], patterns[p].name) != 0)
		p++;
	if (argc < 5 || argc > 6 || p == 3 || number(argv[4], 0, 1L << 30, &hwm) < 0 ||
		(argc == 6 && number(argv[5], 1, 64, &io_threads) < 0)) {
		fprintf(stderr, "usage: zmq_proxy pipeline|pubsub|reqrep FRONT BACK HWM [IO_THREADS]\n");
		return 2;
	}
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);

	void *context = zmq_ctx_new();
	zmq_ctx_set(context, ZMQ_IO_THREADS, io_threads);
	zmq_ctx_set(context, ZMQ_MAX_SOCKETS, 65536);
	void *front = bound_socket(context, patterns[p].front, argv[2], hwm);
	void *back = front != NULL ? bound_socket(context, patterns[p].back, argv[3], hwm) : NULL;
	if (back == NULL)
		return 1;
	printf("READY\n");
	fflush(stdout);
	zmq_proxy(front, back, NULL);
	fprintf(stderr, "zmq_proxy: %s\n", zmq_strerror(zmq_errno()));
	return 1;
}
