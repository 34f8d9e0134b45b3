/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sim_transport: byte streams that exist only in memory, for the simulator. Implements transport/stream.h,
 * with BB_STREAM_COPIES.
 *
 * A connection is two pipes and two ends. An end is either a bb_stream of a transport (one transport per I/O
 * core), or raw: then a simulated peer reads and writes it with the functions below. A pipe takes a bounded
 * number of bytes; what was written becomes visible to the other end in segments of random sizes, later, or
 * not at all while the pipe is stalled. Pushes may be taken in part, views may show less than there is, events
 * come late. All of that is drawn from one seed, and the options say how much of it there is.
 *
 * Thread: one.
 */
#ifndef BB_TEST_SIM_TRANSPORT_H
#define BB_TEST_SIM_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rand.h"
#include "transport/stream.h"

#define SIM_ADDRESS_PREFIX "sim:" /* then the connection's id, as adopt() fills in */

struct sim_net;
struct sim_conn;

/* Chances are per thousand. */
struct sim_net_options {
	uint32_t pipe_bytes;	    /* a pipe's capacity */
	uint32_t segment_max;	    /* bytes that become visible at once */
	uint32_t hold_chance;	    /* a segment waits for another step */
	uint32_t late_event_chance; /* an event waits for another poll */
	uint32_t part_push_chance;  /* a push takes a part of what there is room for */
	uint32_t part_view_chance;  /* a view shows a part */
	uint32_t adopt_fail_chance, connect_fail_chance;
	bool resets_hide; /* a reset takes with it what had not been viewed */
};

/* transports: how many I/O cores. */
struct sim_net *sim_net_create(uint64_t seed, uint32_t transports, const struct sim_net_options *options);

/* All streams and raw ends must be gone. */
void sim_net_destroy(struct sim_net *n);

struct bb_transport *sim_net_transport(struct sim_net *n, uint32_t index);

/* The options may be changed at any time but for pipe_bytes, which holds for new connections. */
struct sim_net_options *sim_net_options(struct sim_net *n);

/* Calm: nothing is held, late or in parts, and stalls do not count. */
void sim_net_calm(struct sim_net *n, bool calm);

/* Let segments arrive. Returns the bytes that became visible. */
uint64_t sim_net_step(struct sim_net *n);

/* A descriptor that listens at a port, for bb_transport_ops.listen. One per port. */
int sim_net_listen_fd(struct sim_net *n, uint16_t port);

/* Everything that happened so far, as one number. */
uint64_t sim_net_hash(const struct sim_net *n);
void sim_net_hash_add(struct sim_net *n, uint64_t value);

/* Streams that transports have and connections that exist: 0 when all is gone. */
uint32_t sim_net_stream_count(const struct sim_net *n);

/* --- raw ends, for simulated peers --- */

/* Connect to a port. NULL: nobody listens there. */
struct sim_conn *sim_net_dial(struct sim_net *n, uint16_t port);

/* Accept connections of transports to a port: on, or refuse them. */
void sim_net_serve(struct sim_net *n, uint16_t port, bool on);

/* The next connection that a transport made to a port; NULL: none. */
struct sim_conn *sim_net_accept(struct sim_net *n, uint16_t port);

uint32_t sim_conn_id(const struct sim_conn *c);

/* The address that a transport gave when it connected: it names the attempt. */
uint32_t sim_conn_to(const struct sim_conn *c);

/* Bytes taken, as many as there is room for. */
size_t sim_conn_write(struct sim_conn *c, const void *p, size_t n);

/* Bytes that have arrived and are not read. */
size_t sim_conn_readable(const struct sim_conn *c);

/* Read (that is, forget) n of them: their content was shown to the tap. */
void sim_conn_read(struct sim_conn *c, size_t n);

/* What the other end wrote is shown to fn at once, whenever it is read. */
void sim_conn_tap(struct sim_conn *c, void (*fn)(void *ctx, const uint8_t *p, size_t n), void *ctx);

/* Nothing becomes visible to the other end (out) or to this one (in) until it is taken back. */
void sim_conn_stall(struct sim_conn *c, bool out, bool in);

void sim_conn_finish(struct sim_conn *c);

/* The other end finished and everything was read, or it is broken. */
bool sim_conn_ended(const struct sim_conn *c);
bool sim_conn_broken(const struct sim_conn *c);

/* Bytes written by this end that the other has not consumed. */
uint64_t sim_conn_unconsumed(const struct sim_conn *c);

/* Give the end up: with a reset, or in order. The pointer is dead after it. */
void sim_conn_drop(struct sim_conn *c, bool reset);

#endif
