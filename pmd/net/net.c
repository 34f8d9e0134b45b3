/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/net.h"

#include <errno.h>
#include <string.h>

#include "net/priv.h"

#define ETH_IP4 0x0800
#define ETH_ARP 0x0806
#define ETH_VLAN 0x8100
#define ETH_IP6 0x86dd

static void
set_default32(uint32_t *v, uint32_t dflt)
{
	if (*v == 0)
		*v = dflt;
}

static void
config_defaults(struct bb_net_config *c)
{
	set_default32(&c->conns_max, 1024);
	set_default32(&c->syn_max, 1024);
	set_default32(&c->timewait_max, 4096);
	set_default32(&c->neigh_max, 1024);
	set_default32(&c->listeners_max, 64);
	set_default32(&c->rx_nodes_max, 16384);
	set_default32(&c->rx_blocks_max, 4096);
	set_default32(&c->tx_chunks_max, 16384);
	set_default32(&c->records_max, 65536);
	set_default32(&c->holes_max, 1024);
	if (c->mtu == 0)
		c->mtu = 1500;
}

static bool
config_valid(const struct bb_net_config *c)
{
	if (c->edge == NULL || c->mtu < 1280 || c->mtu > 9216 || c->vlan > 4094 || (c->mac[0] & 1) != 0)
		return false;
	if (c->addr_count == 0 || c->addr_count > BB_NET_ADDRS_MAX)
		return false;
	for (uint32_t i = 0; i < c->addr_count; i++) {
		const struct bb_net_addr *a = &c->addrs[i];
		if (a->prefix > (bb_ip_is4(&a->ip) ? 32 : 128) || bb_ip_is_zero(&a->ip) ||
			bb_ip_is_multicast(&a->ip) || bb_ip_is_loopback(&a->ip))
			return false;
	}
	return c->conns_max < 1u << 28 && c->syn_max < 1u << 28 && c->timewait_max < 1u << 28;
}

static const struct bb_flow_key *tcp_key_of(const void *ctx, uint32_t ref);

/* tcp.c knows where the keys lie. */
const struct bb_flow_key *tcp_flow_key(const struct bb_net *net, uint32_t ref);

static const struct bb_flow_key *
tcp_key_of(const void *ctx, uint32_t ref)
{
	return tcp_flow_key(ctx, ref);
}

static struct bb_hash_key
random_key(struct bb_net *net)
{
	struct bb_hash_key k;

	k.k0 = net->conf.edge->random(net->conf.edge_ctx);
	k.k1 = net->conf.edge->random(net->conf.edge_ctx);
	return k;
}

static int
init_tables(struct bb_net *net)
{
	const struct bb_net_config *c = &net->conf;
	int r;

	net->tx = bb_mem_zalloc(net->mem, TX_BATCH * sizeof(*net->tx));
	net->tx_segs = bb_mem_zalloc(net->mem, TX_SEGS * sizeof(*net->tx_segs));
	net->tx_blocks = bb_mem_zalloc(net->mem, TX_BATCH * 2 * sizeof(*net->tx_blocks));
	if (net->tx == NULL || net->tx_segs == NULL || net->tx_blocks == NULL)
		return -ENOMEM;
	r = bb_net_pool_init(&net->blocks, net->mem, BLOCK_SIZE, c->rx_blocks_max);
	if (r < 0)
		return r;
	r = bb_flow_init(&net->flow, net->mem, c->conns_max + c->syn_max + c->timewait_max, random_key(net),
		tcp_key_of, net);
	if (r < 0)
		return r;
	r = neigh_init(net);
	if (r < 0)
		return r;
	return tcp_core_init(net);
}

int
bb_net_create(const struct bb_net_config *conf, struct bb_mem *mem, uint64_t now_ns, struct bb_net **ret)
{
	struct bb_net_config c = *conf;

	config_defaults(&c);
	if (!config_valid(&c))
		return -EINVAL;
	struct bb_net *net = bb_mem_zalloc(mem, sizeof(*net));
	if (net == NULL)
		return -ENOMEM;
	net->conf = c;
	net->mem = mem;
	net->now_ns = now_ns;
	net->now_ms = now_ns / BB_MSEC;
	net->l2_len = c.vlan != 0 ? 18 : 14;
	net->isn_key = random_key(net);
	net->cookie_key = random_key(net);
	net->ts_key = random_key(net);
	const int r = init_tables(net);
	if (r < 0) {
		bb_net_destroy(net);
		return r;
	}
	addr_init(net);
	*ret = net;
	return 0;
}

void
bb_net_destroy(struct bb_net *net)
{
	if (net == NULL)
		return;
	tcp_core_fini(net);
	neigh_fini(net);
	bb_flow_fini(&net->flow, net->mem);
	bb_net_pool_fini(&net->blocks, net->mem);
	bb_mem_free(net->mem, net->tx_blocks, TX_BATCH * 2 * sizeof(*net->tx_blocks));
	bb_mem_free(net->mem, net->tx_segs, TX_SEGS * sizeof(*net->tx_segs));
	bb_mem_free(net->mem, net->tx, TX_BATCH * sizeof(*net->tx));
	bb_mem_free(net->mem, net, sizeof(*net));
}

