/* wallet/storage.c - Web3 Secret Storage, version 3. */
#include "wallet/storage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/bytes.h"
#include "common/digest.h"
#include "common/json.h"
#include "wallet/cipher.h"

#define KEY_SIZE       32
#define MAC_KEY_SIZE   16 /* the derived key's second half */
#define SALT_SIZE      32 /* what we write */
#define SALT_SIZE_MAX  256
#define UUID_SIZE      16
#define UUID_TEXT_SIZE 37

/* A file's fields, of the right form and within bounds. */
struct envelope {
	uint8_t iv[CIPHER_CTR_IV_SIZE];
	uint8_t ciphertext[KEY_SIZE];
	uint8_t mac[DIGEST_SIZE];
	uint8_t salt[SALT_SIZE_MAX];
	size_t salt_size;
	bool scrypt;
	struct cipher_scrypt cost; /* when scrypt */
	uint32_t rounds;           /* when PBKDF2 */
};

static enum keystore_result bad_file(char reason[256], const char *what)
{
	if (reason != NULL)
		snprintf(reason, 256, "the key file: %.200s", what);
	return KEYSTORE_BAD_FILE;
}

/* A member by its name in any case: early files say "Crypto". */
static json_t *member_any_case(json_t *object, const char *wanted)
{
	const char *key;
	json_t *value;

	json_object_foreach (object, key, value) {
		if (strcasecmp(key, wanted) == 0 && !json_is_null(value))
			return value;
	}
	return NULL;
}

static bool text_is(const json_t *object, const char *key, const char *wanted)
{
	const char *text = json_str(object, key);

	return text != NULL && strcasecmp(text, wanted) == 0;
}

static bool read_u32(uint32_t *out, const json_t *object, const char *key)
{
	const json_t *member = json_member(object, key);
	json_int_t value = json_integer_value(member);

	if (!json_is_integer(member) || value < 1 || value > UINT32_MAX)
		return false;
	*out = (uint32_t)value;
	return true;
}

static bool read_salt(struct envelope *out, const json_t *params)
{
	const char *text = json_str(params, "salt");
	size_t digits;

	if (text == NULL)
		return false;
	digits = strlen(text) - (strncmp(text, "0x", 2) == 0 ? 2 : 0);
	if (digits / 2 > sizeof(out->salt))
		return false;
	out->salt_size = digits / 2;
	return hex_decode(out->salt, out->salt_size, text);
}

static enum keystore_result read_derivation(struct envelope *out, char reason[256],
    const json_t *crypto)
{
	const json_t *params = json_member(crypto, "kdfparams");
	uint32_t n, size;

	if (!read_u32(&size, params, "dklen") || size != CIPHER_KEY_SIZE)
		return bad_file(reason, "kdfparams.dklen is not 32");
	if (!read_salt(out, params))
		return bad_file(reason, "kdfparams.salt is not hex of a fitting length");
	out->scrypt = text_is(crypto, "kdf", "scrypt");
	if (out->scrypt) {
		if (!read_u32(&n, params, "n") || !read_u32(&out->cost.r, params, "r") ||
		    !read_u32(&out->cost.p, params, "p"))
			return bad_file(reason, "kdfparams lacks n, r or p");
		out->cost.n = n;
		if (!cipher_scrypt_fits(&out->cost))
			return bad_file(reason, "scrypt's n, r and p are wrong or cost too much");
		return KEYSTORE_OK;
	}
	if (!text_is(crypto, "kdf", "pbkdf2"))
		return bad_file(reason, "kdf is neither scrypt nor pbkdf2");
	if (!text_is(params, "prf", "hmac-sha256"))
		return bad_file(reason, "kdfparams.prf is not hmac-sha256");
	if (!read_u32(&out->rounds, params, "c") || out->rounds > CIPHER_PBKDF2_ROUNDS_MAX)
		return bad_file(reason, "kdfparams.c is missing or costs too much");
	return KEYSTORE_OK;
}

