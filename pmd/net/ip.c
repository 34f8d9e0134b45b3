/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "net/priv.h"

#define IP6_EXT_MAX 8

static bool
drop(struct bb_net *net, enum bb_net_ctr ctr)
{
	net->ctr[ctr]++;
	return false;
}

/* Addresses that no packet for us can come from; RFC 1122 3.2.1.3, RFC 4291 2.7; our own: a LAND attack. */
static bool
src_sane(struct bb_net *net, const struct bb_ip *src)
{
	return !bb_ip_is_multicast(src) && !bb_ip_is_loopback(src) && !bb_ip_is_zero(src) &&
	       addr_find(net, src) == NULL;
}

static bool
is_subnet_broadcast(const struct bb_net *net, const struct bb_ip *ip)
{
	for (uint32_t i = 0; i < net->addr_count; i++) {
		const struct addr *a = &net->addrs[i];
		if (!bb_ip_is4(&a->ip) || a->prefix >= 31 || !bb_ip_prefix_eq(&a->ip, ip, a->prefix))
			continue;
		const uint32_t host = UINT32_MAX >> a->prefix;
		if ((bb_load_be32(ip->b + 12) & host) == host)
			return true;
	}
	return false;
}

bool
ip4_parse(struct bb_net *net, struct pkt *p)
{
	const uint8_t *h = p->l3;
	const uint32_t avail = p->rx->len - (uint32_t)(h - p->eth);

	if (avail < 20 || h[0] >> 4 != 4 || (h[0] & 0xf) < 5)
		return drop(net, BB_NET_CTR_DROP_IP_HEADER);
	const uint32_t hlen = (h[0] & 0xf) * 4u;
	const uint32_t total = bb_load_be16(h + 2); /* less than the frame: Ethernet padding, cut off */
	if (total < hlen || total > avail || h[8] == 0)
		return drop(net, BB_NET_CTR_DROP_IP_HEADER);
	if (p->rx->csum == BB_NET_CSUM_BAD ||
		(p->rx->csum == BB_NET_CSUM_UNKNOWN && bb_csum_fold(bb_csum_partial(h, hlen)) != 0xffff))
		return drop(net, BB_NET_CTR_DROP_IP_CSUM);
	if (hlen != 20)
		return drop(net, BB_NET_CTR_DROP_IP_OPTIONS);
	if ((bb_load_be16(h + 6) & 0x3fff) != 0)
		return drop(net, BB_NET_CTR_DROP_IP_FRAGMENT);
	p->key.remote = bb_ip_from4(h + 12);
	p->key.local = bb_ip_from4(h + 16);
	if (!src_sane(net, &p->key.remote) || is_subnet_broadcast(net, &p->key.remote))
		return drop(net, BB_NET_CTR_DROP_IP_SRC);
	const struct addr *a = addr_find(net, &p->key.local);
	if (a == NULL || a->state != ADDR_VALID || (p->eth[0] & 1) != 0)
		return drop(net, BB_NET_CTR_DROP_IP_DST);
	p->is4 = true;
	p->l4 = h + hlen;
	p->l4_len = total - hlen;
	p->proto = h[9];
	p->ecn = h[1] & 3;
	p->hop_limit = h[8];
	return true;
}

/* Walk the extension headers; false if one of them is not accepted. RFC 8200 4. */
static bool
ip6_extensions(struct bb_net *net, struct pkt *p, uint8_t next)
{
	for (int i = 0; i < IP6_EXT_MAX; i++) {
		if (next == 44)
			return drop(net, BB_NET_CTR_DROP_IP_FRAGMENT);
		if (next != 0 && next != 43 && next != 60) {
			p->proto = next;
			return true;
		}
		if (next == 0 && i != 0) /* hop-by-hop comes first or not at all */
			break;
		if (p->l4_len < 8 || (p->l4[1] + 1u) * 8 > p->l4_len)
			return drop(net, BB_NET_CTR_DROP_IP_HEADER);
		if (next == 43 && p->l4[3] != 0) /* a route that does not end here */
			break;
		const uint32_t len = (p->l4[1] + 1u) * 8;
		next = p->l4[0];
		p->l4 += len;
		p->l4_len -= len;
	}
	return drop(net, BB_NET_CTR_DROP_IP_OPTIONS);
}

/* One of the groups that neighbour discovery sends to. */
static bool
is_joined_group(struct bb_net *net, const struct bb_ip *ip)
{
	static const uint8_t all_nodes[16] = { 0xff, 2, [15] = 1 };

	if (memcmp(ip->b, all_nodes, 16) == 0)
		return true;
	for (uint32_t i = 0; i < net->addr_count; i++)
		if (!bb_ip_is4(&net->addrs[i].ip) && bb_ip_eq(&net->addrs[i].solicited, ip))
			return true;
	return false;
}

