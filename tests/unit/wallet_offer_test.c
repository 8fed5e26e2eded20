/* Signed offers and receipts: only what payTo signed about this very payment is valid. */
#include "common/json.h"
#include "tests/unit/wallet_fixture.h"
#include "wallet/asset.h"
#include "wallet/offer.h"

#define URL       "https://api.example.com/premium-data"
#define BASE      8453
#define BASE_USDC "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"
#define PAYER     "0x857b06519E91e3A54538791bDbb0E22373e36b66"
#define ENDS_S    1703123516 /* the vectors' validUntil, and issuedAt a minute before */
#define ISSUED_S  1703123456
#define TX        "0x1234567890abcdef1234567890abcdef1234567890abcdef1234567890abcdef"

struct bed {
	json_t *vectors;
	struct offer_terms terms;
	struct offer_paid paid;
};

static int bed_make(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	bed->vectors = vectors_load("offer-receipt.json");
	bed->terms = (struct offer_terms){
	    .scheme = "exact",
	    .chain_id = BASE,
	    .asset = address_of(BASE_USDC),
	    .payee = address_of(DEV_ADDRESS),
	    .value = uint256_of(10000),
	    .resource_url = URL,
	    .host = "api.example.com",
	    .at_s = ENDS_S - 10,
	};
	bed->paid = (struct offer_paid){
	    .chain_id = BASE,
	    .asset = bed->terms.asset,
	    .payer = address_of(PAYER),
	    .payee = bed->terms.payee,
	    .value = bed->terms.value,
	    .url = URL "?q=1",
	    .signed_s = ISSUED_S - 5,
	    .transaction = TX,
	    .received_s = ISSUED_S + 5,
	};
	*state = bed;
	return 0;
}

static int bed_remove(void **state)
{
	struct bed *bed = *state;

	json_decref(bed->vectors);
	free(bed);
	return 0;
}

static json_t *value_of(const char *json)
{
	json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);

	if (value == NULL)
		fail_msg("the row's value is no JSON: %s", json);
	return value;
}

/* A copy of a vector with one member changed: "signature", or "payload.amount". json NULL
 * takes the member away. */
static json_t *changed(
    const struct bed *bed, const char *list, const char *name, const char *path, const char *json)
{
	json_t *object = json_deep_copy(json_object_get(json_object_get(bed->vectors, list), name));
	json_t *holder = object;

	if (object == NULL)
		fail_msg("the vectors lack %s", name);
	if (path == NULL)
		return object;
	if (strncmp(path, "payload.", 8) == 0) {
		holder = json_object_get(object, "payload");
		path += 8;
	}
	if (json != NULL)
		json_object_set_new(holder, path, value_of(json));
	else
		assert_int_equal(json_object_del(holder, path), 0);
	return object;
}

/* The text of a challenge with these offers (taken), asking for what the terms say. */
static char *challenge_text(json_t *offers, int version)
{
	json_t *root = version == 2
			   ? json_pack("{s:i, s:{s:s}, s:[{s:s, s:s, s:s, s:s, s:s, s:i}]}",
				 "x402Version", 2, "resource", "url", URL, "accepts", "scheme",
				 "exact", "network", "eip155:8453", "amount", "10000", "asset",
				 BASE_USDC, "payTo", DEV_ADDRESS, "maxTimeoutSeconds", 60)
			   : json_pack("{s:i, s:[{s:s, s:s, s:s, s:s, s:s, s:s, s:i}]}",
				 "x402Version", 1, "accepts", "scheme", "exact", "network", "base",
				 "maxAmountRequired", "10000", "asset", BASE_USDC, "payTo",
				 DEV_ADDRESS, "resource", URL, "maxTimeoutSeconds", 60);
	char *text;

	assert_non_null(root);
	if (offers != NULL)
		json_object_set_new(root, "extensions",
		    json_pack("{s:{s:{s:o}}}", "offer-receipt", "info", "offers", offers));
	text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	return text;
}

static void judge_text(struct offer_verdict *out, const struct offer_terms *terms, const char *text)
{
	struct challenge *challenge = NULL;
	struct offers *offers;

	assert_int_equal(
	    challenge_parse(&challenge, NULL, NULL, 0, text, strlen(text)), CHALLENGE_OK);
	offers = offers_new(challenge);
	offers_judge(out, offers, terms);
	offers_free(&offers);
	challenge_free(&challenge);
}

/* Takes offers. */
static void judge(struct offer_verdict *out, const struct offer_terms *terms, json_t *offers)
{
	char *text = challenge_text(offers, 2);

	memset(out, 0x5a, sizeof(*out));
	judge_text(out, terms, text);
	free(text);
}

