/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_rec: one record per segment in flight, the single truth about what was sent, what arrived and what is
 * lost. In two orders: by sequence, for ACKs; by time of last transmission, for RACK, those alone that count
 * in pipe. `pipe`, `lost_bytes` and `sacked_bytes` of the connection are sums over the records:
 *
 *   pipe   neither SACKED nor LOST        lost   LOST, to be sent again        sacked   SACKED
 */
#include "net/tcp_priv.h"

static void
time_unlink(struct bb_net *net, struct bb_tcp *c, struct tx_rec *r)
{
	if (!(r->flags & REC_TIMED))
		return;
	r->flags &= (uint8_t)~REC_TIMED;
	if (r->tprev != BB_NET_POOL_NONE)
		rec_at(net, r->tprev)->tnext = r->tnext;
	else
		c->time_head = r->tnext;
	if (r->tnext != BB_NET_POOL_NONE)
		rec_at(net, r->tnext)->tprev = r->tprev;
	else
		c->time_tail = r->tprev;
}

static void
time_append(struct bb_net *net, struct bb_tcp *c, struct tx_rec *r, uint32_t idx)
{
	r->flags |= REC_TIMED;
	r->tnext = BB_NET_POOL_NONE;
	r->tprev = c->time_tail;
	if (c->time_tail != BB_NET_POOL_NONE)
		rec_at(net, c->time_tail)->tnext = idx;
	else
		c->time_head = idx;
	c->time_tail = idx;
}

uint32_t
rec_append(struct bb_net *net, struct bb_tcp *c, uint32_t seq, uint32_t end, uint8_t flags)
{
	const uint32_t idx = bb_net_pool_alloc(&net->tcp->recs);

	if (idx == BB_NET_POOL_NONE) {
		CTR(net, TX_NO_MEM);
		return BB_NET_POOL_NONE;
	}
	struct tx_rec *r = rec_at(net, idx);
	*r = (struct tx_rec){ .xmit_ns = net->now_ns, .seq = seq, .end = end, .flags = flags, .count = 1 };
	r->next = BB_NET_POOL_NONE;
	r->prev = c->rec_tail;
	if (c->rec_tail != BB_NET_POOL_NONE)
		rec_at(net, c->rec_tail)->next = idx;
	else
		c->rec_head = idx;
	c->rec_tail = idx;
	time_append(net, c, r, idx);
	c->rec_count++;
	c->pipe += end - seq;
	return idx;
}

static void
rec_free(struct bb_net *net, struct bb_tcp *c, struct tx_rec *r, uint32_t idx)
{
	time_unlink(net, c, r);
	if (r->prev != BB_NET_POOL_NONE)
		rec_at(net, r->prev)->next = r->next;
	else
		c->rec_head = r->next;
	if (r->next != BB_NET_POOL_NONE)
		rec_at(net, r->next)->prev = r->prev;
	else
		c->rec_tail = r->prev;
	if (c->rexmit_hint == idx)
		c->rexmit_hint = r->next;
	c->rec_count--;
	c->sacked_count -= (r->flags & REC_SACKED) != 0;
	bb_net_pool_free(&net->tcp->recs, idx);
}

/* Take n bytes of r out of the sum that r counts in. */
static void
uncount(struct bb_tcp *c, const struct tx_rec *r, uint32_t n)
{
	if (r->flags & REC_SACKED)
		c->sacked_bytes -= n;
	else if (r->flags & REC_LOST)
		c->lost_bytes -= n;
	else
		c->pipe -= n;
}

/*
 * r has arrived: what RACK learns from it (RFC 8985 6.2 steps 1 to 3). A segment that was sent twice says
 * nothing about the time of either unless the echoed timestamp, or a round trip that is too short for the
 * second, tells which.
 */
static void
rack_learn(struct bb_net *net, struct bb_tcp *c, const struct tx_rec *r, uint32_t tsecr, bool ts,
	struct rec_acked *a)
{
	const uint64_t rtt = net->now_ns - r->xmit_ns;

