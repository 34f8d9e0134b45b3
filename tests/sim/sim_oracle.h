/* SPDX-License-Identifier: BSD-3-Clause */
/* sim_oracle: what must be true, at each step and at quiet points. */
#ifndef BB_TEST_SIM_ORACLE_H
#define BB_TEST_SIM_ORACLE_H

#include "sim_world.h"

/* --- books --- */

struct sim_link *sim_link_create(struct sim_world *w, struct sim_persona *p);
void sim_link_free(struct sim_link *l);

/* A sender said message seq (the next one). */
void sim_oracle_said(struct sim_link *l, const uint8_t *msg, size_t len);

/* The node handed a whole message to the transport of a receiver; msg is in canonical form. */
void sim_oracle_heard(struct sim_link *l, const uint8_t *msg, size_t len);

/* Subscriptions as a subscriber asks for them, as a publisher is told them. */
void sim_oracle_subscribes(struct sim_link *l, uint32_t topic, bool subscribe);
void sim_oracle_told(struct sim_link *l, const uint8_t *topic, size_t len, bool subscribe);

/* Check the books of one endpoint: lost messages were received and reached no transport. */
void sim_oracle_books(struct sim_world *w, unsigned endpoint, uint64_t lost);

/* --- checks --- */

/* After a step of an I/O core: rows, high-water marks, accounts that hold always. */
void sim_oracle_after_io(struct sim_world *w, uint32_t io);
void sim_oracle_after_router(struct sim_world *w, uint32_t router);

/* Nothing moves any more although readers may be stalled: memory is bounded. */
void sim_oracle_hushed(struct sim_world *w);

/* Everything was let go and nothing moves: exact accounts, everything delivered. Then a new epoch begins. */
void sim_oracle_quiet(struct sim_world *w);
void sim_oracle_epoch(struct sim_world *w);

/* After the node's drain. */
void sim_oracle_drained(struct sim_world *w);

/* True if what all links have said so far has arrived: then quiet means quiet. */
bool sim_oracle_settled(struct sim_world *w, const char **ret_why);

#endif
