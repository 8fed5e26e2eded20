/* cli/payment.c - tallyward payment: what was signed, and the owner's word on what is open. */
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/input.h"
#include "cli/output.h"
#include "common/json.h"

static const struct column payment_fields[] = {
    {"payment", "payment", CELL_TEXT},
    {"state", "state", CELL_TEXT},
    {"reason", "reason", CELL_TEXT},
    {"call", "call", CELL_TEXT},
    {"agent", "agent", CELL_TEXT},
    {"tool", "tool", CELL_TEXT},
    {"method", "method", CELL_TEXT},
    {"url", "url", CELL_TEXT},
    {"session", "session", CELL_TEXT},
    {"amount", "amount", CELL_AMOUNT},
    {"refunded", "refunded", CELL_AMOUNT},
    {"network", "network", CELL_TEXT},
    {"asset", "asset", CELL_TEXT},
    {"payer", "payer", CELL_TEXT},
    {"payee", "payee", CELL_TEXT},
    {"nonce", "nonce", CELL_TEXT},
    {"valid_before", "valid before (UTC)", CELL_TIME},
    {"transaction", "transaction", CELL_TEXT},
    {"header_name", "header", CELL_TEXT},
    {.key = NULL},
};

static void show_payments(struct buf *out, const json_t *result)
{
	static const struct column columns[] = {
	    {"payment", "PAYMENT", CELL_TEXT},
	    {"agent", "AGENT", CELL_TEXT},
	    {"tool", "TOOL", CELL_TEXT},
	    {"state", "STATE", CELL_TEXT},
	    {"amount", "AMOUNT", CELL_AMOUNT},
	    {"refunded", "REFUNDED", CELL_AMOUNT},
	    {"network", "NETWORK", CELL_TEXT},
	    {"valid_before", "VALID BEFORE (UTC)", CELL_TIME},
	    {"payee", "PAYEE", CELL_TEXT},
	    {.key = NULL},
	};

	output_table(out, columns, result, "No payments.");
}

static void show_payment(struct buf *out, const json_t *result)
{
	static const struct column columns[] = {
	    {"time", "TIME (UTC)", CELL_TIME},
	    {"state", "STATE", CELL_TEXT},
	    {"by", "BY", CELL_TEXT},
	    {"transaction", "TRANSACTION", CELL_TEXT},
	    {"reason", "REASON", CELL_TEXT},
	    {.key = NULL},
	};
	static const struct column verdict[] = {
	    {"state", "state", CELL_TEXT},
	    {"signer", "signer", CELL_TEXT},
	    {"reason", "reason", CELL_TEXT},
	    {.key = NULL},
	};
	static const char *const kinds[] = {"offer", "receipt"};
	const json_t *states = json_object_get(result, "states");
	const char *challenge = json_str(result, "challenge");

	output_fields(out, payment_fields, result);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		buf_add_format(out, "\nsigned %s\n", kinds[i]);
		output_fields(out, verdict, json_object_get(result, kinds[i]));
	}
	if (json_is_array(states)) {
		buf_add_str(out, "\n");
		output_table(out, columns, states, "No states.");
	}
	if (challenge == NULL)
		return;
	buf_add_str(out, "\nchallenge  ");
	output_clean(out, challenge);
	buf_add_str(out, "\n");
}

static void show_resolved(struct buf *out, const json_t *result)
{
	static const struct column fields[] = {
	    {"payment", "payment", CELL_TEXT},
	    {"state", "state", CELL_TEXT},
	    {"amount", "amount", CELL_AMOUNT},
	    {"refunded", "refunded", CELL_AMOUNT},
	    {.key = NULL},
	};

	output_fields(out, fields, result);
}

static int run_list(const struct cli *cli)
{
	return client_show(cli, "payment.list",
	    json_pack("{s:s*, s:b}", "agent", options_text(cli->options, "agent"), "open",
		options_flag(cli->options, "open")),
	    show_payments);
}

static int run_show(const struct cli *cli)
{
	return client_show(cli, "payment.show",
	    json_pack("{s:s}", "payment", options_word(cli->options, 0)), show_payment);
}

