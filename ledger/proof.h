/* ledger/proof.h - rows of both chains as they are proved to somebody without the database.
 *
 * First, what an anchor says about the rows since the one before it; then single rows
 * with everything their hashes cover, their place in the chain, and the path to an
 * anchor's Merkle root (ledger/anchor.h, ledger/merkle.h). */
#ifndef LEDGER_PROOF_H
#define LEDGER_PROOF_H

#include "ledger/anchor.h"
#include "ledger/journal.h"
#include "ledger/merkle.h"
#include "ledger/store.h"

enum proof_result {
	PROOF_OK = 0,
	PROOF_NOTHING = 1,  /* no such row; no row since the newest anchor */
	PROOF_BEHIND = 2,   /* the ledger has not the rows that the anchor was made over: it is
			     * older, or another */
	PROOF_BROKEN = 3,   /* it cannot be read */
	PROOF_TOO_MANY = 4, /* more than PROOF_ROWS_MAX rows */
};

/** proof_next - the chains of the anchor that comes next.
 *
 * Returns  PROOF_OK       *journal and *record are filled, from where newest ends
 *          PROOF_NOTHING  no chain has a row since
 * In       newest  NULL: none yet
 * One chain has at most ANCHOR_ROWS_MAX new rows in it: call again until PROOF_NOTHING.
 * Reads one snapshot; blocks on the disk. */
enum proof_result proof_next(struct anchor_chain *journal, struct anchor_chain *record,
    struct store *store, const struct anchor *newest) MUST_CHECK;

/* A call has some ten rows. Reorganisations and repeated looks at a chain add some; whoever
 * reads a proof bounds it, so it is bounded here too. */
#define PROOF_ROWS_MAX 1024u

/* One row with everything that its hash covers. Borrowed until the callback returns. */
struct proof_row {
	enum table table;
	int64_t number;                 /* its place in its chain, from 1 */
	const struct value *values;     /* as many as the table has columns, in their order */
	const struct posting *postings; /* TABLE_JOURNAL: as hashed */
	size_t posting_count;
	struct digest before; /* hash of the row before it; zero for the first */
	struct digest hash;   /* as stored */
};
typedef bool proof_row_fn(const struct proof_row *row, void *arg);

/* Settings that are part of what was in force. */
struct proof_settings {
	const char *default_policy; /* name of the one for agents without their own */
	const char *of_tool; /* what the name of a tool's own begins with; the tool follows */
};

/** proof_call - every row about one call: journal rows first, in the order of their chain, then
 * record rows in the order of theirs.
 *
 * Rows of the call, of the payment it made or sent again, of other calls and owner's acts
 * that name that payment; and what was in force then: agent, its address, tool, token, and
 * the policy when the call came and when it was signed (the agent's own, else the default),
 * and the tool's setting.
 *
 * Returns PROOF_OK, PROOF_NOTHING (no such call), PROOF_BROKEN, PROOF_TOO_MANY. Reads one
 * snapshot, and all of the record once. */
enum proof_result proof_call(struct store *store, int64_t call,
    const struct proof_settings *settings, proof_row_fn *each, void *arg) MUST_CHECK;

/** proof_path - from row `number` of a chain to the root of the anchor that covers it.
 * PROOF_OK; PROOF_BEHIND when the rows there do not give that root; PROOF_BROKEN. */
enum proof_result proof_path(struct merkle_path *out, struct store *store, bool journal,
    const struct anchor_chain *anchored, int64_t number) MUST_CHECK;

#endif
