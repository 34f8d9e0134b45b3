/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/text.h"

#include <stdarg.h>
#include <stdio.h>

int
bb_text_fail(struct bb_text *t, int error, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(t->s, sizeof(t->s), fmt, args);
	va_end(args);
	return error;
}

char *
bb_text_clean(char *s)
{
	for (char *p = s; *p != '\0'; p++) {
		if (*p == '"')
			*p = '\'';
		else if ((unsigned char)*p < ' ')
			*p = ' ';
	}
	return s;
}
