/* ledger_purse_test - balances, holds and readings; then everything at once against
 * a model that keeps a list of all that ever happened.
 *
 * The model takes a new seed each run and prints it when something differs;
 * TEST_SEED=n runs that one again. */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>

#include "common/clock.h"
#include "common/glob.h"
#include "ledger/purse.h"

#define S      CLOCK_US_PER_S
#define MINUTE (60 * S)
#define HOUR   (3600 * S)
#define DAY    (24 * HOUR)

#define NOON INT64_C(1772366400000000) /* 2026-03-01T12:00:00Z */
#define ADA  "0x00000000000000000000000000000000000000ad"
#define BOB  "0x00000000000000000000000000000000000000b0"

static const enum window windows[] = {
    WINDOW_MINUTE, WINDOW_HOUR, WINDOW_DAY, WINDOW_MONTH, WINDOW_TOTAL};
#define WINDOWS COUNT(windows)

/* A purse with $10 in slot 1, and one to spare in case it is forgotten. */
struct fixture {
	struct purses *purses;
	struct purse *purse;
	struct hold hold, other;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	fixture->purses = purses_new();
	fixture->purse = purses_add(fixture->purses);
	purse_deposit(fixture->purse, 1, 1000);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	purses_free(&fixture->purses);
	free(fixture);
	return 0;
}

static int64_t spend(struct purse *purse, enum purse_subject subject, const char *name)
{
	return purse_read(purse, subject, name, WINDOW_DAY, false, NOON).firm;
}

static int64_t calls(struct purse *purse, enum purse_subject subject, const char *name)
{
	return purse_read(purse, subject, name, WINDOW_DAY, true, NOON).firm;
}

static int64_t provisional(struct purse *purse, enum purse_subject subject, const char *name)
{
	return purse_read(purse, subject, name, WINDOW_DAY, false, NOON).provisional;
}

static void assert_balance(const struct purse *purse, unsigned slot, int64_t available,
    int64_t reserved, int64_t open, int64_t spent)
{
	struct balance balance = purse_balance(purse, slot);

	assert_int_equal(balance.available, available);
	assert_int_equal(balance.reserved, reserved);
	assert_int_equal(balance.open, open);
	assert_int_equal(balance.spent, spent);
}

/* Spend and calls of today, of everyone that a call by "s" to "search" concerns. */
static void assert_counted(
    struct purse *purse, int64_t money, int64_t admitted, int64_t paid_money, int64_t paid)
{
	assert_int_equal(spend(purse, PURSE_AGENT, NULL), money);
	assert_int_equal(spend(purse, PURSE_SESSION, "s"), money);
	assert_int_equal(spend(purse, PURSE_TOOL, "search"), money);
	assert_int_equal(spend(purse, PURSE_WALLET, NULL), paid_money);
	assert_int_equal(spend(purse, PURSE_PAYEE, ADA), paid_money);
	assert_int_equal(calls(purse, PURSE_AGENT, NULL), admitted);
	assert_int_equal(calls(purse, PURSE_SESSION, "s"), admitted);
	assert_int_equal(calls(purse, PURSE_TOOL, "search"), admitted);
	assert_int_equal(calls(purse, PURSE_WALLET, NULL), paid);
	assert_int_equal(calls(purse, PURSE_PAYEE, ADA), paid);
}

static void assert_placed(struct hold *out, struct purse *purse, int64_t amount)
{
	assert_int_equal(hold_place(out, purse, "s", "search", NOON, amount), HOLD_OK);
}

static void test_purses_are_told_apart(void **state)
{
	struct fixture *fixture = *state;
	struct purse *other = purses_add(fixture->purses), *many[900];
	struct purses *none = NULL;

	assert_ptr_not_equal(other, fixture->purse);
	for (int64_t agent = 0; agent < 900; agent++)
		purse_deposit(many[agent] = purses_add(fixture->purses), 1, agent);
	for (int64_t agent = 0; agent < 900; agent++)
		assert_int_equal(purse_available(many[agent]), agent);
	assert_int_equal(purse_available(fixture->purse), 1000);
	assert_int_equal(purse_available(other), 0);
	assert_placed(&fixture->hold, fixture->purse, 5);
	assert_int_equal(calls(other, PURSE_SESSION, "s"), 0);
	purses_free(&none);
}

static void test_balances_by_slot(void **state)
{
	struct purse *purse = ((struct fixture *)*state)->purse;

	assert_balance(purse, 1, 1000, 0, 0, 0);
	assert_balance(purse, 0, 0, 0, 0, 0);
	assert_balance(purse, PURSE_SLOT_MAX - 1, 0, 0, 0, 0);
	purse_deposit(purse, PURSE_SLOT_MAX - 1, 50);
	assert_balance(purse, PURSE_SLOT_MAX - 1, 50, 0, 0, 0);
	assert_int_equal(purse_available(purse), 1050);
	assert_int_equal(purse_free(purse), 1050);
	assert_false(purse_withdraw(purse, 1, 1001));
	assert_false(purse_withdraw(purse, 2, 1));
	assert_true(purse_withdraw(purse, 2, 0));
	assert_true(purse_withdraw(purse, 1, 1000));
	assert_balance(purse, 1, 0, 0, 0, 0);
	purse_deposit(purse, 1, INT64_MAX - 1);
	assert_int_equal(purse_available(purse), INT64_MAX);
	purse_deposit(purse, 1, 2);
	assert_balance(purse, 1, INT64_MAX, 0, 0, 0);
}

static void test_a_paid_call(void **state)
{
	struct fixture *fixture = *state;
	struct purse *purse = fixture->purse;

	assert_placed(&fixture->hold, purse, 100);
	assert_balance(purse, 1, 1000, 0, 0, 0);
	assert_int_equal(purse_provisional(purse), 100);
	assert_int_equal(purse_free(purse), 900);
	assert_int_equal(purse_available(purse), 1000);
	assert_counted(purse, 0, 1, 0, 0);
	assert_int_equal(provisional(purse, PURSE_AGENT, NULL), 100);
	assert_int_equal(provisional(purse, PURSE_WALLET, NULL), 100);
	assert_int_equal(provisional(purse, PURSE_SESSION, "s"), 100);
	assert_int_equal(provisional(purse, PURSE_TOOL, "search"), 100);
	assert_int_equal(provisional(purse, PURSE_PAYEE, ADA), 0);
	assert_int_equal(
	    purse_read(purse, PURSE_AGENT, NULL, WINDOW_DAY, true, NOON).provisional, 0);

	assert_int_equal(hold_sign(&fixture->hold, 1, ADA, 60), HOLD_OK);
	assert_balance(purse, 1, 940, 0, 60, 0);
	assert_int_equal(purse_provisional(purse), 0);
	assert_counted(purse, 60, 1, 60, 1);
	assert_int_equal(provisional(purse, PURSE_TOOL, "search"), 0);

	hold_settle(&fixture->hold);
	assert_balance(purse, 1, 940, 0, 0, 60);
	assert_counted(purse, 60, 1, 60, 1);
	assert_int_equal(fixture->hold.state, HOLD_DONE);
}

static void test_ways_a_hold_ends(void **state)
{
	struct fixture *fixture = *state;
	struct purse *purse = fixture->purse;
	struct hold *hold = &fixture->hold;

	assert_placed(hold, purse, 100);
	hold_release(hold);
	assert_balance(purse, 1, 1000, 0, 0, 0);
	assert_int_equal(purse_provisional(purse), 0);
	assert_counted(purse, 0, 1, 0, 0);

	assert_placed(hold, purse, 100);
	assert_int_equal(hold_sign(hold, 1, ADA, 60), HOLD_OK);
	hold_unsign(hold);
	assert_balance(purse, 1, 1000, 0, 0, 0);
	assert_counted(purse, 0, 2, 0, 0);

	assert_placed(hold, purse, 0);
	assert_int_equal(hold_sign(hold, 1, ADA, 60), HOLD_OK);
	hold_leave_open(hold);
	assert_balance(purse, 1, 940, 0, 60, 0);
	assert_counted(purse, 60, 3, 60, 1);
	purse_refund(purse, 1, 60, "s", "search", ADA, NOON);
	assert_balance(purse, 1, 1000, 0, 0, 0);
	assert_counted(purse, 0, 3, 0, 0);

	assert_placed(hold, purse, 0);
	assert_int_equal(hold_sign(hold, 1, ADA, 70), HOLD_OK);
	hold_leave_open(hold);
	purse_settle(purse, 1, 70);
	assert_balance(purse, 1, 930, 0, 0, 70);
	assert_counted(purse, 70, 4, 70, 1);
}

static void test_a_metered_call(void **state)
{
	struct fixture *fixture = *state;
	struct purse *purse = fixture->purse;

	hold_place_metered(&fixture->hold, purse, "s", "search", NOON, 5000);
	assert_balance(purse, PURSE_OFF_CHAIN, 0, 5000, 0, 0);
	assert_balance(purse, 1, 1000, 0, 0, 0);
	assert_int_equal(purse_provisional(purse), 0);
	assert_counted(purse, 5000, 1, 0, 0);
	hold_charge(&fixture->hold);
	assert_balance(purse, PURSE_OFF_CHAIN, 0, 0, 0, 5000);
	assert_counted(purse, 5000, 1, 0, 0);

	hold_place_metered(&fixture->hold, purse, "s", "search", NOON, 300);
	hold_give_back(&fixture->hold);
	assert_balance(purse, PURSE_OFF_CHAIN, 0, 0, 0, 5000);
	assert_counted(purse, 5000, 2, 0, 0);
	assert_int_equal(purse_available(purse), 1000);
}

