/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

#define CHUNK_BITS 12
#define CHUNK_SEQS (1u << CHUNK_BITS)
#define CHUNK_MASK (CHUNK_SEQS - 1)

#define PAIRS_MAX_ONCE (UINT64_C(1) << 27) /* 8 octets each, touched only as pairs occur */
#define PAIRS_MAX_EACH (UINT64_C(1) << 24) /* 32 octets each */

/* Bits of the missing sequences among CHUNK_SEQS. NULL in the directory: none is missing. */
struct bb_seqset_chunk {
	uint32_t missing;
	uint64_t bits[CHUNK_SEQS / 64];
};

static void *
must(void *p)
{
	/* A tool that cannot account for loss has no result to give. */
	if (p == NULL) {
		fprintf(stderr, "busbar-bench: out of memory for the record of missing messages\n");
		exit(1);
	}
	return p;
}

static struct bb_seqset_chunk *
chunk_get(struct bb_seqset *s, uint64_t i)
{
	if (i >= s->chunk_count) {
		const uint64_t count = bb_max_u64(i + 1, s->chunk_count * 2);

		s->chunks = must(realloc(s->chunks, count * sizeof(*s->chunks)));
		memset(s->chunks + s->chunk_count, 0, (count - s->chunk_count) * sizeof(*s->chunks));
		s->chunk_count = count;
	}
	if (s->chunks[i] == NULL)
		s->chunks[i] = must(calloc(1, sizeof(*s->chunks[i])));
	return s->chunks[i];
}

static void
missing_set(struct bb_seqset *s, uint64_t from, uint64_t to)
{
	s->missing += to - from;
	while (from < to) {
		struct bb_seqset_chunk *c = chunk_get(s, from >> CHUNK_BITS);
		const uint64_t end = bb_min_u64(to, (from | CHUNK_MASK) + 1);

		c->missing += (uint32_t)(end - from);
		for (; from < end && (from & 63) != 0; from++)
			c->bits[(from & CHUNK_MASK) / 64] |= UINT64_C(1) << (from & 63);
		for (; from + 64 <= end; from += 64)
			c->bits[(from & CHUNK_MASK) / 64] = UINT64_MAX;
		for (; from < end; from++)
			c->bits[(from & CHUNK_MASK) / 64] |= UINT64_C(1) << (from & 63);
	}
}

/* True if seq was missing; then it no longer is. */
static bool
missing_clear(struct bb_seqset *s, uint64_t seq)
{
	const uint64_t i = seq >> CHUNK_BITS;
	struct bb_seqset_chunk *c = i < s->chunk_count ? s->chunks[i] : NULL;
	const uint64_t bit = UINT64_C(1) << (seq & 63);

	if (c == NULL || (c->bits[(seq & CHUNK_MASK) / 64] & bit) == 0)
		return false;
	c->bits[(seq & CHUNK_MASK) / 64] &= ~bit;
	s->missing--;
	/* The chunk at the front will be needed again for the next gap. */
	if (--c->missing == 0 && i != s->next >> CHUNK_BITS) {
		free(c);
		s->chunks[i] = NULL;
	}
	return true;
}

enum bb_seqset_result
bb_seqset_add_slow(struct bb_seqset *s, uint64_t seq)
{
	if (seq < s->next)
		return missing_clear(s, seq) ? BB_SEQ_LATE : BB_SEQ_DUP;
	if (seq - s->next > BB_CHECK_GAP_MAX)
		return BB_SEQ_BAD;

	const bool gap = seq > s->next;
	missing_set(s, s->next, seq);
	s->next = seq + 1;
	return gap ? BB_SEQ_GAP : BB_SEQ_NEXT;
}

void
bb_seqset_fini(struct bb_seqset *s)
{
	for (uint64_t i = 0; i < s->chunk_count; i++)
		free(s->chunks[i]);
	free(s->chunks);
	memset(s, 0, sizeof(*s));
}

int
bb_check_init(struct bb_check *c, const struct bb_check_config *cfg)
{
	const bool each = cfg->mode == BB_CHECK_EACH;
	const bool once = cfg->mode == BB_CHECK_ONCE;
	const uint64_t pairs = once || each ? (uint64_t)cfg->producers * cfg->consumers : cfg->producers;

	memset(c, 0, sizeof(*c));
	c->cfg = *cfg;
	if (cfg->mode == BB_CHECK_OWN)
		c->cfg.consumers = cfg->producers;
	c->probe_run = ~cfg->run;
	c->ordered = cfg->size >= cfg->stamp_at + BB_STAMP_ORDER;
	c->timed = cfg->latency && cfg->size >= cfg->stamp_at + BB_STAMP_FULL;
	if (!c->ordered)
		return 0;
	if (pairs > (each ? PAIRS_MAX_EACH : PAIRS_MAX_ONCE))
		return -E2BIG;

	c->sets = calloc((each ? pairs : cfg->producers) + 1, sizeof(*c->sets));
	c->probes = calloc(pairs / 64 + 1, sizeof(*c->probes));
	if (once && cfg->consumers > 1)
		c->last = calloc(pairs, sizeof(*c->last));
	if (c->sets == NULL || c->probes == NULL || (once && cfg->consumers > 1 && c->last == NULL)) {
		bb_check_fini(c);
		return -ENOMEM;
	}
	return 0;
}

