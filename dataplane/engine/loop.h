/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loop: one polling thread and the actors on it.
 *
 * A turn: read the clock once, then let each actor do one bounded step, in the order they were added (an I/O
 * core before its router). Poll mode never waits. Adaptive: after BB_SPIN_NS without work it goes to sleep by
 * the protocol of msg/wake.h, until another actor wakes it, a descriptor of its transport has events, or the
 * earliest deadline of its actors; loops that share their CPU with another do not spin at all, they would
 * only keep the other from working. No sleep is longer than LOOP_SLEEP_NS_MAX, so that a standing heartbeat
 * always means a loop that hangs.
 *
 * Thread: init, add and fini: the agent, while it does not run. bb_loop_stop(): any. The rest: its thread.
 */
#ifndef BB_ENGINE_LOOP_H
#define BB_ENGINE_LOOP_H

#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/counters.h"
#include "base/mem.h"
#include "base/time.h"
#include "msg/wake.h"

#define BB_LOOP_ACTORS_MAX 2
#define BB_LOOP_SLEEP_NS_MAX (500 * BB_MSEC)

/* Pinned and needed bytes of message memory, bytes moved to free some, bytes of tables. */
struct bb_loop_memory {
	uint64_t pinned, needed, evacuated, used;
};

/* What a loop must know of an actor. All functions run on the loop's thread. */
struct bb_loop_actor {
	void *self;
	const struct bb_mem *mem; /* its tables */
	uint32_t (*poll)(void *self, uint64_t now_ns);
	uint64_t (*deadline)(void *self);
	void (*memory)(
		void *self, const struct bb_mem *mem, struct bb_loop_memory *add); /* adds to each field */
	int wait_fd; /* readable while it has events; -1: none */
};

struct bb_loop_options {
	bool adaptive;
	bool shared;		 /* its CPU carries other loops */
	struct bb_loop_row *row; /* counters; this loop writes them */
	char name[16];		 /* of the thread */
};

struct bb_loop {
	struct bb_wake wake; /* what publishers to its actors notify */
	struct bb_loop_options options;
	struct bb_loop_actor actors[BB_LOOP_ACTORS_MAX];
	uint32_t actor_count;
	struct pollfd fds[1 + BB_LOOP_ACTORS_MAX]; /* own eventfd, then the actors' */
	nfds_t fd_count;
	uint64_t sampled_ns; /* when memory was last looked at */
	BB_NO_SHARE _Atomic bool stop;
	/* How the actors' memory is handed to the loop's thread and back, said in our own words too, so that
	 * checkers that do not see into EAL can follow. */
	_Atomic bool lent, returned;
};

/* 0 or negative errno (no descriptor). Stays at its address until fini. */
int bb_loop_init(struct bb_loop *l, const struct bb_loop_options *options);
void bb_loop_fini(struct bb_loop *l); /* zeroed is allowed */
void bb_loop_add(struct bb_loop *l, const struct bb_loop_actor *actor);

/* The caller, before another thread runs the loop, and after that thread has ended. */
void bb_loop_lend(struct bb_loop *l);
void bb_loop_take_back(struct bb_loop *l);

/* Take turns until bb_loop_stop(). arg: the loop. Always 0. */
int bb_loop_run(void *arg);

/* Make it return at the end of its turn, also if it sleeps or was not started yet. */
void bb_loop_stop(struct bb_loop *l);

/* The monotonic clock in ns. Only the engine reads it. */
uint64_t bb_clock_ns(void);

#endif