/* Each result in its order of precedence, and that nothing has changed. */
static void test_placing_and_resizing(void **state)
{
	static const struct {
		int64_t others, amount;
		enum hold_result result;
	} cases[] = {
	    {0, 0, HOLD_OK},
	    {0, 1, HOLD_OK},
	    {0, 1000, HOLD_OK},
	    {0, 1001, HOLD_NO_FUNDS},
	    {0, INT64_MAX, HOLD_NO_FUNDS},
	    {400, 600, HOLD_OK},
	    {400, 601, HOLD_BUSY},
	    {400, 1000, HOLD_BUSY},
	    {400, 1001, HOLD_NO_FUNDS},
	    {1000, 0, HOLD_OK},
	    {1000, 1, HOLD_BUSY},
	    {1000, 1001, HOLD_NO_FUNDS},
	};
	struct fixture *fixture = *state;
	struct purse *purse = fixture->purse;
	struct hold untouched = {0};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct hold first = {0}, second = {0};
		int64_t before = calls(purse, PURSE_AGENT, NULL) + 1;
		bool ok = cases[i].result == HOLD_OK;

		assert_placed(&first, purse, cases[i].others);
		assert_int_equal(hold_place(&second, purse, "s", "search", NOON, cases[i].amount),
		    cases[i].result);
		assert_int_equal(calls(purse, PURSE_AGENT, NULL), before + ok);
		if (!ok) {
			assert_memory_equal(&second, &untouched, sizeof(second));
			assert_placed(&second, purse, 0);
		}
		assert_int_equal(hold_resize(&second, 0), HOLD_OK);
		assert_int_equal(hold_resize(&second, cases[i].amount), cases[i].result);
		assert_int_equal(
		    purse_provisional(purse), cases[i].others + (ok ? cases[i].amount : 0));
		assert_int_equal(hold_resize(&second, second.amount / 2), HOLD_OK);
		hold_release(&second);
		hold_release(&first);
		assert_int_equal(purse_provisional(purse), 0);
	}
}

static void test_signing(void **state)
{
	static const struct {
		int64_t others, own;
		unsigned slot;
		int64_t price;
		enum hold_result result;
	} cases[] = {
	    {0, 0, 1, 0, HOLD_OK},
	    {0, 10, 1, 10, HOLD_OK},
	    {0, 10, 1, 1000, HOLD_OK}, /* above what was set aside */
	    {0, 0, 1, 1000, HOLD_OK},
	    {0, 10, 1, 1001, HOLD_NO_FUNDS}, /* the purse has 1050, this asset has not */
	    {0, 10, 2, 51, HOLD_NO_FUNDS},
	    {0, 10, 2, 50, HOLD_OK},
	    {0, 10, 3, 1, HOLD_NO_FUNDS},
	    {0, 10, 1, INT64_MAX, HOLD_NO_FUNDS},
	    {400, 650, 1, 650, HOLD_OK},
	    {400, 650, 1, 651, HOLD_BUSY},
	    {400, 0, 1, 651, HOLD_BUSY},
	    {400, 650, 1, 1001, HOLD_NO_FUNDS},
	    {1050, 0, 2, 1, HOLD_BUSY},
	    {1050, 0, 2, 51, HOLD_NO_FUNDS},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct purses *purses = purses_new();
		struct purse *purse = purses_add(purses);
		struct hold others = {0}, hold = {0}, before;
		bool ok = cases[i].result == HOLD_OK;
		enum hold_result result;

		purse_deposit(purse, 1, 1000);
		purse_deposit(purse, 2, 50);
		assert_placed(&others, purse, cases[i].others);
		assert_placed(&hold, purse, cases[i].own);
		before = hold;
		result = hold_sign(&hold, cases[i].slot, ADA, cases[i].price);
		if (result != cases[i].result)
			fail_msg("case %zu: %s", i, hold_result_str(result));
		if (!ok)
			assert_memory_equal(&hold, &before, sizeof(hold));
		assert_counted(purse, ok ? cases[i].price : 0, 2, ok ? cases[i].price : 0, ok);
		assert_int_equal(purse_balance(purse, cases[i].slot).open, ok ? cases[i].price : 0);
		assert_int_equal(
		    purse_provisional(purse), cases[i].others + (ok ? 0 : cases[i].own));
		assert_true(purse_provisional(purse) <= purse_available(purse));
		purses_free(&purses);
	}
}

static void test_withdrawing_keeps_holds_safe(void **state)
{
	struct fixture *fixture = *state;
	struct purse *purse = fixture->purse;

	purse_deposit(purse, 2, 100);
	assert_placed(&fixture->hold, purse, 300);
	assert_false(purse_withdraw(purse, 1, 801));
	assert_false(purse_withdraw(purse, 2, 101));
	assert_true(purse_withdraw(purse, 1, 750));
	assert_false(purse_withdraw(purse, 2, 51));
	assert_true(purse_withdraw(purse, 2, 50));
	assert_int_equal(purse_free(purse), 0);
	assert_int_equal(hold_sign(&fixture->hold, 1, ADA, 250), HOLD_OK);
}

static void test_globs_sum_tools(void **state)
{
	static const struct {
		const char *pattern;
		int64_t spend, calls, provisional;
	} cases[] = {
	    {"github/issues", 10, 1, 0},
	    {"github/*", 130, 3, 0},
	    {"*", 630, 6, 70},
	    {"s*h", 500, 2, 70},
	    {"git???", 100, 1, 0},
	    {"", 0, 0, 0},
	    {"githu", 0, 0, 0},
	    {"Search", 0, 0, 0},
	    {"x*", 0, 0, 0},
	};
	struct fixture *fixture = *state;
	struct purse *purse = fixture->purse;

	purse_restore_charge(purse, "s", "github/issues", NULL, false, NOON, 10, 1);
	purse_restore_charge(purse, "s", "github/pulls", NULL, false, NOON + 9 * S, 20, 1);
	purse_restore_charge(purse, "s", "github", NULL, false, NOON + 5 * S, 100, 1);
	purse_restore_charge(purse, "s", "search", NULL, false, NOON + 7 * S, 500, 1);
	purse_restore_charge(purse, "s", "free", NULL, false, NOON - 7 * S, 0, 1);
	assert_placed(&fixture->hold, purse, 70);
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *row = cases[i].pattern;

		row_check(row, spend(purse, PURSE_TOOL, row) == cases[i].spend);
		row_check(row, calls(purse, PURSE_TOOL, row) == cases[i].calls);
		row_check(row, provisional(purse, PURSE_TOOL, row) == cases[i].provisional);
	}
	/* The sum resets with the first that does, and frees when enough has. */
	assert_int_equal(
	    purse_read(purse, PURSE_TOOL, "git*", WINDOW_MINUTE, false, NOON + 10 * S).resets_us,
	    NOON + MINUTE + S / 10);
	assert_int_equal(
	    purse_read(purse, PURSE_TOOL, "*", WINDOW_MINUTE, true, NOON + 10 * S).resets_us,
	    NOON - 7 * S + MINUTE + S / 10);
	assert_int_equal(purse_read(purse, PURSE_TOOL, "x*", WINDOW_DAY, true, NOON).resets_us, 0);
}

static void test_when_a_sum_gives_back(void **state)
{
	const int64_t now = NOON + 10 * S;
	const struct {
		enum purse_subject subject;
		const char *name;
		enum window window;
		bool calls;
		int64_t amount, frees_us;
	} cases[] = {
	    {PURSE_TOOL, "t*", WINDOW_MINUTE, false, 0, now},
	    {PURSE_TOOL, "t*", WINDOW_MINUTE, false, 1, NOON + MINUTE + S / 10},
	    {PURSE_TOOL, "t*", WINDOW_MINUTE, false, 10, NOON + MINUTE + S / 10},
	    {PURSE_TOOL, "t*", WINDOW_MINUTE, false, 11, NOON + 5 * S + MINUTE + S / 10},
	    {PURSE_TOOL, "t*", WINDOW_MINUTE, false, 110, NOON + 5 * S + MINUTE + S / 10},
	    {PURSE_TOOL, "t*", WINDOW_MINUTE, false, 111, NOON + 9 * S + MINUTE + S / 10},
	    {PURSE_TOOL, "t*", WINDOW_MINUTE, false, INT64_MAX, NOON + 9 * S + MINUTE + S / 10},
	    {PURSE_TOOL, "t*", WINDOW_MINUTE, true, 2, NOON + 5 * S + MINUTE + S / 10},
	    {PURSE_TOOL, "t*", WINDOW_HOUR, false, 11, NOON + 5 * S + HOUR + S},
	    {PURSE_TOOL, "t*", WINDOW_DAY, false, 11, NOON + DAY / 2},
	    {PURSE_TOOL, "t*", WINDOW_TOTAL, false, 11, 0},
	    {PURSE_TOOL, "x*", WINDOW_MINUTE, false, 11, now},
	    {PURSE_TOOL, "t1", WINDOW_MINUTE, false, 15, NOON + 9 * S + MINUTE + S / 10},
	    {PURSE_TOOL, "x", WINDOW_MINUTE, false, 15, now},
	    {PURSE_TOOL, "x", WINDOW_DAY, false, 15, NOON + DAY / 2},
	    {PURSE_AGENT, NULL, WINDOW_MINUTE, false, 111, NOON + 9 * S + MINUTE + S / 10},
	    {PURSE_SESSION, "s", WINDOW_MINUTE, false, 11, NOON + 5 * S + MINUTE + S / 10},
	    {PURSE_SESSION, "other", WINDOW_MINUTE, false, 11, now},
	    {PURSE_WALLET, NULL, WINDOW_MINUTE, false, 11, now},
	    {PURSE_PAYEE, ADA, WINDOW_MINUTE, false, 11, now},
	    {PURSE_AGENT, NULL, WINDOW_CALL, false, 11, 0},
	};
	struct purse *purse = ((struct fixture *)*state)->purse;

	purse_restore_charge(purse, "s", "t1", NULL, false, NOON, 10, 1);
	purse_restore_charge(purse, "s", "t2", NULL, false, NOON + 5 * S, 100, 1);
	purse_restore_charge(purse, "s", "t1", NULL, false, NOON + 9 * S, 20, 1);
	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t frees_us = purse_frees_at(purse, cases[i].subject, cases[i].name,
		    cases[i].window, cases[i].calls, now, cases[i].amount);

		if (frees_us != cases[i].frees_us)
			fail_msg("case %zu: %lld, not %lld", i, (long long)frees_us,
			    (long long)cases[i].frees_us);
	}
}

