/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_bench: what the stack costs, in cycles of the time stamp counter, without a NIC: the edge drops what is sent, segments of
 * the peers are made beforehand and not measured. Checksums are the NIC's unless --sum is given.
 *
 *   tcp_bench [--quick] [--sum]
 *
 * The numbers are minima over rounds: what the machine's neighbours take is not ours.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "base/rand.h"
#include "net/tcp_priv.h"

#define PORT 5000
#define BURST 32
#define MSS 1448

/* One client: what it has sent and seen. */
struct client {
	struct bb_tcp *c;
	uint32_t seq, ack;
	uint8_t ip[4];
	uint16_t port;
};

struct bench {
	struct bb_mem mem;
	struct bb_net *net;
	struct bb_tcp_listener *listener;
	struct client *clients, *last;
	uint64_t now, tx_pkts, tx_data, tx_last_seq;
	struct bb_rand rand;
	bool sum, echo;
	uint8_t frames[BURST][1600];
	struct bb_net_rx rx[BURST];
	uint32_t rx_count;
};

static uint8_t payload[1 << 20];

static uint32_t
edge_room(void *ctx)
{
	(void)ctx;
	return UINT32_MAX;
}

static void
edge_tx(void *ctx, const struct bb_net_tx *pkts, uint32_t n)
{
	struct bench *b = ctx;

	b->tx_pkts += n;
	for (uint32_t i = 0; i < n; i++) {
		b->tx_data += pkts[i].payload_len > 0;
		b->tx_last_seq = bb_load_be32(pkts[i].hdr + 14 + 20 + 4) + pkts[i].payload_len;
	}
}

static void
edge_put(void *ctx, void *buf)
{
	(void)ctx;
	(void)buf;
}

static uint64_t
edge_random(void *ctx)
{
	return bb_rand_u64(&((struct bench *)ctx)->rand);
}

static const struct bb_net_edge edge = { edge_room, edge_tx, edge_put, edge_random };

static struct bench *current;

static void
on_readable(void *ctx, struct bb_tcp *c)
{
	struct bench *b = current;
	struct iovec iov[64];

	(void)ctx;
	const size_t n = bb_tcp_rx_view(b->net, c, iov, 64);
	uint32_t got = 0;
	for (size_t i = 0; i < n; i++)
		got += (uint32_t)iov[i].iov_len;
	bb_tcp_rx_consume(b->net, c, got);
	if (b->echo) {
		const struct bb_tcp_span span = { .data = payload, .len = 64 };
		bb_tcp_tx_push(b->net, c, &span, 1);
	}
}

static const struct bb_tcp_ops ops = { .readable = on_readable };

static bool
on_accept(void *ctx, struct bb_tcp *c)
{
	struct bench *b = ctx;

	bb_tcp_set_ops(c, &ops, b);
	b->last->c = c;
	return true;
}

/* Add a segment of a client to the burst. */
static void
add(struct bench *b, const struct client *k, uint8_t flags, uint32_t len, bool syn_opts)
{
	uint8_t *f = b->frames[b->rx_count], *ip = f + 14, *h = ip + 20;
	const uint32_t opts = syn_opts ? 20 : 12;
	const uint32_t total = 40 + opts + len;

	memset(f, 0, 14 + 40 + opts);
	f[0] = 2;
	f[5] = 1;
	f[6] = 2;
	f[11] = 2;
	bb_store_be16(f + 12, 0x0800);
	ip[0] = 0x45;
	bb_store_be16(ip + 2, (uint16_t)total);
	ip[6] = 0x40;
	ip[8] = 64;
	ip[9] = 6;
	memcpy(ip + 12, k->ip, 4);
	memcpy(ip + 16, "\12\0\0\1", 4);
	bb_store_be16(h, k->port);
	bb_store_be16(h + 2, PORT);
	bb_store_be32(h + 4, k->seq);
	bb_store_be32(h + 8, k->ack);
	h[12] = (uint8_t)((20 + opts) / 4 << 4);
	h[13] = flags;
	bb_store_be16(h + 14, 65535);
	if (syn_opts)
		tcp_opt_syn(h + 20, 1460, 8, true, true, (uint32_t)(b->now / BB_MSEC), 0);
	else {
		memcpy(h + 20, "\1\1\10\12", 4);
		bb_store_be32(h + 24, (uint32_t)(b->now / BB_MSEC));
	}
	if (b->sum) {
		const struct bb_ip src = bb_ip_from4(k->ip), dst = bb_ip_from4("\12\0\0\1");
		uint16_t s = bb_csum_finish(bb_csum_partial(ip, 20));
		memcpy(ip + 10, &s, 2);
		s = bb_csum_finish(
			bb_csum_partial(h, total - 20) + bb_csum_pseudo(&src, &dst, 6, total - 20));
		memcpy(h + 16, &s, 2);
	}
	b->rx[b->rx_count] = (struct bb_net_rx){ .data = f, .buf = f, .len = 14 + total, .truesize = 2048 };
	b->rx[b->rx_count].csum = b->sum ? BB_NET_CSUM_UNKNOWN : BB_NET_CSUM_GOOD;
	b->rx_count++;
}

