/* SPDX-License-Identifier: BSD-3-Clause */
#include "router_env.h"

#include <errno.h>
#include <stdio.h>

#include "base/endian.h"
#include "msg/message.h"
#include "msg/set.h"

#define ROUTER_ACTOR 100
#define SETTLED 3 /* steps without work that end a run */

void
env_open(struct env *e, const struct env_options *o)
{
	const uint32_t buffers = o->buffers == 0 ? 256 : o->buffers;

	*e = (struct env){
		.io_count = o->io_count == 0 ? 1 : o->io_count,
		.take_max = UINT32_MAX,
		.now_ns = 1000 * BB_SEC,
	};
	bb_mem_init_heap(&e->mem, o->memory == 0 ? UINT64_MAX : o->memory);
	bb_mem_init_heap(&e->io_mem, UINT64_MAX);
	e->pool_bytes = aligned_alloc(BB_BUFFER_BYTES, (size_t)buffers * BB_BUFFER_BYTES);
	e->pool_buffers = calloc(buffers, sizeof(*e->pool_buffers));
	assert_true(e->pool_bytes != NULL && e->pool_buffers != NULL);
	bb_pool_init(&e->pool, e->pool_bytes, e->pool_buffers, buffers, 2);

	const struct bb_fabric_sizes sizes = {
		.io_count = e->io_count,
		.router_count = 1,
		.slices = o->slices == 0 ? 1024 : o->slices,
		.deliveries = o->deliveries == 0 ? 4096 : o->deliveries,
		.mails = 16,
		.window_bytes = 256 * 1024,
	};
	assert_int_equal(bb_fabric_init(&e->fabric, &sizes, &e->pool), 0);

	const struct bb_counters_sizes rows = { .loop_count = 1,
		.io_count = e->io_count,
		.router_count = 1,
		.side_count = ENV_SIDES,
		.session_count = 1 };
	e->counters_memory = aligned_alloc(4096, bb_counters_bytes(&rows));
	memset(e->counters_memory, 0, bb_counters_bytes(&rows));
	bb_counters_init(&e->counters, e->counters_memory, &rows);

	for (uint32_t i = 0; i < e->io_count; i++) {
		bb_batch_writer_init(&e->writer[i], &e->pool, i + 1);
		assert_int_equal(bb_holds_init(&e->holds[i], &e->pool, &e->io_mem, i + 1), 0);
		e->sessions[i] = calloc(ENV_SESSIONS, sizeof(**e->sessions));
	}
	const struct bb_router_options options = {
		.actor = ROUTER_ACTOR,
		.fabric = &e->fabric,
		.mem = &e->mem,
		.counters = &e->counters,
		.hash_key = { 1, 2 },
	};
	assert_int_equal(bb_router_create(&options, &e->router), 0);
}

/* What the router left in the rings goes back, too. */
static void
discard_rings(struct env *e)
{
	struct bb_delivery d;
	struct bb_slice slice;

	for (uint32_t i = 0; i < e->io_count; i++) {
		for (uint32_t b = 0; b < e->pool.count; b++) {
			const struct bb_hold *h = &e->holds[i].of[b];
			if (h->count > 0) /* a group whose end the router had not published */
				bb_holds_drop(&e->holds[i], b, h->count, h->bytes);
		}
		while (bb_ring_pop(bb_fabric_deliveries(&e->fabric, 0, i), &d, 1) == 1) {
			if (d.flags & BB_DELIVERY_OPEN)
				bb_pool_put(&e->pool, d.buffer, 1);
		}
		while (bb_ring_pop(bb_fabric_slices(&e->fabric, i, 0), &slice, 1) == 1)
			bb_batch_discard(&e->pool, &slice);
	}
}

void
env_close(struct env *e)
{
	bb_router_destroy(e->router);
	assert_int_equal(e->mem.used_bytes, 0);
	discard_rings(e);
	for (uint32_t i = 0; i < e->io_count; i++) {
		bb_batch_writer_fini(&e->writer[i]);
		bb_holds_fini(&e->holds[i], &e->io_mem);
		for (uint32_t s = 0; s < ENV_SESSIONS; s++)
			free(e->sessions[i][s].log);
		free(e->sessions[i]);
	}
	bb_fabric_fini(&e->fabric);
	bb_pool_fini(&e->pool);
	free(e->pool_bytes);
	free(e->pool_buffers);
	free(e->counters_memory);
}