static void test_unknown_names_read_zero_and_leave_no_trace(void **state)
{
	static const char *const names[] = {"", "s", "*", "?", "search", ADA,
	    "0x00000000000000000000000000000000000000000000000000000000000000ad"};
	static const enum purse_subject subjects[] = {
	    PURSE_SESSION, PURSE_AGENT, PURSE_WALLET, PURSE_TOOL, PURSE_PAYEE};
	struct purse *purse = ((struct fixture *)*state)->purse;
	struct purse_reading zero = {0}, reading;

	for (size_t i = 0; i < COUNT(names) * COUNT(subjects); i++)
		for (int window = WINDOW_CALL; window <= WINDOW_TOTAL; window++) {
			reading = purse_read(purse, subjects[i % COUNT(subjects)],
			    names[i / COUNT(subjects)], (enum window)window, i & 1, NOON);
			assert_memory_equal(&reading, &zero, sizeof(zero));
		}
	purse_refund(purse, 1, 0, "s", "search", ADA, NOON);
	purse_refund(purse, 1, 0, NULL, NULL, NULL, NOON);
	assert_int_equal(calls(purse, PURSE_TOOL, "*"), 0);
}

static void test_a_call_window_reads_zero(void **state)
{
	struct fixture *fixture = *state;
	struct purse_reading zero = {0}, reading;

	assert_placed(&fixture->hold, fixture->purse, 10);
	reading = purse_read(fixture->purse, PURSE_AGENT, NULL, WINDOW_CALL, false, NOON);
	assert_memory_equal(&reading, &zero, sizeof(zero));
}

static void test_payees_have_no_case(void **state)
{
	struct fixture *fixture = *state;
	struct purse *purse = fixture->purse;

	assert_placed(&fixture->hold, purse, 0);
	assert_int_equal(
	    hold_sign(&fixture->hold, 1, "0xAbCdEf0000000000000000000000000000000001", 5), HOLD_OK);
	purse_restore_charge(
	    purse, NULL, NULL, "0xabcdef0000000000000000000000000000000001", true, NOON, 7, 1);
	assert_int_equal(
	    spend(purse, PURSE_PAYEE, "0xABCDEF0000000000000000000000000000000001"), 12);
	hold_leave_open(&fixture->hold);
	purse_refund(purse, 1, 5, NULL, NULL, "0xabcdeF0000000000000000000000000000000001", NOON);
	assert_int_equal(
	    calls(purse, PURSE_PAYEE, "0xabcdef0000000000000000000000000000000001"), 1);
}

/* Money and charges that a sound ledger cannot hold: nothing aborts, no balance is
 * below zero, no money is made, no limit loosened. */
static void test_a_damaged_ledger(void **state)
{
	struct fixture *fixture = *state;
	struct purse *purse = fixture->purse;
	struct balance bad = {-1, -2, -3, -4}, huge = {10, 0, INT64_MAX - 5, INT64_MAX};

	purse_restore(purse, 3, &bad);
	assert_balance(purse, 3, 0, 0, 0, 0);
	purse_restore_charge(purse, "s", "search", NULL, true, NOON, -5, -1);
	purse_restore_charge(purse, "s", "search", ADA, true, NOON, -5, -1);
	purse_restore_charge(purse, NULL, NULL,
	    "0x00000000000000000000000000000000000000000000000000000000000000ad", true, NOON, 9, 1);
	assert_int_equal(spend(purse, PURSE_WALLET, NULL), 9);
	assert_int_equal(spend(purse, PURSE_SESSION, "s"), 0);

	purse_restore_charge(purse, "s", "search", ADA, true, NOON, 40, 1);
	purse_restore(purse, 3, &(struct balance){.open = 40});
	purse_refund(purse, 3, 41, "s", "search", ADA, NOON);
	assert_balance(purse, 3, 40, 0, 0, 0);
	assert_int_equal(spend(purse, PURSE_SESSION, "s"), 40);
	purse_settle(purse, 3, 5);
	purse_settle(purse, 3, -5);
	purse_refund(purse, 3, -5, "s", "search", ADA, NOON);
	assert_balance(purse, 3, 40, 0, 0, 0);

	/* Sums at the end of int64 stay where they are. */
	purse_restore(purse, 4, &huge);
	assert_placed(&fixture->hold, purse, 0);
	assert_int_equal(hold_sign(&fixture->hold, 4, ADA, 6), HOLD_NO_FUNDS);
	assert_int_equal(hold_sign(&fixture->hold, 4, ADA, 5), HOLD_OK);
	hold_settle(&fixture->hold);
	assert_balance(purse, 4, 5, 0, INT64_MAX, INT64_MAX);
	hold_place_metered(&fixture->hold, purse, "s", "search", NOON, INT64_MAX);
	hold_place_metered(&fixture->other, purse, "s", "search", NOON, INT64_MAX);
	hold_charge(&fixture->hold);
	hold_give_back(&fixture->other);
	assert_balance(purse, PURSE_OFF_CHAIN, 0, 0, 0, INT64_MAX);
}

/* What counts from before the start is read when somebody first asks for it; it is then the same
 * as what was charged at once. */
static void tell_past(struct purse *purse, int64_t count)
{
	static const char *const sessions[] = {"s", NULL, "a session"};
	static const char *const tools[] = {"search", "github/issues", NULL, "", "translate"};
	static const char *const payees[] = {
	    NULL, ADA, "0x209693Bc6afc0C5328bA36FaF03C514EF312287C"};

	for (int64_t i = 0; i < count; i++)
		purse_restore_charge(purse, sessions[i % 3], tools[i % 5], payees[i % 3],
		    i % 3 != 0, NOON - (count - i) * 1700 * S, i, 1 + i % 4);
}

static void assert_same(struct purse *left, struct purse *right, enum purse_subject subject,
    const char *name)
{
	static const enum window asked[] = {
	    WINDOW_MINUTE, WINDOW_HOUR, WINDOW_DAY, WINDOW_MONTH, WINDOW_TOTAL};

	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		for (int of_calls = 0; of_calls < 2; of_calls++) {
			struct purse_reading a = purse_read(
			    left, subject, name, asked[i], of_calls != 0, NOON);
			struct purse_reading b = purse_read(
			    right, subject, name, asked[i], of_calls != 0, NOON);

			assert_int_equal(a.firm, b.firm);
			assert_int_equal(a.resets_us, b.resets_us);
		}
	}
}

static char memory_arg[] = "";

/* Recalls what tell_past() tells, some of it many times before it succeeds. */
struct memory {
	int64_t count;
	const char *long_name; /* or NULL */
	int failures;	       /* readings that break off half way, from now on */
	atomic_int readings;
};

static enum purse_past remember(struct purse *draft, void *owner, size_t rows_max, void *arg)
{
	struct memory *memory = owner;

	must(arg == memory_arg);
	memory->readings++;
	tell_past(draft, memory->count);
	if ((size_t)memory->count > rows_max)
		return PURSE_LONG;
	if (memory->failures > 0 && memory->failures--)
		return PURSE_UNREADABLE;
	if (memory->long_name)
		purse_restore_charge(draft, "s", memory->long_name, ADA, true, NOON, 5, 1);
	return PURSE_AWAKE;
}

static struct purse *sleeper(struct purses *purses, struct memory *memory)
{
	struct purse *purse = purses_add(purses);

	purses_recall_by(purses, remember, memory_arg);
	purse_restore(purse, 1, &(struct balance){.open = 7, .available = 1000});
	purse_sleep(purse, memory);
	return purse;
}

static void assert_same_totals(struct purse *left, struct purse *right)
{
	static const char *const tools[] = {"search", "github/issues", "", "translate", "t*"};

	for (size_t j = 0; j < COUNT(tools); j++)
		assert_same(left, right, PURSE_TOOL, tools[j]);
	assert_same(left, right, PURSE_AGENT, NULL);
	assert_same(left, right, PURSE_WALLET, NULL);
	assert_same(left, right, PURSE_SESSION, "s");
	assert_same(left, right, PURSE_SESSION, "a session");
	assert_same(left, right, PURSE_PAYEE, ADA);
	assert_same(left, right, PURSE_PAYEE, "0x209693bc6afc0c5328ba36faf03c514ef312287c");
}

enum sign_of_life { ASKED, RECALLED, REFUNDED, REOPENED, PLACED, METERED, SIGNS };

/* Its first sign of life may be any. */
static void live(struct purse *purse, enum sign_of_life sign)
{
	struct hold hold = {.state = HOLD_NONE};

	switch (sign) {
	case ASKED:
	case SIGNS:
		break;
	case RECALLED:
		assert_true(purse_recall(purse));
		assert_true(purse_recall(purse));
		break;
	case REFUNDED:
		purse_refund(purse, 1, 7, "s", "search", ADA, NOON - 1700 * S);
		break;
	case REOPENED:
		assert_true(
		    purse_reopen(purse, 1, 7, false, "s", "search", ADA, NOON - 1700 * S));
		break;
	case PLACED:
		assert_int_equal(hold_place(&hold, purse, "s", "search", NOON, 9), HOLD_OK);
		assert_int_equal(hold_sign(&hold, 1, ADA, 8), HOLD_OK);
		hold_settle(&hold);
		break;
	case METERED:
		hold_place_metered(&hold, purse, "s", "search", NOON, 9);
		hold_charge(&hold);
		break;
	}
}

