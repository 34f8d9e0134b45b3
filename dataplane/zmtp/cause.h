/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cause: why a ZMTP peer is refused or closed. Each cause has a counter and a stable short name that
 * operators, logs and metrics see; names are never reused for something else.
 *
 * Parsers of this directory return a cause as a negative number: -(int)BB_ZMTP_FRAME_LENGTH.
 */
#ifndef BB_ZMTP_CAUSE_H
#define BB_ZMTP_CAUSE_H

enum bb_zmtp_cause {
	BB_ZMTP_OK = 0,

	/* Greeting. */
	BB_ZMTP_BAD_SIGNATURE, /* no ZMTP of any version: HTTP, TLS, a port scan */
	BB_ZMTP_VERSION_1,     /* a ZMTP 1.0 peer */
	BB_ZMTP_VERSION_2,     /* a ZMTP 2.0 peer */
	BB_ZMTP_MECHANISM,     /* asks for another security mechanism than ours */

	/* Frames and messages. */
	BB_ZMTP_FRAME_LENGTH, /* a length of 2^63 or more */
	BB_ZMTP_COMMAND_MORE, /* a command that claims to be one of several frames */
	BB_ZMTP_COMMAND_SIZE, /* a command longer than we take */
	BB_ZMTP_MESSAGE_SIZE, /* a message above max_message */
	BB_ZMTP_FRAME_COUNT,  /* a message of more frames than max_frames */

	/* Commands and metadata. */
	BB_ZMTP_COMMAND,	   /* empty, or its name does not fit */
	BB_ZMTP_PING,		   /* PING without its two octets of TTL */
	BB_ZMTP_ERROR,		   /* ERROR whose reason does not fit */
	BB_ZMTP_METADATA,	   /* a property that does not fit, has a bad name, or is there twice */
	BB_ZMTP_SOCKET_TYPE,	   /* no Socket-Type, or one that nobody knows */
	BB_ZMTP_SOCKET_TYPE_MATCH, /* a Socket-Type that may not talk to ours */
	BB_ZMTP_IDENTITY,	   /* longer than 255 octets */

	/* Order and time. */
	BB_ZMTP_HANDSHAKE,	   /* anything but READY or ERROR where READY is due */
	BB_ZMTP_HANDSHAKE_TIMEOUT, /* no complete handshake in time */
	BB_ZMTP_PEER_ERROR,	   /* the peer sent ERROR */
	BB_ZMTP_SILENT,		   /* no octet within the heartbeat's timeout or the TTL of the peer's PING */

	BB_ZMTP_CAUSE_COUNT,
};

/* The short name, lower case with underscores; "unknown" for what is no cause. */
const char *bb_zmtp_cause_name(enum bb_zmtp_cause cause);

#endif
