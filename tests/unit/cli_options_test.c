/* What a command line may say, and the one line that answers what it may not. */
#include "tests/unit/unit.h"

#include "cli/options.h"

#define ARGC_MAX 80

static const struct option_row ROWS[] = {
    {"price", "P", OPTION_AMOUNT, 0, "what it costs"},
    {"billing", "x402|metered", OPTION_CHOICE, 0, "who is paid"},
    {"ttl", "TIME", OPTION_DURATION, 0, "how long"},
    {"since", "TIME", OPTION_TIME, 0, "from when"},
    {"workers", "N", OPTION_COUNT, 0, "how many"},
    {"rpc", "URL", OPTION_TEXT, OPTION_REPEATS, "whom to ask"},
    {"replace", NULL, OPTION_FLAG, 0, "overwrite"},
    {.name = NULL},
};
static const struct verb ADD = {
    .name = "add",
    .help = "add a thing",
    .words = {{"NAME", OPTION_TEXT, false}, {"AMOUNT", OPTION_AMOUNT, true}},
    .options = ROWS,
};

static const struct option_row OWNER_ROWS[] = {
    {"owner", "OWNER", OPTION_TEXT, OPTION_REQUIRED, "who answers"},
    {.name = NULL},
};
static const struct verb OWN = {
    .name = "own",
    .help = "own a thing",
    .words = {{"A", OPTION_TEXT, false}, {"B", OPTION_TEXT, true}},
    .options = OWNER_ROWS,
};
static const struct verb BARE = {.help = "do it"};

/* Splits "a b c" at blanks into argv after a first word; returns argc. */
static int split(char **argv, char *line)
{
	int argc = 1;
	char *rest = NULL;

	argv[0] = line + strlen(line);
	for (char *word = strtok_r(line, " ", &rest); word != NULL;
	    word = strtok_r(NULL, " ", &rest)) {
		assert_true(argc < ARGC_MAX);
		argv[argc++] = word;
	}
	argv[argc] = NULL;
	return argc;
}

/* line must outlive out. */
static enum options_result parse(struct options *out, char reason[OPTIONS_REASON_SIZE],
    const struct verb *verb, char *line)
{
	char *argv[ARGC_MAX + 1];
	int argc = split(argv, line);

	return options_parse(out, reason, "thing", verb, argc, argv);
}

/* For each row: the words, then every option that was given, as "name=value". */
static const struct {
	const char *line;
	const char *said;
} GOOD[] = {
    {"a", "a"},
    {"a 1.50", "a 1.50"},
    {"--price 0.05 a", "a price=0.05"},
    {"a --price=0.05", "a price=0.05"},
    {"a --price 0", "a price=0"},
    {"--replace a", "a replace"},
    {"a --billing metered --replace 2", "a 2 billing=metered replace"},
    {"--billing=x402 a", "a billing=x402"},
    {"--ttl 8h a", "a ttl=8h"},
    {"--since 2026-11-20 a", "a since=2026-11-20"},
    {"--since 2026-11-20T13:35:00+01:00 a", "a since=2026-11-20T13:35:00+01:00"},
    {"--workers 12 a", "a workers=12"},
    {"--rpc u --rpc v a --rpc w", "a rpc=u rpc=v rpc=w"},
    {"--rpc=--x a", "a rpc=--x"},
    {"-- --replace", "--replace"},
    {"--replace -- -a 3", "-a 3 replace"},
    {"-d elsewhere a --json", "a dir=elsewhere json"},
    {"--dir=elsewhere a", "a dir=elsewhere"},
    {"a -V", "a version"},
    {"--rep a", "a replace"}, /* getopt_long's own: an unambiguous beginning */
    {"\xc3\xa9", "\xc3\xa9"},
    {"--help", " help"},
    {"a --help b --nonsense", "a help"}, /* what follows goes unread */
};

