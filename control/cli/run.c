/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * run: starts busbar-dataplane and busbar-control, and starts either again when it dies.
 *
 * A signal (SIGINT, SIGTERM) drains: control is asked to drain the data plane, or the data plane is told
 * itself when control cannot be asked; what linger cut off is reported; a second signal ends everything at
 * once. The children are in process groups of their own, so that ^C reaches only us, and die with us by
 * PR_SET_PDEATHSIG.
 *
 * DIR/lock is held as long as we or a data plane of ours live, so that a second `run` on DIR is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "cli/cli.h"
#include "cli/table.h"
#include "conf/conf.h"

#define EXIT_CONFIG 78		   /* of control: a person is needed */
#define RESTART_NS (100 * BB_MSEC) /* before a child is started again, doubled while it dies young */
#define RESTART_NS_MAX (800 * BB_MSEC)
#define YOUNG_NS (2 * BB_SEC)
#define YOUNG_EXITS_MAX 5	     /* of its own accord: starting it again does not help */
#define DRAIN_GRACE_NS (10 * BB_SEC) /* beyond linger */
#define CONTROL_GRACE_NS (3 * BB_SEC)

struct child {
	const char *name; /* of the program, and "NAME.pid" */
	const char *pid_name;
	char path[BB_PATH_MAX];
	char *argv[10];
	pid_t pid; /* 0: not running */
	uint64_t started_ns, restart_ns;
	unsigned young_deaths, young_exits; /* in a row */
};

struct run {
	struct bb_cli *cli;
	const char *file;
	char state_dir[BB_PATH_MAX], socket[BB_PATH_MAX];
	struct child plane, control;
	uint64_t linger_ns;
	int lock_fd, signal_fd;
	sigset_t old_mask;
	bool draining;
	bool drain_pending; /* control could not be asked yet */
	uint64_t drain_deadline_ns;
	int status; /* exit status so far */
};

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * BB_SEC + (uint64_t)t.tv_nsec;
}

/* Read the configuration before anything is started: its errors are the commonest of all. */
static int
read_conf(struct run *r)
{
	static struct bb_conf_errors errors;
	struct bb_conf conf;
	const int error = r->file != NULL ? bb_conf_read_file(&conf, r->file, &errors)
					  : bb_conf_read(&conf, "default.yaml", bb_conf_default_text,
						    bb_conf_default_len, &errors);

	for (uint32_t i = 0; i < errors.count; i++)
		fprintf(stderr, "%s\n", errors.line[i]);
	if (error < 0)
		return BB_EXIT_FAILED;
	r->linger_ns = conf.dataplane.linger_ns;
	bb_path_socket(r->cli->socket, conf.control.socket, r->socket);
	bb_conf_fini(&conf);
	return -1;
}

static int
take_lock(struct run *r)
{
	char path[BB_PATH_MAX], text[32] = "";

	const int error = bb_path_make_dir(r->state_dir);
	if (error < 0)
		return bb_cli_fail(
			r->cli, "%s: %s: give another --state-dir", r->state_dir, strerror(-error));
	if (strlen(r->state_dir) > BB_PATH_MAX - 32 || !bb_path_join(path, r->state_dir, "lock"))
		return bb_cli_fail(
			r->cli, "%s: the path is too long: give another --state-dir", r->state_dir);
	r->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (r->lock_fd < 0)
		return bb_cli_fail(r->cli, "%s: %s: give another --state-dir", path, strerror(errno));
	if (flock(r->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (read(r->lock_fd, text, sizeof(text) - 1) <= 0)
			strcpy(text, "?");
		text[strcspn(text, "\n")] = '\0';
		return bb_cli_fail(r->cli,
			"%s: in use by process %s: stop that one, or give another --state-dir", r->state_dir,
			text);
	}
	const int len = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(r->lock_fd, 0) < 0 || pwrite(r->lock_fd, text, (size_t)len, 0) != len)
		return bb_cli_fail(r->cli, "%s: %s: make room there", path, strerror(errno));
	return -1;
}

/* Whoever reads DIR/NAME.pid sees the former or this process, never half a file. */
static void
write_pid(const struct run *r, const struct child *c)
{
	char path[BB_PATH_MAX], fresh[BB_PATH_MAX];

	if (!bb_path_join(path, r->state_dir, c->pid_name) || !bb_path_join(fresh, r->state_dir, "pid.new"))
		return; /* take_lock() has seen that such paths fit */
	FILE *out = fopen(fresh, "we");
	if (out != NULL)
		fprintf(out, "%d\n", (int)c->pid);
	if (out == NULL || fclose(out) != 0 || rename(fresh, path) < 0)
		bb_log_warn("PID-FILE", "path=%s error=\"%s\"", path, strerror(errno));
}

static void
remove_pid(const struct run *r, const struct child *c)
{
	char path[BB_PATH_MAX];

	if (bb_path_join(path, r->state_dir, c->pid_name))
		unlink(path);
}

