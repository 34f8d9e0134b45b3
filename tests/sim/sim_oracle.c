/* SPDX-License-Identifier: BSD-3-Clause */
/* The books: who said what to whom, and whether it may be heard. */
#include "sim_oracle.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/endian.h"

static bool
is_pubsub(const struct sim_link *l)
{
	return l->w->conf.pattern[l->endpoint] == BB_PATTERN_PUBSUB;
}

struct sim_link *
sim_link_create(struct sim_world *w, struct sim_persona *p)
{
	struct sim_link *l = calloc(1, sizeof(*l));

	BB_ASSERT(l != NULL);
	if (w->link_count == w->link_cap) {
		w->link_cap = w->link_cap == 0 ? 64 : 2 * w->link_cap;
		w->links = realloc(w->links, w->link_cap * sizeof(struct sim_link *));
		BB_ASSERT(w->links != NULL);
	}
	l->id = w->link_count;
	w->links[w->link_count++] = l;
	l->w = w;
	l->persona = p;
	l->endpoint = p->endpoint;
	l->side = p->side;
	l->type = p->type;
	l->minor = p->minor;
	p->link = l;
	return l;
}

void
sim_link_free(struct sim_link *l)
{
	free(l->marks);
	free(l->log_at);
	free(l->last_seq);
	free(l->log_got);
	sim_buf_fini(&l->rx.part);
	sim_buf_fini(&l->msg);
	free(l);
}

/* --- saying --- */

static void
log_publication(struct sim_link *l, const uint8_t *msg)
{
	struct sim_endpoint *e = &l->w->endpoint[l->endpoint];
	const bool is_long = msg[0] & 2;
	const uint64_t len = is_long ? bb_load_be64(msg + 1) : msg[1];

	if (e->log_count == e->log_cap) {
		e->log_cap = e->log_cap == 0 ? 256 : 2 * e->log_cap;
		e->log = realloc(e->log, e->log_cap * sizeof(*e->log));
		BB_ASSERT(e->log != NULL);
	}
	struct sim_pub *p = &e->log[e->log_count];
	*p = (struct sim_pub){ .link = l->id, .seq = l->said };
	p->topic_len = (uint8_t)(len < sizeof(p->topic) ? len : sizeof(p->topic));
	memcpy(p->topic, msg + (is_long ? 9 : 2), p->topic_len);
	l->log_at[l->said] = e->log_count++;
}

void
sim_oracle_said(struct sim_link *l, const uint8_t *msg, size_t len)
{
	(void)len;
	if (l->said == l->marks_cap) {
		l->marks_cap = l->marks_cap == 0 ? 64 : 2 * l->marks_cap;
		l->marks = realloc(l->marks, l->marks_cap);
		l->log_at = realloc(l->log_at, l->marks_cap * sizeof(*l->log_at));
		BB_ASSERT(l->marks != NULL && l->log_at != NULL);
	}
	l->marks[l->said] = 0;
	l->log_at[l->said] = UINT32_MAX;
	if (is_pubsub(l) && msg != NULL)
		log_publication(l, msg);
	l->said++;
}

/* --- hearing --- */

static size_t
frame_len(const uint8_t *p)
{
	return p[0] & 2 ? 9 + (size_t)bb_load_be64(p + 1) : 2 + (size_t)p[1];
}

/* The link and seq that a message's first frame names, or the program fails. */
static struct sim_link *
sender_of(struct sim_link *l, const uint8_t *msg, size_t len, uint32_t *ret_seq)
{
	struct sim_world *w = l->w;
	const size_t header = msg[0] & 2 ? 9 : 2;
	uint32_t id;

	if (frame_len(msg) > len || !sim_tag_read(msg + header, frame_len(msg) - header, &id, ret_seq) ||
		id >= w->link_count)
		sim_fail(w, "link %u hears a message that nobody said", l->id);
	struct sim_link *from = w->links[id];
	if (from->endpoint != l->endpoint || *ret_seq >= from->said)
		sim_fail(w, "link %u hears message %u.%u, which was not said here", l->id, id, *ret_seq);
	return from;
}

static void
same_bytes(struct sim_link *l, const struct sim_link *from, uint32_t seq, const uint8_t *msg, size_t len,
	bool more)
{
	struct sim_buf want = { 0 };

	sim_message(&l->w->conf.profile, from->id, seq, &want);
	for (size_t at = 0; more && at < want.len; at += frame_len(want.p + at))
		want.p[at] |= 1;
	if (want.len != len || memcmp(want.p, msg, len) != 0)
		sim_fail(l->w, "link %u hears message %u.%u changed: %zu octets for %zu", l->id, from->id,
			seq, len, want.len);
	sim_buf_fini(&want);
}

