/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_agent.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "sim_peer.h"

/* Tags say what an answer is about. */
enum {
	TAG_ENDPOINT = 1,
	TAG_LISTEN,
	TAG_CONNECT,
	TAG_DISCONNECT,
	TAG_REMOVE,  /* drain of an endpoint */
	TAG_REMOVED, /* then its end */
	TAG_DRAIN,
};

static uint64_t
tag_make(struct sim_world *w, unsigned kind, unsigned of)
{
	return (uint64_t)kind << 56 | (uint64_t)of << 40 | ++w->tag_serial;
}

static unsigned
tag_kind(uint64_t tag)
{
	return (unsigned)(tag >> 56);
}

static unsigned
tag_of(uint64_t tag)
{
	return (unsigned)(tag >> 40) & 0xffff;
}

static void
post(struct sim_mailbox *box, const struct bb_mail *mail)
{
	if (box->count == box->cap) {
		box->cap = box->cap == 0 ? 16 : 2 * box->cap;
		box->mails = realloc(box->mails, box->cap * sizeof(*box->mails));
		BB_ASSERT(box->mails != NULL);
	}
	box->mails[box->count++] = *mail;
}

static void
post_all(struct sim_world *w, const struct bb_mail *mail)
{
	for (uint32_t i = 0; i < w->conf.io_count; i++)
		post(&w->to_io[i], mail);
	for (uint32_t i = 0; i < w->conf.router_count; i++)
		post(&w->to_router[i], mail);
	w->answers_due += w->conf.io_count + w->conf.router_count;
}

/* --- endpoints --- */

static uint32_t
draw_hwm(struct bb_rand *r)
{
	static const uint32_t some[] = { 1, 2, 3, 10, 100, 1000, 0 };

	return some[bb_rand_below(r, BB_ARRAY_LEN(some))];
}

static struct bb_endpoint *
conf_create(struct sim_world *w)
{
	struct bb_endpoint *e = calloc(1, sizeof(*e));

	BB_ASSERT(e != NULL && w->conf_count < BB_ARRAY_LEN(w->confs));
	w->confs[w->conf_count++] = e;
	return e;
}

static void
draw_side(struct sim_world *w, struct bb_side_options *o)
{
	struct bb_rand *r = &w->rand;

	*o = (struct bb_side_options){
		.hwm_msgs = draw_hwm(r),
		.hwm_bytes = bb_rand_one_in(r, 3) ? 1 + bb_rand_below(r, 100000) : UINT64_C(64) << 20,
		.when_full = BB_FULL_DROP,
		.max_message = 1 << 20,
		.max_frames = 64,
		.subscriptions_max = 1000000,
		.handshake_timeout_ns = 30 * BB_SEC,
		.block_max_ns = bb_rand_one_in(r, 2) ? 20 * BB_MSEC : 30 * BB_SEC,
		.handover = bb_rand_one_in(r, 2),
	};
	if (w->conf.volume) {
		o->hwm_msgs = 10000;
		o->hwm_bytes = UINT64_C(64) << 20;
	}
	if (sim_has(w, SIM_HEARTBEATS)) {
		o->heartbeat_interval_ns = 200 * BB_MSEC;
		o->heartbeat_timeout_ns = 600 * BB_MSEC;
		o->heartbeat_ttl_ds = bb_rand_one_in(r, 2) ? 20 : 0;
	}
}

