/* Time as text, both ways; and what becomes of it when the machine's clock is set. */
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "tests/unit/unit.h"

#define S CLOCK_US_PER_S

/* The machine's clocks, as far as this program is concerned: this definition comes before
 * libc's. 0: the real ones. */
static int64_t real_us, steady_us;
static bool boottime_missing;

int clock_gettime(clockid_t id, struct timespec *out)
{
	int64_t us = id == CLOCK_REALTIME ? real_us : steady_us;

	if (id == CLOCK_BOOTTIME && boottime_missing) {
		errno = EINVAL;
		return -1;
	}
	if (us == 0)
		return (int)syscall(SYS_clock_gettime, id, out);
	out->tv_sec = us / S;
	out->tv_nsec = us % S * 1000;
	return 0;
}

static const struct {
	int64_t us;
	const char *text;
} instants[] = {
    {0, "1970-01-01T00:00:00Z"},
    {1, "1970-01-01T00:00:00.000001Z"},
    {999999, "1970-01-01T00:00:00.999999Z"},
    {S, "1970-01-01T00:00:01Z"},
    {951782400 * S, "2000-02-29T00:00:00Z"},
    {1709251199 * S, "2024-02-29T23:59:59Z"},
    {1709251200 * S, "2024-03-01T00:00:00Z"},
    {1795181700 * S, "2026-11-20T13:35:00Z"},
    {1795181700 * S + 123456, "2026-11-20T13:35:00.123456Z"},
    {1795181700 * S + 500000, "2026-11-20T13:35:00.500000Z"},
    {1798761599 * S + 999999, "2026-12-31T23:59:59.999999Z"},
    {INT64_C(4107542400) * S, "2100-03-01T00:00:00Z"},
    {INT64_C(253402300799) * S + 999999, "9999-12-31T23:59:59.999999Z"},
};

static void format_writes_rfc_3339(void **state)
{
	char text[CLOCK_TEXT_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(instants); i++)
		assert_string_equal(clock_format(text, instants[i].us), instants[i].text);
	assert_string_equal(clock_format(text, -1), "1969-12-31T23:59:59.999999Z");
	assert_string_equal(clock_format(text, -S), "1969-12-31T23:59:59Z");
	assert_string_equal(clock_format(text, INT64_MAX), "294247-01-10T04:00:54.775807Z");
	assert_string_equal(clock_format(text, INT64_MIN), "-290308-12-21T19:59:05.224192Z");
}

static void parse_reads_what_format_writes(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(instants); i++) {
		int64_t us = -7;

		row_check(instants[i].text, clock_parse(&us, instants[i].text));
		row_check(instants[i].text, us == instants[i].us);
	}
}

static void parse_reads_offsets_and_fractions(void **state)
{
	static const struct {
		const char *text;
		int64_t us;
	} rows[] = {
	    {"2026-11-20T13:35:00+00:00", 1795181700 * S},
	    {"2026-11-20T13:35:00-00:00", 1795181700 * S},
	    {"2026-11-20T14:35:00+01:00", 1795181700 * S},
	    {"2026-11-20T08:05:00-05:30", 1795181700 * S},
	    {"2026-11-21T13:34:00+23:59", 1795181700 * S},
	    {"2026-11-20t13:35:00z", 1795181700 * S},
	    {"2026-11-20T13:35:00.5Z", 1795181700 * S + 500000},
	    {"2026-11-20T13:35:00.000001Z", 1795181700 * S + 1},
	    {"2026-11-20T13:35:00.1234569Z", 1795181700 * S + 123456},
	    {"2026-11-20T13:35:00.999999999999Z", 1795181700 * S + 999999},
	    {"2026-11-20T13:35:00.0Z", 1795181700 * S},
	    {"1969-12-31T23:00:00-01:00", 0},
	    {"9999-12-31T23:59:59+00:01", INT64_C(253402300739) * S},
	    {"2000-02-29T00:00:00Z", 951782400 * S},
	    {"2400-02-29T00:00:00Z", INT64_C(13574563200) * S},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		int64_t us = -7;

		row_check(rows[i].text, clock_parse(&us, rows[i].text));
		row_check(rows[i].text, us == rows[i].us);
	}
}

