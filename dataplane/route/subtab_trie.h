/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * subtab_trie: subscribed topics as a radix tree: path compressed, children in sorted arrays that grow from 1
 * to 48, then a table of 256.
 *
 * A node stands for the concatenation of the labels from the root down to it, in which a label's first byte
 * is the key of its edge. A node with a subscribed topic points to its bb_topic; a node without one is there
 * because two or more edges leave it, or because labels end at 255 bytes, or because there was no memory
 * to merge it with its only child. A node is one slab object with header, children, keys and label
 * together, so that a walk touches one place per level. It moves when it grows; topics do not.
 *
 * Changes. Each node keeps the sequence number of the last change at its topic. The largest of them on the
 * path to a topic is the newest change that its receivers can depend on. A node that goes hands its number to
 * the child that takes its place.
 *
 * Owner: the actor that owns the table around it; no locks.
 */
#ifndef BB_ROUTE_SUBTAB_TRIE_H
#define BB_ROUTE_SUBTAB_TRIE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/compiler.h"
#include "route/subtab_slab.h"

enum {
	BB_TRIE_LABEL_MAX = 255,
	BB_TRIE_KIND_TABLE = 11, /* children as refs[256] by key */
};

/* Room for children of the kinds below BB_TRIE_KIND_TABLE. */
extern const uint16_t bb_trie_kind_cap[BB_TRIE_KIND_TABLE + 1];

/*
 * Followed by the label, for sorted kinds keys[cap], and, aligned to 4, the children refs[cap]: what decides
 * first lies in the first cache line. Unused refs are 0 and come last.
 */
struct bb_trie_node {
	uint32_t parent;    /* 0: root */
	uint32_t topic;	    /* 0: none */
	uint32_t change_lo; /* sequence number, 48 bits */
	uint16_t change_hi;
	uint8_t label_len;
	uint8_t kind;
	uint8_t label[];
};
static_assert(sizeof(struct bb_trie_node) == 16, "counts a million times");

/* A subscribed topic; the table's, but for the back reference. */
struct bb_topic {
	uint32_t node;	       /* kept by the trie */
	uint32_t subs;	       /* one record, or BB_TOPIC_FAN | slot of a fan */
	uint32_t set;	       /* id in the set store, 0 none */
	uint32_t set_seq_lo;   /* when the set was computed */
	uint32_t first_seq_lo; /* when the first subscription came */
	uint16_t set_seq_hi, first_seq_hi;
};
static_assert(sizeof(struct bb_topic) == 24, "counts a million times");

struct bb_trie {
	struct bb_slab *slab;
	uint32_t root; /* 0 before init */
	uint64_t nodes;
};

/* State of a search for the deepest topic that is a prefix of key; see bb_trie_walk_step(). */
struct bb_trie_walk {
	const uint8_t *key;
	uint32_t len, off;
	uint32_t next;	       /* node to look at */
	uint32_t topic;	       /* deepest one so far, 0 none */
	uint64_t tail;	       /* the key's last 8 bytes, or all and zeros before them */
	uint64_t change;       /* largest change number on the way to next */
	uint64_t topic_change; /* the same, on the way to the topic */
};

/* 0 or -ENOMEM. */
int bb_trie_init(struct bb_trie *t, struct bb_slab *slab);

/* The node of exactly this key, 0 if there is none. */
uint32_t bb_trie_find(const struct bb_trie *t, const void *key, uint32_t len);

/*
 * The node of exactly this key, made if there is none; 0 when there is no memory: what can be found is
 * unchanged. A node that stays without topic is to be pruned. Nodes other than topics' may have moved.
 */
uint32_t bb_trie_insert(struct bb_trie *t, const void *key, uint32_t len);

/* Remove the node if it has no topic, and what has become needless with it. Never fails. */
void bb_trie_prune(struct bb_trie *t, uint32_t node);

/* Length of the node's key. */
uint32_t bb_trie_key_len(const struct bb_trie *t, uint32_t node);

/* Write the node's key, key_len as from bb_trie_key_len(). */
void bb_trie_key(const struct bb_trie *t, uint32_t node, uint8_t *key, uint32_t key_len);

/*
 * First node with a topic, in ascending order of keys (a prefix comes before what it begins), whose key is
 * above key, or equal to it if inclusive; 0 if there is none.
 */
uint32_t bb_trie_next(const struct bb_trie *t, const void *key, uint32_t len, bool inclusive);

static inline struct bb_trie_node *
bb_trie_node(const struct bb_trie *t, uint32_t ref)
{
	return bb_slab_at(t->slab, ref);
}

static inline uint64_t
bb_trie_change(const struct bb_trie_node *n)
{
	return (uint64_t)n->change_hi << 32 | n->change_lo;
}

static inline void
bb_trie_change_set(struct bb_trie_node *n, uint64_t seq)
{
	n->change_lo = (uint32_t)seq;
	n->change_hi = (uint16_t)(seq >> 32);
}

static inline const uint8_t *
bb_trie_keys(const struct bb_trie_node *n)
{
	return n->label + n->label_len;
}

static inline const uint32_t *
bb_trie_refs(const struct bb_trie_node *n)
{
	const size_t keys = n->kind == BB_TRIE_KIND_TABLE ? 0 : bb_trie_kind_cap[n->kind];

	return (const uint32_t *)((const uint8_t *)n + bb_align_up(sizeof(*n) + n->label_len + keys, 4));
}

