/* What is shown to others: are the books whole, and what was one call. */
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "ledger/verify.h"
#include "proxy/anchors.h"
#include "proxy/answer.h"
#include "proxy/dispute.h"
#include "proxy/view.h"

enum store_result command_verify(
    struct verify_report *out, struct house *house, const struct witness_options *more)
{
	struct witness_options options;
	char *path = anchors_witness(&options, house->anchors);
	enum store_result result;

	if (more) {
		options.other_anchors = more->other_anchors;
		options.head = more->head;
		options.audit_head = more->audit_head;
	}
	result = verify_against(out, house->store, &options);
	free(path);
	return result;
}

/* A head as `ledger verify` prints it; NULL into *out when the argument is absent. */
static bool optional_head(const struct digest **out, struct digest *head, struct command *command,
    json_t **error, const char *name)
{
	const char *text = json_str(command->args, name);

	*out = NULL;
	if (!text)
		return true;
	if (!hex_decode(head->bytes, DIGEST_SIZE, text)) {
		*error = answer_error(COMMAND_USAGE,
		    "%.100s is not a head: it is 64 hex digits, as `ledger verify` prints it",
		    text);
		return false;
	}
	*out = head;
	return true;
}

static json_t *report_json(const struct verify_report *report, struct house *house)
{
	char head[2 * DIGEST_SIZE + 1], audit_head[2 * DIGEST_SIZE + 1], text[ADDRESS_TEXT_SIZE];
	json_t *problems = json_array(), *result;
	struct address installation;
	bool has_key = anchors_installation(&installation, house->anchors);

	for (size_t i = 0; i < report->problem_count; i++) {
		json_t *words = json_string(report->problems[i]);

		/* One that quotes damaged text must not be lost for it. */
		if (!words)
			words = json_string("a row holds text that is not UTF-8");
		json_array_append_new(problems, words);
	}
	result = json_pack("{s:b, s:I, s:I, s:I, s:s, s:s, s:I, s:o, s:s?, s:o}", "ok", report->ok,
	    "transactions", (json_int_t)report->transactions, "postings",
	    (json_int_t)report->postings, "audits", (json_int_t)report->audits, "head",
	    hex_encode(head, report->head.bytes, DIGEST_SIZE), "audit_head",
	    hex_encode(audit_head, report->audit_head.bytes, DIGEST_SIZE), "anchors",
	    (json_int_t)report->anchors, "anchored_at", view_time(report->anchored_us),
	    "installation", has_key ? address_format(text, &installation) : NULL, "problems",
	    problems);
	must(result != NULL);
	return result;
}

static json_t *verify(struct command *command)
{
	struct digest head, audit_head;
	struct witness_options more = {.other_anchors = json_str(command->args, "anchors")};
	struct verify_report report;
	json_t *error = NULL, *result;

	if (!optional_head(&more.head, &head, command, &error, "head") ||
	    !optional_head(&more.audit_head, &audit_head, command, &error, "audit_head"))
		return error;
	if (command_verify(&report, command->house, &more) != STORE_OK)
		return answer_error(
		    COMMAND_FAILED, "the ledger cannot be read: run `tallyward doctor`");
	result = report_json(&report, command->house);
	verify_fini(&report);
	return answer_ok(result);
}

static json_t *dispute(struct command *command)
{
	char reason[DISPUTE_REASON_SIZE] = "";
	json_t *error = NULL, *result;
	char *text = NULL;
	int64_t call;

	if (!command_id(&call, command, &error, "call"))
		return error;
	switch (dispute_make(&text, reason, command->house, call, command->now_us)) {
	case DISPUTE_OK:
		break;
	case DISPUTE_NOT_FOUND:
		return answer_error(COMMAND_NOT_FOUND,
		    "there is no call %lld: `tallyward ledger audit` lists them", (long long)call);
	case DISPUTE_FAILED:
		return answer_error(COMMAND_FAILED, "%s", reason);
	}
	result = json_pack("{s:o, s:s}", "call", view_id(call), "text", text);
	must(result != NULL);
	free(text);
	return answer_ok(result);
}

json_t *command_proof(struct command *command, const char *name)
{
	if (strcmp(name, "dispute") == 0)
		return dispute(command);
	if (strcmp(name, "ledger.verify") == 0)
		return verify(command);
	return NULL;
}
