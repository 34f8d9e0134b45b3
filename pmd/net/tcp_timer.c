/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_timer: the deadlines of a connection. They are plain fields; one entry per connection in the wheel
 * stands at or before the earliest. Moving a deadline later or stopping it does not touch the wheel: when the
 * entry fires, each deadline is looked at again, and the entry goes back in for the earliest that is left.
 */
#include "net/tcp_priv.h"

#define EXPIRE_BUDGET 256 /* connections per turn */
#define BLACKHOLE_RTOS 2

static uint64_t
earliest(const struct bb_tcp *c)
{
	uint64_t at = BB_NEVER;

	for (int i = 0; i < T_COUNT; i++)
		at = bb_min_u64(at, c->timers[i]);
	return at;
}

/* The wheel entry stands at or before at_ns. */
static void
wheel_ensure(struct bb_net *net, struct bb_tcp *c, uint64_t at_ns)
{
	if (at_ns == BB_NEVER)
		return;
	if (c->wheel.slot != BB_NET_WHEEL_IDLE) {
		if (c->wheel.tick << BB_NET_WHEEL_TICK_SHIFT <= at_ns + (1u << BB_NET_WHEEL_TICK_SHIFT))
			return;
		bb_net_wheel_remove(&net->tcp->wheel, conn_index(net, c));
	}
	bb_net_wheel_insert(&net->tcp->wheel, conn_index(net, c), at_ns);
}

void
timer_set(struct bb_net *net, struct bb_tcp *c, enum tcp_timer t, uint64_t at_ns)
{
	c->timers[t] = at_ns;
	wheel_ensure(net, c, at_ns);
}

void
probe_set(struct bb_net *net, struct bb_tcp *c, enum probe_kind kind, uint64_t delay_ns)
{
	c->probe_kind = kind;
	timer_set(net, c, T_PROBE, net->now_ns + delay_ns);
}

uint64_t
rto_current(const struct bb_net *net, const struct bb_tcp *c)
{
	const uint32_t shift = c->backoff < 16 ? c->backoff : 16;

	return bb_min_u64(c->rto_ns << shift, net->tcp->t.rto_max_ns);
}

void
rto_arm(struct bb_net *net, struct bb_tcp *c)
{
	timer_set(net, c, T_RTO, net->now_ns + rto_current(net, c));
}

void
long_arm(struct bb_net *net, struct bb_tcp *c)
{
	const struct bb_tcp_tunables *t = &net->tcp->t;

	if (c->state == TCP_FIN_WAIT_2 && (c->flags & TF_APP_CLOSED)) {
		timer_set(net, c, T_LONG, net->now_ns + t->fin_wait2_ns);
		return;
	}
	if (t->no_keepalive || c->state < TCP_ESTABLISHED) {
		timer_stop(c, T_LONG);
		return;
	}
	const uint64_t wait = c->keep_probes > 0 ? t->keepalive_interval_ns : t->keepalive_idle_ns;
	timer_set(net, c, T_LONG, (c->keep_probes > 0 ? net->now_ns : c->last_rx_ns) + wait);
}

/* No ACK in two time-outs of a full-sized segment: perhaps only small ones get through (RFC 4821 in little).
 */
static void
suspect_blackhole(struct bb_net *net, struct bb_tcp *c)
{
	const struct tx_rec *r = rec_at(net, c->rec_head);
	const bool is4 = bb_ip_is4(&c->key.remote);
	const uint16_t floor_mss = is4 ? MSS_DEFAULT4 : MSS_DEFAULT6;

	/* Payload of the largest segment that every path takes, with the options that ours carry. */
	const uint32_t safe = floor_mss - (c->flags & TF_TS ? 12u : 0u);

	if (r->end - r->seq <= safe || c->mss <= safe) {
		c->rexmit_full = 0;
		return;
	}
	if (++c->rexmit_full < BLACKHOLE_RTOS)
		return;
	CTR(net, BLACKHOLE);
	c->path_mtu = (uint16_t)(floor_mss + (is4 ? 40 : 60));
	c->pmtu_raise_s = (uint32_t)(net->now_ns / BB_SEC) + 600;
	c->rexmit_full = 0;
	c->backoff = 0; /* these time-outs said nothing about congestion */
	conn_set_mss(net, c);
}

static void
give_up(struct bb_net *net, struct bb_tcp *c)
{
	CTR(net, CONN_TIMEOUT);
	out_rst(net, c);
	conn_finish(net, c, BB_TCP_TIMEOUT);
}

static void
on_syn_rto(struct bb_net *net, struct bb_tcp *c)
{
	if (c->backoff >= net->tcp->t.syn_retries) {
		CTR(net, CONN_TIMEOUT);
		conn_finish(net, c, BB_TCP_TIMEOUT);
		return;
	}
	c->backoff++;
	c->flags |= TF_SYN_DUE;
	rto_arm(net, c); /* stays armed even if the edge takes nothing now */
	conn_dirty(net, c);
}

