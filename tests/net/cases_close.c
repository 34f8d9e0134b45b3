/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases 31 to 42: closing, RFC 9293 3.6 and 3.10.4. */
#include <string.h>

#include "harness.h"

static uint32_t
timewaits(struct t *t)
{
	struct bb_net_usage u;

	bb_net_usage(t->net, &u);
	return u.timewaits;
}

static bool
state_is(struct t *t, const char *state)
{
	return strcmp(info(t).state, state) == 0;
}

static void
app_close(struct t *t)
{
	bb_tcp_close(t->net, t->a.c, BB_NEVER);
	poll(t);
}

static void
active_close(struct t *t)
{
	accepted(t, 0);
	app_close(t);
	out(t, .f = FIN | ACK, .seq = 1, .ack = 1);
	CHECK(state_is(t, "FIN-WAIT-1"));
	in(t, .f = ACK, .seq = 1, .ack = 2);
	CHECK(state_is(t, "FIN-WAIT-2"));
	none(t);
	in(t, .f = FIN | ACK, .seq = 1, .ack = 2);
	out(t, .f = ACK, .seq = 2, .ack = 2);
	CHECK_EQ(t->a.closed, 1);
	CHECK_EQ(t->a.reason, BB_TCP_DONE);
	CHECK_EQ(timewaits(t), 1);
	advance(t, SEC(59));
	CHECK_EQ(timewaits(t), 1);
	advance(t, SEC(2));
	CHECK_EQ(timewaits(t), 0);
	none(t);
}

static void
ack_and_fin_at_once(struct t *t)
{
	accepted(t, 0);
	app_send(t, 10);
	out(t, .f = ACK, .seq = 1, .ack = 1, .len = 10);
	app_close(t);
	out(t, .f = FIN | ACK, .seq = 11, .ack = 1);
	in(t, .f = FIN | ACK, .seq = 1, .ack = 12, .len = 0);
	out(t, .f = ACK, .seq = 12, .ack = 2);
	none(t);
	CHECK_EQ(t->a.closed, 1);
	CHECK_EQ(t->a.released, 10);
	CHECK_EQ(timewaits(t), 1);
}

static void
simultaneous_close(struct t *t)
{
	accepted(t, 0);
	app_close(t);
	out(t, .f = FIN | ACK, .seq = 1, .ack = 1);
	in(t, .f = FIN | ACK, .seq = 1, .ack = 1);
	out(t, .f = ACK, .seq = 2, .ack = 2);
	CHECK(state_is(t, "CLOSING"));
	CHECK_EQ(t->a.closed, 0);
	in(t, .f = ACK, .seq = 2, .ack = 2);
	none(t);
	CHECK_EQ(t->a.closed, 1);
	CHECK_EQ(t->a.reason, BB_TCP_DONE);
	CHECK_EQ(timewaits(t), 1);
}

static void
passive_close(struct t *t)
{
	accepted(t, 0);
	in(t, .f = FIN | ACK, .seq = 1, .ack = 1);
	out(t, .f = ACK, .seq = 1, .ack = 2);
	CHECK(t->a.eof);
	CHECK(state_is(t, "CLOSE-WAIT"));
	app_send(t, 100);
	out(t, .f = ACK, .seq = 1, .ack = 2, .len = 100);
	in(t, .f = ACK, .seq = 2, .ack = 101);
	CHECK_EQ(t->a.released, 100);
	app_close(t);
	out(t, .f = FIN | ACK, .seq = 101, .ack = 2);
	CHECK(state_is(t, "LAST-ACK"));
	in(t, .f = ACK, .seq = 2, .ack = 102);
	none(t);
	CHECK_EQ(t->a.closed, 1);
	CHECK_EQ(t->a.reason, BB_TCP_DONE);
	CHECK_EQ(timewaits(t), 0);
}

