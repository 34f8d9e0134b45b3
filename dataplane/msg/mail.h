/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mail: commands between actors and the agent; never on the path of a message.
 *
 * Every pair (agent, actor) has a ring each way, and every pair of I/O cores one each way. What a mail points
 * to belongs to the receiver from then on, unless its kind says otherwise. Requests of the agent are answered
 * by exactly one mail with the same tag.
 */
#ifndef BB_MSG_MAIL_H
#define BB_MSG_MAIL_H

#include <assert.h>
#include <stdint.h>

enum bb_mail_kind {
	/* agent -> I/O cores and routers; answered DONE */
	BB_MAIL_ENDPOINT = 1, /* ptr: const struct bb_endpoint, new or changed; the agent keeps it alive until
				 all actors have answered DONE to its successor or to REMOVED */
	BB_MAIL_DRAIN,	 /* arg: scope (BB_SCOPE_NODE or an endpoint id), value: deadline on the monotonic
			    clock.   Answered when this actor has nothing of that scope any more */
	BB_MAIL_REMOVED, /* arg: endpoint id, after its drain: forget it */
	/* agent -> one I/O core */
	BB_MAIL_LISTEN,	  /* arg: side index, value: listening descriptor, now the I/O core's; answered DONE.
			     The agent keeps a duplicate while it may want to listen on: close(), never
			     shutdown() */
	BB_MAIL_UNLISTEN, /* arg: side index: close its listeners; answered DONE */
	BB_MAIL_CONNECT,  /* ptr: struct bb_mail_connect, read before DONE; value: attempts of this address
			     before it (above 0 it counts as a reconnect); answered DONE; later LOST with its
			     tag, unless DONE bore an errno */
	BB_MAIL_DISCONNECT, /* value: tag of a CONNECT whose LOST has not come: its address was
			       taken out of the configuration. Close the session (what is queued is dropped as
			       peer_gone); answered DONE, also when there is no such session; LOST follows if
			       there was one */
	/* agent -> one router */
	BB_MAIL_SUBSCRIPTIONS, /* ptr: struct bb_mail_page to fill, the agent's; answered DONE */
	/* I/O core -> I/O core */
	BB_MAIL_ADOPT, /* arg: side index, value: accepted descriptor */
	/* actor -> agent */
	BB_MAIL_DONE = 64, /* arg: 0 or an errno */
	BB_MAIL_LOST,	   /* tag of the CONNECT: that connection ended or never came up; arg: enum
			      bb_stream_reason; value: 1 if its handshake had succeeded, else 0 (then the agent
			      waits longer before the next attempt) */
	BB_MAIL_REPORT, /* ptr: struct bb_cmd_report (abi/command.h) in malloc'ed memory: what linger cut off
			 */
};

#define BB_SCOPE_NODE UINT32_MAX

struct bb_mail {
	uint32_t kind;
	uint32_t arg;
	uint64_t value;
	void *ptr;
	uint64_t tag;
};
static_assert(sizeof(struct bb_mail) == 32, "two per cache line");

struct bb_mail_connect {
	uint16_t side;	     /* index */
	uint8_t address[28]; /* struct sockaddr_in or sockaddr_in6, resolved */
	char text[96];	     /* as configured, for operators */
};

/* A page of the topics of an endpoint, see BB_CMD_SUBSCRIPTIONS. */
struct bb_mail_page {
	uint16_t endpoint;
	uint64_t cursor;
	uint64_t next; /* UINT64_MAX: that was all */
	uint32_t count;
	uint32_t bytes; /* used of entries */
	uint32_t bytes_max;
	uint8_t *entries;
};

#endif
