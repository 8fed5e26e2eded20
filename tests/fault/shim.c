/* tests/fault/shim.c - a disk, a clock, a heap and descriptors that can fail, by LD_PRELOAD.
 *
 * FAULT_CONTROL=FILE  what is to fail, and when (control.h); without it nothing does
 * FAULT_FOLDER=DIR    the data folder, absolute: operations on its files count
 * FAULT_POWER=1       what is written and not yet synced is remembered, for power cuts
 *
 * A power cut is a SIGKILL before which everything written since a file's last sync is taken
 * back, all of it or (torn) sectors of it at random. The -shm file is memory by another name
 * and does not count; nor does what libc writes by itself (dprintf). Only functions that the
 * program or its libraries call are here. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests/fault/control.h"

#define FDS_MAX 65536
#define SECTOR  512

static struct control *control;
static char folder[4096];
static size_t folder_size;
static bool power;
static _Atomic unsigned char is_data[FDS_MAX];

#define REAL(name) ((__typeof__(&name))real(#name))

/* The program's or libc's, whichever comes next. What is found allocates nothing. */
static void *real(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (!found)
		abort();
	return found;
}

static void *real_malloc(size_t size)
{
	static void *(*_Atomic next)(size_t);

	if (!next)
		next = REAL(malloc);
	return next(size);
}

static void say(const char *what, long long number)
{
	char line[160];
	int size = snprintf(line, sizeof(line), "fault: %s %lld\n", what, number);

	(void)!syscall(SYS_write, STDERR_FILENO, line, (size_t)size);
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("FAULT_CONTROL"), *dir = getenv("FAULT_FOLDER");
	void *page;
	long fd;

	if (!path || !dir || strlen(dir) >= sizeof(folder))
		return;
	folder_size = strlen(dir);
	memcpy(folder, dir, folder_size + 1);
	power = getenv("FAULT_POWER") != NULL;
	fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
	if (fd < 0)
		return;
	page = mmap(NULL, CONTROL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0);
	syscall(SYS_close, fd);
	if (page != MAP_FAILED)
		control = page;
}

/* --- what was written and not synced --------------------------------------- */

struct undo {
	struct undo *older;
	dev_t dev;
	ino_t ino;
	int fd; /* a duplicate */
	off_t offset, size_before;
	size_t size; /* of bytes: what was there, at most up to the end of the file */
	unsigned char bytes[];
};

static pthread_mutex_t undo_lock = PTHREAD_MUTEX_INITIALIZER;
static struct undo *newest;

/* Before size bytes at offset change, or the file is cut there (size is then what goes). */
static void remember(int fd, off_t offset, size_t size)
{
	struct stat status;
	struct undo *undo;

	if (!power || fstat(fd, &status) != 0)
		return;
	if (offset >= status.st_size)
		size = 0;
	else if ((off_t)size > status.st_size - offset)
		size = (size_t)(status.st_size - offset);
	undo = real_malloc(sizeof(*undo) + size);
	undo->dev = status.st_dev;
	undo->ino = status.st_ino;
	undo->fd = (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 512);
	undo->offset = offset;
	undo->size_before = status.st_size;
	undo->size = size;
	if (pread(fd, undo->bytes, size, offset) != (ssize_t)size)
		undo->size = 0;
	pthread_mutex_lock(&undo_lock);
	undo->older = newest;
	newest = undo;
	pthread_mutex_unlock(&undo_lock);
}

static void forget(int fd)
{
	struct undo **at, *undo;
	struct stat status;

	if (!power || fstat(fd, &status) != 0)
		return;
	pthread_mutex_lock(&undo_lock);
	for (at = &newest; (undo = *at) != NULL;) {
		if (undo->dev == status.st_dev && undo->ino == status.st_ino) {
			*at = undo->older;
			syscall(SYS_close, undo->fd);
			free(undo);
		} else {
			at = &undo->older;
		}
	}
	pthread_mutex_unlock(&undo_lock);
}

static void take_back(bool torn)
{
	unsigned seed = (unsigned)getpid();

	pthread_mutex_lock(&undo_lock);
	for (struct undo *undo = newest; undo; undo = undo->older) {
		for (size_t at = 0; at < undo->size; at += SECTOR) {
			size_t size = undo->size - at < SECTOR ? undo->size - at : SECTOR;

			if (!torn || rand_r(&seed) % 2)
				(void)!syscall(SYS_pwrite64, undo->fd, undo->bytes + at, size,
				    undo->offset + (off_t)at);
		}
		if (!torn || rand_r(&seed) % 2)
			(void)!syscall(SYS_ftruncate, undo->fd, undo->size_before);
	}
}

