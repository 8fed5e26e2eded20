#include "proxy/backup.h"

#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/file.h"
#include "ledger/verify.h"
#include "proxy/rooms.h"
#include "proxy/tar.h"

#define PIECE_SIZE (64u * 1024u)
/* The ledger is copied again when keys were changed meanwhile: an owner does not change them
 * for that long. */
#define TRIES_MAX 5
/* It is rewritten some thousand times a second at most, in a microsecond. */
#define HEAD_READS_MAX 100
/* The keys of MANIFEST_MEMBERS_MAX agents, each under 1 KiB. */
#define KEYS_SIZE_MAX (64u * 1024u * 1024u)

/* One member to be: in memory, or the beginning of an open file. */
struct source {
	char *name;
	char *bytes; /* NULL: fd */
	int fd;
	int64_t size;
};

struct backup {
	struct house *house;
	char *reason;
	char *folder; /* where the copy and the archive grow */
	struct source *sources;
	size_t count;
	struct manifest manifest;
};

static bool fail(const struct backup *backup, const char *format, ...) PRINTF_LIKE(2, 3);
static bool fail(const struct backup *backup, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(backup->reason, 512, format, args);
	va_end(args);
	return false;
}

/* --- what goes in ------------------------------------------------------------------ */

/* Takes bytes. */
static void add_source(struct backup *backup, const char *name, char *bytes, int fd, int64_t size)
{
	if ((backup->count & (backup->count - 1)) == 0)
		backup->sources = must_realloc(backup->sources,
		    (backup->count ? 2 * backup->count : 1) * sizeof *backup->sources);
	backup->sources[backup->count++] =
	    (struct source){.name = must_strdup(name), .bytes = bytes, .fd = fd, .size = size};
}

/* From the one at `first` on. */
static void drop_sources(struct backup *backup, size_t first)
{
	while (backup->count > first) {
		struct source *source = &backup->sources[--backup->count];

		/* token.key and the passphrase are among them. */
		if (source->bytes)
			bytes_wipe(source->bytes, (size_t)source->size);
		free(source->bytes);
		free(source->name);
		if (source->fd >= 0)
			close(source->fd);
	}
	if (first == 0) {
		free(backup->sources);
		backup->sources = NULL;
	}
}

/* A small file, as the member `name`. False with errno. */
static bool read_small(struct backup *backup, const char *path, const char *name)
{
	size_t size;
	char *bytes = file_read(&size, path, (size_t)member_size_max(name));

	if (bytes)
		add_source(backup, name, bytes, -1, (int64_t)size);
	return bytes != NULL;
}

static bool need_small(struct backup *backup, const char *name)
{
	char *path = file_path(backup->house->dir, name);
	bool ok = read_small(backup, path, name);

	if (!ok)
		fail(backup, "cannot read %s: %s", path, strerror(errno));
	free(path);
	return ok;
}

/* The writer rewrites it in place: read until it was twice the same. */
static bool read_head(struct backup *backup)
{
	char *path = file_path(backup->house->dir, "head"), *before = NULL, *now = NULL;
	size_t size_before = 0, size = 0;
	bool same = false, absent = false;

	for (int i = 0; i < HEAD_READS_MAX && !same && !absent; i++) {
		free(before);
		before = now;
		size_before = size;
		now = file_read(&size, path, (size_t)member_size_max("head"));
		absent = !now && errno == ENOENT;
		if (!now && !absent)
			break;
		same = before && now && size == size_before && memcmp(before, now, size) == 0;
	}
	free(before);
	if (!same && !absent)
		fail(backup, "cannot read %s: %s", path, now ? "it changes" : strerror(errno));
	free(path);
	/* An empty one is none, see ledger/head.h. */
	if (same && size > 0)
		add_source(backup, "head", now, -1, (int64_t)size);
	else
		free(now);
	return same || absent;
}

/* Only ever appended to: what is in it now, as many bytes, is in it later. */
static bool open_anchors(struct backup *backup)
{
	const char *name = house_config(backup->house)->anchor_file;
	char *path = name[0] == '/' ? must_strdup(name) : file_path(backup->house->dir, name);
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat status;
	bool ok = true;

	if (fd < 0)
		ok = errno == ENOENT || fail(backup, "cannot read %s: %s", path, strerror(errno));
	else if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
		ok = fail(backup, "%s is no file of anchors", path);
	else if (status.st_size > member_size_max("anchors"))
		ok = fail(backup, "%s is too large", path);
	if (ok && fd >= 0)
		add_source(backup, "anchors", NULL, fd, status.st_size);
	else if (fd >= 0)
		close(fd);
	free(path);
	return ok;
}

static int by_name(const void *a, const void *b)
{
	const struct source *first = a, *second = b;

	return strcmp(first->name, second->name);
}

