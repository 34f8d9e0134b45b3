/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * counters: the memory that the data plane writes and everybody else reads. A memfd handed over the command
 * channel, mapped read-only.
 *
 * Layout: bb_counters_header; then tables of fixed rows at the offsets that the header gives:
 *   loops      one row per polling thread
 *   io_sides   [I/O core][side index] what its sessions did; sessions that are gone are summed in here
 *   router_sides [router][side index] what its routing did
 *   sessions   [I/O core][slot] live peers, each under a sequence lock
 *
 * Every word has one writer, is 8 bytes and is stored whole; counters only grow. Readers add up. Rows of
 * sessions change their meaning when a slot is reused: seq is odd meanwhile, read it before and after. Unused
 * rows are all zero.
 *
 * The accounts, exact when the node is quiet (per endpoint and side; sums over cores and live sessions):
 *   in:  received = routed + dropped_no_subscriber + ... (all BB_SIDE_DROPPED_*) + parked
 *   out: copies (routers) = sum over sessions and io_sides of sent + queued + dropped_* + what is between the
 * two
 *
 * The tables below are the only place where counters are named: CLI, metrics and documents are made from
 * them.
 */
#ifndef BB_ABI_COUNTERS_H
#define BB_ABI_COUNTERS_H

#include <assert.h>
#include <stdint.h>

#define BB_COUNTERS_MAGIC 0x52544342u
#define BB_COUNTERS_VERSION 1

/* X(ID, name, unit, kind, help); kind C: counter, G: gauge */

#define BB_LOOP_COUNTERS(X)                                                                               \
	X(HEARTBEAT, "heartbeat", "turns", C, "turns of the loop: stands still when the loop hangs")      \
	X(BUSY_TURNS, "busy_turns", "turns", C, "turns that found work")                                  \
	X(TURN_NS_MAX, "turn_ns_max", "ns", G, "longest turn since start")                                \
	X(BUSY_NS, "busy_ns", "ns", C, "time spent in turns that found work")                             \
	X(SLEEPS, "sleeps", "times", C, "times the loop went to sleep")                                   \
	X(WAKEUPS, "wakeups", "times", C, "times another actor woke it")                                  \
	X(PINNED_BYTES, "pinned_bytes", "bytes", G, "message memory that queues of this loop keep alive") \
	X(NEEDED_BYTES, "needed_bytes", "bytes", G, "message bytes in queues of this loop")               \
	X(EVACUATED_BYTES, "evacuated_bytes", "bytes", C, "message bytes copied to free memory")          \
	X(MEM_USED_BYTES, "mem_used_bytes", "bytes", G, "tables, queues and subscriptions")               \
	X(STALE, "stale_deliveries", "messages", C, "deliveries for sessions that were gone")