static void test_a_past_that_nobody_asks_for(void **state)
{
	static const int64_t counts[] = {0, 1, 64, 300};
	char *long_name = malloc(10001);

	(void)state;
	memset(long_name, 'n', 10000);
	long_name[10000] = '\0';
	for (size_t i = 0; i < COUNT(counts) * SIGNS * 2; i++) {
		struct memory memory = {.count = counts[i % COUNT(counts)]};
		enum sign_of_life sign = (enum sign_of_life)(i / COUNT(counts) % SIGNS);
		struct purses *purses = purses_new();
		struct purse *asleep = sleeper(purses, &memory), *awake = purses_add(purses);

		tell_past(awake, memory.count);
		purse_restore(awake, 1, &(struct balance){.open = 7, .available = 1000});
		if (i >= COUNT(counts) * SIGNS) {
			memory.long_name = long_name;
			purse_restore_charge(awake, "s", long_name, ADA, true, NOON, 5, 1);
		}
		/* Nobody has asked for it by that. */
		purse_trim(asleep, NOON, NULL, NULL);
		purse_trim(awake, NOON, NULL, NULL);
		assert_int_equal(purse_balance(asleep, 1).open, 7);
		assert_int_equal(memory.readings, 0);
		live(asleep, sign);
		live(awake, sign);
		assert_same_totals(asleep, awake);
		assert_same(asleep, awake, PURSE_TOOL, long_name);
		assert_int_equal(memory.readings, 1);
		assert_true(purse_recall(asleep));
		assert_true(purse_recall(awake));
		assert_int_equal(memory.readings, 1);
		purses_free(&purses);
	}
	free(long_name);
}

/* A call asks again until it can be read, and then nothing of a broken reading is left. */
static void test_a_past_that_cannot_be_read(void **state)
{
	struct memory memory = {.count = 10, .failures = 5};
	struct purses *purses = purses_new();
	struct purse *asleep = sleeper(purses, &memory), *awake = purses_add(purses);

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_false(purse_recall(asleep));
	/* Whoever only looks breaks nothing. */
	assert_int_equal(purse_sum(asleep, PURSE_WALLET, NULL, WINDOW_TOTAL, true, NOON).firm, 0);
	assert_int_equal(
	    purse_frees_at(asleep, PURSE_AGENT, NULL, WINDOW_HOUR, false, NOON, 1), NOON);
	assert_true(purse_recall(asleep));
	tell_past(awake, memory.count);
	assert_same_totals(asleep, awake);
	purses_free(&purses);
}

/* What is booked by somebody who cannot wait is kept; the agent may not call any more. */
static void test_a_past_that_is_lost(void **state)
{
	struct memory memory = {.count = 10, .failures = 1};
	struct purses *purses = purses_new();
	struct purse *purse = sleeper(purses, &memory);

	(void)state;
	assert_true(purse_reopen(purse, 1, 7, false, "s", "search", ADA, NOON));
	assert_int_equal(spend(purse, PURSE_AGENT, NULL), 7);
	assert_int_equal(purse_balance(purse, 1).open, 14);
	assert_false(purse_recall(purse));
	assert_false(purse_recall(purse));
	assert_int_equal(memory.readings, 1);
	purses_free(&purses);
}

/* A reading that needs the lock itself would wait for ever if it was held. */
static enum purse_past remember_with_the_lock(
    struct purse *draft, void *owner, size_t rows_max, void *arg)
{
	struct purses **purses = owner;

	(void)arg;
	(void)rows_max;
	purses_lock(*purses);
	purses_unlock(*purses);
	tell_past(draft, 3);
	return PURSE_AWAKE;
}

static void test_a_past_read_with_the_lock_free(void **state)
{
	struct purses *purses = purses_new();
	struct purse *asleep = purses_add(purses), *awake = purses_add(purses);

	(void)state;
	/* The end of a test that waits for itself. */
	alarm(30);
	purses_recall_by(purses, remember_with_the_lock, NULL);
	purse_sleep(asleep, &purses);
	assert_true(purse_recall(asleep));
	alarm(0);
	tell_past(awake, 3);
	assert_same_totals(asleep, awake);
	purses_free(&purses);
}

/* What is too long is not read by who has no time for it, and sleeps on as it was. */
static void test_a_past_that_is_short_or_not(void **state)
{
	struct memory memory = {.count = 10};
	struct purses *purses = purses_new();
	struct purse *asleep = sleeper(purses, &memory), *awake = purses_add(purses);

	(void)state;
	tell_past(awake, memory.count);
	assert_true(purse_asleep(asleep));
	assert_false(purse_asleep(awake));
	assert_int_equal(purse_recall_short(asleep, 9), PURSE_LONG);
	assert_true(purse_asleep(asleep));
	memory.failures = 1;
	assert_int_equal(purse_recall_short(asleep, 10), PURSE_UNREADABLE);
	assert_true(purse_asleep(asleep));
	assert_int_equal(purse_recall_short(asleep, 10), PURSE_AWAKE);
	assert_false(purse_asleep(asleep));
	assert_int_equal(purse_recall_short(asleep, 0), PURSE_AWAKE);
	assert_int_equal(memory.readings, 3);
	assert_same_totals(asleep, awake);
	purses_free(&purses);
}

struct sleepers {
	struct purses *purses;
	struct purse *many[300];
};

static void *recall_and_spend(void *arg)
{
	struct sleepers *crowd = arg;

	for (size_t i = 0; i < COUNT(crowd->many); i++) {
		struct hold hold = {.state = HOLD_NONE};

		if (i % 3 != 0)
			must(purse_recall(crowd->many[i]));
		purses_lock(crowd->purses);
		hold_place_metered(&hold, crowd->many[i], "s", "search", NOON, 2);
		hold_charge(&hold);
		purses_unlock(crowd->purses);
	}
	return NULL;
}

/* Several threads meet one agent at once: its past is counted once, and nothing is lost that was
 * booked while somebody was still reading. */
