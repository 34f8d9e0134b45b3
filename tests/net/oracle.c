/* SPDX-License-Identifier: BSD-3-Clause */
#include "oracle.h"

#include "net/tcp_priv.h"

/* The sums that a connection keeps are those over its records, and the records cover snd_una to snd_nxt. */
static const char *
records(const struct bb_net *net, const struct bb_tcp *c)
{
	uint32_t pipe = 0, lost = 0, sacked = 0, count = 0, seq = c->snd_una;
	uint32_t before = BB_NET_POOL_NONE;
	uint64_t at = 0;

	for (uint32_t i = c->rec_head; i != BB_NET_POOL_NONE; i = rec_at(net, i)->next, count++) {
		const struct tx_rec *r = rec_at(net, i);
		if (r->seq != seq)
			return "records are not contiguous";
		if (r->prev != before)
			return "records are not linked backwards";
		before = i;
		seq = r->end;
		if (r->flags & REC_SACKED)
			sacked += r->end - r->seq;
		else if (r->flags & REC_LOST)
			lost += r->end - r->seq;
		else
			pipe += r->end - r->seq;
		if (rec_in_pipe(r) != ((r->flags & REC_TIMED) != 0))
			return "a record is not in the order of time though in the pipe, or the reverse";
	}
	if (before != c->rec_tail)
		return "the last record is another";
	before = BB_NET_POOL_NONE;
	for (uint32_t i = c->time_head; i != BB_NET_POOL_NONE; i = rec_at(net, i)->tnext) {
		if (rec_at(net, i)->xmit_ns < at || !rec_in_pipe(rec_at(net, i)))
			return "order of time";
		if (rec_at(net, i)->tprev != before)
			return "order of time is not linked backwards";
		before = i;
		at = rec_at(net, i)->xmit_ns;
	}
	if (pipe != c->pipe || lost != c->lost_bytes || sacked != c->sacked_bytes || count != c->rec_count)
		return "sums over the records";
	if (count > 0 && seq != c->snd_nxt)
		return "records do not end at snd_nxt";
	return NULL;
}

static const char *
timers(const struct bb_tcp *c)
{
	if (c->rec_count > 0 && !timer_on(c, T_RTO))
		return "in flight and no RTO";
	const bool waiting = c->unsent > 0 || ((c->flags & TF_FIN_QUEUED) && !(c->flags & TF_FIN_SENT));
	if (waiting && c->rec_count == 0 && !timer_on(c, T_PROBE) && !(c->flags & (TF_DIRTY | TF_CORK)))
		return "to send, nothing in flight and no timer";
	for (int t = 0; t < T_COUNT; t++)
		if (timer_on(c, t) && (c->wheel.slot == BB_NET_WHEEL_IDLE ||
					      c->wheel.tick << BB_NET_WHEEL_TICK_SHIFT >
						      c->timers[t] + (2u << BB_NET_WHEEL_TICK_SHIFT)))
			return "a timer is not in the wheel in time";
	return NULL;
}

/* What was received: nodes and ranges add up. */
static const char *
received(const struct bb_net *net, const struct bb_tcp *c)
{
	uint32_t bytes = 0;

	for (uint32_t i = c->rcv_head; i != BB_NET_POOL_NONE;) {
		const struct rx_node *n = bb_net_pool_at(&net->tcp->nodes, i);
		bytes += n->len;
		i = n->next;
	}
	if (bytes != c->rcv_bytes + c->rcv_off)
		return "bytes to read";
	if (c->rcv_bytes > c->rcvbuf + (1u << c->rcv_wscale) && c->rcvbuf >= 65535)
		return "more to read than the buffer holds";
	if (c->ooo == BB_NET_POOL_NONE)
		return NULL;
	const struct ooo *o = bb_net_pool_at(&net->tcp->ooos, c->ooo);
	uint32_t edge = c->rcv_nxt;
	if (o->count == 0 || o->count > OOO_RANGES_MAX)
		return "ranges out of order: none, or too many";
	for (uint32_t k = 0; k < o->count; k++) {
		const struct ooo_range *r = &o->r[k];
		uint32_t seq = r->start;
		if (!seq_gt(r->start, edge) || !seq_gt(r->end, r->start) || seq_gt(r->end, c->rcv_adv))
			return "ranges out of order: not ascending, or beyond the window";
		for (uint32_t i = r->head; i != BB_NET_POOL_NONE;) {
			const struct rx_node *n = bb_net_pool_at(&net->tcp->nodes, i);
			if (n->seq != seq)
				return "nodes of a range are not contiguous";
			seq += n->len;
			i = n->next;
		}
		if (seq != r->end)
			return "nodes of a range do not fill it";
		edge = r->end;
	}
	return NULL;
}

const char *
oracle_conn(const struct bb_net *net, const struct bb_tcp *c)
{
	const char *what = records(net, c);

	if (what == NULL)
		what = timers(c);
	if (what == NULL)
		what = received(net, c);
	if (what == NULL && seq_gt(c->snd_una, c->snd_nxt))
		what = "snd_una beyond snd_nxt";
	if (what == NULL && c->cwnd < c->mss)
		what = "window below one segment";
	return what;
}
