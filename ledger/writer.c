/* ledger/writer.c - see writer.h. */
#include "ledger/writer.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/thread.h"
#include "common/wait.h"
#include "ledger/account.h"
#include "ledger/checkpointer.h"
#include "ledger/footing.h"
#include "ledger/journal.h"
#include "ledger/redo.h"

/* The log is to begin anew when it has LOG_PAGES (32 MB, in older ledgers 64): that makes the next
 * commit wait, so it is not to come often, and a start after a crash reads all of the log.
 * REST_PAGES are so few that the writer itself copies them, after the callers have been told, in
 * some milliseconds with the disk's; or it copies whatever there is, when the log has become twice
 * as long as it should, because commits came faster than rounds can copy. A test that ends the
 * process in a checkpoint has a few dozen calls for it. */
#ifdef FAULT_BUILD
#define LOG_PAGES  160
#define REST_PAGES 40
#else
#define LOG_PAGES  16000
#define REST_PAGES 500
#endif
/* Pages that the log grows by between two rounds of the checkpointer. A round writes a page once
 * however often it was changed, so that fewer are cheaper. */
#define ROUND_PAGES (LOG_PAGES / 4)
/* Expired rows of the answer cache taken out per group: more than one group adds, small
 * enough not to be felt. Once one finds fewer there are none until a second later. */
#define PURGE_COUNT 64
#define PURGE_US    CLOCK_US_PER_S
#define PURGE_ROWS  "64"
/* Bytes of an answer's headers and body; lengths stand in the row, so no body is read. */
#define ANSWER_SIZE "length(CAST(headers AS BLOB)) + length(body)"
/* While the disk fails it is tried this often, with or without traffic: soon enough that
 * nobody waits for it, seldom enough not to be felt. */
#define RETRY_MS 1000u
/* A batch that nobody waits for is applied at once, so that the next signature finds nothing but
 * its own rows to be done; but it lets others join it for this long before it is committed, unless
 * somebody comes who does wait: a commit that has just begun for an audit row would be in the way
 * of the next signature, and costs as much for one row as for many. Not long, because what is not
 * on the disk is lost with the power; and so many at most, because their memory is, and the
 * pages they are in are to fit into the cache. */
#define LINGER_MS      5u
#define LINGER_BATCHES 256u
#define LINGER_SIZE    (1u << 20)
/* How often an expected batch is looked for before the thread sleeps again: some 100 us where
 * nobody else wants the core. A signature takes 40. */
#define EXPECT_LOOKS 300
/* Kept batches written in one group: what a try costs while the disk still fails, since every
 * new append tries again. */
#define RETRY_BATCHES 64u
/* Bytes of kept batches above which those that may be given up are. An audit row or a
 * settlement takes 2 KB, so that it is their number that counts; but an answer of 256 KB may
 * be in an audit row's company. */
#define KEPT_SIZE_MAX ((size_t)STORE_KEPT_MAX * 2560)

struct chain {
	struct digest head;
	int64_t count;
	int64_t last; /* id of the journal's last row; the record chain's last seq */
};

/* What the writer knows of the end of the ledger, as of the rows applied so far. */
struct tail {
	struct chain journal, record;
	/* what the answers take; -1: to be summed again. Not kept while there is no limit */
	int64_t answers_size;
};

enum writer_statement {
	WRITER_BEGIN = 0,
	WRITER_COMMIT,
	WRITER_ROLLBACK,
	WRITER_SAVEPOINT,
	WRITER_RELEASE,
	WRITER_ROLLBACK_TO,
	WRITER_RECORD,
	WRITER_POSTING,
	WRITER_PENDING,
	WRITER_NOT_PENDING,
	WRITER_PAYMENT,
	WRITER_PURGE_KEYS,
	WRITER_PURGE_ANSWERS,
	WRITER_ANSWER_SIZE,
	WRITER_ANSWERS_SIZE,
	WRITER_OLDEST_ANSWER,
	WRITER_PROBE,
	WRITER_STATEMENTS,
};

static const char *const statement_sql[WRITER_STATEMENTS] = {
	[WRITER_BEGIN] = "BEGIN IMMEDIATE",
	[WRITER_COMMIT] = "COMMIT",
	[WRITER_ROLLBACK] = "ROLLBACK",
	[WRITER_SAVEPOINT] = "SAVEPOINT batch",
	[WRITER_RELEASE] = "RELEASE batch",
	[WRITER_ROLLBACK_TO] = "ROLLBACK TO batch",
	[WRITER_RECORD] = "INSERT INTO record (seq, kind, row, hash) VALUES (?1, ?2, ?3, ?4)",
	[WRITER_POSTING] = "INSERT INTO posting (journal, account, amount) VALUES (?1, ?2, ?3)",
	[WRITER_PENDING] = "INSERT INTO pending (payment) VALUES (?1)",
	[WRITER_NOT_PENDING] = "DELETE FROM pending WHERE payment = ?1",
	[WRITER_PAYMENT] = NULL, /* all columns of one payment: schema_select_sql */
	[WRITER_PURGE_KEYS] =
	    "DELETE FROM idempotency WHERE (agent, key) IN (SELECT agent, key FROM idempotency"
	    " WHERE expires_us <= ?1 LIMIT " PURGE_ROWS ")",
	[WRITER_PURGE_ANSWERS] = "DELETE FROM answer WHERE call IN (SELECT call FROM answer"
				 " WHERE expires_us <= ?1 LIMIT " PURGE_ROWS
				 ") RETURNING " ANSWER_SIZE,
	[WRITER_ANSWER_SIZE] = "SELECT " ANSWER_SIZE " FROM answer WHERE call = ?1",
	[WRITER_ANSWERS_SIZE] = "SELECT coalesce(sum(" ANSWER_SIZE "), 0) FROM answer",
	[WRITER_OLDEST_ANSWER] = "DELETE FROM answer WHERE call = (SELECT min(call) FROM answer)"
				 " RETURNING " ANSWER_SIZE,
	[WRITER_PROBE] = NULL, /* the version as it is: a page is written all the same */
};

/* schema_rule_sql of a table. */
struct rule {
	sqlite3_stmt *stmt; /* NULL: none */
	size_t column_count, columns[SCHEMA_COLUMNS_MAX]; /* of the row, one for each parameter */
};

/* Batches in the order in which they were handed over. */
struct queue {
	struct batch *first, **last;
	size_t count, size;
};

struct writer {
	sqlite3 *db;
	_Atomic int64_t *last_id;
	struct head_slot *slot; /* NULL: none */
	struct redo *redo;      /* put into under the lock; NULL: none */
	sqlite3_stmt *statements[WRITER_STATEMENTS];
	sqlite3_stmt *inserts[TABLE_LAST + 1];
	struct rule rules[TABLE_LAST + 1];
	struct tail tail, committed; /* committed: before the group at hand */
	bool heads_known;            /* else they are read again from the disk, after a failure */
	struct head known; /* rows of the journal that need not be counted */
	struct footings *footings;
	struct buf from, to; /* names of the accounts of the journal row at hand */
	size_t answers_added; /* by the group at hand */
	int64_t purge_us;     /* when rows of the cache that have expired are looked for again */
	bool careful;         /* the group at hand has a batch that is refused */
	struct checkpointer *checkpointer;
	/* Pages of the log as of the last commit; those that are copied into the database, as far
	 * as is known; and how many there are to be before more are. */
	int log_pages, copied_pages, round_pages;
	bool round_is_old; /* the log has begun anew since the last round did */
	bool log_stays; /* a sync failed: it must not begin anew (ledger/checkpointer.h) */
	char failure[256]; /* of the group at hand; "" when none */
	/* The group at hand: applied in a transaction that is open, or being applied. */
	struct queue group;
	struct wait_end linger_end; /* it is committed then */
	/* Batches nobody waits for, whose commit failed: older than all that is queued. The
	 * writer thread's. */
	struct queue kept;

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	/* under lock: */
	struct queue fresh;
	_Atomic size_t awaited; /* of fresh: somebody waits for them. Read without it as well */
	bool expected; /* one more soon */
	bool stopping;
	bool asleep; /* to be woken for any batch, not only for one that somebody waits for */
	enum store_result health; /* changed by the writer thread alone */
	char reason[256];

