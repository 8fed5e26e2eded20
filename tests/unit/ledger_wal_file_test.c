/* ledger_wal_file_test - the log in few pieces: what others see of it, what a failing disk makes
 * of it, and that it is a file like any other. The disk is that of ledger_disk.h, under it. */
#include "tests/unit/ledger_disk.h"
#include "tests/unit/ledger_sql.h"

#include "common/file.h"
#include "ledger/schema.h"
#include "ledger/wal_file.h"

#define HELD_MAX ((size_t)WAL_FILE_HELD_MAX)

/* --- a database ------------------------------------------------------------------------- */

static void assert_whole(sqlite3 *db)
{
	sqlite3_stmt *stmt;

	assert_int_equal(
	    sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(stmt, 0), "ok");
	sqlite3_finalize(stmt);
}

/* The writing connection of a new database with a table; so few pages in its cache that a
 * longer transaction is written before it is committed. */
static sqlite3 *make_database(const char *path)
{
	sqlite3 *db;

	disk_install();
	assert_true(file_create(path, "", 0, 0600));
	db = connect(path, false);
	must_run(db, "CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB);"
		     "CREATE INDEX scattered ON t (body)");
	return db;
}

static void spill_soon(sqlite3 *db)
{
	must_run(db, "PRAGMA cache_size = 10; PRAGMA cache_spill = 10");
}

/* Rows of a kilobyte that no two are like. */
static char *insert(int count)
{
	return must_format("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
			   " WHERE i < %d) INSERT INTO t (body) SELECT randomblob(1000) FROM n",
	    count);
}

static void add_rows(sqlite3 *db, int count)
{
	char *sql = insert(count);

	must_run(db, sql);
	free(sql);
}

#define COUNT_ROWS "SELECT count(*) FROM t"

/* --- how many pieces ------------------------------------------------------------------------ */

static void a_commit_is_one_piece(void **state)
{
	char *path = file_path(*state, "db");
	sqlite3 *db = make_database(path);
	int64_t acts, pages;

	for (int rows = 1; rows <= 10; rows++) {
		acts = disk_acts();
		add_rows(db, rows);
		/* And its sync. */
		assert_int_equal(disk_acts() - acts, 2);
	}
	acts = disk_acts();
	pages = number(db, "PRAGMA page_count");
	add_rows(db, 500);
	pages = number(db, "PRAGMA page_count") - pages;
	assert_true(pages > 250);
	assert_true(disk_acts() - acts <= 3 + 3 * pages * 2072 / WAL_FILE_HELD_MAX);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	free(path);
}

/* --- what others see -------------------------------------------------------------------------- */

