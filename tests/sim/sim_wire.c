/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_wire.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/endian.h"

#define TAG_MARK 0xfe
#define FRAME_MORE 1
#define FRAME_LONG 2
#define FRAME_COMMAND 4
#define GREETING_BYTES 64

uint32_t
sim_topic(uint32_t number, uint8_t ret_topic[SIM_TOPIC_MAX])
{
	uint32_t len = 0, of_len = 1;

	while (number >= of_len) {
		number -= of_len;
		of_len *= 3;
		len++;
	}
	for (uint32_t i = 0; i < len; i++, number /= 3)
		ret_topic[i] = (uint8_t)('a' + number % 3);
	return len;
}

uint8_t *
sim_buf_room(struct sim_buf *b, size_t n)
{
	if (b->len + n > b->cap) {
		b->cap = 2 * b->cap > b->len + n ? 2 * b->cap : b->len + n + 256;
		b->p = realloc(b->p, b->cap);
		BB_ASSERT(b->p != NULL);
	}
	b->len += n;
	return b->p + b->len - n;
}

void
sim_buf_add(struct sim_buf *b, const void *p, size_t n)
{
	uint8_t *to = sim_buf_room(b, n);

	if (n > 0)
		memcpy(to, p, n);
}

void
sim_buf_cut(struct sim_buf *b, size_t n)
{
	BB_ASSERT(n <= b->len);
	b->len -= n;
	if (n > 0 && b->len > 0)
		memmove(b->p, b->p + n, b->len);
}

void
sim_buf_fini(struct sim_buf *b)
{
	free(b->p);
	*b = (struct sim_buf){ 0 };
}

static void
fill(struct bb_rand *r, uint8_t *p, size_t n)
{
	for (; n >= 8; n -= 8, p += 8)
		bb_store_be64(p, bb_rand_u64(r));
	for (; n > 0; n--)
		*p++ = (uint8_t)bb_rand_u64(r);
}

static uint32_t
frame_size(const struct sim_profile *p, struct bb_rand *r)
{
	if (p->large_chance != 0 && bb_rand_below(r, 1000) < p->large_chance)
		return bb_rand_below(r, p->large_max + 1);
	if (bb_rand_one_in(r, 16))
		return 250 + bb_rand_below(r, 12); /* around the longest short frame */
	return bb_rand_below(r, p->body_max + 1);
}

static void
canonical_header(struct sim_buf *to, uint8_t flags, size_t len)
{
	if (len <= 255) {
		uint8_t *h = sim_buf_room(to, 2);
		h[0] = flags;
		h[1] = (uint8_t)len;
	} else {
		uint8_t *h = sim_buf_room(to, 9);
		h[0] = flags | FRAME_LONG;
		bb_store_be64(h + 1, len);
	}
}

static uint8_t
tag_check(const uint8_t *tag)
{
	uint32_t sum = 17;

	for (int i = 0; i < SIM_TAG_BYTES - 1; i++)
		sum = sum * 31 + tag[i];
	return (uint8_t)(sum ^ sum >> 8 ^ sum >> 16);
}

void
sim_message(const struct sim_profile *p, uint32_t link, uint32_t seq, struct sim_buf *to)
{
	struct bb_rand r;
	uint8_t topic[SIM_TOPIC_MAX];

	bb_rand_init(&r, p->seed ^ ((uint64_t)link << 32 | seq) * UINT64_C(0x9e3779b97f4a7c15));
	uint32_t frames = 1;
	if (p->multi_chance != 0 && bb_rand_below(&r, 1000) < p->multi_chance)
		frames = 1 + bb_rand_below(&r, bb_rand_one_in(&r, 8) ? p->frames_max : 4);
	const uint32_t topic_len = sim_topic(bb_rand_below(&r, SIM_TOPICS), topic);
	for (uint32_t i = 0; i < frames; i++) {
		uint32_t len = frame_size(p, &r);
		const uint8_t flags = i + 1 < frames ? FRAME_MORE : 0;
		if (i > 0) {
			canonical_header(to, flags, len);
			fill(&r, sim_buf_room(to, len), len);
			continue;
		}
		const uint32_t least = topic_len + SIM_TAG_BYTES;
		if (len < least)
			len = least;
		canonical_header(to, flags, len);
		uint8_t *at = sim_buf_room(to, len);
		memcpy(at, topic, topic_len);
		at += topic_len;
		at[0] = TAG_MARK;
		bb_store_be64(at + 1, (uint64_t)link << 32 | seq);
		at[9] = at[10] = at[11] = 0;
		at[12] = tag_check(at);
		fill(&r, at + SIM_TAG_BYTES, len - least);
	}
}