static void describe(struct buf *out, const struct options *options)
{
	for (size_t i = 0; i < options->word_count; i++)
		buf_add_format(out, "%s%s", i > 0 ? " " : "", options->words[i]);
	for (size_t i = 0; i < options->given_count; i++) {
		buf_add_format(out, " %s", options->given[i].row->name);
		if (options->given[i].value != NULL)
			buf_add_format(out, "=%s", options->given[i].value);
	}
	if (options->dir != NULL)
		buf_add_format(out, " dir=%s", options->dir);
	buf_add_str(out, options->json ? " json" : "");
	buf_add_str(out, options->version ? " version" : "");
	buf_add_str(out, options->help ? " help" : "");
}

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(GOOD); i++) {
		struct options options = {.dir = NULL};
		char reason[OPTIONS_REASON_SIZE] = "", line[256];
		const char *row = GOOD[i].line;
		struct buf said;

		snprintf(line, sizeof(line), "%s", row);
		buf_init(&said, 1024);
		row_check(row, parse(&options, reason, &ADD, line) == OPTIONS_OK);
		row_check(row, reason[0] == '\0');
		row_check(row, options.verb == &ADD);
		describe(&said, &options);
		row_check(row, strcmp(buf_str(&said), GOOD[i].said) == 0);
		buf_fini(&said);
	}
}

#define USAGE_ADD                                                                                  \
	"; usage: tallyward thing add NAME [AMOUNT] [--price P] [--billing x402|metered] "         \
	"[--ttl TIME] [--since TIME] [--workers N] [--rpc URL] … [--replace]"

static const struct {
	const char *line;
	const char *reason; /* up to the usage */
} BAD[] = {
    {"", "NAME is missing"},
    {"--replace", "NAME is missing"},
    {"--", "NAME is missing"},
    {"a 1 b", "unexpected argument 'b'"},
    {"a 1 -- b", "unexpected argument 'b'"},
    {"a one", "AMOUNT takes dollars such as 0.05, not 'one'"},
    {"a -1", "unknown option '-1'"},
    {"a -- -1", "AMOUNT takes dollars such as 0.05, not '-1'"},
    {"--pricee 1 a", "unknown option '--pricee' (did you mean '--price'?)"},
    {"--pricee=1 a", "unknown option '--pricee' (did you mean '--price'?)"},
    {"--jason a", "unknown option '--jason' (did you mean '--json'?)"},
    {"--nothing-like-it a", "unknown option '--nothing-like-it'"},
    {"--r a", "unknown option '--r'"}, /* replace or rpc */
    {"-x a", "unknown option '-x'"},
    {"-xd a", "unknown option '-x'"},
    {"a --price", "--price needs a value"},
    {"a -d", "--dir needs a value"},
    {"--replace=yes a", "--replace takes no value"},
    {"--json=1 a", "--json takes no value"},
    {"--help=1 a", "--help takes no value"},
    {"--price 1 --price 1 a", "--price is given twice"},
    {"--replace --replace a", "--replace is given twice"},
    {"--price 0,05 a", "--price takes dollars such as 0.05, not '0,05'"},
    {"--price -1 a", "--price takes dollars such as 0.05, not '-1'"},
    {"--price $1 a", "--price takes dollars such as 0.05, not '$1'"},
    {"--price= a", "--price takes dollars such as 0.05, not ''"},
    {"--price 0.0000001 a", "--price takes dollars such as 0.05, not '0.0000001'"},
    {"--billing free a", "--billing is x402|metered, not 'free'"},
    {"--billing x40 a", "--billing is x402|metered, not 'x40'"},
    {"--billing x402|metered a", "--billing is x402|metered, not 'x402|metered'"},
    {"--billing= a", "--billing is x402|metered, not ''"},
    {"--ttl soon a", "--ttl takes a time such as 90s, 15m, 8h or 30d, not 'soon'"},
    {"--ttl 0s a", "--ttl takes a time such as 90s, 15m, 8h or 30d, not '0s'"},
    {"--since 2026-13-01 a",
	"--since takes 2026-11-20 or 2026-11-20T13:35:00Z, not '2026-13-01'"},
    {"--since yesterday a",
	"--since takes 2026-11-20 or 2026-11-20T13:35:00Z, not 'yesterday'"},
    {"--since 20261120T a", "--since takes 2026-11-20 or 2026-11-20T13:35:00Z, not '20261120T'"},
    {"--workers -1 a", "--workers takes a whole number, not '-1'"},
    {"--workers 1.5 a", "--workers takes a whole number, not '1.5'"},
    {"--workers 1234567890 a", "--workers takes a whole number, not '1234567890'"},
    {"--workers= a", "--workers takes a whole number, not ''"},
    {"\xff", "NAME is not UTF-8 text"},
    {"a --rpc \xc3", "--rpc is not UTF-8 text"},
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(BAD); i++) {
		struct options options = {.dir = "before"};
		char reason[OPTIONS_REASON_SIZE] = "", expected[OPTIONS_REASON_SIZE], line[256];
		const char *row = BAD[i].line;

		snprintf(line, sizeof(line), "%s", row);
		snprintf(expected, sizeof(expected), "%s%s", BAD[i].reason, USAGE_ADD);
		row_check(row, parse(&options, reason, &ADD, line) == OPTIONS_USAGE);
		if (strcmp(reason, expected) != 0)
			fail_msg("row \"%s\": %s", row, reason);
		row_check(row, strcmp(options.dir, "before") == 0);
		row_check(row, options.verb == NULL && options.word_count == 0);
	}
}

