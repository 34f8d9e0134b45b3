/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tap_node: the stack on a TAP device, so that the kernel of the network namespace it runs in talks to it. Started by
 * kernel.py. What passes the device can be impaired, by seed.
 *
 *   tap_node TAP ADDRESS4 ADDRESS6 [key=value ...]
 *     loss, dup, reorder (1/10000), seed     both directions
 *     cc=cubic|newreno, ecn=0|1, sack=0|1, ts=0|1, ws=0|1
 *     connect=PORT,COUNT[,6]                 connect that often to the kernel's end (.2), echo what it sends
 *
 * Ports: 7 echo; 9 takes everything and answers with its FNV-1a sum (8 bytes, big endian); 19 sends 8 bytes of length wanted
 * (big endian, from the client) of a pattern and closes. Ends when standard input does; then prints its counters.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>

#include "base/endian.h"
#include "base/rand.h"
#include "base/time.h"
#include "net/net.h"
#include "net/tcp.h"

#define BURST 64
#define RING (1u << 20)
#define PATTERN (1u << 16)
#define LATE_MAX 64

enum mode {
	ECHO = 7,
	SINK = 9,
	SOURCE = 19,
};

struct app {
	struct app *next, **link; /* all that are open */
	struct bb_tcp *c;
	enum mode mode;
	uint8_t *ring; /* echo: what has to go back */
	uint64_t in, pushed, released;
	uint64_t sum, want;
	uint8_t head[8];
	bool eof;
};

struct held {
	uint8_t b[2048];
	uint32_t len;
	uint32_t after; /* packets to wait */
};

struct node {
	struct bb_net *net;
	struct bb_mem mem;
	struct bb_rand rand;
	int tap;
	uint32_t loss, dup, reorder;
	struct held late[2][LATE_MAX]; /* held back: [0] to the kernel, [1] to the stack */
	uint32_t late_count[2];
	uint32_t open;
	struct app *apps;
};

static struct node node;
static uint8_t pattern[PATTERN * 2];

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * BB_SEC + (uint64_t)t.tv_nsec;
}

static bool
chance(uint32_t per_10000)
{
	return per_10000 != 0 && bb_rand_below(&node.rand, 10000) < per_10000;
}

typedef void emit_fn(const uint8_t *b, uint32_t len);

static void
to_kernel(const uint8_t *b, uint32_t len)
{
	if (write(node.tap, b, len) < 0 && errno != EAGAIN && errno != EIO)
		perror("tap_node: write");
}

static void
to_stack(const uint8_t *b, uint32_t len)
{
	uint8_t *copy = malloc(len);

	memcpy(copy, b, len);
	const struct bb_net_rx rx = { .data = copy, .buf = copy, .len = len, .truesize = 2048 };
	bb_net_input(node.net, &rx, 1, now_ns());
}

/* Loss, duplication, and holding back until a few others have passed. */
static void
impair(int dir, const uint8_t *b, uint32_t len, emit_fn *emit)
{
	if (chance(node.loss))
		return;
	if (chance(node.reorder) && node.late_count[dir] < LATE_MAX && len <= sizeof(node.late[0][0].b)) {
		struct held *h = &node.late[dir][node.late_count[dir]++];
		memcpy(h->b, b, len);
		h->len = len;
		h->after = 1 + bb_rand_below(&node.rand, 8);
		return;
	}
	emit(b, len);
	if (chance(node.dup))
		emit(b, len);
	for (uint32_t i = 0; i < node.late_count[dir];) {
		struct held *h = &node.late[dir][i];
		if (--h->after > 0) {
			i++;
			continue;
		}
		const struct held go = *h;
		*h = node.late[dir][--node.late_count[dir]];
		emit(go.b, go.len);
	}
}

static uint32_t
edge_room(void *ctx)
{
	(void)ctx;
	return 256;
}

