/* SPDX-License-Identifier: BSD-3-Clause */
/* The whole agent on a thread of its own, its actors played by fake_actors.c; the test is control. */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "abi/counters.h"
#include "base/log.h"
#include "engine/agent.h"
#include "fake_actors.h"

struct bench {
	char dir[64];
	struct bb_agent *agent;
	pthread_t thread;
	int status;
	int fd; /* control's */
	uint32_t seq;
	union {
		struct bb_cmd_header header;
		uint8_t packet[BB_CMD_PACKET_MAX];
		uint64_t align;
	};
	int passed; /* descriptor that came with the last packet; -1: none */
};

static void *
agent_main(void *arg)
{
	struct bench *b = arg;

	b->status = bb_agent_run(b->agent);
	return NULL;
}

static void
start(struct bench *b)
{
	struct bb_text text = { "" };

	b->agent = aligned_alloc(_Alignof(struct bb_agent), sizeof(*b->agent));
	assert_non_null(b->agent);
	if (bb_agent_init(b->agent, b->dir, &text) != 0)
		fail_msg("%s", text.s);
	assert_int_equal(pthread_create(&b->thread, NULL, agent_main, b), 0);
	b->fd = -1;
}

/* The agent ends by itself; returns its exit status. */
static int
ended(struct bench *b)
{
	pthread_join(b->thread, NULL);
	if (b->fd >= 0)
		close(b->fd);
	free(b->agent);
	b->agent = NULL;
	assert_int_equal(fake_actors.alive, 0);
	return b->status;
}

static int
setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	bb_log_level_set(BB_LOG_ERROR);
	memset(&fake_actors, 0, sizeof(fake_actors));
	fake_actors.creates_left = -1;
	snprintf(b->dir, sizeof(b->dir), "/tmp/busbar-test-XXXXXX");
	if (mkdtemp(b->dir) == NULL)
		return -1;
	start(b);
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	static const char *const left[] = { "accepted.state", "dataplane.lock" };
	struct bench *b = *state;
	char path[128];

	assert_null(b->agent);
	for (size_t i = 0; i < BB_ARRAY_LEN(left); i++) {
		snprintf(path, sizeof(path), "%s/%s", b->dir, left[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(b->dir), 0); /* nothing else was left behind */
	free(b);
	return 0;
}

/* --- control -------------------------------------------------------------------------------------------- */

static void
hear(struct bench *b)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { b->packet, sizeof(b->packet) };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	const ssize_t n = recvmsg(b->fd, &m, 0);

	assert_true(n >= (ssize_t)sizeof(struct bb_cmd_header));
	assert_int_equal(b->header.len, n - (ssize_t)sizeof(struct bb_cmd_header));
	b->passed = -1;
	if (CMSG_FIRSTHDR(&m) != NULL)
		memcpy(&b->passed, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
}

static const void *
body(const struct bench *b)
{
	return b->packet + sizeof(struct bb_cmd_header);
}

/* Ask, and hear the answer, whose type is given. */
static const void *
ask(struct bench *b, uint16_t type, const void *payload, size_t bytes, uint16_t answer)
{
	struct bb_cmd_header h = { .magic = BB_CMD_MAGIC,
		.version = BB_CMD_VERSION,
		.type = type,
		.seq = ++b->seq,
		.len = (uint32_t)bytes };
	struct iovec iov[2] = { { &h, sizeof(h) }, { (void *)(uintptr_t)payload, bytes } };
	const struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };

	assert_int_equal(sendmsg(b->fd, &m, MSG_NOSIGNAL), (ssize_t)(sizeof(h) + bytes));
	do {
		hear(b);
	} while (b->header.seq == 0); /* reports and events come when they like */
	assert_int_equal(b->header.seq, b->seq);
	assert_int_equal(b->header.type, answer);
	return body(b);
}

static int
acked(struct bench *b, uint16_t type, const void *payload, size_t bytes)
{
	const struct bb_cmd_ack *ack = ask(b, type, payload, bytes, BB_CMD_ACK);

	return ack->error;
}

