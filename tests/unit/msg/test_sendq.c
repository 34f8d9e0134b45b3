/* SPDX-License-Identifier: BSD-3-Clause */
/* sendq against a naive list of messages, on random input; a failure prints the seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include <cmocka.h>

#include "base/rand.h"
#include "msg/sendq.h"

#define BUFFERS 64
#define MODEL_MAX 4096

/* The model: messages as {first octet of the body, wire length}. */
struct model {
	struct {
		uint32_t id, len;
	} msg[MODEL_MAX];
	uint32_t count, settled;
	uint64_t begun; /* octets of msg[0] handed over */
};

struct fixture {
	struct bb_pool pool;
	struct bb_mem mem;
	struct bb_spans spans;
	struct bb_sendq q;
	struct bb_rand rand;
	uint8_t *bytes;
	struct bb_buffer headers[BUFFERS];
	struct model model;
	uint32_t next_id, next_sent;
	uint8_t *sent; /* what the transport took, whole stream */
	uint64_t sent_bytes, checked;
	uint8_t *expect; /* what the model says it must be */
	uint64_t expect_bytes;
};

#define STREAM_BYTES (32u << 20)
static uint8_t stream_sent[STREAM_BYTES], stream_expected[STREAM_BYTES];

static void
setup(struct fixture *f, uint64_t seed)
{
	memset(f, 0, sizeof(*f));
	f->bytes = aligned_alloc(BB_CACHE_LINE, (size_t)BUFFERS * BB_BUFFER_BYTES);
	f->sent = stream_sent;
	f->expect = stream_expected;
	assert_non_null(f->bytes);
	bb_pool_init(&f->pool, f->bytes, f->headers, BUFFERS, 4);
	bb_mem_init_heap(&f->mem, 1 << 24);
	assert_int_equal(bb_spans_init(&f->spans, &f->pool, &f->mem, 1), 0);
	bb_rand_init(&f->rand, seed);
}

static void
teardown(struct fixture *f)
{
	uint64_t bytes;

	bb_sendq_clear(&f->spans, &f->q, &bytes);
	bb_spans_fini(&f->spans);
	bb_pool_fini(&f->pool);
	assert_int_equal(f->mem.used_bytes, 0);
	free(f->bytes);
}

/* Write a message of one to three frames at p; returns its wire length. */
static uint32_t
write_message(struct fixture *f, uint8_t *p, uint32_t room)
{
	uint32_t at = 0;
	const uint32_t frames = 1 + bb_rand_below(&f->rand, 3);

	for (uint32_t i = 0; i < frames; i++) {
		const bool more = i + 1 < frames;
		uint32_t len = bb_rand_one_in(&f->rand, 8) ? 256 + bb_rand_below(&f->rand, 700)
							   : bb_rand_below(&f->rand, 60);
		const uint32_t header = len > 255 ? 9 : 2;
		if (at + header + len + 20 > room)
			len = 1;
		if (len > 255) {
			p[at] = (uint8_t)(2 | more);
			memset(p + at + 1, 0, 8);
			p[at + 7] = (uint8_t)(len >> 8);
			p[at + 8] = (uint8_t)len;
		} else {
			p[at] = more;
			p[at + 1] = (uint8_t)len;
		}
		at += len > 255 ? 9 : 2;
		for (uint32_t b = 0; b < len; b++)
			p[at + b] = (uint8_t)(f->next_id + b);
		at += len;
	}
	f->next_id++;
	return at;
}

static bool
model_fits(const struct fixture *f, uint32_t len)
{
	const struct model *m = &f->model;
	const struct bb_hwm *h = &f->q.hwm;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < m->count; i++)
		bytes += m->msg[i].len;
	bytes -= m->begun;
	if (m->count == 0)
		return true;
	if (h->msgs_max != 0 && m->count >= h->msgs_max)
		return false;
	return h->bytes_max == 0 || bytes + len <= h->bytes_max;
}

static void
model_append(struct fixture *f, uint32_t len, const uint8_t *p)
{
	struct model *m = &f->model;

	assert_true(m->count < MODEL_MAX);
	m->msg[m->count].len = len;
	m->count++;
	assert_true(f->expect_bytes + len <= STREAM_BYTES);
	memcpy(f->expect + f->expect_bytes, p, len);
	f->expect_bytes += len;
}

