/* ledger/charge.c - what counts against limits, from the first row: store_charges and
 * store_first_payees of store.h.
 *
 * Asked once, at start, of all that was ever written. So each table is read in one pass,
 * from an index that has every column needed, and what belongs together is summed here:
 * the caller is handed as many rows as there are agents, tools and payees, not calls. */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/table.h"
#include "ledger/store_parts.h"

/* A session, tool or payee. Each is stored once, so that equal ones are one pointer. */
struct word {
	char *text;
	bool live; /* a session whose token had not expired */
	UT_hash_handle hh;
};

/* What charges are summed by; without padding, because it is hashed as bytes. */
struct sum_key {
	int64_t agent;
	const struct word *session, *tool, *payee; /* or NULL */
	uint64_t tier;                             /* borders at or before it */
	uint64_t wallet;
};

struct sum {
	struct sum_key key;
	int64_t at_us, spend, calls;
	UT_hash_handle hh;
};

struct unused {
	int64_t payment;
	UT_hash_handle hh;
};

struct charging {
	struct reader *reader;
	const int64_t *borders_us;
	size_t border_count;
	struct word *words;
	struct unused *unused;
	struct sum *sums;
	struct sum *last;   /* that was added to: rows of one kind stand together */
	struct sum *single; /* count of them, in an array; not in the table */
	size_t single_count, single_size;
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

/* A session of a sum counts only while it lives; those that are over are many, and are not
 * stored. */
static const struct word *session_of(
    struct charging *charging, const struct word *before, const char *text, int64_t at_us)
{
	const struct word *word;

