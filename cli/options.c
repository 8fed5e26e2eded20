/* cli/options.c - getopt_long(3) driven by a verb's table. */
#include "cli/options.h"

#include <ctype.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/amount.h"
#include "common/json.h"

/* getopt's numbers: letters for what has one, ROW_BASE + position for a verb's own. */
#define GLOBAL_JSON 128
#define ROW_BASE    256

static const struct {
	const char *label;
	const char *help;
	struct option option;
} globals[] = {
    {"-d, --dir DIR", "the data folder (else $TALLYWARD_DIR, else ./tallyward-data)",
	{"dir", required_argument, NULL, 'd'}},
    {"--json", "print JSON; it is also what a pipe or a file gets",
	{"json", no_argument, NULL, GLOBAL_JSON}},
    {"-h, --help", "say how a command is used", {"help", no_argument, NULL, 'h'}},
    {"-V, --version", "say which version this is", {"version", no_argument, NULL, 'V'}},
};
#define GLOBAL_COUNT (sizeof(globals) / sizeof(globals[0]))
#define TABLE_SIZE   (GLOBAL_COUNT + OPTIONS_ROWS_MAX + 1)

static enum options_result refuse(char reason[OPTIONS_REASON_SIZE], const char *format, ...)
    PRINTF_LIKE(2, 3);

static enum options_result refuse(char reason[OPTIONS_REASON_SIZE], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason, OPTIONS_REASON_SIZE, format, args);
	va_end(args);
	return OPTIONS_USAGE;
}

static size_t row_count(const struct verb *verb)
{
	size_t count = 0;

	while (verb != NULL && verb->options != NULL && verb->options[count].name != NULL)
		count++;
	must(count <= OPTIONS_ROWS_MAX);
	return count;
}

static size_t word_count(const struct verb *verb)
{
	size_t count = 0;

	while (count < OPTIONS_WORDS_MAX && verb->words[count].name != NULL)
		count++;
	return count;
}

/* Both tables as getopt wants them; verb may be NULL. */
static void build(struct option table[TABLE_SIZE], const struct verb *verb)
{
	size_t count = row_count(verb);

	for (size_t i = 0; i < GLOBAL_COUNT; i++)
		table[i] = globals[i].option;
	for (size_t i = 0; i < count; i++) {
		const struct option_row *row = &verb->options[i];

		table[GLOBAL_COUNT + i] = (struct option){
		    .name = row->name,
		    .has_arg = row->kind == OPTION_FLAG ? no_argument : required_argument,
		    .val = ROW_BASE + (int)i,
		};
	}
	table[GLOBAL_COUNT + count] = (struct option){.name = NULL};
}

static const struct option *find_number(const struct option *table, int number)
{
	for (; table->name != NULL; table++) {
		if (table->val == number)
			return table;
	}
	return NULL;
}

/* getopt said ':' or '?': the reason, and the nearest option there is. */
static enum options_result refuse_option(char reason[OPTIONS_REASON_SIZE], int said,
    const struct option *table, const char *text)
{
	const char *names[TABLE_SIZE];
	const struct option *known = find_number(table, optopt);
	const char *nearest;
	char word[64];
	size_t count = 0;

	if (said == ':')
		return refuse(reason, "--%s needs a value", known != NULL ? known->name : "");
	if (known != NULL)
		return refuse(reason, "--%s takes no value", known->name);
	if (optopt != 0)
		return refuse(reason, "unknown option '-%c'", optopt);
	for (; table[count].name != NULL; count++)
		names[count] = table[count].name;
	names[count] = NULL;
	snprintf(word, sizeof(word), "%.*s", (int)strcspn(text + 2, "="), text + 2);
	nearest = json_nearest(word, names);
	if (nearest != NULL)
		return refuse(reason, "unknown option '--%s' (did you mean '--%s'?)", word,
		    nearest);
	return refuse(reason, "unknown option '--%s'", word);
}

