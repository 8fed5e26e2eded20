/* ledger/proof_call.c - which rows are about one call, and what each hash covers. */
#include <stdlib.h>
#include <string.h>

#include "ledger/proof.h"
#include "ledger/store_parts.h"

/* More postings than a transaction has are counted, and wrong: ledger/verify.c. */
#define POSTINGS_MAX 8u
/* A call signs one payment and may send another's again. */
#define PAYMENTS_MAX 16u

struct wanted {
	enum table table;
	int64_t id;
	int64_t seq; /* in the record chain; 0: not found */
};

/* What the rows are looked for by. Texts are copies. */
struct subject {
	int64_t call, agent, signed_us;
	int64_t first; /* the earliest call that has to do with it */
	char *session, *tool;
	int64_t payments[PAYMENTS_MAX];
	size_t payment_count;
};

struct search {
	sqlite3 *db;
	struct subject subject;
	struct wanted rows[PROOF_ROWS_MAX];
	size_t count;
	bool broken, too_many;
};

static void want(struct search *search, enum table table, int64_t id)
{
	if (id == 0)
		return;
	for (size_t i = 0; i < search->count; i++) {
		if (search->rows[i].table == table && search->rows[i].id == id)
			return;
	}
	if (search->count == PROOF_ROWS_MAX) {
		search->too_many = true;
		return;
	}
	search->rows[search->count++] = (struct wanted){.table = table, .id = id};
}

static sqlite3_stmt *prepare(struct search *search, const char *sql)
{
	sqlite3_stmt *stmt = NULL;

	if (sqlite3_prepare_v2(search->db, sql, -1, &stmt, NULL) != SQLITE_OK)
		search->broken = true;
	return stmt;
}

static bool next(struct search *search, sqlite3_stmt *stmt)
{
	int rc = stmt == NULL ? SQLITE_DONE : sqlite3_step(stmt);

	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		search->broken = true;
	return rc == SQLITE_ROW;
}

/* The ids a query gives: ?1 to ?3 numbers, ?4 text. */
static void want_all(struct search *search, enum table table, const char *sql, int64_t first,
    int64_t second, int64_t third, const char *text)
{
	sqlite3_stmt *stmt = prepare(search, sql);

	if (stmt != NULL) {
		sqlite3_bind_int64(stmt, 1, first);
		sqlite3_bind_int64(stmt, 2, second);
		sqlite3_bind_int64(stmt, 3, third);
		sqlite3_bind_text(stmt, 4, text, -1, SQLITE_STATIC);
	}
	while (next(search, stmt))
		want(search, table, sqlite3_column_int64(stmt, 0));
	sqlite3_finalize(stmt);
}

/* --- the subject ------------------------------------------------------------- */

static void take_text(char **out, sqlite3_stmt *stmt, int column)
{
	const char *text = (const char *)sqlite3_column_text(stmt, column);

	if (*out == NULL && text != NULL)
		*out = must_strdup(text);
}

static void add_payment(struct search *search, int64_t payment)
{
	struct subject *subject = &search->subject;

	if (payment == 0)
		return;
	for (size_t i = 0; i < subject->payment_count; i++) {
		if (subject->payments[i] == payment)
			return;
	}
	if (subject->payment_count == PAYMENTS_MAX)
		search->too_many = true;
	else
		subject->payments[subject->payment_count++] = payment;
}

/* agent, session, tool and payment of every row that names the call, the audit row first:
 * a crash may have left the others without it. */
static const char *const subject_sql[] = {
    "SELECT agent, session, tool, payment, signed_us FROM audit WHERE id = ?1 AND kind = 1",
    "SELECT agent, session, tool, payment, NULL FROM journal WHERE call = ?1 ORDER BY id",
};

