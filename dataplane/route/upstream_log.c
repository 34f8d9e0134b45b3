/* SPDX-License-Identifier: BSD-3-Clause */
#include "route/upstream_log.h"

#include <string.h>

#include "base/compiler.h"
#include "route/peer.h"

#define FIRST_CAP 64
#define COMPACT_ENTRIES 4096u	 /* worth compacting from here on, ... */
#define COMPACT_BYTES (1u << 20) /* ... or here */

void
bb_upstream_log_init(struct bb_upstream *u)
{
	u->compact_entries = COMPACT_ENTRIES;
	u->compact_bytes = COMPACT_BYTES;
}

static void
entry_free(struct bb_upstream *u, struct bb_mem *mem, struct bb_upstream_entry *e)
{
	u->bytes -= e->len;
	bb_mem_free(mem, e, sizeof(*e) + e->len);
}

void
bb_upstream_log_fini(struct bb_upstream *u, struct bb_mem *mem)
{
	while (u->first < u->next)
		entry_free(u, mem, *bb_upstream_entry_at(u, u->first++));
	bb_mem_free(mem, u->log, u->cap * sizeof(struct bb_upstream_entry *));
	u->log = NULL;
	u->cap = 0;
}

void
bb_upstream_log_trim(struct bb_upstream *u, struct bb_mem *mem)
{
	while (u->first < u->next && (*bb_upstream_entry_at(u, u->first))->waiting == 0)
		entry_free(u, mem, *bb_upstream_entry_at(u, u->first++));
}

static bool
grow(struct bb_upstream *u, struct bb_mem *mem)
{
	const uint32_t cap = u->cap == 0 ? FIRST_CAP : 2 * u->cap;

	if (cap > BB_UPSTREAM_LOG_ENTRIES)
		return false;
	struct bb_upstream_entry **log = bb_mem_alloc(mem, cap * sizeof(struct bb_upstream_entry *));
	if (log == NULL)
		return false;
	for (uint64_t n = u->first; n < u->next; n++)
		log[n & (cap - 1)] = *bb_upstream_entry_at(u, n);
	bb_mem_free(mem, u->log, u->cap * sizeof(struct bb_upstream_entry *));
	u->log = log;
	u->cap = cap;
	return true;
}

bool
bb_upstream_log_append(
	struct bb_upstream *u, struct bb_mem *mem, bool cancel, const void *topic, uint32_t len)
{
	if (u->bytes + len > BB_UPSTREAM_LOG_BYTES)
		return false;
	if (u->next - u->first == u->cap && !grow(u, mem))
		return false;
	struct bb_upstream_entry *e = bb_mem_alloc(mem, sizeof(*e) + len);
	if (e == NULL)
		return false;
	*e = (struct bb_upstream_entry){ .waiting = u->at_end, .len = len, .cancel = cancel };
	if (len > 0)
		memcpy(e->topic, topic, len);
	u->at_end = 0;
	*bb_upstream_entry_at(u, u->next++) = e;
	u->bytes += len;
	return true;
}

/* ---- Compacting ---- */

bool
bb_upstream_log_is_long(const struct bb_upstream *u)
{
	return u->next - u->first >= u->compact_entries || u->bytes >= u->compact_bytes;
}

/* Memory while compacting; offsets count from the log's first entry. */
struct compaction {
	uint32_t count;
	uint32_t mask;
	uint32_t *slots; /* hash table: offset + 1 of an entry, 0: free */
	uint32_t *kept;	 /* entries that stay, before each offset */
};

/*
 * A later change of a topic makes those since `from` needless. A topic that was cancelled and came back is
 * told all the same: a publisher whose walk had not come to it would miss it, as it is too new for the walk.
 */
static void
supersede(const struct bb_upstream *u, const struct compaction *c, uint64_t hash, uint32_t from, uint32_t at)
{
	struct bb_upstream_entry *e = *bb_upstream_entry_at(u, u->first + at);
	uint32_t slot = (uint32_t)hash & c->mask;

	e->was_there = e->cancel;
	for (; c->slots[slot] != 0; slot = (slot + 1) & c->mask) {
		const uint32_t before = c->slots[slot] - 1;
		struct bb_upstream_entry *f = *bb_upstream_entry_at(u, u->first + before);
		if (before < from || f->len != e->len || memcmp(f->topic, e->topic, e->len) != 0)
			continue;
		f->dead = true;
		e->was_there = f->was_there;
		e->dead = e->cancel && !e->was_there;
		break;
	}
	c->slots[slot] = at + 1;
}

static void
find_dead(const struct bb_upstream *u, const struct compaction *c, const struct bb_hash_key *key)
{
	uint32_t from = 0, kept = 0;

	for (uint32_t i = 0; i < c->count; i++) {
		const struct bb_upstream_entry *e = *bb_upstream_entry_at(u, u->first + i);
		if (e->waiting > 0)
			from = i; /* who stands here was told what came before, and not what follows */
		supersede(u, c, bb_hash(key, e->topic, e->len), from, i);
	}
	for (uint32_t i = 0; i < c->count; i++) {
		c->kept[i] = kept;
		kept += !(*bb_upstream_entry_at(u, u->first + i))->dead;
	}
	c->kept[c->count] = kept;
}

/* Close the gaps; each publisher goes on with the next entry that stays. */
static void
remove_dead(struct bb_upstream *u, const struct compaction *c, struct bb_mem *mem)
{
	for (uint32_t i = 0; i < c->count; i++) {
		struct bb_upstream_entry *e = *bb_upstream_entry_at(u, u->first + i);
		if (e->dead) {
			entry_free(u, mem, e);
			continue;
		}
		e->waiting = 0;
		*bb_upstream_entry_at(u, u->first + c->kept[i]) = e;
	}
	u->next = u->first + c->kept[c->count];
	u->at_end = 0;
	bb_list_for_each(n, &u->publishers)
	{
		struct bb_peer *p = bb_list_entry(n, struct bb_peer, publishers);
		p->upstream_log = u->first + c->kept[p->upstream_log - u->first];
		++*bb_upstream_waiting_at(u, p->upstream_log);
	}
}

void
bb_upstream_log_compact(struct bb_upstream *u, struct bb_mem *mem, const struct bb_hash_key *key)
{
	struct compaction c = { .count = (uint32_t)(u->next - u->first), .mask = 2 * u->cap - 1 };

	c.slots = bb_mem_zalloc(mem, ((size_t)c.mask + 1) * sizeof(*c.slots));
	c.kept = bb_mem_alloc(mem, ((size_t)c.count + 1) * sizeof(*c.kept));
	if (c.slots != NULL && c.kept != NULL) {
		find_dead(u, &c, key);
		remove_dead(u, &c, mem);
	}
	bb_mem_free(mem, c.slots, ((size_t)c.mask + 1) * sizeof(*c.slots));
	bb_mem_free(mem, c.kept, ((size_t)c.count + 1) * sizeof(*c.kept));
	/* Not again before it is twice as long: so it costs a bounded time per entry. */
	u->compact_entries = (uint32_t)bb_max_u64(COMPACT_ENTRIES, 2 * (u->next - u->first));
	u->compact_bytes = bb_max_u64(COMPACT_BYTES, 2 * u->bytes);
}
