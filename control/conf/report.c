/* SPDX-License-Identifier: BSD-3-Clause */
#include "conf/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WORD_MAX 31

void
bb_conf_report(struct bb_conf_report *report, int line, const char *fmt, ...)
{
	struct bb_conf_errors *errors = report->errors;
	struct bb_conf_quoted file;
	va_list args;

	if (bb_conf_report_full(report))
		return;
	char *out = errors->line[errors->count++];
	int len = snprintf(out, BB_CONF_ERROR_MAX, "%s:%d: ", bb_conf_quote(&file, report->file), line);
	va_start(args, fmt);
	vsnprintf(out + len, BB_CONF_ERROR_MAX - (size_t)len, fmt, args);
	va_end(args);
}

bool
bb_conf_report_full(const struct bb_conf_report *report)
{
	return report->errors->count >= BB_CONF_ERRORS_MAX;
}

const char *
bb_conf_quote(struct bb_conf_quoted *q, const char *text)
{
	const size_t room = sizeof(q->text) - sizeof("...");
	size_t len = 0;

	for (; text[len] != '\0' && len < room; len++) {
		const unsigned char c = (unsigned char)text[len];
		q->text[len] = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	q->text[len] = '\0';
	if (text[len] != '\0') {
		while (len > 0 && ((unsigned char)q->text[len - 1] & 0xc0) == 0x80)
			len--; /* do not cut a UTF-8 character in two */
		if (len > 0 && ((unsigned char)q->text[len - 1] & 0x80) != 0)
			len--;
		memcpy(q->text + len, "...", sizeof("..."));
	}
	return q->text;
}

static unsigned
min3(unsigned a, unsigned b, unsigned c)
{
	const unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

unsigned
bb_conf_distance(const char *a, const char *b)
{
	const size_t a_len = strnlen(a, WORD_MAX + 1), b_len = strnlen(b, WORD_MAX + 1);
	unsigned rows[3][WORD_MAX + 1];

	if (a_len > WORD_MAX || b_len > WORD_MAX)
		return WORD_MAX + 1;
	for (unsigned j = 0; j <= b_len; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			const unsigned differs = a[i - 1] != b[j - 1];
			row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + differs);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
				above2[j - 2] + 1 < row[j])
				row[j] = above2[j - 2] + 1;
		}
	}
	return rows[a_len % 3][b_len];
}

bool
bb_conf_near(const char *given, const char *known, unsigned *best)
{
	const unsigned distance = bb_conf_distance(given, known);

	if (distance >= *best || distance > 1 + strlen(known) / 4)
		return false;
	*best = distance;
	return true;
}
