/* SPDX-License-Identifier: BSD-3-Clause */
/* test_ntcp: our own TCP, two instances on a wire in memory, under virtual time. Argument: v4 or v6. */
#include "stream_conformance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/time.h"
#include "net/net.h"
#include "transport/ntcp.h"

#define PORT 5555
#define PATIENCE_NS (100 * BB_SEC)

struct packet {
	struct packet *next;
	uint32_t len;
	uint8_t b[];
};

struct node {
	struct impl *impl;
	struct node *other;
	struct bb_net *net;
	struct bb_ntcp *transport;
	struct packet *first, **last; /* sent to it, not received yet */
	uint32_t held;
};

struct impl {
	struct bb_mem mem;
	struct bb_rand rand;
	struct node node[2];
	uint64_t now_ns, moved_ns;
};

static bool v6;

static uint32_t
edge_room(void *ctx)
{
	(void)ctx;
	return 256;
}

static void
edge_tx(void *ctx, const struct bb_net_tx *pkts, uint32_t n)
{
	struct node *to = ((struct node *)ctx)->other;

	for (uint32_t i = 0; i < n; i++) {
		struct packet *p = malloc(sizeof(*p) + pkts[i].hdr_len + pkts[i].payload_len);
		assert_non_null(p);
		p->next = NULL;
		p->len = pkts[i].hdr_len;
		memcpy(p->b, pkts[i].hdr, p->len);
		for (uint32_t k = 0; k < pkts[i].seg_count; k++) {
			memcpy(p->b + p->len, pkts[i].segs[k].data, pkts[i].segs[k].len);
			p->len += pkts[i].segs[k].len;
		}
		*to->last = p;
		to->last = &p->next;
	}
	to->impl->moved_ns = to->impl->now_ns;
}

static void
edge_put(void *ctx, void *buf)
{
	((struct node *)ctx)->held--;
	free(buf);
}

static uint64_t
edge_random(void *ctx)
{
	return bb_rand_u64(&((struct node *)ctx)->impl->rand);
}

static const struct bb_net_edge edge = { edge_room, edge_tx, edge_put, edge_random };

static void
receive(void *ctx, uint64_t now_ns)
{
	struct node *n = ctx;

	while (n->first != NULL) {
		struct packet *p = n->first;
		n->first = p->next;
		if (n->first == NULL)
			n->last = &n->first;
		n->held++;
		const struct bb_net_rx rx = { .data = p->b, .buf = p, .len = p->len, .truesize = 10240 };
		bb_net_input(n->net, &rx, 1, now_ns);
	}
}

static void
node_init(struct impl *x, int i)
{
	static const uint8_t ip4[4] = { 10 }, ip6[16] = { 0xfd };
	struct node *n = &x->node[i];
	struct bb_net_config c = { .mac = { 2, 0, 0, 0, 0, (uint8_t)(i + 1) }, .addr_count = 1 };

	n->impl = x;
	n->other = &x->node[!i];
	n->last = &n->first;
	c.addrs[0].ip = v6 ? bb_ip_from6(ip6) : bb_ip_from4(ip4);
	c.addrs[0].ip.b[15] = (uint8_t)(i + 1);
	c.addrs[0].prefix = v6 ? 64 : 24;
	c.mtu = 9000; /* the tests look at 60 KiB in eight pieces */
	c.conns_max = 4096;
	c.syn_max = 4096;
	c.timewait_max = 8192;
	c.tcp.rcvbuf_bytes = 1 << 20;
	c.edge = &edge;
	c.edge_ctx = n;
	assert_int_equal(bb_net_create(&c, &x->mem, x->now_ns, &n->net), 0);
	const struct bb_ntcp_config conf = { .net = n->net, .receive = receive, .ctx = n, .mem = &x->mem };
	assert_int_equal(bb_ntcp_create(&conf, &n->transport), 0);
}

static void
address(struct sockaddr_storage *a, uint16_t port)
{
	memset(a, 0, sizeof(*a));
	if (v6) {
		struct sockaddr_in6 *in = (void *)a;
		in->sin6_family = AF_INET6;
		in->sin6_addr.s6_addr[0] = 0xfd;
		in->sin6_addr.s6_addr[15] = 2;
		in->sin6_port = htons(port);
	} else {
		struct sockaddr_in *in = (void *)a;
		in->sin_family = AF_INET;
		in->sin_addr.s_addr = htonl(0x0a000002);
		in->sin_port = htons(port);
	}
}

static bool
open_world(struct conf_world *w)
{
	struct impl *x = calloc(1, sizeof(*x));
	int fd;

	assert_non_null(x);
	x->now_ns = x->moved_ns = 1000 * BB_SEC;
	bb_rand_init(&x->rand, 1);
	bb_mem_init_heap(&x->mem, 1u << 30);
	node_init(x, 0);
	node_init(x, 1);
	w->client = bb_ntcp_transport(x->node[0].transport);
	w->server = bb_ntcp_transport(x->node[1].transport);
	address(&w->address, PORT);
	address(&w->nobody, PORT + 1);
	assert_int_equal(bb_ntcp_listen_open(x->node[1].transport, (void *)&w->address, 0, &fd), 0);
	assert_int_equal(w->server->ops->listen(w->server, fd, CONF_SIDE), 0);
	w->impl = x;
	return true;
}

static void
close_world(struct conf_world *w)
{
	struct impl *x = w->impl;

	for (int i = 0; i < 2; i++) {
		struct node *n = &x->node[i];
		bb_ntcp_destroy(n->transport);
		bb_net_destroy(n->net);
		while (n->first != NULL) {
			struct packet *p = n->first;
			n->first = p->next;
			free(p);
		}
		assert_int_equal(n->held, 0);
	}
	assert_int_equal(x->mem.used_bytes, 0);
	free(x);
}

/* Time goes on when nothing is on the wire. */
static bool
wait_world(struct conf_world *w)
{
	struct impl *x = w->impl;

	if (x->node[0].first != NULL || x->node[1].first != NULL)
		return true;
	const uint64_t at = bb_min_u64(bb_net_deadline(x->node[0].net), bb_net_deadline(x->node[1].net));
	if (at == BB_NEVER || at > x->moved_ns + PATIENCE_NS)
		return false;
	x->now_ns = bb_max_u64(x->now_ns, at);
	return true;
}

static uint64_t
now_ns(struct conf_world *w)
{
	struct impl *x = w->impl;

	return x->now_ns += BB_USEC;
}

int
main(int argc, char **argv)
{
	v6 = argc > 1 && strcmp(argv[1], "v6") == 0;
	const struct conf_factory factory = {
		.name = v6 ? "ntcp_v6" : "ntcp_v4",
		.open = open_world,
		.close = close_world,
		.wait = wait_world,
		.now_ns = now_ns,
		.connections = 1000,
	};

	return stream_conformance_run(&factory);
}
