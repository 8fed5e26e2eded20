/* Choosing: each reason reached, in the order of precedence, and the cheapest taken. */
#include "common/buf.h"
#include "tests/unit/wallet_fixture.h"
#include "wallet/choice.h"

#define PAYEE_LOWER "0x209693bc6afc0c5328ba36faf03c514ef312287c"
#define BASE_USDC   "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"
#define BASE        "\"network\":\"eip155:8453\",\"asset\":\"" BASE_USDC "\""
#define COIN        "\"extra\":{\"name\":\"USD Coin\",\"version\":\"2\"}"

struct bed {
	struct assets *assets;
	struct choice_rules rules;
};

static int bed_make(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	bed->assets = assets_new();
	bed->rules.payer = address_of(DEV_ADDRESS);
	bed->rules.host = "api.example.com";
	*state = bed;
	return 0;
}

static int bed_remove(void **state)
{
	struct bed *bed = *state;

	assets_free(&bed->assets);
	free(bed);
	return 0;
}

/* A payable v2 option, changed by the members of an object in JSON text. */
static json_t *option_with(const char *changes)
{
	json_t *option = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:{s:s, s:s}}", "scheme",
	    "exact", "network", "eip155:84532", "amount", "10000", "asset", BASE_SEPOLIA_USDC,
	    "payTo", PAYEE, "maxTimeoutSeconds", 60, "extra", "name", "USDC", "version", "2");
	char text[1024];
	json_t *changed;

	snprintf(text, sizeof(text), "{%s}", changes);
	changed = json_loads(text, 0, NULL);
	if (changed == NULL)
		fail_msg("bad test row: %s", changes);
	json_object_update(option, changed);
	json_decref(changed);
	return option;
}

/* Takes root. */
static struct challenge *challenge_of(json_t *root)
{
	char *text = json_dumps(root, JSON_COMPACT), *header = base64_encode(text, strlen(text));
	const char *headers[] = {header};
	bool v2 = json_integer_value(json_object_get(root, "x402Version")) == 2;
	struct challenge *challenge = NULL;
	char reason[256] = "";

	if (challenge_parse(&challenge, reason, headers, v2, text, strlen(text)) != CHALLENGE_OK)
		fail_msg("%s: %s", text, reason);
	free(header);
	free(text);
	json_decref(root);
	return challenge;
}

/* The reason of one option, changed so. */
static enum choice_reason reason_of(const struct bed *bed, const char *changes)
{
	struct challenge *challenge = challenge_of(
	    json_pack("{s:i, s:[o]}", "x402Version", 2, "accepts", option_with(changes)));
	enum choice_reason reason;
	struct choice choice;

	choice_make(&choice, challenge, bed->assets, &bed->rules);
	reason = choice.reasons[0];
	if (choice.found != (reason == CHOICE_PAYABLE))
		fail_msg("%s: found and reason disagree", changes);
	challenge_free(&challenge);
	return reason;
}

static void good_option_is_taken_whole(void **state)
{
	struct bed *bed = *state;
	struct challenge *challenge = challenge_of(
	    json_pack("{s:i, s:[o]}", "x402Version", 2, "accepts", option_with("")));
	struct address payee = address_of(PAYEE);
	struct uint256 value = uint256_of(10000);
	struct choice choice;

	choice_make(&choice, challenge, bed->assets, &bed->rules);
	assert_true(choice.found);
	assert_int_equal(choice.reasons[0], CHOICE_PAYABLE);
	assert_int_equal(choice.position, 0);
	assert_string_equal(choice.asset->symbol, "USDC");
	assert_int_equal(choice.asset->chain_id, 84532);
	assert_true(address_equal(&choice.payee, &payee));
	assert_int_equal(uint256_cmp(&choice.value, &value), 0);
	assert_int_equal(choice.price.micros, 10000);
	assert_false(choice.upfront);
	challenge_free(&challenge);
}

