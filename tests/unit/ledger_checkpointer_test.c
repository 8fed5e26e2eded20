/* ledger_checkpointer_test - checkpoints beside the commits: what is copied while the log grows,
 * who may hold that up, when the log begins anew, and what a sync that failed is followed by. */
#include "tests/unit/common_threads.h"
#include "tests/unit/ledger_disk.h"
#include "tests/unit/ledger_sql.h"
#include "tests/unit/ledger_world.h"

#include <sched.h>
#include <sys/stat.h>

#include "common/file.h"
#include "ledger/checkpointer.h"
#include "ledger/schema.h"

/* As ledger/writer.c has them, in bytes of pages of 2 KiB. */
#define LOG_SIZE   (16000 * (2048 + 24))
#define ROUND_SIZE (4000 * (2048 + 24))
/* A commit's worth. */
#define BODY_SIZE 250000u

/* --- a database ------------------------------------------------------------------------- */

struct bench {
	void *dir;
	char *path;
	sqlite3 *writer; /* has `pages` in its log, which begins anew as SQLite sees fit */
	int pages, commits;
	struct checkpointer *checkpointer;
};

static int note_pages(void *arg, sqlite3 *db, const char *name, int pages)
{
	(void)db;
	(void)name;
	((struct bench *)arg)->pages = pages;
	return SQLITE_OK;
}

/* Ten pages and some, and no two commits write the same. */
static void commit(struct bench *bench)
{
	must_run(bench->writer, "INSERT INTO t (body) VALUES (randomblob(20000))");
	bench->commits++;
}

static int bench_make(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	char reason[256] = "";

	if (bench == NULL || unit_folder_make(&bench->dir) != 0)
		return -1;
	disk_install();
	bench->path = file_path(bench->dir, "db");
	assert_true(file_create(bench->path, "", 0, 0600));
	bench->writer = connect(bench->path, false);
	sqlite3_wal_hook(bench->writer, note_pages, bench);
	must_run(bench->writer, "CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)");
	if (checkpointer_start(&bench->checkpointer, reason, bench->path) != STORE_OK)
		fail_msg("%s", reason);
	*state = bench;
	return 0;
}

static int bench_remove(void **state)
{
	struct bench *bench = *state;
	struct checkpoint last;
	int result;

	disk_heal();
	if (bench->checkpointer != NULL)
		checkpointer_stop(&bench->checkpointer, &last);
	assert_int_equal(number(bench->writer, "SELECT count(*) FROM t"), bench->commits);
	assert_int_equal(number(bench->writer, "SELECT count(*) FROM pragma_integrity_check"), 1);
	assert_int_equal(sqlite3_close(bench->writer), SQLITE_OK);
	result = unit_folder_remove(&bench->dir);
	free(bench->path);
	free(bench);
	return result;
}

static struct checkpoint wait_for_end(struct bench *bench)
{
	struct checkpoint end;

	while (!checkpointer_ended(bench->checkpointer, &end))
		sched_yield();
	assert_false(checkpointer_is_busy(bench->checkpointer));
	return end;
}

static struct checkpoint round_of(struct bench *bench)
{
	checkpointer_begin(bench->checkpointer);
	assert_true(checkpointer_is_busy(bench->checkpointer));
	return wait_for_end(bench);
}

/* --- rounds ----------------------------------------------------------------------------- */

static void a_round_copies_what_is_in_the_log(void **state)
{
	struct bench *bench = *state;
	struct checkpoint end;
	struct stat before, after;

	for (int i = 0; i < 5; i++)
		commit(bench);
	assert_int_equal(stat(bench->path, &before), 0);
	end = round_of(bench);
	assert_int_equal(end.rc, SQLITE_OK);
	assert_false(end.lost);
	assert_int_equal(end.log_pages, bench->pages);
	assert_int_equal(end.copied_pages, bench->pages);
	assert_int_equal(stat(bench->path, &after), 0);
	assert_true(after.st_size > before.st_size);
	/* The next commit begins the log anew: it alone is in it. */
	commit(bench);
	assert_true(bench->pages < end.log_pages);
}

