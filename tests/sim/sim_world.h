/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sim_world: one node, simulated: the real I/O and router actors with their rings, pool and budgets, over
 * simulated streams and clock; personas, which are the peers; a stand-in for the agent; and the oracle's
 * books.
 *
 * A persona comes and goes: each of its connections is a link, which is never reused. Messages are named by
 * {link, seq}.
 *
 * Time goes by in steps: one actor polls, or bytes arrive, or a persona acts, as the seed will have it. A
 * number of steps is an epoch; it ends in a quiet point: everything is let go, nothing new is said, and the
 * books must balance exactly.
 */
#ifndef BB_TEST_SIM_WORLD_H
#define BB_TEST_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/counters.h"
#include "base/mem.h"
#include "msg/endpoint.h"
#include "msg/fabric.h"
#include "msg/mail.h"
#include "route/router.h"
#include "sim_transport.h"
#include "sim_wire.h"
#include "transport/io.h"
#include "zmtp/type.h"

#define SIM_ACTORS 4	/* of each kind, at most */
#define SIM_ENDPOINTS 4 /* at most */
#define SIM_PERSONAS 64 /* at most */
#define SIM_SESSIONS 64 /* slots per I/O core */
#define SIM_OUT_PORT 16 /* outgoing connections: this + the persona's number, or the endpoint's sides below */

/* What a seed may have, each alone. */
enum sim_feature {
	SIM_KILLS = 1,	       /* personas end connections, orderly or not */
	SIM_STALLS = 2,	       /* pipes stop for a while */
	SIM_SLOW = 4,	       /* readers of limited speed */
	SIM_SUBS_CHANGE = 8,   /* subscriptions change all the time */
	SIM_PINGS = 16,	       /* PING from personas, between frames too */
	SIM_ODD_FRAMES = 32,   /* long forms, reserved bits */
	SIM_MALFORMED = 64,    /* personas that break the protocol */
	SIM_MEM_FAILS = 128,   /* allocations fail */
	SIM_POOL_FAILS = 256,  /* buffers are taken away */
	SIM_HWM_CHANGES = 512, /* high-water marks change */
	SIM_OUTGOING = 1024,   /* connections that the node makes */
	SIM_TIME_JUMPS = 2048, /* the clock leaps by seconds */
	SIM_HEARTBEATS = 4096, /* short heartbeats of the node */
	SIM_REMOVALS = 8192,   /* endpoints are drained, removed, made again */
	SIM_NET_FAILS = 16384, /* adopt and connect fail */
	SIM_EAGER = 32768,     /* personas talk before they are answered */
	SIM_FEATURES = 16,
};

struct sim_config {
	uint64_t seed;
	uint32_t features;
	uint32_t io_count, router_count;
	uint32_t slices, deliveries, mails, window_bytes;
	uint32_t pool_buffers, pool_reserve;
	uint64_t mem_bytes;
	uint32_t epochs, steps; /* steps of an epoch */
	uint32_t endpoint_count;
	uint8_t pattern[SIM_ENDPOINTS];
	uint32_t personas; /* per endpoint */
	bool volume;	   /* readers stop in the midst of much traffic, with deep queues */
	struct sim_profile profile;
	struct sim_net_options net;
};

/* Something to do once the persona has read so far. */
struct sim_item {
	uint64_t at;
	enum { SIM_ITEM_GREETING, SIM_ITEM_READY, SIM_ITEM_PING, SIM_ITEM_REQUEST } kind;
	struct sim_buf data;
};

/* What becomes of a message, by seq. */
enum { SIM_MARK_DELIVERED = 1, SIM_MARK_ANSWERED = 2 };

struct sim_link {
	uint32_t id;
	struct sim_world *w;
	struct sim_persona *persona; /* NULL: the persona has done with it */
	uint8_t endpoint, side, type, minor;
	bool broken_protocol;  /* of a malformed persona */
	uint32_t session_text; /* connection id, or tag when outgoing */
	bool outgoing;

	/* As a sender. */
	uint32_t said;	  /* messages encoded */
	uint8_t *marks;	  /* [said] */
	uint32_t *log_at; /* [said], pubsub: place in the endpoint's log */
	uint32_t marks_cap;
	uint32_t epoch_said;  /* said when the epoch began */
	bool waits;	      /* REQ: for its reply */
	uint32_t pings, pong; /* number of the newest PING said, and of the newest PONG heard */

	/* As a receiver. */
	struct sim_rx rx;
	bool greeted, ready;		/* the node's greeting and READY have come */
	bool failed;			/* the node sent ERROR */
	struct sim_buf msg;		/* frames of the message at hand, canonical */
	uint32_t msg_frames, msg_first; /* length of the first frame's body */
	uint64_t heard;			/* whole messages handed to the transport for it */
	uint64_t heard_bytes;
	uint32_t *last_seq; /* [link id]: newest seq + 1 from that link */
	uint32_t last_cap;
	uint64_t log_heard; /* of this epoch's log */
	uint8_t *log_got;   /* [log] */
	uint32_t log_got_cap;
	uint8_t id_bytes[255];
	uint8_t id_len; /* its routing id; 0: not known yet */
	bool id_announced;

