/* common/json.c - jansson behind limits, and places for its errors. */
#include "common/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longer words are not misspellings of anything we know. */
#define WORD_MAX 64

static json_t *refuse(struct json_error *error, int line, const char *format, ...)
    PRINTF_LIKE(3, 4);

void json_printable(char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text, next = (unsigned char)text[1];

		if (c < 0x20 || c == 0x7f)
			*text = '?';
		else if (c == 0xc2 && next >= 0x80 && next <= 0x9f)
			text[0] = text[1] = '?';
	}
}

/* jansson repeats what it does not understand. */
static json_t *refuse(struct json_error *error, int line, const char *format, ...)
{
	va_list args;

	*error = (struct json_error){.line = line};
	va_start(args, format);
	vsnprintf(error->reason, sizeof(error->reason), format, args);
	va_end(args);
	json_printable(error->reason);
	return NULL;
}

static int line_of(const char *text, const char *at)
{
	int line = 1;

	for (; text < at; text++)
		line += *text == '\n';
	return line;
}

/* The first byte after the string whose opening quote is at `at`. */
static const char *string_end(const char *at, const char *end)
{
	for (at++; at < end && *at != '"'; at++) {
		if (*at == '\\' && at + 1 < end)
			at++;
	}
	return at < end ? at + 1 : end;
}

/* Line of the first bracket that opens level JSON_DEPTH_MAX + 1, or 0. */
static int too_deep_line(const char *text, size_t size)
{
	const char *at = text, *end = text + size;
	int depth = 0, line = 1;

	while (at < end) {
		if (*at == '"') {
			at = string_end(at, end);
			continue;
		}
		if (*at == '\n')
			line++;
		else if ((*at == '{' || *at == '[') && ++depth > JSON_DEPTH_MAX)
			return line;
		else if (*at == '}' || *at == ']')
			depth--;
		at++;
	}
	return 0;
}

static json_t *read_tree(
    struct json_error *error, const char *text, size_t size, size_t size_max, bool wide)
{
	const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY;
	json_error_t bad;
	json_t *tree;
	int line;

	if (size > size_max)
		return refuse(error, 0, "longer than %zu bytes", size_max);
	/* jansson takes a NUL byte for the end and would not see what follows. */
	if (size > 0 && memchr(text, '\0', size) != NULL)
		return refuse(error, line_of(text, memchr(text, '\0', size)), "holds a NUL byte");
	line = too_deep_line(text, size);
	if (line != 0)
		return refuse(error, line, "nested deeper than %d levels", JSON_DEPTH_MAX);
	tree = json_loadb(text, size, flags, &bad);
	if (tree == NULL && wide && json_error_code(&bad) == json_error_numeric_overflow)
		tree = json_loadb(text, size, flags | JSON_DECODE_INT_AS_REAL, &bad);
	if (tree == NULL)
		return refuse(error, bad.line > 0 ? bad.line : 0, "%s", bad.text);
	return tree;
}

void json_init(void)
{
	json_set_alloc_funcs(must_alloc, free);
}

json_t *json_read(struct json_error *error, const char *text, size_t size, size_t size_max)
{
	return read_tree(error, text, size, size_max, false);
}

json_t *json_read_wide(struct json_error *error, const char *text, size_t size, size_t size_max)
{
	return read_tree(error, text, size, size_max, true);
}

/* A place in accepted text, so the grammar is known to hold. */
struct place {
	const char *at;
	const char *end;
	int line;
};

static void skip_blanks(struct place *place)
{
	for (; place->at < place->end && strchr(" \t\r\n", *place->at) != NULL; place->at++)
		place->line += *place->at == '\n';
}

/* Past the value that starts here. Strings of accepted text hold no newline. */
static void skip_value(struct place *place)
{
	int depth = 0;

	while (place->at < place->end) {
		char c = *place->at;

		if (depth == 0 && strchr(",]} \t\r\n", c) != NULL)
			return;
		if (c == '"') {
			place->at = string_end(place->at, place->end);
			if (depth == 0)
				return;
			continue;
		}
		if (c == '{' || c == '[')
			depth++;
		if (c == '}' || c == ']')
			depth--;
		place->line += c == '\n';
		place->at++;
		if (depth == 0 && (c == '}' || c == ']'))
			return;
	}
}

