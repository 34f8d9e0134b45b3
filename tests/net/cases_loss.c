/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases 61 to 78: congestion control and loss recovery; RFC 5681, 6582, 6675, 6928, 2018, 2883, 8985, 6937. */
#include <string.h>

#include "harness.h"

static void
newreno(struct bb_net_config *c)
{
	c->tcp.cc = BB_TCP_CC_NEWRENO;
	c->tcp.no_keepalive = true;
}

/* Sequence number at which our n-th full segment begins, from 0. */
static uint32_t
at(struct t *t, uint32_t n)
{
	return 1 + n * full(t);
}

static void
send_full(struct t *t, uint32_t n)
{
	app_send(t, n * full(t));
}

static void
expect_full(struct t *t, uint32_t n)
{
	out(t, .f = ACK, .seq = at(t, n), .ack = 1, .len = full(t));
}

static void
rto_restart(struct t *t)
{
	accepted(t, NO_SACK);
	const uint64_t begin = t->now;
	send_full(t, 3);
	CHECK_EQ(skip(t), 3);
	advance(t, MS(100));
	in(t, .f = ACK, .seq = 1, .ack = 1); /* a duplicate restarts nothing */
	advance(t, MS(50));
	in(t, .f = ACK, .seq = 1, .ack = at(t, 1)); /* new: counted from here */
	CHECK_EQ(info(t).rto_ns, MS(200));
	advance(t, begin + MS(349) - t->now);
	none(t);
	advance(t, MS(2));
	expect_full(t, 1);
	none(t);
	/* And a duplicate alone: the first time-out counts from the sending. */
	in(t, .f = ACK, .seq = 1, .ack = at(t, 3));
	advance(t, SEC(1));
	const uint64_t again = t->now;
	send_full(t, 1);
	skip(t);
	const uint64_t rto = info(t).rto_ns;
	advance(t, rto - MS(50));
	in(t, .f = ACK, .seq = 1, .ack = at(t, 3));
	advance(t, again + rto + US(40) - t->now);
	expect_full(t, 3);
}

static void
slow_start(struct t *t)
{
	accepted(t, 0);
	send_full(t, 100);
	for (uint32_t i = 0; i < 10; i++)
		expect_full(t, i);
	none(t);
	CHECK_EQ(info(t).cwnd, 10 * full(t));
	/* Bytes are counted, not ACKs. */
	in(t, .f = ACK, .seq = 1, .ack = at(t, 2));
	CHECK_EQ(info(t).cwnd, 12 * full(t));
	for (uint32_t i = 10; i < 14; i++)
		expect_full(t, i);
	none(t);
	in(t, .f = ACK, .seq = 1, .ack = at(t, 2) + 100);
	CHECK_EQ(info(t).cwnd, 12 * full(t) + 100);
	none(t);
	in(t, .f = ACK, .seq = 1, .ack = at(t, 14));
	CHECK_EQ(info(t).cwnd, 24 * full(t));
	CHECK_EQ(skip(t), 24);
}

static void
newreno_recovery(struct t *t)
{
	accepted(t, NO_SACK);
	send_full(t, 10);
	CHECK_EQ(skip(t), 10);
	in(t, .f = ACK, .seq = 1, .ack = 1);
	in(t, .f = ACK, .seq = 1, .ack = 1);
	none(t);
	in(t, .f = ACK, .seq = 1, .ack = 1);
	expect_full(t, 0);
	none(t);
	CHECK(info(t).in_recovery);
	CHECK_EQ(info(t).ssthresh, 5 * full(t));
	for (int i = 0; i < 4; i++)
		in(t, .f = ACK, .seq = 1, .ack = 1);
	none(t); /* the same loss is not repaired twice */
	/* Partial: the hole at 4 next, and at once. */
	in(t, .f = ACK, .seq = 1, .ack = at(t, 4));
	expect_full(t, 4);
	none(t);
	in(t, .f = ACK, .seq = 1, .ack = at(t, 7));
	expect_full(t, 7);
	CHECK(info(t).in_recovery);
	in(t, .f = ACK, .seq = 1, .ack = at(t, 10));
	CHECK(!info(t).in_recovery);
	CHECK_EQ(info(t).cwnd, 5 * full(t));
	CHECK_EQ(info(t).retransmits, 3);
	none(t);
	CHECK_EQ(ctr(t, BB_NET_CTR_RTO), 0);
}

