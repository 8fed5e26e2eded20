/* The keystore: every result, what lies on disk, and signing from many threads. */
#include <dirent.h>
#include <pthread.h>
#include <sys/stat.h>

#include "common/file.h"
#include "tests/unit/wallet_fixture.h"
#include "wallet/cipher.h"
#include "wallet/keystore.h"
#include "wallet/signer.h"

#define PASSPHRASE "correct horse"
#define ZEROES     "0000000000000000000000000000000000000000000000000000000000000000"
#define ORDER      "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"

struct bed {
	char *folder; /* of the test */
	char *dir;    /* the keystore's */
	struct keystore *keystore;
};

static enum keystore_result create(const char *dir)
{
	return keystore_create(dir, PASSPHRASE, strlen(PASSPHRASE), PASSPHRASE_CHOSEN);
}

static enum keystore_result open_with(struct keystore **out, char reason[256], const char *dir,
    const char *passphrase)
{
	return keystore_open(out, reason, dir, passphrase, strlen(passphrase));
}

/* Creating is slow on purpose, so all beds but the first copy its data key. */
static char *data_key_text;
static size_t data_key_size;

static bool make_keys(const char *dir)
{
	char *path = file_path(dir, "datakey.json");
	bool made;

	if (data_key_text == NULL) {
		made = create(dir) == KEYSTORE_OK;
		data_key_text = file_read(&data_key_size, path, 10000);
	} else {
		made = mkdir(dir, 0700) == 0 &&
		    file_replace(path, data_key_text, data_key_size, 0600);
	}
	free(path);
	return made;
}

static int bed_make(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	void *folder;

	if (unit_folder_make(&folder) != 0)
		return -1;
	bed->folder = folder;
	bed->dir = file_path(bed->folder, "keys");
	if (!make_keys(bed->dir) ||
	    open_with(&bed->keystore, NULL, bed->dir, PASSPHRASE) != KEYSTORE_OK)
		return -1;
	*state = bed;
	return 0;
}

static int bed_remove(void **state)
{
	struct bed *bed = *state;
	void *folder = bed->folder;

	keystore_close(&bed->keystore);
	free(bed->dir);
	free(bed);
	return unit_folder_remove(&folder);
}

/* As after a restart: nothing is unlocked, only the files speak. */
static void reopen(struct bed *bed)
{
	keystore_close(&bed->keystore);
	assert_int_equal(open_with(&bed->keystore, NULL, bed->dir, PASSPHRASE), KEYSTORE_OK);
}

static enum keystore_result import_hex(struct bed *bed, struct address *out, const char *agent,
    const char *text, bool replace)
{
	char reason[256] = "";
	enum keystore_result result = keystore_import_hex(out, reason, bed->keystore, agent, text,
	    strlen(text), replace);

	assert_int_equal(reason[0] != '\0', result != KEYSTORE_OK);
	return result;
}

/* The agent's signature recovers to this address. */
static bool signs_as(struct bed *bed, const char *agent, const struct address *address)
{
	struct digest digest = keccak256(agent, strlen(agent));
	uint8_t signature[KEYSTORE_SIGNATURE_SIZE];
	struct signer *signer = signer_new();
	struct address who;
	bool same;

	same = keystore_sign(signature, bed->keystore, agent, &digest) == KEYSTORE_OK &&
	    signer_recover(&who, signer, signature, &digest) && address_equal(&who, address);
	signer_free(&signer);
	return same;
}

static mode_t mode_of(const char *dir, const char *name)
{
	char *path = file_path(dir, name);
	struct stat status;

	assert_int_equal(stat(path, &status), 0);
	free(path);
	return status.st_mode & 07777;
}

static void create_makes_private_files_once(void **state)
{
	struct bed *bed = *state;
	char *deep = file_path(bed->folder, "no/such/folder");
	struct address address;

	assert_int_equal(mode_of(bed->folder, "keys"), 0700);
	assert_int_equal(mode_of(bed->dir, "datakey.json"), 0600);
	assert_int_equal(create(bed->dir), KEYSTORE_EXISTS);
	assert_int_equal(create(deep), KEYSTORE_IO);
	assert_int_equal(keystore_generate(&address, bed->keystore, "bob"), KEYSTORE_OK);
	assert_int_equal(mode_of(bed->dir, "bob.key"), 0600);
	free(deep);
}

