/* SPDX-License-Identifier: BSD-3-Clause */
#include "msg/sendq.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "msg/message.h"

#define GATHER_BELOW 512 /* octets; below, copying is cheaper than one more piece for the transport */

static bool
fits(const struct bb_hwm *hwm, uint64_t msgs, uint64_t bytes, uint64_t len)
{
	if (msgs == 0)
		return true; /* else a message above bytes_max could never leave */
	if (hwm->msgs_max != 0 && msgs >= hwm->msgs_max)
		return false;
	/* A limit lowered below the fill drops nothing and admits nothing until below. */
	return hwm->bytes_max == 0 || (bytes < hwm->bytes_max && len <= hwm->bytes_max - bytes);
}

/* A range of several messages stays within both marks, without the empty queue's exception. */
static bool
fits_whole(const struct bb_sendq *q, const struct bb_span *span)
{
	const struct bb_hwm *hwm = &q->hwm;

	return (hwm->msgs_max == 0 || (uint64_t)q->msgs + span->msgs <= hwm->msgs_max) &&
	       (hwm->bytes_max == 0 || q->unsent.bytes + span->len <= hwm->bytes_max);
}

/* Octets of the message at the front of a span. */
static uint32_t
front_len(const struct bb_pool *pool, const struct bb_span *span)
{
	if (span->chain)
		return span->len;
	return (uint32_t)bb_message_len(bb_pool_bytes(pool, span->buffer) + span->offset);
}

int
bb_sendq_append(struct bb_spans *s, struct bb_sendq *q, const struct bb_span *span)
{
	const int error = bb_spanq_push(s, &q->unsent, span);

	if (error != 0)
		return error;
	q->msgs += span->msgs;
	return 0;
}

void
bb_sendq_admit(
	struct bb_spans *s, struct bb_sendq *q, const struct bb_span *span, struct bb_sendq_drops *drops)
{
	const struct bb_hwm *hwm = &q->hwm;
	struct bb_span rest = *span;

	if (hwm->msgs_max != 0 && q->msgs >= hwm->msgs_max && q->msgs > 0) {
		drops->hwm_msgs +=
			rest.msgs; /* the common case of a stalled receiver: nothing is looked at */
		drops->bytes += rest.len;
		return;
	}
	while (rest.len > 0) {
		struct bb_span one = rest;
		if (!fits_whole(q, &rest)) {
			one.len = front_len(s->holds.pool, &rest);
			one.msgs = 1;
		}
		rest.offset += one.len;
		rest.len -= one.len;
		rest.msgs -= one.msgs;
		if (!fits(hwm, q->msgs, q->unsent.bytes, one.len)) {
			drops->hwm_msgs += one.msgs;
			drops->bytes += one.len;
		} else if (bb_sendq_append(s, q, &one) == 0) {
			q->settled += one.msgs;
		} else {
			drops->memory_msgs += one.msgs;
			drops->bytes += one.len;
		}
	}
}

/* Move the front of from, one message or a span of settled ones, to the end of to. */
static void
keep_front(struct bb_spans *s, struct bb_sendq *q, struct bb_spanq *from, uint32_t len, uint32_t msgs,
	struct bb_sendq_drops *drops)
{
	if (bb_spanq_move(s, from, &q->unsent, len, msgs) == 0) {
		q->msgs += msgs;
		return;
	}
	/* The first move found a cached chunk (see settle), so this message is none that has begun. */
	bb_spanq_shift(s, from, len, msgs);
	drops->memory_msgs += msgs;
	drops->bytes += len;
}

void
bb_sendq_settle(struct bb_spans *s, struct bb_sendq *q, struct bb_sendq_drops *drops)
{
	const struct bb_hwm *hwm = &q->hwm;

	if (!bb_sendq_over(q)) {
		q->settled = q->msgs;
		return;
	}
	if (!bb_spans_reserve_chunk(s))
		return; /* no memory to sort the queue: it stays above its mark until there is */

	struct bb_spanq old = q->unsent;
	const uint32_t settled = q->settled;
	uint64_t begun_left = q->begun_left;
	q->unsent = (struct bb_spanq){ 0 };
	q->msgs = 0;
	for (struct bb_span *span; (span = bb_spanq_front(&old)) != NULL;) {
		if (q->msgs + span->msgs <= settled) {
			keep_front(s, q, &old, span->len, span->msgs, drops);
			begun_left = 0;
			continue;
		}
		const uint32_t len = begun_left != 0 ? (uint32_t)begun_left : front_len(s->holds.pool, span);
		if (q->msgs < settled || begun_left != 0 || fits(hwm, q->msgs, q->unsent.bytes, len)) {
			keep_front(s, q, &old, len, 1, drops);
		} else {
			bb_spanq_shift(s, &old, len, 1);
			drops->hwm_msgs++;
			drops->bytes += len;
		}
		begun_left = 0;
	}
	q->settled = q->msgs;
}