static enum command_exit check_decision(const struct options *options)
{
	bool settled = options_flag(options, "settled");

	if (settled == options_flag(options, "unused"))
		output_error("say what happened: --settled when the seller was paid, --unused when "
			     "the signature never was");
	else if (!settled && options_text(options, "transaction") != NULL)
		output_error("--transaction goes with --settled");
	else
		return COMMAND_DONE;
	return COMMAND_USAGE;
}

static int run_resolve(const struct cli *cli)
{
	const struct options *options = cli->options;
	bool settled = options_flag(options, "settled");
	enum command_exit status = check_decision(options);

	if (status == COMMAND_DONE)
		status = input_confirm(cli, settled
			? "Book this payment as spent? It cannot be taken back."
			: "Give this payment's money back to the agent? If the seller still cashes "
			  "the signature, more is spent than the limits say.");
	if (status != COMMAND_DONE)
		return status;
	return client_show(cli, "payment.resolve",
	    json_pack("{s:s, s:s, s:s*, s:s*, s:b}", "payment", options_word(options, 0),
		"decision", settled ? "settled" : "unused", "transaction",
		options_text(options, "transaction"), "note", options_text(options, "note"),
		"force", options_flag(options, "force")),
	    show_resolved);
}

static int run_refund(const struct cli *cli)
{
	const struct options *options = cli->options;
	enum command_exit status = input_confirm(cli,
	    "Book that the seller paid this back? It cannot be taken back. No limit is given back "
	    "with it.");

	if (status != COMMAND_DONE)
		return status;
	return client_show(cli, "payment.refund",
	    json_pack("{s:s, s:s, s:s*, s:s*}", "payment", options_word(options, 0), "amount",
		options_text(options, "amount"), "transaction",
		options_text(options, "transaction"), "note", options_text(options, "note")),
	    show_resolved);
}

static const struct option_row list_options[] = {
    {"agent", "AGENT", OPTION_TEXT, 0, "only this agent's"},
    {"open", NULL, OPTION_FLAG, 0, "only those whose outcome is not known"},
    {.name = NULL},
};
static const struct option_row resolve_options[] = {
    {"settled", NULL, OPTION_FLAG, 0, "the seller was paid: book it as spent"},
    {"transaction", "HASH", OPTION_TEXT, 0, "the transaction that paid it"},
    {"unused", NULL, OPTION_FLAG, 0, "the signature was never cashed: give the money back"},
    {"note", "TEXT", OPTION_TEXT, 0, "why; kept in the ledger"},
    {"force", NULL, OPTION_FLAG, 0, "--unused although the signature can still be cashed"},
    {"yes", NULL, OPTION_FLAG, 0, "do not ask"},
    {.name = NULL},
};

static const struct option_row refund_options[] = {
    {"amount", "AMOUNT", OPTION_AMOUNT, OPTION_REQUIRED, "how much came back"},
    {"transaction", "HASH", OPTION_TEXT, 0, "the transaction that paid it back"},
    {"note", "TEXT", OPTION_TEXT, 0, "kept in the ledger beside it"},
    {"yes", NULL, OPTION_FLAG, 0, "do not ask"},
    {.name = NULL},
};

static const struct verb payment_verbs[] = {
    {.name = "list", .help = "list the payments that were signed", .options = list_options,
	.run = run_list},
    {.name = "show", .help = "show everything about one payment",
	.words = {{"PAYMENT", OPTION_TEXT, false}}, .run = run_show},
    {.name = "resolve", .help = "decide an open payment: your word, recorded as yours",
	.words = {{"PAYMENT", OPTION_TEXT, false}}, .options = resolve_options,
	.run = run_resolve},
    {.name = "refund", .help = "book what the seller paid back for a settled payment",
	.words = {{"PAYMENT", OPTION_TEXT, false}}, .options = refund_options,
	.run = run_refund},
    {.run = NULL},
};

const struct subcommand payment_subcommand = {
    .name = "payment",
    .help = "list payments, and decide those whose outcome is not known",
    .verbs = payment_verbs,
};
