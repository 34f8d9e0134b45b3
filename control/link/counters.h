/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * counters: reads the segment of include/abi/counters.h that the data plane writes. Its header is checked
 * once, when it is mapped; the words behind it change all the time and are read one by one, whole.
 *
 * Thread: control's only one.
 */
#ifndef BB_LINK_COUNTERS_H
#define BB_LINK_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/counters.h"

struct bb_counters_view {
	const uint8_t *base; /* NULL: closed */
	uint64_t bytes;
	struct bb_counters_header header; /* as it was when mapped; sessions_used is read anew */
};

/* Map bytes of fd, which stays the caller's. 0, -EPROTO for what is no such segment, or what mmap() says. */
int bb_counters_view_open(struct bb_counters_view *v, int fd, uint64_t bytes);

/* Harmless when closed. */
void bb_counters_view_close(struct bb_counters_view *v);

/* One row's words; row < loop_count. */
void bb_counters_view_loop(
	const struct bb_counters_view *v, uint32_t row, uint64_t ret[BB_LOOP_COUNTER_COUNT]);

/* Sums over all cores for one side; all zero for a side that the segment has no rows for. */
void bb_counters_view_io_side(
	const struct bb_counters_view *v, uint32_t side, uint64_t ret[BB_IO_COUNTER_COUNT]);
void bb_counters_view_router_side(
	const struct bb_counters_view *v, uint32_t side, uint64_t ret[BB_ROUTER_COUNTER_COUNT]);

/*
 * Walk the live sessions. *cursor is 0 at first; each call returns true with the next session, or false when
 * there are no more. A session that changed in each of several attempts is left out of this walk. *ret_cursor
 * (which may be cursor) resumes behind it.
 */
bool bb_counters_view_session(const struct bb_counters_view *v, uint64_t *cursor, struct bb_session_row *ret);

/* Let go of the memory that walking brought in; the next access fetches it again. */
void bb_counters_view_rest(const struct bb_counters_view *v);

/* A counter as users see it, from the tables of the ABI. */
struct bb_counter_info {
	const char *name, *unit, *help;
	bool gauge;
};

extern const struct bb_counter_info bb_loop_counter_info[BB_LOOP_COUNTER_COUNT];
extern const struct bb_counter_info bb_io_counter_info[BB_IO_COUNTER_COUNT];
extern const struct bb_counter_info bb_router_counter_info[BB_ROUTER_COUNTER_COUNT];
extern const struct bb_counter_info bb_session_counter_info[BB_SESSION_COUNTER_COUNT];

/* "SUB" for a session row's socket_type (the numbers of the ZeroMQ API); "?" for none. */
const char *bb_socket_type_name(uint8_t type);

/* "ready" for enum bb_session_state; "?" for none. */
const char *bb_session_state_name(uint8_t state);

#endif
