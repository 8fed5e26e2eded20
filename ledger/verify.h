/* ledger/verify.h - recompute everything from the first row.
 *
 * Both hash chains (ledger/journal.h) over every append-only row, sum and accounts of
 * each transaction, balances never negative where they may not be (available, open,
 * reserved, at every point of the history), every sign row has its payment and every
 * payment its sign row, states follow each other and agree with the journal, trial
 * balance zero, the triggers that refuse changes still in place, the file itself whole.
 *
 * What it cannot see: that the newest rows were cut off both chains. Compare `head` and
 * `audit_head` with ones noted down earlier for that. */
#ifndef LEDGER_VERIFY_H
#define LEDGER_VERIFY_H

#include "ledger/store.h"

#define VERIFY_PROBLEMS_MAX 100u

struct verify_report {
	bool ok;
	int64_t transactions, postings;
	int64_t audits;           /* rows of the audit chain: all but the journal's */
	struct digest head;       /* of the journal's chain; zero when it is empty */
	struct digest audit_head;
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
void verify_fini(struct verify_report *report);

#endif
