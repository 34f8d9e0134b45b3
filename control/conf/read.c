/* SPDX-License-Identifier: BSD-3-Clause */
/* read: from the tree of a text to struct bb_conf, driven by the option table. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "conf/check.h"
#include "conf/conf.h"
#include "conf/option.h"
#include "conf/report.h"
#include "conf/section.h"
#include "conf/tree.h"

static void
read_side(struct bb_conf_reader *r, struct bb_conf_endpoint *e, unsigned which, uint32_t node,
	const char *where)
{
	const struct bb_conf_side_info *info = &bb_conf_patterns[e->pattern].sides[which];
	struct bb_conf_side *side = &e->sides[which];
	const uint32_t errors = r->report.errors->count;
	struct bb_conf_walk s;
	char name[160];

	snprintf(name, sizeof(name), "%s, %s", where, info->name);
	bb_conf_walk_init(&s, BB_CONF_SECTION_SIDE, side, name);
	s.side_bit = info->bit;
	side->when_full = (uint32_t)__builtin_ctz(info->when_full);
	side->line = e->line;
	if (node == 0 || bb_conf_tree_null(&r->tree, node)) {
		bb_conf_report(&r->report, e->line,
			"%s are missing: add %s: { bind: [\"tcp://127.0.0.1:PORT\"] }", name, info->name);
		return;
	}
	side->line = bb_conf_tree_node(&r->tree, node)->line;
	if (!bb_conf_expect(r, node, BB_CONF_MAP, name, "{ bind: [\"tcp://127.0.0.1:PORT\"] }"))
		return;
	bb_conf_walk_map(r, &s, node, "");
	if (r->report.errors->count == errors)
		bb_conf_check_side(&r->report, side, info, name, s.line_of);
}

/* Which pattern a map says it has; -1 if it does not say, or wrongly, which is then reported elsewhere. */
static int
peek_pattern(const struct bb_conf_reader *r, uint32_t map)
{
	const uint32_t node = bb_conf_map_get(r, map, "pattern");

	if (node == 0 || bb_conf_tree_node(&r->tree, node)->type != BB_CONF_SCALAR)
		return -1;
	for (int p = 0; p < BB_CONF_PATTERN_COUNT; p++)
		if (strcmp(bb_conf_patterns[p].name, bb_conf_tree_text(&r->tree, node)) == 0)
			return p;
	return -1;
}

/* Without a known pattern the sides cannot be judged; say what is wrong with the pattern and leave it at
 * that. */
static void
report_pattern(struct bb_conf_reader *r, uint32_t map, const char *where)
{
	const uint32_t node = bb_conf_map_get(r, map, "pattern");
	struct bb_conf_quoted q;

	if (node == 0 || bb_conf_tree_node(&r->tree, node)->type != BB_CONF_SCALAR) {
		bb_conf_report(&r->report, bb_conf_tree_node(&r->tree, map)->line,
			"%s: pattern is missing: add pattern: pubsub, pipeline or reqrep", where);
		return;
	}
	const char *text = bb_conf_tree_text(&r->tree, node);
	const bool not_yet = strcmp(text, "pair") == 0 || strcmp(text, "exchange") == 0;
	bb_conf_report(&r->report, bb_conf_tree_node(&r->tree, node)->line,
		not_yet ? "%s: pattern \"%s\" is not built in: write pubsub, pipeline or reqrep"
			: "%s: unknown pattern \"%s\": write pubsub, pipeline or reqrep",
		where, bb_conf_quote(&q, text));
}

/* A side of another pattern is the likeliest slip: say so, instead of "unknown key". */
static bool
report_foreign_sides(
	struct bb_conf_reader *r, uint32_t map, const struct bb_conf_pattern_info *own, const char *where)
{
	bool found = false;

	for (size_t p = 0; p < BB_CONF_PATTERN_COUNT; p++)
		for (size_t i = 0; i < 2; i++) {
			const char *side = bb_conf_patterns[p].sides[i].name;
			const uint32_t node = &bb_conf_patterns[p] == own ? 0 : bb_conf_map_get(r, map, side);
			if (node == 0)
				continue;
			found = true;
			bb_conf_report(&r->report, bb_conf_tree_node(&r->tree, node)->line,
				"%s: %s are sides of pattern %s: %s has %s and %s", where, side,
				bb_conf_patterns[p].name, own->name, own->sides[0].name, own->sides[1].name);
		}
	return found;
}

