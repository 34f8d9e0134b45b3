/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * control: what a session tells its routers besides messages (ATTACH, subscriptions, CREDIT, GONE), and the
 * bytes it sends to its peer that are no messages. All of it is state that waits for room, never an unbounded
 * queue.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "abi/command.h"
#include "base/assert.h"
#include "transport/session.h"

#define CTL_SIZE_MIN 256

void
session_want_control(struct bb_io *io, struct session *s)
{
	if (!bb_list_linked(&s->control_node))
		bb_list_append(&io->control, &s->control_node);
}

uint64_t
session_routers(const struct bb_io *io, const struct session *s)
{
	if (s->subscriber && s->side->endpoint->sharded)
		return io->router_count == 64 ? UINT64_MAX : (UINT64_C(1) << io->router_count) - 1;
	return UINT64_C(1) << s->router;
}

static struct bb_credit
credit_of(const struct session *s)
{
	const struct bb_sendq *q = &s->sendq;

	return (struct bb_credit){
		.msgs_limit = q->hwm.msgs_max == 0 ? UINT64_MAX : q->msgs_left + q->hwm.msgs_max,
		.bytes_limit = q->hwm.bytes_max == 0 ? UINT64_MAX : q->bytes_left + q->hwm.bytes_max,
		.bytes_left = q->bytes_left,
	};
}

static bool
write_attach(struct bb_io *io, struct session *s, uint32_t router)
{
	const struct bb_credit credit = credit_of(s);
	const struct bb_attach attach = {
		.msgs_limit = credit.msgs_limit,
		.bytes_limit = credit.bytes_limit,
		.id_len = s->attach_id_len,
		.socket_type = s->peer_type,
	};
	struct bb_batch_writer *w = &io->out[router];

	if (ingress_reserve(io, router, BB_POOL_CONTROL, s->attach_id_len, BB_RUN_WORDS + BB_ATTACH_WORDS) !=
		0)
		return false;
	bb_batch_run(w, BB_RUN_ATTACH, s->handle, s->side->index);
	if (s->attach_id_len > 0)
		memcpy(bb_batch_tail(w), s->attach_id, s->attach_id_len);
	bb_batch_entry(w, &attach, BB_ATTACH_WORDS, s->attach_id_len);
	return true;
}

static bool
write_credit(struct bb_io *io, struct session *s)
{
	const struct bb_credit credit = credit_of(s);
	struct bb_batch_writer *w = &io->out[s->router];

	if (ingress_reserve(io, s->router, BB_POOL_CONTROL, 0, BB_RUN_WORDS + BB_CREDIT_WORDS) != 0)
		return false;
	bb_batch_run(w, BB_RUN_CREDIT, s->handle, s->side->index);
	bb_batch_entry(w, &credit, BB_CREDIT_WORDS, 0);
	s->credit_msgs_told = s->sendq.msgs_left;
	s->credit_bytes_told = s->sendq.bytes_left;
	return true;
}

/* A run of one entry without payload. */
static bool
write_bare(struct bb_io *io, struct session *s, uint32_t router, enum bb_run_kind kind)
{
	struct bb_batch_writer *w = &io->out[router];

	if (ingress_reserve(io, router, BB_POOL_CONTROL, 0, BB_RUN_WORDS) != 0)
		return false;
	bb_batch_run(w, kind, s->handle, s->side->index);
	bb_batch_entry(w, NULL, 0, 0);
	return true;
}

static void
write_attaches(struct bb_io *io, struct session *s)
{
	for (uint64_t todo = s->attach_todo; todo != 0; todo &= todo - 1) {
		const uint32_t router = (uint32_t)__builtin_ctzll(todo);
		if (write_attach(io, s, router))
			s->attach_todo &= ~(UINT64_C(1) << router);
	}
	if (s->attach_todo == 0) {
		bb_mem_free(io->mem, s->attach_id, s->attach_id_len);
		s->attach_id = NULL;
		s->attach_id_len = 0;
	}
}

/* LOST and REPORT: what the agent is told of a session that has ended. */
static void
tell_agent(struct bb_io *io, struct session *s)
{
	if (s->tag != 0 && io_tell_agent(io, &(struct bb_mail){ .kind = BB_MAIL_LOST,
						     .arg = s->reason,
						     .value = s->was_ready,
						     .tag = s->tag }))
		s->tag = 0;
	if (s->cut_msgs == 0)
		return;
	struct bb_cmd_report *report = calloc(1, sizeof(*report));
	if (report == NULL) {
		s->cut_msgs = 0; /* the counters have it */
		return;
	}
	report->dropped_msgs = s->cut_msgs;
	report->dropped_bytes = s->cut_bytes;
	report->side = s->side_number;
	memcpy(report->endpoint, s->side->endpoint->name, sizeof(s->side->endpoint->name));
	memcpy(report->peer, s->row->address, sizeof(s->row->address));
	if (io_tell_agent(io, &(struct bb_mail){ .kind = BB_MAIL_REPORT, .ptr = report }))
		s->cut_msgs = 0;
	else
		free(report);
}

