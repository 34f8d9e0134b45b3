/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp_rcv: received payload. In order: a list of nodes; large pieces stay in the buffer that the NIC wrote,
 * small ones are copied together into blocks, so that tiny segments cannot pin buffers. Out of order: at most
 * 64 disjoint ranges, each a list of nodes; what would need a 65th is dropped (the peer sends it again).
 */
#include <string.h>

#include "net/tcp_priv.h"

#define COPYBREAK 512

static struct rx_node *
node_at(const struct bb_net *net, uint32_t idx)
{
	return bb_net_pool_at(&net->tcp->nodes, idx);
}

static void
node_free(struct bb_net *net, uint32_t idx)
{
	struct rx_node *n = node_at(net, idx);

	if (n->block != BB_NET_POOL_NONE)
		bb_net_pool_free(&net->blocks, n->block);
	else
		net->conf.edge->rx_put(net->conf.edge_ctx, n->buf);
	bb_net_pool_free(&net->tcp->nodes, idx);
}

/* New data is dropped while less than this is free: in-order data and other connections have to go on. */
static bool
pool_short(const struct bb_net_pool *p, uint32_t percent)
{
	return p->used >= (uint64_t)p->count * percent / 100;
}

/*
 * A node of [data, data + len) at seq. whole: the piece is all that is kept of the packet, so its buffer may
 * be taken over; otherwise, or if it is small, it is copied. len is at most BLOCK_SIZE then.
 */
static uint32_t
node_create(struct bb_net *net, struct pkt *p, const uint8_t *data, uint32_t len, uint32_t seq, bool whole)
{
	const uint32_t idx = bb_net_pool_alloc(&net->tcp->nodes);

	if (idx == BB_NET_POOL_NONE)
		return BB_NET_POOL_NONE;
	struct rx_node *n = node_at(net, idx);
	*n = (struct rx_node){ .next = BB_NET_POOL_NONE, .seq = seq, .len = len, .block = BB_NET_POOL_NONE };
	if (whole && len >= COPYBREAK && !p->held) {
		n->data = data;
		n->buf = p->rx->buf;
		n->truesize = p->rx->truesize + (uint32_t)sizeof(*n);
		p->held = true;
		return idx;
	}
	n->block = len <= BLOCK_SIZE ? bb_net_pool_alloc(&net->blocks) : BB_NET_POOL_NONE;
	if (n->block == BB_NET_POOL_NONE) {
		bb_net_pool_free(&net->tcp->nodes, idx);
		return BB_NET_POOL_NONE;
	}
	uint8_t *at = bb_net_pool_at(&net->blocks, n->block);
	memcpy(at, data, len);
	n->data = at;
	n->block_used = len;
	n->truesize = BLOCK_SIZE + (uint32_t)sizeof(*n);
	return idx;
}

/* Copy behind what a node already holds; returns how much fitted. */
static uint32_t
node_extend(struct bb_net *net, struct rx_node *n, const uint8_t *data, uint32_t len)
{
	if (n->block == BB_NET_POOL_NONE)
		return 0;
	uint8_t *block = bb_net_pool_at(&net->blocks, n->block);
	if (n->data + n->len != block + n->block_used)
		return 0; /* its end was cut off */
	const uint32_t take = (uint32_t)bb_min_u64(len, BLOCK_SIZE - n->block_used);
	memcpy(block + n->block_used, data, take);
	n->block_used += take;
	n->len += take;
	return take;
}

static void
queue_append(struct bb_net *net, struct bb_tcp *c, uint32_t idx)
{
	if (c->rcv_tail != BB_NET_POOL_NONE)
		node_at(net, c->rcv_tail)->next = idx;
	else
		c->rcv_head = idx;
	c->rcv_tail = idx;
	node_at(net, idx)->next = BB_NET_POOL_NONE;
	c->rcv_truesize += node_at(net, idx)->truesize;
}