/* What sessions of one side did, by I/O core. Sessions that are gone are included in the first two groups. */
#define BB_IO_SIDE_COUNTERS(X)                                                                               \
	X(RECEIVED, "received", "messages", C, "whole messages received and handed to a router")             \
	X(RECEIVED_BYTES, "received_bytes", "bytes", C, "their octets on the wire")                          \
	X(ARRIVED, "arrived", "copies", C, "copies that routers delivered to sessions of this side")         \
	X(SENT, "sent", "copies", C, "copies whose last byte the transport took")                            \
	X(SENT_BYTES, "sent_bytes", "bytes", C, "octets the transport took")                                 \
	X(QUEUED, "queued", "copies", G, "copies in unsent queues")                                          \
	X(QUEUED_BYTES, "queued_bytes", "bytes", G, "their octets")                                          \
	X(OUT_HWM, "dropped_out_hwm", "copies", C, "copies dropped at a high-water mark")                    \
	X(OUT_PEER_GONE, "dropped_out_peer_gone", "copies", C, "copies for peers that had gone")             \
	X(OUT_MEMORY, "dropped_out_memory", "copies", C, "copies dropped for lack of memory")                \
	X(OUT_SHUTDOWN, "dropped_out_shutdown", "copies", C, "copies that linger cut off")                   \
	X(OUT_DROPPED_BYTES, "dropped_out_bytes", "bytes", C, "octets of dropped copies")                    \
	X(PEERS, "peers", "peers", G, "sessions past their handshake")                                       \
	X(ACCEPTED, "accepted", "connections", C, "connections accepted or made")                            \
	X(HANDSHAKES, "handshakes", "sessions", C, "handshakes that succeeded")                              \
	X(CLOSED, "closed", "sessions", C, "sessions that ended after their handshake")                      \
	X(RECONNECTS, "reconnects", "attempts", C, "outgoing connections begun again")                       \
	X(REFUSED_GREETING, "refused_greeting", "sessions", C, "no ZMTP greeting: wrong signature")          \
	X(REFUSED_VERSION, "refused_version", "sessions", C, "a ZMTP version that is not spoken")            \
	X(REFUSED_MECHANISM, "refused_mechanism", "sessions", C, "another security mechanism")               \
	X(REFUSED_COMMAND, "refused_command", "sessions", C, "malformed command or metadata")                \
	X(REFUSED_TYPE, "refused_type", "sessions", C, "a socket type that does not fit")                    \
	X(REFUSED_FRAME, "refused_frame", "sessions", C, "malformed frame")                                  \
	X(REFUSED_OVERSIZE, "refused_oversize", "sessions", C, "a message above max_message")                \
	X(REFUSED_FRAMES, "refused_frames", "sessions", C, "a message of more than max_frames frames")       \
	X(REFUSED_SUBSCRIPTION, "refused_subscription", "sessions", C,                                       \
		"more or longer subscriptions than allowed")                                                 \
	X(REFUSED_CLAIM, "refused_claim", "sessions", C, "routing id taken or invalid")                      \
	X(REFUSED_LIMIT, "refused_limit", "connections", C, "more peers than peers_max or the core's slots") \
	X(TIMEOUT_HANDSHAKE, "timeout_handshake", "sessions", C, "handshake not done in handshake_timeout")  \
	X(TIMEOUT_HEARTBEAT, "timeout_heartbeat", "sessions", C,                                             \
		"silence beyond the heartbeat time-out or the peer's ttl")                                   \
	X(TIMEOUT_INCOMPLETE, "timeout_incomplete", "sessions", C,                                           \
		"an incomplete message with no byte for 30 s")                                               \
	X(CLOSED_SLOW, "closed_slow", "sessions", C,                                                         \
		"disconnected because it was full (when_full, block_max)")                                   \
	X(CLOSED_MEMORY, "closed_memory", "sessions", C, "closed for lack of memory")                        \
	X(CLOSED_HALF_OPEN, "closed_half_open", "sessions", C, "half-open sessions closed to make room")     \
	X(PINGS_SENT, "pings_sent", "commands", C, "PING commands sent")                                     \
	X(PINGS_RECEIVED, "pings_received", "commands", C, "PING commands answered")                         \
	X(UNKNOWN_COMMANDS, "unknown_commands", "commands", C, "commands that were ignored")

/* What a router did with the messages of one side. */
#define BB_ROUTER_SIDE_COUNTERS(X)                                                                        \
	X(ROUTED, "routed", "messages", C, "messages handed to at least one receiver")                    \
	X(COPIES, "copies", "copies", C, "copies made of them, to sessions of the other side")            \
	X(IN_NO_SUBSCRIBER, "dropped_in_no_subscriber", "messages", C, "messages nobody subscribed to")   \
	X(IN_UNROUTABLE, "dropped_in_unroutable", "messages", C, "messages for a peer that is not there") \
	X(IN_MALFORMED, "dropped_in_malformed", "messages", C, "messages without the envelope they need") \
	X(IN_DENIED, "dropped_in_denied", "messages", C, "messages a rule forbade")                       \
	X(IN_MEMORY, "dropped_in_memory", "messages", C, "messages dropped for lack of memory")           \
	X(IN_BYTES, "dropped_in_bytes", "bytes", C, "octets of dropped messages")                         \
	X(PARKED, "parked", "messages", G, "messages held by the router until a receiver has room")       \
	X(PARKED_BYTES, "parked_bytes", "bytes", G, "their octets")                                       \
	X(SUBSCRIPTIONS, "subscriptions", "subscriptions", G, "distinct (peer, topic) pairs")             \
	X(TOPICS, "topics", "topics", G, "distinct topics")                                               \
	X(SUBSCRIPTION_BYTES, "subscription_bytes", "bytes", G, "memory of the subscription table")

