/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/endpoints.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/time.h"
#include "engine/listen.h"
#include "zmtp/type.h"

/* --- what makes sense, and what actors are told --------------------------------------------------------- */

static bool
terminated(const char *text, size_t bytes)
{
	return memchr(text, '\0', bytes) != NULL;
}

static int
check_side(const struct bb_cmd_endpoint *cmd, unsigned side, struct bb_text *text)
{
	const struct bb_cmd_side *s = &cmd->side[side];
	struct bb_address a;
	int error = 0;

	if (s->bind_count > BB_CMD_ADDRESSES_MAX || s->connect_count > BB_CMD_ADDRESSES_MAX ||
		s->identity_len > BB_CMD_ID_MAX)
		return bb_text_fail(text, -EINVAL,
			"endpoint %s, side %u: more addresses or a longer identity than fit", cmd->name,
			side);
	if (s->when_full < BB_FULL_DROP || s->when_full > BB_FULL_DISCONNECT)
		return bb_text_fail(
			text, -EINVAL, "endpoint %s, side %u: when_full is out of range", cmd->name, side);
	if (s->max_message == 0 || s->max_frames == 0)
		return bb_text_fail(text, -EINVAL,
			"endpoint %s, side %u: max_message and max_frames cannot be 0", cmd->name, side);
	for (uint32_t i = 0; i < s->bind_count + s->connect_count && error == 0; i++) {
		const char *address = i < s->bind_count ? s->bind[i].text
							: s->connect[i - s->bind_count].text;
		if (!terminated(address, BB_CMD_ADDRESS_MAX))
			return bb_text_fail(text, -EINVAL, "endpoint %s, side %u: an address is too long",
				cmd->name, side);
		error = bb_address_parse(address, &a, text);
	}
	return error;
}

int
bb_endpoint_check(const struct bb_cmd_endpoint *cmd, struct bb_text *text)
{
	int error;

	if (!terminated(cmd->name, sizeof(cmd->name)) || cmd->name[0] == '\0')
		return bb_text_fail(
			text, -EINVAL, "an endpoint needs a name of 1 to %zu octets", sizeof(cmd->name) - 1);
	for (const char *p = cmd->name; *p != '\0'; p++) {
		if ((unsigned char)*p <= ' ' || *p == '"')
			return bb_text_fail(text, -EINVAL,
				"an endpoint's name may not hold blanks, quotes or control characters");
	}
	if (cmd->pattern < BB_PATTERN_PUBSUB || cmd->pattern > BB_PATTERN_REQREP)
		return bb_text_fail(
			text, -EINVAL, "endpoint %s: pattern %u is not built in", cmd->name, cmd->pattern);
	error = check_side(cmd, 0, text);
	return error != 0 ? error : check_side(cmd, 1, text);
}

static const uint8_t socket_types[][2] = {
	[BB_PATTERN_PUBSUB] = { BB_ZMTP_XSUB, BB_ZMTP_XPUB },
	[BB_PATTERN_PIPELINE] = { BB_ZMTP_PULL, BB_ZMTP_PUSH },
	[BB_PATTERN_REQREP] = { BB_ZMTP_ROUTER, BB_ZMTP_DEALER },
};

static struct bb_side_options
side_options(const struct bb_cmd_side *s, uint8_t socket_type)
{
	struct bb_side_options o = {
		.hwm_msgs = s->hwm_msgs,
		.hwm_bytes = s->hwm_bytes,
		.when_full = (uint8_t)s->when_full,
		.socket_type = socket_type,
		.claims = socket_type == BB_ZMTP_ROUTER,
		.handover = s->handover != 0,
		.block_max_ns = s->block_max_ns,
		.max_message = s->max_message,
		.max_frames = s->max_frames,
		.peers_max = s->peers_max,
		.subscriptions_max = s->subscriptions_max,
		.handshake_timeout_ns = s->handshake_timeout_ns,
		.heartbeat_interval_ns = s->heartbeat_interval_ns,
		.heartbeat_timeout_ns = s->heartbeat_timeout_ns,
		.heartbeat_ttl_ds = (uint16_t)bb_min_u64(s->heartbeat_ttl_ns / (100 * BB_MSEC), UINT16_MAX),
		.reconnect_min_ns = s->reconnect_min_ns,
		.reconnect_max_ns = s->reconnect_max_ns,
		.identity_len = (uint8_t)s->identity_len,
		.stream = {
			.sndbuf_bytes = s->sndbuf_bytes,
			.rcvbuf_bytes = s->rcvbuf_bytes,
			.keepalive_idle_s = s->keepalive_idle_s,
			.keepalive_interval_s = s->keepalive_interval_s,
			.keepalive_count = s->keepalive_count,
		},
	};

	memcpy(o.identity, s->identity, o.identity_len);
	return o;
}

