/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/io.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "transport/session.h"

#define TURN_EVENTS 256 /* streams and listeners served by one poll of the transport */
#define TURN_READ_BYTES (16 * BB_TURN_READ_BYTES) /* of all sessions: well below a millisecond */
#define TURN_TIMERS 256
#define TURN_CONTROL 1024
#define TURN_EVACUATE 1024 /* slots looked at */

/* --- mail --- */

bool
io_tell_agent(struct bb_io *io, const struct bb_mail *mail)
{
	if (bb_ring_push(&io->fabric->io_to_agent[io->index], mail, 1) == 0)
		return false;
	io->agent_told = true;
	return true;
}

/* Where a new session goes: here, unless another I/O core has fewer by more than a few. */
static uint32_t
least_loaded(const struct bb_io *io)
{
	uint32_t best = io->index;
	uint32_t best_load = atomic_load_explicit(&io->fabric->io_load[best], memory_order_relaxed);

	for (uint32_t i = 0; i < io->fabric->sizes.io_count; i++) {
		const uint32_t load = atomic_load_explicit(&io->fabric->io_load[i], memory_order_relaxed);
		if (load < best_load) {
			best = i;
			best_load = load;
		}
	}
	return best;
}

static void
adopt_accepted(struct bb_io *io, uint32_t side_index, int fd)
{
	struct side *side = io->sides[side_index];
	struct bb_stream *stream;
	char address[64];

	if (side == NULL) {
		io->transport->ops->discard(io->transport, fd);
		return;
	}
	if (io->transport->ops->adopt(io->transport, fd, &side->options->stream, &stream, address) != 0) {
		BB_COUNT(side->row, BB_IO_CLOSED_MEMORY, 1);
		return;
	}
	session_adopt(io, stream, side, 0, address);
}

static void
on_accept(struct bb_transport *t, uint32_t side_index, int fd)
{
	struct bb_io *io = t->user;
	const uint32_t to = least_loaded(io);

	if (to != io->index) {
		const struct bb_mail mail = {
			.kind = BB_MAIL_ADOPT, .arg = side_index, .value = (uint64_t)fd
		};
		if (bb_ring_push(bb_fabric_io_mail(io->fabric, io->index, to), &mail, 1) == 1) {
			io->peers_told |= UINT64_C(1) << to;
			return;
		}
		/* Its mailbox is full: it is busy enough. */
	}
	adopt_accepted(io, side_index, fd);
}

static void
limits_changed(struct bb_io *io, const struct side *side)
{
	const uint64_t used = io->counters->header->sessions_used[io->index];

	for (uint32_t slot = 0; slot < used; slot++) {
		struct session *s = io->sessions[slot];
		if (s == NULL || s->side != side || s->state == SESSION_CLOSING)
			continue;
		if (s->attached)
			session_limits(io, s);
		session_timer_arm(io, s); /* time-outs may be shorter now */
	}
}

static size_t
side_bytes(const struct bb_io *io)
{
	return sizeof(struct side) + io->router_count * sizeof(((struct side *)0)->window[0]);
}

/* A new endpoint, or a changed one. */
static int
on_endpoint(struct bb_io *io, const struct bb_endpoint *e)
{
	struct side *sides[2];

	for (unsigned i = 0; i < 2; i++) {
		sides[i] = io->sides[bb_side_index(e, i)];
		if (sides[i] == NULL)
			sides[i] = bb_mem_zalloc(io->mem, side_bytes(io));
	}
	for (unsigned i = 0; i < 2; i++) {
		const uint16_t index = bb_side_index(e, i);
		struct side *side = sides[i];
		if (io->sides[index] == side)
			continue;
		if (sides[0] == NULL || sides[1] == NULL) {
			bb_mem_free(io->mem, side, side_bytes(io));
			sides[i] = NULL;
			continue;
		}
		side->index = index;
		side->number = (uint8_t)i;
		side->row = bb_counters_io_side(io->counters, io->index, index);
		for (uint32_t r = 0; r < io->router_count; r++) {
			bb_list_init(&side->window[r].node);
			bb_list_init(&side->window[r].waiting);
			bb_list_init(&side->window[r].again);
		}
		io->sides[index] = side;
	}
	if (sides[0] == NULL || sides[1] == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < 2; i++) {
		sides[i]->endpoint = e;
		sides[i]->options = &e->side[i];
		limits_changed(io, sides[i]);
	}
	return 0;
}

