/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer: one end of a stream under test. It sends a known pattern and checks what it reads against the
 * pattern, octet by octet, by a policy that each test sets; and it checks the contract of events while it
 * does.
 */
#ifndef BB_TEST_CONFORMANCE_PEER_H
#define BB_TEST_CONFORMANCE_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rand.h"
#include "transport/stream.h"

struct conf_peer {
	struct bb_stream *s;
	struct bb_rand rand;

	/* Policy. */
	uint64_t tx_total;	/* octets to send */
	bool finish;		/* bb_stream_finish() when they are taken */
	bool reads;		/* else it leaves everything where it is */
	bool consumes_randomly; /* leaves a random part of each view for the next */
	uint32_t view_max;	/* octets of a view */
	uint32_t piece_max;	/* octets of a piece that it sends */

	/* What has happened. */
	uint64_t tx_taken, tx_released, rx_octets;
	uint32_t connected, readable, rooms, closed;
	enum bb_stream_reason reason;
	bool finished, ended, may_read, blocked;
	int tx_error;
};

void peer_init(struct conf_peer *p, struct bb_stream *s, uint64_t seed);

/* Read and write once by the policy. True if anything moved, or will without a further event. */
bool peer_work(struct conf_peer *p);

/* A view of at most view_max octets, checked; returns its octets, of which the caller consumes some. */
size_t peer_view(struct conf_peer *p, size_t view_max);
void peer_consume(struct conf_peer *p, size_t n);

/* Push n octets of the pattern as one piece; returns octets taken. */
size_t peer_push(struct conf_peer *p, size_t n);

void peer_destroy(struct conf_peer *p);

/* True while a stream function runs: no event may come then. */
extern bool peer_in_call;

#endif
