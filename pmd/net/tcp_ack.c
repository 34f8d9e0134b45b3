/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_ack: what an acceptable ACK says about what we sent: what arrived (cumulatively, by SACK), how long it
 * took, what is lost (RACK, RFC 8985; without SACK three duplicate ACKs, RFC 6582), and what that means for
 * the window.
 */
#include "net/tcp_priv.h"

#define DUPTHRESH 3
#define REO_PERSIST 16
#define GRANULARITY_NS (1u << BB_NET_WHEEL_TICK_SHIFT)

/* RFC 9293 3.10.7.4, fifth: only a segment that is newer than the last that did may change the window. */
void
ack_window(struct bb_tcp *c, const struct seg *s)
{
	if (seq_lt(c->snd_wl1, s->seq) || (c->snd_wl1 == s->seq && seq_leq(c->snd_wl2, s->ack))) {
		c->snd_wnd = s->wnd << c->snd_wscale;
		c->snd_wl1 = s->seq;
		c->snd_wl2 = s->ack;
		if (c->snd_wnd > c->snd_wnd_max)
			c->snd_wnd_max = c->snd_wnd;
	}
}

/* RFC 6298 2. The variance never counts for less than the granularity of our timers, so RTO is never zero. */
void
rto_update(struct bb_net *net, struct bb_tcp *c, uint64_t rtt_ns)
{
	const struct bb_tcp_tunables *t = &net->tcp->t;

	if (c->srtt_ns == 0) {
		c->srtt_ns = rtt_ns > 0 ? rtt_ns : 1;
		c->rttvar_ns = rtt_ns / 2;
	} else {
		const uint64_t err = c->srtt_ns > rtt_ns ? c->srtt_ns - rtt_ns : rtt_ns - c->srtt_ns;
		c->rttvar_ns = c->rttvar_ns - c->rttvar_ns / 4 + err / 4;
		c->srtt_ns = c->srtt_ns - c->srtt_ns / 8 + rtt_ns / 8;
		if (c->srtt_ns == 0)
			c->srtt_ns = 1;
	}
	c->rto_ns = c->srtt_ns + bb_max_u64(GRANULARITY_NS, 4 * c->rttvar_ns);
	c->rto_ns = bb_min_u64(bb_max_u64(c->rto_ns, t->rto_min_ns), t->rto_max_ns);
}

/* RFC 8985 6.2 step 4. */
static uint64_t
reo_wnd(const struct bb_tcp *c)
{
	if (!(c->flags & TF_REORDER) && (c->ca_state >= CA_RECOVERY || c->sacked_count >= DUPTHRESH))
		return 0;
	const uint64_t base = c->min_rtt_ns != BB_NEVER ? c->min_rtt_ns / 4 : 0;
	const uint64_t wnd = bb_min_u64(base * c->reo_wnd_mult, c->srtt_ns);
	/* Finer than the timer it would be noise of the poll loop, not reordering. */
	return bb_max_u64(wnd, GRANULARITY_NS);
}

uint64_t
rack_detect(struct bb_net *net, struct bb_tcp *c)
{
	uint64_t again = 0;
	uint32_t next;

	if (c->rack_xmit_ns == 0)
		return 0;
	const uint64_t wait = c->rack_rtt_ns + reo_wnd(c);
	for (uint32_t idx = c->time_head; idx != BB_NET_POOL_NONE; idx = next) {
		const struct tx_rec *r = rec_at(net, idx);
		next = r->tnext;
		/* Only what was sent before something that has arrived. */
		if (r->xmit_ns > c->rack_xmit_ns ||
			(r->xmit_ns == c->rack_xmit_ns && seq_geq(r->end, c->rack_end)))
			break;
		if (r->xmit_ns + wait <= net->now_ns)
			rec_mark_lost(net, c, idx);
		else
			again = bb_max_u64(again, r->xmit_ns + wait - net->now_ns);
	}
	return again;
}