struct bb_endpoint
bb_endpoint_config(const struct bb_cmd_endpoint *cmd, uint16_t id, uint16_t home, uint32_t router_count)
{
	struct bb_endpoint e = {
		.id = id,
		.pattern = (uint8_t)cmd->pattern,
		.subscribe_all = cmd->pattern == BB_PATTERN_PUBSUB && cmd->subscribe_all != 0,
		.sharded = cmd->pattern == BB_PATTERN_PUBSUB && router_count > 1 &&
			   cmd->side[1].when_full != BB_FULL_BLOCK,
		.shared_address = bb_listen_shared(cmd),
		.home = home,
	};

	memcpy(e.name, cmd->name, sizeof(e.name));
	for (unsigned i = 0; i < 2; i++)
		e.side[i] = side_options(&cmd->side[i], socket_types[cmd->pattern][i]);
	return e;
}
static_assert(sizeof(((struct bb_endpoint *)0)->name) == BB_CMD_NAME_MAX, "copied whole");

/* --- the table ------------------------------------------------------------------------------------------ */

void
bb_endpoints_init(struct bb_endpoints *e, struct bb_post *post, struct bb_connectors *connectors)
{
	*e = (struct bb_endpoints){
		.post = post,
		.connectors = connectors,
		.io_count = post->fabric->sizes.io_count,
		.router_count = post->fabric->sizes.router_count,
		.retry_ns = BB_NEVER,
	};
	bb_list_init(&e->jobs);
}

static void
free_configs(struct bb_config *c)
{
	while (c != NULL) {
		struct bb_config *older = c->older;
		free(c);
		c = older;
	}
}

static void
free_running(struct bb_endpoints *e, struct bb_running *run)
{
	bb_listen_close(run);
	e->homes[run->home]--;
	for (unsigned side = 0; side < 2; side++)
		e->listens[run->side[side].io]--;
	free_configs(run->config);
	e->slots[run->id] = NULL;
	e->count--;
	free(run);
}

void
bb_endpoints_fini(struct bb_endpoints *e)
{
	struct bb_list *n;

	if (e->post == NULL)
		return;
	while ((n = bb_list_pop(&e->jobs)) != NULL)
		free(bb_list_entry(n, struct bb_endpoint_job, node));
	for (uint32_t id = 0; id < BB_ENDPOINTS_MAX; id++) {
		if (e->slots[id] != NULL)
			free_running(e, e->slots[id]);
	}
	*e = (struct bb_endpoints){ 0 };
}

struct bb_endpoint_job *
bb_endpoint_job_begin(struct bb_endpoints *e, struct bb_running *run, struct bb_request *r)
{
	struct bb_endpoint_job *job = calloc(1, sizeof(*job));

	if (job == NULL)
		return NULL;
	*job = (struct bb_endpoint_job){ .endpoints = e, .run = run, .request = r };
	if (r != NULL)
		bb_request_hold(r);
	bb_list_append(&e->jobs, &job->node);
	return job;
}

void
bb_endpoint_job_end(struct bb_endpoint_job *job)
{
	if (job->request != NULL)
		bb_request_put(job->request);
	bb_list_remove(&job->node);
	free(job);
}