static struct bb_endpoint *
draw_endpoint(struct sim_world *w, unsigned endpoint)
{
	static const uint8_t types[3][2] = {
		{ BB_ZMTP_XSUB, BB_ZMTP_XPUB },
		{ BB_ZMTP_PULL, BB_ZMTP_PUSH },
		{ BB_ZMTP_ROUTER, BB_ZMTP_DEALER },
	};
	struct bb_endpoint *e = conf_create(w);

	e->id = (uint16_t)endpoint;
	e->pattern = w->conf.pattern[endpoint];
	e->home = (uint16_t)bb_rand_below(&w->rand, w->conf.router_count);
	snprintf(e->name, sizeof(e->name), "e%u", endpoint);
	for (unsigned s = 0; s < 2; s++) {
		draw_side(w, &e->side[s]);
		e->side[s].socket_type = types[e->pattern - 1][s];
	}
	if (e->pattern == BB_PATTERN_PUBSUB) {
		static const uint8_t policies[] = { BB_FULL_DROP, BB_FULL_DROP, BB_FULL_BLOCK,
			BB_FULL_DISCONNECT };
		e->side[1].when_full = policies[bb_rand_below(&w->rand, BB_ARRAY_LEN(policies))];
		e->sharded = e->side[1].when_full != BB_FULL_BLOCK;
		e->subscribe_all = bb_rand_one_in(&w->rand, 4);
	}
	e->side[0].claims = e->pattern == BB_PATTERN_REQREP;
	return e;
}

/* The oracle allows what any mark allowed since the last quiet point. */
static void
raise_bounds(struct sim_endpoint *e)
{
	for (unsigned s = 0; s < 2; s++) {
		const struct bb_side_options *o = &e->conf->side[s];
		const uint64_t msgs = o->hwm_msgs == 0 ? UINT64_MAX : o->hwm_msgs;
		const uint64_t bytes = o->hwm_bytes == 0 ? UINT64_MAX : o->hwm_bytes;
		if (e->hwm_bound[s] < msgs)
			e->hwm_bound[s] = msgs;
		if (e->hwm_bytes_bound[s] < bytes)
			e->hwm_bytes_bound[s] = bytes;
	}
}

static void
announce(struct sim_world *w, unsigned endpoint)
{
	struct sim_endpoint *e = &w->endpoint[endpoint];

	raise_bounds(e);
	post_all(w, &(struct bb_mail){ .kind = BB_MAIL_ENDPOINT,
			    .ptr = e->conf,
			    .tag = tag_make(w, TAG_ENDPOINT, endpoint) });
}

void
sim_agent_endpoint(struct sim_world *w, unsigned endpoint, bool fresh)
{
	struct sim_endpoint *e = &w->endpoint[endpoint];

	if (e->conf == NULL)
		e->conf = draw_endpoint(w, endpoint);
	e->life = SIM_ALIVE;
	announce(w, endpoint);
	for (unsigned s = 0; fresh && s < 2; s++) {
		const uint16_t port = (uint16_t)(endpoint * 2 + s);
		const uint32_t io = bb_rand_below(&w->rand, w->conf.io_count);
		post(&w->to_io[io], &(struct bb_mail){ .kind = BB_MAIL_LISTEN,
					    .arg = port,
					    .value = (uint64_t)sim_net_listen_fd(w->net, port),
					    .tag = tag_make(w, TAG_LISTEN, endpoint) });
		w->answers_due++;
	}
}

void
sim_agent_change_hwm(struct sim_world *w, unsigned endpoint)
{
	struct sim_endpoint *e = &w->endpoint[endpoint];

	if (e->life != SIM_ALIVE || w->conf_count == BB_ARRAY_LEN(w->confs))
		return;
	struct bb_endpoint *conf = conf_create(w);
	*conf = *e->conf;
	for (unsigned s = 0; s < 2; s++)
		conf->side[s].hwm_msgs = draw_hwm(&w->rand);
	e->conf = conf;
	sim_trace(w, "endpoint %u: marks are now %u and %u", endpoint, conf->side[0].hwm_msgs,
		conf->side[1].hwm_msgs);
	announce(w, endpoint);
}

void
sim_agent_remove(struct sim_world *w, unsigned endpoint)
{
	struct sim_endpoint *e = &w->endpoint[endpoint];

	if (e->life != SIM_ALIVE || w->draining)
		return;
	sim_trace(w, "endpoint %u: drain", endpoint);
	e->life = SIM_DRAINING;
	e->answers_due = w->conf.io_count + w->conf.router_count;
	post_all(w, &(struct bb_mail){ .kind = BB_MAIL_DRAIN,
			    .arg = endpoint,
			    .value = w->now_ns + bb_rand_below(&w->rand, 200) * BB_MSEC,
			    .tag = tag_make(w, TAG_REMOVE, endpoint) });
}