static void judge_one(struct offer_verdict *out, const struct offer_terms *terms, json_t *offer)
{
	judge(out, terms, json_pack("[o]", offer));
}

static void row_states(const char *row, const struct offer_verdict *verdict, enum offer_state state)
{
	if (verdict->state != state)
		fail_msg("row \"%s\": %s (%s), not %s", row, offer_state_str(verdict->state),
		    verdict->reason, offer_state_str(state));
	row_check(row, (verdict->reason[0] == '\0') == (state == OFFER_VALID));
	for (const char *at = verdict->reason; *at != '\0'; at++)
		row_check(row, *at >= ' ' && *at <= '~');
}

/* --- offers ------------------------------------------------------------------- */

static void offers_by_pay_to_are_valid(void **state)
{
	static const char *const rows[] = {"eip712", "eip712 without end", "eip712 in lower case",
	    "jws", "jws without end", "jws with a high s"};
	const struct bed *bed = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct offer_verdict verdict;

		judge_one(&verdict, &bed->terms, changed(bed, "offers", rows[i], NULL, NULL));
		row_states(rows[i], &verdict, OFFER_VALID);
		row_check(rows[i], verdict.has_signer);
		row_check(rows[i], address_equal(&verdict.signer, &bed->terms.payee));
	}
}