/* Its drain is over: nothing names the endpoint any more. */
static void
on_removed(struct bb_io *io, uint32_t id)
{
	for (uint32_t i = 0; i < 2; i++) {
		struct side *side = io->sides[id * 2 + i];
		BB_ASSERT(side == NULL || side->session_count == 0);
		bb_mem_free(io->mem, side, side == NULL ? 0 : side_bytes(io));
		io->sides[id * 2 + i] = NULL;
	}
}

static int
on_connect(struct bb_io *io, const struct bb_mail *mail)
{
	const struct bb_mail_connect *c = mail->ptr;
	struct side *side = io->sides[c->side];
	struct bb_stream *stream;
	struct sockaddr_storage to = { 0 };

	if (side == NULL || side->draining)
		return -ESHUTDOWN;
	memcpy(&to, c->address, sizeof(c->address));
	const int error = io->transport->ops->connect(
		io->transport, (const struct sockaddr *)&to, &side->options->stream, &stream);
	if (error != 0)
		return error;
	BB_COUNT(side->row, BB_IO_RECONNECTS, mail->value > 0);
	return session_adopt(io, stream, side, mail->tag, c->text);
}

static void
on_disconnect(struct bb_io *io, uint64_t tag)
{
	const uint64_t used = io->counters->header->sessions_used[io->index];

	for (uint32_t slot = 0; slot < used; slot++) {
		struct session *s = io->sessions[slot];
		if (s != NULL && s->tag == tag)
			session_close(io, s, BB_IO_OUT_PEER_GONE);
	}
}

/* Returns the error for the answer; -EINPROGRESS: the answer comes later. */
static int
on_mail(struct bb_io *io, const struct bb_mail *mail)
{
	int error;

	switch ((enum bb_mail_kind)mail->kind) {
	case BB_MAIL_ENDPOINT:
		return on_endpoint(io, mail->ptr);
	case BB_MAIL_DRAIN:
		error = drain_begin(io, mail->arg, mail->value, mail->tag);
		return error == 0 ? -EINPROGRESS : error;
	case BB_MAIL_REMOVED:
		on_removed(io, mail->arg);
		return 0;
	case BB_MAIL_LISTEN:
		return io->transport->ops->listen(io->transport, (int)mail->value, mail->arg);
	case BB_MAIL_UNLISTEN:
		io->transport->ops->unlisten(io->transport, mail->arg);
		return 0;
	case BB_MAIL_CONNECT:
		return on_connect(io, mail);
	case BB_MAIL_DISCONNECT:
		on_disconnect(io, mail->value);
		return 0;
	default:
		BB_ASSERT(false); /* a kind that nobody sends to I/O cores */
	}
}

static void
answer(struct bb_io *io)
{
	if (io->has_answer && io_tell_agent(io, &io->answer))
		io->has_answer = false;
}

static uint32_t
read_mail(struct bb_io *io)
{
	struct bb_mail mail;
	uint32_t work = 0;

	answer(io);
	while (!io->has_answer && bb_ring_pop(&io->fabric->agent_to_io[io->index], &mail, 1) == 1) {
		const int error = on_mail(io, &mail);
		work++;
		if (error == -EINPROGRESS)
			continue;
		io->answer = (struct bb_mail){
			.kind = BB_MAIL_DONE, .arg = (uint32_t)-error, .tag = mail.tag
		};
		io->has_answer = true;
		answer(io);
	}
	for (uint32_t i = 0; i < io->fabric->sizes.io_count; i++) {
		for (uint32_t n = 0; n < 64; n++, work++) {
			if (bb_ring_pop(bb_fabric_io_mail(io->fabric, i, io->index), &mail, 1) == 0)
				break;
			BB_ASSERT(mail.kind == BB_MAIL_ADOPT);
			adopt_accepted(io, mail.arg, (int)mail.value);
		}
	}
	return work;
}

/* --- a step --- */

