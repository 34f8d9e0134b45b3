/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * io_env: an I/O actor with everything around it played by the test: peers on byte streams, routers, an agent,
 * a clock. What routers are told is kept as text, so that a test can say what it expects in one line:
 *
 *   a@1[id]   session a attached to side 1 with that routing id     a:x|y   it sent a message of two frames
 *   a#70000   it sent a message in a chain of so many octets        a+t a-t it subscribes, cancels
 *   a$7       credit up to 7 messages                               a^      room for more upstream
 *   a!        gone                                                  END(0)  the end of a scope
 *
 * Sessions are named in the order in which they attached. After every turn the environment checks the accounts;
 * env_close() checks that no buffer and no byte of memory is left behind.
 */
#ifndef BB_TEST_IO_ENV_H
#define BB_TEST_IO_ENV_H

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
#include "msg/mail.h"
#include "msg/set.h"
#include "transport/io.h"
#include "zmtp/type.h"

#define ENV_PEERS 1200
#define ENV_ROUTERS 3
#define ENV_SIDES 8
#define ENV_SESSIONS 1200

struct env;

/* The far end of one byte stream. It outlives the stream. */
struct peer {
	struct bb_stream stream;
	struct env *env;
	uint8_t *in; /* sent by the peer, not consumed yet */
	size_t in_len, in_cap;
	bool in_end; /* and then it finished */
	uint8_t *view[64];
	size_t view_count, view_len;
	uint32_t views;
	uint8_t *out; /* what it was sent */
	size_t out_len, out_cap;
	uint64_t room;	  /* octets it takes before the transport refuses */
	uint64_t backlog; /* answer to tx_backlog */
	int broken;	  /* errno of a push */
	uint32_t pushes;
	bool connecting, finished, destroyed;
	struct {
		enum bb_stream_event event;
		uint64_t arg;
	} events[8];
	uint32_t event_count;
};

struct env {
	struct bb_fabric fabric;
	struct bb_pool pool;
	uint8_t *pool_bytes;
	struct bb_buffer *pool_buffers;
	struct bb_mem mem;
	struct bb_counters counters;
	void *counters_memory;
	struct bb_transport transport;
	struct bb_io *io;
	uint64_t now_ns;
	uint32_t router_count;

	struct peer *peers[ENV_PEERS];
	uint32_t peer_count, accepted;
	uint16_t accept_side[ENV_PEERS];
	size_t piece; /* octets per entry of a view; 0: one entry */
	bool unlistened[ENV_SIDES];

	/* routers */
	char log[ENV_ROUTERS][16384];
	size_t log_len[ENV_ROUTERS];
	bb_handle handles[64]; /* by name */
	uint16_t sides[64];    /* of those */
	uint32_t handle_count;
	uint64_t input[ENV_ROUTERS][ENV_SIDES];	 /* octets that count against windows */
	uint64_t window[ENV_ROUTERS][ENV_SIDES]; /* of these, done with, as was told */
	uint64_t msgs[ENV_ROUTERS][ENV_SIDES];
	uint64_t delivered[ENV_SIDES];
	bool hold_windows, hold_grants, hold_gone, stalled; /* what routers do not do */

	struct bb_mail mails[64]; /* of the actor */
	uint32_t mail_count;
	uint64_t tag;
};

struct env_options {
	uint32_t routers;      /* 0: 1 */
	uint32_t buffers;      /* of the pool; 0: 64 */
	uint32_t slices;       /* slots; 0: 64 */
	uint32_t deliveries;   /* slots; 0: 1024 */
	uint32_t window_bytes; /* 0: 256 KiB */
	uint32_t session_max;  /* 0: ENV_SESSIONS */
};

void env_open(struct env *e, const struct env_options *options);
void env_close(struct env *e);

/* An endpoint with the defaults of the configuration; the caller may change it before env_endpoint(). */
struct bb_endpoint env_conf(uint16_t id, enum bb_pattern pattern);
void env_endpoint(struct env *e, const struct bb_endpoint *conf);
uint64_t env_mail(struct env *e, uint32_t kind, uint32_t arg, uint64_t value, void *ptr);
/* The answer to a mail, NULL: not yet. */
const struct bb_mail *env_answer(const struct env *e, uint64_t tag);

/* One turn of the actor, 1 ms later, then one of each router. */
uint32_t env_turn(struct env *e);
/* Turns until there is nothing to do. */
void env_run(struct env *e);
/* Time passes, with a turn every 5 ms. */
void env_pass(struct env *e, uint64_t ns);

/* Peers. */
struct peer *env_accept(struct env *e, uint16_t side);
struct peer *env_connect(struct env *e, uint16_t side); /* CONNECT mail; its tag is e->tag */
void peer_event(struct peer *p, enum bb_stream_event event, uint64_t arg);
void peer_send(struct peer *p, const void *bytes, size_t len);
void peer_finish(struct peer *p);
void peer_greet(struct peer *p, uint8_t minor);
void peer_ready(struct peer *p, const char *type, const char *identity);
/* Greeting and READY to the end; nothing is left in p->out. */
struct peer *env_join(struct env *e, uint16_t side, uint8_t minor, const char *type, const char *identity);
/* A message, frames apart by '|'. */
void peer_message(struct peer *p, const char *frames);
void peer_frame(struct peer *p, uint8_t flags, const void *body, size_t len);
void peer_command(struct peer *p, const char *name, const void *data, size_t len);
/* The peer reads so many octets more. */
void peer_room(struct peer *p, uint64_t octets);
/* Takes what it was sent as text: messages apart by blanks, frames by '|', commands as /NAME; the static buffer. */
const char *peer_take(struct peer *p);

/* Routers. */
const char *env_log(struct env *e, uint32_t router); /* what was told since the last call */
void env_deliver(struct env *e, char name, const char *frames);
void env_deliver_raw(struct env *e, char name, const void *bytes, uint32_t len, uint32_t msgs);
void env_deliver_chain(struct env *e, char name, uint32_t body_len);
void env_push(struct env *e, uint32_t router, const struct bb_delivery *d);
void env_refuse(struct env *e, char name, enum bb_refusal cause);
void env_upstream(struct env *e, char name, const char *topic);
void env_windows(struct env *e); /* all input is done with */
void env_window(struct env *e, uint32_t router, uint16_t side, uint64_t done);

uint32_t env_encode(uint8_t *to, const char *frames);
uint64_t env_count(const struct env *e, uint16_t side, uint32_t counter);
const struct bb_session_row *env_row(const struct env *e, char name);

#endif
