/* The decision, row by row. Random rows are in policy_model_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/decide.h"

#define COUNT_MAX 4

/* Limits the rows are made of; max and totals are given in each row. */
static const struct limit KIND[] = {
    {LIMIT_SCOPE_AGENT, NULL, WINDOW_CALL, LIMIT_SPEND, 0, NULL},
    {LIMIT_SCOPE_SESSION, NULL, WINDOW_TOTAL, LIMIT_SPEND, 0, NULL},
    {LIMIT_SCOPE_SESSION, NULL, WINDOW_TOTAL, LIMIT_CALLS, 0, NULL},
    {LIMIT_SCOPE_AGENT, NULL, WINDOW_TOTAL, LIMIT_SPEND, 0, NULL},
    {LIMIT_SCOPE_WALLET, NULL, WINDOW_TOTAL, LIMIT_CALLS, 0, NULL},
    {LIMIT_SCOPE_AGENT, NULL, WINDOW_MONTH, LIMIT_SPEND, 0, NULL},
    {LIMIT_SCOPE_TOOL, NULL, WINDOW_DAY, LIMIT_SPEND, 0, NULL},
    {LIMIT_SCOPE_SESSION, NULL, WINDOW_HOUR, LIMIT_SPEND, 0, NULL},
    {LIMIT_SCOPE_PAYEE, NULL, WINDOW_MINUTE, LIMIT_SPEND, 0, NULL},
    {LIMIT_SCOPE_AGENT, NULL, WINDOW_MONTH, LIMIT_CALLS, 0, NULL},
    {LIMIT_SCOPE_SESSION, NULL, WINDOW_DAY, LIMIT_CALLS, 0, NULL},
    {LIMIT_SCOPE_AGENT, NULL, WINDOW_HOUR, LIMIT_CALLS, 0, NULL},
    {LIMIT_SCOPE_TOOL, NULL, WINDOW_MINUTE, LIMIT_CALLS, 0, NULL},
};
enum kind {
	PER_CALL,
	SESSION,
	SESSION_CALLS,
	TOTAL,
	TOTAL_CALLS,
	MONTH,
	DAY,
	HOUR,
	MINUTE,
	MONTH_CALLS,
	DAY_CALLS,
	HOUR_CALLS,
	MINUTE_CALLS,
	KIND_COUNT,
};

struct given {
	enum kind kind;
	int64_t max, firm, provisional;
};

#define DECIDED_NONE (-1)
#define QUOTE	     .may_shrink = false, .count_call = false
#define HOLD	     .may_shrink = true, .count_call = true

