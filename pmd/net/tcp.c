/* SPDX-License-Identifier: BSD-3-Clause */
/* tcp: connections from birth to release, the calls of net/tcp.h, and the delivery of events. */
#include "net/tcp.h"

#include <errno.h>
#include <string.h>

#include "net/tcp_priv.h"

#define PORT_FIRST 32768u
#define PORT_COUNT 28232u /* up to 60999, what Linux uses too */

static const char *const state_name[TCP_STATE_COUNT] = {
	[TCP_CLOSED] = "CLOSED",
	[TCP_SYN_SENT] = "SYN-SENT",
	[TCP_SYN_RCVD] = "SYN-RECEIVED",
	[TCP_ESTABLISHED] = "ESTABLISHED",
	[TCP_FIN_WAIT_1] = "FIN-WAIT-1",
	[TCP_FIN_WAIT_2] = "FIN-WAIT-2",
	[TCP_CLOSE_WAIT] = "CLOSE-WAIT",
	[TCP_CLOSING] = "CLOSING",
	[TCP_LAST_ACK] = "LAST-ACK",
};

/* Which states may follow which; conn_state asserts it. CLOSED may follow all. */
static const uint16_t state_next[TCP_STATE_COUNT] = {
	[TCP_CLOSED] = BB_BIT(TCP_SYN_SENT),
	[TCP_SYN_SENT] = BB_BIT(TCP_SYN_RCVD) | BB_BIT(TCP_ESTABLISHED),
	[TCP_SYN_RCVD] = BB_BIT(TCP_ESTABLISHED) | BB_BIT(TCP_FIN_WAIT_1),
	[TCP_ESTABLISHED] = BB_BIT(TCP_FIN_WAIT_1) | BB_BIT(TCP_CLOSE_WAIT),
	[TCP_FIN_WAIT_1] = BB_BIT(TCP_FIN_WAIT_2) | BB_BIT(TCP_CLOSING),
	[TCP_FIN_WAIT_2] = 0,
	[TCP_CLOSE_WAIT] = BB_BIT(TCP_LAST_ACK),
	[TCP_CLOSING] = 0,
	[TCP_LAST_ACK] = 0,
};

void
conn_state(struct bb_tcp *c, enum tcp_state state)
{
	BB_ASSERT(state == TCP_CLOSED || (state_next[c->state] & BB_BIT(state)));
	c->state = (uint8_t)state;
}

const struct bb_flow_key *tcp_flow_key(const struct bb_net *net, uint32_t ref);

const struct bb_flow_key *
tcp_flow_key(const struct bb_net *net, uint32_t ref)
{
	const struct tcp_core *t = net->tcp;

	switch (BB_FLOW_KIND(ref)) {
	case BB_FLOW_CONN:
		return &((const struct bb_tcp *)bb_net_pool_at(&t->conns, BB_FLOW_IDX(ref)))->key;
	case BB_FLOW_SYN:
		return &((const struct syn_entry *)bb_net_pool_at(&t->syns, BB_FLOW_IDX(ref)))->key;
	default:
		return &((const struct tw_entry *)bb_net_pool_at(&t->tws, BB_FLOW_IDX(ref)))->key;
	}
}

static void
default64(uint64_t *v, uint64_t dflt)
{
	if (*v == 0)
		*v = dflt;
}

static void
default32(uint32_t *v, uint32_t dflt)
{
	if (*v == 0)
		*v = dflt;
}