static bool find_subject(struct search *search)
{
	struct subject *subject = &search->subject;
	bool any = false;

	for (size_t i = 0; i < sizeof(subject_sql) / sizeof(subject_sql[0]); i++) {
		sqlite3_stmt *stmt = prepare(search, subject_sql[i]);

		if (stmt != NULL)
			sqlite3_bind_int64(stmt, 1, subject->call);
		while (next(search, stmt)) {
			any = true;
			if (subject->agent == 0)
				subject->agent = sqlite3_column_int64(stmt, 0);
			take_text(&subject->session, stmt, 1);
			take_text(&subject->tool, stmt, 2);
			add_payment(search, sqlite3_column_int64(stmt, 3));
			if (subject->signed_us == 0)
				subject->signed_us = sqlite3_column_int64(stmt, 4);
		}
		sqlite3_finalize(stmt);
	}
	return any;
}

/* Where the audit row is missing, the payment says when it was signed, and for whom. */
static void read_payments(struct search *search)
{
	struct subject *subject = &search->subject;
	sqlite3_stmt *stmt =
	    prepare(search, "SELECT call, agent, session, tool FROM payment WHERE id = ?1");

	subject->first = subject->call;
	for (size_t i = 0; i < subject->payment_count && stmt != NULL; i++) {
		sqlite3_bind_int64(stmt, 1, subject->payments[i]);
		if (next(search, stmt)) {
			int64_t call = sqlite3_column_int64(stmt, 0);

			if (call < subject->first)
				subject->first = call;
			if (subject->agent == 0)
				subject->agent = sqlite3_column_int64(stmt, 1);
			take_text(&subject->session, stmt, 2);
			take_text(&subject->tool, stmt, 3);
			if (call == subject->call && subject->signed_us == 0)
				subject->signed_us = subject->payments[i];
		}
		sqlite3_reset(stmt);
	}
	sqlite3_finalize(stmt);
}

/* --- its rows -------------------------------------------------------------------- */

static void want_policy(struct search *search, int64_t at_us, const char *default_policy)
{
	size_t before = search->count;

	want_all(search, TABLE_POLICY, "SELECT max(id) FROM policy WHERE agent = ?1 AND id <= ?2",
	    search->subject.agent, at_us, 0, NULL);
	/* Also when it was there already: then it is the agent's own. */
	if (search->count > before)
		return;
	for (size_t i = 0; i < search->count; i++) {
		if (search->rows[i].table == TABLE_POLICY && search->rows[i].id <= at_us)
			return;
	}
	want_all(search, TABLE_SETTING, "SELECT max(id) FROM setting WHERE name = ?4 AND id <= ?1",
	    at_us, 0, 0, default_policy);
}

/* As of the signature, from which on it counts; without one, as of the call. */
static void want_tool_setting(struct search *search, const char *prefix)
{
	const struct subject *subject = &search->subject;
	char *name = must_format("%s%s", prefix, subject->tool);

	want_all(search, TABLE_SETTING, "SELECT max(id) FROM setting WHERE name = ?4 AND id <= ?1",
	    subject->signed_us != 0 ? subject->signed_us : subject->call, 0, 0, name);
	free(name);
}

