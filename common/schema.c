/* common/schema.c - does a JSON value have the form that somebody wrote down?
 *
 * Reading turns each schema into a node, a list of tests; the keyword table says which
 * function reads a keyword, and that function which one tests it. Checking walks nodes and
 * value together. Since no $ref leads back to itself, nodes form a tree with shared
 * branches, and the depth found while reading bounds the recursion of checking. */
#include "common/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	TYPE_NULL = 1,
	TYPE_BOOLEAN = 2,
	TYPE_OBJECT = 4,
	TYPE_ARRAY = 8,
	TYPE_STRING = 16,
	TYPE_NUMBER = 32,
	TYPE_INTEGER = 64,
};

static const struct {
	const char *name;
	unsigned type;
	const char *words;
} types[] = {
    {"null", TYPE_NULL, "null"},
    {"boolean", TYPE_BOOLEAN, "true or false"},
    {"object", TYPE_OBJECT, "an object"},
    {"array", TYPE_ARRAY, "an array"},
    {"string", TYPE_STRING, "a string"},
    {"number", TYPE_NUMBER, "a number"},
    {"integer", TYPE_INTEGER, "a whole number"},
};
#define TYPE_COUNT (sizeof(types) / sizeof(types[0]))

struct node;
struct run;
struct test;

typedef bool test_fn(
    struct run *run, const struct test *test, const json_t *value, const struct spot *at);

/* One keyword with what it was given; which members count is known to its test_fn. */
struct test {
	test_fn *run;
	unsigned types;
	size_t count;                  /* of a size; the names of `fields` and of `nodes` */
	const json_t *json;            /* borrowed from the tree */
	struct node **nodes;           /* of one, or of a list */
	const char **names;            /* properties: sorted, in step with nodes */
	const struct test *properties; /* additionalProperties: of the same schema, or NULL */
};

struct node {
	struct test *tests;
	size_t count;
	bool nothing; /* the schema false */
	int depth;    /* of nodes below it, itself included */
};

/* A schema under $defs or definitions. */
struct definition {
	const char *place, *name; /* "$defs" */
	json_t *tree;
	struct node *node; /* NULL until it is read */
	bool reading;      /* a $ref that meets it now leads back to itself */
};

struct schema {
	json_t *tree;
	struct node *root;
	struct node **nodes; /* all of them, to free */
	size_t count;
	struct definition *definitions;
	size_t definition_count;
};

/* --- reading --------------------------------------------------------------------------- */

struct reader {
	struct json_error *error;
	const char *text;
	size_t size;
	struct schema *schema;
	const struct spot *at; /* of the whole schema */
};

static bool fail(struct reader *reader, const struct spot *at, const char *format, ...)
    PRINTF_LIKE(3, 4);
static bool fail(struct reader *reader, const struct spot *at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	spot_vfail(reader->error, reader->text, reader->size, at, format, args);
	va_end(args);
	return false;
}

static struct node *read_node(
    struct reader *reader, const struct spot *at, json_t *tree, int depth);

/* What a keyword is read into. */
struct place {
	struct reader *reader;
	const struct spot *at; /* of the keyword */
	json_t *spec;          /* what it was given */
	struct node *node;     /* that it is a keyword of */
	const json_t *schema;  /* that node's tree */
	int depth;
};

static bool add_node(
    struct place *place, struct test *test, const struct spot *at, json_t *tree, size_t index)
{
	struct node *node = read_node(place->reader, at, tree, place->depth + 1);

	if (node == NULL)
		return false;
	test->nodes[index] = node;
	if (node->depth >= place->node->depth)
		place->node->depth = node->depth + 1;
	return true;
}

static bool read_one(struct place *place, struct test *test)
{
	test->nodes = must_calloc(1, sizeof(struct node *));
	test->count = 1;
	return add_node(place, test, place->at, place->spec, 0);
}

