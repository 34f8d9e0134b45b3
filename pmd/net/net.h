/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net: one instance of the TCP/IP stack, for one I/O core: Ethernet with at most one VLAN tag, ARP, ND,
 * IPv4, IPv6, ICMP, TCP (net/tcp.h).
 *
 * The loop calls bb_net_input with each burst and bb_net_poll once per turn; the latter runs timers,
 * sends what connections have to send, and delivers no packet later than that turn. Application callbacks
 * run inside these two calls and may call everything of net/tcp.h.
 *
 * Nothing is allocated after create. Nothing that arrives on the wire can make it abort.
 *
 * Owner: one core; no locks, no atomics, no clock: now_ns comes from the caller and must not go back.
 */
#ifndef BB_NET_NET_H
#define BB_NET_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "net/counters.h"
#include "net/edge.h"
#include "net/ip.h"

#define BB_NET_ADDRS_MAX 16

/* What the edge can do for the stack. */
#define BB_NET_OFFLOAD_IP4_CSUM 0x1u
#define BB_NET_OFFLOAD_TCP_CSUM 0x2u

enum bb_tcp_cc {
	BB_TCP_CC_CUBIC, /* RFC 9438 */
	BB_TCP_CC_NEWRENO,
	BB_TCP_CC_DCTCP, /* RFC 8257; needs ECN on both ends and in the switches */
};

/* Zero in a field means its default, written beside it. */
struct bb_tcp_tunables {
	uint64_t rto_min_ns;		/* 200 ms */
	uint64_t rto_max_ns;		/* 60 s */
	uint64_t rto_initial_ns;	/* 1 s, RFC 6298 */
	uint64_t delack_ns;		/* 40 ms */
	uint64_t tlp_max_ack_delay_ns;	/* 40 ms: how long the peer may hold back an ACK of a lone segment */
	uint64_t msl2_ns;		/* 60 s in TIME_WAIT */
	uint64_t fin_wait2_ns;		/* 60 s without an application */
	uint64_t user_timeout_ns;	/* 100 s without progress */
	uint64_t keepalive_idle_ns;	/* 60 s */
	uint64_t keepalive_interval_ns; /* 10 s */
	uint32_t keepalive_count;	/* 6 */
	uint32_t syn_retries;		/* 6 */
	uint32_t synack_retries;	/* 5 */
	uint32_t rcvbuf_bytes;		/* 256 KiB */
	uint32_t sndbuf_bytes;		/* 1 MiB of bytes pushed and not yet acknowledged */
	uint32_t initial_window_segs;	/* 10, RFC 6928 */
	uint32_t quickack_segs;		/* 8 segments acknowledged at once when a connection is new */
	uint32_t challenge_per_s;	/* 10 per connection */
	uint8_t cc;			/* enum bb_tcp_cc */
	bool no_sack, no_timestamps, no_wscale; /* never offer nor accept these */
	bool ecn; /* ask for ECN on connect; it is always granted to a peer that asks */
	bool no_keepalive;
};

struct bb_net_addr {
	struct bb_ip ip;
	uint8_t prefix; /* length of the connected network, in bits of its family */
};

struct bb_net_config {
	uint8_t mac[6];
	uint16_t vlan; /* 0: untagged; else the only tag that is spoken */
	uint16_t mtu;  /* of IP packets; 1280 to 9216 */
	uint32_t addr_count;
	struct bb_net_addr addrs[BB_NET_ADDRS_MAX];
	struct bb_ip gateway4, gateway6; /* all zero: none */
	bool dad;	    /* probe for other users of an address before it is used (RFC 5227, RFC 4862) */
	uint32_t offloads;  /* BB_NET_OFFLOAD_* */
	uint32_t conns_max; /* 1024 */
	uint32_t syn_max;   /* 1024 handshakes in the SYN cache; cookies beyond */
	uint32_t timewait_max;	/* 4096 */
	uint32_t neigh_max;	/* 1024 */
	uint32_t listeners_max; /* 64 */
	uint32_t rx_nodes_max;	/* 16384 received pieces held for applications or out of order */
	uint32_t rx_blocks_max; /* 4096 blocks of 2 KiB for small received pieces and for packets that wait */
	uint32_t tx_chunks_max; /* 16384 chunks of ten pushed pieces */
	uint32_t records_max;	/* 65536 segments in flight */
	uint32_t holes_max;	/* 1024 connections that have gaps in what they received */
	struct bb_tcp_tunables tcp;
	const uint32_t *isn; /* tests: every connection begins with this sequence number; NULL: RFC 6528 */
	const struct bb_net_edge *edge;
	void *edge_ctx;
};

struct bb_net;

/* -EINVAL for a configuration that makes no sense, -ENOMEM. */
int bb_net_create(const struct bb_net_config *conf, struct bb_mem *mem, uint64_t now_ns, struct bb_net **ret);

/* Connections vanish without a packet and without callbacks; received buffers are given back. NULL is
 * allowed. */
void bb_net_destroy(struct bb_net *net);

/* Take n frames over. */
void bb_net_input(struct bb_net *net, const struct bb_net_rx *pkts, uint32_t n, uint64_t now_ns);

/* Run timers, send, deliver events. Returns how much was done, 0 when idle. */
uint32_t bb_net_poll(struct bb_net *net, uint64_t now_ns);

/* bb_net_poll has nothing to do before this time unless something is received or pushed; BB_NEVER if never.
 */
uint64_t bb_net_deadline(const struct bb_net *net);

uint64_t bb_net_counter(const struct bb_net *net, enum bb_net_ctr ctr);

/* True if ip is one of ours and may be used now (not tentative, no conflict seen). */
bool bb_net_addr_usable(const struct bb_net *net, const struct bb_ip *ip);

/* Memory in use; for the accounts of tests and operators. */
struct bb_net_usage {
	uint32_t conns, syns, timewaits, rx_nodes, rx_blocks, tx_chunks, records, holes;
};
void bb_net_usage(const struct bb_net *net, struct bb_net_usage *ret);

#endif