static void offers_that_are_not(void **state)
{
	static const struct {
		const char *offer, *path, *json;
		enum offer_state state;
	} rows[] = {
	    {"eip712 by another key", NULL, NULL, OFFER_WRONG_SIGNER},
	    {"jws by another key", NULL, NULL, OFFER_WRONG_SIGNER},
	    /* Signed is every field, so each change makes it somebody else's. */
	    {"eip712", "payload.validUntil", "1703123517", OFFER_WRONG_SIGNER},
	    {"eip712", "payload.validUntil", NULL, OFFER_WRONG_SIGNER},
	    {"eip712", "payload.asset", "\"0x833589fcd6edb6e08f4c7c32d4f71b54bda02913\"",
		OFFER_WRONG_SIGNER},
	    {"eip712", "payload.payTo", "\"0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266\"",
		OFFER_WRONG_SIGNER},
	    {"eip712", "payload.amount", "\"010000\"", OFFER_WRONG_SIGNER},
	    {"eip712 without end", "payload.validUntil", "9999999999", OFFER_WRONG_SIGNER},

	    {"jws by EdDSA", NULL, NULL, OFFER_UNSUPPORTED},
	    {"eip712", "format", "\"cose\"", OFFER_UNSUPPORTED},
	    {"eip712", "format", "\"EIP712\"", OFFER_UNSUPPORTED},
	    {"eip712", "format", "\"\"", OFFER_UNSUPPORTED},
	    {"eip712", "format", "\"\\u202e\\u0007\"", OFFER_UNSUPPORTED},
	    {"eip712", "payload.version", "2", OFFER_UNSUPPORTED},
	    {"eip712", "payload.version", "0", OFFER_UNSUPPORTED},
	    {"eip712", "payload.version", "-1", OFFER_UNSUPPORTED},

	    {"eip712", "payload.scheme", "\"upto\"", OFFER_MISMATCH},
	    {"eip712", "payload.scheme", "\"\"", OFFER_MISMATCH},
	    {"eip712", "payload.network", "\"eip155:84532\"", OFFER_MISMATCH},
	    {"eip712", "payload.network", "\"base\"", OFFER_MISMATCH},
	    {"eip712", "payload.network", "\"solana:mainnet\"", OFFER_MISMATCH},
	    {"eip712", "payload.network", "\"\"", OFFER_MISMATCH},
	    {"eip712", "payload.asset", "\"" BASE_SEPOLIA_USDC "\"", OFFER_MISMATCH},
	    {"eip712", "payload.asset", "\"native\"", OFFER_MISMATCH},
	    {"eip712", "payload.asset", "\"0x833589FCD6eDb6E08f4c7C32D4f71b54bdA02913\"",
		OFFER_MISMATCH},
	    {"eip712", "payload.payTo", "\"" PAYEE "\"", OFFER_MISMATCH},
	    {"eip712", "payload.payTo", "\"merchant\"", OFFER_MISMATCH},
	    {"eip712", "payload.amount", "\"9999\"", OFFER_MISMATCH},
	    {"eip712", "payload.amount", "\"10001\"", OFFER_MISMATCH},
	    {"eip712", "payload.amount", "\"-10000\"", OFFER_MISMATCH},
	    {"eip712", "payload.amount", "\"1e4\"", OFFER_MISMATCH},
	    {"eip712", "payload.amount", "\"\"", OFFER_MISMATCH},
	    {"eip712", "payload.resourceUrl", "\"https://api.example.com/other\"", OFFER_MISMATCH},
	    {"eip712", "payload.resourceUrl", "\"https://evil.example/premium-data\"",
		OFFER_MISMATCH},
	    {"eip712", "payload.resourceUrl", "\"/premium-data\"", OFFER_MISMATCH},
	    {"eip712", "payload.resourceUrl", "\"\"", OFFER_MISMATCH},
	    {"eip712 on Base Sepolia", NULL, NULL, OFFER_MISMATCH},

	    {"eip712", "format", NULL, OFFER_MALFORMED},
	    {"eip712", "format", "712", OFFER_MALFORMED},
	    {"eip712", "format", "null", OFFER_MALFORMED},
	    {"eip712", "signature", NULL, OFFER_MALFORMED},
	    {"eip712", "signature", "7", OFFER_MALFORMED},
	    {"eip712", "signature", "\"\"", OFFER_MALFORMED},
	    {"eip712", "signature", "\"0x\"", OFFER_MALFORMED},
	    {"eip712", "signature", "\"0x1234\"", OFFER_MALFORMED},
	    /* One byte more, one less, not hex; zeros; a v that is none. */
	    {"eip712", "signature",
		"\"0xc3a568b4e5eccb4156560d7907959ce630ebe7c0e4961a8689702b255f1f60642cff9803c6275d"
		"659c7d67f2204a495e67cd8d6cacec1a38308d9bfd227ef7741b00\"",
		OFFER_MALFORMED},
	    {"eip712", "signature",
		"\"0xc3a568b4e5eccb4156560d7907959ce630ebe7c0e4961a8689702b255f1f60642cff9803c6275d"
		"659c7d67f2204a495e67cd8d6cacec1a38308d9bfd227ef774\"",
		OFFER_MALFORMED},
	    {"eip712", "signature",
		"\"0xg3a568b4e5eccb4156560d7907959ce630ebe7c0e4961a8689702b255f1f60642cff9803c6275d"
		"659c7d67f2204a495e67cd8d6cacec1a38308d9bfd227ef7741b\"",
		OFFER_MALFORMED},
	    {"eip712", "signature",
		"\"0x000000000000000000000000000000000000000000000000000000000000000000000000000000"
		"00000000000000000000000000000000000000000000000000001b\"",
		OFFER_MALFORMED},
	    {"eip712", "signature",
		"\"0xc3a568b4e5eccb4156560d7907959ce630ebe7c0e4961a8689702b255f1f60642cff9803c6275d"
		"659c7d67f2204a495e67cd8d6cacec1a38308d9bfd227ef7741d\"",
		OFFER_MALFORMED},
	    {"eip712", "signature",
		"\"0xc3a568b4e5eccb4156560d7907959ce630ebe7c0e4961a8689702b255f1f60642cff9803c6275d"
		"659c7d67f2204a495e67cd8d6cacec1a38308d9bfd227ef774ff\"",
		OFFER_MALFORMED},
	    {"eip712", "payload", NULL, OFFER_MALFORMED},
	    {"eip712", "payload", "null", OFFER_MALFORMED},
	    {"eip712", "payload", "[]", OFFER_MALFORMED},
	    {"eip712", "payload", "\"offer\"", OFFER_MALFORMED},
	    {"eip712", "payload", "{}", OFFER_MALFORMED},
	    {"eip712", "payload.version", NULL, OFFER_MALFORMED},
	    {"eip712", "payload.version", "\"1\"", OFFER_MALFORMED},
	    {"eip712", "payload.version", "1.0", OFFER_MALFORMED},
	    {"eip712", "payload.resourceUrl", NULL, OFFER_MALFORMED},
	    {"eip712", "payload.resourceUrl", "null", OFFER_MALFORMED},
	    {"eip712", "payload.scheme", NULL, OFFER_MALFORMED},
	    {"eip712", "payload.scheme", "{}", OFFER_MALFORMED},
	    {"eip712", "payload.network", NULL, OFFER_MALFORMED},
	    {"eip712", "payload.asset", "[]", OFFER_MALFORMED},
	    {"eip712", "payload.payTo", "true", OFFER_MALFORMED},
	    {"eip712", "payload.amount", "10000", OFFER_MALFORMED},
	    {"eip712", "payload.amount", NULL, OFFER_MALFORMED},
	    {"eip712", "payload.validUntil", "-1", OFFER_MALFORMED},
	    {"eip712", "payload.validUntil", "\"1703123516\"", OFFER_MALFORMED},
	    {"eip712", "payload.validUntil", "1703123516.5", OFFER_MALFORMED},
	    {"eip712", "payload.validUntil", "{}", OFFER_MALFORMED},

	    {"jws", "signature", "\"\"", OFFER_MALFORMED},
	    {"jws", "signature", "\".\"", OFFER_MALFORMED},
	    {"jws", "signature", "\"..\"", OFFER_MALFORMED},
	    {"jws", "signature", "\"...\"", OFFER_MALFORMED},
	    {"jws", "signature", "\"e30.e30.e30\"", OFFER_MALFORMED},
	    {"jws", "signature", "\"e30=.e30.\"", OFFER_MALFORMED},
	    {"jws", "signature", "\"W10.W10.\"", OFFER_MALFORMED},
	    {"jws", "signature", "\"no JWS\"", OFFER_MALFORMED},
	    {"eip712", "format", "\"jws\"", OFFER_MALFORMED},
	    {"jws", "format", "\"eip712\"", OFFER_MALFORMED},
	};
	const struct bed *bed = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct offer_verdict verdict;
		char row[256];

		snprintf(row, sizeof(row), "%s, %s: %s", rows[i].offer,
		    rows[i].path != NULL ? rows[i].path : "as it is",
		    rows[i].json != NULL ? rows[i].json : "-");
		judge_one(&verdict, &bed->terms,
		    changed(bed, "offers", rows[i].offer, rows[i].path, rows[i].json));
		row_states(row, &verdict, rows[i].state);
	}
}

