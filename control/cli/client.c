/* SPDX-License-Identifier: BSD-3-Clause */
/* client: asks the management API over its Unix socket, by libcurl. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/cli.h"

#define TIMEOUT_S 30L
#define ANSWER_MAX (256u << 20) /* a page of peers is some MiB */

struct answer {
	char *text;
	size_t len;
};

static size_t
on_data(char *data, size_t size, size_t count, void *arg)
{
	struct answer *a = arg;
	const size_t more = size * count;

	if (more > ANSWER_MAX - a->len)
		return 0;
	char *p = realloc(a->text, a->len + more + 1);
	if (p == NULL)
		return 0;
	memcpy(p + a->len, data, more);
	a->text = p;
	a->len += more;
	p[a->len] = '\0';
	return more;
}

/* The HTTP status, or 0 with *ret_error saying what failed. a->text is the caller's in any case. */
static long
perform(const char *socket, const char *path, bool post, struct answer *a, const char **ret_error)
{
	CURL *curl = curl_easy_init();
	char url[1024];
	long status = 0;

	*a = (struct answer){ .text = NULL };
	*ret_error = "not enough memory";
	if (curl == NULL)
		return 0;
	snprintf(url, sizeof(url), "http://busbar%s", path); /* the host is only a form: the socket decides */
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, a);
	if (post) {
		curl_easy_setopt(curl, CURLOPT_POST, 1L);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
	}
	const CURLcode code = curl_easy_perform(curl);
	if (code == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	else
		*ret_error = code == CURLE_OPERATION_TIMEDOUT ? "no answer in 30 seconds"
							      : curl_easy_strerror(code);
	curl_easy_cleanup(curl);
	return status;
}

/* Why the socket cannot be connected to, as far as we may see. */
static const char *
connect_error(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		return "the path is too long: at most 107 characters";
	if (access(path, F_OK) != 0)
		return "no such socket: is the appliance running? start it with `busbar run`, or give "
		       "--socket PATH";
	if (access(path, R_OK | W_OK) != 0)
		return "permission denied: run as the user of the appliance or as a member of its group";
	return "nobody listens there: start the appliance with `busbar run`, or give --socket PATH";
}

int
bb_client_get(const struct bb_cli *cli, const char *path, json_t **ret_json, char **ret_text)
{
	char socket[BB_PATH_MAX];
	struct answer a;
	const char *error;
	int result = BB_EXIT_OK;

	bb_path_socket(cli->socket, NULL, socket);
	const long status = perform(socket, path, false, &a, &error);
	if (status == 0) {
		const bool connected = strcmp(error, "no answer in 30 seconds") == 0;
		free(a.text);
		return bb_cli_fail(cli, "%s: %s", socket, connected ? error : connect_error(socket));
	}
	json_t *json = a.text != NULL && (status != 200 || ret_text == NULL)
			       ? json_loadb(a.text, a.len, 0, NULL)
			       : NULL;
	if (status != 200) {
		const char *why = json_string_value(json_object_get(json, "error"));
		result = bb_cli_fail(
			cli, "%s", why != NULL ? why : "the management API gave an answer that is none");
	} else if (ret_text != NULL) {
		*ret_text = a.text != NULL ? a.text : strdup("");
		a.text = NULL;
	} else if (json == NULL) {
		result = bb_cli_fail(
			cli, "%s: the answer is not JSON: is this socket the appliance's?", socket);
	} else {
		*ret_json = json;
		json = NULL;
	}
	json_decref(json);
	free(a.text);
	return result;
}

static bool
quietly(const char *socket, const char *path, bool post, json_t **ret_json)
{
	struct answer a;
	const char *error;
	const long status = perform(socket, path, post, &a, &error);
	json_t *json = a.text != NULL ? json_loadb(a.text, a.len, 0, NULL) : NULL;
	const bool ok = status >= 200 && status < 300 && json != NULL;

	free(a.text);
	if (ok && ret_json != NULL)
		*ret_json = json;
	else
		json_decref(json);
	return ok;
}

bool
bb_client_post_quietly(const char *socket, const char *path, json_t **ret_json)
{
	return quietly(socket, path, true, ret_json);
}

bool
bb_client_get_quietly(const char *socket, const char *path, json_t **ret_json)
{
	return quietly(socket, path, false, ret_json);
}

char *
bb_client_escape(const char *text)
{
	char *out = malloc(3 * strlen(text) + 1);
	size_t n = 0;

	if (out == NULL)
		return NULL;
	for (; *text != '\0'; text++) {
		const unsigned char c = (unsigned char)*text;
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			strchr("-._~", c) != NULL)
			out[n++] = (char)c;
		else
			n += (size_t)sprintf(out + n, "%%%02X", c);
	}
	out[n] = '\0';
	return out;
}
