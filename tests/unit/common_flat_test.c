/* Plain words, and all that is not plain. */
#include <jansson.h>

#include "common/flat.h"
#include "common/json.h"
#include "tests/unit/unit.h"

#define TEN "\"a\":\"\",\"b\":\"\",\"c\":\"\",\"d\":\"\",\"e\":\"\",\"f\":\"\",\"g\":\"\"," \
	    "\"h\":\"\",\"i\":\"\",\"j\":\"\""

/* What is taken, and in the tree of the same text, must agree. */
static void check_against_tree(const struct flat *flat, const char *text)
{
	struct json_error error;
	json_t *root = json_read(&error, text, strlen(text), FLAT_SIZE_MAX);

	assert_true(json_is_object(root));
	assert_int_equal(json_object_size(root), flat->count);
	for (size_t i = 0; i < flat->count; i++) {
		const struct flat_member *member = &flat->members[i];
		const json_t *value = json_object_get(root, member->key);

		assert_ptr_equal(flat_member(flat, member->key), member);
		if (member->text != NULL)
			assert_string_equal(json_string_value(value), member->text);
		else
			assert_true(json_is_boolean(value) && json_is_true(value) == member->truth);
	}
	json_decref(root);
}

static void plain_words(void **state)
{
	static const struct {
		const char *text;
		size_t count;
	} rows[] = {
	    {"{\"a\":\"b\"}", 1},
	    {"{\"\":\"\"}", 1},
	    {"{\"a\":true}", 1},
	    {"{\"a\":false}", 1},
	    {" \t\r\n{ \"a\" : \"b\" , \"c\" : true } \n", 2},
	    {"{\"a\":\"{,}: 'x' ~\",\"A\":\"/\"}", 2},
	    {"{\"a\":\"true\",\"b\":true}", 2},
	    {"{" TEN ",\"k\":true,\"l\":false}", FLAT_MEMBERS_MAX},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct flat flat;

		if (!flat_read(&flat, rows[i].text, strlen(rows[i].text)))
			fail_msg("%s", rows[i].text);
		assert_int_equal(flat.count, rows[i].count);
		check_against_tree(&flat, rows[i].text);
		assert_null(flat_member(&flat, "none"));
	}
}

static void not_plain(void **state)
{
	static const char *const rows[] = {
	    "", " ", "{", "}", "{}", "[]", "true", "\"a\"", "{\"a\"}", "{\"a\":}", "{\"a\":\"b\"",
	    "{\"a\":\"b}", "{\"a\":\"b\",}", "{,\"a\":\"b\"}", "{\"a\":\"b\" \"c\":\"d\"}",
	    "{\"a\":\"b\",,\"c\":\"d\"}", "{\"a\":\"b\"}x", "{\"a\":\"b\"}{", "x{\"a\":\"b\"}",
	    "{\"a\"=\"b\"}", "{a:\"b\"}", "{'a':'b'}", "{\"a\"::\"b\"}",
	    /* for the tree */
	    "{\"a\":1}", "{\"a\":null}", "{\"a\":{}}", "{\"a\":[]}", "{\"a\":-0.5}",
	    "{\"a\":\"\\n\"}", "{\"a\":\"\\u0041\"}", "{\"\\u0061\":\"b\"}", "{\"a\":\"\xc3\xa4\"}",
	    "{\"a\":\"\x7f\"}", "{\"a\":\"\n\"}", "{\"a\x01\":\"b\"}",
	    "{" TEN ",\"k\":true,\"l\":false,\"m\":true}",
	    /* words that are none */
	    "{\"a\":True}", "{\"a\":tru}", "{\"a\":truex}", "{\"a\":falsefalse}",
	    "{\"a\":true false}",
	    /* once each */
	    "{\"a\":\"b\",\"a\":\"b\"}", "{\"a\":true,\"b\":true,\"a\":\"\"}"};
	char longer[FLAT_SIZE_MAX + 1];
	struct flat flat;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (flat_read(&flat, rows[i], strlen(rows[i])))
			fail_msg("%s", rows[i]);
	}
	assert_false(flat_read(&flat, "{\"a\":\"b\"}\0", 10));
	assert_false(flat_read(&flat, "{\"a\":\"\0\"}", 9));
	/* Every beginning of a good one is too short. */
	for (size_t size = 0; size < 17; size++)
		assert_false(flat_read(&flat, "{\"a\":\"b\",\"c\":true}", size));
	memset(longer, ' ', sizeof(longer));
	memcpy(longer, "{\"a\":\"b\"}", 9);
	assert_true(flat_read(&flat, longer, FLAT_SIZE_MAX - 1));
	assert_false(flat_read(&flat, longer, FLAT_SIZE_MAX));
	assert_false(flat_read(&flat, longer, FLAT_SIZE_MAX + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(plain_words),
	    cmocka_unit_test(not_plain),
	};

	return unit_run(tests);
}