	if (text == NULL || at_us >= charging->borders_us[charging->border_count - 1])
		return word_of(charging, before, text);
	word = word_find(charging, text);
	return word != NULL && word->live ? word : NULL;
}

static void free_all(struct charging *charging)
{
	struct word *word, *next_word;
	struct unused *unused, *next_unused;
	struct sum *sum, *next_sum;

	HASH_ITER (hh, charging->words, word, next_word) {
		HASH_DEL(charging->words, word);
		free(word->text);
		free(word);
	}
	HASH_ITER (hh, charging->unused, unused, next_unused) {
		HASH_DEL(charging->unused, unused);
		free(unused);
	}
	HASH_ITER (hh, charging->sums, sum, next_sum) {
		HASH_DEL(charging->sums, sum);
		free(sum);
	}
	free(charging->single);
}

/* --- one charge -------------------------------------------------------------- */

static void add_single(struct charging *charging, const struct sum *single)
{
	if (charging->single_count == charging->single_size) {
		charging->single_size =
		    charging->single_size == 0 ? 256 : charging->single_size * 2;
		charging->single = must_realloc(
		    charging->single, charging->single_size * sizeof(*charging->single));
	}
	charging->single[charging->single_count++] = *single;
}

static int64_t capped_add(int64_t a, int64_t b)
{
	return a > INT64_MAX - b ? INT64_MAX : a + b;
}

static void add_charge(struct charging *charging, const struct sum *charge)
{
	struct sum *sum = charging->last;
	struct sum_key key = charge->key;

	key.tier = 0;
	while (key.tier < charging->border_count && charging->borders_us[key.tier] <= charge->at_us)
		key.tier++;
	if (key.tier == charging->border_count) {
		add_single(charging, charge);
		return;
	}
	if (sum == NULL || memcmp(&sum->key, &key, sizeof(key)) != 0)
		HASH_FIND(hh, charging->sums, &key, sizeof(key), sum);
	if (sum == NULL) {
		sum = must_calloc(1, sizeof(*sum));
		sum->key = key;
		HASH_ADD(hh, charging->sums, key, sizeof(sum->key), sum);
	}
	charging->last = sum;
	if (sum->at_us < charge->at_us)
		sum->at_us = charge->at_us;
	sum->spend = capped_add(sum->spend, charge->spend);
	sum->calls = capped_add(sum->calls, charge->calls);
}

/* --- what is read -------------------------------------------------------------- */

/* Sessions that may still place calls, as of the last border. */
static bool read_live_sessions(struct charging *charging)
{
	sqlite3_stmt *stmt =
	    reader_prepare(charging->reader,
		"SELECT session FROM token WHERE expires_s * 1000000 >= ?1");
	int rc;

	if (stmt == NULL)
		return false;
	sqlite3_bind_int64(stmt, 1, charging->borders_us[charging->border_count - 1]);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
		word_add(charging, column_text(stmt, 0))->live = true;
	return reader_finish(charging->reader, stmt, rc);
}

/* Payments that turned out unused count no more, until they are reopened. What a seller pays
 * back later does count: it did go out (ledger/purse.h). */
static bool read_unused(struct charging *charging)
{
	sqlite3_stmt *stmt =
	    reader_prepare(charging->reader, "SELECT payment FROM journal INDEXED BY journal_given"
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

static bool read_payments(struct charging *charging)
{
	sqlite3_stmt *stmt = reader_prepare(charging->reader,
	    "SELECT agent, session, tool, payee, call, amount, id"
	    " FROM payment INDEXED BY payment_charge ORDER BY agent, tool, call");
	struct sum charge = {.key = {.wallet = 1}, .calls = 1};
	int rc;

	if (stmt == NULL)
		return false;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct sum_key *key = &charge.key;

		if (charging->unused != NULL && is_unused(charging, sqlite3_column_int64(stmt, 6)))
			continue;
		key->agent = sqlite3_column_int64(stmt, 0);
		charge.at_us = sqlite3_column_int64(stmt, 4);
		key->session =
		    session_of(charging, key->session, column_text(stmt, 1), charge.at_us);
		key->tool = word_of(charging, key->tool, column_text(stmt, 2));
		key->payee = word_of(charging, key->payee, column_text(stmt, 3));
		charge.spend = sqlite3_column_int64(stmt, 5);
		add_charge(charging, &charge);
	}
	return reader_finish(charging->reader, stmt, rc);
}

/* A hold stands right before its end, if it has one. */
static bool read_holds(struct charging *charging)
{
	sqlite3_stmt *stmt = reader_prepare(charging->reader,
	    "SELECT agent, CASE WHEN event = 6 AND session IS NULL"
	    "  THEN (SELECT a.session FROM audit a WHERE a.id = call) ELSE session END,"
	    " tool, call, amount, event FROM journal INDEXED BY journal_hold"
	    " WHERE event BETWEEN 6 AND 8 ORDER BY call, event");
	struct sum hold = {.at_us = 0};
	bool held = false;
	int rc;

	if (stmt == NULL)
		return false;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		int64_t call = sqlite3_column_int64(stmt, 3);
		int event = sqlite3_column_int(stmt, 5);

		if (held && !(event == JOURNAL_RELEASE && call == hold.at_us))
			add_charge(charging, &hold);
		held = event == JOURNAL_HOLD;
		if (!held)
			continue;
		hold.key.agent = sqlite3_column_int64(stmt, 0);
		hold.key.session =
		    session_of(charging, hold.key.session, column_text(stmt, 1), call);
		hold.key.tool = word_of(charging, hold.key.tool, column_text(stmt, 2));
		hold.at_us = call;
		hold.spend = sqlite3_column_int64(stmt, 4);
	}
	if (held)
		add_charge(charging, &hold);
	return reader_finish(charging->reader, stmt, rc);
}

static bool read_calls(struct charging *charging)
{
	sqlite3_stmt *stmt = reader_prepare(charging->reader,
	    "SELECT agent, session, tool, id FROM audit INDEXED BY audit_calls"
	    " WHERE kind = 1 AND allowed = 1 AND agent IS NOT NULL"
	    " ORDER BY agent, session, tool");
	struct sum charge = {.calls = 1};
	int rc;

	if (stmt == NULL)
		return false;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct sum_key *key = &charge.key;

		key->agent = sqlite3_column_int64(stmt, 0);
		charge.at_us = sqlite3_column_int64(stmt, 3);
		key->session =
		    session_of(charging, key->session, column_text(stmt, 1), charge.at_us);
		key->tool = word_of(charging, key->tool, column_text(stmt, 2));
		add_charge(charging, &charge);
	}
	return reader_finish(charging->reader, stmt, rc);
}

/* --- what is told ----------------------------------------------------------------- */

static int compare_sums(const void *a, const void *b)
{
	const struct sum *left = *(const struct sum *const *)a;
	const struct sum *right = *(const struct sum *const *)b;

	if (left->at_us != right->at_us)
		return left->at_us < right->at_us ? -1 : 1;
	if (left->key.wallet != right->key.wallet)
		return left->key.wallet > right->key.wallet ? -1 : 1;
	/* Then the one that was read first. Addresses in an array say so. */
	return left->spend != right->spend ? (left->spend > right->spend ? -1 : 1) : 0;
}