/* Takes one global option; false when number is none. */
static bool take_global(struct options *options, int number)
{
	switch (number) {
	case 'd':
		options->dir = optarg;
		return true;
	case GLOBAL_JSON:
		options->json = true;
		return true;
	case 'h':
		options->help = true;
		return true;
	case 'V':
		options->version = true;
		return true;
	default:
		return false;
	}
}

enum options_result options_parse_global(struct options *out, int *next,
    char reason[OPTIONS_REASON_SIZE], int argc, char **argv)
{
	struct option table[TABLE_SIZE];
	struct options options = *out;
	int number;

	build(table, NULL);
	optind = 0; /* glibc: start anew */
	while ((number = getopt_long(argc, argv, "+:d:hV", table, NULL)) != -1) {
		if (!take_global(&options, number))
			return refuse_option(reason, number, table, argv[optind - 1]);
	}
	*next = optind;
	*out = options;
	return OPTIONS_OK;
}

static bool choice_has(const char *choices, const char *text)
{
	size_t length = strlen(text);

	while (*choices != '\0') {
		size_t span = strcspn(choices, "|");

		if (span == length && memcmp(choices, text, length) == 0)
			return true;
		choices += span + (choices[span] == '|');
	}
	return false;
}

static bool is_count(const char *text)
{
	size_t length = strlen(text);

	return length > 0 && length <= 9 && strspn(text, "0123456789") == length;
}

static bool parse_time(int64_t *out_us, const char *text)
{
	char whole[CLOCK_TEXT_SIZE];

	if (clock_parse(out_us, text))
		return true;
	if (strlen(text) != strlen("2026-11-20"))
		return false;
	snprintf(whole, sizeof(whole), "%sT00:00:00Z", text);
	return clock_parse(out_us, whole);
}

bool options_utf8(const char *text)
{
	json_t *value = json_string(text);
	bool ok = value != NULL;

	json_decref(value);
	return ok;
}

/* One value against its kind. label: "--price" or "AMOUNT". */
static enum options_result check_value(char reason[OPTIONS_REASON_SIZE], enum option_kind kind,
    const char *dashes, const char *label, const char *choices, const char *text)
{
	struct amount amount;
	int64_t number;

	if (!options_utf8(text))
		return refuse(reason, "%s%s is not UTF-8 text", dashes, label);
	switch (kind) {
	case OPTION_FLAG:
	case OPTION_TEXT:
		return OPTIONS_OK;
	case OPTION_CHOICE:
		if (choice_has(choices, text))
			return OPTIONS_OK;
		return refuse(reason, "%s%s is %s, not '%.100s'", dashes, label, choices, text);
	case OPTION_AMOUNT:
		if (amount_parse(&amount, text))
			return OPTIONS_OK;
		return refuse(reason, "%s%s takes dollars such as 0.05, not '%.100s'", dashes,
		    label, text);
	case OPTION_DURATION:
		if (clock_parse_duration(&number, text))
			return OPTIONS_OK;
		return refuse(reason, "%s%s takes a time such as 90s, 15m, 8h or 30d, not '%.100s'",
		    dashes, label, text);
	case OPTION_TIME:
		if (parse_time(&number, text))
			return OPTIONS_OK;
		return refuse(reason,
		    "%s%s takes 2026-11-20 or 2026-11-20T13:35:00Z, not '%.100s'", dashes, label,
		    text);
	case OPTION_COUNT:
		if (is_count(text))
			return OPTIONS_OK;
		return refuse(reason, "%s%s takes a whole number, not '%.100s'", dashes, label,
		    text);
	}
	return OPTIONS_OK;
}

static enum options_result take_row(struct options *options, char reason[OPTIONS_REASON_SIZE],
    const struct option_row *row)
{
	if (options->given_count == OPTIONS_GIVEN_MAX)
		return refuse(reason, "more than %u options", OPTIONS_GIVEN_MAX);
	for (size_t i = 0; i < options->given_count; i++) {
		if (options->given[i].row == row && (row->rules & OPTION_REPEATS) == 0)
			return refuse(reason, "--%s is given twice", row->name);
	}
	if (row->kind != OPTION_FLAG &&
	    check_value(reason, row->kind, "--", row->name, row->value, optarg) != OPTIONS_OK)
		return OPTIONS_USAGE;
	options->given[options->given_count].row = row;
	options->given[options->given_count].value = row->kind == OPTION_FLAG ? NULL : optarg;
	options->given_count++;
	return OPTIONS_OK;
}