	_Atomic size_t queued;
	_Atomic int64_t answers_max;
};

static void queue_init(struct queue *queue)
{
	*queue = (struct queue){.last = &queue->first};
}

static void queue_add(struct queue *queue, struct batch *batch)
{
	batch->next = NULL;
	*queue->last = batch;
	queue->last = &batch->next;
	queue->count++;
	queue->size += batch->size;
}

static struct batch *queue_take(struct queue *queue)
{
	struct batch *batch = queue->first;

	queue->first = batch->next;
	if (queue->first == NULL)
		queue->last = &queue->first;
	queue->count--;
	queue->size -= batch->size;
	return batch;
}

/* All of one queue to the end of another. */
static void queue_append(struct queue *to, struct queue *from)
{
	if (from->first == NULL)
		return;
	*to->last = from->first;
	to->last = from->last;
	to->count += from->count;
	to->size += from->size;
	queue_init(from);
}

/* What applying a row can come to: OK, a refusal of this batch alone (NOT_FOUND, EXISTS),
 * or BROKEN, which ends the group. */
static enum store_result outcome(struct writer *writer, int rc)
{
	if (rc == SQLITE_DONE || rc == SQLITE_ROW || rc == SQLITE_OK)
		return STORE_OK;
	if (rc == SQLITE_CONSTRAINT_FOREIGNKEY)
		return STORE_NOT_FOUND;
	if ((rc & 0xff) == SQLITE_CONSTRAINT)
		return STORE_EXISTS;
	if (writer->failure[0] == '\0')
		schema_reason(writer->failure, "cannot write to the ledger", writer->db);
	return STORE_BROKEN;
}

/* A refusal that is not a taken name or key is our own mistake: say which one. */
static void log_refusal(struct writer *writer, const char *table)
{
	int rc = sqlite3_extended_errcode(writer->db);

	if (writer->careful && rc != SQLITE_CONSTRAINT_UNIQUE &&
	    rc != SQLITE_CONSTRAINT_PRIMARYKEY && rc != SQLITE_CONSTRAINT_TRIGGER)
		log_event(LOG_ERROR, "row_refused", "table", table, "reason",
		    sqlite3_errmsg(writer->db), NULL);
}

static enum store_result run_bound(struct writer *writer, sqlite3_stmt *stmt, const char *table)
{
	enum store_result result = outcome(writer, sqlite3_step(stmt));

	if (result == STORE_NOT_FOUND || result == STORE_EXISTS)
		log_refusal(writer, table);
	sqlite3_reset(stmt);
	return result;
}

static enum store_result run(struct writer *writer, enum writer_statement which)
{
	return run_bound(writer, writer->statements[which], "");
}

static void bind_value(sqlite3_stmt *stmt, int index, const struct value *value)
{
	switch (value->type) {
	case VALUE_NULL:
		sqlite3_bind_null(stmt, index);
		return;
	case VALUE_INT:
		sqlite3_bind_int64(stmt, index, value->number);
		return;
	case VALUE_TEXT:
		sqlite3_bind_text64(stmt, index, value->bytes, value->size, SQLITE_STATIC,
		    SQLITE_UTF8);
		return;
	case VALUE_BLOB:
		sqlite3_bind_blob64(stmt, index, value->bytes, value->size, SQLITE_STATIC);
		return;
	}
}

static void bind_row(sqlite3_stmt *stmt, const struct value *values, size_t count)
{
	for (size_t i = 0; i < count; i++)
		bind_value(stmt, (int)i + 1, &values[i]);
}

int64_t writer_next_id(_Atomic int64_t *last_id, int64_t now_us)
{
	int64_t last = atomic_load(last_id), next;

	do {
		next = now_us > last ? now_us : last + 1;
	} while (!atomic_compare_exchange_weak(last_id, &last, next));
	return next;
}

/* May the row be written? STORE_EXISTS: no. Where latest is not NULL it is the second number that
 * the rule has, 0 where there is none. */
static enum store_result ask_rule(struct writer *writer, enum table table,
    const struct value *values, int64_t *latest)
{
	const struct rule *rule = &writer->rules[table];
	enum store_result result;
	int rc;

	if (rule->stmt == NULL)
		return STORE_OK;
	for (size_t i = 0; i < rule->column_count; i++)
		bind_value(rule->stmt, (int)i + 1, &values[rule->columns[i]]);
	rc = sqlite3_step(rule->stmt);
	result = outcome(writer, rc);
	if (rc == SQLITE_ROW && sqlite3_column_int(rule->stmt, 0) != 0)
		result = STORE_EXISTS;
	if (rc == SQLITE_ROW && latest != NULL)
		*latest = sqlite3_column_int64(rule->stmt, 1);
	sqlite3_reset(rule->stmt);
	return result;
}

/* A row of the record chain: the row itself and its place in the chain. */
static enum store_result apply_recorded(struct writer *writer, enum table table,
    const struct value *values)
{
	const struct table_form *form = schema_table(table);
	sqlite3_stmt *stmt = writer->inserts[table];
	int64_t seq = writer->tail.record.count + 1;
	struct digest hash;
	enum store_result result;

	bind_row(stmt, values, form->column_count);
	result = run_bound(writer, stmt, form->name);
	if (result != STORE_OK)
		return result;
	hash = record_hash(&writer->tail.record.head, seq, table, values);
	stmt = writer->statements[WRITER_RECORD];
	sqlite3_bind_int64(stmt, 1, seq);
	sqlite3_bind_int64(stmt, 2, table);
	sqlite3_bind_int64(stmt, 3, values[0].number);
	sqlite3_bind_blob(stmt, 4, hash.bytes, DIGEST_SIZE, SQLITE_STATIC);
	result = run_bound(writer, stmt, "record");
	if (result != STORE_OK)
		return result;
	writer->tail.record = (struct chain){.head = hash, .count = seq, .last = seq};
	return STORE_OK;
}

/* What reading or writing a balance comes to. */
static enum store_result footing_outcome(struct writer *writer, int rc)
{
	if (rc != SQLITE_MISMATCH)
		return outcome(writer, rc);
	if (writer->failure[0] == '\0')
		snprintf(writer->failure, sizeof(writer->failure),
		    "the balance of an account was changed by another hand: run ledger verify");
	return STORE_BROKEN;
}

/* Opens the account when this is its first posting. */
static enum store_result find_account(struct footing **out, struct writer *writer, const char *name,
    enum account_role role, const struct journal_row *row, int64_t now_us)
{
	struct value values[SCHEMA_COLUMNS_MAX];
	enum store_result result;
	int64_t id;
	int rc = footing_find(out, writer->footings, name, row->network, row->asset);

