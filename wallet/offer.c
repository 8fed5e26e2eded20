/* wallet/offer.c - what a seller signed: offers in its challenge, the receipt after a payment.
 *
 * An artifact is read first (artifact_read): its payload, the digest that was signed, and the
 * signature. Judging it compares the payload with what was asked or paid, and only then asks
 * who signed. A stranger wrote every byte. */
#include "wallet/offer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/bytes.h"
#include "common/digest.h"
#include "common/json.h"
#include "wallet/asset.h"
#include "wallet/eip712.h"
#include "wallet/place.h"
#include "wallet/receipt.h"
#include "wallet/signer.h"

#define EXTENSION       "offer-receipt"
#define VERSION         1 /* of a payload; the only one there is */
#define JWS_HEADER_MAX  4096u
#define JWS_PAYLOAD_MAX 8192u
#define JWS_SIGNATURE   64 /* ES256K: r, s */
/* Bytes of a seller's word that a reason repeats. */
#define SHOWN_MAX 64

static const char offer_type[] =
    "Offer(uint256 version,string resourceUrl,string scheme,string network,string asset,"
    "string payTo,string amount,uint256 validUntil)";
static const char receipt_type[] =
    "Receipt(uint256 version,string network,string resourceUrl,string payer,uint256 issuedAt,"
    "string transaction)";

enum kind { KIND_OFFER, KIND_RECEIPT };

/* One signed object. */
struct artifact {
	enum kind kind;
	enum offer_state fault; /* VALID: it can be checked; else UNSUPPORTED or MALFORMED */
	char reason[256];       /* of the fault */
	json_t *payload;        /* NULL when it cannot be read */
	bool jws;
	char key[SHOWN_MAX + 1]; /* the JWS header's kid, printable, "" when none */
	struct digest digest;
	uint8_t signature[SIGNER_SIGNATURE_SIZE]; /* v is set for eip712 only */
	bool recovered;
	/* Who may have signed: one of an eip712 signature, two of an ES256K one, which does not
	 * say which of them. */
	struct address signers[2];
	size_t signer_count;
};

struct offers {
	struct artifact *items;
	size_t count;
};

const char *offer_state_str(enum offer_state state)
{
	switch (state) {
	case OFFER_VALID:
		return "valid";
	case OFFER_EXPIRED:
		return "expired";
	case OFFER_WRONG_SIGNER:
		return "wrong_signer";
	case OFFER_UNSUPPORTED:
		return "unsupported";
	case OFFER_MISMATCH:
		return "mismatch";
	case OFFER_MALFORMED:
		return "malformed";
	case OFFER_ABSENT:
		return "absent";
	}
	return "unknown";
}

static void make_printable(char *text)
{
	for (; *text != '\0'; text++) {
		if (*text < ' ' || *text > '~')
			*text = '?';
	}
}

static void conclude(struct offer_verdict *out, enum offer_state state, const char *format, ...)
    PRINTF_LIKE(3, 4);
static void conclude(struct offer_verdict *out, enum offer_state state, const char *format, ...)
{
	va_list args;

	out->state = state;
	va_start(args, format);
	vsnprintf(out->reason, sizeof(out->reason), format, args);
	va_end(args);
	make_printable(out->reason);
}

/* Always false, so that a reader can return it. */
static bool artifact_fail(
    struct artifact *artifact, enum offer_state fault, const char *format, ...) PRINTF_LIKE(3, 4);
static bool artifact_fail(
    struct artifact *artifact, enum offer_state fault, const char *format, ...)
{
	va_list args;

	artifact->fault = fault;
	va_start(args, format);
	vsnprintf(artifact->reason, sizeof(artifact->reason), format, args);
	va_end(args);
	make_printable(artifact->reason);
	return false;
}

/* --- reading -------------------------------------------------------------------------- */

/* A payload's members, found to be of the right types. */
struct fields {
	const char *resource_url, *network;
	const char *scheme, *asset, *pay_to, *amount; /* of an offer */
	const char *payer, *transaction;              /* of a receipt; transaction "" when absent */
	int64_t time_s; /* an offer's validUntil, 0 for none; a receipt's issuedAt */
};

static bool read_text(const char **out, const json_t *payload, const char *key, bool required)
{
	const json_t *member = json_member(payload, key);
	const char *text = json_string_value(member);

	if (member == NULL && !required) {
		*out = "";
		return true;
	}
	if (text == NULL || strlen(text) > OFFER_TEXT_MAX)
		return false;
	*out = text;
	return true;
}