	/* Subscriptions: of a subscriber as it asked for them, of a publisher as it was told. */
	uint32_t subs[SIM_TOPICS];
	bool sub_ever[SIM_TOPICS], sub_stable[SIM_TOPICS]; /* in this epoch at any time, at all times */
	bool subs_all_stable;				   /* it lived all the epoch */
	uint64_t drops_before;				   /* when the epoch began */

	/* As the node sees it: its row, as long as there is one. */
	bool seen, gone;
	uint64_t handle;
	uint8_t state;
	uint64_t received, arrived, sent, queued, queued_bytes, dropped;
	uint64_t hwm_bound; /* most that may be queued, see the oracle */
	uint64_t hwm_bytes_bound;
};

struct sim_persona {
	uint32_t number;
	struct sim_world *w;
	struct bb_rand rand;
	uint8_t endpoint, side, type, minor;
	bool outgoing;	/* the node connects to it */
	bool malformed; /* it breaks the protocol, in its own way */
	bool odd;	/* frames in odd forms */
	bool eager;
	uint32_t read_max;  /* bytes of one step; 0: all */
	uint32_t burst_max; /* messages of one step */
	uint8_t id[16];
	uint8_t id_len; /* routing id that it announces */

	struct sim_conn *conn;
	struct sim_link *link;
	struct sim_buf out;
	struct sim_item *items;
	uint32_t item_count, item_cap;
	uint64_t read_total;
	bool said_greeting, said_ready, said_end;
	uint32_t serial; /* of its links */
	/* Outgoing: as the agent sees it. */
	uint64_t tag; /* of the CONNECT under way; 0: none */
	uint32_t attempts;
};

struct sim_pub {
	uint32_t link, seq;
	uint8_t topic[8]; /* the first octets of the first frame */
	uint8_t topic_len;
};

enum sim_life { SIM_ALIVE, SIM_DRAINING, SIM_REMOVING, SIM_REMOVED };

struct sim_endpoint {
	struct bb_endpoint *conf; /* the newest */
	struct sim_pub *log;	  /* publications of this epoch */
	uint32_t log_count, log_cap;
	enum sim_life life;
	uint32_t answers_due;
	uint64_t in_memory_before;		   /* IN_MEMORY when the epoch began */
	uint64_t hwm_bound[2], hwm_bytes_bound[2]; /* highest marks since the last quiet point */
};

struct sim_mem {
	struct bb_mem mem;
	struct sim_world *w;
};

struct sim_mailbox { /* mails that wait for room, and the ring they go to */
	struct bb_mail *mails;
	uint32_t count, cap;
	struct bb_ring *ring;
};

struct sim_world {
	struct sim_config conf;
	struct bb_rand rand;
	uint64_t now_ns, step, epoch;
	bool calm;     /* nothing fails */
	bool hushed;   /* personas say nothing new */
	bool draining; /* the node */
	bool trace;
	const char *phase;

	struct sim_net *net;
	struct bb_pool pool;
	bool memory_was_short; /* at the beginning of some turn, since the start */
	uint8_t *pool_bytes;
	struct bb_buffer *pool_headers;
	struct bb_fabric fabric;
	struct bb_wake wake;
	struct bb_counters counters;
	void *counters_memory;
	struct sim_mem io_mem[SIM_ACTORS], router_mem[SIM_ACTORS];
	struct bb_io *io[SIM_ACTORS];
	struct bb_router *router[SIM_ACTORS];
	struct sim_link *row_link[SIM_ACTORS][SIM_SESSIONS];
	uint64_t row_handle[SIM_ACTORS][SIM_SESSIONS];

	struct sim_mailbox to_io[SIM_ACTORS], to_router[SIM_ACTORS];
	uint64_t tag_serial;
	uint64_t drain_tag;
	uint32_t answers_due; /* to mails that all actors get */
	uint32_t drain_due;
	struct bb_endpoint *confs[4096]; /* all ever made */
	uint32_t conf_count;
	struct bb_mail_connect *connects[65536];
	uint32_t connect_count;

	struct sim_endpoint endpoint[SIM_ENDPOINTS];
	struct sim_persona persona[SIM_PERSONAS];
	uint32_t persona_count;
	struct sim_link **links; /* [id] */
	uint32_t link_count, link_cap;
	uint32_t stolen[64]; /* buffers taken away */
	uint32_t stolen_count;
	uint64_t closes_by_us; /* connections that personas ended */
};

struct sim_world *sim_world_create(const struct sim_config *conf, bool trace);

/* Epochs, quiet points, drain. Fails the program when the oracle does not agree. */
void sim_world_run(struct sim_world *w);

/* Checks that nothing leaked. */
void sim_world_destroy(struct sim_world *w);

/* Report what is wrong, how to see it again, and exit. */
_Noreturn void sim_fail(struct sim_world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sim_trace(struct sim_world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline bool
sim_has(const struct sim_world *w, enum sim_feature f)
{
	return w->conf.features & f;
}

/* True with a chance of n per thousand. */
static inline bool
sim_chance(struct bb_rand *r, uint32_t n)
{
	return bb_rand_below(r, 1000) < n;
}

static inline const struct bb_side_options *
sim_side(const struct sim_world *w, unsigned endpoint, unsigned side)
{
	return &w->endpoint[endpoint].conf->side[side];
}

#endif
