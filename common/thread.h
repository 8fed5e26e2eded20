/* common/thread.h - starting a thread of ours.
 *
 * Signals are the main thread's, which ends the process in order: no other thread is ever
 * interrupted by one in the middle of a write. Only SIGSYS stays open, as a refused system call
 * is the thread's that made it. */
#ifndef COMMON_THREAD_H
#define COMMON_THREAD_H

#include <pthread.h>
#include <stdbool.h>

#include "common/must.h"

/** thread_start - run(arg) on a thread of its own, to be joined by the caller.
 *
 * Returns  true   *out is it
 *          false  the system has no thread to give; run is never called */
MUST_CHECK bool thread_start(pthread_t *out, void *(*run)(void *arg), void *arg);

#endif
