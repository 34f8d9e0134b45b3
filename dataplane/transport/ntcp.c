/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/ntcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/time.h"
#include "net/net.h"
#include "net/tcp.h"

#define LISTENERS_MAX 64
#define ACCEPTED_DEFAULT 4096
#define PUSH_SPANS 32

/* Events that wait for poll, a bit each. */
#define EV(e) BB_BIT(e)

struct stream {
	struct bb_stream base;
	struct bb_ntcp *t;
	struct bb_tcp *c;	/* NULL once the connection is gone */
	struct bb_list pending; /* in the transport's list while events wait */
	uint32_t events;
	bool up, finished, end_shown;
	uint8_t reason;
	uint32_t side;	   /* of an accepted one */
	uint64_t released; /* not told yet */
};

struct listener {
	struct bb_ntcp *t;
	struct bb_tcp_listener *l;
	struct bb_ip ip;
	uint32_t side;
	uint16_t port;
	uint32_t backlog;
	bool used;
};

struct bb_ntcp {
	struct bb_transport base;
	struct bb_ntcp_config conf;
	struct bb_list pending;
	struct stream **accepted; /* by descriptor; NULL: free */
	uint32_t accepted_new;	  /* of these, not announced */
	uint32_t accepted_next;	  /* where to look for a free one */
	struct stream *current;	  /* whose events are being delivered; NULL when it was destroyed meanwhile */
	struct listener listeners[LISTENERS_MAX];
};

static struct stream *
of(struct bb_stream *s)
{
	return bb_container_of(s, struct stream, base);
}

static void
note(struct stream *s, uint32_t event)
{
	s->events |= event;
	if (!bb_list_linked(&s->pending))
		bb_list_append(&s->t->pending, &s->pending);
}

/* ---- what the stack tells ---- */

static void
on_connected(void *ctx, struct bb_tcp *c)
{
	struct stream *s = ctx;

	(void)c;
	s->up = true;
	note(s, EV(BB_STREAM_CONNECTED) | (s->base.flags & BB_STREAM_TX_BLOCKED ? EV(BB_STREAM_TX_ROOM) : 0));
}

static void
on_readable(void *ctx, struct bb_tcp *c)
{
	(void)c;
	note(ctx, EV(BB_STREAM_READABLE));
}

static void
on_released(void *ctx, struct bb_tcp *c, uint64_t bytes)
{
	struct stream *s = ctx;

	(void)c;
	s->released += bytes;
	note(s, EV(BB_STREAM_TX_RELEASED));
}

static void
on_room(void *ctx, struct bb_tcp *c, uint64_t bytes)
{
	(void)c;
	(void)bytes;
	note(ctx, EV(BB_STREAM_TX_ROOM));
}

static const uint8_t reasons[] = {
	[BB_TCP_DONE] = BB_STREAM_RESET, /* both ended, which is told by RX_END alone; not seen by streams */
	[BB_TCP_RESET] = BB_STREAM_RESET,
	[BB_TCP_REFUSED] = BB_STREAM_REFUSED,
	[BB_TCP_TIMEOUT] = BB_STREAM_TIMED_OUT,
	[BB_TCP_UNREACHABLE] = BB_STREAM_UNREACHABLE,
	[BB_TCP_ABORTED] = BB_STREAM_FAILED,
};

static void
on_closed(void *ctx, struct bb_tcp *c, enum bb_tcp_reason reason)
{
	struct stream *s = ctx;

	(void)c;
	s->c = NULL;
	s->reason = reasons[reason];
	note(s, EV(BB_STREAM_CLOSED));
}

static const struct bb_tcp_ops tcp_ops = { on_connected, on_readable, on_released, on_room, on_closed };
static const struct bb_tcp_ops detached_ops;

/* ---- streams ---- */

static size_t
stream_rx_view(struct bb_stream *base, struct iovec *iov, size_t iov_max, size_t bytes_max)
{
	struct stream *s = of(base);
	size_t n = 0, shown = 0;

	base->flags &= ~(uint32_t)(BB_STREAM_RX_MORE | BB_STREAM_RX_END);
	if (s->c == NULL)
		return 0;
	if (bytes_max > BB_TURN_READ_BYTES)
		bytes_max = BB_TURN_READ_BYTES;
	const size_t all = bb_tcp_rx_view(s->t->conf.net, s->c, iov, iov_max);
	for (; n < all && shown < bytes_max; n++) {
		if (iov[n].iov_len > bytes_max - shown)
			iov[n].iov_len = bytes_max - shown;
		shown += iov[n].iov_len;
	}
	if (shown < bb_tcp_rx_bytes(s->c)) {
		base->flags |= BB_STREAM_RX_MORE;
	} else if (bb_tcp_rx_fin(s->c)) {
		base->flags |= BB_STREAM_RX_END;
		s->end_shown = true;
	}
	return n;
}

