/* ledger_meter_test - every window of one subject, at and around its edges. */
#include "tests/unit/unit.h"

#include <malloc.h>

#include "common/clock.h"
#include "ledger/meter.h"

#define S      CLOCK_US_PER_S
#define MINUTE (60 * S)
#define HOUR   (3600 * S)
#define DAY    (24 * HOUR)

static const enum window windows[] = {
    WINDOW_MINUTE, WINDOW_HOUR, WINDOW_DAY, WINDOW_MONTH, WINDOW_TOTAL};
#define WINDOW_COUNT COUNT(windows)

static int64_t at(const char *text)
{
	int64_t us;

	assert_true(clock_parse(&us, text));
	return us;
}

static int64_t spend(const struct meter *meter, enum window window, int64_t at_us)
{
	int64_t sum = meter_sum(meter, window, false, at_us);

	assert_int_equal(sum, meter_read(meter, window, at_us).spend);
	return sum;
}

static int64_t calls(const struct meter *meter, enum window window, int64_t at_us)
{
	int64_t sum = meter_sum(meter, window, true, at_us);

	assert_int_equal(sum, meter_read(meter, window, at_us).calls);
	return sum;
}

static void test_an_unused_meter_reads_zero(void **state)
{
	struct meter *meter = meter_new();
	struct meter_reading zero = {0};
	struct meter *none = NULL;

	(void)state;
	meter_charge(meter, at("2026-03-01T12:00:00Z"), 0, 0);
	meter_uncharge(meter, at("2026-03-01T12:00:00Z"), 5, 5);
	for (int window = WINDOW_CALL; window <= WINDOW_TOTAL; window++) {
		struct meter_reading reading =
		    meter_read(meter, (enum window)window, at("2026-03-01T12:00:00Z"));

		assert_memory_equal(&reading, &zero, sizeof(zero));
	}
	meter_trim(meter, at("2026-03-01T12:00:00Z"));
	meter_free(&meter);
	assert_null(meter);
	meter_free(&none);
}

