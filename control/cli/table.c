/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/table.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
bb_table_init(struct bb_table *t, const char *const *heads)
{
	*t = (struct bb_table){ .heads = heads };
	while (heads[t->columns] != NULL)
		t->columns++;
}

void
bb_table_fini(struct bb_table *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct bb_table){ .heads = NULL };
}

void
bb_table_add(struct bb_table *t, const char *fmt, ...)
{
	va_list args;

	if (t->count == t->room) {
		const size_t room = t->room == 0 ? 64 : 2 * t->room;
		char **p = realloc(t->cells, room * sizeof(*p));
		if (p == NULL) {
			t->failed = true;
			return;
		}
		t->cells = p;
		t->room = room;
	}
	va_start(args, fmt);
	char *cell;
	if (vasprintf(&cell, fmt, args) < 0) {
		cell = NULL;
		t->failed = true;
	}
	va_end(args);
	t->cells[t->count++] = cell;
}

size_t
bb_format_width(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static const char *
cell_text(const struct bb_table *t, size_t i)
{
	return t->cells[i] != NULL ? t->cells[i] : "";
}

/* Blanks are owed until something follows them: no line ends with one. */
static void
print_cell(const char *text, size_t width, bool right, size_t *owed)
{
	const size_t len = bb_format_width(text), pad = len < width ? width - len : 0;

	if (right)
		*owed += pad;
	if (len > 0) {
		printf("%*s%s", (int)*owed, "", text);
		*owed = 0;
	}
	if (!right)
		*owed += pad;
}

void
bb_table_print(const struct bb_table *t, const char *nothing)
{
	size_t widths[BB_TABLE_COLUMNS_MAX] = { 0 };
	const size_t rows = t->count / t->columns;

	if (rows == 0) {
		puts(nothing);
		return;
	}
	for (size_t i = 0; i < rows * t->columns; i++) {
		const size_t width = bb_format_width(cell_text(t, i));
		if (width > widths[i % t->columns])
			widths[i % t->columns] = width;
	}
	for (size_t c = 0; c < t->columns; c++) {
		if (widths[c] == 0)
			continue;
		const size_t head = strlen(t->heads[c] + (t->heads[c][0] == '>'));
		widths[c] = widths[c] > head ? widths[c] : head;
	}
	for (size_t row = 0; row <= rows; row++) {
		size_t owed = 0;
		bool begun = false;
		for (size_t c = 0; c < t->columns; c++) {
			const bool right = t->heads[c][0] == '>';
			if (widths[c] == 0)
				continue;
			if (begun)
				owed += 2;
			begun = true;
			print_cell(row == 0 ? t->heads[c] + right : cell_text(t, (row - 1) * t->columns + c),
				widths[c], right, &owed);
		}
		putchar('\n');
	}
	if (t->failed)
		puts("(not enough memory: rows are missing)");
}

const char *
bb_format_count(uint64_t n, char out[32])
{
	static const char units[] = "MGTPE";
	double value = (double)n / 1e6;
	size_t unit = 0;

	if (n < 10000000) {
		snprintf(out, 32, "%" PRIu64, n);
		return out;
	}
	for (; value >= 999.95 && units[unit + 1] != '\0'; unit++)
		value /= 1000;
	snprintf(out, 32, "%.*f%c", value < 99.95 ? 2 : 1, value, units[unit]);
	return out;
}

const char *
bb_format_bytes(uint64_t n, char out[32])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)n;
	size_t unit = 0;

	for (; value >= 1023.95 && unit + 1 < BB_ARRAY_LEN(units); unit++)
		value /= 1024;
	snprintf(out, 32, "%.*f %s", unit == 0 || value >= 99.95 ? 0 : 1, value, units[unit]);
	return out;
}

const char *
bb_format_seconds(double s, char out[32])
{
	const uint64_t whole = s > 0 ? (uint64_t)s : 0;

	if (s < 9.95)
		snprintf(out, 32, "%.1fs", s > 0 ? s : 0.0);
	else if (whole < 60)
		snprintf(out, 32, "%" PRIu64 "s", whole);
	else if (whole < 3600)
		snprintf(out, 32, "%" PRIu64 "m%02" PRIu64 "s", whole / 60, whole % 60);
	else if (whole < 86400)
		snprintf(out, 32, "%" PRIu64 "h%02" PRIu64 "m", whole / 3600, whole / 60 % 60);
	else
		snprintf(out, 32, "%" PRIu64 "d%02" PRIu64 "h", whole / 86400, whole / 3600 % 24);
	return out;
}
