/* SPDX-License-Identifier: BSD-3-Clause */
/* type: ZeroMQ's socket types as they name themselves in a handshake, and which may talk to which. */
#ifndef BB_ZMTP_TYPE_H
#define BB_ZMTP_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The numbers of the public API; ZMTP 2.0 has 0 to 10 on the wire. STREAM (11) does not speak ZMTP. */
enum bb_zmtp_type {
	BB_ZMTP_PAIR = 0,
	BB_ZMTP_PUB = 1,
	BB_ZMTP_SUB = 2,
	BB_ZMTP_REQ = 3,
	BB_ZMTP_REP = 4,
	BB_ZMTP_DEALER = 5,
	BB_ZMTP_ROUTER = 6,
	BB_ZMTP_PULL = 7,
	BB_ZMTP_PUSH = 8,
	BB_ZMTP_XPUB = 9,
	BB_ZMTP_XSUB = 10,
	BB_ZMTP_SERVER = 12,
	BB_ZMTP_CLIENT = 13,
	BB_ZMTP_RADIO = 14,
	BB_ZMTP_DISH = 15,
	BB_ZMTP_GATHER = 16,
	BB_ZMTP_SCATTER = 17,
	BB_ZMTP_DGRAM = 18,
	BB_ZMTP_PEER = 19,
	BB_ZMTP_CHANNEL = 20,

	BB_ZMTP_TYPE_COUNT,
};

/* Longest name, for buffers. */
#define BB_ZMTP_TYPE_NAME_MAX 7u

/* The name on the wire, "PUB"; NULL for a number that is no type. */
const char *bb_zmtp_type_name(enum bb_zmtp_type type);

/* Exact match of len octets. Returns 0, or -ENOENT if nobody knows that name. */
int bb_zmtp_type_parse(const uint8_t *name, size_t len, enum bb_zmtp_type *ret);

/* True if the two may talk to each other; symmetric. */
bool bb_zmtp_type_compatible(enum bb_zmtp_type a, enum bb_zmtp_type b);

/* True if a socket of this type tells its Identity in READY, even an empty one. */
bool bb_zmtp_type_has_identity(enum bb_zmtp_type type);

#endif