/* Deliver one range of several messages in a fresh buffer, strictly admitted. */
static void
step_admit(struct fixture *f)
{
	const uint32_t buffer = bb_pool_get(&f->pool, BB_POOL_DATA);
	if (buffer == BB_BUFFER_NONE)
		return;
	struct bb_span span = { .buffer = buffer };
	struct bb_sendq_drops drops = { 0 };
	uint64_t dropped = 0;
	uint8_t *base = bb_pool_bytes(&f->pool, buffer);
	const uint32_t count = 1 + bb_rand_below(&f->rand, 20);

	for (uint32_t i = 0; i < count; i++) {
		const uint32_t len = write_message(f, base + span.len, BB_BUFFER_BYTES - span.len);
		if (model_fits(f, len))
			model_append(f, len, base + span.len);
		else
			dropped++;
		span.len += len;
		span.msgs++;
	}
	bb_holds_open(&f->spans.holds, buffer, 1, 0);
	bb_sendq_admit(&f->spans, &f->q, &span, &drops);
	bb_holds_drop(&f->spans.holds, buffer, 1, 0);
	assert_int_equal(drops.hwm_msgs, dropped);
	assert_int_equal(drops.memory_msgs, 0);
	assert_int_equal(f->q.msgs, f->model.count);
}

/* The transport takes some bytes. */
static void
step_send(struct fixture *f)
{
	static uint8_t scratch[BB_BUFFER_BYTES];
	struct iovec iov[8];
	uint64_t bytes;
	const uint64_t max = 1 + bb_rand_below(&f->rand, 20000);
	const size_t n = bb_sendq_peek(&f->spans, &f->q, scratch, max, iov, 8, &bytes);
	uint64_t sum = 0;

	assert_true(bytes <= max);
	for (size_t i = 0; i < n; i++)
		sum += iov[i].iov_len;
	assert_int_equal(sum, bytes);
	if (bytes == 0) {
		assert_true(bb_sendq_empty(&f->q));
		return;
	}
	uint64_t take = bb_rand_one_in(&f->rand, 2) ? bytes : bb_rand_below(&f->rand, (uint32_t)bytes + 1);
	uint64_t left = take;
	for (size_t i = 0; left > 0; i++) {
		const uint64_t part = iov[i].iov_len < left ? iov[i].iov_len : left;
		memcpy(f->sent + f->sent_bytes, iov[i].iov_base, part);
		f->sent_bytes += part;
		left -= part;
	}
	const uint64_t ended = bb_sendq_sent(&f->spans, &f->q, take);
	struct model *m = &f->model;
	uint64_t model_ended = 0;
	m->begun += take;
	while (m->count > 0 && m->begun >= m->msg[0].len) {
		m->begun -= m->msg[0].len;
		memmove(m->msg, m->msg + 1, --m->count * sizeof(m->msg[0]));
		model_ended++;
	}
	assert_int_equal(ended, model_ended);
	assert_int_equal(f->q.msgs, m->count);
	assert_int_equal(bb_sendq_at_border(&f->q), m->begun == 0);
	assert_memory_equal(f->sent + f->checked, f->expect + f->checked, f->sent_bytes - f->checked);
	f->checked = f->sent_bytes;
}

static void
random_walk_agrees_with_a_list_of_messages(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct fixture *f = malloc(sizeof(*f));
		setup(f, seed);
		f->q.hwm.msgs_max = bb_rand_one_in(&f->rand, 4) ? 0 : 1 + bb_rand_below(&f->rand, 50);
		f->q.hwm.bytes_max = bb_rand_one_in(&f->rand, 2) ? 0 : 1 + bb_rand_below(&f->rand, 9000);
		for (int step = 0; step < 300 && f->model.count < MODEL_MAX / 2; step++) {
			if (bb_rand_one_in(&f->rand, 2))
				step_admit(f);
			else
				step_send(f);
			if (bb_rand_one_in(&f->rand, 10))
				bb_spanq_evacuate(&f->spans, &f->q.unsent, 1 << 20);
		}
		teardown(f);
		free(f);
	}
}