	if (r->flags & REC_REXMIT) {
		const uint32_t sent_ts = (uint32_t)(r->xmit_ns / BB_MSEC) + c->ts_off;
		if (ts && seq_lt(tsecr, sent_ts))
			return;
		if (rtt < c->min_rtt_ns)
			return;
	} else {
		if (a->first_ns == 0 || r->xmit_ns < a->first_ns)
			a->first_ns = r->xmit_ns;
		if (seq_lt(r->end, c->rack_fack) && !(r->flags & REC_SACKED))
			c->flags |=
				TF_REORDER; /* behind something that came before it, and never sent again */
	}
	/* Windowed minimum: a path that became longer is believed after five minutes. */
	if (rtt <= c->min_rtt_ns || (uint32_t)(net->now_ns / BB_SEC) - c->min_rtt_at_s > 300) {
		if ((r->flags & REC_REXMIT) == 0 || rtt > 0) {
			c->min_rtt_ns = rtt;
			c->min_rtt_at_s = (uint32_t)(net->now_ns / BB_SEC);
		}
	}
	if (seq_gt(r->end, c->rack_fack))
		c->rack_fack = r->end;
	if (r->xmit_ns > c->rack_xmit_ns || (r->xmit_ns == c->rack_xmit_ns && seq_gt(r->end, c->rack_end))) {
		c->rack_xmit_ns = r->xmit_ns;
		c->rack_end = r->end;
		c->rack_rtt_ns = rtt;
	}
	c->flags |= TF_RTT_SEEN;
}

void
rec_ack(struct bb_net *net, struct bb_tcp *c, uint32_t ack, uint32_t tsecr, bool ts, struct rec_acked *a)
{
	while (c->rec_head != BB_NET_POOL_NONE) {
		const uint32_t idx = c->rec_head;
		struct tx_rec *r = rec_at(net, idx);
		if (seq_lt(ack, r->end)) {
			/* Part of a segment: the rest stays, as a smaller one. */
			if (seq_gt(ack, r->seq)) {
				const uint32_t n = ack - r->seq;
				uncount(c, r, n);
				if (!(r->flags & REC_SACKED))
					a->bytes += n;
				r->seq = ack;
				a->any = true;
			}
			return;
		}
		uncount(c, r, r->end - r->seq);
		if (!(r->flags & REC_SACKED)) {
			a->bytes += r->end - r->seq;
			rack_learn(net, c, r, tsecr, ts, a);
		}
		a->any = true;
		rec_free(net, c, r, idx);
	}
}

void
rec_sack(struct bb_net *net, struct bb_tcp *c, uint32_t start, uint32_t end, uint32_t tsecr, bool ts,
	struct rec_acked *a)
{
	for (uint32_t idx = c->rec_head; idx != BB_NET_POOL_NONE; idx = rec_at(net, idx)->next) {
		struct tx_rec *r = rec_at(net, idx);
		if (seq_geq(r->seq, end))
			return;
		/* A block that covers a segment in part says nothing: receivers may keep whole segments only.
		 */
		if ((r->flags & REC_SACKED) || seq_lt(r->seq, start) || seq_gt(r->end, end))
			continue;
		const uint32_t n = r->end - r->seq;
		uncount(c, r, n);
		rack_learn(net, c, r, tsecr, ts, a);
		time_unlink(net, c, r);
		r->flags = (uint8_t)((r->flags | REC_SACKED) & ~REC_LOST);
		c->sacked_bytes += n;
		c->sacked_count++;
		a->bytes += n;
		a->any = true;
	}
}

void
rec_cancel(struct bb_net *net, struct bb_tcp *c, uint32_t idx)
{
	struct tx_rec *r = rec_at(net, idx);

	uncount(c, r, r->end - r->seq);
	rec_free(net, c, r, idx);
}

void
rec_mark_lost(struct bb_net *net, struct bb_tcp *c, uint32_t idx)
{
	struct tx_rec *r = rec_at(net, idx);

	BB_DEBUG_ASSERT(rec_in_pipe(r));
	time_unlink(net, c, r);
	c->pipe -= r->end - r->seq;
	c->lost_bytes += r->end - r->seq;
	r->flags |= REC_LOST;
	c->rexmit_hint = c->rec_head; /* it may lie before the hint */
}

