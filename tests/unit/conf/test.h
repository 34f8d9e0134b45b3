/* SPDX-License-Identifier: BSD-3-Clause */
/* test: what cmocka wants included first, and a text read as a configuration with its first error at hand. */
#ifndef BB_TEST_CONF_H
#define BB_TEST_CONF_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"

/* Read text as the file "f". The octets are copied to the heap at their exact size: a read past them is seen.
 */
static inline int
conf_read(struct bb_conf *ret, const char *text, struct bb_conf_errors *errors)
{
	const size_t len = strlen(text);
	char *copy = malloc(len + (len == 0));

	assert_non_null(copy);
	memcpy(copy, text, len);
	const int r = bb_conf_read(ret, "f", copy, len, errors);
	free(copy);
	return r;
}

/* The text must be refused with exactly this one line. */
static inline void
conf_refused(const char *text, const char *line)
{
	struct bb_conf_errors errors;
	struct bb_conf conf;

	assert_int_equal(conf_read(&conf, text, &errors), -EINVAL);
	assert_string_equal(errors.line[0], line);
	assert_int_equal(errors.count, 1);
}

/* The text must be taken; the caller gives it to bb_conf_fini(). */
static inline struct bb_conf
conf_taken(const char *text)
{
	struct bb_conf_errors errors;
	struct bb_conf conf;
	const int r = conf_read(&conf, text, &errors);

	if (r != 0)
		fail_msg("refused: %s", errors.count > 0 ? errors.line[0] : "without a word");
	return conf;
}

#endif
