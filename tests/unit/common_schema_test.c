/* Schemas: what fits and what does not, and that nothing is taken that would not be checked. */
#include "common/buf.h"
#include "common/schema.h"
#include "tests/unit/unit.h"

#define TEXT_MAX 400000

static json_t *value_of(const char *row, const char *text)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

	if (value == NULL)
		fail_msg("row \"%s\" is no JSON: %s", row, text);
	return value;
}

static struct schema *schema_of(const char *text)
{
	json_t *tree = value_of(text, text);
	struct json_error error;
	struct schema *schema = schema_new(&error, tree, text, strlen(text), NULL);

	if (schema == NULL)
		fail_msg("%s: line %d, %s: %s", text, error.line, error.path, error.reason);
	json_decref(tree);
	return schema;
}

static const struct {
	const char *schema;
	const char *fits;   /* NULL-terminated by an empty text: values with ; between */
	const char *others; /* the same, those that do not */
} rows[] = {
    {"true", "null;{}", ""},
    {"false", "", "null;{};0"},
    {"{}", "null;{};[1]", ""},
    {"{\"title\":\"t\",\"description\":\"d\",\"default\":7,\"examples\":[1],\"$comment\":\"c\","
     "\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"$id\":\"https://a/b\"}",
	"null;7;{}", ""},

    {"{\"type\":\"object\"}", "{};{\"a\":1}", "[];null;true;1;\"{}\""},
    {"{\"type\":\"array\"}", "[];[null]", "{};null;1;\"[]\""},
    {"{\"type\":\"string\"}", "\"\";\"a\"", "1;null;[\"a\"];{}"},
    {"{\"type\":\"number\"}", "1;1.5;-0.0;1e300", "\"1\";null;true;[1]"},
    {"{\"type\":\"integer\"}", "1;0;-7;1.0;1e300;9007199254740993", "1.5;-0.5;\"1\";true;null"},
    {"{\"type\":\"boolean\"}", "true;false", "0;1;\"true\";null"},
    {"{\"type\":\"null\"}", "null", "0;false;\"\";\"null\";{};[]"},
    {"{\"type\":[\"string\",\"null\"]}", "null;\"a\"", "1;false;[];{}"},
    {"{\"type\":[\"integer\",\"string\"]}", "1;\"1\"", "1.5;null;true"},

    {"{\"const\":null}", "null", "0;false;\"\";{}"},
    {"{\"const\":1}", "1;1.0", "2;\"1\";true;[1];1.0000001"},
    {"{\"const\":9007199254740993}", "9007199254740993", "9007199254740992;9007199254740993.0"},
    {"{\"const\":{\"a\":[1,{\"b\":2}]}}", "{\"a\":[1,{\"b\":2.0}]}",
	"{\"a\":[{\"b\":2},1]};{\"a\":[1,{\"b\":2}],\"c\":1};{\"a\":[1]};{};[]"},
    {"{\"enum\":[1,\"a\",null,[]]}", "1;1.0;\"a\";null;[]", "2;\"b\";false;{};[1];\"\""},

    {"{\"required\":[\"a\",\"b\"]}", "{\"a\":1,\"b\":null};[];1;\"a\";null",
	"{};{\"a\":1};{\"b\":1};{\"A\":1,\"b\":2}"},
    {"{\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"type\":\"number\"}}}",
	"{};{\"a\":\"x\"};{\"b\":1,\"c\":{}};[];7",
	"{\"a\":1};{\"a\":\"x\",\"b\":\"y\"};{\"b\":null}"},
    {"{\"properties\":{\"a\":false}}", "{};{\"b\":1}", "{\"a\":1};{\"a\":null}"},
    {"{\"additionalProperties\":false}", "{};[1];null", "{\"a\":1};{\"\":null}"},
    {"{\"properties\":{\"a\":true,\"c\":true},\"additionalProperties\":false}",
	"{};{\"a\":1};{\"c\":1,\"a\":2}", "{\"b\":1};{\"a\":1,\"aa\":2};{\"A\":1}"},
    {"{\"additionalProperties\":{\"type\":\"integer\"},\"properties\":{\"s\":{\"type\":\"string\"}}"
     "}",
	"{};{\"n\":1,\"s\":\"x\"}", "{\"n\":\"x\"};{\"s\":1};{\"n\":1.5,\"s\":\"x\"}"},
    {"{\"minProperties\":1,\"maxProperties\":2}", "{\"a\":1};{\"a\":1,\"b\":2};[];[1,2,3]",
	"{};{\"a\":1,\"b\":2,\"c\":3}"},

    {"{\"items\":{\"type\":\"integer\"}}", "[];[1,2];{\"0\":\"a\"};\"a\"",
	"[\"a\"];[1,null];[1,2,[3]]"},
    {"{\"items\":false}", "[];{}", "[1];[null]"},
    {"{\"minItems\":1,\"maxItems\":2}", "[1];[1,2];{};{\"a\":1,\"b\":2,\"c\":3}", "[];[1,2,3]"},

    {"{\"minLength\":2,\"maxLength\":3}", "\"ab\";\"abc\";\"\xe2\x82\xac\xe2\x82\xac\";1;null;[]",
	"\"\";\"a\";\"abcd\";\"\xe2\x82\xac\""},
    {"{\"minimum\":1}", "1;1.0;2;1e9;\"0\";null", "0;0.999;-1;-1e300"},
    {"{\"maximum\":1.5}", "1.5;1;-2", "1.51;2;1e300"},
    {"{\"exclusiveMinimum\":1}", "1.0001;2", "1;1.0;0"},
    {"{\"exclusiveMaximum\":1}", "0.999;0;-5", "1;1.0;2"},
    {"{\"minimum\":9007199254740993}", "9007199254740993;9007199254740994",
	"9007199254740992;9007199254740992.0"},
    {"{\"maximum\":9223372036854775807}", "9223372036854775807;1e18", "9223372036854775808.0;1e19"},
    {"{\"minimum\":-9223372036854775808}", "-9223372036854775808;-9223372036854775808.0;0",
	"-1e19;-9223372036854777856.0"},

    {"{\"allOf\":[{\"type\":\"integer\"},{\"minimum\":5}]}", "5;6", "4;5.5;\"5\""},
    {"{\"anyOf\":[{\"type\":\"string\"},{\"minimum\":5}]}", "\"a\";5;null;{}", "4;-1"},
    {"{\"oneOf\":[{\"type\":\"integer\"},{\"minimum\":5}]}", "1;5.5;\"a\"", "5;1.5;6"},
    {"{\"not\":{\"type\":\"string\"}}", "1;null;{}", "\"\";\"a\""},
    {"{\"not\":{}}", "", "null;1;{}"},
    {"{\"not\":{\"not\":{\"type\":\"string\"}}}", "\"a\"", "1;null"},

    {"{\"$ref\":\"#/$defs/n\",\"$defs\":{\"n\":{\"type\":\"integer\"}}}", "1", "\"a\";1.5;null"},
    {"{\"items\":{\"$ref\":\"#/definitions/p\"},\"definitions\":{\"p\":{\"required\":[\"x\"]}}}",
	"[];[{\"x\":1}];{}", "[{}];[{\"x\":1},{}]"},
    /* Beside other keywords it is one more of them. */
    {"{\"$ref\":\"#/$defs/n\",\"minimum\":5,\"$defs\":{\"n\":{\"type\":\"integer\"}}}", "5;6",
	"4;5.5;\"a\""},
    /* A definition may use another, in whatever order they stand. */
    {"{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"items\":{\"$ref\":\"#/$defs/b\"}},"
     "\"b\":{\"const\":1}}}",
	"[];[1,1]", "[2];[1,[1]]"},
    {"{\"$ref\":\"#/$defs/b\",\"$defs\":{\"a\":{\"const\":1},"
     "\"b\":{\"items\":{\"$ref\":\"#/$defs/a\"}}}}",
	"[];[1,1]", "[2];[1,[1]]"},
};

