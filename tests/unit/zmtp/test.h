/* SPDX-License-Identifier: BSD-3-Clause */
/* test: what cmocka wants included first, and octets copied to the heap at their exact size, so that the
 * address sanitizer sees a read past their end. */
#ifndef BB_TEST_ZMTP_H
#define BB_TEST_ZMTP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static inline uint8_t *
exact_copy(const void *octets, size_t len)
{
	uint8_t *p = malloc(len);

	assert_true(p != NULL || len == 0);
	if (len > 0)
		memcpy(p, octets, len);
	return p;
}

#endif
