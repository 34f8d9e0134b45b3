/* SPDX-License-Identifier: BSD-3-Clause */
/* tcp_in: segments in, in the order of RFC 9293 3.10.7, with RFC 5961 and RFC 7323 where they go beyond it.
 */
#include "net/tcp_priv.h"

#define PAWS_IDLE_NS (24 * 24 * 3600 * BB_SEC) /* RFC 7323 5.5: after that ts_recent means nothing */

void
tcp_prefetch(struct bb_net *net, uint32_t ref)
{
	if (ref == BB_FLOW_NONE || BB_FLOW_KIND(ref) != BB_FLOW_CONN)
		return;
	const uint8_t *c = (const uint8_t *)conn_at(net, BB_FLOW_IDX(ref));
	for (int i = 0; i < 8; i++)
		__builtin_prefetch(c + i * BB_CACHE_LINE);
}

/* At most challenge_per_s per second and connection: a counter of all would tell an attacker (CVE-2016-5696).
 */
static bool
challenge_allowed(struct bb_net *net, struct bb_tcp *c)
{
	const uint32_t now_s = (uint32_t)(net->now_ns / BB_SEC);

	if (c->challenge_epoch_s != now_s) {
		c->challenge_epoch_s = now_s;
		c->challenges = 0;
	}
	if (c->challenges >= net->tcp->t.challenge_per_s) {
		CTR(net, CHALLENGE_LIMITED);
		return false;
	}
	c->challenges++;
	return true;
}

void
conn_challenge(struct bb_net *net, struct bb_tcp *c)
{
	if (!challenge_allowed(net, c))
		return;
	CTR(net, CHALLENGE_ACKS);
	out_ack(net, c);
}

/* An ACK for a segment that cannot be used. Those with data always get one: the peer counts on it. */
static void
reply_unusable(struct bb_net *net, struct bb_tcp *c, const struct seg *s)
{
	if (s->len > 0 || (s->flags & TH_FIN))
		out_ack(net, c);
	else
		conn_challenge(net, c);
}

/* RFC 7323 5.3 R1. False: an old duplicate, dropped. */
static bool
paws_ok(struct bb_net *net, struct bb_tcp *c, const struct seg *s)
{
	if (!(c->flags & TF_TS) || !s->opt.ts || !seq_lt(s->opt.tsval, c->ts_recent))
		return true;
	if (net->now_ns - c->ts_recent_ns > PAWS_IDLE_NS)
		return true;
	CTR(net, DROP_TCP_PAWS);
	reply_unusable(net, c, s);
	return false;
}

/* RFC 5961 3.2. True if the segment was a RST: it is done with. */
static bool
take_rst(struct bb_net *net, struct bb_tcp *c, const struct seg *s)
{
	if (!(s->flags & TH_RST))
		return false;
	if (s->seq == c->rcv_nxt) {
		CTR(net, RST_IN);
		conn_finish(net, c, c->state == TCP_SYN_RCVD ? BB_TCP_REFUSED : BB_TCP_RESET);
		return true;
	}
	CTR(net, DROP_TCP_RST);
	if (seq_gt(s->seq, c->rcv_nxt) && seq_leq(s->seq, c->rcv_adv))
		conn_challenge(net, c);
	return true;
}

/*
 * Cut what lies outside the receive window off. False: nothing of it is acceptable; counted and answered.
 * RFC 9293 3.10.7.4, first.
 */
