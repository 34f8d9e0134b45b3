/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "net/csum.h"

static uint8_t *tx_pattern;
static const uint8_t our_mac[6] = { 2, 0, 0, 0, 0, 1 };

/* ---- capture ---- */

static void
capture(struct t *t, const uint8_t *b, uint32_t len, bool sent)
{
	if (t->cap_count == CAPS_MAX)
		fail(t, __FILE__, __LINE__, "more than %d packets", CAPS_MAX);
	struct cap *c = &t->caps[t->cap_count++];
	c->at_ns = t->now;
	c->len = len;
	c->sent = sent;
	c->b = malloc(len);
	memcpy(c->b, b, len);
}

static void
write_pcap(struct t *t)
{
	char path[128];
	const char *dir = getenv("TCP_CASES_PCAP");

	if (dir == NULL)
		return;
	snprintf(path, sizeof(path), "%s/%s-%s.pcap", dir, t->name, t->v6 ? "v6" : "v4");
	FILE *f = fopen(path, "wb");
	if (f == NULL)
		return;
	const uint32_t head[6] = { 0xa1b23c4d, 0x00040002, 0, 0, 65535, 1 };
	fwrite(head, 4, 6, f);
	for (uint32_t i = 0; i < t->cap_count; i++) {
		const struct cap *c = &t->caps[i];
		const uint32_t rec[4] = { (uint32_t)(c->at_ns / BB_SEC), (uint32_t)(c->at_ns % BB_SEC),
			c->len, c->len };
		fwrite(rec, 4, 4, f);
		fwrite(c->b, 1, c->len, f);
	}
	fclose(f);
	printf("  packets: %s\n", path);
}

void
fail(struct t *t, const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	printf("  %s:%d: at %.6f s, isn %u: ", file, line, (double)(t->now - SEC(1000)) / 1e9, t->isn);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	write_pcap(t);
	longjmp(t->fail, 1);
}

/* ---- edge ---- */

static uint32_t
edge_room(void *ctx)
{
	return ((struct t *)ctx)->room;
}

static uint16_t
l4_csum(struct t *t, const uint8_t *l4, uint32_t len, uint8_t proto, const struct bb_ip *src,
	const struct bb_ip *dst)
{
	(void)t;
	return bb_csum_fold(bb_csum_partial(l4, len) + bb_csum_pseudo(src, dst, proto, len));
}

/* Does what the NIC was asked to do, then checks every checksum. */
static void
check_sent(struct t *t, uint8_t *b, uint32_t len, const struct bb_net_tx *tx)
{
	uint8_t *ip = b + tx->l2_len;
	const uint16_t type = bb_load_be16(ip - 2);

	if (type != 0x0800 && type != 0x86dd)
		return;
	const bool is4 = type == 0x0800;
	uint8_t *l4 = ip + (is4 ? 20 : 40);
	uint32_t l4_len = len - (uint32_t)(l4 - b);
	uint8_t proto = is4 ? ip[9] : ip[6];
	if (!is4 && proto == 0) {
		proto = l4[0];
		l4_len -= 8;
		l4 += 8;
	}
	const struct bb_ip src = is4 ? bb_ip_from4(ip + 12) : bb_ip_from6(ip + 8);
	const struct bb_ip dst = is4 ? bb_ip_from4(ip + 16) : bb_ip_from6(ip + 24);
	if (is4 && (tx->flags & BB_NET_TX_IP4_CSUM)) {
		const uint16_t s = bb_csum_finish(bb_csum_partial(ip, 20));
		memcpy(ip + 10, &s, 2);
	}
	if (tx->flags & BB_NET_TX_TCP_CSUM) {
		uint16_t s;
		memcpy(&s, l4 + 16, 2);
		if (s != bb_csum_fold(bb_csum_pseudo(&src, &dst, 6, l4_len)))
			fail(t, __FILE__, __LINE__, "offloaded checksum field is not the pseudo header's");
		s = bb_csum_finish(bb_csum_partial(l4, l4_len));
		memcpy(l4 + 16, &s, 2);
	}
	if (is4 && bb_csum_fold(bb_csum_partial(ip, 20)) != 0xffff)
		fail(t, __FILE__, __LINE__, "IPv4 header checksum of a packet of ours");
	if (is4 && bb_load_be16(ip + 2) + (uint32_t)tx->l2_len != len)
		fail(t, __FILE__, __LINE__, "IPv4 length of a packet of ours");
	if (!is4 && bb_load_be16(ip + 4) + 40u + tx->l2_len != len)
		fail(t, __FILE__, __LINE__, "IPv6 length of a packet of ours");
	const uint16_t sum = is4 && proto == 1 ? bb_csum_fold(bb_csum_partial(l4, l4_len))
					       : l4_csum(t, l4, l4_len, proto, &src, &dst);
	if (sum != 0xffff)
		fail(t, __FILE__, __LINE__, "checksum of a packet of ours, protocol %u", proto);
}

