/* Web3 Secret Storage: the published vectors, our own round trip, broken files. */
#include "tests/unit/wallet_fixture.h"
#include "wallet/signer.h"
#include "wallet/storage.h"

#define PASSWORD "testpassword"

/* A cheap file (n = 2) of the development key; address is of DEV_KEY. */
#define FILE_WITH(version, crypto_key, cipher, iv, ciphertext, kdf, params, mac, more)             \
	"{\"version\":" version ",\"" crypto_key "\":{\"cipher\":\"" cipher                        \
	"\",\"cipherparams\":{\"iv\":\"" iv "\"},\"ciphertext\":\"" ciphertext                     \
	"\",\"kdf\":\"" kdf "\",\"kdfparams\":{" params "},\"mac\":\"" mac "\"}" more "}"
#define IV     "83dbcc02d8ccb40e466191a123791e0e"
#define TEXT   "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c"
#define MAC    "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097"
#define SALT   "\"salt\":\"ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19\""
#define SCRYPT "\"dklen\":32,\"n\":2,\"r\":8,\"p\":1," SALT
#define PBKDF2 "\"dklen\":32,\"c\":1,\"prf\":\"hmac-sha256\"," SALT

static enum keystore_result open_text(uint8_t *key, struct storage_claims *claims,
    char reason[256], struct arena *arena, const char *text, const char *password)
{
	return storage_open(key, claims, reason, arena, text, strlen(text), password,
	    strlen(password));
}

static void published_vectors_open(void **state)
{
	json_t *vectors = vectors_load("web3-secret-storage.json"), *vector;
	struct arena *arena = arena_new(4);
	size_t i;

	(void)state;
	json_array_foreach (vectors, i, vector) {
		char *text = json_dumps(json_object_get(vector, "json"), 0);
		const char *name = text_of(vector, "name");
		struct storage_claims claims;
		uint8_t key[32], wanted[32];
		char reason[256] = "";

		assert_true(hex_decode(wanted, 32, text_of(vector, "secret")));
		row_check(name, open_text(key, &claims, reason, arena, text,
				    text_of(vector, "password")) == KEYSTORE_OK);
		row_check(name, memcmp(key, wanted, 32) == 0);
		row_check(name, !claims.has_address);
		free(text);
	}
	assert_int_equal(i, 2);
	json_decref(vectors);
	arena_free(&arena);
}

