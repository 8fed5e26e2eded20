/* ledger/reader.c - see reader.h. */
#include "ledger/reader.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/log.h"
#include "ledger/schema.h"

struct readers {
	char *path;
	pthread_mutex_t lock;
	struct reader *idle; /* under lock */
	unsigned idle_count;
};

struct readers *readers_new(const char *path)
{
	struct readers *readers = must_calloc(1, sizeof(*readers));

	readers->path = must_strdup(path);
	must(pthread_mutex_init(&readers->lock, NULL) == 0);
	return readers;
}

static void reader_free(struct reader **reader)
{
	for (unsigned slot = 0; slot < READER_STATEMENTS_MAX; slot++)
		sqlite3_finalize((*reader)->statements[slot]);
	must(sqlite3_close((*reader)->db) == SQLITE_OK);
	free(*reader);
	*reader = NULL;
}

void readers_free(struct readers **readers)
{
	struct reader *reader, *next;

	for (reader = (*readers)->idle; reader != NULL; reader = next) {
		next = reader->next;
		reader_free(&reader);
	}
	pthread_mutex_destroy(&(*readers)->lock);
	free((*readers)->path);
	free(*readers);
	*readers = NULL;
}

struct reader *reader_take(struct readers *readers)
{
	struct reader *reader;
	char reason[256];
	sqlite3 *db;

	pthread_mutex_lock(&readers->lock);
	reader = readers->idle;
	if (reader != NULL) {
		readers->idle = reader->next;
		readers->idle_count--;
	}
	pthread_mutex_unlock(&readers->lock);
	if (reader != NULL)
		return reader;

	if (schema_connect(&db, reason, readers->path, true) != STORE_OK) {
		log_event(LOG_ERROR, "ledger_unreadable", "reason", reason, NULL);
		return NULL;
	}
	reader = must_calloc(1, sizeof(*reader));
	reader->db = db;
	return reader;
}

void reader_give(struct readers *readers, struct reader **reader)
{
	struct reader *given = *reader;

	*reader = NULL;
	pthread_mutex_lock(&readers->lock);
	if (readers->idle_count < READERS_IDLE_MAX) {
		given->next = readers->idle;
		readers->idle = given;
		readers->idle_count++;
		given = NULL;
	}
	pthread_mutex_unlock(&readers->lock);
	if (given != NULL)
		reader_free(&given);
}

sqlite3_stmt *reader_statement(struct reader *reader, unsigned slot, const char *sql)
{
	must(slot < READER_STATEMENTS_MAX);
	if (reader->statements[slot] == NULL &&
	    sqlite3_prepare_v3(reader->db, sql, -1, SQLITE_PREPARE_PERSISTENT,
		&reader->statements[slot], NULL) != SQLITE_OK) {
		log_event(LOG_ERROR, "ledger_unreadable", "reason", sqlite3_errmsg(reader->db),
		    NULL);
		return NULL;
	}
	return reader->statements[slot];
}

sqlite3_stmt *reader_prepare(struct reader *reader, const char *sql)
{
	sqlite3_stmt *stmt = NULL;

	if (sqlite3_prepare_v2(reader->db, sql, -1, &stmt, NULL) == SQLITE_OK)
		return stmt;
	log_event(LOG_ERROR, "ledger_unreadable", "reason", sqlite3_errmsg(reader->db), NULL);
	return NULL;
}

bool reader_reset(struct reader *reader, sqlite3_stmt *stmt, int rc)
{
	if (rc != SQLITE_DONE)
		log_event(
		    LOG_ERROR, "ledger_unreadable", "reason", sqlite3_errmsg(reader->db), NULL);
	sqlite3_reset(stmt);
	return rc == SQLITE_DONE;
}

bool reader_finish(struct reader *reader, sqlite3_stmt *stmt, int rc)
{
	bool ended = reader_reset(reader, stmt, rc);

	sqlite3_finalize(stmt);
	return ended;
}
