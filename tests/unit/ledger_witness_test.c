/* ledger_witness_test - someone with the file, a database shell and this program's source:
 * every tampered ledger here has all its hashes computed again, so that it is whole in
 * itself (which each case checks), and only what was kept outside tells. */
#include "tests/unit/ledger_anchors.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include "common/file.h"
#include "ledger/journal.h"

#define CASE_FOLDER "tampered"
#define STEPS       4

struct bench {
	char *dir, *copy;
	struct world world;
	struct digest heads[STEPS], audit_heads[STEPS]; /* after each step */
	char *anchors;                                  /* the file's text */
	char *lines[STEPS];
};

static struct digest last_hash(const char *dir, const char *sql)
{
	char *path = file_path(dir, "ledger.db");
	sqlite3_stmt *stmt = NULL;
	struct digest digest;
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	memcpy(digest.bytes, sqlite3_column_blob(stmt, 0), DIGEST_SIZE);
	sqlite3_finalize(stmt);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	free(path);
	return digest;
}

static void bench_step(struct bench *bench, int step)
{
	char *path = file_path(bench->dir, "anchors");

	if (step == 0)
		world_people(&bench->world);
	else if (step == 1)
		world_things(&bench->world);
	else if (step == 2)
		world_history(&bench->world);
	else
		for (int i = 0; i < 5; i++)
			world_deposit(&bench->world, 100 + i);
	if (step == 3)
		world_audit(&bench->world, world_id(&bench->world), false, "late");
	assert_true(anchors_add(bench->world.store, path, bench->world.now));
	bench->audit_heads[step] =
	    last_hash(bench->dir, "SELECT hash FROM record ORDER BY seq DESC LIMIT 1");
	if (step >= 2)
		bench->heads[step] =
		    last_hash(bench->dir, "SELECT hash FROM journal ORDER BY id DESC LIMIT 1");
	free(path);
}

static int bench_make(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	char *path, *line;
	size_t size;
	void *dir;

	if (bench == NULL || unit_folder_make(&dir) != 0)
		return -1;
	bench->dir = dir;
	bench->copy = file_path(dir, CASE_FOLDER);
	bench->world.now = WORLD_START;
	bench->world.store = world_store(dir, WORLD_START);
	for (int step = 0; step < STEPS; step++)
		bench_step(bench, step);
	store_close(&bench->world.store);
	path = file_path(dir, "anchors");
	bench->anchors = file_read(&size, path, 1u << 20);
	free(path);
	line = bench->anchors;
	for (int i = 0; i < STEPS; i++) {
		bench->lines[i] = must_strndup(line, strcspn(line, "\n"));
		line = strchr(line, '\n') + 1;
	}
	*state = bench;
	return mkdir(bench->copy, 0700);
}

static int bench_remove(void **state)
{
	struct bench *bench = *state;
	void *dir = bench->dir;
	int result = unit_folder_remove(&dir);

	for (int i = 0; i < STEPS; i++)
		free(bench->lines[i]);
	free(bench->anchors);
	free(bench->copy);
	free(bench);
	return result;
}

/* --- the attacker ------------------------------------------------------------------- */

static void copy_file(const struct bench *bench, const char *name)
{
	char *from = file_path(bench->dir, name), *to = file_path(bench->copy, name);
	size_t size;
	char *bytes = file_read(&size, from, 64u << 20);

	assert_non_null(bytes);
	assert_true(file_replace(to, bytes, size, 0600));
	free(bytes);
	free(from);
	free(to);
}

static void remove_file(const struct bench *bench, const char *name)
{
	char *path = file_path(bench->copy, name);

	unlink(path);
	free(path);
}

static void sql_run(sqlite3 *db, const char *sql)
{
	char *error = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
		fail_msg("%s: %s", sql, error);
}

