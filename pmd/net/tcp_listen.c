/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_listen: listeners, and handshakes that have not finished (SYN-RECEIVED): 64 bytes each in the SYN
 * cache, no control block. When the cache or the listener's backlog is full the answer is a SYN cookie (RFC
 * 4987 3.6) and nothing is kept at all. What cookies cannot carry in the sequence number they carry in the
 * timestamp:
 *
 *   sequence number:  31..27 time (64 s units)   26..24 MSS index   23..0 keyed hash
 *   timestamp value:  31..6 our clock            5 SACK   4 ECN   3..0 window scale, 15 none
 */
#include <errno.h>
#include <string.h>

#include "net/tcp_priv.h"

#define COOKIE_PERIOD_MS (64 * 1000)
#define COOKIE_PERIODS_MAX 2
#define SYN_RTO_MS 1000

static const uint16_t cookie_mss[8] = { 216, 536, 1024, 1220, 1380, 1440, 1460, 8940 };

static struct syn_entry *
syn_at(const struct bb_net *net, uint32_t idx)
{
	return bb_net_pool_at(&net->tcp->syns, idx);
}

static uint32_t
now_ms(const struct bb_net *net)
{
	return (uint32_t)net->now_ms;
}

struct bb_tcp_listener *
listener_find(struct bb_net *net, const struct bb_ip *ip, uint16_t port)
{
	struct bb_tcp_listener *any = NULL;

	for (uint32_t i = 0; i < net->tcp->listeners_used; i++) {
		struct bb_tcp_listener *l = &net->tcp->listeners[i];
		if (!l->used || l->port != port)
			continue;
		if (bb_ip_eq(&l->ip, ip))
			return l;
		/* The wildcard of IPv6 is that of both families. */
		if (bb_ip_is_zero(&l->ip) && (!bb_ip_is4(&l->ip) || bb_ip_is4(ip)))
			any = l;
	}
	return any;
}

int
bb_tcp_listen(struct bb_net *net, const struct bb_ip *ip, uint16_t port, uint32_t backlog,
	bb_tcp_accept_fn *accept, void *ctx, struct bb_tcp_listener **ret)
{
	struct bb_tcp_listener *slot = NULL;

	if (!bb_ip_is_zero(ip) && addr_find(net, ip) == NULL)
		return -EADDRNOTAVAIL;
	for (uint32_t i = 0; i < net->conf.listeners_max; i++) {
		struct bb_tcp_listener *l = &net->tcp->listeners[i];
		if (!l->used)
			slot = slot == NULL ? l : slot;
		else if (l->port == port && bb_ip_eq(&l->ip, ip))
			return -EADDRINUSE;
	}
	if (slot == NULL)
		return -ENOBUFS;
	*slot = (struct bb_tcp_listener){
		.ip = *ip, .port = port, .used = true, .backlog = backlog, .accept = accept, .ctx = ctx
	};
	const uint32_t at = (uint32_t)(slot - net->tcp->listeners);
	if (at >= net->tcp->listeners_used)
		net->tcp->listeners_used = at + 1;
	*ret = slot;
	return 0;
}

static void
list_append(struct bb_net *net, uint32_t idx, uint8_t list)
{
	struct tcp_core *t = net->tcp;
	struct syn_entry *e = syn_at(net, idx);

	e->retries = list;
	e->due_ms = now_ms(net) + (SYN_RTO_MS << list);
	e->next = BB_NET_POOL_NONE;
	e->prev = t->syn_tail[list];
	if (e->prev != BB_NET_POOL_NONE)
		syn_at(net, e->prev)->next = idx;
	else
		t->syn_head[list] = idx;
	t->syn_tail[list] = idx;
}

static void
list_remove(struct bb_net *net, struct syn_entry *e)
{
	struct tcp_core *t = net->tcp;

	if (e->prev != BB_NET_POOL_NONE)
		syn_at(net, e->prev)->next = e->next;
	else
		t->syn_head[e->retries] = e->next;
	if (e->next != BB_NET_POOL_NONE)
		syn_at(net, e->next)->prev = e->prev;
	else
		t->syn_tail[e->retries] = e->prev;
}

