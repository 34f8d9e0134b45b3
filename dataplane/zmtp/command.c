/* SPDX-License-Identifier: BSD-3-Clause */
#include "zmtp/command.h"

#include <string.h>

#include "base/assert.h"
#include "base/endian.h"

struct command_name {
	const char *name;
	enum bb_zmtp_command_type type;
};

static const struct command_name command_names[] = {
	{ "READY", BB_ZMTP_CMD_READY },
	{ "ERROR", BB_ZMTP_CMD_ERROR },
	{ "SUBSCRIBE", BB_ZMTP_CMD_SUBSCRIBE },
	{ "CANCEL", BB_ZMTP_CMD_CANCEL },
	{ "PING", BB_ZMTP_CMD_PING },
	{ "PONG", BB_ZMTP_CMD_PONG },
};

static enum bb_zmtp_command_type
type_of(struct bb_zmtp_view name)
{
	for (size_t i = 0; i < BB_ARRAY_LEN(command_names); i++) {
		const char *known = command_names[i].name;
		if (strlen(known) == name.len && memcmp(known, name.p, name.len) == 0)
			return command_names[i].type;
	}
	return BB_ZMTP_CMD_UNKNOWN;
}

static void
cut_context(struct bb_zmtp_view *v)
{
	if (v->len > BB_ZMTP_CONTEXT_MAX)
		v->len = BB_ZMTP_CONTEXT_MAX;
}

int
bb_zmtp_command_parse(const uint8_t *body, size_t len, struct bb_zmtp_command *ret)
{
	if (len == 0 || body[0] == 0 || len - 1 < body[0])
		return -(int)BB_ZMTP_COMMAND;

	const struct bb_zmtp_view name = { body + 1, body[0] };
	struct bb_zmtp_view data = { body + 1 + name.len, len - 1 - name.len };
	const enum bb_zmtp_command_type type = type_of(name);
	uint16_t ttl_ds = 0;

	switch (type) {
	case BB_ZMTP_CMD_PING:
		if (data.len < 2)
			return -(int)BB_ZMTP_PING;
		ttl_ds = bb_load_be16(data.p);
		data = (struct bb_zmtp_view){ data.p + 2, data.len - 2 };
		cut_context(&data);
		break;
	case BB_ZMTP_CMD_PONG:
		cut_context(&data);
		break;
	case BB_ZMTP_CMD_ERROR:
		if (data.len == 0 || data.len - 1 < data.p[0])
			return -(int)BB_ZMTP_ERROR;
		data = (struct bb_zmtp_view){ data.p + 1, data.p[0] };
		break;
	default:
		break;
	}
	*ret = (struct bb_zmtp_command){ .type = type, .ttl_ds = ttl_ds, .name = name, .data = data };
	return 0;
}

bool
bb_zmtp_subscription_parse(const uint8_t *body, size_t len, struct bb_zmtp_subscription *ret)
{
	if (len == 0 || body[0] > 1)
		return false;
	*ret = (struct bb_zmtp_subscription){ body[0] == 1, { body + 1, len - 1 } };
	return true;
}

static uint8_t *
put(uint8_t *p, const void *octets, size_t len)
{
	if (len > 0) /* an empty view may point nowhere */
		memcpy(p, octets, len);
	return p + len;
}

static uint8_t *
put_short_string(uint8_t *p, const char *s, size_t len)
{
	*p++ = (uint8_t)len;
	return put(p, s, len);
}

/*
 * Begin a command frame with data_len octets after its name. Returns where the data goes, and the frame's
 * length, or NULL if it does not fit.
 */
static uint8_t *
begin_command(uint8_t *p, size_t size, const char *name, size_t data_len, size_t *ret_wire_len)
{
	const size_t name_len = strlen(name);
	const uint64_t body_len = 1 + name_len + (uint64_t)data_len;

	if (bb_frame_wire_len(body_len) > size)
		return NULL;
	*ret_wire_len = (size_t)bb_frame_wire_len(body_len);
	p += bb_frame_write(p, BB_FRAME_COMMAND, body_len);
	return put_short_string(p, name, name_len);
}

static size_t
property_len(const char *name, size_t value_len)
{
	return 1 + strlen(name) + 4 + value_len;
}

static uint8_t *
put_property(uint8_t *p, const char *name, const void *value, size_t value_len)
{
	p = put_short_string(p, name, strlen(name));
	bb_store_be32(p, (uint32_t)value_len);
	return put(p + 4, value, value_len);
}

size_t
bb_zmtp_encode_ready(uint8_t *p, size_t size, enum bb_zmtp_type type, const struct bb_zmtp_view *identity)
{
	const char *type_name = bb_zmtp_type_name(type);
	size_t wire_len;

	BB_ASSERT(type_name != NULL);
	BB_ASSERT(identity == NULL ||
		  identity->len <= BB_ZMTP_IDENTITY_MAX); /* checked with the configuration */

	const size_t type_len = strlen(type_name);
	size_t data_len = property_len("Socket-Type", type_len);
	if (identity != NULL)
		data_len += property_len("Identity", identity->len);

	uint8_t *q = begin_command(p, size, "READY", data_len, &wire_len);
	if (q == NULL)
		return 0;
	q = put_property(q, "Socket-Type", type_name, type_len);
	if (identity != NULL)
		put_property(q, "Identity", identity->p, identity->len);
	return wire_len;
}

size_t
bb_zmtp_encode_error(uint8_t *p, size_t size, const char *reason)
{
	const size_t len = strnlen(reason, BB_ZMTP_REASON_MAX);
	size_t wire_len;

	uint8_t *q = begin_command(p, size, "ERROR", 1 + len, &wire_len);
	if (q == NULL)
		return 0;
	put_short_string(q, reason, len);
	return wire_len;
}

static const char *
subscription_name(const struct bb_zmtp_subscription *sub)
{
	return sub->subscribe ? "SUBSCRIBE" : "CANCEL";
}

size_t
bb_zmtp_subscription_wire_len(const struct bb_zmtp_subscription *sub, bool as_command)
{
	const size_t head_len = as_command ? 1 + strlen(subscription_name(sub)) : 1;

	return (size_t)bb_frame_wire_len(head_len + (uint64_t)sub->topic.len);
}

size_t
bb_zmtp_encode_subscription(uint8_t *p, size_t size, const struct bb_zmtp_subscription *sub, bool as_command)
{
	size_t wire_len = bb_zmtp_subscription_wire_len(sub, as_command);

	if (wire_len > size)
		return 0;
	if (as_command) {
		p = begin_command(p, size, subscription_name(sub), sub->topic.len, &wire_len);
	} else {
		p += bb_frame_write(p, 0, 1 + (uint64_t)sub->topic.len);
		*p++ = sub->subscribe;
	}
	put(p, sub->topic.p, sub->topic.len);
	return wire_len;
}

size_t
bb_zmtp_encode_ping(uint8_t *p, size_t size, uint16_t ttl_ds, struct bb_zmtp_view context)
{
	size_t wire_len;

	cut_context(&context);
	uint8_t *q = begin_command(p, size, "PING", 2 + context.len, &wire_len);
	if (q == NULL)
		return 0;
	bb_store_be16(q, ttl_ds);
	put(q + 2, context.p, context.len);
	return wire_len;
}

size_t
bb_zmtp_encode_pong(uint8_t *p, size_t size, struct bb_zmtp_view context)
{
	size_t wire_len;

	cut_context(&context);
	uint8_t *q = begin_command(p, size, "PONG", context.len, &wire_len);
	if (q == NULL)
		return 0;
	put(q, context.p, context.len);
	return wire_len;
}