static void
read_endpoint(struct bb_conf_reader *r, struct bb_conf_endpoint *e, uint32_t node)
{
	struct bb_conf_walk s;
	char where[96] = "endpoint";

	bb_conf_walk_init(&s, BB_CONF_SECTION_ENDPOINT, e, where);
	e->line = bb_conf_tree_node(&r->tree, node)->line;
	if (!bb_conf_expect(r, node, BB_CONF_MAP, "endpoint", "- { name: NAME, pattern: PATTERN, ... }"))
		return;

	const uint32_t name = bb_conf_map_get(r, node, "name");
	if (name == 0)
		bb_conf_report(&r->report, e->line, "endpoint without a name: add name: NAME");
	else if (bb_conf_tree_node(&r->tree, name)->type == BB_CONF_SCALAR) {
		struct bb_conf_quoted q;
		snprintf(where, sizeof(where), "endpoint %s",
			bb_conf_quote(&q, bb_conf_tree_text(&r->tree, name)));
	}
	const int pattern = peek_pattern(r, node);
	if (pattern < 0) {
		report_pattern(r, node, where);
		return;
	}
	const struct bb_conf_pattern_info *info = &bb_conf_patterns[pattern];
	if (report_foreign_sides(r, node, info, where))
		return;
	s.extra[0] = info->sides[0].name;
	s.extra[1] = info->sides[1].name;
	bb_conf_walk_map(r, &s, node, "");
	e->pattern = (uint32_t)pattern;
	const uint32_t subscribe = bb_conf_map_get(r, node, "subscribe");
	if (subscribe != 0 && pattern != BB_CONF_PUBSUB)
		bb_conf_report(&r->report, bb_conf_tree_node(&r->tree, subscribe)->line,
			"%s: subscribe has no effect here: only pattern pubsub has it", where);
	for (unsigned i = 0; i < 2 && !bb_conf_report_full(&r->report); i++)
		read_side(r, e, i, s.extra_node[i], where);
}

static void
read_endpoints(struct bb_conf_reader *r, uint32_t node)
{
	uint32_t count = 0;

	if (node == 0 || bb_conf_tree_null(&r->tree, node) ||
		!bb_conf_expect(r, node, BB_CONF_LIST, "endpoints",
			"a list: - { name: NAME, pattern: PATTERN, ... }"))
		return;
	const struct bb_conf_tree_node *n = bb_conf_tree_node(&r->tree, node);
	for (uint32_t i = n->first; i != 0; i = bb_conf_tree_node(&r->tree, i)->next)
		count++;
	if (count > BB_ENDPOINTS_MAX) {
		bb_conf_report(&r->report, n->line, "%u endpoints are too many: at most %u", count,
			BB_ENDPOINTS_MAX);
		return;
	}
	if (count == 0)
		return;
	r->conf->endpoints = calloc(count, sizeof(*r->conf->endpoints));
	if (r->conf->endpoints == NULL) {
		r->no_memory = true;
		return;
	}
	for (uint32_t i = n->first; i != 0 && !bb_conf_report_full(&r->report);
		i = bb_conf_tree_node(&r->tree, i)->next)
		read_endpoint(r, &r->conf->endpoints[r->conf->endpoint_count++], i);
}

enum { TOP_NODE, TOP_DATAPLANE, TOP_PORTS, TOP_ENDPOINTS, TOP_CONTROL, TOP_COUNT };

static const char *const top_names[TOP_COUNT] = { "node", "dataplane", "ports", "endpoints", "control" };

static void
read_top_key(struct bb_conf_reader *r, uint32_t key, uint32_t nodes[TOP_COUNT])
{
	const struct bb_conf_tree_node *n = bb_conf_tree_node(&r->tree, key);
	const char *text = bb_conf_tree_text(&r->tree, key);
	const char *near = NULL;
	unsigned best = 4;
	struct bb_conf_quoted q;

	for (int i = 0; i < TOP_COUNT; i++) {
		if (strcmp(top_names[i], text) == 0) {
			if (nodes[i] != 0)
				bb_conf_report(&r->report, n->line, "%s is given twice: keep one", text);
			nodes[i] = n->next;
			return;
		}
		if (bb_conf_near(text, top_names[i], &best))
			near = top_names[i];
	}
	if (near != NULL)
		bb_conf_report(&r->report, n->line, "unknown key \"%s\": did you mean %s?",
			bb_conf_quote(&q, text), near);
	else
		bb_conf_report(&r->report, n->line,
			"unknown key \"%s\": write node, dataplane, ports, endpoints or control",
			bb_conf_quote(&q, text));
}