static void die(const char *op, bool after)
{
	char what[64];

	if (control->kill_when >= KILL_POWER_BEFORE)
		take_back(control->kill_when >= KILL_TORN_BEFORE);
	snprintf(what, sizeof(what), "%s %s", op, after ? "done" : "begun");
	say(what, control->kill_when);
	syscall(SYS_kill, getpid(), SIGKILL);
	for (;;)
		pause();
}

/* --- the disk --------------------------------------------------------------- */

static bool counts(const char *path)
{
	size_t size = strlen(path);

	/* The folder itself: it is synced, and unnamed files are made in it. */
	return folder_size > 0 && strncmp(path, folder, folder_size) == 0 &&
	       (path[folder_size] == '/' || path[folder_size] == '\0') &&
	       (size < 4 || strcmp(path + size - 4, "-shm") != 0);
}

static bool is_of_folder(int fd)
{
	return control && fd >= 0 && fd < FDS_MAX && is_data[fd];
}

/* The countdown stands at one: this operation is it. */
static bool is_last(enum disk_op op)
{
	return (control->kill_ops & op) && control->kill_count > 0 &&
	       atomic_fetch_sub(&control->kill_count, 1) == 1;
}

/* The countdown of operations that go well, and of those that then fail. */
static bool fails(enum disk_op op)
{
	atomic_fetch_add(&control->disk_seen, 1);
	if (!control->disk_error || !(control->disk_ops & op))
		return false;
	if (control->disk_skip > 0 && atomic_fetch_sub(&control->disk_skip, 1) > 0)
		return false;
	if (control->disk_count == 0)
		return false;
	if (control->disk_count > 0 && atomic_fetch_sub(&control->disk_count, 1) <= 0)
		return false;
	atomic_fetch_add(&control->disk_failed, 1);
	errno = (int)control->disk_error;
	return true;
}

/* Around one operation on a file of the folder. */
#define DISK(op, name, fd, result, doing)                                                          \
	do {                                                                                       \
		bool last;                                                                         \
\
		if (!is_of_folder(fd))                                                             \
			return doing;                                                              \
		last = is_last(op);                                                                \
		if (last && control->kill_when % 2 == 0)                                           \
			die(name, false);                                                          \
		if (fails(op))                                                                     \
			return -1;                                                                 \
		result = doing;                                                                    \
		if (last)                                                                          \
			die(name, true);                                                           \
		return result;                                                                     \
	} while (0)

static size_t shortened(int fd, size_t size)
{
	return is_of_folder(fd) && control->disk_short && size > 1 ? size / 2 : size;
}

static ssize_t write_at(int fd, const void *bytes, size_t size, off_t offset)
{
	remember(fd, offset, size);
	return syscall(SYS_pwrite64, fd, bytes, shortened(fd, size), offset);
}

static ssize_t write_on(int fd, const void *bytes, size_t size)
{
	struct stat status;
	long at = syscall(SYS_lseek, fd, 0, SEEK_CUR);

	if (fcntl(fd, F_GETFL) & O_APPEND && fstat(fd, &status) == 0)
		at = (long)status.st_size;
	remember(fd, at, size);
	return syscall(SYS_write, fd, bytes, shortened(fd, size));
}

ssize_t write(int fd, const void *bytes, size_t size)
{
	ssize_t result;

	if (!is_of_folder(fd))
		return syscall(SYS_write, fd, bytes, size);
	DISK(DISK_WRITE, "write", fd, result, write_on(fd, bytes, size));
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
	ssize_t result;

	if (!is_of_folder(fd))
		return syscall(SYS_pwrite64, fd, bytes, size, offset);
	DISK(DISK_WRITE, "write", fd, result, write_at(fd, bytes, size, offset));
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset)
{
	return pwrite(fd, bytes, size, offset);
}

static int sync_now(int fd, long which)
{
	int result = (int)syscall(which, fd);

	if (result == 0)
		forget(fd);
	return result;
}

int fsync(int fd)
{
	int result;

	DISK(DISK_SYNC, "sync", fd, result, sync_now(fd, SYS_fsync));
}

int fdatasync(int fd)
{
	int result;

	DISK(DISK_SYNC, "sync", fd, result, sync_now(fd, SYS_fdatasync));
}

static int cut(int fd, off_t size)
{
	struct stat status;

	if (power && fstat(fd, &status) == 0)
		remember(fd, size, status.st_size > size ? (size_t)(status.st_size - size) : 0);
	return (int)syscall(SYS_ftruncate, fd, size);
}

int ftruncate(int fd, off_t size)
{
	int result;

	if (!is_of_folder(fd))
		return (int)syscall(SYS_ftruncate, fd, size);
	DISK(DISK_TRUNCATE, "truncate", fd, result, cut(fd, size));
}

int ftruncate64(int fd, off64_t size)
{
	return ftruncate(fd, size);
}

/* --- descriptors -------------------------------------------------------------- */