static void
syn_free(struct bb_net *net, uint32_t idx)
{
	struct syn_entry *e = syn_at(net, idx);
	struct bb_tcp_listener *l = listener_find(net, &e->key.local, e->key.lport);

	if (l != NULL && l->pending > 0)
		l->pending--;
	list_remove(net, e);
	bb_flow_remove(&net->flow, bb_flow_hash(&net->flow, &e->key), BB_FLOW_REF(BB_FLOW_SYN, idx));
	bb_net_pool_free(&net->tcp->syns, idx);
}

void
bb_tcp_unlisten(struct bb_net *net, struct bb_tcp_listener *l)
{
	for (int list = 0; list < SYN_RETRY_LISTS; list++) {
		for (uint32_t i = net->tcp->syn_head[list]; i != BB_NET_POOL_NONE;) {
			const struct syn_entry *e = syn_at(net, i);
			const uint32_t next = e->next;
			if (listener_find(net, &e->key.local, e->key.lport) == l)
				syn_free(net, i);
			i = next;
		}
	}
	l->used = false;
}

static void
send_synack(struct bb_net *net, const struct bb_flow_key *key, uint32_t iss, uint32_t irs, uint8_t bits,
	uint32_t tsval, uint32_t tsecr)
{
	uint8_t opts[40];
	const uint8_t wscale = bits & SYN_WSCALE ? tcp_wscale(net) : 0xff;
	struct raw_seg r = { .seq = iss, .ack = irs + 1, .flags = TH_SYN | TH_ACK, .opts = opts };

	r.opts_len = tcp_opt_syn(opts, tcp_our_mss(net, bb_ip_is4(&key->remote)), wscale, bits & SYN_SACK,
		bits & SYN_TS, tsval, tsecr);
	r.wnd = (uint32_t)bb_min_u64(net->tcp->t.rcvbuf_bytes, UINT16_MAX);
	if (bits & SYN_ECN)
		r.flags |= TH_ECE;
	out_raw(net, key, &r); /* not sent: the client repeats its SYN */
}

static void
entry_synack(struct bb_net *net, const struct syn_entry *e)
{
	send_synack(net, &e->key, e->iss, e->irs, e->bits, now_ms(net) + tcp_ts_offset(net, &e->key),
		e->ts_recent);
}

/* What both ends can do, of a SYN. The scale itself goes into the low four bits. */
static uint8_t
syn_bits(const struct bb_net *net, const struct seg *s)
{
	const struct bb_tcp_tunables *t = &net->tcp->t;
	uint8_t bits = 0;

	if (s->opt.wscale != 0xff && !t->no_wscale)
		bits |= SYN_WSCALE | s->opt.wscale;
	if (s->opt.sack_ok && !t->no_sack)
		bits |= SYN_SACK;
	if (s->opt.ts && !t->no_timestamps)
		bits |= SYN_TS;
	if ((s->flags & (TH_ECE | TH_CWR)) == (TH_ECE | TH_CWR))
		bits |= SYN_ECN;
	return bits;
}

static uint16_t
syn_mss(const struct seg *s)
{
	if (s->opt.mss != 0)
		return s->opt.mss;
	return s->pkt->is4 ? MSS_DEFAULT4 : MSS_DEFAULT6;
}

static uint32_t
cookie_hash(const struct bb_net *net, const struct bb_flow_key *key, uint32_t irs, uint32_t time)
{
	uint8_t in[sizeof(*key) + 8];

	memcpy(in, key, sizeof(*key));
	memcpy(in + sizeof(*key), &irs, 4);
	memcpy(in + sizeof(*key) + 4, &time, 4);
	return (uint32_t)bb_hash(&net->cookie_key, in, sizeof(in)) & 0xffffff;
}