bool
session_control(struct bb_io *io, struct session *s)
{
	if (s->attach_todo != 0)
		write_attaches(io, s);
	for (uint64_t todo = s->gone_todo; todo != 0; todo &= todo - 1) {
		const uint32_t router = (uint32_t)__builtin_ctzll(todo);
		if (!write_bare(io, s, router, BB_RUN_GONE))
			continue;
		s->gone_todo &= ~(UINT64_C(1) << router);
		s->gone_wait |= UINT64_C(1) << router;
	}
	if (s->state == SESSION_READY && s->attach_todo == 0) {
		if (s->owes.credit && write_credit(io, s))
			s->owes.credit = false;
		if (s->owes.room && write_bare(io, s, s->router, BB_RUN_UPSTREAM_ROOM))
			s->owes.room = false;
	}
	/* A PONG for which there was no memory. */
	const bool pong = s->owes.pong && !s->tx_refused;
	if (pong && s->state != SESSION_CLOSING)
		egress_want_flush(io, s);
	if (s->state != SESSION_CLOSING)
		return s->attach_todo == 0 && !s->owes.credit && !s->owes.room && !pong;
	tell_agent(io, s);
	return s->gone_todo == 0 && s->tag == 0 && s->cut_msgs == 0;
}

int
session_subscription(struct bb_io *io, struct session *s, bool subscribe, const uint8_t *topic, size_t len)
{
	const uint64_t routers = session_routers(io, s);

	if (!s->subscriber)
		return 0; /* nobody to tell: a publisher has no say in subscriptions */
	if (len > BB_TOPIC_MAX) {
		session_refuse(io, s, BB_IO_REFUSED_SUBSCRIPTION, "topic_size");
		return -ECONNABORTED;
	}
	/* All routers or none: room first. */
	for (uint64_t todo = routers; todo != 0; todo &= todo - 1) {
		const int error = ingress_reserve(io, (uint32_t)__builtin_ctzll(todo), BB_POOL_CONTROL,
			(uint32_t)len, BB_RUN_WORDS + 1);
		if (error != 0)
			return error;
	}
	for (uint64_t todo = routers; todo != 0; todo &= todo - 1) {
		struct bb_batch_writer *w = &io->out[__builtin_ctzll(todo)];
		const uint64_t word = len;
		bb_batch_run(w, subscribe ? BB_RUN_SUBSCRIBE : BB_RUN_CANCEL, s->handle, s->side->index);
		if (len > 0)
			memcpy(bb_batch_tail(w), topic, len);
		bb_batch_entry(w, &word, 1, (uint32_t)len);
	}
	if (subscribe)
		BB_COUNT(s->row, BB_SESSION_SUBSCRIPTIONS, 1);
	else if (s->row->c[BB_SESSION_SUBSCRIPTIONS] > 0)
		BB_COUNT(s->row, BB_SESSION_SUBSCRIPTIONS, -1);
	return 0;
}

uint8_t *
session_ctl_room(struct bb_io *io, struct session *s, size_t n)
{
	struct ctl *c = &s->ctl;

	if (c->size - c->end >= n)
		return c->bytes + c->end;
	const uint32_t used = c->end - c->begin;
	uint64_t size = CTL_SIZE_MIN;
	while (size < used + n)
		size *= 2;
	if (size > UINT32_MAX / 2)
		return NULL;
	uint8_t *bytes = bb_mem_alloc(io->mem, size);
	if (bytes == NULL)
		return NULL;
	if (used > 0)
		memcpy(bytes, c->bytes + c->begin, used);
	bb_mem_free(io->mem, c->bytes, c->size);
	*c = (struct ctl){ .bytes = bytes, .end = used, .size = (uint32_t)size };
	return bytes + used;
}

void
session_ctl_release(struct bb_io *io, struct session *s)
{
	bb_mem_free(io->mem, s->ctl.bytes, s->ctl.size);
	s->ctl = (struct ctl){ 0 };
}

bool
session_push(struct bb_io *io, struct session *s, const uint8_t *p, size_t n)
{
	uint8_t *to = session_ctl_room(io, s, n);

	if (to == NULL)
		return false;
	memcpy(to, p, n);
	s->ctl.end += (uint32_t)n;
	egress_want_flush(io, s);
	return true;
}
