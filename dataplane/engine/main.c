/* SPDX-License-Identifier: BSD-3-Clause */
/* busbar-dataplane: see agent.h for what it does, abi/command.h for how it is told. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/agent.h"

#define EXIT_USAGE 2

static const char usage[] =
	"Usage: busbar-dataplane [--state-dir DIR] [--log-level LEVEL]\n"
	"\n"
	"The data plane of Busbar: it moves messages, and is told how by busbar-control over\n"
	"DIR/dataplane.sock. Without control it comes up from the last accepted configuration\n"
	"in DIR. SIGTERM and SIGINT drain it; a second one cuts that short.\n"
	"\n"
	"  --state-dir DIR    default: /var/lib/busbar for root, else $XDG_STATE_HOME/busbar\n"
	"  --log-level LEVEL  error, warn, info (default) or debug; the log goes to standard error\n"
	"  --help             this text\n"
	"  --version          the version\n";

static const struct option options[] = {
	{ "state-dir", required_argument, NULL, 's' },
	{ "log-level", required_argument, NULL, 'l' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'v' },
	{ NULL, 0, NULL, 0 },
};

static bool
set_log_level(const char *name)
{
	static const char *const names[] = { [BB_LOG_ERROR] = "error",
		[BB_LOG_WARN] = "warn",
		[BB_LOG_INFO] = "info",
		[BB_LOG_DEBUG] = "debug" };

	for (unsigned i = 0; i < BB_ARRAY_LEN(names); i++) {
		if (strcmp(names[i], name) == 0) {
			bb_log_level_set((enum bb_log_level)i);
			return true;
		}
	}
	return false;
}

static void
default_state_dir(char *ret, size_t bytes)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (geteuid() == 0)
		snprintf(ret, bytes, "/var/lib/busbar");
	else if (state != NULL && state[0] != '\0')
		snprintf(ret, bytes, "%s/busbar", state);
	else
		snprintf(ret, bytes, "%s/.local/state/busbar", home != NULL ? home : "");
}

/* With its parents; the last one for its owner alone. */
static int
make_directory(const char *path)
{
	char part[4096];

	if ((size_t)snprintf(part, sizeof(part), "%s", path) >= sizeof(part))
		return -ENAMETOOLONG;
	for (char *p = part + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(part, 0755) != 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	if (mkdir(part, 0700) != 0 && errno != EEXIST)
		return -errno;
	return 0;
}

/* A descriptor per peer. */
static void
raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Before any thread starts: all of them leave these to the agent. */
static void
block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

int
main(int argc, char **argv)
{
	static struct bb_agent agent;
	char state_dir[4096];
	struct bb_text text;
	int option, error;

	default_state_dir(state_dir, sizeof(state_dir));
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 's':
			snprintf(state_dir, sizeof(state_dir), "%s", optarg);
			break;
		case 'l':
			if (!set_log_level(optarg)) {
				fprintf(stderr,
					"busbar-dataplane: --log-level %s: one of error, warn, info, debug\n",
					optarg);
				return EXIT_USAGE;
			}
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'v':
			puts("busbar-dataplane " BB_VERSION);
			return 0;
		default:
			fputs("busbar-dataplane: try --help\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "busbar-dataplane: %s: unexpected argument; try --help\n", argv[optind]);
		return EXIT_USAGE;
	}

	error = make_directory(state_dir);
	if (error != 0) {
		fprintf(stderr, "busbar-dataplane: %s: %s: choose another --state-dir\n", state_dir,
			strerror(-error));
		return 1;
	}
	block_signals();
	raise_descriptors();
	if (bb_agent_init(&agent, state_dir, &text) != 0) {
		fprintf(stderr, "busbar-dataplane: %s\n", text.s);
		return 1;
	}
	return bb_agent_run(&agent);
}
