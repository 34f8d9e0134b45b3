/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * state: DIR/accepted.state, the last plan and the endpoints that were committed under it: what the data
 * plane comes up with when nobody is there to configure it.
 *
 * Host byte order and the structs of abi/command.h as they are, with a checksum: the file is this program's
 * alone, and one of another version is no use and is ignored. Written to a second name, synced, renamed:
 * there is always a whole one.
 *
 * Thread: the agent.
 */
#ifndef BB_ENGINE_STATE_H
#define BB_ENGINE_STATE_H

#include <stdint.h>

#include "abi/command.h"
#include "engine/text.h"

struct bb_state {
	uint64_t revision;
	struct bb_cmd_plan plan;
	uint32_t endpoint_count;
	struct bb_cmd_endpoint *endpoints; /* malloc'ed */
};

/* 0 or negative errno with a line of text. */
int bb_state_write(const char *state_dir, const struct bb_state *s, struct bb_text *text);

/* 0; -ENOENT: there is none; else negative errno with a line of text: it is not fit for use. */
int bb_state_read(const char *state_dir, struct bb_state *ret, struct bb_text *text);

void bb_state_free(struct bb_state *s);

#endif
