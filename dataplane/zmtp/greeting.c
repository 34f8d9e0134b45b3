/* SPDX-License-Identifier: BSD-3-Clause */
#include "zmtp/greeting.h"

#include <string.h>

#include "base/assert.h"

/* Positions of the fields. */
enum {
	POS_FLAGS = 9, /* signature; in ZMTP 1.0 the flags of an identity frame with a long length */
	POS_MAJOR = 10,
	POS_MINOR = 11,
	POS_MECHANISM = 12,
	POS_AS_SERVER = 32,
};

void
bb_zmtp_greeting_init(struct bb_zmtp_greeting *g, const char *mechanism, bool as_server)
{
	const size_t len = strlen(mechanism);

	BB_ASSERT(len > 0 && len <= BB_ZMTP_MECHANISM_MAX);
	*g = (struct bb_zmtp_greeting){
		.mechanism = mechanism,
		.mechanism_len = (uint8_t)len,
		.as_server = as_server,
		.state = BB_ZMTP_GREETING_MORE,
	};
}

/* Octet i of our mechanism field. */
static uint8_t
mechanism_octet(const struct bb_zmtp_greeting *g, size_t i)
{
	return i < g->mechanism_len ? (uint8_t)g->mechanism[i] : 0;
}

static enum bb_zmtp_cause
check_octet(struct bb_zmtp_greeting *g, uint8_t c)
{
	switch (g->in) {
	case 0:
		/* Anything from 1 may be the length of a 1.0 peer's identity frame: the next octet tells. */
		g->first = c;
		return c == 0 ? BB_ZMTP_BAD_SIGNATURE : BB_ZMTP_OK;
	case 1:
		if (g->first == 0xff)
			return BB_ZMTP_OK;
		return c == 0 ? BB_ZMTP_VERSION_1 : BB_ZMTP_BAD_SIGNATURE;
	case POS_FLAGS:
		if (c & 1)
			return BB_ZMTP_OK;
		return c == 0 ? BB_ZMTP_VERSION_1 : BB_ZMTP_BAD_SIGNATURE;
	case POS_MAJOR:
		g->major = c;
		return c == 0 ? BB_ZMTP_VERSION_1 : c < 3 ? BB_ZMTP_VERSION_2 : BB_ZMTP_OK;
	case POS_MINOR:
		g->minor = c;
		return BB_ZMTP_OK;
	default:
		/* Padding, as-server (stock libzmq sends 0 in both roles) and filler may hold anything. */
		if (g->in < POS_MECHANISM || g->in >= POS_AS_SERVER)
			return BB_ZMTP_OK;
		return c == mechanism_octet(g, g->in - POS_MECHANISM) ? BB_ZMTP_OK : BB_ZMTP_MECHANISM;
	}
}

size_t
bb_zmtp_greeting_feed(struct bb_zmtp_greeting *g, const uint8_t *p, size_t n)
{
	size_t used = 0;

	while (used < n && g->state == BB_ZMTP_GREETING_MORE) {
		const enum bb_zmtp_cause cause = check_octet(g, p[used++]);
		g->in++;
		if (cause != BB_ZMTP_OK) {
			g->cause = (uint8_t)cause;
			g->state = BB_ZMTP_GREETING_REFUSED;
		} else if (g->in == BB_ZMTP_GREETING_LEN) {
			g->state = BB_ZMTP_GREETING_DONE;
		}
	}
	return used;
}

static uint8_t
own_octet(const struct bb_zmtp_greeting *g, size_t pos)
{
	switch (pos) {
	case 0:
		return 0xff;
	case 8:
		return 1; /* to a 1.0 peer octets 0 to 9 are the header of an empty identity */
	case POS_FLAGS:
		return 0x7f;
	case POS_MAJOR:
		return 3;
	case POS_MINOR:
		return 1;
	case POS_AS_SERVER:
		return g->as_server;
	default:
		if (pos < POS_MECHANISM || pos > POS_AS_SERVER)
			return 0;
		return mechanism_octet(g, pos - POS_MECHANISM);
	}
}

size_t
bb_zmtp_greeting_output(struct bb_zmtp_greeting *g, uint8_t *p, size_t size)
{
	const size_t end = g->in > POS_MAJOR ? BB_ZMTP_GREETING_LEN : POS_MAJOR + 1;
	size_t n = 0;

	if (g->state == BB_ZMTP_GREETING_REFUSED)
		return 0;
	while (n < size && g->out < end)
		p[n++] = own_octet(g, g->out++);
	return n;
}
