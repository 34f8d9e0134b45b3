/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_transport.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "base/list.h"
#include "sim_net_priv.h"

/* --- pipes --- */

uint32_t
sim_pipe_room(const struct sim_pipe *p)
{
	return p->way_max - (uint32_t)(p->written - (p->arrived_max == 0 ? p->read : p->visible));
}

void
sim_pipe_write(struct sim_pipe *p, const uint8_t *from, size_t n)
{
	while (n > 0) {
		const uint32_t at = (uint32_t)(p->written % p->size);
		const size_t len = n < p->size - at ? n : p->size - at;
		memcpy(p->bytes + at, from, len);
		p->written += len;
		from += len;
		n -= len;
	}
}

static bool
chance(struct sim_net *n, uint32_t per_thousand)
{
	return !n->calm && per_thousand != 0 && bb_rand_below(&n->rand, 1000) < per_thousand;
}

void
sim_net_hash_add(struct sim_net *n, uint64_t value)
{
	n->hash = (n->hash ^ value) * UINT64_C(0x100000001b3);
	n->hash ^= n->hash >> 29;
}

/* --- connections --- */

struct sim_conn *
sim_conn_create(struct sim_net *n, int raw_end)
{
	struct sim_conn *c = calloc(1, sizeof(*c));

	BB_ASSERT(c != NULL);
	c->net = n;
	c->raw_end = raw_end;
	c->id = ++n->conn_serial;
	for (int i = 0; i < 2; i++) {
		c->pipe[i].way_max = c->pipe[i].size = n->options.pipe_bytes;
		if (raw_end != 1 - i) {
			c->pipe[i].arrived_max = BB_TURN_READ_BYTES;
			c->pipe[i].size += BB_TURN_READ_BYTES;
		}
		c->pipe[i].bytes = malloc(c->pipe[i].size);
		BB_ASSERT(c->pipe[i].bytes != NULL);
	}
	bb_list_append(&n->conns, &c->node);
	n->conn_count++;
	return c;
}

/* One end has been given up; the last one takes the connection along. */
void
sim_conn_leave(struct sim_conn *c, int end)
{
	c->left[end] = true;
	c->stream[end] = NULL;
	if (!c->left[1 - end])
		return;
	bb_list_remove(&c->node);
	c->net->conn_count--;
	free(c->pipe[0].bytes);
	free(c->pipe[1].bytes);
	free(c);
}

void
sim_stream_pend(struct sim_stream *s, unsigned event)
{
	if (s != NULL)
		s->pending |= 1u << event;
}

/* end breaks the connection: the other one hears of it. */
void
sim_conn_break(struct sim_conn *c, int end)
{
	struct sim_stream *other = c->stream[1 - end];

	c->broken = true;
	sim_net_hash_add(c->net, 0xdead0000 + c->id);
	if (other == NULL || other->dead)
		return;
	other->reason = BB_STREAM_RESET;
	other->broken = true;
	if (other->connecting) {
		other->reason = BB_STREAM_REFUSED;
		sim_stream_pend(other, BB_STREAM_CLOSED);
	} else if (c->net->options.resets_hide) {
		c->pipe[end].visible = c->pipe[end].written = c->pipe[end].read;
		other->view_len = 0;
		sim_stream_pend(other, BB_STREAM_CLOSED);
	} else {
		/* What arrived is shown first, as if the peer had finished. */
		c->pipe[end].written = c->pipe[end].visible;
		c->pipe[end].fin = c->pipe[end].fin_visible = true;
		sim_stream_pend(other, BB_STREAM_READABLE);
		other->last_look = true;
	}
}

/* --- streams --- */

static struct sim_stream *
stream_of(struct bb_stream *s)
{
	return bb_container_of(s, struct sim_stream, base);
}

