/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reqrep: requests of clients (side 0) to workers (side 1) in rotation, replies by envelope.
 *
 * We present ROUTER to clients and DEALER to workers. A request arrives here with the frame {client's routing
 * id, MORE} in front, put there when it was read, and goes on as it is. A reply's first frame names the
 * client; the rest goes to it. A full client loses the reply at its I/O core, which is ROUTER's rule, so
 * replies need no credit and never wait.
 */
#include <string.h>

#include "msg/message.h"
#include "route/rotation.h"
#include "route/state.h"

static int
reqrep_open(struct bb_shard *s)
{
	const struct bb_router *r = s->router;

	s->reqrep.workers = (struct bb_rotation){ 0 };
	/* Begins somewhere: an id of the last run of this node is unlikely to name a client of this one. */
	const uint32_t counter = (uint32_t)bb_hash(&r->options.hash_key, &s->conf->id, sizeof(s->conf->id));
	return bb_claims_init(&s->reqrep.claims, r->mem, &r->options.hash_key, counter);
}

static void
reqrep_close(struct bb_shard *s)
{
	bb_rotation_fini(&s->reqrep.workers, s->router->mem);
	bb_claims_fini(&s->reqrep.claims);
}

static void
reqrep_change(struct bb_shard *s)
{
	(void)s; /* high-water marks act through credit; handover is read when it matters */
}

/* The id that a client brought goes back to where it came from, a generated one in a note. */
static uint32_t
attach_client(struct bb_shard *s, struct bb_peer *p, uint32_t id_len, uint32_t buffer, uint32_t offset)
{
	struct bb_router *r = s->router;
	struct bb_claims *claims = &s->reqrep.claims;

	if (id_len > 0) {
		const uint8_t *id = bb_pool_bytes(r->pool, buffer) + offset;
		if (id_len > BB_ROUTING_ID_MAX || id[0] == 0)
			return BB_REFUSED_ID_BAD;
		struct bb_claim *taken = bb_claims_find(claims, id, id_len);
		if (taken != NULL && !s->conf->side[0].handover)
			return BB_REFUSED_ID_TAKEN;
		if (taken != NULL) {
			bb_peer_refuse(s, taken->peer, BB_REFUSED_ID_TAKEN);
			taken->peer->claim = NULL;
			taken->peer = p;
			p->claim = taken;
		} else {
			p->claim = bb_claims_add(claims, id, id_len, p);
		}
	} else {
		p->claim = bb_claims_generate(claims, p);
		if (p->claim != NULL &&
			bb_out_note(&r->out, p->claim->id, p->claim->len, &buffer, &offset) != 0) {
			bb_claims_remove(claims, p->claim);
			p->claim = NULL;
		}
	}
	if (p->claim == NULL)
		return BB_REFUSED_NO_MEMORY;
	bb_out_msgs(
		&r->out, p->out, BB_DELIVERY_GRANTED, p->handle, p->side, buffer, offset, p->claim->len, 0);
	return 0;
}

static uint32_t
reqrep_attach(
	struct bb_shard *s, struct bb_peer *p, const struct bb_attach *a, uint32_t buffer, uint32_t offset)
{
	if (p->which == 0)
		return attach_client(s, p, a->id_len, buffer, offset);
	if (bb_rotation_join(&s->reqrep.workers, s->router->mem, p) != 0)
		return BB_REFUSED_NO_MEMORY;
	bb_shard_resume(s);
	bb_out_plain(&s->router->out, p->core, BB_DELIVERY_GRANTED, p->side, p->handle, 0);
	return 0;
}

static bool
reqrep_gone(struct bb_shard *s, struct bb_peer *p)
{
	bb_rotation_leave(&s->reqrep.workers, p);
	if (p->claim != NULL)
		bb_claims_remove(&s->reqrep.claims, p->claim);
	p->claim = NULL;
	return true;
}

