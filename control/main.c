/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * busbar-control: holds the configuration, brings the data plane to it and serves the management API.
 *
 * It may be killed and started again at any time: messages go on, and what is different then is reconciled.
 * One thread, one poll().
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "conf/conf.h"
#include "http/api.h"
#include "http/server.h"
#include "link/paths.h"
#include "reconcile.h"

/* The configuration, or the data plane's answer to it, needs a person: starting again would not help. */
#define EXIT_CONFIG 78

struct control {
	const char *file; /* NULL: the embedded default */
	char state_dir[BB_PATH_MAX];
	char socket[BB_PATH_MAX];
	struct bb_conf conf;
	struct bb_reconcile reconcile;
	struct bb_api api;
	struct bb_server *server;
	int signal_fd;
};

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * BB_SEC + (uint64_t)t.tv_nsec;
}

static void
usage(FILE *out)
{
	fputs("Usage: busbar-control [-c FILE] [--state-dir DIR] [--socket PATH]\n"
	      "Configures the data plane that listens in DIR and serves the management API.\n"
	      "`busbar run` starts both.\n"
	      "\n"
	      "  -c, --config FILE  configuration; without it, the embedded default\n"
	      "  --state-dir DIR    where the data plane is: /var/lib/busbar, for users "
	      "~/.local/state/busbar\n"
	      "  --socket PATH      where the management API listens, instead of control.socket\n"
	      "  -h, --help         this text\n"
	      "  -V, --version      the version\n"
	      "\n"
	      "SIGHUP reads the configuration again; SIGINT and SIGTERM end this process alone.\n",
		out);
}

/* -1: go on; else the exit status. */
static int
parse_args(struct control *c, int argc, char **argv, const char **socket)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "state-dir", required_argument, NULL, 'd' },
		{ "socket", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "c:hV", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			c->file = optarg;
			break;
		case 'd':
			snprintf(c->state_dir, sizeof(c->state_dir), "%s", optarg);
			break;
		case 's':
			*socket = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			puts("busbar-control " BB_VERSION);
			return 0;
		default:
			return 2; /* getopt has said why */
		}
	}
	if (optind < argc) {
		fprintf(stderr, "busbar-control: %s: not expected here: --help shows the options\n",
			argv[optind]);
		return 2;
	}
	return -1;
}

static const char *
file_name(const struct control *c)
{
	return c->file != NULL ? c->file : "default.yaml";
}

static int
read_conf(const struct control *c, struct bb_conf *ret)
{
	static struct bb_conf_errors errors;
	const int r = c->file != NULL ? bb_conf_read_file(ret, c->file, &errors)
				      : bb_conf_read(ret, file_name(c), bb_conf_default_text,
						bb_conf_default_len, &errors);

	for (uint32_t i = 0; i < errors.count; i++)
		fprintf(stderr, "%s\n", errors.line[i]);
	return r;
}

/* SIGHUP. A configuration that is wrong changes nothing. */
static void
reload(struct control *c)
{
	struct bb_conf conf;
	const int r = read_conf(c, &conf);

	if (r < 0 || bb_reconcile_desire(&c->reconcile, &conf, file_name(c)) < 0) {
		bb_log_error("RELOAD-REFUSED", "file=%s error=\"the former configuration stays in force\"",
			file_name(c));
		if (r == 0)
			bb_conf_fini(&conf);
		return;
	}
	bb_conf_fini(&c->conf);
	c->conf = conf;
	bb_log_info("RELOADED", "file=%s", file_name(c));
}

static int
open_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* True if the process shall end. */
static bool
on_signals(struct control *c)
{
	struct signalfd_siginfo info;

	while (read(c->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGHUP)
			return true;
		reload(c);
	}
	return false;
}

static int
timeout_ms(const struct control *c)
{
	const uint64_t deadline = bb_reconcile_deadline(&c->reconcile), now = now_ns();
	int ms = bb_server_timeout_ms(c->server);

	if (deadline != BB_NEVER) {
		const uint64_t left = deadline > now ? (deadline - now + BB_MSEC - 1) / BB_MSEC : 0;
		if (ms < 0 || left < (uint64_t)ms)
			ms = left > 60000 ? 60000 : (int)left;
	}
	return ms;
}

static int
loop(struct control *c)
{
	struct bb_reconcile *r = &c->reconcile;

	for (;;) {
		int http[2];
		const unsigned http_count = bb_server_fds(c->server, http);
		struct pollfd fds[4] = {
			{ .fd = c->signal_fd, .events = POLLIN },
			{ .fd = r->channel.fd, .events = POLLIN }, /* poll() skips -1 */
		};
		for (unsigned i = 0; i < http_count; i++)
			fds[2 + i] = (struct pollfd){ .fd = http[i], .events = POLLIN };
		if (poll(fds, 2 + http_count, timeout_ms(c)) < 0 && errno != EINTR) {
			bb_log_error("POLL-FAILED", "error=\"%s\"", strerror(errno));
			return 1;
		}
		if (fds[0].revents != 0 && on_signals(c))
			return 0;
		if (fds[1].revents != 0)
			bb_reconcile_on_readable(r, now_ns());
		bb_server_run(c->server);
		bb_reconcile_tick(r, now_ns());
		if (r->fatal) {
			fprintf(stderr, "%s\n", r->text);
			return EXIT_CONFIG;
		}
	}
}

static int
start(struct control *c, const char *socket)
{
	char why[256] = "not enough memory";

	if (c->state_dir[0] == '\0' && bb_path_default_state_dir(c->state_dir) < 0) {
		fprintf(stderr, "busbar-control: no home directory: give --state-dir DIR\n");
		return 1;
	}
	if (read_conf(c, &c->conf) < 0)
		return EXIT_CONFIG;
	bb_path_socket(socket, c->conf.control.socket, c->socket);
	int error = bb_reconcile_init(&c->reconcile, c->state_dir);
	if (error == 0)
		error = bb_reconcile_desire(&c->reconcile, &c->conf, file_name(c));
	if (error < 0) {
		fprintf(stderr, "busbar-control: %s: %s: give another --state-dir\n", c->state_dir,
			strerror(-error));
		return 1;
	}
	c->api = (struct bb_api){
		.reconcile = &c->reconcile,
		.conf = &c->conf,
		.file = file_name(c),
		.socket = c->socket,
		.started_ns = now_ns(),
	};
	if (bb_server_create(&c->api, c->socket, &c->conf.control.http, &c->server, why) < 0) {
		fprintf(stderr, "busbar-control: %s\n", why);
		return EXIT_CONFIG;
	}
	bb_log_info("CONTROL-STARTED", "version=%s pid=%d file=%s socket=%s", BB_VERSION, (int)getpid(),
		file_name(c), c->socket);
	return loop(c);
}

int
main(int argc, char **argv)
{
	static struct control c;
	const char *socket = NULL;
	int status = parse_args(&c, argc, argv, &socket);

	if (status >= 0)
		return status;
	c.signal_fd = open_signals();
	if (c.signal_fd < 0) {
		fprintf(stderr, "busbar-control: signalfd: %s\n", strerror(errno));
		return 1;
	}
	status = start(&c, socket);
	bb_server_destroy(c.server);
	bb_reconcile_fini(&c.reconcile);
	bb_conf_fini(&c.conf);
	return status;
}