	if (rc != SQLITE_DONE)
		return footing_outcome(writer, rc);
	id = writer_next_id(writer->last_id, now_us);
	values[0] = value_int(id);
	values[1] = value_text(name);
	values[2] = value_text(row->network);
	values[3] = value_text(row->asset);
	values[4] = value_text(row->symbol);
	values[5] = value_int(role);
	values[6] = value_int(account_kind_of(role));
	values[7] = account_is_of_agent(role) ? value_int(row->agent) : value_text(NULL);
	result = apply_recorded(writer, TABLE_ACCOUNT, values);
	if (result != STORE_OK)
		return result;
	rc = footing_open(out, writer->footings, id, name, row->network, row->asset);
	return footing_outcome(writer, rc);
}

/* The digest that a sign row's hash covers. Its payment has been applied before it, in its
 * own batch: those are the bytes that were written, and need not be read again. */
static enum store_result payment_digest(
    struct digest *out, struct writer *writer, const struct batch *batch, int64_t payment)
{
	sqlite3_stmt *stmt = writer->statements[WRITER_PAYMENT];
	size_t column_count = schema_table(TABLE_PAYMENT)->column_count;
	struct value values[SCHEMA_COLUMNS_MAX];
	enum store_result result;
	int rc;

	for (const struct record *record = batch->first; record != NULL; record = record->next) {
		if (record->table == TABLE_PAYMENT && record->values[0].number == payment) {
			*out = journal_row_digest(TABLE_PAYMENT, record->values);
			return STORE_OK;
		}
	}
	sqlite3_bind_int64(stmt, 1, payment);
	rc = sqlite3_step(stmt);
	result = rc == SQLITE_DONE ? STORE_NOT_FOUND : outcome(writer, rc);
	if (result == STORE_OK) {
		journal_values(values, stmt, column_count);
		*out = journal_row_digest(TABLE_PAYMENT, values);
	}
	sqlite3_reset(stmt);
	return result;
}

static enum store_result apply_posting(struct writer *writer, int64_t journal,
    struct footing *footing, int64_t amount)
{
	sqlite3_stmt *stmt = writer->statements[WRITER_POSTING];

	/* A sum that does not fit is refused like a row that does not. */
	if (!footing_add(writer->footings, footing, amount))
		return STORE_EXISTS;
	sqlite3_bind_int64(stmt, 1, journal);
	sqlite3_bind_int64(stmt, 2, footing_account(footing));
	sqlite3_bind_int64(stmt, 3, amount);
	return run_bound(writer, stmt, "posting");
}

/* The list of payments that the journal has opened and not ended. */
static enum store_result apply_pending(struct writer *writer, const struct journal_row *row)
{
	bool opens = row->event == JOURNAL_SIGN || row->event == JOURNAL_REOPEN;
	bool ends = row->event == JOURNAL_SETTLE ||
	    (row->event == JOURNAL_REFUND && !row->from_spent);
	sqlite3_stmt *stmt = writer->statements[opens ? WRITER_PENDING : WRITER_NOT_PENDING];

	if (!opens && !ends)
		return STORE_OK;
	sqlite3_bind_int64(stmt, 1, row->payment);
	return run_bound(writer, stmt, "pending");
}

static enum store_result apply_journal_to(
    struct writer *writer, const struct batch *batch, struct record *record)
{
	const struct table_form *form = schema_table(TABLE_JOURNAL);
	const struct journal_row *row = record->journal;
	const char *from = buf_str(&writer->from), *to = buf_str(&writer->to);
	struct posting postings[2] = {{from, -row->amount}, {to, row->amount}};
	sqlite3_stmt *stmt = writer->inserts[TABLE_JOURNAL];
	struct digest hash, payment;
	enum account_role from_role, to_role;
	struct footing *from_footing, *to_footing;
	int64_t id, now_us = batch->now_us;
	enum store_result result;

	account_roles(&from_role, &to_role, row);
	result = find_account(&from_footing, writer, from, from_role, row, now_us);
	if (result == STORE_OK)
		result = find_account(&to_footing, writer, to, to_role, row, now_us);
	if (result == STORE_OK && row->event == JOURNAL_SIGN)
		result = payment_digest(&payment, writer, batch, row->payment);
	if (result == STORE_OK)
		result = ask_rule(writer, TABLE_JOURNAL, record->values, NULL);
	if (result != STORE_OK)
		return result;

	id = writer_next_id(writer->last_id, now_us);
	record->values[0] = value_int(id);
	hash = journal_hash(&writer->tail.journal.head, record->values, postings, 2,
	    row->event == JOURNAL_SIGN ? &payment : NULL);
	bind_row(stmt, record->values, form->column_count);
	sqlite3_bind_blob(stmt, (int)form->column_count + 1, hash.bytes, DIGEST_SIZE,
	    SQLITE_STATIC);
	result = run_bound(writer, stmt, "journal");
	if (result == STORE_OK)
		result = apply_posting(writer, id, from_footing, -row->amount);
	if (result == STORE_OK)
		result = apply_posting(writer, id, to_footing, row->amount);
	if (result == STORE_OK)
		result = apply_pending(writer, row);
	if (result == STORE_OK)
		writer->tail.journal = (struct chain){
		    .head = hash, .count = writer->tail.journal.count + 1, .last = id};
	return result;
}

static enum store_result apply_journal(
    struct writer *writer, const struct batch *batch, struct record *record)
{
	buf_clear(&writer->from);
	buf_clear(&writer->to);
	account_names(&writer->from, &writer->to, NULL, NULL, record->journal);
	if (buf_ok(&writer->from) && buf_ok(&writer->to))
		return apply_journal_to(writer, batch, record);
	log_event(LOG_ERROR, "row_refused", "table", "journal", "reason", "account name too long",
	    NULL);
	return STORE_EXISTS;
}

/* States of a payment stand in the order in which they are written: the latest decides. */
static enum store_result apply_state(struct writer *writer, struct value *values, int64_t now_us)
{
	int64_t latest = 0;
	enum store_result result = ask_rule(writer, TABLE_PAYMENT_STATE, values, &latest);

	if (result != STORE_OK)
		return result;
	if (latest > values[0].number)
		values[0] = value_int(writer_next_id(writer->last_id, now_us));
	return apply_recorded(writer, TABLE_PAYMENT_STATE, values);
}

static enum store_result apply_payment(struct writer *writer, const struct value *values)
{
	enum store_result result = ask_rule(writer, TABLE_PAYMENT, values, NULL);

	return result == STORE_OK ? apply_recorded(writer, TABLE_PAYMENT, values) : result;
}

/* The first number that a statement returns, 0 without a row; one that changes rows is run
 * to its end. */
static enum store_result run_number(struct writer *writer, enum writer_statement which,
    int64_t *out, size_t *row_count)
{
	sqlite3_stmt *stmt = writer->statements[which];
	int64_t sum = 0;
	size_t count = 0;
	enum store_result result;
	int rc;

	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		sum += sqlite3_column_int64(stmt, 0);
		count++;
	}
	result = outcome(writer, rc);
	sqlite3_reset(stmt);
	if (result == STORE_OK) {
		*out = sum;
		*row_count = count;
	}
	return result;
}

static bool bounds_answers(struct writer *writer)
{
	return atomic_load(&writer->answers_max) != INT64_MAX;
}

/* Before an answer is written: what it adds, less what it takes the place of. */
static enum store_result count_answer(struct writer *writer, const struct record *record)
{
	enum store_result result = STORE_OK;
	int64_t before = 0;
	size_t rows;

