/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench/bench.h"

static double
per_s(const struct bb_result *r)
{
	return r->window_s > 0 ? (double)r->window_msgs / r->window_s : 0;
}

static double
gbit_per_s(const struct bb_opts *o, const struct bb_result *r)
{
	return per_s(r) * (double)(o->size * o->frames) * 8 / 1e9;
}

/* Broker CPU seconds per million messages; negative when unknown. */
static double
cpu_s_per_m(const struct bb_result *r)
{
	return r->broker_cpu_s < 0 || r->window_msgs == 0 ? -1
							  : r->broker_cpu_s * 1e6 / (double)r->window_msgs;
}

static double
quantile_us(const struct bb_result *r, double q)
{
	return (double)bb_hist_quantile(&r->latency, q) / 1e3;
}

static uint32_t
connections(const struct bb_opts *o)
{
	return (o->in.present ? o->in.count : 0) + (o->out.present ? o->out.count : 0);
}

static const char *
transport(const struct bb_opts *o)
{
	return (o->in.present ? o->in.addr : o->out.addr).any.sa_family == AF_UNIX ? "ipc" : "tcp";
}

bool
bb_report_clean(const struct bb_bench *b, const struct bb_result *r)
{
	if (r->dup > 0 || r->disorder > 0 || r->bad > 0 || r->unwanted > 0 || b->silent > 0)
		return false;
	/* One receiver alone cannot tell a loss from what other receivers got. */
	return b->opts->pattern == BB_PUBSUB || r->lost == 0 || (b->opts->one_sided && b->opts->out.present);
}

void
bb_report_header(const struct bb_opts *o)
{
	FILE *f = o->json != NULL && strcmp(o->json, "-") == 0 ? stderr : stdout;
	struct utsname u;
	char cpu[128];

	bb_sys_cpu_name(cpu, sizeof(cpu));
	if (uname(&u) < 0)
		strcpy(u.release, "?");
	fprintf(f, "busbar-bench %s (%s build), %s, %ld CPUs, Linux %s\n", BB_VERSION, BB_BUILDTYPE, cpu,
		sysconf(_SC_NPROCESSORS_ONLN), u.release);
#if defined(BB_DEBUG) || defined(__SANITIZE_ADDRESS__)
	fprintf(f, "DEBUG BUILD: these figures say nothing about speed\n");
#endif
	fflush(f);
}

void
bb_report_table(const struct bb_bench *b, const struct bb_result *r)
{
	const struct bb_opts *o = b->opts;
	FILE *f = o->json != NULL && strcmp(o->json, "-") == 0 ? stderr : stdout;
	const bool receives = o->out.present || o->pattern == BB_REQREP;

	fprintf(f, "%-12s %s %s, %llu octets x %u frames, %u in, %u out, %s", o->system, transport(o),
		bb_pattern_name(o->pattern), (unsigned long long)o->size, o->frames,
		o->in.present ? o->in.count : 0, o->out.present ? o->out.count : 0,
		r->rate > 0 ? "paced" : "flat out");
	if (r->rate > 0)
		fprintf(f, " at %.0f/s", r->rate);
	fprintf(f, "%s\n", r->interrupted ? " (interrupted: partial result)" : "");
	fprintf(f, "%-12s %.0f msgs/s, %.3f Gbit/s, %llu in %.3f s\n", receives ? "received" : "sent",
		per_s(r), gbit_per_s(o, r), (unsigned long long)r->window_msgs, r->window_s);
	if (receives)
		fprintf(f,
			"%-12s sent %llu, expected %llu, received %llu, lost %llu, dup %llu, disorder %llu, "
			"bad %llu, foreign %llu, unwanted %llu%s%s\n",
			"check", (unsigned long long)r->sent, (unsigned long long)r->expected,
			(unsigned long long)r->received, (unsigned long long)r->lost,
			(unsigned long long)r->dup, (unsigned long long)r->disorder,
			(unsigned long long)r->bad, (unsigned long long)r->foreign,
			(unsigned long long)r->unwanted,
			!bb_bench_check((struct bb_bench *)b)->ordered
				? " (too short for sequences: counted only)"
				: "",
			o->in.present && !r->drained ? " (quiet time-out)" : "");
	if (b->silent > 0)
		fprintf(f, "%-12s %llu heartbeats found a silent peer\n", "heartbeat",
			(unsigned long long)b->silent);
	if (r->timed)
		fprintf(f, "%-12s p50 %.1f us, p99 %.1f us, p99.9 %.1f us, max %.1f us\n", "latency",
			quantile_us(r, 0.5), quantile_us(r, 0.99), quantile_us(r, 0.999),
			(double)r->latency.max_ns / 1e3);
	fprintf(f, "%-12s ", "cpu");
	if (r->broker_cpu_s >= 0)
		fprintf(f, "broker %.2f s (%.3f s per million), others %.2f s, ", r->broker_cpu_s,
			cpu_s_per_m(r), r->other_cpu_s);
	fprintf(f, "own %.2f s of %.2f s, steal %.2f %%\n", r->own_cpu_s, r->window_s, 100 * r->steal);
}

