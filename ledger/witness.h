/* ledger/witness.h - what is known about both chains from outside the database, held
 * against their rows as verify reads them.
 *
 * Three sources: DIR/head (ledger/head.h), the anchor file, and what somebody kept
 * elsewhere: a copy of that file or lines of it, single heads. All are read before the
 * snapshot is taken in which the rows are read, so that rows committed meanwhile can only
 * be more than what the witness knows of.
 *
 * A chain that was rewritten with all its hashes recomputed is whole in itself and found
 * here; so are rows missing at its end. */
#ifndef LEDGER_WITNESS_H
#define LEDGER_WITNESS_H

#include "ledger/anchor.h"
#include "ledger/head.h"

enum witness_chain { WITNESS_JOURNAL = 0, WITNESS_RECORD = 1 };

struct witness_options {
	/* NULL: not looked at. A file that is not there is none: an installation may be new,
	 * or restored from its database alone. */
	const char *anchor_file;
	const char *other_anchors;       /* kept elsewhere, whole or in part; must be there */
	const struct digest *head;       /* the hash of some journal row; NULL */
	const struct digest *audit_head; /* of some record row; NULL */
	/* Who must have signed, EIP-55; NULL: whoever signed the first anchor of each file. */
	const char *installation;
	/* Is text signed (EIP-191) by that address? NULL: signatures are not checked. */
	bool (*signed_by)(void *arg, const char *installation, const char *text, size_t size,
	    const char *signature);
	void *signed_by_arg;
};

typedef void witness_problem_fn(void *arg, const char *words);

struct witness;

/** witness_new - read the sources. dir: of DIR/head. Every problem goes to problem. */
struct witness *witness_new(
    const char *dir, const struct witness_options *options, witness_problem_fn *problem, void *arg);
void witness_free(struct witness **witness);

/** Each row of a chain in order, with its stored hash. */
void witness_row(
    struct witness *witness, enum witness_chain chain, int64_t id, const struct digest *hash);
/** The chain has no more rows. */
void witness_end(struct witness *witness, enum witness_chain chain);

/** Of the anchor file: whole lines; the time of the newest, 0 when none; lines cut short. */
int64_t witness_anchors(const struct witness *witness);
int64_t witness_anchored_us(const struct witness *witness);
int64_t witness_torn(const struct witness *witness);

#endif
