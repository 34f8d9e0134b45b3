/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * actors: the other end of the agent's mail, played by the test: it looks at what was sent and answers when
 * it wants to. One thread, no loops.
 */
#ifndef BB_TEST_ENGINE_ACTORS_H
#define BB_TEST_ENGINE_ACTORS_H

#include "test.h"

#include <stdlib.h>

#include "msg/fabric.h"
#include "msg/mail.h"

#define ACTOR_IOS 2u
#define ACTOR_ROUTERS 2u
#define ACTORS (ACTOR_IOS + ACTOR_ROUTERS)

struct actors {
	struct bb_fabric fabric;
	struct bb_wake wake;
};

static void
actors_kick(struct bb_wake *w)
{
	(void)w;
}

static inline void
actors_init(struct actors *a, uint32_t mails)
{
	const struct bb_fabric_sizes sizes = { .io_count = ACTOR_IOS,
		.router_count = ACTOR_ROUTERS,
		.slices = 2,
		.deliveries = 2,
		.mails = mails };

	assert_int_equal(bb_fabric_init(&a->fabric, &sizes, NULL), 0);
	a->wake = (struct bb_wake){ .kick = actors_kick };
	for (uint32_t i = 0; i < ACTOR_IOS; i++)
		a->fabric.io_wake[i] = &a->wake;
	for (uint32_t i = 0; i < ACTOR_ROUTERS; i++)
		a->fabric.router_wake[i] = &a->wake;
}

static inline void
actors_fini(struct actors *a)
{
	bb_fabric_fini(&a->fabric);
}

/* Actor n: I/O cores first, then routers. False: it has no mail. */
static inline bool
actor_read(struct actors *a, uint32_t n, struct bb_mail *ret)
{
	struct bb_ring *r = n < ACTOR_IOS ? &a->fabric.agent_to_io[n]
					  : &a->fabric.agent_to_router[n - ACTOR_IOS];

	return bb_ring_pop(r, ret, 1) == 1;
}

/* The next mail of actor n, which must be of that kind. */
static inline struct bb_mail
actor_expect(struct actors *a, uint32_t n, uint32_t kind)
{
	struct bb_mail mail = { 0 };

	assert_true(actor_read(a, n, &mail));
	assert_int_equal(mail.kind, kind);
	return mail;
}

static inline void
actor_says(struct actors *a, uint32_t n, const struct bb_mail *mail)
{
	struct bb_ring *r = n < ACTOR_IOS ? &a->fabric.io_to_agent[n]
					  : &a->fabric.router_to_agent[n - ACTOR_IOS];

	assert_int_equal(bb_ring_push(r, mail, 1), 1);
}

static inline void
actor_done(struct actors *a, uint32_t n, uint64_t tag, int error)
{
	actor_says(a, n, &(struct bb_mail){ .kind = BB_MAIL_DONE, .arg = (uint32_t)-error, .tag = tag });
}

/* Every actor finds a mail of that kind and has done it. Returns the last. */
static inline struct bb_mail
actors_all_do(struct actors *a, uint32_t kind)
{
	struct bb_mail mail = { 0 };

	for (uint32_t n = 0; n < ACTORS; n++) {
		mail = actor_expect(a, n, kind);
		actor_done(a, n, mail.tag, 0);
	}
	return mail;
}

static inline void
actors_have_no_mail(struct actors *a)
{
	struct bb_mail mail;

	for (uint32_t n = 0; n < ACTORS; n++)
		assert_false(actor_read(a, n, &mail));
}

#endif