static void
edge_tx(void *ctx, const struct bb_net_tx *pkts, uint32_t n)
{
	struct t *t = ctx;
	static uint8_t b[65536];

	if (t->room != UINT32_MAX) {
		CHECK(n <= t->room);
		t->room -= n;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t len = pkts[i].hdr_len, sum = 0;
		memcpy(b, pkts[i].hdr, len);
		for (uint32_t k = 0; k < pkts[i].seg_count; k++) {
			memcpy(b + len, pkts[i].segs[k].data, pkts[i].segs[k].len);
			len += pkts[i].segs[k].len;
			sum += pkts[i].segs[k].len;
		}
		CHECK_EQ(sum, pkts[i].payload_len);
		check_sent(t, b, len, &pkts[i]);
		capture(t, b, len, true);
	}
}

struct rxbuf {
	struct t *t;
	uint8_t b[];
};

static void
edge_put(void *ctx, void *buf)
{
	((struct t *)ctx)->buffers--;
	free(buf);
}

static uint64_t
edge_random(void *ctx)
{
	return bb_rand_u64(&((struct t *)ctx)->rand);
}

static const struct bb_net_edge edge = { edge_room, edge_tx, edge_put, edge_random };

/* ---- time ---- */

static void
answer_neighbours(struct t *t, uint32_t from)
{
	const uint32_t until = t->cap_count;

	for (uint32_t i = from; i < until; i++) {
		const struct cap *c = &t->caps[i];
		uint8_t b[128], m[32] = { 0 };
		if (!c->sent)
			continue;
		if (bb_load_be16(c->b + 12) == 0x0806 && bb_load_be16(c->b + 20) == 1 &&
			memcmp(c->b + 38, t->peer.b + 12, 4) == 0) {
			t->solicits++;
			if (t->mute)
				continue;
			memcpy(b, c->b + 6, 6);
			memcpy(b + 6, t->peer_mac, 6);
			memcpy(b + 12, c->b + 12, 8);
			bb_store_be16(b + 20, 2);
			memcpy(b + 22, t->peer_mac, 6);
			memcpy(b + 28, t->peer.b + 12, 4);
			memcpy(b + 32, c->b + 22, 10);
			inject(t, b, 42);
		} else if (bb_load_be16(c->b + 12) == 0x86dd && c->b[20] == 58 && c->b[54] == 135 &&
			   memcmp(c->b + 62, t->peer.b, 16) == 0) {
			t->solicits++;
			if (t->mute)
				continue;
			const struct bb_ip asker = bb_ip_from6(c->b + 22);
			m[0] = 136;
			m[4] = 0x60;
			memcpy(m + 8, t->peer.b, 16);
			m[24] = 2;
			m[25] = 1;
			memcpy(m + 26, t->peer_mac, 6);
			fix_csum(t, m, 32, 2, 58, &t->peer, &asker);
			const uint32_t len = frame(t, b, 58, m, 32, 0, &t->peer, &asker);
			b[14 + 7] = 255;
			inject(t, b, len);
		}
	}
}

