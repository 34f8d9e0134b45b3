/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_dataplane: the data plane's end of the command channel and of the counters segment, with no messages
 * behind it, so that control and the command line can be tested alone and without luck.
 *
 * It writes a line for every request to DIR/requests. Files in DIR make it misbehave: refuse-NAME refuses
 * that endpoint, refuse-plan the plan; silent makes it answer nothing but HELLO, PLAN and what reconciling
 * needs.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "abi/command.h"
#include "base/counters.h"

#define ENDPOINTS_MAX 64
#define SUBSCRIPTIONS 2500 /* of every endpoint; several pages */

static const char *dir;
static FILE *requests;
static int client = -1, counters_fd;
static uint64_t counters_bytes;
static struct bb_counters counters;
static struct bb_cmd_endpoint endpoints[ENDPOINTS_MAX]; /* no name: free */
static struct bb_cmd_plan plan;
static bool planned;
static uint64_t revision;

static void
check(int x, const char *what)
{
	if (x)
		return;
	fprintf(stderr, "fake data plane: %s: %s\n", what, strerror(errno));
	exit(3);
}

static bool
file_exists(const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

static void
note(const char *what, const char *name)
{
	fprintf(requests, "%s%s%s\n", what, name[0] != '\0' ? " " : "", name);
	fflush(requests);
}

static void
send_packet(uint32_t seq, uint16_t type, const void *body, uint32_t len, int fd)
{
	struct bb_cmd_header h = {
		.magic = BB_CMD_MAGIC, .version = BB_CMD_VERSION, .type = type, .seq = seq, .len = len
	};
	struct iovec iov[2] = { { &h, sizeof(h) }, { (void *)(uintptr_t)body, len } };
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .bytes = { 0 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	if (fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	if (client >= 0 && sendmsg(client, &msg, MSG_NOSIGNAL) < 0) {
		close(client);
		client = -1;
	}
}

static void
send_ack(uint32_t seq, int error, const char *text)
{
	struct bb_cmd_ack ack = { .error = error };

	snprintf(ack.text, sizeof(ack.text), "%s", text);
	send_packet(seq, BB_CMD_ACK, &ack, sizeof(ack), -1);
}

static void
make_counters(void)
{
	const struct bb_counters_sizes sizes = { .loop_count = 2,
		.io_count = 1,
		.router_count = 1,
		.side_count = 2 * ENDPOINTS_MAX,
		.session_count = 8 };

	counters_bytes = bb_counters_bytes(&sizes);
	counters_fd = memfd_create("counters", MFD_CLOEXEC);
	check(counters_fd >= 0 && ftruncate(counters_fd, (off_t)counters_bytes) == 0, "memfd");
	void *p = mmap(NULL, counters_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, counters_fd, 0);
	check(p != MAP_FAILED, "mmap");
	bb_counters_init(&counters, p, &sizes);

	/* Endpoint 0: one message in, two copies out, one of them dropped. */
	BB_COUNT(bb_counters_io_side(&counters, 0, 0), BB_IO_RECEIVED, 1);
	BB_COUNT(bb_counters_io_side(&counters, 0, 0), BB_IO_PEERS, 1);
	BB_COUNT(bb_counters_io_side(&counters, 0, 1), BB_IO_SENT, 1);
	BB_COUNT(bb_counters_io_side(&counters, 0, 1), BB_IO_OUT_HWM, 1);
	BB_COUNT(bb_counters_io_side(&counters, 0, 1), BB_IO_PEERS, 2);
	BB_COUNT(bb_counters_router_side(&counters, 0, 0), BB_ROUTER_ROUTED, 1);
	BB_COUNT(bb_counters_router_side(&counters, 0, 0), BB_ROUTER_COPIES, 2);
	for (uint32_t i = 0; i < 2; i++) {
		BB_COUNT(&counters.loops[i], BB_LOOP_HEARTBEAT, 1000);
		BB_COUNT(&counters.loops[i], BB_LOOP_BUSY_TURNS, 250);
	}
	for (uint32_t slot = 0; slot < 4; slot++) {
		struct bb_session_row *row = bb_counters_session(&counters, 0, slot);
		if (slot == 1)
			continue; /* free */
		row->handle = 0x100 + slot;
		row->connected_ns = 1;
		row->side = slot == 0 ? 0 : 1;
		row->state = BB_SESSION_STATE_READY;
		row->socket_type = slot == 0 ? 1 : 2;
		row->zmtp_minor = 1;
		row->id_len = 2;
		memcpy(row->id, "\xff!", 2);
		snprintf(row->address, sizeof(row->address), "127.0.0.1:%u", 40000 + slot);
		row->c[BB_SESSION_SENT] = slot;
	}
	counters.header->sessions_used[0] = 4;
}

static void
on_hello(uint32_t seq, int32_t error)
{
	struct bb_cmd_hello_ack ack = {
		.error = error,
		.state = planned ? BB_STATE_RUNNING : BB_STATE_WAITING,
		.revision = revision,
		.counters_bytes = planned ? counters_bytes : 0,
		.boot_id = (uint64_t)getpid(),
		.program_version = "0.0-fake",
	};

	note("hello", "");
	send_packet(seq, BB_CMD_HELLO_ACK, &ack, sizeof(ack), planned && error == 0 ? counters_fd : -1);
}

static void
on_plan(uint32_t seq, const struct bb_cmd_plan *body)
{
	note("plan", body->node_name);
	if (file_exists("refuse-plan")) {
		send_ack(seq, -EINVAL, "CPU 99 is not there: choose from 0-1");
	} else if (planned && memcmp(&plan, body, sizeof(plan)) != 0) {
		send_ack(seq, -EALREADY, "restart the data plane");
	} else {
		plan = *body;
		planned = true;
		send_ack(seq, 0, "");
	}
}

static struct bb_cmd_endpoint *
find(const char *name)
{
	for (int i = 0; i < ENDPOINTS_MAX; i++)
		if (strcmp(endpoints[i].name, name) == 0)
			return &endpoints[i];
	return NULL;
}

static void
on_set(uint32_t seq, const struct bb_cmd_endpoint *body)
{
	char refuse[128];
	struct bb_cmd_endpoint *e = find(body->name);

	note("set", body->name);
	snprintf(refuse, sizeof(refuse), "refuse-%s", body->name);
	if (file_exists(refuse)) {
		send_ack(seq, -EADDRINUSE, "tcp://127.0.0.1:1: address in use: choose another");
		return;
	}
	if (e == NULL)
		e = find("");
	*e = *body;
	send_ack(seq, 0, "");
}

static void
on_get(uint32_t seq, uint64_t cursor)
{
	for (uint64_t i = cursor; i < ENDPOINTS_MAX; i++) {
		if (endpoints[i].name[0] == '\0')
			continue;
		struct bb_cmd_endpoint_state state = {
			.next = i + 1, .id = (uint32_t)i, .desired = endpoints[i]
		};
		for (int side = 0; side < 2; side++)
			memcpy(state.bound[side], endpoints[i].side[side].bind, sizeof(state.bound[side]));
		send_packet(seq, BB_CMD_ENDPOINT_STATE, &state, sizeof(state), -1);
		return;
	}
	send_ack(seq, -ENOENT, "");
}

static void
on_subscriptions(uint32_t seq, const struct bb_cmd_subscriptions_get *get)
{
	static uint8_t body[BB_CMD_PACKET_MAX - sizeof(struct bb_cmd_header)];
	struct bb_cmd_subscriptions head = { .next = get->cursor };

	if (get->endpoint[0] == '\0' || find(get->endpoint) == NULL) {
		send_ack(seq, -ENOENT, "");
		return;
	}
	for (; head.next < SUBSCRIPTIONS && head.count < 1000; head.next++, head.count++) {
		char topic[32];
		const uint32_t subscribers = 1 + (uint32_t)(head.next % 3);
		const uint32_t len = head.next == 0 ? 0
						    : (uint32_t)snprintf(topic, sizeof(topic), "t\xff%d",
							      (int)head.next);
		memcpy(body + sizeof(head) + head.bytes, &subscribers, 4);
		memcpy(body + sizeof(head) + head.bytes + 4, &len, 4);
		memcpy(body + sizeof(head) + head.bytes + 8, topic, len);
		head.bytes += 8 + len;
	}
	if (head.next == SUBSCRIPTIONS)
		head.next = UINT64_MAX;
	memcpy(body, &head, sizeof(head));
	send_packet(seq, BB_CMD_SUBSCRIPTIONS, body, (uint32_t)sizeof(head) + head.bytes, -1);
}

static void
on_status(uint32_t seq)
{
	struct bb_cmd_status s = {
		.state = BB_STATE_RUNNING,
		.pid = (uint32_t)getpid(),
		.revision = revision,
		.uptime_ns = UINT64_C(65000000000),
		.memory_bytes = plan.memory_bytes,
		.memory_free_bytes = plan.memory_bytes / 2,
		.io_count = 1,
		.router_count = 1,
		.peer_count = 3,
		.program_version = "0.0-fake",
	};

	for (int i = 0; i < ENDPOINTS_MAX; i++)
		s.endpoint_count += endpoints[i].name[0] != '\0';
	send_packet(seq, BB_CMD_STATUS, &s, sizeof(s), -1);
}

static void
on_cores(uint32_t seq)
{
	static struct bb_cmd_cores c;

	c.count = 3;
	c.joined = 0;
	c.adaptive = 1;
	c.memory_bytes = plan.memory_bytes;
	snprintf(c.warnings[0], sizeof(c.warnings[0]), "no hugepages: set vm.nr_hugepages");
	c.core[0] = (struct bb_cmd_core){
		.cpu = 0, .roles = BB_ROLE_IO, .io = 0, .router = UINT32_MAX, .loop = 0
	};
	c.core[1] = (struct bb_cmd_core){
		.cpu = 1, .roles = BB_ROLE_ROUTER, .io = UINT32_MAX, .router = 0, .loop = 1
	};
	c.core[2] = (struct bb_cmd_core){ .cpu = UINT32_MAX,
		.roles = BB_ROLE_AGENT,
		.io = UINT32_MAX,
		.router = UINT32_MAX,
		.loop = UINT32_MAX };
	send_packet(seq, BB_CMD_CORES, &c, sizeof(c), -1);
}

_Noreturn static void
drain(void)
{
	struct bb_cmd_report report = { .dropped_msgs = 3, .dropped_bytes = 300, .side = 1 };
	struct bb_cmd_event event = { .kind = BB_EVENT_DRAINED };
	char path[512];

	note("drain", "");
	snprintf(report.endpoint, sizeof(report.endpoint), "quotes");
	snprintf(report.peer, sizeof(report.peer), "127.0.0.1:40002");
	send_packet(0, BB_CMD_REPORT, &report, sizeof(report), -1);
	send_packet(0, BB_CMD_EVENT, &event, sizeof(event), -1);
	snprintf(path, sizeof(path), "%s/dataplane.sock", dir);
	unlink(path);
	exit(0);
}

static void
on_packet(const struct bb_cmd_header *h, const void *body)
{
	const bool silent = file_exists("silent");

	check(h->magic == BB_CMD_MAGIC && h->version == BB_CMD_VERSION, "magic");
	switch (h->type) {
	case BB_CMD_HELLO:
		on_hello(h->seq, 0);
		break;
	case BB_CMD_PLAN:
		check(h->len == sizeof(struct bb_cmd_plan), "length of a plan");
		on_plan(h->seq, body);
		break;
	case BB_CMD_ENDPOINT_SET:
		check(h->len == sizeof(struct bb_cmd_endpoint), "length of an endpoint");
		on_set(h->seq, body);
		break;
	case BB_CMD_ENDPOINT_REMOVE:
		note("remove", ((const struct bb_cmd_name *)body)->name);
		memset(find(((const struct bb_cmd_name *)body)->name), 0, sizeof(endpoints[0]));
		send_ack(h->seq, 0, "");
		break;
	case BB_CMD_COMMIT:
		revision = ((const struct bb_cmd_commit *)body)->revision;
		note("commit", "");
		send_ack(h->seq, 0, "");
		break;
	case BB_CMD_ENDPOINT_GET:
		on_get(h->seq, ((const struct bb_cmd_cursor *)body)->cursor);
		break;
	case BB_CMD_STATUS_GET:
		if (!silent)
			on_status(h->seq);
		break;
	case BB_CMD_CORES_GET:
		on_cores(h->seq);
		break;
	case BB_CMD_SUBSCRIPTIONS_GET:
		on_subscriptions(h->seq, body);
		break;
	case BB_CMD_DRAIN:
		send_ack(h->seq, 0, "");
		drain();
	default:
		check(0, "unknown request");
	}
}

static int
listen_at(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/dataplane.sock", dir);
	unlink(address.sun_path);
	check(fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
			listen(fd, 4) == 0,
		"listen");
	return fd;
}

static void
receive(void)
{
	static _Alignas(8) uint8_t packet[BB_CMD_PACKET_MAX];
	const ssize_t n = recv(client, packet, sizeof(packet), 0);
	struct bb_cmd_header h;

	if (n <= 0) {
		close(client);
		client = -1;
		return;
	}
	check((size_t)n >= sizeof(h), "a short packet");
	memcpy(&h, packet, sizeof(h));
	check(h.len == (size_t)n - sizeof(h), "length");
	on_packet(&h, packet + sizeof(h));
}

int
main(int argc, char **argv)
{
	char path[512];
	sigset_t set;

	check(argc == 3 && strcmp(argv[1], "--state-dir") == 0, "arguments");
	dir = argv[2];
	snprintf(path, sizeof(path), "%s/requests", dir);
	requests = fopen(path, "ae");
	check(requests != NULL, path);
	if (file_exists("refuse-start"))
		return 1;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	const int signals = signalfd(-1, &set, SFD_CLOEXEC), listener = listen_at();
	make_counters();
	for (;;) {
		struct pollfd p[3] = { { signals, POLLIN, 0 }, { listener, POLLIN, 0 },
			{ client, POLLIN, 0 } };
		check(poll(p, 3, -1) > 0, "poll");
		if (p[0].revents != 0)
			drain();
		if (client >= 0 && p[2].revents != 0)
			receive();
		if (p[1].revents == 0)
			continue;
		const int former = client;
		client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (former >= 0) { /* one at a time */
			struct bb_cmd_header h;
			check(recv(client, &h, sizeof(h), 0) > 0, "hello");
			on_hello(h.seq, -EBUSY);
			close(client);
			client = former;
		}
	}
}
