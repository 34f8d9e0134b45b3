/* SPDX-License-Identifier: BSD-3-Clause */
/* sim_agent: stands in for the agent: sends the mails of msg/mail.h and follows their answers. */
#ifndef BB_TEST_SIM_AGENT_H
#define BB_TEST_SIM_AGENT_H

#include "sim_world.h"

/* Make, or change, an endpoint on all actors, and listen on its sides when it is new. */
void sim_agent_endpoint(struct sim_world *w, unsigned endpoint, bool fresh);

/* Other high-water marks for one side. */
void sim_agent_change_hwm(struct sim_world *w, unsigned endpoint);

/* Begin to drain and remove an endpoint; its step brings it back some time. */
void sim_agent_remove(struct sim_world *w, unsigned endpoint);

/* Drain the node. */
void sim_agent_drain(struct sim_world *w, uint64_t deadline_ns);

/* Disconnect an outgoing connection. */
void sim_agent_disconnect(struct sim_world *w, struct sim_persona *p);

/* One step: pass on mails, read answers, make connections. True if anything was done. */
bool sim_agent_step(struct sim_world *w);

void sim_agent_fini(struct sim_world *w);

#endif
