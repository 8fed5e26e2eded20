/* Does a bundle hold by itself? See dispute.h. Everything here comes from a stranger, and nothing
 * is read but the bundle and, when the caller names one, a copy of the anchor file. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/json.h"
#include "proxy/anchors.h"
#include "proxy/dispute.h"
#include "proxy/dispute_parts.h"
#include "proxy/dispute_rows.h"
#include "proxy/view.h"
#include "wallet/challenge.h"
#include "wallet/eip712.h"
#include "wallet/payment.h"
#include "wallet/personal.h"

#define WORDS_SIZE 512u

struct check {
	const struct dispute_options *options;
	struct dispute dispute;
	bool ok;
	json_t *checks, *problems, *proves, *cannot_prove;
};

void dispute_statement(char out[DISPUTE_STATEMENT_SIZE], const char *signed_part, size_t size)
{
	struct digest digest = sha256(signed_part, size);
	char hex[2 * DIGEST_SIZE + 1];

	snprintf(out, DISPUTE_STATEMENT_SIZE, "tallyward dispute bundle, SHA-256 %s",
	    hex_encode(hex, digest.bytes, DIGEST_SIZE));
}

/* --- what was found -------------------------------------------------------------- */

/* Words that quote a stranger may be cut inside a character. */
static void add_words(json_t *list, const char *words)
{
	json_t *json = json_string(words);

	must(json_array_append_new(list, json ? json : json_string("(words that are not UTF-8)")) ==
	     0);
}

static bool say(struct check *check, const char *name, bool ok, const char *format, ...)
    PRINTF_LIKE(4, 5);
static bool say(struct check *check, const char *name, bool ok, const char *format, ...)
{
	char words[WORDS_SIZE], problem[WORDS_SIZE + 64];
	json_t *detail;
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof words, format, args);
	va_end(args);
	detail = json_string(words);
	must(json_array_append_new(
		 check->checks, json_pack("{s:s, s:b, s:o}", "check", name, "ok", ok, "detail",
				    detail ? detail : json_null())) == 0);
	if (!ok) {
		snprintf(problem, sizeof problem, "%s: %s", name, words);
		add_words(check->problems, problem);
		check->ok = false;
	}
	return ok;
}

static void tell(json_t *list, const char *format, ...) PRINTF_LIKE(2, 3);
static void tell(json_t *list, const char *format, ...)
{
	char words[WORDS_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof words, format, args);
	va_end(args);
	add_words(list, words);
}

/* --- form and signature -------------------------------------------------------------- */

/* The signature at the end, and how much of the file it stands for. */
static bool split(
    char signature[PERSONAL_SIGNATURE_SIZE], size_t *signed_size, const char *text, size_t size)
{
	const size_t start = strlen(DISPUTE_TAIL_START), end = strlen(DISPUTE_TAIL_END);
	const size_t length = PERSONAL_SIGNATURE_SIZE - 1, tail = start + length + end;
	const char *at;

	if (size < tail + 2)
		return false;
	at = text + size - tail;
	if (memcmp(at - 2, ",\n", 2) != 0 || memcmp(at, DISPUTE_TAIL_START, start) != 0 ||
	    memcmp(at + start + length, DISPUTE_TAIL_END, end) != 0)
		return false;
	memcpy(signature, at + start, length);
	signature[length] = '\0';
	*signed_size = size - tail;
	return true;
}

static bool few_marks(const char *text, size_t size)
{
	size_t count = 0;

	for (size_t i = 0; i < size; i++)
		count += text[i] == ',' || text[i] == '[' || text[i] == '{';
	return count <= DISPUTE_MARKS_MAX;
}

static bool check_form(struct check *check, json_t **root, const char *text, size_t size)
{
	struct json_error error;
	char reason[256];

	if (size > DISPUTE_SIZE_MAX)
		return say(check, "form", false, "larger than %u MiB", DISPUTE_SIZE_MAX >> 20);
	if (!few_marks(text, size))
		return say(check, "form", false, "more values in it than a bundle has");
	*root = json_read(&error, text, size, DISPUTE_SIZE_MAX);
	if (!*root)
		return say(check, "form", false, "line %d: %s", error.line, error.reason);
	if (!dispute_read(&check->dispute, reason, *root, false))
		return say(check, "form", false, "%s", reason);
	return say(check, "form", true, "%s, %zu rows under %zu anchors", DISPUTE_FORMAT,
	    check->dispute.row_count, check->dispute.anchor_count);
}

