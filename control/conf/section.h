/* SPDX-License-Identifier: BSD-3-Clause */
/* section: walks one map of the text by the option table's rows of its section. Part of the reader (conf/conf.h). */
#ifndef BB_CONF_SECTION_H
#define BB_CONF_SECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"
#include "conf/option.h"
#include "conf/report.h"
#include "conf/tree.h"

#define BB_CONF_SECTION_OPTIONS_MAX 64

struct bb_conf_reader {
	struct bb_conf_tree tree;
	struct bb_conf_report report;
	struct bb_conf *conf;
	bool no_memory;
};

/* One section's map while it is read. */
struct bb_conf_walk {
	enum bb_conf_section kind;
	const struct bb_conf_option *options;
	size_t option_count;
	void *base;
	const char *where;	/* "dataplane", "endpoint quotes, publishers" */
	const char *extra[2];	/* keys that somebody else reads: the sides of an endpoint */
	uint32_t extra_node[2]; /* where they are; 0 if not given */
	uint32_t side_bit;	/* SIDE: which */
	int line_of[BB_CONF_SECTION_OPTIONS_MAX];
};

/* Begin a walk: `base` gets the section's defaults. */
void bb_conf_walk_init(struct bb_conf_walk *s, enum bb_conf_section kind, void *base, const char *where);

/* Read every key of a map; prefix is "" or "group.". */
void bb_conf_walk_map(struct bb_conf_reader *r, struct bb_conf_walk *s, uint32_t map, const char *prefix);

/* A whole section whose map is `node`; 0 or null leaves the defaults. */
void bb_conf_read_section(
	struct bb_conf_reader *r, enum bb_conf_section kind, void *base, const char *name, uint32_t node);

/* The value of a key in a map; 0 if it is not there. */
uint32_t bb_conf_map_get(const struct bb_conf_reader *r, uint32_t map, const char *key);

/* True if the node is of that type; else it is reported. */
bool bb_conf_expect(struct bb_conf_reader *r, uint32_t node, enum bb_conf_node_type type, const char *what,
	const char *example);

#endif
