/* ledger/charge.c - what of an agent's past counts against limits: store_charges of store.h.
 *
 * Asked once for each agent that a process meets, of all that was ever written about it. Each
 * table is read in one pass, from an index that has the agent first and every column needed, or
 * nearly; what belongs together is summed here: the caller is handed as many rows as the agent
 * has tools and payees, not calls. */
#include <stdlib.h>
#include <string.h>

#include "common/table.h"
#include "ledger/store_parts.h"

/* Sums of one agent are merged when there are so many, and then whenever they have doubled. */
#define SUMS_FIRST 256u

/* A session, tool or payee. Each is stored once, so that equal ones are one pointer. */
struct word {
	char *text;
	UT_hash_handle hh;
};

struct charge {
	const struct word *session, *tool, *payee; /* or NULL */
	bool wallet;
	size_t tier; /* borders at or before it */
	int64_t at_us, spend, calls;
};

/* Of one agent. */
struct charges {
	struct charge *rows;
	size_t count, size;
};

struct charging {
	struct reader *reader;
	int64_t agent, until_us;
	size_t rows_left; /* that may still be read */
	bool too_long;	  /* there were more */
	const int64_t *borders_us;
	size_t border_count;
	charge_each_fn *each;
	first_payee_fn *first; /* or NULL */
	void *arg;
	struct word *words;
	struct word *sessions; /* by name, in no table: those whose token had not expired */
	size_t session_count, session_size;
	struct charge row; /* the one at hand; its names are those of the row before */
	bool held;	   /* it is a hold whose end may follow */
	struct charges sums, singles; /* before the last border, and since */
	size_t merge_at;	      /* count of sums */
};

static const char *column_text(sqlite3_stmt *stmt, int column)
{
	return (const char *)sqlite3_column_text(stmt, column);
}

/* --- words ---------------------------------------------------------------- */

static struct word *word_find(struct charging *charging, const char *text)
{
	struct word *word;

	HASH_FIND_STR(charging->words, text, word);
	return word;
}

static struct word *word_add(struct charging *charging, const char *text)
{
	struct word *word = must_calloc(1, sizeof(*word));

	word->text = must_strdup(text);
	HASH_ADD_KEYPTR(hh, charging->words, word->text, strlen(word->text), word);
	return word;
}

/* before: that of the previous row, which is most often the same. */
static const struct word *word_of(
    struct charging *charging, const struct word *before, const char *text)
{
	struct word *word;

	if (text == NULL || (before != NULL && strcmp(before->text, text) == 0))
		return text == NULL ? NULL : before;
	word = word_find(charging, text);
	return word != NULL ? word : word_add(charging, text);
}

static int compare_names(const void *a, const void *b)
{
	const struct word *left = a, *right = b;

	return strcmp(left->text, right->text);
}

/* A session of a sum counts only while it lives; those that are over are many, and are not
 * stored. */
static const struct word *session_of(
    struct charging *charging, const struct word *before, const char *text, int64_t at_us)
{
	const struct word wanted = {.text = (char *)(uintptr_t)text};

	if (text == NULL || at_us >= charging->borders_us[charging->border_count - 1])
		return word_of(charging, before, text);
	if (charging->session_count == 0)
		return NULL;
	return bsearch(&wanted, charging->sessions, charging->session_count,
	    sizeof(*charging->sessions), compare_names);
}

static void free_all(struct charging *charging)
{
	struct word *word, *next_word;

	HASH_ITER (hh, charging->words, word, next_word) {
		HASH_DEL(charging->words, word);
		free(word->text);
		free(word);
	}
	for (size_t i = 0; i < charging->session_count; i++)
		free(charging->sessions[i].text);
	free(charging->sessions);
	free(charging->sums.rows);
	free(charging->singles.rows);
}

/* --- sums ------------------------------------------------------ */

/* An array one longer. */
static void *grown(void *array, size_t *size, size_t count, size_t item)
{
	if (count < *size)
		return array;
	*size = *size == 0 ? 64 : *size * 2;
	return must_realloc(array, *size * item);
}

