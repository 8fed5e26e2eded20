/* ledger/query.h - queries of this room that want several answers of one moment. */
#ifndef LEDGER_QUERY_H
#define LEDGER_QUERY_H

#include "ledger/reader.h"
#include "ledger/store.h"

/** store_journal without bounds, on a reader that the caller has taken and in whose
 * transaction, if it began one, the rows are read. */
enum store_result query_journal(struct reader *reader, int64_t agent, journal_each_fn *each,
    void *arg) MUST_CHECK;

#endif
