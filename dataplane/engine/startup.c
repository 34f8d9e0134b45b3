/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/startup.h"

#include "base/log.h"

void
bb_startup_undo(const struct bb_startup_step *steps, size_t *done, void *ctx)
{
	while (*done > 0) {
		const struct bb_startup_step *step = &steps[--*done];
		bb_log_debug("STOP", "step=%s", step->name);
		if (step->fini != NULL)
			step->fini(ctx);
	}
}

int
bb_startup_do(
	const struct bb_startup_step *steps, size_t count, void *ctx, size_t *ret_done, struct bb_text *text)
{
	for (*ret_done = 0; *ret_done < count; ++*ret_done) {
		bb_log_debug("START", "step=%s", steps[*ret_done].name);
		const int error = steps[*ret_done].init(ctx, text);
		if (error == 0)
			continue;
		bb_log_error("START-FAILED", "step=%s error=%d why=\"%s\"", steps[*ret_done].name, -error,
			bb_text_clean(text->s));
		bb_startup_undo(steps, ret_done, ctx);
		return error;
	}
	return 0;
}