static void
send_cookie(struct bb_net *net, const struct seg *s, uint8_t bits)
{
	const struct bb_flow_key *key = &s->pkt->key;
	const uint32_t time = (uint32_t)(net->now_ms / COOKIE_PERIOD_MS);
	uint32_t mss = 7;

	while (mss > 0 && cookie_mss[mss] > syn_mss(s))
		mss--;
	/* Without a timestamp there is no room for scale, SACK and ECN. */
	if (!(bits & SYN_TS))
		bits = 0;
	uint32_t ts = (now_ms(net) + tcp_ts_offset(net, key)) & ~0x3fu;
	ts |= (bits & SYN_SACK ? 0x20u : 0) | (bits & SYN_ECN ? 0x10u : 0) |
	      (bits & SYN_WSCALE ? bits & 0xfu : 15u);
	const uint32_t iss = (time & 31) << 27 | mss << 24 | cookie_hash(net, key, s->seq, time << 3 | mss);
	CTR(net, COOKIE_SENT);
	net->tcp->cookie_last_ms = net->now_ms;
	send_synack(net, key, iss, s->seq, bits, ts, s->opt.tsval);
}

void
listen_syn(struct bb_net *net, struct bb_tcp_listener *l, struct seg *s, const uint32_t *iss)
{
	const uint8_t bits = syn_bits(net, s);
	uint32_t idx = BB_NET_POOL_NONE;

	CTR(net, SYN_IN);
	if (l->pending < l->backlog)
		idx = bb_net_pool_alloc(&net->tcp->syns);
	if (idx == BB_NET_POOL_NONE) {
		send_cookie(net, s, bits);
		return;
	}
	struct syn_entry *e = syn_at(net, idx);
	*e = (struct syn_entry){ .key = s->pkt->key, .irs = s->seq };
	e->iss = iss != NULL ? *iss : tcp_isn(net, &e->key);
	e->ts_recent = s->opt.tsval;
	e->mss = syn_mss(s);
	e->bits = bits;
	l->pending++;
	list_append(net, idx, 0);
	bb_flow_insert(&net->flow, bb_flow_hash(&net->flow, &e->key), BB_FLOW_REF(BB_FLOW_SYN, idx));
	entry_synack(net, e);
}

/* A control block for a finished handshake; NULL: nobody takes it now. */
static struct bb_tcp *
open_conn(struct bb_net *net, struct bb_tcp_listener *l, const struct syn_entry *e)
{
	struct bb_tcp *c = conn_create(net, &e->key);

	if (c == NULL) {
		CTR(net, DROP_TCP_CONNS);
		return NULL;
	}
	c->state = TCP_SYN_RCVD;
	c->irs = e->irs;
	c->iss = e->iss;
	c->snd_una = c->snd_nxt = e->iss + 1;
	c->rcv_nxt = c->last_ack_sent = e->irs + 1;
	c->rcv_adv = c->rcv_nxt + (uint32_t)bb_min_u64(c->rcvbuf, UINT16_MAX);
	c->peer_mss = e->mss;
	if (e->bits & SYN_WSCALE) {
		c->flags |= TF_WSCALE;
		c->snd_wscale = e->bits & 0xf;
		c->rcv_wscale = tcp_wscale(net);
	}
	c->flags |= (e->bits & SYN_SACK ? TF_SACK : 0) | (e->bits & SYN_TS ? TF_TS : 0) |
		    (e->bits & SYN_ECN ? TF_ECN : 0);
	c->ts_recent = e->ts_recent;
	c->ts_recent_ns = net->now_ns;
	c->snd_wl1 = e->irs; /* older than any segment to come */
	c->snd_wl2 = e->iss;
	conn_set_mss(net, c);
	conn_established(net, c);
	if (l->accept(l->ctx, c))
		return c;
	CTR(net, DROP_TCP_BACKLOG);
	c->state = TCP_CLOSED;
	rcv_free(net, c);
	txq_free(net, c);
	bb_net_wheel_remove(&net->tcp->wheel, conn_index(net, c));
	c->in_use = 0;
	bb_net_pool_free(&net->tcp->conns, conn_index(net, c));
	return NULL;
}