static size_t
stream_rx_view(struct bb_stream *b, struct iovec *iov, size_t iov_max, size_t bytes_max)
{
	struct sim_stream *s = stream_of(b);
	struct sim_net *n = s->transport->net;
	struct sim_pipe *p = &s->conn->pipe[1 - s->end];
	const uint64_t there = p->visible - p->read;
	uint64_t show = there < bytes_max ? there : bytes_max;
	size_t count = 0;

	BB_ASSERT(!s->dead && (n->viewed == NULL || n->viewed == s));
	if (show > BB_TURN_READ_BYTES)
		show = BB_TURN_READ_BYTES;
	/* A part, but more than the last view left. */
	if (show > s->left_len + 1 && chance(n, n->options.part_view_chance))
		show = s->left_len + 1 + bb_rand_below(&n->rand, (uint32_t)(show - s->left_len));
	for (uint64_t at = 0; at < show && count < iov_max; count++) {
		const uint32_t from = (uint32_t)((p->read + at) % p->size);
		uint64_t len = show - at;
		if (len > p->size - from)
			len = p->size - from;
		if (len > 1 && count + 2 < iov_max && chance(n, n->options.part_view_chance))
			len = 1 + bb_rand_below(&n->rand, (uint32_t)len);
		iov[count] = (struct iovec){ p->bytes + from, (size_t)len };
		at += len;
		s->view_len = at;
	}
	if (show == 0)
		s->view_len = 0;
	const bool all = s->view_len == there;
	b->flags &= ~(uint32_t)(BB_STREAM_RX_MORE | BB_STREAM_RX_END);
	if (!all)
		b->flags |= BB_STREAM_RX_MORE;
	else if (p->fin_visible)
		b->flags |= BB_STREAM_RX_END;
	if (all) {
		s->pending &= ~(1u << BB_STREAM_READABLE);
		if ((b->flags & BB_STREAM_RX_END) != 0)
			s->end_shown = true;
	}
	if (count == 0 && s->last_look)
		sim_stream_pend(s, BB_STREAM_CLOSED);
	n->viewed = count > 0 ? s : NULL;
	return count;
}

static void
stream_rx_consume(struct bb_stream *b, size_t len)
{
	struct sim_stream *s = stream_of(b);
	struct sim_net *n = s->transport->net;
	struct sim_pipe *p = &s->conn->pipe[1 - s->end];

	if (n->viewed == NULL && len == 0 && s->view_len == 0)
		return; /* of a view of no entries */
	BB_ASSERT(n->viewed == s && len <= s->view_len);
	n->viewed = NULL;
	p->read += len;
	sim_net_hash_add(n, (uint64_t)s->conn->id << 32 | len);
	if (s->last_look) {
		/* Consumed whole or not at all: that was the last of it. In part: it looks once more. */
		const bool part = len > 0 && (len < s->view_len || p->read < p->visible);
		sim_stream_pend(s, part ? BB_STREAM_READABLE : BB_STREAM_CLOSED);
	}
	s->view_len -= len;
	s->left_len = s->view_len;
	if (s->conn->stream[1 - s->end] != NULL && s->conn->stream[1 - s->end]->want_room && len > 0)
		sim_stream_pend(s->conn->stream[1 - s->end], BB_STREAM_TX_ROOM);
}

