/* common/buf.h - a growing byte buffer with a ceiling given at construction.
 *
 * Past the ceiling, or when memory is gone, the buffer goes into the failed
 * state: the piece that did not fit and what follows are ignored, buf_ok() is
 * false, and the text stays valid and NUL-terminated. So a writer checks once,
 * at the end. */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/must.h"

struct buf {
	char *data; /* never NULL after the first write that fits; NUL-terminated */
	size_t size;
	size_t capacity;
	size_t size_max;
	bool failed;
};

void buf_init(struct buf *buf, size_t size_max);
void buf_fini(struct buf *buf);

void buf_add(struct buf *buf, const void *bytes, size_t size);
void buf_add_str(struct buf *buf, const char *text);
void buf_add_format(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
/** Empty and usable again, also after a failure; keeps its memory. */
void buf_clear(struct buf *buf);
bool buf_ok(const struct buf *buf) MUST_CHECK;
/** The text so far, "" when nothing was written. Borrowed. */
const char *buf_str(const struct buf *buf);
/** Hands the text to the caller, who frees it; the buffer is empty after. */
char *buf_take(struct buf *buf);

#endif