static void open_tells_its_failures_apart(void **state)
{
	struct bed *bed = *state;
	char *path = file_path(bed->dir, "datakey.json"), *text, reason[256];
	struct keystore *keystore = NULL;
	size_t size;

	reason[0] = '\0';
	assert_int_equal(open_with(&keystore, reason, bed->folder, PASSPHRASE), KEYSTORE_NOT_FOUND);
	assert_string_not_equal(reason, "");
	reason[0] = '\0';
	assert_int_equal(open_with(&keystore, reason, bed->dir, "wrong"), KEYSTORE_BAD_PASSPHRASE);
	assert_string_not_equal(reason, "");
	reason[0] = '\0';
	assert_int_equal(open_with(&keystore, reason, bed->dir, PASSPHRASE "\n"),
	    KEYSTORE_BAD_PASSPHRASE);
	assert_int_equal(chmod(path, 0640), 0);
	reason[0] = '\0';
	assert_int_equal(open_with(&keystore, reason, bed->dir, PASSPHRASE), KEYSTORE_UNSAFE_FILE);
	assert_non_null(strstr(reason, "chmod 600"));
	text = file_read(&size, path, 10000);
	text[size / 2] ^= 1;
	assert_true(file_replace(path, text, size, 0600));
	reason[0] = '\0';
	assert_int_equal(open_with(&keystore, reason, bed->dir, PASSPHRASE), KEYSTORE_BAD_FILE);
	assert_string_not_equal(reason, "");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(open_with(&keystore, reason, bed->dir, PASSPHRASE), KEYSTORE_BAD_FILE);
	assert_null(keystore);
	keystore_close(&keystore);
	free(text);
	free(path);
}

static void generated_keys_differ_and_last(void **state)
{
	struct bed *bed = *state;
	struct address bob, alice, again = {{7}};

	assert_int_equal(keystore_address(&again, bed->keystore, "bob"), KEYSTORE_NOT_FOUND);
	assert_int_equal(again.bytes[0], 7);
	assert_int_equal(keystore_generate(&bob, bed->keystore, "bob"), KEYSTORE_OK);
	assert_int_equal(keystore_generate(&alice, bed->keystore, "alice"), KEYSTORE_OK);
	assert_false(address_equal(&bob, &alice));
	assert_int_equal(keystore_generate(&again, bed->keystore, "bob"), KEYSTORE_EXISTS);
	assert_true(signs_as(bed, "bob", &bob));
	assert_true(signs_as(bed, "alice", &alice));
	assert_int_equal(keystore_address(&again, bed->keystore, "bob"), KEYSTORE_OK);
	assert_true(address_equal(&again, &bob));

	keystore_close(&bed->keystore);
	assert_null(bed->keystore);
	assert_int_equal(open_with(&bed->keystore, NULL, bed->dir, PASSPHRASE), KEYSTORE_OK);
	assert_int_equal(keystore_address(&again, bed->keystore, "alice"), KEYSTORE_OK);
	assert_true(address_equal(&again, &alice));
	assert_true(signs_as(bed, "bob", &bob));
}

static void hex_keys_are_read_strictly(void **state)
{
	static const char *const good[] = {DEV_KEY, " \t\r\n" DEV_KEY "\r\n",
	    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
	    "AC0974BEC39A17E36BA4A6B4D238FF944BACB478CBED5EFCAE784D7BF4F2FF80"};
	static const char *const bad[] = {"", " ", "0x", ZEROES, "0x" ZEROES, ORDER, DEV_KEY "0",
	    "0x0x" ZEROES, "0Xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
	    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff8",
	    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff8g",
	    "0xc0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff8x",
	    "ac0974bec39a17e36ba4a6b4d238ff94 4bacb478cbed5efcae784d7bf4f2ff8",
	    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff",
	    "test test test test test test test test test test test junk"};
	struct address wanted = address_of(DEV_ADDRESS), address;
	struct bed *bed = *state;
	char agent[32];
	size_t i;

	for (i = 0; i < COUNT(good); i++) {
		snprintf(agent, sizeof(agent), "good-%zu", i);
		row_check(good[i], import_hex(bed, &address, agent, good[i], false) == KEYSTORE_OK);
		row_check(good[i], address_equal(&address, &wanted));
		row_check(good[i], signs_as(bed, agent, &wanted));
	}
	for (i = 0; i < COUNT(bad); i++) {
		address.bytes[0] = 7;
		row_check(
		    bad[i], import_hex(bed, &address, "bad", bad[i], false) == KEYSTORE_BAD_KEY);
		row_check(bad[i], address.bytes[0] == 7);
		row_check(
		    bad[i], import_hex(bed, &address, "good-0", bad[i], true) == KEYSTORE_BAD_KEY);
	}
	assert_int_equal(keystore_address(&address, bed->keystore, "bad"), KEYSTORE_NOT_FOUND);
	assert_true(signs_as(bed, "good-0", &wanted));
	assert_int_equal(keystore_import_hex(&address, NULL, bed->keystore, "bad", "", 0, false),
	    KEYSTORE_BAD_KEY);
}