static bool read_list(struct place *place, struct test *test)
{
	size_t count = json_array_size(place->spec);

	if (count == 0)
		return fail(place->reader, place->at, "must be an array of schemas");
	test->nodes = must_calloc(count, sizeof(struct node *));
	test->count = count;
	for (size_t i = 0; i < count; i++) {
		const struct spot here = {.parent = place->at, .index = i};

		if (!add_node(place, test, &here, json_array_get(place->spec, i), i))
			return false;
	}
	return true;
}

static bool read_size(struct place *place, struct test *test)
{
	if (!json_is_integer(place->spec) || json_integer_value(place->spec) < 0)
		return fail(place->reader, place->at, "must be a whole number, 0 or more");
	test->count = (size_t)json_integer_value(place->spec);
	return true;
}

static bool read_array_size(struct place *place, struct test *test)
{
	test->types = TYPE_ARRAY;
	return read_size(place, test);
}

static bool read_object_size(struct place *place, struct test *test)
{
	test->types = TYPE_OBJECT;
	return read_size(place, test);
}

static bool read_number(struct place *place, struct test *test)
{
	if (!json_is_number(place->spec))
		return fail(place->reader, place->at, "must be a number, not %s",
		    spot_type_name(place->spec));
	test->json = place->spec;
	return true;
}

static bool read_any(struct place *place, struct test *test)
{
	test->json = place->spec;
	return true;
}

static bool add_type(
    struct place *place, struct test *test, const struct spot *at, const json_t *name)
{
	const char *names[TYPE_COUNT + 1] = {NULL}, *word = json_string_value(name);

	if (word == NULL)
		return fail(place->reader, at, "must be a string, not %s", spot_type_name(name));
	for (size_t i = 0; i < TYPE_COUNT; i++) {
		names[i] = types[i].name;
		if (strcmp(types[i].name, word) == 0) {
			test->types |= types[i].type;
			return true;
		}
	}
	return spot_fail_unknown(place->reader->error, place->reader->text, place->reader->size, at,
	    "type", word, names);
}

static bool read_type(struct place *place, struct test *test)
{
	if (!json_is_array(place->spec))
		return add_type(place, test, place->at, place->spec);
	if (json_array_size(place->spec) == 0)
		return fail(place->reader, place->at, "names no type");
	for (size_t i = 0; i < json_array_size(place->spec); i++) {
		const struct spot here = {.parent = place->at, .index = i};

		if (!add_type(place, test, &here, json_array_get(place->spec, i)))
			return false;
	}
	return true;
}

static bool read_enum(struct place *place, struct test *test)
{
	if (json_array_size(place->spec) == 0)
		return fail(place->reader, place->at, "must be an array of values");
	test->json = place->spec;
	return true;
}