struct bb_endpoint
env_conf(uint16_t id, enum bb_pattern pattern)
{
	struct bb_endpoint conf = { .id = id, .pattern = (uint8_t)pattern };

	for (int side = 0; side < 2; side++)
		conf.side[side] = (struct bb_side_options){ .when_full = BB_FULL_DROP };
	conf.sharded = pattern == BB_PATTERN_PUBSUB;
	return conf;
}

uint64_t
env_mail(struct env *e, uint32_t kind, uint32_t arg, uint64_t value, void *ptr)
{
	const struct bb_mail mail = { .kind = kind, .arg = arg, .value = value, .ptr = ptr, .tag = ++e->tag };

	assert_int_equal(bb_ring_push(&e->fabric.agent_to_router[0], &mail, 1), 1);
	return mail.tag;
}

void
env_endpoint(struct env *e, const struct bb_endpoint *conf)
{
	env_mail(e, BB_MAIL_ENDPOINT, 0, 0, (void *)(uintptr_t)conf);
	env_step(e);
	assert_int_equal(e->answer.tag, e->tag);
	assert_int_equal(e->answer.arg, 0);
}

struct env_session *
env_session(struct env *e, bb_handle h)
{
	assert_true(bb_handle_core(h) < e->io_count && bb_handle_slot(h) < ENV_SESSIONS);
	return &e->sessions[bb_handle_core(h)][bb_handle_slot(h)];
}

const char *
env_log(struct env *e, bb_handle h)
{
	const struct env_session *s = env_session(e, h);

	return s->log == NULL ? "" : s->log;
}

void
env_log_clear(struct env *e, bb_handle h)
{
	struct env_session *s = env_session(e, h);

	s->log_len = 0;
	if (s->log != NULL)
		s->log[0] = 0;
}

uint64_t
env_count(struct env *e, uint16_t side, uint32_t counter)
{
	return bb_counters_router_side(&e->counters, 0, side)->c[counter];
}

/* ---- The I/O cores' egress ---- */

static void
log_text(struct env_session *s, const void *text, size_t len)
{
	if (s->log_len + len + 1 > s->log_cap) {
		s->log_cap = 2 * (s->log_len + len + 1);
		s->log = realloc(s->log, s->log_cap);
		assert_non_null(s->log);
	}
	memcpy(s->log + s->log_len, text, len);
	s->log_len += len;
	s->log[s->log_len] = 0;
}

/* Whole messages, in one piece. */
static void
log_messages(struct env_session *s, const uint8_t *bytes, uint64_t len, uint32_t msgs)
{
	uint64_t at = 0;

	for (uint32_t i = 0; i < msgs; i++) {
		const uint64_t end = at + bb_message_len(bytes + at);
		assert_true(end <= len);
		if (s->log_len > 0)
			log_text(s, " ", 1);
		for (bool first = true; at < end; first = false) {
			const uint32_t head = bytes[at] & 2 ? 9 : 2;
			const uint64_t frame = bb_message_frame_len(bytes + at);
			if (!first)
				log_text(s, "|", 1);
			log_text(s, bytes + at + head, frame - head);
			at += frame;
		}
	}
	assert_int_equal(at, len); /* ranges begin and end with messages */
	s->msgs += msgs;
	s->bytes += len;
}

static void
take_messages(struct env *e, const struct bb_delivery *d, bb_handle to)
{
	struct env_session *s = env_session(e, to);

	assert_int_equal(s->gone_done, 0); /* nothing follows that answer */
	e->arrived[d->side] += d->msgs;
	if (!(d->flags & BB_DELIVERY_CHAIN)) {
		assert_true(d->offset + d->len <= BB_BUFFER_BYTES);
		log_messages(s, bb_pool_bytes(&e->pool, d->buffer) + d->offset, d->len, d->msgs);
		return;
	}
	uint8_t *whole = malloc(d->len);
	uint32_t offset = d->offset, done = 0;
	for (uint32_t b = d->buffer; done < d->len; b = e->pool.buffers[b].next) {
		const uint32_t used = e->pool.buffers[b].used;
		if (offset >= used) {
			offset -= used;
			continue;
		}
		const uint32_t n = (uint32_t)bb_min_u64(used - offset, d->len - done);
		memcpy(whole + done, bb_pool_bytes(&e->pool, b) + offset, n);
		done += n;
		offset = 0;
	}
	log_messages(s, whole, d->len, d->msgs);
	free(whole);
}

