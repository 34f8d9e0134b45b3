/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases 17 to 30: data and window, RFC 9293 3.10.7.4. */
#include <string.h>

#include "harness.h"

static void
small_rcvbuf(struct bb_net_config *c)
{
	c->tcp.rcvbuf_bytes = 4096;
}

static void
left_of_window(struct t *t)
{
	accepted(t, 0);
	in(t, .f = ACK, .seq = 1, .ack = 1, .len = 10);
	out(t, .f = ACK, .seq = 1, .ack = 11);
	in(t, .f = ACK, .seq = 1, .ack = 1, .len = 10);
	out(t, .f = ACK, .seq = 1, .ack = 11, .sacks = 2, .sack = { 1, 11 });
	none(t);
	CHECK_EQ(bb_tcp_rx_bytes(t->a.c), 10);
	CHECK_EQ(ctr(t, BB_NET_CTR_DUP_IN), 1);
	app_read(t, 10);
}

static void
straddles_left_edge(struct t *t)
{
	accepted(t, 0);
	in(t, .f = ACK, .seq = 1, .ack = 1, .len = 10);
	skip(t);
	in(t, .f = ACK, .seq = 5, .ack = 1, .len = 20);
	out(t, .f = ACK, .seq = 1, .ack = 25, .sacks = 2, .sack = { 5, 11 });
	none(t);
	app_read(t, 24);
}

static void
beyond_right_edge(struct t *t)
{
	accepted(t, 0);
	in(t, .f = ACK | FIN, .seq = 1, .ack = 1, .len = 5000);
	out(t, .f = ACK, .seq = 1, .ack = 4097, .wnd = NOWND);
	CHECK_EQ(bb_tcp_rx_bytes(t->a.c), 4096);
	app_read(t, 4096);
	poll(t);
	CHECK(!bb_tcp_rx_eof(t->a.c));
	out(t, .f = ACK, .seq = 1, .ack = 4097, .wnd = 4096);
	/* Wholly beyond: nothing of it is kept. */
	in(t, .f = ACK, .seq = 4097 + 4096, .ack = 1, .len = 10);
	out(t, .f = ACK, .seq = 1, .ack = 4097, .sacks = 1);
	CHECK_EQ(info(t).ooo_bytes, 0);
	/* A FIN that would lie just beyond the last byte of the window has no place in it. */
	in(t, .f = ACK | FIN, .seq = 4097, .ack = 1, .len = 4096);
	out(t, .f = ACK, .seq = 1, .ack = 8193);
	app_read(t, 4096);
	CHECK(!bb_tcp_rx_eof(t->a.c));
}

static void
zero_window(struct t *t)
{
	accepted(t, 0);
	in(t, .f = ACK, .seq = 1, .ack = 1, .len = 4096);
	out(t, .f = ACK, .seq = 1, .ack = 4097, .wnd = NOWND);
	app_send(t, 100);
	out(t, .f = ACK, .seq = 1, .ack = 4097, .len = 100);
	/* Payload is not taken, the ACK that it carries is. */
	in(t, .f = ACK, .seq = 4097, .ack = 101, .len = 10);
	out(t, .f = ACK, .seq = 101, .ack = 4097, .wnd = NOWND);
	CHECK_EQ(t->a.released, 100);
	CHECK_EQ(bb_tcp_rx_bytes(t->a.c), 4096);
	in(t, .f = ACK, .seq = 4097, .ack = 101);
	none(t);
	in(t, .f = RST, .seq = 4097);
	CHECK_EQ(t->a.closed, 1);
	CHECK_EQ(t->a.reason, BB_TCP_RESET);
}

static void
ack_of_what_was_not_sent(struct t *t)
{
	accepted(t, 0);
	in(t, .f = ACK, .seq = 1, .ack = 2, .len = 10);
	out(t, .f = ACK, .seq = 1, .ack = 1);
	none(t);
	CHECK_EQ(bb_tcp_rx_bytes(t->a.c), 0);
	CHECK_EQ(ctr(t, BB_NET_CTR_DROP_TCP_ACK), 1);
	app_send(t, 10);
	out(t, .f = ACK, .seq = 1, .ack = 1, .len = 10);
	in(t, .f = ACK, .seq = 1, .ack = 12);
	out(t, .f = ACK, .seq = 11, .ack = 1);
	CHECK_EQ(t->a.released, 0);
}

static void
old_ack_with_data(struct t *t)
{
	accepted(t, 0);
	app_send(t, 100);
	skip(t);
	in(t, .f = ACK, .seq = 1, .ack = 101, .wnd = 1000);
	const struct bb_tcp_info before = info(t);
	in(t, .f = ACK, .seq = 1, .ack = 50, .len = 10, .wnd = 2000);
	out(t, .f = ACK, .seq = 101, .ack = 11);
	const struct bb_tcp_info after = info(t);
	CHECK_EQ(bb_tcp_rx_bytes(t->a.c), 10);
	CHECK_EQ(after.cwnd, before.cwnd);
	CHECK_EQ(after.snd_wnd, before.snd_wnd);
	CHECK_EQ(t->a.released, 100);
}

static void
reordered_window(struct t *t)
{
	accepted(t, 0);
	in(t, .f = ACK, .seq = 11, .ack = 1, .len = 10, .wnd = 500);
	CHECK_EQ(info(t).snd_wnd, 500 << 7);
	in(t, .f = ACK, .seq = 1, .ack = 1, .len = 10, .wnd = 2000);
	CHECK_EQ(info(t).snd_wnd, 500 << 7);
	/* Same seq: the newer ACK decides. */
	app_send(t, 10);
	in(t, .f = ACK, .seq = 21, .ack = 11, .wnd = 300);
	in(t, .f = ACK, .seq = 21, .ack = 1, .wnd = 900);
	CHECK_EQ(info(t).snd_wnd, 300 << 7);
}

