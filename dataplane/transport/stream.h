/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stream: one byte stream to one peer, as sessions see it. Kernel TCP, our own TCP and the simulator
 * implement it.
 *
 * Reading: in-order bytes without copy. bb_stream_rx_view() shows what is there; exactly one
 * bb_stream_rx_consume() follows before any other stream of the same transport is viewed (a view of no
 * entries needs none). What was not consumed stands at the front of the next view, whether or not anything
 * came behind it: with the same bounds a view is never shorter than what the last one left, and a session
 * that needs up to BB_VIEW_MAX bytes at once gets to see them. Consumption is apart from arrival: who does not
 * consume closes the peer's window.
 *
 * Writing: bb_stream_tx_push() takes bytes from the front of the pieces, as many as the transport will take
 * now; empty pieces are allowed. A transport with BB_STREAM_COPIES has done with them on return. Without it
 * the pieces stay the sender's to keep immutable until a TX_RELEASED event says that the peer has
 * acknowledged them (oldest first). Before CONNECTED a push takes nothing, and TX_ROOM follows. Nothing is
 * pushed after finish.
 *
 * Closing:
 *
 * - bb_stream_finish(): no more will be written: half-close (FIN) behind what was taken. Reading goes on.
 * - bb_stream_abort(): at once, RST where the protocol has one; bytes not acknowledged are lost. No event
 *   comes any more; only bb_stream_destroy() is left.
 * - bb_stream_destroy() frees the stream; no event comes any more. It closes in order if nothing is owed to
 *   the peer: finished, or RX_END was shown, and no backlog. Else it aborts.
 *
 * Linger is the session's affair: finish, wait until bb_stream_tx_backlog() is 0 or the time is up, destroy.
 * An unacknowledged FIN counts in the backlog.
 *
 * Events come from the transport's poll step (bb_transport_poll), never from within a call of a stream
 * function. Within an event any stream may be destroyed, that one too:
 *
 * - CONNECTED: an outgoing connection is up (accepted ones are from the start)
 * - READABLE: bytes or the end have arrived since the last view that drained the stream (edge)
 * - TX_ROOM: there is room again after a push that took less than it was given (edge)
 * - TX_RELEASED: arg bytes are acknowledged (not with BB_STREAM_COPIES)
 * - CLOSED: arg = enum bb_stream_reason; the stream is dead, only bb_stream_destroy() is left
 *
 * An orderly end of the peer's direction is no event but BB_STREAM_RX_END: after all bytes have been viewed.
 * A transport may show the bytes that arrived before a reset as if the peer had finished, and send CLOSED
 * when a view of them was consumed whole or not at all; after one that was consumed in part comes READABLE.
 * Who does not view learns of the reset from tx_push, or later.
 *
 * Thread: the I/O core that owns the stream, alone. Nothing here blocks; nothing reads a clock.
 */
#ifndef BB_TRANSPORT_STREAM_H
#define BB_TRANSPORT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "msg/endpoint.h"

struct iovec;
struct sockaddr;
struct bb_stream;

enum bb_stream_event {
	BB_STREAM_CONNECTED,
	BB_STREAM_READABLE,
	BB_STREAM_TX_ROOM,
	BB_STREAM_TX_RELEASED,
	BB_STREAM_CLOSED,
};

enum bb_stream_reason {
	BB_STREAM_RESET,       /* the peer aborted */
	BB_STREAM_REFUSED,     /* nobody listens there */
	BB_STREAM_UNREACHABLE, /* no route, no host */
	BB_STREAM_TIMED_OUT,   /* no answer: keepalive, user time-out, connect time-out */
	BB_STREAM_NO_MEMORY,
	BB_STREAM_FAILED, /* anything else; logged where it is seen */
	BB_STREAM_REASON_COUNT,
};

/* Stable short names for counters and logs. */
const char *bb_stream_reason_name(enum bb_stream_reason reason);

enum {
	BB_STREAM_COPIES = 1,	  /* constant: pushed bytes are copied or gone on return */
	BB_STREAM_RX_MORE = 2,	  /* more may be readable though no event will come: view again next turn */
	BB_STREAM_RX_END = 4,	  /* the peer has finished, and the last view showed all bytes */
	BB_STREAM_TX_BLOCKED = 8, /* the last push took less than it was given; TX_ROOM will come */
};

