/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * frame: the header before each ZMTP 3.x frame.
 *
 *   flags (1)  length (1, or 8 if LONG)  body
 *
 * Received: either length form for any body, reserved bits ignored, as other stacks do.
 * Sent, and stored: the canonical header, reserved bits 0 and the shortest form.
 *
 * Everything here is on the path of each message: inline, no memory but the caller's.
 */
#ifndef BB_ZMTP_FRAME_H
#define BB_ZMTP_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/endian.h"
#include "zmtp/cause.h"

#define BB_FRAME_MORE 0x01u    /* more frames of this message follow */
#define BB_FRAME_LONG 0x02u    /* the length has 8 octets */
#define BB_FRAME_COMMAND 0x04u /* a command, not part of a message */

#define BB_FRAME_SHORT_MAX UINT64_C(255)    /* longest body of the short form */
#define BB_FRAME_BODY_MAX (UINT64_MAX >> 1) /* 2^63 - 1 */
#define BB_FRAME_HEADER_SHORT 2u
#define BB_FRAME_HEADER_LONG 9u
#define BB_FRAME_HEADER_MAX BB_FRAME_HEADER_LONG

struct bb_frame {
	uint64_t len;	    /* of the body, in octets */
	uint8_t flags;	    /* BB_FRAME_MORE or BB_FRAME_COMMAND or neither */
	uint8_t header_len; /* octets of the header as received */
};

/*
 * Parse the header at p, of which avail octets are there. Returns the header's length, 0 if more octets are
 * needed, or -BB_ZMTP_FRAME_LENGTH or -BB_ZMTP_COMMAND_MORE: the peer is to be closed.
 */
static inline int
bb_frame_parse(const uint8_t *p, size_t avail, struct bb_frame *ret)
{
	if (bb_unlikely(avail < BB_FRAME_HEADER_SHORT))
		return 0;

	const uint8_t flags = p[0] & (BB_FRAME_MORE | BB_FRAME_COMMAND);
	if (bb_unlikely(flags == (BB_FRAME_MORE | BB_FRAME_COMMAND)))
		return -(int)BB_ZMTP_COMMAND_MORE;

	if (bb_likely((p[0] & BB_FRAME_LONG) == 0)) {
		*ret = (struct bb_frame){ .len = p[1], .flags = flags, .header_len = BB_FRAME_HEADER_SHORT };
		return (int)BB_FRAME_HEADER_SHORT;
	}
	if (avail < BB_FRAME_HEADER_LONG)
		return 0;
	const uint64_t len = bb_load_be64(p + 1);
	if (bb_unlikely(len > BB_FRAME_BODY_MAX))
		return -(int)BB_ZMTP_FRAME_LENGTH;
	*ret = (struct bb_frame){ .len = len, .flags = flags, .header_len = BB_FRAME_HEADER_LONG };
	return (int)BB_FRAME_HEADER_LONG;
}

/* Length of the canonical header of a body of len octets. */
static inline size_t
bb_frame_header_len(uint64_t len)
{
	return BB_FRAME_HEADER_SHORT +
	       (BB_FRAME_HEADER_LONG - BB_FRAME_HEADER_SHORT) * (size_t)(len > BB_FRAME_SHORT_MAX);
}

/* Octets of a frame in canonical form; len <= BB_FRAME_BODY_MAX. */
static inline uint64_t
bb_frame_wire_len(uint64_t len)
{
	return len + bb_frame_header_len(len);
}

/* True if the octets at p, just parsed into f, are the canonical header: they may be copied as they are. */
static inline bool
bb_frame_is_canonical(const uint8_t *p, const struct bb_frame *f)
{
	return (p[0] & ~BB_FRAME_LONG) == f->flags && f->header_len == bb_frame_header_len(f->len);
}

/*
 * Write the canonical header at p, which has room for bb_frame_header_len(len) octets; returns that length.
 * flags: BB_FRAME_MORE or BB_FRAME_COMMAND or 0.
 */
static inline size_t
bb_frame_write(uint8_t *p, uint8_t flags, uint64_t len)
{
	if (bb_likely(len <= BB_FRAME_SHORT_MAX)) {
		p[0] = flags;
		p[1] = (uint8_t)len;
		return BB_FRAME_HEADER_SHORT;
	}
	p[0] = (uint8_t)(flags | BB_FRAME_LONG);
	bb_store_be64(p + 1, len);
	return BB_FRAME_HEADER_LONG;
}

#endif
