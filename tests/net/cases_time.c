/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases 52 to 60: RFC 7323, and RFC 6298 with what concerns time. */
#include <string.h>

#include "harness.h"

static void
one_quickack(struct bb_net_config *c)
{
	c->tcp.quickack_segs = 1;
}

static void
big_rcvbuf(struct bb_net_config *c)
{
	c->tcp.rcvbuf_bytes = 1000001;
}

static void
no_keepalive(struct bb_net_config *c)
{
	c->tcp.no_keepalive = true;
}

static void
no_window_scale(struct t *t)
{
	in(t, .f = SYN, .mss = 1400, .wnd = 5000);
	CHECK_EQ(any(t).ws, 0);
	in(t, .f = ACK, .seq = 1, .ack = 1, .wnd = 5000);
	CHECK_EQ(info(t).snd_wnd, 5000);
	CHECK(!info(t).wscale);
	in(t, .f = ACK, .seq = 1, .ack = 1, .len = 10);
	/* 256 KiB of buffer, but 16 bits to say it. */
	out(t, .f = ACK, .seq = 1, .ack = 11, .wnd = 65535);
}

static void
scale_fifteen(struct t *t)
{
	in(t, .f = SYN, .mss = 1400, .ws = 1 + 15, .wnd = 5000);
	CHECK_EQ(any(t).ws, 4);
	in(t, .f = ACK, .seq = 1, .ack = 1, .wnd = 3);
	CHECK_EQ(info(t).snd_wnd, 3 << 14);
}

static void
window_rounding(struct t *t)
{
	uint32_t seq = 1;

	accepted(t, 0); /* 1000001 bytes: scale 4 */
	uint32_t edge_max = 0;
	for (int i = 0; i < 2000; i++) {
		const uint32_t len = 1 + bb_rand_below(&t->rand, 1000);
		in(t, .f = ACK, .seq = seq, .ack = 1, .len = len);
		advance(t, MS(41));
		const struct tp p = any(t);
		skip(t);
		seq = p.ack;
		const uint32_t edge = p.ack + ((uint32_t)p.wnd << 4);
		CHECK(edge - 1 <= 1000001 + t->a.consumed);
		edge_max = edge > edge_max ? edge : edge_max;
		if (p.wnd == 0 || bb_rand_one_in(&t->rand, 50))
			app_read(t, bb_tcp_rx_bytes(t->a.c) / 2);
	}
	CHECK(edge_max > 900000);
}

static void
last_ack_sent_rule(struct t *t)
{
	accepted(t, 0);
	in(t, .f = ACK, .seq = 1, .ack = 1, .len = 100, .ts_set = true, .tsval = 2000000,
		.tsecr = t->last_tsval);
	out(t, .f = ACK, .seq = 1, .ack = 101, .ts_set = true, .tsecr = 2000000);
	/* Two segments, one delayed ACK: the time of the first is echoed. */
	in(t, .f = ACK, .seq = 101, .ack = 1, .len = 100, .ts_set = true, .tsval = 2000010,
		.tsecr = t->last_tsval);
	in(t, .f = ACK, .seq = 201, .ack = 1, .len = 100, .ts_set = true, .tsval = 2000020,
		.tsecr = t->last_tsval);
	none(t);
	advance(t, MS(41));
	out(t, .f = ACK, .seq = 1, .ack = 301, .ts_set = true, .tsecr = 2000010);
	/* Behind a gap: not yet. What fills it: its own time. */
	in(t, .f = ACK, .seq = 401, .ack = 1, .len = 100, .ts_set = true, .tsval = 2000030,
		.tsecr = t->last_tsval);
	out(t, .f = ACK, .seq = 1, .ack = 301, .ts_set = true, .tsecr = 2000010);
	in(t, .f = ACK, .seq = 301, .ack = 1, .len = 100, .ts_set = true, .tsval = 2000025,
		.tsecr = t->last_tsval);
	out(t, .f = ACK, .seq = 1, .ack = 501, .ts_set = true, .tsecr = 2000025);
}

