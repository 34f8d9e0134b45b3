/* SPDX-License-Identifier: BSD-3-Clause */
/* oracle: what must hold of a connection between any two calls of the stack; for the simulation and the fuzzer. */
#ifndef TESTS_NET_ORACLE_H
#define TESTS_NET_ORACLE_H

struct bb_net;
struct bb_tcp;

/* NULL, or what does not hold. For synchronized connections, after bb_net_poll. */
const char *oracle_conn(const struct bb_net *net, const struct bb_tcp *c);

#endif
