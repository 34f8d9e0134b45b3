/* SPDX-License-Identifier: BSD-3-Clause */
#include "conf/section.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/compiler.h"
#include "conf/value.h"

/* Keys that have a meaning in the design of the product, but no effect in this version. */
static const struct {
	const char *key, *why;
} later[] = {
	{ "ipc_mode", "ipc_mode has no effect: transport ipc is not built in, remove the key" },
	{ "mandatory", "mandatory has no effect: pattern exchange is not built in, remove the key" },
	{ "reuseport", "reuseport is not built in: remove the key" },
};

void
bb_conf_walk_init(struct bb_conf_walk *s, enum bb_conf_section kind, void *base, const char *where)
{
	*s = (struct bb_conf_walk){ .kind = kind, .base = base, .where = where };
	s->options = bb_conf_section_options(kind, &s->option_count);
	bb_conf_defaults(kind, base);
}

static uint64_t *
section_set(const struct bb_conf_walk *s)
{
	switch (s->kind) {
	case BB_CONF_SECTION_NODE:
		return &((struct bb_conf_node *)s->base)->set;
	case BB_CONF_SECTION_DATAPLANE:
		return &((struct bb_conf_dataplane *)s->base)->set;
	case BB_CONF_SECTION_ENDPOINT:
		return &((struct bb_conf_endpoint *)s->base)->set;
	case BB_CONF_SECTION_SIDE:
		return &((struct bb_conf_side *)s->base)->set;
	case BB_CONF_SECTION_CONTROL:
		return &((struct bb_conf_control *)s->base)->set;
	case BB_CONF_SECTION_COUNT:
		break;
	}
	BB_ASSERT(!"no such section");
	return NULL;
}

bool
bb_conf_expect(struct bb_conf_reader *r, uint32_t node, enum bb_conf_node_type type, const char *what,
	const char *example)
{
	const struct bb_conf_tree_node *n = bb_conf_tree_node(&r->tree, node);

	if (n->type == type)
		return true;
	bb_conf_report(&r->report, n->line, "%s is %s: write %s", what,
		bb_conf_tree_type_name(&r->tree, node), example);
	return false;
}

static void
read_address(struct bb_conf_reader *r, const struct bb_conf_walk *s, const struct bb_conf_option *o,
	uint32_t node, struct bb_conf_address *list, uint32_t *count)
{
	const enum bb_address_use use = strcmp(o->path, "bind") == 0 ? BB_ADDRESS_BIND : BB_ADDRESS_CONNECT;
	const struct bb_conf_tree_node *n = bb_conf_tree_node(&r->tree, node);
	struct bb_conf_quoted q;
	const char *why;

	if (n->type != BB_CONF_SCALAR) {
		bb_conf_report(&r->report, n->line, "%s: %s contains %s: write [\"tcp://HOST:PORT\", ...]",
			s->where, o->path, bb_conf_tree_type_name(&r->tree, node));
		return;
	}
	const char *text = bb_conf_tree_text(&r->tree, node);
	if (bb_conf_address_parse(&list[*count], text, use, &why) < 0) {
		bb_conf_report(&r->report, n->line, "%s: \"%s\": %s", s->where, bb_conf_quote(&q, text), why);
		return;
	}
	list[(*count)++].line = n->line;
}

/* A list of addresses, or one alone. */
static void
read_addresses(
	struct bb_conf_reader *r, const struct bb_conf_walk *s, const struct bb_conf_option *o, uint32_t node)
{
	const struct bb_conf_tree_node *n = bb_conf_tree_node(&r->tree, node);
	struct bb_conf_address **list = (void *)((char *)s->base + o->offset);
	uint32_t *count = (void *)((char *)s->base + o->offset2);
	uint32_t given = 0;

