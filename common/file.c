/* common/file.c - small files read whole and replaced atomically. */
#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/fault.h"

/* First guess for what does not know its size: a pipe, /proc. */
#define CAPACITY_MIN 4096

/* Fills content up to capacity; returns the bytes read, or -1. */
static ssize_t read_full(int fd, char *content, size_t capacity)
{
	size_t size = 0;

	while (size < capacity) {
		ssize_t got = read(fd, content + size, capacity - size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		size += (size_t)got;
	}
	return (ssize_t)size;
}

/* Wiped before it is let go, because some of these files are secrets. */
static void drop(char *content, size_t size)
{
	if (content != NULL)
		bytes_wipe(content, size);
	free(content);
}

static char *grown(char *content, size_t size, size_t capacity)
{
	char *larger = malloc(capacity);

	if (larger != NULL && size > 0)
		memcpy(larger, content, size);
	drop(content, size);
	return larger;
}

static char *read_all(size_t *out_size, int fd, size_t size_max)
{
	size_t size = 0, capacity = CAPACITY_MIN;
	char *content = NULL;
	struct stat status;

	if (fstat(fd, &status) != 0)
		return NULL;
	if (S_ISREG(status.st_mode) && status.st_size > 0)
		capacity = (size_t)status.st_size + 1;
	for (;;) {
		ssize_t got;

		/* One byte past size_max is enough to know that it is too long. */
		if (capacity > size_max)
			capacity = size_max + 1;
		content = grown(content, size, capacity + 1);
		if (content == NULL)
			return NULL;
		got = read_full(fd, content + size, capacity - size);
		if (got < 0)
			break;
		size += (size_t)got;
		if (size > size_max) {
			errno = EFBIG;
			break;
		}
		if (size < capacity) {
			content[size] = '\0';
			*out_size = size;
			return content;
		}
		capacity *= 2;
	}
	drop(content, size);
	return NULL;
}

char *file_read(size_t *out_size, const char *path, size_t size_max)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int error;
	char *content;

	must(size_max < SIZE_MAX / 4);
	if (fd < 0)
		return NULL;
	content = read_all(out_size, fd, size_max);
	error = errno;
	close(fd);
	errno = error;
	return content;
}

bool file_write(int fd, const void *bytes, size_t size)
{
	const char *at = bytes;

	while (size > 0) {
		ssize_t put = write(fd, at, size);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return false;
		at += put;
		size -= (size_t)put;
	}
	return true;
}

/* A durable file with a name of its own beside path; the caller frees the name. */
static char *write_beside(const char *path, const void *bytes, size_t size, mode_t mode)
{
	char *name = must_format("%s.XXXXXX", path);
	int fd = mkostemp(name, O_CLOEXEC);
	bool written;
	int error;

	if (fd < 0) {
		free(name);
		return NULL;
	}
	written = fchmod(fd, mode) == 0 && file_write(fd, bytes, size) && fsync(fd) == 0;
	error = errno;
	if (close(fd) != 0 && written) {
		written = false;
		error = errno;
	}
	if (written)
		return name;
	unlink(name);
	free(name);
	errno = error;
	return NULL;
}

bool file_sync_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error;
	bool synced;

	if (fd < 0)
		return false;
	synced = fsync(fd) == 0;
	error = errno;
	close(fd);
	errno = error;
	return synced;
}

char *file_folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return must_strdup(".");
	return must_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static bool sync_folder_of(const char *path)
{
	char *folder = file_folder_of(path);
	bool synced = file_sync_folder(folder);
	int error = errno;

	free(folder);
	errno = error;
	return synced;
}

bool file_replace(const char *path, const void *bytes, size_t size, mode_t mode)
{
	char *name = write_beside(path, bytes, size, mode);
	bool renamed;

	if (name == NULL)
		return false;
	FAULT_POINT("file written");
	renamed = rename(name, path) == 0;
	if (!renamed) {
		int error = errno;

		unlink(name);
		errno = error;
	}
	free(name);
	FAULT_POINT("file named");
	return renamed && sync_folder_of(path);
}

bool file_create(const char *path, const void *bytes, size_t size, mode_t mode)
{
	char *name = write_beside(path, bytes, size, mode);
	bool linked;
	int error;

	if (name == NULL)
		return false;
	FAULT_POINT("file written");
	/* link(2), unlike rename(2), refuses a name that is taken. */
	linked = link(name, path) == 0;
	error = errno;
	FAULT_POINT("file named");
	unlink(name);
	free(name);
	errno = error;
	return linked && sync_folder_of(path);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status;
	(void)kind;
	(void)place;
	(void)!remove(path);
	return 0;
}

void file_drop_folder(const char *folder)
{
	/* A descriptor for each level. */
	(void)nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

char *file_path(const char *dir, const char *name)
{
	size_t length = strlen(dir);
	bool has_slash = length > 0 && dir[length - 1] == '/';

	return must_format("%s%s%s", dir, has_slash ? "" : "/", name);
}