void
poll(struct t *t)
{
	const uint32_t from = t->cap_count;

	bb_net_poll(t->net, t->now);
	answer_neighbours(t, from);
}

void
advance(struct t *t, uint64_t ns)
{
	const uint64_t until = t->now + ns;

	for (uint32_t guard = 0;; guard++) {
		const uint64_t at = bb_net_deadline(t->net);
		if (at > until)
			break;
		if (guard > 200000)
			fail(t, __FILE__, __LINE__, "the stack wants to be polled without end");
		if (at > t->now)
			t->now = at;
		else if (guard > 0)
			t->now += US(1); /* due now and not done: it must not spin */
		poll(t);
	}
	if (until > t->now)
		t->now = until;
	poll(t);
}

/* ---- packets to the stack ---- */

void
inject(struct t *t, const uint8_t *b, uint32_t len)
{
	struct rxbuf *buf = malloc(sizeof(*buf) + len + 4);
	uint8_t *d = buf->b;

	/* A tag, if the case wants one. */
	if (t->vlan_in != 0) {
		memcpy(d, b, 12);
		bb_store_be16(d + 12, 0x8100);
		bb_store_be16(d + 14, t->vlan_in);
		memcpy(d + 16, b + 12, len - 12);
		len += 4;
	} else {
		memcpy(d, b, len);
	}
	capture(t, d, len, false);
	const struct bb_net_rx rx = { .data = d, .buf = buf, .len = len, .truesize = 2048 };
	t->buffers++;
	bb_net_input(t->net, &rx, 1, t->now);
	poll(t);
}

void
fix_csum(struct t *t, uint8_t *l4, uint32_t len, uint32_t at, uint8_t proto, const struct bb_ip *src,
	const struct bb_ip *dst)
{
	memset(l4 + at, 0, 2);
	uint16_t s = l4_csum(t, l4, len, proto, src, dst);
	if (proto == 1)
		s = bb_csum_fold(bb_csum_partial(l4, len));
	s = (uint16_t)~s;
	memcpy(l4 + at, &s, 2);
}

uint32_t
frame(struct t *t, uint8_t *b, uint8_t proto, const uint8_t *payload, uint32_t len, int ecn,
	const struct bb_ip *src, const struct bb_ip *dst)
{
	const bool is4 = bb_ip_is4(dst);
	uint8_t *ip = b + 14;

	memcpy(b, our_mac, 6);
	memcpy(b + 6, t->peer_mac, 6);
	bb_store_be16(b + 12, is4 ? 0x0800 : 0x86dd);
	if (is4) {
		memset(ip, 0, 20);
		ip[0] = 0x45;
		ip[1] = (uint8_t)ecn;
		bb_store_be16(ip + 2, (uint16_t)(20 + len));
		bb_store_be16(ip + 6, 0x4000);
		ip[8] = 64;
		ip[9] = proto;
		memcpy(ip + 12, src->b + 12, 4);
		memcpy(ip + 16, dst->b + 12, 4);
		const uint16_t s = bb_csum_finish(bb_csum_partial(ip, 20));
		memcpy(ip + 10, &s, 2);
		memcpy(ip + 20, payload, len);
		return 34 + len;
	}
	bb_store_be32(ip, 6u << 28 | (uint32_t)ecn << 20);
	bb_store_be16(ip + 4, (uint16_t)len);
	ip[6] = proto;
	ip[7] = 64;
	memcpy(ip + 8, src->b, 16);
	memcpy(ip + 24, dst->b, 16);
	memcpy(ip + 40, payload, len);
	return 54 + len;
}

