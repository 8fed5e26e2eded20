/* tests/e2e/bed/disk.c - a disk that can be held up, by LD_PRELOAD.
 *
 * DISK_HELD=FILE  while there is such a file, a write to a write-ahead log does not come back;
 *                 it is made when the file has gone */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool is_log(int fd)
{
	char link[64], path[4096];
	ssize_t size;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	size = readlink(link, path, sizeof(path));
	return size > 4 && memcmp(path + size - 4, "-wal", 4) == 0;
}

static void wait_for_disk(int fd)
{
	const struct timespec millisecond = {0, 1000000};
	const char *held = getenv("DISK_HELD");

	while (held && access(held, F_OK) == 0 && is_log(fd))
		nanosleep(&millisecond, NULL);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset)
{
	static ssize_t (*real)(int, const void *, size_t, off64_t);

	if (!real)
		real = (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
	wait_for_disk(fd);
	return real(fd, bytes, size, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
	return pwrite64(fd, bytes, size, offset);
}