static const struct row {
	const char *what;
	struct decide_request request;
	size_t count;
	struct given given[COUNT_MAX];
	enum decide_verdict verdict;
	enum decide_code code;
	int decided; /* which of given, or DECIDED_NONE */
	int64_t granted, remaining;
} ROWS[] = {
    {"no limits", {5, QUOTE}, 0, {{0}}, DECIDE_ALLOW, DECIDE_CODE_NONE, DECIDED_NONE, 5, 0},
    {"exactly all that is left", {5, QUOTE}, 1, {{DAY, 10, 5, 0}}, DECIDE_ALLOW, DECIDE_CODE_NONE,
	0, 5, 5},
    {"one too much", {6, QUOTE}, 1, {{DAY, 10, 5, 0}}, DECIDE_DENY, DECIDE_CODE_OVER_DAY_LIMIT, 0,
	0, 5},
    {"beside provisional holds", {2, QUOTE}, 1, {{DAY, 10, 5, 3}}, DECIDE_ALLOW, DECIDE_CODE_NONE,
	0, 2, 2},
    {"waits for provisional holds", {3, QUOTE}, 1, {{DAY, 10, 5, 3}}, DECIDE_WAIT,
	DECIDE_CODE_OVER_DAY_LIMIT, 0, 0, 2},
    {"denied rather than left waiting", {6, QUOTE}, 1, {{DAY, 10, 5, 3}}, DECIDE_DENY,
	DECIDE_CODE_OVER_DAY_LIMIT, 0, 0, 2},
    {"denied by one though another would wait", {5, QUOTE}, 2,
	{{SESSION, 10, 0, 9}, {DAY, 4, 0, 0}}, DECIDE_DENY, DECIDE_CODE_OVER_DAY_LIMIT, 1, 0, 4},
    {"waits on the first in precedence", {5, QUOTE}, 2, {{DAY, 5, 0, 2}, {MONTH, 5, 0, 1}},
	DECIDE_WAIT, DECIDE_CODE_OVER_MONTH_LIMIT, 1, 0, 4},

    /* A per-call limit looks at the request alone. */
    {"per call, fits", {5, QUOTE}, 1, {{PER_CALL, 5, 99, 99}}, DECIDE_ALLOW, DECIDE_CODE_NONE,
	DECIDED_NONE, 5, 0},
    {"per call, over", {6, QUOTE}, 1, {{PER_CALL, 5, 99, 99}}, DECIDE_DENY,
	DECIDE_CODE_OVER_CALL_LIMIT, 0, 0, 5},
    {"per call is not what remains", {1, QUOTE}, 2, {{PER_CALL, 5, 0, 0}, {DAY, 50, 10, 2}},
	DECIDE_ALLOW, DECIDE_CODE_NONE, 1, 1, 38},

    /* Holds shrink to what is left. */
    {"shrinks to the per-call limit", {9, HOLD}, 1, {{PER_CALL, 5, 0, 0}}, DECIDE_ALLOW,
	DECIDE_CODE_NONE, DECIDED_NONE, 5, 0},
    {"shrinks to the least", {9, HOLD}, 3,
	{{PER_CALL, 8, 0, 0}, {SESSION, 9, 2, 0}, {DAY, 9, 3, 0}}, DECIDE_ALLOW, DECIDE_CODE_NONE,
	2, 6, 6},
    {"shrunk, then waits", {9, HOLD}, 1, {{DAY, 9, 3, 1}}, DECIDE_WAIT, DECIDE_CODE_OVER_DAY_LIMIT,
	0, 0, 5},
    {"nothing left", {9, HOLD}, 2, {{SESSION, 9, 1, 0}, {DAY, 9, 9, 0}}, DECIDE_DENY,
	DECIDE_CODE_OVER_DAY_LIMIT, 1, 0, 0},
    {"nothing left of two", {9, HOLD}, 2, {{DAY, 9, 9, 0}, {SESSION, 9, 9, 0}}, DECIDE_DENY,
	DECIDE_CODE_OVER_SESSION_LIMIT, 1, 0, 0},
    {"a limit of nothing", {1, HOLD}, 1, {{PER_CALL, 0, 0, 0}}, DECIDE_DENY,
	DECIDE_CODE_OVER_CALL_LIMIT, 0, 0, 0},
    {"all held provisionally", {1, HOLD}, 1, {{DAY, 5, 0, 5}}, DECIDE_WAIT,
	DECIDE_CODE_OVER_DAY_LIMIT, 0, 0, 0},

    /* A policy edited below what was already spent. */
    {"over already", {1, QUOTE}, 1, {{DAY, 5, 9, 0}}, DECIDE_DENY, DECIDE_CODE_OVER_DAY_LIMIT, 0, 0,
	0},
    {"over already, shrinking", {1, HOLD}, 1, {{DAY, 5, 9, 0}}, DECIDE_DENY,
	DECIDE_CODE_OVER_DAY_LIMIT, 0, 0, 0},
    {"holds beyond the limit", {1, QUOTE}, 1, {{DAY, 5, 4, 9}}, DECIDE_WAIT,
	DECIDE_CODE_OVER_DAY_LIMIT, 0, 0, 0},

    /* Free is free. */
    {"free, nothing left", {0, QUOTE}, 2, {{PER_CALL, 0, 0, 0}, {DAY, 5, 9, 9}}, DECIDE_ALLOW,
	DECIDE_CODE_NONE, 1, 0, 0},
    {"free hold, nothing left", {0, HOLD}, 1, {{DAY, 5, 5, 0}}, DECIDE_ALLOW, DECIDE_CODE_NONE, 0,
	0, 0},
    {"free, but too often", {0, HOLD}, 1, {{HOUR_CALLS, 5, 5, 0}}, DECIDE_DENY,
	DECIDE_CODE_RATE_LIMITED, 0, 0, 0},

    /* Calls. */
    {"the last call", {0, HOLD}, 1, {{HOUR_CALLS, 5, 4, 0}}, DECIDE_ALLOW, DECIDE_CODE_NONE,
	DECIDED_NONE, 0, 0},
    {"calls are not money", {99, HOLD}, 1, {{HOUR_CALLS, 5, 4, 0}}, DECIDE_ALLOW, DECIDE_CODE_NONE,
	DECIDED_NONE, 99, 0},
    {"calls are never provisional", {0, HOLD}, 1, {{HOUR_CALLS, 5, 4, 9}}, DECIDE_ALLOW,
	DECIDE_CODE_NONE, DECIDED_NONE, 0, 0},
    {"refitting is not another call", {9, QUOTE}, 1, {{HOUR_CALLS, 5, 5, 0}}, DECIDE_ALLOW,
	DECIDE_CODE_NONE, DECIDED_NONE, 9, 0},
    {"no calls at all", {0, HOLD}, 1, {{MINUTE_CALLS, 0, 0, 0}}, DECIDE_DENY,
	DECIDE_CODE_RATE_LIMITED, 0, 0, 0},
    {"rate limited rather than waiting", {5, HOLD}, 2, {{DAY, 5, 0, 1}, {HOUR_CALLS, 5, 5, 0}},
	DECIDE_DENY, DECIDE_CODE_RATE_LIMITED, 1, 0, 0},
    {"session calls", {0, HOLD}, 1, {{SESSION_CALLS, 3, 3, 0}}, DECIDE_DENY,
	DECIDE_CODE_OVER_SESSION_LIMIT, 0, 0, 0},
    {"total calls", {0, HOLD}, 1, {{TOTAL_CALLS, 3, 7, 0}}, DECIDE_DENY,
	DECIDE_CODE_OVER_TOTAL_LIMIT, 0, 0, 0},

    /* What remains is the tightest's; ties go to precedence. */
    {"tightest by room, not by max", {1, QUOTE}, 3,
	{{SESSION, 10, 0, 0}, {MONTH, 99, 90, 3}, {DAY, 50, 0, 43}}, DECIDE_ALLOW, DECIDE_CODE_NONE,
	1, 1, 6},
    {"tightest of equals", {1, QUOTE}, 2, {{DAY, 9, 0, 0}, {SESSION, 9, 0, 0}}, DECIDE_ALLOW,
	DECIDE_CODE_NONE, 1, 1, 9},

    /* The ends of the number line. */
    {"all the money there is", {INT64_MAX, QUOTE}, 1, {{DAY, INT64_MAX, 0, 0}}, DECIDE_ALLOW,
	DECIDE_CODE_NONE, 0, INT64_MAX, INT64_MAX},
    {"overflow does not fit", {INT64_MAX, QUOTE}, 1, {{DAY, INT64_MAX, 1, 0}}, DECIDE_DENY,
	DECIDE_CODE_OVER_DAY_LIMIT, 0, 0, INT64_MAX - 1},
    {"provisional overflow waits", {1, QUOTE}, 1, {{DAY, INT64_MAX, 1, INT64_MAX}}, DECIDE_WAIT,
	DECIDE_CODE_OVER_DAY_LIMIT, 0, 0, 0},
    {"calls at the end", {0, HOLD}, 1, {{DAY_CALLS, INT64_MAX, INT64_MAX, 0}}, DECIDE_DENY,
	DECIDE_CODE_RATE_LIMITED, 0, 0, 0},
    {"a negative total makes no room", {6, QUOTE}, 1, {{DAY, 5, INT64_MIN, INT64_MIN}}, DECIDE_DENY,
	DECIDE_CODE_OVER_DAY_LIMIT, 0, 0, 5},
};

