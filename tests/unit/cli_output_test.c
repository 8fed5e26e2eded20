/* What people and programs get to see, and what a stranger's text may not do to them. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <jansson.h>

#include "cli/output.h"

static json_t *json_of(const char *text)
{
	json_error_t error;
	json_t *value = json_loads(text, JSON_DECODE_ANY, &error);

	if (value == NULL)
		fail_msg("%s: %s", text, error.text);
	return value;
}

static const struct {
	const char *text, *clean;
	size_t width; /* of the clean text */
} CLEAN[] = {
    {"", "", 0},
    {"web_search", "web_search", 10},
    {"caf\xc3\xa9", "caf\xc3\xa9", 4},
    {"\xe6\x97\xa5\xe6\x9c\xac", "\xe6\x97\xa5\xe6\x9c\xac", 4},      /* two wide letters */
    {"\xf0\x9f\x92\xb0", "\xf0\x9f\x92\xb0", 2},                      /* a money bag */
    {"e\xcc\x81", "e\xcc\x81", 1},                                    /* e and its accent */
    {"USD\xe2\x82\xae", "USD\xe2\x82\xae", 4},
    {"\x1b[31mred", "\\u001b[31mred", 13},
    {"a\nb\tc\r", "a\\u000ab\\u0009c\\u000d", 21},
    {"\x7f", "\\u007f", 6},
    {"\xc2\x9b" "31m", "\\u009b31m", 9},                              /* CSI in one letter */
    {"\xe2\x80\xae" "cba", "\\u202ecba", 9},                          /* right to left */
    {"\xe2\x81\xa6", "\\u2066", 6},                                   /* isolate */
    {"a\xe2\x80\x8b" "b", "a\\u200bb", 8},                            /* nothing to see */
    {"\xef\xbb\xbf", "\\ufeff", 6},
    {"\xf3\xa0\x81\x81", "\\ue0041", 7},                              /* a tag letter */
    {"\xff", "\\xff", 4},
    {"\xc3", "\\xc3", 4},                                             /* cut off */
    {"\xc0\xaf", "\\xc0\\xaf", 8},                                    /* overlong */
    {"\xe0\x80\xaf", "\\xe0\\x80\\xaf", 12},                          /* overlong */
    {"\xed\xa0\x80", "\\xed\\xa0\\x80", 12},                          /* a surrogate */
    {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", 16},                 /* past the last letter */
    {"\xe6\x97", "\\xe6\\x97", 8},
};

static void test_clean(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(CLEAN); i++) {
		struct buf clean;

		buf_init(&clean, 1024);
		output_clean(&clean, CLEAN[i].text);
		row_check(CLEAN[i].clean, buf_ok(&clean));
		row_check(CLEAN[i].clean, strcmp(buf_str(&clean), CLEAN[i].clean) == 0);
		row_check(CLEAN[i].clean, output_width(buf_str(&clean)) == CLEAN[i].width);
		buf_fini(&clean);
	}
}

static const struct column COLUMNS[] = {
    {"name", "NAME", CELL_TEXT},
    {"price", "PRICE", CELL_AMOUNT},
    {"used", "USED", CELL_MEASURE},
    {"count", "COUNT", CELL_NUMBER},
    {"at", "AT", CELL_TIME},
    {.key = NULL},
};

static const struct {
	const char *rows, *text;
} TABLES[] = {
    {"[]", "None.\n"},
    {"null", "None.\n"},
    {"{}", "None.\n"},
    {"[{}]", "NAME  PRICE  USED  COUNT  AT\n"
	     "-         -     -      -  -\n"},
    {"[{\"name\": \"a\", \"price\": \"0.05\", \"used\": 7, \"measure\": \"calls\", "
     "\"count\": 1, \"at\": \"2026-11-20T13:35:00.123456Z\"},"
     " {\"name\": \"\xe6\x97\xa5\xe6\x9c\xac\xe6\x97\xa5\", \"price\": \"1200.00\", "
     "\"used\": \"0.10\", \"measure\": \"spend\", \"count\": 1000000, "
     "\"at\": \"2026-11-20T13:35:00Z\"}]",
	"NAME       PRICE   USED    COUNT  AT\n"
	"a          $0.05      7        1  2026-11-20 13:35:00\n"
	"\xe6\x97\xa5\xe6\x9c\xac\xe6\x97\xa5  $1200.00  $0.10  1000000  2026-11-20 13:35:00\n"},
    {"[{\"name\": [\"a\", \"b\"], \"price\": null, \"used\": \"3\", \"count\": true, "
     "\"at\": \"never\"}]",
	"NAME  PRICE  USED  COUNT  AT\n"
	"a, b      -     3    yes  never\n"},
    {"[{\"name\": {\"k\": 1}, \"price\": 5, \"count\": false, \"at\": 17}]",
	"NAME     PRICE  USED  COUNT  AT\n"
	"{\"k\":1}      5     -     no  17\n"},
    {"[{\"name\": \"\", \"at\": []}]", "NAME  PRICE  USED  COUNT  AT\n"
				       "-         -     -      -  -\n"},
    {"[{\"name\": \"a\\nb\", \"at\": \"2026-11-20T13:35:00+01:00\"}]",
	"NAME      PRICE  USED  COUNT  AT\n"
	"a\\u000ab      -     -      -  2026-11-20T13:35:00+01:00\n"},
};

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(TABLES); i++) {
		json_t *rows = json_of(TABLES[i].rows);
		struct buf text;

		buf_init(&text, 4096);
		output_table(&text, COLUMNS, rows, "None.");
		row_check(TABLES[i].rows, buf_ok(&text));
		if (strcmp(buf_str(&text), TABLES[i].text) != 0)
			fail_msg("row %s gives:\n%s", TABLES[i].rows, buf_str(&text));
		buf_fini(&text);
		json_decref(rows);
	}
}

