/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * opts: the command line of busbar-bench, checked. Wrong use is one line on standard error and exit status 2.
 */
#ifndef BB_PERF_OPTS_H
#define BB_PERF_OPTS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#define BB_TOPIC_PREFIX_MAX 64u
#define BB_TOPIC_DIGITS 8u /* hexadecimal, behind the prefix, when there are several topics */
#define BB_BROKER_PIDS_MAX 16u

enum bb_pattern {
	BB_PIPELINE,
	BB_PUBSUB,
	BB_REQREP,
};

enum bb_subscribe {
	BB_SUBSCRIBE_PREFIX, /* each subscriber asks once for the prefix and sees everything */
	BB_SUBSCRIBE_ALL,    /* each subscriber asks for every topic and sees everything */
	BB_SUBSCRIBE_ONE,    /* subscriber i asks for topic i mod topics alone */
};

struct bb_addr {
	char text[128]; /* as given; empty: none */
	socklen_t len;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un un;
		struct sockaddr_storage storage;
	};
};

/* One of the two groups of connections that the tool can hold. */
struct bb_side {
	bool present;
	bool bind; /* wait for peers instead of connecting */
	uint32_t count;
	const char *type; /* ZeroMQ socket type in READY */
	struct bb_addr addr;
};

struct bb_opts {
	enum bb_pattern pattern;
	bool one_sided;	    /* --role */
	bool direct;	    /* no broker: the producers connect to the consumers */
	struct bb_side in;  /* producers, publishers, clients */
	struct bb_side out; /* consumers, subscribers, workers */

	uint64_t size;	 /* octets of each frame */
	uint32_t frames; /* per message, without envelope */
	uint32_t topics; /* 0: none beyond the prefix */
	char topic_prefix[BB_TOPIC_PREFIX_MAX + 1];
	enum bb_subscribe subscribe;
	uint32_t run_id;

	double rate;	 /* messages/s over all producers; 0: flat out */
	uint32_t window; /* requests outstanding per client */
	double max_loss; /* search for the highest rate with at most this loss; negative: no search */
	uint64_t warmup_ns;
	uint64_t measure_ns;
	uint64_t messages; /* over all producers; 0: by time */
	uint64_t heartbeat_ns;
	uint64_t connect_wait_ns;
	uint64_t settle_ns;
	uint64_t quiet_ns;
	uint64_t stall_ns;  /* consumers do not read for so long after the connection */
	double read_rate;   /* messages/s that all consumers together read; 0: what comes */
	int sndbuf, rcvbuf; /* 0: the system's choice */

	int cpu;	  /* -1: where the scheduler puts us */
	bool spin;	  /* never sleep in the kernel */
	const char *json; /* file, "-" standard output, NULL none */
	const char *system;
	int broker_pids[BB_BROKER_PIDS_MAX];
	uint32_t broker_pid_count;
};

/* Returns 0, or the exit status + 1 when the program should end now (help, version, wrong use). */
int bb_opts_parse(struct bb_opts *o, int argc, char **argv);

/* What --help prints. */
extern const char bb_opts_help[];

const char *bb_pattern_name(enum bb_pattern p);

#endif