static void check_signature(struct check *check, const char *text, size_t size)
{
	char signature[PERSONAL_SIGNATURE_SIZE], statement[DISPUTE_STATEMENT_SIZE];
	const char *installation = check->dispute.installation;
	size_t signed_size;

	if (!split(signature, &signed_size, text, size)) {
		say(check, "signature", false,
		    "it does not stand where it has to, on the last line but one");
		return;
	}
	dispute_statement(statement, text, signed_size);
	if (anchors_signed_by(NULL, installation, statement, strlen(statement), signature))
		say(check, "signature", true, "installation %s signed every byte of it",
		    installation);
	else
		say(check, "signature", false,
		    "it is not installation %.42s's: the file was changed, or forged",
		    installation);
}

static void check_installation(struct check *check)
{
	const char *wanted = check->options->installation;

	if (!wanted)
		return;
	say(check, "installation", strcmp(wanted, check->dispute.installation) == 0,
	    "%.42s was asked for, and it says %.42s", wanted, check->dispute.installation);
}

/* --- anchors ---------------------------------------------------------------------------- */

static const struct anchor *find_anchor(const struct dispute *dispute, int64_t number)
{
	for (size_t i = 0; i < dispute->anchor_count; i++) {
		if (dispute->anchors[i].number == number)
			return &dispute->anchors[i];
	}
	return NULL;
}

static bool is_used(const struct dispute *dispute, int64_t anchor)
{
	for (size_t i = 0; i < dispute->row_count; i++) {
		if (dispute->rows[i].anchor == anchor)
			return true;
	}
	return false;
}

static void check_anchors(struct check *check)
{
	const struct dispute *dispute = &check->dispute;

	for (size_t i = 0; i < dispute->anchor_count; i++) {
		const struct anchor *anchor = &dispute->anchors[i];
		char statement[ANCHOR_LINE_MAX];
		size_t size = anchor_statement(statement, anchor);

		if (strcmp(anchor->installation, dispute->installation) != 0) {
			say(check, "anchors", false, "anchor %lld is of installation %s",
			    (long long)anchor->number, anchor->installation);
			return;
		}
		if (!anchors_signed_by(
			NULL, anchor->installation, statement, size, anchor->signature)) {
			say(check, "anchors", false, "anchor %lld is not signed by installation %s",
			    (long long)anchor->number, anchor->installation);
			return;
		}
		if (!is_used(dispute, anchor->number)) {
			say(check, "anchors", false, "no row is under anchor %lld",
			    (long long)anchor->number);
			return;
		}
	}
	say(check, "anchors", true, "%zu, each signed by installation %s", dispute->anchor_count,
	    dispute->installation);
}

struct copy {
	const struct dispute *dispute;
	bool *found;
	int64_t differs; /* the first whose number has another line there; 0 */
};

static bool compare_line(const struct anchor_line *line, void *arg)
{
	struct copy *copy = arg;

	for (size_t i = 0; line->good && i < copy->dispute->anchor_count; i++) {
		const char *own = copy->dispute->anchor_lines[i];

		if (copy->dispute->anchors[i].number != line->anchor.number)
			continue;
		if (strlen(own) == line->size && memcmp(own, line->text, line->size) == 0)
			copy->found[i] = true;
		else if (copy->differs == 0)
			copy->differs = line->anchor.number;
	}
	return true;
}

static void judge_copy(struct check *check, const struct copy *copy)
{
	const struct dispute *dispute = &check->dispute;
	const char *path = check->options->anchors;

	if (copy->differs != 0) {
		say(check, "kept anchors", false,
		    "anchor %lld is another in %.200s: the installation has rewritten its history, "
		    "or the copy is of something else",
		    (long long)copy->differs, path);
		return;
	}
	for (size_t i = 0; i < dispute->anchor_count; i++) {
		if (copy->found[i])
			continue;
		say(check, "kept anchors", false, "anchor %lld is not in %.200s",
		    (long long)dispute->anchors[i].number, path);
		return;
	}
	say(check, "kept anchors", true, "all of them are in %.200s", path);
}