/* Options of a segment of the peer; returns their padded length. */
static uint32_t
in_options(struct t *t, const struct tp *p, uint8_t *o)
{
	uint32_t n = 0;

	if (p->raw_opts != NULL) {
		memcpy(o, p->raw_opts, p->raw_opts_len);
		return p->raw_opts_len;
	}
	if (p->mss != 0) {
		o[n] = 2;
		o[n + 1] = 4;
		bb_store_be16(o + n + 2, p->mss);
		n += 4;
	}
	if (p->ws != 0) {
		o[n] = 1;
		o[n + 1] = 3;
		o[n + 2] = 3;
		o[n + 3] = (uint8_t)(p->ws - 1);
		n += 4;
	}
	if (p->sackok) {
		memcpy(o + n, "\1\1\4\2", 4);
		n += 4;
	}
	if (p->ts_set || (t->ts && !p->no_ts && !(p->f & RST))) {
		memcpy(o + n, "\1\1\10\12", 4);
		bb_store_be32(o + n + 4, p->ts_set ? p->tsval : t->ts_base + (uint32_t)(t->now / BB_MSEC));
		bb_store_be32(o + n + 8, p->ts_set ? p->tsecr : (p->f & ACK ? t->last_tsval : 0));
		n += 12;
	}
	uint32_t blocks = 0;
	while (blocks < 4 && (p->sack[2 * blocks] != 0 || p->sack[2 * blocks + 1] != 0))
		blocks++;
	if (blocks > 0) {
		o[n] = o[n + 1] = 1;
		o[n + 2] = 5;
		o[n + 3] = (uint8_t)(2 + 8 * blocks);
		for (uint32_t i = 0; i < 2 * blocks; i++)
			bb_store_be32(o + n + 4 + 4 * i, t->isn + p->sack[i]);
		n += 4 + 8 * blocks;
	}
	return n;
}

void
in_(struct t *t, const struct tp *p)
{
	static uint8_t b[70000], s[66000];
	const uint32_t opts = in_options(t, p, s + 20);
	const uint32_t hlen = 20 + opts;

	bb_store_be16(s, p->sport != 0 ? p->sport : t->pport);
	bb_store_be16(s + 2, p->dport != 0 ? p->dport : t->lport);
	bb_store_be32(s + 4, t->peer_isn + p->seq);
	bb_store_be32(s + 8, p->f & ACK ? t->isn + p->ack : 0);
	s[12] = (uint8_t)(hlen / 4 << 4);
	s[13] = (uint8_t)p->f;
	bb_store_be16(s + 14,
		p->wnd == NOWND ? 0 : (uint16_t)(p->wnd != 0 ? p->wnd : (t->wnd != 0 ? t->wnd : 65535)));
	bb_store_be16(s + 18, p->urg);
	for (uint32_t i = 0; i < p->len; i++)
		s[hlen + i] = pattern(false, (uint32_t)(p->seq + ((p->f & SYN) != 0) - 1 + i));
	fix_csum(t, s, hlen + p->len, 16, 6, &t->peer, &t->us);
	if (p->bad_csum)
		s[16] ^= 1;
	const uint32_t len = frame(t, b, 6, s, hlen + p->len, p->ecn, &t->peer, &t->us);
	memset(b + len, 0xee, p->pad);
	inject(t, b, len + p->pad);
}

/* ---- packets of the stack ---- */

/* TCP header of a captured packet of ours, or NULL. */
static const uint8_t *
tcp_of(const struct cap *c, uint32_t *ret_len, int *ret_ecn)
{
	uint32_t l2 = bb_load_be16(c->b + 12) == 0x8100 ? 18 : 14;
	const uint16_t type = bb_load_be16(c->b + l2 - 2);
	const uint8_t *ip = c->b + l2;

	if (type == 0x0800 && ip[9] == 6) {
		*ret_len = c->len - l2 - 20;
		*ret_ecn = ip[1] & 3;
		return ip + 20;
	}
	if (type == 0x86dd && ip[6] == 6) {
		*ret_len = c->len - l2 - 40;
		*ret_ecn = (ip[1] >> 4) & 3;
		return ip + 40;
	}
	return NULL;
}

