/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/stream.h"

#include "base/compiler.h"

static const char *const reason_name[] = {
	[BB_STREAM_RESET] = "reset",
	[BB_STREAM_REFUSED] = "refused",
	[BB_STREAM_UNREACHABLE] = "unreachable",
	[BB_STREAM_TIMED_OUT] = "timed_out",
	[BB_STREAM_NO_MEMORY] = "no_memory",
	[BB_STREAM_FAILED] = "failed",
};
_Static_assert(BB_ARRAY_LEN(reason_name) == BB_STREAM_REASON_COUNT, "each reason needs its name");

const char *
bb_stream_reason_name(enum bb_stream_reason reason)
{
	const size_t i = (size_t)reason;

	return i < BB_ARRAY_LEN(reason_name) ? reason_name[i] : "unknown";
}
