/* SPDX-License-Identifier: BSD-3-Clause */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/channel.h"

struct bench {
	char dir[64];
	struct bb_channel channel;
	uint64_t now_ns;
	uint32_t packets, gone;
	bb_conn_id from;
	struct bb_cmd_header last;
	bool silent; /* do not answer */
};

/* Plays the agent: HELLO takes control, everything else is acknowledged. */
static void
on_packet(void *user, bb_conn_id from, const struct bb_cmd_header *h, const void *payload)
{
	struct bench *b = user;
	const struct bb_cmd_ack ack = { 0 };
	struct bb_cmd_hello_ack hello = { 0 };

	(void)payload;
	b->packets++;
	b->from = from;
	b->last = *h;
	if (h->type == BB_CMD_HELLO) {
		hello.error = bb_channel_take_control(&b->channel, from) ? 0 : -EBUSY;
		bb_channel_send(
			&b->channel, from, BB_CMD_HELLO_ACK, h->seq, &hello, sizeof(hello), NULL, 0, -1);
		if (hello.error != 0)
			bb_channel_finish(&b->channel, from);
	} else if (!b->silent) {
		bb_channel_send(&b->channel, from, BB_CMD_ACK, h->seq, &ack, sizeof(ack), NULL, 0, -1);
	}
}

static void
on_control_gone(void *user)
{
	((struct bench *)user)->gone++;
}

static int
setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct bb_text text;

	bb_log_level_set(BB_LOG_ERROR);
	snprintf(b->dir, sizeof(b->dir), "/tmp/busbar-test-XXXXXX");
	if (mkdtemp(b->dir) == NULL)
		return -1;
	b->channel.user = b;
	b->channel.on_packet = on_packet;
	b->channel.on_control_gone = on_control_gone;
	assert_int_equal(bb_channel_open(&b->channel, b->dir, &text), 0);
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	struct bench *b = *state;
	char path[128];

	bb_channel_close(&b->channel);
	snprintf(path, sizeof(path), "%s/dataplane.lock", b->dir);
	unlink(path);
	assert_int_equal(rmdir(b->dir), 0);
	free(b);
	return 0;
}

static int
connected(struct bench *b)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "%s/dataplane.sock", b->dir);
	assert_int_equal(connect(fd, (const void *)&to, sizeof(to)), 0);
	bb_channel_poll(&b->channel, b->now_ns);
	return fd;
}

static void
say(struct bench *b, int fd, struct bb_cmd_header h, const void *body)
{
	uint8_t packet[32768];

	h.magic = h.magic != 0 ? h.magic : BB_CMD_MAGIC;
	h.version = h.version != 0 ? h.version : BB_CMD_VERSION;
	memcpy(packet, &h, sizeof(h));
	memset(packet + sizeof(h), 0, h.len);
	if (body != NULL)
		memcpy(packet + sizeof(h), body, h.len);
	assert_int_equal(send(fd, packet, sizeof(h) + h.len, MSG_NOSIGNAL), (ssize_t)(sizeof(h) + h.len));
	bb_channel_poll(&b->channel, b->now_ns);
}

static void
say_hello(struct bench *b, int fd, uint32_t seq)
{
	say(b, fd,
		(struct bb_cmd_header){
			.type = BB_CMD_HELLO, .seq = seq, .len = sizeof(struct bb_cmd_hello) },
		NULL);
}

/* The error in the answer to seq; 1: nothing came; 2: the end. */
static int
heard(int fd, uint16_t type, uint32_t seq)
{
	uint8_t packet[BB_CMD_PACKET_MAX];
	struct bb_cmd_header h;
	int32_t error;
	const ssize_t n = recv(fd, packet, sizeof(packet), 0);

	if (n < 0 && errno == EAGAIN)
		return 1;
	if (n <= 0)
		return 2;
	memcpy(&h, packet, sizeof(h));
	memcpy(&error, packet + sizeof(h), sizeof(error));
	assert_int_equal(h.type, type);
	assert_int_equal(h.seq, seq);
	return error;
}

