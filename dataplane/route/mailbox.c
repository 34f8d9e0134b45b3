/* SPDX-License-Identifier: BSD-3-Clause */
#include "route/mailbox.h"

#include <errno.h>

#include "route/drain.h"
#include "route/pubsub.h"
#include "route/shard.h"

/* Put the answer into the ring; false: later. */
static bool
push_reply(struct bb_router *r)
{
	r->reply_held = bb_ring_push(&r->fabric->router_to_agent[r->options.index], &r->reply, 1) == 0;
	r->mailed |= !r->reply_held;
	return !r->reply_held;
}

static uint32_t
subscriptions(struct bb_router *r, struct bb_mail_page *page)
{
	if (page->endpoint >= BB_ENDPOINTS_MAX)
		return ENOENT;
	struct bb_shard *s = r->shards[page->endpoint];
	if (s == NULL || s->ops != &bb_pubsub_ops)
		return ENOENT;
	return bb_pubsub_page(s, page);
}

/* True if it is to be answered now, with *ret_error. */
static bool
handle(struct bb_router *r, const struct bb_mail *mail, uint32_t *ret_error)
{
	*ret_error = 0;
	switch (mail->kind) {
	case BB_MAIL_ENDPOINT:
		*ret_error = (uint32_t)-bb_shard_configure(r, mail->ptr);
		return true;
	case BB_MAIL_DRAIN:
		if (bb_drain_begin(r, mail->arg, mail->value, mail->tag))
			return false; /* when it is done */
		*ret_error = ENOENT;
		return true;
	case BB_MAIL_REMOVED:
		bb_shard_remove(r, mail->arg);
		return true;
	case BB_MAIL_SUBSCRIPTIONS:
		*ret_error = subscriptions(r, mail->ptr);
		return true;
	default:
		BB_ASSERT(!"a mail for routers");
	}
	return false;
}

uint32_t
bb_mailbox_poll(struct bb_router *r)
{
	struct bb_ring *ring = &r->fabric->agent_to_router[r->options.index];
	struct bb_mail mail;
	uint32_t n = 0;

	if (r->reply_held && !push_reply(r))
		return 0;
	while (bb_ring_pop(ring, &mail, 1) == 1) {
		uint32_t error;
		n++;
		if (!handle(r, &mail, &error))
			continue;
		r->reply = (struct bb_mail){ .kind = BB_MAIL_DONE, .arg = error, .tag = mail.tag };
		if (!push_reply(r))
			break;
	}
	return n;
}

void
bb_mailbox_wake(struct bb_router *r)
{
	if (r->mailed && r->fabric->agent_wake != NULL)
		bb_wake_notify(r->fabric->agent_wake);
	r->mailed = false;
}