/* Payload at rcv_nxt. Returns how much was taken; less than all only for want of memory. */
static uint32_t
append(struct bb_net *net, struct bb_tcp *c, struct pkt *p, const uint8_t *data, uint32_t len)
{
	uint32_t done = 0;
	/* Buffers that hold little payload may not pin more than twice the receive buffer. */
	const bool may_hold = c->rcv_truesize < 2 * c->rcvbuf;

	if (len < COPYBREAK && c->rcv_tail != BB_NET_POOL_NONE)
		done = node_extend(net, node_at(net, c->rcv_tail), data, len);
	while (done < len) {
		uint32_t take = len - done;
		const bool whole = may_hold && done == 0;
		if ((!whole || take < COPYBREAK || p->held) && take > BLOCK_SIZE)
			take = BLOCK_SIZE;
		const uint32_t idx = node_create(net, p, data + done, take, c->rcv_nxt + done, whole);
		if (idx == BB_NET_POOL_NONE)
			break;
		queue_append(net, c, idx);
		done += take;
	}
	c->rcv_nxt += done;
	c->rcv_bytes += done;
	return done;
}

static struct ooo *
ooo_at(const struct bb_net *net, const struct bb_tcp *c)
{
	return c->ooo != BB_NET_POOL_NONE ? bb_net_pool_at(&net->tcp->ooos, c->ooo) : NULL;
}

static void
range_free(struct bb_net *net, struct ooo_range *r)
{
	for (uint32_t i = r->head; i != BB_NET_POOL_NONE;) {
		const uint32_t next = node_at(net, i)->next;
		node_free(net, i);
		i = next;
	}
}

static void
range_remove(struct ooo *o, uint32_t i)
{
	memmove(&o->r[i], &o->r[i + 1], (o->count - i - 1) * sizeof(o->r[0]));
	o->count--;
}

void
rcv_free_ooo(struct bb_net *net, struct bb_tcp *c)
{
	struct ooo *o = ooo_at(net, c);

	if (o == NULL)
		return;
	for (uint32_t i = 0; i < o->count; i++)
		range_free(net, &o->r[i]);
	bb_net_pool_free(&net->tcp->ooos, c->ooo);
	c->ooo = BB_NET_POOL_NONE;
}

/* Piece [start, end) fills (part of) the gap before range i. False: no memory, or one range too many. */
static bool
insert_piece(struct bb_net *net, struct ooo *o, uint32_t i, struct pkt *p, const uint8_t *data,
	uint32_t start, uint32_t end, bool whole)
{
	const uint32_t len = end - start;
	struct ooo_range *left = i > 0 && o->r[i - 1].end == start ? &o->r[i - 1] : NULL;
	uint32_t done = 0;

	if (left != NULL && len < COPYBREAK)
		done = node_extend(net, node_at(net, left->tail), data, len);
	if (done < len) {
		if (left == NULL && o->count == OOO_RANGES_MAX)
			return false;
		const uint32_t idx = node_create(
			net, p, data + done, len - done, start + done, whole && done == 0);
		if (idx == BB_NET_POOL_NONE) {
			if (left != NULL)
				left->end += done;
			return false;
		}
		if (left != NULL) {
			node_at(net, left->tail)->next = idx;
			left->tail = idx;
		} else {
			memmove(&o->r[i + 1], &o->r[i], (o->count - i) * sizeof(o->r[0]));
			o->count++;
			left = &o->r[i];
			*left = (struct ooo_range){ .start = start, .head = idx, .tail = idx };
		}
	}
	left->end = end;
	left->serial = ++o->serial;
	return true;
}

/* Join neighbours that have come to touch. */
static void
join_ranges(struct bb_net *net, struct ooo *o)
{
	for (uint32_t i = 0; i + 1 < o->count;) {
		struct ooo_range *a = &o->r[i], *b = &o->r[i + 1];
		if (a->end != b->start) {
			i++;
			continue;
		}
		node_at(net, a->tail)->next = b->head;
		a->tail = b->tail;
		a->end = b->end;
		a->serial = a->serial > b->serial ? a->serial : b->serial;
		range_remove(o, i + 1);
	}
}

