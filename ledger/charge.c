/* ledger/charge.c - what counts against limits, from the first row: store_charges of store.h.
 *
 * Asked once, at start, of all that was ever written. So each table is read in one pass,
 * from an index that has every column needed, and what belongs together is summed here: the
 * caller is handed as many rows as there are agents, tools and payees, not calls. Payments,
 * holds and calls are read side by side, one agent after the other, so that what is held in
 * memory is one agent's. */
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

/* A session whose token had not expired. */
struct live_session {
	int64_t agent;
	struct word word; /* in no table */
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

struct unused {
	int64_t payment;
	UT_hash_handle hh;
};

struct agents_charge {
	int64_t agent;
	struct charge charge;
};

struct charging {
	struct reader *reader;
	const int64_t *borders_us;
	size_t border_count;
	charge_each_fn *each;
	first_payee_fn *first; /* or NULL */
	void *arg;
	struct word *words;
	struct unused *unused;
	struct live_session *sessions; /* by agent and name */
	size_t session_count, session_size;
	size_t session_first, session_end; /* where to look: all, or one agent's */
	struct agents_charge *holds; /* by agent */
	size_t hold_count, hold_size;
	struct charges sums, singles; /* before the last border, and since */
	size_t merge_at;              /* count of sums */
};

/* Rows of one table, by agent. */
struct stream {
	sqlite3_stmt *stmt;
	int rc;
	int64_t agent; /* INT64_MAX: no more */
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

static int compare_sessions(const void *a, const void *b)
{
	const struct live_session *left = a, *right = b;

	if (left->agent != right->agent)
		return left->agent < right->agent ? -1 : 1;
	return strcmp(left->word.text, right->word.text);
}

/* A session of a sum counts only while it lives; those that are over are many, and are not
 * stored. */
static const struct word *session_of(struct charging *charging, int64_t agent,
    const struct word *before, const char *text, int64_t at_us)
{
	const struct live_session *found,
	    wanted = {.agent = agent, .word = {.text = (char *)(uintptr_t)text}};

	if (text == NULL || at_us >= charging->borders_us[charging->border_count - 1])
		return word_of(charging, before, text);
	if (charging->session_first == charging->session_end)
		return NULL;
	found = bsearch(&wanted, charging->sessions + charging->session_first,
	    charging->session_end - charging->session_first, sizeof(*charging->sessions),
	    compare_sessions);
	return found == NULL ? NULL : &found->word;
}

/* Agents come in order, so that what an agent's sessions follow has been passed. */
static void look_among_sessions_of(struct charging *charging, int64_t agent)
{
	size_t at = charging->session_end;

	while (at < charging->session_count && charging->sessions[at].agent < agent)
		at++;
	charging->session_first = at;
	while (at < charging->session_count && charging->sessions[at].agent == agent)
		at++;
	charging->session_end = at;
}

static void free_all(struct charging *charging)
{
	struct word *word, *next_word;
	struct unused *unused, *next_unused;

	HASH_ITER (hh, charging->words, word, next_word) {
		HASH_DEL(charging->words, word);
		free(word->text);
		free(word);
	}
	HASH_ITER (hh, charging->unused, unused, next_unused) {
		HASH_DEL(charging->unused, unused);
		free(unused);
	}
	for (size_t i = 0; i < charging->session_count; i++)
		free(charging->sessions[i].word.text);
	free(charging->sessions);
	free(charging->holds);
	free(charging->sums.rows);
	free(charging->singles.rows);
}

/* --- charges of one agent ------------------------------------------------------ */

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

static bool tell(
    const struct charging *charging, const struct charges *charges, int64_t agent)
{
	for (size_t i = 0; i < charges->count; i++) {
		const struct charge *charge = &charges->rows[i];
		struct charge_row row = {.agent = agent,
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

/* Oldest first, the sums before the single ones. False: the caller has enough. */
static bool tell_agent(struct charging *charging, int64_t agent)
{
	bool more;

	merge(&charging->sums);
	sort(&charging->sums, compare_times);
	sort(&charging->singles, compare_times);
	more = tell(charging, &charging->sums, agent) && tell(charging, &charging->singles, agent);
	charging->sums.count = charging->singles.count = 0;
	charging->merge_at = SUMS_FIRST;
	return more;
}

/* --- what is read -------------------------------------------------------------- */

/* Sessions that may still place calls, as of the last border. */
static bool read_live_sessions(struct charging *charging)
{
	sqlite3_stmt *stmt = reader_prepare(charging->reader,
	    "SELECT agent, session FROM token WHERE expires_s * 1000000 >= ?1");
	int rc;

	if (stmt == NULL)
		return false;
	sqlite3_bind_int64(stmt, 1, charging->borders_us[charging->border_count - 1]);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		charging->sessions = grown(charging->sessions, &charging->session_size,
		    charging->session_count, sizeof(*charging->sessions));
		charging->sessions[charging->session_count++] = (struct live_session){
		    .agent = sqlite3_column_int64(stmt, 0),
		    .word = {.text = must_strdup(column_text(stmt, 1))}};
	}
	if (charging->session_count > 1)
		qsort(charging->sessions, charging->session_count, sizeof(*charging->sessions),
		    compare_sessions);
	charging->session_end = charging->session_count;
	return reader_finish(charging->reader, stmt, rc);
}

/* Payments that turned out unused count no more, until they are reopened. What a seller pays
 * back later does count: it did go out (ledger/purse.h). */
static bool read_unused(struct charging *charging)
{
	sqlite3_stmt *stmt = reader_prepare(charging->reader,
	    "SELECT payment FROM journal INDEXED BY journal_given"
	    " WHERE event IN (5, 9) AND from_spent = 0 GROUP BY payment"
	    " HAVING sum(CASE event WHEN 5 THEN 1 ELSE -1 END) > 0");
	int rc;

	if (stmt == NULL)
		return false;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct unused *unused = must_calloc(1, sizeof(*unused));

		unused->payment = sqlite3_column_int64(stmt, 0);
		HASH_ADD(hh, charging->unused, payment, sizeof(unused->payment), unused);
	}
	return reader_finish(charging->reader, stmt, rc);
}

static bool is_unused(const struct charging *charging, int64_t payment)
{
	struct unused *unused;

	HASH_FIND(hh, charging->unused, &payment, sizeof(payment), unused);
	return unused != NULL;
}

static int compare_agents(const void *a, const void *b)
{
	const struct agents_charge *left = a, *right = b;

	if (left->agent != right->agent)
		return left->agent < right->agent ? -1 : 1;
	return compare_times(&left->charge, &right->charge);
}

static void add_hold(struct charging *charging, const struct agents_charge *hold)
{
	charging->holds = grown(charging->holds, &charging->hold_size, charging->hold_count,
	    sizeof(*charging->holds));
	charging->holds[charging->hold_count++] = *hold;
}

/* A hold stands right before its end, if it has one. They lie by call, and are the fewest. */
static bool read_holds(struct charging *charging)
{
	sqlite3_stmt *stmt = reader_prepare(charging->reader,
	    "SELECT agent, CASE WHEN event = 6 AND session IS NULL"
	    "  THEN (SELECT a.session FROM audit a WHERE a.id = call) ELSE session END,"
	    " tool, call, amount, event FROM journal INDEXED BY journal_hold"
	    " WHERE event BETWEEN 6 AND 8 ORDER BY call, event");
	struct agents_charge hold = {.agent = 0};
	bool held = false;
	int rc;

	if (stmt == NULL)
		return false;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		int64_t call = sqlite3_column_int64(stmt, 3);
		int event = sqlite3_column_int(stmt, 5);

		if (held && !(event == JOURNAL_RELEASE && call == hold.charge.at_us))
			add_hold(charging, &hold);
		held = event == JOURNAL_HOLD;
		if (!held)
			continue;
		hold.agent = sqlite3_column_int64(stmt, 0);
		hold.charge.session =
		    session_of(charging, hold.agent, hold.charge.session, column_text(stmt, 1),
			call);
		hold.charge.tool = word_of(charging, hold.charge.tool, column_text(stmt, 2));
		hold.charge.at_us = call;
		hold.charge.spend = sqlite3_column_int64(stmt, 4);
	}
	if (held)
		add_hold(charging, &hold);
	if (charging->hold_count > 1)
		qsort(charging->holds, charging->hold_count, sizeof(*charging->holds),
		    compare_agents);
	return reader_finish(charging->reader, stmt, rc);
}

static void stream_next(struct stream *stream)
{
	stream->rc = sqlite3_step(stream->stmt);
	stream->agent =
	    stream->rc == SQLITE_ROW ? sqlite3_column_int64(stream->stmt, 0) : INT64_MAX;
}

static bool stream_open(struct stream *stream, struct charging *charging, const char *sql)
{
	stream->stmt = reader_prepare(charging->reader, sql);
	if (stream->stmt == NULL)
		return false;
	stream_next(stream);
	return true;
}

/* enough: the caller asked for no more. */
static bool stream_close(struct stream *stream, struct charging *charging, bool enough)
{
	if (stream->stmt == NULL)
		return false;
	if (enough && stream->rc == SQLITE_ROW)
		stream->rc = SQLITE_DONE;
	return reader_finish(charging->reader, stream->stmt, stream->rc);
}

/* They lie by tool and then by call, so that of each tool the first comes first. */
static void add_payments(struct charging *charging, struct stream *stream, int64_t agent)
{
	struct charge charge = {.wallet = true, .calls = 1};
	sqlite3_stmt *stmt = stream->stmt;

	for (; stream->agent == agent; stream_next(stream)) {
		const struct word *before = charge.tool;
		const char *payee = column_text(stmt, 3);

		charge.tool = word_of(charging, before, column_text(stmt, 2));
		if (charging->first != NULL && charge.tool != NULL && charge.tool != before &&
		    payee != NULL)
			charging->first(agent, charge.tool->text, payee, charging->arg);
		if (charging->unused != NULL && is_unused(charging, sqlite3_column_int64(stmt, 6)))
			continue;
		charge.at_us = sqlite3_column_int64(stmt, 4);
		charge.session =
		    session_of(charging, agent, charge.session, column_text(stmt, 1),
			charge.at_us);
		charge.payee = word_of(charging, charge.payee, payee);
		charge.spend = sqlite3_column_int64(stmt, 5);
		add_charge(charging, &charge);
	}
}

static void add_calls(struct charging *charging, struct stream *stream, int64_t agent)
{
	struct charge charge = {.calls = 1};
	sqlite3_stmt *stmt = stream->stmt;

	for (; stream->agent == agent; stream_next(stream)) {
		charge.at_us = sqlite3_column_int64(stmt, 3);
		charge.session =
		    session_of(charging, agent, charge.session, column_text(stmt, 1),
			charge.at_us);
		charge.tool = word_of(charging, charge.tool, column_text(stmt, 2));
		add_charge(charging, &charge);
	}
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static bool read_agents(struct charging *charging)
{
	struct stream payments = {.stmt = NULL}, calls = {.stmt = NULL};
	bool more = stream_open(&payments, charging,
			"SELECT agent, session, tool, payee, call, amount, id"
			" FROM payment INDEXED BY payment_charge ORDER BY agent, tool, call") &&
	    stream_open(&calls, charging,
		"SELECT agent, session, tool, id FROM audit INDEXED BY audit_calls"
		" WHERE kind = 1 AND allowed = 1 AND agent IS NOT NULL"
		" ORDER BY agent, session, tool");
	struct agents_charge *hold = charging->holds, *end = hold + charging->hold_count;
	bool whole;

	charging->session_end = 0;
	while (more) {
		int64_t agent = least(payments.agent, calls.agent);

		if (hold != end)
			agent = least(agent, hold->agent);
		if (agent == INT64_MAX)
			break;
		look_among_sessions_of(charging, agent);
		add_payments(charging, &payments, agent);
		for (; hold != end && hold->agent == agent; hold++)
			add_charge(charging, &hold->charge);
		add_calls(charging, &calls, agent);
		/* What broke off is not told by halves. */
		more = (payments.rc == SQLITE_ROW || payments.rc == SQLITE_DONE) &&
		    (calls.rc == SQLITE_ROW || calls.rc == SQLITE_DONE) &&
		    tell_agent(charging, agent);
	}
	whole = stream_close(&payments, charging, !more);
	return stream_close(&calls, charging, !more) && whole;
}

enum store_result store_charges(struct store *store, const int64_t *borders_us, size_t border_count,
    charge_each_fn *each, first_payee_fn *first, void *arg)
{
	struct charging charging = {.borders_us = borders_us,
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
	/* Statements of one moment: a payment that is given back in between would be half
	 * counted. */
	if (sqlite3_exec(charging.reader->db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK) {
		if (read_live_sessions(&charging) && read_unused(&charging) &&
		    read_holds(&charging) && read_agents(&charging))
			result = STORE_OK;
		sqlite3_exec(charging.reader->db, "COMMIT", NULL, NULL, NULL);
	}
	reader_give(store->readers, &charging.reader);
	free_all(&charging);
	return result;
}