/* The vector "jws" with its header or payload replaced, the signature kept. */
static json_t *jws_of(const struct bed *bed, const char *header, const char *payload)
{
	json_t *offer = changed(bed, "offers", "jws", NULL, NULL);
	char *copy = strdup(json_string_value(json_object_get(offer, "signature")));
	char *rest = NULL, *whole;
	const char *first = strtok_r(copy, ".", &rest), *second = strtok_r(NULL, ".", &rest);
	const char *third = strtok_r(NULL, ".", &rest);
	char *header_64 = header != NULL ? base64url_encode(header, strlen(header)) : NULL;
	char *payload_64 = payload != NULL ? base64url_encode(payload, strlen(payload)) : NULL;

	whole = must_format("%s.%s.%s", header_64 != NULL ? header_64 : first,
	    payload_64 != NULL ? payload_64 : second, third);
	json_object_set_new(offer, "signature", json_string(whole));
	free(whole);
	free(header_64);
	free(payload_64);
	free(copy);
	return offer;
}

static void jws_headers_and_payloads(void **state)
{
#define OF(rest)                                                                                   \
	"{\"version\":1,\"resourceUrl\":\"" URL                                                    \
	"\",\"scheme\":\"exact\",\"network\":\"eip155:8453\","                                     \
	"\"asset\":\"" BASE_USDC "\",\"payTo\":\"" DEV_ADDRESS "\"," rest "}"
	static const struct {
		const char *header, *payload;
		enum offer_state state;
	} rows[] = {
	    {NULL, NULL, OFFER_VALID},
	    /* Whatever else is signed by nobody we know. */
	    {"{\"alg\":\"ES256K\"}", NULL, OFFER_WRONG_SIGNER},
	    {"{\"alg\":\"ES256K\",\"kid\":7}", NULL, OFFER_WRONG_SIGNER},
	    {"{\"alg\":\"ES256K\",\"kid\":\"\\u0007\\u20ac\"}", NULL, OFFER_WRONG_SIGNER},
	    {NULL, OF("\"amount\":\"10000\""), OFFER_WRONG_SIGNER},
	    {"{\"alg\":\"ES256K\",\"crit\":[\"b64\"],\"b64\":false}", NULL, OFFER_UNSUPPORTED},
	    {"{\"alg\":\"ES256\"}", NULL, OFFER_UNSUPPORTED},
	    {"{\"alg\":\"HS256\"}", NULL, OFFER_UNSUPPORTED},
	    {"{\"alg\":\"es256k\"}", NULL, OFFER_UNSUPPORTED},
	    {"{\"alg\":\"ES256\"}", OF("\"amount\":\"1\""), OFFER_MISMATCH},
	    {NULL, OF("\"amount\":\"1\""), OFFER_MISMATCH},
	    {NULL, "{\"version\":2}", OFFER_UNSUPPORTED},
	    {"{\"alg\":\"none\"}", NULL, OFFER_MALFORMED},
	    {"{\"alg\":7}", NULL, OFFER_MALFORMED},
	    {"{}", NULL, OFFER_MALFORMED},
	    {"[]", NULL, OFFER_MALFORMED},
	    {"{\"alg\":\"ES256K\"", NULL, OFFER_MALFORMED},
	    {"{\"alg\":\"ES256K\",\"alg\":\"ES256K\"}", NULL, OFFER_MALFORMED},
	    {NULL, "{\"version\":1}", OFFER_MALFORMED},
	    {NULL, "[1]", OFFER_MALFORMED},
	    {NULL, "\"text\"", OFFER_MALFORMED},
	    {NULL, OF("\"amount\":\"10000\"") " ", OFFER_WRONG_SIGNER},
	    {NULL, OF("\"amount\":\"10000\"") "{}", OFFER_MALFORMED},
	    {NULL, OF("\"amount\":\"10000\",\"amount\":\"1\""), OFFER_MALFORMED},
	    {NULL, OF("\"amount\":10000"), OFFER_MALFORMED},
	};
	const struct bed *bed = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct offer_verdict verdict;
		char row[512];

		snprintf(row, sizeof(row), "%s . %s", rows[i].header ? rows[i].header : "-",
		    rows[i].payload ? rows[i].payload : "-");
		judge_one(&verdict, &bed->terms, jws_of(bed, rows[i].header, rows[i].payload));
		row_states(row, &verdict, rows[i].state);
	}
}