static void
tunable_defaults(struct bb_tcp_tunables *t)
{
	default64(&t->rto_min_ns, 200 * BB_MSEC);
	default64(&t->rto_max_ns, 60 * BB_SEC);
	default64(&t->rto_initial_ns, BB_SEC);
	default64(&t->delack_ns, 40 * BB_MSEC);
	default64(&t->tlp_max_ack_delay_ns, 40 * BB_MSEC);
	default64(&t->msl2_ns, 60 * BB_SEC);
	default64(&t->fin_wait2_ns, 60 * BB_SEC);
	default64(&t->user_timeout_ns, 100 * BB_SEC);
	default64(&t->keepalive_idle_ns, 60 * BB_SEC);
	default64(&t->keepalive_interval_ns, 10 * BB_SEC);
	default32(&t->keepalive_count, 6);
	default32(&t->syn_retries, 6);
	default32(&t->synack_retries, 5);
	default32(&t->rcvbuf_bytes, 256 * 1024);
	default32(&t->sndbuf_bytes, 1024 * 1024);
	default32(&t->initial_window_segs, 10);
	default32(&t->quickack_segs, 8);
	default32(&t->challenge_per_s, 10);
}

static int
init_pools(struct bb_net *net)
{
	const struct bb_net_config *c = &net->conf;
	struct tcp_core *t = net->tcp;
	const struct {
		struct bb_net_pool *pool;
		size_t size;
		uint32_t count;
	} pools[] = {
		{ &t->conns, bb_align_up(sizeof(struct bb_tcp), BB_CACHE_LINE), c->conns_max },
		{ &t->nodes, sizeof(struct rx_node), c->rx_nodes_max },
		{ &t->chunks, sizeof(struct tx_chunk), c->tx_chunks_max },
		{ &t->recs, sizeof(struct tx_rec), c->records_max },
		{ &t->ooos, sizeof(struct ooo), c->holes_max },
		{ &t->syns, sizeof(struct syn_entry), c->syn_max },
		{ &t->tws, sizeof(struct tw_entry), c->timewait_max },
	};

	for (size_t i = 0; i < BB_ARRAY_LEN(pools); i++) {
		const int r = bb_net_pool_init(
			pools[i].pool, net->mem, (uint32_t)pools[i].size, pools[i].count);
		if (r < 0)
			return r;
	}
	return 0;
}

int
tcp_core_init(struct bb_net *net)
{
	struct tcp_core *t = bb_mem_zalloc(net->mem, sizeof(*t));

	net->tcp = t;
	if (t == NULL)
		return -ENOMEM;
	t->t = net->conf.tcp;
	tunable_defaults(&t->t);
	const int r = init_pools(net);
	if (r < 0)
		return r;
	t->listeners = bb_mem_zalloc(net->mem, net->conf.listeners_max * sizeof(*t->listeners));
	if (t->listeners == NULL)
		return -ENOMEM;
	bb_net_wheel_init(&t->wheel, &t->conns, offsetof(struct bb_tcp, wheel), net->now_ns);
	t->dirty_head = t->dirty_tail = t->event_head = t->event_tail = BB_NET_POOL_NONE;
	t->tw_head = t->tw_tail = BB_NET_POOL_NONE;
	for (int i = 0; i < SYN_RETRY_LISTS; i++)
		t->syn_head[i] = t->syn_tail[i] = BB_NET_POOL_NONE;
	t->port_next = (uint32_t)net_random(net);
	return 0;
}

/* Received buffers belong to the edge: they go back. */
static void
release_buffers(struct bb_net *net)
{
	for (uint32_t i = 0; i < net->tcp->conns.fresh; i++) {
		struct bb_tcp *c = conn_at(net, i);
		if (c->in_use != 0)
			rcv_free(net, c);
	}
}

void
tcp_core_fini(struct bb_net *net)
{
	struct tcp_core *t = net->tcp;

	if (t == NULL)
		return;
	if (t->conns.raw != NULL)
		release_buffers(net);
	if (t->listeners != NULL)
		bb_mem_free(net->mem, t->listeners, net->conf.listeners_max * sizeof(*t->listeners));
	bb_net_pool_fini(&t->conns, net->mem);
	bb_net_pool_fini(&t->nodes, net->mem);
	bb_net_pool_fini(&t->chunks, net->mem);
	bb_net_pool_fini(&t->recs, net->mem);
	bb_net_pool_fini(&t->ooos, net->mem);
	bb_net_pool_fini(&t->syns, net->mem);
	bb_net_pool_fini(&t->tws, net->mem);
	bb_mem_free(net->mem, t, sizeof(*t));
	net->tcp = NULL;
}