/* Room for one more range: give up the one furthest right, if it lies right of what comes now. */
static void
make_room(struct bb_net *net, struct ooo *o, uint32_t start)
{
	if (o->count < OOO_RANGES_MAX || seq_leq(o->r[o->count - 1].start, start))
		return;
	range_free(net, &o->r[--o->count]);
	CTR(net, DROP_TCP_OOO);
}

/* How many gaps of the ranges does [start, end) fall into? */
static uint32_t
gap_count(const struct ooo *o, uint32_t start, uint32_t end)
{
	uint32_t gaps = 0, cur = start;

	for (uint32_t i = 0; i < o->count && seq_lt(cur, end); i++) {
		if (seq_leq(o->r[i].end, cur))
			continue;
		if (seq_gt(o->r[i].start, cur))
			gaps++;
		cur = seq_max(cur, o->r[i].end);
	}
	return gaps + seq_lt(cur, end);
}

static void
ooo_insert(struct bb_net *net, struct bb_tcp *c, struct seg *s)
{
	const uint32_t end = s->seq + s->len;
	struct ooo *o;

	CTR(net, OOO_IN);
	if (c->ooo == BB_NET_POOL_NONE && !pool_short(&net->tcp->nodes, 85) &&
		!pool_short(&net->blocks, 85)) {
		c->ooo = bb_net_pool_alloc(&net->tcp->ooos);
		if (c->ooo != BB_NET_POOL_NONE) {
			o = ooo_at(net, c);
			o->count = o->serial = o->bytes = 0;
		}
	}
	o = ooo_at(net, c);
	if (o == NULL || pool_short(&net->tcp->nodes, 95) || pool_short(&net->blocks, 95)) {
		CTR(net, DROP_TCP_OOO);
		return;
	}
	const uint32_t gaps = gap_count(o, s->seq, end);
	uint32_t cur = s->seq;

	if (gaps == 0) {
		rcv_dsack(net, c, s->seq, end);
		CTR(net, DUP_IN);
		return;
	}
	make_room(net, o, s->seq);
	for (uint32_t i = 0; seq_lt(cur, end); i++) {
		while (i < o->count && seq_leq(o->r[i].end, cur)) {
			if (o->r[i].end == cur) {
				i++;
				break;
			}
			i++;
		}
		const uint32_t stop = i < o->count ? seq_min(end, o->r[i].start) : end;
		if (seq_lt(cur, stop)) {
			if (!insert_piece(
				    net, o, i, s->pkt, s->data + (cur - s->seq), cur, stop, gaps == 1)) {
				CTR(net, DROP_TCP_OOO);
				break;
			}
			join_ranges(net, o);
			cur = stop;
			i = UINT32_MAX; /* ranges moved: look again from the first */
			continue;
		}
		const uint32_t seen = seq_min(end, o->r[i].end);
		rcv_dsack(net, c, cur, seen);
		o->r[i].serial = ++o->serial;
		cur = seen;
		i = UINT32_MAX;
	}
	if (o->count == 0) {
		bb_net_pool_free(&net->tcp->ooos, c->ooo);
		c->ooo = BB_NET_POOL_NONE;
	}
}

/* rcv_nxt reached into the first range: drop what is there twice, queue the rest. */
static void
take_range(struct bb_net *net, struct bb_tcp *c, struct ooo_range *r)
{
	uint32_t idx = r->head;

	if (seq_gt(c->rcv_nxt, r->start))
		rcv_dsack(net, c, r->start, seq_min(c->rcv_nxt, r->end));
	while (idx != BB_NET_POOL_NONE) {
		struct rx_node *n = node_at(net, idx);
		const uint32_t next = n->next;
		const uint32_t cut = c->rcv_nxt - n->seq;
		if (cut >= n->len) {
			node_free(net, idx);
		} else {
			n->data += cut;
			n->len -= cut;
			n->seq += cut;
			c->rcv_nxt += n->len;
			c->rcv_bytes += n->len;
			queue_append(net, c, idx);
		}
		idx = next;
	}
}

