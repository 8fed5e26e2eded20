/* common/spot.c - a place in a JSON text that is being read, and what is wrong there. */
#include "common/spot.h"

#include <stdio.h>
#include <string.h>

/* A path is made of keys the text holds, and of at most one index or dot for each. */
#define PATH_SLACK 256
/* Without the text at hand: as long as any path is shown, many times over. */
#define PATH_MAX_ 4096

const char *spot_type_name(const json_t *value)
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
	json_printable(text);
}

const char *spot_shown(char out[SPOT_SHOWN_SIZE], const char *word)
{
	char start[SPOT_SHOWN_MAX + 1];

	snprintf(start, sizeof(start), "%s", word);
	make_printable(start, SPOT_SHOWN_MAX);
	snprintf(out, SPOT_SHOWN_SIZE, "%s%s", start, strlen(word) < SPOT_SHOWN_MAX ? "" : "...");
	return out;
}

void spot_format(struct buf *out, const struct spot *at)
{
	if (at == NULL)
		return;
	spot_format(out, at->parent);
	if (at->key == NULL)
		buf_add_format(out, "[%zu]", at->index);
	else
		buf_add_format(out, "%s%s", at->parent != NULL ? "." : "", at->key);
}

bool spot_vfail(struct json_error *error, const char *text, size_t size, const struct spot *at,
    const char *format, va_list args)
{
	/* One byte longer, so that make_printable() sees where the cut falls. */
	char reason[sizeof(error->reason) + 1];
	struct buf path;

	vsnprintf(reason, sizeof(reason), format, args);
	make_printable(reason, sizeof(error->reason));
	buf_init(&path, text != NULL ? size + PATH_SLACK : PATH_MAX_);
	spot_format(&path, at);
	*error = (struct json_error){
	    .line = text != NULL ? json_line(text, size, buf_str(&path)) : 0,
	};
	if (path.size > 0)
		make_printable(path.data, sizeof(error->path));
	snprintf(error->path, sizeof(error->path), "%s", buf_str(&path));
	snprintf(
	    error->reason, sizeof(error->reason), "%.*s", (int)sizeof(error->reason) - 1, reason);
	buf_fini(&path);
	return false;
}

bool spot_fail(struct json_error *error, const char *text, size_t size, const struct spot *at,
    const char *format, ...)
{
	va_list args;

	va_start(args, format);
	spot_vfail(error, text, size, at, format, args);
	va_end(args);
	return false;
}

bool spot_fail_unknown(struct json_error *error, const char *text, size_t size,
    const struct spot *at, const char *what, const char *word, const char *const *candidates)
{
	const char *nearest = json_nearest(word, candidates);
	char shown[SPOT_SHOWN_SIZE];

	if (nearest == NULL)
		return spot_fail(
		    error, text, size, at, "unknown %s \"%s\"", what, spot_shown(shown, word));
	return spot_fail(error, text, size, at, "unknown %s \"%s\"; did you mean \"%s\"?", what,
	    spot_shown(shown, word), nearest);
}
