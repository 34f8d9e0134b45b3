/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_out: segments out. tcp_output is the one place that decides what a connection sends: lost segments
 * first, then new data, then FIN, and an ACK if none of these carried it.
 */
#include <string.h>

#include "net/tcp_priv.h"

#define QUANTUM (64u * 1024) /* bytes per connection and turn */
#define SWS_OVERRIDE_NS (200 * BB_MSEC)
#define HOP_LIMIT 64

/* Header fields of a segment; opts are written behind it by the caller. */
static void
put_header(uint8_t *h, const struct bb_flow_key *key, uint32_t seq, uint32_t ack, uint32_t opts_len,
	uint8_t flags, uint16_t wnd)
{
	bb_store_be16(h, key->lport);
	bb_store_be16(h + 2, key->rport);
	bb_store_be32(h + 4, seq);
	bb_store_be32(h + 8, flags & TH_ACK ? ack : 0);
	h[12] = (uint8_t)((20 + opts_len) / 4 << 4);
	h[13] = flags;
	bb_store_be16(h + 14, wnd);
	memset(h + 16, 0, 4); /* checksum, urgent pointer */
}

static void
put_checksum(struct bb_net *net, struct bb_net_tx *tx, const struct bb_flow_key *key)
{
	uint8_t *h = net_tx_l4(tx);
	uint64_t sum = bb_csum_pseudo(
		&key->local, &key->remote, IPPROTO_TCP_NR, tx->l4_len + tx->payload_len);
	uint16_t field;

	if (net->conf.offloads & BB_NET_OFFLOAD_TCP_CSUM) {
		tx->flags |= BB_NET_TX_TCP_CSUM;
		field = bb_csum_fold(sum);
		memcpy(h + 16, &field, 2);
		return;
	}
	sum += bb_csum_partial(h, tx->l4_len);
	size_t at = 0;
	for (uint32_t i = 0; i < tx->seg_count; i++) {
		sum = bb_csum_add_at(sum, bb_csum_partial(tx->segs[i].data, tx->segs[i].len), at);
		at += tx->segs[i].len;
	}
	field = bb_csum_finish(sum);
	memcpy(h + 16, &field, 2);
}

/* The neighbour on the way to the peer, found once per connection and neighbour entry. */
static struct neigh *
conn_neigh(struct bb_net *net, struct bb_tcp *c)
{
	struct bb_ip hop;

	if (c->flags & TF_NEIGH) {
		struct neigh *n = &net->neighs.entries[c->neigh];
		if (n->gen == c->neigh_gen)
			return n;
	}
	if (!route_next_hop(net, &c->key.remote, &hop)) {
		CTR(net, NO_ROUTE);
		return NULL;
	}
	struct neigh *n = neigh_get(net, &hop, &c->key.local);
	if (n == NULL) {
		CTR(net, NEIGH_FULL);
		return NULL;
	}
	c->neigh = neigh_index(net, n);
	c->neigh_gen = n->gen;
	c->flags |= TF_NEIGH;
	return n;
}

static void
conn_send(struct bb_net *net, struct bb_tcp *c, struct bb_net_tx *tx, uint8_t ecn)
{
	CTR(net, TCP_OUT);
	put_checksum(net, tx, &c->key);
	ip_fill(net, tx, &c->key.local, &c->key.remote, IPPROTO_TCP_NR, ecn, HOP_LIMIT);
	struct neigh *n = conn_neigh(net, c);
	if (n != NULL)
		neigh_send(net, n, tx);
}

/* Timestamps and SACK blocks; returns their length. data: the segment carries payload, room is dear. */
static uint32_t
put_options(struct bb_net *net, struct bb_tcp *c, uint8_t *o)
{
	uint8_t *p = o;
	uint32_t blocks[2 * SACK_BLOCKS_MAX];

	if (c->flags & TF_TS) {
		p[0] = p[1] = 1;
		p[2] = 8;
		p[3] = 10;
		bb_store_be32(p + 4, ts_now(net, c));
		bb_store_be32(p + 8, c->ts_recent);
		p += 12;
	}
	if (c->ooo == BB_NET_POOL_NONE && !(c->flags & TF_DSACK))
		return (uint32_t)(p - o);
	const uint32_t n = rcv_sack_blocks(net, c, blocks, c->flags & TF_TS ? 3 : 4);
	if (n > 0) {
		p[0] = p[1] = 1;
		p[2] = 5;
		p[3] = (uint8_t)(2 + 8 * n);
		for (uint32_t i = 0; i < 2 * n; i++)
			bb_store_be32(p + 4 + 4 * i, blocks[i]);
		p += 4 + 8 * n;
	}
	if (c->flags & TF_DSACK)
		CTR(net, DSACK_OUT);
	return (uint32_t)(p - o);
}

