/* SPDX-License-Identifier: BSD-3-Clause */
/* sim: runs seeds. Exit status: 0, 1 (the oracle does not agree) or 2 (wrong use). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "sim_config.h"
#include "sim_world.h"

static char death_line[512];

/* A broken assertion of the product, or worse: say how to see it again. */
static void
on_death(int sig)
{
	const ssize_t n = write(STDOUT_FILENO, death_line, strlen(death_line));

	(void)n;
	(void)sig;
	_exit(1);
}

void __sanitizer_set_death_callback(void (*fn)(void)) __attribute__((weak));

static void
on_sanitizer(void)
{
	on_death(0);
}

struct options {
	uint64_t from, to;
	uint32_t steps;
	const char *scenario;
	bool trace, quiet, twice;
};

static uint64_t
run_seed(const struct options *o, uint64_t seed)
{
	struct sim_config conf;

	if (!sim_config_draw(&conf, seed, o->scenario, o->steps)) {
		fprintf(stderr, "sim: no scenario %s; there are: %s\n", o->scenario, sim_config_scenarios());
		exit(2);
	}
	snprintf(death_line, sizeof(death_line), "FAIL seed %lu: it died\n%s\n", (unsigned long)seed,
		sim_config_replay(&conf));
	if (!o->quiet)
		sim_config_print(&conf);
	struct sim_world *w = sim_world_create(&conf, o->trace);
	sim_world_run(w);
	const uint64_t hash = sim_net_hash(w->net);
	if (!o->quiet)
		printf("seed %lu: trace %016lx, %lu steps, %u links\n", (unsigned long)seed,
			(unsigned long)hash, (unsigned long)w->step, w->link_count);
	sim_world_destroy(w);
	return hash;
}

static void
usage(void)
{
	fprintf(stderr,
		"usage: sim [--seed N | --seeds FROM-TO] [--steps N] [--scenario NAME] [--trace] [--quiet] "
		"[--twice]\n"
		"scenarios: %s\n",
		sim_config_scenarios());
	exit(2);
}

static void
parse(int argc, char **argv, struct options *o)
{
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;
		char *end = NULL;
		if (strcmp(argv[i], "--trace") == 0) {
			o->trace = true;
		} else if (strcmp(argv[i], "--quiet") == 0) {
			o->quiet = true;
		} else if (strcmp(argv[i], "--twice") == 0) {
			o->twice = true;
		} else if (value == NULL) {
			usage();
		} else if (strcmp(argv[i], "--seed") == 0) {
			o->from = o->to = strtoull(argv[++i], &end, 10);
		} else if (strcmp(argv[i], "--seeds") == 0) {
			o->from = strtoull(argv[++i], &end, 10);
			if (*end != '-')
				usage();
			o->to = strtoull(end + 1, &end, 10);
		} else if (strcmp(argv[i], "--steps") == 0) {
			o->steps = (uint32_t)strtoul(argv[++i], &end, 10);
		} else if (strcmp(argv[i], "--scenario") == 0) {
			o->scenario = argv[++i];
		} else {
			usage();
		}
		if (end != NULL && *end != '\0')
			usage();
	}
	if (o->steps != 0) {
		static char text[32];
		snprintf(text, sizeof(text), " --steps %u", o->steps);
		sim_config_arguments(text);
	}
}

int
main(int argc, char **argv)
{
	struct options o = { .from = 1, .to = 1 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse(argc, argv, &o);
	bb_log_level_set(o.trace ? BB_LOG_INFO : BB_LOG_ERROR);
	signal(SIGABRT, on_death);
	if (__sanitizer_set_death_callback != NULL)
		__sanitizer_set_death_callback(on_sanitizer);
	else
		signal(SIGSEGV, on_death);
	for (uint64_t seed = o.from; seed <= o.to; seed++) {
		const uint64_t hash = run_seed(&o, seed);
		if (o.twice && run_seed(&o, seed) != hash) {
			printf("FAIL seed %lu: another trace the second time\n", (unsigned long)seed);
			return 1;
		}
	}
	printf("sim: seeds %lu to %lu passed\n", (unsigned long)o.from, (unsigned long)o.to);
	return 0;
}