static uint32_t
run_timers(struct bb_io *io)
{
	struct bb_timer *t;
	uint32_t work = 0;

	while (work < TURN_TIMERS && (t = bb_wheel_expire(&io->wheel, io->now_ns)) != NULL) {
		session_on_timer(io, bb_list_entry(&t->node, struct session, timer.node));
		work++;
	}
	return work;
}

static uint32_t
read_sessions(struct bb_io *io)
{
	struct bb_list now;
	uint32_t bytes = 0;

	ingress_open_windows(io);
	/* Only those that stand there now; who has more to read goes to the end of the rotation. */
	bb_list_move_all(&now, &io->ready);
	while (bytes < TURN_READ_BYTES && !bb_list_empty(&now))
		bytes += ingress_read(io, bb_list_entry(now.next, struct session, ready_node));
	bb_list_splice(&now, &io->ready); /* the rest keeps its place in front of them */
	bb_list_move_all(&io->ready, &now);
	return bytes;
}

static uint32_t
run_control(struct bb_io *io)
{
	struct bb_list now;
	uint32_t work = 0;

	bb_list_move_all(&now, &io->control);
	for (; work < TURN_CONTROL && !bb_list_empty(&now); work++) {
		struct session *s = bb_list_entry(bb_list_pop(&now), struct session, control_node);
		if (!session_control(io, s))
			bb_list_append(&io->control, &s->control_node);
		else
			session_release(io, s);
	}
	bb_list_splice(&io->control, &now);
	return work;
}

/* Copy what is left in thinly used buffers, queue by queue, until enough memory is free again. */
static void
evacuate(struct bb_io *io)
{
	const uint64_t used = io->counters->header->sessions_used[io->index];
	uint64_t budget = 4 * BB_BUFFER_BYTES;

	for (uint64_t i = 0;
		i < used && i < TURN_EVACUATE && budget > 0 && bb_holds_wasteful(&io->spans.holds); i++) {
		struct session *s = io->sessions[io->evacuate_slot];
		if (s != NULL) {
			const uint64_t copied = bb_spanq_evacuate(&io->spans, &s->sendq.unsent, budget);
			budget -= copied < budget ? copied : budget;
		}
		io->evacuate_slot = io->evacuate_slot + 1 < used ? io->evacuate_slot + 1 : 0;
	}
}

static void
publish(struct bb_io *io)
{
	for (uint32_t r = 0; r < io->router_count; r++)
		ingress_publish(io, r);
	for (uint64_t bits = io->published; bits != 0; bits &= bits - 1)
		bb_wake_notify(io->fabric->router_wake[__builtin_ctzll(bits)]);
	for (uint64_t bits = io->peers_told; bits != 0; bits &= bits - 1)
		bb_wake_notify(io->fabric->io_wake[__builtin_ctzll(bits)]);
	if (io->agent_told && io->fabric->agent_wake != NULL)
		bb_wake_notify(io->fabric->agent_wake);
	io->published = io->peers_told = 0;
	io->agent_told = false;
}

static enum memory_level
memory_level(const struct bb_pool *pool)
{
	const uint64_t all = pool->count - pool->reserve;
	const uint32_t free_count = bb_pool_free_count(pool);
	const uint64_t left = free_count > pool->reserve ? free_count - pool->reserve : 0;

	if (left * 2 >= all)
		return MEMORY_AMPLE;
	return left * 8 >= all * 3 ? MEMORY_HALF : left * 4 >= all ? MEMORY_LOW : MEMORY_SHORT;
}

uint32_t
bb_io_poll(struct bb_io *io, uint64_t now_ns)
{
	uint32_t work = 0;

	BB_ACTOR_ENTER(io->actor);
	io->now_ns = now_ns;
	io->appends_left = BB_TURN_APPENDS;
	io->out_stuck = 0;
	io->memory_level = memory_level(io->pool);
	/* What did not fit last turn goes first: nothing may be added before it is out. */
	for (uint32_t r = 0; r < io->router_count; r++)
		ingress_publish(io, r);

	work += read_mail(io);
	work += io->transport->ops->poll(io->transport, now_ns, TURN_EVENTS);
	work += egress_deliveries(io);
	work += run_timers(io);
	work += read_sessions(io);
	work += egress_flush(io);
	work += drain_step(io);
	work += run_control(io);
	if (bb_unlikely(bb_holds_wasteful(&io->spans.holds)))
		evacuate(io);
	publish(io);
	BB_ACTOR_LEAVE();
	return work;
}