static size_t check_values(const char *schema_text, const char *values, bool fits)
{
	struct schema *schema = schema_of(schema_text);
	char *copy = must_strdup(values), *rest = NULL;
	size_t count = 0;

	for (char *at = strtok_r(copy, ";", &rest); at != NULL; at = strtok_r(NULL, ";", &rest)) {
		json_t *value = value_of(schema_text, at);
		char reason[256] = "";
		bool got = schema_check(reason, schema, value);

		if (got != fits)
			fail_msg("%s: %s %s (%s)", schema_text, at, got ? "fits" : "does not fit",
			    reason);
		row_check(at, fits || *reason != '\0');
		json_decref(value);
		count++;
	}
	free(copy);
	schema_free(&schema);
	return count;
}

static void values_fit_or_not(void **state)
{
	size_t fitting = 0, others = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		fitting += check_values(rows[i].schema, rows[i].fits, true);
		others += check_values(rows[i].schema, rows[i].others, false);
	}
	assert_true(others > fitting);
}

static void the_reason_says_where(void **state)
{
	static const char schema_text[] =
	    "{\"type\":\"object\",\"required\":[\"items\"],\"additionalProperties\":false,"
	    "\"properties\":{\"items\":{\"type\":\"array\",\"minItems\":1,\"items\":{"
	    "\"properties\":{\"price\":{\"type\":[\"number\",\"null\"],\"minimum\":0},"
	    "\"kind\":{\"enum\":[\"a\"]},\"size\":{\"anyOf\":[{\"type\":\"string\"}]}}}}}}";
	static const struct {
		const char *json, *reason;
	} cases[] = {
	    {"[]", "is an array, not an object"},
	    {"null", "is null, not an object"},
	    {"{}", "\"items\" is missing"},
	    {"{\"items\":{}}", "items: is an object, not an array"},
	    {"{\"items\":[]}", "items: has 0 members, fewer than 1"},
	    {"{\"items\":[{}],\"more\":1}", "more: may not be there"},
	    {"{\"items\":[{},{\"price\":\"1\"}]}",
		"items[1].price: is a string, not null or a number"},
	    {"{\"items\":[{\"price\":-1}]}", "items[0].price: is less than it may be"},
	    {"{\"items\":[{\"kind\":\"b\"}]}", "items[0].kind: is none of the values it may be"},
	    {"{\"items\":[{\"size\":7}]}", "items[0].size: fits none of anyOf"},
	};
	struct schema *schema = schema_of(schema_text);

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		json_t *value = value_of(schema_text, cases[i].json);
		char reason[256] = "";

		assert_false(schema_check(reason, schema, value));
		assert_string_equal(reason, cases[i].reason);
		json_decref(value);
	}
	schema_free(&schema);
}

