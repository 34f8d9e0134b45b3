/* SPDX-License-Identifier: BSD-3-Clause */
#include "io_env.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/uio.h>

#include "base/endian.h"
#include "base/time.h"
#include "msg/message.h"

#define IO_ACTOR 7
#define SETTLED 3 /* turns without work that end a run */

/* ---- Streams ---- */

static struct peer *
peer_of(struct bb_stream *s)
{
	return bb_container_of(s, struct peer, stream);
}

static void
drop_view(struct peer *p)
{
	for (size_t i = 0; i < p->view_count; i++)
		free(p->view[i]);
	p->view_count = 0;
}

/* Copies of their own, so that a sanitizer sees every octet read beyond or behind them. */
static size_t
rx_view(struct bb_stream *s, struct iovec *iov, size_t iov_max, size_t bytes_max)
{
	struct peer *p = peer_of(s);
	size_t at = 0;

	assert_true(!p->destroyed && p->view_count == 0);
	p->views++;
	if (iov_max > BB_ARRAY_LEN(p->view))
		iov_max = BB_ARRAY_LEN(p->view);
	while (at < p->in_len && at < bytes_max && p->view_count < iov_max) {
		size_t n = bb_min_u64(p->in_len, bytes_max) - at;
		if (p->env->piece > 0 && n > p->env->piece)
			n = p->env->piece;
		uint8_t *copy = malloc(n);
		memcpy(copy, p->in + at, n);
		p->view[p->view_count] = copy;
		iov[p->view_count++] = (struct iovec){ copy, n };
		at += n;
	}
	p->view_len = at;
	s->flags &= ~(uint32_t)(BB_STREAM_RX_MORE | BB_STREAM_RX_END);
	if (at < p->in_len)
		s->flags |= BB_STREAM_RX_MORE;
	else if (p->in_end)
		s->flags |= BB_STREAM_RX_END;
	return p->view_count;
}

static void
rx_consume(struct bb_stream *s, size_t n)
{
	struct peer *p = peer_of(s);

	assert_true(!p->destroyed && n <= p->view_len);
	drop_view(p);
	memmove(p->in, p->in + n, p->in_len - n);
	p->in_len -= n;
}

static void
grow(uint8_t **bytes, size_t *cap, size_t len)
{
	if (len <= *cap)
		return;
	*cap = 2 * len;
	*bytes = realloc(*bytes, *cap);
	assert_non_null(*bytes);
}

static ssize_t
tx_push(struct bb_stream *s, const struct iovec *iov, size_t iov_count)
{
	struct peer *p = peer_of(s);
	size_t taken = 0, given = 0;

	assert_true(!p->destroyed && !p->finished && !p->connecting);
	p->pushes++;
	if (p->broken != 0)
		return -p->broken;
	for (size_t i = 0; i < iov_count; i++) {
		const size_t n = bb_min_u64(iov[i].iov_len, p->room);
		given += iov[i].iov_len;
		if (taken + n < given - iov[i].iov_len)
			break;
		grow(&p->out, &p->out_cap, p->out_len + n);
		memcpy(p->out + p->out_len, iov[i].iov_base, n);
		p->out_len += n;
		p->room -= n;
		taken += n;
	}
	s->flags &= ~(uint32_t)BB_STREAM_TX_BLOCKED;
	if (taken < given)
		s->flags |= BB_STREAM_TX_BLOCKED;
	return (ssize_t)taken;
}

static uint64_t
tx_backlog(struct bb_stream *s)
{
	return peer_of(s)->backlog;
}

static void
finish(struct bb_stream *s)
{
	assert_false(peer_of(s)->destroyed);
	peer_of(s)->finished = true;
}

static void
destroy(struct bb_stream *s)
{
	struct peer *p = peer_of(s);

	assert_false(p->destroyed);
	drop_view(p);
	p->destroyed = true;
}