static void
json_string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			fprintf(f, "\\%c", *s);
		else if ((unsigned char)*s < 0x20)
			fprintf(f, "\\u%04x", *s);
		else
			fputc(*s, f);
	}
	fputc('"', f);
}

/* A figure with its decimals, or null when there is none. */
static void
json_figure(FILE *f, const char *key, bool known, int decimals, double x)
{
	fprintf(f, ", \"%s\": ", key);
	if (known)
		fprintf(f, "%.*f", decimals, x);
	else
		fputs("null", f);
}

int
bb_report_json(const struct bb_bench *b, const struct bb_result *r)
{
	const struct bb_opts *o = b->opts;
	const bool to_stdout = strcmp(o->json, "-") == 0;
	const bool receives = o->out.present || o->pattern == BB_REQREP;
	FILE *f = to_stdout ? stdout : fopen(o->json, "ae");

	if (f == NULL) {
		fprintf(stderr, "busbar-bench: --json %s: cannot be opened for writing\n", o->json);
		return -1;
	}
	fputs("{\"system\": ", f);
	json_string(f, o->system);
	fprintf(f, ", \"transport\": \"%s\", \"pattern\": \"%s\"", transport(o), bb_pattern_name(o->pattern));
	json_figure(f, "size", true, 0, (double)o->size);
	json_figure(f, "frames", true, 0, o->frames);
	json_figure(f, "fanout", true, 0, o->pattern == BB_PUBSUB && !o->direct ? o->out.count : 1);
	json_figure(f, "producers", o->in.present, 0, o->in.count);
	json_figure(f, "consumers", o->out.present, 0, o->out.count);
	json_figure(f, "connections", true, 0, connections(o));
	json_figure(f, "rate", r->rate > 0, 0, r->rate);
	json_figure(f, "msgs_per_s", true, 0, per_s(r));
	json_figure(f, "gbit_per_s", true, 6, gbit_per_s(o, r));
	json_figure(f, "cpu_s_per_m", cpu_s_per_m(r) >= 0, 6, cpu_s_per_m(r));
	json_figure(f, "sent", o->in.present, 0, (double)r->sent);
	json_figure(f, "expected", receives, 0, (double)r->expected);
	json_figure(f, "received", receives, 0, (double)r->received);
	json_figure(f, "lost", receives, 0, (double)r->lost);
	json_figure(f, "dup", receives, 0, (double)r->dup);
	json_figure(f, "disorder", receives, 0, (double)r->disorder);
	json_figure(f, "bad", receives, 0, (double)(r->bad + r->unwanted));
	json_figure(f, "p50_us", r->timed, 6, quantile_us(r, 0.5));
	json_figure(f, "p99_us", r->timed, 6, quantile_us(r, 0.99));
	json_figure(f, "p999_us", r->timed, 6, quantile_us(r, 0.999));
	json_figure(f, "max_us", r->timed, 6, (double)r->latency.max_ns / 1e3);
	json_figure(f, "seconds", true, 6, r->window_s);
	json_figure(f, "own_cpu_s", true, 6, r->own_cpu_s);
	json_figure(f, "other_cpu_s", r->other_cpu_s >= 0, 6, r->other_cpu_s);
	json_figure(f, "steal", true, 6, r->steal);
	fprintf(f, ", \"runs\": 1, \"interrupted\": %s}\n", r->interrupted ? "true" : "false");
	if ((to_stdout ? fflush(f) : fclose(f)) != 0) {
		fprintf(stderr, "busbar-bench: --json %s: write failed\n", o->json);
		return -1;
	}
	return 0;
}