static void test_fields(void **state)
{
	static const struct column fields[] = {
	    {"agent", "agent", CELL_TEXT},
	    {"available", "available", CELL_AMOUNT},
	    {"at", "at (UTC)", CELL_TIME},
	    {"gone", "gone", CELL_AMOUNT},
	    {.key = NULL},
	};
	json_t *object = json_of("{\"available\": \"9.95\", \"agent\": \"a\\u001b\", "
				 "\"at\": \"2026-11-20T13:35:00Z\"}");
	struct buf text;

	(void)state;
	buf_init(&text, 4096);
	output_fields(&text, fields, object);
	assert_string_equal(buf_str(&text), "agent      a\\u001b\n"
					    "available  $9.95\n"
					    "at (UTC)   2026-11-20 13:35:00\n"
					    "gone       -\n");
	buf_fini(&text);
	json_decref(object);
}

/* A table that does not fit its buffer is noticed by whoever prints it, and leaks nothing. */
static void test_ceiling(void **state)
{
	json_t *rows = json_of("[{\"name\": \"a\"}, {\"name\": \"b\"}]");
	struct buf text;

	(void)state;
	buf_init(&text, 16);
	output_table(&text, COLUMNS, rows, "None.");
	assert_false(buf_ok(&text));
	buf_fini(&text);
	json_decref(rows);
}

/* Sends fd to a file in the folder; returns what to put back. */
static int redirect(int fd, const char *folder, char path[128])
{
	int saved = dup(fd), file;

	snprintf(path, 128, "%s/%d", folder, fd);
	file = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	assert_true(saved >= 0 && file >= 0);
	assert_true(fflush(NULL) == 0);
	assert_true(dup2(file, fd) == fd);
	close(file);
	return saved;
}

static void put_back(int fd, int saved)
{
	fflush(NULL);
	assert_true(dup2(saved, fd) == fd);
	close(saved);
}

static void assert_file(const char *path, const char *text)
{
	char content[4096] = "";
	FILE *file = fopen(path, "r");
	size_t size;

	assert_non_null(file);
	size = fread(content, 1, sizeof(content) - 1, file);
	content[size] = '\0';
	fclose(file);
	assert_string_equal(content, text);
}

static void show_name(struct buf *out, const json_t *result)
{
	buf_add_format(out, "named %s\n", json_string_value(json_object_get(result, "name")));
}

static void test_result(void **state)
{
	const struct cli people = {.json = false}, programs = {.json = true};
	json_t *result = json_of("{\"name\": \"z\", \"list\": [1], \"above\": \"\\u001b\"}");
	char path[128];
	int saved = redirect(STDOUT_FILENO, *state, path);
	bool ok = output_result(&people, result, show_name);

	ok = output_result(&programs, result, show_name) && ok;
	ok = output_result(&people, result, NULL) && ok; /* a document: JSON for people too */
	ok = output_text("as it is\n") && ok;
	put_back(STDOUT_FILENO, saved);
	assert_true(ok);
	assert_file(path, "named z\n"
			  "{\n  \"name\": \"z\",\n  \"list\": [\n    1\n  ],\n"
			  "  \"above\": \"\\u001B\"\n}\n"
			  "{\n  \"name\": \"z\",\n  \"list\": [\n    1\n  ],\n"
			  "  \"above\": \"\\u001B\"\n}\n"
			  "as it is\n");
	json_decref(result);
}

static void test_errors(void **state)
{
	char path[128], longest[9000];
	int saved = redirect(STDERR_FILENO, *state, path);

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	output_error("%s: no such agent", "a\nb");
	output_warning("%d left", 3);
	output_problem("%s:%d: %s", "p.json", 2, "\x1b");
	put_back(STDERR_FILENO, saved);
	assert_file(path, "tallyward: a\\u000ab: no such agent\n"
			  "tallyward: warning: 3 left\n"
			  "p.json:2: \\u001b\n");
	saved = redirect(STDERR_FILENO, *state, path);
	output_error("%s", longest); /* cut off, still one line */
	put_back(STDERR_FILENO, saved);
}

/* Nobody is told "done" when the result went nowhere. */
static void test_full_disk(void **state)
{
	const struct cli programs = {.json = true};
	json_t *result = json_of("{}");
	char path[128];
	int saved_error, saved = dup(STDOUT_FILENO), full = open("/dev/full", O_WRONLY);
	bool written, text_written;

	if (full < 0)
		skip();
	saved_error = redirect(STDERR_FILENO, *state, path);
	fflush(stdout);
	assert_true(dup2(full, STDOUT_FILENO) == STDOUT_FILENO);
	close(full);
	written = output_result(&programs, result, NULL);
	clearerr(stdout);
	text_written = output_text("x\n");
	clearerr(stdout);
	put_back(STDOUT_FILENO, saved);
	put_back(STDERR_FILENO, saved_error);
	assert_false(written);
	assert_false(text_written);
	assert_file(path, "tallyward: could not write the result: No space left on device\n"
			  "tallyward: could not write the result: No space left on device\n");
	json_decref(result);
}

#define in_folder(test) cmocka_unit_test_setup_teardown(test, unit_folder_make, unit_folder_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_clean),
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_fields),
	    cmocka_unit_test(test_ceiling),
	    in_folder(test_result),
	    in_folder(test_errors),
	    in_folder(test_full_disk),
	};

	return unit_run(tests);
}
