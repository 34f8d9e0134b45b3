/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"

struct packet {
	struct bb_list node;
	int fd; /* to be passed, ours; -1: none */
	size_t bytes;
	uint8_t data[];
};

/* Payload that each request must have. */
static const struct {
	bool known;
	uint32_t bytes;
} request_shape[] = {
	[BB_CMD_HELLO] = { true, sizeof(struct bb_cmd_hello) },
	[BB_CMD_PLAN] = { true, sizeof(struct bb_cmd_plan) },
	[BB_CMD_ENDPOINT_SET] = { true, sizeof(struct bb_cmd_endpoint) },
	[BB_CMD_ENDPOINT_REMOVE] = { true, sizeof(struct bb_cmd_name) },
	[BB_CMD_COMMIT] = { true, sizeof(struct bb_cmd_commit) },
	[BB_CMD_ENDPOINT_GET] = { true, sizeof(struct bb_cmd_cursor) },
	[BB_CMD_STATUS_GET] = { true, 0 },
	[BB_CMD_CORES_GET] = { true, 0 },
	[BB_CMD_SUBSCRIPTIONS_GET] = { true, sizeof(struct bb_cmd_subscriptions_get) },
	[BB_CMD_DRAIN] = { true, sizeof(struct bb_cmd_drain) },
};

static bb_conn_id
conn_id(const struct bb_channel *c, const struct bb_channel_conn *conn)
{
	return (uint64_t)conn->generation << 32 | (uint64_t)(conn - c->conns);
}

static struct bb_channel_conn *
conn_of(struct bb_channel *c, bb_conn_id id)
{
	struct bb_channel_conn *conn = &c->conns[(uint32_t)id % BB_CHANNEL_CONNS];

	return conn->fd >= 0 && conn->generation == id >> 32 ? conn : NULL;
}

static void
packet_free(struct packet *p)
{
	if (p->fd >= 0)
		close(p->fd);
	free(p);
}

static void
conn_close(struct bb_channel *c, struct bb_channel_conn *conn)
{
	const bool controlled = c->control == conn_id(c, conn);
	struct bb_list *n;

	while ((n = bb_list_pop(&conn->queue)) != NULL)
		packet_free(bb_list_entry(n, struct packet, node));
	close(conn->fd);
	*conn = (struct bb_channel_conn){ .fd = -1 };
	if (!controlled)
		return;
	c->control = BB_CONN_NONE;
	c->on_control_gone(c->user);
}

/* --- opening -------------------------------------------------------------------------------------------- */

/* Only the holder of the lock may touch the socket's name, so a stale one is removed without a race. */
static int
take_lock(struct bb_channel *c, const char *state_dir, struct bb_text *text)
{
	char path[4096], pid[32] = "";

	snprintf(path, sizeof(path), "%s/dataplane.lock", state_dir);
	c->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (c->lock_fd < 0)
		return bb_text_fail(text, -errno, "%s: %s", path, strerror(errno));
	if (flock(c->lock_fd, LOCK_EX | LOCK_NB) != 0) {
		const ssize_t n = pread(c->lock_fd, pid, sizeof(pid) - 1, 0);
		pid[n > 0 ? strcspn(pid, "\n") : 0] = '\0';
		close(c->lock_fd);
		return bb_text_fail(text, -EBUSY,
			"%s: another data plane runs here (process %s): stop it, or choose another "
			"--state-dir",
			state_dir, pid);
	}
	const int len = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(c->lock_fd, 0) != 0 || pwrite(c->lock_fd, pid, (size_t)len, 0) != len)
		bb_log_warn("LOCK-PID", "path=%s error=%d", path, errno); /* the lock holds all the same */
	return 0;
}

int
bb_channel_open(struct bb_channel *c, const char *state_dir, struct bb_text *text)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	for (int i = 0; i < BB_CHANNEL_CONNS; i++)
		c->conns[i] = (struct bb_channel_conn){ .fd = -1 };
	if ((size_t)snprintf(at.sun_path, sizeof(at.sun_path), "%s/dataplane.sock", state_dir) >=
		sizeof(at.sun_path))
		return bb_text_fail(text, -ENAMETOOLONG,
			"%s: the path of the command socket would be longer than %zu octets: choose a "
			"shorter --state-dir",
			state_dir, sizeof(at.sun_path) - 1);
	int error = take_lock(c, state_dir, text);
	if (error != 0)
		return error;
	memcpy(c->path, at.sun_path, sizeof(c->path));
	unlink(c->path);
	c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const mode_t mask = umask(0177); /* nobody else may connect, from the first moment */
	const bool bound = c->fd >= 0 && bind(c->fd, (const void *)&at, sizeof(at)) == 0;
	umask(mask);
	if (bound && listen(c->fd, 8) == 0)
		return 0;
	error = bb_text_fail(text, -errno, "%s: %s", c->path, strerror(errno));
	if (c->fd >= 0)
		close(c->fd);
	close(c->lock_fd);
	return error;
}

