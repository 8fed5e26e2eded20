/* ledger/verify.c - see verify.h. */
#include "ledger/verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/amount.h"
#include "common/table.h"
#include "ledger/account.h"
#include "ledger/journal.h"
#include "ledger/store_parts.h"

#define PROBLEM_SIZE 512u
/* A transaction has two postings; more are counted, and wrong. */
#define POSTINGS_MAX 8u

/* An account as the journal fills it. */
struct tally {
	int64_t id;
	char *name, *network, *asset;
	int64_t role;
	struct amount balance; /* after the transactions so far */
	struct amount posted;  /* the sum of all postings, in whatever transaction */
	UT_hash_handle hh;
};

struct check {
	struct verify_report report;
	sqlite3 *db;
	struct tally *tallies;
	sqlite3_stmt *postings, *payment;
	sqlite3_stmt *rows[TABLE_LAST + 1];
	int64_t recorded[TABLE_LAST + 1];
	struct witness *witness;
};

static void problem(struct check *check, const char *format, ...) PRINTF_LIKE(2, 3);
static void problem(struct check *check, const char *format, ...)
{
	struct verify_report *report = &check->report;
	char text[PROBLEM_SIZE];
	va_list args;

	report->ok = false;
	if (report->problem_count == VERIFY_PROBLEMS_MAX)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (report->problems == NULL)
		report->problems = must_calloc(VERIFY_PROBLEMS_MAX, sizeof(char *));
	report->problems[report->problem_count++] = must_strdup(text);
}

static sqlite3_stmt *prepare(struct check *check, const char *sql)
{
	sqlite3_stmt *stmt = NULL;

	if (sqlite3_prepare_v2(check->db, sql, -1, &stmt, NULL) != SQLITE_OK)
		problem(check, "the ledger cannot be read: %s", sqlite3_errmsg(check->db));
	return stmt;
}

/* True while there is a row; a read error is a problem and ends the loop. */
static bool next_row(struct check *check, sqlite3_stmt *stmt)
{
	int rc = stmt == NULL ? SQLITE_DONE : sqlite3_step(stmt);

	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		problem(check, "the ledger cannot be read to its end: %s",
		    sqlite3_errmsg(check->db));
	return rc == SQLITE_ROW;
}

static const char *column_text(sqlite3_stmt *stmt, int column)
{
	const char *text = (const char *)sqlite3_column_text(stmt, column);

	return text == NULL ? "" : text;
}

static bool column_digest(struct digest *out, sqlite3_stmt *stmt, int column)
{
	if (sqlite3_column_bytes(stmt, column) != DIGEST_SIZE)
		return false;
	memcpy(out->bytes, sqlite3_column_blob(stmt, column), DIGEST_SIZE);
	return true;
}

/* --- the file and its schema --------------------------------------------- */

static void check_file(struct check *check)
{
	sqlite3_stmt *stmt = prepare(check, "PRAGMA integrity_check(20)");

	while (next_row(check, stmt)) {
		if (strcmp(column_text(stmt, 0), "ok") != 0)
			problem(check, "the file is damaged: %s", column_text(stmt, 0));
	}
	sqlite3_finalize(stmt);
	stmt = prepare(check, "PRAGMA foreign_key_check");
	while (next_row(check, stmt))
		problem(check, "%s row %lld names a row of %s that is not there",
		    column_text(stmt, 0), (long long)sqlite3_column_int64(stmt, 1),
		    column_text(stmt, 2));
	sqlite3_finalize(stmt);
}

#define SCHEMA_SQL                                                                                 \
	"SELECT type, name, sql FROM sqlite_schema"                                                \
	" WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type, name"

/* Both lists are sorted: what only one of them has comes first there. */
static void compare_schemas(struct check *check, sqlite3_stmt *here, sqlite3_stmt *right)
{
	bool more_here = next_row(check, here), more_right = next_row(check, right);

	while (more_here || more_right) {
		int order = !more_here ? 1 : !more_right ? -1 : 0;

		if (order == 0)
			order = strcmp(column_text(here, 0), column_text(right, 0));
		if (order == 0)
			order = strcmp(column_text(here, 1), column_text(right, 1));
		if (order < 0)
			problem(check, "schema: %s %s does not belong there", column_text(here, 0),
			    column_text(here, 1));
		else if (order > 0)
			problem(check, "schema: %s %s is missing", column_text(right, 0),
			    column_text(right, 1));
		else if (strcmp(column_text(here, 2), column_text(right, 2)) != 0)
			problem(check, "schema: %s %s was changed", column_text(here, 0),
			    column_text(here, 1));
		if (order <= 0)
			more_here = next_row(check, here);
		if (order >= 0)
			more_right = next_row(check, right);
	}
}