static void
the_first_to_say_hello_is_in_control_and_the_second_is_told_busy(void **state)
{
	struct bench *b = *state;
	const int first = connected(b), second = connected(b);

	say_hello(b, second, 9);
	say_hello(b, first, 4);
	assert_int_equal(heard(second, BB_CMD_HELLO_ACK, 9), 0);
	assert_int_equal(heard(first, BB_CMD_HELLO_ACK, 4), -EBUSY);
	assert_int_equal(heard(first, 0, 0), 2);
	close(second);
	bb_channel_poll(&b->channel, b->now_ns);
	assert_int_equal(b->gone, 1);
	const int third = connected(b);
	say_hello(b, third, 1);
	assert_int_equal(heard(third, BB_CMD_HELLO_ACK, 1), 0);
	close(first);
	close(third);
}

static void
nothing_is_done_for_who_did_not_say_hello(void **state)
{
	struct bench *b = *state;
	const int fd = connected(b);

	say(b, fd, (struct bb_cmd_header){ .type = BB_CMD_STATUS_GET, .seq = 1 }, NULL);
	assert_int_equal(heard(fd, BB_CMD_ACK, 1), -EPERM);
	assert_int_equal(b->packets, 0);
	close(fd);
}

static void
malformed_requests_are_answered_and_malformed_packets_end_the_connection(void **state)
{
	static const struct {
		struct bb_cmd_header h;
		int answer; /* 2: the end */
	} cases[] = {
		{ { .type = BB_CMD_STATUS_GET, .seq = 2, .len = 8 }, -EPROTO },
		{ { .type = BB_CMD_PLAN, .seq = 2, .len = 8 }, -EPROTO },
		{ { .type = 0, .seq = 2 }, -EOPNOTSUPP },
		{ { .type = 63, .seq = 2 }, -EOPNOTSUPP },
		{ { .type = BB_CMD_ACK, .seq = 2 }, -EOPNOTSUPP },
		{ { .type = 65535, .seq = 2 }, -EOPNOTSUPP },
		{ { .type = BB_CMD_STATUS_GET, .seq = 2, .version = 9 }, -EPROTO },
		{ { .type = BB_CMD_STATUS_GET, .seq = 2, .magic = 1 }, 2 },
		{ { .type = BB_CMD_STATUS_GET, .seq = 0 }, 2 },
	};
	struct bench *b = *state;

	for (size_t i = 0; i < BB_ARRAY_LEN(cases); i++) {
		const int fd = connected(b);
		say_hello(b, fd, 1);
		assert_int_equal(heard(fd, BB_CMD_HELLO_ACK, 1), 0);
		b->packets = 0;
		say(b, fd, cases[i].h, NULL);
		assert_int_equal(heard(fd, BB_CMD_ACK, 2), cases[i].answer);
		assert_int_equal(b->packets, 0);
		close(fd);
		bb_channel_poll(&b->channel, b->now_ns);
	}
	const int fd = connected(b);
	assert_int_equal(send(fd, "hi", 2, 0), 2);
	bb_channel_poll(&b->channel, b->now_ns);
	assert_int_equal(heard(fd, 0, 0), 2);
	close(fd);
}

static void
a_control_of_another_version_is_told_so(void **state)
{
	struct bench *b = *state;
	const int fd = connected(b);

	say(b, fd,
		(struct bb_cmd_header){
			.type = BB_CMD_HELLO, .seq = 3, .version = 2, .len = sizeof(struct bb_cmd_hello) },
		NULL);
	assert_int_equal(heard(fd, BB_CMD_HELLO_ACK, 3), -EPROTO);
	assert_int_equal(heard(fd, 0, 0), 2);
	close(fd);
}

static void
a_control_that_does_not_read_is_disconnected(void **state)
{
	struct bench *b = *state;
	const int fd = connected(b);
	uint8_t big[32768] = { 0 };
	uint32_t sent = 0;

	say_hello(b, fd, 1);
	while (b->gone == 0 && sent < 100 * BB_CHANNEL_QUEUE_MAX) {
		bb_channel_send(&b->channel, b->from, BB_CMD_EVENT, 0, big, sizeof(big), NULL, 0, -1);
		sent++;
	}
	assert_int_equal(b->gone, 1);
	assert_true(sent > BB_CHANNEL_QUEUE_MAX);
	close(fd);
}

