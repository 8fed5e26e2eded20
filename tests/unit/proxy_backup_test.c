/* A backup is whole or not there, and what restores from it is the same. */
#include "proxy/backup.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "proxy/command.h"
#include "proxy/house.h"
#include "proxy/restore.h"
#include "proxy/rooms.h"
#include "tests/unit/unit.h"

struct bench {
	char *dir; /* the data folder */
	struct house *house;
};

static void ask(struct house *house, const char *name, json_t *args)
{
	json_t *request = json_pack("{s:s, s:o}", "command", name, "args", args);
	json_t *reply = command_run(house, request, clock_now_us());

	if (!json_is_true(json_object_get(reply, "ok")))
		fail_msg("%s: %s", name, json_str(reply, "error"));
	json_decref(reply);
	json_decref(request);
}

static struct bench begin(void **state)
{
	struct bench bench = {.dir = file_path(*state, "data")};
	struct house_options options = {.dir = bench.dir, .command = "test"};
	char reason[512] = "";

	if (house_init(reason, &options) != HOUSE_OK ||
	    house_open(&bench.house, reason, &options) != HOUSE_OK)
		fail_msg("%s", reason);
	ask(bench.house, "agent.add", json_pack("{s:s, s:s}", "name", "coder", "owner", "o"));
	return bench;
}

static void end(struct bench *bench)
{
	house_close(&bench->house);
	free(bench->dir);
}

static size_t files_in(const char *path)
{
	DIR *folder = opendir(path);
	size_t count = 0;
	struct dirent *entry;

	must(folder != NULL);
	while ((entry = readdir(folder)) != NULL)
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(folder);
	return count;
}

/* Not written, for this reason, and nothing new in the folder above. */
static void refused(void **state, struct bench *bench, const char *file, bool with_passphrase,
    enum backup_result expected, const char *words)
{
	size_t before = files_in(*state);
	struct manifest manifest;
	char reason[512] = "";
	enum backup_result result;

	memset(&manifest, 0x5a, sizeof manifest);
	result = backup_write(&manifest, reason, bench->house, file, with_passphrase);
	if (result != expected || !strstr(reason, words))
		fail_msg("%d: %s (not \"%s\")", (int)result, reason, words);
	assert_true(((uint8_t *)&manifest)[0] == 0x5a); /* untouched */
	assert_int_equal(files_in(*state), before);
}

