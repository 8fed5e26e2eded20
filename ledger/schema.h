/* ledger/schema.h - the tables: their frozen numbers, their columns, their history.
 *
 * Everything that writes, reads back or hashes a row goes through the list of
 * columns here, so the order below is part of the canonical encoding
 * (ledger/journal.h) and is frozen. Migrations are an append-only list: a release
 * adds to the end and never edits what is there. */
#ifndef LEDGER_SCHEMA_H
#define LEDGER_SCHEMA_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ledger/store.h"

/* "twld" */
#define SCHEMA_APPLICATION_ID 0x74776c64
#define SCHEMA_VERSION        4
#define SCHEMA_COLUMNS_MAX    32u

/* Frozen: stored in record.kind and hashed. */
enum table {
	TABLE_JOURNAL = 1,
	TABLE_AGENT = 2,
	TABLE_AGENT_ADDRESS = 3,
	TABLE_AGENT_STATE = 4,
	TABLE_POLICY = 5,
	TABLE_TOOL = 6,
	TABLE_TOKEN = 7,
	TABLE_TOKEN_REVOKED = 8,
	TABLE_NETWORK = 9,
	TABLE_PAYMENT = 10,
	TABLE_PAYMENT_STATE = 11,
	TABLE_AUDIT = 12,
	TABLE_ACCOUNT = 13,
	TABLE_IDEMPOTENCY = 14, /* a cache: in no chain */
	TABLE_ANSWER = 15,      /* a cache: in no chain */
	TABLE_EVIDENCE = 16,
	TABLE_DELIVERY = 17,
	TABLE_SETTING = 18,
};
#define TABLE_FIRST TABLE_JOURNAL
#define TABLE_LAST  TABLE_SETTING

struct table_form {
	const char *name;
	bool recorded;      /* covered by the record chain */
	size_t column_count;
	const char *columns[SCHEMA_COLUMNS_MAX]; /* the first is the id */
	const char *conflict; /* what an INSERT does about a row that is there; "" refuses */
};
const struct table_form *schema_table(enum table table);

/** "INSERT INTO …" and "SELECT … FROM name" over all columns in order, the SELECT
 * with `more` columns and a tail of its own. The caller frees them. */
char *schema_insert_sql(enum table table);
char *schema_select_sql(enum table table, const char *more, const char *tail);

/** schema_rule_sql - what the trigger of a table asks before a row is inserted, as a SELECT whose
 * parameters are named as the row's columns (":payment"): true in the first column of its row when
 * the row is refused. For payment_state the second column is the id of the payment's latest state,
 * and there is no row when it has none. NULL: every row of that table is welcome. */
const char *schema_rule_sql(enum table table);

/** schema_leave_rules - from now on no trigger runs on db, and who writes on it asks
 * schema_rule_sql first, in the same transaction. A trigger costs ten times its question, even one
 * that has nothing to say: SQLite copies each page that the row goes to, so as to take the row
 * back, and makes the trigger's registers anew. The triggers of the ledger are for everybody else.
 * Rows of append-only tables stay as they are: a statement that would update or delete one is
 * refused when it is prepared (sqlite.org/c3ref/set_authorizer.html), as is a new trigger. Only
 * INSERT OR REPLACE, which SQLite does not ask about, is left to whoever would write one. */
void schema_leave_rules(sqlite3 *db);

/** schema_connect - open a connection with the settings every connection has.
 * STORE_OK, or STORE_BROKEN with reason; *out is untouched then. */
enum store_result schema_connect(sqlite3 **out, char reason[256], const char *path,
    bool read_only) MUST_CHECK;

/** schema_migrate - bring db to SCHEMA_VERSION, each step in a transaction.
 * STORE_OK, STORE_NEWER_SCHEMA, or STORE_BROKEN (not ours, damaged, disk). An
 * empty file is version 0. */
enum store_result schema_migrate(sqlite3 *db, char reason[256]) MUST_CHECK;

/** First column of the first row of a statement that takes no parameters; NULL as 0. */
bool schema_number(int64_t *out, sqlite3 *db, const char *sql) MUST_CHECK;

/** "what: the database's words" into reason. */
void schema_reason(char reason[256], const char *what, sqlite3 *db);

#endif
