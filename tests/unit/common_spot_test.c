/* Places in a JSON text: paths, lines, and sentences that are fit to print. */
#include "common/spot.h"
#include "tests/unit/unit.h"

static const char text[] = "{\n \"a\": {\n  \"b\": [1,\n   2]},\n \"c d\": 3}";

static void a_chain_becomes_a_path_and_a_line(void **state)
{
	const struct spot a = {.key = "a"}, b = {.parent = &a, .key = "b"};
	const struct spot second = {.parent = &b, .index = 1}, spaced = {.key = "c d"};
	const struct spot first = {.index = 0}, in_first = {.parent = &first, .key = "x"};
	const struct spot empty = {.key = ""}, in_empty = {.parent = &empty, .key = "c[0]"};
	static const char bracket[] = "[{\"x\":1}]", nameless[] = "{\"\":{\n\"c[0]\":1}}";
	struct json_error error;

	(void)state;
	assert_false(spot_fail(&error, text, strlen(text), NULL, "%s", "whole"));
	assert_string_equal(error.path, "");
	assert_int_equal(error.line, 1);
	assert_false(spot_fail(&error, text, strlen(text), &b, "%s", "list"));
	assert_string_equal(error.path, "a.b");
	assert_int_equal(error.line, 3);
	assert_false(spot_fail(&error, text, strlen(text), &second, "is %d", 2));
	assert_string_equal(error.path, "a.b[1]");
	assert_string_equal(error.reason, "is 2");
	assert_int_equal(error.line, 4);
	assert_false(spot_fail(&error, text, strlen(text), &spaced, "%s", "x"));
	assert_int_equal(error.line, 5);
	assert_false(spot_fail(&error, bracket, strlen(bracket), &in_first, "%s", "x"));
	assert_string_equal(error.path, "[0].x");
	assert_int_equal(error.line, 1);
	/* An empty key is a step of the path, too. */
	assert_false(spot_fail(&error, nameless, strlen(nameless), &in_empty, "%s", "x"));
	assert_string_equal(error.path, ".c[0]");
	assert_int_equal(error.line, 2);
	/* Without the text there is no line. */
	assert_false(spot_fail(&error, NULL, 0, &second, "%s", "x"));
	assert_string_equal(error.path, "a.b[1]");
	assert_int_equal(error.line, 0);
}

static void unknown_words_name_their_neighbour(void **state)
{
	static const char *const known[] = {"status", "schema", NULL};
	struct json_error error;
	char word[400];

	(void)state;
	assert_false(spot_fail_unknown(&error, NULL, 0, NULL, "key", "statsu", known));
	assert_string_equal(error.reason, "unknown key \"statsu\"; did you mean \"status\"?");
	assert_false(spot_fail_unknown(&error, NULL, 0, NULL, "key", "colour", known));
	assert_string_equal(error.reason, "unknown key \"colour\"");
	memset(word, 'w', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	assert_false(spot_fail_unknown(&error, NULL, 0, NULL, "key", word, known));
	assert_true(strlen(error.reason) < 100);
	assert_non_null(strstr(error.reason, "..."));
}

static void what_strangers_wrote_is_cut_and_made_printable(void **state)
{
	char key[9000], reason[600];
	const struct spot odd = {.key = "a\nb\x7f"}, far = {.key = key};
	char shown[SPOT_SHOWN_SIZE];
	struct json_error error;

	(void)state;
	assert_false(spot_fail(&error, NULL, 0, &odd, "%s", "tab\there"));
	assert_string_equal(error.path, "a?b?");
	assert_string_equal(error.reason, "tab?here");
	/* No half characters at a cut. */
	memset(key, 0, sizeof(key));
	for (size_t i = 0; i + 4 < sizeof(key); i += 3)
		memcpy(key + i, "\xe2\x82\xac", 3);
	assert_false(spot_fail(&error, NULL, 0, &far, "%s", key));
	assert_true(strlen(error.path) % 3 == 0 && strlen(error.path) < sizeof(error.path));
	assert_true(strlen(error.reason) % 3 == 0 && strlen(error.reason) > 200);
	memset(reason, 'r', sizeof(reason) - 1);
	reason[sizeof(reason) - 1] = '\0';
	assert_false(spot_fail(&error, NULL, 0, NULL, "%s", reason));
	assert_int_equal(strlen(error.reason), sizeof(error.reason) - 1);
	assert_string_equal(spot_shown(shown, "a\tb"), "a?b");
	assert_int_equal(strlen(spot_shown(shown, key)), 63 + 3);
}

static void types_have_names(void **state)
{
	static const struct {
		const char *json, *name;
	} rows[] = {{"{}", "an object"}, {"[]", "an array"}, {"\"\"", "a string"},
	    {"1", "a number"}, {"1.5", "a number with decimals"}, {"true", "true"},
	    {"false", "false"}, {"null", "null"}};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		json_t *value = json_loads(rows[i].json, JSON_DECODE_ANY, NULL);

		assert_string_equal(spot_type_name(value), rows[i].name);
		json_decref(value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_chain_becomes_a_path_and_a_line),
	    cmocka_unit_test(unknown_words_name_their_neighbour),
	    cmocka_unit_test(what_strangers_wrote_is_cut_and_made_printable),
	    cmocka_unit_test(types_have_names),
	};

	return unit_run(tests);
}
