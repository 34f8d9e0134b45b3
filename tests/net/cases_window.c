/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness.h"

const struct test_case cases_window[] = {
	{ 0, NULL, NULL, NULL },
};
