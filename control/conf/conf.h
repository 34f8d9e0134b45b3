/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * conf: the configuration as checked data.
 *
 * bb_conf_read() turns text into a struct bb_conf in which every value has been checked: types, units,
 * ranges, addresses, and what must fit together across endpoints. Whoever holds a struct bb_conf need not
 * check it again. What is wrong is told in whole lines, "FILE:LINE: what is wrong: what would be right",
 * several at a time.
 *
 * Which keys exist, their types, ranges and defaults is the option table's business alone (conf/option.h).
 *
 * Input is bounded (BB_CONF_BYTES_MAX and the limits in conf/tree.c): no text, however broken, makes the
 * reader crash, hang or take more than some 40 MiB for the time of the call.
 *
 * Thread: any, one object per thread.
 */
#ifndef BB_CONF_CONF_H
#define BB_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "conf/address.h"

#define BB_CONF_BYTES_MAX (1u << 20) /* of one configuration file */
#define BB_CONF_CPUS_MAX 1024	     /* highest CPU number + 1 in a CPU list */
#define BB_CONF_PATH_MAX 107	     /* octets of a Unix socket's path: sizeof(sun_path) - 1 */
#define BB_CONF_ERRORS_MAX 16	     /* lines of one reading; a reading stops when they are used up */
#define BB_CONF_ERROR_MAX 384	     /* octets of one such line */

enum bb_conf_pattern {
	BB_CONF_PUBSUB,
	BB_CONF_PIPELINE,
	BB_CONF_REQREP,
	BB_CONF_PATTERN_COUNT,
};

enum bb_conf_roles {
	BB_CONF_ROLES_AUTO,
	BB_CONF_ROLES_JOINED,
	BB_CONF_ROLES_SPLIT,
};

enum bb_conf_idle {
	BB_CONF_IDLE_AUTO,
	BB_CONF_IDLE_POLL,
	BB_CONF_IDLE_ADAPTIVE,
};

enum bb_conf_hugepages {
	BB_CONF_HUGEPAGES_AUTO,
	BB_CONF_HUGEPAGES_REQUIRED,
	BB_CONF_HUGEPAGES_OFF,
};

enum bb_conf_subscribe {
	BB_CONF_SUBSCRIBE_FORWARD, /* upstream, the union of what subscribers want */
	BB_CONF_SUBSCRIBE_ALL,	   /* upstream, everything */
};

enum bb_conf_when_full {
	BB_CONF_DROP,
	BB_CONF_BLOCK,
	BB_CONF_DISCONNECT,
};

/* A CPU list of the configuration. count == 0 means auto. */
struct bb_conf_cpus {
	uint64_t bits[BB_CONF_CPUS_MAX / 64];
	uint32_t count;
};

/*
 * Values are stored as the option table says: durations in ns, sizes in bytes, counts as they are, all of
 * them uint64_t; 0 is "no limit", "off" or "auto" where the option's help says so. `line` is where in the
 * text a thing began, 0 if it did not come from text. `set` has a bit per option of the section (its place in
 * the table) that the text gave; the others hold their defaults.
 */
struct bb_conf_side {
	struct bb_conf_address *binds, *connects;
	uint32_t bind_count, connect_count;
	uint32_t when_full; /* enum bb_conf_when_full */
	uint64_t hwm;
	uint64_t hwm_bytes;
	uint64_t block_max_ns;
	uint64_t max_message_bytes;
	uint64_t max_frames;
	uint64_t sndbuf_bytes; /* 0: the kernel decides */
	uint64_t rcvbuf_bytes; /* 0: the kernel decides */
	uint64_t heartbeat_interval_ns;
	uint64_t heartbeat_timeout_ns;
	uint64_t heartbeat_ttl_ns;
	uint64_t handshake_timeout_ns;
	uint64_t reconnect_min_ns;
	uint64_t reconnect_max_ns;
	uint64_t backlog;
	uint64_t keepalive_idle_ns; /* 0: off */
	uint64_t keepalive_interval_ns;
	uint64_t keepalive_count;
	uint64_t peers_max;
	uint64_t subscriptions_max;
	bool handover;
	char identity[BB_ROUTING_ID_MAX + 1];
	uint64_t set;
	int line;
};

struct bb_conf_endpoint {
	char name[BB_NAME_MAX + 1];
	uint32_t pattern;   /* enum bb_conf_pattern */
	uint32_t subscribe; /* enum bb_conf_subscribe; pubsub only */
	struct bb_conf_side sides[2];
	uint64_t set;
	int line;
};

struct bb_conf_node {
	char name[BB_NAME_MAX + 1];
	uint64_t set;
};

struct bb_conf_dataplane {
	struct bb_conf_cpus io_cpus, router_cpus;
	uint32_t roles;	    /* enum bb_conf_roles */
	uint32_t idle;	    /* enum bb_conf_idle */
	uint32_t hugepages; /* enum bb_conf_hugepages */
	uint64_t memory_bytes;
	uint64_t linger_ns;
	uint64_t set;
	int line; /* 1 if the text has no such section */
};

struct bb_conf_control {
	char socket[BB_CONF_PATH_MAX + 1]; /* empty: the user's default place */
	struct bb_conf_address http;	   /* kind BB_ADDRESS_NONE: no TCP listener */
	uint64_t set;
};

struct bb_conf {
	struct bb_conf_node node;
	struct bb_conf_dataplane dataplane;
	struct bb_conf_control control;
	struct bb_conf_endpoint *endpoints;
	uint32_t endpoint_count;
};

/* What was wrong with a text, in the order found. */
struct bb_conf_errors {
	uint32_t count;
	char line[BB_CONF_ERRORS_MAX][BB_CONF_ERROR_MAX];
};

/*
 * Read len octets of text; `file` is only the name for error lines. Returns 0 and fills *ret (to be given to
 * bb_conf_fini()), or -EINVAL with at least one line in *ret_errors, or -ENOMEM with one.
 */
int bb_conf_read(struct bb_conf *ret, const char *file, const char *text, size_t len,
	struct bb_conf_errors *ret_errors);

/* The same from a file; "-" is standard input. Also -errno of what failed in opening or reading it. */
int bb_conf_read_file(struct bb_conf *ret, const char *path, struct bb_conf_errors *ret_errors);

/* Zeroed is allowed. */
void bb_conf_fini(struct bb_conf *conf);

/* The text of deploy/default.yaml as it was at build time. */
extern const char bb_conf_default_text[];
extern const size_t bb_conf_default_len;

#endif