static bool
trim(struct bb_net *net, struct bb_tcp *c, struct seg *s)
{
	const uint32_t fin = (s->flags & TH_FIN) != 0;
	const uint32_t end = s->seq + s->len + fin;
	const uint32_t edge = seq_gt(c->rcv_adv, c->rcv_nxt) ? c->rcv_adv : c->rcv_nxt;

	if (end == s->seq) {
		if (seq_geq(s->seq, c->rcv_nxt) && seq_leq(s->seq, edge))
			return true;
		CTR(net, DROP_TCP_WINDOW);
		reply_unusable(net, c, s);
		return false;
	}
	if (seq_leq(end, c->rcv_nxt)) {
		CTR(net, DUP_IN);
		if (s->len > 0)
			rcv_dsack(net, c, s->seq, s->seq + s->len);
		out_ack(net, c);
		return false;
	}
	/* Window closed: what begins in place still brings its ACK (RFC 9293 3.10.7.4, "special allowance").
	 */
	if (seq_gt(s->seq, edge) || (s->seq == edge && edge != c->rcv_nxt)) {
		CTR(net, DROP_TCP_WINDOW);
		out_ack(net, c);
		return false;
	}
	if (seq_lt(s->seq, c->rcv_nxt)) {
		const uint32_t cut = c->rcv_nxt - s->seq;
		rcv_dsack(net, c, s->seq, c->rcv_nxt);
		s->data += cut;
		s->len -= cut; /* at least the FIN lies to the right of rcv_nxt */
		s->seq = c->rcv_nxt;
		c->flags |= TF_ACK_NOW;
	}
	if (seq_gt(s->seq + s->len, edge)) {
		s->len = edge - s->seq;
		s->flags &= (uint8_t)~TH_FIN;
		c->flags |= TF_ACK_NOW;
		CTR(net, DROP_TCP_WINDOW);
	} else if (fin && s->seq + s->len == edge) {
		s->flags &= (uint8_t)~TH_FIN; /* no place in the window for it */
		c->flags |= TF_ACK_NOW;
	}
	return true;
}

/* ts_recent follows the segment that covers what we acknowledged last (RFC 7323 4.3). */
static void
take_timestamp(struct bb_net *net, struct bb_tcp *c, const struct seg *s)
{
	if (!(c->flags & TF_TS) || !s->opt.ts || seq_gt(s->seq, c->last_ack_sent))
		return;
	if (seq_geq(s->opt.tsval, c->ts_recent) || net->now_ns - c->ts_recent_ns > PAWS_IDLE_NS) {
		c->ts_recent = s->opt.tsval;
		c->ts_recent_ns = net->now_ns;
	}
}

/* Congestion experienced: told to the peer until it has reacted (RFC 3168 6.1.3), or exactly (RFC 8257 3.2).
 */
static void
take_ecn(struct bb_net *net, struct bb_tcp *c, const struct seg *s)
{
	if (!(c->flags & TF_ECN) || s->len == 0)
		return;
	if (s->ce)
		CTR(net, ECN_CE_IN);
	if (net->tcp->t.cc == BB_TCP_CC_DCTCP) {
		if (s->ce == ((c->flags & TF_DCTCP_CE) != 0))
			return;
		/* What came before the change is acknowledged with the old state. */
		if (c->ack_bytes > 0)
			out_ack(net, c);
		c->flags ^= TF_DCTCP_CE;
		c->flags = s->ce ? c->flags | TF_ECE : c->flags & ~TF_ECE;
		return;
	}
	if (s->flags & TH_CWR)
		c->flags &= ~TF_ECE;
	if (s->ce)
		c->flags |= TF_ECE;
}

/* Our FIN is acknowledged: one direction is done. */
static void
fin_acked(struct bb_net *net, struct bb_tcp *c)
{
	switch (c->state) {
	case TCP_FIN_WAIT_1:
		conn_state(c, TCP_FIN_WAIT_2);
		long_arm(net, c);
		break;
	case TCP_CLOSING:
		tw_enter(net, c);
		conn_finish(net, c, BB_TCP_DONE);
		break;
	case TCP_LAST_ACK:
		conn_finish(net, c, BB_TCP_DONE);
		break;
	default:
		break;
	}
}

static void
fin_received(struct bb_net *net, struct bb_tcp *c)
{
	switch (c->state) {
	case TCP_ESTABLISHED:
		conn_state(c, TCP_CLOSE_WAIT);
		break;
	case TCP_FIN_WAIT_1:
		conn_state(c, TCP_CLOSING);
		break;
	case TCP_FIN_WAIT_2:
		out_ack(net, c);
		tw_enter(net, c);
		conn_finish(net, c, BB_TCP_DONE);
		break;
	default:
		break;
	}
}

/* SYN-RECEIVED here is the one of a simultaneous open. False: the ACK was not for our SYN. */
static bool
finish_handshake(struct bb_net *net, struct bb_tcp *c, const struct seg *s)
{
	if (s->ack != c->iss + 1) {
		CTR(net, DROP_TCP_ACK);
		CTR(net, RST_OUT);
		out_raw(net, &c->key, &(struct raw_seg){ .seq = s->ack, .flags = TH_RST });
		return false;
	}
	c->snd_una = s->ack;
	c->snd_wl1 = s->seq - 1;
	if (c->backoff == 0 && c->srtt_ns == 0 && timer_on(c, T_RTO))
		rto_update(net, c, net->now_ns - (c->timers[T_RTO] - rto_current(net, c)));
	conn_established(net, c);
	conn_event(net, c, EV_CONNECTED);
	return true;
}