static bool read_required(struct place *place, struct test *test)
{
	if (!json_is_array(place->spec))
		return fail(place->reader, place->at, "must be an array of names, not %s",
		    spot_type_name(place->spec));
	for (size_t i = 0; i < json_array_size(place->spec); i++) {
		const struct spot here = {.parent = place->at, .index = i};

		if (!json_is_string(json_array_get(place->spec, i)))
			return fail(place->reader, &here, "must be a string, not %s",
			    spot_type_name(json_array_get(place->spec, i)));
	}
	test->json = place->spec;
	return true;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool read_properties(struct place *place, struct test *test)
{
	size_t count = 0;

	if (!json_is_object(place->spec))
		return fail(place->reader, place->at, "must be an object, not %s",
		    spot_type_name(place->spec));
	test->nodes = must_calloc(json_object_size(place->spec) + 1, sizeof(struct node *));
	test->names = must_calloc(json_object_size(place->spec) + 1, sizeof(char *));
	for (void *i = json_object_iter(place->spec); i != NULL;
	     i = json_object_iter_next(place->spec, i))
		test->names[count++] = json_object_iter_key(i);
	qsort(test->names, count, sizeof(char *), compare_names);
	test->count = count;
	for (size_t i = 0; i < count; i++) {
		const struct spot here = {.parent = place->at, .key = test->names[i]};

		if (!add_node(place, test, &here, json_object_get(place->spec, test->names[i]), i))
			return false;
	}
	return true;
}

static bool read_ref(struct place *place, struct test *test)
{
	struct schema *schema = place->reader->schema;
	const char *ref = json_string_value(place->spec), *name;
	struct definition *found = NULL;
	char shown[SPOT_SHOWN_SIZE];

	if (ref == NULL)
		return fail(place->reader, place->at, "must be a string, not %s",
		    spot_type_name(place->spec));
	for (size_t i = 0; i < schema->definition_count && found == NULL; i++) {
		struct definition *definition = &schema->definitions[i];
		size_t length = strlen(definition->place);

		if (strncmp(ref, "#/", 2) != 0 || strncmp(ref + 2, definition->place, length) != 0)
			continue;
		name = ref + 2 + length;
		if (*name == '/' && strcmp(name + 1, definition->name) == 0)
			found = definition;
	}
	if (found == NULL)
		return fail(place->reader, place->at,
		    "\"%s\" is not there: write \"#/$defs/NAME\", with NAME under $defs at the top",
		    spot_shown(shown, ref));
	if (found->reading)
		return fail(place->reader, place->at, "\"%s\" leads back to itself",
		    spot_shown(shown, ref));
	test->nodes = must_calloc(1, sizeof(struct node *));
	test->count = 1;
	if (found->node == NULL) {
		const struct spot place_at = {.parent = place->reader->at, .key = found->place};
		const struct spot here = {.parent = &place_at, .key = found->name};

		found->reading = true;
		found->node = read_node(place->reader, &here, found->tree, place->depth + 1);
		found->reading = false;
	}
	if (found->node == NULL)
		return false;
	test->nodes[0] = found->node;
	if (found->node->depth >= place->node->depth)
		place->node->depth = found->node->depth + 1;
	return true;
}

static bool read_words(struct place *place, struct test *test)
{
	(void)test;
	if (!json_is_string(place->spec))
		return fail(place->reader, place->at, "must be a string, not %s",
		    spot_type_name(place->spec));
	return true;
}

/* Definitions are read before anything else, from the top (read_definitions). */
static bool read_top(struct place *place, struct test *test)
{
	(void)test;
	if (place->schema != place->reader->schema->tree)
		return fail(place->reader, place->at, "may stand at the top of a schema only");
	return true;
}

/* Elsewhere it would change what "#/" means. */
static bool read_id(struct place *place, struct test *test)
{
	return read_top(place, test) && read_words(place, test);
}

static bool read_nothing(struct place *place, struct test *test)
{
	(void)place;
	(void)test;
	return true;
}

static test_fn test_type, test_enum, test_const, test_all, test_any, test_one, test_not,
    test_properties, test_required, test_additional, test_fewest, test_most, test_items,
    test_shortest, test_longest, test_minimum, test_maximum, test_above, test_below, test_ref;

struct keyword {
	const char *name;
	bool (*read)(struct place *place, struct test *test);
	test_fn *run; /* NULL: says nothing about a value */
};

static const struct keyword keywords[] = {
    /* The cheap and telling ones first. */
    {"type", read_type, test_type},
    {"const", read_any, test_const},
    {"enum", read_enum, test_enum},
    {"required", read_required, test_required},
    {"minProperties", read_object_size, test_fewest},
    {"maxProperties", read_object_size, test_most},
    {"minItems", read_array_size, test_fewest},
    {"maxItems", read_array_size, test_most},
    {"minLength", read_size, test_shortest},
    {"maxLength", read_size, test_longest},
    {"minimum", read_number, test_minimum},
    {"maximum", read_number, test_maximum},
    {"exclusiveMinimum", read_number, test_above},
    {"exclusiveMaximum", read_number, test_below},
    {"properties", read_properties, test_properties},
    {"additionalProperties", read_one, test_additional}, /* after properties */
    {"items", read_one, test_items},
    {"$ref", read_ref, test_ref},
    {"allOf", read_list, test_all},
    {"anyOf", read_list, test_any},
    {"oneOf", read_list, test_one},
    {"not", read_one, test_not},
    {"$defs", read_top, NULL},
    {"definitions", read_top, NULL},
    {"$schema", read_words, NULL},
    {"$id", read_id, NULL},
    {"$comment", read_words, NULL},
    {"title", read_words, NULL},
    {"description", read_words, NULL},
    {"default", read_nothing, NULL},
    {"examples", read_nothing, NULL},
    {"deprecated", read_nothing, NULL},
    {"readOnly", read_nothing, NULL},
    {"writeOnly", read_nothing, NULL},
};
#define KEYWORD_COUNT (sizeof(keywords) / sizeof(keywords[0]))

/* Known to JSON Schema and not to us: not a slip of the pen. */
static const char *const unsupported[] = {"pattern", "format", "multipleOf", "uniqueItems",
    "contains", "minContains", "maxContains", "prefixItems", "additionalItems", "unevaluatedItems",
    "patternProperties", "propertyNames", "dependentRequired", "dependentSchemas", "dependencies",
    "unevaluatedProperties", "if", "then", "else", "contentEncoding", "contentMediaType",
    "contentSchema", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef",
    "$recursiveAnchor", "$vocabulary", "id"};

static bool refuse_keyword(struct reader *reader, const struct spot *at)
{
	const char *names[KEYWORD_COUNT + 1] = {NULL};

	for (size_t i = 0; i < sizeof(unsupported) / sizeof(unsupported[0]); i++) {
		if (strcmp(unsupported[i], at->key) == 0)
			return fail(reader, at,
			    "\"%s\" is not supported: it would not be checked, so leave it out",
			    at->key);
	}
	for (size_t i = 0; i < KEYWORD_COUNT; i++)
		names[i] = keywords[i].name;
	return spot_fail_unknown(
	    reader->error, reader->text, reader->size, at, "keyword", at->key, names);
}

static bool is_keyword(const char *name)
{
	for (size_t i = 0; i < KEYWORD_COUNT; i++) {
		if (strcmp(keywords[i].name, name) == 0)
			return true;
	}
	return false;
}

static const struct test *find_test(const struct node *node, test_fn *run)
{
	for (size_t i = 0; i < node->count; i++) {
		if (node->tests[i].run == run)
			return &node->tests[i];
	}
	return NULL;
}

/* The keywords of an object, in the table's order. */
static bool read_keywords(struct place *place, const struct spot *at)
{
	struct node *node = place->node;

	for (void *i = json_object_iter((json_t *)(uintptr_t)place->schema); i != NULL;
	     i = json_object_iter_next((json_t *)(uintptr_t)place->schema, i)) {
		const struct spot here = {.parent = at, .key = json_object_iter_key(i)};

		if (!is_keyword(here.key))
			return refuse_keyword(place->reader, &here);
	}
	node->tests = must_calloc(json_object_size(place->schema) + 1, sizeof(*node->tests));
	for (size_t i = 0; i < KEYWORD_COUNT; i++) {
		const struct spot here = {.parent = at, .key = keywords[i].name};
		struct test *test = &node->tests[node->count];

		place->spec = json_object_get(place->schema, here.key);
		place->at = &here;
		if (place->spec == NULL)
			continue;
		test->run = keywords[i].run;
		node->count++; /* so that whatever it allocates is freed */
		if (!keywords[i].read(place, test))
			return false;
		if (test->run == NULL)
			node->count--;
		if (test->run == test_additional)
			test->properties = find_test(node, test_properties);
	}
	return true;
}

static struct node *read_node(struct reader *reader, const struct spot *at, json_t *tree, int depth)
{
	struct schema *schema = reader->schema;
	struct place place = {.reader = reader, .schema = tree, .depth = depth};

	if (!json_is_object(tree) && !json_is_boolean(tree)) {
		fail(reader, at, "must be a schema (an object, true or false), not %s",
		    spot_type_name(tree));
		return NULL;
	}
	if (schema->count == SCHEMA_COUNT_MAX) {
		fail(reader, at, "there are more than %u schemas in it", SCHEMA_COUNT_MAX);
		return NULL;
	}
	place.node = must_calloc(1, sizeof(struct node));
	place.node->depth = 1;
	schema->nodes = must_realloc(schema->nodes, (schema->count + 1) * sizeof(struct node *));
	schema->nodes[schema->count++] = place.node;
	place.node->nothing = json_is_false(tree);
	/* Deep on the way down, through $refs too; and deep in all, through shared branches. */
	if (depth > SCHEMA_DEPTH_MAX || (json_is_object(tree) && !read_keywords(&place, at)) ||
	    place.node->depth > SCHEMA_DEPTH_MAX) {
		if (depth > SCHEMA_DEPTH_MAX || place.node->depth > SCHEMA_DEPTH_MAX)
			fail(reader, at, "schemas are nested deeper than %d levels",
			    SCHEMA_DEPTH_MAX);
		return NULL;
	}
	return place.node;
}

static bool find_definitions(struct reader *reader, const char *place)
{
	struct schema *schema = reader->schema;
	const struct spot at = {.parent = reader->at, .key = place};
	json_t *list = json_object_get(schema->tree, place);

	if (list == NULL)
		return true;
	if (!json_is_object(list))
		return fail(
		    reader, &at, "must be an object of schemas, not %s", spot_type_name(list));
	schema->definitions = must_realloc(schema->definitions,
	    (schema->definition_count + json_object_size(list) + 1) * sizeof(struct definition));
	for (void *i = json_object_iter(list); i != NULL; i = json_object_iter_next(list, i))
		schema->definitions[schema->definition_count++] = (struct definition){
		    .place = place,
		    .name = json_object_iter_key(i),
		    .tree = json_object_iter_value(i),
		};
	return true;
}

/* Also those that nothing refers to. */
static bool read_definitions(struct reader *reader)
{
	struct schema *schema = reader->schema;

	for (size_t i = 0; i < schema->definition_count; i++) {
		struct definition *definition = &schema->definitions[i];
		const struct spot place = {.parent = reader->at, .key = definition->place};
		const struct spot at = {.parent = &place, .key = definition->name};

		if (definition->node != NULL)
			continue;
		definition->reading = true;
		definition->node = read_node(reader, &at, definition->tree, 1);
		definition->reading = false;
		if (definition->node == NULL)
			return false;
	}
	return true;
}

struct schema *schema_new(
    struct json_error *error, json_t *tree, const char *text, size_t size, const struct spot *at)
{
	struct schema *schema = must_calloc(1, sizeof(*schema));
	struct reader reader = {error, text, size, schema, at};

	schema->tree = json_incref(tree);
	if (find_definitions(&reader, "$defs") && find_definitions(&reader, "definitions") &&
	    read_definitions(&reader))
		schema->root = read_node(&reader, at, tree, 1);
	if (schema->root == NULL)
		schema_free(&schema);
	return schema;
}

void schema_free(struct schema **schema_p)
{
	struct schema *schema = *schema_p;

	*schema_p = NULL;
	if (schema == NULL)
		return;
	for (size_t i = 0; i < schema->count; i++) {
		struct node *node = schema->nodes[i];

		for (size_t j = 0; j < node->count; j++) {
			free(node->tests[j].nodes);
			free(node->tests[j].names);
		}
		free(node->tests);
		free(node);
	}
	free(schema->nodes);
	free(schema->definitions);
	json_decref(schema->tree);
	free(schema);
}

/* --- checking ------------------------------------------------------------------------------ */

struct run {
	struct json_error *error;
	unsigned quiet; /* inside anyOf, oneOf, not: a misfit there is not yet one of the whole */
	unsigned steps;
	bool exhausted;
};

static bool misfit(struct run *run, const struct spot *at, const char *format, ...)
    PRINTF_LIKE(3, 4);
static bool misfit(struct run *run, const struct spot *at, const char *format, ...)
{
	va_list args;

	if (run->quiet > 0 || run->exhausted)
		return false;
	va_start(args, format);
	spot_vfail(run->error, NULL, 0, at, format, args);
	va_end(args);
	return false;
}

static bool step(struct run *run, size_t count)
{
	if (run->exhausted || count > SCHEMA_STEPS_MAX - run->steps) {
		run->exhausted = true;
		return false;
	}
	run->steps += (unsigned)count;
	return true;
}

static bool test_node(
    struct run *run, const struct node *node, const json_t *value, const struct spot *at)
{
	if (!step(run, 1 + node->count))
		return false;
	if (node->nothing)
		return misfit(run, at, "may not be there");
	for (size_t i = 0; i < node->count; i++) {
		if (!node->tests[i].run(run, &node->tests[i], value, at))
			return false;
	}
	return true;
}

static bool is_whole(double real)
{
	const double edge = 9007199254740992.0; /* 2^53: from there on every one is */

	if (real >= edge || real <= -edge)
		return true;
	return (double)(int64_t)real == real;
}

static unsigned types_of(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return TYPE_OBJECT;
	case JSON_ARRAY:
		return TYPE_ARRAY;
	case JSON_STRING:
		return TYPE_STRING;
	case JSON_INTEGER:
		return TYPE_NUMBER | TYPE_INTEGER;
	case JSON_REAL:
		return is_whole(json_real_value(value)) ? TYPE_NUMBER | TYPE_INTEGER : TYPE_NUMBER;
	case JSON_TRUE:
	case JSON_FALSE:
		return TYPE_BOOLEAN;
	case JSON_NULL:
		return TYPE_NULL;
	}
	return 0;
}

