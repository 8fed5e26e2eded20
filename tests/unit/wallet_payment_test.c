/* Payments: the published client's headers byte for byte, and the echo rule. */
#include "common/buf.h"
#include "common/file.h"
#include "tests/unit/wallet_fixture.h"
#include "wallet/payment.h"
#include "wallet/signer.h"

#define NOW_S      INT64_C(1740672089)
#define IDENTIFIER "pay_7d5d747be160e280504c099d984bcfe0"
#define ACCEPT                                                                                     \
	"{\"scheme\":\"exact\",\"network\":\"eip155:84532\",\"amount\":\"10000\",\"asset\":"       \
	"\"" BASE_SEPOLIA_USDC "\",\"payTo\":\"" PAYEE "\",\"maxTimeoutSeconds\":60,\"extra\":"    \
	"{\"name\":\"USDC\",\"version\":\"2\"}}"

/* One keystore for all tests, with the development key as agent "dev". */
struct bed {
	void *folder;
	struct keystore *keystore;
	struct assets *assets;
	uint8_t nonce[AUTHORIZATION_NONCE_SIZE];
};

static int bed_make(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	struct address address;
	size_t i;

	if (unit_folder_make(&bed->folder) != 0 ||
	    keystore_create(bed->folder, "pw", 2, PASSPHRASE_CHOSEN) != KEYSTORE_OK ||
	    keystore_open(&bed->keystore, NULL, bed->folder, "pw", 2) != KEYSTORE_OK ||
	    keystore_import_hex(&address, NULL, bed->keystore, "dev", DEV_KEY, strlen(DEV_KEY),
		false) != KEYSTORE_OK)
		return -1;
	bed->assets = assets_new();
	for (i = 0; i < sizeof(bed->nonce); i++)
		bed->nonce[i] = (uint8_t)(i + 1);
	*state = bed;
	return 0;
}

static int bed_remove(void **state)
{
	struct bed *bed = *state;
	int result;

	keystore_close(&bed->keystore);
	assets_free(&bed->assets);
	result = unit_folder_remove(&bed->folder);
	free(bed);
	return result;
}

static struct challenge *challenge_of(const char *text, bool v2)
{
	char *header = base64_encode(text, strlen(text)), reason[256] = "";
	const char *headers[] = {header};
	struct challenge *challenge = NULL;

	if (challenge_parse(&challenge, reason, headers, v2, text, strlen(text)) != CHALLENGE_OK)
		fail_msg("%s", reason);
	free(header);
	return challenge;
}

static enum keystore_result sign(struct payment **out, struct bed *bed, const char *agent,
    struct challenge *challenge, int64_t seconds_max, const char *identifier)
{
	struct choice_rules rules = {.payer = address_of(DEV_ADDRESS)};
	struct choice choice;

	choice_make(&choice, challenge, bed->assets, &rules);
	assert_true(choice.found);
	return payment_sign(out, bed->keystore, agent, &rules.payer, challenge, &choice, NOW_S,
	    seconds_max, bed->nonce, identifier);
}

/* The header's JSON text; the caller frees it. */
static char *decoded(const struct payment *payment)
{
	uint8_t *bytes = NULL;
	size_t size;
	char *text;

	assert_true(base64_decode(&bytes, &size, payment->header_value,
	    strlen(payment->header_value), 1 << 20));
	text = strndup((const char *)bytes, size);
	free(bytes);
	assert_non_null(text);
	return text;
}

/* What is sent for this v2 challenge. */
static char *sent_for(struct bed *bed, const char *challenge_text, const char *identifier)
{
	struct challenge *challenge = challenge_of(challenge_text, true);
	struct payment *payment = NULL;
	char *text;

	assert_int_equal(sign(&payment, bed, "dev", challenge, 300, identifier), KEYSTORE_OK);
	text = decoded(payment);
	payment_free(&payment);
	assert_null(payment);
	challenge_free(&challenge);
	return text;
}

