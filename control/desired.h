/* SPDX-License-Identifier: BSD-3-Clause */
/* desired: a checked configuration in the terms of the command channel: the plan, and an endpoint each. */
#ifndef BB_CONTROL_DESIRED_H
#define BB_CONTROL_DESIRED_H

#include "abi/command.h"
#include "conf/conf.h"

/* Every octet is determined, padding too: equal configurations give equal octets, so that they can be
 * compared. */
void bb_desired_plan(struct bb_cmd_plan *ret, const struct bb_conf *conf);
void bb_desired_endpoint(struct bb_cmd_endpoint *ret, const struct bb_conf_endpoint *e);

#endif
