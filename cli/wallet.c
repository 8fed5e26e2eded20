/* cli/wallet.c - tallyward wallet: an agent's money and its key. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/input.h"
#include "cli/output.h"
#include "common/amount.h"
#include "common/bytes.h"
#include "common/file.h"
#include "common/json.h"

static const struct column wallet_fields[] = {
    {"agent", "agent", CELL_TEXT},
    {"address", "address", CELL_TEXT},
    {.key = NULL},
};

static void show_wallet(struct buf *out, const json_t *result)
{
	static const struct column columns[] = {
	    {"network", "NETWORK", CELL_TEXT},
	    {"symbol", "ASSET", CELL_TEXT},
	    {"available", "AVAILABLE", CELL_AMOUNT},
	    {"reserved", "RESERVED", CELL_AMOUNT},
	    {"open", "OPEN", CELL_AMOUNT},
	    {"spent", "SPENT", CELL_AMOUNT},
	    {.key = NULL},
	};

	output_fields(out, wallet_fields, result);
	buf_add_str(out, "\n");
	output_table(out, columns, json_object_get(result, "assets"),
	    "Nothing booked yet: send USDC to the address, then tallyward wallet deposit");
}

static void show_booked(struct buf *out, const json_t *result)
{
	static const struct column fields[] = {
	    {"agent", "agent", CELL_TEXT},
	    {"event", "event", CELL_TEXT},
	    {"amount", "amount", CELL_AMOUNT},
	    {"network", "network", CELL_TEXT},
	    {"asset", "asset", CELL_TEXT},
	    {"available", "available", CELL_AMOUNT},
	    {.key = NULL},
	};

	output_fields(out, fields, result);
}

static void show_address(struct buf *out, const json_t *result)
{
	output_fields(out, wallet_fields, result);
}

static void show_exported(struct buf *out, const json_t *result)
{
	static const struct column fields[] = {
	    {"agent", "agent", CELL_TEXT},
	    {"address", "address", CELL_TEXT},
	    {"file", "file", CELL_TEXT},
	    {.key = NULL},
	};

	output_fields(out, fields, result);
}

static int run_show(const struct cli *cli)
{
	return client_show(cli, "wallet.show",
	    json_pack("{s:s}", "agent", options_word(cli->options, 0)), show_wallet);
}

static int book(const struct cli *cli, const char *command)
{
	const struct options *options = cli->options;

	return client_show(cli, command,
	    json_pack("{s:s, s:s, s:s*, s:s*}", "agent", options_word(options, 0), "amount",
		options_word(options, 1), "network", options_text(options, "network"), "note",
		options_text(options, "note")),
	    show_booked);
}

static int run_deposit(const struct cli *cli)
{
	return book(cli, "wallet.deposit");
}

static int run_withdraw(const struct cli *cli)
{
	return book(cli, "wallet.withdraw");
}

static enum command_exit check_import(const struct options *options)
{
	bool key = options_text(options, "key-file") != NULL;
	bool keystore = options_text(options, "keystore") != NULL;

	if (key == keystore)
		output_error("give one of --key-file FILE and --keystore FILE");
	else if (key && options_text(options, "password-file") != NULL)
		output_error("--password-file goes with --keystore");
	else
		return COMMAND_DONE;
	return COMMAND_USAGE;
}

/* Adds the secrets to args, which the caller wipes with client_run(). */
static enum command_exit read_import(json_t *args, const struct options *options)
{
	const char *key_path = options_text(options, "key-file");
	const char *keystore_path = options_text(options, "keystore");
	json_t *secret = input_secret(key_path != NULL ? key_path : keystore_path);
	json_t *password = NULL;
	enum command_exit status;

	if (secret == NULL)
		return COMMAND_FAILED;
	must(json_object_set_new(args, key_path != NULL ? "key" : "keystore", secret) == 0);
	if (key_path != NULL)
		return COMMAND_DONE;
	status = input_password(&password, options_text(options, "password-file"), false);
	if (status == COMMAND_DONE)
		must(json_object_set_new(args, "password", password) == 0);
	return status;
}

