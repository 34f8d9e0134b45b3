/* SPDX-License-Identifier: BSD-3-Clause */
/* report: collects the error lines of one reading. Text of the user is quoted so that no line breaks or lies.
 */
#ifndef BB_CONF_REPORT_H
#define BB_CONF_REPORT_H

#include <stdbool.h>

#include "base/compiler.h"
#include "conf/conf.h"

struct bb_conf_report {
	const char *file;
	struct bb_conf_errors *errors;
};

/* Add "FILE:LINE: " and the rest. Lines beyond BB_CONF_ERRORS_MAX are dropped. */
void bb_conf_report(struct bb_conf_report *report, int line, const char *fmt, ...) BB_PRINTF(3, 4);

/* No room for another line: the reading may stop. */
bool bb_conf_report_full(const struct bb_conf_report *report);

/* Room for one quoted text. */
struct bb_conf_quoted {
	char text[72];
};

/* The text with control characters replaced, cut with "..." when long. Returns q->text. */
const char *bb_conf_quote(struct bb_conf_quoted *q, const char *text);

/*
 * How alike two keys are: the fewest letters to insert, delete, replace or swap with a neighbour. Texts above
 * 31 octets count as unlike everything.
 */
unsigned bb_conf_distance(const char *a, const char *b);

/* Near enough to be what the user meant. */
bool bb_conf_near(const char *given, const char *known, unsigned *best);

#endif
