/* ledger_rule_test - what the writer asks before a row is inserted is what the triggers, which do
 * not run for it, would say: tried with every short history there is. And what else the triggers
 * refuse, its connection refuses. */
#include "tests/unit/ledger_sql.h"

#include "common/file.h"

#define FIELDS_MAX 5
#define NONE       INT64_MIN

/* A value of a row, by the name that the rule knows it by; text where it is not NULL. */
struct field {
	const char *name;
	int64_t number; /* NONE: NULL */
	const char *text;
};

struct row {
	struct field fields[FIELDS_MAX];
};

/* One table, with rows of it that follow one another in every order. */
struct table_case {
	enum table table;
	const char *insert;
	const struct row *rows;
	size_t row_count;
	int depth; /* rows one after another */
};

struct tally {
	int64_t accepted, refused, foreign;
};

#define JOURNAL(event, call, payment, amount, from_spent)                                          \
	{                                                                                          \
		{                                                                                  \
			{":event", event, NULL}, {":call", call, NULL},                            \
			    {":payment", payment, NULL}, {":amount", amount, NULL},                \
			    {":from_spent", from_spent, NULL},                                     \
		}                                                                                  \
	}
/* Two payments and one that is not there, two calls; more and less than was paid. */
static const struct row journal_rows[] = {
    JOURNAL(1, NONE, NONE, 9, 0),
    JOURNAL(3, 1, 1, 5, 0),
    JOURNAL(4, 1, 1, 5, 0),
    JOURNAL(5, 1, 1, 5, 0),
    JOURNAL(5, 1, 1, 5, 1),
    JOURNAL(5, 1, 1, 3, 1),
    JOURNAL(9, 1, 1, 5, 0),
    JOURNAL(9, 1, 1, 5, 1),
    JOURNAL(3, 1, 2, 5, 0),
    JOURNAL(4, 1, 2, 5, 0),
    JOURNAL(3, 1, 7, 5, 0),
    JOURNAL(4, 1, 7, 5, 0),
    JOURNAL(5, 1, 7, 5, 1),
    JOURNAL(5, 1, NONE, 5, 1),
    JOURNAL(9, 1, 7, 5, 1),
    JOURNAL(6, 3, NONE, 5, 0),
    JOURNAL(7, 3, NONE, 5, 0),
    JOURNAL(8, 3, NONE, 5, 0),
    JOURNAL(7, 4, NONE, 5, 0),
};

#define STATE(payment, state, by)                                                                  \
	{                                                                                          \
		{                                                                                  \
			{":payment", payment, NULL}, {":state", state, NULL}, {":by", 0, by},      \
		}                                                                                  \
	}
static const struct row state_rows[] = {
    STATE(1, 1, "receipt"),
    STATE(1, 2, "receipt"),
    STATE(1, 2, "chain"),
    STATE(1, 3, "receipt"),
    STATE(1, 3, "chain"),
    STATE(1, 4, "chain"),
    STATE(1, 5, "chain"),
    STATE(1, 6, "chain"),
    STATE(1, 7, "chain"),
    STATE(2, 4, "chain"),
    STATE(7, 3, "chain"),
};

#define NONCE(start, end) "0x" start "00000000000000000000000000000000000000000000000000000" end
#define PAYMENT(agent, nonce, payer, asset, network)                                               \
	{                                                                                          \
		{                                                                                  \
			{":agent", agent, NULL}, {":nonce", 0, nonce}, {":payer", 0, payer},       \
			    {":asset", 0, asset}, {":network", 0, network},                        \
		}                                                                                  \
	}
static const struct row payment_rows[] = {
    PAYMENT(1, NONCE("a", "12345678"), "p", "a", "n"),
    PAYMENT(1, NONCE("b", "12345678"), "p", "a", "n"),
    PAYMENT(1, NONCE("a", "12345679"), "p", "a", "n"),
    PAYMENT(1, NONCE("a", "12345678"), "q", "a", "n"),
    PAYMENT(1, NONCE("a", "12345678"), "p", "b", "n"),
    PAYMENT(1, NONCE("a", "12345678"), "p", "a", "m"),
    PAYMENT(7, NONCE("a", "12345678"), "p", "a", "n"),
};

#define INSERT_PAYMENT                                                                             \
	"INSERT INTO payment (call, agent, agent_name, tool, session, amount, value, network,"     \
	" asset, symbol, payer, payee, nonce, valid_before_s, header_name, header_value,"          \
	" challenge, method, url, request) VALUES (1, :agent, 'a', 't', 's', 5, '5', :network,"    \
	" :asset, 'U', :payer, 'y', :nonce, 9, 'h', 'v', 'c', 'GET', 'u', zeroblob(32))"

