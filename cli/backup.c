/* cli/backup.c - tallyward backup: everything a data folder needs, in one file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/output.h"
#include "common/file.h"
#include "proxy/command.h"

static void show_backup(struct buf *out, const json_t *result)
{
	static const struct column fields[] = {
	    {"file", "file", CELL_TEXT},
	    {"bytes", "bytes", CELL_TEXT},
	    {"keys", "key files", CELL_TEXT},
	    {"transactions", "transactions", CELL_TEXT},
	    {"audits", "audit rows", CELL_TEXT},
	    {"head", "head", CELL_TEXT},
	    {"audit_head", "audit head", CELL_TEXT},
	    {"passphrase", "passphrase", CELL_TEXT},
	    {.key = NULL},
	};

	output_fields(out, fields, result);
	if (json_is_true(json_object_get(result, "passphrase")))
		buf_add_str(out, "\nWhoever has this file has the money of every agent.\n");
	else
		buf_add_str(out,
		    "\nThe passphrase is not in it: keep it elsewhere, the keys are lost without. "
		    "Keep\nthe file closed all the same: what tokens are signed with is in it.\n");
}

/* The daemon has a working folder of its own. NULL, the error said. */
static char *absolute(const char *file)
{
	char *folder, *path;

	if (file[0] == '/')
		return must_strdup(file);
	folder = getcwd(NULL, 0);
	if (folder == NULL) {
		output_error("there is no working folder: %s: name the file from the root on",
		    strerror(errno));
		return NULL;
	}
	path = file_path(folder, file);
	free(folder);
	return path;
}

static int run_backup(const struct cli *cli)
{
	char *path = absolute(options_word(cli->options, 0));
	int status;

	if (path == NULL)
		return COMMAND_FAILED;
	status = client_show(cli, "backup",
	    json_pack("{s:s, s:b}", "file", path, "with_passphrase",
		options_flag(cli->options, "with-passphrase")),
	    show_backup);
	free(path);
	return status;
}

static const struct option_row backup_options[] = {
    {"with-passphrase", NULL, OPTION_FLAG, 0,
	"put the passphrase of the keys in it, too: the file alone is then enough to spend"},
    {.name = NULL},
};

static const struct verb backup_verbs[] = {
    {.help = "write everything the data folder needs into one file, while it is in use",
	.words = {{"FILE", OPTION_TEXT, false}}, .options = backup_options, .run = run_backup},
    {.run = NULL},
};

const struct subcommand backup_subcommand = {
    .name = "backup",
    .help = "write everything the data folder needs into one file",
    .verbs = backup_verbs,
};