const struct cap *
next_packet(struct t *t)
{
	while (t->seen < t->cap_count) {
		const struct cap *c = &t->caps[t->seen++];
		if (c->sent)
			return c;
	}
	return NULL;
}

static const struct cap *
next_tcp(struct t *t)
{
	uint32_t len;
	int ecn;
	const struct cap *c;

	while ((c = next_packet(t)) != NULL)
		if (tcp_of(c, &len, &ecn) != NULL)
			return c;
	return NULL;
}

uint32_t
waiting(struct t *t)
{
	uint32_t n = 0, len;
	int ecn;

	for (uint32_t i = t->seen; i < t->cap_count; i++)
		n += t->caps[i].sent && tcp_of(&t->caps[i], &len, &ecn) != NULL;
	return n;
}

uint64_t
sent_at(const struct t *t)
{
	return t->caps[t->seen - 1].at_ns;
}

static void
parse_options(struct t *t, const uint8_t *o, uint32_t len, struct tp *p)
{
	p->no_ts = true;
	for (uint32_t i = 0; i < len;) {
		if (o[i] == 1) {
			i++;
			continue;
		}
		if (o[i] == 0)
			return;
		if (i + 1 >= len || o[i + 1] < 2 || i + o[i + 1] > len)
			fail(t, __FILE__, __LINE__, "malformed option of ours");
		switch (o[i]) {
		case 2:
			p->mss = bb_load_be16(o + i + 2);
			break;
		case 3:
			p->ws = 1 + o[i + 2];
			break;
		case 4:
			p->sackok = true;
			break;
		case 5:
			p->sacks = 1 + (o[i + 1] - 2) / 8;
			for (int k = 0; k < (o[i + 1] - 2) / 4; k++)
				p->sack[k] = bb_load_be32(o + i + 2 + 4 * k) - t->peer_isn;
			break;
		case 8:
			p->no_ts = false;
			p->tsval = bb_load_be32(o + i + 2);
			p->tsecr = bb_load_be32(o + i + 6);
			t->last_tsval = p->tsval;
			break;
		default:
			fail(t, __FILE__, __LINE__, "option %u of ours", o[i]);
		}
		i += o[i + 1];
	}
}

static struct tp
parse(struct t *t, const struct cap *c)
{
	uint32_t len;
	struct tp p = { .sacks = 1 };
	const uint8_t *h = tcp_of(c, &len, &p.ecn);
	const uint32_t hlen = (h[12] >> 4) * 4u;

	p.sport = bb_load_be16(h);
	p.dport = bb_load_be16(h + 2);
	p.f = h[13];
	p.seq = bb_load_be32(h + 4) - t->isn;
	p.ack = bb_load_be32(h + 8) - t->peer_isn;
	if (!(p.f & ACK))
		p.ack = 0;
	p.wnd = bb_load_be16(h + 14);
	p.len = len - hlen;
	parse_options(t, h + 20, hlen - 20, &p);
	for (uint32_t i = 0; i < p.len; i++)
		if (h[hlen + i] != pattern(true, (uint32_t)(p.seq - 1 + i)))
			fail(t, __FILE__, __LINE__, "payload of ours is wrong at seq %u", p.seq + i);
	return p;
}

static const char *
flags_text(int f)
{
	static char text[4][12];
	static int at;
	char *s = text[at = (at + 1) & 3];
	const char *names = "FSRPAUEC";

	for (int i = 0; i < 8; i++)
		if (f & 1 << i)
			*s++ = names[i];
	*s = 0;
	return text[at];
}

struct tp
any_(struct t *t, const char *file, int line)
{
	const struct cap *c = next_tcp(t);

	if (c == NULL)
		fail(t, file, line, "no segment was sent");
	return parse(t, c);
}