static bool no_fd(enum fd_call call)
{
	if (!control || !control->fd_error || !(control->fd_calls & call))
		return false;
	atomic_fetch_add(&control->fd_failed, 1);
	errno = (int)control->fd_error;
	return true;
}

static int noted(int fd, const char *path)
{
	if (fd >= 0 && fd < FDS_MAX)
		is_data[fd] = counts(path);
	return fd;
}

static int open_at(int dir, const char *path, int flags, mode_t mode)
{
	if (no_fd(FD_OPEN))
		return -1;
	if (control && (flags & O_ACCMODE) != O_RDONLY && counts(path) && fails(DISK_OPEN))
		return -1;
	return noted((int)syscall(SYS_openat, dir, path, flags, mode), path);
}

#define OPEN_MODE(flags)                                                                           \
	mode_t mode = 0;                                                                           \
	va_list args;                                                                              \
\
	va_start(args, flags);                                                                     \
	if ((flags) & O_CREAT || ((flags) & O_TMPFILE) == O_TMPFILE)                               \
		mode = va_arg(args, mode_t);                                                       \
	va_end(args)

int open(const char *path, int flags, ...)
{
	OPEN_MODE(flags);
	return open_at(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	OPEN_MODE(flags);
	return open_at(AT_FDCWD, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
	OPEN_MODE(flags);
	return open_at(dir, path, flags, mode);
}

int mkostemp(char *name, int flags)
{
	if (no_fd(FD_OPEN) || (control && counts(name) && fails(DISK_OPEN)))
		return -1;
	return noted(REAL(mkostemp)(name, flags), name);
}

int mkostemp64(char *name, int flags)
{
	return mkostemp(name, flags);
}

int close(int fd)
{
	if (fd >= 0 && fd < FDS_MAX)
		is_data[fd] = 0;
	return (int)syscall(SYS_close, fd);
}

int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
	return no_fd(FD_ACCEPT) ? -1 : (int)syscall(SYS_accept4, fd, address, size, flags);
}

int accept(int fd, struct sockaddr *address, socklen_t *size)
{
	return accept4(fd, address, size, 0);
}

int socket(int domain, int type, int protocol)
{
	return no_fd(FD_SOCKET) ? -1 : (int)syscall(SYS_socket, domain, type, protocol);
}

int eventfd(unsigned value, int flags)
{
	return no_fd(FD_EVENT) ? -1 : (int)syscall(SYS_eventfd2, value, flags);
}

int pipe2(int fds[2], int flags)
{
	return no_fd(FD_EVENT) ? -1 : (int)syscall(SYS_pipe2, fds, flags);
}

int socketpair(int domain, int type, int protocol, int fds[2])
{
	return no_fd(FD_EVENT) ? -1 : (int)syscall(SYS_socketpair, domain, type, protocol, fds);
}

/* --- the heap ------------------------------------------------------------------- */

static bool no_memory(void)
{
	int64_t left;

	if (!control)
		return false;
	atomic_fetch_add_explicit(&control->alloc_seen, 1, memory_order_relaxed);
	if (control->alloc_skip <= 0)
		return false;
	if (atomic_fetch_sub(&control->alloc_skip, 1) != 1)
		return false;
	left = atomic_fetch_sub(&control->alloc_count, 1);
	/* Switched off between the two. */
	if (left <= 0)
		return false;
	if (left > 1)
		control->alloc_skip = 1;
	atomic_fetch_add(&control->alloc_failed, 1);
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return no_memory() ? NULL : real_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	static void *(*_Atomic next)(size_t, size_t);

	if (!next)
		next = REAL(calloc);
	return no_memory() ? NULL : next(count, size);
}

void *realloc(void *old, size_t size)
{
	static void *(*_Atomic next)(void *, size_t);

	if (!next)
		next = REAL(realloc);
	return no_memory() ? NULL : next(old, size);
}

/* --- the clock ------------------------------------------------------------------- */

int clock_gettime(clockid_t id, struct timespec *out)
{
	int result = (int)syscall(SYS_clock_gettime, id, out);
	int64_t us = 0;

	if (control && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		us = control->clock_us;
	else if (control && id == CLOCK_BOOTTIME)
		us = control->steady_us;
	if (result != 0 || us == 0)
		return result;
	us += (int64_t)out->tv_sec * 1000000 + out->tv_nsec / 1000;
	out->tv_sec = us / 1000000;
	out->tv_nsec = us % 1000000 * 1000 + out->tv_nsec % 1000;
	return result;
}

int gettimeofday(struct timeval *out, void *zone)
{
	struct timespec now;

	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &now) != 0)
		return -1;
	out->tv_sec = now.tv_sec;
	out->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *out)
{
	struct timespec now;

	if (clock_gettime(CLOCK_REALTIME, &now) != 0)
		return -1;
	if (out)
		*out = now.tv_sec;
	return now.tv_sec;
}
