/* tests/fault/point.c - the other side of common/fault.h, in the test program only.
 *
 * FAULT_AT=NAME:K     SIGKILL at the K-th passage of the point NAME, K from 1
 * FAULT_CONTROL=FILE  the same, told while the process runs (control.h)
 *
 * What is said about it goes to stderr in one line, "fault: NAME passage K", so that whoever
 * started the process knows that it died there and of nothing else. */
#include "common/fault.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fault/control.h"

#define PREFIX_SIZE strlen("FAULT/")

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct control own;
static struct control *control = &own;
static atomic_long passages;

static void map_control(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *page;

	if (fd < 0)
		return;
	page = mmap(NULL, CONTROL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (page != MAP_FAILED)
		control = page;
}

static void read_environment(void)
{
	const char *path = getenv("FAULT_CONTROL"), *text = getenv("FAULT_AT");
	const char *colon = text ? strrchr(text, ':') : NULL;

	if (colon && (size_t)(colon - text) < sizeof(own.point)) {
		memcpy(own.point, text, (size_t)(colon - text));
		own.passage = strtol(colon + 1, NULL, 10);
	} else if (path) {
		map_control(path);
	}
}

void fault_point(const char *name)
{
	char line[256];
	int size;

	pthread_once(&once, read_environment);
	if (control->point[0] == '\0' || strcmp(name + PREFIX_SIZE, control->point) != 0)
		return;
	if (atomic_fetch_add(&passages, 1) + 1 != control->passage)
		return;
	size = snprintf(line, sizeof(line), "fault: %s passage %lld\n", control->point,
	    (long long)control->passage);
	if (write(STDERR_FILENO, line, (size_t)size) < 0)
		_exit(3);
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}
