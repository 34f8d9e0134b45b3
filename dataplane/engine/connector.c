/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/connector.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/time.h"
#include "transport/stream.h"

#define WAIT_NS_MAX (24 * 3600 * BB_SEC)

uint64_t
bb_connector_wait_ns(
	struct bb_rand *r, uint64_t reconnect_min_ns, uint64_t reconnect_max_ns, uint32_t failures)
{
	/* 0 would hammer the peer, and the other end keeps sums within 64 bits. */
	const uint64_t min = bb_min_u64(bb_max_u64(reconnect_min_ns, BB_MSEC), WAIT_NS_MAX);
	const uint64_t max = bb_min_u64(bb_max_u64(reconnect_max_ns, min), WAIT_NS_MAX);
	uint64_t cap = min;

	for (uint32_t i = 0; i <= failures && cap < max; i++)
		cap = cap <= max / 2 ? cap * 2 : max;
	return min + (cap > min ? bb_rand_u64(r) % (cap - min + 1) : 0);
}

int
bb_connectors_init(struct bb_connectors *c, struct bb_post *post, uint64_t seed)
{
	*c = (struct bb_connectors){ .post = post };
	bb_list_init(&c->all);
	bb_rand_init(&c->rand, seed);
	return bb_resolver_create(&c->resolver);
}

static void
connector_free(struct bb_connectors *c, struct bb_connector *k)
{
	c->slots[k->slot] = NULL;
	bb_list_remove(&k->node);
	free(k);
}

void
bb_connectors_fini(struct bb_connectors *c)
{
	if (c->post == NULL)
		return;
	while (!bb_list_empty(&c->all))
		connector_free(c, bb_list_entry(c->all.next, struct bb_connector, node));
	free(c->slots);
	bb_resolver_destroy(c->resolver);
	*c = (struct bb_connectors){ 0 };
}

static int
take_slot(struct bb_connectors *c, struct bb_connector *k)
{
	uint32_t slot = 0;

	while (slot < c->slot_count && c->slots[slot] != NULL)
		slot++;
	if (slot == c->slot_count) {
		const uint32_t count = c->slot_count == 0 ? 16 : 2 * c->slot_count;
		struct bb_connector **slots = realloc(c->slots, count * sizeof(*slots));
		if (slots == NULL)
			return -ENOMEM;
		memset(slots + c->slot_count, 0, (count - c->slot_count) * sizeof(*slots));
		c->slots = slots;
		c->slot_count = count;
	}
	c->slots[slot] = k;
	k->slot = slot;
	return 0;
}

/* The connector an answer is for; NULL if it was for an earlier attempt, or it is gone. */
static struct bb_connector *
find(const struct bb_connectors *c, uint64_t tag)
{
	const uint32_t slot = (uint32_t)tag;

	if (slot >= c->slot_count || c->slots[slot] == NULL || c->slots[slot]->tag != tag)
		return NULL;
	return c->slots[slot];
}

static uint32_t
least_loaded(struct bb_connectors *c)
{
	const struct bb_fabric *f = c->post->fabric;
	uint32_t best = c->next_io++ % f->sizes.io_count;

	for (uint32_t i = 0; i < f->sizes.io_count; i++) {
		if (atomic_load_explicit(&f->io_load[i], memory_order_relaxed) <
			atomic_load_explicit(&f->io_load[best], memory_order_relaxed))
			best = i;
	}
	return best;
}

static void
wait_and_retry(
	struct bb_connectors *c, struct bb_connector *k, const char *id, const char *why, uint64_t now_ns)
{
	const uint64_t wait_ns = bb_connector_wait_ns(
		&c->rand, k->reconnect_min_ns, k->reconnect_max_ns, k->failures);

	if (k->failures++ == 0)
		bb_log_warn(id, "address=\"%s\" why=\"%s\" retry_ms=%llu", k->text, why,
			(unsigned long long)(wait_ns / BB_MSEC));
	k->state = BB_CONNECTOR_WAITING;
	k->due_ns = now_ns + wait_ns;
}

static void
ask_io(struct bb_connectors *c, struct bb_connector *k, const struct sockaddr_storage *to, uint64_t now_ns)
{
	memset(&k->mail, 0, sizeof(k->mail));
	k->mail.side = k->side;
	memcpy(k->mail.address, to, sizeof(k->mail.address));
	snprintf(k->mail.text, sizeof(k->mail.text), "%.*s", (int)sizeof(k->mail.text) - 1, k->text);
	k->io = least_loaded(c);
	const struct bb_mail mail = {
		.kind = BB_MAIL_CONNECT, .ptr = &k->mail, .value = k->attempts, .tag = k->tag
	};
	if (bb_post_connection(c->post, k->io, &mail) != 0) {
		wait_and_retry(c, k, "CONNECT-FAILED", "no memory", now_ns);
		return;
	}
	k->attempts++;
	k->state = BB_CONNECTOR_ASKED;
}

