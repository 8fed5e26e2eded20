/* tests/unit/proxy_clock.h - clocks of a program that are ahead of the machine's: an hour goes by
 * at once, and a machine that is slow for a second has not let a time-out pass. For one file of a
 * program, whose definition comes before libc's, for the libraries under it too. */
#ifndef TESTS_UNIT_PROXY_CLOCK_H
#define TESTS_UNIT_PROXY_CLOCK_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

/* Longer than a machine stands still, and over at once for a clock that goes ahead. */
#define LONG_MS UINT32_C(120000)
#define LONG_US (LONG_MS * INT64_C(1000))

/* By how much, in microseconds; other threads may read the time meanwhile. */
static _Atomic int64_t real_ahead_us, steady_ahead_us;

int clock_gettime(clockid_t id, struct timespec *out)
{
	int64_t ahead_us = id == CLOCK_REALTIME ? real_ahead_us : steady_ahead_us;
	int result = (int)syscall(SYS_clock_gettime, id, out);

	ahead_us += out->tv_nsec / 1000;
	out->tv_sec += ahead_us / CLOCK_US_PER_S;
	out->tv_nsec = ahead_us % CLOCK_US_PER_S * 1000;
	if (out->tv_nsec < 0) {
		out->tv_nsec += 1000000000;
		out->tv_sec--;
	}
	return result;
}

/* So much time goes by, on every clock. */
static inline void clock_pass(int64_t us)
{
	real_ahead_us += us;
	steady_ahead_us += us;
}

#endif