/* The payment's signature is over its own authorization, by its own payer. */
static bool signature_holds(const struct payment *payment, const struct asset *asset)
{
	struct digest digest =
	    authorization_digest(&payment->authorization, &asset->domain_separator);
	struct signer *signer = signer_new();
	struct address who;
	bool holds = signer_recover(&who, signer, payment->signature, &digest) &&
	    address_equal(&who, &payment->authorization.from);

	signer_free(&signer);
	return holds;
}

static void v2_header_is_the_published_clients(void **state)
{
	json_t *vectors = vectors_load("client.json"), *v2 = json_object_get(vectors, "v2");
	char *text = json_dumps(json_object_get(v2, "challenge"), 0);
	struct challenge *challenge = challenge_of(text, true);
	struct payment *payment = NULL;

	assert_int_equal(sign(&payment, *state, "dev", challenge, 300, IDENTIFIER), KEYSTORE_OK);
	assert_int_equal(payment->version, 2);
	assert_string_equal(payment->header_name, "PAYMENT-SIGNATURE");
	assert_string_equal(payment->header_value, text_of(v2, "header"));
	assert_null(payment->identifier);
	assert_int_equal(payment->authorization.valid_after_s, 0);
	assert_int_equal(payment->authorization.valid_before_s, NOW_S + 60);
	payment_free(&payment);
	challenge_free(&challenge);
	free(text);
	json_decref(vectors);
}

/* The old client signs validAfter = now - 600 and we sign 0, so its header is compared
 * with ours member by member, and its signature with the digest's. */
static void v1_header_has_the_published_clients_form(void **state)
{
	json_t *vectors = vectors_load("client.json"), *v1 = json_object_get(vectors, "v1");
	char *text = json_dumps(json_object_get(v1, "challenge"), 0), *ours, *theirs, *at;
	struct challenge *challenge = challenge_of(text, false);
	const char *theirs_base64 = text_of(v1, "header");
	struct authorization authorization;
	uint8_t signature[KEYSTORE_SIGNATURE_SIZE];
	char signature_text[2 * KEYSTORE_SIGNATURE_SIZE + 3];
	struct bed *bed = *state;
	struct payment *payment = NULL;
	struct digest digest;
	uint8_t *bytes = NULL;
	size_t size;

	assert_int_equal(sign(&payment, bed, "dev", challenge, 300, IDENTIFIER), KEYSTORE_OK);
	assert_int_equal(payment->version, 1);
	assert_string_equal(payment->header_name, "X-PAYMENT");
	assert_null(payment->identifier);
	assert_true(base64_decode(&bytes, &size, theirs_base64, strlen(theirs_base64), 1 << 20));
	theirs = (char *)bytes;
	authorization = payment->authorization;
	authorization.valid_after_s =
	    (uint64_t)json_integer_value(json_object_get(v1, "validAfter"));
	digest = authorization_digest(&authorization,
	    &assets_default(bed->assets, "base-sepolia")->domain_separator);
	assert_int_equal(keystore_sign(signature, bed->keystore, "dev", &digest), KEYSTORE_OK);
	hex_encode_0x(signature_text, signature, sizeof(signature));
	assert_non_null(strstr(theirs, signature_text));
	/* Once validAfter and the signature are ours, all else is equal. */
	ours = decoded(payment);
	at = strstr(theirs, signature_text);
	hex_encode_0x(signature_text, payment->signature, sizeof(signature));
	memcpy(at, signature_text, strlen(signature_text));
	at = strstr(theirs, "1740671489");
	assert_non_null(at);
	memmove(at + 1, at + 10, strlen(at + 10) + 1);
	*at = '0';
	assert_string_equal(ours, theirs);
	assert_true(signature_holds(payment, assets_default(bed->assets, "base-sepolia")));
	free(ours);
	free(theirs);
	payment_free(&payment);
	challenge_free(&challenge);
	free(text);
	json_decref(vectors);
}