struct tp
out_(struct t *t, const struct tp *e, const char *file, int line)
{
	const struct cap *c = next_tcp(t);

	if (c == NULL)
		fail(t, file, line, "expected %s seq %u ack %u len %u, nothing was sent", flags_text(e->f),
			e->seq, e->ack, e->len);
	const struct tp p = parse(t, c);
	const int mask = e->psh ? 0xff : 0xff & ~PSH;
	if ((p.f & mask) != (e->f & mask) || p.seq != e->seq || p.ack != e->ack || p.len != e->len)
		fail(t, file, line, "expected %s seq %u ack %u len %u, sent %s seq %u ack %u len %u wnd %d",
			flags_text(e->f), e->seq, e->ack, e->len, flags_text(p.f), p.seq, p.ack, p.len,
			(int)p.wnd);
	if (e->wnd != 0 && p.wnd != (e->wnd == NOWND ? 0 : e->wnd))
		fail(t, file, line, "window %d, expected %d", (int)p.wnd, (int)e->wnd);
	if ((e->mss != 0 && e->mss != p.mss) || (e->ws != 0 && e->ws != p.ws) || (e->sackok && !p.sackok))
		fail(t, file, line, "options: mss %u ws %d sackok %d", p.mss, p.ws - 1, p.sackok);
	if (e->no_ts && !p.no_ts)
		fail(t, file, line, "unexpected timestamp");
	if (e->ts_set && (p.no_ts || p.tsecr != e->tsecr || (e->tsval != 0 && p.tsval != e->tsval)))
		fail(t, file, line, "timestamps %u %u, expected ecr %u", p.tsval, p.tsecr, e->tsecr);
	if (e->ecn != 0 && p.ecn != e->ecn - 1)
		fail(t, file, line, "ECN codepoint %d", p.ecn);
	if (e->sacks != 0) {
		if (p.sacks != e->sacks)
			fail(t, file, line, "%d SACK blocks, expected %d", p.sacks - 1, e->sacks - 1);
		for (int i = 0; i < 2 * (e->sacks - 1); i++)
			if (p.sack[i] != e->sack[i])
				fail(t, file, line, "SACK edge %d is %u, expected %u", i, p.sack[i],
					e->sack[i]);
	}
	return p;
}

void
none_(struct t *t, const char *file, int line)
{
	const struct cap *c = next_tcp(t);

	if (c == NULL)
		return;
	const struct tp p = parse(t, c);
	fail(t, file, line, "expected silence, sent %s seq %u ack %u len %u wnd %d at %.6f", flags_text(p.f),
		p.seq, p.ack, p.len, (int)p.wnd, (double)(c->at_ns - SEC(1000)) / 1e9);
}

uint32_t
skip(struct t *t)
{
	uint32_t n = 0;
	const struct cap *c;

	while ((c = next_tcp(t)) != NULL) {
		parse(t, c);
		n++;
	}
	return n;
}

/* ---- application ---- */

static struct app *
app_of(void *ctx)
{
	return &((struct t *)ctx)->a;
}

static void
on_connected(void *ctx, struct bb_tcp *c)
{
	app_of(ctx)->c = c;
	app_of(ctx)->connected++;
}

static void
on_readable(void *ctx, struct bb_tcp *c)
{
	struct t *t = ctx;

	t->a.readable++;
	if (t->a.autoread)
		app_read(t, bb_tcp_rx_bytes(c));
	t->a.eof = bb_tcp_rx_eof(c);
}

static void
on_released(void *ctx, struct bb_tcp *c, uint64_t bytes)
{
	(void)c;
	app_of(ctx)->released += bytes;
}

static void
on_room(void *ctx, struct bb_tcp *c, uint64_t bytes)
{
	(void)c;
	(void)bytes;
	app_of(ctx)->rooms++;
}