/* Every segment acknowledges: what was owed is paid. */
static void
ack_sent(struct bb_net *net, struct bb_tcp *c)
{
	c->last_ack_sent = c->rcv_nxt;
	c->ack_bytes = 0;
	c->flags &= ~(TF_ACK_NOW | TF_ACK_DELAYED | TF_DSACK);
	c->last_send_ms = (uint32_t)net->now_ms;
	timer_stop(c, T_DELACK);
}

/*
 * One segment of this connection. Payload is taken from the queue at seq, or from the cursor when fresh.
 * Returns the payload bytes that it carries, which may be fewer than len when they are scattered; -1: the
 * edge takes none now.
 */
static int64_t
send_segment(struct bb_net *net, struct bb_tcp *c, uint32_t seq, uint32_t len, uint8_t flags, bool fresh)
{
	struct bb_net_tx *tx = net_tx_begin(net, bb_ip_is4(&c->key.remote));
	const uint32_t wanted = len;
	uint8_t ecn = 0;
	uint32_t got = 0;

	if (tx == NULL)
		return -1;
	uint8_t *h = net_tx_l4(tx);
	const uint32_t opts_len = put_options(net, c, h + 20);
	tx->l4_len = (uint8_t)(20 + opts_len);
	if (len > 0) {
		/* c->mss leaves room for timestamps, not for SACK blocks. */
		const uint32_t extra = opts_len - (c->flags & TF_TS ? 12u : 0u);
		if (extra > 0 && len + extra > c->mss && c->mss > extra)
			len = c->mss - extra;
		got = txq_gather(net, c, seq - c->snd_una, len, fresh, tx);
		if (got < wanted)
			flags &= (uint8_t) ~(TH_FIN | TH_PSH);
		/* RFC 3168 6.1.5: only new data says that the transport is capable. */
		if (fresh && (c->flags & TF_ECN)) {
			ecn = ECN_ECT0;
			if (c->flags & TF_CWR) {
				flags |= TH_CWR;
				c->flags &= ~TF_CWR;
			}
		}
	}
	if (c->flags & TF_ECE)
		flags |= TH_ECE;
	const uint32_t wnd = rcv_window(net, c) >> c->rcv_wscale;
	put_header(h, &c->key, seq, c->rcv_nxt, opts_len, flags | TH_ACK, (uint16_t)wnd);
	conn_send(net, c, tx, ecn);
	ack_sent(net, c);
	return got;
}

void
out_ack(struct bb_net *net, struct bb_tcp *c)
{
	if (send_segment(net, c, c->snd_nxt, 0, 0, false) < 0) {
		c->flags |= TF_ACK_NOW;
		conn_dirty(net, c);
	}
}

void
out_probe(struct bb_net *net, struct bb_tcp *c)
{
	if (send_segment(net, c, c->snd_una - 1, 0, 0, false) < 0)
		conn_dirty(net, c);
}

void
out_rst(struct bb_net *net, struct bb_tcp *c)
{
	struct raw_seg r = { .seq = c->snd_nxt, .ack = c->rcv_nxt, .flags = TH_RST | TH_ACK };

	if (c->state == TCP_SYN_SENT)
		return; /* the peer knows nothing of us */
	CTR(net, RST_OUT);
	out_raw(net, &c->key, &r);
}

bool
out_raw(struct bb_net *net, const struct bb_flow_key *key, const struct raw_seg *r)
{
	struct bb_net_tx *tx = net_tx_begin(net, bb_ip_is4(&key->remote));

	if (tx == NULL)
		return false;
	uint8_t *h = net_tx_l4(tx);
	put_header(h, key, r->seq, r->ack, r->opts_len, r->flags, (uint16_t)r->wnd);
	if (r->opts_len > 0)
		memcpy(h + 20, r->opts, r->opts_len);
	tx->l4_len = (uint8_t)(20 + r->opts_len);
	CTR(net, TCP_OUT);
	put_checksum(net, tx, key);
	ip_send(net, tx, &key->local, &key->remote, IPPROTO_TCP_NR, 0, HOP_LIMIT);
	return true;
}