static void
stream_rx_consume(struct bb_stream *base, size_t n)
{
	struct stream *s = of(base);

	if (s->c != NULL && n > 0)
		bb_tcp_rx_consume(s->t->conf.net, s->c, (uint32_t)n);
}

/* Push up to PUSH_SPANS pieces; returns pieces gone through, fewer than count when the stack took less. */
static int
push_some(struct stream *s, const struct iovec *iov, size_t count, size_t *bytes)
{
	struct bb_tcp_span spans[PUSH_SPANS];

	for (size_t i = 0; i < count; i++)
		spans[i] = (struct bb_tcp_span){ .data = iov[i].iov_base, .len = (uint32_t)iov[i].iov_len };
	const int taken = bb_tcp_tx_push(s->t->conf.net, s->c, spans, (uint32_t)count);
	for (int i = 0; i < taken; i++)
		*bytes += iov[i].iov_len;
	return taken;
}

static ssize_t
stream_tx_push(struct bb_stream *base, const struct iovec *iov, size_t iov_count)
{
	struct stream *s = of(base);
	size_t bytes = 0;

	base->flags &= ~(uint32_t)BB_STREAM_TX_BLOCKED;
	if (s->c == NULL)
		return -EPIPE;
	if (!s->up) {
		base->flags |= BB_STREAM_TX_BLOCKED;
		return 0;
	}
	while (iov_count > 0) {
		const size_t n = iov_count < PUSH_SPANS ? iov_count : PUSH_SPANS;
		const int taken = push_some(s, iov, n, &bytes);
		if (taken < 0)
			return taken;
		if ((size_t)taken < n) {
			base->flags |= BB_STREAM_TX_BLOCKED;
			break;
		}
		iov += n;
		iov_count -= n;
	}
	return (ssize_t)bytes;
}

static uint64_t
stream_tx_backlog(struct bb_stream *base)
{
	const struct stream *s = of(base);

	if (s->c == NULL)
		return 0;
	return bb_tcp_tx_backlog(s->c) + (s->finished && !bb_tcp_tx_done(s->c));
}

static void
stream_finish(struct bb_stream *base)
{
	struct stream *s = of(base);

	s->finished = true;
	if (s->c != NULL)
		bb_tcp_shutdown(s->t->conf.net, s->c);
}

/* The connection goes on, or ends, without us. */
static struct bb_tcp *
detach(struct stream *s)
{
	struct bb_tcp *c = s->c;

	if (c != NULL)
		bb_tcp_set_ops(c, &detached_ops, NULL);
	s->c = NULL;
	s->events = 0;
	bb_list_remove(&s->pending);
	return c;
}

static void
stream_abort(struct bb_stream *base)
{
	struct stream *s = of(base);
	struct bb_tcp *c = detach(s);

	if (c != NULL)
		bb_tcp_abort(s->t->conf.net, c);
}

static void
stream_destroy(struct bb_stream *base)
{
	struct stream *s = of(base);
	struct bb_ntcp *t = s->t;
	const bool owed = !(s->finished || s->end_shown) || stream_tx_backlog(base) > 0;
	struct bb_tcp *c = detach(s);

	if (c != NULL && owed)
		bb_tcp_abort(t->conf.net, c);
	else if (c != NULL)
		bb_tcp_close(t->conf.net, c, BB_NEVER);
	if (t->current == s)
		t->current = NULL;
	bb_mem_free(t->conf.mem, s, sizeof(*s));
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

static struct stream *
stream_create(struct bb_ntcp *t)
{
	struct stream *s = bb_mem_zalloc(t->conf.mem, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->base.ops = &stream_ops;
	s->t = t;
	bb_list_init(&s->pending);
	return s;
}

/* ---- the transport ---- */

static struct bb_ntcp *
transport_of(struct bb_transport *base)
{
	return bb_container_of(base, struct bb_ntcp, base);
}

static int
to_ip(const struct sockaddr *a, struct bb_ip *ret, uint16_t *ret_port)
{
	if (a->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)a;
		*ret = bb_ip_from4(&in->sin_addr);
		*ret_port = ntohs(in->sin_port);
		return 0;
	}
	if (a->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)a;
		*ret = bb_ip_from6(&in->sin6_addr);
		*ret_port = ntohs(in->sin6_port);
		return 0;
	}
	return -EAFNOSUPPORT;
}

