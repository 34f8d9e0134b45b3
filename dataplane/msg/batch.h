/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * batch: what an I/O core tells a router, in order: messages and, between them, what happens to their
 * sessions.
 *
 * An I/O core keeps one open buffer per router. During a turn it appends runs; at the end of the turn what
 * was added, the batch, is published as one slice by one ring operation. The buffer stays open for the next
 * turn and is closed when full. In the buffer, bytes grow upwards and words (8 bytes each) grow downwards
 * from the end:
 *
 *   | published ... | bytes of this slice ->      free      <- words of this slice | published words |
 *
 * Each slice begins on a cache line on both sides, so the writer never touches a line the router reads.
 *
 * A run is a head of BB_RUN_WORDS words {session, kind, side, count}, then what its kind says; reading goes
 * downwards in memory, see bb_batch_reader. Bytes of all runs follow one another without gaps.
 *
 *   kind           session   count     words of an entry         bytes
 *   MSGS           producer  messages  bb_desc                   the messages, back to back, canonical frames
 *   CHAIN          producer  1         bb_desc, {head buffer}    none: the message lies in a chain (msg/pool.h),
 *                                                                whose one reference goes to the router
 *   SUBSCRIBE      subscr.   topics    {topic length}            the topics, back to back
 *   CANCEL         subscr.   topics    {topic length}            the topics, back to back
 *   ATTACH         new       1         bb_attach                 routing id (may be empty)
 *   CREDIT         consumer  1         bb_credit                 none
 *   GONE           dying     1         none                      none
 *   UPSTREAM_ROOM  publisher 1         none                      none: it took what it was told, tell more
 *   END            none      1         {scope}                   none: nothing of that scope follows
 *
 * Canonical frames: reserved bits 0, the shortest form of the length, message frames only. So the first
 * frame's body begins 2 octets (length <= 255) or 9 octets into the message: bb_desc_topic_offset().
 *
 * Who owns: the slice carries one reference to its buffer from the writer to the router.
 * Who counts: `bytes` of MSGS and CHAIN runs count against the input window of (I/O core, side).
 */
#ifndef BB_MSG_BATCH_H
#define BB_MSG_BATCH_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "msg/handle.h"
#include "msg/pool.h"

enum bb_run_kind {
	BB_RUN_MSGS = 1,
	BB_RUN_CHAIN,
	BB_RUN_SUBSCRIBE,
	BB_RUN_CANCEL,
	BB_RUN_ATTACH,
	BB_RUN_CREDIT,
	BB_RUN_GONE,
	BB_RUN_UPSTREAM_ROOM,
	BB_RUN_END,
};

struct bb_run {
	bb_handle session;
	uint32_t count;
	uint16_t side; /* index of the side: endpoint * 2 + (0 or 1) */
	uint8_t kind;
	uint8_t flags;
};
#define BB_RUN_WORDS 2
static_assert(sizeof(struct bb_run) == BB_RUN_WORDS * 8, "the head of a run is whole words");

/* One message. Its place in the slice follows from the lengths of those before it. */
struct bb_desc {
	uint32_t len;	    /* octets on the wire, all frames with their headers */
	uint32_t topic_len; /* octets of the first frame's body */
};
static_assert(sizeof(struct bb_desc) == 8, "one word");

static inline uint32_t
bb_desc_topic_offset(uint32_t topic_len)
{
	return topic_len <= 255 ? 2 : 9;
}

/* What a router needs to know of a session; the routing id follows in the bytes. */
struct bb_attach {
	uint64_t msgs_limit; /* first credit, see bb_credit */
	uint64_t bytes_limit;
	uint16_t id_len;     /* octets of the peer's own routing id, 0: generate one */
	uint8_t socket_type; /* the peer's, enum bb_zmtp_type */
	uint8_t reserved[5];
};
#define BB_ATTACH_WORDS 3
static_assert(sizeof(struct bb_attach) == BB_ATTACH_WORDS * 8, "whole words");

/*
 * Credit of a consumer, as totals since it attached: the router may send while what it has sent stays below
 * both. limit = what left the session's unsent queue + its high-water mark. State, not events: only the
 * newest counts. A message longer than bytes_limit allows may go when everything sent before it has left the
 * queue: bytes_sent == bytes_left.
 */
struct bb_credit {
	uint64_t msgs_limit;
	uint64_t bytes_limit;
	uint64_t bytes_left; /* octets that have left the unsent queue */
};
#define BB_CREDIT_WORDS 3
static_assert(sizeof(struct bb_credit) == BB_CREDIT_WORDS * 8, "whole words");

