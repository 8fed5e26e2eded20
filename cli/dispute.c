/* cli/dispute.c - tallyward dispute: one call as one file, and such a file checked. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/output.h"
#include "common/file.h"
#include "common/json.h"
#include "proxy/dispute.h"
#include "wallet/address.h"

/* --- making ----------------------------------------------------------------- */

static void show_written(struct buf *out, const json_t *result)
{
	static const struct column fields[] = {
	    {"call", "call", CELL_TEXT}, {"file", "file", CELL_TEXT}, {.key = NULL}};

	output_fields(out, fields, result);
}

static enum command_exit save(const struct cli *cli, const json_t *result, const char *text,
    const char *path)
{
	size_t size = strlen(text);
	json_t *written;
	bool ok;

	ok = options_flag(cli->options, "force") ? file_replace(path, text, size, 0600)
						 : file_create(path, text, size, 0600);
	if (!ok && errno == EEXIST) {
		output_error("%s is there already: --force replaces it", path);
		return COMMAND_FAILED;
	}
	if (!ok) {
		output_error("could not write %s: %s", path, strerror(errno));
		return COMMAND_FAILED;
	}
	written = json_pack("{s:O, s:s}", "call", json_object_get(result, "call"), "file", path);
	ok = written != NULL && output_result(cli, written, show_written);
	json_decref(written);
	return ok ? COMMAND_DONE : COMMAND_FAILED;
}

static int make(const struct cli *cli, const char *call)
{
	const char *path = options_text(cli->options, "output");
	json_t *result = NULL;
	enum command_exit status =
	    client_run(&result, cli, "dispute", json_pack("{s:s}", "call", call));
	const char *text;

	if (status != COMMAND_DONE)
		return status;
	text = json_str(result, "text");
	if (text == NULL) {
		output_error("the daemon's answer holds no bundle");
		status = COMMAND_FAILED;
	} else if (path != NULL) {
		status = save(cli, result, text, path);
	} else if (!output_text(text)) {
		status = COMMAND_FAILED;
	}
	json_decref(result);
	return status;
}

/* --- checking ---------------------------------------------------------------- */

static void show_list(struct buf *out, const char *title, const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *words = json_string_value(json_array_get(list, i));

		if (i == 0)
			buf_add_format(out, "\n%s:\n", title);
		buf_add_str(out, "  - ");
		output_clean(out, words != NULL ? words : "");
		buf_add_str(out, "\n");
	}
}

static void show_checked(struct buf *out, const json_t *result)
{
	static const struct column fields[] = {
	    {"ok", "ok", CELL_TEXT},
	    {"call", "call", CELL_TEXT},
	    {"installation", "installation", CELL_TEXT},
	    {.key = NULL},
	};
	static const struct column columns[] = {
	    {"check", "CHECK", CELL_TEXT},
	    {"ok", "OK", CELL_TEXT},
	    {"detail", "DETAIL", CELL_TEXT},
	    {.key = NULL},
	};

	output_fields(out, fields, result);
	buf_add_str(out, "\n");
	output_table(out, columns, json_object_get(result, "checks"), "Nothing was checked.");
	show_list(out, "It proves", json_object_get(result, "proves"));
	show_list(out, "It cannot prove", json_object_get(result, "cannot_prove"));
}

static int check(const struct cli *cli, const char *path)
{
	const char *installation = options_text(cli->options, "installation");
	struct dispute_options options = {.anchors = options_text(cli->options, "anchors")};
	char text[ADDRESS_TEXT_SIZE];
	struct address address;
	int status = COMMAND_DONE;
	char *bundle;
	json_t *report;
	size_t size;

	if (installation != NULL) {
		if (!address_parse(&address, installation)) {
			output_error(
			    "%s is not an address, or its checksum is wrong", installation);
			return COMMAND_USAGE;
		}
		options.installation = address_format(text, &address);
	}
	bundle = file_read(&size, path, DISPUTE_SIZE_MAX);
	if (bundle == NULL) {
		output_error("could not read %s: %s", path, strerror(errno));
		return errno == ENOENT || errno == ENOTDIR ? COMMAND_NOT_FOUND : COMMAND_FAILED;
	}
	report = dispute_check(bundle, size, &options);
	free(bundle);
	if (!output_result(cli, report, show_checked)) {
		status = COMMAND_FAILED;
	} else if (!json_is_true(json_object_get(report, "ok"))) {
		output_error("%s does not hold (problems: %zu)", path,
		    json_array_size(json_object_get(report, "problems")));
		status = COMMAND_FAILED;
	}
	json_decref(report);
	return status;
}

static int run_dispute(const struct cli *cli)
{
	const char *call = options_word(cli->options, 0);
	const char *path = options_text(cli->options, "verify");
	bool making = options_text(cli->options, "output") != NULL ||
	    options_flag(cli->options, "force");
	bool checking = options_text(cli->options, "installation") != NULL ||
	    options_text(cli->options, "anchors") != NULL;

	if ((call != NULL) == (path != NULL)) {
		output_error("name a call, or a file with --verify; 'tallyward dispute --help' "
			     "says more");
		return COMMAND_USAGE;
	}
	if (path != NULL && making) {
		output_error("--output and --force are for making a bundle, not for --verify");
		return COMMAND_USAGE;
	}
	if (path == NULL && checking) {
		output_error("--installation and --anchors go with --verify");
		return COMMAND_USAGE;
	}
	return path != NULL ? check(cli, path) : make(cli, call);
}

static const struct option_row dispute_options[] = {
    {"output", "FILE", OPTION_TEXT, 0,
	"into FILE, which must not be there, instead of printing it"},
    {"force", NULL, OPTION_FLAG, 0, "replace FILE"},
    {"verify", "FILE", OPTION_TEXT, 0, "check such a file instead; needs no data folder"},
    {"installation", "ADDRESS", OPTION_TEXT, 0, "it must be of this installation"},
    {"anchors", "FILE", OPTION_TEXT, 0,
	"its anchors must be in FILE, a copy of the anchor file kept elsewhere"},
    {.name = NULL},
};

static const struct verb dispute_verbs[] = {
    {.help = "write everything known about one call into one file, or check such a file",
	.words = {{"CALL", OPTION_TEXT, true}}, .options = dispute_options, .run = run_dispute},
    {.run = NULL},
};

const struct subcommand dispute_subcommand = {
    .name = "dispute",
    .help = "write everything known about one call into one file, or check such a file",
    .verbs = dispute_verbs,
};
