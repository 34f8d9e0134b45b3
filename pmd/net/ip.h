/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ip: addresses and flow keys. One form for both families: an IPv4 address is kept as
 * ::ffff:a.b.c.d (RFC 4291 2.5.5.2), so tables and comparisons need not know the family.
 */
#ifndef BB_NET_IP_H
#define BB_NET_IP_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/endian.h"

struct bb_ip {
	uint8_t b[16];
};

/* A connection as this end sees it; ports in host order. No padding: it is hashed and compared as bytes. */
struct bb_flow_key {
	struct bb_ip remote, local;
	uint16_t rport, lport;
};
static_assert(sizeof(struct bb_flow_key) == 36, "hashed as bytes, so it must not have padding");

static inline bool
bb_ip_is4(const struct bb_ip *ip)
{
	static const uint8_t prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	return memcmp(ip->b, prefix, sizeof(prefix)) == 0;
}

/* From four octets in network order. */
static inline struct bb_ip
bb_ip_from4(const void *octets)
{
	struct bb_ip ip = { .b = { [10] = 0xff, [11] = 0xff } };
	memcpy(ip.b + 12, octets, 4);
	return ip;
}

static inline struct bb_ip
bb_ip_from6(const void *octets)
{
	struct bb_ip ip;
	memcpy(ip.b, octets, 16);
	return ip;
}

static inline bool
bb_ip_eq(const struct bb_ip *a, const struct bb_ip *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static inline bool
bb_ip_is_zero(const struct bb_ip *ip)
{
	static const struct bb_ip zero;
	return bb_ip_eq(ip, &zero) || (bb_ip_is4(ip) && bb_load_be32(ip->b + 12) == 0);
}

/* Multicast of either family, and the limited broadcast address. */
static inline bool
bb_ip_is_multicast(const struct bb_ip *ip)
{
	if (bb_ip_is4(ip))
		return ip->b[12] >= 224; /* 224/4 multicast, 240/4 reserved with broadcast at its end */
	return ip->b[0] == 0xff;
}

static inline bool
bb_ip_is_loopback(const struct bb_ip *ip)
{
	static const struct bb_ip one = { .b = { [15] = 1 } };
	return bb_ip_is4(ip) ? ip->b[12] == 127 : bb_ip_eq(ip, &one);
}

static inline bool
bb_ip_is_link_local(const struct bb_ip *ip)
{
	return ip->b[0] == 0xfe && (ip->b[1] & 0xc0) == 0x80;
}

/* True if a and b agree in their first len bits; for IPv4 len counts from the first of the four octets. */
static inline bool
bb_ip_prefix_eq(const struct bb_ip *a, const struct bb_ip *b, unsigned len)
{
	if (bb_ip_is4(a) != bb_ip_is4(b))
		return false;
	len += bb_ip_is4(a) ? 96 : 0;
	if (memcmp(a, b, len / 8) != 0)
		return false;
	return len % 8 == 0 || ((a->b[len / 8] ^ b->b[len / 8]) & (0xff00 >> (len % 8)) & 0xff) == 0;
}

static inline bool
bb_flow_key_eq(const struct bb_flow_key *a, const struct bb_flow_key *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

#endif