static void
limited_transmit(struct t *t)
{
	accepted(t, NO_SACK);
	send_full(t, 13);
	CHECK_EQ(skip(t), 10);
	in(t, .f = ACK, .seq = 1, .ack = 1);
	expect_full(t, 10);
	none(t);
	in(t, .f = ACK, .seq = 1, .ack = 1);
	expect_full(t, 11);
	none(t);
	in(t, .f = ACK, .seq = 1, .ack = 1);
	expect_full(t, 0);
	none(t);
}

static void
what_is_no_duplicate(struct t *t)
{
	accepted(t, NO_SACK);
	send_full(t, 10);
	skip(t);
	for (int i = 0; i < 5; i++)
		in(t, .f = ACK, .seq = 1, .ack = 1, .wnd = 1000 + i);
	CHECK_EQ(skip(t), 0);
	for (uint32_t i = 0; i < 5; i++)
		in(t, .f = ACK, .seq = 1 + 10 * i, .ack = 1, .len = 10, .wnd = 1004);
	while (waiting(t) > 0)
		CHECK_EQ(any(t).len, 0);
	CHECK_EQ(info(t).retransmits, 0);
	/* Nothing in flight: nothing to repair. */
	in(t, .f = ACK, .seq = 51, .ack = at(t, 10), .wnd = 1004);
	for (int i = 0; i < 5; i++)
		in(t, .f = ACK, .seq = 51, .ack = at(t, 10), .wnd = 1004);
	none(t);
	CHECK(!info(t).in_recovery);
}

static void
rto_window(struct t *t)
{
	accepted(t, NO_SACK);
	send_full(t, 20);
	CHECK_EQ(skip(t), 10);
	advance(t, MS(201));
	expect_full(t, 0);
	none(t);
	CHECK_EQ(info(t).cwnd, full(t));
	CHECK_EQ(info(t).ssthresh, 5 * full(t));
	CHECK(info(t).in_loss);
	/* Slow start again: two for one. */
	in(t, .f = ACK, .seq = 1, .ack = at(t, 1));
	expect_full(t, 1);
	expect_full(t, 2);
	none(t);
	in(t, .f = ACK, .seq = 1, .ack = at(t, 3));
	skip(t);
	in(t, .f = ACK, .seq = 1, .ack = at(t, 10));
	CHECK(!info(t).in_loss);
	CHECK(info(t).cwnd <= 6 * full(t));
	/* Twice in a row: that is one loss, and the threshold falls once. */
	skip(t);
	bb_tcp_abort(t->net, t->a.c);
	poll(t);
	t->pport++;
	t->accepts = 0;
	t->a.pushed = 0;
	skip(t);
	accepted(t, NO_SACK);
	send_full(t, 10);
	skip(t);
	const uint32_t thresh = 5 * full(t);
	advance(t, MS(201));
	CHECK_EQ(info(t).ssthresh, thresh);
	advance(t, MS(401));
	CHECK_EQ(skip(t), 2);
	CHECK_EQ(info(t).ssthresh, thresh);
	CHECK_EQ(info(t).cwnd, info(t).mss);
}

static void
sack_recovery(struct t *t)
{
	accepted(t, 0);
	send_full(t, 30);
	CHECK_EQ(skip(t), 10);
	advance(t, RTT);
	/* 0, 1 and 5 are missing. */
	in(t, .f = ACK, .seq = 1, .ack = 1, .sack = { at(t, 2), at(t, 5) });
	expect_full(t, 0);
	none(t);
	CHECK_EQ(info(t).ssthresh, 5 * full(t));
	in(t, .f = ACK, .seq = 1, .ack = 1, .sack = { at(t, 6), at(t, 8), at(t, 2), at(t, 5) });
	/* Holes in order, and not more than what is in the network allows. */
	uint32_t next = 1;
	while (waiting(t) > 0) {
		const struct tp p = any(t);
		CHECK_EQ(p.seq, at(t, next));
		next = next == 1 ? 5 : 10;
	}
	CHECK(info(t).pipe <= 5 * full(t));
	in(t, .f = ACK, .seq = 1, .ack = 1, .sack = { at(t, 6), at(t, 10), at(t, 2), at(t, 5) });
	while (waiting(t) > 0) {
		const struct tp p = any(t);
		CHECK_EQ(p.seq, at(t, next));
		next = next == 1 ? 5 : (next == 5 ? 10 : next + 1);
	}
	CHECK(next >= 5);
	CHECK(info(t).pipe <= 5 * full(t));
	CHECK_EQ(ctr(t, BB_NET_CTR_RTO), 0);
	/* What was SACKed is never sent again. */
	advance(t, RTT);
	in(t, .f = ACK, .seq = 1, .ack = at(t, 5), .sack = { at(t, 6), at(t, 10) });
	while (waiting(t) > 0) {
		const struct tp p = any(t);
		CHECK(p.seq == at(t, 5) || p.seq >= at(t, 10));
	}
	in(t, .f = ACK, .seq = 1, .ack = at(t, 10));
	CHECK(!info(t).in_recovery);
	CHECK_EQ(info(t).retransmits, 3);
}

