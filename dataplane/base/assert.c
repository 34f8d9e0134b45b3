/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef BB_DEBUG
_Thread_local uint32_t bb_actor_current;
#endif

_Noreturn void
bb_assert_fail(const char *expr, const char *file, int line)
{
	fprintf(stderr, "ASSERT-FAILED expr=\"%s\" at=%s:%d\n", expr, file, line);
	fflush(stderr);
	abort();
}