static const struct table_case cases[] = {
    {TABLE_JOURNAL,
	"INSERT INTO journal (event, call, payment, agent, agent_name, owner, tool, amount,"
	" network, asset, symbol, from_spent, hash) VALUES (:event, :call, :payment, 1, 'a', 'o',"
	" 't', :amount, 'n', 'a', 'U', :from_spent, zeroblob(32))",
	journal_rows, COUNT(journal_rows), 4},
    {TABLE_PAYMENT, INSERT_PAYMENT, payment_rows, COUNT(payment_rows), 3},
    {TABLE_PAYMENT_STATE,
	"INSERT INTO payment_state (payment, state, by) VALUES (:payment, :state, :by)", state_rows,
	COUNT(state_rows), 4},
};

static sqlite3 *ledger_in(const char *dir, const char *name)
{
	char *path = file_path(dir, name), reason[256] = "";
	sqlite3 *db;

	assert_true(file_create(path, "", 0, 0600));
	db = connect(path, false);
	free(path);
	if (schema_migrate(db, reason) != STORE_OK)
		fail_msg("%s", reason);
	must_run(db, "INSERT INTO agent VALUES (1, 'a', 'o', 'p')");
	return db;
}

static void add_payments(sqlite3 *db)
{
	must_run(db,
	    "INSERT INTO payment SELECT v.column1, 1, 1, 'a', 't', 's', 5, '5', 'n', 'a',"
	    " 'U', 'p', 'y', 'nonce ' || v.column1, 9, 'h', 'v', 'c', 'GET', 'u', zeroblob(32)"
	    " FROM (VALUES (1), (2)) v");
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	return stmt;
}

static void bind(sqlite3_stmt *stmt, const struct row *row)
{
	for (size_t i = 0; i < FIELDS_MAX && row->fields[i].name != NULL; i++) {
		const struct field *field = &row->fields[i];
		int index = sqlite3_bind_parameter_index(stmt, field->name);

		if (index == 0)
			continue;
		if (field->text != NULL)
			sqlite3_bind_text(stmt, index, field->text, -1, SQLITE_STATIC);
		else if (field->number == NONE)
			sqlite3_bind_null(stmt, index);
		else
			sqlite3_bind_int64(stmt, index, field->number);
	}
}

static bool rule_refuses(sqlite3_stmt *rule, const struct row *row)
{
	bool refuses;

	bind(rule, row);
	refuses = sqlite3_step(rule) == SQLITE_ROW && sqlite3_column_int(rule, 0) != 0;
	assert_int_equal(sqlite3_reset(rule), SQLITE_OK);
	return refuses;
}

/* Every row after the history at hand: asked, tried, and where it is taken gone on from. */
static void walk(sqlite3 *db, sqlite3_stmt *rule, sqlite3_stmt *insert, const struct table_case *at,
    int depth, struct tally *tally)
{
	for (size_t i = 0; i < at->row_count; i++) {
		bool refused = rule_refuses(rule, &at->rows[i]);
		int rc;

		must_run(db, "SAVEPOINT row");
		bind(insert, &at->rows[i]);
		rc = sqlite3_step(insert);
		sqlite3_reset(insert);
		if (refused != (rc == SQLITE_CONSTRAINT_TRIGGER))
			fail_msg("table %d, row %zu at depth %d: the rule says %d, the trigger %s",
			    at->table, i, depth, refused, sqlite3_errmsg(db));
		tally->accepted += rc == SQLITE_DONE;
		tally->refused += rc == SQLITE_CONSTRAINT_TRIGGER;
		tally->foreign += rc == SQLITE_CONSTRAINT_FOREIGNKEY;
		if (rc == SQLITE_DONE && depth > 1)
			walk(db, rule, insert, at, depth - 1, tally);
		must_run(db, "ROLLBACK TO row; RELEASE row");
	}
}