	if (bb_conf_tree_null(&r->tree, node))
		return;
	if (n->type == BB_CONF_LIST)
		for (uint32_t i = n->first; i != 0; i = bb_conf_tree_node(&r->tree, i)->next)
			given++;
	else
		given = 1;
	if (given > o->max) {
		bb_conf_report(&r->report, n->line, "%s: %s lists %u addresses: at most %u", s->where,
			o->path, given, (unsigned)o->max);
		return;
	}
	if (given == 0)
		return;
	*list = calloc(given, sizeof(**list));
	if (*list == NULL) {
		r->no_memory = true;
		return;
	}
	if (n->type != BB_CONF_LIST) {
		read_address(r, s, o, node, *list, count);
		return;
	}
	for (uint32_t i = n->first; i != 0; i = bb_conf_tree_node(&r->tree, i)->next)
		read_address(r, s, o, i, *list, count);
}

static void
read_value(
	struct bb_conf_reader *r, const struct bb_conf_walk *s, const struct bb_conf_option *o, uint32_t node)
{
	const struct bb_conf_tree_node *n = bb_conf_tree_node(&r->tree, node);
	char why[BB_CONF_WHY_MAX];

	if (o->type == BB_CONF_ADDRESSES) {
		read_addresses(r, s, o, node);
		return;
	}
	if (n->type != BB_CONF_SCALAR) {
		bb_conf_report(&r->report, n->line, "%s: %s is %s: write %s: VALUE", s->where, o->path,
			bb_conf_tree_type_name(&r->tree, node), o->path);
		return;
	}
	const char *text = bb_conf_tree_text(&r->tree, node);
	if (bb_conf_tree_null(&r->tree, node)) {
		const bool may_be_null = o->type == BB_CONF_PATH || o->type == BB_CONF_LISTEN;
		if (!may_be_null) {
			bb_conf_report(&r->report, n->line,
				"%s: %s has no value: write one, or remove the key", s->where, o->path);
			return;
		}
		text = "null";
	}
	if (bb_conf_value_parse(o, text, s->base, why) < 0)
		bb_conf_report(&r->report, n->line, "%s: %s: %s", s->where, o->path, why);
}

static bool
option_applies(const struct bb_conf_walk *s, const struct bb_conf_option *o)
{
	return s->kind != BB_CONF_SECTION_SIDE || (o->sides & s->side_bit) != 0;
}

static void
report_unknown(
	struct bb_conf_reader *r, const struct bb_conf_walk *s, const char *prefix, const char *key, int line)
{
	const char *near = NULL;
	unsigned best = 4;
	struct bb_conf_quoted q;
	const size_t prefix_len = strlen(prefix);

	for (size_t i = 0; i < BB_ARRAY_LEN(later); i++)
		if (s->kind == BB_CONF_SECTION_SIDE && prefix_len == 0 && strcmp(later[i].key, key) == 0) {
			bb_conf_report(&r->report, line, "%s: %s", s->where, later[i].why);
			return;
		}
	for (size_t i = 0; i < s->option_count; i++) {
		const struct bb_conf_option *o = &s->options[i];
		if (!option_applies(s, o) || strncmp(o->path, prefix, prefix_len) != 0)
			continue;
		char word[32];
		snprintf(word, sizeof(word), "%s", o->path + prefix_len);
		word[strcspn(word, ".")] = '\0';
		if (bb_conf_near(key, word, &best))
			near = o->path + prefix_len;
	}
	for (size_t i = 0; i < BB_ARRAY_LEN(s->extra); i++)
		if (s->extra[i] != NULL && prefix_len == 0 && bb_conf_near(key, s->extra[i], &best))
			near = s->extra[i];
	if (near != NULL)
		bb_conf_report(&r->report, line, "%s: unknown key \"%s%s\": did you mean %s%.*s?", s->where,
			prefix, bb_conf_quote(&q, key), prefix, (int)strcspn(near, "."), near);
	else
		bb_conf_report(&r->report, line,
			"%s: unknown key \"%s%s\": `busbar config keys` lists what can be set", s->where,
			prefix, bb_conf_quote(&q, key));
}

static void
report_wrong_side(
	struct bb_conf_reader *r, const struct bb_conf_walk *s, const struct bb_conf_option *o, int line)
{
	char names[128] = "";