static enum options_result take_word(struct options *options, char reason[OPTIONS_REASON_SIZE],
    const char *text)
{
	const struct word_row *word;

	if (options->word_count == word_count(options->verb))
		return refuse(reason, "unexpected argument '%.100s'", text);
	word = &options->verb->words[options->word_count];
	if (check_value(reason, word->kind, "", word->name, NULL, text) != OPTIONS_OK)
		return OPTIONS_USAGE;
	options->words[options->word_count++] = text;
	return OPTIONS_OK;
}

static enum options_result check_complete(const struct options *options,
    char reason[OPTIONS_REASON_SIZE])
{
	const struct verb *verb = options->verb;
	size_t words = word_count(verb), rows = row_count(verb);

	if (options->word_count < words && !verb->words[options->word_count].optional)
		return refuse(reason, "%s is missing", verb->words[options->word_count].name);
	for (size_t i = 0; i < rows; i++) {
		const struct option_row *row = &verb->options[i];

		if ((row->rules & OPTION_REQUIRED) != 0 && options_text(options, row->name) == NULL)
			return refuse(reason, "--%s %s is missing", row->name, row->value);
	}
	return OPTIONS_OK;
}

/* Appends ": see 'tallyward tool add --help'" or the usage, to what is wrong. */
static enum options_result with_usage(char reason[OPTIONS_REASON_SIZE], const char *subcommand,
    const struct verb *verb)
{
	size_t length = strlen(reason);
	struct buf usage;

	buf_init(&usage, 4096);
	options_usage(&usage, subcommand, verb);
	snprintf(reason + length, OPTIONS_REASON_SIZE - length, "; usage: %s", buf_str(&usage));
	buf_fini(&usage);
	return OPTIONS_USAGE;
}

/* Every option and word of the line into *options. */
static enum options_result take_line(struct options *options, char reason[OPTIONS_REASON_SIZE],
    int argc, char **argv)
{
	const struct verb *verb = options->verb;
	struct option table[TABLE_SIZE];
	int number;

	build(table, verb);
	optind = 0;
	/* "-": words come in their place, as option number 1. */
	while ((number = getopt_long(argc, argv, "-:d:hV", table, NULL)) != -1) {
		enum options_result result = OPTIONS_OK;

		if (number == 1)
			result = take_word(options, reason, optarg);
		else if (number >= ROW_BASE)
			result = take_row(options, reason, &verb->options[number - ROW_BASE]);
		else if (!take_global(options, number))
			result = refuse_option(reason, number, table, argv[optind - 1]);
		if (options->help || options->version)
			return OPTIONS_OK;
		if (result != OPTIONS_OK)
			return result;
	}
	for (; optind < argc; optind++) {
		if (take_word(options, reason, argv[optind]) != OPTIONS_OK)
			return OPTIONS_USAGE;
	}
	return check_complete(options, reason);
}

enum options_result options_parse(struct options *out, char reason[OPTIONS_REASON_SIZE],
    const char *subcommand, const struct verb *verb, int argc, char **argv)
{
	struct options options = *out;

	options.verb = verb;
	if (take_line(&options, reason, argc, argv) != OPTIONS_OK)
		return with_usage(reason, subcommand, verb);
	*out = options;
	return OPTIONS_OK;
}

static const struct option_row *find_row(const struct options *options, const char *name)
{
	size_t count = row_count(options->verb);

	for (size_t i = 0; i < count; i++) {
		if (strcmp(options->verb->options[i].name, name) == 0)
			return &options->verb->options[i];
	}
	return NULL;
}