static void
edge_tx(void *ctx, const struct bb_net_tx *pkts, uint32_t n)
{
	uint8_t b[10240];

	(void)ctx;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t len = pkts[i].hdr_len;
		memcpy(b, pkts[i].hdr, len);
		for (uint32_t k = 0; k < pkts[i].seg_count; k++) {
			memcpy(b + len, pkts[i].segs[k].data, pkts[i].segs[k].len);
			len += pkts[i].segs[k].len;
		}
		impair(0, b, len, to_kernel);
	}
}

static void
edge_put(void *ctx, void *buf)
{
	(void)ctx;
	free(buf);
}

static uint64_t
edge_random(void *ctx)
{
	uint64_t x;

	(void)ctx;
	if (getrandom(&x, sizeof(x), 0) != sizeof(x))
		abort();
	return x;
}

static const struct bb_net_edge edge = { edge_room, edge_tx, edge_put, edge_random };

/* ---- applications ---- */

static void
push(struct app *a, const uint8_t *data, uint32_t len)
{
	const struct bb_tcp_span span = { .data = data, .len = len };

	if (bb_tcp_tx_push(node.net, a->c, &span, 1) == 1)
		a->pushed += len;
}

static void
source_step(struct app *a)
{
	while (a->pushed < a->want) {
		const uint64_t before = a->pushed;
		const uint64_t left = a->want - a->pushed;
		push(a, pattern + a->pushed % PATTERN, (uint32_t)(left < 32768 ? left : 32768));
		if (a->pushed == before)
			return;
	}
	bb_tcp_shutdown(node.net, a->c);
}

static void
echo_step(struct app *a)
{
	while (a->pushed < a->in) {
		const uint32_t at = (uint32_t)(a->pushed % RING);
		const uint64_t before = a->pushed;
		const uint64_t n = a->in - a->pushed;
		push(a, a->ring + at, (uint32_t)(n < RING - at ? n : RING - at));
		if (a->pushed == before)
			return;
	}
	if (a->eof)
		bb_tcp_shutdown(node.net, a->c);
}

/* Returns how many bytes of the piece were used. */
static uint32_t
take(struct app *a, const uint8_t *b, uint32_t len)
{
	switch (a->mode) {
	case ECHO: {
		const uint32_t at = (uint32_t)(a->in % RING);
		const uint64_t room = RING - (a->in - a->released);
		uint32_t n = len < room ? len : (uint32_t)room;
		n = n < RING - at ? n : RING - at;
		memcpy(a->ring + at, b, n);
		a->in += n;
		return n;
	}
	case SINK:
		for (uint32_t i = 0; i < len; i++)
			a->sum = (a->sum ^ b[i]) * UINT64_C(0x100000001b3);
		a->in += len;
		return len;
	case SOURCE:
		for (uint32_t i = 0; i < len && a->in < 8; i++)
			a->want = a->want << 8 | b[i], a->in++;
		return len;
	}
	return len;
}

static void
on_readable(void *ctx, struct bb_tcp *c)
{
	struct app *a = ctx;
	struct iovec iov[64];

	for (;;) {
		const size_t n = bb_tcp_rx_view(node.net, c, iov, 64);
		uint32_t used = 0;
		bool full = false;
		for (size_t i = 0; i < n && !full; i++) {
			const uint32_t k = take(a, iov[i].iov_base, (uint32_t)iov[i].iov_len);
			used += k;
			full = k < iov[i].iov_len;
		}
		bb_tcp_rx_consume(node.net, c, used);
		if (used == 0)
			break;
	}
	const bool eof = bb_tcp_rx_eof(c) && !a->eof;
	a->eof |= eof;
	if (a->mode == ECHO) {
		echo_step(a);
	} else if (a->mode == SOURCE && a->in == 8) {
		source_step(a);
	} else if (a->mode == SINK && eof) {
		bb_store_be64(a->head, a->sum);
		push(a, a->head, 8);
		bb_tcp_shutdown(node.net, c);
	}
	/* Both have ended: nothing is left to do but to wait for the ACKs. */
	if (a->eof && (a->mode != SOURCE || a->pushed == a->want) &&
		a->pushed == (a->mode == ECHO ? a->in : a->pushed))
		bb_tcp_close(node.net, c, BB_NEVER);
}

