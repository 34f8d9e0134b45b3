/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sim: two instances of the stack on a simulated wire under virtual time. Everything follows from one seed: what the wire
 * does to packets, how the applications behave, how often an instance is polled, how much its edge takes.
 *
 * Oracles, at every poll: each byte delivered is the byte that was sent; the sums over the records of a connection are
 * what it says; a connection with something in flight or to send has a timer; window edges do not go back.
 * At the end: every stream is complete, nothing is held any more.
 */
#ifndef TESTS_NET_SIM_H
#define TESTS_NET_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rand.h"
#include "base/time.h"
#include "net/net.h"
#include "net/tcp.h"

#define ENDS_MAX 64
#define PATTERN_SIZE (1u << 20)

/* One direction of the wire. Probabilities are in 1/10000. */
struct wire {
	uint64_t delay_ns, jitter_ns;
	uint64_t rate_bps;    /* 0: as fast as it comes */
	uint32_t queue_bytes; /* with a rate: what waits beyond is dropped */
	uint32_t mark_bytes;  /* with a rate: ECT packets are marked when more waits; 0 never */
	uint32_t loss, dup, reorder, corrupt, truncate;
	uint32_t burst_in, burst_out; /* Gilbert-Elliott: into and out of a state that loses everything */
	uint32_t mtu;		      /* larger IP packets are dropped; 0 none */
	bool icmp;		      /* and reported */
	uint64_t hole_from_ns, hole_until_ns; /* nothing passes */
	/* state */
	uint64_t busy_until_ns;
	uint64_t burst_end_ns; /* at the latest, or rare packets would be lost for minutes */
	bool in_burst;
};

struct end {
	struct node *node;
	struct bb_tcp *c;
	struct end *peer;
	uint32_t id, start; /* where in the pattern the stream that it sends begins */
	uint64_t total, pushed, released, received;
	bool client, up, shut, closing, closed, aborts;
	uint64_t abort_at; /* bytes received at which it aborts */
	enum bb_tcp_reason reason;
	uint32_t push_one_in, read_one_in, push_max, read_max;
	uint32_t edge_seen, adv_seen; /* for the oracles */
	bool edges_valid;
};

struct node {
	struct sim *s;
	struct bb_net *net;
	struct bb_mem mem;
	struct bb_net_config conf;
	struct bb_tcp_listener *listener;
	struct bb_ip ip;
	uint8_t mac[6];
	struct wire out; /* what it sends goes through this */
	uint64_t gap_ns; /* polled at multiples of this only; 0 at once */
	uint64_t poll_at_ns;
	uint32_t room_max; /* packets that the edge takes per poll; 0 no limit */
	uint32_t room;
	int buffers;
	struct ev *rx_head, *rx_tail; /* arrived, not taken yet */
};

struct ev {
	uint64_t at_ns, order;
	struct node *node; /* that is to be polled, or that gets the packet */
	struct ev *next;
	uint32_t len; /* 0: no packet */
	uint8_t b[];
};

struct sim {
	uint64_t seed, now_ns, order;
	struct bb_rand rand;
	struct node node[2];
	struct end ends[ENDS_MAX];
	uint32_t end_count, open;
	struct ev **heap;
	uint32_t heap_count, heap_size;
	uint64_t hash; /* over every packet sent, and when */
	uint64_t packets, attack_one_in, attack_at_ns;
	bool attack_known; /* the attacker knows the ports */
	bool v6, failed, verbose;
	uint64_t limit_ns, tick_ns;
};

/* Fill in a scenario of this seed; then sim_run. */
void sim_init(struct sim *s, uint64_t seed);
/* Create the instances from node[].conf and wire parameters; after that ends may be added. */
void sim_start(struct sim *s);
/* A connection from node 0 to node 1 with these many bytes each way. */
void sim_connect(struct sim *s, uint64_t bytes_up, uint64_t bytes_down);
/* Run until all is done; false if an oracle failed (printed). */
bool sim_run(struct sim *s);
void sim_fini(struct sim *s);

#endif