/* Nothing of the log is lost while both work, and the log begins anew under a round only when that
 * has copied all of it and is about to sync it once more. */
static void commits_go_on_during_rounds(void **state)
{
	struct bench *bench = *state;
	int rounds = 0, begun_pages = 0, whole_pages = 0;

	while (rounds < 40) {
		struct checkpoint end;
		int before = bench->pages;

		commit(bench);
		/* It has begun anew; there were so many pages. */
		if (bench->pages <= before)
			whole_pages = before;
		if (checkpointer_ended(bench->checkpointer, &end)) {
			assert_int_equal(end.rc, SQLITE_OK);
			assert_true(end.log_pages >= begun_pages);
			if (whole_pages == 0)
				/* A commit that is under way reads an older state. */
				assert_in_range(end.copied_pages, 1, end.log_pages);
			else
				assert_int_equal(end.log_pages, whole_pages);
			rounds++;
		}
		/* Right after a commit, which may have begun the log anew. */
		if (!checkpointer_is_busy(bench->checkpointer)) {
			commit(bench);
			whole_pages = 0;
			begun_pages = bench->pages;
			checkpointer_begin(bench->checkpointer);
		}
	}
	wait_for_end(bench);
}

static void a_reader_holds_a_round_up(void **state)
{
	struct bench *bench = *state;
	sqlite3 *reader = connect(bench->path, true);
	struct checkpoint end;
	int seen;

	commit(bench);
	must_run(reader, "BEGIN");
	assert_int_equal(number(reader, "SELECT count(*) FROM t"), 1);
	seen = bench->pages;
	commit(bench);
	end = round_of(bench);
	assert_int_equal(end.rc, SQLITE_OK);
	assert_int_equal(end.copied_pages, seen);
	assert_int_equal(end.log_pages, bench->pages);
	commit(bench);
	assert_int_equal(number(reader, "SELECT count(*) FROM t"), 1);
	must_run(reader, "COMMIT");
	end = round_of(bench);
	assert_int_equal(end.copied_pages, bench->pages);
	assert_int_equal(sqlite3_close(reader), SQLITE_OK);
}

/* Every write and every sync of a round fails in turn. */
static void a_round_that_fails_is_told_of(void **state)
{
	struct bench *bench = *state;
	struct checkpoint end;
	int64_t after = 0;
	bool failed, lost = false;

	do {
		int pages;

		commit(bench);
		pages = bench->pages;
		disk_break(after++, 1, DISK_ERROR);
		end = round_of(bench);
		failed = disk_heal() > 0;
		assert_int_equal(end.rc != SQLITE_OK, failed);
		assert_int_equal(end.lost, end.rc == SQLITE_IOERR_FSYNC);
		lost = lost || end.lost;
		commit(bench);
		/* A write that failed is done again. */
		if (failed && !end.lost)
			assert_true(bench->pages > pages);
		end = round_of(bench);
		assert_int_equal(end.rc, SQLITE_OK);
		assert_int_equal(end.copied_pages, bench->pages);
	} while (failed);
	assert_true(lost && after > 10);
}

static void a_stop_waits_for_the_round(void **state)
{
	struct bench *bench = *state;
	struct checkpoint last;

	commit(bench);
	checkpointer_begin(bench->checkpointer);
	checkpointer_stop(&bench->checkpointer, &last);
	assert_null(bench->checkpointer);
	/* It had begun, or had not. */
	assert_int_equal(last.rc, SQLITE_OK);
	assert_true(last.copied_pages == 0 || last.copied_pages == bench->pages);
}

/* --- the writer ------------------------------------------------------------------------- */

struct ledger {
	void *dir;
	char *log;
	struct world world;
	int64_t next_call;
};

