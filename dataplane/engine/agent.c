/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/agent.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "engine/state.h"

#define FLUSH_NS BB_SEC /* at the end, for control to read its last packets */

/* --- mail that nobody asked for ------------------------------------------------------------------------- */

static void
on_connection(void *user, uint32_t io, const struct bb_mail *mail)
{
	struct bb_agent *a = user;

	bb_connectors_on_mail(&a->connectors, io, mail, a->now_ns);
}

static void
on_report(void *user, const struct bb_mail *mail)
{
	struct bb_agent *a = user;
	struct bb_cmd_report *report = mail->ptr;

	bb_log_warn("CUT-OFF", "endpoint=%s side=%u peer=%s msgs=%llu bytes=%llu", report->endpoint,
		report->side, report->peer, (unsigned long long)report->dropped_msgs,
		(unsigned long long)report->dropped_bytes);
	bb_channel_send(
		&a->channel, a->channel.control, BB_CMD_REPORT, 0, report, sizeof(*report), NULL, 0, -1);
	free(report);
}

static void
on_control_gone(void *user)
{
	struct bb_agent *a = user;

	bb_log_info("CONTROL-GONE", "state=%u", a->state);
	a->patience_ns = a->now_ns + BB_AGENT_PATIENCE_NS;
}

/* --- up ------------------------------------------------------------------------------------------------- */