/* The triggers and constraints that refuse changes, against a new ledger's. */
static void check_schema(struct check *check)
{
	sqlite3_stmt *here = NULL, *right = NULL;
	sqlite3 *fresh = NULL;
	char reason[256] = "";

	if (sqlite3_open(":memory:", &fresh) != SQLITE_OK ||
	    schema_migrate(fresh, reason) != STORE_OK ||
	    sqlite3_prepare_v2(fresh, SCHEMA_SQL, -1, &right, NULL) != SQLITE_OK) {
		problem(check, "the schema cannot be compared: %s", sqlite3_errmsg(fresh));
	} else {
		here = prepare(check, SCHEMA_SQL);
		if (here != NULL)
			compare_schemas(check, here, right);
	}
	sqlite3_finalize(here);
	sqlite3_finalize(right);
	sqlite3_close(fresh);
}

/* --- accounts --------------------------------------------------------------- */

static void load_tallies(struct check *check)
{
	sqlite3_stmt *stmt =
	    prepare(check, "SELECT id, name, network, asset, role, kind FROM account ORDER BY id");

	while (next_row(check, stmt)) {
		struct tally *tally = must_calloc(1, sizeof(*tally));
		int64_t kind = sqlite3_column_int64(stmt, 5);

		tally->id = sqlite3_column_int64(stmt, 0);
		tally->name = must_strdup(column_text(stmt, 1));
		tally->network = must_strdup(column_text(stmt, 2));
		tally->asset = must_strdup(column_text(stmt, 3));
		tally->role = sqlite3_column_int64(stmt, 4);
		if (tally->role < ACCOUNT_CAPITAL || tally->role > ACCOUNT_PAYABLE ||
		    kind != account_kind_of((enum account_role)tally->role))
			problem(check, "account row %lld (%s) has a kind that is not its role's",
			    (long long)tally->id, tally->name);
		HASH_ADD(hh, check->tallies, id, sizeof(tally->id), tally);
	}
	sqlite3_finalize(stmt);
}

static void free_tallies(struct check *check)
{
	struct tally *tally, *next;

	HASH_ITER(hh, check->tallies, tally, next)
	{
		HASH_DELETE(hh, check->tallies, tally);
		free(tally->name);
		free(tally->network);
		free(tally->asset);
		free(tally);
	}
}

/* --- journal ------------------------------------------------------------------ */

struct transaction {
	int64_t id;
	struct value values[SCHEMA_COLUMNS_MAX];
	struct journal_row row;
	struct posting postings[POSTINGS_MAX];
	struct tally *tallies[POSTINGS_MAX]; /* NULL: no such account */
	size_t posting_count;                /* as in the table; above POSTINGS_MAX possible */
	bool has_payment;
	struct digest payment;
};

static const char *value_str(const struct value *value)
{
	return value->type == VALUE_TEXT ? value->bytes : NULL;
}

/* In the order of the columns in ledger/schema.c. */
static bool read_transaction(struct transaction *out, sqlite3_stmt *stmt)
{
	struct journal_row *row = &out->row;
	const struct value *values = out->values;

	journal_values(out->values, stmt, schema_table(TABLE_JOURNAL)->column_count);
	out->id = values[0].number;
	row->call = values[2].number;
	row->payment = values[3].number;
	row->agent = values[4].number;
	row->agent_name = value_str(&values[5]);
	row->owner = value_str(&values[6]);
	row->session = value_str(&values[7]);
	row->tool = value_str(&values[8]);
	row->amount = values[9].number;
	row->network = value_str(&values[10]);
	row->asset = value_str(&values[11]);
	row->symbol = value_str(&values[12]);
	row->from_spent = values[15].number != 0;
	if (values[1].number < JOURNAL_DEPOSIT || values[1].number > JOURNAL_REOPEN ||
	    row->agent_name == NULL || row->network == NULL || row->asset == NULL)
		return false;
	row->event = (enum journal_event)values[1].number;
	return true;
}

