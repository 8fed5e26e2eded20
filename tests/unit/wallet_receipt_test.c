/* Receipts: only a whole and consistent success settles. */
#include "tests/unit/wallet_fixture.h"
#include "wallet/receipt.h"

#define TX       "0x89c91c789e57059b17285e7ba1716a1f5ff4c5dace0ea5a5135f26158d0421b9"
#define SUCCESS  "\"success\":true"
#define NETWORK  "\"network\":\"eip155:84532\""
#define PAYER    "\"payer\":\"" DEV_ADDRESS "\""
#define SETTLED  SUCCESS "," NETWORK "," PAYER ",\"transaction\":\"" TX "\""

struct bed {
	struct assets *assets;
	const struct asset *asset;
	struct address payer;
	struct uint256 value;
};

static int bed_make(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	bed->assets = assets_new();
	bed->asset = assets_default(bed->assets, "base-sepolia");
	bed->payer = address_of(DEV_ADDRESS);
	bed->value = uint256_of(10000);
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

static void read_headers(struct receipt *out, const struct bed *bed, const char *const *v2,
    size_t v2_count, const char *const *v1, size_t v1_count)
{
	receipt_read(out, v2, v2_count, v1, v1_count, &bed->payer, bed->asset, &bed->value);
}

/* A receipt of these members. */
static void read_members(struct receipt *out, const struct bed *bed, const char *members)
{
	char text[2048], *header;
	const char *headers[1];

	snprintf(text, sizeof(text), "{%s}", members);
	header = base64_encode(text, strlen(text));
	headers[0] = header;
	read_headers(out, bed, headers, 1, NULL, 0);
	free(header);
}

static void outcomes_follow_the_members(void **state)
{
	static const struct {
		const char *members;
		enum receipt_outcome outcome;
	} rows[] = {
	    {SETTLED, RECEIPT_SETTLED},
	    {SETTLED ",\"amount\":\"10000\"", RECEIPT_SETTLED},
	    {SETTLED ",\"amount\":10000", RECEIPT_SETTLED},
	    {SETTLED ",\"amount\":null,\"errorReason\":null,\"extensions\":{}", RECEIPT_SETTLED},
	    {SUCCESS ",\"network\":\"base-sepolia\"," PAYER ",\"transaction\":\"" TX "\"",
		RECEIPT_SETTLED},
	    {SUCCESS "," NETWORK ",\"payer\":\"0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266\","
		     "\"transaction\":\"" TX "\"",
		RECEIPT_SETTLED},
	    {SUCCESS "," NETWORK ",\"payer\":\"0xF39FD6E51AAD88F6F4CE6AB8827279CFFFB92266\","
		     "\"transaction\":\"" TX "\"",
		RECEIPT_SETTLED},
	    {SUCCESS "," NETWORK "," PAYER ",\"txHash\":\"" TX "\"", RECEIPT_SETTLED},

	    {SUCCESS "," PAYER ",\"transaction\":\"" TX "\"", RECEIPT_INCONSISTENT},
	    {SUCCESS ",\"network\":\"eip155:8453\"," PAYER ",\"transaction\":\"" TX "\"",
		RECEIPT_INCONSISTENT},
	    {SUCCESS ",\"network\":\"base\"," PAYER ",\"transaction\":\"" TX "\"",
		RECEIPT_INCONSISTENT},
	    {SUCCESS "," NETWORK ",\"transaction\":\"" TX "\"", RECEIPT_INCONSISTENT},
	    {SUCCESS "," NETWORK ",\"payer\":\"" PAYEE "\",\"transaction\":\"" TX "\"",
		RECEIPT_INCONSISTENT},
	    {SUCCESS "," NETWORK ",\"payer\":\"\",\"transaction\":\"" TX "\"",
		RECEIPT_INCONSISTENT},
	    {SETTLED ",\"amount\":\"9999\"", RECEIPT_INCONSISTENT},
	    {SETTLED ",\"amount\":\"10001\"", RECEIPT_INCONSISTENT},
	    {SETTLED ",\"amount\":\"\"", RECEIPT_INCONSISTENT},
	    {SETTLED ",\"amount\":-10000", RECEIPT_INCONSISTENT},
	    {SETTLED ",\"amount\":10000.0", RECEIPT_INCONSISTENT},
	    {SETTLED ",\"amount\":{}", RECEIPT_INCONSISTENT},
	    {SUCCESS "," NETWORK "," PAYER, RECEIPT_INCONSISTENT},
	    {SUCCESS "," NETWORK "," PAYER ",\"transaction\":\"\"", RECEIPT_INCONSISTENT},
	    {SUCCESS "," NETWORK "," PAYER ",\"transaction\":null", RECEIPT_INCONSISTENT},
	    {SUCCESS "," NETWORK "," PAYER ",\"transaction\":\"0x\"", RECEIPT_INCONSISTENT},
	    {SUCCESS "," NETWORK "," PAYER ",\"transaction\":\"pending\"", RECEIPT_INCONSISTENT},
	    {SUCCESS "," NETWORK "," PAYER ",\"transaction\":\"" TX "0\"", RECEIPT_INCONSISTENT},
	    {SUCCESS "," NETWORK "," PAYER
		     ",\"transaction\":\"0X89c91c789e57059b17285e7ba1716a1f5ff4"
		     "c5dace0ea5a5135f26158d0421b9\"",
		RECEIPT_INCONSISTENT},
	    {SUCCESS "," NETWORK "," PAYER
		     ",\"transaction\":\"0x89c91c789e57059b17285e7ba1716a1f5ff4"
		     "c5dace0ea5a5135f26158d0421bg\"",
		RECEIPT_INCONSISTENT},

	    {"\"success\":false,\"transaction\":\"" TX "\"", RECEIPT_PENDING},
	    {"\"success\":false,\"transaction\":\"anything\"", RECEIPT_PENDING},
	    {"\"success\":false,\"errorReason\":\"settlement_pending\"", RECEIPT_PENDING},
	    {"\"success\":false,\"transaction\":\"" TX "\",\"errorReason\":\"nonce_already_used\"",
		RECEIPT_PENDING},
	    {"\"success\":false", RECEIPT_FAILED},
	    {"\"success\":false,\"transaction\":\"\",\"errorReason\":\"insufficient_funds\"",
		RECEIPT_FAILED},
	    {"\"success\":false,\"errorReason\":\"nonce_already_used_not\"", RECEIPT_FAILED},
	    {"\"success\":false,\"errorReason\":\"settlement_pending_no_more\"", RECEIPT_FAILED},
	    {"\"success\":false,\"errorReason\":\"invalid_exact_evm_nonce_already_used\"",
		RECEIPT_NONCE_USED},
	    {"\"success\":false,\"errorReason\":\"nonce_already_used\"", RECEIPT_NONCE_USED},

	    {"", RECEIPT_MALFORMED},
	    {"\"success\":null", RECEIPT_MALFORMED},
	    {"\"success\":\"true\"", RECEIPT_MALFORMED},
	    {"\"success\":1", RECEIPT_MALFORMED},
	    {"\"Success\":true", RECEIPT_MALFORMED},
	    {SUCCESS "," NETWORK "," PAYER ",\"transaction\":5", RECEIPT_MALFORMED},
	    {SUCCESS "," NETWORK "," PAYER ",\"txHash\":[]", RECEIPT_MALFORMED},
	    {SUCCESS ",\"network\":84532," PAYER ",\"transaction\":\"" TX "\"", RECEIPT_MALFORMED},
	    {SUCCESS "," NETWORK ",\"payer\":{},\"transaction\":\"" TX "\"", RECEIPT_MALFORMED},
	    {"\"success\":false,\"errorReason\":5", RECEIPT_MALFORMED},
	    {SETTLED ",\"success\":true", RECEIPT_MALFORMED},
	    {SETTLED ",", RECEIPT_MALFORMED},
	    {SETTLED "}x{", RECEIPT_MALFORMED},
	};
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		struct receipt receipt;

		read_members(&receipt, *state, rows[i].members);
		if (receipt.outcome != rows[i].outcome)
			fail_msg("%s: %s", rows[i].members, receipt_outcome_str(receipt.outcome));
		receipt_fini(&receipt);
	}
}