static void parse_refuses_the_rest(void **state)
{
	static const char *const rows[] = {"", "now", "2026", "2026-11-20", "2026-11-20T13:35",
	    "2026-11-20T13:35:00", "2026-11-20 13:35:00Z", "2026-11-20T13:35:00ZZ",
	    "2026-11-20T13:35:00Z ", " 2026-11-20T13:35:00Z", "2026-11-20T13:35:00Z\n",
	    "2026-11-20T13:35:00 Z", "26-11-20T13:35:00Z", "02026-11-20T13:35:00Z",
	    "10000-01-01T00:00:00Z", "2026-1-20T13:35:00Z", "2026-11-2T13:35:00Z",
	    "2026-11-20T1:35:00Z", "2026-00-20T13:35:00Z", "2026-13-20T13:35:00Z",
	    "2026-11-00T13:35:00Z", "2026-11-31T13:35:00Z", "2026-01-32T13:35:00Z",
	    "2026-02-29T00:00:00Z", "2023-02-29T00:00:00Z", "2100-02-29T00:00:00Z",
	    "1900-02-29T00:00:00Z", "2024-02-30T00:00:00Z", "2026-11-20T24:00:00Z",
	    "2026-11-20T13:60:00Z", "2026-11-20T13:35:60Z", "2026-12-31T23:59:60Z",
	    "2026-11-20T13:35:00.Z", "2026-11-20T13:35:00,5Z", "2026-11-20T13:35:00.-5Z",
	    "2026-11-20T13:35:00+1:00", "2026-11-20T13:35:00+0100", "2026-11-20T13:35:00+01",
	    "2026-11-20T13:35:00+24:00", "2026-11-20T13:35:00+01:60", "2026-11-20T13:35:00+-1:00",
	    "2026-11-20T13:35:00 01:00", "2026-11-20T13:35:00+01:00Z", "2026/11/20T13:35:00Z",
	    "2026-11-20T13.35.00Z", "-026-11-20T13:35:00Z", "+2026-11-20T13:35:00Z",
	    "1969-12-31T23:59:59Z", "1970-01-01T00:00:00+00:01", "0000-01-01T00:00:00Z",
	    "9999-12-31T23:59:59-00:01", "1795181700", "٢٠٢٦-11-20T13:35:00Z"};
	size_t i;
	int64_t us = -7;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		row_check(rows[i], !clock_parse(&us, rows[i]));
		row_check(rows[i], us == -7);
	}
	assert_false(clock_parse(&us, NULL));
}

static void durations_have_units_and_bounds(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} rows[] = {
	    {"1", 1},
	    {"90", 90},
	    {"90s", 90},
	    {"15m", 900},
	    {"8h", 28800},
	    {"30d", 2592000},
	    {"007s", 7},
	    {"3650d", 315360000},
	    {"87600h", 315360000},
	    {"315360000", 315360000},
	};
	static const char *const refused[] = {"", "0", "0s", "0d", "-1", "-1s", "+1s", "s", "h",
	    "1w", "1y", "1S", "1H", "1M", "1ms", "1 s", " 1s", "1s ", "1s\n", "1.5h", "1h30m",
	    "1hh", "0x10", "1e3", "3651d", "87601h", "315360001", "5256001m",
	    "99999999999999999999", "18446744073709551617s", "٥s"};
	int64_t seconds = -7;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(refused); i++) {
		row_check(refused[i], !clock_parse_duration(&seconds, refused[i]));
		row_check(refused[i], seconds == -7);
	}
	assert_false(clock_parse_duration(&seconds, NULL));
	for (i = 0; i < COUNT(rows); i++) {
		row_check(rows[i].text, clock_parse_duration(&seconds, rows[i].text));
		row_check(rows[i].text, seconds == rows[i].seconds);
	}
}

static void the_clocks_go_forward(void **state)
{
	int64_t mono = clock_mono_us(), wall = clock_now_us();

	(void)state;
	assert_true(clock_mono_us() >= mono);
	/* After this line was written, and before the year 3000. */
	assert_true(wall > 1795181700 * S && wall < INT64_C(32503680000) * S);
}

/* --- steps --- */

static void pass(int64_t us)
{
	real_us += us;
	steady_us += us;
}

/* A machine whose clock shows what we take for the time. */
static void begin_at(int64_t us)
{
	struct clock_step step;

	real_us = us;
	steady_us = 1000 * S;
	boottime_missing = false;
	(void)!clock_check(&step);
	pass(CLOCK_SETTLE_US);
	assert_true(clock_check(&step));
	assert_int_equal(clock_now_us(), real_us);
}

static void small_differences_are_followed_at_once(void **state)
{
	static const int64_t drifts[] = {1000, 5000, S / 2, S, 5 * S, -1000, -5000, -S / 2, -S,
	    -5 * S, 4 * S, 4 * S, -4 * S, -4 * S};
	struct clock_step step = {77, 77};
	size_t i;

	(void)state;
	begin_at(1795181700 * S);
	for (i = 0; i < COUNT(drifts); i++) {
		pass(S);
		real_us += drifts[i];
		assert_true(clock_check(&step));
		assert_int_equal(clock_now_us(), real_us);
	}
	assert_int_equal(step.by_us, 77);
	assert_int_equal(step.left_us, 77);
}

static void the_time_goes_on_under_a_step(void **state)
{
	static const int64_t steps[] = {5 * S + 1, 6 * S, 60 * S, 3600 * S, 86400 * S, 31536000 * S,
	    INT64_C(1000) * 31536000 * S, -5 * S - 1, -6 * S, -60 * S, -3600 * S, -86400 * S,
	    -31536000 * S, -1795181699 * S};
	struct clock_step step;
	int64_t now_us;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(steps); i++) {
		begin_at(1795181700 * S);
		now_us = clock_now_us();
		real_us += steps[i];
		/* Also before anybody looked. */
		assert_int_equal(clock_now_us(), now_us);
		assert_false(clock_check(&step));
		assert_int_equal(step.by_us, steps[i]);
		assert_int_equal(step.left_us, CLOCK_SETTLE_US);
		pass(59 * S);
		assert_false(clock_check(&step));
		assert_int_equal(step.by_us, steps[i]);
		assert_int_equal(step.left_us, S);
		assert_int_equal(clock_now_us(), now_us + 59 * S);
		/* Undone: no trace. */
		real_us -= steps[i];
		assert_true(clock_check(&step));
		assert_int_equal(clock_now_us(), real_us);
		assert_int_equal(clock_now_us(), now_us + 59 * S);
	}
}