size_t
bb_sendq_peek(const struct bb_spans *s, const struct bb_sendq *q, uint8_t *scratch, uint64_t bytes_max,
	struct iovec *iov, size_t iov_max, uint64_t *ret_bytes)
{
	struct bb_span_at at = { 0 };
	const struct bb_span *span;
	uint64_t bytes = 0;
	size_t n = 0;
	uint8_t *gather_end = NULL; /* end of the last entry if it lies in scratch */

	while (bytes < bytes_max && (span = bb_spanq_next(&q->unsent, &at)) != NULL) {
		const uint64_t left = bytes_max - bytes;
		if (span->chain || span->len >= GATHER_BELOW) {
			if (n == iov_max)
				break;
			gather_end = NULL;
			const size_t pieces = (size_t)(left / BB_BUFFER_BYTES + 2); /* of a chain */
			n += bb_span_iovec(s->holds.pool, span, 0, iov + n,
				pieces < iov_max - n ? pieces : iov_max - n, &bytes);
			if (span->chain)
				break; /* it may not be covered whole, so nothing may follow */
			continue;
		}
		if (gather_end == NULL) {
			if (n == iov_max)
				break;
			gather_end = scratch + bytes; /* bytes <= bytes_max: never beyond scratch */
			iov[n++] = (struct iovec){ gather_end, 0 };
		}
		const size_t len = span->len < left ? span->len : (size_t)left;
		memcpy(gather_end, bb_pool_bytes(s->holds.pool, span->buffer) + span->offset, len);
		gather_end += len;
		iov[n - 1].iov_len += len;
		bytes += len;
	}
	while (bytes > bytes_max) { /* large spans reach beyond: cut */
		const uint64_t over = bytes - bytes_max;
		const size_t cut = iov[n - 1].iov_len < over ? iov[n - 1].iov_len : (size_t)over;
		iov[n - 1].iov_len -= cut;
		bytes -= cut;
		n -= iov[n - 1].iov_len == 0;
	}
	*ret_bytes = bytes;
	return n;
}

/* Of the front span, bytes are handed over, less than all of it: count the messages that end there. */
static uint32_t
count_ended(const struct bb_pool *pool, struct bb_sendq *q, const struct bb_span *span, uint64_t bytes)
{
	const uint8_t *p = bb_pool_bytes(pool, span->buffer) + span->offset;
	uint32_t msgs = 0;
	uint64_t at = 0;
	uint64_t end = q->begun_left; /* of the message that is under way, relative to the span's front */

	if (span->chain) {
		q->begun_left = span->len - bytes;
		return 0;
	}
	if (end == 0)
		end = bb_message_len(p);
	while (end <= bytes) {
		msgs++;
		at = end;
		if (at == bytes)
			break;
		end = at + bb_message_len(p + at);
	}
	q->begun_left = at == bytes ? 0 : end - bytes;
	return msgs;
}

uint64_t
bb_sendq_sent(struct bb_spans *s, struct bb_sendq *q, uint64_t bytes)
{
	uint64_t msgs = 0;

	q->bytes_left += bytes;
	while (bytes > 0) {
		struct bb_span *span = bb_spanq_front(&q->unsent);
		BB_ASSERT(span != NULL); /* the transport took more than it was given */
		uint32_t ended;
		const uint32_t len = bytes < span->len ? (uint32_t)bytes : span->len;
		if (len == span->len) {
			ended = span->msgs;
			q->begun_left = 0;
		} else {
			ended = count_ended(s->holds.pool, q, span, len);
		}
		bb_spanq_shift(s, &q->unsent, len, ended);
		bytes -= len;
		msgs += ended;
	}
	q->msgs -= (uint32_t)msgs;
	q->settled -= q->settled < msgs ? q->settled : (uint32_t)msgs;
	q->msgs_left += msgs;
	return msgs;
}

uint64_t
bb_sendq_clear(struct bb_spans *s, struct bb_sendq *q, uint64_t *ret_bytes)
{
	const uint64_t msgs = q->msgs;

	*ret_bytes = q->unsent.bytes;
	bb_spanq_clear(s, &q->unsent);
	q->bytes_left += *ret_bytes;
	q->msgs_left += msgs;
	q->msgs = q->settled = 0;
	q->begun_left = 0;
	return msgs;
}