uint64_t
bb_io_deadline(const struct bb_io *io)
{
	/* Lists that are not empty mean work for the next turn. Who waits for a full ring or a buffer polls
	 * again soon. */
	if (!bb_list_empty(&io->ready) || !bb_list_empty(&io->flush) || io->has_answer || io->waiters_left)
		return 0;
	uint64_t deadline = bb_wheel_next(&io->wheel);
	if (!bb_list_empty(&io->starved) || !bb_list_empty(&io->control) || io->out_stuck != 0)
		deadline = bb_min_u64(deadline, io->now_ns + BB_MSEC);
	return deadline;
}

void
bb_io_memory(const struct bb_io *io, uint64_t *ret_pinned, uint64_t *ret_needed, uint64_t *ret_evacuated)
{
	*ret_pinned = io->spans.holds.pinned_bytes;
	*ret_needed = io->spans.holds.needed_bytes;
	*ret_evacuated = io->spans.evacuated_bytes;
}

/* --- making and ending --- */

static int
allocate(struct bb_io *io)
{
	struct bb_mem *m = io->mem;

	io->out = bb_mem_zalloc(m, io->router_count * sizeof(*io->out));
	io->inbox = bb_mem_zalloc(m, io->router_count * sizeof(*io->inbox));
	io->drain = bb_mem_zalloc(m, (BB_ENDPOINTS_MAX + 1) * sizeof(*io->drain));
	io->sides = bb_mem_zalloc(m, 2 * BB_ENDPOINTS_MAX * sizeof(struct side *));
	io->sessions = bb_mem_zalloc(m, io->session_max * sizeof(struct session *));
	io->generations = bb_mem_alloc(m, io->session_max * sizeof(*io->generations));
	io->free_slots = bb_mem_alloc(m, io->session_max * sizeof(*io->free_slots));
	io->rx_scratch = bb_mem_alloc(m, BB_BUFFER_BYTES);
	io->tx_scratch = bb_mem_alloc(m, BB_BUFFER_BYTES);
	const bool all = io->out != NULL && io->drain != NULL && io->inbox != NULL && io->sides != NULL &&
			 io->sessions != NULL && io->generations != NULL && io->free_slots != NULL &&
			 io->rx_scratch != NULL && io->tx_scratch != NULL;
	if (!all || bb_spans_init(&io->spans, io->pool, m, io->actor) != 0)
		return -ENOMEM;
	io->spans_made = true;
	return 0;
}

int
bb_io_create(const struct bb_io_options *o, struct bb_io **ret_io)
{
	BB_ASSERT(o->session_max > 0 && o->session_max <= BB_SESSIONS_MAX);
	BB_ASSERT(o->session_max <= o->counters->header->session_count);
	struct bb_io *io = bb_mem_zalloc(o->mem, sizeof(*io));
	if (io == NULL)
		return -ENOMEM;
	BB_OWNER_SET(io, o->actor);
	io->index = o->index;
	io->actor = o->actor;
	io->fabric = o->fabric;
	io->pool = o->fabric->pool;
	io->mem = o->mem;
	io->counters = o->counters;
	io->transport = o->transport;
	io->router_count = o->fabric->sizes.router_count;
	io->session_max = o->session_max;
	io->assembling_max = (uint64_t)io->pool->count * BB_BUFFER_BYTES / 4 / o->fabric->sizes.io_count;
	struct bb_list *lists[] = { &io->ready, &io->flush, &io->control, &io->half_open, &io->assembling,
		&io->starved, &io->drains, &io->windows };
	for (size_t i = 0; i < BB_ARRAY_LEN(lists); i++)
		bb_list_init(lists[i]);
	bb_wheel_init(&io->wheel, 0);
	bb_rand_init(&io->rand, o->seed);
	if (allocate(io) != 0) {
		bb_io_destroy(io);
		return -ENOMEM;
	}
	for (uint32_t r = 0; r < io->router_count; r++) {
		bb_batch_writer_init(&io->out[r], io->pool, io->actor);
		io->inbox[r].group = BB_BUFFER_NONE;
	}
	for (uint32_t i = 0; i <= BB_ENDPOINTS_MAX; i++)
		bb_list_init(&io->drain[i].node);
	for (uint32_t slot = 0; slot < io->session_max; slot++) {
		io->generations[slot] = 1;
		io->free_slots[slot] = io->session_max - 1 - slot; /* the lowest is on top: rows stay dense */
	}
	io->free_count = io->session_max;
	o->transport->on_accept = on_accept;
	o->transport->user = io;
	*ret_io = io;
	return 0;
}