bool
ip6_parse(struct bb_net *net, struct pkt *p)
{
	const uint8_t *h = p->l3;
	const uint32_t avail = p->rx->len - (uint32_t)(h - p->eth);

	if (avail < 40 || h[0] >> 4 != 6)
		return drop(net, BB_NET_CTR_DROP_IP_HEADER);
	const uint32_t len = bb_load_be16(h + 4);
	if (len > avail - 40 || h[7] == 0)
		return drop(net, BB_NET_CTR_DROP_IP_HEADER);
	if (p->rx->csum == BB_NET_CSUM_BAD)
		return drop(net, BB_NET_CTR_DROP_IP_CSUM);
	p->key.remote = bb_ip_from6(h + 8);
	p->key.local = bb_ip_from6(h + 24);
	p->l4 = h + 40;
	p->l4_len = len;
	p->hop_limit = h[7];
	p->ecn = (h[1] >> 4) & 3;
	if (!ip6_extensions(net, p, h[6]))
		return false;
	/* The unspecified address is a legal source in one place: a solicitation for duplicate detection. */
	const bool unspecified = bb_ip_is_zero(&p->key.remote) && p->proto == IPPROTO_ICMP6;
	if (bb_ip_is4(&p->key.remote) || bb_ip_is4(&p->key.local) ||
		(!unspecified && !src_sane(net, &p->key.remote))) {
		/* Our own address as source of neighbour discovery is how a conflict shows. */
		const struct addr *own = addr_find(net, &p->key.remote);
		if (own == NULL || p->proto != IPPROTO_ICMP6)
			return drop(net, BB_NET_CTR_DROP_IP_SRC);
	}
	if (bb_ip_is_multicast(&p->key.local)) {
		if (p->proto != IPPROTO_ICMP6 || !is_joined_group(net, &p->key.local))
			return drop(net, BB_NET_CTR_DROP_IP_DST);
		return true;
	}
	const struct addr *a = addr_find(net, &p->key.local);
	if (a == NULL || (a->state != ADDR_VALID && p->proto != IPPROTO_ICMP6) || (p->eth[0] & 1) != 0)
		return drop(net, BB_NET_CTR_DROP_IP_DST);
	return true;
}

void
ip_fill(struct bb_net *net, struct bb_net_tx *tx, const struct bb_ip *src, const struct bb_ip *dst,
	uint8_t proto, uint8_t ecn, uint8_t hop_limit)
{
	uint8_t *h = tx->hdr + tx->l2_len;
	const uint32_t len = tx->l4_len + tx->payload_len;

	if (!tx->is4) {
		bb_store_be32(h, 6u << 28 | (uint32_t)ecn << 20);
		bb_store_be16(h + 4, (uint16_t)len);
		h[6] = proto;
		h[7] = hop_limit;
		memcpy(h + 8, src->b, 16);
		memcpy(h + 24, dst->b, 16);
		return;
	}
	h[0] = 0x45;
	h[1] = ecn;
	bb_store_be16(h + 2, (uint16_t)(20 + len));
	bb_store_be16(h + 4, 0);      /* identification: an atomic datagram needs none (RFC 6864 4.1) */
	bb_store_be16(h + 6, 0x4000); /* don't fragment */
	h[8] = hop_limit;
	h[9] = proto;
	memset(h + 10, 0, 2);
	memcpy(h + 12, src->b + 12, 4);
	memcpy(h + 16, dst->b + 12, 4);
	if (net->conf.offloads & BB_NET_OFFLOAD_IP4_CSUM) {
		tx->flags |= BB_NET_TX_IP4_CSUM;
	} else {
		const uint16_t sum = bb_csum_finish(bb_csum_partial(h, 20));
		memcpy(h + 10, &sum, 2);
	}
}

void
ip_send(struct bb_net *net, struct bb_net_tx *tx, const struct bb_ip *src, const struct bb_ip *dst,
	uint8_t proto, uint8_t ecn, uint8_t hop_limit)
{
	struct bb_ip hop;

	ip_fill(net, tx, src, dst, proto, ecn, hop_limit);
	if (!route_next_hop(net, dst, &hop)) {
		CTR(net, NO_ROUTE);
		return;
	}
	struct neigh *n = neigh_get(net, &hop, src);
	if (n == NULL) {
		CTR(net, NEIGH_FULL);
		return;
	}
	neigh_send(net, n, tx);
}

struct addr *
addr_find(struct bb_net *net, const struct bb_ip *ip)
{
	for (uint32_t i = 0; i < net->addr_count; i++)
		if (bb_ip_eq(&net->addrs[i].ip, ip))
			return &net->addrs[i];
	return NULL;
}

bool
addr_select(struct bb_net *net, const struct bb_ip *dst, struct bb_ip *ret)
{
	const struct addr *any = NULL;

	for (uint32_t i = 0; i < net->addr_count; i++) {
		const struct addr *a = &net->addrs[i];
		if (a->state != ADDR_VALID || bb_ip_is4(&a->ip) != bb_ip_is4(dst))
			continue;
		if (bb_ip_prefix_eq(&a->ip, dst, a->prefix)) {
			*ret = a->ip;
			return true;
		}
		if (any == NULL && !bb_ip_is_link_local(&a->ip))
			any = a;
	}
	if (any == NULL)
		return false;
	*ret = any->ip;
	return true;
}

bool
route_next_hop(struct bb_net *net, const struct bb_ip *dst, struct bb_ip *ret)
{
	for (uint32_t i = 0; i < net->addr_count; i++) {
		if (bb_ip_prefix_eq(&net->addrs[i].ip, dst, net->addrs[i].prefix)) {
			*ret = *dst;
			return true;
		}
	}
	*ret = bb_ip_is4(dst) ? net->conf.gateway4 : net->conf.gateway6;
	return !bb_ip_is_zero(ret);
}