static struct decision decide_given(const struct decide_request *request, const struct given *given,
    size_t count, struct limit limits[COUNT_MAX])
{
	const struct limit *pointers[COUNT_MAX];
	struct limit_total totals[COUNT_MAX];

	for (size_t i = 0; i < count; i++) {
		limits[i] = KIND[given[i].kind];
		limits[i].max = given[i].max;
		pointers[i] = &limits[i];
		totals[i] =
		    (struct limit_total){given[i].firm, given[i].provisional, 1000 + (int64_t)i};
	}
	return decide(request, pointers, totals, count);
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(ROWS) / sizeof(*ROWS); i++) {
		const struct row *row = &ROWS[i];
		struct limit limits[COUNT_MAX];
		const struct decision got =
		    decide_given(&row->request, row->given, row->count, limits);
		const bool is_call = row->decided >= 0 && row->given[row->decided].kind == PER_CALL;

		print_message("           %s\n", row->what);
		assert_int_equal(got.verdict, row->verdict);
		assert_string_equal(decide_code_str(got.code), decide_code_str(row->code));
		assert_ptr_equal(
		    got.limit, row->decided == DECIDED_NONE ? NULL : &limits[row->decided]);
		assert_true(got.granted == row->granted);
		assert_true(got.remaining == row->remaining);
		assert_true(got.resets_us ==
			    (row->decided == DECIDED_NONE || is_call ? 0 : 1000 + row->decided));
	}
}

