/* cli/token.c - tallyward token: an agent's sessions. */
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/output.h"

static void show_issued(struct buf *out, const json_t *result)
{
	static const struct column fields[] = {
	    {"agent", "agent", CELL_TEXT},
	    {"session", "session", CELL_TEXT},
	    {"expires_at", "expires (UTC)", CELL_TIME},
	    {"token", "token", CELL_TEXT},
	    {.key = NULL},
	};

	output_fields(out, fields, result);
	buf_add_str(out, "\nThe token is shown this once and kept nowhere: give it to the agent "
			 "now.\n");
}

static void show_tokens(struct buf *out, const json_t *result)
{
	static const struct column columns[] = {
	    {"session", "SESSION", CELL_TEXT},
	    {"agent", "AGENT", CELL_TEXT},
	    {"issued_at", "ISSUED (UTC)", CELL_TIME},
	    {"expires_at", "EXPIRES (UTC)", CELL_TIME},
	    {"state", "STATE", CELL_TEXT},
	    {.key = NULL},
	};

	output_table(out, columns, result, "No tokens: tallyward token issue AGENT");
}

static void show_revoked(struct buf *out, const json_t *result)
{
	static const struct column fields[] = {
	    {"session", "session", CELL_TEXT},
	    {"agent", "agent", CELL_TEXT},
	    {"state", "state", CELL_TEXT},
	    {.key = NULL},
	};

	output_fields(out, fields, result);
}

static int run_issue(const struct cli *cli)
{
	int64_t ttl_s = options_seconds(cli->options, "ttl");

	return client_show(cli, "token.issue",
	    json_pack("{s:s, s:o*}", "agent", options_word(cli->options, 0), "ttl_s",
		ttl_s > 0 ? json_integer(ttl_s) : NULL),
	    show_issued);
}

static int run_list(const struct cli *cli)
{
	return client_show(cli, "token.list",
	    json_pack("{s:s*}", "agent", options_word(cli->options, 0)), show_tokens);
}

static int run_revoke(const struct cli *cli)
{
	return client_show(cli, "token.revoke",
	    json_pack("{s:s}", "session", options_word(cli->options, 0)), show_revoked);
}

static const struct option_row issue_options[] = {
    {"ttl", "TIME", OPTION_DURATION, 0, "how long the token lives: 90s, 15m, 8h, 30d"},
    {.name = NULL},
};

static const struct verb token_verbs[] = {
    {.name = "issue", .help = "a new session for an agent; its token is shown this once",
	.words = {{"AGENT", OPTION_TEXT, false}}, .options = issue_options, .run = run_issue},
    {.name = "list", .help = "list sessions, of one agent or of all",
	.words = {{"AGENT", OPTION_TEXT, true}}, .run = run_list},
    {.name = "revoke", .help = "end a session now", .words = {{"SESSION", OPTION_TEXT, false}},
	.run = run_revoke},
    {.run = NULL},
};

const struct subcommand token_subcommand = {
    .name = "token",
    .help = "issue, list and revoke the tokens that agents call with",
    .verbs = token_verbs,
};