static bool read_time(int64_t *out, const json_t *payload, const char *key, bool required)
{
	const json_t *member = json_member(payload, key);

	if (member == NULL && !required) {
		*out = 0;
		return true;
	}
	if (!json_is_integer(member) || json_integer_value(member) < 0)
		return false;
	*out = json_integer_value(member);
	return true;
}

static bool read_fields(struct fields *out, enum kind kind, const json_t *payload)
{
	*out = (struct fields){0};
	if (!read_text(&out->resource_url, payload, "resourceUrl", true) ||
	    !read_text(&out->network, payload, "network", true))
		return false;
	if (kind == KIND_RECEIPT)
		return read_text(&out->payer, payload, "payer", true) &&
		       read_text(&out->transaction, payload, "transaction", false) &&
		       read_time(&out->time_s, payload, "issuedAt", true);
	return read_text(&out->scheme, payload, "scheme", true) &&
	       read_text(&out->asset, payload, "asset", true) &&
	       read_text(&out->pay_to, payload, "payTo", true) &&
	       read_text(&out->amount, payload, "amount", true) &&
	       read_time(&out->time_s, payload, "validUntil", false);
}

static struct digest struct_hash(enum kind kind, const struct fields *fields)
{
	uint8_t words[9][EIP712_WORD_SIZE];
	size_t count = 0;

	if (kind == KIND_OFFER) {
		eip712_put_hash(words[count++], offer_type);
		eip712_put_u64(words[count++], VERSION);
		eip712_put_hash(words[count++], fields->resource_url);
		eip712_put_hash(words[count++], fields->scheme);
		eip712_put_hash(words[count++], fields->network);
		eip712_put_hash(words[count++], fields->asset);
		eip712_put_hash(words[count++], fields->pay_to);
		eip712_put_hash(words[count++], fields->amount);
		eip712_put_u64(words[count++], (uint64_t)fields->time_s);
	} else {
		eip712_put_hash(words[count++], receipt_type);
		eip712_put_u64(words[count++], VERSION);
		eip712_put_hash(words[count++], fields->network);
		eip712_put_hash(words[count++], fields->resource_url);
		eip712_put_hash(words[count++], fields->payer);
		eip712_put_u64(words[count++], (uint64_t)fields->time_s);
		eip712_put_hash(words[count++], fields->transaction);
	}
	return keccak256(words, count * EIP712_WORD_SIZE);
}

/* The payload of either format: an object of the version we know, with its members. */
static bool check_payload(struct artifact *artifact, struct fields *fields)
{
	const json_t *version = json_member(artifact->payload, "version");

	if (!json_is_object(artifact->payload))
		return artifact_fail(artifact, OFFER_MALFORMED, "its payload is not an object");
	if (!json_is_integer(version))
		return artifact_fail(artifact, OFFER_MALFORMED, "its payload names no version");
	if (json_integer_value(version) != VERSION)
		return artifact_fail(artifact, OFFER_UNSUPPORTED,
		    "not checked: its payload has version %lld",
		    (long long)json_integer_value(version));
	if (!read_fields(fields, artifact->kind, artifact->payload))
		return artifact_fail(artifact, OFFER_MALFORMED,
		    "a field of its payload is missing, too long, or of another type");
	return true;
}

static bool read_eip712(struct artifact *artifact, const json_t *object, const char *signature)
{
	const char *name = artifact->kind == KIND_OFFER ? "x402 offer" : "x402 receipt";
	struct digest domain = eip712_domain(name, "1", 1, NULL), hash;
	uint8_t *v = &artifact->signature[SIGNER_SIGNATURE_SIZE - 1];
	struct fields fields;

	artifact->payload = json_incref(json_member(object, "payload"));
	if (!check_payload(artifact, &fields))
		return false;
	if (!hex_decode(artifact->signature, SIGNER_SIGNATURE_SIZE, signature))
		return artifact_fail(
		    artifact, OFFER_MALFORMED, "its signature is not 65 bytes of hex");
	/* Some signers write the recovery bit alone. */
	if (*v < 27)
		*v = (uint8_t)(*v + 27);
	hash = struct_hash(artifact->kind, &fields);
	artifact->digest = eip712_digest(&domain, &hash);
	return true;
}

/* One part of a compact JWS as JSON, or NULL. */
static json_t *read_part(const char *text, size_t length, size_t size_max)
{
	struct json_error bad;
	uint8_t *bytes;
	json_t *tree;
	size_t size;

	if (!base64url_decode(&bytes, &size, text, length, size_max))
		return NULL;
	tree = json_read(&bad, (const char *)bytes, size, size_max);
	free(bytes);
	return tree;
}

