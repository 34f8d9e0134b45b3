/* SPDX-License-Identifier: BSD-3-Clause */
#include "route/peer.h"

#include <errno.h>
#include <stddef.h>

#include "base/assert.h"
#include "base/limits.h"

#define PAGES (BB_SESSIONS_MAX / BB_PEER_PAGE)

static_assert(offsetof(struct bb_peer, shard) == 64, "what routing to a peer touches is one cache line");

int
bb_peers_init(struct bb_peers *t, uint32_t core_count, struct bb_mem *mem)
{
	*t = (struct bb_peers){ .mem = mem, .core_count = core_count };
	t->cores = bb_mem_zalloc(mem, core_count * sizeof(struct bb_peer_page **));
	if (t->cores == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < core_count; i++) {
		t->cores[i] = bb_mem_zalloc(mem, PAGES * sizeof(struct bb_peer_page *));
		if (t->cores[i] == NULL) {
			bb_peers_fini(t);
			return -ENOMEM;
		}
	}
	return 0;
}

static void
free_page(struct bb_peers *t, struct bb_peer_page *page)
{
	for (uint32_t i = 0; page != NULL && i < BB_PEER_PAGE; i++)
		bb_mem_free(t->mem, page->of[i], sizeof(*page->of[i]));
	bb_mem_free(t->mem, page, sizeof(*page));
}

void
bb_peers_fini(struct bb_peers *t)
{
	for (uint32_t i = 0; t->cores != NULL && i < t->core_count; i++) {
		for (uint32_t j = 0; t->cores[i] != NULL && j < PAGES; j++)
			free_page(t, t->cores[i][j]);
		bb_mem_free(t->mem, t->cores[i], PAGES * sizeof(struct bb_peer_page *));
	}
	bb_mem_free(t->mem, t->cores, t->core_count * sizeof(struct bb_peer_page **));
	t->cores = NULL;
}

void
bb_peers_each(struct bb_peers *t, void (*fn)(void *ctx, struct bb_peer *p), void *ctx)
{
	for (uint32_t i = 0; i < t->core_count; i++) {
		for (uint32_t j = 0; j < PAGES; j++) {
			struct bb_peer_page *page = t->cores[i][j];
			for (uint32_t k = 0; page != NULL && k < BB_PEER_PAGE; k++) {
				if (page->of[k] != NULL)
					fn(ctx, page->of[k]);
			}
		}
	}
}

static struct bb_peer **
place_of(const struct bb_peers *t, bb_handle h)
{
	struct bb_peer_page *page = t->cores[bb_handle_core(h)][bb_handle_slot(h) / BB_PEER_PAGE];

	return page == NULL ? NULL : &page->of[bb_handle_slot(h) % BB_PEER_PAGE];
}

struct bb_peer *
bb_peers_add(struct bb_peers *t, bb_handle h)
{
	BB_ASSERT(bb_handle_core(h) < t->core_count && bb_handle_slot(h) < BB_SESSIONS_MAX);
	struct bb_peer_page **page = &t->cores[bb_handle_core(h)][bb_handle_slot(h) / BB_PEER_PAGE];

	if (*page == NULL)
		*page = bb_mem_zalloc(t->mem, sizeof(**page));
	if (*page == NULL)
		return NULL;
	struct bb_peer *p = bb_mem_zalloc(t->mem, sizeof(*p));
	if (p == NULL)
		return NULL;
	p->handle = h;
	p->core = (uint8_t)bb_handle_core(h);
	p->position = BB_POSITION_NONE;
	bb_list_init(&p->park_all);
	bb_list_init(&p->park_ready);
	bb_list_init(&p->dying);
	bb_list_init(&p->waiting);
	bb_list_init(&p->blockers);
	bb_list_init(&p->upstream);
	bb_list_init(&p->publishers);
	struct bb_peer **place = place_of(t, h);
	BB_ASSERT(*place == NULL); /* a slot is reused only after GONE_DONE */
	*place = p;
	t->count++;
	return p;
}

void
bb_peers_forget(struct bb_peers *t, struct bb_peer *p)
{
	struct bb_peer **place = place_of(t, p->handle);

	BB_ASSERT(place != NULL && *place == p);
	*place = NULL;
	t->count--;
}

void
bb_peer_free(struct bb_peers *t, struct bb_peer *p)
{
	bb_mem_free(t->mem, p, sizeof(*p));
}
