/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * neigh: which station a next hop is, for both families, with the states of RFC 4861 7.3.
 *
 *            packet out                answer                30 s without proof
 *   FREE ---------------> INCOMPLETE ---------> REACHABLE <----------------+
 *    ^    three questions  |    ^ another's news     |                     | answer, or TCP
 *    +---- unanswered -----+    +----> STALE <-------+                     | moves forward
 *                                        |   ^ three questions unanswered    |
 *                             packet out |   |                               |
 *                                        v   |        5 s                    |
 *                                       DELAY ------> PROBE -----------------+
 *
 * Unlike RFC 4861 an entry whose questions stay unanswered keeps its address: there is no other way to the
 * peer, and where questions get lost, segments may still get through; so an outage longer than the
 * questions does not cost established connections a resolution on top. The third question goes to all.
 *
 * Up to three packets wait for an answer. The table is bounded: a full one gives up its longest idle entry.
 */
#include <errno.h>
#include <string.h>

#include "net/priv.h"

#define REACHABLE_NS (30 * BB_SEC)
#define DELAY_NS (5 * BB_SEC)
#define RETRANS_NS BB_SEC
#define TRIES_MAX 3
#define EVICT_SCAN 16

int
neigh_init(struct bb_net *net)
{
	struct neigh_table *t = &net->neighs;
	uint32_t heads = 1;

	while (heads < net->conf.neigh_max)
		heads *= 2;
	t->count = net->conf.neigh_max;
	t->head_mask = heads - 1;
	t->due_ns = BB_NEVER;
	t->entries = bb_mem_zalloc(net->mem, t->count * sizeof(*t->entries));
	t->heads = bb_mem_alloc(net->mem, (heads + 1) * sizeof(*t->heads));
	if (t->entries == NULL || t->heads == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i <= heads; i++)
		t->heads[i] = BB_NET_POOL_NONE;
	/* The last head is that of the free list. */
	for (uint32_t i = t->count; i-- > 0;) {
		t->entries[i].next = t->heads[heads];
		t->heads[heads] = i;
	}
	return 0;
}

void
neigh_fini(struct bb_net *net)
{
	struct neigh_table *t = &net->neighs;

	bb_mem_free(net->mem, t->entries, t->count * sizeof(*t->entries));
	if (t->heads != NULL)
		bb_mem_free(net->mem, t->heads, (t->head_mask + 2) * sizeof(*t->heads));
	*t = (struct neigh_table){ 0 };
}

static uint32_t *
head_of(struct bb_net *net, const struct bb_ip *ip)
{
	return &net->neighs.heads[bb_hash(&net->flow.key, ip, sizeof(*ip)) & net->neighs.head_mask];
}

struct neigh *
neigh_find(struct bb_net *net, const struct bb_ip *ip)
{
	for (uint32_t i = *head_of(net, ip); i != BB_NET_POOL_NONE; i = net->neighs.entries[i].next)
		if (bb_ip_eq(&net->neighs.entries[i].ip, ip))
			return &net->neighs.entries[i];
	return NULL;
}

static void
pending_drop(struct bb_net *net, struct neigh *n)
{
	for (uint8_t i = 0; i < n->pending_count; i++) {
		CTR(net, NEIGH_PENDING_DROP);
		bb_net_pool_free(&net->blocks, n->pending[i]);
	}
	n->pending_count = 0;
}

static void
entry_free(struct bb_net *net, struct neigh *n)
{
	struct neigh_table *t = &net->neighs;
	uint32_t *link = head_of(net, &n->ip);
	const uint32_t idx = neigh_index(net, n);

	pending_drop(net, n);
	while (*link != idx)
		link = &t->entries[*link].next;
	*link = n->next;
	n->state = NEIGH_FREE;
	n->gen++;
	n->next = t->heads[t->head_mask + 1];
	t->heads[t->head_mask + 1] = idx;
}

/* Make room: of the next few entries the longest idle one, first of all those that nobody waits for. */
static void
evict(struct bb_net *net)
{
	struct neigh_table *t = &net->neighs;
	struct neigh *victim = NULL;

	for (uint32_t i = 0; i < EVICT_SCAN && i < t->count; i++) {
		struct neigh *n = &t->entries[t->cursor];
		t->cursor = (t->cursor + 1) % t->count;
		if (n->state == NEIGH_FREE)
			continue;
		if (victim == NULL || n->used_ns < victim->used_ns)
			victim = n;
	}
	if (victim != NULL)
		entry_free(net, victim);
}

