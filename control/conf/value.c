/* SPDX-License-Identifier: BSD-3-Clause */
#include "conf/value.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/compiler.h"
#include "base/time.h"
#include "conf/report.h"

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit duration_units[] = {
	{ "h", 3600 * BB_SEC },
	{ "m", 60 * BB_SEC },
	{ "s", BB_SEC },
	{ "ms", BB_MSEC },
	{ "us", BB_USEC },
	{ "ns", 1 },
	{ NULL, 0 },
};

static const struct unit size_units[] = {
	{ "TiB", UINT64_C(1) << 40 },
	{ "GiB", UINT64_C(1) << 30 },
	{ "MiB", UINT64_C(1) << 20 },
	{ "KiB", UINT64_C(1) << 10 },
	{ "B", 1 },
	{ NULL, 0 },
};

/* What people write and what they mean. */
static const struct {
	const char *written, *unit;
} unit_near[] = {
	{ "k", "KiB" },
	{ "kb", "KiB" },
	{ "kib", "KiB" },
	{ "m", "MiB" },
	{ "mb", "MiB" },
	{ "mib", "MiB" },
	{ "g", "GiB" },
	{ "gb", "GiB" },
	{ "gib", "GiB" },
	{ "t", "TiB" },
	{ "tb", "TiB" },
	{ "tib", "TiB" },
	{ "byte", "B" },
	{ "bytes", "B" },
	{ "sec", "s" },
	{ "secs", "s" },
	{ "second", "s" },
	{ "seconds", "s" },
	{ "min", "m" },
	{ "mins", "m" },
	{ "minute", "m" },
	{ "minutes", "m" },
	{ "hour", "h" },
	{ "hours", "h" },
	{ "msec", "ms" },
	{ "usec", "us" },
	{ "nsec", "ns" },
};

static int why_set(char why[BB_CONF_WHY_MAX], const char *fmt, ...) BB_PRINTF(2, 3);

static int
why_set(char why[BB_CONF_WHY_MAX], const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, BB_CONF_WHY_MAX, fmt, args);
	va_end(args);
	return -EINVAL;
}

static const char *
units_format(uint64_t value, const struct unit *units, char out[32])
{
	const struct unit *u = units;

	if (value == 0)
		return strcpy(out, "0");
	while (value % u->factor != 0 || strcmp(u->name, "m") == 0) /* 60s reads better than 1m beside 30s */
		u++;
	snprintf(out, 32, "%" PRIu64 "%s", value / u->factor, u->name);
	return out;
}

const char *
bb_conf_size_format(uint64_t bytes, char out[32])
{
	return units_format(bytes, size_units, out);
}

const char *
bb_conf_duration_format(uint64_t ns, char out[32])
{
	return units_format(ns, duration_units, out);
}

static const char *
number_format(const struct bb_conf_option *o, uint64_t value, char out[32])
{
	if (o->type == BB_CONF_DURATION)
		return bb_conf_duration_format(value, out);
	if (o->type == BB_CONF_SIZE || o->type == BB_CONF_SIZE_AUTO)
		return bb_conf_size_format(value, out);
	snprintf(out, 32, "%" PRIu64, value);
	return out;
}

static int
number_check_range(const struct bb_conf_option *o, uint64_t value, char why[BB_CONF_WHY_MAX])
{
	char a[32], b[32], c[32];

	if (value >= o->min && value <= o->max)
		return 0;
	return why_set(why, "%s is out of range: from %s to %s", number_format(o, value, a),
		number_format(o, o->min, b), number_format(o, o->max, c));
}

/* Digits at the beginning of text; *ret_rest is what follows. -EINVAL without digits, -ERANGE above 2^64 - 1.
 */
static int
parse_digits(const char *text, uint64_t *ret, const char **ret_rest)
{
	uint64_t value = 0;
	bool over = false;
	const char *p = text;

	for (; isdigit((unsigned char)*p); p++)
		over |= __builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(*p - '0'), &value);
	if (p == text)
		return -EINVAL;
	*ret = value;
	*ret_rest = p;
	return over ? -ERANGE : 0;
}

static int
unit_refuse(const char *text, const struct unit *units, const char *given, char why[BB_CONF_WHY_MAX])
{
	struct bb_conf_quoted q;
	const bool is_size = units == size_units;
	const int digits = (int)(given - text);

	for (size_t i = 0; i < BB_ARRAY_LEN(unit_near); i++)
		for (const struct unit *u = units; u->name != NULL; u++)
			if (strcasecmp(given, unit_near[i].written) == 0 &&
				strcmp(u->name, unit_near[i].unit) == 0)
				return why_set(why, "unknown unit in %s: write %.*s%s",
					bb_conf_quote(&q, text), digits > 20 ? 20 : digits, text, u->name);
	if (*given == '\0' && is_size)
		return why_set(why, "size without a unit: write %sB, %sKiB, %sMiB or %sGiB",
			bb_conf_quote(&q, text), q.text, q.text, q.text);
	if (*given == '\0')
		return why_set(why, "duration without a unit: write %sms, %ss or %sm",
			bb_conf_quote(&q, text), q.text, q.text);
	return why_set(why, "%s is not a %s: write a whole number and %s", bb_conf_quote(&q, text),
		is_size ? "size" : "duration", is_size ? "B, KiB, MiB, GiB or TiB" : "ns, us, ms, s, m or h");
}

