/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness.h"

const struct test_case cases_attack[] = {
	{ 0, NULL, NULL, NULL },
};
