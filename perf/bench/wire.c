/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/wire.h"

#include <errno.h>
#include <string.h>

#include "base/endian.h"

void
bb_wire_greeting(uint8_t out[BB_WIRE_GREETING])
{
	memset(out, 0, BB_WIRE_GREETING);
	out[0] = 0xff;
	out[8] = 1; /* a peer of version 1.0 reads a frame of one octet */
	out[9] = 0x7f;
	out[10] = 3;
	out[11] = 1;
	memcpy(out + 12, "NULL", 4);
}

int
bb_wire_greeting_check(const uint8_t in[BB_WIRE_GREETING])
{
	static const uint8_t null_mechanism[20] = "NULL";

	if (in[0] != 0xff || (in[9] & 1) == 0 || in[10] < 3)
		return -EPROTO;
	if (memcmp(in + 12, null_mechanism, sizeof(null_mechanism)) != 0)
		return -EPROTO;
	return in[10] > 3 ? 1 : in[11];
}

size_t
bb_wire_head_put(uint8_t out[BB_WIRE_HEAD_MAX], uint8_t flags, uint64_t len)
{
	if (len <= UINT8_MAX) {
		out[0] = flags;
		out[1] = (uint8_t)len;
		return 2;
	}
	out[0] = flags | BB_WIRE_LONG;
	bb_store_be64(out + 1, len);
	return 9;
}

int
bb_wire_head_get(const uint8_t *p, size_t n, struct bb_wire_head *ret)
{
	if (n < 2)
		return 0;
	if ((p[0] & ~(BB_WIRE_MORE | BB_WIRE_LONG | BB_WIRE_COMMAND)) != 0)
		return -EPROTO;
	if ((p[0] & BB_WIRE_COMMAND) != 0 && (p[0] & BB_WIRE_MORE) != 0)
		return -EPROTO;
	if ((p[0] & BB_WIRE_LONG) == 0) {
		*ret = (struct bb_wire_head){ .flags = p[0], .bytes = 2, .len = p[1] };
		return 2;
	}
	if (n < 9)
		return 0;
	const uint64_t len = bb_load_be64(p + 1);
	if (len > INT64_MAX)
		return -EPROTO;
	*ret = (struct bb_wire_head){ .flags = p[0], .bytes = 9, .len = len };
	return 9;
}

static uint8_t *
property_put(uint8_t *p, const char *name, const char *value)
{
	const size_t name_len = strlen(name);
	const size_t value_len = strlen(value);

	*p++ = (uint8_t)name_len;
	memcpy(p, name, name_len);
	p += name_len;
	bb_store_be32(p, (uint32_t)value_len);
	memcpy(p + 4, value, value_len);
	return p + 4 + value_len;
}

/* A command with a body of at most 255 octets: name, then data. */
static size_t
command_put(uint8_t *out, const char *name, const void *data, size_t len)
{
	const size_t name_len = strlen(name);
	const size_t head = bb_wire_head_put(out, BB_WIRE_COMMAND, 1 + name_len + len);

	out[head] = (uint8_t)name_len;
	memcpy(out + head + 1, name, name_len);
	if (len > 0)
		memcpy(out + head + 1 + name_len, data, len);
	return head + 1 + name_len + len;
}

size_t
bb_wire_ready_put(uint8_t out[BB_WIRE_READY_MAX], const char *type, bool identity)
{
	uint8_t properties[BB_WIRE_READY_MAX];
	uint8_t *end = property_put(properties, "Socket-Type", type);

	if (identity)
		end = property_put(end, "Identity", "");
	return command_put(out, "READY", properties, (size_t)(end - properties));
}

size_t
bb_wire_subscribe_put(uint8_t *out, int minor, const void *topic, size_t len)
{
	if (minor >= 1)
		return command_put(out, "SUBSCRIBE", topic, len);

	const size_t head = bb_wire_head_put(out, 0, len + 1);
	out[head] = 1;
	if (len > 0)
		memcpy(out + head + 1, topic, len);
	return head + 1 + len;
}

size_t
bb_wire_ping_put(uint8_t *out)
{
	static const uint8_t no_ttl[2];

	return command_put(out, "PING", no_ttl, sizeof(no_ttl));
}

size_t
bb_wire_pong_put(uint8_t *out, const void *context, size_t len)
{
	return command_put(out, "PONG", context, len);
}

bool
bb_wire_command_is(const uint8_t *p, size_t have, const char *name)
{
	const size_t len = strlen(name);

	return have >= len + 1 && p[0] == len && memcmp(p + 1, name, len) == 0;
}
