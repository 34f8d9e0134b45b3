/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reconcile: brings the data plane to the desired configuration, and keeps it there.
 *
 * It connects, says HELLO, sends the plan, reads what runs, sends what differs (nothing, when control was the
 * one that restarted) and commits. When the connection breaks it begins again. A refused endpoint is tried
 * again every RETRY_NS; the first configuration of a data plane that runs nothing yet is different: nobody
 * depends on it, so the operator is told at once (bb_reconcile.fatal).
 *
 *   DOWN -> HELLO -> PLAN -> HELLO_AGAIN -> READ -> APPLY -> COMMIT -> SYNCED
 *   SYNCED -> READ   the desired configuration changed, or an endpoint was refused and is tried again
 *   any -> DOWN      the channel closed
 *
 * One request is in flight at a time, except for removals, which are answered only when they have drained;
 * APPLY waits for those at its end. It never blocks: bb_reconcile_tick() and bb_reconcile_on_packet() move it
 * on.
 *
 * Thread: control's only one.
 */
#ifndef BB_CONTROL_RECONCILE_H
#define BB_CONTROL_RECONCILE_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/command.h"
#include "conf/conf.h"
#include "link/channel.h"
#include "link/counters.h"

enum bb_reconcile_state {
	BB_RECONCILE_DOWN,
	BB_RECONCILE_HELLO,
	BB_RECONCILE_PLAN,
	BB_RECONCILE_HELLO_AGAIN,
	BB_RECONCILE_READ,
	BB_RECONCILE_APPLY,
	BB_RECONCILE_COMMIT,
	BB_RECONCILE_SYNCED,
};

/* One endpoint, wanted or running. */
struct bb_reconcile_item {
	struct bb_cmd_endpoint desired;
	int line;		    /* in the configuration */
	bool present;		    /* the data plane has one of that name */
	bool equal;		    /* and it is as desired */
	bool refused;		    /* the last ENDPOINT_SET was */
	char text[BB_CMD_TEXT_MAX]; /* why */
};

/* A drain of the node, and what linger cut off. */
struct bb_drain {
	bool asked, done;
	uint64_t peers, msgs, bytes;
	struct bb_cmd_report *cuts; /* the first BB_CUTS_MAX of them */
	uint32_t cut_count;
};

#define BB_CUTS_MAX 1024

struct bb_reconcile {
	struct bb_channel channel;
	struct bb_counters_view counters; /* of the connected data plane, once its loops run */
	enum bb_reconcile_state state;
	char path[108];	  /* of dataplane.sock */
	const char *file; /* of the configuration, for messages */

	struct bb_cmd_plan plan;
	int plan_line; /* of the configuration's dataplane section */
	struct bb_reconcile_item *items;
	uint32_t item_count;
	char (*extra)[BB_CMD_NAME_MAX]; /* running, not desired */
	uint32_t extra_count, extra_room;

	uint32_t seq;	      /* of the request in flight */
	uint32_t next;	      /* item or extra that APPLY comes to next */
	uint32_t removals;    /* unanswered */
	uint64_t now_ns;      /* of this turn, for what is called back in it */
	uint64_t retry_ns;    /* when to connect or to try refused endpoints again; BB_NEVER: not */
	uint64_t revision;    /* committed by the data plane */
	uint64_t boot_id;     /* of the data plane */
	uint32_t plane_state; /* enum bb_cmd_state, from HELLO_ACK */
	bool changed;	      /* something was sent since the last commit */
	bool synced_once;     /* this control has seen a configuration committed */
	bool stale;	      /* the desired configuration changed meanwhile: read and apply again */
	bool fatal;	      /* the data plane refused the plan or a first endpoint: text below says why */
	struct bb_drain drain;
	char text[BB_CONF_ERROR_MAX];
};

/* 0, -ENAMETOOLONG for the state directory or -ENOMEM. fini() in any case. */
int bb_reconcile_init(struct bb_reconcile *r, const char *state_dir);
void bb_reconcile_fini(struct bb_reconcile *r);

/* Take over what conf says; `file` outlives r. 0 or -ENOMEM with nothing changed. */
int bb_reconcile_desire(struct bb_reconcile *r, const struct bb_conf *conf, const char *file);

/* Do what is due. */
void bb_reconcile_tick(struct bb_reconcile *r, uint64_t now_ns);

/* When tick() wants to be called although nothing arrives; BB_NEVER if never. */
uint64_t bb_reconcile_deadline(const struct bb_reconcile *r);

/* Receive from the channel, which is readable. */
void bb_reconcile_on_readable(struct bb_reconcile *r, uint64_t now_ns);

/* Ask the data plane to drain and end, waiting at most linger_ns (UINT64_MAX: the plan's). 0 or negative
 * errno. */
int bb_reconcile_drain(struct bb_reconcile *r, uint64_t linger_ns);

const char *bb_reconcile_state_name(enum bb_reconcile_state state);

#endif
