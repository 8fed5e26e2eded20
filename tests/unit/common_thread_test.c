/* common_thread_test - what a thread of ours hears of signals, and what its maker goes on
 * hearing. */
#include "tests/unit/unit.h"

#include "common/thread.h"

static void *note_mask(void *arg)
{
	must(pthread_sigmask(SIG_SETMASK, NULL, arg) == 0);
	return arg;
}

static bool same_masks(const sigset_t *a, const sigset_t *b)
{
	for (int signal = 1; signal <= SIGRTMAX; signal++)
		if (sigismember(a, signal) != sigismember(b, signal))
			return false;
	return true;
}

static void hears_no_signal_but_a_refused_call(void **state)
{
	static const int deaf_to[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD, SIGALRM, SIGPIPE};
	sigset_t mask;
	pthread_t thread;
	void *result;

	(void)state;
	sigemptyset(&mask);
	assert_true(thread_start(&thread, note_mask, &mask));
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, &mask);
	for (size_t i = 0; i < COUNT(deaf_to); i++)
		assert_int_equal(sigismember(&mask, deaf_to[i]), 1);
	assert_int_equal(sigismember(&mask, SIGSYS), 0);
}

static void its_maker_hears_what_it_heard(void **state)
{
	sigset_t mine, before, after, theirs;
	pthread_t thread;

	(void)state;
	sigemptyset(&mine);
	sigaddset(&mine, SIGUSR2);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &mine, &before), 0);
	assert_true(thread_start(&thread, note_mask, &theirs));
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, &after), 0);
	assert_true(same_masks(&after, &mine));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hears_no_signal_but_a_refused_call),
	    cmocka_unit_test(its_maker_hears_what_it_heard),
	};

	return unit_run(tests);
}
