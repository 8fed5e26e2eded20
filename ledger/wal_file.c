/* ledger/wal_file.c - see wal_file.h. */
#include "ledger/wal_file.h"

#include <pthread.h>
#include <sqlite3.h>
#include <string.h>

#include "common/must.h"

struct wal_file {
	sqlite3_file base;
	unsigned char *bytes; /* WAL_FILE_HELD_MAX */
	int held;             /* of bytes: not written yet */
	sqlite3_int64 begin;  /* where in the file they belong */
	sqlite3_file real[];  /* the default VFS's */
};

static sqlite3_vfs *default_vfs, vfs;

static struct wal_file *wal_of(sqlite3_file *file)
{
	return (struct wal_file *)file;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
	return wal_of(file)->real;
}

/* What cannot be written is still held. */
static int write_out(struct wal_file *wal)
{
	sqlite3_file *real = wal->real;
	int rc = SQLITE_OK;

	if (wal->held > 0)
		rc = real->pMethods->xWrite(real, wal->bytes, wal->held, wal->begin);
	if (rc == SQLITE_OK)
		wal->held = 0;
	return rc;
}

/* For the calls by whose error SQLite gives up the transaction that the bytes are of. */
static int write_out_or_drop(struct wal_file *wal)
{
	int rc = write_out(wal);

	wal->held = 0;
	return rc;
}

static int wal_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 offset)
{
	struct wal_file *wal = wal_of(file);
	int rc;

	if (offset != wal->begin + wal->held || size > WAL_FILE_HELD_MAX - wal->held) {
		rc = write_out_or_drop(wal);
		if (rc != SQLITE_OK)
			return rc;
		wal->begin = offset;
	}
	if (size > WAL_FILE_HELD_MAX)
		return wal->real->pMethods->xWrite(wal->real, bytes, size, offset);
	memcpy(wal->bytes + wal->held, bytes, (size_t)size);
	wal->held += size;
	return SQLITE_OK;
}

static int wal_read(sqlite3_file *file, void *bytes, int size, sqlite3_int64 offset)
{
	struct wal_file *wal = wal_of(file);
	int rc = write_out(wal);

	if (rc != SQLITE_OK)
		return rc;
	return wal->real->pMethods->xRead(wal->real, bytes, size, offset);
}

static int wal_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct wal_file *wal = wal_of(file);
	int rc;

	if (wal->begin >= size)
		wal->held = 0;
	rc = write_out_or_drop(wal);
	if (rc != SQLITE_OK)
		return rc;
	return wal->real->pMethods->xTruncate(wal->real, size);
}

static int wal_sync(sqlite3_file *file, int flags)
{
	struct wal_file *wal = wal_of(file);
	int rc = write_out_or_drop(wal);

	if (rc != SQLITE_OK)
		return rc;
	return wal->real->pMethods->xSync(wal->real, flags);
}

static int wal_file_size(sqlite3_file *file, sqlite3_int64 *size)
{
	struct wal_file *wal = wal_of(file);
	int rc = write_out(wal);

	if (rc != SQLITE_OK)
		return rc;
	return wal->real->pMethods->xFileSize(wal->real, size);
}

/* SQLite does not look at what closing comes to, and what is held then is of no commit. */
static int wal_close(sqlite3_file *file)
{
	struct wal_file *wal = wal_of(file);
	int rc = write_out(wal), closed = wal->real->pMethods->xClose(wal->real);

	sqlite3_free(wal->bytes);
	wal->bytes = NULL;
	return rc != SQLITE_OK ? rc : closed;
}

static int wal_lock(sqlite3_file *file, int level)
{
	return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int wal_unlock(sqlite3_file *file, int level)
{
	return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int wal_check_reserved_lock(sqlite3_file *file, int *out)
{
	return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}

static int wal_file_control(sqlite3_file *file, int what, void *arg)
{
	return real_of(file)->pMethods->xFileControl(real_of(file), what, arg);
}

static int wal_sector_size(sqlite3_file *file)
{
	return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int wal_device_characteristics(sqlite3_file *file)
{
	return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

/* Version 1: shared memory and mapped pages are the database's, never the log's. */
static const sqlite3_io_methods methods = {.iVersion = 1,
    .xClose = wal_close,
    .xRead = wal_read,
    .xWrite = wal_write,
    .xTruncate = wal_truncate,
    .xSync = wal_sync,
    .xFileSize = wal_file_size,
    .xLock = wal_lock,
    .xUnlock = wal_unlock,
    .xCheckReservedLock = wal_check_reserved_lock,
    .xFileControl = wal_file_control,
    .xSectorSize = wal_sector_size,
    .xDeviceCharacteristics = wal_device_characteristics};

static int open_log(const char *path, struct wal_file *wal, int flags, int *out_flags)
{
	int rc;

	wal->base.pMethods = NULL;
	wal->held = 0;
	wal->begin = 0;
	wal->bytes = sqlite3_malloc(WAL_FILE_HELD_MAX);
	if (wal->bytes == NULL)
		return SQLITE_NOMEM;
	rc = default_vfs->xOpen(default_vfs, path, wal->real, flags, out_flags);
	if (rc == SQLITE_OK) {
		wal->base.pMethods = &methods;
		return SQLITE_OK;
	}
	/* One that failed may want to be closed all the same. */
	if (wal->real->pMethods != NULL)
		wal->real->pMethods->xClose(wal->real);
	sqlite3_free(wal->bytes);
	wal->bytes = NULL;
	return rc;
}

static int open_file(
    sqlite3_vfs *self, const char *path, sqlite3_file *file, int flags, int *out_flags)
{
	(void)self;
	if ((flags & SQLITE_OPEN_WAL) != 0)
		return open_log(path, wal_of(file), flags, out_flags);
	return default_vfs->xOpen(default_vfs, path, file, flags, out_flags);
}

/* All but opening is the default's, its private data included. */
static void register_vfs(void)
{
	default_vfs = sqlite3_vfs_find(NULL);
	must(default_vfs != NULL);
	vfs = *default_vfs;
	vfs.zName = "tallyward";
	vfs.pNext = NULL;
	vfs.szOsFile = (int)sizeof(struct wal_file) + default_vfs->szOsFile;
	vfs.xOpen = open_file;
	must(sqlite3_vfs_register(&vfs, 0) == SQLITE_OK);
}

const char *wal_file_vfs(void)
{
	static pthread_once_t registered = PTHREAD_ONCE_INIT;

	must(pthread_once(&registered, register_vfs) == 0);
	return vfs.zName;
}