int
bb_agent_start_node(struct bb_agent *a, const struct bb_cmd_plan *plan, struct bb_text *text)
{
	uint64_t seed;
	int error = bb_node_start(&a->node, plan, a->state_dir, &a->wake, text);

	if (error != 0)
		return error;
	error = bb_post_init(&a->post, &a->node.fabric);
	if (error == 0 && getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		error = -EIO;
	if (error == 0)
		error = bb_connectors_init(&a->connectors, &a->post, seed);
	if (error != 0) {
		bb_post_fini(&a->post);
		bb_node_stop(&a->node);
		return bb_text_fail(text, error, "the agent cannot start: %s", strerror(-error));
	}
	a->post.user = a;
	a->post.on_connection = on_connection;
	a->post.on_report = on_report;
	bb_endpoints_init(&a->endpoints, &a->post, &a->connectors);
	a->endpoints.now_ns = a->now_ns;
	a->state = BB_STATE_RUNNING;
	bb_log_info("RUNNING", "io=%u router=%u joined=%d adaptive=%d hugepages=%d memory_mib=%llu",
		a->node.plan.io_count, a->node.plan.router_count, a->node.plan.joined, a->node.plan.adaptive,
		a->node.plan.hugepages, (unsigned long long)(a->node.plan.memory_bytes >> 20));
	return 0;
}

/* Nobody came to tell us what to run. */
static void
start_from_state(struct bb_agent *a)
{
	struct bb_state state;
	struct bb_text text = { "" };
	int error = bb_state_read(a->state_dir, &state, &text);

	a->patience_ns = BB_NEVER;
	if (error == -ENOENT) {
		bb_log_info("WAITING", "what=\"no control yet, and no accepted.state in %s\"", a->state_dir);
		return;
	}
	if (error != 0) {
		bb_log_warn("STATE-BAD", "why=\"%s\"", bb_text_clean(text.s));
		return;
	}
	bb_log_info("FROM-STATE", "revision=%llu endpoints=%u", (unsigned long long)state.revision,
		state.endpoint_count);
	error = bb_agent_start_node(a, &state.plan, &text);
	if (error == 0) {
		a->revision = state.revision;
		for (uint32_t i = 0; i < state.endpoint_count; i++)
			bb_command_set_alone(a, &state.endpoints[i]);
	} else if (a->node.spent) {
		a->exit_status = 1;
		a->quit = true;
	}
	bb_state_free(&state);
}

/* --- down ----------------------------------------------------------------------------------------------- */

static void
say_drained(struct bb_agent *a, const char *text)
{
	struct bb_cmd_event event = { .kind = BB_EVENT_DRAINED };

	memcpy(event.text, text, strlen(text));
	bb_channel_send(&a->channel, a->channel.control, BB_CMD_EVENT, 0, &event, sizeof(event), NULL, 0, -1);
	bb_channel_finish(&a->channel, a->channel.control);
	a->flush_ns = a->now_ns + FLUSH_NS;
}

static void
on_node_drained(void *user, void *arg, int error)
{
	struct bb_agent *a = user;

	(void)arg;
	a->node.clean = error == 0;
	a->state = BB_STATE_STOPPED;
}

/* The loops are through: end them, and read what they said last. */
static void
finish_drain(struct bb_agent *a)
{
	bb_node_halt(&a->node);
	bb_post_poll(&a->post, a->now_ns);
	bb_log_info("DRAINED", "uptime_ms=%llu", (unsigned long long)((a->now_ns - a->began_ns) / BB_MSEC));
	say_drained(a, "drained");
	a->quit = true;
}

static void
cut_drain(struct bb_agent *a, const char *why)
{
	bb_log_error("DRAIN-CUT", "why=\"%s\"", why);
	bb_node_halt(&a->node);
	bb_post_poll(&a->post, a->now_ns);
	a->state = BB_STATE_STOPPED;
	a->exit_status = 1;
	say_drained(a, why);
	a->quit = true;
}

void
bb_agent_drain(struct bb_agent *a, uint64_t linger_ns)
{
	if (a->state == BB_STATE_WAITING) {
		a->quit = true;
		return;
	}
	if (a->state != BB_STATE_RUNNING)
		return;
	if (linger_ns == UINT64_MAX)
		linger_ns = a->node.wish.linger_ns;
	const uint64_t deadline_ns = linger_ns < BB_NEVER - a->now_ns ? a->now_ns + linger_ns : BB_NEVER;
	const struct bb_mail mail = { .kind = BB_MAIL_DRAIN, .arg = BB_SCOPE_NODE, .value = deadline_ns };

	bb_log_info("DRAINING", "linger_ms=%llu", (unsigned long long)(linger_ns / BB_MSEC));
	a->state = BB_STATE_DRAINING;
	a->cut_ns = deadline_ns < BB_NEVER - BB_AGENT_GRACE_NS ? deadline_ns + BB_AGENT_GRACE_NS : BB_NEVER;
	bb_endpoints_close(&a->endpoints);
	if (bb_post_send(&a->post, BB_POST_ALL, 0, &mail, on_node_drained, NULL) != 0)
		cut_drain(a, "no memory to drain in order");
}

static void
read_signals(struct bb_agent *a)
{
	struct signalfd_siginfo info;

	while (read(a->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		bb_log_info("SIGNAL", "number=%u from=%u", info.ssi_signo, info.ssi_pid);
		if (a->state == BB_STATE_DRAINING)
			cut_drain(a, "a second signal");
		else
			bb_agent_drain(a, UINT64_MAX);
	}
}

/* --- turns ---------------------------------------------------------------------------------------------- */

static void
kick(struct bb_wake *w)
{
	const uint64_t one = 1;
	const ssize_t n = write(w->fd, &one, sizeof(one));

	(void)n;
}

int
bb_agent_init(struct bb_agent *a, const char *state_dir, struct bb_text *text)
{
	sigset_t signals;

	memset(a, 0, sizeof(*a));
	a->state_dir = state_dir;
	a->state = BB_STATE_WAITING;
	a->began_ns = a->now_ns = bb_clock_ns();
	a->patience_ns = a->now_ns + BB_AGENT_PATIENCE_NS;
	a->cut_ns = BB_NEVER;
	bb_list_init(&a->requests);
	bb_list_init(&a->pages);
	a->channel.user = a;
	a->channel.on_packet = bb_command_on_packet;
	a->channel.on_control_gone = on_control_gone;
	if (getrandom(&a->boot_id, sizeof(a->boot_id), 0) != sizeof(a->boot_id))
		return bb_text_fail(text, -EIO, "the kernel gives no random numbers");

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	a->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
	a->wake.kick = kick;
	a->wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	int error = a->signal_fd < 0 || a->wake.fd < 0
			    ? bb_text_fail(text, -EMFILE, "no descriptors: raise ulimit -n")
			    : bb_channel_open(&a->channel, state_dir, text);
	if (error == 0)
		return 0;
	if (a->signal_fd >= 0)
		close(a->signal_fd);
	if (a->wake.fd >= 0)
		close(a->wake.fd);
	return error;
}

static bool
has_node(const struct bb_agent *a)
{
	return a->state == BB_STATE_RUNNING || a->state == BB_STATE_DRAINING;
}

static void
turn(struct bb_agent *a)
{
	a->endpoints.now_ns = a->now_ns;
	read_signals(a);
	bb_channel_poll(&a->channel, a->now_ns);
	if (a->state == BB_STATE_WAITING && a->channel.control == BB_CONN_NONE && a->now_ns >= a->patience_ns)
		start_from_state(a);
	if (has_node(a)) {
		bb_connectors_poll(&a->connectors, a->now_ns);
		bb_endpoints_poll(&a->endpoints);
		bb_post_poll(&a->post, a->now_ns); /* last: it sends what the others wrote */
	}
	if (a->quit)
		return;
	if (a->state == BB_STATE_STOPPED)
		finish_drain(a);
	else if (a->state == BB_STATE_DRAINING && a->now_ns >= a->cut_ns)
		cut_drain(a, "the actors did not answer");
}

static uint64_t
deadline(const struct bb_agent *a)
{
	uint64_t d = bb_channel_deadline(&a->channel);

	if (a->state == BB_STATE_WAITING && a->channel.control == BB_CONN_NONE)
		d = bb_min_u64(d, a->patience_ns);
	if (has_node(a)) {
		d = bb_min_u64(d, bb_connectors_deadline(&a->connectors));
		d = bb_min_u64(d, bb_endpoints_deadline(&a->endpoints));
		d = bb_min_u64(d, bb_post_deadline(&a->post, a->now_ns));
		d = bb_min_u64(d, a->cut_ns);
	}
	return d;
}

static void
wait_for_events(struct bb_agent *a, uint64_t until_ns)
{
	struct pollfd fds[3 + 1 + BB_CHANNEL_CONNS] = { { .fd = a->wake.fd, .events = POLLIN },
		{ .fd = a->signal_fd, .events = POLLIN } };
	nfds_t count = 2;
	const uint64_t left_ns = until_ns > a->now_ns ? until_ns - a->now_ns : 0;
	const struct timespec timeout = { .tv_sec = (time_t)(bb_min_u64(left_ns / BB_SEC, 3600)),
		.tv_nsec = (long)(left_ns % BB_SEC) };

	if (has_node(a))
		fds[count++] = (struct pollfd){ .fd = bb_resolver_fd(a->connectors.resolver),
			.events = POLLIN };
	count += bb_channel_fds(&a->channel, &fds[count]);
	if (ppoll(fds, count, &timeout, NULL) > 0 && (fds[0].revents & POLLIN) != 0) {
		uint64_t kicks;
		const ssize_t n = read(a->wake.fd, &kicks, sizeof(kicks));
		(void)n;
	}
}

static void
go_to_sleep(struct bb_agent *a)
{
	bb_wake_prepare(&a->wake);
	/* The last look: mail that came since. */
	if (!has_node(a) || bb_post_poll(&a->post, a->now_ns) == 0)
		wait_for_events(a, deadline(a));
	bb_wake_cancel(&a->wake);
}

static void
agent_fini(struct bb_agent *a)
{
	while (!bb_channel_flushed(&a->channel) && a->now_ns < a->flush_ns) {
		wait_for_events(a, a->flush_ns);
		a->now_ns = bb_clock_ns();
		bb_channel_poll(&a->channel, a->now_ns);
	}
	bb_node_stop(&a->node); /* the actors first: they know connectors' mails and endpoints */
	bb_connectors_fini(&a->connectors);
	bb_endpoints_fini(&a->endpoints);
	bb_post_fini(&a->post);
	bb_channel_close(&a->channel);
	bb_command_fini(a);
	close(a->signal_fd);
	close(a->wake.fd);
}

int
bb_agent_run(struct bb_agent *a)
{
	while (!a->quit) {
		a->now_ns = bb_clock_ns();
		turn(a);
		if (!a->quit && a->state != BB_STATE_STOPPED)
			go_to_sleep(a);
	}
	agent_fini(a);
	return a->exit_status;
}