static void
fin_out_of_order(struct t *t)
{
	accepted(t, 0);
	in(t, .f = FIN | ACK, .seq = 16, .ack = 1);
	out(t, .f = ACK, .seq = 1, .ack = 1);
	in(t, .f = ACK, .seq = 11, .ack = 1, .len = 5);
	out(t, .f = ACK, .seq = 1, .ack = 1, .sacks = 2, .sack = { 11, 16 });
	CHECK_EQ(t->a.readable, 0);
	CHECK(state_is(t, "ESTABLISHED"));
	in(t, .f = ACK, .seq = 1, .ack = 1, .len = 10);
	out(t, .f = ACK, .seq = 1, .ack = 17);
	CHECK(state_is(t, "CLOSE-WAIT"));
	CHECK(!t->a.eof);
	app_read(t, 15);
	CHECK(bb_tcp_rx_eof(t->a.c));
	/* What pretends to lie behind the FIN is not taken. */
	in(t, .f = ACK, .seq = 17, .ack = 1, .len = 10);
	CHECK_EQ(bb_tcp_rx_bytes(t->a.c), 0);
}

static void
fin_again_in_time_wait(struct t *t)
{
	accepted(t, 0);
	app_close(t);
	skip(t);
	in(t, .f = FIN | ACK, .seq = 1, .ack = 2);
	out(t, .f = ACK, .seq = 2, .ack = 2);
	advance(t, SEC(30));
	in(t, .f = FIN | ACK, .seq = 1, .ack = 2);
	out(t, .f = ACK, .seq = 2, .ack = 2, .ts_set = true,
		.tsecr = t->ts_base + (uint32_t)(t->now / MS(1)));
	advance(t, SEC(45));
	CHECK_EQ(timewaits(t), 1);
	advance(t, SEC(16));
	CHECK_EQ(timewaits(t), 0);
	none(t);
}

static void
half_close(struct t *t)
{
	accepted(t, 0);
	app_send(t, 10);
	bb_tcp_shutdown(t->net, t->a.c);
	poll(t);
	out(t, .f = ACK, .seq = 1, .ack = 1, .len = 10);
	out(t, .f = FIN | ACK, .seq = 11, .ack = 1);
	in(t, .f = ACK, .seq = 1, .ack = 12);
	CHECK(state_is(t, "FIN-WAIT-2"));
	const struct bb_tcp_span span = { .data = (const uint8_t *)"x", .len = 1 };
	CHECK(bb_tcp_tx_push(t->net, t->a.c, &span, 1) < 0);
	advance(t, SEC(100)); /* as long as it likes: there is an application */
	while (waiting(t) > 0) {
		out(t, .f = ACK, .seq = 11, .ack = 1); /* keepalive */
		in(t, .f = ACK, .seq = 1, .ack = 12);
	}
	in(t, .f = ACK, .seq = 1, .ack = 12, .len = 500);
	out(t, .f = ACK, .seq = 12, .ack = 501);
	app_read(t, 300);
	in(t, .f = FIN | ACK, .seq = 501, .ack = 12, .len = 100);
	out(t, .f = ACK, .seq = 12, .ack = 602);
	/* Off the wire, but there is still something to read. */
	CHECK_EQ(timewaits(t), 1);
	CHECK_EQ(t->a.closed, 0);
	app_read(t, 300);
	CHECK(bb_tcp_rx_eof(t->a.c));
	app_close(t);
	CHECK_EQ(t->a.closed, 1);
	CHECK_EQ(t->a.reason, BB_TCP_DONE);
	none(t);
}

static void
fin_never_acknowledged(struct t *t)
{
	uint64_t gap = MS(200);

	accepted(t, NO_SACK);
	const uint64_t begin = t->now;
	app_close(t);
	out(t, .f = FIN | ACK, .seq = 1, .ack = 1);
	for (uint64_t at = begin + gap; at < begin + SEC(100); gap *= 2, at += gap) {
		advance(t, at + US(200) - t->now);
		out(t, .f = FIN | ACK, .seq = 1, .ack = 1);
		CHECK(sent_at(t) >= at && sent_at(t) <= at + US(200));
		none(t);
		if (gap > SEC(30))
			break;
	}
	CHECK_EQ(t->a.closed, 0);
	advance(t, begin + SEC(100) + US(200) - t->now);
	skip(t);
	CHECK_EQ(t->a.closed, 1);
	CHECK_EQ(t->a.reason, BB_TCP_TIMEOUT);
	struct bb_net_usage u;
	bb_net_usage(t->net, &u);
	CHECK_EQ(u.conns + u.records, 0);
}