static void test_a_past_that_many_ask_for(void **state)
{
	struct memory memory = {.count = 50};
	struct sleepers crowd = {.purses = purses_new()};
	struct purse *awake = purses_add(crowd.purses);
	pthread_t threads[4];

	(void)state;
	for (size_t i = 0; i < COUNT(crowd.many); i++)
		crowd.many[i] = sleeper(crowd.purses, &memory);
	for (size_t i = 0; i < COUNT(threads); i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, recall_and_spend, &crowd), 0);
	for (size_t i = 0; i < COUNT(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	tell_past(awake, memory.count);
	purse_restore_charge(awake, "s", "search", NULL, false, NOON, 8, 4);
	for (size_t i = 0; i < COUNT(crowd.many); i++)
		assert_same_totals(crowd.many[i], awake);
	purses_free(&crowd.purses);
}

static void test_a_purse_rebuilt_from_the_journal(void **state)
{
	struct fixture *fixture = *state;
	struct purse *purse = fixture->purse;

	purse_restore(purse, 2, &(struct balance){70, 0, 30, 5});
	purse_restore(purse, 0, &(struct balance){3, 6, 0, 9});
	assert_balance(purse, 2, 70, 0, 30, 5);
	assert_balance(purse, 0, 3, 6, 0, 9);
	assert_int_equal(purse_available(purse), 1070); /* off-chain dollars cannot sign */
	/* One paid call: admitted once, paid once. One metered call. */
	purse_restore_charge(purse, "s", "search", NULL, false, NOON, 0, 1);
	purse_restore_charge(purse, "s", "search", ADA, true, NOON, 30, 1);
	assert_counted(purse, 30, 1, 30, 1);
	purse_restore_charge(purse, "s", "search", NULL, false, NOON, 9, 1);
	assert_counted(purse, 39, 2, 30, 1);
	/* Of a session long gone only what outlives it. */
	purse_restore_charge(purse, NULL, "search", ADA, true, NOON, 100, 3);
	assert_int_equal(spend(purse, PURSE_SESSION, "s"), 39);
	assert_int_equal(spend(purse, PURSE_AGENT, NULL), 139);
	assert_int_equal(calls(purse, PURSE_PAYEE, ADA), 4);
	purse_refund(purse, 2, 30, "s", "search", ADA, NOON);
	assert_balance(purse, 2, 100, 0, 0, 5);
	assert_int_equal(spend(purse, PURSE_SESSION, "s"), 9);
	assert_int_equal(spend(purse, PURSE_PAYEE, ADA), 100);
}

/* An end that did not last: what was spent was charged all the while; what was given back
 * is charged once more, where it was at first. */
static void test_an_end_undone(void **state)
{
	struct fixture *fixture = *state;
	struct purse *purse = fixture->purse;

	assert_placed(&fixture->hold, purse, 0);
	assert_int_equal(hold_sign(&fixture->hold, 1, ADA, 300), HOLD_OK);
	hold_settle(&fixture->hold);
	assert_balance(purse, 1, 700, 0, 0, 300);
	assert_true(purse_reopen(purse, 1, 300, true, "s", "search", ADA, NOON));
	assert_balance(purse, 1, 700, 0, 300, 0);
	assert_counted(purse, 300, 1, 300, 1);
	purse_refund(purse, 1, 300, "s", "search", ADA, NOON);
	assert_balance(purse, 1, 1000, 0, 0, 0);
	assert_counted(purse, 0, 1, 0, 0);
	assert_true(purse_reopen(purse, 1, 300, false, "s", "search", ADA, NOON));
	assert_balance(purse, 1, 700, 0, 300, 0);
	assert_counted(purse, 300, 1, 300, 1);
	purse_settle(purse, 1, 300);
	assert_balance(purse, 1, 700, 0, 0, 300);
	assert_counted(purse, 300, 1, 300, 1);
	assert_true(purse_reopen(purse, 1, 0, true, NULL, NULL, NULL, NOON));
	assert_counted(purse, 300, 1, 300, 1);
}

/* After a restart nothing may remember the session, the tool or the payee. */
static void test_an_end_undone_charges_whom_it_has_to_find(void **state)
{
	struct purse *purse = ((struct fixture *)*state)->purse;

	assert_true(purse_reopen(purse, 1, 5, false, NULL, NULL, NULL, NOON));
	assert_int_equal(spend(purse, PURSE_AGENT, NULL), 5);
	assert_int_equal(calls(purse, PURSE_AGENT, NULL), 0);
	assert_int_equal(calls(purse, PURSE_WALLET, NULL), 1);
	assert_int_equal(spend(purse, PURSE_SESSION, "s"), 0);
	assert_true(purse_reopen(purse, 1, 10, false, "s", "search", ADA, NOON));
	assert_int_equal(spend(purse, PURSE_SESSION, "s"), 10);
	assert_int_equal(spend(purse, PURSE_TOOL, "search"), 10);
	assert_int_equal(spend(purse, PURSE_PAYEE, ADA), 10);
	assert_int_equal(spend(purse, PURSE_WALLET, NULL), 15);
	assert_balance(purse, 1, 985, 0, 15, 0);
}

static void test_no_end_is_undone_with_money_that_is_not_there(void **state)
{
	struct fixture *fixture = *state;
	struct purse *purse = fixture->purse;
	struct balance huge = {10, 0, INT64_MAX - 5, 10};

	purse_deposit(purse, 2, 50);
	assert_false(purse_reopen(purse, 1, 1001, false, "s", "search", ADA, NOON));
	assert_false(purse_reopen(purse, 2, 51, false, "s", "search", ADA, NOON));
	assert_false(purse_reopen(purse, 1, 1, true, "s", "search", ADA, NOON));
	/* Other calls' provisional holds are safe. */
	assert_placed(&fixture->hold, purse, 1000);
	assert_false(purse_reopen(purse, 1, 51, false, "s", "search", ADA, NOON));
	assert_counted(purse, 0, 1, 0, 0);
	assert_balance(purse, 1, 1000, 0, 0, 0);
	assert_true(purse_reopen(purse, 1, 50, false, "s", "search", ADA, NOON));
	assert_int_equal(purse_free(purse), 0);
	hold_release(&fixture->hold);
	purse_restore(purse, 3, &huge);
	assert_false(purse_reopen(purse, 3, 6, true, NULL, NULL, NULL, NOON));
	assert_false(purse_reopen(purse, 3, 6, false, NULL, NULL, NULL, NOON));
	assert_balance(purse, 3, 10, 0, INT64_MAX - 5, 10);
}

/* It is money again, and no permission. */
static void test_a_seller_pays_back(void **state)
{
	struct fixture *fixture = *state;
	struct purse *purse = fixture->purse;

	assert_placed(&fixture->hold, purse, 0);
	assert_int_equal(hold_sign(&fixture->hold, 1, ADA, 300), HOLD_OK);
	hold_settle(&fixture->hold);
	purse_pay_back(purse, 1, 100);
	assert_balance(purse, 1, 800, 0, 0, 200);
	assert_counted(purse, 300, 1, 300, 1);
	/* Only a damaged ledger asks for more than was spent. */
	purse_pay_back(purse, 1, 201);
	purse_pay_back(purse, 2, 5);
	assert_balance(purse, 1, 1000, 0, 0, 0);
	assert_balance(purse, 2, 0, 0, 0, 0);
	assert_counted(purse, 300, 1, 300, 1);
}

static bool expire_listed(const char *session, void *arg)
{
	return strstr(arg, session) != NULL;
}

static void test_trimming_sessions(void **state)
{
	struct fixture *fixture = *state;
	struct purse *purse = fixture->purse;
	char both[] = "idle s";

	purse_restore_charge(purse, "idle", "search", NULL, false, NOON, 5, 1);
	purse_restore_charge(purse, "kept", "search", NULL, false, NOON, 5, 1);
	assert_placed(&fixture->hold, purse, 50);
	purse_trim(purse, NOON, NULL, NULL);
	assert_int_equal(calls(purse, PURSE_SESSION, "idle"), 1);
	/* A session with a call in flight stays, whatever is said about it. */
	purse_trim(purse, NOON, expire_listed, both);
	assert_int_equal(calls(purse, PURSE_SESSION, "idle"), 0);
	assert_int_equal(calls(purse, PURSE_SESSION, "kept"), 1);
	assert_int_equal(calls(purse, PURSE_SESSION, "s"), 1);
	assert_int_equal(hold_sign(&fixture->hold, 1, ADA, 50), HOLD_OK);
	purse_trim(purse, NOON, expire_listed, both);
	assert_int_equal(spend(purse, PURSE_SESSION, "s"), 50);
	hold_leave_open(&fixture->hold);
	purse_trim(purse, NOON, expire_listed, both);
	assert_int_equal(spend(purse, PURSE_SESSION, "s"), 0);
	/* Others still count it, and the refund finds who is left. */
	assert_int_equal(spend(purse, PURSE_AGENT, NULL), 60);
	purse_refund(purse, 1, 50, "s", "search", ADA, NOON);
	assert_int_equal(spend(purse, PURSE_AGENT, NULL), 10);
	assert_int_equal(spend(purse, PURSE_PAYEE, ADA), 0);
	assert_int_equal(spend(purse, PURSE_SESSION, "s"), 0);
}

static void test_words_of_the_results(void **state)
{
	(void)state;
	assert_string_equal(hold_result_str(HOLD_OK), "ok");
	assert_string_equal(hold_result_str(HOLD_NO_FUNDS), "no_funds");
	assert_string_equal(hold_result_str(HOLD_BUSY), "busy");
	assert_string_equal(hold_result_str((enum hold_result)9), "?");
}

static void test_a_hold_out_of_turn_ends_the_process(void **state)
{
	struct fixture *fixture = *state;
	struct purse *purse = fixture->purse;
	struct hold none = {0}, placed = {0}, metered = {0}, signed_ = {0};

	assert_placed(&placed, purse, 1);
	assert_placed(&signed_, purse, 1);
	assert_int_equal(hold_sign(&signed_, 1, ADA, 1), HOLD_OK);
	hold_place_metered(&metered, purse, "s", "search", NOON, 1);
	assert_aborts((void)!hold_place(&placed, purse, "s", "search", NOON, 0));
	assert_aborts(hold_place_metered(&signed_, purse, "s", "search", NOON, 0));
	assert_aborts((void)!hold_place(&none, purse, NULL, "search", NOON, 0));
	assert_aborts((void)!hold_place(&none, purse, "s", NULL, NOON, 0));
	assert_aborts((void)!hold_place(&none, purse, "s", "search", NOON, -1));
	assert_aborts(hold_place_metered(&none, purse, "s", "search", NOON, -1));
	assert_aborts((void)!hold_resize(&none, 0));
	assert_aborts((void)!hold_resize(&signed_, 0));
	assert_aborts((void)!hold_resize(&placed, -1));
	assert_aborts((void)!hold_sign(&none, 1, ADA, 1));
	assert_aborts((void)!hold_sign(&metered, 1, ADA, 1));
	assert_aborts((void)!hold_sign(&signed_, 1, ADA, 1));
	assert_aborts((void)!hold_sign(&placed, PURSE_OFF_CHAIN, ADA, 1));
	assert_aborts((void)!hold_sign(&placed, PURSE_SLOT_MAX, ADA, 1));
	assert_aborts((void)!hold_sign(&placed, 1, NULL, 1));
	assert_aborts((void)!hold_sign(&placed, 1, ADA, -1));
	assert_aborts(hold_release(&signed_));
	assert_aborts(hold_unsign(&placed));
	assert_aborts(hold_settle(&placed));
	assert_aborts(hold_settle(&metered));
	assert_aborts(hold_leave_open(&placed));
	assert_aborts(hold_charge(&signed_));
	assert_aborts(hold_give_back(&signed_));
	hold_settle(&signed_);
	assert_aborts(hold_settle(&signed_));
	assert_aborts(hold_unsign(&signed_));
}

static void test_other_broken_promises_end_the_process(void **state)
{
	struct purse *purse = ((struct fixture *)*state)->purse;
	struct purse_subjects subjects;

	assert_aborts(purse_deposit(purse, PURSE_OFF_CHAIN, 1));
	assert_aborts(purse_deposit(purse, PURSE_SLOT_MAX, 1));
	assert_aborts(purse_deposit(purse, 1, -1));
	assert_aborts((void)!purse_withdraw(purse, PURSE_OFF_CHAIN, 0));
	assert_aborts((void)!purse_withdraw(purse, 1, -1));
	assert_aborts(purse_settle(purse, PURSE_OFF_CHAIN, 1));
	assert_aborts(purse_refund(purse, PURSE_SLOT_MAX, 1, NULL, NULL, NULL, 0));
	assert_aborts((void)!purse_reopen(purse, PURSE_OFF_CHAIN, 1, true, NULL, NULL, NULL, 0));
	assert_aborts((void)!purse_reopen(purse, 1, -1, false, NULL, NULL, NULL, 0));
	assert_aborts(purse_pay_back(purse, PURSE_OFF_CHAIN, 1));
	assert_aborts(purse_pay_back(purse, 1, -1));
	assert_aborts((void)purse_balance(purse, PURSE_SLOT_MAX));
	assert_aborts((void)purse_read(purse, PURSE_SESSION, NULL, WINDOW_DAY, false, 0));
	assert_aborts((void)purse_sum(purse, PURSE_SESSION, NULL, WINDOW_DAY, false, 0));
	assert_aborts((void)purse_read(purse, (enum purse_subject)9, "s", WINDOW_DAY, false, 0));
	subjects = purse_find(purse, NULL, NULL, NULL);
	assert_aborts(
	    (void)purse_subject_sum(&subjects, (enum purse_subject)9, WINDOW_DAY, false, 0));
	assert_aborts((void)purse_frees_at(purse, PURSE_TOOL, NULL, WINDOW_HOUR, false, 0, 1));
	assert_aborts((void)purse_frees_at(purse, PURSE_AGENT, NULL, WINDOW_HOUR, false, 0, -1));
}

/* --- many at once --------------------------------------------------------- */

struct crowd {
	struct purses *purses;
	struct purse *purse;
	int paid;
};

static void *spend_all_day(void *arg)
{
	struct crowd *crowd = arg;

	for (int i = 0; i < 25; i++) {
		struct hold hold = {0};

		purses_lock(crowd->purses);
		if (hold_place(&hold, crowd->purse, "s", "search", NOON, 100) ==
		    HOLD_OK) {
			purses_unlock(crowd->purses);
			purses_lock(crowd->purses);
			if (hold_sign(&hold, 1, ADA, 100) == HOLD_OK) {
				crowd->paid++;
				hold_settle(&hold);
			}
		}
		purses_unlock(crowd->purses);
	}
	return NULL;
}

/* Two hundred parallel calls against money for ten: exactly ten go out. */
static void test_a_crowd_spends_no_more_than_there_is(void **state)
{
	struct fixture *fixture = *state;
	struct crowd crowd = {fixture->purses, fixture->purse, 0};
	pthread_t threads[8];

	for (size_t i = 0; i < COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, spend_all_day, &crowd), 0);
	for (size_t i = 0; i < COUNT(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(crowd.paid, 10);
	assert_balance(fixture->purse, 1, 0, 0, 0, 1000);
}

/* --- against a list of everything ------------------------------------------ */

static const char *const sessions[] = {"ses-1", "ses-2", "ses-3"};
static const char *const tools[] = {"search", "github/issues", "github/pulls", "maps"};
static const char *const payees[] = {ADA, BOB};
static const char *const patterns[] = {"github/*", "*", "?aps", "none*"};

/* Where each subject's sums stand in a sheet. */
enum {
	AT_AGENT,
	AT_WALLET,
	AT_SESSIONS,
	AT_TOOLS = AT_SESSIONS + COUNT(sessions),
	AT_PAYEES = AT_TOOLS + COUNT(tools),
	AT_PATTERNS = AT_PAYEES + COUNT(payees),
	SUBJECTS = AT_PATTERNS + COUNT(patterns),
};

struct total {
	int64_t spend, calls, spend_resets_us, calls_resets_us;
};

typedef struct total sheet[SUBJECTS][WINDOWS];

/* One charge, said the way purse_restore_charge() is told. */
struct event {
	int session, tool, payee; /* payee -1: none */
	bool wallet;
	int64_t at_us, spend, calls;
	int64_t day_us, month_us; /* starts of its calendar windows */
};

struct model_hold {
	struct hold hold;
	int session, tool;
	int64_t amount;
	size_t event; /* of its payment, once signed or metered */
};

struct model_open {
	unsigned slot;
	size_t event;
};

/* What became of an open payment, and may be undone. */
struct model_end {
	struct model_open open;
	bool spent;    /* else given back */
	int64_t spend; /* its event has none any more when it was given back */
};

#define EVENTS_MAX 400
#define HOLDS_MAX  12
#define OPEN_MAX   64
#define SLOTS	   3

struct model {
	uint64_t seed, random;
	struct purses *purses;
	struct purse *purse;
	int64_t now_us;
	struct event events[EVENTS_MAX];
	size_t event_count;
	struct model_hold holds[HOLDS_MAX];
	size_t hold_count;
	struct model_open open[OPEN_MAX];
	size_t open_count;
	struct model_end ends[OPEN_MAX];
	size_t end_count;
	struct balance slots[SLOTS];
	bool matches[COUNT(patterns)][COUNT(tools)];
	size_t steps;
};

#define model_check(model, condition)                                                              \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_msg("TEST_SEED=%llu, step %zu: %s",                                   \
			    (unsigned long long)(model)->seed, (model)->steps, #condition);        \
	} while (0)

static int64_t below(struct model *model, int64_t limit)
{
	model->random ^= model->random >> 12;
	model->random ^= model->random << 25;
	model->random ^= model->random >> 27;
	return (int64_t)((model->random * UINT64_C(2685821657736338717) >> 1) % (uint64_t)limit);
}

static size_t model_event(struct model *model, struct event event)
{
	assert_true(model->event_count < EVENTS_MAX);
	event.day_us = window_day_start_us(event.at_us);
	event.month_us = window_month_start_us(event.at_us);
	model->events[model->event_count] = event;
	return model->event_count++;
}

/* When a charge leaves the window; 0 when it is not in it at at_us, INT64_MAX never. */
static int64_t event_leaves_us(
    const struct event *event, size_t window, int64_t at_us, const int64_t edges_us[4])
{
	int64_t minute_us = (event->at_us / (S / 10) + 1) * (S / 10) + MINUTE;
	int64_t hour_us = (event->at_us / S + 1) * S + HOUR;

	switch (windows[window]) {
	case WINDOW_CALL:
		break;
	case WINDOW_MINUTE:
		return minute_us > at_us ? minute_us : 0;
	case WINDOW_HOUR:
		return hour_us > at_us ? hour_us : 0;
	case WINDOW_DAY:
		return event->day_us == edges_us[0] ? edges_us[1] : 0;
	case WINDOW_MONTH:
		return event->month_us == edges_us[2] ? edges_us[3] : 0;
	case WINDOW_TOTAL:
		return INT64_MAX;
	}
	return 0;
}

static void total_add(struct total *total, int64_t spend, int64_t calls, int64_t leaves_us)
{
	int64_t resets_us = leaves_us == INT64_MAX ? 0 : leaves_us;

	total->spend += spend;
	total->calls += calls;
	if (spend && (total->spend_resets_us == 0 || resets_us < total->spend_resets_us))
		total->spend_resets_us = resets_us;
	if (calls && (total->calls_resets_us == 0 || resets_us < total->calls_resets_us))
		total->calls_resets_us = resets_us;
}

static void event_add(sheet out, const struct model *model, const struct event *event,
    size_t window, int64_t leaves_us)
{
	int64_t admitted = event->payee < 0 ? event->calls : 0, paid = event->calls - admitted;

	total_add(&out[AT_AGENT][window], event->spend, admitted, leaves_us);
	total_add(&out[AT_SESSIONS + event->session][window], event->spend, admitted, leaves_us);
	total_add(&out[AT_TOOLS + event->tool][window], event->spend, admitted, leaves_us);
	if (event->wallet)
		total_add(&out[AT_WALLET][window], event->spend, paid, leaves_us);
	if (event->payee >= 0)
		total_add(&out[AT_PAYEES + event->payee][window], event->spend, paid, leaves_us);
	for (size_t i = 0; i < COUNT(patterns); i++)
		if (model->matches[i][event->tool])
			total_add(&out[AT_PATTERNS + i][window], event->spend, admitted, leaves_us);
}

static void model_sheet(sheet out, const struct model *model, int64_t at_us)
{
	const int64_t edges_us[4] = {window_day_start_us(at_us), window_day_end_us(at_us),
	    window_month_start_us(at_us), window_month_end_us(at_us)};

	memset(out, 0, sizeof(sheet));
	for (size_t i = 0; i < model->event_count; i++) {
		for (size_t window = 0; window < WINDOWS; window++) {
			int64_t leaves_us =
			    event_leaves_us(&model->events[i], window, at_us, edges_us);

			if (leaves_us != 0)
				event_add(out, model, &model->events[i], window, leaves_us);
		}
	}
}

static enum purse_subject subject_of(size_t index, const char **name)
{
	*name = NULL;
	if (index == AT_AGENT)
		return PURSE_AGENT;
	if (index == AT_WALLET)
		return PURSE_WALLET;
	if (index < AT_TOOLS) {
		*name = sessions[index - AT_SESSIONS];
		return PURSE_SESSION;
	}
	if (index >= AT_PAYEES && index < AT_PATTERNS) {
		*name = payees[index - AT_PAYEES];
		return PURSE_PAYEE;
	}
	*name = index < AT_PAYEES ? tools[index - AT_TOOLS] : patterns[index - AT_PATTERNS];
	return PURSE_TOOL;
}

static int64_t model_provisional(const struct model *model, size_t subject)
{
	int64_t sum = 0;

	for (size_t i = 0; i < model->hold_count; i++) {
		const struct model_hold *one = &model->holds[i];

		if (one->hold.state != HOLD_PROVISIONAL)
			continue;
		if (subject <= AT_WALLET || subject == AT_SESSIONS + (size_t)one->session ||
		    subject == AT_TOOLS + (size_t)one->tool ||
		    (subject >= AT_PATTERNS && model->matches[subject - AT_PATTERNS][one->tool]))
			sum += one->amount;
	}
	return sum;
}

/* Found first and asked then, it says what it says when it is asked by its name. */
static void compare_found(struct purse *purse, enum purse_subject kind, const char *name,
    enum window window, int64_t at_us)
{
	struct purse_subjects found = purse_find(purse, kind == PURSE_SESSION ? name : NULL,
	    kind == PURSE_TOOL ? name : NULL, kind == PURSE_PAYEE ? name : NULL);

	for (int calls = 0; calls <= 1; calls++) {
		struct purse_reading named = purse_sum(purse, kind, name, window, calls, at_us);
		struct purse_reading sum = purse_subject_sum(&found, kind, window, calls, at_us);

		assert_memory_equal(&sum, &named, sizeof(sum));
	}
}

static void compare_one(struct model *model, struct purse *purse, const struct total *total,
    size_t subject, size_t window, int64_t at_us)
{
	const char *name;
	enum purse_subject kind = subject_of(subject, &name);
	struct purse_reading money = purse_read(purse, kind, name, windows[window], false, at_us);
	struct purse_reading number = purse_read(purse, kind, name, windows[window], true, at_us);
	struct purse_reading sum = purse_sum(purse, kind, name, windows[window], false, at_us);

	assert_true(sum.firm == money.firm && sum.provisional == money.provisional &&
		    sum.resets_us == 0);
	sum = purse_sum(purse, kind, name, windows[window], true, at_us);
	assert_true(sum.firm == number.firm && sum.provisional == 0 && sum.resets_us == 0);
	if (name == NULL || strpbrk(name, "*?") == NULL)
		compare_found(purse, kind, name, windows[window], at_us);
	if (money.firm != total->spend || number.firm != total->calls ||
	    money.resets_us != total->spend_resets_us || number.resets_us != total->calls_resets_us)
		fail_msg("TEST_SEED=%llu, step %zu, at %lld: subject %zu, %s: %lld (%lld calls), "
			 "resets %lld (%lld), not %lld (%lld), %lld (%lld)",
		    (unsigned long long)model->seed, model->steps, (long long)at_us, subject,
		    window_str(windows[window]), (long long)money.firm, (long long)number.firm,
		    (long long)money.resets_us, (long long)number.resets_us,
		    (long long)total->spend, (long long)total->calls,
		    (long long)total->spend_resets_us, (long long)total->calls_resets_us);
}

static void compare_balances(struct model *model)
{
	int64_t set_aside = model_provisional(model, AT_AGENT), available = 0;

	for (unsigned slot = 0; slot < SLOTS; slot++) {
		struct balance balance = purse_balance(model->purse, slot);

		model_check(model, memcmp(&balance, &model->slots[slot], sizeof(balance)) == 0);
		model_check(model, balance.available >= 0 && balance.open >= 0);
		model_check(model, balance.reserved >= 0);
		available += slot != PURSE_OFF_CHAIN ? balance.available : 0;
	}
	model_check(model, purse_provisional(model->purse) == set_aside);
	model_check(model, purse_available(model->purse) == available);
	model_check(model, purse_free(model->purse) == available - set_aside);
	model_check(model, set_aside >= 0 && set_aside <= available);
}

static void compare_all(struct model *model)
{
	sheet now;
	const char *name;

	compare_balances(model);
	model_sheet(now, model, model->now_us);
	for (size_t subject = 0; subject < SUBJECTS; subject++) {
		enum purse_subject kind = subject_of(subject, &name);

		for (size_t window = 0; window < WINDOWS; window++)
			compare_one(model, model->purse, &now[subject][window], subject, window,
			    model->now_us);
		model_check(model,
		    purse_read(model->purse, kind, name, WINDOW_TOTAL, false, 0).provisional ==
			model_provisional(model, subject));
	}
}

/* The readings a call in flight would be decided on: never too low. */
static void compare_in_flight(struct model *model)
{
	const struct model_hold *one = &model->holds[below(model, (int64_t)model->hold_count)];
	int64_t at_us = one->hold.at_us;
	sheet then;
	const char *name;

	model_sheet(then, model, at_us);
	for (size_t subject = 0; subject < SUBJECTS; subject++) {
		enum purse_subject kind = subject_of(subject, &name);

		for (size_t window = 0; window < WINDOWS; window++) {
			const struct total *total = &then[subject][window];
			bool exact =
			    windows[window] <= WINDOW_HOUR && at_us >= model->now_us + S - MINUTE;

			if (exact)
				compare_one(model, model->purse, total, subject, window, at_us);
			model_check(model,
			    purse_read(model->purse, kind, name, windows[window], false, at_us)
				    .firm >= total->spend);
			model_check(model,
			    purse_read(model->purse, kind, name, windows[window], true, at_us)
				    .firm >= total->calls);
		}
	}
}

/* What purse_frees_at() says is true then, and not yet a moment before. */
static void compare_frees_at(struct model *model)
{
	const char *name;
	enum purse_subject kind = subject_of((size_t)below(model, SUBJECTS), &name);
	enum window window = below(model, 2) ? WINDOW_MINUTE : WINDOW_HOUR;
	bool count = below(model, 2);
	int64_t held = purse_read(model->purse, kind, name, window, count, model->now_us).firm;
	int64_t amount = below(model, held + 3), left = held > amount ? held - amount : 0;
	int64_t frees_us =
	    purse_frees_at(model->purse, kind, name, window, count, model->now_us, amount);

	model_check(model, frees_us >= model->now_us);
	model_check(
	    model, purse_read(model->purse, kind, name, window, count, frees_us).firm <= left);
	if (frees_us > model->now_us)
		model_check(model,
		    purse_read(model->purse, kind, name, window, count, frees_us - 1).firm > left);
}

/* A purse rebuilt from the same charges reads the same. */
static void compare_rebuilt(struct model *model)
{
	struct purse *purse = purses_add(model->purses);
	sheet now;

	for (size_t i = 0; i < model->event_count; i++) {
		const struct event *event = &model->events[i];

		purse_restore_charge(purse, sessions[event->session], tools[event->tool],
		    event->payee < 0 ? NULL : payees[event->payee], event->wallet, event->at_us,
		    event->spend, event->calls);
	}
	model_sheet(now, model, model->now_us);
	for (size_t subject = 0; subject < SUBJECTS; subject++)
		for (size_t window = 0; window < WINDOWS; window++)
			compare_one(
			    model, purse, &now[subject][window], subject, window, model->now_us);
}

/* --- the model's acts ------------------------------------------------------- */

static void act_place(struct model *model)
{
	struct model_hold *one = &model->holds[model->hold_count];
	int64_t amount = below(model, 3) ? below(model, 400) : 0;
	int64_t available = model->slots[1].available + model->slots[2].available;
	int64_t others = model_provisional(model, AT_AGENT);
	enum hold_result expected = HOLD_OK, result;

	if (model->hold_count == HOLDS_MAX)
		return;
	memset(one, 0, sizeof(*one));
	one->session = (int)below(model, COUNT(sessions));
	one->tool = (int)below(model, COUNT(tools));
	one->amount = amount;
	if (amount > available)
		expected = HOLD_NO_FUNDS;
	else if (amount > available - others && amount != 0)
		expected = HOLD_BUSY;
	result = hold_place(&one->hold, model->purse, sessions[one->session], tools[one->tool],
	    model->now_us, amount);
	model_check(model, result == expected);
	if (result != HOLD_OK)
		return;
	model->hold_count++;
	model_event(model, (struct event){.session = one->session,
			       .tool = one->tool,
			       .payee = -1,
			       .at_us = model->now_us,
			       .calls = 1});
}

static void act_metered(struct model *model)
{
	struct model_hold *one = &model->holds[model->hold_count];

	if (model->hold_count == HOLDS_MAX)
		return;
	memset(one, 0, sizeof(*one));
	one->session = (int)below(model, COUNT(sessions));
	one->tool = (int)below(model, COUNT(tools));
	one->amount = below(model, 300);
	hold_place_metered(&one->hold, model->purse, sessions[one->session], tools[one->tool],
	    model->now_us, one->amount);
	model->slots[0].reserved += one->amount;
	model->hold_count++;
	one->event = model_event(model, (struct event){.session = one->session,
					    .tool = one->tool,
					    .payee = -1,
					    .at_us = model->now_us,
					    .spend = one->amount,
					    .calls = 1});
}

static void act_resize(struct model *model, struct model_hold *one)
{
	int64_t amount = below(model, 500);
	int64_t available = model->slots[1].available + model->slots[2].available;
	int64_t others = model_provisional(model, AT_AGENT) - one->amount;
	enum hold_result expected = HOLD_OK;

	if (amount > available)
		expected = HOLD_NO_FUNDS;
	else if (amount > available - others && amount != 0)
		expected = HOLD_BUSY;
	model_check(model, hold_resize(&one->hold, amount) == expected);
	if (expected == HOLD_OK)
		one->amount = amount;
}

static void act_sign(struct model *model, struct model_hold *one)
{
	unsigned slot = 1 + (unsigned)below(model, 2);
	int payee = (int)below(model, COUNT(payees));
	int64_t price = below(model, 400);
	int64_t available = model->slots[1].available + model->slots[2].available;
	int64_t others = model_provisional(model, AT_AGENT) - one->amount;
	enum hold_result expected = HOLD_OK;

	if (price > model->slots[slot].available)
		expected = HOLD_NO_FUNDS;
	else if (price > available - others && price != 0)
		expected = HOLD_BUSY;
	model_check(model, hold_sign(&one->hold, slot, payees[payee], price) == expected);
	if (expected != HOLD_OK)
		return;
	model->slots[slot].available -= price;
	model->slots[slot].open += price;
	one->amount = price;
	one->event = model_event(model, (struct event){.session = one->session,
					    .tool = one->tool,
					    .payee = payee,
					    .wallet = true,
					    .at_us = one->hold.at_us,
					    .spend = price,
					    .calls = 1});
}

static void model_undo(struct model *model, unsigned slot, size_t event)
{
	model->slots[slot].open -= model->events[event].spend;
	model->slots[slot].available += model->events[event].spend;
	model->events[event].spend = model->events[event].calls = 0;
}

static void model_forget(struct model *model, struct model_hold *one)
{
	model_check(model, one->hold.state == HOLD_DONE);
	*one = model->holds[--model->hold_count];
}

static void act_end_signed(struct model *model, struct model_hold *one)
{
	unsigned slot = one->hold.slot;

	switch (below(model, 3)) {
	case 0:
		hold_unsign(&one->hold);
		model_undo(model, slot, one->event);
		break;
	case 1:
		hold_settle(&one->hold);
		model->slots[slot].open -= one->amount;
		model->slots[slot].spent += one->amount;
		break;
	case 2:
		if (model->open_count == OPEN_MAX)
			return;
		hold_leave_open(&one->hold);
		model->open[model->open_count++] = (struct model_open){slot, one->event};
		break;
	}
	model_forget(model, one);
}

static void act_end_metered(struct model *model, struct model_hold *one)
{
	model->slots[0].reserved -= one->amount;
	if (below(model, 2)) {
		hold_charge(&one->hold);
		model->slots[0].spent += one->amount;
	} else {
		hold_give_back(&one->hold);
		model->events[one->event].spend = 0;
	}
	model_forget(model, one);
}

static void act_on_a_hold(struct model *model)
{
	struct model_hold *one;

	if (model->hold_count == 0)
		return;
	one = &model->holds[below(model, (int64_t)model->hold_count)];
	switch (one->hold.state) {
	case HOLD_NONE:
	case HOLD_DONE:
		model_check(model, false);
		break;
	case HOLD_PROVISIONAL:
		switch (below(model, 4)) {
		case 0:
			hold_release(&one->hold);
			model_forget(model, one);
			break;
		case 1:
			act_resize(model, one);
			break;
		default:
			act_sign(model, one);
		}
		break;
	case HOLD_SIGNED:
		act_end_signed(model, one);
		break;
	case HOLD_METERED:
		act_end_metered(model, one);
		break;
	}
}

static void act_on_an_open_payment(struct model *model)
{
	struct model_open *open;
	const struct event *event;
	bool spent = below(model, 2);

	if (model->open_count == 0)
		return;
	open = &model->open[below(model, (int64_t)model->open_count)];
	event = &model->events[open->event];
	if (model->end_count == OPEN_MAX)
		model->end_count = 0; /* they can no longer be undone */
	model->ends[model->end_count++] = (struct model_end){*open, spent, event->spend};
	if (spent) {
		purse_settle(model->purse, open->slot, event->spend);
		model->slots[open->slot].open -= event->spend;
		model->slots[open->slot].spent += event->spend;
	} else {
		purse_refund(model->purse, open->slot, event->spend, sessions[event->session],
		    tools[event->tool], payees[event->payee], event->at_us);
		model_undo(model, open->slot, open->event);
	}
	*open = model->open[--model->open_count];
}

static void act_on_an_end(struct model *model)
{
	struct model_end end;
	struct balance *balance;
	struct event *event;
	int64_t unheld;
	size_t which;
	bool expected;

	if (model->end_count == 0 || model->open_count == OPEN_MAX)
		return;
	which = (size_t)below(model, (int64_t)model->end_count);
	end = model->ends[which];
	balance = &model->slots[end.open.slot];
	event = &model->events[end.open.event];
	unheld = model->slots[1].available + model->slots[2].available -
		 model_provisional(model, AT_AGENT);
	expected = end.spent ? end.spend <= balance->spent
			     : end.spend <= balance->available && end.spend <= unheld;
	model_check(model,
	    purse_reopen(model->purse, end.open.slot, end.spend, end.spent,
		sessions[event->session], tools[event->tool], payees[event->payee],
		event->at_us) == expected);
	if (!expected)
		return;
	*(end.spent ? &balance->spent : &balance->available) -= end.spend;
	balance->open += end.spend;
	event->spend = end.spend;
	event->calls = 1;
	model->open[model->open_count++] = end.open;
	model->ends[which] = model->ends[--model->end_count];
}

static void act_pay_back(struct model *model)
{
	unsigned slot = 1 + (unsigned)below(model, 2);
	int64_t amount = below(model, 100), spent = model->slots[slot].spent;

	purse_pay_back(model->purse, slot, amount);
	amount = amount < spent ? amount : spent;
	model->slots[slot].spent -= amount;
	model->slots[slot].available += amount;
}

static void act_of_the_owner(struct model *model)
{
	unsigned slot = 1 + (unsigned)below(model, 2);
	int64_t amount = below(model, 600);
	int64_t unheld = model->slots[1].available + model->slots[2].available -
			 model_provisional(model, AT_AGENT);
	bool expected = amount <= model->slots[slot].available && amount <= unheld;

	if (below(model, 5) == 0) {
		purse_trim(model->purse, model->now_us, NULL, NULL);
		return;
	}
	if (below(model, 2)) {
		purse_deposit(model->purse, slot, amount);
		model->slots[slot].available += amount;
		return;
	}
	model_check(model, purse_withdraw(model->purse, slot, amount) == expected);
	model->slots[slot].available -= expected ? amount : 0;
}

/* Mostly a little; at times to just before, onto or just after an edge; at times far. */
static void act_time_passes(struct model *model)
{
	int64_t now = model->now_us, to = now;

	switch (below(model, 24)) {
	case 0:
		to = now + below(model, 2 * MINUTE);
		break;
	case 1:
		to = now + below(model, 2 * HOUR);
		break;
	case 2:
		to = now + MINUTE - now % MINUTE + below(model, 3) - 1;
		break;
	case 3:
		to = now + HOUR - now % HOUR + below(model, 3) - 1;
		break;
	case 4:
		to = window_day_end_us(now) + below(model, 3) - 1;
		break;
	case 5:
		to = below(model, 4) ? now : window_month_end_us(now) + below(model, 3) - 1;
		break;
	default:
		to = now + below(model, 4 * S);
	}
	model->now_us = to > now ? to : now;
}

static void model_step(struct model *model)
{
	model->steps++;
	act_time_passes(model);
	switch (below(model, 10)) {
	case 0:
	case 1:
	case 2:
		act_place(model);
		break;
	case 3:
		act_metered(model);
		break;
	case 4:
		switch (below(model, 4)) {
		case 0:
			act_on_an_end(model);
			break;
		case 1:
			act_pay_back(model);
			break;
		default:
			act_on_an_open_payment(model);
		}
		break;
	case 5:
		act_of_the_owner(model);
		break;
	default:
		act_on_a_hold(model);
	}
	compare_all(model);
	if (model->hold_count != 0 && below(model, 8) == 0)
		compare_in_flight(model);
	if (below(model, 4) == 0)
		compare_frees_at(model);
}

static void model_run(uint64_t seed, size_t steps)
{
	struct model *model = calloc(1, sizeof(*model));

	model->seed = seed;
	model->random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	model->purses = purses_new();
	model->purse = purses_add(model->purses);
	model->now_us = NOON + below(model, 400 * DAY);
	for (size_t i = 0; i < COUNT(patterns); i++)
		for (size_t j = 0; j < COUNT(tools); j++)
			model->matches[i][j] = glob_match(patterns[i], tools[j]);
	while (model->steps < steps)
		model_step(model);
	compare_rebuilt(model);
	purses_free(&model->purses);
	free(model);
}

#define RUNS	      2500
#define STEPS_PER_RUN 80

static void test_against_a_list_of_everything(void **state)
{
	const char *given = getenv("TEST_SEED");
	uint64_t first = (uint64_t)clock_now_us();

	(void)state;
	if (given != NULL) {
		model_run(strtoull(given, NULL, 10), STEPS_PER_RUN);
		return;
	}
	for (uint64_t i = 0; i < RUNS; i++)
		model_run(first + i, STEPS_PER_RUN);
}

/* Printed for whoever reads the log; no promise about time. */
static void test_cost_of_a_paid_call(void **state)
{
	const int64_t rounds = 200000;
	struct fixture *fixture = *state;
	int64_t started, took;

	purse_deposit(fixture->purse, 1, rounds);
	started = clock_mono_us();
	for (int64_t i = 0; i < rounds; i++) {
		struct hold hold = {0};

		assert_int_equal(
		    hold_place(&hold, fixture->purse, "s", "search", NOON + i * 2000, 1), HOLD_OK);
		assert_int_equal(hold_sign(&hold, 1, ADA, 1), HOLD_OK);
		hold_settle(&hold);
	}
	took = clock_mono_us() - started;
	print_message("place + sign + settle: %lld ns\n", (long long)(took * 1000 / rounds));
	assert_int_equal(purse_balance(fixture->purse, 1).spent, rounds);
}

#define with_purse(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    with_purse(test_purses_are_told_apart),
	    with_purse(test_balances_by_slot),
	    with_purse(test_a_paid_call),
	    with_purse(test_ways_a_hold_ends),
	    with_purse(test_a_metered_call),
	    with_purse(test_placing_and_resizing),
	    with_purse(test_signing),
	    with_purse(test_withdrawing_keeps_holds_safe),
	    with_purse(test_globs_sum_tools),
	    with_purse(test_when_a_sum_gives_back),
	    with_purse(test_unknown_names_read_zero_and_leave_no_trace),
	    with_purse(test_a_call_window_reads_zero),
	    with_purse(test_payees_have_no_case),
	    with_purse(test_a_damaged_ledger),
	    with_purse(test_a_past_that_nobody_asks_for),
	    cmocka_unit_test(test_a_past_that_cannot_be_read),
	    cmocka_unit_test(test_a_past_that_is_lost),
	    cmocka_unit_test(test_a_past_read_with_the_lock_free),
	    cmocka_unit_test(test_a_past_that_is_short_or_not),
	    cmocka_unit_test(test_a_past_that_many_ask_for),
	    with_purse(test_a_purse_rebuilt_from_the_journal),
	    with_purse(test_an_end_undone),
	    with_purse(test_an_end_undone_charges_whom_it_has_to_find),
	    with_purse(test_no_end_is_undone_with_money_that_is_not_there),
	    with_purse(test_a_seller_pays_back),
	    with_purse(test_trimming_sessions),
	    with_purse(test_words_of_the_results),
	    with_purse(test_a_hold_out_of_turn_ends_the_process),
	    with_purse(test_other_broken_promises_end_the_process),
	    with_purse(test_a_crowd_spends_no_more_than_there_is),
	    with_purse(test_against_a_list_of_everything),
	    with_purse(test_cost_of_a_paid_call),
	};

	return unit_run(tests);
}
