/* A backup that somebody hands over: whatever is in the archive, nothing is left behind unless
 * all of it is a data folder, and nothing is ever written beside the folder.
 *
 * The first byte: 'm' the contents of tallyward.json, policy.json, token.key, keys/datakey.json
 * and ledger.db, parted by the byte 0x1e, which the harness lists in a manifest and packs, so
 * that what lies behind the digests is reached; anything else an archive as it came. */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/digest.h"
#include "common/log.h"
#include "proxy/manifest.h"
#include "proxy/restore.h"
#include "tests/fuzz/fuzz.h"

#define ARCHIVE_SIZE_MAX (1u << 20)
#define BLOCK            512u

static char *parent; /* an empty folder */

static void remove_parent(void)
{
	(void)rmdir(parent);
}

static void make_parent(void)
{
	/* In memory where that can be had: every run syncs what it writes. */
	parent = must_strdup(access("/dev/shm", W_OK) == 0 ? "/dev/shm/tallyward-fuzz-XXXXXX"
							   : "/tmp/tallyward-fuzz-XXXXXX");
	must(mkdtemp(parent) != NULL);
	must(atexit(remove_parent) == 0);
	log_set_level(LOG_ERROR);
}

/* One plain file, as POSIX.1-1988 has it. */
static void pack(struct buf *tar, const char *name, const char *bytes, size_t size)
{
	static const char zeros[BLOCK];
	char head[BLOCK] = "";
	unsigned sum = 0;
	size_t i;

	(void)snprintf(head, 100, "%s", name);
	memcpy(head + 100,
	    "0000600\0"
	    "0000000\0"
	    "0000000\0",
	    24);
	(void)snprintf(head + 124, 12, "%011zo", size);
	memcpy(head + 136, "00000000000", 12);
	memcpy(head + 148, "        0", 9);
	memcpy(head + 257,
	    "ustar\0"
	    "00",
	    8);
	for (i = 0; i < BLOCK; i++)
		sum += (unsigned char)head[i];
	(void)snprintf(head + 148, 8, "%06o", sum);
	buf_add(tar, head, BLOCK);
	buf_add(tar, bytes, size);
	buf_add(tar, zeros, (BLOCK - size % BLOCK) % BLOCK);
}

static void pack_members(struct buf *tar, const char *bytes, size_t size)
{
	static const char *const names[] = {
	    "tallyward.json", "policy.json", "token.key", "keys/datakey.json", "ledger.db"};
	static const char end[2 * BLOCK];
	struct manifest manifest = {.program = must_strdup("0.1.0"), .made_us = 1};
	const char *at = bytes, *parts[5];
	size_t sizes[5], i;
	char *text;

	for (i = 0; i < 5; i++) {
		size_t left = size - (size_t)(at - bytes);
		const char *cut = left > 0 ? memchr(at, 0x1e, left) : NULL;
		struct digest digest;

		parts[i] = at;
		sizes[i] = cut != NULL && i < 4 ? (size_t)(cut - at) : left;
		at += sizes[i] + (cut != NULL && i < 4);
		digest = sha256(parts[i], sizes[i]);
		manifest_add(&manifest, names[i], (int64_t)sizes[i], &digest);
	}
	text = manifest_format(&manifest);
	pack(tar, MANIFEST_FILE, text, strlen(text));
	for (i = 0; i < 5; i++)
		pack(tar, names[i], parts[i], sizes[i]);
	buf_add(tar, end, sizeof(end));
	free(text);
	manifest_fini(&manifest);
}

static size_t entries_of_parent(void)
{
	DIR *folder = opendir(parent);
	struct dirent *entry;
	size_t count = 0;

	must(folder != NULL);
	while ((entry = readdir(folder)) != NULL)
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(folder);
	return count;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status;
	(void)kind;
	(void)place;
	return remove(path);
}

static void try(int archive)
{
	char *file = must_format("/proc/self/fd/%d", archive);
	char *dir = must_format("%s/house", parent);
	struct restored restored = {.passphrase_there = true};
	char reason[512] = "";
	enum restore_result result = restore_run(&restored, reason, file, dir);
	const char *at;

	must(result == RESTORE_OK || result == RESTORE_BAD);
	if (result == RESTORE_OK) {
		must(entries_of_parent() == 1);
		restored_fini(&restored);
		must(nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
	} else {
		must(reason[0] && restored.passphrase_there && restored.manifest.count == 0);
		for (at = reason; *at != '\0'; at++)
			must((unsigned char)*at >= 0x20 && *at != 0x7f);
	}
	must(entries_of_parent() == 0);
	free(dir);
	free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf tar;
	int archive;

	if (size == 0)
		return 0;
	if (parent == NULL)
		make_parent();
	buf_init(&tar, ARCHIVE_SIZE_MAX);
	if (data[0] == 'm')
		pack_members(&tar, (const char *)data + 1, size - 1);
	else
		buf_add(&tar, data + 1, size - 1);
	archive = memfd_create("backup", MFD_CLOEXEC);
	must(archive >= 0 && buf_ok(&tar));
	must(write(archive, buf_str(&tar), tar.size) == (ssize_t)tar.size);
	must(lseek(archive, 0, SEEK_SET) == 0);
	try(archive);
	close(archive);
	buf_fini(&tar);
	return 0;
}
