/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/bench.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/time.h"

#define EVENTS 512
#define METER_NS BB_MSEC	      /* between rations */
#define METER_BURST_NS (20 * BB_MSEC) /* ration saved up at most */
#define PROBE_NS (20 * BB_MSEC)	      /* between rounds of probes */
#define SLEEP_NS_MAX (100 * BB_MSEC)

uint64_t
bb_bench_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * BB_SEC + (uint64_t)ts.tv_nsec;
}

void
bb_bench_fail(struct bb_bench *b, const char *fmt, ...)
{
	va_list ap;

	if (b->error[0] != '\0')
		return;
	va_start(ap, fmt);
	vsnprintf(b->error, sizeof(b->error), fmt, ap);
	va_end(ap);
}

struct bb_check *
bb_bench_check(struct bb_bench *b)
{
	return b->opts->pattern == BB_REQREP && !b->opts->in.present ? &b->worker_check : &b->check;
}

static bool
drives(const struct bb_link *l)
{
	return l->kind == BB_LINK_PRODUCER || l->kind == BB_LINK_CLIENT;
}

static void
links_init(struct bb_bench *b)
{
	const struct bb_opts *o = b->opts;
	const bool reqrep = o->pattern == BB_REQREP;
	uint32_t n = 0;

	for (uint32_t i = 0; o->in.present && i < o->in.count; i++, n++) {
		b->links[n].id = i;
		b->links[n].kind = reqrep ? BB_LINK_CLIENT : BB_LINK_PRODUCER;
	}
	for (uint32_t i = 0; o->out.present && i < o->out.count; i++, n++) {
		b->links[n].id = i;
		b->links[n].kind = reqrep ? BB_LINK_WORKER : BB_LINK_CONSUMER;
	}
	for (uint32_t i = 0; i < n; i++) {
		b->links[i].fd = -1;
		b->links[i].seq_end = UINT64_MAX;
	}
}

static int
checks_init(struct bb_bench *b)
{
	const struct bb_opts *o = b->opts;
	const bool receives_only = o->one_sided && o->out.present;
	struct bb_check_config cfg = {
		.mode = o->pattern == BB_PUBSUB && !o->direct ? BB_CHECK_EACH : BB_CHECK_ONCE,
		.producers = o->in.count,
		.consumers = o->out.count,
		.run = o->run_id,
		.size = (uint32_t)o->size,
		.stamp_at = b->layout.body_stamp_at,
		.topic_split = o->subscribe == BB_SUBSCRIBE_ONE ? o->topics : 0,
		.join_late = receives_only,
		.latency = o->rate > 0 || receives_only || o->max_loss >= 0,
	};
	int rc = 0;

	if (o->pattern == BB_REQREP) {
		rc = bb_check_init(&b->worker_check, &cfg);
		cfg.mode = BB_CHECK_OWN;
	}
	if (rc == 0)
		rc = bb_check_init(&b->check, &cfg);
	if (rc == -E2BIG)
		bb_bench_fail(b,
			"%u producers times %u consumers are too many pairs to check order for; "
			"use fewer on one side",
			o->in.count, o->out.count);
	return rc;
}

int
bb_bench_init(struct bb_bench *b, const struct bb_opts *o)
{
	memset(b, 0, sizeof(*b));
	b->opts = o;
	b->listen_fd = -1;
	b->now_ns = bb_bench_now();
	b->quiet_ns = o->quiet_ns;
	b->link_count = (o->in.present ? o->in.count : 0) + (o->out.present ? o->out.count : 0);
	b->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	b->links = calloc(b->link_count, sizeof(*b->links));
	b->sent = calloc(o->in.count, sizeof(*b->sent));
	b->rx = malloc(BB_STASH_BYTES + BB_RX_BYTES + 16);
	int rc = b->epoll_fd < 0					? -errno
		 : b->links == NULL || b->sent == NULL || b->rx == NULL ? -ENOMEM
									: 0;
	if (rc == 0)
		rc = bb_send_init(b);
	if (rc == 0)
		rc = checks_init(b);
	if (rc < 0) {
		bb_bench_fail(b, "start: %s", strerror(-rc));
		return rc;
	}
	links_init(b);
	return 0;
}