void
out_rst_for(struct bb_net *net, const struct seg *s)
{
	struct raw_seg r = { .flags = TH_RST };

	CTR(net, DROP_TCP_CLOSED);
	if ((s->flags & TH_RST) || !rate_pass(&net->tcp->rst_rate, net->now_ns, 10000, 1000))
		return;
	if (s->flags & TH_ACK) {
		r.seq = s->ack;
	} else {
		r.flags |= TH_ACK;
		r.ack = s->seq + s->len + ((s->flags & TH_SYN) != 0) + ((s->flags & TH_FIN) != 0);
	}
	CTR(net, RST_OUT);
	out_raw(net, &s->pkt->key, &r);
}

/* SYN or, when both ends connect at once, SYN-ACK. The window of a SYN is never scaled. */
static bool
send_syn(struct bb_net *net, struct bb_tcp *c)
{
	const struct bb_tcp_tunables *t = &net->tcp->t;
	struct bb_net_tx *tx = net_tx_begin(net, bb_ip_is4(&c->key.remote));
	uint8_t flags = TH_SYN;
	bool sack = !t->no_sack, ts = !t->no_timestamps;
	uint8_t wscale = t->no_wscale ? 0xff : tcp_wscale(net);

	if (tx == NULL)
		return false;
	if (c->state == TCP_SYN_RCVD) {
		flags |= TH_ACK;
		sack = c->flags & TF_SACK;
		ts = c->flags & TF_TS;
		wscale = c->flags & TF_WSCALE ? wscale : 0xff;
	} else if (t->ecn && c->backoff == 0) {
		flags |= TH_ECE | TH_CWR; /* not on a repeated SYN: the first may have been dropped for it */
	}
	uint8_t *h = net_tx_l4(tx);
	const uint16_t mss = tcp_our_mss(net, bb_ip_is4(&c->key.remote));
	const uint32_t opts_len = tcp_opt_syn(
		h + 20, mss, wscale, sack, ts, ts_now(net, c), flags & TH_ACK ? c->ts_recent : 0);
	const uint32_t wnd = (uint32_t)bb_min_u64(c->rcvbuf, UINT16_MAX);
	if (flags & TH_ACK)
		c->rcv_adv = c->rcv_nxt + wnd;
	put_header(h, &c->key, c->iss, c->rcv_nxt, opts_len, flags, (uint16_t)wnd);
	tx->l4_len = (uint8_t)(20 + opts_len);
	conn_send(net, c, tx, 0);
	if (c->state == TCP_SYN_RCVD)
		ack_sent(net, c);
	c->snd_nxt = c->iss + 1;
	c->flags &= ~TF_SYN_DUE;
	rto_arm(net, c);
	return true;
}

/*
 * Send a record again; false: the edge takes nothing now. A record that is too long is cut; for want of memory its front goes
 * alone: when that is acknowledged the record is shorter, so it goes on even with no record free.
 */
static bool
resend(struct bb_net *net, struct bb_tcp *c, uint32_t idx)
{
	struct tx_rec *r = rec_at(net, idx);
	uint32_t len = r->end - r->seq - ((r->flags & REC_FIN) != 0);

	uint8_t flags = (uint8_t)((r->flags & REC_FIN ? TH_FIN : 0u) | (r->flags & REC_PSH ? TH_PSH : 0u));
	if (len > c->mss) {
		rec_split(net, c, idx, c->mss);
		len = c->mss;
		flags = 0;
	}
	const int64_t got = send_segment(net, c, r->seq, len, flags, false);
	if (got < 0)
		return false;
	/* What did not fit (SACK blocks, scattered pieces) keeps its mark and goes next. */
	if (got > 0 && (uint32_t)got < len)
		rec_split(net, c, idx, (uint32_t)got);
	rec_resent(net, c, idx);
	c->prr_out += rec_at(net, idx)->end - rec_at(net, idx)->seq;
	c->flags &= ~TF_FORCE_REXMIT;
	if (!timer_on(c, T_RTO))
		rto_arm(net, c);
	return true;
}

/* Lost segments, as far as the congestion window allows. False: the edge said no. */
static bool
output_lost(struct bb_net *net, struct bb_tcp *c, uint32_t *budget)
{
	while (c->lost_bytes > 0 && *budget > 0) {
		const uint32_t idx = rec_next_lost(net, c);
		const struct tx_rec *r = rec_at(net, idx);
		const uint32_t len = (uint32_t)bb_min_u64(r->end - r->seq, c->mss);
		if (!(c->flags & TF_FORCE_REXMIT) && pipe_now(c) > 0 && pipe_now(c) + len > c->cwnd)
			break;
		if (!resend(net, c, idx))
			return false;
		*budget -= (uint32_t)bb_min_u64(*budget, len);
	}
	return true;
}

