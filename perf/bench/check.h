/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check: what was received, held against what was sent.
 *
 * Every message carries in its content, little endian: run id u32, producer u32, sequence u64, intended or
 * actual send time u64 ns. From 16 octets on order, duplicates and loss are checked; from 24 on latency too;
 * shorter messages are counted only.
 *
 * Three ways of sharing (enum bb_check_mode):
 *   ONCE  pipeline and requests: each sequence of a producer arrives exactly once over all consumers;
 *   EACH  pubsub: each sequence of a producer arrives exactly once at every consumer;
 *   OWN   replies: each sequence comes back to its producer once, in any order (several workers answer).
 *
 * Order is judged per pair of producer and consumer: sequences must rise strictly. A sequence that was seen
 * already is a duplicate and nothing else; one that was not, but is below what this pair saw last, is a
 * disorder. What is missing is kept as one bit per missing sequence, so a run without gaps costs one
 * comparison per message.
 *
 * Owner: one thread.
 */
#ifndef BB_PERF_CHECK_H
#define BB_PERF_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "bench/hist.h"

#define BB_STAMP_ORDER 16 /* octets that run id, producer and sequence take */
#define BB_STAMP_FULL 24  /* with the send time */

#define BB_CHECK_GAP_MAX (UINT64_C(1) << 30) /* a larger jump is a damaged message, not a gap */

struct bb_stamp {
	uint32_t run;
	uint32_t producer;
	uint64_t seq;
	uint64_t time_ns;
};

/* The sequences of one stream that are missing below next. */
struct bb_seqset {
	uint64_t next;	  /* one above the highest seen */
	uint64_t missing; /* below next, not seen */
	struct bb_seqset_chunk **chunks;
	uint64_t chunk_count;
};

enum bb_seqset_result {
	BB_SEQ_NEXT, /* the one that was due */
	BB_SEQ_GAP,  /* new, some before it are missing now */
	BB_SEQ_LATE, /* new, was missing */
	BB_SEQ_DUP,  /* seen before */
	BB_SEQ_BAD,  /* beyond any believable gap; nothing changed */
};

/* The uncommon cases of bb_seqset_add. */
enum bb_seqset_result bb_seqset_add_slow(struct bb_seqset *s, uint64_t seq);
void bb_seqset_fini(struct bb_seqset *s);

static inline enum bb_seqset_result
bb_seqset_add(struct bb_seqset *s, uint64_t seq)
{
	if (bb_likely(seq == s->next)) {
		s->next++;
		return BB_SEQ_NEXT;
	}
	return bb_seqset_add_slow(s, seq);
}

enum bb_check_mode {
	BB_CHECK_ONCE,
	BB_CHECK_EACH,
	BB_CHECK_OWN, /* consumers is ignored: consumer n is producer n */
};

struct bb_check_config {
	enum bb_check_mode mode;
	uint32_t producers;
	uint32_t consumers;
	uint32_t run;	      /* messages of other runs are foreign; 0: the first message decides */
	uint32_t size;	      /* octets of the frame that carries the stamp */
	uint32_t stamp_at;    /* offset of the stamp in it (the topic lies before) */
	uint32_t topic_split; /* EACH: consumer c wants only sequences = c modulo this; 0: all */
	bool join_late;	      /* the first sequence seen of each stream counts as its beginning */
	bool latency;	      /* record now - time_ns */
};

struct bb_check {
	struct bb_check_config cfg;
	uint32_t probe_run; /* run id of probes: ~run */
	bool ordered;	    /* the stamp fits */
	bool timed;

	uint64_t received; /* new messages, each counted once */
	uint64_t dup;
	uint64_t disorder;
	uint64_t bad;	   /* wrong length or frame count, producer or sequence not believable */
	uint64_t foreign;  /* of another run */
	uint64_t unwanted; /* EACH with topic_split: not what this consumer subscribed to */

	struct bb_seqset *sets; /* ONCE: one per producer; EACH: [consumer][producer] */
	uint64_t *last;	  /* ONCE with several consumers: [consumer][producer], highest sequence seen + 1 */
	uint64_t *probes; /* bit per [consumer][producer]: a probe arrived */
	uint64_t probes_seen; /* pairs */
	struct bb_hist latency;
};

/* 0, -ENOMEM, or -E2BIG when there are too many pairs of producer and consumer to keep order for. */
int bb_check_init(struct bb_check *c, const struct bb_check_config *cfg);
void bb_check_fini(struct bb_check *c);

/*
 * Judge one message that came whole and with the right lengths to this consumer; stamp_fields points to its
 * stamp (cfg.size octets of content say how much of it there is).
 */
void bb_check_msg_slow(struct bb_check *c, uint32_t consumer, const struct bb_stamp *stamp, uint64_t now_ns);

/* Sent is per producer, whole messages. Messages that should have arrived and did not. */
uint64_t bb_check_lost(const struct bb_check *c, const uint64_t *sent);

/* How many messages should arrive in all. */
uint64_t bb_check_expected(const struct bb_check *c, const uint64_t *sent);

static inline void
bb_check_msg(struct bb_check *c, uint32_t consumer, const uint8_t *stamp_fields, uint64_t now_ns)
{
	struct bb_stamp stamp;

	if (bb_unlikely(!c->ordered)) {
		c->received++;
		return;
	}
	memcpy(&stamp, stamp_fields, BB_STAMP_ORDER);
	stamp.time_ns = 0;
	if (c->timed)
		memcpy(&stamp.time_ns, stamp_fields + BB_STAMP_ORDER, sizeof(stamp.time_ns));

	/* The common case: our run, a known producer, its next sequence, and order implied by the set alone.
	 */
	if (bb_likely(stamp.run == c->cfg.run && stamp.producer < c->cfg.producers && c->last == NULL &&
		      c->cfg.topic_split == 0 &&
		      (c->cfg.mode != BB_CHECK_OWN || stamp.producer == consumer))) {
		const uint64_t row = c->cfg.mode == BB_CHECK_EACH ? (uint64_t)consumer * c->cfg.producers : 0;
		struct bb_seqset *s = &c->sets[row + stamp.producer];

		if (bb_likely(stamp.seq == s->next && stamp.run != 0)) {
			s->next++;
			c->received++;
			if (c->timed)
				bb_hist_add(&c->latency, now_ns > stamp.time_ns ? now_ns - stamp.time_ns : 0);
			return;
		}
	}
	bb_check_msg_slow(c, consumer, &stamp, now_ns);
}

#endif
