/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One measurement: send, take the counts at both ends of the window, stop, wait for what is still under way,
 * and report the differences.
 */
#include "bench/bench.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "base/time.h"

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
			bb_bench_turn(b, b->now_ns + BB_MSEC);
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
		bb_bench_turn(b, b->progress_ns + b->quiet_ns);
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
	r->other_cpu_s = -1;
	if (r->broker_cpu_s >= 0)
		r->other_cpu_s = bb_sys_busy_s(&open->steal, &shut->steal) - r->broker_cpu_s - r->own_cpu_s;
	if (r->broker_cpu_s >= 0 && r->other_cpu_s < 0)
		r->other_cpu_s = 0; /* ticks are coarse */
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
		bb_bench_pass(b, warmup_ns);
		memset(&c->latency, 0, sizeof(c->latency));
		mark_set(b, &open);
	} else {
		open = begin;
	}
	if (o->messages == 0)
		bb_bench_pass(b, measure_ns);
	else
		while (!send_done(b) && !bb_bench_over(b))
			bb_bench_turn(b, b->now_ns + 10 * BB_MSEC);
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
	while (c->received == begin.received && !bb_bench_over(b))
		bb_bench_turn(b, BB_NEVER);
	if (o->messages == 0)
		bb_bench_pass(b, o->warmup_ns);

	struct mark open;
	const uint64_t until = b->now_ns + o->measure_ns;
	memset(&c->latency, 0, sizeof(c->latency));
	mark_set(b, &open);
	if (o->messages > 0) {
		open.received = begin.received;
		while (c->received - begin.received < o->messages && !bb_bench_over(b))
			bb_bench_turn(b, BB_NEVER);
	}
	while (o->messages == 0 && b->now_ns < until && !bb_bench_over(b))
		bb_bench_turn(b, until);
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
