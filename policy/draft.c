/* policy/draft.c - one check, one sentence. */
#include "policy/draft.h"

#include <stdarg.h>
#include <string.h>

#include "common/amount.h"

bool draft_fail(struct draft *draft, const struct spot *at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	spot_vfail(draft->error, draft->text, draft->size, at, format, args);
	va_end(args);
	return false;
}

bool draft_fail_unknown(struct draft *draft, const struct spot *at, const char *what,
    const char *word, const char *const *candidates)
{
	return spot_fail_unknown(
	    draft->error, draft->text, draft->size, at, what, word, candidates);
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
		return draft_fail(draft, at, "must be an object, not %s", spot_type_name(value));
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
		return draft_fail(draft, at, "must be an array, not %s", spot_type_name(value));
	return true;
}

bool draft_text(struct draft *draft, const struct spot *at, const char **out, const json_t *value)
{
	const char *text = json_string_value(value);

	if (text == NULL)
		return draft_fail(draft, at, "must be a string, not %s", spot_type_name(value));
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
		    draft, at, "must be a whole number of %s, not %s", what, spot_type_name(value));
	if (json_integer_value(value) < 0)
		return draft_fail(draft, at, "must be 0 or more");
	*out = json_integer_value(value);
	return true;
}

bool draft_dollars(struct draft *draft, const struct spot *at, int64_t *out, const json_t *value)
{
	const char *text = json_string_value(value);
	struct amount amount;
	char word[SPOT_SHOWN_SIZE];

	if (text == NULL)
		return draft_fail(draft, at,
		    "must be decimal dollars in a string such as \"0.05\", not %s",
		    spot_type_name(value));
	if (*text == '-')
		return draft_fail(draft, at, "must be 0 or more");
	if (!amount_parse(&amount, text))
		return draft_fail(draft, at,
		    "\"%s\" is not decimal dollars such as \"0.05\": digits, at most six decimals",
		    spot_shown(word, text));
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
		return draft_fail(
		    draft, at, "must be true or false, not %s", spot_type_name(value));
	*out = json_is_true(value);
	return true;
}