static ssize_t
stream_tx_push(struct bb_stream *b, const struct iovec *iov, size_t iov_count)
{
	struct sim_stream *s = stream_of(b);
	struct sim_conn *c = s->conn;
	struct sim_net *n = s->transport->net;
	struct sim_pipe *p = &c->pipe[s->end];
	size_t bytes = 0, taken = 0;

	BB_ASSERT(!s->dead && !p->fin);
	for (size_t i = 0; i < iov_count; i++)
		bytes += iov[i].iov_len;
	b->flags &= ~(uint32_t)BB_STREAM_TX_BLOCKED;
	if (s->broken || c->broken || c->left[1 - s->end]) {
		/* Nobody reads any more. */
		s->broken = true;
		s->reason = BB_STREAM_RESET;
		sim_stream_pend(s, BB_STREAM_CLOSED);
		return -EPIPE;
	}
	size_t room = s->connecting ? 0 : sim_pipe_room(p);
	if (room > 0 && bytes > 0 && chance(n, n->options.part_push_chance))
		room = bb_rand_below(&n->rand, (uint32_t)(room < bytes ? room : bytes) + 1);
	for (size_t i = 0; i < iov_count && taken < room; i++) {
		const size_t len = iov[i].iov_len < room - taken ? iov[i].iov_len : room - taken;
		if (c->tap != NULL && s->end != c->raw_end && len > 0)
			c->tap(c->tap_ctx, iov[i].iov_base, len);
		sim_pipe_write(p, iov[i].iov_base, len);
		taken += len;
	}
	sim_net_hash_add(n, (uint64_t)c->id << 32 | 0x80000000u | taken);
	if (taken < bytes) {
		b->flags |= BB_STREAM_TX_BLOCKED;
		s->want_room = true;
		if (!s->connecting && sim_pipe_room(p) > 0)
			sim_stream_pend(s, BB_STREAM_TX_ROOM); /* only this push was short */
	}
	return (ssize_t)taken;
}

static uint64_t
stream_tx_backlog(struct bb_stream *b)
{
	const struct sim_stream *s = stream_of(b);
	const struct sim_pipe *p = &s->conn->pipe[s->end];

	return p->written - p->visible + (p->fin && !p->fin_visible);
}

static void
stream_finish(struct bb_stream *b)
{
	struct sim_stream *s = stream_of(b);

	s->conn->pipe[s->end].fin = true;
	sim_net_hash_add(s->transport->net, 0xf1000000 + s->conn->id);
}

static void
stream_abort(struct bb_stream *b)
{
	struct sim_stream *s = stream_of(b);

	BB_ASSERT(!s->dead);
	if (!s->conn->broken)
		sim_conn_break(s->conn, s->end);
	s->dead = true;
	s->pending = 0;
}

static void
stream_free(struct sim_stream *s)
{
	bb_list_remove(&s->node);
	s->transport->net->stream_count--;
	free(s);
}

static void
stream_destroy(struct bb_stream *b)
{
	struct sim_stream *s = stream_of(b);
	struct sim_conn *c = s->conn;
	struct sim_pipe *p = &c->pipe[s->end];

	if (s->transport->net->viewed == s)
		s->transport->net->viewed = NULL;
	if (!s->dead && !s->closed) {
		if ((p->fin || s->end_shown) && stream_tx_backlog(b) == 0 && !s->connecting) {
			p->fin = true;
			p->fin_visible = true;
			sim_stream_pend(c->stream[1 - s->end], BB_STREAM_READABLE);
		} else {
			stream_abort(b);
		}
	}
	s->dead = true;
	s->pending = 0;
	s->conn = NULL;
	sim_conn_leave(c, s->end);
	if (!s->transport->in_poll)
		stream_free(s);
	else
		s->bury = true;
}

static const struct bb_stream_ops stream_ops = {
	.rx_view = stream_rx_view,
	.rx_consume = stream_rx_consume,
	.tx_push = stream_tx_push,
	.tx_backlog = stream_tx_backlog,
	.finish = stream_finish,
	.abort = stream_abort,
	.destroy = stream_destroy,
};

static struct sim_stream *
stream_create(struct sim_transport *t, struct sim_conn *c, int end)
{
	struct sim_stream *s = calloc(1, sizeof(*s));

	BB_ASSERT(s != NULL);
	s->base.ops = &stream_ops;
	s->base.flags = BB_STREAM_COPIES;
	s->transport = t;
	s->conn = c;
	s->end = end;
	c->stream[end] = s;
	bb_list_append(&t->streams, &s->node);
	t->net->stream_count++;
	return s;
}

/* --- a transport --- */

static struct sim_transport *
transport_of(struct bb_transport *t)
{
	return bb_container_of(t, struct sim_transport, base);
}