static bool test_type(
    struct run *run, const struct test *test, const json_t *value, const struct spot *at)
{
	char wanted[128] = "";
	size_t size = 0;

	if ((types_of(value) & test->types) != 0)
		return true;
	for (size_t i = 0; i < TYPE_COUNT; i++) {
		if ((test->types & types[i].type) != 0)
			size += (size_t)snprintf(wanted + size, sizeof(wanted) - size, "%s%s",
			    size > 0 ? " or " : "", types[i].words);
	}
	return misfit(run, at, "is %s, not %s", spot_type_name(value), wanted);
}

/* An int64 against a double, exactly. */
static int compare_mixed(json_int_t whole, double real)
{
	const double edge = 9223372036854775808.0; /* 2^63 */
	json_int_t cut;

	if (real >= edge)
		return -1;
	if (real < -edge)
		return 1;
	cut = (json_int_t)real;
	if (whole != cut)
		return whole < cut ? -1 : 1;
	return (real > (double)cut) ? -1 : (real < (double)cut);
}

static int compare_numbers(const json_t *a, const json_t *b)
{
	if (json_is_integer(a) && json_is_integer(b))
		return (json_integer_value(a) > json_integer_value(b)) -
		       (json_integer_value(a) < json_integer_value(b));
	if (json_is_integer(a))
		return compare_mixed(json_integer_value(a), json_real_value(b));
	if (json_is_integer(b))
		return -compare_mixed(json_integer_value(b), json_real_value(a));
	return (json_real_value(a) > json_real_value(b)) -
	       (json_real_value(a) < json_real_value(b));
}

