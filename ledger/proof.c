/* ledger/proof.c - see proof.h. */
#include "ledger/proof.h"

#include <stdlib.h>
#include <string.h>

#include "ledger/store_parts.h"

/* Which table a chain's hashes stand in. */
static const struct {
	const char *one;   /* the hash of one row */
	const char *after; /* id and hash of the rows after one */
} chain_sql[] = {
    {"SELECT hash FROM journal WHERE id = ?1",
	"SELECT id, hash FROM journal WHERE id > ?1 ORDER BY id LIMIT ?2"},
    {"SELECT hash FROM record WHERE seq = ?1",
	"SELECT seq, hash FROM record WHERE seq > ?1 ORDER BY seq LIMIT ?2"},
};

static bool read_digest(struct digest *out, sqlite3_stmt *stmt, int column)
{
	if (sqlite3_column_bytes(stmt, column) != DIGEST_SIZE)
		return false;
	memcpy(out->bytes, sqlite3_column_blob(stmt, column), DIGEST_SIZE);
	return true;
}

/* Is the row that the newest anchor ends with still there, and the same? */
static enum proof_result check_end(sqlite3 *db, size_t chain, const struct head *end)
{
	enum proof_result result = PROOF_BEHIND;
	sqlite3_stmt *stmt = NULL;
	struct digest hash;
	int rc;

	if (end->rows == 0)
		return PROOF_OK;
	if (sqlite3_prepare_v2(db, chain_sql[chain].one, -1, &stmt, NULL) != SQLITE_OK)
		return PROOF_BROKEN;
	sqlite3_bind_int64(stmt, 1, end->last);
	rc = sqlite3_step(stmt);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		result = PROOF_BROKEN;
	else if (rc == SQLITE_ROW && read_digest(&hash, stmt, 0) &&
		 memcmp(hash.bytes, end->hash.bytes, DIGEST_SIZE) == 0)
		result = PROOF_OK;
	sqlite3_finalize(stmt);
	return result;
}

static enum proof_result next_rows(
    struct anchor_chain *out, sqlite3 *db, size_t chain, const struct head *end)
{
	enum proof_result result = check_end(db, chain, end);
	struct merkle tree = {.count = 0};
	sqlite3_stmt *stmt = NULL;
	struct digest leaf;
	int rc;

	if (result != PROOF_OK)
		return result;
	*out = (struct anchor_chain){.from = end->rows, .head = *end};
	if (sqlite3_prepare_v2(db, chain_sql[chain].after, -1, &stmt, NULL) != SQLITE_OK)
		return PROOF_BROKEN;
	sqlite3_bind_int64(stmt, 1, end->last);
	sqlite3_bind_int64(stmt, 2, ANCHOR_ROWS_MAX);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW && read_digest(&out->head.hash, stmt, 1)) {
		out->head.last = sqlite3_column_int64(stmt, 0);
		out->head.rows++;
		leaf = merkle_leaf(out->head.hash.bytes, DIGEST_SIZE);
		merkle_add(&tree, &leaf);
	}
	sqlite3_finalize(stmt);
	out->root = merkle_root(&tree);
	return rc == SQLITE_DONE ? PROOF_OK : PROOF_BROKEN;
}

enum proof_result proof_next(struct anchor_chain *journal, struct anchor_chain *record,
    struct store *store, const struct anchor *newest)
{
	static const struct head none;
	struct anchor_chain journal_rows, record_rows;
	struct reader *reader = reader_take(store->readers);
	enum proof_result result = PROOF_BROKEN;

	if (reader == NULL)
		return PROOF_BROKEN;
	if (sqlite3_exec(reader->db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK) {
		result = next_rows(
		    &journal_rows, reader->db, 0, newest == NULL ? &none : &newest->journal.head);
		if (result == PROOF_OK)
			result = next_rows(&record_rows, reader->db, 1,
			    newest == NULL ? &none : &newest->record.head);
		sqlite3_exec(reader->db, "COMMIT", NULL, NULL, NULL);
	}
	reader_give(store->readers, &reader);
	if (result == PROOF_OK && journal_rows.head.rows == journal_rows.from &&
	    record_rows.head.rows == record_rows.from)
		result = PROOF_NOTHING;
	if (result == PROOF_OK) {
		*journal = journal_rows;
		*record = record_rows;
	}
	return result;
}

/* --- the path of one row -------------------------------------------------- */

enum proof_result proof_path(struct merkle_path *out, struct store *store, bool journal,
    const struct anchor_chain *anchored, int64_t number)
{
	int64_t count = anchored->head.rows - anchored->from, at = count;
	struct reader *reader = reader_take(store->readers);
	enum proof_result result = PROOF_BROKEN;
	sqlite3_stmt *stmt = NULL;
	struct merkle tree = {.count = 0};
	struct digest *leaves, root, hash;

	if (reader == NULL)
		return PROOF_BROKEN;
	must(count > 0 && count <= ANCHOR_ROWS_MAX && number > anchored->from &&
	     number <= anchored->head.rows);
	leaves = must_alloc((size_t)count * sizeof(*leaves));
	/* Backwards from the last: its id is known, that of the first is not. */
	if (sqlite3_prepare_v2(reader->db,
		journal ? "SELECT hash FROM journal WHERE id <= ?1 ORDER BY id DESC LIMIT ?2"
			: "SELECT hash FROM record WHERE seq <= ?1 ORDER BY seq DESC LIMIT ?2",
		-1, &stmt, NULL) == SQLITE_OK) {
		sqlite3_bind_int64(stmt, 1, anchored->head.last);
		sqlite3_bind_int64(stmt, 2, count);
		while (at > 0 && sqlite3_step(stmt) == SQLITE_ROW && read_digest(&hash, stmt, 0))
			leaves[--at] = merkle_leaf(hash.bytes, DIGEST_SIZE);
		result =
		    sqlite3_errcode(reader->db) == SQLITE_ROW || at == 0 ? PROOF_OK : PROOF_BEHIND;
	}
	sqlite3_finalize(stmt);
	reader_give(store->readers, &reader);
	if (result == PROOF_OK) {
		for (int64_t i = 0; i < count; i++)
			merkle_add(&tree, &leaves[i]);
		root = merkle_root(&tree);
		merkle_path(out, leaves, (uint64_t)count, (uint64_t)(number - anchored->from - 1));
		if (!digest_equal(&root, &anchored->root))
			result = PROOF_BEHIND;
	}
	free(leaves);
	return result;
}
