/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * priv: struct bb_net, and what its modules offer each other. Not for users of the stack.
 *
 * Owner: one core; see net/net.h.
 */
#ifndef BB_NET_PRIV_H
#define BB_NET_PRIV_H

#include "base/assert.h"
#include "base/compiler.h"
#include "base/endian.h"
#include "base/hash.h"
#include "base/time.h"
#include "net/csum.h"
#include "net/flow.h"
#include "net/net.h"
#include "net/pool.h"
#include "net/seq.h"
#include "net/wheel.h"

#define TX_BATCH 64
#define TX_SEGS (TX_BATCH * 16)
#define RX_STAGE 32
#define BLOCK_SIZE 2048

#define IPPROTO_ICMP4 1
#define IPPROTO_TCP_NR 6
#define IPPROTO_ICMP6 58

#define ECN_ECT0 2
#define ECN_CE 3

#define CTR(net, id) ((net)->ctr[BB_NET_CTR_##id]++)

/* A packet between the layers. Its key is from our point of view: remote is the sender. */
struct pkt {
	const struct bb_net_rx *rx;
	const uint8_t *eth; /* Ethernet header */
	const uint8_t *l3;
	const uint8_t *l4;
	uint32_t l4_len;
	uint32_t ref; /* what the flow table said in stage two */
	uint64_t hash;
	struct bb_flow_key key;
	uint8_t proto;
	uint8_t ecn;
	uint8_t hop_limit;
	bool is4;
	bool held; /* rx->buf was taken over by a connection */
};

/* RFC 4861 7.3.2, used for ARP too. */
enum neigh_state {
	NEIGH_FREE,
	NEIGH_INCOMPLETE, /* asked, no answer yet */
	NEIGH_REACHABLE,  /* confirmed less than REACHABLE_NS ago */
	NEIGH_STALE,	  /* used as it is; the next packet begins a check */
	NEIGH_DELAY,	  /* waiting whether TCP confirms it */
	NEIGH_PROBE,	  /* asked by unicast */
};

#define NEIGH_PENDING_MAX 3

struct neigh {
	struct bb_ip ip;
	uint64_t due_ns;       /* of the next step in INCOMPLETE, DELAY, PROBE */
	uint64_t confirmed_ns; /* last proof that it hears us */
	uint64_t used_ns;
	struct bb_ip src;		     /* our address in solicitations */
	uint32_t gen;			     /* changes when the slot is given to another address */
	uint32_t next;			     /* hash chain or free list */
	uint32_t pending[NEIGH_PENDING_MAX]; /* blocks holding whole packets */
	uint16_t pending_len[NEIGH_PENDING_MAX];
	uint8_t pending_count;
	uint8_t state;
	uint8_t tries;
	uint8_t mac[6];
};

struct neigh_table {
	struct neigh *entries;
	uint32_t *heads; /* hash chains, count + 1 heads, a power of two */
	uint32_t head_mask;
	uint32_t count;
	uint64_t due_ns; /* no entry has a step to do before this time */
	uint32_t cursor; /* where the search for a slot to evict goes on */
};

enum addr_state {
	ADDR_TENTATIVE, /* probing for other users */
	ADDR_VALID,
	ADDR_CONFLICT, /* another station uses it; we keep silent */
};

struct addr {
	struct bb_ip ip;
	struct bb_ip solicited; /* IPv6: its solicited-node multicast group */
	uint64_t due_ns;	/* next probe or announcement; BB_NEVER when done */
	uint8_t prefix;
	uint8_t state;
	uint8_t sent; /* probes or announcements so far */
};

/* At most `burst` at once and `per_s` per second. */
struct rate {
	uint64_t last_ns;
	uint32_t tokens;
};

struct tcp_core;

struct bb_net {
	struct bb_net_config conf;
	struct bb_mem *mem;
	uint64_t now_ns;
	uint64_t now_ms;

	/* packets being built, flushed at the end of each turn */
	struct bb_net_tx *tx;
	struct bb_net_seg *tx_segs;
	uint32_t *tx_blocks; /* blocks that only these packets use */
	uint32_t tx_count, tx_seg_count, tx_block_count;
	uint32_t tx_room; /* what the edge still takes */

	uint8_t l2_len;				 /* 14, or 18 with a tag */
	struct addr addrs[BB_NET_ADDRS_MAX + 1]; /* the last is our IPv6 link-local address */
	uint32_t addr_count;
	uint64_t addr_due_ns;
	struct neigh_table neighs;
	struct rate icmp_rate;
	struct neigh *last_neigh; /* of the packet before: floods come from one router */
	uint32_t last_neigh_gen;

	struct bb_net_pool blocks;
	struct bb_flow flow;
	struct bb_hash_key isn_key, cookie_key, ts_key;
	uint64_t rand_state[4];
	struct tcp_core *tcp;

	uint64_t ctr[BB_NET_CTR_COUNT];
	size_t raw_size;
};

/* net.c: building packets. */