static char *sql_text(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt = NULL;
	char *text;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	text = must_strdup((const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	return text;
}

static sqlite3_stmt *sql_prepare(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt = NULL;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	return stmt;
}

static void digest_of(struct digest *out, sqlite3 *db, enum table table, int64_t id, int64_t seq,
    const struct digest *before)
{
	struct value values[SCHEMA_COLUMNS_MAX];
	char *sql = schema_select_sql(table, "", "WHERE id = ?1");
	sqlite3_stmt *stmt = sql_prepare(db, sql);

	sqlite3_bind_int64(stmt, 1, id);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	journal_values(values, stmt, schema_table(table)->column_count);
	*out = before == NULL ? journal_row_digest(table, values)
			      : record_hash(before, seq, table, values);
	sqlite3_finalize(stmt);
	free(sql);
}

static void store_hash(sqlite3 *db, const char *sql, int64_t id, const struct digest *hash)
{
	sqlite3_stmt *stmt = sql_prepare(db, sql);

	sqlite3_bind_blob(stmt, 1, hash->bytes, DIGEST_SIZE, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 2, id);
	assert_int_equal(sqlite3_step(stmt), SQLITE_DONE);
	sqlite3_finalize(stmt);
}

static void rehash_journal(sqlite3 *db)
{
	char *sql = schema_select_sql(TABLE_JOURNAL, "", "ORDER BY id");
	sqlite3_stmt *rows = sql_prepare(db, sql);
	sqlite3_stmt *sides = sql_prepare(db,
	    "SELECT a.name, p.amount FROM posting p JOIN account a ON a.id = p.account"
	    " WHERE p.journal = ?1 ORDER BY p.amount, a.name");
	struct digest head = {{0}}, payment;

	while (sqlite3_step(rows) == SQLITE_ROW) {
		struct value values[SCHEMA_COLUMNS_MAX];
		struct posting postings[2];
		char *names[2];
		bool sign;

		journal_values(values, rows, schema_table(TABLE_JOURNAL)->column_count);
		sqlite3_bind_int64(sides, 1, values[0].number);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(sqlite3_step(sides), SQLITE_ROW);
			names[i] = must_strdup((const char *)sqlite3_column_text(sides, 0));
			postings[i] = (struct posting){names[i], sqlite3_column_int64(sides, 1)};
		}
		sqlite3_reset(sides);
		sign = values[1].number == JOURNAL_SIGN;
		if (sign)
			digest_of(&payment, db, TABLE_PAYMENT, values[3].number, 0, NULL);
		head = journal_hash(&head, values, postings, 2, sign ? &payment : NULL);
		store_hash(
		    db, "UPDATE journal SET hash = ?1 WHERE id = ?2", values[0].number, &head);
		free(names[0]);
		free(names[1]);
	}
	sqlite3_finalize(rows);
	sqlite3_finalize(sides);
	free(sql);
}

static void rehash_record(sqlite3 *db)
{
	struct digest head = {{0}};
	sqlite3_stmt *rows;

	sql_run(db, "CREATE TEMP TABLE fresh AS SELECT row_number() OVER (ORDER BY seq) AS seq,"
		    " kind, row, hash FROM record; DELETE FROM record;"
		    "INSERT INTO record SELECT seq, kind, row, hash FROM fresh ORDER BY seq;");
	rows = sql_prepare(db, "SELECT seq, kind, row FROM record ORDER BY seq");
	while (sqlite3_step(rows) == SQLITE_ROW) {
		int64_t seq = sqlite3_column_int64(rows, 0);

		digest_of(&head, db, (enum table)sqlite3_column_int64(rows, 1),
		    sqlite3_column_int64(rows, 2), seq, &head);
		store_hash(db, "UPDATE record SET hash = ?1 WHERE seq = ?2", seq, &head);
	}
	sqlite3_finalize(rows);
}

static struct verify_report verify_copy(
    const struct bench *bench, const struct witness_options *options)
{
	struct verify_report report;
	struct store *store = NULL;
	char reason[256] = "";

	if (store_open(&store, reason, bench->copy, WORLD_START) != STORE_OK)
		fail_msg("store_open: %s", reason);
	assert_int_equal(verify_against(&report, store, options), STORE_OK);
	store_close(&store);
	return report;
}

/* Database, anchor file and head as they were. */
static void fresh_copy(const struct bench *bench)
{
	copy_file(bench, "ledger.db");
	copy_file(bench, "anchors");
	copy_file(bench, "head");
	remove_file(bench, "ledger.db-wal");
	remove_file(bench, "ledger.db-shm");
}

/* The running results, as the journal now has them. */
static const char results_sql[] =
    "DELETE FROM balance WHERE account NOT IN (SELECT id FROM account);"
    "UPDATE balance SET amount = coalesce((SELECT sum(p.amount) FROM posting p"
    "  WHERE p.account = balance.account), 0);"
    "DELETE FROM pending;"
    "INSERT INTO pending SELECT payment FROM journal WHERE payment IS NOT NULL"
    "  GROUP BY payment HAVING sum(CASE WHEN event IN (3, 9) THEN 1"
    "   WHEN event = 4 OR from_spent = 0 THEN -1 ELSE 0 END) > 0;";

static void tamper(const struct bench *bench, const char *sql)
{
	char *path = file_path(bench->copy, "ledger.db"), *drop, *make;
	sqlite3 *db = NULL;

	fresh_copy(bench);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	make =
	    sql_text(db, "SELECT group_concat(sql, ';') FROM sqlite_schema WHERE type = 'trigger'");
	drop = sql_text(db, "SELECT group_concat('DROP TRIGGER ' || name, ';') FROM sqlite_schema"
			    " WHERE type = 'trigger'");
	sql_run(db, drop);
	sql_run(db, sql);
	sql_run(db, results_sql);
	rehash_journal(db);
	rehash_record(db);
	sql_run(db, make);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	free(drop);
	free(make);
	free(path);
}

/* --- what is found --------------------------------------------------------------------- */

static bool says(const struct verify_report *report, const char *words)
{
	for (size_t i = 0; i < report->problem_count; i++) {
		if (strstr(report->problems[i], words) != NULL)
			return true;
	}
	return false;
}

static void assert_whole(
    const char *row, const struct bench *bench, const struct witness_options *options)
{
	struct verify_report report = verify_copy(bench, options);

	if (!report.ok)
		fail_msg("%s: %s", row, report.problems[0]);
	verify_fini(&report);
}

static void assert_found(const char *row, const struct bench *bench,
    const struct witness_options *options, const char *words)
{
	struct verify_report report = verify_copy(bench, options);

	if (report.ok)
		fail_msg("%s: nothing was found", row);
	if (!says(&report, words))
		fail_msg("%s: nothing says \"%s\", but: %s", row, words, report.problems[0]);
	verify_fini(&report);
}

static const struct witness_options nothing = {.anchor_file = NULL};

/* By which rewritten history each is told, and in which words. */
static const struct {
	const char *row, *sql;
	const char *head;    /* what DIR/head brings up */
	const char *anchors; /* and the anchor file */
} attacks[] = {
    {"a word of a journal row changed",
	"UPDATE journal SET note = 'else' WHERE id = (SELECT min(id) FROM journal)",
	"is not the one that head names", "journal rows 1 to 16 are not those of anchor 3"},
    {"the newest journal row changed",
	"UPDATE journal SET note = 'else' WHERE id = (SELECT max(id) FROM journal)",
	"is not the one that head names", "are not those of anchor 4"},
    {"the newest journal row removed",
	"DELETE FROM posting WHERE journal = (SELECT max(id) FROM journal);"
	"DELETE FROM journal WHERE id = (SELECT max(id) FROM journal)",
	"head was written when it had", "the newest were cut off"},
    {"a journal row in the middle removed",
	"DELETE FROM posting WHERE journal = (SELECT max(id) - 1000 FROM journal"
	"  WHERE id < (SELECT max(id) FROM journal));"
	"DELETE FROM posting WHERE journal ="
	"  (SELECT id FROM journal ORDER BY id DESC LIMIT 1 OFFSET 2);"
	"DELETE FROM journal WHERE id ="
	"  (SELECT id FROM journal ORDER BY id DESC LIMIT 1 OFFSET 2)",
	"head was written when it had", "the newest were cut off"},
    {"a journal row inserted",
	"CREATE TEMP TABLE twin AS SELECT * FROM journal ORDER BY id LIMIT 1;"
	"UPDATE twin SET id = id - 1; INSERT INTO journal SELECT * FROM twin;"
	"INSERT INTO posting SELECT journal - 1, account, amount FROM posting"
	"  WHERE journal = (SELECT max(id) + 1 FROM twin)",
	"is not the one that head names", "journal rows 1 to 16 are not those of anchor 3"},
    {"two journal rows exchanged",
	"CREATE TEMP TABLE pair AS SELECT * FROM journal ORDER BY id DESC LIMIT 2;"
	"UPDATE journal SET amount = (SELECT amount FROM pair p WHERE p.id <> journal.id)"
	"  WHERE id IN (SELECT id FROM pair);"
	"UPDATE posting SET amount = CASE WHEN amount < 0 THEN -1 ELSE 1 END *"
	"  (SELECT j.amount FROM journal j WHERE j.id = posting.journal)"
	"  WHERE journal IN (SELECT id FROM pair)",
	"is not the one that head names", "are not those of anchor 4"},
    {"a refusal removed from the audit",
	"CREATE TEMP TABLE gone AS SELECT id FROM audit WHERE tool = 'crypto_trading';"
	"DELETE FROM record WHERE kind = 12 AND row IN (SELECT id FROM gone);"
	"DELETE FROM audit WHERE id IN (SELECT id FROM gone)",
	"head was written when it had", "record rows"},
    {"the newest audit row removed",
	"DELETE FROM record WHERE kind = 12 AND row = (SELECT max(id) FROM audit);"
	"DELETE FROM audit WHERE id = (SELECT max(id) FROM audit)",
	"head was written when it had", "the record has"},
    {"an audit row changed",
	"UPDATE audit SET price = price + 1 WHERE id = (SELECT min(id) FROM audit)",
	"record row number", "record rows"},
    {"a row inserted in the audit",
	"INSERT INTO audit (id, kind, allowed, price, status, upstream_status, request_bytes,"
	"  response_bytes) VALUES (1763640000999999, 2, 1, 0, 0, 0, 0, 0);"
	"UPDATE record SET seq = seq + 1000000;"
	"UPDATE record SET seq = (seq - 1000000) * 10;"
	"INSERT INTO record VALUES (205, 12, 1763640000999999, zeroblob(32))",
	"record row number", "record rows"},
    {"two records exchanged",
	"CREATE TEMP TABLE old AS SELECT * FROM record WHERE seq IN (3, 4);"
	"UPDATE record SET kind = (SELECT kind FROM old WHERE old.seq = 7 - record.seq),"
	"  row = (SELECT row FROM old WHERE old.seq = 7 - record.seq) WHERE seq IN (3, 4)",
	"record row number", "record rows 1 to"},
    {"everything since the second anchor cut off",
	"DELETE FROM posting; DELETE FROM journal;"
	"DELETE FROM record WHERE kind IN (10, 11, 12, 13);"
	"DELETE FROM payment_state; DELETE FROM payment; DELETE FROM audit;"
	"DELETE FROM account",
	"the journal has 0 rows, but head", "the journal has 0 rows, but anchor 4"},
    {"everything but the file's own schema removed",
	"DELETE FROM posting; DELETE FROM journal; DELETE FROM record;"
	"DELETE FROM payment_state; DELETE FROM payment; DELETE FROM audit;"
	"DELETE FROM account; DELETE FROM token_revoked; DELETE FROM token;"
	"DELETE FROM policy; DELETE FROM agent_state; DELETE FROM agent_address;"
	"DELETE FROM agent; DELETE FROM tool; DELETE FROM network",
	"the record has 0 rows, but head", "the record has 0 rows, but anchor 4"},
};

static void test_rewritten_histories(void **state)
{
	const struct bench *bench = *state;
	char *anchors = file_path(bench->copy, "anchors");
	struct witness_options options = {.anchor_file = anchors, .signed_by = anchors_signed_by};

	fresh_copy(bench);
	assert_whole("untouched", bench, &options);
	for (size_t i = 0; i < COUNT(attacks); i++) {
		tamper(bench, attacks[i].sql);
		remove_file(bench, "head");
		/* By itself the tampered ledger is without a fault. */
		assert_whole(attacks[i].row, bench, &nothing);
		tamper(bench, attacks[i].sql);
		assert_found(attacks[i].row, bench, &nothing, attacks[i].head);
		tamper(bench, attacks[i].sql);
		remove_file(bench, "head");
		assert_found(attacks[i].row, bench, &options, attacks[i].anchors);
	}
	free(anchors);
}

/* Rows after the newest anchor are DIR/head's affair alone; an older anchor file and an
 * older head are no contradiction. */
static void test_older_witnesses_are_fine(void **state)
{
	const struct bench *bench = *state;
	char *anchors = file_path(bench->copy, "anchors");
	struct witness_options options = {.anchor_file = anchors, .signed_by = anchors_signed_by};
	struct verify_report report;

	for (int keep = 0; keep <= STEPS; keep++) {
		size_t size = 0;

		fresh_copy(bench);
		for (int i = 0; i < keep; i++)
			size += strlen(bench->lines[i]) + 1;
		assert_true(file_replace(anchors, bench->anchors, size, 0600));
		report = verify_copy(bench, &options);
		if (!report.ok)
			fail_msg("%d: %s", keep, report.problems[0]);
		assert_int_equal(report.anchors, keep);
		assert_int_equal(report.anchored_us != 0, keep != 0);
		verify_fini(&report);
	}
	remove_file(bench, "anchors");
	assert_whole("no anchor file", bench, &options);
	free(anchors);
}

/* --- the anchor file itself -------------------------------------------------------------- */

/* Lines by number, as digits; '!' forges the next one, 'F' makes it another installation's. */
static char *compose(const struct bench *bench, const char *plan)
{
	struct buf text;
	bool forge = false, foreign = false;

	buf_init(&text, 1u << 20);
	for (; *plan != '\0'; plan++) {
		struct anchor anchor;
		char line[ANCHOR_LINE_MAX];
		size_t size;

		if (*plan == '!')
			forge = true;
		else if (*plan == 'F')
			foreign = true;
		else if (*plan == '-')
			buf_add_str(&text, "rubbish\n");
		if (*plan < '1' || *plan > '4')
			continue;
		assert_true(anchor_parse(
		    &anchor, bench->lines[*plan - '1'], strlen(bench->lines[*plan - '1'])));
		if (forge)
			anchor.journal.root.bytes[0] ^= 1;
		if (foreign)
			anchor.installation[5] = '9';
		if (foreign)
			anchors_sign(&anchor);
		size = anchor_format(line, &anchor);
		buf_add(&text, line, size);
		buf_add_str(&text, "\n");
		forge = foreign = false;
	}
	return buf_take(&text);
}

static void test_tampered_anchor_files(void **state)
{
	static const struct {
		const char *plan, *words; /* NULL: fine */
	} rows[] = {
	    {"1234", NULL},
	    {"12-34", NULL},
	    {"-1234-", NULL},
	    {"123", NULL},
	    {"234", "anchor 2 is not the first: those before it were removed"},
	    {"134", "an anchor between was removed"},
	    {"124", "an anchor between was removed"},
	    {"1-34", "an anchor between was removed"},
	    {"2134", "is not numbered after the one before it"},
	    {"1324", "an anchor between was removed"},
	    {"11234", "is not numbered after the one before it"},
	    {"12344", "is not numbered after the one before it"},
	    {"!1234", "does not name the one before it"},
	    {"12!34", "anchor 3 is not signed by its installation"},
	    {"123!4", "anchor 4 is not signed by its installation"},
	    {"123!4", "journal rows 17 to 21 are not those of anchor 4"},
	    {"12F34", "is of another installation"},
	    {"123F4", "line 4: anchor 4 is of another installation"},
	};
	const struct bench *bench = *state;
	char *path = file_path(bench->copy, "anchors");
	struct witness_options options = {.anchor_file = path, .signed_by = anchors_signed_by};

	fresh_copy(bench);
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *text = compose(bench, rows[i].plan);

		assert_true(file_replace(path, text, strlen(text), 0600));
		free(text);
		if (rows[i].words == NULL)
			assert_whole(rows[i].plan, bench, &options);
		else
			assert_found(rows[i].plan, bench, &options, rows[i].words);
	}
	/* Whose the anchors must be is known: then the first is not believed either. */
	fresh_copy(bench);
	options.installation = "0x209693Bc6afc0C5328bA36FaF03C514EF312287C";
	assert_found("pinned", bench, &options, "anchor 1 is of another installation");
	remove_file(bench, "anchors");
	assert_int_equal(mkdir(path, 0700), 0);
	assert_found("a folder", bench, &options, "is no file of anchors");
	assert_int_equal(rmdir(path), 0);
	free(path);
}