static void
window_shrinks(struct t *t)
{
	accepted(t, NO_SACK | NO_WS);
	app_send(t, 5 * full(t));
	CHECK_EQ(skip(t), 5);
	in(t, .f = ACK, .seq = 1, .ack = 1, .wnd = 100);
	app_send(t, 5000);
	none(t);
	advance(t, MS(201));
	out(t, .f = ACK, .seq = 1, .ack = 1, .len = full(t));
	none(t);
	in(t, .f = ACK, .seq = 1, .ack = 1 + 5 * full(t), .wnd = 65535);
	out(t, .f = ACK, .seq = 1 + 5 * full(t), .ack = 1, .len = full(t));
	CHECK(skip(t) >= 1);
}

static void
right_edge_never_retreats(struct t *t)
{
	uint32_t seq = 1, edge = 0;

	accepted(t, 0);
	for (int i = 0; i < 400; i++) {
		const uint32_t len = 1 + bb_rand_below(&t->rand, 1400);
		in(t, .f = ACK, .seq = seq, .ack = 1, .len = len);
		if (waiting(t) == 0) {
			advance(t, MS(41));
			CHECK_EQ(waiting(t), 1);
		}
		const struct tp p = any(t);
		if (p.wnd == 0)
			break;
		seq = p.ack;
		const uint32_t now = p.ack + (uint32_t)p.wnd * 8;
		/* By the scale unit only, which RFC 7323 2.4 cannot avoid. */
		CHECK(edge == 0 || (int32_t)(now - edge) > -8);
		edge = (int32_t)(now - edge) > 0 || edge == 0 ? now : edge;
		CHECK(edge - 1 <= 256 * 1024);
		none(t);
	}
	CHECK(bb_tcp_rx_bytes(t->a.c) > 200000);
	CHECK(bb_tcp_rx_bytes(t->a.c) <= 256 * 1024);
}

static void
no_ack_bit(struct t *t)
{
	accepted(t, 0);
	in(t, .f = PSH, .seq = 1, .len = 10);
	none(t);
	CHECK_EQ(bb_tcp_rx_bytes(t->a.c), 0);
	CHECK_EQ(ctr(t, BB_NET_CTR_DROP_TCP_FLAGS), 1);
}

static void
bad_checksum(struct t *t)
{
	accepted(t, 0);
	for (uint32_t len = 0; len < 8; len++)
		in(t, .f = ACK, .seq = 1, .ack = 1, .len = len, .bad_csum = true);
	none(t);
	CHECK_EQ(ctr(t, BB_NET_CTR_DROP_TCP_CSUM), 8);
	CHECK_EQ(bb_tcp_rx_bytes(t->a.c), 0);
	for (uint32_t len = 1, seq = 1; len < 8; seq += len++) {
		in(t, .f = ACK, .seq = seq, .ack = 1, .len = len);
		out(t, .f = ACK, .seq = 1, .ack = seq + len);
	}
	CHECK_EQ(ctr(t, BB_NET_CTR_DROP_TCP_CSUM), 8);
}

static void
ethernet_padding(struct t *t)
{
	accepted(t, NO_TS);
	in(t, .f = ACK, .seq = 1, .ack = 1, .pad = 6);
	none(t);
	CHECK_EQ(bb_tcp_rx_bytes(t->a.c), 0);
	in(t, .f = ACK, .seq = 1, .ack = 1, .len = 1, .pad = 5);
	out(t, .f = ACK, .seq = 1, .ack = 2);
	app_read(t, 1);
}

static void
push_flag(struct t *t)
{
	const int n = 3;

	accepted(t, 0);
	app_send(t, (uint32_t)n * full(t) + 100);
	for (int i = 0; i < n; i++)
		out(t, .f = ACK, .seq = 1 + (uint32_t)i * full(t), .ack = 1, .len = full(t), .psh = true);
	out(t, .f = ACK | PSH, .seq = 1 + (uint32_t)n * full(t), .ack = 1, .len = 100, .psh = true);
	app_send(t, 10);
	out(t, .f = ACK | PSH, .seq = 101 + (uint32_t)n * full(t), .ack = 1, .len = 10, .psh = true);
}

static void
urgent_inline(struct t *t)
{
	accepted(t, 0);
	in(t, .f = ACK | URG, .seq = 1, .ack = 1, .len = 10, .urg = 5);
	out(t, .f = ACK, .seq = 1, .ack = 11);
	in(t, .f = ACK | URG, .seq = 11, .ack = 1, .len = 10, .urg = 60000);
	out(t, .f = ACK, .seq = 1, .ack = 21);
	app_read(t, 20);
}

const struct test_case cases_data[] = {
	{ 17, "segment left of the window", left_of_window, NULL },
	{ 18, "segment straddles the left edge", straddles_left_edge, NULL },
	{ 19, "segment beyond the right edge", beyond_right_edge, small_rcvbuf },
	{ 20, "zero window", zero_window, small_rcvbuf },
	{ 21, "ACK of what was not sent", ack_of_what_was_not_sent, NULL },
	{ 22, "old ACK with new data", old_ack_with_data, NULL },
	{ 23, "reordered window update", reordered_window, NULL },
	{ 24, "peer shrinks its window", window_shrinks, NULL },
	{ 25, "right edge never retreats", right_edge_never_retreats, NULL },
	{ 26, "segment without ACK", no_ack_bit, NULL },
	{ 27, "bad checksum", bad_checksum, NULL },
	{ 28, "Ethernet padding", ethernet_padding, NULL },
	{ 29, "PSH", push_flag, NULL },
	{ 30, "urgent data in line", urgent_inline, NULL },
	{ 0, NULL, NULL, NULL },
};
