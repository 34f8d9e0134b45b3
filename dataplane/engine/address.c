/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCHEME "tcp://"

static int
parse_port(const char *text, uint16_t *ret)
{
	unsigned long port = 0;

	if (strcmp(text, "*") == 0) {
		*ret = 0;
		return 0;
	}
	if (*text == '\0')
		return -EINVAL;
	for (const char *p = text; *p != '\0'; p++) {
		if (*p < '0' || *p > '9')
			return -EINVAL;
		port = port * 10 + (unsigned long)(*p - '0');
		if (port > UINT16_MAX)
			return -EINVAL;
	}
	*ret = (uint16_t)port;
	return 0;
}

int
bb_address_parse(const char *text, struct bb_address *ret, struct bb_text *why)
{
	struct bb_address a = { .host = "" };
	const char *host = text + strlen(SCHEME);
	const char *colon = strrchr(text, ':');

	if (strncmp(text, SCHEME, strlen(SCHEME)) != 0)
		return bb_text_fail(why, -EINVAL, "%s: unknown transport: write tcp://HOST:PORT", text);
	if (colon < host || strlen(host) >= sizeof(a.host) || parse_port(colon + 1, &a.port) != 0)
		return bb_text_fail(why, -EINVAL, "%s: no port: write tcp://HOST:PORT", text);
	size_t len = (size_t)(colon - host);
	const bool bracketed = len >= 2 && host[0] == '[' && host[len - 1] == ']';
	if (bracketed) {
		host++;
		len -= 2;
	}
	memcpy(a.host, host, len);
	if (len == 0 || strpbrk(a.host, "[]/ ") != NULL || (!bracketed && strchr(a.host, ':') != NULL))
		return bb_text_fail(
			why, -EINVAL, "%s: bad host: write tcp://HOST:PORT, IPv6 in brackets", text);
	*ret = a;
	return 0;
}

static struct sockaddr_storage
make_v4(struct in_addr ip, uint16_t port)
{
	struct sockaddr_storage s = { 0 };
	struct sockaddr_in *v4 = (void *)&s;

	v4->sin_family = AF_INET;
	v4->sin_addr = ip;
	v4->sin_port = htons(port);
	return s;
}

static struct sockaddr_storage
make_v6(const struct in6_addr *ip, uint32_t scope, uint16_t port)
{
	struct sockaddr_storage s = { 0 };
	struct sockaddr_in6 *v6 = (void *)&s;

	v6->sin6_family = AF_INET6;
	v6->sin6_addr = *ip;
	v6->sin6_scope_id = scope;
	v6->sin6_port = htons(port);
	return s;
}

int
bb_address_literal(const struct bb_address *a, struct sockaddr_storage *ret)
{
	char host[sizeof(a->host)];
	struct in_addr v4;
	struct in6_addr v6;
	uint32_t scope = 0;

	if (inet_pton(AF_INET, a->host, &v4) == 1) {
		*ret = make_v4(v4, a->port);
		return 0;
	}
	memcpy(host, a->host, sizeof(host));
	char *percent = strchr(host, '%');
	if (percent != NULL) {
		*percent = '\0';
		scope = if_nametoindex(percent + 1);
		if (scope == 0)
			scope = (uint32_t)strtoul(percent + 1, NULL, 10);
	}
	if (inet_pton(AF_INET6, host, &v6) != 1)
		return -EAGAIN;
	*ret = make_v6(&v6, scope, a->port);
	return 0;
}

/* The address of an interface; IPv4 first, link-local IPv6 last. */
static int
interface_address(const struct bb_address *a, struct sockaddr_storage *ret)
{
	struct ifaddrs *list;
	int best = 0;

	if (getifaddrs(&list) != 0)
		return -errno;
	for (const struct ifaddrs *i = list; i != NULL; i = i->ifa_next) {
		if (i->ifa_addr == NULL || strcmp(i->ifa_name, a->host) != 0)
			continue;
		if (i->ifa_addr->sa_family == AF_INET && best < 3) {
			const struct sockaddr_in *v4 = (const void *)i->ifa_addr;
			*ret = make_v4(v4->sin_addr, a->port);
			best = 3;
		} else if (i->ifa_addr->sa_family == AF_INET6) {
			const struct sockaddr_in6 *v6 = (const void *)i->ifa_addr;
			const int rank = IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr) ? 1 : 2;
			if (rank <= best)
				continue;
			*ret = make_v6(&v6->sin6_addr, v6->sin6_scope_id, a->port);
			best = rank;
		}
	}
	freeifaddrs(list);
	return best > 0 ? 0 : -ENODEV;
}

int
bb_address_local(const struct bb_address *a, struct sockaddr_storage *ret, struct bb_text *why)
{
	if (strcmp(a->host, "*") == 0) {
		*ret = make_v6(&in6addr_any, 0, a->port); /* takes IPv4, too */
		return 0;
	}
	if (bb_address_literal(a, ret) == 0)
		return 0;
	const int error = interface_address(a, ret);
	if (error == -ENODEV && strcmp(a->host, "localhost") == 0) {
		*ret = make_v4((struct in_addr){ htonl(INADDR_LOOPBACK) }, a->port);
		return 0;
	}
	if (error != 0)
		return bb_text_fail(why, error,
			"tcp://%s:%u: no interface of that name has an address; bind takes an address, an "
			"interface or *",
			a->host, a->port);
	return 0;
}

bool
bb_address_equal(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;

	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET)
		return a4->sin_port != 0 && a4->sin_port == b4->sin_port &&
		       a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	return a6->sin6_port != 0 && a6->sin6_port == b6->sin6_port &&
	       a6->sin6_scope_id == b6->sin6_scope_id && IN6_ARE_ADDR_EQUAL(&a6->sin6_addr, &b6->sin6_addr);
}