/* The handshake is done: the entry's place in the flow table goes to the connection. */
static void
promote(struct bb_net *net, uint32_t idx, struct bb_tcp *c, struct seg *s)
{
	if (idx != BB_NET_POOL_NONE) {
		/* The first round trip, to a millisecond, unless the SYN-ACK was sent twice. */
		const struct syn_entry *e = syn_at(net, idx);
		if (e->retries == 0)
			rto_update(net, c, bb_max_u64(now_ms(net) - (e->due_ms - SYN_RTO_MS), 1) * BB_MSEC);
		syn_free(net, idx);
	}
	bb_flow_insert(
		&net->flow, bb_flow_hash(&net->flow, &c->key), BB_FLOW_REF(BB_FLOW_CONN, conn_index(net, c)));
	c->in_use = 1;
	CTR(net, CONN_ACCEPTED);
	conn_input(net, c, s);
}

static bool
mss_of_cookie(struct bb_net *net, const struct seg *s, uint16_t *ret)
{
	const uint32_t cookie = s->ack - 1, irs = s->seq - 1;
	const uint32_t now = (uint32_t)(net->now_ms / COOKIE_PERIOD_MS);
	const uint32_t age = (now - (cookie >> 27)) & 31;
	const uint32_t mss = cookie >> 24 & 7;

	if (age >= COOKIE_PERIODS_MAX)
		return false;
	if ((cookie & 0xffffff) != cookie_hash(net, &s->pkt->key, irs, (now - age) << 3 | mss))
		return false;
	*ret = cookie_mss[mss];
	return true;
}

/* An ACK that belongs to nothing: perhaps one of our cookies comes back. True if it is dealt with. */
static bool
take_cookie(struct bb_net *net, struct bb_tcp_listener *l, struct seg *s)
{
	struct syn_entry e = { .key = s->pkt->key, .irs = s->seq - 1, .iss = s->ack - 1 };

	/* With a FIN it may be: the first ACK was lost, and the client had nothing to say. */
	if (s->flags & (TH_SYN | TH_RST))
		return false;
	/* None was sent lately: then it cannot be one, and guessing is of no use. */
	if (net->tcp->cookie_last_ms == 0 ||
		net->now_ms - net->tcp->cookie_last_ms > COOKIE_PERIODS_MAX * COOKIE_PERIOD_MS)
		return false;
	if (!mss_of_cookie(net, s, &e.mss)) {
		CTR(net, DROP_TCP_COOKIE);
		return false;
	}
	if (s->opt.ts && !net->tcp->t.no_timestamps) {
		const uint32_t ts = s->opt.tsecr;
		e.bits = SYN_TS | (ts & 0x20 ? SYN_SACK : 0) | (ts & 0x10 ? SYN_ECN : 0);
		if ((ts & 15) != 15)
			e.bits |= (uint8_t)(SYN_WSCALE | (ts & 15));
		e.ts_recent = s->opt.tsval;
	}
	struct bb_tcp *c = open_conn(net, l, &e);
	if (c == NULL)
		return true; /* silence: the client repeats what it sent */
	CTR(net, COOKIE_OK);
	promote(net, BB_NET_POOL_NONE, c, s);
	return true;
}

/* RFC 9293 3.10.7.1 and 3.10.7.2. */
void
listen_input(struct bb_net *net, struct seg *s)
{
	struct bb_tcp_listener *l = listener_find(net, &s->pkt->key.local, s->pkt->key.lport);

	if (l == NULL) {
		out_rst_for(net, s);
		return;
	}
	if (s->flags & TH_RST) {
		CTR(net, DROP_TCP_RST);
		return;
	}
	if (s->flags & TH_ACK) {
		if (!take_cookie(net, l, s))
			out_rst_for(net, s);
		return;
	}
	if ((s->flags & (TH_SYN | TH_FIN)) != TH_SYN) {
		CTR(net, DROP_TCP_FLAGS);
		return;
	}
	listen_syn(net, l, s, NULL);
}