static void what_is_written_is_what_there_is(void **state)
{
	struct bench bench = begin(state);
	char *file = file_path(*state, "b.tar"), *dir = file_path(*state, "again");
	struct house_options options = {.dir = dir, .command = "test"};
	struct restored restored;
	struct manifest manifest;
	struct house *house;
	char reason[512] = "";
	struct stat status;

	if (backup_write(&manifest, reason, bench.house, file, true) != BACKUP_OK)
		fail_msg("%s", reason);
	assert_int_equal(stat(file, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_int_equal(files_in(*state), 2);
	assert_non_null(manifest_find(&manifest, "keys/coder.key"));
	assert_non_null(manifest_find(&manifest, "passphrase"));
	assert_true(manifest.audits > 0);
	manifest_fini(&manifest);
	if (restore_run(&restored, reason, file, dir) != RESTORE_OK)
		fail_msg("%s", reason);
	restored_fini(&restored);
	if (house_open(&house, reason, &options) != HOUSE_OK)
		fail_msg("%s", reason);
	assert_non_null(registry_agent(house->registry, "coder"));
	assert_memory_equal(house->token_secret, bench.house->token_secret, TOKEN_SECRET_SIZE);
	house_close(&house);
	/* There is one now. */
	refused(state, &bench, file, true, BACKUP_EXISTS, "is there already");
	free(file);
	free(dir);
	end(&bench);
}

static void paths_that_are_none(void **state)
{
	struct bench bench = begin(state);
	char *missing = must_format("%s/no/such.tar", (char *)*state);
	char *slashed = must_format("%s/b.tar/", (char *)*state);

	refused(state, &bench, "b.tar", false, BACKUP_BAD_PATH, "not the absolute path");
	refused(state, &bench, "./b.tar", false, BACKUP_BAD_PATH, "not the absolute path");
	refused(state, &bench, slashed, false, BACKUP_BAD_PATH, "not the absolute path");
	refused(state, &bench, "/", false, BACKUP_BAD_PATH, "not the absolute path");
	refused(state, &bench, bench.dir, false, BACKUP_EXISTS, "is there already");
	refused(state, &bench, missing, false, BACKUP_FAILED, "No such file");
	free(missing);
	free(slashed);
	end(&bench);
}

static void what_cannot_be_read(void **state)
{
	static const char *const needed[] = {"tallyward.json", "policy.json", "token.key", "keys"};
	struct bench bench = begin(state);
	char *file = file_path(*state, "b.tar"), *aside = file_path(*state, "aside");
	struct manifest manifest;
	char reason[512];

	for (size_t i = 0; i < COUNT(needed); i++) {
		char *path = file_path(bench.dir, needed[i]);

		assert_int_equal(rename(path, aside), 0);
		refused(state, &bench, file, false, BACKUP_FAILED, needed[i]);
		assert_int_equal(rename(aside, path), 0);
		free(path);
	}
	assert_int_equal(rename(bench.house->passphrase_file, aside), 0);
	refused(state, &bench, file, true, BACKUP_FAILED, "passphrase");
	/* It is not needed when it is not asked for. */
	assert_int_equal(backup_write(&manifest, reason, bench.house, file, false), BACKUP_OK);
	assert_null(manifest_find(&manifest, "passphrase"));
	manifest_fini(&manifest);
	free(file);
	free(aside);
	end(&bench);
}

/* Files in keys/ that are none of the keystore's do not come along. */
static void only_keys_come_from_the_keys(void **state)
{
	struct bench bench = begin(state);
	char *file = file_path(*state, "b.tar"), *link = file_path(bench.dir, "keys/link.key");
	char *hidden = file_path(bench.dir, "keys/.hidden"),
	     *folder = file_path(bench.dir, "keys/folder"),
	     *strange = file_path(bench.dir, "keys/a b");
	struct manifest manifest;
	char reason[512] = "";

	assert_int_equal(symlink("/etc/passwd", link), 0);
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_true(file_replace(hidden, "x", 1, 0600));
	assert_true(file_replace(strange, "x", 1, 0600));
	if (backup_write(&manifest, reason, bench.house, file, false) != BACKUP_OK)
		fail_msg("%s", reason);
	for (size_t i = 0; i < manifest.count; i++) {
		const char *name = manifest.members[i].name;

		row_check(name, !member_is_key(name) || strcmp(name, "keys/coder.key") == 0 ||
				    strcmp(name, "keys/datakey.json") == 0 ||
				    strstr(name, "installation") != NULL);
	}
	manifest_fini(&manifest);
	free(link);
	free(hidden);
	free(folder);
	free(strange);
	free(file);
	end(&bench);
}

/* A key for every agent of the copy, also of one that was added while it was made. */
struct adding {
	struct house *house;
	atomic_bool stop;
	int added;
};

static void *add_agents(void *arg)
{
	struct adding *adding = arg;

	while (!atomic_load(&adding->stop) && adding->added < 500) {
		char name[32];

		snprintf(name, sizeof name, "agent-%d", adding->added++);
		ask(adding->house, "agent.add",
		    json_pack("{s:s, s:s}", "name", name, "owner", "o"));
	}
	return NULL;
}

static bool has_key(const struct agent_row *row, void *arg)
{
	const struct manifest *manifest = arg;
	char *name = must_format("keys/%s.key", row->name);

	row_check(row->name, manifest_find(manifest, name) != NULL);
	free(name);
	return true;
}

static void agents_are_added_meanwhile(void **state)
{
	struct bench bench = begin(state);
	struct adding adding = {.house = bench.house};
	int written = 0;
	pthread_t thread;

	must(pthread_create(&thread, NULL, add_agents, &adding) == 0);
	for (int i = 0; i < 8; i++) {
		char *name = must_format("%d.tar", i), *file = file_path(*state, name);
		char *dir = file_path(*state, "again");
		struct manifest manifest;
		struct restored restored;
		struct store *store = NULL;
		char reason[512] = "";
		enum backup_result result =
		    backup_write(&manifest, reason, bench.house, file, false);

		/* Nobody adds agents like that for long. */
		if (result != BACKUP_OK) {
			row_check(reason, strstr(reason, "keys are being changed") != NULL);
		} else {
			written++;
			if (restore_run(&restored, reason, file, dir) != RESTORE_OK)
				fail_msg("%s", reason);
			assert_int_equal(store_open(&store, reason, dir, clock_now_us()), STORE_OK);
			assert_int_equal(store_agents(store, has_key, &manifest), STORE_OK);
			store_close(&store);
			restored_fini(&restored);
			manifest_fini(&manifest);
			file_drop_folder(dir);
		}
		if (i == 5) {
			atomic_store(&adding.stop, true);
			must(pthread_join(thread, NULL) == 0);
		}
		free(dir);
		free(file);
		free(name);
	}
	assert_true(written >= 2);
	end(&bench);
}

#define in_folder(test) cmocka_unit_test_setup_teardown(test, unit_folder_make, unit_folder_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    in_folder(what_is_written_is_what_there_is),
	    in_folder(paths_that_are_none),
	    in_folder(what_cannot_be_read),
	    in_folder(only_keys_come_from_the_keys),
	    in_folder(agents_are_added_meanwhile),
	};

	unsetenv("CREDENTIALS_DIRECTORY");
	log_set_level(LOG_ERROR);
	return unit_run(tests);
}
