/* SPDX-License-Identifier: BSD-3-Clause */
#include "conf/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Transports that exist in the design of the product but not in this version, or not at all here. */
static const struct {
	const char *scheme;
	const char *why;
} scheme_refused[] = {
	{ "ipc://", "transport ipc is not built in: use tcp://HOST:PORT" },
	{ "inproc://", "transport inproc works inside one process only: use tcp://HOST:PORT" },
	{ "shm://", "transport shm is not built in: use tcp://HOST:PORT" },
	{ "pgm://", "transport pgm is not built in: use tcp://HOST:PORT" },
	{ "epgm://", "transport epgm is not built in: use tcp://HOST:PORT" },
	{ "udp://", "transport udp is not built in: use tcp://HOST:PORT" },
	{ "ws://", "transport ws is not built in: use tcp://HOST:PORT" },
	{ "wss://", "transport wss is not built in: use tcp://HOST:PORT" },
	{ "vmci://", "transport vmci is not built in: use tcp://HOST:PORT" },
	{ "tipc://", "transport tipc is not built in: use tcp://HOST:PORT" },
};

static int
parse_port(uint16_t *ret, const char *text, const char **ret_why)
{
	unsigned long port = 0;
	size_t digits = 0;

	for (; isdigit((unsigned char)text[digits]) && digits < 6; digits++)
		port = port * 10 + (unsigned long)(text[digits] - '0');
	if (digits == 0 || text[digits] != '\0' || port == 0 || port > 65535) {
		*ret_why = "bad port: a number from 1 to 65535 is needed, as in tcp://127.0.0.1:5559";
		return -EINVAL;
	}
	*ret = (uint16_t)port;
	return 0;
}

static bool
name_allowed(const char *host)
{
	bool digits_and_dots = true;

	for (const char *p = host; *p != '\0'; p++) {
		const unsigned char c = (unsigned char)*p;
		if (!isalnum(c) && strchr("-_.@", c) == NULL)
			return false;
		if (!isdigit(c) && c != '.')
			digits_and_dots = false;
	}
	/* 10.0.0.300 is a mistyped address, not a name; nor is there a name with an empty label */
	return !digits_and_dots && host[0] != '.' && host[0] != '-' && strstr(host, "..") == NULL;
}

/* "[address]" or "[address%scope]"; host comes without the brackets. */
static int
parse_v6(struct bb_conf_address *a, const char **ret_why)
{
	char literal[INET6_ADDRSTRLEN];
	const char *scope = strchr(a->host, '%');
	const size_t len = scope != NULL ? (size_t)(scope - a->host) : strlen(a->host);

	if (len < sizeof(literal) &&
		(scope == NULL || (strlen(scope + 1) <= 15 && name_allowed(scope + 1)))) {
		memcpy(literal, a->host, len);
		literal[len] = '\0';
		if (inet_pton(AF_INET6, literal, a->ip) == 1) {
			a->kind = BB_ADDRESS_V6;
			return 0;
		}
	}
	*ret_why = "bad IPv6 address between the brackets: write it as in tcp://[fd00::10]:5559";
	return -EINVAL;
}

static int
parse_host(struct bb_conf_address *a, const char *host, size_t len, const char **ret_why)
{
	const bool bracketed = len >= 2 && host[0] == '[' && host[len - 1] == ']';

	if (len == 0) {
		*ret_why =
			"no host: write an address, a name or * before the port, as in tcp://127.0.0.1:5559";
		return -EINVAL;
	}
	if (bracketed) {
		host++;
		len -= 2;
	}
	if (len > BB_ADDRESS_HOST_MAX) {
		*ret_why = "host is too long: a name has at most 113 characters";
		return -EINVAL;
	}
	memcpy(a->host, host, len);
	a->host[len] = '\0';
	if (bracketed)
		return parse_v6(a, ret_why);
	if (strcmp(a->host, "*") == 0) {
		a->kind = BB_ADDRESS_ANY;
		return 0;
	}
	if (inet_pton(AF_INET, a->host, a->ip) == 1) {
		a->kind = BB_ADDRESS_V4;
		return 0;
	}
	if (strchr(a->host, ':') != NULL) {
		*ret_why = "an IPv6 address needs brackets: write it as in tcp://[fd00::10]:5559";
		return -EINVAL;
	}
	if (strchr(a->host, ';') != NULL) {
		*ret_why = "source addresses are not supported: leave out what stands before the semicolon";
		return -EINVAL;
	}
	if (strchr(a->host, '/') != NULL || !name_allowed(a->host)) {
		*ret_why = "bad host: write an IPv4 address, an IPv6 address in brackets, a name or *";
		return -EINVAL;
	}
	a->kind = BB_ADDRESS_NAME;
	return 0;
}

