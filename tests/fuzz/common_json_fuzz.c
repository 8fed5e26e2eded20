/* JSON within limits: what is taken is no deeper than allowed, names every member once, reads
 * the same when written again, and each value in it has a line. */
#include <stdlib.h>
#include <string.h>

#include "common/flat.h"
#include "common/json.h"
#include "common/spot.h"
#include "tests/fuzz/common_members.h"
#include "tests/fuzz/fuzz.h"

#define SIZE_MAX_TAKEN (64u * 1024u)
/* Each line that is looked up reads the text from its start. */
#define LOOKUPS_MAX 64

static void check_line(const char *text, size_t size, const struct spot *at, int lines)
{
	struct buf path;
	int line;

	buf_init(&path, SIZE_MAX_TAKEN * 2);
	spot_format(&path, at);
	if (buf_ok(&path)) {
		line = json_line(text, size, buf_str(&path));
		must(line >= 1 && line <= lines);
	}
	buf_fini(&path);
}

static void check_lines(
    const char *text, size_t size, json_t *tree, const struct spot *parent, int lines, int *left)
{
	struct spot at = {.parent = parent};
	json_t *item;

	json_array_foreach (tree, at.index, item) {
		if ((*left)-- <= 0)
			return;
		check_line(text, size, &at, lines);
		check_lines(text, size, item, &at, lines, left);
	}
	at.index = 0;
	json_object_foreach (tree, at.key, item) {
		if ((*left)-- <= 0)
			return;
		check_line(text, size, &at, lines);
		check_lines(text, size, item, &at, lines, left);
	}
}

static void check_again(json_t *tree)
{
	char *text = json_dumps(tree, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(17));
	struct json_error error;
	json_t *again;

	must(text != NULL);
	again = json_read(&error, text, strlen(text), SIZE_MAX);
	must(again != NULL && json_equal(tree, again));
	json_decref(again);
	free(text);
}

static void check_taken(const char *text, size_t size, json_t *tree)
{
	int lines = 1, left = LOOKUPS_MAX;
	size_t i;

	for (i = 0; i < size; i++)
		lines += text[i] == '\n';
	must(size <= SIZE_MAX_TAKEN && memchr(text, '\0', size) == NULL);
	must(members_of_tree(tree).depth <= JSON_DEPTH_MAX);
	must(members_all(text, size, tree));
	check_lines(text, size, tree, NULL, lines, &left);
	check_again(tree);
}

/* What is read without a tree is in it, all of it, and nothing else. */
static void check_flat(const char *text, size_t size, const json_t *tree)
{
	struct flat flat;

	if (!flat_read(&flat, text, size))
		return;
	must(json_is_object(tree) && json_object_size(tree) == flat.count);
	for (size_t i = 0; i < flat.count; i++) {
		const json_t *value = json_object_get(tree, flat.members[i].key);

		if (flat.members[i].text != NULL)
			must(strcmp(json_string_value(value), flat.members[i].text) == 0);
		else
			must(json_is_boolean(value) &&
			     json_is_true(value) == flat.members[i].truth);
	}
}

static void check_refused(const struct json_error *error)
{
	const char *at;
	json_t *text;

	must(error->line >= 0);
	must(memchr(error->path, '\0', sizeof(error->path)) != NULL);
	must(memchr(error->reason, '\0', sizeof(error->reason)) != NULL && error->reason[0]);
	/* It goes to terminals, and into answers that are JSON. */
	for (at = error->reason; *at != '\0'; at++) {
		must((unsigned char)at[0] >= 0x20 && at[0] != 0x7f);
		must(at[0] != '\xc2' || (unsigned char)at[1] > 0x9f);
	}
	must((text = json_string(error->reason)) != NULL);
	json_decref(text);
}

/* A path nobody made from the tree has a line or none; it does not matter which. */
static void check_any_path(const char *text, size_t size)
{
	static const char *const paths[] = {"", "a", "a.b", "[0]", "[1][0].a", ".", "[", "[]", "[9",
	    "[99999999999].a", "a[0]", "a.", "..", "a.b[2].c"};
	size_t i;

	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		must(json_line(text, size, paths[i]) >= 0);
}

static bool has_integer(json_t *tree)
{
	const char *key;
	json_t *item;
	size_t index;

	json_array_foreach (tree, index, item) {
		if (has_integer(item))
			return true;
	}
	json_object_foreach (tree, key, item) {
		if (has_integer(item))
			return true;
	}
	return json_is_integer(tree);
}

static void check_nearest(const char *text, size_t size)
{
	static const char *const words[] = {
	    "budget", "limits", "rules", "payment", "x402Version", NULL};
	char *word = must_strndup(text, size);
	const char *nearest = json_nearest(word, words);
	size_t i;

	for (i = 0; words[i] != NULL; i++) {
		if (strcmp(word, words[i]) == 0)
			must(nearest == words[i]);
	}
	free(word);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct json_error error, wide_error;
	json_t *tree = json_read(&error, text, size, SIZE_MAX_TAKEN);
	json_t *wide = json_read_wide(&wide_error, text, size, SIZE_MAX_TAKEN);

	check_flat(text, size, tree);
	if (tree != NULL) {
		must(json_equal(tree, wide));
		check_taken(text, size, tree);
		check_any_path(text, size);
		must(json_read(&error, text, size, size - 1) == NULL);
	} else {
		check_refused(&error);
	}
	if (tree == NULL && wide != NULL) {
		must(!has_integer(wide));
		check_taken(text, size, wide);
	} else if (wide == NULL) {
		check_refused(&wide_error);
	}
	if (size <= 100)
		check_nearest(text, size);
	json_decref(wide);
	json_decref(tree);
	return 0;
}