static void append(struct charges *charges, const struct charge *charge)
{
	charges->rows =
	    grown(charges->rows, &charges->size, charges->count, sizeof(*charges->rows));
	charges->rows[charges->count++] = *charge;
}

static int compare_words(const struct word *a, const struct word *b)
{
	return ((uintptr_t)a > (uintptr_t)b) - ((uintptr_t)a < (uintptr_t)b);
}

/* 0: they are summed. The order is of no meaning. */
static int compare_keys(const void *a, const void *b)
{
	const struct charge *left = a, *right = b;
	int words;

	if (left->tier != right->tier)
		return left->tier < right->tier ? -1 : 1;
	if (left->wallet != right->wallet)
		return left->wallet ? -1 : 1;
	words = compare_words(left->session, right->session);
	if (words == 0)
		words = compare_words(left->tool, right->tool);
	return words != 0 ? words : compare_words(left->payee, right->payee);
}

static int compare_times(const void *a, const void *b)
{
	const struct charge *left = a, *right = b;

	if (left->at_us != right->at_us)
		return left->at_us < right->at_us ? -1 : 1;
	if (left->wallet != right->wallet)
		return left->wallet ? -1 : 1;
	return (left->spend < right->spend) - (left->spend > right->spend);
}

static int64_t capped_add(int64_t a, int64_t b)
{
	return a > INT64_MAX - b ? INT64_MAX : a + b;
}

static void sum_up(struct charge *sum, const struct charge *charge)
{
	if (sum->at_us < charge->at_us)
		sum->at_us = charge->at_us;
	sum->spend = capped_add(sum->spend, charge->spend);
	sum->calls = capped_add(sum->calls, charge->calls);
}

static void sort(struct charges *charges, int (*compare)(const void *, const void *))
{
	if (charges->count > 1)
		qsort(charges->rows, charges->count, sizeof(*charges->rows), compare);
}

static void merge(struct charges *sums)
{
	size_t last = 0;

	sort(sums, compare_keys);
	for (size_t i = 1; i < sums->count; i++) {
		if (compare_keys(&sums->rows[last], &sums->rows[i]) == 0)
			sum_up(&sums->rows[last], &sums->rows[i]);
		else
			sums->rows[++last] = sums->rows[i];
	}
	if (sums->count != 0)
		sums->count = last + 1;
}

static void add_charge(struct charging *charging, struct charge *charge)
{
	struct charges *sums = &charging->sums;

	charge->tier = 0;
	while (charge->tier < charging->border_count &&
	       charging->borders_us[charge->tier] <= charge->at_us)
		charge->tier++;
	if (charge->tier == charging->border_count) {
		append(&charging->singles, charge);
		return;
	}
	/* Rows of one kind stand together. */
	if (sums->count != 0 && compare_keys(&sums->rows[sums->count - 1], charge) == 0) {
		sum_up(&sums->rows[sums->count - 1], charge);
		return;
	}
	append(sums, charge);
	if (sums->count >= charging->merge_at) {
		merge(sums);
		charging->merge_at =
		    sums->count < SUMS_FIRST / 2 ? SUMS_FIRST : 2 * sums->count;
	}
}

static bool tell(const struct charging *charging, const struct charges *charges)
{
	for (size_t i = 0; i < charges->count; i++) {
		const struct charge *charge = &charges->rows[i];
		struct charge_row row = {.agent = charging->agent,
		    .session = charge->session == NULL ? NULL : charge->session->text,
		    .tool = charge->tool == NULL ? NULL : charge->tool->text,
		    .payee = charge->payee == NULL ? NULL : charge->payee->text,
		    .wallet = charge->wallet,
		    .at_us = charge->at_us,
		    .spend = charge->spend,
		    .calls = charge->calls};

		if (!charging->each(&row, charging->arg))
			return false;
	}
	return true;
}