static void
due_at(struct bb_net *net, struct neigh *n, uint64_t delay_ns)
{
	n->due_ns = net->now_ns + delay_ns;
	if (n->due_ns < net->neighs.due_ns)
		net->neighs.due_ns = n->due_ns;
}

static void
solicit(struct bb_net *net, struct neigh *n)
{
	n->tries++;
	due_at(net, n, RETRANS_NS);
	CTR(net, NEIGH_SOLICITS_OUT);
	if (bb_ip_is4(&n->ip))
		arp_solicit(net, n);
	else
		nd_solicit(net, n);
}

struct neigh *
neigh_get(struct bb_net *net, const struct bb_ip *ip, const struct bb_ip *src)
{
	struct neigh_table *t = &net->neighs;
	struct neigh *n = net->last_neigh;

	if (n == NULL || n->gen != net->last_neigh_gen || n->state == NEIGH_FREE || !bb_ip_eq(&n->ip, ip))
		n = neigh_find(net, ip);

	if (n == NULL) {
		uint32_t *free_head = &t->heads[t->head_mask + 1];
		if (*free_head == BB_NET_POOL_NONE)
			evict(net);
		if (*free_head == BB_NET_POOL_NONE)
			return NULL;
		const uint32_t idx = *free_head;
		n = &t->entries[idx];
		*free_head = n->next;
		uint32_t *head = head_of(net, ip);
		*n = (struct neigh){ .ip = *ip, .gen = n->gen + 1, .next = *head, .state = NEIGH_INCOMPLETE };
		n->src = *src;
		*head = idx;
	}
	n->used_ns = net->now_ns;
	net->last_neigh = n;
	net->last_neigh_gen = n->gen;
	return n;
}

/* Keep a copy until the answer comes. */
static void
pending_add(struct bb_net *net, struct neigh *n, const struct bb_net_tx *tx)
{
	const uint32_t len = tx->l2_len + tx->l3_len + tx->l4_len + tx->payload_len;
	uint32_t block = BB_NET_POOL_NONE;

	if (n->pending_count < NEIGH_PENDING_MAX && len <= BLOCK_SIZE)
		block = bb_net_pool_alloc(&net->blocks);
	if (block == BB_NET_POOL_NONE) {
		CTR(net, NEIGH_PENDING_DROP);
		return;
	}
	uint8_t *at = bb_net_pool_at(&net->blocks, block);
	memcpy(at, tx->hdr, len - tx->payload_len);
	at += len - tx->payload_len;
	for (uint32_t i = 0; i < tx->seg_count; i++) {
		memcpy(at, tx->segs[i].data, tx->segs[i].len);
		at += tx->segs[i].len;
	}
	n->pending[n->pending_count] = block;
	n->pending_len[n->pending_count++] = (uint16_t)len;
}

/* Whole packets go out as payload behind an empty header; offloads were not used for them. */
static void
pending_send(struct bb_net *net, struct neigh *n)
{
	for (uint8_t i = 0; i < n->pending_count; i++) {
		const uint8_t *pkt = bb_net_pool_at(&net->blocks, n->pending[i]);
		struct bb_net_tx *tx = net_tx_begin(net, bb_ip_is4(&n->ip));
		if (tx == NULL) {
			CTR(net, NEIGH_PENDING_DROP);
			bb_net_pool_free(&net->blocks, n->pending[i]);
			continue;
		}
		const uint32_t hdr = (uint32_t)tx->l2_len + tx->l3_len;
		memcpy(tx->hdr, pkt, hdr);
		net_eth_fill(net, tx, n->mac, tx->is4 ? 0x0800 : 0x86dd);
		net_tx_add(net, tx, pkt + hdr, n->pending_len[i] - hdr, NULL);
		net_tx_commit(net, tx);
		net_tx_free_block_later(net, n->pending[i]);
	}
	n->pending_count = 0;
}

