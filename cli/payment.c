/* cli/payment.c - tallyward payment: what was signed, and the owner's word on what is open. */
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/input.h"
#include "cli/output.h"
#include "common/buf.h"
#include "common/json.h"

static const struct column payment_fields[] = {
    {"payment", "payment", CELL_TEXT},
    {"state", "state", CELL_TEXT},
    {"reason", "reason", CELL_TEXT},
    {"flag", "flag", CELL_TEXT},
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
	    {"flag", "FLAG", CELL_TEXT},
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
	static const struct column proofs[] = {
	    {"time", "TIME (UTC)", CELL_TIME},
	    {"kind", "THE CHAIN", CELL_TEXT},
	    {"block", "BLOCK", CELL_NUMBER},
	    {"endpoints", "ENDPOINTS", CELL_NUMBER},
	    {"transaction", "TRANSACTION", CELL_TEXT},
	    {"detail", "DETAIL", CELL_TEXT},
	    {.key = NULL},
	};
	static const char *const kinds[] = {"offer", "receipt"};
	const json_t *evidence = json_object_get(result, "evidence");
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
	if (json_array_size(evidence) > 0) {
		buf_add_str(out, "\n");
		output_table(out, proofs, evidence, "");
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

/* --- cancel ---------------------------------------------------------------------- */

static void show_cancelled(struct buf *out, const json_t *result)
{
	static const struct column columns[] = {
	    {"payment", "PAYMENT", CELL_TEXT},
	    {"state", "STATE", CELL_TEXT},
	    {"amount", "AMOUNT", CELL_AMOUNT},
	    {"transaction", "TRANSACTION", CELL_TEXT},
	    {"reason", "REASON", CELL_TEXT},
	    {.key = NULL},
	};

	output_table(
	    out, columns, json_object_get(result, "payments"), "No payment can still be cashed.");
}

static enum command_exit check_cancel(const struct options *options)
{
	bool one = options_word(options, 0) != NULL, all = options_flag(options, "all");

	if (one == all || all != (options_text(options, "agent") != NULL))
		output_error("name one PAYMENT, or say --agent AGENT --all");
	else
		return COMMAND_DONE;
	return COMMAND_USAGE;
}

static json_t *cancel_args(const struct options *options, bool quote)
{
	json_t *args = json_pack("{s:s*, s:s*, s:s*, s:s*, s:b}", "payment",
	    options_word(options, 0), "agent", options_text(options, "agent"), "max_gas_price",
	    options_text(options, "max-gas-price"), "max_fee", options_text(options, "max-fee"),
	    "quote", quote);

	must(args != NULL);
	if (options_text(options, "wait") != NULL)
		json_object_set_new(args, "wait_s", json_integer(options_seconds(options, "wait")));
	return args;
}

/* How many payments of a result are in one of two states. */
static size_t count_states(const json_t *result, const char *one, const char *other)
{
	const json_t *payments = json_object_get(result, "payments");
	size_t count = 0;

	for (size_t i = 0; i < json_array_size(payments); i++) {
		const char *state = json_str(json_array_get(payments, i), "state");

		count += state != NULL && (strcmp(state, one) == 0 || strcmp(state, other) == 0);
	}
	return count;
}

/* The one line on stderr when not everything was cancelled. */
static enum command_exit judge_cancelled(const json_t *result)
{
	const json_t *payments = json_object_get(result, "payments");
	size_t count = json_array_size(payments), done = count_states(result, "sent", "cancelled");
	const char *reason = json_str(json_array_get(payments, 0), "reason");

	if (done == count && json_object_get(result, "more") == NULL)
		return COMMAND_DONE;
	if (count == 1)
		output_error("not cancelled: %s",
		    reason != NULL ? reason : "the daemon did not say why");
	else
		output_error("%zu of %zu payments were not cancelled: the list says why",
		    count - done, count);
	return COMMAND_FAILED;
}

/* What it would cost, and may it? */
static enum command_exit confirm_cancel(const struct cli *cli, const json_t *quote)
{
	const json_t *networks = json_object_get(quote, "networks");
	struct buf question;
	enum command_exit status;

	buf_init(&question, OUTPUT_SIZE_MAX);
	buf_add_format(&question, "%zu of %zu payments can be cancelled.",
	    count_states(quote, "ready", "ready"),
	    json_array_size(json_object_get(quote, "payments")));
	for (size_t i = 0; i < json_array_size(networks); i++) {
		const json_t *row = json_array_get(networks, i);
		static const struct {
			const char *before, *key;
		} parts[] = {
		    {" On ", "name"},
		    {" that costs about ", "fee"},
		    {" of the chain's coin, at most ", "fee_max"},
		    {", and the wallet ", "address"},
		    {" holds ", "balance"},
		};

		for (size_t p = 0; p < sizeof(parts) / sizeof(parts[0]); p++) {
			const char *text = json_str(row, parts[p].key);

			buf_add_str(&question, parts[p].before);
			output_clean(&question, text != NULL ? text : "?");
		}
		buf_add_str(&question, ".");
	}
	buf_add_str(&question, " Send it?");
	status = input_confirm(cli, buf_str(&question));
	buf_fini(&question);
	return status;
}

/* The quote, unless --yes was given: *sent is false when it is all there is to say. */
static enum command_exit ask_cancel(json_t **out, bool *sent, const struct cli *cli)
{
	json_t *quote = NULL;
	enum command_exit status = client_run(&quote, cli, "payment.cancel",
	    cancel_args(cli->options, true));

	if (status != COMMAND_DONE)
		return status;
	if (count_states(quote, "ready", "ready") == 0) {
		*sent = false;
		*out = quote;
		return COMMAND_DONE;
	}
	status = confirm_cancel(cli, quote);
	json_decref(quote);
	*sent = true;
	return status;
}

static int run_cancel(const struct cli *cli)
{
	enum command_exit status = check_cancel(cli->options);
	json_t *result = NULL;
	bool send = true;

	if (status == COMMAND_DONE && !options_flag(cli->options, "yes"))
		status = ask_cancel(&result, &send, cli);
	if (status == COMMAND_DONE && send)
		status = client_run(
		    &result, cli, "payment.cancel", cancel_args(cli->options, false));
	if (status != COMMAND_DONE)
		return status;
	if (output_result(cli, result, show_cancelled))
		status = judge_cancelled(result);
	else
		status = COMMAND_FAILED;
	json_decref(result);
	return status;
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

static const struct option_row cancel_options[] = {
    {"agent", "AGENT", OPTION_TEXT, 0, "with --all: this agent's"},
    {"all", NULL, OPTION_FLAG, 0, "every open payment that can still be cashed"},
    {"max-gas-price", "GWEI", OPTION_TEXT, 0, "pay no more for a unit of gas; else 200"},
    {"max-fee", "COINS", OPTION_TEXT, 0,
	"pay no more for one payment, in the chain's own coin; else 0.01"},
    {"wait", "DURATION", OPTION_DURATION, 0, "how long to wait for the chain; else 1m"},
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
    {.name = "cancel", .help = "make signatures void on the chain before the seller cashes them",
	.words = {{"PAYMENT", OPTION_TEXT, true}}, .options = cancel_options,
	.run = run_cancel},
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