static void check_copy(struct check *check)
{
	const char *path = check->options->anchors;
	struct copy copy = {.dispute = &check->dispute};

	if (!path)
		return;
	copy.found = must_calloc(check->dispute.anchor_count, sizeof *copy.found);
	switch (anchor_each(path, true, compare_line, &copy)) {
	case ANCHOR_OK:
		judge_copy(check, &copy);
		break;
	case ANCHOR_ABSENT:
		say(check, "kept anchors", false, "%.200s is not there", path);
		break;
	case ANCHOR_FOREIGN:
		say(check, "kept anchors", false, "%.200s is no file of anchors", path);
		break;
	case ANCHOR_IO:
		say(check, "kept anchors", false, "%.200s cannot be read: %s", path,
		    strerror(errno));
		break;
	}
	free(copy.found);
}

/* --- rows ---------------------------------------------------------------------------------- */

/* The hash that the row's place in its chain gives it; NULL payment: not a sign row. */
static bool row_hash(
    struct digest *out, const struct dispute *dispute, const struct dispute_row *row)
{
	const struct dispute_row *payment;
	struct digest digest;

	if (row->table != TABLE_JOURNAL) {
		*out = record_hash(&row->before, row->number, row->table, row->values);
		return true;
	}
	if (dispute_number(row, "event") != JOURNAL_SIGN) {
		*out = journal_hash(
		    &row->before, row->values, row->postings, row->posting_count, NULL);
		return true;
	}
	payment = dispute_find(dispute, TABLE_PAYMENT, dispute_number(row, "payment"));
	if (!payment)
		return false;
	digest = journal_row_digest(TABLE_PAYMENT, payment->values);
	*out = journal_hash(&row->before, row->values, row->postings, row->posting_count, &digest);
	return true;
}

static bool is_under(const struct dispute *dispute, const struct dispute_row *row)
{
	const struct anchor *anchor = find_anchor(dispute, row->anchor);
	const struct anchor_chain *chain;
	struct digest hash, leaf;

	if (!anchor || !row_hash(&hash, dispute, row))
		return false;
	chain = row->table == TABLE_JOURNAL ? &anchor->journal : &anchor->record;
	if (row->number <= chain->from || row->number > chain->head.rows)
		return false;
	leaf = merkle_leaf(hash.bytes, DIGEST_SIZE);
	return merkle_path_holds(&row->path, &leaf, (uint64_t)(row->number - chain->from - 1),
	    (uint64_t)(chain->head.rows - chain->from), &chain->root);
}

static void check_rows(struct check *check)
{
	const struct dispute *dispute = &check->dispute;
	char reason[256];

	for (size_t i = 0; i < dispute->row_count; i++) {
		const struct dispute_row *row = &dispute->rows[i];

		if (!is_under(dispute, row)) {
			say(check, "rows", false,
			    "%s row %lld is not under anchor %lld: it was changed, or its place "
			    "or path was",
			    schema_table(row->table)->name, (long long)row->values[0].number,
			    (long long)row->anchor);
			return;
		}
	}
	if (dispute_related(reason, dispute))
		say(check, "rows", true, "%zu, each under the root of its anchor",
		    dispute->row_count);
	else
		say(check, "rows", false, "%s", reason);
}

static void check_facts(struct check *check)
{
	json_t *facts = dispute_facts(&check->dispute);

	if (json_equal(facts, check->dispute.facts))
		say(check, "facts", true, "they are what the rows say");
	else
		say(check, "facts", false, "they are not what the rows say");
	json_decref(facts);
}

/* --- payments --------------------------------------------------------------------------------- */

/* The domain of a token that is in no table of ours, as the seller named it. */
static bool domain_of_option(struct digest *out, const struct dispute_row *payment,
    uint64_t chain_id, const struct address *contract)
{
	const char *text = dispute_text(payment, "challenge");
	const char *value = dispute_text(payment, "value");
	struct challenge *challenge;
	bool found = false;

	if (!text || !value ||
	    challenge_parse(&challenge, NULL, NULL, 0, text, strlen(text)) != CHALLENGE_OK)
		return false;
	for (size_t i = 0; i < challenge->option_count && !found; i++) {
		const struct requirement *option = &challenge->options[i];
		struct address asset;

		found = option->domain_name && option->domain_version && option->amount &&
			strcmp(option->amount, value) == 0 &&
			address_parse(&asset, option->asset) && address_equal(&asset, contract);
		if (found)
			*out = eip712_domain(
			    option->domain_name, option->domain_version, chain_id, contract);
	}
	challenge_free(&challenge);
	return found;
}