static const struct {
	const char *changes;
	enum choice_reason reason;
} rows[] = {
    {"", CHOICE_PAYABLE},
    {"\"scheme\":\"upto\"", CHOICE_UNSUPPORTED_SCHEME},
    {"\"scheme\":\"Exact\"", CHOICE_UNSUPPORTED_SCHEME},
    {"\"scheme\":\"batch-settlement\"", CHOICE_UNSUPPORTED_SCHEME},
    {"\"scheme\":\"authCapture\"", CHOICE_UNSUPPORTED_SCHEME},
    {"\"scheme\":\"\"", CHOICE_UNSUPPORTED_SCHEME},
    {"\"scheme\":null", CHOICE_UNSUPPORTED_SCHEME},
    {"\"scheme\":5", CHOICE_UNSUPPORTED_SCHEME},
    {"\"network\":\"solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp\"", CHOICE_UNSUPPORTED_NETWORK},
    {"\"network\":\"base-sepolia\"", CHOICE_UNSUPPORTED_NETWORK},
    {"\"network\":\"eip155:084532\"", CHOICE_UNSUPPORTED_NETWORK},
    {"\"network\":\"eip155:*\"", CHOICE_UNSUPPORTED_NETWORK},
    {"\"network\":84532", CHOICE_UNSUPPORTED_NETWORK},
    {"\"network\":null", CHOICE_UNSUPPORTED_NETWORK},
    /* The right contract on another chain, where it may be anything. */
    {"\"network\":\"eip155:8453\"", CHOICE_UNKNOWN_ASSET},
    {"\"network\":\"eip155:99999999\"", CHOICE_UNKNOWN_ASSET},
    {"\"asset\":\"0x1111111111111111111111111111111111111111\"", CHOICE_UNKNOWN_ASSET},
    {"\"asset\":\"USD\"", CHOICE_UNKNOWN_ASSET},
    {"\"asset\":\"0x036cbD53842c5426634e7929541eC2318f3dCF7e\"", CHOICE_UNKNOWN_ASSET},
    {"\"asset\":null", CHOICE_UNKNOWN_ASSET},
    {"\"network\":\"eip155:4326\",\"asset\":\"0xFAfDdbb3FC7688494971a79cc65DCa3EF82079E7\"",
	CHOICE_UNPAYABLE_ASSET},
    {"\"network\":\"eip155:38833\",\"asset\":\"0xA5b8BF902b2844dA17d4506cc827F7F1681735E7\"",
	CHOICE_UNPAYABLE_ASSET},
    {"\"extra\":{\"name\":\"USDC\",\"version\":\"2\",\"assetTransferMethod\":\"permit2\"}",
	CHOICE_UNSUPPORTED_TRANSFER},
    {"\"extra\":{\"name\":\"USDC\",\"version\":\"2\",\"assetTransferMethod\":\"erc7710\"}",
	CHOICE_UNSUPPORTED_TRANSFER},
    {"\"extra\":{\"name\":\"USDC\",\"version\":\"2\",\"assetTransferMethod\":\"\"}",
	CHOICE_UNSUPPORTED_TRANSFER},
    {"\"extra\":{\"name\":\"USDC\",\"version\":\"2\",\"assetTransferMethod\":1}",
	CHOICE_UNSUPPORTED_TRANSFER},
    {"\"extra\":{\"name\":\"USDC\",\"version\":\"2\",\"assetTransferMethod\":\"eip3009\"}",
	CHOICE_PAYABLE},
    {"\"extra\":{\"name\":\"USDC\",\"version\":\"2\",\"assetTransferMethod\":null}",
	CHOICE_PAYABLE},
    {"\"extra\":{\"name\":\"USDC\",\"version\":\"2\",\"paymentFlow\":\"escrow\"}",
	CHOICE_UNSUPPORTED_FLOW},
    {"\"extra\":{\"name\":\"USDC\",\"version\":\"2\",\"paymentFlow\":\"deferred\"}",
	CHOICE_UNSUPPORTED_FLOW},
    {"\"extra\":{\"name\":\"USDC\",\"version\":\"2\",\"paymentFlow\":{}}",
	CHOICE_UNSUPPORTED_FLOW},
    {"\"extra\":{\"name\":\"USDC\",\"version\":\"2\",\"paymentFlow\":\"authorization\"}",
	CHOICE_PAYABLE},
    {"\"extra\":{\"name\":\"USDC\",\"version\":\"2\",\"paymentFlow\":\"upfront\"}",
	CHOICE_PAYABLE},
    {"\"amount\":10000", CHOICE_BAD_AMOUNT},
    {"\"amount\":null", CHOICE_BAD_AMOUNT},
    {"\"amount\":\"\"", CHOICE_BAD_AMOUNT},
    {"\"amount\":\"0\"", CHOICE_BAD_AMOUNT},
    {"\"amount\":\"000\"", CHOICE_BAD_AMOUNT},
    {"\"amount\":\"-1\"", CHOICE_BAD_AMOUNT},
    {"\"amount\":\"+1\"", CHOICE_BAD_AMOUNT},
    {"\"amount\":\"1.0\"", CHOICE_BAD_AMOUNT},
    {"\"amount\":\"1e4\"", CHOICE_BAD_AMOUNT},
    {"\"amount\":\"0x10\"", CHOICE_BAD_AMOUNT},
    {"\"amount\":\" 1\"", CHOICE_BAD_AMOUNT},
    {"\"amount\":\"1 \"", CHOICE_BAD_AMOUNT},
    {"\"amount\":\"9223372036854775808\"", CHOICE_BAD_AMOUNT},
    /* 2^256 - 1, 2^256, 78 nines, 79 digits. */
    {"\"amount\":\"115792089237316195423570985008687907853269984665640564039457584007913129639935\"",
	CHOICE_BAD_AMOUNT},
    {"\"amount\":\"115792089237316195423570985008687907853269984665640564039457584007913129639936\"",
	CHOICE_BAD_AMOUNT},
    {"\"amount\":\"999999999999999999999999999999999999999999999999999999999999999999999999999999\"",
	CHOICE_BAD_AMOUNT},
    {"\"amount\":\"0000000000000000000000000000000000000000000000000000000000000000000000000010000\"",
	CHOICE_BAD_AMOUNT},
    {"\"amount\":\"000000000000000000000000000000000000000000000000000000000000000000000000010000\"",
	CHOICE_PAYABLE},
    {"\"amount\":\"9223372036854775807\"", CHOICE_PAYABLE},
    {"\"payTo\":\"merchant\"", CHOICE_BAD_PAYEE},
    {"\"payTo\":null", CHOICE_BAD_PAYEE},
    {"\"payTo\":\"0x0000000000000000000000000000000000000000\"", CHOICE_BAD_PAYEE},
    {"\"payTo\":\"0x209693BC6afc0C5328bA36FaF03C514EF312287C\"", CHOICE_BAD_PAYEE},
    {"\"payTo\":\"" DEV_ADDRESS "\"", CHOICE_BAD_PAYEE},
    {"\"payTo\":\"0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266\"", CHOICE_BAD_PAYEE},
    {"\"payTo\":\"" PAYEE_LOWER "\"", CHOICE_PAYABLE},
    {"\"maxTimeoutSeconds\":null", CHOICE_BAD_TIMEOUT},
    {"\"maxTimeoutSeconds\":0", CHOICE_BAD_TIMEOUT},
    {"\"maxTimeoutSeconds\":-60", CHOICE_BAD_TIMEOUT},
    {"\"maxTimeoutSeconds\":5", CHOICE_BAD_TIMEOUT},
    {"\"maxTimeoutSeconds\":6", CHOICE_PAYABLE},
    {"\"maxTimeoutSeconds\":86400", CHOICE_PAYABLE},
    {"\"maxTimeoutSeconds\":86401", CHOICE_BAD_TIMEOUT},
    {"\"maxTimeoutSeconds\":31536000", CHOICE_BAD_TIMEOUT},
    {"\"maxTimeoutSeconds\":2147483648", CHOICE_BAD_TIMEOUT},
    {"\"maxTimeoutSeconds\":60.5", CHOICE_BAD_TIMEOUT},
    {"\"maxTimeoutSeconds\":\"60\"", CHOICE_BAD_TIMEOUT},
    {"\"extra\":{\"name\":\"Evil\",\"version\":\"2\"}", CHOICE_DOMAIN_MISMATCH},
    {"\"extra\":{\"name\":\"USD Coin\",\"version\":\"2\"}", CHOICE_DOMAIN_MISMATCH},
    {"\"extra\":{\"name\":\"USDC\",\"version\":\"1\"}", CHOICE_DOMAIN_MISMATCH},
    {"\"extra\":{\"name\":\"USDC\",\"version\":2}", CHOICE_DOMAIN_MISMATCH},
    {"\"extra\":{\"name\":\"USDC\"}", CHOICE_DOMAIN_MISMATCH},
    {"\"extra\":{\"version\":\"2\"}", CHOICE_DOMAIN_MISMATCH},
    {"\"extra\":\"USDC\"", CHOICE_DOMAIN_MISMATCH},
    {"\"extra\":null", CHOICE_DOMAIN_MISMATCH},
};

