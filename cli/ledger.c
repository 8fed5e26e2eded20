/* cli/ledger.c - tallyward ledger: history, proof, and exports for other tools. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/output.h"
#include "common/file.h"
#include "common/json.h"

static void show_statement(struct buf *out, const json_t *result)
{
	static const struct column columns[] = {
	    {"time", "TIME (UTC)", CELL_TIME},
	    {"event", "EVENT", CELL_TEXT},
	    {"amount", "AMOUNT", CELL_AMOUNT},
	    {"from", "FROM", CELL_TEXT},
	    {"to", "TO", CELL_TEXT},
	    {"network", "NETWORK", CELL_TEXT},
	    {"call", "CALL", CELL_TEXT},
	    {.key = NULL},
	};

	output_table(out, columns, result, "Nothing was booked.");
}

static void show_verified(struct buf *out, const json_t *result)
{
	static const struct column fields[] = {
	    {"ok", "ok", CELL_TEXT},
	    {"transactions", "transactions", CELL_TEXT},
	    {"postings", "postings", CELL_TEXT},
	    {"audits", "audit rows", CELL_TEXT},
	    {"head", "head", CELL_TEXT},
	    {"audit_head", "audit head", CELL_TEXT},
	    {"anchors", "anchors", CELL_TEXT},
	    {"anchored_at", "newest anchor", CELL_TIME},
	    {"installation", "installation", CELL_TEXT},
	    {.key = NULL},
	};
	const json_t *problems = json_object_get(result, "problems");

	output_fields(out, fields, result);
	for (size_t i = 0; i < json_array_size(problems); i++) {
		const char *problem = json_string_value(json_array_get(problems, i));

		buf_add_str(out, i == 0 ? "\n  " : "  ");
		output_clean(out, problem != NULL ? problem : "");
		buf_add_str(out, "\n");
	}
}

static void show_audit(struct buf *out, const json_t *result)
{
	static const struct column columns[] = {
	    {"time", "TIME (UTC)", CELL_TIME},
	    {"call", "CALL", CELL_TEXT},
	    {"agent", "AGENT", CELL_TEXT},
	    {"tool", "TOOL", CELL_TEXT},
	    {"method", "METHOD", CELL_TEXT},
	    {"path", "PATH", CELL_TEXT},
	    {"allowed", "ALLOWED", CELL_TEXT},
	    {"price", "PRICE", CELL_AMOUNT},
	    {"code", "CODE", CELL_TEXT},
	    {.key = NULL},
	};

	output_table(out, columns, result, "No calls.");
}

static void show_claims(struct buf *out, const json_t *result)
{
	static const struct column columns[] = {
	    {"time", "TIME (UTC)", CELL_TIME},
	    {"call", "CALL", CELL_TEXT},
	    {"payment", "PAYMENT", CELL_TEXT},
	    {"agent", "AGENT", CELL_TEXT},
	    {"tool", "TOOL", CELL_TEXT},
	    {"amount", "AMOUNT", CELL_AMOUNT},
	    {"refunded", "REFUNDED", CELL_AMOUNT},
	    {"state", "STATE", CELL_TEXT},
	    {"reason", "REASON", CELL_TEXT},
	    {.key = NULL},
	};

	output_table(out, columns, result, "Nothing was paid and not delivered.");
}

static void show_written(struct buf *out, const json_t *result)
{
	static const struct column fields[] = {
	    {"file", "file", CELL_TEXT}, {"format", "format", CELL_TEXT}, {.key = NULL}};

	output_fields(out, fields, result);
}

static int run_statement(const struct cli *cli)
{
	char since[CLOCK_TEXT_SIZE], until[CLOCK_TEXT_SIZE];

	return client_show(cli, "ledger.statement",
	    json_pack("{s:s*, s:s*, s:s*}", "agent", options_word(cli->options, 0), "since",
		options_time(since, cli->options, "since"), "until",
		options_time(until, cli->options, "until")),
	    show_statement);
}

static int run_verify(const struct cli *cli)
{
	const char *kept = options_text(cli->options, "anchors");
	/* The daemon has another working folder. */
	char *path = kept != NULL ? realpath(kept, NULL) : NULL;
	json_t *result = NULL;
	enum command_exit status;

	if (kept != NULL && path == NULL) {
		output_error("cannot read %s: %s", kept, strerror(errno));
		return COMMAND_NOT_FOUND;
	}
	if (path != NULL && !options_utf8(path)) {
		output_error("the path of %s is not UTF-8 text: move it", kept);
		free(path);
		return COMMAND_FAILED;
	}
	status = client_run(&result, cli, "ledger.verify",
	    json_pack("{s:s*, s:s*, s:s*}", "head", options_text(cli->options, "head"),
		"audit_head", options_text(cli->options, "audit-head"), "anchors", path));
	free(path);
	if (status != COMMAND_DONE)
		return status;
	if (!output_result(cli, result, show_verified))
		status = COMMAND_FAILED;
	else if (!json_is_true(json_object_get(result, "ok"))) {
		output_error("the ledger does not verify (problems: %zu): stop the daemon, keep a "
			     "copy of the data folder, and look before anything else is booked",
		    json_array_size(json_object_get(result, "problems")));
		status = COMMAND_FAILED;
	}
	json_decref(result);
	return status;
}