static struct sim_listener *
listener_of(struct sim_net *n, int fd)
{
	BB_ASSERT(fd >= SIM_LISTEN_FD && fd < SIM_LISTEN_FD + SIM_PORTS);
	return &n->listener[fd - SIM_LISTEN_FD];
}

static struct sim_conn *
conn_by_fd(struct sim_net *n, int fd)
{
	bb_list_for_each(node, &n->conns)
	{
		struct sim_conn *c = bb_list_entry(node, struct sim_conn, node);
		if ((int)c->id + SIM_CONN_FD == fd)
			return c;
	}
	BB_ASSERT(!"a descriptor that nobody accepted");
	return NULL;
}

static uint32_t
fire(struct sim_stream *s)
{
	struct sim_net *n = s->transport->net;
	uint32_t fired = 0;

	static const enum bb_stream_event order[] = { BB_STREAM_CONNECTED, BB_STREAM_READABLE,
		BB_STREAM_TX_ROOM, BB_STREAM_CLOSED };
	for (unsigned i = 0; i < BB_ARRAY_LEN(order) && !s->dead; i++) {
		const enum bb_stream_event e = order[i];
		if (!(s->pending & 1u << e))
			continue;
		if (chance(n, n->options.late_event_chance)) {
			if (e == BB_STREAM_CONNECTED)
				break; /* nothing goes before that */
			continue;
		}
		s->pending &= ~(1u << e);
		sim_net_hash_add(n, (uint64_t)s->conn->id << 8 | e);
		if (e == BB_STREAM_TX_ROOM) {
			if (!s->want_room || s->broken)
				continue;
			s->want_room = false;
			s->base.flags &= ~(uint32_t)BB_STREAM_TX_BLOCKED;
		}
		if (e == BB_STREAM_CLOSED) {
			s->closed = s->dead = true;
			s->pending = 0;
		}
		if (e == BB_STREAM_CONNECTED && s->want_room)
			s->pending |= 1u << BB_STREAM_TX_ROOM;
		fired++;
		s->base.on_event(&s->base, e, e == BB_STREAM_CLOSED ? (uint64_t)s->reason : 0);
	}
	return fired;
}

static uint32_t
accept_waiting(struct sim_transport *t)
{
	struct sim_net *n = t->net;
	uint32_t accepted = 0;

	for (unsigned i = 0; i < SIM_PORTS; i++) {
		struct sim_listener *l = &n->listener[i];
		if (l->owner != t)
			continue;
		while (l->owner == t && !bb_list_empty(&l->waiting)) {
			if (chance(n, n->options.late_event_chance))
				break;
			struct sim_conn *c = bb_list_entry(
				bb_list_pop(&l->waiting), struct sim_conn, wait_node);
			accepted++;
			t->base.on_accept(&t->base, l->side, (int)c->id + SIM_CONN_FD);
		}
	}
	return accepted;
}

static uint32_t
transport_poll(struct bb_transport *b, uint64_t now_ns, uint32_t budget)
{
	struct sim_transport *t = transport_of(b);
	uint32_t served = accept_waiting(t);
	struct bb_list now;

	(void)now_ns;
	t->in_poll = true;
	bb_list_move_all(&now, &t->streams);
	while (!bb_list_empty(&now)) {
		struct sim_stream *s = bb_list_entry(bb_list_pop(&now), struct sim_stream, node);
		bb_list_append(&t->streams, &s->node);
		if (served < budget && s->pending != 0 && !s->dead)
			served += fire(s) > 0;
	}
	t->in_poll = false;
	bb_list_move_all(&now, &t->streams);
	while (!bb_list_empty(&now)) {
		struct sim_stream *s = bb_list_entry(bb_list_pop(&now), struct sim_stream, node);
		bb_list_append(&t->streams, &s->node);
		if (s->bury)
			stream_free(s);
	}
	return served;
}