static void want_rows(struct search *search, const struct proof_settings *settings)
{
	const struct subject *subject = &search->subject;
	int64_t call = subject->call, agent = subject->agent;

	want_all(search, TABLE_JOURNAL, "SELECT id FROM journal WHERE call = ?1", call, 0, 0, NULL);
	want_all(search, TABLE_AUDIT, "SELECT id FROM audit WHERE id = ?1 AND kind = 1", call, 0, 0,
	    NULL);
	for (size_t i = 0; i < subject->payment_count; i++) {
		int64_t payment = subject->payments[i];

		want_all(search, TABLE_JOURNAL, "SELECT id FROM journal WHERE payment = ?1",
		    payment, 0, 0, NULL);
		want_all(search, TABLE_PAYMENT, "SELECT id FROM payment WHERE id = ?1", payment, 0,
		    0, NULL);
		want_all(search, TABLE_PAYMENT_STATE,
		    "SELECT id FROM payment_state WHERE payment = ?1", payment, 0, 0, NULL);
		want_all(search, TABLE_EVIDENCE, "SELECT id FROM evidence WHERE payment = ?1",
		    payment, 0, 0, NULL);
		want_all(search, TABLE_DELIVERY,
		    "SELECT id FROM delivery WHERE agent = ?1 AND payment = ?2", agent, payment, 0,
		    NULL);
		want_all(search, TABLE_AUDIT,
		    "SELECT id FROM audit WHERE agent = ?1 AND id >= ?2 AND payment = ?3", agent,
		    subject->first, payment, NULL);
	}
	want_all(search, TABLE_DELIVERY, "SELECT id FROM delivery WHERE agent = ?1 AND call = ?2",
	    agent, call, 0, NULL);
	want_all(search, TABLE_AGENT, "SELECT id FROM agent WHERE id = ?1", agent, 0, 0, NULL);
	want_all(search, TABLE_AGENT_ADDRESS,
	    "SELECT max(id) FROM agent_address WHERE agent = ?1 AND id <= ?2", agent, call, 0,
	    NULL);
	want_all(search, TABLE_TOKEN, "SELECT id FROM token WHERE session = ?4", 0, 0, 0,
	    subject->session);
	want_all(search, TABLE_TOKEN_REVOKED, "SELECT id FROM token_revoked WHERE session = ?4", 0,
	    0, 0, subject->session);
	want_all(search, TABLE_TOOL, "SELECT max(id) FROM tool WHERE name = ?4 AND id <= ?1", call,
	    0, 0, subject->tool);
	if (subject->tool != NULL)
		want_tool_setting(search, settings->of_tool);
	if (agent != 0)
		want_policy(search, call, settings->default_policy);
	if (agent != 0 && subject->signed_us != 0)
		want_policy(search, subject->signed_us, settings->default_policy);
}

/* record has no index by row: it is read once for all. */
static void find_places(struct search *search)
{
	sqlite3_stmt *stmt = prepare(search, "SELECT kind, row, seq FROM record");

	while (next(search, stmt)) {
		int64_t kind = sqlite3_column_int64(stmt, 0), id = sqlite3_column_int64(stmt, 1);

		for (size_t i = 0; i < search->count; i++) {
			struct wanted *row = &search->rows[i];

			if (row->id == id && (int64_t)row->table == kind)
				row->seq = sqlite3_column_int64(stmt, 2);
		}
	}
	sqlite3_finalize(stmt);
}

/* The journal's rows by id, then the others by their place in the record. */
static int compare_wanted(const void *a, const void *b)
{
	const struct wanted *one = a, *two = b;
	bool one_journal = one->table == TABLE_JOURNAL, two_journal = two->table == TABLE_JOURNAL;
	int64_t one_key = one_journal ? one->id : one->seq;
	int64_t two_key = two_journal ? two->id : two->seq;

	if (one_journal != two_journal)
		return one_journal ? -1 : 1;
	return one_key < two_key ? -1 : one_key > two_key;
}

/* --- what a hash covers --------------------------------------------------------------- */

static bool read_digest(struct digest *out, sqlite3_stmt *stmt, int column)
{
	if (sqlite3_column_bytes(stmt, column) != DIGEST_SIZE)
		return false;
	memcpy(out->bytes, sqlite3_column_blob(stmt, column), DIGEST_SIZE);
	return true;
}

/* number, hash and the hash before, of a journal row by id or a record row by seq. */
static const char journal_place_sql[] =
    "SELECT (SELECT count(*) FROM journal WHERE id <= ?1),"
    " (SELECT hash FROM journal WHERE id = ?1),"
    " (SELECT hash FROM journal WHERE id < ?1 ORDER BY id DESC LIMIT 1)";
static const char record_place_sql[] = "SELECT ?1, (SELECT hash FROM record WHERE seq = ?1),"
				       " (SELECT hash FROM record WHERE seq = ?1 - 1)";

