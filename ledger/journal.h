/* ledger/journal.h - what a row's hash covers, byte for byte.
 *
 * Two chains cover every append-only table:
 *
 *   journal chain   journal rows by id, each with its postings and, for a sign row,
 *                   the payment it stands for
 *   record chain    every row of every other append-only table (agent, agent_address,
 *                   agent_state, policy, tool, token, token_revoked, network, payment,
 *                   payment_state, audit, account, evidence, delivery, setting), in the
 *                   order written; the table
 *                   `record` holds (seq 1.., kind, row id, hash). This is the chain
 *                   that verify.h calls the audit chain.
 *
 * idempotency and answer are a cache with an age and belong to neither.
 *
 * Encoding. Integers are big-endian.
 *
 *   VALUE   NULL      00
 *           integer   01, 8 bytes two's complement
 *           text      02, 4 bytes length, the bytes (UTF-8 as received, no NUL)
 *           blob      03, 4 bytes length, the bytes
 *   ROW     2 bytes number of the table (enum table), 2 bytes number of columns, then a
 *           VALUE per column in the order of ledger/schema.c, the id first, `hash` left out
 *
 *   record hash    SHA-256( hash of the record before | VALUE seq | ROW )
 *   journal hash   SHA-256( hash of the journal row before | ROW
 *                         | 2 bytes number of postings
 *                         | for each, the lower amount first, then by name:
 *                           VALUE account name, VALUE amount
 *                         | VALUE payment )
 *                  where payment is a blob, SHA-256( ROW of the payment ), for a sign row
 *                  and NULL for all others
 *
 * Before the first row stand 32 zero bytes. A chain cannot show that its own tail was
 * cut off: whoever wants that keeps the head (`ledger verify` prints it) elsewhere. */
#ifndef LEDGER_JOURNAL_H
#define LEDGER_JOURNAL_H

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

#include "common/digest.h"
#include "ledger/schema.h"

enum value_type { VALUE_NULL = 0, VALUE_INT = 1, VALUE_TEXT = 2, VALUE_BLOB = 3 };

struct value {
	enum value_type type;
	int64_t number;    /* VALUE_INT */
	const void *bytes; /* VALUE_TEXT, VALUE_BLOB; borrowed */
	size_t size;
};

static inline struct value value_int(int64_t number)
{
	return (struct value){.type = VALUE_INT, .number = number};
}

/** NULL becomes VALUE_NULL. */
struct value value_text(const char *text);
struct value value_blob(const void *bytes, size_t size);

struct posting {
	const char *account; /* its name */
	int64_t amount;      /* micro-dollars; below 0 leaves the account */
};

/** The columns of a row as a statement has them; values borrow from stmt until its
 * next step. */
void journal_values(struct value *out, sqlite3_stmt *stmt, size_t column_count);

/** SHA-256 of one ROW. */
struct digest journal_row_digest(enum table table, const struct value *values);

/** postings: sorted as above. payment: NULL unless a sign row. */
struct digest journal_hash(const struct digest *before, const struct value *values,
    const struct posting *postings, size_t posting_count, const struct digest *payment);

struct digest record_hash(const struct digest *before, int64_t seq, enum table table,
    const struct value *values);

#endif
