/* SPDX-License-Identifier: BSD-3-Clause */
#include "link/paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *
env_path(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] == '/' ? value
						: NULL; /* a relative one would depend on where we stand */
}

void
bb_path_default_socket(char out[BB_PATH_MAX])
{
	const char *runtime = env_path("XDG_RUNTIME_DIR");

	if (geteuid() == 0)
		snprintf(out, BB_PATH_MAX, "/run/busbar/control.sock");
	else if (runtime != NULL)
		snprintf(out, BB_PATH_MAX, "%s/busbar/control.sock", runtime);
	else
		snprintf(out, BB_PATH_MAX, "/tmp/busbar-%u/control.sock", (unsigned)geteuid());
}

void
bb_path_socket(const char *option, const char *configured, char out[BB_PATH_MAX])
{
	const char *env = getenv("BUSBAR_SOCKET");

	if (option != NULL)
		snprintf(out, BB_PATH_MAX, "%s", option);
	else if (env != NULL && env[0] != '\0')
		snprintf(out, BB_PATH_MAX, "%s", env);
	else if (configured != NULL && configured[0] != '\0')
		snprintf(out, BB_PATH_MAX, "%s", configured);
	else
		bb_path_default_socket(out);
}

int
bb_path_default_state_dir(char out[BB_PATH_MAX])
{
	const char *state = env_path("XDG_STATE_HOME"), *home = env_path("HOME");

	if (geteuid() == 0)
		snprintf(out, BB_PATH_MAX, "/var/lib/busbar");
	else if (state != NULL)
		snprintf(out, BB_PATH_MAX, "%s/busbar", state);
	else if (home != NULL)
		snprintf(out, BB_PATH_MAX, "%s/.local/state/busbar", home);
	else
		return -ENOENT;
	return 0;
}

int
bb_path_make_dir(const char *path)
{
	char part[BB_PATH_MAX];
	struct stat st;
	const mode_t mode = strncmp(path, "/run/", 5) == 0 ? 0755 : 0700;

	if (strlen(path) >= sizeof(part))
		return -ENAMETOOLONG;
	for (const char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
		const size_t len = slash != NULL ? (size_t)(slash - path) : strlen(path);
		memcpy(part, path, len);
		part[len] = '\0';
		if (mkdir(part, mode) < 0 && errno != EEXIST)
			return -errno;
		if (slash == NULL)
			break;
	}
	/* In /tmp anybody may have made it before us. */
	if (lstat(path, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode)) {
		if (st.st_uid != geteuid() && st.st_uid != 0)
			return -EPERM;
		if (stat(path, &st) < 0)
			return -errno;
	}
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & S_IWOTH))
		return -EPERM;
	return 0;
}

int
bb_path_make_parent(const char *path)
{
	char parent[BB_PATH_MAX], standard[BB_PATH_MAX];
	const char *slash = strrchr(path, '/');

	if (slash == NULL || slash == path)
		return 0; /* the working directory, or the root */
	if ((size_t)(slash - path) >= sizeof(parent))
		return -ENAMETOOLONG;
	memcpy(parent, path, (size_t)(slash - path));
	parent[slash - path] = '\0';
	bb_path_default_socket(standard);
	if (strcmp(path, standard) != 0 && access(parent, F_OK) == 0)
		return 0; /* the operator named it: not ours to judge */
	return bb_path_make_dir(parent);
}

bool
bb_path_join(char out[BB_PATH_MAX], const char *dir, const char *file)
{
	return snprintf(out, BB_PATH_MAX, "%s/%s", dir, file) < BB_PATH_MAX;
}

int
bb_path_program(const char *name, const char *dir, const char *env, char out[BB_PATH_MAX])
{
	const char *const places[] = { ".", dir, "../libexec/busbar", "../bin" };
	const char *named = getenv(env);
	char self[BB_PATH_MAX];

	if (named != NULL && named[0] != '\0') {
		snprintf(out, BB_PATH_MAX, "%s", named);
		return access(out, X_OK) == 0 ? 0 : -ENOENT;
	}
	const ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n <= 0)
		return -ENOENT;
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		const int len = snprintf(out, BB_PATH_MAX, "%s/%s/%s", self, places[i], name);
		if (len < BB_PATH_MAX && access(out, X_OK) == 0)
			return 0;
	}
	return -ENOENT;
}
