/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session: one ZMTP peer on one byte stream, from greeting to close, and the I/O actor that owns it. Internal
 * to the I/O actor: io.c steps it, session.c leads its life, ingress.c reads, egress.c writes, drain.c ends
 * it in order.
 *
 *   CONNECTING --up--> GREETING --64 octets--> HANDSHAKE --READY, attached, granted--> READY
 *       |                 |                     |     |                                 |   |
 *       |                 |                     |     +--refused--> FLUSHING <--refused-+   +--drain--> DRAINING
 *       |                 |                     |                      |                                   |
 *       +-----------------+---------------------+----> CLOSING <-------+-----------------------------------+
 *
 * FLUSHING: ERROR goes out, what still comes is thrown away.
 * CLOSING: the stream is gone, the queues are empty; the slot waits until every router has answered GONE_DONE
 * (msg/handle.h), then it is free. Sessions that were never attached pass through it at once.
 */
#ifndef BB_TRANSPORT_SESSION_H
#define BB_TRANSPORT_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/log.h"
#include "base/rand.h"
#include "base/wheel.h"
#include "msg/batch.h"
#include "msg/delivery.h"
#include "msg/endpoint.h"
#include "msg/mail.h"
#include "msg/sendq.h"
#include "transport/io.h"
#include "zmtp/cause.h"
#include "zmtp/greeting.h"
#include "zmtp/type.h"

struct iovec;

enum session_state {
	SESSION_CONNECTING = BB_SESSION_STATE_CONNECTING,
	SESSION_GREETING = BB_SESSION_STATE_GREETING,
	SESSION_HANDSHAKE = BB_SESSION_STATE_HANDSHAKE,
	SESSION_READY = BB_SESSION_STATE_READY,
	SESSION_DRAINING = BB_SESSION_STATE_DRAINING,
	SESSION_CLOSING = BB_SESSION_STATE_CLOSING,
	SESSION_FLUSHING,
	SESSION_STATE_COUNT,
};

/* A message that is put together out of the ordinary: too long for a view, not canonical, or with a command
 * inside. */
struct assembly {
	uint32_t head, tail; /* chain of buffers; BB_BUFFER_NONE: nothing under way */
	uint64_t total;	     /* octets written, canonical */
	uint64_t bodies;     /* octets of all frames without headers, against max_message */
	uint64_t frame_left; /* of the current frame's body */
	uint64_t topic_len;
	uint32_t frames;
	uint32_t buffers; /* in the chain */
	uint16_t id_len;  /* octets of routing id in front */
	bool more;	  /* the current frame is not the last */
};

/* An incomplete message at the front of the view: its frames are known up to `at`. */
struct scan {
	uint32_t at, frames, bodies, topic_len;
	uint16_t refusal; /* BB_IO_REFUSED_*, and the cause: enum bb_zmtp_cause; set with SCAN_REFUSED */
	uint8_t cause;
};

/* Octets to send that are no messages: greeting, commands, subscriptions. */
struct ctl {
	uint8_t *bytes;
	uint32_t begin, end, size;
};

struct session {
	struct bb_list ready_node;	/* io->ready, or waiting for its window, or io->starved */
	struct bb_list flush_node;	/* io->flush */
	struct bb_list control_node;	/* io->control */
	struct bb_list half_open_node;	/* io->half_open, oldest first */
	struct bb_list assembling_node; /* io->assembling, oldest first */
	struct bb_timer timer;
	struct bb_io *io;
	struct bb_stream *stream; /* NULL in CLOSING; its user is the session */
	struct side *side;
	struct bb_session_row *row;
	bb_handle handle;