/* May len unsent bytes leave now, of which wnd fit the peer's window? RFC 9293 3.8.6.2.1. */
static bool
worth_sending(struct bb_tcp *c, uint32_t len, uint32_t wnd, bool all)
{
	if (len >= c->mss)
		return true;
	if (c->flags & TF_CORK)
		return false;
	if (all && len <= wnd) {
		/* Everything there is; Nagle holds it back while something is in flight. */
		return !(c->flags & TF_NAGLE) || c->rec_count == 0 || (c->flags & TF_FIN_QUEUED);
	}
	return len >= c->snd_wnd_max / 2 || (c->flags & TF_SWS_NOW);
}

/* One segment of new data. 1 sent, 0 nothing may be sent now, -1 edge or memory said no. */
static int
output_new(struct bb_net *net, struct bb_tcp *c)
{
	const int32_t wnd_left = seq_diff(c->snd_una + c->snd_wnd, c->snd_nxt);
	uint32_t len = (uint32_t)bb_min_u64(c->unsent, c->mss);
	const bool all = len == c->unsent;

	if (wnd_left <= 0)
		return 0;
	if (len > (uint32_t)wnd_left)
		len = (uint32_t)wnd_left;
	if (!worth_sending(c, len, (uint32_t)wnd_left, all))
		return 0;
	const uint32_t pipe = pipe_now(c);
	if (pipe > 0 && pipe + len > c->cwnd) {
		c->flags |= TF_CWND_LIMITED;
		return 0;
	}
	/* A FIN needs a place in the window as data does. */
	const bool last = len == c->unsent;
	const bool fin = last && (c->flags & TF_FIN_QUEUED) && len < (uint32_t)wnd_left;
	uint8_t rec_flags = (uint8_t)((last ? REC_PSH : 0u) | (fin ? REC_FIN : 0u));
	const uint32_t idx = rec_append(net, c, c->snd_nxt, c->snd_nxt + len + fin, rec_flags);
	if (idx == BB_NET_POOL_NONE)
		return -1;
	const int64_t got = send_segment(
		net, c, c->snd_nxt, len, (uint8_t)((last ? TH_PSH : 0u) | (fin ? TH_FIN : 0u)), true);
	struct tx_rec *r = rec_at(net, idx);
	if (got <= 0) {
		rec_cancel(net, c, idx);
		return -1;
	}
	const bool whole = (uint32_t)got == len;
	c->pipe -= r->end - r->seq;
	r->end = r->seq + (uint32_t)got + (whole && fin);
	c->pipe += r->end - r->seq;
	if (!whole)
		r->flags &= (uint8_t) ~(REC_FIN | REC_PSH);
	else if (fin)
		c->flags |= TF_FIN_SENT;
	txq_advance(net, c, (uint32_t)got);
	c->snd_nxt = r->end;
	c->prr_out += r->end - r->seq;
	c->flags &= ~TF_SWS_NOW;
	return 1;
}

/* FIN alone, when all data was sent before. Same answers as output_new. */
static int
output_fin(struct bb_net *net, struct bb_tcp *c)
{
	if (c->unsent > 0 || (c->flags & TF_FIN_SENT) || !(c->flags & TF_FIN_QUEUED))
		return 0;
	if (seq_diff(c->snd_una + c->snd_wnd, c->snd_nxt) <= 0)
		return 0;
	const uint32_t idx = rec_append(net, c, c->snd_nxt, c->snd_nxt + 1, REC_FIN);
	if (idx == BB_NET_POOL_NONE)
		return -1;
	if (send_segment(net, c, c->snd_nxt, 0, TH_FIN, false) < 0) {
		rec_cancel(net, c, idx);
		return -1;
	}
	c->snd_nxt++;
	c->flags |= TF_FIN_SENT;
	return 1;
}