static int ledger_make(void **state)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));

	if (ledger == NULL || unit_folder_make(&ledger->dir) != 0)
		return -1;
	disk_install();
	ledger->log = file_path(ledger->dir, "ledger.db-wal");
	ledger->world = world_open(ledger->dir);
	ledger->next_call = 100;
	*state = ledger;
	return 0;
}

static int ledger_remove(void **state)
{
	struct ledger *ledger = *state;
	int result;

	disk_heal();
	world_assert_whole(ledger->world.store);
	store_close(&ledger->world.store);
	/* All of it is in the ledger then. */
	assert_int_not_equal(access(ledger->log, F_OK), 0);
	result = unit_folder_remove(&ledger->dir);
	free(ledger->log);
	free(ledger);
	return result;
}

static int64_t log_size(const struct ledger *ledger)
{
	struct stat status;

	assert_int_equal(stat(ledger->log, &status), 0);
	return status.st_size;
}

/* A commit of so many answers. */
static void write_batch(struct ledger *ledger, int answers)
{
	char *body = calloc(1, BODY_SIZE);
	struct batch *batch = batch_new(ledger->world.now);

	for (int i = 0; i < answers; i++)
		batch_answer(batch, &(struct answer_row){.call = ledger->next_call++,
					.status = 200,
					.headers = "[]",
					.body = body,
					.body_size = BODY_SIZE,
					.expires_us = INT64_MAX});
	world_append(&ledger->world, batch);
	free(body);
}

/* Commits of answers, so many bytes in all; the last with a payment that must not be lost. */
static int64_t write_bytes(struct ledger *ledger, int64_t size)
{
	for (int64_t written = 0; written < size; written += BODY_SIZE)
		write_batch(ledger, 1);
	return world_sign(&ledger->world, 5);
}

/* The file is as long as the log ever was. */
static void the_log_begins_anew_again_and_again(void **state)
{
	struct ledger *ledger = *state;

	write_bytes(ledger, 6 * LOG_SIZE);
	assert_in_range(log_size(ledger), ROUND_SIZE, 2 * LOG_SIZE + 2 * BODY_SIZE);
}

/* While somebody reads an old state it cannot; nothing is lost, and it does when he is done. */
static void a_reader_makes_the_log_grow(void **state)
{
	struct ledger *ledger = *state;
	char *path = file_path(ledger->dir, "ledger.db");
	sqlite3 *reader = connect(path, true);
	int64_t answers = 0, size;

	must_run(reader, "BEGIN");
	assert_int_equal(number(reader, "SELECT count(*) FROM answer"), answers);
	write_bytes(ledger, 3 * LOG_SIZE);
	size = log_size(ledger);
	assert_true(size > 3 * (int64_t)LOG_SIZE);
	assert_int_equal(number(reader, "SELECT count(*) FROM answer"), answers);
	must_run(reader, "COMMIT");
	assert_int_equal(sqlite3_close(reader), SQLITE_OK);
	write_bytes(ledger, 2 * LOG_SIZE);
	/* It has been cut to the limit that it is to have (schema_connect), and went on from there.
	 */
	assert_true(log_size(ledger) < size);
	free(path);
}

/* A long log that is copied while nobody writes is followed by one that is as new as any: what the
 * round said is only heard after the commit that began it. */
static void a_round_says_nothing_of_the_log_after_its_own(void **state)
{
	struct ledger *ledger = *state;
	int64_t size, acts;

	disk_count_database_syncs();
	acts = disk_acts();
	write_batch(ledger, 2 * ROUND_SIZE / BODY_SIZE);
	/* All of it is copied: SQLite's sync, and one more. */
	assert_true(disk_wait_acts(acts + 2));
	size = log_size(ledger);
	write_bytes(ledger, 3 * ROUND_SIZE / 2);
	assert_int_equal(log_size(ledger), size);
	assert_true(disk_wait_acts(acts + 3));
}