static int
parse_number(const struct bb_conf_option *o, const char *text, uint64_t *ret, char why[BB_CONF_WHY_MAX])
{
	const struct unit *units = o->type == BB_CONF_DURATION ? duration_units : size_units;
	struct bb_conf_quoted q;
	uint64_t value;
	const char *rest;

	int r = parse_digits(text, &value, &rest);
	if (r == -EINVAL) {
		const char *what = o->type == BB_CONF_COUNT	 ? "a whole number"
				   : o->type == BB_CONF_DURATION ? "a duration such as 30s or 100ms"
				   : o->type == BB_CONF_SIZE	 ? "a size such as 64MiB"
								 : "auto or a size such as 256KiB";
		return why_set(why, "\"%s\" is wrong: write %s", bb_conf_quote(&q, text), what);
	}
	if (o->type == BB_CONF_COUNT) {
		if (*rest != '\0')
			return why_set(why, "\"%s\" is not a whole number: write digits only",
				bb_conf_quote(&q, text));
	} else if (value != 0 || *rest != '\0') { /* 0 needs no unit */
		const struct unit *u = units;
		while (u->name != NULL && strcmp(u->name, rest) != 0)
			u++;
		if (u->name == NULL)
			return unit_refuse(text, units, rest, why);
		if (__builtin_mul_overflow(value, u->factor, &value))
			r = -ERANGE;
	}
	if (r == -ERANGE) {
		char a[32], b[32];
		return why_set(why, "%s is out of range: from %s to %s", bb_conf_quote(&q, text),
			number_format(o, o->min, a), number_format(o, o->max, b));
	}
	r = number_check_range(o, value, why);
	if (r == 0)
		*ret = value;
	return r;
}

static int
parse_enum(const struct bb_conf_option *o, const char *text, uint32_t *ret, char why[BB_CONF_WHY_MAX])
{
	struct bb_conf_quoted q;
	char choices[128] = "";

	for (uint32_t i = 0; o->names[i] != NULL; i++) {
		if (strcmp(o->names[i], text) == 0) {
			*ret = i;
			return 0;
		}
		const size_t len = strlen(choices);
		snprintf(choices + len, sizeof(choices) - len, "%s%s",
			i == 0			  ? ""
			: o->names[i + 1] == NULL ? " or "
						  : ", ",
			o->names[i]);
	}
	return why_set(why, "\"%s\" is not a choice: write %s", bb_conf_quote(&q, text), choices);
}

static int
parse_cpus(const char *text, struct bb_conf_cpus *ret, char why[BB_CONF_WHY_MAX])
{
	struct bb_conf_cpus cpus = { .count = 0 };
	struct bb_conf_quoted q;
	const char *p = text;

	if (strcmp(text, "auto") == 0) {
		*ret = cpus;
		return 0;
	}
	for (;;) {
		uint64_t first, last;
		if (parse_digits(p, &first, &p) < 0)
			goto bad;
		last = first;
		if (*p == '-' && parse_digits(p + 1, &last, &p) < 0)
			goto bad;
		if (last < first)
			goto bad;
		if (last >= BB_CONF_CPUS_MAX)
			return why_set(why, "CPU %" PRIu64 " is out of range: CPUs are numbered from 0 to %d",
				last, BB_CONF_CPUS_MAX - 1);
		for (uint64_t cpu = first; cpu <= last; cpu++) {
			if (cpus.bits[cpu / 64] >> (cpu % 64) & 1)
				return why_set(
					why, "CPU %" PRIu64 " is listed twice: list each CPU once", cpu);
			cpus.bits[cpu / 64] |= UINT64_C(1) << (cpu % 64);
			cpus.count++;
		}
		if (*p == '\0')
			break;
		if (*p++ != ',')
			goto bad;
	}
	*ret = cpus;
	return 0;
bad:
	return why_set(why, "\"%s\" is not a CPU list: write auto or numbers and ranges as in \"2-3,6\"",
		bb_conf_quote(&q, text));
}

static int
parse_text(const struct bb_conf_option *o, const char *text, char *ret, char why[BB_CONF_WHY_MAX])
{
	const size_t len = strlen(text);
	struct bb_conf_quoted q;

	if (o->type == BB_CONF_PATH && strcmp(text, "null") == 0) {
		ret[0] = '\0';
		return 0;
	}
	if (len < o->min || len > o->max)
		return why_set(why, "%zu characters are %s: from %" PRIu64 " to %" PRIu64, len,
			len < o->min ? "too few" : "too many", o->min, o->max);
	for (const char *p = text; *p != '\0' && o->type == BB_CONF_NAME; p++)
		if (!isalnum((unsigned char)*p) && strchr("._-", *p) == NULL)
			return why_set(why, "bad name \"%s\": use letters, digits, . _ and -",
				bb_conf_quote(&q, text));
	if (o->type == BB_CONF_PATH && text[0] != '/')
		return why_set(why, "\"%s\" is not an absolute path: begin with /", bb_conf_quote(&q, text));
	memcpy(ret, text, len + 1);
	return 0;
}

