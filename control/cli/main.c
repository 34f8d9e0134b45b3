/* SPDX-License-Identifier: BSD-3-Clause */
/* busbar: the command line of the appliance. One table of subcommands; each is a function. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

/* clang-format off */
static const struct bb_cli_command commands[] = {
	{ "run", "[-c FILE] [--state-dir DIR]", "start the appliance in the foreground",
	  "Starts busbar-dataplane and busbar-control, starts them again when they die, and on\n"
	  "SIGINT or SIGTERM drains and reports. Without -c it runs the embedded default.\n\n"
	  "  -c, --config FILE  configuration\n"
	  "  --state-dir DIR    state and lock file; one appliance per directory\n"
	  "  --socket PATH      management socket, instead of control.socket of the configuration\n",
	  bb_cmd_run },
	{ "status", "[--json]", "the node at a glance", "", bb_cmd_status },
	{ "endpoints", "[--json]", "endpoints, their sides and addresses", "", bb_cmd_endpoints },
	{ "peers", "[--json] [--endpoint NAME] [--side SIDE]", "who is connected, and what queues for them",
	  "  --endpoint NAME  only peers of this endpoint\n"
	  "  --side SIDE      only peers of this side, such as subscribers\n",
	  bb_cmd_peers },
	{ "subscriptions", "[--json] [ENDPOINT ...]", "topics that are subscribed to",
	  "Without operands, those of every pubsub endpoint. Octets that are no text are\n"
	  "shown as \\xNN.\n",
	  bb_cmd_subscriptions },
	{ "counters", "[--json] [--all] [PREFIX ...]", "counters of sides and loops",
	  "Shows what is not zero. With operands, only names that begin with one of them,\n"
	  "such as quotes or quotes.subscribers.dropped.\n\n"
	  "  --all  zeros too\n",
	  bb_cmd_counters },
	{ "cores", "[--json]", "where the loops run, and how busy they are", "", bb_cmd_cores },
	{ "config", "check FILE | show [-c FILE | --default] | keys", "check or show configurations",
	  "  check FILE       say what is wrong with it, line by line\n"
	  "  show             the configuration in force, every option\n"
	  "  show -c FILE     what FILE means, every option\n"
	  "  show --default   the embedded default\n"
	  "  show --changed   only what differs from the defaults\n"
	  "  keys             every key with type, range, default and meaning\n"
	  "  keys --markdown  the same, for a document\n",
	  bb_cmd_config },
	{ "version", "[--json]", "version of this program and of what runs", "", bb_cmd_version },
};
/* clang-format on */