struct bb_stream_ops {
	/*
	 * Show unread bytes, at most bytes_max (and at most BB_TURN_READ_BYTES), oldest first. Returns
	 * entries filled; 0: there are none (see RX_END). Entries stay valid until rx_consume. RX_MORE and
	 * RX_END tell of this view; they are never set together.
	 */
	size_t (*rx_view)(struct bb_stream *s, struct iovec *iov, size_t iov_max, size_t bytes_max);
	/* Done with the first n bytes of the view; n = 0 is allowed. */
	void (*rx_consume)(struct bb_stream *s, size_t n);
	/*
	 * Write from the front of the pieces. Returns bytes taken (0: none now), or a negative errno when the
	 * stream is broken (CLOSED follows).
	 */
	ssize_t (*tx_push)(struct bb_stream *s, const struct iovec *iov, size_t iov_count);
	/* Bytes taken and not acknowledged by the peer. */
	uint64_t (*tx_backlog)(struct bb_stream *s);
	void (*finish)(struct bb_stream *s);
	void (*abort)(struct bb_stream *s);
	void (*destroy)(struct bb_stream *s);
};

/* The common head of every transport's stream. */
struct bb_stream {
	const struct bb_stream_ops *ops;
	/* Set by the session before the next poll of the transport. */
	void (*on_event)(struct bb_stream *s, enum bb_stream_event event, uint64_t arg);
	void *user;
	uint32_t flags; /* BB_STREAM_*, written by the transport */
};

/* The address of a peer, or of a listener: "tcp://10.0.0.1:5559", "tcp://[fd00::1]:5559". */
#define BB_ADDRESS_TEXT_MAX 128

/*
 * One transport on one I/O core.
 *
 * A descriptor is whatever the transport accepts: for the kernel a socket, for the simulator a number of its
 * own. It may be accepted on one I/O core and adopted on another, so both have a transport of the same kind.
 */
struct bb_transport;
struct bb_transport_ops {
	/* Deliver events of at most budget streams and listeners; returns how many. now_ns: the loop's clock.
	 */
	uint32_t (*poll)(struct bb_transport *t, uint64_t now_ns, uint32_t budget);
	/*
	 * Begin an outgoing connection to a resolved address; CONNECTED or CLOSED follows. 0 or negative
	 * errno
	 * (-EMFILE, -ENOMEM, -EINVAL).
	 */
	int (*connect)(struct bb_transport *t, const struct sockaddr *to,
		const struct bb_stream_options *options, struct bb_stream **ret_stream);
	/* Serve a listening descriptor for a side; it is the transport's from now on. 0 or negative errno:
	 * still the caller's. */
	int (*listen)(struct bb_transport *t, int fd, uint32_t side);
	/* Close all listeners of a side. Accepted descriptors are not touched. */
	void (*unlisten)(struct bb_transport *t, uint32_t side);
	/*
	 * Make a stream of an accepted descriptor, which is the transport's in any case (closed on error).
	 * Fills in the peer's address as text without scheme, "10.0.0.7:40312". 0 or negative errno.
	 */
	int (*adopt)(struct bb_transport *t, int fd, const struct bb_stream_options *options,
		struct bb_stream **ret_stream, char ret_address[64]);
	/* Close an accepted descriptor that nobody adopts. */
	void (*discard)(struct bb_transport *t, int fd);
};
struct bb_transport {
	const struct bb_transport_ops *ops;
	/* Set by the I/O actor: a listener of side accepted fd, which is the callee's. From within poll. */
	void (*on_accept)(struct bb_transport *t, uint32_t side, int fd);
	void *user;  /* the I/O actor's */
	int wait_fd; /* readable while poll would find events; -1: must be polled */
};

static inline size_t
bb_stream_rx_view(struct bb_stream *s, struct iovec *iov, size_t iov_max, size_t bytes_max)
{
	return s->ops->rx_view(s, iov, iov_max, bytes_max);
}

static inline void
bb_stream_rx_consume(struct bb_stream *s, size_t n)
{
	s->ops->rx_consume(s, n);
}

static inline ssize_t
bb_stream_tx_push(struct bb_stream *s, const struct iovec *iov, size_t iov_count)
{
	return s->ops->tx_push(s, iov, iov_count);
}

static inline uint64_t
bb_stream_tx_backlog(struct bb_stream *s)
{
	return s->ops->tx_backlog(s);
}

static inline void
bb_stream_finish(struct bb_stream *s)
{
	s->ops->finish(s);
}

static inline void
bb_stream_abort(struct bb_stream *s)
{
	s->ops->abort(s);
}

static inline void
bb_stream_destroy(struct bb_stream *s)
{
	s->ops->destroy(s);
}

#endif