static void test_required(void **state)
{
	struct options options = {.dir = NULL};
	char reason[OPTIONS_REASON_SIZE] = "", line[] = "a", whole[] = "a b --owner o";

	(void)state;
	assert_int_equal(parse(&options, reason, &OWN, line), OPTIONS_USAGE);
	assert_string_equal(reason, "--owner OWNER is missing; usage: tallyward thing own A [B] "
				    "--owner OWNER");
	assert_int_equal(parse(&options, reason, &OWN, whole), OPTIONS_OK);
	assert_string_equal(options_text(&options, "owner"), "o");
	assert_string_equal(options_word(&options, 1), "b");
}

static void test_no_table(void **state)
{
	struct options options = {.dir = NULL};
	char reason[OPTIONS_REASON_SIZE] = "", nothing[] = "", word[] = "x", option[] = "--x";

	(void)state;
	assert_int_equal(parse(&options, reason, &BARE, nothing), OPTIONS_OK);
	assert_null(options_word(&options, 0));
	assert_int_equal(parse(&options, reason, &BARE, word), OPTIONS_USAGE);
	assert_string_equal(reason, "unexpected argument 'x'; usage: tallyward thing");
	assert_int_equal(parse(&options, reason, &BARE, option), OPTIONS_USAGE);
	assert_string_equal(reason, "unknown option '--x'; usage: tallyward thing");
}

static void test_too_many(void **state)
{
	char *argv[OPTIONS_GIVEN_MAX + 3] = {(char *)(uintptr_t) "x"};
	char reason[OPTIONS_REASON_SIZE] = "", url[] = "--rpc=u", name[] = "a";
	struct options options = {.dir = NULL};
	int argc = 1;

	(void)state;
	argv[argc++] = name;
	for (size_t i = 0; i < OPTIONS_GIVEN_MAX; i++)
		argv[argc++] = url;
	assert_int_equal(options_parse(&options, reason, "thing", &ADD, argc, argv), OPTIONS_OK);
	assert_int_equal(options.given_count, OPTIONS_GIVEN_MAX);
	memset(&options, 0, sizeof(options));
	argv[argc++] = url;
	assert_int_equal(options_parse(&options, reason, "thing", &ADD, argc, argv), OPTIONS_USAGE);
	assert_string_equal(reason, "more than 64 options" USAGE_ADD);
}

static void test_values(void **state)
{
	struct options options = {.dir = NULL};
	char reason[OPTIONS_REASON_SIZE] = "", text[CLOCK_TEXT_SIZE] = "";
	char line[] = "a --ttl 8h --since 2026-11-20 --workers 007 --rpc u --rpc v";

	(void)state;
	assert_int_equal(parse(&options, reason, &ADD, line), OPTIONS_OK);
	assert_int_equal(options_seconds(&options, "ttl"), 28800);
	assert_int_equal(options_count(&options, "workers"), 7);
	assert_string_equal(options_time(text, &options, "since"), "2026-11-20T00:00:00Z");
	assert_string_equal(options_nth(&options, "rpc", 0), "u");
	assert_string_equal(options_nth(&options, "rpc", 1), "v");
	assert_null(options_nth(&options, "rpc", 2));
	assert_null(options_text(&options, "price"));
	assert_false(options_flag(&options, "replace"));
	assert_string_equal(options_word(&options, 0), "a");
	assert_null(options_word(&options, 1));
	assert_null(options_word(&options, 99));
}

