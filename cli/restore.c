/* cli/restore.c - tallyward restore: a data folder from a backup. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/output.h"
#include "common/bytes.h"
#include "common/clock.h"
#include "proxy/command.h"
#include "proxy/restore.h"

static void show_restored(struct buf *out, const json_t *result)
{
	static const struct column fields[] = {
	    {"dir", "data folder", CELL_TEXT},
	    {"made_at", "backup made (UTC)", CELL_TIME},
	    {"transactions", "transactions", CELL_TEXT},
	    {"audits", "audit rows", CELL_TEXT},
	    {"head", "head", CELL_TEXT},
	    {"audit_head", "audit head", CELL_TEXT},
	    {"anchors", "anchors", CELL_TEXT},
	    {.key = NULL},
	};
	const json_t *notes = json_object_get(result, "notes");

	output_fields(out, fields, result);
	buf_add_str(out, "\nBefore you run it:\n");
	for (size_t i = 0; i < json_array_size(notes); i++) {
		buf_add_str(out, "- ");
		output_clean(out, json_string_value(json_array_get(notes, i)));
		buf_add_str(out, "\n");
	}
}

static void add_note(json_t *notes, json_t *words)
{
	must(words != NULL);
	must(json_array_append_new(notes, words) == 0);
}

/* What is not now as it was where the backup came from, and matters. */
static json_t *notes_of(const struct restored *restored)
{
	json_t *notes = json_array();
	char made_at[CLOCK_TEXT_SIZE];

	clock_format(made_at, restored->manifest.made_us);
	add_note(notes,
	    json_sprintf("Payments signed after %s are unknown here, and their money counts as "
			 "available: run `tallyward wallet reconcile AGENT` for every agent.",
		made_at));
	add_note(notes,
	    json_string("Never run two copies: the folder that the backup was made from must not "
			"run again, or both spend the same wallets."));
	add_note(notes,
	    json_sprintf("Policies, tools, suspended agents and revoked tokens are as they were at "
			 "%s: what was revoked since is valid again.",
		made_at));
	add_note(notes,
	    json_string("An Idempotency-Key used since is unknown: a call repeated with it buys "
			"again."));
	if (!restored->passphrase_there)
		add_note(notes,
		    json_sprintf("The keys' passphrase is expected in %s, mode 0600: the backup "
				 "did not put it there.",
			restored->passphrase_file));
	if (restored->anchors_apart)
		add_note(notes,
		    json_sprintf("The configuration's anchor_file is another: the anchors of the "
				 "backup are in %s.",
			restored->anchor_file));
	return notes;
}

static json_t *describe(const struct cli *cli, const struct restored *restored)
{
	const struct manifest *manifest = &restored->manifest;
	char made_at[CLOCK_TEXT_SIZE], head[2 * DIGEST_SIZE + 1], audit_head[2 * DIGEST_SIZE + 1];
	json_t *result = json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:b, s:s?, s:o}",
	    "dir", cli->dir, "made_at", clock_format(made_at, manifest->made_us), "program",
	    manifest->program, "transactions", (json_int_t)manifest->transactions, "audits",
	    (json_int_t)manifest->audits, "head",
	    hex_encode(head, manifest->head.bytes, DIGEST_SIZE), "audit_head",
	    hex_encode(audit_head, manifest->audit_head.bytes, DIGEST_SIZE), "passphrase_file",
	    restored->passphrase_file, "passphrase_restored", restored->passphrase_there, "anchors",
	    restored->anchor_file, "notes", notes_of(restored));

	must(result != NULL);
	return result;
}

static enum command_exit exit_of(enum restore_result result)
{
	switch (result) {
	case RESTORE_OK:
		return COMMAND_DONE;
	case RESTORE_NOT_FOUND:
		return COMMAND_NOT_FOUND;
	case RESTORE_EXISTS:
	case RESTORE_BAD:
	case RESTORE_FAILED:
		break;
	}
	return COMMAND_FAILED;
}

static int run_restore(const struct cli *cli)
{
	struct restored restored;
	char reason[512] = "";
	enum restore_result made =
	    restore_run(&restored, reason, options_word(cli->options, 0), cli->dir);
	json_t *result;
	bool ok;

	if (made != RESTORE_OK) {
		output_error("%s", reason);
		return exit_of(made);
	}
	result = describe(cli, &restored);
	restored_fini(&restored);
	ok = output_result(cli, result, show_restored);
	json_decref(result);
	return ok ? COMMAND_DONE : COMMAND_FAILED;
}

static const struct verb restore_verbs[] = {
    {.help = "make a data folder from a backup, and say what is not as it was",
	.words = {{"FILE", OPTION_TEXT, false}}, .run = run_restore},
    {.run = NULL},
};

const struct subcommand restore_subcommand = {
    .name = "restore",
    .help = "make a data folder from a backup",
    .verbs = restore_verbs,
};
