/* A seller's 402, read and chosen from: v1 and v2, header and body.
 *
 * The first byte says how the rest is delivered: 'h' text that the harness puts into the
 * header as base64, 'r' the header itself, 'd' that header twice, anything else a body. */
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/json.h"
#include "tests/fuzz/common_members.h"
#include "tests/fuzz/fuzz.h"
#include "wallet/choice.h"

#define PAYER  "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
#define PAYEE  "0x209693bc6afc0c5328ba36faf03c514ef312287c"
#define HOST   "api.example.com"
#define NOW_S  1700000000
#define BUDGET 250000

static enum challenge_result deliver(
    struct challenge **out, char reason[256], char how, const char *bytes, size_t size)
{
	char *header = how == 'h' ? base64_encode(bytes, size) : must_strndup(bytes, size);
	const char *headers[] = {header, header};
	enum challenge_result result;

	if (how == 'h' || how == 'r')
		result = challenge_parse(out, reason, headers, 1, "{\"x402Version\":1}", 17);
	else if (how == 'd')
		result = challenge_parse(out, reason, headers, 2, NULL, 0);
	else
		result = challenge_parse(out, reason, NULL, 0, bytes, size);
	free(header);
	return result;
}

static void check_form(const struct challenge *challenge, char how)
{
	struct json_error error;
	json_t *again, *accepts = json_object_get(challenge->root, "accepts");
	size_t i;

	must(challenge->version == 2 || (challenge->version == 1 && how != 'h' && how != 'r'));
	must(challenge->text_size <= CHALLENGE_SIZE_MAX);
	must(strlen(challenge->text) == challenge->text_size);
	must(members_all(challenge->text, challenge->text_size, challenge->root));
	must(challenge->option_count >= 1 && challenge->option_count <= CHALLENGE_OPTIONS_MAX);
	must(challenge->option_count + challenge->option_dropped == json_array_size(accepts));
	for (i = 0; i < challenge->option_count; i++) {
		const struct requirement *option = &challenge->options[i];

		must(option->json == json_array_get(accepts, i));
		must(!option->timeout_valid ||
		     (option->timeout_s >= 1 && option->timeout_s <= INT32_MAX));
	}
	again = json_read(&error, challenge->text, challenge->text_size, CHALLENGE_SIZE_MAX);
	must(again != NULL && json_equal(again, challenge->root));
	json_decref(again);
}

/* What nobody may be made to sign, under any rules. */
static void check_found(const struct choice *choice, const struct challenge *challenge,
    const struct choice_rules *rules)
{
	const struct requirement *option = &challenge->options[choice->position];
	struct amount price;
	struct uint256 value;
	struct address payee, contract;
	uint64_t chain_id;

	must(choice->position < challenge->option_count);
	must(choice->reasons[choice->position] == CHOICE_PAYABLE);
	must(strcmp(option->scheme, "exact") == 0);
	must(network_parse(&chain_id, option->network) && chain_id == choice->asset->chain_id);
	must(address_parse(&contract, option->asset));
	must(address_equal(&contract, &choice->asset->contract));
	must(choice->asset->unpayable == NULL && choice->asset->decimals == 6);
	must(strcmp(option->domain_name, choice->asset->domain_name) == 0);
	must(strcmp(option->domain_version, choice->asset->domain_version) == 0);
	must(address_parse(&payee, option->pay_to) && address_equal(&payee, &choice->payee));
	must(!address_is_zero(&payee) && !address_equal(&payee, &rules->payer));
	must(uint256_parse(&value, option->amount) && uint256_cmp(&value, &choice->value) == 0);
	/* Six decimals: one unit is one micro-dollar, and nothing is rounded. */
	must(uint256_to_amount(&price, &value, 6) && price.micros == choice->price.micros);
	must(choice->price.micros > 0);
	must(option->timeout_valid && option->timeout_s >= CHOICE_TIMEOUT_S_MIN);
	must(option->timeout_s <= CHOICE_TIMEOUT_S_MAX);
	must(!rules->has_declared_price || choice->price.micros <= rules->declared_price.micros);
}

/* The first of the cheapest that may be paid. */
static void check_cheapest(const struct choice *choice, const struct challenge *challenge)
{
	struct uint256 value;
	size_t i;

	for (i = 0; i < challenge->option_count; i++) {
		int order;

		must(strcmp(choice_reason_str(choice->reasons[i]), "unknown") != 0);
		if (choice->reasons[i] != CHOICE_PAYABLE)
			continue;
		must(choice->found);
		must(uint256_parse(&value, challenge->options[i].amount));
		order = uint256_cmp(&value, &choice->value);
		must(order > 0 || (order == 0 && i >= choice->position));
	}
}

static struct amount funds(void *arg, const struct asset *asset)
{
	(void)arg;
	return amount_of(asset->testnet ? BUDGET : 0);
}

static void check_choice(const struct challenge *challenge, const struct assets *assets)
{
	static const char *const networks[] = {"eip155:84532"}, *const symbols[] = {"USDC"},
				 *const payees[] = {PAYEE};
	struct choice_rules open = {0}, strict = {.networks = networks,
					    .network_count = 1,
					    .assets = symbols,
					    .asset_count = 1,
					    .payees = payees,
					    .payee_count = 1,
					    .pinned_payee = PAYEE,
					    .host = HOST,
					    .has_declared_price = true,
					    .declared_price = amount_of(BUDGET),
					    .funds = funds};
	struct choice taken, strictly, signed_for;
	size_t i;

	must(address_parse(&open.payer, PAYER));
	strict.payer = open.payer;
	choice_make(&taken, challenge, assets, &open);
	choice_make(&strictly, challenge, assets, &strict);
	open.require_offer = true;
	open.now_s = NOW_S;
	choice_make(&signed_for, challenge, assets, &open);
	for (i = 0; i < challenge->option_count; i++) {
		must(taken.reasons[i] == CHOICE_PAYABLE || strictly.reasons[i] != CHOICE_PAYABLE);
		must(signed_for.reasons[i] == taken.reasons[i] ||
		     (taken.reasons[i] == CHOICE_PAYABLE &&
			 signed_for.reasons[i] == CHOICE_NO_SIGNED_OFFER));
	}
	check_cheapest(&taken, challenge);
	check_cheapest(&strictly, challenge);
	check_cheapest(&signed_for, challenge);
	if (taken.found)
		check_found(&taken, challenge, &open);
	if (signed_for.found)
		check_found(&signed_for, challenge, &open);
	if (strictly.found) {
		check_found(&strictly, challenge, &strict);
		must(strictly.asset->chain_id == 84532 && strictly.price.micros <= BUDGET);
		must(address_parse(&open.payer, PAYEE));
		must(address_equal(&strictly.payee, &open.payer));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct assets *assets;
	struct challenge *challenge = NULL;
	enum challenge_result result;
	char reason[256] = "";

	if (size == 0)
		return 0;
	if (assets == NULL)
		assets = assets_new(); /* what is in it never changes */
	result = deliver(&challenge, reason, (char)data[0], (const char *)data + 1, size - 1);
	must((result == CHALLENGE_OK) == (challenge != NULL));
	must((result == CHALLENGE_OK) == (reason[0] == '\0'));
	if (challenge != NULL) {
		check_form(challenge, (char)data[0]);
		check_choice(challenge, assets);
	}
	challenge_free(&challenge);
	return 0;
}