static void
what_was_queued_arrives_in_order_when_control_reads(void **state)
{
	struct bench *b = *state;
	const int fd = connected(b);
	uint8_t big[20000] = { 0 };

	say_hello(b, fd, 1);
	for (uint32_t i = 0; i < 100; i++)
		bb_channel_send(&b->channel, b->from, BB_CMD_STATUS, i + 1, big, sizeof(big), NULL, 0, -1);
	assert_false(bb_channel_flushed(&b->channel));
	assert_int_equal(heard(fd, BB_CMD_HELLO_ACK, 1), 0);
	for (uint32_t i = 0; i < 100; i++) {
		assert_int_equal(heard(fd, BB_CMD_STATUS, i + 1), 0);
		bb_channel_poll(&b->channel, b->now_ns);
	}
	assert_true(bb_channel_flushed(&b->channel));
	close(fd);
}

static void
requests_without_an_answer_stop_the_reading_until_some_are_answered(void **state)
{
	struct bench *b = *state;
	const int fd = connected(b);
	const struct bb_cmd_ack ack = { 0 };
	struct pollfd fds[1 + BB_CHANNEL_CONNS];
	const int room = 8 << 20;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	say_hello(b, fd, 1);
	b->silent = true;
	for (uint32_t i = 0; i < BB_CHANNEL_QUEUE_MAX + 5; i++)
		say(b, fd, (struct bb_cmd_header){ .type = BB_CMD_STATUS_GET, .seq = i + 2 }, NULL);
	for (int i = 0; i < 8; i++)
		bb_channel_poll(&b->channel, b->now_ns);
	assert_int_equal(b->packets, 1 + BB_CHANNEL_QUEUE_MAX);
	assert_int_equal(
		bb_channel_fds(&b->channel, fds), 1); /* only the listener: it would spin otherwise */
	for (uint32_t i = 0; i < 5; i++)
		bb_channel_send(&b->channel, b->from, BB_CMD_ACK, i + 2, &ack, sizeof(ack), NULL, 0, -1);
	bb_channel_poll(&b->channel, b->now_ns);
	assert_int_equal(b->packets, 1 + BB_CHANNEL_QUEUE_MAX + 5);
	close(fd);
}

static void
who_does_not_say_hello_in_time_is_disconnected(void **state)
{
	struct bench *b = *state;
	const int idle = connected(b), control = connected(b);

	say_hello(b, control, 1);
	assert_int_equal(heard(control, BB_CMD_HELLO_ACK, 1), 0);
	assert_int_equal(bb_channel_deadline(&b->channel), BB_CHANNEL_HELLO_NS);
	b->now_ns = BB_CHANNEL_HELLO_NS - 1;
	bb_channel_poll(&b->channel, b->now_ns);
	assert_int_equal(heard(idle, 0, 0), 1);
	b->now_ns = BB_CHANNEL_HELLO_NS;
	bb_channel_poll(&b->channel, b->now_ns);
	assert_int_equal(heard(idle, 0, 0), 2);
	assert_int_equal(heard(control, 0, 0), 1);
	assert_int_equal(bb_channel_deadline(&b->channel), BB_NEVER);
	close(idle);
	close(control);
}

static void
more_connections_than_fit_wait_their_turn(void **state)
{
	struct bench *b = *state;
	int fds[BB_CHANNEL_CONNS + 1];

	for (int i = 0; i <= BB_CHANNEL_CONNS; i++)
		fds[i] = connected(b);
	say_hello(b, fds[BB_CHANNEL_CONNS], 1);
	assert_int_equal(heard(fds[BB_CHANNEL_CONNS], 0, 0), 1);
	close(fds[0]);
	bb_channel_poll(&b->channel, b->now_ns); /* finds the end of the first ... */
	bb_channel_poll(&b->channel, b->now_ns); /* ... and accepts the last */
	assert_int_equal(heard(fds[BB_CHANNEL_CONNS], BB_CMD_HELLO_ACK, 1), 0);
	for (int i = 1; i <= BB_CHANNEL_CONNS; i++)
		close(fds[i]);
}

