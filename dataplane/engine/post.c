/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/post.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/time.h"

#define RETRY_NS (10 * BB_MSEC)
#define BURST 32

/* A mail that an actor's ring did not take yet. */
struct waiting {
	struct bb_list node;
	struct bb_mail mail;
};

struct bb_post_box {
	struct bb_ring *to, *from;
	struct bb_wake *wake;
	struct bb_list waiting;
	bool pushed; /* since the actor was last notified */
};

struct bb_post_job {
	struct bb_list node;
	struct bb_mail mail;
	uint32_t open; /* answers to come */
	int error;
	bb_post_done done;
	void *arg;
};

/* A DRAIN to be sent again to one actor. */
struct retry {
	struct bb_list node;
	uint64_t due_ns;
	uint32_t box;
	struct bb_mail mail;
};

int
bb_post_init(struct bb_post *p, struct bb_fabric *fabric)
{
	const uint32_t ios = fabric->sizes.io_count;

	*p = (struct bb_post){
		.fabric = fabric, .box_count = ios + fabric->sizes.router_count, .next_tag = 1
	};
	bb_list_init(&p->jobs);
	bb_list_init(&p->retries);
	p->boxes = calloc(p->box_count, sizeof(*p->boxes));
	if (p->boxes == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < p->box_count; i++) {
		struct bb_post_box *b = &p->boxes[i];
		const uint32_t r = i - ios;
		*b = i < ios ? (struct bb_post_box){ .to = &fabric->agent_to_io[i],
			.from = &fabric->io_to_agent[i],
			.wake = fabric->io_wake[i] }
			     : (struct bb_post_box){ .to = &fabric->agent_to_router[r],
				       .from = &fabric->router_to_agent[r],
				       .wake = fabric->router_wake[r] };
		bb_list_init(&b->waiting);
	}
	return 0;
}

void
bb_post_fini(struct bb_post *p)
{
	struct bb_list *n;

	if (p->boxes == NULL)
		return;
	for (uint32_t i = 0; i < p->box_count; i++) {
		while ((n = bb_list_pop(&p->boxes[i].waiting)) != NULL)
			free(bb_list_entry(n, struct waiting, node));
	}
	while ((n = bb_list_pop(&p->jobs)) != NULL)
		free(bb_list_entry(n, struct bb_post_job, node));
	while ((n = bb_list_pop(&p->retries)) != NULL)
		free(bb_list_entry(n, struct retry, node));
	free(p->boxes);
	*p = (struct bb_post){ 0 };
}

/* Behind all that waits for that actor already. */
static int
box_send(struct bb_post_box *b, const struct bb_mail *mail)
{
	if (bb_list_empty(&b->waiting) && bb_ring_push(b->to, mail, 1) == 1) {
		b->pushed = true;
		return 0;
	}
	struct waiting *w = malloc(sizeof(*w));
	if (w == NULL)
		return -ENOMEM;
	w->mail = *mail;
	bb_list_append(&b->waiting, &w->node);
	return 0;
}

static void
box_flush(struct bb_post_box *b)
{
	while (!bb_list_empty(&b->waiting)) {
		struct waiting *w = bb_list_entry(b->waiting.next, struct waiting, node);
		if (bb_ring_push(b->to, &w->mail, 1) == 0)
			break;
		b->pushed = true;
		bb_list_remove(&w->node);
		free(w);
	}
	if (b->pushed)
		bb_wake_notify(b->wake);
	b->pushed = false;
}

int
bb_post_send(struct bb_post *p, enum bb_post_to to, uint32_t index, const struct bb_mail *mail,
	bb_post_done done, void *arg)
{
	const uint32_t ios = p->fabric->sizes.io_count;
	const uint32_t first = to == BB_POST_IO ? index : to == BB_POST_ROUTER ? ios + index : 0;
	const uint32_t end = to == BB_POST_ALL ? p->box_count : to == BB_POST_IOS ? ios : first + 1;
	struct bb_post_job *job = calloc(1, sizeof(*job));

	BB_ASSERT(end <= p->box_count);
	if (job == NULL)
		return -ENOMEM;
	job->mail = *mail;
	job->mail.tag = p->next_tag++;
	job->done = done;
	job->arg = arg;
	for (uint32_t i = first; i < end; i++) {
		if (box_send(&p->boxes[i], &job->mail) == 0)
			job->open++;
		else
			job->error =
				-ENOMEM; /* the others are on their way; the caller hears of it when done */
	}
	if (job->open == 0) {
		free(job);
		return -ENOMEM;
	}
	bb_list_append(&p->jobs, &job->node);
	p->job_count++;
	return 0;
}

