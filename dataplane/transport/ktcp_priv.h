/* SPDX-License-Identifier: BSD-3-Clause */
/* ktcp_priv: what ktcp.c (streams) and ktcp_listen.c (listeners and sockets) share. */
#ifndef BB_TRANSPORT_KTCP_PRIV_H
#define BB_TRANSPORT_KTCP_PRIV_H

#include "base/limits.h"
#include "base/list.h"
#include "transport/ktcp.h"

#define KTCP_EVENTS 128			      /* taken from epoll at a time */
#define KTCP_GATHER_BYTES BB_TURN_WRITE_BYTES /* small pieces of one write; a call costs more than the copy \
					       */
#define KTCP_IOV 64			      /* pieces of one write */

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