static int run_import(const struct cli *cli)
{
	const struct options *options = cli->options;
	bool replace = options_flag(options, "replace");
	enum command_exit status = check_import(options);
	json_t *args;

	if (status == COMMAND_DONE && replace)
		status = input_confirm(cli, "Replace the agent's key? What is left at the old "
					    "address can then no longer be paid with.");
	if (status != COMMAND_DONE)
		return status;
	args = json_pack("{s:s, s:b}", "agent", options_word(options, 0), "replace", replace);
	must(args != NULL);
	status = read_import(args, options);
	if (status != COMMAND_DONE) {
		json_decref(args);
		return status;
	}
	return client_show(cli, "wallet.import", args, show_address);
}

/* The keystore into a new file of its own, and where it is on stdout. */
static enum command_exit save_keystore(const struct cli *cli, json_t *result, const char *path)
{
	char *text = json_dumps(json_object_get(result, "keystore"), JSON_INDENT(2));
	enum command_exit status = COMMAND_FAILED;

	must(text != NULL);
	if (!file_create(path, text, strlen(text), 0600))
		output_error("could not write %s: %s", path,
		    errno == EEXIST ? "it exists; name another file" : strerror(errno));
	else {
		must(json_object_del(result, "keystore") == 0);
		must(json_object_set_new(result, "file", json_string(path)) == 0);
		if (output_result(cli, result, show_exported))
			status = COMMAND_DONE;
	}
	bytes_wipe(text, strlen(text));
	free(text);
	return status;
}

static int run_export(const struct cli *cli)
{
	const char *path = options_text(cli->options, "out");
	json_t *password = NULL, *result = NULL;
	enum command_exit status =
	    input_password(&password, options_text(cli->options, "password-file"), true);

	if (status != COMMAND_DONE)
		return status;
	status = client_run(&result, cli, "wallet.export",
	    json_pack("{s:s, s:o}", "agent", options_word(cli->options, 0), "password", password));
	if (status != COMMAND_DONE)
		return status;
	if (!json_is_object(json_object_get(result, "keystore"))) {
		output_error("the daemon's answer holds no keystore");
		status = COMMAND_FAILED;
	} else if (path != NULL)
		status = save_keystore(cli, result, path);
	else if (!output_result(cli, json_object_get(result, "keystore"), NULL))
		status = COMMAND_FAILED;
	json_decref(result);
	return status;
}

static void show_reconciled(struct buf *out, const json_t *result)
{
	static const struct column columns[] = {
	    {"network", "NETWORK", CELL_TEXT},
	    {"symbol", "ASSET", CELL_TEXT},
	    {"ledger", "LEDGER", CELL_AMOUNT},
	    {"chain", "CHAIN", CELL_AMOUNT},
	    {"in_flight", "IN FLIGHT", CELL_AMOUNT},
	    {"difference", "DIFFERENCE", CELL_AMOUNT},
	    {"block", "BLOCK", CELL_NUMBER},
	    {"endpoints", "ENDPOINTS", CELL_NUMBER},
	    {"note", "NOTE", CELL_TEXT},
	    {.key = NULL},
	};

	output_fields(out, wallet_fields, result);
	buf_add_str(out, "\n");
	output_table(out, columns, json_object_get(result, "assets"), "Nothing to compare.");
}

/* What may be booked: the assets with more on the chain than in the ledger. */
static json_t *inflows(struct buf *question, const json_t *result)
{
	json_t *list = json_array(), *row;
	size_t i;

	json_array_foreach(json_object_get(result, "assets"), i, row) {
		const char *difference = json_str(row, "difference");
		struct amount amount;

		/* A negative one does not parse. */
		if (difference == NULL || !amount_parse(&amount, difference) || amount.micros == 0)
			continue;
		buf_add_format(question, "%s$%s of %s on %s",
		    json_array_size(list) > 0 ? ", " : "Book as your deposit: ", difference,
		    json_str(row, "symbol"), json_str(row, "network"));
		must(json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "network",
		    json_str(row, "network"), "asset", json_str(row, "asset"), "amount",
		    difference)) == 0);
	}
	buf_add_str(question, "?");
	return list;
}

static enum command_exit reconcile(json_t **out, const struct cli *cli, json_t *deposits)
{
	return client_run(out, cli, "wallet.reconcile",
	    json_pack("{s:s, s:s*, s:O*}", "agent", options_word(cli->options, 0), "network",
		options_text(cli->options, "network"), "deposits", deposits));
}

