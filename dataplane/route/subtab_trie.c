/* SPDX-License-Identifier: BSD-3-Clause */
#include "route/subtab_trie.h"

#include <errno.h>

#include "base/assert.h"

const uint16_t bb_trie_kind_cap[BB_TRIE_KIND_TABLE + 1] = { 0, 1, 2, 3, 4, 6, 8, 12, 16, 28, 48, 256 };

static size_t
node_bytes(uint32_t kind, uint32_t label_len)
{
	const size_t cap = bb_trie_kind_cap[kind];

	if (cap == 0)
		return sizeof(struct bb_trie_node) + label_len;
	const size_t keys = kind == BB_TRIE_KIND_TABLE ? 0 : cap;
	return bb_align_up(sizeof(struct bb_trie_node) + label_len + keys, 4) + cap * sizeof(uint32_t);
}
static_assert(
	sizeof(struct bb_trie_node) + 256 * 4 + BB_TRIE_LABEL_MAX + 3 <= BB_SLAB_SIZE_MAX, "largest node");

static uint8_t *
node_keys(struct bb_trie_node *n)
{
	return n->label + n->label_len;
}

static uint32_t *
node_refs(struct bb_trie_node *n)
{
	return (uint32_t *)(uintptr_t)bb_trie_refs(n);
}

static uint32_t
child_count(const struct bb_trie_node *n)
{
	const uint32_t cap = bb_trie_kind_cap[n->kind], *refs = bb_trie_refs(n);
	uint32_t count = 0;

	for (uint32_t i = 0; i < cap; i++)
		count += refs[i] != 0;
	return count;
}

/* The i-th child, counted over used and unused places; 0: unused. */
static uint32_t
child_at(const struct bb_trie_node *n, uint32_t i, uint8_t *ret_key)
{
	*ret_key = n->kind == BB_TRIE_KIND_TABLE ? (uint8_t)i : bb_trie_keys(n)[i];
	return bb_trie_refs(n)[i];
}

static uint32_t *
child_slot(struct bb_trie_node *n, uint8_t key)
{
	uint32_t *refs = node_refs(n);
	if (n->kind == BB_TRIE_KIND_TABLE)
		return &refs[key];
	const uint8_t *keys = node_keys(n);
	for (uint32_t i = 0;; i++) {
		BB_ASSERT(i < bb_trie_kind_cap[n->kind] && refs[i] != 0);
		if (keys[i] == key)
			return &refs[i];
	}
}

static uint32_t
kind_for(uint32_t count)
{
	uint32_t kind = 0;

	while (bb_trie_kind_cap[kind] < count)
		kind++;
	return kind;
}

/* A node without parent, topic and children; 0 without memory. */
static uint32_t
node_create(struct bb_trie *t, uint32_t kind, const uint8_t *label, uint32_t label_len)
{
	const uint32_t ref = bb_slab_alloc(t->slab, node_bytes(kind, label_len));

	if (ref == 0)
		return 0;
	struct bb_trie_node *n = bb_trie_node(t, ref);
	*n = (struct bb_trie_node){ .label_len = (uint8_t)label_len, .kind = (uint8_t)kind };
	if (label_len != 0)
		memcpy(n->label, label, label_len);
	const size_t labelled = sizeof(*n) + label_len; /* a defined value for unused keys too */
	memset((uint8_t *)n + labelled, 0, node_bytes(kind, label_len) - labelled);
	t->nodes++;
	return ref;
}

static void
node_free(struct bb_trie *t, uint32_t ref)
{
	bb_slab_free(t->slab, ref);
	t->nodes--;
}

/* Put a child where there is room for it. */
static void
child_put(struct bb_trie *t, uint32_t ref, uint8_t key, uint32_t child)
{
	struct bb_trie_node *n = bb_trie_node(t, ref);

	uint32_t *refs = node_refs(n);

	bb_trie_node(t, child)->parent = ref;
	if (n->kind == BB_TRIE_KIND_TABLE) {
		refs[key] = child;
		return;
	}
	uint8_t *keys = node_keys(n);
	uint32_t i = child_count(n);
	BB_ASSERT(i < bb_trie_kind_cap[n->kind]);
	for (; i > 0 && keys[i - 1] > key; i--) {
		keys[i] = keys[i - 1];
		refs[i] = refs[i - 1];
	}
	keys[i] = key;
	refs[i] = child;
}

