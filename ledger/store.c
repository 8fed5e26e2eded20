/* ledger/store.c - see store.h: the folder, its lock, ids, and the door to the rest. */
#include "ledger/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/file.h"
#include "common/log.h"
#include "common/wait.h"
#include "ledger/redo.h"
#include "ledger/schema.h"
#include "ledger/store_parts.h"

#define STORE_FILE "ledger.db"
#define LOCK_FILE  "lock"
/* What DIR/redo can hold is written in a tenth of a second; a disk may stand still for longer. */
#define RECOVER_MS 60000u

const char *store_result_str(enum store_result result)
{
	switch (result) {
	case STORE_OK:
		return "ok";
	case STORE_NOT_FOUND:
		return "not found";
	case STORE_LOCKED:
		return "in use by another process";
	case STORE_NEWER_SCHEMA:
		return "written by a newer program";
	case STORE_EXISTS:
		return "exists already";
	case STORE_BROKEN:
		return "broken";
	case STORE_TOO_LONG:
		return "too long";
	}
	return "?";
}

const char *journal_event_str(enum journal_event event)
{
	switch (event) {
	case JOURNAL_DEPOSIT:
		return "deposit";
	case JOURNAL_WITHDRAW:
		return "withdraw";
	case JOURNAL_SIGN:
		return "sign";
	case JOURNAL_SETTLE:
		return "settle";
	case JOURNAL_REFUND:
		return "refund";
	case JOURNAL_HOLD:
		return "hold";
	case JOURNAL_CHARGE:
		return "charge";
	case JOURNAL_RELEASE:
		return "release";
	case JOURNAL_REOPEN:
		return "reopen";
	}
	return "?";
}

const char *evidence_kind_str(enum evidence_kind kind)
{
	switch (kind) {
	case EVIDENCE_USED:
		return "used";
	case EVIDENCE_CANCELLED:
		return "cancelled";
	case EVIDENCE_UNUSED:
		return "unused";
	case EVIDENCE_GONE:
		return "gone";
	case EVIDENCE_DISAGREES:
		return "disagrees";
	case EVIDENCE_REFUND:
		return "refund";
	}
	return "?";
}

static enum store_result locked_by(char reason[256], int fd, const char *dir)
{
	char pid[24] = "";
	ssize_t size = pread(fd, pid, sizeof(pid) - 1, 0);

	if (size < 0)
		size = 0;
	pid[size] = '\0';
	pid[strspn(pid, "0123456789")] = '\0';
	snprintf(reason, 256, "%.160s is in use by process %s", dir,
	    pid[0] == '\0' ? "(unknown)" : pid);
	return STORE_LOCKED;
}

/* The file stays when the lock is let go: removing it would let two processes each lock
 * a file of that name. */
static enum store_result take_lock(int *out_fd, char reason[256], const char *dir)
{
	enum store_result result = STORE_BROKEN;
	char *path = file_path(dir, LOCK_FILE);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0) {
		snprintf(reason, 256, "cannot open %.160s: %s", path, strerror(errno));
		goto out;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno == EWOULDBLOCK)
			result = locked_by(reason, fd, dir);
		else
			snprintf(reason, 256, "cannot lock %.160s: %s", path, strerror(errno));
		goto out;
	}
	if (ftruncate(fd, 0) != 0 || dprintf(fd, "%ld\n", (long)getpid()) < 0) {
		snprintf(reason, 256, "cannot write %.160s: %s", path, strerror(errno));
		goto out;
	}
	*out_fd = fd;
	fd = -1;
	result = STORE_OK;
out:
	if (fd >= 0)
		close(fd);
	free(path);
	return result;
}

/* The number after the largest id any table holds is free. Calls named by the cache
 * may be younger than every row. */
static bool last_id_of(int64_t *out, sqlite3 *db)
{
	struct buf sql;
	bool ok;

	buf_init(&sql, 4096);
	buf_add_str(&sql, "SELECT max(id) FROM (SELECT max(call) AS id FROM idempotency");
	for (int table = TABLE_FIRST; table <= TABLE_LAST; table++) {
		const struct table_form *form = schema_table((enum table)table);

		if (table != TABLE_IDEMPOTENCY)
			buf_add_format(&sql, " UNION ALL SELECT max(%s) FROM %s",
			    form->columns[0], form->name);
	}
	buf_add_str(&sql, ")");
	must(buf_ok(&sql));
	ok = schema_number(out, db, buf_str(&sql));
	buf_fini(&sql);
	return ok;
}