/* What the header says about the signature. */
static bool check_header(struct artifact *artifact, const json_t *header)
{
	const char *algorithm = json_str(header, "alg"), *key = json_str(header, "kid");

	if (algorithm == NULL)
		return artifact_fail(artifact, OFFER_MALFORMED, "its JWS header names no alg");
	if (strcmp(algorithm, "none") == 0)
		return artifact_fail(artifact, OFFER_MALFORMED, "it is not signed: alg is none");
	if (json_member(header, "crit") != NULL)
		return artifact_fail(artifact, OFFER_UNSUPPORTED,
		    "not checked: its JWS header asks for extensions (crit)");
	if (strcmp(algorithm, "ES256K") != 0)
		return artifact_fail(artifact, OFFER_UNSUPPORTED,
		    "not checked: it is signed with %.*s, and only ES256K is", SHOWN_MAX,
		    algorithm);
	snprintf(artifact->key, sizeof(artifact->key), "%s", key != NULL ? key : "");
	make_printable(artifact->key);
	return true;
}

static bool read_jws(struct artifact *artifact, const char *text)
{
	size_t length = strlen(text), header_length = strcspn(text, "."), signed_length, size;
	const char *payload = text + header_length + 1;
	json_t *header = NULL;
	struct fields fields;
	uint8_t *signature = NULL;
	bool ok = false;

	if (length > OFFER_JWS_MAX || text[header_length] == '\0' ||
	    payload[strcspn(payload, ".")] == '\0')
		return artifact_fail(
		    artifact, OFFER_MALFORMED, "its signature is not a compact JWS");
	signed_length = header_length + 1 + strcspn(payload, ".");
	header = read_part(text, header_length, JWS_HEADER_MAX);
	artifact->payload = read_part(payload, signed_length - header_length - 1, JWS_PAYLOAD_MAX);
	if (!json_is_object(header) || artifact->payload == NULL) {
		artifact_fail(artifact, OFFER_MALFORMED,
		    "its JWS header or payload is not base64url of JSON");
		goto out;
	}
	if (!check_payload(artifact, &fields) || !check_header(artifact, header))
		goto out;
	if (!base64url_decode(&signature, &size, text + signed_length + 1,
		length - signed_length - 1, JWS_SIGNATURE) ||
	    size != JWS_SIGNATURE) {
		artifact_fail(artifact, OFFER_MALFORMED, "its JWS signature is not 64 bytes");
		goto out;
	}
	memcpy(artifact->signature, signature, JWS_SIGNATURE);
	artifact->digest = sha256(text, signed_length);
	artifact->jws = true;
	ok = true;
out:
	free(signature);
	json_decref(header);
	return ok;
}

static void artifact_read(struct artifact *out, enum kind kind, const json_t *object)
{
	const char *format = json_str(object, "format"), *signature = json_str(object, "signature");

	*out = (struct artifact){.kind = kind, .fault = OFFER_VALID};
	if (!json_is_object(object) || format == NULL || signature == NULL)
		artifact_fail(out, OFFER_MALFORMED, "it has no format or no signature");
	else if (strcmp(format, "eip712") == 0)
		(void)read_eip712(out, object, signature);
	else if (strcmp(format, "jws") == 0)
		(void)read_jws(out, signature);
	else
		artifact_fail(out, OFFER_UNSUPPORTED,
		    "not checked: its format is %.*s, which is neither eip712 nor jws", SHOWN_MAX,
		    format);
}

static void artifact_fini(struct artifact *artifact)
{
	json_decref(artifact->payload);
	artifact->payload = NULL;
}

/* --- judging --------------------------------------------------------------------------- */

static void recover(struct artifact *artifact)
{
	uint8_t *v = &artifact->signature[SIGNER_SIGNATURE_SIZE - 1];

	if (artifact->recovered)
		return;
	artifact->recovered = true;
	if (artifact->jws)
		*v = 27;
	do {
		if (signer_recover(&artifact->signers[artifact->signer_count], NULL,
			artifact->signature, &artifact->digest))
			artifact->signer_count++;
	} while (artifact->jws && (*v)++ == 27);
}

/* Whether it was payTo who signed. */
static void judge_signer(
    struct offer_verdict *out, struct artifact *artifact, const struct address *payee)
{
	char text[ADDRESS_TEXT_SIZE];

