/* cli/tool.c - tallyward tool: the upstreams that agents may be let at. */
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/input.h"
#include "cli/output.h"

static const struct column tool_columns[] = {
    {"tool", "TOOL", CELL_TEXT},
    {"billing", "BILLING", CELL_TEXT},
    {"price", "PRICE", CELL_AMOUNT},
    {"url", "URL", CELL_TEXT},
    {.key = NULL},
};
static const struct column tool_fields[] = {
    {"tool", "tool", CELL_TEXT},
    {"url", "url", CELL_TEXT},
    {"billing", "billing", CELL_TEXT},
    {"price", "price", CELL_AMOUNT},
    {"delivery", "delivery", CELL_TEXT},
    {"private", "private", CELL_TEXT},
    {.key = NULL},
};

static void show_tool(struct buf *out, const json_t *result)
{
	output_fields(out, tool_fields, result);
}

static void show_tools(struct buf *out, const json_t *result)
{
	output_table(out, tool_columns, result, "No tools yet: tallyward tool add NAME URL");
}

static void show_removed(struct buf *out, const json_t *result)
{
	static const struct column fields[] = {{"tool", "removed", CELL_TEXT}, {.key = NULL}};

	output_fields(out, fields, result);
}

static int run_add(const struct cli *cli)
{
	const struct options *options = cli->options;
	const char *path = options_text(options, "delivery");
	json_t *delivery = path != NULL ? input_delivery(path) : NULL;

	if (path != NULL && delivery == NULL)
		return COMMAND_FAILED;
	return client_show(cli, "tool.add",
	    json_pack("{s:s, s:s, s:s*, s:s*, s:o*, s:b}", "name", options_word(options, 0), "url",
		options_word(options, 1), "price", options_text(options, "price"), "billing",
		options_text(options, "billing"), "delivery", delivery, "private",
		options_flag(options, "private")),
	    show_tool);
}

static int run_list(const struct cli *cli)
{
	return client_show(cli, "tool.list", json_object(), show_tools);
}

static int run_show(const struct cli *cli)
{
	return client_show(cli, "tool.show",
	    json_pack("{s:s}", "tool", options_word(cli->options, 0)), show_tool);
}

static int run_remove(const struct cli *cli)
{
	return client_show(cli, "tool.remove",
	    json_pack("{s:s}", "tool", options_word(cli->options, 0)), show_removed);
}

static const struct option_row add_options[] = {
    {"price", "P", OPTION_AMOUNT, 0,
	"what a call costs, in dollars; of an x402 tool also the most it may ask"},
    {"billing", "x402|metered", OPTION_CHOICE, 0,
	"x402: pays as it goes (default); metered: you are billed elsewhere, needs --price"},
    {"delivery", "FILE", OPTION_TEXT, 0,
	"what a paid answer must be like, or it is a claim; else status 2xx and all of it"},
    {"private", NULL, OPTION_FLAG, 0,
	"the URL's name may lead to this machine or a private network"},
    {.name = NULL},
};

static const struct verb tool_verbs[] = {
    {.name = "add", .help = "register an upstream; agents reach it as /t/NAME/",
	.words = {{"NAME", OPTION_TEXT, false}, {"URL", OPTION_TEXT, false}},
	.options = add_options, .run = run_add},
    {.name = "list", .help = "list the tools", .run = run_list},
    {.name = "show", .help = "show one tool", .words = {{"TOOL", OPTION_TEXT, false}},
	.run = run_show},
    {.name = "remove", .help = "take a tool away from every agent; its history stays",
	.words = {{"TOOL", OPTION_TEXT, false}}, .run = run_remove},
    {.run = NULL},
};

const struct subcommand tool_subcommand = {
    .name = "tool",
    .help = "register the paid APIs and MCP servers that agents may call",
    .verbs = tool_verbs,
};
