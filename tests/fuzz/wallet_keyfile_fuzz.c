/* Key files: ours of the data key and of agents, and Web3 Secret Storage as other wallets write
 * it. What opens gives the key that was put in, and nothing that is dear to derive is derived
 * here: what costs more than WORK_MAX and is allowed is passed over.
 *
 * The first byte: 'd' a data key's file, 'a' an agent's, 'v' Web3 Secret Storage; 'D', 'A', 'V'
 * and 'W' (PBKDF2) pairs of bytes, each of them a place and a byte to put there in a good file;
 * 'n' two agents' names, parted by a newline. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/bytes.h"
#include "common/json.h"
#include "tests/fuzz/fuzz.h"
#include "wallet/cipher.h"
#include "wallet/keyfile.h"
#include "wallet/storage.h"

#define WORK_MAX   64u /* n * r * p, and rounds of PBKDF2 */
#define PASSPHRASE "correct horse"
#define AGENT      "researcher"

static const uint8_t data_key[ARENA_SLOT_SIZE] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
/* The first key of the well-known development mnemonic. */
static const char agent_key[] = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
static const char agent_address[] = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";

static const char good_data[] =
    "{\"version\":1,\"kdf\":\"scrypt\",\"kdfparams\":{\"n\":2,\"r\":1,\"p\":1,\"salt\":\""
    "0707070707070707070707070707070707070707070707070707070707070707\"},\"cipher\":\"aes"
    "-256-gcm\",\"nonce\":\"090909090909090909090909\",\"ciphertext\":\"e625a800db9aabb3a"
    "9c2cc2f0fe99536e1713c0cfb3df96dac67e89993e5b4e4\",\"tag\":\"96e8c42c2695c0891df04c33"
    "1a368c0f\",\"checksum\":\"d14aaf8853e284dea26f75ed77c4af814410c9b35a899b0520427e42aa"
    "c7cf69\"}";
static const char good_agent[] =
    "{\"version\":1,\"address\":\"0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\",\"cipher\""
    ":\"aes-256-gcm\",\"nonce\":\"090909090909090909090909\",\"ciphertext\":\"1f117c85440"
    "55447baad964d79ae445b72be6b5691eb1e49bd8f2f1067c574c7\",\"tag\":\"27c85015ebee812fa6"
    "4dd181774a08bd\"}";
static const char good_scrypt[] =
    "{\"address\":\"f39fd6e51aad88f6f4ce6ab8827279cfffb92266\",\"crypto\":{\"cipher\":\"a"
    "es-128-ctr\",\"ciphertext\":\"2ee9c2e3795cae82510e7b3d0cae54c936ae15f4c12552a36a4cc7"
    "7b3e931779\",\"cipherparams\":{\"iv\":\"05050505050505050505050505050505\"},\"kdf\":"
    "\"scrypt\",\"kdfparams\":{\"dklen\":32,\"n\":2,\"p\":1,\"r\":1,\"salt\":\"0707070707"
    "070707070707070707070707070707070707070707070707070707\"},\"mac\":\"7cbbca0ad7458f0f"
    "020ff05d69d8083ae908f8d96f781dba21c9592e901957d7\"},\"id\":\"3198bc9c-6672-5ab3-d995"
    "-4942343ae5b6\",\"version\":3}";
static const char good_pbkdf2[] =
    "{\"address\":\"f39fd6e51aad88f6f4ce6ab8827279cfffb92266\",\"crypto\":{\"cipher\":\"a"
    "es-128-ctr\",\"ciphertext\":\"c57cd0cef830d30c448a63fdbd7f844368669fc0e1988ee4085db1"
    "b0d529e6a7\",\"cipherparams\":{\"iv\":\"05050505050505050505050505050505\"},\"kdf\":"
    "\"pbkdf2\",\"kdfparams\":{\"dklen\":32,\"c\":2,\"prf\":\"hmac-sha256\",\"salt\":\"07"
    "07070707070707070707070707070707070707070707070707070707070707\"},\"mac\":\"7b853b9f"
    "2bca2ad7480ac8e75617db084df86066210b88d6d326b324ae6f2505\"},\"id\":\"3198bc9c-6672-5"
    "ab3-d995-4942343ae5b6\",\"version\":3}";

/* Keys, once more than one is needed: it is wiped and made again by nobody. */
static struct arena *arena;

static bool params_dear(json_t *params)
{
	json_int_t n = json_integer_value(json_object_get(params, "n"));
	json_int_t r = json_integer_value(json_object_get(params, "r"));
	json_int_t p = json_integer_value(json_object_get(params, "p"));
	json_int_t rounds = json_integer_value(json_object_get(params, "c"));
	struct cipher_scrypt cost = {(uint64_t)n, (uint32_t)r, (uint32_t)p};

	if (rounds > WORK_MAX && rounds <= CIPHER_PBKDF2_ROUNDS_MAX)
		return true;
	return n > 0 && r > 0 && p > 0 && n <= UINT32_MAX && r <= UINT32_MAX && p <= UINT32_MAX &&
	       cipher_scrypt_fits(&cost) && cost.n * cost.r * cost.p > WORK_MAX;
}

/* Any object of this name, in any case, wherever it is. */
static bool dear(json_t *tree)
{
	const char *key;
	json_t *member;

	json_object_foreach (tree, key, member) {
		if (params_dear(member) || dear(member))
			return true;
	}
	return false;
}

static bool too_dear(const char *text, size_t size)
{
	struct json_error error;
	json_t *tree = json_read(&error, text, size, STORAGE_SIZE_MAX);
	bool is = dear(tree);

	json_decref(tree);
	return is;
}