/* A handshake is done: keep the connection under a number until somebody adopts it. */
static bool
on_accept(void *ctx, struct bb_tcp *c)
{
	const struct listener *l = ctx;
	struct bb_ntcp *t = l->t;
	uint32_t fd = t->accepted_next;

	for (uint32_t tried = 0; t->accepted[fd] != NULL; fd = (fd + 1) % t->conf.accepted_max)
		if (++tried > t->conf.accepted_max)
			return false;
	struct stream *s = stream_create(t);
	if (s == NULL)
		return false;
	s->c = c;
	s->up = true;
	s->side = l->side;
	bb_tcp_set_ops(c, &tcp_ops, s);
	t->accepted[fd] = s;
	t->accepted_next = (fd + 1) % t->conf.accepted_max;
	note(s, EV(BB_STREAM_CONNECTED)); /* announced by poll; streams that are adopted do not hear it */
	t->accepted_new++;
	return true;
}

static void
announce(struct bb_ntcp *t)
{
	for (uint32_t fd = 0; t->accepted_new > 0 && fd < t->conf.accepted_max; fd++) {
		struct stream *s = t->accepted[fd];
		if (s == NULL || !(s->events & EV(BB_STREAM_CONNECTED)))
			continue;
		s->events &= ~EV(BB_STREAM_CONNECTED);
		t->accepted_new--;
		t->base.on_accept(&t->base, s->side, (int)fd);
	}
}

/* Deliver one stream's events; any stream may be destroyed by any of them. */
static void
dispatch(struct bb_ntcp *t, struct stream *s)
{
	static const uint8_t order[] = { BB_STREAM_CONNECTED, BB_STREAM_TX_RELEASED, BB_STREAM_TX_ROOM,
		BB_STREAM_READABLE, BB_STREAM_CLOSED };

	t->current = s;
	for (size_t i = 0; i < BB_ARRAY_LEN(order) && t->current == s; i++) {
		const uint8_t e = order[i];
		uint64_t arg = 0;
		if (!(s->events & EV(e)))
			continue;
		s->events &= ~EV(e);
		if (e == BB_STREAM_TX_ROOM) {
			if (!(s->base.flags & BB_STREAM_TX_BLOCKED))
				continue;
			s->base.flags &= ~(uint32_t)BB_STREAM_TX_BLOCKED;
		} else if (e == BB_STREAM_TX_RELEASED) {
			arg = s->released;
			s->released = 0;
		} else if (e == BB_STREAM_CLOSED) {
			arg = s->reason;
			s->events = 0; /* nothing follows */
		}
		s->base.on_event(&s->base, e, arg);
	}
	t->current = NULL;
}

static uint32_t
transport_poll(struct bb_transport *base, uint64_t now_ns, uint32_t budget)
{
	struct bb_ntcp *t = transport_of(base);
	struct bb_list later;
	struct bb_list *node;
	uint32_t n = 0;

	bb_list_init(&later);
	t->conf.receive(t->conf.ctx, now_ns);
	n += bb_net_poll(t->conf.net, now_ns) > 0;
	announce(t);
	while (n < budget && (node = bb_list_pop(&t->pending)) != NULL) {
		struct stream *s = bb_list_entry(node, struct stream, pending);
		if (s->base.on_event == NULL) {
			bb_list_append(&later, node); /* nobody has adopted it */
			continue;
		}
		dispatch(t, s);
		n++;
	}
	while ((node = bb_list_pop(&later)) != NULL)
		bb_list_append(&t->pending, node);
	/* What was pushed leaves in this turn. */
	bb_net_poll(t->conf.net, now_ns);
	return n;
}

static int
transport_connect(struct bb_transport *base, const struct sockaddr *to,
	const struct bb_stream_options *options, struct bb_stream **ret_stream)
{
	struct bb_ntcp *t = transport_of(base);
	struct bb_ip ip;
	uint16_t port;
	int r = to_ip(to, &ip, &port);

	if (r < 0)
		return r;
	struct stream *s = stream_create(t);
	if (s == NULL)
		return -ENOMEM;
	r = bb_tcp_connect(t->conf.net, NULL, 0, &ip, port, &tcp_ops, s, &s->c);
	if (r < 0) {
		bb_mem_free(t->conf.mem, s, sizeof(*s));
		return r;
	}
	if (options->rcvbuf_bytes != 0)
		bb_tcp_set_rcvbuf(t->conf.net, s->c, options->rcvbuf_bytes);
	*ret_stream = &s->base;
	return 0;
}

int
bb_ntcp_listen_open(struct bb_ntcp *t, const struct sockaddr *at, uint32_t backlog, int *ret_fd)
{
	struct listener *slot = NULL;
	struct bb_ip ip;
	uint16_t port;
	const int r = to_ip(at, &ip, &port);

	if (r < 0)
		return r;
	for (int i = 0; i < LISTENERS_MAX; i++) {
		struct listener *l = &t->listeners[i];
		if (!l->used)
			slot = slot == NULL ? l : slot;
		else if (l->port == port && bb_ip_eq(&l->ip, &ip))
			return -EADDRINUSE;
	}
	if (slot == NULL)
		return -ENOBUFS;
	*slot = (struct listener){ .t = t, .ip = ip, .port = port, .used = true };
	slot->backlog = backlog != 0 ? backlog : ACCEPTED_DEFAULT;
	*ret_fd = (int)(slot - t->listeners);
	return 0;
}