static void read_postings(struct check *check, struct transaction *out)
{
	sqlite3_stmt *stmt = check->postings;

	if (stmt == NULL)
		return;
	sqlite3_bind_int64(stmt, 1, out->id);
	while (next_row(check, stmt)) {
		int64_t account = sqlite3_column_int64(stmt, 0);
		struct tally *tally;

		check->report.postings++;
		if (out->posting_count++ >= POSTINGS_MAX)
			continue;
		HASH_FIND(hh, check->tallies, &account, sizeof(account), tally);
		out->tallies[out->posting_count - 1] = tally;
		out->postings[out->posting_count - 1] = (struct posting){
		    tally == NULL ? "" : tally->name, sqlite3_column_int64(stmt, 1)};
	}
	sqlite3_reset(stmt);
}

/* Columns of the payment, in the order of ledger/schema.c, that its sign row repeats. */
static bool sign_agrees(const struct journal_row *row, const struct value *payment)
{
	const char *tool = value_str(&payment[4]);
	const char *network = value_str(&payment[8]), *asset = value_str(&payment[9]);

	return payment[1].number == row->call && payment[2].number == row->agent &&
	    payment[6].number == row->amount && tool != NULL && row->tool != NULL &&
	    strcmp(tool, row->tool) == 0 && network != NULL && strcmp(network, row->network) == 0 &&
	    asset != NULL && strcmp(asset, row->asset) == 0;
}

static void read_payment(struct check *check, struct transaction *out)
{
	sqlite3_stmt *stmt = check->payment;
	struct value values[SCHEMA_COLUMNS_MAX];

	if (stmt == NULL)
		return;
	sqlite3_bind_int64(stmt, 1, out->row.payment);
	if (next_row(check, stmt)) {
		journal_values(values, stmt, schema_table(TABLE_PAYMENT)->column_count);
		out->payment = journal_row_digest(TABLE_PAYMENT, values);
		out->has_payment = true;
		if (!sign_agrees(&out->row, values))
			problem(check, "journal row %lld does not agree with payment row %lld",
			    (long long)out->id, (long long)out->row.payment);
	} else {
		problem(check, "journal row %lld signs payment row %lld, which is not there",
		    (long long)out->id, (long long)out->row.payment);
	}
	sqlite3_reset(stmt);
}

static bool posting_agrees(const struct transaction *transaction, size_t index, const char *name)
{
	const struct tally *tally = transaction->tallies[index];
	const struct journal_row *row = &transaction->row;

	return tally != NULL && strcmp(tally->name, name) == 0 &&
	    strcmp(tally->network, row->network) == 0 && strcmp(tally->asset, row->asset) == 0;
}

/* The lower amount stands first: what leaves, then what enters. */
static void check_postings(struct check *check, const struct transaction *transaction)
{
	const struct journal_row *row = &transaction->row;
	const struct posting *postings = transaction->postings;
	struct buf from, to;

	buf_init(&from, ACCOUNT_NAME_SIZE_MAX);
	buf_init(&to, ACCOUNT_NAME_SIZE_MAX);
	account_names(&from, &to, NULL, NULL, row);
	if (transaction->posting_count != 2)
		problem(check, "journal row %lld has %zu postings instead of 2",
		    (long long)transaction->id, transaction->posting_count);
	else if (postings[0].amount != -postings[1].amount || postings[1].amount != row->amount)
		problem(check, "journal row %lld: its postings are not its amount out and in",
		    (long long)transaction->id);
	else if (!posting_agrees(transaction, 0, buf_str(&from)) ||
	    !posting_agrees(transaction, 1, buf_str(&to)))
		problem(check, "journal row %lld is posted to accounts that are not its event's",
		    (long long)transaction->id);
	buf_fini(&from);
	buf_fini(&to);
}

static void fill_tally(struct check *check, const struct transaction *transaction, size_t index)
{
	struct tally *tally = transaction->tallies[index];
	struct amount before;

	if (tally == NULL)
		return;
	before = tally->balance;
	if (!amount_add(&tally->balance, before, amount_of(transaction->postings[index].amount))) {
		problem(check, "journal row %lld: the balance of %s does not fit",
		    (long long)transaction->id, tally->name);
		return;
	}
	if (before.micros >= 0 && tally->balance.micros < 0 &&
	    (tally->role == ACCOUNT_AVAILABLE || tally->role == ACCOUNT_OPEN ||
		tally->role == ACCOUNT_RESERVED))
		problem(check, "journal row %lld makes %s negative", (long long)transaction->id,
		    tally->name);
}

