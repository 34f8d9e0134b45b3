/* SPDX-License-Identifier: BSD-3-Clause */
#include "link/counters.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/compiler.h"

#define CORES_MAX BB_ARRAY_LEN(((struct bb_counters_header *)0)->sessions_used)
#define ATTEMPTS 100 /* to read a session's row while it is being changed */

#define GAUGE_C false
#define GAUGE_G true
#define INFO(ID, NAME, UNIT, KIND, HELP) \
	{ .name = (NAME), .unit = (UNIT), .help = (HELP), .gauge = GAUGE_##KIND },
const struct bb_counter_info bb_loop_counter_info[] = { BB_LOOP_COUNTERS(INFO) };
const struct bb_counter_info bb_io_counter_info[] = { BB_IO_SIDE_COUNTERS(INFO) };
const struct bb_counter_info bb_router_counter_info[] = { BB_ROUTER_SIDE_COUNTERS(INFO) };
const struct bb_counter_info bb_session_counter_info[] = { BB_SESSION_COUNTERS(INFO) };

/* count rows of row_bytes at offset lie within the segment, aligned, and are at least as long as we know
 * them. */
static bool
table_fits(
	const struct bb_counters_view *v, uint64_t offset, uint64_t count, uint64_t row_bytes, uint64_t known)
{
	uint64_t size;

	if (row_bytes < known || row_bytes % 8 != 0 || offset % 8 != 0 || offset > v->bytes)
		return false;
	return !__builtin_mul_overflow(count, row_bytes, &size) && size <= v->bytes - offset;
}

static bool
header_valid(const struct bb_counters_view *v)
{
	const struct bb_counters_header *h = &v->header;

	return h->magic == BB_COUNTERS_MAGIC && h->version == BB_COUNTERS_VERSION && h->bytes <= v->bytes &&
	       h->io_count <= CORES_MAX && h->router_count <= CORES_MAX &&
	       table_fits(v, h->loops, h->loop_count, h->loop_row_bytes, sizeof(struct bb_loop_row)) &&
	       table_fits(v, h->io_sides, (uint64_t)h->io_count * h->side_count, h->io_side_row_bytes,
		       sizeof(struct bb_io_side_row)) &&
	       table_fits(v, h->router_sides, (uint64_t)h->router_count * h->side_count,
		       h->router_side_row_bytes, sizeof(struct bb_router_side_row)) &&
	       table_fits(v, h->sessions, (uint64_t)h->io_count * h->session_count, h->session_row_bytes,
		       sizeof(struct bb_session_row));
}

int
bb_counters_view_open(struct bb_counters_view *v, int fd, uint64_t bytes)
{
	struct stat st;

	*v = (struct bb_counters_view){ .base = NULL };
	if (fstat(fd, &st) < 0)
		return -errno;
	/* Beyond the end of the file a read would be a SIGBUS. */
	if (bytes < sizeof(v->header) || (uint64_t)st.st_size < bytes)
		return -EPROTO;
	void *p = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	v->base = p;
	v->bytes = bytes;
	memcpy(&v->header, v->base, sizeof(v->header));
	if (!header_valid(v)) {
		bb_counters_view_close(v);
		return -EPROTO;
	}
	return 0;
}

void
bb_counters_view_close(struct bb_counters_view *v)
{
	if (v->base != NULL)
		munmap((void *)(uintptr_t)v->base, v->bytes);
	*v = (struct bb_counters_view){ .base = NULL };
}

static const uint64_t *
row_words(const struct bb_counters_view *v, uint64_t table, uint64_t row, uint64_t row_bytes)
{
	return (const uint64_t *)(const void *)(v->base + table + row * row_bytes);
}

static uint64_t
load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

void
bb_counters_view_loop(const struct bb_counters_view *v, uint32_t row, uint64_t ret[BB_LOOP_COUNTER_COUNT])
{
	const uint64_t *words = row_words(v, v->header.loops, row, v->header.loop_row_bytes);

	for (size_t i = 0; i < BB_LOOP_COUNTER_COUNT; i++)
		ret[i] = load(&words[i]);
}

void
bb_counters_view_io_side(const struct bb_counters_view *v, uint32_t side, uint64_t ret[BB_IO_COUNTER_COUNT])
{
	const struct bb_counters_header *h = &v->header;

	memset(ret, 0, BB_IO_COUNTER_COUNT * sizeof(ret[0]));
	for (uint64_t io = 0; io < h->io_count && side < h->side_count; io++) {
		const uint64_t *words = row_words(
			v, h->io_sides, io * h->side_count + side, h->io_side_row_bytes);
		for (size_t i = 0; i < BB_IO_COUNTER_COUNT; i++)
			ret[i] += load(&words[i]);
	}
}

void
bb_counters_view_router_side(
	const struct bb_counters_view *v, uint32_t side, uint64_t ret[BB_ROUTER_COUNTER_COUNT])
{
	const struct bb_counters_header *h = &v->header;

	memset(ret, 0, BB_ROUTER_COUNTER_COUNT * sizeof(ret[0]));
	for (uint64_t router = 0; router < h->router_count && side < h->side_count; router++) {
		const uint64_t *words = row_words(
			v, h->router_sides, router * h->side_count + side, h->router_side_row_bytes);
		for (size_t i = 0; i < BB_ROUTER_COUNTER_COUNT; i++)
			ret[i] += load(&words[i]);
	}
}

/* Copy a row under its sequence lock. False if the slot is free or kept changing. */
static bool
copy_session(const uint64_t *words, struct bb_session_row *ret)
{
	uint64_t copy[sizeof(*ret) / sizeof(uint64_t)];
	const size_t seq_word = offsetof(struct bb_session_row, seq) / sizeof(uint64_t);

	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		/* acquire: what follows is read after the first look at seq; pairs with the writer's release
		 */
		const uint64_t before = __atomic_load_n(&words[seq_word], __ATOMIC_ACQUIRE);
		if (before & 1)
			continue;
		for (size_t i = 0; i < BB_ARRAY_LEN(copy); i++)
			copy[i] = load(&words[i]);
		/* acquire: and before the second look */
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (load(&words[seq_word]) != before)
			continue;
		memcpy(ret, copy, sizeof(*ret));
		ret->address[sizeof(ret->address) - 1] = '\0';
		if (ret->id_len > sizeof(ret->id))
			ret->id_len = sizeof(ret->id);
		return ret->handle != 0;
	}
	return false;
}

