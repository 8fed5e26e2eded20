/* tests/unit/ledger_disk.h - a disk that fails when it is told to.
 *
 * A SQLite VFS around the real one. Every write, truncation and sync of a database or its
 * write-ahead log is one act, and acts are counted; those from `from` up to `until` fail as
 * `how` says. So a test can let each single act of a story fail in turn, and know that it
 * had them all when a story ends with no failure left to happen. */
#ifndef TESTS_UNIT_LEDGER_DISK_H
#define TESTS_UNIT_LEDGER_DISK_H

#include "tests/unit/unit.h"

#include <pthread.h>
#include <sqlite3.h>
#include <time.h>

enum disk_failure {
	DISK_ERROR = 0,      /* nothing is written */
	DISK_FULL = 1,       /* the same, by another name; a sync succeeds */
	DISK_HALF = 2,       /* half of it is written, then an error */
	DISK_DONE = 3,       /* all of it is done, and an error is told */
	DISK_KILL = 4,       /* the process ends before */
	DISK_KILL_AFTER = 5, /* … and right after */
	DISK_STALL = 6,      /* it hangs until disk_heal(), and is done then */
};

struct disk {
	pthread_mutex_t lock;
	pthread_cond_t acted;
	int64_t acts;        /* so far */
	int64_t from, until; /* fail; until 0: none */
	int64_t failed, synced;
	bool syncs_only;     /* only syncs are acts */
	bool databases_only; /* not what is done to logs */
	enum disk_failure how;
	sqlite3_vfs vfs, *real;
};

static struct disk disk = {.lock = PTHREAD_MUTEX_INITIALIZER, .acted = PTHREAD_COND_INITIALIZER};

struct disk_file {
	sqlite3_file base;
	bool watched, database;
	sqlite3_file real[]; /* the real one's bytes */
};

static inline sqlite3_file *disk_real(sqlite3_file *file)
{
	return ((struct disk_file *)file)->real;
}

/* From now on `count` acts fail after `after` more that do not. */
static inline void disk_break(int64_t after, int64_t count, enum disk_failure how)
{
	pthread_mutex_lock(&disk.lock);
	disk.from = disk.acts + after;
	disk.until = count > INT64_MAX - disk.from ? INT64_MAX : disk.from + count;
	disk.how = how;
	disk.failed = 0;
	pthread_mutex_unlock(&disk.lock);
}

/* The same, counting syncs alone: few, and what is decided is decided there. */
static inline void disk_break_sync(int64_t after, int64_t count, enum disk_failure how)
{
	pthread_mutex_lock(&disk.lock);
	disk.syncs_only = true;
	pthread_mutex_unlock(&disk.lock);
	disk_break(after, count, how);
}

/* The next sync of a database fails, whenever it comes. */
static inline void disk_break_database_sync(void)
{
	pthread_mutex_lock(&disk.lock);
	disk.databases_only = true;
	pthread_mutex_unlock(&disk.lock);
	disk_break_sync(0, 1, DISK_ERROR);
}

/* None fails; but from now on syncs of databases alone are acts. */
static inline void disk_count_database_syncs(void)
{
	pthread_mutex_lock(&disk.lock);
	disk.databases_only = true;
	pthread_mutex_unlock(&disk.lock);
	disk_break_sync(0, 0, DISK_ERROR);
}

/* How many acts failed. */
static inline int64_t disk_heal(void)
{
	int64_t failed;

	pthread_mutex_lock(&disk.lock);
	disk.until = 0;
	disk.synced = 0;
	disk.syncs_only = disk.databases_only = false;
	failed = disk.failed;
	pthread_cond_broadcast(&disk.acted);
	pthread_mutex_unlock(&disk.lock);
	return failed;
}

static inline int64_t disk_acts(void)
{
	int64_t acts;

	pthread_mutex_lock(&disk.lock);
	acts = disk.acts;
	pthread_mutex_unlock(&disk.lock);
	return acts;
}

/* Until there have been so many acts in all. False: not within half a minute. */
static inline bool disk_wait_acts(int64_t acts)
{
	struct timespec end;
	int rc = 0;
	bool there;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 30;
	pthread_mutex_lock(&disk.lock);
	while (disk.acts < acts && rc == 0)
		rc = pthread_cond_timedwait(&disk.acted, &disk.lock, &end);
	there = disk.acts >= acts;
	pthread_mutex_unlock(&disk.lock);
	return there;
}

/* Until so many acts have failed since disk_break(). */
static inline void disk_wait_failed(int64_t count)
{
	pthread_mutex_lock(&disk.lock);
	while (disk.failed < count)
		pthread_cond_wait(&disk.acted, &disk.lock);
	pthread_mutex_unlock(&disk.lock);
}

/* Until something has been synced since disk_heal(). */
static inline void disk_wait_synced(void)
{
	pthread_mutex_lock(&disk.lock);
	while (disk.synced == 0)
		pthread_cond_wait(&disk.acted, &disk.lock);
	pthread_mutex_unlock(&disk.lock);
}

/* Counts one act; true: it fails. */
static inline bool disk_act(const sqlite3_file *file, bool sync, enum disk_failure *how)
{
	const struct disk_file *opened = (const struct disk_file *)file;
	bool counts, fails;

	if (!opened->watched)
		return false;
	pthread_mutex_lock(&disk.lock);
	counts = (sync || !disk.syncs_only) && (opened->database || !disk.databases_only);
	fails = counts && disk.acts >= disk.from && disk.acts < disk.until;
	disk.acts += counts;
	disk.failed += fails;
	*how = disk.how;
	pthread_cond_broadcast(&disk.acted);
	while (fails && *how == DISK_STALL && disk.until != 0)
		pthread_cond_wait(&disk.acted, &disk.lock);
	fails = fails && *how != DISK_STALL;
	pthread_mutex_unlock(&disk.lock);
	if (fails && *how == DISK_KILL)
		_exit(0);
	return fails;
}

