/* Our own key files: names, permissions, tampering. */
#include <sys/stat.h>

#include "common/file.h"
#include "tests/unit/wallet_fixture.h"
#include "wallet/keyfile.h"

static void names_are_safe_and_distinct(void **state)
{
	static const struct {
		const char *agent, *name;
	} rows[] = {
	    {"coding-agent-01", "coding-agent-01.key"}, {"A.b_c-9", "A.b_c-9.key"},
	    {"", "=.key"}, {".", "=2E.key"}, {"..", "=2E..key"}, {".hidden", "=2Ehidden.key"},
	    {"../../etc/passwd", "=2E.=2F..=2Fetc=2Fpasswd.key"}, {"a/b", "a=2Fb.key"},
	    {"a b", "a=20b.key"}, {"a=2Fb", "a=3D2Fb.key"}, {"\xc3\xa9", "=C3=A9.key"},
	    {"a\nb", "a=0Ab.key"}, {"datakey.json", "datakey.json.key"}, {"=", "=3D.key"},
	};
	char name[KEYFILE_NAME_MAX + 1], other[KEYFILE_NAME_MAX + 1];
	static char agent[2000];
	size_t i, length;

	(void)state;
	for (i = 0; i < COUNT(rows); i++)
		row_check(rows[i].agent,
		    strcmp(keyfile_name(name, rows[i].agent), rows[i].name) == 0);
	for (length = 1; length < sizeof(agent); length++) {
		memset(agent, '/', length);
		agent[length] = '\0';
		keyfile_name(name, agent);
		assert_true(strlen(name) <= KEYFILE_NAME_MAX && strchr(name, '/') == NULL);
		assert_string_equal(name + strlen(name) - 4, ".key");
		agent[length - 1] = 'x';
		assert_string_not_equal(keyfile_name(other, agent), name);
	}
}

static void put(const char *path, const char *text, mode_t mode)
{
	assert_true(file_replace(path, text, strlen(text), mode));
}

static void only_private_regular_files_are_read(void **state)
{
	static const mode_t unsafe[] = {0640, 0604, 0620, 0602, 0610, 0601, 0644, 0660, 0666, 0777};
	char *path = file_path(*state, "a.key"), *text = NULL, *large;
	size_t size = 0, i;

	assert_int_equal(keyfile_read(&text, &size, path), KEYSTORE_NOT_FOUND);
	put(path, "content", 0600);
	assert_int_equal(keyfile_read(&text, &size, path), KEYSTORE_OK);
	assert_string_equal(text, "content");
	assert_int_equal(size, 7);
	free(text);
	text = NULL;
	for (i = 0; i < COUNT(unsafe); i++) {
		assert_int_equal(chmod(path, unsafe[i]), 0);
		assert_int_equal(keyfile_read(&text, &size, path), KEYSTORE_UNSAFE_FILE);
	}
	assert_int_equal(chmod(path, 0400), 0);
	assert_int_equal(keyfile_read(&text, &size, path), KEYSTORE_OK);
	free(text);
	text = NULL;
	large = calloc(1, KEYFILE_SIZE_MAX + 2);
	memset(large, 'x', KEYFILE_SIZE_MAX + 1);
	put(path, large, 0600);
	assert_int_equal(keyfile_read(&text, &size, path), KEYSTORE_BAD_FILE);
	large[KEYFILE_SIZE_MAX] = '\0';
	put(path, large, 0600);
	assert_int_equal(keyfile_read(&text, &size, path), KEYSTORE_OK);
	assert_int_equal(size, KEYFILE_SIZE_MAX);
	free(text);
	text = NULL;
	free(large);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(keyfile_read(&text, &size, path), KEYSTORE_BAD_FILE);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(keyfile_read(&text, &size, path), KEYSTORE_BAD_FILE);
	assert_null(text);
	free(path);
	path = file_path(*state, "a.key/b/c");
	assert_int_equal(keyfile_read(&text, &size, path), KEYSTORE_NOT_FOUND);
	free(path);
}

static void agent_key_opens_for_its_agent_only(void **state)
{
	struct address address = address_of(DEV_ADDRESS), opened_address;
	uint8_t data_key[32] = {1}, other[32] = {2}, key[32], opened[32];
	char *text = NULL, *again = NULL, long_name[2000];

	(void)state;
	assert_true(hex_decode(key, 32, DEV_KEY));
	assert_int_equal(keyfile_seal_agent(&text, data_key, key, "bob", &address), KEYSTORE_OK);
	assert_int_equal(keyfile_open_agent(opened, &opened_address, data_key, text, strlen(text),
			     "bob"),
	    KEYSTORE_OK);
	assert_memory_equal(opened, key, 32);
	assert_true(address_equal(&opened_address, &address));
	assert_int_equal(keyfile_open_agent(opened, &opened_address, data_key, text, strlen(text),
			     "alice"),
	    KEYSTORE_BAD_FILE);
	assert_int_equal(keyfile_open_agent(opened, &opened_address, data_key, text, strlen(text),
			     "Bob"),
	    KEYSTORE_BAD_FILE);
	assert_int_equal(
	    keyfile_open_agent(opened, &opened_address, other, text, strlen(text), "bob"),
	    KEYSTORE_BAD_FILE);
	assert_int_equal(keyfile_seal_agent(&again, data_key, key, "bob", &address), KEYSTORE_OK);
	assert_string_not_equal(text, again);
	/* Not even hex of the key. */
	assert_null(strstr(text, &DEV_KEY[2]));
	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	free(again);
	assert_int_equal(
	    keyfile_seal_agent(&again, data_key, key, long_name, &address), KEYSTORE_IO);
	assert_int_equal(keyfile_open_agent(opened, &opened_address, data_key, text, strlen(text),
			     long_name),
	    KEYSTORE_BAD_FILE);
	free(text);
}