static const struct bb_stream_ops stream_ops = {
	.rx_view = rx_view,
	.rx_consume = rx_consume,
	.tx_push = tx_push,
	.tx_backlog = tx_backlog,
	.finish = finish,
	.abort = destroy,
	.destroy = destroy,
};

/* ---- The transport ---- */

static struct env *
env_of(struct bb_transport *t)
{
	return bb_container_of(t, struct env, transport);
}

static struct peer *
new_peer(struct env *e)
{
	struct peer *p = calloc(1, sizeof(*p));

	assert_true(p != NULL && e->peer_count < ENV_PEERS);
	p->stream.ops = &stream_ops;
	p->stream.flags = BB_STREAM_COPIES;
	p->env = e;
	p->room = UINT64_MAX;
	e->peers[e->peer_count++] = p;
	return p;
}

static uint32_t
transport_poll(struct bb_transport *t, uint64_t now_ns, uint32_t budget)
{
	struct env *e = env_of(t);
	uint32_t done = 0;

	(void)now_ns;
	(void)budget;
	for (; e->accepted < e->peer_count; e->accepted++) {
		if (e->peers[e->accepted]->connecting)
			continue;
		t->on_accept(t, e->accept_side[e->accepted], (int)e->accepted);
		done++;
	}
	for (uint32_t i = 0; i < e->peer_count; i++) {
		struct peer *p = e->peers[i];
		for (uint32_t k = 0; k < p->event_count && !p->destroyed; k++, done++) {
			if (p->events[k].event == BB_STREAM_CONNECTED)
				p->connecting = false;
			p->stream.on_event(&p->stream, p->events[k].event, p->events[k].arg);
		}
		p->event_count = 0;
	}
	return done;
}

static int
transport_connect(struct bb_transport *t, const struct sockaddr *to, const struct bb_stream_options *options,
	struct bb_stream **ret_stream)
{
	struct peer *p = new_peer(env_of(t));

	(void)to;
	(void)options;
	p->connecting = true;
	*ret_stream = &p->stream;
	return 0;
}

static int
transport_listen(struct bb_transport *t, int fd, uint32_t side)
{
	(void)t;
	(void)fd;
	(void)side;
	return 0;
}

static void
transport_unlisten(struct bb_transport *t, uint32_t side)
{
	env_of(t)->unlistened[side] = true;
}

static int
transport_adopt(struct bb_transport *t, int fd, const struct bb_stream_options *options,
	struct bb_stream **ret_stream, char ret_address[64])
{
	(void)options;
	*ret_stream = &env_of(t)->peers[fd]->stream;
	snprintf(ret_address, 64, "10.0.0.1:%d", fd);
	return 0;
}

static void
transport_discard(struct bb_transport *t, int fd)
{
	env_of(t)->peers[fd]->destroyed = true;
}

static const struct bb_transport_ops transport_ops = {
	.poll = transport_poll,
	.connect = transport_connect,
	.listen = transport_listen,
	.unlisten = transport_unlisten,
	.adopt = transport_adopt,
	.discard = transport_discard,
};

/* ---- Open and close ---- */

static struct bb_wake nobody_sleeps;

