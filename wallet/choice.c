/* wallet/choice.c - which of the seller's options may be paid, and which is best.
 *
 * Every option goes down the same list of checks; the first that fails is its
 * reason. The order is the enum's: first what the option is, then whether its
 * numbers hold, then what the owner allows, and last whether there is money. */
#include "wallet/choice.h"

#include <string.h>
#include <strings.h>

#include "wallet/offer.h"
#include "wallet/place.h"

/* One option on its way down the list; each check may fill in what it found. */
struct candidate {
	const struct requirement *option;
	const struct choice_rules *rules;
	const struct assets *assets;
	struct offers *offers; /* NULL: none are asked for */
	int version;
	uint64_t chain_id;
	const struct asset *asset;
	struct uint256 value;
	struct amount price;
};

const char *choice_reason_str(enum choice_reason reason)
{
	static const char *const words[] = {
		[CHOICE_PAYABLE] = "payable",
		[CHOICE_UNSUPPORTED_SCHEME] = "unsupported_scheme",
		[CHOICE_UNSUPPORTED_NETWORK] = "unsupported_network",
		[CHOICE_UNKNOWN_ASSET] = "unknown_asset",
		[CHOICE_UNPAYABLE_ASSET] = "unpayable_asset",
		[CHOICE_UNSUPPORTED_TRANSFER] = "unsupported_transfer",
		[CHOICE_UNSUPPORTED_FLOW] = "unsupported_flow",
		[CHOICE_BAD_AMOUNT] = "bad_amount",
		[CHOICE_BAD_PAYEE] = "bad_payee",
		[CHOICE_BAD_TIMEOUT] = "bad_timeout",
		[CHOICE_DOMAIN_MISMATCH] = "domain_mismatch",
		[CHOICE_RESOURCE_MISMATCH] = "resource_mismatch",
		[CHOICE_NETWORK_NOT_ALLOWED] = "network_not_allowed",
		[CHOICE_ASSET_NOT_ALLOWED] = "asset_not_allowed",
		[CHOICE_PAYEE_NOT_ALLOWED] = "payee_not_allowed",
		[CHOICE_PAYEE_CHANGED] = "payee_changed",
		[CHOICE_OVER_DECLARED_PRICE] = "over_declared_price",
		[CHOICE_NO_SIGNED_OFFER] = "no_signed_offer",
		[CHOICE_INSUFFICIENT_FUNDS] = "insufficient_funds",
	};

	if ((size_t)reason >= sizeof(words) / sizeof(words[0]))
		return "unknown";
	return words[reason];
}

static bool text_is(const char *text, const char *wanted)
{
	return text != NULL && strcmp(text, wanted) == 0;
}

static bool listed(const char *const *list, size_t count, const char *text)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (strcasecmp(list[i], text) == 0)
			return true;
	}
	return false;
}

/* What the option is. */
static enum choice_reason check_kind(struct candidate *candidate)
{
	const struct requirement *option = candidate->option;
	const char *network = option->network;

	if (!text_is(option->scheme, "exact"))
		return CHOICE_UNSUPPORTED_SCHEME;
	if (candidate->version == 1) {
		if (!network_parse_v1(&candidate->chain_id, network))
			return CHOICE_UNSUPPORTED_NETWORK;
	} else if (network == NULL || strchr(network, ':') == NULL ||
	    !network_parse(&candidate->chain_id, network)) {
		return CHOICE_UNSUPPORTED_NETWORK;
	}
	if (!option->has_contract)
		return CHOICE_UNKNOWN_ASSET;
	candidate->asset =
	    assets_find(candidate->assets, candidate->chain_id, &option->contract);
	if (candidate->asset == NULL)
		return CHOICE_UNKNOWN_ASSET;
	if (candidate->asset->unpayable != NULL)
		return CHOICE_UNPAYABLE_ASSET;
	if (option->transfer_method != NULL && !text_is(option->transfer_method, "eip3009"))
		return CHOICE_UNSUPPORTED_TRANSFER;
	if (option->payment_flow != NULL && !text_is(option->payment_flow, "authorization") &&
	    !text_is(option->payment_flow, "upfront"))
		return CHOICE_UNSUPPORTED_FLOW;
	return CHOICE_PAYABLE;
}

/* Whether what it asks for holds together. */
static enum choice_reason check_claims(struct candidate *candidate)
{
	const struct requirement *option = candidate->option;
	const struct asset *asset = candidate->asset;