static void
on_closed(void *ctx, struct bb_tcp *c, enum bb_tcp_reason reason)
{
	struct t *t = ctx;

	CHECK(t->a.c == c || t->a.c == NULL);
	t->a.closed++;
	t->a.reason = reason;
	t->a.c = NULL;
}

static const struct bb_tcp_ops ops = { on_connected, on_readable, on_released, on_room, on_closed };

void
app_ops(struct t *t, struct bb_tcp *c)
{
	bb_tcp_set_ops(c, &ops, t);
}

static bool
on_accept(void *ctx, struct bb_tcp *c)
{
	struct t *t = ctx;

	if (t->refuse)
		return false;
	t->accepts++;
	t->a.c = c;
	app_ops(t, c);
	return true;
}

void
app_send(struct t *t, uint32_t n)
{
	const struct bb_tcp_span span = { .data = tx_pattern + t->a.pushed, .len = n };

	CHECK(t->a.c != NULL);
	CHECK(t->a.pushed + n <= TX_PATTERN);
	CHECK_EQ(bb_tcp_tx_push(t->net, t->a.c, &span, 1), 1);
	t->a.pushed += n;
	poll(t);
}

void
app_read(struct t *t, uint32_t n)
{
	struct iovec iov[16];

	while (n > 0) {
		const size_t k = bb_tcp_rx_view(t->net, t->a.c, iov, 16);
		uint32_t got = 0;
		CHECK(k > 0);
		for (size_t i = 0; i < k && n > 0; i++) {
			const uint8_t *b = iov[i].iov_base;
			const uint32_t take = iov[i].iov_len < n ? (uint32_t)iov[i].iov_len : n;
			for (uint32_t j = 0; j < take; j++)
				if (b[j] != pattern(false, t->a.consumed + j))
					fail(t, __FILE__, __LINE__, "received byte %llu is wrong",
						(unsigned long long)(t->a.consumed + j));
			t->a.consumed += take;
			got += take;
			n -= take;
		}
		bb_tcp_rx_consume(t->net, t->a.c, got);
	}
}

struct bb_tcp_info
info(struct t *t)
{
	struct bb_tcp_info i;

	bb_tcp_info(t->net, t->a.c, &i);
	return i;
}

uint64_t
ctr(struct t *t, enum bb_net_ctr c)
{
	return bb_net_counter(t->net, c);
}

uint32_t
full(const struct t *t)
{
	return (t->v6 ? 1440 : 1460) - (t->ts ? 12 : 0);
}

/* ---- set-up ---- */

static void
announce_peer(struct t *t)
{
	uint8_t b[128], m[32] = { 0 };

	if (!t->v6) {
		memset(b, 0xff, 6);
		memcpy(b + 6, t->peer_mac, 6);
		memcpy(b + 12, "\x08\x06\0\1\x08\0\6\4\0\1", 10);
		memcpy(b + 22, t->peer_mac, 6);
		memcpy(b + 28, t->peer.b + 12, 4);
		memset(b + 32, 0, 6);
		memcpy(b + 38, t->us.b + 12, 4);
		inject(t, b, 42);
		return;
	}
	m[0] = 135;
	memcpy(m + 8, t->us.b, 16);
	m[24] = 1;
	m[25] = 1;
	memcpy(m + 26, t->peer_mac, 6);
	fix_csum(t, m, 32, 2, 58, &t->peer, &t->us);
	const uint32_t len = frame(t, b, 58, m, 32, 0, &t->peer, &t->us);
	b[14 + 7] = 255;
	inject(t, b, len);
}

