/* SPDX-License-Identifier: BSD-3-Clause */
/* check: what no single value shows: values that must fit together, names and addresses that must differ. */
#ifndef BB_CONF_CHECK_H
#define BB_CONF_CHECK_H

#include "conf/conf.h"
#include "conf/option.h"
#include "conf/report.h"

/*
 * One side alone. line_of[] has the line of each option of the section, by row, 0 where the default holds;
 * `where` names the side in what is reported.
 */
void bb_conf_check_side(struct bb_conf_report *report, const struct bb_conf_side *side,
	const struct bb_conf_side_info *info, const char *where, const int *line_of);

/*
 * The whole. Also lowers the defaults of max_message that would not fit into dataplane.memory. 0 (whether or
 * not something was reported) or -ENOMEM.
 */
int bb_conf_check(struct bb_conf_report *report, struct bb_conf *conf);

#endif
