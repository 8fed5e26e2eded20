/* common/json.h - reading JSON that strangers and owners wrote.
 *
 * Every reader goes through json_read(), which enforces size, depth and the
 * absence of duplicate keys before the tree is handed on. Objects are jansson's. */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/must.h"

/* Sellers nest requirements four deep and schemas a dozen; 32 leaves room and
 * keeps jansson's recursion within a few kilobytes of stack. */
#define JSON_DEPTH_MAX 32

struct json_error {
	int line;            /* 1-based; 0 when no place is known */
	char path[128];      /* "budget.sessionLimitCents", "limits[2].window", "" */
	char reason[256];    /* one sentence without a final point, fit for a terminal */
};

/** json_printable - control characters, of which a terminal may think anything, become '?':
 * those of ASCII and those of Latin-1 (U+0080 to U+009F). text is UTF-8. */
void json_printable(char *text);

/** json_init - before anything else of jansson: without memory it ends the process instead of
 * writing half a text (json_dumps of 2.14 leaves out a key and says that all is well), which
 * might be signed, or booked. */
void json_init(void);

/** json_read - parse one JSON value.
 *
 * Returns the tree (caller: json_decref) or NULL with *error filled: longer
 * than size_max, a NUL byte, nested deeper than JSON_DEPTH_MAX, a duplicate
 * key, not UTF-8, trailing text, or malformed. Depth is checked before parsing. */
json_t *json_read(struct json_error *error, const char *text, size_t size, size_t size_max);

/** json_read_wide - the same for answers of strangers that are looked at and not booked: when
 * an integer does not fit 64 bits, all of them are read as doubles. */
json_t *json_read_wide(struct json_error *error, const char *text, size_t size, size_t size_max);

/** Line (1-based) on which the value at path starts in text that json_read
 * accepted; path is as in json_error ("a.b[2].c"). 0 when there is none. */
int json_line(const char *text, size_t size, const char *path);

/** The candidate nearest to word, at most ceil(length / 3) edits away, the first
 * of equals; or NULL. candidates is NULL-terminated. */
const char *json_nearest(const char *word, const char *const *candidates);

/** String member, or NULL when absent, null or of another type. Borrowed. */
const char *json_str(const json_t *object, const char *key);
/** Member that is present and not null, or NULL. Borrowed. */
json_t *json_member(const json_t *object, const char *key);

#endif