/* The keys as they are now, in order. False with errno: EAGAIN when one went away meanwhile. */
static bool read_keys(struct backup *backup)
{
	char *dir = file_path(backup->house->dir, "keys");
	size_t first = backup->count;
	int64_t size = 0;
	struct dirent *entry;
	DIR *folder = opendir(dir);
	bool ok = folder != NULL;

	while (ok && (errno = 0, entry = readdir(folder)) != NULL) {
		char *name = must_format("keys/%s", entry->d_name);
		char *path = file_path(backup->house->dir, name);
		struct stat status;

		/* What is not a key's file is not the keystore's. */
		if (!member_is_key(name) || lstat(path, &status) != 0 || !S_ISREG(status.st_mode))
			;
		else if (!read_small(backup, path, name))
			ok = false;
		else if ((size += status.st_size) > (int64_t)KEYS_SIZE_MAX ||
			 backup->count > MANIFEST_MEMBERS_MAX - 16)
			ok = (errno = EFBIG, false);
		free(path);
		free(name);
	}
	if (ok && errno != 0)
		ok = false;
	if (!ok && errno == ENOENT && folder)
		errno = EAGAIN;
	if (folder) {
		int error = errno;

		closedir(folder);
		errno = error;
	}
	if (ok)
		qsort(backup->sources + first, backup->count - first, sizeof *backup->sources,
		    by_name);
	free(dir);
	return ok;
}

static bool same_sources(const struct source *a, const struct source *b, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(a[i].name, b[i].name) != 0 || a[i].size != b[i].size ||
		    memcmp(a[i].bytes, b[i].bytes, (size_t)a[i].size) != 0)
			return false;
	}
	return true;
}

/* One try: keys, ledger, keys. *again when a key was changed meanwhile; then nothing was
 * added. */
static bool try_ledger(struct backup *backup, bool *again, const char *copy)
{
	size_t first = backup->count, middle;
	char words[256] = "";

	*again = false;
	if (!read_keys(backup))
		goto keys;
	middle = backup->count;
	if (store_backup(backup->house->store, words, copy) != STORE_OK)
		return fail(backup, "the ledger cannot be copied: %s", words);
	if (!read_keys(backup))
		goto keys;
	*again = backup->count - middle != middle - first ||
		 !same_sources(backup->sources + first, backup->sources + middle, middle - first);
	drop_sources(backup, *again ? first : middle);
	return true;
keys:
	if (errno != EAGAIN)
		return fail(backup, "cannot read %s/keys: %s", backup->house->dir, strerror(errno));
	*again = true;
	drop_sources(backup, first);
	return true;
}

static bool copy_ledger(struct backup *backup, const char *copy)
{
	bool again = true;

	for (int i = 0; i < TRIES_MAX && again; i++) {
		if (unlink(copy) != 0 && errno != ENOENT)
			return fail(backup, "cannot write %s: %s", copy, strerror(errno));
		if (!try_ledger(backup, &again, copy))
			return false;
	}
	return !again || fail(backup, "keys are being changed: try again");
}

/* The copy as whoever restores it will find it: it opens, and every row is right. */
static bool verify_copy(struct backup *backup)
{
	struct verify_report report;
	struct store *copy = NULL;
	char words[256] = "";
	bool ok;

	if (store_open(&copy, words, backup->folder, clock_now_us()) != STORE_OK)
		return fail(backup, "the copy of the ledger cannot be opened: %s", words);
	ok = verify_run(&report, copy) == STORE_OK;
	if (!ok) {
		fail(backup, "the copy of the ledger cannot be read");
		goto out;
	}
	if (!report.ok)
		ok = fail(backup, "the ledger is damaged (%s): see `tallyward ledger verify`",
		    report.problem_count ? report.problems[0] : "no reason");
	backup->manifest.transactions = report.transactions;
	backup->manifest.audits = report.audits;
	backup->manifest.head = report.head;
	backup->manifest.audit_head = report.audit_head;
	verify_fini(&report);
out:
	store_close(&copy);
	return ok;
}

static bool add_copy(struct backup *backup, const char *copy)
{
	int fd = open(copy, O_RDONLY | O_CLOEXEC);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) != 0) {
		if (fd >= 0)
			close(fd);
		return fail(backup, "cannot read %s: %s", copy, strerror(errno));
	}
	add_source(backup, "ledger.db", NULL, fd, status.st_size);
	return status.st_size <= member_size_max("ledger.db") ||
	       fail(backup, "the ledger is too large for a backup");
}

static bool gather(struct backup *backup, bool with_passphrase)
{
	struct house *house = backup->house;
	char *copy = file_path(backup->folder, "ledger.db");
	char words[256];
	bool ok;

	if (store_behind(house->store, words)) {
		free(copy);
		return fail(backup, "%s", words);
	}
	/* The order is that of backup.h. */
	ok = need_small(backup, "tallyward.json") && need_small(backup, "policy.json") &&
	     need_small(backup, "token.key") && read_head(backup) && open_anchors(backup) &&
	     copy_ledger(backup, copy) && verify_copy(backup) && add_copy(backup, copy);
	if (ok && with_passphrase && !read_small(backup, house->passphrase_file, "passphrase"))
		ok = fail(backup, "cannot read the passphrase file %s: %s", house->passphrase_file,
		    strerror(errno));
	free(copy);
	return ok;
}

/* --- the archive ---------------------------------------------------------------------- */

typedef bool piece_fn(const void *bytes, size_t size, void *arg);

