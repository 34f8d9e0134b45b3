/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases 83, 85, 86: path MTU (RFC 1191, 8201, 5927), ECN (RFC 3168, 8257), and the layers below TCP. */
#include <string.h>

#include "base/endian.h"
#include "harness.h"

/* An ICMP "too big" about our segment at seq (relative). */
static void
too_big(struct t *t, uint32_t seq, uint32_t mtu)
{
	uint8_t m[128] = { 0 }, b[256], q[64] = { 0 };
	const uint32_t hlen = t->v6 ? 40 : 20;

	if (t->v6) {
		q[0] = 0x60;
		q[6] = 6;
		memcpy(q + 8, t->us.b, 16);
		memcpy(q + 24, t->peer.b, 16);
		m[0] = 2;
		bb_store_be32(m + 4, mtu);
	} else {
		q[0] = 0x45;
		q[9] = 6;
		memcpy(q + 12, t->us.b + 12, 4);
		memcpy(q + 16, t->peer.b + 12, 4);
		m[0] = 3;
		m[1] = 4;
		bb_store_be16(m + 6, (uint16_t)mtu);
	}
	bb_store_be16(q + hlen, LPORT);
	bb_store_be16(q + hlen + 2, PPORT);
	bb_store_be32(q + hlen + 4, t->isn + seq);
	memcpy(m + 8, q, hlen + 8);
	fix_csum(t, m, 8 + hlen + 8, 2, t->v6 ? 58 : 1, &t->peer, &t->us);
	inject(t, b, frame(t, b, t->v6 ? 58 : 1, m, 8 + hlen + 8, 0, &t->peer, &t->us));
}

static uint32_t
mss_at(const struct t *t, uint32_t mtu)
{
	return mtu - (t->v6 ? 60 : 40) - 12;
}

static void
path_mtu(struct t *t)
{
	accepted(t, 0);
	const uint32_t big = full(t);
	app_send(t, 3 * big);
	CHECK_EQ(skip(t), 3);
	/* About bytes that are not in flight: an attacker guessing. */
	too_big(t, 0u - 5, 1300);
	too_big(t, 1 + 3 * big, 1300);
	none(t);
	CHECK_EQ(info(t).mss, big);
	CHECK_EQ(ctr(t, BB_NET_CTR_DROP_ICMP_STALE), 2);
	/* In flight: all of it again, cut anew, and no loss as far as congestion goes. */
	const uint32_t cwnd = info(t).cwnd;
	too_big(t, 1 + big, 1300);
	CHECK_EQ(info(t).mss, mss_at(t, 1300));
	uint32_t next = 1;
	while (waiting(t) > 0) {
		const struct tp p = any(t);
		CHECK_EQ(p.seq, next);
		CHECK(p.len <= mss_at(t, 1300));
		next += p.len;
	}
	CHECK_EQ(next, 1 + 3 * big);
	CHECK_EQ(info(t).cwnd, cwnd);
	/* Never higher by such a message, never below the floor. */
	too_big(t, 1, 1400);
	CHECK_EQ(info(t).mss, mss_at(t, 1300));
	too_big(t, 1, 68);
	CHECK_EQ(info(t).mss, mss_at(t, t->v6 ? 1280 : 552));
	skip(t);
	in(t, .f = ACK, .seq = 1, .ack = 1 + 3 * big);
	CHECK_EQ(t->a.released, 3 * big);
	/* Ten minutes later it is tried again. */
	advance(t, SEC(601));
	skip(t);
	app_send(t, 10);
	skip(t);
	in(t, .f = ACK, .seq = 1, .ack = 11 + 3 * big);
	CHECK_EQ(info(t).mss, big);
	/* A black hole says nothing: after two time-outs of a full segment smaller ones are tried. */
	app_send(t, 2 * big);
	skip(t);
	advance(t, SEC(2));
	CHECK_EQ(ctr(t, BB_NET_CTR_BLACKHOLE), 1);
	CHECK_EQ(info(t).mss, t->v6 ? 1220 - 12 : 536 - 12);
}

