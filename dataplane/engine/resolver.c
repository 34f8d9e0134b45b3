/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/resolver.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/list.h"

struct question {
	struct bb_list node;
	struct bb_address address;
	uint32_t attempt;
	struct bb_resolved answer;
};

struct bb_resolver {
	int fd;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* over the rest */
	pthread_cond_t asked;
	struct bb_list questions, answers;
	bool stop;
};

static void
look_up(struct question *q)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV
	};
	struct addrinfo *list;
	char port[8];
	uint32_t count = 0;

	snprintf(port, sizeof(port), "%u", q->address.port);
	q->answer.error = getaddrinfo(q->address.host, port, &hints, &list);
	if (q->answer.error != 0)
		return;
	for (const struct addrinfo *i = list; i != NULL; i = i->ai_next)
		count++;
	const struct addrinfo *pick = list;
	for (uint32_t n = q->attempt % count; n > 0; n--)
		pick = pick->ai_next;
	memcpy(&q->answer.address, pick->ai_addr, pick->ai_addrlen);
	freeaddrinfo(list);
}

static void *
resolver_main(void *arg)
{
	struct bb_resolver *r = arg;

	pthread_mutex_lock(&r->lock);
	while (!r->stop) {
		struct bb_list *n = bb_list_pop(&r->questions);
		if (n == NULL) {
			pthread_cond_wait(&r->asked, &r->lock);
			continue;
		}
		struct question *q = bb_list_entry(n, struct question, node);
		pthread_mutex_unlock(&r->lock);
		look_up(q);
		pthread_mutex_lock(&r->lock);
		bb_list_append(&r->answers, &q->node);
		const uint64_t one = 1;
		const ssize_t written = write(r->fd, &one, sizeof(one));
		(void)written; /* an eventfd takes it */
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

int
bb_resolver_create(struct bb_resolver **ret)
{
	struct bb_resolver *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return -ENOMEM;
	r->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (r->fd < 0) {
		free(r);
		return -errno;
	}
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->asked, NULL);
	bb_list_init(&r->questions);
	bb_list_init(&r->answers);
	*ret = r;
	return 0;
}

static void
free_all(struct bb_list *list)
{
	struct bb_list *n;

	while ((n = bb_list_pop(list)) != NULL)
		free(bb_list_entry(n, struct question, node));
}

void
bb_resolver_destroy(struct bb_resolver *r)
{
	struct timespec until;

	if (r == NULL)
		return;
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_signal(&r->asked);
	pthread_mutex_unlock(&r->lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec++;
	if (r->started && pthread_timedjoin_np(r->thread, NULL, &until) != 0)
		return; /* it waits for an answer; see the header */
	free_all(&r->questions);
	free_all(&r->answers);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->asked);
	close(r->fd);
	free(r);
}

int
bb_resolver_fd(const struct bb_resolver *r)
{
	return r->fd;
}

int
bb_resolver_ask(struct bb_resolver *r, const struct bb_address *a, uint32_t attempt, uint64_t tag)
{
	struct question *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return -ENOMEM;
	if (!r->started) {
		const int error = pthread_create(&r->thread, NULL, resolver_main, r);
		if (error != 0) {
			free(q);
			return -error;
		}
		r->started = true;
	}
	q->address = *a;
	q->attempt = attempt;
	q->answer.tag = tag;
	pthread_mutex_lock(&r->lock);
	bb_list_append(&r->questions, &q->node);
	pthread_cond_signal(&r->asked);
	pthread_mutex_unlock(&r->lock);
	return 0;
}

bool
bb_resolver_answer(struct bb_resolver *r, struct bb_resolved *ret)
{
	uint64_t count;

	pthread_mutex_lock(&r->lock);
	struct bb_list *n = bb_list_pop(&r->answers);
	/* Emptied only with nothing left, so that an answer is never without its event. */
	if (n == NULL && read(r->fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		n = NULL;
	pthread_mutex_unlock(&r->lock);
	if (n == NULL)
		return false;
	struct question *q = bb_list_entry(n, struct question, node);
	*ret = q->answer;
	free(q);
	return true;
}