static bool same(struct run *run, const json_t *a, const json_t *b)
{
	if (!step(run, 1))
		return false;
	if (json_is_number(a) && json_is_number(b))
		return compare_numbers(a, b) == 0;
	if (json_typeof(a) != json_typeof(b))
		return false;
	if (json_is_array(a)) {
		if (json_array_size(a) != json_array_size(b))
			return false;
		for (size_t i = 0; i < json_array_size(a); i++) {
			if (!same(run, json_array_get(a, i), json_array_get(b, i)))
				return false;
		}
		return true;
	}
	if (json_is_object(a)) {
		if (json_object_size(a) != json_object_size(b))
			return false;
		for (void *i = json_object_iter((json_t *)(uintptr_t)a); i != NULL;
		     i = json_object_iter_next((json_t *)(uintptr_t)a, i)) {
			const json_t *other = json_object_get(b, json_object_iter_key(i));

			if (other == NULL || !same(run, json_object_iter_value(i), other))
				return false;
		}
		return true;
	}
	return json_equal(a, b);
}

static bool test_const(
    struct run *run, const struct test *test, const json_t *value, const struct spot *at)
{
	return same(run, value, test->json) || misfit(run, at, "is not the value it must be");
}

static bool test_enum(
    struct run *run, const struct test *test, const json_t *value, const struct spot *at)
{
	for (size_t i = 0; i < json_array_size(test->json); i++) {
		if (same(run, value, json_array_get(test->json, i)))
			return true;
	}
	return misfit(run, at, "is none of the values it may be");
}

