/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * delivery: what a router tells an I/O core, in order: ranges of message bytes and their receivers, and
 * answers.
 *
 * One ring per (router, I/O core); elements of 32 bytes, staged during a step and published in bursts.
 *
 *   kind          who         rest
 *   MSGS_ONE      session     range; for exactly that session
 *   MSGS_SET      set         range; for the members of the set on this I/O core (msg/set.h)
 *   CLOSED        0           nothing but the CLOSE flag
 *   WINDOW        total       bytes of the side's input that this router has done with since start, from this
 *                             I/O core. State: only the newest counts.
 *   GRANTED       session     range = the routing id that it has now (len octets; none if len = 0)
 *   REFUSED       session     msgs: enum bb_refusal
 *   GONE_DONE     session     this router has forgotten it (msg/handle.h)
 *   UPSTREAM      session     range = one subscription or cancel for that publisher: len octets of topic,
 *                             flags BB_DELIVERY_CANCEL or 0
 *   UPSTREAM_END  session     the publisher was told all there is for now; changes follow as they come
 *   END           total       scope: nothing of it follows from this router
 *
 * Who owns: a range {buffer, offset, len} is covered by references that travel with the deliveries of one
 * buffer to one I/O core: BB_DELIVERY_OPEN on the first hands over one reference, BB_DELIVERY_CLOSE on the
 * last tells that no further delivery counts on it. Between them the I/O core keeps the buffer even if it
 * holds no span of it. So there is one atomic per slice and core, not one per message. CLOSE may also come as
 * an element of its own, kind CLOSE. A message in a chain is named by the chain's head; offset and len count
 * through the chain.
 *
 * A destination set stays valid until the I/O core reports, by its done counter (bb_delivery_progress), that
 * it is through with the elements up to its retirement.
 */
#ifndef BB_MSG_DELIVERY_H
#define BB_MSG_DELIVERY_H

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/compiler.h"
#include "msg/handle.h"

enum bb_delivery_kind {
	BB_DELIVERY_MSGS_ONE = 1,
	BB_DELIVERY_MSGS_SET,
	BB_DELIVERY_CLOSED, /* nothing but the CLOSE flag */
	BB_DELIVERY_WINDOW,
	BB_DELIVERY_GRANTED,
	BB_DELIVERY_REFUSED,
	BB_DELIVERY_GONE_DONE,
	BB_DELIVERY_UPSTREAM,
	BB_DELIVERY_UPSTREAM_END,
	BB_DELIVERY_END,
};

enum {
	BB_DELIVERY_OPEN = 1,
	BB_DELIVERY_CLOSE = 2,
	BB_DELIVERY_CANCEL = 4,
	BB_DELIVERY_CHAIN = 8, /* buffer is the head of a chain */
};

/* Why a session is not let in, or has to go; the words stand in ERROR commands, counters and logs. */
enum bb_refusal {
	BB_REFUSED_ID_TAKEN = 1, /* routing id in use and no handover */
	BB_REFUSED_ID_BAD,	 /* begins with 0, or too long */
	BB_REFUSED_NO_MEMORY,
	BB_REFUSED_REMOVED, /* the side is being removed */
	/* of peers that were let in: they are to be closed */
	BB_REFUSED_SUBSCRIPTIONS, /* more or longer ones than allowed */
	BB_REFUSED_SLOW,	  /* kept others waiting beyond block_max */
};

struct bb_delivery {
	union {
		bb_handle session;
		const struct bb_set *set;
		uint64_t total;
	};
	uint32_t buffer; /* BB_BUFFER_NONE: no range */
	uint32_t offset;
	uint32_t len;
	uint32_t msgs; /* messages in the range; cause for REFUSED */
	uint16_t side; /* MSGS: that the messages came from; else the session's: endpoint * 2 + (0 or 1) */
	uint8_t kind;
	uint8_t flags;
	uint32_t reserved;
};
static_assert(sizeof(struct bb_delivery) == 32, "two per cache line");

/* Elements that the I/O core is done with, of one ring. Written by the I/O core once a turn, read by the
 * router. */
struct bb_delivery_progress {
	BB_NO_SHARE _Atomic uint64_t done;
};

#endif