static void assert_others_see(const char *path, sqlite3 *reader, int64_t count)
{
	int status;
	pid_t child;

	assert_int_equal(number(reader, COUNT_ROWS), count);
	assert_whole(reader);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		sqlite3 *db = connect(path, true);

		_exit(number(db, COUNT_ROWS) == count ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* No more than what was committed, and no less, while pages that were not lie in the log, or
 * are held back from it. */
static void others_see_what_is_committed(void **state)
{
	char *path = file_path(*state, "db");
	sqlite3 *db = make_database(path), *reader = connect(path, true);
	int64_t count = 0;

	spill_soon(db);
	for (int round = 0; round < 6; round++) {
		must_run(db, "BEGIN");
		add_rows(db, 30 + 100 * (round % 2));
		assert_others_see(path, reader, count);
		/* Frames written once are written over, and read again for their sums. */
		must_run(db, "UPDATE t SET body = randomblob(900) WHERE id % 3 = 0;"
			     "SAVEPOINT s; DELETE FROM t WHERE id % 2 = 0; ROLLBACK TO s");
		assert_others_see(path, reader, count);
		if (round % 3 == 2) {
			must_run(db, "ROLLBACK");
		} else {
			count = number(db, COUNT_ROWS);
			must_run(db, "COMMIT");
		}
		assert_others_see(path, reader, count);
		assert_int_equal(number(db, COUNT_ROWS), count);
		assert_whole(db);
	}
	assert_true(count > 200);
	assert_int_equal(sqlite3_close(reader), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	free(path);
}

static void copy_file(const char *from, const char *to)
{
	size_t size;
	char *bytes = file_read(&size, from, 64u << 20);
	FILE *file = fopen(to, "wb");

	assert_true(bytes != NULL && file != NULL);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
	free(bytes);
}

/* A process that died in the middle: the two files as they are, and nobody's memory. */
static int64_t count_after_crash(const char *path)
{
	char *copy = must_format("%s-copy", path);
	const char *const ends[] = {"", "-wal"};
	sqlite3 *db;
	int64_t count;

	for (size_t i = 0; i < COUNT(ends); i++) {
		char *from = must_format("%s%s", path, ends[i]);
		char *to = must_format("%s%s", copy, ends[i]);

		copy_file(from, to);
		free(from);
		free(to);
	}
	db = connect(copy, false);
	count = number(db, COUNT_ROWS);
	assert_whole(db);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	free(copy);
	return count;
}

static void a_crash_leaves_what_was_committed(void **state)
{
	char *path = file_path(*state, "db");
	sqlite3 *db = make_database(path);
	int64_t count = 0;

	for (int round = 0; round < 6; round++) {
		must_run(db, "BEGIN");
		add_rows(db, 1 + 40 * round);
		if (round == 3)
			spill_soon(db);
		assert_int_equal(count_after_crash(path), count);
		count = number(db, COUNT_ROWS);
		must_run(db, "COMMIT");
		assert_int_equal(count_after_crash(path), count);
	}
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	free(path);
}

/* Checkpoints by the writer and by another connection, a log begun anew, a log cut off, a copy
 * of the whole while a transaction is open. */
static void the_log_begins_anew(void **state)
{
	char *path = file_path(*state, "db"), *copy = file_path(*state, "copy");
	sqlite3 *db = make_database(path), *other = connect(path, false), *to;
	sqlite3_backup *backup;
	int64_t count = 0;

	for (int round = 0; round < 40; round++) {
		sqlite3 *whose = round % 2 ? db : other;
		int mode = round % 10 == 9 ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE,
		    frames, done;

		add_rows(db, 1 + round % 7 * 10);
		count = number(db, COUNT_ROWS);
		assert_int_equal(number(other, COUNT_ROWS), count);
		assert_int_equal(
		    sqlite3_wal_checkpoint_v2(whose, NULL, mode, &frames, &done), SQLITE_OK);
		/* One commit at most is in a log that begins anew after each. */
		assert_true(frames == done && frames < 400);
	}
	must_run(db, "BEGIN");
	spill_soon(db);
	add_rows(db, 100);
	assert_int_equal(sqlite3_open(copy, &to), SQLITE_OK);
	backup = sqlite3_backup_init(to, "main", other, "main");
	assert_non_null(backup);
	assert_int_equal(sqlite3_backup_step(backup, -1), SQLITE_DONE);
	assert_int_equal(sqlite3_backup_finish(backup), SQLITE_OK);
	assert_int_equal(number(to, COUNT_ROWS), count);
	assert_whole(to);
	must_run(db, "COMMIT");
	assert_int_equal(number(other, COUNT_ROWS), count + 100);
	assert_int_equal(sqlite3_close(to), SQLITE_OK);
	assert_int_equal(sqlite3_close(other), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	free(path);
	free(copy);
}

/* --- a disk that fails --------------------------------------------------------------------------
 */

/* What was told is what is there, to others, to a crash and to the connection itself. True:
 * something failed. */
static bool commit_while_failing(
    sqlite3 *db, const char *path, int64_t after, enum disk_failure how)
{
	int64_t before = number(db, COUNT_ROWS), count;
	sqlite3 *reader = connect(path, true);
	bool told_ok, failed;
	char *sql = insert(120);

	disk_break(after, 1, how);
	told_ok = sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK &&
		  sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK &&
		  sqlite3_exec(db, "UPDATE t SET body = randomblob(9) WHERE id % 5 = 1", NULL, NULL,
		      NULL) == SQLITE_OK &&
		  sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
	failed = disk_heal() > 0;
	if (!sqlite3_get_autocommit(db))
		must_run(db, "ROLLBACK");
	/* A full disk can be synced. */
	assert_true(told_ok == !failed || (told_ok && how == DISK_FULL));
	count = told_ok ? before + 120 : before;
	assert_int_equal(number(reader, COUNT_ROWS), count);
	assert_int_equal(number(db, COUNT_ROWS), count);
	assert_whole(reader);
	/* A commit that failed at its sync may be there after a crash, as it always might. */
	if (told_ok)
		assert_int_equal(count_after_crash(path), count);
	assert_int_equal(sqlite3_close(reader), SQLITE_OK);
	/* And it goes on. */
	must_run(db, "INSERT INTO t (body) VALUES (randomblob(5000))");
	assert_int_equal(count_after_crash(path), count + 1);
	must_run(db, "DELETE FROM t; PRAGMA wal_checkpoint(TRUNCATE)");
	free(sql);
	return failed;
}

static void each_act_of_a_commit_fails(void **state)
{
	static const enum disk_failure hows[] = {DISK_ERROR, DISK_FULL, DISK_HALF, DISK_DONE};
	char *path = file_path(*state, "db");
	sqlite3 *db = make_database(path);

	for (int spills = 0; spills <= 1; spills++) {
		for (size_t i = 0; i < COUNT(hows); i++) {
			int64_t after = 0;

			while (commit_while_failing(db, path, after, hows[i]))
				after++;
			assert_true(after >= 5);
		}
		spill_soon(db);
	}
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	free(path);
}

/* --- a file like any other
 * ------------------------------------------------------------------------ */

#define MODEL_SIZE (4 * HELD_MAX)

struct model {
	sqlite3_file *file, *plain; /* through the layer, and past it */
	unsigned char bytes[MODEL_SIZE], read[MODEL_SIZE];
	int64_t size;
	uint32_t random;
};

static uint32_t below(struct model *model, size_t limit)
{
	model->random = model->random * UINT32_C(1664525) + UINT32_C(1013904223);
	return (uint32_t)(((uint64_t)model->random * limit) >> 32);
}

/* A log takes its mode from the database beside it. */
static char *make_log(const char *folder)
{
	char *database = file_path(folder, "file"), *log = file_path(folder, "file-wal");

	disk_install();
	assert_true(file_create(database, "", 0, 0600));
	free(database);
	return log;
}

static sqlite3_file *open_with(const char *name, const char *path)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(name);
	sqlite3_file *file = calloc(1, (size_t)vfs->szOsFile);
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_WAL;

	assert_non_null(file);
	assert_int_equal(vfs->xOpen(vfs, path, file, flags, &flags), SQLITE_OK);
	return file;
}

static void close_file(sqlite3_file *file)
{
	assert_int_equal(file->pMethods->xClose(file), SQLITE_OK);
	free(file);
}

static int64_t real_size(sqlite3_file *file)
{
	sqlite3_int64 size;

	assert_int_equal(file->pMethods->xFileSize(file, &size), SQLITE_OK);
	return size;
}

static void assert_same(struct model *model, sqlite3_file *file)
{
	assert_int_equal(real_size(file), model->size);
	if (model->size > 0)
		assert_int_equal(
		    file->pMethods->xRead(file, model->read, (int)model->size, 0), SQLITE_OK);
	assert_memory_equal(model->read, model->bytes, model->size);
}

/* After an error that gives a transaction up, what is there is what counts. */
static void look_again(struct model *model)
{
	model->size = real_size(model->plain);
	memset(model->bytes, 0, sizeof(model->bytes));
	if (model->size > 0)
		assert_int_equal(
		    model->plain->pMethods->xRead(model->plain, model->bytes, (int)model->size, 0),
		    SQLITE_OK);
}

static void write_some(struct model *model, int64_t at, size_t size)
{
	const struct sqlite3_io_methods *methods = model->file->pMethods;

	for (size_t i = 0; i < size; i++)
		model->bytes[(size_t)at + i] = (unsigned char)below(model, 256);
	if (methods->xWrite(model->file, model->bytes + at, (int)size, at) != SQLITE_OK)
		look_again(model);
	else if (at + (int64_t)size > model->size)
		model->size = at + (int64_t)size;
}

static void read_some(struct model *model, int64_t at, size_t size)
{
	int rc = model->file->pMethods->xRead(model->file, model->read, (int)size, at);

	if (rc == SQLITE_OK || rc == SQLITE_IOERR_SHORT_READ)
		assert_memory_equal(model->read, model->bytes + at, size);
	if (rc == SQLITE_OK)
		assert_true(at + (int64_t)size <= model->size);
	if (rc == SQLITE_IOERR_SHORT_READ)
		assert_true(at + (int64_t)size > model->size);
}

static void sync_all(struct model *model)
{
	if (model->file->pMethods->xSync(model->file, SQLITE_SYNC_NORMAL) == SQLITE_OK)
		assert_same(model, model->plain);
	else
		look_again(model);
}

static void cut(struct model *model, int64_t size)
{
	if (model->file->pMethods->xTruncate(model->file, size) != SQLITE_OK) {
		look_again(model);
		return;
	}
	memset(model->bytes + size, 0, MODEL_SIZE - (size_t)size);
	model->size = size;
}

static void ask_size(struct model *model)
{
	sqlite3_int64 size;

	if (model->file->pMethods->xFileSize(model->file, &size) == SQLITE_OK)
		assert_int_equal(size, model->size);
}

static void one_step(struct model *model, int64_t *at)
{
	size_t size = 1 + below(model, 1u << below(model, 17));

	switch (below(model, 24)) {
	case 0:
		sync_all(model);
		break;
	case 1:
		cut(model, below(model, (size_t)model->size + 1));
		break;
	case 2:
		ask_size(model);
		break;
	case 3:
	case 4:
		read_some(model, below(model, MODEL_SIZE - size), size);
		break;
	case 5:
		*at = below(model, MODEL_SIZE - size);
		break;
	default:
		/* Most follow one another. A hole is as the model has it: zeros. */
		if ((size_t)*at + size > MODEL_SIZE)
			*at = 0;
		write_some(model, *at, size);
		*at += (int64_t)size;
	}
}

/* With a disk that is well, and with one on which each thirtieth act fails somehow. */
static void it_is_a_file(void **state)
{
	char *path = make_log(*state);
	struct model *model = calloc(1, sizeof(*model));
	int64_t at = 0;

	assert_non_null(model);
	model->file = open_with(wal_file_vfs(), path);
	model->plain = open_with("unix", path);
	for (int step = 0; step < 30000; step++) {
		if (step > 10000 && step % 100 == 0) {
			disk_heal();
			disk_break(below(model, 30), 1, below(model, DISK_DONE + 1));
		}
		one_step(model, &at);
	}
	disk_heal();
	assert_same(model, model->file);
	write_some(model, model->size / 2, 24);
	close_file(model->file);
	assert_same(model, model->plain);
	close_file(model->plain);
	free(model);
	free(path);
}

/* Asked for what could not be written, it says so each time, and has it still. */
static void what_cannot_be_written_is_not_forgotten(void **state)
{
	char *path = make_log(*state), bytes[100], read[100];
	sqlite3_file *file;
	sqlite3_int64 size;

	memset(bytes, 7, sizeof(bytes));
	file = open_with(wal_file_vfs(), path);
	disk_break(0, INT64_MAX, DISK_FULL);
	assert_int_equal(file->pMethods->xWrite(file, bytes, sizeof(bytes), 0), SQLITE_OK);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(file->pMethods->xRead(file, read, sizeof(read), 0), SQLITE_FULL);
		assert_int_equal(file->pMethods->xFileSize(file, &size), SQLITE_FULL);
	}
	assert_int_equal(file->pMethods->xSync(file, SQLITE_SYNC_NORMAL), SQLITE_FULL);
	disk_heal();
	assert_int_equal(file->pMethods->xWrite(file, bytes, sizeof(bytes), 0), SQLITE_OK);
	disk_break(0, 2, DISK_ERROR);
	assert_int_equal(file->pMethods->xRead(file, read, sizeof(read), 0), SQLITE_IOERR_WRITE);
	assert_int_equal(file->pMethods->xFileSize(file, &size), SQLITE_IOERR_WRITE);
	assert_int_equal(file->pMethods->xSync(file, SQLITE_SYNC_NORMAL), SQLITE_OK);
	assert_int_equal(file->pMethods->xRead(file, read, sizeof(read), 0), SQLITE_OK);
	assert_memory_equal(read, bytes, sizeof(bytes));
	/* What is cut off need not be written first. */
	assert_int_equal(file->pMethods->xWrite(file, bytes, sizeof(bytes), 100), SQLITE_OK);
	disk_break(0, 1, DISK_ERROR);
	assert_int_equal(file->pMethods->xTruncate(file, 50), SQLITE_IOERR_TRUNCATE);
	disk_heal();
	assert_int_equal(file->pMethods->xTruncate(file, 50), SQLITE_OK);
	assert_int_equal(real_size(file), 50);
	close_file(file);
	free(path);
}

/* What is asked of the disk comes from the disk; the database is not touched at all. */
static void the_rest_passes_through(void **state)
{
	char *path = file_path(*state, "db"), *missing = file_path(*state, "none/db-wal");
	sqlite3 *db = make_database(path), *plain = connect(path, true);
	sqlite3_vfs *vfs = sqlite3_vfs_find(wal_file_vfs());
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_WAL, out = 5;
	sqlite3_file *file, *other, *log, *opened;

	assert_ptr_not_equal(vfs, sqlite3_vfs_find(NULL));
	assert_int_equal(
	    sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file), SQLITE_OK);
	assert_int_equal(
	    sqlite3_file_control(plain, "main", SQLITE_FCNTL_FILE_POINTER, &other), SQLITE_OK);
	assert_ptr_equal(file->pMethods, other->pMethods);
	assert_int_equal(
	    sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log), SQLITE_OK);
	assert_ptr_not_equal(log->pMethods, file->pMethods);
	assert_int_equal(log->pMethods->xSectorSize(log), file->pMethods->xSectorSize(file));
	assert_int_equal(log->pMethods->xDeviceCharacteristics(log),
	    file->pMethods->xDeviceCharacteristics(file));
	assert_int_equal(
	    log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &out), SQLITE_OK);
	assert_int_equal(out, 0);
	assert_int_equal(log->pMethods->xFileControl(log, -1, &out), SQLITE_NOTFOUND);
	/* Nobody locks a log. */
	assert_int_equal(log->pMethods->xLock(log, SQLITE_LOCK_SHARED), SQLITE_OK);
	assert_int_equal(log->pMethods->xCheckReservedLock(log, &out), SQLITE_OK);
	assert_int_equal(out, 0);
	assert_int_equal(log->pMethods->xUnlock(log, SQLITE_LOCK_NONE), SQLITE_OK);

	opened = calloc(1, (size_t)vfs->szOsFile);
	assert_non_null(opened);
	assert_int_equal(vfs->xOpen(vfs, missing, opened, flags, &flags), SQLITE_IOERR_FSTAT);
	assert_null(opened->pMethods);
	free(opened);
	assert_int_equal(sqlite3_close(plain), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	free(path);
	free(missing);
}

#define folder_test(test)                                                                          \
	cmocka_unit_test_setup_teardown(test, unit_folder_make, unit_folder_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    folder_test(a_commit_is_one_piece),
	    folder_test(others_see_what_is_committed),
	    folder_test(a_crash_leaves_what_was_committed),
	    folder_test(the_log_begins_anew),
	    folder_test(each_act_of_a_commit_fails),
	    folder_test(it_is_a_file),
	    folder_test(what_cannot_be_written_is_not_forgotten),
	    folder_test(the_rest_passes_through),
	};

	return unit_run(tests);
}