static void
paws(struct t *t)
{
	accepted(t, 0);
	const uint32_t base = t->ts_base + (uint32_t)(t->now / MS(1));
	in(t, .f = ACK, .seq = 1, .ack = 1, .len = 10);
	skip(t);
	in(t, .f = ACK, .seq = 11, .ack = 1, .len = 10, .ts_set = true, .tsval = base - 1,
		.tsecr = t->last_tsval);
	out(t, .f = ACK, .seq = 1, .ack = 11);
	CHECK_EQ(bb_tcp_rx_bytes(t->a.c), 10);
	CHECK_EQ(ctr(t, BB_NET_CTR_DROP_TCP_PAWS), 1);
	/* Idle for 24 days: the remembered value means nothing (and the clock has gone half way round). */
	const uint64_t days = SEC(25 * 24 * 3600);
	t->now += days;
	poll(t);
	skip(t);
	in(t, .f = ACK, .seq = 11, .ack = 1, .len = 10, .ts_set = true, .tsval = base - 1,
		.tsecr = t->last_tsval);
	CHECK_EQ(bb_tcp_rx_bytes(t->a.c), 20);
	/* Across the wrap of the peer's clock. */
	in(t, .f = ACK, .seq = 21, .ack = 1, .len = 10, .ts_set = true, .tsval = base - 1 + 0x7fffff00,
		.tsecr = 1);
	in(t, .f = ACK, .seq = 31, .ack = 1, .len = 10, .ts_set = true, .tsval = base + 0xfffffe00,
		.tsecr = 1);
	in(t, .f = ACK, .seq = 41, .ack = 1, .len = 10, .ts_set = true, .tsval = base + 5, .tsecr = 1);
	CHECK_EQ(bb_tcp_rx_bytes(t->a.c), 50);
	in(t, .f = ACK, .seq = 51, .ack = 1, .len = 10, .ts_set = true, .tsval = base + 0xffffff00,
		.tsecr = 1);
	CHECK_EQ(bb_tcp_rx_bytes(t->a.c), 50);
	/* A RST is exempt. */
	in(t, .f = RST, .seq = 51, .ts_set = true, .tsval = base - 100000, .tsecr = 1);
	CHECK_EQ(t->a.closed, 1);
}

static void
segment_without_timestamp(struct t *t)
{
	/* Already the ACK of the handshake may lack it. */
	t->ts = true;
	in(t, .f = SYN, .mss = 1400, .ws = 8, .sackok = true);
	out(t, .f = SYN | ACK, .ack = 1);
	in(t, .f = ACK, .seq = 1, .ack = 1, .no_ts = true);
	CHECK_EQ(t->accepts, 1);
	in(t, .f = ACK, .seq = 1, .ack = 1, .len = 10, .no_ts = true);
	const struct tp p = out(t, .f = ACK, .seq = 1, .ack = 11);
	CHECK(!p.no_ts);
	app_send(t, 10);
	skip(t);
	in(t, .f = ACK, .seq = 11, .ack = 11, .no_ts = true);
	CHECK_EQ(t->a.released, 10);
}

static void
rtt_of_a_retransmission(struct t *t)
{
	accepted(t, NO_SACK);
	app_send(t, 100);
	skip(t);
	const uint64_t srtt = info(t).srtt_ns;
	advance(t, MS(201));
	CHECK_EQ(skip(t), 1);
	advance(t, MS(50));
	/* The echo names the second transmission: 50 ms ago, whatever the first did. */
	in(t, .f = ACK, .seq = 1, .ack = 101);
	const uint64_t got = info(t).srtt_ns;
	const uint64_t expect = srtt - srtt / 8 + MS(50) / 8;
	CHECK(got >= expect - MS(1) && got <= expect + MS(1));
}