/* Returns true if a gap was filled, wholly or in part. */
static bool
ooo_pull(struct bb_net *net, struct bb_tcp *c)
{
	struct ooo *o = ooo_at(net, c);

	if (o == NULL)
		return false;
	while (o->count > 0 && seq_leq(o->r[0].start, c->rcv_nxt)) {
		take_range(net, c, &o->r[0]);
		range_remove(o, 0);
	}
	if (o->count == 0) {
		bb_net_pool_free(&net->tcp->ooos, c->ooo);
		c->ooo = BB_NET_POOL_NONE;
	}
	return true;
}

static void
delayed_ack(struct bb_net *net, struct bb_tcp *c, uint32_t len)
{
	if (len > c->rcv_mss)
		c->rcv_mss = (uint16_t)bb_min_u64(len, UINT16_MAX);
	if (c->quickack > 0) {
		c->quickack--;
		c->flags |= TF_ACK_NOW;
	}
	c->ack_bytes += len;
	if (c->ack_bytes >= 2u * c->rcv_mss)
		c->flags |= TF_ACK_NOW;
	if (!(c->flags & (TF_ACK_NOW | TF_ACK_DELAYED))) {
		c->flags |= TF_ACK_DELAYED;
		timer_set(net, c, T_DELACK, net->now_ns + net->tcp->t.delack_ns);
	}
}

static void
take_fin(struct bb_net *net, struct bb_tcp *c)
{
	rcv_free_ooo(net, c); /* what a broken peer sent behind its FIN */
	c->rcv_nxt++;
	c->flags = (c->flags | TF_FIN_RCVD | TF_ACK_NOW) & ~TF_FIN_OOO;
	conn_event(net, c, EV_READABLE);
}

void
rcv_segment(struct bb_net *net, struct bb_tcp *c, struct seg *s)
{
	const bool fin = (s->flags & TH_FIN) != 0;

	if (fin && (!(c->flags & TF_FIN_OOO) || seq_lt(s->seq + s->len, c->fin_seq))) {
		c->flags |= TF_FIN_OOO;
		c->fin_seq = s->seq + s->len;
	}
	/* Nothing lies behind a FIN. */
	if ((c->flags & TF_FIN_OOO) && seq_gt(s->seq + s->len, c->fin_seq))
		s->len = seq_gt(c->fin_seq, s->seq) ? c->fin_seq - s->seq : 0;
	if (seq_gt(s->seq, c->rcv_nxt)) {
		if (s->len > 0)
			ooo_insert(net, c, s);
		/* A duplicate ACK for each of them, at once: it is what the peer counts. */
		c->flags |= TF_ACK_NOW;
		out_ack(net, c);
		return;
	}
	if (s->len > 0) {
		const bool holes = c->ooo != BB_NET_POOL_NONE;
		const uint32_t taken = append(net, c, s->pkt, s->data, s->len);
		if (taken < s->len) {
			CTR(net, DROP_TCP_MEM);
			c->flags |= TF_ACK_NOW;
		}
		if (taken > 0) {
			delayed_ack(net, c, taken);
			if (holes && ooo_pull(net, c))
				c->flags |= TF_ACK_NOW;
			conn_event(net, c, EV_READABLE);
		}
	}
	if ((c->flags & TF_FIN_OOO) && c->rcv_nxt == c->fin_seq)
		take_fin(net, c);
}

void
rcv_dsack(struct bb_net *net, struct bb_tcp *c, uint32_t start, uint32_t end)
{
	(void)net;
	if (!(c->flags & TF_SACK) || (c->flags & TF_DSACK) || start == end)
		return;
	c->dsack_start = start;
	c->dsack_end = end;
	c->flags |= TF_DSACK;
}

