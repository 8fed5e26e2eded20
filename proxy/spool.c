/* proxy/spool.c - a request body kept for replay.
 *
 * Most bodies of paid calls are a few kilobytes of JSON and never leave memory. What is
 * larger moves, whole, into a file without a name; reads of it are the kernel's page
 * cache, so they are done on the loop. */
#include "proxy/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct spool {
	char *dir;
	uint8_t *memory; /* NULL once the file holds it */
	size_t memory_capacity;
	size_t memory_max;
	int64_t size_max;
	int64_t size;
	int fd;     /* -1 while in memory */
	int failed; /* errno of the first failure; every later write fails with it */
	bool finished;
	struct sha256 *running;
	struct digest digest;
};

struct spool *spool_new(const char *dir, size_t memory_max, int64_t size_max)
{
	struct spool *spool = must_calloc(1, sizeof(*spool));

	must(size_max >= 0);
	spool->dir = must_strdup(dir);
	spool->memory_max = memory_max;
	spool->size_max = size_max;
	spool->fd = -1;
	spool->running = sha256_new();
	return spool;
}

void spool_free(struct spool **spool)
{
	if (*spool == NULL)
		return;
	if ((*spool)->fd >= 0)
		close((*spool)->fd);
	sha256_free(&(*spool)->running);
	free((*spool)->memory);
	free((*spool)->dir);
	free(*spool);
	*spool = NULL;
}

/* A file that no other process can find and that ends with its descriptor. */
static int file_open(const char *dir)
{
	char *path;
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return fd;
	/* The file system knows no nameless files. */
	path = must_format("%s/spool-XXXXXX", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0 && unlink(path) != 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		fd = -1;
	}
	free(path);
	return fd;
}

static bool file_write(int fd, const void *bytes, size_t size, int64_t offset)
{
	const uint8_t *from = bytes;

	while (size > 0) {
		ssize_t written = pwrite(fd, from, size, offset);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0) {
			errno = written == 0 ? EIO : errno;
			return false;
		}
		from += written;
		offset += written;
		size -= (size_t)written;
	}
	return true;
}

static void memory_write(struct spool *spool, const void *bytes, size_t size)
{
	size_t wanted = (size_t)spool->size + size;

	if (wanted > spool->memory_capacity) {
		size_t capacity = spool->memory_capacity == 0 ? 1024 : spool->memory_capacity;

		while (capacity < wanted)
			capacity *= 2;
		if (capacity > spool->memory_max)
			capacity = spool->memory_max;
		spool->memory = must_realloc(spool->memory, capacity);
		spool->memory_capacity = capacity;
	}
	memcpy(spool->memory + spool->size, bytes, size);
}

static bool move_to_file(struct spool *spool)
{
	spool->fd = file_open(spool->dir);
	if (spool->fd < 0)
		return false;
	if (!file_write(spool->fd, spool->memory, (size_t)spool->size, 0))
		return false;
	free(spool->memory);
	spool->memory = NULL;
	return true;
}

enum spool_result spool_write(struct spool *spool, const void *bytes, size_t size)
{
	must(!spool->finished);
	if (spool->failed != 0) {
		errno = spool->failed;
		return SPOOL_IO;
	}
	if (size > (uint64_t)(spool->size_max - spool->size))
		return SPOOL_TOO_LARGE;
	if (size == 0)
		return SPOOL_OK;
	if (spool->fd < 0 && size <= spool->memory_max - (size_t)spool->size) {
		memory_write(spool, bytes, size);
	} else if ((spool->fd < 0 && !move_to_file(spool)) ||
		   !file_write(spool->fd, bytes, size, spool->size)) {
		spool->failed = errno;
		return SPOOL_IO;
	}
	sha256_add(spool->running, bytes, size);
	spool->size += (int64_t)size;
	return SPOOL_OK;
}

void spool_finish(struct spool *spool)
{
	if (spool->finished)
		return;
	spool->finished = true;
	spool->digest = sha256_done(&spool->running);
}

bool spool_finished(const struct spool *spool)
{
	return spool->finished;
}

int64_t spool_size(const struct spool *spool)
{
	return spool->size;
}

struct digest spool_digest(const struct spool *spool)
{
	must(spool->finished);
	return spool->digest;
}

int64_t spool_read(struct spool *spool, int64_t offset, void *out, size_t size)
{
	size_t done = 0;

	must(offset >= 0);
	if (offset >= spool->size)
		return 0;
	if (size > (uint64_t)(spool->size - offset))
		size = (size_t)(spool->size - offset);
	if (spool->memory != NULL) {
		memcpy(out, spool->memory + offset, size);
		return (int64_t)size;
	}
	while (done < size) {
		ssize_t got =
		    pread(spool->fd, (uint8_t *)out + done, size - done, offset + (int64_t)done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			errno = got == 0 ? EIO : errno; /* somebody cut the file */
			return -1;
		}
		done += (size_t)got;
	}
	return (int64_t)size;
}