void
start(struct t *t)
{
	static const uint8_t us4[4] = { 10, 0, 0, 1 }, peer4[4] = { 10, 0, 0, 2 };
	static const uint8_t us6[16] = { 0xfd, [15] = 1 }, peer6[16] = { 0xfd, [15] = 2 };
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 2 };

	if (tx_pattern == NULL) {
		tx_pattern = malloc(TX_PATTERN);
		for (uint32_t i = 0; i < TX_PATTERN; i++)
			tx_pattern[i] = pattern(true, i);
	}
	t->us = t->v6 ? bb_ip_from6(us6) : bb_ip_from4(us4);
	t->peer = t->v6 ? bb_ip_from6(peer6) : bb_ip_from4(peer4);
	memcpy(t->peer_mac, mac, 6);
	struct bb_net_config *c = &t->conf;
	memcpy(c->mac, our_mac, 6);
	c->addrs[c->addr_count++] = (struct bb_net_addr){ .ip = t->us, .prefix = t->v6 ? 64 : 24 };
	c->edge = &edge;
	c->edge_ctx = t;
	c->offloads = t->offloads;
	c->isn = &t->isn;
	t->now = SEC(1000);
	t->room = UINT32_MAX;
	t->pport = PPORT;
	t->lport = LPORT;
	t->ts_base = 77000;
	t->caps = calloc(CAPS_MAX, sizeof(*t->caps));
	bb_mem_init_heap(&t->mem, 1u << 30);
	CHECK_EQ(bb_net_create(c, &t->mem, t->now, &t->net), 0);
	CHECK_EQ(bb_tcp_listen(t->net, &t->us, LPORT, 16, on_accept, t, &t->listener), 0);
	poll(t);
	if (!c->dad && c->vlan == 0)
		announce_peer(t);
	skip(t);
}

void
stop(struct t *t)
{
	bb_net_destroy(t->net);
	t->net = NULL;
	for (uint32_t i = 0; i < t->cap_count; i++)
		free(t->caps[i].b);
	free(t->caps);
	t->caps = NULL;
	t->cap_count = 0;
}

void
restart(struct t *t, void (*conf)(struct bb_net_config *c))
{
	stop(t);
	CHECK_EQ(t->buffers, 0);
	t->conf = (struct bb_net_config){ .mtu = 0 };
	t->a = (struct app){ .c = NULL };
	t->accepts = 0;
	t->seen = 0;
	t->wnd = 0;
	t->ts = false;
	conf(&t->conf);
	start(t);
}

void
accepted(struct t *t, int without)
{
	const int ecn = without & WITH_ECN ? ECE | CWR : 0;

	t->ts = !(without & NO_TS);
	in(t, .f = SYN | ecn, .mss = (uint16_t)(t->v6 ? 1440 : 1460), .ws = without & NO_WS ? 0 : 8,
		.sackok = !(without & NO_SACK));
	out(t, .f = SYN | ACK | (ecn ? ECE : 0), .ack = 1);
	advance(t, RTT);
	t->wnd = without & NO_WS ? 65535 : 32768;
	in(t, .f = ACK, .seq = 1, .ack = 1);
	none(t);
	CHECK_EQ(t->accepts, 1);
	CHECK(t->a.c != NULL);
}

void
begin_connect(struct t *t)
{
	CHECK_EQ(bb_tcp_connect(t->net, NULL, LPORT, &t->peer, PPORT, &ops, t, &t->a.c), 0);
	poll(t);
}

void
connected(struct t *t, int without)
{
	begin_connect(t);
	out(t, .f = without & WITH_ECN ? SYN | ECE | CWR : SYN);
	t->ts = !(without & NO_TS);
	advance(t, RTT);
	in(t, .f = SYN | ACK | (without & WITH_ECN ? ECE : 0), .ack = 1,
		.mss = (uint16_t)(t->v6 ? 1440 : 1460), .ws = without & NO_WS ? 0 : 8,
		.sackok = !(without & NO_SACK));
	out(t, .f = ACK, .seq = 1, .ack = 1);
	t->wnd = without & NO_WS ? 65535 : 32768;
	in(t, .f = ACK, .seq = 1, .ack = 1);
	skip(t);
	CHECK_EQ(t->a.connected, 1);
}
