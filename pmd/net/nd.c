/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nd: neighbour discovery for IPv6: solicitations and advertisements (RFC 4861 7.2), duplicate address
 * detection (RFC 4862 5.4), and the MLDv2 report that makes switches send us our groups (RFC 3810 5.2).
 * Router advertisements are not accepted: addresses and gateways are configured.
 */
#include <string.h>

#include "net/priv.h"

#define NS 135
#define NA 136
#define MLD2_REPORT 143
#define OPT_SOURCE_MAC 1
#define OPT_TARGET_MAC 2

#define NA_SOLICITED 0x40000000u
#define NA_OVERRIDE 0x20000000u

static const struct bb_ip all_nodes = { .b = { 0xff, 2, [15] = 1 } };
static const struct bb_ip unspecified;

/* IPv6 multicast has a fixed mapping to Ethernet (RFC 2464 7): no look-up. */
static void
send_multicast(struct bb_net *net, struct bb_net_tx *tx, const struct bb_ip *dst)
{
	uint8_t mac[6] = { 0x33, 0x33 };

	memcpy(mac + 2, dst->b + 12, 4);
	net_eth_fill(net, tx, mac, 0x86dd);
	net_tx_commit(net, tx);
}

static void
fill_csum(struct bb_net_tx *tx, uint8_t *l4, const struct bb_ip *src, const struct bb_ip *dst)
{
	memset(l4 + 2, 0, 2);
	const uint16_t sum = bb_csum_finish(
		bb_csum_pseudo(src, dst, IPPROTO_ICMP6, tx->l4_len) + bb_csum_partial(l4, tx->l4_len));
	memcpy(l4 + 2, &sum, 2);
}

/* A solicitation or advertisement; option 0 leaves the link-layer address out. */
static struct bb_net_tx *
build(struct bb_net *net, uint8_t type, uint32_t flags, const struct bb_ip *target, uint8_t option,
	const struct bb_ip *src, const struct bb_ip *dst)
{
	struct bb_net_tx *tx = net_tx_begin(net, false);

	if (tx == NULL)
		return NULL;
	uint8_t *m = net_tx_l4(tx);
	m[0] = type;
	m[1] = 0;
	bb_store_be32(m + 4, flags);
	memcpy(m + 8, target->b, 16);
	tx->l4_len = 24;
	if (option != 0) {
		m[24] = option;
		m[25] = 1;
		memcpy(m + 26, net->conf.mac, 6);
		tx->l4_len = 32;
	}
	fill_csum(tx, m, src, dst);
	ip_fill(net, tx, src, dst, IPPROTO_ICMP6, 0, 255);
	return tx;
}

static struct bb_ip
solicited_node(const struct bb_ip *ip)
{
	struct bb_ip g = { .b = { 0xff, 2, [11] = 1, [12] = 0xff } };

	memcpy(g.b + 13, ip->b + 13, 3);
	return g;
}

void
nd_solicit(struct bb_net *net, const struct neigh *n)
{
	if (neigh_ask_directly(n)) {
		struct bb_net_tx *tx = build(net, NS, 0, &n->ip, OPT_SOURCE_MAC, &n->src, &n->ip);
		if (tx != NULL) {
			net_eth_fill(net, tx, n->mac, 0x86dd);
			net_tx_commit(net, tx);
		}
		return;
	}
	const struct bb_ip group = solicited_node(&n->ip);
	struct bb_net_tx *tx = build(net, NS, 0, &n->ip, OPT_SOURCE_MAC, &n->src, &group);
	if (tx != NULL)
		send_multicast(net, tx, &group);
}

void
nd_claim(struct bb_net *net, const struct addr *a, bool announce)
{
	struct bb_net_tx *tx;

	if (announce)
		tx = build(net, NA, NA_OVERRIDE, &a->ip, OPT_TARGET_MAC, &a->ip, &all_nodes);
	else
		tx = build(net, NS, 0, &a->ip, 0, &unspecified, &a->solicited);
	if (tx != NULL)
		send_multicast(net, tx, announce ? &all_nodes : &a->solicited);
}

