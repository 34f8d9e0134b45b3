/* SPDX-License-Identifier: BSD-3-Clause */
#include "zmtp/cause.h"

#include <stddef.h>

#include "base/compiler.h"

static const char *const cause_name[] = {
	[BB_ZMTP_OK] = "ok",
	[BB_ZMTP_BAD_SIGNATURE] = "bad_signature",
	[BB_ZMTP_VERSION_1] = "version_1",
	[BB_ZMTP_VERSION_2] = "version_2",
	[BB_ZMTP_MECHANISM] = "mechanism",
	[BB_ZMTP_FRAME_LENGTH] = "frame_length",
	[BB_ZMTP_COMMAND_MORE] = "command_more",
	[BB_ZMTP_COMMAND_SIZE] = "command_size",
	[BB_ZMTP_MESSAGE_SIZE] = "message_size",
	[BB_ZMTP_FRAME_COUNT] = "frame_count",
	[BB_ZMTP_COMMAND] = "command",
	[BB_ZMTP_PING] = "ping",
	[BB_ZMTP_ERROR] = "error",
	[BB_ZMTP_METADATA] = "metadata",
	[BB_ZMTP_SOCKET_TYPE] = "socket_type",
	[BB_ZMTP_SOCKET_TYPE_MATCH] = "socket_type_match",
	[BB_ZMTP_IDENTITY] = "identity",
	[BB_ZMTP_HANDSHAKE] = "handshake",
	[BB_ZMTP_HANDSHAKE_TIMEOUT] = "handshake_timeout",
	[BB_ZMTP_PEER_ERROR] = "peer_error",
	[BB_ZMTP_SILENT] = "silent",
};
_Static_assert(BB_ARRAY_LEN(cause_name) == BB_ZMTP_CAUSE_COUNT, "each cause needs its name");

const char *
bb_zmtp_cause_name(enum bb_zmtp_cause cause)
{
	const size_t i = (size_t)cause;

	return i < BB_ARRAY_LEN(cause_name) ? cause_name[i] : "unknown";
}
