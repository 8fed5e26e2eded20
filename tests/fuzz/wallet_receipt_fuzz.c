/* What a seller says after a payment: only a complete and consistent success settles it.
 *
 * The first byte says how the rest arrives: 'j' JSON that the harness puts into
 * PAYMENT-RESPONSE as base64, '1' the same in X-PAYMENT-RESPONSE, 'd' both headers,
 * 't' the header twice, anything else the header itself. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/bytes.h"
#include "common/json.h"
#include "tests/fuzz/common_members.h"
#include "tests/fuzz/fuzz.h"
#include "wallet/offer.h"
#include "wallet/receipt.h"

#define PAYER "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
#define PAYEE "0x209693bc6afc0c5328ba36faf03c514ef312287c"
#define VALUE 10000

static void check_printable(const char *text, size_t size_max)
{
	must(strlen(text) < size_max);
	for (; *text != '\0'; text++)
		must(*text >= ' ' && *text <= '~');
}

/* By the tree, and by another reading than receipt.c's: every member says what we signed. */
static void check_settled(const json_t *root, const char *transaction, const struct asset *asset)
{
	const char *network = json_str(root, "network"), *payer = json_str(root, "payer");
	json_t *amount = json_member(root, "amount");
	uint8_t hash[32];

	must(json_is_true(json_member(root, "success")));
	must(strcmp(network, asset->network) == 0 || strcmp(network, asset->v1_network) == 0);
	must(strcasecmp(payer, PAYER) == 0);
	must(strlen(transaction) == 66 && hex_decode(hash, sizeof(hash), transaction));
	must(amount == NULL || json_integer_value(amount) == VALUE ||
	     strtoull(json_string_value(amount), NULL, 10) == VALUE);
}

static void check(const struct receipt *receipt, const struct asset *asset, size_t headers)
{
	struct json_error error;
	json_t *root;

	check_printable(receipt->transaction, sizeof(receipt->transaction));
	check_printable(receipt->reason, sizeof(receipt->reason));
	must(strcmp(receipt_outcome_str(receipt->outcome), "unknown") != 0);
	must((receipt->outcome == RECEIPT_ABSENT) == (headers == 0));
	must(headers < 2 || receipt->outcome == RECEIPT_MALFORMED);
	if (receipt->text == NULL) {
		must(receipt->outcome <= RECEIPT_MALFORMED && receipt->outcome != RECEIPT_SETTLED);
		return;
	}
	root = json_read(&error, receipt->text, strlen(receipt->text), RECEIPT_SIZE_MAX);
	must(root != NULL && members_all(receipt->text, strlen(receipt->text), root));
	if (receipt->outcome == RECEIPT_SETTLED)
		check_settled(root, receipt->transaction, asset);
	else if (receipt->outcome != RECEIPT_MALFORMED)
		must(json_is_true(json_member(root, "success")) ==
		     (receipt->outcome == RECEIPT_INCONSISTENT));
	json_decref(root);
}

/* What it says about a signature of the seller's, too. */
static void check_signed(const char *text, const struct offer_paid *paid)
{
	struct offer_verdict verdict;

	offer_check_receipt(&verdict, text, paid);
	check_printable(verdict.reason, sizeof(verdict.reason));
	must((verdict.state == OFFER_VALID) == (verdict.reason[0] == '\0'));
	must(verdict.state <= OFFER_ABSENT && verdict.state != OFFER_EXPIRED);
	if (verdict.state == OFFER_VALID)
		must(verdict.has_signer && address_equal(&verdict.signer, &paid->payee));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct assets *assets;
	const struct asset *asset;
	struct offer_paid paid = {.url = "https://api.example.com/x",
	    .signed_s = 1700000000,
	    .received_s = 1700000002,
	    .value = uint256_of(VALUE)};
	struct receipt receipt;
	const char *v2[2], *v1[2];
	size_t v2_count = 0, v1_count = 0;
	char *header, how = size > 0 ? (char)data[0] : 'n';

	if (assets == NULL)
		assets = assets_new(); /* what is in it never changes */
	asset = assets_default(assets, "eip155:84532");
	must(address_parse(&paid.payer, PAYER) && address_parse(&paid.payee, PAYEE));
	paid.chain_id = asset->chain_id;
	paid.asset = asset->contract;
	header = size == 0 ? must_strdup("")
		 : how == 'j' || how == '1' || how == 'd'
		     ? base64_encode(data + 1, size - 1)
		     : must_strndup((const char *)data + 1, size - 1);
	v2[0] = v2[1] = v1[0] = v1[1] = header;
	if (size > 0)
		v2_count = how == '1' ? 0 : how == 't' ? 2 : 1;
	v1_count = how == '1' ? 1 : how == 'd' ? 2 : 0;
	receipt_read(&receipt, v2, v2_count, v1, v1_count, &paid.payer, asset, &paid.value);
	check(&receipt, asset, v2_count > 0 ? v2_count : v1_count);
	if (receipt.outcome == RECEIPT_SETTLED)
		paid.transaction = receipt.transaction;
	check_signed(receipt.text, &paid);
	receipt_fini(&receipt);
	must(receipt.text == NULL);
	free(header);
	return 0;
}