uint64_t
net_random(struct bb_net *net)
{
	return net->conf.edge->random(net->conf.edge_ctx);
}

bool
rate_pass(struct rate *r, uint64_t now_ns, uint32_t per_s, uint32_t burst)
{
	const uint64_t step_ns = BB_SEC / per_s;
	const uint64_t earned = (now_ns - r->last_ns) / step_ns;

	if (r->last_ns == 0 || earned >= burst) {
		r->tokens = burst;
		r->last_ns = now_ns;
	} else if (earned > 0) {
		r->tokens = (uint32_t)bb_min_u64(burst, r->tokens + earned);
		r->last_ns += earned * step_ns;
	}
	if (r->tokens == 0)
		return false;
	r->tokens--;
	return true;
}

struct bb_net_tx *
net_tx_begin(struct bb_net *net, bool is4)
{
	if (net->tx_count == TX_BATCH || net->tx_seg_count + BB_NET_SEGS_MAX > TX_SEGS)
		net_tx_flush(net);
	if (net->tx_room <= net->tx_count) {
		net->tx_room = net->conf.edge->tx_room(net->conf.edge_ctx);
		if (net->tx_room <= net->tx_count) {
			CTR(net, TX_NO_ROOM);
			return NULL;
		}
	}
	struct bb_net_tx *tx = &net->tx[net->tx_count];
	tx->l2_len = net->l2_len;
	tx->l3_len = is4 ? 20 : 40;
	tx->l4_len = 0;
	tx->is4 = is4;
	tx->flags = 0;
	tx->segs = &net->tx_segs[net->tx_seg_count];
	tx->seg_count = 0;
	tx->payload_len = 0;
	return tx;
}

bool
net_tx_add(struct bb_net *net, struct bb_net_tx *tx, const uint8_t *data, uint32_t len, void *owner)
{
	if (tx->seg_count == BB_NET_SEGS_MAX)
		return false;
	net->tx_segs[net->tx_seg_count + tx->seg_count] = (struct bb_net_seg){
		.data = data, .len = len, .owner = owner
	};
	tx->seg_count++;
	tx->payload_len += len;
	return true;
}

void
net_tx_commit(struct bb_net *net, struct bb_net_tx *tx)
{
	BB_DEBUG_ASSERT(tx == &net->tx[net->tx_count]);
	tx->hdr_len = (uint16_t)(tx->l2_len + tx->l3_len + tx->l4_len);
	net->tx_count++;
	net->tx_seg_count += tx->seg_count;
	net->ctr[BB_NET_CTR_TX_PKTS]++;
	net->ctr[BB_NET_CTR_TX_BYTES] += tx->hdr_len + tx->payload_len;
}

void
net_tx_free_block_later(struct bb_net *net, uint32_t block)
{
	if (net->tx_block_count == TX_BATCH * 2)
		net_tx_flush(net);
	net->tx_blocks[net->tx_block_count++] = block;
}

void
net_tx_flush(struct bb_net *net)
{
	if (net->tx_count > 0)
		net->conf.edge->tx_burst(net->conf.edge_ctx, net->tx, net->tx_count);
	for (uint32_t i = 0; i < net->tx_block_count; i++)
		bb_net_pool_free(&net->blocks, net->tx_blocks[i]);
	net->tx_count = 0;
	net->tx_seg_count = 0;
	net->tx_block_count = 0;
	net->tx_room = 0; /* ask again */
}

void
net_eth_fill(struct bb_net *net, struct bb_net_tx *tx, const uint8_t *dst_mac, uint16_t type)
{
	memcpy(tx->hdr, dst_mac, 6);
	memcpy(tx->hdr + 6, net->conf.mac, 6);
	if (net->conf.vlan != 0) {
		bb_store_be16(tx->hdr + 12, ETH_VLAN);
		bb_store_be16(tx->hdr + 14, net->conf.vlan);
	}
	bb_store_be16(tx->hdr + net->l2_len - 2, type);
}

/* Is the frame on our VLAN? Moves *l3 behind the tag and sets the type. */
static bool
eth_vlan(struct bb_net *net, const struct bb_net_rx *rx, uint32_t *l3, uint16_t *type)
{
	uint16_t vid = 0;

	if (rx->vlan_stripped) {
		vid = rx->vlan_tci & 0xfff;
	} else if (*type == ETH_VLAN) {
		if (rx->len < 18)
			return false;
		vid = bb_load_be16(rx->data + 14) & 0xfff;
		*type = bb_load_be16(rx->data + 16);
		*l3 = 18;
	}
	/* Tag 0 carries a priority only (802.1Q 9.6). */
	return vid == net->conf.vlan;
}