void
env_open(struct env *e, const struct env_options *o)
{
	const uint32_t buffers = o->buffers == 0 ? 64 : o->buffers;

	*e = (struct env){
		.router_count = o->routers == 0 ? 1 : o->routers,
		.now_ns = 1000 * BB_SEC,
	};
	bb_mem_init_heap(&e->mem, UINT64_MAX);
	e->pool_bytes = aligned_alloc(BB_BUFFER_BYTES, (size_t)buffers * BB_BUFFER_BYTES);
	e->pool_buffers = calloc(buffers, sizeof(*e->pool_buffers));
	assert_true(e->pool_bytes != NULL && e->pool_buffers != NULL);
	bb_pool_init(&e->pool, e->pool_bytes, e->pool_buffers, buffers, 2);
	const struct bb_fabric_sizes sizes = {
		.io_count = 1,
		.router_count = e->router_count,
		.slices = o->slices == 0 ? 64 : o->slices,
		.deliveries = o->deliveries == 0 ? 1024 : o->deliveries,
		.mails = 64,
		.window_bytes = o->window_bytes == 0 ? BB_WINDOW_BYTES : o->window_bytes,
	};
	assert_int_equal(bb_fabric_init(&e->fabric, &sizes, &e->pool), 0);
	for (uint32_t r = 0; r < e->router_count; r++)
		e->fabric.router_wake[r] = &nobody_sleeps;
	e->fabric.io_wake[0] = &nobody_sleeps;
	const struct bb_counters_sizes rows = {
		.loop_count = 1,
		.io_count = 1,
		.router_count = e->router_count,
		.side_count = ENV_SIDES,
		.session_count = ENV_SESSIONS,
	};
	e->counters_memory = aligned_alloc(4096, bb_counters_bytes(&rows));
	memset(e->counters_memory, 0, bb_counters_bytes(&rows));
	bb_counters_init(&e->counters, e->counters_memory, &rows);
	e->transport.ops = &transport_ops;
	e->transport.wait_fd = -1;
	const struct bb_io_options options = {
		.actor = IO_ACTOR,
		.fabric = &e->fabric,
		.mem = &e->mem,
		.counters = &e->counters,
		.transport = &e->transport,
		.session_max = o->session_max == 0 ? ENV_SESSIONS : o->session_max,
		.seed = 1,
	};
	assert_int_equal(bb_io_create(&options, &e->io), 0);
}