static void
take_upstream(struct env *e, const struct bb_delivery *d)
{
	struct env_session *s = env_session(e, d->session);
	const size_t at = strlen(s->upstream);

	assert_true(at + d->len + 3 < sizeof(s->upstream));
	s->upstream[at] = d->flags & BB_DELIVERY_CANCEL ? '-' : '+';
	memcpy(s->upstream + at + 1, bb_pool_bytes(&e->pool, d->buffer) + d->offset, d->len);
	memcpy(s->upstream + at + 1 + d->len, " ", 2);
	s->upstream_count++;
}

static void
take_answer(struct env *e, uint32_t io, const struct bb_delivery *d)
{
	if (d->kind == BB_DELIVERY_WINDOW) {
		assert_true(d->total >= e->window[io][d->side] && d->total <= e->sent_bytes[io][d->side]);
		e->window[io][d->side] = d->total;
		return;
	}
	if (d->kind == BB_DELIVERY_END) {
		e->ends[io]++;
		return;
	}
	struct env_session *s = env_session(e, d->session);
	switch (d->kind) {
	case BB_DELIVERY_GRANTED:
		s->granted++;
		for (uint32_t i = 0; i < d->len && d->buffer != BB_BUFFER_NONE; i++)
			sprintf(s->id + 2 * i, "%02x", bb_pool_bytes(&e->pool, d->buffer)[d->offset + i]);
		break;
	case BB_DELIVERY_REFUSED:
		s->refused++;
		s->cause = d->msgs;
		break;
	case BB_DELIVERY_GONE_DONE:
		s->gone_done++;
		break;
	case BB_DELIVERY_UPSTREAM:
		take_upstream(e, d);
		break;
	case BB_DELIVERY_UPSTREAM_END:
		strcat(s->upstream, ". ");
		break;
	default:
		fail();
	}
}

static bool
take_one(struct env *e, uint32_t io)
{
	struct bb_delivery d;

	if (bb_ring_pop(bb_fabric_deliveries(&e->fabric, 0, io), &d, 1) == 0)
		return false;
	if (d.flags & BB_DELIVERY_OPEN)
		bb_holds_open(&e->holds[io], d.buffer, 1, d.flags & BB_DELIVERY_CHAIN ? 1 : 0);
	if (d.buffer != BB_BUFFER_NONE)
		assert_true(e->holds[io].of[d.buffer].count > 0); /* in an open group */
	if (d.kind == BB_DELIVERY_MSGS_ONE) {
		assert_int_equal(bb_handle_core(d.session), io);
		take_messages(e, &d, d.session);
		e->elements++;
	} else if (d.kind == BB_DELIVERY_MSGS_SET) {
		uint32_t count;
		const bb_handle *to = bb_set_members(d.set, io, &count);
		assert_true(count > 0);
		for (uint32_t i = 0; i < count; i++)
			take_messages(e, &d, to[i]);
		e->elements++;
	} else if (d.kind != BB_DELIVERY_CLOSED) {
		take_answer(e, io, &d);
	}
	if (d.flags & BB_DELIVERY_CLOSE)
		bb_holds_drop(&e->holds[io], d.buffer, 1, 0);
	e->taken[io]++;
	atomic_store_explicit(
		&bb_fabric_progress(&e->fabric, 0, io)->done, e->taken[io], memory_order_release);
	return true;
}

/* ---- Steps ---- */

static uint64_t
handled(struct env *e, uint16_t side)
{
	static const uint32_t parts[] = {
		BB_ROUTER_ROUTED,
		BB_ROUTER_IN_NO_SUBSCRIBER,
		BB_ROUTER_IN_UNROUTABLE,
		BB_ROUTER_IN_MALFORMED,
		BB_ROUTER_IN_DENIED,
		BB_ROUTER_IN_MEMORY,
		BB_ROUTER_PARKED,
	};
	uint64_t sum = 0;

	for (size_t i = 0; i < BB_ARRAY_LEN(parts); i++)
		sum += env_count(e, side, parts[i]);
	return sum;
}

