/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * message: finding message borders in canonical bytes, as they lie in buffers.
 *
 * Only for bytes that our decoder wrote: whole messages, shortest lengths, no commands (msg/batch.h). Frame
 * layout: ZMTP 3.1 (RFC 37): flags octet (1 = MORE, 2 = LONG), length of 1 or 8 octets, body.
 */
#ifndef BB_MSG_MESSAGE_H
#define BB_MSG_MESSAGE_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/endian.h"

/* Octets of the frame at p, header included. */
static inline uint64_t
bb_message_frame_len(const uint8_t *p)
{
	return bb_likely(!(p[0] & 2)) ? 2 + (uint64_t)p[1] : 9 + bb_load_be64(p + 1);
}

/* Octets of the whole message that begins at p. */
static inline uint64_t
bb_message_len(const uint8_t *p)
{
	uint64_t len = bb_message_frame_len(p);

	for (const uint8_t *frame = p; bb_unlikely(frame[0] & 1); len += bb_message_frame_len(frame))
		frame = p + len;
	return len;
}

#endif
