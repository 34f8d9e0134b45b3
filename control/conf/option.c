/* SPDX-License-Identifier: BSD-3-Clause */
#include "conf/option.h"

#include <assert.h>

#include "base/assert.h"
#include "base/compiler.h"
#include "base/time.h"
#include "conf/value.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)
#define HOUR (3600 * BB_SEC)

static const char *const pattern_names[] = { "pubsub", "pipeline", "reqrep", NULL };
static const char *const roles_names[] = { "auto", "joined", "split", NULL };
static const char *const idle_names[] = { "auto", "poll", "adaptive", NULL };
static const char *const hugepages_names[] = { "auto", "required", "off", NULL };
const char *const bb_conf_subscribe_names[] = { "forward", "all", NULL };
const char *const bb_conf_when_full_names[] = { "drop", "block", "disconnect", NULL };

const struct bb_conf_pattern_info bb_conf_patterns[BB_CONF_PATTERN_COUNT] = {
	[BB_CONF_PUBSUB] = { "pubsub", { { "publishers", "XSUB", BB_CONF_PUBLISHERS, BB_BIT(BB_CONF_BLOCK) },
					       { "subscribers", "XPUB", BB_CONF_SUBSCRIBERS,
						       BB_BIT(BB_CONF_DROP) | BB_BIT(BB_CONF_BLOCK) |
							       BB_BIT(BB_CONF_DISCONNECT) } } },
	[BB_CONF_PIPELINE] = { "pipeline",
		{ { "producers", "PULL", BB_CONF_PRODUCERS, BB_BIT(BB_CONF_BLOCK) },
			{ "consumers", "PUSH", BB_CONF_CONSUMERS, BB_BIT(BB_CONF_BLOCK) } } },
	[BB_CONF_REQREP] = { "reqrep",
		{ { "clients", "ROUTER", BB_CONF_CLIENTS, BB_BIT(BB_CONF_DROP) },
			{ "workers", "DEALER", BB_CONF_WORKERS, BB_BIT(BB_CONF_BLOCK) } } },
};

/* A row's beginning: section, type, and the field of that section's struct. */
#define NODE(key, kind, field)                                          \
	.path = (key), .section = BB_CONF_SECTION_NODE, .type = (kind), \
	.offset = offsetof(struct bb_conf_node, field)
#define PLANE(key, kind, field)                                              \
	.path = (key), .section = BB_CONF_SECTION_DATAPLANE, .type = (kind), \
	.offset = offsetof(struct bb_conf_dataplane, field)
#define ENDPOINT(key, kind, field)                                          \
	.path = (key), .section = BB_CONF_SECTION_ENDPOINT, .type = (kind), \
	.offset = offsetof(struct bb_conf_endpoint, field)
#define SIDE(key, kind, field)                                                                      \
	.path = (key), .section = BB_CONF_SECTION_SIDE, .type = (kind), .sides = BB_CONF_ALL_SIDES, \
	.offset = offsetof(struct bb_conf_side, field)
#define SOME_SIDES(key, kind, field, which)                                               \
	.path = (key), .section = BB_CONF_SECTION_SIDE, .type = (kind), .sides = (which), \
	.offset = offsetof(struct bb_conf_side, field)
#define CONTROL(key, kind, field)                                          \
	.path = (key), .section = BB_CONF_SECTION_CONTROL, .type = (kind), \
	.offset = offsetof(struct bb_conf_control, field)

