/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/time.h"
#include "transport/ktcp.h"

#define RETRY_NS BB_SEC

static int
local_address(const char *text, struct sockaddr_storage *ret, struct bb_text *why)
{
	struct bb_address a;
	const int error = bb_address_parse(text, &a, why);

	return error != 0 ? error : bb_address_local(&a, ret, why);
}

bool
bb_listen_shared(const struct bb_cmd_endpoint *cmd)
{
	struct bb_text why;

	for (uint32_t i = 0; i < cmd->side[0].bind_count; i++) {
		for (uint32_t k = 0; k < cmd->side[1].bind_count; k++) {
			struct sockaddr_storage a, b;
			if (local_address(cmd->side[0].bind[i].text, &a, &why) == 0 &&
				local_address(cmd->side[1].bind[k].text, &b, &why) == 0 &&
				bb_address_equal(&a, &b))
				return true;
		}
	}
	return false;
}

/* --- the I/O core's part -------------------------------------------------------------------------------- */

static void
on_listening(void *user, void *arg, int error)
{
	struct bb_endpoint_job *job = arg;

	(void)user;
	if (error != 0) {
		close(job->fd); /* not taken */
		bb_log_error(
			"LISTEN-REFUSED", "error=%d what=\"an I/O core has no room for a listener\"", -error);
		if (job->request != NULL)
			bb_request_fail(job->request, error, "an I/O core has no room for a listener: %s",
				strerror(-error));
	}
	bb_endpoint_job_end(job);
}

/* Give the I/O core a duplicate of its own. */
static int
hand_over(struct bb_endpoints *e, struct bb_running *run, unsigned side, const struct bb_listener *l,
	struct bb_request *r)
{
	const int fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 0);
	const struct bb_mail mail = {
		.kind = BB_MAIL_LISTEN, .arg = run->id * 2u + side, .value = (uint64_t)fd
	};

	if (fd < 0)
		return -errno;
	struct bb_endpoint_job *job = bb_endpoint_job_begin(e, run, r);
	if (job != NULL) {
		job->fd = fd;
		if (bb_post_send(e->post, BB_POST_IO, run->side[side].io, &mail, on_listening, job) == 0)
			return 0;
		bb_endpoint_job_end(job);
	}
	close(fd);
	return -ENOMEM;
}

static void
on_unlistening(void *user, void *arg, int error)
{
	(void)user, (void)arg, (void)error;
}

/* An I/O core closes all listeners of a side at once, so those that stay are handed over again. */
static void
hand_over_again(struct bb_endpoints *e, struct bb_running *run, unsigned side, struct bb_request *r)
{
	struct bb_running_side *s = &run->side[side];
	const struct bb_mail mail = { .kind = BB_MAIL_UNLISTEN, .arg = run->id * 2u + side };

	if (bb_post_send(e->post, BB_POST_IO, s->io, &mail, on_unlistening, NULL) != 0) {
		bb_log_error("UNLISTEN-FAILED", "endpoint=%s why=\"no memory\"", run->desired.name);
		return;
	}
	for (uint32_t i = 0; i < s->listener_count; i++) {
		struct bb_listener *l = &s->listeners[i];
		if (l->fd >= 0 && hand_over(e, run, side, l, r) != 0)
			bb_log_error("LISTEN-FAILED", "endpoint=%s address=\"%s\" why=\"no memory\"",
				run->desired.name, l->text);
	}
}

/* --- our part ------------------------------------------------------------------------------------------- */

static void
close_listener(struct bb_listener *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	l->bound[0] = '\0';
}

/* The other side's listener that serves this address, too. */
static const struct bb_listener *
find_shared(const struct bb_running *run, unsigned side, const struct sockaddr_storage *at)
{
	const struct bb_running_side *other = &run->side[!side];

	for (uint32_t i = 0; i < other->listener_count; i++) {
		const struct bb_listener *l = &other->listeners[i];
		if (l->fd >= 0 && bb_address_equal(&l->at, at))
			return l;
	}
	return NULL;
}

static int
try_open(struct bb_endpoints *e, struct bb_running *run, unsigned side, struct bb_listener *l,
	struct bb_request *r, struct bb_text *why)
{
	const struct bb_cmd_side *options = &run->desired.side[side];
	const struct bb_ktcp_listen_options o = {
		.backlog = options->backlog,
		.sndbuf_bytes = options->sndbuf_bytes,
		.rcvbuf_bytes = options->rcvbuf_bytes,
	};
	struct sockaddr_storage bound;
	char text[64];
	int error = local_address(l->text, &l->at, why);