	if (!bounds_answers(writer)) {
		writer->tail.answers_size = -1;
		return STORE_OK;
	}
	if (writer->tail.answers_size < 0)
		result = run_number(writer, WRITER_ANSWERS_SIZE, &writer->tail.answers_size, &rows);
	sqlite3_bind_int64(
	    writer->statements[WRITER_ANSWER_SIZE], 1, record->values[0].number);
	if (result == STORE_OK)
		result = run_number(writer, WRITER_ANSWER_SIZE, &before, &rows);
	if (result == STORE_OK) {
		writer->tail.answers_size +=
		    (int64_t)(record->values[2].size + record->values[3].size);
		writer->tail.answers_size -= before;
		writer->answers_added++;
	}
	return result;
}

/* The oldest answers go until the rest fits: as many as this group has added, and some more,
 * so that a limit which was lowered is reached without a long stop. While their sum is not
 * known nothing has been added to it. */
static enum store_result drop_answers(struct writer *writer)
{
	int64_t max = atomic_load(&writer->answers_max), size;
	size_t allowed = writer->answers_added + PURGE_COUNT, rows = 1;
	enum store_result result = STORE_OK;

	while (result == STORE_OK && rows > 0 && allowed > 0 && writer->tail.answers_size > max) {
		result = run_number(writer, WRITER_OLDEST_ANSWER, &size, &rows);
		if (result == STORE_OK)
			writer->tail.answers_size -= size;
		allowed--;
	}
	return result;
}

static enum store_result apply_cached(struct writer *writer, struct record *record, int64_t now_us)
{
	sqlite3_stmt *stmt = writer->inserts[record->table];
	const char *name = schema_table(record->table)->name;
	enum store_result result;

	if (record->table == TABLE_ANSWER) {
		result = count_answer(writer, record);
		if (result != STORE_OK)
			return result;
	}
	bind_row(stmt, record->values, record->value_count);
	if (record->table == TABLE_IDEMPOTENCY)
		sqlite3_bind_int64(stmt, (int)record->value_count + 1, now_us);
	result = run_bound(writer, stmt, name);
	if (result == STORE_OK && sqlite3_changes(writer->db) == 0)
		result = STORE_EXISTS;
	return result;
}

static enum store_result apply_record(
    struct writer *writer, const struct batch *batch, struct record *record)
{
	int64_t now_us = batch->now_us;

	must(record->value_count == schema_table(record->table)->column_count);
	if (record->table == TABLE_JOURNAL)
		return apply_journal(writer, batch, record);
	if (record->table == TABLE_PAYMENT_STATE)
		return apply_state(writer, record->values, now_us);
	if (record->table == TABLE_PAYMENT)
		return apply_payment(writer, record->values);
	if (schema_table(record->table)->recorded)
		return apply_recorded(writer, record->table, record->values);
	return apply_cached(writer, record, now_us);
}

/* Journal rows last, whatever the order in the batch: a sign row covers its payment. */
static enum store_result apply_rows(struct writer *writer, struct batch *batch)
{
	enum store_result result = STORE_OK;

	for (int journal = 0; journal <= 1; journal++) {
		for (struct record *record = batch->first; record != NULL && result == STORE_OK;
		    record = record->next) {
			if ((record->table == TABLE_JOURNAL) == journal)
				result = apply_record(writer, batch, record);
		}
	}
	return result;
}

/* Is a batch there after all, whose commit seemed to fail? It is there as a whole or not at
 * all, and ids are given out once, so one row that has one answers for it. A batch of nothing
 * but caches has none, and is written again without harm. */
static enum store_result look_for_batch(bool *found, struct writer *writer,
    const struct batch *batch)
{
	const struct record *record = batch->first;
	char sql[96];
	sqlite3_stmt *stmt = NULL;
	int rc;

	*found = false;
	while (record != NULL && record->table != TABLE_JOURNAL &&
	    !schema_table(record->table)->recorded)
		record = record->next;
	if (record == NULL)
		return STORE_OK;
	snprintf(sql, sizeof(sql), "SELECT 1 FROM %s WHERE id = ?1",
	    schema_table(record->table)->name);
	if (sqlite3_prepare_v2(writer->db, sql, -1, &stmt, NULL) != SQLITE_OK)
		return outcome(writer, SQLITE_ERROR);
	sqlite3_bind_int64(stmt, 1, record->values[0].number);
	rc = sqlite3_step(stmt);
	*found = rc == SQLITE_ROW;
	sqlite3_finalize(stmt);
	return outcome(writer, rc);
}

static enum store_result write_balances(struct writer *writer)
{
	return footing_outcome(writer, footings_write(writer->footings));
}

/* One batch in its savepoint: all of it, or nothing and the chains as they were. */
static enum store_result apply_alone(struct writer *writer, struct batch *batch)
{
	struct tail before = writer->tail;

	if (run(writer, WRITER_SAVEPOINT) != STORE_OK)
		return STORE_BROKEN;
	batch->result = apply_rows(writer, batch);
	/* None is left over for the next, so that a refusal has only its own to undo. */
	if (batch->result == STORE_OK && write_balances(writer) != STORE_OK)
		return STORE_BROKEN;
	if (batch->result == STORE_BROKEN)
		return STORE_BROKEN;
	if (batch->result != STORE_OK) {
		footings_forget(writer->footings);
		writer->tail = before;
		if (run(writer, WRITER_ROLLBACK_TO) != STORE_OK)
			return STORE_BROKEN;
	}
	return run(writer, WRITER_RELEASE) == STORE_OK ? STORE_OK : STORE_BROKEN;
}

/* OK: applied, or careful and refused alone. A refusal ends a group that is not careful;
 * STORE_BROKEN ends any. */
static enum store_result apply_batch(struct writer *writer, struct batch *batch)
{
	bool found = false;

	if (batch->uncertain && look_for_batch(&found, writer, batch) != STORE_OK)
		return STORE_BROKEN;
	batch->result = STORE_OK;
	if (found)
		return STORE_OK;
	if (writer->careful)
		return apply_alone(writer, batch);
	batch->result = apply_rows(writer, batch);
	return batch->result;
}

/* The stored hash of the last row; 32 zero bytes before the first. The statement counts the rows
 * after ?1: those up to there are known. */
static bool read_head(
    struct chain *out, sqlite3 *db, const char *sql, const struct head *known)
{
	struct chain chain = {.count = 0};
	sqlite3_stmt *stmt = NULL;
	bool ok = false;
	int rc;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
		return false;
	sqlite3_bind_int64(stmt, 1, known->last);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW && sqlite3_column_bytes(stmt, 1) == DIGEST_SIZE) {
		chain.last = sqlite3_column_int64(stmt, 0);
		chain.count = known->rows + sqlite3_column_int64(stmt, 2);
		memcpy(chain.head.bytes, sqlite3_column_blob(stmt, 1), DIGEST_SIZE);
		ok = true;
	}
	ok = ok || rc == SQLITE_DONE;
	sqlite3_finalize(stmt);
	if (ok)
		*out = chain;
	return ok;
}

