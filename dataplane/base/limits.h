/* SPDX-License-Identifier: BSD-3-Clause */
/* limits: every fixed bound of the data plane in one place. What an operator may change is in the option
 * table. */
#ifndef BB_BASE_LIMITS_H
#define BB_BASE_LIMITS_H

#include "base/time.h"

/* Actors and tables */
#define BB_CORES_MAX 64		   /* I/O cores, and as many router cores */
#define BB_SESSIONS_MAX (1u << 16) /* session slots per I/O core */
#define BB_ENDPOINTS_MAX 1024	   /* endpoints of one node */
#define BB_NAME_MAX 63		   /* octets of an endpoint's name */
#define BB_ADDRESSES_MAX 16	   /* addresses of one side, bind and connect each */

/* Message memory */
#define BB_BUFFER_BYTES 65536u /* one pool buffer */
#define BB_VIEW_MAX 61440u     /* bytes that a session decodes at a time; larger messages become chains */
#define BB_TOPIC_MAX 61440u    /* octets of one subscription */
#define BB_ROUTING_ID_MAX 255u /* octets of a routing id */

/* A turn */
#define BB_TURN_READ_BYTES 65536u  /* per session */
#define BB_TURN_WRITE_BYTES 65536u /* per session */
#define BB_TURN_APPENDS 16384u	   /* queue appends of one actor */
#define BB_TURN_NS (1 * BB_MSEC)   /* soft: an actor that is past it yields at its next cursor */

/* Rings: slots, powers of two. The simulator also runs with 2. */
#define BB_RING_SLICES 256	/* I/O core -> router */
#define BB_RING_DELIVERIES 4096 /* router -> I/O core */
#define BB_RING_COMMANDS 256	/* mailboxes */

/* Back-pressure and half-open peers */
#define BB_WINDOW_BYTES (256u * 1024u) /* input window per (I/O core, endpoint, side) */
#define BB_HALF_OPEN_MAX 1024	       /* sessions before READY per I/O core; the oldest is closed first */
#define BB_HALF_OPEN_BYTES 4096	       /* unread bytes that such a session may hold */
#define BB_INCOMPLETE_IDLE_NS \
	(30 * BB_SEC)		  /* an incomplete message with no new byte for so long closes its session */
#define BB_SPIN_NS (50 * BB_USEC) /* adaptive: a loop without work spins so long before it sleeps */

#endif
