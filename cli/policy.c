/* cli/policy.c - tallyward policy: check one, give one, show one, ask one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/input.h"
#include "cli/output.h"
#include "common/file.h"
#include "common/json.h"
#include "policy/policy.h"

static void show_checked(struct buf *out, const json_t *result)
{
	output_clean(out, json_string_value(json_object_get(result, "file")));
	buf_add_format(out, ": ok: rules %lld, limits %lld\n",
	    (long long)json_integer_value(json_object_get(result, "rules")),
	    (long long)json_integer_value(json_object_get(result, "limits")));
}

static int say_checked(const struct cli *cli, const char *path, const struct policy *policy)
{
	json_t *result = json_pack("{s:b, s:s, s:s?, s:s?, s:I, s:I}", "ok", 1, "file", path,
	    "agent", policy->agent, "owner", policy->owner, "rules", (json_int_t)policy->rule_count,
	    "limits", (json_int_t)policy->limit_count);
	bool ok;

	must(result != NULL);
	ok = output_result(cli, result, show_checked);
	json_decref(result);
	return ok ? COMMAND_DONE : COMMAND_FAILED;
}

/* Needs no data folder, so that an editor or a commit hook can call it. */
static int run_check(const struct cli *cli)
{
	const char *path = options_word(cli->options, 0);
	struct json_error error = {.line = 0};
	int status = COMMAND_FAILED;
	struct policy *policy;
	size_t size = 0;
	char *text = file_read(&size, path, POLICY_SIZE_MAX);

	if (text == NULL) {
		output_error("could not read %s: %s", path, strerror(errno));
		return COMMAND_FAILED;
	}
	policy = policy_parse(&error, text, size);
	if (policy != NULL)
		status = say_checked(cli, path, policy);
	else
		output_problem("%s:%d: %s%s%s", path, error.line, error.path,
		    error.path[0] != '\0' ? ": " : "", error.reason);
	policy_free(&policy);
	free(text);
	return status;
}

static void show_set(struct buf *out, const json_t *result)
{
	static const struct column fields[] = {
	    {"agent", "agent", CELL_TEXT},
	    {"rules", "rules", CELL_TEXT},
	    {"limits", "limits", CELL_TEXT},
	    {.key = NULL},
	};

	output_fields(out, fields, result);
}

static int run_set(const struct cli *cli)
{
	json_t *policy = input_policy(options_word(cli->options, 1));

	if (policy == NULL)
		return COMMAND_FAILED;
	return client_show(cli, "policy.set",
	    json_pack("{s:s, s:o}", "agent", options_word(cli->options, 0), "policy", policy),
	    show_set);
}

static int run_show(const struct cli *cli)
{
	return client_show(cli, "policy.show",
	    json_pack("{s:s}", "agent", options_word(cli->options, 0)), NULL);
}

static void show_explained(struct buf *out, const json_t *result)
{
	static const struct column fields[] = {
	    {"agent", "agent", CELL_TEXT},
	    {"tool", "tool", CELL_TEXT},
	    {"price", "price", CELL_AMOUNT},
	    {"allowed", "allowed", CELL_TEXT},
	    {"code", "code", CELL_TEXT},
	    {"rule", "rule", CELL_TEXT},
	    {"reason", "reason", CELL_TEXT},
	    {.key = NULL},
	};
	static const struct column columns[] = {
	    {"rule", "LIMIT", CELL_TEXT},
	    {"used", "USED", CELL_MEASURE},
	    {"max", "MAX", CELL_MEASURE},
	    {"remaining", "REMAINING", CELL_MEASURE},
	    {"resets_at", "RESETS (UTC)", CELL_TIME},
	    {"fits", "FITS", CELL_TEXT},
	    {.key = NULL},
	};

	output_fields(out, fields, result);
	buf_add_str(out, "\n");
	output_table(out, columns, json_object_get(result, "limits"), "No limit speaks about it.");
}

static int run_explain(const struct cli *cli)
{
	const char *agent = options_word(cli->options, 0), *tool = options_word(cli->options, 1);
	json_t *result = NULL;
	enum command_exit status = client_run(&result, cli, "policy.explain",
	    json_pack("{s:s, s:s, s:s*}", "agent", agent, "tool", tool, "price",
		options_text(cli->options, "price")));

	if (status != COMMAND_DONE)
		return status;
	/* A refusal is an answer, and the answer is what was asked for. */
	if (!output_result(cli, result, show_explained))
		status = COMMAND_FAILED;
	json_decref(result);
	return status;
}

static const struct option_row explain_options[] = {
    {"price", "P", OPTION_AMOUNT, 0, "what the call would cost; else the tool's own price"},
    {.name = NULL},
};

static const struct verb policy_verbs[] = {
    {.name = "check", .help = "check a policy file; needs no data folder",
	.words = {{"FILE", OPTION_TEXT, false}}, .run = run_check},
    {.name = "set", .help = "give an agent a policy, in force from its next call on",
	.words = {{"AGENT", OPTION_TEXT, false}, {"FILE", OPTION_TEXT, false}}, .run = run_set},
    {.name = "show", .help = "print an agent's policy in its full form",
	.words = {{"AGENT", OPTION_TEXT, false}}, .run = run_show},
    {.name = "explain", .help = "say whether a call would be let through now, and why",
	.words = {{"AGENT", OPTION_TEXT, false}, {"TOOL", OPTION_TEXT, false}},
	.options = explain_options, .run = run_explain},
    {.run = NULL},
};

const struct subcommand policy_subcommand = {
    .name = "policy",
    .help = "check, give, show and explain what an agent may do",
    .verbs = policy_verbs,
};