static void valid_before_is_clamped_and_the_timeout_echoed(void **state)
{
	static const struct {
		const char *timeout;
		int64_t seconds_max, seconds;
	} rows[] = {{"86400", 60, 60}, {"60", 300, 60}, {"60", 60, 60}, {"6", 60, 6},
	    {"61", 60, 60}, {"14", 15, 14}, {"86399", 15, 15}};
	struct bed *bed = *state;
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		struct payment *payment = NULL;
		struct challenge *challenge;
		char text[1024], echo[64], *sent;

		snprintf(text, sizeof(text),
		    "{\"x402Version\":2,\"accepts\":[{\"scheme\":\"exact\",\"network\":"
		    "\"eip155:84532\",\"amount\":\"1\",\"asset\":\"" BASE_SEPOLIA_USDC "\","
		    "\"payTo\":\"" PAYEE "\",\"maxTimeoutSeconds\":%s,"
		    "\"extra\":{\"name\":\"USDC\",\"version\":\"2\"}}]}",
		    rows[i].timeout);
		challenge = challenge_of(text, true);
		assert_int_equal(sign(&payment, bed, "dev", challenge, rows[i].seconds_max, NULL),
		    KEYSTORE_OK);
		row_check(rows[i].timeout, payment->authorization.valid_before_s ==
					       (uint64_t)(NOW_S + rows[i].seconds));
		row_check(rows[i].timeout,
		    signature_holds(payment, assets_default(bed->assets, "base-sepolia")));
		sent = decoded(payment);
		snprintf(echo, sizeof(echo), "\"maxTimeoutSeconds\":%s,", rows[i].timeout);
		row_check(rows[i].timeout, strstr(sent, echo) != NULL);
		free(sent);
		payment_free(&payment);
		challenge_free(&challenge);
	}
}

/* Order, unknown members, nulls, escapes and numbers go back as they came. */
static void seller_gets_its_own_words_back(void **state)
{
	static const char accepted[] =
	    "{\"zeta\":null,\"payTo\":\"" PAYEE "\",\"scheme\":\"exact\",\"network\":"
	    "\"eip155:84532\",\"amount\":\"0010000\",\"asset\":"
	    "\"0x036cbd53842c5426634e7929541ec2318f3dcf7e\",\"maxTimeoutSeconds\":60,\"extra\":"
	    "{\"version\":\"2\",\"name\":\"USDC\",\"deep\":{\"list\":[1,-2,true,false,null,{}]}},"
	    "\"big\":9007199254740993,\"least\":-9223372036854775808,\"slash\":\"a/b\","
	    "\"text\":\"\xe2\x82\xae \xf0\x9f\x92\xb0 \\\" \\\\ \\n \\u0001\",\"\":\"\"}";
	static const char resource[] =
	    "{\"tags\":[\"b\",\"a\"],\"url\":\"https://h/x\",\"odd\":[]}";
	static const char extensions[] =
	    "{\"zz\":{\"info\":{\"a\":1}},\"bazaar\":{\"schema\":{\"$ref\":\"#/x\"}},\"aa\":null}";
	static const char start[] = "{\"x402Version\":2,\"payload\":{\"authorization\":{\"from\":";
	char text[2048], wanted[2048], *sent, *at;

	snprintf(text, sizeof(text),
	    "{\"extensions\":%s,\"accepts\":[%s],\"error\":\"e\",\"resource\":%s,"
	    "\"x402Version\":2,\"unknown\":1}",
	    extensions, accepted, resource);
	snprintf(wanted, sizeof(wanted), "\"resource\":%s,\"accepted\":%s,\"extensions\":%s}",
	    resource, accepted, extensions);
	sent = sent_for(*state, text, IDENTIFIER);
	at = strstr(sent, "\"resource\"");
	assert_non_null(at);
	assert_string_equal(at, wanted);
	assert_memory_equal(sent, start, sizeof(start) - 1);
	/* Our own copy of the amount is in plain form. */
	assert_non_null(strstr(sent, "\"value\":\"10000\""));
	free(sent);
}

