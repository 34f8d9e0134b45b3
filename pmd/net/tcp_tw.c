/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_tw: TIME-WAIT in 64 bytes per connection. All wait equally long, so a list in order of entry is in
 * order of expiry; what restarts the wait moves to its end. A full table gives up its oldest record.
 */
#include "net/tcp_priv.h"

static struct tw_entry *
tw_at(const struct bb_net *net, uint32_t idx)
{
	return bb_net_pool_at(&net->tcp->tws, idx);
}

static uint32_t
now_ms(const struct bb_net *net)
{
	return (uint32_t)net->now_ms;
}

static void
link_last(struct bb_net *net, uint32_t idx)
{
	struct tcp_core *t = net->tcp;
	struct tw_entry *e = tw_at(net, idx);

	e->expire_ms = now_ms(net) + (uint32_t)(t->t.msl2_ns / BB_MSEC);
	e->next = BB_NET_POOL_NONE;
	e->prev = t->tw_tail;
	if (t->tw_tail != BB_NET_POOL_NONE)
		tw_at(net, t->tw_tail)->next = idx;
	else
		t->tw_head = idx;
	t->tw_tail = idx;
}

static void
unlink_entry(struct bb_net *net, struct tw_entry *e)
{
	struct tcp_core *t = net->tcp;

	if (e->prev != BB_NET_POOL_NONE)
		tw_at(net, e->prev)->next = e->next;
	else
		t->tw_head = e->next;
	if (e->next != BB_NET_POOL_NONE)
		tw_at(net, e->next)->prev = e->prev;
	else
		t->tw_tail = e->prev;
}

static void
tw_free(struct bb_net *net, uint32_t idx)
{
	struct tw_entry *e = tw_at(net, idx);

	bb_flow_remove(&net->flow, bb_flow_hash(&net->flow, &e->key), BB_FLOW_REF(BB_FLOW_TIMEWAIT, idx));
	unlink_entry(net, e);
	bb_net_pool_free(&net->tcp->tws, idx);
}

/* The control block leaves the flow table, the record takes its place. */
void
tw_enter(struct bb_net *net, struct bb_tcp *c)
{
	struct tcp_core *t = net->tcp;
	uint32_t idx = bb_net_pool_alloc(&t->tws);

	if (idx == BB_NET_POOL_NONE) {
		CTR(net, TW_EVICTED);
		tw_free(net, t->tw_head);
		idx = bb_net_pool_alloc(&t->tws);
	}
	CTR(net, TW_ENTERED);
	struct tw_entry *e = tw_at(net, idx);
	*e = (struct tw_entry){ .key = c->key, .rcv_nxt = c->rcv_nxt, .snd_nxt = c->snd_nxt };
	e->ts = (c->flags & TF_TS) != 0;
	e->ts_recent = c->ts_recent;
	const uint64_t hash = bb_flow_hash(&net->flow, &c->key);
	bb_flow_remove(&net->flow, hash, BB_FLOW_REF(BB_FLOW_CONN, conn_index(net, c)));
	c->in_use = 2; /* no longer in the flow table */
	bb_flow_insert(&net->flow, hash, BB_FLOW_REF(BB_FLOW_TIMEWAIT, idx));
	link_last(net, idx);
}

static void
tw_ack(struct bb_net *net, const struct tw_entry *e)
{
	uint8_t opts[12];
	struct raw_seg r = { .seq = e->snd_nxt, .ack = e->rcv_nxt, .flags = TH_ACK };

	if (e->ts) {
		opts[0] = opts[1] = 1;
		opts[2] = 8;
		opts[3] = 10;
		bb_store_be32(opts + 4, now_ms(net) + tcp_ts_offset(net, &e->key));
		bb_store_be32(opts + 8, e->ts_recent);
		r.opts = opts;
		r.opts_len = sizeof(opts);
	}
	out_raw(net, &e->key, &r);
}

/* RFC 6191, and RFC 9293 MAY-2: a SYN that is newer for certain opens a new connection. */
static bool
may_reopen(const struct tw_entry *e, const struct seg *s)
{
	if ((s->flags & (TH_SYN | TH_ACK | TH_FIN)) != TH_SYN)
		return false;
	if (e->ts && s->opt.ts)
		return seq_gt(s->opt.tsval, e->ts_recent) ||
		       (s->opt.tsval == e->ts_recent && seq_gt(s->seq, e->rcv_nxt));
	return seq_gt(s->seq, e->rcv_nxt);
}

void
tw_input(struct bb_net *net, uint32_t idx, struct seg *s)
{
	struct tw_entry *e = tw_at(net, idx);

	if (s->flags & TH_RST) {
		CTR(net, DROP_TCP_RST); /* RFC 1337 fix F1 */
		return;
	}
	if (may_reopen(e, s)) {
		struct bb_tcp_listener *l = listener_find(net, &e->key.local, e->key.lport);
		if (l != NULL) {
			uint32_t iss = tcp_isn(net, &e->key);
			if (seq_leq(iss, e->snd_nxt))
				iss = e->snd_nxt + UINT16_MAX + 2;
			CTR(net, TW_REUSED);
			tw_free(net, idx);
			listen_syn(net, l, s, &iss);
			return;
		}
	}
	CTR(net, DROP_TCP_TIMEWAIT);
	if (e->ts && s->opt.ts && seq_lt(s->opt.tsval, e->ts_recent)) {
		tw_ack(net, e);
		return;
	}
	/* Their FIN again: our last ACK was lost (RFC 9293 3.10.7.4, eighth). */
	if ((s->flags & TH_FIN) && s->seq + s->len + 1 == e->rcv_nxt) {
		if (e->ts && s->opt.ts)
			e->ts_recent = s->opt.tsval;
		unlink_entry(net, e);
		link_last(net, idx);
		tw_ack(net, e);
		return;
	}
	/* A pure ACK in place needs no answer, or two ends in TIME-WAIT would go on for ever. */
	if (s->len == 0 && !(s->flags & (TH_SYN | TH_FIN)) && s->seq == e->rcv_nxt)
		return;
	tw_ack(net, e);
}

void
tw_poll(struct bb_net *net)
{
	struct tcp_core *t = net->tcp;

	for (int budget = 256; budget > 0 && t->tw_head != BB_NET_POOL_NONE; budget--) {
		if (seq_lt(now_ms(net), tw_at(net, t->tw_head)->expire_ms))
			return;
		tw_free(net, t->tw_head);
	}
}

uint64_t
tw_deadline(const struct bb_net *net)
{
	if (net->tcp->tw_head == BB_NET_POOL_NONE)
		return BB_NEVER;
	const int32_t left = seq_diff(tw_at(net, net->tcp->tw_head)->expire_ms, now_ms(net));
	return (net->now_ms + (left > 0 ? (uint32_t)left : 0)) * BB_MSEC;
}