/* Order per pair of peers, and nothing twice. */
static void
in_order(struct sim_link *l, const struct sim_link *from, uint32_t seq)
{
	if (from->id >= l->last_cap) {
		const uint32_t cap = 2 * from->id + 16;
		l->last_seq = realloc(l->last_seq, cap * sizeof(*l->last_seq));
		BB_ASSERT(l->last_seq != NULL);
		memset(l->last_seq + l->last_cap, 0, (cap - l->last_cap) * sizeof(*l->last_seq));
		l->last_cap = cap;
	}
	if (seq < l->last_seq[from->id])
		sim_fail(l->w, "link %u hears message %u.%u after %u.%u", l->id, from->id, seq, from->id,
			l->last_seq[from->id] - 1);
	l->last_seq[from->id] = seq + 1;
}

static bool
matches(const bool held[SIM_TOPICS], const struct sim_pub *p)
{
	uint8_t topic[SIM_TOPIC_MAX];

	for (uint32_t i = 0; i < SIM_TOPICS; i++) {
		if (!held[i])
			continue;
		const uint32_t len = sim_topic(i, topic);
		if (len <= p->topic_len && memcmp(topic, p->topic, len) == 0)
			return true;
	}
	return false;
}

static void
heard_publication(struct sim_link *l, const uint8_t *msg, size_t len)
{
	struct sim_world *w = l->w;
	const struct sim_endpoint *e = &w->endpoint[l->endpoint];
	uint32_t seq;
	struct sim_link *from = sender_of(l, msg, len, &seq);

	if (from->side != 0)
		sim_fail(w, "link %u hears link %u, which does not publish", l->id, from->id);
	same_bytes(l, from, seq, msg, len, false);
	in_order(l, from, seq);
	if (seq < from->epoch_said)
		sim_fail(w, "link %u hears message %u.%u after a quiet point", l->id, from->id, seq);
	const uint32_t at = from->log_at[seq];
	if (!matches(l->sub_ever, &e->log[at]))
		sim_fail(
			w, "link %u hears message %u.%u, to which it never subscribed", l->id, from->id, seq);
	if (at >= l->log_got_cap) {
		const uint32_t cap = 2 * at + 64;
		l->log_got = realloc(l->log_got, cap);
		BB_ASSERT(l->log_got != NULL);
		memset(l->log_got + l->log_got_cap, 0, cap - l->log_got_cap);
		l->log_got_cap = cap;
	}
	l->log_got[at] = 1;
	l->log_heard++;
}

static void
heard_task(struct sim_link *l, const uint8_t *msg, size_t len)
{
	uint32_t seq;
	struct sim_link *from = sender_of(l, msg, len, &seq);

	same_bytes(l, from, seq, msg, len, false);
	in_order(l, from, seq);
	if (l->side != 1 || from->side != 0)
		sim_fail(l->w, "link %u hears message %u.%u, which goes the wrong way", l->id, from->id, seq);
	if (from->marks[seq] & SIM_MARK_DELIVERED)
		sim_fail(l->w, "link %u hears message %u.%u, which was delivered before", l->id, from->id,
			seq);
	from->marks[seq] |= SIM_MARK_DELIVERED;
}

/* A request at a worker: the client's routing id stands in front. */
static void
heard_request(struct sim_link *l, const uint8_t *msg, size_t len)
{
	struct sim_world *w = l->w;
	uint32_t seq;

	if (msg[0] != 1 || 2 + (size_t)msg[1] >= len)
		sim_fail(w, "link %u hears a request without an envelope", l->id);
	const uint8_t *id = msg + 2;
	const uint8_t id_len = msg[1];
	msg += 2 + (size_t)id_len;
	len -= 2 + (size_t)id_len;
	if (msg[0] == 1 && msg[1] == 0) { /* the delimiter that some clients put there */
		msg += 2;
		len -= 2;
	}
	struct sim_link *from = sender_of(l, msg, len, &seq);
	if (from->id_len == 0) {
		if (id_len != 5 || id[0] != 0)
			sim_fail(w, "link %u has a routing id that cannot be", from->id);
		from->id_len = id_len;
		memcpy(from->id_bytes, id, id_len);
		for (uint32_t i = 0; i < w->link_count; i++) {
			const struct sim_link *o = w->links[i];
			if (o != from && o->persona != NULL && o->endpoint == l->endpoint &&
				o->id_len == id_len && memcmp(o->id_bytes, id, id_len) == 0)
				sim_fail(w, "links %u and %u have one routing id", from->id, o->id);
		}
	}
	if (from->id_len != id_len || memcmp(from->id_bytes, id, id_len) != 0)
		sim_fail(w, "link %u hears a request of link %u with another's routing id", l->id, from->id);
	heard_task(l, msg, len);
}

