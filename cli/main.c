/* cli/main.c - from the command line to the function of a verb. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"
#include "common/json.h"
#include "proxy/command.h"

#define DIR_DEFAULT "./tallyward-data"

static const struct subcommand *const subcommands[] = {
    &init_subcommand, &serve_subcommand, &tool_subcommand, &agent_subcommand, &token_subcommand,
    &network_subcommand, &policy_subcommand, &wallet_subcommand, &payment_subcommand,
    &ledger_subcommand, &dispute_subcommand, &doctor_subcommand, &backup_subcommand,
    &restore_subcommand,
};
/* Debian's libcurl speaks RTMP and LDAP too, whose libraries bring GnuTLS: two thirds of a
 * megabyte that it makes itself ready with in every process that it is loaded into. Here nothing
 * can reach it, because transfers are of http and https alone (proxy/transfer.c), by OpenSSL. What
 * GnuTLS asks whoever loads it, as its GNUTLS_SKIP_GLOBAL_INIT answers:
 * https://www.gnutls.org/manual/html_node/Core-TLS-API.html (gnutls_global_init). */
int _gnutls_global_init_skip(void);
int _gnutls_global_init_skip(void)
{
	return 1;
}

#define SUBCOMMAND_COUNT (sizeof(subcommands) / sizeof(subcommands[0]))
#define VERBS_MAX        16u

static bool has_verbs(const struct subcommand *subcommand)
{
	return subcommand->verbs[0].name != NULL;
}

static const struct subcommand *find_subcommand(const char *name)
{
	const char *names[SUBCOMMAND_COUNT + 1] = {NULL};
	const char *nearest;

	for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
		if (strcmp(subcommands[i]->name, name) == 0)
			return subcommands[i];
		names[i] = subcommands[i]->name;
	}
	nearest = json_nearest(name, names);
	if (nearest != NULL)
		output_error("unknown command '%.100s'; did you mean '%s'?", name, nearest);
	else
		output_error("unknown command '%.100s'; 'tallyward --help' lists them", name);
	return NULL;
}

static const struct verb *find_verb(const struct subcommand *subcommand, const char *name)
{
	const char *names[VERBS_MAX + 1] = {NULL};
	const char *nearest;

	for (size_t i = 0; subcommand->verbs[i].run != NULL; i++) {
		must(i < VERBS_MAX);
		if (strcmp(subcommand->verbs[i].name, name) == 0)
			return &subcommand->verbs[i];
		names[i] = subcommand->verbs[i].name;
	}
	nearest = json_nearest(name, names);
	if (nearest != NULL)
		output_error("unknown command '%s %.100s'; did you mean '%s %s'?", subcommand->name,
		    name, subcommand->name, nearest);
	else
		output_error("unknown command '%s %.100s'; 'tallyward %s --help' lists them",
		    subcommand->name, name, subcommand->name);
	return NULL;
}

static void help_program(struct buf *out)
{
	buf_add_str(out, "Usage: tallyward [-d DIR] [--json] COMMAND …\n\n"
			 "The purse an owner hands to an AI agent: it decides what the agent may "
			 "spend, pays\nthe sellers, and books every cent.\n\nCommands:\n");
	for (size_t i = 0; i < SUBCOMMAND_COUNT; i++)
		buf_add_format(out, "  %-9s%s\n", subcommands[i]->name, subcommands[i]->help);
	buf_add_str(out, "\nEvery command:\n");
	options_help_global(out);
	buf_add_str(out, "\n'tallyward COMMAND --help' says more; so does tallyward(1).\n");
}

static void help_subcommand(struct buf *out, const struct subcommand *subcommand)
{
	buf_add_format(out, "Usage: tallyward %s VERB …\n\n", subcommand->name);
	options_sentence(out, subcommand->help);
	buf_add_str(out, "\nVerbs:\n");
	for (const struct verb *verb = subcommand->verbs; verb->run != NULL; verb++) {
		buf_add_str(out, "  ");
		options_usage(out, subcommand->name, verb);
		buf_add_format(out, "\n        %s\n", verb->help);
	}
	buf_add_str(out, "\nEvery command:\n");
	options_help_global(out);
}