/* The database cannot be synced once, the log always: nothing may be copied any more, since what
 * was may be lost, and the log has it all when the disk is well again and the ledger is opened. */
static void a_lost_sync_keeps_the_log(void **state)
{
	struct ledger *ledger = *state;
	char *path = file_path(ledger->dir, "ledger.db");
	sqlite3 *reader;
	int64_t payment;

	disk_break_database_sync();
	write_bytes(ledger, LOG_SIZE);
	disk_wait_failed(1);
	assert_int_equal(disk_heal(), 1);
	payment = write_bytes(ledger, 2 * LOG_SIZE);
	assert_true(log_size(ledger) > 3 * (int64_t)LOG_SIZE);
	store_close(&ledger->world.store);
	assert_true(log_size(ledger) > 3 * (int64_t)LOG_SIZE);
	ledger->world.store = world_store(ledger->dir, ledger->world.now);
	reader = connect(path, true);
	assert_int_equal(number(reader, "SELECT max(id) FROM payment"), payment);
	assert_int_equal(sqlite3_close(reader), SQLITE_OK);
	free(path);
}

/* The same at the last sync there is: closing does not copy the rest as if nothing had been, nor
 * take the log away. */
static void a_sync_lost_in_closing_keeps_the_log(void **state)
{
	struct ledger *ledger = *state;
	int64_t payment = world_sign(&ledger->world, 5);
	char *path = file_path(ledger->dir, "ledger.db");
	sqlite3 *reader;

	disk_break_database_sync();
	store_close(&ledger->world.store);
	assert_int_equal(disk_heal(), 1);
	assert_true(log_size(ledger) > 0);
	ledger->world.store = world_store(ledger->dir, ledger->world.now);
	reader = connect(path, true);
	assert_int_equal(number(reader, "SELECT max(id) FROM payment"), payment);
	assert_int_equal(sqlite3_close(reader), SQLITE_OK);
	free(path);
}

/* The checkpointer's thread first, then the writer's: without either nobody can pay, which is told,
 * and there is nothing left in the way of the next. */
static void a_ledger_needs_its_threads(void **state)
{
	struct ledger *ledger = *state;

	for (int threads = 0; threads < 2; threads++) {
		char reason[256] = "";
		struct store *store = NULL;

		store_close(&ledger->world.store);
		threads_left = threads;
		assert_int_equal(
		    store_open(&store, reason, ledger->dir, ledger->world.now), STORE_BROKEN);
		threads_left = -1;
		assert_null(store);
		assert_non_null(strstr(reason, "cannot start the thread"));
		ledger->world.store = world_store(ledger->dir, ledger->world.now);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		a_round_copies_what_is_in_the_log, bench_make, bench_remove),
	    cmocka_unit_test_setup_teardown(commits_go_on_during_rounds, bench_make, bench_remove),
	    cmocka_unit_test_setup_teardown(a_reader_holds_a_round_up, bench_make, bench_remove),
	    cmocka_unit_test_setup_teardown(
		a_round_that_fails_is_told_of, bench_make, bench_remove),
	    cmocka_unit_test_setup_teardown(a_stop_waits_for_the_round, bench_make, bench_remove),
	    cmocka_unit_test_setup_teardown(
		the_log_begins_anew_again_and_again, ledger_make, ledger_remove),
	    cmocka_unit_test_setup_teardown(
		a_reader_makes_the_log_grow, ledger_make, ledger_remove),
	    cmocka_unit_test_setup_teardown(
		a_round_says_nothing_of_the_log_after_its_own, ledger_make, ledger_remove),
	    cmocka_unit_test_setup_teardown(a_lost_sync_keeps_the_log, ledger_make, ledger_remove),
	    cmocka_unit_test_setup_teardown(
		a_sync_lost_in_closing_keeps_the_log, ledger_make, ledger_remove),
	    cmocka_unit_test_setup_teardown(a_ledger_needs_its_threads, ledger_make, ledger_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
