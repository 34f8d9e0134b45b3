/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * command: the channel between busbar-control and busbar-dataplane.
 *
 * A SOCK_SEQPACKET Unix socket, DIR/dataplane.sock: one packet, one message: a fixed header, then the struct
 * that its type names, fixed width, host byte order (one machine), sizes asserted. Control is the client; one
 * at a time: a second one gets -EBUSY in its HELLO_ACK and is closed. Text fields are zero-terminated UTF-8.
 *
 * Every request is answered by exactly one packet with its seq: ACK (error 0 or negative errno and one line
 * of text), or the reply its comment names. Replies that are lists are asked for page by page with a cursor.
 * The data plane may send EVENT and REPORT packets unasked, seq 0.
 *
 * Configuration is desired state with a revision. Control sends ENDPOINT_SET for what it wants,
 * ENDPOINT_REMOVE for what it does not, then COMMIT with the revision; each is idempotent, takes effect at
 * once and is answered on its own. After a reconnect HELLO_ACK tells the committed revision; ENDPOINT_GET
 * reads what runs; control sends only differences.
 *
 * Start order: the data plane listens before anything else; it waits for PLAN (answered when its loops run or
 * could not be started), then takes configuration. A second PLAN that differs is answered -EALREADY: restart
 * the process for it. DIR/accepted.state holds the last PLAN and committed endpoints; without control the
 * data plane comes up from it.
 */
#ifndef BB_ABI_COMMAND_H
#define BB_ABI_COMMAND_H

#include <assert.h>
#include <stdint.h>

#define BB_CMD_MAGIC 0x53554242u /* "BBUS" */
#define BB_CMD_VERSION 1
#define BB_CMD_PACKET_MAX 65536 /* octets, header included */

#define BB_CMD_NAME_MAX 64 /* octets with the terminating zero */
#define BB_CMD_ADDRESS_MAX 128
#define BB_CMD_ADDRESSES_MAX 16
#define BB_CMD_CPUS_MAX 64
#define BB_CMD_ID_MAX 255
#define BB_CMD_TEXT_MAX 256

enum bb_cmd_type {
	/* control -> data plane */
	BB_CMD_HELLO = 1, /* bb_cmd_hello -> HELLO_ACK with the counters memfd as SCM_RIGHTS once loops run */
	BB_CMD_PLAN,	  /* bb_cmd_plan -> ACK */
	BB_CMD_ENDPOINT_SET,	  /* bb_cmd_endpoint -> ACK; a new name is created, an old one changed live */
	BB_CMD_ENDPOINT_REMOVE,	  /* bb_cmd_name -> ACK when drained (linger) and gone */
	BB_CMD_COMMIT,		  /* bb_cmd_commit -> ACK */
	BB_CMD_ENDPOINT_GET,	  /* bb_cmd_cursor -> ENDPOINT_STATE or ACK -ENOENT at the end */
	BB_CMD_STATUS_GET,	  /* header only -> STATUS */
	BB_CMD_CORES_GET,	  /* header only -> CORES */
	BB_CMD_SUBSCRIPTIONS_GET, /* bb_cmd_subscriptions_get -> SUBSCRIPTIONS */
	BB_CMD_DRAIN, /* bb_cmd_drain -> ACK at once; REPORTs follow; then EVENT drained and the process ends
		       */

	/* data plane -> control */
	BB_CMD_ACK = 64,
	BB_CMD_HELLO_ACK,
	BB_CMD_ENDPOINT_STATE,
	BB_CMD_STATUS,
	BB_CMD_CORES,
	BB_CMD_SUBSCRIPTIONS,
	BB_CMD_REPORT, /* bb_cmd_report: what linger cut off at one peer */
	BB_CMD_EVENT,  /* bb_cmd_event */
};

struct bb_cmd_header {
	uint32_t magic;
	uint16_t version;
	uint16_t type; /* enum bb_cmd_type */
	uint32_t flags;
	uint32_t seq;
	uint32_t len; /* octets behind the header */
	uint32_t reserved;
};
static_assert(sizeof(struct bb_cmd_header) == 24, "abi");

struct bb_cmd_hello {
	uint32_t pid;
	uint32_t reserved;
	char program_version[32];
};
static_assert(sizeof(struct bb_cmd_hello) == 40, "abi");

enum bb_cmd_state {
	BB_STATE_WAITING = 1, /* no plan yet */
	BB_STATE_RUNNING,
	BB_STATE_DRAINING,
	BB_STATE_STOPPED,
};

struct bb_cmd_hello_ack {
	int32_t error; /* 0, -EBUSY, -EPROTO: version */
	uint32_t state;
	uint64_t revision;	 /* last committed; 0: none */
	uint64_t counters_bytes; /* size of the memfd that comes along; 0: none yet, say HELLO again after
				    PLAN */
	uint64_t boot_id;	 /* of this run of the data plane */
	char program_version[32];
};
static_assert(sizeof(struct bb_cmd_hello_ack) == 64, "abi");

enum { BB_ROLES_AUTO = 0, BB_ROLES_JOINED, BB_ROLES_SPLIT };
enum { BB_IDLE_AUTO = 0, BB_IDLE_POLL, BB_IDLE_ADAPTIVE };
enum { BB_HUGEPAGES_AUTO = 0, BB_HUGEPAGES_REQUIRED, BB_HUGEPAGES_OFF };

