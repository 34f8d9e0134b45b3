/* SPDX-License-Identifier: BSD-3-Clause */
#include "conf/show.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/compiler.h"
#include "conf/option.h"
#include "conf/value.h"

/* One section being written: where its keys begin, and what has been written of it. */
struct writer {
	FILE *out;
	const char *title; /* printed before the first key: "dataplane:\n", "  - " */
	int indent;	   /* columns before a key */
	bool all, begun;
};

static const char *const section_titles[BB_CONF_SECTION_COUNT] = {
	[BB_CONF_SECTION_NODE] = "node",
	[BB_CONF_SECTION_DATAPLANE] = "dataplane",
	[BB_CONF_SECTION_ENDPOINT] = "endpoints[]",
	[BB_CONF_SECTION_SIDE] = "endpoints[].SIDE",
	[BB_CONF_SECTION_CONTROL] = "control",
};

/* One UTF-8 character of valid text. */
static uint32_t
utf8_next(const unsigned char **p)
{
	const unsigned char first = *(*p)++;
	uint32_t c = first;
	int more = 0;

	if (first >= 0xf0)
		more = 3, c = first & 0x07u;
	else if (first >= 0xe0)
		more = 2, c = first & 0x0fu;
	else if (first >= 0xc0)
		more = 1, c = first & 0x1fu;
	for (; more > 0 && (**p & 0xc0u) == 0x80; more--)
		c = c << 6 | (*(*p)++ & 0x3fu);
	return c;
}

static void
write_quoted(FILE *out, const char *text)
{
	fputc('"', out);
	for (const unsigned char *p = (const unsigned char *)text; *p != '\0';) {
		const uint32_t c = utf8_next(&p);
		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", (char)c);
		else if (c >= 0x20 && c < 0x7f)
			fputc((int)c, out);
		else
			fprintf(out, "\\U%08" PRIx32, c);
	}
	fputc('"', out);
}

/* Texts that YAML could take for something else are quoted. */
static void
write_scalar(FILE *out, const struct bb_conf_option *o, const char *text)
{
	bool plain = text[0] != '\0' && (isalnum((unsigned char)text[0]) || text[0] == '/');

	for (const char *p = text; *p != '\0'; p++)
		plain = plain && (isalnum((unsigned char)*p) || strchr("._-/", *p) != NULL);
	if (o->type == BB_CONF_PATH || o->type == BB_CONF_LISTEN)
		plain = plain || strcmp(text, "null") == 0;
	else if (strcmp(text, "null") == 0)
		plain = false;
	if (plain)
		fputs(text, out);
	else
		write_quoted(out, text);
}

static void
write_addresses(FILE *out, const struct bb_conf_address *list, uint32_t count)
{
	fputc('[', out);
	for (uint32_t i = 0; i < count; i++) {
		if (i > 0)
			fputs(", ", out);
		write_quoted(out, list[i].text);
	}
	fputc(']', out);
}

static void
write_value(struct writer *w, const struct bb_conf_option *o, const void *base)
{
	char text[BB_CONF_VALUE_TEXT_MAX];

	if (o->type == BB_CONF_ADDRESSES)
		write_addresses(w->out,
			*(struct bb_conf_address *const *)(const void *)((const char *)base + o->offset),
			*(const uint32_t *)(const void *)((const char *)base + o->offset2));
	else
		write_scalar(w->out, o, bb_conf_value_format(o, base, text));
}

/* An option is shown if asked for all, or if it differs from its default; an empty list of addresses never
 * is. */
static bool
is_shown(const struct writer *w, const struct bb_conf_option *o, const void *base,
	const struct bb_conf_side_info *side)
{
	const void *field = (const char *)base + o->offset;
	char text[BB_CONF_VALUE_TEXT_MAX];

	if (o->type == BB_CONF_ADDRESSES)
		return *(const uint32_t *)(const void *)((const char *)base + o->offset2) != 0;
	if (w->all || o->text == NULL)
		return true;
	if (side != NULL && o->names == bb_conf_when_full_names) /* its default depends on the side */
		return *(const uint32_t *)field != (uint32_t)__builtin_ctz(side->when_full);
	return strcmp(o->text, bb_conf_value_format(o, base, text)) != 0;
}