/* Checksums that the NIC was to fill in: a kept packet loses that request, so they are computed now. */
static void
undo_offloads(struct bb_net_tx *tx)
{
	uint8_t *ip = tx->hdr + tx->l2_len;

	if (tx->flags & BB_NET_TX_IP4_CSUM) {
		const uint16_t sum = bb_csum_finish(bb_csum_partial(ip, 20));
		memcpy(ip + 10, &sum, 2);
	}
	if (tx->flags & BB_NET_TX_TCP_CSUM) {
		uint8_t *l4 = ip + tx->l3_len;
		uint64_t sum = bb_csum_partial(l4, tx->l4_len);
		size_t at = 0;
		for (uint32_t i = 0; i < tx->seg_count; i++) {
			sum = bb_csum_add_at(sum, bb_csum_partial(tx->segs[i].data, tx->segs[i].len), at);
			at += tx->segs[i].len;
		}
		const uint16_t field = bb_csum_finish(sum);
		memcpy(l4 + 16, &field, 2);
	}
	tx->flags = 0;
}

void
neigh_send(struct bb_net *net, struct neigh *n, struct bb_net_tx *tx)
{
	if (n->state == NEIGH_INCOMPLETE) {
		undo_offloads(tx);
		pending_add(net, n, tx);
		if (n->tries == 0)
			solicit(net, n);
		return;
	}
	if (n->state == NEIGH_REACHABLE && net->now_ns - n->confirmed_ns > REACHABLE_NS)
		n->state = NEIGH_STALE;
	if (n->state == NEIGH_STALE) {
		n->state = NEIGH_DELAY;
		due_at(net, n, DELAY_NS);
	}
	n->used_ns = net->now_ns;
	net_eth_fill(net, tx, n->mac, tx->is4 ? 0x0800 : 0x86dd);
	net_tx_commit(net, tx);
}

static void
reachable(struct bb_net *net, struct neigh *n)
{
	n->state = NEIGH_REACHABLE;
	n->confirmed_ns = net->now_ns;
	n->tries = 0;
}

void
neigh_confirm(struct bb_net *net, uint32_t idx, uint32_t gen)
{
	struct neigh *n = &net->neighs.entries[idx];

	if (n->gen == gen && n->state > NEIGH_INCOMPLETE)
		reachable(net, n);
}

void
neigh_learn(struct bb_net *net, struct neigh *n, const uint8_t *mac, bool solicited, bool override)
{
	const bool same = n->state != NEIGH_INCOMPLETE && memcmp(n->mac, mac, 6) == 0;

	if (n->state == NEIGH_INCOMPLETE) {
		memcpy(n->mac, mac, 6);
		n->state = NEIGH_STALE;
		n->tries = 0;
		if (solicited)
			reachable(net, n);
		pending_send(net, n);
		return;
	}
	if (!same && !override) {
		/* RFC 4861 7.2.5: keep the address that worked, but doubt it. */
		if (n->state == NEIGH_REACHABLE)
			n->state = NEIGH_STALE;
		return;
	}
	if (!same) {
		memcpy(n->mac, mac, 6);
		n->state = NEIGH_STALE;
		n->tries = 0;
	}
	if (solicited)
		reachable(net, n);
}

static void
step(struct bb_net *net, struct neigh *n)
{
	if (n->state == NEIGH_DELAY) {
		n->state = NEIGH_PROBE;
		n->tries = 0;
	}
	if (n->tries < TRIES_MAX) {
		solicit(net, n);
		return;
	}
	CTR(net, NEIGH_FAILED);
	if (n->state == NEIGH_INCOMPLETE)
		entry_free(net, n);
	else
		n->state = NEIGH_STALE;
}

void
neigh_poll(struct bb_net *net)
{
	struct neigh_table *t = &net->neighs;

	t->due_ns = BB_NEVER;
	for (uint32_t i = 0; i < t->count; i++) {
		struct neigh *n = &t->entries[i];
		if (n->state != NEIGH_INCOMPLETE && n->state != NEIGH_DELAY && n->state != NEIGH_PROBE)
			continue;
		if (n->due_ns <= net->now_ns)
			step(net, n);
		else if (n->due_ns < t->due_ns)
			t->due_ns = n->due_ns;
	}
}