static void settled_carries_transaction_and_text(void **state)
{
	struct receipt receipt;

	read_members(&receipt, *state, SETTLED);
	assert_string_equal(receipt.transaction, TX);
	assert_string_equal(receipt.reason, "");
	assert_string_equal(receipt.text, "{" SETTLED "}");
	receipt_fini(&receipt);
	assert_null(receipt.text);
}

static void words_are_cut_and_made_printable(void **state)
{
	char members[1200], long_reason[601], long_transaction[301];
	struct receipt receipt;

	memset(long_reason, 'x', sizeof(long_reason));
	long_reason[sizeof(long_reason) - 1] = '\0';
	memset(long_transaction, 'y', sizeof(long_transaction));
	long_transaction[sizeof(long_transaction) - 1] = '\0';
	snprintf(members, sizeof(members),
	    "\"success\":false,\"errorReason\":\"a\\u0007b\\n\xc3\xa9%s\",\"transaction\":\"%s\"",
	    long_reason, long_transaction);
	read_members(&receipt, *state, members);
	assert_int_equal(receipt.outcome, RECEIPT_PENDING);
	assert_int_equal(strlen(receipt.transaction), RECEIPT_TRANSACTION_MAX);
	assert_int_equal(strlen(receipt.reason), 255);
	assert_memory_equal(receipt.reason, "a?b???x", 7);
	receipt_fini(&receipt);
}

