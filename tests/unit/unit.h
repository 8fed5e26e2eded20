/* tests/unit/unit.h - cmocka with the headers it wants before it, and what every
 * test program needs: rows that name themselves, aborts, a folder to scribble in. */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The last line of main(). */
#define unit_run(tests) cmocka_run_group_tests(tests, NULL, NULL)

/* A check inside a table: a failure names the row. */
#define row_check(row, condition)                                                                  \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_msg("row \"%s\": %s", (row), #condition);                             \
	} while (0)

/* The statement must end the process the way must() does. */
#define assert_aborts(statement)                                                                   \
	do {                                                                                       \
		pid_t child_ = fork();                                                             \
		int status_ = 0;                                                                   \
		assert_true(child_ >= 0);                                                          \
		if (child_ == 0) {                                                                 \
			signal(SIGABRT, SIG_DFL);                                                  \
			close(STDERR_FILENO);                                                      \
			statement;                                                                 \
			_exit(0);                                                                  \
		}                                                                                  \
		assert_int_equal(waitpid(child_, &status_, 0), child_);                            \
		assert_true(WIFSIGNALED(status_) && WTERMSIG(status_) == SIGABRT);                 \
	} while (0)

/* Fixtures: *state is the path of an empty folder, removed afterwards.
 * cmocka_unit_test_setup_teardown(test, unit_folder_make, unit_folder_remove) */
static inline int unit_folder_make(void **state)
{
	char *path = strdup("/tmp/tallyward-unit-XXXXXX");

	if (path == NULL || mkdtemp(path) == NULL)
		return -1;
	*state = path;
	return 0;
}

static inline int unit_remove_one(
    const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status;
	(void)kind;
	(void)place;
	return remove(path);
}

static inline int unit_folder_remove(void **state)
{
	int result = nftw(*state, unit_remove_one, 16, FTW_DEPTH | FTW_PHYS);

	free(*state);
	return result;
}

#endif