/* RFC 6528: a clock of 4 us and a keyed hash of the connection. */
uint32_t
tcp_isn(struct bb_net *net, const struct bb_flow_key *key)
{
	if (net->conf.isn != NULL)
		return *net->conf.isn;
	return (uint32_t)bb_hash(&net->isn_key, key, sizeof(*key)) + (uint32_t)(net->now_ns / (4 * BB_USEC));
}

/* The same for all connections between two hosts, so that timestamps between them only ever grow. */
uint32_t
tcp_ts_offset(struct bb_net *net, const struct bb_flow_key *key)
{
	return (uint32_t)bb_hash(&net->ts_key, key, 2 * sizeof(struct bb_ip));
}

uint8_t
tcp_wscale(const struct bb_net *net)
{
	uint8_t shift = 0;

	while (shift < WSCALE_MAX && net->tcp->t.rcvbuf_bytes >> shift > UINT16_MAX)
		shift++;
	return shift;
}

uint16_t
tcp_our_mss(const struct bb_net *net, bool is4)
{
	return (uint16_t)(net->conf.mtu - (is4 ? 40 : 60));
}

void
conn_set_mss(struct bb_net *net, struct bb_tcp *c)
{
	(void)net;
	const uint32_t headers = bb_ip_is4(&c->key.remote) ? 40 : 60;
	uint32_t mss = c->path_mtu - headers;

	if (mss > c->peer_mss)
		mss = c->peer_mss;
	if (mss < MSS_MIN)
		mss = MSS_MIN;
	c->mss = (uint16_t)(mss - (c->flags & TF_TS ? 12 : 0));
	if (c->cwnd < c->mss)
		c->cwnd = c->mss; /* it has grown beyond a window cut down to a segment */
}

struct bb_tcp *
conn_create(struct bb_net *net, const struct bb_flow_key *key)
{
	const uint32_t idx = bb_net_pool_alloc(&net->tcp->conns);

	if (idx == BB_NET_POOL_NONE)
		return NULL;
	struct bb_tcp *c = conn_at(net, idx);
	*c = (struct bb_tcp){ .key = *key, .state = TCP_CLOSED };
	c->rcv_head = c->rcv_tail = c->txq_head = c->txq_tail = c->cur_chunk = BB_NET_POOL_NONE;
	c->rec_head = c->rec_tail = c->time_head = c->time_tail = c->rexmit_hint = BB_NET_POOL_NONE;
	c->ooo = BB_NET_POOL_NONE;
	c->wheel.slot = BB_NET_WHEEL_IDLE;
	for (int i = 0; i < T_COUNT; i++)
		c->timers[i] = BB_NEVER;
	c->rcvbuf = net->tcp->t.rcvbuf_bytes;
	c->rto_ns = net->tcp->t.rto_initial_ns;
	c->min_rtt_ns = BB_NEVER;
	c->reo_wnd_mult = 1;
	c->path_mtu = net->conf.mtu;
	c->peer_mss = bb_ip_is4(&key->remote) ? MSS_DEFAULT4 : MSS_DEFAULT6;
	c->rcv_mss = MSS_DEFAULT4;
	c->quickack = (uint8_t)bb_min_u64(net->tcp->t.quickack_segs, UINT8_MAX);
	c->ts_off = tcp_ts_offset(net, key);
	c->last_rx_ns = c->progress_ns = net->now_ns;
	c->in_use = 2;
	return c;
}

void
conn_established(struct bb_net *net, struct bb_tcp *c)
{
	c->state = TCP_ESTABLISHED;
	if (c->flags & TF_FIN_QUEUED)
		conn_state(c, TCP_FIN_WAIT_1); /* shut down before the handshake was done */
	timer_stop(c, T_RTO);
	c->backoff = 0;
	c->flags &= ~TF_SYN_DUE; /* one that the edge has not taken yet */
	c->rack_fack = c->snd_una;
	c->flags |= TF_RTT_SEEN;
	cc_init(net, c);
	c->last_send_ms = (uint32_t)net->now_ms;
	long_arm(net, c);
}