const struct bb_cli_command *
bb_cli_command_find(const char *name)
{
	for (size_t i = 0; i < BB_ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static int
complain(const struct bb_cli *cli, int status, const char *fmt, va_list args)
{
	fprintf(stderr, "busbar%s%s: ", cli->name != NULL ? " " : "", cli->name != NULL ? cli->name : "");
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	return status;
}

int
bb_cli_fail(const struct bb_cli *cli, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	const int status = complain(cli, BB_EXIT_FAILED, fmt, args);
	va_end(args);
	return status;
}

int
bb_cli_misuse(const struct bb_cli *cli, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	const int status = complain(cli, BB_EXIT_USAGE, fmt, args);
	va_end(args);
	return status;
}

static void
command_help(const struct bb_cli_command *command)
{
	printf("Usage: busbar %s %s\n%c%s.\n", command->name, command->args, command->help[0] - 'a' + 'A',
		command->help + 1);
	if (command->more[0] != '\0')
		printf("\n%s", command->more);
}

static int
usage(FILE *out)
{
	fputs("Usage: busbar COMMAND [OPTION ...]\n\n", out);
	for (size_t i = 0; i < BB_ARRAY_LEN(commands); i++)
		fprintf(out, "  %-14s %s\n", commands[i].name, commands[i].help);
	fputs("\nEvery command has --help; reading commands have --json. The management socket is\n"
	      "--socket PATH, else $BUSBAR_SOCKET, else /run/busbar/control.sock, for users\n"
	      "$XDG_RUNTIME_DIR/busbar/control.sock.\n",
		out);
	return out == stdout ? BB_EXIT_OK : BB_EXIT_USAGE;
}

/* The value of option name at argv[i]: "--name value" or "--name=value". NULL if it is another; *used says
 * how many arguments it took, 0 if its value is missing. */
static const char *
option_value(const char *name, int argc, char **argv, int i, int *used)
{
	const size_t len = strlen(name);
	const bool flag = name[len - 1] == '!';

	if (flag) {
		*used = 1;
		return strlen(argv[i]) == len - 1 && strncmp(argv[i], name, len - 1) == 0 ? "" : NULL;
	}
	if (strcmp(argv[i], name) == 0) {
		*used = i + 1 < argc ? 2 : 0;
		return i + 1 < argc ? argv[i + 1] : "";
	}
	*used = 1;
	if (len > 2 && strncmp(argv[i], name, len) == 0 && argv[i][len] == '=')
		return argv[i] + len + 1;
	return NULL;
}

static const char *const no_names[] = { NULL };

int
bb_cli_options(struct bb_cli *cli, const struct bb_cli_command *command, int *argc, char **argv,
	const char *const *names, const char **values)
{
	int kept = 1;
	bool literal = false;

	if (names == NULL)
		names = no_names;
	for (int i = 1; i < *argc;) {
		const char *value = NULL;
		int used = 1;
		if (literal || argv[i][0] != '-' || argv[i][1] == '\0') {
			argv[kept++] = argv[i++];
			continue;
		}
		if (strcmp(argv[i], "--") == 0) {
			literal = true;
			i++;
			continue;
		}
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			command_help(command);
			return BB_EXIT_OK;
		}
		for (size_t k = 0; names[k] != NULL && value == NULL; k++) {
			value = option_value(names[k], *argc, argv, i, &used);
			if (value != NULL)
				values[k] = value;
		}
		if (value == NULL && (value = option_value("--socket", *argc, argv, i, &used)) != NULL)
			cli->socket = value;
		if (value == NULL && (value = option_value("--json!", *argc, argv, i, &used)) != NULL)
			cli->json = true;
		if (value == NULL)
			return bb_cli_misuse(cli, "%s: unknown option: `busbar %s --help` shows them",
				argv[i], command->name);
		if (used == 0)
			return bb_cli_misuse(cli, "%s: needs a value", argv[i]);
		i += used;
	}
	*argc = kept;
	return -1;
}

int
bb_cli_print_json(json_t *json)
{
	const int r = json_dumpf(json, stdout, JSON_INDENT(2));

	putchar('\n');
	json_decref(json);
	return r == 0 && fflush(stdout) == 0 ? BB_EXIT_OK : BB_EXIT_FAILED;
}

int
main(int argc, char **argv)
{
	struct bb_cli cli = { .name = NULL };
	int first = 1, used;
	const char *value;

	/* Options that all commands share may stand before the command, too. */
	while (first < argc && argv[first][0] == '-') {
		if (strcmp(argv[first], "--help") == 0 || strcmp(argv[first], "-h") == 0)
			return usage(stdout);
		if (strcmp(argv[first], "--version") == 0 || strcmp(argv[first], "-V") == 0) {
			puts("busbar " BB_VERSION);
			return BB_EXIT_OK;
		}
		if ((value = option_value("--socket", argc, argv, first, &used)) != NULL && used > 0)
			cli.socket = value;
		else if ((value = option_value("--json!", argc, argv, first, &used)) != NULL)
			cli.json = true;
		else
			return bb_cli_misuse(&cli,
				"%s: unknown option, or without its value: --help shows them", argv[first]);
		first += used;
	}
	if (first >= argc)
		return usage(stderr);
	if (strcmp(argv[first], "help") == 0)
		return usage(stdout);
	const struct bb_cli_command *command = bb_cli_command_find(argv[first]);
	if (command == NULL)
		return bb_cli_misuse(&cli, "%s: no such command: --help lists them", argv[first]);
	cli.name = command->name;
	const int status = command->run(&cli, argc - first, argv + first);
	if (fflush(stdout) != 0 && status == BB_EXIT_OK)
		return bb_cli_fail(&cli, "the output could not be written");
	return status;
}