static void
syn_ack_input(struct bb_net *net, uint32_t idx, struct seg *s)
{
	struct syn_entry *e = syn_at(net, idx);

	if (s->ack != e->iss + 1) {
		CTR(net, DROP_TCP_ACK);
		CTR(net, RST_OUT);
		out_raw(net, &e->key, &(struct raw_seg){ .seq = s->ack, .flags = TH_RST });
		return;
	}
	/* In the window that the SYN-ACK offered, and not older than the SYN. */
	const uint32_t wnd = (uint32_t)bb_min_u64(net->tcp->t.rcvbuf_bytes, UINT16_MAX);
	if (seq_lt(s->seq, e->irs + 1) || seq_gt(s->seq, e->irs + 1 + wnd) ||
		((e->bits & SYN_TS) && s->opt.ts && seq_lt(s->opt.tsval, e->ts_recent))) {
		CTR(net, DROP_TCP_SYN);
		return;
	}
	struct bb_tcp_listener *l = listener_find(net, &e->key.local, e->key.lport);
	BB_ASSERT(l != NULL); /* its entries go when a listener goes */
	struct bb_tcp *c = open_conn(net, l, e);
	if (c != NULL)
		promote(net, idx, c, s);
}

void
syn_input(struct bb_net *net, uint32_t idx, struct seg *s)
{
	struct syn_entry *e = syn_at(net, idx);

	if (s->flags & TH_RST) {
		CTR(net, DROP_TCP_RST);
		if (s->seq == e->irs + 1)
			syn_free(net, idx);
		return;
	}
	if (s->flags & TH_SYN) {
		if (s->flags & (TH_ACK | TH_FIN)) {
			CTR(net, DROP_TCP_FLAGS);
			return;
		}
		if (s->seq == e->irs) {
			CTR(net, DROP_TCP_SYN);
			CTR(net, SYNACK_REXMIT);
			entry_synack(net, e);
			return;
		}
		/* The client began anew (RFC 9293 3.10.7.4, fourth: a passive open returns to LISTEN). */
		struct bb_tcp_listener *l = listener_find(net, &e->key.local, e->key.lport);
		syn_free(net, idx);
		listen_syn(net, l, s, NULL);
		return;
	}
	if (!(s->flags & TH_ACK)) {
		CTR(net, DROP_TCP_FLAGS);
		return;
	}
	syn_ack_input(net, idx, s);
}

void
syn_poll(struct bb_net *net)
{
	struct tcp_core *t = net->tcp;
	int budget = 256;

	for (uint8_t list = 0; list < SYN_RETRY_LISTS; list++) {
		while (t->syn_head[list] != BB_NET_POOL_NONE && budget-- > 0) {
			const uint32_t idx = t->syn_head[list];
			struct syn_entry *e = syn_at(net, idx);
			if (seq_lt(now_ms(net), e->due_ms))
				break;
			if (list >= t->t.synack_retries || list + 1 == SYN_RETRY_LISTS) {
				CTR(net, SYN_EXPIRED);
				syn_free(net, idx);
				continue;
			}
			list_remove(net, e);
			list_append(net, idx, (uint8_t)(list + 1));
			CTR(net, SYNACK_REXMIT);
			entry_synack(net, e);
		}
	}
}

uint64_t
syn_deadline(const struct bb_net *net)
{
	uint64_t at = BB_NEVER;

	for (int list = 0; list < SYN_RETRY_LISTS; list++) {
		const uint32_t idx = net->tcp->syn_head[list];
		if (idx == BB_NET_POOL_NONE)
			continue;
		const int32_t left = seq_diff(syn_at(net, idx)->due_ms, now_ms(net));
		at = bb_min_u64(at, (net->now_ms + (left > 0 ? (uint32_t)left : 0)) * BB_MSEC);
	}
	return at;
}
