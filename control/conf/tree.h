/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree: a YAML text as a plain tree of nodes that know their lines.
 *
 * Only what a configuration needs of YAML is let in: one document of maps, lists and scalars. Anchors,
 * aliases and tags are refused, so that a small text cannot stand for a large tree; depth, nodes and scalars
 * are limited.
 *
 * Nodes are named by index, 0 is "none"; the root is node 1. The nodes lie in one array and the scalars in
 * another, so that a tree is freed at once whatever its shape.
 */
#ifndef BB_CONF_TREE_H
#define BB_CONF_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bb_conf_report;

enum bb_conf_node_type {
	BB_CONF_SCALAR,
	BB_CONF_LIST,
	BB_CONF_MAP, /* children are key, value, key, value ...; keys are scalars */
};

struct bb_conf_tree_node {
	uint32_t type; /* enum bb_conf_node_type */
	uint32_t first, next;
	uint32_t text; /* offset of a scalar's text, which a zero byte ends */
	int line;
	bool plain; /* a scalar without quotes: may be null */
};

struct bb_conf_tree {
	struct bb_conf_tree_node *nodes;
	char *texts;
	uint32_t node_count, node_room;
	uint32_t text_len, text_room;
};

/* 0, -EINVAL with one line reported, or -ENOMEM. An empty document has a root that is null. fini() in any
 * case. */
int bb_conf_tree_read(struct bb_conf_tree *tree, const char *text, size_t len, struct bb_conf_report *report);
void bb_conf_tree_fini(struct bb_conf_tree *tree);

static inline const struct bb_conf_tree_node *
bb_conf_tree_node(const struct bb_conf_tree *tree, uint32_t node)
{
	return &tree->nodes[node];
}

static inline const char *
bb_conf_tree_text(const struct bb_conf_tree *tree, uint32_t node)
{
	return tree->texts + tree->nodes[node].text;
}

/* An empty value, ~ or null. */
bool bb_conf_tree_null(const struct bb_conf_tree *tree, uint32_t node);

/* "a list", "a map", "a value". */
const char *bb_conf_tree_type_name(const struct bb_conf_tree *tree, uint32_t node);

#endif