static void
on_released(void *ctx, struct bb_tcp *c, uint64_t bytes)
{
	struct app *a = ctx;

	a->released += bytes;
	if (a->mode == ECHO && bb_tcp_rx_bytes(c) > 0)
		on_readable(ctx, c);
}

static void
on_room(void *ctx, struct bb_tcp *c, uint64_t bytes)
{
	(void)bytes;
	on_readable(ctx, c);
}

static void
app_free(struct app *a)
{
	*a->link = a->next;
	if (a->next != NULL)
		a->next->link = a->link;
	free(a->ring);
	free(a);
	node.open--;
}

static void
on_closed(void *ctx, struct bb_tcp *c, enum bb_tcp_reason reason)
{
	struct app *a = ctx;

	(void)c;
	if (reason != BB_TCP_DONE)
		printf("closed mode=%d reason=%d in=%llu pushed=%llu released=%llu\n", a->mode, (int)reason,
			(unsigned long long)a->in, (unsigned long long)a->pushed,
			(unsigned long long)a->released);
	app_free(a);
}

static const struct bb_tcp_ops ops = { NULL, on_readable, on_released, on_room, on_closed };

static struct app *
app_create(enum mode mode)
{
	struct app *a = calloc(1, sizeof(*a));

	a->mode = mode;
	a->sum = UINT64_C(0xcbf29ce484222325);
	if (mode == ECHO)
		a->ring = malloc(RING);
	node.open++;
	a->next = node.apps;
	a->link = &node.apps;
	if (a->next != NULL)
		a->next->link = &a->next;
	node.apps = a;
	return a;
}

static bool
on_accept(void *ctx, struct bb_tcp *c)
{
	struct app *a = app_create((enum mode)(uintptr_t)ctx);

	a->c = c;
	bb_tcp_set_ops(c, &ops, a);
	return true;
}

/* ---- set-up ---- */

