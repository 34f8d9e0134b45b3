/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/tcp_priv.h"
#include "oracle.h"

#define PORT 7000
#define CLIENT_PORT 10000

static uint8_t pattern[PATTERN_SIZE + 65536]; /* the last part repeats the first: views need not wrap */

__attribute__((format(printf, 2, 3))) static void
broken(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (!s->failed) {
		printf("  seed %" PRIu64 " at %.6f s: ", s->seed, (double)s->now_ns / 1e9);
		va_start(ap, fmt);
		vprintf(fmt, ap);
		va_end(ap);
		printf("\n  replay: tcp_sim --seed %" PRIu64 "\n", s->seed);
	}
	s->failed = true;
}

/* ---- events ---- */

static bool
before(const struct ev *a, const struct ev *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void
ev_push(struct sim *s, struct ev *e)
{
	if (s->heap_count == s->heap_size) {
		s->heap_size = s->heap_size * 2 + 64;
		s->heap = realloc(s->heap, s->heap_size * sizeof(*s->heap));
	}
	e->order = s->order++;
	uint32_t i = s->heap_count++;
	while (i > 0 && before(e, s->heap[(i - 1) / 2])) {
		s->heap[i] = s->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	s->heap[i] = e;
}

static struct ev *
ev_pop(struct sim *s)
{
	struct ev *top = s->heap[0], *last = s->heap[--s->heap_count];
	uint32_t i = 0;

	for (;;) {
		uint32_t k = 2 * i + 1;
		if (k >= s->heap_count)
			break;
		if (k + 1 < s->heap_count && before(s->heap[k + 1], s->heap[k]))
			k++;
		if (!before(s->heap[k], last))
			break;
		s->heap[i] = s->heap[k];
		i = k;
	}
	s->heap[i] = last;
	return top;
}

static void
schedule_poll(struct sim *s, struct node *n, uint64_t at)
{
	if (at == BB_NEVER)
		return;
	if (at < s->now_ns)
		at = s->now_ns;
	if (n->gap_ns != 0)
		at = (at + n->gap_ns - 1) / n->gap_ns * n->gap_ns;
	if (at >= n->poll_at_ns)
		return; /* it will be looked at before */
	struct ev *e = calloc(1, sizeof(*e));
	e->at_ns = at;
	e->node = n;
	n->poll_at_ns = at;
	ev_push(s, e);
}

/* ---- the wire ---- */

static bool
chance(struct sim *s, uint32_t per_10000)
{
	return per_10000 != 0 && bb_rand_below(&s->rand, 10000) < per_10000;
}

static void
deliver_at(struct sim *s, struct node *to, const uint8_t *b, uint32_t len, uint64_t at)
{
	struct ev *e = malloc(sizeof(*e) + len);

	*e = (struct ev){ .at_ns = at, .node = to, .len = len };
	memcpy(e->b, b, len);
	ev_push(s, e);
}

static uint32_t
ip_len(const uint8_t *b, uint32_t len)
{
	(void)b;
	return len - 14;
}

/* "Too big", back to the sender, from a router that nobody knows otherwise. */
static void
report_too_big(struct sim *s, struct node *from, const uint8_t *b, uint32_t mtu)
{
	const bool is4 = bb_load_be16(b + 12) == 0x0800;
	uint8_t r[14 + 40 + 8 + 64] = { 0 };
	uint8_t *ip = r + 14, *m = ip + (is4 ? 20 : 40);
	const uint32_t quote = is4 ? 28 : 48, m_len = 8 + quote;

	memcpy(r, from->mac, 6);
	r[6] = 2;
	r[11] = 0xfe;
	memcpy(r + 12, b + 12, 2);
	memcpy(m + 8, b + 14, quote);
	struct bb_ip router = from->ip;
	router.b[15] = 254;
	uint64_t sum = 0;
	if (is4) {
		ip[0] = 0x45;
		bb_store_be16(ip + 2, (uint16_t)(20 + m_len));
		ip[8] = 64;
		ip[9] = 1;
		memcpy(ip + 12, router.b + 12, 4);
		memcpy(ip + 16, from->ip.b + 12, 4);
		const uint16_t h = bb_csum_finish(bb_csum_partial(ip, 20));
		memcpy(ip + 10, &h, 2);
		m[0] = 3;
		m[1] = 4;
		bb_store_be16(m + 6, (uint16_t)mtu);
	} else {
		ip[0] = 0x60;
		bb_store_be16(ip + 4, (uint16_t)m_len);
		ip[6] = 58;
		ip[7] = 64;
		memcpy(ip + 8, router.b, 16);
		memcpy(ip + 24, from->ip.b, 16);
		m[0] = 2;
		bb_store_be32(m + 4, mtu);
		sum = bb_csum_pseudo(&router, &from->ip, 58, m_len);
	}
	const uint16_t f = bb_csum_finish(sum + bb_csum_partial(m, m_len));
	memcpy(m + 2, &f, 2);
	deliver_at(s, from, r, (uint32_t)(m - r) + m_len, s->now_ns + from->out.delay_ns);
}

static void
mark_ce(uint8_t *b)
{
	uint8_t *ip = b + 14;

	if (bb_load_be16(b + 12) == 0x0800) {
		if ((ip[1] & 3) == 0)
			return;
		ip[1] |= 3;
		memset(ip + 10, 0, 2);
		const uint16_t h = bb_csum_finish(bb_csum_partial(ip, 20));
		memcpy(ip + 10, &h, 2);
	} else if ((ip[1] >> 4 & 3) != 0) {
		ip[1] |= 0x30;
	}
}

/* Rate and queue; returns when the packet has left, 0 when the queue was full. */
static uint64_t
through_queue(struct sim *s, struct wire *w, uint8_t *b, uint32_t len)
{
	if (w->rate_bps == 0)
		return s->now_ns;
	const uint64_t start = w->busy_until_ns > s->now_ns ? w->busy_until_ns : s->now_ns;
	const uint64_t waiting = (start - s->now_ns) * w->rate_bps / 8 / BB_SEC;
	if (waiting + len > w->queue_bytes)
		return 0;
	if (w->mark_bytes != 0 && waiting > w->mark_bytes)
		mark_ce(b);
	w->busy_until_ns = start + (uint64_t)len * 8 * BB_SEC / w->rate_bps;
	return w->busy_until_ns;
}

/* One line per packet for a human. */
static void
trace(struct sim *s, const struct node *from, const uint8_t *b, uint32_t len)
{
	const bool is4 = bb_load_be16(b + 12) == 0x0800;
	const uint8_t *h = b + 14 + (is4 ? 20 : 40);

	if (len < 54 || b[14 + (is4 ? 9 : 6)] != 6)
		return;
	const uint32_t hlen = (h[12] >> 4) * 4u;
	printf("%.6f node %d port %u>%u flags %02x seq %u ack %u len %u wnd %u",
		(double)s->now_ns / 1e9 - 1000, (int)(from - s->node), bb_load_be16(h), bb_load_be16(h + 2),
		h[13], bb_load_be32(h + 4), bb_load_be32(h + 8), len - (uint32_t)(h - b) - hlen,
		bb_load_be16(h + 14));
	for (uint32_t i = 20; i + 1 < hlen && h[i] != 0; i += h[i] == 1 ? 1 : (h[i + 1] > 1 ? h[i + 1] : 40))
		if (h[i] == 5)
			for (int k = 0; k < (h[i + 1] - 2) / 4; k += 2)
				printf(" sack %u-%u", bb_load_be32(h + i + 2 + 4 * k),
					bb_load_be32(h + i + 6 + 4 * k));
	printf("\n");
}

static void
wire_send(struct sim *s, struct node *from, uint8_t *b, uint32_t len)
{
	struct wire *w = &from->out;
	struct node *to = &s->node[from == &s->node[0]];

	if (s->verbose)
		trace(s, from, b, len);
	s->packets++;
	s->hash = s->hash * UINT64_C(0x100000001b3) ^ s->now_ns;
	for (uint32_t i = 0; i < len; i += 8) {
		uint64_t x = 0;
		memcpy(&x, b + i, len - i < 8 ? len - i : 8);
		s->hash = (s->hash ^ x) * UINT64_C(0x100000001b3);
	}
	if (w->burst_in != 0 && chance(s, w->in_burst ? w->burst_out : w->burst_in)) {
		w->in_burst = !w->in_burst;
		w->burst_end_ns = s->now_ns + 5 * BB_SEC;
	}
	w->in_burst = w->in_burst && s->now_ns < w->burst_end_ns;
	if (w->in_burst || chance(s, w->loss) ||
		(s->now_ns >= w->hole_from_ns && s->now_ns < w->hole_until_ns))
		return;
	if (w->mtu != 0 && ip_len(b, len) > w->mtu) {
		if (w->icmp)
			report_too_big(s, from, b, w->mtu);
		return;
	}
	uint64_t at = through_queue(s, w, b, len);
	if (at == 0)
		return;
	if (chance(s, w->corrupt))
		b[14 + bb_rand_below(&s->rand, len - 14)] ^= (uint8_t)(1u << bb_rand_below(&s->rand, 8));
	if (chance(s, w->truncate))
		len = bb_rand_below(&s->rand, len);
	at += w->delay_ns;
	if (chance(s, w->reorder))
		at += w->jitter_ns * (1 + bb_rand_below(&s->rand, 8));
	deliver_at(s, to, b, len, at);
	if (chance(s, w->dup))
		deliver_at(s, to, b, len, at + bb_rand_below(&s->rand, 1 + (uint32_t)w->jitter_ns));
}

/* ---- edge ---- */

static uint32_t
edge_room(void *ctx)
{
	return ((struct node *)ctx)->room;
}

static void
edge_tx(void *ctx, const struct bb_net_tx *pkts, uint32_t n)
{
	struct node *node = ctx;
	static uint8_t b[70000];

	if (n > node->room)
		broken(node->s, "the stack sent %u packets where the edge takes %u", n, node->room);
	node->room -= n;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t len = pkts[i].hdr_len;
		memcpy(b, pkts[i].hdr, len);
		for (uint32_t k = 0; k < pkts[i].seg_count; k++) {
			memcpy(b + len, pkts[i].segs[k].data, pkts[i].segs[k].len);
			len += pkts[i].segs[k].len;
		}
		if (len > node->conf.mtu + 14u)
			broken(node->s, "a packet of %u bytes, MTU %u", len - 14, node->conf.mtu);
		wire_send(node->s, node, b, len);
	}
}

static void
edge_put(void *ctx, void *buf)
{
	((struct node *)ctx)->buffers--;
	free(buf);
}

static uint64_t
edge_random(void *ctx)
{
	return bb_rand_u64(&((struct node *)ctx)->s->rand);
}

static const struct bb_net_edge edge = { edge_room, edge_tx, edge_put, edge_random };

/* ---- applications ---- */

static void
on_connected(void *ctx, struct bb_tcp *c)
{
	struct end *e = ctx;

	e->c = c;
	e->up = true;
}

static void
on_released(void *ctx, struct bb_tcp *c, uint64_t bytes)
{
	struct end *e = ctx;

	(void)c;
	e->released += bytes;
	if (e->released > e->pushed)
		broken(e->node->s, "end %u: %" PRIu64 " bytes released, %" PRIu64 " pushed", e->id,
			e->released, e->pushed);
}

static void
on_closed(void *ctx, struct bb_tcp *c, enum bb_tcp_reason reason)
{
	struct end *e = ctx;

	(void)c;
	if (e->node->s->verbose)
		printf("%.6f end %u closed, reason %d\n", (double)e->node->s->now_ns / 1e9 - 1000, e->id,
			(int)reason);
	if (e->closed)
		broken(e->node->s, "end %u closed twice", e->id);
	e->closed = true;
	e->c = NULL;
	e->reason = reason;
	e->node->s->open--;
}

static const struct bb_tcp_ops ops = { on_connected, NULL, on_released, NULL, on_closed };

static bool
on_accept(void *ctx, struct bb_tcp *c)
{
	struct node *n = ctx;
	struct bb_flow_key key;

	bb_tcp_tuple(c, &key);
	const uint32_t id = key.rport - CLIENT_PORT;
	struct end *e = id * 2 + 1 < n->s->end_count ? &n->s->ends[id * 2 + 1] : NULL;
	if (e == NULL || e->up)
		return false;
	e->c = c;
	e->up = true;
	bb_tcp_set_ops(c, &ops, e);
	return true;
}

static void
app_read(struct sim *s, struct end *e)
{
	struct iovec iov[8];
	uint32_t left = 1 + bb_rand_below(&s->rand, e->read_max), got = 0;
	const size_t n = bb_tcp_rx_view(e->node->net, e->c, iov, 8);

	for (size_t i = 0; i < n && left > 0; i++) {
		uint32_t len = (uint32_t)bb_min_u64(iov[i].iov_len, left);
		const uint8_t *b = iov[i].iov_base;
		left -= len;
		while (len > 0) {
			const uint32_t at = (uint32_t)((e->peer->start + e->received + got) % PATTERN_SIZE);
			const uint32_t k = (uint32_t)bb_min_u64(len, 65536);
			if (memcmp(b, pattern + at, k) != 0) {
				broken(s, "end %u: wrong bytes at %" PRIu64, e->id, e->received + got);
				return;
			}
			b += k;
			got += k;
			len -= k;
		}
	}
	e->received += got;
	if (e->received > e->peer->pushed)
		broken(s, "end %u received more than was sent", e->id);
	bb_tcp_rx_consume(e->node->net, e->c, got);
}

static void
app_push(struct sim *s, struct end *e)
{
	struct bb_tcp_span spans[8];
	uint32_t n = 1 + bb_rand_below(&s->rand, 8);
	uint64_t at = e->pushed;

	for (uint32_t i = 0; i < n; i++) {
		const uint64_t left = e->total - at;
		if (left == 0) {
			n = i;
			break;
		}
		const uint32_t len = (uint32_t)bb_min_u64(1 + bb_rand_below(&s->rand, e->push_max), left);
		spans[i] = (struct bb_tcp_span){ .data = pattern + (e->start + at) % PATTERN_SIZE,
			.len = len };
		at += len;
	}
	const int taken = bb_tcp_tx_push(e->node->net, e->c, spans, n);
	for (int i = 0; i < taken; i++)
		e->pushed += spans[i].len;
}

static void
app_step(struct sim *s, struct end *e)
{
	struct bb_net *net = e->node->net;

	if (!e->up || e->c == NULL || e->closing)
		return;
	if (e->aborts && e->received >= e->abort_at) {
		bb_tcp_abort(net, e->c);
		e->closing = true;
		return;
	}
	if (bb_tcp_rx_bytes(e->c) > 0 && bb_rand_one_in(&s->rand, e->read_one_in))
		app_read(s, e);
	if (e->pushed < e->total && bb_rand_one_in(&s->rand, e->push_one_in))
		app_push(s, e);
	if (e->pushed == e->total && !e->shut) {
		bb_tcp_shutdown(net, e->c);
		e->shut = true;
	}
	if (e->shut && bb_tcp_rx_eof(e->c)) {
		bb_tcp_close(net, e->c, BB_NEVER);
		e->closing = true;
	}
}

/* ---- oracles ---- */

static void
check_conn(struct sim *s, struct end *e)
{
	const struct bb_tcp *c = e->c;

	if (c == NULL || c->state < TCP_ESTABLISHED)
		return;
	const char *what = oracle_conn(e->node->net, c);
	if (what != NULL)
		broken(s, "end %u: %s", e->id, what);
	if (e->edges_valid && (seq_lt(c->rcv_adv, e->adv_seen) || seq_lt(c->snd_una, e->edge_seen)))
		broken(s, "end %u: an edge went back", e->id);
	e->edges_valid = true;
	e->adv_seen = c->rcv_adv;
	e->edge_seen = c->snd_una;
}

/* ---- running ---- */

/* From somewhere on the net, with addresses and perhaps ports of a connection, and numbers out of the air. */
static void
attack(struct sim *s)
{
	struct node *to = &s->node[bb_rand_below(&s->rand, 2)];
	struct node *as = &s->node[to == &s->node[0]];
	uint8_t b[128] = { 0 };
	uint8_t *ip = b + 14, *h = ip + (s->v6 ? 40 : 20);
	const uint8_t kinds[] = { TH_RST, TH_RST | TH_ACK, TH_SYN, TH_ACK, TH_FIN | TH_ACK, TH_SYN | TH_ACK };
	const uint32_t id = bb_rand_below(&s->rand, s->end_count / 2);
	uint16_t client = (uint16_t)(CLIENT_PORT + id), server = PORT;

	if (!s->attack_known)
		client = (uint16_t)bb_rand_u64(&s->rand);
	memcpy(b, to->mac, 6);
	memcpy(b + 6, as->mac, 6);
	bb_store_be16(b + 12, s->v6 ? 0x86dd : 0x0800);
	bb_store_be16(h, to == &s->node[1] ? client : server);
	bb_store_be16(h + 2, to == &s->node[1] ? server : client);
	bb_store_be32(h + 4, (uint32_t)bb_rand_u64(&s->rand));
	bb_store_be32(h + 8, (uint32_t)bb_rand_u64(&s->rand));
	h[12] = 5 << 4;
	h[13] = kinds[bb_rand_below(&s->rand, 6)];
	bb_store_be16(h + 14, (uint16_t)bb_rand_u64(&s->rand));
	const uint32_t len = 20 + bb_rand_below(&s->rand, 20);
	const uint16_t sum = bb_csum_finish(
		bb_csum_partial(h, len) + bb_csum_pseudo(&as->ip, &to->ip, 6, len));
	memcpy(h + 16, &sum, 2);
	if (s->v6) {
		ip[0] = 0x60;
		bb_store_be16(ip + 4, (uint16_t)len);
		ip[6] = 6;
		ip[7] = 64;
		memcpy(ip + 8, as->ip.b, 16);
		memcpy(ip + 24, to->ip.b, 16);
	} else {
		ip[0] = 0x45;
		bb_store_be16(ip + 2, (uint16_t)(20 + len));
		ip[8] = 64;
		ip[9] = 6;
		memcpy(ip + 12, as->ip.b + 12, 4);
		memcpy(ip + 16, to->ip.b + 12, 4);
		const uint16_t f = bb_csum_finish(bb_csum_partial(ip, 20));
		memcpy(ip + 10, &f, 2);
	}
	deliver_at(s, to, b, (uint32_t)(h - b) + len, s->now_ns);
	s->attack_at_ns = s->now_ns + BB_MSEC;
}

static void
give_packets(struct sim *s, struct node *n)
{
	struct bb_net_rx rx[40];
	uint32_t k = 0;

	while (n->rx_head != NULL) {
		struct ev *e = n->rx_head;
		n->rx_head = e->next;
		n->buffers++;
		rx[k++] = (struct bb_net_rx){ .data = e->b, .buf = e, .len = e->len, .truesize = 2048 };
		if (k == BB_ARRAY_LEN(rx)) {
			bb_net_input(n->net, rx, k, s->now_ns);
			k = 0;
		}
	}
	n->rx_tail = NULL;
	if (k > 0)
		bb_net_input(n->net, rx, k, s->now_ns);
}

static void
poll_node(struct sim *s, struct node *n)
{
	n->poll_at_ns = BB_NEVER;
	n->room = n->room_max == 0 ? UINT32_MAX : bb_rand_below(&s->rand, n->room_max + 1);
	give_packets(s, n);
	for (uint32_t i = 0; i < s->end_count; i++)
		if (s->ends[i].node == n)
			app_step(s, &s->ends[i]);
	bb_net_poll(n->net, s->now_ns);
	for (uint32_t i = 0; i < s->end_count; i++)
		if (s->ends[i].node == n)
			check_conn(s, &s->ends[i]);
	/* Who knows the ports could take part in the handshake itself, which no TCP can tell: not before it is done. */
	bool may_attack = s->attack_one_in != 0;
	for (uint32_t i = 0; i < s->end_count && s->attack_known; i++)
		may_attack = may_attack && s->ends[i].up;
	may_attack = may_attack && s->now_ns >= s->attack_at_ns;
	if (may_attack && bb_rand_one_in(&s->rand, (uint32_t)s->attack_one_in) && s->open > 0)
		attack(s);
	uint64_t at = bb_net_deadline(n->net);
	if (s->open > 0)
		at = bb_min_u64(at, s->now_ns + 1 + bb_rand_u64(&s->rand) % s->tick_ns);
	schedule_poll(s, n, bb_max_u64(at, s->now_ns + 1));
}

static void
step(struct sim *s)
{
	struct ev *e = ev_pop(s);
	struct node *n = e->node;

	s->now_ns = e->at_ns;
	if (e->len == 0) {
		const bool due = n->poll_at_ns <= s->now_ns;
		free(e);
		if (due)
			poll_node(s, n);
		return;
	}
	e->next = NULL;
	if (n->rx_tail != NULL)
		n->rx_tail->next = e;
	else
		n->rx_head = e;
	n->rx_tail = e;
	schedule_poll(s, n, s->now_ns);
}

static void
check_end(struct sim *s)
{
	for (uint32_t i = 0; i < s->end_count; i++) {
		const struct end *e = &s->ends[i];
		if (e->aborts || e->peer->aborts)
			continue;
		/*
		 * TIME-WAIT can end before the other end has its last ACK: its retransmissions came too late, or who knows
		 * the ports reopened it with a SYN (RFC 9293 MAY-2). The FIN is then reset; all data has arrived.
		 */
		const bool reopened = e->closed && e->reason == BB_TCP_RESET && e->peer->closed &&
				      e->peer->reason == BB_TCP_DONE && e->peer->received == e->total;
		if ((!e->closed || e->reason != BB_TCP_DONE) && !(reopened && e->received == e->peer->total))
			broken(s,
				"end %u: %s, reason %d, sent %" PRIu64 "/%" PRIu64 " received %" PRIu64
				"/%" PRIu64,
				e->id, e->closed ? "closed" : "still open", e->closed ? (int)e->reason : -1,
				e->pushed, e->total, e->received, e->peer->total);
		else if (e->received != e->peer->total || (e->released != e->total && !reopened))
			broken(s,
				"end %u: received %" PRIu64 " of %" PRIu64 ", released %" PRIu64
				" of %" PRIu64,
				e->id, e->received, e->peer->total, e->released, e->total);
	}
	for (int i = 0; i < 2 && !s->failed; i++) {
		struct bb_net_usage u;
		bb_net_usage(s->node[i].net, &u);
		if (u.conns + u.syns + u.timewaits + u.rx_nodes + u.rx_blocks + u.tx_chunks + u.records +
				u.holes !=
			0)
			broken(s,
				"node %d still holds %u conns %u syns %u tw %u nodes %u blocks %u chunks %u "
				"recs",
				i, u.conns, u.syns, u.timewaits, u.rx_nodes, u.rx_blocks, u.tx_chunks,
				u.records);
	}
}

bool
sim_run(struct sim *s)
{
	const uint64_t limit = s->now_ns + s->limit_ns;

	for (int i = 0; i < 2; i++)
		schedule_poll(s, &s->node[i], s->now_ns + 1);
	while (s->open > 0 && !s->failed && s->heap_count > 0) {
		step(s);
		if (s->now_ns > limit || s->packets > 2000000)
			break;
	}
	/* TIME-WAIT and half-open leftovers, and what is still on the wire; orphans of aborted ends too. */
	const uint64_t until = s->now_ns + 1200 * BB_SEC;
	while (!s->failed && s->open == 0 && s->heap_count > 0 && s->heap[0]->at_ns < until)
		step(s);
	s->now_ns = bb_max_u64(s->now_ns, until);
	for (int i = 0; i < 2 && s->open == 0; i++) {
		give_packets(s, &s->node[i]);
		bb_net_poll(s->node[i].net, s->now_ns);
	}
	if (!s->failed)
		check_end(s);
	return !s->failed;
}

void
sim_start(struct sim *s)
{
	for (int i = 0; i < 2; i++) {
		struct node *n = &s->node[i];
		static const uint8_t ip6[16] = { 0xfd };
		static const uint8_t ip4[4] = { 10 };
		n->s = s;
		n->ip = s->v6 ? bb_ip_from6(ip6) : bb_ip_from4(ip4);
		n->ip.b[15] = (uint8_t)(i + 1);
		n->mac[0] = 2;
		n->mac[5] = (uint8_t)(i + 1);
		memcpy(n->conf.mac, n->mac, 6);
		n->conf.addrs[0] = (struct bb_net_addr){ .ip = n->ip, .prefix = s->v6 ? 64 : 24 };
		n->conf.addr_count = 1;
		n->conf.mtu = 1500;
		n->conf.edge = &edge;
		n->conf.edge_ctx = n;
		n->room = UINT32_MAX;
		n->poll_at_ns = BB_NEVER;
		bb_mem_init_heap(&n->mem, UINT64_MAX);
		if (bb_net_create(&n->conf, &n->mem, s->now_ns, &n->net) != 0)
			abort();
	}
	const struct node *server = &s->node[1];
	if (bb_tcp_listen(server->net, &server->ip, PORT, 64, on_accept, &s->node[1], &s->node[1].listener) !=
		0)
		abort();
}

static void
end_init(struct sim *s, struct end *e, struct node *n, struct end *peer, uint64_t total)
{
	*e = (struct end){ .node = n, .peer = peer, .total = total };
	e->id = (uint32_t)(e - s->ends);
	e->start = bb_rand_below(&s->rand, PATTERN_SIZE);
	e->push_one_in = e->read_one_in = 1;
	e->push_max = 16384;
	e->read_max = 1u << 20;
	s->open++;
}

void
sim_connect(struct sim *s, uint64_t bytes_up, uint64_t bytes_down)
{
	struct end *e = &s->ends[s->end_count];

	s->end_count += 2;
	end_init(s, e, &s->node[0], e + 1, bytes_up);
	end_init(s, e + 1, &s->node[1], e, bytes_down);
	e->client = true;
	if (bb_tcp_connect(s->node[0].net, NULL, (uint16_t)(CLIENT_PORT + e->id / 2), &s->node[1].ip, PORT,
		    &ops, e, &e->c) != 0)
		abort();
}

static uint64_t
pick(struct sim *s, uint64_t lo, uint64_t hi)
{
	return lo + bb_rand_u64(&s->rand) % (hi - lo + 1);
}

static void
random_wire(struct sim *s, struct wire *w, bool harsh)
{
	const uint64_t delays[] = { 2 * BB_USEC, 50 * BB_USEC, BB_MSEC, 10 * BB_MSEC, 60 * BB_MSEC };

	w->delay_ns = delays[bb_rand_below(&s->rand, 5)];
	w->jitter_ns = w->delay_ns / (1 + bb_rand_below(&s->rand, 8));
	if (bb_rand_one_in(&s->rand, 3)) {
		w->rate_bps = pick(s, 1, 200) * 1000000;
		w->queue_bytes = (uint32_t)pick(s, 20000, 400000);
		w->mark_bytes = bb_rand_one_in(&s->rand, 2) ? w->queue_bytes / 4 : 0;
	}
	if (!harsh)
		return;
	const uint32_t losses[] = { 0, 10, 100, 300, 1000 };
	w->loss = losses[bb_rand_below(&s->rand, 5)];
	if (bb_rand_one_in(&s->rand, 2))
		w->reorder = (uint32_t)pick(s, 0, 2500);
	if (bb_rand_one_in(&s->rand, 3))
		w->dup = (uint32_t)pick(s, 0, 500);
	if (bb_rand_one_in(&s->rand, 4))
		w->corrupt = (uint32_t)pick(s, 0, 200);
	if (bb_rand_one_in(&s->rand, 8))
		w->truncate = (uint32_t)pick(s, 0, 100);
	if (bb_rand_one_in(&s->rand, 5)) {
		w->burst_in = (uint32_t)pick(s, 1, 100);
		w->burst_out = (uint32_t)pick(s, 500, 5000);
	}
	if (bb_rand_one_in(&s->rand, 6)) {
		w->mtu = (uint32_t)pick(s, s->v6 ? 1280 : 576, 1400);
		w->icmp = bb_rand_one_in(&s->rand, 2);
	}
	if (bb_rand_one_in(&s->rand, 6)) {
		w->hole_from_ns = s->now_ns + pick(s, 0, 3 * BB_SEC);
		w->hole_until_ns = w->hole_from_ns + pick(s, 0, 20 * BB_SEC);
	}
}

static void
random_node(struct sim *s, struct node *n)
{
	struct bb_tcp_tunables *t = &n->conf.tcp;
	const uint64_t gaps[] = { 0, 0, 10 * BB_USEC, BB_MSEC, 50 * BB_MSEC };

	n->gap_ns = gaps[bb_rand_below(&s->rand, 5)];
	if (bb_rand_one_in(&s->rand, 4))
		n->room_max = (uint32_t)pick(s, 1, 20);
	t->cc = (uint8_t)bb_rand_below(&s->rand, 2);
	t->no_sack = bb_rand_one_in(&s->rand, 5);
	t->no_timestamps = bb_rand_one_in(&s->rand, 5);
	t->no_wscale = bb_rand_one_in(&s->rand, 6);
	t->ecn = bb_rand_one_in(&s->rand, 3);
	t->rcvbuf_bytes = (uint32_t)pick(s, 3000, 400000);
	t->sndbuf_bytes = (uint32_t)pick(s, 5000, 1000000);
	t->user_timeout_ns = 2000 * BB_SEC;
	t->syn_retries = 14;
	t->synack_retries = 8;
	if (bb_rand_one_in(&s->rand, 4)) {
		/* Short of everything: it goes slowly, but it goes. */
		n->conf.records_max = (uint32_t)pick(s, 20, 100);
		n->conf.rx_nodes_max = (uint32_t)pick(s, 200, 400);
		n->conf.rx_blocks_max = (uint32_t)pick(s, 200, 400);
		n->conf.tx_chunks_max = (uint32_t)pick(s, 20, 60);
		n->conf.holes_max = (uint32_t)pick(s, 1, 3);
	}
}

void
sim_init(struct sim *s, uint64_t seed)
{
	memset(s, 0, sizeof(*s));
	s->seed = seed;
	bb_rand_init(&s->rand, seed);
	s->now_ns = 1000 * BB_SEC;
	s->tick_ns = 20 * BB_MSEC;
	s->limit_ns = 4000 * BB_SEC;
	if (pattern[0] == 0 && pattern[1] == 0) {
		struct bb_rand r;
		bb_rand_init(&r, 42);
		for (uint32_t i = 0; i < PATTERN_SIZE; i++)
			pattern[i] = (uint8_t)bb_rand_u64(&r);
		memcpy(pattern + PATTERN_SIZE, pattern, 65536);
	}
}

void sim_random(struct sim *s);

void
sim_random(struct sim *s)
{
	const bool harsh = !bb_rand_one_in(&s->rand, 6);

	s->v6 = bb_rand_one_in(&s->rand, 2);
	for (int i = 0; i < 2; i++) {
		random_wire(s, &s->node[i].out, harsh);
		random_node(s, &s->node[i]);
	}
	if (bb_rand_one_in(&s->rand, 3)) {
		s->attack_one_in = pick(s, 2, 50);
		s->attack_known = bb_rand_one_in(&s->rand, 2);
	}
	sim_start(s);
	const uint32_t conns = 1 + bb_rand_below(&s->rand, 6);
	const uint64_t size = bb_rand_one_in(&s->rand, 3) ? 400000 : 60000;
	for (uint32_t i = 0; i < conns; i++) {
		sim_connect(s, bb_rand_one_in(&s->rand, 6) ? 0 : pick(s, 0, size), pick(s, 0, size));
		for (int k = 0; k < 2; k++) {
			struct end *e = &s->ends[2 * i + (uint32_t)k];
			e->push_one_in = 1 + bb_rand_below(&s->rand, 4);
			e->read_one_in = 1 + bb_rand_below(&s->rand, 6);
			e->push_max = bb_rand_one_in(&s->rand, 3) ? 60 : 20000;
			e->read_max = bb_rand_one_in(&s->rand, 3) ? 3000 : 1000000;
			e->aborts = bb_rand_one_in(&s->rand, 20);
			e->abort_at = pick(s, 0, e->peer->total);
		}
	}
}

void
sim_fini(struct sim *s)
{
	while (s->heap_count > 0)
		free(ev_pop(s));
	free(s->heap);
	for (int i = 0; i < 2; i++) {
		struct node *n = &s->node[i];
		while (n->rx_head != NULL) {
			struct ev *e = n->rx_head;
			n->rx_head = e->next;
			free(e);
		}
		bb_net_destroy(n->net);
		if (n->buffers != 0)
			broken(s, "node %d: %d received buffers not given back", i, n->buffers);
		if (n->mem.used_bytes != 0)
			broken(s, "node %d: memory leaked", i);
	}
}
