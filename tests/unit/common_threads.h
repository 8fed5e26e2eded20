/* tests/unit/common_threads.h - a system that has no more threads when it is told so:
 * pthread_create() of this program, before libc's. */
#ifndef TESTS_UNIT_COMMON_THREADS_H
#define TESTS_UNIT_COMMON_THREADS_H

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

/* So many more can be created; below 0: any number. */
static _Atomic int threads_left = -1;

int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attributes,
    void *(*start)(void *), void *restrict arg)
{
	int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	if (atomic_load(&threads_left) == 0)
		return EAGAIN;
	if (atomic_load(&threads_left) > 0)
		atomic_fetch_sub(&threads_left, 1);
	*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	return real(thread, attributes, start, arg);
}

#endif
