/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server: the management API over HTTP, on a Unix socket and, when asked, on a loopback address.
 * libmicrohttpd does the protocol; it has no thread of its own here: the main loop waits for its descriptors.
 */
#ifndef BB_HTTP_SERVER_H
#define BB_HTTP_SERVER_H

#include <stdint.h>

#include "http/api.h"

struct bb_server;

/*
 * Listen at path, and at http unless its kind is BB_ADDRESS_NONE. 0, or a negative errno with *ret_why a
 * sentence. A socket file that nobody listens on is taken over; one that somebody does is -EADDRINUSE.
 */
int bb_server_create(struct bb_api *api, const char *path, const struct bb_conf_address *http,
	struct bb_server **ret, char ret_why[256]);
void bb_server_destroy(struct bb_server *s); /* NULL is allowed */

/* Descriptors to wait on for reading: 1 or 2. */
unsigned bb_server_fds(const struct bb_server *s, int ret[2]);

/* Do what is due; never blocks on the network. */
void bb_server_run(struct bb_server *s);

/* ms until run() is wanted although nothing arrives; -1: never. */
int bb_server_timeout_ms(const struct bb_server *s);

#endif