static void
no_keepalive(struct bb_net_config *c)
{
	c->tcp.no_keepalive = true;
}

static void
asks_ecn(struct bb_net_config *c)
{
	c->tcp.ecn = true;
	c->tcp.cc = BB_TCP_CC_NEWRENO;
	c->tcp.no_keepalive = true;
}

static void
fresh(struct t *t)
{
	bb_tcp_abort(t->net, t->a.c);
	poll(t);
	skip(t);
	t->pport++;
	t->accepts = t->a.connected = 0;
	t->a.pushed = t->a.consumed = 0;
}

static void
dctcp(struct bb_net_config *c)
{
	c->tcp.cc = BB_TCP_CC_DCTCP;
	c->tcp.quickack_segs = 1;
}

/* RFC 8257: the echo is exact, and the reduction follows the share of marks. */
static void
ecn_dctcp(struct t *t)
{
	float alpha = 1;
	uint32_t seq = 1;

	accepted(t, WITH_ECN);
	in(t, .f = ACK, .seq = 1, .ack = 1, .len = 10, .ecn = 3);
	out(t, .f = ACK | ECE, .seq = 1, .ack = 11);
	in(t, .f = ACK, .seq = 11, .ack = 1, .len = 10, .ecn = 3);
	none(t);
	/* The state changes: what waits is acknowledged with the old one. */
	in(t, .f = ACK, .seq = 21, .ack = 1, .len = 10, .ecn = 2);
	out(t, .f = ACK | ECE, .seq = 1, .ack = 21);
	none(t);
	advance(t, MS(41));
	out(t, .f = ACK, .seq = 1, .ack = 31);
	/* Eight windows without a mark: alpha was 1, a sixteenth less each. */
	for (int i = 0; i < 8; i++) {
		app_send(t, 2 * full(t));
		seq += 2 * full(t);
		in(t, .f = ACK, .seq = 31, .ack = seq);
		alpha *= 15.0f / 16;
	}
	skip(t);
	const uint32_t cwnd = info(t).cwnd;
	app_send(t, 10 * full(t));
	in(t, .f = ACK | ECE, .seq = 31, .ack = seq + full(t));
	alpha = alpha * 15 / 16 + 1.0f / 16;
	const float expect = (float)cwnd * (1 - alpha / 2);
	CHECK((float)info(t).cwnd > expect * 0.99f && (float)info(t).cwnd < expect * 1.01f);
}

