/* SPDX-License-Identifier: BSD-3-Clause */
/* tcp_opt: the options of RFC 9293 3.2, RFC 7323 and RFC 2018. Lengths of peers are never trusted. */
#include "net/tcp_priv.h"

#define OPT_END 0
#define OPT_NOP 1
#define OPT_MSS 2
#define OPT_WSCALE 3
#define OPT_SACK_OK 4
#define OPT_SACK 5
#define OPT_TS 8

static void
parse_one(const uint8_t *o, uint8_t len, struct tcp_opts *ret)
{
	switch (o[0]) {
	case OPT_MSS:
		if (len == 4)
			ret->mss = bb_load_be16(o + 2);
		break;
	case OPT_WSCALE:
		if (len == 3)
			ret->wscale = o[2] > WSCALE_MAX ? WSCALE_MAX : o[2]; /* RFC 7323 2.3 */
		break;
	case OPT_SACK_OK:
		if (len == 2)
			ret->sack_ok = true;
		break;
	case OPT_SACK:
		if (len < 10 || (len - 2) % 8 != 0 || len > 2 + 8 * SACK_BLOCKS_MAX)
			break;
		ret->sack_count = (uint8_t)((len - 2) / 8);
		for (uint8_t i = 0; i < ret->sack_count; i++) {
			ret->sack[i].start = bb_load_be32(o + 2 + 8 * i);
			ret->sack[i].end = bb_load_be32(o + 6 + 8 * i);
		}
		break;
	case OPT_TS:
		if (len == 10) {
			ret->ts = true;
			ret->tsval = bb_load_be32(o + 2);
			ret->tsecr = bb_load_be32(o + 6);
		}
		break;
	default: /* unknown options are skipped (RFC 9293 MUST-6) */
		break;
	}
}

bool
tcp_opt_parse(const uint8_t *o, uint32_t len, struct tcp_opts *ret)
{
	*ret = (struct tcp_opts){ .wscale = 0xff };
	while (len > 0) {
		if (o[0] == OPT_END)
			return true;
		if (o[0] == OPT_NOP) {
			o++;
			len--;
			continue;
		}
		if (len < 2 || o[1] < 2 || o[1] > len)
			return false;
		parse_one(o, o[1], ret);
		len -= o[1];
		o += o[1];
	}
	return true;
}

uint32_t
tcp_opt_syn(uint8_t *o, uint16_t mss, uint8_t wscale, bool sack, bool ts, uint32_t tsval, uint32_t tsecr)
{
	uint8_t *p = o;

	p[0] = OPT_MSS;
	p[1] = 4;
	bb_store_be16(p + 2, mss);
	p += 4;
	if (ts) {
		/* SACK-permitted takes the place of the two NOPs that would align the timestamps. */
		p[0] = sack ? OPT_SACK_OK : OPT_NOP;
		p[1] = sack ? 2 : OPT_NOP;
		p[2] = OPT_TS;
		p[3] = 10;
		bb_store_be32(p + 4, tsval);
		bb_store_be32(p + 8, tsecr);
		p += 12;
	} else if (sack) {
		p[0] = p[1] = OPT_NOP;
		p[2] = OPT_SACK_OK;
		p[3] = 2;
		p += 4;
	}
	if (wscale != 0xff) {
		p[0] = OPT_NOP;
		p[1] = OPT_WSCALE;
		p[2] = 3;
		p[3] = wscale;
		p += 4;
	}
	return (uint32_t)(p - o);
}
