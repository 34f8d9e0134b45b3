/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness.h"

const struct test_case cases_loss[] = {
	{ 0, NULL, NULL, NULL },
};
