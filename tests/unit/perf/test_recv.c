/* SPDX-License-Identifier: BSD-3-Clause */
/* The scanner of busbar-bench: octets in any pieces, commands between frames, wrong lengths, envelopes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rand.h"
#include "bench/bench.h"

#define RUN 99
#define STREAM_MAX (1u << 20)

volatile sig_atomic_t bb_interrupted;

static struct bb_opts opts;
static struct bb_bench bench;
static int peer_fd; /* the other end of the link under test */

/* A bench whose only receiving link of interest is ready and joined to peer_fd. */
static struct bb_link *
begin(enum bb_pattern pattern, bool client, uint64_t size, uint32_t frames)
{
	int fds[2];

	opts = (struct bb_opts){
		.pattern = pattern,
		.in = { .present = true, .count = 1, .type = "DEALER" },
		.out = { .present = true, .count = 1, .type = "PULL" },
		.size = size,
		.frames = frames,
		.window = 1,
		.run_id = RUN,
		.max_loss = -1,
		.cpu = -1,
	};
	assert_int_equal(bb_bench_init(&bench, &opts), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	struct bb_link *l = &bench.links[client ? 0 : 1];
	l->fd = fds[0];
	peer_fd = fds[1];
	l->state = BB_LINK_READY;
	l->events = EPOLLIN;
	struct epoll_event ev = { .events = EPOLLIN };
	assert_int_equal(epoll_ctl(bench.epoll_fd, EPOLL_CTL_ADD, l->fd, &ev), 0);
	return l;
}

static int
teardown(void **state)
{
	(void)state;
	bb_bench_fini(&bench);
	close(peer_fd);
	return 0;
}

/* Message seq as the sender would write it, with size octets in each of its frames. */
static size_t
message_put(
	uint8_t *p, uint64_t seq, uint64_t size, uint32_t frames, const char *envelope, size_t envelope_len)
{
	const uint64_t who = RUN;
	uint8_t *const from = p;

	memcpy(p, envelope, envelope_len);
	p += envelope_len;
	for (uint32_t f = 0; f < frames; f++) {
		p += bb_wire_head_put(p, f + 1 < frames ? BB_WIRE_MORE : 0, size);
		memset(p, 'x', size);
		if (f == 0 && size >= BB_STAMP_ORDER) {
			memcpy(p, &who, 8);
			memcpy(p + 8, &seq, 8);
		}
		p += size;
	}
	return (size_t)(p - from);
}

/* Feed n octets in pieces of at most max, as the socket would: what is not taken comes again in front. */
static int64_t
feed(struct bb_link *l, const uint8_t *p, size_t n, struct bb_rand *r, uint32_t max)
{
	static uint8_t window[STREAM_MAX + 64];
	size_t kept = 0, i = 0;

	while (i < n) {
		const size_t piece = bb_min_u64(1 + bb_rand_below(r, max), n - i);

		memcpy(window + kept, p + i, piece);
		const int64_t took = bb_recv_scan(&bench, l, window, kept + piece);
		if (took < 0)
			return took;
		i += piece;
		kept += piece - (size_t)took;
		assert_true(kept <= BB_STASH_BYTES);
		memmove(window, window + took, kept);
	}
	return 0;
}

static void
whole_stream_in_any_pieces(uint64_t size, uint32_t frames)
{
	static uint8_t stream[STREAM_MAX];
	static const uint32_t pieces[] = { 1, 3, 50, 700, 60000 };

	for (size_t k = 0; k < sizeof(pieces) / sizeof(pieces[0]); k++) {
		struct bb_rand r;
		struct bb_link *l = begin(BB_PIPELINE, false, size, frames);
		const uint64_t count = bb_min_u64(300, 400000 / ((size + 9) * frames));
		size_t n = 0;

		bb_rand_init(&r, k);
		for (uint64_t i = 0; i < count; i++)
			n += message_put(stream + n, i, size, frames, "", 0);
		assert_int_equal(feed(l, stream, n, &r, pieces[k]), 0);
		assert_int_equal(bench.check.received, count);
		assert_int_equal(bench.check.bad, 0);
		assert_int_equal(bench.check.disorder, 0);
		assert_int_equal(bench.check.dup, 0);
		assert_int_equal(bb_check_lost(&bench.check, (uint64_t[]){ count }), 0);
		teardown(NULL);
	}
}

static void
messages_of_any_length_survive_any_split(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 15, 16, 23, 24, 40, 255, 256, 8193, 70000 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		whole_stream_in_any_pieces(sizes[i], 1);
		whole_stream_in_any_pieces(sizes[i], 3);
	}
}

