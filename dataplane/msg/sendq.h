/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sendq: the messages that one session still has to hand to its transport, oldest first.
 *
 * It knows the session's two high-water marks and keeps them exactly. What becomes of a message that does not
 * fit (drop, disconnect) is the caller's policy, not its own. A message counts as queued until its last byte
 * is handed over.
 *
 * The marks limit what the transport would not take. So there are two ways in:
 *   - the transport has room, as far as is known: bb_sendq_append() takes everything; after the write attempt
 * of the same turn bb_sendq_settle() drops what stands above the marks, newest first come last, message by
 * message;
 *   - the transport has refused and not asked again: bb_sendq_admit() takes what fits and drops the rest at
 * once. Both end in the same messages. A mark lowered below the fill drops nothing that has settled, and
 * admits nothing until the queue is below. An empty queue takes one message of any size.
 *
 * Sessions with credit are never given more than fits; they use append and are never settled by marks.
 *
 * Thread: the I/O core that owns the session, alone: no locks, no atomics.
 */
#ifndef BB_MSG_SENDQ_H
#define BB_MSG_SENDQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "msg/spans.h"

/* High-water marks; 0 means no limit, as in ZeroMQ. */
struct bb_hwm {
	uint32_t msgs_max;
	uint64_t bytes_max;
};

struct bb_sendq {
	struct bb_spanq unsent;
	struct bb_hwm hwm;
	uint32_t msgs;	     /* queued: their last byte is not handed over */
	uint32_t settled;    /* of these, the oldest that were admitted for good */
	uint64_t begun_left; /* bytes of a begun message until its end; 0: at a border */
	uint64_t msgs_left;  /* totals since creation: handed over, or dropped after they were admitted */
	uint64_t bytes_left;
};

/* It holds more than its marks: bb_sendq_settle() would drop what is newest. */
static inline bool
bb_sendq_over(const struct bb_sendq *q)
{
	return q->msgs > q->settled &&
	       ((q->hwm.msgs_max != 0 && q->msgs > q->hwm.msgs_max) ||
		       (q->hwm.bytes_max != 0 && q->unsent.bytes > q->hwm.bytes_max && q->msgs > 1));
}

/* What did not fit. */
struct bb_sendq_drops {
	uint64_t hwm_msgs, memory_msgs;
	uint64_t bytes;
};

/* Add a range of whole messages, whatever the marks. 0 or -ENOMEM: nothing changed. Its buffer is held
 * already. */
int bb_sendq_append(struct bb_spans *s, struct bb_sendq *q, const struct bb_span *span);

/* Add those messages of the range that fit; adds the others to *drops. */
void bb_sendq_admit(
	struct bb_spans *s, struct bb_sendq *q, const struct bb_span *span, struct bb_sendq_drops *drops);

/* Drop what was appended above the marks since the last call; adds it to *drops. What remains is settled. */
void bb_sendq_settle(struct bb_spans *s, struct bb_sendq *q, struct bb_sendq_drops *drops);

/*
 * Describe the next bytes to hand over, at most bytes_max, in at most iov_max entries. Runs of spans below
 * 512 octets are gathered into scratch (bytes_max octets). Returns the entries; *ret_bytes what they cover.
 */
size_t bb_sendq_peek(const struct bb_spans *s, const struct bb_sendq *q, uint8_t *scratch, uint64_t bytes_max,
	struct iovec *iov, size_t iov_max, uint64_t *ret_bytes);

/* The transport took bytes of what was described; returns the messages that are complete with it. */
uint64_t bb_sendq_sent(struct bb_spans *s, struct bb_sendq *q, uint64_t bytes);

/* Drop everything; returns the messages, *ret_bytes their bytes not yet handed over. */
uint64_t bb_sendq_clear(struct bb_spans *s, struct bb_sendq *q, uint64_t *ret_bytes);

static inline bool
bb_sendq_empty(const struct bb_sendq *q)
{
	return q->unsent.spans == 0;
}

/* True if nothing is begun: a command may go out here. */
static inline bool
bb_sendq_at_border(const struct bb_sendq *q)
{
	return q->begun_left == 0;
}

#endif
