/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/time.h"
#include "transport/ktcp_priv.h"

#define ACCEPT_BURST 64
#define PAUSE_NS (100 * BB_MSEC)

socklen_t
ktcp_sockaddr_len(const struct sockaddr *a)
{
	switch (a->sa_family) {
	case AF_INET:
		return sizeof(struct sockaddr_in);
	case AF_INET6:
		return sizeof(struct sockaddr_in6);
	default:
		return 0;
	}
}

void
bb_ktcp_address_text(const struct sockaddr *a, char ret_text[64])
{
	const struct sockaddr_in *v4 = (const void *)a;
	const struct sockaddr_in6 *v6 = (const void *)a;
	char host[INET6_ADDRSTRLEN];

	if (a->sa_family == AF_INET) {
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		snprintf(ret_text, 64, "%s:%u", host, ntohs(v4->sin_port));
	} else if (a->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, host, sizeof(host));
		snprintf(ret_text, 64, "%s:%u", host, ntohs(v6->sin6_port));
	} else if (a->sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		snprintf(ret_text, 64, "[%s]:%u", host, ntohs(v6->sin6_port));
	} else {
		snprintf(ret_text, 64, "unknown");
	}
}

static void
set_int(int fd, int level, int name, uint32_t value)
{
	const int v = value > INT32_MAX ? INT32_MAX : (int)value;

	(void)setsockopt(fd, level, name, &v, sizeof(v));
}

static void
set_buffers(int fd, uint32_t sndbuf_bytes, uint32_t rcvbuf_bytes)
{
	if (sndbuf_bytes != 0)
		set_int(fd, SOL_SOCKET, SO_SNDBUF, sndbuf_bytes);
	if (rcvbuf_bytes != 0)
		set_int(fd, SOL_SOCKET, SO_RCVBUF, rcvbuf_bytes);
}

void
ktcp_set_options(int fd, const struct bb_stream_options *o)
{
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (o == NULL)
		return;
	set_buffers(fd, o->sndbuf_bytes, o->rcvbuf_bytes);
	if (o->keepalive_idle_s == 0)
		return;
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, o->keepalive_idle_s);
	if (o->keepalive_interval_s != 0)
		set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, o->keepalive_interval_s);
	if (o->keepalive_count != 0)
		set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, o->keepalive_count);
}

static bool
is_wildcard6(const struct sockaddr *a)
{
	const struct sockaddr_in6 *v6 = (const void *)a;

	return a->sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
}

int
bb_ktcp_listen_open(const struct sockaddr *at, const struct bb_ktcp_listen_options *options, int *ret_fd,
	struct sockaddr_storage *ret_bound)
{
	const struct bb_ktcp_listen_options defaults = { 0 }, *o = options != NULL ? options : &defaults;
	const int backlog = o->backlog == 0 || o->backlog > INT32_MAX ? INT32_MAX : (int)o->backlog;
	const socklen_t len = ktcp_sockaddr_len(at);

	if (len == 0)
		return -EAFNOSUPPORT;
	const int fd = socket(at->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 && errno == EAFNOSUPPORT && is_wildcard6(at)) {
		const struct sockaddr_in v4 = {
			.sin_family = AF_INET,
			.sin_port = ((const struct sockaddr_in6 *)(const void *)at)->sin6_port,
		};
		return bb_ktcp_listen_open((const void *)&v4, o, ret_fd, ret_bound);
	}
	if (fd < 0)
		return -errno;

	set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (o->reuseport)
		set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (at->sa_family == AF_INET6)
		set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, !is_wildcard6(at));
	/* The window's scale is fixed by the SYN, so the buffers are set here and inherited. */
	set_buffers(fd, o->sndbuf_bytes, o->rcvbuf_bytes);

	struct sockaddr_storage bound = { 0 };
	socklen_t bound_len = sizeof(bound);
	if (bind(fd, at, len) < 0 || listen(fd, backlog) < 0 ||
		getsockname(fd, (void *)&bound, &bound_len) < 0) {
		const int rc = -errno;
		close(fd);
		return rc;
	}
	if (ret_bound != NULL)
		*ret_bound = bound;
	*ret_fd = fd;
	return 0;
}

/* Listeners are level-triggered: what one burst leaves is found by the next poll. */
static int
watch(struct ktcp_listener *l, int op, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.u64 = (uintptr_t)l | KTCP_TAG_LISTENER };

	return epoll_ctl(l->k->epoll_fd, op, l->fd, &ev);
}

