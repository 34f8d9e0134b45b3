/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pipeline: messages of producers (side 0) to consumers (side 1), each to one, in rotation; see rotation.h.
 * Consumers (PUSH peers are PULL sockets) say nothing; what one sends nevertheless is unroutable.
 */
#include "route/rotation.h"
#include "route/state.h"

static int
pipeline_open(struct bb_shard *s)
{
	s->rotation = (struct bb_rotation){ 0 };
	return 0;
}

static void
pipeline_close(struct bb_shard *s)
{
	bb_rotation_fini(&s->rotation, s->router->mem);
}

static void
pipeline_change(struct bb_shard *s)
{
	(void)s; /* high-water marks act through credit */
}

static uint32_t
pipeline_attach(
	struct bb_shard *s, struct bb_peer *p, const struct bb_attach *a, uint32_t buffer, uint32_t offset)
{
	(void)a;
	(void)buffer;
	(void)offset;
	if (p->which == 1) {
		if (bb_rotation_join(&s->rotation, s->router->mem, p) != 0)
			return BB_REFUSED_NO_MEMORY;
		bb_shard_resume(s);
	}
	bb_out_plain(&s->router->out, p->core, BB_DELIVERY_GRANTED, p->side, p->handle, 0);
	return 0;
}

static bool
pipeline_gone(struct bb_shard *s, struct bb_peer *p)
{
	bb_rotation_leave(&s->rotation, p);
	return true;
}

static void
pipeline_messages(struct bb_shard *s, struct bb_peer *p, struct bb_msgs *m)
{
	if (bb_likely(p->which == 0))
		bb_rotation_messages(s, p, m);
	else
		bb_msgs_drop(s, p, m, BB_ROUTER_IN_UNROUTABLE);
}

static void
pipeline_chain(struct bb_shard *s, struct bb_peer *p, const struct bb_chain *c)
{
	if (p->which == 0)
		bb_rotation_chain(s, p, c);
	else
		bb_account_dropped(s, p, BB_ROUTER_IN_UNROUTABLE, 1, c->len);
}

static void
pipeline_credit(struct bb_shard *s, struct bb_peer *p)
{
	if (p->which != 1)
		return;
	bb_rotation_wake(&s->rotation, p);
	bb_shard_resume(s);
}

const struct bb_pattern_ops bb_pipeline_ops = {
	.open = pipeline_open,
	.close = pipeline_close,
	.change = pipeline_change,
	.attach = pipeline_attach,
	.gone = pipeline_gone,
	.messages = pipeline_messages,
	.chain = pipeline_chain,
	.credit = pipeline_credit,
	.resume = bb_rotation_resume,
};