static void
list_append(struct bb_net *net, uint32_t *head, uint32_t *tail, uint32_t idx, size_t link)
{
	*(uint32_t *)(void *)((uint8_t *)conn_at(net, idx) + link) = BB_NET_POOL_NONE;
	if (*tail != BB_NET_POOL_NONE)
		*(uint32_t *)(void *)((uint8_t *)conn_at(net, *tail) + link) = idx;
	else
		*head = idx;
	*tail = idx;
}

void
conn_dirty(struct bb_net *net, struct bb_tcp *c)
{
	if (c->flags & TF_DIRTY)
		return;
	c->flags |= TF_DIRTY;
	list_append(net, &net->tcp->dirty_head, &net->tcp->dirty_tail, conn_index(net, c),
		offsetof(struct bb_tcp, dirty_next));
}

void
conn_event(struct bb_net *net, struct bb_tcp *c, uint8_t ev)
{
	c->events |= ev;
	if (c->flags & TF_EVENTS)
		return;
	c->flags |= TF_EVENTS;
	list_append(net, &net->tcp->event_head, &net->tcp->event_tail, conn_index(net, c),
		offsetof(struct bb_tcp, event_next));
}

void
conn_finish(struct bb_net *net, struct bb_tcp *c, enum bb_tcp_reason reason)
{
	if (c->state == TCP_CLOSED)
		return;
	CTR(net, CONN_CLOSED);
	if (c->in_use == 1)
		bb_flow_remove(&net->flow, bb_flow_hash(&net->flow, &c->key),
			BB_FLOW_REF(BB_FLOW_CONN, conn_index(net, c)));
	c->in_use = 2;
	c->state = TCP_CLOSED;
	c->reason = (uint8_t)reason;
	bb_net_wheel_remove(&net->tcp->wheel, conn_index(net, c));
	for (int i = 0; i < T_COUNT; i++)
		c->timers[i] = BB_NEVER;
	rec_free_all(net, c);
	txq_free(net, c);
	rcv_free_ooo(net, c);
	c->flags |= TF_DONE;
	/* An orderly end leaves what was received to be read. */
	if (reason != BB_TCP_DONE || (c->flags & TF_APP_CLOSED))
		conn_event(net, c, EV_CLOSED);
}

static void
conn_free(struct bb_net *net, struct bb_tcp *c)
{
	rcv_free(net, c);
	c->in_use = 0;
	bb_net_pool_free(&net->tcp->conns, conn_index(net, c));
}

/* A port of ours whose tuple nobody uses, from a random start (RFC 6056 3.3.1). 0: none. */
static uint16_t
pick_port(struct bb_net *net, struct bb_flow_key *key)
{
	uint32_t at = (net->tcp->port_next += 1 + (uint32_t)net_random(net) % 64);

	for (uint32_t i = 0; i < PORT_COUNT; i++, at++) {
		key->lport = (uint16_t)(PORT_FIRST + at % PORT_COUNT);
		if (bb_flow_find(&net->flow, key, bb_flow_hash(&net->flow, key)) == BB_FLOW_NONE)
			return key->lport;
	}
	return 0;
}

