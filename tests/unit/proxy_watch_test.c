/* What is watched, who books it, and what is in doubt; and how the last look at a chain
 * went. */
#include "proxy/watch.h"

#include <pthread.h>

#include "proxy/outlook.h"
#include "tests/unit/unit.h"

#define HERE  "eip155:84532"
#define THERE "eip155:8453"

struct fixture {
	struct assets *assets;
	const struct asset *here, *there;
	struct watch *watch;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);

	fixture->assets = assets_new();
	fixture->here = assets_default(fixture->assets, HERE);
	fixture->there = assets_default(fixture->assets, THERE);
	fixture->watch = watch_new();
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	watch_free(&fixture->watch);
	assert_null(fixture->watch);
	watch_free(&fixture->watch);
	assets_free(&fixture->assets);
	free(fixture);
	return 0;
}

static size_t listed(struct fixture *fixture, const char *network)
{
	size_t count = 99;
	int64_t *ids = watch_list(&count, fixture->watch, network);

	assert_int_equal(ids == NULL, count == 0);
	free(ids);
	return count;
}

static void each_is_there_once_and_by_network(void **state)
{
	struct fixture *fixture = *state;
	size_t count;
	int64_t *ids;

	assert_int_equal(listed(fixture, HERE), 0);
	watch_remove(fixture->watch, 7);
	watch_add(fixture->watch, 7, fixture->here);
	watch_add(fixture->watch, 7, fixture->here);
	watch_add(fixture->watch, 8, fixture->there);
	assert_int_equal(watch_count(fixture->watch), 2);
	ids = watch_list(&count, fixture->watch, HERE);
	assert_int_equal(count, 1);
	assert_int_equal(ids[0], 7);
	free(ids);
	assert_int_equal(listed(fixture, THERE), 1);
	assert_int_equal(listed(fixture, "eip155:1"), 0);
	watch_remove(fixture->watch, 7);
	watch_remove(fixture->watch, 7);
	assert_int_equal(listed(fixture, HERE), 0);
	assert_int_equal(watch_count(fixture->watch), 1);
}

static void one_books_it_at_a_time(void **state)
{
	struct fixture *fixture = *state;
	enum watch_doubt doubt = WATCH_SPENT;

	assert_true(watch_begin(&doubt, fixture->watch, 7, fixture->here));
	assert_int_equal(doubt, WATCH_SURE);
	doubt = WATCH_SPENT;
	assert_false(watch_begin(&doubt, fixture->watch, 7, fixture->here));
	assert_int_equal(doubt, WATCH_SPENT);
	assert_true(watch_begin(&doubt, fixture->watch, 8, fixture->here));
	/* Being booked is not being watched. */
	assert_int_equal(listed(fixture, HERE), 0);
	watch_end(fixture->watch, 7, WATCH_SURE, true);
	watch_end(fixture->watch, 8, WATCH_SURE, false);
	assert_int_equal(listed(fixture, HERE), 1);
	assert_true(watch_begin(&doubt, fixture->watch, 7, fixture->here));
	/* It may be taken off the list meanwhile. */
	watch_remove(fixture->watch, 7);
	watch_end(fixture->watch, 7, WATCH_SURE, false);
	assert_int_equal(listed(fixture, HERE), 0);
}

static void doubt_is_told_to_the_next(void **state)
{
	struct fixture *fixture = *state;
	enum watch_doubt doubt;

	assert_true(watch_begin(&doubt, fixture->watch, 7, fixture->here));
	watch_end(fixture->watch, 7, WATCH_ASIDE, true);
	/* Nothing but an end to it makes it forgotten. */
	watch_remove(fixture->watch, 7);
	watch_add(fixture->watch, 7, fixture->here);
	watch_remove(fixture->watch, 7);
	assert_true(watch_begin(&doubt, fixture->watch, 7, fixture->here));
	assert_int_equal(doubt, WATCH_ASIDE);
	watch_end(fixture->watch, 7, WATCH_SURE, false);
	assert_true(watch_begin(&doubt, fixture->watch, 7, fixture->here));
	assert_int_equal(doubt, WATCH_SURE);
	watch_end(fixture->watch, 7, WATCH_SURE, false);
}