void
bb_bench_fini(struct bb_bench *b)
{
	for (uint32_t i = 0; b->links != NULL && i < b->link_count; i++) {
		if (b->links[i].fd >= 0)
			close(b->links[i].fd);
		free(b->links[i].out);
	}
	if (b->listen_fd >= 0)
		bb_link_unlisten(b);
	if (b->epoll_fd >= 0)
		close(b->epoll_fd);
	bb_check_fini(&b->check);
	bb_check_fini(&b->worker_check);
	free(b->links);
	free(b->sent);
	free(b->block);
	free(b->rx);
}

/* Consumers and workers: what they could not write before. */
static void
receiver_writable(struct bb_bench *b, struct bb_link *l)
{
	const int rc = bb_link_flush(l);

	if (rc < 0)
		bb_link_close(b, l, strerror(-rc));
	else if (rc == 1)
		bb_link_events(b, l, b->metered && l->kind == BB_LINK_CONSUMER ? 0 : EPOLLIN);
}

static void
on_event(struct bb_bench *b, struct bb_link *l, uint32_t events)
{
	const bool was_ready = l->state == BB_LINK_READY;

	if (l->state == BB_LINK_CLOSED)
		return;
	if (l->state == BB_LINK_CONNECTING) {
		bb_link_on_connected(b, l);
		return;
	}
	if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0)
		bb_recv_link(b, l, BB_RX_BYTES);
	if (l->state == BB_LINK_CLOSED)
		return;
	if (drives(l)) {
		/* Replies make room in a client's window. */
		if ((events & EPOLLOUT) != 0 || l->kind == BB_LINK_CLIENT)
			bb_send_link(b, l);
		return;
	}
	if ((events & EPOLLOUT) != 0)
		receiver_writable(b, l);
	if (l->state == BB_LINK_CLOSED)
		return;
	if (l->kind == BB_LINK_WORKER && l->out_len - l->out_off > BB_ECHO_MAX)
		bb_link_events(b, l, EPOLLOUT);
	if (b->metered && l->kind == BB_LINK_CONSUMER && !was_ready && l->state == BB_LINK_READY)
		bb_link_events(b, l, l->events & ~(uint32_t)EPOLLIN);
}

static void
meter_end(struct bb_bench *b)
{
	b->metered = false;
	for (uint32_t i = 0; i < b->link_count; i++) {
		struct bb_link *l = &b->links[i];

		if (l->kind == BB_LINK_CONSUMER && l->state == BB_LINK_READY)
			bb_link_events(b, l, l->events | EPOLLIN);
	}
}

/* Consumers that must not read as fast as they can: hand out what fell due, link after link. */
static void
meter_turn(struct bb_bench *b)
{
	const struct bb_opts *o = b->opts;
	const uint32_t first = b->link_count - o->out.count;

	if (b->now_ns < b->stall_end_ns || b->now_ns - b->meter_ns < METER_NS)
		return;
	if (o->read_rate <= 0) {
		meter_end(b);
		return;
	}
	const uint64_t passed = bb_min_u64(b->now_ns - b->meter_ns, METER_BURST_NS);
	b->meter_ns = b->now_ns;
	b->meter_msgs += o->read_rate * (double)passed / 1e9;
	for (uint32_t i = 0; i < o->out.count && b->meter_msgs >= 1; i++) {
		struct bb_link *l = &b->links[first + b->meter_next];
		const double bytes = b->meter_msgs * (double)b->layout.stride;

		b->meter_next = (b->meter_next + 1) % o->out.count;
		if (l->state != BB_LINK_READY)
			continue;
		const size_t got = bb_recv_link(b, l, bytes < BB_RX_BYTES ? (size_t)bytes : BB_RX_BYTES);
		b->meter_msgs -= (double)got / (double)b->layout.stride;
	}
	/* What nobody had for reading is not saved up. */
	if (b->meter_msgs > 1)
		b->meter_msgs = 1;
}

/* PING as many links as their share of the interval asks for. */
static void
heartbeat_turn(struct bb_bench *b)
{
	const uint64_t step = bb_max_u64(b->opts->heartbeat_ns / b->link_count, 1);

	if (b->now_ns > b->heartbeat_next_ns + b->opts->heartbeat_ns)
		b->heartbeat_next_ns = b->now_ns; /* behind by more than a round: not made up for */
	for (uint32_t i = 0; i < b->link_count && b->now_ns >= b->heartbeat_next_ns; i++) {
		struct bb_link *l = &b->links[b->heartbeat_link];

		b->heartbeat_link = (b->heartbeat_link + 1) % b->link_count;
		b->heartbeat_next_ns += step;
		if (l->state != BB_LINK_READY)
			continue;
		if (!b->metered && b->now_ns - l->last_rx_ns > 3 * b->opts->heartbeat_ns)
			b->silent++;
		bb_link_ping(b, l);
	}
}

