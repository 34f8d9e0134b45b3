/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mailbox: the agent's commands to a router, and the answers.
 *
 * Thread: the router core.
 */
#ifndef BB_ROUTE_MAILBOX_H
#define BB_ROUTE_MAILBOX_H

#include <stdint.h>

#include "route/state.h"

/* Read and answer what is there; stops at an answer that the ring does not take. Returns mails read. */
uint32_t bb_mailbox_poll(struct bb_router *r);

/* End of a step: wake the agent if it got something. */
void bb_mailbox_wake(struct bb_router *r);

#endif