static void
unused_window(struct t *t)
{
	uint32_t seq = 1;

	accepted(t, 0);
	for (int i = 0; i < 50; i++) {
		app_send(t, 500);
		seq += 500;
		in(t, .f = ACK, .seq = 1, .ack = seq);
	}
	CHECK_EQ(info(t).cwnd, 10 * full(t));
	/* Used, it grows; after an idle time-out it is the first window again. */
	app_send(t, 200 * full(t));
	while (info(t).unacked_bytes > 0) {
		skip(t);
		seq += info(t).unacked_bytes;
		in(t, .f = ACK, .seq = 1, .ack = seq);
	}
	CHECK(info(t).cwnd >= 60 * full(t));
	skip(t);
	advance(t, SEC(1));
	app_send(t, 20 * full(t));
	CHECK_EQ(skip(t), 10);
}

static void
sack_blocks(struct t *t)
{
	accepted(t, 0);
	in(t, .f = ACK, .seq = 11, .ack = 1, .len = 10);
	out(t, .f = ACK, .seq = 1, .ack = 1, .sacks = 2, .sack = { 11, 21 });
	in(t, .f = ACK, .seq = 51, .ack = 1, .len = 10);
	out(t, .f = ACK, .seq = 1, .ack = 1, .sacks = 3, .sack = { 51, 61, 11, 21 });
	in(t, .f = ACK, .seq = 31, .ack = 1, .len = 10);
	out(t, .f = ACK, .seq = 1, .ack = 1, .sacks = 4, .sack = { 31, 41, 51, 61, 11, 21 });
	in(t, .f = ACK, .seq = 71, .ack = 1, .len = 10);
	out(t, .f = ACK, .seq = 1, .ack = 1, .sacks = 4, .sack = { 71, 81, 31, 41, 51, 61 });
	in(t, .f = ACK, .seq = 21, .ack = 1, .len = 10); /* joins two */
	out(t, .f = ACK, .seq = 1, .ack = 1, .sacks = 4, .sack = { 11, 41, 71, 81, 51, 61 });
	in(t, .f = ACK, .seq = 1, .ack = 1, .len = 10);
	out(t, .f = ACK, .seq = 1, .ack = 41, .sacks = 3, .sack = { 71, 81, 51, 61 });
	app_read(t, 40);
	/* Without timestamps there is room for four. */
	t->accepts = 0;
	t->pport++;
	bb_tcp_abort(t->net, t->a.c);
	poll(t);
	skip(t);
	t->a.consumed = 0;
	accepted(t, NO_TS);
	for (uint32_t i = 1; i <= 5; i++)
		in(t, .f = ACK, .seq = 1 + 20 * i, .ack = 1, .len = 10);
	CHECK_EQ(waiting(t), 5);
	for (int i = 0; i < 4; i++)
		any(t);
	out(t, .f = ACK, .seq = 1, .ack = 1, .sacks = 5, .sack = { 101, 111, 81, 91, 61, 71, 41, 51 });
}