/* --- what was kept elsewhere -------------------------------------------------------------- */

static void test_copies_kept_elsewhere(void **state)
{
	static const struct {
		const char *plan, *words;
	} rows[] = {
	    {"1234", NULL},
	    {"2", NULL},
	    {"13", NULL},
	    {"1133", NULL},
	    {"-4-", NULL},
	    {"", "holds no anchor"},
	    {"-", "holds no anchor"},
	    {"31", "is not numbered after the one before it"},
	    {"!3", "anchor 3 is not signed by its installation"},
	    {"!1234", "does not name the one before it"},
	};
	const struct bench *bench = *state;
	char *path = file_path(bench->copy, "kept");
	struct witness_options options = {.other_anchors = path, .signed_by = anchors_signed_by};

	fresh_copy(bench);
	assert_found("absent", bench, &options, "is not there");
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *text = compose(bench, rows[i].plan);

		assert_true(file_replace(path, text, strlen(text), 0600));
		free(text);
		if (rows[i].words == NULL)
			assert_whole(rows[i].plan, bench, &options);
		else
			assert_found(rows[i].plan, bench, &options, rows[i].words);
	}
	/* One line kept elsewhere is enough, when the installation rewrote its own file too. */
	for (size_t i = 0; i < COUNT(attacks); i++) {
		char *text = compose(bench, "4");

		tamper(bench, attacks[i].sql);
		remove_file(bench, "head");
		assert_true(file_replace(path, text, strlen(text), 0600));
		free(text);
		if (strstr(attacks[i].anchors, "anchor 4") != NULL)
			assert_found(attacks[i].row, bench, &options, attacks[i].anchors);
		else
			assert_found(attacks[i].row, bench, &options, "anchor 4");
	}
	remove_file(bench, "kept");
	free(path);
}