static void seconds_are_rounded(void **state)
{
	(void)state;
	assert_int_equal(clock_round_s(0), 0);
	assert_int_equal(clock_round_s(499999), 0);
	assert_int_equal(clock_round_s(500000), 1);
	assert_int_equal(clock_round_s(-499999), 0);
	assert_int_equal(clock_round_s(-500000), -1);
	assert_int_equal(clock_round_s(-5999997), -6);
}

static void what_stays_is_accepted(void **state)
{
	static const int64_t steps[] = {6 * S, 86400 * S, -6 * S, -86400 * S};
	struct clock_step step;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(steps); i++) {
		begin_at(1795181700 * S);
		real_us += steps[i];
		assert_false(clock_check(&step));
		pass(CLOCK_SETTLE_US - 1);
		assert_false(clock_check(&step));
		assert_int_equal(step.left_us, 1);
		pass(1);
		/* Slewed meanwhile: what it shows in the end counts. */
		real_us += S / 10;
		assert_true(clock_check(&step));
		assert_int_equal(clock_now_us(), real_us);
		pass(S);
		assert_true(clock_check(&step));
	}
}

static void a_clock_that_keeps_moving_is_not_believed(void **state)
{
	struct clock_step step;
	int64_t now_us;
	int i;

	(void)state;
	/* A new step each time before the last one settled: one way, and to and fro. */
	begin_at(1795181700 * S);
	now_us = clock_now_us();
	for (i = 1; i <= 20; i++) {
		real_us += 6 * S;
		assert_false(clock_check(&step));
		assert_int_equal(step.by_us, i * 6 * S);
		assert_int_equal(step.left_us, CLOCK_SETTLE_US);
		pass(59 * S);
	}
	assert_int_equal(clock_now_us(), now_us + INT64_C(20) * 59 * S);
	begin_at(1795181700 * S);
	for (i = 0; i < 20; i++) {
		real_us += i % 2 == 0 ? 7200 * S : -3600 * S;
		assert_false(clock_check(&step));
		assert_int_equal(step.left_us, CLOCK_SETTLE_US);
		pass(59 * S);
	}
	/* A ramp: each second 4 s more than it should, as no clock that is slewed does. */
	begin_at(1795181700 * S);
	now_us = clock_now_us();
	real_us += 3600 * S;
	for (i = 0; i < 200; i++) {
		assert_false(clock_check(&step));
		pass(S);
		real_us += 4 * S;
	}
	assert_int_equal(clock_now_us(), now_us + INT64_C(200) * S);
	/* It comes to rest. */
	assert_false(clock_check(&step));
	pass(CLOCK_SETTLE_US);
	assert_true(clock_check(&step));
	assert_int_equal(clock_now_us(), real_us);
}

static void the_process_was_stopped_under_a_step(void **state)
{
	struct clock_step step;

	(void)state;
	begin_at(1795181700 * S);
	real_us += 3600 * S;
	/* Nobody looked for a day: the minute begins with the first look. */
	pass(86400 * S);
	assert_false(clock_check(&step));
	assert_int_equal(step.left_us, CLOCK_SETTLE_US);
	pass(86400 * S);
	assert_true(clock_check(&step));
	assert_int_equal(clock_now_us(), real_us);
}

static void without_a_clock_that_counts_sleep(void **state)
{
	struct clock_step step;

	(void)state;
	begin_at(1795181700 * S);
	boottime_missing = true;
	pass(3 * S);
	assert_int_equal(clock_now_us(), real_us);
	real_us -= 10 * S;
	assert_false(clock_check(&step));
	assert_int_equal(step.by_us, -10 * S);
	boottime_missing = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(format_writes_rfc_3339),
	    cmocka_unit_test(parse_reads_what_format_writes),
	    cmocka_unit_test(parse_reads_offsets_and_fractions),
	    cmocka_unit_test(parse_refuses_the_rest),
	    cmocka_unit_test(durations_have_units_and_bounds),
	    cmocka_unit_test(the_clocks_go_forward),
	    cmocka_unit_test(small_differences_are_followed_at_once),
	    cmocka_unit_test(the_time_goes_on_under_a_step),
	    cmocka_unit_test(seconds_are_rounded),
	    cmocka_unit_test(what_stays_is_accepted),
	    cmocka_unit_test(a_clock_that_keeps_moving_is_not_believed),
	    cmocka_unit_test(the_process_was_stopped_under_a_step),
	    cmocka_unit_test(without_a_clock_that_counts_sleep),
	};

	log_set_level(LOG_ERROR);

	return unit_run(tests);
}