	uint8_t state;
	uint8_t side_number; /* 0 or 1 of its endpoint */
	uint8_t peer_type;   /* enum bb_zmtp_type, from HANDSHAKE on */
	bool is_31;	     /* speaks 3.1: subscriptions and PING as commands */
	bool ready_sent;     /* our READY is on its way */
	bool ready_received;
	bool attached;	/* its routers know it, or attach_todo says which do not yet */
	bool partial;	/* the beginning of a message or command lies unread at the front */
	uint8_t reason; /* enum bb_stream_reason, for LOST */
	uint8_t pong_len;
	uint8_t pong_context[16];
	bool subscriber;    /* it may subscribe: a peer of a pubsub's second side */
	bool too_slow;	    /* lost a copy and is to be disconnected for it */
	bool credit;	    /* it is a consumer that routers send only what it has credit for */
	bool tx_refused;    /* the transport took less than it was given, and has not asked again */
	bool rx_stopped;    /* not read: input window used up, or no memory */
	bool rx_turn;	    /* it waited for its window, and may read although others do */
	bool was_ready;	    /* its handshake succeeded */
	bool counted_ready; /* in the peers gauge */
	bool upstream_told; /* took subscriptions since the last UPSTREAM_ROOM */
	bool outgoing;
	bool broken;	 /* the stream took nothing for an error; CLOSED follows to those who read */
	bool orderly;	 /* DRAINING: half-closed, waiting for the peer's acknowledgement */
	uint16_t id_len; /* routing id frame below, header included; 0: none */
	uint16_t peer_ttl_ds;
	uint16_t router; /* where its messages go */

	struct {
		bool credit, room; /* runs to write, with the next room */
		bool pong;	   /* a PONG to send */
	} owes;
	uint64_t attach_todo, gone_todo, gone_wait; /* a bit per router */

	struct bb_zmtp_greeting greeting;
	struct assembly assembly;
	struct scan scan;
	uint32_t rx_need; /* octets of the message that did not fit its window */
	struct ctl ctl;
	struct bb_sendq sendq;
	uint64_t credit_msgs_told,
		credit_bytes_told; /* totals that have left the queue, at the last CREDIT */

	uint64_t since_ns;	 /* when the state was entered */
	uint64_t since_first_ns; /* when the stream was adopted */
	uint64_t last_rx_ns, last_ping_ns, deadline_ns;
	uint64_t tag;		      /* of the CONNECT mail; 0 for accepted ones, and once LOST was told */
	uint64_t cut_msgs, cut_bytes; /* what linger cut off, to be reported */
	uint8_t *id;		      /* routing id as a frame {MORE, id}, for requests; id_len octets */
	uint8_t attach_id_len;
	uint8_t *attach_id; /* what the peer announced, until it is attached */
};

/*
 * What a router still takes in from one side. Sessions that found no room wait, and come first: nobody reads past
 * them, so that a large message gets its turn and a window that opens a little serves all in rotation.
 */
struct window {
	uint64_t sent, done;	/* bytes of messages, totals */
	struct bb_list node;	/* io->windows while somebody waits */
	struct bb_list waiting; /* sessions, oldest first */
	struct bb_list again;	/* those that were let go on and found no room: before all others */
};

/* One side of one endpoint on this I/O core. */
struct side {
	uint16_t index;
	uint8_t number;
	bool draining; /* accept and read nothing any more */
	const struct bb_endpoint *endpoint;
	const struct bb_side_options *options;
	struct bb_io_side_row *row;
	uint32_t session_count; /* all states */
	struct window window[]; /* per router */
};

struct drain {
	struct bb_list node;
	uint32_t scope; /* endpoint id or BB_SCOPE_NODE */
	uint64_t deadline_ns;
	uint64_t tag;
	uint64_t end_todo, end_wait; /* a bit per router */
};

/*
 * How short message memory is. The steps are ordered so that receivers that drop and do not take what they are sent can
 * never stand in the way of those that wait: they lose copies while half of the memory is still free.
 */
enum memory_level {
	MEMORY_AMPLE,
	MEMORY_HALF, /* less than 1/2 free: stalled receivers with a full buffer of messages and more lose new ones */
	MEMORY_LOW,   /* less than 3/8 free: every stalled receiver that drops loses new ones */
	MEMORY_SHORT, /* less than 1/4 free: what must not drop is not read */
};

/* Where the walk over one router's deliveries stands. */
struct inbox {
	struct bb_delivery burst[64];
	uint32_t count, next; /* elements of burst */
	uint32_t receiver;    /* of the set at hand */
	uint32_t group;	      /* buffer whose group is open; BB_BUFFER_NONE: none */
	uint64_t done;
};

struct bb_io {
	BB_OWNER_FIELD
	uint32_t index, actor;
	struct bb_fabric *fabric;
	struct bb_pool *pool;
	struct bb_mem *mem;
	const struct bb_counters *counters;
	struct bb_transport *transport;
	uint64_t now_ns;
	uint32_t router_count;
	uint32_t appends_left;		/* of this turn */
	enum memory_level memory_level; /* when this turn began */