static int
transport_connect(struct bb_transport *b, const struct sockaddr *to, const struct bb_stream_options *options,
	struct bb_stream **ret_stream)
{
	struct sim_transport *t = transport_of(b);
	struct sim_net *n = t->net;
	const uint16_t port = ntohs(((const struct sockaddr_in *)to)->sin_port);

	(void)options;
	if (chance(n, n->options.connect_fail_chance))
		return -ENOMEM;
	BB_ASSERT(port < SIM_PORTS);
	struct sim_listener *l = &n->listener[port];
	struct sim_conn *c = sim_conn_create(n, l->owner != NULL ? -1 : 1);
	struct sim_stream *s = stream_create(t, c, 0);
	s->connecting = true;
	c->to = ntohl(((const struct sockaddr_in *)to)->sin_addr.s_addr);
	if (l->owner == NULL && !l->raw) {
		s->reason = BB_STREAM_REFUSED;
		s->broken = true;
		c->broken = true;
		sim_conn_leave(c, 1);
		sim_stream_pend(s, BB_STREAM_CLOSED);
	} else {
		s->connecting_events = 1 + (n->calm ? 0 : bb_rand_below(&n->rand, 8));
		bb_list_append(&l->waiting, &c->wait_node);
	}
	*ret_stream = &s->base;
	return 0;
}

static int
transport_listen(struct bb_transport *b, int fd, uint32_t side)
{
	struct sim_transport *t = transport_of(b);
	struct sim_listener *l = listener_of(t->net, fd);

	l->owner = t;
	l->side = side;
	return 0;
}

static void
refuse_waiting(struct sim_listener *l)
{
	while (!bb_list_empty(&l->waiting)) {
		struct sim_conn *c = bb_list_entry(bb_list_pop(&l->waiting), struct sim_conn, wait_node);
		sim_conn_break(c, 1);
		sim_conn_leave(c, 1); /* nobody took that end */
	}
}

static void
transport_unlisten(struct bb_transport *b, uint32_t side)
{
	struct sim_transport *t = transport_of(b);

	for (unsigned i = 0; i < SIM_PORTS; i++) {
		struct sim_listener *l = &t->net->listener[i];
		if (l->owner != t || l->side != side)
			continue;
		l->owner = NULL;
		refuse_waiting(l);
	}
}

static int
transport_adopt(struct bb_transport *b, int fd, const struct bb_stream_options *options,
	struct bb_stream **ret_stream, char ret_address[64])
{
	struct sim_transport *t = transport_of(b);
	struct sim_conn *c = conn_by_fd(t->net, fd);
	struct sim_stream *s;

	(void)options;
	if (chance(t->net, t->net->options.adopt_fail_chance)) {
		sim_conn_break(c, 1);
		sim_conn_leave(c, 1);
		return -ENOMEM;
	}
	s = stream_create(t, c, 1);
	snprintf(ret_address, 64, SIM_ADDRESS_PREFIX "%u", c->id);
	if (c->broken) {
		s->reason = BB_STREAM_RESET;
		s->broken = true;
		sim_stream_pend(s, BB_STREAM_CLOSED);
	}
	sim_stream_pend(s, BB_STREAM_READABLE); /* what came before it was adopted */
	*ret_stream = &s->base;
	return 0;
}

static void
transport_discard(struct bb_transport *b, int fd)
{
	struct sim_conn *c = conn_by_fd(transport_of(b)->net, fd);

	sim_conn_break(c, 1);
	sim_conn_leave(c, 1);
}

static const struct bb_transport_ops transport_ops = {
	.poll = transport_poll,
	.connect = transport_connect,
	.listen = transport_listen,
	.unlisten = transport_unlisten,
	.adopt = transport_adopt,
	.discard = transport_discard,
};

/* --- the net --- */

