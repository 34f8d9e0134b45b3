/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases 1 to 16: opening, RFC 9293 3.5 and 3.10.7. */
#include "harness.h"

#include <errno.h>
#include <string.h>

static void
passive_open(struct t *t)
{
	t->ts = true;
	in(t, .f = SYN, .mss = 1400, .ws = 8, .sackok = true);
	out(t, .f = SYN | ACK, .ack = 1, .mss = t->v6 ? 1440 : 1460, .ws = 4, .sackok = true, .ts_set = true,
		.tsecr = 77000 + 1000000, .wnd = 65535);
	none(t);
	CHECK_EQ(t->accepts, 0);
	in(t, .f = ACK, .seq = 1, .ack = 1);
	none(t);
	CHECK_EQ(t->accepts, 1);
	const struct bb_tcp_info i = info(t);
	CHECK(strcmp(i.state, "ESTABLISHED") == 0);
	CHECK_EQ(i.mss, 1400 - 12);
	CHECK(i.sack && i.timestamps && i.wscale && !i.ecn);
}

static void
active_open(struct t *t)
{
	begin_connect(t);
	out(t, .f = SYN, .mss = t->v6 ? 1440 : 1460, .ws = 4, .sackok = true, .ts_set = true, .wnd = 65535);
	CHECK_EQ(t->a.connected, 0);
	t->ts = true;
	in(t, .f = SYN | ACK, .ack = 1, .mss = 1400, .ws = 8, .sackok = true);
	out(t, .f = ACK, .seq = 1, .ack = 1);
	none(t);
	CHECK_EQ(t->a.connected, 1);
	CHECK_EQ(info(t).mss, 1388);
	CHECK_EQ(t->a.closed, 0);
	/* A SYN-ACK may carry data. */
	bb_tcp_abort(t->net, t->a.c);
	poll(t);
	skip(t);
	begin_connect(t);
	skip(t);
	in(t, .f = SYN | ACK, .ack = 1, .mss = 1400, .sackok = true, .len = 20);
	out(t, .f = ACK, .seq = 1, .ack = 21);
	none(t);
	app_read(t, 20);
}

static void
simultaneous_open(struct t *t)
{
	begin_connect(t);
	out(t, .f = SYN);
	t->ts = true;
	in(t, .f = SYN, .mss = 1400, .ws = 8, .sackok = true);
	out(t, .f = SYN | ACK, .ack = 1, .ws = 4, .sackok = true);
	CHECK_EQ(t->a.connected, 0);
	in(t, .f = SYN | ACK, .ack = 1, .mss = 1400, .ws = 8, .sackok = true);
	/* Their SYN-ACK repeats a SYN: it is answered, and the handshake is done by an ACK. */
	skip(t);
	in(t, .f = ACK, .seq = 1, .ack = 1);
	CHECK_EQ(t->a.connected, 1);
	skip(t);
	app_send(t, 10);
	out(t, .f = ACK, .seq = 1, .ack = 1, .len = 10);
}

static void
syn_to_closed_port(struct t *t)
{
	in(t, .f = SYN, .dport = 9, .mss = 1400);
	out(t, .f = RST | ACK, .seq = 0u - t->isn, .ack = 1);
	in(t, .f = SYN, .dport = 9, .len = 5);
	out(t, .f = RST | ACK, .seq = 0u - t->isn, .ack = 6);
	none(t);
}

static void
ack_to_closed_port(struct t *t)
{
	in(t, .f = ACK, .dport = 9, .seq = 100, .ack = 700);
	out(t, .f = RST, .seq = 700);
	in(t, .f = FIN | ACK, .dport = 9, .seq = 100, .ack = 700);
	out(t, .f = RST, .seq = 700);
	/* And to a listener, when it is no cookie. */
	in(t, .f = ACK, .seq = 100, .ack = 700);
	out(t, .f = RST, .seq = 700);
	none(t);
}

static void
rst_to_closed_port(struct t *t)
{
	in(t, .f = RST, .dport = 9, .seq = 100);
	in(t, .f = RST | ACK, .dport = 9, .seq = 100, .ack = 5);
	in(t, .f = RST, .seq = 100);
	none(t);
}

