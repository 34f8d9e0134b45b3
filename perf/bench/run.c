/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/bench.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/time.h"

#define EVENTS 256
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
		close(b->listen_fd);
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

/* One round of the loop; sleeps until until_ns at most, not at all when spinning. */
static void
turn(struct bb_bench *b, uint64_t until_ns)
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

static bool
over(const struct bb_bench *b)
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
	while (rc == 0 && b->ready_count < b->link_count && !over(b)) {
		rc = bb_link_open_some(b);
		turn(b, b->now_ns + 10 * BB_MSEC);
		if (b->now_ns >= until && !patient && b->ready_count < b->link_count) {
			bb_bench_fail(b, "%u of %u connections were ready after %.1f s (--connect-wait)",
				b->ready_count, b->link_count, (double)o->connect_wait_ns / 1e9);
			rc = -ETIMEDOUT;
		}
	}
	b->stall_end_ns = b->now_ns + o->stall_ns;
	b->meter_ns = b->now_ns;
	b->heartbeat_next_ns = b->now_ns;
	if (rc == 0 && b->ready_count < b->link_count)
		rc = -ECANCELED;
	return rc;
}

static void
pass_time(struct bb_bench *b, uint64_t ns)
{
	const uint64_t until = b->now_ns + ns;

	while (b->now_ns < until && !over(b))
		turn(b, until);
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
	while (probes && b->check.probes_seen < pairs && !over(b)) {
		if (b->now_ns >= until) {
			bb_bench_fail(b,
				"%llu of %llu pairs of publisher and subscriber saw no probe in %.1f s",
				(unsigned long long)(pairs - b->check.probes_seen), (unsigned long long)pairs,
				(double)o->connect_wait_ns / 1e9);
			return -ETIMEDOUT;
		}
		bb_send_probes(b);
		pass_time(b, PROBE_NS);
	}
	if (o->in.present)
		pass_time(b, o->settle_ns);
	return over(b) ? -ECANCELED : 0;
}

static const uint64_t *
sent_now(struct bb_bench *b)
{
	for (uint32_t i = 0; b->opts->in.present && i < b->opts->in.count; i++)
		b->sent[i] = b->links[i].seq;
	return b->sent;
}

static uint64_t
sent_total(struct bb_bench *b)
{
	const uint64_t *sent = sent_now(b);
	uint64_t n = 0;

	for (uint32_t i = 0; i < b->opts->in.count; i++)
		n += sent[i];
	return n;
}

/* What one measurement is the difference of. */
struct mark {
	uint64_t at_ns, sent, expected, received, lost, dup, disorder, bad, foreign, unwanted;
	double broker_cpu_s, own_cpu_s;
	struct bb_sys_steal steal;
};

static void
mark_set(struct bb_bench *b, struct mark *m)
{
	const struct bb_opts *o = b->opts;
	const struct bb_check *c = bb_bench_check(b);
	const bool workers = c == &b->check && o->pattern == BB_REQREP && o->out.present;

	memset(m, 0, sizeof(*m));
	m->at_ns = b->now_ns;
	m->sent = sent_total(b);
	m->expected = bb_check_expected(c, b->sent);
	m->lost = bb_check_lost(c, b->sent);
	m->received = c->received;
	m->dup = c->dup;
	m->disorder = c->disorder;
	m->bad = c->bad;
	m->foreign = c->foreign;
	m->unwanted = c->unwanted;
	if (workers) {
		m->dup += b->worker_check.dup;
		m->disorder += b->worker_check.disorder;
		m->bad += b->worker_check.bad;
	}
	m->broker_cpu_s = o->broker_pid_count > 0 ? bb_sys_cpu_s(o->broker_pids, o->broker_pid_count) : -1;
	m->own_cpu_s = bb_sys_own_cpu_s();
	bb_sys_steal_read(&m->steal);
}

static void
send_start(struct bb_bench *b, double rate)
{
	const struct bb_opts *o = b->opts;

	b->sending = true;
	bb_send_pace(b, rate);
	for (uint32_t i = 0; i < o->in.count; i++) {
		struct bb_link *l = &b->links[i];

		if (o->messages > 0)
			l->seq_end = l->seq + o->messages / o->in.count + (i < o->messages % o->in.count);
		bb_send_link(b, l);
	}
}

/* True when every message that was begun is out, and in the bounded case all that were asked for. */
static bool
send_done(const struct bb_bench *b)
{
	for (uint32_t i = 0; i < b->opts->in.count; i++) {
		const struct bb_link *l = &b->links[i];

		if (l->state == BB_LINK_READY && (l->tx_off > 0 || (b->sending && l->seq < l->seq_end)))
			return false;
	}
	return true;
}

/* Nobody reads for us here: wait until the peers' kernels have everything. */
static void
flush_unacked(struct bb_bench *b)
{
	const uint64_t until = b->now_ns + b->quiet_ns;

	for (uint32_t i = 0; i < b->opts->in.count; i++) {
		int left = 0;

		while (b->links[i].fd >= 0 && ioctl(b->links[i].fd, SIOCOUTQ, &left) == 0 && left > 0 &&
			b->now_ns < until && !bb_interrupted)
			turn(b, b->now_ns + BB_MSEC);
	}
}

