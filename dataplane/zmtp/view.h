/* SPDX-License-Identifier: BSD-3-Clause */
/* view: octets that lie in somebody else's memory; valid as long as what was parsed. */
#ifndef BB_ZMTP_VIEW_H
#define BB_ZMTP_VIEW_H

#include <stddef.h>
#include <stdint.h>

struct bb_zmtp_view {
	const uint8_t *p;
	size_t len;
};

#endif