/* How many files of dir hold part in their name. */
static int files_with(const char *dir, const char *part)
{
	DIR *folder = opendir(dir);
	struct dirent *entry;
	int count = 0;

	assert_non_null(folder);
	while ((entry = readdir(folder)) != NULL)
		count += strstr(entry->d_name, part) != NULL;
	closedir(folder);
	return count;
}

/* Key 1. */
#define ONE_KEY "0000000000000000000000000000000000000000000000000000000000000001"

static void replacing_keeps_the_old_file(void **state)
{
	struct address dev = address_of(DEV_ADDRESS), first, address;
	struct digest digest = keccak256("x", 1);
	uint8_t signature[KEYSTORE_SIGNATURE_SIZE] = {7};
	char text[ADDRESS_TEXT_SIZE] = "untouched", expected[ADDRESS_TEXT_SIZE];
	struct bed *bed = *state;
	char *next = file_path(bed->dir, "bob.key.next");

	/* With nothing to replace, replace is import. */
	assert_int_equal(import_hex(bed, &address, "new", DEV_KEY, true), KEYSTORE_OK);
	assert_int_equal(files_with(bed->dir, ".replaced-"), 0);
	assert_int_equal(keystore_generate(&first, bed->keystore, "bob"), KEYSTORE_OK);
	assert_true(signs_as(bed, "bob", &first));
	assert_int_equal(import_hex(bed, &address, "bob", DEV_KEY, false), KEYSTORE_EXISTS);
	assert_true(signs_as(bed, "bob", &first));
	assert_int_equal(import_hex(bed, &address, "bob", DEV_KEY, true), KEYSTORE_OK);
	/* Until it is adopted it only waits, whatever happens meanwhile. */
	assert_true(signs_as(bed, "bob", &first));
	reopen(bed);
	assert_true(signs_as(bed, "bob", &first));
	assert_int_equal(keystore_adopt(bed->keystore, "bob", &first), KEYSTORE_OK);
	assert_int_equal(files_with(bed->dir, "bob.key.replaced-"), 0);
	assert_int_equal(keystore_adopt(bed->keystore, "bob", &dev), KEYSTORE_OK);
	assert_true(signs_as(bed, "bob", &dev));
	assert_int_equal(files_with(bed->dir, "bob.key.replaced-"), 1);
	assert_int_equal(keystore_adopt(bed->keystore, "bob", &dev), KEYSTORE_OK);
	assert_int_equal(keystore_adopt(bed->keystore, "bob", &first), KEYSTORE_BAD_KEY);
	assert_int_equal(keystore_adopt(bed->keystore, "nobody", &dev), KEYSTORE_NOT_FOUND);
	assert_int_equal(files_with(bed->dir, "bob.key.replaced-"), 1);
	/* The first signature that names the new key adopts it, too. */
	assert_int_equal(import_hex(bed, &address, "bob", ONE_KEY, true), KEYSTORE_OK);
	reopen(bed);
	assert_true(signs_as(bed, "bob", &dev));
	assert_int_equal(keystore_sign_as(signature, text, bed->keystore, "bob", &first, &digest),
	    KEYSTORE_BAD_KEY);
	assert_string_equal(text, "untouched");
	assert_int_equal(
	    keystore_sign_as(signature, text, bed->keystore, "bob", &address, &digest),
	    KEYSTORE_OK);
	assert_string_equal(text, address_format(expected, &address));
	memcpy(text, "untouched", sizeof("untouched"));
	assert_true(signs_as(bed, "bob", &address));
	assert_int_equal(files_with(bed->dir, "bob.key.replaced-"), 2);
	assert_int_equal(files_with(bed->dir, ".next"), 0);
	/* A damaged one is not adopted, and the present one goes on. */
	assert_true(file_replace(next, "{}", 2, 0600));
	assert_int_equal(keystore_adopt(bed->keystore, "bob", &dev), KEYSTORE_BAD_FILE);
	assert_true(signs_as(bed, "bob", &address));
	assert_int_equal(import_hex(bed, &address, "bob", DEV_KEY, true), KEYSTORE_OK);
	assert_int_equal(keystore_adopt(bed->keystore, "bob", &dev), KEYSTORE_OK);
	assert_int_equal(files_with(bed->dir, "bob.key.replaced-"), 3);
	signature[0] = 7;
	/* A message built for the old key is not signed with the new one. */
	assert_int_equal(keystore_sign_as(signature, text, bed->keystore, "bob", &first, &digest),
	    KEYSTORE_BAD_KEY);
	assert_string_equal(text, "untouched");
	assert_int_equal(signature[0], 7);
	assert_int_equal(keystore_sign_as(signature, text, bed->keystore, "bob", &dev, &digest),
	    KEYSTORE_OK);
	assert_string_equal(text, address_format(expected, &dev));
	assert_int_equal(
	    keystore_sign_as(signature, NULL, bed->keystore, "bob", &dev, &digest), KEYSTORE_OK);
	/* Only keys and their data key; nothing half-written is left behind. */
	assert_int_equal(files_with(bed->dir, ""), 2 + 1 + 2 + 3);
	free(next);
}