/* Returns true when everything expected since from has arrived. */
static bool
drain(struct bb_bench *b, const struct mark *from)
{
	const struct bb_check *c = bb_bench_check(b);
	const bool receives = b->opts->out.present || b->opts->pattern == BB_REQREP;
	uint64_t want = 0;
	bool done = false, complete = false;

	b->sending = false;
	b->progress_ns = b->now_ns;
	while (b->error[0] == '\0' && bb_interrupted < 2 && !complete &&
		b->now_ns - b->progress_ns < b->quiet_ns) {
		turn(b, b->progress_ns + b->quiet_ns);
		if (!done && send_done(b)) {
			done = true;
			sent_total(b);
			want = receives ? bb_check_expected(c, b->sent) - from->expected : 0;
		}
		complete = done && c->received - from->received >= want;
	}
	if (complete && !receives)
		flush_unacked(b);
	return complete;
}

static void
result_fill(struct bb_result *r, const struct mark *begin, const struct mark *open, const struct mark *shut,
	const struct mark *end)
{
	r->window_s = (double)(shut->at_ns - open->at_ns) / 1e9;
	r->window_msgs = shut->received - open->received;
	r->sent = end->sent - begin->sent;
	r->expected = end->expected - begin->expected;
	r->received = end->received - begin->received;
	/* Stragglers of an earlier trial may fill its gaps now. */
	r->lost = end->lost > begin->lost ? end->lost - begin->lost : 0;
	r->dup = end->dup - begin->dup;
	r->disorder = end->disorder - begin->disorder;
	r->bad = end->bad - begin->bad;
	r->foreign = end->foreign - begin->foreign;
	r->unwanted = end->unwanted - begin->unwanted;
	r->broker_cpu_s = shut->broker_cpu_s < 0 || open->broker_cpu_s < 0
				  ? -1
				  : shut->broker_cpu_s - open->broker_cpu_s;
	r->own_cpu_s = shut->own_cpu_s - open->own_cpu_s;
	r->steal = bb_sys_steal_share(&open->steal, &shut->steal);
}

int
bb_bench_measure(
	struct bb_bench *b, double rate, uint64_t warmup_ns, uint64_t measure_ns, struct bb_result *ret)
{
	const struct bb_opts *o = b->opts;
	const bool receives = o->out.present || o->pattern == BB_REQREP;
	struct mark begin, open, shut, end;
	struct bb_check *c = bb_bench_check(b);
	struct bb_result *r = ret;

	memset(r, 0, sizeof(*r));
	memset(&c->latency, 0, sizeof(c->latency));
	mark_set(b, &begin);
	send_start(b, rate);
	if (o->messages == 0) {
		pass_time(b, warmup_ns);
		memset(&c->latency, 0, sizeof(c->latency));
		mark_set(b, &open);
	} else {
		open = begin;
	}
	if (o->messages == 0)
		pass_time(b, measure_ns);
	else
		while (!send_done(b) && !over(b))
			turn(b, b->now_ns + 10 * BB_MSEC);
	mark_set(b, &shut);
	r->drained = drain(b, &begin);
	mark_set(b, &end);
	if (o->messages > 0) {
		shut = end; /* the window ends with the last arrival */
		shut.at_ns = receives ? b->progress_ns : end.at_ns;
	}
	result_fill(r, &begin, &open, &shut, &end);
	if (!receives) {
		r->window_msgs = shut.sent - open.sent;
		r->lost = r->expected = 0; /* somebody else knows */
	}
	r->rate = rate;
	r->timed = rate > 0 && c->timed && receives;
	r->latency = c->latency;
	r->interrupted = bb_interrupted;
	return b->error[0] != '\0' ? -EIO : 0;
}

int
bb_bench_receive(struct bb_bench *b, struct bb_result *ret)
{
	const struct bb_opts *o = b->opts;
	struct bb_check *c = bb_bench_check(b);
	struct mark begin, shut;

	memset(ret, 0, sizeof(*ret));
	/* What came while others were still connecting counts too. */
	memset(&begin, 0, sizeof(begin));
	while (c->received == begin.received && !over(b))
		turn(b, BB_NEVER);
	if (o->messages == 0)
		pass_time(b, o->warmup_ns);

	struct mark open;
	const uint64_t until = b->now_ns + o->measure_ns;
	memset(&c->latency, 0, sizeof(c->latency));
	mark_set(b, &open);
	if (o->messages > 0) {
		open.received = begin.received;
		while (c->received - begin.received < o->messages && !over(b))
			turn(b, BB_NEVER);
	}
	while (o->messages == 0 && b->now_ns < until && !over(b))
		turn(b, until);
	mark_set(b, &shut);
	if (b->closed_early == b->link_count || o->messages > 0)
		shut.at_ns = b->progress_ns; /* it went quiet then */
	result_fill(ret, &begin, &open, &shut, &shut);
	ret->expected = ret->received + ret->lost;
	ret->timed = c->timed && c->latency.count > 0;
	ret->latency = c->latency;
	ret->interrupted = bb_interrupted;
	return b->error[0] != '\0' ? -EIO : 0;
}