static void
write_key(struct writer *w, const char *key, size_t len)
{
	int indent = w->indent;

	if (!w->begun) {
		fputs(w->title, w->out);
		if (w->title[0] != '\0' && w->title[strlen(w->title) - 1] != '\n')
			indent = 0; /* "- " begins the line of the first key */
	}
	w->begun = true;
	fprintf(w->out, "%*s%.*s: ", indent, "", (int)len, key);
}

/* The options of one section; rows that share a group become one map: "heartbeat: { interval: 30s, ... }". */
static void
write_options(struct writer *w, enum bb_conf_section section, const void *base,
	const struct bb_conf_side_info *side)
{
	size_t count, group_len = 0;
	const struct bb_conf_option *options = bb_conf_section_options(section, &count);
	const char *group = NULL;

	for (size_t i = 0; i < count; i++) {
		const struct bb_conf_option *o = &options[i];
		const size_t len = strcspn(o->path, ".");
		if (group != NULL &&
			(o->path[len] != '.' || len != group_len || strncmp(group, o->path, len) != 0)) {
			fputs(" }\n", w->out);
			group = NULL;
		}
		if ((side != NULL && !(o->sides & side->bit)) || !is_shown(w, o, base, side))
			continue;
		if (o->path[len] == '\0') {
			write_key(w, o->path, len);
			write_value(w, o, base);
			fputc('\n', w->out);
			continue;
		}
		if (group == NULL) {
			write_key(w, o->path, len);
			group = o->path;
			group_len = len;
			fputs("{ ", w->out);
		} else {
			fputs(", ", w->out);
		}
		fprintf(w->out, "%s: ", o->path + len + 1);
		write_value(w, o, base);
	}
	if (group != NULL)
		fputs(" }\n", w->out);
}

static void
write_endpoint(FILE *out, const struct bb_conf_endpoint *e, bool all)
{
	const struct bb_conf_pattern_info *info = &bb_conf_patterns[e->pattern];
	struct writer w = { .out = out, .title = "  - ", .indent = 4 };

	w.all = all && e->pattern == BB_CONF_PUBSUB; /* `subscribe` is for no other */
	write_options(&w, BB_CONF_SECTION_ENDPOINT, e, NULL);
	for (unsigned i = 0; i < 2; i++) {
		char title[64];
		snprintf(title, sizeof(title), "    %s:\n", info->sides[i].name);
		struct writer side = { .out = out, .title = title, .indent = 6, .all = all };
		write_options(&side, BB_CONF_SECTION_SIDE, &e->sides[i], &info->sides[i]);
	}
}

void
bb_conf_show(FILE *out, const struct bb_conf *conf, bool all)
{
	struct writer node = { .out = out, .title = "node:\n", .indent = 2, .all = all };
	struct writer plane = { .out = out, .title = "dataplane:\n", .indent = 2, .all = all };
	struct writer control = { .out = out, .title = "control:\n", .indent = 2, .all = all };

	write_options(&node, BB_CONF_SECTION_NODE, &conf->node, NULL);
	write_options(&plane, BB_CONF_SECTION_DATAPLANE, &conf->dataplane, NULL);
	fputs(conf->endpoint_count == 0 ? "endpoints: []\n" : "endpoints:\n", out);
	for (uint32_t i = 0; i < conf->endpoint_count; i++)
		write_endpoint(out, &conf->endpoints[i], all);
	write_options(&control, BB_CONF_SECTION_CONTROL, &conf->control, NULL);
}

static const char *
type_text(const struct bb_conf_option *o, char out[128])
{
	static const char *const plain[] = {
		[BB_CONF_BOOL] = "true|false",
		[BB_CONF_COUNT] = "number",
		[BB_CONF_DURATION] = "duration",
		[BB_CONF_SIZE] = "size",
		[BB_CONF_SIZE_AUTO] = "size or auto",
		[BB_CONF_TEXT] = "text",
		[BB_CONF_NAME] = "name",
		[BB_CONF_PATH] = "path",
		[BB_CONF_CPUS] = "CPU list",
		[BB_CONF_ADDRESSES] = "addresses",
		[BB_CONF_LISTEN] = "host:port",
	};
	size_t len = 0;

	if (o->type != BB_CONF_ENUM)
		return plain[o->type];
	for (size_t i = 0; o->names[i] != NULL; i++)
		len += (size_t)snprintf(out + len, 128 - len, "%s%s", i == 0 ? "" : "|", o->names[i]);
	return out;
}