static void fractions_keep_their_value(void **state)
{
	static const char *const rows[] = {"0.1", "0.30000000000000004", "1e-7", "1.5", "-2.5e-300",
	    "123456789.12345678", "1e22", "1.7976931348623157e308", "5e-324", "100.0"};
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		char text[2048], *sent;
		json_t *root, *value;

		snprintf(text, sizeof(text),
		    "{\"x402Version\":2,\"accepts\":[" ACCEPT "],\"extensions\":{\"x\":%s}}",
		    rows[i]);
		sent = sent_for(*state, text, NULL);
		root = json_loads(sent, 0, NULL);
		assert_non_null(root);
		value = json_object_get(json_object_get(root, "extensions"), "x");
		row_check(rows[i], json_is_real(value));
		/* Exactly the same double, to the last bit. */
		row_check(rows[i], json_real_value(value) == strtod(rows[i], NULL));
		json_decref(root);
		free(sent);
	}
}

static void absent_parts_stay_absent(void **state)
{
	char *sent = sent_for(*state,
	    "{\"x402Version\":2,\"resource\":null,\"extensions\":null,\"accepts\":[" ACCEPT "]}",
	    IDENTIFIER);

	assert_null(strstr(sent, "\"resource\""));
	assert_null(strstr(sent, "\"extensions\""));
	free(sent);
	sent = sent_for(*state,
	    "{\"x402Version\":\"2\",\"extensions\":{},\"accepts\":[" ACCEPT "]}", IDENTIFIER);
	assert_non_null(strstr(sent, "\"extensions\":{}}"));
	assert_memory_equal(sent, "{\"x402Version\":2,", 17);
	free(sent);
}

static void identifier_is_added_where_it_is_asked_for(void **state)
{
	static const struct {
		const char *received, *identifier, *sent;
		bool used;
	} rows[] = {
	    {"{\"payment-identifier\":{\"info\":{\"required\":false},\"schema\":{\"a\":1}}}",
		IDENTIFIER,
		"{\"payment-identifier\":{\"info\":{\"required\":false,\"id\":\"" IDENTIFIER
		"\"},\"schema\":{\"a\":1}}}",
		true},
	    {"{\"x\":1,\"payment-identifier\":{\"info\":{\"required\":true,\"id\":null}}}",
		IDENTIFIER,
		"{\"x\":1,\"payment-identifier\":{\"info\":{\"required\":true,\"id\":\"" IDENTIFIER
		"\"}}}",
		true},
	    {"{\"payment-identifier\":{}}", IDENTIFIER,
		"{\"payment-identifier\":{\"info\":{\"id\":\"" IDENTIFIER "\"}}}", true},
	    {"{\"payment-identifier\":{\"info\":null}}", IDENTIFIER,
		"{\"payment-identifier\":{\"info\":{\"id\":\"" IDENTIFIER "\"}}}", true},
	    {"{\"payment-identifier\":{\"info\":{}}}", "0123456789abcdef",
		"{\"payment-identifier\":{\"info\":{\"id\":\"0123456789abcdef\"}}}", true},
	    /* The seller's own id is not overwritten. */
	    {"{\"payment-identifier\":{\"info\":{\"id\":\"theirs\"}}}", IDENTIFIER,
		"{\"payment-identifier\":{\"info\":{\"id\":\"theirs\"}}}", false},
	    {"{\"payment-identifier\":{\"info\":[]}}", IDENTIFIER,
		"{\"payment-identifier\":{\"info\":[]}}", false},
	    {"{\"payment-identifier\":true}", IDENTIFIER, "{\"payment-identifier\":true}", false},
	    {"{\"payment-identifier\":null}", IDENTIFIER, "{\"payment-identifier\":null}", false},
	    {"{\"other\":{\"info\":{}}}", IDENTIFIER, "{\"other\":{\"info\":{}}}", false},
	    {"{\"payment-identifier\":{\"info\":{}}}", NULL,
		"{\"payment-identifier\":{\"info\":{}}}", false},
	    {"{\"payment-identifier\":{\"info\":{}}}", "too-short",
		"{\"payment-identifier\":{\"info\":{}}}", false},
	    {"{\"payment-identifier\":{\"info\":{}}}", "bad characters in it!",
		"{\"payment-identifier\":{\"info\":{}}}", false},
	};
	struct bed *bed = *state;
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		struct payment *payment = NULL;
		struct challenge *challenge;
		char text[2048], *sent, *at;

		snprintf(text, sizeof(text),
		    "{\"x402Version\":2,\"accepts\":[" ACCEPT "],\"extensions\":%s}",
		    rows[i].received);
		challenge = challenge_of(text, true);
		assert_int_equal(sign(&payment, bed, "dev", challenge, 60, rows[i].identifier),
		    KEYSTORE_OK);
		sent = decoded(payment);
		at = strstr(sent, "\"extensions\":");
		row_check(rows[i].received, at != NULL);
		at += strlen("\"extensions\":");
		row_check(rows[i].received, strncmp(at, rows[i].sent, strlen(rows[i].sent)) == 0);
		row_check(rows[i].received, strcmp(at + strlen(rows[i].sent), "}") == 0);
		if (rows[i].used)
			assert_string_equal(payment->identifier, rows[i].identifier);
		else
			assert_null(payment->identifier);
		free(sent);
		payment_free(&payment);
		/* What was received is as it was: a second payment sees the same. */
		at = json_dumps(challenge->extensions, JSON_COMPACT);
		assert_string_equal(at, rows[i].received);
		free(at);
		challenge_free(&challenge);
	}
}

