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

static const struct unit *unit_of(
    struct positions *positions, const char *network, const char *asset)
{
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

static bool read_accounts(struct positions *positions, struct reader *reader)
{
	sqlite3_stmt *stmt = reader_prepare(reader,
	    "SELECT a.agent, a.network, a.asset, a.role, b.amount"
	    " FROM account a JOIN balance b ON b.account = a.id WHERE a.agent IS NOT NULL");
	int rc;

	if (stmt == NULL)
		return false;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct position position = {.agent = sqlite3_column_int64(stmt, 0),
		    .unit = unit_of(positions, (const char *)sqlite3_column_text(stmt, 1),
			(const char *)sqlite3_column_text(stmt, 2)),
		    .role = (enum account_role)sqlite3_column_int(stmt, 3),
		    .amount = sqlite3_column_int64(stmt, 4)};

		add_position(positions, &position);
	}
	return reader_finish(reader, stmt, rc);
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
	if (read_accounts(&positions, reader))
		result = STORE_OK;
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
