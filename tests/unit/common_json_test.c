/* JSON from strangers: limits first, then a tree; from owners: where it is wrong. */
#include "common/json.h"
#include "tests/unit/unit.h"

#define SIZE_MAX_ 100000

static json_t *read_str(struct json_error *error, const char *text)
{
	memset(error, 0x5a, sizeof(*error));
	return json_read(error, text, strlen(text), SIZE_MAX_);
}

static void accepts_any_value(void **state)
{
	static const char *const rows[] = {"{}", "[]", "1", "-1", "\"a\"", "true", "null",
	    " {\"a\" : [1, 2, {\"b\": null}]}\n", "\"\\u20ae\"", "9223372036854775807", "1.5"};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct json_error error;
		json_t *tree = read_str(&error, rows[i]);

		row_check(rows[i], tree != NULL);
		json_decref(tree);
	}
}

static void refuses_malformed_text(void **state)
{
	static const char *const rows[] = {"", " ", "{", "}", "[1,]", "{\"a\":1,}", "{a:1}",
	    "{'a':1}", "{\"a\" 1}", "{\"a\":}", "[1 2]", "{} {}", "{}x", "[1]]", "nul", "NaN", "01",
	    "+1", ".5", "1.", "\"a", "\"\x01\"", "\"\\x41\"", "\"\\ud800\"", "\"\xff\"",
	    "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "// a\n1", "/* a */ 1", "9223372036854775808",
	    "1e999", "\"\\u0000\""};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct json_error error;

		row_check(rows[i], read_str(&error, rows[i]) == NULL);
		row_check(rows[i], error.reason[0] != '\0');
		row_check(rows[i], error.line >= 0);
		row_check(rows[i], error.path[0] == '\0');
	}
}

static void wide_numbers_are_read_where_they_are_only_looked_at(void **state)
{
	static const char *const bad[] = {"1e999", "[9223372036854775808, 1e999]", "{", "",
	    "[9223372036854775808", "{\"a\":9223372036854775808,\"a\":1}", "9223372036854775808 x"};
	static const char text[] = "[9223372036854775808, 7]";
	struct json_error error;
	json_t *tree;

	(void)state;
	assert_null(json_read(&error, text, strlen(text), SIZE_MAX_));
	tree = json_read_wide(&error, text, strlen(text), SIZE_MAX_);
	assert_true(json_is_real(json_array_get(tree, 0)));
	assert_true(json_is_real(json_array_get(tree, 1)));
	json_decref(tree);
	tree = json_read_wide(&error, "[7]", 3, SIZE_MAX_);
	assert_true(json_is_integer(json_array_get(tree, 0)));
	json_decref(tree);
	for (size_t i = 0; i < COUNT(bad); i++) {
		tree = json_read_wide(&error, bad[i], strlen(bad[i]), SIZE_MAX_);
		row_check(bad[i], tree == NULL);
		row_check(bad[i], error.reason[0] != '\0');
	}
}

static void refuses_a_nul_byte(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		int line;
	} rows[] = {
	    {"1\0", 2, 1},
	    {"{}\0{", 4, 1},
	    {"{\"a\0b\":1}", 9, 1},
	    {"[\n1,\n\0]", 7, 3},
	    {"\0", 1, 1},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct json_error error;

		row_check(
		    rows[i].text, json_read(&error, rows[i].text, rows[i].size, SIZE_MAX_) == NULL);
		assert_string_equal(error.reason, "holds a NUL byte");
		assert_int_equal(error.line, rows[i].line);
	}
}

static void refuses_duplicate_keys(void **state)
{
	static const struct {
		const char *text;
		int line;
	} rows[] = {
	    {"{\"a\":1,\"a\":1}", 1},
	    {"{\"a\":1,\n\"\\u0061\":2}", 2},
	    {"{\n\"a\": {\n\"b\": 1,\n\"b\": 2\n}\n}", 4},
	    {"[{\"a\":1,\"b\":2,\n\n\"a\":3}]", 3},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct json_error error;

		row_check(rows[i].text, read_str(&error, rows[i].text) == NULL);
		row_check(rows[i].text, error.line == rows[i].line);
		row_check(rows[i].text, strstr(error.reason, "duplicate") != NULL);
	}
	struct json_error error;
	json_t *tree = read_str(&error, "{\"a\":{\"a\":1},\"A\":2}");
	assert_non_null(tree);
	json_decref(tree);
}