int
bb_post_connection(struct bb_post *p, uint32_t io, const struct bb_mail *mail)
{
	BB_ASSERT(mail->tag & BB_POST_CONNECTION);
	return box_send(&p->boxes[io], mail);
}

static struct bb_post_job *
find_job(struct bb_post *p, uint64_t tag)
{
	/* Oldest first, and answers come in about that order: found at once. */
	bb_list_for_each(n, &p->jobs)
	{
		struct bb_post_job *job = bb_list_entry(n, struct bb_post_job, node);
		if (job->mail.tag == tag)
			return job;
	}
	return NULL;
}

static bool
retry_later(struct bb_post *p, uint32_t box, const struct bb_post_job *job, uint64_t now_ns)
{
	struct retry *r = malloc(sizeof(*r));

	if (r == NULL)
		return false;
	*r = (struct retry){ .due_ns = now_ns + RETRY_NS, .box = box, .mail = job->mail };
	bb_list_append(&p->retries, &r->node);
	return true;
}

static void
on_done(struct bb_post *p, uint32_t box, const struct bb_mail *mail, uint64_t now_ns)
{
	struct bb_post_job *job = find_job(p, mail->tag);

	BB_ASSERT(job != NULL && job->open > 0); /* exactly one answer to each request */
	if (mail->arg == ENOMEM && job->mail.kind == BB_MAIL_DRAIN && retry_later(p, box, job, now_ns))
		return;
	if (mail->arg != 0 && job->error == 0)
		job->error = -(int)mail->arg;
	if (--job->open > 0)
		return;
	bb_list_remove(&job->node);
	p->job_count--;
	job->done(p->user, job->arg, job->error);
	free(job);
}

static void
on_mail(struct bb_post *p, uint32_t box, const struct bb_mail *mail, uint64_t now_ns)
{
	if (mail->kind == BB_MAIL_REPORT) {
		p->on_report(p->user, mail);
	} else if (mail->tag & BB_POST_CONNECTION) {
		BB_ASSERT(box < p->fabric->sizes.io_count);
		p->on_connection(p->user, box, mail);
	} else {
		BB_ASSERT(mail->kind == BB_MAIL_DONE);
		on_done(p, box, mail, now_ns);
	}
}

static void
send_retries(struct bb_post *p, uint64_t now_ns)
{
	bb_list_for_each(n, &p->retries)
	{
		struct retry *r = bb_list_entry(n, struct retry, node);
		if (now_ns < r->due_ns)
			return; /* oldest first */
		if (box_send(&p->boxes[r->box], &r->mail) != 0)
			return;
		bb_list_remove(&r->node);
		free(r);
	}
}

uint32_t
bb_post_poll(struct bb_post *p, uint64_t now_ns)
{
	uint32_t read = 0;

	send_retries(p, now_ns);
	for (uint32_t i = 0; i < p->box_count; i++) {
		struct bb_mail mails[BURST];
		const uint32_t n = bb_ring_pop(p->boxes[i].from, mails, BURST);
		for (uint32_t k = 0; k < n; k++)
			on_mail(p, i, &mails[k], now_ns);
		read += n;
	}
	for (uint32_t i = 0; i < p->box_count; i++)
		box_flush(&p->boxes[i]);
	return read;
}

uint64_t
bb_post_deadline(const struct bb_post *p, uint64_t now_ns)
{
	uint64_t deadline_ns = BB_NEVER;

	for (uint32_t i = 0; i < p->box_count; i++) {
		if (!bb_list_empty(&p->boxes[i].waiting))
			deadline_ns = now_ns + BB_MSEC; /* rings tell nobody that they have room again */
	}
	if (!bb_list_empty(&p->retries))
		deadline_ns = bb_min_u64(
			deadline_ns, bb_list_entry(p->retries.next, struct retry, node)->due_ns);
	return deadline_ns;
}