/* Any change of any byte but blanks, and any prefix, is noticed. */
static void agent_key_file_cannot_be_edited(void **state)
{
	struct address address = address_of(DEV_ADDRESS), opened_address;
	uint8_t data_key[32] = {1}, key[32] = {3}, opened[32];
	char *text = NULL;
	size_t at, size;

	(void)state;
	assert_int_equal(keyfile_seal_agent(&text, data_key, key, "bob", &address), KEYSTORE_OK);
	size = strlen(text);
	for (at = 0; at < size; at++) {
		char was = text[at];

		if (at < size - 1)
			assert_int_equal(keyfile_open_agent(opened, &opened_address, data_key, text,
					     at, "bob"),
			    KEYSTORE_BAD_FILE);
		if (was == ' ' || was == '\n')
			continue;
		text[at] = was == '1' ? '2' : '1';
		assert_int_equal(
		    keyfile_open_agent(opened, &opened_address, data_key, text, size, "bob"),
		    KEYSTORE_BAD_FILE);
		text[at] = was;
	}
	assert_int_equal(keyfile_open_agent(opened, &opened_address, data_key, text, size, "bob"),
	    KEYSTORE_OK);
	free(text);
}

static void data_key_needs_its_passphrase(void **state)
{
	struct arena *arena = arena_new(4);
	uint8_t data_key[32] = {9}, opened[32];
	char reason[256] = "", *text = NULL;

	(void)state;
	assert_int_equal(keyfile_seal_data(
			     &text, arena, data_key, "secret", 6, PASSPHRASE_CHOSEN),
	    KEYSTORE_OK);
	assert_int_equal(keyfile_open_data(opened, reason, arena, text, strlen(text), "secret", 6),
	    KEYSTORE_OK);
	assert_memory_equal(opened, data_key, 32);
	assert_int_equal(keyfile_open_data(opened, reason, arena, text, strlen(text), "Secret", 6),
	    KEYSTORE_BAD_PASSPHRASE);
	assert_string_not_equal(reason, "");
	assert_int_equal(keyfile_open_data(opened, NULL, arena, text, strlen(text), "", 0),
	    KEYSTORE_BAD_PASSPHRASE);
	free(text);
	arena_free(&arena);
}

static void random_passphrase_is_opened_at_once(void **state)
{
	struct arena *arena = arena_new(4);
	uint8_t data_key[32] = {9}, opened[32];
	char *text = NULL;

	(void)state;
	assert_int_equal(keyfile_seal_data(
			     &text, arena, data_key, "secret", 6, PASSPHRASE_RANDOM),
	    KEYSTORE_OK);
	assert_non_null(strstr(text, "\"n\": 1024,"));
	assert_int_equal(keyfile_open_data(opened, NULL, arena, text, strlen(text), "secret", 6),
	    KEYSTORE_OK);
	assert_memory_equal(opened, data_key, 32);
	assert_int_equal(keyfile_open_data(opened, NULL, arena, text, strlen(text), "Secret", 6),
	    KEYSTORE_BAD_PASSPHRASE);
	free(text);
	arena_free(&arena);
}

/* Damage is told from a wrong passphrase, and without the slow derivation. */
static void damaged_data_key_is_a_bad_file(void **state)
{
	struct arena *arena = arena_new(4);
	uint8_t data_key[32] = {9}, opened[32];
	char reason[256], *text = NULL;
	size_t at, size;

	(void)state;
	assert_int_equal(keyfile_seal_data(
			     &text, arena, data_key, "secret", 6, PASSPHRASE_CHOSEN),
	    KEYSTORE_OK);
	size = strlen(text);
	for (at = 0; at < size; at++) {
		char was = text[at];

		if (at < size - 1)
			assert_int_equal(
			    keyfile_open_data(opened, reason, arena, text, at, "secret", 6),
			    KEYSTORE_BAD_FILE);
		if (was == ' ' || was == '\n')
			continue;
		text[at] = was == '1' ? '2' : '1';
		reason[0] = '\0';
		assert_int_equal(keyfile_open_data(opened, reason, arena, text, size, "secret", 6),
		    KEYSTORE_BAD_FILE);
		assert_string_not_equal(reason, "");
		text[at] = was;
	}
	free(text);
	arena_free(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_are_safe_and_distinct),
	    cmocka_unit_test_setup_teardown(only_private_regular_files_are_read,
		unit_folder_make, unit_folder_remove),
	    cmocka_unit_test(agent_key_opens_for_its_agent_only),
	    cmocka_unit_test(agent_key_file_cannot_be_edited),
	    cmocka_unit_test(data_key_needs_its_passphrase),
	    cmocka_unit_test(random_passphrase_is_opened_at_once),
	    cmocka_unit_test(damaged_data_key_is_a_bad_file),
	};

	return unit_run(tests);
}
