/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * endpoint: what the actors must know of a configured endpoint and its two sides. Immutable once handed out.
 *
 * The agent builds one from the command channel, hands the same pointer to every actor by mailbox and frees
 * it when all of them have let go. A live change (hwm, policies) is a new struct for the same id.
 *
 * A side is named node-wide by endpoint id * 2 + (0 or 1): bb_side_index().
 */
#ifndef BB_MSG_ENDPOINT_H
#define BB_MSG_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"

enum bb_pattern {
	BB_PATTERN_PUBSUB = 1, /* sides: publishers (XSUB), subscribers (XPUB) */
	BB_PATTERN_PIPELINE,   /* sides: producers (PULL), consumers (PUSH) */
	BB_PATTERN_REQREP,     /* sides: clients (ROUTER), workers (DEALER) */
};

enum bb_when_full {
	BB_FULL_DROP = 1,   /* that receiver's copy */
	BB_FULL_BLOCK,	    /* the sender waits */
	BB_FULL_DISCONNECT, /* the receiver */
};

/* Options of a stream, from the side's configuration; 0 = the transport's own default. */
struct bb_stream_options {
	uint32_t sndbuf_bytes, rcvbuf_bytes;
	uint32_t keepalive_idle_s, keepalive_interval_s, keepalive_count; /* idle 0: off */
};

struct bb_side_options {
	uint32_t hwm_msgs;   /* 0: no limit */
	uint64_t hwm_bytes;  /* 0: no limit */
	uint8_t when_full;   /* enum bb_when_full */
	uint8_t socket_type; /* the type we present, enum bb_zmtp_type */
	bool claims;	     /* READY waits for the router's GRANTED */
	bool handover;	     /* a duplicate routing id takes the place of a silent holder */
	uint64_t block_max_ns;
	uint64_t max_message; /* octets on the wire of one message */
	uint32_t max_frames;
	uint32_t peers_max;	    /* 0: no limit */
	uint32_t subscriptions_max; /* per peer */
	uint64_t handshake_timeout_ns;
	uint64_t heartbeat_interval_ns, heartbeat_timeout_ns; /* interval 0: off */
	uint16_t heartbeat_ttl_ds; /* tenths of a second, as on the wire; 0: none */
	uint64_t reconnect_min_ns, reconnect_max_ns;
	uint8_t identity_len;
	uint8_t identity[BB_ROUTING_ID_MAX]; /* announced by READY */
	struct bb_stream_options stream;
};

struct bb_endpoint {
	uint16_t id;	     /* index, reused only after all actors let go */
	uint8_t pattern;     /* enum bb_pattern */
	bool subscribe_all;  /* pubsub: subscribe to everything upstream */
	bool sharded;	     /* pubsub with drop or disconnect: routed on every router; else on home alone */
	bool shared_address; /* the two sides listen on one address: the peer's type tells which it means */
	uint16_t home;	     /* router */
	char name[BB_NAME_MAX + 1];
	struct bb_side_options side[2];
};

static inline uint16_t
bb_side_index(const struct bb_endpoint *e, unsigned side)
{
	return (uint16_t)(e->id * 2 + side);
}

#endif