/* Ours when we know the token, else the seller's word for it. */
static bool find_domain(struct digest *out, bool *known, const struct dispute_row *payment)
{
	const char *network = dispute_text(payment, "network");
	struct assets *assets;
	const struct asset *asset;
	struct address contract;
	uint64_t chain_id;

	if (!network || !network_parse(&chain_id, network) ||
	    !address_parse(&contract, dispute_text(payment, "asset")))
		return false;
	assets = assets_new();
	asset = assets_find(assets, chain_id, &contract);
	*known = asset != NULL;
	if (asset)
		*out = asset->domain_separator;
	assets_free(&assets);
	return *known || domain_of_option(out, payment, chain_id, &contract);
}

/* Does the header say what the row says? */
static bool header_agrees(
    const struct payment_header *header, const struct dispute_row *payment, struct address *payer)
{
	const struct authorization *authorization = &header->authorization;
	const char *name = dispute_text(payment, "header_name");
	const char *nonce_text = dispute_text(payment, "nonce");
	uint8_t nonce[AUTHORIZATION_NONCE_SIZE];
	struct uint256 value;
	struct address payee;

	return name &&
	       strcmp(name, header->version == 2 ? "PAYMENT-SIGNATURE" : "X-PAYMENT") == 0 &&
	       address_parse(payer, dispute_text(payment, "payer")) &&
	       address_parse(&payee, dispute_text(payment, "payee")) &&
	       uint256_parse(&value, dispute_text(payment, "value")) && nonce_text &&
	       hex_decode(nonce, sizeof nonce, nonce_text) &&
	       address_equal(&authorization->from, payer) &&
	       address_equal(&authorization->to, &payee) &&
	       uint256_cmp(&authorization->value, &value) == 0 &&
	       memcmp(authorization->nonce, nonce, sizeof nonce) == 0 &&
	       dispute_number(payment, "valid_before_s") > 0 &&
	       authorization->valid_before_s == (uint64_t)dispute_number(payment, "valid_before_s");
}

static void check_payment(struct check *check, const struct dispute_row *payment)
{
	long long its = (long long)payment->values[0].number;
	struct payment_header header;
	struct address payer, signer;
	struct digest domain;
	bool known = false;

	if (!payment_header_read(&header, dispute_text(payment, "header_value"))) {
		say(check, "payment", false, "%lld: its header is none of x402", its);
		return;
	}
	if (!header_agrees(&header, payment, &payer)) {
		say(check, "payment", false,
		    "%lld: the signed authorization is not what the row says", its);
		return;
	}
	if (!find_domain(&domain, &known, payment)) {
		say(check, "payment", false,
		    "%lld: the token is in no table, and the challenge does not name its domain",
		    its);
		return;
	}
	if (!payment_header_signer(&signer, &header, &domain) || !address_equal(&signer, &payer)) {
		say(check, "payment", false, "%lld: the authorization is not signed by its payer",
		    its);
		return;
	}
	say(check, "payment", true, "%lld: signed by its payer %s%s", its,
	    dispute_text(payment, "payer"),
	    known ? "" : ", under the token's domain as the seller named it");
}

static void check_payments(struct check *check)
{
	for (size_t i = 0; i < check->dispute.row_count; i++) {
		if (check->dispute.rows[i].table == TABLE_PAYMENT)
			check_payment(check, &check->dispute.rows[i]);
	}
}

/* --- what it comes to ------------------------------------------------------------------------ */

static const char *part(const json_t *payment, const char *object, const char *name)
{
	const char *text =
	    object ? json_str(json_object_get(payment, object), name) : json_str(payment, name);

	return text ? text : "";
}