static void
ecn(struct t *t)
{
	/* Four ways: asked and granted, asked of us, not asked, refused. */
	accepted(t, 0);
	CHECK(!info(t).ecn);
	app_send(t, 10);
	out(t, .f = ACK, .seq = 1, .ack = 1, .len = 10, .ecn = 1);
	fresh(t);
	begin_connect(t);
	out(t, .f = SYN | ECE | CWR, .ecn = 1);
	t->ts = true;
	in(t, .f = SYN | ACK, .ack = 1, .mss = 1400, .sackok = true);
	skip(t);
	CHECK(!info(t).ecn);
	fresh(t);
	accepted(t, WITH_ECN);
	CHECK(info(t).ecn);

	/* Receiving: CE is told in every ACK until CWR. No ECT on pure ACKs. */
	in(t, .f = ACK, .seq = 1, .ack = 1, .len = 10, .ecn = 3);
	out(t, .f = ACK | ECE, .seq = 1, .ack = 11, .ecn = 1);
	in(t, .f = ACK, .seq = 11, .ack = 1, .len = 10, .ecn = 2);
	out(t, .f = ACK | ECE, .seq = 1, .ack = 21, .ecn = 1);
	in(t, .f = ACK | CWR, .seq = 21, .ack = 1, .len = 10, .ecn = 2);
	out(t, .f = ACK, .seq = 1, .ack = 31, .ecn = 1);

	/* Sending: ECT(0) on new data, one reduction per round trip, CWR once. */
	const uint32_t n = full(t);
	app_send(t, 20 * n);
	for (uint32_t i = 0; i < 10; i++)
		out(t, .f = ACK, .seq = 1 + i * n, .ack = 31, .len = n, .ecn = 3);
	in(t, .f = ACK | ECE, .seq = 31, .ack = 1 + 2 * n);
	CHECK_EQ(info(t).cwnd, 4 * n);
	in(t, .f = ACK | ECE, .seq = 31, .ack = 1 + 4 * n);
	CHECK_EQ(info(t).cwnd, 4 * n);
	CHECK_EQ(ctr(t, BB_NET_CTR_ECN_REDUCED), 1);
	none(t);
	in(t, .f = ACK | ECE, .seq = 31, .ack = 1 + 8 * n);
	out(t, .f = ACK | CWR, .seq = 1 + 10 * n, .ack = 31, .len = n, .ecn = 3);
	out(t, .f = ACK, .seq = 1 + 11 * n, .ack = 31, .len = n, .ecn = 3);
	none(t);
	CHECK_EQ(ctr(t, BB_NET_CTR_ECN_REDUCED), 1);
	/* A retransmission says nothing. */
	advance(t, SEC(1));
	int again = 0;
	while (waiting(t) > 0) {
		const struct tp p = any(t);
		const bool old = p.seq < 1 + 12 * n;
		CHECK_EQ(p.ecn, old ? 0 : 2);
		again += old;
	}
	CHECK(again > 0);
	restart(t, dctcp);
	ecn_dctcp(t);
}

static void
vlan_and_dad(struct bb_net_config *c)
{
	c->vlan = 7;
	c->dad = true;
}

/* ARP from a station at mac for the given sender and target. */
static void
arp(struct t *t, uint16_t op, const uint8_t *mac, const struct bb_ip *sender, const struct bb_ip *target)
{
	uint8_t b[42] = { 0 };

	memset(b, 0xff, 6);
	memcpy(b + 6, mac, 6);
	memcpy(b + 12, "\x08\x06\0\1\x08\0\6\4", 8);
	bb_store_be16(b + 20, op);
	memcpy(b + 22, mac, 6);
	memcpy(b + 28, sender->b + 12, 4);
	memcpy(b + 38, target->b + 12, 4);
	inject(t, b, 42);
}

/* A neighbour solicitation or advertisement. */
static void
nd(struct t *t, uint8_t type, const uint8_t *mac, const struct bb_ip *src, const struct bb_ip *dst,
	const struct bb_ip *target, uint8_t hop_limit)
{
	uint8_t m[32] = { 0 }, b[128];
	const struct bb_ip zero = { { 0 } };
	const bool probe = bb_ip_eq(src, &zero);

	m[0] = type;
	m[4] = type == 136 ? 0x20 : 0;
	memcpy(m + 8, target->b, 16);
	m[24] = type == 136 ? 2 : 1;
	m[25] = 1;
	memcpy(m + 26, mac, 6);
	const uint32_t len = probe ? 24 : 32;
	fix_csum(t, m, len, 2, 58, src, dst);
	const uint32_t all = frame(t, b, 58, m, len, 0, src, dst);
	if (dst->b[0] == 0xff) {
		b[0] = b[1] = 0x33;
		memcpy(b + 2, dst->b + 12, 4);
	}
	b[14 + 7] = hop_limit;
	inject(t, b, all);
}

static uint32_t
count_packets(struct t *t, uint16_t type, uint32_t from)
{
	uint32_t n = 0;

	for (uint32_t i = from; i < t->cap_count; i++) {
		const uint8_t *b = t->caps[i].b;
		n += t->caps[i].sent && bb_load_be16(b + (bb_load_be16(b + 12) == 0x8100 ? 16 : 12)) == type;
	}
	return n;
}