struct bb_running *
bb_endpoints_find(const struct bb_endpoints *e, const char *name)
{
	for (uint32_t id = 0; id < BB_ENDPOINTS_MAX; id++) {
		if (e->slots[id] != NULL && strcmp(e->slots[id]->desired.name, name) == 0)
			return e->slots[id];
	}
	return NULL;
}

static uint32_t
least(const uint32_t *loads, uint32_t count)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i < count; i++) {
		if (loads[i] < loads[best])
			best = i;
	}
	return best;
}

static struct bb_running *
add_running(struct bb_endpoints *e, const struct bb_cmd_endpoint *cmd, struct bb_request *r)
{
	uint32_t id = 0;

	while (id < BB_ENDPOINTS_MAX && e->slots[id] != NULL)
		id++;
	if (id == BB_ENDPOINTS_MAX) {
		bb_request_fail(r, -ENOSPC, "endpoint %s: there are %u endpoints already", cmd->name,
			(unsigned)BB_ENDPOINTS_MAX);
		return NULL;
	}
	struct bb_running *run = calloc(1, sizeof(*run));
	if (run == NULL) {
		bb_request_fail(r, -ENOMEM, "endpoint %s: no memory", cmd->name);
		return NULL;
	}
	run->id = (uint16_t)id;
	run->desired = *cmd;
	e->slots[id] = run;
	e->count++;
	run->home = (uint16_t)least(e->homes, e->router_count);
	e->homes[run->home]++;
	for (unsigned side = 0; side < 2; side++) {
		run->side[side].io = least(e->listens, e->io_count);
		e->listens[run->side[side].io]++;
	}
	return run;
}

/* --- set ------------------------------------------------------------------------------------------------ */

static bool
connect_wished(const struct bb_cmd_side *want, const char *text)
{
	for (uint32_t i = 0; i < want->connect_count; i++) {
		if (strcmp(want->connect[i].text, text) == 0)
			return true;
	}
	return false;
}

static struct bb_connector *
find_connector(const struct bb_running_side *s, const char *text)
{
	for (uint32_t i = 0; i < s->connector_count; i++) {
		if (strcmp(s->connectors[i]->text, text) == 0)
			return s->connectors[i];
	}
	return NULL;
}

static void
reconcile_connectors(struct bb_endpoints *e, struct bb_running *run, struct bb_request *r)
{
	for (unsigned side = 0; side < 2; side++) {
		const struct bb_cmd_side *want = &run->desired.side[side];
		struct bb_running_side *s = &run->side[side];
		uint32_t kept = 0;

		for (uint32_t i = 0; i < s->connector_count; i++) {
			if (connect_wished(want, s->connectors[i]->text))
				s->connectors[kept++] = s->connectors[i];
			else
				bb_connector_close(e->connectors, s->connectors[i], true);
		}
		s->connector_count = kept;
		for (uint32_t i = 0; i < want->connect_count; i++) {
			struct bb_text why;
			struct bb_connector *k = find_connector(s, want->connect[i].text);
			if (k != NULL) {
				k->reconnect_min_ns = want->reconnect_min_ns;
				k->reconnect_max_ns = want->reconnect_max_ns;
				continue;
			}
			const int error = bb_connector_open(e->connectors, (uint16_t)(run->id * 2 + side),
				want->connect[i].text, want->reconnect_min_ns, want->reconnect_max_ns,
				e->now_ns, &k, &why);
			if (error == 0)
				s->connectors[s->connector_count++] = k;
			else if (r != NULL)
				bb_request_fail(r, error, "%s", why.s);
		}
	}
}

static void
reconcile(struct bb_endpoints *e, struct bb_running *run, struct bb_request *r)
{
	if (!run->known || run->removing || e->closed)
		return;
	bb_listen_reconcile(e, run, r);
	reconcile_connectors(e, run, r);
}

/* All actors have answered to a new version of an endpoint. */
static void
on_endpoint(void *user, void *arg, int error)
{
	struct bb_endpoint_job *job = arg;
	struct bb_running *run = job->run;

	(void)user;
	if (error != 0) {
		/* Some actor goes on with an older version, so none is freed before the endpoint is. */
		bb_request_fail(job->request, error,
			"endpoint %s: an actor has no memory for it: raise dataplane.memory",
			run->desired.name);
		run->failed = true;
	} else {
		free_configs(job->config->older);
		job->config->older = NULL;
		run->known = true;
		run->failed = false;
		reconcile(job->endpoints, run, job->request);
	}
	bb_endpoint_job_end(job);
}

