/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"

volatile sig_atomic_t bb_interrupted;

static void
on_signal(int signal)
{
	(void)signal;
	bb_interrupted++; /* once: report what there is; twice: do not even drain */
}

static void
catch_signals(void)
{
	const struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
}

/* As many descriptors as the hard limit gives. */
static int
descriptors_reserve(const struct bb_opts *o)
{
	struct rlimit lim;
	const uint64_t need = 16 + (o->in.present ? o->in.count : 0) + (o->out.present ? o->out.count : 0);

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
		return 0;
	lim.rlim_cur = lim.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &lim);
	if (lim.rlim_cur != RLIM_INFINITY && lim.rlim_cur < need) {
		fprintf(stderr,
			"busbar-bench: %llu descriptors are needed, the limit is %llu: raise ulimit -n\n",
			(unsigned long long)need, (unsigned long long)lim.rlim_cur);
		return -1;
	}
	return 0;
}

static int
pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) == 0)
		return 0;
	fprintf(stderr, "busbar-bench: --cpu %d: %s\n", cpu, strerror(errno));
	return -1;
}

/* Neither 0, nor its own complement's like: probes bear the complement. */
static uint32_t
run_id_make(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	const uint32_t id = (uint32_t)ts.tv_nsec ^ (uint32_t)ts.tv_sec << 10 ^ (uint32_t)getpid() << 20;
	return (id & 0x7fffffff) | 1;
}

static int
measure(struct bb_bench *b, struct bb_result *r)
{
	const struct bb_opts *o = b->opts;

	if (!o->in.present)
		return bb_bench_receive(b, r);
	if (o->max_loss >= 0)
		return bb_bench_search(b, r);
	return bb_bench_measure(b, o->rate, o->warmup_ns, o->measure_ns, r);
}

int
main(int argc, char **argv)
{
	static struct bb_opts opts;
	static struct bb_bench bench;
	static struct bb_result result;
	int status = bb_opts_parse(&opts, argc, argv);
	bool measured = false;

	if (status != 0)
		return status - 1;
	if (opts.run_id == 0 && opts.in.present)
		opts.run_id = run_id_make();
	if (descriptors_reserve(&opts) < 0 || pin(opts.cpu) < 0)
		return 1;
	catch_signals();
	bb_report_header(&opts);

	int rc = bb_bench_init(&bench, &opts);
	if (rc == 0)
		rc = bb_bench_connect(&bench);
	if (rc == 0)
		rc = bb_bench_settle(&bench);
	if (rc == 0) {
		measured = true;
		rc = measure(&bench, &result);
	}
	if (bench.error[0] != '\0')
		fprintf(stderr, "busbar-bench: %s\n", bench.error);
	else if (rc < 0 && bb_interrupted)
		fprintf(stderr, "busbar-bench: interrupted before the measurement\n");
	if (measured) {
		bb_report_table(&bench, &result);
		if (opts.json != NULL && bb_report_json(&bench, &result) < 0)
			rc = -EIO;
		if (!bb_report_clean(&bench, &result))
			rc = -EIO;
	}
	bb_bench_fini(&bench);
	return rc < 0 ? 1 : 0;
}
