/* ledger/position.c - what each agent has in each asset: store_balances of store.h.
 *
 * Asked once, at start, of every account. They are read in the order in which they lie in the
 * file, and put in order here: SQLite would take longer for it than for all the rest. */
#include <stdlib.h>
#include <string.h>

#include "ledger/account.h"
#include "ledger/store_parts.h"

/* The text of a network and an asset, once; there are a handful. */
struct unit {
	char *network, *asset;
	struct unit *next;
};

/* One account. */
struct position {
	int64_t agent;
	const struct unit *unit;
	enum account_role role;
	int64_t amount;
};

struct positions {
	struct unit *units;
	struct position *rows;
	size_t count, size;
};

/* Of the account at hand. */
static const struct unit *unit_of(struct positions *positions, sqlite3_stmt *accounts)
{
	const char *network = (const char *)sqlite3_column_text(accounts, 3);
	const char *asset = (const char *)sqlite3_column_text(accounts, 4);
	struct unit *unit;

	for (unit = positions->units; unit != NULL; unit = unit->next)
		if (strcmp(unit->asset, asset) == 0 && strcmp(unit->network, network) == 0)
			return unit;
	unit = must_calloc(1, sizeof(*unit));
	unit->network = must_strdup(network);
	unit->asset = must_strdup(asset);
	unit->next = positions->units;
	positions->units = unit;
	return unit;
}

static void add_position(struct positions *positions, const struct position *position)
{
	if (positions->count == positions->size) {
		positions->size = positions->size == 0 ? 1024 : positions->size * 2;
		positions->rows = must_realloc(
		    positions->rows, positions->size * sizeof(*positions->rows));
	}
	positions->rows[positions->count++] = *position;
}

/* Accounts and their amounts lie in the same order: one pass over each, where a join would look
 * up half a million rows. An account without an amount has none. */
static bool read_accounts(struct positions *positions, struct reader *reader)
{
	sqlite3_stmt *accounts = reader_prepare(reader,
	    "SELECT id, agent, role, network, asset FROM account"
	    " WHERE agent IS NOT NULL ORDER BY id");
	sqlite3_stmt *amounts =
	    reader_prepare(reader, "SELECT account, amount FROM balance ORDER BY account");
	int account_rc = SQLITE_DONE, rc = SQLITE_DONE;
	bool ok;

	if (accounts != NULL && amounts != NULL) {
		account_rc = sqlite3_step(accounts);
		rc = sqlite3_step(amounts);
	}
	while (account_rc == SQLITE_ROW && rc == SQLITE_ROW) {
		int64_t id = sqlite3_column_int64(accounts, 0);
		int64_t amount_of = sqlite3_column_int64(amounts, 0);

		if (id == amount_of)
			add_position(positions,
			    &(struct position){.agent = sqlite3_column_int64(accounts, 1),
				.unit = unit_of(positions, accounts),
				.role = (enum account_role)sqlite3_column_int(accounts, 2),
				.amount = sqlite3_column_int64(amounts, 1)});
		if (id <= amount_of)
			account_rc = sqlite3_step(accounts);
		if (amount_of <= id)
			rc = sqlite3_step(amounts);
	}
	/* What is left of one when the other ends is of no use. */
	if (account_rc == SQLITE_ROW)
		account_rc = SQLITE_DONE;
	if (rc == SQLITE_ROW)
		rc = SQLITE_DONE;
	ok = accounts != NULL && reader_finish(reader, accounts, account_rc);
	return amounts != NULL && reader_finish(reader, amounts, rc) && ok;
}

static bool same(const struct position *a, const struct position *b)
{
	return a->agent == b->agent && a->unit == b->unit;
}

static int compare(const void *a, const void *b)
{
	const struct position *left = a, *right = b;
	int order;

	if (left->agent != right->agent)
		return left->agent < right->agent ? -1 : 1;
	if (left->unit == right->unit)
		return 0;
	order = strcmp(left->unit->network, right->unit->network);
	return order != 0 ? order : strcmp(left->unit->asset, right->unit->asset);
}

/* What a damaged ledger takes past the end of a number stays there. */
static void add(int64_t *sum, int64_t amount)
{
	if (__builtin_add_overflow(*sum, amount, sum))
		*sum = amount > 0 ? INT64_MAX : INT64_MIN;
}

static void add_amount(struct balance_row *row, enum account_role role, int64_t amount)
{
	switch (role) {
	case ACCOUNT_AVAILABLE:
		add(&row->available, amount);
		break;
	case ACCOUNT_OPEN:
		add(&row->open, amount);
		break;
	case ACCOUNT_RESERVED:
		add(&row->reserved, amount);
		break;
	case ACCOUNT_SPENT:
		add(&row->spent, amount);
		break;
	case ACCOUNT_CAPITAL:
	case ACCOUNT_PAYABLE:
		break;
	}
}

static void tell(struct positions *positions, balance_each_fn *each, void *arg)
{
	const struct position *at = positions->rows, *end = at + positions->count;
	bool more = true;

	if (positions->count > 1)
		qsort(positions->rows, positions->count, sizeof(*positions->rows), compare);
	while (more && at != end) {
		const struct position *first = at;
		struct balance_row row = {.agent = first->agent,
		    .network = first->unit->network,
		    .asset = first->unit->asset};

		for (; at != end && same(first, at); at++)
			add_amount(&row, at->role, at->amount);
		more = each(&row, arg);
	}
}

enum store_result store_balances(struct store *store, balance_each_fn *each, void *arg)
{
	struct reader *reader = reader_take(store->readers);
	struct positions positions = {.units = NULL};
	enum store_result result = STORE_BROKEN;
	struct unit *unit, *next;

	if (reader == NULL)
		return STORE_BROKEN;
	/* Both passes see one moment. */
	if (sqlite3_exec(reader->db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK) {
		if (read_accounts(&positions, reader))
			result = STORE_OK;
		sqlite3_exec(reader->db, "COMMIT", NULL, NULL, NULL);
	}
	reader_give(store->readers, &reader);
	if (result == STORE_OK)
		tell(&positions, each, arg);
	for (unit = positions.units; unit != NULL; unit = next) {
		next = unit->next;
		free(unit->network);
		free(unit->asset);
		free(unit);
	}
	free(positions.rows);
	return result;
}