static void foreign_and_damaged_files_do_not_sign(void **state)
{
	struct bed *bed = *state;
	char *bob = file_path(bed->dir, "bob.key"), *eve = file_path(bed->dir, "eve.key"), *text;
	uint8_t signature[KEYSTORE_SIGNATURE_SIZE] = {7};
	struct digest digest = keccak256("x", 1);
	struct address address;
	size_t size;

	assert_int_equal(
	    keystore_sign(signature, bed->keystore, "bob", &digest), KEYSTORE_NOT_FOUND);
	assert_int_equal(keystore_generate(&address, bed->keystore, "bob"), KEYSTORE_OK);
	text = file_read(&size, bob, 10000);
	assert_true(file_replace(eve, text, size, 0600));
	assert_int_equal(
	    keystore_sign(signature, bed->keystore, "eve", &digest), KEYSTORE_BAD_FILE);
	assert_int_equal(keystore_address(&address, bed->keystore, "eve"), KEYSTORE_BAD_FILE);
	assert_int_equal(chmod(bob, 0604), 0);
	assert_int_equal(keystore_sign(signature, bed->keystore, "bob", &digest),
	    KEYSTORE_UNSAFE_FILE);
	assert_int_equal(keystore_address(&address, bed->keystore, "bob"), KEYSTORE_UNSAFE_FILE);
	assert_true(file_replace(bob, "", 0, 0600));
	assert_int_equal(
	    keystore_sign(signature, bed->keystore, "bob", &digest), KEYSTORE_BAD_FILE);
	assert_int_equal(signature[0], 7);
	/* Once unlocked, a key no longer needs its file. */
	assert_true(file_replace(bob, text, size, 0600));
	assert_int_equal(keystore_sign(signature, bed->keystore, "bob", &digest), KEYSTORE_OK);
	assert_int_equal(unlink(bob), 0);
	assert_int_equal(keystore_sign(signature, bed->keystore, "bob", &digest), KEYSTORE_OK);
	free(text);
	free(bob);
	free(eve);
}

static void any_agent_name_works(void **state)
{
	static const char *const names[] = {"", ".", "..", "../evil", "a/b", "\xff\xfe", "a b", "*",
	    "datakey.json", "0123456789012345678901234567890123456789012345678901234567890123"};
	struct bed *bed = *state;
	char long_name[2001];
	struct address address;
	size_t i;

	for (i = 0; i < COUNT(names); i++) {
		row_check(
		    names[i], keystore_generate(&address, bed->keystore, names[i]) == KEYSTORE_OK);
		row_check(names[i], signs_as(bed, names[i], &address));
	}
	assert_int_equal(files_with(bed->dir, ".key"), COUNT(names));
	memset(long_name, 'n', 2000);
	long_name[2000] = '\0';
	assert_int_equal(keystore_generate(&address, bed->keystore, long_name), KEYSTORE_IO);
	long_name[500] = '\0';
	assert_int_equal(keystore_generate(&address, bed->keystore, long_name), KEYSTORE_OK);
	assert_true(signs_as(bed, long_name, &address));
}