static bool read_heads(struct writer *writer)
{
	writer->heads_known =
	    read_head(&writer->tail.journal, writer->db,
		"SELECT id, hash, (SELECT count(*) FROM journal WHERE id > ?1) FROM journal"
		" ORDER BY id DESC LIMIT 1",
		&writer->known) &&
	    read_head(&writer->tail.record, writer->db,
		"SELECT seq, hash, seq - ?1 FROM record ORDER BY seq DESC LIMIT 1",
		&(struct head){.rows = 0});
	if (writer->heads_known || writer->failure[0] != '\0')
		return writer->heads_known;
	if (sqlite3_errcode(writer->db) == SQLITE_OK)
		snprintf(writer->failure, sizeof(writer->failure),
		    "the last row of the ledger is damaged");
	else
		schema_reason(writer->failure, "cannot read the end of the ledger", writer->db);
	return false;
}

/* Fewer than allowed were there: no more for a while. A clock that was set back is not waited
 * for. */
static bool purge_is_due(const struct writer *writer, int64_t now_us)
{
	return now_us >= writer->purge_us || now_us < writer->purge_us - PURGE_US;
}

static enum store_result purge_expired(struct writer *writer, int64_t now_us)
{
	enum store_result result;
	int64_t size = 0;
	size_t keys, answers;

	sqlite3_bind_int64(writer->statements[WRITER_PURGE_KEYS], 1, now_us);
	result = run(writer, WRITER_PURGE_KEYS);
	if (result != STORE_OK)
		return result;
	keys = (size_t)sqlite3_changes(writer->db);
	sqlite3_bind_int64(writer->statements[WRITER_PURGE_ANSWERS], 1, now_us);
	result = run_number(writer, WRITER_PURGE_ANSWERS, &size, &answers);
	if (result != STORE_OK)
		return result;
	if (writer->tail.answers_size >= 0)
		writer->tail.answers_size -= size;
	if (keys < PURGE_COUNT && answers < PURGE_COUNT)
		writer->purge_us = now_us + PURGE_US;
	return STORE_OK;
}

/* What the cache holds too much of. */
static enum store_result trim_cache(struct writer *writer, int64_t now_us)
{
	enum store_result result = STORE_OK;

	if (purge_is_due(writer, now_us))
		result = purge_expired(writer, now_us);
	return result == STORE_OK ? drop_answers(writer) : result;
}

/* After a failure a page is written whatever the group holds: an empty group asks the disk
 * alone, and one with nothing new to write does not pass for health. */
static enum store_result begin(struct writer *writer)
{
	writer->answers_added = 0;
	FAULT_POINT("begin");
	if (run(writer, WRITER_BEGIN) != STORE_OK)
		return STORE_BROKEN;
	FAULT_POINT("begun");
	return writer->health == STORE_OK ? STORE_OK : run(writer, WRITER_PROBE);
}

static enum store_result apply_from(struct writer *writer, struct batch *first)
{
	enum store_result result;

	for (struct batch *batch = first; batch != NULL; batch = batch->next) {
		result = apply_batch(writer, batch);
		if (result != STORE_OK)
			return result;
		FAULT_POINT("batch applied");
	}
	return STORE_OK;
}

static enum store_result begin_group(struct writer *writer)
{
	if (!writer->heads_known && !read_heads(writer))
		return STORE_BROKEN;
	writer->committed = writer->tail;
	writer->careful = false;
	return begin(writer);
}

/* A savepoint costs a copy of every page that its batch writes to, and a refusal is seldom: so
 * there are none at first, and a group with a batch that is refused is begun once more. */
static enum store_result begin_carefully(struct writer *writer)
{
	writer->tail = writer->committed;
	footings_forget(writer->footings);
	writer->careful = true;
	if (run(writer, WRITER_ROLLBACK) != STORE_OK || begin(writer) != STORE_OK)
		return STORE_BROKEN;
	return apply_from(writer, writer->group.first);
}

/* More batches to the group at hand, which is begun when there is none; STORE_OK or
 * STORE_BROKEN. */
static enum store_result join_group(struct writer *writer, struct queue *more)
{
	struct batch *first = more->first;
	enum store_result result = STORE_OK;

	queue_append(&writer->group, more);
	if (sqlite3_get_autocommit(writer->db))
		result = begin_group(writer);
	if (result == STORE_OK)
		result = apply_from(writer, first);
	if (result != STORE_OK && result != STORE_BROKEN)
		result = begin_carefully(writer);
	return result == STORE_OK ? STORE_OK : STORE_BROKEN;
}

static enum store_result commit_group(struct writer *writer)
{
	const struct batch *first = writer->group.first;

	if (first != NULL && trim_cache(writer, first->now_us) != STORE_OK)
		return STORE_BROKEN;
	if (write_balances(writer) != STORE_OK)
		return STORE_BROKEN;
	for (struct batch *batch = writer->group.first; batch != NULL; batch = batch->next)
		batch->uncertain = true;
	FAULT_POINT("commit");
	return run(writer, WRITER_COMMIT) == STORE_OK ? STORE_OK : STORE_BROKEN;
}

static void set_health(struct writer *writer, enum store_result health)
{
	bool changed;

	pthread_mutex_lock(&writer->lock);
	changed = writer->health != health;
	writer->health = health;
	memcpy(writer->reason, writer->failure, sizeof(writer->reason));
	pthread_mutex_unlock(&writer->lock);
	if (changed)
		log_event(health == STORE_OK ? LOG_WARN : LOG_ERROR,
		    health == STORE_OK ? "ledger_restored" : "ledger_broken", "reason",
		    health == STORE_OK ? NULL : writer->failure, NULL);
}

/* Everything of the group or nothing; what is known about the disk is forgotten, because
 * after a failed commit only the disk can say what it holds. */
static void abandon_group(struct writer *writer)
{
	/* Whether a group is open is what SQLite says: one that stayed open would be committed with
	 * the next, after its callers were told that it failed. The prepared statement takes no
	 * memory; should it fail all the same, what is not committed goes with the process. */
	if (!sqlite3_get_autocommit(writer->db))
		(void)run(writer, WRITER_ROLLBACK);
	must(sqlite3_get_autocommit(writer->db));
	writer->heads_known = false;
	writer->tail.answers_size = -1;
	footings_forget(writer->footings);
	for (struct batch *batch = writer->group.first; batch != NULL; batch = batch->next)
		batch->result = STORE_BROKEN;
}

static void end_batch(struct writer *writer, struct batch *batch)
{
	atomic_fetch_sub(&writer->queued, 1);
	if (batch->redo != 0)
		redo_drop(writer->redo, batch->redo);
	if (batch->done != NULL)
		batch->done(batch->result, batch->arg);
	else if (batch->result != STORE_OK && batch->result != STORE_BROKEN)
		/* The first of two ends of a payment wins; but nobody else will say so. */
		log_event(LOG_WARN, "batch_refused", "table",
		    batch->first == NULL ? NULL : schema_table(batch->first->table)->name,
		    "reason", store_result_str(batch->result), NULL);
	batch_free(&batch);
}

static void log_count(enum log_level level, const char *event, size_t count)
{
	char text[24];

	snprintf(text, sizeof(text), "%zu", count);
	log_event(level, event, "batches", text, NULL);
}

static bool keeps_too_much(const struct writer *writer)
{
	return writer->kept.count > STORE_KEPT_MAX || writer->kept.size > KEPT_SIZE_MAX;
}

/* What can be given up goes, the oldest first, until what is kept fits. Payments and money
 * stay: while the disk fails nothing is signed, so there are only as many as there were
 * calls in flight. */