uint32_t
env_step(struct env *e)
{
	struct bb_mail mail;
	const uint32_t work = bb_router_poll(e->router, e->now_ns);

	for (uint32_t io = 0; io < e->io_count; io++) {
		for (uint32_t i = 0; i < e->take_max && take_one(e, io); i++)
			;
	}
	while (bb_ring_pop(&e->fabric.router_to_agent[0], &mail, 1) == 1) {
		e->answer = mail;
		e->answers++;
	}
	for (uint16_t side = 0; side < ENV_SIDES; side++) {
		assert_true(handled(e, side) <= e->sent_msgs[side]);
		assert_true(e->arrived[side] <= env_count(e, side, BB_ROUTER_COPIES));
	}
	return work;
}

void
env_run(struct env *e)
{
	for (uint32_t i = 0; i < e->io_count; i++)
		env_flush(e, i);
	for (int idle = 0; idle < SETTLED;)
		idle = env_step(e) == 0 && bb_router_deadline(e->router) != 0 ? idle + 1 : 0;
	for (uint16_t side = 0; side < ENV_SIDES; side++) {
		uint64_t done = 0, sent = 0;
		assert_int_equal(handled(e, side), e->sent_msgs[side]);
		assert_int_equal(e->arrived[side], env_count(e, side, BB_ROUTER_COPIES));
		for (uint32_t io = 0; io < e->io_count; io++) {
			done += e->window[io][side];
			sent += e->sent_bytes[io][side];
		}
		assert_int_equal(done + env_count(e, side, BB_ROUTER_PARKED_BYTES), sent);
	}
	for (uint32_t io = 0; io < e->io_count; io++)
		assert_int_equal(e->holds[io].pinned_bytes, 0); /* all groups are closed */
}

/* ---- The I/O cores' ingress ---- */

void
env_flush(struct env *e, uint32_t io)
{
	struct bb_slice slice;

	if (!bb_batch_slice(&e->writer[io], &slice))
		return;
	while (bb_ring_push(bb_fabric_slices(&e->fabric, io, 0), &slice, 1) == 0)
		env_step(e);
	bb_batch_published(&e->writer[io]);
}

static void
reserve(struct env *e, uint32_t io, uint32_t bytes, uint32_t words)
{
	int ret;

	while ((ret = bb_batch_reserve(&e->writer[io], BB_POOL_CONTROL, bytes, words)) != 0) {
		if (ret == -EAGAIN)
			env_flush(e, io);
		else
			assert_true(env_step(e) > 0 || bb_router_deadline(e->router) == 0);
	}
}

/* A run of one entry. */
static void
write_run(struct env *e, enum bb_run_kind kind, bb_handle h, uint16_t side, uint32_t io, const void *payload,
	uint32_t words, const void *bytes, uint32_t len)
{
	struct bb_batch_writer *w = &e->writer[io];

	reserve(e, io, len, BB_RUN_WORDS + words);
	bb_batch_run(w, kind, h, side);
	if (len > 0)
		memcpy(bb_batch_tail(w), bytes, len);
	bb_batch_entry(w, payload, words, len);
}

bb_handle
env_attach_id(struct env *e, uint32_t io, uint32_t slot, uint16_t side, uint64_t hwm_msgs, const void *id,
	uint32_t id_len)
{
	const bb_handle h = bb_handle_make(io, slot, 1);
	const struct bb_attach a = {
		.msgs_limit = hwm_msgs == 0 ? UINT64_MAX : hwm_msgs,
		.bytes_limit = UINT64_MAX,
		.id_len = (uint16_t)id_len,
	};
	struct env_session *s = env_session(e, h);

	s->granted = s->refused = s->gone_done = s->upstream_count = 0;
	s->id[0] = s->upstream[0] = 0;
	write_run(e, BB_RUN_ATTACH, h, side, io, &a, BB_ATTACH_WORDS, id, id_len);
	return h;
}

bb_handle
env_attach(struct env *e, uint32_t io, uint32_t slot, uint16_t side, uint64_t hwm_msgs)
{
	return env_attach_id(e, io, slot, side, hwm_msgs, "", 0);
}

void
env_gone(struct env *e, bb_handle h, uint16_t side)
{
	write_run(e, BB_RUN_GONE, h, side, bb_handle_core(h), "", 0, "", 0);
}