static enum command_exit save_export(const struct cli *cli, const char *text, const char *format,
    const char *path)
{
	json_t *result;
	bool ok;

	if (!file_replace(path, text, strlen(text), 0600)) {
		output_error("could not write %s: %s", path, strerror(errno));
		return COMMAND_FAILED;
	}
	result = json_pack("{s:s, s:s}", "file", path, "format", format);
	ok = result != NULL && output_result(cli, result, show_written);
	json_decref(result);
	return ok ? COMMAND_DONE : COMMAND_FAILED;
}

static int run_export(const struct cli *cli)
{
	const char *path = options_text(cli->options, "out");
	const char *format = options_text(cli->options, "format");
	json_t *result = NULL;
	enum command_exit status = client_run(&result, cli, "ledger.export",
	    json_pack("{s:s*, s:s}", "agent", options_word(cli->options, 0), "format", format));
	const char *text;

	if (status != COMMAND_DONE)
		return status;
	text = json_str(result, "text");
	if (text == NULL) {
		output_error("the daemon's answer holds no text");
		status = COMMAND_FAILED;
	} else if (path != NULL)
		status = save_export(cli, text, format, path);
	else if (!output_text(text))
		status = COMMAND_FAILED;
	json_decref(result);
	return status;
}

static int run_audit(const struct cli *cli)
{
	return client_show(cli, "ledger.audit",
	    json_pack("{s:s*, s:s*}", "agent", options_text(cli->options, "agent"), "call",
		options_text(cli->options, "call")),
	    show_audit);
}

static int run_claim(const struct cli *cli)
{
	return client_show(cli, "ledger.claim",
	    json_pack("{s:s*, s:b}", "agent", options_word(cli->options, 0), "all",
		options_flag(cli->options, "all")),
	    show_claims);
}

static const struct option_row statement_options[] = {
    {"since", "TIME", OPTION_TIME, 0, "from then on: 2026-11-20 or 2026-11-20T13:35:00Z"},
    {"until", "TIME", OPTION_TIME, 0, "up to then"},
    {.name = NULL},
};
static const struct option_row verify_options[] = {
    {"head", "HASH", OPTION_TEXT, 0, "must be the hash of some journal row: a head noted before"},
    {"audit-head", "HASH", OPTION_TEXT, 0, "the same for the audit's chain"},
    {"anchors", "FILE", OPTION_TEXT, 0,
	"a copy of the anchor file, or lines of it, kept elsewhere"},
    {.name = NULL},
};
static const struct option_row export_options[] = {
    {"format", "hledger|csv|json", OPTION_CHOICE, OPTION_REQUIRED, "what to write"},
    {"out", "FILE", OPTION_TEXT, 0, "into FILE, replacing it, instead of printing it"},
    {.name = NULL},
};
static const struct option_row audit_options[] = {
    {"agent", "AGENT", OPTION_TEXT, 0, "only this agent's calls"},
    {"call", "CALL", OPTION_TEXT, 0, "only this call"},
    {.name = NULL},
};
static const struct option_row claim_options[] = {
    {"all", NULL, OPTION_FLAG, 0, "also what was given back or refunded since"},
    {.name = NULL},
};

static const struct verb ledger_verbs[] = {
    {.name = "statement", .help = "list what was booked, oldest first",
	.words = {{"AGENT", OPTION_TEXT, true}}, .options = statement_options,
	.run = run_statement},
    {.name = "verify", .help = "recompute everything from the first row",
	.options = verify_options, .run = run_verify},
    {.name = "export", .help = "print the journal for other tools",
	.words = {{"AGENT", OPTION_TEXT, true}}, .options = export_options, .run = run_export},
    {.name = "audit", .help = "list calls, allowed and refused, oldest first",
	.options = audit_options, .run = run_audit},
    {.name = "claim", .help = "list what was paid and not delivered, oldest first",
	.words = {{"AGENT", OPTION_TEXT, true}}, .options = claim_options, .run = run_claim},
    {.run = NULL},
};

const struct subcommand ledger_subcommand = {
    .name = "ledger",
    .help = "list, prove and export what was booked",
    .verbs = ledger_verbs,
};
