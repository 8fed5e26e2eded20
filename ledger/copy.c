/* ledger/copy.c - store_backup of store.h: the whole ledger as one file of its own. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "ledger/schema.h"
#include "ledger/store_parts.h"

static enum store_result say(char reason[256], const char *what, const char *path)
{
	snprintf(reason, 256, "%s %.160s: %s", what, path, strerror(errno));
	return STORE_BROKEN;
}

static enum store_result make_file(char reason[256], const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EEXIST) {
		snprintf(reason, 256, "%.200s exists already", path);
		return STORE_EXISTS;
	}
	if (fd < 0)
		return say(reason, "cannot make", path);
	close(fd);
	return STORE_OK;
}

static bool set(sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

/* All pages in one step: the source is one moment of the ledger, while the writer goes on in its
 * write-ahead log. In several steps a ledger that is written to would begin again each time. */
static bool copy_pages(char reason[256], sqlite3 *to, sqlite3 *from)
{
	sqlite3_backup *copying = sqlite3_backup_init(to, "main", from, "main");
	int rc;

	if (copying == NULL) {
		schema_reason(reason, "cannot copy the ledger", to);
		return false;
	}
	rc = sqlite3_backup_step(copying, -1);
	if (sqlite3_backup_finish(copying) == SQLITE_OK && rc == SQLITE_DONE)
		return true;
	schema_reason(reason, "cannot copy the ledger", to);
	return false;
}

/* No log beside it: what was made is one file, and the settings of a ledger come back when it
 * is opened as one. */
static bool is_a_ledger(char reason[256], sqlite3 *db)
{
	int64_t application, version, records, whole;

	if (!set(db, "PRAGMA journal_mode = DELETE") ||
	    !schema_number(&application, db, "PRAGMA application_id") ||
	    !schema_number(&version, db, "PRAGMA user_version") ||
	    !schema_number(&records, db, "SELECT coalesce(max(seq), 0) FROM record") ||
	    !schema_number(&whole, db,
		"SELECT count(*) FROM record WHERE seq = (SELECT max(seq) FROM record)")) {
		schema_reason(reason, "the copy cannot be read", db);
		return false;
	}
	if (application == SCHEMA_APPLICATION_ID && version == SCHEMA_VERSION &&
	    whole == (records > 0))
		return true;
	snprintf(reason, 256, "the copy is not what was copied");
	return false;
}

/* path has a slash: it is a name and no URI. */
static enum store_result copy_into(char reason[256], const char *path, sqlite3 *from)
{
	enum store_result result = STORE_BROKEN;
	sqlite3 *to = NULL;

	if (sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
	    SQLITE_OK)
		schema_reason(reason, "cannot open the copy", to);
	/* Nobody needs half of it: no journal, and one fsync when all is there. */
	else if (!set(to, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF"))
		schema_reason(reason, "cannot open the copy", to);
	else if (copy_pages(reason, to, from))
		result = STORE_OK;
	sqlite3_close(to);
	to = NULL;
	if (result != STORE_OK)
		return result;
	result = STORE_BROKEN;
	if (sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
	    SQLITE_OK)
		schema_reason(reason, "the copy cannot be opened", to);
	else if (is_a_ledger(reason, to))
		result = STORE_OK;
	sqlite3_close(to);
	return result;
}

static enum store_result sync_file(char reason[256], const char *path)
{
	enum store_result result = STORE_OK;
	char *folder = file_folder_of(path);
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fsync(fd) != 0 || !file_sync_folder(folder))
		result = say(reason, "cannot write", path);
	if (fd >= 0)
		close(fd);
	free(folder);
	return result;
}

static void remove_all(const char *path)
{
	static const char *const ends[] = {"", "-journal", "-wal", "-shm"};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		char *name = must_format("%s%s", path, ends[i]);

		unlink(name);
		free(name);
	}
}

enum store_result store_backup(struct store *store, char reason[256], const char *path)
{
	/* "file:…" would be read as a URI. */
	char *name = strchr(path, '/') == NULL ? must_format("./%s", path) : must_strdup(path);
	enum store_result result = make_file(reason, name);
	struct reader *reader;

	if (result != STORE_OK) {
		free(name);
		return result;
	}
	reader = reader_take(store->readers);
	if (reader == NULL) {
		snprintf(reason, 256, "the ledger cannot be read");
		result = STORE_BROKEN;
	} else {
		result = copy_into(reason, name, reader->db);
		reader_give(store->readers, &reader);
	}
	if (result == STORE_OK)
		result = sync_file(reason, name);
	if (result != STORE_OK)
		remove_all(name);
	free(name);
	return result;
}
