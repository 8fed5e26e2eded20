/* cli/serve.c - tallyward serve: the daemon, and looks at its configuration. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/output.h"
#include "common/file.h"
#include "common/json.h"
#include "policy/policy.h"
#include "proxy/command.h"
#include "proxy/config.h"
#include "proxy/exchange.h"
#include "proxy/serve.h"
#include "proxy/tls.h"

#define CONFIG_SIZE_MAX (64u * 1024u)
#define WORKERS_MAX     256L

static void say_place(const char *path, const struct json_error *error)
{
	output_error("%s:%d: %s%s%s", path, error->line, error->path,
	    error->path[0] != '\0' ? ": " : "", error->reason);
}

/* DIR/tallyward.json; its absence is an empty file when that is all right. */
static enum command_exit read_config(struct config *out, const struct cli *cli, bool must_exist)
{
	char *path = file_path(cli->dir, "tallyward.json");
	enum command_exit status = COMMAND_DONE;
	struct json_error error;
	size_t size = 0;
	char *text = file_read(&size, path, CONFIG_SIZE_MAX);

	if (text == NULL && errno == ENOENT && !must_exist)
		config_init(out);
	else if (text == NULL) {
		status = errno == ENOENT ? COMMAND_NOT_FOUND : COMMAND_FAILED;
		output_error("could not read %s: %s", path, strerror(errno));
	} else if (!config_read(out, &error, text, size)) {
		status = COMMAND_FAILED;
		say_place(path, &error);
	}
	free(text);
	free(path);
	return status;
}

static int dump_config(const struct cli *cli)
{
	struct config config;
	struct buf text;
	enum command_exit status = read_config(&config, cli, false);

	if (status != COMMAND_DONE)
		return status;
	buf_init(&text, OUTPUT_SIZE_MAX);
	config_dump(&text, &config);
	if (!buf_ok(&text) || !output_text(buf_str(&text)))
		status = COMMAND_FAILED;
	buf_fini(&text);
	config_fini(&config);
	return status;
}

static enum command_exit check_policy(const char *path)
{
	struct json_error error = {.line = 0};
	struct policy *policy = NULL;
	size_t size = 0;
	char *text = file_read(&size, path, POLICY_SIZE_MAX);

	if (text == NULL)
		output_error("could not read %s: %s", path, strerror(errno));
	else if ((policy = policy_parse(&error, text, size)) == NULL)
		say_place(path, &error);
	free(text);
	if (policy == NULL)
		return COMMAND_FAILED;
	policy_free(&policy);
	return COMMAND_DONE;
}

static int check_config(const struct cli *cli)
{
	struct config config;
	enum command_exit status = read_config(&config, cli, true);
	char *config_path, *policy_path, reason[TLS_REASON_SIZE];
	SSL_CTX *context = NULL;
	enum tls_result tls;

	if (status != COMMAND_DONE)
		return status;
	tls = tls_read(&context, reason, cli->dir, &config);
	SSL_CTX_free(context);
	config_fini(&config);
	if (tls == TLS_BAD) {
		output_error("%s", reason);
		return COMMAND_FAILED;
	}
	config_path = file_path(cli->dir, "tallyward.json");
	policy_path = file_path(cli->dir, "policy.json");
	status = check_policy(policy_path);
	if (status == COMMAND_DONE) {
		json_t *result = json_pack("{s:b, s:s, s:s}", "ok", 1, "config", config_path,
		    "policy", policy_path);

		if (result == NULL || !output_result(cli, result, NULL))
			status = COMMAND_FAILED;
		json_decref(result);
	}
	free(policy_path);
	free(config_path);
	return status;
}

static bool check_address(const struct options *options, const char *name)
{
	const char *address = options_text(options, name);

	if (address == NULL || listener_address_valid(address))
		return true;
	output_error("--%s takes an address and a port, like 127.0.0.1:8402, not '%s'", name,
	    address);
	return false;
}

static int run_serve(const struct cli *cli)
{
	const struct options *options = cli->options;
	const struct serve_options serve = {
	    .house = {.dir = cli->dir,
		.passphrase_file = options_text(options, "passphrase-file"),
		.command = "admin socket"},
	    .listen = options_text(options, "listen"),
	    .admin = options_text(options, "admin"),
	    .ports_file = options_text(options, "ports-file"),
	    .workers = options_count(options, "workers"),
	};

	if (serve.workers > WORKERS_MAX) {
		output_error("--workers takes at most %ld", WORKERS_MAX);
		return COMMAND_USAGE;
	}
	if (!check_address(options, "listen") || !check_address(options, "admin"))
		return COMMAND_USAGE;
	if (options_flag(options, "dump-config"))
		return dump_config(cli);
	if (options_flag(options, "check-config"))
		return check_config(cli);
	return serve_run(&serve);
}

static const struct option_row serve_options[] = {
    {"listen", "ADDRESS", OPTION_TEXT, 0, "where agents connect; port 0 takes a free one"},
    {"admin", "ADDRESS", OPTION_TEXT, 0, "where health and metrics are served"},
    {"workers", "N", OPTION_COUNT, 0, "threads that carry calls; 0: one a core"},
    {"ports-file", "FILE", OPTION_TEXT, 0, "write the addresses there once they are open"},
    {"passphrase-file", "FILE", OPTION_TEXT, 0, "where the keys' passphrase is"},
    {"dump-config", NULL, OPTION_FLAG, 0, "print the whole configuration and stop"},
    {"check-config", NULL, OPTION_FLAG, 0,
	"check the configuration and the default policy and stop"},
    {.name = NULL},
};

static const struct verb serve_verbs[] = {
    {.help = "run the proxy until SIGTERM or SIGINT",
	.options = serve_options, .run = run_serve},
    {.run = NULL},
};

const struct subcommand serve_subcommand = {
    .name = "serve",
    .help = "run the proxy",
    .verbs = serve_verbs,
};
