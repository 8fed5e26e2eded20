/* ledger_store_test - the folder: made, opened, locked, migrated, broken. */
#include "tests/unit/ledger_world.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/file.h"
#include "ledger/schema.h"

static enum store_result open_once(const char *dir, char reason[256])
{
	struct store *store = NULL;
	enum store_result result = store_open(&store, reason, dir, WORLD_START);

	assert_true((result == STORE_OK) == (store != NULL));
	store_close(&store);
	assert_null(store);
	return result;
}

static void write_file(const char *dir, const char *name, const char *text)
{
	char *path = file_path(dir, name);

	assert_true(file_replace(path, text, strlen(text), 0600));
	free(path);
}

static void run_sql(const char *dir, const char *sql)
{
	char *path = file_path(dir, "ledger.db");
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	free(path);
}

static void result_words(void **state)
{
	(void)state;
	assert_string_equal(store_result_str(STORE_OK), "ok");
	assert_string_equal(store_result_str(STORE_NOT_FOUND), "not found");
	assert_string_equal(store_result_str(STORE_LOCKED), "in use by another process");
	assert_string_equal(store_result_str(STORE_NEWER_SCHEMA), "written by a newer program");
	assert_string_equal(store_result_str(STORE_EXISTS), "exists already");
	assert_string_equal(store_result_str(STORE_BROKEN), "broken");
	assert_string_equal(store_result_str((enum store_result)99), "?");
	assert_string_equal(journal_event_str(JOURNAL_DEPOSIT), "deposit");
	assert_string_equal(journal_event_str(JOURNAL_WITHDRAW), "withdraw");
	assert_string_equal(journal_event_str(JOURNAL_SIGN), "sign");
	assert_string_equal(journal_event_str(JOURNAL_SETTLE), "settle");
	assert_string_equal(journal_event_str(JOURNAL_REFUND), "refund");
	assert_string_equal(journal_event_str(JOURNAL_HOLD), "hold");
	assert_string_equal(journal_event_str(JOURNAL_CHARGE), "charge");
	assert_string_equal(journal_event_str(JOURNAL_RELEASE), "release");
	assert_string_equal(journal_event_str(JOURNAL_REOPEN), "reopen");
	assert_string_equal(journal_event_str((enum journal_event)0), "?");
	assert_string_equal(journal_event_str((enum journal_event)10), "?");
}

static void create_then_open(void **state)
{
	const char *dir = *state;
	char reason[256] = "untouched";
	char *path = file_path(dir, "ledger.db");
	struct stat status;

	assert_int_equal(open_once(dir, reason), STORE_NOT_FOUND);
	assert_non_null(strstr(reason, "there is no ledger"));
	assert_int_equal(store_create(reason, dir), STORE_OK);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_int_equal(store_create(reason, dir), STORE_EXISTS);
	assert_non_null(strstr(reason, "already"));
	assert_int_equal(open_once(dir, reason), STORE_OK);
	assert_int_equal(open_once(dir, reason), STORE_OK);
	free(path);
}

static void no_folder(void **state)
{
	char *dir = file_path(*state, "absent");
	char reason[256] = "";

	assert_int_equal(open_once(dir, reason), STORE_NOT_FOUND);
	assert_int_equal(store_create(reason, dir), STORE_BROKEN);
	assert_non_null(strstr(reason, "No such file"));
	free(dir);
}

static void lock_is_a_folder(void **state)
{
	char *lock = file_path(*state, "lock");
	char reason[256] = "";

	assert_int_equal(mkdir(lock, 0700), 0);
	assert_int_equal(store_create(reason, *state), STORE_BROKEN);
	assert_non_null(strstr(reason, "cannot open"));
	write_file(*state, "ledger.db", "");
	assert_int_equal(open_once(*state, reason), STORE_BROKEN);
	free(lock);
}

static void second_opener_is_told_the_pid(void **state)
{
	struct store *store = world_store(*state, WORLD_START), *other = NULL;
	char reason[256] = "", expected[64];
	char *path = file_path(*state, "ledger.db");

	snprintf(expected, sizeof(expected), "in use by process %ld", (long)getpid());
	assert_int_equal(store_open(&other, reason, *state, WORLD_START), STORE_LOCKED);
	assert_null(other);
	assert_non_null(strstr(reason, expected));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(store_create(reason, *state), STORE_LOCKED);
	assert_non_null(strstr(reason, expected));
	store_close(&store);
	free(path);
}

