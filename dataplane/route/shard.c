/* SPDX-License-Identifier: BSD-3-Clause */
#include "route/shard.h"

#include <errno.h>
#include <string.h>

#include "route/drain.h"
#include "route/mailbox.h"
#include "route/park.h"

static const struct bb_pattern_ops *const pattern_ops[] = {
	[BB_PATTERN_PUBSUB] = &bb_pubsub_ops,
	[BB_PATTERN_PIPELINE] = &bb_pipeline_ops,
	[BB_PATTERN_REQREP] = &bb_reqrep_ops,
};

static size_t
windows_bytes(const struct bb_router *r)
{
	return r->fabric->sizes.io_count * sizeof(struct bb_window);
}

static void
shard_free(struct bb_router *r, struct bb_shard *s)
{
	for (uint32_t which = 0; which < 2; which++)
		bb_mem_free(r->mem, s->windows[which], windows_bytes(r));
	bb_mem_free(r->mem, s, sizeof(*s));
}

static int
shard_create(struct bb_router *r, const struct bb_endpoint *conf)
{
	BB_ASSERT(conf->pattern < BB_ARRAY_LEN(pattern_ops) && pattern_ops[conf->pattern] != NULL);
	struct bb_shard *s = bb_mem_zalloc(r->mem, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->conf = conf;
	s->ops = pattern_ops[conf->pattern];
	s->router = r;
	bb_park_init(&s->park);
	bb_drain_init(&s->drain, conf->id);
	bb_list_init(&s->resume);
	bb_list_init(&s->upstream);
	bb_list_init(&s->timed);
	bb_list_init(&s->tables);
	for (uint32_t which = 0; which < 2; which++) {
		const uint16_t side = bb_side_index(conf, which);
		s->row[which] = bb_counters_router_side(r->options.counters, r->options.index, side);
		s->windows[which] = bb_mem_zalloc(r->mem, windows_bytes(r));
		for (uint32_t i = 0; s->windows[which] != NULL && i < r->fabric->sizes.io_count; i++) {
			s->windows[which][i].side = side;
			s->windows[which][i].core = (uint8_t)i;
		}
	}
	if (s->windows[0] == NULL || s->windows[1] == NULL || s->ops->open(s) != 0) {
		shard_free(r, s);
		return -ENOMEM;
	}
	r->shards[conf->id] = s;
	return 0;
}

int
bb_shard_configure(struct bb_router *r, const struct bb_endpoint *conf)
{
	BB_ASSERT(conf->id < BB_ENDPOINTS_MAX);
	struct bb_shard *s = r->shards[conf->id];

	if (s == NULL)
		return shard_create(r, conf);
	BB_ASSERT(s->conf->pattern == conf->pattern && s->conf->sharded == conf->sharded);
	s->conf = conf;
	s->ops->change(s);
	return 0;
}

void
bb_shard_destroy(struct bb_router *r, uint32_t endpoint)
{
	struct bb_shard *s = r->shards[endpoint];

	if (s == NULL)
		return;
	bb_park_clear(s);
	s->ops->close(s);
	for (struct bb_window **w = &r->windows_dirty; *w != NULL;) {
		if ((*w)->side / 2 == endpoint)
			*w = (*w)->next; /* nobody asks any more */
		else
			w = &(*w)->next;
	}
	bb_list_remove(&s->resume);
	bb_list_remove(&s->upstream);
	bb_list_remove(&s->timed);
	bb_list_remove(&s->drain.node);
	r->shards[endpoint] = NULL;
	shard_free(r, s);
}

void
bb_shard_remove(struct bb_router *r, uint32_t endpoint)
{
	struct bb_shard *s = endpoint < BB_ENDPOINTS_MAX ? r->shards[endpoint] : NULL;

	if (s == NULL)
		return; /* its creation had failed here */
	BB_ASSERT(s->peers == 0 && bb_park_empty(&s->park));
	bb_shard_destroy(r, endpoint);
}

void
bb_shard_release_peer(void *router, struct bb_peer *p)
{
	struct bb_shard *s = p->shard;
	struct bb_router *r = router;

	bb_spanq_clear(&r->spans, &p->park);
	bb_list_remove(&p->park_all);
	bb_list_remove(&p->park_ready);
	p->parked_msgs = 0;
	if (s->ops->upstream_room != NULL)
		bb_upstream_leave(s, p);
}

/* ---- state.h ---- */

struct bb_shard *
bb_router_shard(struct bb_router *r, uint32_t endpoint)
{
	BB_ASSERT(endpoint < BB_ENDPOINTS_MAX);
	if (bb_unlikely(r->shards[endpoint] == NULL))
		bb_mailbox_poll(r);
	return r->shards[endpoint];
}

uint32_t
bb_msgs_bytes(const struct bb_msgs *m)
{
	const struct bb_desc *desc = m->desc;
	uint32_t bytes = 0;

	for (uint32_t i = 0; i < m->left; i++, desc--)
		bytes += desc->len;
	return bytes;
}

void
bb_msgs_drop(struct bb_shard *s, struct bb_peer *p, struct bb_msgs *m, uint32_t cause)
{
	const uint32_t bytes = bb_msgs_bytes(m);

	bb_account_dropped(s, p, cause, m->left, bytes);
	m->offset += bytes;
	m->desc -= m->left;
	m->left = 0;
	s->router->budget--;
}

const uint8_t *
bb_chain_bytes(struct bb_router *r, uint32_t head, uint32_t offset, uint32_t len)
{
	uint32_t buffer = head;
	uint32_t copied = 0;

	BB_ASSERT(len <= BB_BUFFER_BYTES);
	while (offset >= r->pool->buffers[buffer].used) {
		offset -= r->pool->buffers[buffer].used;
		buffer = r->pool->buffers[buffer].next;
		BB_ASSERT(buffer != BB_BUFFER_NONE);
	}
	if (offset + len <= r->pool->buffers[buffer].used)
		return bb_pool_bytes(r->pool, buffer) + offset;
	while (copied < len) {
		BB_ASSERT(buffer != BB_BUFFER_NONE);
		const struct bb_buffer *b = &r->pool->buffers[buffer];
		const uint32_t n = (uint32_t)bb_min_u64(len - copied, b->used - offset);
		memcpy(r->scratch + copied, bb_pool_bytes(r->pool, buffer) + offset, n);
		copied += n;
		offset = 0;
		buffer = b->next;
	}
	return r->scratch;
}

void
bb_peer_refuse(struct bb_shard *s, struct bb_peer *p, uint32_t cause)
{
	if (p->told)
		return;
	p->told = true;
	bb_out_plain(&s->router->out, p->core, BB_DELIVERY_REFUSED, p->side, p->handle, cause);
}
