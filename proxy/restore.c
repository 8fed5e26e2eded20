#include "proxy/restore.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/json.h"
#include "ledger/verify.h"
#include "proxy/anchors.h"
#include "proxy/settings.h"

#define PIECE_SIZE (64u * 1024u)

/* What is called of libarchive, which is loaded when there is something to read: were it linked, it
 * and what it brings would be in every daemon too (proxy/tar.h). */
#define ARCHIVE_LIBRARY "libarchive.so.13" /* the ABI of archive.h, since libarchive 3.0 */
#define ARCHIVE_CALLS(CALL)                                                                        \
	CALL(entry_filetype)                                                                       \
	CALL(entry_hardlink)                                                                       \
	CALL(entry_pathname)                                                                       \
	CALL(entry_size)                                                                           \
	CALL(entry_size_is_set)                                                                    \
	CALL(entry_symlink)                                                                        \
	CALL(error_string)                                                                         \
	CALL(read_data)                                                                            \
	CALL(read_free)                                                                            \
	CALL(read_new)                                                                             \
	CALL(read_next_header)                                                                     \
	CALL(read_open_fd)                                                                         \
	CALL(read_support_format_tar)

struct archive_calls {
#define DECLARE(name) __typeof__(archive_##name) *name;
	ARCHIVE_CALLS(DECLARE)
#undef DECLARE
};

struct restore {
	char *reason;
	char *folder; /* being filled */
	int folder_fd;
	struct archive_calls calls;
	struct archive *archive;
	struct restored restored;
};

static enum restore_result fail(
    struct restore *restore, enum restore_result result, const char *format, ...) PRINTF_LIKE(3, 4);
static enum restore_result fail(
    struct restore *restore, enum restore_result result, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(restore->reason, 512, format, args);
	va_end(args);
	/* SQLite and libarchive repeat what is in the file. */
	json_printable(restore->reason);
	return result;
}

static enum restore_result damaged(struct restore *restore)
{
	const char *words = restore->calls.error_string(restore->archive);

	return fail(restore, RESTORE_BAD, "the archive is damaged: %.200s",
	    words ? words : "it ends too early");
}

/* It stays loaded: the process ends soon. */
static enum restore_result load_calls(struct restore *restore)
{
	void *library = dlopen(ARCHIVE_LIBRARY, RTLD_NOW | RTLD_LOCAL);
	bool ok = library != NULL;

