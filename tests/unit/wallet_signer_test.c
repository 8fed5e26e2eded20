/* Signatures: RFC 6979 and low s, byte for byte as two other implementations. */
#include "tests/unit/wallet_fixture.h"
#include "wallet/payment.h"
#include "wallet/eip712.h"
#include "wallet/signer.h"

/* The order of the curve, and one less: the largest key. */
#define ORDER     "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
#define ORDER_1   "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140"
#define ZERO      "0000000000000000000000000000000000000000000000000000000000000000"
#define ONE       "0000000000000000000000000000000000000000000000000000000000000001"

static void read_authorization(struct authorization *out, const json_t *vector)
{
	const json_t *from = json_object_get(vector, "authorization");

	out->from = address_of(text_of(from, "from"));
	out->to = address_of(text_of(from, "to"));
	assert_true(uint256_parse(&out->value, text_of(from, "value")));
	out->valid_after_s = (uint64_t)json_integer_value(json_object_get(from, "validAfter"));
	out->valid_before_s = (uint64_t)json_integer_value(json_object_get(from, "validBefore"));
	assert_true(hex_decode(out->nonce, sizeof(out->nonce), text_of(from, "nonce")));
}

static void vectors_come_out_byte_for_byte(void **state)
{
	json_t *vectors = vectors_load("eip3009.json"), *vector;
	struct signer *signer = signer_new();
	size_t i;

	(void)state;
	json_array_foreach (vectors, i, vector) {
		const json_t *domain = json_object_get(vector, "domain");
		const char *name = text_of(vector, "name");
		struct address contract = address_of(text_of(domain, "verifyingContract")), who;
		uint8_t key[SIGNER_KEY_SIZE], signature[SIGNER_SIGNATURE_SIZE];
		uint8_t wanted[SIGNER_SIGNATURE_SIZE];
		struct digest separator, digest, wanted_digest;
		struct authorization authorization;

		read_authorization(&authorization, vector);
		separator = eip712_domain(text_of(domain, "name"), text_of(domain, "version"),
		    (uint64_t)json_integer_value(json_object_get(domain, "chainId")), &contract);
		digest = authorization_digest(&authorization, &separator);
		assert_true(
		    hex_decode(wanted_digest.bytes, DIGEST_SIZE, text_of(vector, "digest")));
		row_check(name, memcmp(&digest, &wanted_digest, sizeof(digest)) == 0);
		assert_true(hex_decode(wanted, sizeof(wanted), text_of(vector, "signature")));
		row_check(name, signer_recover(&who, signer, wanted, &digest));
		row_check(name, address_equal(&who, &authorization.from));
		if (json_is_null(json_object_get(vector, "key")))
			continue;
		assert_true(hex_decode(key, sizeof(key), text_of(vector, "key")));
		row_check(name, signer_sign(signature, signer, key, &digest));
		row_check(name, memcmp(signature, wanted, sizeof(wanted)) == 0);
	}
	assert_true(i >= 6);
	json_decref(vectors);
	signer_free(&signer);
	assert_null(signer);
}

/* typehash of EIP-3009 as the specification prints it. */
static void type_of_the_message_is_the_standards(void **state)
{
	uint8_t word[EIP712_WORD_SIZE], wanted[EIP712_WORD_SIZE];

	(void)state;
	eip712_put_hash(word,
	    "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,"
	    "uint256 validBefore,bytes32 nonce)");
	assert_true(hex_decode(wanted, sizeof(wanted),
	    "7c7c6cdb67a18743f49ec6fa9b35f50d52ed05cbed4cc592e13b44501c1a2267"));
	assert_memory_equal(word, wanted, sizeof(wanted));
}

