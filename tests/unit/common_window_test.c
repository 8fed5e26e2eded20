/* Windows: their names, their frozen numbers, their edges. */
#include <time.h>

#include "common/clock.h"
#include "common/window.h"
#include "tests/unit/unit.h"

static int64_t at(const char *text)
{
	int64_t us;

	assert_true(clock_parse(&us, text));
	return us;
}

/* These stand in files and rows; a change here is a change of format. */
static void numbers_and_names_are_frozen(void **state)
{
	static const struct {
		enum window window;
		int number;
		const char *name;
	} rows[] = {
	    {WINDOW_CALL, 1, "call"},
	    {WINDOW_MINUTE, 2, "minute"},
	    {WINDOW_HOUR, 3, "hour"},
	    {WINDOW_DAY, 4, "day"},
	    {WINDOW_MONTH, 5, "month"},
	    {WINDOW_TOTAL, 6, "total"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		enum window window = WINDOW_CALL;

		assert_int_equal(rows[i].window, rows[i].number);
		assert_string_equal(window_str(rows[i].window), rows[i].name);
		assert_true(window_parse(&window, rows[i].name));
		assert_int_equal(window, rows[i].window);
	}
}

static void other_names_are_refused(void **state)
{
	static const char *const rows[] = {
	    "", "?", "Day", "DAY", " day", "day ", "days", "da", "week", "year", "session", "4"};
	enum window window = WINDOW_HOUR;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		row_check(rows[i], !window_parse(&window, rows[i]));
		row_check(rows[i], window == WINDOW_HOUR);
	}
	assert_false(window_parse(&window, NULL));
	assert_string_equal(window_str((enum window)0), "?");
	assert_string_equal(window_str((enum window)7), "?");
}

static void days_and_months_have_utc_edges(void **state)
{
	static const struct {
		const char *at, *day, *day_end, *month, *month_end;
	} rows[] = {
	    {"2026-11-20T13:35:00.5Z", "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z",
		"2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"},
	    {"2026-11-20T00:00:00Z", "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z",
		"2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"},
	    {"2026-11-20T23:59:59.999999Z", "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z",
		"2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"},
	    {"2026-12-31T23:59:59.999999Z", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z",
		"2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
	    {"2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z",
		"2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z"},
	    {"2024-02-29T12:00:00Z", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z",
		"2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"},
	    {"2023-02-28T12:00:00Z", "2023-02-28T00:00:00Z", "2023-03-01T00:00:00Z",
		"2023-02-01T00:00:00Z", "2023-03-01T00:00:00Z"},
	    {"2100-02-28T23:59:59Z", "2100-02-28T00:00:00Z", "2100-03-01T00:00:00Z",
		"2100-02-01T00:00:00Z", "2100-03-01T00:00:00Z"},
	    {"2026-01-31T12:00:00Z", "2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z",
		"2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"},
	    {"1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1970-01-02T00:00:00Z",
		"1970-01-01T00:00:00Z", "1970-02-01T00:00:00Z"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		int64_t us = at(rows[i].at);

		row_check(rows[i].at, window_day_start_us(us) == at(rows[i].day));
		row_check(rows[i].at, window_day_end_us(us) == at(rows[i].day_end));
		row_check(rows[i].at, window_month_start_us(us) == at(rows[i].month));
		row_check(rows[i].at, window_month_end_us(us) == at(rows[i].month_end));
	}
}

/* Edges must not move with the zone or the summer time of the machine. */
static void the_zone_of_the_machine_does_not_matter(void **state)
{
	int64_t us = at("2026-03-29T23:30:00Z"); /* already tomorrow in Berlin */

	(void)state;
	assert_int_equal(setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1), 0);
	tzset();
	assert_int_equal(window_day_start_us(us), at("2026-03-29T00:00:00Z"));
	assert_int_equal(window_day_end_us(us), at("2026-03-30T00:00:00Z"));
	assert_int_equal(window_month_end_us(us), at("2026-04-01T00:00:00Z"));
	assert_int_equal(unsetenv("TZ"), 0);
	tzset();
}

static void the_ends_of_time_do_not_wrap(void **state)
{
	(void)state;
	assert_int_equal(window_day_end_us(INT64_MAX), INT64_MAX);
	assert_int_equal(window_month_end_us(INT64_MAX), INT64_MAX);
	assert_true(window_day_start_us(INT64_MAX) < INT64_MAX);
	assert_int_equal(window_day_start_us(INT64_MIN), INT64_MIN);
	assert_int_equal(window_month_start_us(INT64_MIN), INT64_MIN);
	assert_int_equal(window_day_start_us(-1), -86400 * CLOCK_US_PER_S);
	assert_int_equal(window_day_end_us(-1), 0);
	assert_int_equal(window_month_start_us(-1), -31 * 86400 * CLOCK_US_PER_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(numbers_and_names_are_frozen),
	    cmocka_unit_test(other_names_are_refused),
	    cmocka_unit_test(days_and_months_have_utc_edges),
	    cmocka_unit_test(the_zone_of_the_machine_does_not_matter),
	    cmocka_unit_test(the_ends_of_time_do_not_wrap),
	};

	return unit_run(tests);
}
