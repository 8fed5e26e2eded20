/* common/must.c - the end of the process, and allocation that may not fail. */
#include "common/must.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void must_fail(const char *expr, const char *file, int line, const char *function)
{
	fprintf(stderr, "tallyward: %s:%d: %s: broken promise: %s\n", file, line, function, expr);
	abort();
}

_Noreturn static void out_of_memory(size_t size)
{
	fprintf(stderr, "tallyward: out of memory asking for %zu bytes\n", size);
	abort();
}

void *must_alloc(size_t size)
{
	void *memory = malloc(size ? size : 1);

	if (memory == NULL)
		out_of_memory(size);
	return memory;
}

void *must_calloc(size_t count, size_t size)
{
	void *memory = calloc(count ? count : 1, size ? size : 1);

	if (memory == NULL)
		out_of_memory(size);
	return memory;
}

void *must_realloc(void *old, size_t size)
{
	void *memory = realloc(old, size ? size : 1);

	if (memory == NULL)
		out_of_memory(size);
	return memory;
}

char *must_strdup(const char *text)
{
	size_t size = strlen(text) + 1;

	return memcpy(must_alloc(size), text, size);
}

char *must_strndup(const char *text, size_t length)
{
	size_t size = strnlen(text, length);
	char *copy = must_alloc(size + 1);

	memcpy(copy, text, size);
	copy[size] = '\0';
	return copy;
}

char *must_format(const char *format, ...)
{
	va_list args;
	char *text;
	int length;

	va_start(args, format);
	length = vasprintf(&text, format, args);
	va_end(args);
	if (length < 0)
		out_of_memory(0);
	return text;
}