static void v3_goes_out_and_comes_in(void **state)
{
	struct bed *bed = *state;
	struct address bob, address;
	char *text = NULL, *other, reason[256] = "";

	assert_int_equal(keystore_export_v3(&text, bed->keystore, "bob", "pw", 2),
	    KEYSTORE_NOT_FOUND);
	assert_null(text);
	assert_int_equal(keystore_generate(&bob, bed->keystore, "bob"), KEYSTORE_OK);
	assert_int_equal(keystore_export_v3(&text, bed->keystore, "bob", "pw", 2), KEYSTORE_OK);
	assert_int_equal(keystore_import_v3(&address, reason, bed->keystore, "carol", text,
			     strlen(text), "pw", 2, false),
	    KEYSTORE_OK);
	assert_true(address_equal(&address, &bob));
	assert_true(signs_as(bed, "carol", &bob));
	assert_int_equal(keystore_import_v3(&address, reason, bed->keystore, "carol", text,
			     strlen(text), "pw", 2, false),
	    KEYSTORE_EXISTS);
	assert_string_not_equal(reason, "");
	assert_int_equal(keystore_import_v3(&address, NULL, bed->keystore, "carol", text,
			     strlen(text), "pw", 2, true),
	    KEYSTORE_OK);
	assert_int_equal(keystore_import_v3(&address, reason, bed->keystore, "dave", text,
			     strlen(text), "pW", 2, false),
	    KEYSTORE_BAD_PASSPHRASE);
	assert_int_equal(
	    keystore_import_v3(&address, reason, bed->keystore, "dave", "{}", 2, "pw", 2, false),
	    KEYSTORE_BAD_FILE);
	/* The address of another key. */
	other = strstr(text, "\"address\":\"") + strlen("\"address\":\"");
	memcpy(other, "f39fd6e51aad88f6f4ce6ab8827279cfffb92266", 40);
	reason[0] = '\0';
	assert_int_equal(keystore_import_v3(&address, reason, bed->keystore, "dave", text,
			     strlen(text), "pw", 2, false),
	    KEYSTORE_BAD_FILE);
	assert_non_null(strstr(reason, "address"));
	assert_int_equal(keystore_address(&address, bed->keystore, "dave"), KEYSTORE_NOT_FOUND);
	free(text);
}

/* A file whose secret is zeroes: ciphertext, salt, MAC. */
#define ZERO_FILE                                                                                  \
	"{\"version\":3,\"crypto\":{\"cipher\":\"aes-128-ctr\",\"cipherparams\":{\"iv\":"          \
	"\"00000000000000000000000000000000\"},\"ciphertext\":\"%s\",\"kdf\":\"pbkdf2\","          \
	"\"kdfparams\":{\"c\":1,\"dklen\":32,\"prf\":\"hmac-sha256\",\"salt\":\"%s\"},"            \
	"\"mac\":\"%s\"}}"

static void v3_without_a_key_in_it_is_a_bad_key(void **state)
{
	static const uint8_t salt[32];
	uint8_t derived[32], stream[32], input[48];
	char hex[65], salt_hex[65], mac_hex[65], file[1024], reason[256] = "";
	struct bed *bed = *state;
	struct address address;
	struct digest mac;

	/* The ciphertext of zeroes is the key stream itself. */
	assert_true(cipher_pbkdf2(derived, "pw", 2, salt, sizeof(salt), 1));
	assert_true(cipher_ctr(stream, derived, salt, salt, sizeof(stream)));
	memcpy(input, derived + 16, 16);
	memcpy(input + 16, stream, 32);
	mac = keccak256(input, sizeof(input));
	snprintf(file, sizeof(file), ZERO_FILE, hex_encode(hex, stream, 32),
	    hex_encode(salt_hex, salt, 32), hex_encode(mac_hex, mac.bytes, 32));
	assert_int_equal(keystore_import_v3(&address, reason, bed->keystore, "zero", file,
			     strlen(file), "pw", 2, false),
	    KEYSTORE_BAD_KEY);
	assert_string_not_equal(reason, "");
}

