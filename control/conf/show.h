/* SPDX-License-Identifier: BSD-3-Clause */
/* show: a configuration as text again, and the option table as text. */
#ifndef BB_CONF_SHOW_H
#define BB_CONF_SHOW_H

#include <stdbool.h>
#include <stdio.h>

#include "conf/conf.h"

/*
 * Write conf as YAML that bb_conf_read() reads back as the same. With all, every option that applies; else
 * only what differs from its default.
 */
void bb_conf_show(FILE *out, const struct bb_conf *conf, bool all);

/* Write the reference of all keys: as a table for a terminal, or as Markdown. */
void bb_conf_show_keys(FILE *out, bool markdown);

#endif