static void keys_are_checked(void **state)
{
	static const struct {
		const char *key;
		const char *address; /* NULL: no key */
	} rows[] = {
	    {DEV_KEY, DEV_ADDRESS},
	    {ONE, "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"},
	    {ORDER_1, "0x80C0dbf239224071c59dD8970ab9d542E3414aB2"},
	    {ZERO, NULL},
	    {ORDER, NULL},
	    {"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", NULL},
	};
	struct signer *signer = signer_new();
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		uint8_t key[SIGNER_KEY_SIZE], signature[SIGNER_SIGNATURE_SIZE] = {7};
		struct digest digest = keccak256("x", 1);
		struct address address = {{7}};
		bool good = rows[i].address != NULL;

		assert_true(hex_decode(key, sizeof(key), rows[i].key));
		row_check(rows[i].key, signer_address(&address, signer, key) == good);
		row_check(rows[i].key, signer_sign(signature, signer, key, &digest) == good);
		if (good) {
			struct address wanted = address_of(rows[i].address);

			row_check(rows[i].key, address_equal(&address, &wanted));
		} else {
			row_check(rows[i].key, address.bytes[0] == 7 && signature[0] == 7);
		}
	}
	signer_free(&signer);
	signer_free(&signer);
}

static void every_signature_is_low_and_recovers(void **state)
{
	struct signer *signer = signer_new();
	uint8_t key[SIGNER_KEY_SIZE], half[32];
	struct address wanted = address_of(DEV_ADDRESS), who;
	unsigned seen[2] = {0, 0};
	int i;

	(void)state;
	assert_true(hex_decode(key, sizeof(key), DEV_KEY));
	assert_true(hex_decode(half, sizeof(half),
	    "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0"));
	for (i = 0; i < 64; i++) {
		struct digest digest = keccak256(&i, sizeof(i));
		uint8_t signature[SIGNER_SIGNATURE_SIZE];

		assert_true(signer_sign(signature, signer, key, &digest));
		assert_true(memcmp(signature + 32, half, sizeof(half)) <= 0);
		assert_true(signature[64] == 27 || signature[64] == 28);
		seen[signature[64] - 27]++;
		assert_true(signer_recover(&who, signer, signature, &digest));
		assert_true(address_equal(&who, &wanted));
		/* Another message: another signer, or none. */
		digest.bytes[31] ^= 1;
		if (signer_recover(&who, signer, signature, &digest))
			assert_false(address_equal(&who, &wanted));
	}
	assert_true(seen[0] > 0 && seen[1] > 0);
	signer_free(&signer);
}

static void bad_signatures_recover_to_nothing(void **state)
{
	struct signer *signer = signer_new();
	struct digest digest = keccak256("x", 1);
	uint8_t key[SIGNER_KEY_SIZE], good[SIGNER_SIGNATURE_SIZE], bad[SIGNER_SIGNATURE_SIZE];
	static const uint8_t recoveries[] = {0, 1, 26, 29, 30, 37, 255};
	struct address who = {{7}};
	size_t i;

	(void)state;
	assert_true(hex_decode(key, sizeof(key), DEV_KEY));
	assert_true(signer_sign(good, signer, key, &digest));
	for (i = 0; i < COUNT(recoveries); i++) {
		memcpy(bad, good, sizeof(bad));
		bad[64] = recoveries[i];
		assert_false(signer_recover(&who, signer, bad, &digest));
	}
	memcpy(bad, good, sizeof(bad));
	memset(bad, 0xff, 32);
	assert_false(signer_recover(&who, signer, bad, &digest));
	memcpy(bad, good, sizeof(bad));
	memset(bad + 32, 0xff, 32);
	assert_false(signer_recover(&who, signer, bad, &digest));
	memset(bad, 0, 64);
	assert_false(signer_recover(&who, signer, bad, &digest));
	assert_int_equal(who.bytes[0], 7);
	signer_free(&signer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(vectors_come_out_byte_for_byte),
	    cmocka_unit_test(type_of_the_message_is_the_standards),
	    cmocka_unit_test(keys_are_checked),
	    cmocka_unit_test(every_signature_is_low_and_recovers),
	    cmocka_unit_test(bad_signatures_recover_to_nothing),
	};

	return unit_run(tests);
}
