/* cli/network.c - tallyward network: the chains, and who may be asked about them. */
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/output.h"
#include "common/buf.h"

#define URLS_SIZE_MAX (64u * 1024u)

static void show_networks(struct buf *out, const json_t *result)
{
	static const struct column columns[] = {
	    {"network", "NETWORK", CELL_TEXT},
	    {"name", "NAME", CELL_TEXT},
	    {"testnet", "TEST", CELL_TEXT},
	    {"assets", "ASSETS", CELL_TEXT},
	    {"rpc", "RPC", CELL_TEXT},
	    {.key = NULL},
	};

	output_table(out, columns, result, "No networks.");
}

static void show_network(struct buf *out, const json_t *result)
{
	static const struct column fields[] = {
	    {"network", "network", CELL_TEXT}, {"rpc", "rpc", CELL_TEXT}, {.key = NULL}};

	output_fields(out, fields, result);
}

static int run_list(const struct cli *cli)
{
	return client_show(cli, "network.list", json_object(), show_networks);
}

static int run_set(const struct cli *cli)
{
	const char *url;
	struct buf urls;
	json_t *args;

	buf_init(&urls, URLS_SIZE_MAX);
	for (size_t i = 0; (url = options_nth(cli->options, "rpc", i)) != NULL; i++)
		buf_add_format(&urls, "%s%s", i > 0 ? " " : "", url);
	if (!buf_ok(&urls)) {
		buf_fini(&urls);
		output_error("the URLs of --rpc are longer than %u bytes", URLS_SIZE_MAX);
		return COMMAND_USAGE;
	}
	args = json_pack("{s:s, s:s}", "network", options_word(cli->options, 0), "rpc",
	    buf_str(&urls));
	buf_fini(&urls);
	return client_show(cli, "network.set", args, show_network);
}

static const struct option_row set_options[] = {
    {"rpc", "URL", OPTION_TEXT, OPTION_REQUIRED | OPTION_REPEATS,
	"a JSON-RPC server of that chain, read only; repeat it for several"},
    {.name = NULL},
};

static const struct verb network_verbs[] = {
    {.name = "list", .help = "list the chains that can be paid on", .run = run_list},
    {.name = "set", .help = "say which servers answer for a chain, such as eip155:84532",
	.words = {{"CHAIN", OPTION_TEXT, false}}, .options = set_options, .run = run_set},
    {.run = NULL},
};

const struct subcommand network_subcommand = {
    .name = "network",
    .help = "list the chains that can be paid on, and name servers to ask about them",
    .verbs = network_verbs,
};