/* Every byte of a source, in pieces. False with errno, or what each said. */
static bool each_piece(const struct source *source, piece_fn *each, void *arg)
{
	char piece[PIECE_SIZE];

	if (source->bytes)
		return each(source->bytes, (size_t)source->size, arg);
	for (int64_t at = 0; at < source->size;) {
		int64_t left = source->size - at;
		ssize_t got = pread(source->fd, piece,
		    left < (int64_t)sizeof piece ? (size_t)left : sizeof piece, at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			errno = got == 0 ? EIO : errno;
			return false;
		}
		if (!each(piece, (size_t)got, arg))
			return false;
		at += got;
	}
	return true;
}

static bool hash_piece(const void *bytes, size_t size, void *arg)
{
	sha256_add(arg, bytes, size);
	return true;
}

static bool write_piece(const void *bytes, size_t size, void *arg)
{
	return file_write(*(const int *)arg, bytes, size);
}

static bool describe(struct backup *backup)
{
	for (size_t i = 0; i < backup->count; i++) {
		const struct source *source = &backup->sources[i];
		struct sha256 *running = sha256_new();
		struct digest digest;

		if (!each_piece(source, hash_piece, running)) {
			sha256_free(&running);
			return fail(backup, "cannot read %s: %s", source->name, strerror(errno));
		}
		digest = sha256_done(&running);
		manifest_add(&backup->manifest, source->name, source->size, &digest);
	}
	return true;
}

static bool put_member(int fd, const struct source *source, int64_t made_us)
{
	return tar_begin(fd, source->name, source->size, made_us / CLOCK_US_PER_S) &&
	       each_piece(source, write_piece, &fd) && tar_pad(fd, source->size);
}

static bool put_members(int fd, const struct backup *backup)
{
	char *text = manifest_format(&backup->manifest);
	struct source manifest = {
	    .name = (char *)(uintptr_t)MANIFEST_FILE, .bytes = text, .size = (int64_t)strlen(text)};
	bool ok = put_member(fd, &manifest, backup->manifest.made_us);

	free(text);
	for (size_t i = 0; ok && i < backup->count; i++)
		ok = put_member(fd, &backup->sources[i], backup->manifest.made_us);
	return ok && tar_end(fd);
}

static bool write_archive(struct backup *backup, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool ok = true;

	if (fd < 0)
		return fail(backup, "cannot make %s: %s", path, strerror(errno));
	if (!put_members(fd, backup) || fsync(fd) != 0)
		ok = fail(backup, "cannot write %s: %s", path, strerror(errno));
	close(fd);
	return ok;
}

/* Gives the archive its name, which must be free. */
static enum backup_result give_name(struct backup *backup, const char *path, const char *file)
{
	char *parent = file_folder_of(file);
	enum backup_result result = BACKUP_OK;

	if (renameat2(AT_FDCWD, path, AT_FDCWD, file, RENAME_NOREPLACE) != 0 &&
	    (errno == EEXIST || link(path, file) != 0)) {
		result = errno == EEXIST ? BACKUP_EXISTS : BACKUP_FAILED;
		fail(backup, "cannot make %s: %s", file, strerror(errno));
	} else if (!file_sync_folder(parent)) {
		result = BACKUP_FAILED;
		fail(backup, "%s may not survive a power cut: %s", file, strerror(errno));
		unlink(file);
	}
	free(parent);
	return result;
}

static enum backup_result check_path(struct backup *backup, const char *file)
{
	struct stat status;

	if (file[0] != '/' || file[strlen(file) - 1] == '/') {
		fail(backup, "%s is not the absolute path of a file", file);
		return BACKUP_BAD_PATH;
	}
	if (lstat(file, &status) == 0) {
		fail(backup, "%s is there already; nothing was written", file);
		return BACKUP_EXISTS;
	}
	if (errno != ENOENT) {
		fail(backup, "cannot make %s: %s", file, strerror(errno));
		return BACKUP_FAILED;
	}
	return BACKUP_OK;
}

enum backup_result backup_write(struct manifest *out, char reason[512], struct house *house,
    const char *file, bool with_passphrase)
{
	struct backup backup = {.house = house, .reason = reason};
	char *path = NULL;
	enum backup_result result = check_path(&backup, file);

	if (result != BACKUP_OK)
		return result;
	result = BACKUP_FAILED;
	backup.folder = must_format("%s.partial-XXXXXX", file);
	if (!mkdtemp(backup.folder)) {
		fail(&backup, "cannot write beside %s: %s", file, strerror(errno));
		goto out;
	}
	path = file_path(backup.folder, "archive");
	backup.manifest.program = must_strdup(PACKAGE_VERSION);
	backup.manifest.made_us = clock_now_us();
	if (gather(&backup, with_passphrase) && describe(&backup) && write_archive(&backup, path))
		result = give_name(&backup, path, file);
	file_drop_folder(backup.folder);
	if (result == BACKUP_OK) {
		*out = backup.manifest;
		backup.manifest = (struct manifest){0};
	}
out:
	drop_sources(&backup, 0);
	manifest_fini(&backup.manifest);
	free(path);
	free(backup.folder);
	return result;
}
