/* SPDX-License-Identifier: BSD-3-Clause */
#include "http/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Octets of the UTF-8 character that begins here; 0 if none does. */
static size_t
utf8_len(const uint8_t *p, size_t left)
{
	const size_t want = p[0] < 0x80	  ? 1
			    : p[0] < 0xc2 ? 0
			    : p[0] < 0xe0 ? 2
			    : p[0] < 0xf0 ? 3
			    : p[0] < 0xf5 ? 4
					  : 0;

	if (want == 0 || want > left)
		return 0;
	for (size_t i = 1; i < want; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if (want == 3 && ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f)))
		return 0; /* too long a form, or half of a surrogate pair */
	if (want == 4 && ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f)))
		return 0;
	return want;
}

json_t *
bb_json_octets(const void *data, size_t len)
{
	const uint8_t *p = data;
	char *text = malloc(4 * len + 1);
	size_t n = 0;

	if (text == NULL)
		return json_null();
	for (size_t i = 0; i < len;) {
		const size_t more = utf8_len(p + i, len - i);
		if (more == 0 || p[i] < 0x20 || p[i] == 0x7f || p[i] == '\\') {
			n += (size_t)snprintf(text + n, 5, "\\x%02x", p[i]);
			i++;
			continue;
		}
		memcpy(text + n, p + i, more);
		n += more;
		i += more;
	}
	json_t *string = json_stringn(text, n);
	free(text);
	return string;
}

json_t *
bb_json_counters(const struct bb_counter_info *info, const uint64_t *words, size_t count)
{
	json_t *object = json_object();

	for (size_t i = 0; i < count; i++)
		bb_json_set(object, info[i].name, json_integer((json_int_t)words[i]));
	return object;
}

json_t *
bb_json_seconds(uint64_t ns)
{
	return json_real((double)(ns / 1000000) / 1000.0);
}

void
bb_json_set(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(
		object, key, value); /* both NULL-safe: out of memory gives an incomplete answer */
}