	if (!uint256_parse(&candidate->value, option->amount) ||
	    uint256_is_zero(&candidate->value) ||
	    !uint256_to_amount(&candidate->price, &candidate->value, asset->decimals))
		return CHOICE_BAD_AMOUNT;
	if (!option->has_payee || address_is_zero(&option->payee) ||
	    address_equal(&option->payee, &candidate->rules->payer))
		return CHOICE_BAD_PAYEE;
	if (!option->timeout_valid || option->timeout_s < CHOICE_TIMEOUT_S_MIN ||
	    option->timeout_s > CHOICE_TIMEOUT_S_MAX)
		return CHOICE_BAD_TIMEOUT;
	if (!text_is(option->domain_name, asset->domain_name) ||
	    !text_is(option->domain_version, asset->domain_version))
		return CHOICE_DOMAIN_MISMATCH;
	if (option->resource_url != NULL && candidate->rules->host != NULL &&
	    !place_matches(option->resource_url, candidate->rules->host))
		return CHOICE_RESOURCE_MISMATCH;
	return CHOICE_PAYABLE;
}

/* Whether payTo has put its name to what is asked. */
static bool has_offer(const struct candidate *candidate)
{
	const struct offer_terms terms = {
		.scheme = candidate->option->scheme,
		.chain_id = candidate->chain_id,
		.asset = candidate->asset->contract,
		.payee = candidate->option->payee,
		.value = candidate->value,
		.resource_url = candidate->option->resource_url,
		.host = candidate->rules->host,
		.at_s = candidate->rules->now_s,
	};
	struct offer_verdict verdict;

	offers_judge(&verdict, candidate->offers, &terms);
	return verdict.state == OFFER_VALID;
}

/* Whether the owner allows it. */
static enum choice_reason check_rules(const struct candidate *candidate)
{
	const struct choice_rules *rules = candidate->rules;
	const struct asset *asset = candidate->asset;
	char payee[ADDRESS_TEXT_SIZE];

	address_format_lower(payee, &candidate->option->payee);
	if (rules->networks != NULL &&
	    !listed(rules->networks, rules->network_count, asset->network))
		return CHOICE_NETWORK_NOT_ALLOWED;
	if (rules->assets != NULL && !listed(rules->assets, rules->asset_count, asset->symbol) &&
	    !listed(rules->assets, rules->asset_count, asset->contract_text))
		return CHOICE_ASSET_NOT_ALLOWED;
	if (rules->payees != NULL && !listed(rules->payees, rules->payee_count, payee))
		return CHOICE_PAYEE_NOT_ALLOWED;
	if (rules->pinned_payee != NULL && strcasecmp(rules->pinned_payee, payee) != 0)
		return CHOICE_PAYEE_CHANGED;
	if (rules->has_declared_price &&
	    amount_cmp(candidate->price, rules->declared_price) > 0)
		return CHOICE_OVER_DECLARED_PRICE;
	if (candidate->offers != NULL && !has_offer(candidate))
		return CHOICE_NO_SIGNED_OFFER;
	if (rules->funds != NULL &&
	    amount_cmp(candidate->price, rules->funds(rules->funds_arg, asset)) > 0)
		return CHOICE_INSUFFICIENT_FUNDS;
	return CHOICE_PAYABLE;
}

static enum choice_reason check(struct candidate *candidate)
{
	enum choice_reason reason = check_kind(candidate);

	if (reason == CHOICE_PAYABLE)
		reason = check_claims(candidate);
	if (reason == CHOICE_PAYABLE)
		reason = check_rules(candidate);
	return reason;
}

void choice_make(struct choice *out, const struct challenge *challenge,
    const struct assets *assets, const struct choice_rules *rules)
{
	struct offers *offers = rules->require_offer ? offers_new(challenge) : NULL;
	size_t i;

	*out = (struct choice){.found = false};
	for (i = 0; i < challenge->option_count; i++) {
		struct candidate candidate = {
			.option = &challenge->options[i],
			.rules = rules,
			.assets = assets,
			.offers = offers,
			.version = challenge->version,
		};

		out->reasons[i] = check(&candidate);
		if (out->reasons[i] != CHOICE_PAYABLE)
			continue;
		if (out->found && amount_cmp(candidate.price, out->price) >= 0)
			continue;
		out->found = true;
		out->position = i;
		out->asset = candidate.asset;
		out->payee = candidate.option->payee;
		memcpy(out->payee_text, candidate.option->payee_text, sizeof(out->payee_text));
		out->value = candidate.value;
		out->price = candidate.price;
		out->upfront = text_is(candidate.option->payment_flow, "upfront");
	}
	offers_free(&offers);
}
