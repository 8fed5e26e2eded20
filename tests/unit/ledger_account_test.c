/* ledger_account_test - which accounts an event moves money between, and their names. */
#include "tests/unit/unit.h"

#include "ledger/account.h"

static const struct {
	const char *name;
	enum journal_event event;
	bool from_spent;
	const char *from, *to;
	enum account_kind from_kind, to_kind;
} events[] = {
	{"deposit", JOURNAL_DEPOSIT, false, "capital/o@x.com", "wallet/a-1/available",
	    ACCOUNT_EQUITY, ACCOUNT_ASSET},
	{"withdraw", JOURNAL_WITHDRAW, false, "wallet/a-1/available", "capital/o@x.com",
	    ACCOUNT_ASSET, ACCOUNT_EQUITY},
	{"sign", JOURNAL_SIGN, false, "wallet/a-1/available", "wallet/a-1/open", ACCOUNT_ASSET,
	    ACCOUNT_ASSET},
	{"settle", JOURNAL_SETTLE, false, "wallet/a-1/open", "spent/a-1/gh/issues", ACCOUNT_ASSET,
	    ACCOUNT_EXPENSE},
	{"refund", JOURNAL_REFUND, false, "wallet/a-1/open", "wallet/a-1/available", ACCOUNT_ASSET,
	    ACCOUNT_ASSET},
	{"refund of spent", JOURNAL_REFUND, true, "spent/a-1/gh/issues", "wallet/a-1/available",
	    ACCOUNT_EXPENSE, ACCOUNT_ASSET},
	{"reopen", JOURNAL_REOPEN, false, "wallet/a-1/available", "wallet/a-1/open", ACCOUNT_ASSET,
	    ACCOUNT_ASSET},
	{"reopen of spent", JOURNAL_REOPEN, true, "spent/a-1/gh/issues", "wallet/a-1/open",
	    ACCOUNT_EXPENSE, ACCOUNT_ASSET},
	{"hold", JOURNAL_HOLD, false, "payable/gh/issues", "wallet/a-1/reserved",
	    ACCOUNT_LIABILITY, ACCOUNT_ASSET},
	{"charge", JOURNAL_CHARGE, false, "wallet/a-1/reserved", "spent/a-1/gh/issues",
	    ACCOUNT_ASSET, ACCOUNT_EXPENSE},
	{"release", JOURNAL_RELEASE, false, "wallet/a-1/reserved", "payable/gh/issues",
	    ACCOUNT_ASSET, ACCOUNT_LIABILITY},
};

static void each_event(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(events); i++) {
		struct journal_row row = {.event = events[i].event, .agent_name = "a-1",
		    .owner = "o@x.com", .tool = "gh/issues", .from_spent = events[i].from_spent};
		enum account_kind from_kind, to_kind;
		struct buf from, to;

		buf_init(&from, ACCOUNT_NAME_SIZE_MAX);
		buf_init(&to, ACCOUNT_NAME_SIZE_MAX);
		account_names(&from, &to, &from_kind, &to_kind, &row);
		row_check(events[i].name, strcmp(buf_str(&from), events[i].from) == 0);
		row_check(events[i].name, strcmp(buf_str(&to), events[i].to) == 0);
		row_check(events[i].name, from_kind == events[i].from_kind);
		row_check(events[i].name, to_kind == events[i].to_kind);
		buf_clear(&from);
		buf_clear(&to);
		account_names(&from, &to, NULL, NULL, &row);
		row_check(events[i].name, strcmp(buf_str(&from), events[i].from) == 0);
		buf_fini(&from);
		buf_fini(&to);
	}
}

static void missing_names_are_empty(void **state)
{
	struct journal_row row = {.event = JOURNAL_SETTLE, .agent_name = "a"};
	struct buf from, to;

	(void)state;
	buf_init(&from, 100);
	buf_init(&to, 100);
	account_names(&from, &to, NULL, NULL, &row);
	assert_string_equal(buf_str(&to), "spent/a/");
	row.event = JOURNAL_DEPOSIT;
	buf_clear(&from);
	buf_clear(&to);
	account_names(&from, &to, NULL, NULL, &row);
	assert_string_equal(buf_str(&from), "capital/");
	buf_fini(&from);
	buf_fini(&to);
}

static void roles(void **state)
{
	(void)state;
	assert_false(account_is_of_agent(ACCOUNT_CAPITAL));
	assert_true(account_is_of_agent(ACCOUNT_AVAILABLE));
	assert_true(account_is_of_agent(ACCOUNT_OPEN));
	assert_true(account_is_of_agent(ACCOUNT_RESERVED));
	assert_true(account_is_of_agent(ACCOUNT_SPENT));
	assert_false(account_is_of_agent(ACCOUNT_PAYABLE));
}

static void our_own_bugs_abort(void **state)
{
	struct journal_row row = {.event = (enum journal_event)0, .agent_name = "a"};
	struct buf name;

	(void)state;
	buf_init(&name, 10);
	assert_aborts(account_names(&name, &name, NULL, NULL, &row));
	assert_aborts(account_name(&name, (enum account_role)0, &row));
	assert_aborts((void)account_kind_of((enum account_role)7));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_event),
	    cmocka_unit_test(missing_names_are_empty),
	    cmocka_unit_test(roles),
	    cmocka_unit_test(our_own_bugs_abort),
	};

	return unit_run(tests);
}
