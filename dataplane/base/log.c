/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/time.h"

#define LIMITER_LINES 10

static enum bb_log_level log_level = BB_LOG_INFO;

static const char *const level_name[] = {
	[BB_LOG_ERROR] = "ERROR",
	[BB_LOG_WARN] = "WARN",
	[BB_LOG_INFO] = "INFO",
	[BB_LOG_DEBUG] = "DEBUG",
};

void
bb_log_level_set(enum bb_log_level level)
{
	log_level = level;
}

void
bb_log(enum bb_log_level level, const char *id, const char *fmt, ...)
{
	char line[1024];
	va_list args;

	if (level > log_level)
		return;
	size_t len = (size_t)snprintf(line, sizeof(line) - 1, "%s %s ", level_name[level], id);
	va_start(args, fmt);
	int body = vsnprintf(line + len, sizeof(line) - 1 - len, fmt, args);
	va_end(args);
	if (body > 0)
		len += (size_t)body;
	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2; /* cut long lines, keep the line end */
	line[len++] = '\n';
	ssize_t written = write(STDERR_FILENO, line, len);
	(void)written; /* nobody is left to tell */
}

bool
bb_log_limiter_pass(struct bb_log_limiter *l, uint64_t now_ns, uint32_t *ret_swallowed)
{
	if (now_ns - l->window_start_ns >= BB_SEC) {
		l->window_start_ns = now_ns;
		l->lines = 0;
	}
	if (l->lines >= LIMITER_LINES) {
		l->swallowed++;
		return false;
	}
	l->lines++;
	*ret_swallowed = l->swallowed;
	l->swallowed = 0;
	return true;
}