static void test_absent_values(void **state)
{
	struct options options = {.dir = NULL};
	char reason[OPTIONS_REASON_SIZE] = "", text[CLOCK_TEXT_SIZE] = "", line[] = "a";

	(void)state;
	assert_int_equal(parse(&options, reason, &ADD, line), OPTIONS_OK);
	assert_int_equal(options_seconds(&options, "ttl"), 0);
	assert_int_equal(options_count(&options, "workers"), 0);
	assert_null(options_time(text, &options, "since"));
	/* A name that is not in the table, or not of that kind, is our own bug. */
	assert_aborts((void)options_text(&options, "nothing"));
	assert_aborts((void)options_text(&options, "replace"));
	assert_aborts((void)options_flag(&options, "price"));
}

/* Where the words begin, or the reason why that cannot be told. */
static const struct {
	const char *line;
	int next;
	const char *reason;
} GLOBAL[] = {
    {"", 1, NULL},
    {"tool add --price 1", 1, NULL},
    {"-d x tool -d y", 3, NULL},
    {"-dx tool", 2, NULL},
    {"--json --dir x tool", 4, NULL},
    {"-- tool", 2, NULL},
    {"--help", 2, NULL},
    {"-V", 2, NULL},
    {"-d", 0, "--dir needs a value"},
    {"--price 1", 0, "unknown option '--price'"},
    {"--jsn tool", 0, "unknown option '--jsn' (did you mean '--json'?)"},
    {"-q tool", 0, "unknown option '-q'"},
    {"--version=2", 0, "--version takes no value"},
};

static void test_global(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(GLOBAL); i++) {
		char reason[OPTIONS_REASON_SIZE] = "", line[128], *argv[ARGC_MAX + 1];
		struct options options = {.dir = NULL};
		const char *row = GLOBAL[i].line;
		int argc, next = 0;

		snprintf(line, sizeof(line), "%s", row);
		argc = split(argv, line);
		if (options_parse_global(&options, &next, reason, argc, argv) == OPTIONS_OK)
			row_check(row, GLOBAL[i].reason == NULL);
		else
			row_check(row, GLOBAL[i].reason != NULL &&
			    strcmp(reason, GLOBAL[i].reason) == 0);
		row_check(row, next == GLOBAL[i].next);
	}
}

static void test_global_values(void **state)
{
	char reason[OPTIONS_REASON_SIZE] = "", line[] = "-d x --json y", *argv[ARGC_MAX + 1];
	struct options options = {.dir = NULL};
	char rest[] = "a -d z";
	int next = 0, argc = split(argv, line);

	(void)state;
	assert_int_equal(options_parse_global(&options, &next, reason, argc, argv), OPTIONS_OK);
	assert_string_equal(options.dir, "x");
	assert_true(options.json);
	assert_false(options.help || options.version);
	/* What comes after the verb is added; the last folder wins. */
	assert_int_equal(parse(&options, reason, &ADD, rest), OPTIONS_OK);
	assert_string_equal(options.dir, "z");
	assert_true(options.json);
}

static void test_help(void **state)
{
	struct buf text;

	(void)state;
	buf_init(&text, 4096);
	options_help(&text, "thing", &OWN);
	assert_true(buf_ok(&text));
	assert_non_null(strstr(buf_str(&text), "Usage: tallyward thing own A [B] --owner OWNER\n\n"
					       "Own a thing.\n\nOptions:\n"
					       "  --owner OWNER  who answers\n\n"
					       "Every command:\n  -d, --dir DIR    the data"));
	buf_clear(&text);
	options_help(&text, "thing", &BARE);
	assert_non_null(strstr(buf_str(&text), "Usage: tallyward thing\n\nDo it.\n\nEvery"));
	buf_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_required),
	    cmocka_unit_test(test_no_table),
	    cmocka_unit_test(test_too_many),
	    cmocka_unit_test(test_values),
	    cmocka_unit_test(test_absent_values),
	    cmocka_unit_test(test_global),
	    cmocka_unit_test(test_global_values),
	    cmocka_unit_test(test_help),
	};

	return unit_run(tests);
}