/* A stranger's keys come into the reason: printable, and cut to fit. */
static void reasons_are_fit_to_print(void **state)
{
	struct schema *schema =
	    schema_of("{\"additionalProperties\":{\"additionalProperties\":false}}");
	char key[3001], reason[256];
	json_t *value;

	(void)state;
	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	key[1] = '\n';
	key[2] = '\x1b';
	value = json_pack("{s:{s:i}}", key, key, 1);
	assert_false(schema_check(reason, schema, value));
	assert_true(strlen(reason) < sizeof(reason) - 1);
	assert_memory_equal(reason, "k??kk", 5);
	json_decref(value);
	schema_free(&schema);
}

static void bad_schemas_are_refused_where_they_are_bad(void **state)
{
	static const struct {
		const char *schema, *path, *reason;
	} cases[] = {
	    {"null", "", "must be a schema (an object, true or false), not null"},
	    {"[]", "", "must be a schema (an object, true or false), not an array"},
	    {"7", "", "must be a schema (an object, true or false), not a number"},
	    {"\"object\"", "", "must be a schema (an object, true or false), not a string"},

	    {"{\"pattern\":\"^a\"}", "pattern",
		"\"pattern\" is not supported: it would not be checked, so leave it out"},
	    {"{\"properties\":{\"a\":{\"format\":\"date\"}}}", "properties.a.format",
		"\"format\" is not supported: it would not be checked, so leave it out"},
	    {"{\"if\":{}}", "if",
		"\"if\" is not supported: it would not be checked, so leave it out"},
	    {"{\"uniqueItems\":true}", "uniqueItems",
		"\"uniqueItems\" is not supported: it would not be checked, so leave it out"},
	    {"{\"multipleOf\":2}", "multipleOf",
		"\"multipleOf\" is not supported: it would not be checked, so leave it out"},
	    {"{\"prefixItems\":[{}]}", "prefixItems",
		"\"prefixItems\" is not supported: it would not be checked, so leave it out"},
	    {"{\"tpye\":\"object\"}", "tpye", "unknown keyword \"tpye\"; did you mean \"type\"?"},
	    {"{\"Type\":\"object\"}", "Type", "unknown keyword \"Type\"; did you mean \"type\"?"},
	    {"{\"requires\":[]}", "requires",
		"unknown keyword \"requires\"; did you mean \"required\"?"},
	    {"{\"x-vendor\":1}", "x-vendor", "unknown keyword \"x-vendor\""},
	    {"{\"anyOf\":[{},{\"additionalPropertys\":false}]}", "anyOf[1].additionalPropertys",
		"unknown keyword \"additionalPropertys\"; did you mean \"additionalProperties\"?"},

	    {"{\"type\":7}", "type", "must be a string, not a number"},
	    {"{\"type\":null}", "type", "must be a string, not null"},
	    {"{\"type\":[]}", "type", "names no type"},
	    {"{\"type\":[\"string\",1]}", "type[1]", "must be a string, not a number"},
	    {"{\"type\":\"strng\"}", "type", "unknown type \"strng\"; did you mean \"string\"?"},
	    {"{\"type\":\"any\"}", "type", "unknown type \"any\""},
	    {"{\"type\":\"Object\"}", "type", "unknown type \"Object\"; did you mean \"object\"?"},
	    {"{\"enum\":[]}", "enum", "must be an array of values"},
	    {"{\"enum\":\"a\"}", "enum", "must be an array of values"},
	    {"{\"required\":true}", "required", "must be an array of names, not true"},
	    {"{\"required\":\"a\"}", "required", "must be an array of names, not a string"},
	    {"{\"required\":[\"a\",2]}", "required[1]", "must be a string, not a number"},
	    {"{\"properties\":[]}", "properties", "must be an object, not an array"},
	    {"{\"properties\":{\"a\":\"string\"}}", "properties.a",
		"must be a schema (an object, true or false), not a string"},
	    {"{\"additionalProperties\":\"no\"}", "additionalProperties",
		"must be a schema (an object, true or false), not a string"},
	    {"{\"additionalProperties\":null}", "additionalProperties",
		"must be a schema (an object, true or false), not null"},
	    {"{\"items\":[{}]}", "items",
		"must be a schema (an object, true or false), not an array"},
	    {"{\"minItems\":-1}", "minItems", "must be a whole number, 0 or more"},
	    {"{\"maxItems\":1.5}", "maxItems", "must be a whole number, 0 or more"},
	    {"{\"minLength\":\"1\"}", "minLength", "must be a whole number, 0 or more"},
	    {"{\"maxLength\":null}", "maxLength", "must be a whole number, 0 or more"},
	    {"{\"minProperties\":true}", "minProperties", "must be a whole number, 0 or more"},
	    {"{\"maxProperties\":[]}", "maxProperties", "must be a whole number, 0 or more"},
	    {"{\"minimum\":\"0\"}", "minimum", "must be a number, not a string"},
	    {"{\"maximum\":null}", "maximum", "must be a number, not null"},
	    /* Draft 4 wrote it so; here it would mean another thing. */
	    {"{\"exclusiveMinimum\":true,\"minimum\":1}", "exclusiveMinimum",
		"must be a number, not true"},
	    {"{\"exclusiveMaximum\":{}}", "exclusiveMaximum", "must be a number, not an object"},
	    {"{\"allOf\":[]}", "allOf", "must be an array of schemas"},
	    {"{\"anyOf\":{}}", "anyOf", "must be an array of schemas"},
	    {"{\"oneOf\":true}", "oneOf", "must be an array of schemas"},
	    {"{\"oneOf\":[{},7]}", "oneOf[1]",
		"must be a schema (an object, true or false), not a number"},
	    {"{\"not\":[]}", "not", "must be a schema (an object, true or false), not an array"},
	    {"{\"title\":1}", "title", "must be a string, not a number"},
	    {"{\"description\":{}}", "description", "must be a string, not an object"},
	    {"{\"$schema\":2020}", "$schema", "must be a string, not a number"},
	    {"{\"items\":{\"$id\":\"https://a/\"}}", "items.$id",
		"may stand at the top of a schema only"},
	    {"{\"items\":{\"$defs\":{}}}", "items.$defs", "may stand at the top of a schema only"},
	    {"{\"$defs\":[]}", "$defs", "must be an object of schemas, not an array"},
	    {"{\"definitions\":\"x\"}", "definitions",
		"must be an object of schemas, not a string"},
	    /* Whether anything refers to it or not. */
	    {"{\"$defs\":{\"a\":{\"pattern\":\"x\"}}}", "$defs.a.pattern",
		"\"pattern\" is not supported: it would not be checked, so leave it out"},
	    {"{\"$defs\":{\"a\":1}}", "$defs.a",
		"must be a schema (an object, true or false), not a number"},
	    {"{\"$ref\":7}", "$ref", "must be a string, not a number"},
	    {"{\"$ref\":\"#\"}", "$ref",
		"\"#\" is not there: write \"#/$defs/NAME\", with NAME under $defs at the top"},
	    {"{\"$ref\":\"#/$defs/a\"}", "$ref",
		"\"#/$defs/a\" is not there: write \"#/$defs/NAME\", with NAME under $defs at the "
		"top"},
	    {"{\"$ref\":\"#/definitions/a\",\"$defs\":{\"a\":{}}}", "$ref",
		"\"#/definitions/a\" is not there: write \"#/$defs/NAME\", with NAME under $defs "
		"at "
		"the top"},
	    {"{\"$ref\":\"https://example.com/a.json\"}", "$ref",
		"\"https://example.com/a.json\" is not there: write \"#/$defs/NAME\", with NAME "
		"under $defs at the top"},
	    {"{\"$ref\":\"#/$defs/a/items\",\"$defs\":{\"a\":{\"items\":{}}}}", "$ref",
		"\"#/$defs/a/items\" is not there: write \"#/$defs/NAME\", with NAME under $defs "
		"at "
		"the top"},
	    {"{\"$defs\":{\"a\":{\"$ref\":\"#/$defs/a\"}}}", "$defs.a.$ref",
		"\"#/$defs/a\" leads back to itself"},
	    {"{\"$defs\":{\"a\":{\"items\":{\"$ref\":\"#/$defs/b\"}},"
	     "\"b\":{\"not\":{\"$ref\":\"#/$defs/a\"}}}}",
		"$defs.b.not.$ref", "\"#/$defs/a\" leads back to itself"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		json_t *tree = value_of(cases[i].schema, cases[i].schema);
		struct json_error error;
		struct schema *schema =
		    schema_new(&error, tree, cases[i].schema, strlen(cases[i].schema), NULL);

		row_check(cases[i].schema, schema == NULL);
		if (strcmp(error.path, cases[i].path) != 0 ||
		    strcmp(error.reason, cases[i].reason) != 0)
			fail_msg("%s: \"%s\": %s", cases[i].schema, error.path, error.reason);
		row_check(cases[i].schema, error.line == 1);
		json_decref(tree);
	}
}

static void errors_say_where_in_the_file(void **state)
{
	static const char text[] = "{\n \"delivery\": {\n  \"minItems\":\n   -1}}";
	json_t *tree = value_of(text, text);
	const struct spot at = {.key = "delivery"};
	struct json_error error;

	(void)state;
	assert_null(schema_new(&error, json_object_get(tree, "delivery"), text, strlen(text), &at));
	assert_string_equal(error.path, "delivery.minItems");
	assert_int_equal(error.line, 4);
	json_decref(tree);
}

/* {"items":{"items":…}}, or a chain of definitions that refer to the next one. */
static json_t *nested(int levels)
{
	json_t *tree = json_object();

	for (int i = 1; i < levels; i++)
		tree = json_pack("{s:o}", "items", tree);
	return tree;
}

static json_t *chained(int levels)
{
	json_t *definitions = json_object();

	for (int i = 0; i < levels; i++) {
		char name[16], next[32];

		snprintf(name, sizeof(name), "d%03d", i);
		snprintf(next, sizeof(next), "#/$defs/d%03d", i + 1);
		json_object_set_new(definitions, name,
		    i + 1 < levels ? json_pack("{s:s}", "$ref", next)
				   : json_pack("{s:s}", "type", "string"));
	}
	return json_pack("{s:s, s:o}", "$ref", "#/$defs/d000", "$defs", definitions);
}

static void depth_and_number_are_bounded(void **state)
{
	json_t *good[] = {nested(SCHEMA_DEPTH_MAX), chained(SCHEMA_DEPTH_MAX - 1)};
	json_t *bad[] = {
	    nested(SCHEMA_DEPTH_MAX + 1), chained(SCHEMA_DEPTH_MAX), chained(2000), NULL};
	json_t *many = json_array();
	struct json_error error;
	struct schema *schema;

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		schema = schema_new(&error, good[i], NULL, 0, NULL);
		assert_non_null(schema);
		schema_free(&schema);
		json_decref(good[i]);
	}
	for (size_t i = 0; bad[i] != NULL; i++) {
		assert_null(schema_new(&error, bad[i], NULL, 0, NULL));
		assert_string_equal(error.reason, "schemas are nested deeper than 64 levels");
		json_decref(bad[i]);
	}
	while (json_array_size(many) < SCHEMA_COUNT_MAX - 1)
		json_array_append_new(many, json_true());
	many = json_pack("{s:o}", "allOf", many);
	schema = schema_new(&error, many, NULL, 0, NULL);
	assert_non_null(schema);
	schema_free(&schema);
	json_array_append_new(json_object_get(many, "allOf"), json_true());
	assert_null(schema_new(&error, many, NULL, 0, NULL));
	assert_string_equal(error.reason, "there are more than 4096 schemas in it");
	json_decref(many);
}

