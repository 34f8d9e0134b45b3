/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_command: any command body parses into views that lie inside it, or is refused; what parsed is encoded
 * again and parses to the same. READY's metadata is walked, too. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "zmtp/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(int x)
{
	if (!x)
		abort();
}

static int
inside(struct bb_zmtp_view v, const uint8_t *data, size_t size)
{
	return v.p >= data && v.len <= size && (size_t)(v.p - data) <= size - v.len;
}

static int
equal(struct bb_zmtp_view a, struct bb_zmtp_view b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static void
check_metadata(struct bb_zmtp_view data)
{
	struct bb_zmtp_view left = data, value;
	struct bb_zmtp_property prop;
	struct bb_zmtp_peer peer;
	int rc;

	while ((rc = bb_zmtp_metadata_next(&left, &prop)) > 0) {
		require(inside(prop.name, data.p, data.len) && inside(prop.value, data.p, data.len));
		require(inside(left, data.p, data.len) && prop.name.len > 0);
	}
	require(rc == -(int)BB_ZMTP_METADATA || (rc == 0 && left.len == 0));
	if (rc < 0)
		require(bb_zmtp_metadata_find(data, "Socket-Type", &value) == rc);
	const int read_rc = bb_zmtp_metadata_read(data, &peer);
	if (read_rc == 0) {
		require(rc == 0 && peer.identity.len <= BB_ZMTP_IDENTITY_MAX);
		require(bb_zmtp_type_name(peer.type) != NULL);

		uint8_t p[BB_ZMTP_READY_MAX];
		struct bb_zmtp_peer again;
		const size_t n = bb_zmtp_encode_ready(p, sizeof(p), peer.type, &peer.identity);
		struct bb_frame f = { 0 };
		struct bb_zmtp_command c;
		const int head = bb_frame_parse(p, n, &f);
		require(head > 0 && bb_zmtp_command_parse(p + head, f.len, &c) == 0);
		require(c.type == BB_ZMTP_CMD_READY && bb_zmtp_metadata_read(c.data, &again) == 0);
		require(again.type == peer.type && equal(again.identity, peer.identity));
	}
}

static size_t
encode(uint8_t *p, size_t size, const struct bb_zmtp_command *c)
{
	const struct bb_zmtp_subscription sub = { c->type == BB_ZMTP_CMD_SUBSCRIBE, c->data };
	char reason[BB_ZMTP_REASON_MAX + 1] = { 0 };

	switch (c->type) {
	case BB_ZMTP_CMD_ERROR:
		memcpy(reason, c->data.p, c->data.len);
		return strlen(reason) == c->data.len ? bb_zmtp_encode_error(p, size, reason) : 0;
	case BB_ZMTP_CMD_SUBSCRIBE:
	case BB_ZMTP_CMD_CANCEL:
		return bb_zmtp_encode_subscription(p, size, &sub, true);
	case BB_ZMTP_CMD_PING:
		return bb_zmtp_encode_ping(p, size, c->ttl_ds, c->data);
	case BB_ZMTP_CMD_PONG:
		return bb_zmtp_encode_pong(p, size, c->data);
	default:
		return 0;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bb_zmtp_command c, again;
	struct bb_zmtp_subscription sub;
	static uint8_t p[1 << 17];
	struct bb_frame f = { 0 };

	if (bb_zmtp_subscription_parse(data, size, &sub))
		require(inside(sub.topic, data, size) && sub.topic.len == size - 1);
	const int rc = bb_zmtp_command_parse(data, size, &c);
	require(rc <= 0 && rc > -(int)BB_ZMTP_CAUSE_COUNT);
	if (rc < 0)
		return 0;
	require(inside(c.name, data, size) && inside(c.data, data, size) && c.name.len > 0);
	if (c.type == BB_ZMTP_CMD_READY)
		check_metadata(c.data);

	const size_t n = encode(p, sizeof(p), &c);
	if (n == 0)
		return 0;
	const int head = bb_frame_parse(p, n, &f);
	require(head > 0 && f.flags == BB_FRAME_COMMAND && f.len == n - (size_t)head);
	require(bb_zmtp_command_parse(p + head, f.len, &again) == 0);
	require(again.type == c.type && again.ttl_ds == c.ttl_ds && equal(again.data, c.data));
	return 0;
}
