/* ledger/reader.h - read-only connections, a few kept warm.
 *
 * A reader belongs to one thread at a time, from take to give; no lock is held in
 * between, so a callback may take its time and may query again. What it delays is
 * only the WAL's shrinking. */
#ifndef LEDGER_READER_H
#define LEDGER_READER_H

#include <sqlite3.h>
#include <stdbool.h>

#include "ledger/store.h"

/* Warm connections kept; more exist only while more queries run at once. */
#define READERS_IDLE_MAX    4u
#define READER_STATEMENTS_MAX 48u
/* Slots from here on are ledger/charge.c's, those before ledger/query.c's. */
#define READER_PAST_FIRST 44u

struct reader {
	struct reader *next;
	sqlite3 *db;
	sqlite3_stmt *statements[READER_STATEMENTS_MAX];
};

struct readers;

struct readers *readers_new(const char *path);
/** All readers have been given back. */
void readers_free(struct readers **readers);

/** NULL when the file cannot be opened. */
struct reader *reader_take(struct readers *readers) MUST_CHECK;
void reader_give(struct readers *readers, struct reader **reader);

/** The statement kept in a slot, prepared on first use; NULL when it cannot be. */
sqlite3_stmt *reader_statement(struct reader *reader, unsigned slot, const char *sql) MUST_CHECK;
/** Its end after sqlite3_step() said rc, true when that was the end of the rows; it can be run
 * again. Says in the log what went wrong. */
bool reader_reset(struct reader *reader, sqlite3_stmt *stmt, int rc) MUST_CHECK;

/** For what is asked once: a statement of the caller's, NULL when it cannot be prepared;
 * and its end after sqlite3_step() said rc, true when that was the end of the rows. Both
 * say in the log what went wrong. */
sqlite3_stmt *reader_prepare(struct reader *reader, const char *sql) MUST_CHECK;
bool reader_finish(struct reader *reader, sqlite3_stmt *stmt, int rc) MUST_CHECK;

#endif