/* Which of 32 bytes are equal to key, as a bit mask. */
static inline uint32_t
bb_trie_same_bytes(const uint8_t *bytes, uint8_t key)
{
#ifdef __SSE2__
	const __m128i all = _mm_set1_epi8((char)key);
	const __m128i a = _mm_loadu_si128((const __m128i *)(const void *)bytes);
	const __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(bytes + 16));

	return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(a, all)) |
	       (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(b, all)) << 16;
#else
	uint32_t same = 0;

	for (uint32_t i = 0; i < 32; i++)
		same |= (uint32_t)(bytes[i] == key) << i;
	return same;
#endif
}

/* The child of that key, 0 none. */
static inline uint32_t
bb_trie_child(const struct bb_trie_node *n, uint8_t key)
{
	if (n->kind == BB_TRIE_KIND_TABLE)
		return bb_trie_refs(n)[key];

	/* Many keys at a time, without a branch per key; reads up to 31 bytes beyond them (BB_SLAB_PAD). */
	const uint32_t cap = bb_trie_kind_cap[n->kind];
	const uint8_t *keys = bb_trie_keys(n);
	for (uint32_t i = 0; i < cap; i += 32) {
		uint32_t same = bb_trie_same_bytes(keys + i, key);
		if (cap - i < 32)
			same &= (UINT32_C(1) << (cap - i)) - 1;
		if (same != 0) /* the lowest: an unused place may have any key, and has ref 0 */
			return bb_trie_refs(n)[i + (uint32_t)__builtin_ctz(same)];
	}
	return 0;
}

/* Sequence numbers of a topic. */
static inline uint64_t
bb_topic_set_seq(const struct bb_topic *topic)
{
	return (uint64_t)topic->set_seq_hi << 32 | topic->set_seq_lo;
}

static inline uint64_t
bb_topic_first_seq(const struct bb_topic *topic)
{
	return (uint64_t)topic->first_seq_hi << 32 | topic->first_seq_lo;
}

static inline void
bb_topic_set_seq_put(struct bb_topic *topic, uint64_t seq)
{
	topic->set_seq_lo = (uint32_t)seq;
	topic->set_seq_hi = (uint16_t)(seq >> 32);
}

static inline void
bb_topic_first_seq_put(struct bb_topic *topic, uint64_t seq)
{
	topic->first_seq_lo = (uint32_t)seq;
	topic->first_seq_hi = (uint16_t)(seq >> 32);
}

/* Labels are short: a call of memcmp costs more than it saves. */
static inline bool
bb_bytes_equal(const uint8_t *a, const uint8_t *b, uint32_t len)
{
	uint64_t x, y;

	if (len > 64)
		return memcmp(a, b, len) == 0;
	while (len >= 8) {
		memcpy(&x, a, 8);
		memcpy(&y, b, 8);
		if (x != y)
			return false;
		a += 8;
		b += 8;
		len -= 8;
	}
	for (uint32_t i = 0; i < len; i++)
		if (a[i] != b[i])
			return false;
	return true;
}

static inline struct bb_trie_walk
bb_trie_walk_start(const struct bb_trie *t, const void *key, uint32_t len)
{
	struct bb_trie_walk w = { .key = key, .len = len, .next = t->root };

	if (len >= 8)
		memcpy(&w.tail, w.key + len - 8, 8);
	else
		for (uint32_t i = 0; i < len; i++)
			w.tail |= (uint64_t)w.key[i] << 8 * (8 - len + i);
	return w;
}

/* The key's next 8 bytes, or as many as there are, at least 1; never reads beyond them. */
static inline uint64_t
bb_trie_walk_word(const struct bb_trie_walk *w, uint32_t off)
{
	uint64_t word;

	if (w->len - off <= 8)
		return w->tail >> 8 * (8 - (w->len - off));
	memcpy(&word, w->key + off, 8);
	return word;
}

/* True if the label, which is not longer than the rest of the key, begins it. */
static inline bool
bb_trie_walk_label(const struct bb_trie_walk *w, const struct bb_trie_node *n)
{
	uint32_t off = w->off, left = n->label_len;
	const uint8_t *label = n->label;
	uint64_t word;

	for (; left > 8; left -= 8, label += 8, off += 8) {
		memcpy(&word, label, 8);
		if (word != bb_trie_walk_word(w, off))
			return false;
	}
	if (left == 0)
		return true;	 /* the root */
	memcpy(&word, label, 8); /* beyond the label's end: BB_SLAB_PAD */
	return ((word ^ bb_trie_walk_word(w, off)) << 8 * (8 - left)) == 0;
}

/*
 * Look at one node. False: the walk is over, w->topic is the result. True: w->next is to be looked at next;
 * its memory was asked for, so that other walks may go on until it comes.
 */
static inline bool
bb_trie_walk_step(const struct bb_trie *t, struct bb_trie_walk *w)
{
	const struct bb_trie_node *n = bb_trie_node(t, w->next);

	if (n->label_len > w->len - w->off || !bb_trie_walk_label(w, n))
		return false;
	w->off += n->label_len;
	w->change = bb_max_u64(w->change, bb_trie_change(n));
	if (n->topic != 0) {
		w->topic = n->topic;
		w->topic_change = w->change;
	}
	if (w->off == w->len)
		return false;
	w->next = bb_trie_child(n, w->key[w->off]);
	if (w->next == 0)
		return false;
	const struct bb_trie_node *child = bb_trie_node(t, w->next);
	__builtin_prefetch(child);
	__builtin_prefetch((const uint8_t *)child + 48); /* most leaves end there */
	return true;
}

#endif