static void what_is_compared_is_the_option(void **state)
{
	const struct bed *bed = *state;
	struct offer_verdict verdict;
	struct offer_terms terms;

#define UNDER(change, expected)                                                                    \
	do {                                                                                       \
		terms = bed->terms;                                                                \
		change;                                                                            \
		judge_one(&verdict, &terms, changed(bed, "offers", "eip712", NULL, NULL));         \
		row_states(#change, &verdict, expected);                                           \
	} while (0)
	UNDER(terms.scheme = "upto", OFFER_MISMATCH);
	UNDER(terms.chain_id = 84532, OFFER_MISMATCH);
	UNDER(terms.asset = address_of(BASE_SEPOLIA_USDC), OFFER_MISMATCH);
	UNDER(terms.payee = address_of(PAYEE), OFFER_MISMATCH);
	UNDER(terms.value = uint256_of(9999), OFFER_MISMATCH);
	UNDER(terms.resource_url = URL "/", OFFER_MISMATCH);
	UNDER(terms.host = "api.example.com:8443", OFFER_MISMATCH);
	UNDER(terms.host = "other.example.com", OFFER_MISMATCH);
	UNDER(terms.host = "API.example.com:443", OFFER_VALID);
	UNDER(terms.host = NULL, OFFER_VALID);
	UNDER(terms.resource_url = NULL, OFFER_VALID);
	UNDER(terms.at_s = ENDS_S, OFFER_VALID);
	UNDER(terms.at_s = ENDS_S + 1, OFFER_EXPIRED);
	UNDER(terms.at_s = INT64_MAX, OFFER_EXPIRED);
#undef UNDER
}

static void the_best_of_several_counts(void **state)
{
	const struct bed *bed = *state;
	struct offer_verdict verdict;
	json_t *list = json_array();

	judge(&verdict, &bed->terms, NULL);
	row_states("no extension", &verdict, OFFER_ABSENT);
	judge(&verdict, &bed->terms, json_array());
	row_states("no offer", &verdict, OFFER_ABSENT);

	json_array_append_new(list, json_null());
	judge(&verdict, &bed->terms, json_deep_copy(list));
	row_states("null", &verdict, OFFER_MALFORMED);
	json_array_append_new(list, changed(bed, "offers", "eip712 on Base Sepolia", NULL, NULL));
	judge(&verdict, &bed->terms, json_deep_copy(list));
	row_states("for another option", &verdict, OFFER_MISMATCH);
	json_array_append_new(list, changed(bed, "offers", "jws by EdDSA", NULL, NULL));
	judge(&verdict, &bed->terms, json_deep_copy(list));
	row_states("by EdDSA", &verdict, OFFER_UNSUPPORTED);
	json_array_append_new(list, changed(bed, "offers", "eip712 by another key", NULL, NULL));
	judge(&verdict, &bed->terms, json_deep_copy(list));
	row_states("by another key", &verdict, OFFER_WRONG_SIGNER);
	assert_true(verdict.has_signer);
	assert_false(address_equal(&verdict.signer, &bed->terms.payee));
	/* acceptIndex is not signed, and points nowhere here. */
	json_array_append_new(list, changed(bed, "offers", "eip712", "acceptIndex", "99"));
	judge(&verdict, &bed->terms, list);
	row_states("by payTo", &verdict, OFFER_VALID);
}

static void no_more_offers_are_read_than_options(void **state)
{
	const struct bed *bed = *state;
	struct offer_verdict verdict;
	json_t *list = json_array();

	while (json_array_size(list) < OFFER_COUNT_MAX - 1)
		json_array_append_new(list, json_object());
	json_array_append_new(list, changed(bed, "offers", "jws", NULL, NULL));
	judge(&verdict, &bed->terms, json_deep_copy(list));
	row_states("the last one", &verdict, OFFER_VALID);
	json_array_insert_new(list, 0, json_object());
	judge(&verdict, &bed->terms, list);
	row_states("one too many", &verdict, OFFER_MALFORMED);
}

static void sizes_are_bounded(void **state)
{
	const struct bed *bed = *state;
	char *text = must_alloc(OFFER_JWS_MAX + 2), *json;
	struct offer_verdict verdict;

	memset(text, 'A', OFFER_JWS_MAX + 1);
	text[OFFER_JWS_MAX + 1] = '\0';
	text[4] = text[9] = '.';
	json = must_format("\"%s\"", text);
	judge_one(&verdict, &bed->terms, changed(bed, "offers", "jws", "signature", json));
	row_states("a long JWS", &verdict, OFFER_MALFORMED);
	free(json);
	text[OFFER_TEXT_MAX + 1] = '\0';
	json = must_format("\"%s\"", text);
	judge_one(&verdict, &bed->terms, changed(bed, "offers", "eip712", "payload.scheme", json));
	row_states("a long field", &verdict, OFFER_MALFORMED);
	free(json);
	free(text);
}

static void odd_places_hold_no_offer(void **state)
{
	static const char *const rows[] = {"null", "[]", "7", "{}", "{\"offer-receipt\":null}",
	    "{\"offer-receipt\":[]}", "{\"offer-receipt\":{\"info\":null}}",
	    "{\"offer-receipt\":{\"info\":7}}", "{\"offer-receipt\":{\"info\":{\"offers\":{}}}}",
	    "{\"offer-receipt\":{\"info\":{\"offers\":\"eip712\"}}}",
	    "{\"offer-receipt\":{\"offers\":[{}]}}",
	    "{\"OFFER-RECEIPT\":{\"info\":{\"offers\":[]}}}"};
	const struct bed *bed = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		char *plain = challenge_text(NULL, 1), *text;
		struct offer_verdict verdict;

		/* Version 1 leaves the type of its extensions open. */
		plain[strlen(plain) - 1] = '\0';
		text = must_format("%s,\"extensions\":%s}", plain, rows[i]);
		judge_text(&verdict, &bed->terms, text);
		row_states(rows[i], &verdict, OFFER_ABSENT);
		free(text);
		free(plain);
	}
}