/* The owner is shown what would be booked; the daemon books that and nothing else. */
static enum command_exit book_inflows(json_t **result, const struct cli *cli)
{
	struct buf question;
	json_t *deposits, *booked = NULL;
	enum command_exit status = COMMAND_DONE;

	buf_init(&question, 8192);
	deposits = inflows(&question, *result);
	if (json_array_size(deposits) > 0) {
		status = input_confirm(cli, buf_str(&question));
		if (status == COMMAND_DONE)
			status = reconcile(&booked, cli, deposits);
	}
	if (booked != NULL) {
		json_decref(*result);
		*result = booked;
	}
	json_decref(deposits);
	buf_fini(&question);
	return status;
}

static int run_reconcile(const struct cli *cli)
{
	json_t *result = NULL;
	enum command_exit status = reconcile(&result, cli, NULL);

	if (status == COMMAND_DONE && options_flag(cli->options, "book-deposit"))
		status = book_inflows(&result, cli);
	if (status == COMMAND_DONE && (!output_result(cli, result, show_reconciled) ||
	    !json_is_true(json_object_get(result, "ok"))))
		status = COMMAND_FAILED;
	json_decref(result);
	return status;
}

static const struct option_row book_options[] = {
    {"network", "CHAIN", OPTION_TEXT, 0, "such as eip155:8453; else default_network"},
    {"note", "TEXT", OPTION_TEXT, 0, "kept in the ledger beside it"},
    {.name = NULL},
};
static const struct option_row import_options[] = {
    {"key-file", "FILE", OPTION_TEXT, 0, "the private key as 64 hex digits"},
    {"keystore", "FILE", OPTION_TEXT, 0, "a Web3 keystore (version 3) and its password"},
    {"password-file", "FILE", OPTION_TEXT, 0, "its first line is the keystore's password"},
    {"replace", NULL, OPTION_FLAG, 0, "put it in the place of the key the agent has"},
    {"yes", NULL, OPTION_FLAG, 0, "do not ask before replacing"},
    {.name = NULL},
};
static const struct option_row export_options[] = {
    {"password-file", "FILE", OPTION_TEXT, 0,
	"its first line protects the export; else asked for"},
    {"out", "FILE", OPTION_TEXT, 0, "write a new file that only you can read"},
    {.name = NULL},
};

static const struct option_row reconcile_options[] = {
    {"network", "CHAIN", OPTION_TEXT, 0, "only there; else wherever there is an RPC endpoint"},
    {"book-deposit", NULL, OPTION_FLAG, 0, "book what the ledger does not know as your deposit"},
    {"yes", NULL, OPTION_FLAG, 0, "do not ask before booking"},
    {.name = NULL},
};

#define AGENT_WORD  {"AGENT", OPTION_TEXT, false}
#define AMOUNT_WORD {"AMOUNT", OPTION_AMOUNT, false}

static const struct verb wallet_verbs[] = {
    {.name = "show", .help = "show an agent's address and balances", .words = {AGENT_WORD},
	.run = run_show},
    {.name = "deposit", .help = "book dollars that you sent to the agent's address",
	.words = {AGENT_WORD, AMOUNT_WORD}, .options = book_options, .run = run_deposit},
    {.name = "withdraw", .help = "book dollars that you took from the agent's address",
	.words = {AGENT_WORD, AMOUNT_WORD}, .options = book_options, .run = run_withdraw},
    {.name = "reconcile", .help = "hold the ledger against the chain, and show the difference",
	.words = {AGENT_WORD}, .options = reconcile_options, .run = run_reconcile},
    {.name = "import", .help = "use a key made elsewhere as the agent's", .words = {AGENT_WORD},
	.options = import_options, .run = run_import},
    {.name = "export", .help = "print the agent's key as a password-protected keystore",
	.words = {AGENT_WORD}, .options = export_options, .run = run_export},
    {.run = NULL},
};

const struct subcommand wallet_subcommand = {
    .name = "wallet",
    .help = "show an agent's money, book what goes in and out, import and export its key",
    .verbs = wallet_verbs,
};