/* What is echoed is kept with the challenge: the next payment has it, and nothing of the last. */
static void one_challenge_is_paid_again(void **state)
{
	static const char *const identifiers[] = {NULL, IDENTIFIER, NULL, "0123456789abcdef", NULL};
	struct challenge *challenge = challenge_of(
	    "{\"x402Version\":2,\"resource\":{\"url\":\"/x\"},\"accepts\":[" ACCEPT "],"
	    "\"extensions\":{\"payment-identifier\":{}}}", true);
	struct bed *bed = *state;

	for (size_t i = 0; i < COUNT(identifiers); i++) {
		struct payment *payment = NULL;
		char *sent;

		assert_int_equal(
		    sign(&payment, bed, "dev", challenge, 60, identifiers[i]), KEYSTORE_OK);
		sent = decoded(payment);
		assert_non_null(strstr(sent, "},\"resource\":{\"url\":\"/x\"},\"accepted\":{"));
		if (identifiers[i] == NULL)
			assert_non_null(
			    strstr(sent, ",\"extensions\":{\"payment-identifier\":{}}}"));
		else
			assert_non_null(strstr(sent, identifiers[i]));
		free(sent);
		payment_free(&payment);
	}
	challenge_free(&challenge);
}

/* Options of one challenge are echoed each as itself. */
static void each_option_has_its_own_echo(void **state)
{
	static const char *const amounts[] = {"7", "5", "7"};
	struct challenge *challenge = challenge_of("{\"x402Version\":2,\"accepts\":["
						   ACCEPT "," ACCEPT "]}", true);
	struct choice_rules rules = {.payer = address_of(DEV_ADDRESS)};
	struct bed *bed = *state;

	json_object_set_new(challenge->options[0].json, "x", json_string("7"));
	json_object_set_new(challenge->options[1].json, "x", json_string("5"));
	for (size_t i = 0; i < COUNT(amounts); i++) {
		struct payment *payment = NULL;
		struct choice choice;
		char *sent, wanted[16];

		choice_make(&choice, challenge, bed->assets, &rules);
		choice.position = i % 2;
		assert_int_equal(payment_sign(&payment, bed->keystore, "dev", &rules.payer,
		    challenge, &choice, NOW_S, 60, bed->nonce, NULL), KEYSTORE_OK);
		sent = decoded(payment);
		snprintf(wanted, sizeof(wanted), "\"x\":\"%s\"", amounts[i]);
		assert_non_null(strstr(sent, wanted));
		free(sent);
		payment_free(&payment);
	}
	challenge_free(&challenge);
}

