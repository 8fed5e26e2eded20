/* cli/options.h - what a verb takes, declared once: a table over getopt_long(3).
 *
 * From the table come the parsing, the checks of every value, the one-line usage error
 * and --help. Options may stand before, between and after the arguments; "--" ends
 * them. Every value is UTF-8. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/must.h"

struct cli;

#define OPTIONS_WORDS_MAX   4u
#define OPTIONS_ROWS_MAX    16u
/* Options given on one command line: rpc URLs are the only ones that repeat. */
#define OPTIONS_GIVEN_MAX   64u
#define OPTIONS_REASON_SIZE 512u

enum option_kind {
	OPTION_FLAG = 0,     /* takes no value */
	OPTION_TEXT = 1,
	OPTION_CHOICE = 2,   /* one of the words in `value`: "x402|metered" */
	OPTION_AMOUNT = 3,   /* decimal dollars, common/amount.h */
	OPTION_DURATION = 4, /* "8h", common/clock.h */
	OPTION_TIME = 5,     /* RFC 3339, or a date alone: its first moment in UTC */
	OPTION_COUNT = 6,    /* decimal digits, at most nine */
};

/* rules of an option */
#define OPTION_REPEATS  1u
#define OPTION_REQUIRED 2u

struct option_row {
	const char *name;  /* without dashes; NULL ends a table */
	const char *value; /* how the usage calls it; NULL for a flag */
	enum option_kind kind;
	unsigned rules;
	const char *help;
};

/* An argument by position. Optional ones come last. */
struct word_row {
	const char *name; /* "AGENT"; NULL ends the list */
	enum option_kind kind;
	bool optional;
};

struct verb {
	const char *name; /* NULL when the subcommand has no verbs */
	const char *help; /* one line: no capital, no final point */
	struct word_row words[OPTIONS_WORDS_MAX + 1];
	const struct option_row *options; /* NULL: none */
	int (*run)(const struct cli *cli);
};

/* One command line, parsed. Strings are argv's own. Zero-initialise before use. */
struct options {
	const char *dir;           /* -d; NULL when not given */
	bool json, help, version;
	const struct verb *verb;
	const char *words[OPTIONS_WORDS_MAX];
	size_t word_count;
	struct {
		const struct option_row *row;
		const char *value; /* NULL for a flag */
	} given[OPTIONS_GIVEN_MAX];
	size_t given_count;
};

enum options_result {
	OPTIONS_OK = 0,
	OPTIONS_USAGE = 1, /* reason is one line that says what to write instead */
};

/** options_parse_global - the options every command takes (-d, --json, --help, --version),
 * up to the first word.
 *
 * Returns  OPTIONS_OK, *next the position of that word in argv (argc when there is none)
 *          OPTIONS_USAGE, reason filled, *next and *out untouched
 * In       argv  argv[0] is skipped
 * In-out   out   what is found is added */
enum options_result options_parse_global(struct options *out, int *next,
    char reason[OPTIONS_REASON_SIZE], int argc, char **argv) MUST_CHECK;

/** options_parse - everything after a verb.
 *
 * Returns  OPTIONS_OK: every word and option is known, present if it has to be, and well
 *          formed; or --help or --version was given, and then what
 *          follows it was not looked at
 *          OPTIONS_USAGE, reason filled, *out untouched
 * In       subcommand  its name, for reason
 *          argv        argv[0] is skipped
 * In-out   out         what is found is added */
enum options_result options_parse(struct options *out, char reason[OPTIONS_REASON_SIZE],
    const char *subcommand, const struct verb *verb, int argc, char **argv) MUST_CHECK;

/** True for what JSON can carry; every value and word has been checked. */
bool options_utf8(const char *text);

/* Below: name is one of the verb's table; another one is our bug. */

bool options_flag(const struct options *options, const char *name);
/** The value of an option, or NULL when it was not given; and of one that repeats. */
const char *options_text(const struct options *options, const char *name);
const char *options_nth(const struct options *options, const char *name, size_t index);
/** A duration in seconds, or a count; 0 when not given. */
int64_t options_seconds(const struct options *options, const char *name);
long options_count(const struct options *options, const char *name);
/** A time as RFC 3339 UTC in text; NULL when not given. */
const char *options_time(char text[CLOCK_TEXT_SIZE], const struct options *options,
    const char *name);
/** An argument by position, or NULL when it was not given. */
const char *options_word(const struct options *options, size_t index);

/** "tallyward tool add NAME URL [--price P]", without a newline. */
void options_usage(struct buf *out, const char *subcommand, const struct verb *verb);
/** The whole of `--help` for a verb; and the part that all commands share. */
void options_help(struct buf *out, const char *subcommand, const struct verb *verb);
void options_help_global(struct buf *out);
/** A help line as a sentence of its own. */
void options_sentence(struct buf *out, const char *help);

#endif
