/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * address: "tcp://HOST:PORT" as it comes over the command channel, and the socket address that it means.
 *
 * To listen: an IPv4 address, an IPv6 address in brackets (with %scope), the name of an interface (its first
 * IPv4 address, else its first IPv6 one), `localhost`, or * for every address of the machine. To connect: an
 * address or a name, which a resolver looks up. Port 0 or * lets the kernel choose, to listen only.
 *
 * Thread: any.
 */
#ifndef BB_ENGINE_ADDRESS_H
#define BB_ENGINE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "engine/text.h"

struct bb_address {
	char host[BB_CMD_ADDRESS_MAX]; /* without brackets */
	uint16_t port;
};

/* 0 or -EINVAL with a line of text that names the address. */
int bb_address_parse(const char *text, struct bb_address *ret, struct bb_text *why);

/* The address to listen at. 0, or negative errno: -ENODEV no such interface. */
int bb_address_local(const struct bb_address *a, struct sockaddr_storage *ret, struct bb_text *why);

/* A literal address to connect to; -EAGAIN: it is a name. */
int bb_address_literal(const struct bb_address *a, struct sockaddr_storage *ret);

/* True if both are the same address and port; ports that the kernel chooses are never the same. */
bool bb_address_equal(const struct sockaddr_storage *a, const struct sockaddr_storage *b);

#endif