static void
dsack(struct t *t)
{
	accepted(t, 0);
	in(t, .f = ACK, .seq = 1, .ack = 1, .len = 20);
	skip(t);
	in(t, .f = ACK, .seq = 1, .ack = 1, .len = 20);
	out(t, .f = ACK, .seq = 1, .ack = 21, .sacks = 2, .sack = { 1, 21 });
	in(t, .f = ACK, .seq = 11, .ack = 1, .len = 20);
	out(t, .f = ACK, .seq = 1, .ack = 31, .sacks = 2, .sack = { 11, 21 });
	/* Twice out of order: the duplicate first, then the block that holds it. */
	in(t, .f = ACK, .seq = 51, .ack = 1, .len = 20);
	out(t, .f = ACK, .seq = 1, .ack = 31, .sacks = 2, .sack = { 51, 71 });
	in(t, .f = ACK, .seq = 55, .ack = 1, .len = 5);
	out(t, .f = ACK, .seq = 1, .ack = 31, .sacks = 3, .sack = { 55, 60, 51, 71 });
	in(t, .f = ACK, .seq = 61, .ack = 1, .len = 20);
	out(t, .f = ACK, .seq = 1, .ack = 31, .sacks = 3, .sack = { 61, 71, 51, 81 });
	/* What fills the gap and more. */
	in(t, .f = ACK, .seq = 31, .ack = 1, .len = 30);
	out(t, .f = ACK, .seq = 1, .ack = 81, .sacks = 2, .sack = { 51, 61 });
	app_read(t, 80);
	/* Reported once. */
	in(t, .f = ACK, .seq = 81, .ack = 1, .len = 10);
	out(t, .f = ACK, .seq = 1, .ack = 91, .sacks = 1);
	CHECK_EQ(ctr(t, BB_NET_CTR_DSACK_OUT), 5);
}

static void
reneging(struct t *t)
{
	accepted(t, 0);
	send_full(t, 5);
	skip(t);
	advance(t, RTT);
	in(t, .f = ACK, .seq = 1, .ack = 1, .sack = { at(t, 1), at(t, 5) });
	expect_full(t, 0);
	none(t);
	advance(t, RTT);
	/* The peer took the rest back. */
	in(t, .f = ACK, .seq = 1, .ack = at(t, 1));
	none(t);
	advance(t, MS(250));
	CHECK_EQ(ctr(t, BB_NET_CTR_RENEGED), 1);
	for (uint32_t i = 1; i < 5; i++) {
		expect_full(t, i);
		in(t, .f = ACK, .seq = 1, .ack = at(t, i + 1));
		if (i == 1)
			CHECK(waiting(t) <= 2);
	}
	none(t);
	CHECK_EQ(t->a.released, 5 * full(t));
}

static void
overlaps(struct t *t)
{
	const uint32_t edges[] = { 50, 100, 150, 200, 250, 300 };

	accepted(t, 0);
	uint32_t base = 1, n = 0;
	/* All relations of an interval to [100, 200): before, meets, overlaps, starts, during, finishes, equal ... */
	for (int i = 0; i < 6; i++) {
		for (int j = i + 1; j < 6; j++) {
			for (int order = 0; order < 2; order++, n++) {
				const uint32_t s = base + edges[i], len = edges[j] - edges[i];
				if (order == 0)
					in(t, .f = ACK, .seq = base + 100, .ack = 1, .len = 100);
				in(t, .f = ACK, .seq = s, .ack = 1, .len = len);
				if (order == 1)
					in(t, .f = ACK, .seq = base + 100, .ack = 1, .len = 100);
				/* A third across whatever is there, then the rest in order. */
				in(t, .f = ACK, .seq = base + 30 + 7 * n, .ack = 1, .len = 60);
				in(t, .f = ACK, .seq = base, .ack = 1, .len = 70);
				in(t, .f = ACK, .seq = base + 60, .ack = 1, .len = 340);
				base += 400;
				CHECK_EQ(any_(t, __FILE__, __LINE__).f & ACK, ACK);
				skip(t);
				CHECK_EQ(bb_tcp_rx_bytes(t->a.c), 400);
				app_read(t, 400);
				CHECK_EQ(info(t).ooo_bytes, 0);
			}
		}
	}
	struct bb_net_usage u;
	bb_net_usage(t->net, &u);
	CHECK_EQ(u.holes + u.rx_nodes + u.rx_blocks, 0);
}