void
env_credit(struct env *e, bb_handle h, uint16_t side, uint64_t msgs_limit, uint64_t bytes_limit,
	uint64_t bytes_left)
{
	const struct bb_credit c = { msgs_limit, bytes_limit, bytes_left };

	write_run(e, BB_RUN_CREDIT, h, side, bb_handle_core(h), &c, BB_CREDIT_WORDS, "", 0);
}

static void
write_topic(struct env *e, enum bb_run_kind kind, bb_handle h, uint16_t side, const char *topic)
{
	const uint64_t len = strlen(topic);

	write_run(e, kind, h, side, bb_handle_core(h), &len, 1, topic, (uint32_t)len);
}

void
env_subscribe(struct env *e, bb_handle h, uint16_t side, const char *topic)
{
	write_topic(e, BB_RUN_SUBSCRIBE, h, side, topic);
}

void
env_cancel(struct env *e, bb_handle h, uint16_t side, const char *topic)
{
	write_topic(e, BB_RUN_CANCEL, h, side, topic);
}

void
env_room(struct env *e, bb_handle h, uint16_t side)
{
	write_run(e, BB_RUN_UPSTREAM_ROOM, h, side, bb_handle_core(h), "", 0, "", 0);
}

void
env_end(struct env *e, uint32_t io, uint32_t scope)
{
	const uint64_t word = scope;

	write_run(e, BB_RUN_END, BB_HANDLE_NONE, 0, io, &word, 1, NULL, 0);
}

uint32_t
env_encode(uint8_t *to, const char *frames)
{
	uint32_t at = 0;

	for (bool more = true; more;) {
		const char *end = strchr(frames, '|');
		const size_t len = end == NULL ? strlen(frames) : (size_t)(end - frames);
		more = end != NULL;
		to[at++] = (uint8_t)((more ? 1 : 0) | (len > 255 ? 2 : 0));
		if (len > 255) {
			bb_store_be64(to + at, len);
			at += 8;
		} else {
			to[at++] = (uint8_t)len;
		}
		memcpy(to + at, frames, len);
		at += (uint32_t)len;
		frames += len + 1;
	}
	return at;
}

static struct bb_desc
describe(const uint8_t *bytes, uint32_t len)
{
	const uint32_t head = bytes[0] & 2 ? 9 : 2;

	return (struct bb_desc){ .len = len, .topic_len = (uint32_t)bb_message_frame_len(bytes) - head };
}

static void
count_sent(struct env *e, uint32_t io, uint16_t side, uint32_t len)
{
	e->sent_msgs[side]++;
	e->sent_bytes[io][side] += len;
}

void
env_send_raw(struct env *e, bb_handle h, uint16_t side, const uint8_t *bytes, uint32_t len)
{
	const struct bb_desc d = describe(bytes, len);

	write_run(e, BB_RUN_MSGS, h, side, bb_handle_core(h), &d, 1, bytes, len);
	count_sent(e, bb_handle_core(h), side, len);
}

void
env_send(struct env *e, bb_handle h, uint16_t side, const char *frames)
{
	uint8_t bytes[8192];

	assert_true(strlen(frames) < sizeof(bytes) - 100);
	env_send_raw(e, h, side, bytes, env_encode(bytes, frames));
}

void
env_send_chain(struct env *e, bb_handle h, uint16_t side, const uint8_t *bytes, uint32_t len, uint32_t part)
{
	struct {
		struct bb_desc desc;
		uint32_t head, zero;
	} entry = { .desc = describe(bytes, len), .head = BB_BUFFER_NONE };
	uint32_t last = BB_BUFFER_NONE;

	assert_true(part > 0 && part <= BB_BUFFER_BYTES);
	for (uint32_t at = 0; at < len;) {
		const uint32_t n = (uint32_t)bb_min_u64(part, len - at);
		const uint32_t b = bb_pool_get(&e->pool, BB_POOL_CONTROL);
		assert_int_not_equal(b, BB_BUFFER_NONE);
		memcpy(bb_pool_bytes(&e->pool, b), bytes + at, n);
		e->pool.buffers[b].used = n;
		if (last == BB_BUFFER_NONE)
			entry.head = b;
		else
			e->pool.buffers[last].next = b;
		last = b;
		at += n;
	}
	write_run(e, BB_RUN_CHAIN, h, side, bb_handle_core(h), &entry, 2, NULL, 0);
	count_sent(e, bb_handle_core(h), side, len);
}