/* Role threads and memory. A count of 0 means auto: the data plane asks hwloc and its affinity mask. */
struct bb_cmd_plan {
	uint32_t io_count, router_count;
	uint16_t io_cpu[BB_CMD_CPUS_MAX];
	uint16_t router_cpu[BB_CMD_CPUS_MAX];
	uint32_t roles, idle, hugepages; /* BB_ROLES_*, BB_IDLE_*, BB_HUGEPAGES_* */
	uint32_t reserved;
	uint64_t memory_bytes;
	uint64_t linger_ns;
	char node_name[BB_CMD_NAME_MAX];
};
static_assert(sizeof(struct bb_cmd_plan) == 360, "abi");

struct bb_cmd_address {
	char text[BB_CMD_ADDRESS_MAX]; /* as configured: "tcp://127.0.0.1:5559" */
};

struct bb_cmd_side {
	uint64_t hwm_bytes;
	uint64_t block_max_ns;
	uint64_t max_message;
	uint64_t handshake_timeout_ns;
	uint64_t heartbeat_interval_ns, heartbeat_timeout_ns, heartbeat_ttl_ns;
	uint64_t reconnect_min_ns, reconnect_max_ns;
	uint32_t hwm_msgs;
	uint32_t when_full; /* 1 drop, 2 block, 3 disconnect */
	uint32_t max_frames;
	uint32_t peers_max;
	uint32_t subscriptions_max;
	uint32_t backlog;
	uint32_t sndbuf_bytes, rcvbuf_bytes;
	uint32_t keepalive_idle_s, keepalive_interval_s, keepalive_count;
	uint32_t handover;
	uint32_t identity_len;
	uint32_t bind_count, connect_count;
	uint32_t reserved;
	uint8_t identity[BB_CMD_ID_MAX + 1];
	struct bb_cmd_address bind[BB_CMD_ADDRESSES_MAX];
	struct bb_cmd_address connect[BB_CMD_ADDRESSES_MAX];
};
static_assert(sizeof(struct bb_cmd_side) == 4488, "abi");

struct bb_cmd_endpoint {
	char name[BB_CMD_NAME_MAX];
	uint32_t pattern; /* 1 pubsub, 2 pipeline, 3 reqrep */
	uint32_t subscribe_all;
	struct bb_cmd_side side[2];
};
static_assert(sizeof(struct bb_cmd_endpoint) == 72 + 2 * 4488, "abi");

struct bb_cmd_name {
	char name[BB_CMD_NAME_MAX];
	uint64_t linger_ns; /* UINT64_MAX: the plan's */
};

struct bb_cmd_commit {
	uint64_t revision;
};

struct bb_cmd_cursor {
	uint64_t cursor; /* 0 to begin; then the `next` of the last reply */
};

/* One running endpoint. */
struct bb_cmd_endpoint_state {
	uint64_t next;
	uint32_t id;   /* index of its rows in the counters segment: side index = id * 2 + side */
	uint32_t home; /* router */
	uint32_t sharded;
	uint32_t draining;
	struct bb_cmd_address bound[2][BB_CMD_ADDRESSES_MAX]; /* real addresses of listeners: port * resolved;
								 parallel to bind[] */
	int32_t bind_error[2][BB_CMD_ADDRESSES_MAX];	      /* 0: listening, else negative errno */
	struct bb_cmd_endpoint desired;
};

struct bb_cmd_status {
	uint32_t state, pid;
	uint64_t revision;
	uint64_t uptime_ns;
	uint64_t memory_bytes, memory_free_bytes; /* message memory */
	uint32_t io_count, router_count;
	uint32_t endpoint_count, peer_count;
	char program_version[32];
	char node_name[BB_CMD_NAME_MAX];
};

enum { BB_ROLE_IO = 1, BB_ROLE_ROUTER = 2, BB_ROLE_AGENT = 4 };

struct bb_cmd_core {
	uint32_t cpu; /* operating system's number; UINT32_MAX: floats */
	uint32_t numa;
	uint32_t roles;		/* BB_ROLE_* */
	uint32_t io, router;	/* index in its role; UINT32_MAX: none */
	uint32_t physical_core; /* hwloc: processing units of one core share it */
	uint32_t loop;		/* row in the counters segment */
	uint32_t reserved;
};

struct bb_cmd_cores {
	uint32_t count;
	uint32_t joined, adaptive, hugepages; /* as resolved; hugepages: 1 if in use */
	uint64_t memory_bytes;
	char warnings[8][BB_CMD_TEXT_MAX]; /* what costs speed here, and the way out; empty: none */
	struct bb_cmd_core core[2 * BB_CMD_CPUS_MAX + 1];
};

struct bb_cmd_subscriptions_get {
	char endpoint[BB_CMD_NAME_MAX];
	uint64_t cursor;
};

/* Topics of one endpoint, as many as fit; entries {u32 subscribers, u32 len, len octets} back to back,
 * unpadded. */
struct bb_cmd_subscriptions {
	uint64_t next; /* UINT64_MAX: that was all */
	uint32_t count;
	uint32_t bytes; /* of entries, following */
};

struct bb_cmd_drain {
	uint64_t linger_ns; /* UINT64_MAX: the plan's */
};

struct bb_cmd_report {
	uint64_t dropped_msgs, dropped_bytes; /* cause shutdown */
	char endpoint[BB_CMD_NAME_MAX];
	char peer[BB_CMD_ADDRESS_MAX];
	uint32_t side;
	uint32_t reserved;
};

enum bb_cmd_event_kind {
	BB_EVENT_DRAINED = 1, /* all loops stopped; the process exits next */
};

struct bb_cmd_event {
	uint32_t kind;
	uint32_t reserved;
	char text[BB_CMD_TEXT_MAX];
};

struct bb_cmd_ack {
	int32_t error;
	uint32_t reserved;
	char text[BB_CMD_TEXT_MAX]; /* what is wrong and the way out; empty if error is 0 */
};

#endif
