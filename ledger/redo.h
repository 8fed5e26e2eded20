/* ledger/redo.h - DIR/redo: what nobody waits for, where a killed process leaves it.
 *
 * An audit row or a settlement is in memory for some milliseconds before its commit, and for as
 * long as the disk fails. A process may end at any of its instructions; so that these rows do not
 * go with it, a batch that nobody waits for is also put into a file which is mapped into memory,
 * before its caller goes on, and taken out of it when it is committed. The pages are the kernel's:
 * they outlive the process. Nothing of it is synced, so a power cut may take what has not been
 * committed, or leave half of it; what must survive that is waited for (store_append with a done).
 * The next store_open applies what it finds, once, whether or not its commit had come to its end.
 *
 * The file, as the machine has its numbers, is for the same program on the same machine:
 *
 *   a page    "tallyward redo 1 schema <version>", a newline; at 512 where both chains ended when
 *             the file was made (ledger/head.h), so that rows of another history are not taken for
 *             this one's; at 1024 eight bytes, the place of the first entry, and sixteen that
 *             nobody else knows, by which the sums are made
 *   a ring    of entries one behind the other, each with its own place, which only grows, so that
 *             what is left of the last lap is not taken for one; the size and a sum of its batch
 *             (ledger/batch.h); whether it is out again. None is in two pieces
 *
 * An entry is there when its place is, which is written last. */
#ifndef LEDGER_REDO_H
#define LEDGER_REDO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/must.h"
#include "ledger/batch.h"
#include "ledger/head.h"

#define REDO_FILE "redo"
/* Some 4,000 audit rows: what comes in a tenth of a second at most, while a commit lasts. What
 * does not fit is in memory alone. */
#define REDO_RING_SIZE ((size_t)4 << 20)

struct redo;

/** redo_open - a new file, empty, beside path and not yet in its place, so that what is there
 * stays until redo_publish. NULL with errno. */
struct redo *redo_open(const char *path, const struct heads *heads) MUST_CHECK;
/** In the place of whatever was there. False with errno. */
bool redo_publish(struct redo *redo) MUST_CHECK;
/** The file goes when nothing is left in it. */
void redo_close(struct redo **redo);

/** redo_put - its place, for redo_drop; 0: there is no room. One thread at a time. */
uint64_t redo_put(struct redo *redo, const struct batch *batch);
/** Committed, or given up. One thread at a time; beside redo_put. */
void redo_drop(struct redo *redo, uint64_t place);

enum redo_result {
	REDO_OK = 0,
	REDO_ABSENT = 1,  /* no file: the last process came to its end */
	REDO_DAMAGED = 2, /* not ours, or of another schema */
	REDO_IO = 3,      /* errno says why */
};

/** In the order in which they were put. Takes *batch. */
typedef void redo_each_fn(struct batch *batch, void *arg);

/** redo_read - what is left in a file that no process has open, up to the first entry that is not
 * whole. Whatever the result, each batch that was told is, and then *heads is set. */
enum redo_result redo_read(
    struct heads *heads, const char *path, redo_each_fn *each, void *arg) MUST_CHECK;

#endif
