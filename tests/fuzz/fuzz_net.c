/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_net: an instance of the stack with one peer that does anything. The input is a program: let time pass, write, read,
 * close, connect, send a segment whose numbers are near those that count, send bytes that are no packet at all.
 *
 * After each step: the oracles of the simulation; each byte delivered is the one that belongs at its place in the
 * peer's stream; each byte sent is that of ours; nothing leaks. Internal faults abort.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "net/oracle.h"
#include "net/tcp_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PORT 80
#define PEER_PORT 4000
#define STREAM 65536

struct world {
	const uint8_t *in;
	size_t left;
	struct bb_mem mem;
	struct bb_rand rand;
	struct bb_net *net;
	struct bb_tcp_listener *listener;
	struct bb_tcp *c; /* the connection that segments are near to */
	uint64_t now;
	struct bb_ip us, peer;
	bool v6;
	uint32_t room;
	int buffers;
	uint32_t pushed, consumed, base_isn; /* base_isn: of the peer */
	uint32_t iss;
	uint16_t lport, rport;
};

static uint8_t stream[STREAM * 2];

#define require(x)                                                      \
	do {                                                            \
		if (!(x)) {                                             \
			fprintf(stderr, "line %d: %s\n", __LINE__, #x); \
			abort();                                        \
		}                                                       \
	} while (0)

static uint8_t
byte(struct world *w)
{
	if (w->left == 0)
		return 0;
	w->left--;
	return *w->in++;
}

static uint16_t
word(struct world *w)
{
	const uint8_t hi = byte(w);

	return (uint16_t)(hi << 8 | byte(w));
}

static uint8_t
pattern(bool ours, uint32_t off)
{
	return stream[(off + (ours ? 0 : 777)) % STREAM];
}

static uint32_t
edge_room(void *ctx)
{
	return ((struct world *)ctx)->room;
}

/* Payload of ours is checked where it can be told whose it is. */
static void
edge_tx(void *ctx, const struct bb_net_tx *pkts, uint32_t n)
{
	struct world *w = ctx;

	require(n <= w->room);
	w->room -= n;
	for (uint32_t i = 0; i < n; i++) {
		const struct bb_net_tx *p = &pkts[i];
		const uint8_t *ip = p->hdr + p->l2_len, *h = ip + p->l3_len;
		require(p->hdr_len <= BB_NET_HDR_MAX && p->hdr_len + p->payload_len <= 1514 + 4);
		if ((p->is4 ? ip[9] : ip[6]) != 6 || p->l4_len < 20 || w->c == NULL ||
			w->c->state < TCP_ESTABLISHED || bb_load_be16(h + 2) != w->rport ||
			bb_load_be16(h) != w->lport)
			continue;
		uint32_t off = bb_load_be32(h + 4) - w->c->iss - 1;
		for (uint32_t k = 0; k < p->seg_count; k++)
			for (uint32_t j = 0; j < p->segs[k].len; j++)
				require(p->segs[k].data[j] == pattern(true, off++));
	}
}

static void
edge_put(void *ctx, void *buf)
{
	((struct world *)ctx)->buffers--;
	free(buf);
}

static uint64_t
edge_random(void *ctx)
{
	return bb_rand_u64(&((struct world *)ctx)->rand);
}

static const struct bb_net_edge edge = { edge_room, edge_tx, edge_put, edge_random };

static void
on_closed(void *ctx, struct bb_tcp *c, enum bb_tcp_reason reason)
{
	struct world *w = ctx;

	(void)reason;
	if (w->c == c)
		w->c = NULL;
}

static const struct bb_tcp_ops ops = { NULL, NULL, NULL, NULL, on_closed };

static void
adopt(struct world *w, struct bb_tcp *c)
{
	w->c = c;
	w->pushed = w->consumed = 0;
	w->rport = c->key.rport;
	w->lport = c->key.lport;
}

static bool
on_accept(void *ctx, struct bb_tcp *c)
{
	struct world *w = ctx;

	if (w->rand.s[0] & 1 && w->c != NULL)
		return false;
	bb_tcp_set_ops(c, &ops, w);
	if (w->c == NULL)
		adopt(w, c);
	return true;
}

static void
check(struct world *w)
{
	if (w->c != NULL && w->c->state >= TCP_ESTABLISHED) {
		const char *what = oracle_conn(w->net, w->c);
		if (what != NULL) {
			fprintf(stderr, "%s\n", what);
			abort();
		}
	}
}

static void
poll(struct world *w)
{
	bb_net_poll(w->net, w->now);
	check(w);
}

static void
give(struct world *w, const uint8_t *b, uint32_t len, bool split)
{
	uint8_t *buf = malloc(len + 1);

	memcpy(buf, b, len);
	const struct bb_net_rx rx = { .data = buf, .buf = buf, .len = len, .truesize = 2048 };
	w->buffers++;
	bb_net_input(w->net, &rx, 1, w->now);
	if (!split)
		poll(w);
}

static uint32_t
ip_header(struct world *w, uint8_t *b, uint8_t proto, uint32_t len, uint8_t ecn)
{
	uint8_t *ip = b + 14;
	const uint8_t us[6] = { 2, 0, 0, 0, 0, 1 }, peer[6] = { 2, 0, 0, 0, 0, 2 };

	memcpy(b, us, 6);
	memcpy(b + 6, peer, 6);
	bb_store_be16(b + 12, w->v6 ? 0x86dd : 0x0800);
	if (w->v6) {
		bb_store_be32(ip, 6u << 28 | (uint32_t)ecn << 20);
		bb_store_be16(ip + 4, (uint16_t)len);
		ip[6] = proto;
		ip[7] = 255;
		memcpy(ip + 8, w->peer.b, 16);
		memcpy(ip + 24, w->us.b, 16);
		return 54;
	}
	memset(ip, 0, 20);
	ip[0] = 0x45;
	ip[1] = ecn;
	bb_store_be16(ip + 2, (uint16_t)(20 + len));
	ip[8] = 64;
	ip[9] = proto;
	memcpy(ip + 12, w->peer.b + 12, 4);
	memcpy(ip + 16, w->us.b + 12, 4);
	const uint16_t s = bb_csum_finish(bb_csum_partial(ip, 20));
	memcpy(ip + 10, &s, 2);
	return 34;
}

static void
finish_l4(struct world *w, uint8_t *l4, uint32_t len, uint32_t at, uint8_t proto)
{
	memset(l4 + at, 0, 2);
	uint64_t sum = bb_csum_partial(l4, len);
	if (proto != 1)
		sum += bb_csum_pseudo(&w->peer, &w->us, proto, len);
	const uint16_t s = bb_csum_finish(sum);
	memcpy(l4 + at, &s, 2);
}

/* Options: those that fit the connection, or bytes of the input. */
static uint32_t
put_options(struct world *w, uint8_t *o, uint8_t how, uint32_t una)
{
	uint32_t n = 0;

	if (how & 1) {
		memcpy(o, "\1\1\10\12", 4);
		bb_store_be32(o + 4,
			5000 + (uint32_t)(w->now / BB_MSEC) + (how & 2 ? (uint32_t)(int8_t)byte(w) : 0));
		bb_store_be32(o + 8, w->c != NULL ? ts_now(w->net, w->c) - (how & 2 ? byte(w) : 0) : 0);
		n = 12;
	}
	if (how & 4) {
		const uint32_t blocks = 1 + (how >> 6 & 1) + (n == 0);
		o[n] = o[n + 1] = 1;
		o[n + 2] = 5;
		o[n + 3] = (uint8_t)(2 + 8 * blocks);
		for (uint32_t i = 0; i < 2 * blocks; i++)
			bb_store_be32(o + n + 4 + 4 * i, una + (uint32_t)(int16_t)word(w));
		n += 4 + 8 * blocks;
	}
	if (how & 8) {
		const uint32_t len = byte(w) % (41 - n) & ~3u;
		for (uint32_t i = 0; i < len; i++)
			o[n + i] = byte(w);
		n += len;
	}
	return n;
}

/* A segment near what the connection expects. */
static void
segment(struct world *w)
{
	static uint8_t b[4096];
	uint8_t *h = b + (w->v6 ? 54 : 34);
	const uint8_t flags = byte(w), how = byte(w), ecn = how >> 4 & 3;
	const struct bb_tcp *c = w->c;
	const uint32_t nxt = c != NULL ? c->rcv_nxt : w->base_isn + 1;
	const uint32_t una = c != NULL ? c->snd_una : 0, snd_nxt = c != NULL ? c->snd_nxt : 0;
	const uint8_t where = byte(w);
	uint32_t seq = nxt + (where & 1 ? (uint32_t)(int16_t)word(w) : 0);
	uint32_t ack = where & 2 ? snd_nxt : una;

	if (where & 4)
		ack += (uint32_t)(int16_t)word(w);
	if (where & 8)
		seq = nxt + ((uint32_t)word(w) << 8);
	if (c != NULL && c->state == TCP_SYN_SENT)
		seq = where & 1 ? seq : w->base_isn;
	const uint32_t opts = put_options(w, h + 20, how, una);
	/* Where the peer's stream begins is known once there is a connection, or begins with this segment. */
	const uint32_t irs = c != NULL && c->state != TCP_SYN_SENT ? c->irs : seq;
	const bool placed = c != NULL && (c->state != TCP_SYN_SENT || (flags & TH_SYN));
	const uint32_t len = where & 16 && placed ? word(w) % 1400 : 0;
	memset(h, 0, 20);
	bb_store_be16(h, w->rport);
	bb_store_be16(h + 2, w->lport);
	bb_store_be32(h + 4, seq);
	bb_store_be32(h + 8, ack);
	h[12] = (uint8_t)((20 + opts) / 4 << 4);
	h[13] = flags;
	bb_store_be16(h + 14, where & 32 ? word(w) : 65535);
	for (uint32_t i = 0; i < len; i++)
		h[20 + opts + i] = pattern(false, seq + ((flags & TH_SYN) != 0) - irs - 1 + i);
	finish_l4(w, h, 20 + opts + len, 16, 6);
	const uint32_t hdr = ip_header(w, b, 6, 20 + opts + len, ecn);
	give(w, b, hdr + 20 + opts + len, where & 64);
}

/* ICMP errors near what is in flight, and neighbour messages. */
static void
icmp(struct world *w)
{
	uint8_t b[256] = { 0 };
	const uint32_t hdr = w->v6 ? 54 : 34;
	uint8_t *m = b + hdr, *q = m + 8;
	const uint32_t qh = w->v6 ? 40 : 20;

	m[0] = w->v6 ? byte(w) % 5 : (byte(w) & 1 ? 3 : 11);
	m[1] = byte(w) % 8;
	bb_store_be16(m + 6, word(w));
	q[0] = w->v6 ? 0x60 : 0x45;
	q[w->v6 ? 6 : 9] = 6;
	memcpy(q + (w->v6 ? 8 : 12), w->us.b + (w->v6 ? 0 : 12), w->v6 ? 16 : 4);
	memcpy(q + (w->v6 ? 24 : 16), w->peer.b + (w->v6 ? 0 : 12), w->v6 ? 16 : 4);
	bb_store_be16(q + qh, w->lport);
	bb_store_be16(q + qh + 2, w->rport);
	bb_store_be32(q + qh + 4, (w->c != NULL ? w->c->snd_una : 0) + (uint32_t)(int8_t)byte(w));
	const uint8_t proto = w->v6 ? 58 : 1;
	finish_l4(w, m, 16 + qh, 2, proto);
	ip_header(w, b, proto, 16 + qh, 0);
	give(w, b, hdr + 16 + qh, false);
}

/* Bytes of the input as a frame; the first ones may be made to look right. */
static void
raw(struct world *w)
{
	uint8_t b[256];
	const uint8_t how = byte(w);
	uint32_t len = byte(w);

	for (uint32_t i = 0; i < len; i++)
		b[i] = byte(w);
	if (how & 1 && len >= 54) {
		const uint8_t proto = how & 2 ? (w->v6 ? 58 : 1) : how >> 2;
		const uint32_t hdr = ip_header(w, b, proto, len - (w->v6 ? 54 : 34), 0);
		if (how & 2 && len >= hdr + 4)
			finish_l4(w, b + hdr, len - hdr, 2, proto);
	} else if (how & 4 && len >= 14) {
		memset(b, 0xff, 6);
		bb_store_be16(b + 12, how & 8 ? 0x0806 : (how & 16 ? 0x86dd : 0x0800));
	}
	give(w, b, len, false);
}

static void
advance(struct world *w)
{
	const uint64_t t = byte(w);
	const uint64_t until = w->now + t * t * t * 20 * BB_USEC;

	for (int i = 0; i < 200; i++) {
		const uint64_t at = bb_net_deadline(w->net);
		if (at > until)
			break;
		w->now = bb_max_u64(w->now + 1, at);
		w->room = 64;
		poll(w);
	}
	w->now = bb_max_u64(w->now, until);
	poll(w);
}

static void
app_read(struct world *w, uint32_t n)
{
	struct iovec iov[4];
	uint32_t got = 0;
	const size_t k = bb_tcp_rx_view(w->net, w->c, iov, 4);

	for (size_t i = 0; i < k; i++)
		for (size_t j = 0; j < iov[i].iov_len && got < n; j++)
			require(((const uint8_t *)iov[i].iov_base)[j] == pattern(false, w->consumed + got++));
	w->consumed += got;
	bb_tcp_rx_consume(w->net, w->c, got);
}

static void
app(struct world *w)
{
	const uint8_t what = byte(w);

	if (w->c == NULL) {
		if (what & 1 &&
			bb_tcp_connect(w->net, NULL, PORT + 1, &w->peer, PEER_PORT, &ops, w, &w->c) == 0)
			adopt(w, w->c);
		return;
	}
	switch (what % 8) {
	case 0:
	case 1:
	case 2: {
		const uint32_t n = 1 + word(w) % 8000;
		const struct bb_tcp_span span = { .data = stream + w->pushed % STREAM, .len = n };
		if (bb_tcp_tx_push(w->net, w->c, &span, 1) == 1)
			w->pushed += n;
		break;
	}
	case 3:
	case 4:
		app_read(w, word(w));
		break;
	case 5:
		bb_tcp_shutdown(w->net, w->c);
		break;
	case 6:
		bb_tcp_close(w->net, w->c, what & 64 ? 5 * BB_SEC : BB_NEVER);
		break;
	case 7:
		if (what & 32)
			bb_tcp_set_cork(w->net, w->c, what & 64);
		else if (what & 64)
			bb_tcp_set_nagle(w->c, what & 128);
		else if (what & 128)
			bb_tcp_abort(w->net, w->c);
		else
			bb_tcp_set_rcvbuf(w->net, w->c, 1000 + 16u * word(w));
		break;
	}
	poll(w);
}

static void
world_init(struct world *w, uint8_t how)
{
	static const uint8_t us6[16] = { 0xfd, [15] = 1 }, peer6[16] = { 0xfd, [15] = 2 };
	struct bb_net_config conf = { .mac = { 2, 0, 0, 0, 0, 1 }, .addr_count = 1, .edge = &edge };

	if (stream[0] == 0 && stream[1] == 0) {
		struct bb_rand r;
		bb_rand_init(&r, 5);
		for (uint32_t i = 0; i < STREAM; i++)
			stream[i] = stream[i + STREAM] = (uint8_t)bb_rand_u64(&r);
	}
	w->v6 = how & 1;
	w->us = w->v6 ? bb_ip_from6(us6) : bb_ip_from4("\12\0\0\1");
	w->peer = w->v6 ? bb_ip_from6(peer6) : bb_ip_from4("\12\0\0\2");
	conf.addrs[0] = (struct bb_net_addr){ .ip = w->us, .prefix = w->v6 ? 64 : 24 };
	conf.edge_ctx = w;
	conf.conns_max = 4;
	conf.syn_max = 3;
	conf.timewait_max = 2;
	conf.neigh_max = 4;
	conf.listeners_max = 2;
	conf.rx_nodes_max = 120;
	conf.rx_blocks_max = how & 2 ? 20 : 100;
	conf.tx_chunks_max = 20;
	conf.records_max = how & 4 ? 6 : 60;
	conf.holes_max = 2;
	conf.tcp.cc = how >> 3 & 1 ? BB_TCP_CC_NEWRENO : (how >> 4 & 1 ? BB_TCP_CC_DCTCP : BB_TCP_CC_CUBIC);
	conf.tcp.no_sack = how >> 5 & 1;
	conf.tcp.ecn = how >> 6 & 1;
	conf.tcp.rcvbuf_bytes = 70000;
	bb_rand_init(&w->rand, how);
	w->now = 1000 * BB_SEC;
	w->room = 64;
	w->rport = PEER_PORT;
	w->lport = PORT;
	w->base_isn = how & 128 ? 0xffffff00u : 77;
	bb_mem_init_heap(&w->mem, 1u << 26);
	require(bb_net_create(&conf, &w->mem, w->now, &w->net) == 0);
	require(bb_tcp_listen(w->net, &w->us, PORT, 3, on_accept, w, &w->listener) == 0);
}

/* A plain segment of the peer. */
static void
plain(struct world *w, uint8_t flags, uint32_t seq, uint32_t ack, const uint8_t *opts, uint32_t opts_len)
{
	uint8_t b[128];
	uint8_t *h = b + (w->v6 ? 54 : 34);

	memset(h, 0, 20);
	bb_store_be16(h, w->rport);
	bb_store_be16(h + 2, w->lport);
	bb_store_be32(h + 4, seq);
	bb_store_be32(h + 8, ack);
	h[12] = (uint8_t)((20 + opts_len) / 4 << 4);
	h[13] = flags;
	bb_store_be16(h + 14, 65535);
	if (opts_len > 0)
		memcpy(h + 20, opts, opts_len);
	finish_l4(w, h, 20 + opts_len, 16, 6);
	give(w, b, ip_header(w, b, 6, 20 + opts_len, 0) + 20 + opts_len, false);
}

/* A client comes and finishes its handshake, with the options that a byte says. */
static void
handshake(struct world *w)
{
	uint8_t opts[] = { 2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, 7 };
	const uint8_t how = byte(w);

	if (w->c != NULL)
		return;
	w->lport = PORT;
	w->rport = (uint16_t)(PEER_PORT + how % 4);
	bb_store_be32(opts + 8, 5000 + (uint32_t)(w->now / BB_MSEC));
	plain(w, how & 4 ? TH_SYN | TH_ECE | TH_CWR : TH_SYN, w->base_isn, 0, opts,
		how & 8 ? 4 : sizeof(opts));
	/* The entry of the cache tells what it was answered. */
	for (uint32_t i = 0; i < w->net->tcp->syns.fresh; i++) {
		const struct syn_entry *e = bb_net_pool_at(&w->net->tcp->syns, i);
		if (e->key.rport == w->rport)
			w->iss = e->iss;
	}
	plain(w, TH_ACK, w->base_isn + 1, w->iss + 1, NULL, 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = { .in = data, .left = size };

	world_init(&w, byte(&w));
	while (w.left > 0) {
		const uint8_t op = byte(&w);
		switch (op % 16) {
		case 0:
		case 1:
			advance(&w);
			break;
		case 2:
		case 3:
		case 4:
			app(&w);
			break;
		case 5:
			raw(&w);
			break;
		case 6:
			icmp(&w);
			break;
		case 7:
			handshake(&w);
			break;
		case 8:
			poll(&w); /* what was built under the old limit leaves */
			w.room = op >> 4;
			break;
		default:
			segment(&w);
			break;
		}
	}
	w.now += 10 * BB_SEC;
	w.room = 64;
	poll(&w);
	bb_net_destroy(w.net);
	require(w.buffers == 0);
	require(w.mem.used_bytes == 0);
	return 0;
}