static void
child_take(struct bb_trie_node *n, uint8_t key)
{
	uint32_t *slot = child_slot(n, key), *refs = node_refs(n);

	if (n->kind != BB_TRIE_KIND_TABLE) {
		const uint32_t last = child_count(n) - 1;
		uint8_t *keys = node_keys(n);
		for (uint32_t i = (uint32_t)(slot - refs); i < last; i++) {
			keys[i] = keys[i + 1];
			refs[i] = refs[i + 1];
		}
		slot = &refs[last];
	}
	*slot = 0;
}

/* Copy `from`'s topic, change number and children into the fresh node `to`, make those point to it, free
 * `from`. */
static void
node_replace(struct bb_trie *t, uint32_t from, uint32_t to)
{
	struct bb_trie_node *old = bb_trie_node(t, from), *n = bb_trie_node(t, to);

	n->topic = old->topic;
	bb_trie_change_set(n, bb_max_u64(bb_trie_change(n), bb_trie_change(old)));
	if (n->topic != 0)
		((struct bb_topic *)bb_slab_at(t->slab, n->topic))->node = to;
	for (uint32_t i = 0; i < bb_trie_kind_cap[old->kind]; i++) {
		uint8_t key;
		const uint32_t child = child_at(old, i, &key);
		if (child != 0)
			child_put(t, to, key, child);
	}
	node_free(t, from);
}

/* The same node with room for other children; returns where it is now, or 0 without memory: nothing changed.
 */
static uint32_t
node_resize(struct bb_trie *t, uint32_t ref, uint32_t kind)
{
	struct bb_trie_node *n = bb_trie_node(t, ref);
	const uint32_t to = node_create(t, kind, n->label, n->label_len);

	if (to == 0)
		return 0;
	bb_trie_node(t, to)->parent = n->parent;
	if (n->parent != 0)
		*child_slot(bb_trie_node(t, n->parent), n->label[0]) = to;
	else
		t->root = to;
	node_replace(t, ref, to);
	return to;
}

/* Add a child; returns where the node is now, or 0 without memory: nothing changed. */
static uint32_t
child_add(struct bb_trie *t, uint32_t ref, uint8_t key, uint32_t child)
{
	const struct bb_trie_node *n = bb_trie_node(t, ref);
	const uint32_t count = child_count(n);

	if (n->kind != BB_TRIE_KIND_TABLE && count == bb_trie_kind_cap[n->kind]) {
		ref = node_resize(t, ref, kind_for(count + 1));
		if (ref == 0)
			return 0;
	}
	child_put(t, ref, key, child);
	return ref;
}

int
bb_trie_init(struct bb_trie *t, struct bb_slab *slab)
{
	*t = (struct bb_trie){ .slab = slab };
	t->root = node_create(t, 0, NULL, 0);
	return t->root == 0 ? -ENOMEM : 0;
}

uint32_t
bb_trie_find(const struct bb_trie *t, const void *key, uint32_t len)
{
	struct bb_trie_walk w = bb_trie_walk_start(t, key, len);

	for (;;) {
		const uint32_t ref = w.next, off = w.off;
		if (bb_trie_walk_step(t, &w))
			continue;
		/* Over: at the node itself, or before a label that does not fit, or at a missing child. */
		const uint32_t label_len = bb_trie_node(t, ref)->label_len;
		return w.off == len && w.off == off + label_len && w.next == ref ? ref : 0;
	}
}

/* Hang a chain of new nodes with the labels of rest under a node; returns the last of them, or 0 without
 * memory. */
static uint32_t
chain_append(struct bb_trie *t, uint32_t parent, const uint8_t *rest, uint32_t len)
{
	uint32_t last = 0, child = 0;

	for (uint32_t end = len; end > 0;) { /* from the far end, so that every node has its parent at hand */
		const uint32_t label_len = (end - 1) % BB_TRIE_LABEL_MAX + 1;
		const uint32_t ref = node_create(t, child != 0, rest + end - label_len, label_len);
		if (ref == 0)
			goto free_chain;
		if (child != 0)
			child_put(t, ref, rest[end], child);
		else
			last = ref;
		child = ref;
		end -= label_len;
	}
	if (child_add(t, parent, rest[0], child) != 0)
		return last;

free_chain:
	while (child != 0) {
		struct bb_trie_node *n = bb_trie_node(t, child);
		const uint32_t next = n->kind == 0 ? 0 : bb_trie_refs(n)[0];
		node_free(t, child);
		child = next;
	}
	return 0;
}

