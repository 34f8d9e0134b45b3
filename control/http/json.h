/* SPDX-License-Identifier: BSD-3-Clause */
/* json: small helpers between our data and jansson. */
#ifndef BB_HTTP_JSON_H
#define BB_HTTP_JSON_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "link/counters.h"

/* Octets as a JSON string; a backslash and what is no valid UTF-8 or a control character become \xNN. */
json_t *bb_json_octets(const void *data, size_t len);

/* {"name": value, ...} of a row's words. */
json_t *bb_json_counters(const struct bb_counter_info *info, const uint64_t *words, size_t count);

/* Seconds with a fraction. */
json_t *bb_json_seconds(uint64_t ns);

/* Set, and give the value away. */
void bb_json_set(json_t *object, const char *key, json_t *value);

#endif
