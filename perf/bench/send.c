/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One block of encoded messages serves all producers: before a write the stamps of as many messages as the
 * socket is likely to take are set, for that producer. What the kernel did not take is stamped again later,
 * so a link needs no buffer of its own, only the offset within the message that is partly out.
 */
#include "bench/bench.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/assert.h"
#include "base/compiler.h"
#include "base/time.h"

#define VISITS_MAX 256 /* producers written to before receivers get their turn */

/* The wire form of one message with zero stamp into p. */
static void
message_encode(const struct bb_bench *b, uint8_t *p)
{
	const struct bb_opts *o = b->opts;

	if (o->pattern == BB_REQREP)
		p += bb_wire_head_put(p, BB_WIRE_MORE, 0);
	for (uint32_t f = 0; f < o->frames; f++) {
		p += bb_wire_head_put(p, f + 1 < o->frames ? BB_WIRE_MORE : 0, o->size);
		for (uint64_t i = 0; i < o->size; i++)
			p[i] = (uint8_t)('a' + i % 26);
		if (f == 0)
			memcpy(p, o->topic_prefix, strlen(o->topic_prefix));
		if (f == 0 && o->topics > 0)
			memset(p + strlen(o->topic_prefix), '0', BB_TOPIC_DIGITS);
		p += o->size;
	}
}

static void
layout_fill(struct bb_bench *b)
{
	const struct bb_opts *o = b->opts;
	struct bb_layout *y = &b->layout;
	const size_t head = o->size <= UINT8_MAX ? 2 : 9;
	const size_t envelope = o->pattern == BB_REQREP ? 2 : 0;
	const size_t prefix = strlen(o->topic_prefix);

	y->stride = envelope + o->frames * (head + o->size);
	y->topic_at = envelope + head + prefix;
	y->body_stamp_at = (uint32_t)prefix + (o->topics > 0 ? BB_TOPIC_DIGITS : 0);
	y->stamp_at = envelope + head + y->body_stamp_at;
	y->peek = y->body_stamp_at + BB_STAMP_FULL;
	y->ordered = o->size >= y->body_stamp_at + BB_STAMP_ORDER;
	y->timed = o->size >= y->body_stamp_at + BB_STAMP_FULL;

	/* A worker sees an envelope whose length it cannot know beforehand. */
	y->fast = o->frames == 1;
	const size_t fixed = envelope + head;
	uint8_t first[16] = { 0 }, mask[16] = { 0 };
	memcpy(first, b->block, fixed);
	memset(mask, 0xff, fixed);
	memcpy(y->expect, first, sizeof(y->expect));
	memcpy(y->mask, mask, sizeof(y->mask));
}

int
bb_send_init(struct bb_bench *b)
{
	const struct bb_opts *o = b->opts;
	const size_t one = 2 + (size_t)o->frames * (BB_WIRE_HEAD_MAX + o->size);

	b->block = malloc(bb_max_u64(BB_BLOCK_BYTES, one) + BB_STAMP_FULL);
	if (b->block == NULL)
		return -ENOMEM;
	message_encode(b, b->block);
	layout_fill(b);
	b->block_msgs = (uint32_t)bb_max_u64(BB_BLOCK_BYTES / b->layout.stride, 1);
	for (uint32_t i = 1; i < b->block_msgs; i++)
		memcpy(b->block + i * b->layout.stride, b->block, b->layout.stride);
	return 0;
}

static void
topic_put(uint8_t *p, uint32_t topic)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = BB_TOPIC_DIGITS - 1; i >= 0; i--, topic >>= 4)
		p[i] = (uint8_t)digits[topic & 15];
}

/* When message seq of this link is, or was, to go. */
static inline uint64_t
due_ns(const struct bb_bench *b, const struct bb_link *l, uint64_t seq)
{
	const double k = (double)(int64_t)(seq - l->seq_base) * b->opts->in.count + l->id;

	return b->pace.start_ns + (uint64_t)(int64_t)(k * b->pace.ns_per_msg);
}

/* Stamp the first n messages of the block as seq and following of this link. */
static void
block_stamp(struct bb_bench *b, const struct bb_link *l, uint32_t n)
{
	const struct bb_layout *y = &b->layout;
	const uint64_t who = (uint64_t)l->id << 32 | b->opts->run_id;
	const bool paced = b->pace.ns_per_msg > 0;
	uint8_t *p = b->block + y->stamp_at;
	uint64_t time_ns = b->now_ns;

	for (uint32_t i = 0; i < n; i++, p += y->stride) {
		const uint64_t seq = l->seq + i;

		memcpy(p, &who, sizeof(who));
		memcpy(p + 8, &seq, sizeof(seq));
		if (!y->timed)
			continue;
		if (paced)
			time_ns = due_ns(b, l, seq);
		memcpy(p + BB_STAMP_ORDER, &time_ns, sizeof(time_ns));
	}
	if (y->timed && l->tx_off > 0)
		memcpy(b->block + y->stamp_at + BB_STAMP_ORDER, &l->tx_time_ns, sizeof(l->tx_time_ns));
	if (b->opts->topics > 0) {
		for (uint32_t i = 0; i < n; i++)
			topic_put(b->block + i * y->stride + y->topic_at,
				(uint32_t)((l->seq + i) % b->opts->topics));
	}
}