/* Give the burst to the stack; returns cycles. */
static uint64_t
go(struct bench *b)
{
	b->now += 20 * BB_USEC;
	const uint64_t t = __rdtsc();
	bb_net_input(b->net, b->rx, b->rx_count, b->now);
	bb_net_poll(b->net, b->now);
	const uint64_t cycles = __rdtsc() - t;
	b->rx_count = 0;
	return cycles;
}

static uint64_t
resident(void)
{
	unsigned long size = 0, pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f == NULL || fscanf(f, "%lu %lu", &size, &pages) != 2)
		pages = 0;
	if (f != NULL)
		fclose(f);
	return pages * 4096;
}

static void
init(struct bench *b, uint32_t conns, bool sum)
{
	struct bb_net_config c = {
		.mac = { 2, 0, 0, 0, 0, 1 }, .addr_count = 1, .edge = &edge, .edge_ctx = b
	};

	memset(b, 0, sizeof(*b));
	current = b;
	b->sum = sum;
	bb_rand_init(&b->rand, 1);
	b->now = 1000 * BB_SEC;
	c.addrs[0] = (struct bb_net_addr){ .ip = bb_ip_from4("\12\0\0\1"), .prefix = 8 };
	c.conns_max = conns;
	c.syn_max = 1024;
	c.timewait_max = 1024;
	c.offloads = sum ? 0 : BB_NET_OFFLOAD_IP4_CSUM | BB_NET_OFFLOAD_TCP_CSUM;
	c.rx_nodes_max = 4096;
	c.records_max = conns + 4096;
	c.tx_chunks_max = conns + 4096;
	c.tcp.rcvbuf_bytes = 1 << 20;
	c.tcp.sndbuf_bytes = 4 << 20;
	c.tcp.quickack_segs = 1;
	bb_mem_init_heap(&b->mem, UINT64_MAX);
	if (bb_net_create(&c, &b->mem, b->now, &b->net) != 0)
		abort();
	const struct bb_ip any = bb_ip_from4("\0\0\0\0");
	if (bb_tcp_listen(b->net, &any, PORT, 1024, on_accept, b, &b->listener) != 0)
		abort();
	/* All clients live behind one station. */
	uint8_t arp[42] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0,
		2, 10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1 };
	const struct bb_net_rx rx = { .data = arp, .buf = arp, .len = sizeof(arp) };
	bb_net_input(b->net, &rx, 1, b->now);
	bb_net_poll(b->net, b->now);
	b->clients = calloc(conns, sizeof(*b->clients));
}

static void
open_clients(struct bench *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct client *k = &b->clients[i];
		k->ip[0] = 10;
		k->ip[3] = 2;
		k->port = (uint16_t)(1024 + i % 60000);
		k->ip[2] = (uint8_t)(i / 60000);
		k->seq = (uint32_t)bb_rand_u64(&b->rand);
		b->last = k;
		/* Other hosts than the first have to be known, too. */
		if (k->port == 1024) {
			uint8_t arp[42] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
				2, 0, 0, 0, 0, 2, 10, 0, k->ip[2], 2, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1 };
			const struct bb_net_rx rx = { .data = arp, .buf = arp, .len = sizeof(arp) };
			bb_net_input(b->net, &rx, 1, b->now);
		}
		add(b, k, TH_SYN, 0, true);
		go(b);
		k->seq++;
		k->ack = (uint32_t)b->tx_last_seq + 1;
		add(b, k, TH_ACK, 0, false);
		go(b);
		if (k->c == NULL)
			abort();
	}
}

static void
fini(struct bench *b)
{
	bb_net_destroy(b->net);
	free(b->clients);
}

static uint64_t
min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void
bench_rx(uint32_t rounds, bool sum, uint32_t len)
{
	struct bench *b = malloc(sizeof(*b));
	uint64_t best = UINT64_MAX;

	init(b, 16, sum);
	open_clients(b, 1);
	struct client *k = &b->clients[0];
	for (uint32_t r = 0; r < rounds; r++) {
		for (int i = 0; i < BURST; i++) {
			add(b, k, TH_ACK, len, false);
			k->seq += len;
		}
		best = min64(best, go(b));
	}
	printf("receive in order, %u bytes%s: %" PRIu64 " cycles per segment\n", len,
		sum ? ", checksum in software" : "", best / BURST);
	fini(b);
	free(b);
}

