/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sim_plant: bugs that are put into the product on purpose, to see that the oracle finds them. The linker
 * leads some of the product's functions through here (-Wl,--wrap); without a planted bug they pass unchanged.
 */
#ifndef BB_TEST_SIM_PLANT_H
#define BB_TEST_SIM_PLANT_H

#include <stdbool.h>
#include <stddef.h>

/* NULL: none. False: there is no such bug. */
bool sim_plant(const char *name);

/* The name of bug i; NULL: that was all. */
const char *sim_plant_name(size_t i);

/* The scenario that shows bug i; NULL: any does. */
const char *sim_plant_scenario(size_t i);

/* Begin to count anew, so that a seed does the same whatever ran before it. */
void sim_plant_reset(void);

#endif
