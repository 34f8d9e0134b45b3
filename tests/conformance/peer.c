/* SPDX-License-Identifier: BSD-3-Clause */
#include "peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>
#include <sys/uio.h>

#include "base/compiler.h"

#define PERIOD 65521u /* prime: no offset by a buffer's size looks right */
#define PIECES 100

bool peer_in_call;

/* The pattern twice, so that any piece up to a period is contiguous. It never changes: transports may keep
 * pieces. */
static const uint8_t *
pattern(void)
{
	static uint8_t octets[2 * PERIOD];
	static bool made;

	if (!made) {
		struct bb_rand r;
		bb_rand_init(&r, 42);
		for (size_t i = 0; i < PERIOD; i++)
			octets[i] = octets[i + PERIOD] = (uint8_t)bb_rand_u64(&r);
		made = true;
	}
	return octets;
}

static void
on_event(struct bb_stream *s, enum bb_stream_event event, uint64_t arg)
{
	struct conf_peer *p = s->user;

	assert_false(peer_in_call);
	assert_ptr_equal(p->s, s);
	assert_int_equal(p->closed, 0); /* nothing follows CLOSED */
	switch (event) {
	case BB_STREAM_CONNECTED:
		p->connected++;
		break;
	case BB_STREAM_READABLE:
		p->readable++;
		p->may_read = true;
		break;
	case BB_STREAM_TX_ROOM:
		assert_true(p->blocked); /* only after a push that took less */
		p->rooms++;
		p->blocked = false;
		break;
	case BB_STREAM_TX_RELEASED:
		assert_false(s->flags & BB_STREAM_COPIES);
		p->tx_released += arg;
		assert_true(p->tx_released <= p->tx_taken);
		break;
	case BB_STREAM_CLOSED:
		assert_true(arg < BB_STREAM_REASON_COUNT);
		p->closed++;
		p->reason = (enum bb_stream_reason)arg;
		break;
	}
}

void
peer_init(struct conf_peer *p, struct bb_stream *s, uint64_t seed)
{
	*p = (struct conf_peer){ .s = s, .reads = true, .view_max = 61440, .piece_max = 3000 };
	bb_rand_init(&p->rand, seed);
	s->user = p;
	s->on_event = on_event;
}

size_t
peer_view(struct conf_peer *p, size_t view_max)
{
	struct iovec iov[8];
	size_t len = 0;

	peer_in_call = true;
	const size_t n = bb_stream_rx_view(p->s, iov, BB_ARRAY_LEN(iov), view_max);
	peer_in_call = false;
	assert_true(n <= BB_ARRAY_LEN(iov));
	for (size_t i = 0; i < n; i++) {
		assert_true(iov[i].iov_len > 0 && iov[i].iov_len <= PERIOD);
		const uint8_t *want = pattern() + (p->rx_octets + len) % PERIOD;
		assert_int_equal(memcmp(iov[i].iov_base, want, iov[i].iov_len), 0);
		len += iov[i].iov_len;
	}
	assert_true(len <= view_max);
	p->may_read = (p->s->flags & BB_STREAM_RX_MORE) != 0;
	p->ended = (p->s->flags & BB_STREAM_RX_END) != 0;
	assert_false(p->may_read && p->ended);
	return len;
}

void
peer_consume(struct conf_peer *p, size_t n)
{
	peer_in_call = true;
	bb_stream_rx_consume(p->s, n);
	peer_in_call = false;
	p->rx_octets += n;
}

static bool
peer_read(struct conf_peer *p)
{
	if (!p->reads || !p->may_read || p->closed > 0)
		return false;
	const bool had_ended = p->ended;
	const size_t len = peer_view(p, p->view_max);
	size_t used = len;
	if (p->consumes_randomly && !p->ended && len < p->view_max)
		used = bb_rand_below(&p->rand, (uint32_t)len + 1);
	peer_consume(p, used);
	return used > 0 || p->may_read || p->ended != had_ended;
}

static ssize_t
push(struct conf_peer *p, const struct iovec *iov, size_t count, size_t bytes)
{
	peer_in_call = true;
	const ssize_t n = bb_stream_tx_push(p->s, iov, count);
	peer_in_call = false;
	if (n < 0) {
		p->tx_error = (int)-n;
		return n;
	}
	assert_true((size_t)n <= bytes);
	p->blocked = (size_t)n < bytes;
	assert_int_equal(p->blocked, (p->s->flags & BB_STREAM_TX_BLOCKED) != 0);
	p->tx_taken += (size_t)n;
	return n;
}

size_t
peer_push(struct conf_peer *p, size_t n)
{
	const struct iovec iov = { (void *)(uintptr_t)(pattern() + p->tx_taken % PERIOD), n };

	assert_true(n <= PERIOD);
	const ssize_t got = push(p, &iov, 1, n);
	return got > 0 ? (size_t)got : 0;
}

/* Pieces of every size, empty ones too, small and large mixed. */
static bool
peer_write(struct conf_peer *p)
{
	struct iovec iov[PIECES];
	size_t count = 0, bytes = 0;

	if (p->blocked || p->tx_error != 0 || p->closed > 0 || p->tx_taken == p->tx_total)
		return false;
	while (count < PIECES && p->tx_taken + bytes < p->tx_total) {
		const uint32_t max = bb_rand_one_in(&p->rand, 4) ? p->piece_max : 1 + p->piece_max / 64;
		const size_t len = bb_min_u64(
			bb_rand_below(&p->rand, max + 1), p->tx_total - p->tx_taken - bytes);
		iov[count++] = (struct iovec){
			(void *)(uintptr_t)(pattern() + (p->tx_taken + bytes) % PERIOD),
			len,
		};
		bytes += len;
	}
	return push(p, iov, count, bytes) > 0;
}

bool
peer_work(struct conf_peer *p)
{
	const bool moved = peer_read(p) | peer_write(p);

	if (p->finish && !p->finished && p->closed == 0 && p->tx_taken == p->tx_total) {
		peer_in_call = true;
		bb_stream_finish(p->s);
		peer_in_call = false;
		p->finished = true;
		return true;
	}
	return moved;
}

void
peer_destroy(struct conf_peer *p)
{
	peer_in_call = true;
	if (p->s != NULL)
		bb_stream_destroy(p->s);
	peer_in_call = false;
	p->s = NULL;
}
