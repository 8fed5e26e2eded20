/* ledger_page_cache_test - a cache that counts, under ours: what it is asked for, and that the
 * databases it holds are as they would be without. */
#include "tests/unit/unit.h"

#include <sqlite3.h>

#include "common/file.h"
#include "ledger/page_cache.h"

static struct {
	sqlite3_pcache_methods2 real;
	int swaps, returns; /* rekeyed to number 0, and from there */
	int created;
	unsigned largest;
} counted;

static void note(unsigned page)
{
	if (page > counted.largest)
		counted.largest = page;
}

static sqlite3_pcache *count_create(int page_size, int extra_size, int purgeable)
{
	counted.created++;
	return counted.real.xCreate(page_size, extra_size, purgeable);
}

static sqlite3_pcache_page *count_fetch(sqlite3_pcache *cache, unsigned page, int create)
{
	note(page);
	/* Before a page is given a number SQLite looks whether one has it. */
	assert_true(page > 0 || create == 0);
	return counted.real.xFetch(cache, page, create);
}

static void count_rekey(
    sqlite3_pcache *cache, sqlite3_pcache_page *page, unsigned from, unsigned to)
{
	note(from);
	note(to);
	counted.swaps += to == 0;
	counted.returns += from == 0;
	counted.real.xRekey(cache, page, from, to);
}

static int install(void **state)
{
	sqlite3_pcache_methods2 methods;

	(void)state;
	assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &counted.real), SQLITE_OK);
	methods = counted.real;
	methods.xCreate = count_create;
	methods.xFetch = count_fetch;
	methods.xRekey = count_rekey;
	assert_int_equal(sqlite3_config(SQLITE_CONFIG_PCACHE2, &methods), SQLITE_OK);
	page_cache_install();
	page_cache_install();
	assert_int_equal(sqlite3_initialize(), SQLITE_OK);
	/* Too late to change anything. */
	page_cache_install();
	return 0;
}

static void must_run(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static void assert_says(sqlite3 *db, const char *sql, const char *answer)
{
	sqlite3_stmt *stmt;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(stmt, 0), answer);
	sqlite3_finalize(stmt);
}

/* Keys in no order split pages, by insertion and by deletion, and SQLite swaps some. */
static void fill(sqlite3 *db)
{
	must_run(db, "CREATE TABLE t (id INTEGER PRIMARY KEY, key BLOB UNIQUE)");
	for (int round = 0; round < 20; round++)
		must_run(db, "BEGIN; WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1"
			     " FROM n WHERE i < 200) INSERT INTO t (key)"
			     " SELECT randomblob(40 + i % 50) FROM n;"
			     "DELETE FROM t WHERE id % 7 = 3; COMMIT");
	must_run(db, "BEGIN; DELETE FROM t WHERE id % 3 = 0; ROLLBACK");
}

static void no_page_is_asked_for_that_nobody_has(void **state)
{
	static const unsigned sizes[] = {512, 2048, 4096, 65536};
	char *path = file_path(*state, "db"), sql[80];
	sqlite3 *db;

	for (size_t i = 0; i < COUNT(sizes); i++) {
		counted.swaps = counted.returns = counted.created = 0;
		counted.largest = 0;
		unlink(path);
		assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
		snprintf(
		    sql, sizeof(sql), "PRAGMA page_size = %u; PRAGMA cache_size = 20", sizes[i]);
		must_run(db, sql);
		fill(db);
		assert_says(db, "PRAGMA integrity_check", "ok");
		assert_says(db, "SELECT count(*) > 3000 FROM t", "1");
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
		assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
		assert_says(db, "PRAGMA integrity_check", "ok");
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
		assert_true(counted.created > 0);
		assert_true(counted.largest < 2000);
		assert_int_equal(counted.swaps, counted.returns);
		/* Few pages are split where all fits on some. */
		assert_true(counted.swaps > 0 || sizes[i] == 65536);
	}
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		no_page_is_asked_for_that_nobody_has, unit_folder_make, unit_folder_remove),
	};

	return cmocka_run_group_tests(tests, install, NULL);
}
