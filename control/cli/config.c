/* SPDX-License-Identifier: BSD-3-Clause */
/* config: checks and shows configurations. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "conf/conf.h"
#include "conf/show.h"

/* 0, or BB_EXIT_FAILED with every error printed. */
static int
read_file(const char *file, struct bb_conf *ret)
{
	static struct bb_conf_errors errors;
	const int r = bb_conf_read_file(ret, file, &errors);

	for (uint32_t i = 0; i < errors.count; i++)
		fprintf(stderr, "%s\n", errors.line[i]);
	if (errors.count == BB_CONF_ERRORS_MAX)
		fprintf(stderr, "%s: there may be more: the first %d errors are shown\n", file,
			BB_CONF_ERRORS_MAX);
	return r < 0 ? BB_EXIT_FAILED : BB_EXIT_OK;
}

static int
check(const struct bb_cli *cli, const char *file)
{
	struct bb_conf conf;
	const int status = read_file(file, &conf);

	if (status != BB_EXIT_OK)
		return status;
	if (cli->json)
		printf("{ \"ok\": true, \"endpoints\": %u }\n", conf.endpoint_count);
	else
		printf("%s: ok, %u endpoint%s\n", file, conf.endpoint_count,
			conf.endpoint_count == 1 ? "" : "s");
	bb_conf_fini(&conf);
	return BB_EXIT_OK;
}

static int
show_file(const char *file, bool all)
{
	struct bb_conf conf;
	const int status = read_file(file, &conf);

	if (status != BB_EXIT_OK)
		return status;
	bb_conf_show(stdout, &conf, all);
	bb_conf_fini(&conf);
	return BB_EXIT_OK;
}

static int
show_running(const struct bb_cli *cli, bool all)
{
	static struct bb_conf_errors errors;
	struct bb_conf conf;
	char *text = NULL;
	const int status = bb_client_get(cli, "/v1/config", NULL, &text);

	if (status != BB_EXIT_OK)
		return status;
	if (all) {
		fputs(text, stdout);
	} else if (bb_conf_read(&conf, "running", text, strlen(text), &errors) == 0) {
		bb_conf_show(stdout, &conf, false);
		bb_conf_fini(&conf);
	} else {
		free(text);
		return bb_cli_fail(
			cli, "the running control is of another version: use `busbar config show`");
	}
	free(text);
	return BB_EXIT_OK;
}

int
bb_cmd_config(struct bb_cli *cli, int argc, char **argv)
{
	static const char *const names[] = { "-c", "--config", "--default!", "--changed!", "--markdown!",
		NULL };
	const char *values[5] = { NULL };
	const int status = bb_cli_options(cli, bb_cli_command_find("config"), &argc, argv, names, values);
	const char *file = values[0] != NULL ? values[0] : values[1];

	if (status >= 0)
		return status;
	if (argc < 2)
		return bb_cli_misuse(
			cli, "check, show or keys is needed: `busbar config --help` explains them");
	const char *verb = argv[1];
	if (strcmp(verb, "check") == 0) {
		if (file == NULL && argc == 3)
			return check(cli, argv[2]);
		if (file != NULL && argc == 2)
			return check(cli, file);
		return bb_cli_misuse(cli, "check needs one file: busbar config check FILE");
	}
	if (argc > 2)
		return bb_cli_misuse(
			cli, "%s: not expected here: `busbar config --help` shows the options", argv[2]);
	if (strcmp(verb, "keys") == 0) {
		bb_conf_show_keys(stdout, values[4] != NULL);
		return BB_EXIT_OK;
	}
	if (strcmp(verb, "show") != 0)
		return bb_cli_misuse(cli, "%s: unknown: write check, show or keys", verb);
	if (values[2] != NULL && file != NULL)
		return bb_cli_misuse(cli, "-c FILE and --default exclude each other: give one");
	if (values[2] != NULL) {
		fwrite(bb_conf_default_text, 1, bb_conf_default_len, stdout);
		return BB_EXIT_OK;
	}
	return file != NULL ? show_file(file, values[3] == NULL) : show_running(cli, values[3] == NULL);
}
