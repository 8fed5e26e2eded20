/* ledger_verify_test - someone with the file and a database shell, against the proof.
 *
 * Each case tampers with a copy of a small ledger, triggers dropped and put back, so that
 * nothing but the tampering itself is there to be found. */
#include "tests/unit/ledger_world.h"

#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "common/file.h"
#include "ledger/schema.h"

#define CASE_FOLDER "tampered"

struct bench {
	char *dir;   /* with a whole ledger in it */
	char *copy;  /* a folder inside, for the copy */
	struct world world;
};

static int bench_make(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	void *dir;

	if (bench == NULL || unit_folder_make(&dir) != 0)
		return -1;
	bench->dir = dir;
	bench->copy = file_path(dir, CASE_FOLDER);
	bench->world = world_open(dir);
	store_close(&bench->world.store);
	*state = bench;
	return mkdir(bench->copy, 0700);
}

static int bench_remove(void **state)
{
	struct bench *bench = *state;
	void *dir = bench->dir;
	int result = unit_folder_remove(&dir);

	free(bench->copy);
	free(bench);
	return result;
}

/* A fresh copy of the ledger, open in a shell that respects nothing. */
static sqlite3 *tamper_begin(const struct bench *bench)
{
	char *from = file_path(bench->dir, "ledger.db"), *to = file_path(bench->copy, "ledger.db");
	char *wal = file_path(bench->copy, "ledger.db-wal");
	char *shm = file_path(bench->copy, "ledger.db-shm");
	size_t size;
	char *bytes = file_read(&size, from, 64u << 20);
	sqlite3 *db = NULL;

	assert_non_null(bytes);
	unlink(wal);
	unlink(shm);
	assert_true(file_replace(to, bytes, size, 0600));
	assert_int_equal(sqlite3_open(to, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA ignore_check_constraints = ON", 0, 0, 0), 0);
	assert_int_equal(
	    sqlite3_exec(db, "CREATE TEMP TABLE kept AS SELECT name, sql FROM main.sqlite_schema"
			     " WHERE type = 'trigger'",
		0, 0, 0),
	    0);
	free(bytes);
	free(from);
	free(to);
	free(wal);
	free(shm);
	return db;
}

static void each_trigger(sqlite3 *db, const char *sql)
{
	char *all = NULL;
	sqlite3_stmt *stmt;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	all = strdup((const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	assert_int_equal(sqlite3_exec(db, all, NULL, NULL, NULL), SQLITE_OK);
	free(all);
}

static void tamper_run(sqlite3 *db, const char *sql)
{
	char *error = NULL;

	each_trigger(db, "SELECT group_concat('DROP TRIGGER main.' || name, ';') FROM temp.kept");
	if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
		fail_msg("%s: %s", sql, error);
	each_trigger(db, "SELECT group_concat(sql, ';') FROM temp.kept");
}

static struct verify_report verify_copy(const struct bench *bench)
{
	struct verify_report report;
	struct store *store = NULL;
	char reason[256] = "";

	if (store_open(&store, reason, bench->copy, WORLD_START) != STORE_OK)
		fail_msg("store_open: %s", reason);
	assert_int_equal(verify_run(&report, store), STORE_OK);
	store_close(&store);
	return report;
}

static bool says(const struct verify_report *report, const char *words)
{
	for (size_t i = 0; i < report->problem_count; i++) {
		if (strstr(report->problems[i], words) != NULL)
			return true;
	}
	return false;
}

static void assert_found(const struct bench *bench, const char *sql, const char *words)
{
	struct verify_report report = verify_copy(bench);

	if (report.ok || report.problem_count == 0)
		fail_msg("not found: %s", sql);
	if (!says(&report, words))
		fail_msg("%s: nothing says \"%s\", but: %s", sql, words, report.problems[0]);
	verify_fini(&report);
}

static void tamper(const struct bench *bench, const char *sql, const char *words)
{
	sqlite3 *db = tamper_begin(bench);

	tamper_run(db, sql);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_found(bench, sql, words);
}

static int64_t number(sqlite3 *db, const char *sql)
{
	int64_t value = 0;

	if (!schema_number(&value, db, sql))
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	return value;
}

static void whole_ledger(void **state)
{
	struct bench *bench = *state;
	struct store *store = world_store(bench->dir, WORLD_START);
	struct verify_report report;

	assert_int_equal(verify_run(&report, store), STORE_OK);
	assert_true(report.ok);
	assert_int_equal(report.problem_count, 0);
	assert_int_equal(report.transactions, 16);
	assert_int_equal(report.postings, 32);
	assert_true(report.audits > 40);
	verify_fini(&report);
	verify_fini(&report);
	store_close(&store);
}

static void empty_ledger(void **state)
{
	struct store *store = world_store(*state, WORLD_START);
	static const struct digest zero;
	struct verify_report report;

	assert_int_equal(verify_run(&report, store), STORE_OK);
	assert_true(report.ok);
	assert_int_equal(report.transactions + report.postings + report.audits, 0);
	assert_memory_equal(&report.head, &zero, sizeof(zero));
	assert_memory_equal(&report.audit_head, &zero, sizeof(zero));
	verify_fini(&report);
	store_close(&store);
}

/* A value that differs, of a type the column takes. */
static char *changed_value(sqlite3 *db, const char *table, const char *column, int64_t id)
{
	char *sql = sqlite3_mprintf("SELECT typeof(%s) FROM %s WHERE id = %lld", column, table, id);
	sqlite3_stmt *stmt;
	char *expression;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	switch (sqlite3_column_text(stmt, 0)[0]) {
	case 'i':
		expression = sqlite3_mprintf("%s + 1", column);
		break;
	case 't':
		expression = sqlite3_mprintf("%s || ' '", column);
		break;
	case 'b':
		expression = sqlite3_mprintf("zeroblob(31) || x'01'");
		break;
	default:
		expression = sqlite3_mprintf("7");
		break;
	}
	sqlite3_finalize(stmt);
	sqlite3_free(sql);
	return expression;
}

/* The caches with an age are in no chain. */
static bool is_chained(int table)
{
	return table == TABLE_JOURNAL || schema_table((enum table)table)->recorded;
}

/* One column of one row changed; the id itself is another test. */
static void change_column(const struct bench *bench, const char *table, const char *column)
{
	sqlite3 *db = tamper_begin(bench);
	char *sql = sqlite3_mprintf("SELECT max(id) FROM %s", table);
	int64_t id = number(db, sql);
	char *value = changed_value(db, table, column, id);
	char *words = sqlite3_mprintf("%s row %lld", table, id);

	sqlite3_free(sql);
	sql = sqlite3_mprintf("UPDATE %s SET %s = CAST(%s AS TEXT) WHERE id = %lld", table, column,
	    value, id);
	/* STRICT turns "7" into the column's own type. */
	if (strstr(value, "blob") != NULL) {
		sqlite3_free(sql);
		sql = sqlite3_mprintf("UPDATE %s SET %s = CAST(%s AS BLOB) WHERE id = %lld", table,
		    column, value, id);
	} else if (strcmp(value, "7") == 0 && strstr(column, "digest") != NULL) {
		sqlite3_free(sql);
		sql = sqlite3_mprintf("UPDATE %s SET %s = zeroblob(32) WHERE id = %lld", table,
		    column, id);
	}
	tamper_run(db, sql);
	assert_int_equal(sqlite3_changes(db), 1);
	sqlite3_close(db);
	assert_found(bench, sql, words);
	sqlite3_free(sql);
	sqlite3_free(value);
	sqlite3_free(words);
}

static void every_column(void **state)
{
	for (int table = TABLE_FIRST; table <= TABLE_LAST; table++) {
		const struct table_form *form = schema_table((enum table)table);

		for (size_t i = 1; is_chained(table) && i < form->column_count; i++)
			change_column(*state, form->name, form->columns[i]);
	}
	change_column(*state, "journal", "hash");
}

static void every_id(void **state)
{
	for (int table = TABLE_FIRST; table <= TABLE_LAST; table++) {
		const char *name = schema_table((enum table)table)->name;

		if (!is_chained(table))
			continue;
		char *sql = sqlite3_mprintf(
		    "UPDATE %s SET id = id + 100 WHERE id = (SELECT min(id) FROM %s)", name, name);

		tamper(*state, sql, name);
		sqlite3_free(sql);
	}
}

static void every_removal(void **state)
{
	static const char *const which[] = {"min(id)", "max(id)"};

	for (int table = TABLE_AGENT; table <= TABLE_LAST; table++) {
		const char *name = schema_table((enum table)table)->name;

		for (size_t i = 0; is_chained(table) && i < COUNT(which); i++) {
			char *sql = sqlite3_mprintf(
			    "DELETE FROM %s WHERE id = (SELECT %s FROM %s)", name, which[i], name);

			tamper(*state, sql, "was removed");
			sqlite3_free(sql);
		}
	}
}

static void every_insertion(void **state)
{
	for (int table = TABLE_AGENT; table <= TABLE_LAST; table++) {
		const struct table_form *form = schema_table((enum table)table);
		char *sql;

		if (!is_chained(table))
			continue;
		sql = sqlite3_mprintf("INSERT INTO %s SELECT id + 1", form->name);
		for (size_t i = 1; i < form->column_count; i++) {
			const char *column = form->columns[i];
			bool unique = strcmp(column, "nonce") == 0 ||
			    (table == TABLE_AGENT && i == 1) || (table == TABLE_TOKEN && i == 1) ||
			    (table == TABLE_ACCOUNT && i == 1);
			char *longer = sqlite3_mprintf("%s, %s%s", sql, column,
			    unique                              ? " || 'x'"
				: strcmp(column, "log_index") == 0 ? " + 1"
								   : "");

			sqlite3_free(sql);
			sql = longer;
		}
		char *whole = sqlite3_mprintf("%s FROM %s ORDER BY id DESC LIMIT 1", sql,
		    form->name);

		tamper(*state, whole, "is in no chain");
		sqlite3_free(whole);
		sqlite3_free(sql);
	}
}

/* Two rows trade places. */
static void every_exchange(void **state)
{
	for (int table = TABLE_FIRST; table <= TABLE_LAST; table++) {
		const char *name = schema_table((enum table)table)->name;

		if (!is_chained(table))
			continue;
		char *sql = sqlite3_mprintf(
		    "CREATE TEMP TABLE two AS SELECT min(id) AS a, max(id) AS b FROM main.%s;"
		    "UPDATE %s SET id = -1 WHERE id = (SELECT a FROM two);"
		    "UPDATE %s SET id = (SELECT a FROM two) WHERE id = (SELECT b FROM two);"
		    "UPDATE %s SET id = (SELECT b FROM two) WHERE id = -1;",
		    name, name, name, name);

		tamper(*state, sql, name);
		sqlite3_free(sql);
	}
}

static const struct {
	const char *sql, *words;
} journal_cases[] = {
	{"DELETE FROM journal WHERE id = (SELECT min(id) FROM journal)", "does not follow"},
	{"DELETE FROM posting WHERE journal = (SELECT min(id) FROM journal);"
	 "DELETE FROM journal WHERE id = (SELECT min(id) FROM journal)",
	    "does not follow"},
	{"DELETE FROM posting WHERE journal = (SELECT id FROM journal WHERE event = 4 LIMIT 1);"
	 "DELETE FROM journal WHERE id = (SELECT id FROM journal WHERE event = 4 LIMIT 1)",
	    "but the journal has no settle row"},
	{"DELETE FROM posting WHERE journal = (SELECT id FROM journal WHERE event = 5 LIMIT 1);"
	 "DELETE FROM journal WHERE id = (SELECT id FROM journal WHERE event = 5 LIMIT 1)",
	    "but the journal has no refund row"},
	{"DELETE FROM journal WHERE id = (SELECT max(id) FROM journal)", "which is not there"},
	{"INSERT INTO journal SELECT id + 1, 1, NULL, NULL, agent, agent_name, owner, session, NULL,"
	 " 99, network, asset, symbol, tx, note, 0, hash FROM journal ORDER BY id LIMIT 1",
	    "does not follow"},
	{"UPDATE journal SET event = 2 WHERE event = 1", "does not follow"},
	{"UPDATE journal SET event = 99 WHERE id = (SELECT min(id) FROM journal)",
	    "is no event we know"},
	{"UPDATE journal SET from_spent = 0 WHERE payment IN"
	 " (SELECT payment FROM journal WHERE from_spent = 1) AND from_spent = 1 AND 0;"
	 "UPDATE journal SET from_spent = 1 WHERE event = 5 AND from_spent = 0",
	    "does not follow"},
	{"UPDATE posting SET amount = amount * 2 WHERE journal = (SELECT min(id) FROM journal)",
	    "its postings are not its amount"},
	{"UPDATE posting SET amount = amount * 2 WHERE journal = (SELECT min(id) FROM journal)",
	    "does not follow"},
	{"UPDATE posting SET amount = amount + 1 WHERE amount > 0 AND journal ="
	 " (SELECT max(id) FROM journal)",
	    "trial balance of 0x036CbD53842c5426634e7929541eC2318f3dCF7e on eip155:84532 is 1 "},
	{"UPDATE posting SET account = (SELECT id FROM account WHERE role = 6) WHERE amount > 0"
	 " AND journal = (SELECT min(id) FROM journal)",
	    "is posted to accounts that are not its event's"},
	{"DELETE FROM posting WHERE amount > 0 AND journal = (SELECT min(id) FROM journal)",
	    "has 1 postings instead of 2"},
	{"DELETE FROM posting", "has 0 postings instead of 2"},
	{"INSERT INTO posting SELECT (SELECT min(id) FROM journal), id, 5 FROM account"
	 " WHERE role = 5",
	    "postings instead of 2"},
	{"INSERT INTO posting SELECT 77, id, 5 FROM account WHERE role = 2",
	    "posting of journal row 77, which is not there"},
	{"UPDATE posting SET account = 12 WHERE account = (SELECT id FROM account WHERE role = 6)",
	    "names a row of account that is not there"},
	{"UPDATE posting SET amount = 0 - amount WHERE journal = (SELECT min(id) FROM journal)",
	    "wallet/coding-agent-01/available negative"},
	{"UPDATE posting SET amount = 9223372036854775807 WHERE amount > 0 AND journal ="
	 " (SELECT min(id) FROM journal)",
	    "row"},
	{"UPDATE account SET kind = 4 WHERE role = 2", "has a kind that is not its role's"},
	{"UPDATE account SET role = 9 WHERE role = 2", "has a kind that is not its role's"},
	{"UPDATE journal SET amount = 5, hash = zeroblob(32) WHERE id ="
	 " (SELECT max(id) FROM journal)",
	    "does not follow"},
	{"UPDATE journal SET hash = x'00' WHERE id = (SELECT min(id) FROM journal)",
	    "does not follow"},
	{"UPDATE journal SET hash = (SELECT hash FROM journal ORDER BY id LIMIT 1)",
	    "does not follow"},
};

static void journal_tampering(void **state)
{
	for (size_t i = 0; i < COUNT(journal_cases); i++)
		tamper(*state, journal_cases[i].sql, journal_cases[i].words);
}

static const struct {
	const char *sql, *words;
} payment_cases[] = {
	{"UPDATE payment SET header_value = header_value || 'x' WHERE id ="
	 " (SELECT min(id) FROM payment)",
	    "journal row"},
	{"UPDATE payment SET amount = amount + 1 WHERE id = (SELECT min(id) FROM payment)",
	    "does not agree with payment row"},
	{"UPDATE payment SET tool = 'x' WHERE id = (SELECT min(id) FROM payment)",
	    "does not agree with payment row"},
	{"UPDATE payment SET call = call + 1 WHERE id = (SELECT min(id) FROM payment)",
	    "does not agree with payment row"},
	{"DELETE FROM payment WHERE id = (SELECT min(id) FROM payment)", "which is not there"},
	{"DELETE FROM posting WHERE journal = (SELECT max(id) FROM journal WHERE event = 3);"
	 "DELETE FROM journal WHERE id = (SELECT max(id) FROM journal WHERE event = 3)",
	    "has no sign row in the journal"},
	{"UPDATE payment_state SET state = 2 WHERE state = 3", "whose state does not say so"},
	{"DELETE FROM payment_state WHERE state = 6", "whose state does not say so"},
	{"UPDATE payment_state SET state = 3 WHERE state = 2", "no settle row"},
	{"INSERT INTO payment_state SELECT id + 1, payment, 2, NULL, NULL, 'owner', NULL"
	 " FROM payment_state WHERE state = 3",
	    "follows the end of its payment"},
	{"UPDATE journal SET amount = amount - 1 WHERE event = 4",
	    "does not agree with the payment it ends"},
	{"UPDATE journal SET amount = 900000 WHERE from_spent = 1",
	    "are more than the payment"},
	{"UPDATE balance SET amount = amount + 1 WHERE account ="
	 " (SELECT id FROM account WHERE role = 2)",
	    "wallet/coding-agent-01/available) is 814000 millionths, its postings sum to 813999"},
	{"DELETE FROM balance WHERE account = (SELECT id FROM account WHERE role = 3)",
	    "wallet/coding-agent-01/open) has no balance"},
	{"INSERT INTO balance VALUES (12, 5)", "names a row of account that is not there"},
	{"DELETE FROM pending WHERE payment = (SELECT max(payment) FROM pending)",
	    "is open, but not listed as pending"},
	{"INSERT INTO pending SELECT min(id) FROM payment",
	    "is listed as pending, but it is not open"},
	{"INSERT INTO pending VALUES (12)", "is listed as pending, but it is not open"},
	{"UPDATE journal SET event = 9 WHERE event = 4 AND amount = 50000",
	    "cannot follow what its payment's rows before it say"},
	{"UPDATE journal SET event = 9, from_spent = 1 WHERE event = 5 AND from_spent = 1",
	    "does not agree with the payment it ends"},
	{"UPDATE payment_state SET state = 7 WHERE state = 3", "but the journal has no refund row"},
	{"UPDATE payment_state SET state = 8 WHERE state = 6", "whose state does not say so"},
	{"UPDATE payment_state SET by = 'owner', state = 2 WHERE state = 6",
	    "whose state does not say so"},
	{"UPDATE evidence SET kind = 1 WHERE kind = 6", "evidence row"},
	{"UPDATE evidence SET payment = 12", "names a row of payment that is not there"},
	{"UPDATE delivery SET reason = ''", "delivery row"},
	{"UPDATE setting SET body = '{}'", "setting row"},
	{"DELETE FROM setting WHERE id = (SELECT max(id) FROM setting)", "was removed"},
	{"UPDATE journal SET amount = 900000 WHERE event = 7", "ends a hold that does not agree"},
	{"DELETE FROM journal WHERE event = 6", "ends a hold that does not agree"},
};

static void payment_tampering(void **state)
{
	for (size_t i = 0; i < COUNT(payment_cases); i++)
		tamper(*state, payment_cases[i].sql, payment_cases[i].words);
}

/* Ends that were undone, once and again, and then told otherwise. */
static void reopened_tampering(void **state)
{
	static const struct {
		const char *sql, *words;
	} cases[] = {
	    {"UPDATE payment_state SET by = 'owner' WHERE by = 'chain' AND state = 2",
		"follows the end of its payment"},
	    {"DELETE FROM payment_state WHERE by = 'chain' AND state = 2",
		"its states and the journal tell of other ends"},
	    {"UPDATE journal SET from_spent = 0 WHERE event = 9",
		"cannot follow what its payment's rows before it say"},
	    {"UPDATE journal SET amount = amount + 1 WHERE event = 9",
		"does not agree with the payment it ends"},
	    {"DELETE FROM journal WHERE event = 9",
		"cannot follow what its payment's rows before it say"},
	    {"UPDATE journal SET event = 4, from_spent = 0 WHERE event = 9",
		"cannot follow what its payment's rows before it say"},
	};
	struct bench *bench = *state;
	struct world world = bench->world;

	world.store = world_store(bench->dir, WORLD_START);
	world_reopen(&world, world.settled, true, 50000);
	world_append(&world, world_state(&world, world.settled, PAYMENT_CANCELLED, 50000));
	world_reopen(&world, world.settled, false, 50000);
	world_append(&world, world_state(&world, world.settled, PAYMENT_SETTLED, 50000));
	world_reopen(&world, world.unused, false, 20000);
	world_assert_whole(world.store);
	store_close(&world.store);
	for (size_t i = 0; i < COUNT(cases); i++)
		tamper(bench, cases[i].sql, cases[i].words);
}

static const struct {
	const char *sql, *words;
} record_cases[] = {
	{"DELETE FROM record WHERE seq = 1", "record rows 1 to 1 were removed"},
	{"DELETE FROM record WHERE seq IN (3, 4)", "record rows 3 to 4 were removed"},
	{"DELETE FROM record WHERE seq = 3", "is in no chain"},
	{"DELETE FROM record WHERE seq = (SELECT max(seq) FROM record)", "is in no chain"},
	{"UPDATE record SET hash = zeroblob(32) WHERE seq = 5", "(record row 5) does not follow"},
	{"UPDATE record SET hash = zeroblob(32) WHERE seq = 5", "(record row 6) does not follow"},
	{"UPDATE record SET hash = x'' WHERE seq = 5", "(record row 5) does not follow"},
	{"UPDATE record SET row = row + 1 WHERE seq = 5", "was removed"},
	{"UPDATE record SET kind = 99 WHERE seq = 5", "record row 5 is of no table we know"},
	{"UPDATE record SET kind = 1 WHERE seq = 5", "record row 5 is of no table we know"},
	{"UPDATE record SET seq = -1 WHERE seq = 2; UPDATE record SET seq = 2 WHERE seq = 3;"
	 "UPDATE record SET seq = 3 WHERE seq = -1",
	    "(record row 2) does not follow"},
	{"INSERT INTO record SELECT max(seq) + 1, 2, (SELECT min(id) FROM agent), zeroblob(32)"
	 " FROM record",
	    "does not follow"},
};

static void record_tampering(void **state)
{
	for (size_t i = 0; i < COUNT(record_cases); i++)
		tamper(*state, record_cases[i].sql, record_cases[i].words);
}

static void schema_tampering(void **state)
{
	static const struct {
		const char *sql, *words;
	} cases[] = {
	    {"DROP TRIGGER journal_no_update", "trigger journal_no_update is missing"},
	    {"DROP TRIGGER record_no_delete", "trigger record_no_delete is missing"},
	    {"DROP TRIGGER audit_no_update; CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit"
	     " BEGIN SELECT 1; END",
		"trigger audit_no_update was changed"},
	    {"CREATE TRIGGER zz AFTER INSERT ON payment BEGIN SELECT 1; END",
		"trigger zz does not belong"},
	    {"DROP INDEX journal_payment", "index journal_payment is missing"},
	    {"CREATE TABLE aa (x)", "table aa does not belong"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		sqlite3 *db = tamper_begin(*state);

		assert_int_equal(sqlite3_exec(db, cases[i].sql, NULL, NULL, NULL), SQLITE_OK);
		sqlite3_close(db);
		assert_found(*state, cases[i].sql, cases[i].words);
	}
}

/* What a shell that leaves the triggers alone can do. */
static void triggers_refuse(void **state)
{
	static const char *const more[] = {"posting", "record"};
	sqlite3 *db = tamper_begin(*state);

	for (int table = TABLE_FIRST; table <= TABLE_LAST + (int)COUNT(more); table++) {
		bool form = table <= TABLE_LAST;
		const char *name = form ? schema_table((enum table)table)->name
					: more[table - TABLE_LAST - 1];
		char *update = sqlite3_mprintf(
		    "UPDATE %s SET %s = %s", name, form ? "id" : "hash", form ? "id" : "hash");
		char *delete = sqlite3_mprintf("DELETE FROM %s", name);

		if (strcmp(name, "posting") == 0) {
			sqlite3_free(update);
			update = sqlite3_mprintf("UPDATE posting SET amount = amount");
		}
		if (!form || is_chained(table)) {
			assert_int_equal(
			    sqlite3_exec(db, update, NULL, NULL, NULL), SQLITE_CONSTRAINT);
			assert_non_null(strstr(sqlite3_errmsg(db), "never changed"));
			assert_int_equal(
			    sqlite3_exec(db, delete, NULL, NULL, NULL), SQLITE_CONSTRAINT);
			assert_non_null(strstr(sqlite3_errmsg(db), "never deleted"));
		}
		sqlite3_free(update);
		sqlite3_free(delete);
	}
	sqlite3_close(db);
}

/* What no chain can see by itself, and what shows it. */
static void tail_cut_changes_the_head(void **state)
{
	struct bench *bench = *state;
	struct store *store = world_store(bench->dir, WORLD_START);
	struct verify_report before, after;
	sqlite3 *db;

	assert_int_equal(verify_run(&before, store), STORE_OK);
	store_close(&store);
	db = tamper_begin(bench);
	tamper_run(db, "DELETE FROM posting WHERE journal = (SELECT max(id) FROM journal);"
		       "DELETE FROM journal WHERE id = (SELECT max(id) FROM journal);"
		       "UPDATE balance SET amount = coalesce((SELECT sum(p.amount) FROM posting p"
		       " WHERE p.account = balance.account), 0)");
	sqlite3_close(db);
	after = verify_copy(bench);
	assert_true(after.ok);
	assert_int_equal(after.transactions, before.transactions - 1);
	assert_memory_not_equal(&after.head, &before.head, sizeof(after.head));
	assert_memory_equal(&after.audit_head, &before.audit_head, sizeof(after.head));
	verify_fini(&before);
	verify_fini(&after);
}

static void many_problems_are_cut_off(void **state)
{
	struct verify_report report;
	sqlite3 *db = tamper_begin(*state);

	tamper_run(db, "INSERT INTO posting WITH RECURSIVE n (i) AS"
		       " (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)"
		       " SELECT i, (SELECT min(id) FROM account), 1 FROM n");
	sqlite3_close(db);
	report = verify_copy(*state);
	assert_false(report.ok);
	assert_int_equal(report.problem_count, VERIFY_PROBLEMS_MAX);
	verify_fini(&report);
}

/* Pages of the middle overwritten: a problem of the report, not an abort. */
static void damaged_pages(void **state)
{
	struct bench *bench = *state;
	char *path = file_path(bench->copy, "ledger.db");
	sqlite3 *whole = tamper_begin(bench);
	long page_size = (long)number(whole, "PRAGMA page_size");
	long page_count = (long)number(whole, "PRAGMA page_count");

	/* What belongs to nothing may be damaged. */
	assert_int_equal(number(whole, "PRAGMA freelist_count"), 0);
	sqlite3_close(whole);
	assert_true(page_count > 40);
	for (long page = 3; page < page_count; page += 4) {
		sqlite3 *db = tamper_begin(bench);
		struct verify_report report;
		struct store *store = NULL;
		char reason[256] = "", junk[1500];
		enum store_result result;
		FILE *file;

		sqlite3_close(db);
		memset(junk, 0xa5, sizeof(junk));
		file = fopen(path, "r+");
		assert_non_null(file);
		assert_int_equal(fseek(file, page * page_size, SEEK_SET), 0);
		assert_int_equal(fwrite(junk, 1, sizeof(junk), file), sizeof(junk));
		assert_int_equal(fclose(file), 0);
		result = store_open(&store, reason, bench->copy, WORLD_START);
		if (result != STORE_OK) {
			assert_int_equal(result, STORE_BROKEN);
			assert_true(strlen(reason) > 0);
			continue;
		}
		assert_int_equal(verify_run(&report, store), STORE_OK);
		if (report.ok)
			fail_msg("page %ld", page);
		verify_fini(&report);
		store_close(&store);
	}
	free(path);
}

/* Verifying while rows come in sees one moment. */
static bool appending_stop;

static void *keep_appending(void *arg)
{
	struct world *world = arg;

	while (!__atomic_load_n(&appending_stop, __ATOMIC_ACQUIRE))
		world_sign(world, 1);
	return NULL;
}

static void verify_while_appending(void **state)
{
	struct world world = world_open(*state);
	pthread_t thread;

	appending_stop = false;
	assert_int_equal(pthread_create(&thread, NULL, keep_appending, &world), 0);
	for (int i = 0; i < 10; i++)
		world_assert_whole(world.store);
	__atomic_store_n(&appending_stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	store_close(&world.store);
}

#define bench_test(test) cmocka_unit_test_setup_teardown(test, bench_make, bench_remove)
#define folder_test(test)                                                                          \
	cmocka_unit_test_setup_teardown(test, unit_folder_make, unit_folder_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    bench_test(whole_ledger),
	    folder_test(empty_ledger),
	    bench_test(every_column),
	    bench_test(every_id),
	    bench_test(every_removal),
	    bench_test(every_insertion),
	    bench_test(every_exchange),
	    bench_test(journal_tampering),
	    bench_test(payment_tampering),
	    bench_test(reopened_tampering),
	    bench_test(record_tampering),
	    bench_test(schema_tampering),
	    bench_test(triggers_refuse),
	    bench_test(tail_cut_changes_the_head),
	    bench_test(many_problems_are_cut_off),
	    bench_test(damaged_pages),
	    folder_test(verify_while_appending),
	};

	return unit_run(tests);
}
