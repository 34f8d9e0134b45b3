/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_cc: how much may be in the network. CUBIC (RFC 9438), NewReno (RFC 5681) and DCTCP (RFC 8257) differ in
 * what a reduction leaves and in how the window grows afterwards; slow start (RFC 5681 with byte counting,
 * RFC 3465), the first window (RFC 6928), and proportional rate reduction (RFC 6937) are common to them.
 */
#include <math.h>

#include "net/tcp_priv.h"

#define CUBIC_C 0.4f
#define CUBIC_BETA 0.7f
#define DCTCP_G 0.0625f
#define CWND_MAX (1u << 30)

uint32_t
cc_initial_window(const struct bb_net *net, const struct bb_tcp *c)
{
	const uint32_t segs = net->tcp->t.initial_window_segs;

	if (segs != 10)
		return segs * c->mss;
	return (uint32_t)bb_min_u64(10u * c->mss, bb_max_u64(2u * c->mss, 14600));
}

void
cc_init(struct bb_net *net, struct bb_tcp *c)
{
	c->cwnd = cc_initial_window(net, c);
	c->ssthresh = UINT32_MAX;
	c->ca_state = CA_OPEN;
	c->high_seq = c->snd_una;
	c->flight_round_end = c->snd_una;
	c->cc = (union cc_state){ 0 };
	if (net->tcp->t.cc == BB_TCP_CC_DCTCP) {
		c->cc.dctcp.alpha = 1.0f;
		c->cc.dctcp.window_end = c->snd_nxt;
	}
}

static void
grow_to(struct bb_tcp *c, uint64_t cwnd)
{
	c->cwnd = (uint32_t)bb_min_u64(cwnd, CWND_MAX);
}

/* One segment per window: bytes are saved up until they make one. */
static void
reno_grow(struct bb_tcp *c, uint32_t *frac, uint32_t bytes)
{
	*frac += bytes;
	if (*frac >= c->cwnd) {
		*frac -= c->cwnd;
		grow_to(c, (uint64_t)c->cwnd + c->mss);
	}
}

static void
cubic_epoch(struct bb_net *net, struct bb_tcp *c)
{
	const float segs = (float)c->cwnd / (float)c->mss;

	c->cc.cubic.epoch_ns = net->now_ns;
	c->cc.cubic.frac = 0;
	c->cc.cubic.w_est = segs;
	if (c->cc.cubic.w_max <= segs) {
		c->cc.cubic.w_max = segs;
		c->cc.cubic.k = 0;
	} else {
		c->cc.cubic.k = cbrtf((c->cc.cubic.w_max - segs) / CUBIC_C);
	}
}

/* RFC 9438 4.2 to 4.5; windows in segments, time in seconds. */
static void
cubic_grow(struct bb_net *net, struct bb_tcp *c, uint32_t bytes)
{
	if (c->cc.cubic.epoch_ns == 0)
		cubic_epoch(net, c);
	const float segs = (float)c->cwnd / (float)c->mss;
	const float acked = (float)bytes / (float)c->mss;
	const float t = (float)(net->now_ns - c->cc.cubic.epoch_ns) * 1e-9f;
	const float d = t - c->cc.cubic.k;
	const float w_now = CUBIC_C * d * d * d + c->cc.cubic.w_max;
	/* Friendly region: as fast as Reno would, once past the old window as fast as Reno does. */
	const float alpha = c->cc.cubic.w_est >= c->cc.cubic.cwnd_prior
				    ? 1.0f
				    : 3.0f * (1 - CUBIC_BETA) / (1 + CUBIC_BETA);
	c->cc.cubic.w_est += alpha * acked / segs;
	if (w_now < c->cc.cubic.w_est) {
		if (c->cc.cubic.w_est > segs)
			grow_to(c, (uint64_t)(c->cc.cubic.w_est * (float)c->mss));
		return;
	}
	const float d_next = d + (float)c->srtt_ns * 1e-9f;
	float target = CUBIC_C * d_next * d_next * d_next + c->cc.cubic.w_max;
	if (target < segs)
		target = segs;
	if (target > 1.5f * segs)
		target = 1.5f * segs;
	const float inc = (target - segs) / segs * acked * (float)c->mss + c->cc.cubic.frac;
	const uint32_t whole = (uint32_t)inc;
	c->cc.cubic.frac = inc - (float)whole;
	grow_to(c, (uint64_t)c->cwnd + whole);
}

