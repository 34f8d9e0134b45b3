/* SPDX-License-Identifier: BSD-3-Clause */
#include "http/server.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "link/paths.h"

#define CONNECTIONS_MAX 64
#define CONNECTION_TIMEOUT_S 30
#define BACKLOG 64

/* One place where we listen. */
struct listener {
	struct bb_server *server;
	struct MHD_Daemon *daemon;
	bool may_change;
};

struct bb_server {
	struct bb_api *api;
	struct listener listeners[2];
	unsigned listener_count;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* ours to remove; empty: not made yet */
};

static const char *
query_arg(void *ctx, const char *name)
{
	return MHD_lookup_connection_value(ctx, MHD_GET_ARGUMENT_KIND, name);
}

static enum MHD_Result
reply(struct MHD_Connection *connection, const struct bb_api_reply *r)
{
	char *body = r->json != NULL ? json_dumps(r->json, JSON_COMPACT) : r->text;
	struct MHD_Response *response;

	if (body == NULL)
		return MHD_NO; /* out of memory: the connection is closed */
	response = MHD_create_response_from_buffer(strlen(body), body, MHD_RESPMEM_MUST_FREE);
	if (response == NULL) {
		free(body);
		return MHD_NO;
	}
	MHD_add_response_header(
		response, MHD_HTTP_HEADER_CONTENT_TYPE, r->json != NULL ? "application/json" : "text/plain");
	const enum MHD_Result queued = MHD_queue_response(connection, r->status, response);
	MHD_destroy_response(response);
	return queued;
}

static enum MHD_Result
on_request(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
	const char *version, const char *upload, size_t *upload_len, void **state)
{
	const struct listener *l = arg;
	const struct bb_api_request request = {
		.method = method,
		.path = url,
		.may_change = l->may_change,
		.arg = query_arg,
		.ctx = connection,
	};
	struct bb_api_reply r = { .status = 500 };
	static char seen;

	(void)version;
	(void)upload;
	if (*state == NULL) { /* first the headers alone */
		*state = &seen;
		return MHD_YES;
	}
	if (*upload_len != 0) { /* no request of ours has a body that matters */
		*upload_len = 0;
		return MHD_YES;
	}
	bb_api_handle(l->server->api, &request, &r);
	const enum MHD_Result result = reply(connection, &r);
	json_decref(r.json);
	return result;
}

static int
server_add(struct bb_server *s, int fd, bool may_change)
{
	struct listener *l = &s->listeners[s->listener_count];

	*l = (struct listener){ .server = s, .may_change = may_change };
	l->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, l, MHD_OPTION_LISTEN_SOCKET,
		fd, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
		CONNECTION_TIMEOUT_S, MHD_OPTION_END);
	if (l->daemon == NULL) {
		close(fd);
		return -EIO;
	}
	s->listener_count++;
	return 0;
}

/* Nobody accepts there any more: the file was left behind. */
static bool
is_stale(const struct sockaddr_un *address)
{
	struct stat st;
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	const bool stale = lstat(address->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
			   connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
			   errno == ECONNREFUSED;
	close(fd);
	return stale;
}

static int
listen_unix(struct bb_server *s, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int error = bb_path_make_parent(path);

	if (error < 0)
		return error;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	const mode_t mask = umask(0117); /* owner and group */
	int r = bind(fd, (const struct sockaddr *)&address, sizeof(address));
	if (r < 0 && errno == EADDRINUSE && is_stale(&address) && unlink(path) == 0)
		r = bind(fd, (const struct sockaddr *)&address, sizeof(address));
	error = r < 0 ? -errno : 0;
	umask(mask);
	if (error == 0 && listen(fd, BACKLOG) < 0)
		error = -errno;
	if (error < 0) {
		close(fd);
		return error;
	}
	strcpy(s->path, path);
	return server_add(s, fd, true);
}

static int
listen_tcp(struct bb_server *s, const struct bb_conf_address *a)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(a->port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(a->port) };
	const bool is_v6 = a->kind == BB_ADDRESS_V6;
	const int on = 1;

	memcpy(&v4.sin_addr, a->ip, sizeof(v4.sin_addr));
	memcpy(&v6.sin6_addr, a->ip, sizeof(v6.sin6_addr));
	const int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	const struct sockaddr *address = is_v6 ? (const struct sockaddr *)&v6 : (const struct sockaddr *)&v4;
	if (bind(fd, address, is_v6 ? sizeof(v6) : sizeof(v4)) < 0 || listen(fd, BACKLOG) < 0) {
		const int error = errno;
		close(fd);
		return -error;
	}
	return server_add(
		s, fd, false); /* any user of the machine, and any web page he looks at, can come here */
}

static void
explain(const char *what, int error, char why[256])
{
	const char *way_out = error == -EADDRINUSE
				      ? "another busbar-control has it: stop that one, or choose another"
			      : error == -EACCES ? "permission denied: choose a place that you may write to"
			      : error == -EPERM	 ? "its directory is somebody else's: choose another place"
			      : error == -ENAMETOOLONG ? "the path is too long: at most 107 characters"
						       : strerror(-error);

	snprintf(why, 256, "%s: %s", what, way_out);
}

int
bb_server_create(struct bb_api *api, const char *path, const struct bb_conf_address *http,
	struct bb_server **ret, char ret_why[256])
{
	struct bb_server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->api = api;
	int error = listen_unix(s, path);
	if (error < 0) {
		explain(path, error, ret_why);
	} else if (http->kind != BB_ADDRESS_NONE) {
		error = listen_tcp(s, http);
		if (error < 0)
			explain(http->text, error, ret_why);
	}
	if (error < 0) {
		bb_server_destroy(s);
		return error;
	}
	*ret = s;
	return 0;
}

void
bb_server_destroy(struct bb_server *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; i < s->listener_count; i++)
		MHD_stop_daemon(s->listeners[i].daemon);
	if (s->path[0] != '\0')
		unlink(s->path);
	free(s);
}

unsigned
bb_server_fds(const struct bb_server *s, int ret[2])
{
	for (unsigned i = 0; i < s->listener_count; i++)
		ret[i] = MHD_get_daemon_info(s->listeners[i].daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	return s->listener_count;
}

void
bb_server_run(struct bb_server *s)
{
	for (unsigned i = 0; i < s->listener_count; i++)
		MHD_run(s->listeners[i].daemon);
}

int
bb_server_timeout_ms(const struct bb_server *s)
{
	int least = -1;

	for (unsigned i = 0; i < s->listener_count; i++) {
		MHD_UNSIGNED_LONG_LONG ms;
		if (MHD_get_timeout(s->listeners[i].daemon, &ms) != MHD_YES)
			continue;
		const int due = ms > 60000 ? 60000 : (int)ms;
		if (least < 0 || due < least)
			least = due;
	}
	return least;
}
