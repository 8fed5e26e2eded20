/* From the rows of one call to a signed bundle; see dispute.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/json.h"
#include "proxy/anchors.h"
#include "proxy/delivery.h"
#include "proxy/dispute.h"
#include "proxy/dispute_parts.h"
#include "proxy/dispute_rows.h"
#include "proxy/rooms.h"
#include "wallet/personal.h"

struct made_row {
	json_t *json;
	bool journal;
	int64_t number;
	size_t anchor; /* position among making.anchors */
	bool covered;
};

struct making {
	struct house *house;
	char *reason;
	struct made_row *rows;
	size_t row_count;
	struct anchor *anchors; /* those that cover a row, by number */
	char **lines;
	size_t anchor_count;
};

static bool fail(struct making *making, const char *format, ...) PRINTF_LIKE(2, 3);
static bool fail(struct making *making, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(making->reason, DISPUTE_REASON_SIZE, format, args);
	va_end(args);
	return false;
}

/* --- rows and the anchors over them --------------------------------------------- */

static bool take_row(const struct proof_row *row, void *arg)
{
	struct making *making = arg;
	struct made_row *made = &making->rows[making->row_count++];

	made->json = dispute_row_json(row);
	made->journal = row->table == TABLE_JOURNAL;
	made->number = row->number;
	return true;
}

static bool covers(const struct anchor *anchor, const struct made_row *row)
{
	const struct anchor_chain *chain = row->journal ? &anchor->journal : &anchor->record;

	return row->number > chain->from && row->number <= chain->head.rows;
}

static bool take_anchor(const struct anchor_line *line, void *arg)
{
	struct making *making = arg;
	bool used = false;

	if (!line->good || making->anchor_count == PROOF_ROWS_MAX)
		return true;
	for (size_t i = 0; i < making->row_count; i++) {
		struct made_row *row = &making->rows[i];

		if (row->covered || !covers(&line->anchor, row))
			continue;
		row->covered = used = true;
		row->anchor = making->anchor_count;
	}
	if (used) {
		making->lines[making->anchor_count] = must_strndup(line->text, line->size);
		making->anchors[making->anchor_count++] = line->anchor;
	}
	return true;
}

static void forget_anchors(struct making *making)
{
	for (size_t i = 0; i < making->row_count; i++)
		making->rows[i].covered = false;
	for (size_t i = 0; i < making->anchor_count; i++)
		free(making->lines[i]);
	making->anchor_count = 0;
}

static bool all_covered(struct making *making)
{
	char *path = anchors_path(making->house->anchors);
	bool all = true;

	forget_anchors(making);
	/* What is wrong with the file is said by the attempt to add to it. */
	if (anchor_each(path, false, take_anchor, making) != ANCHOR_OK)
		all = false;
	free(path);
	for (size_t i = 0; i < making->row_count; i++)
		all = all && making->rows[i].covered;
	return all;
}

static bool find_anchors(struct making *making, int64_t now_us)
{
	char reason[ANCHORS_REASON_SIZE];
	enum anchors_result made;

	if (all_covered(making))
		return true;
	do
		made = anchors_make(making->house->anchors, reason, now_us);
	while (made == ANCHORS_MORE);
	if (made == ANCHORS_FAILED)
		return fail(making, "no anchor can be made: %.500s", reason);
	return all_covered(making) ||
	       fail(making, "no anchor in the anchor file covers every row of the call: run "
			    "`tallyward ledger verify`");
}

static bool prove_rows(struct making *making)
{
	for (size_t i = 0; i < making->row_count; i++) {
		const struct made_row *row = &making->rows[i];
		const struct anchor *anchor = &making->anchors[row->anchor];
		struct merkle_path path;

		switch (proof_path(&path, making->house->store, row->journal,
		    row->journal ? &anchor->journal : &anchor->record, row->number)) {
		case PROOF_OK:
			dispute_row_prove(row->json, anchor->number, &path);
			break;
		case PROOF_BEHIND:
			return fail(making,
			    "the rows under anchor %lld are not those that were anchored: run "
			    "`tallyward ledger verify`",
			    (long long)anchor->number);
		case PROOF_NOTHING:
		case PROOF_BROKEN:
		case PROOF_TOO_MANY:
			return fail(making, "the ledger cannot be read: run `tallyward doctor`");
		}
	}
	return true;
}

/* --- the bundle -------------------------------------------------------------------- */

static json_t *unfinished(const struct making *making, int64_t call, const char *installation)
{
	json_t *rows = json_array(), *anchors = json_array(), *root;

	for (size_t i = 0; i < making->row_count; i++)
		must(json_array_append(rows, making->rows[i].json) == 0);
	for (size_t i = 0; i < making->anchor_count; i++)
		must(json_array_append_new(anchors, json_string(making->lines[i])) == 0);
	root = json_pack("{s:s, s:o, s:s, s:o, s:o}", "format", DISPUTE_FORMAT, "call",
	    json_sprintf("%lld", (long long)call), "installation", installation, "rows", rows,
	    "anchors", anchors);
	must(root != NULL);
	return root;
}

