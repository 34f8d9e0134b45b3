/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * router_env: a router with everything around it played by the test: I/O cores that fill slices and take
 * deliveries, an agent, a clock. Whatever the router delivers is kept per session as text, so that a test can
 * say what it expects in one line.
 *
 * After every step the environment checks the accounts; env_close() checks that no buffer and no byte of
 * memory is left behind.
 */
#ifndef BB_TEST_ROUTER_ENV_H
#define BB_TEST_ROUTER_ENV_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "msg/batch.h"
#include "msg/endpoint.h"
#include "msg/hold.h"
#include "msg/mail.h"
#include "route/router.h"

#define ENV_IO_MAX 4
#define ENV_SIDES 16
#define ENV_SESSIONS 256 /* slots per I/O core */

struct env_session {
	char *log; /* what was delivered: messages apart by blanks, frames by '|' */
	size_t log_len, log_cap;
	uint64_t msgs, bytes; /* delivered */
	char upstream[4096];  /* what it was told: +topic, -topic, and . for the end */
	uint32_t upstream_count;
	char id[512]; /* with GRANTED, in hexadecimal */
	uint32_t granted, refused, gone_done;
	uint32_t cause; /* of the last refusal */
};

struct env {
	struct bb_fabric fabric;
	struct bb_pool pool;
	uint8_t *pool_bytes;
	struct bb_buffer *pool_buffers;
	struct bb_mem mem;    /* the router's */
	struct bb_mem io_mem; /* everybody else's */
	struct bb_counters counters;
	void *counters_memory;
	struct bb_router *router;
	uint64_t now_ns;
	uint32_t io_count;
	uint32_t take_max; /* deliveries an I/O core takes per step */

	struct bb_batch_writer writer[ENV_IO_MAX];
	struct bb_holds holds[ENV_IO_MAX];
	struct env_session *sessions[ENV_IO_MAX];
	uint64_t taken[ENV_IO_MAX]; /* deliveries */
	uint64_t sent_msgs[ENV_SIDES], sent_bytes[ENV_IO_MAX][ENV_SIDES];
	uint64_t window[ENV_IO_MAX][ENV_SIDES];
	uint64_t arrived[ENV_SIDES]; /* copies, by the side they came from */
	uint32_t ends[ENV_IO_MAX];   /* END of some scope */
	uint64_t elements;	     /* deliveries of messages, all in all */
	struct bb_mail answer;	     /* the agent's last mail */
	uint32_t answers;
	uint64_t tag;
};

struct env_options {
	uint32_t io_count;	     /* 0: 1 */
	uint32_t slices, deliveries; /* slots; 0: many */
	uint32_t buffers;	     /* of the pool; 0: 256 */
	uint64_t memory;	     /* of the router; 0: no limit */
};

void env_open(struct env *e, const struct env_options *options);
void env_close(struct env *e);

/* Configure an endpoint; conf stays the caller's. */
void env_endpoint(struct env *e, const struct bb_endpoint *conf);
struct bb_endpoint env_conf(uint16_t id, enum bb_pattern pattern);

/* One step of the router, then the I/O cores take what they may. Returns the router's work. */
uint32_t env_step(struct env *e);
/* Steps until nothing happens any more; then the accounts must be exact. */
void env_run(struct env *e);

/* Sessions. hwm_msgs: first credit, 0: no limit. */
bb_handle env_attach(struct env *e, uint32_t io, uint32_t slot, uint16_t side, uint64_t hwm_msgs);
bb_handle env_attach_id(struct env *e, uint32_t io, uint32_t slot, uint16_t side, uint64_t hwm_msgs,
	const void *id, uint32_t id_len);
void env_gone(struct env *e, bb_handle h, uint16_t side);
void env_credit(struct env *e, bb_handle h, uint16_t side, uint64_t msgs_limit, uint64_t bytes_limit,
	uint64_t bytes_left);
void env_subscribe(struct env *e, bb_handle h, uint16_t side, const char *topic);
void env_cancel(struct env *e, bb_handle h, uint16_t side, const char *topic);
void env_room(struct env *e, bb_handle h, uint16_t side);
void env_end(struct env *e, uint32_t io, uint32_t scope);

/* Send a message: frames apart by '|'. env_send_raw: octets as they are, canonical. */
void env_send(struct env *e, bb_handle h, uint16_t side, const char *frames);
void env_send_raw(struct env *e, bb_handle h, uint16_t side, const uint8_t *bytes, uint32_t len);
/* The same as a chain whose buffers hold at most part octets each. */
void env_send_chain(
	struct env *e, bb_handle h, uint16_t side, const uint8_t *bytes, uint32_t len, uint32_t part);
/* Octets of a message, canonical; returns the length. */
uint32_t env_encode(uint8_t *to, const char *frames);

/* What was begun goes out to the router's ring, with as many steps as it takes. */
void env_flush(struct env *e, uint32_t io);

/* Mail of the agent; returns its tag. */
uint64_t env_mail(struct env *e, uint32_t kind, uint32_t arg, uint64_t value, void *ptr);

struct env_session *env_session(struct env *e, bb_handle h);
const char *env_log(struct env *e, bb_handle h);
void env_log_clear(struct env *e, bb_handle h);
uint64_t env_count(struct env *e, uint16_t side, uint32_t counter);

#endif
