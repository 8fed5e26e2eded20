/* What an endpoint asked for last: which calls share a memory, and what is forgotten. */
#include "proxy/quote.h"

#include "tests/unit/unit.h"

static void note(
    struct quotes *quotes, const char *tool, const char *method, const char *path, int64_t micros)
{
	struct quote_key key = quote_key(tool, method, path);

	quotes_note(quotes, &key, micros);
}

static bool last(int64_t *out_micros, struct quotes *quotes, const char *tool,
    const char *method, const char *path)
{
	struct quote_key key = quote_key(tool, method, path);

	return quotes_last(out_micros, quotes, &key);
}

static void assert_last(
    struct quotes *quotes, const char *tool, const char *method, const char *path, int64_t micros)
{
	int64_t found = -1;

	assert_true(last(&found, quotes, tool, method, path));
	assert_int_equal(found, micros);
}

static void assert_unseen(
    struct quotes *quotes, const char *tool, const char *method, const char *path)
{
	int64_t found = -77;

	assert_false(last(&found, quotes, tool, method, path));
	assert_int_equal(found, -77);
}

static void a_hint_is_remembered(void **state)
{
	static const int64_t rows[] = {50000, 0, 1, INT64_MAX, 0, 50000};
	struct quotes *quotes = quotes_new(8);

	(void)state;
	assert_unseen(quotes, "search", "GET", "/a");
	for (size_t i = 0; i < COUNT(rows); i++) {
		note(quotes, "search", "GET", "/a", rows[i]);
		assert_last(quotes, "search", "GET", "/a", rows[i]);
		/* Asking does not use it up. */
		assert_last(quotes, "search", "GET", "/a", rows[i]);
	}
	quotes_free(&quotes);
	assert_null(quotes);
}

/* After a note on ("search", "GET", "/a/b"). */
static void the_query_is_no_part_of_an_endpoint(void **state)
{
	static const struct {
		const char *tool, *method, *path;
		bool same;
	} rows[] = {
	    {"search", "GET", "/a/b", true},
	    {"search", "GET", "/a/b?", true},
	    {"search", "GET", "/a/b?q=1", true},
	    {"search", "GET", "/a/b?q=/c?d", true},
	    {"search", "GET", "", false},
	    {"search", "GET", "?/a/b", false},
	    {"search", "GET", "/", false},
	    {"search", "GET", "/a", false},
	    {"search", "GET", "/a?/b", false},
	    {"search", "GET", "/a/b/", false},
	    {"search", "GET", "/a/b/?", false},
	    {"search", "GET", "/A/b", false},
	    {"search", "GET", "/a/%62", false},
	    {"search", "GET", "/a/b%3Fq=1", false},
	    {"search", "GET", "/a/b#q", false},
	    {"search", "POST", "/a/b", false},
	    {"search", "get", "/a/b", false},
	    {"search", "", "/a/b", false},
	    {"Search", "GET", "/a/b", false},
	    {"searc", "GET", "/a/b", false},
	    {"", "GET", "/a/b", false},
	    /* The words may not run into each other. */
	    {"searchG", "ET", "/a/b", false},
	    {"searchGET", "", "/a/b", false},
	    {"search", "GET/a", "/b", false},
	    {"", "searchGET", "/a/b", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct quotes *quotes = quotes_new(8);
		int64_t found = -1;
		bool seen;

		note(quotes, "search", "GET", "/a/b?x=y", 7);
		seen = last(&found, quotes, rows[i].tool, rows[i].method, rows[i].path);
		row_check(rows[i].path, seen == rows[i].same);
		row_check(rows[i].path, found == (rows[i].same ? 7 : -1));
		quotes_free(&quotes);
	}
}

static void note_numbered(struct quotes *quotes, int number)
{
	char path[32];

	snprintf(path, sizeof path, "/%d?q=%d", number, number * 31);
	note(quotes, "t", "GET", path, number);
}

static bool knows_numbered(struct quotes *quotes, int number)
{
	char path[32];
	int64_t found = -1;

	snprintf(path, sizeof path, "/%d", number);
	if (!last(&found, quotes, "t", "GET", path))
		return false;
	assert_int_equal(found, number);
	return true;
}

static void the_oldest_is_forgotten_when_full(void **state)
{
	static const int rows[] = {1, 2, 3, 100, 1000};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct quotes *quotes = quotes_new((size_t)rows[i]);

		for (int number = 0; number < rows[i] * 3; number++) {
			note_numbered(quotes, number);
			assert_true(knows_numbered(quotes, number));
			if (number + 1 >= rows[i])
				assert_true(knows_numbered(quotes, number + 1 - rows[i]));
			if (number >= rows[i])
				assert_false(knows_numbered(quotes, number - rows[i]));
		}
		quotes_free(&quotes);
	}
}

/* A note on what is known already takes no place of another's. */
static void noting_again_forgets_nothing(void **state)
{
	struct quotes *quotes = quotes_new(3);

	(void)state;
	for (int number = 0; number < 3; number++)
		note_numbered(quotes, number);
	for (int i = 0; i < 100; i++)
		note_numbered(quotes, i % 3);
	for (int number = 0; number < 3; number++)
		assert_true(knows_numbered(quotes, number));
	quotes_free(&quotes);
}

/* "The entry that was noted longest ago goes": noting one again makes it the youngest. */
static void noting_again_makes_it_the_youngest(void **state)
{
	struct quotes *quotes = quotes_new(3);

	(void)state;
	for (int number = 0; number < 3; number++)
		note_numbered(quotes, number);
	note_numbered(quotes, 0);
	note_numbered(quotes, 3);
	assert_true(knows_numbered(quotes, 0));
	assert_false(knows_numbered(quotes, 1));
	assert_true(knows_numbered(quotes, 2));
	assert_true(knows_numbered(quotes, 3));
	quotes_free(&quotes);
}

static void asking_does_not_make_it_younger(void **state)
{
	struct quotes *quotes = quotes_new(2);

	(void)state;
	note_numbered(quotes, 0);
	note_numbered(quotes, 1);
	assert_true(knows_numbered(quotes, 0));
	note_numbered(quotes, 2);
	assert_false(knows_numbered(quotes, 0));
	assert_true(knows_numbered(quotes, 1));
	quotes_free(&quotes);
}

static void free_of_nothing(void **state)
{
	struct quotes *quotes = NULL;

	(void)state;
	quotes_free(&quotes);
	assert_null(quotes);
	assert_aborts(quotes = quotes_new(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_hint_is_remembered),
	    cmocka_unit_test(the_query_is_no_part_of_an_endpoint),
	    cmocka_unit_test(the_oldest_is_forgotten_when_full),
	    cmocka_unit_test(noting_again_forgets_nothing),
	    cmocka_unit_test(noting_again_makes_it_the_youngest),
	    cmocka_unit_test(asking_does_not_make_it_younger),
	    cmocka_unit_test(free_of_nothing),
	};

	return unit_run(tests);
}
