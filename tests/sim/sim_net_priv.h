/* SPDX-License-Identifier: BSD-3-Clause */
/* sim_net_priv: what sim_transport.c (streams) and sim_raw.c (raw ends) share. */
#ifndef BB_TEST_SIM_NET_PRIV_H
#define BB_TEST_SIM_NET_PRIV_H

#include "base/list.h"
#include "sim_transport.h"

#define SIM_PORTS 96
#define SIM_TRANSPORTS 8
#define SIM_LISTEN_FD 1000000 /* + port */
#define SIM_CONN_FD 2000000   /* + id */

/*
 * Bytes of one direction: read <= visible <= written, all since the beginning. What is on its way is bounded,
 * and so is what has arrived: a stream must be able to show as many bytes as a session may leave unread.
 */
struct sim_pipe {
	uint8_t *bytes;
	uint32_t size;	      /* way_max + arrived_max */
	uint32_t way_max;     /* written - visible */
	uint32_t arrived_max; /* visible - read; 0: way_max bounds both together */
	uint64_t written, visible, read;
	bool fin, fin_visible;
	bool stalled;
};

struct sim_stream {
	struct bb_stream base;
	struct bb_list node;
	struct sim_transport *transport;
	struct sim_conn *conn;
	int end;
	uint32_t pending; /* a bit per enum bb_stream_event */
	uint64_t view_len;
	uint64_t left_len; /* that the last view left unconsumed */
	enum bb_stream_reason reason;
	uint32_t connecting_events; /* steps until it is up */
	bool connecting;
	bool want_room; /* a push was refused in part */
	bool broken;	/* nothing can be sent */
	bool last_look; /* reset: what arrived is shown, then CLOSED comes */
	bool end_shown;
	bool closed; /* CLOSED was delivered */
	bool dead;   /* no event any more */
	bool bury;   /* destroyed during poll */
};

/* Connections: end 0 dialled, end 1 was dialled. pipe[i] is written by end i. */
struct sim_conn {
	struct bb_list node, wait_node;
	struct sim_net *net;
	uint32_t id;
	uint32_t to; /* IPv4 address that was connected to */
	struct sim_pipe pipe[2];
	struct sim_stream *stream[2];
	bool left[2]; /* that end has been given up */
	bool broken;
	bool taken;  /* by the simulated peer that listened */
	int raw_end; /* that a simulated peer has; -1: none */
	void (*tap)(void *ctx, const uint8_t *p, size_t n);
	void *tap_ctx;
};

struct sim_transport {
	struct bb_transport base;
	struct sim_net *net;
	struct bb_list streams;
	bool in_poll;
};

struct sim_listener {
	struct sim_transport *owner; /* NULL: no transport listens */
	bool raw;		     /* a simulated peer does */
	uint32_t side;
	struct bb_list waiting; /* connections not accepted yet */
};

struct sim_net {
	struct sim_net_options options;
	struct bb_rand rand;
	bool calm;
	uint32_t transport_count, conn_serial, conn_count, stream_count;
	uint64_t hash;
	struct sim_stream *viewed; /* its rx_consume is due before another is viewed */
	struct bb_list conns;
	struct sim_transport transport[SIM_TRANSPORTS];
	struct sim_listener listener[SIM_PORTS];
};

uint32_t sim_pipe_room(const struct sim_pipe *p);
void sim_pipe_write(struct sim_pipe *p, const uint8_t *from, size_t n);
/* raw_end: that a simulated peer has; -1: none */
struct sim_conn *sim_conn_create(struct sim_net *n, int raw_end);

/* One end has been given up; the last one takes the connection along. */
void sim_conn_leave(struct sim_conn *c, int end);

/* end breaks the connection: the other one hears of it. */
void sim_conn_break(struct sim_conn *c, int end);

/* event: enum bb_stream_event. NULL is allowed. */
void sim_stream_pend(struct sim_stream *s, unsigned event);

#endif
