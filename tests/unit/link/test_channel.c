/* SPDX-License-Identifier: BSD-3-Clause */
/* What the peer answers is written before it is asked: sequence numbers are 1, 2, 3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link/channel.h"

struct fixture {
	struct bb_channel channel;
	int peer;
	unsigned handled;
	uint16_t last_type;
	uint32_t last_seq;
	int last_fd;
};

static void
on_packet(void *arg, const struct bb_packet *packet)
{
	struct fixture *f = arg;

	f->handled++;
	f->last_type = packet->type;
	f->last_seq = packet->seq;
	f->last_fd = packet->fd;
}

static int
set_up(void **state)
{
	static struct fixture f;
	int fds[2];

	f = (struct fixture){ .last_fd = -1 };
	assert_int_equal(bb_channel_init(&f.channel, on_packet, &f), 0);
	assert_false(bb_channel_open(&f.channel));
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
	bb_channel_adopt(&f.channel, fds[0]);
	f.peer = fds[1];
	*state = &f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	bb_channel_fini(&f->channel);
	if (f->peer >= 0)
		close(f->peer);
	return 0;
}

static void
peer_sends(struct fixture *f, uint16_t type, uint32_t seq, const void *body, uint32_t len)
{
	uint8_t packet[1024];
	const struct bb_cmd_header h = {
		.magic = BB_CMD_MAGIC, .version = BB_CMD_VERSION, .type = type, .seq = seq, .len = len
	};

	memcpy(packet, &h, sizeof(h));
	memcpy(packet + sizeof(h), body, len);
	assert_int_equal(send(f->peer, packet, sizeof(h) + len, 0), sizeof(h) + len);
}

static void
peer_acks(struct fixture *f, uint32_t seq, int error, const char *text)
{
	struct bb_cmd_ack ack = { .error = error };

	memcpy(ack.text, text, strnlen(text, sizeof(ack.text))); /* a peer may forget its end, too */
	peer_sends(f, BB_CMD_ACK, seq, &ack, sizeof(ack));
}

static int
call(struct fixture *f, enum bb_cmd_type want, uint32_t want_len, char (*ret_text)[BB_CMD_TEXT_MAX])
{
	struct bb_packet packet;

	return bb_channel_call(
		&f->channel, BB_CMD_STATUS_GET, NULL, 0, want, want_len, 1000, &packet, ret_text);
}

static void
a_request_is_one_packet_with_the_next_number(void **state)
{
	struct fixture *f = *state;
	const struct bb_cmd_commit commit = { .revision = 7 };
	struct {
		struct bb_cmd_header h;
		struct bb_cmd_commit body;
	} got;
	uint32_t seq;

	assert_int_equal(bb_channel_send(&f->channel, BB_CMD_STATUS_GET, NULL, 0, NULL), 0);
	assert_int_equal(recv(f->peer, &got, sizeof(got), 0), sizeof(got.h));
	assert_int_equal(got.h.seq, 1);
	assert_int_equal(got.h.len, 0);
	assert_int_equal(bb_channel_send(&f->channel, BB_CMD_COMMIT, &commit, sizeof(commit), &seq), 0);
	assert_int_equal(recv(f->peer, &got, sizeof(got), 0), sizeof(got));
	assert_int_equal(seq, 2);
	assert_int_equal(got.h.seq, 2);
	assert_int_equal(got.h.magic, BB_CMD_MAGIC);
	assert_int_equal(got.h.type, BB_CMD_COMMIT);
	assert_int_equal(got.h.len, sizeof(commit));
	assert_int_equal(got.body.revision, 7);
}

static void
poll_hands_over_what_is_there_and_no_more_than_asked(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(bb_channel_poll(&f->channel, 10), 0);
	for (uint32_t i = 1; i <= 3; i++)
		peer_acks(f, i, 0, "");
	assert_int_equal(bb_channel_poll(&f->channel, 2), 2);
	assert_int_equal(f->last_seq, 2);
	assert_int_equal(bb_channel_poll(&f->channel, 10), 1);
	assert_int_equal(f->handled, 3);
}

static void
a_call_returns_its_own_answer_and_hands_over_the_others(void **state)
{
	struct fixture *f = *state;
	const struct bb_cmd_status status = { .pid = 42 };
	struct bb_packet packet;

	peer_acks(f, 0, 0, "an event");
	peer_acks(f, 77, 0, "somebody else's");
	peer_sends(f, BB_CMD_STATUS, 1, &status, sizeof(status));
	assert_int_equal(bb_channel_call(&f->channel, BB_CMD_STATUS_GET, NULL, 0, BB_CMD_STATUS,
				 sizeof(status), 1000, &packet, NULL),
		0);
	assert_int_equal(((const struct bb_cmd_status *)packet.body)->pid, 42);
	assert_int_equal(f->handled, 2);
	assert_int_equal(f->last_seq, 77);
}