static void each_option_gets_its_reason(void **state)
{
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		enum choice_reason reason = reason_of(*state, rows[i].changes);

		if (reason != rows[i].reason)
			fail_msg("%s: %s", rows[i].changes, choice_reason_str(reason));
	}
}

/* Wrong in every way at once: as each fault is mended, the next in line shows. */
static void reasons_come_in_order(void **state)
{
	static const struct {
		const char *mend;
		enum choice_reason reason;
	} steps[] = {
	    {"", CHOICE_UNSUPPORTED_SCHEME},
	    {",\"scheme\":\"exact\"", CHOICE_UNSUPPORTED_NETWORK},
	    {",\"network\":\"eip155:31611\"", CHOICE_UNKNOWN_ASSET},
	    {",\"asset\":\"0x118917a40FAF1CD7a13dB0Ef56C86De7973Ac503\"", CHOICE_UNPAYABLE_ASSET},
	    {",\"network\":\"eip155:84532\",\"asset\":\"" BASE_SEPOLIA_USDC "\"",
		CHOICE_UNSUPPORTED_TRANSFER},
	    {",\"extra\":{\"paymentFlow\":\"x\"}", CHOICE_UNSUPPORTED_FLOW},
	    {",\"extra\":{}", CHOICE_BAD_AMOUNT},
	    {",\"amount\":\"200000\"", CHOICE_BAD_PAYEE},
	    {",\"payTo\":\"" PAYEE "\"", CHOICE_BAD_TIMEOUT},
	    {",\"maxTimeoutSeconds\":60", CHOICE_DOMAIN_MISMATCH},
	};
	static const char start[] =
	    "\"scheme\":\"x\",\"network\":\"x\",\"asset\":\"x\",\"amount\":\"x\",\"payTo\":\"x\","
	    "\"maxTimeoutSeconds\":0,"
	    "\"extra\":{\"assetTransferMethod\":\"x\",\"paymentFlow\":\"x\"}";
	struct buf changes;
	size_t i;

	buf_init(&changes, 4096);
	buf_add_str(&changes, start);
	for (i = 0; i < COUNT(steps); i++) {
		/* The last of equal keys wins in json_loads without flags. */
		buf_add_str(&changes, steps[i].mend);
		row_check(steps[i].mend, reason_of(*state, buf_str(&changes)) == steps[i].reason);
	}
	buf_fini(&changes);
}