void
rec_mark_all_lost(struct bb_net *net, struct bb_tcp *c)
{
	const bool reneged = c->rec_head != BB_NET_POOL_NONE &&
			     (rec_at(net, c->rec_head)->flags & REC_SACKED);

	if (reneged)
		CTR(net, RENEGED);
	for (uint32_t idx = c->rec_head; idx != BB_NET_POOL_NONE; idx = rec_at(net, idx)->next) {
		struct tx_rec *r = rec_at(net, idx);
		if (reneged && (r->flags & REC_SACKED)) {
			c->sacked_bytes -= r->end - r->seq;
			c->sacked_count--;
			c->pipe += r->end - r->seq;
			r->flags &= (uint8_t)~REC_SACKED;
		}
		if (rec_in_pipe(r))
			rec_mark_lost(net, c, idx);
	}
}

uint32_t
rec_next_lost(struct bb_net *net, struct bb_tcp *c)
{
	if (c->lost_bytes == 0)
		return BB_NET_POOL_NONE;
	uint32_t idx = c->rexmit_hint != BB_NET_POOL_NONE ? c->rexmit_hint : c->rec_head;
	while (idx != BB_NET_POOL_NONE && !(rec_at(net, idx)->flags & REC_LOST))
		idx = rec_at(net, idx)->next;
	BB_ASSERT(idx != BB_NET_POOL_NONE); /* lost_bytes is the sum over the records */
	c->rexmit_hint = idx;
	return idx;
}

void
rec_resent(struct bb_net *net, struct bb_tcp *c, uint32_t idx)
{
	struct tx_rec *r = rec_at(net, idx);

	if (r->flags & REC_LOST) {
		c->lost_bytes -= r->end - r->seq;
		c->pipe += r->end - r->seq;
	}
	r->flags = (uint8_t)((r->flags | REC_REXMIT) & ~REC_LOST);
	r->xmit_ns = net->now_ns;
	r->count += r->count < UINT8_MAX;
	time_unlink(net, c, r);
	time_append(net, c, r, idx);
	c->retransmits++;
	CTR(net, REXMIT);
}

bool
rec_split(struct bb_net *net, struct bb_tcp *c, uint32_t idx, uint32_t len)
{
	struct tx_rec *r = rec_at(net, idx);
	const uint32_t fresh = bb_net_pool_alloc(&net->tcp->recs);

	BB_ASSERT(len > 0 && len < r->end - r->seq);
	if (fresh == BB_NET_POOL_NONE) {
		CTR(net, TX_NO_MEM);
		return false;
	}
	struct tx_rec *f = rec_at(net, fresh);
	*f = *r;
	f->seq = r->seq + len;
	r->end = f->seq;
	r->flags &= (uint8_t) ~(REC_FIN | REC_PSH);
	f->prev = idx;
	if (r->next != BB_NET_POOL_NONE)
		rec_at(net, r->next)->prev = fresh;
	else
		c->rec_tail = fresh;
	r->next = fresh;
	c->rec_count++;
	c->sacked_count += (f->flags & REC_SACKED) != 0;
	if (!(r->flags & REC_TIMED))
		return true;
	f->tprev = idx;
	if (r->tnext != BB_NET_POOL_NONE)
		rec_at(net, r->tnext)->tprev = fresh;
	else
		c->time_tail = fresh;
	r->tnext = fresh;
	return true;
}

void
rec_free_all(struct bb_net *net, struct bb_tcp *c)
{
	while (c->rec_head != BB_NET_POOL_NONE) {
		const uint32_t next = rec_at(net, c->rec_head)->next;
		bb_net_pool_free(&net->tcp->recs, c->rec_head);
		c->rec_head = next;
	}
	c->rec_tail = c->time_head = c->time_tail = c->rexmit_hint = BB_NET_POOL_NONE;
	c->rec_count = c->pipe = c->lost_bytes = c->sacked_bytes = c->sacked_count = 0;
}