/* Another process, and one that died without a word. */
static void lock_ends_with_its_process(void **state)
{
	char reason[256] = "", expected[64];
	int ready[2];
	char byte;
	pid_t child;

	assert_int_equal(store_create(reason, *state), STORE_OK);
	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		struct store *store = world_store(*state, WORLD_START);

		if (store != NULL && write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	snprintf(expected, sizeof(expected), "in use by process %ld", (long)child);
	assert_int_equal(open_once(*state, reason), STORE_LOCKED);
	assert_non_null(strstr(reason, expected));
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(open_once(*state, reason), STORE_OK);
	close(ready[0]);
	close(ready[1]);
}

/* A crash inside store_create leaves an empty file at worst. */
static void empty_file_is_completed(void **state)
{
	char reason[256] = "";

	write_file(*state, "ledger.db", "");
	assert_int_equal(open_once(*state, reason), STORE_OK);
	struct store *store = world_store(*state, WORLD_START);
	world_assert_whole(store);
	store_close(&store);
}

static void file_of_another_kind(void **state)
{
	const struct {
		const char *sql, *reason;
		enum store_result result;
	} cases[] = {
	    {"PRAGMA user_version = 5", "schema version 5", STORE_NEWER_SCHEMA},
	    {"PRAGMA user_version = 2147483647", "use the newer program", STORE_NEWER_SCHEMA},
	    {"PRAGMA user_version = -1", "no valid schema version", STORE_BROKEN},
	    {"PRAGMA application_id = 7", "not a tallyward ledger", STORE_BROKEN},
	    {"PRAGMA application_id = 0", "not a tallyward ledger", STORE_BROKEN},
	    {"PRAGMA application_id = 0; PRAGMA user_version = 0", "not a tallyward ledger",
		STORE_BROKEN},
	    {"PRAGMA user_version = 0", "cannot bring the ledger to this version", STORE_BROKEN},
	    {"DROP TABLE payment_state", "no such table", STORE_BROKEN},
	    {"DROP TABLE idempotency", "no such table", STORE_BROKEN},
	};
	char reason[256];

	for (size_t i = 0; i < COUNT(cases); i++) {
		char *path = file_path(*state, "ledger.db");

		unlink(path);
		free(path);
		assert_int_equal(store_create(reason, *state), STORE_OK);
		run_sql(*state, cases[i].sql);
		reason[0] = '\0';
		row_check(cases[i].sql, open_once(*state, reason) == cases[i].result);
		if (strstr(reason, cases[i].reason) == NULL)
			fail_msg("%s: %s", cases[i].sql, reason);
	}
}

static void damaged_file(void **state)
{
	static char junk[20000];
	char reason[256] = "";

	memset(junk, 'j', sizeof(junk) - 1);
	write_file(*state, "ledger.db", "short and no database");
	assert_int_equal(open_once(*state, reason), STORE_BROKEN);
	assert_non_null(strstr(reason, "not a database"));
	write_file(*state, "ledger.db", junk);
	reason[0] = '\0';
	assert_int_equal(open_once(*state, reason), STORE_BROKEN);
	assert_non_null(strstr(reason, "not a database"));
}

static void ledger_is_a_folder(void **state)
{
	char *path = file_path(*state, "ledger.db");
	char reason[256] = "";

	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(store_create(reason, *state), STORE_EXISTS);
	assert_int_equal(open_once(*state, reason), STORE_BROKEN);
	assert_true(strlen(reason) > 0);
	free(path);
}

/* As an unprivileged user: nothing may be written, and no half-open store comes back. */
static int open_as_nobody(const char *dir)
{
	char reason[256] = "";
	enum store_result result;
	struct store *store = NULL;
	pid_t child = fork();
	int status;

	if (child == 0) {
		if (setgid(65534) != 0 || setuid(65534) != 0)
			_exit(77);
		result = store_open(&store, reason, dir, WORLD_START);
		_exit(store == NULL && reason[0] != '\0' ? (int)result : 99);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void read_only_folder(void **state)
{
	/* Static for memcheck, which looks at the children too: to them they are not lost. */
	static char *db, *lock;
	const char *dir = *state;
	char reason[256] = "";

	if (geteuid() != 0)
		skip();
	db = file_path(dir, "ledger.db");
	lock = file_path(dir, "lock");
	assert_int_equal(store_create(reason, dir), STORE_OK);
	assert_int_equal(chmod(dir, 0555), 0);
	assert_int_equal(open_as_nobody(dir), STORE_BROKEN);
	assert_int_equal(chmod(lock, 0666), 0);
	assert_int_equal(open_as_nobody(dir), STORE_BROKEN);
	assert_int_equal(chmod(db, 0444), 0);
	assert_int_equal(open_as_nobody(dir), STORE_BROKEN);
	assert_int_equal(chmod(dir, 0777), 0);
	assert_int_equal(open_as_nobody(dir), STORE_BROKEN);
	free(db);
	free(lock);
}

static void limit_file_size(rlim_t size)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = size;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void create_on_a_full_disk(void **state)
{
	char *path = file_path(*state, "ledger.db");
	char reason[256] = "";

	limit_file_size(8192);
	assert_int_equal(store_create(reason, *state), STORE_BROKEN);
	limit_file_size(RLIM_INFINITY);
	assert_true(strlen(reason) > 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(store_create(reason, *state), STORE_OK);
	free(path);
}

struct told {
	pthread_mutex_t lock;
	int count;
	enum store_result results[64];
};

static void note_result(enum store_result result, void *arg)
{
	struct told *told = arg;

	pthread_mutex_lock(&told->lock);
	told->results[told->count++] = result;
	pthread_mutex_unlock(&told->lock);
}

/* The disk fills up under a running ledger, and later has room again. */
static void full_disk_under_way(void **state)
{
	struct world world = world_open(*state);
	struct told told = {.lock = PTHREAD_MUTEX_INITIALIZER};
	char *wal = file_path(*state, "ledger.db-wal");
	char reason[256] = "untouched";
	struct stat status;
	struct batch *batch;
	int64_t lost = world_id(&world), call = world_id(&world);

	assert_int_equal(store_health(world.store, reason), STORE_OK);
	assert_string_equal(reason, "untouched");
	assert_int_equal(stat(wal, &status), 0);
	limit_file_size((rlim_t)status.st_size);
	for (int i = 0; i < 3; i++) {
		batch = batch_new(world.now);
		world_add_sign(&world, batch, call, lost, 5);
		store_append(world.store, &batch, note_result, &told);
		assert_null(batch);
		batch = batch_new(world.now);
		world_add_sign(&world, batch, call, lost, 5);
		assert_int_equal(store_append_wait(world.store, &batch), STORE_BROKEN);
		assert_int_equal(store_health(world.store, reason), STORE_BROKEN);
		assert_true(strlen(reason) > 0 && strcmp(reason, "untouched") != 0);
	}
	assert_int_equal(told.count, 3);
	for (int i = 0; i < told.count; i++)
		assert_int_equal(told.results[i], STORE_BROKEN);
	limit_file_size(RLIM_INFINITY);

	batch = batch_new(world.now);
	world_add_sign(&world, batch, call, lost, 5);
	assert_int_equal(store_append_wait(world.store, &batch), STORE_OK);
	assert_int_equal(store_health(world.store, reason), STORE_OK);
	world_assert_whole(world.store);
	store_close(&world.store);
	world.store = world_store(*state, WORLD_START);
	world_assert_whole(world.store);
	store_close(&world.store);
	free(wal);
}

static void ids_only_rise(void **state)
{
	const int64_t clocks[] = {WORLD_START, WORLD_START, WORLD_START - 1, 0, -5,
	    WORLD_START + 1000, WORLD_START + 999, INT64_MIN, WORLD_START + 1000};
	struct store *store = world_store(*state, WORLD_START);
	int64_t last = 0, id;

	for (size_t i = 0; i < COUNT(clocks); i++) {
		id = store_next_id(store, clocks[i]);
		assert_true(id > last);
		assert_true(id >= clocks[i]);
		last = id;
	}
	assert_int_equal(last, WORLD_START + 1003);
	store_close(&store);
}

/* After a restart with the clock set back, new ids still follow all old ones, also those
 * only the answer cache knows. */
static void ids_survive_a_restart(void **state)
{
	struct world world = world_open(*state);
	int64_t call = world_id(&world) + 1000000;
	struct batch *batch = batch_new(world.now);

	batch_idempotency(batch, &(struct idempotency_row){.agent = world.agent, .key = "k",
	    .call = call, .expires_us = INT64_MAX});
	world_append(&world, batch);
	store_close(&world.store);
	world.store = world_store(*state, 1000);
	assert_int_equal(store_next_id(world.store, 1000), call + 1);
	store_close(&world.store);
}

#define ID_THREADS 8
#define ID_EACH    20000

struct id_run {
	struct store *store;
	int64_t ids[ID_EACH];
};

static void *take_ids(void *arg)
{
	struct id_run *run = arg;

	for (int i = 0; i < ID_EACH; i++)
		run->ids[i] = store_next_id(run->store, WORLD_START + i / 100);
	return NULL;
}

static int compare_ids(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return left < right ? -1 : left > right;
}

static void ids_from_many_threads(void **state)
{
	struct store *store = world_store(*state, WORLD_START);
	struct id_run *runs = calloc(ID_THREADS, sizeof(*runs));
	int64_t *all = calloc(ID_THREADS * ID_EACH, sizeof(*all));
	pthread_t threads[ID_THREADS];

	for (int i = 0; i < ID_THREADS; i++) {
		runs[i].store = store;
		assert_int_equal(pthread_create(&threads[i], NULL, take_ids, &runs[i]), 0);
	}
	for (int i = 0; i < ID_THREADS; i++) {
		pthread_join(threads[i], NULL);
		for (int j = 1; j < ID_EACH; j++)
			assert_true(runs[i].ids[j] > runs[i].ids[j - 1]);
		memcpy(all + i * ID_EACH, runs[i].ids, sizeof(runs[i].ids));
	}
	qsort(all, ID_THREADS * ID_EACH, sizeof(*all), compare_ids);
	for (int i = 1; i < ID_THREADS * ID_EACH; i++)
		assert_true(all[i] > all[i - 1]);
	free(runs);
	free(all);
	store_close(&store);
}

/* Nothing is said twice and nothing is dropped at the end. */
static void close_commits_what_is_queued(void **state)
{
	struct world world = world_open(*state);
	struct told told = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct batch *batch;

	for (int i = 0; i < 50; i++) {
		batch = batch_new(world.now);
		batch_policy(batch, world_id(&world), world.agent, "{}");
		store_append(world.store, &batch, note_result, &told);
	}
	assert_true(store_queued(world.store) <= 50);
	store_close(&world.store);
	assert_int_equal(told.count, 50);
	for (int i = 0; i < told.count; i++)
		assert_int_equal(told.results[i], STORE_OK);
	world.store = world_store(*state, WORLD_START);
	assert_int_equal(store_queued(world.store), 0);
	world_assert_whole(world.store);
	store_close(&world.store);
}

#define folder_test(test)                                                                          \
	cmocka_unit_test_setup_teardown(test, unit_folder_make, unit_folder_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(result_words),
	    folder_test(create_then_open),
	    folder_test(no_folder),
	    folder_test(lock_is_a_folder),
	    folder_test(second_opener_is_told_the_pid),
	    folder_test(lock_ends_with_its_process),
	    folder_test(empty_file_is_completed),
	    folder_test(file_of_another_kind),
	    folder_test(damaged_file),
	    folder_test(ledger_is_a_folder),
	    folder_test(read_only_folder),
	    folder_test(create_on_a_full_disk),
	    folder_test(full_disk_under_way),
	    folder_test(ids_only_rise),
	    folder_test(ids_survive_a_restart),
	    folder_test(ids_from_many_threads),
	    folder_test(close_commits_what_is_queued),
	};

	return unit_run(tests);
}