static struct amount funds_of_50_cents(void *arg, const struct asset *asset)
{
	(*(int *)arg)++;
	return amount_of(asset->chain_id == 84532 ? 500000 : 0);
}

static void owners_rules_are_asked_in_order(void **state)
{
	static const char *const networks[] = {"eip155:8453", "eip155:1"};
	static const char *const assets[] = {"usdt0", "0x1111111111111111111111111111111111111111"};
	static const char *const payees[] = {"0x1111111111111111111111111111111111111111"};
	static const char *const networks_good[] = {"eip155:1", "eip155:84532"};
	static const char *const by_symbol[] = {"usdc"};
	static const char *const by_address[] = {"0x036cbd53842c5426634e7929541ec2318f3dcf7e"};
	static const char *const payees_good[] = {PAYEE_LOWER};
	static const char change[] = "\"amount\":\"600000\"";
	struct bed *bed = *state;
	struct choice_rules *rules = &bed->rules;
	int asked = 0;

	rules->networks = networks;
	rules->network_count = COUNT(networks);
	rules->assets = assets;
	rules->asset_count = COUNT(assets);
	rules->payees = payees;
	rules->payee_count = COUNT(payees);
	rules->pinned_payee = payees[0];
	rules->has_declared_price = true;
	rules->declared_price = amount_of(599999);
	rules->funds = funds_of_50_cents;
	rules->funds_arg = &asked;
	assert_int_equal(reason_of(bed, change), CHOICE_NETWORK_NOT_ALLOWED);
	rules->networks = networks_good;
	assert_int_equal(reason_of(bed, change), CHOICE_ASSET_NOT_ALLOWED);
	rules->assets = by_symbol;
	rules->asset_count = 1;
	assert_int_equal(reason_of(bed, change), CHOICE_PAYEE_NOT_ALLOWED);
	rules->assets = by_address;
	assert_int_equal(reason_of(bed, change), CHOICE_PAYEE_NOT_ALLOWED);
	rules->payees = payees_good;
	assert_int_equal(reason_of(bed, change), CHOICE_PAYEE_CHANGED);
	rules->pinned_payee = PAYEE_LOWER;
	assert_int_equal(reason_of(bed, change), CHOICE_OVER_DECLARED_PRICE);
	rules->declared_price = amount_of(600000);
	assert_int_equal(asked, 0);
	assert_int_equal(reason_of(bed, change), CHOICE_INSUFFICIENT_FUNDS);
	assert_int_equal(asked, 1);
	assert_int_equal(reason_of(bed, "\"amount\":\"500000\""), CHOICE_PAYABLE);
	assert_int_equal(reason_of(bed, "\"amount\":\"500001\""), CHOICE_INSUFFICIENT_FUNDS);
}

