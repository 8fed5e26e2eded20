/* ledger_migrate_test - a ledger of every earlier schema becomes one of this, with nothing
 * changed that was written down; and a step that is cut short leaves what was there. */
#include "tests/unit/ledger_disk.h"
#include "tests/unit/ledger_world.h"

#include <sys/stat.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/file.h"
#include "ledger/schema.h"

/* The ends of its chains, as the version that wrote them computed them. */
struct old {
	const char *vector, *journal_head, *record_head;
	int64_t transactions, records;
};

static const struct old versions[] = {
    {TEST_SRCDIR "/tests/vectors/ledger-1.sql",
	"bf346468a0b64f183e9c61326c005b39ad853040659dda0fc43734773d6d6563",
	"c2054666b5da38f0caf998b83ee3fb4d6232259ef0446ef5817e11fba2c71eba", 18, 49},
    {TEST_SRCDIR "/tests/vectors/ledger-2.sql",
	"7e86632aeaea12fb38467275e534090f83568b2813bfb6b770a15e87651592f1",
	"7ff51d70fe7d76660dd089f10952b5f0181ad4063a0001e4b1a0d74a5e2ae178", 19, 50},
    {TEST_SRCDIR "/tests/vectors/ledger-3.sql",
	"0db4cc840fb57641bf7b85850066b81d9bc6e688764b0ad21c4610ec7ed9eccf",
	"fa7d445c3e4e55c16e5c28b5e12e895dcb7f22c196ef2645735f5b1a1cdb3d56", 18, 51},
};
#define VERSION_1 (&versions[0])
#define VERSION_2 (&versions[1])
#define VERSION_3 (&versions[2])

/* After all of its rows. */
#define LATER (WORLD_START + 1000 * CLOCK_US_PER_S)

static sqlite3 *shell(const char *dir)
{
	char *path = file_path(dir, "ledger.db");
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	free(path);
	return db;
}

