/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * command: the commands of ZMTP 3.x with the NULL mechanism.
 *
 *   name-len (1)  name  data
 *
 * Parsing takes a whole command body and returns views of it. Encoding writes a whole frame, header included,
 * into the caller's memory. A subscription has two forms: a command to 3.1 peers, a message to 3.0 peers;
 * from a peer either may come, whatever its version.
 */
#ifndef BB_ZMTP_COMMAND_H
#define BB_ZMTP_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zmtp/cause.h"
#include "zmtp/frame.h"
#include "zmtp/metadata.h"
#include "zmtp/type.h"
#include "zmtp/view.h"

#define BB_ZMTP_CONTEXT_MAX 16u /* octets of a PING's context that come back in its PONG */
#define BB_ZMTP_REASON_MAX 255u

/* Buffers of these sizes hold any frame that the encoder of that name writes. */
#define BB_ZMTP_READY_MAX                                                     \
	(BB_FRAME_HEADER_MAX + 6u + (1u + 11u + 4u + BB_ZMTP_TYPE_NAME_MAX) + \
		(1u + 8u + 4u + BB_ZMTP_IDENTITY_MAX))
#define BB_ZMTP_ERROR_MAX (BB_FRAME_HEADER_MAX + 6u + 1u + BB_ZMTP_REASON_MAX)
#define BB_ZMTP_PING_MAX (BB_FRAME_HEADER_SHORT + 5u + 2u + BB_ZMTP_CONTEXT_MAX)
#define BB_ZMTP_PONG_MAX (BB_FRAME_HEADER_SHORT + 5u + BB_ZMTP_CONTEXT_MAX)

enum bb_zmtp_command_type {
	BB_ZMTP_CMD_UNKNOWN, /* to be ignored */
	BB_ZMTP_CMD_READY,
	BB_ZMTP_CMD_ERROR,
	BB_ZMTP_CMD_SUBSCRIBE,
	BB_ZMTP_CMD_CANCEL,
	BB_ZMTP_CMD_PING,
	BB_ZMTP_CMD_PONG,
};

struct bb_zmtp_command {
	enum bb_zmtp_command_type type;
	uint16_t ttl_ds; /* PING: tenths of a second that silence may last; 0: for ever */
	struct bb_zmtp_view name;
	/*
	 * READY: metadata, not yet checked. ERROR: the reason, any octets. SUBSCRIBE, CANCEL: the topic.
	 * PING, PONG: the context, at most BB_ZMTP_CONTEXT_MAX octets of it. UNKNOWN: all data.
	 */
	struct bb_zmtp_view data;
};

/* Returns 0, or -BB_ZMTP_COMMAND, -BB_ZMTP_PING or -BB_ZMTP_ERROR: the peer is to be closed. */
int bb_zmtp_command_parse(const uint8_t *body, size_t len, struct bb_zmtp_command *ret);

struct bb_zmtp_subscription {
	bool subscribe; /* false: cancel */
	struct bb_zmtp_view topic;
};

/*
 * Read the only frame of a message from a subscriber. Returns false if it is no subscription but a message
 * that an XSUB sent upstream.
 */
bool bb_zmtp_subscription_parse(const uint8_t *body, size_t len, struct bb_zmtp_subscription *ret);

/*
 * The encoders return the octets written, or 0 if the frame does not fit in size: then nothing was written.
 * What they read must not lie in p.
 */

/* identity: NULL leaves the property out; at most BB_ZMTP_IDENTITY_MAX octets. */
size_t bb_zmtp_encode_ready(
	uint8_t *p, size_t size, enum bb_zmtp_type type, const struct bb_zmtp_view *identity);

/* reason: a string; cut at BB_ZMTP_REASON_MAX octets. */
size_t bb_zmtp_encode_error(uint8_t *p, size_t size, const char *reason);

/* as_command: the form for 3.1 peers, else the one for 3.0. */
size_t bb_zmtp_encode_subscription(
	uint8_t *p, size_t size, const struct bb_zmtp_subscription *sub, bool as_command);

/* Octets that bb_zmtp_encode_subscription() needs. */
size_t bb_zmtp_subscription_wire_len(const struct bb_zmtp_subscription *sub, bool as_command);

/* context: cut at BB_ZMTP_CONTEXT_MAX octets. */
size_t bb_zmtp_encode_ping(uint8_t *p, size_t size, uint16_t ttl_ds, struct bb_zmtp_view context);
size_t bb_zmtp_encode_pong(uint8_t *p, size_t size, struct bb_zmtp_view context);

#endif
