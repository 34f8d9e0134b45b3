/* SPDX-License-Identifier: BSD-3-Clause */
/* sim: runs seeds. Exit status: 0, 1 (the oracle does not agree) or 2 (wrong use). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "sim_config.h"
#include "sim_plant.h"
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
	const char *plant;
	const char *pinned; /* file of arguments, one run a line */
	bool trace, quiet, twice;
	bool range;   /* --seeds: with BB_TEST_LONG in the environment there are more of them */
	bool planted; /* every bug that can be planted must be found */
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
	sim_plant_reset();
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
		"[--twice]\n           [--plant BUG] [--planted] [--pinned FILE]\n"
		"scenarios: %s\n",
		sim_config_scenarios());
	exit(2);
}

/* What the replay line needs besides seed and scenario. */
static void
set_replay(const struct options *o)
{
	char text[128] = "";
	size_t len = 0;

	if (o->steps != 0)
		len += (size_t)snprintf(text, sizeof(text), " --steps %u", o->steps);
	if (o->plant != NULL)
		snprintf(text + len, sizeof(text) - len, " --plant %s", o->plant);
	sim_config_arguments(text);
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
		} else if (strcmp(argv[i], "--planted") == 0) {
			o->planted = true;
		} else if (value == NULL) {
			usage();
		} else if (strcmp(argv[i], "--seed") == 0) {
			o->from = o->to = strtoull(argv[++i], &end, 10);
		} else if (strcmp(argv[i], "--seeds") == 0) {
			o->from = strtoull(argv[++i], &end, 10);
			if (*end != '-')
				usage();
			o->to = strtoull(end + 1, &end, 10);
			o->range = !o->planted;
		} else if (strcmp(argv[i], "--steps") == 0) {
			o->steps = (uint32_t)strtoul(argv[++i], &end, 10);
		} else if (strcmp(argv[i], "--scenario") == 0) {
			o->scenario = argv[++i];
		} else if (strcmp(argv[i], "--pinned") == 0) {
			o->pinned = argv[++i];
		} else if (strcmp(argv[i], "--plant") == 0) {
			o->plant = argv[++i];
			if (!sim_plant(o->plant))
				usage();
		} else {
			usage();
		}
		if (end != NULL && *end != '\0')
			usage();
	}
	set_replay(o);
}

static int
run_seeds(const struct options *o)
{
	for (uint64_t seed = o->from; seed <= o->to; seed++) {
		const uint64_t hash = run_seed(o, seed);
		if (o->twice && run_seed(o, seed) != hash) {
			printf("FAIL seed %lu: another trace the second time\n", (unsigned long)seed);
			return 1;
		}
	}
	printf("sim: seeds %lu to %lu passed\n", (unsigned long)o->from, (unsigned long)o->to);
	return 0;
}

/* Lines of {scenario, seed}; what follows # is why they are there. */
static int
run_pinned(struct options *o)
{
	FILE *f = fopen(o->pinned, "r");
	char line[256], scenario[32];
	unsigned long seed, runs = 0;

	if (f == NULL) {
		perror(o->pinned);
		return 2;
	}
	while (fgets(line, sizeof(line), f) != NULL) {
		if (line[0] == '#' || line[0] == '\n')
			continue;
		if (sscanf(line, "%31s %lu", scenario, &seed) != 2) {
			fprintf(stderr, "%s: %s", o->pinned, line);
			return 2;
		}
		o->scenario = scenario;
		run_seed(o, seed);
		runs++;
	}
	fclose(f);
	printf("sim: %lu pinned seeds passed\n", runs);
	return runs == 0; /* a file without seeds tests nothing */
}

/* Each in a process of its own, since finding it ends the program. */
static int
run_planted(struct options *o)
{
	int missed = 0;

	for (size_t i = 0; sim_plant_name(i) != NULL; i++) {
		int status = 0;
		fflush(stdout);
		const pid_t child = fork();
		if (child == 0) {
			o->plant = sim_plant_name(i);
			o->scenario = sim_plant_scenario(i);
			sim_plant(o->plant);
			set_replay(o);
			exit(run_seeds(o));
		}
		if (child < 0 || waitpid(child, &status, 0) != child)
			return 2;
		const bool found = WIFEXITED(status) && WEXITSTATUS(status) == 1;
		printf("planted %s: %s\n", sim_plant_name(i), found ? "found" : "MISSED");
		missed += !found;
	}
	return missed > 0;
}

int
main(int argc, char **argv)
{
	struct options o = { .from = 1, .to = 1 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse(argc, argv, &o);
	if (o.range && getenv("BB_TEST_LONG") != NULL)
		o.to += 50 * (o.to - o.from + 1);
	bb_log_level_set(o.trace ? BB_LOG_INFO : BB_LOG_ERROR);
	signal(SIGABRT, on_death);
	if (__sanitizer_set_death_callback != NULL)
		__sanitizer_set_death_callback(on_sanitizer);
	else
		signal(SIGSEGV, on_death);
	if (o.pinned != NULL)
		return run_pinned(&o);
	return o.planted ? run_planted(&o) : run_seeds(&o);
}
