/* SPDX-License-Identifier: BSD-3-Clause */
/* batch and pool: what is written is what is read, in order, and every buffer comes back. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rand.h"
#include "msg/batch.h"

#define BUFFERS 16

struct fixture {
	struct bb_pool pool;
	struct bb_batch_writer w;
	uint8_t *bytes;
	struct bb_buffer headers[BUFFERS];
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->bytes = aligned_alloc(BB_CACHE_LINE, (size_t)BUFFERS * BB_BUFFER_BYTES);
	bb_pool_init(&f->pool, f->bytes, f->headers, BUFFERS, 2);
	bb_batch_writer_init(&f->w, &f->pool, 1);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	bb_batch_writer_fini(&f->w);
	bb_pool_fini(&f->pool);
	free(f->bytes);
	free(f);
	return 0;
}

static void
random_runs_are_read_as_they_were_written(void **state)
{
	struct fixture *f = *state;
	struct bb_rand rand;
	struct {
		uint32_t session, len;
	} log[2000];
	uint32_t written = 0, read = 0;

	bb_rand_init(&rand, 7);
	while (written < 2000) {
		const uint32_t len = bb_rand_below(&rand, 400);
		const uint32_t session = 1 + bb_rand_below(&rand, 3);
		struct bb_slice slice;
		if (!bb_rand_one_in(&rand, 12) &&
			bb_batch_reserve(&f->w, BB_POOL_DATA, len, BB_RUN_WORDS + 1) == 0) {
			bb_batch_run(&f->w, BB_RUN_MSGS, session, 4);
			memset(bb_batch_tail(&f->w), (int)written, len);
			const struct bb_desc d = { .len = len, .topic_len = written };
			bb_batch_entry(&f->w, &d, 1, len);
			log[written].session = session;
			log[written].len = len;
			written++;
			continue;
		}
		if (!bb_batch_slice(&f->w, &slice))
			continue;
		if (bb_rand_one_in(&rand, 4)) { /* the ring was full: nothing may be added before it is out */
			bb_batch_refused(&f->w);
			assert_int_equal(bb_batch_reserve(&f->w, BB_POOL_DATA, 1, 1), -EAGAIN);
			assert_true(bb_batch_slice(&f->w, &slice));
		}
		bb_batch_published(&f->w);
		assert_int_equal(slice.bytes_offset % BB_CACHE_LINE, 0);
		assert_int_equal(slice.words_end % BB_CACHE_LINE, 0);

		struct bb_batch_reader r;
		const struct bb_run *run;
		bb_batch_reader_init(&r, &f->pool, &slice);
		while ((run = bb_batch_read(&r, BB_RUN_WORDS)) != NULL) {
			assert_int_equal(run->kind, BB_RUN_MSGS);
			assert_int_equal(run->side, 4);
			for (uint32_t i = 0; i < run->count; i++, read++) {
				const struct bb_desc *d = bb_batch_read(&r, 1);
				assert_int_equal(run->session, log[read].session);
				assert_int_equal(d->len, log[read].len);
				assert_int_equal(d->topic_len, read);
				for (uint32_t b = 0; b < d->len; b++)
					assert_int_equal(r.base[r.bytes + b], (uint8_t)read);
				r.bytes += d->len;
			}
		}
		bb_pool_put(&f->pool, slice.buffer, 1);
		assert_int_equal(read, written);
	}
}

static void
data_leaves_the_reserve_to_control(void **state)
{
	struct fixture *f = *state;
	uint32_t taken[BUFFERS + 1], n = 0;

	while ((taken[n] = bb_pool_get(&f->pool, BB_POOL_DATA)) != BB_BUFFER_NONE)
		n++;
	assert_int_equal(n, BUFFERS - 2);
	while ((taken[n] = bb_pool_get(&f->pool, BB_POOL_CONTROL)) != BB_BUFFER_NONE)
		n++;
	assert_int_equal(n, BUFFERS);
	while (n > 0)
		bb_pool_put(&f->pool, taken[--n], 1);
}

static void
the_last_put_of_a_head_returns_its_chain(void **state)
{
	struct fixture *f = *state;
	const uint32_t head = bb_pool_get(&f->pool, BB_POOL_DATA);
	uint32_t tail = head;

	for (int i = 0; i < 5; i++) {
		const uint32_t next = bb_pool_get(&f->pool, BB_POOL_DATA);
		f->pool.buffers[tail].next = next;
		f->pool.buffers[tail].used = BB_BUFFER_BYTES;
		tail = next;
	}
	f->pool.buffers[tail].used = 17;
	assert_int_equal(bb_pool_chain_bytes(&f->pool, head), 5 * BB_BUFFER_BYTES + 17);
	bb_pool_hold(&f->pool, head, 2);
	bb_pool_put(&f->pool, head, 1);
	assert_int_equal(bb_pool_free_count(&f->pool), BUFFERS - 6);
	bb_pool_put(&f->pool, head, 2);
	assert_int_equal(bb_pool_free_count(&f->pool), BUFFERS);
}

static void
discarding_a_slice_returns_its_chains(void **state)
{
	struct fixture *f = *state;
	const uint32_t head = bb_pool_get(&f->pool, BB_POOL_DATA);
	const uint64_t words[2] = { 0, head };
	const uint64_t scope = 3;
	struct bb_slice slice;

	assert_int_equal(bb_batch_reserve(&f->w, BB_POOL_DATA, 0, 16), 0);
	bb_batch_run(&f->w, BB_RUN_GONE, 9, 0);
	bb_batch_entry(&f->w, NULL, 0, 0);
	bb_batch_run(&f->w, BB_RUN_CHAIN, 9, 0);
	bb_batch_entry(&f->w, words, 2, 0);
	bb_batch_run(&f->w, BB_RUN_END, 0, 0);
	bb_batch_entry(&f->w, &scope, 1, 0);
	assert_true(bb_batch_slice(&f->w, &slice));
	bb_batch_published(&f->w);
	bb_batch_discard(&f->pool, &slice);
	assert_int_equal(bb_pool_free_count(&f->pool), BUFFERS - 1); /* the open buffer */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(random_runs_are_read_as_they_were_written, setup, teardown),
		cmocka_unit_test_setup_teardown(data_leaves_the_reserve_to_control, setup, teardown),
		cmocka_unit_test_setup_teardown(the_last_put_of_a_head_returns_its_chain, setup, teardown),
		cmocka_unit_test_setup_teardown(discarding_a_slice_returns_its_chains, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
