/* common/thread.c - see thread.h. */
#include "common/thread.h"

#include <signal.h>

bool thread_start(pthread_t *out, void *(*run)(void *arg), void *arg)
{
	sigset_t all, before;
	bool started;

	/* A thread begins with the mask of the one that makes it. */
	must(sigfillset(&all) == 0 && sigdelset(&all, SIGSYS) == 0);
	must(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
	started = pthread_create(out, NULL, run, arg) == 0;
	must(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
	return started;
}
