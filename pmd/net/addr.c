/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * addr: our own addresses. With `dad` each is probed for three times, a second apart, before use (RFC 5227
 * 2.1, RFC 4862 5.4), then announced twice; without, it is used and announced at once. Who else
 * uses it makes us fall silent for that address until restart.
 */
#include <string.h>

#include "net/priv.h"

#define PROBES 3
#define ANNOUNCES 2
#define PROBE_GAP_NS BB_SEC
#define ANNOUNCE_GAP_NS (2 * BB_SEC)

static void
add(struct bb_net *net, const struct bb_ip *ip, uint8_t prefix)
{
	struct addr *a = &net->addrs[net->addr_count++];

	a->ip = *ip;
	a->prefix = prefix;
	a->state = net->conf.dad ? ADDR_TENTATIVE : ADDR_VALID;
	a->due_ns = net->now_ns;
	if (!bb_ip_is4(ip)) {
		a->solicited = (struct bb_ip){ .b = { 0xff, 2, [11] = 1, [12] = 0xff } };
		memcpy(a->solicited.b + 13, ip->b + 13, 3);
	}
}

int
addr_init(struct bb_net *net)
{
	bool any6 = false, local6 = false;

	for (uint32_t i = 0; i < net->conf.addr_count; i++) {
		add(net, &net->conf.addrs[i].ip, net->conf.addrs[i].prefix);
		any6 |= !bb_ip_is4(&net->conf.addrs[i].ip);
		local6 |= bb_ip_is_link_local(&net->conf.addrs[i].ip);
	}
	if (any6 && !local6) {
		/* Each IPv6 interface has one (RFC 4291 2.8); from the MAC as in RFC 4862 5.3. */
		const uint8_t *mac = net->conf.mac;
		const struct bb_ip ll = {
			.b = { 0xfe, 0x80, [8] = mac[0] ^ 2, [9] = mac[1], [10] = mac[2], [11] = 0xff,
				[12] = 0xfe, [13] = mac[3], [14] = mac[4], [15] = mac[5] }
		};
		add(net, &ll, 64);
	}
	net->addr_due_ns = net->now_ns;
	return 0;
}

static void
claim(struct bb_net *net, struct addr *a, bool announce)
{
	if (bb_ip_is4(&a->ip)) {
		arp_claim(net, a, announce);
		return;
	}
	if (a->sent == 0)
		nd_join(net, a);
	nd_claim(net, a, announce);
}

static void
step(struct bb_net *net, struct addr *a)
{
	if (a->state == ADDR_TENTATIVE && a->sent == PROBES) {
		a->state = ADDR_VALID;
		a->sent = 0;
	}
	const bool announce = a->state == ADDR_VALID;
	claim(net, a, announce);
	a->sent++;
	a->due_ns = net->now_ns + (announce ? ANNOUNCE_GAP_NS : PROBE_GAP_NS);
	if (announce && a->sent == ANNOUNCES)
		a->due_ns = BB_NEVER;
}

void
addr_poll(struct bb_net *net)
{
	net->addr_due_ns = BB_NEVER;
	for (uint32_t i = 0; i < net->addr_count; i++) {
		struct addr *a = &net->addrs[i];
		if (a->due_ns <= net->now_ns)
			step(net, a);
		net->addr_due_ns = bb_min_u64(net->addr_due_ns, a->due_ns);
	}
}

void
addr_conflict(struct bb_net *net, struct addr *a)
{
	CTR(net, DAD_CONFLICTS);
	if (a->state == ADDR_VALID && bb_ip_is4(&a->ip)) {
		/* RFC 5227 2.4 (b): defend once; connections are worth more than giving in. */
		if (rate_pass(&net->icmp_rate, net->now_ns, 100, 20))
			arp_claim(net, a, true);
		return;
	}
	if (a->state == ADDR_TENTATIVE) {
		a->state = ADDR_CONFLICT;
		a->due_ns = BB_NEVER;
	}
}