	if (error != 0)
		return error;
	const struct bb_listener *other = find_shared(run, side, &l->at);
	if (other != NULL) {
		l->shared = true;
		memcpy(l->bound, other->bound, sizeof(l->bound));
		return 0;
	}
	error = bb_ktcp_listen_open((const struct sockaddr *)&l->at, &o, &l->fd, &bound);
	if (error != 0) {
		l->fd = -1;
		return bb_text_fail(why, error, "%s: %s%s", l->text, strerror(-error),
			error == -EADDRINUSE ? ": another process listens there (see: ss -ltnp)" : "");
	}
	bb_ktcp_address_text((const struct sockaddr *)&bound, text);
	snprintf(l->bound, sizeof(l->bound), "tcp://%s", text);
	error = hand_over(e, run, side, l, r);
	if (error != 0) {
		close_listener(l);
		return bb_text_fail(why, error, "%s: %s", l->text, strerror(-error));
	}
	return 0;
}

static void
open_listener(struct bb_endpoints *e, struct bb_running *run, unsigned side, struct bb_listener *l,
	struct bb_request *r)
{
	const int error_before = l->error;
	struct bb_text why;

	l->shared = false;
	l->error = try_open(e, run, side, l, r, &why);
	if (l->error == 0) {
		bb_log_info(
			"LISTENING", "endpoint=%s side=%u address=\"%s\"", run->desired.name, side, l->bound);
		return;
	}
	l->retry_ns = e->now_ns + RETRY_NS;
	e->retry_ns = bb_min_u64(e->retry_ns, l->retry_ns);
	if (r != NULL)
		bb_request_fail(r, l->error, "%s", why.s);
	if (l->error != error_before)
		bb_log_error(
			"LISTEN-FAILED", "endpoint=%s why=\"%s\"", run->desired.name, bb_text_clean(why.s));
}

static bool
wished(const struct bb_cmd_side *s, const char *text)
{
	for (uint32_t i = 0; i < s->bind_count; i++) {
		if (strcmp(s->bind[i].text, text) == 0)
			return true;
	}
	return false;
}

const struct bb_listener *
bb_listen_find(const struct bb_running_side *s, const char *text)
{
	for (uint32_t i = 0; i < s->listener_count; i++) {
		if (strcmp(s->listeners[i].text, text) == 0)
			return &s->listeners[i];
	}
	return NULL;
}

/* True if one was closed that its I/O core serves. */
static bool
close_unwished(struct bb_running *run, unsigned side)
{
	struct bb_running_side *s = &run->side[side];
	uint32_t kept = 0;
	bool closed = false;

	for (uint32_t i = 0; i < s->listener_count; i++) {
		struct bb_listener *l = &s->listeners[i];
		if (wished(&run->desired.side[side], l->text)) {
			s->listeners[kept++] = *l;
			continue;
		}
		closed = closed || l->fd >= 0;
		bb_log_info("NOT-LISTENING", "endpoint=%s side=%u address=\"%s\"", run->desired.name, side,
			l->text);
		close_listener(l);
	}
	s->listener_count = kept;
	return closed;
}

void
bb_listen_reconcile(struct bb_endpoints *e, struct bb_running *run, struct bb_request *r)
{
	for (unsigned side = 0; side < 2; side++) {
		if (close_unwished(run, side))
			hand_over_again(e, run, side, r);
	}
	for (unsigned side = 0; side < 2; side++) {
		const struct bb_cmd_side *want = &run->desired.side[side];
		struct bb_running_side *s = &run->side[side];
		for (uint32_t i = 0; i < want->bind_count; i++) {
			if (bb_listen_find(s, want->bind[i].text) != NULL)
				continue;
			struct bb_listener *l = &s->listeners[s->listener_count++];
			*l = (struct bb_listener){ .fd = -1 };
			memcpy(l->text, want->bind[i].text, sizeof(l->text));
		}
		/* The new ones, those that failed before, and those whose partner at the address was closed.
		 */
		for (uint32_t i = 0; i < s->listener_count; i++) {
			struct bb_listener *l = &s->listeners[i];
			if (l->fd < 0 && (!l->shared || find_shared(run, side, &l->at) == NULL))
				open_listener(e, run, side, l, r);
		}
	}
}

void
bb_listen_close(struct bb_running *run)
{
	for (unsigned side = 0; side < 2; side++) {
		for (uint32_t i = 0; i < run->side[side].listener_count; i++)
			close_listener(&run->side[side].listeners[i]);
		run->side[side].listener_count = 0;
	}
}

void
bb_listen_retry(struct bb_endpoints *e, struct bb_running *run)
{
	for (unsigned side = 0; side < 2; side++) {
		for (uint32_t i = 0; i < run->side[side].listener_count; i++) {
			struct bb_listener *l = &run->side[side].listeners[i];
			if (l->error != 0 && e->now_ns >= l->retry_ns)
				open_listener(e, run, side, l, NULL);
			else if (l->error != 0)
				e->retry_ns = bb_min_u64(e->retry_ns, l->retry_ns);
		}
	}
}