	/* A function's address comes as an object's: POSIX allows it, C has no words for it. */
#define LOOK_UP(name)                                                                              \
	ok = ok && (*(void **)&restore->calls.name = dlsym(library, "archive_" #name)) != NULL;
	ARCHIVE_CALLS(LOOK_UP)
#undef LOOK_UP
	if (ok)
		return RESTORE_OK;
	return fail(restore, RESTORE_FAILED,
	    "archives are read by libarchive, which cannot be loaded: %s (Debian: libarchive13)",
	    dlerror());
}

/* --- the archive --------------------------------------------------------------------- */

/* The next member must be a plain file of this name; size -1: any up to size_max. */
static enum restore_result next_member(
    struct restore *restore, int64_t *size, const char *name, int64_t wanted, int64_t size_max)
{
	const struct archive_calls *calls = &restore->calls;
	struct archive_entry *entry;
	const char *path;

	if (calls->read_next_header(restore->archive, &entry) != ARCHIVE_OK)
		return damaged(restore);
	path = calls->entry_pathname(entry);
	if (!path || strcmp(path, name) != 0)
		return fail(restore, RESTORE_BAD,
		    "the archive holds another file where %s should be", name);
	if (calls->entry_filetype(entry) != AE_IFREG || calls->entry_hardlink(entry) ||
	    calls->entry_symlink(entry))
		return fail(restore, RESTORE_BAD, "%s is no plain file in the archive", name);
	if (!calls->entry_size_is_set(entry) || calls->entry_size(entry) < 0 ||
	    calls->entry_size(entry) > size_max ||
	    (wanted >= 0 && calls->entry_size(entry) != wanted))
		return fail(restore, RESTORE_BAD, "%s has another size than it should", name);
	*size = calls->entry_size(entry);
	return RESTORE_OK;
}

static enum restore_result read_manifest(struct restore *restore)
{
	char words[256] = "";
	int64_t size;
	enum restore_result result =
	    next_member(restore, &size, MANIFEST_FILE, -1, (int64_t)MANIFEST_SIZE_MAX);
	char *text;

	if (result != RESTORE_OK)
		return result;
	text = must_alloc((size_t)size + 1);
	text[size] = '\0';
	if (restore->calls.read_data(restore->archive, text, (size_t)size) != (la_ssize_t)size)
		result = damaged(restore);
	else if (!manifest_parse(&restore->restored.manifest, words, text, (size_t)size))
		result = fail(restore, RESTORE_BAD, "%s", words);
	free(text);
	return result;
}

/* The bytes of the current member, into fd. */
static enum restore_result copy_bytes(
    struct restore *restore, struct digest *digest, const char *name, int fd, int64_t size)
{
	struct sha256 *running = sha256_new();
	enum restore_result result = RESTORE_OK;
	char piece[PIECE_SIZE];

	while (size > 0) {
		la_ssize_t got = restore->calls.read_data(restore->archive, piece,
		    size < (int64_t)sizeof piece ? (size_t)size : sizeof piece);

		if (got <= 0) {
			result = damaged(restore);
			break;
		}
		sha256_add(running, piece, (size_t)got);
		if (!file_write(fd, piece, (size_t)got)) {
			result = fail(
			    restore, RESTORE_FAILED, "cannot write %s: %s", name, strerror(errno));
			break;
		}
		size -= got;
	}
	if (result == RESTORE_OK)
		*digest = sha256_done(&running);
	sha256_free(&running);
	return result;
}

static enum restore_result take_member(struct restore *restore, const struct member *member)
{
	struct digest digest;
	int64_t size;
	enum restore_result result =
	    next_member(restore, &size, member->name, member->size, member_size_max(member->name));
	int fd;

	if (result != RESTORE_OK)
		return result;
	/* The folder is new and ours alone, and the name is one of ours. */
	fd = openat(restore->folder_fd, member->name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail(
		    restore, RESTORE_FAILED, "cannot make %s: %s", member->name, strerror(errno));
	result = copy_bytes(restore, &digest, member->name, fd, size);
	if (result == RESTORE_OK && !digest_equal(&digest, &member->digest))
		result = fail(restore, RESTORE_BAD, "%s is not the one that the manifest names",
		    member->name);
	if (result == RESTORE_OK && fsync(fd) != 0)
		result = fail(
		    restore, RESTORE_FAILED, "cannot write %s: %s", member->name, strerror(errno));
	close(fd);
	return result;
}

static enum restore_result take_members(struct restore *restore)
{
	const struct manifest *manifest = &restore->restored.manifest;
	struct archive_entry *entry;

	for (size_t i = 0; i < manifest->count; i++) {
		enum restore_result result = take_member(restore, &manifest->members[i]);

		if (result != RESTORE_OK)
			return result;
	}
	switch (restore->calls.read_next_header(restore->archive, &entry)) {
	case ARCHIVE_EOF:
		return RESTORE_OK;
	case ARCHIVE_OK:
		return fail(restore, RESTORE_BAD, "the archive holds more than its manifest names");
	default:
		return damaged(restore);
	}
}

static enum restore_result unpack(struct restore *restore, const char *file)
{
	/* A pipe or a device would have no end. */
	int fd = open(file, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	enum restore_result result = RESTORE_OK;
	struct stat status;

	if (fd < 0)
		return fail(restore, errno == ENOENT ? RESTORE_NOT_FOUND : RESTORE_FAILED,
		    "cannot read %s: %s", file, strerror(errno));
	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
		result = fail(restore, RESTORE_BAD, "%s is no file", file);
		goto out;
	}
	result = load_calls(restore);
	if (result != RESTORE_OK)
		goto out;
	restore->archive = restore->calls.read_new();
	must(restore->archive != NULL);
	/* No filter: what is compressed is not unpacked, so nothing grows. */
	must(restore->calls.read_support_format_tar(restore->archive) == ARCHIVE_OK);
	if (restore->calls.read_open_fd(restore->archive, fd, PIECE_SIZE) != ARCHIVE_OK)
		result = damaged(restore);
	else
		result = read_manifest(restore);
	if (result == RESTORE_OK)
		result = take_members(restore);
	restore->calls.read_free(restore->archive);
	restore->archive = NULL;
out:
	close(fd);
	return result;
}

/* --- is it a data folder ---------------------------------------------------------------- */

static bool plain_name(const char *name)
{
	return *name != '\0' && *name != '.' && strchr(name, '/') == NULL &&
	       member_size_max(name) == 0 && strcmp(name, "lock") != 0 &&
	       strcmp(name, "keys") != 0 && strncmp(name, "ledger.db", 9) != 0 &&
	       strcmp(name, "admin.sock") != 0;
}

/* Where the configuration wants the anchors and the passphrase, and what is there. */
static enum restore_result place_files(
    struct restore *restore, const struct config *config, const char *dir)
{
	struct restored *restored = &restore->restored;
	const char *anchors = "anchors";
	char *from, *to;

	restored->passphrase_file = config->passphrase_file[0] == '/'
					? must_strdup(config->passphrase_file)
					: file_path(dir, config->passphrase_file);
	restored->passphrase_there = strcmp(config->passphrase_file, "passphrase") == 0 &&
				     manifest_find(&restored->manifest, "passphrase");
	if (!manifest_find(&restored->manifest, "anchors"))
		return RESTORE_OK;
	if (plain_name(config->anchor_file)) {
		from = file_path(restore->folder, "anchors");
		to = file_path(restore->folder, config->anchor_file);
		if (rename(from, to) == 0)
			anchors = config->anchor_file;
		free(from);
		free(to);
	}
	restored->anchor_file = file_path(dir, anchors);
	restored->anchors_apart = strcmp(anchors, config->anchor_file) != 0;
	return RESTORE_OK;
}

static enum restore_result check_settings(struct restore *restore, const char *dir)
{
	struct settings_error error;
	struct settings settings;
	enum restore_result result;

	if (manifest_find(&restore->restored.manifest, "token.key")->size !=
	    member_size_max("token.key"))
		return fail(restore, RESTORE_BAD, "token.key has another size than it should");
	if (settings_read(&settings, &error, restore->folder) != SETTINGS_OK) {
		const char *name = strrchr(error.file, '/');

		return fail(restore, RESTORE_BAD, "the backup's %s:%d: %s%s%s",
		    name ? name + 1 : error.file, error.at.line, error.at.path,
		    *error.at.path ? ": " : "", error.at.reason);
	}
	result = place_files(restore, settings.config, dir);
	settings_fini(&settings);
	return result;
}

static enum restore_result check_report(
    struct restore *restore, const struct verify_report *report, const struct store *store)
{
	const struct manifest *manifest = &restore->restored.manifest;
	char words[256];

	if (!report->ok)
		return fail(restore, RESTORE_BAD, "the ledger in the backup is damaged: %s",
		    report->problem_count ? report->problems[0] : "no reason");
	if (store_behind(store, words))
		return fail(restore, RESTORE_BAD, "the ledger in the backup: %s", words);
	if (report->transactions != manifest->transactions || report->audits != manifest->audits ||
	    !digest_equal(&report->head, &manifest->head) ||
	    !digest_equal(&report->audit_head, &manifest->audit_head))
		return fail(restore, RESTORE_BAD,
		    "the ledger in the backup does not end where the manifest says");
	return RESTORE_OK;
}

static enum restore_result check_ledger(struct restore *restore)
{
	char *anchors =
	    restore->restored.anchor_file
		? file_path(restore->folder, strrchr(restore->restored.anchor_file, '/') + 1)
		: NULL;
	struct witness_options witness = {.anchor_file = anchors, .signed_by = anchors_signed_by};
	enum restore_result result = RESTORE_BAD;
	struct verify_report report;
	struct store *store = NULL;
	char words[256] = "";

	if (store_open(&store, words, restore->folder, clock_now_us()) != STORE_OK) {
		fail(restore, RESTORE_BAD, "the ledger in the backup cannot be opened: %s", words);
	} else if (verify_against(&report, store, &witness) != STORE_OK) {
		fail(restore, RESTORE_BAD, "the ledger in the backup cannot be read");
	} else {
		result = check_report(restore, &report, store);
		verify_fini(&report);
	}
	store_close(&store);
	free(anchors);
	return result;
}

/* --- the folder --------------------------------------------------------------------------- */

static bool sync_folders(const char *folder)
{
	char *keys = file_path(folder, "keys");
	bool ok = file_sync_folder(keys) && file_sync_folder(folder);

	free(keys);
	return ok;
}

static enum restore_result give_name(struct restore *restore, const char *dir)
{
	char *parent = file_folder_of(dir);
	enum restore_result result = RESTORE_OK;

	if (!sync_folders(restore->folder))
		result = fail(restore, RESTORE_FAILED, "cannot write %s: %s", restore->folder,
		    strerror(errno));
	/* Takes the place of nothing, or of an empty folder. */
	else if (rename(restore->folder, dir) != 0)
		result = fail(restore,
		    errno == ENOTEMPTY || errno == EEXIST ? RESTORE_EXISTS : RESTORE_FAILED,
		    "cannot make %s: %s", dir, strerror(errno));
	else if (!file_sync_folder(parent))
		result = fail(restore, RESTORE_FAILED, "%s may not survive a power cut: %s", dir,
		    strerror(errno));
	free(parent);
	return result;
}

static bool empty_folder(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	bool empty = folder != NULL;

	while (empty && (entry = readdir(folder)) != NULL)
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	if (folder)
		closedir(folder);
	return empty;
}

/* rename(2) says so again at the end; said now, nothing is unpacked for nothing. */
static enum restore_result check_free(struct restore *restore, const char *dir)
{
	struct stat status;

	if (lstat(dir, &status) != 0)
		return errno == ENOENT ? RESTORE_OK
				       : fail(restore, RESTORE_FAILED, "cannot make %s: %s", dir,
					     strerror(errno));
	if (S_ISDIR(status.st_mode) && empty_folder(dir))
		return RESTORE_OK;
	return fail(restore, RESTORE_EXISTS,
	    "%s is there already; nothing was changed: name another folder with -d", dir);
}

enum restore_result restore_run(
    struct restored *out, char reason[512], const char *file, const char *dir_given)
{
	struct restore restore = {.reason = reason, .folder_fd = -1};
	size_t length = strlen(dir_given);
	char *dir;
	enum restore_result result;

	while (length > 1 && dir_given[length - 1] == '/')
		length--;
	dir = must_strndup(dir_given, length);
	result = check_free(&restore, dir);
	if (result != RESTORE_OK)
		goto out;
	restore.folder = must_format("%s.restoring-XXXXXX", dir);
	if (!mkdtemp(restore.folder)) {
		result = fail(&restore, RESTORE_FAILED, "cannot make a folder beside %s: %s", dir,
		    strerror(errno));
		goto out;
	}
	restore.folder_fd = open(restore.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (restore.folder_fd < 0 || mkdirat(restore.folder_fd, "keys", 0700) != 0)
		result = fail(&restore, RESTORE_FAILED, "cannot write %s: %s", restore.folder,
		    strerror(errno));
	else
		result = unpack(&restore, file);
	if (result == RESTORE_OK)
		result = check_settings(&restore, dir);
	if (result == RESTORE_OK)
		result = check_ledger(&restore);
	if (result == RESTORE_OK)
		result = give_name(&restore, dir);
	if (result != RESTORE_OK)
		file_drop_folder(restore.folder);
	if (restore.folder_fd >= 0)
		close(restore.folder_fd);
out:
	if (result == RESTORE_OK)
		*out = restore.restored;
	else
		restored_fini(&restore.restored);
	free(restore.folder);
	free(dir);
	return result;
}

void restored_fini(struct restored *restored)
{
	manifest_fini(&restored->manifest);
	free(restored->passphrase_file);
	free(restored->anchor_file);
	*restored = (struct restored){0};
}