static void
rto_calculation(struct t *t)
{
	accepted(t, NO_ALL);
	/* First sample, from the handshake: 10 ms. */
	CHECK_EQ(info(t).srtt_ns, MS(10));
	CHECK_EQ(info(t).rttvar_ns, MS(5));
	CHECK_EQ(info(t).rto_ns, MS(200));
	/* Second: 190 ms. RFC 6298 2.3. */
	app_send(t, 10);
	skip(t);
	advance(t, MS(190));
	in(t, .f = ACK, .seq = 1, .ack = 11);
	const uint64_t var = MS(5) - MS(5) / 4 + MS(180) / 4, srtt = MS(10) - MS(10) / 8 + MS(190) / 8;
	CHECK_EQ(info(t).rttvar_ns, var);
	CHECK_EQ(info(t).srtt_ns, srtt);
	CHECK_EQ(info(t).rto_ns, srtt + 4 * var);
	/* Time-outs double it, up to the cap. */
	app_send(t, 10);
	uint64_t last = t->now, gap = srtt + 4 * var;
	skip(t);
	for (int i = 0; i < 8; i++) {
		advance(t, gap + US(40) - (t->now - last));
		out(t, .f = ACK, .seq = 11, .ack = 1, .len = 10);
		CHECK(sent_at(t) - last >= gap && sent_at(t) - last <= gap + US(40));
		last = sent_at(t);
		gap = gap * 2 < SEC(60) ? gap * 2 : SEC(60);
		none(t);
		if (i == 6)
			break;
	}
	CHECK_EQ(info(t).backoff, 7);
	/* Karn: what was sent twice gives no sample; a new ACK ends the backing off. */
	advance(t, MS(30));
	in(t, .f = ACK, .seq = 1, .ack = 21);
	CHECK_EQ(info(t).srtt_ns, srtt);
	CHECK_EQ(info(t).backoff, 0);
	CHECK_EQ(info(t).rto_ns, srtt + 4 * var);
}

static void
tiny_rto(struct bb_net_config *c)
{
	c->tcp.rto_min_ns = MS(5);
	c->tcp.no_keepalive = true;
}

static void
microsecond_rtt(struct t *t)
{
	uint32_t seq = 1;

	accepted(t, 0);
	/* A round trip of 3 us, and of nothing at all: no time-out of zero, no spurious retransmission. */
	for (int i = 0; i < 200; i++) {
		app_send(t, 100);
		out(t, .f = ACK, .seq = seq, .ack = 1, .len = 100);
		seq += 100;
		t->now += i & 1 ? US(3) : 0;
		in(t, .f = ACK, .seq = 1, .ack = seq);
		none(t);
	}
	CHECK(info(t).srtt_ns < MS(1));
	CHECK(info(t).rto_ns >= MS(5));
	app_send(t, 100);
	skip(t);
	/* Nothing before the tail loss probe, which waits for a delayed ACK. */
	advance(t, MS(4));
	none(t);
	advance(t, MS(40));
	CHECK(skip(t) >= 1);
	in(t, .f = ACK, .seq = 1, .ack = seq + 100);
	CHECK_EQ(info(t).unacked_bytes, 0);
}

const struct test_case cases_time[] = {
	{ 52, "no window scale", no_window_scale, NULL },
	{ 53, "window scale 15", scale_fifteen, NULL },
	{ 54, "window rounding", window_rounding, big_rcvbuf },
	{ 55, "Last.ACK.sent", last_ack_sent_rule, one_quickack },
	{ 56, "PAWS", paws, no_keepalive },
	{ 57, "segment without timestamp", segment_without_timestamp, NULL },
	{ 58, "round trip of a retransmission", rtt_of_a_retransmission, NULL },
	{ 59, "RTO calculation", rto_calculation, NULL },
	{ 60, "microsecond round trips", microsecond_rtt, tiny_rto },
	{ 0, NULL, NULL, NULL },
};