void
bb_channel_close(struct bb_channel *c)
{
	c->control = BB_CONN_NONE; /* nobody is told any more */
	for (int i = 0; i < BB_CHANNEL_CONNS; i++) {
		if (c->conns[i].fd >= 0)
			conn_close(c, &c->conns[i]);
	}
	close(c->fd);
	unlink(c->path);
	close(c->lock_fd);
}

/* --- sending -------------------------------------------------------------------------------------------- */

/* 1: sent, 0: not now, negative errno: the connection is broken. */
static int
packet_send(int fd, const struct packet *p)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)p->data, .iov_len = p->bytes };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (p->fd >= 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *head = CMSG_FIRSTHDR(&m);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(head), &p->fd, sizeof(int));
	}
	if (sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 1;
	return errno == EAGAIN || errno == ENOBUFS || errno == EINTR ? 0 : -errno;
}

/* False: the connection is gone. */
static bool
conn_flush(struct bb_channel *c, struct bb_channel_conn *conn)
{
	while (!bb_list_empty(&conn->queue)) {
		struct packet *p = bb_list_entry(conn->queue.next, struct packet, node);
		const int sent = packet_send(conn->fd, p);
		if (sent == 0)
			return true;
		if (sent < 0) {
			conn_close(c, conn);
			return false;
		}
		bb_list_remove(&p->node);
		packet_free(p);
		conn->queued--;
	}
	if (!conn->closing)
		return true;
	conn_close(c, conn);
	return false;
}

void
bb_channel_send(struct bb_channel *c, bb_conn_id to, uint16_t type, uint32_t seq, const void *body,
	size_t body_bytes, const void *tail, size_t tail_bytes, int fd)
{
	struct bb_channel_conn *conn = conn_of(c, to);
	const struct bb_cmd_header h = {
		.magic = BB_CMD_MAGIC,
		.version = BB_CMD_VERSION,
		.type = type,
		.seq = seq,
		.len = (uint32_t)(body_bytes + tail_bytes),
	};

	if (conn == NULL)
		return;
	BB_ASSERT(sizeof(h) + h.len <= BB_CMD_PACKET_MAX);
	if (seq != 0 && conn->open_requests > 0)
		conn->open_requests--;
	if (conn->queued == BB_CHANNEL_QUEUE_MAX) {
		bb_log_warn(
			"CONTROL-SLOW", "queued=%u what=\"it does not read; disconnected\"", conn->queued);
		conn_close(c, conn);
		return;
	}
	struct packet *p = malloc(sizeof(*p) + sizeof(h) + h.len);
	if (p == NULL) {
		conn_close(c, conn); /* it will connect again and read where we stand */
		return;
	}
	p->fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
	p->bytes = sizeof(h) + h.len;
	memcpy(p->data, &h, sizeof(h));
	if (body_bytes > 0)
		memcpy(p->data + sizeof(h), body, body_bytes);
	if (tail_bytes > 0)
		memcpy(p->data + sizeof(h) + body_bytes, tail, tail_bytes);
	bb_list_append(&conn->queue, &p->node);
	conn->queued++;
	conn_flush(c, conn);
}

void
bb_channel_finish(struct bb_channel *c, bb_conn_id id)
{
	struct bb_channel_conn *conn = conn_of(c, id);

	if (conn == NULL)
		return;
	conn->closing = true;
	conn_flush(c, conn);
}

bool
bb_channel_flushed(const struct bb_channel *c)
{
	for (int i = 0; i < BB_CHANNEL_CONNS; i++) {
		if (c->conns[i].fd >= 0 && c->conns[i].queued > 0)
			return false;
	}
	return true;
}

/* --- receiving ------------------------------------------------------------------------------------------ */

static void
refuse(struct bb_channel *c, bb_conn_id to, uint32_t seq, int error, const char *why)
{
	struct bb_cmd_ack ack = { .error = error };

	snprintf(ack.text, sizeof(ack.text), "%s", why);
	bb_channel_send(c, to, BB_CMD_ACK, seq, &ack, sizeof(ack), NULL, 0, -1);
}

