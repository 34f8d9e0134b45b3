/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * channel: the data plane's end of the command channel (abi/command.h): the listening socket, its
 * connections, packets in and out.
 *
 * It checks frames and lengths, knows who is in control, and never waits for anybody: packets that a
 * connection does not take now are queued, and one that leaves CHANNEL_QUEUE_MAX packets unread is
 * disconnected. What a packet means is the agent's affair.
 *
 * A few connections may stand at once, so that a second control can be told -EBUSY; the first to say HELLO is
 * in control until its connection ends. Who does not say HELLO in HELLO_NS is disconnected.
 *
 * Who may connect: the socket is its owner's alone (mode 0600).
 *
 * Thread: the agent.
 */
#ifndef BB_ENGINE_CHANNEL_H
#define BB_ENGINE_CHANNEL_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/command.h"
#include "base/list.h"
#include "base/time.h"
#include "engine/text.h"

#define BB_CHANNEL_CONNS 4
#define BB_CHANNEL_QUEUE_MAX 256
#define BB_CHANNEL_HELLO_NS (5 * BB_SEC)

/* Names one connection for ever: {generation, slot}. Answers that come too late find it gone. */
typedef uint64_t bb_conn_id;
#define BB_CONN_NONE UINT64_C(0)

struct bb_channel_conn {
	int fd; /* -1: free */
	uint32_t generation;
	bool closing; /* when its queue is empty */
	uint64_t opened_ns;
	struct bb_list queue; /* packets to be sent */
	uint32_t queued;
	uint32_t open_requests; /* requests without an answer; above BB_CHANNEL_QUEUE_MAX it is not read */
};

struct bb_channel {
	int fd; /* listening */
	int lock_fd;
	char path[108];
	bb_conn_id control; /* BB_CONN_NONE: nobody */
	uint32_t generation;
	struct bb_channel_conn conns[BB_CHANNEL_CONNS];
	void *user;
	/* A checked packet: its payload has the length its type demands. */
	void (*on_packet)(void *user, bb_conn_id from, const struct bb_cmd_header *h, const void *payload);
	void (*on_control_gone)(void *user);
};

/*
 * Listen on DIR/dataplane.sock, taking DIR/dataplane.lock. 0 or negative errno with a line of text: -EBUSY
 * another data plane has the directory.
 */
int bb_channel_open(struct bb_channel *c, const char *state_dir, struct bb_text *text);
void bb_channel_close(struct bb_channel *c);

/* Fill in what to wait for; returns how many (at most 1 + BB_CHANNEL_CONNS). */
uint32_t bb_channel_fds(const struct bb_channel *c, struct pollfd *ret);
/* Serve whatever is ready; never waits. */
void bb_channel_poll(struct bb_channel *c, uint64_t now_ns);
/* When bb_channel_poll() wants to be called although nothing is ready. */
uint64_t bb_channel_deadline(const struct bb_channel *c);

/* Make a connection the one in control; false if another is. */
bool bb_channel_take_control(struct bb_channel *c, bb_conn_id id);
bool bb_channel_has_control(const struct bb_channel *c, bb_conn_id id);

/*
 * Send a packet: header, body, then tail (may be empty). fd: passed along, stays the caller's; -1: none. An
 * answer (seq not 0) closes one open request. Packets to connections that are gone are dropped.
 */
void bb_channel_send(struct bb_channel *c, bb_conn_id to, uint16_t type, uint32_t seq, const void *body,
	size_t body_bytes, const void *tail, size_t tail_bytes, int fd);

/* Close when all that was queued has been sent. */
void bb_channel_finish(struct bb_channel *c, bb_conn_id id);

/* True if nothing is queued to any connection. */
bool bb_channel_flushed(const struct bb_channel *c);

#endif
