/* SPDX-License-Identifier: BSD-3-Clause */
#include "conf/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "conf/report.h"

#define DEPTH_MAX 8	     /* the schema needs 6 */
#define NODES_MAX (1u << 18) /* 1024 endpoints that give every key need less than half */
#define SCALAR_MAX 4096	     /* octets */

struct level {
	uint32_t node;
	uint32_t last; /* child */
	uint32_t children;
};

struct builder {
	struct bb_conf_tree *tree;
	struct bb_conf_report *report;
	struct level levels[DEPTH_MAX + 1];
	uint32_t depth; /* levels in use; level 0 holds the root */
};

static int
grow(void **array, uint32_t *room, uint32_t need, size_t size)
{
	if (need <= *room)
		return 0;
	uint32_t more = *room == 0 ? 256 : *room;
	while (more < need)
		more *= 2;
	void *p = realloc(*array, more * size);
	if (p == NULL)
		return -ENOMEM;
	*array = p;
	*room = more;
	return 0;
}

static int
node_add(struct builder *b, uint32_t type, int line, uint32_t *ret)
{
	struct bb_conf_tree *t = b->tree;
	struct level *level = &b->levels[b->depth];
	const uint32_t node = t->node_count;

	if (node >= NODES_MAX) {
		bb_conf_report(b->report, line, "too many values: a configuration has at most %u", NODES_MAX);
		return -EINVAL;
	}
	void *nodes = t->nodes;
	if (grow(&nodes, &t->node_room, node + 1, sizeof(*t->nodes)) < 0)
		return -ENOMEM;
	t->nodes = nodes;
	t->nodes[node] = (struct bb_conf_tree_node){ .type = type, .line = line };
	t->node_count++;

	if (level->last != 0)
		t->nodes[level->last].next = node;
	else if (level->node != 0)
		t->nodes[level->node].first = node;
	level->last = node;
	level->children++;
	*ret = node;
	return 0;
}

/* In a map, the next child would be a key. */
static bool
expects_key(const struct builder *b)
{
	const struct level *level = &b->levels[b->depth];

	return level->node != 0 && b->tree->nodes[level->node].type == BB_CONF_MAP &&
	       level->children % 2 == 0;
}

static int
on_scalar(struct builder *b, const yaml_event_t *e, int line)
{
	const char *value = (const char *)e->data.scalar.value;
	const size_t len = e->data.scalar.length;
	struct bb_conf_tree *t = b->tree;
	uint32_t node;

	if (len > SCALAR_MAX) {
		bb_conf_report(
			b->report, line, "value of %zu bytes is too long: at most %u", len, SCALAR_MAX);
		return -EINVAL;
	}
	if (memchr(value, '\0', len) != NULL) {
		bb_conf_report(b->report, line, "value contains a zero byte: leave it out");
		return -EINVAL;
	}
	int r = node_add(b, BB_CONF_SCALAR, line, &node);
	if (r < 0)
		return r;
	void *texts = t->texts;
	if (grow(&texts, &t->text_room, t->text_len + (uint32_t)len + 1, 1) < 0)
		return -ENOMEM;
	t->texts = texts;
	t->nodes[node].text = t->text_len;
	t->nodes[node].plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	memcpy(t->texts + t->text_len, value, len);
	t->texts[t->text_len + len] = '\0';
	t->text_len += (uint32_t)len + 1;
	return 0;
}

static int
on_start(struct builder *b, uint32_t type, int line)
{
	uint32_t node;

	if (expects_key(b)) {
		bb_conf_report(b->report, line, "a list or map cannot be a key: write \"key: value\"");
		return -EINVAL;
	}
	if (b->depth >= DEPTH_MAX) {
		bb_conf_report(b->report, line, "nested too deeply: a configuration has at most %u levels",
			DEPTH_MAX);
		return -EINVAL;
	}
	const int r = node_add(b, type, line, &node);
	if (r < 0)
		return r;
	b->levels[++b->depth] = (struct level){ .node = node };
	return 0;
}

/* Refuse what could make a small text stand for a large tree, or mean something else than it says. */
static int
refuse_extras(struct builder *b, const yaml_char_t *anchor, const yaml_char_t *tag, int line)
{
	if (anchor != NULL) {
		bb_conf_report(b->report, line,
			"anchors (&name) are not supported: write the value where it is used");
		return -EINVAL;
	}
	if (tag != NULL) {
		bb_conf_report(b->report, line, "tags (!name) are not supported: write the value alone");
		return -EINVAL;
	}
	return 0;
}

