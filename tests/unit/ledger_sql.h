/* tests/unit/ledger_sql.h - a database beside the store, with a connection as the ledger opens
 * them: a statement that must succeed, a number it must give. */
#ifndef TESTS_UNIT_LEDGER_SQL_H
#define TESTS_UNIT_LEDGER_SQL_H

#include "tests/unit/unit.h"

#include <sqlite3.h>

#include "ledger/schema.h"

static inline void must_run(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static inline int64_t number(sqlite3 *db, const char *sql)
{
	int64_t out;

	if (!schema_number(&out, db, sql))
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	return out;
}

static inline sqlite3 *connect(const char *path, bool read_only)
{
	char reason[256] = "";
	sqlite3 *db;

	if (schema_connect(&db, reason, path, read_only) != STORE_OK)
		fail_msg("%s", reason);
	return db;
}

#endif