static void
syn_with_data(struct t *t)
{
	t->ts = true;
	in(t, .f = SYN, .mss = 1400, .sackok = true, .len = 20);
	out(t, .f = SYN | ACK, .ack = 1); /* covers the SYN alone */
	CHECK_EQ(t->a.readable, 0);
	in(t, .f = ACK, .seq = 1, .ack = 1, .len = 20);
	out(t, .f = ACK, .seq = 1, .ack = 21);
	CHECK_EQ(t->a.readable, 1);
	app_read(t, 20);
}

static void
syn_sent_bad_ack(struct t *t)
{
	begin_connect(t);
	out(t, .f = SYN);
	in(t, .f = SYN | ACK, .ack = 2, .mss = 1400);
	out(t, .f = RST, .seq = 2);
	in(t, .f = ACK, .seq = 1, .ack = 0);
	out(t, .f = RST, .seq = 0);
	CHECK_EQ(t->a.closed, 0);
	in(t, .f = SYN | ACK, .ack = 1, .mss = 1400);
	out(t, .f = ACK, .seq = 1, .ack = 1);
	CHECK_EQ(t->a.connected, 1);
}

static void
syn_sent_rst(struct t *t)
{
	begin_connect(t);
	out(t, .f = SYN);
	in(t, .f = RST, .seq = 0);
	in(t, .f = RST | ACK, .ack = 7);
	none(t);
	CHECK_EQ(t->a.closed, 0);
	in(t, .f = RST | ACK, .ack = 1);
	none(t);
	CHECK_EQ(t->a.closed, 1);
	CHECK_EQ(t->a.reason, BB_TCP_REFUSED);
}

static void
no_keepalive(struct bb_net_config *c)
{
	c->tcp.no_keepalive = true;
}

static void
duplicate_syn(struct t *t)
{
	t->ts = true;
	in(t, .f = SYN, .mss = 1400);
	out(t, .f = SYN | ACK, .ack = 1);
	advance(t, MS(300));
	in(t, .f = SYN, .mss = 1400);
	out(t, .f = SYN | ACK, .ack = 1); /* out() has checked that seq is the same */
	none(t);
	in(t, .f = ACK, .seq = 1, .ack = 1);
	CHECK_EQ(t->accepts, 1);
	/* Not answered at all it repeats itself, five times, then the entry is gone. */
	in(t, .f = SYN, .mss = 1400, .sport = 41000);
	any(t);
	for (int i = 0; i < 5; i++) {
		advance(t, SEC(1u << i) + MS(2));
		CHECK_EQ(waiting(t), 1);
		skip(t);
	}
	advance(t, SEC(40));
	none(t);
	struct bb_net_usage u;
	bb_net_usage(t->net, &u);
	CHECK_EQ(u.syns, 0);
	CHECK_EQ(ctr(t, BB_NET_CTR_SYN_EXPIRED), 1);
}

static void
syn_rcvd_rst(struct t *t)
{
	struct bb_net_usage u;

	in(t, .f = SYN, .mss = 1400);
	out(t, .f = SYN | ACK, .ack = 1);
	in(t, .f = RST, .seq = 5);
	bb_net_usage(t->net, &u);
	CHECK_EQ(u.syns, 1);
	in(t, .f = RST, .seq = 1);
	bb_net_usage(t->net, &u);
	CHECK_EQ(u.syns, 0);
	none(t);
	accepted(t, 0);
	/* Without a listener its handshakes are gone, connections stay. */
	in(t, .f = SYN, .sport = 41000, .mss = 1400);
	CHECK_EQ(any(t).f, SYN | ACK);
	bb_tcp_unlisten(t->net, t->listener);
	bb_net_usage(t->net, &u);
	CHECK_EQ(u.syns, 0);
	in(t, .f = SYN, .sport = 41001, .mss = 1400);
	CHECK_EQ(any(t).f, RST | ACK);
	in(t, .f = ACK, .seq = 1, .ack = 1, .len = 10);
	out(t, .f = ACK, .seq = 1, .ack = 11);
}