/* clang-format off */
const struct bb_conf_option bb_conf_options[] = {
	{ NODE("name", BB_CONF_NAME, name), .min = 1, .max = BB_NAME_MAX, .text = "busbar",
	  .help = "name of this node in status and metrics" },

	{ PLANE("cores.io", BB_CONF_CPUS, io_cpus), .text = "auto",
	  .help = "CPUs that own connections; auto shares out the allowed CPUs" },
	{ PLANE("cores.router", BB_CONF_CPUS, router_cpus), .text = "auto",
	  .help = "CPUs that own endpoints; auto shares out the allowed CPUs" },
	{ PLANE("roles", BB_CONF_ENUM, roles), .names = roles_names, .text = "auto",
	  .help = "joined polls both roles on each core, split gives each role its own cores" },
	{ PLANE("idle", BB_CONF_ENUM, idle), .names = idle_names, .text = "auto",
	  .help = "poll never sleeps, adaptive sleeps when there is no work" },
	{ PLANE("memory", BB_CONF_SIZE, memory_bytes), .min = 32 * MIB, .max = 16 * TIB, .text = "1GiB",
	  .help = "message memory, reserved at start" },
	{ PLANE("hugepages", BB_CONF_ENUM, hugepages), .names = hugepages_names, .text = "auto",
	  .help = "take message memory from hugepages: if there are any, or not start without, or never" },
	{ PLANE("linger", BB_CONF_DURATION, linger_ns), .max = HOUR, .text = "5s",
	  .help = "longest time that a drain waits for queued messages to leave" },

	{ ENDPOINT("name", BB_CONF_NAME, name), .min = 1, .max = BB_NAME_MAX,
	  .help = "name of the endpoint, unique in the node" },
	{ ENDPOINT("pattern", BB_CONF_ENUM, pattern), .names = pattern_names,
	  .help = "how messages are routed between the two sides" },
	{ ENDPOINT("subscribe", BB_CONF_ENUM, subscribe), .names = bb_conf_subscribe_names, .text = "forward",
	  .help = "pubsub: ask publishers for what subscribers want, or for all" },

	{ SIDE("bind", BB_CONF_ADDRESSES, binds), .offset2 = offsetof(struct bb_conf_side, bind_count),
	  .max = BB_ADDRESSES_MAX, .text = "",
	  .help = "addresses to listen on: tcp://HOST:PORT; HOST is an address, an interface or *" },
	{ SIDE("connect", BB_CONF_ADDRESSES, connects), .offset2 = offsetof(struct bb_conf_side, connect_count),
	  .max = BB_ADDRESSES_MAX, .text = "",
	  .help = "addresses to connect to, and again whenever the connection breaks" },
	{ SIDE("hwm", BB_CONF_COUNT, hwm), .max = INT32_MAX, .text = "1000",
	  .help = "messages that may queue for one peer; 0 is no limit" },
	{ SIDE("hwm_bytes", BB_CONF_SIZE, hwm_bytes), .max = TIB, .text = "64MiB",
	  .help = "bytes that may queue for one peer; 0 is no limit" },
	{ SIDE("when_full", BB_CONF_ENUM, when_full), .names = bb_conf_when_full_names, .text = "drop",
	  .help = "a message for a full peer: drop it, block its sender, or disconnect the peer" },
	{ SOME_SIDES("block_max", BB_CONF_DURATION, block_max_ns, BB_CONF_SUBSCRIBERS),
	  .max = 24 * HOUR, .text = "30s",
	  .help = "with when_full: block, disconnect a peer that blocks for so long; 0 is never" },
	{ SIDE("max_message", BB_CONF_SIZE, max_message_bytes), .min = 1, .max = TIB, .text = "64MiB",
	  .help = "largest message that is taken from a peer; at most a quarter of dataplane.memory" },
	{ SIDE("max_frames", BB_CONF_COUNT, max_frames), .min = 1, .max = 1u << 20, .text = "65536",
	  .help = "most frames of one message" },
	{ SIDE("sndbuf", BB_CONF_SIZE_AUTO, sndbuf_bytes), .min = 4 * KIB, .max = GIB, .text = "auto",
	  .help = "send buffer of a connection" },
	{ SIDE("rcvbuf", BB_CONF_SIZE_AUTO, rcvbuf_bytes), .min = 4 * KIB, .max = GIB, .text = "auto",
	  .help = "receive buffer of a connection" },
	{ SIDE("heartbeat.interval", BB_CONF_DURATION, heartbeat_interval_ns), .max = 24 * HOUR, .text = "30s",
	  .help = "send a PING to a silent peer so often; 0 is never" },
	{ SIDE("heartbeat.timeout", BB_CONF_DURATION, heartbeat_timeout_ns), .max = 24 * HOUR, .text = "60s",
	  .help = "close a connection from which nothing came for so long after a PING" },
	{ SIDE("heartbeat.ttl", BB_CONF_DURATION, heartbeat_ttl_ns), .max = 6553 * BB_SEC, .text = "0",
	  .help = "tell the peer to close when it hears nothing from us for so long; 0 tells nothing" },
	{ SIDE("handshake_timeout", BB_CONF_DURATION, handshake_timeout_ns), .min = BB_MSEC, .max = HOUR,
	  .text = "30s", .help = "close a connection that is not ready after so long" },
	{ SIDE("reconnect.min", BB_CONF_DURATION, reconnect_min_ns), .min = BB_MSEC, .max = HOUR, .text = "100ms",
	  .help = "shortest wait before connecting again; doubles with each failure" },
	{ SIDE("reconnect.max", BB_CONF_DURATION, reconnect_max_ns), .min = BB_MSEC, .max = HOUR, .text = "30s",
	  .help = "longest wait before connecting again; the wait is drawn at random below it" },
	{ SIDE("backlog", BB_CONF_COUNT, backlog), .min = 1, .max = 65535, .text = "4096",
	  .help = "connections that may wait to be accepted" },
	{ SIDE("keepalive.idle", BB_CONF_DURATION, keepalive_idle_ns), .max = 32767 * BB_SEC, .text = "60s",
	  .help = "silence after which TCP probes the connection; 0 is never" },
	{ SIDE("keepalive.interval", BB_CONF_DURATION, keepalive_interval_ns), .min = BB_SEC,
	  .max = 32767 * BB_SEC, .text = "10s", .help = "time between two such probes" },
	{ SIDE("keepalive.count", BB_CONF_COUNT, keepalive_count), .min = 1, .max = 127, .text = "6",
	  .help = "probes without an answer after which the connection is closed" },
	{ SIDE("peers_max", BB_CONF_COUNT, peers_max), .max = UINT32_MAX, .text = "0",
	  .help = "peers that may be connected at a time; 0 is no limit of its own" },
	{ SOME_SIDES("subscriptions_max", BB_CONF_COUNT, subscriptions_max, BB_CONF_SUBSCRIBERS),
	  .max = UINT32_MAX, .text = "1000000", .help = "subscriptions that one peer may have" },
	{ SOME_SIDES("handover", BB_CONF_BOOL, handover, BB_CONF_CLIENTS), .text = "false",
	  .help = "a new peer with a routing id in use takes it over, instead of being refused" },
	{ SOME_SIDES("identity", BB_CONF_TEXT, identity, BB_CONF_CLIENTS | BB_CONF_WORKERS),
	  .max = BB_ROUTING_ID_MAX, .text = "", .help = "routing id that we give to peers; empty gives none" },

	{ CONTROL("socket", BB_CONF_PATH, socket), .max = BB_CONF_PATH_MAX, .text = "null",
	  .help = "Unix socket of the management API; null is /run/busbar/control.sock for root, else in the "
		  "user's runtime directory" },
	{ CONTROL("http", BB_CONF_LISTEN, http), .text = "null",
	  .help = "loopback HOST:PORT where the management API listens too; null is nowhere" },
};
/* clang-format on */

const size_t bb_conf_option_count = BB_ARRAY_LEN(bb_conf_options);
static_assert(BB_ARRAY_LEN(bb_conf_options) < 64, "bits of `set` name the rows of a section");

const struct bb_conf_option *
bb_conf_section_options(enum bb_conf_section section, size_t *ret_count)
{
	size_t first = 0;

	while (bb_conf_options[first].section != section)
		first++;
	size_t end = first;
	while (end < bb_conf_option_count && bb_conf_options[end].section == section)
		end++;
	*ret_count = end - first;
	return &bb_conf_options[first];
}

void
bb_conf_defaults(enum bb_conf_section section, void *base)
{
	size_t count;
	const struct bb_conf_option *options = bb_conf_section_options(section, &count);

	for (size_t i = 0; i < count; i++) {
		char why[BB_CONF_WHY_MAX];
		if (options[i].text == NULL || options[i].type == BB_CONF_ADDRESSES)
			continue;
		const int r = bb_conf_value_parse(&options[i], options[i].text, base, why);
		BB_ASSERT(r == 0); /* our own table; its test parses every default */
	}
}