static enum keystore_result read_envelope(struct envelope *out, char reason[256], json_t *root)
{
	const json_t *crypto = member_any_case(root, "crypto");
	const json_t *version = json_member(root, "version");

	if (!json_is_integer(version) || json_integer_value(version) != 3)
		return bad_file(reason, "not version 3 of Web3 Secret Storage");
	if (!json_is_object(crypto))
		return bad_file(reason, "crypto is missing");
	if (!text_is(crypto, "cipher", "aes-128-ctr"))
		return bad_file(reason, "crypto.cipher is not aes-128-ctr");
	if (!hex_decode(out->iv, sizeof(out->iv),
		json_str(json_member(crypto, "cipherparams"), "iv")))
		return bad_file(reason, "crypto.cipherparams.iv is not 16 bytes of hex");
	if (!hex_decode(out->ciphertext, sizeof(out->ciphertext), json_str(crypto, "ciphertext")))
		return bad_file(reason, "crypto.ciphertext is not 32 bytes of hex");
	if (!hex_decode(out->mac, sizeof(out->mac), json_str(crypto, "mac")))
		return bad_file(reason, "crypto.mac is not 32 bytes of hex");
	return read_derivation(out, reason, crypto);
}

/* With or without 0x; absent is fine, another form is not. */
static enum keystore_result read_claims(struct storage_claims *out, char reason[256],
    const json_t *root)
{
	const json_t *address = json_member(root, "address");

	*out = (struct storage_claims){.has_address = address != NULL};
	if (address != NULL &&
	    !hex_decode(out->address.bytes, ADDRESS_SIZE, json_string_value(address)))
		return bad_file(reason, "address is not 20 bytes of hex");
	return KEYSTORE_OK;
}

static bool derive(uint8_t derived[CIPHER_KEY_SIZE], const struct envelope *envelope,
    const char *password, size_t password_size)
{
	if (envelope->scrypt)
		return cipher_scrypt(derived, password, password_size, envelope->salt,
		    envelope->salt_size, &envelope->cost);
	return cipher_pbkdf2(derived, password, password_size, envelope->salt, envelope->salt_size,
	    envelope->rounds);
}

/* keccak256(second half of the derived key || ciphertext). */
static struct digest mac_of(const uint8_t derived[CIPHER_KEY_SIZE], const uint8_t *ciphertext)
{
	uint8_t input[MAC_KEY_SIZE + KEY_SIZE];
	struct digest mac;

	memcpy(input, derived + CIPHER_CTR_KEY_SIZE, MAC_KEY_SIZE);
	memcpy(input + MAC_KEY_SIZE, ciphertext, KEY_SIZE);
	mac = keccak256(input, sizeof(input));
	bytes_wipe(input, sizeof(input));
	return mac;
}

static enum keystore_result decrypt(uint8_t key[ARENA_SLOT_SIZE], char reason[256],
    struct arena *arena, const struct envelope *envelope, const char *password,
    size_t password_size)
{
	uint8_t *derived = arena_take(arena);
	enum keystore_result result = KEYSTORE_IO;
	struct digest mac;

	if (derived == NULL)
		goto out;
	errno = ENOMEM; /* the only way in which what follows fails */
	if (!derive(derived, envelope, password, password_size))
		goto out;
	mac = mac_of(derived, envelope->ciphertext);
	if (!bytes_equal_ct(mac.bytes, envelope->mac, DIGEST_SIZE)) {
		if (reason != NULL)
			snprintf(reason, 256, "the key file: wrong password (or a damaged file)");
		result = KEYSTORE_BAD_PASSPHRASE;
		goto out;
	}
	if (cipher_ctr(key, derived, envelope->iv, envelope->ciphertext, KEY_SIZE))
		result = KEYSTORE_OK;
out:
	if (result == KEYSTORE_IO && reason != NULL)
		snprintf(reason, 256, "the key file: not enough memory to derive its key");
	arena_give(arena, &derived);
	return result;
}

