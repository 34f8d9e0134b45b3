/* SPDX-License-Identifier: BSD-3-Clause */
/* cli: what the subcommands of `busbar` share. Exit status: 0, 1 (failed), 2 (wrong use). */
#ifndef BB_CLI_CLI_H
#define BB_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "link/paths.h"

#define BB_EXIT_OK 0
#define BB_EXIT_FAILED 1
#define BB_EXIT_USAGE 2

struct bb_cli {
	const char *name;   /* of the subcommand */
	const char *socket; /* --socket; NULL: not given */
	bool json;	    /* --json */
};

/* One row of the subcommand table. */
struct bb_cli_command {
	const char *name;
	const char *args;				       /* for its usage line */
	const char *help;				       /* one line */
	const char *more;				       /* its --help, below the usage line */
	int (*run)(struct bb_cli *cli, int argc, char **argv); /* argv[0] is the name; an exit status */
};

/* "busbar NAME: ..." on standard error. Return BB_EXIT_FAILED, BB_EXIT_USAGE. */
int bb_cli_fail(const struct bb_cli *cli, const char *fmt, ...) BB_PRINTF(2, 3);
int bb_cli_misuse(const struct bb_cli *cli, const char *fmt, ...) BB_PRINTF(2, 3);

/*
 * Take --json, --socket PATH and --help out of argv, and options of the subcommand's own: each of names[],
 * ended by NULL, takes a value that goes to *values[i] ("--all" style flags end with '!' and get ""). What is
 * left are operands, from argv[1]; *argc counts them, argv[0] included. -1: go on; else the exit status.
 */
int bb_cli_options(struct bb_cli *cli, const struct bb_cli_command *command, int *argc, char **argv,
	const char *const *names, const char **values);

/*
 * Ask the management API. 0 with the answer in *ret_json, or in *ret_text (the caller's to free) when that is
 * not NULL instead; else the exit status, and the error has been told.
 */
int bb_client_get(const struct bb_cli *cli, const char *path, json_t **ret_json, char **ret_text);

/* POST without a body, and no complaint when it fails. True if the API took it. */
bool bb_client_post_quietly(const char *socket, const char *path, json_t **ret_json);
bool bb_client_get_quietly(const char *socket, const char *path, json_t **ret_json);

/* The text with all but letters, digits and -._~ written as %XX; the caller frees it. */
char *bb_client_escape(const char *text);

/* Print as indented JSON; gives the value away. An exit status. */
int bb_cli_print_json(json_t *json);

int bb_cmd_run(struct bb_cli *cli, int argc, char **argv);
int bb_cmd_status(struct bb_cli *cli, int argc, char **argv);
int bb_cmd_endpoints(struct bb_cli *cli, int argc, char **argv);
int bb_cmd_peers(struct bb_cli *cli, int argc, char **argv);
int bb_cmd_subscriptions(struct bb_cli *cli, int argc, char **argv);
int bb_cmd_counters(struct bb_cli *cli, int argc, char **argv);
int bb_cmd_cores(struct bb_cli *cli, int argc, char **argv);
int bb_cmd_config(struct bb_cli *cli, int argc, char **argv);
int bb_cmd_version(struct bb_cli *cli, int argc, char **argv);

const struct bb_cli_command *bb_cli_command_find(const char *name);

#endif