void
sim_agent_drain(struct sim_world *w, uint64_t deadline_ns)
{
	sim_trace(w, "the node drains");
	w->draining = true;
	w->drain_due = w->conf.io_count + w->conf.router_count;
	post_all(w, &(struct bb_mail){ .kind = BB_MAIL_DRAIN,
			    .arg = BB_SCOPE_NODE,
			    .value = deadline_ns,
			    .tag = tag_make(w, TAG_DRAIN, 0) });
}

/* --- outgoing connections --- */

static void
connect_persona(struct sim_world *w, struct sim_persona *p)
{
	struct bb_mail_connect *c = calloc(1, sizeof(*c));
	struct sockaddr_in a = { .sin_family = AF_INET };

	BB_ASSERT(c != NULL && w->connect_count < BB_ARRAY_LEN(w->connects));
	w->connects[w->connect_count++] = c;
	p->tag = tag_make(w, TAG_CONNECT, p->number);
	a.sin_port = htons((uint16_t)(SIM_OUT_PORT + p->number));
	a.sin_addr.s_addr = htonl((uint32_t)p->tag); /* so that the listener knows which attempt it is */
	memcpy(c->address, &a, sizeof(a));
	c->side = (uint16_t)(p->endpoint * 2 + p->side);
	snprintf(c->text, sizeof(c->text), "out:%u", (uint32_t)p->tag);
	post(&w->to_io[bb_rand_below(&w->rand, w->conf.io_count)],
		&(struct bb_mail){
			.kind = BB_MAIL_CONNECT, .ptr = c, .value = p->attempts++, .tag = p->tag });
	w->answers_due++;
}

void
sim_agent_disconnect(struct sim_world *w, struct sim_persona *p)
{
	if (p->tag == 0)
		return;
	sim_trace(w, "persona %u is disconnected by the agent", p->number);
	/* The I/O core that has it is not remembered: all are asked, one has it. */
	for (uint32_t i = 0; i < w->conf.io_count; i++) {
		post(&w->to_io[i], &(struct bb_mail){ .kind = BB_MAIL_DISCONNECT,
					   .value = p->tag,
					   .tag = tag_make(w, TAG_DISCONNECT, p->number) });
		w->answers_due++;
	}
}

/* --- answers --- */

static void
on_removal(struct sim_world *w, unsigned endpoint)
{
	struct sim_endpoint *e = &w->endpoint[endpoint];

	if (--e->answers_due > 0)
		return;
	if (e->life == SIM_DRAINING) {
		sim_trace(w, "endpoint %u: drained", endpoint);
		e->life = SIM_REMOVING;
		e->answers_due = w->conf.io_count + w->conf.router_count;
		post_all(w, &(struct bb_mail){ .kind = BB_MAIL_REMOVED,
				    .arg = endpoint,
				    .tag = tag_make(w, TAG_REMOVED, endpoint) });
	} else {
		sim_trace(w, "endpoint %u: removed", endpoint);
		e->life = SIM_REMOVED;
		e->conf = NULL;
	}
}