static int
open_tap(const char *name)
{
	struct ifreq r = { 0 };
	const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -1;
	strncpy(r.ifr_name, name, IFNAMSIZ - 1);
	r.ifr_flags = IFF_TAP | IFF_NO_PI;
	if (ioctl(fd, TUNSETIFF, &r) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static uint32_t
number(const char *s)
{
	return (uint32_t)strtoul(s, NULL, 10);
}

static void
option(const char *arg, struct bb_net_config *c)
{
	const char *v = strchr(arg, '=');

	if (v == NULL)
		return;
	v++;
	if (strncmp(arg, "loss=", 5) == 0)
		node.loss = number(v);
	else if (strncmp(arg, "dup=", 4) == 0)
		node.dup = number(v);
	else if (strncmp(arg, "reorder=", 8) == 0)
		node.reorder = number(v);
	else if (strncmp(arg, "seed=", 5) == 0)
		bb_rand_init(&node.rand, number(v));
	else if (strncmp(arg, "cc=", 3) == 0)
		c->tcp.cc = strcmp(v, "newreno") == 0 ? BB_TCP_CC_NEWRENO : BB_TCP_CC_CUBIC;
	else if (strncmp(arg, "ecn=", 4) == 0)
		c->tcp.ecn = *v == '1';
	else if (strncmp(arg, "sack=", 5) == 0)
		c->tcp.no_sack = *v == '0';
	else if (strncmp(arg, "ts=", 3) == 0)
		c->tcp.no_timestamps = *v == '0';
	else if (strncmp(arg, "ws=", 3) == 0)
		c->tcp.no_wscale = *v == '0';
}

static void
connect_out(const char *v, const struct bb_net_config *c)
{
	unsigned port = 0, count = 0, family = 4;

	sscanf(v, "%u,%u,%u", &port, &count, &family);
	struct bb_ip to = c->addrs[family == 6].ip;
	to.b[15] = 2;
	for (unsigned i = 0; i < count; i++) {
		struct app *a = app_create(ECHO);
		const int r = bb_tcp_connect(node.net, NULL, 0, &to, (uint16_t)port, &ops, a, &a->c);
		if (r != 0) {
			printf("connect: %s\n", strerror(-r));
			exit(1);
		}
	}
}

static bool
read_burst(void)
{
	static uint8_t b[10240];
	uint32_t n = 0;

	for (; n < BURST; n++) {
		const ssize_t len = read(node.tap, b, sizeof(b));
		if (len <= 0)
			break;
		impair(1, b, (uint32_t)len, to_stack);
	}
	return n == BURST;
}

static void
loop(void)
{
	bool more = false;

	for (;;) {
		struct pollfd fds[2] = { { .fd = node.tap, .events = POLLIN },
			{ .fd = 0, .events = POLLIN } };
		const uint64_t at = bb_net_deadline(node.net), now = now_ns();
		struct timespec wait = { 0 };
		if (!more && at > now) {
			const uint64_t ns = at - now < BB_SEC ? at - now : BB_SEC;
			wait.tv_sec = (time_t)(ns / BB_SEC);
			wait.tv_nsec = (long)(ns % BB_SEC);
		}
		ppoll(fds, 2, &wait, NULL);
		if (fds[1].revents != 0)
			return;
		more = read_burst();
		bb_net_poll(node.net, now_ns());
	}
}

int
main(int argc, char **argv)
{
	struct bb_net_config c = { .mac = { 2, 0, 0, 0, 9, 1 }, .addr_count = 2, .edge = &edge };
	uint8_t ip4[4], ip6[16];
	struct bb_rand r;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 4 || inet_pton(AF_INET, argv[2], ip4) != 1 || inet_pton(AF_INET6, argv[3], ip6) != 1)
		return 2;
	bb_rand_init(&node.rand, 1);
	c.addrs[0] = (struct bb_net_addr){ .ip = bb_ip_from4(ip4), .prefix = 24 };
	c.addrs[1] = (struct bb_net_addr){ .ip = bb_ip_from6(ip6), .prefix = 64 };
	c.conns_max = 8192;
	c.tcp.rcvbuf_bytes = 1 << 20;
	for (int i = 4; i < argc; i++)
		option(argv[i], &c);
	node.tap = open_tap(argv[1]);
	if (node.tap < 0) {
		perror("tap_node: tap");
		return 77;
	}
	bb_rand_init(&r, 7);
	for (uint32_t i = 0; i < PATTERN; i++)
		pattern[i] = pattern[i + PATTERN] = (uint8_t)bb_rand_u64(&r);
	bb_mem_init_heap(&node.mem, UINT64_MAX);
	if (bb_net_create(&c, &node.mem, now_ns(), &node.net) != 0)
		return 1;
	const uint16_t ports[] = { ECHO, SINK, SOURCE };
	for (int i = 0; i < 3; i++) {
		struct bb_tcp_listener *l;
		const struct bb_ip any = { { 0 } };
		if (bb_tcp_listen(
			    node.net, &any, ports[i], 1024, on_accept, (void *)(uintptr_t)ports[i], &l) != 0)
			return 1;
	}
	printf("ready\n");
	for (int i = 4; i < argc; i++)
		if (strncmp(argv[i], "connect=", 8) == 0)
			connect_out(argv[i] + 8, &c);
	loop();
	struct bb_net_usage u;
	bb_net_usage(node.net, &u);
	printf("open=%u conns=%u timewaits=%u\n", node.open, u.conns, u.timewaits);
	for (int i = 0; i < BB_NET_CTR_COUNT; i++)
		if (bb_net_counter(node.net, (enum bb_net_ctr)i) != 0)
			printf("%s=%llu\n", bb_net_ctr_info[i].name,
				(unsigned long long)bb_net_counter(node.net, (enum bb_net_ctr)i));
	bb_net_destroy(node.net);
	while (node.apps != NULL)
		app_free(node.apps);
	return 0;
}
