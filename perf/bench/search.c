/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The highest rate of publications whose loss stays at or below a bound: short trials by bisection between a
 * rate that held and one that did not, then a full measurement; if that one loses too much, 5 % less, until
 * it holds.
 */
#include "bench/bench.h"

#include <stdio.h>

#include "base/time.h"

#define TRIAL_WARMUP_NS (200 * BB_MSEC)
#define TRIAL_NS (800 * BB_MSEC)
#define TRIAL_QUIET_NS (250 * BB_MSEC)
#define TRIALS_MAX 10
#define FINALS_MAX 8
#define CLOSE_ENOUGH 1.04 /* between the rate that lost and the one that held */
#define REACHED 0.97	  /* of the offered rate: nothing is offered exactly */
#define STEP_BACK 0.95

static double
loss(const struct bb_result *r)
{
	return r->expected > 0 ? (double)r->lost / (double)r->expected : 0;
}

/* Publications per second behind the deliveries of the window. */
static double
published(const struct bb_bench *b, const struct bb_result *r)
{
	const struct bb_opts *o = b->opts;
	double per_publication = o->direct ? 1 : o->out.count;

	if (o->subscribe == BB_SUBSCRIBE_ONE)
		per_publication /= o->topics;
	return (double)r->window_msgs / r->window_s / per_publication;
}

static int
trial(struct bb_bench *b, double rate, struct bb_result *r)
{
	const int rc = bb_bench_measure(b, rate, TRIAL_WARMUP_NS, TRIAL_NS, r);

	if (rc == 0)
		fprintf(stderr, "trial: offered %.0f/s, delivered %.0f/s, lost %.4f %%\n", rate,
			(double)r->window_msgs / r->window_s, 100 * loss(r));
	return rc;
}

/* Whether a rate held: 1, 0, or negative errno. One lost trial may be the machine's fault, two are the
 * broker's. */
static int
holds(struct bb_bench *b, double rate, struct bb_result *r)
{
	for (int i = 0; i < 2 && !bb_interrupted; i++) {
		const int rc = trial(b, rate, r);

		if (rc < 0)
			return rc;
		/* A rate that the publishers could not reach held nothing. */
		if (loss(r) <= b->opts->max_loss && (rate <= 0 || published(b, r) > REACHED * rate))
			return 1;
	}
	return 0;
}

/* Sets *ret_rate to the rate to measure at, 0 for flat out. */
static int
bisect(struct bb_bench *b, double *ret_rate, struct bb_result *r)
{
	double held = 0;
	int rc = holds(b, 0, r);

	if (rc != 0) {
		*ret_rate = 0;
		return rc < 0 ? rc : 0;
	}
	double rate = published(b, r); /* what came through when too much was offered: a good guess */
	if (rate < 1)
		rate = 1;
	double lost = 2 * rate;
	for (int i = 0; i < TRIALS_MAX && (held <= 0 || lost / held > CLOSE_ENOUGH) && !bb_interrupted; i++) {
		rc = holds(b, rate, r);
		if (rc < 0)
			return rc;
		if (rc == 1)
			held = rate;
		else
			lost = rate;
		rate = held > 0 ? (held + lost) / 2 : lost / 2;
	}
	*ret_rate = held > 0 ? held : rate;
	return 0;
}

int
bb_bench_search(struct bb_bench *b, struct bb_result *ret)
{
	const struct bb_opts *o = b->opts;
	double rate = 0;

	b->quiet_ns = bb_min_u64(o->quiet_ns, TRIAL_QUIET_NS);
	int rc = bisect(b, &rate, ret);
	b->quiet_ns = o->quiet_ns;
	for (int i = 0; rc == 0 && i < FINALS_MAX && !bb_interrupted; i++) {
		rc = bb_bench_measure(b, rate, o->warmup_ns, o->measure_ns, ret);
		if (rc < 0 || loss(ret) <= o->max_loss)
			break;
		rate = STEP_BACK * (rate > 0 ? rate : published(b, ret));
	}
	return rc;
}
