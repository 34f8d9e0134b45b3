/* SPDX-License-Identifier: BSD-3-Clause */
#include "link/channel.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"

int
bb_channel_init(struct bb_channel *ch, bb_channel_handler handler, void *arg)
{
	*ch = (struct bb_channel){ .fd = -1, .handler = handler, .arg = arg };
	ch->buffer = malloc(BB_CMD_PACKET_MAX);
	return ch->buffer != NULL ? 0 : -ENOMEM;
}

void
bb_channel_fini(struct bb_channel *ch)
{
	bb_channel_close(ch);
	free(ch->buffer);
	ch->buffer = NULL;
}

void
bb_channel_adopt(struct bb_channel *ch, int fd)
{
	bb_channel_close(ch);
	ch->fd = fd;
	ch->seq = 0;
}

void
bb_channel_close(struct bb_channel *ch)
{
	if (ch->fd >= 0)
		close(ch->fd);
	ch->fd = -1;
}

int
bb_channel_connect(struct bb_channel *ch, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		const int error = errno;
		close(fd);
		return -error;
	}
	bb_channel_adopt(ch, fd);
	return 0;
}

static int
fail(struct bb_channel *ch, int error)
{
	bb_channel_close(ch);
	return error;
}

static int
wait_for(const struct bb_channel *ch, short events, int timeout_ms)
{
	struct pollfd p = { .fd = ch->fd, .events = events };
	const int n = poll(&p, 1, timeout_ms);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return n;
}

int
bb_channel_send(
	struct bb_channel *ch, enum bb_cmd_type type, const void *body, uint32_t len, uint32_t *ret_seq)
{
	struct bb_cmd_header header = {
		.magic = BB_CMD_MAGIC,
		.version = BB_CMD_VERSION,
		.type = (uint16_t)type,
		.seq = ++ch->seq,
		.len = len,
	};
	struct iovec iov[2] = {
		{ .iov_base = &header, .iov_len = sizeof(header) },
		{ .iov_base = (void *)(uintptr_t)body, .iov_len = len },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = len > 0 ? 2 : 1 };

	BB_ASSERT(len <= BB_CMD_PACKET_MAX - sizeof(header));
	if (ch->fd < 0)
		return -ENOTCONN;
	/* The data plane's agent reads all the time; if its buffer stays full for a second, it hangs. */
	for (int tries = 0; sendmsg(ch->fd, &msg, MSG_NOSIGNAL) < 0; tries++) {
		if (errno != EAGAIN && errno != EINTR)
			return fail(ch, -errno);
		if (tries == 10)
			return fail(ch, -ETIMEDOUT);
		if (errno == EAGAIN && wait_for(ch, POLLOUT, 100) < 0)
			return fail(ch, -errno);
	}
	if (ret_seq != NULL)
		*ret_seq = header.seq;
	return 0;
}

static int
take_fd(struct msghdr *msg)
{
	int fd = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
			c->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(&fd, CMSG_DATA(c), sizeof(int));
	return fd;
}

/* One packet without waiting: 1, 0 if there is none, or a negative errno with the channel closed. */
static int
receive(struct bb_channel *ch, struct bb_packet *ret)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct bb_cmd_header header;
	struct iovec iov[2] = {
		{ .iov_base = &header, .iov_len = sizeof(header) },
		{ .iov_base = ch->buffer, .iov_len = BB_CMD_PACKET_MAX - sizeof(header) },
	};
	struct msghdr msg = {
		.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};

	if (ch->fd < 0)
		return -ENOTCONN;
	const ssize_t n = recvmsg(ch->fd, &msg, MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : fail(ch, -errno);
	if (n == 0)
		return fail(ch, -ECONNRESET);
	const int fd = take_fd(&msg);
	if ((size_t)n < sizeof(header) || header.magic != BB_CMD_MAGIC || header.version != BB_CMD_VERSION ||
		header.len != (size_t)n - sizeof(header) || (msg.msg_flags & MSG_TRUNC)) {
		if (fd >= 0)
			close(fd);
		return fail(ch, -EPROTO);
	}
	*ret = (struct bb_packet){
		.type = header.type,
		.seq = header.seq,
		.len = header.len,
		.body = ch->buffer,
		.fd = fd,
	};
	return 1;
}

int
bb_channel_poll(struct bb_channel *ch, unsigned max)
{
	struct bb_packet packet;
	unsigned count = 0;
	int r = 0;

	while (count < max && (r = receive(ch, &packet)) > 0) {
		ch->handler(ch->arg, &packet);
		count++;
	}
	return r < 0 ? r : (int)count;
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int
judge_reply(struct bb_channel *ch, const struct bb_packet *packet, enum bb_cmd_type want, uint32_t want_len,
	char (*ret_text)[BB_CMD_TEXT_MAX])
{
	if (packet->fd >= 0)
		close(packet->fd); /* nothing that is called for comes with one */
	if (packet->type == want && packet->len >= want_len &&
		(want != BB_CMD_ACK || ((const struct bb_cmd_ack *)packet->body)->error == 0))
		return 0;
	const struct bb_cmd_ack *ack = bb_packet_body(packet, BB_CMD_ACK, sizeof(*ack));
	if (ack == NULL || ack->error >= 0)
		return fail(ch, -EPROTO);
	if (ret_text != NULL)
		bb_packet_text(*ret_text, sizeof(*ret_text), ack->text, sizeof(ack->text));
	return ack->error;
}

int
bb_channel_call(struct bb_channel *ch, enum bb_cmd_type type, const void *body, uint32_t len,
	enum bb_cmd_type want, uint32_t want_len, int timeout_ms, struct bb_packet *ret,
	char (*ret_text)[BB_CMD_TEXT_MAX])
{
	const int64_t deadline = now_ms() + timeout_ms;
	uint32_t seq;
	int r = bb_channel_send(ch, type, body, len, &seq);

	if (ret_text != NULL)
		(*ret_text)[0] = '\0';
	while (r >= 0) {
		struct bb_packet packet;
		r = receive(ch, &packet);
		if (r > 0 && packet.seq == seq && packet.seq != 0) {
			r = judge_reply(ch, &packet, want, want_len, ret_text);
			packet.fd = -1;
			if (r == 0)
				*ret = packet;
			return r;
		}
		if (r > 0) {
			ch->handler(ch->arg, &packet);
		} else if (r == 0) {
			const int64_t left = deadline - now_ms();
			if (left <= 0)
				return -ETIMEDOUT;
			r = wait_for(ch, POLLIN, (int)left);
		}
	}
	return r;
}

const void *
bb_packet_body(const struct bb_packet *packet, enum bb_cmd_type type, size_t len)
{
	return packet->type == type && packet->len >= len ? packet->body : NULL;
}

void
bb_packet_text(char *out, size_t out_size, const char *field, size_t field_size)
{
	const size_t len = strnlen(field, field_size < out_size ? field_size : out_size - 1);

	memcpy(out, field, len);
	out[len] = '\0';
	for (char *p = out; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?'; /* goes into log lines */
}
