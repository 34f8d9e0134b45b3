/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ktcp: byte streams over the kernel's TCP, IPv4 and IPv6: non-blocking sockets in one edge-triggered epoll
 * set per I/O core. Implements transport/stream.h, with BB_STREAM_COPIES.
 *
 * Views lie in one buffer per core. A stream owns memory only for what its last view left unconsumed, in the
 * size of that, so that an idle peer costs its struct and its socket.
 *
 * A reset does not hide what arrived before it: the bytes are shown first, then CLOSED comes.
 *
 * Keepalive is the kernel's, as the options say. TCP_USER_TIMEOUT is not used on purpose: Linux counts a
 * closed window as silence, so a peer that is alive and merely reads slowly would be cut off. A dead peer
 * that owes us acknowledgements is found by ZMTP's heartbeats.
 *
 * Thread: the I/O core that polls it, but for bb_ktcp_listen_open(), which any thread may call.
 */
#ifndef BB_TRANSPORT_KTCP_H
#define BB_TRANSPORT_KTCP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "transport/stream.h"

/* What no session sees. Counts since creation. */
struct bb_ktcp_stats {
	uint64_t accepted;
	uint64_t accept_pauses; /* accepting was suspended: no descriptor or no memory for one more connection
				 */
	uint64_t accept_shed;	/* connections closed unserved for want of a descriptor */
	uint64_t accept_errors; /* accept failed otherwise, for that connection alone */
};

struct bb_ktcp;

/* mem: for streams and what they carry over; outlives it. Uses three descriptors. 0 or negative errno. */
int bb_ktcp_create(struct bb_mem *mem, struct bb_ktcp **ret_ktcp);

/* NULL is allowed. All streams must have been destroyed; listeners are closed. */
void bb_ktcp_destroy(struct bb_ktcp *k);

struct bb_transport *bb_ktcp_transport(struct bb_ktcp *k);
const struct bb_ktcp_stats *bb_ktcp_stats(const struct bb_ktcp *k);

struct bb_ktcp_listen_options {
	uint32_t backlog; /* 0: what the kernel allows at most */
	bool reuseport;
	uint32_t sndbuf_bytes, rcvbuf_bytes; /* inherited by accepted sockets; 0: the kernel tunes them */
};

/*
 * Open a socket that listens at an address, for bb_transport_ops.listen. The IPv6 wildcard takes IPv4, too;
 * on a machine without IPv6 it means the IPv4 wildcard. Port 0: the kernel chooses, see ret_bound (may be
 * NULL). 0 or negative errno: -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -EMFILE, -EAFNOSUPPORT ...
 */
int bb_ktcp_listen_open(const struct sockaddr *at, const struct bb_ktcp_listen_options *options, int *ret_fd,
	struct sockaddr_storage *ret_bound);

/* "10.0.0.7:40312" or "[fd00::1]:40312"; "unknown" for other families. IPv4 in IPv6 is written as IPv4. */
void bb_ktcp_address_text(const struct sockaddr *a, char ret_text[64]);

#endif
