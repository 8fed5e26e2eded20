/* ledger/footing.h - the accounts that the writer moves money between, and what they hold.
 *
 * A footing is the sum at the foot of an account. Every posting changes one, and a paid call
 * has four of them, most often of the same accounts as the call before: so they are added up
 * here, and each account that changed is written to the table `balance` once, before what
 * changed it is committed. A balance is written only over the one that was read, so that a
 * change by another hand is found and not built upon.
 *
 * The writer thread's. Everything that it holds is read from the database, on its connection,
 * and forgotten when a transaction is rolled back. */
#ifndef LEDGER_FOOTING_H
#define LEDGER_FOOTING_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/must.h"

struct footings;
struct footing;

/** NULL when the statements cannot be prepared: sqlite3_errmsg(db) says why. */
struct footings *footings_new(sqlite3 *db) MUST_CHECK;
void footings_free(struct footings **footings);

/** footing_find - the account of that name.
 * Returns  SQLITE_ROW   *out is it, valid until footings_write or footings_forget
 *          SQLITE_DONE  there is none
 *          other        SQLite's error; SQLITE_MISMATCH: an account without a balance */
int footing_find(struct footing **out, struct footings *footings, const char *name,
    const char *network, const char *asset) MUST_CHECK;

/** footing_open - an account whose row has just been written: it holds nothing yet.
 * SQLITE_DONE and *out, or SQLite's error. */
int footing_open(struct footing **out, struct footings *footings, int64_t account,
    const char *name, const char *network, const char *asset) MUST_CHECK;

/** The id of its row. */
int64_t footing_account(const struct footing *footing);

/** footing_add - amount more, or less below 0; micro-dollars. False: no int64 holds the sum,
 * and nothing changed. */
bool footing_add(struct footings *footings, struct footing *footing, int64_t amount) MUST_CHECK;

/** footings_write - the balances that changed since the last time, into the transaction at hand.
 * SQLITE_DONE; SQLITE_MISMATCH when one is not on disk as it was read, or gone; or SQLite's
 * error. After anything but DONE the transaction must be rolled back and all be forgotten. */
int footings_write(struct footings *footings) MUST_CHECK;

void footings_forget(struct footings *footings);

#endif