/* The ring element of I/O core -> router. Carries one reference to the buffer. */
struct bb_slice {
	uint32_t buffer;
	uint32_t bytes_offset; /* of the first byte */
	uint32_t words_end;    /* offset just above the first word */
	uint32_t words;	       /* how many */
};

/* Writer of the batches for one router. Owner: the I/O core. */
struct bb_batch_writer {
	BB_OWNER_FIELD
	struct bb_pool *pool;
	uint32_t buffer;      /* open, with one reference of ours; BB_BUFFER_NONE: none */
	uint32_t slice_bytes; /* offsets where the unpublished slice begins */
	uint32_t slice_words;
	uint32_t bytes; /* next free byte */
	uint32_t words; /* last used word */
	uint32_t run;	/* offset of the last run's head, 0: none in this slice */
	uint16_t run_side;
	bool full; /* the ring refused the slice: publish it before anything is added */
};

void bb_batch_writer_init(struct bb_batch_writer *w, struct bb_pool *pool, uint32_t actor);

/* Gives back the open buffer. What is not published is lost: only for a stopped engine. */
void bb_batch_writer_fini(struct bb_batch_writer *w);

/*
 * Make room for bytes and words. When the open buffer has too little, it is closed if nothing unpublished
 * lies in it, and a new one is taken. Returns 0; -EAGAIN: publish first (the buffer holds an unpublished
 * slice); -ENOBUFS: the pool has none for this use. bytes + 8 * words must fit an empty buffer (BB_VIEW_MAX
 * bytes and 256 words do).
 */
int bb_batch_reserve(struct bb_batch_writer *w, enum bb_pool_use use, uint32_t bytes, uint32_t words);

/* Bytes and words that fit without bb_batch_reserve(); both count against one free room of w. */
static inline uint32_t
bb_batch_room(const struct bb_batch_writer *w)
{
	return w->buffer == BB_BUFFER_NONE ? 0 : w->words - w->bytes;
}

/* Where the next byte goes. */
static inline uint8_t *
bb_batch_tail(const struct bb_batch_writer *w)
{
	return bb_pool_bytes(w->pool, w->buffer) + w->bytes;
}

/*
 * Begin a run, or go on with the last one if it is of the same session, kind and side and kind is MSGS,
 * SUBSCRIBE or CANCEL. Room for BB_RUN_WORDS and the entries that follow must have been reserved.
 */
void bb_batch_run(struct bb_batch_writer *w, enum bb_run_kind kind, bb_handle session, uint16_t side);

/* Add one entry of the current run: words words of payload, counted as one, and bytes bytes already at the
 * tail. */
void bb_batch_entry(struct bb_batch_writer *w, const void *payload, uint32_t words, uint32_t bytes);

/*
 * For the decoder's loop: the entries were written by the caller below the last word, newest lowest, and
 * their bytes at the tail, within bb_batch_room(). The same as count times bb_batch_entry() of one word each.
 */
static inline struct bb_desc *
bb_batch_descs(const struct bb_batch_writer *w)
{
	return (struct bb_desc *)(void *)(bb_pool_bytes(w->pool, w->buffer) + w->words);
}

static inline void
bb_batch_add_descs(struct bb_batch_writer *w, uint32_t count, uint32_t bytes)
{
	struct bb_run *run = (void *)(bb_pool_bytes(w->pool, w->buffer) + w->run);

	run->count += count;
	w->words -= count * 8;
	w->bytes += bytes;
}

/* The unpublished slice, with a reference added for it; false if there is none. Then bb_batch_published(). */
bool bb_batch_slice(struct bb_batch_writer *w, struct bb_slice *ret_slice);
void bb_batch_published(struct bb_batch_writer *w);
/* The ring had no room: take back the slice's reference; the slice stays and nothing may be added before it
 * is out. */
void bb_batch_refused(struct bb_batch_writer *w);

/* Reader of one slice. Owner: the router. */
struct bb_batch_reader {
	const uint8_t *base; /* of the buffer */
	uint32_t bytes;	     /* offset of the next byte */
	uint32_t words;	     /* offset just above the next word */
	uint32_t words_end;  /* offset of the slice's last word */
};

void bb_batch_reader_init(
	struct bb_batch_reader *r, const struct bb_pool *pool, const struct bb_slice *slice);

/* The next words; they end the slice when NULL. */
static inline const void *
bb_batch_read(struct bb_batch_reader *r, uint32_t words)
{
	if (r->words == r->words_end)
		return NULL;
	r->words -= words * 8;
	return r->base + r->words;
}

/* Words of one entry of a run of this kind. */
uint32_t bb_run_entry_words(enum bb_run_kind kind);

/* Give back what a slice carries, chains too, unread: only for a stopped engine. */
void bb_batch_discard(struct bb_pool *pool, const struct bb_slice *slice);

#endif