static void rule_and_trigger_agree(void **state)
{
	for (size_t i = 0; i < COUNT(cases); i++) {
		sqlite3 *db = ledger_in(*state, schema_table(cases[i].table)->name);
		sqlite3_stmt *rule, *insert;
		struct tally tally = {0};

		if (cases[i].table != TABLE_PAYMENT)
			add_payments(db);
		rule = prepare(db, schema_rule_sql(cases[i].table));
		insert = prepare(db, cases[i].insert);
		must_run(db, "BEGIN");
		walk(db, rule, insert, &cases[i], cases[i].depth, &tally);
		assert_true(tally.accepted > 0 && tally.refused > 0 && tally.foreign > 0);
		sqlite3_finalize(rule);
		sqlite3_finalize(insert);
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
	}
}

/* A trigger that a later migration adds is not to be left out by the writer. */
static void each_trigger_has_its_rule(void **state)
{
	sqlite3 *db = ledger_in(*state, "ledger");
	int64_t count = 0;

	for (int table = TABLE_FIRST; table <= TABLE_LAST; table++) {
		char *sql = sqlite3_mprintf("SELECT count(*) FROM sqlite_schema"
					    " WHERE type = 'trigger' AND tbl_name = '%s'"
					    " AND name NOT IN (tbl_name || '_no_update',"
					    "  tbl_name || '_no_delete')",
		    schema_table((enum table)table)->name);
		int64_t triggers = number(db, sql);

		sqlite3_free(sql);
		assert_int_equal(triggers, schema_rule_sql((enum table)table) != NULL);
		count += triggers;
	}
	assert_int_equal(count, COUNT(cases));
	assert_int_equal(number(db, "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'"
				    " AND name NOT LIKE '%\\_no\\_update' ESCAPE '\\'"
				    " AND name NOT LIKE '%\\_no\\_delete' ESCAPE '\\'"),
	    count);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void assert_prepares(sqlite3 *db, int rc, const char *sql)
{
	sqlite3_stmt *stmt = NULL;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != rc)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	sqlite3_finalize(stmt);
}

static void assert_append_only(sqlite3 *db, const char *table)
{
	bool chain = strcmp(table, "record") == 0, posting = strcmp(table, "posting") == 0;
	const char *column = chain ? "hash" : posting ? "amount" : "id";
	char *update = sqlite3_mprintf("UPDATE %s SET %s = %s", table, column, column);
	char *delete = sqlite3_mprintf("DELETE FROM %s", table);

	assert_prepares(db, SQLITE_AUTH, update);
	assert_prepares(db, SQLITE_AUTH, delete);
	sqlite3_free(update);
	sqlite3_free(delete);
}

static void rows_stay_without_triggers(void **state)
{
	static const char *const may[] = {"DELETE FROM pending", "UPDATE balance SET amount = 0",
	    "DELETE FROM idempotency", "UPDATE answer SET status = 200",
	    "INSERT INTO agent VALUES (2, 'b', 'o', 'p')", "PRAGMA user_version = 4"};
	static const char *const may_not[] = {"DROP TABLE audit", "DROP TRIGGER audit_no_update",
	    "CREATE TRIGGER t BEFORE INSERT ON audit BEGIN SELECT 1; END",
	    "CREATE TEMP TRIGGER t BEFORE INSERT ON audit BEGIN SELECT 1; END"};
	sqlite3 *db = ledger_in(*state, "ledger");

	add_payments(db);
	must_run(db, "INSERT INTO payment_state (payment, state, by) VALUES (1, 6, 'chain')");
	assert_int_equal(
	    sqlite3_exec(db, "INSERT INTO payment_state (payment, state, by) VALUES (1, 3, 'a')",
		NULL, NULL, NULL),
	    SQLITE_CONSTRAINT_TRIGGER);
	schema_leave_rules(db);
	for (int table = TABLE_FIRST; table <= TABLE_LAST; table++) {
		if (table == TABLE_JOURNAL || schema_table((enum table)table)->recorded)
			assert_append_only(db, schema_table((enum table)table)->name);
	}
	assert_append_only(db, "posting");
	assert_append_only(db, "record");
	for (size_t i = 0; i < COUNT(may); i++)
		assert_prepares(db, SQLITE_OK, may[i]);
	for (size_t i = 0; i < COUNT(may_not); i++)
		assert_prepares(db, SQLITE_AUTH, may_not[i]);
	/* The trigger is silent: the rule is all there is. */
	must_run(db, "INSERT INTO payment_state (payment, state, by) VALUES (1, 3, 'a')");
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

#define folder_test(test)                                                                          \
	cmocka_unit_test_setup_teardown(test, unit_folder_make, unit_folder_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    folder_test(rule_and_trigger_agree),
	    folder_test(each_trigger_has_its_rule),
	    folder_test(rows_stay_without_triggers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