void
env_close(struct env *e)
{
	struct bb_slice slice;

	bb_io_destroy(e->io);
	assert_int_equal(e->mem.used_bytes, 0);
	for (uint32_t r = 0; r < e->router_count; r++) {
		while (bb_ring_pop(bb_fabric_slices(&e->fabric, 0, r), &slice, 1) == 1)
			bb_batch_discard(&e->pool, &slice);
	}
	for (uint32_t i = 0; i < e->mail_count; i++) {
		if (e->mails[i].kind == BB_MAIL_REPORT)
			free(e->mails[i].ptr);
	}
	for (struct bb_mail mail; bb_ring_pop(&e->fabric.io_to_agent[0], &mail, 1) == 1;) {
		if (mail.kind == BB_MAIL_REPORT)
			free(mail.ptr);
	}
	for (uint32_t i = 0; i < e->peer_count; i++) {
		assert_true(e->peers[i]->destroyed);
		free(e->peers[i]->in);
		free(e->peers[i]->out);
		free(e->peers[i]);
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
	static const uint8_t types[][2] = {
		[BB_PATTERN_PUBSUB] = { BB_ZMTP_XSUB, BB_ZMTP_XPUB },
		[BB_PATTERN_PIPELINE] = { BB_ZMTP_PULL, BB_ZMTP_PUSH },
		[BB_PATTERN_REQREP] = { BB_ZMTP_ROUTER, BB_ZMTP_DEALER },
	};
	struct bb_endpoint conf = { .id = id, .pattern = (uint8_t)pattern, .name = "test" };

	for (int i = 0; i < 2; i++)
		conf.side[i] = (struct bb_side_options){
			.socket_type = types[pattern][i],
			.claims = types[pattern][i] == BB_ZMTP_ROUTER,
			.hwm_msgs = 1000,
			.hwm_bytes = 64 << 20,
			.when_full = BB_FULL_DROP,
			.max_message = 64 << 20,
			.max_frames = 65536,
			.handshake_timeout_ns = 30 * BB_SEC,
			.heartbeat_interval_ns = 30 * BB_SEC,
			.heartbeat_timeout_ns = 60 * BB_SEC,
		};
	return conf;
}

uint64_t
env_mail(struct env *e, uint32_t kind, uint32_t arg, uint64_t value, void *ptr)
{
	const struct bb_mail mail = { .kind = kind, .arg = arg, .value = value, .ptr = ptr, .tag = ++e->tag };

	assert_int_equal(bb_ring_push(&e->fabric.agent_to_io[0], &mail, 1), 1);
	return mail.tag;
}

const struct bb_mail *
env_answer(const struct env *e, uint64_t tag)
{
	for (uint32_t i = 0; i < e->mail_count; i++) {
		if (e->mails[i].kind == BB_MAIL_DONE && e->mails[i].tag == tag)
			return &e->mails[i];
	}
	return NULL;
}

void
env_endpoint(struct env *e, const struct bb_endpoint *conf)
{
	const uint64_t tag = env_mail(e, BB_MAIL_ENDPOINT, 0, 0, (void *)(uintptr_t)conf);

	env_turn(e);
	assert_non_null(env_answer(e, tag));
	assert_int_equal(env_answer(e, tag)->arg, 0);
}

/* ---- Routers ---- */

static void
tell(struct env *e, uint32_t r, const char *format, ...)
{
	char *to = e->log[r] + e->log_len[r];
	const size_t room = sizeof(e->log[r]) - e->log_len[r];
	va_list args;

	va_start(args, format);
	const int n = vsnprintf(to, room, format, args);
	va_end(args);
	assert_true(n >= 0 && (size_t)n < room);
	e->log_len[r] += (size_t)n;
}

static char
name_of(struct env *e, bb_handle h, uint16_t side)
{
	for (uint32_t i = 0; i < e->handle_count; i++) {
		if (e->handles[i] == h)
			return (char)('a' + i);
	}
	assert_true(e->handle_count < BB_ARRAY_LEN(e->handles));
	e->handles[e->handle_count] = h;
	e->sides[e->handle_count] = side;
	return (char)('a' + e->handle_count++);
}

static size_t
print_frames(char *to, size_t room, const uint8_t *p, uint64_t len)
{
	size_t n = 0;

	for (uint64_t at = 0; at < len;) {
		const uint32_t head = p[at] & 2 ? 9 : 2;
		const uint64_t frame = bb_message_frame_len(p + at);
		if (at > 0)
			to[n++] = '|';
		for (uint64_t i = head; i < frame && n + 2 < room; i++)
			to[n++] = p[at + i] == 0 ? '0' : (char)p[at + i];
		at += frame;
		assert_true(at <= len);
	}
	to[n] = 0;
	return n;
}

static void
read_entry(struct env *e, uint32_t r, const struct bb_run *run, struct bb_batch_reader *rd, char name)
{
	const uint64_t *entry = bb_batch_read(rd, bb_run_entry_words((enum bb_run_kind)run->kind));
	const uint8_t *bytes = rd->base + rd->bytes;
	struct bb_desc d;
	char text[512];

	memcpy(&d, entry, sizeof(d));
	switch (run->kind) {
	case BB_RUN_MSGS:
		assert_int_equal(bb_message_len(bytes), d.len);
		assert_int_equal(d.topic_len, bb_message_frame_len(bytes) - (bytes[0] & 2 ? 9 : 2));
		print_frames(text, d.len < 300 ? sizeof(text) : 32, bytes, d.len);
		tell(e, r, "%c:%.*s ", name, d.len < 300 ? 300 : 8, text);
		rd->bytes += d.len;
		break;
	case BB_RUN_CHAIN:
		assert_int_equal(bb_pool_chain_bytes(&e->pool, (uint32_t)entry[1]), d.len);
		tell(e, r, "%c#%u ", name, d.len);
		bb_pool_put(&e->pool, (uint32_t)entry[1], 1);
		break;
	case BB_RUN_SUBSCRIBE:
	case BB_RUN_CANCEL:
		tell(e, r, "%c%c%.*s ", name, run->kind == BB_RUN_CANCEL ? '-' : '+',
			(int)bb_min_u64(*entry, 20), (const char *)bytes);
		rd->bytes += (uint32_t)*entry;
		return;
	case BB_RUN_ATTACH: {
		struct bb_attach a;
		memcpy(&a, entry, sizeof(a));
		tell(e, r, "%c@%u[%.*s] ", name, run->side, a.id_len, (const char *)bytes);
		const struct bb_delivery granted = {
			.session = run->session,
			.kind = BB_DELIVERY_GRANTED,
			.buffer = BB_BUFFER_NONE,
			.side = run->side,
		};
		if (!e->hold_grants && a.id_len == 0)
			env_push(e, r, &granted);
		else if (!e->hold_grants) {
			struct bb_delivery d2 = granted;
			d2.buffer = bb_pool_get(&e->pool, BB_POOL_CONTROL);
			memcpy(bb_pool_bytes(&e->pool, d2.buffer), bytes, a.id_len);
			d2.len = a.id_len;
			d2.flags = BB_DELIVERY_OPEN | BB_DELIVERY_CLOSE;
			env_push(e, r, &d2);
		}
		rd->bytes += a.id_len;
		return;
	}
	case BB_RUN_CREDIT:
		tell(e, r, "%c$%llu ", name, (unsigned long long)entry[0]);
		return;
	case BB_RUN_END:
		tell(e, r, "END(%u) ", (uint32_t)*entry);
		return;
	default:
		fail();
	}
	e->input[r][run->side] += d.len;
	e->msgs[r][run->side]++;
}

void
env_window(struct env *e, uint32_t router, uint16_t side, uint64_t done)
{
	uint64_t *last = &e->window[router][side];

	*last = bb_max_u64(*last, done); /* a total never goes back */
	done = *last;
	env_push(e, router,
		&(struct bb_delivery){
			.kind = BB_DELIVERY_WINDOW, .total = done, .buffer = BB_BUFFER_NONE, .side = side });
}

void
env_windows(struct env *e)
{
	for (uint32_t r = 0; r < e->router_count; r++) {
		for (uint16_t side = 0; side < ENV_SIDES; side++) {
			if (e->input[r][side] > 0)
				env_window(e, r, side, e->input[r][side]);
		}
	}
}

static bool
router_turn(struct env *e, uint32_t r)
{
	struct bb_batch_reader rd;
	struct bb_slice slice;
	const struct bb_run *run;
	bool any = false;

	while (bb_ring_pop(bb_fabric_slices(&e->fabric, 0, r), &slice, 1) == 1) {
		any = true;
		bb_batch_reader_init(&rd, &e->pool, &slice);
		while ((run = bb_batch_read(&rd, BB_RUN_WORDS)) != NULL) {
			const char name = run->kind == BB_RUN_END ? 0 : name_of(e, run->session, run->side);
			if (run->kind == BB_RUN_UPSTREAM_ROOM) {
				tell(e, r, "%c^ ", name);
				continue;
			}
			if (run->kind == BB_RUN_GONE) {
				tell(e, r, "%c! ", name);
				if (!e->hold_gone)
					env_push(e, r,
						&(struct bb_delivery){ .session = run->session,
							.kind = BB_DELIVERY_GONE_DONE,
							.buffer = BB_BUFFER_NONE,
							.side = run->side });
				continue;
			}
			for (uint32_t i = 0; i < run->count; i++)
				read_entry(e, r, run, &rd, name);
		}
		bb_pool_put(&e->pool, slice.buffer, 1);
	}
	return any;
}

void
env_push(struct env *e, uint32_t router, const struct bb_delivery *d)
{
	assert_int_equal(bb_ring_push(bb_fabric_deliveries(&e->fabric, router, 0), d, 1), 1);
}

void
env_deliver_raw(struct env *e, char name, const void *bytes, uint32_t len, uint32_t msgs)
{
	const uint32_t buffer = bb_pool_get(&e->pool, BB_POOL_CONTROL);

	assert_int_not_equal(buffer, BB_BUFFER_NONE);
	memcpy(bb_pool_bytes(&e->pool, buffer), bytes, len);
	env_push(e, 0,
		&(struct bb_delivery){
			.session = e->handles[name - 'a'],
			.kind = BB_DELIVERY_MSGS_ONE,
			.flags = BB_DELIVERY_OPEN | BB_DELIVERY_CLOSE,
			.buffer = buffer,
			.len = len,
			.msgs = msgs,
			.side = e->sides[name - 'a'] ^ 1,
		});
	e->delivered[e->sides[name - 'a']] += msgs;
}

void
env_deliver(struct env *e, char name, const char *frames)
{
	uint8_t bytes[4096];

	env_deliver_raw(e, name, bytes, env_encode(bytes, frames), 1);
}

void
env_deliver_chain(struct env *e, char name, uint32_t body_len)
{
	const uint32_t len = body_len + 9;
	uint32_t head = BB_BUFFER_NONE, tail = BB_BUFFER_NONE;

	for (uint32_t at = 0; at < len;) {
		const uint32_t n = (uint32_t)bb_min_u64(BB_BUFFER_BYTES, len - at);
		const uint32_t b = bb_pool_get(&e->pool, BB_POOL_CONTROL);
		uint8_t *p = bb_pool_bytes(&e->pool, b);
		memset(p, 'x', n);
		if (at == 0) {
			p[0] = 2;
			bb_store_be64(p + 1, body_len);
			head = b;
		} else {
			e->pool.buffers[tail].next = b;
		}
		e->pool.buffers[b].used = n;
		tail = b;
		at += n;
	}
	env_push(e, 0,
		&(struct bb_delivery){
			.session = e->handles[name - 'a'],
			.kind = BB_DELIVERY_MSGS_ONE,
			.flags = BB_DELIVERY_OPEN | BB_DELIVERY_CLOSE | BB_DELIVERY_CHAIN,
			.buffer = head,
			.len = len,
			.msgs = 1,
			.side = e->sides[name - 'a'] ^ 1,
		});
	e->delivered[e->sides[name - 'a']]++;
}

void
env_refuse(struct env *e, char name, enum bb_refusal cause)
{
	env_push(e, 0,
		&(struct bb_delivery){
			.session = e->handles[name - 'a'],
			.kind = BB_DELIVERY_REFUSED,
			.buffer = BB_BUFFER_NONE,
			.msgs = cause,
			.side = e->sides[name - 'a'],
		});
}

void
env_upstream(struct env *e, char name, const char *topic)
{
	const uint32_t buffer = bb_pool_get(&e->pool, BB_POOL_CONTROL);

	memcpy(bb_pool_bytes(&e->pool, buffer), topic, strlen(topic));
	env_push(e, 0,
		&(struct bb_delivery){
			.session = e->handles[name - 'a'],
			.kind = BB_DELIVERY_UPSTREAM,
			.flags = BB_DELIVERY_OPEN | BB_DELIVERY_CLOSE,
			.buffer = buffer,
			.len = (uint32_t)strlen(topic),
			.side = e->sides[name - 'a'],
		});
}

/* ---- Turns ---- */

static void
check_accounts(struct env *e, bool quiet)
{
	for (uint16_t side = 0; side < ENV_SIDES; side++) {
		uint64_t msgs = 0;
		const uint64_t out = env_count(e, side, BB_IO_SENT) + env_count(e, side, BB_IO_QUEUED) +
				     env_count(e, side, BB_IO_OUT_HWM) +
				     env_count(e, side, BB_IO_OUT_PEER_GONE) +
				     env_count(e, side, BB_IO_OUT_MEMORY) +
				     env_count(e, side, BB_IO_OUT_SHUTDOWN);
		assert_int_equal(env_count(e, side, BB_IO_ARRIVED), out);
		assert_true(env_count(e, side, BB_IO_ARRIVED) <= e->delivered[side]);
		for (uint32_t r = 0; r < e->router_count; r++)
			msgs += e->msgs[r][side];
		assert_true(msgs <= env_count(e, side, BB_IO_RECEIVED));
		if (quiet)
			assert_int_equal(msgs, env_count(e, side, BB_IO_RECEIVED));
	}
}

uint32_t
env_turn(struct env *e)
{
	struct bb_mail mail;

	e->now_ns += BB_MSEC;
	uint32_t work = bb_io_poll(e->io, e->now_ns);
	for (uint32_t r = 0; r < e->router_count && !e->stalled; r++)
		work += router_turn(e, r);
	if (!e->hold_windows)
		env_windows(e);
	while (bb_ring_pop(&e->fabric.io_to_agent[0], &mail, 1) == 1) {
		assert_true(e->mail_count < BB_ARRAY_LEN(e->mails));
		e->mails[e->mail_count++] = mail;
	}
	check_accounts(e, false);
	return work;
}

void
env_run(struct env *e)
{
	for (int turns = 0, idle = 0; idle < SETTLED || turns < 2 * SETTLED; turns++) {
		const uint64_t before = e->log_len[0];
		(void)env_turn(e);
		idle = e->log_len[0] == before && bb_io_deadline(e->io) > e->now_ns + BB_MSEC ? idle + 1 : 0;
		assert_true(turns < 10000); /* it never comes to rest */
	}
	check_accounts(e, !e->stalled);
}

void
env_pass(struct env *e, uint64_t ns)
{
	for (const uint64_t end = e->now_ns + ns; e->now_ns < end; e->now_ns += 4 * BB_MSEC)
		(void)env_turn(e);
}

/* ---- Peers ---- */

struct peer *
env_accept(struct env *e, uint16_t side)
{
	e->accept_side[e->peer_count] = side;
	return new_peer(e);
}

struct peer *
env_connect(struct env *e, uint16_t side)
{
	static struct bb_mail_connect connect;

	connect = (struct bb_mail_connect){ .side = side, .text = "tcp://far:1" };
	const uint64_t tag = env_mail(e, BB_MAIL_CONNECT, 0, 0, &connect);
	(void)env_turn(e);
	assert_int_equal(env_answer(e, tag)->arg, 0);
	return e->peers[e->peer_count - 1];
}

void
peer_event(struct peer *p, enum bb_stream_event event, uint64_t arg)
{
	assert_true(p->event_count < BB_ARRAY_LEN(p->events));
	for (uint32_t i = 0; i < p->event_count; i++) {
		if (p->events[i].event == event)
			return;
	}
	p->events[p->event_count].event = event;
	p->events[p->event_count++].arg = arg;
}

void
peer_send(struct peer *p, const void *bytes, size_t len)
{
	grow(&p->in, &p->in_cap, p->in_len + len);
	if (len > 0)
		memcpy(p->in + p->in_len, bytes, len);
	p->in_len += len;
	peer_event(p, BB_STREAM_READABLE, 0);
}

void
peer_finish(struct peer *p)
{
	p->in_end = true;
	peer_event(p, BB_STREAM_READABLE, 0);
}

void
peer_greet(struct peer *p, uint8_t minor)
{
	uint8_t greeting[64] = { [0] = 0xff, [8] = 1, [9] = 0x7f, [10] = 3, [11] = minor };

	memcpy(greeting + 12, "NULL", 4);
	peer_send(p, greeting, sizeof(greeting));
}

void
peer_frame(struct peer *p, uint8_t flags, const void *body, size_t len)
{
	uint8_t head[9] = { (uint8_t)(flags | (len > 255 ? 2 : 0)), (uint8_t)len };

	if (len > 255)
		bb_store_be64(head + 1, len);
	peer_send(p, head, len > 255 ? 9 : 2);
	peer_send(p, body, len);
}

void
peer_command(struct peer *p, const char *name, const void *data, size_t len)
{
	const size_t name_len = strlen(name);
	uint8_t *body = malloc(1 + name_len + len);

	body[0] = (uint8_t)name_len;
	memcpy(body + 1, name, name_len);
	if (len > 0)
		memcpy(body + 1 + name_len, data, len);
	peer_frame(p, 4, body, 1 + name_len + len);
	free(body);
}

void
peer_ready(struct peer *p, const char *type, const char *identity)
{
	uint8_t data[512];
	size_t at = 0;
	const char *const properties[][2] = { { "Socket-Type", type }, { "Identity", identity } };

	for (int i = 0; i < 2; i++) {
		const size_t name_len = strlen(properties[i][0]), len = strlen(properties[i][1]);
		data[at++] = (uint8_t)name_len;
		memcpy(data + at, properties[i][0], name_len);
		at += name_len;
		bb_store_be32(data + at, (uint32_t)len);
		memcpy(data + at + 4, properties[i][1], len);
		at += 4 + len;
	}
	peer_command(p, "READY", data, at);
}

struct peer *
env_join(struct env *e, uint16_t side, uint8_t minor, const char *type, const char *identity)
{
	struct peer *p = env_accept(e, side);

	peer_greet(p, minor);
	peer_ready(p, type, identity);
	for (int i = 0; i < 6; i++)
		(void)env_turn(e);
	assert_string_equal(peer_take(p), "/GREETING /READY");
	return p;
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

void
peer_message(struct peer *p, const char *frames)
{
	uint8_t bytes[4096];

	assert_true(strlen(frames) < sizeof(bytes) - 100);
	peer_send(p, bytes, env_encode(bytes, frames));
}

void
peer_room(struct peer *p, uint64_t octets)
{
	p->room = octets;
	if (p->stream.flags & BB_STREAM_TX_BLOCKED)
		peer_event(p, BB_STREAM_TX_ROOM, 0);
}

/* Octets of the message or command at p, 0: not all of it is there. */
static uint64_t
whole_len(const uint8_t *p, size_t len)
{
	for (uint64_t at = 0;;) {
		if (len - at < 2 || ((p[at] & 2) && len - at < 9) || bb_message_frame_len(p + at) > len - at)
			return 0;
		const bool more = p[at] & 1;
		at += bb_message_frame_len(p + at);
		if (!more)
			return at;
	}
}

const char *
peer_take(struct peer *p)
{
	static char text[65536];
	size_t n = 0, at = 0;

	if (p->out_len >= 64 && p->out[0] == 0xff) {
		n = (size_t)sprintf(text, "/GREETING");
		at = 64;
	}
	while (at < p->out_len) {
		const uint8_t *f = p->out + at;
		const uint64_t len = whole_len(f, p->out_len - at);
		if (len == 0)
			break; /* the rest is to come */
		const uint32_t head = f[0] & 2 ? 9 : 2;
		if (n > 0)
			text[n++] = ' ';
		if (f[0] & 4)
			n += (size_t)sprintf(text + n, "/%.*s", f[head], (const char *)f + head + 1);
		else if (len > 300)
			n += (size_t)sprintf(text + n, "#%u", (unsigned)len);
		else
			n += print_frames(text + n, sizeof(text) - n, f, len);
		at += len;
		assert_true(n < sizeof(text) - 600);
	}
	text[n] = 0;
	memmove(p->out, p->out + at, p->out_len - at);
	p->out_len -= at;
	return text;
}

const char *
env_log(struct env *e, uint32_t router)
{
	static char text[sizeof(e->log[0])];

	if (e->log_len[router] > 0)
		e->log_len[router]--; /* the last blank */
	memcpy(text, e->log[router], e->log_len[router]);
	text[e->log_len[router]] = 0;
	e->log_len[router] = 0;
	return text;
}

uint64_t
env_count(const struct env *e, uint16_t side, uint32_t counter)
{
	return bb_counters_io_side(&e->counters, 0, side)->c[counter];
}

const struct bb_session_row *
env_row(const struct env *e, char name)
{
	return bb_counters_session(&e->counters, 0, bb_handle_slot(e->handles[name - 'a']));
}