	struct bb_spans spans;
	struct bb_batch_writer *out; /* [router] */
	uint64_t out_stuck;	     /* a bit per router: its ring was full in this turn */
	uint64_t published;	     /* a bit per router: it was given a slice in this turn */
	uint64_t peers_told;	     /* a bit per I/O core: it was given mail in this turn */
	struct inbox *inbox;	     /* [router] */
	uint32_t inbox_first;	     /* router that is heard first in this turn */
	struct side **sides;	     /* [2 * BB_ENDPOINTS_MAX], NULL: unknown */

	struct session **sessions; /* [session_max] */
	uint32_t *generations;
	uint32_t *free_slots;
	uint32_t free_count, session_max;
	uint32_t stopped_count; /* sessions that are not read */
	bool waiters_left;	/* some found no place in this turn although their window has room */

	struct drain *drain; /* [BB_ENDPOINTS_MAX + 1], the last for the node: ending takes no memory */
	struct bb_list ready, flush, control, half_open, assembling, starved, drains, windows;
	uint32_t half_open_count;
	uint32_t evacuate_slot; /* where the next evacuation goes on */
	bool spans_made;
	uint64_t assembling_bytes; /* pool memory of incomplete messages */
	uint64_t assembling_max;
	struct bb_wheel wheel;
	struct bb_rand rand;
	bool has_answer; /* the answer to the last mail waits for room; no mail is read before it is out */
	struct bb_mail answer;
	bool agent_told; /* in this turn: wake it */
	struct bb_log_limiter log_limiter;
	uint64_t stale;			  /* counter */
	uint8_t *rx_scratch, *tx_scratch; /* BB_BUFFER_BYTES each */
};

/* session.c: life */
struct session *session_of(struct bb_io *io, bb_handle h); /* NULL: stale */
/* A new session on an accepted (tag 0) or connecting stream, which is its own in any case. 0 or negative
 * errno. */
int session_adopt(
	struct bb_io *io, struct bb_stream *stream, struct side *side, uint64_t tag, const char *address);
void session_enter(struct bb_io *io, struct session *s, enum session_state state);

/* handshake.c */
/* Look at what the greeting machine has to say and to send. False: the session was closed. */
bool session_greeted(struct bb_io *io, struct session *s);
/* Read and act on the handshake's frames; returns octets consumed. The session may be closed after it. */
size_t session_handshake(struct bb_io *io, struct session *s, const uint8_t *p, size_t n);
/* A command after the handshake. 0, -EAGAIN or -ENOBUFS: no room now, come again; -ECONNABORTED: closed. */
int session_command(struct bb_io *io, struct session *s, const uint8_t *body, size_t len);
/* Subscribe or cancel at every router that holds its subscriptions. 0, or as session_command(). */
int session_subscription(
	struct bb_io *io, struct session *s, bool subscribe, const uint8_t *topic, size_t len);
/* Put the PONG that is owed among the octets to send. */
void session_pong(struct bb_io *io, struct session *s);
void session_ping(struct bb_io *io, struct session *s);
void session_granted(struct bb_io *io, struct session *s, const uint8_t *id, uint32_t len);
void session_refused(struct bb_io *io, struct session *s, enum bb_refusal cause);
/* Refuse a peer for good: count, log, tell it with ERROR where the protocol has one, close. counter: BB_IO_*. */
void session_refuse(struct bb_io *io, struct session *s, unsigned counter, const char *cause);
/* Close a peer that may come again: count, log, no ERROR. */
void session_turn_away(struct bb_io *io, struct session *s, unsigned counter, const char *cause);
/* All it had to write in FLUSHING or DRAINING is written. */
void session_flushed(struct bb_io *io, struct session *s);
/* The stream is dead or to be dropped: empty the queues, tell the routers. dropped: BB_IO_OUT_* for what is
 * still queued. */
void session_close(struct bb_io *io, struct session *s, unsigned dropped);
/* Give the slot back once no router knows it. True if it did: s is gone. */
bool session_release(struct bb_io *io, struct session *s);
void session_on_timer(struct bb_io *io, struct session *s);
void session_timer_arm(struct bb_io *io, struct session *s);
void session_limits(
	struct bb_io *io, struct session *s); /* take over its side's high-water marks and policy */