/* A D-SACK says that we sent something needlessly: wait longer, RFC 8985 6.2 step 4. */
static void
rack_on_dsack(struct bb_tcp *c)
{
	if ((c->flags & TF_DSACK_ROUND) && seq_geq(c->snd_una, c->rack_dsack_round))
		c->flags &= ~TF_DSACK_ROUND;
	if (c->flags & TF_DSACK_ROUND)
		return;
	c->flags |= TF_DSACK_ROUND;
	c->rack_dsack_round = c->snd_nxt;
	c->reo_wnd_mult += c->reo_wnd_mult < UINT8_MAX;
	c->reo_wnd_persist = REO_PERSIST;
}

/* A SACK block that reports a duplicate, RFC 2883 4. */
static bool
is_dsack(const struct seg *s)
{
	const struct tcp_opts *o = &s->opt;

	if (o->sack_count == 0)
		return false;
	if (seq_leq(o->sack[0].end, s->ack))
		return true;
	return o->sack_count > 1 && seq_geq(o->sack[0].start, o->sack[1].start) &&
	       seq_leq(o->sack[0].end, o->sack[1].end);
}

/* In ascending order, or RACK would take the order of the blocks for reordering. */
static void
take_sacks(
	struct bb_net *net, struct bb_tcp *c, const struct seg *s, bool dsack, bool ts, struct rec_acked *a)
{
	const struct tcp_opts *o = &s->opt;
	uint32_t done = 0;

	for (uint8_t k = dsack; k < o->sack_count; k++) {
		int best = -1;
		for (uint8_t i = dsack; i < o->sack_count; i++)
			if (!(done & BB_BIT(i)) &&
				(best < 0 || seq_lt(o->sack[i].start, o->sack[best].start)))
				best = i;
		done |= BB_BIT(best);
		const uint32_t start = o->sack[best].start, end = o->sack[best].end;
		/* Blocks that cannot be: ignored. */
		if (seq_geq(start, end) || seq_lt(start, c->snd_una) || seq_gt(end, c->snd_nxt))
			continue;
		rec_sack(net, c, start, end, o->tsecr, ts, a);
	}
}

void
enter_recovery(struct bb_net *net, struct bb_tcp *c)
{
	if (c->ca_state >= CA_RECOVERY)
		return;
	CTR(net, RECOVERY);
	c->ssthresh = cc_ssthresh(net, c, false);
	c->high_seq = c->snd_nxt;
	c->recover_fs = c->snd_nxt - c->snd_una;
	c->prr_delivered = c->prr_out = 0;
	c->ca_state = CA_RECOVERY;
	c->cwnd = (uint32_t)bb_max_u64(pipe_now(c), c->mss);
	c->flags |= TF_FORCE_REXMIT;
}

static void
leave_recovery(struct bb_tcp *c)
{
	if (c->ca_state == CA_RECOVERY || c->ca_state == CA_CWR)
		c->cwnd = c->ssthresh;
	c->ca_state = CA_OPEN;
	c->dupacks = 0;
	if (c->reo_wnd_persist > 0 && --c->reo_wnd_persist == 0)
		c->reo_wnd_mult = 1;
}

/* RFC 6582: no SACK, so duplicate ACKs are all there is. Returns true if a segment was marked. */
static bool
newreno_detect(struct bb_net *net, struct bb_tcp *c, bool advances, uint32_t acked)
{
	const bool recovering = c->ca_state == CA_RECOVERY;

	if (c->rec_head == BB_NET_POOL_NONE)
		return false;
	if (advances && recovering && seq_lt(c->snd_una, c->high_seq)) {
		/* Partial ACK: the next hole begins here. What it covers beyond one segment was counted as
		 * gone. */
		const uint32_t segs = (acked + c->mss - 1) / c->mss;
		c->dupacks = c->dupacks > segs - 1 ? (uint8_t)(c->dupacks - (segs - 1)) : 0;
	} else if (!recovering && c->dupacks == DUPTHRESH && c->ca_state != CA_LOSS &&
		   seq_geq(c->snd_una, c->high_seq)) {
		/* fall through to marking */
	} else {
		return false;
	}
	if (!rec_in_pipe(rec_at(net, c->rec_head)))
		return false;
	rec_mark_lost(net, c, c->rec_head);
	c->flags |= TF_FORCE_REXMIT;
	return true;
}