bool
sim_tag_read(const uint8_t *body, size_t len, uint32_t *ret_link, uint32_t *ret_seq)
{
	for (size_t at = 0; at <= SIM_TOPIC_MAX && at + SIM_TAG_BYTES <= len; at++) {
		if (body[at] != TAG_MARK)
			continue;
		const uint64_t name = bb_load_be64(body + at + 1);
		*ret_link = (uint32_t)(name >> 32);
		*ret_seq = (uint32_t)name;
		return body[at + 12] == tag_check(body + at);
	}
	return false;
}

void
sim_frame(struct sim_buf *to, uint8_t flags, const void *body, size_t len, bool odd, struct bb_rand *r)
{
	if (odd && bb_rand_one_in(r, 2))
		flags |= (uint8_t)(8u << bb_rand_below(r, 5));
	if (odd && bb_rand_one_in(r, 2) && len <= 255) {
		uint8_t *h = sim_buf_room(to, 9);
		h[0] = flags | FRAME_LONG;
		bb_store_be64(h + 1, len);
	} else {
		canonical_header(to, flags, len);
	}
	sim_buf_add(to, body, len);
}

void
sim_greeting(struct sim_buf *to, unsigned minor)
{
	uint8_t *g = sim_buf_room(to, GREETING_BYTES);

	memset(g, 0, GREETING_BYTES);
	g[0] = 0xff;
	g[8] = 1;
	g[9] = 0x7f;
	g[10] = 3;
	g[11] = (uint8_t)minor;
	memcpy(g + 12, "NULL", 4);
}

static void
property(struct sim_buf *to, const char *name, const void *value, uint32_t len)
{
	const uint8_t name_len = (uint8_t)strlen(name);
	const uint8_t be[4] = { (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8),
		(uint8_t)len };

	sim_buf_add(to, &name_len, 1);
	sim_buf_add(to, name, name_len);
	sim_buf_add(to, be, 4);
	sim_buf_add(to, value, len);
}

void
sim_ready(struct sim_buf *to, const char *type, const uint8_t *id, int id_len)
{
	struct sim_buf data = { 0 };

	property(&data, "Socket-Type", type, (uint32_t)strlen(type));
	if (id_len >= 0)
		property(&data, "Identity", id, (uint32_t)id_len);
	sim_command(to, "READY", data.p, data.len);
	sim_buf_fini(&data);
}

void
sim_command(struct sim_buf *to, const char *name, const void *data, size_t len)
{
	const uint8_t name_len = (uint8_t)strlen(name);

	canonical_header(to, FRAME_COMMAND, 1 + name_len + len);
	sim_buf_add(to, &name_len, 1);
	sim_buf_add(to, name, name_len);
	sim_buf_add(to, data, len);
}

/* Octets that the part at hand needs to be whole, as far as is known. */
static uint64_t
part_wants(const struct sim_rx *x)
{
	const uint8_t *p = x->part.p;

	if (!x->greeted)
		return GREETING_BYTES;
	if (x->part.len < 2)
		return 2;
	if (!(p[0] & FRAME_LONG))
		return 2 + (uint64_t)p[1];
	return x->part.len < 9 ? 9 : 9 + bb_load_be64(p + 1);
}

void
sim_rx_feed(struct sim_rx *x, const uint8_t *p, size_t n)
{
	for (;;) {
		const uint64_t wants = part_wants(x);
		const size_t left = wants > x->part.len ? (size_t)(wants - x->part.len) : 0;
		const size_t take = left < n ? left : n;
		sim_buf_add(&x->part, p, take);
		x->total += take;
		p += take;
		n -= take;
		if (take < left)
			return;
		if (part_wants(x) > x->part.len)
			continue; /* now its length is known */
		const uint8_t *part = x->part.p;
		if (!x->greeted) {
			x->greeted = true;
			x->on_greeting(x->ctx, part);
		} else {
			const bool is_long = part[0] & FRAME_LONG;
			const size_t header = is_long ? 9 : 2;
			const size_t len = x->part.len - header;
			const bool canonical = (part[0] & ~7) == 0 && (!is_long || len > 255);
			x->on_frame(x->ctx, part[0] & 5, canonical, part + header, len);
		}
		x->part.len = 0;
		if (n == 0)
			return;
	}
}