static bool read_place(struct proof_row *out, struct search *search, const struct wanted *wanted)
{
	bool journal = wanted->table == TABLE_JOURNAL, ok = false;
	sqlite3_stmt *stmt = prepare(search, journal ? journal_place_sql : record_place_sql);

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, journal ? wanted->id : wanted->seq);
	if (next(search, stmt)) {
		out->number = sqlite3_column_int64(stmt, 0);
		out->before = (struct digest){{0}};
		ok = read_digest(&out->hash, stmt, 1) &&
		     (out->number == 1 || read_digest(&out->before, stmt, 2));
	}
	sqlite3_finalize(stmt);
	return ok;
}

struct sides {
	struct posting postings[POSTINGS_MAX];
	char *names[POSTINGS_MAX];
	size_t count;
};

static void read_sides(struct sides *out, struct search *search, int64_t journal)
{
	sqlite3_stmt *stmt = prepare(search,
	    "SELECT a.name, p.amount FROM posting p LEFT JOIN account a ON a.id = p.account"
	    " WHERE p.journal = ?1 ORDER BY p.amount, a.name");

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, journal);
	while (next(search, stmt) && out->count < POSTINGS_MAX) {
		const char *name = (const char *)sqlite3_column_text(stmt, 0);

		out->names[out->count] = must_strdup(name == NULL ? "" : name);
		out->postings[out->count] =
		    (struct posting){out->names[out->count], sqlite3_column_int64(stmt, 1)};
		out->count++;
	}
	sqlite3_finalize(stmt);
}

static bool give_row(
    struct search *search, const struct wanted *wanted, proof_row_fn *each, void *arg)
{
	char *sql = schema_select_sql(wanted->table, "", "WHERE id = ?1");
	struct proof_row row = {.table = wanted->table};
	struct value values[SCHEMA_COLUMNS_MAX];
	struct sides sides = {.count = 0};
	sqlite3_stmt *stmt = prepare(search, sql);
	bool go_on = false;

	if (stmt != NULL)
		sqlite3_bind_int64(stmt, 1, wanted->id);
	if (next(search, stmt) && read_place(&row, search, wanted)) {
		journal_values(values, stmt, schema_table(wanted->table)->column_count);
		row.values = values;
		if (wanted->table == TABLE_JOURNAL)
			read_sides(&sides, search, wanted->id);
		row.postings = sides.postings;
		row.posting_count = sides.count;
		if (!search->broken)
			go_on = each(&row, arg);
	} else {
		search->broken = true;
	}
	sqlite3_finalize(stmt);
	for (size_t i = 0; i < sides.count; i++)
		free(sides.names[i]);
	free(sql);
	return go_on;
}

static enum proof_result search_call(
    struct search *search, const struct proof_settings *settings, proof_row_fn *each, void *arg)
{
	if (!find_subject(search))
		return search->broken ? PROOF_BROKEN : PROOF_NOTHING;
	read_payments(search);
	want_rows(search, settings);
	find_places(search);
	qsort(search->rows, search->count, sizeof(search->rows[0]), compare_wanted);
	if (search->too_many)
		return PROOF_TOO_MANY;
	for (size_t i = 0; i < search->count && !search->broken; i++) {
		if (!give_row(search, &search->rows[i], each, arg))
			break;
	}
	return search->broken ? PROOF_BROKEN : PROOF_OK;
}

enum proof_result proof_call(struct store *store, int64_t call,
    const struct proof_settings *settings, proof_row_fn *each, void *arg)
{
	struct reader *reader = reader_take(store->readers);
	enum proof_result result = PROOF_BROKEN;
	struct search *search;

	if (reader == NULL)
		return PROOF_BROKEN;
	search = must_calloc(1, sizeof(*search));
	search->db = reader->db;
	search->subject.call = call;
	if (sqlite3_exec(reader->db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK) {
		result = search_call(search, settings, each, arg);
		sqlite3_exec(reader->db, "COMMIT", NULL, NULL, NULL);
	}
	reader_give(store->readers, &reader);
	free(search->subject.session);
	free(search->subject.tool);
	free(search);
	return result;
}