static void tells_the_line(void **state)
{
	static const struct {
		const char *text;
		int line;
	} rows[] = {
	    {"{\"a\": 1,,}", 1},
	    {"{\n\"a\": 1,\n\"b\": oops\n}", 3},
	    {"[\n1,\n2\n3]", 4},
	    {"{}\n{}", 2},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct json_error error;

		row_check(rows[i].text, read_str(&error, rows[i].text) == NULL);
		row_check(rows[i].text, error.line == rows[i].line);
	}
}

static void has_a_ceiling(void **state)
{
	struct json_error error;
	json_t *tree;

	(void)state;
	assert_null(json_read(&error, "[1,2]", 5, 4));
	assert_string_equal(error.reason, "longer than 4 bytes");
	assert_int_equal(error.line, 0);
	assert_string_equal(error.path, "");
	assert_null(json_read(&error, "1", 1, 0));
	tree = json_read(&error, "[1,2]", 5, 5);
	assert_non_null(tree);
	json_decref(tree);
}

/* `depth` brackets of one kind, on a line each, and their ends. */
static char *nested(int depth, const char *open, const char *close, const char *core)
{
	char *text = calloc(1, (size_t)depth * (strlen(open) + 2) + strlen(core) + 1);
	char *end = text;
	int i;

	assert_non_null(text);
	for (i = 0; i < depth; i++)
		end = mempcpy(end, open, strlen(open));
	end = mempcpy(end, core, strlen(core));
	for (i = 0; i < depth; i++)
		end = mempcpy(end, close, strlen(close));
	*end = '\0';
	return text;
}

/* A reason repeats what was not understood, and ends up on a terminal. */
static void reasons_hold_no_control_characters(void **state)
{
	static const char *const texts[] = {
	    "[\x1b]", "{\"a\":\x7f}", "[\"a\x1b\"]", "[\"a\", \xc2\x9b]", "[\"\xc2\x9b\" \xc2\x85"};
	struct json_error error;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(texts); i++) {
		row_check(texts[i], json_read(&error, texts[i], strlen(texts[i]), 100) == NULL);
		row_check(texts[i], strchr(error.reason, '\x1b') == NULL);
		row_check(texts[i], strchr(error.reason, '\x7f') == NULL);
		row_check(texts[i], strchr(error.reason, '\xc2') == NULL);
	}
	assert_null(json_read(&error, "[\"\xc3\xa9\" x]", 8, 100));
	assert_non_null(strstr(error.reason, "'x'"));
}

static void depth_is_limited_before_parsing(void **state)
{
	struct json_error error;
	char *text;
	json_t *tree;

	(void)state;
	text = nested(JSON_DEPTH_MAX, "\n[", "]", "1");
	tree = read_str(&error, text);
	assert_non_null(tree);
	json_decref(tree);
	free(text);

	text = nested(JSON_DEPTH_MAX, "{\"a\":", "}", "1");
	tree = read_str(&error, text);
	assert_non_null(tree);
	json_decref(tree);
	free(text);

	text = nested(JSON_DEPTH_MAX + 1, "\n[", "]", "1");
	assert_null(read_str(&error, text));
	assert_string_equal(error.reason, "nested deeper than 32 levels");
	assert_int_equal(error.line, JSON_DEPTH_MAX + 2);
	free(text);

	text = nested(JSON_DEPTH_MAX + 1, "{\"a\":", "}", "1");
	assert_null(read_str(&error, text));
	assert_string_equal(error.reason, "nested deeper than 32 levels");
	assert_int_equal(error.line, 1);
	free(text);

	/* Not closed, and malformed further on: depth is still what is said. */
	text = nested(20000, "[", "", "oops");
	assert_null(read_str(&error, text));
	assert_string_equal(error.reason, "nested deeper than 32 levels");
	free(text);
}