int
bb_tcp_connect(struct bb_net *net, const struct bb_ip *local, uint16_t lport, const struct bb_ip *remote,
	uint16_t rport, const struct bb_tcp_ops *ops, void *ctx, struct bb_tcp **ret)
{
	struct bb_flow_key key = { .remote = *remote, .rport = rport, .lport = lport };
	struct bb_ip hop;

	if (bb_ip_is_multicast(remote) || bb_ip_is_zero(remote) || rport == 0)
		return -EADDRNOTAVAIL;
	if (!route_next_hop(net, remote, &hop))
		return -ENETUNREACH;
	if (local != NULL)
		key.local = *local;
	else if (!addr_select(net, remote, &key.local))
		return -EADDRNOTAVAIL;
	if (!bb_net_addr_usable(net, &key.local) || bb_ip_is4(&key.local) != bb_ip_is4(remote))
		return -EADDRNOTAVAIL;
	if (lport == 0 && pick_port(net, &key) == 0)
		return -EADDRNOTAVAIL;
	const uint64_t hash = bb_flow_hash(&net->flow, &key);
	if (bb_flow_find(&net->flow, &key, hash) != BB_FLOW_NONE)
		return -EADDRINUSE;
	struct bb_tcp *c = conn_create(net, &key);
	if (c == NULL)
		return -ENOBUFS;
	CTR(net, CONN_OPENED);
	bb_flow_insert(&net->flow, hash, BB_FLOW_REF(BB_FLOW_CONN, conn_index(net, c)));
	c->in_use = 1;
	c->ops = ops;
	c->ctx = ctx;
	c->iss = tcp_isn(net, &key);
	c->snd_una = c->iss;
	c->snd_nxt = c->iss;
	conn_set_mss(net, c);
	conn_state(c, TCP_SYN_SENT);
	c->flags |= TF_SYN_DUE;
	conn_dirty(net, c);
	*ret = c;
	return 0;
}

void
bb_tcp_set_ops(struct bb_tcp *c, const struct bb_tcp_ops *ops, void *ctx)
{
	c->ops = ops;
	c->ctx = ctx;
}

void
bb_tcp_rx_consume(struct bb_net *net, struct bb_tcp *c, uint32_t n)
{
	rcv_consume(net, c, n);
	if (c->state < TCP_ESTABLISHED || (c->flags & TF_FIN_RCVD))
		return;
	/* Tell the peer when that opened the window far enough: by a quarter, or from nothing by a segment.
	 */
	const uint32_t left = seq_gt(c->rcv_adv, c->rcv_nxt) ? c->rcv_adv - c->rcv_nxt : 0;
	const uint32_t free_bytes = c->rcvbuf > c->rcv_bytes ? c->rcvbuf - c->rcv_bytes : 0;
	const uint32_t step = (uint32_t)bb_min_u64(c->mss, c->rcvbuf / 4);
	const uint32_t gain = free_bytes > left ? free_bytes - left : 0;
	if (gain >= c->rcvbuf / 4 || (left < 2u * c->mss && gain >= step)) {
		c->flags |= TF_ACK_NOW;
		conn_dirty(net, c);
	}
}

uint32_t
bb_tcp_rx_bytes(const struct bb_tcp *c)
{
	return c->rcv_bytes;
}

bool
bb_tcp_rx_fin(const struct bb_tcp *c)
{
	return c->flags & TF_FIN_RCVD;
}

bool
bb_tcp_tx_done(const struct bb_tcp *c)
{
	return (c->flags & TF_DONE) || ((c->flags & TF_FIN_SENT) && c->snd_una == c->snd_nxt);
}

bool
bb_tcp_rx_eof(const struct bb_tcp *c)
{
	return (c->flags & TF_FIN_RCVD) && c->rcv_bytes == 0;
}

int
bb_tcp_tx_push(struct bb_net *net, struct bb_tcp *c, const struct bb_tcp_span *spans, uint32_t n)
{
	uint32_t taken = 0;

	if (c->state == TCP_CLOSED || (c->flags & TF_FIN_QUEUED))
		return -EPIPE;
	for (; taken < n; taken++) {
		/* An empty buffer takes a span of any size, else it could never leave. */
		if (c->tx_bytes > 0 && (uint64_t)c->tx_bytes + spans[taken].len > net->tcp->t.sndbuf_bytes)
			break;
		if (spans[taken].len == 0)
			continue;
		if (!txq_push(net, c, &spans[taken]))
			break;
	}
	if (taken < n) {
		c->flags |= TF_WANT_ROOM;
		if (c->tx_bytes == 0)
			conn_event(
				net, c, EV_ROOM); /* short of chunks: nothing of ours will bring one back */
	}
	if (taken > 0)
		conn_dirty(net, c);
	return (int)taken;
}