/* A reply at a client: its own request, and a frame that names the worker. */
static void
heard_reply(struct sim_link *l, const uint8_t *msg, size_t len)
{
	struct sim_world *w = l->w;
	uint32_t seq;

	if (msg[0] == 1 && msg[1] == 0) {
		msg += 2;
		len -= 2;
	}
	struct sim_link *asked = sender_of(l, msg, len, &seq);
	/* Or that of the connection before it, if the client has an id of its own. */
	const bool same_id = asked->id_announced && l->id_announced && asked->id_len == l->id_len &&
			     memcmp(asked->id_bytes, l->id_bytes, l->id_len) == 0;
	if (asked != l && !same_id)
		sim_fail(w, "link %u hears the reply to request %u.%u", l->id, asked->id, seq);
	const uint8_t *name = msg + len - 8;
	if (len < 10 || name[-2] != 0 || name[-1] != 8)
		sim_fail(w, "link %u hears a reply without its last frame", l->id);
	same_bytes(l, asked, seq, msg, len - 10, true);
	const uint32_t worker = bb_load_be32(name);
	if (worker >= w->link_count || w->links[worker]->endpoint != l->endpoint)
		sim_fail(w, "link %u hears a reply of nobody", l->id);
	in_order(l, w->links[worker], bb_load_be32(name + 4));
	if (!(asked->marks[seq] & SIM_MARK_DELIVERED) || (asked->marks[seq] & SIM_MARK_ANSWERED))
		sim_fail(w, "link %u hears a reply to request %u that was not asked or is answered", l->id,
			seq);
	asked->marks[seq] |= SIM_MARK_ANSWERED;
}

void
sim_oracle_heard(struct sim_link *l, const uint8_t *msg, size_t len)
{
	sim_trace(l->w, "link %u hears %zu octets", l->id, len);
	switch ((enum bb_pattern)l->w->conf.pattern[l->endpoint]) {
	case BB_PATTERN_PUBSUB:
		heard_publication(l, msg, len);
		break;
	case BB_PATTERN_PIPELINE:
		heard_task(l, msg, len);
		break;
	case BB_PATTERN_REQREP:
		if (l->side == 1)
			heard_request(l, msg, len);
		else
			heard_reply(l, msg, len);
		break;
	}
}

/* --- subscriptions --- */

void
sim_oracle_subscribes(struct sim_link *l, uint32_t topic, bool subscribe)
{
	/* A set: a second subscription changes nothing, and one cancel ends it. */
	l->subs[topic] = subscribe;
	if (subscribe)
		l->sub_ever[topic] = true;
	else
		l->sub_stable[topic] = false;
}

void
sim_oracle_told(struct sim_link *l, const uint8_t *topic, size_t len, bool subscribe)
{
	uint8_t known[SIM_TOPIC_MAX];

	if (l->w->conf.pattern[l->endpoint] != BB_PATTERN_PUBSUB || l->side != 0)
		sim_fail(l->w, "link %u is told a subscription, but does not publish", l->id);
	for (uint32_t i = 0; i < SIM_TOPICS; i++) {
		if (sim_topic(i, known) != len || memcmp(known, topic, len) != 0)
			continue;
		/*
		 * Without memory a publisher is told all again, and may miss a cancel. A cancel may come of
		 * what it was never told: the topic went while the rest of the table was still being told.
		 */
		if (subscribe && l->subs[i] != 0 && !sim_has(l->w, SIM_MEM_FAILS))
			sim_fail(l->w, "link %u is told topic %u subscribed twice", l->id, i);
		l->subs[i] = subscribe;
		return;
	}
	sim_fail(l->w, "link %u is told a topic that nobody named", l->id);
}

/* --- the books of an epoch --- */

/* Publications of this epoch that l should have: at least those of topics it held all the time. */
static void
check_subscriber(struct sim_world *w, struct sim_link *l)
{
	const struct sim_endpoint *e = &w->endpoint[l->endpoint];
	uint64_t missing = 0, wanted = 0, allowed = 0;

	for (uint32_t i = 0; i < e->log_count; i++) {
		const struct sim_link *from = w->links[e->log[i].link];
		const bool got = i < l->log_got_cap && l->log_got[i];
		if (e->log[i].seq >= from->received)
			continue; /* the node never had it */
		allowed += matches(l->sub_ever, &e->log[i]);
		if (!matches(l->sub_stable, &e->log[i]))
			continue;
		wanted++;
		missing += !got;
	}
	const uint64_t drops = l->dropped - l->drops_before;
	uint64_t in_memory = 0;
	for (uint32_t r = 0; r < w->conf.router_count; r++)
		in_memory +=
			bb_counters_router_side(&w->counters, r, l->endpoint * 2u)->c[BB_ROUTER_IN_MEMORY];
	in_memory -= e->in_memory_before;
	if (missing > drops + in_memory)
		sim_fail(w, "link %u misses %lu of %lu publications; %lu copies were dropped", l->id,
			(unsigned long)missing, (unsigned long)wanted, (unsigned long)(drops + in_memory));
	if (wanted == allowed && in_memory == 0 && l->log_heard + drops != wanted)
		sim_fail(w, "link %u should have %lu publications: it has %lu, %lu were dropped", l->id,
			(unsigned long)wanted, (unsigned long)l->log_heard, (unsigned long)drops);
}

