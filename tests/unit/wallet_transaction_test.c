/* Transactions of type 2, against viem's, byte for byte. */
#include "tests/unit/wallet_fixture.h"
#include "wallet/signer.h"
#include "wallet/transaction.h"

struct bed {
	void *folder;
	struct keystore *keystore;
};

static int bed_make(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	struct address address;

	if (unit_folder_make(&bed->folder) != 0 ||
	    keystore_create(bed->folder, "pw", 2, PASSPHRASE_CHOSEN) != KEYSTORE_OK ||
	    keystore_open(&bed->keystore, NULL, bed->folder, "pw", 2) != KEYSTORE_OK ||
	    keystore_import_hex(&address, NULL, bed->keystore, "dev", DEV_KEY, strlen(DEV_KEY),
		false) != KEYSTORE_OK)
		return -1;
	*state = bed;
	return 0;
}

static int bed_remove(void **state)
{
	struct bed *bed = *state;
	int result;

	keystore_close(&bed->keystore);
	result = unit_folder_remove(&bed->folder);
	free(bed);
	return result;
}

static uint64_t number_of(const json_t *row, const char *key)
{
	const json_t *value = json_object_get(row, key);
	const char *text = json_is_string(value) ? json_string_value(value) : NULL;
	char *end;
	uint64_t number;

	if (text == NULL)
		fail_msg("the vectors lack %s", key);
	number = strtoull(text, &end, 10);
	assert_int_equal(*end, '\0');
	return number;
}

static struct transaction transaction_of(const json_t *row, uint8_t data[TRANSACTION_DATA_MAX])
{
	const char *text = text_of(row, "data");
	struct transaction transaction = {
	    .chain_id = number_of(row, "chainId"),
	    .count = number_of(row, "nonce"),
	    .gas_limit = number_of(row, "gas"),
	    .to = address_of(text_of(row, "to")),
	    .data = data,
	    .data_size = (strlen(text) - 2) / 2,
	};

	assert_true(uint256_parse(&transaction.priority_fee, text_of(row, "maxPriorityFeePerGas")));
	assert_true(uint256_parse(&transaction.fee_max, text_of(row, "maxFeePerGas")));
	assert_true(transaction.data_size <= TRANSACTION_DATA_MAX);
	assert_true(hex_decode(data, transaction.data_size, text));
	return transaction;
}

static void signed_bytes_are_viems(void **state)
{
	json_t *vectors = vectors_load("cancellation.json"), *row;
	struct address signer = address_of(DEV_ADDRESS);
	struct bed *bed = *state;
	size_t i;

	json_array_foreach (json_object_get(vectors, "transactions"), i, row) {
		uint8_t data[TRANSACTION_DATA_MAX];
		char text[2 * TRANSACTION_RAW_MAX + 3];
		struct transaction transaction = transaction_of(row, data);
		struct transaction_signed made;
		struct digest digest = transaction_digest(&transaction);

		print_message("%s\n", text_of(row, "name"));
		hex_encode_0x(text, digest.bytes, DIGEST_SIZE);
		assert_string_equal(text, text_of(row, "digest"));
		assert_int_equal(
		    transaction_sign(&made, bed->keystore, "dev", &signer, &transaction),
		    KEYSTORE_OK);
		hex_encode_0x(text, made.raw, made.size);
		assert_string_equal(text, text_of(row, "raw"));
		hex_encode_0x(text, made.hash.bytes, DIGEST_SIZE);
		assert_string_equal(text, text_of(row, "hash"));
	}
	assert_true(i >= 15);
	json_decref(vectors);
}

static void largest_fields_fit(void **state)
{
	uint8_t data[TRANSACTION_DATA_MAX];
	struct address signer = address_of(DEV_ADDRESS);
	struct transaction transaction = {
	    .chain_id = UINT64_MAX,
	    .count = UINT64_MAX,
	    .gas_limit = UINT64_MAX,
	    .to = signer,
	    .data = data,
	    .data_size = sizeof(data),
	};
	struct transaction_signed made;
	struct bed *bed = *state;

	memset(data, 0xff, sizeof(data));
	memset(transaction.priority_fee.be, 0xff, 32);
	memset(transaction.fee_max.be, 0xff, 32);
	assert_int_equal(transaction_sign(&made, bed->keystore, "dev", &signer, &transaction),
	    KEYSTORE_OK);
	assert_in_range(made.size, TRANSACTION_DATA_MAX, TRANSACTION_RAW_MAX);
}

static void what_is_signed_covers_every_field(void **state)
{
	uint8_t data[2] = {1, 2}, other[2] = {1, 3};
	struct transaction first = {
	    .chain_id = 1, .count = 2, .gas_limit = 3, .data = data, .data_size = 2};
	struct transaction rows[7];
	struct digest digest = transaction_digest(&first);
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++)
		rows[i] = first;
	rows[0].chain_id++;
	rows[1].count++;
	rows[2].gas_limit++;
	rows[3].priority_fee.be[31]++;
	rows[4].fee_max.be[31]++;
	rows[5].to.bytes[0]++;
	rows[6].data = other;
	for (i = 0; i < COUNT(rows); i++) {
		struct digest changed = transaction_digest(&rows[i]);

		assert_memory_not_equal(changed.bytes, digest.bytes, DIGEST_SIZE);
	}
}

static void only_the_signers_key_signs(void **state)
{
	struct transaction transaction = {.chain_id = 1, .gas_limit = 21000};
	struct address dev = address_of(DEV_ADDRESS), other = address_of(PAYEE);
	struct transaction_signed made;
	struct bed *bed = *state;

	memset(&made, 0x5a, sizeof(made));
	assert_int_equal(transaction_sign(&made, bed->keystore, "nobody", &dev, &transaction),
	    KEYSTORE_NOT_FOUND);
	assert_int_equal(
	    transaction_sign(&made, bed->keystore, "dev", &other, &transaction), KEYSTORE_BAD_KEY);
	assert_int_equal(made.raw[0], 0x5a);
}

static void too_much_data_is_our_own_bug(void **state)
{
	uint8_t data[TRANSACTION_DATA_MAX + 1] = {0};
	struct transaction transaction = {.data = data, .data_size = sizeof(data)};
	struct digest digest;

	(void)state;
	assert_aborts(digest = transaction_digest(&transaction); (void)digest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(signed_bytes_are_viems),
	    cmocka_unit_test(largest_fields_fit),
	    cmocka_unit_test(what_is_signed_covers_every_field),
	    cmocka_unit_test(only_the_signers_key_signs),
	    cmocka_unit_test(too_much_data_is_our_own_bug),
	};

	return cmocka_run_group_tests(tests, bed_make, bed_remove);
}