static void brackets_in_strings_are_no_depth(void **state)
{
	static const char *const cores[] = {"\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"",
	    "\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"",
	    "\"\\\\\\\"{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{\""};
	struct json_error error;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cores); i++) {
		json_t *tree = read_str(&error, cores[i]);

		row_check(cores[i], tree != NULL);
		json_decref(tree);
	}
	/* Closing brackets in a string give no depth back. */
	char *text = nested(JSON_DEPTH_MAX + 1, "[\"]\",", "]", "1");
	assert_null(read_str(&error, text));
	assert_string_equal(error.reason, "nested deeper than 32 levels");
	free(text);
}

static void many_siblings_are_no_depth(void **state)
{
	struct json_error error;
	char text[4 * 200 + 3] = "[";
	char *end = text + 1;
	json_t *tree;
	int i;

	(void)state;
	for (i = 0; i < 200; i++)
		end = mempcpy(end, i == 199 ? "[1]" : "[1],", i == 199 ? 3 : 4);
	mempcpy(end, "]", 2);
	tree = read_str(&error, text);
	assert_non_null(tree);
	json_decref(tree);
}

static const char policy[] = "\n{ \"agentId\": \"a\\\"]},\",\n"		/* line 2 */
			     "  \"budget\":\n"				/* 3 */
			     "    { \"sessionLimitCents\": 500,\n"	/* 4 */
			     "      \"maxPerCallCents\":\n"		/* 5 */
			     "          50 },\n"			/* 6 */
			     "  \"limits\": [ {\"window\": \"day\"},\n" /* 7 */
			     "    [ ], {},\n"				/* 8 */
			     "    {\n"					/* 9 */
			     "      \"scope\" : [1,\n"			/* 10 */
			     "        -2.5e3, true,\n"			/* 11 */
			     "        null], \"window\"\n"		/* 12 */
			     "        : \"total\"}],\n"			/* 13 */
			     "  \"dotted.key\": { \"x\": 1 },\n"	/* 14 */
			     "  \"dotted\": {\n"			/* 15 */
			     "      \"other\": 1 },\n"			/* 16 */
			     "  \"na\\u006de\": 1,\n"			/* 17 */
			     "  \"\": 2 }\n";				/* 18 */

static void line_follows_a_path(void **state)
{
	static const struct {
		const char *path;
		int line;
	} rows[] = {
	    {"", 2},
	    {"agentId", 2},
	    {"budget", 4},
	    {"budget.sessionLimitCents", 4},
	    {"budget.maxPerCallCents", 6},
	    {"limits", 7},
	    {"limits[0]", 7},
	    {"limits[0].window", 7},
	    {"limits[1]", 8},
	    {"limits[2]", 8},
	    {"limits[3]", 9},
	    {"limits[3].scope", 10},
	    {"limits[3].scope[0]", 10},
	    {"limits[3].scope[1]", 11},
	    {"limits[3].scope[2]", 11},
	    {"limits[3].scope[3]", 12},
	    {"limits[3].window", 13},
	    {"dotted.key", 14},
	    {"dotted.key.x", 14},
	    {"dotted.other", 16},
	    {"name", 17},
	};
	struct json_error error;
	json_t *tree = read_str(&error, policy);
	size_t i;

	(void)state;
	assert_non_null(tree);
	json_decref(tree);
	for (i = 0; i < COUNT(rows); i++)
		row_check(
		    rows[i].path, json_line(policy, strlen(policy), rows[i].path) == rows[i].line);
}

static void line_is_0_where_nothing_is(void **state)
{
	static const char *const rows[] = {"budge", "budgets", "budget.x", "budget[0]", "agentId.x",
	    "agentId[0]", "limits.0", "limits.x", "limits[4]", "limits[99999999999999999999]",
	    "limits[-1]", "limits[", "limits[]", "limits[x]", "limits[0", "limits[1][0]",
	    "limits[2].x", "limits[3].scope[4]", "dotted.key.y", "[0]", "x"};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++)
		row_check(rows[i], json_line(policy, strlen(policy), rows[i]) == 0);
	assert_int_equal(json_line("", 0, "a"), 0);
	assert_int_equal(json_line("  ", 2, ""), 0);
	assert_int_equal(json_line("[]", 2, "[0]"), 0);
	assert_int_equal(json_line("1", 1, "a"), 0);
	assert_int_equal(json_line("{}", 2, "a"), 0);
	assert_int_equal(json_line("[\n7]", 4, "[0]"), 2);
}