/* Oldest first, the sums before the single ones, while the caller wants more. */
static void tell_all(struct charging *charging)
{
	merge(&charging->sums);
	sort(&charging->sums, compare_times);
	sort(&charging->singles, compare_times);
	if (tell(charging, &charging->sums))
		(void)tell(charging, &charging->singles);
}

/* --- what is read -------------------------------------------------------------- */

enum past_query { PAST_SESSIONS = 0, PAST_PAYMENTS, PAST_HOLDS, PAST_CALLS, PAST_QUERIES };
_Static_assert(READER_PAST_FIRST + PAST_QUERIES <= READER_STATEMENTS_MAX, "a slot per query");

/* ?1 the agent, ?2 the end of the past, ?3 the last border or a number of rows. Rows are never
 * changed and their ids only grow, so that what stands before ?2 is the same whenever it is
 * asked. */
static const char *const past_sql[PAST_QUERIES] = {
	[PAST_SESSIONS] = "SELECT session, expires_s * 1000000 >= ?3"
			  " FROM token INDEXED BY token_agent WHERE agent = ?1 AND id < ?2",
	/* Payments that turned out unused count no more, until they are reopened. What a seller
	 * pays back later does count: it did go out (ledger/purse.h). By tool and then by call, so
	 * that of each tool the first comes first. */
	[PAST_PAYMENTS] =
	    "SELECT session, tool, payee, call, amount,"
	    " coalesce((SELECT sum(CASE j.event WHEN 5 THEN 1 ELSE -1 END)"
	    "  FROM journal j INDEXED BY journal_given WHERE j.event IN (5, 9)"
	    "  AND j.payment = p.id AND j.from_spent = 0 AND j.id < ?2), 0) > 0"
	    " FROM payment p INDEXED BY payment_charge WHERE agent = ?1 AND call < ?2"
	    " ORDER BY tool, call",
	/* A hold stands right before its end, if it has one. Before they can be put in that
	 * order all are looked at, so no more than ?3 are taken. */
	[PAST_HOLDS] =
	    "SELECT * FROM (SELECT CASE WHEN event = 6 AND session IS NULL"
	    "  THEN (SELECT a.session FROM audit a WHERE a.id = j.call) ELSE session END,"
	    " tool, call, amount, event FROM journal j INDEXED BY journal_others"
	    " WHERE agent = ?1 AND payment IS NULL AND event BETWEEN 6 AND 8 AND call < ?2"
	    " LIMIT ?3) ORDER BY call, event",
	[PAST_CALLS] = "SELECT session, tool, id FROM audit INDEXED BY audit_calls"
		       " WHERE kind = 1 AND allowed = 1 AND agent = ?1 AND id < ?2"
		       " ORDER BY session, tool",
};

static void add_session(struct charging *charging, sqlite3_stmt *stmt)
{
	if (sqlite3_column_int(stmt, 1) == 0)
		return;
	charging->sessions = grown(charging->sessions, &charging->session_size,
	    charging->session_count, sizeof(*charging->sessions));
	charging->sessions[charging->session_count++] =
	    (struct word){.text = must_strdup(column_text(stmt, 0))};
}

static void add_payment(struct charging *charging, sqlite3_stmt *stmt)
{
	struct charge *row = &charging->row;
	const struct word *before = row->tool;
	const char *payee = column_text(stmt, 2);

	row->tool = word_of(charging, before, column_text(stmt, 1));
	if (charging->first != NULL && row->tool != before && row->tool != NULL && payee != NULL)
		charging->first(charging->agent, row->tool->text, payee, charging->arg);
	if (sqlite3_column_int(stmt, 5) != 0)
		return;
	row->wallet = true;
	row->calls = 1;
	row->at_us = sqlite3_column_int64(stmt, 3);
	row->session = session_of(charging, row->session, column_text(stmt, 0), row->at_us);
	row->payee = word_of(charging, row->payee, payee);
	row->spend = sqlite3_column_int64(stmt, 4);
	add_charge(charging, row);
}

static void end_hold(struct charging *charging)
{
	if (charging->held)
		add_charge(charging, &charging->row);
	charging->held = false;
}