static void check_transaction(struct check *check, sqlite3_stmt *stmt, int64_t id_before)
{
	struct verify_report *report = &check->report;
	struct transaction transaction = {0};
	bool whole = read_transaction(&transaction, stmt);
	struct digest hash, stored = {{0}};
	size_t hashed;

	report->transactions++;
	read_postings(check, &transaction);
	if (whole && transaction.row.event == JOURNAL_SIGN)
		read_payment(check, &transaction);
	hashed = transaction.posting_count < POSTINGS_MAX ? transaction.posting_count
							  : POSTINGS_MAX;
	hash = journal_hash(&report->head, transaction.values, transaction.postings, hashed,
	    transaction.has_payment ? &transaction.payment : NULL);
	if (!column_digest(&stored, stmt, (int)schema_table(TABLE_JOURNAL)->column_count) ||
	    !digest_equal(&hash, &stored)) {
		problem(check,
		    "journal row %lld does not follow from the one before it (%lld): it was "
		    "changed, or a row between was removed, inserted or moved",
		    (long long)transaction.id, (long long)id_before);
		hash = stored;
	}
	report->head = hash;
	witness_row(check->witness, WITNESS_JOURNAL, transaction.id, &stored);
	if (!whole) {
		problem(check, "journal row %lld is no event we know", (long long)transaction.id);
		return;
	}
	check_postings(check, &transaction);
	for (size_t i = 0; i < hashed; i++)
		fill_tally(check, &transaction, i);
}

static void check_journal(struct check *check)
{
	char *sql = schema_select_sql(TABLE_JOURNAL, ", hash", "ORDER BY id");
	char *payment_sql = schema_select_sql(TABLE_PAYMENT, "", "WHERE id = ?1");
	sqlite3_stmt *stmt = prepare(check, sql);
	int64_t id_before = 0;

	check->postings = prepare(check,
	    "SELECT p.account, p.amount FROM posting p LEFT JOIN account a ON a.id = p.account"
	    " WHERE p.journal = ?1 ORDER BY p.amount, a.name");
	check->payment = prepare(check, payment_sql);
	while (next_row(check, stmt)) {
		check_transaction(check, stmt, id_before);
		id_before = sqlite3_column_int64(stmt, 0);
	}
	witness_end(check->witness, WITNESS_JOURNAL);
	sqlite3_finalize(stmt);
	sqlite3_finalize(check->postings);
	sqlite3_finalize(check->payment);
	free(sql);
	free(payment_sql);
}

/* --- balances ------------------------------------------------------------------ */

static void sum_postings(struct check *check)
{
	sqlite3_stmt *stmt = prepare(check, "SELECT account, amount, journal FROM posting");

	while (next_row(check, stmt)) {
		int64_t account = sqlite3_column_int64(stmt, 0);
		struct amount amount = amount_of(sqlite3_column_int64(stmt, 1));
		struct tally *tally;

		HASH_FIND(hh, check->tallies, &account, sizeof(account), tally);
		if (tally != NULL && !amount_add(&tally->posted, tally->posted, amount))
			problem(check, "posting of journal row %lld: the sum of %s does not fit",
			    (long long)sqlite3_column_int64(stmt, 2), tally->name);
	}
	sqlite3_finalize(stmt);
}

/* The running sums that a start reads, against the postings. */
static void check_balances(struct check *check)
{
	sqlite3_stmt *stmt = prepare(check,
	    "SELECT a.id, b.amount FROM account a LEFT JOIN balance b ON b.account = a.id");

	while (next_row(check, stmt)) {
		int64_t account = sqlite3_column_int64(stmt, 0);
		int64_t amount = sqlite3_column_int64(stmt, 1);
		struct tally *tally;

		HASH_FIND(hh, check->tallies, &account, sizeof(account), tally);
		if (tally == NULL)
			continue;
		if (sqlite3_column_type(stmt, 1) == SQLITE_NULL)
			problem(check, "account row %lld (%s) has no balance", (long long)account,
			    tally->name);
		else if (amount != tally->posted.micros)
			problem(check,
			    "the balance of account row %lld (%s) is %lld millionths, its postings "
			    "sum to %lld",
			    (long long)account, tally->name, (long long)amount,
			    (long long)tally->posted.micros);
	}
	sqlite3_finalize(stmt);
}

/* Accounts of one asset follow each other. */
static int compare_assets(struct tally *a, struct tally *b)
{
	int order = strcmp(a->network, b->network);

	return order != 0 ? order : strcmp(a->asset, b->asset);
}

