/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_actors: transport/io.h and route/router.h with actors that do nothing but answer their mail. Each
 * drain of an I/O core comes with one REPORT.
 */
#ifndef BB_TEST_FAKE_ACTORS_H
#define BB_TEST_FAKE_ACTORS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct fake_actors {
	_Atomic bool hold_drain;			      /* do not answer DRAIN */
	_Atomic int creates_left;			      /* so many actors can be made; below 0: all */
	_Atomic uint32_t alive;				      /* actors made and not destroyed */
	_Atomic uint32_t endpoints, listens, drains, removes; /* mails seen */
};

extern struct fake_actors fake_actors;

#endif
