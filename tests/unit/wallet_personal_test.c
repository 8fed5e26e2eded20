/* wallet_personal_test - text signed as viem signs it; every other spelling of a signature. */
#include "tests/unit/wallet_fixture.h"

#include "common/file.h"
#include "wallet/personal.h"

/* Made with viem 2 (privateKeyToAccount(0x46…46).signMessage). */
#define KEY     "4646464646464646464646464646464646464646464646464646464646464646"
#define ADDRESS "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F"

static const struct {
	const char *text, *signature;
} vectors[] = {
    {"", "0xff65394fc6cc70eee8e5ee1160dfa355a0484ad2988b65d01aee4bf58288958f082ce5e2c2d9d49130a"
	 "2b1e8d01850cc00b0f17637f029570420e5a4a8d724fd1c"},
    {"hello",
	"0xf63c93dc642a4839770b35abf9cb304ac2f1b5463d9a9abd87546feaa0af992e659cf087c433e45c45f6"
	"135cb819ab1922c6359dbb1b8c8d7a54141de2cd4beb1b"},
    {"tallyward dispute 1",
	"0x08dc1201b5b780ba3a49d7952ef155163317a79ecc97b37c36360bdc47a854dc421f02f591f25756171f"
	"e2d958c5893361c72d9c8cba77aeecb50d1aa32afd671c"},
    {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
	"0x02c296e4762d7ac01df44cf936a996cfb40b6e9c5240ec2c23009e92fb3169d473c7bfeb537a19d5bd92"
	"9734acb660947bc2867a3b2f172fe179a989d59402c71b"},
};

static void known_answers(void **state)
{
	struct digest digest = personal_digest("hello", 5);
	char hex[2 * DIGEST_SIZE + 3];

	(void)state;
	assert_string_equal(hex_encode_0x(hex, digest.bytes, DIGEST_SIZE),
	    "0x50b2c43fd39106bafbba0da34fc430e1f91e3c96ea2acee2bc34119f92b37750");
	for (size_t i = 0; i < COUNT(vectors); i++) {
		const char *text = vectors[i].text;
		struct address wanted = address_of(ADDRESS), who;

		row_check(text, personal_recover(&who, vectors[i].signature, text, strlen(text)));
		row_check(text, address_equal(&who, &wanted));
		/* Another text is somebody else's, or nobody's. */
		row_check(text, !personal_recover(&who, vectors[i].signature, "x", 1) ||
				    !address_equal(&who, &wanted));
	}
}

static void signs_as_the_others(void **state)
{
	char *dir = file_path(*state, "keys");
	struct keystore *keystore = NULL;
	char signature[PERSONAL_SIGNATURE_SIZE] = "untouched";
	struct address address;

	assert_int_equal(keystore_create(dir, "p", 1, PASSPHRASE_CHOSEN), KEYSTORE_OK);
	assert_int_equal(keystore_open(&keystore, NULL, dir, "p", 1), KEYSTORE_OK);
	assert_int_equal(personal_sign(signature, keystore, "nobody", "x", 1), KEYSTORE_NOT_FOUND);
	assert_string_equal(signature, "untouched");
	assert_int_equal(
	    keystore_import_hex(&address, NULL, keystore, "signer", KEY, strlen(KEY), false),
	    KEYSTORE_OK);
	for (size_t i = 0; i < COUNT(vectors); i++) {
		const char *text = vectors[i].text;

		assert_int_equal(
		    personal_sign(signature, keystore, "signer", text, strlen(text)), KEYSTORE_OK);
		assert_string_equal(signature, vectors[i].signature);
	}
	/* The installation's was made with the store; its file is none an agent's could be. */
	assert_int_equal(
	    personal_sign(signature, keystore, KEYSTORE_INSTALLATION, "x", 1), KEYSTORE_OK);
	assert_true(personal_recover(&address, signature, "x", 1));
	free(dir);
	dir = must_format("%s/keys/=40installation.key", (const char *)*state);
	assert_int_equal(access(dir, F_OK), 0);
	keystore_close(&keystore);
	free(dir);
}

static void one_spelling_each(void **state)
{
	struct address wanted = address_of(ADDRESS), who;
	const char *good = vectors[1].signature;
	char bent[PERSONAL_SIGNATURE_SIZE + 1];

	(void)state;
	/* Every byte, every value. */
	for (size_t i = 0; i < strlen(good); i++) {
		for (int c = 1; c < 256; c++) {
			if ((char)c == good[i])
				continue;
			memcpy(bent, good, strlen(good) + 1);
			bent[i] = (char)c;
			if (personal_recover(&who, bent, "hello", 5) &&
			    address_equal(&who, &wanted))
				fail_msg("%s", bent);
		}
	}
	assert_false(personal_recover(&who, NULL, "hello", 5));
	assert_false(personal_recover(&who, "", "hello", 5));
	assert_false(personal_recover(&who, good + 2, "hello", 5));
	snprintf(bent, sizeof(bent), "%s0", good);
	assert_false(personal_recover(&who, bent, "hello", 5));
	memcpy(bent, good, strlen(good));
	bent[strlen(good) - 1] = '\0';
	assert_false(personal_recover(&who, bent, "hello", 5));
}

/* n - s and the other v: as good to a curve, and refused. */
static void high_s_is_refused(void **state)
{
	static const uint8_t order[32] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0,
	    0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41};
	char bent[PERSONAL_SIGNATURE_SIZE];
	struct address who;
	uint8_t bytes[65];
	int borrow = 0;

	(void)state;
	assert_true(hex_decode(bytes, sizeof(bytes), vectors[1].signature));
	for (int i = 31; i >= 0; i--) {
		int digit = order[i] - bytes[32 + i] - borrow;

		borrow = digit < 0;
		bytes[32 + i] = (uint8_t)(digit + 256 * borrow);
	}
	bytes[64] = (uint8_t)(27 + 28 - bytes[64]);
	assert_false(personal_recover(&who, hex_encode_0x(bent, bytes, sizeof(bytes)), "hello", 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(known_answers),
	    cmocka_unit_test_setup_teardown(
		signs_as_the_others, unit_folder_make, unit_folder_remove),
	    cmocka_unit_test(one_spelling_each),
	    cmocka_unit_test(high_s_is_refused),
	};

	return unit_run(tests);
}
