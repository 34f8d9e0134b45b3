/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * metadata: the properties in a READY (or INITIATE) command.
 *
 *   name-len (1)  name (1..255 of A-Z a-z 0-9 - _ . +)  value-len (4, at most 2^31-1)  value
 *
 * Names do not distinguish case. Nothing is copied: results are views of the command's octets.
 */
#ifndef BB_ZMTP_METADATA_H
#define BB_ZMTP_METADATA_H

#include <stddef.h>
#include <stdint.h>

#include "zmtp/cause.h"
#include "zmtp/type.h"
#include "zmtp/view.h"

#define BB_ZMTP_VALUE_MAX UINT32_C(0x7fffffff)
#define BB_ZMTP_IDENTITY_MAX 255u

struct bb_zmtp_property {
	struct bb_zmtp_view name, value;
};

/* What a handshake must know of the peer. */
struct bb_zmtp_peer {
	enum bb_zmtp_type type;
	struct bb_zmtp_view identity; /* empty if the peer told none */
};

/*
 * Take the next property off *left, which begins as the command's data. Returns 1, 0 at the end, or
 * -BB_ZMTP_METADATA; *left and *ret change only with 1.
 */
int bb_zmtp_metadata_next(struct bb_zmtp_view *left, struct bb_zmtp_property *ret);

/*
 * Look a property up by name (a string). Returns 1, 0 if there is none, or -BB_ZMTP_METADATA if any property
 * is malformed or this one is there twice: two readers must never see two different values.
 */
int bb_zmtp_metadata_find(struct bb_zmtp_view data, const char *name, struct bb_zmtp_view *ret_value);

/*
 * Check all properties and extract Socket-Type, which must be there and known, and Identity. Returns 0, or
 * -BB_ZMTP_METADATA, -BB_ZMTP_SOCKET_TYPE or -BB_ZMTP_IDENTITY. Whether the types match is the caller's to
 * ask.
 */
int bb_zmtp_metadata_read(struct bb_zmtp_view data, struct bb_zmtp_peer *ret);

#endif