uint64_t
bb_tcp_tx_backlog(const struct bb_tcp *c)
{
	return c->tx_bytes;
}

uint64_t
bb_tcp_tx_unsent(const struct bb_tcp *c)
{
	return c->unsent;
}

void
bb_tcp_shutdown(struct bb_net *net, struct bb_tcp *c)
{
	if (c->state == TCP_CLOSED || (c->flags & TF_FIN_QUEUED))
		return;
	c->flags |= TF_FIN_QUEUED;
	if (c->state == TCP_ESTABLISHED)
		conn_state(c, TCP_FIN_WAIT_1);
	else if (c->state == TCP_CLOSE_WAIT)
		conn_state(c, TCP_LAST_ACK);
	conn_dirty(net, c);
}

void
bb_tcp_abort(struct bb_net *net, struct bb_tcp *c)
{
	if (c->flags & TF_DONE) {
		c->flags |= TF_APP_CLOSED;
		conn_event(net, c, EV_CLOSED);
		return;
	}
	c->flags |= TF_APP_CLOSED;
	out_rst(net, c);
	conn_finish(net, c, BB_TCP_ABORTED);
}

void
bb_tcp_close(struct bb_net *net, struct bb_tcp *c, uint64_t linger_ns)
{
	if (c->flags & TF_APP_CLOSED)
		return;
	if ((c->flags & TF_DONE) || c->rcv_bytes > 0 || c->state == TCP_SYN_SENT) {
		bb_tcp_abort(net, c);
		return;
	}
	c->flags |= TF_APP_CLOSED;
	bb_tcp_shutdown(net, c);
	if (linger_ns != BB_NEVER)
		timer_set(net, c, T_LINGER, net->now_ns + linger_ns);
	if (c->state == TCP_FIN_WAIT_2)
		long_arm(net, c);
}

void
bb_tcp_set_nagle(struct bb_tcp *c, bool on)
{
	c->flags = on ? c->flags | TF_NAGLE : c->flags & ~TF_NAGLE;
}

void
bb_tcp_set_cork(struct bb_net *net, struct bb_tcp *c, bool on)
{
	c->flags = on ? c->flags | TF_CORK : c->flags & ~TF_CORK;
	if (!on)
		conn_dirty(net, c);
}

void
bb_tcp_set_rcvbuf(struct bb_net *net, struct bb_tcp *c, uint32_t bytes)
{
	c->rcvbuf = bytes;
	if (c->state >= TCP_ESTABLISHED)
		bb_tcp_rx_consume(net, c, 0);
}

void
bb_tcp_tuple(const struct bb_tcp *c, struct bb_flow_key *ret)
{
	*ret = c->key;
}

void
bb_tcp_info(const struct bb_net *net, const struct bb_tcp *c, struct bb_tcp_info *ret)
{
	*ret = (struct bb_tcp_info){ .state = state_name[c->state] };
	ret->srtt_ns = c->srtt_ns;
	ret->rttvar_ns = c->rttvar_ns;
	ret->rto_ns = rto_current(net, c);
	ret->min_rtt_ns = c->min_rtt_ns == BB_NEVER ? 0 : c->min_rtt_ns;
	ret->cwnd = c->cwnd;
	ret->ssthresh = c->ssthresh;
	ret->pipe = pipe_now(c);
	ret->mss = c->mss;
	ret->rcv_mss = c->rcv_mss;
	ret->snd_wnd = c->snd_wnd;
	ret->rcv_wnd = seq_gt(c->rcv_adv, c->rcv_nxt) ? c->rcv_adv - c->rcv_nxt : 0;
	ret->unacked_bytes = c->tx_bytes - c->unsent;
	ret->unsent_bytes = c->unsent;
	ret->unread_bytes = c->rcv_bytes;
	if (c->ooo != BB_NET_POOL_NONE) {
		const struct ooo *o = bb_net_pool_at(&net->tcp->ooos, c->ooo);
		for (uint32_t i = 0; i < o->count; i++)
			ret->ooo_bytes += o->r[i].end - o->r[i].start;
	}
	ret->retransmits = c->retransmits;
	ret->reo_wnd_mult = c->reo_wnd_mult;
	ret->backoff = c->backoff;
	ret->sack = c->flags & TF_SACK;
	ret->timestamps = c->flags & TF_TS;
	ret->wscale = c->flags & TF_WSCALE;
	ret->ecn = c->flags & TF_ECN;
	ret->in_recovery = c->ca_state == CA_RECOVERY;
	ret->in_loss = c->ca_state == CA_LOSS;
}