static struct bb_cmd_hello_ack
hello(struct bench *b)
{
	const struct bb_cmd_hello h = { .pid = 1 };

	if (b->fd < 0) {
		struct sockaddr_un to = { .sun_family = AF_UNIX };
		const struct timeval patience = { .tv_sec = 60 };
		b->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		snprintf(to.sun_path, sizeof(to.sun_path), "%s/dataplane.sock", b->dir);
		setsockopt(b->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		assert_int_equal(connect(b->fd, (const void *)&to, sizeof(to)), 0);
	}
	struct bb_cmd_hello_ack a;
	memcpy(&a, ask(b, BB_CMD_HELLO, &h, sizeof(h), BB_CMD_HELLO_ACK), sizeof(a));
	return a;
}

static struct bb_cmd_plan
small_plan(void)
{
	return (struct bb_cmd_plan){
		.hugepages = BB_HUGEPAGES_OFF, .memory_bytes = 64 << 20, .linger_ns = BB_SEC, .node_name = "n"
	};
}

static void
running(struct bench *b)
{
	const struct bb_cmd_plan plan = small_plan();

	assert_int_equal(hello(b).error, 0);
	assert_int_equal(acked(b, BB_CMD_PLAN, &plan, sizeof(plan)), 0);
}

static struct bb_cmd_endpoint
endpoint(const char *name)
{
	struct bb_cmd_endpoint e = { .pattern = BB_PATTERN_PUBSUB };

	snprintf(e.name, sizeof(e.name), "%s", name);
	for (unsigned i = 0; i < 2; i++) {
		e.side[i].when_full = BB_FULL_DROP;
		e.side[i].max_message = e.side[i].max_frames = 1000;
		e.side[i].bind_count = 1;
		snprintf(e.side[i].bind[0].text, BB_CMD_ADDRESS_MAX, "tcp://127.0.0.1:*");
	}
	return e;
}

static int
set(struct bench *b, const char *name)
{
	const struct bb_cmd_endpoint e = endpoint(name);

	return acked(b, BB_CMD_ENDPOINT_SET, &e, sizeof(e));
}

static struct bb_cmd_status
status(struct bench *b)
{
	struct bb_cmd_status s;

	memcpy(&s, ask(b, BB_CMD_STATUS_GET, NULL, 0, BB_CMD_STATUS), sizeof(s));
	return s;
}

static void
drain(struct bench *b)
{
	const struct bb_cmd_drain d = { .linger_ns = UINT64_MAX };

	assert_int_equal(acked(b, BB_CMD_DRAIN, &d, sizeof(d)), 0);
}

/* --- tests ---------------------------------------------------------------------------------------------- */

static void
from_plan_to_drain(void **state)
{
	struct bench *b = *state;
	const struct bb_cmd_commit commit = { .revision = 5 };

	assert_int_equal(hello(b).state, BB_STATE_WAITING);
	assert_int_equal(set(b, "early"), -EAGAIN);
	running(b);
	assert_int_equal(set(b, "quotes"), 0);
	assert_int_equal(fake_actors.listens, 2);
	assert_int_equal(acked(b, BB_CMD_COMMIT, &commit, sizeof(commit)), 0);
	const struct bb_cmd_status s = status(b);
	assert_int_equal(s.state, BB_STATE_RUNNING);
	assert_int_equal(s.revision, 5);
	assert_int_equal(s.endpoint_count, 1);
	assert_int_equal(s.memory_bytes, 48 << 20);
	assert_int_equal(s.memory_free_bytes, 48 << 20);
	assert_string_equal(s.node_name, "n");

	drain(b);
	uint32_t reports = 0;
	for (hear(b); b->header.type == BB_CMD_REPORT; hear(b)) {
		const struct bb_cmd_report *r = body(b);
		assert_int_equal(r->dropped_msgs, 3);
		reports++;
	}
	assert_int_equal(reports, s.io_count);
	assert_int_equal(b->header.type, BB_CMD_EVENT);
	assert_int_equal(((const struct bb_cmd_event *)body(b))->kind, BB_EVENT_DRAINED);
	assert_int_equal(ended(b), 0);
}

static void
it_comes_up_from_the_accepted_state_without_control(void **state)
{
	const struct bb_cmd_commit commit = { .revision = 77 };
	struct bench *b = *state;

	running(b);
	assert_int_equal(set(b, "quotes"), 0);
	assert_int_equal(set(b, "prices"), 0);
	assert_int_equal(acked(b, BB_CMD_COMMIT, &commit, sizeof(commit)), 0);
	assert_int_equal(set(b, "later"), 0); /* not committed */
	drain(b);
	assert_int_equal(ended(b), 0);

	fake_actors.listens = 0;
	start(b);
	while (fake_actors.listens < 4) /* without a word from us */
		usleep(1000);
	const struct bb_cmd_hello_ack h = hello(b);
	assert_int_equal(h.state, BB_STATE_RUNNING);
	assert_int_equal(h.revision, 77);
	assert_int_equal(status(b).endpoint_count, 2);
	drain(b);
	assert_int_equal(ended(b), 0);
}

static void
a_plan_that_cannot_be_is_answered_and_another_one_taken(void **state)
{
	struct bench *b = *state;
	struct bb_cmd_plan plan = small_plan();

	hello(b);
	plan.io_count = 1;
	plan.io_cpu[0] = 60000;
	assert_int_equal(acked(b, BB_CMD_PLAN, &plan, sizeof(plan)), -EINVAL);
	assert_non_null(strstr(((const struct bb_cmd_ack *)body(b))->text, "cpu 60000 does not exist"));
	running(b);
	drain(b);
	assert_int_equal(ended(b), 0);
}

static void
a_start_that_fails_half_way_is_undone_and_ends_the_process(void **state)
{
	struct bench *b = *state;
	struct bb_cmd_plan plan = small_plan();
	cpu_set_t allowed;

	assert_int_equal(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	while (!CPU_ISSET(plan.io_cpu[0], &allowed))
		plan.io_cpu[0]++;
	plan.router_cpu[0] = plan.io_cpu[0];
	plan.io_count = plan.router_count = 1;
	for (int made = 0; made < 2; made++) { /* the I/O core fails, then the router */
		fake_actors.creates_left = made;
		hello(b);
		assert_int_equal(acked(b, BB_CMD_PLAN, &plan, sizeof(plan)), -ENOMEM);
		assert_int_equal(ended(b), 1);
		start(b);
	}
	fake_actors.creates_left = -1;
	running(b);
	drain(b);
	assert_int_equal(ended(b), 0);
}

static void
only_linger_and_name_of_a_plan_change_live(void **state)
{
	struct bench *b = *state;
	struct bb_cmd_plan plan = small_plan();

	running(b);
	assert_int_equal(acked(b, BB_CMD_PLAN, &plan, sizeof(plan)), 0); /* the same */
	plan.linger_ns = 2 * BB_SEC;
	snprintf(plan.node_name, sizeof(plan.node_name), "other");
	assert_int_equal(acked(b, BB_CMD_PLAN, &plan, sizeof(plan)), 0);
	assert_string_equal(status(b).node_name, "other");
	plan.memory_bytes *= 2;
	assert_int_equal(acked(b, BB_CMD_PLAN, &plan, sizeof(plan)), -EALREADY);
	drain(b);
	assert_int_equal(ended(b), 0);
}

static void
control_may_go_and_come_back(void **state)
{
	struct bench *b = *state;
	const struct bb_cmd_cursor cursor = { 0 };

	running(b);
	assert_int_equal(set(b, "quotes"), 0);
	for (int i = 0; i < 20; i++) {
		struct bb_cmd_hello_ack h;
		close(b->fd);
		do { /* the old connection's end may be seen behind the new one's HELLO */
			b->fd = -1;
			h = hello(b);
			if (h.error != 0)
				close(b->fd);
		} while (h.error == -EBUSY);
		assert_int_equal(h.error, 0);
		assert_int_equal(h.state, BB_STATE_RUNNING);
		if (b->passed >= 0)
			close(b->passed);
	}
	const struct bb_cmd_endpoint_state *s = ask(
		b, BB_CMD_ENDPOINT_GET, &cursor, sizeof(cursor), BB_CMD_ENDPOINT_STATE);
	assert_string_equal(s->desired.name, "quotes");
	const struct bb_cmd_cursor next = { s->next };
	assert_int_equal(acked(b, BB_CMD_ENDPOINT_GET, &next, sizeof(next)), -ENOENT);
	drain(b);
	assert_int_equal(ended(b), 0);
}

static void
requests_on_their_way_when_control_goes_are_carried_out(void **state)
{
	struct bench *b = *state;
	const struct bb_cmd_name name = { .name = "quotes" };
	struct bb_cmd_header h = { .magic = BB_CMD_MAGIC,
		.version = BB_CMD_VERSION,
		.type = BB_CMD_ENDPOINT_REMOVE,
		.seq = 1000,
		.len = sizeof(name) };
	struct iovec iov[2] = { { &h, sizeof(h) }, { (void *)(uintptr_t)&name, sizeof(name) } };
	const struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };

	running(b);
	assert_int_equal(set(b, "quotes"), 0);
	fake_actors.hold_drain = true;
	assert_true(sendmsg(b->fd, &m, 0) > 0);
	while (fake_actors.drains == 0)
		usleep(1000);
	close(b->fd);
	fake_actors.hold_drain = false;
	do {
		b->fd = -1;
	} while (hello(b).error == -EBUSY && close(b->fd) == 0);
	if (b->passed >= 0)
		close(b->passed);
	while (status(b).endpoint_count > 0)
		usleep(1000);
	assert_true(fake_actors.removes >= 2);
	drain(b);
	assert_int_equal(ended(b), 0);
}

static void
counters_come_with_hello_and_cannot_be_written(void **state)
{
	struct bench *b = *state;

	assert_int_equal(hello(b).counters_bytes, 0);
	assert_int_equal(b->passed, -1);
	running(b);
	const struct bb_cmd_hello_ack h = hello(b);
	assert_true(h.counters_bytes > 0 && b->passed >= 0);
	const struct bb_counters_header *c = mmap(
		NULL, h.counters_bytes, PROT_READ, MAP_SHARED, b->passed, 0);
	assert_ptr_not_equal(c, MAP_FAILED);
	assert_int_equal(c->magic, BB_COUNTERS_MAGIC);
	assert_int_equal(c->bytes, h.counters_bytes);
	const struct bb_loop_row *row = (const void *)((const uint8_t *)c + c->loops);
	while (__atomic_load_n(&row->c[BB_LOOP_HEARTBEAT], __ATOMIC_RELAXED) == 0)
		usleep(1000);
	assert_ptr_equal(
		mmap(NULL, h.counters_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, b->passed, 0), MAP_FAILED);
	assert_int_equal(ftruncate(b->passed, 0), -1);
	munmap((void *)(uintptr_t)c, h.counters_bytes);
	close(b->passed);
	drain(b);
	assert_int_equal(ended(b), 0);
}

static void
subscriptions_come_page_by_page_from_the_router(void **state)
{
	struct bench *b = *state;
	struct bb_cmd_subscriptions_get get = { .endpoint = "quotes", .cursor = 41 };

	running(b);
	assert_int_equal(acked(b, BB_CMD_SUBSCRIPTIONS_GET, &get, sizeof(get)), -ENOENT);
	assert_int_equal(set(b, "quotes"), 0);
	const struct bb_cmd_subscriptions *s = ask(
		b, BB_CMD_SUBSCRIPTIONS_GET, &get, sizeof(get), BB_CMD_SUBSCRIPTIONS);
	assert_int_equal(s->next, 42);
	assert_int_equal(s->count, 7);
	assert_int_equal(s->bytes, 100);
	assert_int_equal(b->header.len, sizeof(*s) + 100);
	drain(b);
	assert_int_equal(ended(b), 0);
}

static void
cores_are_described(void **state)
{
	struct bench *b = *state;

	running(b);
	const struct bb_cmd_cores *c = ask(b, BB_CMD_CORES_GET, NULL, 0, BB_CMD_CORES);
	assert_true(c->count >= 2);
	assert_int_equal(c->hugepages, 0);
	assert_int_equal(c->memory_bytes, 64 << 20);
	drain(b);
	assert_int_equal(ended(b), 0);
}

static void
a_signal_drains_and_a_second_one_cuts_it_short(void **state)
{
	struct bench *b = *state;

	running(b);
	kill(getpid(), SIGTERM);
	assert_int_equal(ended(b), 0);

	start(b);
	fake_actors.hold_drain = true;
	running(b);
	kill(getpid(), SIGINT);
	while (status(b).state != BB_STATE_DRAINING)
		usleep(1000);
	assert_int_equal(set(b, "late"), -ESHUTDOWN);
	kill(getpid(), SIGTERM);
	assert_int_equal(ended(b), 1);
}

static void
a_signal_ends_one_that_waits(void **state)
{
	struct bench *b = *state;

	hello(b);
	kill(getpid(), SIGTERM);
	assert_int_equal(ended(b), 0);
}

#define TEST(x) cmocka_unit_test_setup_teardown(x, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(from_plan_to_drain),
		TEST(it_comes_up_from_the_accepted_state_without_control),
		TEST(a_plan_that_cannot_be_is_answered_and_another_one_taken),
		TEST(a_start_that_fails_half_way_is_undone_and_ends_the_process),
		TEST(only_linger_and_name_of_a_plan_change_live),
		TEST(control_may_go_and_come_back),
		TEST(requests_on_their_way_when_control_goes_are_carried_out),
		TEST(counters_come_with_hello_and_cannot_be_written),
		TEST(subscriptions_come_page_by_page_from_the_router),
		TEST(cores_are_described),
		TEST(a_signal_drains_and_a_second_one_cuts_it_short),
		TEST(a_signal_ends_one_that_waits),
	};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* as main() does: the agent reads them */
	return cmocka_run_group_tests_name("engine/agent", tests, NULL, NULL);
}