static void check_trial_balance(struct check *check)
{
	struct amount sum = {0};
	bool fits = true;

	HASH_SORT(check->tallies, compare_assets);
	for (struct tally *tally = check->tallies; tally != NULL; tally = tally->hh.next) {
		struct tally *next = tally->hh.next;

		fits = amount_add(&sum, sum, tally->posted) && fits;
		if (next != NULL && compare_assets(tally, next) == 0)
			continue;
		if (!fits)
			problem(check, "trial balance of %s on %s does not fit", tally->asset,
			    tally->network);
		else if (sum.micros != 0)
			problem(check,
			    "trial balance of %s on %s is %lld millionths instead of zero",
			    tally->asset, tally->network, (long long)sum.micros);
		sum = (struct amount){0};
		fits = true;
	}
}

/* --- payments: what the journal, the states and the list of open ones say --------- */

/* Where a payment stands. */
enum standing { STANDING_NONE = 0, STANDING_OPEN, STANDING_SPENT, STANDING_UNUSED };

/* The ends of one payment and their undoings, in turn. A longer story is cut off, and its
 * count still compared: nobody's chain reorganises that often. */
#define ENDS_MAX 32u

struct story {
	enum standing standing;
	unsigned char ends[ENDS_MAX]; /* enum standing after each change */
	size_t count;
};

static void story_turn(struct story *story, enum standing standing)
{
	story->standing = standing;
	if (story->count < ENDS_MAX)
		story->ends[story->count] = (unsigned char)standing;
	story->count++;
}

static bool story_equal(const struct story *a, const struct story *b)
{
	size_t count = a->count < ENDS_MAX ? a->count : ENDS_MAX;

	return a->count == b->count && memcmp(a->ends, b->ends, count) == 0;
}

/* Rows that name a payment, in the order of payments: the first column. */
struct by_payment {
	sqlite3_stmt *stmt;
	bool more;
	int64_t payment;
};

static void next_by_payment(struct check *check, struct by_payment *rows)
{
	rows->more = next_row(check, rows->stmt);
	if (rows->more)
		rows->payment = sqlite3_column_int64(rows->stmt, 0);
}

static void begin_by_payment(struct check *check, struct by_payment *rows, const char *sql)
{
	rows->stmt = prepare(check, sql);
	next_by_payment(check, rows);
}

static bool is_of(const struct by_payment *rows, int64_t payment)
{
	return rows->more && rows->payment == payment;
}

static enum standing standing_of_state(int64_t state)
{
	switch (state) {
	case PAYMENT_SETTLED:
	case PAYMENT_RESOLVED_SPENT:
		return STANDING_SPENT;
	case PAYMENT_RESOLVED_UNUSED:
	case PAYMENT_EXPIRED_UNUSED:
	case PAYMENT_CANCELLED:
		return STANDING_UNUSED;
	default: /* of a file: any number */
		return STANDING_OPEN;
	}
}

/* The table in ledger/store.h. */
static bool state_follows(int64_t before, int64_t state, const char *by)
{
	if (state == PAYMENT_OPEN && strcmp(by, "chain") == 0)
		return true;
	switch (before) {
	case PAYMENT_SETTLED:
	case PAYMENT_RESOLVED_SPENT:
		return state == PAYMENT_SETTLED;
	case PAYMENT_RESOLVED_UNUSED:
		return state == PAYMENT_EXPIRED_UNUSED || state == PAYMENT_CANCELLED;
	case PAYMENT_EXPIRED_UNUSED:
	case PAYMENT_CANCELLED:
		return false;
	default:
		return true;
	}
}

/* payment, id, state, by */
static struct story read_states(struct check *check, struct by_payment *rows, int64_t payment)
{
	struct story story = {.standing = STANDING_OPEN};
	int64_t before = 0;

	for (; is_of(rows, payment); next_by_payment(check, rows)) {
		int64_t state = sqlite3_column_int64(rows->stmt, 2);
		enum standing standing = standing_of_state(state);

		if (!state_follows(before, state, column_text(rows->stmt, 3)))
			problem(check, "payment_state row %lld follows the end of its payment",
			    (long long)sqlite3_column_int64(rows->stmt, 1));
		if (standing != story.standing)
			story_turn(&story, standing);
		before = state;
	}
	return story;
}

/* Of one payment, as its columns say; amount -1: there is none. */
struct paid {
	int64_t payment, amount, agent;
	char *network, *asset;
};

struct ends {
	struct story story;
	int64_t end;        /* id of the last journal row that ended it */
	struct amount paid; /* settled, less undone and paid back */
};

