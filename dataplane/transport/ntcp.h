/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ntcp: byte streams over our own TCP (net/tcp.h). Implements transport/stream.h, without BB_STREAM_COPIES: what is
 * pushed is referred to until the peer has acknowledged it.
 *
 * Descriptors of listeners and of accepted connections are numbers of this transport. An instance of the stack
 * shares nothing, so a connection is adopted on the core that accepted it.
 *
 * poll() is the stack's loop, too: it takes what the NIC has received, runs timers, delivers events and sends.
 *
 * Thread: the I/O core that polls it.
 */
#ifndef BB_TRANSPORT_NTCP_H
#define BB_TRANSPORT_NTCP_H

#include <stdint.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "transport/stream.h"

struct bb_net;
struct bb_ntcp;

struct bb_ntcp_config {
	struct bb_net *net; /* outlives the transport */
	/* Give what the port has received to bb_net_input; called from poll. */
	void (*receive)(void *ctx, uint64_t now_ns);
	void *ctx;
	struct bb_mem *mem;    /* for streams */
	uint32_t accepted_max; /* connections that wait to be adopted; 0: 4096 */
};

/* 0 or -ENOMEM. */
int bb_ntcp_create(const struct bb_ntcp_config *conf, struct bb_ntcp **ret_ntcp);

/* NULL is allowed. All streams must have been destroyed; listeners are closed, what nobody adopted is reset. */
void bb_ntcp_destroy(struct bb_ntcp *t);

struct bb_transport *bb_ntcp_transport(struct bb_ntcp *t);

/* Open a listener for bb_transport_ops.listen. 0, -EADDRINUSE, -EADDRNOTAVAIL, -ENOBUFS, -EAFNOSUPPORT. */
int bb_ntcp_listen_open(struct bb_ntcp *t, const struct sockaddr *at, uint32_t backlog, int *ret_fd);

#endif
