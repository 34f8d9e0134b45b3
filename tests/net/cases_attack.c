/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases 79 to 82 and 84: RFC 5961, RFC 1337, RFC 6191, SYN floods (RFC 4987). */
#include <string.h>

#include "harness.h"

static uint32_t
timewaits(struct t *t)
{
	struct bb_net_usage u;

	bb_net_usage(t->net, &u);
	return u.timewaits;
}

static void
rst_in_window(struct t *t)
{
	accepted(t, 0);
	in(t, .f = RST, .seq = 2);
	out(t, .f = ACK, .seq = 1, .ack = 1);
	in(t, .f = RST | ACK, .seq = 60000, .ack = 1);
	out(t, .f = ACK, .seq = 1, .ack = 1);
	in(t, .f = RST, .seq = 0);
	in(t, .f = RST, .seq = 300000);
	in(t, .f = RST, .seq = 0x80000000);
	none(t);
	CHECK_EQ(t->a.closed, 0);
	CHECK_EQ(ctr(t, BB_NET_CTR_CHALLENGE_ACKS), 2);
	in(t, .f = RST, .seq = 1);
	none(t);
	CHECK_EQ(t->a.closed, 1);
	CHECK_EQ(t->a.reason, BB_TCP_RESET);
}

static void
syn_in_window(struct t *t)
{
	accepted(t, 0);
	for (uint32_t i = 0; i < 30; i++)
		in(t, .f = SYN, .seq = i * 1000, .mss = 1400);
	for (int i = 0; i < 10; i++)
		out(t, .f = ACK, .seq = 1, .ack = 1);
	none(t);
	CHECK_EQ(ctr(t, BB_NET_CTR_CHALLENGE_LIMITED), 20);
	/* The limit is that of challenges: data goes on, and duplicates of data are answered each. */
	in(t, .f = ACK, .seq = 1, .ack = 1, .len = 10);
	out(t, .f = ACK, .seq = 1, .ack = 11);
	for (int i = 0; i < 20; i++) {
		in(t, .f = ACK, .seq = 1, .ack = 1, .len = 10);
		out(t, .f = ACK, .seq = 1, .ack = 11);
	}
	/* Another second, another ten; and another connection has its own. */
	advance(t, SEC(1));
	skip(t);
	in(t, .f = SYN, .seq = 5, .mss = 1400);
	out(t, .f = ACK, .seq = 1, .ack = 11);
	CHECK_EQ(t->a.closed, 0);
}

static void
ack_range(struct t *t)
{
	uint32_t seq = 1;

	accepted(t, 0);
	/* Far enough that the largest window seen lies behind. */
	while (seq < 9000001) {
		app_send(t, 100000);
		seq += 100000;
		while (info(t).unacked_bytes > 0) {
			const uint32_t una = seq - info(t).unacked_bytes - info(t).unsent_bytes;
			in(t, .f = ACK, .seq = 1, .ack = una + info(t).unacked_bytes);
			t->seen = t->cap_count;
		}
		if (t->cap_count > CAPS_MAX - 1000 || t->a.pushed + 100000 > TX_PATTERN)
			break;
	}
	const uint32_t una = (uint32_t)t->a.pushed + 1, wnd = 32768u << 7;
	CHECK(una > wnd + 1000);
	in(t, .f = ACK, .seq = 1, .ack = una - wnd - 1, .len = 10);
	out(t, .f = ACK, .seq = una, .ack = 1);
	CHECK_EQ(bb_tcp_rx_bytes(t->a.c), 0);
	in(t, .f = ACK, .seq = 1, .ack = una + 1, .len = 10);
	out(t, .f = ACK, .seq = una, .ack = 1);
	CHECK_EQ(bb_tcp_rx_bytes(t->a.c), 0);
	CHECK_EQ(ctr(t, BB_NET_CTR_DROP_TCP_ACK), 2);
	/* Old, but not too old: the data counts. */
	in(t, .f = ACK, .seq = 1, .ack = una - wnd, .len = 10);
	out(t, .f = ACK, .seq = una, .ack = 11);
	CHECK_EQ(bb_tcp_rx_bytes(t->a.c), 10);
}

