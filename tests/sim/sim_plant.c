/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_plant.h"

#include <string.h>

#include "base/compiler.h"
#include "msg/batch.h"
#include "transport/session.h"

static enum plant {
	PLANT_NONE,
	PLANT_RELEASE,	  /* now and then a reference to a buffer is not given back */
	PLANT_CREDIT,	  /* a consumer is given credit for one message too many */
	PLANT_GENERATION, /* a slot is used again before routers forgot its session, with the old generation */
	PLANT_END,	  /* END of a router is not heeded */
	PLANT_SLICE,	  /* a batch that found the ring full is forgotten */
	PLANT_WINDOW,	  /* now and then a report of the input window is missed */
	PLANT_CANCEL,	  /* now and then a cancel is missed */
	PLANT_EVACUATION, /* thinly used buffers are not freed */
	PLANT_COUNT,
} plant;

static const char *const plant_name[PLANT_COUNT] = {
	[PLANT_RELEASE] = "release",
	[PLANT_CREDIT] = "credit",
	[PLANT_GENERATION] = "generation",
	[PLANT_END] = "end",
	[PLANT_SLICE] = "slice",
	[PLANT_WINDOW] = "window",
	[PLANT_CANCEL] = "cancel",
	[PLANT_EVACUATION] = "evacuation",
};

static unsigned calls;
static bool in_credit;

bool
sim_plant(const char *name)
{
	plant = PLANT_NONE;
	for (unsigned i = 1; name != NULL && i < PLANT_COUNT; i++) {
		if (strcmp(plant_name[i], name) == 0)
			plant = (enum plant)i;
	}
	return name == NULL || plant != PLANT_NONE;
}

const char *
sim_plant_name(size_t i)
{
	return i + 1 < PLANT_COUNT ? plant_name[i + 1] : NULL;
}

const char *
sim_plant_scenario(size_t i)
{
	return i + 1 == PLANT_EVACUATION ? "memory" : NULL;
}

void
sim_plant_reset(void)
{
	calls = 0;
	in_credit = false;
}

/* True every n-th time. */
static bool
strikes(enum plant which, unsigned n)
{
	return bb_unlikely(plant == which) && ++calls % n == 0;
}

void __real_bb_pool_put(struct bb_pool *p, uint32_t buffer, uint32_t refs);
void __wrap_bb_pool_put(struct bb_pool *p, uint32_t buffer, uint32_t refs);
void
__wrap_bb_pool_put(struct bb_pool *p, uint32_t buffer, uint32_t refs)
{
	if (!strikes(PLANT_RELEASE, 100))
		__real_bb_pool_put(p, buffer, refs);
}

void __real_bb_batch_run(struct bb_batch_writer *w, enum bb_run_kind kind, bb_handle session, uint16_t side);
void __wrap_bb_batch_run(struct bb_batch_writer *w, enum bb_run_kind kind, bb_handle session, uint16_t side);
void
__wrap_bb_batch_run(struct bb_batch_writer *w, enum bb_run_kind kind, bb_handle session, uint16_t side)
{
	in_credit = kind == BB_RUN_CREDIT;
	__real_bb_batch_run(w, kind, session, side);
}

void __real_bb_batch_entry(struct bb_batch_writer *w, const void *payload, uint32_t words, uint32_t bytes);
void __wrap_bb_batch_entry(struct bb_batch_writer *w, const void *payload, uint32_t words, uint32_t bytes);
void
__wrap_bb_batch_entry(struct bb_batch_writer *w, const void *payload, uint32_t words, uint32_t bytes)
{
	struct bb_credit credit;

	if (in_credit && strikes(PLANT_CREDIT, 1)) {
		memcpy(&credit, payload, sizeof(credit));
		credit.msgs_limit += credit.msgs_limit != UINT64_MAX;
		payload = &credit;
	}
	__real_bb_batch_entry(w, payload, words, bytes);
}

bool __real_session_release(struct bb_io *io, struct session *s);
bool __wrap_session_release(struct bb_io *io, struct session *s);
bool
__wrap_session_release(struct bb_io *io, struct session *s)
{
	const uint32_t slot = bb_handle_slot(s->handle);
	const bool early = s->state == SESSION_CLOSING && s->gone_todo == 0 && s->gone_wait != 0;

	if (!early || !strikes(PLANT_GENERATION, 1))
		return __real_session_release(io, s);
	const uint32_t generation = io->generations[slot];
	const uint64_t gone_wait = s->gone_wait;
	s->gone_wait = 0;
	if (__real_session_release(io, s))
		io->generations[slot] = generation;
	else
		s->gone_wait = gone_wait;
	return io->sessions[slot] == NULL;
}

void __real_drain_ended(struct bb_io *io, uint32_t router, uint32_t scope);
void __wrap_drain_ended(struct bb_io *io, uint32_t router, uint32_t scope);
void
__wrap_drain_ended(struct bb_io *io, uint32_t router, uint32_t scope)
{
	if (!strikes(PLANT_END, 3))
		__real_drain_ended(io, router, scope);
}

void __real_bb_batch_refused(struct bb_batch_writer *w);
void __wrap_bb_batch_refused(struct bb_batch_writer *w);
void
__wrap_bb_batch_refused(struct bb_batch_writer *w)
{
	__real_bb_batch_refused(w);
	if (strikes(PLANT_SLICE, 10))
		bb_batch_published(w);
}

void __real_ingress_window(struct bb_io *io, struct side *side, uint32_t router, uint64_t done);
void __wrap_ingress_window(struct bb_io *io, struct side *side, uint32_t router, uint64_t done);
void
__wrap_ingress_window(struct bb_io *io, struct side *side, uint32_t router, uint64_t done)
{
	if (!strikes(PLANT_WINDOW, 5))
		__real_ingress_window(io, side, router, done);
}

int __real_session_subscription(
	struct bb_io *io, struct session *s, bool subscribe, const uint8_t *topic, size_t len);
int __wrap_session_subscription(
	struct bb_io *io, struct session *s, bool subscribe, const uint8_t *topic, size_t len);
int
__wrap_session_subscription(
	struct bb_io *io, struct session *s, bool subscribe, const uint8_t *topic, size_t len)
{
	if (!subscribe && strikes(PLANT_CANCEL, 4))
		return 0;
	return __real_session_subscription(io, s, subscribe, topic, len);
}

uint64_t __real_bb_spanq_evacuate(struct bb_spans *s, struct bb_spanq *q, uint64_t budget);
uint64_t __wrap_bb_spanq_evacuate(struct bb_spans *s, struct bb_spanq *q, uint64_t budget);
uint64_t
__wrap_bb_spanq_evacuate(struct bb_spans *s, struct bb_spanq *q, uint64_t budget)
{
	return strikes(PLANT_EVACUATION, 1) ? 0 : __real_bb_spanq_evacuate(s, q, budget);
}