void
bb_check_fini(struct bb_check *c)
{
	const bool each = c->cfg.mode == BB_CHECK_EACH;
	const uint64_t sets = each ? (uint64_t)c->cfg.producers * c->cfg.consumers : c->cfg.producers;

	for (uint64_t i = 0; c->sets != NULL && i < sets; i++)
		bb_seqset_fini(&c->sets[i]);
	free(c->sets);
	free(c->last);
	free(c->probes);
	c->sets = NULL;
	c->last = c->probes = NULL;
}

static void
probe_seen(struct bb_check *c, uint64_t pair)
{
	const uint64_t bit = UINT64_C(1) << (pair & 63);

	c->probes_seen += (c->probes[pair / 64] & bit) == 0;
	c->probes[pair / 64] |= bit;
}

/* False if the message is not one of this run's to count; the reason is counted. */
static bool
stamp_ours(struct bb_check *c, uint32_t consumer, const struct bb_stamp *stamp)
{
	if (c->cfg.run == 0) {
		c->cfg.run = stamp->run;
		c->probe_run = ~stamp->run;
	}
	if (stamp->run != c->cfg.run && stamp->run != c->probe_run) {
		c->foreign++;
		return false;
	}
	if (stamp->producer >= c->cfg.producers) {
		c->bad++;
		return false;
	}
	if (c->cfg.mode == BB_CHECK_OWN && stamp->producer != consumer) {
		c->bad++; /* somebody else's reply */
		return false;
	}
	if (stamp->run == c->probe_run) {
		if (c->cfg.mode != BB_CHECK_OWN)
			probe_seen(c, (uint64_t)consumer * c->cfg.producers + stamp->producer);
		return false;
	}
	return true;
}

void
bb_check_msg_slow(struct bb_check *c, uint32_t consumer, const struct bb_stamp *stamp, uint64_t now_ns)
{
	const uint64_t pair = (uint64_t)consumer * c->cfg.producers + stamp->producer;
	const uint32_t split = c->cfg.topic_split;
	uint64_t seq = stamp->seq;

	BB_ASSERT(consumer < c->cfg.consumers);
	if (!stamp_ours(c, consumer, stamp))
		return;
	if (split != 0) {
		if (seq % split != consumer % split) {
			c->unwanted++;
			return;
		}
		seq /= split; /* the n-th message of the topic */
	}

	struct bb_seqset *s = &c->sets[c->cfg.mode == BB_CHECK_EACH ? pair : stamp->producer];
	if (c->cfg.join_late && s->next == 0)
		s->next = seq;

	const enum bb_seqset_result r = bb_seqset_add(s, seq);
	if (r == BB_SEQ_BAD) {
		c->bad++;
		return;
	}
	if (r == BB_SEQ_DUP) {
		c->dup++;
		return;
	}
	if (c->last != NULL) {
		c->disorder += seq < c->last[pair];
		c->last[pair] = bb_max_u64(c->last[pair], seq + 1);
	} else if (c->cfg.mode != BB_CHECK_OWN) {
		c->disorder += r == BB_SEQ_LATE; /* one stream per pair: late is out of order */
	}
	c->received++;
	if (c->timed)
		bb_hist_add(&c->latency, now_ns > stamp->time_ns ? now_ns - stamp->time_ns : 0);
}

/* Messages of a producer that sent so many which this consumer should see. */
static uint64_t
wanted(const struct bb_check *c, uint32_t consumer, uint64_t sent)
{
	const uint32_t split = c->cfg.topic_split;

	return split == 0 ? sent : (sent + split - 1 - consumer % split) / split;
}

uint64_t
bb_check_expected(const struct bb_check *c, const uint64_t *sent)
{
	uint64_t n = 0;

	for (uint32_t p = 0; p < c->cfg.producers; p++) {
		if (c->cfg.mode != BB_CHECK_EACH)
			n += sent[p];
		else if (c->cfg.topic_split == 0)
			n += sent[p] * c->cfg.consumers;
		else
			for (uint32_t i = 0; i < c->cfg.consumers; i++)
				n += wanted(c, i, sent[p]);
	}
	return n;
}

uint64_t
bb_check_lost(const struct bb_check *c, const uint64_t *sent)
{
	const uint32_t rows = c->cfg.mode == BB_CHECK_EACH ? c->cfg.consumers : 1;
	uint64_t lost = 0;

	if (!c->ordered) {
		const uint64_t expected = bb_check_expected(c, sent);
		return expected > c->received ? expected - c->received : 0;
	}
	for (uint32_t r = 0; r < rows; r++) {
		for (uint32_t p = 0; p < c->cfg.producers; p++) {
			const struct bb_seqset *s = &c->sets[(uint64_t)r * c->cfg.producers + p];
			const uint64_t want = c->cfg.mode == BB_CHECK_EACH ? wanted(c, r, sent[p]) : sent[p];

			lost += s->missing + (want > s->next ? want - s->next : 0);
		}
	}
	return lost;
}