/* RFC 8985 7.4: did the probe repair a loss? Then it counts as one. */
static void
tlp_acked(struct bb_net *net, struct bb_tcp *c, const struct seg *s, bool advances, bool dsack, bool sacked)
{
	if (!(c->flags & TF_TLP) || seq_lt(s->ack, c->tlp_end))
		return;
	if (!(c->flags & TF_TLP_REXMIT) || (dsack && s->opt.sack[0].end == c->tlp_end)) {
		c->flags &= ~(TF_TLP | TF_TLP_REXMIT);
	} else if (seq_gt(s->ack, c->tlp_end)) {
		c->flags &= ~(TF_TLP | TF_TLP_REXMIT);
		if (c->ca_state == CA_OPEN) {
			c->ssthresh = cc_ssthresh(net, c, false);
			c->cwnd = (uint32_t)bb_min_u64(c->cwnd, c->ssthresh);
		}
	} else if (!advances && !sacked) {
		c->flags &= ~(TF_TLP | TF_TLP_REXMIT); /* both copies arrived */
	}
}

void
tlp_arm(struct bb_net *net, struct bb_tcp *c)
{
	const struct bb_tcp_tunables *t = &net->tcp->t;

	if (!(c->flags & TF_SACK) || c->ca_state >= CA_RECOVERY || c->rec_count == 0 || c->lost_bytes > 0 ||
		c->sacked_count > 0 || (c->flags & TF_TLP) || !(c->flags & TF_RTT_SEEN) || c->backoff > 0 ||
		c->srtt_ns == 0)
		return;
	if (timer_on(c, T_PROBE) && c->probe_kind != PROBE_TLP)
		return;
	uint64_t pto = bb_max_u64(2 * c->srtt_ns, 2 * GRANULARITY_NS);
	if (c->rec_count == 1)
		pto += t->tlp_max_ack_delay_ns;
	/* Not later than the RTO, which does the same and more. */
	if (timer_on(c, T_RTO) && net->now_ns + pto >= c->timers[T_RTO]) {
		if (timer_on(c, T_PROBE))
			timer_stop(c, T_PROBE);
		return;
	}
	probe_set(net, c, PROBE_TLP, pto);
}

/* ECE in an ACK: RFC 3168 6.1.2, once per round trip. */
static void
ecn_acked(struct bb_net *net, struct bb_tcp *c, const struct seg *s, uint32_t bytes)
{
	const bool ece = (s->flags & TH_ECE) != 0;

	if (!(c->flags & TF_ECN))
		return;
	cc_ecn(net, c, bytes, ece);
	if (!ece || c->ca_state != CA_OPEN)
		return;
	CTR(net, ECN_REDUCED);
	c->ssthresh = cc_ssthresh(net, c, true);
	c->cwnd = c->ssthresh;
	c->high_seq = c->snd_nxt;
	c->ca_state = CA_CWR;
	c->flags |= TF_CWR;
}

/* snd_una moves to s->ack; the memory behind it is the application's again. */
static void
advance_una(struct bb_net *net, struct bb_tcp *c, const struct seg *s, bool ts, struct rec_acked *a)
{
	uint32_t data = s->ack - c->snd_una;

	if ((c->flags & TF_FIN_SENT) && s->ack == c->snd_nxt)
		data--;
	rec_ack(net, c, s->ack, s->opt.tsecr, ts, a);
	c->snd_una = s->ack;
	if (data > 0)
		txq_release(net, c, data);
	c->backoff = 0;
	c->rexmit_full = 0;
	c->progress_ns = net->now_ns;
	if (c->flags & TF_NEIGH)
		neigh_confirm(net, c->neigh, c->neigh_gen);
	/* A lowered path MTU is tried higher after ten minutes (RFC 1191 6.3). */
	if (c->pmtu_raise_s != 0 && net->now_ns / BB_SEC >= c->pmtu_raise_s) {
		c->pmtu_raise_s = 0;
		c->path_mtu = net->conf.mtu;
		conn_set_mss(net, c);
	}
}

