/* SPDX-License-Identifier: BSD-3-Clause */
/* value: one value of the configuration, from text into its field and back, as its row of the option table
 * says. */
#ifndef BB_CONF_VALUE_H
#define BB_CONF_VALUE_H

#include <stddef.h>

#include "conf/option.h"

#define BB_CONF_WHY_MAX 256 /* octets of a reason, with its end */
#define BB_CONF_VALUE_TEXT_MAX \
	4096 /* octets of a formatted value, with its end; CPU lists are the longest \
	      */

/*
 * Parse text into the option's field of base, its section's struct. 0, or -EINVAL with why[] saying what is
 * wrong and what would be right; base is then unchanged. Not for addresses, which are a list.
 */
int bb_conf_value_parse(
	const struct bb_conf_option *o, const char *text, void *base, char why[BB_CONF_WHY_MAX]);

/* The value as an operator would write it, without quotes. Not for addresses. Returns out. */
const char *bb_conf_value_format(
	const struct bb_conf_option *o, const void *base, char out[BB_CONF_VALUE_TEXT_MAX]);

/* "1.5GiB" is not a size here: the largest unit that gives a whole number. Return out. */
const char *bb_conf_size_format(uint64_t bytes, char out[32]);
const char *bb_conf_duration_format(uint64_t ns, char out[32]);

#endif
