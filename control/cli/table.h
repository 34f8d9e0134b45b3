/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * table: aligned columns for people. Cells are collected and then printed as wide as their widest one,
 * numbers to the right. A column that is empty in every row is left out.
 */
#ifndef BB_CLI_TABLE_H
#define BB_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define BB_TABLE_COLUMNS_MAX 12

struct bb_table {
	const char *const *heads; /* ended by NULL; one that begins with '>' is a column of numbers */
	size_t columns;
	char **cells;
	size_t count, room;
	bool failed; /* out of memory: rows are missing */
};

void bb_table_init(struct bb_table *t, const char *const *heads);
void bb_table_fini(struct bb_table *t);

/* The next cell, row by row. */
void bb_table_add(struct bb_table *t, const char *fmt, ...) BB_PRINTF(2, 3);

/* Print to standard output; says so when there are no rows. */
void bb_table_print(const struct bb_table *t, const char *nothing);

/* "1234567" -> "1234567"; from ten million on "12.3M". Return out. */
const char *bb_format_count(uint64_t n, char out[32]);
const char *bb_format_bytes(uint64_t n, char out[32]); /* "1.5 MiB" */
const char *bb_format_seconds(double s, char out[32]); /* "0.3s", "42s", "3h12m", "5d04h" */

/* Characters, not octets, of UTF-8 text: what it takes on a terminal, nearly. */
size_t bb_format_width(const char *text);

#endif