int
ktcp_listen(struct bb_transport *t, int fd, uint32_t side)
{
	struct bb_ktcp *k = ktcp_of(t);
	const int fl = fcntl(fd, F_GETFL);

	if (fl < 0 || fcntl(fd, F_SETFL, fl | O_NONBLOCK) < 0)
		return -errno;
	struct ktcp_listener *l = bb_mem_alloc(k->mem, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	*l = (struct ktcp_listener){ .k = k, .fd = fd, .side = side };
	if (watch(l, EPOLL_CTL_ADD, k->paused_until_ns == 0 ? EPOLLIN : 0) < 0) {
		const int rc = -errno;
		bb_mem_free(k->mem, l, sizeof(*l));
		return rc;
	}
	bb_list_append(&k->listeners, &l->node);
	return 0;
}

static void
close_listener(struct ktcp_listener *l)
{
	/* close() alone would not take it out of the epoll set: the agent may hold a duplicate. */
	(void)watch(l, EPOLL_CTL_DEL, 0);
	close(l->fd);
	l->fd = -1;
	bb_list_remove(&l->node);
	bb_list_append(&l->k->dead_listeners, &l->node);
}

void
ktcp_bury_listeners(struct bb_ktcp *k)
{
	struct bb_list *n;

	while ((n = bb_list_pop(&k->dead_listeners)) != NULL)
		bb_mem_free(
			k->mem, bb_list_entry(n, struct ktcp_listener, node), sizeof(struct ktcp_listener));
}

void
ktcp_unlisten(struct bb_transport *t, uint32_t side)
{
	struct bb_ktcp *k = ktcp_of(t);

	bb_list_for_each(n, &k->listeners)
	{
		struct ktcp_listener *l = bb_list_entry(n, struct ktcp_listener, node);
		if (l->side == side)
			close_listener(l);
	}
	if (!k->in_poll)
		ktcp_bury_listeners(k);
}

void
ktcp_close_listeners(struct bb_ktcp *k)
{
	bb_list_for_each(n, &k->listeners) close_listener(bb_list_entry(n, struct ktcp_listener, node));
	ktcp_bury_listeners(k);
}

static void
watch_all(struct bb_ktcp *k, uint32_t events)
{
	bb_list_for_each(n, &k->listeners)(void)
		watch(bb_list_entry(n, struct ktcp_listener, node), EPOLL_CTL_MOD, events);
}

static void
take_reserve(struct bb_ktcp *k)
{
	if (k->reserve_fd < 0)
		k->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/*
 * No descriptor is left (or no memory): let the connection at the head of the backlog know by closing it,
 * then leave the rest there for a while, instead of finding them again in each turn.
 */
static void
pause_accepting(struct ktcp_listener *l, int error, uint64_t now_ns)
{
	struct bb_ktcp *k = l->k;

	if ((error == EMFILE || error == ENFILE) && k->reserve_fd >= 0) {
		close(k->reserve_fd);
		k->reserve_fd = -1;
		const int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0) {
			close(fd);
			k->stats.accept_shed++;
		}
		take_reserve(k);
	}
	k->stats.accept_pauses++;
	k->paused_until_ns = now_ns + PAUSE_NS;
	watch_all(k, 0);
	ktcp_wake(k, PAUSE_NS);
}

void
ktcp_resume(struct bb_ktcp *k, uint64_t now_ns)
{
	if (k->paused_until_ns == 0)
		return;
	if (now_ns < k->paused_until_ns) {
		ktcp_wake(k, k->paused_until_ns - now_ns);
		return;
	}
	k->paused_until_ns = 0;
	take_reserve(k);
	watch_all(k, EPOLLIN);
}

void
ktcp_listener_ready(struct ktcp_listener *l, uint64_t now_ns)
{
	struct bb_ktcp *k = l->k;

	BB_ASSERT(k->base.on_accept != NULL);
	for (int i = 0; i < ACCEPT_BURST && l->fd >= 0 && k->paused_until_ns == 0; i++) {
		const int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			k->stats.accepted++;
			k->base.on_accept(&k->base, l->side, fd);
			continue;
		}
		switch (errno) {
		case EAGAIN:
			return;
		case EMFILE:
		case ENFILE:
		case ENOMEM:
		case ENOBUFS:
			pause_accepting(l, errno, now_ns);
			return;
		default: /* the connection at the head broke before it was accepted; it is gone from the queue
			  */
			k->stats.accept_errors++;
		}
	}
}