/* The ACK of a segment; false: not acceptable, the segment was dropped. RFC 5961 5.2. */
static bool
take_ack(struct bb_net *net, struct bb_tcp *c, const struct seg *s)
{
	if (seq_gt(s->ack, c->snd_nxt) || seq_lt(s->ack, c->snd_una - c->snd_wnd_max)) {
		CTR(net, DROP_TCP_ACK);
		conn_challenge(net, c);
		return false;
	}
	if (seq_lt(s->ack, c->snd_una))
		return true; /* old, but the data may be new */
	ack_input(net, c, s);
	return true;
}

/* Payload for an application that has gone: RFC 9293 3.6.1, RFC 2525 2.17. */
static bool
data_after_close(struct bb_net *net, struct bb_tcp *c, const struct seg *s)
{
	if (!(c->flags & TF_APP_CLOSED) || s->len == 0)
		return false;
	CTR(net, DROP_TCP_AFTER_CLOSE);
	out_rst(net, c);
	conn_finish(net, c, BB_TCP_ABORTED);
	return true;
}

void
conn_input(struct bb_net *net, struct bb_tcp *c, struct seg *s)
{
	if (take_rst(net, c, s))
		return;
	if (!paws_ok(net, c, s))
		return;
	if (s->flags & TH_SYN) {
		CTR(net, DROP_TCP_FLAGS);
		if (c->state == TCP_SYN_RCVD && s->seq == c->irs) {
			c->flags |= TF_SYN_DUE; /* our SYN-ACK was lost */
			conn_dirty(net, c);
		} else {
			conn_challenge(net, c);
		}
		return;
	}
	if (!trim(net, c, s))
		return;
	if (!(s->flags & TH_ACK)) {
		CTR(net, DROP_TCP_FLAGS);
		return;
	}
	if (c->state == TCP_SYN_RCVD && !finish_handshake(net, c, s))
		return;
	take_timestamp(net, c, s);
	if (!take_ack(net, c, s))
		return;
	/* A sign of life only now: what an off-path attacker makes up must not keep a dead peer. */
	c->last_rx_ns = net->now_ns;
	c->keep_probes = 0;
	if ((c->flags & TF_FIN_SENT) && c->snd_una == c->snd_nxt)
		fin_acked(net, c);
	if (c->state == TCP_CLOSED)
		return;
	take_ecn(net, c, s);
	if (c->state == TCP_ESTABLISHED || c->state == TCP_FIN_WAIT_1 || c->state == TCP_FIN_WAIT_2) {
		if (data_after_close(net, c, s))
			return;
		const bool had_fin = c->flags & TF_FIN_RCVD;
		if (s->len > 0 || (s->flags & TH_FIN))
			rcv_segment(net, c, s);
		if (!had_fin && (c->flags & TF_FIN_RCVD))
			fin_received(net, c);
	} else if (s->len > 0) {
		CTR(net, DROP_TCP_WINDOW); /* behind the peer's FIN */
	}
	if (c->flags & TF_ACK_NOW)
		conn_dirty(net, c);
}

/* RFC 9293 3.10.7.3. */
static void
syn_sent_options(struct bb_net *net, struct bb_tcp *c, const struct seg *s)
{
	const struct bb_tcp_tunables *t = &net->tcp->t;
	const bool is4 = bb_ip_is4(&c->key.remote);

	c->irs = s->seq;
	c->rcv_nxt = s->seq + 1;
	c->last_ack_sent = c->rcv_nxt;
	c->rcv_adv = c->rcv_nxt + (uint32_t)bb_min_u64(c->rcvbuf, UINT16_MAX);
	c->peer_mss = s->opt.mss != 0 ? s->opt.mss : (is4 ? MSS_DEFAULT4 : MSS_DEFAULT6);
	if (s->opt.wscale != 0xff && !t->no_wscale) {
		c->flags |= TF_WSCALE;
		c->snd_wscale = s->opt.wscale;
		c->rcv_wscale = tcp_wscale(net);
	}
	if (s->opt.ts && !t->no_timestamps) {
		c->flags |= TF_TS;
		c->ts_recent = s->opt.tsval;
		c->ts_recent_ns = net->now_ns;
	}
	if (s->opt.sack_ok && !t->no_sack)
		c->flags |= TF_SACK;
	conn_set_mss(net, c);
	c->snd_wnd = s->wnd; /* never scaled in a SYN */
	c->snd_wnd_max = c->snd_wnd;
	c->snd_wl1 = s->seq;
	c->snd_wl2 = s->ack;
}

