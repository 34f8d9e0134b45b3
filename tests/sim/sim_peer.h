/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sim_peer: personas: what simulated ZeroMQ programs do. Each step one reads, answers what it has read,
 * writes, and says something new if it may.
 */
#ifndef BB_TEST_SIM_PEER_H
#define BB_TEST_SIM_PEER_H

#include "sim_world.h"

void sim_peer_init(struct sim_world *w, struct sim_persona *p, unsigned endpoint, unsigned side);

/* One step. Returns true if anything was done. */
bool sim_peer_step(struct sim_persona *p);

/* End the connection it has, if any. */
void sim_peer_drop(struct sim_persona *p, bool reset);

/* Change a subscription, if it is a subscriber that is connected. */
void sim_peer_resubscribe(struct sim_persona *p);

/* The connection that a listener of its own got. */
void sim_peer_accepted(struct sim_persona *p, struct sim_conn *c);

void sim_peer_fini(struct sim_persona *p);

/* Say n messages now, whatever the pace. */
void sim_peer_say(struct sim_persona *p, uint32_t n);

/* True if it is connected and both sides have said READY. */
bool sim_peer_up(const struct sim_persona *p);

#endif
