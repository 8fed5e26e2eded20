/* common/spot.h - a place in a JSON text that is being read, and what is wrong there.
 *
 * A spot is a chain of keys and indices on the stack of whoever walks the tree; it becomes
 * a path, and the path a line, only when there is something to complain about. */
#ifndef COMMON_SPOT_H
#define COMMON_SPOT_H

#include <jansson.h>
#include <stdarg.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/json.h"

/* One step down from the whole, which is the NULL spot. */
struct spot {
	const struct spot *parent;
	const char *key; /* NULL: item `index` of an array */
	size_t index;
};

/** "a.b[2].c"; nothing for the whole. */
void spot_format(struct buf *out, const struct spot *at);

/** spot_fail - fill *error: the path of at, its line in text, and a sentence. Whatever
 * strangers wrote into keys or words is made printable and cut to fit.
 *
 * In       text, size  what json_read() accepted; NULL, 0: no line is known
 * Returns  false always, so that a caller can return it */
bool spot_fail(struct json_error *error, const char *text, size_t size, const struct spot *at,
    const char *format, ...) PRINTF_LIKE(5, 6);
bool spot_vfail(struct json_error *error, const char *text, size_t size, const struct spot *at,
    const char *format, va_list args) PRINTF_LIKE(5, 0);
/** "unknown WHAT \"WORD\"; did you mean …": word is not one of candidates (NULL-terminated). */
bool spot_fail_unknown(struct json_error *error, const char *text, size_t size,
    const struct spot *at, const char *what, const char *word, const char *const *candidates);

/** "an object", "a number with decimals", … for such sentences. */
const char *spot_type_name(const json_t *value);

/* Bytes of a stranger's word that an error repeats, and room for it. */
#define SPOT_SHOWN_MAX  64
#define SPOT_SHOWN_SIZE (SPOT_SHOWN_MAX + 4)
/** The word as an error shows it: printable, cut with "..."; returns out. */
const char *spot_shown(char out[SPOT_SHOWN_SIZE], const char *word);

#endif