uint32_t
rcv_sack_blocks(const struct bb_net *net, const struct bb_tcp *c, uint32_t *blocks, uint32_t max)
{
	const struct ooo *o = ooo_at(net, c);
	uint32_t n = 0, below = UINT32_MAX;

	if (!(c->flags & TF_SACK))
		return 0;
	if ((c->flags & TF_DSACK) && max > 0) {
		blocks[0] = c->dsack_start;
		blocks[1] = c->dsack_end;
		n++;
	}
	while (o != NULL && n < max) {
		const struct ooo_range *best = NULL;
		for (uint32_t i = 0; i < o->count; i++)
			if (o->r[i].serial < below && (best == NULL || o->r[i].serial > best->serial))
				best = &o->r[i];
		if (best == NULL)
			break;
		blocks[2 * n] = best->start;
		blocks[2 * n + 1] = best->end;
		below = best->serial;
		n++;
	}
	return n;
}

/*
 * RFC 9293 3.8.6.2.2: the right edge moves only by min(MSS, buffer / 4) or more, and never back. With a
 * scaled window the edge on the wire is rounded up to the scale unit if the buffer allows, else down: then
 * the peer sees it retreat by less than one unit (RFC 7323 2.4), and what it sent up to the old edge is still
 * taken.
 */
uint32_t
rcv_window(struct bb_net *net, struct bb_tcp *c)
{
	const uint32_t unit = 1u << c->rcv_wscale;
	const uint32_t cur = seq_gt(c->rcv_adv, c->rcv_nxt) ? c->rcv_adv - c->rcv_nxt : 0;
	uint32_t free_bytes = c->rcvbuf > c->rcv_bytes ? c->rcvbuf - c->rcv_bytes : 0;
	const uint32_t step = (uint32_t)bb_min_u64(c->mss, c->rcvbuf / 4);
	uint32_t wnd = cur;

	/* When memory runs short no more is promised. */
	if (pool_short(&net->tcp->nodes, 85) || pool_short(&net->blocks, 85))
		free_bytes = (uint32_t)bb_min_u64(free_bytes, cur);
	if (free_bytes >= cur + step)
		wnd = free_bytes;
	wnd = (uint32_t)bb_min_u64(wnd, (uint64_t)UINT16_MAX << c->rcv_wscale);
	const uint32_t up = (wnd + unit - 1) & ~(unit - 1);
	wnd = wnd == cur && up <= free_bytes ? up : wnd & ~(unit - 1);
	if (seq_gt(c->rcv_nxt + wnd, c->rcv_adv))
		c->rcv_adv = c->rcv_nxt + wnd;
	return wnd;
}

void
rcv_consume(struct bb_net *net, struct bb_tcp *c, uint32_t n)
{
	BB_ASSERT(n <= c->rcv_bytes);
	c->rcv_bytes -= n;
	while (n > 0) {
		struct rx_node *node = node_at(net, c->rcv_head);
		const uint32_t left = node->len - c->rcv_off;
		if (n < left) {
			c->rcv_off += n;
			break;
		}
		n -= left;
		c->rcv_off = 0;
		const uint32_t next = node->next;
		c->rcv_truesize -= node->truesize;
		node_free(net, c->rcv_head);
		c->rcv_head = next;
		if (next == BB_NET_POOL_NONE)
			c->rcv_tail = BB_NET_POOL_NONE;
	}
}

void
rcv_free(struct bb_net *net, struct bb_tcp *c)
{
	rcv_free_ooo(net, c);
	for (uint32_t i = c->rcv_head; i != BB_NET_POOL_NONE;) {
		const uint32_t next = node_at(net, i)->next;
		node_free(net, i);
		i = next;
	}
	c->rcv_head = c->rcv_tail = BB_NET_POOL_NONE;
	c->rcv_bytes = c->rcv_truesize = c->rcv_off = 0;
}

size_t
bb_tcp_rx_view(const struct bb_net *net, const struct bb_tcp *c, struct iovec *iov, size_t iov_max)
{
	size_t n = 0;
	uint32_t skip = c->rcv_off;

	for (uint32_t i = c->rcv_head; i != BB_NET_POOL_NONE && n < iov_max; i = node_at(net, i)->next) {
		const struct rx_node *node = node_at(net, i);
		iov[n].iov_base = (void *)(uintptr_t)(node->data + skip);
		iov[n++].iov_len = node->len - skip;
		skip = 0;
	}
	return n;
}