static void sealed_file_opens_again(void **state)
{
	struct address address = address_of(DEV_ADDRESS);
	struct arena *arena = arena_new(4);
	uint8_t key[32], opened[32] = {0};
	struct storage_claims claims;
	char *text = NULL, *other = NULL;
	const char *id;
	json_t *root;

	(void)state;
	assert_true(hex_decode(key, 32, DEV_KEY));
	assert_int_equal(storage_seal(&text, arena, key, &address, "p\xc3\xa4ss", 5), KEYSTORE_OK);
	assert_int_equal(open_text(opened, &claims, NULL, arena, text, "p\xc3\xa4ss"), KEYSTORE_OK);
	assert_memory_equal(opened, key, 32);
	assert_true(claims.has_address && address_equal(&claims.address, &address));
	memset(opened, 0, 32);
	assert_int_equal(open_text(opened, &claims, NULL, arena, text, "pass"),
	    KEYSTORE_BAD_PASSPHRASE);

	root = json_loads(text, 0, NULL);
	assert_string_equal(text_of(root, "address"), "f39fd6e51aad88f6f4ce6ab8827279cfffb92266");
	assert_int_equal(json_integer_value(json_object_get(root, "version")), 3);
	id = text_of(root, "id");
	assert_int_equal(strlen(id), 36);
	assert_true(id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-');
	assert_true(id[14] == '4' && strchr("89ab", id[19]) != NULL);
	json_decref(root);
	/* Salt, iv and id are new each time. */
	assert_int_equal(storage_seal(&other, arena, key, &address, "p\xc3\xa4ss", 5), KEYSTORE_OK);
	assert_string_not_equal(text, other);
	free(text);
	free(other);
	arena_free(&arena);
}

static void broken_files_are_refused(void **state)
{
	static const char *const rows[] = {
	    "", "null", "[]", "{}", "3", "{\"version\":3}", "{\"version\":3,\"crypto\":null}",
	    "{\"version\":3,\"crypto\":[]}", "{\"version\":3,\"crypto\":{}}",
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "scrypt", SCRYPT, MAC, ""  ",}"),
	    FILE_WITH("1", "crypto", "aes-128-ctr", IV, TEXT, "scrypt", SCRYPT, MAC, ""),
	    FILE_WITH("4", "crypto", "aes-128-ctr", IV, TEXT, "scrypt", SCRYPT, MAC, ""),
	    FILE_WITH("\"3\"", "crypto", "aes-128-ctr", IV, TEXT, "scrypt", SCRYPT, MAC, ""),
	    FILE_WITH("3", "krypto", "aes-128-ctr", IV, TEXT, "scrypt", SCRYPT, MAC, ""),
	    FILE_WITH("3", "crypto", "aes-256-ctr", IV, TEXT, "scrypt", SCRYPT, MAC, ""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", "83db", TEXT, "scrypt", SCRYPT, MAC, ""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, "d172", "scrypt", SCRYPT, MAC, ""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT TEXT, "scrypt", SCRYPT, MAC, ""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "scrypt", SCRYPT, "2103", ""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "scrypt", SCRYPT, "zz" MAC, ""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "argon2id", SCRYPT, MAC, ""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "scrypt", "", MAC, ""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "scrypt",
		"\"dklen\":64,\"n\":2,\"r\":8,\"p\":1," SALT, MAC, ""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "scrypt",
		"\"dklen\":32,\"n\":2,\"r\":8,\"p\":1", MAC, ""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "scrypt",
		"\"dklen\":32,\"n\":2,\"r\":8,\"p\":1,\"salt\":\"abc\"", MAC, ""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "scrypt",
		"\"dklen\":32,\"r\":8,\"p\":1," SALT, MAC, ""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "scrypt",
		"\"dklen\":32,\"n\":3,\"r\":8,\"p\":1," SALT, MAC, ""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "scrypt",
		"\"dklen\":32,\"n\":0,\"r\":8,\"p\":1," SALT, MAC, ""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "scrypt",
		"\"dklen\":32,\"n\":-2,\"r\":8,\"p\":1," SALT, MAC, ""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "scrypt",
		"\"dklen\":32,\"n\":2.0,\"r\":8,\"p\":1," SALT, MAC, ""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "scrypt",
		"\"dklen\":32,\"n\":\"2\",\"r\":8,\"p\":1," SALT, MAC, ""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "scrypt",
		"\"dklen\":32,\"n\":1073741824,\"r\":8,\"p\":1," SALT, MAC, ""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "scrypt",
		"\"dklen\":32,\"n\":9223372036854775807,\"r\":8,\"p\":1," SALT, MAC, ""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "scrypt",
		"\"dklen\":32,\"n\":2,\"r\":4294967295,\"p\":4294967295," SALT, MAC, ""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "pbkdf2",
		"\"dklen\":32,\"c\":1,\"prf\":\"hmac-sha1\"," SALT, MAC, ""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "pbkdf2",
		"\"dklen\":32,\"prf\":\"hmac-sha256\"," SALT, MAC, ""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "pbkdf2",
		"\"dklen\":32,\"c\":0,\"prf\":\"hmac-sha256\"," SALT, MAC, ""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "pbkdf2",
		"\"dklen\":32,\"c\":10000001,\"prf\":\"hmac-sha256\"," SALT, MAC, ""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "scrypt", SCRYPT, MAC,
		",\"address\":\"f39f\""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "scrypt", SCRYPT, MAC,
		",\"address\":7"),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "scrypt", SCRYPT, MAC,
		",\"version\":3"),
	};
	struct arena *arena = arena_new(4);
	struct storage_claims claims;
	uint8_t key[32] = {7};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		char reason[256] = "";

		row_check(rows[i],
		    open_text(key, &claims, reason, arena, rows[i], PASSWORD) == KEYSTORE_BAD_FILE);
		row_check(rows[i], reason[0] != '\0' && key[0] == 7);
		(void)!open_text(key, &claims, NULL, arena, rows[i], PASSWORD);
	}
	arena_free(&arena);
}

