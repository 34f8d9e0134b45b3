/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness.h"

const struct test_case cases_net[] = {
	{ 0, NULL, NULL, NULL },
};
