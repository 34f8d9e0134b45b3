/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * post: the agent's mail (msg/mail.h): requests to actors, any number in flight, and their answers.
 *
 * A job is one request to one or several actors; when each has answered DONE its function is called, once,
 * with the first error. Mail to an actor keeps its order; what its ring does not take waits here. A DRAIN
 * that an actor could not begin for lack of memory is sent to it again a little later: it may not fail.
 *
 * Connections that outlive their CONNECT are named by tags of the caller's, with BB_POST_CONNECTION set: all
 * mail with such a tag goes to on_connection.
 *
 * Thread: the agent.
 */
#ifndef BB_ENGINE_POST_H
#define BB_ENGINE_POST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "msg/fabric.h"
#include "msg/mail.h"

#define BB_POST_CONNECTION (UINT64_C(1) << 63)

/* Called when every actor has answered. error: 0 or the first negative errno. */
typedef void (*bb_post_done)(void *user, void *arg, int error);

struct bb_post_job;
struct bb_post_box; /* what waits for one actor */

struct bb_post {
	struct bb_fabric *fabric;
	struct bb_post_box *boxes; /* I/O cores, then routers */
	uint32_t box_count;
	struct bb_list jobs;
	struct bb_list retries;
	uint64_t next_tag;
	uint32_t job_count;
	void *user;
	void (*on_connection)(void *user, uint32_t io, const struct bb_mail *mail);
	void (*on_report)(void *user, const struct bb_mail *mail); /* takes over mail->ptr */
};

/* 0 or -ENOMEM. user and the functions are set by the caller afterwards. */
int bb_post_init(struct bb_post *p, struct bb_fabric *fabric);
void bb_post_fini(struct bb_post *p); /* jobs that are open are forgotten; zeroed is allowed */

enum bb_post_to { BB_POST_ALL, BB_POST_IOS, BB_POST_IO, BB_POST_ROUTER };

/*
 * Send a mail (its tag is filled in) to all actors, all I/O cores, or the one with that index; done(user,
 * arg, error) follows, never from within this call. 0 or -ENOMEM: nothing was sent.
 */
int bb_post_send(struct bb_post *p, enum bb_post_to to, uint32_t index, const struct bb_mail *mail,
	bb_post_done done, void *arg);

/* Send a mail that bears a connection's tag to an I/O core. 0 or -ENOMEM. */
int bb_post_connection(struct bb_post *p, uint32_t io, const struct bb_mail *mail);

/* Read what actors say, send what waited. Returns mails read. */
uint32_t bb_post_poll(struct bb_post *p, uint64_t now_ns);

/* When bb_post_poll() wants to be called although no actor wakes the agent. */
uint64_t bb_post_deadline(const struct bb_post *p, uint64_t now_ns);

#endif