/* How much of path the key at place spells, or -1. Escapes are jansson's job. */
static long key_length_in_path(const struct place *place, const char *path)
{
	const char *end = string_end(place->at, place->end);
	json_t *key = json_loadb(place->at, (size_t)(end - place->at), JSON_DECODE_ANY, NULL);
	long length = -1;

	if (key != NULL) {
		size_t key_length = json_string_length(key);

		if (strncmp(path, json_string_value(key), key_length) == 0 &&
		    strchr(".[", path[key_length]) != NULL)
			length = (long)key_length;
		json_decref(key);
	}
	return length;
}

static int find(struct place place, const char *path);

static int find_member(struct place place, const char *path)
{
	place.at++;
	for (;;) {
		long length;

		skip_blanks(&place);
		if (place.at >= place.end || *place.at != '"')
			return 0;
		length = key_length_in_path(&place, path);
		place.at = string_end(place.at, place.end);
		skip_blanks(&place);
		place.at++; /* the colon */
		skip_blanks(&place);
		if (length >= 0) {
			const char *rest = path + length;
			int line = find(place, *rest == '.' ? rest + 1 : rest);

			if (line != 0)
				return line;
		}
		skip_value(&place);
		skip_blanks(&place);
		if (place.at >= place.end || *place.at != ',')
			return 0;
		place.at++;
	}
}

static int find_item(struct place place, const char *path)
{
	int index = 0;

	if (path[1] == ']')
		return 0;
	for (path++; *path >= '0' && *path <= '9' && index < INT32_MAX / 10; path++)
		index = index * 10 + (*path - '0');
	if (*path != ']')
		return 0;
	path++;
	place.at++;
	skip_blanks(&place);
	for (; index > 0; index--) {
		skip_value(&place);
		skip_blanks(&place);
		if (place.at >= place.end || *place.at != ',')
			return 0;
		place.at++;
		skip_blanks(&place);
	}
	if (place.at >= place.end || *place.at == ']')
		return 0;
	return find(place, *path == '.' ? path + 1 : path);
}

/* Recursion is as deep as the text, which json_read bounded. */
static int find(struct place place, const char *path)
{
	if (*path == '\0')
		return place.line;
	if (place.at < place.end && *place.at == '{')
		return find_member(place, path);
	if (place.at < place.end && *place.at == '[' && *path == '[')
		return find_item(place, path);
	return 0;
}

int json_line(const char *text, size_t size, const char *path)
{
	struct place place = {text, text + size, 1};

	skip_blanks(&place);
	if (place.at >= place.end)
		return 0;
	return find(place, path);
}

static size_t smallest(size_t a, size_t b, size_t c)
{
	size_t low = a < b ? a : b;

	return low < c ? low : c;
}

/* Levenshtein's distance, one row at a time; both at most WORD_MAX long. */
static size_t distance(const char *a, const char *b)
{
	size_t a_length = strlen(a), b_length = strlen(b);
	size_t row[WORD_MAX + 1];
	size_t i, j;

	for (j = 0; j <= b_length; j++)
		row[j] = j;
	for (i = 1; i <= a_length; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (j = 1; j <= b_length; j++) {
			size_t above = row[j];

			row[j] =
			    smallest(row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[b_length];
}

const char *json_nearest(const char *word, const char *const *candidates)
{
	const char *nearest = NULL;
	size_t length = strlen(word);
	size_t edits_max = (length + 2) / 3;

	if (length > WORD_MAX)
		return NULL;
	for (; *candidates != NULL; candidates++) {
		size_t edits;

		if (strlen(*candidates) > WORD_MAX)
			continue;
		edits = distance(word, *candidates);
		if (edits < edits_max || (edits == edits_max && nearest == NULL)) {
			nearest = *candidates;
			edits_max = edits;
		}
	}
	return nearest;
}

const char *json_str(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

json_t *json_member(const json_t *object, const char *key)
{
	json_t *member = json_object_get(object, key);

	return json_is_null(member) ? NULL : member;
}