static void
too_many_holes(struct t *t)
{
	struct bb_net_usage u;

	accepted(t, 0);
	/* Left to right: what comes beyond the 64th is dropped. */
	for (uint32_t i = 1; i <= 200; i++)
		in(t, .f = ACK, .seq = 1 + 2 * i, .ack = 1, .len = 1);
	skip(t);
	bb_net_usage(t->net, &u);
	CHECK_EQ(info(t).ooo_bytes, 64);
	CHECK_EQ(u.rx_nodes, 64);
	CHECK_EQ(ctr(t, BB_NET_CTR_DROP_TCP_OOO), 136);
	/* From the left again: those furthest right give way. */
	in(t, .f = ACK, .seq = 2, .ack = 1, .len = 1);
	CHECK_EQ(info(t).ooo_bytes, 64);
	for (uint32_t i = 400; i >= 2; i -= 2)
		in(t, .f = ACK, .seq = 1000 + i, .ack = 1, .len = 1);
	bb_net_usage(t->net, &u);
	CHECK(u.rx_nodes <= 65);
	for (uint32_t i = 0; i < 15; i++)
		in(t, .f = ACK, .seq = 1 + 100 * i, .ack = 1, .len = 100);
	CHECK_EQ(bb_tcp_rx_bytes(t->a.c), 1500);
	app_read(t, 1500);
	bb_net_usage(t->net, &u);
	CHECK_EQ(u.holes + u.rx_nodes + u.rx_blocks, 0);
}

static void
rack_reordering(struct t *t)
{
	accepted(t, 0);
	/* A round trip of 10 ms is known; one that is acknowledged makes it the minimum. */
	send_full(t, 10);
	skip(t);
	advance(t, RTT);
	in(t, .f = ACK, .seq = 1, .ack = 1, .sack = { at(t, 1), at(t, 2) });
	none(t);
	advance(t, MS(2)); /* less than a quarter */
	none(t);
	in(t, .f = ACK, .seq = 1, .ack = at(t, 10));
	none(t);
	advance(t, SEC(1));
	none(t);
	CHECK_EQ(info(t).retransmits, 0);
	/* And when it does not come: after a quarter. */
	send_full(t, 10);
	skip(t);
	advance(t, RTT);
	in(t, .f = ACK, .seq = 1, .ack = at(t, 10), .sack = { at(t, 11), at(t, 12) });
	advance(t, MS(2) + US(400));
	none(t);
	advance(t, US(200));
	expect_full(t, 10);
	none(t);
	CHECK(info(t).in_recovery);
}

static void
reo_wnd_adapts(struct t *t)
{
	uint32_t n = 0;

	accepted(t, 0);
	send_full(t, 10);
	skip(t);
	advance(t, RTT);
	in(t, .f = ACK, .seq = 1, .ack = 1, .sack = { at(t, 1), at(t, 2) });
	advance(t, MS(3));
	expect_full(t, 0);
	CHECK_EQ(info(t).reo_wnd_mult, 1);
	/* It was needless: the first copy came. */
	in(t, .f = ACK, .seq = 1, .ack = at(t, 5), .sack = { at(t, 0), at(t, 1) });
	CHECK_EQ(info(t).reo_wnd_mult, 2);
	/* Once per round trip. */
	in(t, .f = ACK, .seq = 1, .ack = at(t, 6), .sack = { at(t, 0), at(t, 1) });
	CHECK_EQ(info(t).reo_wnd_mult, 2);
	in(t, .f = ACK, .seq = 1, .ack = at(t, 10));
	n = 10;
	for (int i = 0; i < 16; i++) { /* leaving the first counts too */
		CHECK_EQ(info(t).reo_wnd_mult, i < 15 ? 2 : 1);
		send_full(t, 2);
		skip(t);
		advance(t, RTT);
		in(t, .f = ACK, .seq = 1, .ack = at(t, n), .sack = { at(t, n + 1), at(t, n + 2) });
		advance(t, RTT);
		CHECK_EQ(skip(t), 1);
		in(t, .f = ACK, .seq = 1, .ack = at(t, n + 2));
		CHECK(!info(t).in_recovery);
		n += 2;
	}
}

static void
lost_retransmission(struct t *t)
{
	accepted(t, 0);
	send_full(t, 30);
	CHECK_EQ(skip(t), 10);
	advance(t, RTT);
	in(t, .f = ACK, .seq = 1, .ack = 1, .sack = { at(t, 1), at(t, 9) });
	expect_full(t, 0);
	uint32_t sent = 0;
	while (waiting(t) > 0) {
		CHECK(any(t).seq >= at(t, 10));
		sent++;
	}
	CHECK(sent > 0);
	/* The retransmission is lost, what was sent behind it arrives. */
	advance(t, RTT);
	in(t, .f = ACK, .seq = 1, .ack = 1, .sack = { at(t, 1), at(t, 10 + sent) });
	advance(t, MS(3));
	expect_full(t, 0);
	CHECK_EQ(ctr(t, BB_NET_CTR_RTO), 0);
}

