/* ledger/position.c - what each agent has in each asset: store_balances of store.h.
 *
 * Asked once, at start, of every account. They are read in the order in which they lie in the
 * file and summed here: SQLite would have to sort them first, which takes longer than all the
 * rest. */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/table.h"
#include "ledger/account.h"
#include "ledger/store_parts.h"

/* The text of a network and an asset, once; there are a handful. */
struct unit {
	char *network, *asset;
	struct unit *next;
};

/* Without padding, because it is hashed as bytes. */
struct position_key {
	int64_t agent;
	const struct unit *unit;
};

struct position {
	struct position_key key;
	struct balance_row row;
	UT_hash_handle hh;
};

struct positions {
	struct unit *units;
	struct position *table;
	struct position *last; /* an agent's accounts often stand together */
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

static struct position *position_of(struct positions *positions, const struct position_key *key)
{
	struct position *position = positions->last;

	if (position != NULL && memcmp(&position->key, key, sizeof(*key)) == 0)
		return position;
	HASH_FIND(hh, positions->table, key, sizeof(*key), position);
	if (position == NULL) {
		position = must_calloc(1, sizeof(*position));
		position->key = *key;
		position->row.agent = key->agent;
		position->row.network = key->unit->network;
		position->row.asset = key->unit->asset;
		HASH_ADD(hh, positions->table, key, sizeof(position->key), position);
	}
	positions->last = position;
	return position;
}

/* What a damaged ledger takes past the end of a number stays there. */
static void add(int64_t *sum, int64_t amount)
{
	if (__builtin_add_overflow(*sum, amount, sum))
		*sum = amount > 0 ? INT64_MAX : INT64_MIN;
}

static void add_account(struct balance_row *row, enum account_role role, int64_t amount)
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

static bool read_accounts(struct positions *positions, struct reader *reader)
{
	sqlite3_stmt *stmt = reader_prepare(reader,
	    "SELECT a.agent, a.network, a.asset, a.role, b.amount"
	    " FROM account a JOIN balance b ON b.account = a.id WHERE a.agent IS NOT NULL");
	int rc;

	if (stmt == NULL)
		return false;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct position_key key = {.agent = sqlite3_column_int64(stmt, 0),
		    .unit = unit_of(positions, (const char *)sqlite3_column_text(stmt, 1),
			(const char *)sqlite3_column_text(stmt, 2))};

		add_account(&position_of(positions, &key)->row,
		    (enum account_role)sqlite3_column_int(stmt, 3), sqlite3_column_int64(stmt, 4));
	}
	return reader_finish(reader, stmt, rc);
}

static void free_all(struct positions *positions)
{
	struct position *position, *next_position;
	struct unit *unit, *next_unit;

	HASH_ITER (hh, positions->table, position, next_position) {
		HASH_DEL(positions->table, position);
		free(position);
	}
	for (unit = positions->units; unit != NULL; unit = next_unit) {
		next_unit = unit->next;
		free(unit->network);
		free(unit->asset);
		free(unit);
	}
}

enum store_result store_balances(struct store *store, balance_each_fn *each, void *arg)
{
	struct reader *reader = reader_take(store->readers);
	struct positions positions = {.units = NULL};
	enum store_result result = STORE_BROKEN;
	struct position *position;

	if (reader == NULL)
		return STORE_BROKEN;
	if (read_accounts(&positions, reader))
		result = STORE_OK;
	reader_give(store->readers, &reader);
	if (result == STORE_OK)
		for (position = positions.table; position != NULL; position = position->hh.next)
			if (!each(&position->row, arg))
				break;
	free_all(&positions);
	return result;
}