static bool test_all(
    struct run *run, const struct test *test, const json_t *value, const struct spot *at)
{
	for (size_t i = 0; i < test->count; i++) {
		if (!test_node(run, test->nodes[i], value, at))
			return false;
	}
	return true;
}

/* How many of them it fits. */
static size_t fitting(struct run *run, const struct test *test, const json_t *value,
    const struct spot *at, size_t max)
{
	size_t count = 0;

	run->quiet++;
	for (size_t i = 0; i < test->count && count < max; i++)
		count += test_node(run, test->nodes[i], value, at);
	run->quiet--;
	return count;
}

static bool test_any(
    struct run *run, const struct test *test, const json_t *value, const struct spot *at)
{
	return fitting(run, test, value, at, 1) == 1 || misfit(run, at, "fits none of anyOf");
}

static bool test_one(
    struct run *run, const struct test *test, const json_t *value, const struct spot *at)
{
	size_t count = fitting(run, test, value, at, 2);

	return count == 1 ||
	       misfit(run, at, count == 0 ? "fits none of oneOf" : "fits more than one of oneOf");
}

static bool test_not(
    struct run *run, const struct test *test, const json_t *value, const struct spot *at)
{
	return fitting(run, test, value, at, 1) == 0 || misfit(run, at, "is what it must not be");
}