static void test_single_heads(void **state)
{
	const struct bench *bench = *state;
	struct digest never = {{7}}, zero = {{0}};
	struct witness_options options = {.head = &bench->heads[2]};

	fresh_copy(bench);
	assert_whole("journal, older", bench, &options);
	options.head = &bench->heads[3];
	options.audit_head = &bench->audit_heads[1];
	assert_whole("both", bench, &options);
	options.audit_head = &bench->audit_heads[3];
	assert_whole("newest", bench, &options);
	options.head = &zero;
	assert_whole("of no rows", bench, &options);
	options.head = &never;
	assert_found("never", bench, &options, "no journal row has the hash 07000000");
	options.head = &bench->audit_heads[3];
	assert_found("of the other chain", bench, &options, "no journal row has the hash");
	options.head = NULL;
	options.audit_head = &bench->heads[3];
	assert_found("of the other chain", bench, &options, "no record row has the hash");
	options.audit_head = NULL;
	options.head = &bench->heads[3];
	for (size_t i = 0; i < 6; i++) {
		tamper(bench, attacks[i].sql);
		remove_file(bench, "head");
		assert_found(attacks[i].row, bench, &options, "no journal row has the hash");
	}
}

/* Many problems of one kind are counted, not listed. */
static void test_problems_are_bounded(void **state)
{
	const struct bench *bench = *state;
	char *path = file_path(bench->copy, "anchors");
	struct witness_options options = {.anchor_file = path, .signed_by = anchors_signed_by};
	struct buf text;

	fresh_copy(bench);
	buf_init(&text, 1u << 20);
	for (int i = 0; i < 200; i++)
		buf_add_format(&text, "%s\n", bench->lines[1]);
	assert_true(file_replace(path, text.data, text.size, 0600));
	assert_found("200 times", bench, &options, "197 more lines are wrong");
	buf_fini(&text);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rewritten_histories),
	    cmocka_unit_test(test_older_witnesses_are_fine),
	    cmocka_unit_test(test_tampered_anchor_files),
	    cmocka_unit_test(test_copies_kept_elsewhere),
	    cmocka_unit_test(test_single_heads),
	    cmocka_unit_test(test_problems_are_bounded),
	};

	return cmocka_run_group_tests(tests, bench_make, bench_remove);
}
