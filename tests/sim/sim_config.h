/* SPDX-License-Identifier: BSD-3-Clause */
/* sim_config: what a seed means. Each seed draws its own sizes and its own subset of what may go wrong. */
#ifndef BB_TEST_SIM_CONFIG_H
#define BB_TEST_SIM_CONFIG_H

#include "sim_world.h"

/* scenario: NULL for anything, or a name of sim_config_scenarios(). False: there is no such scenario. */
bool sim_config_draw(struct sim_config *c, uint64_t seed, const char *scenario, uint32_t steps);

/* Their names, separated by spaces. */
const char *sim_config_scenarios(void);

/* How this program is called to see the same again. */
const char *sim_config_replay(const struct sim_config *c);

/* Further arguments of the replay, as given to this program. */
void sim_config_arguments(const char *arguments);

void sim_config_print(const struct sim_config *c);

#endif