static bool test_ref(
    struct run *run, const struct test *test, const json_t *value, const struct spot *at)
{
	return test_node(run, test->nodes[0], value, at);
}

/* Which node speaks about a member, or NULL. */
static const struct node *find_property(const struct test *test, const char *name)
{
	const char **found;

	if (test == NULL || test->count == 0)
		return NULL;
	found = bsearch(&name, test->names, test->count, sizeof(char *), compare_names);
	return found != NULL ? test->nodes[found - test->names] : NULL;
}

static bool test_properties(
    struct run *run, const struct test *test, const json_t *value, const struct spot *at)
{
	for (size_t i = 0; i < test->count && json_is_object(value); i++) {
		const struct spot here = {.parent = at, .key = test->names[i]};
		const json_t *member = json_object_get(value, here.key);

		if (!step(run, 1) ||
		    (member != NULL && !test_node(run, test->nodes[i], member, &here)))
			return false;
	}
	return true;
}

static bool test_additional(
    struct run *run, const struct test *test, const json_t *value, const struct spot *at)
{
	json_t *object = (json_t *)(uintptr_t)value;

	for (void *i = json_object_iter(object); i != NULL; i = json_object_iter_next(object, i)) {
		const struct spot here = {.parent = at, .key = json_object_iter_key(i)};

		if (!step(run, 1) ||
		    (find_property(test->properties, here.key) == NULL &&
			!test_node(run, test->nodes[0], json_object_iter_value(i), &here)))
			return false;
	}
	return true;
}