static void give_up_some(struct writer *writer)
{
	struct queue all;
	size_t given_up = 0;

	if (!keeps_too_much(writer))
		return;
	queue_init(&all);
	queue_append(&all, &writer->kept);
	while (all.first != NULL) {
		struct batch *batch = queue_take(&all);
		bool fits = writer->kept.count + all.count < STORE_KEPT_MAX &&
		    writer->kept.size + all.size + batch->size <= KEPT_SIZE_MAX;

		if (fits || !batch_is_expendable(batch)) {
			queue_add(&writer->kept, batch);
			continue;
		}
		end_batch(writer, batch);
		given_up++;
	}
	if (given_up > 0)
		log_count(LOG_ERROR, "ledger_rows_given_up", given_up);
}

/* Those who wait are told; what nobody waits for stays in front of all that comes after. */
static void keep_or_tell(struct writer *writer, struct queue *group)
{
	while (group->first != NULL) {
		struct batch *batch = queue_take(group);

		if (batch->done == NULL)
			queue_add(&writer->kept, batch);
		else
			end_batch(writer, batch);
	}
	give_up_some(writer);
}

/* One that has reached the end, or was held up by somebody who reads an older state, is not
 * repeated before there is more to do. */
static void note_checkpoint(struct writer *writer, const struct checkpoint *checkpoint)
{
	bool gains = checkpoint->copied_pages > writer->copied_pages;

	/* What is committed stays safe in the log; if the disk is at fault the next commit
	 * finds out and stops payments. */
	if (checkpoint->rc != SQLITE_OK)
		log_event(checkpoint->lost ? LOG_ERROR : LOG_WARN, "ledger_checkpoint_failed",
		    "reason", sqlite3_errstr(checkpoint->rc), "remedy",
		    checkpoint->lost ? "look after the disk, then restart" : NULL, NULL);
	else
		writer->copied_pages = checkpoint->copied_pages;
	writer->log_stays = writer->log_stays || checkpoint->lost;
	writer->round_pages = writer->log_pages;
	if (!gains || writer->log_pages < LOG_PAGES)
		writer->round_pages += ROUND_PAGES;
}

/* Right after a commit: see ledger/checkpointer.h for what that is worth. */
static void checkpoint_when_due(struct writer *writer)
{
	struct checkpoint checkpoint;
	bool too_long = writer->log_pages >= 2 * LOG_PAGES;
	int rest;

	if (too_long)
		checkpointer_wait(writer->checkpointer);
	if (checkpointer_ended(writer->checkpointer, &checkpoint)) {
		if (writer->round_is_old)
			checkpoint.copied_pages = 0;
		note_checkpoint(writer, &checkpoint);
	}
	rest = writer->log_pages - writer->copied_pages;
	if (checkpointer_is_busy(writer->checkpointer) || writer->log_stays || rest <= 0 ||
	    writer->log_pages < writer->round_pages)
		return;
	if (writer->log_pages < LOG_PAGES || (rest > REST_PAGES && !too_long)) {
		writer->round_is_old = false;
		checkpointer_begin(writer->checkpointer);
		return;
	}
	FAULT_POINT("checkpoint");
	checkpoint = checkpoint_run(writer->db);
	note_checkpoint(writer, &checkpoint);
	FAULT_POINT("checkpoint done");
}

static void end_checkpoints(struct writer *writer)
{
	struct checkpoint last;

	checkpointer_stop(&writer->checkpointer, &last);
	note_checkpoint(writer, &last);
}

/* A process that was killed between writing a commit and syncing it has left that in the log, where
 * it is read like any other. Nobody was told of it; but from here on it is told, its payments are
 * sent again to whoever repeats his call, and DIR/head names it: so it must not go with the power.
 * Only a sync, which takes no room, so that a ledger on a full disk can still be opened. */
static bool sync_log(struct writer *writer)
{
	sqlite3_file *file = NULL;
	int rc = sqlite3_file_control(writer->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file);

	/* The heads have been read, so the log is open. */
	must(rc == SQLITE_OK && file != NULL && file->pMethods != NULL);
	rc = file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
	if (rc == SQLITE_OK)
		return true;
	snprintf(writer->failure, sizeof(writer->failure),
	    "cannot sync the end of the ledger: %s", sqlite3_errstr(rc));
	/* Nor may closing copy from a log that is lost if the power goes in the middle of that. */
	sqlite3_db_config(writer->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
	return false;
}

static struct heads heads_of(const struct writer *writer)
{
	const struct chain *journal = &writer->tail.journal, *record = &writer->tail.record;

	return (struct heads){{journal->count, journal->last, journal->head},
	    {record->count, record->last, record->head}};
}

/* What is durable now, a second time outside the database (ledger/head.h). */
static void put_heads(struct writer *writer)
{
	struct heads heads = heads_of(writer);

	if (writer->slot != NULL)
		head_slot_put(writer->slot, &heads);
}

/* Writes the group at hand with some more batches and tells whoever waits; the batches of a group
 * that failed are left in it. */
static enum store_result write_group(struct writer *writer, struct queue *more)
{
	enum store_result result;

	writer->failure[0] = '\0';
	result = join_group(writer, more);
	if (result == STORE_OK)
		result = commit_group(writer);
	if (result != STORE_OK)
		abandon_group(writer);
	else {
		FAULT_POINT("committed");
		put_heads(writer);
		FAULT_POINT("head written");
	}
	set_health(writer, result);
	while (result == STORE_OK && writer->group.first != NULL)
		end_batch(writer, queue_take(&writer->group));
	FAULT_POINT("callers told");
	checkpoint_when_due(writer);
	return result;
}

/* What nobody waits for is in the transaction before somebody comes who does. */
static void apply_early(struct writer *writer, struct queue *more)
{
	enum store_result result;

	writer->failure[0] = '\0';
	result = join_group(writer, more);
	FAULT_POINT("applied early");
	if (result == STORE_OK)
		return;
	abandon_group(writer);
	set_health(writer, result);
	keep_or_tell(writer, &writer->group);
}

/* A few at a time, so that a disk that still fails costs no more than those few. */
static enum store_result write_kept(struct writer *writer)
{
	enum store_result result = STORE_OK;
	size_t count = writer->kept.count;
	struct queue some;

	queue_init(&some);
	while (result == STORE_OK && writer->kept.first != NULL) {
		while (writer->kept.first != NULL && some.count < RETRY_BATCHES)
			queue_add(&some, queue_take(&writer->kept));
		result = write_group(writer, &some);
	}
	/* What failed stands in front again. */
	if (result != STORE_OK) {
		queue_append(&writer->group, &writer->kept);
		queue_append(&writer->kept, &writer->group);
	}
	if (count > 0 && result == STORE_OK)
		log_count(LOG_WARN, "ledger_caught_up", count);
	return result;
}

/* While something is kept nothing is applied early: what is kept goes first. */
static void write_all(struct writer *writer, struct queue *fresh)
{
	bool kept = writer->kept.first != NULL;

	must(!kept || writer->group.first == NULL);
	if (write_kept(writer) != STORE_OK) {
		for (struct batch *batch = fresh->first; batch != NULL; batch = batch->next)
			batch->result = STORE_BROKEN;
		keep_or_tell(writer, fresh);
		return;
	}
	if (kept && fresh->first == NULL)
		return;
	if (write_group(writer, fresh) != STORE_OK)
		keep_or_tell(writer, &writer->group);
}

static bool applies_early(const struct writer *writer)
{
	return writer->health == STORE_OK && writer->kept.first == NULL;
}

static bool commit_is_due(const struct writer *writer)
{
	return writer->awaited > 0 || writer->stopping ||
	    writer->group.count + writer->fresh.count >= LINGER_BATCHES ||
	    writer->group.size + writer->fresh.size >= LINGER_SIZE;
}

/* Sleeping, and being woken, takes longer than what is expected. Whoever else wants the core has
 * it meanwhile; so does the lock. */
static void look_out(struct writer *writer)
{
	writer->expected = false;
	pthread_mutex_unlock(&writer->lock);
	for (int i = 0; i < EXPECT_LOOKS && atomic_load(&writer->awaited) == 0; i++)
		sched_yield();
	pthread_mutex_lock(&writer->lock);
}

/* Until there is something to apply, or, true, to commit; or after RETRY_MS, when the disk is to
 * be tried. Under the lock. What comes within a linger of the last group wakes nobody for an audit
 * row: while calls follow one another the thread is woken for their payments alone. */
static bool wait_for_batches(struct writer *writer)
{
	bool woken = true;

	for (;;) {
		if (commit_is_due(writer))
			return true;
		if (writer->fresh.first != NULL && applies_early(writer))
			return false;
		if (writer->expected) {
			look_out(writer);
			continue;
		}
		if (wait_until(&writer->wake, &writer->lock, &writer->linger_end))
			continue;
		/* The time may have run out just as somebody called, who does not call again. */
		if (writer->group.first != NULL || writer->fresh.first != NULL ||
		    writer->stopping || !woken)
			return true;
		writer->asleep = true;
		if (writer->health == STORE_OK)
			pthread_cond_wait(&writer->wake, &writer->lock);
		else
			woken = wait_ms(&writer->wake, &writer->lock, RETRY_MS);
		writer->asleep = false;
		writer->linger_end = wait_end_in(LINGER_MS);
	}
}

/* What was handed over since, to be applied, or to be committed with all that was applied before;
 * nothing, when the disk is to be tried. False: the end. */
static bool next_batches(struct queue *out, bool *commit, struct writer *writer)
{
	bool stopping;

	pthread_mutex_lock(&writer->lock);
	*commit = wait_for_batches(writer);
	stopping = writer->stopping;
	queue_init(out);
	queue_append(out, &writer->fresh);
	writer->awaited = 0;
	pthread_mutex_unlock(&writer->lock);
	return out->first != NULL || writer->group.first != NULL || !stopping;
}

/* The disk fails to the end: what is in DIR/redo stays there for the next start. */
static void leave_kept(struct writer *writer)
{
	size_t left = 0, lost = 0;

	while (writer->kept.first != NULL) {
		struct batch *batch = queue_take(&writer->kept);

		atomic_fetch_sub(&writer->queued, 1);
		if (batch->redo != 0)
			left++;
		else
			lost++;
		batch_free(&batch);
	}
	if (left > 0)
		log_count(LOG_ERROR, "ledger_rows_left_for_next_start", left);
	if (lost > 0)
		log_count(LOG_ERROR, "ledger_rows_lost", lost);
}

static void *writer_main(void *arg)
{
	struct writer *writer = arg;
	struct queue batches;
	bool commit;

	(void)pthread_setname_np(pthread_self(), "tw-writer");
	while (next_batches(&batches, &commit, writer)) {
		if (commit) {
			write_all(writer, &batches);
			writer->linger_end = wait_end_in(LINGER_MS);
		} else {
			apply_early(writer, &batches);
		}
	}
	if (write_kept(writer) != STORE_OK)
		leave_kept(writer);
	end_checkpoints(writer);
	return NULL;
}

/* After each commit that has written. */
static int note_log_pages(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct writer *writer = arg;

	(void)db;
	(void)name;
	/* It has begun anew. */
	if (pages <= writer->log_pages) {
		writer->round_is_old = true;
		writer->copied_pages = 0;
		writer->round_pages = ROUND_PAGES;
	}
	writer->log_pages = pages;
	return SQLITE_OK;
}

static bool prepare(sqlite3_stmt **out, sqlite3 *db, const char *sql)
{
	return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) == SQLITE_OK;
}

