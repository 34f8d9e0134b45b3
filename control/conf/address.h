/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * address: "tcp://HOST:PORT" as operators write it, checked and in parts. HOST is an IPv4 address, an IPv6
 * address in brackets (with a %scope if need be), an interface name, a host name, or "*" for every address of
 * the machine. Names are not resolved here: what is a name today may mean another address tomorrow.
 */
#ifndef BB_CONF_ADDRESS_H
#define BB_CONF_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BB_ADDRESS_HOST_MAX 113 /* octets: what the command channel carries of a whole address is 127 */
#define BB_ADDRESS_TEXT_MAX (6 + 2 + BB_ADDRESS_HOST_MAX + 6)

enum bb_address_kind {
	BB_ADDRESS_NONE,
	BB_ADDRESS_ANY, /* "*" */
	BB_ADDRESS_V4,
	BB_ADDRESS_V6,
	BB_ADDRESS_NAME, /* of an interface or a host */
};

struct bb_conf_address {
	uint32_t kind; /* enum bb_address_kind */
	uint16_t port; /* host order */
	uint8_t ip[16];
	char host[BB_ADDRESS_HOST_MAX + 1]; /* as written, without brackets */
	char text[BB_ADDRESS_TEXT_MAX + 1]; /* the whole, canonical for V4 and V6 */
	int line;
};

enum bb_address_use {
	BB_ADDRESS_BIND,
	BB_ADDRESS_CONNECT,
};

/*
 * Parse one address. Returns 0, or -EINVAL with *ret_why saying what is wrong and what would be right; it
 * stays valid for ever.
 */
int bb_conf_address_parse(
	struct bb_conf_address *ret, const char *text, enum bb_address_use use, const char **ret_why);

/* Parse "HOST:PORT" where HOST is a literal IPv4 or bracketed IPv6 address. Same answers. */
int bb_conf_address_parse_literal(struct bb_conf_address *ret, const char *text, const char **ret_why);

/* Only this machine can reach it: 127.0.0.0/8 or ::1. */
bool bb_conf_address_loopback(const struct bb_conf_address *a);

/* A total order: by port, then kind, then host. 0 means the same address. */
int bb_conf_address_compare(const struct bb_conf_address *a, const struct bb_conf_address *b);

/* It stands for every address of a family, or of both: "*", 0.0.0.0, [::]. */
bool bb_conf_address_wide(const struct bb_conf_address *a);

/* True if binding a leaves no room for b: the same address, or a covers every address of b's family. */
bool bb_conf_address_covers(const struct bb_conf_address *a, const struct bb_conf_address *b);

#endif