/* What has expired while nobody was here; later the writer does it in passing. */
static bool drop_expired(sqlite3 *db, int64_t now_us)
{
	char sql[160];

	snprintf(sql, sizeof(sql),
	    "DELETE FROM idempotency WHERE expires_us <= %lld;"
	    "DELETE FROM answer WHERE expires_us <= %lld;",
	    (long long)now_us, (long long)now_us);
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

/* What was written beside the database at the last commit, against the database. From here
 * on the writer rewrites it, unless it says more than the database has. *known: the end of the
 * journal that the database has as well. */
static void open_slot(struct head *known, struct store *store, sqlite3 *db)
{
	char *path = file_path(store->dir, HEAD_FILE);
	struct heads heads;

	switch (head_read(&heads, path)) {
	case HEAD_OK:
		if (head_in(store->behind, db, &heads))
			*known = heads.journal;
		else
			log_event(LOG_ERROR, "ledger_behind", "reason", store->behind, NULL);
		break;
	case HEAD_ABSENT:
		break;
	case HEAD_DAMAGED:
	case HEAD_IO:
		snprintf(store->slot_damage, sizeof(store->slot_damage),
		    "%.160s was damaged when the ledger was opened: it could not be compared",
		    path);
		log_event(LOG_ERROR, "head_damaged", "path", path, NULL);
		break;
	}
	if (store->behind[0] == '\0') {
		store->slot = head_slot_open(path);
		if (store->slot == NULL)
			log_event(LOG_ERROR, "head_not_written", "path", path, "reason",
			    strerror(errno), NULL);
	}
	free(path);
}

static enum store_result start(struct store *store, char reason[256], const char *path,
    int64_t now_us)
{
	sqlite3 *db = NULL;
	enum store_result result = schema_connect(&db, reason, path, false);
	struct head known = {.rows = 0};
	int64_t last_id;
	char *redo;

	if (result != STORE_OK)
		return result;
	result = schema_migrate(db, reason);
	if (result == STORE_OK && !(last_id_of(&last_id, db) && drop_expired(db, now_us))) {
		schema_reason(reason, "cannot start on the ledger", db);
		result = STORE_BROKEN;
	}
	if (result == STORE_OK) {
		atomic_init(&store->last_id, last_id);
		open_slot(&known, store, db);
		/* Rows of what came after an older ledger are not for it. */
		redo = store->behind[0] == '\0' ? file_path(store->dir, REDO_FILE) : NULL;
		result = writer_start(
		    &store->writer, reason, db, &store->last_id, &known, store->slot, redo);
		free(redo);
	}
	if (result != STORE_OK) {
		head_slot_close(&store->slot);
		sqlite3_close(db);
	}
	return result;
}

enum store_result store_create(char reason[256], const char *dir)
{
	char *path = file_path(dir, STORE_FILE);
	enum store_result result;
	sqlite3 *db = NULL;
	int lock_fd = -1;

	if (access(path, F_OK) == 0) {
		snprintf(reason, 256, "there is a ledger in %.160s already", dir);
		result = STORE_EXISTS;
		goto out;
	}
	result = take_lock(&lock_fd, reason, dir);
	if (result != STORE_OK)
		goto out;
	/* An empty file is a ledger of version 0, so a crash from here on leaves one that
	 * store_open completes. */
	if (!file_create(path, "", 0, 0600)) {
		result = errno == EEXIST ? STORE_EXISTS : STORE_BROKEN;
		snprintf(reason, 256, "cannot create %.160s: %s", path, strerror(errno));
		goto out;
	}
	result = schema_connect(&db, reason, path, false);
	if (result == STORE_OK)
		result = schema_migrate(db, reason);
	sqlite3_close(db);
	if (result != STORE_OK)
		unlink(path);
out:
	if (lock_fd >= 0)
		close(lock_fd);
	free(path);
	return result;
}

enum store_result store_open(struct store **out, char reason[256], const char *dir, int64_t now_us)
{
	struct store *store = must_calloc(1, sizeof(*store));
	char *path = file_path(dir, STORE_FILE);
	enum store_result result;

	store->lock_fd = -1;
	store->dir = must_strdup(dir);
	if (access(path, F_OK) != 0 && errno == ENOENT) {
		snprintf(reason, 256, "there is no ledger in %.160s", dir);
		result = STORE_NOT_FOUND;
		goto out;
	}
	result = take_lock(&store->lock_fd, reason, dir);
	if (result == STORE_OK)
		result = start(store, reason, path, now_us);
	if (result != STORE_OK)
		goto out;
	store->readers = readers_new(path);
	/* What the last process left is there for whoever reads. A disk that fails is health's to
	 * tell, and the writer goes on trying. */
	if (store_queued(store) > 0 && store_flush(store, now_us, RECOVER_MS) != STORE_OK)
		log_event(LOG_ERROR, "ledger_rows_not_recovered_yet", NULL);
	*out = store;
	store = NULL;
out:
	if (store != NULL && store->lock_fd >= 0)
		close(store->lock_fd);
	if (store != NULL)
		free(store->dir);
	free(store);
	free(path);
	return result;
}

void store_close(struct store **store)
{
	if (*store == NULL)
		return;
	readers_free(&(*store)->readers);
	writer_stop(&(*store)->writer);
	head_slot_close(&(*store)->slot);
	close((*store)->lock_fd);
	free((*store)->dir);
	free(*store);
	*store = NULL;
}

int64_t store_next_id(struct store *store, int64_t now_us)
{
	return writer_next_id(&store->last_id, now_us);
}

enum store_result store_health(struct store *store, char reason[256])
{
	return writer_health(store->writer, reason);
}

static bool say_trouble(char reason[256], const char trouble[256])
{
	if (trouble[0] == '\0')
		return false;
	memcpy(reason, trouble, 256);
	return true;
}

bool store_behind(const struct store *store, char reason[256])
{
	return say_trouble(reason, store->behind);
}

bool store_slot_damaged(const struct store *store, char reason[256])
{
	return say_trouble(reason, store->slot_damage);
}

size_t store_queued(const struct store *store)
{
	return writer_queued(store->writer);
}

void store_set_answers_max(struct store *store, int64_t bytes)
{
	must(bytes >= 0);
	writer_set_answers_max(store->writer, bytes);
}

void store_append(struct store *store, struct batch **batch, store_done_fn *done, void *arg)
{
	writer_append(store->writer, batch, done, arg);
}

void store_expect(struct store *store)
{
	writer_expect(store->writer);
}

/* Of two: the one who waits, and the writer that will tell him. The last of them frees it. */
struct waiting {
	pthread_mutex_t lock;
	pthread_cond_t told;
	bool done, left;
	enum store_result result;
};

static struct waiting *waiting_new(void)
{
	struct waiting *waiting = must_calloc(1, sizeof(*waiting));

	must(pthread_mutex_init(&waiting->lock, NULL) == 0);
	wait_init(&waiting->told);
	return waiting;
}

static void waiting_free(struct waiting *waiting)
{
	pthread_cond_destroy(&waiting->told);
	pthread_mutex_destroy(&waiting->lock);
	free(waiting);
}

static void stop_waiting(enum store_result result, void *arg)
{
	struct waiting *waiting = arg;
	bool left;

	pthread_mutex_lock(&waiting->lock);
	waiting->result = result;
	waiting->done = true;
	left = waiting->left;
	pthread_cond_signal(&waiting->told);
	pthread_mutex_unlock(&waiting->lock);
	if (left)
		waiting_free(waiting);
}

enum store_result store_append_wait(struct store *store, struct batch **batch)
{
	struct waiting *waiting = waiting_new();
	enum store_result result;

	store_append(store, batch, stop_waiting, waiting);
	pthread_mutex_lock(&waiting->lock);
	while (!waiting->done)
		pthread_cond_wait(&waiting->told, &waiting->lock);
	result = waiting->result;
	pthread_mutex_unlock(&waiting->lock);
	waiting_free(waiting);
	return result;
}

enum store_result store_flush(struct store *store, int64_t now_us, uint32_t ms)
{
	struct waiting *waiting = waiting_new();
	struct wait_end end = wait_end_in(ms);
	struct batch *batch = batch_new(now_us);
	enum store_result result;
	bool done;

	store_append(store, &batch, stop_waiting, waiting);
	pthread_mutex_lock(&waiting->lock);
	while (!waiting->done && wait_until(&waiting->told, &waiting->lock, &end))
		;
	done = waiting->done;
	waiting->left = !done;
	result = done ? waiting->result : STORE_BROKEN;
	pthread_mutex_unlock(&waiting->lock);
	if (done)
		waiting_free(waiting);
	return result;
}
