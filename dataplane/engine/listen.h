/* SPDX-License-Identifier: BSD-3-Clause */
/* listen: the listeners of one endpoint, brought in line with what is wished. Part of endpoints.h. */
#ifndef BB_ENGINE_LISTEN_H
#define BB_ENGINE_LISTEN_H

#include "engine/endpoints.h"

/* r: held for the I/O cores' answers, takes errors; NULL: nobody asks. */
void bb_listen_reconcile(struct bb_endpoints *e, struct bb_running *run, struct bb_request *r);

/* NULL: the side does not listen at that address, as configured. */
const struct bb_listener *bb_listen_find(const struct bb_running_side *s, const char *text);

/* Close our side of all listeners. The I/O core's are its own: a drain closes them, or UNLISTEN. */
void bb_listen_close(struct bb_running *run);

/* True if the two sides listen at a common address. Pure. */
bool bb_listen_shared(const struct bb_cmd_endpoint *cmd);

/* Open what is due to be tried again, and renew the table's retry_ns. */
void bb_listen_retry(struct bb_endpoints *e, struct bb_running *run);

#endif
