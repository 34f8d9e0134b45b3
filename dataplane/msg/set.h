/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * set: a destination set: the receivers of messages, as routers name them in deliveries.
 *
 * A set is immutable once a delivery names it. The router that made it owns it and frees it only when every
 * I/O core has reported that it is through with the deliveries that named it (msg/delivery.h). Equal
 * receivers give the same pointer as long as the set lives, so neighbouring messages may be merged by
 * comparing pointers.
 *
 * Thread: any I/O core may read a set that a delivery at hand names.
 */
#ifndef BB_MSG_SET_H
#define BB_MSG_SET_H

#include <stdint.h>

#include "msg/handle.h"

/* The receivers of one I/O core: handles[first .. first + count). */
struct bb_set_core {
	uint32_t core; /* bb_handle_core of all of them; ascending in a set */
	uint32_t first;
	uint32_t count; /* at least 1 */
};

struct bb_set {
	uint64_t serial;	  /* unique in its store; never 0 */
	const bb_handle *handles; /* receivers of them, grouped by core, each once */
	uint32_t receivers;	  /* at least 1 */
	uint32_t core_count;
	struct bb_set_core cores[];
};

/* The receivers on one I/O core; *ret_count is 0 if there are none. */
static inline const bb_handle *
bb_set_members(const struct bb_set *set, uint32_t core, uint32_t *ret_count)
{
	*ret_count = 0;
	for (uint32_t i = 0; i < set->core_count; i++) {
		if (set->cores[i].core == core) {
			*ret_count = set->cores[i].count;
			return set->handles + set->cores[i].first;
		}
	}
	return set->handles;
}

#endif
