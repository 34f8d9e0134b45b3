/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"

#define MAGIC 0x54534242u /* "BBST" */
#define VERSION 1
#define NAME "accepted.state"

struct file_header {
	uint32_t magic, version;
	uint32_t abi_version; /* of abi/command.h, whose structs follow */
	uint32_t endpoint_count;
	uint64_t revision;
	uint64_t checksum; /* over plan and endpoints */
};

/* FNV-1a: it finds what a torn or foreign file looks like; nobody is to be kept from forging it. */
static uint64_t
checksum_add(uint64_t sum, const void *data, size_t bytes)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < bytes; i++)
		sum = (sum ^ p[i]) * UINT64_C(0x100000001b3);
	return sum;
}

static uint64_t
checksum(const struct bb_state *s)
{
	const uint64_t sum = checksum_add(UINT64_C(0xcbf29ce484222325), &s->plan, sizeof(s->plan));

	return checksum_add(sum, s->endpoints, s->endpoint_count * sizeof(s->endpoints[0]));
}

static int
write_all(int fd, const void *data, size_t bytes)
{
	const uint8_t *p = data;

	while (bytes > 0) {
		const ssize_t n = write(fd, p, bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		bytes -= (size_t)n;
	}
	return 0;
}

static int
write_file(int fd, const struct bb_state *s)
{
	const struct file_header h = {
		.magic = MAGIC,
		.version = VERSION,
		.abi_version = BB_CMD_VERSION,
		.endpoint_count = s->endpoint_count,
		.revision = s->revision,
		.checksum = checksum(s),
	};
	int error = write_all(fd, &h, sizeof(h));

	if (error == 0)
		error = write_all(fd, &s->plan, sizeof(s->plan));
	if (error == 0)
		error = write_all(fd, s->endpoints, s->endpoint_count * sizeof(s->endpoints[0]));
	if (error == 0 && fsync(fd) != 0)
		error = -errno;
	return error;
}

int
bb_state_write(const char *state_dir, const struct bb_state *s, struct bb_text *text)
{
	int error;
	const int dir = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return bb_text_fail(text, -errno, "%s: %s", state_dir, strerror(errno));
	const int fd = openat(dir, NAME ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0) {
		error = -errno;
	} else {
		error = write_file(fd, s);
		if (close(fd) != 0 && error == 0)
			error = -errno;
		if (error == 0 && renameat(dir, NAME ".new", dir, NAME) != 0)
			error = -errno;
		if (error == 0 && fsync(dir) != 0)
			error = -errno;
	}
	close(dir);
	if (error != 0)
		return bb_text_fail(text, error, "%s/" NAME ": %s", state_dir, strerror(-error));
	return 0;
}

static int
read_all(int fd, void *data, size_t bytes)
{
	uint8_t *p = data;

	while (bytes > 0) {
		const ssize_t n = read(fd, p, bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		p += n;
		bytes -= (size_t)n;
	}
	return 0;
}

static int
read_file(int fd, struct bb_state *s)
{
	struct file_header h;
	struct stat st;
	int error = read_all(fd, &h, sizeof(h));

	if (error != 0)
		return error;
	if (h.magic != MAGIC || h.version != VERSION || h.abi_version != BB_CMD_VERSION ||
		h.endpoint_count > BB_ENDPOINTS_MAX)
		return -EBADMSG;
	const size_t bytes = h.endpoint_count * sizeof(s->endpoints[0]);
	if (fstat(fd, &st) != 0 || (size_t)st.st_size != sizeof(h) + sizeof(s->plan) + bytes)
		return -EBADMSG;
	s->revision = h.revision;
	s->endpoint_count = h.endpoint_count;
	s->endpoints = malloc(bytes > 0 ? bytes : 1);
	if (s->endpoints == NULL)
		return -ENOMEM;
	error = read_all(fd, &s->plan, sizeof(s->plan));
	if (error == 0)
		error = read_all(fd, s->endpoints, bytes);
	if (error == 0 && checksum(s) != h.checksum)
		error = -EBADMSG;
	return error;
}

int
bb_state_read(const char *state_dir, struct bb_state *ret, struct bb_text *text)
{
	struct bb_state s = { 0 };
	char path[4096];

	snprintf(path, sizeof(path), "%s/" NAME, state_dir);
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0)
		return bb_text_fail(text, -errno, "%s: %s", path, strerror(errno));
	const int error = read_file(fd, &s);
	close(fd);
	if (error != 0) {
		bb_state_free(&s);
		return bb_text_fail(text, error, "%s: %s", path,
			error == -EBADMSG ? "not whole, or of another version: it is ignored"
					  : strerror(-error));
	}
	*ret = s;
	return 0;
}

void
bb_state_free(struct bb_state *s)
{
	free(s->endpoints);
	*s = (struct bb_state){ 0 };
}