static const char *
range_text(const struct bb_conf_option *o, char out[80])
{
	char min[32], max[32];

	out[0] = '\0';
	if (o->type == BB_CONF_DURATION)
		snprintf(out, 80, "%s..%s", bb_conf_duration_format(o->min, min),
			bb_conf_duration_format(o->max, max));
	else if (o->type == BB_CONF_SIZE || o->type == BB_CONF_SIZE_AUTO)
		snprintf(out, 80, "%s..%s", bb_conf_size_format(o->min, min),
			bb_conf_size_format(o->max, max));
	else if (o->type == BB_CONF_COUNT)
		snprintf(out, 80, "%" PRIu64 "..%" PRIu64, o->min, o->max);
	else if (o->type == BB_CONF_TEXT || o->type == BB_CONF_NAME)
		snprintf(out, 80, "%" PRIu64 "..%" PRIu64 " characters", o->min, o->max);
	else if (o->type == BB_CONF_ADDRESSES)
		snprintf(out, 80, "up to %" PRIu64, o->max);
	return out;
}

static const char *
default_text(const struct bb_conf_option *o)
{
	if (o->text == NULL)
		return "(required)";
	if (o->names == bb_conf_when_full_names)
		return "by side";
	return o->text[0] == '\0' ? "empty" : o->text;
}

/* Which sides have a row: "subscribers", or nothing when all have it. */
static const char *
sides_text(const struct bb_conf_option *o, char out[128])
{
	size_t len = 0;

	out[0] = '\0';
	if (o->section != BB_CONF_SECTION_SIDE || o->sides == BB_CONF_ALL_SIDES)
		return out;
	for (size_t p = 0; p < BB_CONF_PATTERN_COUNT; p++)
		for (size_t i = 0; i < 2; i++)
			if (o->sides & bb_conf_patterns[p].sides[i].bit)
				len += (size_t)snprintf(out + len, 128 - len, "%s%s", len == 0 ? "" : ", ",
					bb_conf_patterns[p].sides[i].name);
	return out;
}

static void
show_key(FILE *out, const struct bb_conf_option *o, bool markdown)
{
	char type[128], range[80], sides[128];

	range_text(o, range);
	sides_text(o, sides);
	if (markdown) {
		fprintf(out, "| `%s` | ", o->path);
		for (const char *p = type_text(o, type); *p != '\0'; p++) /* a bar would end the cell */
			fprintf(out, *p == '|' ? "\\|" : "%c", *p);
		fprintf(out, " | %s | %s | %s%s%s%s |\n", default_text(o), range, o->help,
			sides[0] != '\0' ? " (" : "", sides, sides[0] != '\0' ? " only)" : "");
		return;
	}
	fprintf(out, "  %-20s %s, default %s%s%s\n", o->path, type_text(o, type), default_text(o),
		range[0] != '\0' ? ", " : "", range);
	fprintf(out, "  %-20s %s%s%s%s\n", "", o->help, sides[0] != '\0' ? " (" : "", sides,
		sides[0] != '\0' ? " only)" : "");
}

void
bb_conf_show_keys(FILE *out, bool markdown)
{
	for (int section = 0; section < BB_CONF_SECTION_COUNT; section++) {
		size_t count;
		const struct bb_conf_option *options = bb_conf_section_options(section, &count);
		if (section > 0)
			fputc('\n', out);
		fprintf(out,
			markdown ? "## `%s`\n\n| key | type | default | range | meaning "
				   "|\n|---|---|---|---|---|\n"
				 : "%s\n",
			section_titles[section]);
		for (size_t i = 0; i < count; i++)
			show_key(out, &options[i], markdown);
	}
	if (!markdown) {
		fputs("\nSIDE by pattern:", out);
		for (size_t p = 0; p < BB_CONF_PATTERN_COUNT; p++)
			fprintf(out, "%s %s has %s and %s", p == 0 ? "" : ";", bb_conf_patterns[p].name,
				bb_conf_patterns[p].sides[0].name, bb_conf_patterns[p].sides[1].name);
		fputc('\n', out);
	}
}