/* One MLDv2 report: "exclude nothing" for the solicited-node group, with a router alert in front. */
void
nd_join(struct bb_net *net, const struct addr *a)
{
	static const struct bb_ip routers = { .b = { 0xff, 2, [15] = 22 } };
	static const uint8_t alert[8] = { IPPROTO_ICMP6, 0, 5, 2, 0, 0, 1, 0 };
	struct bb_net_tx *tx = net_tx_begin(net, false);

	if (tx == NULL)
		return;
	uint8_t *m = net_tx_l4(tx) + sizeof(alert);
	memset(m, 0, 28);
	m[0] = MLD2_REPORT;
	bb_store_be16(m + 6, 1);
	m[8] = 4; /* CHANGE_TO_EXCLUDE_MODE */
	memcpy(m + 12, a->solicited.b, 16);
	tx->l4_len = 28;
	/* While the address is tentative the source is the unspecified one (RFC 3590). */
	const bool local = bb_ip_is_link_local(&a->ip) && a->state == ADDR_VALID;
	const struct bb_ip *src = local ? &a->ip : &unspecified;
	fill_csum(tx, m, src, &routers);
	memcpy(net_tx_l4(tx), alert, sizeof(alert));
	tx->l4_len += sizeof(alert);
	ip_fill(net, tx, src, &routers, 0, 0, 1);
	send_multicast(net, tx, &routers);
}

/* Find a link-layer address option; false if the options are malformed. *ret stays NULL if there is none. */
static bool
find_option(const uint8_t *opt, uint32_t len, uint8_t type, const uint8_t **ret)
{
	while (len > 0) {
		if (len < 8 || opt[1] == 0 || opt[1] * 8u > len)
			return false;
		if (opt[0] == type && *ret == NULL)
			*ret = opt + 2;
		len -= opt[1] * 8u;
		opt += opt[1] * 8u;
	}
	return true;
}

static void
on_solicit(struct bb_net *net, const struct pkt *p, const struct bb_ip *target, const uint8_t *mac)
{
	struct addr *a = addr_find(net, target);
	const bool probe = bb_ip_is_zero(&p->key.remote);

	if (a == NULL || a->state == ADDR_CONFLICT) {
		CTR(net, DROP_ND);
		return;
	}
	if (a->state == ADDR_TENTATIVE) {
		/* Two stations probe for the same address: neither gets it (RFC 4862 5.4.3). */
		if (probe)
			addr_conflict(net, a);
		else
			CTR(net, DROP_ND);
		return;
	}
	CTR(net, ND_SOLICITS_IN);
	if (probe) {
		struct bb_net_tx *tx = build(
			net, NA, NA_OVERRIDE, target, OPT_TARGET_MAC, target, &all_nodes);
		if (tx != NULL)
			send_multicast(net, tx, &all_nodes);
		return;
	}
	if (mac != NULL) {
		struct neigh *n = neigh_get(net, &p->key.remote, target);
		if (n != NULL)
			neigh_learn(net, n, mac, false, true);
	}
	struct bb_net_tx *tx = build(
		net, NA, NA_SOLICITED | NA_OVERRIDE, target, OPT_TARGET_MAC, target, &p->key.remote);
	if (tx != NULL) {
		net_eth_fill(net, tx, mac != NULL ? mac : p->eth + 6, 0x86dd);
		net_tx_commit(net, tx);
	}
}

static void
on_advert(struct bb_net *net, const struct bb_ip *target, uint32_t flags, const uint8_t *mac)
{
	struct addr *own = addr_find(net, target);
	struct neigh *n;

	if (own != NULL) {
		addr_conflict(net, own);
		return;
	}
	n = neigh_find(net, target);
	if (n == NULL || (mac == NULL && n->state == NEIGH_INCOMPLETE)) {
		CTR(net, DROP_ND);
		return;
	}
	CTR(net, ND_ADVERTS_IN);
	neigh_learn(
		net, n, mac != NULL ? mac : n->mac, (flags & NA_SOLICITED) != 0, (flags & NA_OVERRIDE) != 0);
}

/* Called for types 135 and 136 with a good checksum. RFC 4861 7.1: what makes a message valid. */
void
nd_input(struct bb_net *net, const struct pkt *p)
{
	const uint8_t *m = p->l4;
	const uint8_t *mac = NULL;
	const bool ns = m[0] == NS;

	if (p->hop_limit != 255 || m[1] != 0 || p->l4_len < 24 ||
		!find_option(m + 24, p->l4_len - 24, ns ? OPT_SOURCE_MAC : OPT_TARGET_MAC, &mac) ||
		(mac != NULL && (mac[0] & 1) != 0)) {
		CTR(net, DROP_ND);
		return;
	}
	const struct bb_ip target = bb_ip_from6(m + 8);
	const bool unspec = bb_ip_is_zero(&p->key.remote);
	if (bb_ip_is_multicast(&target) ||
		(unspec && (!ns || mac != NULL || !bb_ip_is_multicast(&p->key.local)))) {
		CTR(net, DROP_ND);
		return;
	}
	if (ns)
		on_solicit(net, p, &target, mac);
	else
		on_advert(net, &target, bb_load_be32(m + 4), mac);
}