static void
an_answer_that_comes_too_late_is_dropped(void **state)
{
	struct bench *b = *state;
	const int fd = connected(b);
	const struct bb_cmd_ack ack = { 0 };

	say_hello(b, fd, 1);
	const bb_conn_id old = b->from;
	close(fd);
	bb_channel_poll(&b->channel, b->now_ns);
	const int next = connected(b);
	say_hello(b, next, 1);
	assert_int_equal(heard(next, BB_CMD_HELLO_ACK, 1), 0);
	bb_channel_send(&b->channel, old, BB_CMD_ACK, 7, &ack, sizeof(ack), NULL, 0, -1);
	assert_int_equal(heard(next, 0, 0), 1);
	close(next);
}

static void
a_descriptor_can_be_passed_along(void **state)
{
	struct bench *b = *state;
	const int fd = connected(b), passed = open("/dev/null", O_RDONLY | O_CLOEXEC);
	const struct bb_cmd_ack ack = { 0 };
	char data[1024], control[128];
	struct iovec iov = { data, sizeof(data) };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct stat a, c;
	int got;

	say_hello(b, fd, 1);
	assert_int_equal(heard(fd, BB_CMD_HELLO_ACK, 1), 0);
	bb_channel_send(&b->channel, b->from, BB_CMD_ACK, 2, &ack, sizeof(ack), NULL, 0, passed);
	assert_true(recvmsg(fd, &m, 0) > 0);
	assert_non_null(CMSG_FIRSTHDR(&m));
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(got));
	assert_int_equal(fstat(got, &a), 0);
	assert_int_equal(fstat(passed, &c), 0);
	assert_int_equal(a.st_rdev, c.st_rdev);
	close(got);
	close(passed);
	close(fd);
}

static void
a_second_data_plane_is_refused_the_directory(void **state)
{
	struct bench *b = *state;
	struct bb_channel other = { 0 };
	struct bb_text text;

	assert_int_equal(bb_channel_open(&other, b->dir, &text), -EBUSY);
	assert_memory_equal(text.s, b->dir, strlen(b->dir));
}

static void
a_stale_socket_is_replaced_and_others_may_not_connect(void **state)
{
	struct bench *b = *state;
	struct bb_channel again = b->channel;
	struct bb_text text;
	struct stat st;

	/* As a killed process leaves it: the socket's name is there, the lock is not. */
	close(b->channel.fd);
	close(b->channel.lock_fd);
	assert_int_equal(bb_channel_open(&again, b->dir, &text), 0);
	b->channel = again;
	assert_int_equal(stat(b->channel.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	const int fd = connected(b);
	say_hello(b, fd, 1);
	assert_int_equal(heard(fd, BB_CMD_HELLO_ACK, 1), 0);
	close(fd);
}

static void
a_directory_with_too_long_a_name_is_refused(void **state)
{
	char dir[200];
	struct bb_channel c = { 0 };
	struct bb_text text;

	(void)state;
	memset(dir, 'd', sizeof(dir));
	dir[sizeof(dir) - 1] = '\0';
	assert_int_equal(bb_channel_open(&c, dir, &text), -ENAMETOOLONG);
}

#define TEST(x) cmocka_unit_test_setup_teardown(x, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_to_say_hello_is_in_control_and_the_second_is_told_busy),
		TEST(nothing_is_done_for_who_did_not_say_hello),
		TEST(malformed_requests_are_answered_and_malformed_packets_end_the_connection),
		TEST(a_control_of_another_version_is_told_so),
		TEST(a_control_that_does_not_read_is_disconnected),
		TEST(what_was_queued_arrives_in_order_when_control_reads),
		TEST(requests_without_an_answer_stop_the_reading_until_some_are_answered),
		TEST(who_does_not_say_hello_in_time_is_disconnected),
		TEST(more_connections_than_fit_wait_their_turn),
		TEST(an_answer_that_comes_too_late_is_dropped),
		TEST(a_descriptor_can_be_passed_along),
		TEST(a_second_data_plane_is_refused_the_directory),
		TEST(a_stale_socket_is_replaced_and_others_may_not_connect),
		TEST(a_directory_with_too_long_a_name_is_refused),
	};

	return cmocka_run_group_tests_name("engine/channel", tests, NULL, NULL);
}
