/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_conf: any text is either refused with lines that name the file, or read; what was read can be shown,
 * and reads back as the same. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/show.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(int x)
{
	if (!x)
		abort();
}

static char *
shown(const struct bb_conf *conf)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	require(out != NULL);
	bb_conf_show(out, conf, true);
	fclose(out);
	return text;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bb_conf_errors errors;
	struct bb_conf conf;
	const int r = bb_conf_read(&conf, "f", (const char *)data, size, &errors);

	require(r == 0 || r == -EINVAL);
	require((r == 0) == (errors.count == 0) && errors.count <= BB_CONF_ERRORS_MAX);
	for (uint32_t i = 0; i < errors.count; i++) {
		require(strncmp(errors.line[i], "f:", 2) == 0);
		require(atoi(errors.line[i] + 2) > 0);
		require(strnlen(errors.line[i], BB_CONF_ERROR_MAX) < BB_CONF_ERROR_MAX);
		require(strpbrk(errors.line[i], "\n\r\x1b") == NULL);
	}
	if (r < 0)
		return 0;

	char *first = shown(&conf);
	bb_conf_fini(&conf);
	require(bb_conf_read(&conf, "g", first, strlen(first), &errors) == 0);
	char *second = shown(&conf);
	bb_conf_fini(&conf);
	require(strcmp(first, second) == 0);
	free(first);
	free(second);
	return 0;
}
