/* common/must.h - our own bugs, kept apart from expected failures.
 *
 * must(expr) is always compiled in and aborts the process. It states what the
 * code around it has already made true; it is never reachable from bytes that
 * came from a network, a file or a command line. */
#ifndef COMMON_MUST_H
#define COMMON_MUST_H

#include <stddef.h>

#define must(expr) ((expr) ? (void)0 : must_fail(#expr, __FILE__, __LINE__, __func__))

/* A result that may not be dropped. */
#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((__format__(__printf__, text, first)))

_Noreturn void must_fail(const char *expr, const char *file, int line, const char *function);

/** Allocation that ends the process when memory is gone: for start-up and for
 * small fixed-size objects whose count is already bounded. Never NULL. Libraries that would
 * go on with half of what they were asked for are given these, too (json_init, serve_run). */
void *must_alloc(size_t size);
void *must_calloc(size_t count, size_t size);
void *must_realloc(void *old, size_t size);
char *must_strdup(const char *text);
char *must_strndup(const char *text, size_t length);
char *must_format(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