/* A challenge by DEV_ADDRESS with these options (taken), and its signed offer when wanted. */
static struct challenge *offered_by_dev(json_t *options, bool signed_offer)
{
	json_t *vectors = vectors_load("offer-receipt.json"), *offers = json_array();

	if (signed_offer)
		json_array_append(offers, json_object_get(json_object_get(vectors, "offers"),
					      "eip712 on Base Sepolia"));
	json_decref(vectors);
	return challenge_of(json_pack("{s:i, s:{s:s}, s:o, s:{s:{s:{s:o}}}}", "x402Version", 2,
	    "resource", "url", "https://api.example.com/premium-data", "accepts", options,
	    "extensions", "offer-receipt", "info", "offers", offers));
}

static enum choice_reason reason_offered(
    const struct bed *bed, const char *changes, bool signed_offer)
{
	struct challenge *challenge =
	    offered_by_dev(json_pack("[o]", option_with(changes)), signed_offer);
	enum choice_reason reason;
	struct choice choice;

	choice_make(&choice, challenge, bed->assets, &bed->rules);
	reason = choice.reasons[0];
	challenge_free(&challenge);
	return reason;
}

static void an_offer_is_wanted_only_when_the_owner_says_so(void **state)
{
	static const char by_dev[] = "\"payTo\":\"" DEV_ADDRESS "\"";
	struct bed *bed = *state;
	struct choice_rules *rules = &bed->rules;
	int asked = 0;

	rules->payer = address_of(PAYEE);
	assert_int_equal(reason_offered(bed, by_dev, false), CHOICE_PAYABLE);
	assert_int_equal(reason_offered(bed, by_dev, true), CHOICE_PAYABLE);
	rules->require_offer = true;
	rules->now_s = 1703123516;
	assert_int_equal(reason_offered(bed, by_dev, true), CHOICE_PAYABLE);
	assert_int_equal(reason_offered(bed, by_dev, false), CHOICE_NO_SIGNED_OFFER);
	/* Signed, but for another price, or by another than it is to be paid to. */
	assert_int_equal(
	    reason_offered(bed, "\"amount\":\"9999\",\"payTo\":\"" DEV_ADDRESS "\"", true),
	    CHOICE_NO_SIGNED_OFFER);
	assert_int_equal(reason_offered(bed, "\"payTo\":\"" BASE_SEPOLIA_USDC "\"", true),
	    CHOICE_NO_SIGNED_OFFER);
	rules->host = "other.example.com";
	assert_int_equal(reason_offered(bed, by_dev, true), CHOICE_RESOURCE_MISMATCH);
	rules->host = "api.example.com";
	rules->now_s = 1703123517;
	assert_int_equal(reason_offered(bed, by_dev, true), CHOICE_NO_SIGNED_OFFER);

	/* Cheaper reasons come first, money last. */
	rules->funds = funds_of_50_cents;
	rules->funds_arg = &asked;
	assert_int_equal(
	    reason_offered(bed, "\"amount\":\"500001\",\"payTo\":\"" DEV_ADDRESS "\"", true),
	    CHOICE_NO_SIGNED_OFFER);
	assert_int_equal(asked, 0);
	rules->has_declared_price = true;
	rules->declared_price = amount_of(1);
	assert_int_equal(reason_offered(bed, by_dev, true), CHOICE_OVER_DECLARED_PRICE);
}