/* json_line trusts its text, but must not run off its end when that was wrong. */
static void line_stays_inside_broken_text(void **state)
{
	size_t size;

	(void)state;
	for (size = 0; size < strlen(policy); size++) {
		char *cut = malloc(size ? size : 1);

		assert_non_null(cut);
		memcpy(cut, policy, size);
		assert_true(json_line(cut, size, "limits[3].scope[3]") <= 12);
		assert_true(json_line(cut, size, "dotted.other") <= 16);
		free(cut);
	}
}

static void nearest_finds_misspellings(void **state)
{
	static const char *const known[] = {"budget", "tools", "rateLimit", "dailyLimitCents",
	    "sessionLimitCents", "owner", "owned", NULL};
	static const struct {
		const char *word, *nearest;
	} rows[] = {
	    {"budget", "budget"},
	    {"bugdet", "budget"},
	    {"budgets", "budget"},
	    {"budge", "budget"},
	    {"Budget", "budget"},
	    {"tool", "tools"},
	    {"ratelimit", "rateLimit"},
	    {"rate_limit", "rateLimit"},
	    {"dailyLimitCent", "dailyLimitCents"},
	    {"DailyLimitcents", "dailyLimitCents"},
	    {"sesionLimitCents", "sessionLimitCents"},
	    {"ownes", "owner"},
	    {"owne", "owner"},
	    {"owned", "owned"},
	    {"ownxx", "owner"},
	    {"owxxx", NULL},
	    {"", NULL},
	    {"x", NULL},
	    {"to", NULL},
	    {"tls", NULL},
	    {"abcdef", NULL},
	    {"budgetbudget", NULL},
	    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL},
	};
	static const char *const none[] = {NULL};
	static const char *const long_ones[] = {
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "ab",
	    NULL};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		const char *nearest = json_nearest(rows[i].word, known);

		row_check(rows[i].word, (nearest == NULL) == (rows[i].nearest == NULL));
		if (nearest != NULL)
			assert_string_equal(nearest, rows[i].nearest);
	}
	assert_null(json_nearest("budget", none));
	assert_string_equal(json_nearest("ab", long_ones), "ab");
}

static void members_by_type(void **state)
{
	struct json_error error;
	json_t *tree = read_str(&error, "{\"s\":\"x\",\"n\":null,\"i\":1,\"o\":{}}");
	json_t *list = read_str(&error, "[\"s\"]");

	(void)state;
	assert_string_equal(json_str(tree, "s"), "x");
	assert_null(json_str(tree, "n"));
	assert_null(json_str(tree, "i"));
	assert_null(json_str(tree, "o"));
	assert_null(json_str(tree, "absent"));
	assert_null(json_str(list, "s"));
	assert_null(json_str(NULL, "s"));
	assert_non_null(json_member(tree, "s"));
	assert_non_null(json_member(tree, "o"));
	assert_null(json_member(tree, "n"));
	assert_null(json_member(tree, "absent"));
	assert_null(json_member(list, "s"));
	assert_null(json_member(NULL, "s"));
	json_decref(tree);
	json_decref(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(accepts_any_value),
	    cmocka_unit_test(refuses_malformed_text),
	    cmocka_unit_test(wide_numbers_are_read_where_they_are_only_looked_at),
	    cmocka_unit_test(refuses_a_nul_byte),
	    cmocka_unit_test(refuses_duplicate_keys),
	    cmocka_unit_test(tells_the_line),
	    cmocka_unit_test(has_a_ceiling),
	    cmocka_unit_test(reasons_hold_no_control_characters),
	    cmocka_unit_test(depth_is_limited_before_parsing),
	    cmocka_unit_test(brackets_in_strings_are_no_depth),
	    cmocka_unit_test(many_siblings_are_no_depth),
	    cmocka_unit_test(line_follows_a_path),
	    cmocka_unit_test(line_is_0_where_nothing_is),
	    cmocka_unit_test(line_stays_inside_broken_text),
	    cmocka_unit_test(nearest_finds_misspellings),
	    cmocka_unit_test(members_by_type),
	};

	return unit_run(tests);
}