bool
bb_counters_view_session(const struct bb_counters_view *v, uint64_t *cursor, struct bb_session_row *ret)
{
	const struct bb_counters_header *h = &v->header;
	const struct bb_counters_header *live = (const struct bb_counters_header *)(const void *)v->base;
	uint64_t io = *cursor >> 32, slot = (uint32_t)*cursor;

	for (; io < h->io_count; io++, slot = 0) {
		const uint64_t used = bb_min_u64(load(&live->sessions_used[io]), h->session_count);
		while (slot < used) {
			const uint64_t row = io * h->session_count + slot++;
			if (copy_session(row_words(v, h->sessions, row, h->session_row_bytes), ret)) {
				*cursor = io << 32 | slot;
				return true;
			}
		}
	}
	*cursor = io << 32;
	return false;
}

void
bb_counters_view_rest(const struct bb_counters_view *v)
{
	if (v->base != NULL)
		madvise((void *)(uintptr_t)v->base, v->bytes, MADV_DONTNEED);
}

const char *
bb_socket_type_name(uint8_t type)
{
	static const char *const names[] = { "PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL",
		"PUSH", "XPUB", "XSUB" };

	return type < BB_ARRAY_LEN(names) ? names[type] : "?";
}

const char *
bb_session_state_name(uint8_t state)
{
	static const char *const names[] = {
		[BB_SESSION_STATE_NONE] = "none",
		[BB_SESSION_STATE_CONNECTING] = "connecting",
		[BB_SESSION_STATE_GREETING] = "greeting",
		[BB_SESSION_STATE_HANDSHAKE] = "handshake",
		[BB_SESSION_STATE_READY] = "ready",
		[BB_SESSION_STATE_DRAINING] = "draining",
		[BB_SESSION_STATE_CLOSING] = "closing",
	};

	return state < BB_ARRAY_LEN(names) ? names[state] : "?";
}