/* Sound files whose MAC is another password's; spellings that other wallets use. */
static void wrong_password_is_told_apart(void **state)
{
	static const char *const rows[] = {
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "scrypt", SCRYPT, MAC, ""),
	    FILE_WITH("3", "Crypto", "aes-128-ctr", "0x" IV, "0x" TEXT, "scrypt", SCRYPT, MAC,
		",\"address\":null,\"id\":7"),
	    FILE_WITH("3", "CRYPTO", "AES-128-CTR", IV, TEXT, "pbkdf2", PBKDF2, MAC,
		",\"address\":\"0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\""),
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "PBKDF2", PBKDF2, MAC,
		",\"address\":\"f39Fd6e51aad88F6F4ce6aB8827279cffFb92266\""),
	};
	struct arena *arena = arena_new(4);
	struct storage_claims claims;
	uint8_t key[32];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		char reason[256] = "";

		row_check(rows[i], open_text(key, &claims, reason, arena, rows[i], PASSWORD) ==
				       KEYSTORE_BAD_PASSPHRASE);
		row_check(rows[i], reason[0] != '\0');
		row_check(rows[i], open_text(key, &claims, reason, arena, rows[i], "") ==
				       KEYSTORE_BAD_PASSPHRASE);
	}
	arena_free(&arena);
}

static void deep_large_and_mutilated_files_are_survived(void **state)
{
	static const char text[] =
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "scrypt", SCRYPT, MAC, "");
	static const char bytes[] = {'\0', '"', '{', '}', '9', (char)0xff};
	char *large = malloc(STORAGE_SIZE_MAX + 1), copy[sizeof(text)];
	struct arena *arena = arena_new(4);
	struct storage_claims claims;
	uint8_t key[32];
	size_t at, i;

	(void)state;
	memset(large, '[', STORAGE_SIZE_MAX + 1);
	assert_int_equal(storage_open(key, &claims, NULL, arena, large, STORAGE_SIZE_MAX, "", 0),
	    KEYSTORE_BAD_FILE);
	memset(large, ' ', STORAGE_SIZE_MAX + 1);
	memcpy(large, text, sizeof(text) - 1);
	assert_int_equal(storage_open(key, &claims, NULL, arena, large, STORAGE_SIZE_MAX, "", 0),
	    KEYSTORE_BAD_PASSPHRASE);
	assert_int_equal(
	    storage_open(key, &claims, NULL, arena, large, STORAGE_SIZE_MAX + 1, "", 0),
	    KEYSTORE_BAD_FILE);
	free(large);
	for (at = 0; at < sizeof(text) - 1; at++) {
		assert_int_equal(storage_open(key, &claims, NULL, arena, text, at, "", 0),
		    KEYSTORE_BAD_FILE);
		for (i = 0; i < sizeof(bytes); i++) {
			memcpy(copy, text, sizeof(text));
			copy[at] = bytes[i];
			assert_int_not_equal(
			    storage_open(key, &claims, NULL, arena, copy, sizeof(text) - 1, "", 0),
			    KEYSTORE_OK);
		}
	}
	arena_free(&arena);
}

static void full_arena_is_an_io_error(void **state)
{
	static const char text[] =
	    FILE_WITH("3", "crypto", "aes-128-ctr", IV, TEXT, "scrypt", SCRYPT, MAC, "");
	struct address address = address_of(DEV_ADDRESS);
	struct arena *arena = arena_new(1);
	static uint8_t *slots[ARENA_STEP_SLOTS];
	struct storage_claims claims;
	char reason[256] = "", *out = NULL;
	uint8_t key[32] = {1};
	size_t i;

	(void)state;
	for (i = 0; i < ARENA_STEP_SLOTS; i++)
		slots[i] = arena_take(arena);
	assert_int_equal(open_text(key, &claims, reason, arena, text, ""), KEYSTORE_IO);
	assert_string_not_equal(reason, "");
	assert_int_equal(storage_seal(&out, arena, key, &address, "", 0), KEYSTORE_IO);
	assert_null(out);
	for (i = 0; i < ARENA_STEP_SLOTS; i++)
		arena_give(arena, &slots[i]);
	arena_free(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(published_vectors_open),
	    cmocka_unit_test(sealed_file_opens_again),
	    cmocka_unit_test(broken_files_are_refused),
	    cmocka_unit_test(wrong_password_is_told_apart),
	    cmocka_unit_test(deep_large_and_mutilated_files_are_survived),
	    cmocka_unit_test(full_arena_is_an_io_error),
	};

	return unit_run(tests);
}