static void
bench_tx(uint32_t rounds, bool sum, uint32_t write)
{
	struct bench *b = malloc(sizeof(*b));
	uint64_t best = UINT64_MAX;
	const uint32_t batch = write >= MSS ? BURST : 512;

	init(b, 16, sum);
	open_clients(b, 1);
	struct client *k = &b->clients[0];
	for (uint32_t r = 0; r < rounds; r++) {
		const uint64_t segs = b->tx_data;
		const uint64_t t = __rdtsc();
		for (uint32_t i = 0; i < batch; i++) {
			const struct bb_tcp_span span = { .data = payload, .len = write };
			bb_tcp_tx_push(b->net, k->c, &span, 1);
		}
		bb_net_poll(b->net, b->now);
		uint64_t cycles = __rdtsc() - t;
		const uint64_t sent = b->tx_data - segs;
		/* An ACK for every second segment, as peers send them. */
		const uint32_t end = (uint32_t)b->tx_last_seq, begin = k->ack;
		for (uint64_t i = 2; i < sent && b->rx_count < BURST - 1; i += 2) {
			k->ack = begin + (uint32_t)((end - begin) * i / sent);
			add(b, k, TH_ACK, 0, false);
		}
		k->ack = end;
		add(b, k, TH_ACK, 0, false);
		cycles += go(b);
		while (k->c->unsent > 0 || k->c->rec_count > 0) {
			k->ack = (uint32_t)b->tx_last_seq;
			add(b, k, TH_ACK, 0, false);
			go(b);
		}
		k->ack = (uint32_t)b->tx_last_seq;
		if (sent > 0 && r > 20)
			best = min64(best, cycles / (write >= MSS ? sent : batch));
	}
	printf("send, writes of %u bytes%s, with its ACKs: %" PRIu64 " cycles per %s\n", write,
		sum ? ", checksum in software" : "", best, write >= MSS ? "segment" : "write");
	fini(b);
	free(b);
}

static uint64_t
bench_rr(uint32_t conns, uint32_t rounds)
{
	struct bench *b = malloc(sizeof(*b));
	uint64_t *all = calloc(rounds, sizeof(*all));

	const uint64_t before = resident();
	init(b, conns + 16, false);
	open_clients(b, conns);
	const uint64_t after = resident();
	b->echo = true;
	uint32_t at = 0;
	const uint32_t per = conns < BURST ? conns : BURST;
	for (uint32_t r = 0; r < rounds; r++) {
		for (uint32_t i = 0; i < per; i++) {
			/* In an order that no prefetcher guesses. */
			struct client *k = &b->clients[(uint64_t)at++ * 7919 % conns];
			add(b, k, TH_ACK | TH_PSH, 64, false);
			k->seq += 64;
			k->ack += 64;
		}
		all[r] = go(b) / per;
	}
	/* Each round touches other connections: the median says more than the best. */
	for (uint32_t gap = rounds / 2; gap > 0; gap /= 2)
		for (uint32_t i = gap; i < rounds; i++)
			for (uint32_t j = i; j >= gap && all[j - gap] > all[j]; j -= gap) {
				const uint64_t x = all[j];
				all[j] = all[j - gap];
				all[j - gap] = x;
			}
	const uint64_t median = all[rounds / 2];
	printf("request and response of 64 bytes, %u connections: %" PRIu64 " cycles (median)", conns,
		median);
	if (conns >= 10000)
		printf(", %" PRIu64 " bytes resident per idle connection", (after - before) / conns);
	printf("\n");
	fini(b);
	free(b);
	free(all);
	return median;
}

static void
bench_flood(uint32_t rounds)
{
	struct bench *b = malloc(sizeof(*b));
	uint64_t best = UINT64_MAX;
	struct client k = { .ip = { 10, 0, 0, 2 } };

	init(b, 16, false);
	open_clients(b, 1);
	for (uint32_t r = 0; r < rounds; r++) {
		for (int i = 0; i < BURST; i++) {
			const uint64_t x = bb_rand_u64(&b->rand);
			k.port = (uint16_t)(x >> 16);
			k.seq = (uint32_t)(x >> 32);
			add(b, &k, TH_SYN, 0, true);
		}
		const uint64_t cycles = go(b);
		if (bb_net_counter(b->net, BB_NET_CTR_COOKIE_SENT) > 10000)
			best = min64(best, cycles);
	}
	printf("flood SYN answered with a cookie: %" PRIu64 " cycles\n", best / BURST);
	fini(b);
	free(b);
}

int
main(int argc, char **argv)
{
	bool quick = false, sum = false;

	for (int i = 1; i < argc; i++) {
		quick |= strcmp(argv[i], "--quick") == 0;
		sum |= strcmp(argv[i], "--sum") == 0;
	}
#ifdef BB_DEBUG
	printf("This is a debug build: the numbers mean little.\n");
#endif
	const uint32_t rounds = quick ? 2000 : 20000;
	bench_rx(rounds, sum, MSS);
	bench_rx(rounds, sum, 64);
	bench_tx(rounds, sum, MSS);
	bench_tx(rounds / 10, sum, 64);
	bench_rr(1, rounds);
	const uint64_t at_1000 = bench_rr(1000, rounds);
	const uint64_t at_100000 = bench_rr(100000, rounds);
	printf("cost from 1000 to 100000 connections: x %.2f\n", (double)at_100000 / (double)at_1000);
	bench_flood(rounds);
	printf("control block %zu, SYN cache %zu, TIME-WAIT %zu bytes\n", sizeof(struct bb_tcp),
		sizeof(struct syn_entry), sizeof(struct tw_entry));
	return 0;
}