/* What publishers were told is what subscribers hold. */
static void
check_publisher(struct sim_world *w, struct sim_link *l)
{
	const bool all = w->endpoint[l->endpoint].conf->subscribe_all;

	for (uint32_t t = 0; t < SIM_TOPICS; t++) {
		bool held = all && t == 0;
		for (uint32_t i = 0; i < w->link_count && !all; i++) {
			const struct sim_link *o = w->links[i];
			held |= o->endpoint == l->endpoint && o->side == 1 && o->persona != NULL &&
				o->subs[t] > 0;
		}
		if (!held && sim_has(w, SIM_MEM_FAILS))
			continue;
		if (held != (l->subs[t] > 0))
			sim_fail(w, "publisher link %u believes topic %u to be %s", l->id, t,
				held ? "cancelled" : "subscribed");
	}
}

/* Messages that were received and have not been delivered to anybody; the accounts must know them. */
static void
check_tasks(struct sim_world *w, unsigned endpoint, uint64_t accounted)
{
	uint64_t undelivered = 0;

	for (uint32_t i = 0; i < w->link_count; i++) {
		const struct sim_link *l = w->links[i];
		if (l->endpoint != endpoint || l->side != 0)
			continue;
		for (uint64_t seq = 0; seq < l->said; seq++) {
			const bool delivered = l->marks[seq] & SIM_MARK_DELIVERED;
			if (delivered && seq >= l->received)
				sim_fail(
					w, "message %u.%u was delivered, but not received", i, (unsigned)seq);
			undelivered += seq < l->received && !delivered;
		}
	}
	if (undelivered != accounted)
		sim_fail(w,
			"endpoint %u: %lu messages were received and not delivered, %lu are accounted for",
			endpoint, (unsigned long)undelivered, (unsigned long)accounted);
}

void
sim_oracle_books(struct sim_world *w, unsigned endpoint, uint64_t lost)
{
	for (uint32_t i = 0; i < w->link_count; i++) {
		struct sim_link *l = w->links[i];
		if (l->endpoint != endpoint || l->persona == NULL || l->broken_protocol ||
			l->state != BB_SESSION_STATE_READY || !is_pubsub(l))
			continue;
		if (l->side == 1 && l->subs_all_stable)
			check_subscriber(w, l);
		if (l->side == 0)
			check_publisher(w, l);
	}
	if (w->conf.pattern[endpoint] != BB_PATTERN_PUBSUB)
		check_tasks(w, endpoint, lost);
}

void
sim_oracle_epoch(struct sim_world *w)
{
	for (uint32_t i = 0; i < w->link_count; i++) {
		struct sim_link *l = w->links[i];
		l->epoch_said = l->said;
		l->log_heard = 0;
		l->drops_before = l->dropped;
		if (l->log_got_cap > 0)
			memset(l->log_got, 0, l->log_got_cap);
		l->subs_all_stable = l->persona != NULL && l->state == BB_SESSION_STATE_READY;
		for (uint32_t t = 0; t < SIM_TOPICS; t++)
			l->sub_ever[t] = l->sub_stable[t] = l->subs[t] > 0;
	}
	for (uint32_t e = 0; e < w->conf.endpoint_count; e++) {
		struct sim_endpoint *ep = &w->endpoint[e];
		ep->log_count = 0;
		ep->in_memory_before = 0;
		for (uint32_t r = 0; r < w->conf.router_count; r++)
			ep->in_memory_before +=
				bb_counters_router_side(&w->counters, r, e * 2)->c[BB_ROUTER_IN_MEMORY];
		for (unsigned s = 0; s < 2; s++) {
			const struct bb_side_options *o = &ep->conf->side[s];
			ep->hwm_bound[s] = o->hwm_msgs == 0 ? UINT64_MAX : o->hwm_msgs;
			ep->hwm_bytes_bound[s] = o->hwm_bytes == 0 ? UINT64_MAX : o->hwm_bytes;
		}
	}
}