static void the_signed_option_is_taken_though_another_is_cheaper(void **state)
{
	static const char by_dev[] = "\"payTo\":\"" DEV_ADDRESS "\"";
	struct challenge *challenge = offered_by_dev(
	    json_pack("[o, o]",
		option_with("\"amount\":\"1\",\"payTo\":\"" DEV_ADDRESS "\""),
		option_with(by_dev)),
	    true);
	struct bed *bed = *state;
	struct choice choice;

	bed->rules.payer = address_of(PAYEE);
	choice_make(&choice, challenge, bed->assets, &bed->rules);
	assert_int_equal(choice.position, 0);
	bed->rules.require_offer = true;
	bed->rules.now_s = 1703123516;
	choice_make(&choice, challenge, bed->assets, &bed->rules);
	assert_true(choice.found);
	assert_int_equal(choice.position, 1);
	assert_int_equal(choice.reasons[0], CHOICE_NO_SIGNED_OFFER);
	challenge_free(&challenge);
}

static void empty_list_allows_nothing(void **state)
{
	static const char *const none[] = {NULL};
	struct bed *bed = *state;

	bed->rules.networks = none;
	assert_int_equal(reason_of(bed, ""), CHOICE_NETWORK_NOT_ALLOWED);
	bed->rules.networks = NULL;
	bed->rules.assets = none;
	assert_int_equal(reason_of(bed, ""), CHOICE_ASSET_NOT_ALLOWED);
	bed->rules.assets = NULL;
	bed->rules.payees = none;
	assert_int_equal(reason_of(bed, ""), CHOICE_PAYEE_NOT_ALLOWED);
	bed->rules.payees = NULL;
	assert_int_equal(reason_of(bed, ""), CHOICE_PAYABLE);
}

static void resource_must_be_on_the_host_called(void **state)
{
	static const struct {
		const char *resource;
		enum choice_reason reason;
	} places[] = {
	    {"{\"url\":\"https://api.example.com/x\"}", CHOICE_PAYABLE},
	    {"{\"url\":\"http://API.example.com:80/other\"}", CHOICE_PAYABLE},
	    {"{}", CHOICE_PAYABLE},
	    {"null", CHOICE_PAYABLE},
	    {"{\"url\":null}", CHOICE_PAYABLE},
	    {"{\"url\":\"https://evil.example/x\"}", CHOICE_RESOURCE_MISMATCH},
	    {"{\"url\":\"https://api.example.com@evil.example/\"}", CHOICE_RESOURCE_MISMATCH},
	    {"{\"url\":7}", CHOICE_RESOURCE_MISMATCH},
	};
	struct bed *bed = *state;
	struct choice choice;
	size_t i;

	for (i = 0; i < COUNT(places); i++) {
		struct challenge *challenge = challenge_of(json_pack("{s:i, s:[o], s:o}",
		    "x402Version", 2, "accepts", option_with(""), "resource",
		    json_loads(places[i].resource, JSON_DECODE_ANY, NULL)));

		choice_make(&choice, challenge, bed->assets, &bed->rules);
		row_check(places[i].resource, choice.reasons[0] == places[i].reason);
		bed->rules.host = NULL;
		choice_make(&choice, challenge, bed->assets, &bed->rules);
		row_check(places[i].resource, choice.found);
		bed->rules.host = "api.example.com";
		challenge_free(&challenge);
	}
}

static void v1_has_names_and_its_resource_in_the_entry(void **state)
{
	static const struct {
		const char *changes;
		enum choice_reason reason;
	} v1_rows[] = {
	    {"\"network\":\"base-sepolia\"", CHOICE_PAYABLE},
	    {"\"network\":\"eip155:84532\"", CHOICE_UNSUPPORTED_NETWORK},
	    {"\"network\":\"ethereum-mainnet\"", CHOICE_UNSUPPORTED_NETWORK},
	    {"\"network\":\"avalanche-fuji\"", CHOICE_UNKNOWN_ASSET},
	    {"\"network\":\"base-sepolia\",\"maxAmountRequired\":10000", CHOICE_BAD_AMOUNT},
	    {"\"network\":\"base-sepolia\",\"resource\":\"https://evil.example/x\"",
		CHOICE_RESOURCE_MISMATCH},
	    {"\"network\":\"base-sepolia\",\"resource\":\"https://api.example.com/x\"",
		CHOICE_PAYABLE},
	};
	struct bed *bed = *state;
	struct choice choice;
	size_t i;

	for (i = 0; i < COUNT(v1_rows); i++) {
		json_t *option = option_with(v1_rows[i].changes);
		struct challenge *challenge;

		if (json_object_get(option, "maxAmountRequired") == NULL)
			json_object_set_new(option, "maxAmountRequired", json_string("10000"));
		challenge = challenge_of(
		    json_pack("{s:i, s:[o]}", "x402Version", 1, "accepts", option));
		choice_make(&choice, challenge, bed->assets, &bed->rules);
		row_check(v1_rows[i].changes, choice.reasons[0] == v1_rows[i].reason);
		challenge_free(&challenge);
	}
}

