/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * assert: our own broken invariants. Never for what a peer, a file or a user can cause.
 *
 * BB_ASSERT is always on and aborts with a core file. BB_DEBUG_ASSERT is for checks whose cost
 * counts per message; only builds with -Dbuildtype=debug* have it.
 *
 * BB_OWNER_FIELD and BB_ASSERT_OWNER state which actor may touch a struct. Each actor sets
 * bb_actor_current when its step begins; debug builds then check every owned call against it.
 */
#ifndef BB_BASE_ASSERT_H
#define BB_BASE_ASSERT_H

#include <stdint.h>

#include "base/compiler.h"

_Noreturn void bb_assert_fail(const char *expr, const char *file, int line);

#define BB_ASSERT(x)                                            \
	do {                                                    \
		if (bb_unlikely(!(x)))                          \
			bb_assert_fail(#x, __FILE__, __LINE__); \
	} while (0)

#ifdef BB_DEBUG
#define BB_DEBUG_ASSERT(x) BB_ASSERT(x)

/* Id of the actor whose step runs on this thread; 0 outside any step. */
extern _Thread_local uint32_t bb_actor_current;

#define BB_OWNER_FIELD uint32_t owner;
#define BB_OWNER_SET(x, id) ((x)->owner = (id))
#define BB_ASSERT_OWNER(x) BB_ASSERT(bb_actor_current == 0 || (x)->owner == bb_actor_current)
#define BB_ACTOR_ENTER(id) (bb_actor_current = (id))
#define BB_ACTOR_LEAVE() (bb_actor_current = 0)
#else
#define BB_DEBUG_ASSERT(x) ((void)sizeof(!(x)))
#define BB_OWNER_FIELD
#define BB_OWNER_SET(x, id) ((void)(x), (void)(id))
#define BB_ASSERT_OWNER(x) ((void)(x))
#define BB_ACTOR_ENTER(id) ((void)(id))
#define BB_ACTOR_LEAVE() ((void)0)
#endif

#endif
