/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_peer.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/endian.h"
#include "sim_oracle.h"

#define OUT_FULL 65536 /* nothing new is said while so much waits to be written */

/* --- beginning and end --- */

void
sim_peer_init(struct sim_world *w, struct sim_persona *p, unsigned endpoint, unsigned side)
{
	static const uint8_t types[3][2][3] = {
		{ { BB_ZMTP_PUB, BB_ZMTP_XPUB, BB_ZMTP_PUB }, { BB_ZMTP_SUB, BB_ZMTP_XSUB, BB_ZMTP_SUB } },
		{ { BB_ZMTP_PUSH, BB_ZMTP_PUSH, BB_ZMTP_PUSH },
			{ BB_ZMTP_PULL, BB_ZMTP_PULL, BB_ZMTP_PULL } },
		{ { BB_ZMTP_REQ, BB_ZMTP_DEALER, BB_ZMTP_ROUTER },
			{ BB_ZMTP_REP, BB_ZMTP_DEALER, BB_ZMTP_ROUTER } },
	};
	struct bb_rand *r = &p->rand;

	p->w = w;
	bb_rand_init(r, bb_rand_u64(&w->rand));
	p->endpoint = (uint8_t)endpoint;
	p->side = (uint8_t)side;
	p->type = types[w->conf.pattern[endpoint] - 1][side][bb_rand_below(r, 3)];
	p->minor = !bb_rand_one_in(r, 4);
	p->outgoing = sim_has(w, SIM_OUTGOING) && bb_rand_one_in(r, 3);
	p->odd = sim_has(w, SIM_ODD_FRAMES) && bb_rand_one_in(r, 2);
	p->eager = sim_has(w, SIM_EAGER) && bb_rand_one_in(r, 2);
	p->malformed = sim_has(w, SIM_MALFORMED) && bb_rand_one_in(r, 4) &&
		       !(w->conf.pattern[endpoint] == BB_PATTERN_PIPELINE && side == 1) &&
		       !(w->conf.pattern[endpoint] == BB_PATTERN_REQREP && side == 1);
	if (sim_has(w, SIM_SLOW) && bb_rand_one_in(r, 2))
		p->read_max = 1 + bb_rand_below(r, bb_rand_one_in(r, 2) ? 100 : 5000);
	p->burst_max = 1 + bb_rand_below(r, bb_rand_one_in(r, 3) ? 200 : 8);
	if (bb_rand_one_in(r, 3)) {
		p->id_len = (uint8_t)(3 + bb_rand_below(r, 8));
		memset(p->id, 'i', sizeof(p->id));
		p->id[1] = (uint8_t)p->number;
	}
	if (p->outgoing)
		sim_net_serve(w->net, (uint16_t)(SIM_OUT_PORT + p->number), true);
}

static void
clear_items(struct sim_persona *p)
{
	for (uint32_t i = 0; i < p->item_count; i++)
		sim_buf_fini(&p->items[i].data);
	p->item_count = 0;
}

void
sim_peer_drop(struct sim_persona *p, bool reset)
{
	if (p->conn == NULL)
		return;
	sim_trace(p->w, "persona %u drops link %u%s", p->number, p->link->id, reset ? " with a reset" : "");
	sim_conn_drop(p->conn, reset);
	p->conn = NULL;
	p->link->persona = NULL;
	p->link = NULL;
	p->out.len = 0;
	clear_items(p);
	p->w->closes_by_us++;
}

void
sim_peer_fini(struct sim_persona *p)
{
	sim_peer_drop(p, true);
	sim_buf_fini(&p->out);
	free(p->items);
	p->items = NULL;
}

bool
sim_peer_up(const struct sim_persona *p)
{
	return p->conn != NULL && p->link->ready && p->said_ready && p->link->state == BB_SESSION_STATE_READY;
}

/* --- what it hears: at once as far as the books go, but it acts when it has read it --- */

static void
item(struct sim_persona *p, uint64_t at, int kind, const void *data, size_t len)
{
	if (p->item_count == p->item_cap) {
		p->item_cap = p->item_cap == 0 ? 16 : 2 * p->item_cap;
		p->items = realloc(p->items, p->item_cap * sizeof(*p->items));
		BB_ASSERT(p->items != NULL);
	}
	struct sim_item *i = &p->items[p->item_count++];
	*i = (struct sim_item){ .at = at, .kind = kind };
	sim_buf_add(&i->data, data, len);
}

