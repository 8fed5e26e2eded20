/* ledger/head.h - where both chains end, and DIR/head, where that is written a second time.
 *
 * The chains (ledger/journal.h) cannot show that their own tails were cut off. So after
 * every commit the writer rewrites one small file beside the database, in place and without
 * fsync. It is written after the commit is durable: what it says is never ahead of the
 * database, and a ledger that has not what it says has lost rows, or is an older copy.
 *
 * The file is HEAD_SIZE bytes of text, so that one sector and one write hold it:
 *
 *   tallyward head 1
 *   journal <rows> <id of the last> <its hash>
 *   record <rows> <seq of the last> <its hash>
 *   sum <SHA-256 of everything before this line>
 *
 * then blanks and a newline. Zero rows: last 0, hash 32 zero bytes. */
#ifndef LEDGER_HEAD_H
#define LEDGER_HEAD_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/must.h"

#define HEAD_FILE "head"
#define HEAD_SIZE 512u

/* The end of one chain. */
struct head {
	int64_t rows;
	int64_t last; /* id of the last journal row; seq of the last record row */
	struct digest hash;
};

struct heads {
	struct head journal, record;
};

/** HEAD_SIZE bytes and a NUL. */
void head_format(char out[HEAD_SIZE + 1], const struct heads *heads);
/** Only what head_format writes. False, *out untouched, on anything else. */
bool head_parse(struct heads *out, const char *text, size_t size) MUST_CHECK;

enum head_result {
	HEAD_OK = 0,
	HEAD_ABSENT = 1,  /* no file, or an empty one: nothing was written yet */
	HEAD_DAMAGED = 2, /* not ours, cut short, or its sum is wrong */
	HEAD_IO = 3,      /* errno says why */
};

/** head_read - what the file says. It may be rewritten meanwhile: a read that met a
 * write half done is repeated, a few times. *out only when HEAD_OK. */
enum head_result head_read(struct heads *out, const char *path) MUST_CHECK;

/** head_in - has db the rows that heads ends with, with their hashes? Their hashes cover
 * all before them, so nothing else has to be read.
 * False, with reason one sentence, when not or when db cannot be read. */
bool head_in(char reason[256], sqlite3 *db, const struct heads *heads) MUST_CHECK;

/* The file, open for writing. One thread at a time. */
struct head_slot;

/** Made (0600) when it is not there. NULL with errno. */
struct head_slot *head_slot_open(const char *path) MUST_CHECK;
void head_slot_close(struct head_slot **slot);
/** False with errno; logged once until a write succeeds again. */
bool head_slot_put(struct head_slot *slot, const struct heads *heads);

#endif