enum keystore_result storage_open(uint8_t key[ARENA_SLOT_SIZE], struct storage_claims *claims,
    char reason[256], struct arena *arena, const char *json, size_t size, const char *password,
    size_t password_size)
{
	struct envelope envelope = {.salt_size = 0};
	struct storage_claims claimed;
	enum keystore_result result;
	struct json_error bad;
	json_t *root;

	root = json_read(&bad, json, size, STORAGE_SIZE_MAX);
	if (root == NULL)
		return bad_file(reason, bad.reason);
	result = read_envelope(&envelope, reason, root);
	if (result == KEYSTORE_OK)
		result = read_claims(&claimed, reason, root);
	if (result == KEYSTORE_OK)
		result = decrypt(key, reason, arena, &envelope, password, password_size);
	if (result == KEYSTORE_OK)
		*claims = claimed;
	json_decref(root);
	return result;
}

/* A random (version 4) UUID. */
static void make_uuid(char text[UUID_TEXT_SIZE])
{
	uint8_t bytes[UUID_SIZE];
	char hex[2 * UUID_SIZE + 1];

	bytes_random(bytes, sizeof(bytes));
	bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
	bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
	hex_encode(hex, bytes, sizeof(bytes));
	snprintf(text, UUID_TEXT_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
	    hex + 16, hex + 20);
}

static char *write_envelope(const struct envelope *envelope, const struct address *address)
{
	char address_text[ADDRESS_TEXT_SIZE], uuid[UUID_TEXT_SIZE];
	char iv[2 * CIPHER_CTR_IV_SIZE + 1], ciphertext[2 * KEY_SIZE + 1];
	char salt[2 * SALT_SIZE + 1], mac[2 * DIGEST_SIZE + 1];

	make_uuid(uuid);
	return must_format(
	    "{\"address\":\"%s\",\"crypto\":{\"cipher\":\"aes-128-ctr\",\"ciphertext\":\"%s\","
	    "\"cipherparams\":{\"iv\":\"%s\"},\"kdf\":\"scrypt\",\"kdfparams\":{\"dklen\":%d,"
	    "\"n\":%llu,\"p\":%lu,\"r\":%lu,\"salt\":\"%s\"},\"mac\":\"%s\"},\"id\":\"%s\","
	    "\"version\":3}",
	    address_format_lower(address_text, address) + 2,
	    hex_encode(ciphertext, envelope->ciphertext, KEY_SIZE),
	    hex_encode(iv, envelope->iv, sizeof(envelope->iv)), CIPHER_KEY_SIZE,
	    (unsigned long long)envelope->cost.n, (unsigned long)envelope->cost.p,
	    (unsigned long)envelope->cost.r, hex_encode(salt, envelope->salt, SALT_SIZE),
	    hex_encode(mac, envelope->mac, DIGEST_SIZE), uuid);
}

enum keystore_result storage_seal(char **out, struct arena *arena,
    const uint8_t key[ARENA_SLOT_SIZE], const struct address *address, const char *password,
    size_t password_size)
{
	struct envelope envelope = {
		.scrypt = true,
		.cost = {.n = 262144, .r = 8, .p = 1},
		.salt_size = SALT_SIZE,
	};
	uint8_t *derived = arena_take(arena);
	enum keystore_result result = KEYSTORE_IO;
	struct digest mac;

	if (derived == NULL)
		return KEYSTORE_IO;
	bytes_random(envelope.iv, sizeof(envelope.iv));
	bytes_random(envelope.salt, SALT_SIZE);
	errno = ENOMEM; /* the only way in which what follows fails */
	if (derive(derived, &envelope, password, password_size) &&
	    cipher_ctr(envelope.ciphertext, derived, envelope.iv, key, KEY_SIZE)) {
		mac = mac_of(derived, envelope.ciphertext);
		memcpy(envelope.mac, mac.bytes, DIGEST_SIZE);
		*out = write_envelope(&envelope, address);
		result = KEYSTORE_OK;
	}
	arena_give(arena, &derived);
	return result;
}
