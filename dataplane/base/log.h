/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * log: one line per event on standard error, "LEVEL ID key=value ...".
 *
 * The id is stable: scripts and alerts match on it. Messages are key=value pairs; values with
 * blanks are quoted by the caller. Library code returns errors and its caller logs, once.
 *
 * I/O and router cores count rather than log. What they do log goes through a limiter: at most
 * burst lines per second and limiter; the first line after a pause reports what was swallowed.
 *
 * Thread: any. A line is written by one write(2), so lines of several threads do not mix.
 */
#ifndef BB_BASE_LOG_H
#define BB_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

enum bb_log_level {
	BB_LOG_ERROR,
	BB_LOG_WARN,
	BB_LOG_INFO,
	BB_LOG_DEBUG,
};

/* Lines above this level are dropped; BB_LOG_INFO at start. Set before threads start. */
void bb_log_level_set(enum bb_log_level level);

void bb_log(enum bb_log_level level, const char *id, const char *fmt, ...) BB_PRINTF(3, 4);

#define bb_log_error(id, ...) bb_log(BB_LOG_ERROR, id, __VA_ARGS__)
#define bb_log_warn(id, ...) bb_log(BB_LOG_WARN, id, __VA_ARGS__)
#define bb_log_info(id, ...) bb_log(BB_LOG_INFO, id, __VA_ARGS__)
#define bb_log_debug(id, ...) bb_log(BB_LOG_DEBUG, id, __VA_ARGS__)

/* Owner: the actor it lies in. Zeroed is ready. */
struct bb_log_limiter {
	uint64_t window_start_ns;
	uint32_t lines;	    /* in the current window */
	uint32_t swallowed; /* since the last line that went out */
};

/*
 * True if a line may go out now; then *ret_swallowed says how many did not since the last one.
 * At most 10 lines per second.
 */
bool bb_log_limiter_pass(struct bb_log_limiter *l, uint64_t now_ns, uint32_t *ret_swallowed);

#endif
