/* common_wait_test - a wait ends when it is signalled, and when its time is over. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <pthread.h>

#include "common/wait.h"

struct shared {
	pthread_mutex_t lock;
	pthread_cond_t cond, here;
	bool waiting, rung;
};

static int shared_make(void **state)
{
	struct shared *shared = calloc(1, sizeof(*shared));

	if (shared == NULL || pthread_mutex_init(&shared->lock, NULL) != 0)
		return -1;
	wait_init(&shared->cond);
	wait_init(&shared->here);
	*state = shared;
	return 0;
}

static int shared_free(void **state)
{
	struct shared *shared = *state;

	pthread_cond_destroy(&shared->cond);
	pthread_cond_destroy(&shared->here);
	pthread_mutex_destroy(&shared->lock);
	free(shared);
	return 0;
}

static void over_when_nobody_signals(void **state)
{
	struct shared *shared = *state;
	const uint32_t spans[] = {1, 2, 1001};

	pthread_mutex_lock(&shared->lock);
	for (size_t i = 0; i < COUNT(spans); i++) {
		/* Woken without reason: once more. */
		while (wait_ms(&shared->cond, &shared->lock, spans[i]))
			assert_false(shared->rung);
	}
	/* The lock is held again. */
	assert_int_equal(pthread_mutex_trylock(&shared->lock), EBUSY);
	pthread_mutex_unlock(&shared->lock);
}

/* Several waits to one end are no longer than one; a span that is over is not waited for. */
static void over_at_one_end(void **state)
{
	struct shared *shared = *state;
	struct wait_end end = wait_end_in(20), later = wait_end_in(3600u * 1000u);

	assert_true(later.at.tv_sec >= end.at.tv_sec + 3599);
	assert_true(end.at.tv_nsec >= 0 && end.at.tv_nsec < 1000000000L);
	pthread_mutex_lock(&shared->lock);
	while (wait_until(&shared->cond, &shared->lock, &end))
		assert_false(shared->rung);
	while (wait_until(&shared->cond, &shared->lock, &end))
		assert_false(shared->rung);
	assert_int_equal(pthread_mutex_trylock(&shared->lock), EBUSY);
	pthread_mutex_unlock(&shared->lock);
	assert_aborts(wait_end_in(0));
	assert_aborts(wait_end_in(3600u * 1000u + 1));
}

static void *wait_for_it(void *arg)
{
	struct shared *shared = arg;

	pthread_mutex_lock(&shared->lock);
	shared->waiting = true;
	pthread_cond_signal(&shared->here);
	while (!shared->rung) {
		/* An hour: over before only because it was signalled. */
		if (!wait_ms(&shared->cond, &shared->lock, 3600u * 1000u))
			break;
	}
	pthread_mutex_unlock(&shared->lock);
	return shared->rung ? shared : NULL;
}

static void woken_by_a_signal(void **state)
{
	struct shared *shared = *state;
	pthread_t thread;
	void *result = NULL;

	assert_int_equal(pthread_create(&thread, NULL, wait_for_it, shared), 0);
	pthread_mutex_lock(&shared->lock);
	while (!shared->waiting)
		pthread_cond_wait(&shared->here, &shared->lock);
	shared->rung = true;
	pthread_cond_signal(&shared->cond);
	pthread_mutex_unlock(&shared->lock);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, shared);
}

static void spans_without_sense_end_the_process(void **state)
{
	struct shared *shared = *state;

	pthread_mutex_lock(&shared->lock);
	assert_aborts((void)wait_ms(&shared->cond, &shared->lock, 0));
	assert_aborts((void)wait_ms(&shared->cond, &shared->lock, 3600u * 1000u + 1));
	pthread_mutex_unlock(&shared->lock);
}

#define shared_test(test) cmocka_unit_test_setup_teardown(test, shared_make, shared_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    shared_test(over_when_nobody_signals),
	    shared_test(over_at_one_end),
	    shared_test(woken_by_a_signal),
	    shared_test(spans_without_sense_end_the_process),
	};

	return unit_run(tests);
}