static void
a_ping_between_frames_is_answered_and_the_message_stays_whole(void **state)
{
	static uint8_t stream[4096];
	uint8_t pong[64], answer[64];
	struct bb_rand r;
	struct bb_link *l = begin(BB_PIPELINE, false, 40, 2);

	(void)state;
	bb_rand_init(&r, 3);
	size_t n = message_put(stream, 0, 40, 2, "", 0);
	memmove(stream + 42 + 12, stream + 42, 42);
	memcpy(stream + 42, "\x04\x0a\x04PING\0\0abc", 12);
	n += 12;
	n += message_put(stream + n, 1, 40, 2, "", 0);
	assert_int_equal(feed(l, stream, n, &r, 5), 0);
	assert_int_equal(bench.check.received, 2);
	assert_int_equal(bench.check.bad, 0);
	const size_t want = bb_wire_pong_put(pong, "abc", 3);
	assert_int_equal(read(peer_fd, answer, sizeof(answer)), want);
	assert_memory_equal(answer, pong, want);
}

static void
a_wrong_length_or_frame_count_is_bad_and_the_next_message_is_good(void **state)
{
	static uint8_t stream[4096];
	struct bb_rand r;
	struct bb_link *l = begin(BB_PIPELINE, false, 40, 1);
	size_t n = 0;

	(void)state;
	bb_rand_init(&r, 4);
	n += message_put(stream + n, 0, 40, 1, "", 0);
	n += message_put(stream + n, 1, 41, 1, "", 0);
	n += message_put(stream + n, 2, 40, 2, "", 0);
	n += message_put(stream + n, 3, 40, 1, "", 0);
	assert_int_equal(feed(l, stream, n, &r, 4096), 0);
	assert_int_equal(bench.check.bad, 2);
	assert_int_equal(bench.check.received, 2);
	assert_int_equal(bb_check_lost(&bench.check, (uint64_t[]){ 4 }), 2);
}

static void
a_broken_frame_head_is_an_error(void **state)
{
	struct bb_rand r;
	struct bb_link *l = begin(BB_PIPELINE, false, 40, 1);

	(void)state;
	bb_rand_init(&r, 5);
	assert_true(feed(l, (const uint8_t *)"\xff\x28xxxx", 6, &r, 6) < 0);
}

static void
a_client_takes_replies_behind_their_delimiter(void **state)
{
	static uint8_t stream[8192];
	struct bb_rand r;
	struct bb_link *l = begin(BB_REQREP, true, 40, 1);
	size_t n = 0;

	(void)state;
	bb_rand_init(&r, 6);
	for (uint64_t i = 0; i < 100; i++)
		n += message_put(stream + n, i, 40, 1, "\x01\x00", 2);
	assert_int_equal(feed(l, stream, n, &r, 100), 0);
	assert_int_equal(bench.check.received, 100);
	assert_int_equal(l->answered, 100);
	assert_int_equal(bench.check.bad, 0);
}

static void
a_worker_sends_requests_back_octet_for_octet_with_pongs_between_frames(void **state)
{
	static uint8_t stream[65536], want[65536], got[65536];
	struct bb_rand r;
	uint8_t pong[16];
	struct bb_link *l = begin(BB_REQREP, false, 40, 2);
	const size_t pong_len = bb_wire_pong_put(pong, "", 0);
	size_t n = 0, m = 0;

	(void)state;
	assert_int_equal(l->kind, BB_LINK_WORKER);
	bb_rand_init(&r, 7);
	for (uint64_t i = 0; i < 200; i++) {
		const size_t len = message_put(stream + n, i, 40, 2, "\x01\x05\0abcd\x01\x00", 9);

		memcpy(want + m, stream + n, len);
		n += len;
		m += len;
		if (i % 7 == 0) {
			n += bb_wire_ping_put(stream + n);
			memcpy(want + m, pong, pong_len);
			m += pong_len;
		}
	}
	assert_int_equal(feed(l, stream, n, &r, 90), 0);
	assert_int_equal(bench.worker_check.received, 200);
	assert_int_equal(bench.worker_check.disorder, 0);
	/* What the socket did not take at once is in the link's buffer. */
	size_t have = 0;
	for (ssize_t rc; (rc = read(peer_fd, got + have, sizeof(got) - have)) > 0;) {
		have += (size_t)rc;
		assert_true(bb_link_flush(l) >= 0);
	}
	assert_int_equal(have, m);
	assert_memory_equal(got, want, m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_of_any_length_survive_any_split),
		cmocka_unit_test_teardown(
			a_ping_between_frames_is_answered_and_the_message_stays_whole, teardown),
		cmocka_unit_test_teardown(
			a_wrong_length_or_frame_count_is_bad_and_the_next_message_is_good, teardown),
		cmocka_unit_test_teardown(a_broken_frame_head_is_an_error, teardown),
		cmocka_unit_test_teardown(a_client_takes_replies_behind_their_delimiter, teardown),
		cmocka_unit_test_teardown(
			a_worker_sends_requests_back_octet_for_octet_with_pongs_between_frames, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