/* Help for as much of the command as was named; either may be NULL. */
static int say_help(const struct subcommand *subcommand, const struct verb *verb)
{
	struct buf text;
	bool ok;

	buf_init(&text, 64u * 1024u);
	if (subcommand == NULL)
		help_program(&text);
	else if (verb == NULL)
		help_subcommand(&text, subcommand);
	else
		options_help(&text, subcommand->name, verb);
	must(buf_ok(&text));
	ok = output_text(buf_str(&text));
	buf_fini(&text);
	return ok ? COMMAND_DONE : COMMAND_FAILED;
}

static int say_version(void)
{
	return output_text(PACKAGE_NAME " " PACKAGE_VERSION "\n") ? COMMAND_DONE : COMMAND_FAILED;
}

static int run_verb(struct options *options, const struct subcommand *subcommand,
    const struct verb *verb, int argc, char **argv)
{
	const char *dir = getenv("TALLYWARD_DIR");
	char reason[OPTIONS_REASON_SIZE];
	struct cli cli;

	if (options_parse(options, reason, subcommand->name, verb, argc, argv) != OPTIONS_OK) {
		output_error("%s", reason);
		return COMMAND_USAGE;
	}
	if (options->help)
		return say_help(subcommand, verb);
	if (options->version)
		return say_version();
	if (options->dir != NULL)
		dir = options->dir;
	cli.dir = dir != NULL && dir[0] != '\0' ? dir : DIR_DEFAULT;
	if (!options_utf8(cli.dir)) {
		output_error("the data folder's name is not UTF-8 text: name another one");
		return COMMAND_USAGE;
	}
	cli.json = options->json || !isatty(STDOUT_FILENO);
	cli.options = options;
	return verb->run(&cli);
}

/* The options before the next word, and that word: argv[*at]. False: *status says it all. */
static bool next_word(int *status, struct options *options, int *at, int argc, char **argv,
    const struct subcommand *subcommand)
{
	char reason[OPTIONS_REASON_SIZE];
	int skipped = 1;

	if (options_parse_global(options, &skipped, reason, argc - *at, argv + *at) != OPTIONS_OK) {
		output_error("%s; see 'tallyward%s%s --help'", reason,
		    subcommand != NULL ? " " : "", subcommand != NULL ? subcommand->name : "");
		*status = COMMAND_USAGE;
		return false;
	}
	*at += skipped;
	if (options->version) {
		*status = say_version();
		return false;
	}
	if (options->help && *at == argc) {
		*status = say_help(subcommand, NULL);
		return false;
	}
	if (*at < argc)
		return true;
	output_error("no %s given; 'tallyward%s%s --help' lists them",
	    subcommand != NULL ? "verb" : "command", subcommand != NULL ? " " : "",
	    subcommand != NULL ? subcommand->name : "");
	*status = COMMAND_USAGE;
	return false;
}

int main(int argc, char **argv)
{
	struct options options = {.dir = NULL};
	const struct subcommand *subcommand;
	const struct verb *verb;
	int at = 0, status = COMMAND_USAGE;

	json_init();
	if (!next_word(&status, &options, &at, argc, argv, NULL))
		return status;
	subcommand = find_subcommand(argv[at]);
	if (subcommand == NULL)
		return COMMAND_USAGE;
	verb = subcommand->verbs;
	if (has_verbs(subcommand)) {
		if (!next_word(&status, &options, &at, argc, argv, subcommand))
			return status;
		verb = find_verb(subcommand, argv[at]);
		if (verb == NULL)
			return COMMAND_USAGE;
	}
	return run_verb(&options, subcommand, verb, argc - at, argv + at);
}
