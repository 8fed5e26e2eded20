/* ledger/batch.h - rows on their way to the writer: one arena, strings copied. */
#ifndef LEDGER_BATCH_H
#define LEDGER_BATCH_H

#include "ledger/journal.h"
#include "ledger/schema.h"
#include "ledger/store.h"

struct record {
	struct record *next;
	enum table table;
	size_t value_count;
	struct value *values;
	struct journal_row *journal; /* TABLE_JOURNAL: the row; values[0] is still missing */
};

struct batch_chunk;

struct batch {
	int64_t now_us;
	struct record *first, **last;
	struct batch_chunk *chunks; /* newest first */
	size_t size;                /* bytes in them */
	/* the writer's, once appended */
	struct batch *next;
	store_done_fn *done;
	void *arg;
	enum store_result result;
	bool uncertain; /* its commit failed: only the disk knows whether it is there */
};

/** Nothing but audit rows and caches: what may be given up when too much is kept. */
bool batch_is_expendable(const struct batch *batch) MUST_CHECK;

#endif