static void
close_with_unread_data(struct t *t)
{
	accepted(t, 0);
	in(t, .f = ACK, .seq = 1, .ack = 1, .len = 10);
	skip(t);
	app_close(t);
	out(t, .f = RST | ACK, .seq = 1, .ack = 11);
	none(t);
	CHECK_EQ(t->a.closed, 1);
	CHECK_EQ(t->a.reason, BB_TCP_ABORTED);
}

static void
data_after_close(struct t *t)
{
	accepted(t, 0);
	app_close(t);
	out(t, .f = FIN | ACK, .seq = 1, .ack = 1);
	in(t, .f = ACK, .seq = 1, .ack = 2);
	in(t, .f = ACK, .seq = 1, .ack = 2, .len = 10);
	out(t, .f = RST | ACK, .seq = 2, .ack = 1);
	none(t);
	CHECK_EQ(t->a.closed, 1);
	CHECK_EQ(ctr(t, BB_NET_CTR_DROP_TCP_AFTER_CLOSE), 1);
	/* Nothing is left that could answer otherwise. */
	in(t, .f = ACK, .seq = 11, .ack = 2, .len = 10);
	out(t, .f = RST, .seq = 2);
}

static void
close_under_zero_window(struct t *t)
{
	accepted(t, 0);
	in(t, .f = ACK, .seq = 1, .ack = 1, .wnd = NOWND);
	const uint64_t begin = t->now;
	app_send(t, 100);
	app_close(t);
	CHECK(state_is(t, "FIN-WAIT-1"));
	none(t);
	/* The peer answers every probe and opens nothing: an orphan waits no longer than the user timeout. */
	int probes = 0;
	while (t->a.closed == 0 && t->now < begin + SEC(200)) {
		advance(t, MS(100));
		while (waiting(t) > 0) {
			const struct tp p = any(t);
			if (p.f & RST)
				continue;
			CHECK_EQ(p.len, 0);
			CHECK(!(p.f & FIN));
			probes++;
			in(t, .f = ACK, .seq = 1, .ack = 1, .wnd = NOWND);
		}
	}
	CHECK(probes >= 8);
	CHECK_EQ(t->a.reason, BB_TCP_TIMEOUT);
	CHECK(t->now >= begin + SEC(100) && t->now <= begin + SEC(101));
}

static void
orphan_in_fin_wait_2(struct t *t)
{
	accepted(t, 0);
	app_close(t);
	skip(t);
	in(t, .f = ACK, .seq = 1, .ack = 2);
	CHECK(state_is(t, "FIN-WAIT-2"));
	advance(t, SEC(59));
	none(t);
	CHECK_EQ(t->a.closed, 0);
	advance(t, SEC(2));
	CHECK_EQ(t->a.closed, 1);
	struct bb_net_usage u;
	bb_net_usage(t->net, &u);
	CHECK_EQ(u.conns, 0);
	/* Half-closed first, abandoned later: the time counts from then. */
	t->accepts = t->a.closed = 0;
	t->pport++;
	skip(t);
	accepted(t, 0);
	bb_tcp_shutdown(t->net, t->a.c);
	poll(t);
	skip(t);
	in(t, .f = ACK, .seq = 1, .ack = 2);
	advance(t, SEC(30));
	app_close(t);
	advance(t, SEC(59));
	CHECK_EQ(t->a.closed, 0);
	advance(t, SEC(2));
	CHECK_EQ(t->a.closed, 1);
}

const struct test_case cases_close[] = {
	{ 31, "active close", active_close, NULL },
	{ 32, "ACK and FIN in one segment", ack_and_fin_at_once, NULL },
	{ 33, "simultaneous close", simultaneous_close, NULL },
	{ 34, "passive close", passive_close, NULL },
	{ 35, "FIN out of order", fin_out_of_order, NULL },
	{ 36, "FIN again in TIME-WAIT", fin_again_in_time_wait, NULL },
	{ 37, "half-close", half_close, NULL },
	{ 38, "FIN never acknowledged", fin_never_acknowledged, NULL },
	{ 39, "close with unread data", close_with_unread_data, NULL },
	{ 40, "data after close", data_after_close, NULL },
	{ 41, "close under zero window", close_under_zero_window, NULL },
	{ 42, "orphan in FIN-WAIT-2", orphan_in_fin_wait_2, NULL },
	{ 0, NULL, NULL, NULL },
};