/* A range of count messages of 42 octets, appended. */
static void
append(struct fixture *f, uint32_t count)
{
	const uint32_t buffer = bb_pool_get(&f->pool, BB_POOL_DATA);
	struct bb_span span = { .buffer = buffer, .len = count * 42, .msgs = count & 0x7fffffff };
	uint8_t *p = bb_pool_bytes(&f->pool, buffer);

	for (uint32_t i = 0; i < count; i++) {
		memset(p + i * 42, (int)f->next_id++, 42);
		p[i * 42] = 0;
		p[i * 42 + 1] = 40;
	}
	bb_holds_open(&f->spans.holds, buffer, 1, 0);
	assert_int_equal(bb_sendq_append(&f->spans, &f->q, &span), 0);
	bb_holds_drop(&f->spans.holds, buffer, 1, 0);
}

static void
settle_drops_only_what_the_transport_left_above_the_mark(void **state)
{
	struct fixture *f = malloc(sizeof(*f));
	struct bb_sendq_drops drops = { 0 };

	(void)state;
	setup(f, 1);
	f->q.hwm.msgs_max = 10;
	append(f, 100);
	assert_int_equal(bb_sendq_sent(&f->spans, &f->q, 42 * 95), 95);
	bb_sendq_settle(&f->spans, &f->q, &drops);
	assert_int_equal(drops.hwm_msgs, 0); /* it took enough */
	append(f, 100);
	assert_int_equal(bb_sendq_sent(&f->spans, &f->q, 42 * 5 + 20), 5); /* and begins the next */
	bb_sendq_settle(&f->spans, &f->q, &drops);
	assert_int_equal(drops.hwm_msgs, 90);
	assert_int_equal(drops.bytes, 90 * 42);
	assert_int_equal(f->q.msgs, 10);
	assert_false(bb_sendq_at_border(&f->q));
	assert_int_equal(f->q.unsent.bytes, 10 * 42 - 20);
	teardown(f);
	free(f);
}

static void
a_lowered_mark_drops_nothing_and_admits_nothing_until_below(void **state)
{
	struct fixture *f = malloc(sizeof(*f));
	struct bb_sendq_drops drops = { 0 };

	(void)state;
	setup(f, 1);
	f->q.hwm.msgs_max = 100;
	append(f, 50);
	bb_sendq_settle(&f->spans, &f->q, &drops);
	f->q.hwm.msgs_max = 10;
	append(f, 3);
	bb_sendq_settle(&f->spans, &f->q, &drops);
	assert_int_equal(drops.hwm_msgs, 3);
	assert_int_equal(f->q.msgs, 50);
	bb_sendq_sent(&f->spans, &f->q, 42 * 45);
	append(f, 8);
	bb_sendq_settle(&f->spans, &f->q, &drops);
	assert_int_equal(drops.hwm_msgs, 6);
	assert_int_equal(f->q.msgs, 10);
	teardown(f);
	free(f);
}

static void
an_empty_queue_takes_one_message_above_bytes_max(void **state)
{
	struct fixture *f = malloc(sizeof(*f));
	struct bb_sendq_drops drops = { 0 };

	(void)state;
	setup(f, 1);
	f->q.hwm.bytes_max = 10;
	append(f, 2);
	bb_sendq_settle(&f->spans, &f->q, &drops);
	assert_int_equal(f->q.msgs, 1);
	assert_int_equal(drops.hwm_msgs, 1);
	teardown(f);
	free(f);
}

static void
evacuation_frees_thinly_used_buffers(void **state)
{
	struct fixture *f = malloc(sizeof(*f));

	(void)state;
	setup(f, 1);
	for (int i = 0; i < 40; i++)
		append(f, 1); /* each pins a buffer of its own */
	assert_true(bb_holds_wasteful(&f->spans.holds));
	assert_int_equal(bb_pool_free_count(&f->pool), BUFFERS - 40);
	assert_int_equal(bb_spanq_evacuate(&f->spans, &f->q.unsent, 1 << 20), 40 * 42);
	assert_false(bb_holds_wasteful(&f->spans.holds));
	assert_int_equal(bb_pool_free_count(&f->pool), BUFFERS - 1);
	assert_int_equal(bb_sendq_sent(&f->spans, &f->q, 40 * 42), 40);
	teardown(f);
	free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_walk_agrees_with_a_list_of_messages),
		cmocka_unit_test(settle_drops_only_what_the_transport_left_above_the_mark),
		cmocka_unit_test(a_lowered_mark_drops_nothing_and_admits_nothing_until_below),
		cmocka_unit_test(an_empty_queue_takes_one_message_above_bytes_max),
		cmocka_unit_test(evacuation_frees_thinly_used_buffers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