/* Probing, conflict, and the tag: on an instance with both. */
static void
dad_and_vlan(struct t *t)
{
	const uint8_t other[6] = { 2, 0, 0, 0, 0, 9 };
	const struct bb_ip zero4 = bb_ip_from4("\0\0\0\0"), zero6 = { { 0 } };
	const uint16_t type = t->v6 ? 0x86dd : 0x0806;

	t->vlan_in = 7;
	CHECK(!bb_net_addr_usable(t->net, &t->us));
	CHECK(count_packets(t, type, 0) >= 1);
	in(t, .f = SYN, .mss = 1400);
	none(t);
	CHECK_EQ(ctr(t, BB_NET_CTR_DROP_IP_DST), 1);
	advance(t, SEC(1));
	/* Another probes for it too, at the same time: nobody gets it. */
	struct bb_ip group = { .b = { 0xff, 2, [11] = 1, [12] = 0xff } };
	memcpy(group.b + 13, t->us.b + 13, 3);
	if (t->v6)
		nd(t, 135, other, &zero6, &group, &t->us, 255);
	else
		arp(t, 1, other, &zero4, &t->us);
	CHECK_EQ(ctr(t, BB_NET_CTR_DAD_CONFLICTS), 1);
	advance(t, SEC(10));
	CHECK(!bb_net_addr_usable(t->net, &t->us));
	in(t, .f = SYN, .mss = 1400);
	none(t);
}