static void
ack_with_data_and_fin(struct t *t)
{
	t->ts = true;
	in(t, .f = SYN, .mss = 1400, .sackok = true);
	out(t, .f = SYN | ACK, .ack = 1);
	in(t, .f = ACK | FIN | PSH, .seq = 1, .ack = 1, .len = 100);
	out(t, .f = ACK, .seq = 1, .ack = 102);
	CHECK_EQ(t->accepts, 1);
	app_read(t, 100);
	CHECK(bb_tcp_rx_eof(t->a.c));
	CHECK(strcmp(info(t).state, "CLOSE-WAIT") == 0);
}

static void
syn_fin_dropped(struct t *t)
{
	in(t, .f = SYN | FIN, .mss = 1400);
	none(t);
	CHECK_EQ(ctr(t, BB_NET_CTR_DROP_TCP_FLAGS), 1);
	in(t, .f = 0, .seq = 1);
	none(t);
	accepted(t, 0);
}

static void
syn_from_impossible_sources(struct t *t)
{
	const struct bb_ip peer = t->peer;
	const uint8_t bad4[][4] = { { 255, 255, 255, 255 }, { 224, 0, 0, 1 }, { 10, 0, 0, 1 },
		{ 127, 0, 0, 1 }, { 10, 0, 0, 255 }, { 0, 0, 0, 0 } };
	const uint8_t bad6[][16] = { { 0xff, 2, [15] = 1 }, { 0xfd, [15] = 1 }, { [15] = 1 }, { 0 } };
	const int n = t->v6 ? 4 : 6;

	for (int i = 0; i < n; i++) {
		t->peer = t->v6 ? bb_ip_from6(bad6[i]) : bb_ip_from4(bad4[i]);
		in(t, .f = SYN, .mss = 1400);
		CHECK_EQ(ctr(t, BB_NET_CTR_DROP_IP_SRC), i + 1);
	}
	none(t);
	t->peer = peer;
	accepted(t, 0);
}

static void
old_duplicate_syn(struct t *t)
{
	/* RFC 9293 figure 8: an old SYN arrives first; our SYN-ACK to it is reset; the new one connects. */
	in(t, .f = SYN, .seq = 0u - 5000, .mss = 1400);
	out(t, .f = SYN | ACK, .ack = 1u - 5000);
	in(t, .f = RST, .seq = 1u - 5000);
	accepted(t, 0);
	CHECK_EQ(t->accepts, 1);
}

static void
half_open(struct t *t)
{
	accepted(t, 0);
	/* The peer has rebooted and begins anew from the same port. */
	in(t, .f = SYN, .seq = 900000, .mss = 1400);
	out(t, .f = ACK, .seq = 1, .ack = 1);
	in(t, .f = RST, .seq = 1);
	none(t);
	CHECK_EQ(t->a.closed, 1);
	CHECK_EQ(t->a.reason, BB_TCP_RESET);
	t->accepts = 0;
	accepted(t, 0);
}

const struct test_case cases_open[] = {
	{ 1, "passive open", passive_open, NULL },
	{ 2, "active open", active_open, NULL },
	{ 3, "simultaneous open", simultaneous_open, NULL },
	{ 4, "SYN to a closed port", syn_to_closed_port, NULL },
	{ 5, "ACK to a closed port", ack_to_closed_port, NULL },
	{ 6, "RST to a closed port", rst_to_closed_port, NULL },
	{ 7, "SYN with data", syn_with_data, NULL },
	{ 8, "SYN-SENT: unacceptable ACK", syn_sent_bad_ack, NULL },
	{ 9, "SYN-SENT: RST", syn_sent_rst, NULL },
	{ 10, "duplicate SYN", duplicate_syn, no_keepalive },
	{ 11, "RST in SYN-RECEIVED", syn_rcvd_rst, NULL },
	{ 12, "ACK of SYN-ACK with data and FIN", ack_with_data_and_fin, NULL },
	{ 13, "SYN with FIN", syn_fin_dropped, NULL },
	{ 14, "SYN from impossible sources", syn_from_impossible_sources, NULL },
	{ 15, "old duplicate SYN", old_duplicate_syn, NULL },
	{ 16, "half-open connection found out", half_open, NULL },
	{ 0, NULL, NULL, NULL },
};
