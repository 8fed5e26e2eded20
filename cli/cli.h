/* cli/cli.h - the command line: subcommands, their verbs, and what a verb is handed.
 *
 * `tallyward [-d DIR] [--json] SUBCOMMAND [VERB] [argument …] [--option …]`. Every subcommand is
 * one file that declares its verbs in a table (cli/options.h): parsing, --help and the usage
 * errors come from there. A verb's function returns the program's exit status
 * (enum command_exit) and has by then written what it has to say: the result on stdout,
 * exactly one line on stderr when the status is not 0. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>

#include "cli/options.h"

/* What every verb is handed; borrowed for the length of the call. */
struct cli {
	const char *dir; /* the data folder: -d, else TALLYWARD_DIR, else ./tallyward-data */
	bool json;       /* print JSON: --json, or stdout is not a terminal */
	const struct options *options;
};

struct subcommand {
	const char *name;
	const char *help; /* one line: no capital, no final point */
	const struct verb *verbs; /* ended by a NULL run; a single one without name: no verbs */
};

extern const struct subcommand init_subcommand;
extern const struct subcommand serve_subcommand;
extern const struct subcommand tool_subcommand;
extern const struct subcommand agent_subcommand;
extern const struct subcommand token_subcommand;
extern const struct subcommand network_subcommand;
extern const struct subcommand policy_subcommand;
extern const struct subcommand wallet_subcommand;
extern const struct subcommand payment_subcommand;
extern const struct subcommand ledger_subcommand;
extern const struct subcommand dispute_subcommand;
extern const struct subcommand doctor_subcommand;
extern const struct subcommand backup_subcommand;
extern const struct subcommand restore_subcommand;

#endif
