/* SPDX-License-Identifier: BSD-3-Clause */
/* paths: where the processes of one appliance find each other on this machine. */
#ifndef BB_LINK_PATHS_H
#define BB_LINK_PATHS_H

#include <stdbool.h>
#include <stddef.h>

#define BB_PATH_MAX 1024

/*
 * The management socket when nobody names one: /run/busbar/control.sock for root, else busbar/control.sock in
 * $XDG_RUNTIME_DIR, else /tmp/busbar-UID/control.sock.
 */
void bb_path_default_socket(char out[BB_PATH_MAX]);

/* By precedence: option (NULL: not given), $BUSBAR_SOCKET, configured (NULL or empty: not given), the
 * default. */
void bb_path_socket(const char *option, const char *configured, char out[BB_PATH_MAX]);

/* /var/lib/busbar for root, else busbar in $XDG_STATE_HOME or ~/.local/state. -ENOENT if there is no home. */
int bb_path_default_state_dir(char out[BB_PATH_MAX]);

/*
 * Make a directory, and those above it, with mode 0700 (0755 under /run, where other users' tools look), and
 * see that it is ours and nobody else may write to it. 0; -ENOTDIR; -EPERM if it is somebody else's; or what
 * mkdir() says.
 */
int bb_path_make_dir(const char *path);

/* The same for the directory of a file. */
int bb_path_make_parent(const char *path);

/*
 * The program `name` ("busbar-dataplane") that belongs to this one: what the variable env names, else beside
 * the running program, in dir (relative to it: "../dataplane" in the build tree), in ../libexec/busbar, or in
 * ../bin. 0 or -ENOENT.
 */
int bb_path_program(const char *name, const char *dir, const char *env, char out[BB_PATH_MAX]);

/* Join; false if the result does not fit. */
bool bb_path_join(char out[BB_PATH_MAX], const char *dir, const char *file);

#endif