static bool is_agent_key(const uint8_t *key)
{
	char text[2 * ARENA_SLOT_SIZE + 1];

	return strcmp(hex_encode(text, key, ARENA_SLOT_SIZE), agent_key) == 0;
}

static void check_reason(enum keystore_result result, const char reason[256])
{
	must(memchr(reason, '\0', 256) != NULL);
	must((result == KEYSTORE_OK) == (reason[0] == '\0'));
}

/* There is no other data key that a file could be made for without the passphrase. */
static void try_data(const char *text, size_t size)
{
	uint8_t *key = arena_take(arena);
	char reason[256] = "";
	enum keystore_result result =
	    keyfile_open_data(key, reason, arena, text, size, PASSPHRASE, strlen(PASSPHRASE));

	must(result == KEYSTORE_OK || result == KEYSTORE_BAD_FILE ||
	     result == KEYSTORE_BAD_PASSPHRASE);
	check_reason(result, reason);
	if (result == KEYSTORE_OK) {
		must(memcmp(key, data_key, sizeof(data_key)) == 0);
		must(keyfile_open_data(key, reason, arena, text, size, "other", 5) ==
		     KEYSTORE_BAD_PASSPHRASE);
	}
	arena_give(arena, &key);
}

static void try_agent(const char *text, size_t size)
{
	uint8_t *key = arena_take(arena);
	struct address address, expected;
	enum keystore_result result =
	    keyfile_open_agent(key, &address, data_key, text, size, AGENT);

	must(result == KEYSTORE_OK || result == KEYSTORE_BAD_FILE);
	if (result == KEYSTORE_OK) {
		must(is_agent_key(key) && address_parse(&expected, agent_address));
		must(address_equal(&address, &expected));
		must(keyfile_open_agent(key, &address, data_key, text, size, AGENT "2") ==
		     KEYSTORE_BAD_FILE);
	}
	arena_give(arena, &key);
}

/* The format leaves the initial vector out of its MAC: a file with another one gives another
 * key, which the keystore then compares with the file's address. */
static bool has_good_iv(const char *text, size_t size)
{
	struct json_error error;
	json_t *root = json_read(&error, text, size, STORAGE_SIZE_MAX), *crypto;
	const char *key, *iv;
	bool good = false;

	json_object_foreach (root, key, crypto) {
		iv = json_str(json_member(crypto, "cipherparams"), "iv");
		good = good || (strcasecmp(key, "crypto") == 0 && iv != NULL &&
				   strcasecmp(iv + (strlen(iv) > 32 ? 2 : 0),
				       "05050505050505050505050505050505") == 0);
	}
	json_decref(root);
	return good;
}

static void try_storage(const char *text, size_t size)
{
	uint8_t *key = arena_take(arena);
	struct storage_claims claims;
	char reason[256] = "";
	enum keystore_result result =
	    storage_open(key, &claims, reason, arena, text, size, PASSPHRASE, strlen(PASSPHRASE));

	must(result == KEYSTORE_OK || result == KEYSTORE_BAD_FILE ||
	     result == KEYSTORE_BAD_PASSPHRASE);
	check_reason(result, reason);
	if (result == KEYSTORE_OK) {
		must(is_agent_key(key) || !has_good_iv(text, size));
		must(storage_open(key, &claims, reason, arena, text, size, "other", 5) ==
		     KEYSTORE_BAD_PASSPHRASE);
	}
	arena_give(arena, &key);
}

static void edit(char *text, size_t length, const uint8_t *edits, size_t size)
{
	size_t i;

	for (i = 0; i + 1 < size; i += 2)
		text[edits[i] * length / 256] = (char)edits[i + 1];
}

static void try_edited(
    const char *good, void (*try)(const char *text, size_t size), const uint8_t *edits, size_t size)
{
	size_t length = strlen(good);
	char *text = must_strdup(good);

	edit(text, length, edits, size);
	if (!too_dear(text, length))
		try(text, length);
	free(text);
}

static void check_name(const char *name)
{
	size_t length = strlen(name);

	must(length > 4 && length <= KEYFILE_NAME_MAX && strcmp(name + length - 4, ".key") == 0);
	must(name[0] != '.');
	for (; *name != '\0'; name++)
		must(*name > ' ' && *name <= '~' && *name != '/');
}

static void try_names(const char *text)
{
	char *first = must_strdup(text), *second = strchr(first, '\n');
	char a[KEYFILE_NAME_MAX + 1], b[KEYFILE_NAME_MAX + 1];

	if (second != NULL)
		*second++ = '\0';
	else
		second = first + strlen(first);
	check_name(keyfile_name(a, first));
	check_name(keyfile_name(b, second));
	/* Two agents never have one file. */
	must((strcmp(a, b) == 0) == (strcmp(first, second) == 0));
	free(first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (arena == NULL)
		must((arena = arena_new(8)) != NULL);
	if (size == 0)
		return 0;
	text = must_strndup((const char *)data + 1, size - 1);
	switch (data[0]) {
	case 'D':
		try_edited(good_data, try_data, data + 1, size - 1);
		break;
	case 'A':
		try_edited(good_agent, try_agent, data + 1, size - 1);
		break;
	case 'V':
		try_edited(good_scrypt, try_storage, data + 1, size - 1);
		break;
	case 'W':
		try_edited(good_pbkdf2, try_storage, data + 1, size - 1);
		break;
	case 'd':
		if (!too_dear((const char *)data + 1, size - 1))
			try_data((const char *)data + 1, size - 1);
		break;
	case 'v':
		if (!too_dear((const char *)data + 1, size - 1))
			try_storage((const char *)data + 1, size - 1);
		break;
	case 'n':
		try_names(text);
		break;
	default:
		try_agent((const char *)data + 1, size - 1);
		break;
	}
	free(text);
	return 0;
}