static void
on_greeting(void *ctx, const uint8_t *g)
{
	struct sim_link *l = ctx;

	if (g[0] != 0xff || g[9] != 0x7f || g[10] != 3 || g[11] != 1 || memcmp(g + 12, "NULL", 5) != 0)
		sim_fail(l->w, "link %u: the node's greeting is wrong", l->id);
	l->greeted = true;
	if (l->persona != NULL)
		item(l->persona, l->rx.total, SIM_ITEM_GREETING, NULL, 0);
}

static bool
is_command(const uint8_t *body, size_t len, const char *name, size_t *ret_data)
{
	const size_t n = strlen(name);

	*ret_data = 1 + n;
	return len >= 1 + n && body[0] == n && memcmp(body + 1, name, n) == 0;
}

static void
on_command(struct sim_link *l, const uint8_t *body, size_t len)
{
	size_t at;

	if (is_command(body, len, "READY", &at)) {
		if (l->ready)
			sim_fail(l->w, "link %u: a second READY", l->id);
		l->ready = true;
		if (l->persona != NULL)
			item(l->persona, l->rx.total, SIM_ITEM_READY, NULL, 0);
	} else if (is_command(body, len, "ERROR", &at)) {
		l->failed = true;
		if (l->persona != NULL)
			sim_trace(l->w, "link %u is told ERROR %.*s", l->id, (int)(len - at - 1),
				body + at + 1);
	} else if (is_command(body, len, "PING", &at)) {
		if (len < at + 2)
			sim_fail(l->w, "link %u: a PING without its time to live", l->id);
		if (l->minor == 0)
			sim_fail(l->w, "link %u: a PING for a 3.0 peer", l->id);
		if (l->persona != NULL)
			item(l->persona, l->rx.total, SIM_ITEM_PING, body + at + 2, len - at - 2);
	} else if (is_command(body, len, "PONG", &at)) {
		if (len != at + 4)
			sim_fail(l->w, "link %u: a PONG without the context of its PING", l->id);
		const uint32_t number = bb_load_be32(body + at);
		if (number > l->pings || number < l->pong)
			sim_fail(l->w, "link %u: PONG %u after %u of %u", l->id, number, l->pong, l->pings);
		l->pong = number;
	} else if (l->minor == 1 && is_command(body, len, "SUBSCRIBE", &at)) {
		sim_oracle_told(l, body + at, len - at, true);
	} else if (l->minor == 1 && is_command(body, len, "CANCEL", &at)) {
		sim_oracle_told(l, body + at, len - at, false);
	} else {
		sim_fail(l->w, "link %u: an unknown command", l->id);
	}
}

static void
on_frame(void *ctx, uint8_t flags, bool canonical, const uint8_t *body, size_t len)
{
	struct sim_link *l = ctx;

	if (!canonical)
		sim_fail(l->w, "link %u: a frame that is not in its shortest form", l->id);
	if (l->failed)
		sim_fail(l->w, "link %u: something follows ERROR", l->id);
	if (flags & 4) {
		if (l->msg_frames > 0)
			sim_fail(l->w, "link %u: a command within a message", l->id);
		on_command(l, body, len);
		return;
	}
	if (!l->ready)
		sim_fail(l->w, "link %u: a message before READY", l->id);
	if (l->msg_frames++ == 0)
		l->msg_first = (uint32_t)len;
	sim_frame(&l->msg, flags, body, len, false, NULL);
	if (flags & 1)
		return;
	const bool from_publisher_side = l->w->conf.pattern[l->endpoint] == BB_PATTERN_PUBSUB && l->side == 0;
	if (from_publisher_side) {
		if (l->msg_frames != 1 || len == 0 || body[0] > 1)
			sim_fail(l->w, "link %u: a publisher gets what is no subscription", l->id);
		sim_oracle_told(l, body + 1, len - 1, body[0] == 1);
	} else {
		l->heard++;
		l->heard_bytes += l->msg.len;
		sim_oracle_heard(l, l->msg.p, l->msg.len);
		if (l->persona != NULL && l->w->conf.pattern[l->endpoint] == BB_PATTERN_REQREP)
			item(l->persona, l->rx.total, SIM_ITEM_REQUEST, l->msg.p, l->msg.len);
	}
	l->msg.len = 0;
	l->msg_frames = 0;
}

static void
tap(void *ctx, const uint8_t *p, size_t n)
{
	struct sim_link *l = ctx;

	sim_rx_feed(&l->rx, p, n);
}