static void
child_start(struct run *r, struct child *c)
{
	const pid_t parent = getpid();
	const pid_t pid = fork();

	c->started_ns = now_ns();
	if (pid == 0) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != parent)
			_exit(1); /* it died in between */
		sigprocmask(SIG_SETMASK, &r->old_mask, NULL);
		if (c == &r->plane)
			fcntl(r->lock_fd, F_SETFD, 0); /* it holds the lock, too */
		execv(c->path, c->argv);
		fprintf(stderr, "busbar run: %s: %s\n", c->path, strerror(errno));
		_exit(127);
	}
	if (pid < 0) {
		bb_log_error("FORK-FAILED", "error=\"%s\"", strerror(errno));
		c->restart_ns = now_ns() + RESTART_NS_MAX;
		return;
	}
	c->pid = pid;
	c->restart_ns = 0;
	write_pid(r, c);
}

static void
describe(int status, char out[64])
{
	if (WIFSIGNALED(status))
		snprintf(out, 64, "signal=%d", WTERMSIG(status));
	else
		snprintf(out, 64, "status=%d", WEXITSTATUS(status));
}

static void begin_drain(struct run *r);

static void
on_death(struct run *r, struct child *c, int status)
{
	const uint64_t now = now_ns();
	char how[64];

	describe(status, how);
	c->pid = 0;
	if (r->draining && c == &r->plane) {
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
			bb_log_error("DRAIN-BROKEN", "program=%s %s", c->name, how);
			r->status = BB_EXIT_FAILED;
		}
		return;
	}
	if (r->draining)
		return;
	if (c == &r->control && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_CONFIG) {
		r->status = BB_EXIT_FAILED; /* it has said why */
		begin_drain(r);
		return;
	}
	const bool young = now - c->started_ns < YOUNG_NS, by_itself = WIFEXITED(status);
	c->young_deaths = young ? c->young_deaths + 1 : 0;
	c->young_exits = young && by_itself ? c->young_exits + 1 : 0;
	bb_log_warn("RESTARTING", "program=%s %s", c->name, how);
	if (c->young_exits >= YOUNG_EXITS_MAX) {
		fprintf(stderr,
			"busbar run: %s ended %u times right after its start, with %s: its messages say "
			"why\n",
			c->name, c->young_exits, how);
		r->status = BB_EXIT_FAILED;
		begin_drain(r);
		return;
	}
	uint64_t delay = 0;
	for (unsigned i = 1; i < c->young_deaths; i++)
		delay = delay == 0 ? RESTART_NS : bb_min_u64(2 * delay, RESTART_NS_MAX);
	c->restart_ns = now + delay;
}

static void
reap(struct run *r)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == r->plane.pid)
			on_death(r, &r->plane, status);
		else if (pid == r->control.pid)
			on_death(r, &r->control, status);
	}
}

/* Nobody could tell control: the data plane drains on a signal, too. */
static void
begin_drain(struct run *r)
{
	if (r->draining)
		return;
	r->draining = true;
	r->drain_deadline_ns = now_ns() + r->linger_ns + DRAIN_GRACE_NS;
	if (r->plane.pid == 0)
		return;
	if (r->control.pid == 0 || !bb_client_post_quietly(r->socket, "/v1/drain", NULL))
		kill(r->plane.pid, SIGTERM);
}

static void
on_signals(struct run *r)
{
	struct signalfd_siginfo info;

	while (read(r->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD) {
			reap(r);
		} else if (info.ssi_signo == SIGHUP) {
			if (r->control.pid > 0)
				kill(r->control.pid, SIGHUP);
		} else if (!r->draining) {
			fputs("draining; once more to stop at once\n", stderr);
			begin_drain(r);
		} else if (r->plane.pid > 0) {
			kill(r->plane.pid, SIGKILL);
		}
	}
}

/* ms to the next thing to do; -1: none. */
static int
timeout_ms(const struct run *r)
{
	const uint64_t now = now_ns();
	uint64_t next = BB_NEVER;

	if (r->draining)
		next = r->drain_deadline_ns;
	else if (r->plane.restart_ns != 0)
		next = r->plane.restart_ns;
	if (!r->draining && r->control.restart_ns != 0)
		next = bb_min_u64(next, r->control.restart_ns);
	if (next == BB_NEVER)
		return -1;
	return next <= now ? 0 : (int)bb_min_u64((next - now) / BB_MSEC + 1, 60000);
}

static void
supervise(struct run *r)
{
	while (!r->draining || r->plane.pid > 0) {
		struct pollfd p = { .fd = r->signal_fd, .events = POLLIN };
		poll(&p, 1, timeout_ms(r));
		on_signals(r);
		const uint64_t now = now_ns();
		if (r->draining) {
			if (now >= r->drain_deadline_ns && r->plane.pid > 0) {
				bb_log_error("DRAIN-TIMEOUT", "pid=%d", (int)r->plane.pid);
				kill(r->plane.pid, SIGKILL);
				r->drain_deadline_ns = now + DRAIN_GRACE_NS;
			}
			continue;
		}
		struct child *const children[] = { &r->plane, &r->control };
		for (size_t i = 0; i < BB_ARRAY_LEN(children); i++)
			if (children[i]->pid == 0 && now >= children[i]->restart_ns)
				child_start(r, children[i]);
	}
}