	recover(artifact);
	for (size_t i = 0; i < artifact->signer_count; i++) {
		if (!artifact->jws || address_equal(&artifact->signers[i], payee)) {
			out->has_signer = true;
			out->signer = artifact->signers[i];
		}
	}
	if (artifact->signer_count == 0)
		conclude(out, OFFER_MALFORMED, "nobody can have made its signature");
	else if (out->has_signer && address_equal(&out->signer, payee))
		conclude(out, OFFER_VALID, "%s", "");
	else if (out->has_signer)
		conclude(out, OFFER_WRONG_SIGNER, "it is signed by %s, not by payTo",
		    address_format(text, &out->signer));
	else if (*artifact->key != '\0')
		conclude(out, OFFER_WRONG_SIGNER,
		    "it is not signed by payTo, and the key %s is not looked up", artifact->key);
	else
		conclude(out, OFFER_WRONG_SIGNER, "it is not signed by payTo");
}

static bool is_network(const char *text, uint64_t chain_id)
{
	uint64_t named;

	/* Payloads name networks by CAIP-2, in version 1 as well. */
	return strchr(text, ':') != NULL && network_parse(&named, text) && named == chain_id;
}

static bool is_address(const char *text, const struct address *address)
{
	struct address named;

	return address_parse(&named, text) && address_equal(&named, address);
}

static bool is_value(const char *text, const struct uint256 *value)
{
	struct uint256 named;

	return uint256_parse(&named, text) && uint256_cmp(&named, value) == 0;
}

/* A URL without a host would be at home everywhere. */
static bool is_at(const char *url, const char *host)
{
	char *named = place_host(url);
	bool at = named != NULL && (host == NULL || place_matches(url, host));

	free(named);
	return at;
}

/* Which field of an offer is not what the option says, or NULL. */
static const char *differing(const struct fields *fields, const struct offer_terms *terms)
{
	if (strcmp(fields->scheme, terms->scheme) != 0)
		return "scheme";
	if (!is_network(fields->network, terms->chain_id))
		return "network";
	if (!is_address(fields->asset, &terms->asset))
		return "asset";
	if (!is_address(fields->pay_to, &terms->payee))
		return "payTo";
	if (!is_value(fields->amount, &terms->value))
		return "amount";
	if (terms->resource_url != NULL && strcmp(fields->resource_url, terms->resource_url) != 0)
		return "resourceUrl";
	return is_at(fields->resource_url, terms->host) ? NULL : "resourceUrl";
}

/* A fault other than one that keeps us from reading what it is about. */
static bool is_readable(const struct artifact *artifact, struct fields *fields)
{
	return artifact->fault != OFFER_MALFORMED && json_is_object(artifact->payload) &&
	       json_integer_value(json_member(artifact->payload, "version")) == VERSION &&
	       read_fields(fields, artifact->kind, artifact->payload);
}

static void judge_offer(
    struct offer_verdict *out, struct artifact *artifact, const struct offer_terms *terms)
{
	struct fields fields = {0};
	const char *field;

	*out = (struct offer_verdict){.state = OFFER_ABSENT};
	if (is_readable(artifact, &fields)) {
		field = differing(&fields, terms);
		if (field != NULL) {
			conclude(out, OFFER_MISMATCH, "its %s is not that of the option", field);
			return;
		}
	}
	if (artifact->fault != OFFER_VALID) {
		conclude(out, artifact->fault, "%s", artifact->reason);
		return;
	}
	judge_signer(out, artifact, &terms->payee);
	if (out->state == OFFER_VALID && fields.time_s != 0 && fields.time_s < terms->at_s)
		conclude(out, OFFER_EXPIRED, "it had ended %lld seconds before",
		    (long long)(terms->at_s - fields.time_s));
}

/* The extension's info, wherever a challenge or a settlement response has it. */
static const json_t *info_of(const json_t *root)
{
	return json_member(json_member(json_member(root, "extensions"), EXTENSION), "info");
}

struct offers *offers_new(const struct challenge *challenge)
{
	const json_t *list = json_member(info_of(challenge->root), "offers");
	struct offers *offers = must_calloc(1, sizeof(*offers));

	offers->count = json_array_size(list);
	if (offers->count > OFFER_COUNT_MAX)
		offers->count = OFFER_COUNT_MAX;
	offers->items = must_calloc(offers->count + 1, sizeof(*offers->items));
	for (size_t i = 0; i < offers->count; i++)
		artifact_read(&offers->items[i], KIND_OFFER, json_array_get(list, i));
	return offers;
}

void offers_free(struct offers **offers)
{
	if (*offers == NULL)
		return;
	for (size_t i = 0; i < (*offers)->count; i++)
		artifact_fini(&(*offers)->items[i]);
	free((*offers)->items);
	free(*offers);
	*offers = NULL;
}