/* The same with its facts, for people first: format, call, installation, facts, rows, anchors. */
static json_t *with_facts(json_t *root, const struct dispute *dispute)
{
	json_t *facts = dispute_facts(dispute), *out;

	out = json_pack("{s:O, s:O, s:O, s:o, s:O, s:O}", "format", json_object_get(root, "format"),
	    "call", json_object_get(root, "call"), "installation",
	    json_object_get(root, "installation"), "facts", facts, "rows",
	    json_object_get(root, "rows"), "anchors", json_object_get(root, "anchors"));
	must(out != NULL);
	return out;
}

static bool sign(char **out, struct making *making, const json_t *root)
{
	char *body = json_dumps(root, DISPUTE_DUMP_FLAGS), statement[DISPUTE_STATEMENT_SIZE];
	char signature[PERSONAL_SIGNATURE_SIZE], *signed_part;
	enum keystore_result result;
	size_t size;

	must(body != NULL);
	/* Everything but the bracket that closes it, and the comma before what follows. */
	size = strlen(body);
	must(size > 2 && strcmp(body + size - 2, "\n}") == 0);
	signed_part = must_format("%.*s,\n", (int)(size - 2), body);
	dispute_statement(statement, signed_part, strlen(signed_part));
	result = personal_sign(signature, making->house->keystore, KEYSTORE_INSTALLATION, statement,
	    strlen(statement));
	if (result == KEYSTORE_OK)
		*out = must_format(
		    "%s" DISPUTE_TAIL_START "%s" DISPUTE_TAIL_END, signed_part, signature);
	else
		fail(making, "the installation's key does not sign: %s",
		    keystore_result_str(result));
	free(signed_part);
	free(body);
	return result == KEYSTORE_OK;
}

/* What was made is checked like a stranger's before anybody gets it. */
static bool check(struct making *making, const char *text)
{
	const struct dispute_options options = {.installation = NULL};
	json_t *report = dispute_check(text, strlen(text), &options);
	bool ok = json_is_true(json_object_get(report, "ok"));
	const char *problem =
	    json_string_value(json_array_get(json_object_get(report, "problems"), 0));

	if (!ok)
		fail(making, "the bundle does not hold: %.300s: run `tallyward ledger verify`",
		    problem ? problem : "");
	json_decref(report);
	return ok;
}

static bool finish(char **out, struct making *making, int64_t call)
{
	char installation[ADDRESS_TEXT_SIZE], words[256], *text = NULL;
	struct address address;
	struct dispute dispute;
	json_t *root, *whole;
	bool ok;

	if (!anchors_installation(&address, making->house->anchors))
		return fail(making, "the installation has no key: run `tallyward doctor`");
	root = unfinished(making, call, address_format(installation, &address));
	if (!dispute_read(&dispute, words, root, true)) {
		json_decref(root);
		return fail(making, "a row of the ledger cannot be shown: %s", words);
	}
	whole = with_facts(root, &dispute);
	ok = sign(&text, making, whole) && check(making, text);
	dispute_fini(&dispute);
	json_decref(whole);
	json_decref(root);
	if (ok)
		*out = text;
	else
		free(text);
	return ok;
}

static enum dispute_result make(char **out, struct making *making, int64_t call, int64_t now_us)
{
	char *of_tool = delivery_check_name("");
	const struct proof_settings settings = {HOUSE_SETTING_DEFAULT_POLICY, of_tool};
	enum proof_result found =
	    proof_call(making->house->store, call, &settings, take_row, making);

	free(of_tool);
	switch (found) {
	case PROOF_OK:
		break;
	case PROOF_NOTHING:
		return DISPUTE_NOT_FOUND;
	case PROOF_BEHIND:
	case PROOF_BROKEN:
		fail(making, "the ledger cannot be read: run `tallyward doctor`");
		return DISPUTE_FAILED;
	case PROOF_TOO_MANY:
		fail(making, "there are more than %u rows about it", PROOF_ROWS_MAX);
		return DISPUTE_FAILED;
	}
	return find_anchors(making, now_us) && prove_rows(making) && finish(out, making, call)
		   ? DISPUTE_OK
		   : DISPUTE_FAILED;
}

enum dispute_result dispute_make(
    char **out, char reason[DISPUTE_REASON_SIZE], struct house *house, int64_t call, int64_t now_us)
{
	struct making making = {.house = house, .reason = reason};
	enum dispute_result result;

	making.rows = must_calloc(PROOF_ROWS_MAX, sizeof *making.rows);
	making.anchors = must_calloc(PROOF_ROWS_MAX, sizeof *making.anchors);
	making.lines = must_calloc(PROOF_ROWS_MAX, sizeof *making.lines);
	result = make(out, &making, call, now_us);
	forget_anchors(&making);
	for (size_t i = 0; i < making.row_count; i++)
		json_decref(making.rows[i].json);
	free(making.rows);
	free(making.anchors);
	free(making.lines);
	return result;
}