const char *options_nth(const struct options *options, const char *name, size_t index)
{
	const struct option_row *row = find_row(options, name);

	must(row != NULL && row->kind != OPTION_FLAG);
	for (size_t i = 0; i < options->given_count; i++) {
		if (options->given[i].row == row && index-- == 0)
			return options->given[i].value;
	}
	return NULL;
}

const char *options_text(const struct options *options, const char *name)
{
	return options_nth(options, name, 0);
}

bool options_flag(const struct options *options, const char *name)
{
	const struct option_row *row = find_row(options, name);

	must(row != NULL && row->kind == OPTION_FLAG);
	for (size_t i = 0; i < options->given_count; i++) {
		if (options->given[i].row == row)
			return true;
	}
	return false;
}

int64_t options_seconds(const struct options *options, const char *name)
{
	const char *text = options_text(options, name);
	int64_t seconds = 0;

	if (text != NULL)
		must(clock_parse_duration(&seconds, text));
	return seconds;
}

long options_count(const struct options *options, const char *name)
{
	const char *text = options_text(options, name);

	return text != NULL ? strtol(text, NULL, 10) : 0;
}

const char *options_time(char text[CLOCK_TEXT_SIZE], const struct options *options,
    const char *name)
{
	const char *given = options_text(options, name);
	int64_t us = 0;

	if (given == NULL)
		return NULL;
	must(parse_time(&us, given));
	return clock_format(text, us);
}

const char *options_word(const struct options *options, size_t index)
{
	return index < options->word_count ? options->words[index] : NULL;
}

void options_usage(struct buf *out, const char *subcommand, const struct verb *verb)
{
	size_t words = word_count(verb), rows = row_count(verb);

	buf_add_format(out, "tallyward %s", subcommand);
	if (verb->name != NULL)
		buf_add_format(out, " %s", verb->name);
	for (size_t i = 0; i < words; i++)
		buf_add_format(out, verb->words[i].optional ? " [%s]" : " %s", verb->words[i].name);
	for (size_t i = 0; i < rows; i++) {
		const struct option_row *row = &verb->options[i];
		bool required = (row->rules & OPTION_REQUIRED) != 0;

		buf_add_format(out, " %s--%s", required ? "" : "[", row->name);
		if (row->value != NULL)
			buf_add_format(out, " %s", row->value);
		buf_add_format(out, "%s%s", required ? "" : "]",
		    (row->rules & OPTION_REPEATS) != 0 ? " …" : "");
	}
}

static void help_line(struct buf *out, int width, const char *label, const char *help)
{
	buf_add_format(out, "  %-*s  %s\n", width, label, help);
}

static void row_label(char *label, size_t size, const struct option_row *row)
{
	snprintf(label, size, "--%s%s%s", row->name, row->value != NULL ? " " : "",
	    row->value != NULL ? row->value : "");
}

void options_help_global(struct buf *out)
{
	for (size_t i = 0; i < GLOBAL_COUNT; i++)
		help_line(out, 15, globals[i].label, globals[i].help);
}

void options_sentence(struct buf *out, const char *help)
{
	buf_add_format(out, "%c%s.\n", toupper((unsigned char)help[0]), help + 1);
}

void options_help(struct buf *out, const char *subcommand, const struct verb *verb)
{
	size_t rows = row_count(verb);
	char label[64];
	int width = 0;

	buf_add_str(out, "Usage: ");
	options_usage(out, subcommand, verb);
	buf_add_str(out, "\n\n");
	options_sentence(out, verb->help);
	for (size_t i = 0; i < rows; i++) {
		row_label(label, sizeof(label), &verb->options[i]);
		if ((int)strlen(label) > width)
			width = (int)strlen(label);
	}
	if (rows > 0)
		buf_add_str(out, "\nOptions:\n");
	for (size_t i = 0; i < rows; i++) {
		row_label(label, sizeof(label), &verb->options[i]);
		help_line(out, width, label, verb->options[i].help);
	}
	buf_add_str(out, "\nEvery command:\n");
	options_help_global(out);
}