static void
an_ack_with_an_error_is_the_calls_error_and_text(void **state)
{
	struct fixture *f = *state;
	char text[BB_CMD_TEXT_MAX];
	char unended[BB_CMD_TEXT_MAX + 1];

	peer_acks(f, 1, -EADDRINUSE, "taken: choose another");
	assert_int_equal(call(f, BB_CMD_STATUS, 8, &text), -EADDRINUSE);
	assert_string_equal(text, "taken: choose another");
	memset(unended, 'x', sizeof(unended));
	unended[BB_CMD_TEXT_MAX] = '\0';
	peer_acks(f, 2, -EIO, unended);
	assert_int_equal(call(f, BB_CMD_ACK, sizeof(struct bb_cmd_ack), &text), -EIO);
	assert_int_equal(strlen(text), BB_CMD_TEXT_MAX - 1);
	peer_acks(f, 3, -EIO, "a\nb");
	assert_int_equal(call(f, BB_CMD_ACK, sizeof(struct bb_cmd_ack), &text), -EIO);
	assert_string_equal(text, "a?b");
	assert_true(bb_channel_open(&f->channel));
}

static void
no_answer_is_a_timeout_and_the_channel_stays_open(void **state)
{
	struct fixture *f = *state;
	struct bb_packet packet;

	assert_int_equal(
		bb_channel_call(&f->channel, BB_CMD_STATUS_GET, NULL, 0, BB_CMD_STATUS, 8, 1, &packet, NULL),
		-ETIMEDOUT);
	assert_true(bb_channel_open(&f->channel));
	peer_acks(f, 1, 0, ""); /* late: for the handler */
	assert_int_equal(bb_channel_poll(&f->channel, 10), 1);
}

static void
an_answer_of_the_wrong_kind_or_too_short_closes_the_channel(void **state)
{
	struct fixture *f = *state;
	const struct bb_cmd_status status = { .pid = 42 };

	peer_sends(f, BB_CMD_STATUS, 1, &status, sizeof(status) - 1);
	assert_int_equal(call(f, BB_CMD_STATUS, sizeof(status), NULL), -EPROTO);
	assert_false(bb_channel_open(&f->channel));
	assert_int_equal(call(f, BB_CMD_STATUS, sizeof(status), NULL), -ENOTCONN);
}

static void
what_is_no_packet_closes_the_channel(void **state)
{
	struct fixture *f = *state;

	for (int kind = 0; kind < 4; kind++) {
		struct bb_cmd_header h = {
			.magic = BB_CMD_MAGIC, .version = BB_CMD_VERSION, .type = BB_CMD_ACK
		};
		size_t len = sizeof(h);
		if (kind == 0)
			len--;
		else if (kind == 1)
			h.magic++;
		else if (kind == 2)
			h.version++;
		else
			h.len = 1;
		assert_int_equal(send(f->peer, &h, len, 0), len);
		assert_int_equal(bb_channel_poll(&f->channel, 1), -EPROTO);
		assert_false(bb_channel_open(&f->channel));
		tear_down(state);
		set_up(state);
	}
	assert_int_equal(f->handled, 0);
}

static void
the_end_of_the_connection_is_seen(void **state)
{
	struct fixture *f = *state;

	close(f->peer);
	f->peer = -1;
	assert_int_equal(bb_channel_poll(&f->channel, 1), -ECONNRESET);
	assert_false(bb_channel_open(&f->channel));
	assert_int_equal(bb_channel_send(&f->channel, BB_CMD_STATUS_GET, NULL, 0, NULL), -ENOTCONN);
}

static void
a_descriptor_that_comes_along_is_handed_over(void **state)
{
	struct fixture *f = *state;
	const struct bb_cmd_header h = {
		.magic = BB_CMD_MAGIC, .version = BB_CMD_VERSION, .type = BB_CMD_HELLO_ACK
	};
	struct iovec iov = { (void *)(uintptr_t)&h, sizeof(h) };
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .bytes = { 0 } };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	int pipe_fds[2];
	char c;

	assert_int_equal(pipe(pipe_fds), 0);
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &pipe_fds[0], sizeof(int));
	assert_int_equal(sendmsg(f->peer, &msg, 0), sizeof(h));
	assert_int_equal(bb_channel_poll(&f->channel, 1), 1);
	assert_true(f->last_fd >= 0);
	assert_true(fcntl(f->last_fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(pipe_fds[1], "x", 1), 1);
	assert_int_equal(read(f->last_fd, &c, 1), 1);
	close(f->last_fd);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void
connecting_where_nobody_listens_says_so(void **state)
{
	struct fixture *f = *state;
	char path[200];

	assert_int_equal(bb_channel_connect(&f->channel, "/nowhere/dataplane.sock"), -ENOENT);
	memset(path, 'x', sizeof(path));
	path[199] = '\0';
	assert_int_equal(bb_channel_connect(&f->channel, path), -ENAMETOOLONG);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_one_packet_with_the_next_number),
		TEST(poll_hands_over_what_is_there_and_no_more_than_asked),
		TEST(a_call_returns_its_own_answer_and_hands_over_the_others),
		TEST(an_ack_with_an_error_is_the_calls_error_and_text),
		TEST(no_answer_is_a_timeout_and_the_channel_stays_open),
		TEST(an_answer_of_the_wrong_kind_or_too_short_closes_the_channel),
		TEST(what_is_no_packet_closes_the_channel),
		TEST(the_end_of_the_connection_is_seen),
		TEST(a_descriptor_that_comes_along_is_handed_over),
		TEST(connecting_where_nobody_listens_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
