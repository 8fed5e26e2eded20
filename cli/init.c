/* cli/init.c - tallyward init: make a data folder. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/output.h"
#include "common/file.h"
#include "proxy/command.h"
#include "proxy/config.h"
#include "proxy/house.h"

static const struct {
	const char *command, *what;
} steps[] = {
    {"tool add NAME URL", "name a paid API or MCP server"},
    {"agent add NAME --owner EMAIL", "make its wallet, address and token"},
    {"wallet deposit NAME 10.00", "book the USDC you sent to that address"},
    {"serve", "run the proxy"},
};

/* What to type next, with the folder where it is not the default one. */
static void show_init(struct buf *out, const json_t *result)
{
	const char *dir = json_string_value(json_object_get(result, "dir"));
	const char *start = json_string_value(json_object_get(result, "start"));

	buf_add_str(out, "Made the data folder ");
	output_clean(out, dir);
	buf_add_str(out, ".\nIts keys/ and its passphrase file are the money: keep copies of both, "
			 "in two places.\n\nNext:\n");
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		buf_add_str(out, "  ");
		output_clean(out, start);
		buf_add_format(out, " %-30s%s\n", steps[i].command, steps[i].what);
	}
	buf_add_str(out, "\nAgents without a policy of their own get the one in ");
	output_clean(out, json_string_value(json_object_get(result, "policy")));
	buf_add_str(out, ".\n");
}

static json_t *describe(const struct cli *cli)
{
	char *config_path = file_path(cli->dir, "tallyward.json");
	char *policy_path = file_path(cli->dir, "policy.json");
	struct config config;
	json_t *result;

	config_init(&config); /* a new folder's file holds the defaults */
	result = json_pack("{s:s, s:s, s:s, s:s}", "dir", cli->dir, "config", config_path, "policy",
	    policy_path, "default_network", config.default_network);
	must(result != NULL);
	config_fini(&config);
	free(policy_path);
	free(config_path);
	return result;
}

static int run_init(const struct cli *cli)
{
	const struct house_options options = {
	    .dir = cli->dir,
	    .passphrase_file = options_text(cli->options, "passphrase-file"),
	    .command = "cli",
	};
	char reason[512] = "";
	json_t *result;
	bool ok;

	if (house_init(reason, &options) != HOUSE_OK) {
		output_error("%s", reason);
		return COMMAND_FAILED;
	}
	result = describe(cli);
	if (!cli->json) {
		json_t *start = cli->options->dir != NULL
		    ? json_sprintf("tallyward -d %s", cli->dir)
		    : json_string("tallyward");

		must(json_object_set_new(result, "start", start) == 0);
	}
	ok = output_result(cli, result, show_init);
	json_decref(result);
	return ok ? COMMAND_DONE : COMMAND_FAILED;
}

static const struct option_row init_options[] = {
    {"passphrase-file", "FILE", OPTION_TEXT, 0,
	"protect the keys with the passphrase in FILE instead of a random one"},
    {.name = NULL},
};

static const struct verb init_verbs[] = {
    {.help = "make a data folder: configuration, ledger, keystore, default policy",
	.options = init_options, .run = run_init},
    {.run = NULL},
};

const struct subcommand init_subcommand = {
    .name = "init",
    .help = "make a data folder: configuration, ledger, keystore, default policy",
    .verbs = init_verbs,
};
