/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * greeting: the 64 octets that both ZMTP peers send before anything else.
 *
 *   0 signature FF | 1 padding (8) | 9 signature 7F | 10 major | 11 minor | 12 mechanism (20) |
 *   32 as-server | 33 filler (31)
 *
 * Neither side may wait for the other's whole greeting before it sends its own. We offer the signature and
 * the major version at once (every version since 2.0 takes them together) and the rest as soon as the peer
 * has shown its major version: what follows depends on it. So a peer that stops after any octet is served.
 *
 * Peers below 3.0 are recognised and refused as such. A higher version is answered as ours, 3.1.
 *
 *   MORE --64th octet--> DONE
 *   MORE --an octet that rules the peer out--> REFUSED
 *
 * No octet is stored: each is checked at its position. Owner: whoever owns the session.
 */
#ifndef BB_ZMTP_GREETING_H
#define BB_ZMTP_GREETING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zmtp/cause.h"

#define BB_ZMTP_GREETING_LEN 64u
#define BB_ZMTP_MECHANISM_MAX 20u

enum bb_zmtp_greeting_state {
	BB_ZMTP_GREETING_MORE,
	BB_ZMTP_GREETING_DONE,
	BB_ZMTP_GREETING_REFUSED,
};

struct bb_zmtp_greeting {
	const char *mechanism; /* ours, static storage */
	uint8_t mechanism_len;
	uint8_t as_server;
	uint8_t state; /* enum bb_zmtp_greeting_state */
	uint8_t cause; /* enum bb_zmtp_cause; of REFUSED */
	uint8_t first; /* the peer's octet 0 */
	uint8_t major; /* of the peer; valid when DONE */
	uint8_t minor;
	uint8_t in;  /* octets taken from the peer */
	uint8_t out; /* octets handed to the caller */
};

/* mechanism: at most 20 octets, a string that lives as long as g. as_server: octet 32, false for NULL. */
void bb_zmtp_greeting_init(struct bb_zmtp_greeting *g, const char *mechanism, bool as_server);

/*
 * Take octets of the peer; returns how many belonged to the greeting: the rest of p are frames (DONE) or
 * meaningless (REFUSED). Afterwards look at g->state, and send what bb_zmtp_greeting_output() gives.
 */
size_t bb_zmtp_greeting_feed(struct bb_zmtp_greeting *g, const uint8_t *p, size_t n);

/*
 * Copy the octets of our greeting that may be sent now and were not handed out before; returns how many,
 * at most size. Nothing once the peer is REFUSED.
 */
size_t bb_zmtp_greeting_output(struct bb_zmtp_greeting *g, uint8_t *p, size_t size);

/* True if our whole greeting was handed out. */
static inline bool
bb_zmtp_greeting_sent(const struct bb_zmtp_greeting *g)
{
	return g->out == BB_ZMTP_GREETING_LEN;
}

/* True if the peer speaks 3.1 (or above), so SUBSCRIBE and CANCEL are commands. Valid when DONE. */
static inline bool
bb_zmtp_greeting_is_31(const struct bb_zmtp_greeting *g)
{
	return g->major > 3 || g->minor >= 1;
}

#endif
