/* A schema and a value: what a schema says, its combinations with itself say as well.
 *
 * The input is the schema's text, a NUL byte, and the value's text. */
#include <stdlib.h>
#include <string.h>

#include "common/schema.h"
#include "tests/fuzz/fuzz.h"

#define SIZE_MAX_TAKEN (64u * 1024u)

static void check_reason(bool good, const char reason[256])
{
	const char *at = memchr(reason, '\0', 256);

	must(at != NULL && (good || reason[0]));
	for (at = reason; *at != '\0'; at++)
		must((unsigned char)*at >= 0x20 && *at != 0x7f);
}

static bool check(const struct schema *schema, const json_t *value)
{
	char reason[256] = "", again[256] = "";
	bool good = schema_check(reason, schema, value);

	check_reason(good, reason);
	must(schema_check(again, schema, value) == good && strcmp(reason, again) == 0);
	return good;
}

/* Definitions are looked for at the top alone: a schema that has any cannot be moved. */
static void check_combined(json_t *tree, const json_t *value, bool good)
{
	static const struct {
		const char *word;
		bool list, twice;
		bool good; /* is what is good by itself */
	} rows[] = {
	    {"allOf", true, false, true},
	    {"allOf", true, true, true},
	    {"anyOf", true, true, true},
	    {"oneOf", true, false, true},
	    {"oneOf", true, true, false},
	    {"not", false, false, false},
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *wrapped = rows[i].twice  ? json_pack("{s:[O,O]}", rows[i].word, tree, tree)
				  : rows[i].list ? json_pack("{s:[O]}", rows[i].word, tree)
						 : json_pack("{s:O}", rows[i].word, tree);
		struct json_error error;
		struct schema *schema = schema_new(&error, wrapped, NULL, 0, NULL);
		bool is;

		json_decref(wrapped);
		if (schema == NULL)
			continue;
		is = check(schema, value);
		/* What takes too many steps is bad, so the opposite of bad may be bad, too. */
		must(good ? is == rows[i].good : !is || strcmp(rows[i].word, "not") == 0);
		schema_free(&schema);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *cut = size > 0 ? memchr(text, '\0', size) : NULL;
	size_t schema_size = cut != NULL ? (size_t)(cut - text) : size;
	struct json_error error = {.line = -1};
	json_t *tree, *value;
	struct schema *schema;

	if (cut == NULL)
		return 0;
	tree = json_read(&error, text, schema_size, SIZE_MAX_TAKEN);
	value = json_read(&error, cut + 1, size - schema_size - 1, SIZE_MAX_TAKEN);
	if (tree != NULL) {
		error = (struct json_error){.line = -1};
		schema = schema_new(&error, tree, text, schema_size, NULL);
		if (schema == NULL) {
			must(error.line >= 0);
			check_reason(false, error.reason);
		} else if (value != NULL) {
			check_combined(tree, value, check(schema, value));
		}
		schema_free(&schema);
		must(schema == NULL);
	}
	json_decref(value);
	json_decref(tree);
	return 0;
}
