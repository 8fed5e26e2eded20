/* ledger/anchor.h - where both chains stood, kept outside the database: the anchor file.
 *
 * The file is only ever appended to, one line of JSON an anchor, fsync'd. A line without
 * blanks, its members in this order, everything else refused:
 *
 *   {"anchor":7,"time":"2026-11-21T12:00:00.000001Z","installation":"0x…",
 *    "journal":{"from":40,"rows":42,"last":"1763…","head":"…","root":"…"},
 *    "record":{"from":90,"rows":97,"last":"97","head":"…","root":"…"},
 *    "before":"…","signature":"0x…"}
 *
 *   anchor        1, 2, 3, …
 *   installation  address of the key that signed
 *   rows, last, head  the chain's rows so far, the id (record: seq) and hash of the last
 *   from          rows that the anchor before already had
 *   root          Merkle root (ledger/merkle.h) of the stored hashes of rows from + 1 to rows,
 *                 in order, each hash the data of a leaf
 *   before        SHA-256 of the line before, without its newline; 64 zeros for the first
 *   signature     EIP-191 personal_sign of the line without this member (that is, of what
 *                 JSON.stringify gives for the other members)
 *
 * Digests are 64 lower-case hex digits. A line that a crash or a full disk cut short is
 * recognised by not being one, and the next anchor begins a line of its own; numbers and
 * `before` go on as if it were not there. */
#ifndef LEDGER_ANCHOR_H
#define LEDGER_ANCHOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/must.h"
#include "ledger/head.h"

/* A line is some 650 bytes; with every number at its longest 760. */
#define ANCHOR_LINE_MAX     1024u
#define ANCHOR_INSTALLATION 42u  /* "0x" and 40 digits */
#define ANCHOR_SIGNATURE    132u /* "0x" and 130 digits */
/* Rows of one chain under one anchor; more rows make more anchors. So a path is at most 14
 * hashes long, and an anchor takes some 20 ms to make. */
#define ANCHOR_ROWS_MAX 16384
/* Whatever a file claims: numbers that JSON in other languages still holds exactly. */
#define ANCHOR_NUMBER_MAX INT64_C(9007199254740991)

struct anchor_chain {
	int64_t from;
	struct head head;
	struct digest root;
};

struct anchor {
	int64_t number;
	int64_t time_us;
	char installation[ANCHOR_INSTALLATION + 1];
	struct anchor_chain journal, record;
	struct digest before;
	char signature[ANCHOR_SIGNATURE + 1];
};

/** The line as it is signed; and whole, without a newline. Return the length. The strings
 * of anchor are of their full lengths. */
size_t anchor_statement(char out[ANCHOR_LINE_MAX], const struct anchor *anchor);
size_t anchor_format(char out[ANCHOR_LINE_MAX], const struct anchor *anchor);

/** Only what anchor_format writes, numbers in order (from <= rows, at most ANCHOR_ROWS_MAX
 * apart; last at least rows). Nothing is said about hashes or signature.
 * False, *out untouched, on anything else. */
bool anchor_parse(struct anchor *out, const char *line, size_t size) MUST_CHECK;

/* --- the file ------------------------------------------------------------- */

enum anchor_result {
	ANCHOR_OK = 0,
	ANCHOR_ABSENT = 1,  /* no such file */
	ANCHOR_FOREIGN = 2, /* no file of anchors: a folder, a device, lines of something else */
	ANCHOR_IO = 3,      /* errno says why */
};

/* One line of a file, good or not. */
struct anchor_line {
	int64_t at;       /* 1-based */
	const char *text; /* without newline; only its first ANCHOR_LINE_MAX bytes */
	size_t size;
	bool good;            /* it is an anchor */
	bool last;            /* nothing follows, not even a newline: perhaps cut short */
	struct anchor anchor; /* when good */
	struct digest digest; /* of the line, when good */
};
typedef bool anchor_each_fn(const struct anchor_line *line, void *arg);

/** anchor_each - the lines of a file in order, empty ones left out, until each returns false.
 * `loose`: lines may have words before the anchor, as in a system log. */
enum anchor_result anchor_each(
    const char *path, bool loose, anchor_each_fn *each, void *arg) MUST_CHECK;

/* The end of an anchor file, where the next line goes. */
struct anchor_tail {
	bool any;             /* there is an anchor */
	struct anchor newest; /* when any */
	struct digest digest; /* of its line; zero when none */
	bool open_line;       /* the file does not end in a newline */
};

/** anchor_tail_read - ANCHOR_OK also for an empty file, and for one whose first line was torn.
 * ANCHOR_FOREIGN when there is no anchor in it and it is something else, or there is none in
 * its last ANCHOR_TAIL_SIZE bytes. */
#define ANCHOR_TAIL_SIZE (64u * 1024u)
enum anchor_result anchor_tail_read(struct anchor_tail *out, int fd) MUST_CHECK;

/** anchor_append - one line to the end of fd (opened O_APPEND), fsync'd; line without
 * newline. False with errno: what arrived of it is not known, read the tail again. */
bool anchor_append(
    const struct anchor_tail *tail, int fd, const char *line, size_t size) MUST_CHECK;

#endif