/* False, with the request's error set: what cannot change while it runs. */
static bool
may_become(const struct bb_endpoints *e, const struct bb_running *run, const struct bb_cmd_endpoint *cmd,
	struct bb_request *r)
{
	if (run->removing) {
		bb_request_fail(
			r, -EBUSY, "endpoint %s is being removed: set it again when that is done", cmd->name);
		return false;
	}
	if (run->desired.pattern != cmd->pattern) {
		bb_request_fail(r, -EBUSY,
			"endpoint %s: its pattern cannot change while it runs: remove it first, or use "
			"another name",
			cmd->name);
		return false;
	}
	if (bb_endpoint_config(cmd, run->id, run->home, e->router_count).sharded !=
		run->config->endpoint.sharded) {
		bb_request_fail(r, -EBUSY,
			"endpoint %s: when_full cannot change to or from block while it runs: remove it "
			"first",
			cmd->name);
		return false;
	}
	return true;
}

void
bb_endpoints_set(struct bb_endpoints *e, const struct bb_cmd_endpoint *cmd, struct bb_request *r)
{
	struct bb_running *run = bb_endpoints_find(e, cmd->name);
	const bool is_new = run == NULL;

	if (e->closed) {
		bb_request_fail(r, -ESHUTDOWN, "the data plane is draining");
		return;
	}
	if (!is_new && !may_become(e, run, cmd, r))
		return;
	if (!is_new && !run->failed && memcmp(&run->desired, cmd, sizeof(*cmd)) == 0) {
		reconcile(e, run, r); /* what failed before is tried again, and told again */
		return;
	}
	if (is_new)
		run = add_running(e, cmd, r);
	if (run == NULL)
		return;

	struct bb_config *config = calloc(1, sizeof(*config));
	struct bb_endpoint_job *job = bb_endpoint_job_begin(e, run, r);
	if (config != NULL && job != NULL) {
		config->endpoint = bb_endpoint_config(cmd, run->id, run->home, e->router_count);
		config->older = run->config;
		run->config = config;
		job->config = config;
		run->desired = *cmd;
		const struct bb_mail mail = { .kind = BB_MAIL_ENDPOINT, .ptr = &config->endpoint };
		if (bb_post_send(e->post, BB_POST_ALL, 0, &mail, on_endpoint, job) == 0)
			return;
		run->config = config->older;
	}
	bb_request_fail(r, -ENOMEM, "endpoint %s: no memory", cmd->name);
	free(config);
	if (job != NULL)
		bb_endpoint_job_end(job);
	if (is_new)
		free_running(e, run);
	else
		run->failed = true;
}

/* --- remove --------------------------------------------------------------------------------------------- */

static void
close_connectors(struct bb_endpoints *e, struct bb_running *run)
{
	for (unsigned side = 0; side < 2; side++) {
		struct bb_running_side *s = &run->side[side];
		while (s->connector_count > 0)
			bb_connector_close(e->connectors, s->connectors[--s->connector_count], false);
	}
}

static void
on_removed(void *user, void *arg, int error)
{
	struct bb_endpoint_job *job = arg;
	struct bb_endpoints *e = job->endpoints;
	struct bb_running *run = job->run;

	(void)user;
	BB_ASSERT(error == 0); /* there is nothing left that forgetting could fail at */
	bb_log_info("ENDPOINT-REMOVED", "endpoint=%s", run->desired.name);
	free_running(e, run);
	/* Everybody who waits for this one. */
	bb_list_for_each(n, &e->jobs)
	{
		struct bb_endpoint_job *other = bb_list_entry(n, struct bb_endpoint_job, node);
		if (other->run == run)
			bb_endpoint_job_end(other);
	}
}