static int
on_event(struct builder *b, const yaml_event_t *e)
{
	const int line = (int)e->start_mark.line + 1;
	int r = 0;

	switch (e->type) {
	case YAML_ALIAS_EVENT:
		bb_conf_report(b->report, line,
			"aliases (*name) are not supported: write the value out, in quotes "
			"if it begins with *");
		return -EINVAL;
	case YAML_SCALAR_EVENT:
		r = refuse_extras(b, e->data.scalar.anchor, e->data.scalar.tag, line);
		return r < 0 ? r : on_scalar(b, e, line);
	case YAML_SEQUENCE_START_EVENT:
		r = refuse_extras(b, e->data.sequence_start.anchor, e->data.sequence_start.tag, line);
		return r < 0 ? r : on_start(b, BB_CONF_LIST, line);
	case YAML_MAPPING_START_EVENT:
		r = refuse_extras(b, e->data.mapping_start.anchor, e->data.mapping_start.tag, line);
		return r < 0 ? r : on_start(b, BB_CONF_MAP, line);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		b->depth--;
		return 0;
	case YAML_DOCUMENT_START_EVENT:
		if (b->tree->node_count > 1) {
			bb_conf_report(
				b->report, line, "a second document begins: a configuration is one document");
			return -EINVAL;
		}
		return 0;
	default:
		return 0;
	}
}

static void
report_parser(struct bb_conf_report *report, const yaml_parser_t *parser, const char *text, size_t len)
{
	size_t line = parser->problem_mark.line + 1;

	if (parser->error == YAML_READER_ERROR) { /* it reads ahead and knows an offset, no line */
		line = 1;
		for (size_t i = 0; i < len && i < parser->problem_offset; i++)
			line += text[i] == '\n';
	}
	bb_conf_report(report, (int)line, "not valid YAML: %s%s%s: check indentation, quotes and colons here",
		parser->problem != NULL ? parser->problem : "unreadable", parser->context != NULL ? " " : "",
		parser->context != NULL ? parser->context : "");
}

int
bb_conf_tree_read(struct bb_conf_tree *tree, const char *text, size_t len, struct bb_conf_report *report)
{
	struct builder b = { .tree = tree, .report = report };
	yaml_parser_t parser;
	bool done = false;
	int r = 0;

	*tree = (struct bb_conf_tree){ .node_count = 1 }; /* node 0 is none */
	if (len > BB_CONF_BYTES_MAX) {
		bb_conf_report(report, 1, "%zu bytes are too long: a configuration has at most 1MiB", len);
		return -EINVAL;
	}
	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	while (r == 0 && !done) {
		yaml_event_t event;
		if (!yaml_parser_parse(&parser, &event)) {
			r = parser.error == YAML_MEMORY_ERROR ? -ENOMEM : -EINVAL;
			if (r == -EINVAL)
				report_parser(report, &parser, text, len);
			break;
		}
		done = event.type == YAML_STREAM_END_EVENT;
		r = on_event(&b, &event);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	if (r == 0 && tree->node_count == 1) { /* nothing but comments */
		yaml_event_t null = { .type = YAML_SCALAR_EVENT };
		null.data.scalar.value = (yaml_char_t *)(uintptr_t) "";
		null.data.scalar.style = YAML_PLAIN_SCALAR_STYLE;
		r = on_event(&b, &null);
	}
	return r;
}

void
bb_conf_tree_fini(struct bb_conf_tree *tree)
{
	free(tree->nodes);
	free(tree->texts);
	*tree = (struct bb_conf_tree){ 0 };
}

bool
bb_conf_tree_null(const struct bb_conf_tree *tree, uint32_t node)
{
	const struct bb_conf_tree_node *n = &tree->nodes[node];

	if (n->type != BB_CONF_SCALAR || !n->plain)
		return false;
	const char *text = tree->texts + n->text;
	return text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

const char *
bb_conf_tree_type_name(const struct bb_conf_tree *tree, uint32_t node)
{
	static const char *const names[] = {
		[BB_CONF_SCALAR] = "a single value",
		[BB_CONF_LIST] = "a list",
		[BB_CONF_MAP] = "a map",
	};

	return names[tree->nodes[node].type];
}
