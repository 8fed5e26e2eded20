/* ledger/footing.c - see footing.h. */
#include "ledger/footing.h"

#include <stdlib.h>
#include <string.h>

#include "common/amount.h"
#include "common/buf.h"
#include "common/table.h"
#include "ledger/account.h"

/* Accounts remembered from one commit to the next: those of a thousand agents at work. More are
 * read again; within one commit there are as many as it has postings. */
#define FOOTINGS_MAX 4096u
/* An account's name, network and asset, each with its NUL. */
#define KEY_SIZE_MAX (ACCOUNT_NAME_SIZE_MAX + 2048u)

struct footing {
	int64_t account;
	int64_t amount, stored; /* micro-dollars: with all postings; as on disk */
	struct footing *next;   /* of those that changed */
	bool changed;
	UT_hash_handle hh;
	char key[];
};

struct footings {
	sqlite3_stmt *find, *open, *write;
	struct footing *table, *changed;
	struct buf key; /* of the account asked for */
};

static bool prepare(sqlite3_stmt **out, sqlite3 *db, const char *sql)
{
	return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) == SQLITE_OK;
}

struct footings *footings_new(sqlite3 *db)
{
	struct footings *footings = must_calloc(1, sizeof(*footings));

	buf_init(&footings->key, KEY_SIZE_MAX);
	if (!prepare(&footings->find, db,
		"SELECT a.id, b.amount FROM account a LEFT JOIN balance b ON b.account = a.id"
		" WHERE a.name = ?1 AND a.network = ?2 AND a.asset = ?3") ||
	    !prepare(
		&footings->open, db, "INSERT INTO balance (account, amount) VALUES (?1, 0)") ||
	    !prepare(&footings->write, db,
		"UPDATE balance SET amount = ?2 WHERE account = ?1 AND amount = ?3"))
		footings_free(&footings);
	return footings;
}

void footings_forget(struct footings *footings)
{
	struct footing *footing, *next;

	HASH_ITER(hh, footings->table, footing, next) {
		HASH_DEL(footings->table, footing);
		free(footing);
	}
	footings->changed = NULL;
}

void footings_free(struct footings **footings)
{
	footings_forget(*footings);
	sqlite3_finalize((*footings)->find);
	sqlite3_finalize((*footings)->open);
	sqlite3_finalize((*footings)->write);
	buf_fini(&(*footings)->key);
	free(*footings);
	*footings = NULL;
}

/* The NUL between two texts is in neither, so that no two accounts have one key. */
static bool make_key(
    struct footings *footings, const char *name, const char *network, const char *asset)
{
	buf_clear(&footings->key);
	buf_add(&footings->key, name, strlen(name) + 1);
	buf_add(&footings->key, network, strlen(network) + 1);
	buf_add_str(&footings->key, asset);
	return buf_ok(&footings->key);
}

/* Under the key made last. */
static struct footing *remember(struct footings *footings, int64_t account, int64_t amount)
{
	size_t size = footings->key.size;
	struct footing *footing = must_calloc(1, sizeof(*footing) + size + 1);

	footing->account = account;
	footing->amount = footing->stored = amount;
	memcpy(footing->key, buf_str(&footings->key), size);
	HASH_ADD_KEYPTR(hh, footings->table, footing->key, size, footing);
	return footing;
}

int footing_find(struct footing **out, struct footings *footings, const char *name,
    const char *network, const char *asset)
{
	sqlite3_stmt *stmt = footings->find;
	struct footing *footing;
	int rc;

	if (!make_key(footings, name, network, asset))
		return SQLITE_CONSTRAINT; /* refused, like a name that is too long */
	HASH_FIND(hh, footings->table, buf_str(&footings->key), footings->key.size, footing);
	if (footing != NULL) {
		*out = footing;
		return SQLITE_ROW;
	}
	sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 2, network, -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 3, asset, -1, SQLITE_STATIC);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW && sqlite3_column_type(stmt, 1) == SQLITE_NULL)
		rc = SQLITE_MISMATCH;
	if (rc == SQLITE_ROW)
		*out = remember(
		    footings, sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1));
	sqlite3_reset(stmt);
	return rc;
}

int footing_open(struct footing **out, struct footings *footings, int64_t account,
    const char *name, const char *network, const char *asset)
{
	int rc;

	if (!make_key(footings, name, network, asset))
		return SQLITE_CONSTRAINT; /* refused, like a name that is too long */
	sqlite3_bind_int64(footings->open, 1, account);
	rc = sqlite3_step(footings->open);
	sqlite3_reset(footings->open);
	if (rc == SQLITE_DONE)
		*out = remember(footings, account, 0);
	return rc;
}

int64_t footing_account(const struct footing *footing)
{
	return footing->account;
}

bool footing_add(struct footings *footings, struct footing *footing, int64_t amount)
{
	struct amount sum;

	if (!amount_add(&sum, amount_of(footing->amount), amount_of(amount)))
		return false;
	footing->amount = sum.micros;
	if (!footing->changed) {
		footing->changed = true;
		footing->next = footings->changed;
		footings->changed = footing;
	}
	return true;
}

static int write_one(struct footings *footings, struct footing *footing)
{
	sqlite3_stmt *stmt = footings->write;
	int rc;

	sqlite3_bind_int64(stmt, 1, footing->account);
	sqlite3_bind_int64(stmt, 2, footing->amount);
	sqlite3_bind_int64(stmt, 3, footing->stored);
	rc = sqlite3_step(stmt);
	sqlite3_reset(stmt);
	if (rc == SQLITE_DONE && sqlite3_changes(sqlite3_db_handle(stmt)) != 1)
		rc = SQLITE_MISMATCH;
	return rc;
}

int footings_write(struct footings *footings)
{
	struct footing *footing;
	int rc = SQLITE_DONE;

	while (rc == SQLITE_DONE && (footing = footings->changed) != NULL) {
		footings->changed = footing->next;
		footing->changed = false;
		/* What one payment took from an account and another gave back is no change. */
		if (footing->amount == footing->stored)
			continue;
		rc = write_one(footings, footing);
		footing->stored = footing->amount;
	}
	if (rc == SQLITE_DONE && HASH_COUNT(footings->table) > FOOTINGS_MAX)
		footings_forget(footings);
	return rc;
}
