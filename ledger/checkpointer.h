/* ledger/checkpointer.h - checkpoints beside the commits.
 *
 * A thread with a connection of its own copies the pages of the write-ahead log into the
 * database while the writer goes on, so that no payment waits for it. What is left then is little,
 * and the writer copies that itself, after which the next commit begins the log anew.
 *
 * SQLite before 3.51.3 can damage a database when a commit begins the log anew while another
 * connection begins a checkpoint (sqlite.org/wal.html#walresetbug): the checkpoint takes the length
 * of the old log for that of the new one. A commit begins the log anew only when all of it had been
 * copied before that commit began. So a round is begun by the writer alone, right after a commit of
 * its own, while the log has pages that nobody has copied: until this round says that they are, no
 * commit can begin the log anew, and by then it has read the log's length. No other connection may
 * make checkpoints while a round is under way, the writer's neither.
 *
 * A round that the writer overtakes is not synced by SQLite, which leaves that to the one that
 * reaches the end (walCheckpoint in wal.c of 3.40.1); this one is synced here, so that the writer's
 * sync finds little to do. A sync that failed may have lost what rounds before it copied, and would
 * not say so a second time: from then on nothing may be copied in this process, so that the log
 * stays, and the next start copies all of it again, because what was copied is noted in shared
 * memory alone. */
#ifndef LEDGER_CHECKPOINTER_H
#define LEDGER_CHECKPOINTER_H

#include <sqlite3.h>
#include <stdbool.h>

#include "common/must.h"
#include "ledger/store.h"

struct checkpointer;

/** What a checkpoint came to. */
struct checkpoint {
	int log_pages;    /* in the log when it began */
	int copied_pages; /* of those; fewer when somebody reads an older state of the ledger */
	int rc;           /* SQLite's: SQLITE_OK, or the rest is as it was before */
	bool lost;        /* a sync failed: see above */
};

/** checkpoint_run - one checkpoint on db, without waiting for anybody. No transaction is open. */
struct checkpoint checkpoint_run(sqlite3 *db);

/** checkpointer_start - a thread, with its connection, for the ledger at path, which is open.
 * STORE_OK, or STORE_BROKEN with reason. */
enum store_result checkpointer_start(struct checkpointer **out, char reason[256],
    const char *path) MUST_CHECK;

/** checkpointer_stop - a round in progress is finished first. last is what it, or the one that has
 * ended and was not told of, came to; all zero when there is none. */
void checkpointer_stop(struct checkpointer **checkpointer, struct checkpoint *last);

/* The rest is for the writer's thread alone. */

/** True from checkpointer_begin until checkpointer_ended has told of it. */
bool checkpointer_is_busy(const struct checkpointer *checkpointer);

/** checkpointer_begin - only when none is under way, right after a commit, and while pages of the
 * log are not copied. */
void checkpointer_begin(struct checkpointer *checkpointer);

/** True once for each round, when it is done. No lock is taken. */
bool checkpointer_ended(struct checkpointer *checkpointer, struct checkpoint *out);

/** Until a round that is under way is done. */
void checkpointer_wait(struct checkpointer *checkpointer);

#endif