void
cc_acked(struct bb_net *net, struct bb_tcp *c, uint32_t bytes)
{
	const bool slow_start = c->cwnd < c->ssthresh;

	/* A window that was not used says nothing about the path (RFC 7661, in the form of RFC 9438 5.8). */
	if (!(c->flags & TF_CWND_LIMITED) && !(slow_start && c->cwnd < 2 * c->flight_max))
		return;
	if (slow_start) {
		/* After a time-out stretch ACKs do not count for more than a segment (RFC 3465 2.3). */
		const uint32_t room = c->ssthresh - c->cwnd;
		uint32_t n = c->ca_state == CA_LOSS ? (uint32_t)bb_min_u64(bytes, c->mss) : bytes;
		n = (uint32_t)bb_min_u64(n, room);
		grow_to(c, (uint64_t)c->cwnd + n);
		return;
	}
	switch (net->tcp->t.cc) {
	case BB_TCP_CC_CUBIC:
		cubic_grow(net, c, bytes);
		break;
	case BB_TCP_CC_DCTCP:
		reno_grow(c, &c->cc.dctcp.frac, bytes);
		break;
	default:
		reno_grow(c, &c->cc.reno.frac, bytes);
		break;
	}
}

static uint32_t
cubic_ssthresh(struct bb_tcp *c, uint32_t flight)
{
	const float segs = (float)c->cwnd / (float)c->mss;

	/* Fast convergence (RFC 9438 4.7): a flow that has less than before makes room for others. */
	if (segs < c->cc.cubic.w_max)
		c->cc.cubic.w_max = segs * (1 + CUBIC_BETA) / 2;
	else
		c->cc.cubic.w_max = segs;
	c->cc.cubic.cwnd_prior = segs;
	c->cc.cubic.epoch_ns = 0;
	return (uint32_t)((float)flight * CUBIC_BETA);
}

uint32_t
cc_ssthresh(struct bb_net *net, struct bb_tcp *c, bool ecn)
{
	/* FlightSize, RFC 5681 (4): not the window, which an idle application may have left unused. */
	const uint32_t flight = (uint32_t)bb_min_u64(c->snd_nxt - c->snd_una, c->cwnd);
	uint32_t to = flight / 2;

	if (net->tcp->t.cc == BB_TCP_CC_CUBIC)
		to = cubic_ssthresh(c, flight);
	else if (net->tcp->t.cc == BB_TCP_CC_DCTCP && ecn)
		to = (uint32_t)((float)c->cwnd * (1 - c->cc.dctcp.alpha / 2));
	return (uint32_t)bb_max_u64(to, 2u * c->mss);
}

/* RFC 8257 3.3: alpha is the smoothed share of marked bytes, once per window. */
void
cc_ecn(struct bb_net *net, struct bb_tcp *c, uint32_t bytes, bool ece)
{
	if (net->tcp->t.cc != BB_TCP_CC_DCTCP)
		return;
	c->cc.dctcp.acked_bytes += bytes;
	if (ece)
		c->cc.dctcp.marked_bytes += bytes;
	if (seq_leq(c->snd_una, c->cc.dctcp.window_end))
		return;
	const float share = c->cc.dctcp.acked_bytes > 0
				    ? (float)c->cc.dctcp.marked_bytes / (float)c->cc.dctcp.acked_bytes
				    : 0;
	c->cc.dctcp.alpha = (1 - DCTCP_G) * c->cc.dctcp.alpha + DCTCP_G * share;
	c->cc.dctcp.acked_bytes = c->cc.dctcp.marked_bytes = 0;
	c->cc.dctcp.window_end = c->snd_nxt;
}

void
cc_rto(struct bb_net *net, struct bb_tcp *c)
{
	/* Once per loss event: a second time-out of the same data reduces nothing further. */
	if (c->ca_state <= CA_CWR || seq_geq(c->snd_una, c->high_seq))
		c->ssthresh = cc_ssthresh(net, c, false);
	c->cwnd = c->mss;
	c->ca_state = CA_LOSS;
	c->high_seq = c->snd_nxt;
}

/*
 * RFC 6937 3.1: while more is in flight than there shall be, send in proportion to what arrives; below that,
 * as much as arrives, and one segment more per ACK if all goes well (the slow start bound, used as RFC 9937
 * does).
 */
void
prr_acked(struct bb_tcp *c, uint32_t delivered, bool safe)
{
	const uint32_t pipe = pipe_now(c);
	int64_t send;

	c->prr_delivered += delivered;
	if (pipe > c->ssthresh) {
		const uint64_t fs = c->recover_fs > 0 ? c->recover_fs : 1;
		send = (int64_t)(((uint64_t)c->prr_delivered * c->ssthresh + fs - 1) / fs) - c->prr_out;
	} else {
		int64_t limit = (int64_t)c->prr_delivered - c->prr_out;
		if (safe) {
			if (limit < delivered)
				limit = delivered;
			limit += c->mss;
		}
		send = (int64_t)c->ssthresh - pipe;
		if (send > limit)
			send = limit;
	}
	if (send < 0)
		send = 0;
	c->cwnd = (uint32_t)bb_max_u64(pipe + (uint64_t)send, c->mss);
}