static void the_list_has_an_end(void **state)
{
	struct fixture *fixture = *state;
	enum watch_doubt doubt;

	for (int64_t id = 1; id <= WATCH_MAX + 5; id++)
		watch_add(fixture->watch, id, fixture->here);
	assert_int_equal(watch_count(fixture->watch), WATCH_MAX);
	assert_int_equal(listed(fixture, HERE), WATCH_MAX);
	/* Doubt has its place all the same. */
	assert_true(watch_begin(&doubt, fixture->watch, WATCH_MAX + 9, fixture->here));
	watch_end(fixture->watch, WATCH_MAX + 9, WATCH_OPEN, true);
	assert_true(watch_begin(&doubt, fixture->watch, WATCH_MAX + 9, fixture->here));
	assert_int_equal(doubt, WATCH_OPEN);
	watch_end(fixture->watch, WATCH_MAX + 9, WATCH_SURE, false);
	watch_remove(fixture->watch, 1);
	watch_add(fixture->watch, WATCH_MAX + 1, fixture->here);
	assert_int_equal(watch_count(fixture->watch), WATCH_MAX);
}

static void an_end_that_was_not_begun_ends_the_process(void **state)
{
	struct fixture *fixture = *state;

	watch_add(fixture->watch, 7, fixture->here);
	assert_aborts(watch_end(fixture->watch, 7, WATCH_SURE, true));
	assert_aborts(watch_end(fixture->watch, 8, WATCH_SURE, true));
}

static void *book_often(void *arg)
{
	struct fixture *fixture = arg;
	enum watch_doubt doubt;
	uintptr_t begun = 0;

	for (int64_t i = 0; i < 20000; i++) {
		if (!watch_begin(&doubt, fixture->watch, i % 3, fixture->here))
			continue;
		begun++;
		watch_add(fixture->watch, 100 + i % 7, fixture->here);
		watch_end(fixture->watch, i % 3, WATCH_SURE, i % 2);
		watch_remove(fixture->watch, 100 + i % 5);
	}
	return (void *)begun;
}

static void two_threads_share_it(void **state)
{
	pthread_t threads[2];
	void *begun;

	for (size_t i = 0; i < COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, book_often, *state), 0);
	for (size_t i = 0; i < COUNT(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &begun), 0);
		assert_true((uintptr_t)begun > 0);
	}
	assert_in_range(watch_count(((struct fixture *)*state)->watch), 0, 10);
}

/* --- the outlook ------------------------------------------------------------------------- */

static void count_rows(const struct outlook_row *row, void *arg)
{
	assert_non_null(strstr(row->network, "eip155:"));
	++*(int *)arg;
}

static void a_change_is_told_once(void **state)
{
	struct outlook *outlook = outlook_new();
	struct outlook_row row;
	char reason[600];
	int count = 0;

	(void)state;
	assert_false(outlook_of(&row, outlook, HERE));
	assert_false(outlook_note(outlook, HERE, CHAIN_OK, "whatever", 5));
	assert_true(outlook_of(&row, outlook, HERE));
	assert_string_equal(row.reason, "");
	assert_true(outlook_note(outlook, HERE, CHAIN_DISAGREE, "a says b", 10));
	assert_false(outlook_note(outlook, HERE, CHAIN_DISAGREE, "b says a", 20));
	assert_true(outlook_of(&row, outlook, HERE));
	assert_int_equal(row.since_us, 10);
	assert_int_equal(row.at_us, 20);
	assert_string_equal(row.reason, "b says a");
	memset(reason, 'x', sizeof reason - 1);
	reason[sizeof reason - 1] = '\0';
	assert_true(outlook_note(outlook, HERE, CHAIN_UNREACHABLE, reason, 30));
	assert_true(outlook_of(&row, outlook, HERE));
	assert_int_equal(strlen(row.reason), OUTLOOK_REASON_SIZE - 1);
	/* The first word, when it is a bad one, is news. */
	assert_true(outlook_note(outlook, THERE, CHAIN_UNREACHABLE, "down", 40));
	outlook_each(outlook, count_rows, &count);
	assert_int_equal(count, 2);
	outlook_forget(outlook, HERE);
	outlook_forget(outlook, HERE);
	assert_false(outlook_of(&row, outlook, HERE));
	assert_true(outlook_of(&row, outlook, THERE));
	outlook_free(&outlook);
	assert_null(outlook);
	outlook_free(&outlook);
}

#define with_watch(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    with_watch(each_is_there_once_and_by_network),
	    with_watch(one_books_it_at_a_time),
	    with_watch(doubt_is_told_to_the_next),
	    with_watch(the_list_has_an_end),
	    with_watch(an_end_that_was_not_begun_ends_the_process),
	    with_watch(two_threads_share_it),
	    cmocka_unit_test(a_change_is_told_once),
	};

	return unit_run(tests);
}