static inline int disk_outcome(bool fails, enum disk_failure how, int rc, int error)
{
	if (!fails)
		return rc;
	if (how == DISK_KILL_AFTER)
		_exit(0);
	return how == DISK_FULL ? SQLITE_FULL : error;
}

static inline int disk_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 offset)
{
	enum disk_failure how = DISK_ERROR;
	bool fails = disk_act(file, false, &how);
	sqlite3_file *real = disk_real(file);
	int rc = SQLITE_OK;

	if (fails && how == DISK_HALF)
		size /= 2;
	if (!fails || how >= DISK_HALF)
		rc = real->pMethods->xWrite(real, bytes, size, offset);
	return disk_outcome(fails, how, rc, SQLITE_IOERR_WRITE);
}

static inline int disk_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	enum disk_failure how = DISK_ERROR;
	bool fails = disk_act(file, false, &how);
	sqlite3_file *real = disk_real(file);
	int rc = SQLITE_OK;

	if (!fails || how >= DISK_DONE)
		rc = real->pMethods->xTruncate(real, size);
	return disk_outcome(fails, how, rc, SQLITE_IOERR_TRUNCATE);
}

/* Nothing is really synced: a process that ends leaves its writes in the kernel's hands, and
 * the tests need not wait for the machine's own disk. */
static inline int disk_sync(sqlite3_file *file, int flags)
{
	enum disk_failure how = DISK_ERROR;
	bool fails = disk_act(file, true, &how) && how != DISK_FULL;

	(void)flags;
	pthread_mutex_lock(&disk.lock);
	disk.synced += !fails;
	pthread_cond_broadcast(&disk.acted);
	pthread_mutex_unlock(&disk.lock);
	return disk_outcome(fails, how, SQLITE_OK, SQLITE_IOERR_FSYNC);
}

/* The rest goes through as it is. */
static inline int disk_close(sqlite3_file *file)
{
	return disk_real(file)->pMethods->xClose(disk_real(file));
}

static inline int disk_read(sqlite3_file *file, void *bytes, int size, sqlite3_int64 offset)
{
	return disk_real(file)->pMethods->xRead(disk_real(file), bytes, size, offset);
}

static inline int disk_file_size(sqlite3_file *file, sqlite3_int64 *size)
{
	return disk_real(file)->pMethods->xFileSize(disk_real(file), size);
}

static inline int disk_take_lock(sqlite3_file *file, int level)
{
	return disk_real(file)->pMethods->xLock(disk_real(file), level);
}

static inline int disk_let_go(sqlite3_file *file, int level)
{
	return disk_real(file)->pMethods->xUnlock(disk_real(file), level);
}

static inline int disk_check_lock(sqlite3_file *file, int *out)
{
	return disk_real(file)->pMethods->xCheckReservedLock(disk_real(file), out);
}

static inline int disk_control(sqlite3_file *file, int what, void *arg)
{
	return disk_real(file)->pMethods->xFileControl(disk_real(file), what, arg);
}

static inline int disk_sector_size(sqlite3_file *file)
{
	return disk_real(file)->pMethods->xSectorSize(disk_real(file));
}

static inline int disk_traits(sqlite3_file *file)
{
	return disk_real(file)->pMethods->xDeviceCharacteristics(disk_real(file));
}

static inline int disk_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
	return disk_real(file)->pMethods->xShmMap(disk_real(file), page, size, extend, out);
}

static inline int disk_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
	return disk_real(file)->pMethods->xShmLock(disk_real(file), offset, count, flags);
}

static inline void disk_barrier(sqlite3_file *file)
{
	disk_real(file)->pMethods->xShmBarrier(disk_real(file));
}

static inline int disk_unmap(sqlite3_file *file, int delete)
{
	return disk_real(file)->pMethods->xShmUnmap(disk_real(file), delete);
}

static const sqlite3_io_methods disk_methods = {.iVersion = 2,
    .xClose = disk_close,
    .xRead = disk_read,
    .xWrite = disk_write,
    .xTruncate = disk_truncate,
    .xSync = disk_sync,
    .xFileSize = disk_file_size,
    .xLock = disk_take_lock,
    .xUnlock = disk_let_go,
    .xCheckReservedLock = disk_check_lock,
    .xFileControl = disk_control,
    .xSectorSize = disk_sector_size,
    .xDeviceCharacteristics = disk_traits,
    .xShmMap = disk_map,
    .xShmLock = disk_shm_lock,
    .xShmBarrier = disk_barrier,
    .xShmUnmap = disk_unmap};

static inline int disk_open(
    sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out_flags)
{
	struct disk_file *opened = (struct disk_file *)file;
	int rc = disk.real->xOpen(disk.real, path, opened->real, flags, out_flags);

	(void)vfs;
	opened->database = (flags & SQLITE_OPEN_MAIN_DB) != 0;
	opened->watched = opened->database || (flags & SQLITE_OPEN_WAL) != 0;
	opened->base.pMethods = opened->real->pMethods == NULL ? NULL : &disk_methods;
	return rc;
}

/* Every database that this process opens from now on is on this disk. */
static inline void disk_install(void)
{
	if (disk.real != NULL)
		return;
	disk.real = sqlite3_vfs_find(NULL);
	assert_non_null(disk.real);
	disk.vfs = *disk.real;
	disk.vfs.zName = "failing-disk";
	disk.vfs.szOsFile = (int)sizeof(struct disk_file) + disk.real->szOsFile;
	disk.vfs.xOpen = disk_open;
	assert_int_equal(sqlite3_vfs_register(&disk.vfs, 1), SQLITE_OK);
}

#endif