/* Which row may follow, and where it leads. NONE: it may not. */
static enum standing standing_after(enum standing before, int64_t event, bool from_spent)
{
	switch (event) {
	case JOURNAL_SIGN:
		return before == STANDING_NONE ? STANDING_OPEN : STANDING_NONE;
	case JOURNAL_SETTLE:
		return before == STANDING_OPEN ? STANDING_SPENT : STANDING_NONE;
	case JOURNAL_REFUND:
		if (from_spent)
			return before;
		return before == STANDING_OPEN ? STANDING_UNUSED : STANDING_NONE;
	case JOURNAL_REOPEN:
		return before == (from_spent ? STANDING_SPENT : STANDING_UNUSED) ? STANDING_OPEN
										: STANDING_NONE;
	default: /* of a file: any number */
		return before;
	}
}

/* payment, id, event, from_spent, amount, agent, network, asset */
static void follow_journal(struct check *check, struct ends *ends, sqlite3_stmt *stmt,
    const struct paid *paid)
{
	int64_t id = sqlite3_column_int64(stmt, 1), event = sqlite3_column_int64(stmt, 2);
	bool from_spent = sqlite3_column_int64(stmt, 3) != 0;
	struct amount amount = amount_of(sqlite3_column_int64(stmt, 4));
	enum standing standing = standing_after(ends->story.standing, event, from_spent);
	bool repaid = event == JOURNAL_REFUND && from_spent, fits = true;

	if (standing == STANDING_NONE)
		problem(check,
		    "journal row %lld cannot follow what its payment's rows before it say",
		    (long long)id);
	else if (event == JOURNAL_SIGN)
		ends->story.standing = standing;
	else if (standing != ends->story.standing)
		story_turn(&ends->story, standing);
	if (standing == STANDING_SPENT || standing == STANDING_UNUSED)
		ends->end = repaid ? ends->end : id;
	if (event == JOURNAL_SETTLE)
		fits = amount_add(&ends->paid, ends->paid, amount);
	else if (repaid || (event == JOURNAL_REOPEN && from_spent))
		fits = amount_sub(&ends->paid, ends->paid, amount);
	if (!fits || (repaid && ends->paid.micros < 0))
		problem(check, "refunds of payment row %lld are more than the payment",
		    (long long)paid->payment);
	if (event != JOURNAL_SIGN && !repaid && paid->amount >= 0 &&
	    (amount.micros != paid->amount || sqlite3_column_int64(stmt, 5) != paid->agent ||
		strcmp(column_text(stmt, 6), paid->network) != 0 ||
		strcmp(column_text(stmt, 7), paid->asset) != 0))
		problem(check, "journal row %lld does not agree with the payment it ends",
		    (long long)id);
}

static void compare_stories(struct check *check, const struct ends *ends,
    const struct story *states, int64_t payment)
{
	enum standing journal = ends->story.standing;

	if (story_equal(&ends->story, states))
		return;
	if (states->standing == STANDING_SPENT && journal != STANDING_SPENT)
		problem(check, "payment row %lld is settled, but the journal has no settle row",
		    (long long)payment);
	else if (states->standing == STANDING_UNUSED && journal != STANDING_UNUSED)
		problem(check, "payment row %lld is unused, but the journal has no refund row",
		    (long long)payment);
	else if (states->standing == STANDING_OPEN && journal != STANDING_OPEN)
		problem(check, "journal row %lld ends a payment whose state does not say so",
		    (long long)ends->end);
	else
		problem(check, "payment row %lld: its states and the journal tell of other ends",
		    (long long)payment);
}

struct merge {
	struct by_payment payments, states, journal, pending;
};

static void check_payment(struct check *check, struct merge *merge, int64_t payment)
{
	struct paid paid = {.payment = payment, .amount = -1, .network = NULL};
	struct ends ends = {.end = 0};
	bool there = is_of(&merge->payments, payment), pending = is_of(&merge->pending, payment);
	struct story states;

	if (there) {
		paid.amount = sqlite3_column_int64(merge->payments.stmt, 1);
		paid.agent = sqlite3_column_int64(merge->payments.stmt, 2);
		paid.network = must_strdup(column_text(merge->payments.stmt, 3));
		paid.asset = must_strdup(column_text(merge->payments.stmt, 4));
		next_by_payment(check, &merge->payments);
	}
	for (; is_of(&merge->journal, payment); next_by_payment(check, &merge->journal))
		follow_journal(check, &ends, merge->journal.stmt, &paid);
	states = read_states(check, &merge->states, payment);
	if (pending)
		next_by_payment(check, &merge->pending);
	if (there && ends.story.standing == STANDING_NONE)
		problem(check, "payment row %lld has no sign row in the journal",
		    (long long)payment);
	else
		compare_stories(check, &ends, &states, payment);
	if (pending != (ends.story.standing == STANDING_OPEN))
		problem(check,
		    pending ? "payment row %lld is listed as pending, but it is not open"
			    : "payment row %lld is open, but not listed as pending",
		    (long long)payment);
	free(paid.network);
	free(paid.asset);
}

