/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_frame: walk a stream of frames as a decoder does. Every header parses the same from fewer octets or
 * not at all, and re-headed canonically it means the same. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "zmtp/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(int x)
{
	if (!x)
		abort();
}

static void
check_canonical(const uint8_t *p, const struct bb_frame *f)
{
	uint8_t h[BB_FRAME_HEADER_MAX];
	struct bb_frame g;

	const size_t n = bb_frame_write(h, f->flags, f->len);
	require(n == bb_frame_header_len(f->len) && n <= f->header_len);
	require(bb_frame_parse(h, n, &g) == (int)n);
	require(g.len == f->len && g.flags == f->flags && bb_frame_is_canonical(h, &g));
	require(bb_frame_is_canonical(p, f) == (n == f->header_len && memcmp(p, h, n) == 0));
	require(bb_frame_wire_len(f->len) == f->len + n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t at = 0;

	while (at < size) {
		struct bb_frame f, cut;
		const int head = bb_frame_parse(data + at, size - at, &f);
		if (head <= 0) {
			require(head < 0 || size - at < BB_FRAME_HEADER_MAX);
			return 0;
		}
		require(f.len <= BB_FRAME_BODY_MAX && f.header_len == head);
		for (int n = 0; n < head; n++)
			require(bb_frame_parse(data + at, (size_t)n, &cut) == 0);
		check_canonical(data + at, &f);
		at += (size_t)head;
		if (f.len > size - at)
			return 0;
		at += f.len;
	}
	return 0;
}