/* After new data left: timers, and how much of the window was used (RFC 7661). */
static void
after_new(struct bb_net *net, struct bb_tcp *c)
{
	if (!timer_on(c, T_RTO)) {
		c->progress_ns = net->now_ns; /* the user timeout counts from here */
		rto_arm(net, c);
	}
	if (timer_on(c, T_PROBE) && c->probe_kind >= PROBE_PERSIST)
		timer_stop(c, T_PROBE);
	c->persist_backoff = 0;
	if (seq_geq(c->snd_una, c->flight_round_end) || c->pipe > c->flight_max) {
		c->flight_max = c->pipe;
		c->flight_round_end = c->snd_nxt;
		if (c->unsent == 0 && c->pipe + c->mss <= c->cwnd)
			c->flags &= ~TF_CWND_LIMITED;
	}
	tlp_arm(net, c);
}

/* Data waits and nothing is in flight whose ACK would bring a window: probe for one. */
static void
arm_persist(struct bb_net *net, struct bb_tcp *c)
{
	const bool waiting = c->unsent > 0 || ((c->flags & TF_FIN_QUEUED) && !(c->flags & TF_FIN_SENT));

	if (!waiting || c->rec_count > 0 || timer_on(c, T_PROBE))
		return;
	if (seq_diff(c->snd_una + c->snd_wnd, c->snd_nxt) > 0) {
		if (!(c->flags & TF_CORK))
			probe_set(net, c, PROBE_SWS, SWS_OVERRIDE_NS);
		return;
	}
	if (c->persist_backoff == 0 && c->backoff == 0)
		c->progress_ns = net->now_ns;
	probe_set(net, c, PROBE_PERSIST, bb_min_u64(c->rto_ns << c->persist_backoff, net->tcp->t.rto_max_ns));
}

/* RFC 5681 4.1: what was learnt about the path is old after an idle time-out. */
static void
restart_after_idle(struct bb_net *net, struct bb_tcp *c)
{
	const uint64_t idle_ns = (uint64_t)((uint32_t)net->now_ms - c->last_send_ms) * BB_MSEC;
	const uint32_t iw = cc_initial_window(net, c);

	if (c->rec_count == 0 && c->unsent > 0 && idle_ns > c->rto_ns && c->cwnd > iw)
		c->cwnd = iw;
}

static bool
may_send_data(const struct bb_tcp *c)
{
	return c->state >= TCP_ESTABLISHED;
}

bool
tcp_output(struct bb_net *net, struct bb_tcp *c)
{
	uint32_t budget = QUANTUM;
	bool sent = false;

	if (c->flags & TF_SYN_DUE)
		return !send_syn(net, c);
	if (!may_send_data(c))
		return false;
	if (!output_lost(net, c, &budget))
		return true;
	restart_after_idle(net, c);
	/* Lost segments that the window holds back go before anything new. */
	while (c->unsent > 0 && c->lost_bytes == 0) {
		const int r = output_new(net, c);
		if (r < 0) {
			if (sent)
				after_new(net, c);
			return true;
		}
		if (r == 0)
			break;
		sent = true;
		if (budget <= c->mss) {
			after_new(net, c);
			return true; /* others' turn */
		}
		budget -= c->mss;
	}
	if (c->lost_bytes == 0) {
		const int r = output_fin(net, c);
		if (r < 0)
			return true;
		sent |= r > 0;
	}
	if (sent)
		after_new(net, c);
	arm_persist(net, c);
	if ((c->flags & TF_ACK_NOW) && send_segment(net, c, c->snd_nxt, 0, 0, false) < 0)
		return true;
	return false;
}

void
out_tlp(struct bb_net *net, struct bb_tcp *c)
{
	const uint32_t end = c->snd_nxt;

	if (c->unsent > 0 && seq_diff(c->snd_una + c->snd_wnd, c->snd_nxt) > 0) {
		/* New data makes the better probe; it may exceed the congestion window by one segment. */
		const uint32_t cwnd = c->cwnd;
		c->cwnd = UINT32_MAX / 2;
		const int r = output_new(net, c);
		c->cwnd = cwnd;
		if (r <= 0)
			return;
		c->tlp_end = c->snd_nxt;
		c->flags = (c->flags | TF_TLP) & ~TF_TLP_REXMIT;
	} else {
		/* The last segment, of a full one only as much as fits; never more than mss. */
		const uint32_t idx = c->rec_tail;
		if (idx == BB_NET_POOL_NONE || !rec_in_pipe(rec_at(net, idx)) || !resend(net, c, idx))
			return;
		c->tlp_end = end;
		c->flags |= TF_TLP | TF_TLP_REXMIT;
	}
	c->flags &= ~TF_RTT_SEEN;
	CTR(net, TLP);
	rto_arm(net, c);
}