static void
read_ports(struct bb_conf_reader *r, uint32_t node)
{
	const struct bb_conf_tree_node *n = bb_conf_tree_node(&r->tree, node);

	if (node == 0 || bb_conf_tree_null(&r->tree, node) || (n->type == BB_CONF_LIST && n->first == 0))
		return;
	bb_conf_report(
		&r->report, n->line, "DPDK ports are not built in: remove ports to use kernel sockets");
}

static void
read_top(struct bb_conf_reader *r)
{
	const uint32_t root = 1;
	uint32_t nodes[TOP_COUNT] = { 0 };
	struct bb_conf *conf = r->conf;

	if (!bb_conf_tree_null(&r->tree, root)) {
		if (!bb_conf_expect(
			    r, root, BB_CONF_MAP, "the configuration", "endpoints: and a list of them"))
			return;
		for (uint32_t key = bb_conf_tree_node(&r->tree, root)->first;
			key != 0 && !bb_conf_report_full(&r->report);) {
			read_top_key(r, key, nodes);
			key = bb_conf_tree_node(&r->tree, bb_conf_tree_node(&r->tree, key)->next)->next;
		}
	}
	bb_conf_read_section(r, BB_CONF_SECTION_NODE, &conf->node, "node", nodes[TOP_NODE]);
	bb_conf_read_section(
		r, BB_CONF_SECTION_DATAPLANE, &conf->dataplane, "dataplane", nodes[TOP_DATAPLANE]);
	read_ports(r, nodes[TOP_PORTS]);
	read_endpoints(r, nodes[TOP_ENDPOINTS]);
	bb_conf_read_section(r, BB_CONF_SECTION_CONTROL, &conf->control, "control", nodes[TOP_CONTROL]);
	conf->dataplane.line = nodes[TOP_DATAPLANE] == 0
				       ? 1
				       : bb_conf_tree_node(&r->tree, nodes[TOP_DATAPLANE])->line;
	if (r->report.errors->count == 0 && !r->no_memory)
		r->no_memory = bb_conf_check(&r->report, conf) == -ENOMEM;
}

int
bb_conf_read(struct bb_conf *ret, const char *file, const char *text, size_t len,
	struct bb_conf_errors *ret_errors)
{
	struct bb_conf conf = { .endpoint_count = 0 };
	struct bb_conf_reader r = { .report = { .file = file, .errors = ret_errors }, .conf = &conf };

	ret_errors->count = 0;
	int status = bb_conf_tree_read(&r.tree, text, len, &r.report);
	if (status == 0)
		read_top(&r);
	bb_conf_tree_fini(&r.tree);
	if (r.no_memory || status == -ENOMEM) {
		ret_errors->count = 0;
		bb_conf_report(
			&r.report, 1, "not enough memory to read the configuration: free some and try again");
		status = -ENOMEM;
	} else if (ret_errors->count > 0) {
		status = -EINVAL;
	}
	if (status < 0)
		bb_conf_fini(&conf);
	else
		*ret = conf;
	return status;
}

int
bb_conf_read_file(struct bb_conf *ret, const char *path, struct bb_conf_errors *ret_errors)
{
	const bool is_stdin = strcmp(path, "-") == 0;
	struct bb_conf_quoted q;
	size_t len = 0;
	int r = -ENOMEM;

	ret_errors->count = 0;
	char *text = malloc(BB_CONF_BYTES_MAX + 1); /* one more, to see that it is too long */
	const int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (text != NULL && fd >= 0) {
		ssize_t n;
		while ((n = read(fd, text + len, BB_CONF_BYTES_MAX + 1 - len)) > 0)
			len += (size_t)n;
		r = n < 0 ? -errno : 0;
	} else if (text != NULL) {
		r = -errno;
	}
	if (fd >= 0 && !is_stdin)
		close(fd);
	if (r == 0)
		r = bb_conf_read(ret, is_stdin ? "stdin" : path, text, len, ret_errors);
	else
		snprintf(ret_errors->line[ret_errors->count++], BB_CONF_ERROR_MAX,
			"%s: cannot be read: %s: give the path of a configuration file",
			bb_conf_quote(&q, path), strerror(-r));
	free(text);
	return r;
}

void
bb_conf_fini(struct bb_conf *conf)
{
	for (uint32_t i = 0; i < conf->endpoint_count; i++)
		for (unsigned k = 0; k < 2; k++) {
			free(conf->endpoints[i].sides[k].binds);
			free(conf->endpoints[i].sides[k].connects);
		}
	free(conf->endpoints);
	*conf = (struct bb_conf){ .endpoint_count = 0 };
}
