/* SPDX-License-Identifier: BSD-3-Clause */
#include "zmtp/metadata.h"

#include <stdbool.h>
#include <string.h>

#include "base/endian.h"

/* Not isalnum() and tolower(): a locale must not change the protocol. */
static uint8_t
to_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static bool
is_name_octet(uint8_t c)
{
	const uint8_t l = to_lower(c);

	return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' ||
	       c == '+';
}

static bool
is_name(struct bb_zmtp_view v)
{
	for (size_t i = 0; i < v.len; i++) {
		if (!is_name_octet(v.p[i]))
			return false;
	}
	return v.len > 0;
}

static bool
names_equal(struct bb_zmtp_view v, const char *name)
{
	if (v.len != strlen(name))
		return false;
	for (size_t i = 0; i < v.len; i++) {
		if (to_lower(v.p[i]) != to_lower((uint8_t)name[i]))
			return false;
	}
	return true;
}

int
bb_zmtp_metadata_next(struct bb_zmtp_view *left, struct bb_zmtp_property *ret)
{
	const uint8_t *p = left->p;
	size_t n = left->len;

	if (n == 0)
		return 0;
	const struct bb_zmtp_view name = { p + 1, p[0] };
	if (n - 1 < name.len || !is_name(name))
		return -(int)BB_ZMTP_METADATA;
	p += 1 + name.len;
	n -= 1 + name.len;

	if (n < 4)
		return -(int)BB_ZMTP_METADATA;
	const struct bb_zmtp_view value = { p + 4, bb_load_be32(p) };
	if (value.len > BB_ZMTP_VALUE_MAX || n - 4 < value.len)
		return -(int)BB_ZMTP_METADATA;

	*left = (struct bb_zmtp_view){ value.p + value.len, n - 4 - value.len };
	*ret = (struct bb_zmtp_property){ name, value };
	return 1;
}

int
bb_zmtp_metadata_find(struct bb_zmtp_view data, const char *name, struct bb_zmtp_view *ret_value)
{
	struct bb_zmtp_property prop;
	struct bb_zmtp_view value = { NULL, 0 };
	int found = 0, rc;

	while ((rc = bb_zmtp_metadata_next(&data, &prop)) > 0) {
		if (!names_equal(prop.name, name))
			continue;
		if (found)
			return -(int)BB_ZMTP_METADATA;
		value = prop.value;
		found = 1;
	}
	if (rc < 0)
		return rc;
	if (found)
		*ret_value = value;
	return found;
}

int
bb_zmtp_metadata_read(struct bb_zmtp_view data, struct bb_zmtp_peer *ret)
{
	struct bb_zmtp_view type_name = { NULL, 0 }, identity = { NULL, 0 };
	enum bb_zmtp_type type;

	int rc = bb_zmtp_metadata_find(data, "Socket-Type", &type_name);
	if (rc < 0)
		return rc;
	if (rc == 0 || bb_zmtp_type_parse(type_name.p, type_name.len, &type) < 0)
		return -(int)BB_ZMTP_SOCKET_TYPE;

	rc = bb_zmtp_metadata_find(data, "Identity", &identity);
	if (rc < 0)
		return rc;
	if (identity.len > BB_ZMTP_IDENTITY_MAX)
		return -(int)BB_ZMTP_IDENTITY;
	*ret = (struct bb_zmtp_peer){ type, identity };
	return 0;
}
