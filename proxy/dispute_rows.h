/* proxy/dispute_rows.h - the ledger's rows as a bundle writes them, and read back.
 *
 * {"table": "payment", "number": 97,
 *  "values": {"id": "i:1763…", "call": "i:1763…", …},   columns in their order
 *  "postings": [["wallet/coder/available", "i:-50000"], …],   journal rows only
 *  "before": "<hash of the row before>", "anchor": 7, "path": ["<hash>", …]}
 *
 * A value is null, "i:" a whole number, "t:" text, "b:" bytes in hex, or "x:" text that is
 * not UTF-8 or holds a NUL, in hex. Each has one spelling; anything else is refused. */
#ifndef PROXY_DISPUTE_ROWS_H
#define PROXY_DISPUTE_ROWS_H

#include <jansson.h>
#include <stdbool.h>

#include "ledger/proof.h"

#define DISPUTE_FORMAT "tallyward-dispute-1"
/* ledger/proof_call.c gives no more. */
#define DISPUTE_POSTINGS_MAX 8u

struct dispute_row {
	enum table table;
	int64_t number;
	struct value values[SCHEMA_COLUMNS_MAX];
	struct posting postings[DISPUTE_POSTINGS_MAX];
	size_t posting_count;
	struct digest before;
	int64_t anchor;
	struct merkle_path path;
};

/* A bundle, read. Texts borrow from the tree it was read from. */
struct dispute {
	int64_t call;
	const char *installation;
	struct dispute_row *rows;
	size_t row_count;
	struct anchor *anchors;
	const char **anchor_lines;
	size_t anchor_count;
	const json_t *facts;
	void **owned; /* decoded bytes */
	size_t owned_count, owned_capacity;
};

/** A row without its anchor and path, which dispute_row_prove() adds. */
json_t *dispute_row_json(const struct proof_row *row);
void dispute_row_prove(json_t *row, int64_t anchor, const struct merkle_path *path);

/** dispute_read - the members of a bundle. False, with reason, unless every member is there
 * and in its form, none is there beside them, and the rows come in order, each once.
 * Nothing is said about hashes and signatures. `facts` and "signature" need not be there
 * when `unfinished`. */
bool dispute_read(
    struct dispute *out, char reason[256], const json_t *root, bool unfinished) MUST_CHECK;
void dispute_fini(struct dispute *dispute);

/** A column by its name, which the table must have. */
const struct value *dispute_value(const struct dispute_row *row, const char *column);
/** Its number, 0 when NULL; its text, NULL when it is none or not C text. */
int64_t dispute_number(const struct dispute_row *row, const char *column);
const char *dispute_text(const struct dispute_row *row, const char *column);

/** The row with that id; NULL when it is not in the bundle. */
const struct dispute_row *dispute_find(const struct dispute *dispute, enum table table, int64_t id);

/** The row of a table with the greatest id up to at_us; name: of those with that name, NULL: of
 * all. NULL when there is none. */
const struct dispute_row *dispute_in_force(
    const struct dispute *dispute, enum table table, const char *name, int64_t at_us);
/** The policy that applied then: the agent's own, else the default one; NULL: not in here. */
const struct dispute_row *dispute_policy_at(const struct dispute *dispute, int64_t at_us);

/* What the call was, by its audit row, else by the rows a crash left without one. */
struct dispute_subject {
	const struct dispute_row *audit; /* NULL: none */
	int64_t agent, signed_us;
	const char *session, *tool;
};
void dispute_subject(struct dispute_subject *out, const struct dispute *dispute);

/** dispute_related - is every row about the call? False, with reason, at the first that is not,
 * or when none is of the call itself. */
bool dispute_related(char reason[256], const struct dispute *dispute) MUST_CHECK;

/** dispute_facts - what the rows say. Pure: the same rows give the same facts, in every
 * program that knows DISPUTE_FORMAT. */
json_t *dispute_facts(const struct dispute *dispute);

#endif