static void
on_drained(void *user, void *arg, int error)
{
	struct bb_endpoint_job *job = arg;
	const struct bb_mail mail = { .kind = BB_MAIL_REMOVED, .arg = job->run->id };

	(void)user, (void)error;
	if (bb_post_send(job->endpoints->post, BB_POST_ALL, 0, &mail, on_removed, job) == 0)
		return;
	bb_request_fail(job->request, -ENOMEM, "endpoint %s: drained, but no memory to remove it",
		job->run->desired.name);
	bb_endpoint_job_end(job);
}

void
bb_endpoints_remove(struct bb_endpoints *e, const char *name, uint64_t deadline_ns, struct bb_request *r)
{
	struct bb_running *run = bb_endpoints_find(e, name);

	if (e->closed) {
		bb_request_fail(r, -ESHUTDOWN, "the data plane is draining");
		return;
	}
	if (run == NULL)
		return; /* as wished */
	struct bb_endpoint_job *job = bb_endpoint_job_begin(e, run, r);
	if (job == NULL) {
		bb_request_fail(r, -ENOMEM, "endpoint %s: no memory", name);
		return;
	}
	if (run->removing)
		return; /* the job is ended with the one that is under way */
	const struct bb_mail mail = { .kind = BB_MAIL_DRAIN, .arg = run->id, .value = deadline_ns };
	if (bb_post_send(e->post, BB_POST_ALL, 0, &mail, on_drained, job) != 0) {
		bb_request_fail(r, -ENOMEM, "endpoint %s: no memory", name);
		bb_endpoint_job_end(job);
		return;
	}
	run->removing = true;
	close_connectors(e, run);
	bb_listen_close(run);
}

void
bb_endpoints_close(struct bb_endpoints *e)
{
	e->closed = true;
	for (uint32_t id = 0; id < BB_ENDPOINTS_MAX; id++) {
		if (e->slots[id] == NULL)
			continue;
		close_connectors(e, e->slots[id]);
		bb_listen_close(e->slots[id]);
	}
}

/* --- looking -------------------------------------------------------------------------------------------- */

void
bb_endpoints_poll(struct bb_endpoints *e)
{
	if (e->now_ns < e->retry_ns)
		return;
	e->retry_ns = BB_NEVER;
	for (uint32_t id = 0; id < BB_ENDPOINTS_MAX; id++) {
		struct bb_running *run = e->slots[id];
		if (run == NULL || run->removing)
			continue;
		bb_listen_retry(e, run);
	}
}

uint64_t
bb_endpoints_deadline(const struct bb_endpoints *e)
{
	return e->retry_ns;
}

const struct bb_running *
bb_endpoints_next(const struct bb_endpoints *e, uint64_t cursor)
{
	for (uint64_t id = cursor; id < BB_ENDPOINTS_MAX; id++) {
		if (e->slots[id] != NULL)
			return e->slots[id];
	}
	return NULL;
}

void
bb_endpoint_describe(const struct bb_running *run, struct bb_cmd_endpoint_state *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->next = (uint64_t)run->id + 1;
	ret->id = run->id;
	ret->home = run->home;
	ret->sharded = run->config->endpoint.sharded;
	ret->draining = run->removing;
	ret->desired = run->desired;
	for (unsigned side = 0; side < 2; side++) {
		const struct bb_cmd_side *want = &run->desired.side[side];
		for (uint32_t i = 0; i < want->bind_count; i++) {
			const struct bb_listener *l = bb_listen_find(&run->side[side], want->bind[i].text);
			ret->bind_error[side][i] = l != NULL ? l->error : -EINPROGRESS;
			if (l != NULL)
				memcpy(ret->bound[side][i].text, l->bound, sizeof(l->bound));
		}
	}
}

uint32_t
bb_endpoints_save(const struct bb_endpoints *e, struct bb_cmd_endpoint *ret)
{
	uint32_t count = 0;

	for (uint32_t id = 0; id < BB_ENDPOINTS_MAX; id++) {
		if (e->slots[id] != NULL && !e->slots[id]->removing)
			ret[count++] = e->slots[id]->desired;
	}
	return count;
}