static int
parse_listen(const char *text, struct bb_conf_address *ret, char why[BB_CONF_WHY_MAX])
{
	struct bb_conf_address a = { .kind = BB_ADDRESS_NONE };
	struct bb_conf_quoted q;
	const char *reason;

	if (strcmp(text, "null") == 0) {
		*ret = a;
		return 0;
	}
	if (bb_conf_address_parse_literal(&a, text, &reason) < 0)
		return why_set(why, "\"%s\": %s", bb_conf_quote(&q, text), reason);
	if (!bb_conf_address_loopback(&a)) /* whoever reaches it may read everything */
		return why_set(why,
			"%s is not a loopback address: the API has no passwords, write 127.0.0.1:%u",
			bb_conf_quote(&q, text), a.port);
	*ret = a;
	return 0;
}

int
bb_conf_value_parse(const struct bb_conf_option *o, const char *text, void *base, char why[BB_CONF_WHY_MAX])
{
	void *field = (char *)base + o->offset;
	struct bb_conf_quoted q;

	switch ((enum bb_conf_type)o->type) {
	case BB_CONF_BOOL:
		if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
			return why_set(
				why, "\"%s\" is not a choice: write true or false", bb_conf_quote(&q, text));
		*(bool *)field = text[0] == 't';
		return 0;
	case BB_CONF_SIZE_AUTO:
		if (strcmp(text, "auto") == 0) {
			*(uint64_t *)field = 0;
			return 0;
		}
		return parse_number(o, text, field, why);
	case BB_CONF_COUNT:
	case BB_CONF_DURATION:
	case BB_CONF_SIZE:
		return parse_number(o, text, field, why);
	case BB_CONF_ENUM:
		return parse_enum(o, text, field, why);
	case BB_CONF_TEXT:
	case BB_CONF_NAME:
	case BB_CONF_PATH:
		return parse_text(o, text, field, why);
	case BB_CONF_CPUS:
		return parse_cpus(text, field, why);
	case BB_CONF_LISTEN:
		return parse_listen(text, field, why);
	case BB_CONF_ADDRESSES:
		break;
	}
	BB_ASSERT(!"addresses are read as a list");
	return -EINVAL;
}

static const char *
cpus_format(const struct bb_conf_cpus *cpus, char out[BB_CONF_VALUE_TEXT_MAX])
{
	size_t len = 0;

	if (cpus->count == 0)
		return strcpy(out, "auto");
	for (unsigned cpu = 0; cpu < BB_CONF_CPUS_MAX; cpu++) {
		unsigned last = cpu;
		if (!(cpus->bits[cpu / 64] >> (cpu % 64) & 1))
			continue;
		while (last + 1 < BB_CONF_CPUS_MAX && (cpus->bits[(last + 1) / 64] >> ((last + 1) % 64) & 1))
			last++;
		const char *comma = len == 0 ? "" : ",";
		if (last == cpu)
			len += (size_t)snprintf(out + len, BB_CONF_VALUE_TEXT_MAX - len, "%s%u", comma, cpu);
		else
			len += (size_t)snprintf(
				out + len, BB_CONF_VALUE_TEXT_MAX - len, "%s%u-%u", comma, cpu, last);
		cpu = last;
	}
	return out;
}

const char *
bb_conf_value_format(const struct bb_conf_option *o, const void *base, char out[BB_CONF_VALUE_TEXT_MAX])
{
	const void *field = (const char *)base + o->offset;

	switch ((enum bb_conf_type)o->type) {
	case BB_CONF_BOOL:
		return strcpy(out, *(const bool *)field ? "true" : "false");
	case BB_CONF_SIZE_AUTO:
		if (*(const uint64_t *)field == 0)
			return strcpy(out, "auto");
		return number_format(o, *(const uint64_t *)field, out);
	case BB_CONF_COUNT:
	case BB_CONF_DURATION:
	case BB_CONF_SIZE:
		return number_format(o, *(const uint64_t *)field, out);
	case BB_CONF_ENUM:
		return strcpy(out, o->names[*(const uint32_t *)field]);
	case BB_CONF_PATH:
		return strcpy(out, *(const char *)field == '\0' ? "null" : (const char *)field);
	case BB_CONF_TEXT:
	case BB_CONF_NAME:
		return strcpy(out, field);
	case BB_CONF_CPUS:
		return cpus_format(field, out);
	case BB_CONF_LISTEN: {
		const struct bb_conf_address *a = field;
		return strcpy(out, a->kind == BB_ADDRESS_NONE ? "null" : a->text + sizeof("tcp://") - 1);
	}
	case BB_CONF_ADDRESSES:
		break;
	}
	BB_ASSERT(!"addresses are shown as a list");
	return out;
}
