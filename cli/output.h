/* cli/output.h - what the program says: results on stdout, one line of error on stderr.
 *
 * Strings may come from agents and sellers. Everything written for people has its control
 * and direction-changing characters spelled out, so that nothing a stranger sent can move
 * the cursor, forge a line or turn the reading order round; JSON on a terminal is
 * ASCII. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli/cli.h"
#include "common/buf.h"
#include "common/must.h"

/* A text that would be larger is asked for as JSON or in parts. */
#define OUTPUT_SIZE_MAX ((size_t)1 << 30)

enum cell_kind {
	CELL_TEXT = 0,    /* as it is; arrays joined by ", ", objects as JSON, booleans yes or no */
	CELL_AMOUNT = 1,  /* "$0.05", to the right */
	CELL_TIME = 2,    /* RFC 3339 UTC as "2026-11-20 13:35:00" */
	CELL_NUMBER = 3,  /* to the right */
	CELL_MEASURE = 4, /* an amount when the row's "measure" is "spend", else a number */
};

/* One column of a table, or one line of a list of fields. */
struct column {
	const char *key; /* member of the row; NULL ends the list */
	const char *title;
	enum cell_kind kind;
};

/** output_clean - text for a terminal: control characters, and those that change the
 * direction or hide, as \u202e, bytes that are not UTF-8 as \xff. */
void output_clean(struct buf *out, const char *text);

/** Columns a clean text takes on a terminal: combining marks none, wide letters two. */
size_t output_width(const char *text);

/** output_table - one row an element of rows (an array of objects), aligned, under a line
 * of titles; `empty` and a newline when there are none. Absent and null cells are "-". */
void output_table(struct buf *out, const struct column *columns, const json_t *rows,
    const char *empty);

/** output_fields - title and value, one a line. */
void output_fields(struct buf *out, const struct column *columns, const json_t *object);

/** Renders a result for people. */
typedef void output_show_fn(struct buf *out, const json_t *result);

/** output_result - the result on stdout: through show, or as JSON (2 spaces, keys in the
 * order they came) when cli->json or show is NULL. Returns false, the error said, when
 * stdout does not take it. */
bool output_result(const struct cli *cli, const json_t *result, output_show_fn *show) MUST_CHECK;

/** Text as it is on stdout, under the same rule. */
bool output_text(const char *text) MUST_CHECK;

/** "tallyward: …" on stderr, always exactly one line. output_problem leaves the name out, for
 * lines that editors jump to. */
void output_error(const char *format, ...) PRINTF_LIKE(1, 2);
void output_warning(const char *format, ...) PRINTF_LIKE(1, 2);
void output_problem(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
