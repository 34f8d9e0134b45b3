/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wire: the little of ZMTP 3.1 with NULL security that a load generator speaks. Its own code, so that the
 * yardstick shares no fault with what it measures.
 *
 * Thread: any; pure functions.
 */
#ifndef BB_PERF_WIRE_H
#define BB_PERF_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BB_WIRE_GREETING 64u
#define BB_WIRE_HEAD_MAX 9u   /* flags and long length */
#define BB_WIRE_READY_MAX 64u /* our READY for any socket type */

#define BB_WIRE_MORE 0x01u
#define BB_WIRE_LONG 0x02u
#define BB_WIRE_COMMAND 0x04u

struct bb_wire_head {
	uint8_t flags;
	uint8_t bytes; /* of the head itself: 2 or 9 */
	uint64_t len;  /* of the body */
};

void bb_wire_greeting(uint8_t out[BB_WIRE_GREETING]);

/* The peer's minor version, or -EPROTO when it is not ZMTP 3.x with NULL. */
int bb_wire_greeting_check(const uint8_t in[BB_WIRE_GREETING]);

/* Shortest form; flags are MORE and COMMAND only. Returns 2 or 9. */
size_t bb_wire_head_put(uint8_t out[BB_WIRE_HEAD_MAX], uint8_t flags, uint64_t len);

/* Returns the octets of the head, 0 when n octets do not hold it yet, -EPROTO for what no peer may send. */
int bb_wire_head_get(const uint8_t *p, size_t n, struct bb_wire_head *ret);

/* Each returns the octets written. Type is a socket type's name; identity: with an empty Identity property.
 */
size_t bb_wire_ready_put(uint8_t out[BB_WIRE_READY_MAX], const char *type, bool identity);
/* Out takes len + 20. A 3.0 peer (minor 0) gets the message form. */
size_t bb_wire_subscribe_put(uint8_t *out, int minor, const void *topic, size_t len);
/* Out takes 9. No context, no TTL. */
size_t bb_wire_ping_put(uint8_t *out);
/* Out takes 7 + len. */
size_t bb_wire_pong_put(uint8_t *out, const void *context, size_t len);

/* True if the command body p (of which have octets are there) bears this name. */
bool bb_wire_command_is(const uint8_t *p, size_t have, const char *name);

#endif