static void
on_answer(struct sim_world *w, const struct bb_mail *m, bool is_io, uint32_t actor)
{
	const unsigned of = tag_of(m->tag);

	if (m->kind == BB_MAIL_REPORT) {
		free(m->ptr);
		return;
	}
	if (m->kind == BB_MAIL_LOST) {
		struct sim_persona *p = &w->persona[of];
		if (p->tag != m->tag)
			sim_fail(w, "LOST for a connection that is not under way");
		p->tag = 0;
		return;
	}
	if (w->answers_due == 0)
		sim_fail(w, "a mail is answered twice");
	w->answers_due--;
	switch (tag_kind(m->tag)) {
	case TAG_ENDPOINT:
		if (m->arg == 0)
			break;
		/* No memory: once more. */
		if (w->endpoint[of].life == SIM_ALIVE) {
			post(is_io ? &w->to_io[actor] : &w->to_router[actor],
				&(struct bb_mail){ .kind = BB_MAIL_ENDPOINT,
					.ptr = w->endpoint[of].conf,
					.tag = tag_make(w, TAG_ENDPOINT, of) });
			w->answers_due++;
		}
		break;
	case TAG_CONNECT:
		if (m->arg != 0)
			w->persona[of].tag = 0;
		break;
	case TAG_REMOVE:
	case TAG_REMOVED:
		if (m->arg != 0)
			sim_fail(w, "the removal of endpoint %u fails with %u", of, m->arg);
		on_removal(w, of);
		break;
	case TAG_DRAIN:
		if (m->arg != 0)
			sim_fail(w, "the drain fails with %u", m->arg);
		w->drain_due--;
		break;
	default:
		if (m->arg != 0)
			sim_fail(w, "a mail is answered with %u", m->arg);
		break;
	}
}

static bool
pass_on(struct sim_mailbox *box)
{
	uint32_t n = 0;

	while (n < box->count && bb_ring_push(box->ring, &box->mails[n], 1) == 1)
		n++;
	box->count -= n;
	if (n > 0 && box->count > 0)
		memmove(box->mails, box->mails + n, box->count * sizeof(*box->mails));
	return n > 0;
}

bool
sim_agent_step(struct sim_world *w)
{
	struct bb_mail m;
	bool acted = false;

	for (uint32_t i = 0; i < w->conf.io_count; i++) {
		acted |= pass_on(&w->to_io[i]);
		while (bb_ring_pop(&w->fabric.io_to_agent[i], &m, 1) == 1) {
			on_answer(w, &m, true, i);
			acted = true;
		}
	}
	for (uint32_t i = 0; i < w->conf.router_count; i++) {
		acted |= pass_on(&w->to_router[i]);
		while (bb_ring_pop(&w->fabric.router_to_agent[i], &m, 1) == 1) {
			on_answer(w, &m, false, i);
			acted = true;
		}
	}
	for (uint32_t i = 0; i < w->persona_count; i++) {
		struct sim_persona *p = &w->persona[i];
		const enum sim_life life = w->endpoint[p->endpoint].life;
		if (!p->outgoing || w->draining)
			continue;
		if (p->tag == 0 && life == SIM_ALIVE && !(p->malformed && w->hushed) &&
			(w->calm || bb_rand_one_in(&w->rand, 4))) {
			connect_persona(w, p);
			acted = true;
		}
	}
	for (uint32_t i = 0; i < w->persona_count; i++) {
		struct sim_persona *p = &w->persona[i];
		struct sim_conn *c = p->outgoing ? sim_net_accept(w->net, (uint16_t)(SIM_OUT_PORT + i))
						 : NULL;
		if (c != NULL) {
			sim_peer_accepted(p, c);
			acted = true;
		}
	}
	for (unsigned e = 0; e < w->conf.endpoint_count; e++) {
		if (w->endpoint[e].life != SIM_REMOVED || w->draining ||
			!(w->calm || bb_rand_one_in(&w->rand, 50)))
			continue;
		sim_agent_endpoint(w, e, true);
		acted = true;
	}
	return acted;
}

void
sim_agent_fini(struct sim_world *w)
{
	struct bb_mail m;

	for (uint32_t i = 0; i < w->conf.io_count; i++) {
		free(w->to_io[i].mails);
		while (bb_ring_pop(&w->fabric.io_to_agent[i], &m, 1) == 1) {
			if (m.kind == BB_MAIL_REPORT)
				free(m.ptr);
		}
	}
	for (uint32_t i = 0; i < w->conf.router_count; i++)
		free(w->to_router[i].mails);
	for (uint32_t i = 0; i < w->conf_count; i++)
		free(w->confs[i]);
	for (uint32_t i = 0; i < w->connect_count; i++)
		free(w->connects[i]);
}