static void run_sql(const char *dir, const char *sql)
{
	sqlite3 *db = shell(dir);
	char *error = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
		fail_msg("%s", error);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void remove_ledger(const char *dir)
{
	static const char *const names[] = {"ledger.db", "ledger.db-wal", "ledger.db-shm", "head"};

	for (size_t i = 0; i < COUNT(names); i++) {
		char *path = file_path(dir, names[i]);

		unlink(path);
		free(path);
	}
}

/* The file is made once, and then copied. */
static void make_version_1(const char *dir)
{
	static char *bytes;
	static size_t size;
	char *path = file_path(dir, "ledger.db");

	disk_install();
	remove_ledger(dir);
	if (bytes == NULL) {
		char *sql = file_read(&size, VERSION_1->vector, 1u << 20);

		if (sql == NULL)
			fail_msg("cannot read %s", VERSION_1->vector);
		run_sql(dir, sql);
		free(sql);
		bytes = file_read(&size, path, 16u << 20);
		assert_non_null(bytes);
	} else {
		FILE *file = fopen(path, "w");

		assert_non_null(file);
		assert_int_equal(fwrite(bytes, 1, size, file), size);
		assert_int_equal(fclose(file), 0);
	}
	free(path);
}

static void make_version(const char *dir, const struct old *old)
{
	char *sql = file_read(&(size_t){0}, old->vector, 1u << 20);

	if (sql == NULL)
		fail_msg("cannot read %s", old->vector);
	remove_ledger(dir);
	run_sql(dir, sql);
	free(sql);
}

static int64_t number(const char *dir, const char *sql)
{
	sqlite3 *db = shell(dir);
	int64_t value = -1;

	if (!schema_number(&value, db, sql))
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	sqlite3_close(db);
	return value;
}

static const char *const old_tables[] = {"agent", "agent_address", "agent_state", "policy", "tool",
    "token", "token_revoked", "network", "payment", "payment_state", "audit", "account", "journal",
    "posting", "record", "idempotency", "answer"};

static int add_cell(void *arg, int count, char **values, char **names)
{
	(void)names;
	for (int i = 0; i < count; i++)
		buf_add_format(arg, "%s|", values[i] == NULL ? "NULL" : values[i]);
	buf_add_str(arg, "\n");
	return 0;
}

/* Every row of every table of version 1, quoted, blobs and NULLs told apart. */
static char *all_rows(const char *dir)
{
	sqlite3 *db = shell(dir);
	struct buf out;

	buf_init(&out, 16u << 20);
	for (size_t i = 0; i < COUNT(old_tables); i++) {
		char *columns = sqlite3_mprintf("SELECT group_concat('quote(' || name || ')')"
						" FROM pragma_table_info(%Q)",
		    old_tables[i]);
		char *sql;
		sqlite3_stmt *stmt;

		assert_int_equal(sqlite3_prepare_v2(db, columns, -1, &stmt, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
		sql = sqlite3_mprintf(
		    "SELECT %s FROM %s ORDER BY 1, 2", sqlite3_column_text(stmt, 0), old_tables[i]);
		sqlite3_finalize(stmt);
		buf_add_format(&out, "%s\n", old_tables[i]);
		assert_int_equal(sqlite3_exec(db, sql, add_cell, &out, NULL), SQLITE_OK);
		sqlite3_free(sql);
		sqlite3_free(columns);
	}
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_true(buf_ok(&out));
	return buf_take(&out);
}

static void assert_heads(struct store *store, const struct old *old)
{
	char journal[2 * DIGEST_SIZE + 1], record[2 * DIGEST_SIZE + 1];
	struct verify_report report;

	assert_int_equal(verify_run(&report, store), STORE_OK);
	if (!report.ok)
		fail_msg("%zu problems, the first: %s", report.problem_count, report.problems[0]);
	assert_int_equal(report.transactions, old->transactions);
	assert_int_equal(report.postings, 2 * old->transactions);
	assert_int_equal(report.audits, old->records);
	assert_string_equal(hex_encode(journal, report.head.bytes, DIGEST_SIZE), old->journal_head);
	assert_string_equal(
	    hex_encode(record, report.audit_head.bytes, DIGEST_SIZE), old->record_head);
	verify_fini(&report);
}

/* --- what was there is there ----------------------------------------------------- */

static void every_row_stays(void **state)
{
	char *before, *after;
	struct store *store;

	make_version_1(*state);
	before = all_rows(*state);
	for (size_t i = 0; i < COUNT(old_tables); i++) {
		char *sql = sqlite3_mprintf("SELECT count(*) FROM %s", old_tables[i]);

		row_check(old_tables[i], number(*state, sql) > 0);
		sqlite3_free(sql);
	}
	store = world_store(*state, LATER);
	assert_heads(store, VERSION_1);
	store_close(&store);
	assert_int_equal(number(*state, "PRAGMA user_version"), SCHEMA_VERSION);
	after = all_rows(*state);
	assert_string_equal(after, before);
	/* Once more changes nothing. */
	store = world_store(*state, LATER);
	assert_heads(store, VERSION_1);
	store_close(&store);
	free(before);
	free(after);
}

struct seen {
	int count;
	int64_t sum, open[8];
};

static bool note_payment(const struct payment_row *row, void *arg)
{
	struct seen *seen = arg;

	seen->open[seen->count++] = row->id;
	seen->sum += row->amount;
	return true;
}

static bool note_balance(const struct balance_row *row, void *arg)
{
	int64_t *all = arg;

	all[0] += row->available;
	all[1] += row->reserved;
	all[2] += row->open;
	all[3] += row->spent;
	return true;
}

static void note_key(const struct idempotency_row *row, const struct answer_row *answer, void *arg)
{
	(void)row;
	*(int *)arg = answer == NULL ? -1 : (int)answer->body_size;
}

static bool note_unanswered(const struct payment_row *row, const struct unanswered *how, void *arg)
{
	(void)row;
	*(int *)arg += how->keyed ? 100 : 1;
	return true;
}

/* What is kept running from now on begins where the journal stands. */
static void answers_are_those_of_version_1(void **state)
{
	struct store *store;
	struct seen seen = {.count = 0};
	int64_t balances[4] = {0}, agent;
	int body = 0, open = 0;

	make_version_1(*state);
	agent = number(*state, "SELECT min(id) FROM agent");
	store = world_store(*state, LATER);
	assert_int_equal(store_payments(store, 0, true, note_payment, &seen), STORE_OK);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.sum, 30000 + 1);
	assert_int_equal(store_balances(store, note_balance, balances), STORE_OK);
	assert_int_equal(balances[0], 813999);
	assert_int_equal(balances[1], 500);
	assert_int_equal(balances[2], 30001);
	assert_int_equal(balances[3], 56000 + 700);
	assert_int_equal(store_idempotency(store, agent, "k2", LATER, note_key, &body), STORE_OK);
	assert_int_equal(body, 4);
	assert_int_equal(store_outstanding(store, note_unanswered, &open), STORE_OK);
	assert_int_equal(open, 101);
	store_close(&store);
}

/* New rows follow the old ones, and the new rules hold for old payments. */
static void life_goes_on(void **state)
{
	struct world world = {.now = LATER};
	struct batch *batch;

	make_version_1(*state);
	world.agent = number(*state, "SELECT min(id) FROM agent");
	world.settled = number(*state, "SELECT min(payment) FROM journal WHERE event = 4");
	world.unused = number(*state, "SELECT payment FROM payment_state WHERE state = 6 LIMIT 1");
	world.store = world_store(*state, LATER);
	batch = world_state(&world, world.settled, PAYMENT_SETTLED, 50000);
	assert_int_equal(store_append_wait(world.store, &batch), STORE_EXISTS);
	batch = world_state(&world, world.settled, PAYMENT_OPEN, 50000);
	assert_int_equal(store_append_wait(world.store, &batch), STORE_EXISTS);
	world_reopen(&world, world.settled, true, 50000);
	world_append(&world, world_state(&world, world.settled, PAYMENT_CANCELLED, 50000));
	world_reopen(&world, world.unused, false, 20000);
	world_hold(&world, 5, JOURNAL_RELEASE);
	world_sign(&world, 7);
	world_assert_whole(world.store);
	store_close(&world.store);
}

/* The rows are those of version 2, and so are the sums and the list that its triggers kept:
 * verify recomputes them. What its triggers refused is refused, and they are gone. */
static void version_2(void **state)
{
	static const char *const running[] = {
	    "SELECT sum(amount * account) FROM balance", "SELECT sum(payment) FROM pending"};
	int64_t before[COUNT(running)];
	struct world world = {.now = LATER};
	struct batch *batch;
	char *rows, *now;

	make_version(*state, VERSION_2);
	rows = all_rows(*state);
	for (size_t i = 0; i < COUNT(running); i++)
		before[i] = number(*state, running[i]);
	world.agent = number(*state, "SELECT min(id) FROM agent");
	world.unused = number(*state, "SELECT payment FROM payment_state WHERE state = 6 LIMIT 1");
	world.settled = number(*state, "SELECT payment FROM journal WHERE event = 9 LIMIT 1");
	world.store = world_store(*state, LATER);
	assert_heads(world.store, VERSION_2);
	store_close(&world.store);
	assert_int_equal(number(*state, "PRAGMA user_version"), SCHEMA_VERSION);
	now = all_rows(*state);
	assert_string_equal(now, rows);
	for (size_t i = 0; i < COUNT(running); i++)
		assert_int_equal(number(*state, running[i]), before[i]);
	assert_int_equal(number(*state, "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'"
					" AND tbl_name IN ('journal', 'posting', 'account')"
					" AND name NOT LIKE '%_no_update'"
					" AND name NOT LIKE '%_no_delete'"),
	    1);
	world.store = world_store(*state, LATER);
	batch = world_state(&world, world.unused, PAYMENT_SETTLED, 20000);
	assert_int_equal(store_append_wait(world.store, &batch), STORE_EXISTS);
	world_append(&world, world_state(&world, world.settled, PAYMENT_SETTLED, 50000));
	batch = world_state(&world, world.settled, PAYMENT_CANCELLED, 50000);
	assert_int_equal(store_append_wait(world.store, &batch), STORE_EXISTS);
	world_reopen(&world, world.unused, false, 20000);
	world_sign(&world, 7);
	world_assert_whole(world.store);
	store_close(&world.store);
	free(rows);
	free(now);
}

/* Version 3 had a whole nonce in each entry of an index. The rows do not change with it. */
static void version_3(void **state)
{
	struct world world = {.now = LATER};
	char *rows, *now;

	make_version(*state, VERSION_3);
	rows = all_rows(*state);
	world.agent = number(*state, "SELECT min(id) FROM agent");
	world.store = world_store(*state, LATER);
	assert_heads(world.store, VERSION_3);
	store_close(&world.store);
	assert_int_equal(number(*state, "PRAGMA user_version"), SCHEMA_VERSION);
	now = all_rows(*state);
	assert_string_equal(now, rows);
	world.store = world_store(*state, LATER);
	world_sign(&world, 7);
	world_assert_whole(world.store);
	store_close(&world.store);
	free(rows);
	free(now);
}

/* What the database makes of the newest payment once more, under another id and with one column
 * changed; it is not kept. Nor is it compared with every payment there is. */
static int payment_again(sqlite3 *db, const char *column, const char *value)
{
	const struct table_form *form = schema_table(TABLE_PAYMENT);
	char *sql = sqlite3_mprintf("INSERT INTO payment SELECT id + 1");
	sqlite3_stmt *stmt;
	int rc;

	for (size_t i = 1; i < form->column_count; i++) {
		bool changed = strcmp(form->columns[i], column) == 0;

		sql = sqlite3_mprintf("%z, %s", sql, changed ? value : form->columns[i]);
	}
	sql = sqlite3_mprintf("%z FROM payment WHERE id = (SELECT max(id) FROM payment)", sql);
	assert_int_equal(sqlite3_exec(db, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	rc = sqlite3_step(stmt);
	if (rc != SQLITE_DONE)
		rc = sqlite3_extended_errcode(db);
	assert_int_equal(sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_FULLSCAN_STEP, 0), 0);
	sqlite3_finalize(stmt);
	assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_free(sql);
	return rc;
}

/* A new ledger, and one of every version before it. */
static void nonces_are_signed_once(void **state)
{
	static const struct {
		const char *name, *column, *value;
		bool allowed;
	} rows[] = {
	    {"all is the same", "", "", false},
	    {"another call", "call", "call + 1", false},
	    {"another amount", "value", "'9'", false},
	    {"another payee", "payee", "'0x01'", false},
	    {"last digit of the nonce", "nonce", "substr(nonce, 1, 65) || 'x'", true},
	    {"first digit of its end", "nonce",
		"substr(nonce, 1, 58) || 'x' || substr(nonce, 60)", true},
	    {"the digit before its end", "nonce",
		"substr(nonce, 1, 57) || 'x' || substr(nonce, 59)", true},
	    {"first digit of the nonce", "nonce", "'0x' || 'x' || substr(nonce, 4)", true},
	    {"another payer", "payer", "'0x1' || substr(payer, 4)", true},
	    {"another asset", "asset", "'0x1' || substr(asset, 4)", true},
	    {"another network", "network", "'eip155:1'", true},
	};

	for (size_t version = 0; version <= COUNT(versions); version++) {
		struct world world = {.now = LATER};
		sqlite3 *db;

		if (version < COUNT(versions)) {
			make_version(*state, &versions[version]);
			world.store = world_store(*state, LATER);
		} else {
			remove_ledger(*state);
			world = world_open(*state);
		}
		store_close(&world.store);
		db = shell(*state);
		for (size_t i = 0; i < COUNT(rows); i++)
			row_check(rows[i].name, payment_again(db, rows[i].column, rows[i].value) ==
			    (rows[i].allowed ? SQLITE_DONE : SQLITE_CONSTRAINT_TRIGGER));
		sqlite3_close(db);
	}
}

/* --- what cannot be migrated ------------------------------------------------------- */

static void a_row_that_names_nobody(void **state)
{
	struct store *store = NULL;
	char reason[256] = "";

	make_version_1(*state);
	run_sql(
	    *state, "PRAGMA foreign_keys = OFF; INSERT INTO token_revoked VALUES (5, 'nobody')");
	assert_int_equal(store_open(&store, reason, *state, LATER), STORE_BROKEN);
	assert_non_null(strstr(reason, "names one that is not there"));
	assert_int_equal(number(*state, "PRAGMA user_version"), 1);
	assert_int_equal(number(*state, "SELECT count(*) FROM journal"),
	    VERSION_1->transactions);
}

static void a_table_in_the_way(void **state)
{
	struct store *store = NULL;
	char reason[256] = "";

	make_version_1(*state);
	run_sql(*state, "CREATE TABLE evidence (x)");
	assert_int_equal(store_open(&store, reason, *state, LATER), STORE_BROKEN);
	assert_non_null(strstr(reason, "cannot bring the ledger to this version"));
	assert_int_equal(number(*state, "PRAGMA user_version"), 1);
	assert_int_equal(
	    number(*state, "SELECT count(*) FROM sqlite_schema WHERE name = 'journal_new'"), 0);
}

/* --- cut short ------------------------------------------------------------------------ */

static bool fails_at(
    const char *dir, const char *rows, bool syncs, int64_t after, enum disk_failure how)
{
	char reason[256] = "";
	struct store *store = NULL;
	enum store_result result;
	int64_t failed;

	make_version_1(dir);
	(syncs ? disk_break_sync : disk_break)(after, 1, how);
	result = store_open(&store, reason, dir, LATER);
	store_close(&store);
	failed = disk_heal();
	assert_true(result == STORE_OK || (result == STORE_BROKEN && reason[0] != '\0'));
	if (result != STORE_OK) {
		char *now = all_rows(dir);

		/* One version or the other, and whole. */
		assert_string_equal(now, rows);
		free(now);
		if (number(dir, "PRAGMA user_version") == 1)
			assert_int_equal(number(dir, "SELECT count(*) FROM sqlite_schema"
						     " WHERE name = 'evidence'"),
			    0);
	}
	store = world_store(dir, LATER);
	assert_heads(store, VERSION_1);
	store_close(&store);
	return failed > 0;
}

static void the_disk_fails(void **state)
{
	static const enum disk_failure hows[] = {DISK_ERROR, DISK_HALF, DISK_DONE};
	char *rows_before;

	make_version_1(*state);
	rows_before = all_rows(*state);
	for (size_t i = 0; i < COUNT(hows); i++) {
		int64_t after = 0, met = 0;

		for (; fails_at(*state, rows_before, false, after, hows[i]); after++)
			met++;
		/* Two tables made anew, with all their pages. */
		assert_true(met > 5);
		for (after = 0; fails_at(*state, rows_before, true, after, hows[i]); after++)
			met++;
		assert_true(after >= 3);
	}
	free(rows_before);
}

/* True: it was killed before the end. */
static bool killed_at(
    const char *dir, const char *rows, bool syncs, int64_t after, enum disk_failure how)
{
	struct store *store;
	char *now;
	int status;
	pid_t child;

	make_version_1(dir);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		(syncs ? disk_break_sync : disk_break)(after, 1, how);
		store = world_store(dir, LATER);
		store_close(&store);
		_exit(7);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	now = all_rows(dir);
	assert_string_equal(now, rows);
	free(now);
	store = world_store(dir, LATER);
	assert_heads(store, VERSION_1);
	store_close(&store);
	return WEXITSTATUS(status) == 0;
}

static void the_process_ends(void **state)
{
	static const enum disk_failure hows[] = {DISK_KILL, DISK_KILL_AFTER};
	char *rows_before;

	make_version_1(*state);
	rows_before = all_rows(*state);
	for (size_t i = 0; i < COUNT(hows); i++) {
		int64_t after = 0, met = 0;

		for (; killed_at(*state, rows_before, false, after, hows[i]); after++)
			met++;
		/* Two tables made anew, with all their pages. */
		assert_true(met > 5);
		for (after = 0; killed_at(*state, rows_before, true, after, hows[i]); after++)
			met++;
		assert_true(after >= 3);
	}
	free(rows_before);
}

#define folder_test(test)                                                                          \
	cmocka_unit_test_setup_teardown(test, unit_folder_make, unit_folder_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    folder_test(every_row_stays),
	    folder_test(answers_are_those_of_version_1),
	    folder_test(life_goes_on),
	    folder_test(version_2),
	    folder_test(version_3),
	    folder_test(nonces_are_signed_once),
	    folder_test(a_row_that_names_nobody),
	    folder_test(a_table_in_the_way),
	    folder_test(the_disk_fails),
	    folder_test(the_process_ends),
	};

	return unit_run(tests);
}
