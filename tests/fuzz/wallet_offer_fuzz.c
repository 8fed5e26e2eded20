/* Offers that a seller signed, checked from a stored challenge against what was paid.
 *
 * The first byte: 'v' a challenge as text; 'i' the object of extensions["offer-receipt"].info,
 * which the harness puts into a challenge. What is paid for are the terms of the signed offers
 * in tests/vectors/offer-receipt.json, so that a good signature can be met. */
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "tests/fuzz/fuzz.h"
#include "wallet/offer.h"

#define CHAIN_ID 8453
#define ASSET    "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"
#define PAYEE    "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
#define PAYER    "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
#define URL      "https://api.example.com/premium-data"
#define SIGNED_S 1703123400

static const char before[] =
    "{\"x402Version\":2,\"resource\":{\"url\":\"" URL "\"},\"accepts\":[{\"scheme\":\"exact\","
    "\"network\":\"eip155:8453\",\"amount\":\"10000\",\"asset\":\"" ASSET "\",\"payTo\":\"" PAYEE
    "\",\"maxTimeoutSeconds\":60,\"extra\":{\"name\":\"USD Coin\",\"version\":\"2\"}}],"
    "\"extensions\":{\"offer-receipt\":{\"info\":";

static void check_verdict(const struct offer_verdict *verdict, const struct address *payee)
{
	const char *at;

	must(verdict->state <= OFFER_ABSENT);
	must(strcmp(offer_state_str(verdict->state), "unknown") != 0);
	must(memchr(verdict->reason, '\0', sizeof(verdict->reason)) != NULL);
	must((verdict->state == OFFER_VALID) == (verdict->reason[0] == '\0'));
	for (at = verdict->reason; *at != '\0'; at++)
		must(*at >= ' ' && *at <= '~');
	if (verdict->state == OFFER_VALID || verdict->state == OFFER_EXPIRED)
		must(verdict->has_signer && address_equal(&verdict->signer, payee));
}

/* As while one is chosen: every option's terms, its own and those that were paid. */
static void check_judge(const struct challenge *challenge, const struct offer_paid *paid)
{
	struct offer_terms terms = {
	    .scheme = "exact",
	    .chain_id = CHAIN_ID,
	    .asset = paid->asset,
	    .payee = paid->payee,
	    .value = paid->value,
	    .resource_url = URL,
	    .host = "api.example.com",
	    .at_s = SIGNED_S,
	};
	struct offers *offers = offers_new(challenge);
	struct offer_verdict verdict, again;
	size_t i;

	offers_judge(&verdict, offers, &terms);
	check_verdict(&verdict, &paid->payee);
	offers_judge(&again, offers, &terms);
	must(again.state == verdict.state && strcmp(again.reason, verdict.reason) == 0);
	/* A dearer option is covered by no offer that covers this one. */
	terms.value = uint256_of(10001);
	offers_judge(&again, offers, &terms);
	must(again.state != OFFER_VALID || verdict.state != OFFER_VALID ||
	     json_array_size(json_object_get(
		 json_object_get(json_object_get(challenge->extensions, "offer-receipt"), "info"),
		 "offers")) > 1);
	for (i = 0; i < challenge->option_count; i++) {
		terms.resource_url = challenge->options[i].resource_url;
		if (!uint256_parse(&terms.value, challenge->options[i].amount) ||
		    !address_parse(&terms.payee, challenge->options[i].pay_to))
			continue;
		offers_judge(&verdict, offers, &terms);
		check_verdict(&verdict, &terms.payee);
	}
	offers_free(&offers);
	must(offers == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct offer_paid paid = {.chain_id = CHAIN_ID,
	    .value = uint256_of(10000),
	    .url = URL,
	    .signed_s = SIGNED_S,
	    .received_s = SIGNED_S + 1};
	struct challenge *challenge = NULL;
	struct offer_verdict verdict;
	char *text;

	if (size == 0)
		return 0;
	must(address_parse(&paid.asset, ASSET) && address_parse(&paid.payee, PAYEE) &&
	     address_parse(&paid.payer, PAYER));
	if (data[0] == 'i')
		text = must_format("%s%.*s}}}", before, (int)(size - 1), (const char *)data + 1);
	else
		text = must_strndup((const char *)data + 1, size - 1);
	offer_check(&verdict, text, &paid);
	check_verdict(&verdict, &paid.payee);
	if (challenge_parse(&challenge, NULL, NULL, 0, text, strlen(text)) == CHALLENGE_OK)
		check_judge(challenge, &paid);
	challenge_free(&challenge);
	free(text);
	return 0;
}