/*
 * Where a reply goes: the client, and the octets of the envelope's first frame in *ret_skip; or NULL and the
 * cause in *ret_cause. first: the message's first frame, whole.
 */
static struct bb_peer *
reply_target(const struct bb_shard *s, const uint8_t *first, uint32_t id_len, uint32_t *ret_skip,
	uint32_t *ret_cause)
{
	const uint32_t id_offset = bb_desc_topic_offset(id_len);

	*ret_cause = BB_ROUTER_IN_MALFORMED;
	if (!(first[0] & 1))
		return NULL; /* a lone frame: no reply behind it */
	*ret_cause = BB_ROUTER_IN_UNROUTABLE;
	if (id_len == 0 || id_len > BB_ROUTING_ID_MAX)
		return NULL;
	const struct bb_claim *claim = bb_claims_find(&s->reqrep.claims, first + id_offset, id_len);
	if (claim == NULL)
		return NULL;
	*ret_skip = id_offset + id_len;
	return claim->peer;
}

static void
reply_messages(struct bb_shard *s, struct bb_peer *p, struct bb_msgs *m)
{
	struct bb_router *r = s->router;
	uint32_t routed = 0, bytes = 0;

	while (m->left > 0 && bb_router_may_work(r)) {
		const struct bb_desc d = *m->desc;
		uint32_t skip, cause;
		struct bb_peer *to = reply_target(s, m->base + m->offset, d.topic_len, &skip, &cause);
		if (bb_likely(to != NULL)) {
			bb_out_msgs(&r->out, to->out, BB_DELIVERY_MSGS_ONE, to->handle, p->side, m->buffer,
				m->offset + skip, d.len - skip, 1);
			routed++;
			bytes += d.len;
		} else {
			bb_account_dropped(s, p, cause, 1, d.len);
		}
		m->offset += d.len;
		m->desc--;
		m->left--;
		r->budget--;
	}
	bb_account_routed(s, p, routed, routed, bytes);
}

static void
reqrep_messages(struct bb_shard *s, struct bb_peer *p, struct bb_msgs *m)
{
	if (p->which == 0)
		bb_rotation_messages(s, p, m);
	else
		reply_messages(s, p, m);
}

static void
reqrep_chain(struct bb_shard *s, struct bb_peer *p, const struct bb_chain *c)
{
	struct bb_router *r = s->router;
	uint32_t skip, cause = BB_ROUTER_IN_UNROUTABLE;

	if (p->which == 0) {
		bb_rotation_chain(s, p, c);
		return;
	}
	struct bb_peer *to = NULL;
	const uint32_t first_len = bb_desc_topic_offset(c->topic_len) + c->topic_len;
	if (c->topic_len <= BB_ROUTING_ID_MAX)
		to = reply_target(s, bb_chain_bytes(r, c->head, 0, first_len), c->topic_len, &skip, &cause);
	else if (!(bb_chain_bytes(r, c->head, 0, 1)[0] & 1))
		cause = BB_ROUTER_IN_MALFORMED;
	if (to == NULL) {
		bb_account_dropped(s, p, cause, 1, c->len);
		return;
	}
	bb_out_chain(
		&r->out, to->out, BB_DELIVERY_MSGS_ONE, to->handle, p->side, c->head, skip, c->len - skip);
	bb_account_routed(s, p, 1, 1, c->len);
}

static void
reqrep_credit(struct bb_shard *s, struct bb_peer *p)
{
	if (p->which != 1)
		return;
	bb_rotation_wake(&s->reqrep.workers, p);
	bb_shard_resume(s);
}

const struct bb_pattern_ops bb_reqrep_ops = {
	.open = reqrep_open,
	.close = reqrep_close,
	.change = reqrep_change,
	.attach = reqrep_attach,
	.gone = reqrep_gone,
	.messages = reqrep_messages,
	.chain = reqrep_chain,
	.credit = reqrep_credit,
	.resume = bb_rotation_resume,
};