static int
transport_listen(struct bb_transport *base, int fd, uint32_t side)
{
	struct bb_ntcp *t = transport_of(base);

	if (fd < 0 || fd >= LISTENERS_MAX || !t->listeners[fd].used || t->listeners[fd].l != NULL)
		return -EBADF;
	struct listener *l = &t->listeners[fd];
	l->side = side;
	return bb_tcp_listen(t->conf.net, &l->ip, l->port, l->backlog, on_accept, l, &l->l);
}

static void
transport_unlisten(struct bb_transport *base, uint32_t side)
{
	struct bb_ntcp *t = transport_of(base);

	for (int i = 0; i < LISTENERS_MAX; i++) {
		struct listener *l = &t->listeners[i];
		if (!l->used || l->l == NULL || l->side != side)
			continue;
		bb_tcp_unlisten(t->conf.net, l->l);
		*l = (struct listener){ .used = false };
	}
}

static struct stream *
accepted_take(struct bb_ntcp *t, int fd)
{
	if (fd < 0 || (uint32_t)fd >= t->conf.accepted_max)
		return NULL;
	struct stream *s = t->accepted[fd];
	t->accepted[fd] = NULL;
	return s;
}

static int
transport_adopt(struct bb_transport *base, int fd, const struct bb_stream_options *options,
	struct bb_stream **ret_stream, char ret_address[64])
{
	struct bb_ntcp *t = transport_of(base);
	struct stream *s = accepted_take(t, fd);
	char text[INET6_ADDRSTRLEN];

	if (s == NULL)
		return -EBADF;
	if (s->c == NULL) { /* gone before anybody saw it */
		stream_destroy(&s->base);
		return -ECONNRESET;
	}
	struct bb_flow_key key;
	bb_tcp_tuple(s->c, &key);
	const bool is4 = bb_ip_is4(&key.remote);
	inet_ntop(is4 ? AF_INET : AF_INET6, key.remote.b + (is4 ? 12 : 0), text, sizeof(text));
	snprintf(ret_address, 64, is4 ? "%s:%u" : "[%s]:%u", text, key.rport);
	if (options->rcvbuf_bytes != 0)
		bb_tcp_set_rcvbuf(t->conf.net, s->c, options->rcvbuf_bytes);
	*ret_stream = &s->base;
	return 0;
}

static void
transport_discard(struct bb_transport *base, int fd)
{
	struct stream *s = accepted_take(transport_of(base), fd);

	if (s != NULL)
		stream_destroy(&s->base);
}

static const struct bb_transport_ops transport_ops = {
	.poll = transport_poll,
	.connect = transport_connect,
	.listen = transport_listen,
	.unlisten = transport_unlisten,
	.adopt = transport_adopt,
	.discard = transport_discard,
};

int
bb_ntcp_create(const struct bb_ntcp_config *conf, struct bb_ntcp **ret_ntcp)
{
	struct bb_ntcp *t = bb_mem_zalloc(conf->mem, sizeof(*t));

	if (t == NULL)
		return -ENOMEM;
	t->conf = *conf;
	if (t->conf.accepted_max == 0)
		t->conf.accepted_max = ACCEPTED_DEFAULT;
	t->base.ops = &transport_ops;
	t->base.wait_fd = -1;
	bb_list_init(&t->pending);
	t->accepted = bb_mem_zalloc(conf->mem, t->conf.accepted_max * sizeof(*t->accepted));
	if (t->accepted == NULL) {
		bb_mem_free(conf->mem, t, sizeof(*t));
		return -ENOMEM;
	}
	*ret_ntcp = t;
	return 0;
}

void
bb_ntcp_destroy(struct bb_ntcp *t)
{
	if (t == NULL)
		return;
	for (int i = 0; i < LISTENERS_MAX; i++)
		if (t->listeners[i].used && t->listeners[i].l != NULL)
			bb_tcp_unlisten(t->conf.net, t->listeners[i].l);
	for (uint32_t fd = 0; fd < t->conf.accepted_max; fd++)
		transport_discard(&t->base, (int)fd);
	bb_mem_free(t->conf.mem, t->accepted, t->conf.accepted_max * sizeof(*t->accepted));
	bb_mem_free(t->conf.mem, t, sizeof(*t));
}

struct bb_transport *
bb_ntcp_transport(struct bb_ntcp *t)
{
	return &t->base;
}
