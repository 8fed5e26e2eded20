/* ledger/export.h - the journal for other people's tools. */
#ifndef LEDGER_EXPORT_H
#define LEDGER_EXPORT_H

#include "ledger/store.h"

enum export_format { EXPORT_HLEDGER = 1, EXPORT_CSV = 2, EXPORT_JSON = 3 };

/** Writes pieces of the export; returns false to stop (peer gone). */
typedef bool export_write_fn(const char *text, size_t size, void *arg);

/** export_run - agent 0: all. Amounts are decimal dollars.
 *
 * hledger  commodities are "<symbol>-<network>", quoted, one per asset and network (where
 *          two contracts share a symbol on one network, the contract is appended);
 *          accounts as in ledger/account.h with '/' as ':'; each transaction carries
 *          its id, call and transaction hash as tags; closes with balance assertions.
 *          Passes `hledger check --strict`. In account names and tags the characters
 *          that mean something to hledger, '%', control characters, bytes that are not
 *          UTF-8 and spaces other than single inner ones are written %XX; an empty part
 *          of an account name is written "%". So names can be read back.
 * CSV      RFC 4180 with a header, one posting a line. A text cell that a spreadsheet
 *          would run (= + - @ tab CR first), or that starts with ', gets a ' in front.
 * JSON     an array of transactions with their postings; ids and amounts are strings.
 *
 * CSV and JSON write U+FFFD for what is not UTF-8.
 *
 * Returns  STORE_OK      written, or write asked to stop
 *          STORE_BROKEN  the ledger cannot be read; what was written is incomplete */
enum store_result export_run(struct store *store, int64_t agent, enum export_format format,
    export_write_fn *write, void *arg) MUST_CHECK;

#endif
