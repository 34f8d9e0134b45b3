/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * text: the one line that says what is wrong, where, and the way out. Start-up fills it where it knows most;
 * the agent hands it to control.
 */
#ifndef BB_ENGINE_TEXT_H
#define BB_ENGINE_TEXT_H

#include "abi/command.h"
#include "base/compiler.h"

struct bb_text {
	char s[BB_CMD_TEXT_MAX]; /* always terminated; what is too long is cut */
};

/* Set the text; returns error, so that a caller may `return bb_text_fail(text, -EINVAL, "...")`. */
int bb_text_fail(struct bb_text *t, int error, const char *fmt, ...) BB_PRINTF(3, 4);

/* For log lines, whose quoted values may not hold quotes or line ends: replaced in place. Returns s. */
char *bb_text_clean(char *s);

#endif