/* RFC 6298 5.4 to 5.7, RFC 5681 3.1. */
static void
on_rto(struct bb_net *net, struct bb_tcp *c)
{
	if (c->state < TCP_ESTABLISHED) {
		on_syn_rto(net, c);
		return;
	}
	if (c->rec_count == 0)
		return;
	if (net->now_ns - c->progress_ns >= net->tcp->t.user_timeout_ns) {
		give_up(net, c);
		return;
	}
	CTR(net, RTO);
	suspect_blackhole(net, c);
	cc_rto(net, c);
	rec_mark_all_lost(net, c);
	c->flags &= ~(TF_TLP | TF_TLP_REXMIT);
	c->flags |= TF_FORCE_REXMIT;
	c->dupacks = 0;
	if (timer_on(c, T_PROBE) && c->probe_kind < PROBE_PERSIST)
		timer_stop(c, T_PROBE);
	if (c->backoff < 32)
		c->backoff++;
	/* Ends with the user timeout at the latest, so that it is exact. */
	const uint64_t end = c->progress_ns + net->tcp->t.user_timeout_ns;
	timer_set(net, c, T_RTO, bb_min_u64(net->now_ns + rto_current(net, c), end));
	conn_dirty(net, c);
}

static void
on_persist(struct bb_net *net, struct bb_tcp *c)
{
	const uint64_t limit = net->tcp->t.user_timeout_ns;
	/* As long as probes are answered we wait for ever (RFC 9293 MUST-37); not so for an orphan (RFC
	 * 6429). */
	const uint64_t since = (c->flags & TF_APP_CLOSED) ? c->progress_ns
							  : bb_max_u64(c->progress_ns, c->last_rx_ns);

	if (net->now_ns - since >= limit) {
		give_up(net, c);
		return;
	}
	CTR(net, PERSIST);
	out_probe(net, c);
	if (c->persist_backoff < 16)
		c->persist_backoff++;
	uint64_t wait = bb_min_u64(c->rto_ns << c->persist_backoff, net->tcp->t.rto_max_ns);
	if (c->flags & TF_APP_CLOSED)
		wait = bb_min_u64(wait, since + limit - net->now_ns);
	probe_set(net, c, PROBE_PERSIST, wait);
}

static void
on_probe(struct bb_net *net, struct bb_tcp *c)
{
	switch (c->probe_kind) {
	case PROBE_TLP:
		if (c->rec_count > 0)
			out_tlp(net, c);
		break;
	case PROBE_REO: {
		const uint32_t lost = c->lost_bytes;
		const uint64_t again = rack_detect(net, c);
		if (c->lost_bytes > lost)
			enter_recovery(net, c);
		if (again > 0)
			probe_set(net, c, PROBE_REO, again);
		conn_dirty(net, c);
		break;
	}
	case PROBE_PERSIST:
		on_persist(net, c);
		break;
	case PROBE_SWS:
		c->flags |= TF_SWS_NOW;
		conn_dirty(net, c);
		break;
	}
}

static void
on_long(struct bb_net *net, struct bb_tcp *c)
{
	const struct bb_tcp_tunables *t = &net->tcp->t;

	if (c->state == TCP_FIN_WAIT_2 && (c->flags & TF_APP_CLOSED)) {
		/* Nobody will read what the peer may still send. */
		out_rst(net, c);
		conn_finish(net, c, BB_TCP_DONE);
		return;
	}
	if (t->no_keepalive)
		return;
	if (c->rec_count > 0 || (timer_on(c, T_PROBE) && c->probe_kind == PROBE_PERSIST)) {
		/* Retransmissions and window probes find out whether the peer lives. */
		timer_set(net, c, T_LONG, net->now_ns + t->keepalive_idle_ns);
		return;
	}
	if (c->keep_probes == 0 && net->now_ns - c->last_rx_ns < t->keepalive_idle_ns) {
		long_arm(net, c);
		return;
	}
	if (c->keep_probes >= t->keepalive_count) {
		give_up(net, c);
		return;
	}
	c->keep_probes++;
	CTR(net, KEEPALIVE);
	out_probe(net, c);
	long_arm(net, c);
}

static void
on_timer(struct bb_net *net, struct bb_tcp *c, enum tcp_timer t)
{
	switch (t) {
	case T_RTO:
		on_rto(net, c);
		break;
	case T_PROBE:
		on_probe(net, c);
		break;
	case T_DELACK:
		c->flags |= TF_ACK_NOW;
		conn_dirty(net, c);
		break;
	case T_LONG:
		on_long(net, c);
		break;
	case T_LINGER:
		out_rst(net, c);
		conn_finish(net, c, BB_TCP_ABORTED);
		break;
	default:
		break;
	}
}

uint32_t
timer_poll(struct bb_net *net)
{
	uint32_t fired = 0;

	while (fired < EXPIRE_BUDGET) {
		const uint32_t idx = bb_net_wheel_expire(&net->tcp->wheel, net->now_ns);
		if (idx == BB_NET_POOL_NONE)
			break;
		struct bb_tcp *c = conn_at(net, idx);
		fired++;
		for (int t = 0; t < T_COUNT && c->state != TCP_CLOSED; t++) {
			if (c->timers[t] > net->now_ns)
				continue;
			timer_stop(c, (enum tcp_timer)t);
			on_timer(net, c, (enum tcp_timer)t);
		}
		if (c->state != TCP_CLOSED)
			wheel_ensure(net, c, earliest(c));
	}
	return fired;
}