/* One connection's events, the last of which is closed; c may be gone after this. */
static void
deliver(struct bb_net *net, struct bb_tcp *c)
{
	const struct bb_tcp_ops *ops = c->ops;
	uint8_t ev = c->events;

	c->events = 0;
	if (ev & EV_CLOSED)
		ev = EV_CLOSED | (ev & EV_RELEASED);
	if ((ev & EV_CONNECTED) && ops->connected != NULL)
		ops->connected(c->ctx, c);
	if ((ev & EV_RELEASED) && c->released > 0) {
		const uint32_t n = c->released;
		c->released = 0;
		if (ops->tx_released != NULL)
			ops->tx_released(c->ctx, c, n);
	}
	const bool room = c->tx_bytes < net->tcp->t.sndbuf_bytes / 2;
	if ((ev & (EV_ROOM | EV_RELEASED)) && (c->flags & TF_WANT_ROOM) && room && !(ev & EV_CLOSED)) {
		c->flags &= ~TF_WANT_ROOM;
		if (ops->tx_room != NULL && !(c->flags & TF_FIN_QUEUED))
			ops->tx_room(c->ctx, c, net->tcp->t.sndbuf_bytes - c->tx_bytes);
	}
	if ((ev & EV_READABLE) && ops->readable != NULL && !(c->flags & TF_APP_CLOSED))
		ops->readable(c->ctx, c);
	if (!(ev & EV_CLOSED))
		return;
	if (ops->closed != NULL)
		ops->closed(c->ctx, c, (enum bb_tcp_reason)c->reason);
	c->flags |= TF_FREE;
}

uint32_t
tcp_events(struct bb_net *net)
{
	struct tcp_core *t = net->tcp;
	uint32_t n = 0;

	/* What callbacks cause is delivered too, but a connection that feeds itself does not get the core for
	 * ever. */
	for (uint32_t budget = t->conns.used * 4 + 16; t->event_head != BB_NET_POOL_NONE && budget > 0;
		budget--, n++) {
		const uint32_t idx = t->event_head;
		struct bb_tcp *c = conn_at(net, idx);
		t->event_head = c->event_next;
		if (t->event_head == BB_NET_POOL_NONE)
			t->event_tail = BB_NET_POOL_NONE;
		c->flags &= ~TF_EVENTS;
		deliver(net, c);
		if ((c->flags & TF_FREE) && !(c->flags & (TF_DIRTY | TF_EVENTS)))
			conn_free(net, c);
	}
	return n;
}

/* Every connection that was dirty when the turn began gets one turn. */
static uint32_t
output_dirty(struct bb_net *net)
{
	struct tcp_core *t = net->tcp;
	const uint32_t last = t->dirty_tail;
	uint32_t n = 0;

	while (t->dirty_head != BB_NET_POOL_NONE) {
		const uint32_t idx = t->dirty_head;
		struct bb_tcp *c = conn_at(net, idx);
		t->dirty_head = c->dirty_next;
		if (t->dirty_head == BB_NET_POOL_NONE)
			t->dirty_tail = BB_NET_POOL_NONE;
		c->flags &= ~TF_DIRTY;
		n++;
		if (c->flags & TF_FREE) {
			if (!(c->flags & TF_EVENTS))
				conn_free(net, c);
		} else if (c->state != TCP_CLOSED && tcp_output(net, c)) {
			conn_dirty(net, c); /* edge or memory said no: again next turn */
		}
		if (idx == last)
			break;
	}
	return n;
}

