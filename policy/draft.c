/* policy/draft.c - one check, one sentence. */
#include "policy/draft.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/amount.h"
#include "common/buf.h"

/* Bytes of a stranger's word that an error repeats. */
#define SHOWN_MAX 64
/* A path is made of keys the file holds, and of at most one index or dot for each. */
#define PATH_SLACK 256

static const char *type_name(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "a number";
	case JSON_REAL:
		return "a number with decimals";
	case JSON_TRUE:
		return "true";
	case JSON_FALSE:
		return "false";
	case JSON_NULL:
		return "null";
	}
	must_fail("a known type", __FILE__, __LINE__, __func__);
}

/* Errors are one line on a terminal: no control characters, no half characters. */
static void make_printable(char *text, size_t size_max)
{
	size_t size = strlen(text);

	if (size >= size_max) {
		for (size = size_max - 1; ((unsigned char)text[size] & 0xc0) == 0x80; size--)
			;
		text[size] = '\0';
	}
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
	}
}

/* The word as an error shows it. */
static const char *shown(char out[SHOWN_MAX + 4], const char *word)
{
	char start[SHOWN_MAX + 1];

	snprintf(start, sizeof(start), "%s", word);
	make_printable(start, SHOWN_MAX);
	snprintf(out, SHOWN_MAX + 4, "%s%s", start, strlen(word) < SHOWN_MAX ? "" : "...");
	return out;
}

static void add_path(struct buf *path, const struct spot *at)
{
	if (at == NULL)
		return;
	add_path(path, at->parent);
	if (at->key == NULL)
		buf_add_format(path, "[%zu]", at->index);
	else
		buf_add_format(path, "%s%s", path->size > 0 ? "." : "", at->key);
}

bool draft_fail(struct draft *draft, const struct spot *at, const char *format, ...)
{
	struct json_error *error = draft->error;
	/* One byte longer, so that make_printable() sees where the cut falls. */
	char reason[sizeof(error->reason) + 1];
	struct buf path;
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	make_printable(reason, sizeof(error->reason));

	buf_init(&path, draft->size + PATH_SLACK);
	add_path(&path, at);
	*error = (struct json_error){
	    .line = json_line(draft->text, draft->size, buf_str(&path)),
	};
	if (path.size > 0)
		make_printable(path.data, sizeof(error->path));
	snprintf(error->path, sizeof(error->path), "%s", buf_str(&path));
	snprintf(
	    error->reason, sizeof(error->reason), "%.*s", (int)sizeof(error->reason) - 1, reason);
	buf_fini(&path);
	return false;
}

bool draft_fail_unknown(struct draft *draft, const struct spot *at, const char *what,
    const char *word, const char *const *candidates)
{
	const char *nearest = json_nearest(word, candidates);
	char text[SHOWN_MAX + 4];

	if (nearest == NULL)
		return draft_fail(draft, at, "unknown %s \"%s\"", what, shown(text, word));
	return draft_fail(
	    draft, at, "unknown %s \"%s\"; did you mean \"%s\"?", what, shown(text, word), nearest);
}

static bool fail_unknown_key(
    struct draft *draft, const struct spot *at, const struct draft_key *keys)
{
	const char *names[DRAFT_KEYS_MAX + 1];
	size_t count = 0;

	for (; keys[count].name != NULL; count++) {
		must(count < DRAFT_KEYS_MAX);
		names[count] = keys[count].name;
	}
	names[count] = NULL;
	return draft_fail_unknown(draft, at, "key", at->key, names);
}

bool draft_object(
    struct draft *draft, const struct spot *at, json_t *value, const struct draft_key *keys)
{
	if (!json_is_object(value))
		return draft_fail(draft, at, "must be an object, not %s", type_name(value));
	for (void *i = json_object_iter(value); i != NULL; i = json_object_iter_next(value, i)) {
		const char *name = json_object_iter_key(i);
		const struct spot here = {.parent = at, .key = name};
		const struct draft_key *key = keys;

		while (key->name != NULL && strcmp(key->name, name) != 0)
			key++;
		if (key->name == NULL)
			return fail_unknown_key(draft, &here, keys);
		if (!key->read(draft, &here, json_object_iter_value(i), key))
			return false;
	}
	return true;
}

bool draft_is_array(struct draft *draft, const struct spot *at, const json_t *value)
{
	if (!json_is_array(value))
		return draft_fail(draft, at, "must be an array, not %s", type_name(value));
	return true;
}

bool draft_text(struct draft *draft, const struct spot *at, const char **out, const json_t *value)
{
	const char *text = json_string_value(value);

	if (text == NULL)
		return draft_fail(draft, at, "must be a string, not %s", type_name(value));
	if (*text == '\0')
		return draft_fail(draft, at, "must not be empty");
	if (strlen(text) > POLICY_WORD_SIZE_MAX)
		return draft_fail(draft, at, "is longer than %u bytes", POLICY_WORD_SIZE_MAX);
	for (const char *c = text; *c != '\0'; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return draft_fail(draft, at, "must not hold control characters");
	}
	*out = text;
	return true;
}

bool draft_count(
    struct draft *draft, const struct spot *at, int64_t *out, const json_t *value, const char *what)
{
	if (!json_is_integer(value))
		return draft_fail(
		    draft, at, "must be a whole number of %s, not %s", what, type_name(value));
	if (json_integer_value(value) < 0)
		return draft_fail(draft, at, "must be 0 or more");
	*out = json_integer_value(value);
	return true;
}

bool draft_dollars(struct draft *draft, const struct spot *at, int64_t *out, const json_t *value)
{
	const char *text = json_string_value(value);
	struct amount amount;
	char word[SHOWN_MAX + 4];

	if (text == NULL)
		return draft_fail(draft, at,
		    "must be decimal dollars in a string such as \"0.05\", not %s",
		    type_name(value));
	if (*text == '-')
		return draft_fail(draft, at, "must be 0 or more");
	if (!amount_parse(&amount, text))
		return draft_fail(draft, at,
		    "\"%s\" is not decimal dollars such as \"0.05\": digits, at most six decimals",
		    shown(word, text));
	*out = amount.micros;
	return true;
}

bool draft_cents(struct draft *draft, const struct spot *at, int64_t *out, const json_t *value)
{
	struct amount amount;
	int64_t cents;

	if (!draft_count(draft, at, &cents, value, "cents"))
		return false;
	if (!amount_from_cents(&amount, cents))
		return draft_fail(draft, at, "is too large");
	*out = amount.micros;
	return true;
}

bool draft_flag(struct draft *draft, const struct spot *at, bool *out, const json_t *value)
{
	if (!json_is_boolean(value))
		return draft_fail(draft, at, "must be true or false, not %s", type_name(value));
	*out = json_is_true(value);
	return true;
}