/* One charge of $5 and 2 calls, read from somewhere else. */
static void test_one_charge_seen_from_elsewhere(void **state)
{
	static const struct {
		const char *charged;
		enum window window;
		const char *read;
		const char *resets; /* NULL: not counted; "": counted, never given back */
	} cases[] = {
	    {"2026-03-01T12:00:00.050Z", WINDOW_CALL, "2026-03-01T12:00:00.050Z", NULL},
	    /* the quantum 12:00:00.000 … .100 leaves as a whole, a minute after its end */
	    {"2026-03-01T12:00:00Z", WINDOW_MINUTE, "2026-03-01T12:00:00Z",
		"2026-03-01T12:01:00.100Z"},
	    {"2026-03-01T12:00:00.099999Z", WINDOW_MINUTE, "2026-03-01T12:00:30Z",
		"2026-03-01T12:01:00.100Z"},
	    {"2026-03-01T12:00:00.100Z", WINDOW_MINUTE, "2026-03-01T12:00:30Z",
		"2026-03-01T12:01:00.200Z"},
	    {"2026-03-01T12:00:00Z", WINDOW_MINUTE, "2026-03-01T12:01:00.099999Z",
		"2026-03-01T12:01:00.100Z"},
	    {"2026-03-01T12:00:00Z", WINDOW_MINUTE, "2026-03-01T12:01:00.100Z", NULL},
	    /* later charges count in a window read for an earlier call */
	    {"2026-03-01T12:00:00Z", WINDOW_MINUTE, "2026-03-01T11:59:50Z",
		"2026-03-01T12:01:00.100Z"},
	    {"2026-03-01T12:00:00Z", WINDOW_HOUR, "2026-03-01T13:00:00.999999Z",
		"2026-03-01T13:00:01Z"},
	    {"2026-03-01T12:00:00Z", WINDOW_HOUR, "2026-03-01T13:00:01Z", NULL},
	    {"2026-02-28T23:59:59.999999Z", WINDOW_HOUR, "2026-03-01T00:30:00Z",
		"2026-03-01T01:00:00Z"},
	    {"2026-02-28T23:59:59.999999Z", WINDOW_DAY, "2026-02-28T23:59:59.999999Z",
		"2026-03-01T00:00:00Z"},
	    {"2026-02-28T23:59:59.999999Z", WINDOW_DAY, "2026-02-28T00:00:00Z",
		"2026-03-01T00:00:00Z"},
	    {"2026-02-28T23:59:59.999999Z", WINDOW_DAY, "2026-03-01T00:00:00Z", NULL},
	    {"2026-02-28T00:00:00Z", WINDOW_DAY, "2026-02-27T23:59:59.999999Z", NULL},
	    {"2024-02-29T12:00:00Z", WINDOW_DAY, "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"},
	    {"2024-02-29T12:00:00Z", WINDOW_MONTH, "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"},
	    {"2026-12-31T23:59:59Z", WINDOW_MONTH, "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
	    {"2026-12-31T23:59:59Z", WINDOW_MONTH, "2027-01-01T00:00:00Z", NULL},
	    {"2026-12-31T23:59:59Z", WINDOW_TOTAL, "2031-01-01T00:00:00Z", ""},
	    {"2026-12-31T23:59:59Z", WINDOW_TOTAL, "2001-01-01T00:00:00Z", ""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct meter *meter = meter_new();
		struct meter_reading reading;
		bool counted = cases[i].resets != NULL;
		int64_t resets_us = counted && *cases[i].resets ? at(cases[i].resets) : 0;

		meter_charge(meter, at(cases[i].charged), 5000000, 2);
		reading = meter_read(meter, cases[i].window, at(cases[i].read));
		if (reading.spend != (counted ? 5000000 : 0) ||
		    reading.calls != (counted ? 2 : 0) || reading.spend_resets_us != resets_us ||
		    reading.calls_resets_us != resets_us)
			fail_msg("case %zu: spend %lld, calls %lld, resets %lld", i,
			    (long long)reading.spend, (long long)reading.calls,
			    (long long)reading.spend_resets_us);
		meter_free(&meter);
	}
}

static void test_money_and_calls_reset_apart(void **state)
{
	struct meter *meter = meter_new();
	int64_t noon = at("2026-03-01T12:00:00Z");
	struct meter_reading reading;

	(void)state;
	meter_charge(meter, noon, 0, 1);
	meter_charge(meter, noon + 10 * S, 7, 0);
	reading = meter_read(meter, WINDOW_MINUTE, noon + 20 * S);
	assert_int_equal(reading.calls_resets_us, noon + MINUTE + S / 10);
	assert_int_equal(reading.spend_resets_us, noon + 10 * S + MINUTE + S / 10);
	meter_uncharge(meter, noon, 0, 1);
	reading = meter_read(meter, WINDOW_DAY, noon + 20 * S);
	assert_int_equal(reading.calls_resets_us, 0);
	assert_int_equal(reading.spend_resets_us, at("2026-03-02T00:00:00Z"));
	meter_free(&meter);
}

/* A call reserved before midnight is charged to the day it was reserved on, however
 * late its price comes. */
static void test_a_late_charge_goes_to_its_own_window(void **state)
{
	struct meter *meter = meter_new();
	int64_t before = at("2026-02-28T23:59:59Z"), after = at("2026-03-01T00:00:05Z");

	(void)state;
	meter_charge(meter, before, 10, 1);
	meter_charge(meter, after, 100, 1);
	meter_charge(meter, before, 3, 0);
	meter_charge(meter, before - 2 * S, 4, 0);
	assert_int_equal(spend(meter, WINDOW_DAY, before), 17);
	assert_int_equal(spend(meter, WINDOW_DAY, after), 100);
	assert_int_equal(spend(meter, WINDOW_MONTH, before), 17);
	assert_int_equal(spend(meter, WINDOW_MONTH, after), 100);
	assert_int_equal(spend(meter, WINDOW_MINUTE, after), 117);
	assert_int_equal(spend(meter, WINDOW_MINUTE, before + MINUTE - 2 * S), 117);
	assert_int_equal(spend(meter, WINDOW_MINUTE, before + MINUTE), 113);
	assert_int_equal(spend(meter, WINDOW_MINUTE, before + MINUTE + S), 100);
	meter_uncharge(meter, before, 10, 1);
	assert_int_equal(spend(meter, WINDOW_DAY, before), 7);
	assert_int_equal(calls(meter, WINDOW_DAY, before), 0);
	assert_int_equal(spend(meter, WINDOW_DAY, after), 100);
	assert_int_equal(spend(meter, WINDOW_TOTAL, after), 107);
	meter_free(&meter);
}

/* Two windows are kept. Older ones read as the most that any of them can have held,
 * so that a clock stepped back finds no fresh budget. */
static void test_a_clock_stepped_back_finds_no_fresh_budget(void **state)
{
	struct meter *meter = meter_new();
	int64_t day = at("2026-03-10T12:00:00Z");

	(void)state;
	meter_charge(meter, day, 900, 9);
	meter_charge(meter, day + DAY, 20, 2);
	meter_charge(meter, day + 5 * DAY, 30, 3);
	assert_int_equal(spend(meter, WINDOW_DAY, day + 6 * DAY), 0);
	assert_int_equal(spend(meter, WINDOW_DAY, day + 5 * DAY), 30);
	assert_int_equal(spend(meter, WINDOW_DAY, day + 3 * DAY), 0);
	assert_int_equal(spend(meter, WINDOW_DAY, day + DAY), 20);
	assert_int_equal(spend(meter, WINDOW_DAY, day), 900);
	assert_int_equal(calls(meter, WINDOW_DAY, day), 9);
	assert_int_equal(
	    meter_read(meter, WINDOW_DAY, day).spend_resets_us, at("2026-03-11T00:00:00Z"));
	meter_charge(meter, day, 50, 0);
	assert_int_equal(spend(meter, WINDOW_DAY, day), 950);
	meter_uncharge(meter, day, 50, 0);
	assert_int_equal(spend(meter, WINDOW_DAY, day), 950);
	/* A window between the two kept takes the older one's place. */
	meter_charge(meter, day + 3 * DAY, 7, 0);
	assert_int_equal(spend(meter, WINDOW_DAY, day + 3 * DAY), 7);
	assert_int_equal(spend(meter, WINDOW_DAY, day + 5 * DAY), 30);
	assert_true(spend(meter, WINDOW_DAY, day + DAY) >= 20);
	assert_int_equal(spend(meter, WINDOW_MONTH, day), 900 + 20 + 30 + 50 - 50 + 7);
	/* Minute and hour: what comes after at_us always counts. */
	assert_true(spend(meter, WINDOW_MINUTE, day) >= 900);
	assert_true(spend(meter, WINDOW_HOUR, day - DAY) >= 900);
	meter_free(&meter);
}

/* A call in flight for longer than the window reads more, never less; a minute falls
 * back on the quanta of the hour, an hour on the total. */
static void test_a_call_in_flight_for_long_misses_nothing(void **state)
{
	struct meter *meter = meter_new();
	int64_t noon = at("2026-03-01T12:00:00Z");

	(void)state;
	meter_charge(meter, noon - 3 * HOUR, 1000, 0);
	meter_charge(meter, noon - 59 * S, 10, 0);
	meter_charge(meter, noon - 60 * S, 3, 0); /* the same second as the window's edge */
	meter_charge(meter, noon + 150 * S, 5, 0);
	assert_int_equal(spend(meter, WINDOW_MINUTE, noon), 18);
	assert_int_equal(meter_read(meter, WINDOW_MINUTE, noon).spend_resets_us, noon + S);
	assert_int_equal(spend(meter, WINDOW_MINUTE, noon + S), 15);
	assert_int_equal(spend(meter, WINDOW_HOUR, noon), 18);
	meter_charge(meter, noon + 90 * 60 * S, 7, 0);
	assert_int_equal(spend(meter, WINDOW_HOUR, noon), 25);
	meter_charge(meter, noon + 2 * HOUR, 1, 0);
	assert_int_equal(spend(meter, WINDOW_HOUR, noon), 1026);
	assert_int_equal(
	    meter_read(meter, WINDOW_HOUR, noon).spend_resets_us, noon + HOUR - 58 * S);
	meter_free(&meter);
}

static void test_taking_back(void **state)
{
	struct meter *meter = meter_new();
	int64_t noon = at("2026-03-01T12:00:00Z");

	(void)state;
	meter_charge(meter, noon, 100, 1);
	meter_charge(meter, noon + 5 * S, 40, 1);
	meter_uncharge(meter, noon, 60, 0);
	for (size_t i = 0; i < WINDOW_COUNT; i++) {
		assert_int_equal(spend(meter, windows[i], noon + 5 * S), 80);
		assert_int_equal(calls(meter, windows[i], noon + 5 * S), 2);
	}
	/* A moment that was never charged; more than was charged there. */
	meter_uncharge(meter, noon + S, 10, 1);
	assert_int_equal(spend(meter, WINDOW_MINUTE, noon + 5 * S), 80);
	meter_uncharge(meter, noon + 5 * S, 1000, 1000);
	assert_int_equal(spend(meter, WINDOW_MINUTE, noon + 5 * S), 40);
	assert_int_equal(calls(meter, WINDOW_MINUTE, noon + 5 * S), 1);
	assert_int_equal(spend(meter, WINDOW_TOTAL, noon), 0);
	assert_int_equal(calls(meter, WINDOW_DAY, noon), 0);
	/* A window that has passed is left as it is. */
	meter_charge(meter, noon + HOUR * 3, 1, 1);
	meter_uncharge(meter, noon, 40, 1);
	assert_int_equal(spend(meter, WINDOW_MINUTE, noon + HOUR * 3), 1);
	assert_int_equal(spend(meter, WINDOW_HOUR, noon + HOUR * 3), 1);
	meter_free(&meter);
}

static void test_a_full_sum_stays_full(void **state)
{
	struct meter *meter = meter_new();
	int64_t noon = at("2026-03-01T12:00:00Z");

	(void)state;
	for (int i = 0; i < 5; i++)
		meter_charge(meter, noon, INT64_MAX - 5, INT64_MAX);
	meter_charge(meter, noon + 30 * S, 100, 1);
	for (size_t i = 0; i < WINDOW_COUNT; i++) {
		assert_int_equal(spend(meter, windows[i], noon + 30 * S), INT64_MAX);
		assert_int_equal(calls(meter, windows[i], noon + 30 * S), INT64_MAX);
	}
	assert_int_equal(meter_read(meter, WINDOW_MINUTE, noon + 30 * S).spend_resets_us,
	    noon + MINUTE + S / 10);
	meter_uncharge(meter, noon, INT64_MAX, INT64_MAX);
	assert_int_equal(spend(meter, WINDOW_DAY, noon), INT64_MAX);
	assert_int_equal(spend(meter, WINDOW_TOTAL, noon), INT64_MAX);
	assert_int_equal(spend(meter, WINDOW_MINUTE, noon + 30 * S), INT64_MAX);
	/* Only what is newer is left, exactly, once it has slid out. */
	assert_int_equal(spend(meter, WINDOW_MINUTE, noon + MINUTE + S), 100);
	assert_int_equal(calls(meter, WINDOW_HOUR, noon + HOUR + S), 1);
	meter_free(&meter);
}

static void test_when_enough_has_slid_out(void **state)
{
	int64_t noon = at("2026-03-01T12:00:00Z"), now = noon + 30 * S;
	int64_t first = noon + MINUTE + S / 10, second = first + 10 * S, third = first + 20 * S;
	const struct {
		enum window window;
		int64_t spend, calls, frees_us;
	} cases[] = {
	    {WINDOW_MINUTE, 0, 0, now},
	    {WINDOW_MINUTE, 1, 0, first},
	    {WINDOW_MINUTE, 10, 0, first},
	    {WINDOW_MINUTE, 11, 0, third},
	    {WINDOW_MINUTE, 40, 0, third},
	    {WINDOW_MINUTE, 41, 0, third}, /* more than there is: when all of it is gone */
	    {WINDOW_MINUTE, INT64_MAX, 0, third},
	    {WINDOW_MINUTE, 0, 1, first},
	    {WINDOW_MINUTE, 0, 2, second},
	    {WINDOW_MINUTE, 0, 3, third},
	    {WINDOW_MINUTE, 1, 2, second}, /* both */
	    {WINDOW_MINUTE, 11, 2, third},
	    {WINDOW_HOUR, 1, 0, noon + HOUR + S},
	    {WINDOW_HOUR, 11, 0, noon + 20 * S + HOUR + S},
	    {WINDOW_DAY, 1, 1, at("2026-03-02T00:00:00Z")},
	    {WINDOW_MONTH, 1, 1, at("2026-04-01T00:00:00Z")},
	    {WINDOW_TOTAL, 1, 1, 0},
	    {WINDOW_CALL, 1, 1, 0},
	};
	struct meter *meter = meter_new();

	(void)state;
	assert_int_equal(meter_frees_at(meter, WINDOW_MINUTE, now, 5, 5), now);
	meter_charge(meter, noon, 10, 1);
	meter_charge(meter, noon + 10 * S, 0, 1);
	meter_charge(meter, noon + 20 * S, 30, 1);
	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t frees_us =
		    meter_frees_at(meter, cases[i].window, now, cases[i].spend, cases[i].calls);

		if (frees_us != cases[i].frees_us)
			fail_msg("case %zu: %lld, not %lld", i, (long long)frees_us,
			    (long long)cases[i].frees_us);
	}
	meter_free(&meter);
}

static void test_the_ends_of_time(void **state)
{
	static const int64_t ends[] = {INT64_MIN, -1, 0, 1, INT64_MAX - 1, INT64_MAX};
	const size_t count = COUNT(ends);

	(void)state;
	for (size_t i = 0; i < count * count; i++) {
		struct meter *meter = meter_new();
		int64_t charged = ends[i / count], read = ends[i % count];
		bool near = (charged > 1) == (read > 1);

		meter_charge(meter, charged, 6, 1);
		assert_int_equal(spend(meter, WINDOW_TOTAL, read), 6);
		assert_int_equal(spend(meter, WINDOW_DAY, read), near ? 6 : 0);
		assert_int_equal(spend(meter, WINDOW_MONTH, read), near ? 6 : 0);
		assert_int_equal(spend(meter, WINDOW_HOUR, read), near || charged > 1 ? 6 : 0);
		assert_true(meter_frees_at(meter, WINDOW_MINUTE, read, 6, 0) >= 0);
		meter_trim(meter, read);
		meter_uncharge(meter, charged, 6, 1);
		assert_int_equal(spend(meter, WINDOW_TOTAL, read), 0);
		meter_free(&meter);
	}
}

static void test_trimming_changes_no_reading(void **state)
{
	struct meter *meter = meter_new();
	int64_t noon = at("2026-03-01T12:00:00Z"), now;

	(void)state;
	for (int i = 0; i < 1000; i++)
		meter_charge(meter, noon + i * S, 1, 1);
	for (now = noon; now < noon + 4 * HOUR; now += 37 * S) {
		struct meter_reading before[WINDOW_COUNT], after;

		for (size_t i = 0; i < WINDOW_COUNT; i++)
			before[i] = meter_read(meter, windows[i], now);
		meter_trim(meter, now);
		for (size_t i = 0; i < WINDOW_COUNT; i++) {
			after = meter_read(meter, windows[i], now);
			assert_memory_equal(&after, &before[i], sizeof(after));
		}
	}
	/* All quanta are gone; charging goes on, and late charges still count. */
	meter_charge(meter, now, 5, 1);
	assert_int_equal(spend(meter, WINDOW_MINUTE, now), 5);
	meter_charge(meter, noon + 10 * S, 5, 1);
	assert_int_equal(spend(meter, WINDOW_MINUTE, now), 5);
	assert_int_equal(spend(meter, WINDOW_MINUTE, noon + 20 * S), 1010);
	meter_free(&meter);
}

/* Nothing under a sanitizer, which allocates by itself. */
static size_t memory_in_use(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* Three busy hours take no more memory than the two that are kept. */
static void test_memory_has_a_ceiling(void **state)
{
	struct meter *meter = meter_new();
	int64_t noon = at("2026-03-01T12:00:00Z"), now = noon;
	size_t before = memory_in_use(), after;

	(void)state;
	for (; now < noon + 3 * HOUR; now += S / 20)
		meter_charge(meter, now, 1, 1);
	now -= S / 20;
	assert_int_equal(calls(meter, WINDOW_MINUTE, now), 60 * 20 + 2);
	assert_int_equal(calls(meter, WINDOW_HOUR, now), 3600 * 20 + 20);
	assert_int_equal(calls(meter, WINDOW_TOTAL, now), 3 * 3600 * 20);
	after = memory_in_use();
	if (after > before)
		assert_true(after - before < (8192 + 2048) * 40 + 16384);
	meter_trim(meter, now + 3 * HOUR);
	meter_free(&meter);
}

/* --- against a list of everything ---------------------------------------- */

struct charge {
	int64_t at_us, spend, calls;
};

static uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static int64_t below(uint64_t *seed, int64_t limit)
{
	return (int64_t)(random_next(seed) % (uint64_t)limit);
}

static bool counts(enum window window, int64_t charged_us, int64_t at_us)
{
	switch (window) {
	case WINDOW_CALL:
		return false;
	case WINDOW_MINUTE:
		return (charged_us / (S / 10) + 1) * (S / 10) > at_us - MINUTE;
	case WINDOW_HOUR:
		return (charged_us / S + 1) * S > at_us - HOUR;
	case WINDOW_DAY:
		return charged_us / DAY == at_us / DAY;
	case WINDOW_MONTH:
		return window_month_start_us(charged_us) == window_month_start_us(at_us);
	case WINDOW_TOTAL:
		return true;
	}
	return false;
}

/* Is the reading promised to be exact? Otherwise only not to be below. */
static bool exact(enum window window, int64_t newest_us, int64_t at_us)
{
	switch (window) {
	case WINDOW_CALL:
	case WINDOW_TOTAL:
		return true;
	case WINDOW_MINUTE:
		return at_us >= newest_us + S / 10 - MINUTE;
	case WINDOW_HOUR:
		return at_us >= newest_us + S - HOUR;
	case WINDOW_DAY:
		return at_us / DAY + 1 >= newest_us / DAY;
	case WINDOW_MONTH:
		return window_month_start_us(window_month_start_us(newest_us) - 1) <= at_us;
	}
	return false;
}

static void check_readings(const struct meter *meter, const struct charge *charges, size_t count,
    int64_t newest_us, int64_t at_us, uint64_t seed)
{
	for (size_t w = 0; w < WINDOW_COUNT; w++) {
		struct meter_reading reading = meter_read(meter, windows[w], at_us);
		int64_t money = 0, number = 0;

		assert_int_equal(spend(meter, windows[w], at_us), reading.spend);
		assert_int_equal(calls(meter, windows[w], at_us), reading.calls);
		for (size_t i = 0; i < count; i++) {
			bool in = counts(windows[w], charges[i].at_us, at_us);

			money += in ? charges[i].spend : 0;
			number += in ? charges[i].calls : 0;
		}
		if (reading.spend < money || reading.calls < number ||
		    (exact(windows[w], newest_us, at_us) &&
			(reading.spend != money || reading.calls != number)))
			fail_msg(
			    "seed %llu, charge %zu, %s at %lld: %lld (%lld calls), not %lld (%lld)",
			    (unsigned long long)seed, count, window_str(windows[w]),
			    (long long)at_us, (long long)reading.spend, (long long)reading.calls,
			    (long long)money, (long long)number);
	}
}

/* Times jump both ways: late charges, charges for windows long gone, reads anywhere. */
static void test_against_a_list_of_everything(void **state)
{
	static const int64_t jumps[] = {S / 20, 2 * S, MINUTE, HOUR, DAY, 20 * DAY};

	(void)state;
	for (uint64_t run = 1; run <= 200; run++) {
		uint64_t seed = run * 0x9e3779b97f4a7c15u;
		struct meter *meter = meter_new();
		struct charge charges[120];
		int64_t now = at("2026-01-15T00:00:00Z") + below(&seed, 60 * DAY), newest = 0;
		size_t count;

		for (count = 0; count < 120;) {
			int64_t jump = jumps[below(&seed, 6)];
			int64_t late = below(&seed, 3) ? 0 : below(&seed, jumps[below(&seed, 6)]);
			struct charge *one = &charges[count++];

			now += below(&seed, 4) ? below(&seed, jump) : 0;
			*one = (struct charge){now - late, below(&seed, 100), below(&seed, 2)};
			meter_charge(meter, one->at_us, one->spend, one->calls);
			if ((one->spend != 0 || one->calls != 0) && one->at_us > newest)
				newest = one->at_us;
			if (below(&seed, 4) == 0) {
				one = &charges[below(&seed, (int64_t)count)];
				meter_uncharge(meter, one->at_us, one->spend, 0);
				one->spend = 0;
			}
			check_readings(meter, charges, count, newest, now, run);
			check_readings(
			    meter, charges, count, newest, now - below(&seed, jump), run);
		}
		meter_free(&meter);
	}
}

static void test_negative_numbers_end_the_process(void **state)
{
	struct meter *meter = meter_new();

	(void)state;
	assert_aborts(meter_charge(meter, 0, -1, 0));
	assert_aborts(meter_charge(meter, 0, 0, -1));
	assert_aborts(meter_uncharge(meter, 0, -1, 0));
	assert_aborts(meter_uncharge(meter, 0, 0, -1));
	assert_aborts((void)meter_frees_at(meter, WINDOW_DAY, 0, -1, 0));
	assert_aborts((void)meter_frees_at(meter, WINDOW_DAY, 0, 0, -1));
	meter_free(&meter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_an_unused_meter_reads_zero),
	    cmocka_unit_test(test_one_charge_seen_from_elsewhere),
	    cmocka_unit_test(test_money_and_calls_reset_apart),
	    cmocka_unit_test(test_a_late_charge_goes_to_its_own_window),
	    cmocka_unit_test(test_a_clock_stepped_back_finds_no_fresh_budget),
	    cmocka_unit_test(test_a_call_in_flight_for_long_misses_nothing),
	    cmocka_unit_test(test_taking_back),
	    cmocka_unit_test(test_a_full_sum_stays_full),
	    cmocka_unit_test(test_when_enough_has_slid_out),
	    cmocka_unit_test(test_the_ends_of_time),
	    cmocka_unit_test(test_trimming_changes_no_reading),
	    cmocka_unit_test(test_memory_has_a_ceiling),
	    cmocka_unit_test(test_against_a_list_of_everything),
	    cmocka_unit_test(test_negative_numbers_end_the_process),
	};

	return unit_run(tests);
}
