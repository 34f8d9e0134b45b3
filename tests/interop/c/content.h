/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * content: what test messages hold, so that a receiver can check every octet it gets.
 *
 * A message is named by its sequence number and a frame by its index; the octets follow from these
 * two alone. harness/content.py makes the same octets: C and Python programs check each other.
 */
#ifndef INTEROP_CONTENT_H
#define INTEROP_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A plan: message number i has sizes[i % size_count] octets in each of frames[i % frame_count] frames. */
struct plan {
	size_t sizes[64];
	size_t size_count;
	size_t frames[16];
	size_t frame_count;
	size_t count;	   /* messages in all */
	const char *topic; /* when set, an additional first frame that holds exactly this */
};

/* Fill buf with the content of a frame. */
void content_fill(uint8_t *buf, size_t len, uint64_t seq, size_t frame);

/* True if buf holds exactly the content of that frame. */
bool content_equal(const uint8_t *buf, size_t len, uint64_t seq, size_t frame);

/* Send message number seq of the plan on a ZeroMQ socket; exits with a message on failure. */
void plan_send(const struct plan *p, void *sock, uint64_t seq);

/*
 * Receive one message on a ZeroMQ socket and compare it with number seq of the plan; exits with a
 * message when it differs or does not come.
 */
void plan_recv(const struct plan *p, void *sock, uint64_t seq);

/* Read a list such as 0,1,255 into values; returns how many. Exits with a message when it is no list. */
size_t list_parse(const char *text, size_t *values, size_t values_max);

/* Print a line on standard error that begins with the program's name, and exit with status 1. */
_Noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