static bool prepare_rule(struct writer *writer, enum table table)
{
	const struct table_form *form = schema_table(table);
	struct rule *rule = &writer->rules[table];
	const char *sql = schema_rule_sql(table);
	size_t column;

	if (sql == NULL)
		return true;
	if (!prepare(&rule->stmt, writer->db, sql))
		return false;
	rule->column_count = (size_t)sqlite3_bind_parameter_count(rule->stmt);
	must(rule->column_count <= SCHEMA_COLUMNS_MAX);
	for (size_t i = 0; i < rule->column_count; i++) {
		const char *name = sqlite3_bind_parameter_name(rule->stmt, (int)i + 1) + 1;

		for (column = 0; strcmp(form->columns[column], name) != 0; column++)
			must(column + 1 < form->column_count);
		rule->columns[i] = column;
	}
	return true;
}

static bool prepare_all(struct writer *writer)
{
	char *sql;
	bool ok = true;

	for (int which = 0; which < WRITER_STATEMENTS && ok; which++) {
		if (statement_sql[which] != NULL)
			ok = prepare(&writer->statements[which], writer->db, statement_sql[which]);
	}
	for (int table = TABLE_FIRST; table <= TABLE_LAST && ok; table++) {
		sql = schema_insert_sql((enum table)table);
		ok = prepare(&writer->inserts[table], writer->db, sql) &&
		    prepare_rule(writer, (enum table)table);
		free(sql);
	}
	if (ok) {
		sql = schema_select_sql(TABLE_PAYMENT, "", "WHERE id = ?1");
		ok = prepare(&writer->statements[WRITER_PAYMENT], writer->db, sql);
		free(sql);
	}
	if (ok) {
		char probe[64];

		snprintf(probe, sizeof(probe), "PRAGMA user_version = %d", SCHEMA_VERSION);
		ok = prepare(&writer->statements[WRITER_PROBE], writer->db, probe);
	}
	if (ok)
		writer->footings = footings_new(writer->db);
	return ok && writer->footings != NULL;
}

static void finalize_all(struct writer *writer)
{
	for (int which = 0; which < WRITER_STATEMENTS; which++)
		sqlite3_finalize(writer->statements[which]);
	for (int table = TABLE_FIRST; table <= TABLE_LAST; table++) {
		sqlite3_finalize(writer->inserts[table]);
		sqlite3_finalize(writer->rules[table].stmt);
	}
	if (writer->footings != NULL)
		footings_free(&writer->footings);
}

/* --- what the last process has left (ledger/redo.h) --------------------- */

static void collect_batch(struct batch *batch, void *arg)
{
	struct queue *queue = arg;

	batch->uncertain = true;
	queue_add(queue, batch);
}

static void discard(struct queue *queue)
{
	while (queue->first != NULL) {
		struct batch *batch = queue_take(queue);

		batch_free(&batch);
	}
}

/* Not ours, or not this ledger's: it stays under another name, for whoever wants to know. */
static void set_redo_aside(const char *path, const char *reason)
{
	char *aside = must_format("%s.unused", path);

	log_event(LOG_WARN, "redo_not_used", "reason", reason, "kept_as", aside, NULL);
	if (rename(path, aside) != 0)
		log_event(LOG_WARN, "redo_not_set_aside", "reason", strerror(errno), NULL);
	free(aside);
}

