/* cli/agent.c - tallyward agent: who spends. */
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/input.h"
#include "cli/output.h"

static const struct column agent_columns[] = {
    {"agent", "AGENT", CELL_TEXT},
    {"owner", "OWNER", CELL_TEXT},
    {"address", "ADDRESS", CELL_TEXT},
    {"state", "STATE", CELL_TEXT},
    {"created_at", "CREATED (UTC)", CELL_TIME},
    {.key = NULL},
};
static const struct column agent_fields[] = {
    {"agent", "agent", CELL_TEXT},
    {"owner", "owner", CELL_TEXT},
    {"address", "address", CELL_TEXT},
    {"state", "state", CELL_TEXT},
    {"created_at", "created (UTC)", CELL_TIME},
    {"sessions", "sessions", CELL_TEXT},
    {.key = NULL},
};

static void show_added(struct buf *out, const json_t *result)
{
	static const struct column fields[] = {
	    {"agent", "agent", CELL_TEXT},
	    {"owner", "owner", CELL_TEXT},
	    {"address", "address", CELL_TEXT},
	    {"session", "session", CELL_TEXT},
	    {"expires_at", "expires (UTC)", CELL_TIME},
	    {"token", "token", CELL_TEXT},
	    {.key = NULL},
	};

	output_fields(out, fields, result);
	buf_add_str(out, "\nThe token is shown this once and kept nowhere: give it to the agent "
			 "now.\n");
}

static void show_agents(struct buf *out, const json_t *result)
{
	output_table(out, agent_columns, result,
	    "No agents yet: tallyward agent add NAME --owner EMAIL");
}

static void show_agent(struct buf *out, const json_t *result)
{
	const json_t *policy = json_object_get(result, "policy");
	char *text;

	output_fields(out, agent_fields, result);
	if (policy == NULL)
		return;
	text = json_dumps(policy, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	must(text != NULL);
	buf_add_format(out, "policy         %s\n", text);
	free(text);
}

static void show_state(struct buf *out, const json_t *result)
{
	static const struct column fields[] = {
	    {"agent", "agent", CELL_TEXT}, {"state", "state", CELL_TEXT}, {.key = NULL}};

	output_fields(out, fields, result);
}

static int run_add(const struct cli *cli)
{
	const struct options *options = cli->options;
	const char *policy_path = options_text(options, "policy");
	int64_t ttl_s = options_seconds(options, "ttl");
	json_t *policy = NULL;

	if (policy_path != NULL && (policy = input_policy(policy_path)) == NULL)
		return COMMAND_FAILED;
	return client_show(cli, "agent.add",
	    json_pack("{s:s, s:s, s:o*, s:o*}", "name", options_word(options, 0), "owner",
		options_text(options, "owner"), "policy", policy, "ttl_s",
		ttl_s > 0 ? json_integer(ttl_s) : NULL),
	    show_added);
}

static int run_list(const struct cli *cli)
{
	return client_show(cli, "agent.list", json_object(), show_agents);
}

static json_t *agent_args(const struct cli *cli)
{
	return json_pack("{s:s}", "agent", options_word(cli->options, 0));
}

static int run_show(const struct cli *cli)
{
	return client_show(cli, "agent.show", agent_args(cli), show_agent);
}

static int run_suspend(const struct cli *cli)
{
	return client_show(cli, "agent.suspend", agent_args(cli), show_state);
}

static int run_resume(const struct cli *cli)
{
	return client_show(cli, "agent.resume", agent_args(cli), show_state);
}

static const struct option_row add_options[] = {
    {"owner", "OWNER", OPTION_TEXT, OPTION_REQUIRED, "who answers for it: a name or an address"},
    {"policy", "FILE", OPTION_TEXT, 0, "its policy; without one, the data folder's policy.json"},
    {"ttl", "TIME", OPTION_DURATION, 0, "how long its first token lives: 90s, 15m, 8h, 30d"},
    {.name = NULL},
};

static const struct verb agent_verbs[] = {
    {.name = "add", .help = "make an agent, its wallet and its first token, shown this once",
	.words = {{"NAME", OPTION_TEXT, false}}, .options = add_options, .run = run_add},
    {.name = "list", .help = "list the agents", .run = run_list},
    {.name = "show", .help = "show one agent, how many sessions it has, and its policy",
	.words = {{"AGENT", OPTION_TEXT, false}}, .run = run_show},
    {.name = "suspend", .help = "refuse every call of an agent from now on",
	.words = {{"AGENT", OPTION_TEXT, false}}, .run = run_suspend},
    {.name = "resume", .help = "let a suspended agent go on",
	.words = {{"AGENT", OPTION_TEXT, false}}, .run = run_resume},
    {.run = NULL},
};

const struct subcommand agent_subcommand = {
    .name = "agent",
    .help = "make agents, suspend them, let them go on",
    .verbs = agent_verbs,
};
