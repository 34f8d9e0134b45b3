/* SPDX-License-Identifier: BSD-3-Clause */
/* test: what cmocka wants included first. */
#ifndef BB_TEST_ENGINE_H
#define BB_TEST_ENGINE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
