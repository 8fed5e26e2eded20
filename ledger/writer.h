/* ledger/writer.h - the one thread that writes.
 *
 * It owns the writing connection and the heads of both chains. Callers queue batches; the thread
 * takes the whole queue, applies all batches in one transaction, commits as soon as somebody waits
 * for one of them, and only then tells the callers, in order. */
#ifndef LEDGER_WRITER_H
#define LEDGER_WRITER_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "ledger/batch.h"
#include "ledger/head.h"
#include "ledger/store.h"

struct writer;

/** max(now_us, *last_id + 1), which becomes *last_id. Any thread, no lock. */
int64_t writer_next_id(_Atomic int64_t *last_id, int64_t now_us);

/** writer_start - take db and start the thread. last_id is the store's.
 * known: an end of the journal whose row is in db with its hash. Rows up to there have been
 * counted, so that a start need not count a million again. All zero: none is known.
 * slot is written now and after each commit; NULL: none. It outlives the writer.
 * redo: the path of DIR/redo (ledger/redo.h). What is in it is queued before anything else, its
 * ids not given out again. NULL: it is left alone, and nothing is put into one.
 * STORE_OK, or STORE_BROKEN with reason; db is the caller's still then. */
enum store_result writer_start(struct writer **out, char reason[256], sqlite3 *db,
    _Atomic int64_t *last_id, const struct head *known, struct head_slot *slot,
    const char *redo) MUST_CHECK;

/** Commits what is queued, ends the thread, checkpoints, closes db. */
void writer_stop(struct writer **writer);

void writer_append(struct writer *writer, struct batch **batch, store_done_fn *done, void *arg);
/** store_expect. */
void writer_expect(struct writer *writer);
size_t writer_queued(const struct writer *writer);
/** store_set_answers_max. */
void writer_set_answers_max(struct writer *writer, int64_t bytes);
enum store_result writer_health(struct writer *writer, char reason[256]);

#endif