/* How many messages may be written now, the one partly out included. */
static uint64_t
allowance(const struct bb_bench *b, const struct bb_link *l)
{
	uint64_t may;

	if (l->state != BB_LINK_READY)
		return 0;
	if (!b->sending)
		return l->tx_off > 0;
	may = l->seq_end > l->seq ? l->seq_end - l->seq : 0;
	if (b->pace.ns_per_msg > 0) {
		/* Message k of all goes to producer k mod count. */
		const uint32_t count = b->opts->in.count;
		const uint64_t due = (b->pace.next + count - 1 - l->id) / count;
		const uint64_t done = l->seq - l->seq_base;
		may = bb_min_u64(may, due > done ? due - done : 0);
	}
	if (l->kind == BB_LINK_CLIENT) {
		const uint64_t open = l->seq - l->answered;
		may = bb_min_u64(may, open < b->opts->window ? b->opts->window - open : 0);
	}
	return bb_max_u64(may, l->tx_off > 0);
}

/* Write up to n messages. Returns false when the socket is full or broken. */
static bool
block_write(struct bb_bench *b, struct bb_link *l, uint32_t n)
{
	const struct bb_layout *y = &b->layout;
	const size_t want = n * y->stride - l->tx_off;

	if (y->ordered)
		block_stamp(b, l, n);
	const ssize_t rc = send(l->fd, b->block + l->tx_off, want, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (rc < 0) {
		if (errno != EAGAIN && errno != EINTR)
			bb_link_close(b, l, strerror(errno));
		return false;
	}

	const size_t end = l->tx_off + (size_t)rc;
	const uint64_t whole = end / y->stride;
	l->tx_off = end % y->stride;
	if (l->tx_off > 0 && y->timed)
		memcpy(&l->tx_time_ns, b->block + whole * y->stride + y->stamp_at + BB_STAMP_ORDER,
			sizeof(l->tx_time_ns));
	l->seq += whole;
	return (size_t)rc == want;
}

void
bb_send_link(struct bb_bench *b, struct bb_link *l)
{
	uint64_t may = allowance(b, l);
	bool room = true;

	if (l->out_len > 0 && l->tx_off == 0) {
		const int rc = bb_link_flush(l);
		if (rc < 0) {
			bb_link_close(b, l, strerror(-rc));
			return;
		}
		room = rc == 1;
	} else if (l->out_len > 0) {
		may = bb_min_u64(may, 1); /* a control frame waits for the end of this message */
	}
	if (room && may > 0) {
		room = block_write(b, l, (uint32_t)bb_min_u64(may, b->block_msgs));
		if (l->state == BB_LINK_CLOSED)
			return;
		may = allowance(b, l);
	}
	const bool more = may > 0 || l->out_len > 0;
	/* A paced producer that the socket keeps up with needs no event: it writes when messages fall due. */
	bb_link_events(b, l, EPOLLIN | (more || !room ? EPOLLOUT : 0));
}

void
bb_send_pace(struct bb_bench *b, double rate)
{
	b->pace = (struct bb_pace){ .ns_per_msg = rate > 0 ? 1e9 / rate : 0, .start_ns = b->now_ns };
	for (uint32_t i = 0; i < b->opts->in.count; i++)
		b->links[i].seq_base = b->links[i].seq + (b->links[i].tx_off > 0);
}

uint64_t
bb_send_paced(struct bb_bench *b)
{
	struct bb_pace *p = &b->pace;
	const uint32_t count = b->opts->in.count;

	if (p->ns_per_msg <= 0 || !b->sending)
		return BB_NEVER;

	p->next = bb_max_u64(p->next, (uint64_t)((double)(b->now_ns - p->start_ns) / p->ns_per_msg) + 1);
	/* A visited producer sends all that it owes, so further back than one round there is nothing to visit. */
	if (p->next - p->visit > count)
		p->visit = p->next - count;
	for (uint32_t i = 0; p->visit < p->next && i < VISITS_MAX; i++, p->visit++) {
		struct bb_link *l = &b->links[p->visit % count];

		if ((l->events & EPOLLOUT) == 0) /* else its socket is full and will tell */
			bb_send_link(b, l);
	}
	if (p->visit < p->next)
		return b->now_ns;
	return p->start_ns + (uint64_t)((double)p->next * p->ns_per_msg);
}

void
bb_send_probes(struct bb_bench *b)
{
	const struct bb_layout *y = &b->layout;
	const uint32_t topics = b->opts->subscribe == BB_SUBSCRIBE_ONE ? b->opts->topics : 1;

	for (uint32_t i = 0; i < b->opts->in.count; i++) {
		struct bb_link *l = &b->links[i];
		const uint64_t who = (uint64_t)l->id << 32 | (uint32_t)~b->opts->run_id;

		for (uint32_t t = 0; t < topics && l->state == BB_LINK_READY && l->out_len == 0; t++) {
			memcpy(b->block + y->stamp_at, &who, sizeof(who));
			if (b->opts->topics > 0)
				topic_put(b->block + y->topic_at, t);
			const int rc = bb_link_put(b, l, b->block, y->stride);
			if (rc < 0)
				bb_link_close(b, l, strerror(-rc));
		}
	}
}
