/* SPDX-License-Identifier: BSD-3-Clause */
#include "zmtp/type.h"

#include <errno.h>
#include <string.h>

#include "base/compiler.h"

struct type_info {
	const char *name;
	uint32_t peers; /* bit n: may talk to type n */
};

#define B(type) BB_BIT(BB_ZMTP_##type)

static const struct type_info types[] = {
	[BB_ZMTP_PAIR] = { "PAIR", B(PAIR) },
	[BB_ZMTP_PUB] = { "PUB", B(SUB) | B(XSUB) },
	[BB_ZMTP_SUB] = { "SUB", B(PUB) | B(XPUB) },
	[BB_ZMTP_REQ] = { "REQ", B(REP) | B(ROUTER) },
	[BB_ZMTP_REP] = { "REP", B(REQ) | B(DEALER) },
	[BB_ZMTP_DEALER] = { "DEALER", B(REP) | B(DEALER) | B(ROUTER) },
	[BB_ZMTP_ROUTER] = { "ROUTER", B(REQ) | B(DEALER) | B(ROUTER) },
	[BB_ZMTP_PULL] = { "PULL", B(PUSH) },
	[BB_ZMTP_PUSH] = { "PUSH", B(PULL) },
	[BB_ZMTP_XPUB] = { "XPUB", B(SUB) | B(XSUB) },
	[BB_ZMTP_XSUB] = { "XSUB", B(PUB) | B(XPUB) },
	[BB_ZMTP_SERVER] = { "SERVER", B(CLIENT) },
	[BB_ZMTP_CLIENT] = { "CLIENT", B(SERVER) },
	[BB_ZMTP_RADIO] = { "RADIO", B(DISH) },
	[BB_ZMTP_DISH] = { "DISH", B(RADIO) },
	[BB_ZMTP_GATHER] = { "GATHER", B(SCATTER) },
	[BB_ZMTP_SCATTER] = { "SCATTER", B(GATHER) },
	[BB_ZMTP_DGRAM] = { "DGRAM", B(DGRAM) },
	[BB_ZMTP_PEER] = { "PEER", B(PEER) },
	[BB_ZMTP_CHANNEL] = { "CHANNEL", B(CHANNEL) },
};
_Static_assert(BB_ARRAY_LEN(types) == BB_ZMTP_TYPE_COUNT, "each type needs its row");

#undef B

const char *
bb_zmtp_type_name(enum bb_zmtp_type type)
{
	const size_t i = (size_t)type;

	return i < BB_ARRAY_LEN(types) ? types[i].name : NULL;
}

int
bb_zmtp_type_parse(const uint8_t *name, size_t len, enum bb_zmtp_type *ret)
{
	for (size_t i = 0; i < BB_ARRAY_LEN(types); i++) {
		const char *known = types[i].name;
		if (known != NULL && strlen(known) == len && memcmp(known, name, len) == 0) {
			*ret = (enum bb_zmtp_type)i;
			return 0;
		}
	}
	return -ENOENT;
}

bool
bb_zmtp_type_compatible(enum bb_zmtp_type a, enum bb_zmtp_type b)
{
	const size_t i = (size_t)a, j = (size_t)b;

	return i < BB_ARRAY_LEN(types) && j < BB_ARRAY_LEN(types) && (types[i].peers & BB_BIT(j)) != 0;
}

bool
bb_zmtp_type_has_identity(enum bb_zmtp_type type)
{
	return type == BB_ZMTP_REQ || type == BB_ZMTP_DEALER || type == BB_ZMTP_ROUTER;
}
