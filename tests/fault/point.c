/* tests/fault/point.c - the other side of common/fault.h, in the test program only.
 *
 * FAULT_AT=NAME:K   SIGKILL at the K-th passage of the point NAME, K from 1
 *
 * What is said about it goes to stderr in one line, "fault: NAME passage K", so that whoever
 * started the process knows that it died there and of nothing else. */
#include "common/fault.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "FAULT/"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char wanted[128];
static long wanted_passage;
static atomic_long passages;

static void read_environment(void)
{
	const char *text = getenv("FAULT_AT");
	const char *colon = text ? strrchr(text, ':') : NULL;

	if (!colon || (size_t)(colon - text) >= sizeof(wanted))
		return;
	memcpy(wanted, text, (size_t)(colon - text));
	wanted_passage = strtol(colon + 1, NULL, 10);
}

void fault_point(const char *name)
{
	char line[256];
	int size;

	pthread_once(&once, read_environment);
	if (wanted[0] == '\0' || strcmp(name + strlen(PREFIX), wanted) != 0)
		return;
	if (atomic_fetch_add(&passages, 1) + 1 != wanted_passage)
		return;
	size = snprintf(line, sizeof(line), "fault: %s passage %ld\n", wanted, wanted_passage);
	if (write(STDERR_FILENO, line, (size_t)size) < 0)
		_exit(3);
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}
