/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sim_wire: what simulated peers say and hear: the content of messages, and a ZMTP encoder and decoder of
 * their own, so that a mistake of the product's is not made twice.
 *
 * A message follows from {seed, link, seq} alone: its frames, sizes, topic and octets. So whoever gets one
 * knows what it must look like. Its first frame: a topic of at most SIM_TOPIC_MAX letters, a tag that names
 * link and seq, filling.
 */
#ifndef BB_TEST_SIM_WIRE_H
#define BB_TEST_SIM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rand.h"

#define SIM_TOPIC_MAX 3
#define SIM_TAG_BYTES 13 /* a mark, link, seq, check */

/* Topics over the letters a, b, c, numbered: 0 is the empty one. */
#define SIM_TOPICS 40
uint32_t sim_topic(uint32_t number, uint8_t ret_topic[SIM_TOPIC_MAX]);

struct sim_buf {
	uint8_t *p;
	size_t len, cap;
};
void sim_buf_add(struct sim_buf *b, const void *p, size_t n);
uint8_t *sim_buf_room(struct sim_buf *b, size_t n); /* grows by n octets, which the caller fills */
void sim_buf_cut(struct sim_buf *b, size_t n);	    /* forget the first n */
void sim_buf_fini(struct sim_buf *b);

struct sim_profile {
	uint64_t seed;
	uint32_t body_max;     /* octets of an ordinary frame */
	uint32_t large_chance; /* per thousand: a frame of up to large_max */
	uint32_t large_max;
	uint32_t multi_chance; /* per thousand: more than one frame */
	uint32_t frames_max;
};

/* Append the message in canonical form. */
void sim_message(const struct sim_profile *p, uint32_t link, uint32_t seq, struct sim_buf *to);

/* Which message a first frame names; false: none. */
bool sim_tag_read(const uint8_t *body, size_t len, uint32_t *ret_link, uint32_t *ret_seq);

/* Append a frame. flags as on the wire, without LONG. odd: not the shortest form, reserved bits set. */
void sim_frame(struct sim_buf *to, uint8_t flags, const void *body, size_t len, bool odd, struct bb_rand *r);

void sim_greeting(struct sim_buf *to, unsigned minor);
void sim_ready(struct sim_buf *to, const char *type, const uint8_t *id, int id_len);
void sim_command(struct sim_buf *to, const char *name, const void *data, size_t len);

/* Takes a stream apart: a greeting, then frames. */
struct sim_rx {
	struct sim_buf part; /* of a greeting or frame */
	uint64_t total;	     /* octets fed */
	bool greeted;
	/* Called with each: NULL for the greeting (body is all 64 octets). False: stop, it is wrong. */
	void (*on_greeting)(void *ctx, const uint8_t *greeting);
	void (*on_frame)(void *ctx, uint8_t flags, bool canonical, const uint8_t *body, size_t len);
	void *ctx;
};
void sim_rx_feed(struct sim_rx *x, const uint8_t *p, size_t n);

#endif
