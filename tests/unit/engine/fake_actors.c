/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_actors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/command.h"
#include "base/time.h"
#include "msg/mail.h"
#include "route/router.h"
#include "transport/io.h"

struct fake_actors fake_actors = { .creates_left = -1 };

struct fake {
	struct bb_mem *mem;
	struct bb_ring *in, *out;
	struct bb_wake *agent;
	bool is_io;
	struct bb_mail held; /* a DRAIN that waits */
};

struct bb_io {
	struct fake f;
};
struct bb_router {
	struct fake f;
};

static void *
create(struct bb_mem *mem)
{
	if (fake_actors.creates_left == 0)
		return NULL;
	if (fake_actors.creates_left > 0)
		fake_actors.creates_left--;
	fake_actors.alive++;
	return bb_mem_zalloc(mem, sizeof(struct fake));
}

static void
say(struct fake *f, const struct bb_mail *mail)
{
	while (bb_ring_push(f->out, mail, 1) == 0) {
	}
	bb_wake_notify(f->agent);
}

static void
report(struct fake *f)
{
	struct bb_cmd_report *r = calloc(1, sizeof(*r));

	if (r == NULL)
		abort();
	r->dropped_msgs = 3;
	memcpy(r->peer, "10.0.0.7:1", 11);
	say(f, &(struct bb_mail){ .kind = BB_MAIL_REPORT, .ptr = r });
}

static uint32_t
poll_mail(struct fake *f)
{
	struct bb_mail mail;

	if (f->held.kind != 0 && !fake_actors.hold_drain) {
		say(f, &(struct bb_mail){ .kind = BB_MAIL_DONE, .tag = f->held.tag });
		f->held.kind = 0;
	}
	if (bb_ring_pop(f->in, &mail, 1) == 0)
		return 0;
	if (mail.kind == BB_MAIL_LISTEN) {
		close((int)mail.value);
		fake_actors.listens++;
	} else if (mail.kind == BB_MAIL_ENDPOINT) {
		fake_actors.endpoints++;
	} else if (mail.kind == BB_MAIL_REMOVED) {
		fake_actors.removes++;
	} else if (mail.kind == BB_MAIL_SUBSCRIPTIONS) {
		struct bb_mail_page *page = mail.ptr;
		memset(page->entries, 'x', 100);
		page->bytes = 100;
		page->count = 7;
		page->next = page->cursor + 1;
	} else if (mail.kind == BB_MAIL_DRAIN) {
		fake_actors.drains++;
		if (f->is_io)
			report(f);
		f->held = mail;
		return 1;
	}
	say(f, &(struct bb_mail){ .kind = BB_MAIL_DONE, .tag = mail.tag });
	return 1;
}

int
bb_io_create(const struct bb_io_options *o, struct bb_io **ret)
{
	struct bb_io *io = create(o->mem);

	if (io == NULL)
		return -ENOMEM;
	io->f = (struct fake){ .mem = o->mem,
		.in = &o->fabric->agent_to_io[o->index],
		.out = &o->fabric->io_to_agent[o->index],
		.agent = o->fabric->agent_wake,
		.is_io = true };
	*ret = io;
	return 0;
}

void
bb_io_destroy(struct bb_io *io)
{
	if (io == NULL)
		return;
	fake_actors.alive--;
	bb_mem_free(io->f.mem, io, sizeof(struct fake));
}

uint32_t
bb_io_poll(struct bb_io *io, uint64_t now_ns)
{
	(void)now_ns;
	return poll_mail(&io->f);
}

uint64_t
bb_io_deadline(const struct bb_io *io)
{
	(void)io;
	return BB_NEVER;
}

void
bb_io_memory(const struct bb_io *io, uint64_t *ret_pinned, uint64_t *ret_needed, uint64_t *ret_evacuated)
{
	(void)io;
	*ret_pinned = *ret_needed = *ret_evacuated = 0;
}

int
bb_router_create(const struct bb_router_options *o, struct bb_router **ret)
{
	struct bb_router *r = create(o->mem);

	if (r == NULL)
		return -ENOMEM;
	r->f = (struct fake){ .mem = o->mem,
		.in = &o->fabric->agent_to_router[o->index],
		.out = &o->fabric->router_to_agent[o->index],
		.agent = o->fabric->agent_wake };
	*ret = r;
	return 0;
}

void
bb_router_destroy(struct bb_router *r)
{
	if (r == NULL)
		return;
	fake_actors.alive--;
	bb_mem_free(r->f.mem, r, sizeof(struct fake));
}

uint32_t
bb_router_poll(struct bb_router *r, uint64_t now_ns)
{
	(void)now_ns;
	return poll_mail(&r->f);
}

uint64_t
bb_router_deadline(const struct bb_router *r)
{
	(void)r;
	return BB_NEVER;
}

void
bb_router_memory(
	const struct bb_router *r, uint64_t *ret_pinned, uint64_t *ret_needed, uint64_t *ret_evacuated)
{
	(void)r;
	*ret_pinned = *ret_needed = *ret_evacuated = 0;
}