static void
destroy_session(struct bb_io *io, struct session *s)
{
	session_close(io, s, BB_IO_OUT_SHUTDOWN);
	s->gone_todo = s->gone_wait = s->tag = s->cut_msgs = 0;
	const bool released = session_release(io, s);
	BB_ASSERT(released);
}

/* Deliveries that nobody will process: give their references back. */
static void
discard_deliveries(struct bb_io *io)
{
	for (uint32_t r = 0; r < io->router_count; r++) {
		struct inbox *in = &io->inbox[r];
		for (;;) {
			for (; in->next < in->count; in->next++, in->receiver = 0) {
				const struct bb_delivery *d = &in->burst[in->next];
				if ((d->flags & BB_DELIVERY_OPEN) && in->group == BB_BUFFER_NONE)
					bb_holds_open(&io->spans.holds, d->buffer, 1, 0);
				in->group = d->flags & BB_DELIVERY_OPEN ? d->buffer : in->group;
				if (d->flags & BB_DELIVERY_CLOSE) {
					bb_holds_drop(&io->spans.holds, d->buffer, 1, 0);
					in->group = BB_BUFFER_NONE;
				}
			}
			in->next = 0;
			in->count = bb_ring_pop(bb_fabric_deliveries(io->fabric, r, io->index), in->burst,
				BB_ARRAY_LEN(in->burst));
			if (in->count == 0)
				break;
		}
		if (in->group != BB_BUFFER_NONE) /* its end was not published yet */
			bb_holds_drop(&io->spans.holds, in->group, 1, 0);
		struct bb_slice slice;
		if (bb_batch_slice(&io->out[r], &slice))
			bb_batch_discard(io->pool, &slice);
		bb_batch_writer_fini(&io->out[r]);
	}
}

void
bb_io_destroy(struct bb_io *io)
{
	if (io == NULL)
		return;
	struct bb_mem *m = io->mem;

	BB_ACTOR_ENTER(io->actor);
	if (io->spans_made) {
		for (uint32_t slot = 0; slot < io->session_max; slot++)
			if (io->sessions[slot] != NULL)
				destroy_session(io, io->sessions[slot]);
		discard_deliveries(io);
		bb_spans_fini(&io->spans);
	}
	bb_mem_free(m, io->drain, (BB_ENDPOINTS_MAX + 1) * sizeof(*io->drain));
	for (uint32_t i = 0; io->sides != NULL && i < 2 * BB_ENDPOINTS_MAX; i++)
		if (io->sides[i] != NULL)
			bb_mem_free(m, io->sides[i], side_bytes(io));
	bb_mem_free(m, io->out, io->router_count * sizeof(*io->out));
	bb_mem_free(m, io->inbox, io->router_count * sizeof(*io->inbox));
	bb_mem_free(m, io->sides, 2 * BB_ENDPOINTS_MAX * sizeof(struct side *));
	bb_mem_free(m, io->sessions, io->session_max * sizeof(struct session *));
	bb_mem_free(m, io->generations, io->session_max * sizeof(*io->generations));
	bb_mem_free(m, io->free_slots, io->session_max * sizeof(*io->free_slots));
	bb_mem_free(m, io->rx_scratch, BB_BUFFER_BYTES);
	bb_mem_free(m, io->tx_scratch, BB_BUFFER_BYTES);
	bb_mem_free(m, io, sizeof(*io));
	BB_ACTOR_LEAVE();
}
