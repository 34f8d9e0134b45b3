/* SPDX-License-Identifier: BSD-3-Clause */
#include "content.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#define TABLE_SIZE 251 /* a prime, so that no power of two hides a shift */

static uint8_t
table_octet(size_t i)
{
	return (uint8_t)((i * i * 7 + i * 13 + 5) % 256);
}

static size_t
frame_offset(uint64_t seq, size_t frame)
{
	return (size_t)((seq * 31 + (uint64_t)frame * 17) % TABLE_SIZE);
}

_Noreturn void
die(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "interop peer: ");
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

void
content_fill(uint8_t *buf, size_t len, uint64_t seq, size_t frame)
{
	const size_t offset = frame_offset(seq, frame);
	size_t first = len < TABLE_SIZE ? len : TABLE_SIZE;

	for (size_t i = 0; i < first; i++)
		buf[i] = table_octet((offset + i) % TABLE_SIZE);
	for (size_t done = first; done < len;) { /* the rest repeats what is there, in doubling steps */
		size_t n = done / TABLE_SIZE * TABLE_SIZE;
		if (n > len - done)
			n = len - done;
		memcpy(buf + done, buf, n);
		done += n;
	}
}

bool
content_equal(const uint8_t *buf, size_t len, uint64_t seq, size_t frame)
{
	const size_t offset = frame_offset(seq, frame);
	size_t first = len < TABLE_SIZE ? len : TABLE_SIZE;

	for (size_t i = 0; i < first; i++)
		if (buf[i] != table_octet((offset + i) % TABLE_SIZE))
			return false;
	return len <= TABLE_SIZE || memcmp(buf + TABLE_SIZE, buf, len - TABLE_SIZE) == 0;
}

static size_t
plan_size(const struct plan *p, uint64_t seq)
{
	return p->sizes[seq % p->size_count];
}

static size_t
plan_frames(const struct plan *p, uint64_t seq)
{
	return p->frames[seq % p->frame_count];
}

void
plan_send(const struct plan *p, void *sock, uint64_t seq)
{
	const size_t size = plan_size(p, seq), frames = plan_frames(p, seq);

	if (p->topic != NULL && zmq_send(sock, p->topic, strlen(p->topic), ZMQ_SNDMORE) < 0)
		die("message %llu: topic: %s", (unsigned long long)seq, zmq_strerror(errno));
	for (size_t f = 0; f < frames; f++) {
		zmq_msg_t msg;
		if (zmq_msg_init_size(&msg, size) != 0)
			die("no memory for %zu octets", size);
		content_fill(zmq_msg_data(&msg), size, seq, f);
		if (zmq_msg_send(&msg, sock, f + 1 < frames ? ZMQ_SNDMORE : 0) < 0)
			die("message %llu frame %zu: send: %s", (unsigned long long)seq, f,
				zmq_strerror(errno));
	}
}

/* Receive one frame; check that MORE is as expected. */
static void
frame_recv(zmq_msg_t *msg, void *sock, uint64_t seq, size_t frame, bool more)
{
	if (zmq_msg_init(msg) != 0 || zmq_msg_recv(msg, sock, 0) < 0)
		die("message %llu frame %zu: receive: %s", (unsigned long long)seq, frame,
			zmq_strerror(errno));
	if ((zmq_msg_more(msg) != 0) != more)
		die("message %llu: frame %zu of %zu octets %s", (unsigned long long)seq, frame,
			zmq_msg_size(msg),
			more ? "is the last, but more were sent" : "is not the last, but no more were sent");
}

void
plan_recv(const struct plan *p, void *sock, uint64_t seq)
{
	const size_t size = plan_size(p, seq), frames = plan_frames(p, seq);
	zmq_msg_t msg;

	if (p->topic != NULL) {
		frame_recv(&msg, sock, seq, 0, true);
		if (zmq_msg_size(&msg) != strlen(p->topic) ||
			memcmp(zmq_msg_data(&msg), p->topic, strlen(p->topic)) != 0)
			die("message %llu: wrong topic", (unsigned long long)seq);
		zmq_msg_close(&msg);
	}
	for (size_t f = 0; f < frames; f++) {
		frame_recv(&msg, sock, seq, f, f + 1 < frames);
		if (zmq_msg_size(&msg) != size)
			die("message %llu frame %zu: %zu octets came, %zu were sent", (unsigned long long)seq,
				f, zmq_msg_size(&msg), size);
		if (!content_equal(zmq_msg_data(&msg), size, seq, f))
			die("message %llu frame %zu: wrong content", (unsigned long long)seq, f);
		zmq_msg_close(&msg);
	}
}

size_t
list_parse(const char *text, size_t *values, size_t values_max)
{
	size_t n = 0;

	for (const char *p = text; *p != '\0';) {
		char *end;
		errno = 0;
		unsigned long long v = strtoull(p, &end, 10);
		if (errno != 0 || end == p || (*end != ',' && *end != '\0') || n == values_max)
			die("'%s' is not a list of at most %zu numbers", text, values_max);
		values[n++] = (size_t)v;
		p = *end == ',' ? end + 1 : end;
	}
	if (n == 0)
		die("an empty list");
	return n;
}
