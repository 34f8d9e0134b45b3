/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * edge: what the stack needs from the outside, and all of it: received packets, a place to put packets to be
 * sent, random numbers. Time is an argument of each call. pmd/nic/ implements this on DPDK
 * ports, tests on a simulated network or a TAP device. No DPDK type appears here.
 */
#ifndef BB_NET_EDGE_H
#define BB_NET_EDGE_H

#include <stdbool.h>
#include <stdint.h>

/* Longest header the stack builds: Ethernet, VLAN, IPv6, TCP with 40 bytes of options, or an ICMPv6 message.
 */
#define BB_NET_HDR_MAX 192
/* Most payload pieces in one packet. */
#define BB_NET_SEGS_MAX 64

enum bb_net_rx_csum {
	BB_NET_CSUM_UNKNOWN, /* nobody looked: the stack verifies in software */
	BB_NET_CSUM_GOOD,    /* the NIC verified both the IP header and the layer above */
	BB_NET_CSUM_BAD,     /* either is wrong: dropped and counted */
};

/* One received frame in one contiguous piece. */
struct bb_net_rx {
	const uint8_t *data; /* from the Ethernet header, without FCS */
	void *buf;	     /* given back by rx_put exactly once, at once or when its payload was consumed */
	uint32_t len;
	uint32_t truesize;  /* memory that holding buf pins, bytes */
	uint16_t vlan_tci;  /* valid if vlan_stripped */
	bool vlan_stripped; /* the NIC took the tag off */
	uint8_t csum;	    /* enum bb_net_rx_csum */
};

/* A piece of payload, immutable until its owner is let go of. */
struct bb_net_seg {
	const uint8_t *data;
	void *owner; /* as given to bb_tcp_tx_push; NULL: valid only during tx_burst, copy it */
	uint32_t len;
};

/* What the edge is asked to fill in; set only for what bb_net_config.offloads offers. */
#define BB_NET_TX_IP4_CSUM 0x1u
#define BB_NET_TX_TCP_CSUM 0x2u /* the field holds the sum of the pseudo header */

struct bb_net_tx {
	uint8_t hdr[BB_NET_HDR_MAX];
	const struct bb_net_seg *segs;
	uint32_t payload_len; /* sum of the pieces */
	uint16_t seg_count;
	uint16_t hdr_len;
	uint8_t l2_len, l3_len, l4_len;
	uint8_t flags; /* BB_NET_TX_* */
	bool is4;
};

struct bb_net_edge {
	/* How many packets the next tx_burst calls take together; 0 makes connections wait for a later poll.
	 */
	uint32_t (*tx_room)(void *ctx);
	/*
	 * Send n packets, never more than tx_room allowed. Headers are valid during the call only. Payload
	 * whose owner is not NULL may be referred to longer if the edge takes its own reference to that
	 * owner; all else is copied.
	 */
	void (*tx_burst)(void *ctx, const struct bb_net_tx *pkts, uint32_t n);
	/* The stack does not look at this received buffer any more. */
	void (*rx_put)(void *ctx, void *buf);
	/* Unpredictable bits for keys and ports. Tests pass a seeded generator. */
	uint64_t (*random)(void *ctx);
};

#endif