void offers_judge(struct offer_verdict *out, struct offers *offers, const struct offer_terms *terms)
{
	*out = (struct offer_verdict){.state = OFFER_ABSENT};
	conclude(out, OFFER_ABSENT, "the challenge holds no signed offer");
	for (size_t i = 0; i < offers->count; i++) {
		struct offer_verdict verdict;

		judge_offer(&verdict, &offers->items[i], terms);
		if (verdict.state < out->state)
			*out = verdict;
	}
}

/* --- what is stored about a payment ------------------------------------------------------ */

/* Is this the option that was taken? In version 1 the network has its own name there. */
static bool is_taken(const struct requirement *option, const struct offer_paid *paid)
{
	uint64_t chain_id;

	return option->scheme != NULL && option->network != NULL && option->asset != NULL &&
	       option->pay_to != NULL && option->amount != NULL &&
	       network_parse(&chain_id, option->network) && chain_id == paid->chain_id &&
	       is_address(option->asset, &paid->asset) &&
	       is_address(option->pay_to, &paid->payee) && is_value(option->amount, &paid->value);
}

void offer_check(struct offer_verdict *out, const char *text, const struct offer_paid *paid)
{
	struct challenge *challenge = NULL;
	char *host = place_host(paid->url);
	struct offers *offers;

	*out = (struct offer_verdict){.state = OFFER_ABSENT};
	/* A decoded header is read as a body is: both are the same object. */
	if (challenge_parse(&challenge, NULL, NULL, 0, text, strlen(text)) != CHALLENGE_OK) {
		conclude(out, OFFER_ABSENT, "the challenge that is kept cannot be read");
		free(host);
		return;
	}
	conclude(out, OFFER_ABSENT, "the challenge that is kept does not hold what was paid");
	offers = offers_new(challenge);
	for (size_t i = 0; i < challenge->option_count; i++) {
		const struct requirement *option = &challenge->options[i];
		struct offer_terms terms = {
		    .scheme = option->scheme,
		    .chain_id = paid->chain_id,
		    .asset = paid->asset,
		    .payee = paid->payee,
		    .value = paid->value,
		    .resource_url = option->resource_url,
		    .host = host,
		    .at_s = paid->signed_s,
		};
		struct offer_verdict verdict;

		if (!is_taken(option, paid))
			continue;
		offers_judge(&verdict, offers, &terms);
		if (verdict.state < out->state || verdict.state == OFFER_ABSENT)
			*out = verdict;
	}
	offers_free(&offers);
	challenge_free(&challenge);
	free(host);
}

/* What of a receipt is not as it was paid, or NULL. */
static const char *disagreement(
    const struct fields *fields, const struct offer_paid *paid, const char *host)
{
	if (!is_network(fields->network, paid->chain_id))
		return "it names another network";
	if (!is_at(fields->resource_url, host))
		return "its resourceUrl is on another host than was called";
	if (!is_address(fields->payer, &paid->payer))
		return "it names another payer";
	if (*fields->transaction != '\0' && paid->transaction != NULL &&
	    strcasecmp(fields->transaction, paid->transaction) != 0)
		return "it names another transaction";
	if (fields->time_s < paid->signed_s - OFFER_CLOCK_S_MAX)
		return "it was issued before the payment was signed";
	if (fields->time_s > paid->received_s + OFFER_CLOCK_S_MAX)
		return "it was issued after it came";
	return NULL;
}

static void judge_receipt(
    struct offer_verdict *out, struct artifact *artifact, const struct offer_paid *paid)
{
	char *host = place_host(paid->url);
	const char *wrong = NULL;
	struct fields fields;

	if (is_readable(artifact, &fields))
		wrong = disagreement(&fields, paid, host);
	if (wrong != NULL)
		conclude(out, OFFER_MISMATCH, "%s", wrong);
	else if (artifact->fault != OFFER_VALID)
		conclude(out, artifact->fault, "%s", artifact->reason);
	else
		judge_signer(out, artifact, &paid->payee);
	free(host);
}

void offer_check_receipt(struct offer_verdict *out, const char *text, const struct offer_paid *paid)
{
	struct json_error bad;
	struct artifact artifact;
	json_t *root = text != NULL ? json_read(&bad, text, strlen(text), RECEIPT_SIZE_MAX) : NULL;
	const json_t *receipt = json_member(info_of(root), "receipt");

	*out = (struct offer_verdict){.state = OFFER_ABSENT};
	conclude(out, OFFER_ABSENT, "the seller gave no signed receipt");
	if (receipt != NULL) {
		artifact_read(&artifact, KIND_RECEIPT, receipt);
		judge_receipt(out, &artifact, paid);
		artifact_fini(&artifact);
	}
	json_decref(root);
}