/* The next packet to fill, or NULL when the edge takes none; nothing is sent before net_tx_commit. */
struct bb_net_tx *net_tx_begin(struct bb_net *net, bool is4);
/* Append a piece of payload to the packet that was begun last; false when it can take no more pieces. */
bool net_tx_add(struct bb_net *net, struct bb_net_tx *tx, const uint8_t *data, uint32_t len, void *owner);
/* Where the header of the layer above IP goes. */
static inline uint8_t *
net_tx_l4(struct bb_net_tx *tx)
{
	return tx->hdr + tx->l2_len + tx->l3_len;
}
void net_tx_commit(struct bb_net *net, struct bb_net_tx *tx);
void net_tx_flush(struct bb_net *net);
/* A block that is freed after the next flush. */
void net_tx_free_block_later(struct bb_net *net, uint32_t block);
void net_eth_fill(struct bb_net *net, struct bb_net_tx *tx, const uint8_t *dst_mac, uint16_t type);
uint64_t net_random(struct bb_net *net);
bool rate_pass(struct rate *r, uint64_t now_ns, uint32_t per_s, uint32_t burst);

/* ip.c */

/* Checks and dissects; false when the packet was dropped and counted. */
bool ip4_parse(struct bb_net *net, struct pkt *p);
bool ip6_parse(struct bb_net *net, struct pkt *p);
/* Fill the IP header in front of l4_len bytes of header and payload; tx->l4_len is set. */
void ip_fill(struct bb_net *net, struct bb_net_tx *tx, const struct bb_ip *src, const struct bb_ip *dst,
	uint8_t proto, uint8_t ecn, uint8_t hop_limit);
/* Finish and send to the neighbour on the way to dst. */
void ip_send(struct bb_net *net, struct bb_net_tx *tx, const struct bb_ip *src, const struct bb_ip *dst,
	uint8_t proto, uint8_t ecn, uint8_t hop_limit);
/* Our address record, or NULL. */
struct addr *addr_find(struct bb_net *net, const struct bb_ip *ip);
/* An address of ours to talk to dst from; false if there is none. */
bool addr_select(struct bb_net *net, const struct bb_ip *dst, struct bb_ip *ret);
/* Who gets packets for dst; false if nobody. */
bool route_next_hop(struct bb_net *net, const struct bb_ip *dst, struct bb_ip *ret);

/* neigh.c */
int neigh_init(struct bb_net *net);
void neigh_fini(struct bb_net *net);
/* The entry for a next hop, made when there is none; NULL when the table is full of busy ones. */
struct neigh *neigh_get(struct bb_net *net, const struct bb_ip *ip, const struct bb_ip *src);
struct neigh *neigh_find(struct bb_net *net, const struct bb_ip *ip);
/* Send a packet whose IP header is complete, or keep it until the neighbour has answered. */
void neigh_send(struct bb_net *net, struct neigh *n, struct bb_net_tx *tx);
/* Forward progress of TCP is proof of reachability (RFC 4861 7.3.1). */
void neigh_confirm(struct bb_net *net, uint32_t idx, uint32_t gen);
/* An address was seen with this station; solicited: it answers our question. */
void neigh_learn(struct bb_net *net, struct neigh *n, const uint8_t *mac, bool solicited, bool override);
void neigh_poll(struct bb_net *net);
/* A known station is asked itself twice, then everybody: it may have moved. */
static inline bool
neigh_ask_directly(const struct neigh *n)
{
	return n->state == NEIGH_PROBE && n->tries <= 2;
}
static inline uint32_t
neigh_index(const struct bb_net *net, const struct neigh *n)
{
	return (uint32_t)(n - net->neighs.entries);
}

/* arp.c, nd.c, icmp.c */
void arp_input(struct bb_net *net, const struct pkt *p);
void arp_solicit(struct bb_net *net, const struct neigh *n);
/* An ARP probe (announce false) or announcement for our address. */
void arp_claim(struct bb_net *net, const struct addr *a, bool announce);
void nd_input(struct bb_net *net, const struct pkt *p);
void nd_solicit(struct bb_net *net, const struct neigh *n);
void nd_claim(struct bb_net *net, const struct addr *a, bool announce);
void nd_join(struct bb_net *net, const struct addr *a);
void icmp4_input(struct bb_net *net, const struct pkt *p);
void icmp6_input(struct bb_net *net, const struct pkt *p);
/* Port or protocol unreachable about a packet for us. */
void icmp_unreachable(struct bb_net *net, const struct pkt *p, bool port);

/* addr.c: our own addresses. */
int addr_init(struct bb_net *net);
void addr_poll(struct bb_net *net);
void addr_conflict(struct bb_net *net, struct addr *a);

/* tcp.c and its modules. */
int tcp_core_init(struct bb_net *net);
void tcp_core_fini(struct bb_net *net);
/* Bring what this packet needs closer to the processor. */
void tcp_prefetch(struct bb_net *net, uint32_t ref);
void tcp_input(struct bb_net *net, struct pkt *p);
/* An ICMP error about a segment of ours: key is ours, seq that of the segment it quotes. */
enum tcp_icmp {
	TCP_ICMP_SOFT,
	TCP_ICMP_HARD, /* port or protocol unreachable */
	TCP_ICMP_TOO_BIG,
};
void tcp_icmp_error(
	struct bb_net *net, const struct bb_flow_key *key, uint32_t seq, enum tcp_icmp kind, uint32_t mtu);
uint32_t tcp_poll(struct bb_net *net);
/* Deliver events to applications. */
uint32_t tcp_events(struct bb_net *net);
uint64_t tcp_deadline(const struct bb_net *net);

#endif