struct sim_net *
sim_net_create(uint64_t seed, uint32_t transports, const struct sim_net_options *options)
{
	struct sim_net *n = calloc(1, sizeof(*n));

	BB_ASSERT(n != NULL && transports <= SIM_TRANSPORTS);
	n->options = *options;
	bb_rand_init(&n->rand, seed);
	bb_list_init(&n->conns);
	n->hash = UINT64_C(0xcbf29ce484222325);
	n->transport_count = transports;
	for (uint32_t i = 0; i < transports; i++) {
		n->transport[i].base.ops = &transport_ops;
		n->transport[i].base.wait_fd = -1;
		n->transport[i].net = n;
		bb_list_init(&n->transport[i].streams);
	}
	for (unsigned i = 0; i < SIM_PORTS; i++)
		bb_list_init(&n->listener[i].waiting);
	return n;
}

void
sim_net_destroy(struct sim_net *n)
{
	for (unsigned i = 0; i < SIM_PORTS; i++)
		refuse_waiting(&n->listener[i]);
	BB_ASSERT(n->stream_count == 0 && n->conn_count == 0);
	free(n);
}

struct bb_transport *
sim_net_transport(struct sim_net *n, uint32_t index)
{
	return &n->transport[index].base;
}

struct sim_net_options *
sim_net_options(struct sim_net *n)
{
	return &n->options;
}

void
sim_net_calm(struct sim_net *n, bool calm)
{
	n->calm = calm;
}

int
sim_net_listen_fd(struct sim_net *n, uint16_t port)
{
	BB_ASSERT(port < SIM_PORTS && n->listener[port].owner == NULL);
	return SIM_LISTEN_FD + port;
}

uint64_t
sim_net_hash(const struct sim_net *n)
{
	return n->hash;
}

uint32_t
sim_net_stream_count(const struct sim_net *n)
{
	return n->stream_count;
}

/* Bytes and the end of one pipe arrive. */
static uint64_t
pipe_step(struct sim_net *n, struct sim_conn *c, int from)
{
	struct sim_pipe *p = &c->pipe[from];
	struct sim_stream *to = c->stream[1 - from];
	uint64_t moved = p->written - p->visible;

	if (p->arrived_max != 0 && moved > p->arrived_max - (p->visible - p->read))
		moved = p->arrived_max - (p->visible - p->read);
	if (moved == 0 && p->fin == p->fin_visible)
		return 0;
	if (!n->calm && p->stalled)
		return 0;
	if (chance(n, n->options.hold_chance))
		return 0;
	if (moved > 1 && !n->calm) {
		const uint32_t max = bb_rand_one_in(&n->rand, 8) ? 1 : n->options.segment_max;
		const uint64_t segment = 1 + bb_rand_below(&n->rand, max);
		moved = moved < segment ? moved : segment;
	}
	p->visible += moved;
	if (p->fin && !p->fin_visible && p->visible == p->written && !chance(n, n->options.hold_chance)) {
		p->fin_visible = true;
		moved++;
	}
	if (to != NULL && !to->dead && moved > 0)
		sim_stream_pend(to, BB_STREAM_READABLE);
	if (c->stream[from] != NULL && c->stream[from]->want_room && moved > 0)
		sim_stream_pend(c->stream[from], BB_STREAM_TX_ROOM);
	return moved;
}

uint64_t
sim_net_step(struct sim_net *n)
{
	uint64_t moved = 0;

	bb_list_for_each(node, &n->conns)
	{
		struct sim_conn *c = bb_list_entry(node, struct sim_conn, node);
		struct sim_stream *s = c->stream[0];
		if (s != NULL && s->connecting) {
			if (c->broken || (c->raw_end == 1 && !c->taken))
				continue;
			if (s->connecting_events > 0 && --s->connecting_events > 0)
				continue;
			s->connecting = false;
			sim_stream_pend(s, BB_STREAM_CONNECTED);
			moved++;
		}
		moved += pipe_step(n, c, 0) + pipe_step(n, c, 1);
	}
	sim_net_hash_add(n, moved);
	return moved;
}