/* --- what it says --- */

static void
say_subscription(struct sim_persona *p, uint32_t number, bool subscribe)
{
	uint8_t topic[1 + SIM_TOPIC_MAX];
	const uint32_t len = sim_topic(number, topic + 1);

	if (p->minor == 1 && !bb_rand_one_in(&p->rand, 5)) {
		sim_command(&p->out, subscribe ? "SUBSCRIBE" : "CANCEL", topic + 1, len);
	} else {
		topic[0] = subscribe;
		sim_frame(&p->out, 0, topic, 1 + len, p->odd, &p->rand);
	}
	sim_oracle_subscribes(p->link, number, subscribe);
}

void
sim_peer_resubscribe(struct sim_persona *p)
{
	if (p->conn == NULL || !p->said_ready || p->malformed || p->side != 1 ||
		p->w->conf.pattern[p->endpoint] != BB_PATTERN_PUBSUB)
		return;
	const uint32_t number = bb_rand_below(&p->rand, SIM_TOPICS);
	/* Also cancels of what is not subscribed, and topics twice. */
	const bool subscribe = p->link->subs[number] == 0 ? !bb_rand_one_in(&p->rand, 8)
							  : bb_rand_one_in(&p->rand, 4);
	say_subscription(p, number, subscribe);
}

static void
say_ready(struct sim_persona *p)
{
	const bool has_id = p->type == BB_ZMTP_REQ || p->type == BB_ZMTP_DEALER || p->type == BB_ZMTP_ROUTER;

	sim_ready(&p->out, bb_zmtp_type_name(p->type), p->id, has_id ? p->id_len : -1);
	p->said_ready = true;
	p->link->id_announced = has_id && p->id_len > 0;
	if (p->link->id_announced) {
		memcpy(p->link->id_bytes, p->id, p->id_len);
		p->link->id_len = p->id_len;
	}
	if (p->w->conf.pattern[p->endpoint] == BB_PATTERN_PUBSUB && p->side == 1) {
		for (uint32_t n = bb_rand_below(&p->rand, 6); n > 0; n--)
			sim_peer_resubscribe(p);
	}
}

static void
say_ping(struct sim_persona *p)
{
	uint8_t data[6] = { 0 };

	if (p->minor == 0 || !sim_has(p->w, SIM_PINGS))
		return;
	bb_store_be32(data + 2, ++p->link->pings);
	sim_command(&p->out, "PING", data, sizeof(data));
}

/* A message in canonical form goes out as this persona writes it. delimiter: an empty frame in front. */
static void
say_frames(struct sim_persona *p, const uint8_t *msg, size_t len, bool delimiter)
{
	if (delimiter)
		sim_frame(&p->out, 1, NULL, 0, p->odd, &p->rand);
	for (size_t at = 0; at < len;) {
		const bool is_long = msg[at] & 2;
		const size_t header = is_long ? 9 : 2;
		const size_t body = is_long ? (size_t)bb_load_be64(msg + at + 1) : msg[at + 1];
		if ((at > 0 || delimiter) && bb_rand_one_in(&p->rand, 16))
			say_ping(p);
		sim_frame(&p->out, msg[at] & 1, msg + at + header, body, p->odd, &p->rand);
		at += header + body;
	}
}

static void
say_message(struct sim_persona *p)
{
	struct sim_world *w = p->w;
	struct sim_link *l = p->link;
	struct sim_buf msg = { 0 };
	const bool client = w->conf.pattern[p->endpoint] == BB_PATTERN_REQREP;

	sim_message(&w->conf.profile, l->id, l->said, &msg);
	if (client && p->type == BB_ZMTP_REQ)
		l->waits = true;
	say_frames(p, msg.p, msg.len, client && (p->type == BB_ZMTP_REQ || bb_rand_one_in(&p->rand, 2)));
	sim_oracle_said(l, msg.p, msg.len);
	sim_buf_fini(&msg);
}

/* Side 0 of every pattern speaks first. */
static bool
may_say(const struct sim_persona *p)
{
	return p->conn != NULL && p->said_ready && !p->malformed && p->side == 0 && !p->link->failed &&
	       (p->eager || p->link->ready) && p->out.len < OUT_FULL && !p->link->waits;
}

void
sim_peer_say(struct sim_persona *p, uint32_t n)
{
	for (; n > 0 && may_say(p); n--)
		say_message(p);
}

