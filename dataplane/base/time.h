/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * time: units. Time is nanoseconds of the monotonic clock in a uint64_t, passed down from the
 * loop: nothing below engine/ reads a clock.
 */
#ifndef BB_BASE_TIME_H
#define BB_BASE_TIME_H

#include <stdint.h>

#define BB_USEC UINT64_C(1000)
#define BB_MSEC UINT64_C(1000000)
#define BB_SEC UINT64_C(1000000000)

/* No deadline. */
#define BB_NEVER UINT64_MAX

#endif
