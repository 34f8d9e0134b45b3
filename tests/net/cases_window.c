/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases 43 to 51: zero window, silly windows, delayed ACK, keepalive; RFC 9293 3.8, RFC 1122 4.2.3, RFC 6429. */
#include <string.h>

#include "harness.h"

static void
small_rcvbuf(struct bb_net_config *c)
{
	c->tcp.rcvbuf_bytes = 4096;
}

static void
one_quickack(struct bb_net_config *c)
{
	c->tcp.quickack_segs = 1;
}

static void
no_keepalive(struct bb_net_config *c)
{
	c->tcp.no_keepalive = true;
}

static void
close_window(struct t *t)
{
	in(t, .f = ACK, .seq = 1, .ack = 1, .wnd = NOWND);
	none(t);
}

static void
persist(struct t *t)
{
	accepted(t, 0);
	close_window(t);
	app_send(t, 100);
	none(t);
	uint64_t last = t->now, gap = info(t).rto_ns;
	CHECK_EQ(gap, MS(200));
	for (int i = 0; i < 70; i++) {
		advance(t, gap + US(40) - (t->now - last));
		out(t, .f = ACK, .seq = 0, .ack = 1);
		CHECK(sent_at(t) - last >= gap && sent_at(t) - last <= gap + US(40));
		none(t);
		last = sent_at(t);
		gap = gap * 2 < SEC(60) ? gap * 2 : SEC(60);
		in(t, .f = ACK, .seq = 1, .ack = 1, .wnd = NOWND);
	}
	/* An hour later: it has not given up, and goes on when the window opens. */
	CHECK_EQ(t->a.closed, 0);
	in(t, .f = ACK, .seq = 1, .ack = 1, .wnd = 1000);
	out(t, .f = ACK, .seq = 1, .ack = 1, .len = 100);
	/* Unanswered probes are another matter. */
	in(t, .f = ACK, .seq = 1, .ack = 101, .wnd = NOWND);
	app_send(t, 100);
	advance(t, SEC(99));
	CHECK_EQ(t->a.closed, 0);
	advance(t, SEC(62)); /* looked at when the next probe is due */
	CHECK_EQ(t->a.closed, 1);
	CHECK_EQ(t->a.reason, BB_TCP_TIMEOUT);
}

static void
lost_window_update(struct t *t)
{
	accepted(t, 0);
	close_window(t);
	app_send(t, 3000);
	/* The update never comes; the answer to the probe says it. */
	advance(t, MS(201));
	out(t, .f = ACK, .seq = 0, .ack = 1);
	in(t, .f = ACK, .seq = 1, .ack = 1, .wnd = 1000);
	CHECK_EQ(skip(t), 3000 / full(t) + 1);
	in(t, .f = ACK, .seq = 1, .ack = 3001);
	advance(t, SEC(30));
	none(t);
}

static void
probe_answered_once(struct t *t)
{
	accepted(t, 0);
	in(t, .f = ACK, .seq = 1, .ack = 1, .len = 4096);
	out(t, .f = ACK, .seq = 1, .ack = 4097, .wnd = NOWND);
	/* Both windows closed, both with data. */
	in(t, .f = ACK, .seq = 4097, .ack = 1, .wnd = NOWND);
	app_send(t, 10);
	none(t);
	in(t, .f = ACK, .seq = 4096, .ack = 1, .wnd = NOWND); /* Linux' probe */
	out(t, .f = ACK, .seq = 1, .ack = 4097, .wnd = NOWND);
	none(t);
	in(t, .f = ACK, .seq = 4097, .ack = 1, .len = 1, .wnd = NOWND); /* BSD's probe */
	out(t, .f = ACK, .seq = 1, .ack = 4097, .wnd = NOWND);
	none(t);
	/* An answer to a probe of ours is not answered. */
	in(t, .f = ACK, .seq = 4097, .ack = 1, .wnd = NOWND);
	none(t);
}