/* Live sessions. */
#define BB_SESSION_COUNTERS(X)                                                                             \
	X(RECEIVED, "received", "messages", C, "whole messages received")                                  \
	X(RECEIVED_BYTES, "received_bytes", "bytes", C, "their octets on the wire")                        \
	X(ARRIVED, "arrived", "copies", C, "copies that routers delivered to it")                          \
	X(SENT, "sent", "copies", C, "copies whose last byte the transport took")                          \
	X(SENT_BYTES, "sent_bytes", "bytes", C, "octets the transport took")                               \
	X(QUEUED, "queued", "copies", G, "copies in its unsent queue")                                     \
	X(QUEUED_BYTES, "queued_bytes", "bytes", G, "their octets")                                        \
	X(QUEUED_MAX, "queued_max", "copies", G, "most that ever were queued")                             \
	X(UNACKED_BYTES, "unacked_bytes", "bytes", G,                                                      \
		"taken by the transport, not acknowledged by the peer")                                    \
	X(OUT_HWM, "dropped_out_hwm", "copies", C, "copies dropped at its high-water mark")                \
	X(OUT_MEMORY, "dropped_out_memory", "copies", C, "copies dropped for lack of memory")              \
	X(OUT_DROPPED_BYTES, "dropped_out_bytes", "bytes", C, "octets of dropped copies")                  \
	X(FIRST_DROP_NS, "first_drop_ns", "ns", G, "when it first lost a copy; 0: never")                  \
	X(LAST_DROP_NS, "last_drop_ns", "ns", G, "when it last lost a copy")                               \
	X(SUBSCRIPTIONS, "subscriptions", "subscriptions", G, "its subscriptions")                         \
	X(RX_STOPPED, "rx_stopped", "flag", G, "not read now, because its side's input window is used up") \
	X(LAST_RX_NS, "last_rx_ns", "ns", G, "last byte received")                                         \
	X(LAST_TX_NS, "last_tx_ns", "ns", G, "last byte the transport took")

#define BB_COUNTER_ENUM_LOOP(id, ...) BB_LOOP_##id,
#define BB_COUNTER_ENUM_IO(id, ...) BB_IO_##id,
#define BB_COUNTER_ENUM_ROUTER(id, ...) BB_ROUTER_##id,
#define BB_COUNTER_ENUM_SESSION(id, ...) BB_SESSION_##id,
enum { BB_LOOP_COUNTERS(BB_COUNTER_ENUM_LOOP) BB_LOOP_COUNTER_COUNT };
enum { BB_IO_SIDE_COUNTERS(BB_COUNTER_ENUM_IO) BB_IO_COUNTER_COUNT };
enum { BB_ROUTER_SIDE_COUNTERS(BB_COUNTER_ENUM_ROUTER) BB_ROUTER_COUNTER_COUNT };
enum { BB_SESSION_COUNTERS(BB_COUNTER_ENUM_SESSION) BB_SESSION_COUNTER_COUNT };

struct bb_loop_row {
	uint64_t c[16];
};
static_assert(BB_LOOP_COUNTER_COUNT <= 16, "abi");

struct bb_io_side_row {
	uint64_t c[48];
};
static_assert(BB_IO_COUNTER_COUNT <= 48, "abi");

struct bb_router_side_row {
	uint64_t c[16];
};
static_assert(BB_ROUTER_COUNTER_COUNT <= 16, "abi");

enum bb_session_state {
	BB_SESSION_STATE_NONE = 0,
	BB_SESSION_STATE_CONNECTING,
	BB_SESSION_STATE_GREETING,
	BB_SESSION_STATE_HANDSHAKE,
	BB_SESSION_STATE_READY,
	BB_SESSION_STATE_DRAINING,
	BB_SESSION_STATE_CLOSING,
};

struct bb_session_row {
	uint64_t seq;	       /* odd: being changed */
	uint64_t handle;       /* 0: slot is free */
	uint64_t connected_ns; /* monotonic clock */
	uint16_t side;	       /* side index */
	uint8_t state;	       /* enum bb_session_state */
	uint8_t socket_type;   /* the peer's */
	uint8_t zmtp_minor;
	uint8_t outgoing; /* we connected */
	uint8_t id_len;	  /* octets of its routing id; the first 32 stand below */
	uint8_t reserved;
	uint8_t id[32];
	char address[64]; /* the peer's, without scheme */
	uint64_t c[20];
};
static_assert(BB_SESSION_COUNTER_COUNT <= 20, "abi");
static_assert(sizeof(struct bb_session_row) == 288, "abi");

struct bb_counters_header {
	uint32_t magic, version;
	uint64_t bytes; /* of the whole segment */
	uint32_t loop_count, io_count, router_count, side_count,
		session_count; /* session_count: slots per I/O core */
	uint32_t loop_row_bytes, io_side_row_bytes, router_side_row_bytes, session_row_bytes;
	uint32_t reserved;
	uint64_t loops, io_sides, router_sides, sessions; /* offsets */
	uint64_t sessions_used[64]; /* per I/O core: slots ever used, so readers need not walk them all */
};

#endif