static bool tell(const struct sum *sum, charge_each_fn *each, void *arg)
{
	const struct sum_key *key = &sum->key;
	struct charge_row row = {.agent = key->agent,
	    .session = key->session == NULL ? NULL : key->session->text,
	    .tool = key->tool == NULL ? NULL : key->tool->text,
	    .payee = key->payee == NULL ? NULL : key->payee->text,
	    .wallet = key->wallet != 0,
	    .at_us = sum->at_us,
	    .spend = sum->spend,
	    .calls = sum->calls};

	return each(&row, arg);
}

/* Oldest first, the sums before the single ones. */
static void tell_all(struct charging *charging, charge_each_fn *each, void *arg)
{
	size_t sum_count = HASH_COUNT(charging->sums), count = 0;
	struct sum **order =
	    must_calloc(sum_count + charging->single_count + 1, sizeof(struct sum *));
	bool more = true;

	for (struct sum *sum = charging->sums; sum != NULL; sum = sum->hh.next)
		order[count++] = sum;
	for (size_t i = 0; i < charging->single_count; i++)
		order[count++] = &charging->single[i];
	qsort(order, sum_count, sizeof(*order), compare_sums);
	qsort(order + sum_count, charging->single_count, sizeof(*order), compare_sums);
	for (size_t i = 0; i < count && more; i++)
		more = tell(order[i], each, arg);
	free(order);
}

enum store_result store_charges(struct store *store, const int64_t *borders_us, size_t border_count,
    charge_each_fn *each, void *arg)
{
	struct reader *reader = reader_take(store->readers);
	struct charging charging = {.borders_us = borders_us, .border_count = border_count};
	enum store_result result = STORE_BROKEN;

	must(border_count >= 1);
	for (size_t i = 1; i < border_count; i++)
		must(borders_us[i - 1] <= borders_us[i]);
	if (reader == NULL)
		return STORE_BROKEN;
	charging.reader = reader;
	/* Statements of one moment: a payment that is given back in between would be half
	 * counted. */
	if (sqlite3_exec(reader->db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK) {
		if (read_live_sessions(&charging) && read_unused(&charging) &&
		    read_payments(&charging) && read_holds(&charging) && read_calls(&charging))
			result = STORE_OK;
		sqlite3_exec(reader->db, "COMMIT", NULL, NULL, NULL);
	}
	reader_give(store->readers, &reader);
	if (result == STORE_OK)
		tell_all(&charging, each, arg);
	free_all(&charging);
	return result;
}

/* --- first payees ------------------------------------------------------------------- */

/* So many rows of one pair are stepped over before the next pair is looked up: about what
 * looking up costs. */
#define SKIP_ROWS 16

enum store_result store_first_payees(struct store *store, charge_each_fn *each, void *arg)
{
	struct reader *reader = reader_take(store->readers);
	struct charge_row row = {.wallet = true};
	char *tool = must_strdup("");
	sqlite3_stmt *stmt;
	int rc = SQLITE_DONE, same = 0;
	bool more = true;

	if (reader == NULL) {
		free(tool);
		return STORE_BROKEN;
	}
	stmt = reader_prepare(reader, "SELECT agent, tool, payee, call"
				   " FROM payment INDEXED BY payment_charge"
				   " WHERE (agent, tool) > (?1, ?2) ORDER BY agent, tool, call");
	sqlite3_bind_text(stmt, 2, tool, -1, SQLITE_TRANSIENT);
	sqlite3_bind_int64(stmt, 1, 0);
	while (stmt != NULL && more && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		int64_t agent = sqlite3_column_int64(stmt, 0);

		if (agent == row.agent && strcmp(column_text(stmt, 1), tool) == 0) {
			if (++same < SKIP_ROWS)
				continue;
			same = 0;
			sqlite3_reset(stmt);
			sqlite3_bind_int64(stmt, 1, agent);
			sqlite3_bind_text(stmt, 2, tool, -1, SQLITE_TRANSIENT);
			continue;
		}
		same = 0;
		free(tool);
		tool = must_strdup(column_text(stmt, 1));
		row.agent = agent;
		row.tool = tool;
		row.payee = column_text(stmt, 2);
		row.at_us = sqlite3_column_int64(stmt, 3);
		more = each(&row, arg);
	}
	if (!more)
		rc = SQLITE_DONE;
	if (stmt == NULL || !reader_finish(reader, stmt, rc)) {
		reader_give(store->readers, &reader);
		free(tool);
		return STORE_BROKEN;
	}
	reader_give(store->readers, &reader);
	free(tool);
	return STORE_OK;
}
