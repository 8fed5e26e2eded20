/* wallet/receipt.c - what came back after a payment was sent. */
#include "wallet/receipt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/bytes.h"
#include "common/flat.h"
#include "common/json.h"

#define TRANSACTION_DIGITS 64

const char *receipt_outcome_str(enum receipt_outcome outcome)
{
	switch (outcome) {
	case RECEIPT_SETTLED:
		return "settled";
	case RECEIPT_ABSENT:
		return "absent";
	case RECEIPT_MALFORMED:
		return "malformed";
	case RECEIPT_INCONSISTENT:
		return "inconsistent";
	case RECEIPT_PENDING:
		return "pending";
	case RECEIPT_FAILED:
		return "failed";
	case RECEIPT_NONCE_USED:
		return "nonce_used";
	}
	return "unknown";
}

/* A stranger's words, cut to size and safe to print. */
static void copy_printable(char *out, size_t size, const char *text)
{
	size_t i;

	for (i = 0; i + 1 < size && text[i] != '\0'; i++)
		out[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	out[i] = '\0';
}

static void conclude(struct receipt *out, enum receipt_outcome outcome, const char *reason)
{
	out->outcome = outcome;
	copy_printable(out->reason, sizeof(out->reason), reason);
}

/* The receipt as it was read: most are plain words, the rest becomes a tree. */
struct source {
	json_t *root; /* NULL: flat holds it */
	struct flat flat;
};

struct member {
	enum { MEMBER_ABSENT, MEMBER_TEXT, MEMBER_BOOLEAN, MEMBER_INTEGER, MEMBER_OTHER } type;
	const char *text;
	int64_t integer;
	bool truth;
};

static struct member flat_member_of(const struct flat *flat, const char *key)
{
	const struct flat_member *found = flat_member(flat, key);

	if (found == NULL)
		return (struct member){.type = MEMBER_ABSENT};
	if (found->text == NULL)
		return (struct member){.type = MEMBER_BOOLEAN, .truth = found->truth};
	return (struct member){.type = MEMBER_TEXT, .text = found->text};
}

/* null counts as absent. */
static struct member member_of(const struct source *source, const char *key)
{
	const json_t *found;

	if (source->root == NULL)
		return flat_member_of(&source->flat, key);
	found = json_member(source->root, key);
	if (found == NULL)
		return (struct member){.type = MEMBER_ABSENT};
	if (json_is_string(found))
		return (struct member){.type = MEMBER_TEXT, .text = json_string_value(found)};
	if (json_is_boolean(found))
		return (struct member){.type = MEMBER_BOOLEAN, .truth = json_is_true(found)};
	if (json_is_integer(found))
		return (struct member){
		    .type = MEMBER_INTEGER, .integer = json_integer_value(found)};
	return (struct member){.type = MEMBER_OTHER};
}

/* Absent or text; *out is then the text or "". */
static bool read_text(const char **out, struct member member)
{
	*out = member.type == MEMBER_TEXT ? member.text : "";
	return member.type == MEMBER_TEXT || member.type == MEMBER_ABSENT;
}

/* The receipt's members, found to be of the right types. */
struct claims {
	bool success;
	const char *transaction, *network, *payer, *error_reason;
	struct member amount;
};

static bool read_claims(struct claims *out, const struct source *source)
{
	struct member success = member_of(source, "success");
	struct member transaction = member_of(source, "transaction");

	/* What some early sellers call it. */
	if (transaction.type == MEMBER_ABSENT)
		transaction = member_of(source, "txHash");
	out->success = success.truth;
	out->amount = member_of(source, "amount");
	return success.type == MEMBER_BOOLEAN && read_text(&out->transaction, transaction) &&
	    read_text(&out->network, member_of(source, "network")) &&
	    read_text(&out->payer, member_of(source, "payer")) &&
	    read_text(&out->error_reason, member_of(source, "errorReason"));
}

static bool is_transaction(const char *text)
{
	return strlen(text) == 2 + TRANSACTION_DIGITS && strncmp(text, "0x", 2) == 0 &&
	    strspn(text + 2, "0123456789abcdefABCDEF") == TRANSACTION_DIGITS;
}

static bool is_network(const char *text, const struct asset *asset)
{
	if (strcmp(text, asset->network) == 0)
		return true;
	return asset->v1_network != NULL && strcmp(text, asset->v1_network) == 0;
}

static bool is_value(struct member amount, const struct uint256 *value)
{
	struct uint256 claimed;

	if (amount.type == MEMBER_INTEGER && amount.integer >= 0)
		claimed = uint256_of((uint64_t)amount.integer);
	else if (amount.type != MEMBER_TEXT || !uint256_parse(&claimed, amount.text))
		return false;
	return uint256_cmp(&claimed, value) == 0;
}

static void judge_success(struct receipt *out, const struct claims *claims,
    const struct address *payer, const struct asset *asset, const struct uint256 *value)
{
	char payer_text[ADDRESS_TEXT_SIZE];

	address_format_lower(payer_text, payer);
	if (!is_network(claims->network, asset))
		conclude(out, RECEIPT_INCONSISTENT, "the receipt names another network");
	else if (strcasecmp(claims->payer, payer_text) != 0)
		conclude(out, RECEIPT_INCONSISTENT, "the receipt names another payer");
	else if (claims->amount.type != MEMBER_ABSENT && !is_value(claims->amount, value))
		conclude(out, RECEIPT_INCONSISTENT, "the receipt names another amount");
	else if (!is_transaction(claims->transaction))
		conclude(out, RECEIPT_INCONSISTENT, "the receipt names no transaction");
	else
		conclude(out, RECEIPT_SETTLED, "");
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);

	return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* Facilitators word their reasons differently, so only two of them count. */
static void judge_failure(struct receipt *out, const struct claims *claims)
{
	enum receipt_outcome outcome = RECEIPT_FAILED;

	if (claims->transaction[0] != '\0' ||
	    strcmp(claims->error_reason, "settlement_pending") == 0)
		outcome = RECEIPT_PENDING;
	else if (ends_with(claims->error_reason, "nonce_already_used"))
		outcome = RECEIPT_NONCE_USED;
	conclude(out, outcome, claims->error_reason);
}

/* The header read, with its text kept in *out; false when it is malformed. */
static bool decode(struct source *source, struct receipt *out, const char *header)
{
	struct json_error bad;
	size_t length, size;
	uint8_t *text;

	while (*header == ' ' || *header == '\t')
		header++;
	length = strlen(header);
	while (length > 0 && (header[length - 1] == ' ' || header[length - 1] == '\t'))
		length--;
	if (!base64_decode(&text, &size, header, length, RECEIPT_SIZE_MAX)) {
		conclude(out, RECEIPT_MALFORMED, "the receipt is not base64 of a fitting size");
		return false;
	}
	source->root = NULL;
	if (!flat_read(&source->flat, (const char *)text, size)) {
		source->root = json_read(&bad, (const char *)text, size, RECEIPT_SIZE_MAX);
		if (source->root == NULL) {
			conclude(out, RECEIPT_MALFORMED, bad.reason);
			free(text);
			return false;
		}
	}
	out->text = (char *)text;
	return true;
}

void receipt_read(struct receipt *out, const char *const *v2, size_t v2_count,
    const char *const *v1, size_t v1_count, const struct address *payer,
    const struct asset *asset, const struct uint256 *value)
{
	const char *const *headers = v2_count > 0 ? v2 : v1;
	size_t count = v2_count > 0 ? v2_count : v1_count;
	struct source source;
	struct claims claims;

	*out = (struct receipt){.outcome = RECEIPT_ABSENT};
	if (count == 0)
		return;
	if (count > 1) {
		conclude(out, RECEIPT_MALFORMED, "more than one receipt header");
		return;
	}
	if (!decode(&source, out, headers[0]))
		return;
	if (!read_claims(&claims, &source)) {
		conclude(out, RECEIPT_MALFORMED, "a member is missing or of another type");
		json_decref(source.root);
		return;
	}
	copy_printable(out->transaction, sizeof(out->transaction), claims.transaction);
	if (claims.success)
		judge_success(out, &claims, payer, asset, value);
	else
		judge_failure(out, &claims);
	json_decref(source.root);
}

void receipt_fini(struct receipt *receipt)
{
	free(receipt->text);
	receipt->text = NULL;
}
