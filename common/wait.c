/* common/wait.c - see wait.h. */
#include "common/wait.h"

#include <errno.h>

#include "common/must.h"

#define MS_MAX    (3600u * 1000u)
#define NS_PER_S  1000000000L
#define NS_PER_MS 1000000L

void wait_init(pthread_cond_t *cond)
{
	pthread_condattr_t attributes;

	must(pthread_condattr_init(&attributes) == 0);
	must(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
	must(pthread_cond_init(cond, &attributes) == 0);
	must(pthread_condattr_destroy(&attributes) == 0);
}

struct wait_end wait_end_in(uint32_t ms)
{
	struct wait_end end;

	must(ms >= 1 && ms <= MS_MAX);
	must(clock_gettime(CLOCK_MONOTONIC, &end.at) == 0);
	end.at.tv_sec += (time_t)(ms / 1000);
	end.at.tv_nsec += (long)(ms % 1000) * NS_PER_MS;
	if (end.at.tv_nsec >= NS_PER_S) {
		end.at.tv_sec++;
		end.at.tv_nsec -= NS_PER_S;
	}
	return end;
}

bool wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, const struct wait_end *end)
{
	int rc = pthread_cond_timedwait(cond, lock, &end->at);

	must(rc == 0 || rc == ETIMEDOUT);
	return rc == 0;
}

bool wait_ms(pthread_cond_t *cond, pthread_mutex_t *lock, uint32_t ms)
{
	struct wait_end end = wait_end_in(ms);

	return wait_until(cond, lock, &end);
}