static bool test_required(
    struct run *run, const struct test *test, const json_t *value, const struct spot *at)
{
	char shown[SPOT_SHOWN_SIZE];

	for (size_t i = 0; i < json_array_size(test->json) && json_is_object(value); i++) {
		const char *name = json_string_value(json_array_get(test->json, i));

		if (!step(run, 1))
			return false;
		if (json_object_get(value, name) == NULL)
			return misfit(run, at, "\"%s\" is missing", spot_shown(shown, name));
	}
	return true;
}

/* False: it is not of the kind that the keyword speaks about. */
static bool size_of(size_t *out, const struct test *test, const json_t *value)
{
	if ((types_of(value) & test->types) == 0)
		return false;
	*out = json_is_object(value) ? json_object_size(value) : json_array_size(value);
	return true;
}

static bool test_fewest(
    struct run *run, const struct test *test, const json_t *value, const struct spot *at)
{
	size_t size;

	return !size_of(&size, test, value) || size >= test->count ||
	       misfit(run, at, "has %zu members, fewer than %zu", size, test->count);
}

static bool test_most(
    struct run *run, const struct test *test, const json_t *value, const struct spot *at)
{
	size_t size;

	return !size_of(&size, test, value) || size <= test->count ||
	       misfit(run, at, "has %zu members, more than %zu", size, test->count);
}

static bool test_items(
    struct run *run, const struct test *test, const json_t *value, const struct spot *at)
{
	for (size_t i = 0; i < json_array_size(value); i++) {
		const struct spot here = {.parent = at, .index = i};

		if (!test_node(run, test->nodes[0], json_array_get(value, i), &here))
			return false;
	}
	return true;
}

/* Characters are code points; jansson has checked the UTF-8. */
static size_t characters(const json_t *value)
{
	const char *text = json_string_value(value);
	size_t count = 0;

	for (size_t i = 0; i < json_string_length(value); i++)
		count += ((unsigned char)text[i] & 0xc0) != 0x80;
	return count;
}

static bool test_shortest(
    struct run *run, const struct test *test, const json_t *value, const struct spot *at)
{
	return !json_is_string(value) || characters(value) >= test->count ||
	       misfit(run, at, "is shorter than %zu characters", test->count);
}

static bool test_longest(
    struct run *run, const struct test *test, const json_t *value, const struct spot *at)
{
	return !json_is_string(value) || characters(value) <= test->count ||
	       misfit(run, at, "is longer than %zu characters", test->count);
}

static bool test_minimum(
    struct run *run, const struct test *test, const json_t *value, const struct spot *at)
{
	return !json_is_number(value) || compare_numbers(value, test->json) >= 0 ||
	       misfit(run, at, "is less than it may be");
}

static bool test_maximum(
    struct run *run, const struct test *test, const json_t *value, const struct spot *at)
{
	return !json_is_number(value) || compare_numbers(value, test->json) <= 0 ||
	       misfit(run, at, "is more than it may be");
}

static bool test_above(
    struct run *run, const struct test *test, const json_t *value, const struct spot *at)
{
	return !json_is_number(value) || compare_numbers(value, test->json) > 0 ||
	       misfit(run, at, "is not above its bound");
}

static bool test_below(
    struct run *run, const struct test *test, const json_t *value, const struct spot *at)
{
	return !json_is_number(value) || compare_numbers(value, test->json) < 0 ||
	       misfit(run, at, "is not below its bound");
}

bool schema_check(char reason[256], const struct schema *schema, const json_t *value)
{
	struct json_error error = {0};
	struct run run = {.error = &error};
	bool fits = test_node(&run, schema->root, value, NULL);

	if (run.exhausted)
		snprintf(reason, 256, "it takes more than %u steps to check", SCHEMA_STEPS_MAX);
	else if (!fits)
		snprintf(reason, 256, "%s%s%.*s", error.path, *error.path != '\0' ? ": " : "", 120,
		    error.reason);
	return fits && !run.exhausted;
}
