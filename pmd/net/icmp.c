/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * icmp: echo replies and unreachables out, errors about our own segments in (RFC 792, RFC 4443). An error
 * counts only if the segment that it quotes is one that we have in flight (RFC 5927 4); TCP checks that.
 */
#include <string.h>

#include "net/priv.h"

#define RATE_PER_S 1000
#define RATE_BURST 100
#define QUOTE_MAX 64 /* of a packet that an error of ours is about: IPv6 and the ports, at least */

static bool
may_answer(struct bb_net *net)
{
	if (rate_pass(&net->icmp_rate, net->now_ns, RATE_PER_S, RATE_BURST))
		return true;
	CTR(net, DROP_ICMP_RATE);
	return false;
}

/* The same bytes back: the first eight in the header, the rest as payload in a block. */
static void
echo_reply(struct bb_net *net, const struct pkt *p, uint8_t type)
{
	if (p->l4_len > BLOCK_SIZE || p->l4_len > net->conf.mtu || bb_ip_is_multicast(&p->key.local)) {
		CTR(net, DROP_ICMP);
		return;
	}
	if (!may_answer(net))
		return;
	const uint32_t block = bb_net_pool_alloc(&net->blocks);
	if (block == BB_NET_POOL_NONE) {
		CTR(net, DROP_ICMP_RATE);
		return;
	}
	struct bb_net_tx *tx = net_tx_begin(net, p->is4);
	if (tx == NULL) {
		bb_net_pool_free(&net->blocks, block);
		CTR(net, DROP_ICMP_RATE);
		return;
	}
	CTR(net, ICMP_ECHO_IN);
	uint8_t *body = bb_net_pool_at(&net->blocks, block);
	uint8_t *m = net_tx_l4(tx);
	memcpy(m, p->l4, 8);
	m[0] = type;
	memset(m + 2, 0, 2);
	memcpy(body, p->l4 + 8, p->l4_len - 8);
	tx->l4_len = 8;
	if (p->l4_len > 8)
		net_tx_add(net, tx, body, p->l4_len - 8, NULL);
	uint64_t sum = bb_csum_partial(m, 8) + bb_csum_partial(body, p->l4_len - 8);
	if (!p->is4)
		sum += bb_csum_pseudo(&p->key.local, &p->key.remote, IPPROTO_ICMP6, p->l4_len);
	const uint16_t field = bb_csum_finish(sum);
	memcpy(m + 2, &field, 2);
	ip_send(net, tx, &p->key.local, &p->key.remote, p->is4 ? IPPROTO_ICMP4 : IPPROTO_ICMP6, 0, 64);
	net_tx_free_block_later(net, block);
}

/* What an error quotes: our own packet, so its source is us. Returns false if it is not TCP of ours. */
static bool
quoted4(const uint8_t *q, uint32_t len, struct bb_flow_key *key, uint32_t *seq)
{
	if (len < 28 || q[0] >> 4 != 4 || (q[0] & 0xf) < 5 || q[9] != IPPROTO_TCP_NR ||
		(bb_load_be16(q + 6) & 0x1fff) != 0)
		return false;
	const uint32_t hlen = (q[0] & 0xf) * 4u;
	if (len < hlen + 8)
		return false;
	key->local = bb_ip_from4(q + 12);
	key->remote = bb_ip_from4(q + 16);
	key->lport = bb_load_be16(q + hlen);
	key->rport = bb_load_be16(q + hlen + 2);
	*seq = bb_load_be32(q + hlen + 4);
	return true;
}

static bool
quoted6(const uint8_t *q, uint32_t len, struct bb_flow_key *key, uint32_t *seq)
{
	if (len < 48 || q[0] >> 4 != 6 || q[6] != IPPROTO_TCP_NR) /* we send no extension headers with TCP */
		return false;
	key->local = bb_ip_from6(q + 8);
	key->remote = bb_ip_from6(q + 24);
	key->lport = bb_load_be16(q + 40);
	key->rport = bb_load_be16(q + 42);
	*seq = bb_load_be32(q + 44);
	return true;
}

static void
error4(struct bb_net *net, const struct pkt *p)
{
	struct bb_flow_key key;
	uint32_t seq, mtu = 0;
	enum tcp_icmp kind = TCP_ICMP_SOFT;
	const uint8_t type = p->l4[0], code = p->l4[1];

	if (!quoted4(p->l4 + 8, p->l4_len - 8, &key, &seq)) {
		CTR(net, DROP_ICMP);
		return;
	}
	if (type == 3 && code == 4) {
		kind = TCP_ICMP_TOO_BIG;
		mtu = bb_load_be16(p->l4 + 6); /* 0 from routers older than RFC 1191 */
	} else if (type == 3 && (code == 2 || code == 3)) {
		kind = TCP_ICMP_HARD;
	}
	tcp_icmp_error(net, &key, seq, kind, mtu);
}