/* False, with failure, where it cannot be read: who starts without it starts without those rows. */
static bool collect_left(struct queue *out, struct writer *writer, const char *path)
{
	char reason[256] = "it was damaged, or another version of tallyward has written it";
	struct heads heads = {.journal = {.rows = 0}};
	enum redo_result result = redo_read(&heads, path, collect_batch, out);

	if (result == REDO_IO) {
		snprintf(writer->failure, sizeof(writer->failure),
		    "cannot read %.120s, where the last process left rows: %s", path,
		    strerror(errno));
		return false;
	}
	if (out->first != NULL && !head_in(reason, writer->db, &heads)) {
		discard(out);
		set_redo_aside(path, reason);
	} else if (result == REDO_DAMAGED) {
		set_redo_aside(path, reason);
	}
	return true;
}

/* Ids are given out once, also those of rows that no table has yet. */
static void note_ids(_Atomic int64_t *last_id, const struct batch *batch)
{
	for (const struct record *record = batch->first; record != NULL; record = record->next) {
		int64_t id = record->values[0].number;

		if (schema_table(record->table)->recorded && id > atomic_load(last_id))
			atomic_store(last_id, id);
	}
}

static bool open_redo(struct writer *writer, const char *path, const struct queue *left)
{
	struct heads heads = heads_of(writer);
	struct redo *redo = redo_open(path, &heads);

	if (redo == NULL)
		return false;
	for (struct batch *batch = left->first; batch != NULL; batch = batch->next)
		batch->redo = redo_put(redo, batch);
	if (!redo_publish(redo)) {
		int error = errno;

		for (struct batch *batch = left->first; batch != NULL; batch = batch->next)
			batch->redo = 0;
		redo_close(&redo);
		errno = error;
		return false;
	}
	writer->redo = redo;
	return true;
}

/* Before the thread runs. Where there can be no new file the old one stays, and what is in it is
 * found in the ledger by the next start. */
static bool take_over_redo(struct writer *writer, const char *path)
{
	struct queue left;

	queue_init(&left);
	if (!collect_left(&left, writer, path))
		return false;
	for (struct batch *batch = left.first; batch != NULL; batch = batch->next)
		note_ids(writer->last_id, batch);
	if (!open_redo(writer, path, &left))
		log_event(LOG_WARN, "redo_not_opened", "path", path, "reason", strerror(errno),
		    "hint", "what is not committed yet is lost when the process is killed", NULL);
	if (left.count > 0)
		log_count(LOG_INFO, "ledger_rows_recovered", left.count);
	atomic_fetch_add(&writer->queued, left.count);
	queue_append(&writer->fresh, &left);
	return true;
}

static void writer_free(struct writer **writer)
{
	redo_close(&(*writer)->redo);
	finalize_all(*writer);
	buf_fini(&(*writer)->from);
	buf_fini(&(*writer)->to);
	pthread_cond_destroy(&(*writer)->wake);
	pthread_mutex_destroy(&(*writer)->lock);
	free(*writer);
	*writer = NULL;
}

enum store_result writer_start(struct writer **out, char reason[256], sqlite3 *db,
    _Atomic int64_t *last_id, const struct head *known, struct head_slot *slot, const char *redo)
{
	struct writer *writer = must_calloc(1, sizeof(*writer));

	writer->db = db;
	writer->last_id = last_id;
	writer->known = *known;
	writer->slot = slot;
	queue_init(&writer->fresh);
	queue_init(&writer->kept);
	queue_init(&writer->group);
	writer->linger_end = wait_end_in(LINGER_MS);
	buf_init(&writer->from, ACCOUNT_NAME_SIZE_MAX);
	buf_init(&writer->to, ACCOUNT_NAME_SIZE_MAX);
	writer->tail.answers_size = -1;
	atomic_init(&writer->answers_max, INT64_MAX);
	must(pthread_mutex_init(&writer->lock, NULL) == 0);
	wait_init(&writer->wake);
	schema_leave_rules(db);
	if (!prepare_all(writer))
		schema_reason(writer->failure, "cannot read the ledger", db);
	if (writer->failure[0] != '\0' || !read_heads(writer) || !sync_log(writer) ||
	    (redo != NULL && !take_over_redo(writer, redo))) {
		memcpy(reason, writer->failure, sizeof(writer->failure));
		writer_free(&writer);
		return STORE_BROKEN;
	}
	put_heads(writer);
	if (checkpointer_start(&writer->checkpointer, reason, sqlite3_db_filename(db, "main")) !=
	    STORE_OK) {
		discard(&writer->fresh);
		writer_free(&writer);
		return STORE_BROKEN;
	}
	writer->round_pages = ROUND_PAGES;
	sqlite3_wal_hook(db, note_log_pages, writer);
	if (!thread_start(&writer->thread, writer_main, writer)) {
		snprintf(reason, 256, "cannot start the thread that writes the ledger");
		sqlite3_wal_hook(db, NULL, NULL);
		end_checkpoints(writer);
		discard(&writer->fresh);
		writer_free(&writer);
		return STORE_BROKEN;
	}
	*out = writer;
	return STORE_OK;
}

void writer_stop(struct writer **writer)
{
	sqlite3 *db = (*writer)->db;
	bool log_stays;

	pthread_mutex_lock(&(*writer)->lock);
	(*writer)->stopping = true;
	pthread_cond_signal(&(*writer)->wake);
	pthread_mutex_unlock(&(*writer)->lock);
	must(pthread_join((*writer)->thread, NULL) == 0);
	log_stays = (*writer)->log_stays;
	writer_free(writer);
	/* Closing copies what this could not; but not after a sync that failed, by which what was
	 * copied before may be lost: then all of it stays in the log (ledger/checkpointer.h). */
	if (!log_stays)
		log_stays = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL,
				NULL) == SQLITE_IOERR_FSYNC;
	if (log_stays)
		sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
	must(sqlite3_close(db) == SQLITE_OK);
}

void writer_append(struct writer *writer, struct batch **batch, store_done_fn *done, void *arg)
{
	struct batch *added = *batch;
	/* Somebody waits for it, or it is a step of a payment whose next may be; else the first, if
	 * the thread sleeps, or when there are enough. */
	bool wake = done != NULL || !batch_is_expendable(added);

	*batch = NULL;
	added->done = done;
	added->arg = arg;
	added->result = STORE_OK;
	atomic_fetch_add(&writer->queued, 1);
	pthread_mutex_lock(&writer->lock);
	must(!writer->stopping);
	if ((done == NULL || added->outlives) && writer->redo != NULL)
		added->redo = redo_put(writer->redo, added);
	queue_add(&writer->fresh, added);
	writer->awaited += done != NULL;
	wake = wake || (writer->asleep && writer->fresh.count == 1) ||
	    writer->fresh.count >= LINGER_BATCHES || writer->fresh.size >= LINGER_SIZE;
	pthread_mutex_unlock(&writer->lock);
	/* Woken under the lock it would go to sleep again for the lock. */
	if (wake)
		pthread_cond_signal(&writer->wake);
}

void writer_expect(struct writer *writer)
{
	pthread_mutex_lock(&writer->lock);
	writer->expected = true;
	pthread_mutex_unlock(&writer->lock);
	pthread_cond_signal(&writer->wake);
}

size_t writer_queued(const struct writer *writer)
{
	return atomic_load(&writer->queued);
}

void writer_set_answers_max(struct writer *writer, int64_t bytes)
{
	atomic_store(&writer->answers_max, bytes);
}

enum store_result writer_health(struct writer *writer, char reason[256])
{
	enum store_result health;

	pthread_mutex_lock(&writer->lock);
	health = writer->health;
	if (health != STORE_OK)
		memcpy(reason, writer->reason, sizeof(writer->reason));
	pthread_mutex_unlock(&writer->lock);
	return health;
}