/* A reply that goes nowhere: one frame alone, or the id of nobody in front. */
static void
say_lost_reply(struct sim_persona *p)
{
	if (bb_rand_one_in(&p->rand, 2))
		sim_frame(&p->out, 1, "nobody", 6, p->odd, &p->rand);
	sim_frame(&p->out, 0, "lost", 4, p->odd, &p->rand);
	sim_oracle_said(p->link, NULL, 0);
}

/* What an XSUB says upstream besides subscriptions. */
static void
say_upstream(struct sim_persona *p)
{
	sim_frame(&p->out, 1, "up", 2, p->odd, &p->rand);
	sim_frame(&p->out, 0, NULL, 0, p->odd, &p->rand);
	sim_oracle_said(p->link, NULL, 0);
}

/* The whole of the request comes back behind the envelope, and a last frame that names the worker. */
static void
reply(struct sim_persona *p, struct sim_buf *request)
{
	uint8_t name[8];
	uint8_t *m = request->p;

	bb_store_be32(name, p->link->id);
	bb_store_be32(name + 4, p->link->said);
	for (size_t at = 0; at < request->len;) {
		const bool is_long = m[at] & 2;
		m[at] |= 1;
		at += is_long ? 9 + (size_t)bb_load_be64(m + at + 1) : 2 + (size_t)m[at + 1];
	}
	sim_frame(request, 0, name, sizeof(name), false, NULL);
	say_frames(p, request->p, request->len, false);
	sim_oracle_said(p->link, NULL, 0);
}

static void
act(struct sim_persona *p, struct sim_item *i)
{
	if (p->malformed)
		return; /* it would end what it must not end */
	switch (i->kind) {
	case SIM_ITEM_GREETING:
		if (!p->said_ready)
			say_ready(p);
		break;
	case SIM_ITEM_READY:
		break;
	case SIM_ITEM_PING:
		sim_command(&p->out, "PONG", i->data.p, i->data.len);
		break;
	case SIM_ITEM_REQUEST:
		if (p->side == 0) {
			p->link->waits = false;
			break;
		}
		if (bb_rand_one_in(&p->rand, 16))
			say_lost_reply(p);
		reply(p, &i->data);
		break;
	}
}

/* --- those that break the protocol: never so that a whole message comes of it --- */

static void
say_nonsense(struct sim_persona *p)
{
	static const uint8_t long_frame[9] = { 2, 0x80, 0, 0, 0, 0, 0, 0, 0 };
	static const uint8_t large_frame[9] = { 2, 0, 0, 0, 0, 0x7f, 0, 0, 0 };
	struct bb_rand *r = &p->rand;
	const uint32_t kind = bb_rand_below(r, 14);
	struct sim_buf *b = &p->out;
	uint8_t junk[200] = { 0 };

	p->said_end = true;
	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = (uint8_t)bb_rand_u64(r);
	if (kind == 0) {
		sim_buf_add(b, junk, sizeof(junk));
		return;
	}
	if (kind == 1) {
		sim_buf_add(b, "GET / HTTP/1.1\r\nHost: bus\r\n\r\n", 29);
		return;
	}
	sim_greeting(b, p->minor);
	switch (kind) {
	case 2:
		b->len -= 1 + bb_rand_below(r, 63);
		return;
	case 3:
		memcpy(b->p + b->len - 52, "PLAIN", 5);
		return;
	case 4:
		b->p[b->len - 54] = (uint8_t)bb_rand_below(r, 3); /* older versions */
		return;
	case 5:
		sim_ready(b, "STREAM", NULL, -1);
		return;
	case 6:
		sim_command(b, "READY", junk, 3);
		return;
	case 7:
		sim_command(b, "NONSENSE", junk, 20);
		return;
	case 8:
		sim_ready(b, p->side == 0 ? "PULL" : "PUSH", NULL, -1);
		return;
	default:
		break;
	}
	sim_ready(b, bb_zmtp_type_name(p->type), NULL, -1);
	switch (kind) {
	case 9:
		sim_buf_add(b, long_frame, sizeof(long_frame));
		break;
	case 10:
		sim_buf_add(b, large_frame, sizeof(large_frame));
		break;
	case 11: /* more frames than are allowed */
		for (int i = 0; i < 200; i++)
			sim_frame(b, 1, junk, 2 + bb_rand_below(r, 3), p->odd, r);
		break;
	case 12:
		sim_command(b, "PING", junk, 1);
		break;
	case 13: /* begins a message, and never ends it */
		sim_frame(b, 1, junk, sizeof(junk), p->odd, r);
		*sim_buf_room(b, 1) = 0;
		break;
	default:
		break;
	}
}