static void a_stored_challenge_is_checked_in_both_versions(void **state)
{
	struct bed *bed = *state;
	struct offer_verdict verdict;
	char *text;

	for (int version = 1; version <= 2; version++) {
		bed->paid.signed_s = ENDS_S - 10;
		text = challenge_text(
		    json_pack("[o]", changed(bed, "offers", "eip712", NULL, NULL)), version);
		offer_check(&verdict, text, &bed->paid);
		row_states("as it was asked", &verdict, OFFER_VALID);
		bed->paid.signed_s = ENDS_S + 1;
		offer_check(&verdict, text, &bed->paid);
		row_states("after its end", &verdict, OFFER_EXPIRED);
		/* It is not the option that was paid that it offers. */
		bed->paid.value = uint256_of(1);
		offer_check(&verdict, text, &bed->paid);
		row_states("another amount was paid", &verdict, OFFER_ABSENT);
		bed->paid.value = bed->terms.value;
		free(text);

		text = challenge_text(NULL, version);
		offer_check(&verdict, text, &bed->paid);
		row_states("no offer", &verdict, OFFER_ABSENT);
		free(text);
	}
	offer_check(&verdict, "{", &bed->paid);
	row_states("no challenge", &verdict, OFFER_ABSENT);
	offer_check(&verdict, "", &bed->paid);
	row_states("nothing", &verdict, OFFER_ABSENT);
	bed->paid.url = "no URL";
	offer_check(&verdict, "{}", &bed->paid);
	row_states("no URL", &verdict, OFFER_ABSENT);
}

/* --- receipts ------------------------------------------------------------------- */

/* Takes receipt. */
static void judge_receipt_of(
    struct offer_verdict *out, const struct offer_paid *paid, json_t *receipt)
{
	json_t *root = json_pack("{s:b, s:{s:{s:{s:o}}}}", "success", 1, "extensions",
	    "offer-receipt", "info", "receipt", receipt);
	char *text = json_dumps(root, JSON_COMPACT);

