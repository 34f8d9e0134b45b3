/* SPDX-License-Identifier: BSD-3-Clause */
#include "desired.h"

#include <string.h>

#include "base/assert.h"
#include "base/compiler.h"
#include "base/time.h"

/* Both sides of the channel count alike; the option table and the ABI say so each for themselves. */
static_assert(
	(int)BB_CONF_ROLES_JOINED == BB_ROLES_JOINED && (int)BB_CONF_ROLES_SPLIT == BB_ROLES_SPLIT, "roles");
static_assert(
	(int)BB_CONF_IDLE_POLL == BB_IDLE_POLL && (int)BB_CONF_IDLE_ADAPTIVE == BB_IDLE_ADAPTIVE, "idle");
static_assert((int)BB_CONF_HUGEPAGES_REQUIRED == BB_HUGEPAGES_REQUIRED &&
		      (int)BB_CONF_HUGEPAGES_OFF == BB_HUGEPAGES_OFF,
	"hugepages");
static_assert(BB_NAME_MAX < BB_CMD_NAME_MAX && BB_ADDRESS_TEXT_MAX < BB_CMD_ADDRESS_MAX &&
		      BB_ADDRESSES_MAX <= BB_CMD_ADDRESSES_MAX && BB_CORES_MAX <= BB_CMD_CPUS_MAX &&
		      BB_ROUTING_ID_MAX <= BB_CMD_ID_MAX,
	"whatever can be configured fits the channel");

static uint32_t
fill_cpus(uint16_t *ret, const struct bb_conf_cpus *cpus)
{
	uint32_t count = 0;

	for (uint16_t cpu = 0; cpu < BB_CONF_CPUS_MAX; cpu++)
		if (cpus->bits[cpu / 64] >> (cpu % 64) & 1) {
			BB_ASSERT(count < BB_CMD_CPUS_MAX); /* conf/check.c */
			ret[count++] = cpu;
		}
	return count;
}

void
bb_desired_plan(struct bb_cmd_plan *ret, const struct bb_conf *conf)
{
	const struct bb_conf_dataplane *plane = &conf->dataplane;

	memset(ret, 0, sizeof(*ret));
	ret->io_count = fill_cpus(ret->io_cpu, &plane->io_cpus);
	ret->router_count = fill_cpus(ret->router_cpu, &plane->router_cpus);
	ret->roles = plane->roles;
	ret->idle = plane->idle;
	ret->hugepages = plane->hugepages;
	ret->memory_bytes = plane->memory_bytes;
	ret->linger_ns = plane->linger_ns;
	strcpy(ret->node_name, conf->node.name);
}

static void
fill_side(struct bb_cmd_side *ret, const struct bb_conf_side *side)
{
	ret->hwm_bytes = side->hwm_bytes;
	ret->block_max_ns = side->block_max_ns;
	ret->max_message = side->max_message_bytes;
	ret->handshake_timeout_ns = side->handshake_timeout_ns;
	ret->heartbeat_interval_ns = side->heartbeat_interval_ns;
	ret->heartbeat_timeout_ns = side->heartbeat_timeout_ns;
	ret->heartbeat_ttl_ns = side->heartbeat_ttl_ns;
	ret->reconnect_min_ns = side->reconnect_min_ns;
	ret->reconnect_max_ns = side->reconnect_max_ns;
	ret->hwm_msgs = (uint32_t)side->hwm;
	ret->when_full = side->when_full + 1; /* there 0 is none */
	ret->max_frames = (uint32_t)side->max_frames;
	ret->peers_max = (uint32_t)side->peers_max;
	ret->subscriptions_max = (uint32_t)side->subscriptions_max;
	ret->backlog = (uint32_t)side->backlog;
	ret->sndbuf_bytes = (uint32_t)side->sndbuf_bytes;
	ret->rcvbuf_bytes = (uint32_t)side->rcvbuf_bytes;
	ret->keepalive_idle_s = (uint32_t)(side->keepalive_idle_ns / BB_SEC);
	ret->keepalive_interval_s = (uint32_t)(side->keepalive_interval_ns / BB_SEC);
	ret->keepalive_count = (uint32_t)side->keepalive_count;
	ret->handover = side->handover;
	ret->identity_len = (uint32_t)strlen(side->identity);
	memcpy(ret->identity, side->identity, ret->identity_len);
	ret->bind_count = side->bind_count;
	ret->connect_count = side->connect_count;
	for (uint32_t i = 0; i < side->bind_count; i++)
		strcpy(ret->bind[i].text, side->binds[i].text);
	for (uint32_t i = 0; i < side->connect_count; i++)
		strcpy(ret->connect[i].text, side->connects[i].text);
}

void
bb_desired_endpoint(struct bb_cmd_endpoint *ret, const struct bb_conf_endpoint *e)
{
	memset(ret, 0, sizeof(*ret));
	strcpy(ret->name, e->name);
	ret->pattern = e->pattern + 1; /* there 0 is none */
	ret->subscribe_all = e->subscribe == BB_CONF_SUBSCRIBE_ALL;
	for (unsigned i = 0; i < 2; i++)
		fill_side(&ret->side[i], &e->sides[i]);
}
