/* common/buf.c - a growing byte buffer with a ceiling. */
#include "common/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Most texts that are put together are a few hundred bytes. */
#define CAPACITY_MIN 256

void buf_init(struct buf *buf, size_t size_max)
{
	*buf = (struct buf){.size_max = size_max};
}

void buf_fini(struct buf *buf)
{
	free(buf->data);
	buf_init(buf, buf->size_max);
}

/* Room for `more` bytes and the NUL; false and failed past the ceiling. */
static bool reserve(struct buf *buf, size_t more)
{
	size_t needed, capacity;
	char *data;

	if (buf->failed)
		return false;
	if (more > buf->size_max - buf->size || buf->size_max == SIZE_MAX) {
		buf->failed = true;
		return false;
	}
	needed = buf->size + more + 1;
	if (needed <= buf->capacity)
		return true;
	capacity = buf->capacity ? buf->capacity : CAPACITY_MIN;
	while (capacity < needed)
		capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
	data = realloc(buf->data, capacity);
	if (data == NULL) {
		buf->failed = true;
		return false;
	}
	buf->data = data;
	buf->capacity = capacity;
	buf->data[buf->size] = '\0';
	return true;
}

void buf_add(struct buf *buf, const void *bytes, size_t size)
{
	if (!reserve(buf, size))
		return;
	if (size > 0)
		memcpy(buf->data + buf->size, bytes, size);
	buf->size += size;
	buf->data[buf->size] = '\0';
}

void buf_add_str(struct buf *buf, const char *text)
{
	buf_add(buf, text, strlen(text));
}

void buf_add_format(struct buf *buf, const char *format, ...)
{
	va_list args, again;
	int length;

	va_start(args, format);
	va_copy(again, args);
	length = vsnprintf(NULL, 0, format, args);
	if (length < 0) {
		buf->failed = true;
	} else if (reserve(buf, (size_t)length)) {
		vsnprintf(buf->data + buf->size, (size_t)length + 1, format, again);
		buf->size += (size_t)length;
	}
	va_end(again);
	va_end(args);
}

void buf_clear(struct buf *buf)
{
	buf->size = 0;
	buf->failed = false;
	if (buf->data != NULL)
		buf->data[0] = '\0';
}

bool buf_ok(const struct buf *buf)
{
	return !buf->failed;
}

const char *buf_str(const struct buf *buf)
{
	return buf->data != NULL ? buf->data : "";
}

char *buf_take(struct buf *buf)
{
	char *text = buf->data != NULL ? buf->data : must_strdup("");

	buf_init(buf, buf->size_max);
	return text;
}