static void prove_payment(struct check *check, const json_t *payment)
{
	const char *offer = part(payment, "offer_signed_by_seller", "state");
	const char *receipt = part(payment, "receipt_signed_by_seller", "state");

	tell(check->proves,
	    "%s signed the authorization of $%s (%s units of %s on %s) to %s, valid until %s",
	    part(payment, NULL, "payer"), part(payment, NULL, "amount"),
	    part(payment, NULL, "value"), part(payment, NULL, "asset"),
	    part(payment, NULL, "network"), part(payment, NULL, "payee"),
	    part(payment, NULL, "valid_before"));
	if (strcmp(offer, "valid") == 0 || strcmp(offer, "expired") == 0)
		tell(check->proves, "the payee's key signed an offer on these terms");
	if (strcmp(receipt, "valid") == 0)
		tell(check->proves, "the payee's key signed a receipt for this payment");
}

static void tell_proofs(struct check *check)
{
	const struct dispute *dispute = &check->dispute;
	const struct anchor *first = &dispute->anchors[0];
	const struct anchor *newest = &dispute->anchors[dispute->anchor_count - 1];
	const json_t *payments = json_object_get(dispute->facts, "payments");
	char time[CLOCK_TEXT_SIZE];

	tell(
	    check->proves, "installation %s vouches for every word of this", dispute->installation);
	tell(check->proves, "it wrote these %zu rows before anchor %lld of %s, by its own clock%s",
	    dispute->row_count, (long long)newest->number, clock_format(time, newest->time_us),
	    first != newest ? ", the older ones before earlier anchors" : "");
	for (size_t i = 0; i < json_array_size(payments); i++)
		prove_payment(check, json_array_get(payments, i));
	if (check->options->anchors)
		tell(check->proves,
		    "the rows are those that were there when the lines of %.200s were made",
		    check->options->anchors);
}

static void tell_limits(struct check *check)
{
	json_t *list = check->cannot_prove;

	if (!check->options->installation)
		tell(list, "whose the installation is: compare its address with one you know "
			   "(--installation)");
	if (!check->options->anchors)
		tell(list, "that the installation has not written another history since: only "
			   "anchors kept elsewhere rule that out (--anchors)");
	tell(list, "that these are all the rows about the call: rows left out do not show");
	tell(list, "that the seller delivered, or what: digests, statuses and delivery rows are "
		   "what the installation says it saw");
	tell(list, "that challenge, receipt and chain evidence came as they are written here: what "
		   "the seller has not signed is the installation's word; the chain can be asked "
		   "about the transactions");
	tell(list, "when anything happened, but that it was before the anchors: times are the "
		   "installation's clock");
}

static json_t *anchors_json(const struct dispute *dispute)
{
	json_t *list = json_array();

	for (size_t i = 0; i < dispute->anchor_count; i++)
		must(json_array_append_new(list,
			 json_pack("{s:I, s:o}", "anchor", (json_int_t)dispute->anchors[i].number,
			     "time", view_time(dispute->anchors[i].time_us))) == 0);
	return list;
}

json_t *dispute_check(const char *text, size_t size, const struct dispute_options *options)
{
	struct check check = {.options = options,
	    .ok = true,
	    .checks = json_array(),
	    .problems = json_array(),
	    .proves = json_array(),
	    .cannot_prove = json_array()};
	json_t *root = NULL, *report;
	bool formed = check_form(&check, &root, text, size);

	if (formed) {
		check_signature(&check, text, size);
		check_installation(&check);
		check_anchors(&check);
		check_copy(&check);
		check_rows(&check);
		check_facts(&check);
		check_payments(&check);
		tell_limits(&check);
	}
	if (check.ok)
		tell_proofs(&check);
	report = json_pack("{s:b, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "ok", check.ok,
	    "format", DISPUTE_FORMAT, "call", formed ? view_id(check.dispute.call) : json_null(),
	    "installation", formed ? json_string(check.dispute.installation) : json_null(),
	    "anchors", formed ? anchors_json(&check.dispute) : json_array(), "checks", check.checks,
	    "problems", check.problems, "proves", check.proves, "cannot_prove", check.cannot_prove,
	    "facts", formed ? json_incref((json_t *)(uintptr_t)check.dispute.facts) : json_null());
	must(report != NULL);
	if (formed)
		dispute_fini(&check.dispute);
	json_decref(root);
	return report;
}