/* Every kind refuses under its own code, and whichever of two that both refuse
 * comes first in the enumeration above is named, however the array is ordered. */
static void test_precedence(void **state)
{
	static const enum decide_code codes[KIND_COUNT] = {
	    [PER_CALL] = DECIDE_CODE_OVER_CALL_LIMIT,
	    [SESSION] = DECIDE_CODE_OVER_SESSION_LIMIT,
	    [SESSION_CALLS] = DECIDE_CODE_OVER_SESSION_LIMIT,
	    [TOTAL] = DECIDE_CODE_OVER_TOTAL_LIMIT,
	    [TOTAL_CALLS] = DECIDE_CODE_OVER_TOTAL_LIMIT,
	    [MONTH] = DECIDE_CODE_OVER_MONTH_LIMIT,
	    [DAY] = DECIDE_CODE_OVER_DAY_LIMIT,
	    [HOUR] = DECIDE_CODE_OVER_HOUR_LIMIT,
	    [MINUTE] = DECIDE_CODE_OVER_MINUTE_LIMIT,
	    [MONTH_CALLS] = DECIDE_CODE_RATE_LIMITED,
	    [DAY_CALLS] = DECIDE_CODE_RATE_LIMITED,
	    [HOUR_CALLS] = DECIDE_CODE_RATE_LIMITED,
	    [MINUTE_CALLS] = DECIDE_CODE_RATE_LIMITED,
	};
	const struct decide_request request = {1, false, true};

	(void)state;
	for (int a = 0; a < KIND_COUNT; a++) {
		for (int b = 0; b < KIND_COUNT; b++) {
			const struct given given[] = {
			    {(enum kind)a, 0, 0, 0}, {(enum kind)b, 0, 0, 0}};
			struct limit limits[COUNT_MAX];
			const struct decision got = decide_given(&request, given, 2, limits);

			assert_int_equal(got.verdict, DECIDE_DENY);
			assert_ptr_equal(got.limit, &limits[b < a]);
			assert_int_equal(got.code, codes[b < a ? b : a]);
		}
	}
}

static void test_codes(void **state)
{
	static const struct {
		enum decide_code code;
		int number;
		const char *word;
	} rows[] = {
	    {DECIDE_CODE_NONE, 0, "none"},
	    {DECIDE_CODE_OVER_CALL_LIMIT, 1, "over_call_limit"},
	    {DECIDE_CODE_OVER_SESSION_LIMIT, 2, "over_session_limit"},
	    {DECIDE_CODE_OVER_TOTAL_LIMIT, 3, "over_total_limit"},
	    {DECIDE_CODE_OVER_MONTH_LIMIT, 4, "over_month_limit"},
	    {DECIDE_CODE_OVER_DAY_LIMIT, 5, "over_day_limit"},
	    {DECIDE_CODE_OVER_HOUR_LIMIT, 6, "over_hour_limit"},
	    {DECIDE_CODE_OVER_MINUTE_LIMIT, 7, "over_minute_limit"},
	    {DECIDE_CODE_RATE_LIMITED, 8, "rate_limited"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(rows[i].code, rows[i].number);
		assert_string_equal(decide_code_str(rows[i].code), rows[i].word);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_precedence),
	    cmocka_unit_test(test_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