static void
print_report(const json_t *report)
{
	const json_t *cuts = json_object_get(report, "cut");
	const uint64_t peers = (uint64_t)json_integer_value(json_object_get(report, "peers"));
	const uint64_t msgs = (uint64_t)json_integer_value(json_object_get(report, "messages"));
	char bytes[32];

	bb_format_bytes((uint64_t)json_integer_value(json_object_get(report, "bytes")), bytes);
	if (msgs == 0) {
		fputs("drained: every queued message was delivered\n", stderr);
		return;
	}
	fprintf(stderr, "drained: linger cut off %" PRIu64 " message%s (%s) to %" PRIu64 " peer%s\n", msgs,
		msgs == 1 ? "" : "s", bytes, peers, peers == 1 ? "" : "s");
	for (size_t i = 0; i < json_array_size(cuts); i++) {
		const json_t *cut = json_array_get(cuts, i);
		fprintf(stderr, "  %-21s %s: %" JSON_INTEGER_FORMAT " messages\n",
			json_string_value(json_object_get(cut, "address")),
			json_string_value(json_object_get(cut, "endpoint")),
			json_integer_value(json_object_get(cut, "messages")));
	}
	if (peers > json_array_size(cuts))
		fprintf(stderr, "  and %" PRIu64 " more peers\n", peers - json_array_size(cuts));
}

static void
stop_control(struct run *r)
{
	const uint64_t deadline = now_ns() + CONTROL_GRACE_NS;

	if (r->control.pid > 0)
		kill(r->control.pid, SIGTERM);
	while (r->control.pid > 0) {
		struct pollfd p = { .fd = r->signal_fd, .events = POLLIN };
		if (now_ns() >= deadline)
			kill(r->control.pid, SIGKILL);
		poll(&p, 1, 100);
		on_signals(r);
	}
}

static int
set_up(struct run *r)
{
	sigset_t set;

	if (bb_path_program("busbar-dataplane", "../dataplane", "BUSBAR_DATAPLANE", r->plane.path) < 0)
		return bb_cli_fail(r->cli,
			"busbar-dataplane is not where this program is: set BUSBAR_DATAPLANE to its path");
	if (bb_path_program("busbar-control", "../control", "BUSBAR_CONTROL", r->control.path) < 0)
		return bb_cli_fail(r->cli,
			"busbar-control is not where this program is: set BUSBAR_CONTROL to its path");
	int i = 0;
	r->plane.argv[i++] = r->plane.path;
	r->plane.argv[i++] = (char *)(uintptr_t) "--state-dir";
	r->plane.argv[i++] = r->state_dir;
	i = 0;
	r->control.argv[i++] = r->control.path;
	r->control.argv[i++] = (char *)(uintptr_t) "--state-dir";
	r->control.argv[i++] = r->state_dir;
	r->control.argv[i++] = (char *)(uintptr_t) "--socket";
	r->control.argv[i++] = r->socket;
	if (r->file != NULL) {
		r->control.argv[i++] = (char *)(uintptr_t) "--config";
		r->control.argv[i++] = (char *)(uintptr_t)r->file;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &r->old_mask);
	r->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (r->signal_fd < 0)
		return bb_cli_fail(r->cli, "signalfd: %s", strerror(errno));
	return -1;
}

int
bb_cmd_run(struct bb_cli *cli, int argc, char **argv)
{
	static const char *const names[] = { "-c", "--config", "--state-dir", NULL };
	static struct run r;
	const char *values[3] = { NULL };
	json_t *report = NULL;

	int status = bb_cli_options(cli, bb_cli_command_find("run"), &argc, argv, names, values);
	if (status >= 0)
		return status;
	if (argc > 1)
		return bb_cli_misuse(
			cli, "%s: not expected here: the configuration is given by -c FILE", argv[1]);
	r = (struct run){
		.cli = cli,
		.file = values[0] != NULL ? values[0] : values[1],
		.plane = { .name = "busbar-dataplane", .pid_name = "dataplane.pid" },
		.control = { .name = "busbar-control", .pid_name = "control.pid" },
	};
	if (values[2] != NULL)
		snprintf(r.state_dir, sizeof(r.state_dir), "%s", values[2]);
	else if (bb_path_default_state_dir(r.state_dir) < 0)
		return bb_cli_fail(cli, "no home directory: give --state-dir DIR");
	status = read_conf(&r);
	if (status < 0)
		status = take_lock(&r);
	if (status < 0)
		status = set_up(&r);
	if (status >= 0)
		return status;

	child_start(&r, &r.plane);
	child_start(&r, &r.control);
	supervise(&r);
	if (r.control.pid > 0 && bb_client_get_quietly(r.socket, "/v1/drain", &report) &&
		r.status == BB_EXIT_OK)
		print_report(report);
	json_decref(report);
	stop_control(&r);
	remove_pid(&r, &r.plane);
	remove_pid(&r, &r.control);
	return r.status;
}
