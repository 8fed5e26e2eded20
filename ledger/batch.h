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
	bool outlives;              /* batch_outlive */
	/* the writer's, once appended */
	struct batch *next;
	store_done_fn *done;
	void *arg;
	enum store_result result;
	bool uncertain; /* its commit failed, or the process ended: only the disk knows whether
			 * it is there */
	uint64_t redo;  /* where it is in DIR/redo (ledger/redo.h); 0: not in it */
};

/** Nothing but audit rows and caches: what may be given up when too much is kept. */
bool batch_is_expendable(const struct batch *batch) MUST_CHECK;

/* A batch as one piece of bytes, for the same program on the same machine: its time, the number of
 * its records, and for each the number of its table and a value per column: the type, then eight
 * bytes of a number, or four of a length, that many bytes and a NUL. As the machine has them.
 * A kept answer above BATCH_ANSWER_MAX is left out: it is a cache, whose key can do without, and a
 * few of them would leave no room in DIR/redo for what is none. */
#define BATCH_ANSWER_MAX 16384u

/** The bytes that batch_encode writes; no journal row has its id yet. */
size_t batch_encoded_size(const struct batch *batch) MUST_CHECK;
void batch_encode(void *out, const struct batch *batch);
/** batch_decode - what batch_encode has written, and nothing else; nothing is borrowed.
 * NULL when the bytes are not such a batch. */
struct batch *batch_decode(const void *bytes, size_t size) MUST_CHECK;

#endif