/* The lowest payment that any of the rows at hand names; 0: no rows are left. */
static int64_t next_payment(const struct merge *merge)
{
	const struct by_payment *rows[] = {
	    &merge->payments, &merge->states, &merge->journal, &merge->pending};
	int64_t payment = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i]->more && (payment == 0 || rows[i]->payment < payment))
			payment = rows[i]->payment;
	}
	return payment;
}

/* One pass over four lists in the order of payments. */
static void check_payments(struct check *check)
{
	struct merge merge;
	int64_t payment;

	begin_by_payment(check, &merge.payments,
	    "SELECT id, amount, agent, network, asset FROM payment WHERE id <> 0 ORDER BY id");
	begin_by_payment(check, &merge.states, "SELECT payment, id, state, by FROM payment_state"
					       " WHERE payment <> 0 ORDER BY payment, id");
	begin_by_payment(check, &merge.journal,
	    "SELECT payment, id, event, from_spent, amount, agent, network, asset FROM journal"
	    " WHERE payment IS NOT NULL AND payment <> 0 ORDER BY payment, id");
	begin_by_payment(check, &merge.pending,
	    "SELECT payment FROM pending WHERE payment <> 0 ORDER BY payment");
	while ((payment = next_payment(&merge)) != 0)
		check_payment(check, &merge, payment);
	sqlite3_finalize(merge.payments.stmt);
	sqlite3_finalize(merge.states.stmt);
	sqlite3_finalize(merge.journal.stmt);
	sqlite3_finalize(merge.pending.stmt);
}

/* --- the chain over everything else ---------------------------------------------- */

static sqlite3_stmt *row_statement(struct check *check, enum table table)
{
	if (check->rows[table] == NULL) {
		char *sql = schema_select_sql(table, "", "WHERE id = ?1");

		check->rows[table] = prepare(check, sql);
		free(sql);
	}
	return check->rows[table];
}

/* comparable: the link before is there, so that the hash can be recomputed. */
static void check_record(struct check *check, sqlite3_stmt *record, int64_t seq, bool comparable)
{
	struct digest *head = &check->report.audit_head;
	int64_t kind = sqlite3_column_int64(record, 1), id = sqlite3_column_int64(record, 2);
	struct value values[SCHEMA_COLUMNS_MAX];
	struct digest stored = {{0}}, hash;
	sqlite3_stmt *row;
	bool has_hash = column_digest(&stored, record, 3);

	if (kind < TABLE_FIRST || kind > TABLE_LAST || !schema_table((enum table)kind)->recorded) {
		problem(check, "record row %lld is of no table we know", (long long)seq);
		*head = stored;
		return;
	}
	check->recorded[kind]++;
	row = row_statement(check, (enum table)kind);
	if (row == NULL)
		return;
	sqlite3_bind_int64(row, 1, id);
	if (!next_row(check, row)) {
		problem(check, "%s row %lld (record row %lld) was removed",
		    schema_table((enum table)kind)->name, (long long)id, (long long)seq);
	} else if (comparable) {
		journal_values(values, row, schema_table((enum table)kind)->column_count);
		hash = record_hash(head, seq, (enum table)kind, values);
		if (!has_hash || !digest_equal(&hash, &stored))
			problem(check,
			    "%s row %lld (record row %lld) does not follow from the record "
			    "before: it was changed, or one was removed, inserted or moved",
			    schema_table((enum table)kind)->name, (long long)id, (long long)seq);
	}
	sqlite3_reset(row);
	*head = stored;
}

static void check_unrecorded(struct check *check, enum table table)
{
	const struct table_form *form = schema_table(table);
	char sql[160];
	sqlite3_stmt *stmt;
	int64_t rows;

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", form->name);
	if (!schema_number(&rows, check->db, sql)) {
		problem(check, "the ledger cannot be read: %s", sqlite3_errmsg(check->db));
		return;
	}
	if (rows <= check->recorded[table])
		return;
	snprintf(sql, sizeof(sql),
	    "SELECT id FROM %s WHERE id NOT IN (SELECT row FROM record WHERE kind = %d)"
	    " ORDER BY id LIMIT %u",
	    form->name, table, VERIFY_PROBLEMS_MAX);
	stmt = prepare(check, sql);
	while (next_row(check, stmt))
		problem(check, "%s row %lld is in no chain: it was inserted", form->name,
		    (long long)sqlite3_column_int64(stmt, 0));
	sqlite3_finalize(stmt);
}