	for (size_t p = 0; p < BB_CONF_PATTERN_COUNT; p++)
		for (size_t i = 0; i < 2; i++) {
			const struct bb_conf_side_info *side = &bb_conf_patterns[p].sides[i];
			const size_t len = strlen(names);
			if (o->sides & side->bit)
				snprintf(names + len, sizeof(names) - len, "%s%s", len == 0 ? "" : " and ",
					side->name);
		}
	bb_conf_report(
		&r->report, line, "%s: %s has no effect here: only %s have it", s->where, o->path, names);
}

/* One key of a section's map. True if it is known, whatever its value. */
static bool
read_key(struct bb_conf_reader *r, struct bb_conf_walk *s, const char *prefix, const char *key, int line,
	uint32_t value)
{
	char path[64];

	for (size_t i = 0; i < BB_ARRAY_LEN(s->extra) && prefix[0] == '\0'; i++) {
		if (s->extra[i] == NULL || strcmp(s->extra[i], key) != 0)
			continue;
		if (s->extra_node[i] != 0)
			bb_conf_report(&r->report, line, "%s: %s is given twice: keep one", s->where, key);
		s->extra_node[i] = value;
		return true;
	}
	const size_t len = (size_t)snprintf(path, sizeof(path), "%s%s", prefix, key);
	if (len >= sizeof(path) - 1)
		return false;
	for (size_t i = 0; i < s->option_count; i++) {
		const struct bb_conf_option *o = &s->options[i];
		if (strncmp(o->path, path, len) != 0)
			continue;
		if (o->path[len] == '.') { /* a group: its map has the rest of the path */
			memcpy(path + len, ".", 2);
			if (bb_conf_expect(r, value, BB_CONF_MAP, key, "{ key: value, ... }"))
				bb_conf_walk_map(r, s, value, path);
			return true;
		}
		if (o->path[len] != '\0')
			continue;
		if (s->line_of[i] != 0)
			bb_conf_report(&r->report, line, "%s: %s is given twice, first on line %d: keep one",
				s->where, path, s->line_of[i]);
		else if (!option_applies(s, o))
			report_wrong_side(r, s, o, line);
		else
			read_value(r, s, o, value);
		s->line_of[i] = line;
		*section_set(s) |= UINT64_C(1) << i;
		return true;
	}
	return false;
}

void
bb_conf_walk_map(struct bb_conf_reader *r, struct bb_conf_walk *s, uint32_t map, const char *prefix)
{
	uint32_t key = bb_conf_tree_node(&r->tree, map)->first;

	while (key != 0 && !bb_conf_report_full(&r->report)) {
		const struct bb_conf_tree_node *n = bb_conf_tree_node(&r->tree, key);
		const char *text = bb_conf_tree_text(&r->tree, key);
		/* A dot belongs to our notation of groups, not to a key. */
		if (strchr(text, '.') != NULL || !read_key(r, s, prefix, text, n->line, n->next))
			report_unknown(r, s, prefix, text, n->line);
		key = bb_conf_tree_node(&r->tree, n->next)->next;
	}
}

void
bb_conf_read_section(
	struct bb_conf_reader *r, enum bb_conf_section kind, void *base, const char *name, uint32_t node)
{
	struct bb_conf_walk s;

	bb_conf_walk_init(&s, kind, base, name);
	if (node == 0 || bb_conf_tree_null(&r->tree, node))
		return;
	if (bb_conf_expect(r, node, BB_CONF_MAP, name, "{ key: value, ... }"))
		bb_conf_walk_map(r, &s, node, "");
}

/* The value of a key in a map; 0 if it is not there. */
uint32_t
bb_conf_map_get(const struct bb_conf_reader *r, uint32_t map, const char *key)
{
	for (uint32_t k = bb_conf_tree_node(&r->tree, map)->first; k != 0;) {
		const uint32_t value = bb_conf_tree_node(&r->tree, k)->next;
		if (strcmp(bb_conf_tree_text(&r->tree, k), key) == 0)
			return value;
		k = bb_conf_tree_node(&r->tree, value)->next;
	}
	return 0;
}