/* Each level asks the next one twice: a thousand million steps if nobody counted. Also where
 * a misfit would count as fitting. */
static void work_is_bounded(void **state)
{
	struct buf definitions;

	(void)state;
	buf_init(&definitions, TEXT_MAX);
	buf_add_str(&definitions, "{");
	for (int i = 0; i < 30; i++)
		buf_add_format(&definitions,
		    "\"d%02d\":{\"allOf\":[{\"$ref\":\"#/$defs/d%02d\"},{\"$ref\":\"#/$defs/"
		    "d%02d\"}]},",
		    i, i + 1, i + 1);
	buf_add_str(&definitions, "\"d30\":{}}");
	for (size_t i = 0; i < 2; i++) {
		struct schema *schema;
		struct buf text;
		char reason[256];
		json_t *value = json_true();

		buf_init(&text, TEXT_MAX);
		buf_add_str(&text, i == 0 ? "{\"$ref\":\"#/$defs/d00\",\"$defs\":"
					  : "{\"not\":{\"$ref\":\"#/$defs/d00\"},\"$defs\":");
		buf_add_str(&text, buf_str(&definitions));
		buf_add_str(&text, "}");
		schema = schema_of(buf_str(&text));
		assert_false(schema_check(reason, schema, value));
		assert_string_equal(reason, "it takes more than 1048576 steps to check");
		schema_free(&schema);
		buf_fini(&text);
		json_decref(value);
	}
	buf_fini(&definitions);
}

/* As many values as 256 KiB hold are checked by a plain schema. */
static void a_large_value_is_checked(void **state)
{
	struct schema *schema = schema_of("{\"items\":{\"type\":\"integer\",\"minimum\":0}}");
	json_t *value = json_array();
	char reason[256];

	(void)state;
	for (int i = 0; i < 131072; i++)
		json_array_append_new(value, json_integer(i));
	assert_true(schema_check(reason, schema, value));
	json_array_append_new(value, json_integer(-1));
	assert_false(schema_check(reason, schema, value));
	assert_string_equal(reason, "[131072]: is less than it may be");
	json_decref(value);
	schema_free(&schema);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(values_fit_or_not),
	    cmocka_unit_test(the_reason_says_where),
	    cmocka_unit_test(reasons_are_fit_to_print),
	    cmocka_unit_test(bad_schemas_are_refused_where_they_are_bad),
	    cmocka_unit_test(errors_say_where_in_the_file),
	    cmocka_unit_test(depth_and_number_are_bounded),
	    cmocka_unit_test(work_is_bounded),
	    cmocka_unit_test(a_large_value_is_checked),
	};

	return unit_run(tests);
}
