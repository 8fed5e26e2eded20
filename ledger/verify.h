/* ledger/verify.h - recompute everything from the first row.
 *
 * Both hash chains (ledger/journal.h) over every append-only row, sum and accounts of
 * each transaction, balances never negative where they may not be (available, open,
 * reserved, at every point of the history), every sign row has its payment and every
 * payment its sign row, states follow each other and tell of the same ends and reopenings as
 * the journal, the running results (balance, pending) equal what they were made from, trial
 * balance zero, the triggers that refuse changes still in place, the file itself whole.
 *
 * The rows alone cannot show that the newest were cut off both chains, or that whoever has
 * the file wrote a new history and computed every hash again. So they are held against
 * what is known of them from outside (ledger/witness.h): DIR/head always, and what the
 * options name. */
#ifndef LEDGER_VERIFY_H
#define LEDGER_VERIFY_H

#include "ledger/store.h"
#include "ledger/witness.h"

#define VERIFY_PROBLEMS_MAX 100u

struct verify_report {
	bool ok;
	int64_t transactions, postings;
	int64_t audits;           /* rows of the audit chain: all but the journal's */
	struct digest head;       /* of the journal's chain; zero when it is empty */
	struct digest audit_head;
	int64_t anchors;          /* in the anchor file; 0 when none was named */
	int64_t anchored_us;      /* time of the newest; 0: none */
	int64_t torn;             /* lines of it that a crash or a full disk cut short */
	char **problems;          /* sentences naming the row; the first VERIFY_PROBLEMS_MAX */
	size_t problem_count;
};

/** verify_run - one snapshot, read from the first row; appends go on meanwhile.
 *
 * Returns  STORE_OK      *out is filled; its ok says whether anything is wrong. A file
 *                        too damaged to read to the end is a problem of the report
 *          STORE_BROKEN  the file cannot be opened; *out is untouched
 * Owns     the caller calls verify_fini(out). */
enum store_result verify_run(struct verify_report *out, struct store *store) MUST_CHECK;
/** The same against more witnesses. */
enum store_result verify_against(struct verify_report *out, struct store *store,
    const struct witness_options *options) MUST_CHECK;
void verify_fini(struct verify_report *report);

#endif