/* Ethernet and IP; true if the packet goes on to the layer above in p. */
static bool
parse(struct bb_net *net, const struct bb_net_rx *rx, struct pkt *p)
{
	uint32_t l3 = 14;

	*p = (struct pkt){ .rx = rx, .eth = rx->data, .ref = BB_FLOW_NONE };
	CTR(net, RX_PKTS);
	net->ctr[BB_NET_CTR_RX_BYTES] += rx->len;
	if (rx->len < 14) {
		CTR(net, DROP_ETH_SHORT);
		return false;
	}
	if ((rx->data[0] & 1) == 0 && memcmp(rx->data, net->conf.mac, 6) != 0) {
		CTR(net, DROP_ETH_DST);
		return false;
	}
	uint16_t type = bb_load_be16(rx->data + 12);
	if (!eth_vlan(net, rx, &l3, &type)) {
		CTR(net, DROP_VLAN);
		return false;
	}
	p->l3 = rx->data + l3;
	switch (type) {
	case ETH_IP4:
		return ip4_parse(net, p);
	case ETH_IP6:
		return ip6_parse(net, p);
	case ETH_ARP:
		arp_input(net, p);
		return false;
	default:
		CTR(net, DROP_ETH_TYPE);
		return false;
	}
}

static void
dispatch(struct bb_net *net, struct pkt *p)
{
	switch (p->proto) {
	case IPPROTO_TCP_NR:
		tcp_input(net, p);
		break;
	case IPPROTO_ICMP4:
		if (p->is4) {
			icmp4_input(net, p);
			break;
		}
		CTR(net, DROP_IP_PROTO);
		break;
	case IPPROTO_ICMP6:
		if (!p->is4) {
			icmp6_input(net, p);
			break;
		}
		/* fallthrough */
	default:
		CTR(net, DROP_IP_PROTO);
		icmp_unreachable(net, p, p->proto == 17);
		break;
	}
}

static bool
is_tcp(const struct pkt *p)
{
	return p->proto == IPPROTO_TCP_NR && p->l4_len >= 20;
}

/* In stages, so that the memory that a burst needs is fetched in parallel. */
static void
input_stage(struct bb_net *net, const struct bb_net_rx *rx, uint32_t n)
{
	struct pkt pkts[RX_STAGE];
	uint32_t count = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct pkt *p = &pkts[count];
		if (!parse(net, &rx[i], p)) {
			net->conf.edge->rx_put(net->conf.edge_ctx, rx[i].buf);
			continue;
		}
		if (is_tcp(p)) {
			p->key.rport = bb_load_be16(p->l4);
			p->key.lport = bb_load_be16(p->l4 + 2);
			p->hash = bb_flow_hash(&net->flow, &p->key);
			bb_flow_prefetch(&net->flow, p->hash);
		}
		count++;
	}
	for (uint32_t i = 0; i < count; i++)
		if (is_tcp(&pkts[i]))
			tcp_prefetch(net, bb_flow_guess(&net->flow, pkts[i].hash));
	const uint32_t gen = net->flow.gen;
	for (uint32_t i = 0; i < count; i++)
		if (is_tcp(&pkts[i]))
			pkts[i].ref = bb_flow_find(&net->flow, &pkts[i].key, pkts[i].hash);
	for (uint32_t i = 0; i < count; i++) {
		struct pkt *p = &pkts[i];
		if (gen != net->flow.gen && is_tcp(p))
			p->ref = bb_flow_find(&net->flow, &p->key, p->hash);
		dispatch(net, p);
		if (!p->held)
			net->conf.edge->rx_put(net->conf.edge_ctx, p->rx->buf);
	}
}

static void
set_now(struct bb_net *net, uint64_t now_ns)
{
	BB_DEBUG_ASSERT(now_ns >= net->now_ns);
	net->now_ns = now_ns;
	net->now_ms = now_ns / BB_MSEC;
}

void
bb_net_input(struct bb_net *net, const struct bb_net_rx *pkts, uint32_t n, uint64_t now_ns)
{
	set_now(net, now_ns);
	while (n > 0) {
		const uint32_t k = n < RX_STAGE ? n : RX_STAGE;
		input_stage(net, pkts, k);
		pkts += k;
		n -= k;
	}
	tcp_events(net);
}

uint32_t
bb_net_poll(struct bb_net *net, uint64_t now_ns)
{
	uint32_t work;

	set_now(net, now_ns);
	if (net->neighs.due_ns <= now_ns)
		neigh_poll(net);
	if (net->addr_due_ns <= now_ns)
		addr_poll(net);
	work = tcp_poll(net);
	work += tcp_events(net);
	work += net->tx_count;
	net_tx_flush(net);
	return work;
}

uint64_t
bb_net_deadline(const struct bb_net *net)
{
	uint64_t t = tcp_deadline(net);

	t = bb_min_u64(t, net->neighs.due_ns);
	return bb_min_u64(t, net->addr_due_ns);
}

uint64_t
bb_net_counter(const struct bb_net *net, enum bb_net_ctr ctr)
{
	return net->ctr[ctr];
}

bool
bb_net_addr_usable(const struct bb_net *net, const struct bb_ip *ip)
{
	for (uint32_t i = 0; i < net->addr_count; i++)
		if (bb_ip_eq(&net->addrs[i].ip, ip))
			return net->addrs[i].state == ADDR_VALID;
	return false;
}