static void add_hold(struct charging *charging, sqlite3_stmt *stmt)
{
	struct charge *row = &charging->row;
	int64_t call = sqlite3_column_int64(stmt, 2);
	int event = sqlite3_column_int(stmt, 4);

	if (event == JOURNAL_RELEASE && charging->held && call == row->at_us)
		charging->held = false;
	end_hold(charging);
	if (event != JOURNAL_HOLD)
		return;
	charging->held = true;
	row->at_us = call;
	row->session = session_of(charging, row->session, column_text(stmt, 0), call);
	row->tool = word_of(charging, row->tool, column_text(stmt, 1));
	row->spend = sqlite3_column_int64(stmt, 3);
}

static void add_call(struct charging *charging, sqlite3_stmt *stmt)
{
	struct charge *row = &charging->row;

	row->calls = 1;
	row->at_us = sqlite3_column_int64(stmt, 2);
	row->session = session_of(charging, row->session, column_text(stmt, 0), row->at_us);
	row->tool = word_of(charging, row->tool, column_text(stmt, 1));
	add_charge(charging, row);
}

/* Of rows to be read, the one that says that there are more; negative, which is no limit, when
 * there can be none. */
static int64_t one_more(size_t rows)
{
	return rows < INT64_MAX ? (int64_t)rows + 1 : -1;
}

static bool read_rows(struct charging *charging, enum past_query query,
    void (*add)(struct charging *charging, sqlite3_stmt *stmt))
{
	sqlite3_stmt *stmt =
	    reader_statement(charging->reader, READER_PAST_FIRST + query, past_sql[query]);
	int rc;

	if (stmt == NULL)
		return false;
	charging->row = (struct charge){.wallet = false};
	sqlite3_bind_int64(stmt, 1, charging->agent);
	sqlite3_bind_int64(stmt, 2, charging->until_us);
	if (query == PAST_SESSIONS)
		sqlite3_bind_int64(stmt, 3, charging->borders_us[charging->border_count - 1]);
	if (query == PAST_HOLDS)
		sqlite3_bind_int64(stmt, 3, one_more(charging->rows_left));
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW && charging->rows_left > 0) {
		charging->rows_left--;
		add(charging, stmt);
	}
	if (rc == SQLITE_ROW) {
		charging->too_long = true;
		sqlite3_reset(stmt);
		return false;
	}
	return reader_reset(charging->reader, stmt, rc);
}

static bool read_past(struct charging *charging)
{
	if (!read_rows(charging, PAST_SESSIONS, add_session))
		return false;
	if (charging->session_count > 1)
		qsort(charging->sessions, charging->session_count, sizeof(*charging->sessions),
		    compare_names);
	if (!read_rows(charging, PAST_PAYMENTS, add_payment) ||
	    !read_rows(charging, PAST_HOLDS, add_hold))
		return false;
	end_hold(charging);
	return read_rows(charging, PAST_CALLS, add_call);
}

enum store_result store_charges(struct store *store, int64_t agent, int64_t until_us,
    size_t rows_max, const int64_t *borders_us, size_t border_count, charge_each_fn *each,
    first_payee_fn *first, void *arg)
{
	struct charging charging = {.agent = agent,
	    .until_us = until_us,
	    .rows_left = rows_max,
	    .borders_us = borders_us,
	    .border_count = border_count,
	    .each = each,
	    .first = first,
	    .arg = arg,
	    .merge_at = SUMS_FIRST};
	enum store_result result = STORE_BROKEN;

	must(border_count >= 1);
	for (size_t i = 1; i < border_count; i++)
		must(borders_us[i - 1] <= borders_us[i]);
	charging.reader = reader_take(store->readers);
	if (charging.reader == NULL)
		return STORE_BROKEN;
	if (read_past(&charging))
		result = STORE_OK;
	else if (charging.too_long)
		result = STORE_TOO_LONG;
	reader_give(store->readers, &charging.reader);
	if (result == STORE_OK)
		tell_all(&charging);
	free_all(&charging);
	return result;
}