/* control.c: what a session tells its routers, and its own commands */
void session_want_control(struct bb_io *io, struct session *s);
/* Write runs that wait for room: ATTACH, GONE, CREDIT, UPSTREAM_ROOM. False: something still waits. */
bool session_control(struct bb_io *io, struct session *s);
/* A bit per router that knows the session once it is attached. */
uint64_t session_routers(const struct bb_io *io, const struct session *s);
/* Room for n octets at ctl.end, to be added to it; NULL: no memory. */
uint8_t *session_ctl_room(struct bb_io *io, struct session *s, size_t n);
/* Append octets to go out at the next border. False: no memory. */
bool session_push(struct bb_io *io, struct session *s, const uint8_t *p, size_t n);
void session_ctl_release(struct bb_io *io, struct session *s);

/* ingress.c: views into batches */
/* Why decoding stopped short of the end of the view. */
enum stop {
	STOP_NOT,     /* go on */
	STOP_MORE,    /* the rest is the beginning of something */
	STOP_WINDOW,  /* the input window is used up */
	STOP_STUCK,   /* the ring to the router is full */
	STOP_STARVED, /* no buffer */
	STOP_CLOSED,  /* the session has ended, or changed its state */
};
uint32_t ingress_read(struct bb_io *io, struct session *s);
void ingress_window(struct bb_io *io, struct side *side, uint32_t router, uint64_t done);
void ingress_open_windows(struct bb_io *io);
void ingress_resume(struct bb_io *io, struct session *s); /* it waits for its window or memory no more */
/* Room for a run in the batch of a router; publishes first if need be. 0, -EAGAIN: ring full, -ENOBUFS: no
 * buffer. */
int ingress_reserve(struct bb_io *io, uint32_t router, enum bb_pool_use use, uint32_t bytes, uint32_t words);
/* Publish what the batch of a router holds. False: the ring is full. */
bool ingress_publish(struct bb_io *io, uint32_t router);

enum stop ingress_stop_of(int error);
/* Bytes that may still go to the session's router; *ret_idle: nothing is outstanding, so one message of any size may. */
uint64_t ingress_window_left(const struct bb_io *io, const struct session *s, bool *ret_idle);
void ingress_count_received(struct session *s, uint64_t msgs, uint64_t bytes, uint64_t window_bytes);
/* Put one whole canonical message into the batch, behind the session's routing id if it has one. */
enum stop ingress_put_message(struct bb_io *io, struct session *s, const struct iovec *iov, size_t iov_count,
	uint32_t len, uint32_t topic_len);
/* A command at a border of frames. Returns octets consumed; 0 with *ret_stop. */
size_t ingress_take_command(
	struct bb_io *io, struct session *s, const uint8_t *p, size_t n, enum stop *ret_stop);

/* assembly.c: messages out of the ordinary */
/* Every frame is there; it waits to be handed on. */
bool assembly_whole(const struct assembly *a);
/* Feed it; returns octets consumed. STOP_NOT: the message was handed on. */
size_t assembly_take(struct bb_io *io, struct session *s, const uint8_t *p, size_t n, enum stop *ret_stop);
void assembly_drop(struct bb_io *io, struct session *s);

/* egress.c */
uint32_t egress_deliveries(struct bb_io *io);
uint32_t egress_flush(struct bb_io *io);
void egress_want_flush(struct bb_io *io, struct session *s);
void egress_gauges(struct session *s);

/* drain.c */
/* 0, or -EALREADY. */
int drain_begin(struct bb_io *io, uint32_t scope, uint64_t deadline_ns, uint64_t tag);
void drain_ended(struct bb_io *io, uint32_t router, uint32_t scope);
uint32_t drain_step(struct bb_io *io);
bool drain_covers(const struct drain *d, const struct side *side);

/* io.c */
/* False: the ring is full, come again. */
bool io_tell_agent(struct bb_io *io, const struct bb_mail *mail);

/* Readers look at the row's sequence number before and after: odd while its meaning changes. */
static inline void
session_row_begin(struct bb_session_row *row)
{
	__atomic_store_n(&row->seq, row->seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void
session_row_end(struct bb_session_row *row)
{
	__atomic_store_n(&row->seq, row->seq + 1, __ATOMIC_RELEASE);
}

#endif
