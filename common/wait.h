/* common/wait.h - waiting for another thread, but not for ever.
 *
 * A condition variable whose time runs by the steady clock, so that nobody who sets the
 * machine's clock lengthens a wait; the caller names a span and reads no clock. */
#ifndef COMMON_WAIT_H
#define COMMON_WAIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/** A moment on the steady clock. */
struct wait_end {
	struct timespec at;
};

/** wait_init - a condition for wait_ms(); pthread_cond_wait(), _signal() and _destroy() work on
 * it as on any other. */
void wait_init(pthread_cond_t *cond);

/** wait_ms - let go of lock until cond is signalled, at most ms milliseconds (1 to an hour), and
 * take it again. As with every condition the caller looks whether what it waits for is so.
 *
 * Returns  true   woken, perhaps without reason
 *          false  the time is over */
bool wait_ms(pthread_cond_t *cond, pthread_mutex_t *lock, uint32_t ms);

/** wait_end_in - the moment ms milliseconds from now (1 to an hour). */
struct wait_end wait_end_in(uint32_t ms);

/** wait_until - like wait_ms, to the end of a span that may have begun long ago: several waits
 * are then no longer than one. */
bool wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, const struct wait_end *end);

#endif