void
icmp4_input(struct bb_net *net, const struct pkt *p)
{
	if (p->l4_len < 8) {
		CTR(net, DROP_ICMP);
		return;
	}
	if (bb_csum_fold(bb_csum_partial(p->l4, p->l4_len)) != 0xffff) {
		CTR(net, DROP_ICMP_CSUM);
		return;
	}
	switch (p->l4[0]) {
	case 8:
		echo_reply(net, p, 0);
		break;
	case 3:	 /* unreachable */
	case 11: /* time exceeded */
	case 12: /* parameter problem */
		error4(net, p);
		break;
	default: /* source quench (RFC 6633), redirects, answers to what we never ask */
		CTR(net, DROP_ICMP);
		break;
	}
}

static void
error6(struct bb_net *net, const struct pkt *p)
{
	struct bb_flow_key key;
	uint32_t seq;
	const uint8_t type = p->l4[0], code = p->l4[1];

	if (!quoted6(p->l4 + 8, p->l4_len - 8, &key, &seq)) {
		CTR(net, DROP_ICMP);
		return;
	}
	if (type == 2)
		tcp_icmp_error(net, &key, seq, TCP_ICMP_TOO_BIG, bb_load_be32(p->l4 + 4));
	else
		tcp_icmp_error(net, &key, seq, type == 1 && code == 4 ? TCP_ICMP_HARD : TCP_ICMP_SOFT, 0);
}

void
icmp6_input(struct bb_net *net, const struct pkt *p)
{
	if (p->l4_len < 8) {
		CTR(net, DROP_ICMP);
		return;
	}
	const uint64_t sum = bb_csum_pseudo(&p->key.remote, &p->key.local, IPPROTO_ICMP6, p->l4_len);
	if (bb_csum_fold(sum + bb_csum_partial(p->l4, p->l4_len)) != 0xffff) {
		CTR(net, DROP_ICMP_CSUM);
		return;
	}
	switch (p->l4[0]) {
	case 135:
	case 136:
		nd_input(net, p);
		break;
	case 128:
		/* Neighbour discovery alone may come from where no answer can go to. */
		if (bb_ip_is_zero(&p->key.remote) || addr_find(net, &p->key.remote) != NULL ||
			!bb_net_addr_usable(net, &p->key.local)) {
			CTR(net, DROP_ICMP);
			break;
		}
		echo_reply(net, p, 129);
		break;
	case 1: /* unreachable */
	case 2: /* packet too big */
	case 3: /* time exceeded */
	case 4: /* parameter problem */
		error6(net, p);
		break;
	default:
		CTR(net, DROP_ICMP);
		break;
	}
}

void
icmp_unreachable(struct bb_net *net, const struct pkt *p, bool port)
{
	/* RFC 1122 3.2.2, RFC 4443 2.4 (e): never about multicast; p is addressed to us alone otherwise. */
	if (bb_ip_is_multicast(&p->key.local) || bb_ip_is_zero(&p->key.remote) || !may_answer(net))
		return;
	struct bb_net_tx *tx = net_tx_begin(net, p->is4);
	if (tx == NULL)
		return;
	const uint32_t quoted = (uint32_t)(p->l4 - p->l3) + p->l4_len;
	const uint32_t quote = quoted < QUOTE_MAX ? quoted : QUOTE_MAX;
	uint8_t *m = net_tx_l4(tx);
	memset(m, 0, 8);
	if (p->is4) {
		m[0] = 3;
		m[1] = port ? 3 : 2;
	} else if (port) {
		m[0] = 1;
		m[1] = 4;
	} else {
		m[0] = 4; /* parameter problem: unrecognized next header */
		m[1] = 1;
		bb_store_be32(m + 4, p->l4 == p->l3 + 40 ? 6 : (uint32_t)(p->l4 - p->l3));
	}
	memcpy(m + 8, p->l3, quote);
	tx->l4_len = (uint8_t)(8 + quote);
	uint64_t sum = bb_csum_partial(m, tx->l4_len);
	if (!p->is4)
		sum += bb_csum_pseudo(&p->key.local, &p->key.remote, IPPROTO_ICMP6, tx->l4_len);
	const uint16_t field = bb_csum_finish(sum);
	memcpy(m + 2, &field, 2);
	CTR(net, ICMP_ERR_OUT);
	ip_send(net, tx, &p->key.local, &p->key.remote, p->is4 ? IPPROTO_ICMP4 : IPPROTO_ICMP6, 0, 64);
}