static void
receiver_sws(struct t *t)
{
	accepted(t, 0);
	in(t, .f = ACK, .seq = 1, .ack = 1, .len = 4096);
	out(t, .f = ACK, .seq = 1, .ack = 4097, .wnd = NOWND);
	for (int i = 0; i < 1023; i += 341) {
		app_read(t, 341);
		poll(t);
		none(t);
		in(t, .f = ACK, .seq = 4096, .ack = 1);
		out(t, .f = ACK, .seq = 1, .ack = 4097, .wnd = NOWND);
	}
	app_read(t, 1);
	poll(t);
	out(t, .f = ACK, .seq = 1, .ack = 4097, .wnd = 1024);
	none(t);
}

static void
sender_sws(struct t *t)
{
	/* A peer whose window never was larger than 1000. */
	in(t, .f = SYN, .mss = 1400, .wnd = 1000);
	out(t, .f = SYN | ACK, .ack = 1);
	in(t, .f = ACK, .seq = 1, .ack = 1, .wnd = 1000);
	app_send(t, 5000);
	out(t, .f = ACK, .seq = 1, .ack = 1, .len = 1000);
	none(t);
	in(t, .f = ACK, .seq = 1, .ack = 1001, .wnd = 499);
	none(t);
	in(t, .f = ACK, .seq = 1, .ack = 1001, .wnd = 500); /* half the largest */
	out(t, .f = ACK, .seq = 1001, .ack = 1, .len = 500);
	in(t, .f = ACK, .seq = 1, .ack = 1501, .wnd = 100);
	none(t);
	advance(t, MS(199));
	none(t);
	advance(t, MS(2));
	out(t, .f = ACK, .seq = 1501, .ack = 1, .len = 100); /* better than nothing */
	none(t);
}

static void
nagle(struct t *t)
{
	uint32_t seq = 1;

	accepted(t, 0);
	/* Off: each write leaves at once. */
	app_send(t, 10);
	out(t, .f = ACK, .seq = 1, .ack = 1, .len = 10);
	app_send(t, 10);
	out(t, .f = ACK, .seq = 11, .ack = 1, .len = 10);
	seq = 21;
	in(t, .f = ACK, .seq = 1, .ack = seq);
	bb_tcp_set_nagle(t->a.c, true);
	app_send(t, 10);
	out(t, .f = ACK, .seq = seq, .ack = 1, .len = 10);
	app_send(t, 20);
	none(t);
	app_send(t, full(t)); /* a full segment does not wait */
	out(t, .f = ACK, .seq = seq + 10, .ack = 1, .len = full(t));
	none(t);
	in(t, .f = ACK, .seq = 1, .ack = seq + 10 + full(t));
	out(t, .f = ACK, .seq = seq + 10 + full(t), .ack = 1, .len = 20);
	seq += 30 + full(t);
	in(t, .f = ACK, .seq = 1, .ack = seq);
	bb_tcp_set_nagle(t->a.c, false);
	/* Corked: full segments alone; uncorking sends the rest. */
	bb_tcp_set_cork(t->net, t->a.c, true);
	app_send(t, 100);
	advance(t, SEC(1));
	none(t);
	app_send(t, full(t));
	out(t, .f = ACK, .seq = seq, .ack = 1, .len = full(t));
	none(t);
	bb_tcp_set_cork(t->net, t->a.c, false);
	poll(t);
	out(t, .f = ACK, .seq = seq + full(t), .ack = 1, .len = 100);
}