/* Without memory for a smaller node: drop the label's first bytes where it is. */
static void
label_cut(struct bb_trie_node *n, uint32_t bytes)
{
	const uint32_t cap = bb_trie_kind_cap[n->kind];
	uint32_t refs[256];

	if (cap != 0)
		memcpy(refs, bb_trie_refs(n), cap * sizeof(refs[0]));
	const size_t keys = n->kind == BB_TRIE_KIND_TABLE ? 0 : cap;
	memmove(n->label, n->label + bytes, n->label_len - bytes + keys);
	n->label_len -= (uint8_t)bytes;
	if (cap != 0)
		memcpy(node_refs(n), refs, cap * sizeof(refs[0]));
}

/* Cut a node's label in two; returns the new upper node, of the given kind, or 0 without memory: nothing
 * changed. */
static uint32_t
node_split(struct bb_trie *t, uint32_t ref, uint32_t upper_len, uint32_t kind)
{
	struct bb_trie_node *n = bb_trie_node(t, ref);
	uint8_t *label = n->label;
	const uint32_t upper = node_create(t, kind, label, upper_len);

	if (upper == 0)
		return 0;
	const uint32_t parent = n->parent;
	bb_trie_node(t, upper)->parent = parent;
	*child_slot(bb_trie_node(t, parent), label[0]) = upper;

	const uint32_t lower_len = n->label_len - upper_len;
	const uint8_t key = label[upper_len];
	const uint32_t lower = node_create(t, n->kind, label + upper_len, lower_len);
	if (lower != 0) {
		node_replace(t, ref, lower);
		child_put(t, upper, key, lower);
	} else {
		label_cut(n, upper_len);
		child_put(t, upper, key, ref);
	}
	return upper;
}

uint32_t
bb_trie_insert(struct bb_trie *t, const void *key, uint32_t len)
{
	const uint8_t *bytes = key;
	uint32_t ref = t->root, off = 0;

	while (off < len) {
		const uint32_t child = bb_trie_child(bb_trie_node(t, ref), bytes[off]);
		if (child == 0)
			return chain_append(t, ref, bytes + off, len - off);

		const struct bb_trie_node *c = bb_trie_node(t, child);
		const uint8_t *label = c->label;
		uint32_t same = 0;
		while (same < c->label_len && off + same < len && label[same] == bytes[off + same])
			same++;
		off += same;
		if (same == c->label_len) {
			ref = child;
			continue;
		}
		const uint32_t upper = node_split(t, child, same, off == len ? 1 : 2);
		if (upper == 0 || off == len)
			return upper;
		ref = chain_append(t, upper, bytes + off, len - off);
		if (ref == 0)
			bb_trie_prune(t, upper);
		return ref;
	}
	return ref;
}

/* Replace a node without topic by its only child with both labels; stays as it is without memory. */
static void
node_merge(struct bb_trie *t, uint32_t ref)
{
	struct bb_trie_node *n = bb_trie_node(t, ref);
	uint32_t child = 0;
	uint8_t label[BB_TRIE_LABEL_MAX], key;

	for (uint32_t i = 0; child == 0; i++)
		child = child_at(n, i, &key);
	struct bb_trie_node *c = bb_trie_node(t, child);
	const uint32_t label_len = (uint32_t)n->label_len + c->label_len;
	if (label_len > BB_TRIE_LABEL_MAX)
		return;
	memcpy(label, n->label, n->label_len);
	memcpy(label + n->label_len, c->label, c->label_len);

	const uint32_t merged = node_create(t, c->kind, label, label_len);
	if (merged == 0)
		return;
	struct bb_trie_node *m = bb_trie_node(t, merged);
	m->parent = n->parent;
	/* What changed at the node that goes still dates the sets below it. */
	bb_trie_change_set(m, bb_trie_change(n));
	*child_slot(bb_trie_node(t, n->parent), label[0]) = merged;
	node_replace(t, child, merged);
	node_free(t, ref);
}