	memset(out, 0x5a, sizeof(*out));
	offer_check_receipt(out, text, paid);
	free(text);
	json_decref(root);
}

static void receipts_by_pay_to_are_valid(void **state)
{
	static const char *const rows[] = {
	    "eip712", "eip712 with a transaction", "jws", "jws with a transaction"};
	const struct bed *bed = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct offer_verdict verdict;

		judge_receipt_of(
		    &verdict, &bed->paid, changed(bed, "receipts", rows[i], NULL, NULL));
		row_states(rows[i], &verdict, OFFER_VALID);
		row_check(rows[i], address_equal(&verdict.signer, &bed->paid.payee));
	}
}

static void receipts_that_are_not(void **state)
{
	static const struct {
		const char *receipt, *path, *json;
		enum offer_state state;
	} rows[] = {
	    {"eip712 by another key", NULL, NULL, OFFER_WRONG_SIGNER},
	    {"eip712", "payload.issuedAt", "1703123457", OFFER_WRONG_SIGNER},
	    {"eip712", "payload.payer", "\"0x857b06519e91e3a54538791bdbb0e22373e36b66\"",
		OFFER_WRONG_SIGNER},
	    {"eip712", "payload.transaction", "\"" TX "\"", OFFER_WRONG_SIGNER},
	    {"eip712 with a transaction", "payload.transaction", NULL, OFFER_WRONG_SIGNER},
	    {"eip712", "payload.resourceUrl", "\"https://api.example.com/other\"",
		OFFER_WRONG_SIGNER},
	    {"jws by EdDSA", NULL, NULL, OFFER_UNSUPPORTED},
	    {"eip712", "payload.version", "2", OFFER_UNSUPPORTED},
	    {"eip712", "format", "\"eip1271\"", OFFER_UNSUPPORTED},

	    {"eip712", "payload.network", "\"eip155:1\"", OFFER_MISMATCH},
	    {"eip712", "payload.network", "\"base\"", OFFER_MISMATCH},
	    {"eip712", "payload.resourceUrl", "\"https://evil.example/premium-data\"",
		OFFER_MISMATCH},
	    {"eip712", "payload.resourceUrl", "\"https://api.example.com@evil.example/\"",
		OFFER_MISMATCH},
	    {"eip712", "payload.resourceUrl", "\"/premium-data\"", OFFER_MISMATCH},
	    {"eip712", "payload.resourceUrl", "\"\"", OFFER_MISMATCH},
	    {"eip712", "payload.payer", "\"" PAYEE "\"", OFFER_MISMATCH},
	    {"eip712", "payload.payer", "\"did:key:z6Mk\"", OFFER_MISMATCH},
	    {"eip712", "payload.transaction", "\"0x12\"", OFFER_MISMATCH},
	    {"eip712", "payload.issuedAt", "0", OFFER_MISMATCH},
	    {"eip712", "payload.issuedAt", "1703123000", OFFER_MISMATCH},
	    {"eip712", "payload.issuedAt", "1703124000", OFFER_MISMATCH},
	    {"eip712", "payload.issuedAt", "9223372036854775807", OFFER_MISMATCH},

	    {"eip712", "payload", NULL, OFFER_MALFORMED},
	    {"eip712", "payload.payer", NULL, OFFER_MALFORMED},
	    {"eip712", "payload.payer", "7", OFFER_MALFORMED},
	    {"eip712", "payload.issuedAt", NULL, OFFER_MALFORMED},
	    {"eip712", "payload.issuedAt", "-1", OFFER_MALFORMED},
	    {"eip712", "payload.issuedAt", "\"1703123456\"", OFFER_MALFORMED},
	    {"eip712", "payload.transaction", "[]", OFFER_MALFORMED},
	    {"eip712", "payload.version", NULL, OFFER_MALFORMED},
	    {"eip712", "signature", "\"0x00\"", OFFER_MALFORMED},
	    {"jws", "signature", "\"a.b\"", OFFER_MALFORMED},
	};
	const struct bed *bed = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct offer_verdict verdict;
		char row[256];

		snprintf(row, sizeof(row), "%s, %s: %s", rows[i].receipt,
		    rows[i].path != NULL ? rows[i].path : "as it is",
		    rows[i].json != NULL ? rows[i].json : "-");
		judge_receipt_of(&verdict, &bed->paid,
		    changed(bed, "receipts", rows[i].receipt, rows[i].path, rows[i].json));
		row_states(row, &verdict, rows[i].state);
	}
	/* An offer is not a receipt, though it may stand in its place. */
	{
		struct offer_verdict verdict;

		judge_receipt_of(
		    &verdict, &bed->paid, changed(bed, "offers", "eip712", NULL, NULL));
		row_states("an offer", &verdict, OFFER_MALFORMED);
	}
}