static void check_records(struct check *check)
{
	sqlite3_stmt *stmt =
	    prepare(check, "SELECT seq, kind, row, hash FROM record ORDER BY seq");
	int64_t seq_before = 0;

	while (next_row(check, stmt)) {
		int64_t seq = sqlite3_column_int64(stmt, 0);

		if (seq != seq_before + 1)
			problem(check, "record rows %lld to %lld were removed",
			    (long long)seq_before + 1, (long long)seq - 1);
		check_record(check, stmt, seq, seq == seq_before + 1);
		witness_row(check->witness, WITNESS_RECORD, seq, &check->report.audit_head);
		seq_before = seq;
		check->report.audits++;
	}
	witness_end(check->witness, WITNESS_RECORD);
	sqlite3_finalize(stmt);
	for (int table = TABLE_FIRST; table <= TABLE_LAST; table++) {
		sqlite3_finalize(check->rows[table]);
		if (schema_table((enum table)table)->recorded)
			check_unrecorded(check, (enum table)table);
	}
}

/* --- what rows say about each other ------------------------------------------------ */

struct rule {
	const char *says; /* about the row with the number the query gives */
	const char *sql;
};

static const struct rule rules[] = {
	{"posting of journal row %lld, which is not there",
	    "SELECT DISTINCT journal FROM posting WHERE journal NOT IN (SELECT id FROM journal)"},
	{"journal row %lld ends a hold that does not agree with it or is not there",
	    "SELECT e.id FROM journal e LEFT JOIN journal h ON h.call = e.call AND h.event = 6"
	    " WHERE e.event IN (7, 8) AND (h.id IS NULL OR h.id > e.id OR h.amount <> e.amount"
	    "  OR h.agent <> e.agent OR h.tool <> e.tool OR h.network <> e.network"
	    "  OR h.asset <> e.asset)"},
};

static void check_rules(struct check *check)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		sqlite3_stmt *stmt = prepare(check, rules[i].sql);

		while (next_row(check, stmt)) {
			char *text = sqlite3_mprintf(rules[i].says,
			    (long long)sqlite3_column_int64(stmt, 0));

			problem(check, "%s", text == NULL ? "out of memory" : text);
			sqlite3_free(text);
		}
		sqlite3_finalize(stmt);
	}
}

static void take_problem(void *arg, const char *words)
{
	problem(arg, "%s", words);
}

enum store_result verify_against(struct verify_report *out, struct store *store,
    const struct witness_options *options)
{
	struct check check = {.report = {.ok = true}};
	struct reader *reader = reader_take(store->readers);
	char reason[256];

	if (reader == NULL)
		return STORE_BROKEN;
	check.db = reader->db;
	if (store_slot_damaged(store, reason))
		problem(&check, "%s", reason);
	/* Before the snapshot: what is committed from here on is no contradiction. */
	check.witness = witness_new(store->dir, options, take_problem, &check);
	/* The snapshot is taken by the first read and lasts until COMMIT. */
	if (sqlite3_exec(check.db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK) {
		reader_give(store->readers, &reader);
		witness_free(&check.witness);
		verify_fini(&check.report);
		return STORE_BROKEN;
	}
	check_schema(&check);
	check_file(&check);
	load_tallies(&check);
	check_journal(&check);
	sum_postings(&check);
	check_balances(&check);
	check_trial_balance(&check);
	check_payments(&check);
	check_records(&check);
	check_rules(&check);
	free_tallies(&check);
	sqlite3_exec(check.db, "COMMIT", NULL, NULL, NULL);
	reader_give(store->readers, &reader);
	check.report.anchors = witness_anchors(check.witness);
	check.report.anchored_us = witness_anchored_us(check.witness);
	check.report.torn = witness_torn(check.witness);
	witness_free(&check.witness);
	*out = check.report;
	return STORE_OK;
}

enum store_result verify_run(struct verify_report *out, struct store *store)
{
	const struct witness_options none = {.anchor_file = NULL};

	return verify_against(out, store, &none);
}

void verify_fini(struct verify_report *report)
{
	for (size_t i = 0; i < report->problem_count; i++)
		free(report->problems[i]);
	free(report->problems);
	*report = (struct verify_report){.ok = false};
}