static void unwritable_folder_is_an_io_error(void **state)
{
	struct bed *bed = *state;
	struct address address;
	void *folder = strdup(bed->dir);

	assert_int_equal(unit_folder_remove(&folder), 0);
	assert_int_equal(keystore_generate(&address, bed->keystore, "bob"), KEYSTORE_IO);
	assert_int_equal(import_hex(bed, &address, "bob", DEV_KEY, true), KEYSTORE_IO);
	assert_int_equal(keystore_address(&address, bed->keystore, "bob"), KEYSTORE_NOT_FOUND);
}

enum { THREADS = 8, ROUNDS = 60, AGENTS = 5 };

struct worker {
	pthread_t thread;
	struct bed *bed;
	const struct address *addresses;
	int number;
	int wrong;
};

static void name_of(char name[16], int agent)
{
	snprintf(name, 16, "agent-%d", agent % AGENTS);
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct signer *signer = signer_new();
	int i;

	for (i = 0; i < ROUNDS; i++) {
		int agent = (worker->number + i) % AGENTS;
		struct digest digest = keccak256(&i, sizeof(i));
		uint8_t signature[KEYSTORE_SIGNATURE_SIZE];
		struct address address;
		char name[16];

		name_of(name, agent);
		if (keystore_sign(signature, worker->bed->keystore, name, &digest) != KEYSTORE_OK ||
		    !signer_recover(&address, signer, signature, &digest) ||
		    !address_equal(&address, &worker->addresses[agent]))
			worker->wrong++;
		if (keystore_address(&address, worker->bed->keystore, name) != KEYSTORE_OK ||
		    !address_equal(&address, &worker->addresses[agent]))
			worker->wrong++;
		/* One thread keeps adding and replacing keys meanwhile. */
		if (worker->number == 0) {
			snprintf(name, sizeof(name), "other-%d", i % 3);
			if (keystore_import_hex(&address, NULL, worker->bed->keystore, name,
				DEV_KEY, strlen(DEV_KEY), true) != KEYSTORE_OK)
				worker->wrong++;
		} else if (i % 7 == 0) {
			snprintf(name, sizeof(name), "other-%d", i % 3);
			(void)!keystore_sign(signature, worker->bed->keystore, name, &digest);
		}
	}
	signer_free(&signer);
	return NULL;
}

static void threads_sign_in_parallel(void **state)
{
	struct worker workers[THREADS] = {0};
	struct address addresses[AGENTS];
	struct bed *bed = *state;
	char name[16];
	int i;

	for (i = 0; i < AGENTS; i++) {
		name_of(name, i);
		assert_int_equal(
		    keystore_generate(&addresses[i], bed->keystore, name), KEYSTORE_OK);
	}
	for (i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.bed = bed, .addresses = addresses, .number = i};
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
		assert_int_equal(workers[i].wrong, 0);
	}
}

static void results_have_names(void **state)
{
	(void)state;
	assert_string_equal(keystore_result_str(KEYSTORE_OK), "ok");
	assert_string_equal(keystore_result_str(KEYSTORE_NOT_FOUND), "not_found");
	assert_string_equal(keystore_result_str(KEYSTORE_EXISTS), "exists");
	assert_string_equal(keystore_result_str(KEYSTORE_BAD_PASSPHRASE), "bad_passphrase");
	assert_string_equal(keystore_result_str(KEYSTORE_BAD_FILE), "bad_file");
	assert_string_equal(keystore_result_str(KEYSTORE_BAD_KEY), "bad_key");
	assert_string_equal(keystore_result_str(KEYSTORE_UNSAFE_FILE), "unsafe_file");
	assert_string_equal(keystore_result_str(KEYSTORE_IO), "io");
	assert_string_equal(keystore_result_str((enum keystore_result)99), "unknown");
}

#define bed_test(name) cmocka_unit_test_setup_teardown(name, bed_make, bed_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    bed_test(create_makes_private_files_once),
	    bed_test(open_tells_its_failures_apart),
	    bed_test(generated_keys_differ_and_last),
	    bed_test(hex_keys_are_read_strictly),
	    bed_test(replacing_keeps_the_old_file),
	    bed_test(foreign_and_damaged_files_do_not_sign),
	    bed_test(any_agent_name_works),
	    bed_test(v3_goes_out_and_comes_in),
	    bed_test(v3_without_a_key_in_it_is_a_bad_key),
	    bed_test(unwritable_folder_is_an_io_error),
	    bed_test(threads_sign_in_parallel),
	    cmocka_unit_test(results_have_names),
	};

	int failed = unit_run(tests);

	free(data_key_text);
	return failed;
}
