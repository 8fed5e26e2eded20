/* EIP-3009 cancellations, against viem's. */
#include "tests/unit/wallet_fixture.h"
#include "wallet/cancellation.h"

#define TYPE     "CancelAuthorization(address authorizer,bytes32 nonce)"
#define TYPEHASH "0x158b0a9edf7a828aad02f63cd515c68ef2f50ba807396f6d12842833a1597429"

struct bed {
	void *folder;
	struct keystore *keystore;
	struct assets *assets;
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
	bed->assets = assets_new();
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

static void the_type_is_the_standards(void **state)
{
	struct digest hash = keccak256(TYPE, strlen(TYPE));
	json_t *vectors = vectors_load("cancellation.json");
	char text[2 * DIGEST_SIZE + 3];

	(void)state;
	hex_encode_0x(text, hash.bytes, DIGEST_SIZE);
	assert_string_equal(text, TYPEHASH);
	assert_string_equal(text, text_of(vectors, "typehash"));
	json_decref(vectors);
}

/* The table's row, found by what the vector's domain names. */
static const struct asset *asset_of(const struct bed *bed, const json_t *row)
{
	const json_t *domain = json_object_get(row, "domain");
	struct address contract = address_of(text_of(domain, "verifyingContract"));
	const struct asset *asset = assets_find(bed->assets,
	    (uint64_t)json_integer_value(json_object_get(domain, "chainId")), &contract);

	assert_non_null(asset);
	assert_string_equal(asset->domain_name, text_of(domain, "name"));
	assert_string_equal(asset->domain_version, text_of(domain, "version"));
	return asset;
}

static void digests_and_calls_are_viems(void **state)
{
	json_t *vectors = vectors_load("cancellation.json"), *row;
	struct bed *bed = *state;
	size_t i;

	json_array_foreach (json_object_get(vectors, "cancellations"), i, row) {
		const struct asset *asset = asset_of(bed, row);
		struct cancellation cancellation = {
		    .authorizer = address_of(text_of(row, "authorizer"))};
		uint8_t call[CANCELLATION_CALL_SIZE];
		char text[2 * CANCELLATION_CALL_SIZE + 3];
		struct digest digest;

		assert_true(hex_decode(cancellation.nonce, 32, text_of(row, "nonce")));
		digest = cancellation_digest(&cancellation, &asset->domain_separator);
		hex_encode_0x(text, digest.bytes, DIGEST_SIZE);
		assert_string_equal(text, text_of(row, "digest"));
		assert_int_equal(
		    cancellation_sign(call, bed->keystore, "dev", asset, &cancellation),
		    KEYSTORE_OK);
		hex_encode_0x(text, call, sizeof(call));
		assert_string_equal(text, text_of(row, "call"));
	}
	assert_true(i >= 12);
	json_decref(vectors);
}

static void only_the_authorizers_key_signs(void **state)
{
	struct bed *bed = *state;
	struct cancellation cancellation = {.authorizer = address_of(PAYEE)};
	const struct asset *asset = assets_default(bed->assets, "eip155:84532");
	uint8_t call[CANCELLATION_CALL_SIZE] = {0x5a};

	assert_int_equal(cancellation_sign(call, bed->keystore, "dev", asset, &cancellation),
	    KEYSTORE_BAD_KEY);
	cancellation.authorizer = address_of(DEV_ADDRESS);
	assert_int_equal(cancellation_sign(call, bed->keystore, "nobody", asset, &cancellation),
	    KEYSTORE_NOT_FOUND);
	assert_int_equal(call[0], 0x5a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_type_is_the_standards),
	    cmocka_unit_test(digests_and_calls_are_viems),
	    cmocka_unit_test(only_the_authorizers_key_signs),
	};

	return cmocka_run_group_tests(tests, bed_make, bed_remove);
}