static void cheapest_wins_and_ties_keep_the_sellers_order(void **state)
{
	struct bed *bed = *state;
	struct challenge *challenge = challenge_of(json_pack("{s:i, s:[o,o,o,o,o,o]}",
	    "x402Version", 2, "accepts",
	    option_with("\"amount\":\"30000\""),
	    option_with("\"amount\":\"1\",\"scheme\":\"upto\""),
	    option_with("\"amount\":\"20000\"," BASE "," COIN),
	    option_with("\"amount\":\"20000\",\"extra\":{\"name\":\"USDC\",\"version\":\"2\","
			"\"paymentFlow\":\"upfront\"}"),
	    option_with("\"amount\":\"1\",\"payTo\":\"merchant\""),
	    option_with("\"amount\":\"20001\"")));
	int asked = 0;
	struct choice choice;

	choice_make(&choice, challenge, bed->assets, &bed->rules);
	assert_true(choice.found);
	assert_int_equal(choice.position, 2);
	assert_int_equal(choice.asset->chain_id, 8453);
	assert_int_equal(choice.price.micros, 20000);
	assert_false(choice.upfront);
	assert_int_equal(choice.reasons[0], CHOICE_PAYABLE);
	assert_int_equal(choice.reasons[1], CHOICE_UNSUPPORTED_SCHEME);
	assert_int_equal(choice.reasons[3], CHOICE_PAYABLE);
	assert_int_equal(choice.reasons[4], CHOICE_BAD_PAYEE);
	assert_int_equal(choice.reasons[5], CHOICE_PAYABLE);

	/* An option whose wallet is empty makes room for the next best. */
	bed->rules.funds = funds_of_50_cents;
	bed->rules.funds_arg = &asked;
	choice_make(&choice, challenge, bed->assets, &bed->rules);
	assert_int_equal(choice.position, 3);
	assert_true(choice.upfront);
	assert_int_equal(choice.reasons[2], CHOICE_INSUFFICIENT_FUNDS);
	assert_int_equal(asked, 4);
	challenge_free(&challenge);
}

static void reasons_have_names(void **state)
{
	int reason;

	(void)state;
	assert_string_equal(choice_reason_str(CHOICE_PAYABLE), "payable");
	assert_string_equal(choice_reason_str(CHOICE_UNKNOWN_ASSET), "unknown_asset");
	assert_string_equal(choice_reason_str(CHOICE_NO_SIGNED_OFFER), "no_signed_offer");
	assert_string_equal(choice_reason_str(CHOICE_INSUFFICIENT_FUNDS), "insufficient_funds");
	for (reason = 0; reason <= CHOICE_INSUFFICIENT_FUNDS; reason++)
		assert_non_null(choice_reason_str((enum choice_reason)reason));
	assert_string_equal(choice_reason_str((enum choice_reason)99), "unknown");
}

#define bed_test(name) cmocka_unit_test_setup_teardown(name, bed_make, bed_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    bed_test(good_option_is_taken_whole),
	    bed_test(each_option_gets_its_reason),
	    bed_test(reasons_come_in_order),
	    bed_test(owners_rules_are_asked_in_order),
	    bed_test(an_offer_is_wanted_only_when_the_owner_says_so),
	    bed_test(the_signed_option_is_taken_though_another_is_cheaper),
	    bed_test(empty_list_allows_nothing),
	    bed_test(resource_must_be_on_the_host_called),
	    bed_test(v1_has_names_and_its_resource_in_the_entry),
	    bed_test(cheapest_wins_and_ties_keep_the_sellers_order),
	    cmocka_unit_test(reasons_have_names),
	};

	return unit_run(tests);
}