static void
layers_below(struct t *t)
{
	const uint8_t moved[6] = { 2, 0, 0, 0, 0, 5 }, other[6] = { 2, 0, 0, 0, 0, 9 };
	const struct bb_ip peer = t->peer;
	uint8_t b[2000], m[1500];

	/* A neighbour that is not known: one SYN waits for it, and leaves once. */
	t->peer.b[15] = 77;
	memcpy(t->peer_mac, moved, 6);
	t->mute = true;
	begin_connect(t);
	none(t);
	advance(t, MS(500));
	none(t);
	CHECK_EQ(t->solicits, 1);
	t->mute = false;
	if (t->v6)
		nd(t, 136, moved, &t->peer, &t->us, &t->peer, 255);
	else
		arp(t, 2, moved, &t->peer, &t->us);
	out(t, .f = SYN);
	none(t);
	t->ts = true;
	in(t, .f = SYN | ACK, .ack = 1, .mss = 1400, .sackok = true);
	out(t, .f = ACK, .seq = 1, .ack = 1);
	CHECK_EQ(memcmp(t->caps[t->seen - 1].b, moved, 6), 0);

	/* The peer moves to another station in the middle of it. */
	memcpy(t->peer_mac, other, 6);
	const struct bb_ip all = { .b = { 0xff, 2, [15] = 1 } };
	if (t->v6)
		nd(t, 136, other, &t->peer, &all, &t->peer, 255);
	else
		arp(t, 1, other, &t->peer, &t->peer);
	app_send(t, 10);
	out(t, .f = ACK, .seq = 1, .ack = 1, .len = 10);
	CHECK_EQ(memcmp(t->caps[t->seen - 1].b, other, 6), 0);

	/* Not for us: no answer. Hop limit below 255: from beyond the link, dropped. */
	struct bb_ip foreign = t->us;
	foreign.b[15] = 99;
	const uint32_t before = t->cap_count;
	const uint16_t type = t->v6 ? 0x86dd : 0x0806;
	if (t->v6) {
		nd(t, 135, other, &t->peer, &t->us, &foreign, 255);
		CHECK_EQ(ctr(t, BB_NET_CTR_DROP_ND), 1);
		nd(t, 135, other, &t->peer, &t->us, &t->us, 254);
		CHECK_EQ(ctr(t, BB_NET_CTR_DROP_ND), 2);
	} else {
		arp(t, 1, other, &t->peer, &foreign);
		CHECK_EQ(ctr(t, BB_NET_CTR_DROP_ARP), 2); /* the announcement above was one */
	}
	CHECK_EQ(count_packets(t, type, before), 0);
	if (t->v6)
		nd(t, 135, other, &t->peer, &t->us, &t->us, 255);
	else
		arp(t, 1, other, &t->peer, &t->us);
	CHECK_EQ(count_packets(t, type, before), 1);

	/* Echo, odd sizes. */
	for (uint32_t len = 8; len < 1400; len += 97) {
		const uint8_t proto = t->v6 ? 58 : 1;
		memset(m, 0, 8);
		m[0] = t->v6 ? 128 : 8;
		for (uint32_t i = 8; i < len; i++)
			m[i] = (uint8_t)(i * 7);
		fix_csum(t, m, len, 2, proto, &t->peer, &t->us);
		t->seen = t->cap_count;
		inject(t, b, frame(t, b, proto, m, len, 0, &t->peer, &t->us));
		const struct cap *c;
		while ((c = next_packet(t)) != NULL && c->len != len + (t->v6 ? 54 : 34))
			continue;
		CHECK(c != NULL);
		const uint8_t *r = c->b + (t->v6 ? 54 : 34);
		CHECK_EQ(r[0], t->v6 ? 129 : 0);
		CHECK_EQ(memcmp(r + 8, m + 8, len - 8), 0);
	}
	/* A wrong checksum, and then the limit: a thousand a second, a hundred at once. */
	m[2] ^= 1;
	inject(t, b, frame(t, b, t->v6 ? 58 : 1, m, 100, 0, &t->peer, &t->us));
	CHECK_EQ(ctr(t, BB_NET_CTR_DROP_ICMP_CSUM), 1);
	fix_csum(t, m, 100, 2, t->v6 ? 58 : 1, &t->peer, &t->us);
	for (int i = 0; i < 200; i++)
		inject(t, b, frame(t, b, t->v6 ? 58 : 1, m, 100, 0, &t->peer, &t->us));
	CHECK(ctr(t, BB_NET_CTR_DROP_ICMP_RATE) >= 100);

	/* Fragments. */
	const uint64_t bytes = bb_tcp_rx_bytes(t->a.c);
	memset(m, 0, 40);
	const uint32_t n = frame(t, b, 6, m, 40, 0, &t->peer, &t->us);
	if (t->v6) {
		b[14 + 6] = 44;
	} else {
		b[14 + 6] = 0x20;
		b[14 + 10] = b[14 + 11] = 0;
		uint32_t sum = 0;
		for (int i = 0; i < 20; i += 2)
			sum += bb_load_be16(b + 14 + i);
		sum = (sum & 0xffff) + (sum >> 16);
		bb_store_be16(b + 14 + 10, (uint16_t)~sum);
	}
	inject(t, b, n);
	CHECK_EQ(ctr(t, BB_NET_CTR_DROP_IP_FRAGMENT), 1);
	CHECK_EQ(bb_tcp_rx_bytes(t->a.c), bytes);
	/* A tag that is not ours: we speak none here. */
	t->vlan_in = 5;
	in(t, .f = SYN, .sport = 7, .mss = 1400);
	CHECK_EQ(ctr(t, BB_NET_CTR_DROP_VLAN), 1);
	t->vlan_in = 0;
	skip(t);
	t->peer = peer;
	restart(t, vlan_and_dad);
	dad_and_vlan(t);
}

const struct test_case cases_net[] = {
	{ 83, "path MTU", path_mtu, no_keepalive },
	{ 85, "ECN", ecn, asks_ecn },
	{ 86, "neighbours, address conflicts, ICMP, fragments, VLAN", layers_below, NULL },
	{ 0, NULL, NULL, NULL },
};