static int
parse_host_port(struct bb_conf_address *a, const char *text, const char **ret_why)
{
	const char *colon = strrchr(text, ':');

	if (colon == NULL || (text[0] == '[' && strchr(colon, ']') != NULL)) {
		*ret_why = "no port: write HOST:PORT, as in 127.0.0.1:5559";
		return -EINVAL;
	}
	int r = parse_host(a, text, (size_t)(colon - text), ret_why);
	if (r < 0)
		return r;
	r = parse_port(&a->port, colon + 1, ret_why);
	if (r < 0)
		return r;

	if (a->kind == BB_ADDRESS_V6) { /* two spellings of one address become one text */
		char scope[16] = "";
		if (strchr(a->host, '%') != NULL)
			snprintf(scope, sizeof(scope), "%s", strchr(a->host, '%') + 1);
		inet_ntop(AF_INET6, a->ip, a->host, sizeof(a->host));
		if (scope[0] != '\0') {
			const size_t len = strlen(a->host);
			snprintf(a->host + len, sizeof(a->host) - len, "%%%s", scope);
		}
	}
	snprintf(a->text, sizeof(a->text), a->kind == BB_ADDRESS_V6 ? "tcp://[%s]:%u" : "tcp://%s:%u",
		a->host, a->port);
	return 0;
}

int
bb_conf_address_parse(
	struct bb_conf_address *ret, const char *text, enum bb_address_use use, const char **ret_why)
{
	struct bb_conf_address a = { .kind = BB_ADDRESS_NONE };

	if (strncmp(text, "tcp://", 6) != 0) {
		*ret_why = "not an address: write tcp://HOST:PORT";
		for (size_t i = 0; i < sizeof(scheme_refused) / sizeof(scheme_refused[0]); i++)
			if (strncmp(text, scheme_refused[i].scheme, strlen(scheme_refused[i].scheme)) == 0)
				*ret_why = scheme_refused[i].why;
		return -EINVAL;
	}
	const int r = parse_host_port(&a, text + 6, ret_why);
	if (r < 0)
		return r;
	if (use == BB_ADDRESS_CONNECT && a.kind == BB_ADDRESS_ANY) {
		*ret_why = "nothing can be connected to at *: name the address or the host";
		return -EINVAL;
	}
	*ret = a;
	return 0;
}

int
bb_conf_address_parse_literal(struct bb_conf_address *ret, const char *text, const char **ret_why)
{
	struct bb_conf_address a = { .kind = BB_ADDRESS_NONE };
	const int r = parse_host_port(&a, text, ret_why);

	if (r < 0)
		return r;
	if (a.kind != BB_ADDRESS_V4 && a.kind != BB_ADDRESS_V6) {
		*ret_why = "not a literal address: write it as in 127.0.0.1:9630 or [::1]:9630";
		return -EINVAL;
	}
	*ret = a;
	return 0;
}

bool
bb_conf_address_loopback(const struct bb_conf_address *a)
{
	static const uint8_t v6[16] = { [15] = 1 };

	if (a->kind == BB_ADDRESS_V4)
		return a->ip[0] == 127;
	return a->kind == BB_ADDRESS_V6 && memcmp(a->ip, v6, sizeof(v6)) == 0;
}

int
bb_conf_address_compare(const struct bb_conf_address *a, const struct bb_conf_address *b)
{
	if (a->port != b->port)
		return a->port < b->port ? -1 : 1;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->kind == BB_ADDRESS_V4)
		return memcmp(a->ip, b->ip, 4);
	if (a->kind == BB_ADDRESS_V6 && memcmp(a->ip, b->ip, sizeof(a->ip)) != 0)
		return memcmp(a->ip, b->ip, sizeof(a->ip));
	return strcasecmp(a->host, b->host); /* of V6 addresses the scopes */
}

bool
bb_conf_address_wide(const struct bb_conf_address *a)
{
	static const uint8_t zero[16];

	if (a->kind == BB_ADDRESS_ANY)
		return true;
	if (a->kind != BB_ADDRESS_V4 && a->kind != BB_ADDRESS_V6)
		return false;
	return memcmp(a->ip, zero, a->kind == BB_ADDRESS_V4 ? 4 : 16) == 0;
}

bool
bb_conf_address_covers(const struct bb_conf_address *a, const struct bb_conf_address *b)
{
	if (a->port != b->port)
		return false;
	if (a->kind == BB_ADDRESS_ANY || bb_conf_address_compare(a, b) == 0)
		return true;
	return a->kind == b->kind && bb_conf_address_wide(a);
}
