/* SPDX-License-Identifier: BSD-3-Clause */
/* arp: RFC 826, and RFC 5227 for probes, announcements and conflicts. */
#include <string.h>

#include "net/priv.h"

#define OP_REQUEST 1
#define OP_REPLY 2

static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

static void
send(struct bb_net *net, const uint8_t *dst_mac, uint16_t op, const uint8_t *sender_ip,
	const uint8_t *target_mac, const uint8_t *target_ip)
{
	struct bb_net_tx *tx = net_tx_begin(net, true);

	if (tx == NULL)
		return;
	tx->l3_len = 28;
	uint8_t *a = tx->hdr + tx->l2_len;
	bb_store_be16(a, 1);
	bb_store_be16(a + 2, 0x0800);
	a[4] = 6;
	a[5] = 4;
	bb_store_be16(a + 6, op);
	memcpy(a + 8, net->conf.mac, 6);
	memcpy(a + 14, sender_ip, 4);
	memcpy(a + 18, target_mac, 6);
	memcpy(a + 24, target_ip, 4);
	net_eth_fill(net, tx, dst_mac, 0x0806);
	net_tx_commit(net, tx);
}

void
arp_solicit(struct bb_net *net, const struct neigh *n)
{
	static const uint8_t unknown[6];

	send(net, neigh_ask_directly(n) ? n->mac : broadcast, OP_REQUEST, n->src.b + 12, unknown,
		n->ip.b + 12);
}

void
arp_claim(struct bb_net *net, const struct addr *a, bool announce)
{
	static const uint8_t zero[6];

	send(net, broadcast, OP_REQUEST, announce ? a->ip.b + 12 : zero, zero, a->ip.b + 12);
}

void
arp_input(struct bb_net *net, const struct pkt *p)
{
	const uint8_t *a = p->l3;

	if (p->rx->len - (uint32_t)(a - p->eth) < 28 || bb_load_be16(a) != 1 ||
		bb_load_be16(a + 2) != 0x0800 || a[4] != 6 || a[5] != 4 || (a[8] & 1) != 0 ||
		memcmp(a + 8, net->conf.mac, 6) == 0) {
		CTR(net, DROP_ARP);
		return;
	}
	const uint16_t op = bb_load_be16(a + 6);
	const struct bb_ip sender = bb_ip_from4(a + 14), target = bb_ip_from4(a + 24);
	struct addr *own = addr_find(net, &sender);
	struct addr *asked = addr_find(net, &target);

	/* RFC 5227 2.1.1 and 2.4: our address from, or while we probe also probed by, another station. */
	if (own != NULL || (asked != NULL && asked->state == ADDR_TENTATIVE && bb_ip_is_zero(&sender))) {
		addr_conflict(net, own != NULL ? own : asked);
		return;
	}
	const bool for_us = asked != NULL && asked->state == ADDR_VALID;
	const bool reply = op == OP_REPLY && for_us;
	if (!bb_ip_is_zero(&sender) && !bb_ip_is_multicast(&sender)) {
		struct neigh *n = neigh_find(net, &sender);
		struct bb_ip hop;
		/* Only who talks to us gets a new entry; others just correct what is known. */
		if (n == NULL && for_us && op == OP_REQUEST && route_next_hop(net, &sender, &hop) &&
			bb_ip_eq(&hop, &sender))
			n = neigh_get(net, &sender, &target);
		if (n != NULL)
			neigh_learn(net, n, a + 8, reply, true);
	}
	if (reply) {
		CTR(net, ARP_REPLIES_IN);
	} else if (op == OP_REQUEST && for_us) {
		CTR(net, ARP_REQUESTS_IN);
		send(net, a + 8, OP_REPLY, target.b + 12, a + 8, a + 14);
	} else {
		CTR(net, DROP_ARP);
	}
}