static void a_receipt_is_held_against_the_payment(void **state)
{
	const struct bed *bed = *state;
	struct offer_verdict verdict;
	struct offer_paid paid;

#define UNDER(change, expected)                                                                    \
	do {                                                                                       \
		paid = bed->paid;                                                                  \
		change;                                                                            \
		judge_receipt_of(&verdict, &paid,                                                  \
		    changed(bed, "receipts", "eip712 with a transaction", NULL, NULL));            \
		row_states(#change, &verdict, expected);                                           \
	} while (0)
	UNDER(paid.transaction = NULL, OFFER_VALID);
	UNDER(
	    paid.transaction = "0x1234567890ABCDEF1234567890abcdef1234567890abcdef1234567890abcdef",
	    OFFER_VALID);
	UNDER(
	    paid.transaction = "0x2234567890abcdef1234567890abcdef1234567890abcdef1234567890abcdef",
	    OFFER_MISMATCH);
	UNDER(paid.chain_id = 1, OFFER_MISMATCH);
	UNDER(paid.payer = address_of(PAYEE), OFFER_MISMATCH);
	UNDER(paid.payee = address_of(PAYEE), OFFER_WRONG_SIGNER);
	UNDER(paid.url = "https://api.example.com:8443/x", OFFER_MISMATCH);
	UNDER(paid.url = "http://api.example.com/x", OFFER_VALID);
	UNDER(paid.signed_s = ISSUED_S + OFFER_CLOCK_S_MAX, OFFER_VALID);
	UNDER(paid.signed_s = ISSUED_S + OFFER_CLOCK_S_MAX + 1, OFFER_MISMATCH);
	UNDER(paid.received_s = ISSUED_S - OFFER_CLOCK_S_MAX, OFFER_VALID);
	UNDER(paid.received_s = ISSUED_S - OFFER_CLOCK_S_MAX - 1, OFFER_MISMATCH);
#undef UNDER
}

static void odd_places_hold_no_receipt(void **state)
{
	static const char *const rows[] = {"", "{", "null", "[]", "{}", "{\"extensions\":null}",
	    "{\"extensions\":[]}", "{\"extensions\":{\"offer-receipt\":7}}",
	    "{\"extensions\":{\"offer-receipt\":{\"info\":[]}}}",
	    "{\"extensions\":{\"offer-receipt\":{\"info\":{\"receipt\":null}}}}",
	    "{\"extensions\":{\"offer-receipt\":{\"receipt\":{}}}}"};
	const struct bed *bed = *state;
	struct offer_verdict verdict;

	for (size_t i = 0; i < COUNT(rows); i++) {
		offer_check_receipt(&verdict, rows[i], &bed->paid);
		row_states(rows[i], &verdict, OFFER_ABSENT);
	}
	offer_check_receipt(&verdict, NULL, &bed->paid);
	row_states("no settlement response", &verdict, OFFER_ABSENT);
	judge_receipt_of(&verdict, &bed->paid, json_array());
	row_states("a list", &verdict, OFFER_MALFORMED);
}

static void every_state_has_its_word(void **state)
{
	(void)state;
	for (int i = OFFER_VALID; i <= OFFER_ABSENT; i++) {
		for (int j = i + 1; j <= OFFER_ABSENT; j++)
			assert_string_not_equal(offer_state_str((enum offer_state)i),
			    offer_state_str((enum offer_state)j));
	}
	assert_string_equal(offer_state_str(OFFER_WRONG_SIGNER), "wrong_signer");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_make, bed_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(offers_by_pay_to_are_valid),
	    TEST(offers_that_are_not),
	    TEST(jws_headers_and_payloads),
	    TEST(what_is_compared_is_the_option),
	    TEST(the_best_of_several_counts),
	    TEST(no_more_offers_are_read_than_options),
	    TEST(sizes_are_bounded),
	    TEST(odd_places_hold_no_offer),
	    TEST(a_stored_challenge_is_checked_in_both_versions),
	    TEST(receipts_by_pay_to_are_valid),
	    TEST(receipts_that_are_not),
	    TEST(a_receipt_is_held_against_the_payment),
	    TEST(odd_places_hold_no_receipt),
	    cmocka_unit_test(every_state_has_its_word),
	};

	return unit_run(tests);
}