uint32_t
tcp_poll(struct bb_net *net)
{
	uint32_t n = timer_poll(net);

	syn_poll(net);
	tw_poll(net);
	n += tcp_events(net);
	n += output_dirty(net);
	return n;
}

uint64_t
tcp_deadline(const struct bb_net *net)
{
	const struct tcp_core *t = net->tcp;
	uint64_t at = bb_net_wheel_deadline(&t->wheel);

	at = bb_min_u64(at, bb_min_u64(syn_deadline(net), tw_deadline(net)));
	if (t->dirty_head != BB_NET_POOL_NONE)
		at = bb_min_u64(at, net->now_ns + 100 * BB_USEC); /* waits for room or memory */
	if (t->event_head != BB_NET_POOL_NONE)
		at = net->now_ns;
	return at;
}

void
bb_net_usage(const struct bb_net *net, struct bb_net_usage *ret)
{
	const struct tcp_core *t = net->tcp;

	*ret = (struct bb_net_usage){
		.conns = t->conns.used,
		.syns = t->syns.used,
		.timewaits = t->tws.used,
		.rx_nodes = t->nodes.used,
		.rx_blocks = net->blocks.used,
		.tx_chunks = t->chunks.used,
		.records = t->recs.used,
		.holes = t->ooos.used,
	};
}

/* RFC 1191, RFC 8201, with the floors of RFC 5927 and of the standards' defaults. */
static void
lower_mtu(struct bb_net *net, struct bb_tcp *c, uint32_t mtu)
{
	const bool is4 = bb_ip_is4(&c->key.remote);
	const uint32_t floor_mtu = is4 ? 552 : 1280;

	if (mtu == 0) /* from a router that does not say: the next lower of the usual ones */
		mtu = c->path_mtu > 1492 ? 1492 : (c->path_mtu > 1006 ? 1006 : 552);
	if (mtu < floor_mtu)
		mtu = floor_mtu;
	if (mtu >= c->path_mtu)
		return;
	CTR(net, PMTU_LOWERED);
	c->path_mtu = (uint16_t)mtu;
	c->pmtu_raise_s = (uint32_t)(net->now_ns / BB_SEC) + 600;
	conn_set_mss(net, c);
	if (c->state < TCP_ESTABLISHED)
		return;
	/* What was too big is lost for certain; that is no sign of congestion. */
	for (uint32_t i = c->rec_head; i != BB_NET_POOL_NONE; i = rec_at(net, i)->next) {
		const struct tx_rec *r = rec_at(net, i);
		if (rec_in_pipe(r) && r->end - r->seq > c->mss)
			rec_mark_lost(net, c, i);
	}
	conn_dirty(net, c);
}

void
tcp_icmp_error(
	struct bb_net *net, const struct bb_flow_key *key, uint32_t seq, enum tcp_icmp kind, uint32_t mtu)
{
	const uint32_t ref = bb_flow_find(&net->flow, key, bb_flow_hash(&net->flow, key));

	if (ref != BB_FLOW_NONE && BB_FLOW_KIND(ref) == BB_FLOW_CONN) {
		struct bb_tcp *c = conn_at(net, BB_FLOW_IDX(ref));
		if (seq_geq(seq, c->snd_una) && seq_lt(seq, c->snd_nxt)) {
			CTR(net, ICMP_ERR_IN);
			if (kind == TCP_ICMP_TOO_BIG)
				lower_mtu(net, c, mtu);
			else if (kind == TCP_ICMP_HARD && c->state == TCP_SYN_SENT)
				conn_finish(net, c, BB_TCP_UNREACHABLE); /* RFC 5461 4.1; else soft */
			return;
		}
	}
	CTR(net, DROP_ICMP_STALE);
}
