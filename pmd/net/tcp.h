/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcp: connections as byte streams, non-blocking, driven by events.
 *
 * Receiving: bb_tcp_rx_view shows the bytes that are in order, where they lie; bb_tcp_rx_consume gives them
 * back. What is not consumed closes the peer's window. Sending: bb_tcp_tx_push takes references to memory of
 * the caller that must stay as it is until tx_released has counted it (or closed came): it is what
 * retransmissions are built from.
 *
 * Events are delivered from bb_net_input and bb_net_poll, never from within a call of this header. `closed`
 * comes exactly once for each connection that connect returned or accept took, as the last event; the handle
 * is invalid when it returns. Everything pushed and not yet released is released by it.
 *
 *   bb_tcp_shutdown   no more to send: FIN behind what was pushed; receiving goes on
 *   bb_tcp_close      shutdown, and no more to receive; unread data turns it into an abort (RFC 2525 2.17)
 *   bb_tcp_abort      RST at once
 *
 * Owner: the core of the instance.
 */
#ifndef BB_NET_TCP_H
#define BB_NET_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "net/ip.h"

struct bb_net;
struct bb_tcp;
struct bb_tcp_listener;

/* Why a connection is gone. */
enum bb_tcp_reason {
	BB_TCP_DONE,	    /* both directions ended in order */
	BB_TCP_RESET,	    /* by the peer */
	BB_TCP_REFUSED,	    /* nobody listens there */
	BB_TCP_TIMEOUT,	    /* the peer is silent */
	BB_TCP_UNREACHABLE, /* an ICMP error ended an attempt to connect */
	BB_TCP_ABORTED,	    /* by us: abort, or close with unread data, or linger ran out */
};

struct bb_tcp_ops {
	void (*connected)(void *ctx, struct bb_tcp *c);
	/* There are bytes to view, or the peer has ended (bb_tcp_rx_eof). */
	void (*readable)(void *ctx, struct bb_tcp *c);
	/* The next bytes, in the order they were pushed, are acknowledged: their memory is the caller's
	 * again. */
	void (*tx_released)(void *ctx, struct bb_tcp *c, uint64_t bytes);
	/* After a push that took less than all: it takes at least this many bytes now. */
	void (*tx_room)(void *ctx, struct bb_tcp *c, uint64_t bytes);
	void (*closed)(void *ctx, struct bb_tcp *c, enum bb_tcp_reason reason);
};

struct bb_tcp_span {
	const uint8_t *data;
	void *owner; /* handed to the edge with each packet that refers to this memory; may be NULL */
	uint32_t len;
};

/*
 * A client finished its handshake. True takes the connection; before it returns the callee sets its ops with
 * bb_tcp_set_ops. False leaves the client waiting: it will be offered again when it repeats itself.
 */
typedef bool bb_tcp_accept_fn(void *ctx, struct bb_tcp *c);

/*
 * Accept connections to ip (all zero of a family: each of our addresses; `::` is both families) and port.
 * backlog limits unfinished handshakes. -EADDRINUSE, -EADDRNOTAVAIL, -ENOBUFS.
 */
int bb_tcp_listen(struct bb_net *net, const struct bb_ip *ip, uint16_t port, uint32_t backlog,
	bb_tcp_accept_fn *accept, void *ctx, struct bb_tcp_listener **ret);

/* Unfinished handshakes are forgotten, accepted connections stay. */
void bb_tcp_unlisten(struct bb_net *net, struct bb_tcp_listener *l);

/*
 * Begin to connect. local NULL: chosen by route; lport 0: a random one whose tuple is free. -EADDRNOTAVAIL
 * (no address, or no port is left), -EADDRINUSE, -ENETUNREACH, -ENOBUFS (connection table full).
 */
int bb_tcp_connect(struct bb_net *net, const struct bb_ip *local, uint16_t lport, const struct bb_ip *remote,
	uint16_t rport, const struct bb_tcp_ops *ops, void *ctx, struct bb_tcp **ret);

void bb_tcp_set_ops(struct bb_tcp *c, const struct bb_tcp_ops *ops, void *ctx);

/* Describe the bytes in order in at most iov_max entries; returns how many were filled. */
size_t bb_tcp_rx_view(const struct bb_net *net, const struct bb_tcp *c, struct iovec *iov, size_t iov_max);
/* Give back the first n bytes of the view. */
void bb_tcp_rx_consume(struct bb_net *net, struct bb_tcp *c, uint32_t n);
/* Bytes to view. */
uint32_t bb_tcp_rx_bytes(const struct bb_tcp *c);
/* The peer has ended its stream; bytes before that may still be there to view. */
bool bb_tcp_rx_fin(const struct bb_tcp *c);
/* The peer has ended its stream and everything before that was consumed. */
bool bb_tcp_rx_eof(const struct bb_tcp *c);

/*
 * Push spans to be sent in order; returns how many were taken, whole spans only. Fewer than all: the send
 * buffer is full, tx_room will follow. -EPIPE after shutdown or when the connection is gone.
 */
int bb_tcp_tx_push(struct bb_net *net, struct bb_tcp *c, const struct bb_tcp_span *spans, uint32_t n);
/* Bytes pushed and not yet acknowledged; of these, not yet sent once. */
uint64_t bb_tcp_tx_backlog(const struct bb_tcp *c);
uint64_t bb_tcp_tx_unsent(const struct bb_tcp *c);
/* After shutdown: the peer has acknowledged our end. */
bool bb_tcp_tx_done(const struct bb_tcp *c);

void bb_tcp_shutdown(struct bb_net *net, struct bb_tcp *c);
/* linger_ns: abort if it is not done by then; BB_NEVER: the stack's own limits apply. */
void bb_tcp_close(struct bb_net *net, struct bb_tcp *c, uint64_t linger_ns);
void bb_tcp_abort(struct bb_net *net, struct bb_tcp *c);

/* Nagle's algorithm, off unless asked for. */
void bb_tcp_set_nagle(struct bb_tcp *c, bool on);
/* While corked only full segments leave. */
void bb_tcp_set_cork(struct bb_net *net, struct bb_tcp *c, bool on);
/* Receive buffer of this connection; the right edge promised before stays promised. */
void bb_tcp_set_rcvbuf(struct bb_net *net, struct bb_tcp *c, uint32_t bytes);

void bb_tcp_tuple(const struct bb_tcp *c, struct bb_flow_key *ret);

/* What an operator sees of a connection. */
struct bb_tcp_info {
	const char *state;
	uint64_t srtt_ns, rttvar_ns, rto_ns, min_rtt_ns;
	uint32_t cwnd, ssthresh, pipe; /* bytes; ssthresh UINT32_MAX: none yet */
	uint32_t mss, rcv_mss, snd_wnd, rcv_wnd;
	uint32_t unacked_bytes, unsent_bytes, unread_bytes, ooo_bytes;
	uint32_t retransmits; /* segments, since the connection began */
	uint32_t reo_wnd_mult;
	uint8_t backoff;
	bool sack, timestamps, wscale, ecn, in_recovery, in_loss;
};
void bb_tcp_info(const struct bb_net *net, const struct bb_tcp *c, struct bb_tcp_info *ret);

#endif
