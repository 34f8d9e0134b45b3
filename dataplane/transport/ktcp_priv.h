/* SPDX-License-Identifier: BSD-3-Clause */
/* ktcp_priv: what ktcp.c (events), ktcp_stream.c (streams) and ktcp_listen.c (listeners, sockets) share. */
#ifndef BB_TRANSPORT_KTCP_PRIV_H
#define BB_TRANSPORT_KTCP_PRIV_H

#include <assert.h>

#include "base/limits.h"
#include "base/list.h"
#include "transport/ktcp.h"

#define KTCP_EVENTS 128 /* taken from epoll at a time */
#define KTCP_GATHER_BYTES                                                                 \
	BB_TURN_WRITE_BYTES /* small pieces of one write; a call costs more than the copy \
			     */
#define KTCP_IOV 64	    /* pieces of one write */

/* What an epoll entry is about: the low bit of its pointer tells streams from listeners; NULL is the timer.
 */
#define KTCP_TAG_LISTENER UINT64_C(1)

struct ktcp_stream;

/* Owner: the I/O core that polls it. */
struct bb_ktcp {
	struct bb_transport base;
	struct bb_mem *mem;
	int epoll_fd;
	int timer_fd;	/* in epoll_fd: wakes the loop for pending work, and when accepting goes on */
	int reserve_fd; /* given up to accept and close a connection when there are no others; -1: is given up
			 */
	bool in_poll;	/* then the dead are buried at its end, since epoll's batch may still name them */
	uint64_t paused_until_ns; /* accepting; 0: it is not paused */
	uint32_t stream_count;
	struct bb_list listeners;
	struct bb_list pending; /* streams whose next event does not come from epoll */
	struct bb_list dead;	/* streams destroyed during poll */
	struct bb_list dead_listeners;

	/* The view that waits for its rx_consume; NULL: none. Its bytes are in rx, or in its carry. */
	struct ktcp_stream *viewed;
	const uint8_t *view;
	size_t view_len;

	struct bb_ktcp_stats stats;
	uint8_t *rx;	 /* BB_TURN_READ_BYTES */
	uint8_t *gather; /* KTCP_GATHER_BYTES */
};

struct ktcp_listener {
	struct bb_list node;
	struct bb_ktcp *k;
	int fd; /* -1: closed, to be freed */
	uint32_t side;
};

/*
 * KTCP_CONNECTING --> KTCP_OPEN --> KTCP_BROKEN --> KTCP_DEAD, each may be left out.
 *
 * KTCP_BROKEN: an error is known, nothing can be sent; what arrived before is still shown.
 * KTCP_DEAD: CLOSED was delivered, or the stream was aborted or destroyed; the descriptor is closed.
 */
enum { KTCP_CONNECTING, KTCP_OPEN, KTCP_BROKEN, KTCP_DEAD };

struct ktcp_stream {
	struct bb_stream base;
	struct bb_ktcp *k;
	struct bb_list node; /* in k->pending or k->dead, or in none */
	uint8_t *carry;	     /* what the last view left unconsumed; NULL: nothing */
	uint32_t carry_len, carry_cap;
	int fd;
	int error; /* errno that broke it; 0: not known yet */
	uint8_t state;
	bool may_read; /* the socket may hold bytes or the end, without a further edge */
	bool ending;   /* epoll has reported an end: the socket is read until the end shows */
	bool ended;    /* the end has shown */
	bool shown;    /* KTCP_BROKEN, and nobody wants more of what arrived */
	bool finished; /* bb_stream_finish() was called */
};
static_assert(sizeof(struct ktcp_stream) <= 2 * BB_CACHE_LINE, "idle peers are counted in tens of thousands");

/* Every change of a stream's state. */
void ktcp_stream_enter(struct ktcp_stream *s, uint8_t state);

/* Nothing can be sent any more; CLOSED follows when what has arrived was shown. */
void ktcp_stream_break(struct ktcp_stream *s, int error);

/* Close the descriptor, with a reset if asked, and let go of everything but the struct. */
void ktcp_stream_die(struct ktcp_stream *s, bool reset);

/* The last step. Not while epoll's batch may name it. */
void ktcp_stream_free(struct ktcp_stream *s);

extern const struct bb_stream_ops ktcp_stream_ops;

static inline struct bb_ktcp *
ktcp_of(struct bb_transport *t)
{
	return bb_container_of(t, struct bb_ktcp, base);
}

/* Make wait_fd readable in after_ns, 0: now. */
void ktcp_wake(struct bb_ktcp *k, uint64_t after_ns);

/* Socket options of a stream; failures of single options do not matter. */
void ktcp_set_options(int fd, const struct bb_stream_options *options);

/* Length of an address by its family; 0 for families that are not ours. */
socklen_t ktcp_sockaddr_len(const struct sockaddr *a);

int ktcp_listen(struct bb_transport *t, int fd, uint32_t side);
void ktcp_unlisten(struct bb_transport *t, uint32_t side);
/* Accept what waits, bounded. */
void ktcp_listener_ready(struct ktcp_listener *l, uint64_t now_ns);
/* Take up accepting again when the pause is over. */
void ktcp_resume(struct bb_ktcp *k, uint64_t now_ns);
void ktcp_bury_listeners(struct bb_ktcp *k);
void ktcp_close_listeners(struct bb_ktcp *k);

#endif