static void
sample_rtt(struct bb_net *net, struct bb_tcp *c, const struct seg *s, bool ts, const struct rec_acked *a)
{
	if (a->first_ns != 0) {
		rto_update(net, c, net->now_ns - a->first_ns);
	} else if (ts && a->any && s->opt.tsecr != 0) {
		/* Sent more than once: only the echoed timestamp tells (RFC 7323 4.1), to a millisecond. */
		const uint32_t ms = ts_now(net, c) - s->opt.tsecr;
		if (ms < 1u << 20)
			rto_update(net, c, bb_max_u64(ms, 1) * BB_MSEC);
	}
}

/* Timers after what is in flight has changed. */
static void
rearm(struct bb_net *net, struct bb_tcp *c, bool advances, uint64_t reo_ns)
{
	if (c->rec_count == 0) {
		timer_stop(c, T_RTO);
		if (timer_on(c, T_PROBE) && c->probe_kind <= PROBE_REO)
			timer_stop(c, T_PROBE);
		return;
	}
	if (advances)
		rto_arm(net, c);
	if (reo_ns > 0) {
		probe_set(net, c, PROBE_REO, reo_ns);
		return;
	}
	if (timer_on(c, T_PROBE) && c->probe_kind <= PROBE_REO) {
		if (c->probe_kind == PROBE_TLP && !advances)
			return;
		timer_stop(c, T_PROBE);
	}
	tlp_arm(net, c);
}

void
ack_input(struct bb_net *net, struct bb_tcp *c, const struct seg *s)
{
	const bool advances = seq_gt(s->ack, c->snd_una);
	const bool ts = (c->flags & TF_TS) && s->opt.ts;
	const uint32_t old_wnd = c->snd_wnd, acked = s->ack - c->snd_una;
	const bool was_recovering = c->ca_state == CA_RECOVERY;
	struct rec_acked a = { 0 };
	uint64_t reo_ns = 0;
	bool lost, dsack = false;

	ack_window(c, s);
	if (advances)
		advance_una(net, c, s, ts, &a);
	const uint32_t cum_bytes = a.bytes;
	if ((c->flags & TF_SACK) && s->opt.sack_count > 0) {
		dsack = is_dsack(s);
		if (dsack) {
			CTR(net, DSACK_IN);
			rack_on_dsack(c);
		}
		take_sacks(net, c, s, dsack, ts, &a);
	}
	if (a.any)
		sample_rtt(net, c, s, ts, &a);
	/* RFC 5681 2: what a duplicate ACK is. */
	if (!advances && s->len == 0 && c->snd_wnd == old_wnd && c->rec_count > 0 &&
		!(s->flags & (TH_SYN | TH_FIN)) && c->dupacks < 200)
		c->dupacks++;
	else if (advances && c->ca_state != CA_RECOVERY)
		c->dupacks = 0;

	if (c->flags & TF_SACK) {
		const uint32_t lost_before = c->lost_bytes;
		reo_ns = rack_detect(net, c);
		lost = c->lost_bytes > lost_before;
		tlp_acked(net, c, s, advances, dsack, a.bytes > cum_bytes);
	} else {
		lost = newreno_detect(net, c, advances, acked);
		/* Each duplicate stands for a segment that arrived (RFC 6937 3). */
		if (!advances && c->dupacks > 0 && c->ca_state == CA_RECOVERY)
			a.bytes = c->mss;
	}
	ecn_acked(net, c, s, a.bytes);
	if (c->ca_state != CA_OPEN && seq_geq(c->snd_una, c->high_seq))
		leave_recovery(c);
	if (lost)
		enter_recovery(net, c);
	if (c->ca_state == CA_RECOVERY) {
		if (a.bytes > 0)
			prr_acked(c, a.bytes, advances && !lost);
	} else if (advances && c->ca_state != CA_CWR && !was_recovering) {
		cc_acked(net, c, a.bytes);
	}
	rearm(net, c, advances, reo_ns);
	if (c->unsent > 0 || c->lost_bytes > 0 || (c->flags & TF_FIN_QUEUED))
		conn_dirty(net, c);
}