static void
on_bytes(struct bb_channel *c, struct bb_channel_conn *conn, const uint8_t *data, size_t bytes)
{
	const bb_conn_id id = conn_id(c, conn);
	struct bb_cmd_header h;

	if (bytes < sizeof(h)) {
		bb_log_warn("CONTROL-BAD-PACKET", "bytes=%zu", bytes);
		conn_close(c, conn);
		return;
	}
	memcpy(&h, data, sizeof(h));
	if (h.magic != BB_CMD_MAGIC || h.len != bytes - sizeof(h) || h.seq == 0) {
		bb_log_warn("CONTROL-BAD-PACKET", "bytes=%zu magic=%#x len=%u seq=%u", bytes, h.magic, h.len,
			h.seq);
		conn_close(c, conn);
		return;
	}
	conn->open_requests++;
	if (h.version != BB_CMD_VERSION && h.type == BB_CMD_HELLO) {
		const struct bb_cmd_hello_ack ack = { .error = -EPROTO };
		bb_channel_send(c, id, BB_CMD_HELLO_ACK, h.seq, &ack, sizeof(ack), NULL, 0, -1);
		bb_channel_finish(c, id);
	} else if (h.version != BB_CMD_VERSION) {
		refuse(c, id, h.seq, -EPROTO, "command channel: another version is spoken here");
	} else if (h.type >= BB_ARRAY_LEN(request_shape) || !request_shape[h.type].known) {
		refuse(c, id, h.seq, -EOPNOTSUPP, "command channel: unknown request");
	} else if (h.len != request_shape[h.type].bytes) {
		refuse(c, id, h.seq, -EPROTO, "command channel: the request has a wrong length");
	} else if (h.type != BB_CMD_HELLO && c->control != id) {
		refuse(c, id, h.seq, -EPERM, "command channel: say HELLO first");
	} else {
		c->on_packet(c->user, id, &h, data + sizeof(h));
	}
}

static bool
reads(const struct bb_channel_conn *conn)
{
	return conn->fd >= 0 && !conn->closing && conn->open_requests < BB_CHANNEL_QUEUE_MAX;
}

static void
conn_read(struct bb_channel *c, uint32_t slot)
{
	/* Aligned: payloads are read in place as structs. Behind a header of 24 octets 8 is kept. */
	static _Alignas(16) uint8_t data[BB_CMD_PACKET_MAX + 1];
	struct bb_channel_conn *conn = &c->conns[slot];
	const uint32_t generation = conn->generation;

	for (int i = 0; i < 64 && reads(conn) && conn->generation == generation; i++) {
		const ssize_t n = recv(conn->fd, data, sizeof(data), MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0 || (size_t)n > BB_CMD_PACKET_MAX) {
			conn_close(c, conn);
			return;
		}
		on_bytes(c, conn, data, (size_t)n);
	}
}

static void
conn_accept(struct bb_channel *c, uint64_t now_ns)
{
	for (int i = 0; i < BB_CHANNEL_CONNS; i++) {
		struct bb_channel_conn *conn = &c->conns[i];
		if (conn->fd >= 0)
			continue;
		const int fd = accept4(c->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		*conn = (struct bb_channel_conn){
			.fd = fd, .generation = ++c->generation, .opened_ns = now_ns
		};
		bb_list_init(&conn->queue);
	}
}

uint32_t
bb_channel_fds(const struct bb_channel *c, struct pollfd *ret)
{
	uint32_t n = 0;
	bool room = false;

	for (int i = 0; i < BB_CHANNEL_CONNS; i++) {
		const struct bb_channel_conn *conn = &c->conns[i];
		if (conn->fd < 0) {
			room = true;
			continue;
		}
		const int events = (reads(conn) ? POLLIN : 0) | (conn->queued > 0 ? POLLOUT : 0);
		/* Not at all if for nothing: poll() would tell of a hang-up again and again. */
		if (events != 0)
			ret[n++] = (struct pollfd){ .fd = conn->fd, .events = (short)events };
	}
	if (room)
		ret[n++] = (struct pollfd){ .fd = c->fd, .events = POLLIN };
	return n;
}

void
bb_channel_poll(struct bb_channel *c, uint64_t now_ns)
{
	conn_accept(c, now_ns);
	for (uint32_t i = 0; i < BB_CHANNEL_CONNS; i++) {
		struct bb_channel_conn *conn = &c->conns[i];
		if (conn->fd < 0 || !conn_flush(c, conn))
			continue;
		conn_read(c, i);
		if (conn->fd >= 0 && c->control != conn_id(c, conn) &&
			now_ns - conn->opened_ns >= BB_CHANNEL_HELLO_NS)
			conn_close(c, conn);
	}
}

uint64_t
bb_channel_deadline(const struct bb_channel *c)
{
	uint64_t deadline_ns = BB_NEVER;

	for (int i = 0; i < BB_CHANNEL_CONNS; i++) {
		const struct bb_channel_conn *conn = &c->conns[i];
		if (conn->fd >= 0 && c->control != conn_id(c, conn))
			deadline_ns = bb_min_u64(deadline_ns, conn->opened_ns + BB_CHANNEL_HELLO_NS);
	}
	return deadline_ns;
}

bool
bb_channel_take_control(struct bb_channel *c, bb_conn_id id)
{
	if (c->control == BB_CONN_NONE)
		c->control = id;
	return c->control == id;
}

bool
bb_channel_has_control(const struct bb_channel *c, bb_conn_id id)
{
	return id != BB_CONN_NONE && c->control == id;
}
