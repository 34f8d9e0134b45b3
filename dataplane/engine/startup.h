/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * startup: a list of steps that are done in order and undone in reverse, also from half-way.
 */
#ifndef BB_ENGINE_STARTUP_H
#define BB_ENGINE_STARTUP_H

#include <stddef.h>
#include <stdint.h>

#include "engine/text.h"

struct bb_startup_step {
	const char *name;
	int (*init)(void *ctx, struct bb_text *text); /* 0; or negative errno, having undone its own part */
	void (*fini)(void *ctx);		      /* NULL: nothing to undo */
};

/*
 * Do the steps. 0, or the first error: then what was done is undone already. *ret_done counts the steps that
 * stand; hand it to bb_startup_undo().
 */
int bb_startup_do(
	const struct bb_startup_step *steps, size_t count, void *ctx, size_t *ret_done, struct bb_text *text);

/* Undo the first *done steps, the last one first; *done is 0 afterwards. */
void bb_startup_undo(const struct bb_startup_step *steps, size_t *done, void *ctx);

#endif