static void
to_time_wait(struct t *t, int without)
{
	t->accepts = t->a.closed = 0;
	accepted(t, without);
	bb_tcp_close(t->net, t->a.c, BB_NEVER);
	poll(t);
	skip(t);
	in(t, .f = FIN | ACK, .seq = 1, .ack = 2);
	out(t, .f = ACK, .seq = 2, .ack = 2);
	CHECK_EQ(t->a.closed, 1);
	CHECK_EQ(timewaits(t), 1);
}

static void
time_wait(struct t *t)
{
	to_time_wait(t, 0);
	in(t, .f = RST, .seq = 2);
	CHECK_EQ(timewaits(t), 1);
	none(t);
	in(t, .f = ACK, .seq = 2, .ack = 2);
	none(t);
	in(t, .f = ACK, .seq = 100, .ack = 2, .len = 10);
	out(t, .f = ACK, .seq = 2, .ack = 2);
	/* A SYN that is not newer, by its timestamp. */
	const uint32_t ts = t->ts_base + (uint32_t)(t->now / MS(1));
	in(t, .f = SYN, .seq = 1000, .mss = 1400, .ts_set = true, .tsval = ts - 1);
	out(t, .f = ACK, .seq = 2, .ack = 2);
	CHECK_EQ(timewaits(t), 1);
	/* One that is: a connection, whose first number lies behind the old one's last. */
	advance(t, MS(5));
	in(t, .f = SYN, .seq = 5000, .mss = 1400);
	const struct tp p = any(t);
	CHECK_EQ(p.f, SYN | ACK);
	CHECK_EQ(p.ack, 5001);
	CHECK((int32_t)(p.seq - 2) > 0);
	CHECK_EQ(timewaits(t), 0);
	CHECK_EQ(ctr(t, BB_NET_CTR_TW_REUSED), 1);
	in(t, .f = ACK, .seq = 5001, .ack = p.seq + 1);
	CHECK_EQ(t->accepts, 2);
	in(t, .f = RST, .seq = 5001);
	skip(t);
	/* Without timestamps the sequence number decides. */
	to_time_wait(t, NO_TS);
	in(t, .f = SYN, .seq = 1, .mss = 1400);
	out(t, .f = ACK, .seq = 2, .ack = 2);
	in(t, .f = SYN, .seq = 3, .mss = 1400);
	CHECK_EQ(any(t).f, SYN | ACK);
	CHECK_EQ(timewaits(t), 0);
}

static void
small_syn_cache(struct bb_net_config *c)
{
	c->syn_max = 8;
	c->conns_max = 4;
}

/* Fill the cache from other ports. */
static void
flood(struct t *t, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		in(t, .f = SYN, .sport = (uint16_t)(20000 + i), .mss = 1400, .ws = 8, .sackok = true);
		any(t);
	}
	none(t);
}

