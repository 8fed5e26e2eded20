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
	PROOF_NOTHING = 1, /* no such row; no row since the newest anchor */
	PROOF_BEHIND = 2,  /* the ledger has not the rows that the anchor was made over: it is
			    * older, or another */
	PROOF_BROKEN = 3,  /* it cannot be read */
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

#endif