static void
begin(struct bb_connectors *c, struct bb_connector *k, uint64_t now_ns)
{
	struct sockaddr_storage to = { 0 };

	k->tag = BB_POST_CONNECTION | (uint64_t)(++c->generation & INT32_MAX) << 32 | k->slot;
	if (bb_address_literal(&k->address, &to) == 0) {
		ask_io(c, k, &to, now_ns);
		return;
	}
	k->state = BB_CONNECTOR_RESOLVING;
	if (bb_resolver_ask(c->resolver, &k->address, k->attempts, k->tag) != 0)
		wait_and_retry(c, k, "CONNECT-FAILED", "no thread for the resolver", now_ns);
}

int
bb_connector_open(struct bb_connectors *c, uint16_t side, const char *text, uint64_t reconnect_min_ns,
	uint64_t reconnect_max_ns, uint64_t now_ns, struct bb_connector **ret, struct bb_text *why)
{
	struct bb_connector *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return bb_text_fail(why, -ENOMEM, "%s: no memory", text);
	int error = bb_address_parse(text, &k->address, why);
	if (error == 0 && (k->address.port == 0 || strcmp(k->address.host, "*") == 0))
		error = bb_text_fail(why, -EINVAL, "%s: to connect, name a host and a port", text);
	if (error == 0)
		error = take_slot(c, k);
	if (error != 0) {
		free(k);
		return error;
	}
	k->side = side;
	k->reconnect_min_ns = reconnect_min_ns;
	k->reconnect_max_ns = reconnect_max_ns;
	snprintf(k->text, sizeof(k->text), "%s", text);
	bb_list_append(&c->all, &k->node);
	begin(c, k, now_ns);
	*ret = k;
	return 0;
}

static void
ignore_answer(void *user, void *arg, int error)
{
	(void)user, (void)arg, (void)error;
}

void
bb_connector_close(struct bb_connectors *c, struct bb_connector *k, bool disconnect)
{
	const bool begun = k->state == BB_CONNECTOR_ASKED || k->state == BB_CONNECTOR_UP;

	if (begun && disconnect) {
		const struct bb_mail mail = { .kind = BB_MAIL_DISCONNECT, .value = k->tag };
		if (bb_post_send(c->post, BB_POST_IO, k->io, &mail, ignore_answer, NULL) != 0)
			bb_log_warn("DISCONNECT-FAILED", "address=\"%s\" why=\"no memory\"", k->text);
	}
	k->closed = true;
	if (k->state != BB_CONNECTOR_ASKED)
		connector_free(c, k);
}

void
bb_connectors_on_mail(struct bb_connectors *c, uint32_t io, const struct bb_mail *mail, uint64_t now_ns)
{
	struct bb_connector *k = find(c, mail->tag);

	if (k == NULL)
		return; /* closed meanwhile */
	BB_ASSERT(k->io == io);
	if (k->closed && mail->kind == BB_MAIL_DONE) {
		connector_free(c, k);
	} else if (k->closed) {
		return; /* its DONE is still to come */
	} else if (mail->kind == BB_MAIL_DONE) {
		if (k->state != BB_CONNECTOR_ASKED)
			return; /* LOST overtook it */
		if (mail->arg == 0)
			k->state = BB_CONNECTOR_UP;
		else
			wait_and_retry(c, k, "CONNECT-FAILED", strerror((int)mail->arg), now_ns);
	} else {
		BB_ASSERT(mail->kind == BB_MAIL_LOST);
		if (mail->value != 0)
			k->failures = 0;
		wait_and_retry(c, k, mail->value != 0 ? "CONNECTION-LOST" : "CONNECT-FAILED",
			bb_stream_reason_name((enum bb_stream_reason)mail->arg), now_ns);
	}
}

static void
on_resolved(struct bb_connectors *c, const struct bb_resolved *r, uint64_t now_ns)
{
	struct bb_connector *k = find(c, r->tag);

	if (k == NULL)
		return;
	if (r->error != 0)
		wait_and_retry(c, k, "CONNECT-FAILED", gai_strerror(r->error), now_ns);
	else
		ask_io(c, k, &r->address, now_ns);
}

void
bb_connectors_poll(struct bb_connectors *c, uint64_t now_ns)
{
	struct bb_resolved r;

	while (bb_resolver_answer(c->resolver, &r))
		on_resolved(c, &r, now_ns);
	bb_list_for_each(n, &c->all)
	{
		struct bb_connector *k = bb_list_entry(n, struct bb_connector, node);
		if (k->state == BB_CONNECTOR_WAITING && now_ns >= k->due_ns)
			begin(c, k, now_ns);
	}
}

uint64_t
bb_connectors_deadline(const struct bb_connectors *c)
{
	uint64_t deadline_ns = BB_NEVER;

	bb_list_for_each(n, &c->all)
	{
		const struct bb_connector *k = bb_list_entry(n, struct bb_connector, node);
		if (k->state == BB_CONNECTOR_WAITING)
			deadline_ns = bb_min_u64(deadline_ns, k->due_ns);
	}
	return deadline_ns;
}