void
bb_trie_prune(struct bb_trie *t, uint32_t ref)
{
	while (ref != t->root && bb_trie_node(t, ref)->topic == 0) {
		struct bb_trie_node *n = bb_trie_node(t, ref);
		const uint32_t count = child_count(n);
		if (count == 1)
			node_merge(t, ref);
		if (count > 0)
			return;

		const uint32_t parent = n->parent;
		child_take(bb_trie_node(t, parent), n->label[0]);
		node_free(t, ref);
		ref = parent;

		/* Give back room for children, not at once, lest the next addition asks for it again. */
		struct bb_trie_node *p = bb_trie_node(t, parent);
		const uint32_t kind = kind_for(child_count(p));
		const uint32_t cap = bb_trie_kind_cap[kind];
		if (p->kind == BB_TRIE_KIND_TABLE ? cap <= 28 : cap * 2 <= bb_trie_kind_cap[p->kind]) {
			const uint32_t moved = node_resize(t, parent, kind);
			ref = moved != 0 ? moved : parent;
		}
	}
}

uint32_t
bb_trie_key_len(const struct bb_trie *t, uint32_t ref)
{
	uint32_t len = 0;

	for (; ref != 0; ref = bb_trie_node(t, ref)->parent)
		len += bb_trie_node(t, ref)->label_len;
	return len;
}

void
bb_trie_key(const struct bb_trie *t, uint32_t ref, uint8_t *key, uint32_t key_len)
{
	for (; ref != 0; ref = bb_trie_node(t, ref)->parent) {
		const struct bb_trie_node *n = bb_trie_node(t, ref);
		BB_ASSERT(n->label_len <= key_len);
		key_len -= n->label_len;
		if (n->label_len != 0)
			memcpy(key + key_len, n->label, n->label_len);
	}
	BB_ASSERT(key_len == 0);
}

/* First child with a key of at least from (0..256), 0 none. */
static uint32_t
child_from(struct bb_trie_node *n, uint32_t from)
{
	for (uint32_t i = n->kind == BB_TRIE_KIND_TABLE ? from : 0; i < bb_trie_kind_cap[n->kind]; i++) {
		uint8_t key;
		const uint32_t child = child_at(n, i, &key);
		if (child != 0 && key >= from)
			return child;
	}
	return 0;
}

/* First node with a topic in a subtree. Leaves have topics, so it goes down only. */
static uint32_t
first_topic(const struct bb_trie *t, uint32_t ref)
{
	while (ref != 0 && bb_trie_node(t, ref)->topic == 0)
		ref = child_from(bb_trie_node(t, ref), 0);
	return ref;
}

/* First topic after the subtree of the edge `key` of a node. */
static uint32_t
topic_after(const struct bb_trie *t, uint32_t ref, uint8_t key)
{
	for (;;) {
		struct bb_trie_node *n = bb_trie_node(t, ref);
		const uint32_t sibling = child_from(n, key + 1u);
		if (sibling != 0)
			return first_topic(t, sibling);
		if (n->parent == 0)
			return 0;
		key = n->label[0];
		ref = n->parent;
	}
}

uint32_t
bb_trie_next(const struct bb_trie *t, const void *key, uint32_t len, bool inclusive)
{
	const uint8_t *bytes = key;
	uint32_t ref = t->root, off = 0;

	while (off < len) {
		struct bb_trie_node *n = bb_trie_node(t, ref);
		const uint32_t child = bb_trie_child(n, bytes[off]);
		if (child == 0)
			return topic_after(t, ref, bytes[off]);

		const struct bb_trie_node *c = bb_trie_node(t, child);
		const uint32_t both = (uint32_t)bb_min_u64(c->label_len, len - off);
		const int order = memcmp(c->label, bytes + off, both);
		if (order < 0)
			return topic_after(t, ref, bytes[off]);
		if (order > 0 || both < c->label_len)
			return first_topic(t, child); /* all of it is above the key */
		ref = child;
		off += both;
	}
	struct bb_trie_node *n = bb_trie_node(t, ref);
	if (inclusive && n->topic != 0)
		return ref;
	const uint32_t child = child_from(n, 0);
	if (child != 0)
		return first_topic(t, child);
	return n->parent == 0 ? 0 : topic_after(t, n->parent, n->label[0]);
}
