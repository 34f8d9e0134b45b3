/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_txq: what the application pushed and the peer has not acknowledged, by reference. A queue of chunks of
 * ten pieces; the front is snd_una, the cursor the first byte never sent. Retransmissions are built from it
 * again.
 */
#include "net/tcp_priv.h"

static struct tx_chunk *
chunk_at(const struct bb_net *net, uint32_t idx)
{
	return bb_net_pool_at(&net->tcp->chunks, idx);
}

bool
txq_push(struct bb_net *net, struct bb_tcp *c, const struct bb_tcp_span *span)
{
	struct tx_chunk *k = c->txq_tail != BB_NET_POOL_NONE ? chunk_at(net, c->txq_tail) : NULL;

	if (k == NULL || k->end == CHUNK_PIECES) {
		const uint32_t idx = bb_net_pool_alloc(&net->tcp->chunks);
		if (idx == BB_NET_POOL_NONE)
			return false;
		struct tx_chunk *fresh = chunk_at(net, idx);
		fresh->next = BB_NET_POOL_NONE;
		fresh->first = fresh->end = 0;
		if (k != NULL)
			k->next = idx;
		else
			c->txq_head = idx;
		c->txq_tail = idx;
		k = fresh;
	}
	k->pieces[k->end] = (struct tx_piece){ .data = span->data, .owner = span->owner, .len = span->len };
	if (c->unsent == 0) {
		c->cur_chunk = c->txq_tail;
		c->cur_piece = k->end;
		c->cur_off = 0;
	}
	k->end++;
	c->tx_bytes += span->len;
	c->unsent += span->len;
	return true;
}

void
txq_release(struct bb_net *net, struct bb_tcp *c, uint32_t n)
{
	BB_ASSERT(n <= c->tx_bytes - c->unsent);
	c->tx_bytes -= n;
	c->released += n;
	while (n > 0) {
		struct tx_chunk *k = chunk_at(net, c->txq_head);
		const uint32_t left = k->pieces[k->first].len - c->txq_head_off;
		if (n < left) {
			c->txq_head_off += n;
			break;
		}
		n -= left;
		c->txq_head_off = 0;
		k->first++;
		if (k->first < k->end)
			continue;
		const uint32_t next = k->next;
		bb_net_pool_free(&net->tcp->chunks, c->txq_head);
		c->txq_head = next;
		if (next == BB_NET_POOL_NONE)
			c->txq_tail = BB_NET_POOL_NONE;
	}
	conn_event(net, c, EV_RELEASED);
}

uint32_t
txq_gather(struct bb_net *net, const struct bb_tcp *c, uint32_t off, uint32_t len, bool fresh,
	struct bb_net_tx *tx)
{
	uint32_t chunk, piece, skip, got = 0;

	if (fresh) {
		chunk = c->cur_chunk;
		piece = c->cur_piece;
		skip = c->cur_off;
	} else {
		chunk = c->txq_head;
		piece = chunk_at(net, chunk)->first;
		skip = off + c->txq_head_off;
	}
	while (got < len) {
		const struct tx_chunk *k = chunk_at(net, chunk);
		if (piece == k->end) {
			chunk = k->next;
			piece = chunk_at(net, chunk)->first;
			continue;
		}
		const struct tx_piece *e = &k->pieces[piece];
		if (skip >= e->len) {
			skip -= e->len;
			piece++;
			continue;
		}
		const uint32_t take = (uint32_t)bb_min_u64(e->len - skip, len - got);
		if (!net_tx_add(net, tx, e->data + skip, take, e->owner))
			break;
		got += take;
		skip = 0;
		piece++;
	}
	return got;
}

void
txq_advance(struct bb_net *net, struct bb_tcp *c, uint32_t n)
{
	BB_ASSERT(n <= c->unsent);
	c->unsent -= n;
	while (n > 0) {
		const struct tx_chunk *k = chunk_at(net, c->cur_chunk);
		if (c->cur_piece == k->end) {
			c->cur_chunk = k->next;
			c->cur_piece = chunk_at(net, c->cur_chunk)->first;
			continue;
		}
		const uint32_t left = k->pieces[c->cur_piece].len - c->cur_off;
		if (n < left) {
			c->cur_off += n;
			return;
		}
		n -= left;
		c->cur_off = 0;
		c->cur_piece++;
	}
	if (c->unsent == 0)
		return; /* the next push sets the cursor */
	const struct tx_chunk *k = chunk_at(net, c->cur_chunk);
	if (c->cur_piece == k->end) {
		c->cur_chunk = k->next;
		c->cur_piece = 0;
	}
}

void
txq_free(struct bb_net *net, struct bb_tcp *c)
{
	while (c->txq_head != BB_NET_POOL_NONE) {
		const uint32_t next = chunk_at(net, c->txq_head)->next;
		bb_net_pool_free(&net->tcp->chunks, c->txq_head);
		c->txq_head = next;
	}
	c->txq_tail = BB_NET_POOL_NONE;
	c->tx_bytes = c->unsent = 0;
}