static void
syn_sent_input(struct bb_net *net, struct bb_tcp *c, struct seg *s)
{
	const bool ack = s->flags & TH_ACK;
	const struct bb_tcp_tunables *t = &net->tcp->t;

	if (ack && s->ack != c->iss + 1) {
		CTR(net, DROP_TCP_ACK);
		if (!(s->flags & TH_RST)) {
			CTR(net, RST_OUT);
			out_raw(net, &c->key, &(struct raw_seg){ .seq = s->ack, .flags = TH_RST });
		}
		return;
	}
	if (s->flags & TH_RST) {
		if (!ack) {
			CTR(net, DROP_TCP_RST);
			return;
		}
		CTR(net, RST_IN);
		conn_finish(net, c, BB_TCP_REFUSED);
		return;
	}
	if (!(s->flags & TH_SYN)) {
		CTR(net, DROP_TCP_FLAGS);
		return;
	}
	c->last_rx_ns = net->now_ns;
	syn_sent_options(net, c, s);
	if (!ack) {
		conn_state(c, TCP_SYN_RCVD);
		c->flags |= TF_SYN_DUE;
		conn_dirty(net, c);
		return;
	}
	/* RFC 3168 6.1.1: ECE without CWR grants what we asked for. */
	if (t->ecn && (s->flags & (TH_ECE | TH_CWR)) == TH_ECE)
		c->flags |= TF_ECN;
	c->snd_una = s->ack;
	if (c->backoff == 0)
		rto_update(net, c, net->now_ns - (c->timers[T_RTO] - rto_current(net, c)));
	conn_established(net, c);
	c->flags |= TF_ACK_NOW;
	conn_event(net, c, EV_CONNECTED);
	conn_dirty(net, c);
	s->seq++;
	s->flags &= (uint8_t)~TH_SYN;
	if (s->len > 0 || (s->flags & TH_FIN))
		conn_input(net, c, s);
}

static bool
parse_segment(struct bb_net *net, struct pkt *p, struct seg *s)
{
	const uint8_t *h = p->l4;

	if (p->l4_len < 20 || (h[12] >> 4) < 5 || (h[12] >> 4) * 4u > p->l4_len) {
		CTR(net, DROP_TCP_HEADER);
		return false;
	}
	const uint32_t hlen = (h[12] >> 4) * 4u;
	if (p->rx->csum == BB_NET_CSUM_UNKNOWN) {
		const uint64_t sum = bb_csum_pseudo(
					     &p->key.remote, &p->key.local, IPPROTO_TCP_NR, p->l4_len) +
				     bb_csum_partial(h, p->l4_len);
		if (bb_csum_fold(sum) != 0xffff) {
			CTR(net, DROP_TCP_CSUM);
			return false;
		}
	}
	CTR(net, TCP_IN);
	s->pkt = p;
	s->seq = bb_load_be32(h + 4);
	s->ack = bb_load_be32(h + 8);
	s->flags = h[13];
	s->wnd = bb_load_be16(h + 14);
	s->data = h + hlen;
	s->len = p->l4_len - hlen;
	s->ce = p->ecn == ECN_CE;
	/* Malformed options: what came before them counts, the segment is not dropped. */
	tcp_opt_parse(h + 20, hlen - 20, &s->opt);
	return true;
}

void
tcp_input(struct bb_net *net, struct pkt *p)
{
	struct seg s;

	if (!parse_segment(net, p, &s))
		return;
	if (p->ref == BB_FLOW_NONE) {
		listen_input(net, &s);
		return;
	}
	const uint32_t idx = BB_FLOW_IDX(p->ref);
	if (BB_FLOW_KIND(p->ref) == BB_FLOW_SYN) {
		syn_input(net, idx, &s);
	} else if (BB_FLOW_KIND(p->ref) == BB_FLOW_TIMEWAIT) {
		tw_input(net, idx, &s);
	} else {
		struct bb_tcp *c = conn_at(net, idx);
		if (c->state == TCP_SYN_SENT)
			syn_sent_input(net, c, &s);
		else
			conn_input(net, c, &s);
	}
}