/* --- a step --- */

static void
begin(struct sim_persona *p, struct sim_conn *c)
{
	p->conn = c;
	p->link = sim_link_create(p->w, p);
	p->link->rx = (struct sim_rx){ .on_greeting = on_greeting, .on_frame = on_frame, .ctx = p->link };
	p->link->broken_protocol = p->malformed;
	p->link->outgoing = p->outgoing;
	p->link->session_text = p->outgoing ? sim_conn_to(c) : sim_conn_id(c);
	p->out.len = 0;
	p->read_total = 0;
	p->said_greeting = p->said_ready = p->said_end = false;
	sim_conn_tap(c, tap, p->link);
	sim_trace(p->w, "persona %u (endpoint %u side %u type %s 3.%u%s) begins link %u on connection %u",
		p->number, p->endpoint, p->side, bb_zmtp_type_name(p->type), p->minor,
		p->malformed ? " malformed" : "", p->link->id, sim_conn_id(c));
}

void
sim_peer_accepted(struct sim_persona *p, struct sim_conn *c)
{
	sim_peer_drop(p, true);
	begin(p, c);
}

static void
connect_to_node(struct sim_persona *p)
{
	struct sim_conn *c;

	if (p->outgoing || (p->malformed && p->w->hushed))
		return;
	c = sim_net_dial(p->w->net, (uint16_t)(p->endpoint * 2 + p->side));
	if (c != NULL)
		begin(p, c);
}

static bool
read_some(struct sim_persona *p)
{
	size_t n = sim_conn_readable(p->conn);
	bool acted = n > 0;

	if (!p->w->calm && p->read_max != 0 && n > p->read_max)
		n = 1 + bb_rand_below(&p->rand, p->read_max);
	if (p->out.len > 4 * OUT_FULL)
		n = 0; /* it answers before it hears more */
	sim_conn_read(p->conn, n);
	p->read_total += n;
	uint32_t done = 0;
	while (done < p->item_count && p->items[done].at <= p->read_total) {
		act(p, &p->items[done]);
		sim_buf_fini(&p->items[done].data);
		done++;
	}
	p->item_count -= done;
	if (done > 0 && p->item_count > 0)
		memmove(p->items, p->items + done, p->item_count * sizeof(*p->items));
	return acted || done > 0;
}

static bool
write_some(struct sim_persona *p)
{
	size_t n = p->out.len;

	if (n == 0)
		return false;
	if (!p->w->calm && bb_rand_one_in(&p->rand, 4))
		n = 1 + bb_rand_below(&p->rand, (uint32_t)n);
	n = sim_conn_write(p->conn, p->out.p, n);
	sim_buf_cut(&p->out, n);
	return n > 0;
}

static void
say_something(struct sim_persona *p)
{
	if (!p->said_greeting) {
		p->said_greeting = true;
		if (p->malformed) {
			say_nonsense(p);
			return;
		}
		sim_greeting(&p->out, p->minor);
		if (p->eager)
			say_ready(p);
	}
	if (p->w->hushed || p->malformed)
		return;
	if (bb_rand_one_in(&p->rand, 3))
		sim_peer_say(p, 1 + bb_rand_below(&p->rand, p->burst_max));
	if (p->said_ready && bb_rand_one_in(&p->rand, 50))
		say_ping(p);
	if (p->said_ready && p->type == BB_ZMTP_XSUB && bb_rand_one_in(&p->rand, 30))
		say_upstream(p);
	if (sim_has(p->w, SIM_SUBS_CHANGE) && bb_rand_one_in(&p->rand, 8))
		sim_peer_resubscribe(p);
}

bool
sim_peer_step(struct sim_persona *p)
{
	bool acted;

	if (p->conn == NULL) {
		if (!p->w->draining)
			connect_to_node(p);
		return p->conn != NULL;
	}
	say_something(p);
	acted = read_some(p);
	acted |= write_some(p);
	if (sim_conn_ended(p->conn) || sim_conn_broken(p->conn)) {
		sim_trace(p->w, "link %u was ended by the node", p->link->id);
		sim_peer_drop(p, false);
		return true;
	}
	if (p->malformed && p->w->hushed) {
		sim_peer_drop(p, true);
		return true;
	}
	return acted;
}
