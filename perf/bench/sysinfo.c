/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/bench.h"

double
bb_sys_cpu_s(const int *pids, uint32_t count)
{
	double sum = 0;

	for (uint32_t i = 0; i < count; i++) {
		char path[64], line[1024];
		unsigned long long user, sys;

		snprintf(path, sizeof(path), "/proc/%d/stat", pids[i]);
		FILE *f = fopen(path, "re");
		if (f == NULL)
			return -1;
		const char *got = fgets(line, sizeof(line), f);
		fclose(f);
		/* The name in parentheses may hold anything; fields 14 and 15 count behind its end. */
		const char *rest = got != NULL ? strrchr(line, ')') : NULL;
		if (rest == NULL || sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
					    &user, &sys) != 2)
			return -1;
		sum += (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
	}
	return sum;
}

double
bb_sys_own_cpu_s(void)
{
	struct rusage u;

	if (getrusage(RUSAGE_SELF, &u) < 0)
		return 0;
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

void
bb_sys_steal_read(struct bb_sys_steal *s)
{
	unsigned long long t[8] = { 0 };

	*s = (struct bb_sys_steal){ 0 };
	FILE *f = fopen("/proc/stat", "re");
	if (f == NULL)
		return;
	/* user nice system idle iowait irq softirq steal */
	if (fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2], &t[3], &t[4], &t[5],
		    &t[6], &t[7]) == 8) {
		for (int i = 0; i < 8; i++)
			s->total += t[i];
		s->steal = t[7];
		s->busy = s->total - t[3] - t[4] - t[7];
	}
	fclose(f);
}

double
bb_sys_busy_s(const struct bb_sys_steal *from, const struct bb_sys_steal *to)
{
	return to->busy > from->busy ? (double)(to->busy - from->busy) / (double)sysconf(_SC_CLK_TCK) : 0;
}

double
bb_sys_steal_share(const struct bb_sys_steal *from, const struct bb_sys_steal *to)
{
	return to->total > from->total ? (double)(to->steal - from->steal) / (double)(to->total - from->total)
				       : 0;
}

void
bb_sys_cpu_name(char *out, size_t n)
{
	char line[256];
	FILE *f = fopen("/proc/cpuinfo", "re");

	snprintf(out, n, "unknown CPU");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		const char *value = strstr(line, ": ");
		if (strncmp(line, "model name", 10) != 0 || value == NULL)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(out, n, "%s", value + 2);
		break;
	}
	if (f != NULL)
		fclose(f);
}