static void
cookie_connects(struct t *t, bool ts)
{
	t->ts = ts;
	in(t, .f = SYN, .mss = 1400, .ws = 6, .sackok = true);
	const struct tp p = any(t);
	CHECK_EQ(p.f, SYN | ACK);
	CHECK_EQ(p.ack, 1);
	CHECK_EQ(p.sackok, ts);
	CHECK_EQ(p.ws != 0, ts);
	/* RST with the ACK is no cookie; nor is one that was changed. */
	in(t, .f = RST | ACK, .seq = 1, .ack = p.seq + 1);
	none(t);
	in(t, .f = ACK, .seq = 1, .ack = p.seq + 2);
	out(t, .f = RST, .seq = p.seq + 2);
	in(t, .f = ACK, .seq = 2, .ack = p.seq + 1);
	out(t, .f = RST, .seq = p.seq + 1);
	CHECK_EQ(t->accepts, 0);
	in(t, .f = ACK, .seq = 1, .ack = p.seq + 1, .len = 10);
	CHECK_EQ(t->accepts, 1);
	out(t, .f = ACK, .seq = p.seq + 1, .ack = 11);
	const struct bb_tcp_info i = info(t);
	CHECK_EQ(i.timestamps, ts);
	CHECK_EQ(i.sack, ts);
	CHECK_EQ(i.wscale, ts);
	CHECK_EQ(i.mss, (ts ? 1380 - 12 : 1380)); /* the next lower that a cookie can name */
	if (ts)
		CHECK_EQ(i.snd_wnd, 65535 << 5);
	app_read(t, 10);
	bb_tcp_abort(t->net, t->a.c);
	poll(t);
	skip(t);
	t->a.consumed = 0;
	t->accepts = 0;
}

static void
syn_flood(struct t *t)
{
	struct bb_net_usage u;

	flood(t, 100);
	bb_net_usage(t->net, &u);
	CHECK_EQ(u.syns, 8);
	CHECK_EQ(u.conns, 0);
	CHECK_EQ(ctr(t, BB_NET_CTR_COOKIE_SENT), 92);
	cookie_connects(t, true);
	cookie_connects(t, false);
	/* An old cookie is none. */
	t->ts = true;
	in(t, .f = SYN, .mss = 1400);
	const struct tp p = any(t);
	advance(t, SEC(200));
	skip(t);
	in(t, .f = ACK, .seq = 1, .ack = p.seq + 1);
	out(t, .f = RST, .seq = p.seq + 1);
	CHECK_EQ(t->accepts, 0);
	bb_net_usage(t->net, &u);
	CHECK_EQ(u.syns + u.conns, 0);
	/* The application takes none: silence, and it completes when it does. */
	t->refuse = true;
	in(t, .f = SYN, .mss = 1400);
	out(t, .f = SYN | ACK, .ack = 1);
	in(t, .f = ACK, .seq = 1, .ack = 1);
	in(t, .f = ACK, .seq = 1, .ack = 1, .len = 10);
	none(t);
	CHECK_EQ(ctr(t, BB_NET_CTR_DROP_TCP_BACKLOG), 2);
	bb_net_usage(t->net, &u);
	CHECK_EQ(u.syns, 1);
	CHECK_EQ(u.conns, 0);
	t->refuse = false;
	advance(t, SEC(1) + MS(1));
	out(t, .f = SYN | ACK, .ack = 1);
	in(t, .f = ACK, .seq = 1, .ack = 1, .len = 10);
	out(t, .f = ACK, .seq = 1, .ack = 11);
	CHECK_EQ(t->accepts, 1);
	/* No control block is left: the same. */
	for (uint16_t i = 0; i < 3; i++) {
		in(t, .f = SYN, .sport = (uint16_t)(30000 + i), .mss = 1400);
		any(t);
		in(t, .f = ACK, .sport = (uint16_t)(30000 + i), .seq = 1, .ack = 1);
	}
	CHECK_EQ(t->accepts, 4);
	in(t, .f = SYN, .sport = 31000, .mss = 1400);
	any(t);
	in(t, .f = ACK, .sport = 31000, .seq = 1, .ack = 1);
	none(t);
	CHECK_EQ(ctr(t, BB_NET_CTR_DROP_TCP_CONNS), 1);
	bb_net_usage(t->net, &u);
	CHECK_EQ(u.syns, 1);
}

const struct test_case cases_attack[] = {
	{ 79, "RST in the window", rst_in_window, NULL },
	{ 80, "SYN in the window", syn_in_window, NULL },
	{ 81, "range of ACKs", ack_range, NULL },
	{ 82, "TIME-WAIT", time_wait, NULL },
	{ 84, "SYN flood", syn_flood, small_syn_cache },
	{ 0, NULL, NULL, NULL },
};