void
bb_bench_turn(struct bb_bench *b, uint64_t until_ns)
{
	struct epoll_event events[EVENTS];
	struct timespec wait = { 0, 0 };
	uint64_t wake_ns = bb_min_u64(until_ns, bb_send_paced(b));

	if (b->metered)
		wake_ns = bb_min_u64(wake_ns, b->meter_ns + METER_NS);
	if (b->opts->heartbeat_ns > 0)
		wake_ns = bb_min_u64(wake_ns, b->heartbeat_next_ns);
	if (!b->opts->spin && wake_ns > b->now_ns)
		wait.tv_nsec = (long)bb_min_u64(wake_ns - b->now_ns, SLEEP_NS_MAX);

	const int n = epoll_pwait2(b->epoll_fd, events, EVENTS, &wait, NULL);
	b->now_ns = bb_bench_now();
	for (int i = 0; i < n; i++) {
		if (events[i].data.u32 == UINT32_MAX)
			bb_link_accept_some(b);
		else
			on_event(b, &b->links[events[i].data.u32], events[i].events);
	}
	if (b->metered)
		meter_turn(b);
	if (b->opts->heartbeat_ns > 0)
		heartbeat_turn(b);

	const uint64_t received = bb_bench_check(b)->received;
	if (received != b->progress_msgs) {
		b->progress_msgs = received;
		b->progress_ns = b->now_ns;
	}
}

bool
bb_bench_over(const struct bb_bench *b)
{
	return bb_interrupted || b->error[0] != '\0' ||
	       (b->link_count > 0 && b->closed_early == b->link_count);
}

int
bb_bench_connect(struct bb_bench *b)
{
	const struct bb_opts *o = b->opts;
	const uint64_t until = b->now_ns + o->connect_wait_ns;
	/* One side alone that listens waits for its peers as long as it takes. */
	const bool patient = o->one_sided && (o->in.bind || o->out.bind);
	int rc = bb_link_listen(b);

	b->metered = o->stall_ns > 0 || o->read_rate > 0;
	b->stall_end_ns = BB_NEVER;
	b->heartbeat_next_ns = b->now_ns + o->heartbeat_ns;
	while (rc == 0 && b->ready_count < b->link_count && !bb_bench_over(b)) {
		rc = bb_link_open_some(b);
		bb_bench_turn(b, b->now_ns + 10 * BB_MSEC);
		if (b->now_ns >= until && !patient && b->ready_count < b->link_count) {
			bb_bench_fail(b, "%u of %u connections were ready after %.1f s (--connect-wait)",
				b->ready_count, b->link_count, (double)o->connect_wait_ns / 1e9);
			rc = -ETIMEDOUT;
		}
	}
	b->stall_end_ns = b->now_ns + o->stall_ns;
	b->meter_ns = b->now_ns;
	if (rc == 0 && b->ready_count < b->link_count)
		rc = -ECANCELED;
	return rc;
}

void
bb_bench_pass(struct bb_bench *b, uint64_t ns)
{
	const uint64_t until = b->now_ns + ns;

	while (b->now_ns < until && !bb_bench_over(b))
		bb_bench_turn(b, until);
}

int
bb_bench_settle(struct bb_bench *b)
{
	const struct bb_opts *o = b->opts;
	const bool probes = o->pattern == BB_PUBSUB && !o->one_sided && !o->direct && b->layout.ordered;
	const uint64_t pairs = (uint64_t)o->in.count * o->out.count;
	const uint64_t until = b->now_ns + o->connect_wait_ns;

	/* Subscriptions travel through the broker to the publishers: only publications tell that they
	 * arrived. */
	while (probes && b->check.probes_seen < pairs && !bb_bench_over(b)) {
		if (b->now_ns >= until) {
			bb_bench_fail(b,
				"%llu of %llu pairs of publisher and subscriber saw no probe in %.1f s",
				(unsigned long long)(pairs - b->check.probes_seen), (unsigned long long)pairs,
				(double)o->connect_wait_ns / 1e9);
			return -ETIMEDOUT;
		}
		bb_send_probes(b);
		bb_bench_pass(b, PROBE_NS);
	}
	if (o->in.present)
		bb_bench_pass(b, o->settle_ns);
	return bb_bench_over(b) ? -ECANCELED : 0;
}