static void first_name_present_is_read(void **state)
{
	char *good = base64_encode("{" SETTLED "}", strlen("{" SETTLED "}"));
	char *bad = base64_encode("{\"success\":false}", strlen("{\"success\":false}"));
	const char *good_two[] = {good, good}, *bad_one[] = {bad}, *junk[] = {"%%%"},
		   *empty[] = {""};
	char padded[1024];
	const char *padded_one[] = {padded};
	struct receipt receipt;

	read_headers(&receipt, *state, NULL, 0, NULL, 0);
	assert_int_equal(receipt.outcome, RECEIPT_ABSENT);
	assert_null(receipt.text);
	receipt_fini(&receipt);
	read_headers(&receipt, *state, NULL, 0, good_two, 1);
	assert_int_equal(receipt.outcome, RECEIPT_SETTLED);
	receipt_fini(&receipt);
	read_headers(&receipt, *state, good_two, 1, bad_one, 1);
	assert_int_equal(receipt.outcome, RECEIPT_SETTLED);
	receipt_fini(&receipt);
	read_headers(&receipt, *state, bad_one, 1, good_two, 1);
	assert_int_equal(receipt.outcome, RECEIPT_FAILED);
	receipt_fini(&receipt);
	/* A bad first name is not rescued by the second; nor is one of two. */
	read_headers(&receipt, *state, junk, 1, good_two, 1);
	assert_int_equal(receipt.outcome, RECEIPT_MALFORMED);
	assert_null(receipt.text);
	assert_string_not_equal(receipt.reason, "");
	receipt_fini(&receipt);
	read_headers(&receipt, *state, empty, 1, good_two, 1);
	assert_int_equal(receipt.outcome, RECEIPT_MALFORMED);
	receipt_fini(&receipt);
	read_headers(&receipt, *state, good_two, 2, NULL, 0);
	assert_int_equal(receipt.outcome, RECEIPT_MALFORMED);
	receipt_fini(&receipt);
	read_headers(&receipt, *state, NULL, 0, good_two, 2);
	assert_int_equal(receipt.outcome, RECEIPT_MALFORMED);
	receipt_fini(&receipt);
	snprintf(padded, sizeof(padded), " %s\t", good);
	read_headers(&receipt, *state, padded_one, 1, NULL, 0);
	assert_int_equal(receipt.outcome, RECEIPT_SETTLED);
	receipt_fini(&receipt);
	free(good);
	free(bad);
}

static void large_deep_and_broken_are_survived(void **state)
{
	enum { BOMB = 12000, LARGE = RECEIPT_SIZE_MAX + 3 };
	static const char text[] = "{" SETTLED "}";
	char *bomb = malloc(LARGE + 1), *header;
	const char *headers[1];
	struct receipt receipt;
	size_t at;

	memset(bomb, '[', BOMB);
	header = base64_encode(bomb, BOMB);
	headers[0] = header;
	read_headers(&receipt, *state, headers, 1, NULL, 0);
	assert_int_equal(receipt.outcome, RECEIPT_MALFORMED);
	receipt_fini(&receipt);
	free(header);
	memset(bomb, ' ', LARGE);
	memcpy(bomb, text, sizeof(text) - 1);
	header = base64_encode(bomb, LARGE);
	headers[0] = header;
	read_headers(&receipt, *state, headers, 1, NULL, 0);
	assert_int_equal(receipt.outcome, RECEIPT_MALFORMED);
	receipt_fini(&receipt);
	free(header);
	header = base64_encode(bomb, RECEIPT_SIZE_MAX);
	headers[0] = header;
	read_headers(&receipt, *state, headers, 1, NULL, 0);
	assert_int_equal(receipt.outcome, RECEIPT_SETTLED);
	receipt_fini(&receipt);
	free(header);
	for (at = 0; at < sizeof(text) - 1; at++) {
		header = base64_encode(text, at);
		headers[0] = header;
		read_headers(&receipt, *state, headers, 1, NULL, 0);
		assert_int_equal(receipt.outcome, RECEIPT_MALFORMED);
		receipt_fini(&receipt);
		free(header);
	}
	free(bomb);
}

static void outcomes_have_names(void **state)
{
	(void)state;
	assert_string_equal(receipt_outcome_str(RECEIPT_SETTLED), "settled");
	assert_string_equal(receipt_outcome_str(RECEIPT_ABSENT), "absent");
	assert_string_equal(receipt_outcome_str(RECEIPT_MALFORMED), "malformed");
	assert_string_equal(receipt_outcome_str(RECEIPT_INCONSISTENT), "inconsistent");
	assert_string_equal(receipt_outcome_str(RECEIPT_PENDING), "pending");
	assert_string_equal(receipt_outcome_str(RECEIPT_FAILED), "failed");
	assert_string_equal(receipt_outcome_str(RECEIPT_NONCE_USED), "nonce_used");
	assert_string_equal(receipt_outcome_str((enum receipt_outcome)99), "unknown");
}

#define bed_test(name) cmocka_unit_test_setup_teardown(name, bed_make, bed_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    bed_test(outcomes_follow_the_members),
	    bed_test(settled_carries_transaction_and_text),
	    bed_test(words_are_cut_and_made_printable),
	    bed_test(first_name_present_is_read),
	    bed_test(large_deep_and_broken_are_survived),
	    cmocka_unit_test(outcomes_have_names),
	};

	return unit_run(tests);
}