static void
tail_loss_probe(struct t *t)
{
	accepted(t, 0);
	send_full(t, 5);
	CHECK_EQ(skip(t), 5);
	const uint32_t cwnd = info(t).cwnd;
	advance(t, MS(19));
	none(t);
	advance(t, MS(1) + US(40));
	expect_full(t, 4); /* nothing new: the last again */
	none(t);
	CHECK_EQ(ctr(t, BB_NET_CTR_TLP), 1);
	/* The original had arrived: no loss. */
	in(t, .f = ACK, .seq = 1, .ack = at(t, 5), .sack = { at(t, 4), at(t, 5) });
	CHECK_EQ(info(t).cwnd, cwnd);
	CHECK_EQ(info(t).ssthresh, UINT32_MAX);
	/* One segment in flight: the peer may hold back its ACK. */
	const uint64_t srtt = info(t).srtt_ns;
	send_full(t, 1);
	skip(t);
	advance(t, 2 * srtt + MS(39));
	none(t);
	advance(t, MS(2));
	expect_full(t, 5);
	/* It was lost and the probe repaired it: seen when more is acknowledged than the probe. */
	send_full(t, 1);
	skip(t);
	in(t, .f = ACK, .seq = 1, .ack = at(t, 7));
	CHECK(info(t).ssthresh != UINT32_MAX);
	/* With something unsent the probe is new data. */
	const uint32_t n = 7, w = info(t).cwnd / full(t);
	send_full(t, w + 3);
	uint32_t sent = skip(t);
	CHECK(sent <= w);
	advance(t, 2 * info(t).srtt_ns + MS(1));
	expect_full(t, n + sent);
	none(t);
	CHECK_EQ(ctr(t, BB_NET_CTR_RTO), 0);
}

static void
prr(struct t *t)
{
	accepted(t, 0);
	send_full(t, 200);
	CHECK_EQ(skip(t), 10);
	in(t, .f = ACK, .seq = 1, .ack = at(t, 10));
	CHECK_EQ(skip(t), 20);
	advance(t, RTT);
	/* 20 in flight, the first is lost: for two that arrive one leaves, to half of it. */
	uint32_t sent = 0;
	for (uint32_t i = 2; i <= 20; i++) {
		in(t, .f = ACK, .seq = 1, .ack = at(t, 10), .sack = { at(t, 11), at(t, 10 + i) });
		const uint32_t now = skip(t);
		CHECK(now <= 1);
		sent += now;
		CHECK(sent <= (i - 1 + 1) / 2 + 1);
		if (i == 3)
			advance(t, MS(3));
	}
	sent += skip(t);
	CHECK(info(t).in_recovery);
	CHECK_EQ(info(t).ssthresh, 10 * full(t));
	CHECK(sent >= 9 && sent <= 11);
	CHECK(info(t).pipe >= 9 * full(t) && info(t).pipe <= 10 * full(t));
	advance(t, RTT);
	in(t, .f = ACK, .seq = 1, .ack = at(t, 10) + info(t).unacked_bytes);
	CHECK(!info(t).in_recovery);
	CHECK_EQ(info(t).cwnd, 10 * full(t));
}

const struct test_case cases_loss[] = {
	{ 61, "RTO restarts on new ACKs only", rto_restart, newreno },
	{ 62, "first window, slow start", slow_start, NULL },
	{ 63, "NewReno recovery", newreno_recovery, newreno },
	{ 64, "limited transmit", limited_transmit, newreno },
	{ 65, "what is no duplicate ACK", what_is_no_duplicate, newreno },
	{ 66, "window after a time-out", rto_window, newreno },
	{ 67, "SACK recovery", sack_recovery, newreno },
	{ 68, "unused window, idle restart", unused_window, newreno },
	{ 69, "SACK blocks", sack_blocks, NULL },
	{ 70, "D-SACK", dsack, NULL },
	{ 71, "reneging", reneging, newreno },
	{ 72, "overlapping segments", overlaps, NULL },
	{ 73, "too many holes", too_many_holes, NULL },
	{ 74, "RACK and reordering", rack_reordering, newreno },
	{ 75, "reordering window adapts", reo_wnd_adapts, newreno },
	{ 76, "lost retransmission", lost_retransmission, newreno },
	{ 77, "tail loss probe", tail_loss_probe, newreno },
	{ 78, "proportional rate reduction", prr, newreno },
	{ 0, NULL, NULL, NULL },
};
