/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

struct bb_request *
bb_request_create(struct bb_list *all, bb_conn_id from, uint32_t seq)
{
	struct bb_request *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->holds = 1;
	r->from = from;
	r->seq = seq;
	bb_list_append(all, &r->node);
	return r;
}

void
bb_request_hold(struct bb_request *r)
{
	BB_ASSERT(r->holds > 0);
	r->holds++;
}

void
bb_request_put(struct bb_request *r)
{
	BB_ASSERT(r->holds > 0);
	if (--r->holds > 0)
		return;
	r->answer(r);
	bb_list_remove(&r->node);
	free(r);
}

void
bb_request_fail(struct bb_request *r, int error, const char *fmt, ...)
{
	va_list args;

	if (r->error != 0)
		return;
	r->error = error;
	va_start(args, fmt);
	vsnprintf(r->text.s, sizeof(r->text.s), fmt, args);
	va_end(args);
}

void
bb_requests_drop(struct bb_list *all)
{
	struct bb_list *n;

	while ((n = bb_list_pop(all)) != NULL)
		free(bb_list_entry(n, struct bb_request, node));
}