static void
delayed_ack(struct t *t)
{
	accepted(t, 0);
	const uint32_t n = full(t);
	uint32_t seq = 1;

	in(t, .f = ACK, .seq = seq, .ack = 1, .len = n); /* the first: at once */
	out(t, .f = ACK, .seq = 1, .ack = seq += n);
	/* One segment: after the delay and not before. */
	in(t, .f = ACK, .seq = seq, .ack = 1, .len = n);
	advance(t, MS(39));
	none(t);
	advance(t, MS(1) + US(40));
	out(t, .f = ACK, .seq = 1, .ack = seq += n);
	/* Every second full one. */
	in(t, .f = ACK, .seq = seq, .ack = 1, .len = n);
	none(t);
	in(t, .f = ACK, .seq = seq + n, .ack = 1, .len = n);
	out(t, .f = ACK, .seq = 1, .ack = seq += 2 * n);
	/* A duplicate, a gap, and what fills it: at once. */
	in(t, .f = ACK, .seq = seq - n, .ack = 1, .len = n);
	out(t, .f = ACK, .seq = 1, .ack = seq);
	in(t, .f = ACK, .seq = seq + n, .ack = 1, .len = n);
	out(t, .f = ACK, .seq = 1, .ack = seq);
	in(t, .f = ACK, .seq = seq, .ack = 1, .len = n);
	out(t, .f = ACK, .seq = 1, .ack = seq += 2 * n);
	/* An answer carries it. */
	in(t, .f = ACK, .seq = seq, .ack = 1, .len = 10);
	none(t);
	app_send(t, 10);
	out(t, .f = ACK, .seq = 1, .ack = seq += 10, .len = 10);
	in(t, .f = ACK, .seq = seq, .ack = 11);
	advance(t, SEC(1));
	none(t);
	/* A FIN is acknowledged at once. */
	in(t, .f = ACK | FIN, .seq = seq, .ack = 11, .len = 1);
	out(t, .f = ACK, .seq = 11, .ack = seq + 2);
}

static void
keepalive(struct t *t)
{
	accepted(t, 0);
	advance(t, SEC(59));
	none(t);
	advance(t, SEC(1) + US(40));
	out(t, .f = ACK, .seq = 0, .ack = 1);
	advance(t, SEC(10) + US(40));
	out(t, .f = ACK, .seq = 0, .ack = 1);
	/* An answer, and the count begins anew. */
	in(t, .f = ACK, .seq = 1, .ack = 1);
	advance(t, SEC(59));
	none(t);
	for (int i = 0; i < 6; i++) {
		advance(t, i == 0 ? SEC(1) + MS(1) : SEC(10) + US(20));
		out(t, .f = ACK, .seq = 0, .ack = 1);
		none(t);
	}
	CHECK_EQ(t->a.closed, 0);
	advance(t, SEC(10) + MS(1));
	out(t, .f = RST | ACK, .seq = 1, .ack = 1);
	CHECK_EQ(t->a.closed, 1);
	CHECK_EQ(t->a.reason, BB_TCP_TIMEOUT);
	CHECK_EQ(ctr(t, BB_NET_CTR_KEEPALIVE), 8);
}

static void
user_timeout(struct t *t)
{
	accepted(t, 0);
	app_send(t, 100);
	const uint64_t begin = t->now;
	advance(t, SEC(60));
	CHECK_EQ(t->a.closed, 0);
	skip(t);
	/* Progress starts it anew. */
	in(t, .f = ACK, .seq = 1, .ack = 51);
	advance(t, begin + SEC(159) - t->now);
	CHECK_EQ(t->a.closed, 0);
	advance(t, SEC(2));
	CHECK_EQ(t->a.closed, 1);
	CHECK_EQ(t->a.reason, BB_TCP_TIMEOUT);
	CHECK_EQ(t->a.released, 50);
}

const struct test_case cases_window[] = {
	{ 43, "persist", persist, NULL },
	{ 44, "lost window update", lost_window_update, NULL },
	{ 45, "window probe answered once", probe_answered_once, small_rcvbuf },
	{ 46, "receiver avoids silly windows", receiver_sws, small_rcvbuf },
	{ 47, "sender avoids silly windows", sender_sws, NULL },
	{ 48, "Nagle, cork", nagle, NULL },
	{ 49, "delayed ACK", delayed_ack, one_quickack },
	{ 50, "keepalive", keepalive, NULL },
	{ 51, "user timeout", user_timeout, no_keepalive },
	{ 0, NULL, NULL, NULL },
};