/* The longest echo: numbers that are longer as they leave than as they came. */
static void numbers_that_grow_are_echoed_whole(void **state)
{
	static const char end[] = ",0.10000000000000001]}}";
	struct bed *bed = *state;
	struct payment *payment = NULL;
	struct challenge *challenge;
	struct buf text;
	char *sent;

	buf_init(&text, CHALLENGE_SIZE_MAX);
	buf_add_str(&text, "{\"x402Version\":2,\"accepts\":[" ACCEPT "],"
			   "\"extensions\":{\"x\":[0.1");
	while (text.size < CHALLENGE_SIZE_MAX - 16)
		buf_add_str(&text, ",0.1");
	buf_add_str(&text, "]}}");
	assert_true(buf_ok(&text));
	challenge = challenge_of(buf_str(&text), true);
	assert_int_equal(sign(&payment, bed, "dev", challenge, 60, NULL), KEYSTORE_OK);
	sent = decoded(payment);
	assert_true(strlen(sent) > 4 * CHALLENGE_SIZE_MAX);
	assert_string_equal(sent + strlen(sent) - strlen(end), end);
	free(sent);
	payment_free(&payment);
	challenge_free(&challenge);
	buf_fini(&text);
}

static void keystores_failures_come_through(void **state)
{
	struct challenge *challenge =
	    challenge_of("{\"x402Version\":2,\"accepts\":[" ACCEPT "]}", true);
	struct bed *bed = *state;
	char *path = file_path(bed->folder, "broken.key");
	struct payment *payment = NULL;

	assert_int_equal(sign(&payment, bed, "nobody", challenge, 60, NULL), KEYSTORE_NOT_FOUND);
	assert_true(file_replace(path, "{}", 2, 0600));
	assert_int_equal(sign(&payment, bed, "broken", challenge, 60, NULL), KEYSTORE_BAD_FILE);
	assert_true(file_replace(path, "{}", 2, 0644));
	assert_int_equal(sign(&payment, bed, "broken", challenge, 60, NULL), KEYSTORE_UNSAFE_FILE);
	assert_null(payment);
	payment_free(&payment);
	challenge_free(&challenge);
	free(path);
}

static void choice_must_be_found(void **state)
{
	struct challenge *challenge =
	    challenge_of("{\"x402Version\":2,\"accepts\":[" ACCEPT "]}", true);
	struct address payer = address_of(DEV_ADDRESS);
	struct choice choice = {.found = false};
	struct payment *payment = NULL;
	struct bed *bed = *state;

	assert_aborts((void)!payment_sign(&payment, bed->keystore, "dev", &payer, challenge,
	    &choice, NOW_S, 60, bed->nonce, NULL));
	challenge_free(&challenge);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(v2_header_is_the_published_clients),
	    cmocka_unit_test(v1_header_has_the_published_clients_form),
	    cmocka_unit_test(valid_before_is_clamped_and_the_timeout_echoed),
	    cmocka_unit_test(seller_gets_its_own_words_back),
	    cmocka_unit_test(fractions_keep_their_value),
	    cmocka_unit_test(absent_parts_stay_absent),
	    cmocka_unit_test(identifier_is_added_where_it_is_asked_for),
	    cmocka_unit_test(one_challenge_is_paid_again),
	    cmocka_unit_test(each_option_has_its_own_echo),
	    cmocka_unit_test(numbers_that_grow_are_echoed_whole),
	    cmocka_unit_test(keystores_failures_come_through),
	    cmocka_unit_test(choice_must_be_found),
	};

	return cmocka_run_group_tests(tests, bed_make, bed_remove);
}
