/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_greeting: a peer's first octets whole and in pieces come to the same result; the machine never takes
 * more than 64, and never gives anything but our greeting. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "zmtp/greeting.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(int x)
{
	if (!x)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bb_zmtp_greeting whole, pieces, other;
	uint8_t out[BB_ZMTP_GREETING_LEN];
	size_t used = 0, sent = 0;

	if (size < 1)
		return 0;
	const size_t step = 1 + data[0] % 16;
	data++, size--;

	bb_zmtp_greeting_init(&whole, "NULL", false);
	const size_t all = bb_zmtp_greeting_feed(&whole, data, size);
	require(all <= BB_ZMTP_GREETING_LEN && all <= size);

	bb_zmtp_greeting_init(&pieces, "NULL", false);
	while (used < size && pieces.state == BB_ZMTP_GREETING_MORE) {
		sent += bb_zmtp_greeting_output(
			&pieces, out + sent, step < sizeof(out) - sent ? step : sizeof(out) - sent);
		used += bb_zmtp_greeting_feed(&pieces, data + used, step < size - used ? step : size - used);
	}
	require(used == all && pieces.state == whole.state && pieces.cause == whole.cause);
	require((whole.state == BB_ZMTP_GREETING_REFUSED) == (whole.cause != BB_ZMTP_OK));
	if (whole.state != BB_ZMTP_GREETING_DONE)
		return 0;

	/* A peer that we accept accepts us. */
	require(all == BB_ZMTP_GREETING_LEN && whole.major >= 3);
	sent += bb_zmtp_greeting_output(&pieces, out + sent, sizeof(out) - sent);
	require(sent == sizeof(out) && bb_zmtp_greeting_sent(&pieces));
	bb_zmtp_greeting_init(&other, "NULL", true);
	require(bb_zmtp_greeting_feed(&other, out, sent) == sent && other.state == BB_ZMTP_GREETING_DONE);
	require(bb_zmtp_greeting_is_31(&other));
	return 0;
}
